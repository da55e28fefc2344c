#!/usr/bin/perl

# Rows of PostgreSQL as structs, by ASYNC_MODEL(): what fits, what does not, and
# the mistakes that the compiler and nginx -t find.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use NginxAsync;
use NginxAsync::Pg;
use NginxAsync::Say qw(json);

NginxAsync::Pg::or_skip_all();

my $pg = NginxAsync::Pg->new;
my $conninfo = $pg->conninfo;

my $n = NginxAsync->new(conf => { http => <<"EOF_CONF", server => <<'EOF_CONF2' })->start;
    async_app \$TEST_NGINX_APPS/pg-model.so;
    async_app \$TEST_NGINX_APPS/points.so;
    async_pg db "$conninfo";
EOF_CONF
    location / {
        async_route GET /one one;
        async_route GET /all all;
        async_route GET /many many;
        async_route GET /same same;
        async_route GET /wrong wrong;
        async_route GET /nothing nothing;
        async_route GET /points points;
        async_route GET /order order;
        async_route GET /orders orders;
        async_route GET /upload upload;
    }
EOF_CONF2

sub escape { return $_[0] =~ s/([^A-Za-z0-9._-])/sprintf '%%%02X', ord $1/ger }

sub ask { my ($uri, $sql) = @_; return json($n->get("$uri" . 'q=' . escape($sql))) }

# A row of what the model wants, with some of it changed; '' leaves one out.
sub row {
    my %column = (id => '7::int8', text => q('a text'), done => 'true', priority => '3::int2',
        weight => '0.5::float8', note => q('{1,2}'::int[]), body => q('{"a": [1, null]}'::jsonb),
        created => q('1970-01-01 00:00:01.5+00'::timestamptz), data => q('\x6869'::bytea),
        tags => q(ARRAY['a', 'b,"c\\']), ids => 'ARRAY[1, -2]::int8[]', @_);

    return 'SELECT ' . join ', ', map { qq($column{$_} AS "$_") } grep { $column{$_} ne '' } sort keys %column;
}

sub one { return ask('/one?', row(@_)) }

sub error { my $r = ask('/one?', row(@_)); ok $r->{zero}, '... and nothing is left in it'; return $r->{error} }

my $usual = { id => 7, text => 'a text', completed => JSON::PP::true(), priority => 3, weight => 0.5,
    note => '{1,2}', body => { a => [1, undef] }, created => 1500, data => 'hi', tags => ['a', 'b,"c\\'],
    ids => [1, -2], first => 'a' };

# ---- what fits

is_deeply one(), $usual, 'a row';
is_deeply one(other => '1', note => 'NULL::text', body => 'NULL::json', priority => 'NULL::int2',
    ids => 'NULL::int8[]'), { %$usual, note => undef, body => undef, priority => undef, ids => undef },
    'what may be null';
is_deeply one(ids => q('{}'::int8[]), tags => q('{}'::text[]), text => q('')),
    do { my %r = (%$usual, ids => [], tags => [], text => ''); delete $r{first}; \%r }, 'what is empty';
is_deeply one(id => '1::int2', priority => '-32768::int8', weight => '12::numeric', note => q('x'::"char"),
    body => q('"b"'::json), created => q('1970-01-02'::date), ids => q('[5:6]={3,4}'::int2[]),
    tags => q(ARRAY['5dc2a3c4-0000-4000-8000-000000000000'::uuid])),
    { %$usual, id => 1, priority => -32768, weight => 12, note => 'x', body => 'b', created => 86400000,
        ids => [3, 4], tags => ['5dc2a3c4-0000-4000-8000-000000000000'],
        first => '5dc2a3c4-0000-4000-8000-000000000000' }, 'other types that fit';
is_deeply ask('/one?row=1&', row() . ' UNION ALL ' . row(id => 8)), { %$usual, id => 8 }, 'the second row';
is_deeply ask('/all?', row() . ' UNION ALL ' . row(id => 8, priority => 'NULL')),
    [map { my %r = %$_; delete $r{first}; \%r } $usual, { %$usual, id => 8, priority => undef }], 'all rows';
is_deeply ask('/all?', row() . ' LIMIT 0'), { null => JSON::PP::true() }, 'no rows';
is_deeply json($n->get('/many')), { n => 20000, sum => 200010000, squares => 490000, length => 168894 },
    'twenty thousand rows';
is_deeply json($n->get('/points')), { id => 1, x => 0.5, y => 1, null => JSON::PP::true(), name => 'p2',
    on => JSON::PP::true(), at => 2000, bytes => 2, sum => 4 }, 'in C++';
