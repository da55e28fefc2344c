#!/usr/bin/perl

# async_pg ... shared=on: statements of many tasks on few connections.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use NginxAsync;
use NginxAsync::Pg;
use NginxAsync::Say qw(json);

NginxAsync::Pg::or_skip_all();

my $pg = NginxAsync::Pg->new(tcp => 1, tls => 1);

$pg->sql('CREATE TABLE t (id int PRIMARY KEY)', 'CREATE TABLE d (a int)', 'INSERT INTO d VALUES (1)',
    'GRANT ALL ON t, d TO PUBLIC');

sub nginx {
    my ($settings, %o) = @_;
    my $conninfo = $pg->conninfo(%o);
    return NginxAsync->new(conf => { http => <<"EOF_HTTP", server => <<'EOF_SERVER' })->start;
        async_app \$TEST_NGINX_APPS/pg-share.so;
        async_timeout 30s;
        async_pg db "$conninfo" shared=on $settings;
EOF_HTTP
        location = /sql  { async_handler pg-share:sql; }
        location = /many { async_handler pg-share:many; }
        location = /ping { return 200 pong; }
EOF_SERVER
}

sub escape { return $_[0] =~ s/([^A-Za-z0-9._-])/sprintf '%%%02X', ord $1/ger }

my $n;

sub sql { my ($q) = @_; return json($n->get('/sql?q=' . escape($q))) }

sub begun { my ($q) = @_; return $n->connect->send_request('GET', '/sql?q=' . escape($q)) }

# what was sent before has been begun
sub ping { is $n->get('/ping')->body, 'pong', 'so far' }

sub mine { return $pg->backends(application_name => 'nginx-async') }

sub active { my ($q) = @_; return grep { $_->{state} eq 'active' && $_->{query} =~ /$q/ } mine() }

# a statement that lasts until it may end; others of its connection wait behind it
sub hold {
    my ($key) = @_;
    my $holder = $pg->session;
    $holder->sql("SELECT pg_advisory_lock($key)");
    my $c = begun("SELECT $key AS held FROM pg_advisory_xact_lock($key)");
    $n->wait_until(sub { active("lock.$key") }) or die 'it does not hold';
    return ($holder, $c);
}

for my $tls (0, 1) {
    for my $settings ('connections=2', 'connections=2 statements=0', 'connections=3 statements=2') {
        $n = nginx($settings, $tls ? (sslmode => 'require') : ());
        my $with = "($settings, TLS $tls)";

        is_deeply sql('SELECT 1 AS n'), [{ n => 1 }], "one $with";
        for my $kind (qw(plain fails begins hurries)) {
            is_deeply json($n->get("/many?n=300&kind=$kind")), { own => 300 }, "300 at once, $kind $with"
                for 1, 2;
        }
        is_deeply json($n->get('/many?n=30&kind=fails&size=1000000')), { own => 30 }, "large ones $with";
        ok $n->wait_until(sub { mine() <= 3 }), '... on few connections';
        ok $n->wait_until(sub { !grep { $_->{state} ne 'idle' } mine() }), '... which are free again';
        $n->stop;
    }
}

# ---- together on one connection

$n = nginx('connections=1');
my ($holder, $held) = hold(1);
my @c = map { begun("SELECT $_ AS n") } 1 .. 5;
push @c, begun('SELECT 1 / 0');
push @c, begun('SELECT 6 AS n');
my $failed = splice @c, 5, 1;
my $gone = begun('INSERT INTO t VALUES (1)');
my $late = begun('SELECT 7 AS n');
ping();
is scalar mine(), 1, 'one connection';
$holder->sql('SELECT pg_advisory_unlock(1)');
is json($held->response)->[0]{held}, 1, '... which was held';
is_deeply [map { json($_->response)->[0]{n} } @c], [1 .. 6], '... serves all';
is json($failed->response)->{sqlstate}, '22012', '... each with its own failure';
is_deeply [json($_->response)], [[]], '... and one without rows' for $gone;
is json($late->response)->[0]{n}, 7, '... to the last';

