#!/usr/bin/perl

# What the status counts of fetches, WebSockets, channels and dictionaries: each
# figure is provoked, and read.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use NginxAsync;
use NginxAsync::Figures qw($STATUS figure is_figure at_least);
use NginxAsync::Others qw(fetcher ask server refusing answers mirror rst pause);
use NginxAsync::WebSocket;

# ---- fetches

{
    my $n = fetcher(server => $STATUS);

    my $mirror = server(\&mirror);
    my $ok = sub { "HTTP/1.1 $_[0] x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" };

    ask($n, { url => "http://$mirror/" }) for 1 .. 3;
    is_figure($n, ['fetch', 'requests'], 3, 'fetches');
    is_figure($n, ['fetch', 'responses_2xx'], 3, '... and their responses');
    is_figure($n, ['fetch', 'connections_opened'], 1, 'one connection');
    is_figure($n, ['fetch', 'connections_reused'], 2, '... used again');
    is_figure($n, ['fetch', 'connections_kept'], 1, '... and kept');
    is_figure($n, ['fetch', 'time'], 3, 'the time of all');

    for my $status (304, 404, 503) {
        ask($n, { url => 'http://' . server(answers($ok->($status))) . '/' });
        is_figure($n, ['fetch', 'responses_' . int($status / 100) . 'xx'], 1, "a response $status");
    }

    my @fails = (
        name => 'http://no.such.host/',
        connect => 'http://' . refusing() . '/',
        tls => 'https://' . server(sub { print { $_[0] } "HTTP/1.1 400 x\r\n\r\n"; pause(60) }) . '/',
        timeout => 'http://' . server(sub { pause(60) }) . '/',
        reset => 'http://' . server(sub { sysread $_[0], my $all, 1000; rst($_[0]) }) . '/',
        protocol => 'http://' . server(answers("no HTTP\r\n\r\n")) . '/',
        other => 'http://',
    );

    while (my ($what, $url) = splice @fails, 0, 2) {
        ok ask($n, { url => $url, ($what eq 'timeout' ? (timeout => 300) : ()) })->{rc}, $what;
        is_figure($n, ['fetch', "failed_$what"], 1, '... is counted');
    }

    my $silent = server(sub { pause(60) });
    my $c = $n->connect->send_request('POST', '/fetch', headers => ['Content-Type', 'application/json'],
        body => qq({"url":"http://$silent/"}));
    is_figure($n, ['fetch', 'alive'], 1, 'one that is awaited');
    $c->reset;
    is_figure($n, ['fetch', 'cancelled'], 1, '... until nobody wants it');
    is_figure($n, ['fetch', 'alive'], 0, '...');
    is figure($n, 'fetch', 'time'), figure($n, 'fetch', 'requests'), 'all have taken their time';
    $n->stop;
}

# ---- WebSockets

{
    my $n = NginxAsync->new(conf => { http => 'async_app $TEST_NGINX_APPS/status-figures.so;',
        server => <<"EOF_SERVER" })->start;
        $STATUS
        location / { async_route WS /echo echo; }
        location /ping { async_websocket_ping 100ms timeout=100ms; async_route WS /ping echo; }
EOF_SERVER

    my $is = sub { my ($what, $count, $name) = @_; is_figure($n, ['websocket', $what], $count, $name) };

    my $ws = NginxAsync::WebSocket->new($n, '/echo');
    $is->('accepted', 1, 'a session');
    $is->('alive', 1, '... lives');
    $ws->text('hello')->message for 1 .. 2;
    $is->('messages_in', 2, 'messages');
    $is->('messages_out', 2, '... both ways');
    $is->('in', 2 * (6 + 5), 'bytes, with the headers of frames');
    $is->('out', 2 * (2 + 5), '...');
    $ws->close;
    $is->('closed', 1, 'it is closed');
    $is->('alive', 0, '...');

    $ws = NginxAsync::WebSocket->new($n, '/echo');
    $ws->text('close');
    $ws->closed;
    $ws->send_close(1000);
    $is->('closed', 2, 'closed by the handler');

    $ws = NginxAsync::WebSocket->new($n, '/echo');
    $ws->reset;
    $is->('failed', 1, 'a client that goes without a word');

    $ws = NginxAsync::WebSocket->new($n, '/echo');
    $ws->send_raw("\xff" x 20);
    $is->('failed', 2, 'a frame that is none');

    NginxAsync::WebSocket::handshake($n, '/echo', version => 7);
    $is->('refused', 1, 'a handshake that is none');

    $ws = NginxAsync::WebSocket->new($n, '/ping');
    $is->('timed_out', 1, 'a client that does not answer a ping');
    at_least($n, ['websocket', 'pings'], 1, '...');
    $is->('failed', 3, '...');

    $ws = NginxAsync::WebSocket->new($n, '/echo', rcvbuf => 4096);
    $ws->text('flood');
    at_least($n, ['websocket', 'waiting'], 1, 'a client that does not read');
    $ws->reset;
    $is->('waiting', 0, '... and goes');
    $is->('alive', 0, 'nobody is left');
    $n->stop;
}

