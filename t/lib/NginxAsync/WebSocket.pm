package NginxAsync::WebSocket;

=head1 NAME

NginxAsync::WebSocket - a WebSocket client that may be as wrong as a test wants

=head1 SYNOPSIS

    my $ws = NginxAsync::WebSocket->new($nginx, '/echo');
    $ws->text('hello')->message;          # 'hello'; $ws->kind is 'text'
    $ws->binary($bytes)->message;
    $ws->ping('x'); $ws->next_frame;     # { opcode => 10, data => 'x', ... }
    $ws->close(1000, 'bye');              # sends Close; (code, reason) of the answer
    my ($code, $reason) = $ws->closed;    # reads on to the server's Close
    $ws->eof;                             # the TCP connection ends

    $ws->send_frame(1, 'part', fin => 0, rsv => 4, mask => undef);
    $ws->send_raw(NginxAsync::WebSocket::frame(...), ...);       # each one write

    # a handshake that is refused
    my $r = NginxAsync::WebSocket::handshake($nginx, '/echo', ...);
    is $r->status, 403;

    $ws = NginxAsync::WebSocket->new($nginx, '/echo',
        extensions => 'permessage-deflate')->deflate;
    $ws->packed(1, 'hello')->message;     # both ways compressed; $ws->rsv is 4
    $ws->terms;                           # { server_no_context_takeover => 1, ... }

Options of new and of handshake: headers (pairs, put last), origin, protocol,
extensions, key, version, method, http ("1.1"), behind (bytes sent in the same
write as the request); all of NginxAsync::Connection: port, tls, timeout,
rcvbuf.  new() dies unless the answer is 101 with the right key.

Whatever waits is bounded by the timeout and then dies.

=cut

use strict;
use warnings;

use Compress::Raw::Zlib;
use Digest::SHA qw(sha1_base64);
use MIME::Base64 qw(encode_base64);

use constant {
    CONT => 0, TEXT => 1, BINARY => 2, CLOSE => 8, PING => 9, PONG => 10,
};

my $guid = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';


sub new {
    my ($class, $nginx, $uri, %o) = @_;

    my $key = $o{key} //= new_key();
    my ($response, $c) = handshake($nginx, $uri, %o);

    $response->status == 101
        or die 'no WebSocket: ', $response->status, ' ', $response->body, "\n";

    my $accept = $response->header('Sec-WebSocket-Accept') // '';
    $accept eq accept_of($key) or die "a wrong key: $accept\n";

    return bless { c => $c, response => $response, mask => 1 }, $class;
}


sub new_key { return encode_base64(join('', map { chr rand 256 } 1 .. 16), '') }

sub accept_of {
    my ($key) = @_;

    my $digest = sha1_base64($key . $guid);

    return $digest . '=' x (-length($digest) % 4);
}


