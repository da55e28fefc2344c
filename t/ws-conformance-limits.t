#!/usr/bin/perl

# WebSocket messages of all lengths, and clients that send or take other than
# they should: too much, too slowly, without an end.  None of them costs more
# memory than the bounds say.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Select;
use Test::More;

use NginxAsync;
use NginxAsync::Env;
use NginxAsync::WebSocket;
use NginxAsync::WebSocketCase;

my $asan = NginxAsync::Env::asan();

# t/ws-release-wire.t says all of this again of sessions whose request has ended
our $Release;
my $released = $Release ? "async_websocket_release on;\n" : '';

my $n = NginxAsync->new(connections => 1024, conf => { http => $released . <<'EOF_CONF', server => <<'EOF_SERVER' })->start;
    async_app $TEST_NGINX_APPS/ws-conformance.so;
    async_websocket_ping 0;
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1 ssl;
        ssl_certificate $TEST_NGINX_SERVER_ROOT/tls.crt;
        ssl_certificate_key $TEST_NGINX_SERVER_ROOT/tls.key;
        location / { async_route WS /echo ws-conformance:echo; }
    }
EOF_CONF
    location / {
        async_route WS /echo ws-conformance:echo;
        async_route WS /count ws-conformance:count;
        async_route WS /idle ws-conformance:idle;
        async_route WS /flood ws-conformance:flood;
    }
    location /short {
        async_websocket_max_message 125;
        async_route WS /short/echo ws-conformance:echo;
        async_route WS /short/count ws-conformance:count;
    }
EOF_SERVER

my $echo  = NginxAsync::WebSocketCase->new($n, '/echo');
my $tls   = NginxAsync::WebSocketCase->new($n, '/echo', port => $n->port(1), tls => 1);
my $count = NginxAsync::WebSocketCase->new($n, '/count');
my $short = NginxAsync::WebSocketCase->new($n, '/short/echo');
my @whole = (shut(1000), ends(1000));
my $mb    = 1 << 20;

sub ws { return NginxAsync::WebSocket->new($n, @_) }

# Resident and at its highest, in MB.
sub memory { return $n->memory_of_worker / $mb }

sub at_most {
    my ($before, $bound, $what) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    SKIP: {
        skip 'ASan keeps what has been freed', 1 if $asan;
        my $grown = sprintf '%.1f', memory() - $before;
        cmp_ok $grown, '<', $bound, "$what: $grown MB";
    }
}

# All sessions have ended, whatever became of them.
my $fds = $n->open_fds;

sub all_ended {
    my ($what) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    ok $n->wait_until(sub { my $now = $n->open_fds; return $now <= $fds }), "$what: all sessions end";
}

# ---- what costs nothing

{
    my $before = memory();
    my @waiting = map { ws('/echo')->send_raw(substr binary('x', length => 16 * $mb), 0, -1) } 1 .. 100;
    $_->send_raw('x') for @waiting;
    is ws('/echo')->text('served')->message, 'served', 'a hundred announce 16 MB each';
    at_most($before, 3, '... which take memory when they come');
    $_->reset for @waiting;
    all_ended('... and never do');
}

{
    my $before = memory();
    $echo->ok('9.9 one byte over the bound is refused before it comes', binary('x', length => 16 * $mb + 1), ends(1009));
    $echo->ok("9.9 2^$_ as well", text('x', length => 1 << $_), ends(1009)) for 25, 31, 32, 33, 62;
    at_most($before, 1, '... and takes no memory');
}

# ---- 9 up to 16 MB

my $letters = join '', map { chr(97 + $_ * 7 % 26) } 0 .. 4095;

for my $size (1, 4, 16) {
    my $data = $letters x ($size * 256);
    $echo->ok("9.1 text of $size MB", text($data), gets(TEXT, $data), @whole);
    $echo->ok("9.2 bytes of $size MB", binary($data), gets(BINARY, $data), @whole);
    next if $size == 4;

    for my $piece ($size > 1 ? (65536, 1 << 20) : (64, 256, 1024, 4096, 16384, 65536)) {
        my ($first, @rest) = unpack "(a$piece)*", $data;
        $echo->ok("9.3 $size MB in fragments of $piece", join('', text($first, fin => 0), (map { cont($_, fin => 0) } @rest),
            cont('')), gets(TEXT, $data), @whole);
    }
}
{
    my $data = $letters x 256;
    $echo->ok("9.5 1 MB, chopped into $_ octets", chopped($_, text($data)), gets(TEXT, $data), @whole)
        for 64, 512, 2048;
    $tls->ok('9.6 1 MB over TLS', binary($data), gets(BINARY, $data), @whole);
    my $long = $data x 16;
    $tls->ok('9.6 16 MB over TLS', binary($long), gets(BINARY, $long), @whole);

    my $before = memory();
    my @parts = (binary($data, fin => 0), (map { cont($data, fin => 0) } 2 .. 16));
    $echo->ok('9.7 16 MB in fragments, and one byte', @parts, cont('x', length => 1, fin => 0), ends(1009));
    at_most($before, 2, '... which is given back');
    $count->ok('9.8 100 MB, received in parts', binary($data, fin => 0), (map { cont($data, fin => 0) } 2 .. 99), cont($data),
        gets(TEXT, 100 * $mb), @whole);
    at_most($before, 2, '... in none of it');
    $count->ok('9.8 a message of 100 MB in one frame', substr(binary('', length => 100 * $mb), 0, 14), ($data) x 100,
        gets(TEXT, 100 * $mb), @whole);
    at_most($before, 2, '... as well');
}

