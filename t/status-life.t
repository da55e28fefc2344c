#!/usr/bin/perl

# async_status over several workers: those that are held, die, or finish after a
# reload; many that ask at once; figures that survive; configurations.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use POSIX ();
use Test::More;
use Time::HiRes ();

use NginxAsync;
use NginxAsync::Say qw(json says);
use NginxAsync::Status qw(status status_when begin names tasks go);

sub nginx { return NginxAsync::Status::nginx(@_) }

# The pid of the worker that answers, by connections until it is that one; with
# a connection to it, which stays with its worker.
sub connection_to {
    my ($n, $pid) = @_;

    for (1 .. 500) {
        my $c = $n->connect;
        return $c if $c->request('GET', '/pid')->body == $pid;
        $c->close;
    }

    die "no connection comes to $pid\n";
}


sub by_pid { return { map { $_->{pid} => $_ } @{ $_[0]{workers} } } }

subtest 'two workers' => sub {
    my $n    = nginx(workers => 2);
    my @pids = sort { $a <=> $b } $n->workers(2);
    my @c    = map { connection_to($n, $_) } @pids;

    $_->send_request('GET', '/nap') for @c;

    my $s = status_when($n, 'handler=nap', sub { $_->{tasks}{total} == 2 });

    is_deeply [sort { $a <=> $b } map { $_->{pid} } @{ $s->{workers} }], \@pids, 'both are there';
    is_deeply [sort { $a <=> $b } map { $_->{worker} } tasks($s)], \@pids,
        'with a task each';
    is_deeply [map { $_->{state} } @{ $s->{workers} }], ['running', 'running'], 'which run';
    is_deeply [sort map { $_->{slot} } @{ $s->{workers} }], [0, 1], 'their slots';

    my $one = status($n, "handler=nap&worker=$pids[0]");

    is $one->{tasks}{total}, 1, 'the tasks of one';
    is scalar @{ $one->{workers} }, 2, 'the other one is told of all the same';
    is $s->{handler}{'status:nap'}{started}, 2, 'figures are sums';

    # the loop of one is held

    my $held  = connection_to($n, $pids[0]);
    my $since = $n->mark;

    $held->send_request('GET', '/burn?tag=burn');
    ok says($n, "burns in $pids[0]", $since), 'a handler holds the loop of its worker';

    my $w;

    $n->wait_until(sub {
        $s = json(connection_to($n, $pids[1])->request('GET', '/status?handler=nap'));
        $w = by_pid($s)->{ $pids[0] };
        return $w->{state} eq 'blocked';
    });

    is $w->{state}, 'blocked', 'which is seen';
    is $w->{running}{handler}, 'status:burn', 'with the handler';
    cmp_ok $w->{running}{for}, '>=', 1, 'and for how long';
    cmp_ok $w->{beat_age}, '>=', 1, 'by its last sign of life';
    is by_pid($s)->{ $pids[1] }{state}, 'running', 'the other one runs';
    is_deeply [map { $_->{worker} } tasks($s)], [$pids[1]], 'and tells of its task';

    go($n, 'burn');
    is $held->response->body, 'done', 'it goes on';

    $s = json(connection_to($n, $pids[1])->request('GET', '/status'));

    my ($slow) = grep { $_->{handler} eq 'status:burn' } @{ $s->{slow} };

    is by_pid($s)->{ $pids[0] }{state}, 'running', 'and answers again';
    is_deeply [sort keys %$slow], [qw(ago at await handler held worker)], 'a slow stretch';
    is $slow->{worker}, $pids[0], 'by whom';
    is $slow->{await}, 'await_sleep', 'after which await';
    like $slow->{at}, qr{status\.c:\d+$}, 'where';
    cmp_ok $slow->{held}, '>=', 1, 'for how long';
    cmp_ok $slow->{ago}, '>=', 0, 'when';
    cmp_ok $s->{handler}{'status:burn'}{slow}, '>=', 1, 'it is counted';
    cmp_ok $s->{handler}{'status:burn'}{slow_max}, '>=', 1, 'with the longest';

    # the timer of the next beat may not have come yet

    $s = status_when($n, '', sub { $_->{loop}{lag_max} >= 0.5 });
    cmp_ok $s->{loop}{lag_max}, '>=', 0.5, 'the loop was late';
    cmp_ok $s->{loop}{lag}{count}, '>=', 10, 'for as many beats as it has missed';

    # stopped, for too short a time that it would be taken for held: it is silent

    my $asker = connection_to($n, $pids[1]);

    kill 'STOP', $pids[0];
    $s = json($asker->request('GET', '/status?handler=nap'));
    like by_pid($s)->{ $pids[0] }{state}, qr/^(?:silent|blocked)$/, 'one that is stopped';
    kill 'CONT', $pids[0];

    $_->close for @c, $held, $asker;
    $n->stop;
};


