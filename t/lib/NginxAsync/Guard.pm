package NginxAsync::Guard;

=head1 NAME

NginxAsync::Guard - no file and no process outlives the test file

=head1 SYNOPSIS

    my $dir = NginxAsync::Guard::temp_dir('nginx');
    # in a child, before exec: its process group dies with the test
    NginxAsync::Guard::enlist();
    # and where no exec follows
    NginxAsync::Guard::enlist_perl();
    NginxAsync::Guard::forget($pgid);
    # a PostgreSQL's data: its backends are sessions of their own
    NginxAsync::Guard::adopt_cluster($dir);
    NginxAsync::Guard::end_cluster($dir);

A small process of our own (the watchdog) holds the reading end of a pipe
whose writing end only the test has.  However the test ends, kill -9 and
Ctrl-C included, the pipe closes; then the watchdog kills the process groups
that were enlisted and removes the folders.  Only groups that enlisted
themselves, and processes that work in a cluster's data, are ever signalled.

=cut

use strict;
use warnings;

use Fcntl qw(F_SETFD FD_CLOEXEC);
use File::Path ();
use File::Temp ();
use File::Spec ();
use IPC::SysV  qw(IPC_RMID);
use POSIX      ();
use Time::HiRes ();

# before our END block, so that ours runs while failures still count
use Test::More ();

my ($pipe, $watchdog, $owner);
my %dirs;
my @at_end;

# A folder that the workers' user can enter; gone when the test ends.
sub temp_dir {
    my ($label) = @_;

    my $base = $ENV{TEST_NGINX_TMPDIR} || File::Spec->tmpdir();
    my $dir  = File::Temp::mkdtemp("$base/nginx-async-$label-XXXXXX");

    # mkdtemp says 0700, and workers run as somebody else
    chmod 0755, $dir or die "chmod $dir: $!";
    adopt_dir($dir);

    return $dir;
}


sub adopt_dir {
    my ($dir) = @_;

    tell_watchdog("dir $dir");
    $dirs{$dir} = 1;
}


sub remove_dir {
    my ($dir) = @_;

    File::Path::remove_tree($dir) if delete $dirs{$dir} && keeps_nothing();
    tell_watchdog("nodir $dir");
}


# The data of a PostgreSQL that the test makes: whoever works there dies with it.
sub adopt_cluster { my ($dir) = @_; tell_watchdog("cluster $dir") }

sub keeps_nothing { return !$ENV{TEST_NGINX_NO_CLEAN} }


# Called in the child between fork and exec, so that there is no moment in
# which the group exists and the watchdog has not heard of it.
sub enlist {
    setpgrp(0, 0);
    syswrite $pipe, "group $$\n";
}


# The same in a child that does not exec: the pipe is not for it to hold.
sub enlist_perl {
    enlist();
    close $pipe;
}


sub forget {
    my ($pgid) = @_;

    tell_watchdog("gone $pgid");
}


# Starts the watchdog too: it must run before the first enlist().
sub tell_watchdog {
    my ($line) = @_;

    start_watchdog() if !$owner;
    return if $owner != $$;

    local $SIG{PIPE} = 'IGNORE';
    syswrite $pipe, "$line\n";
}


# Handlers run at the end of the test, before the folders go.
sub at_end {
    my ($handler) = @_;

    start_watchdog() if !$owner;
    push @at_end, $handler;
}


sub start_watchdog {
    pipe(my $reader, my $writer) or die "pipe: $!";
    fcntl($writer, F_SETFD, FD_CLOEXEC);

    my $pid = fork() // die "fork: $!";

    if ($pid == 0) {
        close $writer;
        watch($reader);
        POSIX::_exit(0);
    }

    close $reader;
    ($pipe, $watchdog, $owner) = ($writer, $pid, $$);
}


# The watchdog's whole life.  It leaves the terminal's group, or Ctrl-C
# would end it together with the test.
sub watch {
    my ($reader) = @_;

    POSIX::setsid();
    $SIG{$_} = 'IGNORE' for qw(INT TERM HUP PIPE);

    open STDIN,  '<', '/dev/null';
    open STDOUT, '>', '/dev/null';
    open STDERR, '>', '/dev/null';

    my (%group, %dir, %cluster);

    while (my $line = <$reader>) {
        my ($word, $what) = $line =~ /^(\w+) (.*)$/ or next;

        if    ($word eq 'group') { $group{$what} = 1 }
        elsif ($word eq 'gone')  { delete $group{$what} }
        elsif ($word eq 'dir')   { $dir{$what} = 1 }
        elsif ($word eq 'nodir') { delete $dir{$what} }
        elsif ($word eq 'cluster')   { $cluster{$what} = 1 }
        elsif ($word eq 'nocluster') { delete $cluster{$what} }
    }

    kill_groups(keys %group);
    end_cluster($_) for keys %cluster;

    if (keeps_nothing()) {
        File::Path::remove_tree($_, { error => \my $err }) for keys %dir;
    }
}


# Zombies count as well, and wait for init: the bound is a short one.
sub kill_groups {
    my (@groups) = @_;

    for (1 .. 20) {
        @groups = grep { kill 'KILL', -$_ } @groups or return;
        Time::HiRes::sleep(0.01);
    }
}


# A server and its backends have their data as working directory, whoever their
# parent is by now, and whether they are stopped or not.
sub inhabitants {
    my ($dir) = @_;

    return grep { (readlink "/proc/$_/cwd" // '') eq $dir }
        map { m{(\d+)} } glob '/proc/[0-9]*';
}


# All of them at once, until there are none: false after the bound.
sub kill_inhabitants {
    my ($dir) = @_;

    for (1 .. 500) {
        my @pids = inhabitants($dir) or return 1;
        kill 'KILL', @pids;
        Time::HiRes::sleep(0.01);
    }

    return 0;
}


# The segment of shared memory by which a server knows that its data is in use
# is the one thing that outlives kill -9; the server wrote down which it is.
sub end_cluster {
    my ($dir) = @_;

    kill_inhabitants($dir);

    if (open my $file, '<', "$dir/postmaster.pid") {
        my $line = (<$file>)[6] // '';
        shmctl $1, IPC_RMID, 0 if $line =~ /^\s*\d+\s+(\d+)\s*$/;
    }

    tell_watchdog("nocluster $dir");
}


END {
    if ($owner && $owner == $$) {
        my $status = $?;

        $_->() for splice @at_end;

        # a failure that was found just now must show in the exit code, too
        $status ||= $?;

        remove_dir($_) for keys %dirs;
        close $pipe;
        waitpid $watchdog, 0;

        $? = $status;
    }
}

1;
