#!/usr/bin/perl

# Compressed messages of WebSockets (RFC 7692): what is agreed on, both ways,
# in parts, over TLS; data that is wrong; bounds of memory and of time.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Compress::Raw::Zlib;
use Test::More;

use NginxAsync;
use NginxAsync::WebSocket;

# t/ws-release-wire.t says all of this again of sessions whose request has ended
our $Release;
my $released = $Release ? "async_websocket_release on;\n" : '';

my $n = NginxAsync->new(conf => { http => $released . <<'EOF_CONF', server => <<'EOF_SERVER' })->start;
    async_app $TEST_NGINX_APPS/ws-deflate.so;
    async_websocket_ping 0;
    async_websocket_deflate on min=0;
    async_channels;
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1 ssl;
        ssl_certificate $TEST_NGINX_SERVER_ROOT/tls.crt;
        ssl_certificate_key $TEST_NGINX_SERVER_ROOT/tls.key;
        location / { async_route WS /echo echo; async_route WS /together together; }
    }
EOF_CONF
    location / {
        async_route WS /echo echo;
        async_route WS /parts parts;
        async_route WS /late late;
        async_route WS /together together;
        async_route WS /stuck stuck;
        async_route WS /closes_amid closes_amid;
        async_route WS /large_parts large_parts;
        async_route WS /subscribe subscribe;
        async_route GET /publish publish;
        async_route GET /open open;
    }
    location /takeover {
        async_websocket_deflate on takeover min=0;
        async_route WS /takeover echo;
        async_route WS /takeover/subscribe subscribe;
    }
    location /bounded {
        async_websocket_deflate on takeover min=0 window=10 memory=40k;
        async_route WS /bounded echo;
    }
    location /min {
        async_websocket_deflate on;
        async_route WS /min echo;
    }
    location /small {
        async_websocket_max_message 1m;
        async_websocket_buffer 64k;
        async_route WS /small echo;
        async_route WS /small/late late;
    }
    location /off {
        async_websocket_deflate off;
        async_route WS /off echo;
    }
EOF_SERVER

my $none = 'server_no_context_takeover; client_no_context_takeover';

