#!/usr/bin/perl

# await_subrequest(): locations of this server, asked without a connection.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Test::More;

use NginxAsync;
use NginxAsync::Http2;
use NginxAsync::Subrequests;
use NginxAsync::Say qw(says said gone json);

use constant { TIMEOUT => -2, CANCELLED => -3, CLOSED => -4 };

my @json = (headers => ['Content-Type', 'application/json']);
my $n    = subrequests();

# ---- what answers

{
    my $r = asks('/small.txt');
    is $r->{rc}, 0, 'a file';
    is $r->{body}, 'small', '... with its body';
    is $r->{status}, 200, '... status';
    is $r->{url}, '/small.txt', '... URL';
    is $r->{headers}{'Content-Type'}, 'text/plain', '... type';
    is $r->{headers}{'Content-Length'}, 5, '... length';
    like $r->{headers}{'Last-Modified'}, qr/GMT$/, '... and date';
    like $r->{headers}{ETag}, qr/^"/, '... and tag';
    is $r->{headers}{Server}, undef, '... not what is of the server';

    is copied('/small-buffers'), letters(2_000_000), '... in small buffers';
    is copied('/threads'), letters(10_000_000), '... read by threads';
    is asks('/empty.txt')->{body}, '', 'an empty file';
    is length copied('/big.txt'), 2_000_000, 'a large file';
    is copied('/big.txt'), letters(2_000_000), '... as it is';
}

{
    my $r = asks('/nap?tag=me');
    is $r->{body}, "nap me\n", 'a handler';
    is $r->{headers}{'X-Tag'}, 'me', '... with its header';
    like $r->{headers}{'Set-Cookie'}, qr/^seen=me;/, '... and cookie';
    is $r->{headers}{'Content-Type'}, 'text/plain; charset=utf-8', '... and type';
    is asks('/nap?ms=0')->{body}, "nap -\n", 'one that does not suspend for long';
    is asks('/block?ms=5')->{body}, "blocking\n", 'a blocking handler';
    is $n->get('/block?uri=/nap?tag=b')->body, "nap b\n", '... that asks, by async_call()';
    is asks('/pieces?n=9&size=10000')->{body}, letters(90_000), 'one that streams';
}

{
    my $r = asks('/to/nap?tag=far');
    is $r->{body}, "nap far\n", 'a proxy';
    is $r->{headers}{'X-Tag'}, 'far', '... with the header';
    is copied('/to/big.txt'), letters(2_000_000), '... a large answer';
    is asks('/to/pieces?n=9&size=10000')->{body}, letters(90_000), '... a chunked one';
    is copied('/cached/big.txt'), letters(2_000_000), 'a cache is filled';
    is asks('/cached/big.txt', max => 3_000_000)->{headers}{'X-Cache'}, undef,
        'fields of add_header are not for subrequests';
    is copied('/cached/big.txt'), letters(2_000_000), '... and asked';
    asks('/to/nap') for 1 .. 5;
    my %ports = map { $_ => 1 } $n->read_file('logs/back.log') =~ /^(\d+) \/nap\b/mg;
    cmp_ok scalar keys %ports, '<', 5, 'connections to the backend are kept';
}

is asks('/missing')->{status}, 404, 'a missing file';
like asks('/missing')->{body}, qr/404 Not Found/, '... with the page of nginx';
is asks('/paged')->{body}, "nap page\n", 'an error_page';
is asks('/paged')->{status}, 404, '... with its status';
is asks('/redirect')->{status}, 301, 'return 301';
like asks('/redirect')->{headers}{Location}, qr{/elsewhere$}, '... with its Location';
is asks('/dead')->{status}, 502, 'a dead upstream';
is asks('/named')->{body}, "nap named\n", 'try_files to a named location';
is asks('/inside')->{body}, 'inside', 'an internal location';
is asks('/guarded')->{body}, 'guarded', 'access rules are not looked at';
is $n->get('/guarded')->status, 403, '... but for clients';
is asks('/nap?status=404&tag=t')->{body}, '{"detail":"t"}', 'a handler that fails';
is asks('/nap?status=204')->{status}, 204, 'a 204';
is asks('/nap?status=204')->{body}, '', '... has no body';
is asks('/nothing')->{status}, 204, 'return 204';
is asks('/written', method => 'HEAD')->{status}, 200, 'return 200';
is asks('/written')->{body}, 'written', '... with text';
is_deeply [@{ asks('/close') }{qw(rc cause)}], [CLOSED, 7], 'return 444 is a connection that is closed';
is_deeply [@{ asks('/late') }{qw(rc cause)}], [CLOSED, 7], '... and so is 408';

