#!/usr/bin/perl

# Handlers where other modules of nginx have a say: errors and their pages,
# redirects, subrequests, filters.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use NginxAsync::Life;

my $nginx = life();

# ---- timeouts, errors and their pages

{
    my $r = $nginx->get('/short?ms=60000');
    is $r->status . $r->body, '504{"detail":"Gateway Timeout"}',
        'async_timeout answers 504';
    is $nginx->get('/short?ms=10')->status, 200, '... if it passes';

    $r = $nginx->get('/plain/?status=404&tag=detail');
    is $r->status . $r->body, '404{"detail":"detail"}',
        "a handler's 404 passes error_page";
    $r = $nginx->get('/intercept/?status=404&tag=detail');
    is $r->status, 404, 'async_intercept_errors keeps the status';
    is $r->body, "page of 404 for /intercept/?status=404&tag=detail\n",
        '... and gives it to error_page';
    is $nginx->get('/intercept/?status=404&tag=d&ms=0')->body,
        "page of 404 for /intercept/?status=404&tag=d&ms=0\n",
        '... also from a handler that did not suspend';
    is $nginx->get('/intercept/?status=500&tag=d')->body, '{"detail":"d"}',
        '... but not a status that has no error_page';
    $r = $nginx->get('/intercept/?status=418');
    is $r->status . ' ' . $r->body, "200 page of 200 for /intercept/?status=418\n",
        'error_page with =200 to a named location';
    $r = $nginx->get('/intercept/?ms=60000');
    is $r->status . ' ' . $r->body, "504 page of 504 for /intercept/?ms=60000\n",
        'a timeout is intercepted, too, and the page has time of its own';

    $r = $nginx->get('/twice?status=404&tag=t');
    is $r->body, '{"detail":"the page failed, too"}',
        'the page of an error page is not looked for';
    $r = $nginx->get('/recursive?status=404&tag=t');
    like $r->body, qr/^page of 503 for /,
        '... unless recursive_error_pages is on';
    $r = $nginx->get('/inner-recursive?status=404&tag=t');
    is $r->body, '{"detail":"the page failed, too"}',
        '... where the first page was looked for';

    like $nginx->get('/missing')->body, qr{^page of 404 for /missing\n},
        'error_page of a missing file is a handler';
    like $nginx->get('/upstream')->body, qr{^page of 502 for /upstream\n},
        "error_page of an upstream's 502 is a handler";
    $r = $nginx->post('/too-large', 'x' x 100);
    is $r->body, "nap -\n", 'error_page of 413 is a handler';

    forget_marks();
    my $c = $nginx->connect;
    $c->send("POST /too-large?tag=big&ms=60000 HTTP/1.1\r\nHost: x\r\n"
        . "Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n");
    marked(qr/big begins/);
    $c->send("a\r\n1234567890\r\n");
    ok marked(qr/big begins\n(?:.*\n)*big begins/),
        'error_page of a 413 amid the body is a handler';
    ok marked(qr/big cancelled/), '... and that of the body is cancelled';
    $c->reset;
    ok marked(qr/big cancelled\n(?:.*\n)*big cancelled/),
        '... and so is the other one when the client leaves';
    is_idle('... and nothing of it is left');

    is $nginx->post('/small', 'x' x 100)->status, 413,
        'await_body() of what is too large gives 413';
    $c = $nginx->connect;
    $c->send("POST /small HTTP/1.1\r\nHost: x\r\n"
        . "Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n", "a\r\n1234567890\r\n");
    is $c->response->status, 413, '... also if that shows later';
    $c->close;
    $c = $nginx->connect;
    $c->send("POST /impatient HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc");
    is $c->read_all, '', 'client_body_timeout closes the connection (408)';
    $c = $nginx->connect;
    $c->send("POST /body-or HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc");
    is $c->response->body, 'timeout', 'a deadline ends await_body()';
    ok $c->send("GET /nap?tag=smuggled HTTP/1.1\r\nHost: x\r\n\r\n"), 'more is sent';
    is $c->read_all, '', '... and the connection is not used again';

    is $nginx->get('/fails')->body, '{"detail":"Internal Server Error"}',
        'a failure says nothing of its cause';
    $c = $nginx->connect;
    is $c->request('GET', '/fails')->status, 500, 'a 500';
    is $c->request('GET', '/nap?tag=k&ms=1')->body, "nap k\n",
        '... does not end the connection';
    $c->close;
}

# ---- redirects

