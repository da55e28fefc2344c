#!/usr/bin/perl

# Compiles t/coro.c with layer 0 in every mode and runs it.  Needs no nginx.
# What is missing for a mode is a failure, so that none is lost unnoticed;
# NGX_ASYNC_NO_CROSS=1 lets the modes pass that need valgrind, clang or aarch64.

use warnings;
use strict;

use Test::More;
use Cwd qw/ abs_path /;
use File::Basename qw/ dirname /;
use File::Temp qw/ tempdir /;

my $top = abs_path(dirname(__FILE__) . '/..');
my $dir = tempdir('ngx-async-coro-XXXXXX', TMPDIR => 1, CLEANUP => 1);

my @sources = ("$top/t/coro.c", glob("$top/src/ngx_async_coro*.c"));
my @flags = qw/ -std=gnu11 -g -Wall -Wextra -Werror -pthread /;

my $cross = 'aarch64-linux-gnu-gcc';
my $valgrind = 'valgrind -q --error-exitcode=9 --log-file=%p.valgrind';

# name, compiler and flags, runner, how many live at once, environment

my @modes = (
    ['gcc -O2', 'gcc -O2', '', 100000],
    ['gcc -O0', 'gcc -O0', '', 100000],
    ['as nginx builds a module', 'gcc -O -fPIC -fcf-protection', '', 1000],
    ['clang -O2', 'clang -O2', '', 100000],
    ['clang -O0', 'clang -O0', '', 1000],
    ['guards by mprotect', 'gcc -O2 -DNGX_ASYNC_NO_GUARD_REGIONS', '',
        100000],
    ['ucontext', 'gcc -O2 -DNGX_ASYNC_CORO_UCONTEXT', '', 100000],
    ['AddressSanitizer', 'gcc -O1 -fsanitize=address,undefined', '', 10000,
        ASAN_OPTIONS => 'detect_stack_use_after_return=0'],
    ['AddressSanitizer with fake stacks', 'gcc -O1 -fsanitize=address', '',
        1000, ASAN_OPTIONS => 'detect_stack_use_after_return=1'],
    ['AddressSanitizer and ucontext',
        'gcc -O1 -fsanitize=address -DNGX_ASYNC_CORO_UCONTEXT', '', 1000],
    ['AddressSanitizer of clang', 'clang -O1 -fsanitize=address', '', 1000],
    ['ThreadSanitizer', 'gcc -O1 -fsanitize=thread', 'setarch -R', 200],
    ['valgrind', 'gcc -O1', $valgrind, 500],
    ['aarch64', "$cross -O2 -static", 'qemu-aarch64', 10000,
        TEST_EMULATED => 1],
    ['aarch64 -O0', "$cross -O0 -static", 'qemu-aarch64', 1000,
        TEST_EMULATED => 1],
);

plan tests => scalar @modes;

for my $mode (@modes) {
    my ($name, $compile, $run, $live, %env) = @$mode;

    subtest "layer 0, $name" => sub {
        my @missing = grep { !installed((split ' ')[0]) }
                      grep { length } $compile, $run;

        if (@missing && $ENV{NGX_ASYNC_NO_CROSS}) {
            plan skip_all => "not installed: @missing";
        }

        plan tests => 3;

        is("@missing", '', 'its tools are installed');

        my $built = build($compile);
        is($built, '', 'it compiles without a warning');

        is(run($run, $live, %env), '', 'its tests pass');
    };
}


sub installed {
    my ($tool) = @_;

    return grep { -x "$_/$tool" } split /:/, $ENV{PATH};
}


sub build {
    my ($compile) = @_;

    my $command = join ' ', $compile, @flags, "-I$top/src", '-o', "$dir/coro",
                       @sources;

    unlink "$dir/coro";

    my $out = `cd $dir && $command 2>&1`;

    return $? ? "$command\n$out" : $out;
}


# what went wrong, or nothing

sub run {
    my ($run, $live, %env) = @_;

    local @ENV{keys %env} = values %env;

    my $out = `cd $dir && $run ./coro $live 2>stderr`;
    my $status = $?;

    note($1) while $out =~ /^# (.*)/mg;

    my @lines = split /\n/, $out;
    my @bad = grep { /^not ok/ } @lines;
    my $good = grep { /^ok/ } @lines;

    push @bad, "exit status $status" if $status;
    push @bad, 'the plan does not fit' unless $out =~ /^1\.\.$good$/m;

    return @bad ? join("\n", @bad, tail($dir)) : '';
}


# the ends of stderr and of what valgrind found in the parent

sub tail {
    my ($dir) = @_;

    my $text = '';

    for my $file ("$dir/stderr", sort glob("$dir/*.valgrind")) {
        open my $fh, '<', $file or next;
        local $/;
        $text .= substr(<$fh> // '', 0, 2000);
        close $fh;
    }

    return $text;
}
