
# await_fetch(): what is sent, what comes, and what is told of it.

use strict;
use warnings;

use lib 't/lib';
use JSON::PP;
use Test::More;
use NginxAsync;
use NginxAsync::Others qw(fetcher ask several server mirror answers head_of python pause %CAUSE);

my $letters = join '', 'a' .. 'z';
my $much = substr $letters x 400_000, 0, 10_000_000;
my $sum = 0;
{ use integer; $sum = ($sum * 31 + $_) & 0xffffffff for unpack 'C*', $much }

my @status = (200, 201, 299, 300, 304, 399, 400, 404, 500, 503);

my $statuses = join '', map { "location = /status/$_ { return $_ x; }\n" } @status;

# ---- the others: nginx, Python, and one that answers with what it was asked

my $o = NginxAsync->new(files => { 'a.txt' => 'a file', 'much' => $much,
    'page.html' => '<p>' . $letters x 1000 }, conf => { location_root => 1,
    http => 'gzip on; gzip_min_length 1; types { text/html html; }', server => $statuses . <<'EOF_CONF' })->start;
    location = /told { return 200 "$request_method $request_uri $http_host $content_length"; }
    location = /204  { return 204; }
    location /put/ {
        alias $TEST_NGINX_SERVER_ROOT/html/put/;
        dav_methods PUT DELETE;
        create_full_put_path on;
        client_max_body_size 30m;
    }
EOF_CONF
my $nginx = 'http://127.0.0.1:' . $o->port(0);
chmod 0777, $o->root . '/html';

my $to = 'http://' . server(\&mirror);
my $n = fetcher(
    http => 'async_fetch_max_body 20m; async_param x 1;',
    server => <<'EOF_CONF');
        location = /small { async_handler fetch:fetch; async_fetch_max_body 1000; }
        location /some/ {
            async_fetch_max_body 2000;
            location = /some/inner { async_handler fetch:fetch; }
            location = /some/head  { async_handler fetch:fetch; async_fetch_max_head 1k; }
        }
EOF_CONF

sub get { return ask($n, { url => "$to/", @_ }) }
sub sent { return get(@_)->{body} }

# ---- a request as it is sent

