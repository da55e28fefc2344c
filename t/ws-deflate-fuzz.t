#!/usr/bin/perl

# permessage-deflate under libFuzzer, with AddressSanitizer: see
# t/unit/ws_deflate_fuzz.c.  Needs clang and nginx's headers (nginx-dev, or
# NGX_SRC=.../nginx-1.x), no nginx.  TEST_NGINX_SEED repeats a run,
# TEST_NGINX_RUNS says how many inputs.

use strict;
use warnings;

use Compress::Raw::Zlib;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use Test::More;

my $top   = abs_path(dirname(__FILE__) . '/..');
my $dir   = tempdir('ngx-async-fuzz-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $nginx = ($ENV{NGX_SRC} // '/usr/share/nginx/src') . '/src';
my $seed  = $ENV{TEST_NGINX_SEED} // 1;
my $runs  = $ENV{TEST_NGINX_RUNS} // ($ENV{TEST_NGINX_LONG} ? 10_000_000 : 40_000);

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
    "$top/t/unit/ws_deflate_fuzz.c", "$top/t/unit/ngx_stub.c",
    map({ "$top/src/ngx_http_async_$_.c" } qw(field ws_offer ws_deflate)), '-lz'), 0, 'it compiles';

mkdir "$dir/corpus";

my $i = 0;

sub seed {
    my ($kind, $data) = @_;

    for my $bit (0, 0x80) {
        open my $fh, '>:raw', "$dir/corpus/" . $i++ or die $!;
        # of the bytes that stand for it the one that has the bit or not
        print $fh chr($bit ? 0x81 + ($kind - 0x81 % 3) % 3 : $kind), $data;
        close $fh;
    }
}

seed(0, $_) for 'permessage-deflate; client_max_window_bits',
    'permessage-deflate; server_max_window_bits="1\\0", permessage-deflate; a=b',
    'x; y=z, permessage-deflate;server_no_context_takeover ; client_no_context_takeover';

for my $text ('', 'Hello', 'abc' x 100, join '', map { chr $_ * 7 % 256 } 1 .. 300) {
    for my $end (Z_SYNC_FLUSH, Z_FULL_FLUSH, Z_FINISH) {
        my $z = Compress::Raw::Zlib::Deflate->new(-WindowBits => -9, -AppendOutput => 1);
        $z->deflate($text, my $out);
        $z->flush($out, $end);
        seed(1, substr $out, 0, -4 * ($end != Z_FINISH) || length $out);
        seed(1, $out . $out);
    }
    seed(2, $text);
}

open my $dict, '>', "$dir/dict" or die $!;
print $dict map { "\"$_\"\n" } '\x00\x00\xff\xff', '\x00\x00\x00\xff\xff', '\x03\x00',
    'permessage-deflate', '; ', ', ', '=', 'server_max_window_bits', 'client_max_window_bits',
    'server_no_context_takeover', 'client_no_context_takeover';
close $dict;

my $out = `cd $dir && ./fuzz -seed=$seed -runs=$runs -max_len=600 -dict=dict -timeout=20 corpus 2>&1`;
is $?, 0, "$runs inputs" or diag $out;
like $out, qr/^Done $runs runs/m, '... have been tried';

done_testing;
