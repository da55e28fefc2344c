#!/usr/bin/perl

# await_pg_stream(): rows one at a time.

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

$pg->sql('CREATE TABLE t (id int)', 'GRANT ALL ON t TO PUBLIC');

my $routes = join '', map { "location = /$_ { async_handler pg-stream:$_; }\n" }
    qw(go sql array rows values two children deadline in others);

my $conninfo = $pg->conninfo;
my $tls      = $pg->conninfo(tcp => 1, sslmode => 'require');

my $n = NginxAsync->new(connections => 256, conf => { http => <<"EOF_CONF", server => $routes })->start;
    async_app \$TEST_NGINX_APPS/pg-stream.so;
    async_timeout 60s;
    async_every 100ms pg-stream:again;
    async_pg db "$conninfo" connections=4;
    async_pg one "$conninfo application_name=one" connections=1;
    async_pg plain "$conninfo application_name=plain" connections=1 statements=0;
    async_pg tls "$tls application_name=tls" connections=1;
EOF_CONF

sub escape { return $_[0] =~ s/([^A-Za-z0-9._-])/sprintf '%%%02X', ord $1/ger }

sub uri {
    my ($path, %arg) = @_;
    return "/$path?" . join '&', map { "$_=" . escape($arg{$_}) } sort keys %arg;
}

