#!/usr/bin/perl

# Values of dependencies that guards hand on: each dependency runs once a
# request, whoever of its location asks for it; what ends with its guard is not
# handed on; teardowns come when all is over.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Fcntl qw(O_RDWR O_NONBLOCK);
use POSIX ();
use Test::More;

use NginxAsync;
use NginxAsync::Say qw(said says json);

my $pairs = join '', map {
    my $guard = $_;
    map { "location /$guard/$_ { async_access guard_$guard; async_handler $_; }\n" }
        qw(who_async who_blocking together settings_blocking late anew);
} qw(async blocking);

my $n = NginxAsync->new(files => { 'a.txt' => 'a file' }, conf => {
    main => 'thread_pool default threads=4;', http => <<'EOF_HTTP',
    async_app $TEST_NGINX_APPS/handed.so;
    async_param gate $TEST_NGINX_SERVER_ROOT/gate;
EOF_HTTP
    server => <<"EOF_SERVER" });
    $pairs
    location /is-guard { async_access user; async_handler who_async; }
    location /set { async_set \$user user; async_access guard_async; async_handler who_blocking;
                    add_header X-User \$user; }
    location /two { async_access guard_leases guard_second; async_handler second; }
    location /routes/ { async_access guard_async; async_route GET "/routes/{id}" who_async; }
    location /ids/ { async_access guard_id; async_route GET "/ids/{id}" ids; }
    location /bound { async_access guard_bound; async_handler has_bound; }
    location /title { async_access guard_title; async_handler titles; }
    location /declared { async_access guard_declared; async_handler titles_blocking; }
    location /file/ { async_access guard_leases guard_bound; alias \$TEST_NGINX_SERVER_ROOT/html/; }
    location /else/ { async_access guard_leases; try_files none /two; }
    location /half { async_access guard_half; async_handler second; }
    location /stub { access_log off; stub_status; }
EOF_SERVER

$n->start;

# What requests before have leased has come to its end; a mark of the log.
sub settled {
    $n->wait_until(sub {
        my @said = @{said($n, 0)};
        return grep({ /^(?:lease|second)\z/ } @said) == grep { / ends: / } @said;
    }) or die 'a lease does not end';

    return $n->mark;
}

# What a request makes its functions say, but for what ends behind its response.
sub told {
    my ($uri) = @_;

    my $since = settled();
    my $r = $n->get($uri);

    return ($r, [grep { !/ends:|background|undone/ } @{said($n, $since)}], $since);
}

sub ended_ok {
    my ($since, $what, $title) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok says($n, $what, $since), $title;
}

my $user = 'user(session(settings))';
my @once = ('settings', 'session(settings)', $user, 'called', 'lease', 'guard');

for my $guard (qw(async blocking)) {
    for my $handler (qw(who_async who_blocking)) {
        my ($r, $said, $since) = told("/$guard/$handler");

        is $r->body, $user, "guard $guard, $handler: the values are there";
        is_deeply $said, [@once, 'handler'], '... each has run once';
        ended_ok($since, 'lease ends: ok', '... and is torn down');
        is scalar(grep { /lease ends/ } @{said($n, $since)}), 1, '... once';

        ($r, $said, $since) = told("/$guard/$handler?fail=1&background=1");
        is $r->status, 418, '... a handler that fails';
        is_deeply [grep { /ends/ } @{said($n, $since)}], ['lease ends: error req'],
            '... a teardown sees it, before the response';
        ended_ok($since, 'background of guard', '... which drops no background task of the guard');

        ($r) = told("/$guard/$handler?fail=1&convert=1");
        is $r->status, 409, '... and may set another one';
    }

    my ($r, $said) = told("/$guard/together");

    is $r->body, $user, "guard $guard: one of those together is there";
    is_deeply $said, [@once, 'other', 'handler'], '... so that the others run';

    ($r, $said) = told("/$guard/settings_blocking");
    is $r->body, 'session(settings)', "guard $guard: what its dependencies depend on";
    is_deeply $said, [@once, 'handler'], '... has run, too';

    ($r, $said) = told("/$guard/anew");
    is_deeply $said, [@once, 'lease', 'handler'], "guard $guard: anew is anew";

    ($r, $said, my $since) = told("/$guard/who_async?refuse=1");
    is $r->status, 403, "guard $guard: refused";
    is_deeply [grep { /ends/ } @{said($n, $since)}], ['lease ends: error req'],
        '... a teardown sees it';
}

