#!/usr/bin/perl

# Channels while workers come and go: reloads, deaths in the middle of
# publishing, more of them than one can count.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Select;
use JSON::PP ();
use Test::More;

use NginxAsync;
use NginxAsync::WebSocket;

my $routes = join '', map { "async_route GET /$_ $_;\n" } qw(publish flood listen own);

sub nginx {
    my ($channels, %o) = @_;

    return NginxAsync->new(allow => qr/unknown directive "nothing"/, %o, conf => {
        http => "async_app \$TEST_NGINX_APPS/channel.so;\n$channels",
        server => "location / {\n $routes async_route WS /ws ws;\n async_route WS /ws_again ws_again;\n }" })->start;
}

sub line {
    my ($c) = @_;

    my $chunk = $c->read_until("\r\n");
    defined $chunk && length $chunk or return undef;

    my $size = hex $chunk =~ s/\r\n//r or return undef;
    my $data = $c->read($size);
    $c->read(2);

    return $data =~ s/\n\z//r;
}

sub listens {
    my ($n, $query) = @_;

    my $c = $n->connect(timeout => 30)->send_request('GET', "/listen?$query");
    $c->read_until("\r\n\r\n");

    return { c => $c, pid => line($c) };
}

# One in each worker.
sub everywhere {
    my ($n, $query, $count) = @_;

    my %of;

    for (1 .. 500) {
        my $l = listens($n, $query);
        $of{ $l->{pid} } //= $l;
        last if keys %of == $count;
    }

    is keys %of, $count, "subscribers in $count workers";

    return values %of;
}

