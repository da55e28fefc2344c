#!/usr/bin/perl

# Blocking handlers: their threads and pools, the calls from them to the loop,
# and what ends a request or a worker while a thread runs.  What they read and
# answer and log is in t/blocking-params.t.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Fcntl qw(O_RDWR O_NONBLOCK);
use IO::Select;
use POSIX ();
use Test::More;
use Time::HiRes qw(time);

use NginxAsync;
use NginxAsync::Conf;
use NginxAsync::Http2;
use NginxAsync::Say qw(gone);

my $asan = NginxAsync::Env::asan();

my $pools = <<'EOF_CONF';
    thread_pool default threads=8;
    thread_pool many    threads=40;
    thread_pool single  threads=1;
    thread_pool other   threads=1;
    thread_pool small   threads=1 max_queue=1;
EOF_CONF

my $handlers = join '', map { "location = /$_ { async_handler $_; }\n" }
    qw(hello hold hold_until_cancelled stuck thread tell calls late sums
       plain_call fails_async fails_blocking nested deferred);

$handlers .= join '', map { <<"EOF_CONF" } qw(many single other small);
    location = /$_/hold   { async_thread_pool $_; async_handler hold; }
    location = /$_/thread { async_thread_pool $_; async_handler thread; }
EOF_CONF

$handlers .= <<'EOF_CONF';
    location = /keep  { async_ignore_client_abort on; async_handler hold; }
    location = /short { async_timeout 1s; async_handler hold; }
    location = /short/single {
        async_thread_pool single;
        async_timeout 1s;
        async_handler hold;
    }
    location = /short/calls { async_timeout 1s; async_handler calls; }
    location = /short/nested { async_timeout 1s; async_handler nested; }
    location = /many/sums { async_thread_pool many; async_handler sums; }
    location = /allocate { access_log off; async_handler allocate; }
EOF_CONF

# A server and the FIFOs at which its threads wait.
sub server {
    my (%o) = @_;

    my $http   = delete $o{http}   // '';
    my $server = delete $o{server} // '';
    my ($h2_listen, $h2_on) = NginxAsync::Conf::http2_directive()
        ? ('', 'http2 on;') : (' http2', '');

    my $n = NginxAsync->new(connections => 1024, %o, conf => {
        main => $pools, server => "$handlers\n$server", http => <<"EOF_CONF" });
    async_app \$TEST_NGINX_APPS/blocking.so;
    async_param marker \$TEST_NGINX_SERVER_ROOT/marker;
    async_param gates \$TEST_NGINX_SERVER_ROOT/gates;
    keepalive_requests 10000000;
    server {
        listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_1$h2_listen;
        $h2_on
        async_thread_pool default;
$handlers
    }
$http
EOF_CONF

    mkdir $n->root . '/gates';
    $n->write_file('marker', '');
    chmod 0666, $n->root . '/marker';

    $n->start;

    # clients may still be going when this is asked for again
    $n->{idle} = () = $n->open_fds;

    return $n;
}


sub is_idle {
    my ($n) = @_;

    ok $n->wait_until(sub { $n->open_fds == $n->{idle} }),
        'Nothing is left open';
}


sub marks { return $_[0]->read_file('marker') }

sub marked {
    my ($n, $pattern, $bound) = @_;

    my $found = $n->wait_until(sub { marks($n) =~ $pattern }, $bound);
    diag 'marks: ' . marks($n) if !$found;

    return $found;
}


# A gate is a FIFO: threads wait until it is opened, and pass from then on.
sub gate {
    my ($n, @tags) = @_;

    for my $path (map { $n->root . "/gates/$_" } @tags) {
        POSIX::mkfifo($path, 0666) or die "mkfifo $path: $!";
        chmod 0666, $path;
    }
}

my @open;

sub open_gate {
    my ($n, @tags) = @_;

    for my $tag (@tags) {
        sysopen my $fh, $n->root . "/gates/$tag", O_RDWR | O_NONBLOCK
            or die "gate $tag: $!";
        push @open, $fh;
    }
}


# A connection whose request waits at the gate of its tag, in a thread.
sub held {
    my ($n, $uri, $tag) = @_;

    gate($n, $tag);
    my $c = $n->connect->send_request('GET', "$uri?tag=$tag");
    marked($n, qr/^$tag begins$/m) or die "$tag does not begin\n";

    return $c;
}


