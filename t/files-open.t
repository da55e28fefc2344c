#!/usr/bin/perl

# Files in pieces: what is open, and what is not closed.  Then calls on files
# that end early: deadlines, clients that leave, a full queue, the worker's end.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use NginxAsync::Files;
use NginxAsync::Say qw(json gone);

my $n = nginx();
my $fds = fds($n);

# ---- in pieces

for ($WRITE, $WRITE | $ATOMIC, $WRITE | $EXCLUSIVE,
    $WRITE | $ATOMIC | $EXCLUSIVE, $APPEND)
{
    my $new = !($_ & $EXCLUSIVE);

    is_deeply stream($n, 's', 'abc', flags => $_, n => 1000),
        { rc => 0, at => 'close' }, "a file in pieces, flags $_";
    is get($n, 'root/s'), 'abc' x 1000, '... is there';
    is stream($n, 's', 'def', flags => $_)->{rc}, $new ? 0 : $ERROR,
        $new ? '... is written again' : '... is there';
    is get($n, 'root/s'), $_ & $APPEND ? 'abc' x 1000 . 'def'
        : $new ? 'def' : 'abc' x 1000, '...';

    put($n, 'root/s', 'old');
    stream($n, 's', 'abc', flags => $_, close => 0);
    is get($n, 'root/s'), $_ & $APPEND ? 'oldabc' : $_ == $WRITE ? 'abc'
        : 'old', '... and not closed';

    unlink $n->root . '/root/s';
    stream($n, 's', 'abc', flags => $_, close => 0);
    my $kept = $_ & $APPEND ? 'a b dir empty s' : 'a b dir empty';
    ok $n->wait_until(sub { all($n, 'root') eq $kept }),
        '... new and not closed: ' . ($_ & $APPEND ? 'stays' : 'is removed')
        or diag all($n, 'root');
    unlink $n->root . '/root/s';
}

{
    put($n, 'root/from', join '', map { "$_\n" } 1 .. 20000);
    is_deeply json($n->get('/copy?root=root&path=from&to=dir/to')),
        { rc => 0, total => 108894 }, 'a file is copied in pieces';
    ok get($n, 'root/dir/to') eq get($n, 'root/from'), '... and is the same';
    is json($n->get('/copy?root=root&path=empty&to=dir/to'))->{total}, 0,
        '... an empty one, too';
    call($n, 'remove', $_) for qw(from dir/to);
}

my $mode = 'await_file_open() does not take the flags';
is_deeply json($n->get('/misuse?root=root&path=a')), [
    [-1, 'await_file_put(): the file is open for reading'],
    [0, $BUSY, 'a thread works on the file yet'],
    [0, undef], '', [0, undef],
    [-1, 'the file is closed'], [-1, 'the file is closed'],
    [-1, "$mode 0"], [-1, "$mode 9"], [-1, "$mode 6"],
    [-1, 'await_file_write() does not know the flags 4'],
    [-1, 'the file is closed']], 'what is done wrong with a file is said';

{
    my $r = json($n->get('/lacks?root=root&path=half'));
    is_deeply [@$r{qw(put rc)}], [$TIMEOUT, $ERROR],
        'a file that lacks a piece, refused before it began, is not closed well';
    is $r->{error}, '"half": not all of it could be written', '... says why';
    ok !there($n, 'root/half'), '... and is not there';
}

{
    put($n, 'root/large', 'x' x 1_000_000);
    $n->get('/scopes?root=root&path=large&n=50', timeout => 60);
    my $memory = $n->memory_of_worker;
    is json($n->get('/scopes?root=root&path=large&n=500', timeout => 60))->{rc},
        0, 'files and memory of a scope';
    SKIP: {
        skip 'ASan keeps memory', 1 if NginxAsync::Env::asan();
        cmp_ok $n->memory_of_worker - $memory, '<', 20_000_000,
            '... go with it';
    }
    call($n, 'remove', 'large');
}

is_clean($n, $fds);
ok $n->stop, 'and no alert';

# ---- times, cancels, bounds: one thread, which is held, and a place for one
# that waits, so that what is asked for comes in order

