#!/usr/bin/perl

# Channels over machines: two nginx on one database; who listens, what is lost
# while the database is away, what is no message of ours.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Select;
use Test::More;

use NginxAsync;
use NginxAsync::Pg;

NginxAsync::Pg::or_skip_all();

my $pg = NginxAsync::Pg->new;
my $conninfo = $pg->conninfo;

sub nginx {
    my (%o) = @_;

    my $to = delete $o{conninfo} // $conninfo;

    return NginxAsync->new(%o, conf => {
        http => "async_app \$TEST_NGINX_APPS/channel.so;\n"
            . "async_pg db \"$to\";\n async_channels size=1m pg=db;",
        server => 'location / { async_route GET /publish publish; async_route GET /listen listen;'
            . 'async_route POST /put put; }' })->start;
}

sub line {
    my ($c) = @_;

    my $chunk = $c->read_until("\r\n");
    defined $chunk && length $chunk or return undef;

    my $size = hex $chunk =~ s/\r\n//r or return undef;
    my $data = $c->read($size);
    $c->read(2);

    return $data =~ s/\n\z//r;
}

sub listens {
    my ($n, $query) = @_;

    my $c = $n->connect(timeout => 30)->send_request('GET', "/listen?$query");
    $c->read_until("\r\n\r\n");
    line($c);

    return $c;
}

sub publish {
    my ($n, $c, $d, $count) = @_;

    return $n->get("/publish?c=$c&d=$d" . ($count ? "&n=$count" : ''))->body =~ s/ .*//r;
}

# Who took over to listen may not have yet: until something comes.
sub reaches {
    my ($n, $channel, $d, $l) = @_;

    return $n->wait_until(sub {
        publish($n, $channel, $d);
        return IO::Select->new($l->socket)->can_read(0.2) && line($l) });
}

my $listen = sub { scalar grep { $_->{query} =~ /LISTEN|SELECT 1$/ } $pg->backends(application_name => 'nginx-async') };

my $a = nginx(workers => 2);
my $b = nginx(workers => 2);

ok $a->wait_until(sub { $listen->() == 2 }), 'one worker of each machine listens';

{
    my @l = map { listens($_, 'c=news') } $a, $b;

    is publish($a, 'news', 'hello'), 0, 'one machine publishes';
    is line($_), '0 hello', '... and both get it' for @l;

    is publish($b, 'news', 'n', 300), 0, 'many, the other way';
    is_deeply [map { line($l[0]) } 1 .. 300], [map { "0 n $_" } 1 .. 300], '... in their order';
    is_deeply [map { line($l[1]) } 1 .. 300], [map { "0 n $_" } 1 .. 300], '... once each';

    is publish($a, 'news', 'last'), 0, 'and back';
    is line($_), '0 last', '... at both' for @l;
}

{
    my $l = listens($b, "c=%F0%9F%8C%8D%27%22%5C");

    is publish($a, '%F0%9F%8C%8D%27%22%5C', '%27%22%5C%C3%A4'), 0, 'names and data with quotes';
    is line($l), "0 '\"\\\xc3\xa4", '... arrive';

    $l = listens($b, 'c=long');
    my $data = 'L' x 5000;
    like $a->post('/put?c=long', $data)->body, qr/^0 /, '5,000 bytes';
    is line($l), '0 ' . 'L' x 400, '... arrive';
    like $a->post('/put?c=long', "$data.")->body, qr/^-\d+ /, '... and no more';
}

{
    my $since = $a->mark;
    my $l = listens($a, 'c=news');

    $pg->sql("SELECT pg_notify('nginx_async_channels', '$_')") for '', 'no base64!', 'AAAA', 'A' x 7000;
    like_log $a, $since, qr/(none of ours.*){4}/s, 'what is none of ours is logged';

    publish($b, 'news', 'ours');
    is line($l), '0 ours', '... and does no harm';
}

# ---- the database goes

