#!/usr/bin/perl

# Handlers within nginx's life of a request: clients that leave, redirects,
# error pages, subrequests, bodies that nobody reads, pipelines, HTTP/2, TLS.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(sleep time);

use NginxAsync;
use NginxAsync::Conf;
use NginxAsync::Http2;

# What is sent to it is kept.
package Packet {
    sub new   { return bless { bytes => '' } }
    sub send  { my ($self, @bytes) = @_; $self->{bytes} .= join '', @bytes }
    sub bytes { return $_[0]{bytes} }
}

my $h2_listen = NginxAsync::Conf::http2_directive() ? '' : ' http2';
my $h2_on     = NginxAsync::Conf::http2_directive();

# nginx keeps a connection alive whose client has reset it while nginx dropped
# a body (stub_status does so, too): is_idle() waits for the end of that.

my $handlers = <<'EOF_CONF';
    keepalive_timeout 3s;
    set $seen "-";

    location = /nap       { async_handler nap; }
    location = /keep      { async_handler nap; async_ignore_client_abort on; }
    location = /short     { async_handler nap; async_timeout 300ms; }
    location = /text      { async_handler text_anyway; }
    location = /body      { async_handler body; }
    location = /body-or   { async_handler body_or_else; async_timeout 300ms; }
    location = /small     { async_handler body; client_max_body_size 10; }
    location = /impatient { async_handler body; client_body_timeout 300ms; }
    location = /unread    { async_handler unread; }
    location = /fails     { async_handler fails; }
    location = /large     { async_handler large; }
    location = /yields    { async_handler yields; }
    location = /file {
        async_handler file;
        async_param file $TEST_NGINX_SERVER_ROOT/html/index.html;
    }
    location = /where     { async_handler where; }
    location = /stub      { access_log off; stub_status; }
EOF_CONF

my $nginx = NginxAsync->new(connections => 1024, conf => {
    http => <<"EOF_CONF" . <<'EOF_MORE',
    async_app \$TEST_NGINX_APPS/request.so;
    async_param marker \$TEST_NGINX_SERVER_ROOT/marker;

    server {
        listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_1$h2_listen;
        $h2_on
$handlers
    }

    server {
        listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_2 ssl;
        ssl_certificate      \$TEST_NGINX_SERVER_ROOT/tls.crt;
        ssl_certificate_key  \$TEST_NGINX_SERVER_ROOT/tls.key;
$handlers
    }

    server {
        # something that is not ours
        listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_3;
        location / { return 502; }
    }
EOF_CONF
    log_format seen '$request $status $body_bytes_sent $seen $request_length';
    limit_req_zone $uri zone=one:1m rate=1r/m;
EOF_MORE
    server => <<"EOF_CONF" . <<'EOF_MORE' });
    access_log \$TEST_NGINX_SERVER_ROOT/logs/seen.log seen;
