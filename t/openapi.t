#!/usr/bin/perl

# The document of the directive async_openapi.  What is expected of models is
# what pydantic says of the same, and of operations what FastAPI does.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::MD5 qw(md5_hex);
use IO::Uncompress::Gunzip qw(gunzip);
use JSON::PP;
use Test::More;

use NginxAsync;
use NginxAsync::OpenApi;

my $json = JSON::PP->new->utf8->canonical;

my %routes = (
    items => <<'END',
        async_route GET "/items/{item_id}" read_item;
        async_route POST /items/ create_item;
        async_route GET,PUT /items/ list_items;
END
    others => <<'END',
        async_route GET / read_root;
        async_route GET /tree read_tree;
        async_route PUT /tree save_tree;
        async_route POST /photos add_photo;
        async_route POST /login login;
        async_route GET /secret secret;
        async_route GET "/me/{a:float}" read_me;
        async_route * "/any/{a:int}/{b:float}/{c:uuid}/{d}/{p:path}" echo;
        async_route GET /again list_items;
        async_route HEAD,OPTIONS,MKCOL /again echo;
        async_route * /again echo;
END
);

my $nginx = NginxAsync->new(conf => {
    http   => 'async_app $TEST_NGINX_APPS/openapi.so;',
    server => <<"END",
        gzip on;
        gzip_types application/json;
        location / {
            $routes{others}
            location /items/ {
                $routes{items}
            }
        }
        location = /all    { async_handler echo; }
        location = /form   { async_handler login; }
        location ~ ^/r     { async_handler echo; }
        location = /inside { internal; async_route GET /inside echo; }
        location = /openapi.json {
            async_openapi "title=Test \\"of\\" it" version=2.0 "description=Alle *Ä*";
        }
        location = /again.json { async_openapi; }
END
})->start;

my $response = $nginx->get('/openapi.json');
my $document = eval { $json->decode($response->body) } // {};
my $paths    = $document->{paths};
my $schemas  = $document->{components}{schemas};

sub same {
    my ($is, $expected, $title) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is defined $is ? $json->encode($is) : undef, $json->encode($json->decode($expected)), $title;
}

sub schema_ref { return qq({"\$ref":"#/components/schemas/$_[0]"}) }

# ---- the document

is $response->status, 200, 'the document is there';
is $response->header('content-type'), 'application/json', 'as JSON';
is $document->{openapi}, '3.1.0', 'of OpenAPI 3.1';

same $document->{info}, '{"title":"Test \"of\" it","version":"2.0","description":"Alle *Ä*"}',
    'title, version and description are those of the directive';

same $json->decode($nginx->get('/again.json')->body)->{info},
    '{"title":"nginx-async","version":"0.1.0"}', 'they have defaults';

SKIP: {
    if (my $why = NginxAsync::OpenApi::missing()) { skip $why, 2 }

    is NginxAsync::OpenApi::invalid($response->body), undef, 'the document is valid';
    like NginxAsync::OpenApi::invalid($response->body =~ s/"in":"path"/"in":"bath"/r), qr/bath|enum|oneOf|const/,
        'the validator sees what is not';
}

my ($order) = join ' ', $response->body =~ m{"(/[^"/]*)[^"]*":\{"(?:get|post|put)":}g;

is $order, '/ /tree /photos /login /me /any /again /items /items /all /form',
    'routes are in the order of their declaration';

# ---- routes

is_deeply [sort keys %$paths], [sort qw(/ /items/{item_id} /items/ /tree /photos /login /me/{a}
    /any/{a}/{b}/{c}/{d}/{p} /again /all /form)],
    'routes of all locations, but hidden, internal and those of regular expressions';

is_deeply [sort keys %{ $paths->{'/items/'} }], [qw(get post put)], 'each method is an operation';
is_deeply [sort keys %{ $paths->{'/again'} }], [qw(get head options post)],
    'HEAD if it is declared, no method that OpenAPI lacks, and "*" as the next that is free';
is_deeply [keys %{ $paths->{'/any/{a}/{b}/{c}/{d}/{p}'} }], ['get'], '"*" alone is GET';
is_deeply [keys %{ $paths->{'/all'} }],  ['get'],  'so is async_handler';
is_deeply [keys %{ $paths->{'/form'} }], ['post'], 'and POST of what takes a body';

my @ids = map { map { $_->{operationId} } values %$_ } values %$paths;
my %ids = map { $_ => 1 } @ids;

is scalar(keys %ids), scalar(@ids), 'no operationId is there twice';

same $paths->{'/'}{get}, '{"summary":"Read Root","operationId":"read_root__get","responses":
    {"200":{"description":"Successful Response","content":{"application/json":{"schema":{}}}}}}',
    'a handler that declares nothing';

