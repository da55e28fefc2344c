package NginxAsync::Http2;

=head1 NAME

NginxAsync::Http2 - raw HTTP/2 frames, for what no HTTP/2 client will do

=head1 SYNOPSIS

    my $h = NginxAsync::Http2->new($nginx->connect);   # prior knowledge
    my $id = $h->request('POST', '/', headers => [...], end => 0);
    $h->data($id, 'some', 0); $h->data($id, 'more', 1); $h->reset($id);
    my $r = $h->response($id);   # status, body, reset (an error code or undef)

With the option "window" the server may send so many bytes of a stream only,
until $h->window($id, $more).

=cut

use strict;
use warnings;

use constant { DATA => 0, HEADERS => 1, RST_STREAM => 3, SETTINGS => 4,
    PING => 6, WINDOW_UPDATE => 8 };

# nginx's indexed statuses (RFC 7541, appendix A)
my @STATUS = (200, 204, 206, 304, 400, 404, 500);


sub new {
    my ($class, $connection, %o) = @_;

    my $self = bless { c => $connection, next => 1, streams => {} }, $class;

    $connection->send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

    # SETTINGS_INITIAL_WINDOW_SIZE is 4
    return $self->frame(SETTINGS, 0, 0,
        defined $o{window} ? pack('n N', 4, $o{window}) : '');
}


sub frame {
    my ($self, $type, $flags, $id, $payload) = @_;

    my $length = length $payload;

    $self->{c}->send(pack('C n C C N', $length >> 16, $length & 0xffff, $type,
        $flags, $id) . $payload);

    return $self;
}


# Header fields as literals that are not indexed; the new stream's number.
sub request {
    my ($self, $method, $uri, %o) = @_;

    my $id    = $self->{next};
    my $block = '';
    my @pairs = (':method', $method, ':path', $uri, ':scheme', 'http',
        ':authority', 'localhost', @{ $o{headers} || [] });

    while (my ($name, $value) = splice @pairs, 0, 2) {
        $block .= "\0" . join '', map { chr(length) . $_ } lc $name, $value;
    }

    $self->{next} += 2;
    $self->frame(HEADERS, 4 | ($o{end} // 1), $id, $block);

    return $id;
}


sub data {
    my ($self, $id, $bytes, $end) = @_;

    return $self->frame(DATA, $end ? 1 : 0, $id, $bytes);
}


sub window { return $_[0]->frame(WINDOW_UPDATE, 0, $_[1], pack 'N', $_[2]) }
sub reset { return $_[0]->frame(RST_STREAM, 0, $_[1], pack 'N', 8) }


# Until the stream has ended, one way or another; dies when nothing comes.
sub response {
    my ($self, $id) = @_;

    my $stream = $self->{streams}{$id} //= { body => '' };

    while (!$stream->{ended}) {
        $self->read_frame or last;
    }

    return NginxAsync::Http2::Response->new(%$stream);
}


sub read_frame {
    my ($self) = @_;

    my $head = $self->{c}->read(9);
    return 0 if length $head < 9;

    my ($high, $low, $type, $flags, $id) = unpack 'C n C C N', $head;

    my $payload = $self->{c}->read($high << 16 | $low);
    my $stream  = $self->{streams}{$id} //= { body => '' };

    if ($type == DATA) {
        $stream->{body} .= $payload;

    } elsif ($type == HEADERS) {
        $stream->{status} //= status($payload);

    } elsif ($type == RST_STREAM) {
        $stream->{reset} = unpack 'N', $payload;
        $stream->{ended} = 1;

    } elsif ($type == SETTINGS || $type == PING) {
        $self->frame($type, 1, 0, $type == PING ? $payload : '')
            if !($flags & 1);
    }

    $stream->{ended} = 1 if $type <= HEADERS && $flags & 1;

    return 1;
}


sub status {
    my ($block) = @_;

    # a change of the table's size may come before
    $block =~ s/\A[\x20-\x3f]//;

    my $first = ord $block;

    return $STATUS[$first - 0x88] if $first >= 0x88 && $first <= 0x8e;
    return $1 if $block =~ /\A[\x08\x48]\x03(\d{3})/;

    die 'no status in ' . unpack('H*', $block) . "\n";
}


package NginxAsync::Http2::Response;

sub new { my ($class, %self) = @_; return bless \%self, $class }

sub status { return $_[0]{status} }
sub body   { return $_[0]{body} }
sub reset  { return $_[0]{reset} }

1;
