#!/usr/bin/perl

# await_subrequest() of locations that modules of others serve: with
# subrequests of their own, timers that cannot be ended, filters.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use NginxAsync;
use NginxAsync::Say qw(json);
use NginxAsync::Subrequests qw(order is_idle);

my $modules = '/usr/lib/nginx/modules';
my $binary  = NginxAsync::Env::binary();

plan skip_all => 'needs the echo module of Debian, and the nginx of that'
    if !-f "$modules/ngx_http_echo_module.so" || $binary ne '/usr/sbin/nginx';

my @json = (headers => ['Content-Type', 'application/json']);

my $n = NginxAsync->new(conf => {
    main   => "load_module $modules/ngx_http_echo_module.so;",
    http   => 'async_app $TEST_NGINX_APPS/subrequest.so;',
    server => <<'EOF_CONF' })->start;
    location = /stub    { access_log off; stub_status; }
    location = /ask     { async_handler ask; }
    location = /copy    { async_handler copy; }
    location = /pass    { async_handler pass; }
    location = /nap     { async_handler nap; }
    location = /pieces  { async_handler pieces; }
    location = /cut     { async_handler cut; }
    location = /echo    { echo one; echo two; }
    location = /sleep   { echo before; echo_flush; echo_sleep 0.3; echo after; }
    location = /both    { echo begin; echo_location /nap ms=20&tag=a; echo_location /echo; echo end; }
    location = /async   {
        echo begin;
        echo_location_async /nap ms=60&tag=a;
        echo_location_async /nap ms=1&tag=b;
        echo end;
    }
    location = /asks    { echo_location /copy uri=/both; }
    location = /large   { echo_location /pieces n=100&size=10000; }
EOF_CONF

sub copied_of { return $n->get("/copy?uri=$_[0]")->body }
sub passed { return $n->get("/pass?uri=$_[0]")->body }

for my $how (\&copied_of, \&passed) {
    is $how->('/echo'), "one\ntwo\n", 'text in several buffers';
    is $how->('/sleep'), "before\nafter\n", '... with a pause';
    is $how->('/both'), "begin\nnap a\none\ntwo\nend\n", 'subrequests of the subrequest';
    is $how->('/async'), "begin\nnap a\nnap b\nend\n", '... several at once, in their order';
    is $how->('/asks'), "begin\nnap a\none\ntwo\nend\n", '... that ask';
    is length $how->('/large'), 1_000_000, '... a large one';
}

is $n->get('/both')->body, "begin\nnap a\none\ntwo\nend\n", 'for clients it is the same';

for my $uri (qw(/sleep /both /async /asks /nap?ms=300), '/large?') {
    my $c = $n->connect;
    is json($c->request('POST', '/ask', @json, body => order($uri, timeout => 10)))->{rc},
        $uri eq '/large?' ? 0 : -2, "$uri is given up";
    is $c->request('GET', '/echo')->body, "one\ntwo\n", '... the next request';
    is $c->request('POST', '/cut', @json, body => order($uri, size => 3))->status, 200, '... closed amid';
    is $c->request('GET', '/echo')->body, "one\ntwo\n", '... the next request';
    $c->send_request('GET', "/copy?uri=$uri");
    select undef, undef, undef, 0.02;
    $c->reset;
    is_idle($n, '... a client that leaves');
}

$n->stop;

done_testing;
