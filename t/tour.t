#!/usr/bin/perl

# The examples of the tutorials, as a user runs them: util/run serves the
# tour, util/async-run runs the tasks, and what the READMEs show is true.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use POSIX ();
use Test::More;
use Time::HiRes qw(sleep);

use NginxAsync;

my $top = $NginxAsync::Env::Root;
my $dir = NginxAsync::Guard::temp_dir('tour');

# Scripts put their folders here, so that what they leave can be seen.
mkdir "$dir/tmp" and chmod 0777, "$dir/tmp";

# Built once; later runs take it from the environment.
$ENV{TEST_NGINX_LOAD_MODULES} //= join ' ', NginxAsync::Env::modules();
$ENV{ASAN} = 1 if NginxAsync::Env::asan();
$ENV{TEST_NGINX_LD_PRELOAD} = NginxAsync::Env::preload()
    if $ENV{TEST_NGINX_LD_PRELOAD};

# A command in a group of its own, with its output in files.
sub launch {
    my ($name, @command) = @_;

    NginxAsync::Guard::tell_watchdog('hello');
    my $pid = fork() // die "fork: $!";

    if ($pid == 0) {
        NginxAsync::Guard::enlist();
        $ENV{TMPDIR} = "$dir/tmp";
        $SIG{$_} = 'DEFAULT' for qw(HUP INT TERM);
        open STDIN,  '<', '/dev/null';
        open STDOUT, '>', "$dir/$name.out";
        open STDERR, '>', "$dir/$name.err";
        exec @command or POSIX::_exit(127);
    }

    return { pid => $pid, out => "$dir/$name.out", err => "$dir/$name.err" };
}


sub said { my ($run, $to) = @_; return -f $run->{$to}
    ? NginxAsync::Env::slurp($run->{$to}) : '' }

# passes once the condition holds
sub soon {
    my ($condition, $title) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok(NginxAsync->wait_until($condition, 60), $title);
}


