#!/usr/bin/perl

# await_pg_copy(): COPY in and out, in pieces.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use NginxAsync;
use NginxAsync::Pg;
use NginxAsync::Say qw(json says);

NginxAsync::Pg::or_skip_all();

my $pg = NginxAsync::Pg->new(tcp => 1, tls => 1);

$pg->sql('CREATE TABLE t (id int)', 'CREATE TABLE lines (n int, x text)', 'CREATE TABLE other (n int, x text)',
    'CREATE TABLE few (n int CHECK (n < 100), x text)', 'CREATE TABLE slow (n int, x text)', <<'EOF_SQL',
    CREATE FUNCTION waits() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_advisory_xact_lock_shared(7); RETURN NEW; END $$
EOF_SQL
    'CREATE TRIGGER waits BEFORE INSERT ON slow FOR EACH ROW WHEN (NEW.n = 1000) EXECUTE FUNCTION waits()',
    'CREATE TABLE never (n int, x text)', <<'EOF_SQL',
    CREATE FUNCTION never() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'never'; END $$
EOF_SQL
    'CREATE TRIGGER never BEFORE INSERT ON never FOR EACH STATEMENT EXECUTE FUNCTION never()',
    'GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC');

my $routes = join '', map { "location = /$_ { async_handler pg-stream:$_; }\n" }
    qw(go progress sql out into late dropped refused through confused copy_in);

my $conninfo = $pg->conninfo;
my $tls      = $pg->conninfo(tcp => 1, sslmode => 'require');

my $n = NginxAsync->new(conf => { http => <<"EOF_CONF", server => $routes })->start;
    async_app \$TEST_NGINX_APPS/pg-stream.so;
    async_timeout 60s;
    async_pg db "$conninfo" connections=4;
    async_pg one "$conninfo application_name=one" connections=1;
    async_pg tls "$tls application_name=tls" connections=1;
EOF_CONF

sub escape { return $_[0] =~ s/([^A-Za-z0-9._-])/sprintf '%%%02X', ord $1/ger }

sub uri {
    my ($path, %arg) = @_;
    return "/$path?" . join '&', map { "$_=" . escape($arg{$_}) } sort keys %arg;
}

