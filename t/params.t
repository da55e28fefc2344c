#!/usr/bin/perl

# Parameters of path, query, headers and cookies into structs, by models: each
# type, bounds, lengths, patterns, choices, checks, lists, defaults; the 422 of
# all errors together; in either kind of handler.  What nginx -t says of models
# that are wrong is in t/unit/schema.c, and a few here.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use NginxAsync;

my $n = NginxAsync->new(conf => { http => <<'EOF_CONF', server => <<'EOF_CONF2' })->start;
    async_app $TEST_NGINX_APPS/params.so;
    async_app $TEST_NGINX_APPS/params-cpp.so;
EOF_CONF
    large_client_header_buffers 4 64k;
    location / {
        async_route GET /async types_async;
        async_route GET /blocking types_blocking;
        async_route GET "/places/async/{item}/{any}" places_async;
        async_route GET "/places/blocking/{item}/{any}" places_blocking;
        async_route GET "/pathless/{any}" places_async;
        async_route GET "/together/{item}/{any}" together;
        async_route GET /told told;
        async_route GET /mistaken mistaken;
        async_route GET /nested nested;
        async_route GET "/five/{user}/{item}" five;
        async_route GET "/cpp/{id}" cpp;
    }
EOF_CONF2

sub escape { return $_[0] =~ s/([^A-Za-z0-9._-])/sprintf '%%%02X', ord $1/ger }

