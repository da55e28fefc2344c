#!/usr/bin/perl

# PostgreSQL: what is rare, and must do no harm.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Select;
use IO::Socket::INET;
use POSIX ();
use Test::More;

use NginxAsync;
use NginxAsync::Pg;
use NginxAsync::Say qw(json);

NginxAsync::Pg::or_skip_all();

my $pg = NginxAsync::Pg->new(tcp => 1, tls => 1);

$pg->sql('CREATE TABLE t (id int)', 'GRANT ALL ON t TO PUBLIC');

sub nginx {
    my ($settings, %o) = @_;

    my $conninfo = $pg->conninfo(%o);
    my $routes = join '', map { "location = /$_ { async_handler pg-faults:$_; }\n" } qw(sql stream copy stops texts large values wrong_text);

    return NginxAsync->new(conf => { http => <<"EOF_CONF", server => $routes })->start;
        async_app \$TEST_NGINX_APPS/pg-faults.so;
        async_timeout 30s;
        async_pg db "$conninfo" $settings;
EOF_CONF
}

my $n;

sub escape { return $_[0] =~ s/([^A-Za-z0-9._-])/sprintf '%%%02X', ord $1/ger }

sub get { my ($p, $q) = @_; return json($n->get("/$p?q=" . escape($q))) }

sub mine { return $pg->backends(application_name => 'nginx-async') }

sub touch { my ($path) = @_; open my $f, '>', $path or die "$path: $!"; return close $f }

# Before the server: a request to cancel that finds the file "hold" is held
# until there is the file "go"; the file "gone" says that the server has it.  One
# that finds the file "lose" is lost.
sub serve {
    my ($c, $dir) = @_;

    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $pg->port) or return;
    my $first = '';

    sysread $c, $first, 16 - length $first, length $first or return while length $first < 8;

    my $cancels = unpack('N', substr $first, 4) == 80877102;
    return if $cancels && rename "$dir/lose", "$dir/lost";
    my $held = $cancels && rename "$dir/hold", "$dir/held";

    select undef, undef, undef, 0.02 while $held && !-e "$dir/go";
    syswrite $s, $first;

    my $both = IO::Select->new($c, $s);

    while (my @ready = $both->can_read) {
        for my $one (@ready) {
            if (!sysread $one, my $buf, 65536) {
                touch("$dir/gone") if $held;
                return;
            } else {
                syswrite $one == $c ? $s : $c, $buf;
            }
        }
    }
    return;
}

sub proxy {
    my ($listen, $dir) = @_;

    my $pid = fork // die "fork: $!";
    return $pid if $pid;

    setpgrp;
    $SIG{TERM} = 'DEFAULT';
    $SIG{CHLD} = 'IGNORE';
    alarm 300;

    while (my $c = $listen->accept) {
        next if fork;
        serve($c, $dir);
        POSIX::_exit(0);
    }
    POSIX::_exit(0);
}

# ---- a server that is down

$n = nginx('connections=3');
is_deeply get('stream', 'SELECT 1'), { rows => 1 }, 'a stream';
is_deeply get('sql', 'SELECT repeat(\'x\', 3) AS x'), [{ x => 'xxx' }], '... and a statement';
$pg->stop('immediate');

for my $i (1 .. 10) {
    is get('sql', 'SELECT 1')->{rc}, -1, "a server that is down ($i)" if $i > 1;
    like get('stream', 'SELECT 1')->{rc}, qr/^-[14]$/, '... has no rows';
    is get('copy', 'COPY t TO STDOUT')->{rc}, -1, '... nor a COPY';
}

$pg->start;
ok $n->wait_until(sub { ref get('sql', 'SELECT 1 AS n') eq 'ARRAY' }), '... it is there again';
is_deeply get('stream', 'SELECT 1'), { rows => 1 }, '... for streams, too';
$n->stop;

# ---- a rollback whose cancel takes its time; one that arrives late is for nobody else