{
    my @l = map { listens($_, 'c=away') } $a, $b;
    my @since = map { $_->mark } $a, $b;

    $pg->stop('immediate');
    is publish($a, 'away', 'meanwhile'), 0, 'while the database is away';
    is line($l[0]), '0 meanwhile', '... the machine itself gets it';
    $pg->start;

    ok $a->wait_until(sub { $listen->() == 2 }), '... they listen again';
    $a->wait_until(sub { publish($a, 'away', 'again') == 0 });

    my ($missed) = line($l[0]) =~ /^(\d+) again/;
    cmp_ok $missed, '>', 0, '... and say that something may be missed';

    # it is sent when the database is there, which may be before they listen
    my @lines = line($l[1]);
    push @lines, line($l[1]) while $lines[-1] !~ / again$/;
    like "@lines", qr/^\d+ (meanwhile \d+ )?again$/, '... the other one';
    like "@lines", qr/meanwhile|[1-9]/, '... gets it, or knows';
}

# ---- the connection of who sends is dropped amid the statement

{
    # it waits for a lock, and notes what it has sent
    $pg->sql('CREATE SCHEMA slow', 'CREATE TABLE slow.sent (p text)',
        'CREATE FUNCTION slow.pg_notify(text, text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
            PERFORM pg_advisory_xact_lock(7); INSERT INTO slow.sent VALUES ($2); PERFORM pg_catalog.pg_notify($1, $2); END $$',
        'GRANT USAGE ON SCHEMA slow TO PUBLIC');

    my $c = nginx(conninfo => $pg->conninfo(application_name => 'slow', options => '-c search_path=slow,pg_catalog'));
    my $l = listens($b, 'c=twice');

    my $session = $pg->session('SELECT pg_advisory_lock(7)');
    my @waits;
    my $waits = sub { @waits = grep { ($_->{wait} // '') eq 'advisory' } $pg->backends(application_name => 'slow') };

    my $since = $c->mark;
    is publish($c, 'twice', 'n', 70), 0, 'many are published';

    for my $time ('', ' again') {
        my $old = @waits ? $waits[0]{pid} : 0;
        ok NginxAsync::Pg::poll(sub { $waits->() == 1 && $waits[0]{pid} != $old }), "they are being sent$time";
        ok $pg->terminate($waits[0]{pid}), '... when the connection is dropped';
    }

    like_log $c, $since, qr/the worker that sends waits for database "db"/, '... which is told';

    $session->sql('SELECT pg_advisory_unlock(7)');
    is_deeply [map { line($l) } 1 .. 70], [map { "0 n $_" } 1 .. 70], 'then they arrive, once each';

    # as if the answer of one that has been done had not come
    is $pg->sql('SELECT count(*) FROM slow.sent'), 70, '... from the database, too';
    $pg->sql("SELECT pg_catalog.pg_notify('nginx_async_channels', p) FROM slow.sent");
    is publish($c, 'twice', 'next'), 0, '... and what is sent twice';
    is line($l), '0 next', '... is not heard twice';

    $_->close for $l;
    ok $c->stop, '... and it stops';
}

# ---- who listens goes

{
    $a->reload;
    ok $a->wait_until(sub { $listen->() == 2 }), 'after a reload a worker listens';

    my $l = listens($a, 'c=r');
    like reaches($b, 'r', 'x', $l), qr/^\d+ x$/, '... to the others';

    for my $pid ($a->workers(2)) {
        $a->kill_worker('KILL', $pid);
        ok $a->wait_until(sub { $listen->() == 2 }), 'a worker dies: one listens';
    }

    $l = listens($a, 'c=k');
    like reaches($b, 'k', 'y', $l), qr/^\d+ y$/, '... and hears';
}

# ---- too many wait

{
    $pg->stop('immediate');

    my $rc;
    $b->wait_until(sub { $rc = publish($b, 'full', 'n', 500) });
    isnt $rc, 0, 'too many messages wait';

    $pg->start;
    ok $b->wait_until(sub { publish($b, 'full', 'n') eq '0' }), '... until the database is there';
}

ok $_->stop, 'it stops' for $a, $b;

done_testing;
