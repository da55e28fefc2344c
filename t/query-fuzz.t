#!/usr/bin/perl

# Query strings and cookies into declared parameters under libFuzzer, with
# AddressSanitizer: see t/unit/query_fuzz.c.  Needs clang and nginx's headers
# (nginx-dev, or NGX_SRC=.../nginx-1.x), no nginx.  TEST_NGINX_SEED repeats a
# run, TEST_NGINX_RUNS says how many texts.

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

my @files = ('query', 'cookie', map({ "value$_" } '', qw(_uuid _time _base64)),
    map({ "json_$_" } qw(load read tree write double encode)), 'model', 'schema',
    map { "schema_$_" } qw(check place text json json_value json_wrong));

is system(@clang, qw(-Wall -Wextra -Werror), map({ "-I$_" } "$top/t/unit", "$top/src", "$nginx/core",
    "$nginx/event", "$nginx/event/modules", "$nginx/os/unix"), '-o', "$dir/fuzz",
    "$top/t/unit/query_fuzz.c", "$top/t/unit/ngx_stub.c",
    map({ "$top/src/ngx_http_async_$_.c" } @files), qw(-ljansson -lpcre2-8 -lm)), 0, 'it compiles';

# a value for each field that it takes, of a query and of a cookie

my %values = (a => [-128, 127, '+1_0.0'], b => [4, 65535], c => ['-9223372036854775808', ' 5'],
    d => [0, 500, '18446744073709551615'], e => [-4, 4], f => ['-2.5', '1e308', '.5', '1_0'],
    g => ['0.1', '-1e-45'], h => [qw(true off Y)], i => ['ab', "\xc3\xa9%41"], j => ['abc'], k => ['red'],
    l => ['blue'], m => ['{12345678-1234-5678-1234-567812345678}', 'urn:uuid:' . '0aF1' x 8],
    n => ['2026-01-31', '1769817600'], o => ['2026-01-31T10:20:30.5%2b01:00', '253402300799'],
    p => ['aGk='], q => [1], r => ['1&r=2&r=3'], s => ['', "a+b&s=%ff"], t => [2]);
my $i = 0;

mkdir "$dir/corpus";

for my $name (sort keys %values) {
    for my $value (@{ $values{$name} }) {
        for my $text ("\x01$name=$value", "\x00$name=$value; $name=\"$value\"",
            "\x00$name=\"\\" . join('\\', map { sprintf '%03o', ord } split //, $value) . '"')
        {
            open my $fh, '>', "$dir/corpus/" . $i++ or die $!;
            print $fh $text;
            close $fh;
        }
    }
}

open my $dict, '>', "$dir/dict" or die $!;
print $dict map { "\"$_\"\n" } qw(&a= &r= &s=%c3%a9 %2 %zz %00 ;a= =\" \\\\101 \\\\\" \\\\377 nan 1e400 _ .0
    9223372036854775808 T00:00 aGk=), '; ', "\\xff", "\\xf0\\x9f";
close $dict;

my $out = `cd $dir && ./fuzz -seed=$seed -runs=$runs -max_len=200 -dict=dict -timeout=20 corpus 2>&1`;
is $?, 0, "$runs texts" or diag substr $out, -6000;
like $out, qr/^Done $runs runs/m, '... have been tried';

done_testing;