{
    my ($r, $said) = told('/is-guard');
    is_deeply $said, [@once[0 .. 2], 'called', 'lease', 'handler'],
        'A dependency as a guard hands itself on';

    ($r, $said) = told('/set');
    is $r->header('X-User'), $user, 'async_set';
    is_deeply $said, [@once, 'handler'], '... hands on to guards and handlers';

    ($r, $said) = told('/routes/7');
    is_deeply $said, [@once, 'handler'], 'Routes';

    ($r, $said, my $since) = told('/two');
    is_deeply $said, ['lease', 'second', 'second guard', 'handler'], 'One guard, and another one';
    ended_ok($since, 'lease ends: ok', '... all is torn down');
    is_deeply [grep { /ends/ } @{said($n, $since)}], ['second ends: ok', 'lease ends: ok'],
        '... the last first';

    ($r, $said, $since) = told('/two?refuse=1');
    is $r->status, 403, '... the second refuses';
    is_deeply [grep { /ends/ } @{said($n, $since)}],
        ['second ends: error req', 'lease ends: error req'], '... and what it has taken over ends with that';

    ($r, $said, $since) = told('/two?fail=1');
    is_deeply [grep { /ends/ } @{said($n, $since)}],
        ['second ends: error req', 'lease ends: error req'], '... the handler fails: the same';
}

{
    my ($r, $said) = told('/bound');

    is $r->body, 'over(bound)', 'What ends with its guard';
    is_deeply $said, ['bound', 'settings', 'over(bound)', 'bound', 'over(bound)', 'handler'],
        '... runs again, with what depends on it; others do not';

    ($r, $said) = told('/ids/7');
    is $r->body, '["7","7"]', 'What asks for the path runs again';
    is scalar(grep { $_ eq 'settings' } @$said), 1, '... alone';

    ($r, $said) = told('/else/');
    is_deeply $said, ['lease', 'lease', 'second', 'second guard', 'handler'],
        'Another location begins anew';

    ($r, $said, my $since) = told('/file/a.txt');
    is $r->body, 'a file', 'Nobody who takes it';
    ended_ok($since, 'lease ends: ok', '... it is torn down all the same');
}

# bodies

for (['/title', ['title']], ['/declared', ['declared']]) {
    my ($uri, $once) = @$_;

    for my $late (0, 1) {
        my $since = settled();
        my $c = $n->connect;
        my $body = '{"title":"a title"}';

        $c->send("POST $uri HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            . 'Content-Length: ' . length($body) . "\r\n\r\n", $late ? () : $body);
        is $n->get('/stub')->status, 200, 'later' if $late;
        $c->send($body) if $late;

        my $r = $c->response;

        is json($r)->[0], 'a title', "$uri: part of a body" or diag $r->body;
        is_deeply said($n, $since), $once, '... is read once';
        $c->close;
    }
}

# a body that is given up

{
    my $since = settled();
    my $c = $n->connect;

    $c->send("POST /half HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc");
    is $c->response->status, 500, 'A guard that gives a body up, and lets pass';
    $c->read_all;
    is_deeply [grep { /ends/ } @{said($n, $since)}], ['lease ends: error req'],
        '... has failed: teardowns see it';
    is $n->get('/async/who_async?background=1')->status, 200, '... another request';
    ended_ok($since, 'background of guard', '... has its background task done');
    is_deeply [grep { /background of half/ } @{said($n, $since)}], [], '... but the guard has not';
}

# a thread that outlives its request has all of it

for my $guard (qw(async blocking)) {
    my $fifo = $n->root . '/gate';

    unlink $fifo;
    POSIX::mkfifo($fifo, 0666) or die "mkfifo: $!";
    chmod 0666, $fifo;

    my $since = settled();
    my $c = $n->connect->send_request(GET => "/$guard/late");

    ended_ok($since, 'at the gate', "guard $guard: a thread waits");
    $c->reset;
    ok $n->wait_until(sub { $n->access_log =~ m{"GET /$guard/late [^"]*" 499} }), '... its client goes';
    is_deeply [grep { /ends/ } @{said($n, $since)}], [], '... nothing is torn down';

    sysopen my $open, $fifo, O_RDWR | O_NONBLOCK or die "gate: $!";

    ended_ok($since, 'lease ends: error', '... before the thread is through');
    is_deeply [(grep { !/ends/ } @{said($n, $since)})[-2, -1]], ['session(settings)', 'leased'],
        '... which has had what the guard gave';
}

$n->stop;

done_testing;
