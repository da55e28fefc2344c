#!/usr/bin/perl

# await_thread(): a function in a thread, awaited; async_background(): what is
# done after the response.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use NginxAsync;
use NginxAsync::Say qw(said says gone json);

my @handlers = qw(sum failing late waits three count background_async
    background_blocking hello);

my $routes = join '', map { <<"EOF_CONF" } @handlers;
    location = /$_       { async_handler thread:$_; }
    location = /short/$_ { async_handler thread:$_; async_timeout 1s; }
EOF_CONF

sub nginx {
    my (%o) = @_;

    my $http = delete $o{http} // '';

    return NginxAsync->new(%o, conf => { server => $routes,
        main => "thread_pool one threads=1 max_queue=1;\n" . 'thread_pool default threads=8;',
        http => <<"EOF_CONF" })
        async_app \$TEST_NGINX_APPS/thread.so;
        $http
EOF_CONF
        ->start;
}

my $n = nginx();

# ---- await_thread

is_deeply json($n->get('/sum?n=100')), { sum => 5050 },
    'a thread computes, and what it has changed comes back';
is_deeply json($n->get('/sum?n=4&pool=one')), { sum => 10 }, '... in another pool';
is_deeply json($n->get('/failing')), { rc => -4, error => 'the answer is 42', sum => -1,
    plain => -1, cause => '' }, 'its failure is that of the await, and the cause, if it tells one';
is_deeply json($n->get('/sum?pool=on')),
    { detail => 'there is no thread pool "on", did you mean "one"?' },
    'an unknown pool, and the near miss';
is_deeply json($n->get('/sum?pool=images')),
    { detail => 'there is no thread pool "images": make one with the directive thread_pool' },
    '... or what to do';
is_deeply json($n->get('/three')), [1, 3, 6], 'three children with a thread each';

{
    my @c = map { $n->connect->send_request('GET', '/sum?ms=1000&pool=one', close => 1) } 1 .. 6;
    my @s = sort map { $_->response->status } @c;

    is $s[0], 200, 'a pool of one thread';
    is $s[-1], 500, '... whose queue is full';
    like $n->get('/sum?n=1&pool=one')->body, qr/sum/, '... and empty again';
}

is_deeply json($n->get('/late')), { rc => -2, sum => 7 },
    'a scope ends the await: the argument is as it was';
ok says($n, 'thread is told'), '... the thread is told';

{
    my $since = $n->mark;
    my $c = $n->connect->send_request('GET', '/waits');
    ok says($n, 'thread runs', $since), 'a client waits for a thread';
    $c->reset;
    ok says($n, 'thread is told', $since), '... and leaves: the thread is told';
    like_log $n, $since, qr/"thread:waits", whose request has ended: <thread is told>/,
        '... and may log';
}

{
    my $since = $n->mark;
    is $n->get('/short/waits')->status, 504, 'a thread longer than the deadline of the request';
    ok says($n, 'thread is told', $since), '... is told';
    my $until = time + 10;
    select undef, undef, undef, 0.01
        while json($n->get('/count'))->{running} && time < $until;
    is json($n->get('/count'))->{running}, 0, 'nothing runs any more';
}

# ---- async_background

for my $kind (qw(async blocking)) {
    my $since = $n->mark;
    my $c = $n->connect;
    is $c->send_request('GET', "/background_$kind?tag=$kind&ms=100")->response->body, "now\n",
        "background tasks of $kind handlers: the response comes before";
    is $c->send_request('GET', '/hello')->response->body, "hello\n",
        '... and the next one on the connection';
    ok says($n, "${kind}2 ends 0", $since), '... they end';
    is_deeply said($n, $since), ["${kind}0 begins", "${kind}0 ends 0", "${kind}1 in a thread",
        "${kind}2 begins", "${kind}2 ends 0"], '... in their order';
}

{
    my $since = $n->mark;
    is $n->get('/background_async?tag=b&break=1')->status, 200, 'some fail';
    ok says($n, 'b2 ends 0', $since), '... the others run';
    is_deeply said($n, $since), ['b0 begins', 'b0 ends 0', 'b0 begins', 'b0 ends -3',
        'cleanup of b0', 'b1 in a thread', 'b2 begins', 'b2 ends 0'],
        '... each with its own cleanups and children';
    my $log = $n->log($since);
    like $log, qr/\[error\] .*async background task of "thread:background_async", of \S*thread\.c:\d+, failed: ASYNC_ERROR: there is no thread pool "no such pool"/,
        '... and the log says why';
    like $log, qr/returned without await_join\(\) of a child that was spawned at \S*thread\.c:\d+/,
        '... and what was left';
}

{
    my $since = $n->mark;
    is $n->get('/background_async?tag=f&fail=1')->status, 418, 'a handler that fails';
    is $n->get('/background_blocking?tag=f&fail=1')->status, 418, '... of either kind';
    is $n->get('/hello')->status, 200, '...';
    is_deeply said($n, $since), [], '... leaves nothing to be done';
}

{
    my $since = $n->mark;
    my $c = $n->connect->send_request('GET', '/background_async?tag=slow&ms=1&size=8000000');
    ok $n->wait_until(sub { $n->get('/hello')->status == 200 }), 'a client that does not read';
    is_deeply said($n, $since), [], '... holds back what is to be done afterwards';
    is length $c->response->body, 8_000_000, '... until it has read';
    ok says($n, 'slow2 ends 0', $since), '... then it is done';
    my $d = $n->connect->send_request('GET', '/background_async?tag=gone&ms=1&size=8000000');
    $n->get('/hello');
    $d->reset;
    ok says($n, 'gone2 ends 0', $since), '... also if the client leaves instead';
}

{
    my @s = map { $n->get('/background_async?tag=m&ms=0')->status } 1 .. 50;
    is scalar(grep { $_ == 200 } @s), 50, 'many of them';
}

ok $n->stop, 'nothing is left';

for my $signal (qw(QUIT HUP)) {
    my $n = nginx();
    is $n->get('/background_async?tag=q&ms=300')->status, 200, "$signal while they run";
    says($n, 'q0 begins');
    $n->signal($signal);
    ok says($n, 'q2 ends 0'), '... the worker waits for them';
    $n->stop;
}

{
    my $n = nginx(http => 'async_shutdown_timeout 200ms;');
    is $n->get('/background_async?tag=q&ms=60000')->status, 200, 'longer than async_shutdown_timeout';
    says($n, 'q0 begins');
    $n->signal('QUIT');
    ok says($n, 'q0 ends -3'), '... they are cancelled';
    ok gone($n), '... and the worker goes';
    is scalar(() = $n->log =~ /async background task of .* failed: ASYNC_CANCELLED: the worker is shutting down/g),
        3, '... and the log says of each that it was not done';
    $n->stop;
}

{
    my $n = nginx(http => 'async_max_tasks 1;');
    is $n->get('/background_async?tag=x&ms=500')->status, 200,
        'they take the place of their request';
    is $n->get('/hello')->status, 503, '... which counts';
    ok says($n, 'x2 ends 0'), '... until they have ended';
    ok $n->wait_until(sub { $n->get('/hello')->status == 200 }), '... and others are served';
    $n->stop;
}

done_testing;
