package NginxAsync::Rude;

=head1 NAME

NginxAsync::Rude - an HTTP server that does what it is told to, right or wrong

=head1 SYNOPSIS

    my $rude = NginxAsync::Rude->new(
        plain => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        cut   => sub {
            my ($c, $head, $at, $how) = @_;       # of "/cut/17/rst"
            $c->say(substr $text, 0, $at);
            $how eq 'rst' ? $c->rst : $c->fin;
        },
    );

    $rude->url('cut', 17, 'rst');
    $rude->came('cut');      # on which connections, from 1, as a list
    $rude->notes('cut');     # what $c->note() said

=head1 DESCRIPTION

The first word of the path is the name of a part, the rest are its arguments.
A part that is a text is said, and the connection stays.  One that is a function
has the connection, on which the request has been read with its body, or, if its
name begins with "raw", only with its head.  After it the next request is read,
unless it has closed.

Options, in a hash before the parts: greets (a function that has the connection
before anything is read), alone (no process for each connection: a part must not
wait), listen (a socket).

What a $c can: say (each piece a write), drip (bytes and seconds between them),
fin, rst, request (the next one), rest (all until the other side ends: how
many), stuffed (bytes that it has taken until it took none for some seconds),
note.

=cut

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use POSIX ();
use Socket qw(SOL_SOCKET SO_LINGER IPPROTO_TCP TCP_NODELAY SHUT_WR);
use Time::HiRes qw(sleep);

use NginxAsync::Env;
use NginxAsync::Guard;

# no process of a test that hangs lives longer, in seconds
my $LIFE = 120;

my $owner = $$;

sub new {
    my ($class, @parts) = @_;

    my %o = ref $parts[0] ? %{ shift @parts } : ();

    my $listen = $o{listen} // IO::Socket::INET->new(Listen => 128,
        LocalAddr => '127.0.0.1', ReuseAddr => 1) or die "listen: $!";

    my $self = bless {
        %o, parts => {@parts}, port => $listen->sockport,
        log => NginxAsync::Guard::temp_dir('rude') . '/log',
    }, $class;

    my $pid = fork // die "fork: $!";

    if ($pid == 0) {
        NginxAsync::Guard::enlist_perl();
        $SIG{$_}   = 'DEFAULT' for qw(TERM INT HUP);
        $SIG{$_}   = 'IGNORE'  for qw(PIPE CHLD);
        $SIG{ALRM} = 'DEFAULT';
        alarm $LIFE;
        eval { $self->serve($listen) };
        POSIX::_exit(1);
    }

    close $listen;
    setpgrp $pid, $pid;
    $self->{pid} = $pid;
    NginxAsync::Guard::at_end(sub { $self->stop });

    return $self;
}


sub stop {
    my ($self) = @_;

    return if $$ != $owner;

    my $pid = delete $self->{pid} // return;

    local $?;
    kill 'KILL', -$pid;
    waitpid $pid, 0;
    NginxAsync::Guard::forget($pid);
}


sub port { return $_[0]{port} }

sub url {
    my ($self, @path) = @_;

    return join '/', "http://127.0.0.1:$self->{port}", @path;
}


sub lines {
    my ($self, $kind, $name) = @_;

    my $text = -e $self->{log} ? NginxAsync::Env::slurp($self->{log}) : '';

    my @lines = $text =~ /^$kind \Q$name\E (.*)$/mg;

    return @lines;
}


sub came  { return $_[0]->lines('came', $_[1]) }
sub notes { return $_[0]->lines('note', $_[1]) }


# ---- the process

sub serve {
    my ($self, $listen) = @_;

    my $number = 0;

    while (my $socket = $listen->accept) {
        $number++;
        setsockopt $socket, IPPROTO_TCP, TCP_NODELAY, 1;

        my $c = NginxAsync::Rude::Guest->new($socket, $number, $self->{log});

        if ($self->{alone}) {
            $self->play($c);
            next;
        }

        my $child = fork // die "fork: $!";

        if ($child == 0) {
            close $listen;
            alarm $LIFE;
            eval { $self->play($c) };
            POSIX::_exit(0);
        }
    }
}