$handlers
EOF_CONF
    location /limited { async_handler where; limit_req zone=one; }

    location /gz/ {
        gzip on;
        gzip_min_length 1;
        gzip_types text/plain;
        async_handler large;
    }

    # ---- errors

    location /plain/      { async_handler nap; error_page 404 503 /page; }
    location /intercept/ {
        async_handler nap;
        async_intercept_errors on;
        error_page 404 503 504 /page;
        error_page 418 =200 @named;
        async_timeout 300ms;
    }
    location = /page      { internal; async_handler error_page; }
    location @named       { async_handler error_page; }

    location = /twice {
        async_handler nap;
        async_intercept_errors on;
        error_page 404 /bad-page;
    }
    location = /bad-page {
        internal;
        async_handler bad_error_page;
        async_intercept_errors on;
        error_page 503 /page;
    }
    location = /recursive {
        recursive_error_pages on;
        async_handler nap;
        async_intercept_errors on;
        error_page 404 /bad-recursive;
    }
    location = /inner-recursive {
        async_handler nap;
        async_intercept_errors on;
        error_page 404 /bad-recursive;
    }
    location = /bad-recursive {
        internal;
        recursive_error_pages on;
        async_handler bad_error_page;
        async_intercept_errors on;
        error_page 503 /page;
    }

    location = /missing   { root /nonexistent; error_page 404 /page; }
    location = /upstream {
        proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_3;
        proxy_intercept_errors on;
        error_page 502 /page;
    }
    location = /too-large {
        async_handler body;
        client_max_body_size 10;
        error_page 413 = @big;
    }
    location @big         { async_handler nap; }

    # ---- redirects

    location /rewritten/  { rewrite ^/rewritten/(.*)$ /$1 last; }
    location /broken/     { rewrite ^ /elsewhere break; async_handler where; }
    location /try/        { try_files /nonexistent @there; }
    location /try2/       { try_files /nonexistent /where; }
    location @there       { async_handler where; }
    location = /dir/ {
        root $TEST_NGINX_SERVER_ROOT/html;
        index nonexistent /where;
    }
    location /if/ {
        async_handler where;
        if ($arg_x) { set $seen "if"; }
    }

    # ---- subrequests

    location = /ssi.html  { ssi on; root $TEST_NGINX_SERVER_ROOT/html; }
    location = /many.html { ssi on; root $TEST_NGINX_SERVER_ROOT/html; }
    location = /abort.html { ssi on; root $TEST_NGINX_SERVER_ROOT/html; }
    location = /nested {
        ssi on;
        async_handler page;
        async_param page '[<!--#include virtual="/inner" -->|<!--#include virtual="/nap?tag=n&ms=20" -->]';
    }
    location = /inner {
        ssi on;
        async_handler page;
        async_param page '(<!--#include virtual="/nap?tag=x&ms=100" -->,<!--#include virtual="/nap?tag=y&ms=1" -->)';
    }
    location = /guarded {
        auth_request /guard;
        auth_request_set $user $upstream_http_x_user;
        async_handler where;
    }
    location = /guard     { internal; async_handler guard; }
    location = /guarded-error {
        auth_request /nap-500;
        async_handler where;
    }
    location = /nap-500   { internal; async_handler fails; }
    location = /mirrored {
        mirror /mirror;
        async_handler where;
    }
    location = /mirror    { internal; rewrite ^ /nap?ms=300&tag=mirror; }
    location = /addition {
        add_before_body /before;
        add_after_body /after;
        addition_types *;
        async_handler where;
    }
    location = /before    { rewrite ^ /nap?tag=before&ms=100; }
    location = /after     { rewrite ^ /nap?tag=after&ms=1; }
    location = /gone444   { rewrite ^ /abort444.html; }
    location = /abort444.html { ssi on; root $TEST_NGINX_SERVER_ROOT/html; }
    location = /close444  { return 444; }
EOF_MORE

$nginx->write_file('marker', '');
chmod 0666, $nginx->root . '/marker';