sub quote { return '"' . ($_[0] =~ s/([\\"])/\\$1/gr) . '"' }

# An error of a 422 as text: the place, type, message, input as JSON, ctx.
sub error {
    my ($loc, $type, $msg, $input, $ctx) = @_;

    return sprintf '{"type":"%s","loc":[%s],"msg":%s,"input":%s%s}', $type,
        join(',', map { /^\d+$/ ? $_ : qq("$_") } @$loc), quote($msg), $input, $ctx ? qq(,"ctx":{$ctx}) : '';
}

sub detail { return '{"detail":[' . join(',', @_) . ']}' }

sub input { return sprintf 'Input should be %s', @_ }

# ---- values: the field, the text, the value as JSON; or type, message, ctx

my $size = q('s', 'm' or 'l');
my $color = q('red', 'green' or 'blue');
my $int = 'Input should be a valid integer, unable to parse string as an integer';
my $word = '^\\w+$';

my @values = (
    [i8 => '5', '5'], [i8 => '-128', '-128'], [i8 => '+05', '5'], [i8 => '1_0', '10'], [i8 => ' 5', '5'],
    [i8 => '5.0', '5'],
    [i8 => '5.5', int_parsing => $int], [i8 => '1e3', int_parsing => $int], [i8 => '', int_parsing => $int],
    [i8 => '128', less_than_equal => input('less than or equal to 127'), '"le":127'],
    [i8 => '-129', greater_than_equal => input('greater than or equal to -128'), '"ge":-128'],
    [u8 => '256', less_than_equal => input('less than or equal to 255'), '"le":255'],
    [u64 => '-1', greater_than_equal => input('greater than or equal to 0'), '"ge":0'],
    [i64 => '-9223372036854775808', '-9223372036854775808'],
    [i64 => '9223372036854775808', int_parsing_size =>
        'Unable to parse input string as an integer, exceeded maximum size'],
    [flag => 'Yes', 'true'], [flag => 'off', 'false'],
    [flag => ' 1', bool_parsing => 'Input should be a valid boolean, unable to interpret input'],
    [d => '1e3', '1000.0'], [d => '.5', '0.5'], [f => '0.25', '0.25'],
    [d => 'x', float_parsing => 'Input should be a valid number, unable to parse string as a number'],
    [d => 'nan', finite_number => 'Input should be a finite number'],
    [f => '1e39', finite_number => 'Input should be a finite number'],
    [text => '', '""'], [text => 'a b', '"a b"'],
    [uuid => '{12345678-1234-5678-1234-56781234567A}', '"12345678-1234-5678-1234-56781234567a"'],
    [uuid => 'x', uuid_parsing => 'Input should be a valid UUID, invalid character: found `x` at 1',
        '"error":"invalid character: found `x` at 1"'],
    [date => '2026-01-31', '"2026-01-31"'], [date => '86400', '"1970-01-02"'],
    [date => '2026-02-30', date_from_datetime_parsing =>
        'Input should be a valid date or datetime, day value is outside expected range',
        '"error":"day value is outside expected range"'],
    [date => '2026-01-31T10:00', date_from_datetime_inexact =>
        'Datetimes provided to dates should have zero time - e.g. be exact dates'],
    [time => '2026-01-31T10:20:30.5+01:00', '1769851230500'], [time => '2026-01-31 10:20', '1769854800000'],
    [time => '1769854830', '1769854830000'], [time => '1769854830123', '1769854830123'],
    [time => '10:20', datetime_from_date_parsing =>
        'Input should be a valid datetime or date, input is too short', '"error":"input is too short"'],
    ['bytes.data' => 'aGk=', '"hi"', 'bytes'], ['bytes.data' => 'aGk', '"hi"', 'bytes'],
    [bytes => '!', bytes_invalid_encoding => 'Data should be valid base64: Invalid symbol 33, offset 0.',
        '"encoding":"base64","encoding_error":"Invalid symbol 33, offset 0."'],
    [json => '{"a":[1,null]}', '{"a":[1,null]}'],
    [json => '{', json_invalid =>
        'Invalid JSON: Expecting property name enclosed in double quotes at character 1',
        '"error":"Expecting property name enclosed in double quotes at character 1"'],
    [color => 'blue', '2'],
    [color => '2', enum => "Input should be $color", qq("expected":"$color")],
    [size => 'm', '"m"'],
    [size => 'M', enum => "Input should be $size", qq("expected":"$size")],
    [even => '4', '4'], [even => '5', value_error => 'Value error, must be even', '"error":"must be even"'],
    [low => '10', '10'], [low => '0', greater_than => input('greater than 0'), '"gt":0'],
    [low => '11', less_than_equal => input('less than or equal to 10'), '"le":10'],
    [high => '-1.5', '-1.5'], [high => '3', less_than => input('less than 3'), '"lt":3.0'],
    [high => '-2', greater_than_equal => input('greater than or equal to -1.5'), '"ge":-1.5'],
    [word => 'ab', '"ab"'], [word => "\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f", qq("\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f")],
    [word => 'a', string_too_short => 'String should have at least 2 characters', '"min_length":2'],
    [word => 'abcde', string_too_long => 'String should have at most 4 characters', '"max_length":4'],
    [word => 'a b', string_pattern_mismatch => "String should match pattern '$word'", '"pattern":' . quote($word)],
);

for my $kind (qw(async blocking)) {
    subtest "Values of each type, in $kind handlers" => sub {
        for (@values) {
            my ($field, $text, @expected) = @$_;
            my $name = $field =~ s/\..*//r;
            my $r = $n->get("/$kind?$name=" . escape($text));

            if (@expected == 1 || $field ne $name) {
                is $r->body, qq({"$field":$expected[0]}), "$name of '$text'";
                next;
            }

            is $r->body, detail(error(['query', $name], @expected[0, 1], quote($text), $expected[2])),
                "$name of '$text': $expected[0]";
            is $r->status, 422, '... is 422';
        }
    };

    subtest "Lists, in $kind handlers" => sub {
        is $n->get("/$kind?ids=1&ids=2")->body, '{"ids":[1,2]}', 'all of a repeated parameter';
        is $n->get("/$kind?tags=b&x=&tags=&tags=a%20b")->body, '{"tags":["b","","a b"]}', 'in their order';
        is $n->get("/$kind?ids=1&ids=x&ids=-1")->body,
            detail(error(['query', 'ids', 1], int_parsing => $int, '"x"'),
                error(['query', 'ids', 2], greater_than_equal => input('greater than or equal to 0'), '"-1"',
                    '"ge":0')), 'each item that is wrong, with its place';
        is $n->get("/$kind?ids=1")->body,
            detail(error(['query', 'ids'], too_short => 'List should have at least 2 items after validation, not 1',
                '["1"]', '"field_type":"List","min_length":2,"actual_length":1')), 'too few';
        is $n->get("/$kind?ids=1&ids=2&ids=3&ids=x")->body,
            detail(error(['query', 'ids'], too_long => 'List should have at most 3 items after validation, not 4',
                '["1","2","3","x"]', '"field_type":"List","max_length":3,"actual_length":4')), 'too many';
    };

    subtest "The last of a repeated value, and nothing at all, in $kind handlers" => sub {
        is $n->get("/$kind?i8=x&i8=5")->body, '{"i8":5}', 'the last one counts';
        is $n->get("/$kind?i8=5&i8=x")->status, 422, 'also if it is wrong';
        is $n->get("/$kind")->body, '{}', 'optional ones need not be there';
        is $n->get("/$kind?text=a%00b")->body, detail(error(['query', 'text'], value_error =>
            'Value error, a text of this kind cannot have a zero byte', '"a\u0000b"' =~ s/\\u/\\u/r,
            '"error":"a text of this kind cannot have a zero byte"')), 'a zero byte does not cut a text';
        is $n->get("/$kind?str=a%00b")->body, '{"str.data":"a\u0000b"}', '... which has no length of its own';
        is $n->get("/$kind?text=%ff")->body, qq({"text":"\xef\xbf\xbd"}), 'what is no UTF-8 is replaced';
    };

    subtest "All errors of a request together, nothing partly applied, in $kind handlers" => sub {
        my $r = $n->get("/$kind?text=ok&low=0&i8=7&u8=-1&ids=1&ids=y&size=xl");

        is $r->body, detail(
            error(['query', 'u8'], greater_than_equal => input('greater than or equal to 0'), '"-1"', '"ge":0'),
            error(['query', 'size'], enum => "Input should be $size", '"xl"', qq("expected":"$size")),
            error(['query', 'low'], greater_than => input('greater than 0'), '"0"', '"gt":0'),
            error(['query', 'ids', 1], int_parsing => $int, '"y"')), 'in the order of the fields';
        is $r->status, 422, 'the status is 422';
        is $r->header('Content-Type'), 'application/json', 'as JSON';
    };
}

# ---- places

my @good = (headers => ['X-Token' => 't', Cookie => 'a=1; session=abc', 'X-Trace' => 'one', 'x-trace' => 'two']);

for my $kind (qw(async blocking)) {
    subtest "Each place, in $kind handlers" => sub {
        my $uri = "/places/$kind";

        is $n->get("$uri/7/a%20b?must=m&q%5Bname%5D=anna&page=2", @good)->body,
            '{"item":7,"any":"a b","name":"anna","x_token":"t","trace":["one","two"],'
            . '"session":"abc","page":2,"must":"m"}', 'path, query, headers, cookie';
        is $n->get("$uri/7/x?must=m&any=query&session=zzz&item=9", headers =>
                ['X-Token' => 't', Cookie => 'session="abc"'])->body,
            '{"item":7,"any":"x","name":"nobody","x_token":"t","trace":[],'
            . '"session":"abc","page":1,"must":"m"}', 'each at its own place; defaults';

        my $r = $n->get("$uri/1000/x?page=0", headers => [Cookie => 'session=ab', map { ('X-Trace' => $_) } 1 .. 3]);

        is $r->body, detail(
            error(['path', 'item'], less_than => input('less than 1000'), '"1000"', '"lt":1000'),
            error(['query', 'page'], greater_than_equal => input('greater than or equal to 1'), '"0"', '"ge":1'),
            error(['query', 'must'], missing => 'Field required', 'null'),
            error(['header', 'x-token'], missing => 'Field required', 'null'),
            error(['header', 'X-Trace'], too_long => 'List should have at most 2 items after validation, not 3',
                '["1","2","3"]', '"field_type":"List","max_length":2,"actual_length":3'),
            error(['cookie', 'session'], string_too_short => 'String should have at least 3 characters', '"ab"',
                '"min_length":3')), 'errors: path, query, header, cookie; by the names that they have outside';

        is $n->get("$uri/x/x")->body, detail(
            error(['path', 'item'], int_parsing => $int, '"x"'),
            error(['query', 'must'], missing => 'Field required', 'null'),
            error(['header', 'x-token'], missing => 'Field required', 'null'),
            error(['cookie', 'session'], missing => 'Field required', 'null')), 'what is missing';
    };
}

subtest 'Errors of several structs and accessors are one answer' => sub {
    is $n->get('/together/x/y?b=1', headers => ['X-Token' => 't', A => 'z'])->body, detail(
        error(['path', 'item'], int_parsing => $int, '"x"'),
        error(['query', 'c'], missing => 'Field required', 'null'),
        error(['query', 'must'], missing => 'Field required', 'null'),
        error(['header', 'a'], int_parsing => $int, '"z"'),
        error(['cookie', 'session'], missing => 'Field required', 'null')), 'by place, then as they came';
    is $n->get('/together/1/y?b=1&c=1&must=', @good, headers => [@{$good[1]}[0 .. 3], A => 1])->body, 'valid',
        'and none if there is none';
    is $n->get('/told?b=x')->body, $int, 'async_error() tells the first one';
};

subtest 'What cannot be is an error that the log tells' => sub {
    is $n->get('/mistaken')->body, 'async_params_into(): the struct has 8 bytes, that of the model "places_model" '
        . 'has 72', 'a struct of another model';
    like $n->get('/nested')->body,
        qr{^async_params_into\(\): model "outer_model" of \S*params\.c:\d+: field "pair" is a struct, which no},
        'a model with a struct';

    my $since = $n->mark;

    is $n->get('/pathless/x?must=', @good)->status, 500, 'a route without the parameter';
    $n->like_log($since,
        qr/the pattern of the route has no parameter "item", which the model "places_model" has in the path/,
        'which the log names');
};

subtest 'Many values, and many errors' => sub {
    is $n->get('/async?' . join '&', ('tags=' . 'x' x 10) x 1000)->body,
        '{"tags":[' . join(',', ('"' . 'x' x 10 . '"') x 1000) . ']}', '1000 items';

    my $errors = () = $n->get('/places/async/1/x?' . join '&', ('page=x') x 5000)->body =~ /int_parsing/g;

    is $errors, 1, 'the last one alone is looked at';
};

# ---- C++

subtest 'A model of C++' => sub {
    is $n->get('/cpp/7?names=a&names=b&color=green', headers => ['X-Limit' => '5'])->body, '7 a,b 1 5 9', 'fits';
    is $n->get('/cpp/7?names=a&color=grey', headers => ['X-Limit' => '6'])->body, detail(
        error(['query', 'color'], enum => "Input should be $color", '"grey"', qq("expected":"$color")),
        error(['header', 'x-limit'], less_than_equal => input('less than or equal to 5'), '"6"', '"le":5')),
        'does not';
};

# ---- the guide

subtest 'README.md: Parameters by models' => sub {
    my ($guide) = NginxAsync::Env::slurp("$NginxAsync::Env::Root/README.md")
        =~ /^## Parameters by models\n(.*?)^## /ms or die 'no guide';
    my ($code) = $guide =~ /^```c\n(.*?)^```/ms;
    my ($answer) = $guide =~ /^```json\n(.*?)\n```/ms;
    my ($route, $good) = $guide =~ /`(async_route [^`]+)`.*?`(GET[^`]+)`/s;
    my ($bad) = $guide =~ /`GET ([^`]+)`, without/;

    my $g = NginxAsync->new;
    my $app = $g->build_app("#include <ngx_async.h>\n$code", 'goods');

    $g->write_conf({ http => "async_app $app;", server => "location / { $route }" });
    $g->start;

    is $g->get($good =~ s/GET\s+//r, headers => ['x-token' => '0f' x 16])->body,
        '{"shop":7,"limit":50,"tags":2}', 'the request that it shows';
    is $g->get($bad)->body, $answer, '... and the answer';
};

# ---- nginx -t

my $struct = <<'EOF_C';
#include <ngx_async.h>
typedef struct { int id; const char *name; int *list; size_t n; async_upload_t *file; } row_t;
typedef struct { row_t row; } outer_t;
EOF_C

my $count = 0;
my $t = NginxAsync->new(allow => '[emerg]');

sub refused {
    my ($source, $why) = @_;
    my $app = $t->build_app($struct . $source . "\n", 'refused' . $count++);
    my ($status, $out) = $t->conf_test({ http => "async_app $app;", server => '' });

    is $status, 1, "nginx -t refuses: $why";
    like $out, qr/: model "row_model" of \S+\.c:\d+: \Q$why\E in \S+:\d+$/m, '... and says why and where';
}

sub field { return "ASYNC_MODEL(row_model, row_t, ASYNC_FIELD(row_t, $_[0]));\n"
    . 'ASYNC_HANDLER(h, ASYNC_' . ($_[1] // 'PARAMS') . '(row_model)) { return ASYNC_OK; }' }

subtest 'Models that are wrong' => sub {
    refused(field('name, .pattern = "a["'),
        'the pattern of field "name" is none: missing terminating ] for character class at offset 2');
    refused(field('id, ASYNC_DEFAULT("none")'), "the default \"none\" of field \"id\" is not valid: $int");
    refused(field('id, ASYNC_GE(5), ASYNC_LT(5)'), 'the bounds of field "id" leave no value');
    refused(field('name, ASYNC_GE(5)'), 'field "name" has bounds, and is no number');
    refused(field('file'), 'field "file" is an upload, which no parameter can be');
    refused(field('file', 'BODY'), 'field "file" is an upload, which JSON has none of: declare it by ASYNC_FORM()');
    refused('ASYNC_MODEL(inner, row_t, ASYNC_FIELD(row_t, id)); '
        . 'ASYNC_MODEL(row_model, outer_t, ASYNC_OBJECT(outer_t, row, inner)); '
        . 'ASYNC_HANDLER(h, ASYNC_PARAMS(row_model)) { return ASYNC_OK; }',
        'field "row" is a struct, which no parameter can be');
};

done_testing();