for my $uri ('/big.txt', '/nap', '/to/nap', '/to/big.txt', '/pieces', '/to/pieces') {
    my $r = asks($uri, method => 'HEAD');
    is "$r->{status} $r->{body}", '200 ', "HEAD $uri";
}

is asks('/big.txt', method => 'HEAD')->{headers}{'Content-Length'}, 2_000_000, '... has the length';

# ---- what it is asked with

{
    my $r = mirrored('/mirror?b=1', query => ['q', "a&b=c d/\xc3\xa4", 'none', undef, 'r', '']);
    is $r->{method}, 'GET', 'GET is the default';
    is $r->{uri}, '/mirror', '... the path';
    is $r->{args}, 'b=1&q=a%26b%3Dc%20d%2F%C3%83%C2%A4&r=', '... the query, encoded and appended'
        or diag $r->{args};
    is mirrored('/mirror', query => ['q', '1'])->{args}, 'q=1', '... or begun';
    is asks('/mirror', query => ['q', '1'])->{url}, '/mirror?q=1', '... is in the URL';
    is mirrored('/mirr%6fr?x=%41')->{args}, 'x=%41', 'a path is decoded, not a query';
    is mirrored('/mirror?x#frag')->{args}, 'x', 'a fragment is not sent';

    for my $to ('', '/to') {
        $r = mirrored("$to/mirror", body => 'some text');
        is "$r->{method} $r->{body}", 'POST some text', "a body $to";
        is $r->{headers}{'Content-Length'}, 9, '... has a length';
        $r = mirrored("$to/mirror", method => 'PUT', json => { a => [1, 2] });
        is "$r->{method} $r->{body}", 'PUT {"a":[1,2]}', "JSON $to";
        is $r->{headers}{'Content-Type'}, 'application/json', '... has a type';
        $r = mirrored("$to/mirror", body => '{}', headers => ['Content-Type', 'text/x']);
        is $r->{headers}{'Content-Type'}, 'text/x', '... that can be set';
        $r = mirrored("$to/mirror", body => '');
        is "$r->{method}$r->{body}", 'POST', "an empty body $to";
        is $r->{headers}{'Content-Length'}, 0, '... has a length';
        $r = mirrored("$to/mirror");
        is $r->{body}, '', "none $to: not that of the client";
        is $r->{headers}{'Content-Type'}, undef, '... nor its type';
        is $r->{headers}{'Content-Length'}, undef, '... nor its length';
        is mirrored("$to/mirror", method => 'BREW')->{method}, 'BREW', "any method $to";
    }

    my @client = ('X-One' => '1', 'Cookie' => 'a=cookie', 'Range' => 'bytes=0-1',
        'If-None-Match' => '"x"', 'Accept-Encoding' => 'gzip', 'Accept' => 'text/x',
        'X-Forwarded-For' => '10.0.0.1', 'Authorization' => 'Basic YTpi');
    $r = mirrored('/mirror', client => \@client);
    is $r->{headers}{'X-One'}, 1, 'fields of the client';
    is $r->{cookie}, 'cookie', '... its cookies';
    is $r->{headers}{Accept}, 'text/x', '... what it accepts';
    is $r->{headers}{$_}, undef, "... not $_" for qw(Range If-None-Match Accept-Encoding);
    $r = mirrored('/mirror', client => \@client, headers => ['x-one', undef, 'Cookie', 'a=mine',
        'X-New', 'a', 'Host', 'Other.Example:80']);
    is $r->{headers}{'X-One'}, undef, 'a field that is left out';
    is $r->{cookie}, 'mine', '... replaced';
    is $r->{headers}{'X-New'}, 'a', '... added';
    is $r->{host}, 'other.example', '... Host is $host';
    $r = mirrored('/to/mirror', client => \@client, headers => ['x-one', undef, 'X-New', 'a']);
    is $r->{headers}{'X-One'}, undef, 'left out for a proxy, too';
    is $r->{headers}{'X-New'}, 'a', '... and added';
    is $r->{headers}{Accept}, 'text/x', '... and kept';
    is $r->{headers}{'X-Seen-For'}, '10.0.0.1, 127.0.0.1', '... where nginx looks for it';
    is asks('/small.txt', client => \@client)->{body}, 'small', 'no range, no 304';
}