{
    my $n = nginx(threads => 1, max_queue => 1);

    sub hold {
        my ($ms) = @_;
        my $since = $n->mark;
        my $c = $n->connect(timeout => 60)->send_request('GET', "/hold?ms=$ms",
            close => 1);
        $n->wait_for_log(qr/<held>/, 20, $since);
        return $c;
    }

    my $fds = fds($n);

    my $c = hold(1000);
    my $r = call($n, 'read', 'a', deadline => 50);
    is $r->{rc}, $TIMEOUT, 'a deadline while the thread is held';
    like $r->{error}, qr/^the 50 ms of ASYNC_DEADLINE at .* have passed$/,
        '... and its cause';
    is call($n, 'write', 'w', body => 'x', deadline => 50)->{rc}, $TIMEOUT,
        '... of what is to be written';
    is $c->response->status, 200, '... which goes on';
    is call($n, 'read', 'a')->{rc}, 0, '... and the next is served';
    ok !there($n, 'root/w'), '... but not what nobody waited for';

    $c = hold(1000);
    my $d = $n->connect->send_request('POST',
        '/run?op=write&root=root&path=w', body => 'x');
    $n->get('/hello');
    $r = call($n, 'read', 'a');
    is $r->{rc}, $BUSY, 'a full queue';
    like $r->{error}, qr/^the queue of the thread pool "default" is full$/,
        '... and its cause';
    is $r->{errno}, 0, '... which is none of the system';
    my $since = $n->mark;
    $d->reset;
    ok $n->wait_until(sub { call($n, 'read', 'a')->{rc} == 0 }, 20),
        'a client that leaves gives its place back';
    $c->response;
    ok !there($n, 'root/w'), '... and writes nothing';

    for my $flags ($WRITE, $WRITE | $ATOMIC) {
        $since = $n->mark;
        $d = $n->connect->send_request('POST',
            "/stream?root=root&path=s&flags=$flags&ms=60000", body => 'x');
        ok $n->wait_for_log(qr/<written>/, 20, $since), 'a file is open';
        $c = hold(700);
        $d->reset;
        is $c->response->status, 200, '... while its task is cancelled';
        ok $n->wait_until(sub { all($n, 'root') eq 'a b dir empty' }, 20),
            '... is removed';
    }

    # the thread is in the middle of it
    my $text = 'x' x 30_000_000;
    for my $flags (0, $ATOMIC) {
        my %rc;
        for my $ms (1, 5, 10, 20, 40, 60, 80, 100, 150, 300, 600) {
            $rc{call($n, 'write', 'w', body => $text, flags => $flags,
                deadline => $ms)->{rc}}++;
            call($n, 'stat', 'a');
            my $names = all($n, 'root');
            my $size = (-s $n->root . '/root/w') // 0;
            ok $names eq 'a b dir empty'
                || $names eq 'a b dir empty w' && $size == length $text,
                "given up after $ms ms, flags $flags: nothing, or all"
                or diag "$names $size";
            unlink $n->root . '/root/w';
        }
        ok +(!grep { $_ ne 0 && $_ ne $TIMEOUT } keys %rc),
            '... ' . join ', ', map { "$_: $rc{$_}" } sort keys %rc;
    }

    put($n, 'root/large', $text);
    call($n, 'read', 'large', deadline => $_) for 1, 2, 5, 10;
    is call($n, 'read', 'a')->{rc}, 0, 'reads that are given up';
    unlink $n->root . '/root/large';

    ok $n->wait_until(sub { open_files($n) == $fds }, 10),
        'nothing has been left open' or diag join "\n", $n->open_fds;
    ok $n->stop, 'and no alert';
}

for my $signal (qw(QUIT TERM)) {
    my $n = nginx(http => 'async_shutdown_timeout 300ms;');
    my $since = $n->mark;
    my $c = $n->connect->send_request('POST', '/stream?root=root&path=s&flags='
        . ($WRITE | $ATOMIC) . '&ms=60000', body => 'x');
    ok $n->wait_for_log(qr/<written>/, 20, $since), "$signal while one is open";
    like all($n, 'root'), qr/^\.async-[0-9a-f]{16} a b/, '... with another name';
    $n->signal($signal);
    ok gone($n), '... the worker goes';
    is all($n, 'root'), 'a b dir empty', '... and nothing is left';
    $n->stop;
}

done_testing;