# The same for requests that wait for a thread: when a later one of another
# connection has been answered, they have been read.
sub queued {
    my ($n, $uri, @tags) = @_;

    gate($n, @tags);
    my @c = map { $n->connect->send_request('GET', "$uri?tag=$_") } @tags;
    $n->get('/hello')->status == 200 or die "the loop does not answer\n";

    return @c;
}


sub logged {
    my ($n, $uri, $tag, $status) = @_;

    my $line = qr{"GET \Q$uri?tag=$tag\E HTTP/\S+ $status };

    return $n->wait_until(sub { eval { $n->access_log =~ $line } });
}


my $n = server(
    http => <<'EOF_CONF',
    async_thread_pool single;
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_2;
        location = /of-http { async_handler thread; }
        location /of { async_thread_pool other; async_handler thread;
            location /of/outer { async_handler thread; } }
    }
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_3;
        async_thread_pool other;
        location = /of-server { async_handler thread; }
        location = /of-location {
            async_thread_pool single;
            async_handler thread;
        }
    }
EOF_CONF
    server => <<'EOF_CONF',
    async_thread_pool default;
    set $seen "-";
    location = /ssi.html { ssi on; root $TEST_NGINX_SERVER_ROOT/html; }
    location = /444.html { ssi on; root $TEST_NGINX_SERVER_ROOT/html; }
    location = /close {
        async_intercept_errors on;
        error_page 418 = @close;
        async_handler hold;
    }
    location @close { return 444; }
    location = /page {
        ssi on;
        async_handler page;
        async_param page '<!--#include virtual="/tell?tag=inner" -->.';
    }
    location = /guarded      { auth_request /guard; async_handler tell; }
    location = /guard        { internal; async_handler guard; }
    location = /guarded/hold { auth_request /to/auth; async_handler hello; }
    location = /mirrored     { mirror /to/copy; async_handler tell; }
    location = /mirrored/hold { mirror /to/mirror; async_handler hello; }
    location = /to/auth   { internal; rewrite ^ /hold?tag=auth?; }
    location = /to/mirror { internal; rewrite ^ /hold?tag=mirror?; }
    location = /to/copy   { internal; rewrite ^ /tell?tag=copy?; }
EOF_CONF
);

$n->write_file('html/ssi.html', 'A<!--#include virtual="/hold?tag=ssi" -->B'
    . '<!--#include virtual="/tell?tag=second" -->C');
$n->write_file('html/444.html', 'A<!--#include virtual="/hold?tag=h444" -->'
    . '<!--#include virtual="/close?tag=c444&status=418" -->');

subtest 'Forty threads at rest do not delay the loop' => sub {
    my @tags = map { "forty$_" } 1 .. 40;
    my @c = queued($n, '/many/hold', @tags);
    ok marked($n, qr/^$_ begins$/m), "$_ begins" for @tags;
    my ($one) = queued($n, '/many/hold', 'forty-first');

    is $n->get('/hello')->body, "hello\n", 'The loop answers';
    unlike marks($n), qr/^forty\d+ ends/m, '... before any of them has ended';
    unlike marks($n), qr/^forty-first begins/m, '... or a forty-first begins';

    open_gate($n, reverse(@tags), 'forty-first');
    is join('', map { $_->response->body } @c),
        join('', map { "held $_\n" } @tags), 'Each gets its own answer';
    is $one->response->body, "held forty-first\n", '... and so does the last';

    $_->close for @c, $one;
    is_idle($n);
};


subtest 'What a full queue does not take is answered at once' => sub {
    my $first = held($n, '/small/hold', 'full');
    gate($n, 'waits');
    my @c = map { $n->connect->send_request('GET', '/small/hold?tag=waits') }
        1 .. 50;
    my %of = map { $_->socket => $_ } @c;
    my $select = IO::Select->new(map { $_->socket } @c);

    for (1 .. 49) {
        my ($ready) = $select->can_read(10) or last;
        $select->remove($ready);
        my $r = $of{$ready}->response;
        is_deeply [$r->status, $r->header('Retry-After'), $r->body],
            [503, 1, '{"detail":"Service Unavailable"}'], "One more is refused";
    }

    is $select->count, 1, 'One waits';
    is $n->get('/hello')->status, 200, '... and the loop serves';
    unlike marks($n), qr/^waits /m, '... and none has run';
    open_gate($n, 'full', 'waits');
    my ($waits) = map { $of{$_} } $select->handles;
    is $first->response->status, 200, 'The one that ran is answered';
    is $waits->response->status, 200, '... and the one that waited';
    is $n->get('/small/hold?tag=waits')->status, 200, '... and those to come';
    like_log $n, 0, qr/\[error\].*thread pool "small" queue overflow/,
        'The log knows';

    $_->close for @c, $first;
    is_idle($n);
};