sub ask { my ($path, %arg) = @_; return json($n->get(uri($path, %arg))) }
sub sql { my ($q, $pool) = @_; return $n->get(uri('sql', q => $q, pool => $pool // 'one'))->body }
sub pid { return sql('SELECT pg_backend_pid() AS pid', $_[0]) }

sub backend { my ($app) = @_; return ($pg->backends(application_name => $app))[0] }

sub fine { my ($rows, $wrong) = @_; return { rc => 0, n => $rows, wrong => $wrong // 0, error => '', sqlstate => '' } }

my $numbers = 'SELECT n FROM generate_series(1, 2000) n';
my $much    = q{SELECT n, repeat('x', 8000) AS x FROM (SELECT generate_series(1, 10000000) AS n) g};

# ---- rows

for my $pool (qw(one plain tls)) {
    is_deeply ask('rows', q => $numbers, pool => $pool), fine(2000), "$pool: rows";
    is_deeply ask('rows', q => $numbers, pool => $pool), fine(2000), '... once more, prepared';
    is_deeply ask('rows', q => 'SELECT 1 AS n WHERE false', pool => $pool), fine(0), '... none';
    is_deeply ask('rows', q => 'SET work_mem = 1000', pool => $pool), fine(0), '... of what has none';
}

is $n->get(uri('array', q => 'SELECT n, n::text AS t FROM generate_series(1, 3) n'))->body,
    '[{"n":1,"t":"1"},{"n":2,"t":"2"},{"n":3,"t":"3"}]', 'as JSON';
is $n->get(uri('array', q => 'SELECT 1 WHERE false'))->body, '[]', '... none';
is_deeply json($n->get('/values')), { n => 42, x => 0.5, len => 27, none => JSON::PP::true(),
    text => '{"n":42,"s":"a\\"b","x":0.5}', error => 'async_pg_row_text(): there is no row 1' },
    'values, and what a row becomes';
is_deeply ask('two', n => 3000), fine(3000), 'two at once';
is_deeply ask('children', q => $numbers), { n => 2000, busy => -5,
    error => 'await_pg_next(): another task is in a call of that stream' }, 'two tasks that read one';

# ---- what is wrong

my $r = ask('rows', q => 'SELEC 1');
is_deeply [@$r{qw(rc n sqlstate)}], [-1, 0, '42601'], 'no SQL';
$r = ask('rows', q => 'SELECT n, 1 / (n - 1000) FROM generate_series(1, 5000) n');
is_deeply [@$r{qw(rc n wrong sqlstate)}], [-1, 999, 0, '22012'], 'a failure in the middle';
like ask('rows', q => '')->{error}, qr/empty/, 'nothing';
like ask('rows', q => 'SELECT $1')->{error}, qr/the SQL takes 1 value/, 'too few values';
like ask('rows', q => 'COPY t TO STDOUT')->{error}, qr/COPY is for await_pg_copy/, 'COPY';
like ask('rows', q => 'SELECT 1', pool => 'on')->{error}, qr/there is no "async_pg on"/, 'no such pool';

# ---- what the server forgets

my $pid = pid();
sql('DISCARD ALL');
is_deeply ask('rows', q => $numbers, pool => 'one'), fine(2000), 'what was prepared is gone';
sql('CREATE TABLE c AS SELECT 1 AS n');
is_deeply ask('rows', q => 'SELECT * FROM c', pool => 'one'), fine(1), 'a table';
sql('ALTER TABLE c ADD b text');
is_deeply ask('rows', q => 'SELECT * FROM c', pool => 'one'), fine(1), '... that has changed';

# ---- ends before the end

for my $pool (qw(one plain tls)) {
    $pid = pid($pool);
    is_deeply ask('rows', q => $much, stop => 5, how => $_, pool => $pool), fine(5), "$pool: $_"
        for qw(close leave leave);
    is pid($pool), $pid, '... and the connection is used again';
}

is sql("SELECT count(*) AS n FROM pg_prepared_statements WHERE statement LIKE 'SELECT n, repeat%'"),
    '[{"n":1}]', 'what was left is prepared once';
sql('INSERT INTO c (n) SELECT 1 / 0') for 1 .. 3;
is sql("SELECT count(*) AS n FROM pg_prepared_statements WHERE statement LIKE 'INSERT%'"),
    '[{"n":1}]', '... and what has failed, too';

# ---- slow clients

{
    my $c = $n->connect(timeout => 30)->send_request('GET', uri('array', pool => 'one',
        q => q{SELECT n, repeat('x', 1000) AS x FROM (SELECT generate_series(1, 30000) AS n) g}));
    ok $n->wait_until(sub { (backend('one')->{wait} // '') eq 'ClientWrite' }, 20),
        'PostgreSQL waits for a client that does not read';
    my $body = $c->response->body;
    is scalar(() = $body =~ /"n":/g), 30000, '... which has it all in the end';
    like $body, qr/\A\[\{"n":1,.*"n":30000,"x":"x+"\}\]\z/s, '... from the first to the last';

    $c = $n->connect->send_request('GET', uri('array', q => $much, pool => 'one'));
    ok $n->wait_until(sub { (backend('one')->{wait} // '') eq 'ClientWrite' }, 20), 'once more';
    $c->reset;
    ok $n->wait_until(sub { backend('one')->{state} eq 'idle' }, 20), '... until the client goes';
}

# ---- memory

{
    # a stack is kept of all that libpq allocates for each row
    my $many = NginxAsync::Env::asan() ? 20000 : 150000;
    my $bytes = q{SELECT n, decode(repeat('61', 1024), 'hex') AS bytes FROM (SELECT generate_series(1, %d) AS n) g};
    is_deeply ask('rows', q => sprintf($bytes, 5000), how => 'bytes'), fine(5000), 'rows of 1 KB';
    my $before = $n->memory_of_worker;
    is_deeply ask('rows', q => sprintf($bytes, $many), how => 'bytes'), fine($many), '... and many of them';

    SKIP: {
        skip 'AddressSanitizer keeps what is freed', 1 if NginxAsync::Env::asan();
        cmp_ok $n->memory_of_worker - $before, '<', 8e6, '... take no more memory';
    }
}

# ---- deadlines, and clients that go

{
    my $lock = $pg->session('SELECT pg_advisory_lock(1)');
    my $q = q{SELECT n, repeat('x', 10000), CASE WHEN n = 8 THEN pg_advisory_lock_shared(1)::text END
        FROM generate_series(1, 16) n};
    my $mark = $n->mark;
    my $c = $n->connect(timeout => 30)->send_request('GET', uri('deadline', q => $q));
    says($n, 'paused', $mark);
    $lock->close;
    $n->get('/go');
    is_deeply json($c->response), { rc => -2, some => JSON::PP::true(), all => 16 },
        'a deadline, and the rows behind it';

    $lock = $pg->session('SELECT pg_advisory_lock(2)');
    $q =~ s/shared\(1\)/shared(2)/;
    $c = $n->connect->send_request('GET', uri('rows', q => $q, pool => 'one'));
    ok $n->wait_until(sub { (backend('one')->{wait} // '') eq 'advisory' }, 20), 'one that waits for a row';
    $c->close;
    ok $n->wait_until(sub { backend('one')->{state} eq 'idle' }, 20), '... until its client goes';
    $lock->close;
    sql('SELECT pg_advisory_unlock_all()');
}

# ---- servers that go

sub paused {
    my ($then) = @_;
    my $mark = $n->mark;
    my $c = $n->connect(timeout => 30)->send_request('GET', uri('rows', q => $much, pause => 5, pool => 'one'));
    says($n, 'paused', $mark);
    $then->();
    $n->get('/go');
    return json($c->response);
}

$r = paused(sub { $pg->terminate(backend('one')->{pid}) });
is_deeply [@$r{qw(rc wrong)}], [-4, 0], 'a connection that ends in the middle';
cmp_ok $r->{n}, '>', 5, '... and the rows before are right';
is sql('SELECT 1 AS n'), '[{"n":1}]', '... and on it goes';

# ---- in transactions

sub in { my ($how) = @_; $pg->sql('TRUNCATE t'); return ask('in', how => $how) }

my $busy = 'database "db": a stream or a COPY of the transaction is open; read it to its end, or close it';

is_deeply in('busy'), [-5, $busy, -5, -5, -5, -5, 0, { n => 1 }], 'nothing else meanwhile';
is_deeply in('close'), [0, { n => 4 }], 'one that is closed before its end';
is_deeply in('rollback'), [-1, 'await_pg_next() of a stream that is closed', 0, { n => 0 }], 'a rollback ends it';
is_deeply in('savepoint'), [-1, 0, { n => 1 }], '... as that of a savepoint does';
is_deeply in('left'), [-5, 0, { n => 1 }], '... and a commit that is refused';
is_deeply in('memory'), [-1, 'database "db": the transaction is lost, since a statement of it was broken off; '
    . 'only a rollback is possible', 0, { n => 0 }], 'the end of its memory';
is_deeply in('end'), [0], 'the end of its task';
ok $n->wait_until(sub { !grep { $_->{state} ne 'idle' } $pg->backends(application_name => 'nginx-async') }, 20),
    '... ends it';
is $pg->sql('SELECT count(*) FROM t'), 0, '... and its transaction';

# ---- others than requests

like $n->log, qr/<startup: 1000 rows, 1000 lines>/, 'at startup';
ok says($n, 'periodic: 1000 rows, 1000 lines'), 'in a periodic task';
is $n->get('/others')->body, 'done', 'in a child';
ok says($n, 'child: 1000 rows, 1000 lines'), '... has read it';
ok says($n, 'background: 1000 rows, 1000 lines'), 'in a background task';

$r = paused(sub { $pg->kill9 });
is_deeply [@$r{qw(rc wrong)}], [-4, 0], 'a server that is killed';
$n->allow(qr/database|async_pg|again/);

$n->stop;

done_testing();
