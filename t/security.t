#!/usr/bin/perl

# Who asks: tokens, names with passwords, keys, and how they are compared.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use MIME::Base64 qw(encode_base64);
use Test::More;

use NginxAsync;

my $n = NginxAsync->new(conf => {
    http   => "async_app \$TEST_NGINX_APPS/security.so;\n",
    server => <<'EOF_CONF' })->start;
    location / {
        async_route  GET  /bearer        bearer;
        async_route  GET  /basic         basic;
        async_route  GET  /basic-thread  basic_thread;
        async_route  GET  /no-realm      no_realm;
        async_route  GET  "/key/{in}"    key;
        async_route  GET  /equal         equal;
    }
EOF_CONF

my $NONE = '{"detail":"Not authenticated"}';
my $BAD  = '{"detail":"Invalid authentication credentials"}';


# status, body and challenge of a request with these Authorization fields
sub asked {
    my ($uri, @fields) = @_;

    my $res = $n->get($uri,
        headers => [map { (Authorization => $_) } @fields]);

    return [$res->status, $res->body, $res->header('WWW-Authenticate')];
}


is_deeply asked('/bearer', @{ $_->[1] }), [200, $_->[2], undef], $_->[0] for
    ['a token is taken', ['Bearer abc.DEF-123_~+/=='], 'abc.DEF-123_~+/=='],
    ['the scheme is in any case', ['bEARER x'], 'x'],
    ['spaces behind the scheme do not matter', ['Bearer    x'], 'x'],
    ['a token need not be base64', ['Bearer 1|x:y'], '1|x:y'];

is_deeply asked('/bearer', @{ $_->[1] }), [401, $NONE, 'Bearer'], $_->[0] for
    ['no field at all', []],
    ['an empty field', ['']],
    ['another scheme', ['Basic abc']],
    ['a scheme that begins alike', ['Bearerx abc']],
    ['the scheme alone', ['Bearer']];

is $n->get('/bearer', headers => [map { (Authorization => "Bearer $_") }
    qw(a b)])->status, 400, 'two fields, of which another one may be taken';

is_deeply asked('/bearer', @{ $_->[1] }),
    [401, $BAD, 'Bearer error="invalid_token"'], $_->[0] for
    ['a token with a space', ['Bearer a b']],
    ['a token with a tab', ["Bearer a\tb"]],
    ['a token that is not ASCII', ["Bearer \xc3\xa4"]];


my $realm = 'Basic realm="the \"back\\\\slash\" realm", charset="UTF-8"';

for my $uri ('/basic', '/basic-thread') {

    is_deeply asked($uri, 'Basic ' . encode_base64($_->[1], '')),
        [200, $_->[2], undef], "$uri: $_->[0]" for
        ['name and password', 'Aladdin:open sesame',
            '["Aladdin","open sesame"]'],
        ['the password may have colons', 'a:b:c', '["a","b:c"]'],
        ['both may be empty', ':', '["",""]'],
        ['UTF-8', "\xc3\xa4:\xe2\x82\xac", "[\"\xc3\xa4\",\"\xe2\x82\xac\"]"];

    is_deeply asked($uri, @{ $_->[1] }), [401, $NONE, $realm],
        "$uri: $_->[0]" for
        ['no field', []],
        ['another scheme', ['Bearer YTpi']];

    is_deeply asked($uri, "Basic $_->[1]"), [401, $BAD, $realm],
        "$uri: $_->[0]" for
        ['no base64', 'a:b'],
        ['no padding', 'YTpiYw'],
        ['something behind the padding', 'YTpiYw==YTpi'],
        ['too much padding', 'YTp==='],
        ['padding alone', '===='],
        ['base64 for URLs', encode_base64("a:\xc3\xbf\xc3\xbf", '')
            =~ tr{+/}{-_}r . '-_=='],
        ['a space in it', 'YTpi Yw=='],
        ['no colon', encode_base64('nobody', '')],
        ['a zero', encode_base64("a\0b:c", '')],
        ['a zero in the password', encode_base64("a:b\0c", '')],
        ['a line feed', encode_base64("a\n:c", '')],
        ['no UTF-8', encode_base64("a:\xff", '')];
}

my $since = $n->mark;

is asked('/no-realm')->[0], 500, 'a realm with a line feed is no header';
like_log $n, $since, qr/wants a realm without control/, 'the log says so';


sub keyed {
    my ($uri, @headers) = @_;

    my $res = $n->get($uri, headers => [@headers]);

    return [$res->status, $res->body, $res->header('WWW-Authenticate')];
}


is_deeply keyed('/key/header', 'X-Key', 'k1'), [200, 'k1', undef],
    'a key in a header';
is_deeply keyed('/key/query?x-key=k%202'), [200, 'k 2', undef],
    'a key in the query';
is_deeply keyed('/key/cookie', 'Cookie', 'a=b; x-key=k3'),
    [200, 'k3', undef], 'a key in a cookie';

is_deeply keyed("/key/$_->[0]", @{ $_->[1] }), [401, $NONE, 'APIKey'],
    "no key: $_->[0]" for
    ['header', ['Cookie', 'x-key=k']],
    ['header', ['X-Key', '']],
    ['query', ['X-Key', 'k']],
    ['query?x-key=', []],
    ['cookie', []];

$since = $n->mark;

is keyed('/key/path')->[0], 500, 'a key in the path is a mistake';
like_log $n, $since, qr/a header, the query or a cookie/, 'the log says so';


is $n->get("/equal$_->[0]")->body, $_->[1], "compared: $_->[0]" for
    ['?a=secret&b=secret', 'equal'],
    ['?a=secret&b=secreT', 'differ'],
    ['?a=Secret&b=secret', 'differ'],
    ['?a=secret&b=secre', 'differ'],
    ['?a=secre&b=secret', 'differ'],
    ['?a=a%00b&b=a', 'differ'],
    ['?a=&b=', 'equal'],
    ['?a=', 'differ'],
    ['?b=', 'differ'],
    ['', 'differ'];

done_testing();
