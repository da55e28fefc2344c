#!/usr/bin/perl

# The directive async_status: what runs, what waits where, and what has been
# counted, over all workers.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use NginxAsync;
use NginxAsync::Say qw(json);
use NginxAsync::Status qw(status status_when begin names tasks go);
use NginxAsync::WebSocket;

# ---- one worker

my $n = NginxAsync::Status::nginx();

my ($hello) = $n->get('/hello')->body;
is $hello, 'hello', 'a handler';

my $r = $n->get('/status');

is $r->status, 200, 'the status is there';
is $r->header('content-type'), 'application/json', 'as JSON';
is $r->header('cache-control'), 'no-store', 'and is not kept';

my $s = json($r);

is_deeply [grep { !exists $s->{$_} }
        qw(generation handler loop nginx route slow task tasks time workers)], [],
    'what it tells';
like $s->{nginx}, qr/^\d+\.\d+\.\d+$/, 'the version';
like $s->{time}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/, 'the time';
is $s->{generation}, 1, 'the first configuration';

my ($w) = @{ $s->{workers} };

is scalar @{ $s->{workers} }, 1, 'one worker';
is_deeply [sort keys %$w], [qw(beat_age generation pid running slot started state tasks)],
    'what is told of it';
is $w->{pid}, $n->worker, 'its pid';
is $w->{state}, 'running', 'it runs';
is $w->{generation}, 1, 'with the first configuration';
is $w->{running}{handler}, 'async_status', 'it makes the answer';
like $w->{started}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/, 'since when';
cmp_ok $w->{beat_age}, '>=', 0, 'its last sign of life';
is $w->{tasks}, 1, 'the task of the status';

subtest 'a handler that has ended' => sub {
    my $h = $s->{handler}{'status:hello'};

    is_deeply [sort keys %$h], [qw(alive cancelled finished shed slow slow_max
        stack_max started time timed_out)], 'what is counted';
    is $h->{started}, 1, 'started';
    is $h->{finished}, 1, 'finished';
    is $h->{alive}, 0, 'not alive';
    is $h->{cancelled} + $h->{timed_out} + $h->{shed}, 0, 'nothing else';
    cmp_ok $h->{stack_max}, '>', 0, 'its stack was measured';
    is $h->{time}{count}, 1, 'how long it took';
    is scalar @{ $h->{time}{buckets} }, 14, 'buckets';
    is_deeply [$h->{time}{buckets}[0][0], $h->{time}{buckets}[13][0]],
        [0.001, undef], 'from a millisecond on, and above';
    is $s->{handler}{'status:nap'}{started}, 0, 'others are told of, too';
};

