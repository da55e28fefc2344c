#!/usr/bin/perl

# The life of WebSockets: who closes, who is told, who is cancelled, what ends
# when the connection, the handler or the worker does.  Once more, with
# async_websocket_release, by t/ws-release-life.t.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use File::Copy ();
use Test::More;

use NginxAsync;
use NginxAsync::Say qw(said says gone);
use NginxAsync::WebSocket;

# that file's
our $Release;

my @handlers = qw(half_child leaves echo sleeps late with_reader both ends at_once closes sends);
my $routes   = join "\n", map { "async_route WS /$_ ws:$_;" } @handlers;

sub in { my ($at, $more) = @_; return "location $at { $more " . $routes =~ s{WS }{WS $at}gr . ' }' }

sub conf {
    my (%o) = @_;
    my $release = 'async_websocket_release ' . ($Release ? 'on' : 'off') . ";\n";
    return { http => $release . <<'EOF_CONF', server => join "\n",
    async_app $TEST_NGINX_APPS/ws.so;
    async_websocket_ping 0;
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1 ssl;
        ssl_certificate $TEST_NGINX_SERVER_ROOT/tls.crt;
        ssl_certificate_key $TEST_NGINX_SERVER_ROOT/tls.key;
        location / { async_route WS /echo ws:echo; async_route WS /sleeps ws:sleeps; async_route WS /closes ws:closes; async_route WS /sends ws:sends; }
    }
EOF_CONF
        "location / { $routes async_route GET /open ws:open; async_route GET /shut ws:shut; }",
        in('/stays', 'async_ignore_client_abort on;'),
        in('/short', 'async_websocket_close_timeout 300ms; send_timeout 300ms;'),
        in('/pings', 'async_websocket_ping 100ms timeout=200ms;') };
}

my $n = NginxAsync->new(conf => conf())->start;

sub ws { return NginxAsync::WebSocket->new($n, @_) }

