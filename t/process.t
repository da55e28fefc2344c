
# await_process(), await_process_call(), await_process_open() and what belongs
# to them: processes that succeed, fail, hang, are too many for the client, and
# what is left of them.

use strict;
use warnings;

use lib 't/lib';
use JSON::PP;
use Test::More;
use NginxAsync;

my @handlers = qw(run pieces through echo busy greedy left many call function pool
    two taken hello);
my $routes = join '', map { <<"EOF_CONF" } @handlers;
    location = /$_       { async_handler process:$_; client_max_body_size 64m; }
    location = /short/$_ { async_handler process:$_; async_timeout 500ms; }
EOF_CONF

sub nginx {
    my (%o) = @_;

    my $http = delete $o{http} // '';
    my $events = delete $o{events} // '';

    return NginxAsync->new(%o, conf => {
        events => $events,
        server => "client_body_buffer_size 1m;\n$routes",
        main => 'env LANG; env SECRET=of-nginx;',
        http => <<"EOF_CONF" })
        async_app \$TEST_NGINX_APPS/process.so;
        $http
EOF_CONF
        ->start;
}

sub escape {
    my ($s) = @_;
    $s =~ s/([^A-Za-z0-9._-])/sprintf '%%%02X', ord $1/ge;
    return $s;
}

# a query of pairs
sub query {
    my ($path, @pairs) = @_;
    my @q;

    while (my ($k, $v) = splice @pairs, 0, 2) {
        push @q, map { "$k=" . escape($_) } ref $v ? @$v : $v;
    }

    return "$path?" . join '&', @q;
}

sub json { my ($r) = @_; return decode_json($r->body) }

my $n = nginx();

my $dir = $n->root . '/html';
chmod 0777, $dir;

sub run_of { my ($m, @pairs) = @_; return json($m->get(query('/run', @pairs))) }

sub run { return run_of($n, @_) }

sub sh {
    my ($script, @pairs) = @_;
    return run(argv => ['sh', '-c', $script], @pairs);
}

sub alive { my ($pid) = @_; return -d "/proc/$pid" }

# polls: a killed process needs a moment
sub gone {
    my (@pids) = @_;
    return @pids && $n->wait_until(sub { return !grep { alive($_) } @pids }, 20);
}

# ---- programs

is_deeply run(argv => [qw(echo two words)]),
    { rc => 0, error => '', status => 0, signal => 0, output => "two words\n", errors => '' },
    'a program';
is_deeply sh('cat; echo said >&2; exit 3', input => "in\n"),
    { rc => 0, error => '', status => 3, signal => 0, output => "in\n", errors => "said\n" },
    '... with input and errors';
is_deeply run(argv => ['cat']),
    { rc => 0, error => '', status => 0, signal => 0, output => '', errors => '' },
    '... without input';
is run(argv => ['printf', '%s|', 'a b', '$HOME; `id`', '*'])->{output}, 'a b|$HOME; `id`|*|',
    'no shell is between';

is_deeply sh('echo o; echo e >&2; echo p', flags => 1),
    { rc => 0, error => '', status => 0, signal => 0, output => "o\ne\np\n", errors => '' },
    'ASYNC_PROCESS_MERGE';
is_deeply sh('kill -9 $$'),
    { rc => 0, error => '', status => -1, signal => 9, output => '', errors => '' }, 'a signal';

is sh('true', flags => 2)->{rc}, 0, 'ASYNC_PROCESS_CHECK';
is_deeply sh('echo part; echo one >&2; echo why >&2; exit 7', flags => 2),
    { rc => -1, error => '"sh" exited with status 7: why', status => 7, signal => 0,
      output => "part\n", errors => "one\nwhy\n" }, '... fails with the last line';
is sh('kill $$', flags => 2)->{error}, '"sh" was killed by signal 15 (Terminated)', '... or signal';

is run(argv => ['env'], env => ['A=1', 'B=two'])->{output}, "A=1\nB=two\n", 'an environment';
like run(argv => ['env'])->{output}, qr/^SECRET=of-nginx$/m, '... by default that of workers';
unlike run(argv => ['env'])->{output}, qr/^(?:HOME|NGINX)=/m, '... and no more';
is run(argv => ['pwd'], dir => '/usr/share')->{output}, "/usr/share\n", 'a directory';
is run(argv => ['pwd'], dir => 'html')->{output}, $n->root . "/html\n",
    '... relative to the prefix';

