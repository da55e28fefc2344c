#!/usr/bin/perl

# What a statement leaves in its session is gone before another task has the
# connection; and what is prepared survives, or is prepared again.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use NginxAsync;
use NginxAsync::Pg;
use NginxAsync::PgApp qw(pg_app rows error twice escape);

NginxAsync::Pg::or_skip_all();

my $pg = NginxAsync::Pg->new;
my $n = pg_app('async_pg db "' . $pg->conninfo . '" connections=1;');

# one connection: whoever asks next has it
my $pid = rows($n, 'SELECT pg_backend_pid() AS n');

sub same { is rows($n, 'SELECT pg_backend_pid() AS n'), $pid, "... on the same connection: $_[0]" }
sub resets { return scalar(() = $pg->log =~ /statement: (?:CLOSE ALL|DISCARD ALL)/g) }

$pg->sql(q{ALTER SYSTEM SET log_statement = 'all'});
$pg->reload;

my $mem = q{SELECT current_setting('work_mem') AS s};
my $default = rows($n, $mem);

# ---- one by one: what is done, and what must not be seen by the next

for (
    [q{SET work_mem = '1234kB'}, $mem],
    [q{ set SESSION work_mem = '1234kB'}, $mem],
    [q{/* SET LOCAL */ SET work_mem = '1234kB'}, $mem],
    [q{SELECT set_config('work_mem', '1234kB', false)}, $mem],
    [q{SELECT set_config('work_mem', '1234kB', false), true AS other}, $mem],
    [q{SELECT pg_catalog.set_config('work_mem', 'true' || '', false) WHERE false}, $mem],
    [q{DO $$ BEGIN SET work_mem = '1234kB'; END $$}, $mem],
    [q{SET DateStyle = 'German'}, q{SELECT '2026-11-22'::date::text AS d}],
    [q{SET ROLE NONE}, 'SELECT current_user AS u'],
    [q{SELECT 1 FROM (SELECT pg_advisory_lock(7)) l}, q{SELECT 1 AS n FROM pg_locks WHERE locktype = 'advisory'}],
    [q{CREATE TEMP TABLE gone (n int)}, q{SELECT 1 AS n FROM pg_class WHERE relname = 'gone'}],
    [q{SELECT 1 AS n INTO TEMPORARY gone}, q{SELECT 1 AS n FROM pg_class WHERE relname = 'gone'}],
    [q{LISTEN news}, q{SELECT * FROM pg_listening_channels() c}],
    [q{PREPARE mine AS SELECT 1}, q{SELECT 1 AS n FROM pg_prepared_statements WHERE name = 'mine'}],
    [q{DISCARD ALL}, 'SELECT 1 AS n'],
) {
    my ($does, $sees) = @$_;
    my $before = rows($n, $sees);
    my $resets = resets();

    unlike rows($n, $does), qr/"rc"/, $does;
    is rows($n, $sees), $before, '... is not seen by the next';
    is resets(), $resets + 1, '... which has cost a reset';

    my $both = twice($n, $does =~ /DISCARD/ ? 'DEALLOCATE ALL' : $does, $sees);
    isnt $both, $before, '... but by its own transaction' if $does !~ /DISCARD|ROLE|WHERE false|LISTEN/;
    unlike $both, qr/"rc"/, '... which goes on' if $does =~ /DISCARD/;
    is rows($n, $sees), $before, '... and not after it';
}

same('in spite of all');

# ---- what needs none

{
    my $resets = resets();

    is twice($n, q{SET LOCAL work_mem = '4321kB'}, $mem), '[{"s":"4321kB"}]', 'SET LOCAL';
    is rows($n, $mem), $default, '... ends with its transaction';
    twice($n, q{SELECT set_config('work_mem', '4321kB', true)}, $mem);
    is rows($n, $mem), $default, '... as does set_config(..., true)';
    twice($n, 'SET TRANSACTION READ ONLY', 'SELECT pg_advisory_xact_lock(1)');
    rows($n, q{SELECT 'SET x', 'temp', 'pg_advisory_lock' -- set_config});
    is resets(), $resets, '... and costs nothing';
}

# ---- a transaction that is left: rolled back, and reset

twice($n, q{SET work_mem = '1234kB'}, 'SELEC');
is rows($n, $mem), $default, 'after a transaction that has failed';
same('which was reset');

# ---- what is prepared

{
    my $names = q{SELECT count(*) AS n FROM pg_prepared_statements WHERE name LIKE 'async%'};
    rows($n, $names);
    my $all = rows($n, $names);
    rows($n, q{SET work_mem = '1234kB'});
    is rows($n, $names), $all, 'a reset does not cost what is prepared';

    rows($n, 'DISCARD ALL');
    is rows($n, $names), '[{"n":1}]', 'but DISCARD ALL does';
}

is twice($n, 'DEALLOCATE ALL', $mem), $default, 'DEALLOCATE ALL, and on in its transaction';

# behind our back, in a function
$pg->sql('CREATE FUNCTION forget() RETURNS void LANGUAGE plpgsql AS $$ BEGIN DEALLOCATE ALL; END $$');
rows($n, $mem) for 1 .. 2;
rows($n, 'SELECT forget()');
is rows($n, $mem), $default, 'what the server forgets behind our back is prepared again';

$pg->sql('CREATE TABLE c (a int)', 'GRANT ALL ON c TO PUBLIC', 'INSERT INTO c VALUES (1)');
is rows($n, 'SELECT * FROM c'), '[{"a":1}]', 'a table';
$pg->sql('ALTER TABLE c ALTER a TYPE text', 'ALTER TABLE c ADD b int');
is rows($n, 'SELECT * FROM c'), '[{"a":"1","b":null}]', '... whose columns have changed';
$pg->sql('ALTER TABLE c DROP b');
is error($n, 'SELECT * FROM c WHERE b IS NULL')->{sqlstate}, '42703', '... or are gone';
like twice($n, 'SELECT 1', 'SELECT * FROM c'), qr/0A000/, 'in a transaction that is an error';
is rows($n, 'SELECT * FROM c'), '[{"a":"1"}]', '... until it is over';
same('still');

# ---- a session that cannot be reset is not used again

$n->allow(qr/could not be made free/);
$pg->sql('REVOKE EXECUTE ON FUNCTION pg_advisory_unlock_all() FROM PUBLIC');
rows($n, q{SET work_mem = '1234kB'});
is rows($n, $mem), $default, 'no reset: another connection';
isnt rows($n, 'SELECT pg_backend_pid() AS n'), $pid, '... indeed';

$n->stop;

done_testing();
