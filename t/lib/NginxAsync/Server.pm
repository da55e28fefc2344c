package NginxAsync::Server;

=head1 NAME

NginxAsync::Server - one nginx process tree: start, signal, look, stop

=head1 SYNOPSIS

    my $server = NginxAsync::Server->new(root => $dir);
    $server->start or die $server->output;
    $server->signal('HUP');
    my @problems = $server->stop('QUIT');

Used by both styles of test; a test itself uses NginxAsync.  Nothing is
asserted here: what is wrong comes back as text.

=cut

use strict;
use warnings;

use POSIX qw(WNOHANG);
use Time::HiRes qw(sleep time);

use NginxAsync::Env;
use NginxAsync::Guard;
use NginxAsync::Verdict;

my $TICK = 0.002;

# Options: root (the prefix, which has conf/ and logs/), env (a hash for
# nginx's environment).
sub new {
    my ($class, %self) = @_;

    return bless {
        env => {},
        %self,
        conf    => "$self{root}/conf/nginx.conf",
        log     => "$self{root}/logs/error.log",
        pidfile => "$self{root}/logs/nginx.pid",
        console => "$self{root}/logs/console",
        reports => "$self{root}/reports",
    }, $class;
}


sub pid     { return $_[0]{pid} }
sub status  { return $_[0]{status} }
sub output  { return read_or_empty($_[0]{console}) }
sub running { my ($self) = @_; $self->reap; return defined $self->{pid} }


sub command {
    my ($self, @more) = @_;

    return (NginxAsync::Env::binary(), '-p', "$self->{root}/",
        '-e', $self->{log}, '-c', $self->{conf}, @more);
}


# True once nginx serves.  False when it has exited: see status, output, log.
sub start {
    my ($self, $bound) = @_;

    unlink $self->{pidfile};
    $self->{status}     = undef;
    $self->{has_master} = read_or_empty($self->{conf})
        !~ /^\s*master_process\s+off\s*;/m;

    $self->spawn;

    my $up = wait_until($bound // (NginxAsync::Env::valgrind() ? 120 : 30), sub {
        return 1 if !$self->running;
        return 0 if read_or_empty($self->{pidfile}) !~ /^$self->{pid}$/m;
        return !$self->{has_master} || $self->workers;
    });

    return 0 if !defined $self->{pid};
    die "nginx does not get ready, see $self->{log}\n" if !$up;

    $self->{served}       = 1;
    $self->{serving_from} = -s $self->{log} // 0;

    return 1;
}


# A watchdog takes the whole group away should the test die.
sub spawn {
    my ($self) = @_;

    mkdir $self->{reports};
    chmod 01777, $self->{reports};

    NginxAsync::Guard::tell_watchdog('hello');
    my $pid = fork() // die "fork: $!";

    if ($pid == 0) {
        NginxAsync::Guard::enlist();
        $self->become_nginx;
    }

    # both sides set the group, whoever comes first
    setpgrp($pid, $pid);
    @$self{qw(pid group)} = ($pid, $pid);
}


sub become_nginx {
    my ($self) = @_;

    $self->set_environment;

    $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP PIPE CHLD ALRM);

    open STDIN,  '<',  '/dev/null';
    open STDOUT, '>>', $self->{console};
    open STDERR, '>&', \*STDOUT;

    my @command = ($self->valgrind, $self->command);

    exec { $command[0] } @command or POSIX::_exit(127);
}


# What it complains of is a report as that of a sanitizer; quiet, it writes
# nothing else.
sub valgrind {
    my ($self) = @_;

    return if !NginxAsync::Env::valgrind();

    return ('valgrind', '--quiet', "--log-file=$self->{reports}/report.%p", '--vgdb=no',
        '--leak-check=no', "--suppressions=$NginxAsync::Env::Root/t/valgrind.supp");
}


sub set_environment {
    my ($self) = @_;

    my %env = (NginxAsync::Verdict::sanitizer_env($self->{reports}),
        %{ $self->{env} });
    my $library = NginxAsync::Env::preload();

    @ENV{ keys %env } = values %env;

    if (!$library && $ENV{LD_PRELOAD} && NginxAsync::Env::asan()) {
        # a nginx that is sanitized itself wants its library before any other
        $library = NginxAsync::Env::asan_library();
    }

    if ($library) {
        $ENV{LD_PRELOAD} = join ' ', $library, $ENV{LD_PRELOAD} // ();
    }
}


# nginx -t: its exit status and what it said.
sub conf_test {
    my ($self, $conf) = @_;

    local $self->{conf} = $conf // $self->{conf};

    my $pid = open(my $pipe, '-|') // die "fork: $!";

    if ($pid == 0) {
        open STDERR, '>&', \*STDOUT;
        $self->set_environment;
        exec $self->command('-t') or POSIX::_exit(127);
    }

    my $out = do { local $/; <$pipe> } // '';
    close $pipe;

    return ($? >> 8, $out);
}


# ---- looking

# Pids of the workers that serve; those that shut down are not among them.
sub workers {
    my ($self) = @_;

    my $pid = $self->{pid} // return;
    return $pid if !$self->{has_master};

    return grep { $self->title_of($_) =~ /worker process$/ } children($pid);
}


sub leaving_workers {
    my ($self) = @_;

    return grep { $self->title_of($_) =~ /shutting down/ } children($self->{pid});
}


