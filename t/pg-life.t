#!/usr/bin/perl

# PostgreSQL: what becomes of connections, transactions and what they have
# prepared, when something fails or does not come to its end.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Test::More;

use NginxAsync;
use NginxAsync::Pg;
use NginxAsync::Say qw(gone json says);

NginxAsync::Pg::or_skip_all();

my $pg = NginxAsync::Pg->new;

$pg->sql('CREATE TABLE t (id int CONSTRAINT t_id PRIMARY KEY, b bytea)', 'GRANT ALL ON t TO PUBLIC');

sub nginx {
    my ($settings, %o) = @_;

    my $conninfo = $o{conninfo} // $pg->conninfo;

    return NginxAsync->new(connections => 512, %o, conf => {
        main => 'thread_pool default threads=2;', http => <<"EOF_CONF",
        async_app \$TEST_NGINX_APPS/pg-life.so;
        async_timeout 30s;
        async_pg db "$conninfo" $settings;
        async_pg other "$conninfo" connections=1 acquire_timeout=1h;
        @{[$o{http} // '']}
EOF_CONF
        server => <<'EOF_CONF' })->start;
        location = /run { async_handler pg-life:run; }
        location = /short { async_handler pg-life:run; async_timeout 300ms; }
        location = /blocking { async_handler pg-life:blocking; }
EOF_CONF
}

# What each line has come to: [[rows]], or a code and SQLSTATE.
sub run {
    my ($n, @lines) = @_;

    return outcomes($n->post('/run', join("\n", @lines)));
}

sub outcomes {
    my ($r) = @_;

    return [map { ref $_ eq 'HASH' ? join ' ', $_->{rc}, $_->{sqlstate} || $_->{error} : $_ } @{ json($r) }];
}

sub start { my ($n, @lines) = @_; return begin($n, '/run', @lines) }
sub begin { my ($n, $path, @lines) = @_; return $n->connect->send_request('POST', $path, body => join "\n", @lines) }
sub mine  { return $pg->backends(application_name => 'nginx-async') }
sub clean { my ($n) = @_; return $n->wait_until(sub { !grep { $_->{state} ne 'idle' } mine() }, 20) }

my $PREPARED = 'sql SELECT count(*)::int AS n FROM pg_prepared_statements';

# ---- what a connection has prepared

{
    my $n = nginx('connections=1 statements=4');
    my $prepared = sub { return run($n, $PREPARED)->[0][0]{n} };

    is_deeply run($n, 'sql INSERT INTO t VALUES (1)'), [[]], 'a row';
    is $prepared->(), 2, 'what is executed stays prepared';

    is_deeply run($n, 'sql INSERT INTO t VALUES (1) -- again') , ['-1 23505'], 'one that the server refuses'
        for 1 .. 10;
    is $prepared->(), 3, '... is prepared once, too';

    is_deeply run($n, 'pause SELECT pg_sleep(30)')->[0] =~ s/ .*//r, -2, 'one that does not end'
        for 1 .. 3;
    is $prepared->(), 4, '... likewise';

    my $either = 'SELECT 1 AS n WHERE $1 IS NOT DISTINCT FROM $1';
    is_deeply run($n, map { ("bytes $either", "text $either", "null $either") } 1 .. 5),
        [map { [{ n => 1 }] } 1 .. 15], 'values of other types';
    cmp_ok $prepared->(), '<=', 4, '... are not prepared anew each time';

    is_deeply run($n, "sql SELECT $_ AS n")->[0], [{ n => $_ }], 'many texts' for 1 .. 20;
    cmp_ok $prepared->(), '<=', 4, '... and those that are too many are forgotten';

    is_deeply run($n, 'sql VACUUM t'), [[]], 'what cannot be in a transaction block is not in one';
    is_deeply run($n, 'sql VACUUM t -- again'), [[]], '... ever';

    is_deeply run($n, 'sql DISCARD ALL'), [[]], 'all is forgotten by the server';
    is_deeply run($n, "sql SELECT $_ AS n")->[0], [{ n => $_ }], '... which is no failure' for 10 .. 20;

    is_deeply run($n, 'begin', 'sql DEALLOCATE ALL', 'sql SELECT 31 AS n', 'commit'),
        ['ok', [], [{ n => 31 }], 'ok'], '... in a transaction, too';

    run($n, 'begin', 'sql nonsense', (map { "sql SELECT $_" } 40 .. 60), 'rollback');
    cmp_ok $prepared->(), '<=', 4, 'a transaction that has failed leaves nothing';

    $n->stop;
}

# ---- transactions in others

{
    my $n = nginx('connections=2');

    is_deeply run($n, 'transaction', 'sql INSERT INTO t VALUES (10)', 'transaction', 'sql INSERT INTO t VALUES (11)',
        'fail', 'end')->[-1] =~ s/ .*//r, -1, 'the inner one fails, and is passed on';
    is $pg->sql('SELECT count(*) FROM t WHERE id IN (10, 11)'), 0, '... all is rolled back';

    # a failure that the function passes over
    is_deeply run($n, 'transaction', 'sql INSERT INTO t VALUES (10)', 'try', 'transaction', 'try', 'sql nonsense',
        'end', 'end', 'end', 'sql INSERT INTO t VALUES (12)', 'end'),
        [[], '-1 42601', '-1 25P02', [], 'ok'], 'an inner one that cannot be committed';
    is $pg->sql('SELECT count(*) FROM t WHERE id IN (10, 12)'), 2, '... the outer one is';

    like run($n, 'transaction', 'begin', 'sql INSERT INTO t VALUES (13)', 'end')->[-1], qr/left another/,
        'one that is left open within another one';
    like run($n, 'transaction', 'transaction', 'commit', 'end', 'end')->[-1], qr/has ended it/, 'one that is ended too early';
    is run($n, 'transaction', 'rollback', 'end')->[-1], '-1 there is no transaction', '... the only one';
    is $pg->sql('SELECT count(*) FROM t WHERE id = 13'), 0, '... are rolled back';
    # what is broken off inside is the end of all
    my $r = run($n, 'transaction', 'sql INSERT INTO t VALUES (14)', 'try', 'transaction', 'pause SELECT pg_sleep(30)',
        'end', 'end', 'sql INSERT INTO t VALUES (15)', 'end');
    like $r->[1], qr/\A-2 /, 'a deadline in the inner one';
    like $r->[3], qr/the transaction is lost/, '... and the outer one is lost';
    is $pg->sql('SELECT count(*) FROM t WHERE id IN (14, 15)'), 0, '... nothing of it is stored';

    is_deeply run($n, 'begin', 'commit'), ['ok', 'ok'], '... and over';
    $n->stop;
}

# ---- what a task leaves behind in its session

{
    my $n = nginx('connections=1');

    for my $set ("SET search_path = pg_catalog", "SET client_encoding = LATIN1", "SET DateStyle = 'German'",
        "SELECT set_config('client_encoding', 'LATIN1', false)", 'SET ROLE pg_monitor', 'LISTEN c',
        'DECLARE c CURSOR WITH HOLD FOR SELECT 1')
    {
        run($n, "sql $set");
        is_deeply run($n, q{sql SELECT current_setting('search_path') AS p, current_setting('client_encoding') AS e,
            '2020-01-31'::date::text AS d, current_user <> session_user AS r,
            (SELECT count(*)::int FROM pg_listening_channels()) AS l, (SELECT count(*)::int FROM pg_cursors
            WHERE name = 'c') AS c, U&'\\00e4' AS u} =~ s/\n\s*/ /gr)->[0],
            [{ p => '"$user", public', e => 'UTF8', d => '2020-01-31', r => JSON::PP::false, l => 0, c => 0, u => "\xe4" }],
            "$set: nobody else has it";
    }

    my $pid = run($n, 'sql SELECT pg_backend_pid() AS pid')->[0][0]{pid};
    is_deeply run($n, 'begin', 'sql SET LOCAL search_path = pg_catalog', 'commit'), ['ok', [], 'ok'], 'SET LOCAL';
    is_deeply run($n, 'begin', 'sql SET search_path = pg_catalog', q{sql SELECT current_setting('search_path') AS p}, 'commit'),
        ['ok', [], [{ p => 'pg_catalog' }], 'ok'], 'SET holds to the end of the transaction';
    is_deeply run($n, q{sql SELECT current_setting('search_path') AS p}, 'sql SELECT pg_backend_pid() AS pid'),
        [[{ p => '"$user", public' }], [{ pid => $pid }]], '... and no longer';
    $n->allow(qr/database/);
    $n->stop;
}

# ---- one task and its pool

{
    my $n = nginx('connections=1 acquire_timeout=300ms');

    my $r = run($n, 'begin', 'sql SELECT 1 AS n', 'child SELECT 2 AS n', 'sql SELECT 3 AS n', 'commit');
    like $r->[2], qr/\A-2 .*no connection was free within 300 ms/, 'a child of who has the only connection: no deadlock';
    is_deeply [@$r[0, 1, 3, 4]], ['ok', [{ n => 1 }], [{ n => 3 }], 'ok'], '... and the task goes on';
    is_deeply run($n, 'begin', 'other SELECT 2 AS n', 'commit'), ['ok', [{ n => 2 }], 'ok'], 'another pool has others';

    $r = run($n, 'begin', 'pause SELECT pg_sleep(30)', 'sql SELECT 1', 'commit', 'sql SELECT 1 AS n');
    like $r->[1], qr/\A-2 /, 'a deadline in a transaction';
    like $r->[2], qr/the transaction is lost/, '... which is lost';
    like $r->[3], qr/the transaction is lost/, '... and not committed';
    is_deeply $r->[4], [{ n => 1 }], '... then it is over';

    is_deeply run($n, 'shield SELECT 1 AS n')->[0], [{ n => 1 }], 'past its deadline, in a shield';

    my $mark = $n->mark;
    my $c = start($n, 'begin', 'sql INSERT INTO t VALUES (20)', 'defer SELECT 1', 'sql SELECT pg_sleep(30)');
    ok $n->wait_until(sub { grep { $_->{query} =~ /pg_sleep/ } mine() }, 20), 'a transaction with a cleanup';
    $c->close;
    ok says($n, 'at the end: -1', $mark), '... when its client goes: its statement was broken off';
    ok says($n, 'rolled back: 0', $mark), '... and a rollback can be awaited';
    ok clean($n), '... nothing is left open';
    is $pg->sql('SELECT count(*) FROM t WHERE id = 20'), 0, '... or stored';

    is_deeply run($n, q{text SELECT 'it''s $1 :name' AS a, $1::text AS b})->[0], [{ a => q{it's $1 :name}, b => 'text' }],
        'a quote in SQL is no placeholder';
    $n->stop;
}

# ---- every await, in the middle

$pg->sql('CREATE TABLE gate (id int)', 'CREATE TABLE d (id int)', 'GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC',
    'CREATE FUNCTION waits() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM count(*) FROM gate; RETURN NULL; END $$',
    'CREATE CONSTRAINT TRIGGER waits AFTER INSERT ON d DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION waits()');

my $GATE = 'SELECT count(*)::int AS n FROM gate';
my @scripts = (
    ["sql $GATE"], ["other $GATE"], ["other $GATE -- waits for a connection"],
    ['begin', 'sql INSERT INTO d VALUES (1)', 'commit'],
    ['transaction', 'sql INSERT INTO d VALUES (2)', "sql $GATE", 'end'],
    ['begin', 'sql INSERT INTO d VALUES (3)', "child $GATE", 'rollback'],
);

# Two of each: all wait for the lock, but those that wait for a connection.
sub in_the_middle {
    my ($n, $path) = @_;

    $pg->sql('TRUNCATE d');
    my $lock = $pg->session('BEGIN', 'LOCK TABLE gate');
    my $mark = $n->mark;
    my @c = map { begin($n, $path, @$_) } @scripts, @scripts;
    return ($lock, @c) if $path eq '/short';

    ok $n->wait_until(sub { 9 == grep { ($_->{wait} // '') eq 'relation' } mine() }, 20), 'they wait for a lock';
    ok $n->wait_until(sub { 4 == (() = $n->log($mark) =~ /<does other>/g) }, 20), '... or for who has it';

    return ($lock, @c);
}

sub nothing_left {
    my ($rows) = @_;

    ok(NginxAsync->wait_until(sub { !grep { $_->{state} ne "idle" } mine() }, 20), '... nothing runs on, or is open');
    is $pg->sql("SELECT string_agg(id::text, ' ' ORDER BY id) FROM d"), $rows, '... and no transaction is half done';
}

for my $how (qw(reload QUIT)) {
    my $n = nginx('connections=10');
    my $old = $n->worker;
    my ($lock, @c) = in_the_middle($n, '/run');

    $how eq 'QUIT' ? $n->signal('QUIT') : $n->reload;
    ok $n->wait_for_log(qr/gracefully shutting down/, 20), $how;
    $lock->close;
    is_deeply [map { my $r = outcomes($_->response); $r->[0] eq 'ok' ? @$r[1 .. $#$r] : @$r } @c],
        [map { ([{ n => 0 }], [{ n => 0 }], [{ n => 0 }], [], 'ok', [], [{ n => 0 }], 'ok', [], [{ n => 0 }], 'ok') } 1, 2],
        '... brings all of them to their end';
    ok $n->wait_until(sub { !NginxAsync::Server::alive($old) }, 20), '... and the worker goes';
    nothing_left('1 1 2 2');
    $n->stop;
}

for my $how ('TERM', 'clients that leave', 'async_timeout') {
    my $n = nginx('connections=10');
    my ($lock, @c) = in_the_middle($n, $how eq 'async_timeout' ? '/short' : '/run');

    if ($how eq 'TERM') {
        $n->signal('TERM');
        ok gone($n, 20), "$how: nginx goes";

    } elsif ($how eq 'async_timeout') {
        like outcomes($_->response)->[-1], qr/\A-2 /, $how for @c;

    } else {
        $_->reset for @c;
    }

    nothing_left('');
    $lock->close;
    is_deeply [map { run($n, "$_ $GATE")->[0] } qw(sql other)], [[{ n => 0 }], [{ n => 0 }]], "... $how: it goes on"
        if $how ne 'TERM';
    $n->stop;
}

# ---- what the server says when nobody has asked

{
    my $n = nginx('connections=1');

    my $pid = run($n, 'sql SELECT pg_backend_pid() AS pid')->[0][0]{pid};
    my $fds = $n->open_fds;
    my $mark = $n->mark;
    $pg->terminate($pid);
    ok $n->wait_for_log(qr/terminating connection due to admin/, 20, $mark), 'the reason is in the log';
    ok $n->wait_until(sub { $n->open_fds < $fds }, 20), '... and the connection is closed';
    is_deeply run($n, 'sql SELECT 1 AS n')->[0], [{ n => 1 }], '... who comes next has another one';

    run($n, q{sql SELECT set_config('work_mem', '1MB', false)});
    $pg->sql("ALTER SYSTEM SET timezone = 'Asia/Tokyo'");
    $pg->reload;
    is_deeply run($n, q{sql SELECT current_setting('timezone') AS z})->[0], [{ z => 'Asia/Tokyo' }], 'a setting changes';
    $pg->sql('ALTER SYSTEM RESET timezone');
    $pg->reload;

    # 20 MB of them
    is_deeply run($n, q{sql DO $$ BEGIN FOR i IN 1 .. 20000 LOOP RAISE NOTICE '%', repeat('x', 1000); END LOOP; END $$}),
        [[]], 'a flood of notices';
    is_deeply run($n, 'sql SELECT 1 AS n')->[0], [{ n => 1 }], '... is no answer to anybody';
    $n->stop;
}

done_testing();
