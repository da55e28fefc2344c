#!/usr/bin/perl

# Typed parameters of path and query, with the rules and the words of pydantic:
# integer, number, boolean, UUID and text.  t/unit.t compares the parsers with
# Python's; here is the way through nginx.

use Test::Nginx::Socket 'no_plan';

# All blocks have one configuration: two routes for each type.
my $routes = CORE::join('', map { qq{async_route GET "/p_$_/{v}" path_$_;\n}
    . "async_route GET /query_$_ query_$_;\n" } qw(int float bool uuid str));

add_block_preprocessor(sub {
    my ($block) = @_;

    $block->set_value(http_config => 'async_app $TEST_NGINX_APPS/param.so;');
    $block->set_value(config => "location / { $routes }");
});

no_root_location();
run_tests();

__DATA__

=== TEST 1: an integer may have a sign, zeros, underscores, spaces and a fraction of zeros, in the path
--- request eval
['GET /p_int/5',
 'GET /p_int/-5',
 'GET /p_int/+5',
 'GET /p_int/05',
 'GET /p_int/1_000',
 'GET /p_int/%205',
 'GET /p_int/5%20',
 'GET /p_int/5.0',
 'GET /p_int/0',
 'GET /p_int/-0']
--- response_body eval
['5',
 '-5',
 '5',
 '5',
 '1000',
 '5',
 '5',
 '5',
 '0',
 '0']



=== TEST 2: an integer may have a sign, zeros, underscores, spaces and a fraction of zeros, in the query
--- request eval
['GET /query_int?v=5',
 'GET /query_int?v=-5',
 'GET /query_int?v=%2B5',
 'GET /query_int?v=05',
 'GET /query_int?v=1_000',
 'GET /query_int?v=%205',
 'GET /query_int?v=5%20',
 'GET /query_int?v=5.0',
 'GET /query_int?v=0',
 'GET /query_int?v=-0']
--- response_body eval
['5',
 '-5',
 '5',
 '5',
 '1000',
 '5',
 '5',
 '5',
 '0',
 '0']



=== TEST 3: an integer goes to the ends of int64_t, in the path
--- request eval
['GET /p_int/9223372036854775807',
 'GET /p_int/-9223372036854775808']
--- response_body eval
['9223372036854775807',
 '-9223372036854775808']



=== TEST 4: an integer goes to the ends of int64_t, in the query
--- request eval
['GET /query_int?v=9223372036854775807',
 'GET /query_int?v=-9223372036854775808']
--- response_body eval
['9223372036854775807',
 '-9223372036854775808']



=== TEST 5: what is no integer is 422, in the path
--- request eval
['GET /p_int/abc',
 'GET /p_int/5.5',
 'GET /p_int/1e3',
 'GET /p_int/0x10',
 'GET /p_int/true',
 'GET /p_int/1__0',
 'GET /p_int/_1',
 'GET /p_int/1_',
 'GET /p_int/5.',
 'GET /p_int/--5',
 'GET /p_int/5%205',
 'GET /p_int/%D9%A3']
--- error_code eval
[422, 422, 422, 422, 422, 422, 422, 422, 422, 422, 422, 422]
--- response_body eval
['{"detail":[{"type":"int_parsing","loc":["path","v"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":"abc"}]}',
 '{"detail":[{"type":"int_parsing","loc":["path","v"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":"5.5"}]}',
 '{"detail":[{"type":"int_parsing","loc":["path","v"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":"1e3"}]}',
 '{"detail":[{"type":"int_parsing","loc":["path","v"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":"0x10"}]}',
 '{"detail":[{"type":"int_parsing","loc":["path","v"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":"true"}]}',
 '{"detail":[{"type":"int_parsing","loc":["path","v"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":"1__0"}]}',
 '{"detail":[{"type":"int_parsing","loc":["path","v"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":"_1"}]}',
 '{"detail":[{"type":"int_parsing","loc":["path","v"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":"1_"}]}',
 '{"detail":[{"type":"int_parsing","loc":["path","v"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":"5."}]}',
 '{"detail":[{"type":"int_parsing","loc":["path","v"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":"--5"}]}',
 '{"detail":[{"type":"int_parsing","loc":["path","v"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":"5 5"}]}',
 '{"detail":[{"type":"int_parsing","loc":["path","v"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":"٣"}]}']



