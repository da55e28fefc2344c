#!/usr/bin/perl

# What the status counts of PostgreSQL: pools of connections, and channels over
# machines.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use NginxAsync;
use NginxAsync::Figures qw($STATUS figure is_figure at_least);
use NginxAsync::Others qw(refusing);
use NginxAsync::Pg;

NginxAsync::Pg::or_skip_all();

my $pg = NginxAsync::Pg->new;
my $conninfo = $pg->conninfo;
my $nowhere = 'host=' . join ' port=', split /:/, refusing();

sub escape { return $_[0] =~ s/([^A-Za-z0-9._-])/sprintf '%%%02X', ord $1/ger }
sub uri { my ($q, $pool) = @_; return '/sql?q=' . escape($q) . ($pool ? "&pool=$pool" : '') }

# ---- a pool

{
    my $n = NginxAsync->new(conf => { http => <<"EOF_HTTP", server => <<"EOF_SERVER" })->start;
        async_app \$TEST_NGINX_APPS/pg-connect.so;
        async_app \$TEST_NGINX_APPS/pg-pipeline.so;
        async_pg db "$conninfo" connections=2 queue=1 acquire_timeout=60s;
        async_pg one "$conninfo" connections=1 acquire_timeout=100ms;
        async_pg shared "$conninfo" connections=1 shared=on;
        async_pg away "$nowhere";
EOF_HTTP
        $STATUS
        location = /sql { async_handler pg-connect:sql; }
        location = /twice { async_handler pg-connect:twice; }
        location = /pipeline { async_handler pg-pipeline:sql; }
EOF_SERVER

    my @db = ('postgres', 'db');

    # a statement that lasts until the session lets it go
    my $session = $pg->session('SELECT pg_advisory_lock(1)');
    my $hold = uri('SELECT 1 AS held FROM pg_advisory_xact_lock(1)');
    my $asks = sub { return $n->connect(timeout => 60)->send_request('GET', $_[0]) };

    is_figure($n, [@db, 'connections_max'], 2, 'connections that may be');
    is_figure($n, [@db, 'connections_idle'], 0, 'there is none before one is needed');

    is $n->get(uri('SELECT 1 AS n'))->body, '[{"n":1}]', 'a statement';
    is_figure($n, [@db, 'opened'], 1, 'its connection');
    is_figure($n, [@db, 'connections_idle'], 1, '... waits for the next one');
    is_figure($n, [@db, 'acquires'], 1, 'it was asked for once');
    is_figure($n, [@db, 'wait'], 1, '...');
    is_figure($n, [@db, 'statements'], 1, 'one statement');
    is_figure($n, [@db, 'time'], 1, '... has taken its time');

    $n->get(uri('SELECT nothing'));
    is_figure($n, [@db, 'errors'], 1, 'one that fails');
    $n->get('/twice?q=' . escape('SELECT 1') . '&then=' . escape('SELECT 2 AS n'));
    is_figure($n, [@db, 'statements'], 6, 'BEGIN and COMMIT are statements, too');
    $n->get('/pipeline?q=' . escape('SELECT 1') . '&q=' . escape('SELECT 2'));
    is_figure($n, [@db, 'statements'], 8, 'so are those of a pipeline');
    is_figure($n, [@db, 'time'], 7, '... which take one time');
    is_figure($n, [@db, 'acquires'], 4, 'none has asked twice');

    my @c = map { $asks->($hold) } 1 .. 2;
    is_figure($n, [@db, 'connections_busy'], 2, 'both are busy');
    is_figure($n, [@db, 'opened'], 2, '...');
    push @c, $asks->(uri('SELECT 3 AS n'));
    is_figure($n, [@db, 'waiting'], 1, 'the next one waits');
    $n->get(uri('SELECT 1'));
    is_figure($n, [@db, 'refused'], 1, '... and another one is refused');

    (shift @c)->reset;
    at_least($n, [@db, 'cancels'], 1, 'nobody wants one: it is cancelled');
    is_figure($n, [@db, 'waiting'], 0, '... and whoever waited has its connection');
    $session->sql('SELECT pg_advisory_unlock_all()');
    is $_->response->status, 200, 'all is answered' for @c;
    is_figure($n, [@db, 'connections_busy'], 0, '...');
    is_figure($n, [@db, 'connections_idle'], 2, '...');

    $pg->terminate($_->{pid}) for $pg->backends(application_name => 'nginx-async');
    is_figure($n, [@db, 'lost'], 2, 'the server ends them');
    is_figure($n, [@db, 'connections_idle'], 0, '...');

    $session->sql('SELECT pg_advisory_lock(1)');
    @c = $asks->("$hold&pool=one");
    is_figure($n, ['postgres', 'one', 'connections_busy'], 1, 'a pool of one');
    $n->get(uri('SELECT 1', 'one'));
    is_figure($n, ['postgres', 'one', 'timed_out'], 1, '... whose next task waits in vain');
    $session->sql('SELECT pg_advisory_unlock_all()');
    $_->response for @c;

    $n->get(uri('SELECT 1', 'shared')) for 1 .. 2;
    is_figure($n, ['postgres', 'shared', 'statements'], 2, 'on a connection that is shared');
    is_figure($n, ['postgres', 'shared', 'time'], 2, '...');

    $n->get(uri('SELECT 1', 'away'));
    is_figure($n, ['postgres', 'away', 'connect_failed'], 1, 'a server that is not there');
    is figure($n, 'postgres', 'away', 'connections_opening'), 0, '... nobody tries any more';
    $n->stop;
}

# ---- channels over machines

{
    my @n = map { NginxAsync->new(conf => { http => <<"EOF_HTTP", server => <<"EOF_SERVER" })->start } 1 .. 2;
        async_app \$TEST_NGINX_APPS/channel.so;
        async_pg db "$conninfo";
        async_channels size=1m pg=db;
EOF_HTTP
        $STATUS
        location / { async_route GET /publish publish; }
EOF_SERVER

    # until the other one listens
    NginxAsync::Pg::poll(sub {
        $n[0]->get('/publish?c=a&d=x');
        return figure($n[1], 'channel', 'pg_heard');
    });
    at_least($n[1], ['channel', 'pg_heard'], 1, 'another machine hears');
    is_figure($n[0], ['channel', 'pg_waiting'], 0, 'when nothing waits');
    is figure($n[0], 'channel', 'pg_sent'), figure($n[0], 'channel', 'published'), '... all is sent';

    $_->allow(qr/database|async channels/) for @n;
    $pg->stop('immediate');
    $n[0]->wait_until(sub { $n[0]->get('/publish?c=a&d=x&n=500')->body !~ /^0 / });
    at_least($n[0], ['channel', 'pg_refused'], 1, 'without the database, too many wait');
    at_least($n[0], ['channel', 'pg_waiting'], 500, '...');
    $_->term for @n;
}

done_testing();
