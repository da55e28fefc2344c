#!/usr/bin/perl

# async_route and async_handler: which handler gets a request, and what is
# answered when none does.  Thousands of routes are in t/route-many.t, what
# "nginx -t" refuses in t/conf.t.

use Test::Nginx::Socket 'no_plan';

# every block uses the app of the same name
add_block_preprocessor(sub {
    my ($block) = @_;

    my $http = $block->http_config // '';
    return if $http =~ /async_app/;
    $block->set_value('http_config',
        "async_app \$TEST_NGINX_APPS/route.so;\n$http");
});

no_root_location();
run_tests();

__DATA__

=== TEST 1: a route takes its method and its whole URI
--- config
    location / { async_route GET /one one; }
--- request eval
["GET /one", "GET /one/more", "GET /on", "GET /ONE"]
--- error_code eval
[200, 404, 404, 404]
--- response_body eval
["one GET /one\n", ('{"detail":"Not Found"}') x 3]



=== TEST 2: methods are a list
--- config
    location / { async_route POST,PUT,DELETE /m one; }
--- request eval
["POST /m\n", "PUT /m\n", "DELETE /m", "PATCH /m\n"]
--- error_code eval
[200, 200, 200, 405]
--- response_body eval
["one POST /m\n", "one PUT /m\n", "one DELETE /m\n",
 '{"detail":"Method Not Allowed"}']



=== TEST 3: "*" takes every method, also those that nginx does not know
--- config
    location / { async_route * /m one; }
--- request eval
["GET /m", "POST /m\n", "OPTIONS /m", "PURGE /m", "PROPFIND /m", "LOCK /m"]
--- response_body eval
["one GET /m\n", "one POST /m\n", "one OPTIONS /m\n", "one PURGE /m\n",
 "one PROPFIND /m\n", "one LOCK /m\n"]



=== TEST 4: every method of nginx can be in a route
--- config
    location / {
        async_route GET,HEAD,POST,PUT,PATCH,DELETE,OPTIONS,MKCOL,COPY /m one;
        async_route MOVE,PROPFIND,PROPPATCH,LOCK,UNLOCK /m two;
    }
--- request eval
[map { "$_ /m" } qw(GET PATCH OPTIONS MKCOL COPY MOVE PROPFIND PROPPATCH LOCK
    UNLOCK)]
--- response_body eval
[(map { "one $_ /m\n" } qw(GET PATCH OPTIONS MKCOL COPY)),
 (map { "two $_ /m\n" } qw(MOVE PROPFIND PROPPATCH LOCK UNLOCK))]



=== TEST 5: one pattern has a handler for each method
--- config
    location / {
        async_route GET  /m one;
        async_route POST /m two;
        async_route PUT,PATCH /m three;
    }
--- request eval
["GET /m", "POST /m\n", "PATCH /m\n"]
--- response_body eval
["one GET /m\n", "two POST /m\n", "three PATCH /m\n"]



=== TEST 6: async_handler takes every request of its location
--- config
    location /all { async_handler two; }
--- request eval
["GET /all", "POST /all/of/it\n", "PURGE /all.x"]
--- response_body eval
["two GET /all\n", "two POST /all/of/it\n", "two PURGE /all.x\n"]



=== TEST 7: a handler of async_handler has no path parameters
--- config
    location /all { async_handler bytes; }
--- request
GET /all/x
--- response_body
0 not so



=== TEST 8: a handler can be named with its app
--- config
    location / { async_route GET /m route:one; }
    location /all { async_handler route:two; }
--- request eval
["GET /m", "GET /all"]
--- response_body eval
["one GET /m\n", "two GET /all\n"]



=== TEST 9: a parameter without a converter is one segment, not empty
--- config
    location / { async_route GET "/items/{id}" one; }
--- request eval
["GET /items/5", "GET /items/a%20b", "GET /items/", "GET /items/a/b"]
--- error_code eval
[200, 200, 404, 404]
--- response_body_like eval
['id=\[5\]$', 'id=\[a b\]$', 'Not Found', 'Not Found']



=== TEST 10: {x:str} is the converter that a parameter has without one
--- config
    location / { async_route GET "/items/{id:str}" one; }
--- request eval
["GET /items/a-b.c", "GET /items/a/b"]
--- error_code eval
[200, 404]
--- response_body_like eval
['id=\[a-b.c\]$', 'Not Found']



=== TEST 11: {x:int} fits digits, and all else is 404
--- config
    location / { async_route GET "/i/{id:int}" one; }
