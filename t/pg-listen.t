#!/usr/bin/perl

# await_pg_listen(), await_pg_notification(): who hears what, in which order;
# those who come and go; tasks of all kinds.

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

# the sanitizer keeps for a while what is freed
sub is_flat {
    my ($grown, $title) = @_;

    SKIP: {
        skip 'AddressSanitizer', 1 if $ENV{TEST_NGINX_ASAN};
        cmp_ok $grown, '<', 6e6, $title;
    }
}

is $n->get("/$_")->body, 'ok', $_ for qw(names hands slow again blocking);

# ---- many at once

{
    my @c = map { $n->connect(timeout => 60)->send_request('GET', '/count?c=order') } 1 .. 50;
    ok $n->wait_until(sub { 50 == (() = $n->log =~ /<counts order>/g) }), 'fifty on one channel';

    my @other = map { hears($_) } qw(other third);
    ok $n->wait_until(sub { listening() == 1 }), '... by one connection';

    $session->sql(q{SELECT count(pg_notify('order', n::text)) FROM generate_series(1, 10000) n});
    notify('order', 'end');
    is_deeply [map { $_->response->body } @c], [('10000') x 50], '... hear ten thousand, in order';

    notify('other', 'x', 'end');
    notify('third', 'y', 'end');
    is_deeply [map { json($_->response) } @other], [['x'], ['y']], 'others their own';
}

# ---- by TLS

{
    my $m = nginx($pg->conninfo(tcp => 1, sslmode => 'require'), '');
    my $c = $m->connect(timeout => 60)->send_request('GET', '/count?c=tls');
    ok says($m, 'counts tls'), 'by TLS';
    $session->sql(q{SELECT count(pg_notify('tls', n::text)) FROM generate_series(1, 10000) n});
    notify('tls', 'end');
    is $c->response->body, '10000', '... ten thousand, in order';
    $m->stop;
}

# ---- they come and go

{
    my $heard = $n->get('/churn?tasks=100&rounds=5', timeout => 60)->body;
    cmp_ok $heard, '>', 1000, 'a hundred who come and go';
    ok $n->wait_until(sub { listening() == 1 }), '... on one connection';
    my $before = $n->memory_of_worker;
    cmp_ok $n->get('/churn?tasks=100&rounds=5', timeout => 60)->body, '>', 1000, '... once more';
    is_flat($n->memory_of_worker - $before, '... and memory does not grow');
}

{
    my $rounds = $ENV{TEST_NGINX_LONG} ? 20 : 4;
    my $c = $n->connect(timeout => 60)->send_request('GET', '/count?c=flat');
    ok says($n, 'counts flat'), 'one for long';
    my @memory;

    for (0 .. $rounds) {
        my ($first, $last) = ($_ * 50_000 + 1, ($_ + 1) * 50_000);
        $session->sql(qq{SELECT count(pg_notify('flat', n::text)) FROM generate_series($first, $last) n});
        my $next = hears('flat2');
        notify('flat2', 'end');
        $next->response;
        push @memory, $n->memory_of_worker;
    }

    notify('flat', 'end');
    is $c->response->body, 50_000 * ($rounds + 1), '... hears all';
    is_flat($memory[-1] - $memory[1], '... and memory is flat');
}

# ---- not in a request

{
    my $since = $n->mark;
    is $n->get('/background')->body, 'ok', 'a background task';
    ok says($n, 'the background listens', $since), '... listens';
    notify('background', 'you');
    ok says($n, 'the background hears you', $since), '... and hears';

    my $m = nginx($pg->conninfo, '', http => "async_param start 1;\nasync_every 1s tick;\n");
    ok says($m, "$_ hears 5"), $_ for qw(start tick);
    $m->stop;
    ok says($m, 'stop hears 5'), 'stop';
}

# ---- LISTEN on a connection of the pool

{
    my $since = $n->mark;
    $pg->sql(q{CREATE FUNCTION listens() RETURNS void LANGUAGE plpgsql
        AS 'BEGIN EXECUTE ''LISTEN stray''; END'});
    is $n->get('/stray')->body, 'ok', 'LISTEN by a function, which nobody undoes';
    notify('stray', 'x');
    like_log $n, $since, qr/a connection of the pool listens to "stray", where nobody hears it/,
        '... is noted';
}

# ---- last: the server looks through all of them for each that is notified

is $n->get('/many')->body, 'ok', 'many channels';

$session->close;

done_testing();