sub include { return join '', map { qq{<!--#include virtual="$_" -->} } @_ }

$nginx->write_file('html/dir/some.txt', 'some');
$nginx->write_file('html/ssi.html', 'A' . include('/nap?tag=a&ms=300') . 'B'
    . include('/nap?tag=b&ms=200') . 'C' . include('/nap?tag=c&ms=100') . 'D');
$nginx->write_file('html/many.html',
    join '', map { include("/nap?tag=$_&ms=" . $_ % 7 * 10) } 1 .. 400);
$nginx->write_file('html/abort.html', 'A'
    . include(map { "/nap?tag=s$_&ms=60000" } 1 .. 5));
$nginx->write_file('html/abort444.html', 'A'
    . include('/nap?tag=s&ms=60000', '/nap?tag=s&ms=60000', '/close444'));

$nginx->start;

# ---- looking

my $mark = 0;

# What handlers have marked since forget_marks().
sub marks { return substr $nginx->read_file('marker'), $mark }

sub forget_marks { $mark = -s $nginx->root . '/marker' }

sub marked {
    my ($pattern) = @_;

    my $found = $nginx->wait_until(sub { marks() =~ $pattern });
    diag('marks: ' . marks()) if !$found;

    return $found;
}


sub seen_log {
    my ($pattern) = @_;

    return $nginx->wait_until(sub {
        eval { $nginx->read_file('logs/seen.log') =~ $pattern };
    });
}


# No connection but the one that asks, no request but that.
sub is_idle {
    my ($title) = @_;

    my $text;
    my $idle = $nginx->wait_until(sub {
        $text = $nginx->get('/stub')->body;
        return $text =~ /Active connections: 1 .*Reading: 0 Writing: 1 Waiting: 0/s;
    });

    ok $idle, $title or diag $text;
}


# A connection, as streams and as bytes.
sub http2 {
    my $c = $nginx->connect(port => $nginx->port(1));

    return (NginxAsync::Http2->new($c), $c);
}


# ---- clients that leave

{
    my %leave = (
        'a FIN'                 => sub { $_[0]->close },
        'an RST'                => sub { $_[0]->reset },
        'a half-close'          => sub { $_[0]->half_close },
    );

    for my $kind (sort keys %leave) {
        for my $more ('', "GET /nap?tag=pipelined HTTP/1.1\r\nHost: x\r\n\r\n") {
            my $with = $more ? ' with pipelined data waiting' : '';

            forget_marks();
            my $c = $nginx->connect;
            $c->send("GET /nap?tag=gone&ms=60000 HTTP/1.1\r\nHost: x\r\n\r\n",
                $more);
            marked(qr/gone begins/);
            $leave{$kind}->($c);

            ok marked(qr/gone cancelled/), "$kind$with cancels the sleep";
            unlike marks(), qr/pipelined/, "... and nothing else runs ($kind$with)";
        }
    }

    ok seen_log(qr{/nap\?tag=gone&ms=60000 HTTP/1.1 499 0 cancelled}),
        'the access log has 499, and the variable that the handler set';
    is_idle('no connection is left of clients that went');
}

{
    forget_marks();
    my $c = $nginx->connect;
    $c->send_request('GET', '/keep?tag=kept&ms=600');
    marked(qr/kept begins/);
    $c->reset;
    ok marked(qr/kept ok/), 'async_ignore_client_abort lets the handler go on';
    is_idle('... and nothing of it is left');
}

{
    forget_marks();
    my $c = $nginx->connect;
    $c->send("GET /nap?tag=early&ms=60000 HTTP/1.1\r\nHost: x\r\n\r\n");
    $c->half_close;
    ok marked(qr/early cancelled/), 'a FIN that comes with the request is seen';
}

{
    forget_marks();
    my $c = $nginx->connect;
    $c->send("POST /body?tag=body HTTP/1.1\r\nHost: x\r\n"
        . "Content-Length: 100\r\n\r\nhalf");
    marked(qr/body begins/);
    $c->close;
    ok marked(qr/body cancelled/), 'a client that leaves within its body is seen';

    forget_marks();
    $c = $nginx->connect;
    $c->send("POST /body?tag=after&ms=60000 HTTP/1.1\r\nHost: x\r\n"
        . "Content-Length: 4\r\n\r\n", 'body');
    marked(qr/after ok/);
    $c->reset;
    ok marked(qr/after cancelled/), 'a client that leaves after its body is seen';
    is_idle('nothing is left of clients with bodies');
}

for my $tls_end ('close_notify', 'RST', 'FIN') {
    forget_marks();
    my $c = $nginx->connect(port => $nginx->port(2), tls => 1);
    $c->send_request('GET', '/nap?tag=tls&ms=60000');
    marked(qr/tls begins/);
    $tls_end eq 'RST' ? $c->reset
        : $tls_end eq 'FIN' ? $c->socket->close(SSL_no_shutdown => 1)
        : $c->close;
    ok marked(qr/tls cancelled/), "TLS: $tls_end cancels the sleep";
}

is $nginx->connect(port => $nginx->port(2), tls => 1)
    ->request('GET', '/nap?tag=t&ms=10')->body, "nap t\n", 'TLS: a sleeper answers';

is_idle('nothing is left of TLS connections');

# ---- HTTP/2

{
    forget_marks();
    my ($h, $c) = http2();
    my $gone = $h->request('GET', '/nap?tag=h2&ms=60000');
    my $here = $h->request('GET', '/nap?tag=here&ms=600');
    marked(qr/h2 begins/);
    $h->reset($gone);
    ok marked(qr/h2 cancelled/), 'HTTP/2: RST_STREAM cancels its stream';
    is $h->response($here)->body, "nap here\n", '... and no other';

    forget_marks();
    my @ids = map { $h->request('GET', "/nap?tag=n$_&ms=60000") } 1 .. 5;
    marked(qr/n5 begins/);
    $c->reset;
    ok marked(qr/n$_ cancelled/), "HTTP/2: the connection's end cancels stream $_"
        for 1 .. 5;

    ($h, $c) = http2();
    forget_marks();
    my $up = $h->request('POST', '/body?tag=up', end => 0);
    $h->data($up, 'half');
    marked(qr/up begins/);
    $h->reset($up);
    ok marked(qr/up cancelled/), 'HTTP/2: RST_STREAM within a body is seen';

    # both frames in one packet
    forget_marks();
    {
        my $packet = Packet->new;
        local $h->{c} = $packet;
        $h->reset($h->request('GET', '/nap?tag=z&ms=60000'));
        $c->send($packet->bytes);
    }
    my $ok = $h->request('GET', '/nap?tag=next&ms=1');
    is $h->response($ok)->status, 200,
        'HTTP/2: a stream that is reset in the packet of its request is ended';
    ok marked(qr/z cancelled/), '... and its handler, if it ran'
        if marks() =~ /z begins/;

    forget_marks();
    my @three;
    {
        my $packet = Packet->new;
        local $h->{c} = $packet;
        @three = map { $h->request('GET', "/nap?tag=o$_&ms=" . (3 - $_) * 100) }
            0 .. 2;
        $c->send($packet->bytes);
    }
    is join('', map { $h->response($_)->body } @three),
        "nap o0\nnap o1\nnap o2\n", 'HTTP/2: three streams at once';
    like marks(), qr/o2 ok\no1 ok\no0 ok\n/,
        '... wake in the order of their sleeps';

    forget_marks();
    $up = $h->request('POST', '/keep?tag=kept&ms=600');
    marked(qr/kept begins/);
    $h->reset($up);
    ok marked(qr/kept ok/), 'HTTP/2: async_ignore_client_abort lets it go on';
    forget_marks();
    $h->request('GET', '/keep?tag=kept2&ms=600');
    marked(qr/kept2 begins/);
    $c->reset;
    ok marked(qr/kept2 ok/), '... also when the connection is gone';

    ($h, $c) = http2();
    is $h->response($h->request('GET', '/short?ms=60000'))->status, 504,
        'HTTP/2: async_timeout answers 504';
    my $un = $h->request('POST', '/unread?ms=10', end => 0);
    $h->data($un, 'x' x 1000);
    is $h->response($un)->body, "unread\n",
        'HTTP/2: an answer before the body has come';
    is $h->response($h->request('HEAD', '/nap?ms=1'))->body, '',
        'HTTP/2: no body for HEAD';
    $c->close;
    is_idle('HTTP/2: no connection and no stream is left');
}

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

# ---- framing

{
    my $c = $nginx->connect;
    $c->send("HEAD /nap?tag=head&ms=20 HTTP/1.1\r\nHost: x\r\n\r\n"
        . "GET /nap?tag=get&ms=10 HTTP/1.1\r\nHost: x\r\n\r\n");
    my $head = $c->response(head => 1);
    is $head->header('Content-Length'), 9, 'HEAD has the length of GET';
    is $c->response->body, "nap get\n", '... and no body: the next one follows';

    for my $status (204, 304) {
        for my $uri ("/nap?status=$status&ms=10", "/text?status=$status") {
            $c->send("GET $uri HTTP/1.1\r\nHost: x\r\n\r\n"
                . "GET /nap?tag=n&ms=10 HTTP/1.1\r\nHost: x\r\n\r\n");
            my $r = $c->response;
            is $r->status, $status, "$uri gives its status";
            is $r->header('Content-Length'), undef, '... without a length';
            is $c->response->body, "nap n\n", '... without a body';
        }
    }

    my $hidden = "GET /nap?tag=hidden HTTP/1.1\r\nHost: x\r\n\r\n";

    for my $ms (0, 50) {
        for my $pad (0, 100, 300_000) {
            forget_marks();
            my $body = $hidden . 'x' x $pad;
            $c = $nginx->connect;
            is $c->request('POST', "/unread?ms=$ms", body => $body)->body,
                "unread\n", "a body of $pad unread, $ms ms";
            is $c->request('GET', '/nap?tag=after&ms=1')->body, "nap after\n",
                '... and the connection goes on';
            unlike marks(), qr/hidden/, '... and no request is served from it';

            $c->send_request('POST', "/unread?ms=$ms",
                chunks => [$hidden, $body]);
            is $c->response->body, "unread\n", "... chunked, $pad, $ms ms";
            is $c->request('GET', '/nap?tag=after&ms=1')->body, "nap after\n",
                '... and the connection goes on';
            unlike marks(), qr/hidden/, '... and no request is served from it';
            $c->close;
        }
    }

    forget_marks();
    $c = $nginx->connect;
    $c->send("POST /short?ms=60000 HTTP/1.1\r\nHost: x\r\nContent-Length: "
        . length($hidden) . "\r\n\r\n$hidden");
    is $c->response->status, 504, 'a timeout with a body unread';
    is $c->request('GET', '/nap?tag=after&ms=1')->body, "nap after\n",
        '... keeps the connection';
    unlike marks(), qr/hidden/, '... and serves nothing from the body';
    $c->close;

    $c = $nginx->connect;
    $c->send(join '', map {
        "GET /nap?tag=p$_&ms=" . (11 - $_) * 10 . " HTTP/1.1\r\nHost: x\r\n\r\n"
    } 1 .. 10);
    is join('', map { $c->response->body } 1 .. 10),
        join('', map { "nap p$_\n" } 1 .. 10),
        'ten requests in a pipeline are answered in their order';
    $c->close;

    $c = $nginx->connect;
    $c->send("POST /body?ms=10 HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n"
        . "Expect: 100-continue\r\n\r\n");
    like $c->read_until(qr/\r\n\r\n/), qr{^HTTP/1.1 100 },
        'Expect: await_body() asks for the body';
    $c->send('body');
    is $c->response->body, 'body', '... and gets it';
    $c->close;

    $c = $nginx->connect;
    $c->send("POST /unread?ms=10 HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n"
        . "Expect: 100-continue\r\n\r\n");
    my $r = $c->response;
    is $r->body, "unread\n", 'Expect: an answer without the body';
    $c->send('body') if $r->interim;
    is eval { $c->request('GET', '/nap?tag=e&ms=1')->body }, "nap e\n",
        '... and the connection goes on' if $r->interim;
    $c->close;
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

# ---- all of it together, at random: TEST_NGINX_SEED repeats a run

my $seed = $ENV{TEST_NGINX_SEED} // 20;
srand $seed;

my @uris = ('/nap?ms=0', '/nap?ms=1', '/nap?ms=30', '/nap?ms=60000',
    '/short?ms=60000', '/keep?ms=200', '/fails', '/yields', '/file',
    '/unread?ms=5', '/large?k=300&ms=1', '/nested', '/ssi.html',
    '/abort.html', '/guarded', '/mirrored', '/intercept/?status=404',
    '/gone444');

# Bytes of one request, of a body at times, which may lack its end.
sub random_request {
    my $uri = $uris[rand @uris];

    return "GET $uri HTTP/1.1\r\nHost: x\r\n\r\n" if rand() < 0.7;

    my $length = int rand 30_000;
    my $body   = 'x' x (rand() < 0.5 ? $length : rand $length);

    $uri = '/body?ms=' . int rand 20 if rand() < 0.6;

    return "POST $uri HTTP/1.1\r\nHost: x\r\nContent-Length: $length\r\n\r\n"
        . $body;
}


sub random_client {
    if (rand() < 0.4) {
        my ($h, $c) = http2();
        my @uris2 = grep { !/nested|html|guarded|mirr|inter|444/ } @uris;
        my @ids = map { $h->request('GET', $uris2[rand @uris2]) }
            0 .. rand 5;
        push @ids, $h->request('POST', '/body', end => 0) if rand() < 0.3;
        $h->reset($_) for grep { rand() < 0.4 } @ids;
        return $c;
    }

    my $c = $nginx->connect(rand() < 0.2
        ? (port => $nginx->port(2), tls => 1) : ());
    $c->send(map { random_request() } 0 .. rand 4);
    return $c;
}


{
    my (@clients, $died);

    for (1 .. 600) {
        push @clients, eval { random_client() } // ();
        next if @clients < 60;

        my ($c) = splice @clients, rand @clients, 1;
        my $end = (qw(reset close half_close))[rand 3];

        # those that closed first were told to, by a 444 say
        eval { $c->$end };
        push @clients, $c if $end eq 'half_close' && rand() < 0.2;
    }

    $_->reset for @clients;
    @clients = ();

    is_idle("600 random clients leave nothing (TEST_NGINX_SEED=$seed)");
    is $nginx->get('/nap?tag=end&ms=1')->body, "nap end\n",
        '... and the worker serves';
}

ok seen_log(qr{GET /large\?k=5000 HTTP/1.1 200 5120000 - \d+}),
    'the access log has the status and the bytes';

$nginx->stop;

# ---- others

{
    my $n = NginxAsync->new(workers => 3, conf => {
        http   => 'async_app $TEST_NGINX_APPS/request.so;',
        server => "keepalive_requests 3;\n$handlers" })->start;
    my @c = map { $n->connect->send_request('GET', "/nap?tag=w$_&ms=200",
        close => 1) } 1 .. 60;
    is join('', map { $_->response->body } @c), join('', map { "nap w$_\n" } 1 .. 60),
        'three workers answer sixty sleepers';
    $n->stop;
}

{
    my $n = NginxAsync->new(conf => {
        main   => 'worker_shutdown_timeout 500ms;',
        http   => "async_app \$TEST_NGINX_APPS/request.so;\n"
            . "async_param marker \$TEST_NGINX_SERVER_ROOT/marker;\n"
            . "server { listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_1$h2_listen; $h2_on\n$handlers }",
        server => "$handlers\nlocation = /ssi.html { ssi on; root \$TEST_NGINX_SERVER_ROOT/html; }" });
    $n->write_file('marker', '');
    chmod 0666, $n->root . '/marker';
    $n->write_file('html/ssi.html',
        include(map { "/nap?tag=s$_&ms=60000" } 1 .. 5));
    $n->start;

    my $c = $n->connect->send_request('GET', '/nap?ms=60000');
    my $s = $n->connect->send_request('GET', '/ssi.html');
    my $u = $n->connect->send("POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc");
    my $h = NginxAsync::Http2->new($n->connect(port => $n->port(1)));
    $h->request('GET', '/nap?tag=h&ms=60000');
    $n->wait_until(sub { $n->read_file('marker') =~ /^h begins/m });
    my $start = time;
    $n->signal('QUIT');
    ok $n->wait_until(sub { !$n->running }, 20),
        'worker_shutdown_timeout ends suspended handlers';
    like $n->read_file('marker'), qr/^s$_ cancelled/m, "... include $_ of them"
        for 1 .. 5;
    like $n->read_file('marker'), qr/^h cancelled/m, '... and streams of HTTP/2';
    $n->stop;
}

done_testing;
