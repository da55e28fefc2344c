#!/usr/bin/perl

# async_websocket_release: sessions that go on when nginx's request has ended.
# What handlers ask of it is the same before and after; what needs nginx's own
# says so.  All that t/ws-life.t says of sessions is said again of these, by
# t/ws-release-life.t.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use NginxAsync;
use NginxAsync::Say qw(says said gone);
use NginxAsync::WebSocket;

my $routes = join "\n", map { "async_route WS \"...$_\" ws-release:" . (m{^/(\w+)})[0] . ';' }
    qw(/early/{room} /early /late/{room} /late /refuses/{room} /holds /at_once /floods /depends/{room} /accepts /child);

sub routes { my ($prefix) = @_; return $routes =~ s/\.\.\./$prefix/gr }

sub conf {
    my (%o) = @_;
    my $on = $o{on} // 'on';

    return { main => $o{main} // '', http => <<"EOF_HTTP" . <<'EOF_CONF', server => <<'EOF_SERVER' =~ s{ROUTES(/\w*)?}{routes($1 // '')}ger };
    async_websocket_release $on;
EOF_HTTP
    async_app $TEST_NGINX_APPS/ws-release.so;
    async_websocket_ping 0;
    limit_conn_zone $binary_remote_addr zone=few:64k;
    upstream turns { hash $http_x_key; server 127.0.0.1:$TEST_NGINX_RAND_PORT_2; server 127.0.0.1:$TEST_NGINX_RAND_PORT_3; }
    upstream addr  { ip_hash; server 127.0.0.1:$TEST_NGINX_RAND_PORT_2; server 127.0.0.1:$TEST_NGINX_RAND_PORT_3; }
    upstream cookie { hash $cookie_sid$http_user_agent; server 127.0.0.1:$TEST_NGINX_RAND_PORT_2; server 127.0.0.1:$TEST_NGINX_RAND_PORT_3; }
    upstream remote { hash $remote_addr; server 127.0.0.1:$TEST_NGINX_RAND_PORT_2; server 127.0.0.1:$TEST_NGINX_RAND_PORT_3; }
    log_format said '$remote_addr "$request" $status $async_handler $async_awaits';
    server { listen 127.0.0.1:$TEST_NGINX_RAND_PORT_2; location / { return 200 "first $http_traceparent"; } }
    server { listen 127.0.0.1:$TEST_NGINX_RAND_PORT_3; location / { return 200 "second $http_traceparent"; } }
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1 ssl;
        ssl_certificate $TEST_NGINX_SERVER_ROOT/tls.crt;
        ssl_certificate_key $TEST_NGINX_SERVER_ROOT/tls.key;
        location / { async_route WS /late ws-release:late; async_route WS /floods ws-release:floods; async_route WS /at_once ws-release:at_once; }
    }
    server {
        listen unix:$TEST_NGINX_SERVER_ROOT/ws.sock;
        location / { async_route WS /late ws-release:late; }
        location /proxied { set_real_ip_from unix:; real_ip_header X-Real-IP; async_route WS /proxied/late ws-release:late; }
    }
EOF_CONF
    set $mine 0;
    location = /stub { stub_status; }
    location = /status { async_status json; }
    location /sub { return 200 "of $arg_a sub"; }
    location / { ROUTES }
    location /kept { async_websocket_release off; ROUTES/kept }
    location /one { limit_conn few 1; ROUTES/one }
    location /said { access_log logs/said.log said; ROUTES/said }
    location /traced { async_trace on; ROUTES/traced }
    location /guarded { async_access ws-release:guard; ROUTES/guarded }
    location /pings { async_websocket_ping 50ms timeout=100ms; ROUTES/pings }
    location /short { async_websocket_close_timeout 200ms; lingering_time 1s; lingering_timeout 1s; ROUTES/short }
    location /resets { async_websocket_ping 50ms timeout=100ms; reset_timedout_connection on; ROUTES/resets }
    location /limited { limit_rate 400; ROUTES/limited }
    location /real { set_real_ip_from 127.0.0.1; real_ip_header X-Real-IP; ROUTES/real }
    location /posts { post_action /posted; ROUTES/posts }
    location = /posted { access_log logs/posted.log; return 200; }
    location /long { async_websocket_close_timeout 1h; ROUTES/long }
    location /abrupt { lingering_close off; ROUTES/abrupt }
EOF_SERVER
}

