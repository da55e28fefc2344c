#!/usr/bin/perl

# What README.md and those of the examples refer to is there: headings, files,
# calls and directives; and every example has its README, and its line.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use File::Basename qw(basename dirname);
use Test::More;

use NginxAsync;

my $top = $NginxAsync::Env::Root;

sub text { return NginxAsync::Env::slurp("$top/$_[0]") }

# without blocks of code
sub prose { return text($_[0]) =~ s/^```.*?^```$//gmsr }

# The anchors of a page, as GitHub makes them of its headings.
sub anchors {
    my ($file) = @_;

    my (%count, %anchors);

    for my $heading (prose($file) =~ /^#+ +(.*?) *$/gm) {
        my $anchor = lc $heading =~ s/[^\w\- ]//gr =~ tr/ /-/r;
        my $n = $count{$anchor}++;

        $anchors{ $anchor . ($n ? "-$n" : '') } = 1;
    }

    return \%anchors;
}

# What is wrong with the links of a page.
sub dead {
    my ($file) = @_;

    my @dead;

    for my $link (prose($file) =~ /\[[^\]]*\]\(([^)\s]+)\)/g) {
        next if $link =~ /^https?:/;

        my ($path, $anchor) = $link =~ /^([^#]*)(?:#(.*))?$/;
        my $to = $path eq '' ? $file : dirname($file) eq '.' ? $path : dirname($file) . "/$path";

        if (!-e "$top/$to") {
            push @dead, $link;

        } elsif (defined $anchor) {
            push @dead, $link if $to !~ /\.md$/ || !anchors($to)->{$anchor};
        }
    }

    return \@dead;
}

my @examples = sort map { basename($_) } grep { -d } glob "$top/examples/*";
my $readme   = text('README.md');

cmp_ok scalar(() = $readme =~ /\]\(#/g), '>', 40, 'README.md has links';
is_deeply dead('README.md'), [], '... none of them dead';

my %rows = map { $_ => 1 } $readme =~ m{^\| \[([\w-]+)\]\(examples/\1/README\.md\) \| \S}gm;

for my $name (@examples) {
    my $file = "examples/$name/README.md";

    ok -e "$top/$file", $file or next;
    is_deeply dead($file), [], '... its links';
    ok $rows{$name} || $readme =~ m{\]\(examples/$name/README\.md\)}, '... and one to it';

    next if text("examples/$name/nginx.conf") !~ /^ *listen /m;

    my $run = $name eq 'tour' ? 'util/run' : "util/run $name";
    like text($file), qr/^\$ \Q$run\E$/m, '... which says how to run it';
}

# ---- names

my $header     = text('src/ngx_async.h');
my $sources    = join '', map { text('src/' . basename($_)) } glob "$top/src/*.c";
my %directives = map { $_ => 1 } $sources =~ /ngx_string\("(async_\w+)"\),\n *NGX_/g;
my %variables  = map { $_ => 1 } $sources =~ /ngx_string\("(async_\w+)"\), [A-Z]/g;

my %documented = map { $_ => 1 } map { split /, /, $_ } $readme =~ /^## (async_[\w, ]+)$/gm;
is_deeply [sort keys %documented], [sort keys %directives], 'each directive has its section, and no other';

my %rows_of = map { $_ => 1 } $readme =~ /^\| `\$(async_\w+)` \|/gm;
is_deeply [sort keys %rows_of], [sort keys %variables], 'each variable has its row, and no other';

my @unknown = grep { !$directives{$_} && !$variables{$_} && $header !~ /\b$_\b/ }
    map { /\b((?:async|await|ASYNC|BLOCKING)_\w+[a-zA-Z])\b/g } prose('README.md') =~ /`([^`\n]+)`/g;
is_deeply \@unknown, [], 'each name of ours is declared';

done_testing;
