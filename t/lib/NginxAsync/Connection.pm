package NginxAsync::Connection;

=head1 NAME

NginxAsync::Connection - a raw connection, for what no HTTP client will do

=head1 SYNOPSIS

    my $c = $nginx->connect(tls => 1, timeout => 5);
    $c->send("GET / HTTP/1.1\r\n", "Host: x\r\n\r\n");   # one write each
    my $r = $c->response;              # NginxAsync::Response
    my $r = $c->response(head => 1);   # the answer to a HEAD request
    $c->request('GET', '/', headers => [...], body => ...);   # send + response
    my $text = $c->read_until(qr/\n\n/); my $bytes = $c->read(10);
    $c->eof;          # true when the server has closed and all was read
    $c->half_close; $c->reset; $c->close;

Whatever waits is bounded by the timeout and then dies.

=cut

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use Socket qw(SOL_SOCKET SO_LINGER IPPROTO_TCP TCP_NODELAY SHUT_WR);
use Time::HiRes qw(time);

use NginxAsync::Response;

# Options: host, port or path (a unix socket), timeout, tls (true, or a hash
# for IO::Socket::SSL), alpn (a list), rcvbuf (bytes, for slow readers).
sub new {
    my ($class, %o) = @_;

    my $timeout = $o{timeout} // 30;
    my $socket  = $o{path} ? connect_unix(%o) : connect_inet($timeout, %o);

    if ($o{tls}) {
        $socket = start_tls($socket, $timeout, %o);
    }

    return bless { socket => $socket, timeout => $timeout, buffer => '',
        eof => 0 }, $class;
}


sub connect_unix {
    my (%o) = @_;

    return IO::Socket::UNIX->new(Peer => $o{path})
        || die "connect to $o{path}: $!\n";
}


sub connect_inet {
    my ($timeout, %o) = @_;

    my $host = $o{host} // '127.0.0.1';

    my $socket = IO::Socket::INET->new(PeerAddr => $host,
        PeerPort => $o{port}, Proto => 'tcp', Timeout => $timeout,
        $o{rcvbuf} ? (Sockopts => [[Socket::SO_RCVBUF(), $o{rcvbuf}]]) : ())
        or die "connect to $host:$o{port}: $@\n";

    # each send() is to be a segment of its own
    setsockopt $socket, IPPROTO_TCP, TCP_NODELAY, 1;

    return $socket;
}


# Certificates are the tests' own, so they are not verified unless asked.
sub start_tls {
    my ($socket, $timeout, %o) = @_;

    require IO::Socket::SSL;

    my %tls = ref $o{tls} ? %{ $o{tls} } : ();
    $tls{SSL_alpn_protocols} = $o{alpn} if $o{alpn};

    IO::Socket::SSL->start_SSL($socket, SSL_verify_mode => 0,
        Timeout => $timeout, %tls)
        or die 'TLS handshake: ', IO::Socket::SSL::errstr(), "\n";

    return $socket;
}


sub socket     { return $_[0]{socket} }
sub timeout    { return $_[0]{timeout} }
sub local_port { return $_[0]{socket}->sockport }
sub buffered   { return $_[0]{buffer} }


# Each piece is one write.  Dies when the server does not take it.
sub send {
    my ($self, @pieces) = @_;

    local $SIG{PIPE} = 'IGNORE';

    for my $piece (@pieces) {
        my $sent = 0;

        while ($sent < length $piece) {
            my $n = syswrite $self->{socket}, $piece, length($piece) - $sent,
                $sent;
            die "send: $!\n" if !defined $n;
            $sent += $n;
        }
    }

    return $self;
}


