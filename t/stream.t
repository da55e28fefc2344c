#!/usr/bin/perl

# Responses in pieces: await_send(), await_sse().

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use NginxAsync;
use NginxAsync::Say qw(says gone);

my ($h2_listen, $h2_on) = NginxAsync::Conf::http2_directive()
    ? ('', 'http2 on;') : (' http2', '');

my @handlers = qw(pieces early cut both events ticks blocking hello);

my $routes = join '', map { <<"EOF_CONF" } @handlers;
    location = /$_       { async_handler stream:$_; }
    location = /gzip/$_  { async_handler stream:$_; gzip on; gzip_types *; gzip_min_length 1; }
    location = /slow/$_  { async_handler stream:$_; limit_rate 200k; }
    location = /short/$_ { async_handler stream:$_; async_timeout 300ms; send_timeout 500ms; }
EOF_CONF

$routes .= <<'EOF_CONF';
    location = /page.html { ssi on; default_type text/html; root html; }
EOF_CONF

my $asan = NginxAsync::Env::asan();

sub nginx {
    my (%o) = @_;

    return NginxAsync->new(%o, conf => { server => $routes, http => <<"EOF_CONF" })->start;
    async_app \$TEST_NGINX_APPS/stream.so;
    server {
        listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_1$h2_listen;
        $h2_on
        location / { root html; }
        $routes
    }
EOF_CONF
}

sub letters { my ($n) = @_; return substr join('', 'a' .. 'z') x ($n / 26 + 1), 0, $n }

sub curl {
    my ($n, @args) = @_;
    my $path = pop @args;
    return NginxAsync::run('curl', '-s', '--max-time', 60, @args,
        'http://127.0.0.1:' . $n->port($args[0] && $args[0] =~ /http2/ ? 1 : 0) . $path);
}

my $n = nginx();
my $r = $n->get('/pieces');

is $r->status, 200, 'three pieces';
is $r->body, letters(30), '... in their order';
is $r->header('Content-Type'), 'application/octet-stream', '... of a plain type';
is $r->header('Transfer-Encoding'), 'chunked', '... of unknown length';
is $r->header('X-Kind'), 'pieces', '... with the fields that were set';

$r = $n->get('/pieces?n=4&size=5&length=20&type=text/plain');
is $r->status, 203, 'of known length, with a status';
is $r->header('Content-Length'), 20, '... that nginx tells';
is $r->header('Content-Type'), 'text/plain', '... and a type';
is $r->body, letters(20), '... and the body';

$r = $n->get('/pieces?n=5&size=5&length=20&type=text/plain');
is $r->body, letters(20), 'more than the length';
like_log $n, 0, qr/<send -1 after 4: 5 bytes are more than the 0 that are left of the length/,
    '... is refused';

{
    # TLS and TCP end one after another, while a body is dropped that nobody reads
    my $m = NginxAsync->new(conf => { server => $routes, http => <<'EOF_CONF' })->start;
    async_app $TEST_NGINX_APPS/stream.so;
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1 ssl;
        ssl_certificate $TEST_NGINX_SERVER_ROOT/tls.crt;
        ssl_certificate_key $TEST_NGINX_SERVER_ROOT/tls.key;
        location / { async_handler stream:pieces; }
    }
EOF_CONF
    my $c = $m->connect(port => $m->port(1), tls => 1);
    $c->send("POST /pieces?wait=100&n=40&ms=1000 HTTP/1.1\r\nHost: x\r\n"
        . "Transfer-Encoding: chunked\r\n\r\n", "5\r\nhello\r\n");
    $c->read_until(qr/abc/);
    $c->socket->stop_SSL(SSL_no_shutdown => 0, SSL_fast_shutdown => 1);
    select undef, undef, undef, 0.1;
    $c->close;
    select undef, undef, undef, 0.1;
    is $m->get('/hello')->body, "hello\n", 'a client that leaves in the middle of its body, and the answer';
    ok $m->stop, '... leaves nothing behind';
}

{
    my $c = $n->connect;
    is $c->send_request('HEAD', '/pieces?n=9&size=1000000')->response(head => 1)->body, '', 'HEAD has no body';
    ok says($n, 'send -4 after 0: this response has no body'), '... the handler is told';
    is $c->send_request('GET', '/pieces')->response->body, letters(30), '... the next one follows';
    is $c->send_request('GET', '/hello')->response->body, "hello\n", '... and the next';
    $c->send_request('POST', '/pieces', body => 'GET /hello HTTP/1.1' x 1000);
    is $c->response->body, letters(30), 'a body that nobody reads';
    is $c->send_request('GET', '/hello')->response->body, "hello\n", '... is not the next request';
}