subtest 'tasks that wait' => sub {
    my @c = begin($n, '/nap?a=b&c', '/family', '/late', '/gated?tag=one',
        '/thread?tag=two');
    my $ws = NginxAsync::WebSocket->new($n, '/socket');

    is $n->get('/leave')->body, 'left', 'one leaves something behind';

    my $s = status_when($n, '', sub {
        $_->{tasks}{total} == 10
            && !grep { !$_->{await} && $_->{handler} ne 'async_status' } tasks($_)
    });

    is $s->{tasks}{total}, 10, 'so many tasks';
    is $s->{tasks}{shown}, 10, 'all are shown';
    is_deeply names($s), [qw(async_status status:family status:family
        status:family status:gated status:late status:leave status:nap
        status:socket status:threaded)], 'which';

    my %by;
    push @{ $by{ $_->{handler} } }, $_ for tasks($s);

    my $nap = $by{'status:nap'}[0];

    is_deeply [sort keys %$nap], [qw(age at await client deadline for handler
        id parent request state worker)], 'what is told of a task';
    is $nap->{await}, 'await_sleep', 'what it awaits';
    like $nap->{at}, qr{(?:^|/)status\.c:\d+$}, 'where';
    is $nap->{state}, 'waiting', 'its state';
    is $nap->{request}, 'GET /nap?a=b&c', 'its request';
    is $nap->{client}, '127.0.0.1', 'its client';
    is $nap->{worker}, $n->worker, 'its worker';
    is $nap->{parent}, undef, 'it is nobody\'s child';
    like $nap->{id}, qr/^[0-9a-f]+$/, 'its id';
    cmp_ok $nap->{age}, '>=', $nap->{for}, 'it is as old as it has waited';
    cmp_ok $nap->{deadline}, '<=', 60, 'it has a deadline';
    cmp_ok $nap->{deadline}, '>', 0, 'which has not passed';

    my ($parent) = grep { !$_->{parent} } @{ $by{'status:family'} };
    my @children = grep { $_->{parent} } @{ $by{'status:family'} };

    is $parent->{await}, 'await_join', 'a parent awaits its child';
    is_deeply [map { $_->{parent} } @children], [($parent->{id}) x 2],
        'children name their parent';
    is_deeply [map { $_->{request} } @children], [('GET /family') x 2],
        'and are of its request';
    isnt $children[0]{id}, $children[1]{id}, 'they are two';

    is $by{'status:threaded'}[0]{await}, 'its thread', 'one awaits its thread';
    is $by{'status:socket'}[0]{await}, 'await_ws_recv', 'a WebSocket';
    is $by{'status:socket'}[0]{request}, 'GET /socket', 'by its handshake';
    is $by{'status:leave'}[0]{request}, undef,
        'what runs after the response has no request';
    cmp_ok $by{'status:late'}[0]{deadline}, '<=', 30, 'the nearer deadline';

    is_deeply [map { $_->{for} } tasks($s)],
        [sort { $b <=> $a } map { $_->{for} } tasks($s)],
        'the longest waiting first';

    is $s->{workers}[0]{tasks}, 10, 'the worker knows how many it has';
    is $s->{handler}{'status:family'}{alive}, 3, 'and so do the figures';

    subtest 'filters' => sub { filters($n) };

    go($n, $_) for qw(one two background);
    is $c[3]->response->body, 'done', 'one goes on';
    is $c[4]->response->body, 'done', 'the thread, too';
    $_->close for @c[0 .. 2];
    $ws->{connection}->close if $ws->{connection};
    undef $ws;

    $s = status_when($n, '', sub { $_->{tasks}{total} == 1 });
    is $s->{tasks}{total}, 1, 'all have ended';
    is $s->{handler}{'status:nap'}{cancelled}, 1, 'one whose client has gone';
    is $s->{handler}{'status:gated'}{finished}, 1, 'one by itself';
    is $s->{handler}{'status:family'}{alive}, 0, 'with its children';
};


sub filters {
    my ($n) = @_;

    my $s = status($n, 'handler=family');
    is_deeply names($s), [('status:family') x 3], 'by a part of the handler';
    is $s->{tasks}{total}, 3, 'which are counted';

    is_deeply names(status($n, 'handler=family&await=join')), ['status:family'],
        'by the await, too';
    is status($n, 'limit=2')->{tasks}{shown}, 2, 'not more than so many';
    is status($n, 'limit=2')->{tasks}{total}, 10, 'of all';
    is status($n, 'limit=0')->{tasks}{shown}, 0, 'none at all';
    is status($n, 'older=3600')->{tasks}{total}, 0, 'none is that old';
    is status($n, 'older=0.000')->{tasks}{total}, 10, 'all are as old';
    is status($n, 'worker=' . $n->worker)->{tasks}{total}, 10, 'by the worker';
    is status($n, 'worker=1')->{tasks}{total}, 0, 'there is no such worker';

    my ($all) = tasks(status($n));
    cmp_ok +(tasks(status($n, 'limit=1')))[0]{for}, '>=', $all->{for},
        'the first ones are those that wait longest';

    return;
}


subtest 'requests that are wrong' => sub {
    for (['limit=1001', qr/^"1001" is no "limit", which is a number from 0 to 1000$/],
        ['limit=x', qr/^"x" is no "limit"/],
        ['older=-1', qr/^"-1" is no "older", which is a number of seconds$/],
        ['worker=0', qr/^"0" is no "worker", which is the pid of a worker$/],
        ['handler=' . 'x' x 200, qr/^"x{80}" is no "handler"/],
        ['a%ffb=1', qr/^there is no parameter "a\x{fffd}b", there are "handler", "await", "older", "worker", "limit" and "format"$/],
        ['format=xml', qr/^there is no format "xml": it is "json"/],
        ["format=\%00", qr/^there is no format "/])
    {
        my $r = $n->get("/status?$_->[0]");

        is $r->status, 400, "400 for $_->[0]";
        like json($r)->{detail}, $_->[1], 'which says why';
        is $r->header('cache-control'), 'no-store', 'and is not kept';
    }

    like json($n->get('/json?format=json'))->{detail},
        qr/^there is no parameter "format", .*; the location has one format$/,
        'where the directive has chosen the format';

    my $r = $n->post('/status', 'x');
    is $r->status, 405, 'POST';
    is $r->header('allow'), 'GET, HEAD', 'what is allowed';

    $r = $n->head('/status');
    is $r->status, 200, 'HEAD';
    is $r->body, '', 'without a body';
};

$n->stop;

done_testing;
