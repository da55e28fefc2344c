#!/usr/bin/perl

# Channels: who gets what is published, in which order; what is missed; tasks,
# streams, EventSource and WebSockets as subscribers; the directive.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Compress::Raw::Zlib;
use Test::More;

use NginxAsync;
use NginxAsync::WebSocket;

my $routes = join '', map { "async_route GET /$_ $_;\n" }
    qw(publish report flood listen size once events own wrong others lent);

sub nginx {
    my ($channels, %o) = @_;

    return NginxAsync->new(%o, conf => {
        http => "async_app \$TEST_NGINX_APPS/channel.so;\n$channels",
        server => "location / {\n $routes"
            . "async_route WS /ws ws;\n async_route POST /put put;\n }" });
}

# A client of /listen that has subscribed; its worker is in {pid}.
sub listens {
    my ($n, $query, %o) = @_;

    my $c = $n->connect(timeout => 30, %o)->send_request('GET', "/listen?$query");
    $c->read_until("\r\n\r\n");

    return bless { c => $c, pid => line($c) }, 'Listener';
}

# The next line of the stream, without what chunks are made of.
sub line {
    my ($c) = @_;

    for (;;) {
        my $chunk = $c->read_until("\r\n");
        defined $chunk && length $chunk or return undef;

        my $size = hex $chunk =~ s/\r\n//r or return undef;
        my $data = $c->read($size);
        $c->read(2);

        return $data =~ s/\n\z//r;
    }
}

sub Listener::line  { return main::line($_[0]{c}) }
sub Listener::lines { my ($l, $n) = @_; return [map { $l->line } 1 .. $n] }

sub publish {
    my ($n, $c, $d, $count) = @_;

    $d =~ s/ /%20/g;

    return $n->get("/publish?c=$c&d=$d" . ($count ? "&n=$count" : ''))->body =~ s/ .*//r;
}

sub numbered { my ($word, $from, $to) = @_; return [map { "0 $word $_" } $from .. $to] }

# ---- one worker

my $n = nginx('async_channels;')->start;

is $n->get("/$_")->body, 'ok', "calls: $_" for qw(own wrong others lent);

{
    my @l = map { listens($n, 'c=news') } 1 .. 3;
    my $other = listens($n, 'c=sport');

    is publish($n, 'news', 'hello'), 0, 'something is published';
    is publish($n, 'sport', 'goal'), 0, '... and something else';
    is $_->line, '0 hello', '... a subscriber gets it' for @l;
    is $other->line, '0 goal', '... and another one nothing but the other';

    is publish($n, 'news', 'n', 200), 0, 'many';
    is_deeply $_->lines(200), numbered('n', 1, 200), '... in their order' for @l;
}

{
    my $gate = $n->root . '/html/gate';
    my $slow = listens($n, "c=fast&queue=10&gate=$gate");
    my $ends = listens($n, "c=fast&queue=10&close=1&gate=$gate");

    publish($n, 'fast', 'n', 25);
    publish($n, 'fast', 'last');
    $n->write_file('html/gate', '');

    is $slow->line, '16 n 17', 'a full queue drops the oldest, and says how many';
    is_deeply $slow->lines(9), [@{ numbered('n', 18, 25) }, '0 last'], '... no others';

    is_deeply $ends->lines(10), numbered('n', 1, 10), 'one that closes gives what it has';
    like $ends->line, qr/^-?\d+ the subscription has ended as more came than was read/, '... and ends';
}

{
    my $c = $n->connect(timeout => 30)->send_request('GET', '/size?c=bytes');
    $c->read_until("\r\n\r\n");
    line($c);

    my $data = join '', map { chr($_ % 256) } 0 .. 99_999;
    my $sum = 0;
    $sum += ord for split //, $data;

    like $n->post('/put?c=bytes', $data)->body, qr/^0 /, 'bytes of any value';
    is line($c), "100000 $sum 0 bytes", '... arrive';
}

{
    my $c = $n->connect(timeout => 30)->send_request('GET', '/events?c=live');
    $c->read_until("\r\n\r\n");
    line($c);

    publish($n, 'live', 'tick', 2);
    is line($c), "data: tick 1\n", 'EventSource gets them';
    is line($c), "data: tick 2\n", '... as events';
}

# ---- WebSockets

sub ws { my ($m, $query) = @_; my $ws = NginxAsync::WebSocket->new($m, "/ws?$query"); $ws->message; return $ws }