{
    like asks('/mirror', %{ $_->[0] })->{error}, $_->[1], "refused: $_->[1]" for
        [{ flags => 2 }, qr/DECODE/], [{ source => 1 }, qr/source/], [{ redirects => 1 }, qr/redirects/],
        [{ proxy => 'http://x' }, qr/proxy/], [{ tls_name => 'x' }, qr/tls_name/],
        [{ read => 1 }, qr/timeouts/], [{ flags => 64 }, qr/flags/],
        [{ headers => ['TE', 'x'] }, qr/not to be set/];
    is asks('/mirror', flags => 2)->{cause}, 1, '... as a wrong request';
    is_deeply [@{ asks($_) }{qw(rc cause)}], [-1, 2], "no URI: $_" for
        'nap', '', "/a b", "/a\nb", "/a\x7f", '/../x', '/a/../../x', '/%2e%2e/x', '/x%00';
}

# ---- limits and failures

{
    is_deeply [@{ asks('/big.txt', max => 1_999_999) }{qw(rc cause)}], [-1, 10], 'one byte too large';
    is length $n->get('/copy?uri=/big.txt&max=2000000')->body, 2_000_000, '... just so large';
    is_deeply [@{ asks("$_/pieces?n=300&size=10000") }{qw(rc cause)}], [-1, 10],
        "$_: a megabyte is the bound" for '', '/to';
    is_deeply [@{ asks('/to/big.txt') }{qw(rc cause)}], [-1, 10], '... of a proxy';
    is_deeply [@{ asks('/slow') }{qw(rc cause)}], [-1, 10], '... of a file';
    is_deeply [@{ asks('/pieces?n=3&fail=2') }{qw(rc cause)}], [CLOSED, 7], 'a handler that breaks off';
    is_deeply [@{ asks('/to/pieces?n=3&fail=2') }{qw(rc cause)}], [CLOSED, 7], 'an upstream that breaks off';
    is_deeply [@{ asks('/cached/pieces?n=3&fail=2') }{qw(rc cause)}], [CLOSED, 7], '... one with a cache';
    is $n->get('/deep?n=3')->body, 'deep', 'nested three deep';
    is $n->get('/deep?n=40')->body, 'deep', '... forty';
    is $n->get('/deep')->body, 'the end', '... for ever';
    ok says($n, qr{deep -1: /deep\S+ subrequests are nested too deeply}), '... is refused';
}

# ---- several

{
    my $three = [[0, 3, "nap a\n"], [0, 2, "nap b\n"], [0, 1, "nap c\n"]];
    is_deeply json($n->get('/three')), $three, 'three that end in reverse';
    is_deeply json($n->http2('/three', port => $n->port(1))), $three, '... over HTTP/2';
    is $n->get('/ssi.html')->body, '<nap one|small|nap two>' =~ s/nap (\w+)/nap $1\n/gr, 'from includes of SSI';
    is $n->get('/allowed')->body, 'allowed', 'from auth_request';
    is $n->get('/denied')->status, 403, '... that denies';
    is json($n->get('/many?n=300&uri=/nap?ms=0'))->{sum}, 300 * 6, 'many';
    is json($n->get('/flood?n=100&uri=/nap')), 100, 'a hundred at once';
    is json($n->get('/flood?n=300&uri=/nap')), 100, '... no more';
    is json($n->get('/flood?n=100&uri=/locked/nap?ms=50')), 100, '... that wait for a cache';

    # each of them blocks the request, which nginx counts in eight bits
    for my $more (255 .. 257) {
        my $c = $n->connect->send_request('GET', "/flood?n=$more&uri=/locked/nap?ms=400%26tag=$more");
        select undef, undef, undef, 0.2;
        $c->reset;
        is_idle($n, "... $more, and a client that leaves");
    }

    $n->get('/many?n=5&uri=/big3.txt');
    my $before = $n->memory_of_worker;
    is json($n->get('/many?n=100&uri=/big3.txt'))->{sum}, 100 * 900_000, 'many large ones';
    my $grown = ($n->memory_of_worker - $before) / 1024;
    SKIP: {
        skip 'ASan and valgrind keep what has been freed', 1
            if NginxAsync::Env::asan() || NginxAsync::Env::valgrind();
        cmp_ok $grown, '<', 16_000, "... whose memory is given back: $grown kB";
    }
}