# ---- what a child must not have

like run(argv => ['ls', '-1', '/proc/self/fd'])->{output}, qr/\A0\n1\n2\n3\n\z/,
    'no descriptor of nginx (3 is that of the directory)';
{
    my $status = run(argv => ['cat', '/proc/self/status'])->{output};

    like $status, qr/^SigBlk:\s+0+$/m, 'no blocked signals';
    # glibc ignores two of its own, 32 and 33
    like $status, qr/^SigIgn:\s+0+(?:180000000)?$/m, '... and no ignored ones';
    is sh('yes | head -1')->{output}, "y\n", '... so pipes work';
}
like sh('echo $$; ps -o pgid=,sid= -p $$')->{output}, qr/\A(\d+)\n\s*\1\s+\1\n\z/,
    'a session and group of its own';

# ---- what cannot be started

is run(argv => ['no-such-program'])->{error},
    '"no-such-program" cannot be started: No such file or directory (nor in PATH)', 'no program';
is run(argv => ['/no/such'])->{error}, '"/no/such" cannot be started: No such file or directory',
    '... with a path';
is run(argv => ['/etc/passwd'])->{error}, '"/etc/passwd" cannot be started: Permission denied',
    '... no program at all';
is run(argv => [''])->{rc}, -1, '... of no name';
is run(argv => ['pwd'], dir => '/no')->{error},
    'the directory "/no": No such file or directory', 'no directory';
is run(argv => ['pwd'], dir => '/etc/passwd')->{error},
    'the directory "/etc/passwd": Not a directory', '... one that is none';
is run()->{error}, 'await_process() needs either argv or fn', 'nothing to run';
is run(argv => ['true'], flags => 4)->{error}, 'await_process() does not take the flags 4',
    'flags of another call';
like run(argv => ['true'], grace => -1)->{error},
    qr/^-1 ms, of the grace of a process at \S+process\.c:\d+, is not from 0 to ten years$/,
    'a negative time';
is run(argv => ['true'], grace => '400000000000')->{rc}, -1, '... one too long';
is run(argv => ['x' . "\xc3\xa4" x 100])->{error},
    '"x' . "\xe4" x 29 . '" cannot be started: No such file or directory (nor in PATH)',
    'a long name is cut between characters';
is run(argv => ['sh', '-c', 'printf %s "$1" >&2; exit 1', 'sh', 'x' . "\xc3\xa4" x 100],
    flags => 2)->{error},
    '"sh" exited with status 1: x' . "\xe4" x 65, '... and so is the cause';
like run(argv => ['echo', ('x' x 4000) x 2])->{output}, qr/^x{4000} x{4000}$/, 'long arguments';

# ---- bounds

is_deeply sh('echo e >&2; yes', max => 10),
    { rc => -1, error => '"sh" wrote more than 10 bytes', status => -1, signal => 9,
      output => "y\n" x 5, errors => "e\n" }, 'output without end';
is sh('printf 12345', max => 5)->{output}, '12345', 'output that just fits';
is sh('printf 123456', max => 5)->{rc}, -1, '... that just does not';
is sh('printf 123456 >&2', max => 5)->{errors}, '12345', 'errors are cut';
is_deeply [@{sh('yes | head -c 20000000 >&2; echo end', max => 10)}{qw(rc output errors)}],
    [0, "end\n", "y\n" x 5], '... and do not stop the process';
is sh('exec 0<&-; echo closed', input => 'x' x 3000)->{output}, "closed\n",
    'input that nobody reads';

{
    my $body = join '', map { chr(ord('a') + $_ % 26) x 1000 } 1 .. 20_000;
    my $r = $n->request('POST', '/echo', body => $body);

    is $r->status, 200, '20 MB in and out';
    ok $r->body eq $body, '... the same';
}

# ---- pieces

is_deeply json($n->get(query('/pieces', argv => ['cat'], put => ['one', 'two']))),
    { rc => 0, status => 0, got => ['one', 'two'], errors => '', closed => -1 }, 'in pieces';
