#!/usr/bin/perl

# Shared dictionaries over reloads and deaths: what is kept, what begins anew,
# who loads when the one who has loaded is no more.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use NginxAsync;
use NginxAsync::Figures qw($STATUS is_figure);
use NginxAsync::Say qw(said says);

my $routes = join '', map { "async_route GET /$_ $_;\n" }
    qw(pid get set add incr delete_key fill load crowd flights churn wrong);

sub conf {
    my ($cache) = @_;

    return { http => "async_app \$TEST_NGINX_APPS/shared.so;\n"
            . "async_shared cache $cache;\nasync_shared control 64k;\n",
        server => "location / {\n $routes }" };
}

sub nginx {
    my (%o) = @_;

    return NginxAsync->new(conf => conf('256k'), workers => 2,
        allow => qr/exited on signal 9/, %o)->start;
}

# A connection to a worker.
sub at {
    my ($n, $pid) = @_;

    my @others;

    for (1 .. 500) {
        my $c = $n->connect(timeout => 30);
        return $c if $c->request('GET', '/pid')->body eq $pid;
        push @others, $c;
    }

    die "no connection to worker $pid";
}

sub ask  { my ($n, $uri) = @_; return $n->get($uri)->body }
sub asks { my ($n, $pid, $uri) = @_; return at($n, $pid)->send_request('GET', $uri) }

# All that was asked of a worker has begun.
sub fence { my ($n, @pids) = @_; ask_at($n, $_, '/pid') for @pids; return }
sub ask_at { my ($n, $pid, $uri) = @_; return at($n, $pid)->request('GET', $uri)->body }

sub loads {
    my ($n, $key, $since) = @_;

    return [map { /^load \Q$key\E (\d+)$/ ? $1 : () } @{ said($n, $since) }];
}

sub go { my ($n, $key) = @_; return ask($n, "/set?d=control&key=$key") }

# ---- reloads

{
    my $n = nginx();

    is ask($n, '/set?key=a&value=kept'), 'ok ', 'a value';
    is ask($n, '/incr?key=n&by=7'), 'ok 7', '... and a count';
    is $n->reload, undef, 'a reload';
    is ask($n, '/get?key=a'), 'ok kept', '... keeps the value';
    is ask($n, '/incr?key=n&by=1'), 'ok 8', '... and the count';

    my ($old) = $n->workers(2);
    my $since = $n->mark;
    my $c = asks($n, $old, '/load?key=l&mode=gate&value=old');
    says($n, "load l $old", $since);

    $n->signal('HUP');
    $n->wait_until(sub { !grep { $_ == $old } $n->workers });
    my ($new) = $n->workers(2);
    my $w = asks($n, $new, '/load?key=l&value=new');
    fence($n, $new);
    go($n, 'l');

    is $c->response->body, 'ok old', 'an old worker loads on';
    is $w->response->body, 'ok old', '... and a new one waits for it';
    is_deeply loads($n, 'l', $since), [$old], '... it was loaded once';
    $n->wait_until(sub { !$n->leaving_workers });

    $since = $n->mark;
    $n->write_conf(conf('512k'));
    is $n->reload, undef, 'a reload with another size';
    is ask($n, '/get?key=a'), 'ok (absent)', '... begins empty';
    is ask($n, '/get?d=control&key=l'), 'ok ', '... another dictionary does not';
    ok $n->wait_for_log(qr/\[warn\].*"async_shared cache" has another size than before, 524288 instead of 262144 bytes: it begins empty/,
        10, $since), '... and says so';
    ok $n->stop, 'it ends';
}

# The status tells of the one that requests use now.
{
    my $with_status = sub {
        my $conf = conf($_[0]);
        $conf->{server} .= " $STATUS";
        return $conf;
    };

    my $n = NginxAsync->new(conf => $with_status->('4m'), workers => 1)->start;
    my ($old) = $n->workers(1);

    ask($n, '/set?key=a&value=x');
    is_figure($n, [qw(shared cache items)], 1, 'a dictionary');
    my $size = NginxAsync::Figures::await_figure($n, [qw(shared cache size)], sub { $_[0] > 1e6 });
    cmp_ok $size, '>', 1e6, '... and its size';

    my $since = $n->mark;
    my $c = asks($n, $old, '/load?key=l&mode=gate&value=old');
    says($n, "load l $old", $since);
    $n->write_conf($with_status->('128k'));
    is $n->reload, undef, '... which is another one behind a reload';
    $size = NginxAsync::Figures::await_figure($n, [qw(shared cache size)], sub { $_[0] < 1e6 });
    cmp_ok $size, '<', 1e6, '... of another size';
    is_figure($n, [qw(shared cache items)], 0, '... and empty');
    ok scalar(grep { $_ == $old } $n->workers, $n->leaving_workers), '... while an old worker still finishes';

    go($n, 'l');
    is $c->response->body, 'ok old', '... with its own';
    ok $n->stop, 'it ends';
}