sub publish { my ($n, $c, $d) = @_; return $n->get("/publish?c=$c&d=$d")->body =~ s/ .*//r }

# ---- reloads

{
    my $n = nginx('async_channels size=256k;', workers => 2);

    for my $round (1 .. 5) {
        my @l = everywhere($n, 'c=all', 2);

        is publish($n, 'all', "round$round"), 0, 'something is published';
        is_deeply [map { line($_->{c}) } @l], [("0 round$round") x 2], '... for both';

        my $ws = NginxAsync::WebSocket->new($n, '/ws?c=all');
        $ws->message;

        is $n->reload, undef, "reload $round";
        like line($_->{c}), qr/the worker shuts down/, '... subscriptions end' for @l;
        is $ws->close_code, 1012, '... WebSockets are closed with 1012';
    }

    ok $n->stop, 'it stops';
}

# A WebSocket that has a channel is not told that it gets more of it.
{
    my $n = nginx('async_channels;');
    my $ws = NginxAsync::WebSocket->new($n, '/ws_again');
    is $ws->message, 'here', 'a WebSocket is subscribed';

    my $since = $n->mark;
    is $n->reload, undef, '... when its worker is to end';
    like_log $n, $since, qr/again: -4, -4, the WebSocket is closed/, '... which a second call tells it';
    is $ws->close_code, 1012, '... and its client';
    ok $n->stop, '... and it ends';
}

# Eventfds are made once, whatever is reloaded, and close with the directive.
{
    my $n = nginx('async_channels;');
    my $count = sub { scalar grep { (readlink($_) // '') =~ /eventfd/ } glob '/proc/' . $n->master . '/fd/*' };

    my $before = $count->();
    cmp_ok $before, '>=', 64, 'the master has eventfds';
    $n->reload for 1 .. 3;
    is $count->(), $before, '... as many after reloads';

    $n->{conf}{http} =~ s/async_channels;//;
    $n->reload;
    is $count->(), $before - 64, '... and none without the directive';

    $n->{conf}{http} .= 'async_channels;';
    $n->{workers} = 20;
    $n->reload;
    is $count->(), $before + 16, '... and for 20 workers more, once it comes again';
    $n->stop;
}

# Another size is other memory: who stays until the end of the old one.
{
    my $n = nginx('async_channels size=256k;');
    my $l = listens($n, 'c=x');
    my $since = $n->mark;

    $n->{conf}{http} =~ s/size=256k/size=128k/;
    is $n->reload, undef, 'a reload with another size';
    like line($l->{c}), qr/the worker shuts down/, '... ends subscriptions';
    ok $n->wait_for_log(qr/\[warn\].*"async_channels" has another size than before: old and new workers do not hear of each other/, 10, $since),
        '... and says so';

    $l = listens($n, 'c=x');
    is publish($n, 'x', 'new'), 0, '... the new one is used';
    is line($l->{c}), '0 new', '... by who comes';
    $l->{c}->close;

    # what is refused changes nothing of what runs
    $l = listens($n, 'c=x');
    my $eventfds = sub { scalar grep { (readlink($_) // '') =~ /eventfd/ } glob '/proc/' . $n->master . '/fd/*' };
    my $before = $eventfds->();

    for my $wrong ('async_channels size=64k; nothing;', 'nothing;') {
        my ($status) = $n->conf_test({ %{ $n->{conf} }, http => $wrong });
        isnt $status, 0, 'nginx -t of a wrong configuration';
        $since = $n->mark;
        $n->write_conf({ %{ $n->{conf} }, http => $wrong });
        $n->signal('HUP');
        ok $n->wait_for_log(qr/unknown directive "nothing"/, 10, $since), '... and a reload with it';
        is $eventfds->(), $before, '... as many eventfds as before';
        is publish($n, 'x', 'still'), 0, '... something is published';
        is line($l->{c}), '0 still', '... and comes';
    }

    $l->{c}->close;
    ok $n->stop, 'it stops';
}

# ---- deaths while they publish

{
    my $n = nginx('async_channels size=128k;', workers => 3);
    my ($l) = everywhere($n, 'c=flood&queue=60000', 3);

    my $select = IO::Select->new($l->{c}->socket);
    my (%last, %seen, @bad);
    my ($gaps, $missed, $count) = (0, 0, 0);

    my $read = sub {
        my ($bound) = @_;

        while (length $l->{c}->buffered || $select->can_read(0)) {
            my $line = line($l->{c}) // last;
            my ($m, $pid, $i) = $line =~ /^(\d+) (\d+) (\d+)$/ or push(@bad, $line), next;

            push @bad, "$last{$pid} before $line" if defined $last{$pid} && $i <= $last{$pid};
            $gaps += $i - ($last{$pid} // $i - 1) - 1;
            $missed += $m;
            $last{$pid} = $i;
            $seen{$pid} = 1;
            $count++;
            last if --$bound == 0;
        }
    };

    my @floods;

    for my $round (1 .. 12) {

        # those that were killed are gone; new ones go anywhere
        push @floods, map { $n->connect(timeout => 30)->send_request('GET', '/flood?c=flood&each=40') } 1 .. 2;

        my $from = $count;
        $n->wait_until(sub { $read->(500); $count > $from + 300 });

        my ($victim) = grep { $_ != $l->{pid} } reverse $n->workers(3);
        ok $n->kill_worker('KILL', $victim), "a worker dies, $round";
    }

    my $from = $count;
    $n->wait_until(sub { $read->(500); $count > $from + 300 });

    is_deeply \@bad, [], 'each one is heard in its order';
    cmp_ok $count, '>', 3000, '... by who was there all the time';
    cmp_ok $gaps, '<=', $missed, "... what was missed is told ($missed)";

    $_->close for @floods;
    $l->{c}->close;

    is publish($n, 'flood', 'after'), 0, 'then it is as ever';
    my @all = everywhere($n, 'c=calm', 3);
    publish($n, 'calm', 'all');
    is_deeply [map { line($_->{c}) } @all], [('0 all') x 3], '... for all workers';

    ok $n->stop, 'it stops';
}

# ---- a subscriber's worker dies: the others go on

{
    my $n = nginx('async_channels;', workers => 2);

    for (1 .. 5) {
        my @l = everywhere($n, 'c=x', 2);
        my ($dead, $alive) = @l;

        ok $n->kill_worker('KILL', $dead->{pid}), 'a subscriber dies';
        is publish($n, 'x', 'still'), 0, '... it is published';
        is line($alive->{c}), '0 still', '... for the other one';
    }

    ok $n->stop, 'it stops';
}

# ---- a publisher dies before it wakes anybody, and no worker comes in its place

SKIP: {
    my $gdb = sub {
        delete local $ENV{LD_PRELOAD};
        return NginxAsync::run(qw(timeout 120 gdb -nx -q -batch -iex), 'set debuginfod enabled off', @_);
    };

    skip 'the kernel does not let this user trace a process', 4
        if $gdb->('-p', $$, '-ex', 'print 6 * 7') !~ /= 42/;

    my $n = nginx('async_channels;', workers => 2);
    my $l = listens($n, 'c=x');
    my ($dies) = grep { $_ != $l->{pid} } $n->workers(2);

    # the request goes to the other worker
    kill STOP => $n->master, $l->{pid};
    my $publish = "curl -sm 60 'http://127.0.0.1:" . $n->port(0) . "/publish?c=x&d=last' > /dev/null 2>&1 &";
    my $said = $gdb->('-p', $dies, map { ('-ex', $_) }
        'break ngx_async_peer_wake', "shell $publish", 'continue', 'kill');
    like $said, qr/hit Breakpoint 1, ngx_async_peer_wake/, 'a publisher dies before it wakes anybody';
    kill CONT => $l->{pid};

    is line($l->{c}), '0 last', '... what it has published is heard';

    $n->allow(qr/worker process $dies exited on signal/);
    kill CONT => $n->master;
    ok $n->wait_until(sub { $n->workers == 2 && !grep { $_ == $dies } $n->workers }), '... then another one comes';
    ok $n->stop, 'it stops';
}

# ---- a worker that lags: what it misses is known

{
    my $n = nginx('async_channels size=64k;', workers => 2);
    my ($slow, $other) = everywhere($n, 'c=lag&queue=60000', 2);

    # one that the other worker serves: a stopped one may be given new ones
    my $c;

    $n->wait_until(sub {
        $c = $n->connect(timeout => 30);
        return $c->request('GET', '/publish?c=none&d=n')->body =~ / $other->{pid}$/;
    });

    my $late;

    $n->wait_until(sub {
        $late = $n->connect(timeout => 30);
        return $late->request('GET', '/publish?c=none&d=n')->body =~ / $slow->{pid}$/;
    });

    # in the worker that will lag: of a channel of which nothing else comes
    my ($quiet, $closes);

    for my $l (\$quiet, \$closes) {
        my $query = 'c=quiet&close=' . ($l == \$closes ? 1 : 0);
        $n->wait_until(sub { ($$l = listens($n, $query))->{pid} == $slow->{pid} });
    }

    kill STOP => $slow->{pid};

    is $c->request('GET', '/publish?c=quiet&d=n')->body =~ s/ .*//r, 0, 'something is published once';

    # the log wraps many times
    my @said = map { $c->request('GET', '/publish?c=lag&d=n&n=500')->body =~ s/ .*//r } 1 .. 20;
    is_deeply \@said, [(0) x 20], 'while a worker stands still, another one publishes';

    # asked of it while it stands still: it subscribes before it reads on
    $late->send_request('GET', '/listen?c=lag');

    kill CONT => $slow->{pid};

    $late->read_until("\r\n\r\n");
    is line($late), $slow->{pid}, 'one subscribes where another one lags';
    publish($n, 'lag', 'end');
    is line($late), '0 end', '... and has missed nothing';
    $late->close;

    my ($count, $missed) = (0, 0);

    for (;;) {
        my ($m, $d) = line($slow->{c}) =~ /^(\d+) (.*)/;
        $count++;
        $missed += $m;
        last if $d eq 'end';
    }

    like line($closes->{c}), qr/^-?\d+ the subscription has ended as more came than was read/,
        'who does not bear a loss hears of it without another message';
    publish($n, 'quiet', 'later');
    is line($quiet->{c}), '1 later', '... who does by the next one';

    $_->{c}->close for $quiet, $other;

    is $count + $missed, 10_001, "what was published has come or is known as missed ($missed)";
    cmp_ok $missed, '>', 1000, '... which it was';

    ok $n->stop, 'it stops';
}

# ---- many workers, and a reload while none of the old ones has begun to leave

SKIP: {
    skip 'ASan looks for leaks at the end of each of 80 workers', 10 if NginxAsync::Env::asan();

    my $n = NginxAsync->new(workers => 40, connections => 128, conf => {
        http => "async_app \$TEST_NGINX_APPS/channel.so;\nasync_channels;\n",
        server => "location / {\n $routes }\n location = /status { async_status json; }" });

    # the kernel gives connections to any worker
    $n->{listen} = '127.0.0.1:' . $n->port(0) . ' reuseport';
    $n->start;

    my %old = map { $_ => 1 } $n->workers(40);

    kill STOP => keys %old;
    $n->signal('HUP');

    my @new;
    $n->wait_until(sub { 40 == (@new = grep { !$old{$_} } $n->workers) });
    is scalar @new, 40, '40 new workers beside 40 old ones';

    my $s;
    $n->wait_until(sub {
        $s = JSON::PP::decode_json($n->get('/status')->body)->{workers};
        return @$s == 80;
    });

    my %slot = map { $_->{pid} => $_->{slot} } @$s;
    is_deeply [sort { $a <=> $b } values %slot], [0 .. 79], '... have slots';
    is scalar(grep { defined $slot{$_} } @new), 40, '... and are in the status';

    my @l = everywhere($n, 'c=many', 40);
    is publish($n, 'many', 'all'), 0, '... something is published';
    is_deeply [map { line($_->{c}) } @l], [('0 all') x 40], '... for all of them';

    unlike $n->log, qr/worker processes at a time/, '... which are all woken';
    $_->{c}->close for @l;

    kill CONT => keys %old;
    ok $n->wait_until(sub { $n->workers == 40 && !$n->leaving_workers }), '... the old ones leave';

    @l = everywhere($n, 'c=many', 40);
    publish($n, 'many', 'again');
    is_deeply [map { line($_->{c}) } @l], [('0 again') x 40], '... and the new ones go on';

    $_->{c}->close for @l;
    ok $n->stop, '... and stop';
}

# ---- more workers than slots

SKIP: {
    skip 'ASan looks for leaks at the end of each of 66 workers', 4 if NginxAsync::Env::asan();

    # a reload adds none
    my $n = nginx('async_channels;', connections => 128);
    $n->{workers} = 66;
    is $n->reload, undef, 'a reload with more workers';

    is $n->wait_for_log(qr/more than 64 worker processes at a time/) ? 1 : 0, 1, '... than there are slots';
    is $n->get('/own')->body =~ /line/ ? 0 : 1, 1, '... serve';
    ok $n->stop, '... and stop';
}

done_testing;