subtest 'Pools are inherited' => sub {
    my %id = map { $_ => $n->get("/$_/thread")->body } qw(single other);
    isnt $id{single}, $id{other}, 'Two pools have two threads';

    for my $case ([2, '/of-http', 'single'], [2, '/of', 'other'],
        [2, '/of/outer', 'other'], [3, '/of-server', 'other'],
        [3, '/of-location', 'single'])
    {
        my ($port, $uri, $pool) = @$case;
        is $n->get($uri, port => $n->port($port))->body, $id{$pool},
            "$uri uses $pool";
    }

    my $c = held($n, '/single/hold', 'stuck-pool');
    is $n->get('/other/thread')->body, $id{other},
        'A pool that is stuck does not delay another';
    open_gate($n, 'stuck-pool');
    is $c->response->status, 200, '... and ends';
};


# ---- clients that leave

my %leave = (FIN => sub { $_[0]->close }, RST => sub { $_[0]->reset });

for my $how (sort keys %leave) {
    subtest "A request ends with its client, by $how" => sub {
        my $mark = $n->mark;
        my $c = held($n, '/hold', $how);

        $leave{$how}->($c);
        ok logged($n, '/hold', $how, 499), 'The access log has 499';
        unlike marks($n), qr/^$how ends/m, '... while the thread runs';
        open_gate($n, $how);
        ok marked($n, qr/^$how ends, cancelled$/m), 'The thread is told';
        ok $n->wait_for_log(qr/\[notice\].*async "blocking:hold", whose request has ended: $how goes on/, 20, $mark),
            '... and its line comes without a request';

        $c = held($n, '/single/hold', "$how-before");
        my ($w) = queued($n, '/single/hold', "$how-queued");
        $leave{$how}->($w);
        ok logged($n, '/single/hold', "$how-queued", 499),
            'One that waits for a thread ends, too';
        open_gate($n, "$how-before", "$how-queued");
        is $c->response->status, 200, '... but not the one before it';
        ok $n->get('/single/thread')->status == 200
            && marks($n) !~ /^$how-queued /m, '... and its handler never runs';

        $c = held($n, '/keep', "$how-keep");
        $leave{$how}->($c);
        is $n->get('/hello')->status, 200, 'With async_ignore_client_abort';
        open_gate($n, "$how-keep");
        ok marked($n, qr/^$how-keep ends, wanted$/m), '... it runs to its end';
        ok logged($n, '/keep', "$how-keep", 200), '... and is answered';
    };
}


subtest 'A request ends with its stream of HTTP/2' => sub {
    gate($n, 'h2', 'h2-before', 'h2-queued');
    my $h = NginxAsync::Http2->new($n->connect(port => $n->port(1)));
    my @id = map { $h->request('GET', $_) } '/hold?tag=h2',
        '/single/hold?tag=h2-before';

    ok marked($n, qr/^$_ begins$/m), "$_ begins" for qw(h2 h2-before);
    push @id, map { $h->request('GET', $_) } '/single/hold?tag=h2-queued',
        '/hello';
    is $h->response($id[3])->body, "hello\n", 'Another stream is served';
    $h->reset($_) for @id[0, 2];
    ok logged($n, '/hold', 'h2', 499), 'One whose thread runs ends';
    ok logged($n, '/single/hold', 'h2-queued', 499), 'One that waits ends';
    unlike marks($n), qr/^h2 ends/m, '... while the thread runs';
    open_gate($n, 'h2', 'h2-before', 'h2-queued');
    ok marked($n, qr/^h2 ends, cancelled$/m), 'The thread is told';
    is $h->response($id[1])->body, "held h2-before\n", 'A third one is served';
    ok $n->get('/single/thread')->status == 200
        && marks($n) !~ /^h2-queued /m, 'What was queued never runs';
};