# One more read into the buffer: false at the end of the stream.
sub fill {
    my ($self, $bound) = @_;

    return 0 if $self->{eof};

    my $socket = $self->{socket};
    my $ready  = ref $socket eq 'IO::Socket::SSL' && $socket->pending;

    if (!$ready && !IO::Select->new($socket)->can_read(
            $bound // $self->{timeout}))
    {
        die "nothing came within " . ($bound // $self->{timeout}) . " s; have "
            . length($self->{buffer}) . " bytes\n";
    }

    my $n = sysread $socket, $self->{buffer}, 65536, length $self->{buffer};

    # a part of a TLS record is nothing yet
    return $self->fill($bound || undef) if !defined $n && $!{EAGAIN};

    if (!$n) {
        $self->{error} = defined $n ? undef : "$!";
        $self->{eof}   = 1;
        return 0;
    }

    return $n;
}


# How reading ended, if it did so by an error ("Connection reset by peer").
sub error { return $_[0]{error} }


# Exactly $length bytes, fewer only when the stream ends before.
sub read {
    my ($self, $length) = @_;

    while (length $self->{buffer} < $length) {
        last if !$self->fill;
    }

    return substr $self->{buffer}, 0, $length, '';
}


# Up to and with what matches; undef when the stream ends before.
sub read_until {
    my ($self, $pattern) = @_;

    while (1) {
        if ($self->{buffer} =~ $pattern) {
            return substr $self->{buffer}, 0, $+[0], '';
        }

        return if !$self->fill;
    }
}


sub read_all {
    my ($self) = @_;

    1 while $self->fill;

    return substr $self->{buffer}, 0, length $self->{buffer}, '';
}


# True when the server has closed; false when it said something, or when
# nothing came within the bound.
sub eof {
    my ($self, $bound) = @_;

    return 0 if length $self->{buffer};
    return eval { !$self->fill($bound) } ? 1 : 0;
}


# ---- HTTP

# Sends a request and reads the answer.  Options: headers (a list of pairs),
# body, host, version, close, chunks (a list: a chunked body, piece by piece).
sub request {
    my ($self, $method, $uri, %o) = @_;

    $self->send_request($method, $uri, %o);

    return $self->response(head => $method eq 'HEAD');
}


sub send_request {
    my ($self, $method, $uri, %o) = @_;

    my $version = $o{version} // '1.1';
    my @headers = (Host => $o{host} // 'localhost', @{ $o{headers} || [] });
    my $given   = join "\n", map { lc } @headers;

    push @headers, 'Connection', 'close' if $o{close};

    if (defined $o{body} && $given !~ /^content-length$/m) {
        push @headers, 'Content-Length', length $o{body};
    }

    push @headers, 'Transfer-Encoding', 'chunked' if $o{chunks};

    my $head = "$method $uri HTTP/$version\r\n";

    while (my ($name, $value) = splice @headers, 0, 2) {
        $head .= "$name: $value\r\n";
    }

    $self->send("$head\r\n" . ($o{body} // ''));
    return $self if !$o{chunks};

    $self->send_chunk($_) for @{ $o{chunks} };
    return $self->send("0\r\n\r\n");
}


sub send_chunk {
    my ($self, $data) = @_;

    return $self->send(sprintf "%x\r\n%s\r\n", length $data, $data);
}


# Reads one response, the interim ones before it included.
sub response {
    my ($self, %o) = @_;

    my @interim;

    while (1) {
        my $head = $self->read_until(qr/\r?\n\r?\n/)
            // die 'no response: the connection was closed after '
                . length($self->{buffer}) . " bytes\n";

        my $r = NginxAsync::Response->from_head($head);

        if ($r->status < 200 && $r->status != 101) {
            push @interim, $r;
            next;
        }

        $r->{interim} = \@interim;
        $self->read_body($r, $o{head});
        return $r;
    }
}


sub read_body {
    my ($self, $r, $head) = @_;

    my $length  = $r->header('Content-Length');
    my $chunked = ($r->header('Transfer-Encoding') // '') =~ /\bchunked\b/i;

    if ($head || $r->status =~ /^(?:101|204|304)$/) {
        $r->{complete} = 1;

    } elsif ($chunked) {
        $self->read_chunks($r);

    } elsif (defined $length) {
        $r->{body}     = $self->read($length);
        $r->{complete} = length $r->{body} == $length;

    } else {
        $r->{body}     = $self->read_all;
        $r->{complete} = !defined $self->{error};
    }
}


sub read_chunks {
    my ($self, $r) = @_;

    while (defined(my $line = $self->read_until(qr/\r\n/))) {
        $line =~ /^([0-9a-f]+)/i or die "not a chunk size: $line\n";
        my $size = hex $1;

        return $self->read_trailers($r) if $size == 0;

        my $data = $self->read($size);
        $r->{body} .= $data;
        push @{ $r->{chunks} }, $size;

        return if length $data < $size;
        $self->read(2) eq "\r\n" or die "no CRLF after a chunk\n";
    }
}


sub read_trailers {
    my ($self, $r) = @_;

    my $text = '';

    while (defined(my $line = $self->read_until(qr/\r\n/))) {
        if ($line eq "\r\n") {
            $r->{complete} = 1;
            last;
        }
        $text .= $line;
    }

    $r->{trailers} = NginxAsync::Response::parse_fields($text);
}


# ---- ends

sub half_close {
    my ($self) = @_;

    shutdown $self->{socket}, SHUT_WR;

    return $self;
}


# With a linger time of 0, close() sends RST instead of FIN.
sub reset {
    my ($self) = @_;

    setsockopt $self->{socket}, SOL_SOCKET, SO_LINGER, pack 'II', 1, 0;

    # no close_notify: the client is to vanish
    return ref $self->{socket} eq 'IO::Socket::SSL'
        ? $self->{socket}->close(SSL_no_shutdown => 1)
        : close $self->{socket};
}


sub close { return $_[0]{socket}->close }

1;
