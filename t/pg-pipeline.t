#!/usr/bin/perl

# await_pg_pipeline(): several statements in one round trip.

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

$pg->sql('CREATE TABLE t (id int CONSTRAINT t_id UNIQUE DEFERRABLE INITIALLY DEFERRED)',
    'CREATE TABLE u (id int CONSTRAINT u_id PRIMARY KEY)',
    'CREATE TABLE d (a int)', 'INSERT INTO d VALUES (1)',
    'GRANT ALL ON t, u, d TO PUBLIC', 'ALTER TABLE d OWNER TO ' . $pg->user);

use constant EACH => 16;

sub nginx {
    my ($settings) = @_;
    my $routes = join '', map { "location = /$_ { async_handler pg-pipeline:$_; }\n" }
        qw(sql values many wrong nothing no_pool late);

    return NginxAsync->new(conf => { http => <<"EOF_CONF", server => $routes })->start;
        async_app \$TEST_NGINX_APPS/pg-pipeline.so;
        async_timeout 100s;
        async_pg db "${\ $pg->conninfo}" $settings;
EOF_CONF
}

sub escape { return $_[0] =~ s/([^A-Za-z0-9._-])/sprintf '%%%02X', ord $1/ger }

my $n;

sub sql {
    my ($options, @q) = @_;
    my $r = $n->get("/sql?$options" . join '', map { '&q=' . escape($_) } @q);
    return $r->status == 200 ? json($r) : $r->status;
}

sub ids { my ($table) = @_; return join ' ', split /\n/, $pg->sql("SELECT id FROM $table ORDER BY id") }

sub mine { return $pg->backends(application_name => 'nginx-async') }

# what /late waits for, as long as the server runs
sub lock_out { return $pg->session('SELECT pg_advisory_lock(200)') }

sub waiting { return grep { $_->{state} eq 'active' && $_->{query} =~ /advisory/ } mine() }

sub prepared {
    return json($n->get('/sql?q=' . escape('SELECT count(*)::int AS n FROM pg_prepared_statements')))
        ->{each}[0][0]{n};
}

my $lock = lock_out();

