#!/usr/bin/perl

# await_json_into(), async_json_into(), async_into(): JSON into structs.  What
# is expected of each value is what pydantic 2 makes of it as FastAPI calls it;
# t/unit/schema_json.py compares thousands of others.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Test::More;

use NginxAsync;

my @ones = qw(int byte float single bool text str uuid date time bytes any
    color level maybe given default bounded even);

my $n = NginxAsync->new(conf => {
    http   => "async_app \$TEST_NGINX_APPS/model-json.so;\n"
        . 'client_body_buffer_size 16k; client_max_body_size 16m;',
    server => "location / {\n"
        . join('', map { "async_route POST /$_ one_$_;\n" } @ones)
        . join('', map { "async_route POST /$_ $_;\n" } qw(order late blocking
            forgiving both unread another into deep numbers))
        . '}',
})->start;

my $MISSING = [missing => 'Field required'];
my $INT     = [int_type => 'Input should be a valid integer'];
my $PARSING = [int_parsing => 'Input should be a valid integer, unable to '
    . 'parse string as an integer'];
my $SIZE    = [int_parsing_size => 'Unable to parse input string as an '
    . 'integer, exceeded maximum size'];
my $PART    = [int_from_float => 'Input should be a valid integer, got a '
    . 'number with a fractional part'];
my $FLOAT   = [float_type => 'Input should be a valid number'];
my $FINITE  = [finite_number => 'Input should be a finite number'];
my $BOOL    = [bool_type => 'Input should be a valid boolean'];
my $TRUTH   = [bool_parsing => 'Input should be a valid boolean, unable to '
    . 'interpret input'];
my $STRING  = [string_type => 'Input should be a valid string'];
my $UUID    = [uuid_type => 'UUID input should be a string, bytes or UUID '
    . 'object'];
my $DATE    = [date_type => 'Input should be a valid date'];
my $TIME    = [datetime_type => 'Input should be a valid datetime'];
my $BYTES   = [bytes_type => 'Input should be a valid bytes'];
my $ENUM    = [enum => q(Input should be 'red' or 'green'),
    qq({"expected":"'red' or 'green'"})];
my $OBJECT  = [model_attributes_type => 'Input should be a valid dictionary '
    . 'or object to extract fields from'];
my $LIST    = [list_type => 'Input should be a valid list'];

my $id = '12345678-1234-5678-9abc-def012345678';

# of each kind: JSON, and what became of it: JSON again, or an error

