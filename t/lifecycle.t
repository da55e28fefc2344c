#!/usr/bin/perl

# The hooks of apps: ASYNC_STARTUP, with the requests that wait for it and its
# retries; ASYNC_SHUTDOWN, at every way that a worker ends; async_task_param().

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use NginxAsync;
use NginxAsync::Say qw(gone line_of);

my $routes = <<'EOF_CONF';
    location = /state  { async_handler state; }
    location = /short  { async_handler state; async_timeout 300ms; }
    location = /nap    { async_handler lifecycle:nap; }
    location = /thread { async_handler thread_nap; }
    location = /other  { async_handler naps; }
    location = /param  { async_handler task_param; async_param inner 1;
                         async_param both inner; }
EOF_CONF

my @startup  = map { ("$_ begins", "$_ ends") } qw(zebra middle ape);
my @shutdown = map { ("$_ begins", "$_ ends") } qw(zulu mike alpha);

# A server whose hooks have these plans, see t/apps/lifecycle.c.
sub nginx {
    my ($plans, %o) = @_;

    my $params = join '', map { "async_param $_ \"$plans->{$_}\";\n" }
        sort keys %$plans;

    return NginxAsync->new(%o, conf => { server => $routes, http => <<"EOF_CONF"
        async_app \$TEST_NGINX_APPS/lifecycle.so;
        async_app \$TEST_NGINX_APPS/sleep.so;
        $params
        @{[ delete $o{http} // '' ]}
EOF_CONF
    })->start;
}


# What hooks and handlers have said, in order; of one worker if a pid is given.
sub said {
    my ($n, $pid) = @_;

    return [map { $_->[1] } grep { !$pid || $_->[0] == $pid }
        map { /\] (\d+)#\d+: .*?<([^>]+)>/ ? [$1, $2] : () }
        split /\n/, $n->log];
}


sub count {
    my ($n, $event) = @_;

    return scalar grep { $_ eq $event } @{ said($n) };
}


# The events of one worker that are among these.
sub said_of {
    my ($n, $pid, @events) = @_;

    my %asked = map { $_ => 1 } @events;

    return [grep { $asked{$_} } @{ said($n, $pid) }];
}


sub state_of {
    my ($r) = @_;

    return { $r->body =~ /"(\w+)":(\d+)/g };
}


sub quit {
    my ($n) = @_;

    $n->signal('QUIT');
    ok gone($n), '... and the worker goes';
    $n->stop;
}


# A connection whose request the worker has: it has answered a later one.
sub taken {
    my ($n, $uri) = @_;

    my $c = $n->connect->send_request('GET', $uri);
    $n->get('/other')->status == 200 or die "the loop does not answer\n";

    return $c;
}


# Asks until there is another answer than 503, or the bound has passed.
sub get_when_up {
    my ($n, $uri) = @_;

    my $r;
    $n->wait_until(sub { $r = $n->get($uri); $r->status != 503 }, 20);

    return $r;
}

# ---- startup

{
    my $n = nginx({ zebra => 'sleep 200', middle => 'sleep 50' }, workers => 2);

    ok $n->wait_until(sub { count($n, 'ape ends') == 2 }),
        'startup functions run in every worker, without a request';

    for my $pid ($n->workers) {
        is_deeply said($n, $pid), \@startup,
            "... one after another, in the order of the file ($pid)";
    }

    $n->stop;
}

{
    my $n = nginx({ zebra => 'sleep 500' });
    my $r = $n->get('/state');

    is $r->status, 200, 'a request waits while the startup awaits';
    is_deeply state_of($r),
        { pid => $n->worker, zebra => 1, middle => 1, ape => 1 },
        '... and its handler sees what that has made';
    is_deeply said($n), [@startup, 'state'], '... since it comes after it';
    $n->stop;
}

{
    my $n = nginx({ zebra => 'sleep 2500' });
    my $other = $n->get('/other');

    is_deeply said($n), ['zebra begins'], 'an app whose startup awaits';
    is $other->status, 200, '... does not hold up the handlers of another one';

    my @c = map { $n->connect->send_request('GET', $_) }
        qw(/state /state /thread?ms=1 /state);

    is_deeply [map { $_->response->status } @c], [(200) x 4],
        'all who wait are served, handlers of either kind';
    $n->stop;
}

{
    my $n = nginx({ zebra => 'sleep 3500' });
    my $c = $n->connect->send_request('GET', '/state');

    ok $n->wait_for_log(qr/zebra begins/), 'a startup';
    my $r = $n->get('/short');
    is $r->status, 504, 'a waiting request has its deadline';
    is $r->body, '{"detail":"Gateway Timeout"}', '... with a JSON body';
    like_log $n, 0, qr/\[error\] .*async handler "lifecycle:state" timed out: .* in the startup of its app at \S*lifecycle\.c:\d+/,
        '... and the log says for what it waited';

    $c->reset;
    ok $n->wait_until(sub { $n->access_log =~ m{"GET /state HTTP/1.1" 499} }),
        'the client of a waiting request may leave';
    is_deeply said($n), ['zebra begins'], '... without its handler';
    is $n->get('/state')->status, 200, '... and the others are served';
    is_deeply said($n), [@startup, 'state'], '... once';
    $n->stop;
}

{
    my $n = nginx({});
    my $old = $n->worker;

    is $n->get('/state')->status, 200, 'a worker that has started';
    my $new = $n->kill_worker('KILL');
    is state_of($n->get('/state'))->{pid}, $new, '... and died has a successor';
    is_deeply said_of($n, $new, @startup), \@startup, '... which starts, too';
    is_deeply said_of($n, $old, @shutdown), [], '... without a shutdown before';
    $n->stop;
}

# ---- a failing startup

{
    my $n = nginx({ zebra => 'sleep 300 fail 99' });
    my $r = $n->get('/state');

    is $r->status, 503, 'when the startup fails, whoever waits gets 503';
    is $r->header('Retry-After'), 1, '... with Retry-After';
    is $r->header('Content-Type'), 'application/json', '... as JSON';
    is $r->body, '{"detail":"Service Unavailable"}', '... with a detail';

    like_log $n, 0, qr/\[error\] .*async startup "lifecycle:zebra" failed: ASYNC_ERROR, after await_sleep at \S*lifecycle\.c:\d+; it is tried again in 1 s/,
        '... the log names function, code, place, and when it is tried again';
    like_log $n, 0, qr/\[info\] .*async handler "lifecycle:state" answers 503: the startup of its app has failed/,
        '... and says why there is a 503';

    is $n->get('/other')->status, 200, '... handlers of another app answer';
    is $n->get('/state')->status, 503, '... those of this one do not';
    is_deeply [grep { !/zebra/ } @{ said($n) }], [],
        '... and nothing else of it runs';
    quit($n);
    is_deeply [grep { !/zebra/ } @{ said($n) }], [],
        'an app that has never started has no shutdown';
}

{
    my $n = nginx({ zebra => 'fail 1', middle => 'fail 2' });

    my $r = get_when_up($n, '/state');
    is $r->status, 200, 'a startup that fails is tried again until it succeeds';
    is_deeply state_of($r),
        { pid => $n->worker, zebra => 2, middle => 3, ape => 1 },
        '... function by function: what has succeeded is not run again';
    is_deeply [$n->log =~ /startup "lifecycle:(\w+)" failed: .*again in (\d+) s/g],
        ['zebra', 1, 'middle', 1, 'middle', 2],
        '... with delays that grow, for each function from 1 s on';
    is_deeply [grep { /begins/ } @{ said($n) }], ['zebra begins',
        'zebra begins', ('middle begins') x 3, 'ape begins'], '... in order';
    $n->stop;
    is_deeply said_of($n, undef, @shutdown), \@shutdown,
        '... and such an app has a shutdown';
}

{
    my $n = nginx({ zebra => 'hang 1' }, http => 'async_timeout 500ms;');
    my $line = line_of('lifecycle', 'the hang of a hook');

    ok $n->wait_for_log(qr/async startup "lifecycle:zebra" failed: ASYNC_TIMEOUT: \S.*, after await_sleep at \S*$line; it is tried/),
        'a startup that does not end is cut by the async_timeout of "http"';
    is get_when_up($n, '/state')->status, 200, '... and tried again';
    is count($n, 'zebra begins'), 2, '... once';
    $n->stop;
}

{
    my $n = nginx({ zebra => 'sleep 2000' }, http => 'async_timeout 10s;');
    is $n->get('/short')->status, 504, 'the async_timeout of a location';
    is $n->get('/state')->status, 200, '... is none of the startup';
    is count($n, 'zebra begins'), 1, '... which is not tried again';
    $n->stop;
}

# ---- async_task_param()

{
    my $n = nginx({ key => 'of http', both => 'outer' });

    is $n->get('/param?key=key')->body, 'of http',
        'async_task_param() gives the async_param of "http"';
    is $n->get('/param?key=both')->body, 'outer',
        '... also where a location sets it otherwise';
    is $n->get('/param?key=inner')->body, '(absent)',
        '... and not what only a location sets';
    is $n->get('/param?key=none')->body, '(absent)', '... nor what nobody sets';
    $n->stop;

    $n = nginx({});
    is $n->get('/param?key=key')->body, '(absent)', 'without any there is none';
    $n->stop;
}

# ---- shutdown

{
    my $n = nginx({ zulu => 'sleep 200', alpha => 'sleep 50' }, workers => 2);
    ok $n->wait_until(sub { count($n, 'ape ends') == 2 }), 'two workers';
    my @workers = $n->workers;

    quit($n);
    is_deeply said($n, $_), [@startup, @shutdown],
        "shutdown functions run on QUIT, in order, and may await ($_)"
        for @workers;
}

{
    my $n = nginx({ zulu => 'sleep 100' });
    is $n->get('/state')->status, 200, 'a server';
    ok $n->term, '... ends on TERM';
    is_deeply said($n), [@startup, 'state', @shutdown],
        '... after the shutdown functions';
}

{
    my $n = nginx({ zulu => 'sleep 3000' });
    my $old = state_of($n->get('/state'))->{pid};

    is $n->reload, undef, 'a reload';
    ok $n->wait_for_log(qr/ $old#\d+: <zulu begins>/, 20),
        '... runs the shutdown of the old worker';
    isnt state_of($n->get('/state'))->{pid}, $old, '... while the new one serves';
    ok $n->wait_until(sub { !NginxAsync::Server::alive($old) }, 20), '... until that ends';
    is_deeply [grep { /zulu|state/ } @{ said($n) }],
        ['state', 'zulu begins', 'state', 'zulu ends'], '... not before';
    is_deeply said_of($n, $old, @shutdown), \@shutdown, '... with all of it';
    is_deeply said_of($n, $n->worker, @shutdown), [], '... and of the old one only';
    $n->stop;
}

for my $signal (qw(QUIT TERM)) {
    my $n = nginx({ zulu => 'sleep 100' }, master => 'off');
    is $n->get('/state')->status, 200, 'without a master process';
    ok $n->finish($signal), "... on $signal";
    is_deeply said($n), [@startup, 'state', @shutdown], '... both kinds run';
}

for my $way (['/nap', 'nap'], ['/thread', 'thread']) {
    my ($uri, $word) = @$way;
    my $n = nginx({});
    my $c = $n->connect->send_request('GET', "$uri?ms=1000");

    ok $n->wait_for_log(qr/<$word begins>/), "a request to $uri is in flight at QUIT";
    $n->signal('QUIT');
    is $c->response->status, 200, '... and is answered';
    quit($n);
    is_deeply [@{ said($n) }[-7 .. -1]], ["$word ends", @shutdown],
        '... then the shutdown begins';
}

{
    my $n = nginx({});
    my $c = $n->connect->send_request('GET', '/thread?ms=1500');

    ok $n->wait_for_log(qr/<thread begins>/), 'a thread runs';
    $c->close;
    ok $n->wait_until(sub { $n->access_log =~ m{ 499 } }), '... for nobody';
    quit($n);
    like_log $n, 0, qr/<thread ends>/, '... it is waited for';
    is_deeply [@{ said($n) }[-7 .. -1]], ['thread ends', @shutdown],
        '... before the shutdown begins';
}

{
    my $n = nginx({ zulu => 'fail 1', mike => 'sleep 50' });
    is $n->get('/state')->status, 200, 'a shutdown function that fails';
    quit($n);
    like_log $n, 0, qr/\[error\] .*async shutdown "lifecycle:zulu" failed: ASYNC_ERROR, after no await at -/,
        '... is logged';
    is_deeply said_of($n, undef, @shutdown), ['zulu begins', @shutdown[2 .. 5]],
        '... and the next ones run';
    is count($n, 'zulu begins'), 1, '... and it is not tried again';
}

{
    my $n = nginx({ zulu => 'hang 1' }, http => 'async_shutdown_timeout 1s;');
    is $n->get('/state')->status, 200, 'a shutdown function that does not end';
    quit($n);
    like_log $n, 0, qr/\[error\] .*async shutdown "lifecycle:zulu" failed: ASYNC_CANCELLED: the worker is shutting down, after await_sleep at \S*lifecycle\.c:\d+/,
        '... is cancelled by async_shutdown_timeout';
    is_deeply said_of($n, undef, @shutdown), ['zulu begins', @shutdown[2 .. 5]],
        '... and the next ones run';
}

{
    my $n = nginx({ zulu => 'deaf 1' }, http => 'async_shutdown_timeout 1s;');
    is $n->get('/state')->status, 200, 'a shutdown function that ignores its cancel';
    quit($n);
    like_log $n, 0, qr/\[error\] .*the shutdown of 1 apps did not end/, '... is logged, too';
    is_deeply said_of($n, undef, @shutdown), ['zulu begins'], '... and is the last one';
}

{
    my $n = nginx({ zulu => 'sleep 300' }, http => 'async_shutdown_timeout 500ms;');
    my $c = $n->connect->send_request('GET', '/nap?ms=3600000');

    ok $n->wait_for_log(qr/<nap begins>/), 'requests that use up async_shutdown_timeout';
    $n->signal('QUIT');
    is $c->response->status, 503, '... are cancelled';
    quit($n);
    is_deeply [@{ said($n) }[-7 .. -1]], ['nap ends', @shutdown],
        '... and leave the shutdown functions a second';
}

{
    my $n = nginx({ zulu => 'sleep 1000' }, http => 'async_timeout 200ms;');
    is $n->get('/state')->status, 200, 'shutdown functions have async_shutdown_timeout';
    quit($n);
    is_deeply said_of($n, undef, @shutdown), \@shutdown, '... not async_timeout';
}

{
    my $n = nginx({ zulu => 'hang 1' });
    is $n->get('/state')->status, 200, 'a shutdown function that does not end';
    ok $n->term, '... has about a second on TERM';
    is_deeply said_of($n, undef, @shutdown), ['zulu begins', @shutdown[2 .. 5]],
        '... and the next ones run';
}

{
    my $n = nginx({ zulu => 'hang 1' });
    is $n->get('/state')->status, 200, 'a shutdown that does not end';
    $n->signal('QUIT');
    ok $n->wait_for_log(qr/<zulu begins>/), '... at QUIT';
    ok $n->term, '... is cut by TERM, before the master kills the worker';
    is_deeply said_of($n, undef, @shutdown), ['zulu begins', @shutdown[2 .. 5]],
        '... and the next ones run';
}

{
    my $n = nginx({ zulu => 'hang 1' });
    my $c = $n->connect->send_request('GET', '/nap?ms=3600000');
    ok $n->wait_for_log(qr/<nap begins>/), 'QUIT, which waits for a request';
    $n->signal('QUIT');
    $n->wait_until(sub { $n->leaving_workers });
    ok $n->term, '... and then TERM, which does not';
    is_deeply said_of($n, undef, @shutdown), ['zulu begins', @shutdown[2 .. 5]],
        '... leave the shutdown functions a second';
}

# ---- the end of a worker that has not started

{
    my $n = nginx({ zebra => 'sleep 1500' });
    my $old = $n->worker;
    my $c = taken($n, '/state');

    ok $n->wait_for_log(qr/ $old#\d+: <zebra begins>/), 'a startup';
    is $n->reload, undef, '... and a reload amid it';

    my $r = $c->response;
    is $r->status, 200, '... whoever waits is served';
    is state_of($r)->{pid}, $old, '... by the old worker';
    is state_of($n->get('/state'))->{pid}, $n->worker, '... others by the new one';
    ok $n->wait_until(sub { !NginxAsync::Server::alive($old) }), '... the old one goes';
    is_deeply said($n, $old), [@startup, 'state', @shutdown],
        '... with its shutdown';
    $n->stop;
}

{
    my $n = nginx({ zebra => 'hang 1' }, http => 'async_shutdown_timeout 300ms;');
    my $c = taken($n, '/state');

    ok $n->wait_for_log(qr/<zebra begins>/), 'QUIT amid a startup that hangs';
    $n->signal('QUIT');
    is $c->response->status, 503, '... ends by async_shutdown_timeout for who waits';
    quit($n);
    is_deeply said($n), ['zebra begins', 'zebra gives up'], '... and for the startup';
}

{
    my $n = nginx({ zebra => 'hang 1' });
    ok $n->wait_for_log(qr/<zebra begins>/), 'TERM amid a startup';
    ok $n->term, '... ends the worker';
    is_deeply said_of($n, undef, @shutdown), [], '... without a shutdown';
}

{
    my $n = nginx({ zebra => 'fail 99' });

    ok $n->wait_for_log(qr/again in 2 s/, 20), 'QUIT between two tries of a startup';
    quit($n);
    is count($n, 'zebra begins'), 2, '... without waiting for the next one';
}

{
    my $n = nginx({ middle => 'fail 99' });

    is $n->get('/state')->status, 503, 'an app of which a part has started';
    is $n->reload, undef, '... may be reloaded';
    ok $n->wait_until(sub { !$n->leaving_workers }), '... and goes';
    is_deeply said_of($n, undef, @shutdown), [], '... without a shutdown';
    $n->stop;
}

# ---- util/async-run

sub async_run {
    my ($text, $task) = @_;

    my $dir = NginxAsync::Guard::temp_dir('run');
    NginxAsync::Env::spew("$dir/run.c", <<"EOF_C");
#include <ngx_async.h>
#include <stdio.h>
$text
EOF_C

    my $out = NginxAsync::run('timeout', '60',
        "$NginxAsync::Env::Root/util/async-run", "$dir/run.c", $task);

    return ($? >> 8, $out);
}

{
    my $text = <<'EOF_C';
ASYNC_STARTUP(start) { puts("starts"); ASYNC_TRY(await_sleep(co, 200));
                       puts("started"); return ASYNC_OK; }
ASYNC_SHUTDOWN(stop) { ASYNC_TRY(await_sleep(co, 10)); puts("stopped");
                       return ASYNC_OK; }
ASYNC_TASK(job) { puts("runs"); ASYNC_TRY(await_sleep(co, 10));
                  *(const char **) arg = "value"; return ASYNC_OK; }
EOF_C

    my ($status, $out) = async_run($text, 'job');
    is $out, "starts\nstarted\nruns\nvalue\nstopped\n",
        'util/async-run has a task run between startup and shutdown';
    is $status, 0, '... and succeed';

    $text =~ s/puts\("started"\); return ASYNC_OK/return ASYNC_ERROR/;
    ($status, $out) = async_run($text, 'job');
    like $out, qr/async startup "run:start" failed: ASYNC_ERROR/,
        '... not if the startup fails';
    like $out, qr/async task "run:job" failed: ASYNC_BUSY: the startup of the app has failed/,
        '... which is its cause';
    unlike $out, qr/^(?:runs|stopped)/m, '... nothing else runs';
    is $status, 1, '... and the status is 1';
}

done_testing;
