#!/usr/bin/perl

# Random trees of tasks, with a model of what may happen to them: see
# t/apps/fuzz/tree.c.  TEST_NGINX_SEED repeats a run, TEST_NGINX_TREES says how
# many.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use File::Temp qw(tempdir);
use JSON::PP;
use Test::More;

use NginxAsync;

my $seed  = $ENV{TEST_NGINX_SEED} // 1;
my $asan  = $ENV{TEST_NGINX_ASAN};
my $trees = $ENV{TEST_NGINX_TREES} // ($ENV{TEST_NGINX_LONG} ? 200_000
    : $asan ? 8_000 : 40_000);

# how long one of them may take
my $BOUND = $ENV{TEST_NGINX_LONG} ? 600 : 60;

# requests of a round, and those of them at a time
my ($REQUESTS, $AT_ONCE) = (16, 4);

# where synchronizing a file costs nothing, if there is such a place
my $files = tempdir('nginx-async-fuzz.XXXXXX', CLEANUP => 1,
    DIR => -w '/dev/shm' ? '/dev/shm' : $ENV{TMPDIR} // '/tmp');
chmod 0777, $files;

# what malloc() keeps for each thread it counts as allocated
my $n = NginxAsync->new(log_level => 'error', connections => 512,
    env => { GLIBC_TUNABLES => 'glibc.malloc.tcache_count=0' }, conf => {
    main => <<'EOF_MAIN', http => <<"EOF_CONF", server => <<'EOF_CONF2' })->start;
        thread_pool default threads=4 max_queue=65536;
        thread_pool few threads=1 max_queue=4;
EOF_MAIN
        async_app \$TEST_NGINX_APPS/fuzz.so;
        async_max_tasks 20000;
        async_timeout 1h;
        async_cleanup_timeout 1m;
        async_param files $files;
EOF_CONF
        location = /run   { async_handler fuzz:run; }
        location = /short { async_handler fuzz:run; async_timeout 300ms; }
        location = /fence { async_handler fuzz:fence; }
        location = /state { async_handler fuzz:state; }
EOF_CONF2

sub state {
    my $state = decode_json($n->get('/state', timeout => 60)->body);

    return $state;
}


sub uri {
    my ($where, $number, $count, $more) = @_;

    return "/$where?seed=" . ($seed * 1000 + $number) . "&trees=$count" . ($more // '');
}


# Judges what threads have done, once all of them are at rest.
sub fence {
    return $n->get('/fence', timeout => 60)->status;
}


# All trees of a round; the seeds of a round are its own.
sub play {
    my ($round, $count) = @_;

    my $each = int($count / $REQUESTS) || 1;
    my @uris = map { uri('run', $round * 100 + $_, $each) } 1 .. $REQUESTS;
    my $ok   = 0;

    while (my @now = splice @uris, 0, $AT_ONCE) {
        my @c = map { $n->connect(timeout => $BOUND)->send_request('GET', $_, close => 1) } @now;
        $ok += $_->response->status == 200 for @c;
        fence();
    }

    return $ok;
}


# Clients that go amid their trees, and requests whose time is over.
sub disturb {
    my ($round) = @_;

    my @gone  = map { $n->connect(timeout => $BOUND)->send_request('GET',
        uri('run', $round * 100 + 50 + $_, 1_000_000, '&width=20')) } 1 .. 8;
    my @short = map { $n->connect(timeout => $BOUND)->send_request('GET',
        uri('short', $round * 100 + 60 + $_, 1_000_000, '&width=20&timeout=300')) } 1 .. 4;

    for my $i (0 .. $#gone) {
        # by what the others have done, rather than by time
        my $done = main::state()->{trees};
        $n->wait_until(sub { main::state()->{trees} > $done + 20 }, 60);
        $i % 2 ? $gone[$i]->reset : $gone[$i]->close;
    }

    my $ended = 0;
    $ended += $_->response->status == 504 for @short;

    return $ended;
}


sub is_right {
    my ($title) = @_;

    my $idle = $n->wait_until(sub {
        my $s = main::state();
        return !$s->{alive} && !$s->{trees_alive};
    }, 60);

    ok $idle, "$title: nothing is alive";

    is fence(), 204, '... and no thread works';
    is_deeply [map { s{.*/}{}r } glob "$files/{.async-,}*"], [],
        '... and no file is left';

    my $s = main::state();

    is $s->{violations}, 0, '... and all went as it may'
        or diag join "\n", "TEST_NGINX_SEED=$seed",
            map { "$_->{count} times, first: $_->{first}" } @{ $s->{wrong} };

    return $s;
}

my $worker = $n->worker;

is play(1, $trees / 2), $REQUESTS, 'random trees of tasks';
my $s = is_right('when they have ended');

cmp_ok $s->{awaits}{$_}, '>', 0, "... some awaits were $_"
    for qw(ok timeout cancelled closed);
cmp_ok $s->{cleanups}, '>', 0, '... cleanups ran';
cmp_ok $s->{items_left}, '>', 0, '... queues had something left';
cmp_ok $s->{joins_refused}, '>', 0, '... joins ended before the child';
cmp_ok $s->{"threads_$_"}, '>', 0, "... threads were $_"
    for qw(returned skipped told);
cmp_ok $s->{files_refused}, '>', 0, '... and calls on files were refused';

is disturb(1), 4, 'clients that go amid them, and requests with async_timeout';
$s = is_right('when those have gone');

my $before = $n->memory_of_worker;
my $in_use = $s->{bytes_in_use};

is play(2, $trees / 2), $REQUESTS, 'as many again';
is disturb(2), 4, '... with clients that go, and async_timeout';
$s = is_right('when these have ended');

SKIP: {
    skip 'malloc() does not tell', 1 if !$in_use;

    cmp_ok $s->{bytes_in_use}, '<', $in_use + 2**13, '... as much is allocated'
        or diag "before $in_use, after $s->{bytes_in_use}";
    note "allocated $in_use, then $s->{bytes_in_use}";
}

SKIP: {
    skip 'AddressSanitizer keeps what is freed', 1 if $asan;

    # with the stacks, and with what malloc() has not given back
    my $after = $n->memory_of_worker;
    cmp_ok $after, '<', $before + 8 * 2**20, '... in the same memory'
        or diag "before $before, after $after";
    note "memory $before, then $after";
}

is $n->worker, $worker, 'it is the same worker';

$s = main::state();
note join ', ', map { "$_ $s->{$_}" } qw(trees tasks cleanups items_left
    joins_refused threads_returned threads_skipped threads_told files_refused
    bytes_in_use);
note join ', ', map { "$_ $s->{awaits}{$_}" } sort keys %{ $s->{awaits} };

ok $n->stop, 'and nothing is left of them';

done_testing;