my %matrix = (
    int => ['5' => '5', '-0' => '0', '5.0' => '5', '1e3' => '1000',
        '"5"' => '5', '" 1_0 "' => '10', 'true' => '1', 'false' => '0',
        '9223372036854775807' => '9223372036854775807',
        '"-9223372036854775808"' => '-9223372036854775808',
        '9223372036854775808' => $SIZE,
        '5.5' => $PART, '1e20' => $SIZE, '"9223372036854775808"' => $SIZE,
        '"x"' => $PARSING, '""' => $PARSING, '"5.5"' => $PARSING,
        'null' => $INT, '[]' => $INT, '[1]' => $INT, '{"a":1}' => $INT],
    byte => ['9223372036854775808' => [less_than_equal => 'Input should be '
            . 'less than or equal to 255', '{"le":255}'],
        '255' => '255', '"0"' => '0', 'true' => '1',
        '256' => [less_than_equal => 'Input should be less than or equal to '
            . '255', '{"le":255}'],
        '-1.0' => [greater_than_equal => 'Input should be greater than or '
            . 'equal to 0', '{"ge":0}']],
    float => ['9223372036854775808' => '9.223372036854776e+18',
        '-18446744073709551616' => '-1.8446744073709552e+19',
        '5' => '5.0', '-0.0' => '-0.0', '0.1' => '0.1',
        '1e-400' => '0.0', '123456789.123456789' => '123456789.12345679',
        '9007199254740993' => '9007199254740992.0', '"1e3"' => '1000.0',
        'true' => '1.0', '"nan"' => $FINITE, '"1e999"' => $FINITE,
        '"x"' => [float_parsing => 'Input should be a valid number, unable '
            . 'to parse string as a number'],
        'null' => $FLOAT, '{}' => $FLOAT],
    single => ['0.5' => '0.5', '1e39' => $FINITE, '"1e39"' => $FINITE],
    bool => ['true' => 'true', 'false' => 'false', '1' => 'true',
        '0.0' => 'false', '"YES"' => 'true', '"off"' => 'false',
        '2' => $TRUTH, '-1.0' => $TRUTH, '"x"' => $TRUTH, '0.5' => $BOOL,
        '1e20' => $BOOL, 'null' => $BOOL, '[true]' => $BOOL],
    text => ['""' => '""', '"a"' => '"a"',
        '"\u00e9\ud83d\ude00\n\/"' => qq("\xc3\xa9\xf0\x9f\x98\x80\\n/"),
        '5' => $STRING, 'true' => $STRING, 'null' => $STRING,
        '["a"]' => $STRING],
    str => ['""' => '""', '"a\\\\"' => '"a\\\\"', '1.5' => $STRING],
    uuid => [qq("$id") => qq("$id"),
        qq("{$id}") => qq("$id"),
        '"1"' => [uuid_parsing => 'Input should be a valid UUID, invalid '
            . 'length: expected length 32 for simple format, found 1',
            '{"error":"invalid length: expected length 32 for simple format, '
            . 'found 1"}'],
        '5' => $UUID, 'null' => $UUID],
    date => ['"2026-01-31"' => '"2026-01-31"', '86400' => '"1970-01-02"',
        '86400.0' => '"1970-01-02"',
        '5' => [date_from_datetime_inexact => 'Datetimes provided to dates '
            . 'should have zero time - e.g. be exact dates'],
        'true' => $DATE, 'null' => $DATE],
    time => ['"1970-01-01T00:00:01Z"' => '1000', '5' => '5000',
        '1.5' => '1500', '1700000000000' => '1700000000000',
        '"2026-01-31"' => '1769817600000',
        '1e20' => [datetime_parsing => 'Input should be a valid datetime, '
            . 'dates after 9999 are not supported as unix timestamps',
            '{"error":"dates after 9999 are not supported as unix '
            . 'timestamps"}'],
        'true' => $TIME, 'null' => $TIME, '{}' => $TIME],
    bytes => ['"aGk="' => '"hi"', '""' => '""', '5' => $BYTES],
    any => ['9223372036854775808' => $SIZE,
        map({ $_ => $_ } 'null', 'true', '5', '"a"', '[]',
        '{"a":[1,{"b":null}]}')],
    color => ['"red"' => '"red"', '"blue"' => $ENUM, '5' => $ENUM,
        'null' => $ENUM, '{}' => $ENUM],
    level => ['"green"' => '1', '"blue"' => $ENUM, '1' => $ENUM],
    maybe => ['null' => 'null', '5' => '5', '"x"' => $PARSING],
    given => ['null' => 'null', '5' => '5'],
    default => ['"a"' => '"a"', 'null' => $STRING],
    bounded => ['2.5' => '2.5', '"1"' => '1.0',
        '0' => [greater_than => 'Input should be greater than 0',
            '{"gt":0.0}'],
        '"3"' => [less_than_equal => 'Input should be less than or equal to '
            . '2.5', '{"le":2.5}']],
    even => ['4' => '4', '5' => [value_error => 'Value error, it is odd',
        '{"error":"it is odd"}']],
);


sub post_json {
    my ($uri, $body, @more) = @_;

    my $r = $n->post($uri, $body,
        headers => ['Content-Type', 'application/json'], @more);

    return $r->status . ' ' . $r->body;
}


