#!/usr/bin/perl

# util/async-tasks and util/async-gdb.py: what hangs in a worker, alive or dead.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use File::Copy qw(copy move);
use IO::Socket::INET;
use Test::More;

use NginxAsync;
use NginxAsync::Env;
use NginxAsync::Guard;
use NginxAsync::Say qw(line_of);

my $util = "$NginxAsync::Env::Root/util";
my $dir  = NginxAsync::Guard::temp_dir('gdb');
my $asan = NginxAsync::Env::asan();

# AddressSanitizer is loaded into nginx only
delete $ENV{LD_PRELOAD};

plan skip_all => 'the kernel does not let this user trace a process'
    if gdb($$, 'print 6 * 7') !~ /= 42/;

# accepts and never answers
my $silent = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1') or die "listen: $!";

copy("$ENV{TEST_NGINX_APPS}/gdb.so", "$dir/gdb.so") or die "gdb.so: $!";

sub nginx {
    my ($main, %o) = @_;

    my $port = $silent->sockport;

    return NginxAsync->new(%o, conf => { main => "thread_pool default threads=2; $main", http => <<"EOF_CONF",
        async_app $dir/gdb.so;
        async_timeout 2h;
        async_slow 2h;
        async_param url http://127.0.0.1:$port/;
        async_param until $dir/until;
        async_fetch_read_timeout 1h;
EOF_CONF
        server => join '', map { "location = /$_ { async_handler gdb:$_; }\n" }
            qw(sleeps fetches joins blocks holds hello) })->start;
}

# The commands in a gdb of this worker, or core file.
sub gdb {
    my ($of, @commands) = @_;

    return NginxAsync::run('timeout', 120, 'gdb', '-nx', '-q', '-batch', '-iex', 'set debuginfod enabled off',
        '-x', "$util/async-gdb.py", map { ('-ex', $_) } "async open $of", @commands);
}

# ... and what each of them has said.
sub each_of {
    my ($of, @commands) = @_;

    my (undef, @said) = split /^====\n/m, gdb($of, map { ('echo ====\\n', $_) } @commands);

    return @said;
}

sub report { return NginxAsync::run('timeout', 120, "$util/async-tasks", @_) }

# What it says once all of these are in it.
sub report_with {
    my ($n, $of, @patterns) = @_;

    my $out;

    $n->wait_until(sub {
        $out = report($of);
        return !grep { $out !~ $_ } @patterns;
    });

    return $out;
}

# The lines of one task, from the first to the last of its backtrace.
sub of_task {
    my ($out, $first) = @_;

    return $out =~ /^((?: *)task \d+  $first.*?)(?:\n\n|\z)/ms ? $1 : "no task $first";
}

