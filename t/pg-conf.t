#!/usr/bin/perl

# async_pg: what nginx -t takes, where passwords come from, and who sees them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use NginxAsync;
use NginxAsync::Pg;
use NginxAsync::PgApp qw(pg_app rows error wrong_conf);

NginxAsync::Pg::or_skip_all();

# ---- what is wrong

for (
    ['dbname', 'missing "=" after "dbname"'],
    ['nodb=1', 'invalid connection option "nodb"'],
    ['hots=db', 'invalid connection option "hots"; did you mean "host"?'],
    ['postgresql://db/x?ssl_mode=require', 'invalid URI query parameter: "ssl_mode"; did you mean "sslmode"?'],
    ['postgresql://[::1/x', 'end of string reached when looking for matching "]"'],
    ['sslmode=verify', 'invalid sslmode value: "verify"'],
    ['channel_binding=x', 'invalid channel_binding value: "x"'],
    ['ssl_min_protocol_version=TLSv1.3 ssl_max_protocol_version=TLSv1.2', 'invalid SSL protocol version range'],
    ['target_session_attrs=write', '"target_session_attrs" takes "any", "read-write"'],
    ['host=a,b hostaddr=127.0.0.1', 'could not match 2 host names to 1 hostaddr values'],
    ['host=a,b,c port=1,2', 'could not match 2 port numbers to 3 hosts'],
    ['host=a port=5432x', '"port" takes numbers from 1 to 65535'],
    ['port=65536', '"port" takes numbers'], ['port=1,-2', '"port" takes numbers'],
    ['keepalives_idle=1s', '"keepalives_idle" takes a number'],
    ['gssencmode=prefer', '"gssencmode" can only be "disable"'],
    ['client_encoding=LATIN1', '"client_encoding" is always UTF8'],
    ['replication=database', '"replication" is not for pools'],
    ['dbname=x', 'does not know "connection=3"; did you mean "connections"?', 'connection=3'],
    ['dbname=x', '"connections" takes a number, not 0', 'connections=0'],
    ['dbname=x', '"idle" takes a time like 5s', 'idle=x'],
    ['dbname=x', '"min" is more than "connections", which is 2', 'connections=2 min=3'],
    ['connect_timeout=2', '"connect_timeout" is in the conninfo already', 'connect_timeout=2s'],
    ['password=x', 'there is a password in the conninfo already', 'password_env=HOME'],
    ['dbname=x', '"password_file" and "password_env" exclude each other', 'password_env=HOME password_file=x'],
    ['dbname=x', '"password_env" is empty', 'password_env='],
    ['dbname=x', 'the environment has no "NO_SUCH_NAME"', 'password_env=NO_SUCH_NAME'],
    ['dbname=x', '/conf/no.such.file" failed (2: No such file or directory)', 'password_file=no.such.file'],
    ['dbname=x', '"/dev/null" is not a regular file', 'password_file=/dev/null'],
) {
    my ($conninfo, $wrong, $settings) = (@$_, '');
    my $said = wrong_conf(qq(async_pg db "$conninfo" $settings;), env => { PGSSLMODE => 'nonsense', PGPORT => '1,2,3' });
    like $said, qr/\[emerg\].*\Q$wrong\E.*test\.conf:\d+/, "nginx -t: $conninfo $settings";
}

