#!/usr/bin/perl

# WebSocket handshakes (RFC 6455, 4.2): which route gets them, what is refused
# and how, what is answered, and from where.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use NginxAsync;
use NginxAsync::Http2;
use NginxAsync::Say qw(says json);
use NginxAsync::WebSocket;

my ($h2_listen, $h2_on) = NginxAsync::Conf::http2_directive()
    ? ('', 'http2 on;') : (' http2', '');

my $places = <<'EOF_CONF';
    location / {
        async_route  WS        /echo                     echo;
        async_route  WS        /both                     echo;
        async_route  GET,PUT   /both                     get;
        async_route  *         /every                    get;
        async_route  WS        /every                    echo;
        async_route  GET       /get                      get;
        async_route  WS        /reject                   reject;
        async_route  WS        /protocols                protocols;
        async_route  WS        /fixed                    fixed;
        async_route  WS        "/room/{name}/{seat}"     room;
        async_route  GET       "/room/{path:path}"       get;
        async_route  WS        /slash/                   echo;
        async_route  WS        /members                  members;
        async_route  WS        /limited                  limited;
        async_route  GET       /inner                    inner;
        async_route  GET       /docs.json                get;
        async_route  WS        /wait                     wait;
        async_route  WS        /gate                     gate;
    }

    location = /fields {
        async_route  WS  /fields  fields;
        add_header   X-Nginx "always here" always;
        add_header   X-Room $arg_room always;
    }

    location = /deflates   { async_websocket_deflate on; async_route WS /deflates echo; }
    location = /drip       { limit_rate 200; async_route WS /drip echo; }
    location = /anyway     { async_handler anyway; }
    location = /instead    { async_handler instead; }
    location = /streamed   { async_handler streamed; }
    location = /depends    { async_depends user; async_route WS /depends echo; }
    location = /guarded    { async_access guard; async_route WS /guarded echo; }
    location = /greedy     { async_access greedy; async_route WS /greedy echo; }
    location = /intercepts { async_intercept_errors on; error_page 403 =403 /get; async_route WS /intercepts reject; }
    location = /page.txt   { root html; }

    # in both the same, but that one of them has pages of its own for errors
    location /passes/ {
        error_page  400 401 403 404 405 426 503  /page.txt;
        async_route WS /passes/echo echo; async_route WS /passes/reject reject; async_route WS /passes/fixed fixed;
        location = /passes/anyway { async_handler anyway; }
    }
    location /pages/ {
        async_intercept_errors  on;
        error_page  400 401 403 404 405 426 503  /page.txt;
        async_route WS /pages/echo echo; async_route WS /pages/reject reject; async_route WS /pages/fixed fixed;
        location = /pages/anyway { async_handler anyway; }
    }

    location = /short      { async_timeout 100ms; async_route WS /short reject; }
    location = /long       { async_timeout 100ms; async_route WS /long echo; }
    location = /any        { async_websocket_origin any; async_route WS /any echo; }
    location = /null       { async_websocket_origin null; async_route WS /null echo; }
    location = /openapi    { async_openapi; }

    location /listed/ {
        async_websocket_origin  same https://Example.com https://example.org:8443 http://[::1]:8080;
        async_route  WS  /listed/echo  echo;
        location /listed/same/  { async_websocket_origin same; async_route WS /listed/same/echo echo; }
        location /listed/inner/ { async_route WS /listed/inner/echo echo; }
    }
EOF_CONF

my $n = NginxAsync->new(files => { 'page.txt' => "a page\n" }, conf => { server => $places, http => <<"EOF_CONF" });
    async_app   \$TEST_NGINX_APPS/ws-accept.so;
    log_format  handshakes '\$status \$uri \$sent_http_x_nginx';
    access_log  logs/handshakes.log handshakes;

    server {
        listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_1$h2_listen; $h2_on
$places
    }

    server {
        listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_2 ssl;
        ssl_certificate      \$TEST_NGINX_SERVER_ROOT/tls.crt;
        ssl_certificate_key  \$TEST_NGINX_SERVER_ROOT/tls.key;
$places
    }

    # TLS ends here, in front of another nginx
    server {
        listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_3 ssl;
        ssl_certificate      \$TEST_NGINX_SERVER_ROOT/tls.crt;
        ssl_certificate_key  \$TEST_NGINX_SERVER_ROOT/tls.key;

        location / {
            proxy_pass          http://127.0.0.1:\$TEST_NGINX_SERVER_PORT;
            proxy_http_version  1.1;
            proxy_set_header    Host \$http_host;
            proxy_set_header    Upgrade \$http_upgrade;
            proxy_set_header    Connection \$http_connection;
        }
        location /half/ {
            proxy_pass          http://127.0.0.1:\$TEST_NGINX_SERVER_PORT/;
            proxy_http_version  1.1;
        }
    }
