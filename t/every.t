#!/usr/bin/perl

# Periodic functions: ASYNC_PERIODIC and the directive async_every, by one
# worker and by all, over reloads and deaths; what overlaps, fails and ends.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use NginxAsync;
use NginxAsync::Say qw(gone);

# A server with these async_every directives, whose functions have these
# plans, see t/apps/every.c.
sub conf {
    my ($every, $plans, $http) = @_;

    my %params = (go => '$TEST_NGINX_SERVER_ROOT/html/go', %$plans);
    my $params = join '', map { "async_param $_ \"$params{$_}\";\n" }
        sort keys %params;

    return { server => 'location / { async_handler pid; }',
        http => "async_app \$TEST_NGINX_APPS/every.so;\n$params"
            . join('', map { "async_every $_;\n" } @$every) . ($http // '') };
}


sub nginx {
    my ($every, $plans, %o) = @_;

    return NginxAsync->new(conf => conf($every, $plans, delete $o{http}), %o)
        ->start;
}


# What functions have said: [pid, name, verb] each, in order.
sub said {
    my ($n, $name, $since) = @_;

    return grep { !$name || $_->[1] eq $name }
        map { /\] (\d+)#\d+: .*?<(\w+) ([^>]+)>/ ? [$1, $2, $3] : () }
        split /\n/, $n->log($since);
}


sub words { return join ', ', map { "$_->[1] $_->[2]" } said(@_) }


sub count {
    my ($n, $name, $verb, $since) = @_;

    return scalar grep { $_->[2] eq $verb } said($n, $name, $since);
}


# Waits for so many runs of a function.
sub runs {
    my ($n, $name, $count, $since) = @_;

    return $n->wait_until(sub { count($n, $name, 'ends', $since) >= $count }, 30);
}


sub pids {
    my ($n, $name, $since) = @_;

    my %pids = map { $_->[0] => 1 } said($n, $name, $since);

    my @pids = sort keys %pids;

    return @pids;
}


# Whether a run has begun before the one before it had ended: of a worker, or
# of all of them.  Those that were killed have ended, too.
sub overlaps {
    my ($n, $name, %o) = @_;

    my (%runs, @bad);
    my %killed = map { $_ => 1 } @{ $o{killed} || [] };

    for (said($n, $name)) {
        my ($pid, undef, $verb) = @$_;
        my $key = $o{each} ? $pid : 'all';

        if ($verb ne 'begins') {
            delete $runs{$key};
            next;
        }

        push @bad, "$pid begins while $runs{$key} runs"
            if $runs{$key} && !$killed{ $runs{$key} };
        $runs{$key} = $pid;
    }

    return \@bad;
}


sub alive { return NginxAsync::Server::alive($_[0]) }


# Lets through who waits at the gate.
sub go { my ($n) = @_; $n->write_file('html/go', ''); return }

sub pid_of { return $_[0]->body =~ /"pid":(\d+)/ ? $1 : undef }

# ---- runs

{
    my $n = nginx(['100ms tick'], { tick => 'sleep 10' });

    ok runs($n, 'tick', 4), 'a function is run again and again';
    is_deeply overlaps($n, 'tick'), [], '... one run after another';
    is((pids($n, 'tick'))[0], $n->worker, '... by the worker');
    is $n->get('/')->status, 200, '... which serves meanwhile';
    ok $n->stop, '... and goes at QUIT';
    is count($n, 'tick', 'begins'), count($n, 'tick', 'ends'),
        '... after the run that there is';
}

{
    my $n = nginx(['70ms tick', '110ms tick', '50ms tock'], {});

    ok runs($n, 'tick', 6), 'one function may have two times';
    ok runs($n, 'tock', 3), '... beside another one';
    $n->stop;
}

{
    my $n = nginx(['100ms tick jitter=99ms', '100ms tock jitter=50ms worker=all'],
        {}, workers => 2);

    ok runs($n, $_, 6), "with jitter runs come, too ($_)" for qw(tick tock);
    is_deeply overlaps($n, 'tick'), [], '... one after another';
    is scalar(pids($n, 'tick')), 1, '... by one worker';
    is scalar(pids($n, 'tock')), 2, '... or by all';
    $n->stop;
}

{
    my $n = nginx(['50ms tick'], {}, master => 'off');
    ok runs($n, 'tick', 3), 'without a master process';
    ok $n->finish('TERM'), '... too';
}

# ---- startup

{
    my $n = nginx(['50ms tick'], { start => 'sleep 600' });

    ok runs($n, 'tick', 2), 'runs';
    like words($n), qr/^start begins, start ends, tick begins/,
        '... wait for the startup of the app';
    $n->stop;
}

{
    my $n = nginx(['50ms tick', '50ms tock worker=all'], { start => 'fail 1' },
        workers => 2);

    ok runs($n, $_, 2), "a startup that fails ($_)" for qw(tick tock);
    for my $pid ($n->workers) {
        my $said = sub { join ', ', map { "$_->[1] $_->[2]" }
            grep { $_->[0] == $pid } said($n) };

        $n->wait_until(sub { $said->() =~ /, t/ });
        like $said->(),
            qr/^start begins, start gives up, start begins, start ends, t/,
            "... is waited for until it succeeds ($pid)";
    }
    $n->stop;
}

# ---- failures

{
    my $n = nginx(['50ms tick'], { tick => 'sleep 5 fail 2' });

    ok runs($n, 'tick', 2), 'a function that fails is run on';
    my @failed = $n->log =~ /\[error\] .*(async periodic "every:tick" failed: .*)/g;
    is @failed, 2, '... each failure is logged';
    like $failed[0], qr/failed: ASYNC_ERROR, after await_sleep at \S*every\.c:\d+$/,
        '... with its code and its last await';
    is count($n, 'tick', 'gives up'), 2, '... and those after them succeed';
    $n->stop;
}

# ---- overlap

{
    my $n = nginx(['100ms tick'], { tick => 'sleep 250' });

    ok runs($n, 'tick', 3), 'a function that takes longer than its time';
    my @left_out;
    ok $n->wait_until(sub {
        @left_out = $n->log =~ /\[info\] .*async periodic "every:tick" is left out since the run before has not ended, so far (\d+) times/g;
        return @left_out >= 3;
    }), '... what is due meanwhile is left out';
    is_deeply overlaps($n, 'tick'), [], '... does not run twice at once';
    is_deeply \@left_out, [1 .. @left_out], '... and counted';
    $n->stop;
}

{
    my $n = nginx(['100ms tick overlap=skip worker=all'], { tick => 'sleep 250' },
        workers => 2);

    ok $n->wait_until(sub { pids($n, 'tick') == 2 }), 'with worker=all';
    ok runs($n, 'tick', 6), '... it runs in both';
    is_deeply overlaps($n, 'tick', each => 1), [], '... once at a time in each';
    ok $n->wait_for_log(qr/ $_#\d+: .*"every:tick" is left out/),
        "... $_ leaves out" for $n->workers;
    $n->stop;
}

for my $worker (qw(one all)) {
    my $n = nginx(["100ms tick overlap=queue worker=$worker"],
        { tick => 'gate 1 sleep 150' });

    ok $n->wait_for_log(qr/\[info\] .*async periodic "every:tick" waits until the run before has ended/, 20),
        "with overlap=queue a run waits ($worker)";
    ok $n->wait_for_log(qr/\[info\] .*"every:tick" is left out since the run before has not ended, and one waits already, so far 1 times/, 20),
        '... those after it are left out';
    is words($n, 'tick'), 'tick begins', '... as long as the first one takes';
    go($n);
    ok runs($n, 'tick', 4), '... and then it runs';
    ok $n->wait_until(sub { (() = $n->log =~ /waits until the run/g) >= 2 }),
        '... after which another one may wait';
    is_deeply overlaps($n, 'tick'), [], '... one after another';
    $n->stop;
}

{
    my $n = nginx(['100ms tick'], { tick => 'stall 700' });

    ok $n->wait_for_log(qr/\[info\] .*async periodic "every:tick" was not run \d+ times while it was due, so far \d+ times/, 20),
        'what the loop has missed is told';
    ok runs($n, 'tick', 3), '... and not made up for';
    $n->stop;
}

# ---- one worker, all workers

{
    my $n = nginx(['50ms tick', '50ms tock worker=all'], { tick => 'sleep 20' },
        workers => 3);

    ok runs($n, 'tick', 10), 'of three workers';
    is scalar(pids($n, 'tick')), 1, '... one runs a function';
    is_deeply overlaps($n, 'tick'), [], '... never twice at once';
    ok $n->wait_until(sub { pids($n, 'tock') == 3 }), '... or all do';
    is_deeply overlaps($n, 'tock', each => 1), [], '... each for itself';

    # the owner is idle

    my ($owner) = pids($n, 'tick');
    my $since = $n->mark;
    ok $n->kill_worker('KILL', $owner), 'when that worker dies';
    ok runs($n, 'tick', 3, $since), '... another one goes on';
    is scalar(grep { $_ != $owner } pids($n, 'tick', $since)), 1,
        '... and only one';
    is_deeply overlaps($n, 'tick', killed => [$owner]), [],
        '... never twice at once';
    $n->stop;
}

{
    my $n = nginx(['200ms tick'], { tick => 'sleep 150' }, workers => 3);
    my @killed;

    for my $round (1 .. 3) {
        my $since = $n->mark;
        my $owner;
        $n->wait_until(sub {
            my $last = (said($n, 'tick', $since))[-1] or return 0;
            $owner = $last->[0];
            return $last->[2] eq 'begins';
        }, 20);

        push @killed, $owner;
        ok $n->kill_worker('KILL', $owner), "a worker dies amid a run ($round)";
        ok $n->wait_until(sub {
            grep { $_->[0] != $owner && $_->[2] eq 'ends' }
                said($n, 'tick', $since) }, 20), '... another one goes on';
        like_log $n, $since, qr/\[notice\] .*async periodic "every:tick" goes on here, since worker process $owner has ended/,
            '... and says so';
    }

    is_deeply overlaps($n, 'tick', killed => \@killed), [],
        '... never twice at once';
    $n->stop;
}

{
    my $n = nginx(['100ms tick overlap=queue'], { tick => 'gate 1' },
        workers => 2);

    my $owner = $n->wait_for_log(qr/ (\d+)#\d+: .*"every:tick" waits/, 20);
    my $since = $n->mark;
    go($n) if $n->kill_worker('KILL', $owner);
    ok runs($n, 'tick', 3, $since), 'what waited for one that died goes on';
    is_deeply overlaps($n, 'tick', killed => [$owner]), [],
        '... one after another';
    $n->stop;
}

# ---- reloads

{
    my $n = nginx(['100ms tick', '100ms tock worker=all'], { tick => 'sleep 70' },
        workers => 3);
    my @errors;

    for (1 .. 5) {
        my $since = $n->mark;
        push @errors, grep { defined } $n->reload;
        $n->wait_until(sub { said($n, 'tick', $since) }, 20);
    }

    is_deeply \@errors, [], 'five reloads';
    my $since = $n->mark;
    ok runs($n, 'tick', 3, $since), '... it runs on';
    cmp_ok scalar(pids($n, 'tick')), '>', 1, '... in several workers';
    is_deeply overlaps($n, 'tick'), [], '... never twice at once';
    is_deeply overlaps($n, 'tock', each => 1), [], '... with worker=all in each';
    $n->wait_until(sub { !$n->leaving_workers });
    $since = $n->mark;
    ok runs($n, 'tick', 3, $since), '... and when the old ones have gone';
    is scalar(pids($n, 'tick', $since)), 1, '... in one';
    $n->stop;
}

for my $overlap (qw(skip queue)) {
    my $n = nginx(["100ms tick overlap=$overlap"], { tick => 'gate 1' },
        workers => 2);

    ok $n->wait_until(sub { said($n, 'tick') }), 'a run';
    my ($old) = pids($n, 'tick');

    is $n->reload, undef, "... and a reload amid it (overlap=$overlap)";
    ok $n->wait_for_log(qr/ $old#\d+: .*"every:tick" (?:is left out|waits)/, 20),
        '... it runs on in the old worker, which looks after the others';
    is words($n, 'tick'), 'tick begins', '... no new one runs it';
    go($n);
    ok $n->wait_until(sub { pids($n, 'tick') == 2 }), '... a new one goes on';
    is_deeply [map { $_->[0] == $old ? "old $_->[2]" : "new $_->[2]" }
        (said($n, 'tick'))[0 .. 2]], ['old begins', 'old ends', 'new begins'],
        '... after it';
    unlike $n->log, qr/goes on here/, '... since that has let it go';
    $n->stop;
}

{
    my $n = nginx(['100ms tick', '100ms tock worker=all'], {});
    my $c = $n->connect->send_request('GET', '/?wait');

    ok runs($n, $_, 1), "an old worker that has $_ once" for qw(tick tock);
    my $old = $n->worker;
    is $n->reload, undef, '... and a request';
    my $since = $n->mark;
    ok runs($n, $_, 2, $since), "... leaves $_ to the new one" for qw(tick tock);
    is_deeply [pids($n, $_, $since)], [$n->worker], "... at once ($_)"
        for qw(tick tock);
    ok alive($old), '... while it serves';
    go($n);
    is pid_of($c->response), $old, '... until it has';
    $n->stop;
}

for my $worker (qw(one all)) {
    my $n = nginx(["1s tick worker=$worker"], {});
    my $reloads = 0;

    while (count($n, 'tick', 'ends') < 2 && $reloads < 60) {
        $reloads++;
        $n->reload;
    }

    cmp_ok count($n, 'tick', 'ends'), '>=', 2,
        "reload after reload starves nothing ($worker)";
    $n->stop;
}

{
    my $n = nginx(['100ms tick'], { tick => 'gate 1' });

    ok $n->wait_until(sub { said($n, 'tick') }), 'a run';
    my $old = $n->worker;
    is $n->reload(conf => conf(['70ms tick', '60ms tock'], {})), undef,
        '... and a reload to another time of it';
    ok runs($n, 'tock', 1), '... another function need not wait';
    is count($n, 'tick', 'begins'), 1, '... this one does';
    go($n);
    ok $n->wait_until(sub { pids($n, 'tick') == 2 }), '... and goes on';
    is_deeply overlaps($n, 'tick'), [], '... after the old run';

    is $n->reload(conf => conf(['60ms tock'], {})), undef, 'a reload without it';
    $n->wait_until(sub { !$n->leaving_workers }, 20);
    my $since = $n->mark;
    ok runs($n, 'tock', 3, $since), '... runs the other one';
    is count($n, 'tick', 'begins', $since), 0, '... and it no more';
    $n->stop;
}

# ---- the end

{
    my $n = nginx(['100ms tick'], { tick => 'gate 9 sleep 50 defer 50', stop => '' });

    ok $n->wait_until(sub { said($n, 'tick') }), 'a run at QUIT';
    $n->signal('QUIT');
    $n->wait_for_log(qr/gracefully shutting down/);
    go($n);
    ok gone($n), '... the worker goes';
    is words($n), 'start begins, start ends, tick begins, tick ends, '
        . 'cleanup done, stop begins, stop ends',
        '... after the run and its cleanups, then comes the shutdown';
    $n->stop;
}

{
    my $n = nginx(['30ms tick', '30ms tock worker=all overlap=queue'], {});
    my $c = $n->connect->send_request('GET', '/?wait');

    ok runs($n, $_, 1), "a worker that has $_" for qw(tick tock);
    $n->signal('QUIT');
    ok $n->wait_until(sub { $n->leaving_workers }), '... and waits for a request';
    my $since = $n->mark;
    sleep 1;
    go($n);
    is $c->response->status, 200, '... after QUIT';
    is count($n, $_, 'begins', $since), 0, "... begins no run ($_)"
        for qw(tick tock);
    $n->stop;
}

{
    my $n = nginx(['50ms tick'], { tick => 'hang 1' });

    ok $n->wait_until(sub { said($n, 'tick') }), 'a run that does not end';
    ok $n->term, '... is cancelled at TERM';
    like words($n), qr/tick gives up, stop begins/, '... and ends';
    like_log $n, 0, qr/\[info\] .*async periodic "every:tick" failed: ASYNC_CANCELLED: the worker is shutting down, after await_sleep at \S*every\.c:\d+/,
        '... without an error';
}

{
    my $n = nginx(['50ms tick'], { tick => 'hang 1' },
        http => 'async_shutdown_timeout 300ms;');

    ok $n->wait_until(sub { said($n, 'tick') }), 'a run that does not end';
    $n->signal('QUIT');
    ok gone($n), '... does not hold up a graceful exit';
    like_log $n, 0, qr/\[error\] .*async periodic "every:tick" failed: ASYNC_CANCELLED: the worker is shutting down, after await_sleep/,
        '... it is cancelled by async_shutdown_timeout';
    $n->stop;
}

{
    my $n = nginx(['1h tick', '365d tock worker=all'], {}, workers => 2);

    is $n->get('/')->status, 200, 'runs that are due later';
    ok $n->stop, '... do not hold up an exit';
    is count($n, $_, 'begins'), 0, "... and do not begin ($_)" for qw(tick tock);
}

# ---- mistakes

my $checked = NginxAsync->new(allow => '[emerg]');

my $load = 'async_app $TEST_NGINX_APPS/every.so;';

sub refused {
    my ($title, $pattern, $http, $no_app) = @_;

    my ($status, $out) = $checked->conf_test({ server => '',
        http => ($no_app ? '' : "$load\n") . $http });
    my ($line) = map { $$_[0] } grep { $$_[1] =~ /# here/ }
        do { my $i = 0; map { [++$i, $_] }
            split /\n/, $checked->read_file('conf/test.conf') };

    subtest $title => sub {
        is $status, 1, 'is refused';
        like $out, $pattern, 'says why';
        like $out, qr{\[emerg\] .* in \S+/conf/test\.conf:$line$}m, 'and where';
        is scalar(() = $out =~ /\[emerg\]/g), 1, 'once';
    };
}

refused "the time $_", qr/"\Q$_\E" is no time from 1ms to 365d/,
    "async_every $_ tick;  # here"
    for qw(0 0s x -1s 366d 1.5s 99999999999999999999 $t);

refused 'a misspelt function', qr/no app has a periodic function "tikc", did you mean "tick"\?/,
    'async_every 1s tikc;  # here';
refused 'a misspelt function of an app', qr/no app has a periodic function "every:tok", did you mean "every:tock"\?/,
    'async_every 1s every:tok;  # here';
refused 'a function without any app', qr/there is no "async_app"/,
    'async_every 1s tick;  # here', 1;
refused 'a handler', qr/"async_every" takes a periodic function, but "every:pid" is a handler/,
    'async_every 1s pid;  # here';
refused 'a startup', qr/"async_every" takes a periodic function, but "every:start" is a startup/,
    'async_every 1s start;  # here';
refused 'one as a handler', qr/"async_handler" takes a handler, but "every:tick" is a periodic function/,
    "server { location / {\nasync_handler tick;  # here\n} }";

refused 'a misspelt option', qr/invalid parameter "wroker=one", did you mean "worker="\?/,
    'async_every 1s tick wroker=one;  # here';
refused 'an option without a value', qr/invalid parameter "overlap", did you mean "overlap="\?/,
    'async_every 1s tick overlap;  # here';
refused 'an unknown option', qr/invalid parameter "all", it takes "worker=", "overlap=" and "jitter="/,
    'async_every 1s tick all;  # here';
refused 'a misspelt worker', qr/invalid value in "worker=al", did you mean "all"\?/,
    'async_every 1s tick worker=al;  # here';
refused 'an unknown worker', qr/invalid value in "worker=", it is "one" or "all"/,
    'async_every 1s tick worker=;  # here';
refused 'a misspelt overlap', qr/invalid value in "overlap=queu", did you mean "queue"\?/,
    'async_every 1s tick overlap=queu;  # here';
refused 'an unknown overlap', qr/invalid value in "overlap=wait", it is "skip" or "queue"/,
    'async_every 1s tick overlap=wait;  # here';
refused 'a jitter that is no time', qr/invalid time in "jitter=x"/,
    'async_every 1s tick jitter=x;  # here';
refused 'too much jitter', qr/the jitter must be less than "1s"/,
    'async_every 1s tick jitter=1s;  # here';
refused 'an option twice', qr/"worker=" is there twice/,
    'async_every 1s tick worker=one worker=all;  # here';
refused 'too many options', qr/invalid number of arguments/,
    'async_every 1s tick worker=one overlap=skip jitter=1ms x;  # here';
refused 'a function twice at the same time', qr/"every:tick" is run every 1000 ms already, by \S+:\d+, in/,
    "async_every 1s tick;\nasync_every 1000ms every:tick worker=all;  # here";
refused 'in a server', qr/directive is not allowed here/,
    "server {\nasync_every 1s tick;  # here\n}";

my ($status, $out) = $checked->conf_test({ server => '', http => "$load\n"
    . "async_every 1s tick jitter=0 overlap=queue worker=all;\n"
    . "async_every 365d every:tick overlap=skip;\nasync_every 1ms tock;" });
is $status, 0, 'what is right' or diag $out;

done_testing;