# ---- a client that leaves: its statement is executed, the others have theirs

($holder, $held) = hold(2);
my $leaves = begun('INSERT INTO t VALUES (2)');
my $stays = begun('SELECT 3 AS n');
ping();
$leaves->close;
ok $n->wait_until(sub { $n->access_log =~ m{INSERT%20INTO%20t%20VALUES%20%282%29 HTTP/1.1" 499} }),
    'a client leaves';
is scalar(active('lock.2')), 1, '... nothing is cancelled';
$holder->sql('SELECT pg_advisory_unlock(2)');
is json($held->response)->[0]{held}, 2, '... not the one before';
is json($stays->response)->[0]{n}, 3, '... nor the one behind';
is $pg->sql('SELECT count(*) FROM t WHERE id = 2'), 1, '... its statement was executed';

# ---- when nobody waits any more, what is stuck is cancelled

for my $behind (0 .. 2) {
    my @leave = begun('SELECT pg_sleep(600)');
    ok $n->wait_until(sub { active('pg_sleep') }), "a statement that is stuck, $behind behind it";
    push @leave, map { begun("SELECT $_ AS behind") } 1 .. $behind;
    ping();
    $_->close for @leave;
    is_deeply sql("SELECT $behind AS n"), [{ n => $behind }], '... whose clients leave holds up nobody';
    ok $n->wait_until(sub { !active('pg_sleep') }), '... and is cancelled';
    is scalar mine(), 1, '... the connection is the same';
}

# it is behind another one, which has its answer first
($holder, $held) = hold(7);
my $stuck = begun('SELECT pg_sleep(600), 7');
ping();
$stuck->close;
ok $n->wait_until(sub { $n->access_log =~ m{600%29%2C%207 HTTP/1.1" 499} }), 'one that is behind another';
is scalar(active('lock.7')), 1, '... which is not cancelled';
$holder->sql('SELECT pg_advisory_unlock(7)');
is json($held->response)->[0]{held}, 7, '... and answers';
is_deeply sql('SELECT 8 AS n'), [{ n => 8 }], '... holds up nobody either';
is_deeply json($n->get('/many?n=100&kind=hurries')), { own => 100 }, '... and on it goes';

# ---- transactions wait for a connection of their own, and get one under load

($holder, $held) = hold(3);
my $tx = $n->connect->send_request('GET', '/many?n=5&kind=begins');
my $others = $n->connect->send_request('GET', '/many?n=50&kind=plain');
ping();
$holder->sql('SELECT pg_advisory_unlock(3)');
is json($held->response)->[0]{held}, 3, 'one that holds';
is_deeply json($tx->response), { own => 5 }, '... and a transaction';
is_deeply json($others->response), { own => 50 }, '... and others';

# ---- more than a connection takes at once: first come, first served

$pg->sql('CREATE TABLE l (id serial, name text)', 'GRANT ALL ON l, l_id_seq TO PUBLIC');

my $locks = sub {
    my ($name, $key) = @_;
    return begun("INSERT INTO l (name) SELECT '$name' FROM pg_advisory_xact_lock($key)");
};
my $logs = sub { return begun("INSERT INTO l (name) VALUES ('$_[0]')") };

for my $alone (0, 1) {
    $pg->sql('TRUNCATE l');
    ($holder, $held) = hold(10);
    my $second = $pg->session('SELECT pg_advisory_lock(11)');
    @c = map { begun('SELECT 1 AS n') } 1 .. 63;
    ping();

    my @waits = ($locks->('A', 11), $logs->('B'));
    push @waits, begun("DO \$\$ BEGIN INSERT INTO l (name) VALUES ('alone'); END \$\$") if $alone;
    push @waits, $logs->('C');
    ping();

    $holder->sql('SELECT pg_advisory_unlock(10)');
    ok $n->wait_until(sub { active('lock.11') }), 'one that waited is begun';
    push @waits, $logs->('D');
    ping();
    $second->sql('SELECT pg_advisory_unlock(11)');
    is_deeply [map { json($_->response) } @waits], [map { [] } @waits], '... all are served';
    is json($held->response)->[0]{held}, 10, '... the first';
    is_deeply [map { json($_->response) } @c], [([{ n => 1 }]) x 63], '... as many as there is room for';
    is $pg->sql("SELECT string_agg(name, ' ' ORDER BY id) FROM l"),
        $alone ? 'A B alone C D' : 'A B C D', '... in the order in which they came';
    undef $second;
}

# ---- what would change the session has a connection of its own

is_deeply sql('BEGIN'), [], 'BEGIN';
is_deeply sql('INSERT INTO t VALUES (9)'), [], '... is not for those behind it';
is $pg->sql('SELECT count(*) FROM t WHERE id = 9'), 1, '... they are committed';
like sql('COPY t TO STDOUT')->{error}, qr{COPY is for await_pg_copy}, 'COPY';
is_deeply sql('SELECT 1 AS n'), [{ n => 1 }], '... and on it goes';

# ---- what the server forgets

is_deeply sql('SELECT * FROM d'), [{ a => 1 }], 'a table';
$pg->sql('ALTER TABLE d ADD b int');
is_deeply sql('SELECT * FROM d'), [{ a => 1, b => undef }], '... that has a column more';
is_deeply sql('DEALLOCATE ALL'), [], 'all that was prepared is gone';
is_deeply json($n->get('/many?n=100&kind=plain')), { own => 100 }, '... and is there again';
is_deeply sql('SELECT * FROM d'), [{ a => 1, b => undef }], '... for each';

# ---- a server that goes takes along what is on its way

($holder, $held) = hold(4);
@c = map { begun("SELECT $_ AS n") } 1 .. 3;
ping();
$pg->terminate($_->{pid}) for active('lock.4');
is json($held->response)->{rc}, -4, 'a server that goes';
is $_->{rc}, -4, '... takes along what is behind' for map { json($_->response) } @c;
is_deeply sql('SELECT 1 AS n'), [{ n => 1 }], '... and the next one finds it again';
undef $holder;

# ---- it goes while it has not taken all that it is sent

for my $tls (0, 1) {
    my $m = $n;
    $n = nginx('connections=1', $tls ? (sslmode => 'require') : ());
    is_deeply json($n->get('/many?n=5&kind=plain')), { own => 5 }, "one that takes all (TLS $tls)";
    $pg->freeze;
    my $large = $n->connect->send_request('GET', '/many?n=3&kind=plain&size=20000000');
    ping();
    $pg->kill9;
    like json($large->response)->{error}, qr/"db": server closed the connection/, '... that does not, and goes';
    $pg->start;
    ok $n->wait_until(sub { ref sql('SELECT 1') eq 'ARRAY' }), '... and is there again';
    is_deeply json($n->get('/many?n=5&kind=plain&size=1000000')), { own => 5 }, '... and takes all';
    $n->stop;
    $n = $m;
}

# ---- reload and quit

($holder, $held) = hold(5);
my $old = $n->worker;
is $n->reload, undef, 'a reload';
is_deeply sql('SELECT 1 AS n'), [{ n => 1 }], '... serves';
$holder->sql('SELECT pg_advisory_unlock(5)');
is json($held->response)->[0]{held}, 5, '... the old worker answers';
ok $n->wait_until(sub { !NginxAsync::Server::alive($old) }), '... and goes';

($holder, $held) = hold(6);
$leaves = begun('SELECT 8 AS n');
ping();
$_->close for $held, $leaves;
ok $n->wait_until(sub { (() = $n->access_log =~ / 499 /g) >= 3 }), 'clients leave';
$n->stop;
undef $holder;

# ---- the directive

my $m = NginxAsync->new(conf => { http => 'async_pg db "dbname=x" shared=maybe;', server => '' });
$m->allow(qr{"shared" takes});
like $m->conf_test, qr/"shared" takes "on" or "off"/, 'a wrong setting';

done_testing;
