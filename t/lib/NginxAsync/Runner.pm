package NginxAsync::Runner;

=head1 NAME

NginxAsync::Runner - runs the blocks of a file, one after another

=head1 DESCRIPTION

Test::Nginx::Socket is its face, NginxAsync::Stage the server below it.  The
state of one block is C<$run>, a hash: block, name, repeated (which run of
it), index (of the request), many (whether there are several), left (bytes
after a response), and what NginxAsync::Stage puts there.

=cut

use strict;
use warnings;

use List::Util qw(shuffle);
use Scalar::Util qw(looks_like_number);
use Test::Base ();
use Test::More ();
use Time::HiRes qw(sleep);

use NginxAsync::Check;
use NginxAsync::CheckLog;
use NginxAsync::Conf;
use NginxAsync::Env;
use NginxAsync::Exchange;
use NginxAsync::Request;
use NginxAsync::Sections;
use NginxAsync::Settings;
use NginxAsync::Skip;
use NginxAsync::Stage;

*Set = \%NginxAsync::Settings::Set;
our %Set;

sub run_tests {
    NginxAsync::Stage::prepare();

    my @blocks = Test::Base::blocks();

    for my $block ($Set{no_shuffle} ? @blocks : shuffle @blocks) {
        $_->($block) for @{ $Set{preprocessors} };

        $block->set_value(name => "$0 " . $block->name);

        if (!eval { run_block($block); 1 }) {
            chomp(my $why = $@);
            Test::More::fail($block->name . " - $why");
        }

        $_->($block) for @{ $Set{after_test} };
    }

    NginxAsync::Stage::finish();
}


# ---- one block

sub run_block {
    my ($block) = @_;

    my $mistake = NginxAsync::Sections::mistake($block);
    die "$mistake\n" if $mistake;

    my $failed = failures();
    my $run    = new_run($block);

    NginxAsync::Skip::skipped($run, $Set{repeat_each}) and return;

    local $Set{log_level} = $block->log_level || $Set{log_level};
    local $Set{timeout}   = $block->timeout
        ? seconds($block->timeout) : $Set{timeout};

    if (defined $block->must_die) {
        must_die($run);

    } elsif (NginxAsync::Stage::serve($run)) {
        exercise($run);
    }

    after_block($run);
    NginxAsync::Stage::show_log($run) if failures() > $failed;
}