# ---- deaths of loaders

{
    my $n = nginx();
    my ($one, $other) = $n->workers(2);

    my $since = $n->mark;
    my $c = asks($n, $one, '/load?key=k&mode=gate&value=first');
    says($n, "load k $one", $since);
    my @w = map { asks($n, $other, '/load?key=k&mode=gate&value=second') } 1 .. 3;
    fence($n, $other);

    kill KILL => $one;
    ok $n->wait_until(sub { @{ loads($n, 'k', $since) } == 2 }), 'a loader dies: another worker loads';
    go($n, 'k');
    is $_->response->body, 'ok second', '... for all who wait' for @w;
    is_deeply loads($n, 'k', $since), [$one, $other], '... once';

    $n->workers(2);
    $since = $n->mark;
    $c = asks($n, $other, '/load?key=nobody&mode=gate&value=first');
    says($n, "load nobody $other", $since);
    kill KILL => $other;
    $n->wait_until(sub { !grep { $_ == $other } $n->workers });
    $n->workers(2);
    is ask($n, '/load?key=nobody&value=next'), 'ok next', 'where nobody has waited, the next one loads';

    # alone: who waits finds out by itself
    my ($last, $dies) = $n->workers(2);
    $since = $n->mark;
    $c = asks($n, $dies, '/load?key=alone&mode=gate');
    says($n, "load alone $dies", $since);
    my $w = asks($n, $last, '/load?key=alone&value=mine');
    fence($n, $last);
    kill STOP => $n->master;
    kill KILL => $dies;
    is $w->response->body, 'ok mine', 'a death is seen without a worker in its place';
    kill CONT => $n->master;
    $n->workers(2);

    ok $n->stop, 'it ends';
}

# What a dead worker has loaded takes no room, though nobody asks for it.
{
    my $n = nginx();
    my ($dies) = $n->workers(2);

    my $since = $n->mark;
    my $c = asks($n, $dies, '/flights');
    says($n, "load flight 599 $dies", $since);
    kill KILL => $dies;
    $n->wait_until(sub { !grep { $_ == $dies } $n->workers });
    fence($n, $n->workers(2));

    is ask($n, '/fill?n=500'), 'ok ', 'after the death of who has loaded much';
    is ask($n, '/get?key=fill%200'), 'ok ' . 'v' x 200, '... there is room for as much as before';
    ok $n->stop, 'it ends';
}

# ---- a worker beyond the 64th slot: bits of who waits are of several slots

SKIP: {
    skip 'ASan looks for leaks at the end of each of 80 workers', 4 if NginxAsync::Env::asan();

    my $conf = conf('256k');
    $conf->{server} .= " location = /status { async_status json; }";

    my $n = NginxAsync->new(conf => $conf, workers => 40, connections => 128);
    $n->{listen} = '127.0.0.1:' . $n->port(0) . ' reuseport';
    $n->start;

    # which keep their slots
    my @old = $n->workers(40);
    kill STOP => @old;
    $n->signal('HUP');
    $n->workers(80);

    my %slot;
    $n->wait_until(sub {
        %slot = $n->get('/status')->body =~ /"pid": ?(\d+), ?"slot": ?(\d+)/g;
        return keys %slot == 80;
    });

    my ($low, $high, $fence);
    $n->wait_until(sub {
        my $new = $n->connect(timeout => 30);
        my $of = $slot{ $new->request('GET', '/pid')->body };
        $of < 64 ? $low = $new : $high ? $fence = $new : ($high = $new);
        return $low && $fence;
    });

    my $since = $n->mark;
    $low->send_request('GET', '/load?key=k&mode=gate&value=theirs');
    $n->wait_until(sub { @{ loads($n, 'k', $since) } });
    $high->send_request('GET', '/load?key=k&value=mine');
    $fence->request('GET', '/pid');
    go($n, 'k');

    is $_->response->body, 'ok theirs', 'a worker with a high slot waits for a loader of another one' for $low, $high;
    is @{ loads($n, 'k', $since) }, 1, '... which loads once';

    kill CONT => @old;
    $n->wait_until(sub { !$n->leaving_workers && $n->workers == 40 });
    ok $n->stop, '... and they end';
}

