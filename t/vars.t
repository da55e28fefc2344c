#!/usr/bin/perl

# The variables "$async_..." of access logs and header fields, Server-Timing, and
# async_timing().  Times are compared with what must have passed at least, less
# the tick that the clock of nginx may be behind, and with each other.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use NginxAsync;
use NginxAsync::Others qw(server answers);
use NginxAsync::Pg;

use constant PAUSE => 0.050;               # of 60 ms

my @names = qw(handler route time wait_time run_time queue_time thread_time db_time db_queries
    fetch_time fetches awaits tasks);
my $format = join ' ', map { "$_=\$async_$_" } @names;

my $routes = join '', map { "location = /$_ { async_handler vars:$_; }\n" }
    qw(quick sleeps busy fails late children thread blocking fetches subrequests streams refused);

my $db = NginxAsync::Pg::missing() ? undef : NginxAsync::Pg->new;

sub nginx {
    my ($http, $server, %o) = @_;

    return NginxAsync->new(%o, files => { 'a.txt' => 'a file', 'e.html' => 'an error' },
        conf => { location_root => 1, http => <<"EOF_CONF", server => $server });
        async_app \$TEST_NGINX_APPS/vars.so;
        map \$arg_timing \$wanted { default ""; yes 1; no 0; }
        $http
EOF_CONF
}

my $n = nginx('log_format vars \'"$request_uri $uri" ' . $format . "';\n"
    . ($db ? 'async_pg db "' . $db->conninfo . '" connections=4;' : ''), <<'EOF_CONF' . $routes)->start;
    access_log $TEST_NGINX_SERVER_ROOT/logs/vars.log vars;
    log_subrequest on;
    location /items/ { async_route GET "/items/{id}" vars:quick; }
    location /guarded/ { async_access vars:guard; alias $TEST_NGINX_SERVER_ROOT/html/; }
    location = /guarded { async_access vars:guard; async_handler vars:sleeps; }
    location = /database { async_handler vars:database; }
    location = /intercepted { async_intercept_errors on; error_page 500 /e.html; async_handler vars:fails; }
    location = /headers { add_header X-Vars "$async_handler $async_awaits $async_time"; async_handler vars:sleeps; }
    location = /short { async_timeout 100ms; async_handler vars:late; }
    location = /var { async_handler vars:variable; }
EOF_CONF

my $count = 0;

# What the log says of a request: its variables by their names.  It ends at the
# URI "end", or where it began.
sub logged {
    my ($path, %o) = @_;

    my $end = delete $o{end};
    my $uri = $path . ($path =~ /\?/ ? '&' : '?') . 'n=' . ++$count;
    my $r = $n->get($uri, %o);
    return told($uri, $r, $end);
}


sub told {
    my ($uri, $r, $end) = @_;

    $end //= $uri =~ s/\?.*//r;

    my %v;
    $n->wait_until(sub {
        my ($line) = eval { $n->read_file('logs/vars.log') } =~ /^"\Q$uri $end\E" (.*)$/m or return;
        %v = map { split /=/, $_, 2 } split / /, $line;
    }) or die "nothing in the log of $uri";
    $v{r} = $r;
    return \%v;
}


subtest 'names' => sub {
    my $v = logged('/quick');
    is $v->{r}->body, 'quick', 'a request';
    is $v->{handler}, 'vars:quick', '... its handler';
    is $v->{route}, '-', '... which is no route';
    is logged('/items/7')->{route}, '/items/{id}', 'a route is the pattern';

    my $none = logged('/a.txt');
    is join(' ', map { $none->{$_} } @names), join(' ', ('-') x @names), 'a request of others has none';
};

subtest 'units' => sub {
    my $v = logged('/quick');
    like $v->{$_}, qr/^\d+\.\d{3}$/, "$_ is in seconds, with milliseconds" for grep { /time/ } @names;
    is $v->{$_}, 0, "$_ is a number" for qw(db_queries fetches awaits tasks);
    is $v->{$_}, '0.000', "no $_" for qw(queue_time thread_time db_time fetch_time);
};

subtest 'its own waits' => sub {
    my $v = logged('/sleeps');
    is $v->{awaits}, 2, 'two awaits';
    cmp_ok $v->{wait_time}, '>=', PAUSE, 'it has slept';
    cmp_ok $v->{time}, '>=', $v->{wait_time}, '... in its time';

    my $busy = logged('/busy');
    cmp_ok $busy->{run_time}, '>=', PAUSE, 'it has held the loop';
    cmp_ok $busy->{time}, '>=', $busy->{run_time}, '... in its time';
    is $busy->{wait_time}, '0.000', '... and has not waited';
};

