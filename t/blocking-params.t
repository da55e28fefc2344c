#!/usr/bin/perl

# What blocking handlers read, answer and log, in their threads; and how
# nginx.conf names them and their pools.  The tests of parameters, input, JSON,
# responses and files run once more here, with the very sources of their apps,
# whose handlers are made blocking ones.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::INET;
use Test::More;

use NginxAsync;
use NginxAsync::Conf;
use NginxAsync::Http2;

my $root = $NginxAsync::Env::Root;
my $dir  = NginxAsync::Guard::temp_dir('blocking');

my ($h2_listen, $h2_on) = NginxAsync::Conf::http2_directive()
    ? ('', 'http2 on;') : (' http2', '');

my $handlers = join '', map { "location = /$_ { async_handler $_; }\n" }
    qw(hello echo body_of_async large lines levels);

# lines of threads are to go elsewhere, too
my $syslog = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Proto => 'udp')
    or die "udp: $@";
my $syslog_port = $syslog->sockport;

my $n = NginxAsync->new(conf => {
    main   => 'thread_pool default threads=4;',
    http   => <<"EOF_CONF",
    async_app \$TEST_NGINX_APPS/blocking.so;
    async_param marker \$TEST_NGINX_SERVER_ROOT/marker;
    client_body_buffer_size 16k;
    log_format seen '\$uri \$seen';
    server {
        listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_1$h2_listen;
        $h2_on
$handlers
    }
    server {
        listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_2;
        error_log \$TEST_NGINX_SERVER_ROOT/logs/warn.log warn;
        location = /levels { async_handler levels; }
    }
    server {
        listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_3;
        error_log syslog:server=127.0.0.1:$syslog_port,tag=threads info;
        location = /lines { async_handler lines; }
    }
EOF_CONF
    server => <<"EOF_CONF" });
    location /same {
        async_param key value;
        async_route GET "/same/async/{id}" same_async;
        async_route GET "/same/blocking/{id}" same_blocking;
    }
    location = /short { async_timeout 300ms; async_handler echo; }
    location = /ten   { client_max_body_size 10; async_handler echo; }
    location = /seen  {
        set \$seen "-";
        add_header X-Seen \$seen;
        access_log \$TEST_NGINX_SERVER_ROOT/logs/seen.log seen;
        async_handler set_variable;
    }
$handlers
EOF_CONF

$n->write_file('marker', '');
chmod 0666, $n->root . '/marker';
$n->start;

# ---- one keyword

sub without_date {
    my ($r) = @_;

    return join "\n", map { "@$_" } grep { $_->[0] ne 'Date' } $r->header_list;
}


subtest 'One keyword switches the kind of a handler' => sub {
    my @headers = (headers => ['X-FOO' => 'bar', Cookie => 'b=2; a="1"']);

    for my $uri ('7?n=201', '7?n=404&n=405&m=a%20b', 'x?n=y', 'x', '7?n=99') {
        my @r = map { $n->get("/same/$_/$uri", @headers) } qw(async blocking);

        is $r[1]->status, $r[0]->status, "$uri has one status: "
            . $r[0]->status;
        is without_date($r[1]), without_date($r[0]), '... the same headers';
        is $r[1]->body, $r[0]->body, '... the same body';
    }

    my ($source, $so) = map { "$dir/awaits.$_" } qw(c so);

    NginxAsync::Env::spew($source, <<'EOF_C');
#include <ngx_async.h>
BLOCKING_HANDLER(awaits) { return await_sleep(co, 1); }
EOF_C

    my $out = NginxAsync::run("$root/util/async-cc", $source, '-o', $so);

    isnt $?, 0, 'A blocking handler that awaits does not compile';
    like $out, qr/\bco\b.*undeclared|undeclared.*\bco\b/,
        '... since it has no "co"';
};


# The keyword, and what stands for an await in a thread.
my $as_blocking = "$dir/as_blocking.h";

NginxAsync::Env::spew($as_blocking, <<'EOF_C');
#include <ngx_async.h>
#include <unistd.h>

#undef ASYNC_HANDLER
#undef await_json
#undef await_body
#undef await_sleep

#define ASYNC_HANDLER  BLOCKING_HANDLER

#define await_json(co, req, value)  async_body_json(req, value)
#define await_body(co, req, body)   async_body(req, body)
#define await_sleep(co, ms)         as_blocking_sleep(req, ms)
#define async_error(co)             async_req_error(req)

static inline async_rc_t
as_blocking_sleep(async_req_t *req, int64_t ms)
{
    for ( ; ms > 0; ms--) {
        if (async_cancelled(req)) {
            return ASYNC_CANCELLED;
        }

        usleep(1000);
    }

    return ASYNC_OK;
}
EOF_C

