#!/usr/bin/perl

# A little of util/torture: requests whose allocations fail one by one, workers
# that die, reloads, under load, and both in a storm of messages.  All of it takes
# longer: see there.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Select;
use IO::Socket::UNIX;
use Test::More;

use NginxAsync;
use NginxAsync::Guard;
use NginxAsync::Pg;
use NginxAsync::Torture;
use NginxAsync::Torture::Allocations;
use NginxAsync::Torture::Kills;
use NginxAsync::Torture::Reloads;
use NginxAsync::Torture::Storms;

my $pg = !NginxAsync::Pg::missing();

sub none {
    my ($title, @findings) = @_;

    ok !@findings, $title or diag join "\n", @findings;
}

my $torture = NginxAsync::Torture->new(pg => $pg);
my $allocations = NginxAsync::Torture::Allocations->new($torture);

# of "fetch", async_param() has no memory for the URL; of "subrequest", nginx counts
# one that it cannot post
for my $name (qw(fetch null subrequest depends tasks ws-deflate)) {
    my $said;
    none("$name: each of its allocations fails",
        $allocations->run_case(NginxAsync::Torture::one($name), sub { $said = "@_" }));
    like $said, qr/ [1-9]\d* refused/, '... some of which the client sees' or diag $said;
    note $said;
}

SKIP: {
    skip 'there is no PostgreSQL', 2 if !$pg;

    # where libpq goes if it is told no host
    my ($port) = $torture->database->conninfo =~ /\bport=(\d+)/;
    my $dir = NginxAsync::Guard::temp_dir('elsewhere');
    my $elsewhere = IO::Socket::UNIX->new(Local => "$dir/.s.PGSQL.$port", Listen => 5) or die "listen: $!";
    chmod 0777, "$dir/.s.PGSQL.$port";

    my $lost = NginxAsync::Torture::Allocations->new($torture,
        server => { env_names => ['PGHOST'] }, env => { PGHOST => $dir });

    none('pg-connect: each of its allocations fails',
        $lost->run_case(NginxAsync::Torture::one('pg-connect'), sub { note "@_" }));
    ok !IO::Select->new($elsewhere)->can_read(0), '... and no other server is taken for the database';
}

{
    my $t = NginxAsync::Torture->new(pg => $pg, workers => 2);

    none('workers that die under load', NginxAsync::Torture::Kills::run($t, 6, sub { note "@_" }));
    none('reloads under load', NginxAsync::Torture::Reloads::run($t, 6, sub { note "@_" }));
    none('both, while channels are full', NginxAsync::Torture::Storms::run($t, 12, sub { note "@_" }));
}

is system("$FindBin::Bin/../util/torture --list > /dev/null"), 0, 'util/torture';

done_testing;
