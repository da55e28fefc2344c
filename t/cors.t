#!/usr/bin/perl

# async_cors: which pages of other origins may read responses, whoever makes
# them; preflights.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use NginxAsync;

my $n = NginxAsync->new(conf => {
    http   => <<'EOF_HTTP', server => <<'EOF_CONF' })->start;
    async_app  $TEST_NGINX_APPS/security.so;

    server {
        listen       127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        add_header   Access-Control-Allow-Origin  "*" always;
        add_header   Vary  Accept;
        return       200 "behind\n";
    }
EOF_HTTP
    error_page  404  /missing.html;

    location / {
        async_cors   origins=https://a.example,http://localhost:8080
                     "origins=~^https://[a-z]+\.b\.example$"
                     methods=GET,PUT,DELETE headers=X-Token,X-Other
                     expose=X-Total,Link credentials=on max_age=2h;
        async_route  GET      /equal    equal;
        async_route  GET      /bearer   bearer;
        async_route  OPTIONS  /bearer   equal;
    }

    location /all/ {
        async_cors   origins=* headers=*;
        async_route  GET  /all/equal  equal;

        location /all/off/ {
            async_cors   off;
            async_route  GET  /all/off/equal  equal;
        }
    }

    location /proxy/ {
        async_cors  origins=https://a.example;
        proxy_pass  http://127.0.0.1:$TEST_NGINX_RAND_PORT_1;
    }

    location /guarded/ {
        async_cors  origins=https://a.example methods=*;
        deny        all;
    }

    location /error/ {
        async_cors              origins=https://a.example;
        async_intercept_errors  on;
        async_route             GET  /error/equal  equal;
    }

    location = /missing.html {
        return  200 "missing\n";
    }

    location /plain/ {
        return  200 "plain\n";
    }
EOF_CONF

my @FIELDS = qw(Allow-Origin Allow-Credentials Expose-Headers Allow-Methods
    Allow-Headers Max-Age);


# The status of an answer and its fields of CORS, and Vary, by short names.
sub cors {
    my ($method, $uri, %headers) = @_;

    my $res = $n->request($method, $uri,
        headers => [map { ($_ => $headers{$_}) } sort keys %headers]);
    my %got = (status => $res->status);

    for my $name (@FIELDS) {
        my $value = $res->header("Access-Control-$name");
        $got{$name} = $value if defined $value;
    }

    my $vary = $res->header('Vary');
    $got{Vary} = $vary if defined $vary;

    return \%got;
}


sub preflight {
    my ($uri, $origin, $method, $headers) = @_;

    return cors('OPTIONS', $uri, Origin => $origin,
        'Access-Control-Request-Method' => $method,
        defined $headers
            ? ('Access-Control-Request-Headers' => $headers) : ());
}


my %given = ('Allow-Credentials' => 'true',
    'Expose-Headers' => 'X-Total, Link', Vary => 'Origin');

for my $origin ('https://a.example', 'http://localhost:8080',
    'https://www.b.example')
{
    is_deeply cors('GET', '/equal', Origin => $origin),
        { status => 200, 'Allow-Origin' => $origin, %given },
        "$origin may read";
}

for my $origin ('https://a.example.evil', 'http://a.example', 'null',
    'https://A.example', 'https://www.b.example.evil', 'https://bxexample',
    'https://a.example:444')
{
    is_deeply cors('GET', '/equal', Origin => $origin),
        { status => 200, Vary => 'Origin' }, "$origin may not";
}

is_deeply cors('GET', '/equal'), { status => 200, Vary => 'Origin' },
    'without an origin, caches are told that there is another answer';

is_deeply cors('GET', $_->[0], Origin => 'https://a.example'),
    { status => $_->[1], 'Allow-Origin' => 'https://a.example', %given },
    "a $_->[1] may be read" for ['/nothing', 404], ['/bearer', 401];

is_deeply cors('POST', '/equal', Origin => 'https://a.example'),
    { status => 405, 'Allow-Origin' => 'https://a.example', %given },
    'a 405 may be read';

is_deeply cors('GET', '/error/none', Origin => 'https://a.example'),
    { status => 404, 'Allow-Origin' => 'https://a.example',
        Vary => 'Origin' }, 'an error page may be read';


my %granted = (%given, 'Max-Age' => 7200,
    'Allow-Methods' => 'GET, PUT, DELETE', 'Allow-Headers' => 'X-Token, '
    . 'X-Other, accept, accept-language, content-language, content-type');