sub error {
    my ($loc, $input, $type, $msg, $ctx) = @_;

    return qq({"type":"$type","loc":$loc,"msg":"$msg","input":$input)
        . ($ctx ? qq(,"ctx":$ctx) : '') . '}';
}


sub refused {
    return '422 {"detail":[' . join(',', @_) . ']}';
}


# one error for each [path, input, error]
sub refuses {
    my ($uri, $body, $errors, $title) = @_;

    is post_json($uri, $body), refused(map {
        my ($loc, $input, $error) = @$_;
        error('[' . join(',', '"body"', map { /^\d+$/ ? $_ : qq("$_") }
            @$loc) . ']', $input, @$error);
    } @$errors), $title;
}

for my $kind (@ones) {
    subtest "A value for $kind" => sub {
        my @cases = @{ $matrix{$kind} };

        while (my ($json, $expected) = splice @cases, 0, 2) {

            # as it was written, but for numbers and escapes
            my $shown = $json;
            $shown = '1e+20' if $json eq '1e20';
            $shown = '1e+39' if $json eq '1e39';
            $shown = '9.223372036854776e+18' if $json eq '9223372036854775808';

            ref $expected
                ? refuses("/$kind", qq({"v":$json}),
                    [[['v'], $shown, $expected]], "$json: $expected->[0]")
                : is post_json("/$kind", qq({ "v" : $json\n})),
                    "200 $expected", "$json is $expected";
        }
    };
}

subtest 'What is not there' => sub {
    refuses('/int', '{}', [[['v'], '{}', $MISSING]], 'is missing');
    refuses('/given', '{"x":[1]}', [[['v'], '{"x":[1]}', $MISSING]],
        'even if it might be null');
    is post_json('/maybe', '{}'), '200 null', 'is null if that is optional';
    is post_json('/default', '{}'), '200 "none"', 'is what stands for it';
    is post_json('/default', '{"V":"a","v ":"b"}'), '200 "none"',
        'Names are exact';
    is post_json('/default', '{"\u0076":"a"}'), '200 "a"',
        'and may be escaped';
};

my $order = '{"id":7,"address":{"city":"Oslo"},"items":[{"name":"a",'
    . '"unit price":1},{"quantity":"3","unit price":"2.5","name":"\u00e9"}]}';
my $made = '{"id":7,"address":{"city":"Oslo","street":null},"billing":null,'
    . qq("items":[["a",1.0,1,0],["\xc3\xa9",2.5,3,0]],"tags":null});

subtest 'Objects and lists' => sub {
    is post_json('/order', $order), "200 $made", 'are structs and arrays';
    is post_json('/order', '{"tags":[],"items":[{"name":"a","unit price":0}],'
        . '"billing":{"street":"b","city":""},"address":{"city":"c","x":{}},'
        . '"id":1,"unknown":[{"id":2}]}'),
        '200 {"id":1,"address":{"city":"c","street":null},"billing":'
        . '{"city":"","street":"b"},"items":[["a",0.0,1,0]],"tags":[]}',
        'in any order, with others among them';
    is post_json('/late', $order), "200 [$made,$made]",
        'They live on while the handler waits';
    is post_json('/blocking', $order), "200 $made",
        'In a thread they are the same';
};

