#!/usr/bin/perl

# RFC 6455, clause by clause, in the categories of the public test suites:
# framing, pings, reserved bits, opcodes, fragmentation, closing.  Each case is a
# connection of its own, and every byte that the server sends on it is compared.
# UTF-8 is in t/ws-conformance-utf8.t, limits are in t/ws-conformance-limits.t.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use NginxAsync;
use NginxAsync::WebSocketCase;

# t/ws-release-wire.t says all of this again of sessions whose request has ended
our $Release;
my $released = $Release ? "async_websocket_release on;\n" : '';

my $n = NginxAsync->new(conf => { http => $released . <<'EOF_CONF', server => <<'EOF_SERVER' })->start;
    async_app $TEST_NGINX_APPS/ws-conformance.so;
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1 ssl;
        ssl_certificate $TEST_NGINX_SERVER_ROOT/tls.crt;
        ssl_certificate_key $TEST_NGINX_SERVER_ROOT/tls.key;
        location / { async_route WS /echo ws-conformance:echo; }
    }
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_2;
        location / {
            proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
        }
    }
EOF_CONF
    location / {
        async_route WS /echo ws-conformance:echo;
        async_route WS /closes ws-conformance:closes;
    }
    location /short {
        async_websocket_close_timeout 200ms;
        async_route WS /short/closes ws-conformance:closes;
    }
EOF_SERVER

my $echo  = NginxAsync::WebSocketCase->new($n, '/echo');
my $tls   = NginxAsync::WebSocketCase->new($n, '/echo', port => $n->port(1), tls => 1);
my $proxy = NginxAsync::WebSocketCase->new($n, '/echo', port => $n->port(2));

my @whole = (shut(1000), ends(1000));

# bytes that differ from place to place, so that none can be missed or moved
sub pattern { my ($length) = @_; return substr join('', map { sprintf '%07d,', $_ } 0 .. $length / 8), 0, $length }

# ---- 1 framing

for my $length (0, 125, 126, 127, 128, 65535, 65536) {
    my $data = pattern($length);
    my $bytes = $length ? join '', map { chr(($_ * 7 + ($_ >> 8)) & 255) } 0 .. $length - 1 : '';

    for my $run ($echo, $tls, $proxy) {
        my $via = $run == $tls ? ' over TLS' : $run == $proxy ? ' through a proxy' : '';
        $run->ok("1.1 text of $length bytes$via", text($data), gets(TEXT, $data), @whole);
        $run->ok("1.2 binary of $length bytes$via", binary($bytes), gets(BINARY, $bytes), @whole);
    }

    # a header in octets in any case
    my $frame = binary($bytes);
    my $head = substr $frame, 0, 20, '';
    $echo->ok("1.3 $length bytes chopped", chopped(1, $head), chopped($length > 1000 ? 997 : 1, $frame),
        gets(BINARY, $bytes), @whole);
}

for my $mask ("\0\0\0\0", "\xff\xff\xff\xff", "\0\0\0\1", "\x81\0\x7f\x8a") {
    $echo->ok('1.4 the mask ' . unpack('H*', $mask), text('masked', mask => $mask), gets(TEXT, 'masked'),
        text('', mask => $mask), gets(TEXT, ''), @whole);
}

$echo->ok('1.5 a thousand messages in one write', join('', map { text("m$_") } 1 .. 1000),
    (map { gets(TEXT, "m$_") } 1 .. 1000), @whole);
$echo->ok('1.6 a hundred messages, cut where they are not', chopped(13, map { binary("m$_") } 1 .. 100),
    (map { gets(BINARY, "m$_") } 1 .. 100), @whole);

for my $length (0, 1, 125) {
    $echo->ok("1.7 $length bytes, the length in 16 bits", frame(TEXT, 'x' x $length, wide => 2), ends(1002));
}
for my $length (0, 1, 125, 126, 65535) {
    $echo->ok("1.7 $length bytes, the length in 64 bits", frame(BINARY, 'x' x $length, wide => 8), ends(1002));
}
for my $length (1 << 63, ~0, (1 << 63) + 5) {
    $echo->ok(sprintf('1.8 a length of %x, which is none', $length), frame(BINARY, 'x', length => $length), ends(1002));
}
for my $length (127, 0x7fffffff, 1 << 31, 1 << 32, (1 << 63) - 1) {
    $echo->ok(sprintf('1.9 a length of %x, and the end', $length), frame(BINARY, 'x', length => $length),
        sub { $_[0]->half_close }, ends($length > 1 << 24 ? 1009 : ()));
}

my @kinds = ([text => TEXT], [binary => BINARY], [ping => PING], [pong => PONG], [Close => CLOSE]);

