package NginxAsync::Torture::Reloads;

=head1 NAME

NginxAsync::Torture::Reloads - reloads under load, without a failed request

=head1 SYNOPSIS

    my @findings = NginxAsync::Torture::Reloads::run($torture, 1000, sub { say @_ });

No request fails, WebSockets are closed with 1012 and come back, all workers of
old generations end, and the master neither grows with the number of reloads nor
keeps a descriptor.

=cut

use strict;
use warnings;

use NginxAsync::Env;
use NginxAsync::Server;
use NginxAsync::Torture;
use NginxAsync::Torture::Kills;
use NginxAsync::Torture::Load;
use NginxAsync::Verdict;

my @MIX = qw(hello blocking params json model invalid form pg pg-transaction pg-pipeline fetch
    subrequest files send-file tasks background stream shared count channel depends access set
    wait);


# MiB of the master, its own: what is shared with a file does not count.
sub memory {
    my ($n) = @_;

    my $path = '/proc/' . $n->master . '/status';

    return NginxAsync::Server::read_or_empty($path) =~ /^RssAnon:\s+(\d+) kB/m ? $1 / 1024 : 0;
}


sub old_are_gone {
    my ($t, $n) = @_;

    return $n->wait_until(sub {
        my @children = NginxAsync::Server::children($n->master);
        return @children == $t->{workers};
    }, 90);
}


sub run {
    my ($t, $times, $say) = @_;

    my $n = $t->server(http => "    async_shutdown_timeout 30s;\n")->start;
    my $mark = $n->mark;

    my @mix  = grep { $t->database || !NginxAsync::Torture::one($_)->{pg} } @MIX;
    my $load = NginxAsync::Torture::Load->new($t, $n, clients => 3, listeners => 2, keep => 1,
        cases => \@mix);

    my (@findings, $early, $fds);
    my $first = 1 + int($times / 10);
    my $done = 0;

    for my $i (1 .. $times) {
        last if $t->late;

        if (defined(my $why = $n->reload(bound => 60))) {
            push @findings, "reload $i: $why";
            last;
        }

        $done = $i;

        if ($i == $first) {
            old_are_gone($t, $n) or push @findings, "workers of old generations stay ($i reloads)";
            $early = memory($n);
            $fds = NginxAsync::Torture::Kills::as_text(
                NginxAsync::Torture::Kills::descriptors($n->master));
        }

        $say->("$i of $times reloads") if $i % 50 == 0;
    }

    my $told = $load->stop;

    old_are_gone($t, $n) or push @findings, 'workers of old generations stay';

    $say->(sprintf '%d reloads: %d right, %d asked again on another connection; WebSockets: %s',
        $done, $told->{right}, $told->{again}, join ', ',
        map { "$told->{closed}{$_} closed with $_" } sort keys %{ $told->{closed} || {} });

    push @findings, map { "$_ ($told->{why}{$_} times)" } sort keys %{ $told->{why} };
    push @findings, "a WebSocket was closed with $_" for grep { $_ != 1012 } keys %{ $told->{closed} || {} };
    push @findings, 'no WebSocket was closed' if $done && !$told->{closed}{1012};

    push @findings, grown($n, $done - $first, $early, $fds, $say) if defined $early;
    push @findings, NginxAsync::Verdict::bad_lines($n->log($mark));

    $n->stop;

    return @findings;
}


# What the master has more than after the first tenth of them.
sub grown {
    my ($n, $times, $early, $fds, $say) = @_;

    my @findings;
    my $now = memory($n);

    $say->(sprintf 'the master: %.1f MiB, after %d more reloads %.1f MiB', $early, $times, $now);

    # AddressSanitizer keeps what has been freed
    if (!NginxAsync::Env::asan() && $now > $early + 2 + $early / 4) {
        push @findings, sprintf 'the master grew from %.1f to %.1f MiB', $early, $now;
    }

    my $later;
    $n->wait_until(sub {
        $later = NginxAsync::Torture::Kills::as_text(NginxAsync::Torture::Kills::descriptors($n->master));
        return $later eq $fds;
    }, 10) or push @findings, "descriptors of the master: $fds; afterwards $later";

    return @findings;
}

1;