subtest 'All errors come at once' => sub {
    my $item  = '{"unit price":"x"}';
    my $body  = qq({"tags":["a",5],"items":[1,$item,{"name":null,"unit price")
        . qq(:1,"quantity":1.5}],"billing":[],"id":"x"});
    my @wrong = (
        [['id'], '"x"', $PARSING], [['address'], $body, $MISSING],
        [['billing'], '[]', $OBJECT], [['items', 0], '1', $OBJECT],
        [['items', 1, 'name'], $item, $MISSING],
        [['items', 1, 'unit price'], '"x"', [float_parsing => 'Input should '
            . 'be a valid number, unable to parse string as a number']],
        [['items', 2, 'name'], 'null', $STRING],
        [['items', 2, 'quantity'], '1.5', $PART],
        [['tags', 1], '5', $STRING]);

    refuses('/order', $body, \@wrong, 'in the order of the model');
    refuses('/blocking', $body, \@wrong, 'from a thread, too');
    refuses('/order', '[1]', [[[], '[1]', $OBJECT]], 'A list is no object');
    refuses('/order', '"a"', [[[], '"a"', $OBJECT]], 'nor is a text');

    my $rest = '"id":1,"address":{"city":"c"}';

    refuses('/order', qq({$rest,"items":null}), [[['items'], 'null', $LIST]],
        'null is no list');
    refuses('/order', qq({$rest,"items":[]}), [[['items'], '[]',
        [too_short => 'List should have at least 1 item after validation, '
            . 'not 0', '{"field_type":"List","min_length":1,'
            . '"actual_length":0}']]], 'A list may be too short');
    refuses('/order', qq({$rest,"items":[{"name":"a","unit price":1}],"tags":)
        . '[5,"a",6,7]}', [[['tags'], '[5,"a",6,7]',
        [too_long => 'List should have at most 3 items after validation, '
            . 'not 4', '{"field_type":"List","max_length":3,'
            . '"actual_length":4}']]], 'or too long, which is all then');

    refuses('/both', '{"id":5}', [[['address'], '{"id":5}', $MISSING],
        [['items'], '{"id":5}', $MISSING], [['id'], '5', $STRING]],
        'Two models have their errors one after the other');
};

subtest 'What is no JSON is told as by await_json()' => sub {
    my %invalid = (
        '{"id":"x","x":' => [14, 'Expecting value'],
        '{"id":1,"id":2}' => [8, 'Duplicate key'],
        '{"x":1,"x":2}'   => [7, 'Duplicate key'],
        '{"x":{"y":[1,]}}' => [13, 'Expecting value'],
        '{"id":1e309}' => [6, 'Number out of range'],
        '{"id":1,}' => [8, 'Expecting property name enclosed in double '
            . 'quotes'],
        '{"id":NaN}' => [6, 'Expecting value'],
        '{"id":1} {' => [9, 'Extra data'],
        '{"a":"\u0000"}' => [6, '\\\\u0000 is not allowed'],
        '[' x 101 . ']' x 101 => [100, 'Nested too deeply'],
    );

    for my $body (sort keys %invalid) {
        my ($position, $text) = @{ $invalid{$body} };

        is post_json($_, $body), refused(error(qq(["body",$position]), '{}',
            'json_invalid', 'JSON decode error', qq({"error":"$text"}))),
            "$_: " . substr $body, 0, 40 for '/order', '/blocking';
    }

    my $missing = refused(error('["body"]', 'null', @$MISSING));

    is post_json('/order', $_), $missing, "\"$_\" is missing"
        for '', 'null', " null\n", "\xef\xbb\xbfnull";
    is post_json('/both', ''), $missing, 'and is so once';
    is post_json('/both', '{'), refused(error('["body",1]', '{}',
        'json_invalid', 'JSON decode error', '{"error":"Expecting property '
        . 'name enclosed in double quotes"}')), 'as is what is no JSON';

    is post_json('/order', "{\"id\":\"\xff\"}"),
        '400 {"detail":"There was an error parsing the body"}',
        'What is not UTF-8 is a 400';
    is $n->post('/order', $order, headers => ['Content-Type', 'text/plain'])
        ->body, '{"detail":[' . error('["body"]', '"text/plain"',
        'content_type', 'Content-Type should be application/json') . ']}',
        'Another type is refused';
    is post_json('/order', "\xef\xbb\xbf$order"), "200 $made",
        'A byte order mark is skipped';
};

subtest 'Nothing is partly applied' => sub {
    is post_json('/forgiving', $_), '200 [-6,true]', substr $_, 0, 50
        for $order =~ s/"id":7/"id":"x"/r, $order =~ s/}$/,"tags":5}/r,
        "$order,", '{}', '', substr $order, 0, -1;
    is post_json('/forgiving', $order), '200 [0,false]', 'or all of it is';
};