=== TEST 6: what is no integer is 422, in the query
--- request eval
['GET /query_int?v=abc',
 'GET /query_int?v=5.5',
 'GET /query_int?v=1e3',
 'GET /query_int?v=0x10',
 'GET /query_int?v=true',
 'GET /query_int?v=',
 'GET /query_int?v=1__0',
 'GET /query_int?v=_1',
 'GET /query_int?v=1_',
 'GET /query_int?v=5.',
 'GET /query_int?v=--5',
 'GET /query_int?v=5%205',
 'GET /query_int?v=%D9%A3']
--- error_code eval
[422, 422, 422, 422, 422, 422, 422, 422, 422, 422, 422, 422, 422]
--- response_body eval
['{"detail":[{"type":"int_parsing","loc":["query","v"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":"abc"}]}',
 '{"detail":[{"type":"int_parsing","loc":["query","v"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":"5.5"}]}',
 '{"detail":[{"type":"int_parsing","loc":["query","v"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":"1e3"}]}',
 '{"detail":[{"type":"int_parsing","loc":["query","v"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":"0x10"}]}',
 '{"detail":[{"type":"int_parsing","loc":["query","v"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":"true"}]}',
 '{"detail":[{"type":"int_parsing","loc":["query","v"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":""}]}',
 '{"detail":[{"type":"int_parsing","loc":["query","v"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":"1__0"}]}',
 '{"detail":[{"type":"int_parsing","loc":["query","v"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":"_1"}]}',
 '{"detail":[{"type":"int_parsing","loc":["query","v"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":"1_"}]}',
 '{"detail":[{"type":"int_parsing","loc":["query","v"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":"5."}]}',
 '{"detail":[{"type":"int_parsing","loc":["query","v"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":"--5"}]}',
 '{"detail":[{"type":"int_parsing","loc":["query","v"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":"5 5"}]}',
 '{"detail":[{"type":"int_parsing","loc":["query","v"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":"٣"}]}']



=== TEST 7: an integer beyond int64_t is 422, in the path
--- request eval
['GET /p_int/9223372036854775808',
 'GET /p_int/-9223372036854775809',
 'GET /p_int/9999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999']
--- error_code eval
[422, 422, 422]
--- response_body eval
['{"detail":[{"type":"int_parsing_size","loc":["path","v"],"msg":"Unable to parse input string as an integer, exceeded maximum size","input":"9223372036854775808"}]}',
 '{"detail":[{"type":"int_parsing_size","loc":["path","v"],"msg":"Unable to parse input string as an integer, exceeded maximum size","input":"-9223372036854775809"}]}',
 '{"detail":[{"type":"int_parsing_size","loc":["path","v"],"msg":"Unable to parse input string as an integer, exceeded maximum size","input":"9999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999"}]}']



=== TEST 8: an integer beyond int64_t is 422, in the query
--- request eval
['GET /query_int?v=9223372036854775808',
 'GET /query_int?v=-9223372036854775809',
 'GET /query_int?v=9999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999']
--- error_code eval
[422, 422, 422]
--- response_body eval
['{"detail":[{"type":"int_parsing_size","loc":["query","v"],"msg":"Unable to parse input string as an integer, exceeded maximum size","input":"9223372036854775808"}]}',
 '{"detail":[{"type":"int_parsing_size","loc":["query","v"],"msg":"Unable to parse input string as an integer, exceeded maximum size","input":"-9223372036854775809"}]}',
 '{"detail":[{"type":"int_parsing_size","loc":["query","v"],"msg":"Unable to parse input string as an integer, exceeded maximum size","input":"9999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999"}]}']



=== TEST 9: a number may have an exponent, a point, underscores and spaces, in the path
--- request eval
['GET /p_float/1e3',
 'GET /p_float/.5',
 'GET /p_float/1_0',
 'GET /p_float/5',
 'GET /p_float/-2.5',
 'GET /p_float/+0.25',
 'GET /p_float/%201.5%20',
 'GET /p_float/5.',
 'GET /p_float/1E-2']
