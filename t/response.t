#!/usr/bin/perl

# Responses: what handlers set, what the module answers for them, and how
# both go through nginx's filters.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use NginxAsync;

my $routes = <<'EOF_ROUTES';
            async_route  GET,POST  "/reply/{what}"  reply;
            async_route  GET  "/null/{what}"   nulls;
            async_route  GET  /code            code;
            async_route  GET  /invalid         invalid;
            async_route  GET  /header          header;
            async_route  GET  /headers         headers;
            async_route  GET  /cookies         cookies;
            async_route  GET  /cookie          cookie;
EOF_ROUTES

my $n = NginxAsync->new(conf => {
    http   => <<"EOF_HTTP",
    async_app \$TEST_NGINX_APPS/response.so;
    gzip_types text/plain application/json;
    gzip_min_length 1;

    server {
        listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_1 http2;
        location / {
$routes
        }
    }

    server {
        listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_2;
        gzip on;
        location / {
$routes
        }
    }

    server {
        listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_3;
        expires 1h;
        add_header X-Nginx yes;
        location / {
$routes
        }
    }

    server {
        listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_4;
        async_intercept_errors on;
        error_page 401 404 408 422 500 503 504 /page;
        error_page 400 =200 /page;
        location / {
$routes
        }
        location = /slow { async_timeout 200ms; async_handler code; }
        location = /page { return 200 "a page"; }
    }
EOF_HTTP
    server => <<"EOF_SERVER",
        keepalive_timeout 60;
        location / {
$routes
        }
        location = /slow { async_timeout 200ms; async_handler code; }
EOF_SERVER
})->start;

my $json = 'application/json';
my $text = 'text/plain; charset=utf-8';


sub answers {
    my ($uri, $status, $type, $body, $title) = @_;

    my $r = $n->get($uri);

    is_deeply [$r->status, $r->header('Content-Type'), $r->body],
        [$status, $type, $body], $title;

    return $r;
}


sub logs {
    my ($uri, $status, $pattern, $title) = @_;

    my $mark = $n->mark;
    my $r    = $n->get($uri);

    is $r->status, $status, "$title: $status";
    ok $n->wait_for_log(qr/async handler "response:\w+".*$pattern/, 20, $mark),
        "$title: the log names the handler and the cause";

    return $r;
}


subtest 'Each kind of body has its type' => sub {
    answers '/reply/json', 200, $json, '{"a":"b"}', 'JSON';
    answers '/reply/text', 200, $text, 'text', 'Text is copied';
    answers '/reply/html', 200, 'text/html; charset=utf-8', '<p>html</p>',
        'HTML';
    answers '/reply/bytes', 200, 'application/octet-stream', "a\0b", 'Bytes';
    answers '/reply/bytes?value=image/png', 200, 'image/png', "a\0b",
        'Bytes of a media type';
    answers '/reply/nothing?value=a/b', 200, 'a/b', '', 'No bytes';
    answers '/reply/empty', 200, undef, '', 'No body';
    answers '/header?set=content-type&value=a/b%3Bc=d', 200, 'a/b;c=d', 'body',
        'A Content-Type of the handler wins';
    answers '/header?set=Content-Type&value=', 200, undef, 'body',
        'An empty one removes it';

    is $n->get('/reply/json')->header('Content-Length'), 9,
        'The length is told';
    is $n->get('/reply/empty')->header('Content-Length'), 0,
        'A length of zero is told';
};


