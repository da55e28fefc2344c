#!/usr/bin/perl

# What a handler reads of its request beside parameters and body: method, URI,
# header fields, cookies, the client, settings, nginx variables; and memory.

use Test::Nginx::Socket 'no_plan';

# Each handler at the URI of its name, unless the block has a configuration.
add_block_preprocessor(sub {
    my ($block) = @_;

    my $http = $block->http_config // '';
    $block->set_value(http_config =>
        "async_app \$TEST_NGINX_APPS/input.so;\n$http");
    return if defined $block->config;

    my $config = CORE::join "\n",
        map { "location /$_ { async_handler $_; }" }
        qw(method uri query_string headers cookie client setting variable
           memory too_much kept);

    $block->set_value(config => "$config\nlocation = /header "
        . '{ async_handler header; }');
});

no_root_location();
run_tests();

__DATA__

=== TEST 1: the method is that of the request, also one that nginx does not know
--- request eval
["GET /method", "POST /method\n", "DELETE /method", "PURGE /method",
 "M-SEARCH /method"]
--- response_body eval
["GET", "POST", "DELETE", "PURGE", "M-SEARCH"]



=== TEST 2: the URI is decoded, normalized and without arguments
--- request eval
["GET /uri", "GET /uri/a%20b/../c?x=1", "GET //uri/%C3%BC"]
--- response_body eval
["/uri", "/uri/c", "/uri/\xc3\xbc"]



=== TEST 3: the query string is as received
--- request eval
["GET /query_string?a=1&b=%20+", "GET /query_string?a?b"]
--- response_body eval
["a=1&b=%20+", "a?b"]



=== TEST 4: there is no query string without a question mark
--- request
GET /query_string
--- response_body: absent



=== TEST 5: a header field is found in any case
--- request eval
["GET /header?n=X-Foo", "GET /header?n=x-foo", "GET /header?n=X-FOO"]
--- more_headers
x-FOO: the value
--- response_body eval
[("the value") x 3]



=== TEST 6: of several header fields of a name the first one is given
--- request
GET /header?n=X-Foo
--- more_headers
X-Foo: one
X-Foo: two
--- response_body: one



=== TEST 7: a header field that is not there is absent
--- request eval
["GET /header?n=X-Foo", "GET /header?n=X-Fo", "GET /header?n="]
--- more_headers
X-Foo2: one
--- response_body eval
[("absent") x 3]



=== TEST 8: an empty header field is there
--- raw_request eval
"GET /header?n=X-Foo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Foo:\r\n\r\n"
--- response_body



=== TEST 9: fields that nginx has places for are header fields like others
--- request eval
["GET /header?n=host", "GET /header?n=User-Agent",
 "GET /header?n=Authorization"]
--- more_headers
User-Agent: me
Authorization: Basic eDp5
--- response_body eval
["localhost", "me", "Basic eDp5"]



=== TEST 10: all header fields are listed in their order
--- raw_request eval
"GET /headers HTTP/1.1\r\nHost: x\r\nX-B: 2\r\nx-a: 1\r\nX-B: 3\r\nConnection: close\r\n\r\n"
--- response_body
Host=x
X-B=2
x-a=1
X-B=3
Connection=close
5 none none



=== TEST 11: a hundred header fields are listed, too
--- raw_request eval
"GET /headers HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    . CORE::join('', map { "X-$_: $_\r\n" } 1 .. 98) . "\r\n"
--- response_body eval
"Host=x\nConnection=close\n" . CORE::join('', map { "X-$_=$_\n" } 1 .. 98)
    . "100 none none\n"



=== TEST 12: a cookie is found among others
--- request eval
["GET /cookie?n=a", "GET /cookie?n=b", "GET /cookie?n=c"]
--- more_headers
Cookie: a=1; b=two words; c=x=y
--- response_body eval
["1", "two words", "x=y"]



