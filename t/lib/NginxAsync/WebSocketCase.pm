package NginxAsync::WebSocketCase;

=head1 NAME

NginxAsync::WebSocketCase - a conversation, compared byte by byte

=head1 SYNOPSIS

    use NginxAsync::WebSocketCase;

    my $run = NginxAsync::WebSocketCase->new($nginx, '/echo');

    $run->ok('an echo', text('a'), gets(TEXT, 'a'), ping('p'), gets(PONG, 'p'),
        shut(1000), ends(1000));
    $run->ok('a reserved bit', text('a', rsv => 1), ends(1002));

A case is a connection of its own and a list of steps:

    bytes             are sent in one write; so are the functions that make
                      frames of the client, whose options are those of
                      NginxAsync::WebSocket::frame: text, binary, cont, ping,
                      pong, shut(code, reason), frame(opcode, data)
    chopped(n, ...)   those bytes, in writes of n bytes
    gets(opcode, data, fin => 1)
                      waits for that frame of the server, as the shortest bytes
                      that it can be: nothing else may come before it
    ends(code)        waits for the end of the connection: a Close frame with
                      nothing but this code must come before it, one without a
                      code by ends(''), none at all by ends(); by FIN, not by RST
    sub { ... }       is called with the connection

What the server sends is read at any time, so that neither waits for the other.
A case without ends() is a mistake.  Options of new: those of
NginxAsync::Connection.

=cut

use strict;
use warnings;

use Carp qw(croak);
use Errno qw(EAGAIN EWOULDBLOCK);
use Exporter qw(import);
use IO::Select;
use Test::More ();
use Time::HiRes qw(time);

use NginxAsync::WebSocket;

use constant {
    CONT => 0, TEXT => 1, BINARY => 2, CLOSE => 8, PING => 9, PONG => 10,
};

our @EXPORT = qw(CONT TEXT BINARY CLOSE PING PONG frame text binary cont ping
    pong shut chopped gets ends served);

my %names = (0 => 'cont', 1 => 'text', 2 => 'binary', 8 => 'close', 9 => 'ping',
    10 => 'pong');


# ---- steps

sub frame  { return NginxAsync::WebSocket::frame(@_) }
sub text   { return frame(TEXT, @_) }
sub binary { return frame(BINARY, @_) }
sub cont   { return frame(CONT, @_) }
sub ping   { return frame(PING, @_ ? @_ : '') }
sub pong   { return frame(PONG, @_ ? @_ : '') }

sub shut {
    my ($code, $reason, %o) = @_;

    return frame(CLOSE, defined $code ? pack('n', $code) . ($reason // '') : '',
        %o);
}


sub chopped {
    my ($size, @bytes) = @_;

    return [unpack "(a$size)*", join '', @bytes];
}


# The bytes of a frame of the server.
sub served {
    my ($opcode, $data, %o) = @_;

    return frame($opcode, $data, %o, mask => undef);
}


sub gets { return { bytes => served(@_) } }

sub ends {
    my ($code) = @_;

    return { end => 1, bytes => !defined $code ? ''
        : served(CLOSE, $code eq '' ? '' : pack 'n', $code) };
}


# ---- cases

sub new {
    my ($class, $nginx, $uri, %o) = @_;

    return bless { nginx => $nginx, uri => $uri, options => \%o }, $class;
}


sub ok {
    my ($self, $name, @steps) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $why = eval { $self->differs(@steps) } // ($@ || undef);

    Test::More::ok(!defined $why, $name)
        or Test::More::diag("$self->{uri}: $why");

    return !defined $why;
}


# In what it differs from what it should be; undef: in nothing.
sub differs {
    my ($self, @steps) = @_;

    ref $steps[-1] eq 'HASH' && $steps[-1]{end} or croak 'no end';

    my $ws = NginxAsync::WebSocket->new($self->{nginx}, $self->{uri},
        %{ $self->{options} });
    my $c = $ws->connection;

    $c->socket->blocking(0);

    for my $i (0 .. $#steps) {
        my $step = $steps[$i];
        my $kind = ref $step;
        my $why;

        if ($kind eq 'HASH') {
            $why = $step->{end} ? end_differs($c, $step->{bytes})
                : bytes_differ($step->{bytes}, $c->read(length $step->{bytes}));

        } elsif ($kind eq 'CODE') {
            $step->($ws);

        } else {
            put($c, $_) for $kind ? @$step : $step;
        }

        return 'step ' . ($i + 1) . ": $why" if defined $why;
    }

    return;
}


sub end_differs {
    my ($c, $want) = @_;

    my $got = eval { $c->read_all };

    return "no end, after " . shown($c->buffered) . ": $@" if !defined $got;

    return bytes_differ($want, $got)
        // (defined $c->error ? 'the end is: ' . $c->error : undef);
}


sub bytes_differ {
    my ($want, $got) = @_;

    return $got eq $want ? undef
        : "\n  want: " . shown($want) . "\n  have: " . shown($got);
}


# Sends it, and reads meanwhile what comes.
sub put {
    my ($c, $bytes) = @_;

    my $select = IO::Select->new($c->socket);
    my $until  = time + $c->timeout;
    my $sent   = 0;

    local $SIG{PIPE} = 'IGNORE';

    while ($sent < length $bytes) {
        my $n = syswrite $c->socket, $bytes, 1 << 18, $sent;

        if (defined $n) {
            $sent += $n;
            next;
        }

        $! == EAGAIN || $! == EWOULDBLOCK
            or die "send, after $sent bytes: $!\n";

        my $left = $until - time;
        my ($in, $out) = $left > 0
            ? IO::Select::select($select, $c->{eof} ? undef : $select, undef, $left)
            : ();

        $in || $out or die "the server takes no more, after $sent bytes\n";
        $c->fill(0) if @{ $in || [] };
    }
}


# Bytes of the server, as frames: "text(5)hello close(2)\x03\xe8".
sub shown {
    my ($bytes) = @_;

    my @frames;

    while (length $bytes >= 2) {
        my ($first, $second) = unpack 'CC', $bytes;
        my $length = $second & 127;
        my $head   = 2;

        ($length, $head) = (unpack('x2n', $bytes), 4)
            if $length == 126 && length $bytes >= 4;
        ($length, $head) = (unpack('x2Q>', $bytes), 10)
            if $length == 127 && length $bytes >= 10;

        my $data = substr $bytes, $head, $length;
        my $op   = $first & 15;

        push @frames, ($names{$op} // "opcode $op") . ($first & 128 ? '' : '-')
            . ($first & 0x70 ? ' rsv ' . ($first >> 4 & 7) : '')
            . ($second & 128 ? ' masked' : '') . "($length)"
            . quoted(substr $data, 0, 40)
            . (length $data > 40 ? '...' : '')
            . (length $data < $length ? ' cut' : '');

        substr($bytes, 0, $head + $length > length $bytes ? length $bytes
            : $head + $length) = '';
    }

    push @frames, 'and ' . quoted($bytes) if length $bytes;

    return join(' ', @frames) || 'nothing';
}


sub quoted {
    my ($bytes) = @_;

    return $bytes =~ s/([^\x20-\x7e]|\\)/sprintf '\\x%02x', ord $1/ger;
}

1;