for ('', 'port=1,2', 'service=any', 'connect_timeout=-1 keepalives=0', 'host=a,b,, port=1,,3,4',
    'target_session_attrs=prefer-standby client_encoding=utf-8', 'postgresql://u@h1:1,h2:2/db?sslmode=verify-full')
{
    my $n = NginxAsync->new(env => { PGSSLMODE => 'nonsense', PGHOSTADDR => 'x' },
        conf => { http => qq(async_pg db "$_" connections=3;), main => 'worker_processes 2;' =~ s/.*//r });
    like scalar $n->conf_test, qr/test is successful/, "nginx -t: '$_' is right";
}

# ---- passwords

my $secret = q{a "secret" \\ of 'ours'};
my $pg = NginxAsync::Pg->new(tcp => 1, users => { app => $secret });
my $tcp = $pg->conninfo(tcp => 1, password => undef);
my $me = 'SELECT current_user AS u';
my $app = '[{"u":"app"}]';

my $dir = NginxAsync::Guard::temp_dir('secrets');

sub file {
    my ($name, $mode, $text) = @_;
    NginxAsync::Env::spew("$dir/$name", $text);
    chmod $mode, "$dir/$name";
    return "$dir/$name";
}

sub hidden {
    my ($n) = @_;

    my @cmdlines = map { NginxAsync::Env::slurp("/proc/$_/cmdline") } $n->master, $n->workers;
    return !grep { index($_, $secret) >= 0 } $n->log, $n->{server}->output, @cmdlines;
}

{
    my $file = file('password', 0600, "$secret\r\nsecond line\n");
    my $n = pg_app(qq(async_pg db "$tcp" password_file=$file;));
    is rows($n, $me), $app, 'password_file, which only root may read';
    unlike $n->log, qr/is open to every user/, '... as nobody else may';
    file('password', 0644, $secret);
    is $n->reload, undef, '... is read again by a reload';
    is rows($n, $me), $app, '... without an end of its line';
    like_log $n, 0, qr/\[warn\].*the password in "\Q$file\E" is open to every user of the machine/, '... and a warning';
    ok hidden($n), '... and is nowhere to be seen';
    file('password', 0600, "wrong\n");
    is $n->reload, undef, 'another one';
    is error($n, $me)->{sqlstate}, '28P01', '... is wrong';
    file('password', 0600, "\n$secret\n");
    isnt $n->reload(bound => 1), undef, 'none';
    like_log $n, 0, qr/the first line of "\Q$file\E" is no password/, '... is an error';
    is error($n, $me)->{sqlstate}, '28P01', '... and changes nothing';
    $n->allow(qr/is no password/)->stop;
}

for (['x' x 5000, 'too long'], ["a\0b", 'a zero']) {
    like wrong_conf(qq(async_pg db "$tcp" password_file=) . file('bad', 0600, $_->[0]) . ';'),
        qr/is no password: .*$_->[1]/, "a password: $_->[1]";
}

{
    my $n = NginxAsync->new;
    $n->write_file('conf/beside', $secret);
    $n->write_conf({ http => qq(async_pg db "$tcp" password_file=beside;) });
    like scalar $n->conf_test, qr/test is successful/, 'a file beside nginx.conf';
}

{
    my $n = pg_app(qq(async_pg db "$tcp" password_env=DB_SECRET;), env => { DB_SECRET => $secret });
    is rows($n, $me), $app, 'password_env, which workers need not see';
    is $n->reload, undef, '... and a reload';
    is rows($n, $me), $app, '... finds it again';
    ok hidden($n), '... and it is nowhere to be seen';
    $n->stop;
}

# ---- what libpq takes itself

my ($host, $port) = ('127.0.0.1', $pg->port);
my ($uid, $gid) = (NginxAsync::Pg::owner())[1, 2];

my $passfile = file('passfile', 0600, "*:$port:*:app:" . $secret =~ s/\\/\\\\/gr . "\n");
my $services = file('services', 0644, "[ours]\nhost=$host\nport=$port\ndbname=postgres\nuser=app\npassfile=$passfile\n"
    . "target_session_attrs=read-write\n[bad]\nport=1,2\nhost=$host\n");
chown $uid, $gid, $passfile if $> == 0;
chmod 0755, $dir;

for (
    ['PGPASSWORD', $tcp, PGPASSWORD => $secret],
    ['PGHOST and so on', '', PGHOST => $host, PGPORT => $port, PGUSER => 'app', PGDATABASE => 'postgres',
        PGPASSFILE => $passfile, PGGSSENCMODE => 'require'],
    ['PGSERVICE', '', PGSERVICE => 'ours', PGSERVICEFILE => $services],
    ['service=', 'service=ours', PGSERVICEFILE => $services],
    ['passfile=', "$tcp passfile=$passfile"],
) {
    my ($what, $conninfo, %env) = @$_;
    my $n = pg_app(qq(async_pg db "$conninfo";), env => \%env, env_names => [sort keys %env]);
    is rows($n, $me), $app, $what;
    ok hidden($n), '... without a word of it' if $what eq 'PGPASSWORD';
    $n->stop;

    next if !%env || $conninfo eq 'service=ours';
    $n = pg_app(qq(async_pg db "$conninfo host=$host connect_timeout=1";), env => \%env);
    isnt rows($n, $me), $app, '... which workers see only by the directive env';
    $n->stop;
}

{
    my $n = pg_app('async_pg db "service=bad"; async_pg other "' . $pg->conninfo . '";',
        env => { PGSERVICEFILE => $services }, env_names => ['PGSERVICEFILE']);
    like error($n, $me)->{error}, qr/^database "db": could not match 2 port numbers to 1 hosts/, 'a service that is wrong';
    is rows($n, $me, 'other'), $app, '... and another one, which is not';
    like_log $n, 0, qr/\[error\].*async_pg db: could not match/, '... and the log';
    $n->stop;
}

# ---- what libpq does with its socket

# The kernel's timer of our sockets to the server: 2 is that of keepalive.
sub timers {
    my $to = sprintf '0100007F:%04X', $port;
    return join ' ', map { (split /:/, (split)[5])[0] =~ s/^0//r }
        grep { (split)[2] eq $to && (split)[3] eq '01' } split /\n/, NginxAsync::Env::slurp('/proc/net/tcp');
}

for ([1, 2], [0, 0]) {
    my ($keepalives, $timer) = @$_;
    my $n = pg_app(qq(async_pg db "$tcp keepalives=$keepalives" password_env=S;), env => { S => $secret });
    rows($n, $me);
    is timers(), $timer, "keepalives=$keepalives";
    $n->stop;
    ok $pg->wait_for_backends(0), '... is over';
}

done_testing();
