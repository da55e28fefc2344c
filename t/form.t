#!/usr/bin/perl

# Forms: what is in them, whatever way they come; malformed and too large ones;
# uploads read and saved; structs from forms.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP qw(decode_json);
use Test::More;

use NginxAsync;
use NginxAsync::Say qw(json);

my ($h2_listen, $h2_on) = NginxAsync::Conf::http2_directive()
    ? ('', 'http2 on;') : (' http2', '');

my $routes = join '', map { <<"EOF_CONF" }
    location = /$_        { async_handler form:form_$_; client_max_body_size 0; }
    location = /tight/$_  { async_handler form:form_$_; async_form_memory 0;
                            async_form_max_text 30; async_form_max_parts 3; }
EOF_CONF
    qw(hello after mixed twice save both into parts early thread into_thread);

$routes .= <<'EOF_CONF';
    location = /form       { async_handler form:form; client_max_body_size 0; }
    location = /tight/form { async_handler form:form; async_form_memory 0;
                             async_form_max_text 30; async_form_max_parts 3; }
    location = /small/form { async_handler form:form; client_max_body_size 500; }
EOF_CONF

my $n = NginxAsync->new(conf => { server => $routes, http => <<"EOF_CONF" });
    async_app \$TEST_NGINX_APPS/form.so;
    async_param store store;
    client_body_buffer_size 16k;
    server {
        listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_1$h2_listen;
        $h2_on
        $routes
    }
EOF_CONF

mkdir $n->root . '/store';
chmod 0777, $n->root . '/store';
$n->start;

my $URLENCODED = 'application/x-www-form-urlencoded';
my $MULTIPART  = 'multipart/form-data; boundary=xyz';

sub part {
    my ($params, $data, @headers) = @_;
    return join "\r\n", '--xyz', "Content-Disposition: form-data; $params", @headers, '', $data, '';
}

sub parts { return join('', @_) . "--xyz--\r\n" }

sub form {
    my ($uri, $type, $body, %more) = @_;
    return $n->request('POST', $uri, headers => [$type ? ('Content-Type', $type) : ()],
        body => $body, timeout => 30, %more);
}

sub multipart { my ($uri, @parts) = @_; return form($uri, $MULTIPART, parts(@parts)) }

