#!/usr/bin/perl

# async_access within nginx's life of a request: clients that leave a suspended
# guard, bodies that come meanwhile, pipelines, HTTP/2, other modules of the
# phases before, the end of the worker.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use NginxAsync;
use NginxAsync::Conf;
use NginxAsync::Http2;
use NginxAsync::Say qw(gone silent);

my $h2_listen = NginxAsync::Conf::http2_directive() ? '' : ' http2';
my $h2_on     = NginxAsync::Conf::http2_directive();

my $echo = 'proxy_http_version 1.1; proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1;';

my $places = <<"EOF_CONF";
    root \$TEST_NGINX_SERVER_ROOT/html;
    keepalive_timeout 3s;
    location /gate/ { async_access gate_guard; $echo }
    location /gate-file/ { alias \$TEST_NGINX_SERVER_ROOT/html/; async_access gate_guard; }
    location /gate-handler/ { async_access gate_guard; async_handler echo; }
    location /gate-unbuffered/ { async_access gate_guard; proxy_request_buffering off; $echo }
    location /thread/ { async_access gate_thread; $echo }
    location /keep/ { async_access gate_guard; async_ignore_client_abort on; $echo }
    location /short/ { async_access gate_guard; async_timeout 100ms; $echo }
    location /wait/ { async_access waiting_guard; $echo }
    location /wait-unbuffered/ { async_access waiting_guard; proxy_request_buffering off; $echo }
    location /limited/ { limit_req zone=one burst=5; async_access waiting_guard; $echo }
    location /body/ { async_access body_guard; $echo }
    location /impatient/ { client_body_timeout 200ms; async_access body_guard; $echo }
    location /small/ {
        client_max_body_size 10;
        async_access body_guard;
        error_page 413 = \@large;
        $echo
    }
    location \@large { async_access gate_guard; $echo }
    location /streaming/ { async_access streaming_guard; $echo }
    location /subrequest/ { async_access subrequest_guard; $echo }
    location = /inner { internal; async_handler ok; }
    location = /stub { access_log off; stub_status; }
EOF_CONF

my %conf = (http => <<"EOF_CONF", server => <<"EOF_SERVER");
    async_app \$TEST_NGINX_APPS/access.so;
    async_param marker \$TEST_NGINX_SERVER_ROOT/marker;
    async_param gate \$TEST_NGINX_SERVER_ROOT/gate;
    limit_req_zone \$request_method zone=one:1m rate=20r/s;

    server {
        listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_1;
        keepalive_requests 1;
        location / { async_handler echo; }
    }

    server {
        listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_2$h2_listen; $h2_on
$places
    }

    server {
        listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_3 ssl;
        ssl_certificate      \$TEST_NGINX_SERVER_ROOT/tls.crt;
        ssl_certificate_key  \$TEST_NGINX_SERVER_ROOT/tls.key;
$places
    }
EOF_CONF
$places
EOF_SERVER

my $nginx;

sub forget { $nginx->write_file('marker', ''); chmod 0666, $nginx->root . '/marker' }
sub marks  { return $nginx->read_file('marker') }
sub gate_opens { $nginx->write_file('gate', '') }
sub gate_shuts { unlink $nginx->root . '/gate' }

sub marked {
    my ($pattern) = @_;

    my $found = $nginx->wait_until(sub { marks() =~ $pattern });
    diag 'marks: ' . marks() if !$found;
    return $found;
}


sub is_idle {
    my ($title) = @_;

    my $text;
    my $idle = $nginx->wait_until(sub {
        $text = $nginx->get('/stub')->body;
        return $text =~ /Active connections: 1 .*Reading: 0 Writing: 1 Waiting: 0/s;
    });

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok $idle, $title or diag $text;
}