for my $kind (@kinds) {
    my ($name, $opcode) = @$kind;
    my $data = $opcode == CLOSE ? pack 'n', 1000 : 'data';
    $echo->ok("1.10 $name, not masked", frame($opcode, $data, mask => undef), ends(1002));
    $echo->ok("1.10 $name, empty, not masked", frame($opcode, '', mask => undef), ends(1002));
    $echo->ok("1.10 $name, not masked, after others", text('a'), gets(TEXT, 'a'), ping('b'), gets(PONG, 'b'),
        frame($opcode, $data, mask => undef), ping('c'), ends(1002));
}
$echo->ok('1.10 a continuation, not masked', text('a', fin => 0), cont('b', mask => undef), ends(1002));

# ---- 2 pings and pongs

$echo->ok('2.1 an empty ping', ping(), gets(PONG, ''), @whole);
$echo->ok('2.2 a ping with text', ping('Hello, world!'), gets(PONG, 'Hello, world!'), @whole);
$echo->ok('2.3 a ping with bytes', ping("\0\xff\xfe\xfd\xfc\xfb\0\xff"), gets(PONG, "\0\xff\xfe\xfd\xfc\xfb\0\xff"), @whole);
$echo->ok('2.4 a ping of 125 bytes', ping("\xfe" x 125), gets(PONG, "\xfe" x 125), @whole);
$echo->ok('2.5 a ping of 126 bytes', ping("\xfe" x 126), ends(1002));
$echo->ok('2.5 a ping of 65536 bytes', ping('x' x 65536), ends(1002));
$echo->ok('2.5 a pong of 126 bytes', pong("\xfe" x 126), ends(1002));
$echo->ok('2.5 a ping said to be longer, only begun', substr(ping('x' x 126), 0, 9), ends(1002));
$echo->ok('2.6 a ping of 125 bytes in octets', chopped(1, ping("\xfe" x 125)), gets(PONG, "\xfe" x 125), @whole);
$echo->ok('2.7 an empty pong that nobody asked for', pong(), @whole);
$echo->ok('2.8 a pong with data that nobody asked for', pong('unasked'), @whole);
$echo->ok('2.9 a pong, then a ping', pong('unasked'), ping('asked'), gets(PONG, 'asked'), @whole);
$echo->ok('2.10 ten pings', (map { ping("p$_") } 0 .. 9), (map { gets(PONG, "p$_") } 0 .. 9), @whole);
$echo->ok('2.10 ten pings in one write', join('', map { ping("p$_") } 0 .. 9), (map { gets(PONG, "p$_") } 0 .. 9), @whole);
$echo->ok('2.11 ten pings in octets', chopped(1, map { ping("p$_") } 0 .. 9), (map { gets(PONG, "p$_") } 0 .. 9), @whole);
for my $run ($tls, $proxy) {
    $run->ok('2.12 pings over ' . ($run == $tls ? 'TLS' : 'a proxy'), ping('p'), gets(PONG, 'p'), pong('x'), ping(),
        gets(PONG, ''), @whole);
}

# ---- 3 reserved bits: no extension has been agreed on

for my $rsv (1 .. 7) {
    for my $kind (@kinds) {
        my ($name, $opcode) = @$kind;
        my $data = $opcode == CLOSE ? pack 'n', 1000 : 'data';
        $echo->ok("3.1 $name with the bits $rsv", frame($opcode, $data, rsv => $rsv), ends(1002));
        $echo->ok("3.2 $name, empty, with the bits $rsv", frame($opcode, '', rsv => $rsv), ping('not answered'), ends(1002));
    }
    $echo->ok("3.3 a continuation with the bits $rsv", text('a', fin => 0), cont('b', rsv => $rsv), ends(1002));
    $echo->ok("3.4 text, then one with the bits $rsv, in octets", chopped(1, text('good')), gets(TEXT, 'good'),
        chopped(1, text('bad', rsv => $rsv), ping()), ends(1002));
}

# ---- 4 opcodes

for my $opcode (3 .. 7, 11 .. 15) {
    $echo->ok("4.1 the opcode $opcode", frame($opcode, ''), ends(1002));
    $echo->ok("4.2 the opcode $opcode with data", frame($opcode, 'data'), ends(1002));
    $echo->ok("4.3 text, then the opcode $opcode", text('a'), gets(TEXT, 'a'), frame($opcode, ''), ping(), ends(1002));
    $echo->ok("4.4 text, then the opcode $opcode with data, in octets", chopped(1, text('a')), gets(TEXT, 'a'),
        chopped(1, frame($opcode, 'data'), ping()), ends(1002));
    $echo->ok("4.5 the opcode $opcode between fragments", text('a', fin => 0), frame($opcode, ''), cont('b'), ends(1002));
}

# ---- 5 fragmentation

