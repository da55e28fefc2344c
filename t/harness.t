#!/usr/bin/perl

# The harness itself, on stock nginx: what it starts, sends and reads, that
# each of its checks can fail, and that nothing is left behind.
#
# TEST_NGINX_REAL=.../lib, a Test::Nginx from elsewhere, runs the sample under
# that, too.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(sleep);

# the module is not what is tested here, nor is it, or nginx, sanitized
BEGIN {
    $ENV{TEST_NGINX_LOAD_MODULES} = '';
    delete $ENV{TEST_NGINX_BINARY} if $ENV{TEST_NGINX_ASAN};
    delete @ENV{qw(TEST_NGINX_ASAN TEST_NGINX_LD_PRELOAD)};
    $SIG{INT} = 'DEFAULT';
}

use NginxAsync;

my $lib  = "$FindBin::Bin/lib";
my $echo = '/usr/lib/nginx/modules/ngx_http_echo_module.so';

# Files that the tests of this file run, and all that those make.
my $dir = NginxAsync::Guard::temp_dir('harness');

# Runs the text as a test file: its output, status and lines of TAP.
sub run_file {
    my ($text, %o) = @_;

    my $env  = $o{env} || {};
    my $file = "$dir/t/file.t";

    mkdir "$dir/t";
    mkdir "$dir/tmp";
    NginxAsync::Env::spew($file, $text);

    local @ENV{ keys %$env } = values %$env;
    local $ENV{TEST_NGINX_TMPDIR} = "$dir/tmp";
    local $ENV{HARNESS_ACTIVE};

    my $path = $o{lib} // $lib;
    my $out  = qx{cd '$dir' && '$^X' -I'$path' t/file.t 2>&1};

    return {
        out => $out, status => $?,
        ok     => scalar(() = $out =~ /^ok \d/mg),
        not_ok => scalar(() = $out =~ /^not ok \d/mg),
    };
}


sub must_fail {
    my ($text, $why, $title, %o) = @_;

    # what is not in the log is not waited for as long as what should be
    local $ENV{TEST_NGINX_LOG_TIMEOUT} = 0.3;

    my $r = run_file($text, %o);

    ok $r->{not_ok} && $r->{status}, "$title: fails";
    like $r->{out}, $why, "$title: says why";
    is_deeply [glob "$dir/tmp/*"], [], "$title: leaves nothing";
}


sub must_pass {
    my ($text, $title, %o) = @_;

    my $r = run_file($text, %o);

    ok !$r->{not_ok} && !$r->{status} && $r->{ok}, "$title: passes"
        or diag $r->{out};

    return $r;
}


