#!/usr/bin/perl

# async_pg: who is connected to, as whom, and what becomes of it when that fails.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use NginxAsync;
use NginxAsync::Others qw(dns refusing crowded server pause %CAUSE);
use NginxAsync::Pg;
use NginxAsync::PgApp qw(pg_app rows error wrong_conf);

NginxAsync::Pg::or_skip_all();

my $pg = NginxAsync::Pg->new(tcp => 1, tls => 1, databases => ['base'], users => { app => q{pass 'word\\} });
my $md5 = 'md5_user';
$pg->sql(q{SET password_encryption = 'md5'}, qq{CREATE ROLE $md5 LOGIN PASSWORD 'five'});
$pg->hba('local all app peer map=ours', "host all $md5 127.0.0.1/32 md5", 'hostgssenc all gss all reject',
    'host all gss 127.0.0.1/32 gss', 'hostssl base cert 127.0.0.1/32 cert',
    'hostssl all all 127.0.0.1/32 scram-sha-256', 'hostnossl all all 127.0.0.1/32 scram-sha-256');
$pg->sql('CREATE ROLE cert LOGIN', 'CREATE ROLE gss LOGIN');

my $me = 'SELECT current_user AS u, current_database() AS d, '
    . 'coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false) AS tls';

sub am { my ($user, $tls) = @_; return qq([{"u":"$user","d":"base","tls":) . ($tls ? 'true' : 'false') . '}]' }

# Each text is a pool of its own: p0, p1 and so on.
sub pools {
    my ($http, @conninfos) = @_;

    my $i = 0;

    return join '', $http, map { s/(["\\\$])/\\$1/gr =~ s/^/'async_pg p' . $i++ . ' "'/er . "\";\n" } @conninfos;
}

my @hello = map { $_->[0] } my @ways = (
    [$pg->conninfo, am('app'), 'a unix socket'],
    [$pg->uri, am('app'), '... by URI'],
    [$pg->conninfo(tcp => 1, sslmode => 'disable'), am('app'), 'SCRAM'],
    [$pg->uri(tcp => 1, sslmode => 'disable'), am('app'), '... by URI'],
    [$pg->conninfo(tcp => 1, sslmode => 'disable', user => $md5, password => 'five'), am($md5), 'md5'],
    [$pg->conninfo(tcp => 1, channel_binding => 'require', sslmode => 'require'), am('app', 1), 'channel_binding'],
    [$pg->conninfo(tcp => 1, sslmode => 'prefer'), am('app', 1), 'sslmode=prefer'],
    [$pg->conninfo(tcp => 1, sslmode => 'verify-ca'), am('app', 1), 'sslmode=verify-ca'],
    [$pg->conninfo(tcp => 1, sslmode => 'verify-full', hostaddr => undef), am('app', 1), 'verify-full, a name'],
    [$pg->conninfo(tcp => '127.0.0.1', sslmode => 'verify-full'), am('app', 1), '... an address'],
    [$pg->conninfo(tcp => 1, user => 'cert', password => undef, sslmode => 'verify-full', cert => 1), am('cert', 1),
        'a certificate of the client'],
    [$pg->conninfo(tcp => 1, keepalives => 0, tcp_user_timeout => 1000, application_name => 'mine', options =>
        '-c work_mem=1234kB', connect_timeout => 3), am('app', 1), 'what else there is'],
);

{
    my $n = pg_app(pools('', @hello));
    is rows($n, $me, "p$_"), $ways[$_][1], $ways[$_][2] for 0 .. $#ways;
    is rows($n, q{SELECT current_setting('work_mem') AS m, current_setting('application_name') AS a}, "p$#ways"),
        '[{"m":"1234kB","a":"mine"}]', '... options of the session, and a name';
    $n->stop;
}

# ---- who is not let in, and who does not let us in

my $stranger = NginxAsync::Others::cert('ca', signs => 1, as => 'stranger');
my $at = '(?:localhost|127\.0\.0\.1):' . $pg->port;

my @no = (
    [$pg->conninfo(tcp => 1, password => 'wrong'), '28P01', qr/$at: password authentication failed for user "app"/],
    [$pg->conninfo(dbname => 'nowhere'), '3D000', qr/database "nowhere" does not exist/],
    [$pg->conninfo(tcp => 1, sslmode => 'disable', user => 'cert', password => 'x'), '28P01', qr/failed for user "cert"/],
    [$pg->conninfo(tcp => 1, password => undef), '', qr/no password supplied/],
    [$pg->conninfo(tcp => 1, sslmode => 'verify-ca', sslrootcert => "$stranger.crt"), '', qr/certificate verify failed/],
    [$pg->conninfo(tcp => 1, sslmode => 'verify-full', host => 'elsewhere', hostaddr => '127.0.0.1'), '',
        qr/certificate for "localhost".* does not match host name "elsewhere"/],
    [$pg->conninfo(tcp => 1, sslmode => 'verify-full', sslrootcert => '/no/such/file'), '', qr/"\/no\/such\/file"/],
    [$pg->conninfo(tcp => 1, sslmode => 'disable', channel_binding => 'require'), '', qr/channel binding/],
    [$pg->conninfo(tcp => 1, user => 'gss', hostaddr => '127.0.0.1', sslmode => 'disable'), '', qr/GSSAPI/],
    ['host=' . join(',port=', split /:/, refusing()) =~ s/,/ /r, '', qr/Connection refused/],
    ['host=no.such.host', '', qr/"no\.such\.host" is not in \/etc\/hosts, and there is no directive resolver/],
    ['service=nowhere', '', qr/definition of service "nowhere" not found/],
);

{
    my $n = pg_app(pools('', map { $_->[0] } @no));
    for my $i (0 .. $#no) {
        my ($conninfo, $state, $why) = @{ $no[$i] };
        my $r = error($n, 'SELECT 1', "p$i");
        my $cause = $r->{cause};
        like $r->{error}, qr/^database "p$i": .*$why/, 'an error: ' . $conninfo =~ s/(?:host|port|password)=\S+ ?//gr;
        is "$r->{rc} $r->{sqlstate}", "-1 $state", '... and its code';
        is error($n, 'SELECT 1', "p$i")->{cause}, $cause, '... and its cause, also for others';
        is $cause, $conninfo =~ /no\.such/ ? 3 : 5, '... which is this';
    }
    is_deeply [@{ error($n, 'SELECT 1', 'p0') }{qw(sqlstate message)}],
        ['28P01', 'password authentication failed for user "app"'], 'who asks meanwhile is told the same';
    $n->allow(qr/async_pg p11: definition/)->stop;
}

# ---- several hosts

my ($standby) = $pg->standby;
my @ports = ($pg->port, $standby->port);
my $who = q{SELECT current_setting('cluster_name') AS n};
sub on { return qq([{"n":"test-$_[0]"}]) }

sub both {
    my ($attrs, @order) = @_;

    return 'host=' . join(',', map { $_->dir } @order) . ' port=' . join(',', map { $_->port } @order)
        . " user=app dbname=base target_session_attrs=$attrs";
}

# Takes connections, and never says a word.
my $silent = server(sub { pause(60) });
my $full = crowded();
my ($down) = refusing() =~ /:(\d+)/;

sub after {
    my (@hosts) = @_;
    my ($h, $p) = map { my $i = $_; join ',', map { (split /:/)[$i] } @hosts, "127.0.0.1:$ports[0]" } 0, 1;
    return "host=$h port=$p " . $pg->conninfo(tcp => 1, sslmode => 'disable') =~ s/(?:host|hostaddr|port)=\S+ ?//gr;
}

my $dns = dns('db.test' => ['127.0.0.3', '127.0.0.1'], 'down.test' => ['127.0.0.3'], 'late.test' => 'silent');

{
    my @of = (
        [both('any', $standby, $pg), $ports[1], 'the first one'],
        [both('any', $pg, $standby), $ports[0], '... in their order'],
        [both('read-write', $standby, $pg), $ports[0], 'read-write'],
        [both('read-only', $pg, $standby), $ports[1], 'read-only'],
        [both('primary', $standby, $pg), $ports[0], 'primary'],
        [both('standby', $pg, $standby), $ports[1], 'standby'],
        [both('prefer-standby', $pg, $standby), $ports[1], 'prefer-standby'],
        [both('prefer-standby', $pg), $ports[0], '... where there is none'],
        [after("127.0.0.1:$down"), $ports[0], 'after one that is down'],
        [after("127.0.0.1:$down", $silent, $full), $ports[0], '... one that never answers, one that never accepts'],
        [after("no.such.host:1", "late.test:$ports[0]"), $ports[0], '... one of no name, one whose name is not answered'],
        [$pg->conninfo(tcp => 1, host => 'db.test', hostaddr => undef), $ports[0], 'the second address of a name'],
        [$pg->conninfo(tcp => 1, host => 'down.test,localhost', hostaddr => undef), $ports[0], 'one port for two'],
        [$pg->conninfo(tcp => 1, host => 'elsewhere,localhost', hostaddr => "127.0.0.3,127.0.0.1", sslmode =>
            'verify-full'), $ports[0], 'two names, two addresses'],
        ["postgresql://app\@127.0.0.3:1,127.0.0.1:$ports[0]/base?password=" . q{pass%20'word%5C}, $ports[0],
            'a URI with two hosts'],
    );

    my $n = pg_app(pools("resolver $dns ipv6=off; resolver_timeout 200ms;\n", map { $_->[0] } @of)
        =~ s/";\n/" connect_timeout=2s;\n/gr);
    is rows($n, $who, "p$_"), on($of[$_][1]), $of[$_][2] for 0 .. $#of;
    $n->stop;
}

{
    my $n = pg_app(pools("resolver $dns ipv6=off;\n", both('standby', $pg), both('read-write', $standby),
        both('any', $pg, $standby) =~ s/dbname=base/dbname=nowhere/r, "host=$silent" =~ s/:/ port=/r,
        "host=$full" =~ s/:/ port=/r, "host=127.0.0.3,127.0.0.1 port=1,$down")
        =~ s/(silent|127.0.0.1 port=\d+)";/$1" connect_timeout=200ms;/gr);
    like error($n, $who, 'p0')->{error}, qr/server is not in hot standby mode/, 'no standby';
    like error($n, $who, 'p1')->{error}, qr/session is read-only/, 'no server to write to';
    is error($n, $who, 'p2')->{sqlstate}, '3D000', 'who refuses is not asked elsewhere';
    unlike $standby->log, qr/database "nowhere"/, '... indeed';

    for my $p ('p3', 'p4') {
        my $r = error($n, $who, $p);
        is "$r->{rc} $r->{cause}", "-2 $CAUSE{TIMEOUT}", 'nobody answers: in time';
        like $r->{error}, qr/127\.0\.0\.1:\d+ does not answer within 200 ms/, '... and told so';
    }

    like error($n, $who, 'p5')->{error}, qr/127\.0\.0\.1:$down: .*refused/, 'none of several';
    $n->stop;
}

done_testing();
