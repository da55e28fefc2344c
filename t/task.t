#!/usr/bin/perl

# Child tasks, one by one and several at once; and what holds to the end of a
# block: deadlines, shields, memory.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use NginxAsync;
use NginxAsync::Say qw(said says gone);

my @handlers = qw(many join interleave ended ended_deadline sibling too_many
    ended_null cancel nested unjoined forgotten group grandchild in_cleanup
    thread thread_unjoined deadline deadline_out deadline_kept deadlines deadline_child
    deadline_late deadline_left within deadline_cleanup shield shield_call
    deadline_loop deadline_turns told shield_children memory memory_children memory_response memory_nested body
    body_twice json misplaced hello own own_end own_call);

my $routes = join '', map { <<"EOF_CONF" } @handlers;
    location = /$_       { async_handler task:$_; }
    location = /short/$_ { async_handler task:$_; async_timeout 300ms; }
    location = /long/$_  { async_handler task:$_; async_timeout 4s; }
    location = /small/$_ { async_handler task:$_; client_max_body_size 10; }
EOF_CONF

sub nginx {
    my (%o) = @_;

    my $http = delete $o{http} // '';

    return NginxAsync->new(%o, files => { file => "a file\n" }, conf => { server => $routes, http => <<"EOF_CONF" })
        async_app \$TEST_NGINX_APPS/task.so;
        async_timeout 5s;
        $http
EOF_CONF
        ->start;
}


sub line_of { return NginxAsync::Say::line_of('task', @_) }

# A body and what was said meanwhile.
sub told {
    my ($n, $uri, $body, $said, $title) = @_;

    my $since = $n->mark;
    my $r = $n->get($uri);
    my $how = ref $body ? \&like : \&is;

    $how->($r->body, $body, $title);
    is_deeply said($n, $since), $said, "... $uri, in this order" if $said;

    return $since;
}