subtest 'a worker dies' => sub {
    my $n    = nginx(workers => 2);
    my @pids = $n->workers(2);
    my @c    = map { connection_to($n, $pids[0]) } 1 .. 3;

    $c[0]->request('GET', '/hello');
    $_->send_request('GET', '/nap') for @c;
    status_when($n, 'handler=nap', sub { $_->{tasks}{total} == 3 });

    my $before = status($n, 'handler=nap');

    is $before->{handler}{'status:nap'}{alive}, 3, 'three tasks';

    # while it is asked: it is stopped, so that who asks waits for it

    my $asker = connection_to($n, $pids[1]);
    kill 'STOP', $pids[0];
    $asker->send_request('GET', '/status?handler=nap');
    Time::HiRes::sleep(0.1);    # most times it asks by now, and else finds one less
    ok $n->kill_worker('KILL', $pids[0]), 'one is killed while it is asked';

    my $s = json($asker->response);
    is $s->{tasks}{total}, 0, 'who asks has an answer';

    $s = status_when($n, '', sub { @{ $_->{workers} } == 2 });
    ok !by_pid($s)->{ $pids[0] }, 'it is told of no more';
    is $s->{handler}{'status:nap'}{alive}, 0, 'its gauges have gone';
    is $s->{handler}{'status:nap'}{started}, 3, 'its counters have not';
    is $s->{handler}{'status:hello'}{finished},
        $before->{handler}{'status:hello'}{finished}, 'as they were';

    $_->close for @c, $asker;
    $n->stop;
};


subtest 'reloads' => sub {
    my $n   = nginx(workers => 1);
    my $old = $n->worker;
    my ($c) = begin($n, '/gated?tag=long');

    status_when($n, 'handler=gated', sub { $_->{tasks}{total} == 1 });
    is $n->reload, undef, 'a reload while a request runs';

    my $s = status_when($n, '', sub {
        @{ $_->{workers} } == 2 && grep { $_->{state} eq 'finishing' } @{ $_->{workers} }
    });

    is $s->{generation}, 2, 'the second configuration';
    is_deeply { map { $_->{generation} => $_->{state} } @{ $s->{workers} } },
        { 1 => 'finishing', 2 => 'running' }, 'both workers are there';
    is_deeply [map { [$_->{worker}, $_->{request}] } grep { $_->{handler} =~ /gated/ } tasks($s)],
        [[$old, 'GET /gated?tag=long']], 'the old one with its request';
    is $s->{handler}{'status:gated'}{alive}, 1, 'which is alive';

    go($n, 'long');
    is $c->response->body, 'done', 'it ends';

    $s = status_when($n, '', sub { @{ $_->{workers} } == 1 });
    is $s->{handler}{'status:gated'}{finished}, 1, 'and has been counted';

    # another list of handlers

    my ($nap) = begin($n, '/nap');
    status_when($n, 'handler=nap', sub { $_->{tasks}{total} == 1 });

    my $conf = { http => 'async_app $TEST_NGINX_APPS/status.so name=other;',
        server => 'location = /status { async_status; }'
            . ' location /other { async_handler other:hello; }' };

    my ($leaving) = $n->workers;
    is $n->reload(conf => $conf), undef, 'a reload with other handlers';
    kill 'KILL', $leaving;
    $n->allow(qr/worker process $leaving exited on signal/);

    $s = status_when($n, '', sub { @{ $_->{workers} } == 1 && $_->{generation} == 3 });
    is $s->{handler}{'other:hello'}{started}, 0, 'the new one is there';
    is $s->{handler}{'status:gated'}{finished}, 1, 'what has counted something stays';
    is $s->{handler}{'status:late'}, undef, 'what has not does not';
    is $s->{handler}{'status:nap'}{alive}, 0, 'nothing of it is alive';

    $n->kill_worker('KILL');

    $s = status_when($n, '', sub { @{ $_->{workers} } == 1 });
    is $s->{handler}{'status:nap'}{alive}, 0, 'nor with another worker';
    is $s->{handler}{'status:nap'}{started}, 1, 'but it was';

    # a worker beside it takes the slot that the one with the task had

    is $n->reload(conf => $conf), undef, 'the same once more';
    $s = status_when($n, '', sub { @{ $_->{workers} } == 1 && $_->{generation} == 4 });
    is $s->{handler}{'status:nap'}{alive}, 0, 'nor with one in its place';
    $nap->close;

    # without it, and with it again

    $conf->{server} = 'location /other { async_handler other:hello; }';
    is $n->reload(conf => $conf), undef, 'without async_status';
    is $n->get('/other')->body, 'hello', 'which is not counted';

    $conf->{server} .= ' location = /status { async_status; }';
    is $n->reload(conf => $conf), undef, 'and with it again';
    is status($n)->{handler}{'other:hello'}{started}, 0, 'figures begin anew';

    $n->stop;
};


