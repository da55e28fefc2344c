#!/usr/bin/perl

# await_pg_listen(), await_pg_notification(): connections that are lost, servers
# that do not answer, clients that leave, workers that go.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use NginxAsync;
use NginxAsync::Pg;
use NginxAsync::Say qw(json says gone);

NginxAsync::Pg::or_skip_all();

my $pg = NginxAsync::Pg->new(tcp => 1, tls => 1, max_connections => 80);

sub nginx {
    my ($conninfo, $settings, %o) = @_;

    my $http = delete $o{http} // '';
    my $routes = join '', map { "location = /$_ { async_handler pg-listen:$_; }\n" } qw(hear count
        events names hands slow again churn many left background blocking stray);

    return NginxAsync->new(%o, conf => { http => <<"EOF_CONF", server => $routes })->start;
        async_app \$TEST_NGINX_APPS/pg-listen.so;
        async_pg db "$conninfo" $settings;
        $http
EOF_CONF
}

my $n = nginx($pg->conninfo, 'connections=4');
my $session = $pg->session;

sub notify { my ($channel, @payloads) = @_; $session->sql("SELECT pg_notify('$channel', '$_')") for @payloads }

# of the pool, and the one that listens
sub listening { return grep { $_->{query} =~ /LISTEN|SELECT 1$/ } $pg->backends(application_name => 'nginx-async') }

# a client that listens
sub hears {
    my ($channel, $m) = @_;

    $m //= $n;
    my $since = $m->mark;
    my $c = $m->connect(timeout => 60)->send_request('GET', "/hear?c=$channel");
    says($m, "hears $channel", $since) or fail "$channel is heard";

    return $c;
}

# ---- the connection is lost, and what comes after it is heard

sub is_back { my ($m, $since) = @_; return $m->wait_for_log(qr/it listens again/, 30, $since) }

sub loses {
    my ($how, $lose, $m) = @_;

    $m //= $n;
    my @c = map { hears($_, $m) } qw(lost lost too);
    my $before = $m->mark;
    notify($_, "before") for qw(lost too);
    $m->wait_until(sub { 3 == (() = $m->log($before) =~ /gets before>/g) }) or fail "before";

    my $since = $m->mark;
    $lose->($m);
    $session = $pg->session;
    ok is_back($m, $since), "$how: it listens again";

    notify($_, 'after', 'end') for qw(lost too);

    return map { json($_->response) } @c;
}

sub is_lost {
    my ($how, $lose) = @_;

    is_deeply [loses($how, $lose)], [(['before', undef, 'after']) x 3],
        '... what was missed is told where it was';
    ok NginxAsync::Pg::poll(sub { listening() == 1 }), '... by one connection';
}

is_lost('the backend is terminated', sub { $pg->terminate($_->{pid}) for listening() });
is_lost('the server restarts', sub { $session->close; $pg->restart('fast') });
is_lost('the server is killed', sub { $session->close; $pg->kill9; $pg->start });

{
    my $m = nginx($pg->conninfo(tcp => 1, sslmode => 'require'), 'ping=300ms connect_timeout=1s');

    my @heard = loses('the server is frozen', sub {
        my ($m) = @_;
        my $since = $m->mark;
        $pg->freeze;
        ok $m->wait_for_log(qr/no answer within 1000 ms; 3 listeners wait/, 30, $since), 'a server that is frozen is found';
        $pg->thaw;
    }, $m);

    # a machine that is slow may lose it more than once
    is_deeply $_, ['before', undef, 'after'], '... and some are missed' for map {
        my $last = -1;
        [grep { my $twice = !defined && !defined $last; $last = $_; !$twice } @$_]
    } @heard;

    $m->stop;
}

# ---- the server is not there, or does not answer

{
    my $c = hears('away');
    my $since = $n->mark;
    $session->close;
    $pg->stop('fast');

    ok $n->wait_for_log(qr/1 listeners wait/, 30, $since), 'a server that goes';
    my $r = json($n->get('/hear?c=new'));
    is_deeply [@$r{qw(rc cause)}], [-1, 5], '... nobody new can listen';
    like $r->{error}, qr/database "db": .*(?:refused|No such file|the connection is lost)/, '... and is told why';

    $pg->start;
    $session = $pg->session;
    ok is_back($n, $since), '... and comes again';
    notify('away', 'end');
    is_deeply json($c->response), [undef], '... and whoever listened does';
}