is_deeply preflight('/equal', 'https://a.example', @$_),
    { status => 204, 'Allow-Origin' => 'https://a.example', %granted },
    'a preflight is granted: ' . join ' ', map { $_ // '-' } @$_ for
    ['PUT'], ['GET', ''], ['DELETE', 'x-token'],
    ['PUT', 'X-Other , Content-Type,x-token'];

is_deeply preflight('/nothing', 'https://a.example', 'PUT'),
    { status => 204, 'Allow-Origin' => 'https://a.example', %granted },
    'also where there is no route, so that the 404 may be read';

for (['https://evil.example', 'PUT', undef, 'origin'],
    ['https://a.example', 'PATCH', undef, 'method'],
    ['https://a.example', 'put', undef, 'method'],
    ['https://a.example', 'PUT', 'x-evil', 'headers'],
    ['https://a.example', 'PUT', 'x-token,x-evil', 'headers'])
{
    my ($origin, $method, $headers, $what) = @$_;

    my $res = $n->request('OPTIONS', '/equal', headers => [
        Origin => $origin, 'Access-Control-Request-Method' => $method,
        defined $headers
            ? ('Access-Control-Request-Headers' => $headers) : ()]);

    is $res->status, 400, "refused: $what";
    is $res->body, "{\"detail\":\"Disallowed CORS $what\"}", '... and why';
    is $res->header('Access-Control-Allow-Methods'), undef,
        '... nothing is granted';
}

is_deeply cors('OPTIONS', '/bearer', Origin => 'https://a.example'),
    { status => 200, 'Allow-Origin' => 'https://a.example', %given },
    'OPTIONS without a question is the route\'s';


is_deeply cors('GET', '/all/equal', Origin => 'https://any.example'),
    { status => 200, 'Allow-Origin' => '*' }, 'all origins may read';
is_deeply cors('GET', '/all/equal'), { status => 200 },
    'nothing is said to others';
is_deeply preflight('/all/equal', 'https://any.example', 'POST', 'x-a, x-b'),
    { status => 204, 'Allow-Origin' => '*', 'Max-Age' => 600,
        'Allow-Methods' => 'GET, HEAD, POST', 'Allow-Headers' => 'x-a, x-b',
        Vary => 'Access-Control-Request-Headers' },
    'all header fields: those asked for';
is_deeply cors('GET', '/all/off/equal', Origin => 'https://any.example'),
    { status => 200 }, 'off within';
is_deeply cors('GET', '/plain/', Origin => 'https://a.example'),
    { status => 200 }, 'nothing where it does not stand';


is_deeply cors('GET', '/proxy/', Origin => 'https://a.example'),
    { status => 200, 'Allow-Origin' => 'https://a.example',
        Vary => 'Accept, Origin' },
    'what is proxied may be read, and says so once';
is_deeply preflight('/proxy/', 'https://a.example', 'POST'),
    { status => 204, 'Allow-Origin' => 'https://a.example',
        'Max-Age' => 600, 'Allow-Methods' => 'GET, HEAD, POST',
        'Allow-Headers' => 'accept, accept-language, content-language, '
            . 'content-type', Vary => 'Origin' },
    'its preflights are answered here';
is preflight('/guarded/', 'https://a.example', 'PATCH')->{status}, 204,
    'preflights come before access is checked';
is_deeply cors('GET', '/guarded/', Origin => 'https://a.example'),
    { status => 403, 'Allow-Origin' => 'https://a.example',
        Vary => 'Origin' }, 'what is forbidden may be read to be so';

my $c = $n->connect;

is $c->request('OPTIONS', '/equal', headers => [
    Origin => 'https://a.example', 'Access-Control-Request-Method' => 'PUT',
    'Content-Length' => 4], body => 'data')->status, 204,
    'a preflight with a body';
is $c->request('GET', '/equal')->status, 200, '... and the connection lives';


my $wrong = NginxAsync->new(allow => '[emerg]');

for (['', qr/invalid number of arguments/],
    ['origin=https://a.example', qr/did you mean "origins="/],
    ['whatever', qr/there are origins=, methods=/],
    ['methods=GET', qr/names no origins/],
    ['origins=', qr/is no origin/],
    ['origins=https://a.example/', qr/is no origin/],
    ['origins=https://', qr/is no origin/],
    ['origins=a.example', qr/is no origin/],
    ['origins=https://A.example', qr/is no origin/],
    ['origins=https://*.example', qr/is no origin/],
    ['origins=https://a.example,', qr/is no origin/],
    ['"origins=~a\.example"', qr/must begin with "\^"/],
    ['"origins=~^(a$"', qr/pcre/],
    ['origins=*,https://a.example', qr/beside "\*"/],
    ['origins=* credentials=on', qr/which browsers refuse/],
    ['origins=* credentials=yes', qr/must be "on" or "off"/],
    ['origins=* max_age=soon', qr/is no time/],
    ['origins=* "methods=GET PUT"', qr/is not the name of a method/],
    ['origins=* headers=x:y', qr/is not the name of a header field/],
    ['origins=* headers=x-*', qr/is not the name of a header field/],
    ['origins=* methods=GET,,PUT', qr/is not the name of a method/],
    ['origins=* expose=', qr/is not the name of a header field/],
    ['origins=*; async_cors off', qr/is duplicate/])
{
    my ($status, $out) = $wrong->conf_test(
        { server => "async_cors $_->[0];" });

    ok $status, "nginx -t refuses: $_->[0]";
    like $out, $_->[1], '... and says why';
    like $out, qr/test\.conf:\d+/, '... and where';
}

done_testing();
