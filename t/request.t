#!/usr/bin/perl

# Handlers within nginx's life of a request: clients that leave, HTTP/2, TLS,
# bodies that nobody reads, pipelines, and the end of the worker.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use NginxAsync;
use NginxAsync::Http2;
use NginxAsync::Life;
use NginxAsync::Say qw(gone);

# What is sent to it is kept.
package Packet {
    sub new   { return bless { bytes => '' } }
    sub send  { my ($self, @bytes) = @_; $self->{bytes} .= join '', @bytes }
    sub bytes { return $_[0]{bytes} }
}

my $nginx = life();

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
            . "server { $http2\n$handlers }",
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
    $n->signal('QUIT');
    ok gone($n), 'worker_shutdown_timeout ends suspended handlers';
    like $n->read_file('marker'), qr/^s$_ cancelled/m, "... include $_ of them"
        for 1 .. 5;
    like $n->read_file('marker'), qr/^h cancelled/m, '... and streams of HTTP/2';
    $n->stop;
}

done_testing;