--- response_body eval
['1000.0',
 '0.5',
 '10.0',
 '5.0',
 '-2.5',
 '0.25',
 '1.5',
 '5.0',
 '0.01']



=== TEST 10: a number may have an exponent, a point, underscores and spaces, in the query
--- request eval
['GET /query_float?v=1e3',
 'GET /query_float?v=.5',
 'GET /query_float?v=1_0',
 'GET /query_float?v=5',
 'GET /query_float?v=-2.5',
 'GET /query_float?v=%2B0.25',
 'GET /query_float?v=%201.5%20',
 'GET /query_float?v=5.',
 'GET /query_float?v=1E-2']
--- response_body eval
['1000.0',
 '0.5',
 '10.0',
 '5.0',
 '-2.5',
 '0.25',
 '1.5',
 '5.0',
 '0.01']



=== TEST 11: what is no number is 422, in the path
--- request eval
['GET /p_float/abc',
 'GET /p_float/1__0',
 'GET /p_float/1e',
 'GET /p_float/0x10',
 'GET /p_float/1%2C5']
--- error_code eval
[422, 422, 422, 422, 422]
--- response_body eval
['{"detail":[{"type":"float_parsing","loc":["path","v"],"msg":"Input should be a valid number, unable to parse string as a number","input":"abc"}]}',
 '{"detail":[{"type":"float_parsing","loc":["path","v"],"msg":"Input should be a valid number, unable to parse string as a number","input":"1__0"}]}',
 '{"detail":[{"type":"float_parsing","loc":["path","v"],"msg":"Input should be a valid number, unable to parse string as a number","input":"1e"}]}',
 '{"detail":[{"type":"float_parsing","loc":["path","v"],"msg":"Input should be a valid number, unable to parse string as a number","input":"0x10"}]}',
 '{"detail":[{"type":"float_parsing","loc":["path","v"],"msg":"Input should be a valid number, unable to parse string as a number","input":"1,5"}]}']



=== TEST 12: what is no number is 422, in the query
--- request eval
['GET /query_float?v=abc',
 'GET /query_float?v=',
 'GET /query_float?v=1__0',
 'GET /query_float?v=1e',
 'GET /query_float?v=.',
 'GET /query_float?v=0x10',
 'GET /query_float?v=1%2C5']
--- error_code eval
[422, 422, 422, 422, 422, 422, 422]
--- response_body eval
['{"detail":[{"type":"float_parsing","loc":["query","v"],"msg":"Input should be a valid number, unable to parse string as a number","input":"abc"}]}',
 '{"detail":[{"type":"float_parsing","loc":["query","v"],"msg":"Input should be a valid number, unable to parse string as a number","input":""}]}',
 '{"detail":[{"type":"float_parsing","loc":["query","v"],"msg":"Input should be a valid number, unable to parse string as a number","input":"1__0"}]}',
 '{"detail":[{"type":"float_parsing","loc":["query","v"],"msg":"Input should be a valid number, unable to parse string as a number","input":"1e"}]}',
 '{"detail":[{"type":"float_parsing","loc":["query","v"],"msg":"Input should be a valid number, unable to parse string as a number","input":"."}]}',
 '{"detail":[{"type":"float_parsing","loc":["query","v"],"msg":"Input should be a valid number, unable to parse string as a number","input":"0x10"}]}',
 '{"detail":[{"type":"float_parsing","loc":["query","v"],"msg":"Input should be a valid number, unable to parse string as a number","input":"1,5"}]}']



=== TEST 13: nan, infinity and what is too large are 422, in the path
--- request eval
['GET /p_float/nan',
 'GET /p_float/inf',
 'GET /p_float/-inf',
 'GET /p_float/Infinity',
 'GET /p_float/NaN',
 'GET /p_float/1e999']
