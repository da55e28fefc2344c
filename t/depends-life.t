#!/usr/bin/perl

# Teardowns, and dependencies whose request ends before them: clients that go,
# deadlines, reloads, threads that are left.  With AddressSanitizer this tells
# whether they have memory of their own.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Fcntl qw(O_RDWR O_NONBLOCK);
use POSIX ();
use Test::More;

use NginxAsync;

my $routes = join '', map { "async_route GET /$_ $_;\n" }
    qw(plain blocking sleeps waits waits_together waits_alone
       waits_undepending streams);

my $n = NginxAsync->new(conf => {
    main => 'thread_pool default threads=4;', http => <<'EOF_HTTP',
    async_app $TEST_NGINX_APPS/depends-life.so;
    async_param marks $TEST_NGINX_SERVER_ROOT/marks;
    async_param gate $TEST_NGINX_SERVER_ROOT/gate;
EOF_HTTP
    server => <<"EOF_SERVER" });
    location / { $routes }
    location /short/ {
        async_timeout 300ms;
        async_route GET /short/waits waits;
        async_route GET /short/together waits_together;
        async_route GET /short/alone waits_alone;
        async_route GET /short/undepending waits_undepending;
        async_route GET /short/sleeps sleeps;
    }
EOF_SERVER

sub clear {
    $n->write_file('marks', '');
    chmod 0666, $n->root . '/marks';
}

clear();
$n->start;

sub marks { return [split /\n/, $n->read_file('marks')] }

sub marked {
    my ($pattern) = @_;

    my $found = $n->wait_until(sub { $n->read_file('marks') =~ $pattern });
    diag $n->read_file('marks') if !$found;

    return $found;
}

my $fifo = $n->root . '/gate';

sub close_gate {
    unlink $fifo;
    POSIX::mkfifo($fifo, 0666) or die "mkfifo: $!";
    chmod 0666, $fifo;
}

# It stays open for whoever comes while the returned handle lives.
sub open_gate {
    sysopen my $fh, $fifo, O_RDWR | O_NONBLOCK or die "gate: $!";
    return $fh;
}

# all goes well

for my $kind (qw(plain blocking)) {
    clear();

    my $c = $n->connect;

    is $c->request(GET => "/$kind")->body, 'first',
        "$kind: the values of dependencies are there";
    ok marked(qr/^one ok$/m), '... they are torn down';
    is_deeply marks(), ['run one', 'deferred one', 'background ',
        'three ok', 'two ok', 'one ok'],
        '... the last first, behind the background tasks, without a request';
    is $c->request(GET => "/$kind")->status, 200,
        '... and the connection lives on';
    $c->close;
    ok marked(qr/one ok.*one ok/s), '... with teardowns for each request';
}

# failures

for my $kind (qw(plain blocking)) {
    for (['f', 418, 'error'], [1, 500, 'error'], [5, 503, 'busy'],
         [2, 504, 'timeout'])
    {
        my ($code, $status, $name) = @$_;

        clear();
        is $n->get("/$kind?code=$code")->status, $status,
            "$kind: a failure is answered with $status";
        is_deeply marks(), ['run one', "three $name", "two $name req",
            "one $name req", 'deferred one'],
            "... after teardowns that see $name, and the request";
    }

    clear();

    my $r = $n->get("/$kind?code=f&one=convert");

    is $r->status, 409, "$kind: a teardown sets another response";
    like $r->body, qr/"because": ?"async_fail\(\) with status 418"/,
        '... and has the cause';

    is $n->get("/$kind?code=1&two=convert")->status, 409,
        '... the first of them, too, if none comes after it';
    is $n->get("/$kind?code=f&two=fail")->status, 418,
        '... and one that fails changes nothing';
    $n->like_log(0, qr/teardown of "depends-life:$kind", .* two will not,/,
        '... but is logged');
}

clear();
$n->connect->send_request(GET => '/streams');
ok marked(qr/^one error$/m),
    'A response that has begun is not to be changed: no request';
$n->allow(qr/streams/);

# clients that go, and deadlines, while a coroutine waits

clear();

my $c = $n->connect->send_request(GET => '/sleeps');

ok marked(qr/sleeps/), 'A client goes';
$c->reset;
ok marked(qr/^deferred one$/m), '... and all is torn down';
is_deeply [@{marks()}[2 .. 5]], ['three cancelled', 'two cancelled',
    'one cancelled', 'deferred one'], '... without a request';

clear();
is $n->get('/short/sleeps?one=convert')->status, 409,
    'A deadline passes: its response may be another one';
is_deeply [@{marks()}[2 .. 5]], ['three timeout', 'two timeout req',
    'one timeout req', 'deferred one'], '... from the teardown with the request';

# the same while a thread runs, which has to have all that it may look at

for (['client', '/waits'], ['deadline', '/short/waits']) {
    my ($who, $uri) = @$_;

    clear();
    close_gate();

    my $c = $n->connect->send_request(GET => $uri);

    ok marked(qr/at the gate/), "$who: a thread waits";

    if ($who eq 'client') {
        $c->reset;
        ok $n->wait_until(sub { $n->access_log =~ m{"GET /waits [^"]*" 499} }),
            '... its request ends';

    } else {
        is $c->response->status, 504, '... its request ends';
    }

    is_deeply marks(), ['run one', 'at the gate '],
        '... but nothing is torn down';

    my $open = open_gate();

    my $code = ($who eq 'client') ? 'cancelled' : 'timeout';

    ok marked(qr/^deferred one$/m), '... before the thread is through';
    is_deeply [@{marks()}[2 .. 6]], ['behind the gate first 1 1 1',
        "three $code", "two $code", "one $code", 'deferred one'],
        '... which has had all of its values';
}

clear();
close_gate();
is $n->get('/short/together')->status, 504,
    'A deadline passes while a thread runs beside a coroutine';
is_deeply marks(), ['run one', 'at the gate '], '... nothing is torn down';

{
    my $open = open_gate();

    ok marked(qr/^deferred one$/m), '... before the thread is through';
    is_deeply [@{marks()}[2 .. 6]], ['behind the gate 1 1',
        'waiting timeout', 'two timeout', 'one timeout', 'deferred one'],
        '... its own teardown included';
}

for my $uri (qw(alone undepending)) {
    my $name = ($uri eq 'alone') ? 'lone' : 'mine';

    clear();
    close_gate();

    is $n->get("/short/$uri")->status, 504, "$uri: a deadline passes";

    my $open = open_gate();

    ok marked(qr/^$name timeout$/m),
        '... and what the thread wanted torn down is, when it is through';
}

# a reload, and the end

clear();
close_gate();

$c = $n->connect->send_request(GET => '/waits');

ok marked(qr/at the gate/), 'A thread waits';
$n->reload;

{
    my $open = open_gate();

    is $c->response->body, 'through', '... and a reload waits for it';
    ok marked(qr/^one ok$/m), '... and for its teardowns';
}

is $n->get('/plain')->status, 200, 'The new worker serves';
ok marked(qr/one ok.*one ok/s), '... and tears down';

$n->stop;

done_testing;