subtest 'Every status is sent with its reason' => sub {
    my %reasons = (200 => 'OK', 201 => 'Created', 202 => 'Accepted',
        203 => 'Non-Authoritative Information', 300 => 'Multiple Choices',
        400 => 'Bad Request', 409 => 'Conflict', 410 => 'Gone',
        418 => "I'm a Teapot", 422 => 'Unprocessable Content',
        423 => 'Locked', 428 => 'Precondition Required',
        429 => 'Too Many Requests', 431 => 'Request Header Fields Too Large',
        451 => 'Unavailable For Legal Reasons', 500 => 'Internal Server Error',
        503 => 'Service Temporarily Unavailable', 299 => '', 599 => '');

    for my $status (sort keys %reasons) {
        my $r = $n->get("/reply/json?status=$status");
        is $r->status . ' ' . $r->reason . $r->body,
            "$status $reasons{$status}" . '{"a":"b"}', "$status is sent";
    }

    for my $status (0, 99, 199, 600, -1) {
        logs "/reply/text?status=$status", 500,
            "status $status is not from 200 to 599", "$status is refused";
    }
};


subtest 'Without a body there is no length' => sub {
    for my $status (204, 304) {
        my $c = $n->connect;
        my $r = $c->request('GET', "/reply/json?status=$status");

        is $r->status, $status, "$status is sent";
        is $r->header($_), undef, "$status has no $_"
            for 'Content-Length', 'Content-Type', 'Transfer-Encoding';
        is $c->request('GET', '/reply/text')->body, 'text',
            "No body comes after $status";
    }
};


subtest 'HEAD has the headers of GET' => sub {
    for my $uri ('/reply/json', '/reply/large', '/reply/empty',
        '/reply/fail?status=401&value=x', '/none', '/reply/none', '/invalid')
    {
        my $c = $n->connect;
        my @lists = map { [grep { $_->[0] ne 'Date' } $_->header_list] }
            map { $c->request($_, $uri) } 'HEAD', 'GET';

        is_deeply $lists[0], $lists[1], "The headers of $uri are the same";
    }
};


subtest 'The connection is kept, whatever the answer' => sub {
    my $c = $n->connect;

    for my $uri ('/reply/large', '/reply/none', '/code?code=-4', '/invalid',
        '/slow?slow=1', '/reply/empty', '/none', '/code?code=-5')
    {
        my $r = $c->request('GET', $uri);
        ok $r->complete, "$uri is answered on the same connection";
    }

    is length $c->request('GET', '/reply/large')->body, 5 * 1024 * 1024,
        'A large body is whole';
};


subtest 'A code is answered in place of the handler' => sub {
    my $error = '{"detail":"Internal Server Error"}';

    my $r = answers '/code?code=0', 200, $text, 'from the handler',
        'ASYNC_OK sends what the handler set';
    is $r->header('X-Handler'), 1, 'Its headers are there';

    for my $code (-1, -3, -4, -6, -7, 1, 200, -1000) {
        $r = logs "/code?code=$code", 500, 'failed: ', "Code $code";
        is $r->body, $error, "Code $code says nothing of the inside";
        is $r->header('X-Handler'), undef, "Code $code drops the headers";
    }

    for my $uri ('/code?code=-2', '/slow?slow=1') {
        $r = logs $uri, 504, 'timed out', 'A timeout';
        is $r->body, '{"detail":"Gateway Timeout"}', 'It is JSON';
        is $r->header('X-Handler'), undef, 'It drops the headers';
    }

    $r = answers '/code?code=-5', 503, $json,
        '{"detail":"Service Unavailable"}', 'ASYNC_BUSY is 503';
    is $r->header('Retry-After'), 1, 'It says when to come again';
    is $r->header('X-Handler'), undef, 'It drops the headers';

    $r = answers '/invalid?a=1', 422, $json, '{"detail":[{"type":"missing",'
        . '"loc":["query","b"],"msg":"Field required","input":null}]}',
        'ASYNC_INVALID is 422';
    is $r->header('X-Handler'), undef, 'It drops the headers';

    $r = logs '/reply/none', 500, 'ended without a response', 'No response';
    is $r->body, $error, 'It is JSON';
};