is_deeply ask('/same?', row() . ' UNION ALL ' . row(body => q('[{"b": 2}]'::jsonb))), [{ b => 2 }],
    'JSON is parsed once';

# ---- what does not

is error(id => 'NULL::int8'), 'async_pg_into(): "id" of row 0 is null, which "note_model" does not allow', 'null';
is error(tags => 'NULL::text[]'), 'async_pg_into(): "tags" of row 0 is null, which "note_model" does not allow',
    'a list that is null';
is error(ids => 'ARRAY[1, NULL]::int8[]'), 'async_pg_into(): item 1 of "ids" of row 0 is null', 'an item that is';
is error(ids => 'ARRAY[[1, 2]]::int8[]'), 'async_pg_into(): "ids" of row 0 is an array of more dimensions',
    'dimensions';
is error(priority => '32768'), 'async_pg_into(): "priority" of row 0 is 32768, beyond int16_t', 'too large';
is error(weight => '1e400::numeric'), 'async_pg_into(): "weight" of row 0 is beyond double', 'much too large';
is error(created => q('-infinity'::timestamptz)),
    'async_pg_into(): "created" of row 0 is "-infinity", not a time by DateStyle ISO', 'infinite';
is error(body => q('{"a": 1, "a": 2}'::json)) =~ s/ at character.*//r,
    'async_pg_into(): "body" of row 0 is JSON that is refused: Duplicate key', 'JSON with a name twice';
is error(id => q('7')), 'async_pg_into(): "id" is text, not an integer', 'another type';
is error(ids => '1'), 'async_pg_into(): "ids" is integer, not an array of integers', 'no array';
is error(id => 'ARRAY[1]'), 'async_pg_into(): "id" is integer[], not an integer', 'an array';
is error(text => '', txet => '1'),
    'async_pg_into(): there is no column "text", which "note_model" names, did you mean "txet"?', 'a near miss';
is error(done => ''), 'async_pg_into(): there is no column "done", which "note_model" names', 'a missing column';
is ask('/one?row=1&', row())->{error}, 'async_pg_into(): there is no row 1 of 1', 'a missing row';
is ask('/one?row=-1&', row())->{error}, 'async_pg_into(): there is no row 18446744073709551615 of 1', '... below zero';
is_deeply ask('/all?', row() . ' UNION ALL ' . row(text => 'NULL')), { null => JSON::PP::true(), n => 0,
    error => 'async_pg_all_into(): "text" of row 1 is null, which "note_model" does not allow' },
    'the second one of all';
like ask('/all?', 'SELECT 1 AS id LIMIT 0')->{error}, qr/there is no column "text"/, 'columns are missed without rows';

for (['struct', qr/async_pg_into\(\): the struct has 8 bytes, that of the model "note_model" has \d+$/],
    ['structs', qr/async_pg_all_into\(\): the struct has 8 bytes, that of the model "note_model" has \d+$/],
    ['freed', qr/async_pg_into\(\): there is no result$/], ['null', qr/async_pg_into\(\): there is no result$/])
{
    my ($how, $error) = @$_;
    my $r = json($n->get("/wrong?how=$how"));
    is $r->{rc}, -1, "wrong: $how";
    like $r->{error}, $error, '... and why';
}

# ---- choices, UUIDs, dates, and structs of JSON

my $uuid = '5dc2a3c4-0000-4000-8000-00000000abcd';
my $item = '{"product": "ab", "price": 1.5, "seen": null}';

# A row of what order_model wants, with some of it changed.
sub order {
    my %column = (id => "'$uuid'::uuid", day => q('2026-01-31'::date), state => q('paid'), before => q('open'),
        colour => q('green'), best => "'$item'::jsonb", spare => "'$item'::json", items => "'[$item, $item]'::jsonb",
        states => q(ARRAY['s"ent', 'open']), ids => "ARRAY['$uuid'::uuid]", days => q(ARRAY['2026-02-28'::date]),
        @_);

    return 'SELECT ' . join ', ', map { qq($column{$_} AS "$_") } sort keys %column;
}

sub order_error {
    my $r = ask('/order?', order(@_));

    ok $r->{zero}, '... and nothing is left in it';

    return $r->{error};
}

my $one = { product => 'ab', price => 1.5, seen => undef };
my $usual_order = { id => $uuid, day => '2026-01-31', state => 'paid', before => 'open', colour => 'green',
    best => $one, spare => $one, items => [$one, $one], states => ['s"ent', 'open'], ids => [$uuid],
    days => ['2026-02-28'] };

