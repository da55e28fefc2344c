#!/usr/bin/perl

# What a thread has of a request that has ended, whatever it came from; errors
# and responses that were there before a thread began; guards whose thread has
# the loop read the body; variables behind redirects.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Fcntl qw(O_RDWR O_NONBLOCK);
use JSON::PP qw(decode_json);
use POSIX ();
use Test::More;

use NginxAsync;
use NginxAsync::Conf;
use NginxAsync::Http2;

my $h2_listen = NginxAsync::Conf::http2_directive() ? '' : ' http2';
my $h2_on     = NginxAsync::Conf::http2_directive();

my $routes = join '', map { "async_route GET /$_ $_;\n" }
    qw(valid_async valid_thread valid_one_thread valid_together
       async_after_stream thread_after_stream together_after_stream);

my $places = <<"EOF_PLACES";
    location / {
        $routes
        async_route GET /form form_late;
        async_route POST /form form_late;
        async_route GET "/path/{name}" path_late;
        async_route GET "/leased/{name}" leased_late;
        async_route GET "/sleeps/{name}" sleeps_under;
        async_route POST /file file_late;
        async_route POST /together file_together;
    }
    location /guard/ { async_access guard_reads; proxy_pass http://127.0.0.1:\$TEST_NGINX_RAND_PORT_1; }
    location /behind/ { async_access guard_reads_behind; proxy_pass http://127.0.0.1:\$TEST_NGINX_RAND_PORT_1; }
    location /small/ {
        client_max_body_size 3;
        async_access guard_reads;
        proxy_pass http://127.0.0.1:\$TEST_NGINX_RAND_PORT_1;
    }
    location /guard-leased/ { async_access guard_leased; proxy_pass http://127.0.0.1:\$TEST_NGINX_RAND_PORT_1; }
    location /guard-form/ { async_access guard_form; proxy_pass http://127.0.0.1:\$TEST_NGINX_RAND_PORT_1; }
    location = /stub { access_log off; stub_status; }
    location = /a { async_set \$var var_a; try_files /nothing /b; }
    location = /b { async_set \$var var_b; error_page 404 = /c; try_files /nothing =404; }
    location = /c { async_set \$var var_a; add_header X-Var "\$var"; async_handler echo; }
EOF_PLACES

my $n = NginxAsync->new(conf => {
    main => 'thread_pool default threads=4;', http => <<"EOF_HTTP",
    async_app \$TEST_NGINX_APPS/depends-late.so;
    async_param marks \$TEST_NGINX_SERVER_ROOT/marks;
    async_param gate \$TEST_NGINX_SERVER_ROOT/gate;

    server {
        listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_1;
        location / { async_handler echo; }
    }
    server {
        listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_2$h2_listen; $h2_on
$places
    }
EOF_HTTP
    server => $places });

sub clear {
    $n->write_file('marks', '');
    chmod 0666, $n->root . '/marks';
}

clear();
$n->start;

sub marks { return $n->read_file('marks') }

sub marked {
    my ($pattern) = @_;

    my $found = $n->wait_until(sub { marks() =~ $pattern });
    diag marks() if !$found;

    return $found;
}

my $fifo = $n->root . '/gate';

sub close_gate {
    unlink $fifo;
    POSIX::mkfifo($fifo, 0666) or die "mkfifo: $!";
    chmod 0666, $fifo;
}

# It stays open for whoever comes while the returned handle lives.
sub open_gate {
    sysopen my $fh, $fifo, O_RDWR | O_NONBLOCK or die "gate: $!";
    return $fh;
}

sub is_idle {
    my ($title) = @_;

    my $text;
    my $idle = $n->wait_until(sub {
        $text = $n->get('/stub')->body;
        return $text =~ /Active connections: 1 .*Reading: 0 Writing: 1 Waiting: 0/s;
    });

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok $idle, $title or diag $text;
}

# a client that goes while a thread looks at what others have made

for (['a form without a body', 'GET', '/form', 'given before untitled'],
     ['an empty form', 'POST', '/form', 'given before untitled'],
     ['a path', 'GET', '/path/somebody', 'somebody somebody'])
{
    my ($what, $method, $uri, $seen) = @$_;

    clear();
    close_gate();

    my $c = $n->connect->send_request($method, $uri);

    ok marked(qr/at the gate/), "$what: a thread waits";
    $c->reset;
    ok $n->wait_until(sub { $n->access_log =~ m{"$method $uri [^"]*" 499} }),
        '... its client goes';

    my $open = open_gate();

    ok marked(qr/^\Q$seen\E$/m), '... and it has had all the same';
}

{
    my $body = "--xyz\r\nContent-Disposition: form-data; name=file; filename=f\r\n\r\n"
        . 'x' x 300_000 . "\r\n--xyz--\r\n";
    my @type = (headers => ['Content-Type', 'multipart/form-data; boundary=xyz']);

    clear();
    close_gate();

    my $c = $n->connect->send_request(POST => '/file', @type, body => $body);

    ok marked(qr/at the gate/), 'a file on disk: a thread waits';
    $c->reset;
    ok $n->wait_until(sub { $n->access_log =~ m{"POST /file [^"]*" 499} }),
        '... its client goes';

    {
        my $open = open_gate();
        ok marked(qr/^handler 300000 f$/m), '... and it reads all of it';
    }

    clear();
    close_gate();
    is $n->request(POST => '/together', @type, body => $body)->status, 418,
        'a file on disk: what runs beside its thread fails';

    {
        my $open = open_gate();
        ok marked(qr/^dependency 300000 f$/m), '... and it reads all of it';
    }

    ok $n->wait_until(sub {
        my $pid = $n->worker;
        !grep { (readlink($_) // '') =~ m{/client_body_temp/} } glob "/proc/$pid/fd/*";
    }), '... no file stays open';
}

# coroutines under a thread

{
    clear();

    my $c = $n->connect->send_request(GET => '/sleeps/one');

    ok marked(qr/left sleeps\nright sleeps/), 'coroutines under a thread';
    $c->reset;
    ok marked(qr/left one\nright one/), '... end with their client';
}

# guards whose client goes

{
    clear();
    close_gate();

    my $c = $n->connect->send_request(GET => '/guard-leased/');

    ok marked(qr/at the gate/), 'the thread of a guard';
    $c->reset;
    ok $n->wait_until(sub { $n->access_log =~ m{"GET /guard-leased/ [^"]*" 499} }),
        '... its client goes';
    unlike marks(), qr/torn down/, '... nothing is torn down';

    {
        my $open = open_gate();
        ok marked(qr/guard through\ntorn down/), '... before the thread is through';
    }

    clear();
    {
        my $open = open_gate();
        is_deeply decode_json($n->get('/guard-leased/')->body), ['leased', ''],
            '... that lets pass';
    }
    ok marked(qr/guard through\ntorn down/), '... is torn down when all is over';
}

# errors before

for my $uri (qw(valid_async valid_thread valid_one_thread valid_together)) {
    clear();

    my $r = $n->get("/$uri?n=x");

    is $r->status, 422, "$uri: async_valid() knows errors of before";
    is marks(), '', '... so that nothing else runs';
    is scalar @{decode_json($r->body)->{detail} || []}, 1, '... one error'
        if $r->status == 422;
    is $n->get("/$uri?n=1")->status, 200, '... and what is valid passes';
}

# a response that has begun

for my $uri (qw(async_after_stream thread_after_stream together_after_stream)) {
    my $r = $n->get("/$uri");

    is $r->status, 200, "$uri: a response has begun";
    is $r->body, 'begun', '... and stays as it is';
}

# guards

for my $place (qw(guard behind)) {
    for (['whole', 'text/plain', '"text"', '"text"'],
         ['piece', 'text/plain', 'text', 'text'],
         ['json', 'application/json', '{"name":"json"}', 'json'],
         ['form', 'application/x-www-form-urlencoded', 'name=form', 'form'])
    {
        my ($how, $type, $body, $read) = @$_;

        for my $late (0, 1) {
            my $c = $n->connect;

            $c->send("POST /$place/?how=$how HTTP/1.1\r\nHost: x\r\n"
                . "Content-Type: $type\r\nContent-Length: "
                . length($body) . "\r\n\r\n");
            is $n->get('/stub')->status, 200, '... later' if $late;
            $c->send($body);

            my $r = $c->response;

            is $r->status, 200, "/$place/: $how, late: $late";
            is_deeply eval { decode_json($r->body) }, [$read, $body],
                '... read by the guard, and by who is behind it';
            is $c->request(GET => '/stub')->status, 200,
                '... the connection lives on';
            $c->close;
        }
    }
}

is $n->request(POST => '/small/?how=whole', body => 'large')->status, 413,
    'A body that nginx refuses';

{
    my $c = $n->connect;

    $c->send("POST /guard/?how=whole HTTP/1.1\r\nHost: x\r\n"
        . "Content-Length: 9\r\n\r\nabc");
    is $n->get('/stub')->status, 200, 'A client goes amid its body';
    $c->reset;
    is_idle('... and nothing is left');
}

for my $body ('title=one', '') {
    my $r = $n->request(POST => '/guard-form/', body => $body,
        headers => ['Content-Type', 'application/x-www-form-urlencoded']);

    is $r->status, 200, "a guard with a form: '$body'";
    is_deeply eval { decode_json($r->body) },
        [$body ? 'one' : 'untitled', $body], '... leaves the body';
}

# variables

is $n->get('/a')->header('X-Var'), 'a', 'Back at a variable that was given before';

# over HTTP/2

{
    my $c = $n->connect(port => $n->port(2));
    my $h = NginxAsync::Http2->new($c);

    for my $place (qw(guard behind)) {
        my $id = $h->request('POST', "/$place/?how=whole", end => 0);

        $h->data($id, 'some ');
        $h->data($id, 'more', 1);
        is_deeply eval { decode_json($h->response($id)->body) },
            ['some more', 'some more'], "HTTP/2: /$place/, a body";
    }

    clear();
    close_gate();

    my $id = $h->request('GET', '/path/two');

    ok marked(qr/at the gate/), 'HTTP/2: a thread waits';
    $h->reset($id);
    is $h->response($h->request('GET', '/valid_thread?n=1'))->body, 'ran',
        '... its client goes, others stay';

    my $open = open_gate();

    ok marked(qr/^two two$/m), '... and it has had all the same';
    $c->close;
}

is_idle('nothing is left');

# the end of a worker

{
    clear();
    close_gate();

    my $c = $n->connect->send_request(GET => '/leased/last');

    ok marked(qr/at the gate/), 'a thread waits';
    $c->reset;
    ok $n->wait_until(sub { $n->access_log =~ m{"GET /leased/last [^"]*" 499} }),
        '... its client goes';
    is $n->reload, undef, '... then the worker is to';

    my $open = open_gate();

    ok marked(qr/^last through\ntorn down$/m), '... after the teardowns';
}

$n->stop;

done_testing;