subtest 'A handler fails in its own words' => sub {
    my $r = answers '/reply/fail?status=401&value=who%3F', 401, $json,
        '{"detail":"who?"}', 'The text is the detail';
    is_deeply [$r->headers('WWW-Authenticate')],
        ['Bearer', 'Basic realm="x"'], 'Headers are kept, all of them';

    answers '/reply/fail-json?status=409', 409, $json,
        '{"detail":{"why":[1,2]}}', 'Any JSON is the detail';
    answers '/reply/fail-ok?status=404', 404, $json, '{"detail":"failed"}',
        'The code does not matter';
    answers '/reply/mended?status=404', 200, $text, 'mended',
        'A later response counts';

    $r = logs '/reply/fail-bytes?status=400', 400, 'is not UTF-8',
        'A detail that is no UTF-8';
    is $r->body, '{"detail":null}', 'It is left out';

    logs '/reply/fail?status=200&value=x', 500, 'not from 400 to 599',
        'A failure with 200';
    logs '/reply/fail-null?status=400', 500, 'the value is NULL',
        'A failure without a detail';
};


subtest 'NULL is an error of the handler' => sub {
    logs "/null/$_", 500, 'the value is NULL', "NULL as $_"
        for qw(text bytes redirect file fail cookie);
    logs '/null/header', 500, 'the name is no token', 'NULL as a name';
};


# ---- header fields

subtest 'Set replaces, add adds, NULL removes' => sub {
    my $r = $n->get('/headers');

    is_deeply [grep { $_->[0] =~ /^X-/i } $r->header_list], [
        ['X-One', '1'], ['x-one', '3'], ['X-Three', '4 5'], ['X-Empty', ''],
        ['X-TWO', '6'],
    ], 'All are there in their order, without spaces around';

    $r = $n->get('/header?set=X-A&value=1&again=2');
    is_deeply [$r->headers('X-A')], [2], 'Set replaces';
    $r = $n->get('/header?add=X-A&value=1&again=2');
    is_deeply [$r->headers('X-A')], [1, 2], 'Add adds';
    $r = $n->get('/header?add=X-A&value=1&again=2&remove=x-a');
    is_deeply [$r->headers('X-A')], [], 'NULL removes all';
    is $n->get('/header?add=X-A&value=%c3%a9%ff')->header('X-A'),
        "\xc3\xa9\xff", 'Bytes above ASCII pass';
    is $n->get('/header?add=X-A&value=a%09b')->header('X-A'), "a\tb",
        'So does a tab';
};


subtest 'Cookies are made and refused' => sub {
    is_deeply [$n->get('/cookies')->headers('Set-Cookie')],
        ['a=1; Path=/; SameSite=Lax', 'b=; Max-Age=0', 'c=x=y'],
        'Several cookies are several fields';

    for my $bad ('name=a%20b&value=1', 'name=&value=1', 'name=a%3D&value=1',
        'name=a&value=b%20c', 'name=a&value=b%2Cc', 'name=a&value=b%3Bc',
        'name=a&value=%22', 'name=a&value=%5C', 'name=a&value=%c3%a9',
        'name=a&value=b%0d%0aX:y', 'name=a&value=b%7f')
    {
        my $r = logs "/cookie?$bad", 500, 'RFC 6265', "The cookie $bad";
        is $r->header('Set-Cookie'), undef, "The cookie $bad is not set";
    }

    my $r = logs '/cookie?name=a&value=b&attributes=x%0d%0aX-Evil:%20y', 500,
        'control character', 'Attributes with a line';
    is $r->header('X-Evil'), undef, 'They make no field';
};


