#!/usr/bin/perl

# examples/redis, against a Redis of its own: one that is there, one that goes,
# and one that comes back.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::UNIX;
use Test::More;

use NginxAsync;
use NginxAsync::Example;
use NginxAsync::Say qw(json);

my ($server) = grep { -x } map { "$_/redis-server" } split(/:/, $ENV{PATH}), '/usr/bin';
plan skip_all => 'there is no redis-server here' if !$server;

my $dir  = NginxAsync::Guard::temp_dir('redis');
my $sock = "$dir/s";
my $pid;

sub redis {
    $pid = fork // die "fork: $!";

    if ($pid == 0) {
        open STDOUT, '>', "$dir/log";
        open STDERR, '>&', \*STDOUT;
        exec $server, "$NginxAsync::Env::Root/examples/redis/redis.conf", '--dir', $dir,
            '--unixsocket', $sock, '--unixsocketperm', '777';
    }

    # it is there before it listens
    NginxAsync::Server::wait_until(20, sub { IO::Socket::UNIX->new(Peer => $sock) })
        or die "no Redis, see $dir/log";
    return;
}

sub end {
    my ($signal) = @_;

    kill $signal => $pid;
    waitpid $pid, 0;
    $pid = undef;
    unlink $sock;
    return;
}

END { if ($pid) { my $status = $?; end('TERM'); $? = $status } }

chmod 0755, $dir;
redis();

my $nginx = NginxAsync->new(conf => example_conf('redis', example_app('redis'),
    'unix:redis/redis.sock;' => "unix:$sock;"))->start;

is $nginx->get('/ping')->body, '+PONG', 'ping';
is $nginx->request('PUT', '/cache/a', body => "one\r\ntwo")->status, 204, 'put';
is $nginx->get('/cache/a')->body, "one\r\ntwo", 'get';
is $nginx->get('/cache/b')->status, 404, '... nothing';
is $nginx->request('PUT', '/cache/empty', body => '')->status, 204, 'put nothing';
is $nginx->get('/cache/empty')->body, '', 'get it';

my $large = join '', map { chr(int rand 256) } 1 .. 500_000;
is $nginx->request('PUT', '/cache/large', body => $large)->status, 204, 'put much';
ok $nginx->get('/cache/large')->body eq $large, 'get it';
is $nginx->request('PUT', '/cache/a%0d%0aDEL%20large', body => 'x')->status, 204,
    'a key that looks like a command';
is length $nginx->get('/cache/large')->body, 500_000, '... is none';

my @c = map { $nginx->connect->send_request('POST', '/count/n', body => '') } 1 .. 50;
is_deeply [sort { $a <=> $b } map { json($_->response)->{count} } @c], [1 .. 50], '50 at once';

{
    my $since = $nginx->mark;
    is $nginx->post('/count/a', '')->status, 500, 'an error of Redis';
    like_log $nginx, $since, qr/ASYNC_ERROR: Redis: -ERR value is not an integer/, '... is told';
}

{
    end('KILL');
    my $since = $nginx->mark;
    is $nginx->get('/cache/a')->status, 500, 'no Redis';
    like_log $nginx, $since, qr/connect to unix:\S+: No such file or directory/, '... is told';
    redis();
    is $nginx->get('/cache/a')->status, 404, 'a new one';
    $nginx->allow(qr/\[crit\]/);
}

readme_holds('redis', $nginx);
$nginx->stop;

done_testing;