for my $settings ('connections=1', 'connections=1 statements=0', 'connections=1 statements=1') {

    $pg->sql('TRUNCATE t, u');
    $n = nginx($settings);

    for my $flags (0, EACH) {
        my $with = "$settings, flags $flags";

        is_deeply sql("flags=$flags", 'SELECT 1 AS a', 'SELECT 2 AS b', 'SELECT 1 AS a'),
            { rc => 0, sqlstate => '', error => '', each => [[{ a => 1 }], [{ b => 2 }], [{ a => 1 }]] },
            "three statements ($with)" for 1, 2;
        is_deeply json($n->get("/many?n=50&size=10&flags=$flags")), { sum => 1225 }, '... 50, with values';
    }

    is_deeply json($n->get('/values'))->{each}, [[{ n => 1 }], [{ n => 2, s => 'two' }], [{ n => 3 }],
        [{ j => [4] }]], '... with values of each kind';

    # ---- failures

    my $twice = 'INSERT INTO u VALUES (1)';
    my $error = qr/^database "db": duplicate key value violates unique constraint "u_id" \(23505\)/;

    my $r = sql('', $twice, 'SELECT 1 AS n', $twice, 'SELECT 2 AS n');
    is_deeply $r->{each}, [[-3, ''], [-3, ''], [-1, '23505'], [-3, '']], "one that fails ($settings)";
    like $r->{error}, $error, '... is told';
    is $r->{rc}, -1, '... by the code';
    is ids('u'), '', '... and none has been executed';

    $r = sql('flags=16', $twice, 'SELECT 1 AS n', $twice, 'SELECT 2 AS n');
    is_deeply $r->{each}, [[], [{ n => 1 }], [-1, '23505'], [{ n => 2 }]], '... of which each stands alone';
    like $r->{error}, $error, '... is told';
    is ids('u'), '1', '... and the others have been executed';

    $r = sql('', 'SELECT 1 AS n', 'SELEC 2', 'SELECT 3 AS n');
    is_deeply $r->{each}, [[-3, ''], [-1, '42601'], [-3, '']], '... one that is no SQL';
    is_deeply sql('', '')->{each}, [[-1, '']], '... an empty one';
    is_deeply sql('flags=16', '', 'SELECT 1 AS n', '')->{each}, [[-1, ''], [{ n => 1 }], [-1, '']],
        '... two of them';
    is_deeply sql('', 'SELECT 1 AS n', 'COPY u TO STDOUT')->{rc}, -1, '... COPY';
    like sql('', 'SELECT 1 AS n', 'COPY u TO STDOUT')->{error}, qr{COPY is for await_pg_copy}, '... is told';

    # a deferred constraint, which fails at the end
    my $late = 'INSERT INTO t VALUES (7)';
    $r = sql('', $late, 'SELECT 1 AS n', $late, 'SELECT 2 AS n');
    is $r->{sqlstate}, '23505', 'a constraint that fails at the end';
    is $r->{rc}, -1, '... by the code';
    is_deeply $r->{each}, [[-3, ''], [-3, ''], [-3, ''], [-1, '23505']], '... all of them';
    is ids('t'), '', '... none is executed';
    $r = sql('flags=16', $late, 'SELECT 1 AS n', $late, 'SELECT 2 AS n');
    is_deeply $r->{each}, [[], [{ n => 1 }], [-1, '23505'], [{ n => 2 }]], '... each by itself';
    is ids('t'), '7', '... the first one is executed';

    # ---- transactions

    is_deeply sql('begin=commit', 'INSERT INTO u VALUES (2)', 'INSERT INTO u VALUES (3)')->{rc}, 0,
        "in a transaction ($settings)";
    is ids('u'), '1 2 3', '... which is committed';
    is_deeply sql('begin=open', 'INSERT INTO u VALUES (4)', 'INSERT INTO u VALUES (5)')->{rc}, 0,
        '... in one that is left open';
    is ids('u'), '1 2 3', '... it is rolled back';
    is_deeply sql('begin=commit&flags=16', 'INSERT INTO u VALUES (4)', $twice, 'SELECT 1')->{each},
        [[], [-1, '23505'], [-1, '25P02']], '... in one that fails';
    is ids('u'), '1 2 3', '... it is rolled back';

    # ---- what cannot be sent

    $r = json($n->get('/wrong'));
    is_deeply $r->{each}, [[-3, ''], [-1, '']], "too few values ($settings)";
    like $r->{error}, qr/the SQL takes 1 value/, '... are told';
    is $n->get('/nothing')->body, 'fine', 'no statement';
    like sql('flags=1', 'SELECT 1')->{error}, qr/await_pg_pipeline\(\) does not know the flags 1/, 'a wrong flag';
    like json($n->get('/no_pool'))->{error}, qr/there is no "async_pg bd"/, 'no such pool';

    # ---- the server forgets

    is_deeply sql('', 'SELECT * FROM d', 'SELECT 1 AS n')->{each}, [[{ a => 1 }], [{ n => 1 }]], 'a table';
    for my $flags (0, EACH) {
        $pg->sql("ALTER TABLE d ADD b$flags int");
        is_deeply sql("flags=$flags", 'SELECT 1 AS n', 'SELECT * FROM d', $twice)->{each}[1],
            $flags ? [{ a => 1, b0 => undef, b16 => undef }] : [-3, ''],
            "... that has a column more (flags $flags)";
        is_deeply sql("flags=$flags", 'SELECT 1 AS n', 'SELECT * FROM d')->{each}[0], [{ n => 1 }], '... at once';
        is sql('', 'DEALLOCATE ALL')->{rc}, 0, 'what was prepared is gone';
        is_deeply sql("flags=$flags", 'SELECT 1 AS n', 'SELECT 1 AS n', 'SELECT 2 AS n')->{each},
            [[{ n => 1 }], [{ n => 1 }], [{ n => 2 }]], '... and is there again' for 1, 2;
    }
    $pg->sql('ALTER TABLE d DROP b0, DROP b16');

    # ---- what has been committed is not executed again

    for my $i (1 .. 2) {
        is sql('', 'SELECT * FROM d')->{rc}, 0, 'a table';
        $pg->sql("ALTER TABLE d ADD c$i int", 'TRUNCATE u');
        is_deeply [@{ sql('', 'BEGIN', 'INSERT INTO u VALUES (1)', 'COMMIT', 'SELECT * FROM d') }{qw(rc sqlstate)}],
            [-1, '0A000'], '... that has a column more, behind a COMMIT' if $settings !~ /statements=[01]/;
        is ids('u'), $settings =~ /statements=[01]/ ? '' : '1', '... which is done once';
    }
    $pg->sql('ALTER TABLE d DROP c1, DROP c2', 'TRUNCATE u');

    # ---- what is forgotten in the middle is prepared again

    for my $flags (0, EACH) {
        for my $forgets ('DEALLOCATE ALL', $flags ? 'DISCARD ALL' : ()) {
            is_deeply sql("flags=$flags", 'SELECT 1 AS n', $forgets, 'SELECT 1 AS n', 'SELECT 2 AS n')->{each},
                [[{ n => 1 }], [], [{ n => 1 }], [{ n => 2 }]], "$forgets in the middle ($settings, flags $flags)"
                for 1, 2;
            is_deeply sql("flags=$flags", 'SELECT 1 AS n', 'SELECT 2 AS n')->{each}, [[{ n => 1 }], [{ n => 2 }]],
                '... and behind it';
        }
    }

    # ---- deadlines

    for my $each ('', '&each=1') {
        my $hold = NginxAsync::Guard::temp_dir('hold') . '/file';
        my $c = $n->connect->send_request('GET', "/late?hold=$hold$each");
        ok $n->wait_until(\&waiting), "what is before has been answered ($settings$each)";
        NginxAsync::Env::spew($hold, '');
        is_deeply json($c->response)->{each}, [$each ? [] : [-2, ''], ([-2, '']) x 3], '... and then comes a deadline';
        ok $n->wait_until(sub { !grep { $_->{state} ne 'idle' } mine() }), '... the server is told';
        is sql('', 'SELECT 1 AS n')->{rc}, 0, '... and goes on';
    }
    is ids('t'), '7 200', '... what stood alone was executed';
    ok $n->wait_until(sub { mine() == 1 }), '... on one connection';

    # ---- many and large ones

    for my $flags (0, EACH) {
        is_deeply json($n->get("/many?n=10000&size=100&flags=$flags")), { sum => 49995000 },
            "10,000 statements (flags $flags)";
    }
    is_deeply json($n->get('/many?n=300&size=100000&flags=0')), { sum => 44850 }, '... 30 MB both ways';
    ok prepared() <= 100, '... few are prepared';

    # ---- the server goes

    for my $each ('', '&each=1') {
        my $c = $n->connect->send_request('GET', "/late?ms=90000$each");
        ok $n->wait_until(\&waiting), "a server ($settings$each)";
        $pg->terminate($_->{pid}) for waiting();
        $r = json($c->response);
        is_deeply [@$r{qw(rc sqlstate each)}], [-4, '57P01', $each
            ? [[-1, '23505'], [-1, '57P01'], ([-4, '']) x 2] : [[-3, ''], [-1, '57P01'], ([-3, '']) x 2]],
            '... that goes';
    }
    is sql('', 'SELECT 1 AS n')->{rc}, 0, '... is there again';

    $n->stop;
}