# A pattern of frames that follow each other, maybe with others between.
sub frames {
    return join '.*?', map { my ($fn, $line) = @$_; $line ? qr/ $fn \([^\n]*\) at \S*\Q$line\E\n/ : qr/ $fn \(/ } @_;
}

sub at { return line_of('gdb', $_[0]) }

# What must be seen in each report of @hanging.
my @hanging = qw(sleeps fetches joins blocks);

sub shows_tasks {
    my ($out, $what) = @_;

    my $sleep = at('the sleep');
    my $task  = of_task($out, 'gdb:sleeps');
    like $task, qr/waiting in await_sleep at \S*\Q$sleep\E$/m, "$what: a task, its await and the place of that";
    like $task, qr/"GET \/sleeps\?\\xe4 HTTP\/1\.1", client 127\.0\.0\.1, began \d/, '... its request, without what terminals obey';
    like $task, qr/deadline in 1\d\d min, of the request/, '... its deadline';
    my $calls = frames(['await_sleep_at'], ['wait_for_note', $sleep], ['read_note', at('the call of the sleep')],
        ['sleeps', at('the call of the reader')], ['ngx_async_coro_main']);
    like $task, qr/$calls/s, '... the functions that it has gone through';

    my $fetch = at('the fetch');
    $task  = of_task($out, 'gdb:fetches');
    $calls = frames(['await_fetch_at'], ['fetches', $fetch]);
    like $task, qr/waiting in await_fetch at \S*\Q$fetch\E$/m, '... one that waits for another server';
    like $task, qr/its await ends in \d+ min/, '... and for how long yet';
    like $task, qr/$calls/s, '... with its functions';

    my ($join, $spawn, $await) = map { at($_) } 'the join', 'the spawn', 'the await of the child';
    my ($number) = $out =~ /^task (\d+)  gdb:joins  waiting in await_join at \S*\Q$join\E$/m;
    $number //= 0;
    $task = of_task($out, 'child of gdb:joins: child');
    ok $number, '... one that waits for its child';
    like $task, qr/^task @{[$number + 1]}  .* waiting in await_event at \S*\Q$await\E$/m, '... the child behind it';
    like $task, qr/spawned at \S*\Q$spawn\E$/m, '... with its place of birth';
    $calls = frames(['await_event_at'], ['child', $await]);
    like $task, qr/$calls/s, '... and its functions';

    my ($threads) = $out =~ /^threads:\n(.*?)\n\n/ms;
    $calls = frames(['poll_a_device', at('the thread')], ['blocks']);
    like $threads, qr/^thread \d+  a job of gdb:blocks in the pool "default", running\n.*$calls/ms,
        '... a thread, its job and its functions';
    like $threads, qr/^idle, or not of the module: 1$/m, '... and one that has none';

    like $out, qr/^stacks of \d+ bytes: 5 in use/m, '... the stacks';
    like $out, qr/^    gdb:hello: runs: 1, \d+ bytes of stack at most$/m, '... and what functions have had of them';
}

# ---- a worker that is alive

{
    my $n   = nginx('');
    my $pid = $n->worker;

    is $n->get('/hello')->status, 200, 'a worker serves';
    my @c   = map { $n->connect->send_request('GET', "/$_?\xe4") } @hanging;
    my $out = report_with($n, $pid, qr/await_fetch at/, qr/child of/, qr/job of gdb:blocks.*running/);

    shows_tasks($out, 'a worker');
    like $out, qr/^the loop, .* after its last turn:\n.*?\bepoll_wait/m, '... and the loop, which waits';
    is $n->get('/hello')->status, 200, '... and goes on serving';
    is $n->worker, $pid, '... the same one';

    push @c, map { $n->connect->send_request('GET', '/sleeps') } 1 .. 3;
    $out = report_with($n, $n->master, qr/(?:^task \d+  gdb:sleeps.*?){4}/ms);
    like $out, qr/^worker $pid: 8 tasks$/m, 'the master: its workers';
    is scalar(() = $out =~ / wait_for_note \(/g), 1, '... and tasks that are alike have one backtrace';

    my ($number) = $out =~ /^task (\d+)  gdb:sleeps/m;
    my ($all, $one, $none, $tasks, $requests, @selected) = each_of($pid, 'async bt all', "async bt $number",
        'async bt 99', 'async tasks', 'async requests', "async select $number", 'bt', 'frame function wait_for_note',
        'print *note', 'async select', 'bt');

    is scalar(() = $all =~ / wait_for_note \(/g), 4, 'async bt all: each has its own';
    is scalar(() = $one =~ /^task /mg), 1, 'async bt: of one task';
    like $one, qr/ wait_for_note \(/, '... its backtrace';
    like $none, qr/Tasks are numbered from 1 to 8/, '... and a number that none has';

    like $tasks, qr/^task \d+  gdb:joins.*?^    task \d+  child of gdb:joins/ms, 'async tasks: children are indented';
    unlike $tasks, qr/^ *#/m, '... and there is no backtrace';
    is scalar(() = $requests =~ /^task \d+  "GET /mg), 7, 'async requests';

    like $selected[1], qr/ wait_for_note \(/, 'async select: gdb in that task';
    like $selected[3], qr/number = 42, title = 0x\w+ "first"/, '... with its variables';
    unlike $selected[5], qr/ wait_for_note \(/, '... and back';
    like $selected[5], qr/^#0 .*epoll_wait/m, '... in the loop';

    is $n->get('/hello')->status, 200, 'and the worker serves';
    is $n->worker, $pid, '... the same one';

    # the fds of gdb itself are pipes by the same numbers
    $out = NginxAsync::run('timeout', 60, 'gdb', '-nx', '-q', '-batch', '-iex', 'set debuginfod enabled off',
        '-p', $pid, '-ex', 'info address poll_a_device');
    like $out, qr/"poll_a_device" is a function at/, 'gdb alone knows the functions of an app';

    my $h = $n->connect->send_request('GET', '/holds');
    $out = report_with($n, $pid, qr/ spin \(/);
    my $calls = frames(['spin', at('the loop')], ['holds']);
    like $out, qr/^the loop, [^\n]*\n.*?$calls/ms, 'a handler that holds the loop is seen there';
    like of_task($out, 'gdb:holds'), qr/running.*it runs/s, '... and named as a task';
    $n->write_file("$dir/until", "");
    is $h->response->status, 200, '... and ends as if nothing had been';
    unlink "$dir/until";

    undef @c;
    $n->stop;
}

# ---- what cannot be looked at

{
    my $n = nginx('');

    is report(0), "async-tasks: there is no process 0\n", 'no process of that number';
    is report("$dir/none"), "async-tasks: there is no file $dir/none\n", '... no core file';
    like report($$), qr/This program has no nginx-async/, 'a process that is no nginx';
    isnt $?, 0, '... has its exit status';
    $n->stop;
}

{
    my ($module) = grep { /http_async/ } split ' ', $ENV{TEST_NGINX_LOAD_MODULES};
    my $stripped = "$dir/ngx_http_async_module.so";
    is NginxAsync::run('strip', '-o', $stripped, $module), '', 'a module without debug information';
    chmod 0755, $dir;

    local $ENV{TEST_NGINX_LOAD_MODULES} = $stripped;
    my $n = nginx('');
    like report($n->worker), qr/was built without debug information/, '... which is said';
    is $n->get('/hello')->status, 200, '... and the worker serves';
    $n->stop;
}

# ---- core files

SKIP: {
    skip 'a core file of AddressSanitizer has terabytes of shadow memory', 1 if $asan;

    mkdir "$dir/cores";
    chmod 0777, "$dir/cores";
    chmod 0755, $dir;

    my $n   = nginx("worker_rlimit_core 4g; working_directory $dir/cores;");
    my $pid = $n->worker;

    $n->get('/hello');
    my @c = map { $n->connect->send_request('GET', "/$_?\xe4") } @hanging;
    report_with($n, $pid, qr/await_fetch at/, qr/child of/, qr/job of gdb:blocks.*running/);

    gdb($pid, "generate-core-file $dir/of gcore");
    like report("$dir/of gcore"), qr/waiting in await_sleep|The stacks of tasks are not in this core file/,
        'a core file that gdb has written, with the stacks or a word about them';

    $n->kill_worker('ABRT');
    my ($core) = glob "$dir/cores/*";

    SKIP: {
        chomp(my $pattern = NginxAsync::Env::slurp('/proc/sys/kernel/core_pattern'));
        skip "the kernel's core files go elsewhere: $pattern", 1 if $pattern =~ m{^[|/]};

        ok $core, 'the kernel writes a core file' or last SKIP;
        move($core, "$dir/a core");
        my $out = report("$dir/a core");
        shows_tasks($out, 'a core file');
        like $out, qr/^worker $pid \(a core file\): 5 tasks$/m, '... of which it is said';
        is report("$dir/a core", NginxAsync::Env::binary()), $out, '... the same with the program';

        move(NginxAsync->build_app("#include <ngx_async.h>\n"
            . 'ASYNC_HANDLER(hello) { return async_text(req, 200, "other\n"); }', 'other'), "$dir/gdb.so");
        $out = report("$dir/a core");
        like $out, qr{^\Q$dir\E/gdb\.so is not the file that the worker had loaded}m,
            '... an app that is another one by now is told';
        like of_task($out, 'gdb:sleeps'), qr/ await_sleep_at \(.* in \?\? \(\)/s, '... and nothing is taken from it';
    }

    undef @c;
    $n->stop;
}

done_testing;