subtest 'Misuse is told' => sub {
    is post_json('/unread', $order), '200 [-1,true,"the body has not been '
        . 'read: use await_body()"]', 'a body that has not been read';
    like post_json('/another', $order),
        qr/\[-1,"await_json_into\(\): the struct has \d+ bytes, that of the model \\"order_model\\" has \d+"\]/,
        'a struct that is another one';
};

subtest 'async_into() reads any text' => sub {
    is post_json('/into', $order), "200 $made", 'and fills the struct';
    is post_json('/into', '{"id":1,"address":{"city":5}}'),
        '200 [-6,true,"async_into(): \"address.city\": Input should be a '
        . 'valid string"]', 'or tells the first error';
    is post_json('/into', '{"id":1,"address":{"city":""},"items":[{},5]}'),
        '200 [-6,true,"async_into(): \"items.0.name\": Field required"]',
        'in a list by its index';
    is post_json('/into', '5'), '200 [-6,true,"async_into(): ' . $OBJECT->[1]
        . '"]', 'of the whole without a name';
    is post_json('/into', '{"id":1'), '200 [-6,true,"async_into(): the text '
        . 'is no JSON: Expecting \',\' delimiter, at character 7"]',
        'or where it is no JSON';
    is post_json('/into?null=1', '{}'), '200 [-6,true,"async_into(): the '
        . 'text is no JSON: Expecting value, at character 0"]',
        'as an absent one is not';
};

subtest 'Bounds' => sub {
    my $depth = 99;

    is post_json('/deep', '{"next":' x $depth . '{}' . '}' x $depth),
        '200 100', 'A struct may be 100 levels deep';
    is post_json('/deep', '{"all":[' x 49 . '{}' . ']}' x 49), '200 50',
        'and so may lists in it';
    like post_json('/deep', '{"next":' x 100 . '{}' . '}' x 100),
        qr/422 .*Nested too deeply/, 'but not deeper';
    like post_json('/deep', '{"next":' x $depth . '5' . '}' x $depth),
        qr/\["body",("next",){98}"next"\]/, 'An error may be as deep';

    is post_json('/numbers', '{"numbers":[' . join(',', 1 .. 1_000_000)
        . ']}'), '200 [1000000,500000500000]', 'A list may have a million';

    my $body   = '{"numbers":[' . join(',', ('""') x 100_000) . ']}';
    my $errors = JSON::PP::decode_json(post_json('/numbers', $body)
        =~ s/^422 //r)->{detail};

    is scalar @$errors, 1000, 'but no more than 1,000 errors';
    is $errors->[-1]{loc}[2], 999, '... which are the first';

    # places and words are bounded in all, too
    $body = '{"next":' x 90 . '{"all":[' . join(',', (1) x 1000) . ']}' . '}' x 90;
    my $answer = post_json('/deep', $body);

    cmp_ok length $answer, '<', 512 * 1024, 'many errors far within are told in half a megabyte';

    $errors = JSON::PP::decode_json($answer =~ s/^422 //r)->{detail};

    cmp_ok scalar @$errors, '>', 100, '... those that come first, whole';
    is "@{ $errors->[-1]{loc} }[0, 90 .. 92]", join(' ', qw(body next all), $#$errors), '... in their order';

    # each field that is missing would show all of it
    $body = '{"items":[{},{}],"x":"' . 'x' x 1_100_000 . '"}';
    $errors = JSON::PP::decode_json(post_json('/order', $body)
        =~ s/^422 //r)->{detail};

    is join(' ', map { "@{ $_->{loc} }" } @$errors), 'body id body address '
        . 'body items 0 name body items 0 unit price body items 1 name '
        . 'body items 1 unit price', 'All that is missing is told';
    ok ref $errors->[0]{input}, '... with the object that it is missing in';
};

ok $n->stop, 'it ends well';

done_testing;
