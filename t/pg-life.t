#!/usr/bin/perl

# PostgreSQL: what becomes of connections, transactions and what they have
# prepared, when something fails or does not come to its end.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

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
        async_pg other "$conninfo" connections=1;
        @{[$o{http} // '']}
EOF_CONF
        server => <<'EOF_CONF' })->start;
        location = /run { async_handler pg-life:run; }
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

sub start { my ($n, @lines) = @_; return $n->connect->send_request('POST', '/run', body => join "\n", @lines) }
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

done_testing();
