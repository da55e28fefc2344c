package NginxAsync::Torture::Kills;

=head1 NAME

NginxAsync::Torture::Kills - workers die, under load, and the rest goes on

=head1 SYNOPSIS

    my @findings = NginxAsync::Torture::Kills::run($torture, 100, sub { say @_ });

Workers are ended in turn by SIGKILL, SIGSEGV and SIGTERM.  Afterwards the
dictionary and the channels are right, the database has no session of the dead,
and the master no zombie and no descriptor that it had not before.

=cut

use strict;
use warnings;

use NginxAsync::Env;
use NginxAsync::Server;
use NginxAsync::Torture;
use NginxAsync::Torture::Load;
use NginxAsync::Verdict;

my @MIX = qw(hello blocking model form pg pg-transaction pg-pipeline fetch files tasks
    ws ws-deflate ws-channel channel shared count pairs depends stream);


# Descriptors, by what they are.
sub descriptors {
    my ($pid) = @_;

    my %fds;
    $fds{ s/\[\d+\]/[]/r }++ for grep { defined } map { readlink } glob "/proc/$pid/fd/*";

    return \%fds;
}


sub as_text {
    my ($fds) = @_;

    return join ', ', map { "$fds->{$_} $_" } sort keys %$fds;
}


sub zombies {
    my ($pid) = @_;

    return grep { NginxAsync::Server::read_or_empty("/proc/$_/stat") =~ /\) Z / }
        NginxAsync::Server::children($pid);
}


# AddressSanitizer would report it.
sub segv { return NginxAsync::Env::asan() ? 'ABRT' : 'SEGV' }

sub run {
    my ($t, $times, $say) = @_;

    my $n = $t->server(allow => [qr/worker process \d+ exited on signal/])->start;
    my $mark = $n->mark;

    $n->workers($t->{workers}, 30) or return 'there are too few workers';

    my $fds  = as_text(descriptors($n->master));
    my @mix  = grep { $t->database || !NginxAsync::Torture::one($_)->{pg} } @MIX;
    my $load = NginxAsync::Torture::Load->new($t, $n, clients => 4, cases => \@mix);

    my (@findings, %count);
    my @signals = ('KILL', segv(), 'TERM');

    for my $i (1 .. $times) {
        last if $t->late;

        my $signal = $signals[$i % @signals];
        my @workers = $n->workers;
        my $pid = $workers[rand @workers];

        # load in between: some requests have to pass
        my $before = -s $n->root . '/logs/access.log';
        $n->wait_until(sub { -s $n->root . '/logs/access.log' > $before + 500 });

        kill $signal, $pid;
        $count{$signal}++;

        if (!$n->wait_until(sub {
                !NginxAsync::Server::alive($pid) && $n->workers == $t->{workers};
            }))
        {
            push @findings, "no new worker after SIG$signal (" . $n->workers . ' of them)';
            last;
        }

        $say->("$i of $times workers have died") if $i % 10 == 0;
    }

    my $told = $load->stop;

    $say->(join ' ', map({ "$count{$_} by SIG$_," } sort keys %count),
        map { "$told->{$_} $_" } qw(right refused));

    push @findings, map { "under load: $_ ($told->{why}{$_} times)" }
        grep { / is no |: wrong|: hangs|client/ } keys %{ $told->{why} };
    push @findings, "few requests were right: $told->{right}" if $told->{right} < $times;
    push @findings, after($t, $n, $told, $fds);
    push @findings, grep { !/exited on signal/ }
        NginxAsync::Verdict::bad_lines($n->log($mark));

    $n->stop;

    return @findings;
}


sub after {
    my ($t, $n, $told, $fds) = @_;

    my @findings;

    # each worker comes to its turn
    for my $case (NginxAsync::Torture::cases()) {
        next if $case->{pg} && !$t->database;

        for (1 .. 2) {
            my ($state, $why) = $t->ask($n, $case);
            push @findings, "afterwards $case->{name} is $state: $why" if $state ne 'right';
        }
    }

    push @findings, counter($n, $told->{case}{count});

    if ($t->database) {
        my $most = $t->{workers} * $t->connections;
        $n->wait_until(sub {
            $t->database->backends(application_name => 'nginx-async') <= $most;
        }) or push @findings, "the database has more than $most sessions";
    }

    my $now;
    $n->wait_until(sub { ($now = as_text(descriptors($n->master))) eq $fds }, 10)
        or push @findings, "descriptors of the master: $fds; afterwards $now";

    $n->wait_until(sub { !zombies($n->master) }, 10) or push @findings, 'there are zombies';

    return @findings;
}


# Between what was answered and what was asked for, this one included.
sub counter {
    my ($n, $asked) = @_;

    my $right = ($asked->{right} // 0) + 1;
    my $most = $right + ($asked->{refused} // 0) + 2;

    $n->get('/count')->body =~ /"count": ?(\d+)/ or return 'the counter has no number';

    return $1 >= $right && $1 <= $most ? () : "the counter has $1, $right to $most are right";
}

1;