EOF_CONF

$n->certificate;
$n->start;

sub ws        { return NginxAsync::WebSocket->new($n, @_) }
sub handshake { return scalar NginxAsync::WebSocket::handshake($n, @_) }

# One message there and back.
sub talks {
    my ($title, @handshake) = @_;

    is eval { ws(@handshake)->text('hello')->message } // $@, 'hello', $title;
}

sub refused {
    my ($title, $status, $detail, @handshake) = @_;

    my $r = handshake(@handshake);

    is $r->status, $status, $title;
    like json($r)->{detail}, $detail, '... and why' if $r->body;

    return $r;
}

# ---- what is answered

my $ws = ws('/echo', key => 'dGhlIHNhbXBsZSBub25jZQ==');
my $r  = $ws->response;

is $r->reason, 'Switching Protocols', 'a handshake is accepted';
is $r->header('Sec-WebSocket-Accept'), 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=', "... with RFC 6455's own example";
is $r->header('Upgrade'), 'websocket', '... and Upgrade';
like $r->header('Connection'), qr/^upgrade$/i, '... and Connection, once';
is $r->header($_), undef, "... without $_"
    for qw(Sec-WebSocket-Protocol Sec-WebSocket-Extensions Sec-WebSocket-Version
        Content-Length Transfer-Encoding Content-Type);
is $ws->text('hello')->message, 'hello', '... and begins';
is(($ws->close(1000))[0], 1000, '... and ends');

talks 'tokens in any case, in lists', '/echo', headers => [Upgrade => 'h2c, WebSocket', Connection => 'keep-alive, UPGRADE, x'];
talks 'tokens in one field of several', '/echo', headers => [Connection => 'keep-alive', Connection => 'x,upgrade'];
talks 'a length of none', '/echo', headers => ['Content-Length' => 0];
talks 'arguments', '/echo?a=1';
talks 'a response that goes out bit by bit', '/drip';
talks 'offers that nobody takes', '/echo', protocol => 'a, b', extensions => 'x-none; a=1, permessage-deflate';

my $frame = NginxAsync::WebSocket::frame(1, 'early');
is ws('/echo', behind => $frame)->message, 'early', 'what comes behind the handshake is the first message';

$ws = ws('/echo', behind => $frame . substr $frame, 0, 3);
is $ws->message, 'early', '... of one and a half';
is $ws->send_raw(substr $frame, 3)->message, 'early', '... the second is gone on with';

{
    my $long = 'x' x 20_000;
    my $came = ws('/echo', behind => NginxAsync::WebSocket::frame(1, $long))->message // '';
    ok $came eq $long, '... of more than a buffer' or diag length $came;
}

$r = ($ws = ws('/fields?room=7'))->response;
is $r->header('X-Mine'), 'set, added', 'fields of the handler';
is $r->header('Set-Cookie'), 'seen=yes; Path=/; SameSite=Lax', '... cookies';
is $r->header('X-Nginx'), 'always here', '... those of add_header';
is $r->header('X-Room'), '7', '... with variables';
is $r->header('Sec-WebSocket-Protocol'), undef, '... but none that a handshake is made of';
is scalar($r->headers('Sec-WebSocket-Accept')), 1, '... that would stand there twice';
is $ws->text('hello')->message, 'hello', '... the response that was set is none';
$ws->close;
ok $n->wait_until(sub { $n->read_file('logs/handshakes.log') =~ m{^101 /fields always here$}m }), '... and the access log has it';

# ---- what is none