--- request eval
["GET /i/0", "GET /i/007", "GET /i/99999999999999999999", "GET /i/-1",
 "GET /i/1.0", "GET /i/x", "GET /i/1x", "GET /i/1_0", "GET /i/%D9%A1"]
--- error_code eval
[200, 200, 200, (404) x 6]
--- response_body_like eval
['id=\[0\]$', 'id=\[007\]$', 'id=\[99999999999999999999\]$',
 ('Not Found') x 6]



=== TEST 12: {x:float} fits digits with a fraction or without
--- config
    location / { async_route GET "/f/{id:float}" one; }
--- request eval
["GET /f/1", "GET /f/1.25", "GET /f/1.", "GET /f/.5", "GET /f/-1.5",
 "GET /f/1e3", "GET /f/nan", "GET /f/1.2.3"]
--- error_code eval
[200, 200, (404) x 6]
--- response_body_like eval
['id=\[1\]$', 'id=\[1.25\]$', ('Not Found') x 6]



=== TEST 13: {x:uuid} fits 32 hexadecimal digits, each hyphen optional
--- config
    location / { async_route GET "/u/{id:uuid}" one; }
--- request eval
["GET /u/12345678-9abc-DEF0-1234-56789abcdef0",
 "GET /u/123456789abcdef0123456789abcdef0",
 "GET /u/12345678-9abcdef0-123456789abcdef0",
 "GET /u/123456789abcdef0123456789abcdef", "GET /u/1234-56789abcdef0123456789abcdef0",
 "GET /u/g2345678-9abc-def0-1234-56789abcdef0",
 "GET /u/123456789abcdef0123456789abcdef0f"]
--- error_code eval
[200, 200, 200, (404) x 4]
--- response_body_like eval
['id=\[12345678-9abc-DEF0-1234-56789abcdef0\]$',
 'id=\[123456789abcdef0123456789abcdef0\]$',
 'id=\[12345678-9abcdef0-123456789abcdef0\]$', ('Not Found') x 4]



=== TEST 14: {x:path} takes all the rest, slashes and nothing included
--- config
    location / { async_route GET "/files/{rest:path}" one; }
--- request eval
["GET /files/a", "GET /files/a/b/c.txt", "GET /files/", "GET /files/a/"]
--- response_body_like eval
['rest=\[a\]$', 'rest=\[a/b/c.txt\]$', 'rest=\[\]$', 'rest=\[a/\]$']



=== TEST 15: {x:path} can stand in the middle and takes the longest
--- config
    location / { async_route GET "/files/{rest:path}/edit" one; }
--- request eval
["GET /files/a/b/edit", "GET /files/a/edit/edit", "GET /files/edit"]
--- error_code eval
[200, 200, 404]
--- response_body_like eval
['rest=\[a/b\]$', 'rest=\[a/edit\]$', 'Not Found']



=== TEST 16: parameters have text before, between and behind them
--- config
    location / {
        async_route GET "/v{a:int}/{name}.{b}/x-{c}-y" one;
        async_route GET "/{year:int}-{month:int}" two;
    }
--- request eval
["GET /v12/file.tar.gz/x-1-y", "GET /2024-05", "GET /v/f.g/x-1-y",
 "GET /v1/f.g/x--y", "GET /2024-", "GET /v1/f/x-1-y"]
--- error_code eval
[200, 200, 404, 404, 404, 404]
--- response_body eval
["one GET /v12/file.tar.gz/x-1-y a=[12] b=[gz] c=[1] name=[file.tar]\n",
 "two GET /2024-05 year=[2024] month=[05]\n",
 ('{"detail":"Not Found"}') x 4]



=== TEST 17: a route may have 16 parameters
--- config eval
'location / { async_route GET "/' 
    . CORE::join('/', map { "{p$_}" } 1 .. 14)
    . '/{a}/{b}" one; }'
--- request eval
"GET /" . CORE::join('/', 1 .. 16)
--- response_body_like: a=\[15\] b=\[16\]$



=== TEST 18: the first declared route that fits wins, parameter before literal
--- config
    location / {
        async_route GET "/users/{name}" one;
        async_route GET /users/me two;
    }
--- request
GET /users/me
--- response_body
one GET /users/me name=[me]



=== TEST 19: the first declared route that fits wins, literal before parameter
--- config
    location / {
        async_route GET /users/me two;
        async_route GET "/users/{name}" one;
        async_route GET "/{rest:path}" three;
    }
