package NginxAsync::Torture::Storms;

=head1 NAME

NginxAsync::Torture::Storms - channels while workers die and nginx reloads

=head1 SYNOPSIS

    my @findings = NginxAsync::Torture::Storms::run($torture, 200, sub { say @_ });

Publishers hammer some channels, through all workers, while workers die by
SIGKILL, SIGSEGV and SIGTERM and nginx reloads, all at once.  Each subscriber
hears each publisher in order and nothing twice; what it does not hear it is told
of, but for what a publisher had no answer to; a WebSocket is closed then.  It
ends only with its worker.

After each round of that there is a calm: what is published through each worker
reaches all subscribers, in all workers, and they have missed nothing at the end
of the round either.

=cut

use strict;
use warnings;

use IO::Select;
use JSON::PP ();
use POSIX ();
use Time::HiRes qw(sleep);

use NginxAsync;
use NginxAsync::Env;
use NginxAsync::Server;
use NginxAsync::Torture;
use NginxAsync::Torture::Kills;
use NginxAsync::Torture::Load;
use NginxAsync::Verdict;
use NginxAsync::WebSocket;

# what happens in a round, and where what is published goes
my $ROUND = 20;
my @CHANNELS = qw(red green blue);

# those of the channels, and those who fill the log with what nobody listens to
my $PUBLISHERS = 4;
my $FLOODS = 2;
my $SUBSCRIBERS = 12;

# more than can be missed at a time
my $MOST = 1_000_000_000;

my %CONF = (
    http => "    async_app \$TEST_NGINX_APPS/torture.so;\n    async_channels size=256k;\n"
        . "    async_shutdown_timeout 30s;\n",
    server => <<'EOF_CONF',
    location / {
        async_timeout 1h;
        async_route GET /publish publish;
        async_route GET /subscribe subscribe;
        async_route WS /subscribed subscribed;
    }

    location = /status { async_status json; }
EOF_CONF
);


sub run {
    my ($t, $times, $say) = @_;

    my $n = NginxAsync->new(workers => $t->{workers}, connections => 1024, conf => \%CONF);

    # a client that is slow is soon one whose queue is full
    $n->{listen} = '127.0.0.1:' . $n->port(0) . ' sndbuf=8k';
    $n->start;

    my $self = bless { t => $t, n => $n, say => $say, mark => $n->mark, findings => [],
        dead => {}, count => {}, next => {}, unsure => {} }, __PACKAGE__;

    $n->workers($t->{workers}, 30) or return 'there are too few workers';

    my $load = $self->load;
    $self->{seen} = "$load->{dir}/seen";
    NginxAsync::Env::spew($self->{seen}, '');
    $load->process($_, sub { $self->subscriber($load, $_) }) for 1 .. $SUBSCRIBERS;

    for my $round (1 .. POSIX::ceil($times / $ROUND)) {
        last if $t->late;

        $self->storm($times - ($round - 1) * $ROUND, $round % 2);
        $self->calm($round) or last;
        $say->(sprintf '%d of %d', $round * $ROUND, $times) if $round % 5 == 0;
    }

    my $told = $load->stop;

    $self->verdict($told);
    $n->stop;

    return @{ $self->{findings} };
}


sub finding { my ($self, @text) = @_; push @{ $self->{findings} }, "@text"; return }

sub load {
    my ($self) = @_;

    return NginxAsync::Torture::Load->new($self->{t}, $self->{n}, clients => 0, cases => []);
}


# ---- the storm