is_deeply json($n->get(query('/pieces', argv => ['sh', '-c', 'echo e >&2; cat; exit 4'],
        put => 'x', flags => 4))),
    { rc => 0, status => 4, got => ['x', "e\n"], errors => '', closed => -1 },
    '... errors, too';
is json($n->get(query('/pieces', argv => ['sh', '-c', 'echo e >&2; exit 4'])))->{errors}, "e\n",
    '... or together at the end';
is json($n->get(query('/pieces', argv => ['sh', '-c', 'echo e >&2; exit 4'], flags => 2)))->{error},
    '"sh" exited with status 4: e', '... which are checked';
is json($n->get(query('/pieces', argv => ['cat'], input => 'x')))->{error},
    'await_process_open() takes no input: await_process_put() writes it', '... no input as a whole';
is json($n->get(query('/pieces', argv => ['sh', '-c', 'exec 0<&-; exec 1>&-; sleep 0.2'],
        put => [('x' x 3000) x 2])))->{rc}, -4, 'who writes to one that does not read';
is_deeply json($n->get('/through?bytes=30000000')), { n => 30_000_000, sorted => JSON::PP::true,
    status => 0 }, '30 MB through two tasks';
is_deeply json($n->get('/busy')), { first => 0, second => -5, closes => -5, kills => 0,
    signal => 9, after => -1 }, 'two at once';
is_deeply json($n->get('/two')), [-1, "e\n", 0, '', 10],
    'what has come of two, in another command';

{
    is json($n->get('/greedy'))->{rc}, -2, 'who always finds something';

    my $since = $n->mark;
    my $c = $n->connect->send_request('GET', '/greedy?ms=2000');
    $n->wait_for_log(qr/<greedy>/, 20, $since);
    is $n->get('/hello')->status, 200, '... lets others have their turn';
    unlike $n->access_log, qr{/greedy\?ms=2000}, '... in between';
    is json($c->response)->{rc}, -2, '... to its end';
}

# ---- functions

{
    my $r = json($n->get('/call?fn=adds&n=100'));

    is_deeply [@$r{qw(rc sum)}], [0, 5050], 'a function in a process';
    ok $r->{own}, '... of its own';
    like $r->{text}, qr/\Acounter 1, parent \d+, in none\z/, '... which begins anew';
    like json($n->get('/call?fn=adds&n=100'))->{text}, qr/\Acounter 1,/, '... each time';
}

is_deeply [@{json($n->get('/call?fn=fails&n=7'))}{qw(rc sum error)}], [-6, -1, '7 is too much'],
    'one that fails, with its cause';
is_deeply [@{json($n->get('/call?fn=crashes'))}{qw(rc error)}],
    [-1, '"process:crashes" was killed by signal 9 (Killed) before it returned: about to fall'],
    'one that crashes';
is json($n->get('/call?fn=leaves'))->{error},
    '"process:leaves" exited with status 3 before it returned: no more', 'one that exits';
is_deeply [@{json($n->get('/call?fn=tramples&n=7'))}{qw(rc sum)}], [0, 7],
    'one that writes before its argument';
