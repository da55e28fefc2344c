#!/usr/bin/perl

# Clients at random, that ask for all that t/request.t and t/request-phases.t
# ask for, and leave at any moment: TEST_NGINX_SEED repeats a run.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use NginxAsync::Life;

my $nginx = life();

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

$nginx->stop;

done_testing;
