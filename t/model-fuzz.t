#!/usr/bin/perl

# Random models, wrong ones too, and JSON into their structs under libFuzzer,
# with AddressSanitizer: see t/unit/schema_json_fuzz.c.  Needs clang and nginx's
# headers (nginx-dev, or NGX_SRC=.../nginx-1.x), no nginx.  TEST_NGINX_SEED
# repeats a run, TEST_NGINX_RUNS says how many texts.

use strict;
use warnings;
no warnings 'qw';

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use Test::More;

my $top   = abs_path(dirname(__FILE__) . '/..');
my $dir   = tempdir('ngx-async-fuzz-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $nginx = ($ENV{NGX_SRC} // '/usr/share/nginx/src') . '/src';
my $seed  = $ENV{TEST_NGINX_SEED} // 1;
my $runs  = $ENV{TEST_NGINX_RUNS} // ($ENV{TEST_NGINX_LONG} ? 10_000_000 : 60_000);

plan skip_all => "no nginx headers in $nginx" if !-f "$nginx/core/ngx_core.h";

open my $probe, '>', "$dir/probe.c" or die $!;
print $probe "int LLVMFuzzerTestOneInput(const char *p, unsigned long n);\n"
    . "int LLVMFuzzerTestOneInput(const char *p, unsigned long n) { return p && !n && 0; }\n";
close $probe;

my @clang = qw(clang -g -O1 -std=gnu11 -fsanitize=fuzzer,address,undefined
    -fno-sanitize-recover=undefined);

plan skip_all => 'no clang with libFuzzer'
    if system("@clang -o $dir/probe $dir/probe.c 2>/dev/null") != 0;

my @files = (map({ "value$_" } '', qw(_uuid _time _base64)),
    map({ "json_$_" } qw(load read tree write double encode)), 'model', 'schema',
    map { "schema_$_" } qw(check place text json json_value json_wrong));

is system(@clang, qw(-Wall -Wextra -Werror), map({ "-I$_" } "$top/t/unit", "$top/src", "$nginx/core",
    "$nginx/event", "$nginx/event/modules", "$nginx/os/unix"), '-o', "$dir/fuzz",
    "$top/t/unit/schema_json_fuzz.c", "$top/t/unit/ngx_stub.c",
    map({ "$top/src/ngx_http_async_$_.c" } @files), qw(-ljansson -lpcre2-8 -lm)), 0, 'it compiles';

# each kind, plain, as a pointer and as a list, with each attribute, and a text
# as it is or one that is made; and with each attribute that is wrong

mkdir "$dir/corpus";

for my $kind (0 .. 14) {
    for my $with (0 .. 15) {
        my @kinds = map { $kind + $_ } 0, 64, 128, 64;
        my $model = chr(3) . join '', map { chr($_) . chr $with } @kinds;

        open my $fh, '>', "$dir/corpus/$kind-$with" or die $!;
        print $fh $model, $with % 2
            ? chr(1) . join '', map { chr(($_ * 37 + $kind * 11 + $with) % 250) } 1 .. 80
            : chr(0) . '{"a":1,"b":"5","c":[1,"red",{"x":1}],"d":{"a":[true,null,-1.5e3]}}';
        close $fh;

        open $fh, '>', "$dir/corpus/$kind-$with-wrong" or die $!;
        print $fh chr(0x83), (map { chr($_) . chr 16 * $with } @kinds), '{}';
        close $fh;
    }
}

# a default of an object whose fields have none made yet
{
    open my $fh, '>', "$dir/corpus/unmade" or die $!;
    print $fh "\203\012\0J\301\322", "\301" x 16, "\1\0\0\0";
    close $fh;
}

open my $dict, '>', "$dir/dict" or die $!;
print $dict map { "\"$_\"\n" } qw(null true false \"a\" \"x\" \"\" {\"a\": ,\"b\": \\\\u0061 \\\\ud83d
    \\\\ude00 1e308 e-5 .5 922337203685477580 \xef\xbb\xbf [[ {} [] red aGk= 2026-01-31T), ' ';
close $dict;

my $out = `cd $dir && ./fuzz -seed=$seed -runs=$runs -max_len=600 -dict=dict -timeout=20 corpus 2>&1`;
is $?, 0, "$runs texts" or diag substr $out, -6000;
like $out, qr/^Done $runs runs/m, '... have been tried';

done_testing;