# ---- the main request stays as it is

{
    is $n->get('/own?uri=/nap?tag=y')->body, "nap y\n", 'a location that sets a variable';
    ok $n->wait_until(sub { $n->read_file('logs/seen.log') =~ m{^/own\?uri=/nap\?tag=y 200 main$}m }),
        '... sets its own';
    $n->get('/logged?uri=/sub-logged');
    ok $n->wait_until(sub { $n->read_file('logs/seen.log') =~ m{^/logged\S+ 200 main$}m }), 'one line for the client';
    is scalar(() = $n->read_file('logs/seen.log') =~ m{^/logged}mg), 1, '... and none for the subrequest';
    is $n->read_file('logs/sub.log'), "/sub-logged 200 sub\n", '... but where log_subrequest is on';
}

# ---- given up

for my $uri ('/nap?ms=60000&tag=up', '/to/nap?ms=60000&tag=up', '/block?ms=300', '/slow-start',
    '/delayed', '/to/pieces?n=1000&ms=10', '/pieces?n=1000&ms=10', '/deep-nap', '/unwanted-nap')
{
    my $c = $n->connect;
    my $r = json($c->request('POST', '/ask', @json, body => order($uri, timeout => 10)));
    is_deeply [@$r{qw(rc cause)}], [TIMEOUT, 8], "timeout of $uri";
    is $c->request('GET', '/nap?ms=0')->body, "nap -\n", '... the next request';
    $c->send_request('POST', '/ask', @json, body => order($uri, deadline => 10));
    $c->send_request('GET', '/small.txt');
    is json($c->response)->{rc}, TIMEOUT, '... a deadline';
    is $c->response->body, 'small', '... and what was pipelined';
    $c->close;
    my $escaped = $uri =~ s/&/%26/gr;
    is json($n->get("/unwanted?uri=$escaped"))->{rc}, CANCELLED, '... a cancel';
    $c = $n->connect;
    $c->send_request('GET', "/copy?uri=$escaped");
    select undef, undef, undef, 0.03;
    $c->reset;
    is_idle($n, '... a client that leaves, and nothing is left');
}

ok says($n, 'nap up -3'), 'the handler has been cancelled';

for my $uri ('/delayed-proxy', '/delayed-page') {
    is asks($uri, timeout => 10)->{rc}, TIMEOUT, "timeout of $uri" for 1 .. 2;
    is_idle($n, '... which begins when nobody waits for it');
}

{
    my $since = $n->mark;
    $n->get('/short?uri=/nap?ms=60000%26tag=s');
    ok says($n, 'nap s -3', $since), 'async_timeout ends it, too';
    $since = $n->mark;
    my $c = $n->connect->send_request('GET', '/defers');
    select undef, undef, undef, 0.05;
    $c->reset;
    ok says($n, 'late -4', $since), 'one that begins when the client has gone';
    is $n->get('/after')->body, "after\n", 'a background task';
    ok says($n, qr/afterwards -1: subrequests are for[^>]*/, $since), '... has none';
    my ($h) = (NginxAsync::Http2->new($c = $n->connect(port => $n->port(1))));
    my @ids = map { $h->request('GET', '/copy?uri=/nap?ms=60000%26tag=h2') } 1 .. 5;
    $since = $n->mark;
    select undef, undef, undef, 0.05;
    $h->reset($_) for @ids;
    ok $n->wait_until(sub { (() = $n->log($since) =~ /<nap h2 -3>/g) == 5 }), 'streams of HTTP/2 that are reset';
    $c->close;
    is_idle($n, '... leave nothing');
}

# ---- in pieces

