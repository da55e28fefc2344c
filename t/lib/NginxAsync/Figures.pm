package NginxAsync::Figures;

=head1 NAME

NginxAsync::Figures - what "async_status json" tells

=head1 SYNOPSIS

    figure($nginx, 'task', 'alive');                    # a number
    figure($nginx, 'route', 'GET /', 'requests');       # with a label: its row
    figure($nginx, 'route', 'GET /', 'time');           # how many times
    is_figure($nginx, ['task', 'alive'], 1, 'a task');  # waits for that

=head1 DESCRIPTION

The status is at /async/status: $STATUS is its location.

=cut

use strict;
use warnings;

use Exporter qw(import);
use JSON::PP ();
use Test::More ();

our @EXPORT_OK = qw($STATUS figures figure is_figure at_least);

our $STATUS = 'location = /async/status { async_status json; }';

sub figures { return JSON::PP::decode_json($_[0]->get('/async/status')->body) }


sub figure {
    my ($n, @path) = @_;

    my $at = figures($n);

    for (@path) {
        $at = ref $at eq 'HASH' ? $at->{$_} : undef;
    }

    return ref $at eq 'HASH' ? $at->{count} : $at;
}


# Until the test of it holds; the last figure.
sub await_figure {
    my ($n, $path, $test) = @_;

    my $is;
    $n->wait_until(sub { $is = figure($n, @$path); defined $is && $test->($is) }, 30);

    return $is;
}


sub is_figure {
    my ($n, $path, $expected, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return Test::More::is(await_figure($n, $path, sub { $_[0] == $expected }), $expected,
        "$name (@$path)");
}


sub at_least {
    my ($n, $path, $least, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return Test::More::cmp_ok(await_figure($n, $path, sub { $_[0] >= $least }) // 'none', '>=',
        $least, "$name (@$path)");
}

1;