my ($host) = $to =~ m{//(.*)};

is sent(), "GET / HTTP/1.1\r\nHost: $host\r\nUser-Agent: nginx-async/0.1.0\r\nAccept: */*\r\n\r\n",
    'a GET, and not a word more';
is sent(url => "$to/a/./b?c=d#e") =~ s/\r.*//sr, 'GET /a/./b?c=d HTTP/1.1',
    'path and query as they are, no fragment';
is sent(url => "$to?q") =~ s/\r.*//sr, 'GET /?q HTTP/1.1', 'a path that is not there';
is sent(url => "$to/\x{fc}{}\"<>") =~ s/\r.*//sr, 'GET /%C3%BC%7B%7D%22%3C%3E HTTP/1.1',
    'what is to be encoded is';
is sent(url => "$to/a?b=c", query => ['d e', '&=?', 'none', undef, "\x{20ac}", '']) =~ s/\r.*//sr,
    'GET /a?b=c&d%20e=%26%3D%3F&%E2%82%AC= HTTP/1.1', 'pairs of a query';
is sent(url => "$to/a", query => ['x', undef]) =~ s/\r.*//sr, 'GET /a HTTP/1.1', '... of NULL only';

is sent(method => $_) =~ s/ .*//sr, $_, $_ for qw(GET PUT DELETE OPTIONS PATCH QUERY get x!);
is ask($n, { url => "$to/", method => 'HEAD' })->{body}, '', 'HEAD has no body';

like sent(body => ''), qr/^POST .*\r\nContent-Length: 0\r\n\r\n\z/s,
    'an empty body: POST, and Content-Length: 0';
like sent(body => 'x=1'), qr/^POST .*\r\nContent-Length: 3\r\n\r\nx=1\z/s, 'a body: POST';
unlike sent(body => 'x=1'), qr/Content-Type/, '... of no type that nobody has given';
like sent(method => $_), qr/\r\nContent-Length: 0\r\n/, "$_ without one: Content-Length: 0"
    for qw(POST PUT PATCH);
unlike sent(method => $_), qr/Content-Length/, "$_ without one: none" for qw(GET DELETE OPTIONS);
like sent(method => 'GET', body => 'x'), qr/^GET .*Content-Length: 1\r\n\r\nx\z/s, 'GET with one';
like sent(json => { a => [1, "\x{fc}"] }),
    qr/^POST .*\r\nContent-Type: application\/json\r\nContent-Length: 14\r\n\r\n\{"a":\[1,"\xfc"\]\}\z/s,
    'JSON';
like sent(json => [], headers => ['content-type', 'application/x+json']),
    qr/\r\ncontent-type: application\/x\+json\r\nUser(?!.*Content-Type)/s, '... of another type';
like sent(json => { a => 1 }, method => 'PUT'), qr/^PUT /, '... by PUT';
cmp_ok get(big => 10_000_000, brief => JSON::PP::true)->{length}, '>', 10_000_000, 'ten million bytes';
is sent(big => $_) =~ s/.*\r\n\r\n//sr, 'b' x $_, "$_ bytes" for 1, 4095, 4096, 4097, 65536, 200_000;

# ---- fields

my @own = (headers => ['X-A', '1', 'x-a', '2', 'X-None', undef, 'X-Empty', '', 'X-Tab', "a\tb"]);
like sent(@own), qr/\r\nX-A: 1\r\nx-a: 2\r\nX-Empty: \r\nX-Tab: a\tb\r\n/, 'fields, in their order';
unlike sent(@own), qr/X-None/, '... without those of NULL';
my $own = sent(headers => ['user-agent', 'me', 'accept', 'text/csv', 'host', 'other.example']);
is $own, "GET / HTTP/1.1\r\nuser-agent: me\r\naccept: text/csv\r\nhost: other.example\r\n\r\n",
    'fields that there would be anyway are replaced';
like sent(headers => ['host', undef]), qr/\r\nHost: \Q$host\E\r\n/, '... not by NULL';
like sent(url => "http://us%20er:p%3Aw@" . "$host/"), qr/\r\nAuthorization: Basic dXMgZXI6cDp3\r\n/,
    'credentials of the URL';
my $auth = sent(url => "http://a:b@" . "$host/", headers => ['authorization', 'Bearer 1']);
ok $auth =~ /\r\nauthorization: Bearer 1\r\n/ && $auth !~ /Basic/, '... or those that are given';

for (qw(Connection content-length Expect Keep-Alive Proxy-Connection TE Trailer
    TRANSFER-ENCODING Upgrade))
{
    my $r = get(headers => [$_, 'x'], json => { leak => [1] });
    is_deeply [@$r{qw(rc cause)}], [-1, $CAUSE{REQUEST}], "$_ is not to be set";
}
like get(headers => ['TE', 'x'])->{error}, qr/^the request is not sent: .* not to be set$/, '... and why';

for (['a name with a space', headers => ['X A', 'x']], ['an empty name', headers => ['', 'x']],
    ['a name with a colon', headers => ['X:', 'x']], ['a line end', headers => ['X', "a\r\nY: b"]],
    ['a line feed', headers => ['X', "a\nb"]], ['a method with a space', method => 'GET /x'],
    ['an empty method', method => ''], ['two bodies', body => 'x', json => {}],
    ['three', body => 'x', json => {}, pieces => 1, piece => 1],
    ['a length without a source', length => 3], ['a negative length', pieces => 1, length => -1],
    ['unknown flags', flags => 4096])
{
    my ($what, @how) = @$_;
    my $r = get(@how);
    is_deeply [@$r{qw(rc cause)}], [-1, $CAUSE{REQUEST}], "not sent: $what";
    like $r->{error}, qr/^the request is not sent: /, "... and why";
}

{
    my $r = get(timeout => -1);
    is $r->{rc}, -1, 'a negative time';
    like $r->{error}, qr/-1/, '... is named';
}

# ---- a source

my @all = (pieces => 5, piece => 1000);
my $chunked = sent(@all);
is $chunked =~ s{.*?\r\nTransfer}{Transfer}sr, "Transfer-Encoding: chunked\r\n\r\n"
    . ("3e8\r\n" . "x" x 1000 . "\r\n") x 5 . "0\r\n\r\n",
    'a source, chunked';
unlike $chunked, qr/Content-Length/, '... without a length';
like sent(@all, length => 5000), qr/^POST .*\r\nContent-Length: 5000\r\n\r\nx{5000}\z/s,
    'a source of known length';
like sent(@all, method => 'PUT', pause => 20), qr/^PUT .*(3e8\r\nx{1000}\r\n){5}0\r\n\r\n\z/s,
    'a source that sleeps';
like sent(pieces => 0), qr/chunked\r\n\r\n0\r\n\r\n\z/s, 'a source of nothing';
is length(sent(pieces => 300, piece => 20_000, length => 300 * 16_384) =~ s/.*\r\n\r\n//sr),
    300 * 16_384, 'five million bytes of it';

for (['too short', length => 6000], ['too long', length => 4500]) {
    my ($what, @how) = @$_;
    my $r = get(@all, @how);
    is_deeply [@$r{qw(rc cause error)}], [-1, $CAUSE{REQUEST},
        "what is to be sent to $host has another length than $how[1]"], "a source that is $what";
}
{
    my $r = get(@all, fails => JSON::PP::true);
    is_deeply [@$r{qw(rc error)}], [-1, 'the source fails'], 'a source that fails';
    is get()->{status}, 200, '... and the next request';
}

# ---- what comes

{
    my $r = ask($n, { url => "$nginx/a.txt" });
    is_deeply [@$r{qw(rc status body length url)}], [0, 200, 'a file', 6, "$nginx/a.txt"], 'a file';
    my ($etag) = map { $_->[1] } grep { $_->[0] eq 'ETag' } @{$r->{headers}};
    $r = ask($n, { url => "$nginx/a.txt", headers => ['If-None-Match', $etag] });
    is_deeply [@$r{qw(status body length)}], [304, '', 0], 'status 304';
    $r = ask($n, { url => "$nginx/204" });
    is_deeply [@$r{qw(status body length)}], [204, '', 0], 'status 204';
    $r = ask($n, { url => "$nginx/much", method => 'HEAD' });
    is_deeply [@$r{qw(status body)}], [200, ''], 'HEAD';
    is_deeply [grep { $_->[0] eq 'Content-Length' } @{$r->{headers}}],
        [['Content-Length', 10_000_000]], '... tells the length';
    $r = ask($n, { url => "$nginx/none" });
    is_deeply [@$r{qw(rc status)}], [0, 404], 'a 404 is no failure';
    is ask($n, { url => "$nginx/told", method => 'HEAD', stream => JSON::PP::true })->{body}{total}, 0,
        'HEAD, streamed';
    is_deeply [@{ask($n, { url => "$nginx/much", brief => JSON::PP::true })}{qw(length sum)}],
        [10_000_000, $sum], 'ten million bytes';
    $r = ask($n, { url => "$nginx/put/x", method => 'PUT', big => 10_000_000 });
    is $r->{status}, 201, 'PUT of ten million bytes';
    is -s $o->root . '/html/put/x', 10_000_000, '... which are there';
    is ask($n, { url => "$nginx/put/x", method => 'DELETE' })->{status}, 204, 'DELETE';
    is ask($n, { url => "$nginx/put/y", method => 'PUT', pieces => 3, piece => 7 })->{status}, 201,
        'PUT, chunked';
    is $o->read_file('html/put/y'), 'x' x 21, '... whole';
}

{
    my $py = 'http://' . python($o->root . '/html');
    my $r = ask($n, { url => "$py/a.txt" });
    is_deeply [@$r{qw(status body)}], [200, 'a file'], 'HTTP/1.0, by Python';
    is ask($n, { url => "$py/a.txt", method => 'HEAD' })->{body}, '', '... HEAD';
    is ask($n, { url => "$py/none" })->{status}, 404, '... 404';
    is ask($n, { url => "$py/put", redirects => 1 })->{url}, "$py/put/", '... a redirect';
    is ask($n, { url => "$py/much", brief => JSON::PP::true })->{sum}, $sum, '... ten million bytes';
    is ask($n, { url => "$py/a.txt", method => 'POST', big => 100_000 })->{status}, 501,
        '... that takes no POST, and does not read it';
}

{
    my $end = 'http://' . server(answers("HTTP/1.1 200 OK\r\n\r\nto the end"));
    is ask($n, { url => $end })->{body}, 'to the end', 'a body to the end of the connection';
    my $chunks = 'http://' . server(answers("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        . "1\r\na\r\nA;x=y\r\n0123456789\r\n0\r\nX: y\r\n\r\n"));
    is ask($n, { url => $chunks })->{body}, 'a0123456789', '... in chunks';
    my $early = 'http://' . server(answers("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
        . "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
    my $r = ask($n, { url => $early });
    is_deeply [@$r{qw(status body headers)}], [200, 'ok', [['Content-Length', 2]]],
        'responses of status 1xx come before';
    my $large = 'http://' . server(sub {
        my ($c) = @_;
        head_of($c);
        print $c "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno";
        pause(2);
    });
    $r = ask($n, { url => $large, big => 20_000_000 });
    is_deeply [@$r{qw(status body)}], [413, 'no'], 'an answer before all is sent';
    my $hints = 'http://' . server(sub {
        my ($c) = @_;
        head_of($c);
        print $c "HTTP/1.1 103 Hints\r\nLink: ", 'x' x (16_384 - 30), "\r\n\r\n";
        pause(0.3);
        print $c "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno";
        pause(2);
    });
    $r = ask($n, { url => $hints, big => 20_000_000 });
    is_deeply [@$r{qw(status body)}], [413, 'no'], '... behind one of status 1xx that fills the buffer';
}

# ---- in pieces

for my $size (1, 7, 65536) {
    my $r = ask($n, { url => "$nginx/page.html", stream => JSON::PP::true, size => $size });
    is_deeply [@{$r->{body}}{qw(total end head)}], [26_003, 0, '<p>' . substr $letters x 40, 0, 1021],
        "streamed in pieces of $size";
    is $r->{length}, undef, '... and not held';
}
{
    my $r = ask($n, { url => "$nginx/much", stream => JSON::PP::true });
    is $r->{body}{total}, 10_000_000, 'ten million bytes, streamed';
    is $r->{body}{sum}, $sum, '... those and no others';
    $r = ask($n, { url => "$nginx/much", stream => JSON::PP::true, size => 1000, stop => 5000 });
    is_deeply [@{$r->{body}}{qw(total end)}], [5000, 0], 'closed in the middle';
    $r = ask($n, { url => "$nginx/a.txt", stream => JSON::PP::true, parse => JSON::PP::true });
    is $r->{parsed}{error}, 'the body of a response that is read in pieces is not held',
        'what is streamed is no JSON';
    is ask($n, { url => "$nginx/a.txt", stream => JSON::PP::true, max => 2 })->{body}{total}, 6,
        'max is not for what is streamed';
}

# ---- bounds

{
    my $r = ask($n, { url => "$nginx/much", max => 9_999_999 });
    is_deeply [@$r{qw(rc cause error)}], [-1, $CAUSE{TOO_LARGE}, "$nginx/much: the body of the "
        . 'response is larger than 9999999 bytes (async_fetch_t.max)'], 'max';
    is ask($n, { url => "$nginx/a.txt", max => 6 })->{body}, 'a file', '... just not';
    is ask($n, { url => "$nginx/a.txt", max => 5 })->{cause}, $CAUSE{TOO_LARGE}, '... just';
    is ask($n, { url => "$nginx/a.txt", max => -1 })->{body}, 'a file', '... SIZE_MAX';
    is ask($n, { url => "$nginx/much", max => -1, brief => JSON::PP::true })->{sum}, $sum,
        '... of much';

    for (["in chunks", "Transfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n"],
        ["to the end", "\r\n0123456789"])
    {
        my $in = 'http://' . server(answers("HTTP/1.1 200 OK\r\n$_->[1]"));
        is ask($n, { url => $in, max => 10 })->{body}, '0123456789', "... $_->[0], just not";
        is ask($n, { url => $in, max => 9 })->{cause}, $CAUSE{TOO_LARGE}, "... $_->[0], just";
        is ask($n, { url => $in, max => -1 })->{body}, '0123456789', "... $_->[0], SIZE_MAX";
    }

    my $page = { url => "$nginx/page.html" };
    like ask($n, $page, '/small')->{error}, qr/larger than 1000 bytes \(async_fetch_max_body\)$/,
        'async_fetch_max_body';
    like ask($n, $page, '/some/inner')->{error}, qr/larger than 2000 bytes \(async_fetch_max_body\)$/,
        '... of the location around';
    is ask($n, { %$page, max => 30_000 }, '/small')->{status}, 200, '... max is more than that';

    my $head = 'http://' . server(answers("HTTP/1.1 204 No\r\nX: " . 'x' x 2000 . "\r\n\r\n"));
    is ask($n, { url => $head })->{status}, 204, 'a head of 2000 bytes';
    my $at = $head =~ s{http://}{}r;
    is_deeply [@{ask($n, { url => $head }, '/some/head')}{qw(rc cause error)}],
        [-1, $CAUSE{TOO_LARGE}, "$at: the head of its response is larger than 1024 bytes "
        . '(async_fetch_max_head)'], '... async_fetch_max_head';
    $head = 'http://' . server(answers("HTTP/1.1 204 No\r\nX: " . 'x' x 33_000 . "\r\n\r\n"));
    like ask($n, { url => $head })->{error}, qr/larger than 32768 bytes/, '... 32k unless said';
}

# ---- encodings

{
    my $plain = ask($n, { url => "$nginx/page.html" });
    is_deeply [grep { $_->[0] =~ /Encoding/ } @{$plain->{headers}}], [], 'not encoded unless asked for';
    my $r = ask($n, { url => "$nginx/page.html", decode => JSON::PP::true, field => 'content-encoding' });
    is $r->{field}, 'gzip', 'gzip, if asked for';
    ok $r->{body} eq $plain->{body}, '... is decoded';
    $r = ask($n, { url => "$nginx/page.html", headers => ['Accept-Encoding', 'gzip'],
        field => 'Content-Encoding' });
    is_deeply [@$r{qw(field body)}], ['gzip', '(no UTF-8)'], '... not by a field alone';
    is ask($n, { url => "$nginx/a.txt", decode => JSON::PP::true })->{body}, 'a file',
        '... what is not encoded is as it is';
    for my $size (1, 65536) {
        $r = ask($n, { url => "$nginx/page.html", decode => JSON::PP::true, stream => JSON::PP::true,
            size => $size });
        is $r->{body}{total}, 26_003, "... in pieces of $size";
    }
    is ask($n, { url => "$nginx/page.html", decode => JSON::PP::true, max => 26_002 })->{cause},
        $CAUSE{TOO_LARGE}, '... bounded by what it becomes';
    is ask($n, { url => "$nginx/page.html", decode => JSON::PP::true, max => 26_003 })->{length},
        26_003, '... just not';
    is ask($n, { url => "$nginx/page.html", decode => JSON::PP::true, method => 'HEAD' })->{body}, '',
        '... HEAD';
    like sent(decode => JSON::PP::true), qr/\r\nAccept-Encoding: gzip\r\n/, 'what is asked for';
}

# ---- what is told

{
    my $at = 'http://' . server(answers("HTTP/1.1 200 OK\r\nx-one: 1\r\nX-Two:  a b \t\r\n"
        . "X-ONE: 2\r\nX-Empty:\r\nSet-Cookie: a=1; Path=/; HttpOnly\r\n"
        . "set-cookie: b=\"q q\"; a=5\r\nSet-Cookie:  c = d \r\nSet-Cookie: a=2;Secure\r\n"
        . "Set-Cookie: e=\r\nSet-Cookie: novalue\r\nContent-Length: 0\r\n\r\n"));
    is_deeply [@{ask($n, { url => $at })->{headers}}[0 .. 3]],
        [['x-one', 1], ['X-Two', 'a b'], ['X-ONE', 2], ['X-Empty', '']], 'the fields, as they came';
    is ask($n, { url => $at, field => $_->[0] })->{field}, $_->[1], "the field \"$_->[0]\"" for
        ['X-One', 1], ['x-two', 'a b'], ['X-Empty', ''], ['X-Non', undef], ['', undef];
    is ask($n, { url => $at, cookie => $_->[0] })->{cookie}, $_->[1], "the cookie \"$_->[0]\"" for
        ['a', 2], ['b', '"q q"'], ['c', 'd'], ['e', ''], ['novalue', undef], ['A', undef],
        ['Path', undef], ['', undef];
}

for my $status (grep { $_ < 300 } @status) {
    is ask($n, { url => "$nginx/status/$status", raise => JSON::PP::true })->{raised}{rc}, 0,
        "$status is fine";
}
for my $status (grep { $_ >= 300 } @status) {
    my $r = ask($n, { url => ($nginx =~ s{//}{//user:secret@}r) . "/status/$status",
        raise => JSON::PP::true });
    is_deeply $r->{raised}, { rc => -1, cause => $CAUSE{STATUS},
        error => "$nginx/status/$status answered $status" }, "$status is not";
}

{
    my $json = sub { return 'http://' . server(answers(sprintf
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%s", length $_[0], $_[0])) };
    my $parsed = sub { return ask($n, { url => $json->($_[0]), parse => JSON::PP::true }) };
    my $r = $parsed->('{"a": [1, "x"]}');
    is_deeply $r->{parsed}, { a => [1, 'x'] }, 'JSON, of whatever type';
    ok $r->{same}, '... the same one twice';
    is_deeply $parsed->($_->[0])->{parsed}, $_->[1], "... $_->[0]"
        for ['1', 1], ['"x"', 'x'], [' [] ', []];

    for ('', ' ', '{', '{"a":1} x', '{"a":1,"a":2', 'nul', "\"\xff\"", '[' x 5000 . ']' x 5000) {
        $r = $parsed->($_)->{parsed};
        is_deeply [@$r{qw(rc cause)}], [-1, $CAUSE{JSON}], 'no JSON: ' . substr $_, 0, 10;
        like $r->{error}, qr{^the JSON of http://127.0.0.1:\d+/: .* at character \d+$}, '... and why';
    }
}

# ---- at once

is_deeply [map { $_->{body} } @{several($n, map { { url => "$nginx/told?$_" } } 1 .. 20)}],
    [map { "GET /told?$_ 127.0.0.1:" . $o->port(0) . ' ' } 1 .. 20], 'twenty at once';
{
    # nobody is answered before all have asked: one after another, none would be
    my $dir = NginxAsync::Guard::temp_dir('asked');
    my $all = server(sub {
        my ($c) = @_;
        my ($who) = head_of($c) =~ m{/(\d+)};
        open my $file, '>', "$dir/$who" or die "$dir/$who: $!";
        close $file;
        my @asked;
        for (1 .. 2000) { @asked = glob "$dir/*"; last if @asked == 20; pause(0.01) }
        print $c "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", scalar @asked;
    });
    is_deeply [map { $_->{body} } @{several($n, map { { url => "http://$all/$_", read_timeout => 30_000 } }
        1 .. 20)}], [(20) x 20], '... of which none waits for another';
}

# ---- what nginx -t says

for (['async_fetch_max_body 0;', qr/must be greater than zero/],
    ['async_fetch_max_head 0;', qr/must be greater than zero/],
    ['async_fetch_max_body x;', qr/invalid value/],
    ['async_fetch_max_head 1x;', qr/invalid value/],
    ['async_fetch_max_body 9223372036854775807;', qr/is too large/],
    ['async_fetch_max_body 1k; async_fetch_max_body 1k;', qr/is duplicate/],
    ['async_fetch_max_head;', qr/invalid number of arguments/])
{
    my ($line, $says) = @$_;
    my $m = NginxAsync->new(conf => { http => $line }, allow => [qr/emerg/]);
    like scalar($m->conf_test), $says, "nginx -t: $line";
}

$n->stop;
$o->stop;

done_testing;
