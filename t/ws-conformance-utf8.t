#!/usr/bin/perl

# UTF-8 in WebSocket messages, in the categories of the public test suites.  What
# is valid comes back, however it is cut; what is not is closed with 1007, at the
# very byte that makes it so: neither before it nor later.

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
EOF_CONF
    location / { async_route WS /echo ws-conformance:echo; }
EOF_SERVER

my $echo  = NginxAsync::WebSocketCase->new($n, '/echo');
my @whole = (shut(1000), ends(1000));

sub hex_of {
    my ($bytes) = @_;

    return 'nothing' if $bytes eq '';
    return length $bytes > 16 ? '...' . unpack 'H*', substr $bytes, -16 : unpack 'H*', $bytes;
}

# Each octet a fragment.
sub fragments {
    my ($text) = @_;

    my @octets = split //, $text;

    return (text('', fin => 0), (map { cont($_, fin => 0) } @octets), cont(''));
}

# Whole; each octet a fragment, in one write; in writes of one octet, with a ping
# between any two fragments.
sub valid {
    my ($name, $text) = @_;

    $echo->ok("$name: " . hex_of($text),
        text($text), gets(TEXT, $text),
        join('', fragments($text)), gets(TEXT, $text),
        (map { ($_, ping('p'), gets(PONG, 'p')) } chopped_fragments($text)),
        chopped(1, cont('')), gets(TEXT, $text),
        chopped(1, text($text)), gets(TEXT, $text), @whole);
}

sub chopped_fragments {
    my ($text) = @_;

    my @frames = fragments($text);
    pop @frames;

    return map { chopped(1, $_) } @frames;
}

# The text before what is wrong, which could go on well, and from the first wrong
# byte on; none: the message ends within a character.
sub invalid {
    my ($name, $begin, $wrong) = @_;

    my $title = "$name: " . hex_of($begin) . '|' . hex_of($wrong);

    $echo->ok("$title, whole", text($begin . $wrong), ends(1007));

    if ($wrong eq '') {
        $echo->ok("$title, then the end", text($begin, fin => 0), ping('p'), gets(PONG, 'p'), cont(''), ends(1007));
        return;
    }

    # what follows the wrong byte is never sent
    my $unsent = -4 - length($wrong) + 1;
    my $size = length $begin > 100 ? 997 : 1;

    $echo->ok("$title, refused at once", text($begin, fin => 0), ping('p'), gets(PONG, 'p'),
        substr(cont("$wrong...."), 0, $unsent), ends(1007));
    $echo->ok("$title, in one frame, chopped", chopped($size, substr text("$begin$wrong...."), 0, $unsent), ends(1007));
}

my $kosme = "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5";

# ---- 6.1, 6.2 valid, cut anywhere

$echo->ok('6.1.1 an empty text', text(''), gets(TEXT, ''), @whole);
$echo->ok('6.1.2 three empty fragments', text('', fin => 0), cont('', fin => 0), cont(''), gets(TEXT, ''), @whole);
$echo->ok('6.1.3 only the second one is not empty', text('', fin => 0), cont('middle', fin => 0), cont(''),
    gets(TEXT, 'middle'), @whole);

my $text = "Hello-\xc2\xb5@\xc3\x9f\xc3\xb6\xc3\xa4\xc3\xbc\xc3\xa0\xc3\xa1-UTF-8!!";

valid('6.2.1 text', $text);
valid('6.2.2 Greek', $kosme);
valid('6.2.3 one to four octets', "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80z");

for my $at (1 .. length($kosme) - 1) {
    $echo->ok("6.2.4 two fragments, cut at $at", text(substr($kosme, 0, $at), fin => 0), cont(substr $kosme, $at),
        gets(TEXT, $kosme), @whole);
    $echo->ok("6.2.5 two segments, cut at $at", chopped(6 + $at, text($kosme)), gets(TEXT, $kosme), @whole);
}

{
    # ASCII is looked at eight bytes at a time
    my $long = join '', map { ('a' x $_, "\xc3\xa4", 'b' x $_, "\xf0\x9f\x98\x80") } 0 .. 40;
    $echo->ok("6.2.6 characters at any place, in pieces of $_", chopped($_, text($long)), gets(TEXT, $long), @whole)
        for 1, 7, 8, 9, 64, 10_000;
}