--- request eval
["GET /users/me", "GET /users/you", "GET /users/me/too", "GET /users/"]
--- response_body eval
["two GET /users/me\n", "one GET /users/you name=[you]\n",
 "three GET /users/me/too rest=[users/me/too]\n",
 "three GET /users/ rest=[users/]\n"]



=== TEST 20: a route that fits by its path alone leaves the request to a later one
--- config
    location / {
        async_route GET "/a/{x}" one;
        async_route POST "/a/{x:int}" two;
        async_route "POST" "/{rest:path}" three;
    }
--- request eval
["GET /a/1", "POST /a/1\n", "POST /a/b\n"]
--- response_body_like eval
['^one ', '^two ', '^three ']



=== TEST 21: converters choose between routes of the same place
--- config
    location / {
        async_route GET "/n/{a:int}" one;
        async_route GET "/n/{b:float}" two;
        async_route GET "/n/{c}" three;
    }
--- request eval
["GET /n/1", "GET /n/1.5", "GET /n/1.5.6"]
--- response_body_like eval
['^one .* a=\[1\]$', '^two .* b=\[1.5\]$', '^three .* c=\[1.5.6\]$']



=== TEST 22: 405 lists in Allow all methods of all routes that fit
--- config
    location / {
        async_route GET,PUT /m one;
        async_route DELETE "/{x}" two;
        async_route PATCH /other three;
    }
--- request
POST /m
--- error_code: 405
--- response_headers
Allow: GET, HEAD, PUT, DELETE
Content-Type: application/json
--- response_body chomp
{"detail":"Method Not Allowed"}



=== TEST 23: 405 for an unknown method has an Allow, too
--- config
    location / { async_route POST,OPTIONS /m one; }
--- request
PURGE /m
--- error_code: 405
--- response_headers
Allow: POST, OPTIONS



=== TEST 24: Allow lists every method that there is
--- config
    location / { async_route GET,HEAD,POST,PUT,PATCH,DELETE,OPTIONS,TRACE,MKCOL,COPY,MOVE,PROPFIND,PROPPATCH,LOCK,UNLOCK /m one; }
--- request
PURGE /m
--- error_code: 405
--- response_headers
Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE, MKCOL, COPY, MOVE, PROPFIND, PROPPATCH, LOCK, UNLOCK



=== TEST 25: OPTIONS is 405 unless a route takes it
--- config
    location / { async_route GET /m one; async_route OPTIONS,GET /o two; }
--- request eval
["OPTIONS /m", "OPTIONS /o"]
--- error_code eval
[405, 200]
--- response_headers eval
["Allow: GET, HEAD", "X-Handler: two"]



=== TEST 26: HEAD gives the headers of GET and no body
--- config
    location / { async_route GET /m one; }
--- request
HEAD /m
--- response_headers
X-Handler: one
Content-Length: 12
Content-Type: text/plain; charset=utf-8
--- response_body



=== TEST 27: HEAD of what has no GET is 405
--- config
    location / { async_route POST /m one; }
--- request
HEAD /m
--- error_code: 405
--- response_headers
Allow: POST



=== TEST 28: a route of HEAD alone goes before the one of GET
--- config
    location / { async_route GET /m one; async_route HEAD /m two; }
--- request eval
["HEAD /m", "GET /m"]
--- response_headers eval
["X-Handler: two", "X-Handler: one"]



=== TEST 29: HEAD goes where GET goes when a later route takes all methods
--- config
    location / { async_route GET /m one; async_route * "/{x}" two; }
--- request eval
["HEAD /m", "GET /m", "HEAD /n", "POST /m\n"]
--- response_headers eval
["X-Handler: one", "X-Handler: one", "X-Handler: two", "X-Handler: two"]



=== TEST 30: a missing slash at the end is a relative redirect that keeps the query
--- config
    location / { async_route GET /notes/ one; }
--- request eval
["GET /notes?a=1&b=%20%2F", "GET /notes", "GET /notes?"]
--- error_code eval
[307, 307, 307]
--- raw_response_headers_like eval
['\r\nLocation: /notes/\?a=1&b=%20%2F\r\n', '\r\nLocation: /notes/\r\n',
 '\r\nLocation: /notes/\r\n']



=== TEST 31: a slash too many at the end is redirected, too
--- config
    location / { async_route GET /notes one; }
--- request eval
["GET /notes/?x=y", "GET /notes//"]
--- error_code eval
[307, 307]
--- raw_response_headers_like eval
['\r\nLocation: /notes\?x=y\r\n', '\r\nLocation: /notes\r\n']



=== TEST 32: the redirect has no body, and POST keeps its method by 307
--- config
    location / { async_route POST /notes/ one; }