is_deeply ask('/order?', order()), $usual_order, 'choices, UUIDs, dates and structs';
is_deeply ask('/order?', order(day => 'NULL', before => 'NULL', colour => 'NULL', spare => 'NULL::json',
    items => q('[]'::json), states => q('{}'::text[]), ids => q('{}'::uuid[]), days => q('{}'::date[]))),
    { %$usual_order, day => undef, before => undef, colour => undef, spare => undef, items => [], states => [],
        ids => [], days => [] }, 'what may be null, or empty';
is_deeply ask('/order?', order(spare => q('null'::jsonb))), { %$usual_order, spare => undef }, 'null as JSON';
is_deeply ask('/order?', order(id => q('{5DC2A3C4-0000-4000-8000-00000000ABCD}'::text),
    day => q('2026-01-31T00:00:00Z'::text), ids => q(ARRAY['5dc2a3c400004000800000000000abcd']))), $usual_order,
    'text of another form becomes that of the field';
is_deeply ask('/orders?', order() . ' UNION ALL ' . order(state => q('open'))),
    [$usual_order, { %$usual_order, state => 'open' }], 'all rows';

for (
    [[state => q('stolen')], '"state" of row 0 is "stolen", which is none of its choices', 'no choice'],
    [[states => q(ARRAY['open', 'sent'])], 'item 1 of "states" of row 0 is "sent", which is none of its choices',
        'an item that is none'],
    [[id => q('7')], '"id" of row 0 is "7", not a UUID', 'no UUID'],
    [[id => '7'], '"id" is integer, not a UUID', 'a column of no UUIDs'],
    [[day => q('infinity'::date)], '"day" of row 0 is "infinity", not a date by DateStyle ISO', 'no date'],
    [[day => 'now()'], '"day" is timestamptz, not a date', 'a column of no dates'],
    [[best => 'NULL::json'], '"best" of row 0 is null, which "order_model" does not allow', 'a struct that is null'],
    [[best => q('null'::json)],
        '"best" of row 0 is JSON that does not fit: Input should be a valid dictionary or object to extract '
        . 'fields from', 'null for a struct'],
    [[best => q('{"product": "ab"}'::json)],
        '"best" of row 0 is JSON that does not fit: "price": Field required', 'a member that is missing'],
    [[items => qq('[$item, {"product": "a", "price": 0}]'::json)], '"items" of row 0 is JSON that does not fit: '
        . '"1.product": String should have at least 2 characters', 'the bounds of what is in JSON'],
    [[items => q('{}'::json)], '"items" of row 0 is JSON that does not fit: Input should be a valid list', 'no list'],
    [[items => "ARRAY['$item'::json]"], '"items" is json[], not json or jsonb', 'an array of JSON'],
    [[spare => q('x')], '"spare" is text, not json or jsonb', 'a column of no JSON'])
{
    my ($changed, $error, $title) = @$_;

    is order_error(@$changed), "async_pg_into(): $error", $title;
}

is ask('/upload?', 'SELECT 1 AS file')->{error}, 'async_pg_into(): "file" is an upload, which no column is',
    'an upload';

is_deeply json($n->get('/nothing')), { rows => 0, columns => 0, column => undef, affected => 0,
    is_null => JSON::PP::true() }, 'of no result there is nothing';

$n->stop;

# ---- mistakes in models, which an app is refused for

my $dir  = NginxAsync::Guard::temp_dir('pg-model');
my $root = $NginxAsync::Env::Root;

sub app_of { return <<"EOF_C" }
#include <ngx_async.h>
#include <stdbool.h>
typedef struct { int a; bool b; } inner_t;
typedef struct { int id; const char *text; int64_t *ids; size_t n_ids; int n; char name[8]; int64_t three[3];
    char *changeable; unsigned bits:3; inner_t inner; char letter; } row_t;
typedef struct { row_t row; int64_t beyond; } long_t;
ASYNC_MODEL(row_model, row_t, $_[0]);
ASYNC_HANDLER(hello) { return async_text(req, 200, "hello"); }
EOF_C

