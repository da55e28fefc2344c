#!/usr/bin/perl

# Trees from JSON texts under libFuzzer, with AddressSanitizer, beside those of
# jansson's own parser: see t/unit/json_fuzz.c.  Needs clang and nginx's headers
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

my @files = ('value', map { "json_$_" } qw(load read tree));

is system(@clang, qw(-Wall -Wextra -Werror), map({ "-I$_" } "$top/t/unit", "$top/src", "$nginx/core",
    "$nginx/event", "$nginx/event/modules", "$nginx/os/unix"), '-o', "$dir/fuzz",
    "$top/t/unit/json_fuzz.c", "$top/t/unit/ngx_stub.c",
    map({ "$top/src/ngx_http_async_$_.c" } @files), qw(-ljansson -lm)), 0, 'it compiles';

# texts, and choices of which each begins with another bracket or scalar

my @texts = ('', '{"a":1,"b":[true,false,null,{"c":-1.5e3}],"":"x\u00e9\ud83d\ude00\n"}',
    '{"a":1,"a":2}', '{"a":{"b":1},"\u0061":[]}', '[{"a":1,"a":2},{"b"', '[1e400,]', '[1,9223372036854775808]',
    "\xef\xbb\xbf[-0,-0.0,1E+2,0e-1]", "[\"\xc3\xa9\xf0\x9f\x98\x80\"]", "[1\0]", "{\"a\":1,\"a\":2}\0",
    '{"' . 'k\n' x 100 . '":"' . 'v\t' x 100 . '"}', '[' x 150 . ']' x 150, '{"a":' x 110 . '1' . '}' x 110,
    ' [ ] ', '"\u0041\u00', '{"a" 1}', '{"a":1,}', '[1]x', 'nul', '-');
my $i = 0;

mkdir "$dir/corpus";

for my $text (map({ chr($_ % 2 ? 0 : 200) . "\0$texts[$_]" } 0 .. $#texts),
    map { chr(1 + $_ % 40) . "\1" . join '', map { chr } ($_, map { ($_ * 37) % 252 } $_ .. $_ + 60) } 0 .. 200)
{
    open my $fh, '>', "$dir/corpus/" . $i++ or die $!;
    print $fh $text;
    close $fh;
}

open my $dict, '>', "$dir/dict" or die $!;
print $dict map { "\"$_\"\n" } qw(null true false \\"a\\": \\"\\\\u0061\\": ,\\"b\\": \\\\u0000 \\\\ud83d \\\\ude00
    1e308 1e999 e-5 .5 922337203685477580 \xef\xbb\xbf [[ {} [] \x00 \xff), ' ';
close $dict;

my $out = `cd $dir && ./fuzz -seed=$seed -runs=$runs -max_len=600 -dict=dict -timeout=20 corpus 2>&1`;
is $?, 0, "$runs texts" or diag substr $out, -6000;
like $out, qr/^Done $runs runs/m, '... have been tried';

done_testing;
