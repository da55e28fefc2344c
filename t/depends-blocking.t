#!/usr/bin/perl

# Dependencies and threads: which run in which, which share one, which run at
# the same time, and a pool that has one thread only.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use NginxAsync;
use NginxAsync::Say qw(said);

my $routes = join '', map { "async_route GET /$_ $_;\n" }
    qw(one_thread one_thread_async threads threads_blocking only_blocking
       both_blocking async_under_blocking);

my $n = NginxAsync->new(conf => {
    main => "thread_pool default threads=4;\nthread_pool one threads=1;\n"
        . 'thread_pool small threads=1 max_queue=1;',
    http => 'async_app $TEST_NGINX_APPS/depends.so;',
    server => <<"EOF_SERVER" });
    location / {
        $routes
    }
    location /one/ {
        async_thread_pool one;
        async_route GET /one/both both_blocking;
        async_route GET /one/thread one_thread;
        async_route GET /one/meets meets_blocking;
        async_route POST "/one/save/{id}" save_blocking;
    }
EOF_SERVER

$n->start;

is $n->get('/one_thread')->body, '[true,false,true,true]',
    'A blocking handler and its blocking dependencies share a thread';
is $n->get('/one_thread_async')->body, '[true,false,true]',
    'Before a coroutine those that stand side by side do';

for (1 .. 3) {
    my $r = $n->get('/threads');

    is $r->body, '["one","settings","two"]',
        'Blocking ones that stand together run at the same time';
    is join(',', $r->headers('X-All')), 'one,two',
        '... and change the response in order';

    $r = $n->get('/threads_blocking');

    is $r->body, '["plain","one","settings","two"]',
        '... before a blocking handler, too';
}

# each of them waits for the next one of the queue only

my @c = map { $n->connect } 1 .. 8;

$_->send_request(GET => '/one/both') for @c;

is $_->response->status, 200, 'One thread is enough for all requests' for @c;
$_->close for @c;

is $n->get('/one/thread')->body, '[true,false,true,true]', '... one by one';
is $n->get('/one/meets')->body, '["left","right"]',
    '... also while it waits for several coroutines';

# no thread waits for a body

{
    my $slow = $n->connect;

    $slow->send("POST /one/save/1?n=1 HTTP/1.1\r\nHost: x\r\nX-Token: x\r\n"
        . "Content-Type: application/json\r\nContent-Length: 21\r\n\r\n");

    $n->wait_for_log(qr/<blocking_guard>/);

    is $n->get('/one/both')->status, 200,
        'A thread is free while a body comes behind its dependencies';

    $slow->send('{"text":"a","size":1}');

    is $slow->response->status, 200, '... which is read in the end';
    $slow->close;
}

$n->stop;

done_testing;