for my $length (124, 125) {
    $short->ok("9.10 a bound of 125: $length", text('x' x $length), gets(TEXT, 'x' x $length), @whole);
    $short->ok("9.10 a bound of 125: $length in fragments", text('x' x ($length - 1), fin => 0), ping('p' x 125),
        gets(PONG, 'p' x 125), cont('x'), gets(TEXT, 'x' x $length), @whole);
}
$short->ok("9.11 a bound of 125: $_", text('x' x $_), ends(1009)) for 126, 127, 4000, 65536, 200_000;
$short->ok('9.11 a bound of 125: 126 in fragments', text('x' x 125, fin => 0), cont('x'), ends(1009));
$short->ok('9.11 a bound of 125: 126 in octets', chopped(1, text('x' x 126)), ends(1009));
$short->ok('9.11 a bound of 125: 126 in fragments of one', text('x', fin => 0), (map { cont('x', fin => 0) } 2 .. 126), ends(1009));

# ---- clients that do not read

{
    my $before = memory();
    my @slow = map { ws('/flood', rcvbuf => 4096) } 1 .. 50;
    IO::Select->new($_->socket)->can_read(30) or fail 'nothing comes' for @slow;
    is ws('/echo')->text('served')->message, 'served', 'fifty that do not read what has no end';
    at_most($before, 50 * 0.2 + 2, '... for which 64k each waits');

    my $wrong = 0;
    for my $ws (@slow[0, 1]) {
        for my $i (0 .. 99) {
            $ws->message eq sprintf('%016x', $i) . "\0" . 'x' x (65536 - 17) or $wrong++;
        }
    }
    is $wrong, 0, '... two of them go on where they were';
    at_most($before, 50 * 0.2 + 2, '... for no more memory');

    $slow[0]->send_close(1000);
    is $slow[0]->close_code, 1000, '... one closes';
    $_->reset for @slow[1 .. 49];
    undef @slow;
    all_ended('... the others vanish');
}

# Sends until the server takes no more; how much that was, at most so much.
sub pour {
    my ($ws, $bound, $next) = @_;

    my $sent = 0;
    my $rest = '';

    $ws->socket->blocking(0);

    while ($sent < $bound && IO::Select->new($ws->socket)->can_write(1)) {
        $rest = $next->() if $rest eq '';
        my $length = syswrite $ws->socket, $rest // die 'nothing is left';
        substr($rest, 0, $length) = '' if $length;
        $sent += $length // 0;
    }

    return ($sent, $rest);
}

for my $uri (qw(/echo /idle)) {
    my $before = memory();
    my $ws = ws($uri, rcvbuf => 4096);
    my $i = 0;
    my ($sent, $rest) = pour($ws, 128 * $mb, sub { return binary(sprintf '%-1000d', $i++) });

    cmp_ok $sent, '<', 128 * $mb, "messages that nobody reads, to $uri: it takes no more";
    at_most($before, 2, '... nor memory');

    if ($uri eq '/echo') {
        NginxAsync::WebSocketCase::put($ws->connection, $rest);
        my $wrong = grep { $ws->message ne sprintf '%-1000d', $_ } 0 .. $i - 1;
        is $wrong, 0, '... and all come back';
        is $ws->send_close(1000)->close_code, 1000, '... and the close';
    }

    $ws->reset;
    all_ended('... and when it goes');
}

{
    my $before = memory();
    my $ws = ws('/idle', rcvbuf => 4096);
    my $last = 99_999;
    my @pings = map { ping(sprintf '%-125d', $_) } 0 .. $last;

    $ws->send_raw(join '', splice @pings, 0, 1000) while @pings;
    at_most($before, 2, 'a flood of pings without reading');

    my ($at, $seen, $wrong) = (-1, 0, 0);
    while ($at < $last) {
        my $f = $ws->any_frame // last;
        my $number = $f->{data} =~ /^(\d+) *$/ && length $f->{data} == 125 ? $1 : -1;
        $wrong++ if $f->{opcode} != 10 || $number <= $at;
        ($at, $seen) = ($number, $seen + 1);
    }
    is $wrong, 0, "... $seen are answered, in their order";
    is $at, $last, '... the last one among them';
    is $ws->ping('more')->any_frame->{data}, 'more', '... and it goes on';
    is $ws->send_close(1000)->close_code, 1000, '... to a close';
    ok $ws->eof, '... and the end';
}

# ---- clients that vanish

for my $case (
    ['between messages', ''],
    ['within a header', "\x81"],
    ['within a long header', substr binary('x' x 70_000), 0, 9],
    ['within a mask', substr text('x'), 0, 4],
    ['within a frame', substr text('x' x 100), 0, 50],
    ['within a long frame', substr binary('x' x 100_000), 0, 70_000],
    ['between fragments', text('x' x 10_000, fin => 0)],
    ['within a ping', substr ping('x' x 100), 0, 50],
    ['within a Close', substr shut(1000), 0, 7],
) {
    my ($where, $bytes) = @$case;

    $echo->ok("half a connection, $where: the end, without a Close frame", text('a'), gets(TEXT, 'a'), $bytes,
        sub { $_[0]->half_close }, ends());

    my $ws = ws('/echo');
    is $ws->text('a')->message, 'a', "a reset, $where";
    $ws->send_raw($bytes)->reset;
}

all_ended('after all of that');

$n->stop;
done_testing;