--- error_code eval
[422, 422, 422, 422, 422, 422]
--- response_body eval
['{"detail":[{"type":"finite_number","loc":["path","v"],"msg":"Input should be a finite number","input":"nan"}]}',
 '{"detail":[{"type":"finite_number","loc":["path","v"],"msg":"Input should be a finite number","input":"inf"}]}',
 '{"detail":[{"type":"finite_number","loc":["path","v"],"msg":"Input should be a finite number","input":"-inf"}]}',
 '{"detail":[{"type":"finite_number","loc":["path","v"],"msg":"Input should be a finite number","input":"Infinity"}]}',
 '{"detail":[{"type":"finite_number","loc":["path","v"],"msg":"Input should be a finite number","input":"NaN"}]}',
 '{"detail":[{"type":"finite_number","loc":["path","v"],"msg":"Input should be a finite number","input":"1e999"}]}']



=== TEST 14: nan, infinity and what is too large are 422, in the query
--- request eval
['GET /query_float?v=nan',
 'GET /query_float?v=inf',
 'GET /query_float?v=-inf',
 'GET /query_float?v=Infinity',
 'GET /query_float?v=NaN',
 'GET /query_float?v=1e999']
--- error_code eval
[422, 422, 422, 422, 422, 422]
--- response_body eval
['{"detail":[{"type":"finite_number","loc":["query","v"],"msg":"Input should be a finite number","input":"nan"}]}',
 '{"detail":[{"type":"finite_number","loc":["query","v"],"msg":"Input should be a finite number","input":"inf"}]}',
 '{"detail":[{"type":"finite_number","loc":["query","v"],"msg":"Input should be a finite number","input":"-inf"}]}',
 '{"detail":[{"type":"finite_number","loc":["query","v"],"msg":"Input should be a finite number","input":"Infinity"}]}',
 '{"detail":[{"type":"finite_number","loc":["query","v"],"msg":"Input should be a finite number","input":"NaN"}]}',
 '{"detail":[{"type":"finite_number","loc":["query","v"],"msg":"Input should be a finite number","input":"1e999"}]}']



=== TEST 15: a boolean has six words for true, in any case, in the path
--- request eval
['GET /p_bool/1',
 'GET /p_bool/true',
 'GET /p_bool/yes',
 'GET /p_bool/on',
 'GET /p_bool/t',
 'GET /p_bool/y',
 'GET /p_bool/TRUE',
 'GET /p_bool/On']
--- response_body eval
['[true,1]',
 '[true,1]',
 '[true,1]',
 '[true,1]',
 '[true,1]',
 '[true,1]',
 '[true,1]',
 '[true,1]']



=== TEST 16: a boolean has six words for true, in any case, in the query
--- request eval
['GET /query_bool?v=1',
 'GET /query_bool?v=true',
 'GET /query_bool?v=yes',
 'GET /query_bool?v=on',
 'GET /query_bool?v=t',
 'GET /query_bool?v=y',
 'GET /query_bool?v=TRUE',
 'GET /query_bool?v=On']
--- response_body eval
['[true,1]',
 '[true,1]',
 '[true,1]',
 '[true,1]',
 '[true,1]',
 '[true,1]',
 '[true,1]',
 '[true,1]']



=== TEST 17: a boolean has six words for false, in any case, in the path
--- request eval
['GET /p_bool/0',
 'GET /p_bool/false',
 'GET /p_bool/no',
 'GET /p_bool/off',
 'GET /p_bool/f',
 'GET /p_bool/n',
 'GET /p_bool/False',
 'GET /p_bool/NO']
--- response_body eval
['[false,0]',
 '[false,0]',
 '[false,0]',
 '[false,0]',
 '[false,0]',
 '[false,0]',
 '[false,0]',
 '[false,0]']



=== TEST 18: a boolean has six words for false, in any case, in the query
--- request eval
['GET /query_bool?v=0',
 'GET /query_bool?v=false',
 'GET /query_bool?v=no',
 'GET /query_bool?v=off',
 'GET /query_bool?v=f',
 'GET /query_bool?v=n',
 'GET /query_bool?v=False',
 'GET /query_bool?v=NO']
--- response_body eval
['[false,0]',
 '[false,0]',
 '[false,0]',
 '[false,0]',
 '[false,0]',
 '[false,0]',
 '[false,0]',
 '[false,0]']