# ---- a connection that is lost in the middle of those that stand alone

$n = nginx('connections=1');

my $goes = 'SELECT pg_terminate_backend(pg_backend_pid())';
my @lost = ([-1, '57P01'], [-4, '']);

for my $begin ('', '&begin=open') {
    my $r = sql("flags=16$begin", 'SELECT 1 AS n', 'SELECT 2 AS n', $goes, 'SELECT 3 AS n');
    is_deeply $r->{each}, [[{ n => 1 }], [{ n => 2 }], @lost], "those before it keep theirs$begin";
    is_deeply [@$r{qw(rc sqlstate)}], [-4, '57P01'], '... and it is told';
}

is sql('', 'SELECT * FROM d')->{rc}, 0, 'a table';
$pg->sql('ALTER TABLE d ADD e int');
is_deeply sql('flags=16', 'SELECT 1 AS n', 'SELECT * FROM d', $goes, 'SELECT 3 AS n')->{each},
    [[{ n => 1 }], [-4, ''], @lost], '... but for one that was to be prepared again';

my $killed = $n->connect->send_request('GET', '/late?ms=90000&each=1');
ok $n->wait_until(\&waiting), 'a server';
$pg->kill9;
my $said = json($killed->response);
is_deeply [@$said{qw(rc sqlstate each)}], [-4, '', [[-1, '23505'], ([-4, '']) x 3]], '... that is killed';
$pg->start;
$lock = lock_out();

# a client that leaves
ok $n->wait_until(sub { my $r = sql('', 'SELECT 1 AS n'); ref $r && $r->{rc} == 0 }), '... is there again';

for my $large ('', '&large') {
    $pg->sql('DELETE FROM t WHERE id = 200');
    my $mark = $n->mark;
    my $leaves = $n->connect->send_request('GET', "/late?ms=90000&each=1$large");
    ok $n->wait_until(\&waiting), "a client$large";
    $n->get('/');    # the loop has turned, and has read what was answered
    $leaves->close;
    ok $n->wait_for_log(qr/<0 -3 -3 -3>/, 20, $mark), '... that leaves: what was answered is';
}

$n->stop;

# ---- names that nobody needs any more are given back

$n = nginx('connections=1 statements=5');

for my $i (1 .. 30) {
    is_deeply sql('', map { "SELECT $_ AS n" } $i .. $i + 3)->{each}[3], [{ n => $i + 3 }],
        "more statements than are kept ($i)";
}
cmp_ok prepared(), '<=', 5 + 8 + 1, '... does not add up';

is sql('', 'DEALLOCATE ALL')->{rc}, 0, '... what is given back is gone already';
for my $i (1 .. 10) {
    is_deeply sql('', map { "SELECT -$_ AS n" } $i .. $i + 3)->{each}[3], [{ n => -$i - 3 }],
        "... which is no matter ($i)";
}
cmp_ok prepared(), '<=', 5 + 8 + 1, '... and does not add up';

for my $i (1 .. 20) {
    my $c = $n->connect->send_request('GET', '/sql?q=' . escape("SELECT pg_advisory_lock(200), $i"));
    ok $n->wait_until(sub { grep { $_->{state} eq 'active' && $_->{query} =~ /, $i\b/ } mine() }), "$i runs";
    $c->close;
}
ok $n->wait_until(sub { !grep { $_->{state} ne 'idle' } mine() }), 'what was cancelled as it was prepared';
cmp_ok prepared(), '<=', 5 + 8 + 1, '... does not add up';

$n->stop;

done_testing;
