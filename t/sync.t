#!/usr/bin/perl

# Mutex, semaphore, event and queue: who waits in which order, what whoever
# leaves the line takes with him (nothing), and what is refused.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use NginxAsync;
use NginxAsync::Say qw(gone);

my @handlers = qw(in_turn same_turn too_late mutex_again mutex_other mutex_left
    mutex_left_two mutex_left_middle mutex_scope mutex_cleanup semaphore_limit
    semaphore_release semaphore_crowd semaphore_other event_before event_pulse
    queue_bound queue_try queue_zero queue_huge queue_market queue_close
    queue_close_given hold go wait_for waiting trace state);

my $routes = join '', map { <<"EOF_CONF" } @handlers;
    location = /$_       { async_handler sync:$_; }
    location = /short/$_ { async_handler sync:$_; async_timeout 1s; }
EOF_CONF

sub nginx {
    my ($http, %o) = @_;

    $http //= '';

    return NginxAsync->new(%o, conf => { server => $routes, http => <<"EOF_CONF" })
        async_app \$TEST_NGINX_APPS/sync.so;
        $http
EOF_CONF
        ->start;
}


sub line_of { return NginxAsync::Say::line_of('sync', @_) }

my $n = nginx();

sub plays {
    my ($uri, $expected, $title) = @_;

    my $r = $n->get($uri);

    return is $r->body, $expected, $title;
}

# ---- what is the same for all

my %name = (mutex => 'a mutex', semaphore => 'a semaphore', event => 'an event',
    get => 'an item of a queue', put => 'a place in a queue');

my @all = sort keys %name;

# Those who have waited, in order; what is left in the end.
sub had {
    my ($on, @ids) = @_;

    my $item = 0;
    my @left = $on eq 'put' ? ((998, 999, @ids)[@ids .. @ids + 1], 'free') : ('free');

    return (($on eq 'get' ? map { "$_:got" . $item++ } @ids : @ids), @left);
}

