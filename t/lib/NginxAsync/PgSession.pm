package NginxAsync::PgSession;

=head1 NAME

NginxAsync::PgSession - a connection of a NginxAsync::Pg that stays

=head1 SYNOPSIS

    my $session = $pg->session('BEGIN', 'LOCK TABLE t');

    is $session->sql('SELECT 1'), 1;
    $session->send('SELECT pg_sleep(1)');   # does not wait
    $session->answer;                       # does
    $session->close;

It is a psql, whose statements run one after another.

=cut

use strict;
use warnings;

use Carp ();
use IO::Handle;
use POSIX ();
use Socket ();

use NginxAsync::Guard;

my $BOUND = 60;

sub new {
    my ($class, $pg) = @_;

    socketpair my $ours, my $its, Socket::AF_UNIX, Socket::SOCK_STREAM, 0 or die "socketpair: $!";

    NginxAsync::Guard::tell_watchdog('hello');
    my $pid = fork // die "fork: $!";

    if ($pid == 0) {
        NginxAsync::Guard::enlist();
        open STDIN,  '<&', $its;
        open STDOUT, '>&', $its;
        open STDERR, '>&', $its;
        exec $pg->psql or POSIX::_exit(127);
    }

    setpgrp $pid, $pid;
    $ours->autoflush;

    return bless { pid => $pid, fh => $ours, owner => $$ }, $class;
}


# What it prints; or, after send(), what that has printed.
sub sql { my ($self, $text) = @_; $self->send($text); return $self->answer }

# The statement may wait for what another one holds.
sub send {
    my ($self, $text) = @_;

    local $SIG{PIPE} = 'IGNORE';
    print { $self->{fh} } "$text;\n\\echo ---\n";
}


sub answer {
    my ($self) = @_;

    my $out = '';
    local $SIG{ALRM} = sub { die "psql: no answer\n" };
    alarm $BOUND;

    while (defined(my $line = readline $self->{fh})) {
        last if $line eq "---\n";
        $out .= $line;
    }

    alarm 0;
    chomp $out;
    Carp::croak("psql: $out") if $out =~ /^(?:ERROR|FATAL):/m;

    return $out;
}


# By force, as it may wait: the server takes its transaction back.
sub close {
    my ($self) = @_;

    my $pid = delete $self->{pid} // return;
    return if $self->{owner} != $$;

    local $?;
    kill 'KILL', -$pid;
    waitpid $pid, 0;
    NginxAsync::Guard::forget($pid);
}


sub DESTROY { local ($@, $?, $!); $_[0]->close }

1;