# ---- a worker without a slot

SKIP: {
    skip 'ASan looks for leaks at the end of each of 65 workers', 12 if NginxAsync::Env::asan();

    # a reload adds no slots to those for one worker
    my $n = NginxAsync->new(conf => conf('256k'), connections => 128);
    $n->{listen} = '127.0.0.1:' . $n->port(0) . ' reuseport';
    $n->start;

    $n->{workers} = 65;
    $n->reload;
    $n->wait_until(sub { $n->workers == 65 && !$n->leaving_workers });

    # one, or two, if that of before was still there
    my ($pid, @more) = $n->log =~ /\[warn\] (\d+)#\d+: async: more than 64 worker/g;

    # the kernel gives connections to any worker
    my ($c, $fence, $other, $other_pid);

    $n->wait_until(sub {
        my $new = $n->connect(timeout => 30);
        my $from = $new->request('GET', '/pid')->body;
        return 0 if grep { $_ == $from } @more;
        ($from ne $pid) ? ($other, $other_pid) = ($new, $from) : $c ? $fence = $new : ($c = $new);
        return $fence && $other;
    });

    is $c->request('GET', '/set?key=a&value=set')->body, 'ok ', 'a worker without a slot sets';
    is $other->request('GET', '/get?key=a')->body, 'ok set', '... for others';
    is $c->request('GET', '/load?key=self&mode=self')->body, 'ERROR a loader asks for the key that it loads',
        '... its loaders cannot wait for themselves';

    my $since = $n->mark;
    $other->send_request('GET', '/load?key=k&mode=gate&value=theirs');
    says($n, "load k $other_pid", $since);
    $c->send_request('GET', '/load?key=k&value=mine');
    $fence->request('GET', '/pid');
    ask($n, '/set?d=control&key=k');
    is $_->response->body, 'ok theirs', '... it waits for loaders of others' for $other, $c;
    is_deeply loads($n, 'k', $since), [$other_pid], '... who load once';

    $since = $n->mark;
    $c->send_request('GET', '/load?key=l&mode=gate&value=mine');
    says($n, "load l $pid", $since);
    is $other->request('GET', '/load?key=l&value=theirs')->body, 'ok theirs', '... nobody waits for its own';
    ask($n, '/set?d=control&key=l');
    is $c->response->body, 'ok mine', '... which load, too';

    ok $n->stop, 'it ends';
}

# ---- deaths in the middle of changes

{
    my $n = nginx(workers => 3);
    my $killed = 0;

    for my $round (1 .. ($ENV{TEST_NGINX_LONG} ? 100 : 10)) {
        my @pids = $n->workers(3);
        my @busy = map { asks($n, $_, '/churn?n=1000000') } @pids;

        # each is amid its changes
        my $count = ask_count($n);
        $n->wait_until(sub { ask_count($n) > $count + 1000 });

        my %killed = map { $pids[($round + $_) % 3] => 1 } 0, $round % 5 ? () : 1;
        kill KILL => keys %killed;
        $killed += keys %killed;

        $_->reset for @busy;
        $n->wait_until(sub { !grep { $killed{$_} } $n->workers });
    }

    $n->workers(3);
    is ask($n, '/churn?n=2000'), 'ok ', "after $killed deaths all values are of their keys";
    is ask($n, '/fill?n=3000'), 'ok ', '... and others can be set';
    is ask($n, '/get?key=fill%202999'), 'ok ' . 'v' x 200, '... and got';

    my $repairs = () = $n->log =~ /\[warn\].*async_shared "cache": a worker has died in it, it was repaired with \d+ entries/g;
    note "$repairs of $killed deaths were amid a change";
    ok $n->stop, '... and it ends';
}

sub ask_count { my ($n) = @_; return ask($n, '/get?key=count') =~ /^ok (\d+)$/ ? $1 : 0 }

done_testing();