# ---- 6.3, 6.4 invalid, and refused at once

invalid('6.3 a surrogate in a text', "$kosme\xed", "\xa0\x80edited");
invalid('6.4 beyond U+10FFFF', "$kosme\xf4", "\x90\x80\x80edited");
invalid('6.4 a lonely octet in a text', $kosme, "\x80edited");
invalid("6.4 after $_ octets of ASCII", 'a' x $_, "\xff") for 1, 7, 8, 9, 15, 16, 17, 100, 4096, 70_000;

# ---- 6.6 all prefixes

for my $at (1 .. length $kosme) {
    my $prefix = substr $kosme, 0, $at;
    my $complete = grep { $at == $_ } 2, 5, 7, 9, 11;
    $complete ? valid('6.6 a prefix', $prefix) : invalid('6.6 a prefix', $prefix, '');
}

# ---- 6.7 to 6.11 the first and the last of each length

valid('6.7 the first of a length', $_) for "\0", "\xc2\x80", "\xe0\xa0\x80", "\xf0\x90\x80\x80";
invalid('6.8 the first of five octets', '', "\xf8\x88\x80\x80\x80");
invalid('6.8 the first of six octets', '', "\xfc\x84\x80\x80\x80\x80");
valid('6.9 the last of a length', $_) for "\x7f", "\xdf\xbf", "\xef\xbf\xbf", "\xf4\x8f\xbf\xbf";
invalid('6.10 the last of four octets of 21 bits', '', "\xf7\xbf\xbf\xbf");
invalid('6.10 the last of five octets', '', "\xfb\xbf\xbf\xbf\xbf");
invalid('6.10 the last of six octets', '', "\xfd\xbf\xbf\xbf\xbf\xbf");
valid('6.11 beside the surrogates, and about', $_) for "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbd",
    "\xf0\xbf\xbf\xbf", "\xf1\x80\x80\x80", "\xf3\xbf\xbf\xbf", "\xf4\x80\x80\x80", "\xe1\x80\x80", "\xec\xbf\xbf", "\xee\xbf\xbf";
invalid('6.11 U+110000', "\xf4", "\x90\x80\x80");

# ---- 6.12 continuations of nothing

invalid('6.12 continuations of nothing', '', $_) for "\x80", "\xbf", "\x80\xbf", "\x80\xbf\x80", "\x80\xbf\x80\xbf",
    "\x80\xbf\x80\xbf\x80", "\x80\xbf\x80\xbf\x80\xbf";
invalid('6.12 one too many', $_, "\x80") for "\xc2\x80", "\xe0\xa0\x80", "\xf0\x90\x80\x80";
invalid('6.12 each of them', '', chr) for 0x81 .. 0xbe;

# ---- 6.13 lonely first octets, 6.16 impossible ones

invalid('6.13 a first octet of two', chr, ' ') for 0xc2 .. 0xdf;
invalid('6.13 a first octet of three', chr, ' ') for 0xe0 .. 0xef;
invalid('6.13 a first octet of four', chr, ' ') for 0xf0 .. 0xf4;
invalid('6.16 impossible', 'a', chr() . ' ') for 0xc0, 0xc1, 0xf5 .. 0xff;

# ---- 6.14, 6.15 the last octet is missing

invalid('6.14 the last octet is missing', $_, '') for "\xc2", "\xdf", "\xe0\xa0", "\xe1\x80", "\xef\xbf", "\xf0\x90\x80",
    "\xf3\xbf\xbf", "\xf4\x8f\xbf", "\xf0\x90", "\xe0", "\xf4";
invalid('6.15 ... and another character follows', $_, "\xc3\xa4") for "\xc2", "\xe0\xa0", "\xe1\x80", "\xf0\x90\x80", "\xf4\x8f\xbf",
    "\xf1\x80";
invalid('6.15 ... and ASCII follows', $_, 'a') for "\xe0\xa0", "\xed\x9f", "\xf0\x90", "\xf0\x90\x80";

# ---- 6.17 to 6.19 longer than need be