for (
    ['no Upgrade', 426, [Upgrade => undef]], ['another Upgrade', 426, [Upgrade => 'h2c']],
    ['half a word of Upgrade', 426, [Upgrade => 'websocket2']], ['no Connection', 426, [Connection => undef]],
    ['another Connection', 426, [Connection => 'keep-alive']],
    ['no version', 426, ['Sec-WebSocket-Version' => undef]], ['version 8', 426, ['Sec-WebSocket-Version' => 8]],
    ['version 14', 426, ['Sec-WebSocket-Version' => 14]], ['version 013', 426, ['Sec-WebSocket-Version' => '013']],
    ['two versions', 426, ['Sec-WebSocket-Version' => '13, 8']],
    ['no key', 400, ['Sec-WebSocket-Key' => undef]], ['an empty key', 400, ['Sec-WebSocket-Key' => '']],
    ['a key of 15 bytes', 400, ['Sec-WebSocket-Key' => 'AAAAAAAAAAAAAAAAAAAA']],
    ['a key of 17 bytes', 400, ['Sec-WebSocket-Key' => 'AAAAAAAAAAAAAAAAAAAAAAA=']],
    ['a key that is no base64', 400, ['Sec-WebSocket-Key' => 'AAAAAAAAAAAAAAAAAAAA-A==']],
    ['a key that is longer', 400, ['Sec-WebSocket-Key' => 'AAAAAAAAAAAAAAAAAAAAAA==A']],
) {
    my ($title, $status, $headers) = @$_;
    my %h = (Upgrade => 'websocket', Connection => 'Upgrade', 'Sec-WebSocket-Version' => 13,
        'Sec-WebSocket-Key' => NginxAsync::WebSocket::new_key(), @$headers);

    $r = $n->connect->request('GET', '/echo', headers => [map { defined $h{$_} ? ($_ => $h{$_}) : () } sort keys %h]);

    is $r->status, $status, $title;
    is $r->header('Sec-WebSocket-Version'), $status == 426 ? 13 : undef, '... the version that is known';
    is $r->header('Upgrade'), $status == 426 ? 'websocket' : undef, '... the protocol';
    like $r->header('Connection'), $status == 426 ? qr/keep-alive, Upgrade/ : qr/^keep-alive$/, '... for this hop';
}

my $before = $n->mark;
refused 'two keys', 400, qr/Sec-WebSocket-Key/, '/echo', headers => ['Sec-WebSocket-Key' => NginxAsync::WebSocket::new_key()];
like_log $n, $before, qr/\[info\].*client sent no WebSocket handshake that is taken: Sec-WebSocket-Key is not one/, '... is told in the log';
refused 'a body', 400, qr/has no body/, '/echo', headers => ['Content-Length' => 3], behind => 'abc';
refused 'a chunked body', 400, qr/has no body/, '/echo', headers => ['Transfer-Encoding' => 'chunked'], behind => "0\r\n\r\n";
is handshake('/echo', headers => [Host => 'twice'])->status, 400, 'two Hosts, for nginx';
refused 'HTTP/1.0', 426, qr/HTTP\/1\.1/, '/echo', http => '1.0';

$r = $n->http2('/echo', port => $n->port(1), headers => ['Sec-WebSocket-Version' => 13]);
is $r->status, 426, 'HTTP/2';
is $r->header('Upgrade'), undef, '... which has no Upgrade';
is $n->http2('/both', port => $n->port(1))->body, 'by GET', '... has the route GET';

# ---- routes

$r = $n->get('/echo');
is $r->status, 426, 'a plain GET';
is $r->header('Upgrade'), 'websocket', '... is told what is to be asked for';
is $r->header('Content-Type'), 'application/json', '... as JSON';

for my $method (qw(HEAD POST PUT OPTIONS)) {
    $r = $n->request($method, '/echo');
    is $r->status, 405, "$method to a route WS";
    is $r->header('Allow'), 'GET', '... a handshake is a GET';
}

is handshake('/echo', method => 'POST')->status, 405, 'a handshake by POST';

talks 'of WS and GET side by side, WS gets a handshake', '/both';
is $n->get('/both')->body, 'by GET', '... and GET a GET';
is $n->get('/both', headers => [Upgrade => 'websocket'])->body, 'by GET', '... that asks for half of it, too';
is handshake('/both', http => '1.0')->body, 'by GET', '... or over HTTP/1.0';
is handshake('/both', version => 8)->status, 426, '... but not one of another version';
is $n->head('/both')->status, 200, '... and HEAD follows GET';
is $n->post('/both', 'x')->header('Allow'), 'GET, HEAD, PUT', '... Allow has all';
is handshake('/get')->body, 'by GET', 'a route GET answers a handshake as what it is beside';
talks 'of "*" and WS, WS gets a handshake', '/every';
is $n->get('/every')->body, 'by GET', '... and "*" the rest';
is handshake('/every', method => 'PUT')->body, 'by GET', '... of any method';
refused 'no route', 404, qr/Not Found/, '/none';

$r = handshake('/slash?a=1');
is $r->status, 307, 'a slash too few';
is $r->header('Location'), '/slash/?a=1', '... is told';
is handshake('/echo/')->header('Location'), '/echo', '... and one too many';