sub each_way {
    my ($name, $frames, @then) = @_;

    $echo->ok("$name, in one write", join('', @$frames), @then);
    $echo->ok("$name, frame by frame", @$frames, @then);
    $echo->ok("$name, in octets", chopped(1, @$frames), @then);
}

each_way('5.1 a ping in two fragments', [ping('frag', fin => 0), cont('ment')], ends(1002));
each_way('5.2 a pong in two fragments', [pong('frag', fin => 0), cont('ment')], ends(1002));
each_way('5.2 a Close in two fragments', [shut(1000, 'frag', fin => 0), cont('ment')], ends(1002));
each_way('5.3 text in two fragments', [text('frag', fin => 0), cont('ment')], gets(TEXT, 'fragment'), @whole);
each_way('5.4 bytes in two fragments', [binary("\xff", fin => 0), cont("\0")], gets(BINARY, "\xff\0"), @whole);
each_way('5.6 a ping between two fragments', [text('frag', fin => 0), ping('ping'), cont('ment')],
    gets(PONG, 'ping'), gets(TEXT, 'fragment'), @whole);
each_way('5.7 a pong between two fragments', [text('frag', fin => 0), pong('pong'), cont('ment')],
    gets(TEXT, 'fragment'), @whole);

for my $fin (1, 0) {
    my $what = $fin ? 'the last' : 'another';
    each_way("5.9 a continuation of nothing, $what", [cont('none', fin => $fin), text('text')], ends(1002));
    each_way("5.10 an empty continuation of nothing, $what", [cont('', fin => $fin), text('text')], ends(1002));
    $echo->ok("5.15 a message, then a continuation of nothing, $what", text('frag', fin => 0), cont('ment'),
        gets(TEXT, 'fragment'), cont('none', fin => $fin), text('text'), ends(1002));
}

each_way('5.16 continuations of nothing around a message', [map { (cont('none', fin => 0), text('frag', fin => 0),
    cont('ment')) } 1, 2], ends(1002));
each_way('5.17 a last continuation of nothing before a message', [map { (cont('none'), text('frag', fin => 0),
    cont('ment')) } 1, 2], ends(1002));
each_way('5.18 two texts, the first not at its end', [text('frag', fin => 0), text('ment')], ends(1002));
each_way('5.18 bytes within a text', [text('frag', fin => 0), binary('ment', fin => 0), cont('')], ends(1002));
each_way('5.18 an empty text within bytes', [binary('frag', fin => 0), text(''), cont('')], ends(1002));

my @five = (text('f1', fin => 0), cont('f2', fin => 0), ping('p1'), cont('f3', fin => 0), cont('f4', fin => 0),
    ping('p2'), cont('f5'));

each_way('5.19 five fragments and two pings', \@five, gets(PONG, 'p1'), gets(PONG, 'p2'), gets(TEXT, 'f1f2f3f4f5'), @whole);
$echo->ok('5.20 five fragments and two pings, each waited for', @five[0 .. 2], gets(PONG, 'p1'), @five[3 .. 5],
    gets(PONG, 'p2'), $five[6], gets(TEXT, 'f1f2f3f4f5'), @whole);
each_way('5.21 empty fragments', [text('', fin => 0), (cont('', fin => 0)) x 5, cont('x', fin => 0), cont('')],
    gets(TEXT, 'x'), @whole);
each_way('5.22 nothing but empty fragments', [binary('', fin => 0), cont('', fin => 0), cont('')], gets(BINARY, ''), @whole);
$echo->ok('5.23 a thousand fragments', text('0', fin => 0), join('', map { cont($_ % 10, fin => 0) } 1 .. 999), cont('.'),
    gets(TEXT, '0123456789' x 100 . '.'), @whole);
$proxy->ok('5.24 fragments and pings through a proxy', @five, gets(PONG, 'p1'), gets(PONG, 'p2'), gets(TEXT, 'f1f2f3f4f5'), @whole);
$tls->ok('5.25 fragments and pings over TLS', @five, gets(PONG, 'p1'), gets(PONG, 'p2'), gets(TEXT, 'f1f2f3f4f5'), @whole);

# ---- 7 closing

$echo->ok('7.1.1 a message, then a Close', text('a'), gets(TEXT, 'a'), @whole);
$echo->ok('7.1.1 a message and a Close at once', text('a') . shut(1000), gets(TEXT, 'a'), ends(1000));
$echo->ok('7.1.1 messages and a Close at once', text('a') . text('b', fin => 0) . cont('c') . shut(4000),
    gets(TEXT, 'a'), gets(TEXT, 'bc'), ends(4000));