--- request
POST /notes
some body
--- error_code: 307
--- response_headers
Location: /notes/
Content-Length: 0
--- response_body



=== TEST 33: both forms may be routes of their own
--- config
    location / { async_route GET /n one; async_route GET /n/ two; }
--- request eval
["GET /n", "GET /n/"]
--- response_body eval
["one GET /n\n", "two GET /n/\n"]



=== TEST 34: a redirected path is percent-encoded again
--- config
    location / { async_route GET "/f/{x}/" one; }
--- request eval
["GET /f/a%20b", "GET /f/%C3%A9%25%3F%23", "GET /f/%0d%0aX:%20y", "GET /f/+"]
--- error_code eval
[307, 307, 307, 307]
--- raw_response_headers_like eval
['\r\nLocation: /f/a%20b/\r\n', '\r\nLocation: /f/%C3%A9%25%3F%23/\r\n',
 '\r\nLocation: /f/%0D%0AX:%20y/\r\n', '\r\nLocation: /f/\+/\r\n']



=== TEST 35: no redirect leads to another host
--- config
    merge_slashes off;
    location / { async_route GET "/{rest:path}/" one; }
--- request eval
["GET //evil.example", "GET ///evil.example/x", "GET /%5Cevil.example",
 "GET /%2Fevil.example", "GET /%09/evil.example"]
--- error_code eval
[307, 307, 307, 307, 307]
--- raw_response_headers_like eval
['\r\nLocation: /evil.example/\r\n', '\r\nLocation: /evil.example/x/\r\n',
 '\r\nLocation: /%5Cevil.example/\r\n', '\r\nLocation: /evil.example/\r\n',
 '\r\nLocation: /%09/evil.example/\r\n']



=== TEST 36: arguments made of a decoded path cannot split the redirect
--- config
    location / {
        set $args $uri;
        async_route GET "/f/{x}/" one;
    }
--- request
GET /f/a%0d%0aX-Evil:%20yes
--- error_code: 404
--- raw_response_headers_unlike: X-Evil



=== TEST 37: a path that fits no route in either form is 404 as JSON
--- config
    location / { async_route GET /a/b/ one; }
--- request eval
["GET /a", "GET /a/", "GET /a/b/c"]
--- error_code eval
[404, 404, 404]
--- response_headers eval
[("Content-Type: application/json\n! Location") x 3]
--- response_body eval
[('{"detail":"Not Found"}') x 3]



=== TEST 38: parameters are decoded, and a plus is a plus
--- config
    location / { async_route GET "/d/{x}" one; }
--- request eval
["GET /d/a%20b+c", "GET /d/%C3%BC", "GET /d/%41%3d%26", "GET /d/100%25"]
--- response_body eval
["one GET /d/a b+c x=[a b+c]\n", "one GET /d/\xc3\xbc x=[\xc3\xbc]\n",
 "one GET /d/A=& x=[A=&]\n", "one GET /d/100% x=[100%]\n"]



=== TEST 39: an encoded slash divides segments, since nginx decodes first
--- config
    location / {
        async_route GET "/d/{x}" one;
        async_route GET "/d/{a}/{b}" two;
    }
--- request
GET /d/a%2Fb
--- response_body
two GET /d/a/b a=[a] b=[b]



=== TEST 40: bytes that are not UTF-8 reach the handler as they are
--- config
    location / { async_route GET "/d/{x}" bytes; }
--- request eval
["GET /d/%ff%fe", "GET /d/%C3%A9", "GET /d/a%80"]
--- response_body eval
["2 terminated\n", "2 terminated\n", "2 terminated\n"]



=== TEST 41: a zero byte in the path is refused by nginx
--- config
    location / { async_route GET "/d/{x}" bytes; }
--- request
GET /d/a%00b
--- error_code: 400



=== TEST 42: the path is normalized before it is routed
--- config
    location / { async_route GET /a/c one; }
--- request eval
["GET /a/b/../c", "GET //a/./c", "GET /a/c?x#y"]
--- response_body eval
[("one GET /a/c\n") x 3]



=== TEST 43: the path of a long request reaches its parameter whole
--- config
    location / { async_route GET "/d/{x}" bytes; }
--- request eval
"GET /d/" . ("x" x 7000)
--- response_body
7000 terminated



=== TEST 44: routes work in a named location
--- config
    location / { try_files /none @app; }
    location @app { async_route GET "/n/{x:int}" one; }