my $post = $paths->{'/items/'}{post};

is_deeply [@$post{qw(summary description operationId)}, $post->{tags}],
    ['Make one', 'It makes *one* item.', 'make_item', ['items']], 'what a handler says of itself';
is_deeply $paths->{'/items/{item_id}'}{get}{tags}, [qw(items more)], 'several tags';
ok $paths->{'/items/'}{get}{deprecated}, 'deprecated';

# ---- parameters

same $paths->{'/any/{a}/{b}/{c}/{d}/{p}'}{get}{parameters}, '[
    {"name":"a","in":"path","required":true,"schema":{"type":"integer","title":"A"}},
    {"name":"b","in":"path","required":true,"schema":{"type":"number","title":"B"}},
    {"name":"c","in":"path","required":true,"schema":{"type":"string","format":"uuid","title":"C"}},
    {"name":"d","in":"path","required":true,"schema":{"type":"string","title":"D"}},
    {"name":"p","in":"path","required":true,"schema":{"type":"string","title":"P"}}]',
    'converters of a pattern are types';

same $paths->{'/items/{item_id}'}{get}{parameters}, '[
    {"name":"item_id","in":"path","required":true,
     "schema":{"type":"integer","minimum":1,"title":"Item Id"}},
    {"name":"limit","in":"query","required":false,"description":"How many",
     "schema":{"type":"integer","maximum":100,"description":"How many","default":10,"title":"Limit"}},
    {"name":"q","in":"query","required":false,
     "schema":{"anyOf":[{"type":"string","minLength":3},{"type":"null"}],"title":"Q"}},
    {"name":"tag","in":"query","required":false,
     "schema":{"type":"array","items":{"type":"string"},"default":[],"title":"Tag"}},
    {"name":"per","in":"query","required":false,
     "schema":{"type":"integer","minimum":0,"maximum":255,"default":5,"title":"Per"}},
    {"name":"shift","in":"query","required":false,
     "schema":{"type":"integer","minimum":-32768,"exclusiveMaximum":10,"default":0,"title":"Shift"}},
    {"name":"most","in":"query","required":false,
     "schema":{"type":"integer","minimum":0,"default":1,"title":"Most"}},
    {"name":"x-token","in":"header","required":true,"schema":{"type":"string","title":"X-Token"}},
    {"name":"session","in":"cookie","required":false,
     "schema":{"anyOf":[{"type":"string"},{"type":"null"}],"title":"Session"}}]',
    'parameters of a model, by their places, with what integers of their size can be';

# ---- bodies and responses

same $post->{requestBody},
    '{"content":{"application/json":{"schema":' . schema_ref('Item-Input') . '}},"required":true}',
    'a body';
same $paths->{'/photos'}{post}{requestBody},
    '{"content":{"multipart/form-data":{"schema":' . schema_ref('Photo') . '}},"required":true}',
    'a form with files';
same $paths->{'/login'}{post}{requestBody}, '{"content":{
    "application/x-www-form-urlencoded":{"schema":' . schema_ref('Login') . '},
    "multipart/form-data":{"schema":' . schema_ref('Login') . '}},"required":true}', 'one without';

my $invalid = '{"description":"Validation Error","content":{"application/json":{"schema":'
    . schema_ref('HTTPValidationError') . '}}}';