subtest 'No character splits a response' => sub {
    for my $code (1 .. 8, 10 .. 31, 127) {
        my $c = sprintf '%%%02x', $code;
        my $r = logs "/header?set=X-A&value=a${c}X-Evil:%20b", 500,
            'the value has a control character', "$c in a value";
        is $r->header('X-Evil'), undef, "$c makes no field";
    }

    for my $name ('', 'a%20b', 'a:b', 'a%0d%0ab', 'a%0a', 'a(b', 'a%22',
        'a%c3%a9', 'a/b', 'a%7f')
    {
        logs "/header?add=$name&value=1", 500, 'the name is no token',
            "The name \"$name\"";
    }

    logs '/reply/redirect?status=302&value=/a%0d%0aX-Evil:%20b', 500,
        'control character', 'A line in a Location';
    logs '/reply/bytes?value=a/b%0d%0aX-Evil:%20b', 500,
        'control character', 'A line in a media type';
    logs '/reply/bytes?value=', 500, 'is empty', 'An empty media type';
};


subtest 'Framing is for nginx only' => sub {
    for my $name (qw(Connection content-length Date Keep-Alive Trailer
        Transfer-Encoding UPGRADE))
    {
        my $r = logs "/header?set=$name&value=x", 500,
            'nginx makes this one', "$name is refused";
        isnt $r->header($name), 'x', "$name is nginx's";
    }
};


subtest 'A redirect goes where it says' => sub {
    my %locations = (
        '/a' => '/a', 'b?c=d%26e' => 'b?c=d&e', '%2e%2e/x%23y' => '../x#y',
        'http://h:1/%3Fa' => 'http://h:1/?a', '' => '', '//h/x' => '//h/x',
        '/a%20b%c3%a9%22%3C%5C' => '/a%20b%C3%A9%22%3C%5C',
        '/a%252Fb' => '/a%2Fb',
    );

    for my $value (sort keys %locations) {
        my $r = $n->get("/reply/redirect?status=307&value=$value");
        is $r->header('Location'), $locations{$value},
            "$value is $locations{$value}";
    }

    for my $status (301, 302, 303, 307, 308) {
        my $r = $n->get("/reply/redirect?status=$status&value=/x");
        is_deeply [$r->status, $r->header('Location'), $r->body],
            [$status, '/x', ''], "$status is a redirect";
    }

    logs '/reply/redirect?status=200&value=/x', 500, 'status 200 is none of',
        '200 is no redirect';
};


# ---- through nginx

subtest 'Fields that nginx makes, too, come once' => sub {
    my %fields = (Server => 'mine', ETag => '"x"', 'Cache-Control' => 'private',
        'Last-Modified' => 'Mon, 01 Jan 2024 00:00:00 GMT',
        Expires => 'Thu, 01 Jan 1970 00:00:01 GMT');

    for my $name (sort keys %fields) {
        (my $value = $fields{$name}) =~ s/ /%20/g;
        my $r = $n->get("/header?set=$name&value=$value");
        is_deeply [$r->headers($name)], [$fields{$name}], "$name is $value";
        $r = $n->http2("/header?set=$name&value=$value", port => $n->port(1));
        is_deeply [$r->headers($name)], [$fields{$name}],
            "$name is $value over HTTP/2";
    }

    my $r = $n->get('/header?set=Cache-Control&value=private',
        port => $n->port(3));
    is_deeply [$r->headers('Cache-Control')], ['max-age=3600'],
        'expires replaces Cache-Control';
    is scalar(() = $r->headers('Expires')), 1, 'And makes one Expires';
    $r = $n->get('/header?set=Expires&value=x', port => $n->port(3));
    isnt $r->header('Expires'), 'x', 'It replaces Expires, too';
    is $r->header('X-Nginx'), 'yes', 'add_header adds';
};


