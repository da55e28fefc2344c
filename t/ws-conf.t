#!/usr/bin/perl

# Routes WS and the directives async_websocket_...: what nginx -t refuses, with
# file, line and what was probably meant, and what it takes.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use NginxAsync;

my $n = NginxAsync->new(allow => '[emerg]');

my $app = $n->build_app(<<'EOF_C', 'talk');
#include <ngx_async.h>

typedef struct { int64_t  a; } point_t;

ASYNC_MODEL(point, point_t, ASYNC_FIELD(point_t, a));

ASYNC_HANDLER(talk)  { return await_ws_accept(co, req, NULL); }
ASYNC_HANDLER(plain)  { return async_text(req, 200, "plain"); }
ASYNC_HANDLER(posted, ASYNC_BODY(point))  { return ASYNC_OK; }
BLOCKING_HANDLER(calculate)  { return async_text(req, 200, "1"); }
ASYNC_TASK(job)  { return ASYNC_OK; }
EOF_C

sub test_conf {
    my ($location) = @_;

    return $n->conf_test({ http => "async_app $app;",
        server => "location / {\n$location  # here\n}\n" });
}


sub line_of_mark {
    my @lines = split /\n/, $n->read_file('conf/test.conf');

    return (grep { $lines[$_ - 1] =~ /# here/ } 1 .. @lines)[0];
}


for (
    # ---- routes
    ['async_route ws /a talk;', 'unknown method "ws", did you mean "WS"?'],
    ['async_route WSS /a talk;', 'unknown method "WSS", did you mean "WS"?'],
    ['async_route WEBSOCKET /a talk;', 'methods are as in "GET", "GET,POST", "*" or "WS"'],
    ['async_route GET,WS /a talk;', '"WS" stands alone'],
    ['async_route WS,WS /a talk;', '"WS" stands alone'],
    ['async_route WS /a calculate;', '"talk:calculate" is a BLOCKING_HANDLER, and a WebSocket takes an ASYNC_HANDLER'],
    ['async_route WS /a job;', '"async_route" takes a handler, but "talk:job" is a task'],
    ['async_route WS /a tolk;', 'no app has a handler "tolk", did you mean "talk"?'],
    ['async_route WS /a posted;', 'a WebSocket handshake has no body, but "point" is declared as one by "posted"'],
    ['async_route WS /a talk; async_route WS /a talk;', 'route "WS /a": "/a" was declared before'],

    # ---- directives
    ['async_websocket_max_mesage 1m;', 'unknown directive "async_websocket_max_mesage"'],
    ['async_websocket_max_message 0;', '"async_websocket_max_message" directive must be greater than zero'],
    ['async_websocket_max_message x;', '"async_websocket_max_message" directive invalid value'],
    ['async_websocket_buffer 100;', '"async_websocket_buffer" directive must be 1k at least'],
    ['async_websocket_close_timeout 0;', '"async_websocket_close_timeout" directive must be greater than zero'],
    ['async_websocket_close_timeout 4000d;', '"async_websocket_close_timeout" directive is too long'],
    ['async_websocket_ping soon;', '"soon" is no time: pings are sent after "20s" of silence'],
    ['async_websocket_ping 10s timeot=5s;', 'invalid parameter "timeot=5s", did you mean "timeout="?'],
    ['async_websocket_ping 10s 5s;', 'invalid parameter "5s": there is "timeout="'],
    ['async_websocket_ping 10s timeout=0;', '"timeout=0" is no time in which a ping could be answered'],
    ['async_websocket_ping 0 timeout=5s;', 'has "timeout=" without pings'],
    ['async_websocket_ping 1s; async_websocket_ping 1s;', '"async_websocket_ping" directive is duplicate'],
    ['async_websocket_origin sam;', '"sam" is no origin, did you mean "same"?'],
    ['async_websocket_origin *;', '"*" is no origin, did you mean "any"?'],
    ['async_websocket_origin example.com;', '"example.com" is no origin: it is as "https://example.com"'],
    ['async_websocket_origin https://example.com/;', '"https://example.com/" is no origin'],
    ['async_websocket_origin https://example.com:0;', '"https://example.com:0" is no origin'],
    ['async_websocket_origin https://example.com:65536;', '"https://example.com:65536" is no origin'],
    ['async_websocket_origin https://;', '"https://" is no origin'],
    ['async_websocket_origin http://[::1;', '"http://[::1" is no origin'],
    ['async_websocket_origin https://u@example.com;', 'is no origin'],
    ['async_websocket_origin any same;', 'has "any", which is all origins, beside others'],
    ['async_websocket_origin same; async_websocket_origin any;', '"async_websocket_origin" directive is duplicate'],
    ['async_websocket_deflate yes;', 'invalid value "yes": the first argument is "on" or "off"'],
    ['async_websocket_deflate off level=1;', 'has parameters beside "off"'],
    ['async_websocket_deflate on takeovr;', 'invalid parameter "takeovr", did you mean "takeover"?'],
    ['async_websocket_deflate on takeover=on;', 'invalid parameter "takeover=on", did you mean "takeover"?'],
    ['async_websocket_deflate on levl=1;', 'invalid parameter "levl=1", did you mean "level="?'],
    ['async_websocket_deflate on speed=1;', 'invalid parameter "speed=1": there is "takeover", "level=", "window=", "min=", "memory="'],
    ['async_websocket_deflate on level=10;', '"level=10" must be a number from 1 to 9'],
    ['async_websocket_deflate on window=8;', '"window=8" must be a number from 9 to 15'],
    ['async_websocket_deflate on min=x;', '"min=x" is no size'],
    ['async_websocket_deflate on memory=-1;', '"memory=-1" is no size'],
) {
    my ($location, $wrong) = @$_;
    my ($status, $said) = test_conf($location);
    my $line = line_of_mark();

    subtest "refused: $location" => sub {
        is $status, 1, 'fails';
        like $said, qr/\[emerg\].*\Q$wrong\E.* in \S+test\.conf:$line$/m, 'says what, and where';
        is scalar(() = $said =~ /\[emerg\]/g), 1, 'once';
    };
}

for (
    'async_route WS /a talk;',
    'async_route WS /a talk; async_route GET /a plain; async_route * /a plain;',
    'async_route * /a plain; async_route WS /a talk;',
    'async_handler talk;',
    'async_websocket_max_message 1024m; async_websocket_buffer 1k; async_websocket_close_timeout 1s;',
    'async_websocket_ping 10s timeout=5s;', 'async_websocket_ping 0;',
    'async_websocket_origin any;',
    'async_websocket_origin same null https://example.com HTTP://Example.com:8080 http://[::1]:80 app+x://local;',
    'async_websocket_deflate off;', 'async_websocket_deflate on;',
    'async_websocket_deflate on takeover level=9 window=10 min=0 memory=1m;',
    'async_websocket_deflate on memory=1g;',
) {
    my ($status, $said) = test_conf($_);

    is $status, 0, "taken: $_" or diag $said;
}

done_testing;
