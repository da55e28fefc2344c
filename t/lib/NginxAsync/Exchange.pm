package NginxAsync::Exchange;

=head1 NAME

NginxAsync::Exchange - sends a block's request and takes what comes back

=head1 SYNOPSIS

    my ($bytes, $error) = NginxAsync::Exchange::talk(\%where, $request);
    my ($bytes, $error) = NginxAsync::Exchange::by_curl($stderr, @command);
    my $ok = NginxAsync::Exchange::closed($port, $client_port, $bound);

=cut

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use POSIX ();
use Time::HiRes qw(sleep time);

use NginxAsync::Server;

# Where: addr, port, timeout (between two events), middle_delay, shutdown.
# Sending and receiving go on together, until the server closes.  Sets
# $where->{client_port}.
sub talk {
    my ($where, $request) = @_;

    my $socket = IO::Socket::INET->new(PeerAddr => $where->{addr},
        PeerPort => $where->{port}, Proto => 'tcp',
        Timeout => $where->{timeout})
        or return ('', "cannot connect to port $where->{port}: $@");

    $socket->blocking(0);
    $where->{client_port} = $socket->sockport;
    local $SIG{PIPE} = 'IGNORE';

    my $t = { socket => $socket, packets => [@$request], out => '', in => '',
        first => 1, where => $where };

    my $error = exchange($t);
    close $socket;

    return ($t->{in}, $error);
}


sub exchange {
    my ($t) = @_;

    my $select = IO::Select->new($t->{socket});

    next_packet($t);

    while (1) {
        my ($readable, $writable) = IO::Select->select($select,
            $t->{sent} ? undef : $select, undef, $t->{where}{timeout});

        return 'timed out' if !$readable;

        if (@$readable) {
            my $n = sysread $t->{socket}, $t->{in}, 65536, length $t->{in};
            return if defined $n && $n == 0;
            return "reading: $!" if !defined $n && !$!{EAGAIN};
        }

        # an error while writing will show when reading
        send_some($t) if @$writable && !$t->{sent};
    }
}


sub send_some {
    my ($t) = @_;

    my $n = syswrite $t->{socket}, $t->{out};

    if (!defined $n) {
        $t->{sent} = 1 if !$!{EAGAIN};
        return;
    }

    substr $t->{out}, 0, $n, '';

    next_packet($t) if !length $t->{out};
}


# Delays are part of the test: this is where the client pauses.
sub next_packet {
    my ($t) = @_;

    my $packet = shift @{ $t->{packets} };

    if (!$packet) {
        $t->{sent} = 1;
        shutdown $t->{socket}, $t->{where}{shutdown}
            if defined $t->{where}{shutdown};
        return;
    }

    my $delay = $packet->{delay_before}
        // ($t->{first} ? 0 : $t->{where}{middle_delay});

    sleep $delay if $delay;

    $t->{first} = 0;
    $t->{out}   = $packet->{value};

    next_packet($t) if !length $t->{out};
}


# What curl prints; the second value is its standard error.
sub by_curl {
    my ($stderr, @command) = @_;

    my $pid = open(my $pipe, '-|') // die "fork: $!";

    if ($pid == 0) {
        open STDERR, '>', $stderr;
        exec @command or POSIX::_exit(127);
    }

    my $out = do { local $/; <$pipe> } // '';
    close $pipe;

    return ($out, NginxAsync::Server::read_or_empty($stderr));
}


# The log phase may come after the client has seen the end of the stream.
# It is over when the server no longer owns its side of the connection (of
# any one to its port, if the client's port is not known).
sub closed {
    my ($port, $client_port, $bound) = @_;

    my $server = sprintf ':%04X', $port;
    my $client = defined $client_port ? sprintf ':%04X', $client_port : ':';

    return NginxAsync::Server::wait_until($bound, sub {
        my @lines = split /\n/,
            NginxAsync::Server::read_or_empty('/proc/net/tcp');

        for my $line (@lines) {
            index($line, $server) > 0 && index($line, $client) > 0 or next;

            my (undef, $local, $remote, $state, @rest) = split ' ', $line;

            return 0 if $local =~ /$server$/ && $remote =~ /$client/
                && $state ne '0A' && $rest[5] != 0;
        }

        return 1;
    });
}

1;