for (
    [q/ASYNC_FIELD(row_t, id), ASYNC_FIELD(row_t, n, ASYNC_WITH(name, "id"))/,
        qr/fields "id" and "n" are both named "id"/, 'two fields of one name'],
    [q/ASYNC_FIELD(row_t, id), ASYNC_FIELD(row_t, id, ASYNC_WITH(name, "again"))/,
        qr/fields "id" and "id" overlap/, 'a member twice'],
    [q/ASYNC_FIELD(long_t, beyond)/, qr/field "beyond" ends at byte \d+ of row_t, .* is it of another struct\?/,
        'a member of another struct'],
    [q/ASYNC_LIST(row_t, ids, n_ids), ASYNC_FIELD(row_t, n_ids)/, qr/fields "ids" and "n_ids" overlap/,
        'the number of a list as a field'],
    [q/ASYNC_FIELD(row_t, id, ASYNC_WITH(optional, 1))/,
        qr/field "id" is optional, and must be a pointer then/, 'a number that is optional'],
    [q/ASYNC_FIELD(row_t, id, ASYNC_WITH(type, ASYNC_FIELD_TIME))/,
        qr/field "id" is a time, and must be int64_t then/, 'a time that is too small'],
    [q/ASYNC_FIELD(row_t, n), ASYNC_FIELD(row_t, id, ASYNC_WITH(name, "n"))/,
        qr/fields "n" and "id" are both named "n"/, 'a model of C++11, made when it is loaded,', 'cpp', '-std=c++11'])
{
    my ($fields, $wrong, $title, $ext, @more) = @$_;
    my $source = "$dir/wrong." . ($ext // 'c');

    NginxAsync::Env::spew($source, app_of($fields));
    is NginxAsync::run("$root/util/async-cc", $source, '-o', "$dir/wrong.so", @more), '', "$title compiles";
    chmod 0755, "$dir/wrong.so";

    my $m = NginxAsync->new(allow => '[emerg]', conf => { http => "async_app $dir/wrong.so;",
        server => 'location / { async_handler hello; }' });
    my ($status, $out) = $m->conf_test;

    is $status, 1, '... and is refused';
    like $out, qr{async app "\Q$dir\E/wrong.so": model "row_model" of \Q$source\E:7: $wrong}, '... by its name';
}

# An app of before there were models tells no place of them; what is there is none.
NginxAsync::Env::spew("$dir/old.c", <<'EOF_C');
#define NGX_ASYNC_MODULE
#include <ngx_async.h>
ASYNC_HANDLER(hello) { return async_text(req, 200, "hello"); }
const struct {
    size_t size; unsigned abi; const char *version; const void *exports, *exports_end, *others, *others_end;
} async_app ASYNC_API = { offsetof(async_app_t, models), ASYNC_ABI, ASYNC_VERSION, __start_async_exports,
    __stop_async_exports, (void *) 8, (void *) 16 };
EOF_C

{
    my $so = NginxAsync->build_app("$dir/old.c");
    my $m = NginxAsync->new(conf => { http => "async_app $so;", server => 'location / { async_handler hello; }' });
    is $m->start->get('/')->body, 'hello', 'an app of before there were models';
    $m->stop;
}

# ---- and those that do not compile

chomp(my $jansson = `pkg-config --cflags jansson`);

# What the compiler says of fields, in C or C++.
sub compiled {
    my ($command, $fields) = @_;
    my $file = "$dir/compiled." . ($command =~ /\+\+/ ? 'cpp' : 'c');

    NginxAsync::Env::spew($file, app_of($fields));

    return NginxAsync::run(split(' ', $command), qw(-Wall -Wextra -Werror -fPIC -c -o), "$dir/compiled.o",
        "-I$root/src", split(' ', $jansson), $file);
}

my $good = 'ASYNC_FIELD(row_t, id), ASYNC_FIELD(row_t, text, ASYNC_WITH(name, "title"), ASYNC_WITH(optional, 1)),'
    . ' ASYNC_LIST(row_t, ids, n_ids), ASYNC_FIELD(row_t, n)';

my @compilers = grep { `sh -c 'command -v @{[ (split ' ')[0] ]}'` } map({ "$_ -std=c11 -pedantic" } qw(gcc clang)),
    map({ my $cc = $_; map { "$cc -std=c++$_" } qw(11 14 17 20) } qw(g++ clang++));

is compiled($_, $good), '', "$_: a model" for @compilers;

for (['ASYNC_FIELD(row_t, name)', 'an array'], ['ASYNC_FIELD(row_t, three)', 'an array of numbers'],
    ['ASYNC_FIELD(row_t, changeable)', 'text that may be changed'], ['ASYNC_FIELD(row_t, bits)', 'bits'],
    ['ASYNC_FIELD(row_t, inner)', 'a struct'], ['ASYNC_FIELD(row_t, letter)', 'char'],
    ['ASYNC_FIELD(row_t, idd)', 'no member'], ['ASYNC_LIST(row_t, ids, n)', 'a number that is no size_t'],
    ['ASYNC_LIST(row_t, ids)', 'a list without its number'], ['ASYNC_LIST(row_t, id, n_ids)', 'a list that is none'],
    ['ASYNC_FIELD(row_t, id, ASYNC_WITH(nmae, "x"))', 'no attribute'])
{
    my ($fields, $title) = @$_;

    like compiled('gcc -std=c11', $fields), qr/error:/, "$title does not compile";
    like compiled('g++ -std=c++11', $fields), qr/error:/, '... nor in C++';
}

done_testing();