my $n = NginxAsync->new(conf => conf())->start;

sub ws { return NginxAsync::WebSocket->new($n, @_) }

# What is answered to a word.
sub ask { my ($ws, $word) = @_; return $ws->text($word)->message }

# Whether the request of a session has ended is seen by the access log.
sub logged {
    my ($uri) = @_;
    return scalar grep { m{"GET \Q$uri\E HTTP} } split /\n/, $n->access_log;
}

# ---- the same before and after

my @headers = ('X-Key' => 'abc', Cookie => 'a=1; b="two words"', 'X-Empty' => '', 'X-Key' => 'second');

my %body;

for my $prefix ('', '/kept') {
    my $uri  = "$prefix/early/b%C3%A9?q=a+b%21&n=7";
    my $what = $prefix ? 'kept: ' : '';

    my $ws = ws($uri, headers => [@headers]);

    if (!$prefix) {
        ok $n->wait_until(sub { logged($uri) }), 'the request is in the access log while its session goes on';
    } else {
        is ask($ws, 'x'), 'x', "${what}a session";
        is logged($uri), 0, '... whose request is not';
    }

    for (
        ['method', 'method=GET (3)'], ['uri', "uri=$prefix/early/b\xc3\xa9 (" . (10 + length $prefix) . ')'],
        ['query', 'query=q=a+b%21&n=7 (12)'], ['client', 'client=127.0.0.1 (9)'],
        ['header X-Key', 'header X-Key=abc (3)'], ['header x-empty', 'header x-empty= (0)'],
        ['header none', 'header none=none (0)'], ['cookie b', 'cookie b=two words (9)'],
        ['cookie c', 'cookie c=none (0)'], ['arg q', 'arg q=a b! (4)'], ['arg n', 'arg n=7 (1)'],
        ['arg o', 'arg o=none (0)'], ['room', "room=b\xc3\xa9 (3)"],
    ) {
        my ($word, $answer) = @$_;
        is ask($ws, $word), $answer, "$what$word";
    }

    is ask($ws, 'early'), 'key=abc (3)', "${what}what was asked for before";
    is $ws->message, "room=b\xc3\xa9 (3)", '...';
    is $ws->message, 'q=a b! (4)', '...';

    my @all = ask($ws, 'headers');
    push @all, $ws->message while $all[-1] ne 'all';
    like "@all", qr/^Host=\S+ \(\d+\) Upgrade=websocket \(9\) Connection=Upgrade \(7\) .*X-Key=abc \(3\) .* X-Key=second \(6\) all$/,
        "${what}all header fields";

    $body{$prefix} = [ask($ws, 'body'), map { $ws->message } 1 .. 3];

    is_deeply [$ws->close(1000, 'bye')], [1000, ''], "${what}a close";
    ok $ws->eof, '...';
}

is_deeply $body{''}, $body{'/kept'}, 'a body that there is none of';
is $body{''}[0], 'body OK: ', '...';

# ---- what needs nginx's request

{
    my $ws = ws('/late/x?lost');
    ok $n->wait_until(sub { logged('/late/x?lost') }), 'a session without anything asked before';
    is ask($ws, 'var uri'), 'var uri=none (0)', '... has no variables';
    is ask($ws, 'set'), 'CLOSED', '... which cannot be set';
    like $ws->message, qr/nginx's request has ended with the handshake, see "async_websocket_release"/, '... and says why';
    like ask($ws, 'sub'), qr/^sub CLOSED: nginx's request has ended/, '... and no subrequests';
    is ask($ws, 'answer'), 'answer OK: ', '... a response is no use to a WebSocket';
    is $ws->message, 'header OK: ', '...';
    like $ws->message, qr/^send ERROR: the response has begun already/, '...';
    is ask($ws, 'file'), 'file OK: ', '... nor is a file';
    is ask($ws, 'x'), 'x', '... and it goes on';
    $ws->text('leave');
    is_deeply [$ws->closed], [1000, ''], '... to its end';
}

{
    my $ws = ws('/kept/late/x');
    is ask($ws, 'var uri'), 'var uri=/kept/late/x (12)', 'off: a variable';
    is ask($ws, 'set'), 'OK', '... set';
    $ws->message;
    is ask($ws, 'sub'), 'sub=of  sub (7)', '... a subrequest';
}

{
    my $ws = ws('/holds?1');
    is $ws->message, 'held=of  sub (7)', 'what a subrequest has given before is kept';
    is ask($ws, 'sub'), 'sub=of  sub (7)', '... with the request';
    is logged('/holds?1'), 0, '... which has not ended';
    $ws->close(1000);
    ok $n->wait_until(sub { logged('/holds?1') }), '... before its session';
}

is ws_refused('/refuses/r')->body, '{"room":"r"}', 'who is refused is answered';
is ws_refused('/refuses/r')->status, 418, '... with that status';

sub ws_refused { return scalar NginxAsync::WebSocket::handshake($n, @_) }

{
    my $ws = ws('/late/p', protocol => 'a, b');
    ok $n->wait_until(sub { logged('/late/p') }), 'subprotocols';
    is ask($ws, 'protocol'), 'b', '... are still known';
    $ws->close(1000);

    is ws('/accepts')->message, 'var none', 'a dependency that accepts, and a thread behind it';
}

# ---- a unix socket

for (['/late', 'unix:'], ['/proxied/late', '192.0.2.7']) {
    my ($uri, $client) = @$_;

    my $ws = ws("$uri?unix", path => $n->root . '/ws.sock', headers => ['X-Real-IP' => '192.0.2.7']);
    ok $n->wait_until(sub { logged("$uri?unix") }), "a session by a unix socket, of $client";
    is ask($ws, 'client'), "client=$client (" . length($client) . ')', '... is of that client';

    my %at;
    $at{ (ask($ws, "fetch http://$_/") =~ /fetched=(\w+)/)[0] // 'none' }++ for 'addr', 'remote', 'addr', 'remote';
    ok !$at{none}, '... by which balancers choose';

    is_deeply [$ws->close(1000)], [1000, ''], '... and closes';
}

# ---- limit_rate, post_action, lingering_close

{
    my $ws = ws('/limited/late/1');
    sleep 2;
    is ask($ws, 'x'), 'x', 'limit_rate: the time that the handshake takes by it is no timeout';

    $ws = ws('/posts/late/1');
    is ask($ws, 'x'), 'x', 'post_action';
    $ws->close(1000);
    ok $n->wait_until(sub { -s $n->root . '/logs/posted.log' }), '... is done at the end';
}

# ---- limit_conn, stub_status

{
    my $one = ws('/one/late/1');
    ok $n->wait_until(sub { logged('/one/late/1') }), 'limit_conn counts a request';
    my $two = eval { ws('/one/late/2') };
    ok $two, '... until it has ended';
    is ask($two, 'x'), 'x', '...';

    my $held = ws('/one/holds');
    $held->message;
    is ws_refused('/one/late/3')->status, 503, '... and one that has not';

    ok $n->wait_until(sub { $n->get('/stub')->body =~ /Writing: 4 / }), 'stub_status counts sessions as it does where their requests stay';
    $_->close(1000) for $one, $two, $held;
    ok $n->wait_until(sub { $n->get('/stub')->body =~ /Writing: 1 / }), '... and their ends';
}

# ---- logs, variables, traces

{
    my $ws = ws('/said/late/1');
    ok $n->wait_until(sub { $n->read_file('logs/said.log') =~ m{"GET /said/late/1 HTTP/1.1" 101 ws-release:late \d+$}m }) || diag($n->read_file("logs/said.log")),
        'the access log: what was until the handshake';
    my $since = $n->mark;
    is ask($ws, 'log'), 'logged', 'a handler says something';
    ok $n->wait_for_log(qr{<said late>.*, client: 127\.0\.0\.1, server: \S+, request: "GET /said/late/1"}, 10, $since), '... of whom';
    $ws->close(1000);
}

{
    my $trace = '0af7651916cd43dd8448eb211c80319c';
    my $ws = ws('/traced/late/1', headers => [traceparent => "00-$trace-b7ad6b7169203331-01"]);
    ok $n->wait_until(sub { logged('/traced/late/1') }), 'a trace';
    my $since = $n->mark;
    like ask($ws, 'fetch http://127.0.0.1:' . $n->port(2) . '/'), qr/^fetched=first 00-$trace-[0-9a-f]{16}-01 /, '... goes on to what is fetched';
    ask($ws, 'log');
    ok $n->wait_for_log(qr{<said late>.*, trace: "$trace"}, 10, $since), '... and into the log';
    $ws->text('background')->message;
    $ws->close(1000);
    ok says($n, 'in the background of a session', $since), 'what is left to the background';
}

# ---- balancers

{
    my %seen;
    for my $key (qw(a b c d e f g h)) {
        my $ws = ws("/late/$key?hash", headers => ['X-Key' => $key]);
        $n->wait_until(sub { logged("/late/$key?hash") });
        my %at;
        $at{ (ask($ws, 'fetch http://turns/') =~ /fetched=(\w+)/)[0] }++ for 1 .. 3;
        is keys %at, 1, "upstream hash: $key goes to one server";
        $seen{$_}++ for keys %at;
        $ws->close(1000);
    }
    is join(' ', sort keys %seen), 'first second', '... and not all to the same';
    my $ws = ws('/late/addr');
    my %at;
    $at{ (ask($ws, 'fetch http://addr/') =~ /fetched=(\w+)/)[0] }++ for 1 .. 4;
    is keys %at, 1, 'ip_hash, too';
    $ws->close(1000);
}

{
    my %seen;

    for my $i (1 .. 8) {
        my $ws = ws("/late/cookie$i", headers => [Cookie => "sid=$i", 'User-Agent' => "agent $i"]);
        $n->wait_until(sub { logged("/late/cookie$i") });
        my %at;
        $at{ (ask($ws, 'fetch http://cookie/') =~ /fetched=(\w+)/)[0] }++ for 1 .. 3;
        is keys %at, 1, 'by a cookie';
        $ws->close(1000);
    }

    for my $i (1 .. 8) {
        my $since = $n->mark;
        my $ws = ws("/real/late/$i", headers => ['X-Real-IP' => "10.0.0.$i"]);
        $n->wait_until(sub { logged("/real/late/$i") });
        $seen{ (ask($ws, 'fetch http://remote/') =~ /fetched=(\w+)/)[0] }++;
        ask($ws, 'log');
        ok $n->wait_for_log(qr/<said late>.*, client: 10\.0\.0\.$i,/, 10, $since), 'set_real_ip_from: the log tells it after the request';
        $ws->close(1000);
    }

    is join(' ', sort keys %seen), 'first second', '... and balancers know it';
}

# ---- dependencies, guards

{
    my $since = $n->mark;
    my $ws = ws('/depends/1', headers => ['X-Key' => 'mine']);
    is $ws->message, 'mine', 'the value of a dependency';
    is $ws->message, 'slow /depends/1', '... of one in a thread';
    ok logged('/depends/1'), '... live longer than the request';
    is ask($ws, 'header x-key'), 'header x-key=mine (4)', '...';
    $ws->close(1000);
    ok says($n, 'teardown OK mine', $since), '... and are torn down at the end';

    $since = $n->mark;
    $ws = ws('/depends/2', headers => ['X-Key' => 'mine']);
    $ws->message for 1 .. 2;
    $ws->text('fail');
    is_deeply [$ws->closed], [1011, ''], 'a handler that fails';
    ok says($n, 'teardown ERROR mine', $since), '... with the code of it';

    $since = $n->mark;
    $ws = ws('/guarded/depends/3', headers => ['X-Key' => 'guarded']);
    is $ws->message, 'guarded', 'what a guard has handed on';
    is $ws->message, 'slow /guarded/depends/3', '...';
    is logged('/guarded/depends/3'), 0, '... keeps the request';
    $ws->close(1000);
    ok says($n, 'teardown OK guarded', $since), '... and is torn down once';
    is ws_refused('/guarded/depends/4')->status, 401, 'a guard that refuses';
}

# ---- the status

{
    my $ws = ws('/late/seen?in=status');
    $n->wait_until(sub { logged('/late/seen?in=status') });
    my $text = $n->get('/status')->body;
    ok $text =~ m{"request":"GET /late/seen\?in=status","client":"127\.0\.0\.1"}, 'the status shows whose session waits';
    $ws->close(1000);
}

# ---- with the handshake, and right behind it

for my $tls (0, 1) {
    my @tls  = $tls ? (tls => 1, port => $n->port(1)) : ();
    my $what = $tls ? ' (TLS)' : '';

    my $frames = join '', map { NginxAsync::WebSocket::frame(1, "m$_") } 1 .. 20;
    my $ws = ws('/late', @tls, behind => $frames);
    is join(' ', map { $ws->message } 1 .. 20), join(' ', map {"m$_"} 1 .. 20), "messages in one piece with the handshake$what";
    is ask($ws, 'x'), 'x', '...';
    $ws->close(1000);

    $ws = ws('/late', @tls, headers => [map { ("X-Long-$_" => $_ x 900) } 'a' .. 'g']);
    is ask($ws, 'header X-Long-g'), 'header X-Long-g=' . 'g' x (511 - 16), "a long handshake$what";
    $ws->close(1000);

    $ws = ws('/at_once', @tls);
    is_deeply [$ws->closed], [1000, ''], "a handler that ends at once$what";
    $ws->send_close(1000);
    ok $ws->eof, '...';

    $ws = ws('/floods', @tls, rcvbuf => 4096);
    my $size = 0;
    $size += length $ws->message for 1 .. 16;
    is $size, 1 << 20, "more than the client reads at once$what";
    is_deeply [$ws->closed], [1000, ''], '...';
}

# a request before it, on the same connection
{
    my $c = $n->connect;
    for (1 .. 3) {
        $c->send("GET /sub HTTP/1.1\r\nHost: localhost\r\n\r\n");
        is $c->response->status, 200, 'a request';
    }
    my $r = NginxAsync::WebSocket::request_text('/late/behind?others');
    $c->send($r);
    is $c->response->status, 101, '... and a handshake behind it';
    $c->send(NginxAsync::WebSocket::frame(1, 'x'));
    is $c->read(3), "\x81\x01x", '...';
    ok $n->wait_until(sub { logged('/late/behind?others') }), '...';
}

# ---- ends

for my $tls (0, 1) {
    my @tls  = $tls ? (tls => 1, port => $n->port(1)) : ();
    my $what = $tls ? ' (TLS)' : '';

    my $since = $n->mark;
    my $ws = ws('/late', @tls);
    ask($ws, 'x');
    $ws->reset;
    ok says($n, qr/talks CLOSED, code 1006.*/, $since), "a client that is gone$what";

    $since = $n->mark;
    $ws = ws('/late', @tls);
    ask($ws, 'wait');
    $ws->reset;
    ok says($n, 'wait CANCELLED, code 1006', $since), "... while something else is awaited$what";

    # the client goes on to send while it is sent a Close frame: that is not lost by a reset
    $ws = ws('/late', @tls);
    ask($ws, 'x');
    $ws->text('leave');
    $ws->binary('x' x 30_000) for 1 .. 20;
    is_deeply [$ws->closed], [1000, ''], "a Close frame to a client that sends$what";
    $ws->send_close(1000);
    ok $ws->eof, '...';

    # a frame that is none
    $ws = ws('/late', @tls);
    ask($ws, 'x');
    $ws->send_frame(3, 'x');
    $ws->binary('x' x 30_000) for 1 .. 10;
    is_deeply [($ws->closed)[0]], [1002], "what is wrong$what";
}

{
    my $since = $n->mark;
    my $ws = ws('/pings/late');
    ask($ws, 'x');
    ok says($n, qr/talks CLOSED, code 1006.*/, $since), 'a client that answers no ping';
    ok $n->wait_for_log(qr/client timed out: it does not answer a ping.*, request: "GET \/pings\/late"/, 10, $since), '... which the log tells';

    $ws = ws('/resets/late');
    ask($ws, 'x');
    my ($got, $buf);
    do { $got = sysread $ws->socket, $buf, 4096 } while $got;
    ok !defined $got && $!{ECONNRESET}, 'reset_timedout_connection';

    $since = $n->mark;
    $ws = ws('/short/late');
    $ws->text('leave');
    is_deeply [$ws->closed], [1000, ''], 'a client that does not answer a Close frame';
    ok $n->wait_for_log(qr/client timed out: it does not close/, 10, $since), '...';

    $ws = ws('/abrupt/late');
    $ws->text('leave');
    is_deeply [$ws->close(1000)], [1000, ''], 'lingering_close off';
}

{
    my $since = $n->mark;
    my $ws = ws('/child');
    is $ws->text($_)->message, $_, 'a child receives' for 1 .. 3;
    $ws->close(1000);
    ok says($n, 'child CLOSED, code 1000', $since), '... and is told of the end';
}

# ---- many, and their memory

{
    my @ws = map { ws("/late/$_") } 1 .. 50;
    is join(' ', map { ask($_, 'room') } @ws), join(' ', map { "room=$_ (" . length . ')' } 1 .. 50), '50 sessions';
    $_->reset for splice @ws, 0, 25;
    is join(' ', map { ask($_, 'x') } @ws), join(' ', ('x') x 25), '... of which some go';
    $_->close(1000) for @ws;
}

# ---- reload, shutdown

{
    my $since = $n->mark;
    my $ws = ws('/late');
    ask($ws, 'x');
    $n->reload;
    is_deeply [$ws->closed], [1012, ''], 'a reload';
    $ws->send_close(1012);
    ok $ws->eof, '... ends it';

    my $one = ws('/late');
    my $two = ws('/holds');
    ask($one, 'x');
    $n->signal('QUIT');
    is_deeply [$one->closed], [1001, ''], 'a shutdown';
    $one->send_close(1001);
    ok $one->eof, '... ends it';
    $two->message;
    $two->close(1001);
    ok gone($n), '... and the server';
}

for my $word (qw(wait leave x)) {
    my $m = NginxAsync->new(conf => conf(main => 'worker_shutdown_timeout 500ms;'))->start;
    my $ws = NginxAsync::WebSocket->new($m, '/long/late/1');
    $ws->text($word);
    $word eq 'leave' ? $ws->closed : $ws->message;
    $m->signal('QUIT');
    ok gone($m), "worker_shutdown_timeout ends a session ($word)";
}

# ---- wrong settings

{
    my $wrong = NginxAsync->new(allow => '[emerg]');
    like $wrong->conf_test(conf(on => 'perhaps')), qr/invalid value "perhaps" in "async_websocket_release" directive, it must be "on" or "off"/, 'neither on nor off';
}

done_testing;
