package NginxAsync::Torture::Allocations;

=head1 NAME

NginxAsync::Torture::Allocations - each allocation of a request fails in turn

=head1 SYNOPSIS

    my $a = NginxAsync::Torture::Allocations->new($torture);
    my @findings = $a->run_case($case, sub { say @_ });

Options: burst (1: how many in a row fail), most (3000), server (a hash: options of
NginxAsync), env (a hash: nginx's environment).

The first, second, ... allocation of the module's (see t/torture/shim.c) while a
request is answered fails, until a request has no so many.  After each of them
the client has an answer, or a connection that is closed; the worker is the same
one; the same request is answered rightly; and at the end nothing is left:
descriptors are as many as before, and the server stops at once.

=cut

use strict;
use warnings;

use Fcntl qw(SEEK_SET);

use NginxAsync::Env;
use NginxAsync::Guard;
use NginxAsync::Torture;
use NginxAsync::Verdict;

# as control_t of t/torture/shim.c
my $HEAD   = 'l l q q Z32 q';
my $HEADER = 64;
my $FRAME  = 208;
my $FRAMES = 40;

# what nginx and libraries say when there is no memory
my $ALLOWED = qr/\[emerg\] .*(?:alloc|memalign|mmap)\(.*failed|no memory|out of memory/;


sub new {
    my ($class, $torture, %o) = @_;

    my $dir  = NginxAsync::Guard::temp_dir('torture');
    my $file = "$dir/control";

    NginxAsync::Env::spew($file, "\0" x ($HEADER + $FRAMES * $FRAME));
    open my $fh, '+<:raw', $file or die "$file: $!\n";

    my $self = bless { burst => 1, most => 3000, %o, torture => $torture, file => $file, fh => $fh,
        shim => shim($dir) }, $class;

    return $self;
}


sub shim {
    my ($dir) = @_;

    my $source = "$NginxAsync::Env::Root/t/torture/shim.c";
    my $cc = $ENV{CC} || 'cc';
    my $out = qx{$cc -O1 -g -fPIC -shared -o '$dir/shim.so' '$source' -ldl 2>&1};
    die "the shim does not compile: $out" if $?;

    return "$dir/shim.so";
}


sub control {
    my ($self, $at, $bytes) = @_;

    sysseek $self->{fh}, $at, SEEK_SET;
    syswrite $self->{fh}, $bytes;
}


# The count first, and who is meant at last.
sub arm {
    my ($self, $pid, $n) = @_;

    $self->control(4, pack 'l q q', 0, $n, $self->{burst});
    $self->control(0, pack 'l', $pid);
}


# How many have failed, what the first one was, and its callers.
sub disarm {
    my ($self) = @_;

    $self->control(0, pack 'l', 0);

    sysseek $self->{fh}, 0, SEEK_SET;
    sysread $self->{fh}, my $bytes, $HEADER + $FRAMES * $FRAME;

    my (undef, $failed, undef, undef, $what, $n) = unpack $HEAD, $bytes;
    my @frames = map { [unpack 'Z200 Q', substr $bytes, $HEADER + $_ * $FRAME, $FRAME] } 0 .. $n - 1;

    return ($failed, $what, @frames);
}


# Functions and lines of the module and the app, innermost first.
sub trace {
    my (@frames) = @_;

    my @lines;

    for my $frame (@frames) {
        my ($file, $offset) = @$frame;
        next if $file =~ m{/shim\.so$};

        # the address is that of the instruction behind the call
        my $said = qx{addr2line -f -s -e '$file' @{[sprintf '0x%x', $offset - 1]} 2>/dev/null};
        my ($name, $line) = split /\n/, $said;
        push @lines, ($name // '??') eq '??' ? $file =~ s{.*/}{}r : "$name ($line)" =~ s/ \(discriminator \d+\)//r;
    }

    return @lines;
}


sub start {
    my ($self) = @_;

    my %env = (TORTURE_CONTROL => $self->{file}, LD_PRELOAD => $self->{shim}, %{ $self->{env} || {} });

    # libasan is one of nginx's own libraries then, or named by the tests, and
    # need not be the first
    local $ENV{ASAN_OPTIONS} = join ':', grep { length } 'verify_asan_link_order=0', $ENV{ASAN_OPTIONS} // '';
    local $ENV{TEST_NGINX_LD_PRELOAD} = $ENV{TEST_NGINX_LD_PRELOAD};

    if (my $library = NginxAsync::Env::preload()) {
        $env{LD_PRELOAD} .= " $library";
        delete $ENV{TEST_NGINX_LD_PRELOAD};
    }

    $env{ASAN_OPTIONS} = { NginxAsync::Verdict::sanitizer_env('') }->{ASAN_OPTIONS} if NginxAsync::Env::asan();

    my $n = $self->{torture}->server(env => \%env, allow => [$ALLOWED], %{ $self->{server} || {} });

    if ($env{ASAN_OPTIONS}) {
        my $reports = $n->root . '/reports';
        $env{ASAN_OPTIONS} =~ s{log_path=[^:]*}{log_path=$reports/report};
    }

    return $n->start;
}


# A list of texts: what is wrong.  "say" is told of the progress.
sub run_case {
    my ($self, $case, $say) = @_;

    my $t = $self->{torture};
    my $n = $self->start;
    my ($i, %counts, @findings) = (0);

    my ($state, $why) = map { $t->ask($n, $case) } 1 .. 3;

    if ($state ne 'right') {
        return "$case->{name}: not even without a failure: $why";
    }

    my $idle = scalar(my @fds = $n->open_fds);

    while (++$i <= $self->{most} && !$t->late) {
        if ($case->{first}) {
            # a worker without connections
            $t->database->terminate($_->{pid}) for $t->database->backends(application_name => 'nginx-async');
        }

        my ($failed, @found) = $self->one($n, $case, $i, \%counts);

        push @findings, @found;
        last if !$failed || @findings > 20;
    }

    $say->(sprintf '%-16s %4d allocations: %s', $case->{name}, $i - 1,
        join ', ', map { "$counts{$_} $_" } sort keys %counts);

    # connections of a pool, of fetches that are kept, and a thread's
    if (!$n->wait_until(sub { (my @now = $n->open_fds) <= $idle + 8 }, 10)) {
        my %left;
        $left{ s/\d+/N/gr }++ for $n->open_fds;
        push @findings, "$case->{name}: descriptors were $idle and are "
            . join ', ', map { "$left{$_} $_" } sort keys %left;
    }

    push @findings, map { "$case->{name}: $_" } $self->ended($n);

    return @findings;
}


sub one {
    my ($self, $n, $case, $i, $counts) = @_;

    my $t = $self->{torture};
    my ($pid) = $n->workers(1);
    my $mark = $n->mark;

    return (0, "$case->{name}: no worker") if !$pid;

    $self->arm($pid, $i);
    my ($state, $why) = $t->ask($n, $case);
    my ($failed, $what, @frames) = $self->disarm;

    return 0 if !$failed && $state eq 'right';

    $counts->{$state}++;

    my @wrong;
    push @wrong, "$state: $why" if $state eq 'hangs' || $state eq 'wrong';

    for my $again ('hello', $case->{name}) {
        my ($now, $because);

        # a database that could not be reached is not tried for a moment
        $n->wait_until(sub {
            ($now, $because) = $t->ask($n, NginxAsync::Torture::one($again));
            return $now eq 'right' || !$case->{first};
        }, 10);

        push @wrong, "afterwards $again is $now: $because" if $now ne 'right';
    }

    my ($now) = $n->workers(1);
    push @wrong, 'the worker died' if !defined $now || $now != $pid;
    push @wrong, grep { !/\] \d+#\d+: .*worker process \d+ exited/ || @wrong < 3 }
        NginxAsync::Verdict::bad_lines($n->log($mark), $ALLOWED);

    return ($failed) if !@wrong;

    return ($failed, join "\n    ", "$case->{name}, allocation $i ($what):", @wrong,
        map { "    by $_" } trace(@frames));
}


# A report of leaks, without what was allocated before the worker served: our
# frames are in those of nginx's start, too.
sub serving {
    my ($text) = @_;

    return $text if $text !~ /LeakSanitizer: detected memory leaks/;

    my @leaks = grep { /leak of \d+/ && /\b(?:ngx_process_events_and_timers|ngx_async_coro\w*|ngx_thread_pool_cycle)\b/ }
        split /\n\n/, $text;

    return @leaks ? join("\n\n", @leaks) : ();
}


# The end of a server whose log has been looked at already.
sub ended {
    my ($self, $n) = @_;

    my $mark = $n->mark;
    my @problems = map { serving($_) } $n->{server}->stop('QUIT');

    $n->{judged} = $n->mark;

    return grep { !/$ALLOWED/ } @problems,
        NginxAsync::Verdict::bad_lines($n->log($mark), $ALLOWED);
}

1;