for my $on (@all) {
    plays("/in_turn?on=$on", join(' ', 'go', had($on, 0 .. 9)),
        "$name{$on}: ten that wait have it in turn");

    for my $i (0, 4, 9) {
        my @others = grep { $_ != $i } 0 .. 9;

        # that it was cancelled is told when it runs next, among the others
        my $body = $n->get("/in_turn?on=$on&cancel=$i")->body;
        ok $body =~ s/ $i:cancelled//, "$name{$on}: number $i is cancelled";
        is $body, join(' ', 'go', had($on, @others)),
            '... and leaves the line with nothing';

        plays("/in_turn?on=$on&late=$i",
            join(' ', "$i:timeout", 'go', had($on, @others)),
            '... the same for a deadline');
    }

    my @second = $on eq 'get' ? ('1:ok', 'item0') : '1:ok';
    my @left   = $on eq 'put' ? ('999', '1') : ();

    plays("/same_turn?on=$on&first=cancel",
        join(' ', '0:cancelled', @second, 'next:ok', @left, 'free'),
        "$name{$on}: cancelled and then given in one turn: the next one has it");

    my @first = $on eq 'get' ? ('0:ok', 'item0') : '0:ok';
    my $body  = $n->get("/same_turn?on=$on&first=give")->body;

    like $body, qr/0:ok (?:item0 )?(?:1:ok )?next:cancelled/,
        '... given and then cancelled: it has it, and the next await tells';
    like $body, qr/1:ok (?:item0 )?(?:next:cancelled )?next:ok/,
        '... the one after it has it next';
    like $body, ($on eq 'put' ? qr/ 0 1 free$/ : qr/ free$/),
        '... and nothing is lost';

    my %untouched = (event => 'taken');
    plays("/too_late?on=$on", 'timeout ' . ($untouched{$on} // 'free'),
        "$name{$on}: not for those whose deadline has passed");
}

# ---- mutex

{
    my $file = qr/\S*mutex\.c:\d+/;

    like $n->get('/mutex_again')->body, qr/^ok busy \(the task has locked this mutex already, at $file\) busy ok error \(the task has not locked this mutex\) ok busy ok$/,
        'a mutex: ASYNC_BUSY for who has it, ASYNC_ERROR for who has it not';

    like $n->get('/mutex_other')->body, qr/^try:busy unlock:error \(the task has not locked this mutex\) ok$/,
        '... for another task, too';

    plays('/mutex_scope', 'held:ok closed free held:ok late ok free again:busy free '
        . 'in line:cancelled busy inside:cancelled free',
        'ASYNC_LOCK unlocks on every way out');

    plays('/mutex_cleanup', 'unlock cleanup:ok ok cancelled free',
        'a mutex in a cleanup of a cancelled task');

    my $line  = line_of('where one forgets');
    my $since = $n->mark;
    plays('/mutex_left?how=end', 'locked 0 ended free',
        'a mutex that is held when its task ends goes to the next one');
    like_log $n, $since, qr/\[error\] .*async "sync:mutex_left" has returned without async_unlock\(\) of a mutex that it had locked at \S*$line,/,
        '... and the log names the place';

    $since = $n->mark;
    plays('/mutex_left?how=cancel', '0 ended free', '... of a cancelled task, too');
    like_log $n, $since, qr/of a mutex that it had locked at async_try_lock\(\)/,
        '... here it was async_try_lock()';

    $since = $n->mark;
    plays('/mutex_left?how=handed', 'locked cancelled free',
        '... of one that was cancelled when it was given it');
    like_log $n, $since, qr/of a mutex that it had locked at \S*$line,/,
        '... with the place where it waited';

    $since = $n->mark;
    plays('/mutex_left_two', 'free free', '... two of them');
    like_log $n, $since, qr/${\ line_of('the second of two')},.*\n.*${\ line_of('the first of two')},/,
        '... the last one first';

    $since = $n->mark;
    plays('/mutex_left_middle', 'free free free', '... one between two others');
    like_log $n, $since, qr/had locked/, '... is told';
    is_deeply [$n->log($since) =~ /had locked at \S*?(\w+\.c:\d+),/g],
        [line_of('the middle one of three')], '... and only that one';
}

# ---- semaphore

plays('/semaphore_crowd?on=semaphore', '20 done, 3 at most',
    'a semaphore of three lets three in');
plays('/semaphore_other?on=semaphore', 'ok free', '... any task may release it');

for my $limit (0, -1, '-9223372036854775808') {
    plays("/semaphore_limit?limit=$limit",
        "error (the limit of the semaphore is $limit) busy error",
        "a semaphore of $limit: ASYNC_ERROR");
}

plays('/semaphore_release', 'error (nobody has acquired the semaphore) ok busy '
    . '(the semaphore is taken 1 times, of 1) ok error',
    'a release without an acquire: ASYNC_ERROR');

# ---- event

plays('/event_before', '0 1 ok ok 0 timeout', 'an event is set until it is cleared');
plays('/event_pulse', '0 1 2 3:timeout taken',
    '... set and cleared at once: it wakes those that wait');

# ---- queue

plays('/queue_bound', 'put0 put1 count2 got0 put2 got1 put3 got2 put4 got3 got4 count0',
    'a queue of two: the third put waits');
plays('/queue_try', 'busy (the queue is empty) nothing ok ok busy (the queue is '
    . 'full, with 2 items) count2 ok first ok nothing busy',
    '... async_try_put(), async_try_get() do not; NULL is an item');

for my $limit (1, 3, 1000) {
    plays("/queue_market?limit=$limit&getters=$_",
        '100 taken, 100 once, 0 out of order',
        "five put, $_ get, at most $limit") for 1, 5;
}

plays('/queue_zero', 'error (the limit of the queue is 0) error count0',
    'a queue of none takes nothing');
plays('/queue_zero?get=1', 'error (the limit of the queue is 0) error count0 '
    . 'error 0:error put:error error', '... nor gives, nor lets anybody wait');
like $n->get('/queue_huge')->body, qr/^error \(the limit of the queue is 4611686018427387903\) count0$/,
    '... nor one beyond all memory';

plays('/queue_close?on=get', '0:closed 1:closed 2:closed closed closed closed '
    . '(the queue is closed) count0 put:closed try:closed get:closed try:closed '
    . 'get:closed nothing try:closed',
    'a queue is closed: those that would get have ASYNC_CLOSED');
plays('/queue_close?on=put', '0:closed 1:closed 2:closed closed closed closed '
    . '(the queue is closed) count2 put:closed try:closed get:ok try:ok '
    . 'get:closed nothing try:closed',
    '... those that would put, too; what is in it can be taken out');
plays('/queue_close_given', '0:got5 1:closed ok closed',
    '... one that was given something has it');

# ---- clients that go, deadlines of requests

sub waiting {
    my ($n, $count) = @_;

    return $n->wait_until(sub { $n->get('/waiting')->body eq $count });
}


sub traced {
    my ($n, $pattern) = @_;

    return $n->wait_until(sub { $n->get('/trace')->body =~ $pattern });
}


# One that has it, and some that wait, each with a client of its own.
sub stand {
    my ($n, $on, $holds, @waits) = @_;

    my @c = $n->connect(timeout => 30)->send_request('GET', "$holds");
    traced($n, qr/held/);

    for my $i (0 .. $#waits) {
        push @c, $n->connect(timeout => 30)->send_request('GET', $waits[$i]);
        waiting($n, $i + 1);
    }

    return @c;
}


# as they say it, with what they get
sub said {
    my ($on, @ids) = @_;

    my $item = 0;
    return $on eq 'get' ? map { "$_:got" . $item++ } @ids : @ids;
}

my %of = map { $_ => { free => $_ eq 'put' ? qr/ \d+ \d+ free$/ : qr/ free$/ } } @all;

for my $on (@all) {
    my @c = stand($n, $on, "/hold?on=$on", map { "/wait_for?id=$_" } 1 .. 4);

    $c[2]->reset;
    ok traced($n, qr/held 2:cancelled$/), "$name{$on}: a client goes while it waits";

    $n->get('/go?n=3');
    is $c[$_]->response->status, 200, "... number $_ has it" for 1, 3, 4;
    like $n->get('/state')->body, qr/^held 2:cancelled go @{[said($on, 1, 3, 4)]}$of{$on}{free}/,
        '... in turn, and nothing is lost';
    $_->close for @c;
}

for my $on (@all) {
    my @c = stand($n, $on, "/hold?on=$on", '/wait_for?id=1', '/short/wait_for?id=2',
        '/wait_for?id=3');

    is $c[2]->response->status, 504, "$name{$on}: async_timeout passes";
    $n->get('/go?n=2');
    is $c[$_]->response->status, 200, "... number $_ has it" for 1, 3;
    like $n->get('/state')->body, qr/^held 2:timeout go @{[said($on, 1, 3)]}$of{$on}{free}/,
        '... in turn, and nothing is lost';
    $_->close for @c;
}

{
    my $since = $n->mark;
    my @c = stand($n, 'mutex', '/hold', map { "/wait_for?id=$_" } 1, 2);

    $c[0]->reset;
    is $c[$_]->response->status, 200, 'the client of a holder goes: the next one has it'
        for 1, 2;
    like $n->get('/state')->body, qr/^held 1 2 free$/, '... in turn';
    like_log $n, $since, qr/async "sync:hold" has returned without async_unlock/,
        '... and the log tells of it';
    $_->close for @c;
}

ok $n->stop, 'nothing is left';

# ---- the end of a worker

for my $on (@all) {
    my $n = nginx('async_shutdown_timeout 300ms;');
    my @c = stand($n, $on, "/hold?on=$on", map { "/wait_for?id=$_" } 1 .. 3);

    $n->signal('QUIT');
    is $c[$_]->response->status, 503, "$name{$on}: QUIT while number $_ waits"
        for 1 .. 3;
    ok gone($n), '... and the worker goes';
    ok $n->stop, '... with nothing left';
}

for my $on (@all) {
    my $n = nginx();
    my @c = stand($n, $on, "/hold?on=$on&ms=1500&n=3", map { "/wait_for?id=$_" } 1 .. 3);

    is $n->reload, undef, "$name{$on}: a reload while they wait";
    is $c[$_]->response->status, 200, "... lets number $_ have it" for 1 .. 3;
    ok $n->stop, '... and the old worker go';
}

{
    my $n = nginx();
    my @c = stand($n, 'get', '/hold?on=get', map { "/wait_for?id=$_" } 1 .. 3);
    ok $n->term, 'TERM while they wait';
}

done_testing;