=== TEST 13: names of cookies are whole, and their case matters
--- request eval
["GET /cookie?n=a", "GET /cookie?n=AB", "GET /cookie?n=b", "GET /cookie?n="]
--- more_headers
Cookie: ab=1; ba=2; novalue
--- response_body eval
[("absent") x 4]



=== TEST 14: of several cookies of a name the last one is given
--- request
GET /cookie?n=a
--- more_headers
Cookie: a=1; b=2; a=3
--- response_body: 3



=== TEST 15: the quotes around the value of a cookie are taken off
--- request eval
["GET /cookie?n=a", "GET /cookie?n=b", "GET /cookie?n=c", "GET /cookie?n=d"]
--- more_headers
Cookie: a="quoted"; b="; c=""; d="half
--- response_body eval
["quoted", "\"", "", "\"half"]



=== TEST 16: a cookie may be empty
--- request
GET /cookie?n=a
--- more_headers
Cookie: a=; b=1
--- response_body



=== TEST 17: without cookies there is none
--- request
GET /cookie?n=a
--- response_body: absent



=== TEST 18: spaces around cookies, their names and values do not count
--- raw_request eval
"GET /cookie?n=b HTTP/1.1\r\nHost: x\r\nConnection: close\r\nCookie: a=1;b =\t 2  ;   c=3\r\n\r\n"
--- response_body: 2



=== TEST 19: cookies may be in several fields
--- request eval
["GET /cookie?n=a", "GET /cookie?n=b", "GET /cookie?n=c"]
--- more_headers
Cookie: a=1; b=2
cookie: b=3; c=4
--- response_body eval
["1", "3", "4"]



=== TEST 20: the client is its address
--- request
GET /client
--- response_body: 127.0.0.1



=== TEST 21: the client is the one of the realip module
--- config
    set_real_ip_from 127.0.0.1;
    real_ip_header X-Real-IP;
    location / { async_handler client; }
--- request
GET /
--- more_headers
X-Real-IP: 192.0.2.7
--- response_body: 192.0.2.7



=== TEST 22: settings are inherited, and inner ones stand before outer ones
--- http_config
    async_param a http; async_param b http; async_param c http;
--- config
    async_param b server; async_param c server; async_param d server;
    location / {
        async_param c location; async_param e location;
        async_handler setting;
        location /nested { async_param e nested; async_handler setting; }
    }
    location /other { async_handler setting; }
--- request eval
[(map { "GET /?n=$_" } 'a' .. 'f'), "GET /nested?n=e", "GET /nested?n=c",
 "GET /other?n=c", "GET /other?n=e", "GET /nested?n=a"]
--- response_body eval
["http", "server", "location", "server", "location", "absent",
 "nested", "location", "server", "absent", "http"]



=== TEST 23: another server does not see the settings of this one
--- http_config
    async_param a http;
    server {
        listen $TEST_NGINX_RAND_PORT_1;
        async_param b other;
        location / { async_handler setting; }
    }
