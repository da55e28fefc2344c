#!/usr/bin/perl

# PostgreSQL that answers nothing any more: what waits for it, and what has to go
# on meanwhile.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use NginxAsync;
use NginxAsync::Pg;
use NginxAsync::Say qw(gone json);

NginxAsync::Pg::or_skip_all();

my $pg = NginxAsync::Pg->new;

sub nginx {
    my ($settings, %o) = @_;

    my $conninfo = $o{conninfo} // $pg->conninfo;

    return NginxAsync->new(connections => 512, %o, conf => {
        main => 'thread_pool default threads=2;', http => <<"EOF_CONF",
        async_app \$TEST_NGINX_APPS/pg-life.so;
        async_timeout 30s;
        async_pg db "$conninfo" $settings;
        async_pg other "$conninfo" connections=1 acquire_timeout=1h;
        @{[$o{http} // '']}
EOF_CONF
        server => <<'EOF_CONF' })->start;
        location = /run { async_handler pg-life:run; }
        location = /blocking { async_handler pg-life:blocking; }
EOF_CONF
}

# What each line has come to: [[rows]], or a code and SQLSTATE.
sub run {
    my ($n, @lines) = @_;

    return outcomes($n->post('/run', join("\n", @lines)));
}

sub outcomes {
    my ($r) = @_;

    return [map { ref $_ eq 'HASH' ? join ' ', $_->{rc}, $_->{sqlstate} || $_->{error} : $_ } @{ json($r) }];
}

sub start { my ($n, @lines) = @_; return $n->connect->send_request('POST', '/run', body => join "\n", @lines) }
sub mine  { return $pg->backends(application_name => 'nginx-async') }
sub active { return grep { $_->{query} =~ /pg_sleep/ && $_->{state} eq 'active' } mine() }

{
    my $n = nginx('connections=4 connect_timeout=1s');

    my @c = map { start($n, 'sql SELECT pg_sleep(60)') } 1 .. 4;
    ok $n->wait_until(sub { active() == 4 }, 20), 'four statements run';
    $pg->freeze;
    $_->close for @c;

    # cancels wait for the server in threads
    ok $n->wait_until(sub { 4 == (() = $n->log =~ /could not be made free/g) }, 30),
        'a server that is frozen: they cannot be cancelled';
    is eval { $n->get('/blocking', timeout => 10)->body }, 'from a thread', '... threads are for others still';
    like run($n, 'sql SELECT 1')->[0], qr/\A(?:-2|-1) .*(?:does not answer within 1000 ms|no connection was free)/,
        '... who asks meanwhile is told';

    $pg->thaw;
    ok $n->wait_until(sub { ref run($n, 'sql SELECT 1 AS n')->[0] }, 20), '... until it goes on';
    ok $n->wait_until(sub { !active() }, 20), '... and ends what was cancelled';
    $n->allow(qr/database|async_pg/);
    $n->stop;
}

{
    my $n = nginx('connections=10 connect_timeout=300ms');

    $pg->freeze;
    my @c = map { start($n, 'sql SELECT 1') } 1 .. 10;
    like outcomes($_->response)->[0], qr/\A-2 /, 'ten cannot connect at once' for @c;
    $pg->thaw;

    # the first pause is 100 ms
    select undef, undef, undef, 1;
    ok ref run($n, 'sql SELECT 1 AS n')->[0], '... which is one failure of the server: it is tried again soon';
    $n->stop;
}

for my $signal (qw(QUIT TERM)) {
    my $n = nginx('connections=4', http => 'async_shutdown_timeout 500ms;');

    run($n, 'other SELECT 1');
    my @c = map { start($n, 'begin', 'sql SELECT pg_sleep(60)') } 1 .. 4;
    ok $n->wait_until(sub { active() == 4 }, 20), 'four statements run';
    $pg->freeze;
    $n->signal($signal);
    ok gone($n, 30), "$signal: the worker goes, whatever the server does";
    $pg->thaw;
    $pg->sql('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE \'%pg_sleep(60)\'');
    $n->allow(qr/database|async_pg|\[error\].*async|\[warn\].*async/);
    $n->stop;
}

done_testing();