=== TEST 19: what is no boolean is 422, in the path
--- request eval
['GET /p_bool/2',
 'GET /p_bool/truee',
 'GET /p_bool/%20true',
 'GET /p_bool/ja',
 'GET /p_bool/1.0']
--- error_code eval
[422, 422, 422, 422, 422]
--- response_body eval
['{"detail":[{"type":"bool_parsing","loc":["path","v"],"msg":"Input should be a valid boolean, unable to interpret input","input":"2"}]}',
 '{"detail":[{"type":"bool_parsing","loc":["path","v"],"msg":"Input should be a valid boolean, unable to interpret input","input":"truee"}]}',
 '{"detail":[{"type":"bool_parsing","loc":["path","v"],"msg":"Input should be a valid boolean, unable to interpret input","input":" true"}]}',
 '{"detail":[{"type":"bool_parsing","loc":["path","v"],"msg":"Input should be a valid boolean, unable to interpret input","input":"ja"}]}',
 '{"detail":[{"type":"bool_parsing","loc":["path","v"],"msg":"Input should be a valid boolean, unable to interpret input","input":"1.0"}]}']



=== TEST 20: what is no boolean is 422, in the query
--- request eval
['GET /query_bool?v=2',
 'GET /query_bool?v=',
 'GET /query_bool?v=truee',
 'GET /query_bool?v=%20true',
 'GET /query_bool?v=ja',
 'GET /query_bool?v=1.0']
--- error_code eval
[422, 422, 422, 422, 422, 422]
--- response_body eval
['{"detail":[{"type":"bool_parsing","loc":["query","v"],"msg":"Input should be a valid boolean, unable to interpret input","input":"2"}]}',
 '{"detail":[{"type":"bool_parsing","loc":["query","v"],"msg":"Input should be a valid boolean, unable to interpret input","input":""}]}',
 '{"detail":[{"type":"bool_parsing","loc":["query","v"],"msg":"Input should be a valid boolean, unable to interpret input","input":"truee"}]}',
 '{"detail":[{"type":"bool_parsing","loc":["query","v"],"msg":"Input should be a valid boolean, unable to interpret input","input":" true"}]}',
 '{"detail":[{"type":"bool_parsing","loc":["query","v"],"msg":"Input should be a valid boolean, unable to interpret input","input":"ja"}]}',
 '{"detail":[{"type":"bool_parsing","loc":["query","v"],"msg":"Input should be a valid boolean, unable to interpret input","input":"1.0"}]}']



=== TEST 21: a UUID comes in four forms and out in one, in the path
--- request eval
['GET /p_uuid/12345678-9abc-def0-1234-56789abcdef0',
 'GET /p_uuid/12345678-9ABC-DEF0-1234-56789ABCDEF0',
 'GET /p_uuid/123456789abcdef0123456789abcdef0',
 'GET /p_uuid/{12345678-9abc-def0-1234-56789abcdef0}',
 'GET /p_uuid/urn:uuid:12345678-9abc-def0-1234-56789abcdef0']
--- response_body eval
['"12345678-9abc-def0-1234-56789abcdef0"',
 '"12345678-9abc-def0-1234-56789abcdef0"',
 '"12345678-9abc-def0-1234-56789abcdef0"',
 '"12345678-9abc-def0-1234-56789abcdef0"',
 '"12345678-9abc-def0-1234-56789abcdef0"']



=== TEST 22: a UUID comes in four forms and out in one, in the query
--- request eval
['GET /query_uuid?v=12345678-9abc-def0-1234-56789abcdef0',
 'GET /query_uuid?v=12345678-9ABC-DEF0-1234-56789ABCDEF0',
 'GET /query_uuid?v=123456789abcdef0123456789abcdef0',
 'GET /query_uuid?v={12345678-9abc-def0-1234-56789abcdef0}',
 'GET /query_uuid?v=urn:uuid:12345678-9abc-def0-1234-56789abcdef0']
--- response_body eval
['"12345678-9abc-def0-1234-56789abcdef0"',
 '"12345678-9abc-def0-1234-56789abcdef0"',
 '"12345678-9abc-def0-1234-56789abcdef0"',
 '"12345678-9abc-def0-1234-56789abcdef0"',
 '"12345678-9abc-def0-1234-56789abcdef0"']