subtest 'many that ask' => sub {
    my $n = nginx(workers => 2);
    $n->workers(2);

    my @naps = begin($n, ('/nap') x 10);
    status_when($n, 'handler=nap', sub { $_->{tasks}{total} == 10 });

    my @askers = begin($n, ('/status?handler=nap') x 20);
    my @all    = map { $_->response } @askers;

    is_deeply [map { $_->status } @all], [(200) x 20], 'twenty at once';
    is_deeply [map { json($_)->{tasks}{shown} } @all], [(10) x 20], 'all know it all';

    # each with a limit of its own: nobody has the answer of another

    @askers = map { begin($n, "/status?handler=nap&limit=$_") } 1 .. 9;
    is_deeply [map { json($_->response)->{tasks}{shown} } @askers], [1 .. 9],
        'each has its own answer';

    # who asks goes away, also while it has the lease

    my ($held) = begin($n, '/burn?tag=burn');
    ok says($n, qr/burns in \d+/), 'a worker is held';

    for (1 .. 10) {
        my $c = $n->connect->send_request('GET', '/status');
        $c->reset;
    }

    go($n, 'burn');
    is $held->response->body, 'done', 'it goes on';

    my $s = status_when($n, 'handler=async_status', sub { $_->{tasks}{total} == 1 });
    is $s->{tasks}{total}, 1, 'nobody else asks any more';

    # reloads meanwhile

    my $pid = fork // die "fork: $!\n";

    if (!$pid) {
        for (1 .. 100) {
            my $r = eval { $n->get('/status') } or next;
            POSIX::_exit(1) if $r->status != 200 && $r->status != 503;
        }
        POSIX::_exit(0);
    }

    is $n->reload, undef, "reload $_" for 1 .. 3;
    waitpid $pid, 0;
    is $?, 0, 'the status was there';

    $_->close for @naps;
    $n->stop;
};


subtest 'ten thousand tasks' => sub {
    my $n = nginx(workers => 1, connections => 1024, http => "async_max_tasks 20000;\n");
    my ($c) = begin($n, '/crowd?n=10000');

    my $s = status_when($n, '', sub { $_->{tasks}{total} > 10000 });

    is $s->{tasks}{total}, 10002, 'all are counted';
    is $s->{tasks}{shown}, 100, 'a hundred are shown';

    $s = status($n, 'limit=1000');
    is $s->{tasks}{shown}, 1000, 'or a thousand';
    is_deeply [map { $_->{for} } tasks($s)], [sort { $b <=> $a } map { $_->{for} } tasks($s)],
        'in order';

    $c->close;
    status_when($n, '', sub { $_->{tasks}{total} == 1 });
    $n->stop;
};


subtest 'those that wait longest' => sub {
    my $n = nginx(workers => 1);
    my @c = (begin($n, ('/gated?tag=poll') x 6), begin($n, ('/nap') x 3),
        begin($n, ('/gated?tag=poll') x 6));

    # the first ones and the last ones begin to wait again and again

    my $s = status_when($n, 'limit=3', sub {
        $_->{tasks}{total} > 15 && !grep { $_->{handler} ne 'status:nap' } tasks($_);
    });

    is_deeply [map { $_->{handler} } tasks($s)], [('status:nap') x 3],
        'are those that are shown';

    $_->close for @c;
    $n->stop;
};


subtest 'as many tasks as there may be' => sub {
    my $n = nginx(workers => 1, http => "async_max_tasks 3;\n", allow => '[error]');
    my @c = begin($n, ('/nap') x 3);

    my $s = status_when($n, '', sub { $_->{tasks}{total} == 4 });
    is $s->{tasks}{total}, 4, 'the status has one more';
    is $n->get('/hello')->status, 503, 'others have not';
    is status($n)->{handler}{'status:hello'}{shed}, 1, 'which is counted';

    $_->close for @c;
    $n->stop;
};