subtest 'Conditional requests are answered by nginx' => sub {
    my $c   = $n->connect;
    my $tag = '/header?set=ETag&value=%22x%22';
    my $r   = $c->request('GET', $tag, headers => ['If-None-Match', '"x"']);

    is_deeply [$r->status, $r->header('ETag'), $r->header('Content-Length')],
        [304, '"x"', undef], 'An ETag that is known is 304';
    is $c->request('GET', $tag, headers => ['If-None-Match', '"y"'])->body,
        'body', 'Another one is answered in full';

    my $date = 'Mon, 01 Jan 2024 00:00:00 GMT';
    (my $value = $date) =~ s/ /%20/g;
    $r = $c->request('GET', "/header?set=Last-Modified&value=$value",
        headers => ['If-Modified-Since', $date]);
    is $r->status, 304, 'A time that is known is 304';
    $r = $c->request('GET', "/header?set=Last-Modified&value=$value&status=201",
        headers => ['If-Modified-Since', $date]);
    is $r->status, 201, 'Only 200 becomes 304';
    $r = $c->request('GET', '/header?set=Last-Modified&value=never');
    is $r->header('Last-Modified'), 'never', 'What is no time is sent as it is';
};


subtest 'nginx compresses by type' => sub {
    my @gzip = (port => $n->port(2), headers => ['Accept-Encoding', 'gzip']);

    for my $what (qw(json text page)) {
        my $r = $n->get("/reply/$what", @gzip);
        is $r->header('Content-Encoding'), 'gzip', "$what is compressed";
        is $r->header('Content-Length'), undef, "$what has no length";
    }

    is $n->get('/reply/bytes', @gzip)->header('Content-Encoding'), undef,
        'Bytes are not';
    is $n->get('/header?set=Content-Encoding&value=br', @gzip)
        ->header('Content-Encoding'), 'br', 'What is encoded is left alone';
    is $n->get('/header?set=ETag&value=%22x%22', @gzip)->header('ETag'),
        'W/"x"', 'An ETag is weak then';

    my $c = $n->connect(port => $n->port(2));
    $c->request('HEAD', '/reply/page', @gzip);
    is $c->request('GET', '/reply/text')->body, 'text',
        'HEAD has no body then either';
};


subtest 'HTTP/2 carries all of it' => sub {
    my @h2 = (port => $n->port(1));

    is $n->http2('/reply/json', @h2)->body, '{"a":"b"}', 'JSON';
    is length $n->http2('/reply/large', @h2)->body, 5 * 1024 * 1024, '5 MB';
    is $n->http2('/reply/json?status=204', @h2)->status, 204, 'No body';
    is $n->http2('/code?code=-5', @h2)->header('Retry-After'), 1,
        'The answer to a code';

    my $r = $n->http2('/headers', @h2);
    is_deeply [grep { $_->[0] =~ /^x-/ } $r->header_list], [
        ['x-one', '1'], ['x-one', '3'], ['x-three', '4 5'], ['x-empty', ''],
        ['x-two', '6'],
    ], 'Header fields';

    $r = $n->http2('/reply/page', @h2, args => ['-I']);
    is_deeply [$r->status, $r->header('Content-Length'), $r->body],
        [200, 5000, ''], 'HEAD';
};


subtest 'Error pages take over when they are asked to' => sub {
    my @port = (port => $n->port(4));

    for my $uri ('/reply/fail?status=404&value=x', '/none', '/invalid',
        '/reply/none', '/code?code=-5', '/slow?slow=1',
        '/reply/json?status=404')
    {
        is $n->get($uri, @port)->body, 'a page', "$uri shows the page";
    }

    my $r = $n->get('/reply/fail?status=408&value=x', @port);
    is $r->status . ' ' . $r->body, '408 {"detail":"x"}',
        '408, at which nginx would close, shows itself';

    $r = $n->get('/reply/fail?status=401&value=x', @port);
    is $r->body, 'a page', '401 shows the page';
    is_deeply [$r->headers('WWW-Authenticate')],
        ['Bearer', 'Basic realm="x"'], '401 keeps its challenges';

    is $n->get('/reply/fail?status=400&value=x', @port)->status, 200,
        'A page may change the status';
    is $n->get('/reply/fail?status=409&value=x', @port)->body,
        '{"detail":"x"}', 'Another status is left alone';
};

$n->stop;
done_testing;