for my $uri ('/big10.txt', '/threads', '/to/big10.txt', '/cached/big10.txt', '/pieces?n=1000%26size=10000', '/to/pieces?n=1000%26size=10000') {
    my $whole = letters(10_000_000);
    ok $n->get("/pass?uri=$uri")->body eq $whole, "$uri in pieces";
    ok $n->get("/pass?uri=$uri&size=777777")->body eq $whole, '... larger ones';
    ok $n->http2("/pass?uri=$uri", port => $n->port(1))->body eq $whole, '... over HTTP/2';
    ok $n->get("/limited/pass?uri=$uri")->body eq $whole, '... with limit_rate';
    my $c = $n->connect(rcvbuf => 4096)->send_request('GET', "/pass?uri=$uri");
    $c->read_until(qr/\r\n\r\n/);
    my $before = $n->memory_of_worker;
    select undef, undef, undef, 0.3;
    my $grown = ($n->memory_of_worker - $before) / 1024;
    SKIP: {
        skip 'ASan keeps what has been freed', 1 if NginxAsync::Env::asan();
        cmp_ok $grown, '<', 2000, "... a client that does not read: $grown kB";
    }
    $c->reset;
    is_idle($n, '... and leaves');
    $c = $n->connect;
    is_deeply json($c->request('POST', '/cut', @json, body => order($uri =~ s/%26/&/r))), { rc => 0, after => -1 }, '... closed amid';
    is_deeply json($c->request('POST', '/cut', @json, body => order($uri =~ s/%26/&/r, size => 10, deadline => 1))), { n => 10 },
        '... or left to the end';
    is $c->request('GET', '/nap?ms=0')->body, "nap -\n", '... and the next request';
    $c->close;
    is_idle($n, '... nothing is left');
}

is json($n->get("/shared?uri=$_"))->{rc}, CLOSED, "closed while a child reads: $_"
    for '/pieces?n=1000%26ms=1000', '/to/pieces?n=1000%26ms=1000';

{
    my $since = $n->mark;
    $n->get('/pass?uri=/to/pieces?n=3%26fail=2');
    ok says($n, qr/pass -4 7 .*broken off/, $since), 'an upstream that breaks off';
    is $n->get('/pass?uri=/small.txt&size=1')->body, 'small', 'byte by byte';
    is $n->get('/pass?uri=/empty.txt')->body, '', 'an empty one';
    is $n->get('/pass?uri=/missing')->status, 404, 'a 404';
    is $n->get('/patient/pass?uri=/big3.txt&ms=150&size=100000')->body, letters(900_000),
        'a reader that is slower than send_timeout';
    is $n->get('/patient/pass?uri=/to/mid.txt&ms=150&size=100000')->body, letters(30_000), '... of a proxy';
    is_deeply [@{ asks('/mirror', flags => 1) }{qw(rc body)}], [0, ''], 'none of it is held';
}

# ---- at random

{
    srand 7;

    for (1 .. 200) {
        my $c = $n->connect->send_request('GET', "/storm?n=5&seed=$_");
        select undef, undef, undef, rand 0.04;
        $c->reset;
    }

    is_idle($n, 'clients that leave within 1,000 subrequests');

    for (1 .. 60) {
        my $c = $n->connect;
        is $c->request('GET', '/storm?n=30&seed=' . ($_ + 1000))->body, "storm\n", 'a storm' if $_ % 3 == 0;
        $c->request('GET', '/storm?n=30&seed=' . ($_ + 1000)) if $_ % 3;
        $c->close;
    }

    is_idle($n, '... and 1,800 with timeouts');
    is NginxAsync::run('h2load', '-n', 60, '-c', 3, '-m', 10, 'http://127.0.0.1:' . $n->port(1)
        . '/storm?n=20&seed=1') =~ /60 succeeded/, 1, '... over HTTP/2';
    is_idle($n, '... nothing is left');
}

# ---- the end

{
    my $c = $n->connect->send_request('GET', '/copy?uri=/nap?ms=500%26tag=reload');
    my $d = $n->connect->send_request('GET', '/pass?uri=/to/pieces?n=50%26ms=10%26size=3');
    $d->read_until(qr/\r\n\r\n/);
    is $n->reload, undef, 'a reload';
    is $c->response->body, "nap reload\n", '... lets it end';
    like $d->read_until(qr/\r\n0\r\n\r\n/), qr/\r\n0/, '... in pieces, too';
    my $sockets = sub { return scalar grep { /^socket:/ } $n->open_fds };
    my $idle = $sockets->();
    $c = $n->connect->send_request('GET', '/copy?uri=/to/nap?ms=500%26tag=quit');
    $n->wait_until(sub { $sockets->() >= $idle + 3 });   # the client's, and both ends of the proxy's
    $n->signal('QUIT');
    is $c->response->body, "nap quit\n", 'QUIT as well';
    ok gone($n), '... and nginx goes';
}

$n->stop;

done_testing;
