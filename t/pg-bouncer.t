#!/usr/bin/perl

# async_pg through a PgBouncer in transaction mode, where statements of a
# connection are served by any connection of the server.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use NginxAsync;
use NginxAsync::Pg;
use NginxAsync::Pgbouncer;
use NginxAsync::PgApp qw(pg_app rows error twice escape);
use NginxAsync::Say qw(json);

my $why = NginxAsync::Pgbouncer::missing();
plan skip_all => $why if $why;

my $pg = NginxAsync::Pg->new(tcp => 1, tls => 1, conf => { DateStyle => 'German' });
my $bouncer = $pg->pgbouncer(default_pool_size => 3);

$pg->sql('CREATE TABLE t (n int PRIMARY KEY)', 'GRANT ALL ON t TO PUBLIC');

my $conninfo = $bouncer->conninfo;
my $n = pg_app(qq(async_pg db "$conninfo" statements=0 connections=8; async_pg names "$conninfo" connections=4;));

my $pid = 'SELECT pg_backend_pid() AS n';

# ---- without named statements

is rows($n, 'SELECT 1 AS n'), '[{"n":1}]', 'a statement';
is $n->get('/value?n=41&s=%C3%A4')->body, qq([{"n":42,"s":"\xc3\xa4","b":"AAE="}]), 'values';
is rows($n, q{SELECT '2026-11-22'::date AS d}), '[{"d":"2026-11-22"}]', 'dates, in spite of the server';
is twice($n, 'INSERT INTO t VALUES (1)', 'SELECT n FROM t'), '[{"n":1}]', 'a transaction';
is error($n, 'INSERT INTO t VALUES (1)')->{sqlstate}, '23505', 'an error';
like twice($n, 'INSERT INTO t VALUES (2)', 'INSERT INTO t VALUES (1)'), qr/23505/, '... in a transaction';
is rows($n, 'SELECT n FROM t'), '[{"n":1}]', '... which is rolled back';
is rows($n, 'SELECT repeat(md5(n::text), 100000) AS s FROM generate_series(1, 3) n') =~ tr/"//, 12, 'large rows';

# ---- records of TLS that are larger than what libpq reads at once

{
    my $large = $pg->pgbouncer(pkt_buf => 65536, client_tls_sslmode => 'require',
        client_tls_key_file => $pg->{data} . '/server.key', client_tls_cert_file => $pg->{data} . '/server.crt');
    my $m = pg_app('async_pg db "' . $large->conninfo(tcp => 1, sslmode => 'require') . '" statements=0 connections=2;');
    for my $size (1, 8191, 8192, 16384, 100_000, 1_000_000, 5_000_000) {
        is length rows($m, "SELECT repeat('x', $size) AS s"), $size + length '[{"s":""}]', "$size bytes by TLS" for 1 .. 5;
    }
    $m->stop;
}

# ---- many connections on a few

{
    my @c = map { $n->connect->send_request('GET', '/value?n=' . $_ . '&s=' . $_) } 1 .. 40;
    my @got = map { $_->response->body } @c;
    is_deeply \@got, [map { '[{"n":' . ($_ + 1) . qq(,"s":"$_","b":"AAE="}]) } 1 .. 40], 'each has its own answer';
    cmp_ok scalar($pg->backends(datname => 'postgres')), '<=', 3, '... of three connections of the server';
}

# ---- a cancel goes through it

{
    my $r = json($n->get('/soon?q=' . escape('SELECT pg_sleep(30) AS long')));
    is $r->{rc}, -2, 'a statement that is too long';
    ok $n->wait_until(sub { !grep { $_->{query} =~ /AS long/ && $_->{state} eq 'active' } $pg->backends }),
        '... is cancelled on the server';
    is rows($n, 'SELECT 2 AS n'), '[{"n":2}]', '... and on it goes';
}

# ---- with named ones: never that of somebody else

{
    my $both = sub { return join ' ', map { rows($n, $_, 'names') } 'SELECT 1 AS a', 'SELECT 2 AS b' };
    my $right = '[{"a":1}] [{"b":2}]';

    is $both->(), $right, 'named statements';

    # the connection of the server that knows them is taken, and another one has to serve
    my @busy = map { $n->connect->send_request('GET', '/sql?q=' . escape("SELECT pg_sleep(0.3) AS s$_")) } 1 .. 2;
    ok $n->wait_until(sub { 2 == grep { $_->{state} eq 'active' && $_->{query} =~ /pg_sleep/ } $pg->backends }), 'elsewhere';
    is $both->(), $right, '... are prepared again';
    $_->response for @busy;

    my @c = map { $n->connect->send_request('GET', '/value?pool=names&n=' . $_ . '&s=' . $_) } 1 .. 40;
    my @got = map { $_->response->body } @c;
    is_deeply \@got, [map { '[{"n":' . ($_ + 1) . qq(,"s":"$_","b":"AAE="}]) } 1 .. 40], '... and never mixed up';
}

# ---- PgBouncer goes, and comes back

{
    my $c = $n->connect->send_request('GET', '/sql?q=' . escape('SELECT pg_sleep(30)'));
    ok $pg->wait_for_backends(1, state => 'active'), 'one that runs';
    $bouncer->kill9;
    like $c->response->body, qr/"rc":-4/, '... when it is killed';
    like error($n, 'SELECT 1')->{error}, qr/^database "db": /, 'nobody answers';
    $bouncer->start;
    ok $n->wait_until(sub { rows($n, 'SELECT 1 AS n') eq '[{"n":1}]' }), '... until somebody does';
}

{
    $bouncer->freeze;
    is json($n->get('/soon?q=' . escape('SELECT 1')))->{rc}, -2, 'frozen: in time';
    $bouncer->thaw;
    ok $n->wait_until(sub { rows($n, 'SELECT 1 AS n') eq '[{"n":1}]' }), '... and it goes on';
}

$n->allow(qr/could not be made free/)->stop;

done_testing();