--- request eval
["GET /n/1", "GET /n/a"]
--- error_code eval
[200, 404]
--- response_body eval
["one GET /n/1 x=[1]\n", '{"detail":"Not Found"}']



=== TEST 45: routes work in a location of a regular expression
--- config
    location ~ ^/(r|s)/ {
        async_route GET "/r/{x}" one;
        async_route GET "/s/{x}" two;
    }
--- request eval
["GET /r/1", "GET /s/1"]
--- response_body eval
["one GET /r/1 x=[1]\n", "two GET /s/1 x=[1]\n"]



=== TEST 46: a nested location has routes of its own, and none of the outer ones
--- config
    location /o/ {
        async_route GET "/o/{rest:path}" one;
        location /o/i/ { async_route GET "/o/i/{x}" two; }
    }
--- request eval
["GET /o/a/b", "GET /o/i/1", "GET /o/i/1/2"]
--- error_code eval
[200, 200, 404]
--- response_body_like eval
['^one ', '^two ', 'Not Found']



=== TEST 47: an "if" in the location keeps its routes
--- config
    location / {
        async_route GET "/i/{x}" one;
        if ($arg_a) { set $b 1; }
    }
--- request eval
["GET /i/1", "GET /i/1?a=1"]
--- response_body eval
[("one GET /i/1 x=[1]\n") x 2]



=== TEST 48: an "if" in the location keeps its async_handler
--- config
    location / {
        async_handler two;
        if ($arg_a) { add_header X-If yes; }
    }
--- request eval
["GET /i", "GET /i?a=1"]
--- response_headers eval
["X-Handler: two\n! X-If", "X-Handler: two\nX-If: yes"]



=== TEST 49: an "if" with an answer of its own goes before the routes
--- config
    location / {
        async_route GET /i one;
        if ($arg_a) { return 403; }
    }
--- request eval
["GET /i", "GET /i?a=1"]
--- error_code eval
[200, 403]



=== TEST 50: limit_except keeps the routes and guards them
--- config
    location /open {
        async_route GET,POST /open one;
        limit_except GET { allow all; }
    }
    location /closed {
        async_route GET,POST /closed one;
        limit_except GET { deny all; }
    }
--- request eval
["GET /open", "POST /open\n", "GET /closed", "POST /closed\n"]
--- error_code eval
[200, 200, 200, 403]
--- response_body_like eval
['^one GET', '^one POST', '^one GET', '403 Forbidden']



=== TEST 51: two locations have routes of their own
--- config
    location /a/ { async_route GET "/a/{x}" one; }
    location /b/ { async_route GET "/b/{x}" two; }
    location = /c { async_route GET /c three; }
--- request eval
["GET /a/1", "GET /b/1", "GET /c", "GET /d"]
--- error_code eval
[200, 200, 200, 404]
--- response_body_like eval
['^one ', '^two ', '^three ', '404 Not Found']



=== TEST 52: a rewritten URI is the one that is routed
--- config
    location /old/ { rewrite ^/old/(.*)$ /new/$1 last; }
    location /new/ { async_route GET "/new/{x}" one; }
--- request
GET /old/5
--- response_body
one GET /new/5 x=[5]



=== TEST 53: two servers have the same location with other routes
--- http_config
    server { listen $TEST_NGINX_RAND_PORT_1; location / { async_route GET /m two; } }
--- config
    location /m { async_route GET /m one; }
    location /p { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1/m; }
--- request eval
["GET /m", "GET /p"]
--- response_body eval
["one GET /m\n", "two GET /m\n"]



=== TEST 54: the order of app and server in the configuration does not matter
--- http_config
    server { listen $TEST_NGINX_RAND_PORT_1; location / { async_route GET /m two; } }
    async_app $TEST_NGINX_APPS/route.so;
--- config
    location /p { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1/m; }
--- request
GET /p
--- response_body
two GET /m



=== TEST 55: a pattern need not be of ASCII
--- config eval
"location / { async_route GET \"/gr\xc3\xbc\xc3\x9fe/{x}\" one; }"
--- request
GET /gr%C3%BC%C3%9Fe/1
--- response_body eval
"one GET /gr\xc3\xbc\xc3\x9fe/1 x=[1]\n"



=== TEST 56: an unread body does not become the next request
--- config
    location / { async_route POST /a one; }
--- pipelined_requests eval
["POST /b\nGET /a HTTP/1.1\r\nHost: evil\r\n\r\n", "POST /a\n"]
--- error_code eval
[404, 200]
--- response_body eval
['{"detail":"Not Found"}', "one POST /a\n"]
