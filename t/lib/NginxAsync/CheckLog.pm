package NginxAsync::CheckLog;

=head1 NAME

NginxAsync::CheckLog - the checks of the block format on the logs

=head1 DESCRIPTION

C<$run> says where a block's part of the log begins: C<error_pos>, which each
check moves to the end as in Test::Nginx, and C<access_pos>.  A server that
is used again has its start in an earlier block; C<preface> is that start.

A line that should be there is waited for, within a bound; one that should
not is looked for once the server has let go of the connection.

=cut

use strict;
use warnings;

use Test::Base ();
use Test::More ();

use NginxAsync::Server;

my $LINE_BOUND = $ENV{TEST_NGINX_LOG_TIMEOUT} || 10;

# error_log, no_error_log and grep_error_log, on what is new in the log
sub error_log {
    my ($run) = @_;

    my $block  = $run->{block};
    my @wanted = patterns($block->error_log);
    my $grep   = grep_pattern($run);

    my $lines = new_lines($run, sub {
        my ($lines) = @_;
        return !missing($lines, @wanted)
            && (!defined $grep || grep_is_expected($run, $grep, $lines));
    });

    grep_error_log($run, $grep, $lines) if defined $grep;

    present($run, 'error_log', $lines, @wanted);
    absent($run, 'no_error_log', $lines, patterns($block->no_error_log));
}


# After the server has stopped.
sub shutdown_log {
    my ($run) = @_;

    my $block = $run->{block};
    my $lines = new_lines($run, sub { return 1 });

    present($run, 'shutdown_error_log', $lines,
        patterns($block->shutdown_error_log));
    absent($run, 'no_shutdown_error_log', $lines,
        patterns($block->no_shutdown_error_log));
}


# Not moved on between the requests of a block.
sub access_log {
    my ($run) = @_;

    my $block = $run->{block};
    return if !defined $block->access_log && !defined $block->no_access_log;

    my @wanted = patterns($block->access_log);
    my $lines;

    NginxAsync::Server::wait_until($LINE_BOUND, sub {
        my $text = substr NginxAsync::Server::read_or_empty(
            "$run->{root}/logs/access.log"), $run->{access_pos};
        $lines = [split /^/, $text];
        return !missing($lines, @wanted);
    });

    present($run, 'access_log', $lines, @wanted);
    absent($run, 'no_access_log', $lines, patterns($block->no_access_log));
}


# The lines since the last check, as soon as they satisfy; then those are
# behind us.
sub new_lines {
    my ($run, $satisfied) = @_;

    my ($lines, $size);

    NginxAsync::Server::wait_until($LINE_BOUND, sub {
        my $text = $run->{server}->log_from($run->{error_pos});
        $size  = length $text;
        $lines = [split /^/, $run->{preface} . $text];
        return $satisfied->($lines);
    });

    if (!$run->{accumulate}) {
        $run->{error_pos} += $size;
        $run->{preface} = '';
    }

    return $lines;
}


# A section as a list: lines of text are substrings, or regexes by "eval".
sub patterns {
    my ($value) = @_;

    return if !defined $value;
    return $value if ref $value eq 'Regexp';
    return grep { defined } @$value if ref $value eq 'ARRAY';

    chomp $value;
    return split /\n+/, $value;
}


sub matches {
    my ($line, $pattern) = @_;

    return ref $pattern ? $line =~ $pattern : index($line, $pattern) >= 0;
}


sub missing {
    my ($lines, @patterns) = @_;

    return grep {
        my $pattern = $_;
        !grep { matches($_, $pattern) } @$lines
    } @patterns;
}


sub present {
    my ($run, $section, $lines, @patterns) = @_;

    my $file = $section =~ /access/ ? 'access.log' : 'error.log';

    for my $pattern (@patterns) {
        Test::More::ok(!missing($lines, $pattern), "$run->{name} - pattern "
            . "\"$pattern\" should match a line in $file"
            . " (req $run->{repeated})");
    }
}


sub absent {
    my ($run, $section, $lines, @patterns) = @_;

    my $file = $section =~ /access/ ? 'access.log' : 'error.log';

    for my $pattern (@patterns) {
        my ($found) = grep { matches($_, $pattern) } @$lines;

        Test::More::ok(!defined $found, "$run->{name} - pattern "
            . "\"$pattern\" should not match a line in $file"
            . " (req $run->{repeated})")
            or Test::More::diag("it matches: $found");
    }
}


# ---- grep_error_log

sub grep_pattern {
    my ($run) = @_;

    my $block = $run->{block};
    my $value = $block->grep_error_log;

    die "$run->{name} - grep_error_log and grep_error_log_out need each other\n"
        if defined $value != defined $block->grep_error_log_out;

    return ref $value eq 'ARRAY' ? $value->[ $run->{repeated} ] : $value;
}


sub grep_expected {
    my ($run) = @_;

    my $value = $run->{expand}->($run->{block}->grep_error_log_out);

    return ref $value eq 'ARRAY' ? $value->[ $run->{repeated} ] : $value;
}


# What the pattern matched, a line each.
sub grep_lines {
    my ($grep, $lines) = @_;

    my $regex = ref $grep ? $grep : qr/\Q$grep\E/;
    my $out   = '';

    for my $line (@$lines) {
        if ($line =~ $regex) {
            my $matched = $&;
            $out .= "$matched\n" if $matched !~ /\n/;
        }
    }

    return $out;
}


sub grep_is_expected {
    my ($run, $grep, $lines) = @_;

    my $expected = grep_expected($run) // '';
    my $out      = grep_lines($grep, $lines);

    return ref $expected ? $out =~ $expected : $out eq $expected;
}


sub grep_error_log {
    my ($run, $grep, $lines) = @_;

    my $expected = grep_expected($run);
    my $out      = grep_lines($grep, $lines);
    my $title    = "$run->{name} - grep_error_log_out (req $run->{repeated})";

    return Test::More::like($out, $expected, $title) if ref $expected;

    Test::Base::is($out, $expected, $title);
}

1;