# A file with one block of the given sections.
sub block {
    my ($sections, $head) = @_;

    return "use Test::Nginx::Socket 'no_plan';\n" . ($head // '')
        . "run_tests();\n__DATA__\n\n=== TEST 1: a block\n$sections\n";
}


sub plain {
    my ($code) = @_;

    return "use Test::More; use NginxAsync;\n$code\ndone_testing;\n";
}


my $hello = "--- config\n    location /t { return 200 hello; }\n";
my $get   = "--- request\nGET /t\n";

subtest 'a server of its own' => sub {
    my $n = NginxAsync->new(
        workers => 2,
        files   => { 'x.txt' => 'a file' },
        conf    => { server => <<'EOF_CONF', http => <<'EOF_HTTP' },
        location /a { return 200 "a $request_method $http_x_foo"; }
        location /x { root html; }
        location /p { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
        location /f { root $TEST_NGINX_SERVER_ROOT/html; rewrite ^/f(.*) $1
            break; }
EOF_CONF
    server { listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1 http2; return 201 h2; }
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_2 ssl;
        ssl_certificate $TEST_NGINX_SERVER_ROOT/tls.crt;
        ssl_certificate_key $TEST_NGINX_SERVER_ROOT/tls.key;
        return 202 $ssl_protocol;
    }
EOF_HTTP
    )->start;

    my $r = $n->get('/a', headers => ['X-Foo', 'bar']);
    is $r->status, 200, 'status';
    is $r->body, 'a GET bar', 'body';
    is $r->header('content-length'), 9, 'header';
    is $n->post('/a', 'data')->body, 'a POST ', 'post';
    is $n->head('/a')->body, '', 'head has no body';
    is $n->get('/f/x.txt')->body, 'a file', 'the worker reads our files';

    $r = $n->http2('/', port => $n->port(1));
    is $r->status . $r->body, '201h2', 'HTTP/2 through curl';

    like $n->get('/', port => $n->port(2), tls => 1)->body, qr/^TLS/, 'TLS';

    my @workers = $n->workers(2);
    is @workers, 2, 'workers';
    cmp_ok $n->memory_of_worker, '>', 100_000, 'memory of a worker';
    cmp_ok $n->open_fds, '>', 3, 'its descriptors';

    my $uid = (stat "/proc/$workers[0]")[4];
    $> == 0 ? isnt($uid, 0, 'without privileges') : is($uid, $>, 'our user');

    is $n->reload(conf => { server => 'return 200 new;' }), undef, 'reload';
    ok !(grep { my $p = $_; grep { $_ == $p } @workers } $n->workers),
        'by other workers';
    is $n->get('/a')->body, 'new', 'with the new configuration';

    my $mark = $n->mark;
    my $new  = $n->kill_worker;
    ok $new && kill(0, $new), 'a killed worker has a successor';
    ok $n->wait_for_log(qr/exited on signal 9/, 20, $mark), 'the log says so';

    my ($status, $out) = $n->conf_test({ server => 'nonsense;' });
    is $status, 1, 'nginx -t refuses';
    like $out, qr/unknown directive "nonsense"/, 'and says why';

    $n->allow(qr/unknown directive "nonsense"/);
    like $n->reload(conf => { server => 'nonsense;' }), qr/unknown directive/,
        'a refused reload says why';

    my $root = $n->root;
    ok $n->stop, 'stop';
    undef $n;
    ok !-e $root, 'and its folder is gone';
};

subtest 'raw connections' => sub {
    my $n = NginxAsync->new(conf => { server => <<'EOF_CONF' })->start;
        location /a { return 200 "hello"; }
        location /c { chunked_transfer_encoding on; gzip on; gzip_types *;
            gzip_min_length 1; root $TEST_NGINX_SERVER_ROOT; }
        location /e { return 444; }
EOF_CONF

    my $c = $n->connect;
    $c->send('GET /a HT', "TP/1.1\r\nHost: x\r\n", "\r\n");
    is $c->response->body, 'hello', 'a request in pieces';
    is $c->request('GET', '/a')->body, 'hello', 'a second one, kept alive';
    is $c->request('HEAD', '/a')->complete, 1, 'HEAD';

    $c->half_close;
    ok $c->eof, 'the server closes after our half';

    $n->write_file('c', 'x' x 5000);
    my $r = $n->get('/c', headers => ['Accept-Encoding', 'gzip']);
    is $r->header('Transfer-Encoding'), 'chunked', 'a chunked answer';
    ok $r->complete && $r->chunks, 'is read to its last chunk';

    $c = $n->connect;
    $c->send("GET /e HTTP/1.0\r\n\r\n");
    ok !eval { $c->response }, 'no answer is an error';
    like $@, qr/^no response/, 'which says so';

    my $mark = $n->mark;
    $c = $n->connect;
    $c->send("GET /a HTTP/1.1\r\nHost: x\r\n");
    $c->reset;
    ok $n->wait_for_log(qr/Connection reset by peer/, 20, $mark), 'a reset';

    ok $n->stop, 'stop';
};

subtest 'a whole configuration, and one that does not start' => sub {
    my $n = NginxAsync->new(conf => <<'EOF_CONF')->start;
http {
    server { listen 127.0.0.1:$TEST_NGINX_SERVER_PORT; return 200 mine; }
}
EOF_CONF

    is $n->get('/')->body, 'mine', 'it is ours';
    ok $n->term, 'TERM';

    $n = NginxAsync->new(conf => { main => 'nonsense;' },
        allow => qr/nonsense/);
    ok !$n->try_start, 'a wrong one does not start';
    is $n->exit_status, 1, 'its status';
    ok $n->stop, 'an allowed line is no failure';
};

subtest 'the verdict on a plain file' => sub {
    my $new  = 'my $n = NginxAsync->new->start; ok 1;';
    my $segv = 'my $w = $n->worker; kill SEGV => $w;'
        . '$n->wait_until(sub { ($n->worker // $w) != $w });';

    must_fail(plain("$new $segv \$n->stop;"), qr/exited on signal 11/,
        'a crash');
    must_fail(plain("$new $segv"), qr/exited on signal 11/,
        'a crash, and no stop');
    must_pass(plain("$new \$n->allow(qr/signal 11/); $segv \$n->stop;"),
        'a crash that is allowed');
    must_pass(plain("$new \$n->kill_worker('SEGV'); \$n->stop;"),
        'a worker that the test kills');

    my $busy = 'my $c = $n->connect; $c->send("GET / HTTP/1.1\r\n");';
    $busy .= '$n->wait_until(sub { $n->open_fds });';

    must_fail(plain("$new $busy sleep 1; \$n->stop;"),
        qr/did not exit within 0\.5 s after QUIT/, 'a worker that stays',
        env => { TEST_NGINX_STOP_TIMEOUT => 0.5 });

    my $report = '$n->write_file("reports/report.1",'
        . '"ERROR: AddressSanitizer: heap-use-after-free");';

    must_fail(plain("$new $report \$n->stop;"), qr/heap-use-after-free/,
        "a sanitizer's report");
};

subtest 'what is not a leak of ours' => sub {
    my $leak = "Direct leak of 8 byte(s) in 1 object(s) allocated from:\n"
        . "    #0 0x1 in __interceptor_malloc ../libsanitizer/asan/x.cpp:6\n"
        . "    #1 0x2 in ngx_alloc (/usr/sbin/nginx+0x4cb7e)\n"
        . "    #2 0x3  (/usr/sbin/nginx+0x4cb7e)\n";

    my $own = \&NginxAsync::Verdict::own_leak;

    ok $own->($leak), 'what nginx allocates when it starts';
    ok !$own->("$leak    #3 0x4 in ngx_process_events_and_timers (nginx+0)\n"),
        'below the event loop it is one';
    ok !$own->("$leak    #3 0x4 in ngx_async_x (/a/ngx_async_module.so+0)\n"),
        'from a module it is one';
};

subtest 'under AddressSanitizer' => sub {
    plan skip_all => 'no libasan'
        if qx{gcc -print-file-name=libasan.so 2>&1} !~ m{^/};

    my %asan = (TEST_NGINX_ASAN => 1, TEST_NGINX_LD_PRELOAD => 'asan');

    must_pass(block("$hello$get--- response_body chomp\nhello\n"),
        'stock nginx, without a leak of ours,', env => \%asan);

    must_fail(plain('my $n = NginxAsync->new->start; ok 1;'
        . '$n->kill_worker("SEGV"); $n->stop;'),
        qr/AddressSanitizer: SEGV/, 'a report of its', env => \%asan);
};

subtest 'each check of the block format can fail' => sub {
    my @cases = (
        ['a wrong body', "$hello$get--- response_body: bye\n",
            qr/response_body.*expected: 'bye'|response is expected/s],
        ['a wrong code', "$hello$get--- error_code: 404\n",
            qr/status code ok/],
        ['the code, by default', $hello . "--- request\nGET /none\n",
            qr/status code ok.*'404'/s],
        ['a header', "$hello$get--- response_headers\nX-Foo: bar\n",
            qr/header X-Foo ok/],
        ['a header that must not be',
            "$hello$get--- response_headers\n! Server\n", qr/not present/],
        ['a pattern for the body', "$hello$get--- response_body_like: ^bye\n",
            qr/response_body_like/],
        ['a pattern that must not match',
            "$hello$get--- response_body_unlike: ell\n",
            qr/response_body_unlike/],
        ['raw headers', "$hello$get--- raw_response_headers_like: X-Foo\n",
            qr/raw resp headers like/],
        ['a line that is not in the log',
            "$hello$get--- error_log\nno such line\n",
            qr/"no such line" should match/],
        ['a line that is in the log', $hello . "--- request\nGET /none\n"
            . "--- error_code: 404\n--- no_error_log\n[error]\n",
            qr/should not match a line.*open\(\)/s],
        ['grep_error_log', "$hello$get--- grep_error_log eval: qr/args: .*/\n"
            . "--- grep_error_log_out\nxyz\n", qr/grep_error_log_out/],
        ['access_log', "$hello$get--- access_log\nPOST /t\n",
            qr/should match a line in access.log/],
        ['no_access_log', "$hello$get--- no_access_log\nGET /t\n",
            qr/should not match a line in access.log/],
        ['shutdown_error_log', "$hello$get--- shutdown_error_log\nno such\n",
            qr/"no such" should match/],
        ['an unknown section', "$hello$get--- eror_log\nx\n",
            qr/unknown section "eror_log", did you mean "error_log"/],
        ["a section of the real one's only", "$hello$get--- tcp_listen: 1\n",
            qr/"tcp_listen" is not supported/],
        ['a client that times out', $hello . "--- raw_request eval\n"
            . "\"GET /t HTTP/1.1\\r\\n\"\n--- timeout: 200ms\n"
            . "--- ignore_response\n", qr/client socket timed out/],
        ['pipelined requests', "$hello--- pipelined_requests eval\n"
            . "[\"GET /t\", \"GET /t\"]\n--- response_body eval\n"
            . "[\"hello\", \"bye\"]\n", qr/req 0, req 1/],
        ['many requests and one expectation', "$hello--- request eval\n"
            . "[\"GET /t\", \"GET /t\"]\n--- response_body: hello\n",
            qr/arrays of expectations/],
        ['a configuration that should be refused',
            "$hello--- must_die
", qr/die as expected/],
        ['one that is refused', "--- config\nnonsense;\n$get",
            qr/does not start.*unknown directive "nonsense"/s],
        ['a crash', "$hello$get--- response_body: hello\n"
            . "--- init\nmy \$root = server_root();\n"
            . "my \$m = `cat \$root/logs/nginx.pid`; chomp \$m;\n"
            . "my \$w = `pgrep -P \$m`; kill 'SEGV', \$w; select undef, undef,"
            . " undef, 0.2;\n", qr/exited on signal 11/],
    );

    for my $case (@cases) {
        my ($title, $sections, $why) = @$case;
        must_fail(block($sections), $why, $title);
    }
};

subtest 'and pass' => sub {
    my $crash = "--- init\nmy \$root = server_root();\n"
        . "my \$m = `cat \$root/logs/nginx.pid`; chomp \$m;\n"
        . "my \$w = `pgrep -P \$m`; kill 'SEGV', \$w; select undef, undef,"
        . " undef, 0.2;\n";

    must_pass(block("$hello$get${crash}--- response_body chomp\nhello\n"
        . "--- error_log\nexited on signal 11\n"), 'a crash that is expected');

    must_pass(block("$hello--- raw_request eval\n\"GET /t HTTP/1.1\\r\\n\"\n"
        . "--- timeout: 200ms\n--- abort\n--- ignore_response\n"
        . "--- no_error_log\n[error]\n"), 'an abort');

    must_pass(block("$hello$get--- http2\n--- response_body chomp\nhello\n"),
        'HTTP/2');

    my $two = block("$hello$get--- response_body chomp\nhello\n\n"
        . "=== TEST 2: the other\n--- config\nnonsense;\n$get"
        . "--- response_body chomp\nhello\n--- reload_fails\n",
        "no_shuffle(); use_hup();\n");

    must_pass($two, 'use_hup and a reload that fails');

    my $plan = block("$hello$get--- response_body chomp\nhello\n"
        . "--- no_error_log\n[error]\n[warn]\n");
    $plan =~ s/ 'no_plan'//;
    $plan =~ s/^run_tests/plan tests => repeat_each(3) * (blocks() * 4);\n$&/m;

    is must_pass($plan, 'a plan')->{ok}, 12, 'and it counts';
};

subtest 'the sample' => sub {
    plan skip_all => "no $echo" if !-f $echo;

    my $sample = NginxAsync::Env::slurp("$lib/sample.blocks");
    my %env    = (TEST_NGINX_LOAD_MODULES => $echo, TEST_NGINX_BINARY => '/usr/sbin/nginx');
    my $ours   = must_pass($sample, 'ours', env => \%env);

    my $real = $ENV{TEST_NGINX_REAL} or return;
    $real = must_pass($sample, 'the real one', lib => $real,
        env => { %env, TEST_NGINX_BINARY => NginxAsync::Env::binary() });

    is $ours->{ok}, $real->{ok}, 'as many tests in both';
};

subtest 'apps are compiled when they are named, once' => sub {
    my $cc = "$dir/cc";
    NginxAsync::Env::spew($cc, "#!/bin/sh\necho x >> $dir/calls\n"
        . "cp \"\$1\" \"\$3\"\n");
    chmod 0755, $cc;

    local $ENV{TEST_NGINX_ASYNC_CC} = $cc;
    local $ENV{TEST_NGINX_APPS_SOURCE} = "$dir/apps";
    local $ENV{TEST_NGINX_RUN_DIR} = "$dir/run";
    delete local $ENV{TEST_NGINX_APPS};

    mkdir "$dir/$_" for qw(run apps);
    NginxAsync::Env::spew("$dir/apps/$_.c", "$_\n") for qw(one two);

    my $text = 'async_app $TEST_NGINX_APPS/one.so;';
    my ($so) = NginxAsync::Conf::expand($text, {}, 'x') =~ /(\S+);/;
    ok -f $so, 'the app that a configuration names';

    NginxAsync::Conf::expand($text, {}, 'x');
    my $other = NginxAsync->build_app("$dir/apps/one.c");
    is NginxAsync::Env::slurp($other), "one\n", 'by its path';
    isnt(NginxAsync->build_app("int x;\n"), $other, 'by its text');

    my @calls = split /\n/, NginxAsync::Env::slurp("$dir/calls");
    is @calls, 2, 'each once';
};

subtest 'a test that ends badly leaves nothing' => sub {
    for my $end (qw(KILL INT TERM), 'die') {
        my $text = plain('my $n = NginxAsync->new(workers => 2)->start;'
            . 'open my $f, ">", "pids"; print $f join " ", $n->master,'
            . ' $n->workers(2); close $f;'
            . ($end eq 'die' ? 'die "now";' : "kill $end => \$\$; sleep 9;"));

        run_file($text);

        my @pids = split ' ', NginxAsync::Env::slurp("$dir/pids");
        is @pids, 3, "$end: there was a server";

        my $gone = NginxAsync::Server::wait_until(10, sub {
            my @left = grep { NginxAsync::Server::alive($_) } @pids;
            return !@left && !glob "$dir/tmp/*";
        });
        ok $gone, "$end: neither process nor file";
    }
};

done_testing;
