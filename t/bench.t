#!/usr/bin/perl

# util/bench: what it makes of the samples of a run, of which one stands beside
# it.  Nothing is measured.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP qw(decode_json);
use Test::More;

use NginxAsync;
use NginxAsync::Env;
use NginxAsync::Guard;

my $bench  = "$NginxAsync::Env::Root/util/bench";
my $sample = "$bench/sample.json";
my $dir    = NginxAsync::Guard::temp_dir('bench');

# AddressSanitizer is loaded into nginx only
delete $ENV{LD_PRELOAD};

sub bench { return NginxAsync::run("$bench/run", @_) }

sub text { return NginxAsync::Env::slurp($_[0]) }

# the cells of a table's rows, by the first one
sub rows {
    my ($table, $workload) = @_;

    my ($part) = $table =~ /^### \Q$workload\E: .*?\n\n(.*?)(?:\n\n|\z)/ms;
    my %rows;

    for my $line (split /\n/, $part) {
        my ($first, @cells) = map { s/^ +| +$//gr } split /\|/, $line =~ s/^\|//r;
        $rows{$first} = \@cells;
    }

    return \%rows;
}

# width and class of the bars of a chart, by whose they are
sub bars {
    my ($svg, $title) = @_;

    my ($panel) = $svg =~ m{class="p">\Q$title\E</text>(.*?)(?:class="p"|\z)}s;
    my %bars;

    while ($panel =~ m{>([^<]*)</text>\n<rect class="(\w)"[^>]* width="([\d.]+)"[^>]*/>\n<text[^>]*>([^<]*)<}g) {
        $bars{$1} = { class => $2, width => $3, figure => $4 };
    }

    return \%bars;
}

my $table = bench('table', $sample);
my $w1    = rows($table, 'w1');

is($w1->{'nginx, return 200'}[0], '11.0',
    'a median is that of the quiet samples, if there are two');
is($w1->{'nginx, return 200'}[7], '2 of 3', '... and the table says how many were');
is($w1->{'nginx-async, no await'}[1], '1.09', 'the ratio is to the median of the limit');
like($w1->{Kore}[0], qr/not installed: kore/, 'what could not run says why');
is_deeply([@{ rows($table, 'wi')->{'nginx-async, no await'} }[0 .. 2]], [24000, '1.20', 3000],
    'instructions have columns of their own');
like($table, qr/An <Example> & Co\. CPU, 2 cores.*^- nginx-async: nginx 1\.22\.1, nginx-async 1234567$/ms,
    'the machine and versions are below');

my $svg  = bench('chart', $sample);
my $bars = bars($svg, 'hello, as JSON');

open my $out, '>', "$dir/chart.svg" or die "chart.svg: $!";
print $out $svg;
close $out;

is(NginxAsync::run('python3', '-c', 'import sys, xml.dom.minidom as x; print(x.parse(sys.argv[1])'
    . '.documentElement.tagName)', "$dir/chart.svg"), "svg\n", 'a chart is XML, whatever the machine is called');
is_deeply({ map { $_ => $bars->{$_}{class} } keys %$bars },
    { nginx => 'l', 'nginx-async' => 'o', 'node:http' => 'b' },
    'a contender has one bar, ours and the limit have a colour of their own, who did not run has none');
is($bars->{'nginx-async'}{figure}, "12.0  \xc3\x97 1.09", 'its figure and the ratio are the first row\'s');
ok(abs($bars->{'node:http'}{width} / $bars->{nginx}{width} - 44 / 11) < 0.05, 'bars are as long as figures say');
is_deeply([sort keys %{ bars($svg, '100 server-sent events') }], ['nginx', 'nginx-async'],
    'an answer that is not what others do has no bar');
is_deeply([sort keys %{ bars($svg, 'a fetch, its JSON parsed') }], ['nginx', 'njs *'],
    'who keeps no connection to the backend has an asterisk');
like($svg, qr/>\* keeps no connection to the backend</, '... which is explained');
unlike($svg, qr/(?:href|src|url\()/, 'a chart needs no other file');

my $ours = text("$bench/chart.svg");

cmp_ok(length $ours, '<', 30_000, 'the chart of README.md is small');
like($ours, qr/prefers-color-scheme:dark/, '... and may be dark');

my $matrix = bench('matrix');

like($matrix, qr/^\| w1 \| 1 \| 2 \|/m, 'there is a table of who has rows of which workload');
ok(index(text("$bench/README.md"), $matrix) >= 0, '... and README.md has it as it is');

like(bench('plan', '-w', 'w1,wi', '-r', 3), qr/^w1 .* 3 rounds.*^wi .* 1 rounds.*^all +\d+ minutes$/ms,
    'a plan says how long a run takes, and that counts take one round');
like(bench('plan', '-w', 'w0'), qr/no workload w0/, 'a workload that there is not is refused');

for my $lock (glob "$bench/contenders/*/package-lock.json") {
    my ($name) = $lock =~ m{(\w+)/package-lock};
    my $packages = decode_json(text($lock))->{packages};
    my @named = grep { $_ ne '' } keys %$packages;

    ok(@named && !grep({ !$packages->{$_}{integrity} || $packages->{$_}{resolved} } @named),
        "npm's packages for $name have checksums and no registry");
}

done_testing();