=== TEST 23: what is no UUID is 422 and says where, in the path
--- request eval
['GET /p_uuid/abc',
 'GET /p_uuid/12345678-9abc-def0-1234-56789abcdefg',
 'GET /p_uuid/12345678-9abcdef0-1234-56789abcdef0',
 'GET /p_uuid/12345678-9abc-def0-1234-56789abcdef']
--- error_code eval
[422, 422, 422, 422]
--- response_body eval
['{"detail":[{"type":"uuid_parsing","loc":["path","v"],"msg":"Input should be a valid UUID, invalid length: expected length 32 for simple format, found 3","input":"abc","ctx":{"error":"invalid length: expected length 32 for simple format, found 3"}}]}',
 '{"detail":[{"type":"uuid_parsing","loc":["path","v"],"msg":"Input should be a valid UUID, invalid character: found `g` at 36","input":"12345678-9abc-def0-1234-56789abcdefg","ctx":{"error":"invalid character: found `g` at 36"}}]}',
 '{"detail":[{"type":"uuid_parsing","loc":["path","v"],"msg":"Input should be a valid UUID, invalid group count: expected 5, found 4","input":"12345678-9abcdef0-1234-56789abcdef0","ctx":{"error":"invalid group count: expected 5, found 4"}}]}',
 '{"detail":[{"type":"uuid_parsing","loc":["path","v"],"msg":"Input should be a valid UUID, invalid group length in group 4: expected 12, found 11","input":"12345678-9abc-def0-1234-56789abcdef","ctx":{"error":"invalid group length in group 4: expected 12, found 11"}}]}']



=== TEST 24: what is no UUID is 422 and says where, in the query
--- request eval
['GET /query_uuid?v=abc',
 'GET /query_uuid?v=12345678-9abc-def0-1234-56789abcdefg',
 'GET /query_uuid?v=12345678-9abcdef0-1234-56789abcdef0',
 'GET /query_uuid?v=12345678-9abc-def0-1234-56789abcdef',
 'GET /query_uuid?v=']
--- error_code eval
[422, 422, 422, 422, 422]
--- response_body eval
['{"detail":[{"type":"uuid_parsing","loc":["query","v"],"msg":"Input should be a valid UUID, invalid length: expected length 32 for simple format, found 3","input":"abc","ctx":{"error":"invalid length: expected length 32 for simple format, found 3"}}]}',
 '{"detail":[{"type":"uuid_parsing","loc":["query","v"],"msg":"Input should be a valid UUID, invalid character: found `g` at 36","input":"12345678-9abc-def0-1234-56789abcdefg","ctx":{"error":"invalid character: found `g` at 36"}}]}',
 '{"detail":[{"type":"uuid_parsing","loc":["query","v"],"msg":"Input should be a valid UUID, invalid group count: expected 5, found 4","input":"12345678-9abcdef0-1234-56789abcdef0","ctx":{"error":"invalid group count: expected 5, found 4"}}]}',
 '{"detail":[{"type":"uuid_parsing","loc":["query","v"],"msg":"Input should be a valid UUID, invalid group length in group 4: expected 12, found 11","input":"12345678-9abc-def0-1234-56789abcdef","ctx":{"error":"invalid group length in group 4: expected 12, found 11"}}]}',
 '{"detail":[{"type":"uuid_parsing","loc":["query","v"],"msg":"Input should be a valid UUID, invalid length: expected length 32 for simple format, found 0","input":"","ctx":{"error":"invalid length: expected length 32 for simple format, found 0"}}]}']



=== TEST 25: any text is a text, in the path
--- request eval
['GET /p_str/a%20b',
 'GET /p_str/%C3%BC%E2%82%AC',
 'GET /p_str/%22x%22']
--- response_body eval
['"a b"',
 '"ü€"',
 '"\\"x\\""']



=== TEST 26: any text is a text, in the query
--- request eval
['GET /query_str?v=a%20b',
 'GET /query_str?v=%C3%BC%E2%82%AC',
 'GET /query_str?v=%22x%22']
--- response_body eval
['"a b"',
 '"ü€"',
 '"\\"x\\""']
