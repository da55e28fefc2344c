#!/usr/bin/perl

# WebSockets: messages both ways, what is wrong with them, what calls refuse.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Test::More;

use NginxAsync;
use NginxAsync::Say qw(said says);
use NginxAsync::WebSocket;

my $n = NginxAsync->new(conf => { http => <<'EOF_CONF', server => <<'EOF_SERVER' })->start;
    async_app $TEST_NGINX_APPS/ws.so;
    async_websocket_ping 0;
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1 ssl;
        ssl_certificate $TEST_NGINX_SERVER_ROOT/tls.crt;
        ssl_certificate_key $TEST_NGINX_SERVER_ROOT/tls.key;
        location / {
            async_route WS /echo ws:echo;
            async_route WS /parts ws:parts;
            async_route WS /sends ws:sends;
        }
    }
EOF_CONF
    location / {
        async_route WS /echo ws:echo;
        async_route WS /parts ws:parts;
        async_route WS /json ws:json;
        async_route WS /orders ws:orders;
        async_route WS /no-orders ws:no_orders;
        async_route WS /rest ws:rest;
        async_route WS /wrong ws:wrong;
        async_route WS /half ws:half;
        async_route WS /together ws:together;
        async_route WS /sends ws:sends;
        async_route WS /late ws:late;
        async_route GET /open ws:open;
    }
    location /small {
        async_websocket_max_message 1000;
        async_websocket_buffer 2k;
        async_route WS /small/echo ws:echo;
        async_route WS /small/parts ws:parts;
        async_route WS /small/late ws:late;
    }
EOF_SERVER

sub ws { return NginxAsync::WebSocket->new($n, @_) }

