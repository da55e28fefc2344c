#!/usr/bin/perl

# async_overload: new requests are refused while the loop is late or memory
# is short, those under way end, and then it is over; the directive.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use NginxAsync;
use NginxAsync::WebSocket;

sub nginx {
    my ($overload, %o) = @_;

    return NginxAsync->new(%o, conf => {
        http => "async_app \$TEST_NGINX_APPS/overload.so;\n"
            . "async_param over \$TEST_NGINX_SERVER_ROOT/over;\n"
            . "async_slow 0;\n$overload",
        server => <<'EOF_CONF' });
    location / {
        async_route GET /ok ok;
        async_route GET /burst burst;
        async_route GET /grind grind;
        async_route GET /hog hog;
        async_route WS /chat chat;
    }
    location = /health { async_overload off; async_handler ok; }
    location = /inner  { internal; async_handler ok; }
    location = /file   { root $TEST_NGINX_SERVER_ROOT/html; try_files /index.html =404; }
EOF_CONF
}

sub over {
    my ($n) = @_;

    $n->write_file('over', '');
}

# ---- the loop

{
    my $n = nginx('async_overload lag=50ms;')->start;
    my $since = $n->mark;

    is $n->get('/ok')->body, 'ok', 'without overload requests are served';

    is $n->get('/burst')->body, 'burst', 'one long turn';
    is $n->get('/ok')->status, 200, '... is no overload';

    my $c = $n->connect(timeout => 60)->send_request('GET', '/grind');

    like_log $n, $since,
        qr/\[warn\] .*overload: 3 turns of the loop were late by \d+ ms or more, of "async_overload lag=50ms"/,
        'a loop that is late again and again is overload, says the log';

    my $k = $n->connect(timeout => 60);
    my $r = $k->send_request('GET', '/ok')->response;

    is $r->status, 503, 'then a request gets 503';
    is $r->header('Retry-After'), 1, '... with Retry-After';
    is $r->body, '{"detail":"Service Unavailable"}', '... and says so in JSON';
    is $k->send_request('GET', '/health')->response->status, 200,
        '... on a connection that stays, and where async_overload is off is served';

    like $n->get('/file')->body, qr/It works/, 'nginx serves its own files';

    $r = $k->send_request('GET', '/chat', headers => [
        Connection => 'Upgrade', Upgrade => 'websocket', 'Sec-WebSocket-Version' => 13,
        'Sec-WebSocket-Key' => NginxAsync::WebSocket->new_key ])->response;
    is $r->status, 503, 'WebSockets are refused as well';

    over($n);
    is $c->response->body, 'ground', 'what is under way comes to its end';

    like_log $n, $since,
        qr/\[warn\] .*overload is over after \d+ ms, 2 requests were answered 503/,
        'then it is over, and the log says how many were refused';
    is $n->get('/ok')->status, 200, '... and requests are served again';

    $n->stop;
}

# ---- memory

{
    my $n = nginx('async_overload memory=800m lag=1h;')->start;
    my $since = $n->mark;

    is $n->get('/ok')->status, 200, 'memory: there is enough';

    my $c = $n->connect(timeout => 60)->send_request('GET', '/hog');

    like_log $n, $since,
        qr/overload: the worker has \d{9,} bytes, of "async_overload memory=838860800"; new requests are answered 503 while 1 are under way/,
        'a worker that has more is overload, says the log';
    is $n->get('/ok')->status, 503, '... and refuses';

    over($n);
    is $c->response->body, 'fed', 'what is under way comes to its end';
    like_log $n, $since, qr/overload is over/, '... and then it is over';
    is $n->get('/ok')->status, 200, '... and requests are served again';

    $n->stop;
}

# ---- memory that nobody gives back is no reason to refuse for ever

{
    my $n = nginx('async_overload memory=4k;')->start;

    is $n->get('/ok')->status, 200, 'with nothing under way there is no overload'
        for 1 .. 3;

    $n->stop;
}

# ---- the directive

my $t = NginxAsync->new(allow => '[emerg]');

for my $case (
    ['async_overload lag=5ms;',      qr/"lag=5ms" is no time of 10 ms or more/],
    ['async_overload lag=;',         qr/"lag=" is no time/],
    ['async_overload memory=much;',  qr/"memory=much" is no size/],
    ['async_overload memory=0;',     qr/"memory=0" is no size/],
    ['async_overload latency=5s;',   qr/unknown parameter "latency=5s": there are "lag=time" and "memory=size"/],
    ['async_overload lag=1s; async_overload off;', qr/"async_overload" directive is duplicate/],
    ['async_overload off lag=1s;',   qr/unknown parameter "off"/],
    ['server { async_overload lag=1s; }', qr/belong into the http block; here it may be "off"/],
) {
    my ($conf, $error) = @$case;
    my ($status, $said) = $t->conf_test({ http => $conf });

    isnt $status, 0, "refused: $conf";
    like $said, $error, '... and it is said why';
}

done_testing;