same $post->{responses}, '{"201":{"description":"Successful Response","content":
    {"application/json":{"schema":' . schema_ref('Item-Output') . '}}},"422":' . $invalid . '}',
    'responses, and 422 of what has input';
same $paths->{'/items/{item_id}'}{get}{responses}{404}, '{"description":"Not Found","content":
    {"application/json":{"schema":{"anyOf":[' . schema_ref('Failure') . ',' . schema_ref('Address')
    . ']}}}}', 'two models of one status';
same $paths->{'/items/'}{get}{responses}, '{"200":{"description":"Successful Response","content":
    {"application/json":{"schema":{"type":"array","items":' . schema_ref('Address') . '}}}}}',
    'a list';

# ---- dependencies

my $me = $paths->{'/me/{a}'}{get};

same $me->{parameters}, '[
    {"name":"a","in":"path","required":true,"schema":{"type":"number","title":"A"}},
    {"name":"limit","in":"query","required":true,"schema":{"type":"integer","title":"Limit"}},
    {"name":"offset","in":"query","required":false,
     "schema":{"type":"integer","default":0,"title":"Offset"}}]',
    'parameters of dependencies; of two of one name, one that is required';
same $me->{security}, '[{"admin":[],"token":[]},{"admin":[],"key":[]}]',
    'schemes of one function are alternatives, those of several are all needed';
is_deeply [sort keys %{ $me->{responses} }], [qw(200 401 403 422)], 'their responses';
ok !exists $me->{tags}, 'their tags are their own';
same $document->{components}{securitySchemes}, '{"admin":{"type":"http","scheme":"basic"},
    "key":{"type":"apiKey","in":"header","name":"x-key"},"token":{"type":"http","scheme":"bearer"}}',
    'the schemes';

# ---- models: model_json_schema() of pydantic 2.13, but for bytes

my $address = schema_ref('Address');
my $item    = '{"type":"object","title":"Item","properties":{
    "name":{"type":"string","minLength":1,"maxLength":50,"pattern":"^[a-z]+$","title":"The name",
        "description":"Of the item","examples":["foo"]},
    "note":{"anyOf":[{"type":"string","maxLength":300},{"type":"null"}],"title":"Note"},
    "price":{"type":"number","exclusiveMinimum":0,"maximum":999.5,"title":"Price"},
    "stock":{"anyOf":[{"type":"integer","minimum":0,"exclusiveMaximum":1000},{"type":"null"}],
        "title":"Stock"},
    "active":{"type":"boolean","default":true,"title":"Active"},
    "made":{"type":"string","format":"date-time","title":"Made"},
    "thumb":{"anyOf":[{"type":"string","contentEncoding":"base64"},{"type":"null"}],"title":"Thumb"},
    "id":{"type":"string","format":"uuid","title":"Id"},
    "day":{"type":"string","format":"date","title":"Day"},
    "color":{"type":"string","enum":["red","green"],"default":"red","title":"Color"},
    "level":{"type":"string","enum":["low","high"],"title":"Level"},
    "extra":{"title":"Extra"},
    "tags":{"type":"array","items":{"type":"string"},"minItems":1,"maxItems":5,"default":["a"],
        "title":"Tags"},
    "address":{"anyOf":[' . $address . ',{"type":"null"}]},
    "others":{"type":"array","items":' . $address . ',"title":"Others"}},"required":';

same $schemas->{'Item-Input'}, $item . '["name","price","made","id","day","level","others"]}',
    'a model that is read: what has a default, or may be null, need not be there';
same $schemas->{'Item-Output'}, $item . '["name","note","price","stock","active","made","thumb","id",
    "day","color","level","extra","tags","address","others"]}', 'one that is written has all fields';
same $schemas->{Address}, '{"type":"object","title":"Address","required":["street","city"],
    "properties":{"street":{"type":"string","title":"Street"},"city":{"type":"string","title":"City"}}}',
    'one that is the same for both is there once';
