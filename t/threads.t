#!/usr/bin/perl

# Threads: the debug build names whoever makes a call in a wrong thread, and
# ThreadSanitizer finds nothing where the loop and threads hand work over.
#
# For the former the module is built with --debug, for the latter nginx, too,
# from Debian's source.  Both are kept in build/, as those of util/test are; the
# second takes half a minute the first time.  TEST_NGINX_NO_TSAN=1 goes without.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use NginxAsync;


my $top  = $NginxAsync::Env::Root;
my $asan = NginxAsync::Env::asan();

# The last line that a tool prints, or undef and what it said.
sub tool {
    my (@command) = @_;

    my $out  = NginxAsync::run('timeout', 550, @command);
    my @said = split /\n/, $out;

    return $? == 0 ? $said[-1] : (undef, $out);
}

# ---- calls in wrong threads

my $wrong = NginxAsync::Env::build_app(<<'EOF_C', 'wrong');
#define _GNU_SOURCE
#include <ngx_async.h>
#include <dlfcn.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

/* any call of the header: what is wrong is seen before the arguments are */
typedef int (*any_pt)(void *, void *, void *, void *, void *);

typedef struct {
    const char  *call;
    void        *first;
} wrong_t;

static async_t      *lent_co;
static async_req_t  *lent_req;

static void *
do_wrong(void *data)
{
    any_pt       call;
    wrong_t     *w = data;
    static char  zero[4][256];

    call = (any_pt) dlsym(RTLD_DEFAULT, w->call);
    (void) call(w->first, zero[0], zero[1], zero[2], zero[3]);

    return NULL;
}

static async_rc_t
in_own_thread(async_req_t *req, void *first)
{
    wrong_t    w;
    pthread_t  thread;

    w.call = async_query(req, "call").data;
    w.first = first;

    if (pthread_create(&thread, NULL, do_wrong, &w) == 0) {
        pthread_join(thread, NULL);
    }

    return async_text(req, 200, "nobody minds\n");
}

ASYNC_HANDLER(own_req) { return in_own_thread(req, req); }
ASYNC_HANDLER(own_co) { return in_own_thread(req, co); }
BLOCKING_HANDLER(blocking_own) { return in_own_thread(req, req); }

ASYNC_HANDLER(lend)
{
    lent_co = co;
    async_log(req, ASYNC_LOG_NOTICE, "<lent>");

    return await_sleep(co, 3600000);
}

BLOCKING_HANDLER(blocking_lend)
{
    int  i;

    lent_req = req;
    async_log(req, ASYNC_LOG_NOTICE, "<lent>");

    for (i = 0; i < 3000 && !async_cancelled(req); i++) {
        usleep(10000);
    }

    return async_text(req, 200, "lent\n");
}

BLOCKING_HANDLER(stolen_co)
{
    wrong_t  w = { async_query(req, "call").data, lent_co };

    (void) do_wrong(&w);
    return async_text(req, 200, "nobody minds\n");
}

BLOCKING_HANDLER(stolen_req)
{
    wrong_t  w = { async_query(req, "call").data, lent_req };

    (void) do_wrong(&w);
    return async_text(req, 200, "nobody minds\n");
}

BLOCKING_HANDLER(stolen_await)
{
    if (await_sleep(lent_co, 1) == ASYNC_OK) { /* the wrong await */
        return async_text(req, 200, "nobody minds\n");
    }

    return ASYNC_ERROR;
}

/* all of this is right */

static void
cleanup(async_t *co, void *arg)
{
    if (await_yield(co) == ASYNC_OK) {
        async_task_log(co, ASYNC_LOG_NOTICE, "<cleanup>%s", async_error(co));
    }
}

static async_rc_t
on_loop(async_t *co, void *arg)
{
    async_req_t  *req = arg;

    ASYNC_TRY(async_defer(co, cleanup, NULL));
    ASYNC_TRY(await_sleep(co, 1));
    async_task_log(co, ASYNC_LOG_NOTICE, "<on loop %s>", async_error(co));
    (void) async_set_header(req, "X-Host", async_header(req, "Host").data);
    (void) async_task_param(co, "x");
    (void) async_error(co);

    return async_cancelled(req) ? ASYNC_ERROR : ASYNC_OK;
}

static void *
other(void *arg)
{
    return arg;
}