sub ws {
    my ($uri, $offer, @more) = @_;
    return NginxAsync::WebSocket->new($n, $uri, extensions => $offer // 'permessage-deflate', @more);
}

sub packed_ws { return ws(@_)->deflate }

sub extensions { return $_[0]->response->header('Sec-WebSocket-Extensions') }

# words that do not repeat themselves
sub words {
    my ($length, $seed) = @_;
    srand($seed // 1);
    return substr join(' ', map { sprintf '%x', rand 2**32 } 0 .. $length / 8), 0, $length;
}

# ---- what is agreed on

is extensions(ws('/echo')), "permessage-deflate; $none", 'without takeover both sides are told so';
is extensions(ws('/off')), undef, 'nothing where it is off';
is extensions(ws('/echo', 'x-other')), undef, 'nothing where it is not offered';
is extensions(ws('/echo', 'permessage-deflate; server_max_window_bits=8')), undef,
    'nor for a window that zlib has not';
is extensions(ws('/echo', 'permessage-deflate; x=y, permessage-deflate; server_max_window_bits="12"')),
    "permessage-deflate; $none; server_max_window_bits=12", 'the first offer that can be taken';
is extensions(ws('/echo', undef, headers => ['Sec-WebSocket-Extensions' => 'x'])), "permessage-deflate; $none",
    'in a field of several';
is extensions(ws('/takeover', 'permessage-deflate; client_max_window_bits')), 'permessage-deflate',
    'with takeover nobody is told anything';
is extensions(ws('/takeover', 'permessage-deflate; server_no_context_takeover; client_max_window_bits=9')),
    'permessage-deflate; server_no_context_takeover; client_max_window_bits=9', 'but what the client has asked for';
is extensions(ws('/bounded', 'permessage-deflate; client_max_window_bits')),
    'permessage-deflate; server_max_window_bits=10; client_max_window_bits=10', 'the window of the directive';

for my $wrong ('permessage-deflate;', 'permessage-deflate; a="', 'a b') {
    my $r = NginxAsync::WebSocket::handshake($n, '/echo', extensions => $wrong);
    is $r->status, 400, "$wrong is malformed";
}

# ---- messages

for my $uri ('/echo', '/takeover', '/bounded') {
    for my $offer ('permessage-deflate',
        'permessage-deflate; server_max_window_bits=9; client_max_window_bits=9',
        'permessage-deflate; client_max_window_bits=8; server_no_context_takeover',
        'permessage-deflate; client_no_context_takeover; server_max_window_bits=13')
    {
        my $ws = packed_ws($uri, $offer);
        my $ok = 0;

        for my $length (0, 1, 5, 0, 125, 1000, 5000, 65_535, 65_537, 300_000, 3) {
            my $text = words($length);
            $ok += $ws->packed(1, $text)->message eq $text && $ws->kind eq 'text';
        }

        is $ok, 11, "$uri: $offer";
    }
}

{
    my $ws   = packed_ws('/takeover');
    my $text = words(2000);
    my @sizes;

    for (1 .. 3) {
        $ws->packed(1, $text);
        my $f = $ws->next_frame;
        push @sizes, length $f->{data};
        is $ws->unpack_message($f->{data}), $text, "message $_ with takeover";
    }

    cmp_ok $sizes[0], '>', 900, 'the first one is as long as it is';
    cmp_ok $sizes[1], '<', 100, 'the second one refers to it';
    cmp_ok $sizes[2], '<', 100, '... as the third one does';
}

{
    my $ws   = packed_ws('/echo');
    my $text = words(2000);
    my @sizes;

    for (1 .. 3) {
        my $f = $ws->packed(1, $text)->next_frame;
        is $f->{rsv}, 4, 'RSV1 says that it is compressed';
        push @sizes, length $f->{data};
    }

    is_deeply \@sizes, [($sizes[0]) x 3], 'without takeover all are the same';
    cmp_ok $sizes[0], '<', 1600, '... and shorter';

    is $ws->text('plain')->message, 'plain', 'what comes plain is taken';

    my $noise = join '', map { chr rand 256 } 1 .. 70_000;
    my $f = $ws->packed(2, substr $noise, 0, 5000)->next_frame;
    is $f->{rsv}, 0, 'what does not become shorter goes plain';
    is $f->{data}, substr($noise, 0, 5000), '... as it is';

    $f = $ws->packed(2, $noise)->next_frame;
    is $f->{rsv} . $f->{fin}, '01', 'also a long one';
    ok $f->{data} eq $noise, '... as it is';

    $ws->packed(1, "fragmented \xc3\xa4 text");
    is $ws->message, "fragmented \xc3\xa4 text", 'UTF-8 beyond ASCII';

    my @piece = $ws->pack_message(words(3000)) =~ /(.{1,100})/gs;
    $ws->send_frame(1, shift @piece, rsv => 4, fin => 0)->ping('between');
    $f = $ws->next_frame;
    is $f->{opcode} . $f->{data}, '10between', 'a ping between fragments is answered';
    $ws->send_frame(0, $_, fin => 0) for @piece;
    is $ws->send_frame(0, '')->message, words(3000), '... and the message is whole';

    my $frame = NginxAsync::WebSocket::frame(1, $ws->pack_message(words(900)), rsv => 4);
    $ws->send_raw(split //, $frame);
    is $ws->message, words(900), 'byte by byte';

    $ws->send_raw(join '', map { NginxAsync::WebSocket::frame(1, $ws->pack_message("m$_" x 50), rsv => 4) } 1 .. 500);
    is_deeply [map { $ws->message } 1 .. 500], [map { "m$_" x 50 } 1 .. 500], 'many in one write';

    is_deeply [$ws->close(1000)], [1000, ''], 'and it closes';
}

{
    my $ws = packed_ws('/min');
    my $f  = $ws->packed(1, 'a' x 255)->next_frame;
    is $f->{rsv}, 0, 'less than min= goes plain';
    is $ws->packed(1, 'a' x 256)->next_frame->{rsv}, 4, 'and no less is compressed';
}

# RFC 7692, 7.2.3, and what zlib may do

for my $case (['f248cdc9c90700', 'Hello', 'a block'], ['000500faff48656c6c6f00', 'Hello', 'one without compression'],
    ['f348cdc9c9070000', 'Hello', 'a last block'], ['f348cdc9c90700', 'Hello', 'a last block at the very end'],
    ['f248050000' . '00ffffcac9c90700', 'Hello', 'two blocks'], ['00', '', 'an empty message'],
    ['', '', 'nothing'], ['f348cdc9c90700f348cdc9c9070000', 'HelloHello', 'two last blocks'])
{
    my ($hex, $text, $title) = @$case;
    my $ws = packed_ws('/takeover');
    $ws->send_frame(1, pack('H*', $hex), rsv => 4) for 1 .. 2;
    is_deeply [map { $ws->message } 1 .. 2], [$text, $text], $title;
}

# ---- parts

{
    my $ws   = packed_ws('/parts');
    my $text = words(200_000);

    is $ws->packed(1, $text)->message, $text, 'parts come and go compressed';
    is $ws->packed(1, 'x')->message, 'x', '... again';
    is $ws->packed(1, '')->message, '', '... also an empty one';

    my @piece = $ws->pack_message($text) =~ /(.{1,9000})/gs;
    my $sent = '';
    $ws->send_frame(1, shift @piece, rsv => 4, fin => 0);

    my $f = $ws->next_frame;
    is $f->{rsv} . $f->{fin} . $f->{opcode}, '401', 'the first part, before the message is whole';
    my $data = $f->{data};

    $ws->send_frame(0, $_, fin => 0) for @piece;
    $ws->send_frame(0, '');

    my $rsv = 0;
    do { $f = $ws->next_frame; $rsv |= $f->{rsv}; $data .= $f->{data} } until $f->{fin};

    is $rsv, 0, 'RSV1 only in the first of them';
    ok $ws->unpack_message($data) eq $text, 'they are the message';
}

# ---- long ones, cut as they are sent

{
    for my $tls (0, 1) {
        my @tls = $tls ? (port => $n->port(1), tls => 1) : ();
        my $ws  = packed_ws('/together?len=1000000', undef, @tls);
        my @got = map { my $m = $ws->message; length $m > 5 ? length $m : $m } 1 .. 5;

        is_deeply \@got, ['short', 1_000_000, 'short', 1_000_000, 'short'],
            'short ones of other tasks wait for a long one' . ($tls ? ', TLS' : '');
        is(($ws->closed)[0], 1000, '... and it ends');
    }

    my $ws = packed_ws('/closes_amid?len=5000000', undef, rcvbuf => 4096);
    is length($ws->message // ''), 5_000_000, 'a close waits for the end of a long one';
    is(($ws->closed)[0], 4000, '... and goes before what comes later');

    # one that does not wait, at a shutdown: a control frame may come between fragments
    $ws = packed_ws('/together?len=20000000', undef, rcvbuf => 4096);
    my ($f, @seen);
    1 while ($f = $ws->next_frame) && $f->{rsv} != 4;
    is $f->{fin}, 0, 'a long one has begun';
    is $n->reload, undef, '... when its worker shuts down';
    while (my $f = $ws->next_frame) { push @seen, $f->{opcode}; if ($f->{opcode} == 8) { $ws->{close} = $f->{data}; $ws->send_close(1012) } }
    is pop @seen, 8, '... a close amid it is the last of all';
    is_deeply [grep { $_ != 0 } @seen], [], '... behind fragments';
    is(($ws->closed)[0], 1012, '... and says why');

    my $since = $n->mark;
    $ws = packed_ws('/large_parts?len=3000000');
    is length($ws->message // ''), 6_000_000, 'long parts are the message';
    is $ws->message, 'whole', '... and what comes behind goes on';
    $n->like_log($since, qr/<others have turns>/, '... others have their turn meanwhile');

    $ws = packed_ws('/stuck', undef, rcvbuf => 4096);
    $n->like_log(0, qr/<stuck -2, then -4>/, 'a long one that is not read breaks off at its deadline');
}

# ---- channels: once for all who take it so

{
    my @offers = ('permessage-deflate', 'permessage-deflate; server_max_window_bits=12',
        'permessage-deflate; server_max_window_bits=11', 'x-none');
    my @ws = ((map { ws('/subscribe', $_) } @offers), ws('/takeover/subscribe'),
        ws('/takeover/subscribe', 'permessage-deflate; server_no_context_takeover'));

    for my $ws (@ws) {
        $ws->deflate if extensions($ws);
        is $ws->message, 'subscribed', 'a client subscribes';
    }

    for my $length (6000, 100, 6000) {
        is $n->get("/publish?len=$length")->status, 200, "$length bytes are published";

        my @got = map { $_->message } @ws;

        is_deeply [map { length } @got], [($length) x 6], '... and come';
        is_deeply \@got, [($got[3]) x 6], '... as they are';
        is join(' ', map { $_->rsv } @ws), '4 4 0 0 0 4', '... compressed for who needs no context and has the window';
    }
}

# ---- wrong

for my $case (['a block of no type', '06', 1007], ['noise', 'ff' x 20, 1007], ['a block cut off', '000500faff48', 1007],
    ['a block that only its tail completes', '000900f6ff48656c6c6f', 1007], ['too far behind', 'f248cd4902', 1007],
    ['no end', 'f248cdc9c907', 1007], ['no UTF-8', '000100feffff00', 1007],
    ['half a character', '000100feffc300', 1007])
{
    my ($title, $hex, $code) = @$case;
    for my $uri ('/echo', '/takeover', '/parts') {
        my $ws = packed_ws($uri);
        $ws->send_frame(1, pack('H*', $hex), rsv => 4);
        is $ws->close_code, $code, "$title, $uri";
    }
}

for my $case (['RSV1 of a message where nothing is agreed on', '/off', [1, 'x', rsv => 4]],
    ['RSV1 in the second frame', '/echo', [1, "\0", rsv => 4, fin => 0], [0, "\0", rsv => 4]],
    ['RSV1 only in the second frame', '/echo', [1, 'x', fin => 0], [0, "\0", rsv => 4]],
    ['RSV1 of a ping', '/echo', [9, 'x', rsv => 4]], ['RSV1 of a close', '/echo', [8, '', rsv => 4]],
    ['RSV1 and RSV2', '/echo', [1, "\0", rsv => 6]], ['RSV2', '/echo', [1, "\0", rsv => 2]])
{
    my ($title, $uri, @frames) = @$case;
    my $ws = ws($uri);
    $ws->send_frame(@$_) for @frames;
    is $ws->close_code, 1002, $title;
}

# ---- bombs

{
    my $zeros = "\0" x 1_048_576;

    my $ws = packed_ws('/small');
    ok $ws->packed(2, $zeros)->message eq $zeros, 'as long as async_websocket_max_message';
    is $ws->packed(2, "$zeros\0")->close_code, 1009, 'a byte more closes with 1009';

    $ws = packed_ws('/echo');
    my $bomb = $ws->pack_message($zeros x 17);
    cmp_ok length $bomb, '<', 20_000, '17 MB in few bytes';
    is $ws->send_frame(2, $bomb, rsv => 4)->close_code, 1009, '... are refused';

    $ws = packed_ws('/echo');
    my $whole = $zeros x 16;
    ok $ws->packed(2, $whole)->message eq $whole, '16 MB are not';

    my $before = $n->memory_of_worker;
    my @late   = map { packed_ws('/small/late') } 1 .. 20;

    for my $late (@late) {
        $late->send_frame(2, substr($bomb, 0, 1000), rsv => 4, fin => 0);
    }

    # what has come before has been read, as much as may be
    $n->get('/off');

    cmp_ok $n->memory_of_worker - $before, '<', 20 * 600_000, 'of what nobody receives little is inflated'
        if !$ENV{TEST_NGINX_ASAN};

    $n->get('/open');
    $_->send_frame(0, substr $bomb, 1000) for @late;
    is_deeply [map { $_->close_code } @late], [(1009) x 20], '... and none of it is delivered';
}

# ---- contexts

{
    my $text = words(3000);
    my @ws   = map { packed_ws('/bounded', 'permessage-deflate; client_max_window_bits') } 1 .. 4;

    my @mine = map { $_->terms->{server_no_context_takeover} ? 0 : 1 } @ws;
    is_deeply \@mine, [1, 0, 0, 0], 'past memory= connections do without takeover';

    for my $i (0 .. 3) {
        $ws[$i]->packed(1, $text)->message eq $text or fail;
        my $f = $ws[$i]->packed(1, substr $text, -500)->next_frame;
        is $ws[$i]->unpack_message($f->{data}), substr($text, -500), "connection $i";
        $mine[$i] ? cmp_ok(length $f->{data}, '<', 100, '... refers to what was before')
                  : cmp_ok(length $f->{data}, '>', 200, '... does not');
    }

    $ws[0]->close(1000);

    my $again;
    ok $n->wait_until(sub {
        $again = packed_ws('/bounded', 'permessage-deflate; client_max_window_bits');
        return !$again->terms->{server_no_context_takeover};
    }), 'when one has gone, another one may';
}

ok $n->stop, 'and nothing is left of them';

done_testing;