subtest 'A deadline is answered while the thread runs' => sub {
    my $c = held($n, '/short', 'late');
    my $r = $c->response;

    is_deeply [$r->status, $r->body], [504, '{"detail":"Gateway Timeout"}'],
        'The client gets 504';
    is $c->request('GET', '/hello')->body, "hello\n",
        '... and asks again on its connection';
    unlike marks($n), qr/^late ends/m, '... while the thread runs';
    like_log $n, 0, qr/"blocking:hold" timed out: the deadline has passed, in its thread at \S*blocking\.c:\d+/,
        'The log says so';
    open_gate($n, 'late');
    ok marked($n, qr/^late ends, cancelled$/m), 'The thread is told';

    my $k = held($n, '/single/hold', 'late-before');
    my ($w) = queued($n, '/short/single', 'late-queued');
    is $w->response->status, 504, 'One that waits for a thread gets 504, too';
    open_gate($n, 'late-before', 'late-queued');
    is $k->response->status, 200, '... but not the one before it';
    ok $n->get('/single/thread')->status == 200
        && marks($n) !~ /^late-queued /m, '... and its handler never runs';
};


# ---- subrequests

subtest 'Blocking handlers serve subrequests' => sub {
    gate($n, 'ssi');
    my $c = $n->connect->send_request('GET', '/ssi.html', close => 1);
    ok marked($n, qr/^second told/m), 'A second include does not wait';
    open_gate($n, 'ssi');
    is $c->response->body, "Aheld ssi\nB(GET second 0)C", '... for its order';
    is $n->post('/page?tag=outer', 'body')->body, '(GET inner 4).',
        'An include sees the body of its page';

    is $n->post('/guarded', 'body')->status, 401, 'auth_request denies';
    my @token = (headers => ['X-Token' => 'letmein']);
    is $n->post('/guarded?tag=in', 'body', @token)->body, '(POST in 4)',
        '... and allows';

    is $n->post('/mirrored?tag=main', 'body')->body, '(POST main 4)', 'mirror';
    ok marked($n, qr/^copy told 4$/m), '... has the body, too';
    gate($n, 'mirror');
    $c = $n->connect->send_request('GET', '/mirrored/hold');
    is $c->response->body, "hello\n", '... does not delay the answer';
    ok marked($n, qr/^mirror begins$/m), '... while its thread runs';
    open_gate($n, 'mirror');
    ok marked($n, qr/^mirror ends, wanted$/m), '... to its end';
};


subtest 'A request ends while the thread of a subrequest runs' => sub {
    gate($n, 'h444', 'c444', 'auth');
    my $c = $n->connect->send_request('GET', '/444.html', version => '1.0');
    ok marked($n, qr/^h444 begins$/m), 'The thread of an include runs';
    open_gate($n, 'c444');
    is $c->read_all, '', 'return 444 of another one closes the connection';
    unlike marks($n), qr/^h444 ends/m, '... while the thread runs';
    open_gate($n, 'h444');
    ok marked($n, qr/^h444 ends, cancelled$/m), '... which is told';

    $c = $n->connect->send_request('GET', '/guarded/hold?tag=g');
    ok marked($n, qr/^auth begins$/m), 'auth_request runs';
    $c->reset;
    ok logged($n, '/guarded/hold', 'g', 499), '... and ends with the client';
    open_gate($n, 'auth');
    ok marked($n, qr/^auth ends, cancelled$/m), '... and its thread is told';
    is $n->get('/hello')->status, 200, 'The worker serves';
};


# ---- calls