is $nginx->get('/rewritten/where')->body, "at /where\n", 'rewrite last';
is $nginx->get('/broken/x')->body, "at /elsewhere\n", 'rewrite break';
is $nginx->get('/try/x')->body, "at /try/x\n", 'try_files to a named location';
is $nginx->get('/try2/x')->body, "at /where\n", 'try_files to a handler';
is $nginx->get('/dir/')->body, "at /where\n", 'index to a handler';
is $nginx->get('/if/?x=1')->body, "at /if/\n", 'a block of "if"';

# ---- subrequests

{
    is $nginx->get('/ssi.html')->body, "Anap a\nBnap b\nCnap c\nD",
        'SSI: three includes that end in reverse order';
    is $nginx->get('/many.html')->body, join('', map { "nap $_\n" } 1 .. 400),
        'SSI: 400 includes that are suspended together';
    is $nginx->get('/nested')->body, "[(nap x\n,nap y\n)|nap n\n]",
        'SSI: includes within includes, all by handlers';
    is $nginx->http2('/nap?tag=x&ms=1', port => $nginx->port(1))->body, "nap x\n",
        'curl agrees';

    forget_marks();
    my $c = $nginx->connect;
    $c->send_request('GET', '/abort.html');
    marked(qr/s$_ begins/) for 1 .. 5;
    $c->reset;
    ok marked(qr/s$_ cancelled/), "a client that leaves cancels include $_"
        for 1 .. 5;
    is_idle('... and nothing of them is left');

    forget_marks();
    my $text = $nginx->connect->send("GET /gone444 HTTP/1.0\r\n\r\n")->read_all;
    ok marked(qr/(?s:s cancelled.*s cancelled)/),
        'an include that closes the connection cancels its siblings';
    is_idle('... and nothing of them is left either');

    my $r = $nginx->get('/guarded');
    is $r->status, 401, 'auth_request denies';
    is $r->header('WWW-Authenticate'), 'Bearer realm="t"',
        "... with the handler's WWW-Authenticate";
    is $nginx->get('/guarded', headers => ['X-Token' => 'no'])->status, 403,
        'auth_request forbids';
    is $nginx->get('/guarded', headers => ['X-Token' => 'letmein'])->body,
        "at /guarded\n", 'auth_request allows';
    is $nginx->get('/guarded-error')->status, 500,
        'auth_request with a handler that fails';
    $nginx->allow(qr/auth request unexpected status: 500/);

    forget_marks();
    $c = $nginx->connect;
    $c->send_request('GET', '/guarded');
    $c->reset;
    is_idle('a client that leaves during auth_request leaves nothing');

    forget_marks();
    is $nginx->get('/mirrored')->body, "at /mirrored\n", 'mirror answers';
    ok marked(qr/mirror ok/), '... and its copy is served by a handler';

    forget_marks();
    $c = $nginx->connect;
    $c->send_request('GET', '/mirrored');
    marked(qr/mirror begins/);
    $c->reset;
    ok marked(qr/mirror (?:ok|cancelled)/), 'a mirror of a client that left ends';
    is_idle('... and nothing of it is left');

    is $nginx->get('/addition')->body, "nap before\nat /addition\nnap after\n",
        'add_before_body and add_after_body';
}

# ---- filters and phases

{
    my $r = $nginx->get('/gz/?k=100', headers => ['Accept-Encoding' => 'gzip']);
    is $r->header('Content-Encoding'), 'gzip', 'gzip';
    require IO::Uncompress::Gunzip;
    my $body = $r->body;
    IO::Uncompress::Gunzip::gunzip(\$body, \my $plain);
    is $plain, 'x' x 102400, '... of all of it';

    is $nginx->get('/limited')->status, 200, 'limit_req lets pass';
    is $nginx->get('/limited')->status, 503, '... and refuses';

    is $nginx->get('/file')->body, $nginx->read_file('html/index.html'), 'a file';
    is length $nginx->get('/large?k=5000')->body, 5_120_000,
        'a body larger than any socket buffer';

    my $c = $nginx->connect(rcvbuf => 4096);
    $c->send_request('GET', '/large?k=5000');
    $c->read(100);
    $c->reset;
    is_idle('a client that leaves within the answer leaves nothing');
}

ok seen_log(qr{GET /large\?k=5000 HTTP/1.1 200 5120000 - \d+}),
    'the access log has the status and the bytes';

$nginx->stop;

done_testing;