BLOCKING_HANDLER(right)
{
    pthread_t  thread;

    ASYNC_TRY(async_call(req, on_loop, req));
    async_log(req, ASYNC_LOG_NOTICE, "<thread %s>", async_req_error(req));

    if (pthread_create(&thread, NULL, other, NULL) == 0) {
        pthread_join(thread, NULL);
    }

    return async_json_pack(req, 200, "{s:s, s:s}",
                           "uri", async_uri(req).data,
                           "method", async_var(req, "request_method").data);
}

ASYNC_HANDLER(right_async)
{
    ASYNC_TRY(async_call(req, on_loop, req));
    async_log(req, ASYNC_LOG_NOTICE, "<async %s>", async_error(co));

    return async_text(req, 200, async_uri(req).data);
}
EOF_C

# Calls of the header by where they may be made, and by their first argument.
sub calls {
    my ($kind) = @_;

    my $header = NginxAsync::Env::slurp("$top/src/ngx_async.h");
    my %first;

    while ($header =~ /^ASYNC_$kind [^;]*?\b(async_\w+)\((async_t|async_req_t) \*/mg) {
        push @{ $first{ $2 eq 'async_t' ? 'co' : 'req' } }, $1;
    }

    return %first;
}


sub nginx {
    my (%o) = @_;

    return NginxAsync->new(%o, conf => { http => "async_app $wrong;",
        server => join '', map { "location = /$_ { async_handler $_; }\n" }
            qw(own_req own_co blocking_own lend blocking_lend stolen_co
               stolen_req stolen_await right right_async) })->start;
}


# The request ends its worker, with a line that says why.
sub aborts {
    my ($n, $uri, $line, $title, $lender) = @_;

    my $old   = $n->worker;
    my $since = $n->mark;
    my $c     = $lender && $n->connect->send_request('GET', $lender);

    $n->wait_for_log(qr/<lent>/, 30, $since) if $c;
    $n->allow(qr/worker process $old exited on signal 6/, $line);

    my $r = eval { $n->get($uri, timeout => 30) };
    is $r ? $r->body : 'no answer', 'no answer', "$title ends the worker";
    like $n->wait_for_log(qr/\[alert\] $old#.*/, 30, $since)
        // $n->log($since), $line, '... with a line that names the call';
    ok $n->wait_until(sub { my ($new) = $n->workers; $new && $new != $old }, 30),
        '... and there is a new one';
}

subtest 'an await with the task of another one, in a thread, in every build' => sub {
    my $n = nginx();

    aborts($n, '/stolen_await', qr/await_sleep\(\) at \S*wrong\S*:\d+ was called outside of the coroutine/,
        'it', '/lend');
    $n->stop;
};

my ($debug, $said) = tool("$top/util/build", '-q', '--debug',
    $asan ? '--asan' : ());

subtest 'the debug build' => sub {
    plan skip_all => 'its module is one for the nginx of the system'
        if NginxAsync::Env::binary() ne '/usr/sbin/nginx';

    ok $debug, 'there is one' or return diag $said;
    local $ENV{TEST_NGINX_LOAD_MODULES} = $debug;
    local $ENV{TEST_NGINX_BINARY} = NginxAsync::Env::binary();

    my $loop  = qr/is for the loop only, and was called in another thread/;
    my $other = qr/was called in another thread than that of its blocking handler/;
    my %any   = calls('ANY');
    my %loop  = calls('LOOP');

    cmp_ok scalar @{ $any{req} }, '>', 40, 'the calls of any thread';
    cmp_ok scalar @{ $loop{co} }, '>', 3, 'those of the loop';

    my $n   = nginx();
    my $pid = $n->worker;

    is $n->get('/right')->body, '{"uri":"/right","method":"GET"}',
        'a blocking handler may use its request';
    is $n->get('/right_async')->body, '/right_async', 'so may an async one';
    is $n->worker, $pid, 'which nobody minds';

    for my $call (@{ $loop{co} }) {
        aborts($n, "/own_co?call=$call", qr/\[alert\] .*: $call\(\) $loop/,
            "$call() in a thread of an async handler's own");
        aborts($n, "/stolen_co?call=$call", qr/\[alert\] .*: $call\(\) $loop/,
            "$call() with a task of another one, in a blocking handler", '/lend');
    }

    for my $call (@{ $any{req} }) {
        aborts($n, "/own_req?call=$call", qr/\[alert\] .*: $call\(\) $loop/,
            "$call() in a thread of an async handler's own");
    }

    for my $call (qw(async_header async_json async_log async_call)) {
        aborts($n, "/blocking_own?call=$call", qr/\[alert\] .*: $call\(\) $other/,
            "$call() in a thread of a blocking handler's own");
        aborts($n, "/stolen_req?call=$call", qr/\[alert\] .*: $call\(\) $other/,
            "$call() with the request of another blocking handler",
            '/blocking_lend');
    }

    aborts($n, '/stolen_await', qr/await_sleep\(\) at \S*wrong\S*:\d+ was called outside of the coroutine/,
        'an await with the task of another one, in a thread', '/lend');
    is $n->get('/right')->status, 200, 'in the end it serves';
    $n->stop;
};

# ---- ThreadSanitizer

my $race = <<'EOF_C';
#include <ngx_async.h>
#include <stdio.h>
#include <unistd.h>

static async_rc_t
naps(async_t *co, void *arg)
{
    async_req_t  *req = arg;

    async_task_log(co, ASYNC_LOG_INFO, "%s naps", async_uri(req).data);

    return await_sleep(co, 2);
}

/* all that a thread may do with its request */

BLOCKING_HANDLER(work)
{
    int          i;
    char        *text;
    json_t      *body;
    int64_t      n;
    async_str_t  name, value, raw;

    ASYNC_TRY(async_path_int(req, "n", &n));
    (void) async_query_int_or(req, "none", &n, n);
    ASYNC_TRY(async_valid(req));
    ASYNC_TRY(async_body(req, &raw));

    for (i = 0; async_header_at(req, i, &name, &value); i++) {
        async_log(req, ASYNC_LOG_INFO, "%s is %s", name.data, value.data);
    }

    if (async_cookie(req, "none").data || async_query(req, "none").data
        || async_param(req, "none").data || async_var(req, "none").data)
    {
        return ASYNC_ERROR;
    }

    ASYNC_TRY(async_set_var(req, "mine", async_method(req).data));
    ASYNC_TRY(async_call(req, naps, req));

    if (raw.len) {
        ASYNC_TRY(async_body_json(req, &body));
    }

    text = async_alloc(req, 64);
    snprintf(text, 64, "%s %d", async_var(req, "mine").data, (int) n);

    ASYNC_TRY(async_set_header(req, "X-Text", text));
    ASYNC_TRY(async_set_cookie(req, "n", "1", NULL));

    return async_json_pack(req, 200, "{s:s, s:s, s:I}", "text", text, "client",
                           async_client(req).data, "n", (json_int_t) n);
}

/* on and on, with calls and lines, for some time after nobody wants it */

BLOCKING_HANDLER(late)
{
    int  i;

    for (i = 0; i < 200 && !async_cancelled(req); i++) {
        async_log(req, ASYNC_LOG_INFO, "late, %d", i);
        (void) async_call(req, naps, req);
    }

    for (i = 0; i < 20; i++) {
        async_log(req, ASYNC_LOG_INFO, "too late, %d", i);
        (void) async_call(req, naps, req);
        usleep(1000);
    }

    (void) async_var(req, "uri");
    async_log(req, ASYNC_LOG_INFO, "too late: %s", async_req_error(req));

    return async_text(req, 200, "late\n");
}

BLOCKING_HANDLER(fails)
{
    usleep(20000);

    return async_fail(req, 409, async_uri(req).data);
}

/* what is to be found */

BLOCKING_HANDLER(races)
{
    int         i;
    static int  shared;

    for (i = 0; i < 50; i++) {
        shared++;
        usleep(1000);
    }

    return async_text(req, 200, "raced\n");
}

ASYNC_HANDLER(loop)
{
    ASYNC_TRY(async_call(req, naps, req));

    return async_text(req, 200, "loop\n");
}
EOF_C

# What util/async-cc does, and -fsanitize=thread.
sub sanitized_app {
    my $dir = NginxAsync::Guard::temp_dir('race');

    NginxAsync::Env::spew("$dir/race.c", $race);
    my $out = NginxAsync::run(split(' ', $ENV{CC} // 'gcc'),
        split(' ', '-fPIC -g -O1 -Wall -fstack-clash-protection -shared'
            . ' -fsanitize=thread -Wl,--build-id -Wl,-Bsymbolic'),
        "-I$top/src", '-o', "$dir/race.so", "$dir/race.c", '-ljansson');
    chmod 0755, "$dir/race.so";

    return $? ? die "race.c: $out" : "$dir/race.so";
}


# ThreadSanitizer knows no addresses that the kernel has made up.
sub without_randomization {
    my ($binary) = @_;

    my $script = NginxAsync::Guard::temp_dir('race') . '/nginx';

    NginxAsync::Env::spew($script, "#!/bin/sh\nexec setarch -R '$binary' \"\$@\"\n");
    chmod 0755, $script;

    return $script;
}


# The reports, without those of which ThreadSanitizer has forgotten one side,
# when nothing of ours is on the other.
sub races {
    my ($dir) = @_;

    return grep { !/failed to restore the stack/ || /async|race\.c/ }
        grep { /WARNING: ThreadSanitizer/ } map { split /={18}/ }
        NginxAsync::Verdict::reports($dir);
}


subtest 'ThreadSanitizer' => sub {
    plan skip_all => 'one sanitizer at a time' if $asan;
    plan skip_all => 'TEST_NGINX_NO_TSAN' if $ENV{TEST_NGINX_NO_TSAN};

    my ($source) = tool("$top/util/nginx-source");
    plan skip_all => 'no source of nginx to be had' if !$source;

    my ($module, $why) = tool("$top/util/build", '-q', '--tsan', "--nginx=$source");
    ok $module, 'nginx and the module are built with it' or return diag $why;

    local $ENV{TEST_NGINX_LOAD_MODULES} = $module;
    local $ENV{TEST_NGINX_BINARY} =
        without_randomization($module =~ s{[^/]+\z}{nginx}r);
    local $ENV{TEST_NGINX_STOP_TIMEOUT} = 30;

    my $app = sanitized_app();
    my ($n, $reports);

    my $serve = sub {
        $reports = NginxAsync::Guard::temp_dir('tsan');
        chmod 01777, $reports;

        $n = NginxAsync->new(workers => 2, env => { TSAN_OPTIONS => join ':',
            "log_path=$reports/report", 'exitcode=0', 'history_size=4',
            "suppressions=$FindBin::Bin/tsan.supp", $ENV{TSAN_OPTIONS} // () },
            conf => {
                main => 'thread_pool small threads=1 max_queue=1;',
                http => "async_app $app;", server => <<'EOF_CONF' });
            set $mine "";
            location / {
                async_route  *    "/work/{n}"  work;
                async_route  GET  /fails       fails;
                async_route  GET  /loop        loop;
                async_route  GET  /late        late;
                async_route  GET  /races       races;
            }
            location = /short { async_handler late; async_timeout 100ms; }
            location = /small { async_handler late; async_thread_pool small; }
EOF_CONF

        return $n->start;
    };

    # clients, who all ask before the first answer is read
    my $ask = sub {
        my (@uris) = @_;

        return map {
            my $c = $n->connect(timeout => 120);
            $c->send_request(/json/ ? 'POST' : 'GET', $_, close => 1,
                /json/ ? (body => '{"a": [1]}', headers =>
                    ['Content-Type', 'application/json']) : ());
            [$_, $c];
        } @uris;
    };

    $serve->();
    $_->[1]->response for $ask->(('/races') x 8);
    $n->stop;
    like join('', races($reports)), qr/data race.*race\.c/s,
        'it finds a race of an app';

    $serve->();
    my %count;

    for my $round (1 .. 8) {
        my @c = $ask->(('/late', '/short', '/small', '/fails', '/loop',
            '/work/1?json', '/work/2', '/work/3') x 8);

        is $n->reload(bound => 60), undef, 'a reload' if $round == 4;

        for (@c) {
            my ($uri, $c) = @$_;

            if ($uri eq '/late' || $uri eq '/small' && $round % 2) {
                $round % 3 ? $c->reset : $c->close;
                next;
            }

            $count{ $uri =~ s{/\d.*}{}r }{ $c->response->status }++;
        }
    }

    is_deeply [delete @count{qw(/work /fails /loop /short)}],
        [{ 200 => 192 }, { 409 => 64 }, { 200 => 64 }, { 504 => 64 }],
        '512 requests, 64 at a time, some of them left or late';
    is_deeply [sort keys %{ $count{'/small'} }], [200, 503],
        '... and some beyond max_queue';
    $n->stop;
    is_deeply [races($reports)], [],
        '... are no race of a thread with the loop';

    $serve->();
    my @c = $ask->(('/late') x 16);
    ok $n->wait_for_log(qr/late, 3/, 60), 'threads that run';

    # a second and a half after TERM the master kills who is still there, as
    # workers slowed down by ThreadSanitizer may be on a machine under load
    $n->allow(qr/worker process \d+ exited on signal 9/);
    $n->term;
    is_deeply [races($reports)], [],
        '... when TERM comes do not race with that, either';
};

done_testing;
