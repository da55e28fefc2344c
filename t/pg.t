#!/usr/bin/perl

# await_pg(): pools, statements, transactions, and servers that go.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use NginxAsync;
use NginxAsync::Pg;
use NginxAsync::Say qw(json);

NginxAsync::Pg::or_skip_all();

my $pg = NginxAsync::Pg->new(tcp => 1);

$pg->sql('CREATE TABLE t (id int CONSTRAINT t_id PRIMARY KEY)', 'GRANT ALL ON t TO PUBLIC');

sub nginx {
    my ($conninfo, $settings, %o) = @_;
    my $routes = join '', map { "location = /$_ { async_handler pg:$_; }\n" }
        qw(sql all value insert_in wait_long no_pool);

    return NginxAsync->new(%o, conf => { http => <<"EOF_CONF", server => $routes })->start;
        async_app \$TEST_NGINX_APPS/pg.so;
        async_timeout 5s;
        async_pg db "$conninfo" $settings;
EOF_CONF
}

sub escape { return $_[0] =~ s/([^A-Za-z0-9._-])/sprintf '%%%02X', ord $1/ger }

my $n = nginx($pg->conninfo, 'connections=4 acquire_timeout=500ms');

sub sql { my ($q, $m) = @_; return ($m // $n)->get('/sql?q=' . escape($q)) }

sub mine { return $pg->backends(application_name => 'nginx-async') }

is sql('SELECT 1 AS n')->body, '[{"n":1}]', 'a statement';
is sql('SELECT 1 AS n')->body, '[{"n":1}]', '... once more, prepared';
is sql('SELECT n FROM generate_series(1, 3) n')->body, '[{"n":1},{"n":2},{"n":3}]', 'rows';
is sql('SELECT 1 WHERE false')->body, '[]', 'no row';
is_deeply json($n->get('/value?n=20&s=%C3%A4')), { n => 21, by_name => 42, s => "\xe4" }, 'values';
is_deeply json($n->get('/value?n=-1')), { n => 0, by_name => 0, s => undef }, '... null';

# ---- several results as one list

sub all { return $n->get('/all?' . join '&', map { 'q=' . escape($_) } @_)->body }

my @none = 'SELECT 1 AS n WHERE false';
is all(), '[]', 'no result';
is all(@none, @none), '[]', 'results without rows';
is all('SELECT 1 AS n', @none, 'SELECT 2 AS m, 3 AS n UNION SELECT 3, 4', @none, @none, 'SELECT true AS b'),
    '[{"n":1},{"m":2,"n":3},{"m":3,"n":4},{"b":true}]', 'results with and without';
like all('SELECT 1 AS n', ''), qr/async_pg_respond_all\(\): there is no result 1$/, 'one that is not there';

# ---- what is wrong

is_deeply json(sql('SELEC 1')), { rc => -1, cause => 0, sqlstate => '42601', constraint => '',
    error => 'database "db": syntax error at or near "SELEC" (42601)' }, 'no SQL';
like json(sql(''))->{error}, qr/empty/, 'nothing';
like json(sql('SELECT $1'))->{error}, qr/the SQL takes 1 value/, 'too few values';
like json($n->get('/no_pool'))->{error}, qr/there is no "async_pg bd"/, 'no such pool';
like json(sql('COPY t TO STDOUT'))->{error}, qr/COPY/, 'COPY';
is sql('SELECT 1 AS n')->body, '[{"n":1}]', '... and on it goes';

# ---- transactions

sub ids { return $pg->sql('SELECT id FROM t ORDER BY id') }

is $n->get('/insert_in?id=1&how=commit')->body, 'done', 'a transaction';
is ids(), '1', '... is committed';
is $n->get('/insert_in?id=2&how=rollback')->body, 'done', 'another one';
is ids(), '1', '... is rolled back';
is $n->get('/insert_in?id=3&how=open')->body, 'left open', 'one that nobody ends';
is ids(), '1', '... is rolled back';
is $n->get('/insert_in?id=4&how=nested')->body, 'done', 'one with a savepoint that fails';
is ids(), "1\n4", '... is committed';
like json($n->get('/insert_in?id=5&how=broken'))->{error}, qr/was rolled back/, 'one that has failed';
is $n->get('/insert_in?id=1&how=commit')->status, 500, 'twice the same';
is ids(), "1\n4", '... is not there twice';

# ---- cancels

is $n->get('/wait_long')->body, '{"one":1}', 'one that takes too long, and another one after it';
ok $n->wait_until(sub { !grep { $_->{state} ne 'idle' } mine() }, 10), '... is cancelled on the server';

for my $uri ('/sql?q=' . escape('SELECT pg_sleep(30)'), '/insert_in?id=9&how=sleep') {
    my $c = $n->connect->send_request('GET', $uri);
    ok $n->wait_until(sub { grep { $_->{query} =~ /pg_sleep/ && $_->{state} eq 'active' } mine() }, 10),
        "$uri runs";
    $c->close;
    ok $n->wait_until(sub { !grep { $_->{state} ne 'idle' } mine() }, 10), '... until its client goes';
}

is ids(), "1\n4", '... and what it has done is rolled back';

# ---- bounds

{
    my @c = map { $n->connect->send_request('GET', '/sql?q=' . escape('SELECT pg_sleep(0.05)')) } 1 .. 20;
    is scalar(grep { $_->response->status == 200 } @c), 20, 'twenty at once';
    cmp_ok scalar(mine()), '<=', 4, '... on four connections';

    my @slow = map { $n->connect->send_request('GET', '/sql?q=' . escape('SELECT pg_sleep(30)')) } 1 .. 4;
    ok $n->wait_until(sub { 4 == grep { $_->{state} eq 'active' } mine() }, 10), 'four that take long';
    my $r = json(sql('SELECT 1'));
    is_deeply [@$r{qw(rc cause)}], [-2, 8], '... and nobody else gets one';
    like $r->{error}, qr/no connection was free within 500 ms/, '... in time';
    $_->close for @slow;
    is sql('SELECT 1 AS n')->body, '[{"n":1}]', '... until they go';
}

# ---- what the server forgets

is sql('DISCARD ALL')->body, '[]', 'all that was prepared is gone';
is sql('SELECT 1 AS n')->body, '[{"n":1}]', '... and is prepared again';
$pg->sql('CREATE TABLE c (a int)', 'GRANT ALL ON c TO PUBLIC', 'INSERT INTO c VALUES (1)');
is sql('SELECT * FROM c')->body, '[{"a":1}]', 'a table';
$pg->sql('ALTER TABLE c ADD b text');
is sql('SELECT * FROM c')->body, '[{"a":1,"b":null}]', '... that has changed';

# ---- servers that go

$pg->terminate($_->{pid}) for mine();
ok $n->wait_until(sub { !mine() }, 10), 'connections that the server ends';
is sql('SELECT 1 AS n')->body, '[{"n":1}]', '... are replaced';

{
    my $c = $n->connect->send_request('GET', '/sql?q=' . escape('SELECT pg_sleep(30)'));
    ok $n->wait_until(sub { grep { $_->{state} eq 'active' } mine() }, 10), 'one that runs';
    $pg->terminate($_->{pid}) for grep { $_->{state} eq 'active' } mine();
    my $r = json($c->response);
    is_deeply [@$r{qw(rc cause sqlstate)}], [-4, 7, '57P01'], '... when the server ends its connection';
}

$pg->stop('immediate');
my $r = json(sql('SELECT 1'));
ok $r->{rc} == -1 && $r->{cause} == 5 || $r->{rc} == -4, 'no server' or diag explain $r;
$pg->start;
ok $n->wait_until(sub { sql('SELECT 1 AS n')->body eq '[{"n":1}]' }, 20), '... and one again';

# ---- life

$n->reload;
is sql('SELECT 1 AS n')->body, '[{"n":1}]', 'after a reload';
ok $n->wait_until(sub { mine() <= 1 }, 20), '... the old connections are gone';
$n->allow(qr/database|async_pg/);
$n->stop;
ok $n->wait_until(sub { !mine() }, 10), 'none is left';

{
    my $m = nginx($pg->conninfo(tcp => 1, host => 'localhost', hostaddr => undef), '');
    is sql('SELECT 1 AS n', $m)->body, '[{"n":1}]', 'by TCP, and a name';
    $m->stop;
}

for (['dbname', qr/async_pg db: missing "="/], ['nodb=1', qr/invalid connection option "nodb"/]) {
    my ($conninfo, $wrong) = @$_;
    my $m = NginxAsync->new(conf => { http => qq(async_pg db "$conninfo";) });
    $m->allow(qr/\[emerg\] .*async_pg/);
    like $m->conf_test, $wrong, "nginx -t: $conninfo";
}

for (['connection=3', qr/does not know "connection=3"; did you mean "connections"\?/],
    ['connections=0', qr/"connections" takes a number, not 0/], ['idle=x', qr/"idle" takes a time like 5s/])
{
    my ($setting, $wrong) = @$_;
    my $m = NginxAsync->new(conf => { http => "async_pg db dbname=x $setting;" });
    $m->allow(qr/\[emerg\]/);
    like $m->conf_test, $wrong, "nginx -t: $setting";
}

done_testing();