# So many deaths and reloads, at the most a round of them.
sub storm {
    my ($self, $times, $hard) = @_;

    my $n = $self->{n};
    my $load = $self->load;

    $load->process($_, sub { $self->publisher($load, $_, $hard) }) for 1 .. $PUBLISHERS;
    $load->process("l$_", sub { $self->flood($load) }) for 1 .. ($hard ? $FLOODS : 0);

    # not in a calm: it wakes all workers, who then look for messages, too
    $load->process('l', sub { $self->asker($load) });

    my @signals = ('KILL', NginxAsync::Torture::Kills::segv(), 'TERM');

    for (1 .. ($times < $ROUND ? $times : $ROUND)) {
        sleep 0.05 + rand 0.5;

        if (rand() < 0.25) {
            $n->signal('HUP');
            $self->{count}{reloads}++;
            next;
        }

        # of any generation
        my @workers = ($n->workers, $n->leaving_workers) or next;
        my ($floods) = $self->seen =~ /.*^floods (\d+)$/ms;
        my @best = $hard && rand() < 0.5 ? grep { $_ == ($floods // 0) } @workers : ();
        my $pid = (@best, $workers[rand @workers])[0];
        my $signal = $signals[rand @signals];

        # that one was leaving, and is to end at once, is what it does not like
        $n->allow($signal eq 'TERM' ? qr/ $pid#\d+: (?:\*\d+ open socket|aborting)/
            : qr/worker process $pid exited on signal/);

        $self->{dead}{$pid} = 1;
        kill $signal, $pid;
        $self->{count}{"SIG$signal"}++;
    }

    my $told = $load->stop;

    for my $p (1 .. $PUBLISHERS) {
        $self->{next}{$p}{$_} = $told->{next}{$p}{$_} // $self->{next}{$p}{$_} // 1 for @CHANNELS;
    }

    NginxAsync::Torture::Load::add($self->{unsure}, $told->{unsure} // {});
    $self->{count}{published} += $told->{right};
    $self->{count}{'not answered'} += $told->{refused};
    $self->{count}{'times the status'} += $told->{read} // 0;
    $self->{count}{'times no status'} += $told->{unread} // 0;

    $self->finding("$_ ($told->{why}{$_} times)") for sort keys %{ $told->{why} };
    $self->finding('nothing was published') if !$told->{right};
}


# Numbers of a publisher and a channel are used once, whatever became of them.
sub publisher {
    my ($self, $load, $p, $hard) = @_;

    my $told = $load->{told};
    my %next = map { $_ => $self->{next}{$p}{$_} // 1 } @CHANNELS;
    my $c;

    while (!$load->stopped) {
        undef $c if rand() < 0.05;
        $c //= eval { $self->{n}->connect(timeout => $NginxAsync::Torture::BOUND) } // next;

        my $channel = $CHANNELS[rand @CHANNELS];
        my $count = 1 + int rand 40;
        my $size = rand() < 0.9 ? int rand 200 : int rand 20_000;
        my $from = $next{$channel};

        $next{$channel} += $count;

        my $r = eval {
            $c->request('GET', "/publish?c=$channel&p=$p&from=$from&n=$count&size=$size");
        };

        if ($r && $r->{complete} && $r->status == 200) {
            $told->{right} += $count;
            undef $c if ($r->header('Connection') // '') =~ /close/i;

        } else {
            my $why = $r ? $r->status : $@ =~ s/\n//gr;

            $told->{refused} += $count;
            $told->{unsure}{"$p $channel"}{$_} = 1 for $from .. $from + $count - 1;
            $told->{why}{"a publisher: $why"}++ if $r || $why =~ /^nothing came/;
            undef $c;
        }

        sleep 0.02 if !$hard;
    }

    $told->{next}{$p} = \%next;
}


# Who fills the log, in a worker that is a good one to kill.
sub flood {
    my ($self, $load) = @_;

    my $c;

    while (!$load->stopped) {
        $c //= eval { $self->{n}->connect(timeout => $NginxAsync::Torture::BOUND) } // next;

        my $size = int rand 20_000;
        my $r = eval { $c->request('GET', "/publish?c=none&p=0&n=1000&size=$size") };

        $self->note("floods $1"), next if $r && $r->body =~ /^right (\d+)/;

        $load->{told}{why}{'a flood: ' . ($r ? $r->status : $@)}++ if $r || $@ =~ /^nothing came/;
        undef $c;
    }
}


# The status is readable all the time, but for the requests of a worker that ends.
sub asker {
    my ($self, $load) = @_;

    my $told = $load->{told};

    while (!$load->stopped) {
        sleep 0.1;

        my $r = eval { $self->{n}->get('/status', timeout => $NginxAsync::Torture::BOUND) };

        if (!$r) {
            $told->{unread}++;
            $told->{why}{"the status: $@"}++ if $@ =~ /^nothing came/;

        } elsif ($r->status == 503) {
            $told->{unread}++;

        } elsif ($r->status != 200) {
            $told->{why}{'the status: ' . $r->status}++;

        } elsif ($r->{complete} && eval { JSON::PP::decode_json($r->body)->{workers} }) {
            $told->{read}++;

        } elsif ($r->{complete}) {
            $told->{why}{'the status is no JSON'}++;
        }
    }
}


# ---- who listens

# Half of them have WebSockets, a third sleeps now and then.
sub subscriber {
    my ($self, $load, $k) = @_;

    my $channel = $CHANNELS[$k / 2 % @CHANNELS];
    my $ws = $k > $SUBSCRIBERS / 2;
    my $told = $load->{told};

    while (!$load->stopped) {
        my $next = eval { $ws ? $self->socket_of($channel) : $self->stream_of($channel) };

        if (!$next) {
            $told->{why}{"a subscriber: $@"}++ if $@ =~ /^nothing came/;
            next;
        }

        my $s = { k => $k, channel => $channel, missed => 0, last => {}, at => {},
            kind => $ws ? 'a WebSocket' : 'a subscription' };

        while (defined(my $line = $next->(sub { $load->stopped }))) {
            $self->hears($told, $s, $line);
            last if $s->{ended};
            sleep 2 if $k % 3 == 0 && $line !~ /calm/ && rand() < 0.0005;
        }

        $self->note("out $k");
        last if $load->stopped;

        my $how = $s->{ended} // 'cut off';

        $told->{ended}{"$s->{kind}: $how"}++;
        $told->{cut}{ $s->{pid} } = 1 if defined $s->{pid} && $how =~ /^(?:cut off|1001)$/;
    }
}


# Each gives a function that gives the next line, "missed message", or undef.
sub stream_of {
    my ($self, $channel) = @_;

    my $c = $self->{n}->connect(timeout => $NginxAsync::Torture::BOUND, rcvbuf => 8192)
        ->send_request('GET', "/subscribe?c=$channel", version => '1.0');

    my $head = $c->read_until("\r\n\r\n") // return;
    $head =~ / 200 / or return;

    return sub { comes($c, @_) ? $c->read_until("\n") : undef };
}


sub socket_of {
    my ($self, $channel) = @_;

    my $ws = NginxAsync::WebSocket->new($self->{n}, "/subscribed?c=$channel",
        timeout => $NginxAsync::Torture::BOUND);

    return sub {
        while (comes($ws->connection, @_)) {
            my $f = eval { $ws->frame_in } // return;

            return $f->{data} =~ /^pid/ ? $f->{data} : "0 $f->{data}" if $f->{opcode} == 1;
            return 'end ' . unpack 'n', $f->{data} if $f->{opcode} == 8;
            $ws->pong($f->{data}) if $f->{opcode} == 9;
        }

        return;
    };
}


# Something is there to be read, if only the end; not: it is to stop.
sub comes {
    my ($c, $stopped) = @_;

    my $select = IO::Select->new($c->socket);

    while (!length $c->buffered) {
        return 1 if $select->can_read(0.5);
        return 0 if $stopped->();
    }

    return 1;
}


sub hears {
    my ($self, $told, $s, $line) = @_;

    if ($line =~ /^(\d+) (\d+) (\d+) *$/) {
        $told->{why}{"$s->{kind} is told of $1 missed messages"}++ if $1 > $MOST;
        $s->{missed} += $1;
        $told->{heard}++;
        $told->{missed} += $1;
        $self->reaches($told, $s, $2, $3);
        $s->{last}{$2} = $3;

    } elsif ($line =~ /^(\d+) calm:(\d+):(\d+):(\S+) /) {
        my ($missed, $round, $pid, $next) = ($1, $2, $3, $4);

        # where all publishers are: the last of theirs have come
        $s->{missed} += $missed;

        for my $p (split /,/, $next) {
            my ($who, $number) = split /=/, $p;
            $self->reaches($told, $s, $who, $number);
            $s->{last}{$who} = $number - 1;
        }

        $self->note("calm $round $s->{k} $pid");

    } elsif ($line =~ /^(\d+) here:(\d+) /) {
        $s->{missed} += $1;
        $self->note("here $2 $s->{k}");

    } elsif ($line =~ /^pid (\d+)/) {
        $s->{pid} = $1;
        $self->note("in $s->{k} $1");

    } elsif ($line =~ /^end (.*)/) {
        $s->{ended} = $1;

    } elsif ($line =~ /\n\z/ || $s->{kind} eq 'a WebSocket') {
        $told->{why}{"$s->{kind} hears \"$line\""}++;
    }
}


# The next number of a publisher: what is between was missed, and is told.
sub reaches {
    my ($self, $told, $s, $p, $number) = @_;

    my $last = $s->{last}{$p};

    if (defined $last && $number <= $last) {
        $told->{why}{"$s->{kind} hears $p $number after $last"}++;

    } elsif (defined $last && $number - $last - 1 > $s->{missed} - $s->{at}{$p}) {
        $told->{gaps}{join ' ', $p, $s->{channel}, $last + 1, $number - 1,
            $s->{missed} - $s->{at}{$p}, $s->{kind}} = 1;
    }

    $s->{at}{$p} = $s->{missed};
}


# A line for the calm, of one write.
sub note {
    my ($self, $line) = @_;

    open my $file, '>>', $self->{seen} or die "$self->{seen}: $!";
    syswrite $file, "$line\n";
}


# ---- the calm

sub calm {
    my ($self, $round) = @_;

    my ($t, $n) = @$self{qw(t n)};

    $n->wait_until(sub { $n->workers == $t->{workers} && !$n->leaving_workers }, 60)
        or return $self->finding('there are', scalar $n->workers, 'workers, and',
            scalar $n->leaving_workers, 'that do not leave');

    my %worker = map { $_ => 1 } $n->workers;

    $n->wait_until(sub { $SUBSCRIBERS == grep { $worker{$_} } values %{ $self->subscribed } }, 60)
        or return $self->finding('subscribers do not come again');

    $self->all_hear($round) or return;

    my $channel = $CHANNELS[$round % @CHANNELS];
    my @all = $self->one_in_each($channel, \%worker) or return;
    my @pids = $self->publish_in_each($round, \%worker) or return;

    for my $s (@all) {
        for my $pid (@pids) {
            my $line = eval { $s->{c}->read_until("\n") } // 'nothing';

            $line =~ /^0 calm:$round:$pid:/
                or return $self->finding("in a calm, $s->{pid} hears \"", $line =~ s/\s+\z//r,
                    "\" for what $pid has said");
        }
    }

    my $want = $SUBSCRIBERS * @pids;
    my $have;

    $n->wait_until(sub { ($have = () = $self->seen =~ /^calm $round /mg) == $want })
        or return $self->finding("in a calm, $have of $want messages come");

    return 1;
}


sub seen { return NginxAsync::Env::slurp($_[0]{seen}) }

# Each has read what there was for it.  One that was too slow for that may find
# that it was closed: it hears the next time, when it has come again.
sub all_hear {
    my ($self, $round) = @_;

    my %here;

    my $ask = sub {
        my $r = eval { $self->{n}->get("/publish?c=$_[0]&p=here:$round", timeout => $NginxAsync::Torture::BOUND) };
        return $r && $r->status == 200;
    };

    $self->{n}->wait_until(sub {
        $ask->($_) || return for @CHANNELS;
        sleep 0.2;
        %here = map { $_ => 1 } $self->seen =~ /^here $round (\d+)$/mg;
        return keys %here == $SUBSCRIBERS;
    }, 60) or return $self->finding('in a calm,', scalar keys %here, "of $SUBSCRIBERS subscribers hear");

    return 1;
}


# Which worker each has.
sub subscribed {
    my ($self) = @_;

    my %of;

    for (split /\n/, $self->seen) {
        $of{$1} = $2 if /^in (\d+) (\d+)/;
        delete $of{$1} if /^out (\d+)/;
    }

    return \%of;
}


sub one_in_each {
    my ($self, $channel, $worker) = @_;

    my %of;

    for (1 .. 500) {
        my $c = $self->{n}->connect(timeout => $NginxAsync::Torture::BOUND)
            ->send_request('GET', "/subscribe?c=$channel", version => '1.0');

        my ($pid) = ($c->read_until("\n\r\n") // '', $c->read_until("\n") // '')[1] =~ /^pid (\d+)/
            or return $self->finding('in a calm, one cannot subscribe');

        $of{$pid} //= { c => $c, pid => $pid };
        return values %of if keys %of == keys %$worker;
    }

    return $self->finding('in a calm,', scalar keys %of, 'workers take subscribers');
}


# Through each worker, to each channel: who has published, in that order.
sub publish_in_each {
    my ($self, $round, $worker) = @_;

    my %done;
    my @pids;

    for (1 .. 500) {
        my $c = $self->{n}->connect(timeout => $NginxAsync::Torture::BOUND);
        my $ask = sub { $c->request('GET', '/publish?' . join '&', @_)->body =~ /^right (\d+)/; $1 };
        my $pid = $ask->('c=none', 'p=0') or return $self->finding('in a calm, one cannot publish');

        next if $done{$pid}++;
        push @pids, $pid;

        for my $channel (@CHANNELS) {
            my $next = join ',', map { "$_=$self->{next}{$_}{$channel}" } 1 .. $PUBLISHERS;

            ($ask->("c=$channel", "p=calm:$round:$pid:$next") // 0) == $pid
                or return $self->finding("in a calm, $pid does not publish");
        }

        return @pids if @pids == keys %$worker;
    }

    return $self->finding('in a calm,', scalar @pids, 'workers publish');
}


# ---- the verdict

sub verdict {
    my ($self, $told) = @_;

    my $log = $self->{n}->log($self->{mark});
    my $repaired = () = $log =~ /the log is repaired/g;
    my %gone = (%{ $self->{dead} }, map { $_ => 1 } $log =~ /(\d+)#\d+: gracefully shutting down/g);

    $self->{say}->(join ', ', (map { "$self->{count}{$_} $_" } sort keys %{ $self->{count} }),
        map { ($told->{$_} // 0) . " $_" } qw(heard missed));
    $self->{say}->(join ', ', "the log was repaired $repaired times",
        map { "$told->{ended}{$_} ended: $_" } sort keys %{ $told->{ended} // {} });

    $self->finding("$_ ($told->{why}{$_} times)") for sort keys %{ $told->{why} };
    $self->finding('the status was not readable')
        if $self->{count}{'times the status'} <= $self->{count}{'times no status'};
    $self->finding('nothing was heard') if !$told->{heard};
    $self->finding("a subscriber was cut off by $_, which lives")
        for grep { !$gone{$_} } keys %{ $told->{cut} // {} };
    $self->finding("it has ended: $_") for grep { !/shuts down|10(?:01|12|13)$|cut off/ }
        keys %{ $told->{ended} // {} };

    for my $gap (sort keys %{ $told->{gaps} // {} }) {
        my ($p, $channel, $from, $to, $missed, $kind) = split / /, $gap, 6;
        my $unsure = $self->{unsure}{"$p $channel"} // {};
        my $lost = grep { !$unsure->{$_} } $from .. $to;

        $self->finding("$kind to $channel has not $lost messages of $p, of $from to $to, and is told of $missed")
            if $lost > $missed;
    }

    $self->finding($_) for NginxAsync::Verdict::bad_lines($log, @{ $self->{n}{allow} });
}

1;