is json($n->get('/call?fn=other'))->{error},
    'the function is not declared with ASYNC_PROCESS()', 'any function';
{
    my $since = $n->mark;

    is json($n->get('/call?fn=prints'))->{rc}, 0, 'what one prints';
    like_log $n, $since, qr/\[notice\] .*process \d+ of "process:prints": on standard output/,
        '... is logged';
    like_log $n, $since, qr/: by async_thread_log\(1\)/, '... each line';
    like_log $n, $since, qr/: on standard error: \\x1B\[1m/, '... escaped';
    like_log $n, $since, qr/: and$|: and,/m, '... the last one, too';

    $since = $n->mark;
    is json($n->get('/call?fn=prints&n=1'))->{rc}, 0, 'what prints a lot';
    cmp_ok length($n->log($since)), '<', 300_000, '... is cut';
}
is_deeply [@{json($n->get('/function?input=abc'))}{qw(rc output errors status)}],
    [0, 'ABC', 'without', 0], 'a function as a command';
is json($n->get('/function?input=abc&argv=echo'))->{error},
    'await_process() needs either argv or fn', '... not with argv';
is_deeply json($n->get('/pool')), [55, 5050, JSON::PP::true], 'two of them at once';

# ---- the end of the await

# what a process has written there once it is whole
sub pids_of {
    my ($file, $how_many) = @_;
    my @pids;

    $n->wait_until(sub {
        open my $f, '<', $file or return 0;
        @pids = split ' ', do { local $/; <$f> // '' };
        return @pids >= ($how_many // 2);
    }, 20);

    return @pids;
}

sub pid_of { return (pids_of($_[0], 1))[0] }

# a process with one of its own behind it, which both name themselves
my $family = 'sleep 1000 & echo $$ $! > %s.new; mv %s.new %s; wait';
sub family { my ($name) = @_; return sprintf $family, ("$dir/$name") x 3 }

{
    my $r = sh(family('late'), deadline => 1000);
    is $r->{rc}, -2, 'a deadline';
    my @pids = pids_of("$dir/late");
    is scalar @pids, 2, '... of two processes';
    ok !alive($pids[0]), '... the process is gone when the await has ended';
    ok gone($pids[1]), '... and so is its group';
}

is sh("sleep 1000 & echo \$\$ \$! > $dir/behind", deadline => 1000)->{rc}, -2,
    'one that has left behind who holds its output';
ok gone(pids_of("$dir/behind")), '... which is gone, too';

is json($n->get(query('/short/run', argv => ['sh', '-c', family('short')])))->{rc}, -2,
    'the deadline of the request';
ok gone(pids_of("$dir/short")), '... kills';
is run(argv => ['true'], deadline => 0)->{status}, -1, 'a deadline of zero is no success';

{
    my $since = $n->mark;
    my $c = $n->connect->send_request('GET', query('/run', argv => ['sh', '-c', family('client')]));
    my @pids = pids_of("$dir/client");
    $c->reset;
    ok gone(@pids), 'a client that leaves';
    ok $n->wait_for_log(qr/<run ends -3>/, 20, $since), '... ends the await';
}

{
    my $since = $n->mark;
    my $c = $n->connect->send_request('GET', query('/call', fn => 'sleeps', text => "$dir/fn"));
    my $pid = pid_of("$dir/fn");
    ok alive($pid), 'a function that runs';
    $c->reset;
    ok gone($pid), '... ends with its client';
    ok $n->wait_for_log(qr/<call ends -3>/, 20, $since), '... and the await';
    like_log $n, $since, qr/<sleeps $pid>/, '... what it had printed is logged';
}

# a grace: the first signal is one that can be caught
{
    my $script = "trap 'echo told > $dir/told; exit 0' TERM; echo \$\$ \$\$ > $dir/grace;"
                 . 'sleep 1000 & wait';
    my $r = sh($script, deadline => 2000, grace => 20_000);
    is $r->{rc}, -2, 'with a grace';
    ok -s "$dir/told", '... it is told';

    $r = sh("trap '' TERM; echo \$\$ \$\$ > $dir/deaf; sleep 1000", deadline => 2000, grace => 300);
    is $r->{rc}, -2, '... one that does not listen';
    ok gone(pids_of("$dir/deaf")), '... is killed';
}

sub left {
    my ($since) = @_;
    return $n->log($since) =~ /<left (\d+)>/g;
}

{
    my $since = $n->mark;
    is $n->get('/left?how=inside')->status, 200, 'one that is left when its block ends';
    ok gone(left($since)), '... is killed';

    $since = $n->mark;
    is $n->get('/left')->status, 200, 'one that is left when the task ends';
    my @pids = left($since);
    is scalar @pids, 2, '... both';
    ok gone(@pids), '... are killed';

    $since = $n->mark;
    is $n->get('/left?how=behind')->status, 200, 'what ended ones have left behind';
    ok gone(left($since)), '... is killed';

    $since = $n->mark;
    is $n->get('/short/left?how=waits')->status, 504, 'one whose end is awaited in vain';
    ok gone(left($since)), '... is killed';
}

sub pidfds {
    my ($m) = @_;
    my ($worker) = $m->workers;
    return scalar grep { (readlink // '') =~ /pidfd/ } glob "/proc/$worker/fd/*";
}

{
    my $since = $n->mark;
    my $c = $n->connect->send_request('GET', '/left?how=waits');
    ok $n->wait_for_log(qr/<left \d+>.*<left \d+>/s, 20, $since), 'a client that waits for the end';
    ok $n->wait_until(sub { return pidfds($n) == 1 }, 20), '... which a pidfd tells';
    $c->reset;
    ok gone(left($since)), '... and leaves';
}

{
    my $r = json($n->get('/taken'));
    is_deeply [@$r{qw(rc error)}], [-1, 'a wait() of the app has taken the status of "true"'],
        'a wait() for any process takes the status';
}

# no zombie is left
{
    my ($worker) = $n->workers;
    ok $n->wait_until(sub { return `cat /proc/$worker/task/*/children` !~ /\d/ }, 20),
        'all have been reaped';
}

# ---- reload, quit and stop in the middle

{
    my ($old) = $n->workers;
    my $c = $n->connect->send_request('GET', query('/run',
        argv => ['sh', '-c', "echo \$\$ \$\$ > $dir/reload; sleep 1; echo done"], env => 'PATH=/bin'));
    my $f = $n->connect->send_request('GET', query('/call', fn => 'adds', n => 5));
    pids_of("$dir/reload");
    is $n->reload, undef, 'a reload';
    is json($c->response)->{output}, "done\n", '... lets a process end';
    is json($f->response)->{sum}, 15, '... and a function';
    ok gone($old), '... before the old worker';
}
$n->stop;

for my $how (qw(QUIT TERM)) {
    my $m = nginx(http => 'async_shutdown_timeout 1s;');
    my $d = $m->root . '/html';
    chmod 0777, $d;
    $dir = $d;
    my $c = $m->connect->send_request('GET', query('/run', argv => ['sh', '-c', family('end')]));
    my $l = $m->connect->send_request('GET', '/left?how=waits');
    ok $m->wait_for_log(qr/<left \d+>.*<left \d+>/s, 20), "$how in the middle";
    my @pids = (pids_of("$d/end"), $m->log =~ /<left (\d+)>/g);
    $how eq 'QUIT' ? $m->stop : $m->term;
    ok gone(@pids), '... nothing is left';
}

# a grace does not hold up the worker
{
    my $m = nginx(http => 'async_shutdown_timeout 1s;');
    is $m->get('/left?how=deaf')->status, 200, 'processes that have an hour';
    my ($old) = $m->workers;
    my @pids = $m->log =~ /<left (\d+)>/g;
    ok scalar(grep({ alive($_) } @pids)), '... and take it';
    is $m->reload, undef, '... at a reload';
    ok gone($old), '... do not keep the worker';
    ok gone(@pids), '... and end with it';
    $m->stop;
}

# a worker that dies takes its functions along
{
    my $m = nginx();
    chmod 0777, $m->root . '/html';
    my $fn = $m->root . '/html/fn';
    my $c = $m->connect->send_request('GET', query('/call', fn => 'sleeps', text => $fn));
    my $pid = pid_of($fn);
    $m->kill_worker;
    ok gone($pid), 'a worker that is killed takes its functions along';
    $m->stop;
}

# ---- a kernel without pidfds

SKIP: {
    skip 'AddressSanitizer must be the first of LD_PRELOAD', 11 if $ENV{TEST_NGINX_ASAN};

    my $so = NginxAsync::Guard::temp_dir('shim') . '/shim.so';
    open my $cc, '|-', qw(gcc -shared -fPIC -x c -o), $so, '-' or die "gcc: $!";
    print $cc <<'EOF_C';
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <spawn.h>
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* "sleep 1001" begins, but the thread learns it late */

int posix_spawnp(pid_t *pid, const char *file,
    const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attr,
    char *const argv[], char *const env[])
{
    int    rc;
    int  (*real)(pid_t *, const char *, const posix_spawn_file_actions_t *,
                 const posix_spawnattr_t *, char *const [], char *const []);

    *(void **) &real = dlsym(RTLD_NEXT, "posix_spawnp");

    rc = real(pid, file, actions, attr, argv, env);

    if (strcmp(file, "sleep") == 0 && strcmp(argv[1], "1001") == 0) {
        usleep(500000);
    }

    return rc;
}

long syscall(long n, ...)
{
    int      i;
    long     v[6];
    long   (*real)(long, ...);
    va_list  args;

    if (n == SYS_pidfd_open) {
        errno = ENOSYS;
        return -1;
    }

    va_start(args, n);
    for (i = 0; i < 6; i++) { v[i] = va_arg(args, long); }
    va_end(args);

    *(void **) &real = dlsym(RTLD_NEXT, "syscall");

    return real(n, v[0], v[1], v[2], v[3], v[4], v[5]);
}
EOF_C
    close $cc or die 'the shim does not compile';

    local $ENV{TEST_NGINX_LD_PRELOAD} = $so;
    my $m = nginx();

    is_deeply json($m->get(query('/run', argv => ['sh', '-c', 'cat; echo e >&2; exit 3'],
        input => 'i'))), { rc => 0, error => '', status => 3, signal => 0, output => 'i',
        errors => "e\n" }, 'without pidfds: a program';
    is json($m->get(query('/run', argv => ['sleep', '1000'], deadline => 300)))->{rc}, -2,
        '... its end';
    is json($m->get(query('/run', argv => ['sh', '-c', "trap '' TERM; sleep 1000"], grace => 100,
        deadline => 300)))->{rc}, -2, '... with a grace';
    is json($m->get('/through?bytes=3000000'))->{n}, 3_000_000, '... streams';
    is json($m->get('/call?fn=adds&n=4'))->{sum}, 10, '... a function';
    is json($m->get('/busy'))->{signal}, 9, '... a signal';

    my $since = $m->mark;
    my $c = $m->connect->send_request('GET', '/left?how=waits');
    ok $m->wait_for_log(qr/<left \d+>.*<left \d+>/s, 20, $since), '... two that are left';
    is pidfds($m), 0, '... not watched by a pidfd';
    $c->reset;
    ok gone($m->log($since) =~ /<left (\d+)>/g), '... are gone';

    # one that is in the middle of its start when the worker is told to go
    my ($worker) = $m->workers;
    my @begun;
    $c = $m->connect->send_request('GET', query('/run', argv => ['sleep', '1001']));
    ok $m->wait_until(sub { return @begun = `cat /proc/$worker/task/*/children` =~ /(\d+)/g }, 20),
        'one that has just begun';
    $m->allow(qr/runs still: the worker exits without its thread/);
    $m->term;
    ok gone(@begun), '... ends with the worker';
}

# ---- a binary of which the system drops LD_PRELOAD

SKIP: {
    skip 'AddressSanitizer needs LD_PRELOAD', 2 if $ENV{TEST_NGINX_ASAN};
    skip 'only root gives a file to another group', 2 if $>;

    my $copy = NginxAsync::Guard::temp_dir('setgid') . '/nginx';
    system('cp', NginxAsync::Env::binary(), $copy) == 0 or die "cp: $?";
    chown 0, scalar getgrnam('daemon'), $copy;
    chmod 02755, $copy;

    local $ENV{TEST_NGINX_BINARY} = $copy;
    my $m = nginx();
    is json($m->get('/call?fn=adds&n=4'))->{error}, '"process:adds" did not begin: has the binary '
        . 'of nginx set-id bits or file capabilities?', 'a binary with set-id bits';
    is run_of($m, argv => 'true')->{rc}, 0, '... runs programs';
    $m->stop;
}

# ---- util/async-run

is NginxAsync::run('timeout', 60, "$NginxAsync::Env::Root/util/async-run",
    "$NginxAsync::Env::Root/t/apps/process.c", 'alone'), "10, from a program\n\n", 'util/async-run';

# ---- too few connections

{
    my $m = nginx(connections => 16, allow => [qr/worker_connections are not enough/]);
    my $r = json($m->get('/many'));
    ok $r->{n} > 0 && $r->{n} < 10, 'too few connections of nginx';
    is_deeply [@$r{qw(rc error)}],
        [-1, 'worker_connections are not enough: a process takes up to four'],
        '... the cause says so';
    is run_of($m, argv => ['true'])->{rc}, 0, '... then there are enough again';
    $m->stop;
}

done_testing;