$echo->ok('7.1.2 two Closes', shut(1000) . shut(1000), ends(1000));
$echo->ok('7.1.2 two Closes of other codes, one after the other', shut(1000), shut(1001), ends(1000));
$echo->ok('7.1.3 a ping after the Close', shut(1000) . ping('late'), ends(1000));
$echo->ok('7.1.4 a text after the Close', shut(1000) . text('late'), ends(1000));
$echo->ok('7.1.4 what is no frame after the Close', shut(1000) . "\xff" x 1000, ends(1000));
{
    # which the server need not wait for
    my $ws = NginxAsync::WebSocket->new($n, '/echo')->send_close(1000);
    eval { $ws->text('x' x 1_000_000) };
    is $ws->close_code, 1000, '7.1.4 a megabyte after the Close';
}
$echo->ok('7.1.5 a Close between fragments', text('frag', fin => 0), shut(1000), cont('ment'), ends(1000));
$echo->ok('7.1.6 a long message, a Close, a ping', text('x' x 262_144), gets(TEXT, 'x' x 262_144), shut(1000), ping(), ends(1000));
$echo->ok('7.3.1 a Close without a code', shut(), ends(''));
$echo->ok('7.3.2 a Close of one byte', frame(CLOSE, "\x03"), ends(1002));
$echo->ok('7.3.3 a Close with a code alone', shut(1000), ends(1000));
$echo->ok('7.3.4 a Close with a reason', shut(1000, 'a reason'), ends(1000));
$echo->ok('7.3.4 a Close in octets', chopped(1, shut(1000, 'a reason')), ends(1000));
$echo->ok('7.3.5 a Close with a reason of 123 bytes', shut(1000, '*' x 123), ends(1000));
$echo->ok('7.3.6 a Close with a reason of 124 bytes', shut(1000, '*' x 124), ends(1002));
$echo->ok('7.3.7 a Close with a reason in all of UTF-8', shut(1000, "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"), ends(1000));

for my $reason ("\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited", "\xff", "ok\xc3", "\xf4\x90\x80\x80", "\xc0\x80") {
    $echo->ok('7.5.1 a reason that is no UTF-8: ' . unpack('H*', $reason), shut(1000, $reason), ends(1007));
}
for my $code (1000 .. 1003, 1007 .. 1014, 3000, 3001, 3999, 4000, 4001, 4999) {
    $echo->ok("7.7 the code $code", shut($code), ends($code));
    $echo->ok("7.7 the code $code, with a reason", shut($code, 'why'), ends($code));
}
for my $code (0, 1, 255, 256, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 32768, 65535) {
    $echo->ok("7.9 the code $code, which is none", shut($code), ends(1002));
    $echo->ok("7.9 the code $code, which is none, with a reason", shut($code, 'why'), ends(1002));
}

my $closes = NginxAsync::WebSocketCase->new($n, '/closes');
my $short  = NginxAsync::WebSocketCase->new($n, '/short/closes');
my @close  = (text('go'), gets(CLOSE, pack('n', 4001) . 'bye'));

$closes->ok('7.20 the server closes, and is answered', @close, shut(4001), ends());
$closes->ok('7.21 ... by another code', @close, shut(1000, 'else'), ends());
$closes->ok('7.22 ... by none', @close, shut(), ends());
$closes->ok('7.23 ... after messages and pings, of which it takes no more notice', @close, text('late'), ping('late'),
    binary('x' x 100_000), pong(), text('fr', fin => 0), ping(), cont('agment'), shut(4001), ends());
$closes->ok('7.24 ... in octets', @close, chopped(1, shut(4001, 'in octets')), ends());
$closes->ok('7.25 both close at once', text('go') . shut(1000), ends(1000));
$closes->ok('7.26 ... by a Close that is wrong', @close, shut(1005), ends());
$closes->ok('7.27 ... by what is no frame', @close, "\xff" x 100, ends());
$closes->ok('7.28 ... by a frame that is not masked', @close, text('x', mask => undef), ends());
$closes->ok('7.29 ... by the end of the connection', @close, sub { $_[0]->half_close }, ends());
$short->ok('7.30 ... by nothing: it does not wait for ever', @close, ends());
$short->ok('7.31 ... by everything but a Close', @close, (map { (ping(), text('x')) } 1 .. 100), ends());
$short->ok('7.32 ... by half a Close', @close, substr(shut(4001), 0, 7), ends());

# ---- 10 fragments of a long message, of lengths that no buffer has

for my $size (1300, 4096, 65537) {
    my $data = pattern(262_147);
    my @parts = unpack "(a$size)*", $data;
    my $first = shift @parts;
    my $last = pop @parts;
    $echo->ok("10.1 a long message in fragments of $size bytes", text($first, fin => 0), (map { cont($_, fin => 0) } @parts),
        cont($last), gets(TEXT, $data), @whole);
}

$n->stop;
done_testing;
