#!/usr/bin/perl

# util/async-test: a user's tests against a user's app.  Those of the README's
# guide are taken from there.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use NginxAsync;
use NginxAsync::Env;
use NginxAsync::Guard;
use NginxAsync::Pg;

my $tool = "$FindBin::Bin/../util/async-test";
my $dir  = NginxAsync::Guard::temp_dir('user');

mkdir "$dir/t" or die "$dir/t: $!";
mkdir "$dir/tmp" or die "$dir/tmp: $!";
chmod 0755, "$dir/t", "$dir/tmp";


sub file { NginxAsync::Env::spew("$dir/$_[0]", $_[1]); return }


# exit status and output of a run in the user's folder
sub run {
    my (@args) = @_;

    my $pid = open my $out, '-|';
    die "fork: $!" if !defined $pid;

    if (!$pid) {
        chdir $dir or die "$dir: $!";
        open STDERR, '>&', \*STDOUT or die $!;
        $ENV{TMPDIR} = $ENV{TEST_NGINX_TMPDIR} = "$dir/tmp";
        exec $tool, @args or die $!;
    }

    local $/;
    my $text = readline $out;
    close $out;

    return ($? >> 8, $text // '');
}


# ---- the guide

my ($guide) = NginxAsync::Env::slurp("$FindBin::Bin/../README.md")
    =~ /^## Testing handlers\n(.*?)^## /ms;
my @blocks = $guide =~ /^```(?:c|perl)\n(.*?)^```\n/msg;

is @blocks, 3, 'the guide has an app and two test files';

for my $block (@blocks) {
    $block =~ s{^(?:# (\S+)|/\* (\S+) \*/)\n}{} or die "no name: $block";
    file($1 // $2, $block);
}

my ($status, $out) = run('greet.c');

is $status, 0, 'the example of the guide passes' or diag $out;
like $out, qr{^t/greet\.t \.\. ok\nt/many\.t \.\.\. ok\nAll tests successful}m,
    '... and says so as the guide does';


# ---- apps and tests that fail

file('routes.conf', "location = /greet { async_handler greet; }\n");

file('t/wrong.t', <<'EOF_TEST');
use Test::Nginx::Socket 'no_plan';

run_tests();

__DATA__

=== TEST 1: greeted otherwise
--- request
GET /greet?name=you
--- response_body chomp
{"hello":"me"}
EOF_TEST

($status, $out) = run('--server=routes.conf', 'greet.c', 't/wrong.t');

is $status, 1, 'a test that fails is told by the exit status';
like $out, qr/greeted otherwise.*got: '\{"hello":"you"\}'/s,
    '... which one, and what has come';
like $out, qr{^Failed 1/2 subtests}m, '... and how many';

file('crash.c', <<'EOF_APP');
#include <ngx_async.h>
#include <signal.h>

ASYNC_HANDLER(greet)
{
    raise(SIGKILL);
    return ASYNC_OK;
}
EOF_APP

($status, $out) = run('--server=routes.conf', 'crash.c', 't/wrong.t');

is $status, 1, 'a crash is a failure';
like $out, qr/\[alert\].*exited on signal 9/, '... and is told';

file('quiet.t', <<'EOF_TEST');
use Test::More tests => 1;
use NginxAsync;

my $nginx = NginxAsync->new(
    conf => { server => 'location / { async_handler greet; }' })->start;
$nginx->get('/');
$nginx->wait_for_log(qr/exited on signal/);
pass 'nothing is looked at';
EOF_TEST

($status, $out) = run('crash.c', 'quiet.t');

isnt $status, 0, 'also if the test does not look';

file('bad.c', "int x\n");
($status, $out) = run('bad.c', 't/greet.t');
is $status, 2, 'an app that does not compile';
like $out, qr/bad\.c:1:.*error.*bad\.c does not compile/s, '... is told';

file('undefined.c', <<'EOF_APP');
#include <ngx_async.h>

async_rc_t nowhere(void);

ASYNC_HANDLER(greet)
{
    return nowhere();
}
EOF_APP

($status, $out) = run('undefined.c', 't/greet.t');
is $status, 2, 'an app that does not load';
like $out, qr/undefined symbol: nowhere/, '... is told';

($status, $out) = run('--server=routes.conf', 'empty.so', 't/greet.t');
is $status, 2, 'an app that is not there';
like $out, qr/there is no app empty\.so/, '... is told';

file('typo.conf', "location = /greet { async_handler great; }\n");
($status, $out) = run('--server=typo.conf', 'greet.c', 't/wrong.t');
is $status, 2, 'routes of a name that is misspelt';
like $out, qr/did you mean "greet"/, '... are told before any test';

for (['greet.c', 't/none.t', qr/there is no test file t\/none\.t/],
    ['--server=none.conf', 'greet.c', qr/none\.conf: No such file/],
    ['--wrong', 'greet.c', qr/there is no option --wrong/],
    [qr/^usage: util\/async-test/])
{
    my $why = pop @$_;

    ($status, $out) = run(@$_);
    is $status, 2, "refused: @$_";
    like $out, $why, '... and why';
}

($status, $out) = run('--help');
is $status, 0, '--help';
like $out, qr/^usage: .*nor any file\.$/ms, '... tells all';


# ---- a compiled app, and PostgreSQL

SKIP: {
    my $why = NginxAsync::Pg::missing();
    skip $why, 3 if $why;

    file('rows.c', <<'EOF_APP');
#include <ngx_async.h>

ASYNC_HANDLER(rows)
{
    async_pg_result_t  *rows;

    ASYNC_TRY(await_pg(co, "db", &rows, "SELECT n FROM numbers ORDER BY n"));

    return async_pg_respond(req, 200, rows);
}
EOF_APP

    file('tables.sql', "CREATE TABLE numbers (n int);\n"
        . "INSERT INTO numbers VALUES (1), (2);\n");
    file('http.conf', qq{async_pg db "\$TEST_NGINX_PG";\n});
    file('t/rows.t', <<'EOF_TEST');
use Test::Nginx::Socket 'no_plan';

run_tests();

__DATA__

=== TEST 1: the rows of the tables that the run has made
--- config
    location = /rows { async_handler rows; }
--- request
GET /rows
--- response_body chomp
[{"n":1},{"n":2}]
EOF_TEST

    my $cc = "$FindBin::Bin/../util/async-cc";
    is system($cc, "$dir/rows.c", '-o', "$dir/rows.so"), 0, 'compiled';

    ($status, $out) = run('--pg=tables.sql', '--http=http.conf', 'rows.so',
        't/rows.t');
    is $status, 0, 'tests have a PostgreSQL of their own' or diag $out;

    file('wrong.sql', "CREATE TABLE numbers (n nothing);\n");
    ($status, $out) = run('--pg=wrong.sql', '--http=http.conf', 'rows.so',
        't/rows.t');
    is $status, 2, 'SQL that is wrong ends the run';
}

is_deeply [glob "$dir/tmp/*"], [], 'no run has left anything';

done_testing();