is ws('/room/blue%20one/7')->message, 'blue one 7', 'parameters of the path';
is $n->get('/room/blue/7')->body, 'by GET', '... GET has other ones';
$r = handshake('/room/blue/x');
is $r->status, 422, '... one that does not fit';
is json($r)->{detail}[0]{type}, 'int_parsing', '... says why';

# ---- subprotocols

for (
    ['v1.chat, v2.chat', 'v2.chat', 'ours come first'], ['x,v1.chat', 'v1.chat', 'what both have'],
    ['plain', 'plain', 'the last'], ['V2.CHAT', undef, 'case matters'], ['v2.cha, v2.chatx', undef, 'whole words count'],
    [undef, undef, 'none is offered'], [', ,v1.chat,', 'v1.chat', 'empty ones are nothing'],
) {
    my ($offer, $chosen, $title) = @$_;

    $ws = ws('/protocols', protocol => $offer);
    is $ws->response->header('Sec-WebSocket-Protocol'), $chosen, "subprotocols: $title";
    is $ws->message, $chosen // 'none', '... as the handler knows';
}

is ws('/protocols', protocol => 'x', headers => ['Sec-WebSocket-Protocol' => 'y, v1.chat'])->message, 'v1.chat',
    'subprotocols in several fields';
is handshake('/fixed', protocol => 'v8.chat, v9.chat')->header('Sec-WebSocket-Protocol'), 'v9.chat', 'one that is offered';
refused 'one that is not offered', 400, qr/does not offer the subprotocol/, '/fixed', protocol => 'v8.chat';
refused 'none is offered', 400, qr/does not offer the subprotocol/, '/fixed';

# ---- extensions

$ws = ws('/deflates', extensions => 'x-none; a=1, permessage-deflate', behind => $frame);
like $ws->response->header('Sec-WebSocket-Extensions'), qr/^permessage-deflate\b/, 'an extension that is offered';
is $ws->message, 'early', '... for messages that are not compressed, too';
is ws('/deflates')->response->header('Sec-WebSocket-Extensions'), undef, '... is not';
is ws('/deflates', extensions => 'x-none')->response->header('Sec-WebSocket-Extensions'), undef, '... beside others';
is ws('/echo', extensions => 'permessage-deflate')->response->header('Sec-WebSocket-Extensions'), undef,
    '... where it is off';
refused 'offers that are none', 400, qr/Sec-WebSocket-Extensions/, '/deflates', extensions => 'permessage-deflate;';

# ---- origins

for (
    ['/echo', 'localhost', 'http://localhost', 101], ['/echo', 'localhost', 'HTTP://LOCALHOST', 101],
    ['/echo', 'localhost:80', 'http://localhost', 101], ['/echo', 'localhost', 'http://localhost:80', 101],
    ['/echo', 'localhost:8080', 'http://localhost:8080', 101], ['/echo', 'localhost:8080', 'http://localhost', 403],
    ['/echo', 'localhost', 'http://localhost:8080', 403], ['/echo', 'localhost:8080', 'http://localhost:8081', 403],
    ['/echo', '[::1]:8080', 'http://[::1]:8080', 101], ['/echo', '[::1]', 'http://[::1]', 101],
    ['/echo', '[::1]:8080', 'http://[::2]:8080', 403],
    ['/echo', 'localhost', 'https://localhost', 101],       # a proxy in front may take HTTPS
    ['/echo', 'localhost:443', 'https://localhost', 101], ['/echo', 'localhost:80', 'https://localhost', 403],
    ['/echo', 'localhost', 'http://localhost.evil.example', 403], ['/echo', 'localhost', 'http://evil.example/localhost', 403],
    ['/echo', 'localhost', 'http://localhost@evil.example', 403], ['/echo', 'localhost', 'http://evil.example', 403],
    ['/echo', 'localhost', 'ftp://localhost', 403], ['/echo', 'localhost', 'localhost', 403],
    ['/echo', 'localhost', 'null', 403], ['/echo', 'localhost', '', 403],
    ['/any', 'localhost', 'http://evil.example', 101], ['/any', 'localhost', 'null', 101],
    ['/null', 'localhost', 'null', 101], ['/null', 'localhost', 'http://localhost', 403],
    ['/listed/echo', 'localhost', 'https://example.com', 101], ['/listed/echo', 'localhost', 'https://example.com:443', 101],
    ['/listed/echo', 'localhost', 'http://example.com', 403], ['/listed/echo', 'localhost', 'https://www.example.com', 403],
    ['/listed/echo', 'localhost', 'https://example.org:8443', 101], ['/listed/echo', 'localhost', 'https://example.org', 403],
    ['/listed/echo', 'localhost', 'http://[::1]:8080', 101], ['/listed/echo', 'localhost', 'http://localhost', 101],
    ['/listed/inner/echo', 'localhost', 'https://example.com', 101],
    ['/listed/same/echo', 'localhost', 'https://example.com', 403], ['/listed/same/echo', 'localhost', 'http://localhost', 101],
) {
    my ($uri, $host, $origin, $status) = @$_;

    $r = handshake($uri, host => $host, origin => $origin);
    is $r->status, $status, "a page of '$origin' at '$host$uri'";
}