sub detail { my ($r) = @_; return $r->status . ' ' . (json($r)->{detail} // 'none') }

sub fnv {
    my ($data) = @_;
    # of the words of 64 bits only the product's lower ones
    use integer;
    my $hash = -3750763034362895579;
    $hash = ($hash ^ $_) * 1099511628211 for unpack 'C*', $data;
    return sprintf '%016x', $hash;
}

sub noise {
    my ($len) = @_;
    my $piece = join '', map { chr($_ * 7 % 256) } 0 .. 250;
    return substr "\r\n--xy\r\n" . $piece x ($len / 251 + 1), 0, $len;
}

# ---- the two encodings

is_deeply json(form('/form', $URLENCODED, 'a=1&b=x+y%26%C3%A4&a=2&&c&=z&a=')),
    { all => [1, 2, ''], a => '', b => "x y&\xe4", c => '', files => [] }, 'urlencoded';
is_deeply json(form('/form', "$URLENCODED; charset=utf-8", '')),
    { all => [], a => undef, b => undef, c => undef, files => [] }, '... of nothing';
is_deeply json(form('/form', undef, '')),
    { all => [], a => undef, b => undef, c => undef, files => [] }, 'no body, no type';
is_deeply json($n->get('/form')),
    { all => [], a => undef, b => undef, c => undef, files => [] }, '... GET';

my @parts = (part('name="a"', 1), part('name=a', "x\r\ny"), part('name="b"', ''),
    part('name="f"; filename="C:\\dir\\x%22.bin"', "\0\r\n--xy\xff", 'Content-Type: image/x'));
my $told = { all => [1, "x\r\ny"], a => "x\r\ny", b => '', c => undef, files => [{
    name => 'x".bin', type => 'image/x', size => 8, read => 8, memory => JSON::PP::true,
    hash => fnv("\0\r\n--xy\xff") }] };

is_deeply json(multipart('/form', @parts)), $told, 'multipart';
is_deeply json(multipart('/after', @parts)), $told, '... of what await_body() has read';

{
    my $in_thread = { %$told, file => $told->{files}[0] };
    delete $in_thread->{files};
    is_deeply json(multipart('/thread', @parts)), $in_thread, '... in a blocking handler';
}

{
    my $body = parts(@parts);
    my $c    = $n->connect;
    my @bad;

    for my $cut (1 .. length($body) - 1) {
        my $got = json($c->send_request('POST', '/form', headers => ['Content-Type', $MULTIPART],
            chunks => [substr($body, 0, $cut), substr $body, $cut])->response);
        push @bad, $cut if !eq_hash($got, $told);
    }

    is "@bad", '', '... cut at every byte';
}

is_deeply json(multipart('/form', part('name=f; filename=""', '', 'Content-Type: x/y'))),
    { all => [], a => undef, b => undef, c => undef, files => [] }, 'no file chosen is none';
is scalar @{ json(multipart('/form', map({ part("name=f; filename=$_", $_) } 1 .. 3)))->{files} },
    3, 'several files of one name';

# ---- sizes

for my $len (0, 1, 65535, 65536, 65537, 131072, 131073, 1_000_000) {
    my $data = noise($len);
    my $file = json(multipart('/form', part('name=f; filename=x', $data)))->{files}[0];
    is_deeply $file, { name => 'x', type => undef, size => $len, read => $len,
        hash => fnv($data), memory => $len <= 65536 ? JSON::PP::true : JSON::PP::false },
        "a file of $len bytes";
}

{
    my @files = map { { data => noise(60_000 + $_ * 1000), i => $_ } } 0 .. 29;
    my $got = json(multipart('/form', map { part("name=f; filename=$_->{i}", $_->{data}) } @files));
    is join(' ', map { $_->{hash} } @{ $got->{files} }),
        join(' ', map { fnv($_->{data}) } @files), 'many files, in memory and not, in their order';
    is scalar(grep { $_->{memory} } @{ $got->{files} }), 6, '... those that may';
    $got = json(multipart('/form', map { part("name=f; filename=$_", 'x' x 65536) } 1 .. 20));
    is scalar(grep { $_->{memory} } @{ $got->{files} }), 16, '... not more than sixteen times that';
}

is_deeply json(multipart('/tight/form', part('name=f; filename=x', 'y')))->{files}[0]{memory},
    JSON::PP::false, 'async_form_memory 0';

my $file = $n->root . '/file';
NginxAsync::Env::spew($file, noise(3_000_000));
my $hash = fnv(noise(3_000_000));

sub curl {
    my ($port, @args) = @_;
    my $path = pop @args;
    return decode_json(NginxAsync::run('curl', '-s', '--max-time', 60, @args,
        'http://127.0.0.1:' . $n->port($port) . $path));
}

for (['with Expect: 100-continue', 0, '-H', 'Expect: 100-continue'],
    ['chunked', 0, '-H', 'Transfer-Encoding: chunked'], ['HTTP/2', 1, '--http2-prior-knowledge'])
{
    my ($title, $port, @args) = @$_;
    my $got = curl($port, @args, '--form-string', 'a="quoted" & more', '-F', "f=\@$file;type=text/x;filename=a\"b\\c",
        '/form');
    is_deeply [$got->{a}, @{ $got->{files}[0] }{qw(type size hash)}],
        ['"quoted" & more', 'text/x', 3_000_000, $hash], "curl: $title";
}

# ---- what is malformed, what is too large

my $MALFORMED = '400 There was an error parsing the body';

is detail(form('/form', $MULTIPART, $_->[1])), $_->[2] // $MALFORMED, "malformed: $_->[0]" for
    ['empty', ''], ['no boundary in it', 'a=1'], ['no last boundary', part('name=a', 1)],
    ['cut in a file', substr parts(part('name=f; filename=x', 'y' x 100_000)), 0, 90_000],
    ['line feeds', parts(part('name=a', 1)) =~ tr/\r//dr],
    ['a boundary with more', parts(part('name=a', "\r\n--xyzz"))],
    ['base64', parts(part('name=a', 1, 'Content-Transfer-Encoding: base64'))],
    ['large headers', parts(part('name=a', 1, 'X: ' . 'y' x 9000))],
    ['NUL in headers', parts(part("name=a\0", 1))],
    ['no name', parts(part('filename=a', 1)),
        '400 The Content-Disposition header field "name" must be provided.'],
    ['no Content-Disposition', "--xyz\r\n\r\n\r\n--xyz--",
        '400 The Content-Disposition header field "name" must be provided.'];

is detail(form('/form', 'multipart/form-data', parts())), '400 Missing boundary in multipart.',
    'no boundary';
is detail(form('/form', $_, 'a=1')), '415 The body is no form', "415: $_"
    for 'application/json', 'text/plain', 'multipart/mixed; boundary=x', "${URLENCODED}x", '';
is detail(form('/form', undef, 'a=1')), '415 The body is no form', '... no type at all';

is detail(multipart('/tight/form', map { part('name=a', 1) } 1 .. 4)),
    '413 Too many fields. Maximum number of fields is 3.', 'too many parts';
is detail(form('/tight/form', $URLENCODED, 'a=1&b&&c=&d')),
    '413 Too many fields. Maximum number of fields is 3.', '... urlencoded';
is form('/tight/form', $URLENCODED, 'a=1&b&&c=')->status, 200, '... just not';
is detail(form('/tight/form', $URLENCODED, 'a=' . 'x' x 29)),
    '413 Fields exceeded maximum size of 1KB.', 'too much text';
is detail(multipart('/tight/form', part('name=a', 'x' x 29))),
    '413 Fields exceeded maximum size of 1KB.', '... multipart';
is detail(multipart('/tight/form', part('name=f; filename=' . 'x' x 28, 1))),
    '413 Fields exceeded maximum size of 1KB.', '... of names';
is multipart('/tight/form', part('name=a', 'x' x 28))->status, 200, '... just not';
is form('/small/form', $URLENCODED, 'a=' . 'x' x 500)->status, 413, 'client_max_body_size';
is form('/small/form', $URLENCODED, undef, chunks => ['a=', 'x' x 500])->status, 413,
    '... in the middle';

{
    my $since = $n->mark;
    is form('/twice', $MULTIPART, 'x')->status, 400, 'a form that has been refused';
    like_log $n, $since, qr/<form -1: the form was refused with 400: it ends before its last bound/,
        '... the handler is told why';
    like_log $n, $since, qr/<again -1: the form could not be read before>/, '... once';
}

{
    my $c = $n->connect->send_request('POST', '/form', headers => ['Content-Type', $MULTIPART,
        'Content-Length', 100_000]);
    $c->send("--xyz bad\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    is $c->response->status, 400, 'malformed at the beginning';
    $c->send('x' x 1000);
    ok !defined $c->read_until(qr/hello/), '... the rest is no request';
}

is_deeply json(form('/mixed', $URLENCODED, 'a=1')),
    { form => -1, error => 'the body is being read by await_body_read()' }, 'after await_body_read()';
is_deeply json(form('/mixed?first=1', $URLENCODED, 'a=1')),
    { body => -1, read => -1, error => 'the body is read as a form' }, '... and before';

{
    my $c = $n->connect;
    for (1 .. 3) {
        is $c->send_request('POST', '/form', headers => ['Content-Type', $MULTIPART],
            body => parts(part('name=f; filename=x', noise(70_000))))->response->status, 200,
            'one after another on a connection';
    }
    is $c->send_request('POST', '/early', headers => ['Content-Type', $MULTIPART],
        body => parts(part('name=a', noise(70_000))))->response->body, "early\n",
        '... a handler that does not look at it';
    is $c->send_request('GET', '/hello')->response->body, "hello\n", '... and the next';
}

# ---- uploads

is_deeply json(multipart('/both', part('name=f; filename=x', noise(200)))),
    { second => 0, next => '' }, 'two tasks read an upload in memory, one after another';
is_deeply json(multipart('/tight/both', part('name=f; filename=x', 'abcdefghij' x 20))),
    { second => -5, next => 'abcd' }, 'one at a time reads a file';

for my $len (0, 10, 300_000) {
    my $data = noise($len);
    is_deeply json(multipart("/save?flags=$_", part("name=a", "at-$_-$len"),
        part('name=f; filename=x', $data))), { rc => 0, errno => 0, error => '' },
        "$len bytes are saved, flags $_" for 0, 8, 16, 24;
    ok $n->read_file("store/at-$_-$len") eq $data, '... all of them' for 0, 8, 16, 24;
}

is_deeply json(multipart('/save?flags=16', part('name=a', 'at-0-10'),
    part('name=f; filename=x', 'y')))->{errno}, 17, 'EEXIST';
is json(multipart('/save', part('name=a', '../x'), part('name=f; filename=x', 'y')))->{errno}, 18,
    'not out of the directory';
is json(multipart('/save', part('name=a', 'no/x'), part('name=f; filename=x', 'y' x 100_000)))->{errno},
    2, 'a directory that is not there';
like json(multipart('/save?flags=1', part('name=a', 'x'), part('name=f; filename=x', 'y')))->{error},
    qr/does not know the flags 1/, 'flags that are none';
is_deeply [glob $n->root . '/store/.* ' . $n->root . '/client_body_temp/*'],
    [map { $n->root . "/store/$_" } '.', '..'], 'nothing is left over';

# ---- structs

sub into { my ($where, @parts) = @_; return json(multipart($where, @parts)) }

my @photo = part('name=photo; filename=p.png', 'x');

for my $where ('/into', '/into_thread') {
    is_deeply into($where, part('name=title', 'T'), @photo), { title => 'T', number => 7,
        rate => undef, done => JSON::PP::false, note => undef, tags => undef, photo => 'p.png',
        files => undef }, "$where: what is required";
    is_deeply into($where, part('name=title', 'x'), part('name=title', "\xc3\xa4"),
        part('name=number', ' 5 '), part('name=rate', '1e1'), part('name=done', 'on'),
        part('name=note', 'n'), part('name=tags', 'a'), part('name=tags', ''), @photo,
        part('name=files; filename=1', 1), part('name=files; filename=2', 2), part('name=else', 1)),
        { title => "\xe4", number => 5, rate => 10, done => JSON::PP::true, note => 'n',
        tags => ['a', ''], photo => 'p.png', files => [1, 2] }, "$where: all there is";
}

sub errors {
    my ($got) = @_;
    return [map { [@$_{qw(type loc msg input)}, $_->{ctx} ? $_->{ctx} : ()] } @{ $got->{detail} }];
}

is_deeply errors(json(form('/into', $URLENCODED, ''))), [
    ['missing', ['body', 'title'], 'Field required', undef],
    ['missing', ['body', 'photo'], 'Field required', undef]], 'missing ones';
is_deeply errors(json(form('/into', $URLENCODED, 'title=&number=&done=&note=&photo=')))->[0],
    ['missing', ['body', 'title'], 'Field required', undef], 'an empty text is missing';
is_deeply errors(into('/into', part('name=title', 'x' x 11), part('name=number', 0),
    part('name=rate', 'x'), part('name=tags; filename=t', 1, 'Content-Type: a/b'), part('name=photo', 'p'),
    part('name=files; filename=1', 1), part('name=files', 2))), [
    ['string_too_long', ['body', 'title'], 'String should have at most 10 characters', 'x' x 11,
        { max_length => 10 }],
    ['greater_than_equal', ['body', 'number'], 'Input should be greater than or equal to 1', '0',
        { ge => 1 }],
    ['float_parsing', ['body', 'rate'],
        'Input should be a valid number, unable to parse string as a number', 'x'],
    ['string_type', ['body', 'tags', 0], 'Input should be a valid string',
        { filename => 't', size => 1, content_type => 'a/b' }],
    ['value_error', ['body', 'photo'],
        "Value error, Expected UploadFile, received: <class 'str'>", 'p', { error => {} }],
    ['value_error', ['body', 'files', 1],
        "Value error, Expected UploadFile, received: <class 'str'>", '2', { error => {} }],
    ], 'all that is wrong, together';
is_deeply errors(into('/into', part('name=title', 'x'), @photo, map { part('name=tags', $_) } 1 .. 4)),
    [['too_long', ['body', 'tags'], 'List should have at most 3 items after validation, not 4',
        [1 .. 4], { field_type => 'List', max_length => 3, actual_length => 4 }]], 'too many items';
is multipart('/into', part('name=title; filename=x', 'x'), @photo)->status, 422,
    'a file for a text';
is form('/into', 'application/json', '{}')->status, 415, 'JSON is no form';

my $address = '{"street": "S", "house": 3}';
is_deeply into('/parts', part('name=address', $address),
    part('name=others; filename=blob', "[$address, $address]", 'Content-Type: application/json'),
    part('name=any', '[1, {"a": null}]')), { street => 'S', house => 3, others => ['S', 'S'],
    any => [1, { a => undef }], photo => undef }, 'structs from parts of JSON';
is_deeply errors(into('/parts', part('name=address', '{"street": 1}'), part('name=any', '{'))), [
    ['string_type', ['body', 'address', 'street'], 'Input should be a valid string', 1],
    ['missing', ['body', 'address', 'house'], 'Field required', { street => 1 }],
    ['json_invalid', ['body', 'any', 1], 'JSON decode error', {},
        { error => 'Expecting property name enclosed in double quotes' }]], '... with errors';
is multipart('/parts', part('name=address', '['))->status, 422, '... malformed';
is multipart('/tight/parts', part('name=address; filename=x', $address))->status, 422,
    '... in a file that is not in memory';
is multipart('/parts', part('name=address', '[' x 5000))->status, 422, '... nested';

$n->stop;

done_testing;