sub begin {
    my ($more) = @_;

    $nginx = NginxAsync->new(files => { 'a.txt' => 'a file' },
        conf => { %conf, http => $conf{http} . ($more // '') });
    forget();
    $nginx->start;
}


sub request { my ($line, @headers) = @_; return join "\r\n", "$line HTTP/1.1", 'Host: x', @headers, '', '' }

begin();


subtest 'clients that leave' => sub {
    my %leave = (
        'a FIN'        => sub { $_[0]->close },
        'an RST'       => sub { $_[0]->reset },
        'a half-close' => sub { $_[0]->half_close },
    );

    for my $kind (sort keys %leave) {
        for my $more ('', request('GET /gate/?tag=pipelined')) {
            my $with = $more ? ' with pipelined data waiting' : '';

            forget();
            my $c = $nginx->connect;
            $c->send(request('GET /gate/?tag=gone'), $more);
            marked(qr/gone guard begins/);
            $leave{$kind}->($c);

            ok marked(qr/gone guard cancelled/), "$kind$with ends the guard";
            unlike marks(), qr/pipelined|echo/, '... and nothing comes after it';
        }
    }

    ok $nginx->wait_until(sub { $nginx->access_log =~ m{/gate/\?tag=gone HTTP/1.1" 499} }),
        'the access log has 499';
    is_idle('no connection is left');

    forget();
    my $c = $nginx->connect->send_request('GET', '/thread/?tag=gone');
    marked(qr/gone thread begins/);
    $c->reset;
    ok marked(qr/gone thread cancelled/), 'a blocking guard';
    unlike marks(), qr/echo/, '... and nothing comes after it';

    forget();
    $c = $nginx->connect->send_request('GET', '/keep/?tag=kept');
    marked(qr/kept guard begins/);
    $c->half_close;
    gate_opens();
    ok marked(qr/kept guard ok/), 'async_ignore_client_abort: the guard goes on';
    gate_shuts();

    for my $end ('close_notify', 'RST') {
        forget();
        $c = $nginx->connect(port => $nginx->port(3), tls => 1);
        $c->send_request('GET', '/gate/?tag=tls');
        marked(qr/tls guard begins/);
        $end eq 'RST' ? $c->reset : $c->close;
        ok marked(qr/tls guard cancelled/), "TLS: $end";
    }

    forget();
    $c = $nginx->connect;
    $c->send(request('POST /gate/?tag=body', 'Content-Length: 100'), 'half');
    marked(qr/body guard begins/);
    $c->reset;
    ok marked(qr/body guard cancelled/), 'amid a body';

    forget();
    $c = $nginx->connect;
    $c->send(request('POST /body/?tag=read&how=half', 'Content-Length: 100'), 'half');
    marked(qr/read guard reads/);
    $c->reset;
    ok marked(qr/read guard (?:cancelled|timeout)/), '... that the guard reads';
    is_idle('no connection is left of these');
};


subtest 'deadlines' => sub {
    forget();
    is $nginx->get('/short/?tag=late')->status, 504, 'async_timeout answers 504';
    like marks(), qr/late guard timeout/, '... by the code of the await';
    unlike marks(), qr/echo/, '... and nothing comes after it';
};


subtest 'bodies' => sub {
    my $large = join '', map { sprintf '%07d ', $_ } 1 .. 40_000;

    for my $at ([0, ''], [3, 'TLS: ', tls => 1]) {
        my ($port, $title, @how) = @$at;

        for my $uri (qw(/gate/ /gate-unbuffered/ /gate-handler/)) {
            for (['at once', $large], ['in two parts', substr($large, 0, 1000), substr($large, 1000)],
                ['after the guard', '', $large])
            {
                my ($what, $first, $rest) = @$_;

                forget();
                my $c = $nginx->connect(port => $nginx->port($port), @how);
                $c->send(request("POST $uri?tag=b", 'Content-Length: ' . length $large), $first);

                # the rest waits in buffers of the kernel
                $c->send(substr $rest, 0, 20_000) if $rest && $first;
                marked(qr/b guard begins/);
                gate_opens();
                marked(qr/b guard ok/);
                $c->send($first ? substr $rest, 20_000 : $rest) if $rest;

                my $got = $c->response->body;
                ok $got =~ s/\A(.*?)\n\n//s && $got eq $large, "$title$uri: a body $what"
                    or diag substr $got, 0, 300;
                like $c->request('GET', '/wait/next')->body, qr{^GET /wait/next\n}, '... and the next request';
                $c->close;
                gate_shuts();
            }
        }
    }

    for my $uri (qw(/wait/ /wait-unbuffered/)) {
        my $c = $nginx->connect;
        my $r = $c->request('POST', $uri, chunks => ['abc', 'x' x 5000, 'def']);
        like $r->body, qr/\n\nabcx{5000}def\z/, "$uri: chunks";

        $c->send(request("POST $uri", 'Content-Length: 4', 'Expect: 100-continue'));
        ok $c->read_until(qr/100 Continue\r\n\r\n/), '... Expect: 100-continue';
        $c->send('body');
        like $c->response->body, qr/\n\nbody\z/, '... is passed on';

        $c->send(request("POST $uri", 'Content-Length: 4', 'Expect: 100-continue', 'X-Guard: 403'));
        is $c->response->status, 403, '... or refused without its body';
        $c->close;
    }

    # what a refused request has in its body is no request
    my $c = $nginx->connect;
    my $hidden = request('GET /gate/?tag=smuggled');
    forget();
    $c->send(request('POST /wait/', 'X-Guard: 403', 'Content-Length: ' . length $hidden), $hidden);
    is $c->response->status, 403, 'a body that is not read';
    is $c->request('GET', '/gate-file/a.txt', headers => ['X-Guard', '403'], close => 1)->status, 403,
        '... is dropped' if gate_opens();
    unlike marks(), qr/smuggled/, '... and is no request';
    gate_shuts();

    $c = $nginx->connect;
    $c->send(request('POST /impatient/?how=whole', 'Content-Length: 9'), 'abc');
    is $c->read_all, '', 'client_body_timeout closes the connection (408)';

    forget();
    $c = $nginx->connect;
    $c->send(request('POST /body/?how=half&tag=h', 'Content-Length: 9'), 'abc');
    is $c->response->status, 500, 'a guard that gives the body up may not let it pass';
    unlike marks(), qr/echo/, '... nor does it';
    ok $c->send(request('GET /wait/')), '... more is sent';
    is $c->read_all, '', '... but the connection is not used again';
    like_log $nginx, 0, qr/lets a request pass whose body it has given up half read/, '... as the log says';

    forget();
    $c = $nginx->connect;
    $c->send(request('POST /small/?how=whole&tag=big', 'Transfer-Encoding: chunked'), "5\r\n12345\r\n");
    $c->send("a\r\n1234567890\r\n");
    ok marked(qr/big guard begins/), '413 amid a body that a guard reads: error_page, and its guard';
    $c->reset;
    ok marked(qr/big guard cancelled/), '... which ends with the client';
    is_idle('nothing is left of bodies');
};


subtest 'one after another' => sub {
    my $c = $nginx->connect;
    my @uris = map { "/wait/$_?ms=" . $_ % 3 } 1 .. 12;

    $c->send(map { request("GET $_", $_ =~ m{/[48]\b} ? 'X-Guard: 403' : ()) } @uris);
    is join('|', map { my $r = $c->response; $r->status == 200 ? $r->body =~ m{^GET (\S+)} : $r->status } @uris),
        join('|', map { m{(/wait/(\d+))}; $2 == 4 || $2 == 8 ? 403 : $1 } @uris), 'a pipeline';

    $c->send(request('POST /wait/a', 'Content-Length: 3'), 'abc', request('POST /wait/b', 'X-Guard: 403',
        'Content-Length: 3'), 'def', request('POST /wait/c', 'Content-Length: 3'), 'ghi');
    is join('|', map { my $r = $c->response; $r->status . substr $r->body, -3 } 1 .. 3),
        '200abc|403d"}|200ghi', '... with bodies';
    is $c->request('HEAD', '/wait/x', headers => ['X-Guard', '403'])->status, 403, 'HEAD, refused';
    is $c->request('GET', '/wait/x')->status, 200, '... and the next one';

    my @c = map { $nginx->connect->send_request('GET', '/gate-file/a.txt') } 1 .. 200;
    ok silent(@c[0, 199]), 'two hundred wait';
    gate_opens();
    is join('', map { $_->response->body } @c), 'a file' x 200, '... and are let in';
    gate_shuts();

    @c = map { $nginx->connect->send_request('GET', '/limited/') } 1 .. 4;
    is join('|', map { $_->response->status } @c), '200|200|200|200', 'limit_req delays before the guard';

    is $nginx->get('/streaming/x')->body, "piece\n" x 3, 'a guard that answers in pieces';
    @c = ();
    is_idle('nothing is left');
};


subtest 'HTTP/2' => sub {
    my $c = $nginx->connect(port => $nginx->port(2));
    my $h = NginxAsync::Http2->new($c);

    like $h->response($h->request('GET', '/wait/x'))->body, qr{^GET /wait/x\n}, 'passed';
    is $h->response($h->request('GET', '/wait/x', headers => ['x-guard', '404']))->status, 404, 'refused';

    forget();
    my $gone = $h->request('GET', '/gate/?tag=gone');
    my $here = $h->request('GET', '/gate-file/a.txt');
    marked(qr/gone guard begins/);
    $h->reset($gone);
    ok marked(qr/gone guard cancelled/), 'RST_STREAM ends the guard';
    gate_opens();
    is $h->response($here)->body, 'a file', '... and no other';
    gate_shuts();

    for my $uri (qw(/gate/ /gate-unbuffered/ /gate-handler/)) {
        forget();
        my $up = $h->request('POST', "$uri?tag=up", end => 0);
        $h->data($up, 'some ');
        marked(qr/up guard begins/);
        gate_opens();
        marked(qr/up guard ok/);
        $h->data($up, 'more', 1);
        like $h->response($up)->body, qr/\n\nsome more\z/, "$uri: a body";
        gate_shuts();
    }

    my $read = $h->request('POST', '/body/?how=whole', end => 0);
    $h->data($read, 'abc');
    $h->data($read, 'def', 1);
    like $h->response($read)->body, qr/^x-read: 6\n(?:.*\n)*\nabcdef\z/mi, 'a body that the guard reads';

    my $un = $h->request('POST', '/wait/', end => 0, headers => ['x-guard', '404']);
    $h->data($un, 'x' x 1000);
    is $h->response($un)->status, 404, 'refused before the body has come';

    forget();
    $h->request('GET', "/gate/?tag=n$_") for 1 .. 5;
    marked(qr/n5 guard begins/);
    $c->reset;
    ok marked(qr/n$_ guard cancelled/), "the end of the connection ends guard $_" for 1 .. 5;
    is_idle('no stream is left');
};


subtest 'the end of the worker' => sub {
    forget();
    my @c = map { $nginx->connect->send_request('GET', "/gate/$_") } 1 .. 3;
    my $t = $nginx->connect->send_request('GET', '/thread/?tag=t');
    ok marked(qr/(?:- guard begins\n(?:.*\n)*){3}/), 'suspended guards';
    marked(qr/t thread begins/);
    my $old = $nginx->worker;
    is $nginx->reload, undef, '... a reload';
    isnt $nginx->worker, $old, '... a new worker';
    gate_opens();
    is join('|', map { $_->response->body =~ m{^GET (\S+)} } @c), '/gate/1|/gate/2|/gate/3',
        '... the old one ends what it began';
    like $t->response->body, qr{^GET /thread/}, '... with threads';
    gate_shuts();

    forget();
    my $c = $nginx->connect->send_request('GET', '/gate-file/a.txt?tag=q');
    marked(qr/q guard begins/);
    $nginx->signal('QUIT');
    ok $nginx->wait_until(sub { !eval { $nginx->connect(timeout => 1)->close; 1 } }), 'QUIT';
    gate_opens();
    is $c->response->body, 'a file', '... waits for the guard, and what is behind it';
    ok gone($nginx), '... and then ends';
    gate_shuts();
    $nginx->stop;

    begin('async_shutdown_timeout 300ms;');
    $c = $nginx->connect->send_request('GET', '/gate/?tag=never');
    marked(qr/never guard begins/);
    $nginx->signal('QUIT');
    my $r = $c->response;
    is $r->status, 503, 'async_shutdown_timeout ends it with 503';
    ok gone($nginx), '... and the worker';
    $nginx->stop;

    begin('async_max_tasks 1;');
    $c = $nginx->connect->send_request('GET', '/gate-file/a.txt?tag=one');
    marked(qr/one guard begins/);
    $r = $nginx->get('/gate-file/a.txt');
    is $r->status . $r->header('Retry-After'), '5031', 'async_max_tasks: 503 to the next one';
    gate_opens();
    is $c->response->body, 'a file', '... and the first goes on';
    $nginx->stop;
};

done_testing();
