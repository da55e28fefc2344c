#!/usr/bin/perl

# async_app: what is no app is refused, by whatever it does when it is loaded;
# an app may be replaced, overwritten and reloaded while it serves; one binary
# runs everywhere.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(time);
use NginxAsync;

my $cc   = "$NginxAsync::Env::Root/util/async-cc";
my $src  = "$NginxAsync::Env::Root/src";
my $dir  = NginxAsync::Guard::temp_dir('app');
my $asan = NginxAsync::Env::asan();

# constructors of apps write here, as whoever they are
chmod 01777, $dir;

sub run { return NginxAsync::run(@_) }

sub write_source {
    my ($name, $text) = @_;

    NginxAsync::Env::spew("$dir/$name", $text);

    return "$dir/$name";
}


# An app from its text, as a file of this name.
sub app {
    my ($name, $text, @more) = @_;

    my $source = write_source($name =~ s/\.so\z/.c/r, $text);
    my $out    = run($cc, $source, '-o', "$dir/$name", @more);

    die "async-cc $name: $out" if $?;
    chmod 0755, "$dir/$name";

    return "$dir/$name";
}


# By the compiler alone, without what async-cc checks.
sub by_compiler {
    my ($name, $text, @more) = @_;

    my $source = write_source($name =~ s/\.so\z/.c/r, $text);
    my $out    = run('gcc', '-shared', '-fPIC', '-w', "-I$src", $source,
        '-o', "$dir/$name", @more, $asan ? '-fsanitize=address' : ());

    die "gcc $name: $out" if $?;

    return "$dir/$name";
}


sub says {
    my ($text, $handler) = @_;

    $handler //= 'hello';

    return "#include <ngx_async.h>\n"
        . "ASYNC_HANDLER($handler) { return async_text(req, 200, \"$text\"); }\n";
}


my $route = 'location / { async_route GET / hello; }';
my $good  = app('good.so', says('good'));

# One server that must live through all the refusals.
my $n = NginxAsync->new(allow => '[emerg]', conf => {
    http => "async_app $good;", server => $route })->start;
my $worker = $n->worker;