my $since = $n->mark;
refused 'another origin', 403, qr/origin/, '/echo', origin => 'https://evil.example';
like_log $n, $since, qr/\[info\].*"async_websocket_origin" has no "https:\/\/evil\.example"/, '... is told in the log';
refused 'two origins', 403, qr/origin/, '/echo', origin => 'http://localhost', headers => [Origin => 'http://localhost'];
talks 'no Origin, as of no browser', '/echo';

my @tls = (tls => 1, port => $n->port(2));
talks 'TLS', '/echo', @tls, origin => 'https://localhost';
is handshake('/echo', @tls, origin => 'http://localhost')->status, 403, '... where a page without TLS is another origin';
is ws('/echo', @tls, behind => $frame)->message, 'early', '... and what comes behind the handshake';

# ---- error_page

for (
    ['version 8', 426, '/echo', version => 8], ['no key', 400, '/echo', key => 'x'],
    ['another origin', 403, '/echo', origin => 'http://evil.example'], ['POST', 405, '/echo', method => 'POST'],
    ['version 8 of async_handler', 426, '/anyway', version => 8],
    ['another origin of async_handler', 403, '/anyway', origin => 'http://evil.example'],
    ['a handler that fails', 401, '/reject?how=fail'], ['... does not accept', 403, '/reject?how=ok'],
    ['... is busy', 503, '/reject?how=busy'], ['... speaks another subprotocol', 400, '/fixed'], ['no route', 404, '/none'],
) {
    my ($title, $status, $uri, @handshake) = @$_;
    my %requires = (401 => ['WWW-Authenticate', 'Bearer'], 405 => ['Allow', 'GET'], 426 => ['Sec-WebSocket-Version', 13]);
    my ($field, $value) = @{ $requires{$status} // ['Sec-WebSocket-Accept', undef] };

    $r = handshake("/passes$uri", @handshake);
    is $r->status, $status, "error_page: $title";
    ok json($r)->{detail}, '... passes it';
    is $r->header($field), $value, "... with what a $status requires";

    $r = handshake("/pages$uri", @handshake);
    is $r->status . ' ' . $r->body, "$status a page\n", '... gets it with async_intercept_errors';
    is $r->header($field), $value, '... with the same';
    is $r->header('Upgrade'), $status == 426 ? 'websocket' : undef, '... and Upgrade';
}

talks "error_page: a handshake that is accepted is none of its", $_ for '/passes/echo', '/pages/echo';

# ---- before it is accepted

$r = handshake('/reject?how=fail');
is $r->status, 401, 'a handler fails';
is $r->header('WWW-Authenticate'), 'Bearer', '... with its fields';
is json($r)->{detail}, 'who are you?', '... and detail';
is handshake('/reject?how=text')->body, 'not today', '... answers otherwise';
refused '... does not accept', 403, qr/^Forbidden$/, '/reject?how=ok';
is handshake('/intercepts?how=ok')->body, 'by GET', '... which error_page may answer';
is handshake('/reject?how=busy')->header('Retry-After'), 1, '... is busy';
$since = $n->mark;
is handshake('/reject?how=error')->status, 500, '... ends with an error';
like_log $n, $since, qr/\[error\].*async handler "ws-accept:reject" failed/, '... which is logged';
$since = $n->mark;
is handshake('/short?how=late')->status, 504, '... takes too long';
like_log $n, $since, qr/async handler "ws-accept:reject" timed out/, '... says so';

$ws = ws('/long');
$ws->ping('x')->next_frame for 1 .. 3;
is handshake('/short?how=late')->status, 504, 'async_timeout passes elsewhere';
is $ws->text('on')->message, 'on', '... what is accepted goes on';

{
    my $c = $n->connect;
    $c->send(NginxAsync::WebSocket::request_text('/wait'));
    says $n, 'waits';
    $c->reset;
    ok says($n, 'is cancelled'), 'a client that leaves before it is accepted';
}

my $keep = $n->connect;
is $keep->request('GET', '/echo')->status, 426, 'a connection that has been refused';
$keep->send(NginxAsync::WebSocket::request_text('/echo'));
is $keep->response->status, 101, '... can try again';

# ---- dependencies and guards

refused 'a dependency rejects', 401, qr/no token/, '/members';
refused '... a blocking one', 403, qr/no guests/, '/members', headers => ['X-Token' => 'guest'];
$ws = ws('/members', headers => ['X-Token' => 'ann']);
is $ws->message, 'ann', '... lets pass, with its value';
is $ws->message, 'all', '... and the other';
is $ws->close_code, 1000, '... to the end';
refused "a dependency's 401 comes before the 422", 401, qr/no token/, '/limited?page=x';
is handshake('/limited?page=x', headers => ['X-Token' => 'ann'])->status, 422, '... which comes before it is accepted';
is ws('/limited?page=1', headers => ['X-Token' => 'ann'])->message, 'ann', '... if there is one';
refused 'async_depends', 401, qr/no token/, '/depends';
talks '... lets pass', '/depends', headers => ['X-Token' => 'ann'];
refused 'a handshake that is none comes before that', 400, qr/Key/, '/depends', key => 'x';

refused 'a guard rejects', 403, qr/guarded/, '/guarded';
$ws = ws('/guarded', headers => ['X-Token' => 'ann'], behind => $frame);
is $ws->response->header('X-Guard'), 'passed', '... lets pass, with its fields';
is $ws->message, 'early', '... and what has come meanwhile';
refused 'a guard accepts nothing', 500, qr/only the handler of a client's request/, '/greedy';

# ---- other handlers

$ws = ws('/anyway');
is $ws->message, 'ERROR: it has been accepted already', 'async_handler accepts, once';
like $ws->message, qr/^ERROR: the response has begun already/, '... and streams nothing';
is $ws->text('hello')->message, 'hello', '... and goes on';
is handshake('/anyway', version => 8)->header('Sec-WebSocket-Version'), 13, '... no other version';
$r = $n->get('/anyway');
is $r->status, 426, '... no plain GET';
is $r->header('Upgrade'), 'websocket', '... which is told';
$r = $n->post('/anyway', 'x');
is $r->status, 405, '... no POST';
is $r->header('Allow'), 'GET', '... which is told';
refused '... no other origin', 403, qr/origin/, '/anyway', origin => 'http://evil.example';
like $n->get('/instead')->body, qr/^INVALID: this is for WebSocket/, 'a handler may answer otherwise';
is $n->get('/instead')->status, 200, '... altogether';
like $n->get('/streamed')->body, qr/^first, ERROR: a response has begun already/, 'a response that has begun';

is json($n->get('/inner'))->{detail} =~ /WebSocket/, 1, 'a subrequest';
is json(handshake('/inner'))->{detail} =~ /WebSocket/, 1, '... of a handshake';

my $paths = json($n->get('/openapi'))->{paths};
is join(' ', sort map { my $p = $_; map { "$_ $p" } keys %{ $paths->{$p} } } grep { m{^/(?:echo|both|members)$} } keys %$paths),
    'get /both put /both', 'OpenAPI has no conversations';

# ---- behind a proxy

my @proxied = (tls => 1, port => $n->port(3));
talks 'behind another nginx that takes TLS', '/echo', @proxied, origin => 'https://localhost';
is handshake('/echo', @proxied, origin => 'https://evil.example')->status, 403, '... origins are told apart';
is ws('/protocols', @proxied, protocol => 'v1.chat')->message, 'v1.chat', '... subprotocols come through';
is handshake('/half/echo', @proxied)->status, 426, '... one that does not pass Upgrade on';

# ---- a worker that shuts down

my $gate = $n->root . '/gate';
my $c    = $n->connect;

$since = $n->mark;
$c->send(NginxAsync::WebSocket::request_text("/gate?file=$gate"));
says $n, 'stands at the gate';
$_->reset for $ws, $keep;
$n->signal('QUIT');
$n->wait_for_log(qr/gracefully shutting down/, 20, $since);
$n->write_file('gate', '');

$r = $c->response;
is $r->status, 503, 'a worker that shuts down accepts none';
is $r->header('Retry-After'), 1, '... and says when another one may';

$n->stop;

done_testing;