sub play {
    my ($self, $c) = @_;

    $self->{greets}->($c) if $self->{greets};

    while (my $head = $c->request) {
        my ($name, @more) = split m{/}, $c->path;
        $name //= '';
        my $part = $self->{parts}{$name} // last;

        if (ref $part) {
            $part->($c, $head, @more);

        } else {
            $c->say($part);
        }

        last if $self->{alone};
    }

    $c->fin;
}


package NginxAsync::Rude::Guest;

use IO::Select;
use Socket qw(SOL_SOCKET SO_LINGER SHUT_WR);
use Time::HiRes qw(sleep);

sub new {
    my ($class, $socket, $number, $log) = @_;

    return bless { socket => $socket, number => $number, log => $log,
        read => '', path => '', name => '-' }, $class;
}


sub socket { return $_[0]{socket} }
sub number { return $_[0]{number} }
sub path   { return $_[0]{path} }


# One write a line, so that those of all processes stay whole.
sub log {
    my ($self, $kind, $text) = @_;

    open my $log, '>>', $self->{log} or return;
    syswrite $log, "$kind $self->{name} $text\n";
}


sub note { $_[0]->log('note', $_[1]) }


# The head of the next request, or nothing at the end.
sub request {
    my ($self) = @_;

    my $end;

    while (($end = index $self->{read}, "\r\n\r\n") < 0) {
        $self->more or return;
    }

    my $head = substr $self->{read}, 0, $end + 4, '';

    ($self->{path}) = $head =~ m{^\S+ /([^ ?]*)};
    $self->{path} //= '';
    ($self->{name}) = $self->{path} =~ m{^([^/]*)};
    $self->log('came', $self->{number});

    if ($self->{name} !~ /^raw/ && $head =~ /^Content-Length: (\d+)\r$/mi) {
        my $length = $1;

        while (length $self->{read} < $length) {
            $self->more or return;
        }

        substr $self->{read}, 0, $length, '';
    }

    return $head;
}


sub more {
    my ($self) = @_;

    my $socket = $self->{socket} // return;

    return sysread $socket, $self->{read}, 65536, length $self->{read};
}


# False when the other side takes no more.
sub say {
    my ($self, @pieces) = @_;

    my $socket = $self->{socket} // return 0;

    for my $piece (@pieces) {
        my $at = 0;

        while ($at < length $piece) {
            $at += syswrite($socket, $piece, length($piece) - $at, $at)
                // return 0;
        }
    }

    return 1;
}


sub drip {
    my ($self, $text, $pause) = @_;

    for my $byte (split //, $text) {
        $self->say($byte) or return 0;
        sleep $pause;
    }

    return 1;
}


# All that has come is read, so that there is no RST instead.
sub fin {
    my ($self) = @_;

    my $socket = delete $self->{socket} // return;
    my $buf;

    shutdown $socket, SHUT_WR;
    $socket->blocking(0);
    1 while sysread $socket, $buf, 65536;
    close $socket;
}


sub rst {
    my ($self) = @_;

    my $socket = delete $self->{socket} // return;

    setsockopt $socket, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0;
    close $socket;
}


sub rest {
    my ($self) = @_;

    my ($total, $buf) = (length $self->{read}, '');

    while (my $n = sysread $self->{socket}, $buf, 65536) {
        $total += $n;
    }

    return $total;
}


sub stuffed {
    my ($self, $piece, $seconds, $max) = @_;

    my $socket = $self->{socket};
    my $total  = 0;

    $socket->blocking(0);

    while ($total < $max && IO::Select->new($socket)->can_write($seconds)) {
        my $n = syswrite $socket, $piece;
        last if !defined $n && !$!{EAGAIN};
        $total += $n // 0;
    }

    $socket->blocking(1);

    return $total;
}

1;
