#!/usr/bin/perl

# What one read of the channels brings goes to a WebSocket together: its order,
# short and long ones, over TLS, too; clients that leave or do not read.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use NginxAsync;
use NginxAsync::WebSocket;

my $locations = 'location / { async_route GET /mixed mixed; async_route GET /publish publish;'
    . ' async_route WS /ws ws; async_websocket_buffer 4k; }';

my $n = NginxAsync->new(
    conf => {
        http => "async_app \$TEST_NGINX_APPS/channel.so;\n async_channels size=8m;
server {
    listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_1 ssl;
    ssl_certificate \$TEST_NGINX_SERVER_ROOT/tls.crt;
    ssl_certificate_key \$TEST_NGINX_SERVER_ROOT/tls.key;
    $locations
}",
        server => $locations });

$n->certificate;
$n->start;

my %over = (plain => [], TLS => [tls => 1, port => $n->port(1)]);

sub ws {
    my ($query, @o) = @_;

    my $ws = NginxAsync::WebSocket->new($n, "/ws?$query", timeout => 60, @o);
    $ws->message;

    return $ws;
}

sub mixed {
    my ($c, $count, @sizes) = @_;

    my $uri = "/mixed?c=$c&n=$count&sizes=" . join ',', @sizes;

    return $n->get($uri)->body =~ s/ .*//r;
}

# The messages that come, as "number length", up to the last one.
sub numbers {
    my ($ws, $last) = @_;

    my @got;

    for (;;) {
        my ($number) = (my $m = $ws->message // last) =~ /^(\d+):x+\z/ or push(@got, 'what is that'), last;
        push @got, "$number " . length $m;
        last if $number == $last;
    }

    return \@got;
}

sub expected {
    my ($count, @sizes) = @_;

    my $number = 0;

    return [map { map { ++$number . " $_" } @sizes } 1 .. $count];
}

# ---- order

my @sizes = (10, 5000, 10, 10, 4096, 4080, 8, 30_000, 12, 4095, 4097, 16);

for my $over (sort keys %over) {
    my @ws = map { ws('c=mix', @{ $over{$over} }) } 1 .. 3;

    is mixed('mix', 5, @sizes), 0, "short and long ones, $over";
    is_deeply numbers($_, 5 * @sizes), expected(5, @sizes), '... come in their order' for @ws;

    is mixed('mix', 300, 10), 0, '... many short ones';
    is_deeply numbers($_, 300), expected(300, 10), '... too' for @ws;

    # who reads is not slow, however little may wait
    my $strict = ws('c=mix&queue=1&close=1', @{ $over{$over} });
    is mixed('mix', 3, 10, 6000, 10, 10, 10), 0, '... a long one behind a short one';
    is_deeply numbers($strict, 15), expected(3, 10, 6000, 10, 10, 10), '... does not make others wait';
}

# ---- clients that leave

for my $round (1 .. 10) {
    my @ws = map { ws('c=leave') } 1 .. 6;
    my $l = $n->connect(timeout => 60);
    my ($pid) = $l->request('GET', '/publish?c=none&d=n')->body =~ / (\d+)$/;

    kill STOP => $pid;

    # it is asked to publish before it can know that some have gone
    $l->send_request('GET', '/mixed?c=leave&n=20&sizes=10,5000,20');
    $_->reset for @ws[0, 3, 5];

    kill CONT => $pid;

    is_deeply [map { numbers($_, 60) } @ws[1, 2, 4]], [(expected(20, 10, 5000, 20)) x 3],
        "some leave while much comes, others get all, $round";
    is $l->response->status, 200, '... and nothing hurts';
}

# ---- many of one channel: those that are far ahead may have gone, too

for my $count (1, 5, 6, 7, 8, 40) {
    my @ws = map { ws('c=many') } 1 .. $count;
    my $l = $n->connect(timeout => 60);

    is $l->request('GET', '/mixed?c=many&n=1&sizes=10')->status, 200, "one message to $count";
    is_deeply [map { numbers($_, 1) } @ws], [(expected(1, 10)) x $count], '... each has it';

    my ($pid) = $l->request('GET', '/publish?c=none&d=n')->body =~ / (\d+)$/;

    kill STOP => $pid;
    $l->send_request('GET', '/mixed?c=many&n=1&sizes=30');
    my @gone = map { 3 * $_ } 0 .. ($count - 1) / 3;
    $_->reset for @ws[@gone];
    kill CONT => $pid;

    $l->response;
    my %gone = map { $_ => 1 } @gone;
    my @stay = map { $ws[$_] } grep { !$gone{$_} } 0 .. $count - 1;
    is_deeply [map { numbers($_, 1) } @stay], [(expected(1, 30)) x @stay], '... but those who have gone';

    mixed('many', 2, 20);
    is_deeply [map { numbers($_, 2) } @stay], [(expected(2, 20)) x @stay], '... and the next ones, once each';
    $_->reset for @stay;
}

# ---- clients that do not read

for my $over (sort keys %over) {
    my @o = (@{ $over{$over} }, rcvbuf => 4096);
    my $slow = ws('c=slow&queue=8', @o);
    my $ends = ws('c=slow&queue=8&close=1', @o);
    my $reads = ws('c=slow', @{ $over{$over} });

    # more than sockets hold
    for (1 .. 150) {
        is mixed('slow', 1, 10, 100_000, 12, 5000, 14), 0, 'published' if $_ == 1;
        mixed('slow', 1, 10, 100_000, 12, 5000, 14) if $_ > 1;
        numbers($reads, 5);
    }

    mixed('slow', 1, map { 20 + $_ } 1 .. 6);

    my (@got, $m);

    do {
        $m = $slow->message;
        push @got, length $m;
    } until length $m == 26;

    is_deeply [@got[-6 .. -1]], [21 .. 26], "a client that does not read gets what is last, $over";
    cmp_ok @got, '<', 600, '... and not all';
    ok !(grep { !/^(10|12|14|5000|100000|2[1-6])$/ } @got), '... whole';

    is $ends->close_code, 1013, '... or is closed with 1013';
    is_deeply numbers($reads, 6), [map { "$_ " . (20 + $_) } 1 .. 6], '... and others get all';
}

ok $n->stop, 'it stops';

done_testing;