sub letters { my ($length, $i) = @_; return chr(97 + ($i // 0) % 26) x $length }

# ---- messages

{
    my $ws = ws('/echo');
    is $ws->text('hello')->message, 'hello', 'a text comes back';
    is $ws->kind, 'text', '... as a text';
    is $ws->binary("\0\xff" x 40)->message, "\0\xff" x 40, 'so do bytes';
    is $ws->kind, 'binary', '... as bytes';

    for my $length (0, 1, 125, 126, 127, 4090, 4096, 65535, 65536, 200_000) {
        ok $ws->binary(letters($length))->message eq letters($length), "$length bytes";
    }

    $ws->send_raw(join '', map { NginxAsync::WebSocket::frame(1, "m$_") } 1 .. 1000);
    is_deeply [map { $ws->message } 1 .. 1000], [map { "m$_" } 1 .. 1000], 'a thousand in one write';

    $ws->send_raw(split //, NginxAsync::WebSocket::frame(1, 'byte by byte'));
    is $ws->message, 'byte by byte', 'byte by byte';

    my $long = NginxAsync::WebSocket::frame(2, letters(70_000));
    $ws->send_raw($long =~ /(.{1,9001})/gs);
    ok $ws->message eq letters(70_000), 'a long one in pieces';

    $ws->text('fr', fin => 0)->send_frame(0, 'ag', fin => 0)->ping('between')
        ->send_frame(0, '', fin => 0)->send_frame(0, 'ments');
    my $pong = $ws->next_frame;
    is_deeply [@$pong{qw(opcode data fin masked)}], [10, 'between', 1, 0], 'a ping between fragments is answered at once';
    is $ws->message, 'fragments', '... and they are one message';

    $ws->pong('nobody asked');
    is $ws->text('still')->message, 'still', 'a pong that nobody asked for is no matter';

    $ws->text("\xe2\x82", fin => 0)->send_frame(0, "\xac");
    is $ws->message, "\xe2\x82\xac", 'a character over two frames';

    is_deeply [$ws->close(1000, 'bye')], [1000, ''], 'its close is answered with its code';
    ok says($n, 'echo CLOSED, code 1000 bye'), '... which the handler sees, with the reason';
}

is_deeply [ws('/echo')->close], [1005, ''], 'a close without a code is answered so';
ok says($n, 'echo CLOSED, code 1005 '), '... and seen so';

{
    my $ws = ws('/echo', behind => NginxAsync::WebSocket::frame(1, 'early'));
    is $ws->message, 'early', 'what comes in one piece with the handshake is heard';
    is $ws->text('later')->message, 'later', '... as is what follows';
}

{
    my $ws = ws('/echo', tls => 1, port => $n->port(1));
    is $ws->text('hello')->message, 'hello', 'over TLS';
    $ws->send_raw(join '', map { NginxAsync::WebSocket::frame(1, "m$_") } 1 .. 300);
    is_deeply [map { $ws->message } 1 .. 300], [map { "m$_" } 1 .. 300], '... many at once';
    for my $length (100_000, 3_000_000) {
        $ws->binary(letters($length));
        ok $ws->message eq letters($length), "... $length bytes";
    }
    is $ws->close_code, 1000, '... and its end' if $ws->send_close(1000);
}

# ---- too much

for my $case (
    ['one frame', sub { $_[0]->binary(letters(1001)) }],
    ['a frame that has only begun', sub { $_[0]->send_frame(2, letters(10), length => 1 << 40, wide => 8) }],
    ['fragments', sub { $_[0]->binary(letters(600), fin => 0)->send_frame(0, letters(401)) }],
    ['short fragments', sub { my $ws = shift; $ws->text('', fin => 0); $ws->send_frame(0, letters(20), fin => 0) for 1 .. 51; $ws->send_frame(0, '') }],
) {
    my $ws = ws('/small/echo');
    is $ws->binary(letters(1000))->message, letters(1000), 'as long as may be';
    $case->[1]->($ws);
    is $ws->close_code, 1009, "longer: $case->[0]";
}

{
    my $ws = ws('/small/parts');
    $ws->binary(letters(150_000));
    ok $ws->message eq letters(150_000), 'in parts it may be of any length';
}

# ---- wrong

for my $case (
    [1002, 'an unmasked frame', sub { $_[0]->text('x', mask => undef) }],
    [1002, 'an unmasked empty frame', sub { $_[0]->text('', mask => undef) }],
    (map { my $rsv = $_; [1002, "reserved bits $rsv", sub { $_[0]->text('x', rsv => $rsv) }] } 1, 2, 4),
    [1002, 'a reserved bit of a ping', sub { $_[0]->ping('x', rsv => 4) }],
    (map { my $op = $_; [1002, "opcode $op", sub { $_[0]->send_frame($op, 'x') }] } 3, 7, 11, 15),
    [1002, 'a fragment of a ping', sub { $_[0]->ping('x', fin => 0) }],
    [1002, 'a ping of 126 bytes', sub { $_[0]->ping(letters(126)) }],
    [1002, 'a length that is too wide', sub { $_[0]->text('x', wide => 2) }],
    [1002, 'a continuation of nothing', sub { $_[0]->send_frame(0, 'x') }],
    [1002, 'a message within a message', sub { $_[0]->text('x', fin => 0)->text('y') }],
    [1002, 'a Close frame of one byte', sub { $_[0]->send_frame(8, 'x') }],
    (map { my $code = $_; [1002, "close code $code", sub { $_[0]->send_close($code) }] }
        0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535),
    [1007, 'a reason that is not UTF-8', sub { $_[0]->send_close(1000, "\xff") }],
    [1007, 'a reason with half a character', sub { $_[0]->send_close(1000, "a\xc3") }],
    [1007, 'a text that is not UTF-8', sub { $_[0]->text("ab\xc0\x80") }],
    [1007, 'a surrogate', sub { $_[0]->text("\xed\xa0\x80") }],
    [1007, 'half a character', sub { $_[0]->text("ab\xe2\x82") }],
    [1007, 'half a character before the last fragment', sub { $_[0]->text("\xe2", fin => 0)->send_frame(0, "\x82") }],
    [1007, 'a bad byte before the end of its frame', sub { $_[0]->send_frame(1, "abc\xff", length => 1000) }],
) {
    my ($code, $what, $send) = @$case;
    my $since = $n->mark;
    my $ws = ws('/echo');
    is $ws->text('fine')->message, 'fine', 'an echo' if !$n->{said}++;
    $send->($ws);
    is $ws->close_code, $code, "$what: $code";
    ok $ws->eof, '... and the end';
    like_log $n, $since, qr/client is closed with $code: \S.*client: 127/, '... with a line in the log';
    ok says($n, 'echo CLOSED, code 1006 ', $since), '... which the handler is told';
}

for my $code (1000 .. 1003, 1007 .. 1014, 3000, 4999) {
    is ws('/echo')->send_close($code, 'x')->close_code, $code, "close code $code is answered";
}

for my $text ("\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbf",
    "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf") {
    my $ws = ws('/echo');
    $ws->send_frame(1, $_, fin => 0) for substr $text, 0, 1;
    $ws->send_frame(0, $_, fin => 0) for split //, substr $text, 1;
    is $ws->send_frame(0, '')->message, $text, 'UTF-8 ' . unpack 'H*', $text;
}

for my $text ("\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0", "\xf0\x8f\xbf\xbf", "\xf4\x90", "\xf5", "\xff", "\xc3\x28") {
    is ws('/echo')->text("12345678$text")->close_code, 1007, 'not UTF-8 ' . unpack 'H*', $text;
}

# ---- parts

{
    my $ws = ws('/parts');
    my $since = $n->mark;
    is $ws->text('in one')->message, 'in one', 'parts: a short message';
    $ws->send_frame(1, 'a', length => 3, mask => "\0\0\0\0");
    my $first = $ws->next_frame;
    is_deeply [@$first{qw(opcode data fin)}], [1, 'a', 0], 'a part comes when there is no more';
    $ws->send_raw('bc');
    my $second = $ws->next_frame;
    is $second->{opcode}, 0, '... and the rest';
    is $second->{fin}, 1, '... which is the last one';
    $ws->binary(letters(1_000_000));
    ok $ws->message eq letters(1_000_000), '... a long one';
    is $ws->kind, 'binary', '... of its kind';
    ok says($n, qr/\d\d+ parts/, $since), '... in many parts';
    $ws->text('x', fin => 0)->send_frame(0, '');
    is $ws->message, 'x', 'an empty last part';
    $ws->send_close(4000, 'enough');
    is $ws->close_code, 4000, '... and the end';
    ok says($n, 'parts CLOSED, code 4000 enough', $since), '... which is told';
}

{
    my $ws = ws('/rest');
    $ws->text('one', fin => 0);
    is $ws->message, 'one', 'a part';
    $ws->send_frame(0, ' two', fin => 0)->send_frame(0, ' three');
    is $ws->message, ' two three', '... then the rest of it as a whole';
    $ws->close;
}

# ---- JSON

{
    my $ws = ws('/json');
    is $ws->text('{"a": [1, 2.50, "\u00e9"]}')->message, "{\"a\":[1,2.5,\"\xc3\xa9\"]}", 'JSON';
    like $ws->text('{"a"')->message, qr/^the message is no JSON: .* at character 4$/, '... that is none';
    is $ws->text('null')->message, 'null', '... and the next one';
    is $ws->text('[' x 50 . ']' x 50)->message, '[' x 50 . ']' x 50, '... a deep one';
}

# ---- structs

{
    my $ws = ws('/orders');
    my $detail = sub { [map { [$_->{type}, @{ $_->{loc} }] } @{ JSON::PP::decode_json($ws->message)->{detail} }] };

    is $ws->text('{"product": "tea", "pieces": 2, "price": 3}')->message,
        '{"product":"tea","pieces":2,"rest":null}', 'a message into a struct, and a struct as a message';
    is $ws->binary('{"product": "tea"}')->message, '{"product":"tea","pieces":1,"rest":null}', '... with a default';
    is $ws->text('{"product": "\u00e9\n", "rest": {"a": [1]}}')->message,
        "{\"product\":\"\xc3\xa9\\n\",\"pieces\":1,\"rest\":{\"a\":[1]}}", '... with what is not read in place';

    is_deeply $ws->text('{"product": "", "pieces": 0}') && $detail->(),
        [['string_too_short', 'body', 'product'], ['greater_than_equal', 'body', 'pieces']],
        'what is wrong with a message, all of it';
    is_deeply $ws->text('{"pieces": "x"}') && $detail->(),
        [['missing', 'body', 'product'], ['int_parsing', 'body', 'pieces']], '... and the next one';
    is $ws->text('{"product": "tea",')->message,
        '{"detail":[{"type":"json_invalid","loc":["body",18],"msg":"JSON decode error","input":{},'
        . '"ctx":{"error":"Expecting property name enclosed in double quotes"}}]}', '... one that is no JSON';
    is_deeply $ws->text($_) && $detail->(), [['model_attributes_type', 'body']], "... $_" for 'null', '[]', '1';
    is_deeply $ws->text('') && $detail->(), [['json_invalid', 'body', 0]], '... an empty one';
    is_deeply $ws->binary("\xff") && $detail->(), [['json_invalid', 'body', 0]], '... no text at all';
    is $ws->text('{"product": "tea"}')->message, '{"product":"tea","pieces":1,"rest":null}', '... and a right one';

    my $long = letters(200_000);
    ok $ws->text(qq/{"product": "$long"}/)->message eq qq/{"product":"$long","pieces":1,"rest":null}/, 'a long one';
    ok $ws->text(qq/{"product": "tea", "rest": "\\u00e9$long"}/)->message
        eq qq/{"product":"tea","pieces":1,"rest":"\xc3\xa9$long"}/, '... of values of another make';
    $ws->text('{}');

    my $since = $n->mark;
    $ws->close(1000);
    ok says($n, 'orders CLOSED, code 1000 ', $since), 'the end, with an error lent';
}

{
    my $ws = ws('/orders?words=1');
    is $ws->text('{"product": ""}')->message,
        'await_ws_recv_into(): "product": String should have at least 1 character', 'in words, the first error';
    is $ws->text('{"product"')->message,
        'await_ws_recv_into(): the text is no JSON: Expecting \':\' delimiter, at character 10', '... of no JSON';
    is $ws->text('{"product": "tea"}')->message, '{"product":"tea","pieces":1,"rest":null}', '... and the next one';
    $ws->close;
}

{
    my $since = $n->mark;
    my $ws = ws('/no-orders');
    is $ws->message, 'nothing', 'a struct that has no JSON is not sent';
    is $ws->close_code, 1000, '... and the connection goes on';
    is_deeply said($n, $since), [
        'before ERROR, code 0 ', 'before ERROR, code 0 ', 'null ERROR, code 0 ',
        'await_ws_send_model(): "product" of "order_model": the value is NULL, and not optional',
        'size ERROR, code 0 ',
        'await_ws_recv_into(): the struct has 40 bytes, that of the model "order_model" has 24', 'errors none'],
        '... which the handler is told';
}

# ---- several tasks

{
    my $ws = ws('/together');
    my %next;
    for (1 .. 150) {
        my ($who, $i) = split / /, $ws->message;
        $next{$who}++ == $i or fail "$who $i";
    }
    is_deeply [sort values %next], [50, 50, 50], 'three tasks send, each in its order';
    is $ws->close_code, 1000, '... and the end';
}

{
    my $since = $n->mark;
    my $ws = ws('/wrong');
    my @frames = map { $ws->next_frame } 1 .. 2;
    is_deeply [map { [@$_{qw(opcode fin data)}] } @frames], [[1, 0, "a\xc3"], [0, 1, "\xa4"]], 'only what is right is sent';
    is $ws->text('first')->message, 'first', '... and received';
    is $ws->close_code, 1000, '... and the end';
    is_deeply [grep { !/^second|^joined/ } @{ said($n, $since) }], [
        'before ERROR, code 0 ', 'before ERROR, code 0 ', 'before ERROR, code 0 ', 'twice ERROR, code 0 ',
        'utf8 INVALID, code 0 ', 'cut INVALID, code 0 ', 'kind ERROR, code 0 ',
        'whole BUSY, code 0 ', 'part INVALID, code 0 '], '... by what is refused';
    ok says($n, 'second BUSY, code 0 ', $since), 'one task receives';
}

{
    my $since = $n->mark;
    my $ws = ws('/half');
    is $ws->next_frame->{data}, 'half', 'a handler that ends in a message';
    is $ws->close_code, 1011, '... closes with 1011';
    like_log $n, $since, qr/\[error\].*"ws:half" ends its WebSocket with 1011: ASYNC_OK: a message in parts is not at its end/, '... and the log says why';
}

# ---- a pace of its own

for my $tls (0, 1) {
    my $ws = ws('/sends?n=40&size=300000', rcvbuf => 4096, $tls ? (tls => 1, port => $n->port(1)) : ());
    for my $i (0 .. 39) {
        my $m = $ws->message;
        $m eq letters(300_000, $i) or fail "message $i";
    }
    is $ws->close_code, 1000, 'messages longer than all buffers' . ($tls ? ' over TLS' : '');
}

{
    my $ws = ws('/sends?n=3000&size=1000', rcvbuf => 4096);
    ok !grep({ $ws->message ne letters(1000, $_) } 0 .. 2999), 'many that wait, in their order';
    is $ws->close_code, 1000, '... and the end';
}

{
    # more than the bound is not read while nobody receives; pings up to there are
    my $since = $n->mark;
    my $ws = ws('/small/late');
    is $ws->message, 'late', 'a handler that receives later';
    $ws->ping('1')->binary(letters(900))->ping('2')->binary(letters(900, 1));
    is_deeply [map { $ws->next_frame->{data} } 1, 2], [1, 2], '... pings are answered meanwhile';
    $ws->binary(letters(900, 2))->binary(letters(900, 3))->ping('3');
    is $n->get('/open')->status, 200, '... then it receives';
    is $ws->next_frame->{data}, 3, '... and what was behind';
    $ws->close(1000);
    says($n, 'late CLOSED, code 1000 ', $since);
    is_deeply [grep { /has/ } @{ said($n, $since) }], [map { "late has 900 " . letters(10, $_) } 0 .. 3], '... all of it';
}

$n->stop;
done_testing;