sub ended {
    my ($run, $bound) = @_;

    NginxAsync->wait_until(sub {
        waitpid($run->{pid}, POSIX::WNOHANG()) == $run->{pid} or return 0;
        $run->{status} = $?;
        return 1;
    }, $bound // 60) or do { kill 'KILL', -$run->{pid}; return 'never' };

    NginxAsync::Guard::forget($run->{pid});

    return $run->{status} & 127 ? "signal $run->{status}"
        : $run->{status} >> 8;
}


sub left_over {
    my @left = glob "$dir/tmp/*";

    for my $file (glob '/proc/[0-9]*/cmdline') {
        my $line = NginxAsync::Server::read_or_empty($file);
        push @left, $line if $line =~ m{\Q$dir\E/tmp};
    }

    return @left;
}


sub task { my ($name, @args) = @_;
    return launch($name, "$top/util/async-run", @args) }

my $asyncio = "$top/examples/asyncio/asyncio.c";

# ---- the tasks, all at once: each takes seconds

NginxAsync::Env::spew("$dir/own.c", <<'EOF_C');
#include <stdio.h>
#include <stdlib.h>
#include <ngx_async.h>

ASYNC_TASK(fails)
{
    printf("before\n");
    ASYNC_TRY(await_yield(co));
    return ASYNC_BUSY;
}

ASYNC_TASK(at_once)
{
    *(const char **) arg = getenv("TOUR_VALUE");
    return ASYNC_OK;
}

ASYNC_TASK(waits)
{
    printf("waiting\n");
    ASYNC_TRY(await_sleep(co, 60000));
    printf("not reached\n");
    return ASYNC_OK;
}

ASYNC_HANDLER(hello)
{
    return async_text(req, 200, "hello");
}
EOF_C

my $own = NginxAsync->build_app("$dir/own.c");

$ENV{TOUR_VALUE} = 'from outside';

my %task = map { $_->[0] => task(@$_) } (
    ['main',         $asyncio, 'main'],
    ['no name',      $asyncio],
    ['fetch_data',   $asyncio, 'fetch_data'],
    ['my_coroutine', $asyncio, 'my_coroutine'],
    ['example',      $asyncio, 'example'],
    ['tour_fetch',   "$top/examples/tour/tour.c", 'fetch_data'],
    ['fails',        $own, 'fails'],
    ['at_once',      $own, 'at_once'],
    ['unknown',      $asyncio, 'mian'],
    ['kind',         $own, 'hello'],
    ['no app',       "$dir/none.so", 'main'],
    ['int',          $own, 'waits'],
    ['term',         $own, 'waits'],
);

sub task_is {
    my ($name, $status, $out, $err, $title) = @_;

    my $run = $task{$name};

    is ended($run), $status, "$title: exit status";
    is said($run, 'out'), $out, "$title: output";
    like said($run, 'err'), $err, "$title: standard error";
}


# what is printed is seen while the task waits
soon(sub { said($task{my_coroutine}, 'out') =~ /^Step 1\n/ },
    'the code before an await has run');

for my $signal (qw(int term)) {
    soon(sub { said($task{$signal}, 'out') eq "waiting\n" },
        "$signal: it waits");
    kill uc $signal, $task{$signal}{pid};
}

task_is 'int',  130, "waiting\n", qr/\A\z/, 'Ctrl-C ends a task quietly';
task_is 'term', 143, "waiting\n", qr/\A\z/, 'TERM ends a task quietly';
task_is 'unknown', 2, '',
    qr/no app has a task "mian", did you mean "main"\?/,
    'a function that is not there';
task_is 'kind', 2, '', qr/takes a task, but "own:hello" is a handler/,
    'a function of the wrong kind';
task_is 'no app', 2, '', qr/there is no file/, 'an app that is not there';
task_is 'fails', 1, "before\n", qr/task "own:fails" failed: ASYNC_BUSY/,
    'a task that fails';
task_is 'at_once', 0, "from outside\n", qr/\A\z/,
    'a task that awaits nothing, and the environment';
task_is 'my_coroutine', 0, "Step 1\nStep 2\n", qr/\A\z/, 'my_coroutine';
task_is 'tour_fetch', 0, "Data loaded\n", qr/\A\z/, 'the tour';
task_is 'example', 0, "Before await\nAfter await\n", qr/\A\z/, 'example';
task_is 'fetch_data', 0, "Data received\n", qr/\A\z/, 'fetch_data';
task_is 'main', 0, "Data received\n", qr/\A\z/, 'main';
task_is 'no name', 0, "Data received\n", qr/\A\z/, 'main is what is run';

is_deeply [left_over()], [], 'async-run leaves nothing';

# ---- the tour

sub run_tour {
    my ($name, @options) = @_;

    my $run = launch($name, "$top/util/run", '--no-install', '--for=100',
        @options);

    NginxAsync->wait_until(sub {
        said($run, 'out') =~ m{^http://127\.0\.0\.1:(\d+) .*Ctrl-C}ms
            or return waitpid($run->{pid}, POSIX::WNOHANG());
        $run->{port} = $1;
        return 1;
    }, 100);

    $run->{port} or BAIL_OUT("util/run: " . said($run, 'err'));

    return $run;
}


my $tour   = run_tour('tour', 'tour');
my $second = run_tour('second');

isnt $second->{port}, $tour->{port}, 'two at once have a port each';

sub connection {
    return NginxAsync::Connection->new(port => $tour->{port}, timeout => 30);
}

like connection()->request('GET', '/openapi.json')->body,
    qr{"/calculate/\{number\}":\{"get":.*"/notes/":\{"get":}, 'the routes, for programs';
like connection()->request('GET', '/docs')->body, qr{^<!DOCTYPE html>}, 'and for people';
like connection()->request('GET', '/async/status')->body, qr{^\{"nginx":.*"tour:hello":\{},
    'what it is doing';

my %answer = (
    '/data'              => '{"message":"Hello, world"}',
    '/async-example'     => '{"status":"This is async"}',
    '/sync-example'      => '{"status":"This is sync"}',
    '/async'             => '{"type":"async"}',
    '/sync'              => '{"type":"sync"}',
    '/hello'             => '{"message":"Hello!"}',
    '/delayed'           => '{"message":"Waited 3 seconds"}',
    '/slow-non-blocking' => '{"message":"Done sleeping asynchronously."}',
    '/slow-blocking'     => '{"message":"Done sleeping."}',
    '/load-data'         => '{"data":"Data loaded"}',
    '/calculate/1'       => '{"number":1,"result":6156266}',
    '/calculate/3'       => '{"number":3,"result":18488502}',
    '/calculate/10'      => '{"number":10,"result":61640696}',
    '/calculate/0'       => '{"number":0,"result":0}',
    '/calculate/-3'      => '{"number":-3,"result":0}',

    '/mixed' => '{"sync_dep":{"dep":"sync"},"async_dep":{"dep":"async"},'
        . '"sync_calc":305172}',

    '/external'          => '{"data":[1,2,3]}',
    '/call-other-api'    => '{"status":200}',
    '/call-external-api' => '{"external":{"userId":1,"id":1,"title":'
        . '"delectus aut autem","completed":false},"message":"Data fetched"}',

    '/notes/'  => '[{"id":1,"text":"a","completed":true},'
        . '{"id":2,"text":"b","completed":false}]',
    '/items/1' => '{"id":1,"name":"Foo"}',
    '/items/7' => 'null',

    # -10 ** 18, whose product is beyond 64 bits
    '/calculate/-1000000000000000000'
        => '{"number":-1000000000000000000,"result":0}',

    '/calculate/abc' => '{"detail":[{"type":"int_parsing",'
        . '"loc":["path","number"],"msg":"Input should be a valid integer, '
        . 'unable to parse string as an integer","input":"abc"}]}',
);

sub answer_is {
    my ($uri, $r) = @_;

    is $r->status, $uri =~ /abc/ ? 422 : 200, "$uri: status";
    is $r->header('Content-Type'), 'application/json', "$uri: Content-Type";
    is $r->body, $answer{$uri}, "$uri: body";
}


# in the order in which they answer; the last two sleep equally long
my @slow = qw(/load-data /delayed /slow-non-blocking /slow-blocking);
my (%waiting, $started);

$started = Time::HiRes::time;
$waiting{$_} = connection()->send_request('GET', $_) for reverse @slow;

for my $uri (qw(/data /async-example /sync-example /async /sync /hello
    /external /call-other-api /call-external-api /notes/ /items/1 /items/7))
{
    answer_is($uri, connection()->request('GET', $uri));
}

ok !IO::Select->new(map { $_->socket } values %waiting)->can_read(0),
    'all that was in between, and the slow ones still wait';

# a connection each: the later ones have nothing yet when the earlier answer
while (my $uri = shift @slow) {
    answer_is($uri, $waiting{$uri}->response);
    @slow > 1 or next;
    ok !IO::Select->new($waiting{$_}->socket)->can_read(0),
        "$_ still waits then" for @slow;
}

cmp_ok Time::HiRes::time - $started, '>=', 4.9, 'and no one before its time';

# more than anybody waits for
my $absurd = connection()->send_request('GET', '/calculate/9' . '0' x 18);

for my $uri ('/hello', sort grep { /calculate/ } keys %answer) {
    answer_is($uri, connection()->request('GET', $uri));
}

ok !IO::Select->new($absurd->socket)->can_read(0),
    'a number without end keeps its thread busy, and nobody else';
$absurd->close;

is connection()->request('GET', '/nothing')->body, '{"detail":"Not Found"}',
    'what is no route';

is connection()->request('GET', '/notes')->header('Location'), '/notes/',
    'a slash that is missing';
$answer{'/notes'} = $answer{'/notes/'};

like said($tour, 'out'), qr{^  curl http://127.0.0.1:$tour->{port}/hello$}m,
    'it says what to try';
my $twos = () = said($tour, 'out') =~ /^Two at once/mg;
is $twos, 1, '... and once that two do not wait for each other';

for (['TERM', 143, $tour], ['INT', 130, $second]) {
    my ($signal, $status, $run) = @$_;

    kill $signal, $run->{pid};
    is ended($run), $status, "util/run ends on $signal";

    # the thread of the number without end may not have looked yet whether its
    # client has gone
    my $err = said($run, 'err') =~ s/^.*"tour:calculate" runs still: .*\n//mr;
    is $err, '', "... and has nothing to complain about";
}

is_deeply [left_over()], [], 'util/run leaves nothing';

my $killed = run_tour('killed');
kill 'KILL', $killed->{pid};
ended($killed);
soon(sub { !left_over() }, 'nor when it is killed');

my $short = launch('short', "$top/util/run", '--no-install', '--for=1');
is ended($short), 0, 'it stops by itself';
is_deeply [left_over()], [], '... and leaves nothing';

is ended(launch('none', "$top/util/run", 'nix')), 1, 'an unknown example';

# ---- what the READMEs show of the examples

sub consoles {
    my ($file) = @_;

    my $text = NginxAsync::Env::slurp("$top/$file");
    my @found;

    for my $block ($text =~ /^```console\n(.*?)^```/gms) {
        push @found, [$1, $2]
            while $block =~ /^\$ ([^\n]*)\n((?:[^\$].*\n)*)/mg;
    }

    return @found;
}

for my $example (qw(tour asyncio)) {
    for (consoles("examples/$example/README.md")) {
        my ($command, $out) = @$_;

        if ($command =~ /^curl /) {
            my @uris = reverse $command =~ m{:8000(/[^\s;]+)}g;
            is join('', map { "$answer{$_}\n" } @uris), $out,
                "$example/README.md: $command";

        } elsif ($command =~ m{async-run \S+/(\w+)\.c (\w+)$}) {
            my $name = $1 eq 'tour' ? 'tour_fetch'
                : $2 eq 'mian' ? 'unknown' : $2;
            is said($task{$name}, 'out') . said($task{$name}, 'err'), $out,
                "$example/README.md: $command";
        }
    }
}

# ---- README.md: its first app by the steps that it shows, then all its code

my $readme = NginxAsync::Env::slurp("$top/README.md");
my @code   = $readme =~ /^```c\n(.*?)^```/gms;
my @conf   = $readme =~ /^```nginx\n(.*?)^```/gms;

subtest 'README.md: the first app' => sub {
    my ($source) = grep { m{^/\* notes\.c \*/} } @code;
    my ($conf)   = grep { /^# notes\.conf/ } @conf;

    mkdir "$dir/notes";
    NginxAsync::Env::spew("$dir/notes/notes.c", $source);
    my $so = NginxAsync->build_app("$dir/notes/notes.c");

    # the harness has its own
    $conf =~ s/^(?:load_module|pid) .*//mg;
    $conf =~ s/listen\s+\d+/listen 127.0.0.1:\$TEST_NGINX_SERVER_PORT/;
    $conf =~ s/notes\.so;/$so;/;

    my $nginx = NginxAsync->new(conf => $conf, allow => qr/no app has|is not t/)
        ->start;
    my $shown = 0;

    for (consoles('README.md')) {
        my ($command, $out) = @$_;
        my ($args, $uri) = $command =~ m{^curl (.*?)\S+:8080(\S+)$} or next;
        my ($body) = $args =~ /--json '(.*?)'/;

        my $r = $nginx->request(defined $body ? 'POST' : 'GET', $uri,
            body => $body, headers => ['Content-Type', 'application/json']);

        is $r->body . "\n", $out, $command;
        $shown++;
    }

    is $shown, 6, 'all that it shows';

    my ($ok) = $nginx->conf_test;
    is $ok, 0, 'nginx -t';

    (my $misspelt = $conf) =~ s/read_note;/read_nots;/;
    my ($status, $said) = $nginx->conf_test($misspelt);
    my ($shows) = $readme =~ /^    (no app has .*\?)/m;
    like $said, qr/\Q$shows\E/, 'and what it says of a name that is not there';

    (my $unquoted = $conf) =~ s/"//g;
    ($status, $said) = $nginx->conf_test($unquoted);
    like $said, qr/"async_route" is not terminated by ";"/, 'and of braces';

    $nginx->stop;
};

subtest 'README.md: all its code' => sub {
    ok index(NginxAsync::Env::slurp("$top/examples/tour/tour.c"),
        $code[0] =~ s/^#include.*\n\n//r) > 0, 'the first lines are the tour';

    mkdir "$dir/all";
    NginxAsync::Env::spew("$dir/all/notes.c", join "\n", @code);
    my $so = NginxAsync->build_app("$dir/all/notes.c");

    my $nginx = NginxAsync->new(files => { '404.html' => 'not here' });
    $nginx->write_file('conf/db.password', "secret\n");

    for my $conf (grep { !/^# notes\.conf/ } @conf) {
        my $app = $conf =~ /async_app/ ? '' : "async_app $so;\n";
        my ($name) = $conf =~ /(async_\w+)/ ? $1 : 'nginx alone';

        my ($status, $said) = $nginx->conf_test($conf =~ /^location/
            ? { http => $app, server => $conf }
            : { http => $app . $conf =~ s/notes\.so/$so/r });

        is $status, 0, "the example of $name" or diag $said;
    }

    $nginx->start({ http => "async_app $so;\n", server => <<'EOF_CONF' });
        location / {
            async_route  GET  /notes/   list_notes;
            async_route  GET  /counted  counted;
            async_route  GET  /three    three_lookups;
            async_route  GET  /quick    quick_or_not;
            async_route  GET  /sign-up  sign_up;
            async_route  GET  /count    count_down;
            async_route  GET  /profile  profile;
            async_route  GET  /copy     passed_on;
        }
        location = /api/user { return 200 '{"name":"$arg_name"}'; }
        location = /large    { return 200 'a large text'; }
EOF_CONF

    is $nginx->get('/notes/?limit=3&done=yes')->body,
        '{"limit":3,"done":true}', 'parameters';
    like $nginx->get('/notes/?limit=x&done=x')->body,
        qr/int_parsing.*bool_parsing/, 'all errors of parameters at once';
    is $nginx->get('/counted')->body, '{"waiting":0}', 'an await by hand';
    is $nginx->get('/three')->body, '[10,20,30]', 'several at once';
    is $nginx->get('/quick')->body, 'Something cached.', 'a deadline';
    is $nginx->get('/sign-up')->status, 202, 'a background task';
    ok $nginx->wait_for_log(qr/user 7: Welcome!/), '... which runs';
    is $nginx->get('/count')->body, join('', map { "data: $_\n\n" } 3, 2, 1),
        'events';
    is $nginx->get('/profile?name=Ada')->body, '{"user":{"name":"Ada"}}',
        'a subrequest';
    is $nginx->get('/copy')->body, 'a large text', '... in pieces';
    $nginx->stop;
};

# ---- what the other example's nginx.conf is for

my $conf = NginxAsync::Env::slurp("$top/examples/asyncio/nginx.conf");
my $so   = NginxAsync->build_app($asyncio);

$conf =~ s/^load_module .*//m;
$conf =~ s/asyncio\.so;/$so;/;
$conf =~ s/\bmain;/my_coroutine;/;

my $nginx = NginxAsync->new(conf => $conf);
$nginx->start;
soon(sub { !$nginx->running }, 'async_run: nginx ends with its task');
is $nginx->exit_status, 0, 'async_run: with its code';
is $nginx->{server}->output, "Step 1\nStep 2\n", 'async_run: its output';
$nginx->stop;

done_testing;