subtest 'async_call() runs a function on the loop' => sub {
    is $n->get('/calls')->body, 'ok, ran 2', 'It awaits, and gives its code';
    is $n->get('/plain_call')->body, 'the same task',
        'In an async handler it is a call';
    is $n->get('/nested?tag=nest')->body, "ok nest\n", 'It may call itself';
    is $n->get('/deferred')->body, '0, 0', 'What it defers is done';
    is $n->get('/deferred')->body, '1, 1', '... when the handler has ended';

    gate($n, 'in-time');
    open_gate($n, 'in-time');
    is $n->get('/late?tag=in-time')->status, 200, 'Variables are there';
    like marks($n), qr{^in-time var /late, set ok, call ok, ran 1, path /late$}m,
        '... to be read and to be set';

    my @c = map { $n->connect->send_request('GET', '/many/sums') } 1 .. 200;
    is join('', map { $_->response->body } @c), '5' x 200,
        'Two hundred requests call';

    @c = map { $n->connect->send_request('GET', '/many/sums') } 1 .. 200;
    $c[$_]->reset for grep { $_ % 2 } 0 .. 199;
    is join('', map { $c[$_]->response->body } grep { $_ % 2 == 0 } 0 .. 199),
        '5' x 100, 'Half of the clients leave';
    $_->close for @c;
    is_idle($n);
};


subtest 'async_call() tells why its function has failed' => sub {
    my @json = (headers => ['Content-Type' => 'application/json']);

    for my $how (qw(set status json fail)) {
        my @r = map { $n->post("/fails_$_?how=$how", '{', @json) }
            qw(async blocking);
        is $r[1]->status . $r[1]->body, $r[0]->status . $r[0]->body,
            "$how: as it is told in an async handler";
    }

    is $n->get('/fails_blocking?how=fail')->body, '{"detail":"from the loop"}',
        'A response of the function is sent';
    is $n->get('/fails_blocking?how=set')->body,
        'error [there is no variable "none_such"] [there is no variable "none_such"]',
        'The cause is there on both sides';
};


subtest 'async_call() ends with the request' => sub {
    my %why = (cancelled => 'the client has gone',
        timeout => 'the deadline has passed');

    for my $case (['/calls', 'cancelled'], ['/short/calls', 'timeout'],
        ['/nested', 'cancelled'], ['/short/nested', 'timeout'])
    {
        my ($uri, $name) = @$case;
        my $tag = $uri =~ s/\W/_/gr;
        my $c = $n->connect->send_request('GET', "$uri?tag=$tag&ms=3600000");

        ok marked($n, qr/^$tag calls$/m), "$uri: The function runs";
        $name eq 'cancelled' ? $c->reset : is $c->response->status, 504,
            '... until the deadline';
        ok marked($n, qr/^$tag called: $name$/m), "... and is $name";

        if ($uri =~ /nested/) {
            ok marked($n, qr/^$tag nested: $name \[$why{$name}\] \[$why{$name}\]$/m),
                '... as its caller sees, and the thread';
            next;
        }

        ok marked($n, qr/^$tag first: $name, ran 1, $why{$name}$/m),
            '... as the thread sees';
        ok marked($n, qr/^$tag second: $name, ran 1, $why{$name}$/m),
            'A later call is not run';
    }

    my $c = held($n, '/late', 'too-late');
    $c->reset;
    ok logged($n, '/late', 'too-late', 499), 'A client leaves before the call';
    open_gate($n, 'too-late');
    ok marked($n, qr{^too-late var absent, set cancelled, call cancelled, ran 0, path /late$}m),
        'Then there are no variables, and no calls';
};


# ---- memory

subtest 'Memory does not grow' => sub {
    my ($first, $then) = $asan ? (2_000, 5_000)
        : (100_000, $ENV{TEST_NGINX_LONG} ? 1_000_000 : 200_000);
    my @used;

    for my $count ($first, $then) {
        my $out = NginxAsync::run('h2load', '--h1', '-n', $count, '-c', 32,
            'http://127.0.0.1:' . $n->port(0) . '/allocate');
        like $out, qr/status codes: $count 2xx/, "$count requests"
            or diag $out;
        push @used, $n->memory_of_worker;
    }

    my $grown = ($used[1] - $used[0]) / 1024;

    SKIP: {
        skip 'ASan keeps what has been freed', 1 if $asan;
        cmp_ok $grown, '<', 1024, "... take less than a megabyte: $grown kB";
    }

    is_idle($n);
};

$n->stop;


# ---- ends of workers

