#!/usr/bin/perl

# A row of PostgreSQL that a dependency gives to a blocking handler lives until
# its thread is through, also when the request has ended before.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Fcntl qw(O_RDWR O_NONBLOCK);
use POSIX ();
use Test::More;

use NginxAsync;
use NginxAsync::Pg;

NginxAsync::Pg::or_skip_all();

my $pg = NginxAsync::Pg->new;
my $n  = NginxAsync->new(conf => { http => <<"EOF_HTTP", server => <<'EOF_CONF' });
    async_app    \$TEST_NGINX_APPS/depends-pg.so;
    async_pg     db  "@{[ $pg->conninfo ]}"  connections=1;
    async_param  dir  \$TEST_NGINX_SERVER_ROOT/shared;
EOF_HTTP
    location / {
        async_route  GET  /late  late;
        async_route  GET  /fill  fill;
    }
EOF_CONF

my $dir = $n->root . '/shared';

mkdir $dir or die "$dir: $!";
chmod 0777, $dir;
POSIX::mkfifo("$dir/gate", 0666) or die "mkfifo: $!";
chmod 0666, "$dir/gate";

$n->start;

my $c = $n->connect->send_request('GET', '/late');

ok $n->wait_until(sub { -e "$dir/begun" }), 'the thread has begun';
$c->close;

like_log $n, 0, qr/client prematurely closed|client .*closed/,
    'the client has gone';
is $n->get('/fill')->status, 204, '... and others take what memory is free';

sysopen my $gate, "$dir/gate", O_RDWR | O_NONBLOCK or die "gate: $!";
syswrite $gate, 'x';

ok $n->wait_until(sub { -e "$dir/whole" || -e "$dir/torn" }),
    'the thread ends';
ok -e "$dir/whole", '... and its row was whole';

unlink "$dir/whole", "$dir/begun";
$c = $n->connect->send_request('GET', '/late');
ok $n->wait_until(sub { -e "$dir/begun" }), 'another one';
syswrite $gate, 'x';
is $c->response->body, 'whole', '... whose client stays';

$n->stop;

done_testing();