for my $savepoint (0, 1) {
    my $dir = $pg->dir . "/held$savepoint";
    mkdir $dir;
    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 50) or die $!;
    my $proxy = proxy($listen, $dir);

    $n = nginx('connections=1', tcp => 1, port => $listen->sockport);
    is_deeply get('sql', 'SELECT 1 AS n'), [{ n => 1 }], 'by a proxy';

    touch("$dir/hold");
    my $rows = escape(q{SELECT repeat('x', 9000), pg_sleep(i / 4 * 30) FROM generate_series(1, 9) i});
    is_deeply json($n->get("/stops?q=$rows" . ($savepoint ? '&savepoint' : ''))), [-2, $savepoint ? 0 : -1],
        'a deadline in a rollback, which has ended ' . ($savepoint ? 'the savepoint' : 'the transaction');
    ok $n->wait_until(sub { -e "$dir/held" }), '... its cancel is on its way';
    ok $n->wait_until(sub { !grep { $_->{state} ne 'idle' } mine() }), '... another one has done it';

    my $lock = $pg->session('SELECT pg_advisory_lock(1)');
    my $c = $n->connect->send_request('GET', '/sql?q=' . escape('SELECT 2 AS n FROM pg_advisory_xact_lock(1)'));
    ok $n->wait_until(sub { grep { $_->{query} =~ /SELECT 2/ && $_->{state} eq 'active' } mine() }),
        '... and somebody else is served';
    touch("$dir/go");
    ok $n->wait_until(sub { -e "$dir/gone" }), 'the first one arrives';
    $lock->sql('SELECT pg_advisory_unlock(1)');
    is_deeply json($c->response), [{ n => 2 }], '... and hits nobody';
    $n->stop;
    kill TERM => -$proxy;
    waitpid $proxy, 0;
}

# ---- a cancel that is lost, as one between two statements of a pipeline is

{
    my $dir = $pg->dir . '/lost';
    mkdir $dir;
    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 50) or die $!;
    my $proxy = proxy($listen, $dir);
    my $lock = $pg->session('SELECT pg_advisory_lock(2)');

    $n = nginx('connections=1', tcp => 1, port => $listen->sockport);
    is_deeply get('sql', 'SELECT 1 AS n'), [{ n => 1 }], 'by a proxy';
    my ($one) = mine();

    touch("$dir/lose");
    my $c = $n->connect->send_request('GET', '/sql?q=' . escape('SELECT pg_advisory_lock(2)'));
    ok $n->wait_until(sub { grep { $_->{state} eq 'active' } mine() }), '... a statement';
    $c->close;
    ok $n->wait_until(sub { -e "$dir/lost" }), '... whose cancel is lost';
    ok $n->wait_until(sub { !grep { $_->{state} ne 'idle' } mine() }), '... is cancelled again';
    is_deeply get('sql', 'SELECT 2 AS n'), [{ n => 2 }], '... and on it goes';
    is_deeply [map { $_->{pid} } mine()], [$one->{pid}], '... on the same connection';
    $n->stop;
    kill TERM => -$proxy;
    waitpid $proxy, 0;
}

# ---- values are values, whatever stands in them

$pg->sql('CREATE TABLE v (id serial, s text)', 'GRANT ALL ON v, v_id_seq TO PUBLIC');

for my $settings ('', 'statements=0', 'shared=on') {
    $n = nginx("connections=1 $settings");
    is json($n->get('/values'))->{wrong}, 0, "what looks like SQL ($settings)" for 1, 2;

    my $r = json($n->get('/wrong_text'));
    like $_, qr/is not UTF-8$|has a zero byte$/, "text that is none: $_ ($settings)" for @$r;
    is scalar @$r, 10, '... each';
    is $pg->sql('SELECT count(*) FROM v'), 0, '... and none is there';
    is_deeply get('sql', 'SELECT 1 AS n'), [{ n => 1 }], '... and on it goes';
    $n->stop;
}

# ---- memory

for my $shared ('off', 'on') {
    $n = nginx("connections=1 shared=$shared");
    is json($n->get('/texts?of=3000'))->{right}, 3000, "many texts (shared=$shared)";

    my $before = $n->memory_of_worker;
    my $many = $ENV{TEST_NGINX_LONG} ? 100_000 : 10_000;
    my $r = json($n->get("/texts?of=$many", timeout => 60));
    is $r->{right}, $many, '... more of them';
    cmp_ok $r->{prepared}, '<=', 110, '... few are prepared at a time';
    cmp_ok $n->memory_of_worker - $before, '<', 2_000_000, '... and memory is flat' if !$ENV{TEST_NGINX_ASAN};

    $r = json($n->get('/texts?of=5000&begin'));
    is $r->{right}, 5000, '... in a transaction';
    cmp_ok $r->{prepared}, '<=', 300, '... likewise';

    for my $how (qw(param rows result)) {
        $before = $n->memory_of_worker;
        is $n->get("/large?mb=50&how=$how", timeout => 60)->body, 'large', "50 MB ($how)";
        ok $n->wait_until(sub { $n->memory_of_worker - $before < 5_000_000 }, 5), '... memory is given back'
            or diag $n->memory_of_worker - $before if !$ENV{TEST_NGINX_ASAN};
    }
    $n->stop;
}

done_testing;
