#!/usr/bin/perl

# await_json(), async_json(), async_json_pack(): what is taken, what is refused
# and how, and how values are written.  The expected errors are those of CPython
# 3.11 and FastAPI.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use NginxAsync;

my $n = NginxAsync->new(conf => {
    http   => "async_app \$TEST_NGINX_APPS/json.so;\n"
        . 'client_body_buffer_size 16k;',
    server => <<'EOF_SERVER',
        location / {
            async_route  POST  /echo       echo;
            async_route  POST  /kind       kind;
            async_route  POST  /twice      twice;
            async_route  POST  /errors     errors;
            async_route  POST  /forgiving  forgiving;
            async_route  GET   "/make/{what}"  make;
            async_route  GET   "/pack/{what}"  pack;
        }

        location = /file {
            client_body_in_file_only clean;
            async_handler echo;
        }
EOF_SERVER
})->start;


sub post_json {
    my ($uri, $body, $type, %o) = @_;

    return $n->post($uri, $body,
        headers => ['Content-Type', $type // 'application/json'], %o);
}


sub echoes {
    my ($body, $expected, $title) = @_;

    my $r = post_json('/echo', $body);

    is $r->status . ' ' . $r->body, "200 $expected", $title;
}


sub error {
    my ($type, $loc, $msg, $input, $more) = @_;

    return qq({"detail":[{"type":"$type","loc":$loc,"msg":"$msg",)
        . qq("input":$input) . ($more // '') . '}]}';
}


sub json_invalid {
    my ($position, $text) = @_;

    $text =~ s/([\\"])/\\$1/g;

    return error('json_invalid', qq(["body",$position]), 'JSON decode error',
        '{}', qq(,"ctx":{"error":"$text"}));
}

my $missing = error('missing', '["body"]', 'Field required', 'null');


sub refuses {
    my ($body, $position, $text, $title) = @_;

    my $r = post_json('/echo', $body);

    is $r->status . ' ' . $r->body,
        '422 ' . json_invalid($position, $text), $title;
}


subtest 'Any value is taken' => sub {
    my %kinds = (
        '{}' => 'object', '[]' => 'array', '""' => 'string', '0' => 'integer',
        '0.5' => 'real', 'true' => 'true', 'false' => 'false',
        '1e2' => 'real', "\t{\"a\":\r\n1} \n" => 'object',
    );

    is post_json('/kind', $_)->body, $kinds{$_}, "$_ is of kind $kinds{$_}"
        for sort keys %kinds;

    echoes '{ "b" : [1, 2.50, "\u00e9\ud83d\ude00"], "a" : null }',
        qq({"b":[1,2.5,"\xc3\xa9\xf0\x9f\x98\x80"],"a":null}),
        'Order is kept, and text is compact UTF-8';
    echoes "\xef\xbb\xbf[1]", '[1]', 'A byte order mark is skipped';
    echoes '[9223372036854775807,-9223372036854775808]',
        '[9223372036854775807,-9223372036854775808]',
        'The whole range of int64_t is taken';
    echoes '[1e308,-1e-400]', '[1e+308,-0.0]', 'A tiny number is zero';

    is post_json('/twice', '{"a":1}')->body, 'the same',
        'A body is parsed once';
};


subtest 'It does not matter how the body came' => sub {
    my $text = '{"a":"' . ('x' x 300_000) . '"}';

    echoes $text, $text, 'A large body is read from its file';
    is post_json('/file', '[1]')->body, '[1]', 'So is a small one';
    is $n->post('/echo', undef, chunks => ['[1', ',2]'],
        headers => ['Content-Type', 'application/json'])->body, '[1,2]',
        'A chunked body is one text';
};


subtest 'Malformed text is refused where it is malformed' => sub {
    my @table = (
        ['{"a":1,}', 7, 'Expecting property name enclosed in double quotes'],
        ['{', 1, 'Expecting property name enclosed in double quotes'],
        ['{a:1}', 1, 'Expecting property name enclosed in double quotes'],
        ['[1,2', 4, q(Expecting ',' delimiter)],
        ['[1 2]', 3, q(Expecting ',' delimiter)],
        ['{"a" 1}', 5, q(Expecting ':' delimiter)],
        ['"abc', 0, 'Unterminated string starting at'],
        ['nul', 0, 'Expecting value'],
        ['   ', 3, 'Expecting value'],
        ["{\"\xc3\xa9\": x}", 6, 'Expecting value'],
        ['[,]', 1, 'Expecting value'],
        ['NaN', 0, 'Expecting value'],
        ['[-Infinity]', 1, 'Expecting value'],
        ['[1] x', 4, 'Extra data'],
        ['01', 1, 'Extra data'],
        ["[\"a\nb\"]", 3, 'Invalid control character at'],
        ['"\q"', 1, 'Invalid \escape'],
        ['"\u12"', 2, 'Invalid \uXXXX escape'],
    );

    refuses @$_, "$_->[0] is refused at $_->[1]" for @table;

    my $r = post_json('/echo', '{');
    is $r->header('Content-Type'), 'application/json', 'The answer is JSON';
    is $r->reason, 'Unprocessable Content', 'It says what it is';
};


subtest 'What Python takes in another sense is refused' => sub {
    refuses '{"a":1,"a":2}', 7, 'Duplicate key', 'A name twice is an error';
    refuses '[9223372036854775808]', 1, 'Number out of range',
        'An integer beyond int64_t is an error';
    refuses '[-9223372036854775809]', 1, 'Number out of range',
        'So is one below it';
    refuses '[1e999]', 1, 'Number out of range',
        'A number beyond double is an error';
    refuses '["\u0000"]', 2, '\u0000 is not allowed',
        'A zero character is an error';
    refuses '["\ud800"]', 2, 'Unpaired surrogate',
        'Half a character is an error';
    refuses '["\udc00x"]', 2, 'Unpaired surrogate',
        'So is the other half';
    refuses "[1\0]", 2, q(Expecting ',' delimiter),
        'A zero byte is no space';
};


subtest 'Depth is bounded' => sub {
    my $deep = sub { return '[' x $_[0] . ']' x $_[0] };

    echoes $deep->(100), $deep->(100), 'Depth 100 is taken';
    refuses $deep->(101), 100, 'Nested too deeply', 'Depth 101 is refused';

    for my $levels (2000, 100_000) {
        refuses '[' x $levels, 100, 'Nested too deeply',
            "$levels brackets are refused";
        refuses '{"a":' x $levels, 500, 'Nested too deeply',
            "$levels braces are refused";
    }

    echoes '"' . '[' x 1000 . '"', '"' . '[' x 1000 . '"',
        'A bracket in a string is no level';
};


subtest 'An empty body is missing' => sub {
    for my $body ('', 'null', " null\n") {
        my $r = post_json('/echo', $body);
        is $r->status . ' ' . $r->body, "422 $missing",
            'A body of ' . length($body) . ' bytes is missing';
    }

    is $n->post('/echo', '')->body, $missing,
        'Without a body the type does not matter';
};


subtest 'The body must say that it is JSON' => sub {
    my @good = ('application/json', 'Application/JSON',
        'application/json; charset=utf-8', 'application/json;charset=x',
        'application/problem+json', 'application/vnd.a.b+json; v=1');

    is post_json('/echo', '[1]', $_)->body, '[1]', "$_ is JSON" for @good;

    my @bad = ('text/plain', 'application/x-www-form-urlencoded', 'text/json',
        'application/jsonx', 'application/+json', 'application/', 'json', '/',
        'application/xjson');

    for my $type (@bad) {
        my $r = post_json('/echo', '[1]', $type);
        is $r->status . ' ' . $r->body, '422 ' . error('content_type',
            '["body"]', 'Content-Type should be application/json', "\"$type\""),
            "$type is not";
    }

    is $n->post('/echo', '[1]')->body, error('content_type', '["body"]',
        'Content-Type should be application/json', 'null'),
        'No type is no JSON';
    is post_json('/echo', '[1]', "a\xffb")->body, error('content_type',
        '["body"]', 'Content-Type should be application/json', 'null'),
        'A type that is no UTF-8 is left out';
};


subtest 'What is not UTF-8 is a bad request' => sub {
    for my $text ("\"\xff\"", "\"\xc0\xaf\"", "\"\xed\xa0\x80\"",
        "\"\xf4\x90\x80\x80\"", "{\xff", "\"\xc3")
    {
        my $r = post_json('/echo', $text);
        is $r->status . ' ' . $r->body,
            '400 {"detail":"There was an error parsing the body"}',
            unpack('H*', $text) . ' is refused';
    }
};


subtest 'An error is recorded for the handler' => sub {
    my $r = post_json('/errors', '{');
    is $r->body, '{"detail":[{"type":"missing","loc":["query","n"],'
        . '"msg":"Field required","input":null},'
        . (json_invalid(1, 'Expecting property name enclosed in double quotes')
            =~ /\[(\{.*\})\]\}/)[0] . ']}',
        'It is reported once, after that of the query';

    is post_json('/forgiving', '{')->body, 'JSON decode error',
        'A handler may answer it in its own way';
    is post_json('/forgiving', '{}')->body, 'valid', 'And a good one as usual';
};


subtest 'Values are written as Python writes them' => sub {
    my %made = (
        floats => '[0.1,1.0,1e+16,1000000000000000.0,1.2345678901234568e+17,'
            . '0.0001,1e-05,-0.0,5e-324,0.30000000000000004,1.5e+300]',
        order   => '{"z":1,"a":null,"m":true,"b":[],"o":{}}',
        escapes => "\"\xc3\xa9\\\"\\\\\\n\\u0001/\x7f\xf0\x9f\x98\x80\"",
        ints    => '[9223372036854775807,-9223372036854775808,0]',
        deep    => '[' x 1000 . ']' x 1000,
        again   => '{"second":2}',
    );

    for my $what (sort keys %made) {
        my $r = $n->get("/make/$what");
        is $r->body, $made{$what}, "The $what are right";
        is $r->header('Content-Length'), length $made{$what},
            "The length of $what is right";
    }

    is $n->get('/make/order')->status, 201, 'The status is as given';
};


subtest 'What has no JSON form is an error of the handler' => sub {
    my %causes = (
        null       => 'the value is NULL',
        nan        => 'nan and inf have no JSON form',
        'too-deep' => 'nested more than 1000 levels deep',
        deeper     => 'nested more than 1000 levels deep',
        fail       => 'nested more than 1000 levels deep',
        status     => 'status 99 is not from 200 to 599',
    );

    for my $what (sort keys %causes) {
        my $mark = $n->mark;
        my $r    = $n->get("/make/$what");

        is $r->status . ' ' . $r->body,
            '500 {"detail":"Internal Server Error"}',
            "The client is not told of $what";
        ok $n->wait_for_log(
            qr/async handler "json:make" failed: .*\Q$causes{$what}/, 20, $mark),
            "The log is told of $what";
    }
};


subtest 'A response is written from a format' => sub {
    my $r = $n->get('/pack/members?name=%22%C3%A9%22');

    is $r->status . ' ' . $r->body, '201 {"id":7,"name":"\"' . "\xc3\xa9"
        . '\"","nick":"\"' . "\xc3\xa9"
        . '\"","more":[0.1,true,null,-9223372036854775808]}',
        'Members come in the order of the format';
    is $r->header('Content-Type'), 'application/json', 'It is JSON';

    is $n->get('/pack/members')->body,
        '{"id":7,"name":null,"more":[0.1,true,null,-9223372036854775808]}',
        'What is absent is null or left out';
    is $n->get('/pack/trees')->body,
        '{"gone":{"a":"\"b\""},"kept":{"a":"\"b\""},"name":"\"b\""}',
        'Values are taken or borrowed, and may lie in one another';
    is $n->get('/pack/deep')->body, '[' x 1000 . ']' x 1000,
        'Depth 1000 is written';

    my $long = 'x' x 5000;

    is $n->get("/pack/long?name=$long")->body, qq(["$long$long$long"]),
        'Parts of a string are joined, however long';
};


subtest 'A format that cannot be written is an error of the handler' => sub {
    my %causes = (
        'too-deep' => 'nested more than 1000 levels deep, or holds itself, at '
            . 'character 2 of the format "[o]"',
        format     => 'it ends too early, at character 10 of the format '
            . '"{s:o, s:o"',
        utf8       => 'the string is not UTF-8, at character 9 of the format '
            . '"{s:o, s:s}"',
        null       => 'async_json_pack(): the value is NULL',
        status     => 'status 99 is not from 200 to 599',
    );

    for my $what (sort keys %causes) {
        my $mark = $n->mark;

        is $n->get("/pack/$what")->status, 500, "The answer to $what is 500";
        ok $n->wait_for_log(
            qr/async handler "json:pack" failed: .*\Q$causes{$what}/, 5,
            $mark), "The log tells of $what";
    }

    is $n->get('/pack/error')->body, 'async_json_pack(): nan and inf have no '
        . 'JSON form, at character 4 of the format "{s:f}"',
        'A handler can read it';
};

$n->stop;
done_testing;