subtest 'ends' => sub {
    is logged('/fails')->{handler}, 'vars:fails', 'a handler that fails';
    my $error = logged('/intercepted', end => '/e.html');
    is $error->{r}->body, 'an error', 'an error page of others';
    is "$error->{handler} $error->{awaits}", 'vars:fails 1', '... of a handler';

    my $late = logged('/short');
    is $late->{r}->status, 504, 'one that times out';
    cmp_ok $late->{wait_time}, '>=', 0.080, '... has waited';

    my $c = $n->connect;
    $c->send("GET /late?gone HTTP/1.1\r\nHost: a\r\n\r\n");
    $n->get('/quick');
    $c->close;
    is told('/late?gone')->{handler}, 'vars:late', 'one whose client has left';
};

subtest 'children' => sub {
    my $v = logged('/children');
    is $v->{tasks}, 1, 'a child';
    is $v->{awaits}, 4, 'its awaits count';
    cmp_ok $v->{wait_time}, '<=', $v->{time}, 'what they wait at once is one time';
};

subtest 'threads' => sub {
    my $v = logged('/blocking');
    is $v->{handler}, 'vars:blocking', 'a blocking handler';
    cmp_ok $v->{thread_time}, '>=', PAUSE, '... is in a thread';
    cmp_ok $v->{time}, '>=', $v->{thread_time} + $v->{queue_time} - 0.002, '... in its time';
    cmp_ok $v->{run_time}, '<=', $v->{time}, '... and hardly on the loop';
    cmp_ok logged('/thread')->{thread_time}, '>=', PAUSE, 'await_thread()';
};

subtest 'guards' => sub {
    my $v = logged('/guarded/a.txt');
    is $v->{r}->body, 'a file', 'a guard before a file';
    is $v->{handler}, 'vars:guard', '... is named';
    cmp_ok $v->{time}, '>=', PAUSE, '... and measured';

    my $both = logged('/guarded');
    is $both->{handler}, 'vars:sleeps', 'of a guard and a handler the handler is named';
    is $both->{awaits}, 3, '... and both are counted';
    cmp_ok $both->{time}, '>=', 2 * PAUSE, '... and measured';
};

subtest 'databases' => sub {
    plan skip_all => 'no PostgreSQL' if !$db;
    my $v = logged('/database');
    is $v->{r}->body, 'asked', 'statements';
    is $v->{db_queries}, 6, '... those of a pipeline, a transaction and a child';
    cmp_ok $v->{db_time}, '>=', 2 * PAUSE, '... whose times are summed';
    cmp_ok $v->{db_time}, '<=', 2 * ($v->{time} - PAUSE), '... without a sleep';
};

subtest 'fetches' => sub {
    my $to = server(sub { my ($c) = @_; local $/ = "\r\n\r\n"; <$c>; select undef, undef, undef, 0.06;
        print $c "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok" });
    my $v = logged('/fetches', headers => ['X-Url', "http://$to/"]);
    is $v->{r}->body, 'ok', 'a fetch';
    is $v->{fetches}, 1, '... is counted';
    cmp_ok $v->{fetch_time}, '>=', PAUSE, '... and measured';
    cmp_ok $v->{wait_time}, '>=', $v->{fetch_time} - 0.002, '... and waited for';
};

subtest 'subrequests' => sub {
    my $sub = '/sleeps?of=' . ++$count;
    my $v = logged('/subrequests', headers => ['X-To', $sub]);
    is $v->{handler}, 'vars:subrequests', 'who asks has its own';
    is $v->{awaits}, 1, '... with its awaits';
    cmp_ok $v->{wait_time}, '>=', PAUSE, '... and waits';
    my ($asked) = $n->read_file('logs/vars.log') =~ m{^"/subrequests\?\S+ /sleeps" (.*)$}m;
    like $asked, qr/^handler=vars:sleeps .*awaits=2/, 'who is asked has others';
};

like $n->get('/headers')->header('X-Vars'), qr/^vars:sleeps 2 \d+\.\d{3}$/, 'in a header field';
is $n->get('/var?name=async_handler')->body, 'vars:variable', 'async_var()';
is $n->get('/var?name=async_awaits')->body, '0', '... a number';

# ---- nobody wants to know

{
    my $m = nginx('', 'location = /var { async_handler vars:variable; } location = /t { async_handler vars:timing; }')
        ->start;
    is $m->get('/var?name=async_handler')->body, 'absent', 'what nginx.conf does not name is not measured';
    is $m->get('/t')->header('Server-Timing'), undef, 'no Server-Timing';
    $m->stop;
}