# "2", "2s" or "200ms"
sub seconds {
    my ($text) = @_;

    my ($number, $unit) = $text =~ /^\s*([\d.]+)(ms|s)?\s*$/
        or die "not a time: $text\n";

    return ($unit // 's') eq 'ms' ? $number / 1000 : $number;
}


sub failures {
    return scalar grep { !$_ } Test::More->builder->summary;
}


sub new_run {
    my ($block) = @_;

    my $name = $block->name;
    my $root = NginxAsync::Stage::root();

    # the same ports for all blocks, so that equal configurations are equal
    our %ports;

    return {
        block => $block, name => $name, root => $root,
        accumulate => $Set{accumulate}, body_checks => $Set{body_checks},
        repeated => 0, index => 0, many => 0,
        expand => sub {
            return NginxAsync::Conf::expand($_[0], \%ports, $name);
        },
    };
}


sub exercise {
    my ($run) = @_;

    my $init = $run->{block}->init;

    if ($init) {
        eval "package main; no strict; no warnings; $init; 1"
            or die "init failed: $@";
    }

    for my $i (0 .. $Set{repeat_each} - 1) {
        $run->{repeated} = $i;
        NginxAsync::Stage::write_user_files($run) if $i;
        send_requests($run);
    }
}


# Lines nobody expected fail here, where they are still near their cause.
sub after_block {
    my ($run) = @_;

    my $block = $run->{block};

    if (defined $block->shutdown_error_log
        || defined $block->no_shutdown_error_log)
    {
        NginxAsync::Stage::stop_server($run->{name});
        NginxAsync::CheckLog::shutdown_log($run) if $run->{server};
    }

    NginxAsync::Stage::judge_log($run->{name});
}


# The configuration must be refused: nginx exits by itself, before serving.
sub must_die {
    my ($run) = @_;

    my $expected = $run->{block}->must_die;
    my $server   = NginxAsync::Stage::set_up($run,
        NginxAsync::Stage::conf_text($run), '[emerg]');

    for my $i (0 .. $Set{repeat_each} - 1) {
        $run->{repeated} = $i;
        my $serves = $server->start;
        my $status = $serves ? 0 : $server->status;
        my $title  = "$run->{name} - die";

        if ($status & 127) {
            Test::More::fail("$title: killed by signal " . ($status & 127));

        } elsif (looks_like_number($expected)) {
            Test::More::is($status >> 8, $expected,
                "$title with the expected exit code");

        } else {
            Test::More::isnt($status, 0, "$title as expected");
        }

        NginxAsync::CheckLog::error_log($run);
        $server->stop if $serves;
    }

    NginxAsync::Stage::stop_server($run->{name});
}


# ---- requests

sub send_requests {
    my ($run) = @_;

    my $block = $run->{block};

    my @requests = NginxAsync::Request::from_block($block, $Set{server_name},
        $run->{expand});

    my $pipelined = $block->pipelined_requests;
    my $answers   = $pipelined ? @$pipelined : @requests;

    $run->{many} = $pipelined || $answers > 1 ? 1 : 0;
    $run->{left} = '';

    for my $i (0 .. $answers - 1) {
        $run->{index} = $i;

        my ($bytes, $head) = $i && $pipelined ? ($run->{left}, 0)
            : send_one($run, $requests[$i]);

        if (!defined $block->ignore_response) {
            my $left = NginxAsync::Check::response($run, $bytes, $head);
            note_left($run, $left, $pipelined && $i < $answers - 1);
        }

        sleep $block->wait if $block->wait;

        NginxAsync::CheckLog::error_log($run);
        NginxAsync::CheckLog::access_log($run)
            if !defined $block->ignore_response;
    }
}


sub note_left {
    my ($run, $left, $expected) = @_;

    $run->{left} = $left;

    if (length $left && !$expected) {
        $left =~ s/([^ -~])/sprintf '\x{%02x}', ord $1/ge;
        Test::More::diag("$run->{name} - extra bytes after the response: ",
            $left);
    }
}


sub send_one {
    my ($run, $request) = @_;

    my $block = $run->{block};
    my $head  = join('', map { $_->{value} } @$request) =~ /^\s*HEAD\s/;

    my %where = (addr => $Set{server_addr}, port => NginxAsync::Stage::port(),
        timeout => $Set{timeout}, verbose => NginxAsync::Env::verbose(),
        file => "$run->{root}/html/curl.data.bin",
        middle_delay => scalar $block->raw_request_middle_delay,
        shutdown => defined $block->shutdown
            ? ($block->shutdown =~ /\d/ ? 0 + $block->shutdown : 1) : undef);

    if (defined $block->curl) {
        my @command = NginxAsync::Request::curl($block, $request, \%where);
        Test::More::diag(join ' ', map { /\W/ ? "'$_'" : $_ } @command);
    }

    return (curl($run, $request, \%where), $head) if defined $block->http2;

    my ($bytes, $error) = NginxAsync::Exchange::talk(\%where, $request);

    if ($error && $error =~ /^timed out/) {
        Test::More::fail("client socket timed out - $run->{name}")
            if !defined $block->abort;

    } elsif ($error) {
        Test::More::diag("$run->{name} - $error");
    }

    # a handler that works on after an abort is not waited for
    NginxAsync::Exchange::closed($where{port}, $where{client_port},
        defined $block->abort || $error ? 0.05 : 1);

    return ($bytes, $head);
}


sub curl {
    my ($run, $request, $where) = @_;

    my ($out, $error) = NginxAsync::Exchange::by_curl("$run->{root}/logs/curl",
        NginxAsync::Request::curl($run->{block}, $request, $where));

    my $expected = $run->{block}->curl_error;

    if (!length $out) {
        chomp($expected) if defined $expected && !ref $expected;

        Test::More::fail("$run->{name} - curl: " . ($error || 'no output'))
            if !defined $expected
                || !NginxAsync::CheckLog::matches($error, $expected);

    } elsif ($error) {
        Test::More::diag("$run->{name} - curl: $error");
    }

    NginxAsync::Exchange::closed($where->{port}, undef, 0.05);

    return $out;
}

1;