subtest 'a single process' => sub {
    my $n   = nginx(workers => 1, master => 'off', allow => '[emerg]');
    my ($c) = begin($n, '/nap');

    my $s = status_when($n, '', sub { $_->{tasks}{total} == 2 });
    is scalar @{ $s->{workers} }, 1, 'is its only worker';
    is $s->{handler}{'status:nap'}{alive}, 1, 'with its task';

    # a reload is refused

    my $kept = $n->connect;
    is $kept->request('GET', '/hello')->body, 'hello', 'a client';

    my $since = $n->mark;
    $n->write_conf({ server => 'location / { return 200 new; }' });
    $n->signal('HUP');
    ok $n->wait_for_log(qr/the old configuration stays/, 30, $since), 'a reload without async_status';
    is $kept->request('GET', '/hello')->body, 'hello', 'what counts goes on';
    is json($kept->request('GET', '/status'))->{handler}{'status:hello'}{finished}, 2,
        'and is told';
    $_->close for $c, $kept;

    $n->stop;
};


subtest 'without an app' => sub {
    my $n = NginxAsync->new(workers => 2,
        conf => { server => 'location = /status { async_status; }' })->start;
    $n->workers(2);

    my $s = status_when($n, '', sub { @{ $_->{workers} } == 2 });
    is scalar @{ $s->{workers} }, 2, 'both workers are there';
    is_deeply names($s), ['async_status'], 'with its own task';
    $n->stop;
};


# Each has its slot, but for those beyond 64, of which a reload makes no more.

subtest 'more workers than slots' => sub {
    my $n = NginxAsync->new(conf => { server => <<'END' })->start;
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1 reuseport;
        location = /status { async_status; }
END
    # the one of before has a slot, until the others have theirs
    my $old = $n->worker;
    kill STOP => $old;
    $n->{workers} = 70;
    $n->write_conf;
    $n->signal('HUP');
    $n->wait_until(sub { $n->workers == 71 });
    kill CONT => $old;
    $n->workers(70);

    my $s = status_when($n, '', sub {
        63 == grep { $_->{state} eq 'running' } @{ $_->{workers} }
    });

    is scalar @{ $s->{workers} }, 63, 'so many are told of';
    is_deeply [sort { $a <=> $b } map { $_->{slot} } @{ $s->{workers} }], [1 .. 63],
        'each with its slot';
    is $s->{tasks}{total}, 1, 'and asked';
    like_log $n, 0, qr/more than 64 worker processes at a time/, 'others are not';

    # with reuseport each worker has its share of the connections

    my $r;

    $n->wait_until(sub {
        $r = $n->connect(port => $n->port(1))->request('GET', '/status');
        return $r->status == 503;
    });

    is $r->status, 503, 'one of them says that it cannot';
    is $r->header('retry-after'), '1', 'and when to come again';

    $n->stop;
};


subtest 'what runs by itself' => sub {
    my $n = nginx(workers => 1, http => "async_every 10ms tick;\n");

    my $s = status_when($n, 'handler=tick', sub { $_->{tasks}{total} == 1 });
    is((tasks($s))[0]{request}, undef, 'a periodic function has no request');
    is((tasks($s))[0]{deadline}, undef, 'and no deadline');
    go($n, 'tick');
    $n->stop;
};


subtest 'configurations' => sub {
    my $n = NginxAsync->new(allow => '[emerg]');

    for (['async_status xml;', qr/there is no format "xml": it is "json"/],
        ['async_status; async_status;', qr/"async_status" directive is duplicate/],
        ['async_status json json;', qr/invalid number of arguments/],
        ['async_docs; async_status;', qr/"async_status" directive stands beside another/],
        ['async_status; async_docs;', qr/"async_docs" directive stands beside another/],
        ['async_handler hello; async_status;', qr/"async_status" directive stands beside/],
        ['async_status; async_handler hello;', qr/"async_\w+" .*stands beside/],
        ['proxy_pass http://127.0.0.1:1; async_status;', qr/stands beside another/],
        ['async_status; proxy_pass http://127.0.0.1:1;', qr/"async_status" stands beside another/])
    {
        my ($status, $output) = $n->conf_test({
            http   => 'async_app $TEST_NGINX_APPS/status.so;',
            server => "location = /s { $_->[0] }",
        });

        isnt $status, 0, "refused: $_->[0]";
        like $output, $_->[1], 'which says why';
    }
};

done_testing;