{
    my $m = nginx($pg->conninfo, "idle=200ms");
    $pg->stop('fast');
    my $r = json($m->get('/hear?c=new'));
    is_deeply [@$r{qw(rc cause)}], [-1, 5], 'no server, and nobody has listened before';
    like $r->{error}, qr/No such file|refused/, '... is told why';

    $pg->start;
    $session = $pg->session;
    my $c = hears('new', $m);
    notify('new', 'a', 'end');
    is_deeply json($c->response), ['a'], '... and one again';

    ok $pg->wait_for_backends(0, application_name => 'nginx-async'), 'the connection goes with the last one';

    $pg->freeze;
    is $m->get('/left?ms=50')->body, '-2', 'a deadline while it connects';
    my $since = $m->mark;
    my $gone = $m->connect->send_request('GET', '/hear?c=gone');
    is $m->get('/left?ms=50')->body, '-2', '... while another one waits';
    $gone->close;
    ok says($m, 'no gone: -3', $since), '... whose client leaves';
    $pg->thaw;
    ok $pg->wait_for_backends(0, application_name => 'nginx-async'), '... nothing is left of it';
    $c = hears('new', $m);
    notify('new', 'b', 'end');
    is_deeply json($c->response), ['b'], '... and it works';

    $pg->freeze;
    is $m->get('/left?ms=50')->body, '-2', 'a deadline while the server is to answer';
    $pg->thaw;
    is $m->get('/left?ms=20000')->body, '0', '... and it does';
    $m->stop;
}

# ---- clients that leave, workers that go

sub events {
    my ($m, $channel) = @_;

    my $c = $m->connect(timeout => 60)->send_request('GET', "/events?c=$channel");
    ok defined $c->read_until(qr/: listens\n\n/), "events of $channel";

    return $c;
}

$n->stop;

{
    my $m = nginx($pg->conninfo, "idle=200ms");
    my ($one, $two) = map { events($m, $_) } qw(one two);

    notify($_, "for $_") for qw(one two);
    ok defined $_->[0]->read_until(qr/data: for $_->[1]\n\n/), "... to $_->[1]" for [$one, 'one'], [$two, 'two'];

    my $since = $m->mark;
    $one->close;
    ok says($m, 'events of one end: -3', $since), 'a client leaves';
    ok NginxAsync::Pg::poll(sub { (listening())[0]{query} eq 'UNLISTEN "one";' }), '... and so its channel';

    is $m->reload, undef, 'a reload';
    my $three = events($m, 'three');
    ok NginxAsync::Pg::poll(sub { listening() == 2 }), '... the old worker listens on';
    notify($_, "then $_") for qw(two three);
    ok defined $_->[0]->read_until(qr/data: then $_->[1]\n\n/), "... to $_->[1]" for [$two, 'two'], [$three, 'three'];

    $two->close;
    ok $m->wait_until(sub { !$m->leaving_workers }), '... and goes with its client';
    ok NginxAsync::Pg::poll(sub { listening() == 1 }), '... with its connection';

    $three->close;
    ok $pg->wait_for_backends(0, application_name => 'nginx-async'), 'the last client, and the connection';

    $m->stop;
}

{
    # which would be kept for 5 s, and so would the worker be by its timer
    my $m = nginx($pg->conninfo, '');
    my $since = $m->mark;
    my $clock = $pg->session('SELECT 1');
    events($m, 'three')->close;
    ok says($m, 'events of three end: -3', $since), 'the last client leaves';
    ok NginxAsync::Pg::poll(sub { listening() == 1 }), '... the connection is kept for a while';
    my $ticks = sub {
        return $pg->sql(q{SELECT count(*) FROM pg_stat_activity
            WHERE query LIKE 'SELECT pg_sleep(4)%' AND state = 'active'});
    };
    $clock->send('SELECT pg_sleep(4)');
    NginxAsync::Pg::poll($ticks);
    $m->stop;
    is $ticks->(), 1, '... but not by a worker that exits';
    $clock->close;
    ok $pg->wait_for_backends(0, application_name => 'nginx-async'), '... it is closed then';
}

for my $signal (qw(QUIT TERM)) {
    my $m = nginx($pg->conninfo, "idle=200ms", http => 'async_shutdown_timeout 100ms;');
    my $c = events($m, 'end');
    $signal eq 'QUIT' ? $m->stop : $m->term;
    ok !defined $c->read_until(qr/never/), "$signal";
    ok $pg->wait_for_backends(0, application_name => 'nginx-async'), '... the connection is closed';
}

$session->close;

done_testing();