invalid('6.17 too long, a slash', '', "\xc0\xaf");
invalid('6.17 too long, a slash', "\xe0", "\x80\xaf");
invalid('6.17 too long, a slash', "\xf0", "\x80\x80\xaf");
invalid('6.17 too long, a slash', '', "\xf8\x80\x80\x80\xaf");
invalid('6.17 too long, a slash', '', "\xfc\x80\x80\x80\x80\xaf");
invalid('6.18 too long, at the most', '', "\xc1\xbf");
invalid('6.18 too long, at the most', "\xe0", "\x9f\xbf");
invalid('6.18 too long, at the most', "\xf0", "\x8f\xbf\xbf");
invalid('6.18 too long, at the most', '', "\xf8\x87\xbf\xbf\xbf");
invalid('6.18 too long, at the most', '', "\xfc\x83\xbf\xbf\xbf\xbf");
invalid('6.19 too long, a zero', '', "\xc0\x80");
invalid('6.19 too long, a zero', "\xe0", "\x80\x80");
invalid('6.19 too long, a zero', "\xf0", "\x80\x80\x80");
invalid('6.19 too long, a zero', '', "\xf8\x80\x80\x80\x80");
invalid('6.19 too long, a zero', '', "\xfc\x80\x80\x80\x80\x80");

# ---- 6.20, 6.21 surrogates

invalid('6.20 a surrogate', "\xed", $_) for "\xa0\x80", "\xad\xbf", "\xae\x80", "\xaf\xbf", "\xb0\x80", "\xbe\x80", "\xbf\xbf";
invalid('6.21 a pair of surrogates', "\xed", $_) for "\xa0\x80\xed\xb0\x80", "\xa0\x80\xed\xbf\xbf", "\xad\xbf\xed\xb0\x80",
    "\xad\xbf\xed\xbf\xbf", "\xae\x80\xed\xb0\x80", "\xae\x80\xed\xbf\xbf", "\xaf\xbf\xed\xb0\x80", "\xaf\xbf\xed\xbf\xbf";

# ---- 6.22, 6.23 what is no character, but valid

sub utf8 { my $text = join '', map { chr } @_; utf8::encode($text); return $text }

no warnings qw(nonchar surrogate);

valid(sprintf('6.22 U+%X', $_), utf8($_)) for map { ($_ << 16 | 0xfffe, $_ << 16 | 0xffff) } 0 .. 16;
valid(sprintf('6.22 U+%X', $_), utf8($_)) for 0xfdd0, 0xfdef;
valid(sprintf('6.23 U+%X', $_), utf8($_)) for 0xfeff, 0xfff9 .. 0xfffd;

# ---- all of it

{
    my $all = utf8(0 .. 0xd7ff, 0xe000 .. 0x10ffff);

    is length $all, 128 + 2 * 1920 + 3 * 61440 + 4 * 1048576, 'all that Unicode has';
    $echo->ok('6.24 all of it, whole', text($all), gets(TEXT, $all), @whole);
    $echo->ok('6.24 all of it, in fragments of 1021', text('', fin => 0),
        join('', map { cont($_, fin => 0) } unpack '(a1021)*', $all), cont(''), gets(TEXT, $all), @whole);
}

# ---- other kinds

$echo->ok('6.25 bytes need not be UTF-8', binary("\xff\xfe\xed\xa0\x80"), gets(BINARY, "\xff\xfe\xed\xa0\x80"), @whole);
$echo->ok('6.25 nor those of pings', ping("\xff\xfe"), gets(PONG, "\xff\xfe"), @whole);
$echo->ok('6.26 half a character, a ping of the other half', text("\xe2\x82", fin => 0), ping("\xac"), gets(PONG, "\xac"),
    cont("\xac"), gets(TEXT, "\xe2\x82\xac"), @whole);
$echo->ok('6.27 a message begins anew', text("a\xc3\xa4"), gets(TEXT, "a\xc3\xa4"), text("\xa4"), ends(1007));
$echo->ok('6.28 a text after bytes that end in half a character', binary("\xc3"), gets(BINARY, "\xc3"), text('a'),
    gets(TEXT, 'a'), @whole);

$n->stop;
done_testing;