# What the handlers of one connection have said, once the last line is there.
sub story {
    my ($since, $last) = @_;
    says($n, $last, $since) or diag("no <$last>");
    return [map { s/ $//r } @{ said($n, $since) }];
}

# ---- the peer goes while the handler awaits something else

for my $case (
    ['a close',      sub { is_deeply [$_[0]->close(1000, 'bye')], [1000, ''], 'a close is answered at once' }, '1000 bye'],
    ['a reset',      sub { $_[0]->reset }, 1006],
    ['a half close', sub { $_[0]->half_close; ok $_[0]->eof, 'a half-closed connection ends' }, 1006],
    ['what is wrong', sub { is $_[0]->text('x', rsv => 1)->close_code, 1002, 'what is wrong is answered at once' }, 1006],
) {
    my ($what, $goes, $code) = @$case;
    for my $tls (0, 1) {
        next if $tls && $what eq 'a half close';
        my $since = $n->mark;
        my $ws = ws('/sleeps', $tls ? (tls => 1, port => $n->port(1)) : ());
        is $ws->message, 'sleeps', 'a handler awaits something else';
        $goes->($ws);
        is_deeply story($since, qr/then .*/), ["sleeps CANCELLED, code $code", "then CANCELLED, code $code"],
            "... $what cancels it" . ($tls ? ' (TLS)' : '');
    }
}

{
    my $since = $n->mark;
    my $ws = ws('/stays/sleeps');
    $ws->message;
    is_deeply [$ws->close(1001)], [1001, ''], 'async_ignore_client_abort: a close';
    $n->get('/open');
    is_deeply story($since, qr/then .*/), ['sleeps OK, code 1001', 'then CLOSED, code 1001'], '... cancels nothing';
    $n->get('/shut');
}

# ---- unread messages come first

{
    my $since = $n->mark;
    my $ws = ws('/late');
    $ws->message;
    $ws->text('one')->text('two');
    is_deeply [$ws->close(1000)], [1000, ''], 'messages that nobody has received, and a close';
    $n->get('/open');
    is_deeply story($since, qr/after .*/), ['late has 3 one', 'late has 3 two', 'late CLOSED, code 1000', 'after OK, code 1000'],
        '... are received before it is told; then the handler may await on';
    $n->get('/shut');
}

{
    my $since = $n->mark;
    my $ws = ws('/short/late');
    $ws->message;
    $ws->text('one')->send_close(1000);
    is_deeply story($since, qr/late .*/), ['late CANCELLED, code 1000'], '... not for ever';
}

{
    my $since = $n->mark;
    my $ws = ws('/short/late?on=1');
    $ws->message;
    $ws->text('one')->close(1000);
    $n->get('/open');
    is_deeply story($since, qr/after .*/), ['late has 3 one', 'late CLOSED, code 1000', 'after OK, code 1000'],
        '... and who has received them in time is not cancelled later';
    $n->get('/shut');
}

{
    my $since = $n->mark;
    my $ws = ws('/late');
    $ws->message;
    $ws->text('one')->reset;
    is_deeply story($since, qr/late .*/), ['late CANCELLED, code 1006'], '... a lost connection does not wait for that';
}

{
    my $since = $n->mark;
    $n->get('/open');
    my $ws = ws('/late?once=1');
    $ws->message;
    $ws->text('one')->send_close(1000);
    is_deeply story($since, qr/after C.*, code.*/), ['late has 3 one', 'once CANCELLED, code 1000', 'late CANCELLED, code 1000', 'after CANCELLED, code 1000'],
        'with the last message received nobody is left';
    $n->get('/shut');
}

{
    # more than the bound, then the end of the connection: what is not read may be a close
    my $since = $n->mark;
    my $ws = ws('/short/late');
    $ws->message;
    $ws->binary('x' x 40_000)->binary('x' x 40_000)->binary('x')->half_close;
    is_deeply story($since, qr/late .*/), ['late CANCELLED, code 1006'], 'a half-closed connection that is not read on';
}

{
    # each is short, but the memory that it has is not
    my $since = $n->mark;
    my $ws = ws('/short/late');
    $ws->message;
    $ws->send_raw(join '', map { NginxAsync::WebSocket::frame(2, 'x', fin => 0) . NginxAsync::WebSocket::frame(0, '') } 1 .. 500);
    $ws->send_close(1000)->half_close;
    is_deeply story($since, qr/late .*/), ['late CANCELLED, code 1006'], 'messages in fragments count with the memory that they take';
}

# ---- children

{
    my $since = $n->mark;
    my $ws = ws('/with_reader');
    $ws->message;
    $ws->close(1000);
    is_deeply story($since, qr/with_reader .*/),
        ['reader CLOSED, code 1000', 'reader then OK, code 1000', 'with_reader CANCELLED, code 1000'],
        'a child is told, and awaits on; then the handler, which is not, is cancelled';
}

{
    my $since = $n->mark;
    my $ws = ws('/both');
    $ws->message;
    $ws->close(1000);
    is_deeply story($since, qr/both then .*/),
        ['reader CLOSED, code 1000', 'reader then OK, code 1000', 'writer CANCELLED, code 1000', 'both CLOSED, code 1000', 'both then OK, code 1000'],
        'a handler that awaits its reader is told by it, and awaits on';
}

# ---- the handler ends

for my $case (
    [0, 1000], [-1, 1011, 'error', 'ASYNC_ERROR'], [-2, 1011, 'error', 'ASYNC_TIMEOUT'],
    [-3, 1011, 'error', 'ASYNC_CANCELLED'], [-4, 1011, 'error', 'ASYNC_CLOSED'],
    [-5, 1013, 'warn', 'ASYNC_BUSY'], [-6, 1007, 'info', 'ASYNC_INVALID'],
) {
    my ($rc, $code, $level, $name) = @$case;
    my $since = $n->mark;
    my $ws = ws("/ends?rc=$rc")->text('go');
    is $ws->close_code, $code, "a handler that returns $rc: $code";
    $ws->send_close($code);
    ok $ws->eof, '... and the end';
    like_log $n, $since, qr/\[$level\].*"ws:ends" ends its WebSocket with $code: $name, after await_ws_recv at \S*ws\.c:\d+/, '... and the log' if $level;
    unlike $n->log($since), qr/ends its WebSocket/, '... and no line in the log' if !$level;
}

{
    my $ws = ws('/at_once');
    is $ws->close_code, 1000, 'a handler that only accepts';
    $ws->text('late')->ping('late')->send_close(1000);
    ok $ws->eof, '... what comes behind is dropped';
}

{
    my $since = $n->mark;
    my $ws = ws('/short/at_once');
    is $ws->close_code, 1000, 'a client that does not answer the close';
    ok $ws->eof, '... is given up';
    like_log $n, $since, qr/\[info\].*client timed out: it does not close/, '... with a line in the log';
}

# whatever its children await of the session
for my $case (
    ['recv',            1000, ['second CANCELLED, code 0']],
    ['close',           4000, ['closer CANCELLED, code 0']],
    ['recv,close',      4000, ['second CANCELLED, code 0', 'closer CANCELLED, code 0']],
    ['long',            undef, ['long CANCELLED, code 1006']],
    ['recv,long,room',  undef, ['long CANCELLED, code 1006', 'second CANCELLED, code \d+', 'whole \w+, code \d+']],
    ['recv,long,room,close', undef, ['long CANCELLED, code 1006', 'second CANCELLED, code \d+', 'whole CLOSED, code \d+', 'closer \w+, code \d+']],
) {
    my ($what, $code, $say) = @$case;
    my $since = $n->mark;
    my $ws = ws("/leaves?do=$what", rcvbuf => 4096);
    is $ws->message, 'leaves', "a handler whose children do $what";
    my $count = 1 + ($what =~ tr/,//);
    ok says($n, "leaves $count", $since), '... and wait';
    $n->get('/open');
    my $told = $n->wait_until(sub { my @s = grep { !/^leaves/ } @{ said($n, $since) }; @s >= @$say && \@s });
    for my $line (@$say) { ok scalar(grep { /^$line *$/ } @$told), "... ends: $line" or diag explain $told }
    if ($code) {
        is $ws->close_code, $code, '... and so does the WebSocket';
        $ws->send_close($code);
    } else {
        eval { 1 while $ws->connection->fill };
    }
    ok $code ? $ws->eof : $ws->connection->{eof}, '... and the connection';
    $n->get('/shut');
}

# ---- a child that ends in the middle of a message in parts

{
    my $since = $n->mark;
    my $ws = ws('/half_child');
    my $f = $ws->next_frame;
    is_deeply [@$f{qw(opcode fin data)}], [1, 0, 'half'], 'a child sends half a message, and ends';
    is $ws->close_code, 1011, '... which ends the WebSocket';
    $ws->send_close(1011);
    ok $ws->eof, '... and the connection';
    is_deeply story($since, qr/received .*/), ['half OK, code 0', 'joined OK, code 0', 'whole CLOSED, code 0',
        'joined CLOSED, code 0', 'received CLOSED, code 1011'], '... as other tasks see';
    like_log $n, $since, qr/\[error\].*async "ws:half_child": a task ends in the middle of a message in parts, after await_ws_send_part at \S*ws\.c:\d+, and its WebSocket with 1011/,
        '... and the log';
}

{
    my $since = $n->mark;
    my $ws = ws('/half_child?last=1');
    is_deeply [map { $ws->message } 1, 2], ['half', 'whole'], 'a child that sends the other half, too';
    $ws->close(1000);
    is_deeply story($since, qr/received .*/), ['last OK, code 0', 'joined OK, code 0', 'whole OK, code 0',
        'joined OK, code 0', 'received CLOSED, code 1000'], '... leaves the WebSocket to others';
}

# ---- a client that sends on behind its Close frame

{
    my $ws = ws('/echo');
    $ws->send_raw(NginxAsync::WebSocket::frame(8, pack 'n', 1000) . 'x' x 100);
    is $ws->any_frame->{opcode}, 8, 'garbage behind a close: that is answered';
    ok $ws->eof, '... with the end';
    local $SIG{PIPE} = 'IGNORE';
    my $taken = grep { defined syswrite $ws->socket, 'x' x 100 } 1 .. 5;
    is $taken, 5, '... and more of it with no reset, which may overtake that';
}

# ---- await_ws_close()

for my $tls (0, 1) {
    my $since = $n->mark;
    my $ws = ws('/closes?code=4001&reason=enough', $tls ? (tls => 1, port => $n->port(1)) : ());
    is_deeply [$ws->closed], [4001, 'enough'], 'a handler closes, with a reason';
    $ws->text('in between')->send_close(4002, 'well');
    is_deeply story($since, qr/again .*/), ['closes OK, code 4002 well', 'send CLOSED, code 4002 well', 'again OK, code 4002 well'],
        '... and waits for the answer';
    ok $ws->eof, '... and the end';
}

{
    my $since = $n->mark;
    my $ws = ws('/short/closes');
    is $ws->close_code, 1000, 'a handler closes';
    is_deeply story($since, qr/again .*/), ['closes OK, code 1006', 'send CLOSED, code 1006', 'again OK, code 1006'],
        '... and waits for an answer as long as it may';
    ok $ws->eof, '... and the end';
}

for my $query ('code=1005', 'code=999', 'code=1015', 'code=-1', 'code=1000&reason=' . 'x' x 124, 'code=1000&reason=%ff') {
    my $since = $n->mark;
    my $ws = ws("/closes?$query");
    like $ws->message, qr/is no code that may be sent, or the reason/, "await_ws_close($query)";
    $ws->close(1000);
}

is_deeply [ws('/closes?code=1000&reason=' . 'x' x 123)->closed], [1000, 'x' x 123], 'the longest reason';

# ---- pings

{
    my $ws = ws('/pings/echo');
    my $ping = $ws->any_frame;
    is_deeply [@$ping{qw(opcode fin data)}], [9, 1, ''], 'a client that is silent gets a ping';
    $ws->pong;
    is $ws->any_frame->{opcode}, 9, '... and another one if it answers';
    is $ws->text('x')->message, 'x', '... any message is an answer';
    is $ws->any_frame->{opcode}, 9, '... for a while';
    ok !defined $ws->any_frame, '... and the end if it does not answer';
    like_log $n, 0, qr/\[info\].*client timed out: it does not answer a ping/, '... with a line in the log';
    ok says($n, "echo CLOSED, code 1006 "), '... which the handler is told';
}

# ---- slow readers

{
    my $since = $n->mark;
    my $ws = ws('/short/sends?n=1000&size=60000', rcvbuf => 4096);
    is_deeply story($since, qr/sends C.*, code.*/), ['sends CLOSED after some', 'sends CLOSED, code 1006'], 'a client that does not read';
    like_log $n, $since, qr/\[info\].*client timed out: it does not read/, '... is not waited for';
}

{
    my $since = $n->mark;
    my $ws = ws('/sends?n=100&size=20000000&ms=200', rcvbuf => 4096);
    is_deeply story($since, qr/sends T.*, code.*/), ['sends TIMEOUT after some', 'sends TIMEOUT, code 1006'],
        'a deadline in the middle of a long message';
    eval { 1 while $ws->connection->fill };
    ok $ws->connection->{eof}, '... breaks the connection off';
    ok length $ws->connection->buffered < 20_000_000, '... in the middle';
}

for my $tls (0, 1) {
    my $since = $n->mark;
    my $ws = ws('/sends?size=20000000&then=1', rcvbuf => 4096, $tls ? (tls => 1, port => $n->port(1)) : ());
    $ws->connection->read(2);
    $ws->reset;
    is_deeply story($since, qr/sends then.*, code.*/),
        ['sends CLOSED after all', 'sends CLOSED, code 1006', 'sends then OK, code 1006'],
        'a handler that sends a long message is told, and awaits on' . ($tls ? ' (TLS)' : '');
}

# ---- logs

{
    my $ws = ws('/echo?logged');
    $ws->text('12345')->message;
    $ws->close(1000);
    my $lines = $n->wait_until(sub { $n->access_log =~ m{("GET /echo\?logged HTTP/1.1" \d+ \d+)} && $1 });
    is $lines, '"GET /echo?logged HTTP/1.1" 101 ' . ($Release ? 0 : 11), 'the access log: the status, the bytes of the frames';
    my $since = $n->mark;
    $ws = ws('/echo?broken');
    $ws->text('12345')->message;
    $ws->reset;
    ok says($n, qr/echo CLOSED, code 1006.*/, $since), 'a lost connection';
    $lines = $n->wait_until(sub { $n->access_log =~ m{("GET /echo\?broken HTTP/1.1" \d+ \d+)} && $1 });
    is $lines, '"GET /echo?broken HTTP/1.1" 101 ' . ($Release ? 0 : 7), '... also of that';
}

# ---- reload, shutdown

{
    my $since = $n->mark;
    my @ws = map { ws('/echo') } 1 .. 20;
    my @busy = map { my $ws = ws('/sleeps'); $ws->message; $ws } 1 .. 5;
    my ($worker) = $n->workers;
    is $n->reload, undef, 'a reload';
    is_deeply [map { $_->close_code } @ws, @busy], [(1012) x 25], '... tells clients to come back';
    $ws[0]->text('a last word');
    $_->send_close(1012) for @ws, @busy;
    is_deeply [map { $_->eof } @ws, @busy], [(1) x 25], '... their answer ends it';
    ok $n->wait_until(sub { !NginxAsync::Server::alive($worker) }), '... and the worker goes';
    is scalar(grep { /^echo CLOSED/ } @{ said($n, $since) }), 20, '... handlers that receive are told';
    is scalar(grep { $_ eq 'sleeps CANCELLED, code 1012 ' } @{ said($n, $since) }), 5, '... others are cancelled';
    is ws('/echo')->text('new')->message, 'new', '... the new worker serves';
}

{
    my $since = $n->mark;
    my $deaf = ws('/short/echo');
    my $deaf_too = ws('/short/sleeps');
    is $deaf_too->message, 'sleeps', 'clients that do not answer';
    $n->signal('QUIT');
    ok gone($n), '... do not keep a worker from its end';
    is_deeply [$deaf->close_code, $deaf_too->close_code], [1001, 1001], '... they are told all the same';
    ok says($n, 'echo CLOSED, code 1006 ', $since), '... as are their handlers';
    ok says($n, 'sleeps CANCELLED, code 1006 ', $since), '... or cancelled';
    $n->stop;
}

{
    # while another binary runs nginx has its process id in a file of another name
    for my $case ([1012, sub { $_[0] }, 'an upgrade of the binary is one to come back from'],
        [1001, sub { $_[0] - 1 }, '... what another one has left there is none'])
    {
        my ($code, $pid, $title) = @$case;
        my $m = NginxAsync->new(conf => conf())->start;
        my $ws = NginxAsync::WebSocket->new($m, '/echo');
        $m->write_file('logs/nginx.pid.oldbin', $pid->($m->master) . "\n");
        $m->signal('QUIT');
        is $ws->close_code, $code, $title;
        $ws->send_close($code);
        $m->stop;
    }
}

SKIP: {
    skip 'ASan takes two images of the module for a mistake', 7 if NginxAsync::Env::asan();

    # the module from another file: its old and its new workers share no variables
    my $m = NginxAsync->new(conf => conf(), allow => '[emerg]')->start;
    my $ws = NginxAsync::WebSocket->new($m, '/echo');
    my @copies = map {
        my $copy = $m->root . '/copy' . ($_ =~ m{([^/]+)\z})[0];
        File::Copy::copy($_, $copy) or die "$copy: $!";
        $copy;
    } NginxAsync::Env::modules();
    local $ENV{TEST_NGINX_LOAD_MODULES} = join ' ', @copies;
    is $m->reload, undef, 'a reload with the module from another file';
    is $ws->close_code, 1012, '... tells clients to come back';
    $ws->send_close(1012);
    $ws = NginxAsync::WebSocket->new($m, '/echo');
    is $m->reload, undef, '... and one more';
    is $ws->close_code, 1012, '... too';
    $ws->send_close(1012);
    $ws = NginxAsync::WebSocket->new($m, '/echo');
    like $m->reload(conf => 'wrong;'), qr/emerg/, 'a reload that fails';
    is $ws->text('on')->message, 'on', '... goes on';
    $m->signal('QUIT');
    is $ws->close_code, 1001, '... and is none';
    $ws->send_close(1001);
    $m->stop;
}

{
    my $m = NginxAsync->new(conf => conf())->start;
    my $full = NginxAsync::WebSocket->new($m, '/short/sends?size=20000000', rcvbuf => 4096);
    $full->connection->read(2);
    $m->signal('QUIT');
    ok gone($m), 'nor does one that has much to read yet';
    cmp_ok length $full->connection->read_all, '<', 20_000_000, '... which is cut off before its Close';
    $m->stop;
}

{
    # nginx takes the connections away itself
    my $conf = conf();
    $conf->{http} .= "async_websocket_close_timeout 100s;\n";
    my $m = NginxAsync->new(conf => { %$conf, main => 'worker_shutdown_timeout 300ms;' })->start;
    my @ws = map { NginxAsync::WebSocket->new($m, $_) } qw(/echo /sleeps /stays/sleeps);
    $_->message for @ws[1, 2];
    $m->get('/open');
    $m->signal('QUIT');
    ok gone($m), 'worker_shutdown_timeout ends them';
    $m->stop;
}

{
    my $m = NginxAsync->new(conf => conf())->start;
    my @ws = map { NginxAsync::WebSocket->new($m, $_) } qw(/echo /sleeps /late /both);
    ok $m->term, 'a fast exit';
    is_deeply [map { $_->connection->read_all && 1 } @ws], [(1) x 4], '... ends them';
}

done_testing;