# The test of this name holds, in so many places at least.
sub holds {
    my ($name, $least) = @_;

    local $ENV{ASAN} = NginxAsync::Env::asan() ? 1 : '';
    local $ENV{TEST_NGINX_APPS} = $dir;

    my $out = NginxAsync::run("$root/util/async-cc", '-include', $as_blocking,
        "$root/t/apps/$name.c", '-o', "$dir/$name.so");

    is $?, 0, "The handlers of t/$name.t can be blocking ones" or diag $out;
    chmod 0755, "$dir/$name.so";

    $out = NginxAsync::run($^X, "-I$root/t/lib", "$root/t/$name.t");

    is $?, 0, '... for which it holds, too'
        or diag join "\n", $out =~ /^(?:not ok|#|nginx:).*/mg;

    my $passed = () = $out =~ /^ok /mg;
    cmp_ok $passed, '>=', $least, "... in $passed places";
}


subtest 'Parameters of path and query are those of an async handler' =>
    sub { holds 'param', 100 };

subtest 'So is the rest of the request' => sub { holds 'input', 50 };

subtest 'So is JSON, in and out' => sub { holds 'json', 10 };

subtest 'So are responses' => sub { holds 'response', 10 };

subtest 'So are files' => sub { holds 'file', 8 };


# ---- bodies and responses

subtest 'The body is there when the thread begins' => sub {
    for my $size (0, 5, 16384, 16385, 1_000_000) {
        my $body = 'ab' x ($size / 2) . 'c' x ($size % 2);

        for my $r ($n->post('/echo', $body),
            $n->post('/echo', undef, chunks => [unpack '(a50000)*', $body]),
            $n->http2('/echo', body => $body, method => 'POST',
                port => $n->port(1)))
        {
            ok $r->status == 200 && $r->body eq $body
                && $r->header('X-Length') == $size
                && $r->header('X-End') eq 'zero', "... all of $size bytes";
        }

        my $h = NginxAsync::Http2->new($n->connect(port => $n->port(1)));
        my $id = $h->request('POST', '/echo', end => 0);
        my $sent = substr $body, 0, 60000;

        $h->data($id, $_, 0) for unpack '(a16384)*', $sent;
        $h->data($id, '', 1);
        is $h->response($id)->body, $sent, '... over HTTP/2 without a length';
    }

    is $n->get('/echo')->header('X-Length'), 0, 'No body is an empty one';
    is $n->http2('/echo', port => $n->port(1))->header('X-Length'), 0,
        '... over HTTP/2, too';
    is $n->post('/body_of_async', 'body')->body, 'as told',
        'async_body() of an async handler gives what has been read';

    my $c = $n->connect;

    $c->send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n"
        . "Expect: 100-continue\r\n\r\n");
    like $c->read_until(qr/\r\n\r\n/), qr{^HTTP/1.1 100 }, 'It is asked for';
    $c->send("bodyGET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    is $c->response->body, 'body', '... and comes';
    is $c->response->body, "hello\n", '... and the next request after it';
};


subtest 'A body that does not come keeps the handler from running' => sub {
    is $n->post('/ten?tag=ten', 'x' x 11)->status, 413, 'Too large is 413';
    is $n->post('/ten?tag=ten', undef, chunks => ['x' x 6, 'x' x 6])->status,
        413, '... also if that shows later';

    my $head = "Host: x\r\nContent-Length: 9\r\n\r\nhalf";
    my $c = $n->connect->send("POST /short?tag=ten HTTP/1.1\r\n$head");

    is $c->response->status, 504, 'A deadline ends the wait for it';
    is $n->connect->send("POST /echo?tag=ten HTTP/1.1\r\n$head")
        ->half_close->read_all, '', 'A client that leaves is not answered';
    is $n->read_file('marker'), '', 'No handler has run';
};


subtest 'What a thread answers is sent as that of the loop' => sub {
    is $n->get('/large')->body, 'x' x 1024 ** 2, 'A megabyte';
    is $n->head('/large')->header('Content-Length'), 1024 ** 2, '... for HEAD';
    is $n->http2('/large', port => $n->port(1))->body, 'x' x 1024 ** 2,
        '... over HTTP/2';

    my $c = $n->connect(rcvbuf => 4096)
        ->send_request('GET', '/large?tag=cut');
    $c->read(100);
    $c->reset;
    ok $n->wait_until(sub { $n->access_log =~ /tag=cut HTTP\S+ 200 / }),
        'A client may leave within it';

    my $r = $n->get('/seen');
    is $r->header('X-Seen'), 'by a thread', 'A variable set is in add_header';
    ok $n->wait_until(sub { eval { $n->read_file('logs/seen.log')
        eq "/seen by a thread\n" } }), '... and in the access log';
    is $r->body, 'there is no variable "none_such"', '... unlike an unknown one';
};


# ---- logs

# All lines of a tag are there, in their order, with what nginx adds.
sub has_lines {
    my ($log, $tag, $count, $title) = @_;

    my @lines = $log =~ /\*\d+ \Q$tag\E: line (\d+) of $count, client: 127\.0\.0\.1, server: [^,]*, request: "GET \/lines/g;

    is scalar @lines, $count, $title;
    is scalar(grep { $lines[$_] != $_ + 1 } 0 .. $#lines), 0,
        '... in their order';
}


subtest 'Lines of threads are lines of their requests' => sub {
    my $mark = $n->mark;

    is $n->get('/lines?tag=long&n=10000')->body, "logged long\n",
        'A thread may log more than the loop has room for';
    has_lines $n->log($mark), 'long', 10_000, 'All are there with the answer';

    my @c = map { $n->connect->send_request('GET', "/lines?tag=t$_&n=2000") }
        1 .. 4;
    is $_->response->status, 200, 'Four threads log at once' for @c;
    has_lines $n->log($mark), "t$_", 2000, "All of thread $_" for 1 .. 4;

    is $n->get('/levels?tag=x')->status, 200, 'Levels';
    is join(' ', $n->log($mark) =~ /\[(\w+)\] .*\*\d+ level \d\\x0Aof\\x09\\x7F\xc3\xa9 x, client/g),
        'error warn notice info', '... are those of error_log, on one line';
    is $n->get('/levels?tag=x', port => $n->port(2))->status, 200, '...';
    is join(' ', $n->read_file('logs/warn.log') =~ /\[(\w+)\] .* level /g),
        'error warn', '... of the location';
};


subtest 'Lines of threads go to syslog' => sub {
    my ($log, $some) = ('', '');
    my @c = map { $n->connect(port => $n->port(3))
        ->send_request('GET', "/lines?tag=s$_&n=40") } 1 .. 2;

    $n->wait_until(sub {
        $log .= "$some\n" while defined $syslog->recv($some, 65536, 64);
        return 80 == (() = $log =~ /threads: .* line \d+ of 40/g);
    });

    is $_->response->status, 200, 'Two threads log at once' for @c;
    has_lines $log, "s$_", 40, "All of thread $_" for 1 .. 2;
};

$n->stop;

# ---- names

my $c = NginxAsync->new(allow => '[emerg]');

my $app = $c->build_app(<<'EOF_C', 'kinds');
#include <ngx_async.h>
BLOCKING_HANDLER(blocks)  { return async_text(req, 200, "blocks"); }
ASYNC_STARTUP(starts)  { return ASYNC_OK; }
ASYNC_SHUTDOWN(shuts)  { return ASYNC_OK; }
ASYNC_TASK(job)  { return ASYNC_OK; }
EOF_C

# Parts of a configuration; each text is refused at the line with "# here".
sub refused {
    my ($title, $patterns, %parts) = @_;

    my ($status, $out) = $c->conf_test({ http => "async_app $app;", %parts });
    my @lines = split /\n/, $c->read_file('conf/test.conf');
    my ($line) = grep { $lines[$_ - 1] =~ /# here/ } 1 .. @lines;

    subtest $title => sub {
        is $status, 1, 'It is refused';
        like $out, qr{\[emerg\] .*$_ (?:in )?\Q$c->{root}\E/conf/test\.conf:$line$}m,
            'The message says why and where' for @$patterns;
    };
}


sub accepted {
    my ($title, %parts) = @_;

    my ($status, $out) = $c->conf_test({ http => "async_app $app;", %parts });

    is $status, 0, $title or diag $out;
}

my $pool = 'thread_pool small threads=1;';

accepted 'A blocking handler is a handler',
    server => "location / { async_route GET / blocks; }\n"
        . 'location = /one { async_handler kinds:blocks; }';

for my $directive ('async_route GET /', 'async_handler') {
    my ($name) = split ' ', $directive;

    refused "$name takes no $$_[0]", [qr/"$name" takes a handler, but "kinds:$$_[1]" is a $$_[0]/],
        server => "location / {\n$directive $$_[1];  # here\n}"
        for ['startup', 'starts'], ['shutdown', 'shuts'],
        ['task', 'job'];

    refused "A misspelt one of $name is told", [qr/no app has a handler "block", did you mean "blocks"\?/],
        server => "location / {\n$directive block;  # here\n}";
}

accepted 'A pool may be made above http', main => $pool,
    server => 'async_thread_pool small;';
accepted '... or below', after => $pool, server => 'async_thread_pool small;';
accepted '"default" is there without being made',
    server => 'async_thread_pool default;';

for my $where (qw(main after)) {
    refused "A misspelt pool is told, made in $where",
        [qr/unknown thread pool "smal"/,
            qr/there is no thread pool "smal", did you mean "small"\?/],
        $where => $pool, server => "\nasync_thread_pool smal;  # here\n";
}

refused 'A pool like no other is told how to be made',
    [qr/there is no thread pool "unlike": make one above "http", as in "thread_pool unlike threads=32;", for/],
    server => "location / {\nasync_thread_pool unlike;  # here\n}";

refused 'async_thread_pool twice', [qr/"async_thread_pool" directive is duplicate/],
    server => "async_thread_pool default;\nasync_thread_pool default;  # here";

refused 'async_thread_pool without a name',
    [qr/invalid number of arguments in "async_thread_pool" directive/],
    server => 'async_thread_pool;  # here';

refused 'async_thread_pool outside of http',
    [qr/"async_thread_pool" directive is not allowed here/],
    main => 'async_thread_pool default;  # here';

done_testing;