# A client that leaves when the handler has got so far, by a reset.
sub leaves {
    my ($n, $uri, $when, $last) = @_;

    my $since = $n->mark;
    my $c = $n->connect->send_request('GET', $uri);

    says($n, $when, $since);
    $c->reset;
    says($n, $last, $since) or diag "$uri: no <$last>\n", $n->log($since);
    ok $n->wait_until(sub { $n->access_log =~ /\Q$uri\E HTTP\/1.1" 499 / }),
        "$uri: logged as 499";

    return said($n, $since);
}

my $gone     = 'the client has gone';
my $parent   = q{its parent has cancelled it};
my $deadline = 'the deadline has passed';

# of fail() in the app
sub failed { return qr/error: failed with $_[0]/ }

my $n = nginx();
my $worker = $n->worker;

# ---- one child

told($n, '/join?jobs=a0', "a ok\n", ['spawned', 'a begins', 'a ok', 'join ok'],
    'a child begins when its parent awaits next, and is joined');

told($n, '/join?jobs=a10!7', qr/\Aa ${\failed(7)}\n\z/, undef,
    'a join gives the code of the child, and its cause');

told($n, '/join?jobs=a0!1,b10,c0!2', qr/\Aa ${\failed(1)}\nb ok\nc ${\failed(2)}\n\z/,
    undef, 'each child has a cause of its own');

told($n, '/interleave', 'abcabcabc', undef, 'children run in turn');

told($n, '/ended', qr/\Aended ok\nended ok\njoin ${\failed(7)}\n\z/, undef,
    'a child that has ended waits to be joined');

told($n, '/ended_deadline', qr/\Aended timeout: .*\njoin ok\n\z/,
    ['a begins', 'ended timeout', 'a ok'], 'await_ended() leaves the child alone');

told($n, '/sibling', "ended error: only the parent of a child may wait for it\n"
    . "join error: only the parent of a child may wait for it\nparent ok\n", undef,
    'nobody but the parent may wait for a child');

# ---- cancelling one

told($n, '/cancel?when=before', "cancelled: $parent\nparent ok\n", ['told'],
    'a child that is cancelled before it begins does not');

told($n, '/cancel?when=waiting', "cancelled: $parent\nparent ok\n",
    ['a begins', 'told', "a cancelled: $parent"], 'the await of a child is cancelled');

told($n, '/cancel?when=after', "ok\nparent ok\n", ['a begins', 'a ok', 'told'],
    'one that has ended is not');

# ---- several at once

told($n, '/many?how=all', "all ok\n", ['all ok'], 'await_all() of none');

told($n, '/many?how=all&jobs=a50,b0,c20', "all ok\na ok\nb ok\nc ok\n",
    ['a begins', 'b begins', 'b ok', 'c begins', 'c ok', 'a ok', 'all ok'],
    'await_all() waits for all of them');

{
    my $since = told($n, '/many?how=all&jobs=a3600000d,b20!7,c0,d3600000', qr/
        \Aall\ (${\failed(7)})\n a\ cancelled:\ \Q$parent\E\n b\ \1\n c\ ok\n
        d\ cancelled:\ \Q$parent\E\n\z/x, undef,
        'the first failure cancels the others, and is what await_all() gives');
    is_deeply [@{ said($n, $since) }[-3 .. -2]], ["d cancelled: $parent", 'a cleaned ok'],
        '... when they have ended, with their cleanups';
}

told($n, '/many?how=all&jobs=a20!1,b0!2,c20!3', qr/\Aall (${\failed(2)})\na .*\nb \1\n/,
    undef, '... the first in time');

told($n, '/many?how=gather', "gather ok\n", ['gather ok'], 'await_gather() of none');

told($n, '/many?how=gather&jobs=a50,b0!7,c20!8,d0',
    qr/\Agather ok\na ok\nb ${\failed(7)}\nc ${\failed(8)}\nd ok\n\z/, undef,
    'await_gather() lets all of them end, each in its way');

told($n, '/many?how=any', "any error: there is nothing to await\nwinner -1\n", undef,
    'await_any() of none');

{
    my $since = told($n, '/many?how=any&jobs=a3600000d,b0!7,c20,d3600000d', qr/
        \Aany\ ok\n a\ cancelled:\ \Q$parent\E\n b\ ${\failed(7)}\n c\ ok\n
        d\ cancelled:\ \Q$parent\E\n winner\ 2\n\z/x, undef,
        'the first success cancels the others, and wins await_any()');
    is_deeply [sort @{ said($n, $since) }[-5 .. -2]], ["a cancelled: $parent", 'a cleaned ok',
        "d cancelled: $parent", 'd cleaned ok'], '... which ends after their cleanups';
}

told($n, '/many?how=any&jobs=a3600000k,b20', "any ok\na ok\nb ok\nwinner 1\n", undef,
    '... also against one that makes light of its cancel');

told($n, '/many?how=any&jobs=a20!7,b0!8,c50!9', qr/
    \Aany\ (${\failed(9)})\n a\ ${\failed(7)}\n b\ ${\failed(8)}\n c\ \1\n winner\ -1\n\z/x,
    undef, 'when nobody wins, the last failure counts');

told($n, '/nested', "ok 27\n", ['ok, 0 of 27'], 'three levels of three');

# ---- the client leaves, the deadline passes

my $three = 'jobs=a3600000,b3600000,c3600000';

for my $how (qw(join all gather any)) {
    my $path = $how eq 'join' ? '/join?' : "/many?how=$how&";
    my @begun = (($how eq 'join' ? 'spawned' : ()), 'a begins', 'b begins', 'c begins');
    my ($uri, $body) = "$path$three";

    my $said = leaves($n, $uri, 'c begins', "$how cancelled: $gone");
    is_deeply $said, [@begun, (map { "$_ cancelled: $gone" } qw(a b c)),
        "$how cancelled: $gone"], "... the children in $how are cancelled, and joined";

    my $since = $n->mark;
    is $n->get("/short$uri")->status, 504, 'async_timeout passes amid the same';
    is_deeply said($n, $since), [@begun, (map { "$_ timeout: $deadline" } qw(a b c)),
        "$how timeout: $deadline"], '... for parent and children';
    like_log $n, $since, qr/"task:(?:join|many)" timed out: the deadline has passed, in await_$how at /,
        '... as the log tells, once' if $how ne 'join';

    ($uri) = $path . 'jobs=a3600000d,b3600000d';
    $said = leaves($n, $uri, 'b begins', "$how cancelled: $gone");
    is scalar(grep { /cleaned ok/ } @$said), 2, '... cleanups of children are had first';
}


{
    my $since = $n->mark;
    my $c = $n->connect->send_request('GET', '/nested?ms=3600000');
    $n->get('/hello');
    $n->wait_until(sub { $n->get('/hello')->status == 200 });
    $c->reset;
    ok says($n, 'cancelled, 27 of 27', $since), 'all leaves of a tree are cancelled';
}

# ---- what a function leaves behind

my $at = line_of('of unjoined');

my %answers = ('' => [200, "unjoined\n"], '?file=1' => [200, "a file\n"],
    '?fails=1' => [500, '{"detail":"Internal Server Error"}']);

for my $way (sort keys %answers) {
    my $since = $n->mark;
    my $r = $n->get("/unjoined$way");

    is_deeply [$r->status, $r->body], $answers{$way}, "a handler forgets a child, $way";
    is_deeply said($n, $since), ["cancelled: $parent", 'cleaned ok intact'],
        '... which is cancelled and joined before it answers, with its arg intact';
    like_log $n, $since, qr/\[warn\] .*"task:unjoined" has returned without await_join\(\) of a child that was spawned at \S*$at: it is cancelled/,
        '... and the log names the place';
}

{
    my $since = told($n, '/unjoined?early=1', "unjoined\n", [],
        'one that has not begun does not begin');
    like_log $n, $since, qr/without await_join\(\) .*$at: it is cancelled/, '... the log tells';

    $since = told($n, '/forgotten', "forgotten\n", ['a begins', 'a ok'],
        'one that has ended');
    like_log $n, $since, qr/\[warn\] .*without await_join\(\) .*${\line_of('of forgotten')}(?!: it)/,
        '... is told of, too';

    $since = told($n, '/group', qr/\Agroup ${\failed(7)}\nbefore ok\n\z/, ['a begins',
        "cancelled: $parent", 'cleaned ok intact', 'left', 'a ok'],
        'ASYNC_GROUP joins on every way out, those that were spawned inside');
    unlike $n->log($since), qr/\[warn\]/, '... without a warning';

    $since = told($n, '/grandchild', "grandchild\n", ["cancelled: $parent",
        'cleaned ok intact', 'joined'], 'a child forgets a child');
    like_log $n, $since, qr/\[warn\] .*${\line_of('of a child')}: it is cancelled/, '... the same';
}

# ---- children elsewhere

told($n, '/in_cleanup', "cleanup\n", ['a begins', 'a ok', 'cleanup ok'],
    'a cleanup has a child');

is_deeply leaves($n, '/in_cleanup?then=sleep', 'asleep', 'cleanup ok'),
    ['asleep', 'a begins', 'a ok', 'cleanup ok'], '... which is shielded as it is';

{
    my $since = told($n, '/in_cleanup?then=careless', "careless\n", undef,
        'a cleanup forgets a child');
    like_log $n, $since, qr/\[warn\] .*${\line_of('of a cleanup')}: it is cancelled/,
        '... the log tells';

    $since = told($n, '/in_cleanup?then=frame', "frame\n", ["cancelled: $parent",
        'cleaned ok intact', 'a begins', 'a ok', 'cleanup ok'],
        '... of which the cleanups before it see nothing');
    like_log $n, $since, qr/\[warn\] .*${\line_of('of a child')}: it is cancelled/, '... the same';

    told($n, '/thread', "thread\n", ['a begins', 'a ok', 'call ok'],
        'a call from a thread has a child');

    is_deeply leaves($n, '/thread?ms=3600000', 'a begins', 'call cancelled'),
        ['a begins', "a cancelled: $gone", 'call cancelled'], '... which is cancelled with it';

    $since = told($n, '/thread_unjoined', "thread\n", ["cancelled: $parent",
        'cleaned ok intact', 'called'], 'a call from a thread forgets a child');
    like_log $n, $since, qr/\[warn\] .*${\line_of('of a child')}: it is cancelled/, '... the same';
}

# ---- deadlines

$at = line_of('the deadline');

{
    my $text = "timeout: the 50 ms of ASYNC_DEADLINE at \\S*$at have passed";
    told($n, '/deadline', qr/\Asleep $text\nyield $text\nafter ok\n\z/, undef,
        'a deadline holds to the end of its block, and no longer');

    $text = "timeout: the 0 ms of ASYNC_DEADLINE at \\S*$at have passed";
    told($n, '/deadline?ms=0', qr/\Asleep $text\nyield $text\nafter ok\n\z/, undef,
        'one of zero has passed at once');

    for my $ms (-1, '9223372036854775807', '-9223372036854775808') {
        $text = "error: $ms ms, of ASYNC_DEADLINE at \\S*$at, is not from 0 to ten years";
        told($n, "/deadline?ms=$ms", qr/\Asleep $text\nyield $text\nafter ok\n\z/, undef,
            "one of $ms is an error");
    }
}

$at = line_of('the way out');

for (['', 504, 'Gateway Timeout', qr/timed out: the 50 ms of ASYNC_DEADLINE at \S*$at have passed,/],
    ['?ms=-1', 500, 'Internal Server Error', qr/failed: ASYNC_ERROR: -1 ms, of ASYNC_DEADLINE at \S*$at,/])
{
    my ($args, $status, $detail, $log) = @$_;

    my $since = $n->mark;
    my $r = $n->get("/deadline_out$args");
    is_deeply [$r->status, $r->body], [$status, qq({"detail":"$detail"})],
        "a handler that returns so answers $status, which does not name its file";
    unlike join(' ', map { @$_ } $r->header_list), qr/\.c:\d/, '... nor does the header';
    like_log $n, $since, $log, '... as the log does';
}

told($n, '/deadline_kept', "inside ok\nafter ok\n", undef,
    'a deadline that has not passed is forgotten');

{
    my ($outer, $inner) = map { "timeout: the %d ms of ASYNC_DEADLINE at \\S*"
        . line_of("the $_ one") . ' have passed' } qw(outer inner);

    my $both = sub { return join '', '\A', "in both $_[0]\n", "in one $_[1]\n", "after ok\n", '\z' };
    my $text = $both->(sprintf($inner, 50), sprintf($outer, 200));
    told($n, '/deadlines?outer=200&inner=50', qr/$text/, undef,
        'of two deadlines the inner one passes first, and then the outer one');

    $text = $both->(sprintf($outer, 50), sprintf($outer, 50));
    told($n, '/deadlines?outer=50&inner=3600000', qr/$text/, undef,
        '... or the outer one for both');

    my $bad = 'error: -1 ms, of ASYNC_DEADLINE at \S*' . line_of('the outer one')
        . ', is not from 0 to ten years';
    $text = $both->($bad, $bad);
    told($n, '/deadlines?outer=-1&inner=50', qr/$text/, undef,
        'an outer one that is an error is one to its end');

    $bad = 'error: -1 ms, of ASYNC_DEADLINE at \S*' . line_of('the inner one')
        . ', is not from 0 to ten years';
    $text = $both->($bad, sprintf($outer, 50));
    told($n, '/deadlines?outer=50&inner=-1', qr/$text/, undef,
        'an inner one that is an error is one to its end');
}

told($n, '/deadline_child', qr/\Ainside timeout: .*\noutside timeout: .*\nbefore ok\n\z/,
    undef, 'children that were spawned in the block have its deadline');

{
    my $at = line_of('the late one');

    told($n, '/deadline_late?ms=0', qr/
        \Asleep\ (timeout:\ the\ 0\ ms\ of\ ASYNC_DEADLINE\ at\ \S*$at\ have\ passed)\n
        child\ \1\n late\ \1\n after\ ok\n\z/x,
        ['a begins', 'a ok'], '... and do not begin when it has passed');

    told($n, '/deadline_late?ms=-1', qr/
        \Asleep\ (error:\ -1\ ms,\ of\ ASYNC_DEADLINE\ at\ \S*$at,\ is\ not\ .*)\n
        child\ \1\n late\ \1\n after\ ok\n\z/x,
        ['a begins', 'a ok'], '... or is an error, and each tells why');
}

{
    my $since = told($n, '/deadline_cleanup', qr/\Ajoin timeout: .*\n\z/, undef,
        '... which does not hold for their cleanups');
    my $at = line_of('with a cleanup');

    like join(', ', @{ said($n, $since) }),
        qr/\Aa begins, a timeout: the 50 ms of ASYNC_DEADLINE at \S*$at have passed, a cleaned ok\z/,
        '... and of which they tell';
}

{
    my $since = $n->mark;
    my $c = $n->connect->send_request('GET', '/deadline_loop');
    my $line = line_of('in the loop');

    ok $n->wait_for_log(qr/"task:deadline_loop" awaits on although it is refused: the 0 ms of ASYNC_DEADLINE at \S*deadline\.c:\d+ have passed, at \S*$line/,
        20, $since), 'a loop over blocks that refuse its awaits is slowed down, and told of';
    is $n->get('/told')->body, "told\n", '... so that others are served';
    is $c->response->body, "told\n", '... and it ends when it is told to';

    $since = told($n, '/deadline_turns', "turned\n", [], 'one that waits in between');
    unlike $n->log($since), qr/awaits on/, '... is not';
}

is $n->get('/long/deadline')->status, 200, 'the deadline of the request is another one';
like $n->get('/short/deadline?ms=3600000')->body, qr/\Asleep (timeout: $deadline)\nyield \1\nafter \1\n\z/,
    '... which counts when it is nearer';

is_deeply leaves($n, '/deadline_left', 'timeout', "after cancelled: $gone"),
    ['timeout', 'shield ok', 'inside timeout', "after cancelled: $gone"],
    'a client that leaves amid a deadline that has passed, counts from the end of its block on';

told($n, '/within', qr/
    \Aok\ ok\n fails\ ${\failed(7)}\n late\ timeout:\ the\ 50\ ms\ of\ \w+\ at\ \S*deadline\.c:\d+\ have\ passed\n
    zero\ timeout:\ the\ 0\ ms\ .*\n after\ ok\n\z/x, undef,
    'await_within() gives what its function returns, or ASYNC_TIMEOUT');

# ---- shields

is_deeply leaves($n, '/shield', 'shielded', "after cancelled: $gone"),
    ['shielded', 'shield ok', "after cancelled: $gone"],
    'a client that leaves amid a shield, counts from its end on';

told($n, '/shield?ms=50&nap=3600000', qr/
    \Ainside\ timeout:\ the\ 50\ ms\ of\ ASYNC_SHIELD\ at\ \S*${\line_of('the shield')}
    \ have\ passed\n after\ ok\n\z/x, undef, 'a shield has a deadline of its own');

told($n, '/shield?ms=0', qr/\Ainside timeout: .*\nafter ok\n\z/, undef, '... of zero');

for my $ms (-1, '9223372036854775807') {
    told($n, "/shield?ms=$ms", qr/\Ainside error: $ms ms, of ASYNC_SHIELD at .*\nafter ok\n\z/,
        undef, "... of $ms, which is an error");
}

{
    my $since = $n->mark;
    is $n->get('/short/shield?nap=500')->status, 504, 'async_timeout passes amid a shield';
    is_deeply said($n, $since), ['shielded', 'shield ok', "after timeout: $deadline"],
        '... and counts from its end on, too';
}

is_deeply leaves($n, '/shield_call', 'asleep', 'after cancelled'),
    ['asleep', 'shield ok', 'after cancelled'], 'await_shield() is the same';

told($n, '/shield_call', qr/\Alate timeout: the 50 ms of \w+ at .*\nok ok\n\z/, undef,
    '... with an end of its own');

is_deeply leaves($n, '/shield_children', 'c begins', 'before cancelled'),
    ['a begins', 'b begins', 'c begins', "a cancelled: $gone", 'b ok', 'inside ok',
    "c cancelled: $gone", 'longer cancelled', 'before cancelled'],
    'a shield is for children that were spawned inside, to its end';

# ---- memory

SKIP: {
    is $n->get('/memory?turns=20000')->body, "intact\n", 'memory outside of ASYNC_MEMORY stays';

    skip 'asan keeps what is freed', 2 if $ENV{TEST_NGINX_ASAN};

    my $before = $n->memory_of_worker;
    is $n->get('/memory?turns=200000')->body, "intact\n", '... also after 200,000 blocks';
    cmp_ok $n->memory_of_worker - $before, '<', 4 << 20, '... and that inside is freed';
}

told($n, '/memory_children', "children\n", ['given intact', 'cleaned ok intact', 'left'],
    'children that were spawned in the block are joined before its memory goes');

told($n, '/memory_nested', qr/\Aleft ${\failed(7)}\nintact\n\z/, undef,
    'blocks of memory in each other, and left in the middle');

{
    my $since = $n->mark;
    my $r = $n->post('/memory_response', 'some body');
    is $r->body, 'x' x 100000, 'a response that was made in the block is sent intact';
    is $r->header('X-Text'), 'x' x 100, '... its header, too';
    is_deeply said($n, $since), ['some body, the same'], '... and what the request has, it keeps';
}

# ---- failures of one's own

{
    my $failed = 'error: failed with 7';
    my $busy = 'busy: busy, as it failed with 7';
    my $long = substr 'one\x0Atwo\x1B\x7F' . join('', 'a' .. 'z') x 7, 0, 159;

    told($n, '/own', join('', map { "$_\n" } "call $failed", "child $busy",
        "cleanup $failed", "badly error: $long", 'gather ok', "first $busy",
        "second $failed", "all $failed", 'as it was ok'), undef,
        'async_task_fail() tells of the cause: to the caller, to who joins, escaped and cut');

    told($n, '/own_call', "$busy\n", undef, '... to a thread that has called');

    my $since = $n->mark;
    my $r = $n->get('/own_end');
    is_deeply [$r->status, $r->body], [500, '{"detail":"Internal Server Error"}'],
        '... not to the client';
    like_log $n, $since, qr/\[error\] .*"task:own_end" failed: ASYNC_ERROR: failed with 9, after no await/,
        '... but to the log';

    $since = told($n, '/own_end?background=1', "later\n", undef, '... for a background task, too');
    ok $n->wait_for_log(qr/background task of "task:own_end", of \S+, failed: ASYNC_ERROR: failed with 9,/,
        20, $since), '... which the log tells';
}

# ---- the request, used by a child

sub slow_body {
    my ($n, $uri, @parts) = @_;

    my $since = $n->mark;
    my $len = length join '', @parts;
    my $c = $n->connect->send("POST $uri HTTP/1.1\r\nHost: x\r\nContent-Length: $len\r\n"
        . "Content-Type: application/json\r\n\r\n");

    for my $part (@parts) {
        $n->get('/hello');
        $c->send($part);
    }

    return $c;
}

is slow_body($n, '/body', 'one ', 'two ', 'three')->response->body, 'one two three',
    'a child waits for the body of the request';

{
    my $r = slow_body($n, '/json', '{"a"', ': [1, 2', ']}')->response;
    is $r->status, 201, 'a child gives the response';
    is $r->body, '{"given":{"a":[1,2]}}', '... with the JSON that it has waited for';

    $r = slow_body($n, '/json', '{"a"', ': [1, 2');
    $r = slow_body($n, '/json', '{"a"', ': [1, 2}')->response;
    is $r->status, 422, '... also if that is not valid';

    my $since = $n->mark;
    my $c = $n->connect->send("POST /body_twice HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n");
    $n->wait_until(sub { grep({ $_ eq 'reads' } @{ said($n, $since) }) == 2 });
    is $c->send('body')->response->body, "first ok\nsecond ok\n",
        'two children that wait for the body both have it';

    $since = $n->mark;
    $c = $n->connect->send("POST /body?left HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbo");
    says($n, 'reads', $since);
    $c->reset;
    ok says($n, 'join cancelled', $since), 'a client leaves while a child reads';

    $since = $n->mark;
    $c = $n->connect->send("POST /body?stays=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbo");
    says($n, 'reads', $since);
    $c->send('dy');
    says($n, 'stays', $since);
    $c->reset;
    ok says($n, 'left cancelled', $since), '... and when it has read';

    $since = $n->mark;
    $c = $n->connect->send("POST /small/body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        . "5\r\nsmall\r\n");
    says($n, 'reads', $since);
    $c->send("14\r\n" . 'x' x 20 . "\r\n0\r\n\r\n");
    is $c->response->status, 413, 'a body that is too large for a child to read';
    ok says($n, 'join cancelled', $since), '... the handler is told, too';

    $c = $n->connect->send("POST /short/body HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbo");
    is $c->response->status, 504, 'a body that does not come in time';
}

is $n->worker, $worker, 'all that was in one worker';
ok $n->stop, '... of which nothing is left';

# ---- bounds

{
    my $n = nginx(http => 'async_max_tasks 4;');

    for my $turn (1 .. 3) {
        my $since = $n->mark;
        like $n->get('/too_many')->body, qr/\A3, (no task for a child), join busy: \1\n\z/,
            "as many children as async_max_tasks allows, turn $turn";
        like_log $n, $since, qr/\[error\] .*no task for "task:too_many": 4 run already, of at most 4/,
            '... the log tells';
    }

    my $jobs = join ',', map { "${_}3600000d" } qw(a b c d e);
    my $since = told($n, "/many?how=gather&jobs=$jobs", qr/
        \Agather\ busy:\ no\ task\ for\ a\ child\n (?:[abc]\ cancelled:\ \Q$parent\E\n){3}
        (?:[de]\ busy:\ NULL\n){2}\z/x, undef, 'too many at once');
    is $n->get('/nested?ms=1')->body, "ok 0\n", 'deeper down, those below are told';

    is $n->get('/join?jobs=a0,b0,c0')->body, "a ok\nb ok\nc ok\n",
        '... and then there is room for all';
    $n->stop;
}

{
    my $n = nginx();
    is eval { $n->get('/ended_null')->status }, 200, 'await_ended() of no child';
    $n->stop;
}

{
    my $n = nginx(allow => [qr/await_sleep\(\) at/, qr/exited on signal 6/]);
    my $c = $n->connect->send_request('GET', '/misplaced');
    ok $n->wait_for_log(qr/\[alert\] .*await_sleep\(\) at \S*${\line_of('of the parent')} was called outside of the coroutine that its first argument names/),
        'a child that awaits with the task of its parent is told by an abort';
    $n->stop;
}

{
    my $n = nginx(http => 'async_every 50ms own_period;');
    ok $n->wait_for_log(qr/periodic "task:own_period" failed: ASYNC_ERROR: failed with 11,/),
        'a cause of its own of a periodic function is in the log';
    $n->stop;
}

# ---- the end of a worker

for my $how (qw(join all gather any)) {
    my $path = $how eq 'join' ? '/join?' : "/many?how=$how&";
    my $n = nginx();

    my $c = $n->connect->send_request('GET', "${path}jobs=a300,b400");
    says($n, 'b begins');
    is $n->reload, undef, "a reload while $how waits";
    is $c->response->status, 200, '... lets it end';

    my $since = $n->mark;
    $c = $n->connect->send_request('GET', "${path}jobs=a300,b400");
    says($n, 'b begins', $since);
    $n->signal('QUIT');
    is $c->response->status, 200, "QUIT while $how waits lets it end";
    ok gone($n), '... and the worker goes';
    $n->stop;

    $n = nginx();
    $c = $n->connect->send_request('GET', "${path}jobs=a3600000d,b3600000");
    says($n, 'b begins');
    ok $n->term, "TERM while $how waits";
    is_deeply [@{ said($n) }[-4 .. -1]], ['a cancelled: the worker is shutting down',
        'b cancelled: the worker is shutting down', 'a cleaned ok',
        "$how cancelled: the worker is shutting down"], '... cancels and joins the children';
}

{
    my $n = nginx(http => 'async_shutdown_timeout 200ms;');
    my $c = $n->connect->send_request('GET', '/shield_children');
    says($n, 'c begins');
    $n->signal('QUIT');
    ok gone($n), 'async_shutdown_timeout passes amid a shield';
    is_deeply [grep { !/ begins/ } @{ said($n) }], ['a cancelled: the worker is shutting down',
        'b ok', 'inside ok', 'c cancelled: the worker is shutting down', 'longer cancelled',
        'before cancelled'], '... which is for its children, too';
    $n->stop;
}

{
    my $n = nginx(http => 'async_param startup 1;');
    ok says($n, 'winner 1'), 'a startup function has children';
    is_deeply said($n), ['b begins', 'a begins', 'a ok', "b cancelled: $parent", 'winner 1'],
        '... as any other';
    is $n->get('/hello')->status, 200, '... and handlers run after it';
    $n->stop;
}

is NginxAsync::run('timeout', 60, "$NginxAsync::Env::Root/util/async-run",
    "$ENV{TEST_NGINX_APPS}/task.so", 'program'), "a has won\n",
    'a task in util/async-run has children';

done_testing;
