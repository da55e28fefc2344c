#!/usr/bin/perl

# The harness's private PostgreSQL: what it starts and stops, who gets in, and
# that nothing is left behind.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(sleep time);

# the module is not what is tested here
BEGIN {
    $ENV{TEST_NGINX_LOAD_MODULES} = '';
    delete @ENV{qw(TEST_NGINX_ASAN TEST_NGINX_LD_PRELOAD)};
}

use NginxAsync;
use NginxAsync::Others;
use NginxAsync::Pg;
use NginxAsync::Pgbouncer;

NginxAsync::Pg::or_skip_all();

my $pg = NginxAsync::Pg->new(tcp => 1, tls => 1, databases => ['it\'s "one"'],
    users => { app => q{pass 'word\\}, other => 'x' }, conf => { work_mem => '1234kB' });

my $me = 'SELECT current_user';

subtest 'a server' => sub {
    is $pg->sql('SELECT 1', 'SELECT 2'), "1\n2", 'each text is asked by itself';
    is $pg->sql('SELECT current_database()'), 'it\'s "one"', 'in the first database';
    is $pg->sql_on('postgres', 'SELECT current_database()'), 'postgres', '... or another';
    is $pg->sql('SHOW work_mem'), '1234kB', 'a line of postgresql.conf';
    is $pg->sql('SHOW max_connections'), 50, 'max_connections';
    ok !eval { $pg->sql('SELECT nothing'); 1 }, 'an error';
    like $@, qr/column "nothing" does not exist/, '... is told';

    my @users = map { (stat "/proc/$_")[4] } $pg->pids;
    is_deeply [grep { $_ == 0 } @users], [], 'is not root';
    cmp_ok scalar @users, '>', 3, '... with its children';

    my $start = time;
    my $other = NginxAsync::Pg->new(max_connections => 7);
    cmp_ok time - $start, '<', 5, 'one more is soon there';
    is $other->sql('SHOW max_connections'), 7, '... with options of its own';
    is $other->client_sql($other->conninfo, $me), 'app', '... and a user';
    isnt $other->client_sql("host=127.0.0.1 port=" . $other->port . ' user=app password=secret dbname=postgres', $me),
        'app', '... by its socket alone';

    my ($dir, @pids) = ($other->dir, $other->pids);
    undef $other;
    ok !-e $dir, 'it goes with its object';
    is_deeply [grep { NginxAsync::Server::alive($_) } @pids], [], '... and its processes';
};


subtest 'who gets in' => sub {
    for my $o ([], [user => 'other'], [tcp => 1], [tcp => '127.0.0.1'], [tcp => 1, user => 'other']) {
        my %o = @$o;
        my $user = $o{user} // 'app';
        is $pg->client_sql($pg->conninfo(%o), $me), $user, "conninfo: @$o";
        is $pg->client_sql($pg->uri(%o), $me), $user, "URI: @$o";
    }

    like $pg->client_sql($pg->conninfo(tcp => 1, password => 'wrong'), $me),
        qr/password authentication failed/, 'a wrong password';
    like $pg->client_sql($pg->conninfo(tcp => 1, password => undef), $me),
        qr/no password supplied/, 'none';

    $pg->hba('local all other reject');
    like $pg->client_sql($pg->conninfo(user => 'other'), $me), qr/rejects/, 'pg_hba.conf is another one';
    $pg->hba('local all all peer map=ours', 'hostssl all all 127.0.0.1/32 scram-sha-256 clientcert=verify-full',
        'hostnossl all app 127.0.0.1/32 scram-sha-256');
};


subtest 'TLS' => sub {
    my $how = 'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()';
    my $asks = sub { $pg->client_sql($pg->conninfo(tcp => 1, @_), $how) };

    is $asks->(sslmode => 'disable'), 'f', 'without';
    is $asks->(sslmode => 'verify-full', cert => 1), 't', 'the certificate is that of localhost';
    is $asks->(tcp => '127.0.0.1', sslmode => 'verify-full', cert => 1), 't', '... and of the address';
    is $pg->client_sql($pg->uri(tcp => 1, sslmode => 'verify-full', cert => 1), $how), 't', '... by URI';

    like $asks->(host => 'elsewhere', hostaddr => '127.0.0.1', sslmode => 'verify-full', cert => 1),
        qr/does not match host name "elsewhere"/, 'a name that it is not of';
    my $stranger = NginxAsync::Others::cert('ca', signs => 1, as => 'stranger');
    like $asks->(sslmode => 'verify-ca', cert => 1, sslrootcert => "$stranger.crt"),
        qr/certificate verify failed/, 'another CA';
    like $asks->(sslmode => 'require'), qr/valid client certificate/, 'a client without certificate';
    like $asks->(sslmode => 'require', user => 'other', map { ("ssl$_->[0]" => $pg->client_cert('app') . $_->[1]) }
        ['cert', '.crt'], ['key', '.key']), qr/failed for user "other"/, '... or with that of somebody else';
    ok $pg->wait_for_log(qr/certificate validation .* failed for user "other"/), '... which the log tells';
};


subtest 'sessions and backends' => sub {
    $pg->sql('CREATE TABLE t (n int)', 'GRANT ALL ON t TO app');

    my $lock = $pg->session('BEGIN', 'LOCK TABLE t');
    my $waits = $pg->session(q{SET application_name = 'waits'});
    is $waits->sql('SELECT 7'), 7, 'a session answers';
    $waits->send('SELECT count(*) FROM t');

    ok $pg->wait_for_backends(1, application_name => 'waits', wait => 'relation'), 'it waits';
    my ($backend) = $pg->backends(application_name => 'waits');
    is $backend->{query}, 'SELECT count(*) FROM t;', '... with its statement';
    is $backend->{state}, 'active', '... which is active';

    $lock->close;
    is $waits->answer, 0, '... until the lock is gone';

    ok $pg->terminate($backend->{pid}), 'it is ended';
    ok $pg->wait_for_log(qr/terminating connection due to administrator command/), '... says the log';
    ok !eval { $waits->sql('SELECT 1'); 1 }, '... and its client';
    is scalar $pg->backends, 0, 'none is left, and ours does not count';
};


subtest 'frozen' => sub {
    my $session = $pg->session('SELECT 1');
    ok $pg->freeze, 'all processes stop';

    my $start = time;
    like $pg->client_sql($pg->conninfo(connect_timeout => 2), $me), qr/timeout expired/,
        'nobody answers a new connection';
    $session->send('SELECT 8');
    vec(my $ready = '', fileno $session->{fh}, 1) = 1;
    is select($ready, undef, undef, 0.3), 0, '... nor an old one';

    $pg->thaw;
    is $session->answer, 8, '... until they go on';
    is $pg->client_sql($pg->conninfo, $me), 'app', '... also for the new ones';

    $pg->freeze;
    ok $pg->stop('immediate'), 'it can be stopped then';
};


subtest 'an end, and a start' => sub {
    ok !$pg->running, 'it does not run';
    like $pg->client_sql($pg->conninfo, $me), qr/connection to server .* failed/, '... nor answer';

    $pg->start;
    $pg->sql('INSERT INTO t VALUES (1)', 'CHECKPOINT');

    for my $how (qw(smart fast immediate)) {
        ok $pg->stop($how), "stop: $how";
        is $pg->start->sql('SELECT n FROM t'), 1, '... keeps the data';
    }

    my $session = $pg->session('SELECT 1');
    $pg->freeze;
    ok $pg->kill9, 'kill -9';
    is_deeply [$pg->pids], [], '... leaves nobody, frozen or not';
    ok !$pg->running, '... and does not run';
    is $pg->restart->sql('SELECT n FROM t'), 1, '... and is repaired';
};


subtest 'a standby' => sub {
    my $standby = $pg->standby;
    $pg->sql('INSERT INTO t VALUES (2)');

    ok $standby->caught_up, 'follows';
    is $standby->sql('SELECT count(*) FROM t'), 2, '... has it all';
    is $standby->client_sql($standby->conninfo, 'SELECT pg_is_in_recovery()'), 't', '... for users, too';

    my $both = sub {
        return "host=$standby->{dir},$pg->{dir} port=$standby->{port},$pg->{port} user=app dbname=postgres "
            . "target_session_attrs=$_[0]";
    };
    my $where = 'SHOW cluster_name';

    is $pg->client_sql($both->('read-write'), $where), "test-$pg->{port}", 'who wants to write comes to the first';
    is $pg->client_sql($both->('any'), $where), "test-$standby->{port}", '... who does not, to any';

    $pg->stop('immediate');
    ok $standby->promote, 'it is promoted';
    is $pg->client_sql($both->('read-write'), $where), "test-$standby->{port}", '... and written to';
    $pg->start;
};


subtest 'PgBouncer' => sub {
    plan skip_all => NginxAsync::Pgbouncer::missing() if NginxAsync::Pgbouncer::missing();

    my $bouncer = $pg->pgbouncer(default_pool_size => 1);

    is $pg->client_sql($bouncer->conninfo(dbname => 'postgres'), $me), 'app', 'by its socket';
    is $pg->client_sql($bouncer->uri(tcp => 1, dbname => 'postgres', sslmode => 'disable'), $me), 'app', 'by TCP';
    like $pg->client_sql($bouncer->conninfo(password => 'wrong'), $me), qr/SASL authentication failed/,
        'a wrong password';
    is scalar(my @servers = $bouncer->show('servers')), 1, 'its pool';

    my $pid = 'SELECT pg_backend_pid()';
    my @pids = map { $pg->client_sql($bouncer->conninfo(dbname => 'postgres'), $pid) } 1 .. 2;
    is $pids[0], $pids[1], '... is what connections share';

    like $pg->client_sql($bouncer->conninfo(dbname => 'postgres'), 'PREPARE p AS SELECT 1', 'DISCARD ALL', 'EXECUTE p'),
        qr/prepared statement "p" does not exist/, '... with its prepared statements';

    ok $bouncer->freeze, 'it freezes';
    $bouncer->thaw;
    is $pg->client_sql($bouncer->conninfo(dbname => 'postgres'), $me), 'app', '... and goes on';
    $bouncer->kill9;
    ok !$bouncer->running, 'it is killed';
    $bouncer->start;
    is $pg->client_sql($bouncer->conninfo(dbname => 'postgres'), $me), 'app', '... and comes back';
    ok $bouncer->stop, 'it stops';
};


sub wait_until { my ($condition) = @_; return NginxAsync->wait_until($condition, 10) }

# A test of its own, that ends in the middle.
sub ends {
    my ($how) = @_;

    my $dir = NginxAsync::Guard::temp_dir('ends');

    my $code = <<'EOF_PERL';
        use NginxAsync::Pg;
        $| = 1;
        my $pg = NginxAsync::Pg->new;
        my $bouncer = NginxAsync::Pgbouncer::missing() ? undef : $pg->pgbouncer;
        my $session = $pg->session(q{SET application_name = 'sleeps'});
        $session->send('SELECT pg_sleep(600)');
        $pg->wait_for_backends(1, state => 'active') or die;
        my ($shm) = NginxAsync::Env::slurp($pg->data . '/postmaster.pid') =~ /^\s*\d+\s+(\d+)\s*$/m;
        $pg->freeze;
        print join(' ', $shm, $pg->pids, $bouncer ? $bouncer->pid : (), $session->{pid}), "\n";
EOF_PERL

    local $ENV{TEST_NGINX_RUN_DIR} = NginxAsync::Env::run_dir();
    local $ENV{TEST_NGINX_TMPDIR} = $dir;
    my $path = "$FindBin::Bin/lib";
    NginxAsync::Env::spew("$dir.pl", "$code $how;\n");
    my $said = NginxAsync::run($^X, "-I$path", '-MNginxAsync::Pgbouncer', "$dir.pl");
    unlink "$dir.pl";
    my ($shm, @pids) = $said =~ /^(\d[\d ]+)$/m ? split ' ', $1 : die $said;

    my $segment = sub { NginxAsync::Env::slurp('/proc/sysvipc/shm') =~ /^\s*-?\d+\s+$shm\s/m };

    ok wait_until(sub { !grep { NginxAsync::Server::alive($_) } @pids }), "$how: no process";
    ok wait_until(sub { !glob "$dir/*" }), "$how: no file"
        or diag join "\n", glob "$dir/*";
    ok wait_until(sub { !$segment->() }), "$how: no shared memory";
}


subtest 'what is left of a test' => sub {
    ends($_) for 'exit 0', 'kill 9, $$', 'kill 2, $$';
};

done_testing;
