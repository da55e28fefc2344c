#!/usr/bin/perl

# Structs as JSON, by ASYNC_MODEL(): each kind of member, what has no JSON form,
# structs within structs, however deep; and trees that are cut to a model.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Test::More;

use NginxAsync;
use NginxAsync::Say qw(json);

my $handlers = join '', map { "async_route * /$_ $_;\n" } qw(all nothing some upload optional_points points
    points_blocking spoilt_blocking deep circle line floats times filter filter_blocking filter_deep wrong twice
    shapes);

my $n = NginxAsync->new(conf => { main => 'thread_pool default threads=2;', http => <<'EOF_CONF',
    async_app $TEST_NGINX_APPS/model-write.so;
    async_app $TEST_NGINX_APPS/shapes.so;
EOF_CONF
    server => "location / {\nclient_max_body_size 10m;\n$handlers}" })->start;

sub ask { my ($uri) = @_; return $n->get($uri)->body }

sub post {
    my ($uri, $body) = @_;

    return $n->request('POST', $uri, body => $body, headers => ['Content-Type', 'application/json']);
}

# ---- each kind

my $id = '5dc2a3c4-0000-4000-8000-000000000000';

# as one line, and without what is changed
sub all_text {
    my (%o) = @_;

    my $text = join ',', '"i8":-128', '"i16":-32768', '"i32":-2147483648', '"i64":-9223372036854775808',
        '"u8":255', '"u16":65535', '"u32":4294967295', '"the \"largest\"":18446744073709551615', '"yes":true',
        '"f":0.1', '"d":0.1', qq("text":"\\"a\\\\b\\n\\u0001\xc3\xa4\\""), '"str":"a\u0000b"',
        '"json":{"tree":[1,null,{}]}', '"at":"2026-01-31T12:00:00.5Z"', '"data":"AAEC/w=="', qq("id":"$id"),
        '"day":"2026-01-31"', '"level":"h\"igh"', qq("colour":"gr\xc3\xbcn"), '"maybe":-7', '"flag":false',
        '"third":0.33333334', '"ints":[-9223372036854775808,0,9223372036854775807]',
        qq("texts":["a","","\xe2\x82\xac"]), '"floats":[0.1,16777216.0,3e+38]',
        '"times":["1970-01-01T00:00:00Z","1969-12-31T23:59:59.999Z"]', '"datas":["YWJj","","AP8="]',
        '"all_levels":["h\"igh","low"]', '"inside":{"x":0.5,"label":"in"}', '"pointed":{"x":1.0,"label":"one"}',
        '"points":[{"x":1.0,"label":"one"},{"x":-0.0,"label":null}]';

    while (my ($from, $to) = each %o) {
        $text =~ s/"\Q$from\E":\K(?:\{"tree.*?\]\}|\[.*?\]|\{.*?\}|"(?:\\.|[^"\\])*"|[^,]+)/$to/ or die $from;
    }

    return "{$text}";
}

{
    my $r = $n->get('/all');

    is $r->body, all_text(), 'all kinds of members';
    is $r->status, 201, '... with the status';
    is $r->header('Content-Type'), 'application/json', '... as JSON';
    is $r->header('Content-Length'), length all_text(), '... of a length that is known';
}

is ask('/nothing'), all_text(text => '""', str => 'null', json => 'null', colour => 'null', maybe => 'null',
    flag => 'null', third => 'null', ints => '[]', texts => 'null', floats => '[]', pointed => 'null',
    points => '[]'), 'what may be null, and what is empty';
is ask('/some'), qq({"text":"\\"a\\\\b\\n\\u0001\xc3\xa4\\"","i8":-128}), 'less of the same struct';
is ask('/optional_points'), '{"points":null}', 'a list of structs that is null';
is ask('/shapes'), '[{"kind":"square","size":{"width":0.1,"height":18446744073709551615},"shadow":{"width":0.1,'
    . '"height":18446744073709551615},"parts":[{"kind":"circle","size":{"width":1.0,"height":2},"shadow":null,'
    . qq("parts":[],"id":null}],"id":"$id"},{"kind":"circle","size":{"width":1.0,"height":2},"shadow":null,)
    . '"parts":[],"id":null}]', 'in C++';

# ---- what has no JSON form

my $null = 'the value is NULL, and not optional';
my $real = 'nan and inf have no JSON form';

for (
    ['text',      'text',         $null],
    ['utf8',      'text',         'the string is not UTF-8'],
    ['str-utf8',  'str',          'the string is not UTF-8'],
    ['json',      'json',         $null],
    ['tree',      'json',         'the value is nested more than 1000 levels deep, or holds itself'],
    ['nan',       'd',            $real],
    ['inf',       'f',            $real],
    ['time',      'at',           'the time is not within the years from 1 to 9999'],
    ['data',      'data',         $null],
    ['level',     'level',        'the number is none of its choices'],
    ['negative',  'level',        'the number is none of its choices'],
    ['colour',    'colour',       'the text is none of its choices'],
    ['ints',      'ints',         $null],
    ['texts',     'texts[1]',     'the value is NULL'],
    ['floats',    'floats[2]',    $real],
    ['times',     'times[1]',     'the time is not within the years from 1 to 9999'],
    ['datas',     'datas[1]',     'the value is NULL'],
    ['levels',    'all_levels[1]', 'the number is none of its choices'],
    ['inside',    'inside.x',     $real],
    ['points',    'points[1].x',  $real],
    ['no-points', 'points',       $null])
{
    my ($how, $place, $error) = @$_;

    is_deeply json($n->get("/all?how=$how")),
        { rc => -1, error => qq(async_respond(): "$place" of "all_model": $error) }, "refused: $how";
}

is json($n->get('/upload'))->{error}, 'async_respond(): "upload" of "upload_model": an upload has no JSON form',
    'an upload';

my $size = qr/\d+/;

for (['s', qr/async_respond\(\): the struct has 4 bytes, that of the model "point_model" has $size/],
    ['a', qr/async_respond_all\(\): "point_model": the value is NULL/],
    ['e', qr/async_encode\(\): the struct has 4 bytes, that of the model "point_model" has $size/],
    ['c', qr/async_respond\(\): status 199 is not from 200 to 599/],
    ['j', qr/async_respond_json\(\): status 700 is not from 200 to 599/])
{
    my ($how, $error) = @$_;
    my $r = json($n->get("/wrong?how=$how"));

    is $r->{rc}, -1, "wrong: $how";
    like $r->{error}, qr/^$error\z/, '... and why';
}

is ask('/wrong?how=n'), 'null', 'no struct at all is null';

{
    my $r = $n->get('/twice');

    is $r->status . $r->body, '203[{"x":1.0,"label":"a"},{"x":2.0,"label":"b"}]', 'the last response counts';
    is $r->header('X-Points'), 2, '... with the header fields of before';
}

# ---- many, and from a thread

is ask('/points?n=0'), '[]', 'none';
is ask('/points?n=2'), '[{"x":0.0,"label":null},{"x":0.125,"label":"odd"}]', 'two';

{
    my $all = json($n->get('/points?n=40000'));
    my @wrong = grep { my $p = $all->[$_]; $p->{x} != $_ / 8 || ($p->{label} // '') ne ($_ % 2 ? 'odd' : '') }
        0 .. $#$all;

    is @$all, 40000, 'forty thousand';
    is "@wrong", '', '... each as it shall be';
}

is ask('/points_blocking'), '[' . join(',', map {
    qq({"x":$_.0,"label":"a label of some length, so that the text is large"}) } 0 .. 49999) . ']',
    'fifty thousand, from a thread';
is ask('/spoilt_blocking'), '{"x":1.0,"label":null}', 'a thread may try again';
is_deeply [map { ask($_) } ('/points?n=1') x 2], [('[{"x":0.0,"label":null}]') x 2], 'again, on a kept connection';

# ---- structs within structs

sub nested {
    my ($how, $depth) = @_;

    my ($open, $close) = $how eq 'next' ? ('"next":', ',"nodes":[]}') : ('"next":null,"nodes":[', ']}');
    my $text = $how eq 'next' ? 'null,"nodes":[]}' : ']}';

    return join('', map({ qq({"n":$_,$open) } 0 .. $depth - 1), $text, ($close) x ($depth - 1));
}

is ask("/deep?how=next&depth=$_"), nested(next => $_), "$_ structs deep" for 1, 2, 15, 16, 17, 31, 32, 33, 999;

# a list in the last one is a level, too
like ask('/deep?how=next&depth=1000'), qr/^async_encode\(\): "next\.(?:next\.)+[next]*\.\.\." of "node_model": the value is nested/,
    'one level too deep';
is ask("/deep?how=nodes&depth=$_"), nested(nodes => $_), "$_ lists deep" for 1, 8, 16, 17, 500;
like ask('/deep?how=nodes&depth=501'), qr/^async_encode\(\): "nodes\[0\]\.nodes\[0\][^"]*\.\.\." of "node_model": the value is /,
    'one list too many';
like ask("/circle$_"), qr/^async_respond\(\): "n.*\.\.\." of "node_model": .*, or holds itself$/, "a circle$_"
    for '', '?list=1';

# ---- numbers and times

is ask('/line?f=0.3&d=0.3'), '{"at":"1970-01-01T00:00:00Z","d":0.3,"f":0.3,"text":""}', 'float and double';

# What a float is written as reads back, and nothing shorter does.
sub shortest {
    my ($bits, $text) = @_;

    my $value = unpack 'f', pack 'L', $bits;
    my ($digits) = $text =~ s/e.*//r =~ /^-?(.*)$/;
    $digits =~ s/\.//;
    $digits =~ s/^0+//;
    $digits =~ s/0+$//;

    # which Perl takes for infinity
    return '' if $text eq '3.4028235e+38';

    return "$text is not $value" if unpack('L', pack 'f', $text) != $bits;

    my $less = length($digits) - 1;
    return '' if $less < 1;

    for my $try (sprintf('%.*e', $less - 1, $value)) {
        return "$try is shorter than $text" if unpack('L', pack 'f', $try) == $bits;
    }

    return '';
}

{
    srand 7;

    # the limits, powers of two and their neighbours, simple decimals, any
    my @bits = (0, 0x80000000, 1, 0x007fffff, 0x00800000, 0x7f7fffff, map({ my $e = $_ << 23;
        ($e - 1, $e, $e + 1) } 1 .. 254), map({ unpack 'L', pack 'f', $_ } map({ $_ / 100 } 1 .. 2000), 999999,
        9999995, 1e10, 1e16, 123456789, 1e-5, 1.17549e-38), map { int rand 0x7f800000 } 1 .. 20000);

    my $text = post('/floats', join ',', map { sprintf '%x', $_ } @bits)->body;
    my ($list) = $text =~ /"floats":\[(.*?)\]/;
    my @text = split /,/, $list;

    is @text, @bits, 'many floats';
    my @wrong = grep { $_ } map { shortest($bits[$_], $text[$_]) } 0 .. $#bits;
    is "@wrong[0 .. ($#wrong < 4 ? $#wrong : 4)]", '', '... each with the fewest digits that read back';
    is "@text[0, 1, 2, 5]", '0.0 -0.0 1e-45 3.4028235e+38', '... the limits';
    is_deeply [@text[768 + 99, 768 + 122]], ['1.0', '1.23'], '... as Python lays them out';
}

{
    # the ends, each day of some years, and any
    my $day = 86400000;
    my @at = (-62135596800000, 253402300799999, -1, 0, 1, 10, 100, 999, 1000, 1500, map({ $_ * $day + 1010 }
        -719162 .. -718000, -135140 .. -134000, -800 .. 800, 10500 .. 11500, 46000 .. 48000, 2932000 .. 2932896),
        map { int((rand() * 315537897600 - 62135596800) * 1000) } 1 .. 5000);

    my @text = post('/times', join ',', @at)->body =~ /"(-?\d+-\d+-[^"]*Z)"[,\]]/g;
    shift @text;                            # another field's

    my @expected = map {
        my $ms = $_ % 1000;
        my ($s, $min, $h, $d, $mon, $year) = gmtime(($_ - $ms) / 1000);
        my $fraction = $ms ? sprintf('.%03d', $ms) =~ s/0+$//r : '';
        sprintf('%04d-%02d-%02dT%02d:%02d:%02d%sZ', $year + 1900, $mon + 1, $d, $h, $min, $s, $fraction)
    } @at;

    is @text, @at, 'many times';
    is_deeply \@text, \@expected, '... as gmtime() has them';
}

# ---- trees that are cut

for (
    ['point', '{"x": 1, "secret": 2, "label": null}', '{"x":1,"label":null}', 'an object'],
    ['point', '{"secret": 2, "label": "l"}', '{"label":"l"}', 'what is not there'],
    ['point', '{"secret": 2}', '{}', 'nothing of it'],
    ['point', '{"x": {"y": [1, {"secret": 2}]}}', '{"x":{"y":[1,{"secret":2}]}}', 'a field of no model'],
    ['point', '[{"x": 1, "secret": 2}, {"label": "a"}, 3, [{"secret": 1}]]', '[{"x":1},{"label":"a"},3,[{}]]',
        'an array'],
    ['point', '[]', '[]', 'an empty one'],
    ['node', '{"nodes": [{"n": 2, "secret": 1, "next": {"secret": 3, "n": {"secret": 4}}}], "n": "text", "x": 0}',
        '{"n":"text","nodes":[{"n":2,"next":{"n":{"secret":4}}}]}', 'objects within'],
    ['node', '{"next": [{"secret": 1}], "nodes": {"secret": 1, "n": 1}}', '{"next":[{}],"nodes":{"n":1}}',
        'of another shape than the model'],
    ['node', '{"next": null, "nodes": null}', '{"next":null,"nodes":null}', 'null'])
{
    my ($by, $body, $expected, $title) = @$_;
    my $r = post("/filter?by=$by", $body);

    is $r->body, $expected, "cut: $title";
    is $r->status, 202, '... with the status';
}

is post('/filter?by=point', $_)->body,
    'async_respond_json(): "point_model": the value is no object, and no array of them', "not cut: $_"
    for 'true', '1', '"text"', '0.5';
is post('/filter_blocking?by=point', '[{"x": 1, "secret": 2}]')->body, '[{"x":1}]', 'cut in a thread';
is ask("/filter_deep?depth=$_"), '{"next":' x ($_ - 1) . '{}' . '}' x ($_ - 1), "$_ levels deep" for 1, 17, 1000;
like ask('/filter_deep?depth=1001'), qr/^async_respond_json\(\): "next\.next.*": the value is nested more than 1000/,
    'one too many';
is ask('/filter_deep?depth=0'), 'async_respond_json(): the value is NULL', 'no value';

$n->stop;

# ---- an app that knows less of fields

my $dir = NginxAsync::Guard::temp_dir('model-write');

NginxAsync::Env::spew("$dir/old.c", <<'EOF_C');
#include <ngx_async.h>
typedef struct {
    const char *member; size_t offset, count; int kind, type; const char *name; int optional;
} old_field_t;
typedef struct { int id; const char *text; } row_t;
static const old_field_t old_fields[] = {
    { "id", offsetof(row_t, id), 0, ASYNC_MEMBER_INT32, 0, NULL, 0 },
    { "text", offsetof(row_t, text), 0, ASYNC_MEMBER_TEXT, 0, "title", 1 },
};
static const struct {
    size_t size; const char *name, *site, *type; size_t type_size; const void *fields; size_t field_size, n;
} old_model = { offsetof(async_model_t, schema), "old_model", ASYNC_SITE, "row_t", sizeof(row_t), old_fields,
    sizeof(old_field_t), 2 };
__attribute__((section("async_models"), used))
static const async_model_t *const modelled = (const async_model_t *) &old_model;
ASYNC_HANDLER(hello)
{
    row_t  row = { 7, NULL };

    return async_respond(req, 200, (const async_model_t *) &old_model, &row);
}
ASYNC_HANDLER(cut)
{
    return async_respond_json(req, 200, (const async_model_t *) &old_model,
                              json_pack("{s:{s:i}, s:i}", "id", "a", 1, "text", 2));
}
EOF_C

{
    my $so = NginxAsync->build_app("$dir/old.c");
    my $m = NginxAsync->new(conf => { http => "async_app $so;",
        server => 'location / { async_route GET /hello hello; async_route GET /cut cut; }' })->start;

    is $m->get('/hello')->body, '{"id":7,"title":null}', 'an older app';
    is $m->get('/cut')->body, '{"id":{"a":1}}', '... and what it cuts';
    $m->stop;
}

done_testing();
