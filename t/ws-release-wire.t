#!/usr/bin/perl

# What goes over the wire, again, of sessions whose nginx request has ended: the
# conformance tests, messages of all lengths, compressed ones, and bombs.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

for my $name (qw(conformance conformance-utf8 conformance-limits deflate)) {
    my $file = "$FindBin::Bin/ws-$name.t";
    (my $package = "Released::$name") =~ tr/-/_/;

    open my $in, '<', $file or die "$file: $!";
    my $test = do { local $/; <$in> };

    subtest $name => sub {
        eval qq{package $package; \$${package}::Release = 1;\n#line 1 "$file"\n$test; 1} or die $@;
    };
}

done_testing;