# What nginx -t and a reload say of an app: the same, with file and line.
sub refused {
    my ($title, $file, $pattern, %o) = @_;

    my $conf = { http => "\n\nasync_app $file;  # here",
        server => $o{server} // $route };

    subtest $title => sub {
        my ($status, $out) = $n->conf_test($conf);
        my @lines = split /\n/, $n->read_file('conf/test.conf');
        my ($line) = grep { $lines[$_ - 1] =~ /# here/ } 1 .. @lines;

        is $status, 1, 'nginx -t fails';
        like $out, $pattern, 'says why';
        like $out, qr{ in \S+/conf/test\.conf:$line$}m, 'and where';

        return if $o{once};

        like $n->reload(conf => $conf), $pattern, 'so does a reload';
        is $n->worker, $worker, 'the worker is the same';
        is $n->get('/')->body, 'good', 'and serves';
    };

    $n->write_conf({ http => "async_app $good;", server => $route });
}


# ---- files that are no apps

refused 'a file that does not exist', "$dir/none.so",
    qr{open\(\) "\Q$dir\E/none.so" failed \(2: No such file};

write_source('empty.so', '');
refused 'an empty file', "$dir/empty.so", qr{async app "\Q$dir\E/empty.so": .*file too short};

mkdir "$dir/folder.so";
refused 'a folder', "$dir/folder.so", qr{"\Q$dir\E/folder.so" is not a regular file};

system 'mkfifo', "$dir/fifo.so";
refused 'a FIFO', "$dir/fifo.so", qr{is not a regular file};

write_source('text.so', says('no'));
refused 'a text', "$dir/text.so", qr{text.so": .*invalid ELF header};

SKIP: {
    skip 'ASan takes the signal', 1 if $asan;

    NginxAsync::Env::spew("$dir/cut.so",
        substr NginxAsync::Env::slurp($good), 0, 2000);
    refused 'the beginning of an app', "$dir/cut.so",
        qr{async app "\Q$dir\E/cut.so": };
}

refused 'a library that is no app',
    by_compiler('library.so', "int f(void) { return 1; }\n"),
    qr{it exports nothing: an app includes <ngx_async.h>};

refused 'an app without a handler',
    by_compiler('nothing.so', "#include <ngx_async.h>\n"),
    qr{it exports nothing: .* at least one ASYNC_HANDLER};

SKIP: {
    my ($object) = (write_source('object.so', ''));
    system 'gcc', '-w', '-c', "-I$src", '-fPIC', "$dir/good.c", '-o', $object;
    refused 'an object file that was not linked', $object,
        qr{object.so": .*only ET_DYN and ET_EXEC can be loaded};
}

refused 'an app that depends on what it does not define',
    by_compiler('depends.so', <<'EOF_C'),
#include <ngx_async.h>
ASYNC_USE_DEPENDENCY(settngs, void)
ASYNC_HANDLER(hello, ASYNC_DEPENDS(settngs)) { return async_empty(req, 204); }
EOF_C
    qr{it depends on "settngs", which it does not define};

# ---- apps that do not fit

{
    my $header = NginxAsync::Env::slurp("$src/ngx_async.h");
    $header =~ s/(define ASYNC_ABI +)\d+/${1}77/ or die;
    $header =~ s/(define ASYNC_VERSION +)"[^"]*"/$1"9.8.7"/ or die;

    mkdir "$dir/newer";
    NginxAsync::Env::spew("$dir/newer/ngx_async.h", $header);

    my $source = write_source('abi.c', says('abi'));
    system 'gcc', '-shared', '-fPIC', "-I$dir/newer", $source, '-o', "$dir/abi.so";

    refused 'an app of another ABI', "$dir/abi.so",
        qr{it was compiled for ABI 77 of nginx-async \(version 9.8.7\), this module has ABI \d+ .*compile it again};
}

refused 'an app that calls what this module does not have',
    by_compiler('unknown.so', <<'EOF_C'),
#include <ngx_async.h>
async_rc_t async_teleport(async_req_t *req);
ASYNC_HANDLER(hello) { return async_teleport(req); }
EOF_C
    qr{it calls async_teleport\(\), which this module of version \S+ does not have};

refused 'an app that awaits what this module does not have',
    by_compiler('awaits.so', <<'EOF_C'),
#include <ngx_async.h>
async_rc_t await_godot(async_t *co);
ASYNC_HANDLER(hello) { return await_godot(co); }
EOF_C
    qr{it calls await_godot\(\), which this module};

refused 'an app that lacks a function of another library',
    by_compiler('lacks.so', <<'EOF_C'),
#include <ngx_async.h>
int someone_elses(void);
ASYNC_HANDLER(hello) { return (async_rc_t) someone_elses(); }
EOF_C
    qr{undefined symbol: someone_elses};

by_compiler('libdep.so', "int dep(void) { return 1; }\n");
by_compiler('needs.so', <<'EOF_C', "$dir/libdep.so", '-Wl,--no-as-needed');
#include <ngx_async.h>
int dep(void);
ASYNC_HANDLER(hello) { return (async_rc_t) dep(); }
EOF_C
unlink "$dir/libdep.so";
refused 'an app whose library is missing', "$dir/needs.so",
    qr{libdep.so: cannot open shared object file};

# ---- constructors that misbehave

sub constructor {
    my ($name, $body) = @_;

    return app("$name.so", <<"EOF_C" . says('never'));
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
__attribute__((constructor)) static void begin(void) { $body }
EOF_C
}


SKIP: {
    skip 'ASan takes the signal', 1 if $asan;

    refused 'a constructor that crashes',
        constructor('crashes', 'raise(SIGSEGV);'),
        qr{loading it ends by signal 11};
}

SKIP: {
    skip 'ASan takes the signal', 1 if $asan;

    refused 'a constructor that aborts', constructor('aborts', 'abort();'),
        qr{loading it ends by signal 6};
}

refused 'a constructor that exits', constructor('exits', '_exit(0);'),
    qr{its constructors end the process};

refused 'a constructor that writes to the descriptors that it finds',
    constructor('writes', 'int i; for (i = 3; i < 100; i++) '
        . '{ if (write(i, "5\n", 2)) {} }'),
    qr{async app "\S+writes.so": its (?:description is garbled|constructors)},
    once => 1;

{
    my $start = time;

    refused 'a constructor that hangs',
        constructor('hangs', 'for ( ;; ) pause();'),
        qr{its constructors do not return}, once => 1;

    cmp_ok time - $start, '<', 60, 'which took a bounded time';
}

{
    # for longer than nginx would wait for a constructor
    my $file = constructor('forks', <<"EOF_C");
        FILE  *f;
        pid_t  pid = fork();

        if (pid == 0) {
            close(0); close(1); close(2);
            execl("/bin/sleep", "sleep", "60", (char *) NULL);
            _exit(1);
        }

        f = fopen("$dir/forked", "w");
        fprintf(f, "%d", (int) pid);
        fclose(f);
EOF_C

    my ($status, $out) = $n->conf_test({ http => "async_app $file;",
        server => $route });

    my $pid = NginxAsync::Env::slurp("$dir/forked");
    kill 'KILL', $pid if $pid =~ /^\d+$/;

    is $status, 0, 'a program that a constructor starts holds nothing up'
        or diag $out;
}

# ---- nobody else's rights

subtest 'constructors run with the rights of a worker, and handlers, too' => sub {
    plan skip_all => 'not root' if $>;

    my $file = constructor('rights', <<"EOF_C");
        char text[512]; gid_t groups[64]; int i, n, fd;
        n = getgroups(64, groups);
        snprintf(text, sizeof(text), "%d %d %d %d %d", (int) getpid(),
                 (int) getuid(), (int) geteuid(), (int) getgid(),
                 (int) getegid());
        for (i = 0; i < n; i++)
            snprintf(text + strlen(text), 20, " %d", (int) groups[i]);
        strcat(text, "\\n");
        fd = open("$dir/rights", O_WRONLY|O_CREAT|O_APPEND, 0666);
        if (write(fd, text, strlen(text))) {}
        close(fd);
EOF_C

    my $m = NginxAsync->new(workers => 2, conf => {
        http => "async_app $file;", server => $route });

    my ($status) = $m->conf_test;
    is $status, 0, 'nginx -t';

    my @tested = split /\n/, NginxAsync::Env::slurp("$dir/rights");
    is @tested, 1, 'runs them once';

    $m->start;
    is $m->get('/')->body, 'never', 'it serves';
    is $m->reload, undef, 'and after a reload';

    my @runs = map { [split ' '] } split /\n/,
        NginxAsync::Env::slurp("$dir/rights");

    cmp_ok @runs, '>=', 6, 'in nginx -t, at the start, at the reload, in workers';

    is_deeply [grep { $_->[0] == $m->master } @runs], [],
        'never in the master';
    is_deeply [grep { grep { $_ == 0 } @$_[1 .. $#$_] } @runs], [],
        'never with an id or a group of root';

    my %groups = map { CORE::join(' ', @$_[1 .. $#$_]) => 1 } @runs;
    is keys %groups, 1, 'and always with the same';

    $m->stop;
};

$n->stop;

# ---- replacing

subtest 'a replaced app serves after the next reload' => sub {
    my $file = app('replaced.so', says('version 1'));
    my $m = NginxAsync->new(conf => { http => "async_app $file;",
        server => $route })->start;

    is $m->get('/')->body, 'version 1', 'before';

    for my $version (2 .. 5) {
        app('replaced.so', says("version $version"));
        is $m->get('/')->body, 'version ' . ($version - 1),
            'not before the reload';
        is $m->reload, undef, "reload $version";
        is $m->get('/')->body, "version $version", 'and after it';
    }

    unlink $file;
    is $m->get('/')->body, 'version 5', 'a removed file serves on';
    $m->kill_worker('KILL');
    is $m->get('/')->body, 'version 5', 'in a new worker, too';
    $m->stop;
};


subtest 'an app may be overwritten in place while it serves' => sub {
    my $text = <<'EOF_C';
#include <ngx_async.h>
static volatile int  touched[65536] = { VERSION };
ASYNC_HANDLER(slow) {
    int i, sum = 0;
    ASYNC_TRY(await_body(co, req, &(async_str_t){0}));
    for (i = 0; i < 65536; i += 512) sum += touched[i];
    return async_json(req, 200, json_integer(sum));
}
EOF_C

    my $old = app('v1.so', $text =~ s/VERSION/1/r);
    my $new = app('v2.so', ($text =~ s/VERSION/2/r) . says('v2'));

    system 'cp', $old, "$dir/live.so";

    my $m = NginxAsync->new(conf => { http => "async_app $dir/live.so;",
        server => 'location / { async_route POST /slow slow; }' })->start;

    my @open = map { $m->connect } 1 .. 5;
    $_->send("POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n1")
        for @open;

    is $m->post('/slow', 'x')->body, '1', 'before';

    # cp opens with O_TRUNC: what is mapped of the file would be SIGBUS now
    system 'cp', $new, "$dir/live.so";
    is $m->post('/slow', 'x')->body, '1', 'the old code serves on';

    NginxAsync::Env::spew("$dir/live.so", '');
    is $m->post('/slow', 'x')->body, '1', 'also over an empty file';

    system 'cp', $new, "$dir/live.so";
    is $m->reload, undef, 'reload';
    is $m->post('/slow', 'x')->body, '2', 'new requests get the new code';

    $_->send('2') for @open;
    is_deeply [map { $_->response->body } @open], [(1) x 5],
        'and old requests the old one';

    $_->close for @open;
    $m->stop;
};

# ---- several

subtest 'two apps with functions of the same names' => sub {
    my $text = <<'EOF_C';
#include <ngx_async.h>
static int  calls;
int  shared_calls;
const char *name_of(void) { return "NAME"; }
ASYNC_HANDLER(hello) {
    calls++; shared_calls += 10;
    return async_json(req, 200, json_pack("[s, i, i]", name_of(), calls,
                                          shared_calls));
}
EOF_C
    my $a = app('a.so', $text =~ s/NAME/a/r);
    my $b = app('b.so', $text =~ s/NAME/b/r);

    my $m = NginxAsync->new(conf => { http => "async_app $a; async_app $b;",
        server => <<'EOF_CONF' })->start;
        location / { async_route GET /a a:hello; async_route GET /b b:hello; }
EOF_CONF

    is $m->get('/a')->body, '["a",1,10]', 'the one';
    is $m->get('/b')->body, '["b",1,10]', 'the other';
    is $m->get('/a')->body, '["a",2,20]', 'and the one again';
    $m->stop;
};


subtest 'one file under two names is two apps' => sub {
    my $file = app('twice.so', <<'EOF_C');
#include <ngx_async.h>
static int  calls;
ASYNC_HANDLER(count) { return async_json(req, 200, json_integer(++calls)); }
EOF_C

    my $m = NginxAsync->new(conf => {
        http => "async_app $file; async_app $file name=again;",
        server => <<'EOF_CONF' })->start;
        location / { async_route GET /a twice:count;
                     async_route GET /b again:count; }
EOF_CONF

    is_deeply [map { $m->get($_)->body } qw(/a /a /b /a)], [1, 2, 1, 3],
        'each with data of its own';
    $m->stop;
};


subtest "an app calls its own functions, not nginx's of the same name" => sub {
    my $file = app('names.so', <<'EOF_C');
#include <ngx_async.h>
int compress(void) { return 1; }
int ngx_atoi(void) { return 2; }
int async_count(void) { return 3; }
int RAND_bytes = 4;
ASYNC_HANDLER(hello) {
    return async_json(req, 200, json_pack("[i,i,i,i]", compress(), ngx_atoi(),
                                          async_count(), RAND_bytes));
}
EOF_C

    my $m = NginxAsync->new(conf => { http => "async_app $file;",
        server => $route })->start;

    is $m->get('/')->body, '[1,2,3,4]', 'its own';
    $m->stop;
};


subtest 'a name with odd characters' => sub {
    my $file = app('odd name+1.so', says('odd'));
    my $m = NginxAsync->new(conf => { http => qq{async_app "$file";},
        server => 'location / { async_route GET / "odd name+1:hello"; }' })
        ->start;

    is $m->get('/')->body, 'odd', 'is that of the file';
    $m->stop;
};


subtest 'a relative path is from the prefix' => sub {
    my $m = NginxAsync->new(conf => { http => 'async_app apps/rel.so;',
        server => $route });

    mkdir $m->root . '/apps';
    system 'cp', $good, $m->root . '/apps/rel.so';
    $m->start;

    is $m->get('/')->body, 'good', 'whatever the current folder is';
    $m->stop;
};


subtest 'an app in C++' => sub {
    my $m = NginxAsync->new(conf => {
        http => 'async_app $TEST_NGINX_APPS/two.so;', server => <<'EOF_CONF' })
        location / {
            async_route GET "/hello/{name}" cpp_hello;
            async_route GET /await cpp_await;
            async_route GET /throw cpp_throw;
        }
EOF_CONF
        ->start;

    is $m->get('/hello/you')->body, 'C++ says hello to you', 'strings';
    is $m->get('/await')->body, '{"alive":1,"length":1000}', 'objects survive an await';
    is $m->get('/await')->body, '{"alive":1,"length":1000}', 'and are destroyed';

    SKIP: {
        # it looks for the C++ library before there is one
        skip 'ASan below a program in C knows no exceptions', 2 if $asan;

        my $r = $m->get('/throw');
        is $r->status, 400, 'an exception is caught on the stack of a coroutine';
        is $r->body, '{"detail":"caught"}', 'where it says';
    }

    $m->stop;
};


subtest 'an app of several source files, in C and C++' => sub {
    write_source('part1.c', <<'EOF_C');
#include <ngx_async.h>
int from_part2(void);
static int same(void) { return 1; }
ASYNC_HANDLER(one) { return async_json(req, 200, json_integer(same() * 10 + from_part2())); }
EOF_C
    write_source('part2.c', <<'EOF_C');
#include <ngx_async.h>
static int same(void) { return 2; }
int from_part2(void) { return same(); }
ASYNC_HANDLER(two) { return async_text(req, 200, "two"); }
EOF_C
    write_source('part3.cpp', <<'EOF_C');
#include <ngx_async.h>
#include <string>
ASYNC_HANDLER(three) { return async_text(req, 200, std::string("three").c_str()); }
EOF_C

    my $out = run($cc, '-o', "$dir/parts.so", map { "$dir/$_" }
        qw(part1.c part2.c part3.cpp));
    is $out, '', 'async-cc is silent';

    my $m = NginxAsync->new(conf => { http => "async_app $dir/parts.so;",
        server => <<'EOF_CONF' })->start;
        location / { async_route GET /1 one; async_route GET /2 two;
                     async_route GET /3 three; }
EOF_CONF

    is_deeply [map { $m->get("/$_")->body } 1 .. 3], [qw(12 two three)],
        'the handlers of all of them';
    $m->stop;

    write_source('part4.c', says('again', 'two'));
    $out = run($cc, '-o', "$dir/parts.so", map { "$dir/$_" }
        qw(part1.c part2.c part4.c));
    isnt $?, 0, 'a handler that two files define';
    like $out, qr/multiple definition of .async_export_of_two/, 'is refused';
};

# ---- what is left of it

subtest 'reloads leave no descriptors open' => sub {
    my $m = NginxAsync->new(conf => {
        http => "async_app $good; async_app $good name=b;",
        server => 'location / { async_route GET / good:hello; }' })->start;

    # sockets are nginx's, and those to a worker that has gone close later
    my $count = sub {
        return scalar grep { !/^socket:/ } $m->open_fds($m->master);
    };

    is $m->reload, undef, 'the first reload';
    $m->wait_until(sub { !$m->leaving_workers });
    my $before = $count->();

    for (1 .. 20) {
        my $error = $m->reload;
        is $error, undef, 'reload' if $error;
    }

    $m->wait_until(sub { !$m->leaving_workers });
    is $count->(), $before, 'the master has as many after 20 more';
    is scalar(grep { /memfd:good/ } $m->open_fds($m->master)), 2,
        'one for each app';
    is scalar(grep { /memfd:good/ } $m->open_fds), 2, 'also in the worker';

    # a reload that fails closes what it has opened
    $m->allow('[emerg]');
    $m->reload(conf => { http => "async_app $good; async_app $dir/empty.so;",
        server => $route });
    ok $m->wait_until(sub { $count->() == $before }),
        'also when a reload has failed';

    $m->stop;
};


subtest 'a worker cannot change the code of the others' => sub {
    plan skip_all => 'not root' if $>;

    my $m = NginxAsync->new(conf => { http => "async_app $good;",
        server => $route })->start;

    my $worker = $m->worker;
    my ($fd) = grep { (readlink // '') =~ /memfd:good/ } glob "/proc/$worker/fd/*";
    ok $fd, 'the copy is open';
    my $copy;
    my $writes = open($copy, '+<', $fd) && syswrite $copy, 'x';
    ok !$writes, 'and sealed';

    $m->stop;
};

# ---- one binary for all

subtest 'the same binary runs on another version of nginx' => sub {
    my $binary = $ENV{TEST_NGINX_OTHER_BINARY};
    my $module = $ENV{TEST_NGINX_OTHER_MODULE};

    plan skip_all => 'no second nginx' if !$binary || !$module;

    my $file = app('both.so', says('the same'));
    my @versions;

    for my $env ([], [$binary, $module]) {
        local $ENV{TEST_NGINX_BINARY}       = $env->[0] // NginxAsync::Env::binary();
        local $ENV{TEST_NGINX_LOAD_MODULES} = $env->[1]
            // CORE::join(' ', NginxAsync::Env::modules());

        my $m = NginxAsync->new(conf => { http => "async_app $file;",
            server => $route })->start;
        my $r = $m->get('/');

        is $r->body, 'the same', 'it serves on ' . $r->header('Server');
        push @versions, $r->header('Server');
        $m->stop;
    }

    isnt $versions[0], $versions[1], 'they are two versions';
};


subtest 'the header stands alone' => sub {
    my $source = write_source('alone.c', says('alone'));
    my @strict = qw(-pedantic -Wall -Wextra -Werror -fsyntax-only);

    for my $compiler (qw(gcc clang)) {
        SKIP: {
            skip "no $compiler", 4 if !grep { -x "$_/$compiler" } split /:/, $ENV{PATH};

            for (['c', 'c11'], ['c', 'gnu17'], ['c++', 'c++17'], ['c++', 'c++20']) {
                my ($language, $standard) = @$_;
                my $out = run($compiler, '-x', $language, "-std=$standard",
                    @strict, "-I$src", $source);
                is $out, '', "$compiler, $standard";
            }
        }
    }

    my $text = run('gcc', '-E', "-I$src", $source);
    my @headers = grep { m{/ngx_[^/]*$|/nginx/} } $text =~ /^# \d+ "([^"]+)"/mg;

    is_deeply [grep { !m{/ngx_async\.h$} } @headers], [],
        'it includes no other header of nginx or of ours';
    ok scalar @headers, 'and it is there';
};


subtest 'an app wants nothing of nginx itself' => sub {
    my $file = "$dir/v1.so";
    my $names = run('nm', '-D', $file);

    like $names, qr/ U await_body_at$/m, 'it has calls of the module';
    unlike $names, qr/\bngx_/, 'and none of nginx';
    like $names, qr/ [VDRBW] async_app$/m, 'it has its description';
};

# ---- async-cc

subtest 'util/async-cc' => sub {
    my $source = write_source('cc.c', says('cc'));

    my $cc_fails = sub {
        my ($title, $status, $pattern, @args) = @_;
        my $out = run($cc, @args);
        is $? >> 8, $status, "$title: status";
        like $out, $pattern, "$title: message";
    };

    $cc_fails->('no arguments', 2, qr/no source given.*usage:/s);
    $cc_fails->('no result', 2, qr/no -o OUT.so given/, $source);
    $cc_fails->('two results', 2, qr/two results: a.so and b.so/,
        $source, '-o', 'a.so', '-ob.so');
    $cc_fails->('-o without a name', 2, qr/-o needs a name/, $source, '-o');
    $cc_fails->('-c', 2, qr/-c: async-cc makes a shared object/,
        $source, '-c', '-o', "$dir/x.so");
    $cc_fails->('a source that is not there', 1, qr{there is no file \Q$dir\E/none.c},
        "$dir/none.c", '-o', "$dir/x.so");
    $cc_fails->('a folder as the result', 1, qr/is a directory/,
        $source, '-o', $dir);
    $cc_fails->('a folder that is not there', 1, qr/cannot write beside/,
        $source, '-o', "$dir/none/x.so");

    like run($cc, '--help'), qr/^usage: .*async-cc/, '--help';
    is $?, 0, 'which is no error';

    # what is wrong in the source
    my $bad = write_source('misspelt.c', <<'EOF_C');
#include <ngx_async.h>
async_rc_t async_txet(async_req_t *req, int status, const char *text);
ASYNC_HANDLER(hello) { return async_txet(req, 200, "x"); }
EOF_C
    my $depends = write_source('depends.c', <<'EOF_C');
#include <ngx_async.h>
ASYNC_USE_DEPENDENCY(settngs, void)
ASYNC_DEPENDENCY(settings, void) { return ASYNC_OK; }
ASYNC_HANDLER(hello, ASYNC_DEPENDS(settngs)) { return async_empty(req, 204); }
EOF_C
    $cc_fails->('a misspelt dependency', 1,
        qr/something depends on "settngs", which the app does not define: did you mean settings\?/,
        $depends, '-o', "$dir/x.so");

    NginxAsync::Env::spew("$dir/kept.so", 'as it was');
    $cc_fails->('a misspelt call', 1,
        qr/async_txet: ngx_async.h declares no such function: did you mean async_text\?/,
        $bad, '-o', "$dir/kept.so");
    is NginxAsync::Env::slurp("$dir/kept.so"), 'as it was',
        'the result that was there stays';
    is_deeply [glob "$dir/kept.so.*"], [], 'and nothing else is left';

    $bad = write_source('forgot.c', <<'EOF_C');
#include <ngx_async.h>
ASYNC_HANDLER(hello) { await_sleep(co, 1); return ASYNC_OK; }
EOF_C
    like run($cc, $bad, '-o', "$dir/x.so"),
        qr/ignoring return value of \S*await_sleep_at/,
        'a result of an await that nobody looks at is warned of';

    $bad = write_source('syntax.c', "#include <ngx_async.h>\nint f(\n");
    $cc_fails->('a mistake of syntax', 1, qr/syntax.c:2/, $bad, '-o', "$dir/x.so");

    # from elsewhere, with names that need care
    mkdir "$dir/an other";
    NginxAsync::Env::spew("$dir/an other/my app.c", says('spaces'));
    my $out = qx{cd '$dir/an other' && '$cc' 'my app.c' -o 'my app.so' 2>&1};
    is $out, '', 'names with spaces, from another folder';
    ok -x "$dir/an other/my app.so", 'the result is there';
    is_deeply [sort map { s{.*/}{}r } glob "'$dir/an other/*'"],
        ['my app.c', 'my app.so'], 'alone';

    symlink $cc, "$dir/acc";
    $out = qx{cd / && '$dir/acc' '$source' -o '$dir/linked.so' 2>&1};
    is $out, '', 'by a symbolic link';

    is run($cc, $source, '-o', "$dir/std.so", '-std=c11', '-DX=1', '-Wextra',
        '-include', 'stdint.h', '-lm'), '', 'options of the compiler';
};

done_testing;