# The response to a handshake and, in a list, the connection behind it.
sub handshake {
    my ($nginx, $uri, %o) = @_;

    my $c = $nginx->connect(map { ($_ => $o{$_}) }
        grep { exists $o{$_} } qw(port tls timeout rcvbuf alpn path));

    $c->send(request_text($uri, %o) . ($o{behind} // ''));

    my $response = $c->response(head => ($o{method} // '') eq 'HEAD');

    return wantarray ? ($response, $c) : $response;
}


sub request_text {
    my ($uri, %o) = @_;

    my @headers = (
        Host => $o{host} // 'localhost', Upgrade => 'websocket',
        Connection => 'Upgrade',
        'Sec-WebSocket-Key'     => $o{key} // new_key(),
        'Sec-WebSocket-Version' => $o{version} // 13,
    );

    push @headers, Origin => $o{origin} if defined $o{origin};
    push @headers, 'Sec-WebSocket-Protocol' => $o{protocol}
        if defined $o{protocol};
    push @headers, 'Sec-WebSocket-Extensions' => $o{extensions}
        if defined $o{extensions};
    push @headers, @{ $o{headers} || [] };

    my $text = ($o{method} // 'GET') . " $uri HTTP/" . ($o{http} // '1.1')
        . "\r\n";

    while (my ($name, $value) = splice @headers, 0, 2) {
        $text .= "$name: $value\r\n" if defined $value;
    }

    return "$text\r\n";
}


sub response   { return $_[0]{response} }
sub connection { return $_[0]{c} }
sub socket     { return $_[0]{c}->socket }


# ---- frames out

# The bytes of a frame.  Options: fin (1), rsv (0; 4 is RSV1), mask (four bytes;
# undef: unmasked; made up), length (said, whatever the data), wide (2 or 8: the
# bytes of the length, also where fewer would do).
sub frame {
    my ($opcode, $data, %o) = @_;

    my $length = $o{length} // length $data;
    my $mask   = exists $o{mask} ? $o{mask} : pack 'N', int rand 2 ** 32;
    my $wide   = $o{wide} // ($length < 126 ? 0 : $length < 65536 ? 2 : 8);
    my $bit    = defined $mask ? 0x80 : 0;

    my $head = chr((($o{fin} // 1) << 7) | (($o{rsv} // 0) << 4) | $opcode);

    $head .= $wide == 0 ? chr($bit | $length)
        : $wide == 2 ? pack 'Cn', $bit | 126, $length
        : pack 'CQ>', $bit | 127, $length;

    return $head . $data if !defined $mask;

    return $head . $mask . masked($data, $mask);
}


sub masked {
    my ($data, $mask) = @_;

    my $n = length $data;

    # a number would be one
    return "$data" ^ substr $mask x ($n / 4 + 1), 0, $n;
}


sub send_raw { my $self = shift; $self->{c}->send(@_); return $self }

sub send_frame { my $self = shift; return $self->send_raw(frame(@_)) }

sub text   { my $self = shift; return $self->send_frame(TEXT, @_) }
sub binary { my $self = shift; return $self->send_frame(BINARY, @_) }
sub ping   { my $self = shift; return $self->send_frame(PING, @_ ? @_ : '') }
sub pong   { my $self = shift; return $self->send_frame(PONG, @_ ? @_ : '') }


sub send_close {
    my ($self, $code, $reason) = @_;

    return $self->send_frame(CLOSE,
        defined $code ? pack('n', $code) . ($reason // '') : '');
}


# Closes as one should, to the end of the TCP connection: code and reason of
# the server's answer.
sub close {
    my ($self, @how) = @_;

    $self->send_close(@how);

    my @answer = $self->closed;

    $self->eof or die "the server keeps the connection\n";

    return @answer;
}


# ---- compressed (RFC 7692)

# Sets both ways up as the server has answered, with the window of zlib's that
# serves for one of 8 bits.
sub deflate {
    my ($self) = @_;

    my ($name, @terms) = split /\s*;\s*/,
        $self->{response}->header('Sec-WebSocket-Extensions') // '';

    ($name // '') eq 'permessage-deflate' or die "nothing is compressed\n";

    my %terms = map { /(.*?)=(.*)/ ? ($1 => $2) : ($_ => 1) } @terms;
    my $bits  = $terms{client_max_window_bits} // 15;

    my @zlib = (
        Compress::Raw::Zlib::Inflate->new(-AppendOutput => 1, -ConsumeInput => 0,
            -WindowBits => -($terms{server_max_window_bits} // 15)),
        Compress::Raw::Zlib::Deflate->new(-AppendOutput => 1,
            -WindowBits => -($bits < 9 ? 9 : $bits)));

    $self->{inflate} = $zlib[0];
    $self->{deflate} = $zlib[2];
    $self->{terms}   = \%terms;

    return $self;
}


sub terms { return $_[0]{terms} }


# The bytes of a message, compressed; "end" is how: Z_SYNC_FLUSH otherwise.
sub pack_message {
    my ($self, $data, $end) = @_;

    my $out = '';

    $self->{deflate}->deflate($data, $out);
    $self->{deflate}->flush($out, $end // Z_SYNC_FLUSH);

    # a flush of nothing, behind another one, is nothing
    $out = "\0" . "\0\0\xff\xff" if $out eq '';

    $out = substr $out, 0, -4 if !defined $end || $end != Z_FINISH;

    $self->{deflate}->deflateReset
        if $self->{terms}{client_no_context_takeover} || ($end // 0) == Z_FINISH;

    return $out;
}


# A message of one frame.
sub packed {
    my ($self, $opcode, $data) = @_;

    return $self->send_frame($opcode, $self->pack_message($data), rsv => 4);
}


sub unpack_message {
    my ($self, $data) = @_;

    my $out    = '';
    my $status = $self->{inflate}->inflate($data . "\0\0\xff\xff", $out);

    $status == Z_OK || $status == Z_BUF_ERROR or die "no deflate data: $status\n";

    $self->{inflate}->inflateReset if $self->{terms}{server_no_context_takeover};

    return $out;
}


# ---- frames in

# The next frame: fin, rsv, opcode, masked, data, wide; undef at the end.
sub frame_in {
    my ($self) = @_;

    my $c    = $self->{c};
    my $head = $c->read(2);

    return undef if length $head < 2;

    my ($first, $second) = unpack 'CC', $head;
    my $length = $second & 0x7f;
    my $wide   = $length == 126 ? 2 : $length == 127 ? 8 : 0;

    $length = unpack $wide == 2 ? 'n' : 'Q>', $c->read($wide) if $wide;

    my $mask = $second & 0x80 ? $c->read(4) : undef;
    my $data = $c->read($length);

    die "the connection ends in the middle of a frame\n"
        if length $data < $length;

    return {
        fin => $first >> 7, rsv => $first >> 4 & 7, opcode => $first & 15,
        masked => defined $mask ? 1 : 0, wide => $wide,
        data => defined $mask ? masked($data, $mask) : $data,
    };
}


# The next frame that is no ping, unless pings are asked for; those are
# answered and counted.
sub next_frame {
    my ($self, %o) = @_;

    while (my $f = $self->frame_in) {
        return $f if $f->{opcode} != PING || $o{pings};
        $self->{pings}++;
        $self->pong($f->{data}) if !$self->{mute};
    }

    return undef;
}


# One that is a ping as well, unanswered.
sub any_frame { return $_[0]->next_frame(pings => 1) }


# The next message, whole; undef when the server closes.  Pongs are dropped.
sub message {
    my ($self) = @_;

    my $data;

    while (my $f = $self->next_frame) {

        next if $f->{opcode} == PONG;

        if ($f->{opcode} == CLOSE) {
            $self->{close} = $f->{data};
            return undef;
        }

        if ($f->{opcode} == CONT) {
            defined $data or die "a continuation of nothing\n";

        } else {
            defined $data and die "a message within a message\n";
            $self->{kind} = $f->{opcode} == TEXT ? 'text' : 'binary';
            $self->{rsv}  = $f->{rsv};
            $data = '';
        }

        $data .= $f->{data};

        next if !$f->{fin};

        return $self->{rsv} == 4 && $self->{inflate} ? $self->unpack_message($data) : $data;
    }

    return undef;
}


sub kind  { return $_[0]{kind} }
sub rsv   { return $_[0]{rsv} }
sub pings { return $_[0]{pings} // 0 }
sub mute  { $_[0]{mute} = 1; return $_[0] }


# Reads on to the server's Close frame: its code (1005: none) and its reason;
# 1006 when the connection ends without one.
sub closed {
    my ($self) = @_;

    while (!defined $self->{close}) {
        my $f = $self->next_frame // return (1006, '');
        $self->{close} = $f->{data} if $f->{opcode} == CLOSE;
    }

    return (1005, '') if $self->{close} eq '';

    return unpack 'n a*', $self->{close};
}


# The code alone; after an answer to it, if it was the server that began.
sub close_code { return ($_[0]->closed)[0] }

sub eof        { return $_[0]{c}->eof($_[1] // $_[0]{c}->timeout) }
sub reset      { return $_[0]{c}->reset }
sub half_close { $_[0]{c}->half_close; return $_[0] }

1;