--- config
    async_param a here;
    location / { async_handler setting; }
    location /p { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
--- request eval
["GET /?n=a", "GET /?n=b", "GET /p?n=a", "GET /p?n=b"]
--- response_body eval
["here", "absent", "http", "other"]



=== TEST 24: a setting may be empty, and have spaces
--- config
    location / { async_param a ""; async_param b "x  y"; async_handler setting; }
--- request eval
["GET /?n=a", "GET /?n=b", "GET /?n="]
--- response_body eval
["", "x  y", "absent"]



=== TEST 25: an "if" in a location sees the settings of it
--- config
    location / {
        async_param a 1;
        async_handler setting;
        if ($arg_x) { set $y 1; }
    }
--- request
GET /?n=a&x=1
--- response_body: 1



=== TEST 26: variables of nginx can be read, in any case
--- request eval
["GET /variable?n=request_method", "GET /variable?n=REQUEST_METHOD",
 "GET /variable?n=scheme", "GET /variable?n=arg_n", "GET /variable?n=http_x_foo"]
--- more_headers
X-Foo: bar
--- response_body eval
["GET", "GET", "http", "arg_n", "bar"]



=== TEST 27: a variable that is unknown or without a value is absent
--- request eval
["GET /variable?n=no_such_variable", "GET /variable?n=http_x_foo",
 "GET /variable?n=arg_other", "GET /variable?n=", "GET /variable?n=1"]
--- response_body eval
[("absent") x 5]



=== TEST 28: variables of "set" and "map" are computed
--- http_config
    map $arg_k $mapped { default none; a "is $arg_k"; e ""; }
--- config
    location / { set $own "own $arg_k"; async_handler variable; }
--- request eval
["GET /?n=own&k=1", "GET /?n=mapped&k=a", "GET /?n=mapped", "GET /?n=mapped&k=e"]
--- response_body eval
["own 1", "is a", "none", ""]



=== TEST 29: a variable of "set" can be set, and is seen by the response's headers
--- config
    location / {
        set $own before;
        add_header X-Own $own;
        async_handler set_variable;
    }
--- request eval
["GET /?n=own&v=after", "GET /?n=OWN&v=case", "GET /?n=own&v=", "GET /?n=own&v=late&await=1"]
--- response_body eval
["after", "case", "", "late"]
--- response_headers eval
["X-Own: after", "X-Own: case", "! X-Own", "X-Own: late"]



=== TEST 30: a variable that was set is in the access log
--- http_config
    log_format own 'own is $own';
--- config
    set $own before;
    location / {
        access_log logs/access.log own;
        async_handler set_variable;
    }
--- request
GET /?n=own&v=logged
--- response_body: logged
--- access_log
own is logged



=== TEST 31: a variable with a setter of its own can be set
--- config
    location / { async_handler set_variable; }
--- request
GET /?n=args&v=a%3D1
--- response_body: a=1



=== TEST 32: a variable that does not exist cannot be set
--- config
    location / { async_handler set_variable; }
--- request
GET /?n=nothing&v=1
--- error_code: 400
--- response_body chomp
{"detail":"there is no variable \"nothing\""}



=== TEST 33: a variable that nginx computes cannot be set
--- config
    location / { add_header X-Uri $uri; async_handler set_variable; }
--- request eval
["GET /?n=uri&v=1", "GET /?n=remote_addr&v=1"]
--- error_code eval
[400, 400]
--- response_body eval
['{"detail":"the variable \"uri\" cannot be set"}',
 '{"detail":"the variable \"remote_addr\" cannot be set"}']



=== TEST 34: memory is aligned for any type and lives as long as the request
--- request
GET /memory
--- response_body: fine



=== TEST 35: memory beyond any size is refused without asking the system
--- request
GET /too_much
--- response_body: none



=== TEST 36: strings of the request survive an await
--- request
POST /kept
abc
--- more_headers
X-Kept: value
--- response_body: the same



=== TEST 37: header fields with underscores are given where nginx takes them
--- config
    underscores_in_headers on;
    location / { async_handler header; }
--- request
GET /?n=x_foo
--- more_headers
X_Foo: under
--- response_body: under



=== TEST 38: the variables and the method are those of a HEAD request, too
--- config
    location / { async_handler method; add_header X-M $request_method; }
--- request
HEAD /
--- response_headers
Content-Length: 4
X-M: HEAD



=== TEST 39: within the quotes of a cookie a backslash has its meaning, and else none
--- request eval
["GET /cookie?n=a", "GET /cookie?n=b", "GET /cookie?n=c", "GET /cookie?n=d"]
--- more_headers
Cookie: a="x\"y\\z\073"; b="\303\251\8\400"; c=a\"b; d="\\"
--- response_body eval
["x\"y\\z;", "\xc3\xa984\x{30}0", "a\\\"b", "\\"]
