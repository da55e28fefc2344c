#!/usr/bin/perl

# All of t/ws-life.t again, of sessions whose nginx request has ended.

use strict;
use warnings;

use FindBin;

our $Release = 1;

my $done = do "$FindBin::Bin/ws-life.t";

die $@ || $! if !defined $done;