# Under valgrind a process has no title: it is a worker when it has once waited
# for events, and the log says of those that leave.
sub title_of {
    my ($self, $pid) = @_;

    return title($pid) if !NginxAsync::Env::valgrind();

    # epoll_wait() or epoll_pwait() of amd64, or of arm64
    $self->{waited}{$pid} ||= read_or_empty("/proc/$pid/syscall") =~ /^(?:232|281|22) /;
    return '' if !$self->{waited}{$pid};

    return $self->log_from(0) =~ /\] \Q$pid\E#\d+: gracefully shutting down/
        ? 'worker process is shutting down' : 'worker process';
}


sub children {
    my ($pid) = @_;

    my $file = "/proc/$pid/task/$pid/children";
    return split ' ', -e $file ? read_or_empty($file) : qx{pgrep -P $pid};
}


sub title {
    my ($pid) = @_;

    my $title = read_or_empty("/proc/$pid/cmdline");
    $title =~ s/[\0\s]+\z//;

    return $title;
}


sub alive {
    my ($pid) = @_;

    return read_or_empty("/proc/$pid/stat") =~ /\) [^ZX] /;
}


# Inodes of the sockets that a process holds.
sub sockets {
    my ($pid) = @_;

    my %inodes;

    for my $fd (glob "/proc/$pid/fd/*") {
        my $target = readlink $fd // next;
        $inodes{$1} = 1 if $target =~ /^socket:\[(\d+)\]/;
    }

    return \%inodes;
}


# A worker that shuts down keeps accepting for a moment.  It has stopped when
# it no longer holds any socket that listens.
sub listens {
    my ($self, $pid) = @_;

    my $sockets = sockets($pid);

    for my $file (qw(tcp tcp6)) {
        my @lines = split /\n/, read_or_empty("/proc/$self->{pid}/net/$file");

        for my $line (@lines) {
            my (undef, undef, undef, $state, @rest) = split ' ', $line;
            return 1 if $state eq '0A' && $sockets->{ $rest[5] };
        }
    }

    return 0;
}


sub read_or_empty {
    my ($path) = @_;

    open my $fh, '<:raw', $path or return '';
    local $/;

    return scalar <$fh> // '';
}


# Bounded polling, the only way of waiting here.
sub wait_until {
    my ($bound, $condition) = @_;

    my $end = time + $bound;

    while (1) {
        my $result = $condition->();
        return $result if $result;
        return         if time > $end;
        sleep $TICK;
    }
}


# ---- signals and the end

sub signal {
    my ($self, $signal) = @_;

    return $self->running && kill $signal, $self->{pid};
}


sub reap {
    my ($self) = @_;

    my $pid = $self->{pid} // return;
    waitpid($pid, WNOHANG) == $pid or return;

    $self->{status} = $?;
    $self->{pid}    = undef;
}


# HUP, and until the new workers serve alone.  Returns the error when nginx
# stays with the old configuration.
sub reload {
    my ($self, $bound) = @_;

    $bound //= NginxAsync::Env::stop_timeout() + 5;

    my %old  = map { $_ => 1 } $self->workers;
    my $from = -s $self->{log} // 0;
    my $error;

    $self->signal('HUP') or return 'nginx does not run';

    my $done = wait_until($bound, sub {
        return 1 if !$self->running;
        $error = $1 if $self->log_from($from) =~ /(\[emerg\] .*)/;
        return 1 if $error;
        return 0 if !grep { !$old{$_} } $self->workers;
        return !grep { alive($_) && $self->listens($_) } keys %old;
    });

    return $error if $error;
    return 'no new workers within the bound' if !$done;
    return 'nginx is gone' if !$self->running;
    return;
}


# Returns what is wrong: a list of texts, empty when all is well.
sub stop {
    my ($self, $signal) = @_;

    $signal //= 'QUIT';

    my @problems;
    my $bound  = NginxAsync::Env::stop_timeout();
    my $served = delete $self->{served};

    if ($self->running) {
        $self->signal($signal);

        if (!$self->wait_exit($bound)) {
            push @problems, "nginx did not exit within $bound s after $signal"
                . ' (' . $self->who_stays . ')';
            $self->signal('TERM');
            $self->wait_exit(2);
        }
    }

    push @problems, $self->sweep;

    if ($served && $self->{status} && !@problems) {
        push @problems, 'nginx ended ' . ($self->{status} & 127
            ? 'on signal ' . ($self->{status} & 127)
            : 'with status ' . ($self->{status} >> 8));
    }

    return @problems, NginxAsync::Verdict::reports($self->{reports});
}


# Zombies are in a group, too, until somebody reaps them.
sub members {
    my ($group) = @_;

    return grep { read_or_empty($_) =~ /\) [^ZX] \d+ $group / }
        glob '/proc/[0-9]*/stat';
}


sub wait_exit {
    my ($self, $bound) = @_;

    return wait_until($bound, sub { return !$self->running });
}


sub who_stays {
    my ($self) = @_;

    return join ', ', map { "$_ " . title($_) }
        grep { defined } $self->{pid}, children($self->{pid} // 0);
}


# Whatever is left in the group must go, and is worth a word.
sub sweep {
    my ($self) = @_;

    my $group = delete $self->{group} // return;
    my $left  = kill(0, -$group) && members($group);

    if ($left) {
        kill 'KILL', -$group;
        wait_until(5, sub { $self->reap; return !members($group) });
    }

    NginxAsync::Guard::forget($group);

    return $left ? 'processes outlived the master and were killed' : ();
}


# ---- the log

sub log_size { return -s $_[0]{log} // 0 }


sub log_from {
    my ($self, $from) = @_;

    open my $fh, '<:raw', $self->{log} or return '';
    seek $fh, $from, 0;
    local $/;

    return scalar <$fh> // '';
}

1;
