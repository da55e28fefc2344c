package NginxAsync::Skip;

=head1 NAME

NginxAsync::Skip - skip_nginx, skip_nginx2, skip_openssl, skip_eval, todo

=head1 DESCRIPTION

C<skipped($run, $each)> emits the skipped tests, whose number the section says,
$each times, and is true; or it is false, and the block runs.

    --- skip_nginx
    3: < 1.25.1: no "http2" directive

=cut

use strict;
use warnings;

use Test::More ();

use NginxAsync::Env;

my $VERSION = qr/([<>]=?)\s*(\d+)\.(\d+)\.(\d+)([a-z]?)/;

sub skipped {
    my ($run, $each) = @_;

    my $block = $run->{block};

    for my $kind (qw(nginx nginx2 openssl eval)) {
        my $section = "skip_$kind";
        my $spec    = $block->$section // next;

        my ($count, $rest) = $spec =~ /^\s*(\d+)\s*:\s*(.*)$/s
            or die "invalid $section: $spec\n";

        $rest =~ s/\s+\z//;
        my $reason = __PACKAGE__->can($kind)->($rest) // next;

        SKIP: { Test::More::skip("$run->{name} - $reason", $count * $each) }
        return 1;
    }

    return todo($run, $each, scalar $block->todo);
}


# As in Test::Nginx the block does not run: its tests are a to-do list.
sub todo {
    my ($run, $each, $spec) = @_;

    return 0 if !defined $spec;

    my ($count, $reason) = $spec =~ /^\s*(\d+)\s*:\s*(.*)$/s
        or die "invalid todo: $spec\n";

    $reason =~ s/\s+\z//;

    TODO: { Test::More::todo_skip("$run->{name} - $reason", $count * $each) }
    return 1;
}


# Each returns the reason to skip, or undef.
sub nginx {
    my ($rest) = @_;

    my ($condition, $reason) = split /\s*:\s*/, $rest, 2;

    return holds($condition, NginxAsync::Env::version())
        ? $reason || "nginx version $condition" : undef;
}


sub nginx2 {
    my ($rest) = @_;

    my ($condition, $reason) = split /\s*:\s*/, $rest, 2;
    my ($first, $word, $second) =
        $condition =~ /^($VERSION)\s*(and|or)\s*($VERSION)/ ? ($1, $7, $8)
        : die "invalid skip_nginx2: $rest\n";

    my @holds = map { holds($_, NginxAsync::Env::version()) } $first, $second;

    return ($word eq 'or' ? $holds[0] || $holds[1] : $holds[0] && $holds[1])
        ? $reason || "nginx version $condition" : undef;
}


sub openssl {
    my ($rest) = @_;

    my ($condition, $reason) = split /\s*:\s*/, $rest, 2;
    my $built = NginxAsync::Env::version_text()
        =~ /built with OpenSSL (\d+)\.(\d+)\.(\d+)/
        ? NginxAsync::Env::canon_version($1, $2, $3)
        : return $reason || 'not built with OpenSSL';

    return holds($condition, $built)
        ? $reason || "OpenSSL version $condition" : undef;
}


sub eval {
    my ($code) = @_;

    my $result = CORE::eval("package main; no strict; $code");
    die "skip_eval: $@" if $@;

    return $result ? 'skip_eval' : undef;
}


sub holds {
    my ($condition, $have) = @_;

    $condition =~ /^$VERSION/ or die "invalid version condition: $condition\n";
    my ($op, $want) = ($1, NginxAsync::Env::canon_version($2, $3, $4));

    return $op eq '<' ? $have < $want
        : $op eq '<=' ? $have <= $want
        : $op eq '>'  ? $have > $want
        :               $have >= $want;
}

1;