# ---- Server-Timing

my $t = nginx('async_server_timing if=$wanted;', <<'EOF_CONF')->start;
    location = /sleeps { async_handler vars:sleeps; }
    location = /off { async_server_timing off; async_handler vars:timing; }
    location = /on { async_server_timing on; async_handler vars:timing; }
    location = /if { async_handler vars:timing; }
    location = /fails { async_server_timing on; async_handler vars:fails; }
    location = /streams { async_server_timing on; async_handler vars:streams; }
    location = /blocking { async_server_timing on; async_handler vars:blocking; }
    location = /blocking-off { async_server_timing off; async_handler vars:blocking; }
    location = /subrequests { async_server_timing on; async_handler vars:subrequests; }
    location = /refused { async_server_timing on; async_handler vars:refused; }
    location /guarded/ { async_server_timing on; async_access vars:guard; alias $TEST_NGINX_SERVER_ROOT/html/; }
    location = /fetches { async_server_timing on; async_handler vars:fetches; }
    location /others/ { async_server_timing on; alias $TEST_NGINX_SERVER_ROOT/html/; }
EOF_CONF

# all entries of a response, in their order
sub timings { return join ', ', $t->get(@_)->headers('Server-Timing') }

my $ms = qr/\d+\.\d{3}/;
my $own = qr/total;dur=$ms, wait;dur=$ms, run;dur=$ms/;

subtest 'Server-Timing' => sub {
    like timings('/sleeps?timing=yes'), qr/^$own$/, 'what a request has taken';
    my ($total, $wait) = timings('/sleeps?timing=yes') =~ /total;dur=($ms), wait;dur=($ms)/;
    cmp_ok $wait, '>=', 1000 * PAUSE, '... in milliseconds';
    cmp_ok $total, '>=', $wait, '... in all';
    like timings('/fails'), qr/^$own$/, 'an error, too';
    like timings('/blocking'), qr/^in-thread;dur=1\.000, $own, queue;dur=$ms, thread;dur=$ms$/,
        'a thread, and what it says';
    like timings('/subrequests', headers => ['X-To', '/on']), qr/^$own$/, 'those of subrequests are their own';
    like timings('/guarded/a.txt'), qr/^guard;dur=2\.500, $own$/, 'a guard before a file';
    is timings('/others/a.txt'), '', 'a file of others has none';
    my $to = server(answers("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"));
    like timings('/fetches', headers => ['X-Url', "http://$to/"]), qr/^$own, fetch;dur=$ms$/, 'a fetch';

    my $r = $t->get('/streams');
    is $r->body, 'onetwo', 'a stream';
    my ($sofar) = $r->header('Server-Timing') =~ /^total;dur=($ms)/;
    cmp_ok $sofar, '>=', 1000 * PAUSE, '... tells what was before its first piece';
};

subtest 'whether it is told' => sub {
    my $entries = 'render;dur=1.250, cache;desc="a \"hit\" \\\\ so to say", zero;dur=0.000;desc="", '
        . "long;dur=123456789.063;desc=\"\xc3\xa4\"";
    like timings('/on'), qr/^\Q$entries\E, $own$/, 'on';
    like timings('/if?timing=yes'), qr/^\Q$entries\E, $own$/, 'a condition that holds';
    is timings('/off?timing=yes'), '', 'off';
    is timings('/blocking-off'), '', '... in a thread';
    is timings('/if'), '', 'a condition that is empty';
    is timings('/if?timing=no'), '', '... or zero';
};

{
    my $since = $t->mark;
    my $r = $t->get('/refused');
    is $r->body, '111111110', 'async_timing() refuses names, durations and descriptions';
    is $r->header('X-Evil'), undef, '... and line ends';
    like_log $t, $since, qr/refused: the name of a timing is no token/, '... as the log says';
    like_log $t, $since, qr/refused: the duration of a timing is no time/, '... of a time';
    like_log $t, $since, qr/refused: the description of a timing has a control/, '... of a description';
}

$t->stop;

# ---- nginx -t

for (['maybe' => qr/"async_server_timing" directive takes "on", "off" or "if="/],
    ['if=' => qr/"async_server_timing" directive takes/],
    ['on; async_server_timing off' => qr/"async_server_timing" directive is duplicate/],
    ['if=$nothing' => qr/unknown "nothing" variable/])
{
    my ($value, $error) = @$_;
    my $m = NginxAsync->new(allow => '[emerg]', conf => { http => "async_server_timing $value;", server => '' });
    my ($status, $output) = $m->conf_test;
    like $output, $error, "async_server_timing $value";
}

$n->stop;
done_testing;
