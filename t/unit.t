#!/usr/bin/perl

# Compiles the pure files with t/unit/*.c, plain and sanitized, and
# runs the tables there, then compares thousands of random cases with Python:
# the routes with Starlette's regular expressions, JSON with json, numbers with
# repr(), values with pydantic 2 where it is installed, URLs and queries with
# urllib, cookies with http.cookies, SQL with re; formats of JSON with
# json_pack(); and rows with PostgreSQL's row_to_json(), where there is a
# PostgreSQL to start.  Needs nginx's headers (nginx-dev, or
# NGX_SRC=.../nginx-1.x of any version), no nginx.
#
# TEST_PG_CONNINFO: a PostgreSQL to try values with, for instance
# "host=/run/postgresql dbname=postgres"; it gets temporary tables only.
#
# All runs in a locale with a decimal comma, if Debian's package locales is
# there to make one from.  TEST_UNIT_SEED=N draws other random cases.

use warnings;
use strict;

use Test::More;
use Cwd qw/ abs_path /;
use File::Basename qw/ dirname /;
use File::Temp qw/ tempdir /;

my $top = abs_path(dirname(__FILE__) . '/..');
my $dir = tempdir('ngx-async-unit-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $seed = $ENV{TEST_UNIT_SEED} // 1;

my $nginx = ($ENV{NGX_SRC} // '/usr/share/nginx/src') . '/src';

my $libpq = `pkg-config --cflags --libs libpq 2>/dev/null` || '-lpq';

# a program, the files it stands on, the libraries

my @json = ('value', map { "json_$_" } qw/ load read tree write double encode /);
my @pg = map { "pg_$_" } qw/ type value write tree /;

my @schema = (map({ "value$_" } '', qw/ _uuid _time _base64 /),
    map({ "json_$_" } qw/ load read tree write double encode /), 'model', 'schema',
    map { "schema_$_" } qw/ check place text json json_value json_wrong /);

my @programs = (
    [near => ['near']],
    [beneath => []],
    [shared_cells => ['shared_cells', 'shared_repair']],
    [shared_deaths => ['shared_cells', 'shared_repair']],
    [route_tree => ['near', 'route_parse', 'route_tree']],
    [value => [map { "value$_" } '', qw/ _uuid _time _base64 /], '-lm'],
    [url => ['url', 'url_join']],
    [inflate => ['inflate'], '-lz'],
    [multipart => ['field', 'multipart_header', 'multipart']],
    [query => ['query', 'cookie']],
    [robust => ['robust'], '-lpthread'],
    [channel_log => ['robust', 'channel_log'], '-lpthread',
        '-Wl,--wrap=ngx_async_robust_lock'],
    [ws_utf8 => ['ws_utf8']],
    [ws_deflate => ['field', 'ws_offer', 'ws_deflate'], '-lz'],
    [json => ['value', map({ "json_$_" } qw/ load read tree write double encode pack /)],
        '-ljansson', '-Wl,--wrap=malloc,--wrap=realloc'],
    [schema_json => [@schema], '-ljansson', '-lpcre2-8', '-lm'],
    [schema => [@schema], '-ljansson', '-lpcre2-8', '-lm'],
    [pg_params => [qw/ near pg_statement pg_literal pg_params value /,
        map({ "json_$_" } qw/ write double encode /)],
        $libpq =~ /(-I\S+)/g, '-ljansson'],
    [pg_server => [qw/ near pg_statement pg_literal pg_params value /,
        map({ "json_$_" } qw/ write double encode /)],
        split(' ', $libpq), '-ljansson'],
    [pack => ['value', map({ "json_$_" } qw/ write double encode pack /)],
        '-ljansson'],
    [pg_write => [@json, @pg], '-ljansson', '-lpq'],
    [pg_rows => ['near', @json, @pg, 'pg_rows', 'pg_cell'], '-ljansson',
        '-lpq'],
    [pg_model => ['near', @schema, @pg,
            map { "pg_$_" } qw/ cell lent source model /], '-ljansson', '-lpq', '-lpcre2-8', '-lm'],
    [model_write => [@json, 'model', map { "model_$_" } qw/ time out write /],
        '-ljansson', '-lm'],
);

chomp(my $pkg_config = `pkg-config --cflags libpq 2>/dev/null` // '');
my @include = split ' ', $pkg_config;

my %modes = (
    'gcc -O2' => 'gcc -O2',
    'sanitized' => 'gcc -O1 -fsanitize=address,undefined'
                   . ' -fno-sanitize-recover=undefined',
);

plan skip_all => "no nginx headers in $nginx"
    unless -f "$nginx/core/ngx_core.h";

$ENV{LOCPATH} = $dir
    if system("localedef -i de_DE -f UTF-8 $dir/de_DE.UTF-8 2>/dev/null") == 0;

system("python3 $top/t/unit/pack_cases.py $seed 1500 > $dir/pack_cases.h") == 0
    or BAIL_OUT('pack_cases.py failed');

for my $mode (sort keys %modes) {
    for my $program (@programs) {
        my ($name, $files, @libs) = @$program;

        # a library below libpq makes a locale, for which glibc leaks the path
        local $ENV{LOCPATH} = '' if grep { $_ eq '-lpq' } @libs;

        my $file = compile($mode, $name, $files, @libs);
        ok(defined $file, "$name compiles without a warning, $mode");

        SKIP: {
            skip "$name did not compile", 1 unless defined $file;

            tap("$name, $mode", $file);

            tap("$name against Python, $mode", 'python3',
                "$top/t/unit/$name.py", $file, $seed)
                if -f "$top/t/unit/$name.py";
        }
    }
}

done_testing();


sub compile {
    my ($mode, $name, $files, @libs) = @_;

    (my $out = "$dir/$name-$mode") =~ tr/ /_/;

    my @command = (split(' ', $modes{$mode}),
        qw/ -std=gnu99 -g -Wall -Wextra -Werror /,
        map({ "-I$_" } $dir, "$top/t/unit", "$top/src", "$nginx/core",
            "$nginx/event", "$nginx/event/modules", "$nginx/os/unix"),
        @include, '-o', $out, "$top/t/unit/$name.c", "$top/t/unit/ngx_stub.c",
        map({ "$top/src/ngx_" . (/^(?:near|robust)$/ ? '' : 'http_') . "async_$_.c" } @$files), @libs);

    return system(@command) == 0 ? $out : undef;
}


# one of our tests for all that a program prints

sub tap {
    my ($title, @command) = @_;

    open my $pipe, '-|', @command or return fail("$title: $!");
    my @lines = <$pipe>;
    close $pipe;

    if (@lines && $lines[0] =~ /^1\.\.0 # SKIP (.*)/) {
        SKIP: { skip "$title: $1", 1 }
        return;
    }

    my ($planned) = map { /^1\.\.(\d+)/ } @lines;
    my $passed = grep { /^ok / } @lines;

    ok($? == 0 && defined $planned && $planned == $passed
        && !grep({ /^not ok/ } @lines), "$title: $passed passed")
        or diag("status $?, planned " . ($planned // 'nothing') . "\n",
                grep { !/^ok / } @lines);
}
