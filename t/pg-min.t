#!/usr/bin/perl

# async_pg ... min: connections that are there before somebody asks; servers that
# are full, or gone, or somewhere else.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use NginxAsync;
use NginxAsync::Others qw(server pause);
use NginxAsync::Pg;
use NginxAsync::PgApp qw(pg_app rows error escape);

NginxAsync::Pg::or_skip_all();

my $pg = NginxAsync::Pg->new(tcp => 1, max_connections => 12, conf => { superuser_reserved_connections => 4 });
my $one = '[{"n":1}]';

sub mine { return $pg->backends(application_name => 'nginx-async') }
sub there { return $pg->wait_for_backends($_[0], application_name => 'nginx-async') }
sub pids { return join ' ', sort map { $_->{pid} } mine() }

# ---- opened, and kept

{
    my $n = pg_app('async_pg db "' . $pg->conninfo . '" min=3 connections=5 idle=50ms;');
    ok there(3), 'they are there, and nobody has asked';
    my $pids = pids();

    my @c = map { $n->connect->send_request('GET', '/sql?q=' . escape('SELECT pg_sleep(0.2), 1 AS n')) } 1 .. 5;
    ok there(5), 'more are made when they are needed';
    is scalar(grep { $_->response->status == 200 } @c), 5, '... answer';
    ok there(3), '... and closed when they are not';

    $n->wait_until(sub { rows($n, 'SELECT 1 AS n') eq $one }) for 1 .. 3;
    my ($gone) = mine();
    $pg->terminate($gone->{pid});
    ok there(3), 'one that the server ends is replaced';
    unlike pids(), qr/\b$gone->{pid}\b/, '... indeed';

    my $old = pids();
    is $n->reload, undef, 'a reload';
    ok $n->wait_until(sub { mine() == 3 && !grep { index($old, $_->{pid}) >= 0 } mine() }),
        '... has its own, and the others are gone';

    my $mark = $n->mark;
    $pg->stop('immediate');
    ok $n->wait_for_log(qr/\[error\].*database "db".*; it is tried again/, 30, $mark), 'no server: a line of the log';
    ok $n->wait_for_log(qr/\[info\].*database "db".*; it is tried again/, 30, $mark), '... is an error but once';
    $pg->start;
    ok there(3), 'a server: they are there again, and nobody has asked';
    is rows($n, 'SELECT 1 AS n'), $one, '... and answer';

    $mark = $n->mark;
    $n->stop;
    ok there(0), 'none is left';
    unlike $n->log($mark), qr/tried again/, '... nor made by a worker that quits';
}

# ---- too old

{
    my $n = pg_app('async_pg db "' . $pg->conninfo . '" min=2 lifetime=100ms idle=0;', workers => 2);
    ok there(4), 'each worker has its own';
    my %seen;
    ok $n->wait_until(sub { $seen{$_->{pid}}++ for mine(); keys %seen >= 12 }), '... which are replaced, and again';
    $n->stop;
}

# ---- a start, and an end, while the server does not answer

{
    my $silent = server(sub { pause(60) });
    my ($host, $port) = split /:/, $silent;
    my $n = pg_app("async_pg db \"host=$host port=$port\" min=2 connect_timeout=1h;");
    is $n->get('/value?n=x')->status, 422, 'requests are answered';
    ok $n->stop, '... and nothing holds the end of the worker';
}

# ---- full

{
    my $n = pg_app('async_pg db "' . $pg->conninfo . '" connections=2;');
    my @all = map { $pg->session } 1 .. 12;
    $_->sql('SELECT 1') for @all[0 .. 7];

    my $r = error($n, 'SELECT 1 AS n');
    is "$r->{rc} $r->{sqlstate}", '-1 53300', 'a server that is full';
    like $r->{error}, qr/(?:remaining connection slots are reserved|too many clients already)/, '... says so';
    $_->close for @all;
    ok $n->wait_until(sub { rows($n, 'SELECT 1 AS n') eq $one }), '... until it is not';
    $n->stop;
}

# ---- full, but for some of ours

{
    my $n = pg_app('async_pg db "' . $pg->conninfo . '" connections=8 acquire_timeout=20s;');
    my @others = map { $pg->session } 1 .. 6;
    $_->sql('SELECT 1') for @others;
    is rows($n, 'SELECT 1 AS n'), $one, 'a server that takes two of ours';

    my @c = map { $n->connect->send_request('GET', '/sql?q=' . escape("SELECT pg_sleep(0.01)::text, $_ AS n")) } 1 .. 40;
    is_deeply [map { $_->response->body =~ /"n":(\d+)/ } @c], [1 .. 40], '... and nobody is refused: they wait';
    ok $n->wait_until(sub { mine() <= 2 }), '... for the two';

    # the server has room again: those who come open more, and who waits is first
    $_->close for @others;
    ok $n->wait_until(sub {
        @c = map { $n->connect->send_request('GET', '/sql?q=' . escape("SELECT pg_sleep(0.05)::text, $_ AS n")) } 1 .. 16;
        my @n = map { $_->response->body =~ /"n":(\d+)/ } @c;
        return "@n" eq join(' ', 1 .. 16) && mine() > 2;
    }), '... until there is room for more';
    $n->stop;
}

# ---- killed, and replaced by its standby

my $standby = $pg->standby;

sub both { return 'host=' . join(',', map { $_->dir } @_) . ' port=' . join(',', map { $_->port } @_)
    . ' user=app dbname=postgres' }

{
    my $n = pg_app('async_pg db "' . both($pg, $standby) . ' target_session_attrs=read-write" connections=3 min=1;');
    my $where = q{SELECT current_setting('cluster_name') AS n};
    my ($old, $new) = map { '[{"n":"test-' . $_->port . '"}]' } $pg, $standby;
    is rows($n, $where), $old, 'of two servers, that which can be written to';
    $pg->sql('CREATE TABLE t (n int)', 'GRANT ALL ON t TO PUBLIC');
    rows($n, 'INSERT INTO t VALUES (1)');
    ok $standby->caught_up, '... and followed by the other one';

    my $c = $n->connect->send_request('GET', '/sql?q=' . escape('SELECT pg_sleep(30)'));
    ok $pg->wait_for_backends(1, state => 'active'), 'it is at work';
    $pg->kill9;
    like $c->response->body, qr/"rc":-4/, '... and killed';
    like error($n, $where)->{error}, qr/^database "db": /, '... and nobody is there to be written to';
    $standby->promote;
    ok $n->wait_until(sub { rows($n, $where) eq $new }), '... until the other one is promoted';
    is rows($n, 'INSERT INTO t VALUES (2)'), '[]', '... which is written to';
    is rows($n, 'SELECT count(*) AS n FROM t'), '[{"n":2}]', '... and has it all';
    $n->allow(qr/tried again/)->stop;
}

done_testing();
