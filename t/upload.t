#!/usr/bin/perl

# Request bodies in pieces: await_body_read().

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP qw(decode_json);
use Test::More;

use NginxAsync;
use NginxAsync::Say qw(says gone json);

my ($h2_listen, $h2_on) = NginxAsync::Conf::http2_directive()
    ? ('', 'http2 on;') : (' http2', '');

my $routes = join '', map { <<"EOF_CONF" } qw(count some lazy echo mixed both within hello);
    location = /$_       { async_handler upload:$_; client_max_body_size 0; }
    location = /small/$_ { async_handler upload:$_; client_max_body_size 1000; }
    location = /short/$_ { async_handler upload:$_; client_body_timeout 300ms; }
EOF_CONF

my $asan = NginxAsync::Env::asan();

sub nginx {
    return NginxAsync->new(conf => { server => $routes, http => <<"EOF_CONF" })->start;
    async_app \$TEST_NGINX_APPS/upload.so;
    client_body_buffer_size 16k;
    server {
        listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_1$h2_listen;
        $h2_on
        $routes
    }
EOF_CONF
}

sub letters { my ($n) = @_; return substr join('', 'a' .. 'z') x ($n / 26 + 1), 0, $n }

my $n    = nginx();
my $file = $n->root . '/letters';
NginxAsync::Env::spew($file, letters(3_000_000));

sub curl {
    my ($port, @args) = @_;
    my $path = pop @args;
    return NginxAsync::run('curl', '-s', '--max-time', 60, @args,
        'http://127.0.0.1:' . $n->port($port) . $path);
}

for my $len (0, 1, 100, 16384, 16385, 300_000) {
    is_deeply json($n->request('POST', '/count', body => letters($len))),
        { len => $len, wrong => 0 }, "$len bytes";
}

is_deeply json($n->get('/count')), { len => 0, wrong => 0 }, 'no body';
is_deeply json($n->request('POST', '/count?size=1', body => letters(1000))),
    { len => 1000, wrong => 0 }, 'byte by byte';
is_deeply json($n->request('POST', '/count', chunks => [map { letters(26) } 1 .. 200])),
    { len => 5200, wrong => 0 }, 'chunks';
is_deeply decode_json(curl(0, '-T', $file, '/count')), { len => 3_000_000, wrong => 0 },
    'with Expect: 100-continue';
is_deeply decode_json(curl(1, '--http2-prior-knowledge', '-T', $file, '/count')),
    { len => 3_000_000, wrong => 0 }, 'HTTP/2';
is curl(0, '-T', $file, '/echo'), letters(3_000_000), 'there and back';
is curl(1, '--http2-prior-knowledge', '-T', $file, '/echo'), letters(3_000_000), '... over HTTP/2';
is_deeply json($n->request('POST', '/lazy', body => letters(100_000))), { len => 100_000 },
    'a handler that is slower than the client';

{
    my $c = $n->connect;
    for (1 .. 3) {
        is_deeply json($c->send_request('POST', '/count', body => letters(50_000))->response),
            { len => 50_000, wrong => 0 }, 'one after another on a connection';
    }
    is $c->send_request('GET', '/hello')->response->body, "hello\n", '... and the next';
}

{
    my $c = $n->connect->send_request('POST', '/count', headers => ['Content-Length', 300]);
    for my $i (0 .. 2) {
        select undef, undef, undef, 0.05;
        $c->send(substr letters(300), $i * 100, 100);
    }
    is_deeply json($c->response), { len => 300, wrong => 0 }, 'a client that sends slowly';
}

{
    my $c = $n->connect->send_request('POST', '/some', headers => ['Content-Length', 100_000]);
    $c->send(letters(20) . "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    my $r = $c->response;
    is_deeply json($r), { len => 10, wrong => 0 }, 'a handler that reads the beginning only';
    $c->send(letters(10));
    ok !defined $c->read_until(qr/hello/), '... the rest is no request';
}

# ---- refused, left, late

is $n->request('POST', '/small/count', body => letters(1001))->status, 413,
    'client_max_body_size';
is $n->request('POST', '/small/count', chunks => [letters(600), letters(600)])->status, 413,
    '... in the middle';
like_log $n, 0, qr/<read -1 after \d+: nginx refused the body with 413>/, '... the handler is told';

{
    my $since = $n->mark;
    my $c = $n->connect->send_request('POST', '/count', headers => ['Content-Length', 1000]);
    $c->send(letters(100));
    $c->close;
    ok says($n, qr/read -4 after \d+: the client has gone before the end of the body/, $since),
        'a client that leaves';
    $c = $n->connect->send_request('POST', '/short/count', headers => ['Content-Length', 1000]);
    $c->send(letters(100));
    ok says($n, qr/read -1 after \d+: nginx refused the body with 408/, $since),
        'client_body_timeout';
    ok !defined $c->read_until(qr/200 OK/), '... ends the connection';
}

{
    my $c = $n->connect->send_request('POST', '/within', headers => ['Content-Length', 300]);
    $c->send(letters(100));
    ok says($n, 'within -2'), 'a scope ends';
    $c->send(substr letters(300), 100);
    is_deeply json($c->response), { rc => -2, len => 300 }, '... and it is read on';
    $c = $n->connect->send_request('POST', '/both', headers => ['Content-Length', 300]);
    is_deeply json($c->response), { rc => -5, child => -3 }, 'one task reads at a time';
    $c->close;
}

is_deeply json($n->request('POST', '/mixed', body => letters(100))), { len => 100, rc => -1 },
    'await_body() after it';
is_deeply json($n->request('POST', '/mixed?first=1', body => letters(100))),
    { len => 100, rc => 0 }, '... and before';

# ---- memory

{
    my $before = $n->memory_of_worker;
    my $out = NginxAsync::run('sh', '-c', 'head -c 300000000 /dev/zero | curl -s -T - '
        . 'http://127.0.0.1:' . $n->port(0) . '/lazy?size=1 --max-time 1 -o /dev/null; '
        . 'head -c 300000000 /dev/zero | curl -s --max-time 60 -T - http://127.0.0.1:'
        . $n->port(0) . '/count');
    is decode_json($out)->{len}, 300_000_000, 'three hundred megabytes';
    my $grown = ($n->memory_of_worker - $before) / 1024;
    SKIP: {
        skip 'ASan keeps what has been freed', 1 if $asan;
        cmp_ok $grown, '<', 2048, "... take no memory: $grown kB";
    }
    is scalar(glob($n->root . '/client_body_temp/*') // ''), '', '... and no file';
}

{
    my $c = $n->connect->send_request('POST', '/count', headers => ['Content-Length', 200]);
    $c->send(letters(100));
    $n->get('/hello');
    $n->signal('QUIT');
    select undef, undef, undef, 0.2;
    $c->send(substr letters(200), 100);
    is_deeply json($c->response), { len => 200, wrong => 0 }, 'QUIT waits for the rest';
    ok gone($n), '... and the worker goes';
    $n->stop;
}

done_testing;