sub ask { my ($path, %arg) = @_; return json($n->get(uri($path, pool => 'one', %arg))) }
sub pid { return $n->get(uri('sql', q => 'SELECT pg_backend_pid() AS pid', pool => $_[0] // 'one'))->body }
sub backend { my ($app) = @_; return ($pg->backends(application_name => $app))[0] }

sub some { my ($r, @names) = @_; return [@$r{@names}] }

# ---- out

my $ten  = q{COPY (SELECT n, repeat('x', 100) FROM generate_series(1, 10000) n) TO STDOUT};
my $much = q{COPY (SELECT n, repeat('x', 1000) FROM (SELECT generate_series(1, 10000000) AS n) g) TO STDOUT};

for my $pool (qw(one tls)) {
    my $r = ask('out', q => $ten, pool => $pool);
    is_deeply some($r, qw(rc lines rows wrong)), [0, 10000, 10000, 0], "$pool: COPY TO";
    cmp_ok $r->{pieces}, '<', 1000, '... in pieces of many lines';
    is_deeply some(ask('out', q => 'COPY t TO STDOUT', pool => $pool), qw(rc pieces rows)), [0, 0, 0], '... nothing';

    my $pid = pid($pool);
    is_deeply some(ask('out', q => $much, stop => 5, how => $_, pool => $pool), qw(rc wrong)), [0, 0], "... $_"
        for qw(close leave);
    is pid($pool), $pid, '... and the connection is used again';

    my $k = NginxAsync::Env::asan() ? 20000 : 200000;
    $pg->sql('TRUNCATE lines');
    is_deeply some(ask('into', q => 'COPY lines FROM STDIN', n => $k, size => 20, pool => $pool), qw(rc rows)),
        [0, $k], "$pool: COPY FROM";
    is $pg->sql('SELECT count(*), sum(n), min(length(x)), max(length(x)) FROM lines'),
        join('|', $k, $k * ($k + 1) / 2, 20, 20), '... stores it all';
    $pg->sql('TRUNCATE lines');
    is_deeply some(ask('into', q => 'COPY lines FROM STDIN', n => 3, size => 20e6, pool => $pool), qw(rc rows)),
        [0, 3], '... lines of 20 MB';
    is $pg->sql('SELECT sum(length(x)) FROM lines'), 60e6, '... stores them';
    $pg->sql('TRUNCATE lines');
    is ask('into', q => 'COPY lines FROM STDIN', n => $_, how => 'leave', pool => $pool)->{rc}, 0, "... left after $_"
        for 0, (1) x 20, 10000;
    is $pg->sql('SELECT count(*) FROM lines'), 0, '... stores nothing';
    is pid($pool), $pid, '... and the connection is used again';

    is_deeply some(ask('refused', q => 'COPY few FROM STDIN', pool => $pool), qw(rc sqlstate closed)),
        [-1, '22P02', -1], '... is told early what the server does not want';
    is pid($pool), $pid, '... and the connection is used again';
}

is_deeply some(ask('out', q => q{COPY (SELECT repeat('x', 65000) FROM generate_series(1, 50)) TO STDOUT}),
    qw(rc pieces lines rows wrong)), [0, 50, 50, 50, 0], 'pieces of whole lines';
my $r = ask('out', q => q{COPY (SELECT 1 / (n - 1000) FROM generate_series(1, 5000) n) TO STDOUT});
is_deeply some($r, qw(rc lines sqlstate)), [-1, 999, '22012'], 'a failure in the middle';

# ---- binary, and both at once

$pg->sql(q{INSERT INTO lines SELECT n, repeat(chr(228), n % 300) FROM generate_series(1, 20000) n});
is_deeply ask('through', from => 'COPY lines TO STDOUT (FORMAT binary)', to => 'COPY other FROM STDIN (FORMAT binary)'),
    { out => 20000, in => 20000 }, 'from one into the other, binary';
is $pg->sql('SELECT count(*) FROM lines JOIN other USING (n, x)'), 20000, '... the same';

# ---- what is wrong

for my $sql ('SELECT 1', 'SELECT generate_series(1, 10000000)', 'SET work_mem = 1000', '') {
    my $pid = pid();
    like ask('out', q => $sql)->{error}, $sql ? qr/what is no COPY/ : qr/empty/, "no COPY: $sql";
    is pid(), $pid, '... and the connection is used again';
}

like ask('out', q => 'COPY no TO STDOUT')->{sqlstate}, qr/42P01/, 'no such table';
like ask('out', q => 'COPY t TO STDOUT; DROP TABLE t')->{sqlstate}, qr/42601/, 'two statements';
is_deeply ask('confused'), [-1, 'await_pg_copy_put() of a COPY TO', -1, 'await_pg_copy_get() of a COPY FROM', 0, -1,
    'await_pg_copy_put() of a COPY that is closed'], 'one for the other';
$r = ask('into', q => 'COPY few FROM STDIN', n => 200);
is_deeply some($r, qw(rc rows sqlstate)), [-1, -1, '23514'], 'what the server does not want';
is $pg->sql('SELECT count(*) FROM few'), 0, '... is not stored';

{
    my $pid = pid();
    is_deeply some(ask('into', q => 'COPY never FROM STDIN', n => $_), qw(rc sqlstate)), [-1, 'P0001'],
        "what it does not even begin with, $_ lines" for 1, 10000;
    is pid(), $pid, '... and the connection is used again';
}

for (['late', -2, 'a deadline'], ['dropped', -3, 'a cancel']) {
    my ($how, $rc, $what) = @$_;

    my $stored = $pg->sql('SELECT count(*) FROM lines');
    my $pid = pid();
    is_deeply some(ask($how, q => 'COPY lines FROM STDIN'), qw(rc closed rows)), [$rc, -1, -1], "what $what refuses at once";
    is $pg->sql('SELECT count(*) FROM lines'), $stored, '... leaves nothing stored of it';
    is pid(), $pid, '... and the connection is used again';
}

# ---- a server that does not read on

{
    my $lock = $pg->session('SELECT pg_advisory_lock(7)');
    my %big  = (q => 'COPY slow FROM STDIN', n => 30000, size => 1000);
    my $before = $n->memory_of_worker;
    my $c = $n->connect(timeout => 30)->send_request('GET', uri('into', pool => 'one', %big));
    my $last = -1;

    ok $n->wait_until(sub { (backend('one')->{wait} // '') eq 'advisory' }, 20), 'a server that waits';
    ok $n->wait_until(sub {
        my $put  = json($n->get('/progress'))->{put};
        my $same = $put == $last;
        $last = $put;
        return $same;
    }, 20), '... is waited for';
    cmp_ok $last, '<', 20000, '... with little ahead of it';
    cmp_ok $n->memory_of_worker - $before, '<', 8e6, '... and in memory';

    $c->close;
    ok $n->wait_until(sub { (backend('one')->{state} // '') eq 'idle' }, 20), '... until the client goes';

    my $mark = $n->mark;
    is_deeply some(ask('into', %big, deadline => 300), qw(rc closed)), [-2, -1], 'a deadline';
    ok $n->wait_until(sub { (backend('one')->{state} // '') eq 'idle' }, 20), '... and it is cancelled';

    $c = $n->connect(timeout => 30)->send_request('GET', uri('into', pool => 'one', %big));
    ok $n->wait_until(sub { (backend('one')->{wait} // '') eq 'advisory' }, 20), 'once more';
    $lock->close;
    is_deeply some(json($c->response), qw(rc rows)), [0, 30000], '... until it goes on';
    is $pg->sql('SELECT count(*) FROM slow'), 30000, '... which is all';
}

# ---- servers that go

{
    my $mark = $n->mark;
    my $c = $n->connect(timeout => 30)->send_request('GET', uri('out', q => $much, pause => 2, pool => 'one'));
    says($n, 'paused', $mark);
    $pg->terminate(backend('one')->{pid});
    $n->get('/go');
    is_deeply some(json($c->response), qw(rc wrong)), [-4, 0], 'a connection that ends while it gives';

    $mark = $n->mark;
    $c = $n->connect(timeout => 30)->send_request('GET',
        uri('into', q => 'COPY lines FROM STDIN', n => 5, how => 'pause', pool => 'one'));
    says($n, 'paused', $mark);
    $pg->terminate(backend('one')->{pid});
    $n->get('/go');
    is json($c->response)->{rc}, -4, '... and one while it takes';
}

# ---- in transactions

is_deeply ask('copy_in', how => 'from'), [-5, 0, { n => 100 }], 'COPY FROM in a transaction';
is_deeply ask('copy_in', how => 'to'), [0, { n => 100 }], 'COPY TO that is closed before its end';
is_deeply ask('copy_in', how => 'open'), [-5, -5, { n => 100 }], 'one that is not closed';

$n->stop;

done_testing();