subtest 'QUIT waits for threads and for what waits for them' => sub {
    my $n = server();
    my $c = held($n, '/hold', 'runs');
    my $k = held($n, '/single/hold', 'first');
    my @tags = map { "q$_" } 1 .. 20;
    my @c = queued($n, '/single/hold', @tags);
    my $call = $n->connect->send_request('GET', '/calls?tag=call&ms=500');

    ok marked($n, qr/^call calls$/m), 'A function of a thread sleeps';
    $n->signal('QUIT');
    $n->wait_for_log(qr/gracefully shutting down/);
    open_gate($n, 'runs', 'first', @tags);

    is $c->response->body, "held runs\n", 'What runs is answered';
    is join('', map { $_->response->body } $k, @c),
        join('', map { "held $_\n" } 'first', @tags), '... what waits, too';
    is $call->response->body, 'ok, ran 2', '... and what calls';
    ok gone($n), 'The worker goes';
    $n->stop;
};


subtest 'QUIT waits for a thread whose request has ended' => sub {
    my $n = server();
    my $c = held($n, '/hold', 'left');

    $c->close;
    ok logged($n, '/hold', 'left', 499), 'The client leaves';
    $n->signal('QUIT');
    $n->wait_for_log(qr/gracefully shutting down/);
    open_gate($n, 'left');
    ok gone($n), 'The worker goes';
    like_log $n, 0, qr/left goes on.*a shutdown function/s,
        '... when the thread has returned';
    $n->stop;
};


subtest 'A reload leaves a thread to the old worker' => sub {
    my $n = server();
    my $old = $n->worker;
    my $c = held($n, '/hold', 'old');

    is $n->reload, undef, 'A new worker is there';
    is $n->get('/thread')->status, 200, '... and serves';
    ok NginxAsync::Server::alive($old), '... while the old one waits';
    open_gate($n, 'old');
    is $c->response->body, "held old\n", '... and answers';
    ok $n->wait_until(sub { !NginxAsync::Server::alive($old) }), '... and goes';
    $n->stop;
};


for my $signal (qw(QUIT HUP)) {
    subtest "A thread that never returns cannot keep a worker at $signal" => sub {
        my $n = server(http => 'async_shutdown_timeout 1s;');
        my $old = $n->worker;
        my $c = held($n, '/stuck', 'waits');
        my $k = held($n, '/stuck', 'left');
        my $u = held($n, '/hold_until_cancelled', 'asks');

        $k->close;
        ok logged($n, '/stuck', 'left', 499), 'A client leaves';
        $n->signal($signal);
        is $c->response->status, 503, 'The other one is answered 503';
        is $u->response->status, 503, '... and one whose thread asks';
        ok marked($n, qr/^asks cancelled$/m), '... which is told';
        ok $n->wait_until(sub { !NginxAsync::Server::alive($old) }, 20),
            'The worker goes';

        my $log = $n->log;
        is scalar(() = $log =~ /async "blocking:stuck" $_/g), 2,
            "The log says of both: $_" for
            'has not returned within "async_shutdown_timeout"',
            'runs still: the worker exits without its thread';
        unlike $log, qr/"blocking:hold_until_cancelled" (?:has not|runs)/,
            '... and not of the one that has returned';
        like $log, qr/"blocking:hold_until_cancelled", whose request has ended: asks gives up/,
            '... whose line is there';

        is $n->get('/thread')->status, 200, 'The new worker serves'
            if $signal eq 'HUP';
        $n->stop;
    };
}


for my $master (qw(on off)) {
    subtest "TERM does not wait for threads, master_process $master" => sub {
        my $n = server(master => $master);
        my @c = held($n, '/stuck', 'stuck');
        push @c, held($n, '/single/hold', 'held');
        push @c, queued($n, '/single/hold', 'queued');
        push @c, $n->connect->send_request('GET', '/calls?tag=c&ms=3600000');
        ok marked($n, qr/^c calls$/m), 'A thread waits for the loop';

        my $start = time;
        $n->signal('TERM');
        ok gone($n), 'nginx ends';
        cmp_ok time - $start, '<', 10, '... soon';
        like_log $n, 0, qr/async "blocking:$_" runs still/, "... without $_"
            for qw(stuck hold);
        unlike marks($n), qr/^queued/m, '... and does not begin another one';
        $n->stop;
    };
}


subtest 'A worker that is killed has a successor' => sub {
    my $n = server();
    my $c = held($n, '/hold', 'killed');

    ok $n->kill_worker('KILL'), 'kill -9 while a thread runs';
    is $c->read_all, '', 'The client is not answered';
    is $n->get('/thread')->status, 200, '... and the new worker serves';
    $n->stop;
};

done_testing;