{
    my @ws = map { ws($n, 'c=room') } 1 .. 5;
    my $l = listens($n, 'c=room');

    publish($n, 'room', 'hi');
    is $_->message, 'hi', 'clients of WebSockets get it without a task' for @ws;
    is $l->line, '0 hi', '... beside others';

    is $n->get('/report?c=room&d=rain')->body, "0 $l->{pid}", 'a struct is published';
    is $_->message, '{"about":"rain","n":7}', '... as JSON' for @ws;
    is $l->line, '0 {"about":"rain","n":7}', '... to all';
    is $n->get('/report?c=room')->body,
        'async_publish_model(): "about" of "report_model": the value is NULL, and not optional', '... if it has any';
    like $n->get('/report?c=&d=rain')->body, qr/name has 1 to 255 bytes/, '... and the channel a name';

    publish($n, 'room', 'm', 300);
    is_deeply [map { $ws[0]->message } 1 .. 300], [map { "m $_" } 1 .. 300], '... in their order';

    $ws[1]->message for 1 .. 300;
    is $ws[1]->text('binary room')->message, 'done', 'the kind changes';
    publish($n, 'room', 'x');
    is $ws[1]->message, 'x', '... for what comes then';
    is $ws[1]->kind, 'binary', '... that is binary';

    is $ws[1]->text('join hall')->message, 'done', 'two channels';
    publish($n, 'hall', 'y');
    is $ws[1]->message, 'y', '... one client';

    is $ws[1]->text('leave room')->message, 'done', 'one is left';
    publish($n, 'room', 'not for all');
    publish($n, 'hall', 'z');
    is $ws[1]->message, 'z', '... of which nothing comes';

    my $long = 'L' x 70_000;
    $n->post('/put?c=hall', $long);
    is $ws[1]->message, $long, 'a long one';

    my $since = $n->mark;
    $n->post('/put?c=hall', "\xff\xfe");
    publish($n, 'hall', 'text');
    is $ws[1]->message, 'text', 'what is no text is not sent as one';
    like_log $n, $since, qr/channel "hall" is not UTF-8/, '... and logged';

    my $odd = ws($n, 'c=a%0Ab%1B[31m');
    $since = $n->mark;
    $n->post('/put?c=a%0Ab%1B[31m', "\xff");
    publish($n, 'a%0Ab%1B[31m', 'text');
    is $odd->message, 'text', 'a channel with control characters in its name';
    like_log $n, $since, qr/channel "a\\x0Ab\\x1B\[31m" is not UTF-8/, '... which the log escapes';

    my $strict = ws($n, 'c=hall&queue=1&close=1');
    my $bytes = ws($n, 'c=hall&queue=1&close=1');
    $bytes->text('binary hall')->message;
    $n->post('/put?c=hall', "\xff" x $_) for 1, 200, 70_000;
    publish($n, 'hall', 'more');
    is $strict->message, 'more', '... skipped also where what is missed closes';
    is length $bytes->message, $_, "... others get its bytes, $_" for 1, 200, 70_000;
    is $bytes->message, 'more', '... too';
    is $ws[1]->message, 'more', '... and go on';

    is_deeply [$ws[1]->close(1000)], [1000, ''], 'it closes';
    publish($n, 'hall', 'nobody');
    is $n->get('/own')->body, 'ok', '... and nothing hurts';
}

{
    my $m = nginx("async_channels;\n async_websocket_deflate on min=100;")->start;

    # what a client has agreed to, and what it gets then
    my %of = (
        'permessage-deflate' => 4,
        'permessage-deflate; server_max_window_bits=9' => 0,
        undef => 0,
    );

    my $text = 'much the same ' x 200;
    my @ws;

    for my $offer (sort keys %of) {
        my $ws = NginxAsync::WebSocket->new($m, '/ws?c=zip', extensions => $offer eq 'undef' ? undef : $offer);
        $ws->message;
        push @ws, [$ws, $of{$offer}, $offer];
    }

    for my $round (1, 2) {
        $m->post('/put?c=zip', $text);

        for (@ws) {
            my ($ws, $rsv, $offer) = @$_;
            my $got = $ws->message;

            is $ws->rsv, $rsv, $rsv ? "compressed, $round" : "plain, $round: $offer";

            if ($rsv) {
                my $out;
                cmp_ok length $got, '<', 100, '... short';
                Compress::Raw::Zlib::Inflate->new(-WindowBits => -15)->inflate("$got\0\0\xff\xff", $out);
                $got = $out;
            }

            is $got, $text, '... the same';
        }
    }

    publish($m, 'zip', 'short');
    is $_->[0]->message, 'short', 'a short one goes as it is' for @ws;

    $_->[0]->text('binary zip')->message for @ws;
    $m->post('/put?c=zip', join '', map { chr rand 256 } 1 .. 300);
    is length $_->[0]->message, 300, '... and what is not shorter so' for @ws;
    is $_->[0]->rsv, 0, '... plain' for @ws;

    ok $m->stop, 'it stops';
}