same $schemas->{'Node-Input'}, '{"type":"object","title":"Node","required":["value","children"],
    "properties":{"value":{"type":"string","title":"Value"},
    "next":{"anyOf":[' . schema_ref('Node-Input') . ',{"type":"null"}]},
    "children":{"type":"array","items":' . schema_ref('Node-Input') . ',"title":"Children"}}}',
    'a model within itself';
same $schemas->{Photo}, '{"type":"object","title":"Photo","required":["photo","more"],"properties":{
    "title":{"type":"string","default":"none","title":"Title"},
    "photo":{"type":"string","format":"binary","contentMediaType":"application/octet-stream",
        "title":"Photo"},
    "more":{"type":"array","maxItems":3,"title":"More","items":
        {"type":"string","format":"binary","contentMediaType":"application/octet-stream"}}}}', 'files';
same $schemas->{ValidationError}{required}, '["loc","msg","type"]', 'the errors of a 422';
ok !$schemas->{ItemParams} && !$schemas->{PageParams}, 'models of parameters are no schemas';

# ---- HTTP

is $response->header('etag'), '"' . md5_hex($response->body) . '"', 'an ETag of the content';
is $nginx->get('/openapi.json', headers => ['If-None-Match' => $response->header('etag')])->status, 304,
    'what has not changed is not sent again';

my $head = $nginx->head('/openapi.json');

is $head->status . $head->header('content-length'), 200 . length $response->body, 'HEAD';

my $packed = $nginx->get('/openapi.json', headers => ['Accept-Encoding' => 'gzip']);
my ($in, $plain) = $packed->body;

gunzip(\$in, \$plain);
is $packed->header('content-encoding'), 'gzip', 'gzip';
is $plain, $response->body, 'it is the same';

my $refused = $nginx->post('/openapi.json', 'x' x 10);

is $refused->status . $refused->header('allow'), '405GET, HEAD', 'POST is refused';
is $nginx->get('/openapi.json?a=1')->body, $response->body, 'once more the same';

$nginx->stop;

# ---- paths that differ in the names of their parameters

my $same = NginxAsync->new(conf => {
    http   => 'async_app $TEST_NGINX_APPS/openapi.so;',
    server => 'location / {
                   async_route GET    "/items/{item_id:int}/{b}" echo;
                   async_route PUT    "/items/{key}/{item_id}" read_item;
                   async_route DELETE "/items/{key}/{other:path}" echo;
                   async_route GET    "/items/{key}/{b}" read_tree;
                   async_route GET    "/items{key}/{b}" read_tree;
                   async_route POST   "/{a}{b}" echo;
                   async_route PUT    "/{b}{a}" echo;
               }
               location = "/items/{}/{}" { async_handler echo; }
               location = /openapi.json { async_openapi; }',
})->start;

$document = $json->decode($same->get('/openapi.json')->body);
$paths    = $document->{paths};

sub named {
    my ($path, $method) = @_;
    return [map { "$_->{name}: $_->{schema}{title}" } grep { $_->{in} eq 'path' }
        @{ $paths->{$path}{$method}{parameters} }];
}

is_deeply [sort keys %$paths], ['/items/{item_id}/{b}', '/items/{}/{}', '/items{key}/{b}', '/{a}{b}'],
    'paths that differ in names alone are the first of them';
is_deeply { map { $_ => $paths->{'/items/{item_id}/{b}'}{$_}{operationId} } keys %{ $paths->{'/items/{item_id}/{b}'} } },
    { get => 'echo_items__item_id___b__get', put => 'read_item_items__key___item_id__put',
        delete => 'echo_items__key___other__delete' },
    '... with the methods of all, of which the first counts';
is_deeply named('/items/{item_id}/{b}', 'get'), ['item_id: Item Id', 'b: B'], '... the names of the first';
is_deeply named('/items/{item_id}/{b}', 'put'), ['item_id: Key', 'b: Item Id'],
    '... which others have, too, with titles and models of their own';