# ---- channels

sub listens {
    my ($n, $query) = @_;

    my $c = $n->connect(timeout => 30)->send_request('GET', "/listen?$query");
    $c->read_until("\r\n\r\n");
    $c->read_until("\n\r\n");

    return $c;
}

{
    my $n = NginxAsync->new(conf => {
        http => "async_app \$TEST_NGINX_APPS/channel.so;\nasync_channels size=64k;", server => <<"EOF_SERVER" })->start;
        $STATUS
        location / {
            async_route GET /publish publish;
            async_route GET /listen listen;
        }
EOF_SERVER

    my $gate = $n->root . '/html/gate';

    my @c = map { listens($n, "c=a$_") } '', '', "&queue=2&gate=$gate";
    is_figure($n, ['channel', 'subscribers'], 3, 'subscribers');
    $n->get('/publish?c=a&d=x&n=5');
    is_figure($n, ['channel', 'published'], 5, 'messages');
    is_figure($n, ['channel', 'delivered'], 15, '... to each of them');
    is_figure($n, ['channel', 'dropped'], 3, '... of which one is too slow');
    is figure($n, 'channel', 'lost'), 0, 'nothing has been overwritten';
    $n->get('/publish?c=a&d=' . 'x' x 200 . '&n=2000');
    at_least($n, ['channel', 'lost'], 1, 'a worker that does not read as fast as it writes');
    is figure($n, 'channel', "pg_$_"), 0, "no other machine ($_)" for qw(sent heard refused waiting);
    $_->reset for @c;
    is_figure($n, ['channel', 'subscribers'], 0, 'all have left');
    $n->stop;
}

# ---- dictionaries

{
    my $routes = join '', map { "async_route GET /$_ $_;\n" } qw(get set fill load);
    my $n = NginxAsync->new(workers => 2, conf => {
        http => "async_app \$TEST_NGINX_APPS/shared.so;\nasync_shared cache 64k;\nasync_shared control 64k;",
        server => "$STATUS\nlocation / { $routes }" })->start;

    my $is = sub { my ($what, $count, $name) = @_; is_figure($n, ['shared', 'cache', $what], $count, $name) };

    $n->get('/get?key=a');
    $is->('misses', 1, 'a value that is not there');
    $n->get('/set?key=a&value=1');
    $is->('items', 1, 'one is, for all workers');
    $is->('used', 128, '...');
    at_least($n, ['shared', 'cache', 'size'], 32768, 'of so much');
    $n->get('/get?key=a') for 1 .. 2;
    $is->('hits', 2, 'it is found');

    $n->get('/set?key=b&value=1&ttl=1');
    $n->wait_until(sub { $n->get('/get?key=b')->body !~ /1/ });
    $is->('expired', 1, 'its time is over');

    $n->get('/load?key=c');
    $is->('loads', 1, 'a value that is loaded');
    $n->get('/load?key=c');
    is figure($n, 'shared', 'cache', 'loads'), 1, '... once';
    $n->get('/load?key=d&mode=none');
    $is->('loads_failed', 1, 'a loader that leaves nothing');

    my @c = map { $n->connect->send_request('GET', '/load?key=e&mode=fail') } 1 .. 2;
    $is->('load_waits', 1, 'one waits for the loader of another one');
    $n->get('/set?d=control&key=e&value=1');
    $_->response for @c;
    at_least($n, ['shared', 'cache', 'loads_failed'], 2, '... which fails');

    is figure($n, 'shared', 'cache', 'evicted'), 0, 'there was room';
    $n->get('/fill?n=1000');
    at_least($n, ['shared', 'cache', 'evicted'], 500, 'there is none any more');
    $n->stop;
}

done_testing();