# A client that does not read: more than sockets hold is published.
sub overwhelm {
    my ($ws, $count) = @_;

    my $data = 'D' x 100_000;
    $n->post('/put?c=flow', $data) for 1 .. $count;
}

{
    my $slow = ws($n, 'c=flow&queue=4');
    my $ends = ws($n, 'c=flow&queue=4&close=1');

    overwhelm(undef, 200);
    publish($n, 'flow', 'last');

    my $count = 0;
    my $m;
    $count++ while ($m = $slow->message) ne 'last';
    cmp_ok $count, '<', 200, 'a slow client has gaps';
    cmp_ok $count, '>', 3, '... and what waits last';

    is $ends->close_code, 1013, 'or is closed with 1013';
}

ok $n->stop, 'it stops';

# ---- several workers

{
    my $m = nginx('async_channels size=1m;', workers => 3)->start;
    my %of;

    # until each worker has some
    for (1 .. 300) {
        my $l = listens($m, 'c=all');
        push @{ $of{ $l->{pid} } }, $l;
        last if keys %of == 3 && $_ >= 6;
    }

    is keys %of, 3, 'subscribers in three workers';

    my @all = map { @$_ } values %of;
    publish($m, 'all', "a$_", 20) for 1 .. 10;
    publish($m, 'all', 'end');

    my @seen = map { my $l = $_; my @lines; my $x; push @lines, $x while ($x = $l->line) ne '0 end'; "@lines" } @all;
    is_deeply \@seen, [($seen[0]) x @all], '... see one order';
    is $seen[0], join(' ', map { my $w = $_; map { "0 a$w $_" } 1 .. 20 } 1 .. 10), '... which is that of the calls';

    ok $m->stop, '... and they stop';
}

# ---- the end

{
    my $m = nginx('async_channels;')->start;
    my $l = listens($m, 'c=end');

    publish($m, 'end', 'before');
    $m->signal('QUIT');

    is $l->line, '0 before', 'at a shutdown what was published is there';
    like $l->line, qr/the worker shuts down/, '... and then the end';
}

{
    my $m = nginx('async_channels;')->start;
    my $mark = $m->mark;
    my $events = $m->connect->send_request('GET', '/events?c=none');
    $events->read_until(qr/: here/);
    my $c = $m->connect->send_request('GET', '/once?c=none');

    ok $m->wait_for_log(qr/<subscribed>/, 10, $mark), 'a request that waits for a message';
    $m->signal('QUIT');

    my $r = $c->response;
    is $r->status, 503, '... is to come again';
    is $r->header('Retry-After'), 1, '... soon';
    unlike $events->read_all, qr{^0\r}m, '... a stream ends, and not as if it were complete';
    ok $m->finish('QUIT'), '... and its worker';
    unlike $m->log($mark), qr/\[error\]/, '... which is no error';
}

{
    my $m = nginx('async_channels;', master => 'off')->start;
    is $m->get("/$_")->body, 'ok', "without a master process: $_" for qw(own others lent);
    ok $m->finish('TERM'), '... too';
}

{
    my $m = nginx('')->start;
    like $m->get('/own')->body, qr/there is no ..?"async_channels/, 'without the directive';
    $m->stop;
}

# ---- the directive

for (
    ['async_channels size=63k;', qr/"size=63k" is no size from 64k to 1g/],
    ['async_channels size=big;', qr/"size=big" is no size/],
    ['async_channels siez=4m;', qr/invalid parameter "siez=4m", did you mean "size="\?/],
    ['async_channels xyz;', qr/invalid parameter "xyz", it takes "size=" and "pg="/],
    ['async_channels size=1m size=1m;', qr/has "size=" twice/],
    ['async_channels; async_channels;', qr/is duplicate/],
    ['async_channels pg=db;', qr/there is no "async_pg db" for "async_channels" in .*\.conf:\d+/],
    ['async_pg main "host=/tmp"; async_channels pg=mian;', qr/did you mean "main"/],
) {
    my ($text, $pattern) = @$_;
    like((nginx($text, allow => qr/emerg/)->conf_test)[1], $pattern, $text);
}

{
    my ($status, $said) = nginx('async_channels size=1g;')->conf_test;
    is $status, 0, 'async_channels size=1g;' or diag $said;
}

done_testing;