is_deeply named('/items/{item_id}/{b}', 'delete'), ['item_id: Key', 'b: Other'], '... whatever their kinds';
is_deeply [map { @{ named('/{a}{b}', $_) } } qw(post put)], ['a: A', 'b: B', 'a: B', 'b: A'], '... also the other way round';

$same->stop;

# ---- a body that several functions read

my $bodies = NginxAsync->new(conf => {
    http   => 'async_app $TEST_NGINX_APPS/openapi.so;',
    server => 'location / {
                   async_route PUT /home move;
               }
               location = /openapi.json { async_openapi; }',
})->start;

$document = $json->decode($bodies->get('/openapi.json')->body);
$paths    = $document->{paths};

same $paths->{'/home'}{put}{requestBody}{content}{'application/json'}{schema}, schema_ref('Address'),
    'one model that two functions read is there once';

$bodies->stop;

# ---- two apps

my $two = NginxAsync->new(conf => {
    http => 'async_app $TEST_NGINX_APPS/openapi.so name=one;
             async_app $TEST_NGINX_APPS/openapi.so "name=t wo";',
    server => 'location / {
                   async_route GET /one one:read_tree;
                   async_route GET /two "t wo:read_tree";
                   async_route GET,POST "/three/{b}" "t wo:create_item";
                   async_route GET,POST "/four" "one:create_item";
               }
               location /five {
                   async_depends one:page one:token;
                   async_route GET /five one:read_tree;
               }
               location = /openapi.json { async_openapi; }',
})->start;

$document = $json->decode($two->get('/openapi.json')->body);

is $document->{paths}{'/one'}{get}{responses}{200}{content}{'application/json'}{schema}{'$ref'},
    '#/components/schemas/Node', 'the model of the first app has its name';
is $document->{paths}{'/two'}{get}{responses}{200}{content}{'application/json'}{schema}{'$ref'},
    '#/components/schemas/t_wo.Node', 'that of the second one of the name its app\'s, too';
is_deeply [map { $_->{name} } @{ $document->{paths}{'/five'}{get}{parameters} }], [qw(limit offset)],
    'parameters of what async_depends names';
same $document->{paths}{'/five'}{get}{security}, '[{"token":[]},{"key":[]}]', 'and who may';
is_deeply [sort map { map { $_->{operationId} } values %$_ } @{ $document->{paths} }{'/three/{b}', '/four'}],
    [qw(make_item make_item_get make_item_post make_item_post_2)],
    'an operationId that several would have';

SKIP: {
    if (my $why = NginxAsync::OpenApi::missing()) { skip $why, 1 }

    is NginxAsync::OpenApi::invalid($json->encode($document)), undef, 'valid, too';
}

$two->stop;

# ---- wrong configurations

sub refused {
    my ($server, $like, $title) = @_;

    my $wrong = NginxAsync->new(conf => {
        http => 'async_app $TEST_NGINX_APPS/openapi.so;', server => $server,
    }, allow => qr/\[emerg\]/);
    my ($status, $out) = $wrong->conf_test;

    is $status, 1, "$title: refused";
    like $out, qr/$like.* in \S+test\.conf:\d+/, $title;
}

refused('location = /o { async_openapi titel=x; }', 'unknown parameter "titel=", did you mean "title="\?',
    'a misspelt parameter');
refused('location = /o { async_openapi x; }', 'unknown parameter "x", there are', 'another one');
refused('location = /o { async_openapi title=a title=b; }', '"title=" is there twice', 'one twice');
refused("location = /o { async_openapi title=\xff; }", 'is no UTF-8', 'a title that is no text');
refused('location = /o { async_openapi; async_openapi; }', 'is duplicate', 'the directive twice');
refused('location = /o { async_handler echo; async_openapi; }', 'stands beside', 'beside a handler');
refused('location = /o { async_openapi; async_handler echo; }', 'stands beside', 'before one');
refused('location = /o { async_openapi; return 200; proxy_pass http://127.0.0.1; }',
    '"async_openapi" stands beside another directive', 'beside another module');

done_testing;