{
    my $c = $n->connect->send_request('GET', '/early');
    my $head = $c->read_until(qr/\r\n\r\n/);
    like $head, qr/^HTTP\/1.1 200/, 'the header comes first';
    unlike $head, qr/late/, '... then the body' if $head;
    $c->close;
}

is $n->get('/short/pieces?n=4&ms=200&size=7')->body, letters(28),
    'async_timeout is for the start only';
is curl($n, '--http1.0', '/pieces?n=3&size=100000'), letters(300_000), 'HTTP/1.0';
is curl($n, '--http2-prior-knowledge', '/pieces?n=30&size=100000'), letters(3_000_000), 'HTTP/2';
is curl($n, '--compressed', '/gzip/pieces?n=30&size=100000&type=text/plain'), letters(3_000_000), 'gzip';
is curl($n, '/slow/pieces?n=4&size=60000'), letters(240_000), 'limit_rate';

# ---- broken off

{
    like curl($n, '-w', '%{exitcode}', '/pieces?fail=2&size=5'), qr/18$/,
        'a failure in the middle: the client can tell';
    like curl($n, '--http2-prior-knowledge', '-w', '%{exitcode}', '/pieces?fail=2&size=5'), qr/92$/,
        '... over HTTP/2, too';
    like_log $n, 0, qr/async handler "stream:pieces" has broken its response off: ASYNC_ERROR/,
        '... and the log says so';
    like curl($n, '-w', '%{exitcode}', '/pieces?n=2&size=5&length=20&type=text/plain'), qr/18$/,
        'less than the length, too';
    like_log $n, 0, qr/broken its response off: ASYNC_OK: less than its length/, '... logged';
}

{
    my $since = $n->mark;
    my $c = $n->connect->send_request('GET', '/pieces?n=1000&size=1000000');
    $c->read_until(qr/\r\n\r\n/);
    my $before = $n->memory_of_worker;
    select undef, undef, undef, 0.3;
    my $grown = ($n->memory_of_worker - $before) / 1024;
    SKIP: {
        skip 'ASan keeps what has been freed', 1 if $asan;
        cmp_ok $grown, '<', 2048, "a client that does not read: $grown kB";
    }
    is $n->get('/hello')->body, "hello\n", '... delays nobody';
    $c->reset;
    ok says($n, qr/send -\d after \d+: .*/, $since), '... and when it leaves, the handler is told';
}

{
    my $since = $n->mark;
    my $c = $n->connect->send_request('GET', '/short/pieces?n=1000&size=1000000');
    $c->read_until(qr/\r\n\r\n/);
    ok says($n, qr/send -4 after \d+: the client does not read: "send_timeout" has passed/, $since),
        'send_timeout';
    $c->close;
}

{
    my $since = $n->mark;
    my $c = $n->connect->send_request('GET', '/cut');
    ok says($n, 'cut -2, after -4: the response is broken off', $since),
        'a scope that ends amid a piece breaks the response off';
    $c->close;
    $c = $n->connect->send_request('GET', '/both');
    ok says($n, 'both -5: another task sends', $since), 'one task sends at a time';
    $c->reset;
}

# ---- server-sent events

{
    my $r = $n->get('/events', headers => ['Last-Event-ID', 'six']);
    is $r->header('Content-Type'), 'text/event-stream', 'events';
    is $r->header('Cache-Control'), 'no-cache', '... are not kept';
    is $r->body, "id: 7\nevent: greeting\nretry: 2500\ndata: one\ndata: two\ndata: three\n\n"
        . ": still here\n\n" . "data: six\n\n", '... with id, event, retry, lines, comment';

    my $since = $n->mark;
    my @c = map { $n->connect->send_request('GET', '/ticks') } 1 .. 20;
    $_->read_until(qr/tick.*tick/s) for @c;
    $_->reset for @c;
    ok $n->wait_until(sub { (() = $n->log($since) =~ /<ticks end -3>/g) == 20 }, 20),
        'twenty readers that leave end their handlers';
}

is $n->get('/blocking')->status, 500, 'a blocking handler has none';
like_log $n, 0, qr/a blocking handler has no streaming response/, '... and is told';

is NginxAsync::run('h2load', '-n', 300, '-c', 3, '-m', 10,
    'http://127.0.0.1:' . $n->port(1) . '/pieces?n=20&size=20000') =~ /300 succeeded/, 1,
    'many over HTTP/2';

{
    my $c = $n->connect->send_request('GET', '/ticks');
    $c->read_until(qr/tick/);
    my $d = $n->connect->send_request('GET', '/pieces?n=5&ms=100&size=3');
    $d->read_until(qr/abc/);
    $n->signal('QUIT');
    like $d->read_until(qr/\r\n0\r\n\r\n/), qr/mno\r\n0/, 'QUIT lets responses end';
    $c->reset;
    ok gone($n), '... and the worker goes';
    $n->stop;
}

done_testing;
