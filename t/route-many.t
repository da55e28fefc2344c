#!/usr/bin/perl

# What the blocks of t/route.t cannot say: thousands of routes, and HEAD
# compared with GET byte by byte.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use NginxAsync;

my $app = "async_app \$TEST_NGINX_APPS/route.so;\n";

subtest 'five thousand routes' => sub {
    my $routes = '';

    # four shapes, so that edges are shared in many ways
    for my $i (1 .. 1250) {
        $routes .= qq{
            async_route GET /plain/$i one;
            async_route GET "/p/{x}/of/$i" two;
            async_route GET "/$i/{id:int}" three;
            async_route POST "/$i/{name}/end" one;
        };
    }

    my $n = NginxAsync->new(conf => {
        http => "keepalive_requests 10000;\n$app",
        server => "location / { $routes }" })->start;

    my $c = $n->connect;
    my %wrong;

    for my $i (1 .. 1250) {
        my %expected = (
            "/plain/$i"   => "one GET /plain/$i\n",
            "/p/a$i/of/$i" => "two GET /p/a$i/of/$i x=[a$i]\n",
            "/$i/$i"      => "three GET /$i/$i id=[$i]\n",
        );

        # one of them each time, and all of them for some
        my @uris = sort keys %expected;
        @uris = $uris[$i % 3] if $i % 10;

        for my $uri (@uris) {
            my $body = $c->request('GET', $uri)->body;
            $wrong{$uri} = $body if $body ne $expected{$uri};
        }
    }

    is_deeply \%wrong, {}, 'each gets its requests';

    is $c->request('POST', '/77/x/end', body => '')->body,
        "one POST /77/x/end name=[x]\n", 'by method';
    is $c->request('GET', '/77/x/end')->status, 405, '405 among them';
    is $c->request('GET', '/77/x')->status, 404, '404 among them';
    is $c->request('GET', '/plain/1251')->status, 404, '404 next to them';
    is $c->request('GET', '/plain/1250/')->header('Location'), '/plain/1250',
        'a redirect among them';
    is $c->request('GET', '/p/1/of/' . '1' x 3000)->status, 404,
        'a long path that fits none';

    $c->close;
    is $n->reload, undef, 'and once more by a reload';
    is $n->get('/plain/1250')->body, "one GET /plain/1250\n", 'which serves';
    $n->stop;
};


subtest 'a path that could take ages takes none' => sub {
    my $pattern = join '', map { "a{p$_:path}" } 1 .. 16;

    my $n = NginxAsync->new(conf => { http => $app,
        server => qq{location / { async_route GET "/${pattern}b" one; }} })
        ->start;

    is $n->get('/' . 'a' x 6000, timeout => 30)->status, 404,
        'sixteen path parameters, and six thousand characters that fit none';
    $n->stop;
};


subtest 'HEAD' => sub {
    my $n = NginxAsync->new(conf => { http => $app, server => <<'EOF_CONF' })
        location / { async_route GET /m one; async_route GET /notes/ two;
                     async_route POST /p one; }
        location /all { async_handler two; }
EOF_CONF
        ->start;

    for my $uri (qw(/m /all /none /notes /p)) {
        my $c = $n->connect;
        my $head = $c->request('HEAD', $uri);
        my $get  = $c->request('GET', $uri);

        my ($a, $b) = map { $_->raw_head =~ s/^Date:.*\n//mr } $head, $get;

        # the handler of the test says the method that it sees
        s/^Content-Length: \d+/Content-Length: n/m for $a, $b;

        is $a, $b, "$uri: the head is that of GET";
        $c->send("HEAD $uri HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        unlike $c->read_all, qr/\r\n\r\n./s, "$uri: nothing follows it";
    }

    $n->stop;
};

done_testing;
