package NginxAsync::Torture::Load;

=head1 NAME

NginxAsync::Torture::Load - clients that ask on while something happens

=head1 SYNOPSIS

    my $load = NginxAsync::Torture::Load->new($torture, $n, clients => 6,
        cases => [qw(hello pg ws)]);
    ...
    my $told = $load->stop;     # { right => 5000, refused => 12, why => {...} }

Processes of their own, which end with the test whatever becomes of it.  With
keep => 1, what needs no connection of its own goes over one that is kept; when
that was closed before anything of an answer came, the request is repeated on
another, as RFC 9112, 9.3.1, allows for those that are idempotent.

A listener (listeners => 2) holds a WebSocket open, and says what it was closed
with before it comes again.

=cut

use strict;
use warnings;

use JSON::PP ();
use POSIX ();

use NginxAsync::Env;
use NginxAsync::Guard;
use NginxAsync::Server;
use NginxAsync::Torture;
use NginxAsync::WebSocket;

sub new {
    my ($class, $torture, $n, %o) = @_;

    my $self = bless { clients => 4, listeners => 0, %o, torture => $torture, n => $n,
        dir => NginxAsync::Guard::temp_dir('load'), pids => [] }, $class;

    my @cases = map { NginxAsync::Torture::one($_) } @{ $self->{cases} };

    $self->process($_, sub { $self->client(\@cases) }) for 1 .. $self->{clients};
    $self->process("l$_", sub { $self->listener }) for 1 .. $self->{listeners};

    return $self;
}


sub process {
    my ($self, $name, $code) = @_;

    NginxAsync::Guard::tell_watchdog('hello');
    my $pid = fork // die "fork: $!";

    if ($pid == 0) {
        NginxAsync::Guard::enlist_perl();
        srand $$;
        $self->{told} = { why => {} };

        my $done = eval { $code->(); 1 };
        $self->{told}{why}{"the client: $@"}++ if !$done;

        NginxAsync::Env::spew("$self->{dir}/$name", JSON::PP::encode_json($self->{told}));
        POSIX::_exit(0);
    }

    setpgrp $pid, $pid;
    push @{ $self->{pids} }, $pid;
}


sub stopped { return -e "$_[0]{dir}/stop" }


sub client {
    my ($self, $cases) = @_;

    my $n = $self->{keep} ? NginxAsync::Torture::Load::Keeping->new($self->{n}) : $self->{n};

    while (!$self->stopped) {
        my $case = $cases->[rand @$cases];
        my ($state, $why) = $self->{torture}->ask($n, $case);

        $self->{told}{$state}++;
        $self->{told}{case}{ $case->{name} }{$state}++;
        $self->{told}{why}{"$case->{name}: $state: $why"}++ if $state ne 'right';
    }

    $self->{told}{again} = $n->{again} if $self->{keep};
}


sub listener {
    my ($self) = @_;

    while (!$self->stopped) {
        my $ws = eval { NginxAsync::WebSocket->new($self->{n}, '/echo', timeout => 20) };

        # a worker that shuts down accepts none any more
        if (!$ws) {
            $@ =~ /no WebSocket: 503/ or die $@;
            $self->{told}{later}++;
            next;
        }

        $self->{told}{opened}++;
        $ws->connection->{timeout} = 2;

        while (!$self->stopped) {
            eval { defined $ws->message } // next;      # nothing within the time

            my ($code) = $ws->closed;
            $self->{told}{closed}{$code}++;
            last;
        }
    }
}


# Sums of what all have told.
sub stop {
    my ($self) = @_;

    NginxAsync::Env::spew("$self->{dir}/stop", '');

    my %sum = (right => 0, refused => 0, hangs => 0, wrong => 0, why => {}, again => 0);

    for my $pid (@{ $self->{pids} }) {
        NginxAsync::Server::wait_until(120, sub { waitpid($pid, POSIX::WNOHANG()) == $pid })
            or $sum{why}{'a client does not end'}++;
        kill 'KILL', -$pid;
        NginxAsync::Guard::forget($pid);
    }

    add(\%sum, JSON::PP::decode_json(NginxAsync::Env::slurp($_))) for glob "$self->{dir}/[l0-9]*";

    return \%sum;
}


sub add {
    my ($sum, $more) = @_;

    for my $key (keys %$more) {
        if (ref $more->{$key}) {
            add($sum->{$key} //= {}, $more->{$key});
        } else {
            $sum->{$key} += $more->{$key} // 0;
        }
    }
}


# As NginxAsync with get() and post(), over a connection that is kept.
package NginxAsync::Torture::Load::Keeping;

sub new { my ($class, $n) = @_; return bless { n => $n, again => 0 }, $class }

sub connect { my $self = shift; return $self->{n}->connect(@_) }
sub post { my $self = shift; return $self->{n}->post(@_) }

sub get {
    my ($self, $uri, %o) = @_;

    for my $fresh (0 .. 2) {
        my $c = delete $self->{kept};
        my $reused = $c && !$fresh;

        $c = $self->{n}->connect(%o) if !$reused;

        my $r = eval { $c->request('GET', $uri, %o) };

        # a worker that shuts down hands on no messages: ask the next one
        if ($r && $uri eq '/channel' && $fresh < 2 && $r->status == 503 && $r->header('Retry-After')) {
            $self->{again}++;
            next;
        }

        if ($r) {
            $self->{kept} = $c
                if $r->{complete} && ($r->header('Connection') // '') !~ /close/i;
            return $r;
        }

        my $why = $@;

        # closed while it was idle, before anything came
        if ($reused && $why =~ /^send: |closed after 0 bytes/) {
            $self->{again}++;
            next;
        }

        die $why;
    }
}

1;
