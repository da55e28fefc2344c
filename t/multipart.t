#!/usr/bin/perl

# The parser of multipart/form-data under libFuzzer, with AddressSanitizer: see
# t/unit/multipart_fuzz.c.  Needs clang and nginx's headers (nginx-dev, or
# NGX_SRC=.../nginx-1.x), no nginx.  TEST_NGINX_SEED repeats a run,
# TEST_NGINX_RUNS says how many bodies.

use strict;
use warnings;

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

my @clang = split ' ', 'clang -g -O1 -std=gnu99 -fsanitize=fuzzer,address,undefined'
    . ' -fno-sanitize-recover=undefined';

plan skip_all => 'no clang with libFuzzer'
    if system("@clang -o $dir/probe $dir/probe.c 2>/dev/null") != 0;

is system(@clang, qw(-Wall -Wextra -Werror), map({ "-I$_" } "$top/t/unit", "$top/src", "$nginx/core",
    "$nginx/event", "$nginx/event/modules", "$nginx/os/unix"), '-o', "$dir/fuzz",
    "$top/t/unit/multipart_fuzz.c", "$top/t/unit/ngx_stub.c",
    map({ "$top/src/ngx_http_async_$_.c" } qw(field multipart_header multipart))), 0,
    'it compiles';

mkdir "$dir/corpus";

my @headers = ('Content-Disposition: form-data; name="a"',
    "Content-Disposition: form-data; name=f; filename=\"C:\\\\x%22\\\".y\"\r\nContent-Type: a/b",
    "content-disposition:form-data;\r\n name*=a; name=b; filename*=utf-8''%e2%82%ac",
    "Content-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: 8bit");
my $i = 0;

for my $header (@headers) {
    for my $data ('', "\r\n--", "text\r\n\r\n-\r") {
        open my $fh, '>', "$dir/corpus/" . $i++ or die $!;
        print $fh chr($i), "--x\r\n$header\r\n\r\n$data\r\n--x--\r\n";
        close $fh;
    }
}

open my $dict, '>', "$dir/dict" or die $!;
print $dict map { "\"$_\"\n" } '\x0d\x0a--x', '\x0d\x0a\x0d\x0a', 'form-data', 'name=', 'filename=',
    'filename*=', 'Content-Disposition:', 'Content-Type:', '%22', "utf-8''", "iso-8859-1''";
close $dict;

my $out = `cd $dir && ./fuzz -seed=$seed -runs=$runs -max_len=400 -dict=dict -timeout=20 corpus 2>&1`;
is $?, 0, "$runs bodies" or diag $out;
like $out, qr/^Done $runs runs/m, '... have been tried';

done_testing;
