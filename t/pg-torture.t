#!/usr/bin/perl

# PostgreSQL under load, while deadlines pass, clients leave, and the server
# goes: no answer is another one's, and no connection is lost to the pool.
# TEST_NGINX_LONG=1 takes some minutes.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use NginxAsync;
use NginxAsync::Pg;
use NginxAsync::Say qw(json);

NginxAsync::Pg::or_skip_all();

my $LONG = $ENV{TEST_NGINX_LONG};
my $N    = 8;

my $pg = NginxAsync::Pg->new(max_connections => 30);

$pg->sql('CREATE TABLE locked (id int)', 'CREATE TABLE o (id serial, child int)',
    'GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC', 'GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO PUBLIC');

my $conninfo = $pg->conninfo;

my $n = NginxAsync->new(connections => 1024, conf => { http => <<"EOF_CONF", server => <<'EOF_CONF' })->start;
    async_app \$TEST_NGINX_APPS/pg-torture.so;
    async_timeout 10m;
    async_pg db "$conninfo" connections=$N queue=10000 acquire_timeout=20s connect_timeout=2s statements=50;
    async_pg one "$conninfo" connections=1;
EOF_CONF
    location = /storm { async_handler pg-torture:storm; }
    location = /queue { async_handler pg-torture:queue; }
    location = /wait { async_handler pg-torture:wait; }
    location = /big { async_handler pg-torture:big; }
    location = /many { async_handler pg-torture:many; }
EOF_CONF

$n->allow(qr/database|async_pg/);

my $seed = $ENV{TEST_NGINX_SEED} // 1;

sub storm {
    my ($each, $children) = @_;

    $children //= 16;

    return $n->connect(timeout => 300)->send_request('GET', "/storm?children=$children&each=$each&seed=" . $seed++);
}

sub mine { return $pg->backends(application_name => 'nginx-async') }

# The pool still gives as many as it has, and one more has to wait.  While it
# takes the server to be down, it says so at once.
sub gives_all {
    my ($title) = @_;

    my $lock = $pg->session('BEGIN', 'LOCK TABLE locked');
    my $waits = sub { return scalar grep { ($_->{wait} // '') eq 'relation' } mine() };
    my $ask = sub { return $n->connect(timeout => 60)->send_request('GET', '/wait') };
    my @c = map { $ask->() } 1 .. $N;
    ok $n->wait_until(sub { $waits->() == $N || (push(@c, $ask->()), 0) }, 30), $title or diag explain [mine()];
    push @c, $ask->();
    $lock->close;
    cmp_ok scalar(grep { $_->response->body eq 'done' } @c), '>', $N, '... and whoever waits has one in turn';
}

is $n->get('/queue')->body, 'done', 'those who wait for one connection';
is $pg->sql('SELECT count(*) FROM (SELECT child, row_number() OVER (ORDER BY id) - 1 AS r FROM o) x WHERE child <> r'), 0,
    '... have it in their order';

gives_all('the pool gives all of its connections');

{
    my ($statements, $answers, $wrong) = (0, 0, 0);
    my $rounds = $LONG ? 105 : 2;

    for my $round (1 .. $rounds) {
        my @c = map { storm(31) } 1 .. 2;
        my @leave = map { storm(1000) } 1 .. 3;

        for (@leave) {
            # somewhere in the middle
            $n->get('/many?n=1000');
            $_->close;
        }

        for my $r (map { json($_->response) } @c) {
            $statements += $r->{statements};
            $answers += $r->{answers};
            $wrong += $r->{wrong};
        }
    }

    note "$statements statements, ", $statements - $answers, ' of them ended before their answer';
    is $wrong, 0, "no answer of $answers is another one's";
    cmp_ok $statements, '==', $rounds * 2 * 16 * 31, '... of all that were asked for';
    cmp_ok $answers, '>', $statements / 10, '... and there were enough';
    unlike $n->log, qr/<wrong/, '... nor has one of those who have left had one';
    ok $n->wait_until(sub { !grep { $_->{state} ne 'idle' } mine() }, 30), '... nothing runs on the server any more';
    gives_all('... and the pool gives all of its connections');
    cmp_ok $pg->sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'nginx-async'"), '<=', $N + 1,
        '... which are not too many';
}

# ---- servers that go: those of three fates are others then

my %fate = (
    'killed' => sub { $pg->kill9; $pg->start },
    'frozen' => sub { $pg->freeze; select undef, undef, undef, 0.3; $pg->thaw },
    'restarted' => sub { $pg->restart('fast') },
    'restarted at once' => sub { $pg->restart('immediate') },
    'told to end its connections' => sub {
        $pg->sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'nginx-async'")
    },
    'out of connections' => sub {
        my @s = map { $pg->session('SELECT 1') } 1 .. 3;
        $pg->sql('ALTER ROLE app CONNECTION LIMIT 3',
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'nginx-async'");
        $n->get('/many?n=10') for 1 .. 3;
        $pg->sql('ALTER ROLE app CONNECTION LIMIT -1');
    },
);

my $rounds = $LONG ? 34 : 1;

for my $round (1 .. $rounds) {
    for my $fate (sort keys %fate) {
        my @c = map { storm(200, 8) } 1 .. 2;
        $n->get('/many?n=100');
        $fate{$fate}->();
        my @r = map { json($_->response) } @c;
        is_deeply [map { @$_{qw(statements wrong)} } @r], [map { (200 * 8, 0) } @r], "a server that is $fate: no wrong answer";
        ok $n->wait_until(sub { $n->get('/many?n=10')->body eq 'right' }, 30), '... it is found again';
        gives_all('... and the pool gives all of its connections');
    }
}

# ---- bounds

is $n->get('/many?n=65535', timeout => 60)->body, 'right', '65,535 values';
like $n->get('/many?n=65536')->body, qr/database "db": .*65535/, '... and one more';
is $n->get('/big?mb=50', timeout => 120)->body, 'the same', '50 MB, there and back';
gives_all('the pool gives all of its connections at the end');

$n->stop;
done_testing();
