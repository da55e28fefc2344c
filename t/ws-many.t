#!/usr/bin/perl

# Many WebSockets: through reloads, each of which tells all of them 1012, whatever
# their handlers do, and lets the old workers go; and idle ones, with what each
# costs.  TEST_NGINX_LONG=1 takes 1,000 at each reload instead of 250, and 10,000
# idle ones instead of 1,000.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Socket;
use Test::More;

use NginxAsync;
use NginxAsync::Env;
use NginxAsync::WebSocket;

my $told = $ENV{TEST_NGINX_LONG} ? 1000 : 250;
my $idle = $ENV{TEST_NGINX_LONG} ? 10_000 : 1000;

my %conf = (http => <<'EOF_HTTP', server => <<'EOF_SERVER');
    async_app $TEST_NGINX_APPS/ws-conformance.so;
EOF_HTTP
    async_websocket_close_timeout 500ms;
    location / {
        async_route WS /echo ws-conformance:echo;
        async_route WS /count ws-conformance:count;
        async_route WS /idle ws-conformance:idle;
        async_route WS /flood ws-conformance:flood;
    }
EOF_SERVER

local $SIG{PIPE} = 'IGNORE';

my $begun = NginxAsync::WebSocket::frame(1, 'a message', fin => 0, mask => "\0\0\0\0");
my $cut   = substr NginxAsync::WebSocket::frame(2, 'x' x 5000), 0, 3000;

# So many sockets with a session each; kinds: a path, and what is sent with the
# handshake.  No more at once than a listen queue holds.
sub sessions {
    my ($n, $count, @kinds) = @_;

    my $to = pack_sockaddr_in($n->port(0), INADDR_LOOPBACK);
    my @all;

    while (@all < $count) {
        my $first = @all;

        for my $i ($first .. $first + 99) {
            last if $i == $count;
            my ($uri, $behind) = @{ $kinds[$i % @kinds] };

            socket my $s, PF_INET, SOCK_STREAM, 0 or die "socket: $!";
            setsockopt $s, SOL_SOCKET, SO_RCVTIMEO, pack 'l!l!', 30, 0;
            connect $s, $to or die "connect: $!";
            syswrite $s, NginxAsync::WebSocket::request_text($uri) . $behind or die "write: $!";
            push @all, $s;
        }

        accepted($_) for @all[$first .. $#all];
    }

    return @all;
}

sub accepted {
    my ($s) = @_;

    my $head = '';

    while ($head !~ /\r\n\r\n/) {
        sysread $s, $head, 4096, length $head or die "no answer: $! $head";
    }

    $head =~ /^HTTP\/1.1 101 .*\r\n\r\n\z/s or die $head;
}

sub rest_of {
    my ($s) = @_;

    my $bytes = '';
    1 while sysread $s, $bytes, 65536, length $bytes;

    return $bytes;
}

# ---- reloads

my $close  = "\x88\x02" . pack 'n', 1012;
my $answer = NginxAsync::WebSocket::frame(8, pack('n', 1012), mask => "\0\0\0\0");

{
    my $n = NginxAsync->new(workers => 2, connections => 2500, conf => \%conf)->start;
    my @kinds = (['/echo', ''], ['/idle', ''], ['/echo', $begun], ['/count', $cut], ['/idle', $begun]);

    for my $round (1 .. 20) {
        my @all = sessions($n, $told, @kinds);
        my ($wrong, $open) = (0, 0);

        is $n->reload, undef, "reload $round: new workers";

        for my $i (0 .. $#all) {
            my $s = $all[$i];
            my $got = '';

            sysread $s, $got, 16;
            $wrong++ if $got ne $close;

            # now and then somebody does not answer: he has his time
            syswrite $s, $answer if $i % 100 || $round % 5;
            shutdown $s, 1 if $i % 7 == 0;
        }

        rest_of($_) eq '' or $open++ for @all;

        is $wrong, 0, "... each of $told is told 1012";
        is $open, 0, '... and nothing else, up to the end';
        ok $n->wait_until(sub { !$n->leaving_workers }), '... the old workers go';
    }

    is scalar(my @workers = $n->workers), 2, 'two workers are left';
    $n->stop;
}

# ---- idle ones

SKIP: {
    chomp(my $limit = qx{sh -c 'ulimit -n'});
    skip "no more than $limit files may be open", 4 if $limit ne 'unlimited' && $limit < $idle * 1.3;

    # the last free ones it would take from others
    my $n = NginxAsync->new(connections => int($idle * 1.2), conf => \%conf)->start;

    # what the first ones need, they do not need alone
    close $_ for sessions($n, 20, ['/echo', '']);

    my $before = $n->memory_of_worker;
    my @all = sessions($n, $idle, ['/echo', '']);
    my $each = int(($n->memory_of_worker - $before) / $idle);

    SKIP: {
        skip 'ASan takes more', 1 if NginxAsync::Env::asan();
        cmp_ok $each, '<', 16_000, "$idle idle sessions: $each bytes each";
    }

    my $wrong = 0;
    for my $s (@all) {
        syswrite $s, NginxAsync::WebSocket::frame(1, 'hello');
        sysread $s, my $got, 100;
        $wrong++ if $got ne "\x81\x05hello";
    }
    is $wrong, 0, '... and all of them serve';

    SKIP: {
        skip 'ASan takes more', 1 if NginxAsync::Env::asan();
        my $after = int(($n->memory_of_worker - $before) / $idle);
        cmp_ok $after, '<', $each + 1_000,
            "... $after bytes each behind that: no page of a stack more";
    }

    close $_ for @all;
    ok $n->wait_until(sub { my $open = $n->open_fds; return $open < 100 }), '... until they go';
    $n->stop;
}

done_testing;
