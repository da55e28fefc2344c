#!/usr/bin/perl

# PostgreSQL: what is rare, and must do no harm.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

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
    my $routes = join '', map { "location = /$_ { async_handler pg-faults:$_; }\n" } qw(sql stream copy);

    return NginxAsync->new(conf => { http => <<"EOF_CONF", server => $routes })->start;
        async_app \$TEST_NGINX_APPS/pg-faults.so;
        async_timeout 30s;
        async_pg db "$conninfo" $settings;
EOF_CONF
}

my $n;

sub escape { return $_[0] =~ s/([^A-Za-z0-9._-])/sprintf '%%%02X', ord $1/ger }

sub get { my ($p, $q) = @_; return json($n->get("/$p?q=" . escape($q))) }

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

done_testing;
