#!/usr/bin/perl

# async_set: variables whose values dependencies give; and guards of async_access
# that depend on others and declare what they take.  What "nginx -t" refuses is in
# t/conf.t.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use NginxAsync;

my $echo = 'proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1;';

my $nginx = NginxAsync->new(
    files => { 'a.txt' => 'a file', 'ssi.html' => '[<!--#include virtual="/sub" -->]', 'dir/index.html' => 'index',
        'echo.html' => '<!--#echo var="user" default="none" -->' },
    conf => { http => <<'EOF_CONF', server => <<"EOF_SERVER" . <<'EOF_REST' });
    async_app $TEST_NGINX_APPS/set.so;
    async_param marker $TEST_NGINX_SERVER_ROOT/marker;
    async_param gate $TEST_NGINX_SERVER_ROOT/gate;
    root $TEST_NGINX_SERVER_ROOT/html;
    log_format set '$uri [$user]';
    map $user $kind { default other; "" nobody; joe known; }
    limit_req_zone $user zone=users:1m rate=1r/m;

    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        location / { async_handler echo; }
    }

    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_2;
        async_set $user user;
        async_set $more at_once;
        add_header X-User "$user|$more";
        location / { }
        location /again/ { async_set $user in_thread; alias $TEST_NGINX_SERVER_ROOT/html/; }
        location /off/ { async_set $user off; alias $TEST_NGINX_SERVER_ROOT/html/; }
        location /if/ { if ($arg_x) { set $a 1; } alias $TEST_NGINX_SERVER_ROOT/html/; }
    }
EOF_CONF
    access_log \$TEST_NGINX_SERVER_ROOT/logs/set.log set;
    location / { }
    location /proxied/ { async_set \$user user; proxy_set_header X-User \$user; $echo }
    location /body-guard/ { async_access body_guard; $echo }
    location /depending/ { async_access depending_guard; $echo }
    location /blocking/ { async_access blocking_guard; $echo }
    location /gated/ { async_set \$user gate; proxy_set_header X-User \$user; $echo }
EOF_SERVER
    add_header X-User "[$user]";
    add_header X-Kind $kind;
    location /async/ { async_set $user user; alias $TEST_NGINX_SERVER_ROOT/html/; }
    location /at-once/ { async_set $user at_once; alias $TEST_NGINX_SERVER_ROOT/html/; }
    location /thread/ { async_set $user in_thread; alias $TEST_NGINX_SERVER_ROOT/html/; }
    location /task/ { async_set $user of_task; alias $TEST_NGINX_SERVER_ROOT/html/; }
    location /shouted/ { async_set $user shouted; alias $TEST_NGINX_SERVER_ROOT/html/; }
    location /page/ { async_set $user page; alias $TEST_NGINX_SERVER_ROOT/html/; }
    location /handler/ { async_set $user user; async_handler variable; }
    location /early/ {
        if ($user) { return 200 $user; }
        async_set $user user;
        alias $TEST_NGINX_SERVER_ROOT/html/;
    }
    location /return/ { async_set $user user; return 200 ok; }
    location /with-set/ { set $user "default"; async_set $user user; alias $TEST_NGINX_SERVER_ROOT/html/; }
    location /limited/ { limit_req zone=users; async_set $user user; alias $TEST_NGINX_SERVER_ROOT/html/; }
    location /ssi.html { ssi on; async_set $user user; }
    location /echo.html { ssi on; async_set $user user; }
    location = /sub { async_set $user at_once; async_handler variable; }
    location /dir/ { async_set $user user; }
    location /try/ { async_set $user user; try_files /none /at-once/a.txt; }
    location /short/ { async_timeout 100ms; async_set $user gate; alias $TEST_NGINX_SERVER_ROOT/html/; }
EOF_REST

$nginx->write_file('marker', '');
chmod 0666, $nginx->root . '/marker';
$nginx->start;

sub say { return (headers => ['X-Say', $_[0]]) }
sub marks  { return $nginx->read_file('marker') =~ s/\n/|/gr }
sub forget { $nginx->write_file('marker', ''); chmod 0666, $nginx->root . '/marker' }

sub user { return $nginx->get(@_)->header('X-User') }

sub logged {
    my ($line) = @_;
    return $nginx->wait_until(sub { eval { $nginx->read_file('logs/set.log') =~ /^\Q$line\E$/m } });
}


subtest 'values' => sub {
    for my $uri (map { "/$_/a.txt" } qw(async at-once thread)) {
        my $r = $nginx->get($uri, say('joe'));
        is $r->body, 'a file', "$uri is served";
        is $r->header('X-User'), '[joe]', '... with the value';
        is $r->header('X-Kind'), 'known', '... in a map';
        ok logged("$uri [joe]"), '... in the log';
        is user($uri, say('')), '[]', '... an empty one';
        is user($uri, say('null')), '[]', '... NULL';
        is user($uri, say('nothing')), '[]', '... none that was provided';
        is $nginx->get($uri, say('nothing'))->header('X-Kind'), 'nobody', '... in a map';
        is $nginx->get($uri, say('401'))->body, '{"detail":"who?"}', '... async_fail() answers the request';
        is $nginx->get($uri, say('error'))->status, 500, '... an error, too';

        my $r2 = $nginx->get($uri, say('control'));
        is $r2->status . ($r2->header('X-Evil') // ''), '500', '... no line ends';
    }

    like_log $nginx, 0, qr/value for "\$user" has a control character/, '... as the log says';
    is user('/task/a.txt'), '[of the task]', 'memory that ends with the task';
    is user('/shouted/a.txt', say('joe')), '[JOE]', 'a dependency of a dependency';
    is user('/page/a.txt?n=3'), '[page 3]', 'declared parameters';
    is $nginx->get('/page/a.txt?n=x')->status, 422, '... which do not fit';
    is $nginx->get('/handler/', say('joe'))->body, 'joe', 'async_var()';
    like $nginx->get('/proxied/', headers => ['X-Say', 'joe', 'X-User', 'eve'])->body, qr/^X-User: joe$/m,
        'proxy_set_header';
    unlike $nginx->get('/proxied/', headers => ['X-Say', 'null', 'X-User', 'eve'])->body, qr/^X-User/m,
        '... of none';
    is length($nginx->post('/proxied/', 'x' x 100_000, say('joe'))->body =~ s{\A.*?\n\n}{}sr), 100_000,
        '... with a body';
};


subtest 'when' => sub {
    my $mark = $nginx->mark;
    is user('/early/a.txt', say('joe')), '[joe]', 'read before the phase it is empty';
    like_log $nginx, $mark, qr/\[warn\].*variable "\$user" is read before async_set gives it its value/,
        '... as the log says';
    is scalar(() = $nginx->log($mark) =~ /is read before/g), 1, '... once';

    $mark = $nginx->mark;
    forget();
    is $nginx->get('/return/', say('joe'))->body, 'ok', 'what is answered before does not ask';
    is marks(), '', '... at all';
    is $nginx->get('/a.txt', say('joe'))->header('X-User'), '[]', 'nor do other locations';
    unlike $nginx->log($mark), qr/is read before/, '... and none of them is warned of';

    is user('/with-set/a.txt', say('joe')), '[joe]', 'the directive "set" gives a first value';
    is $nginx->get('/limited/a.txt', say('ann'))->status, 200, 'limit_req by the value';
    is $nginx->get('/limited/a.txt', say('ann'))->status, 503, '... of one';
    is $nginx->get('/limited/a.txt', say('bob'))->status, 200, '... or another';
};


subtest 'once' => sub {
    forget();
    is $nginx->get('/ssi.html', say('joe'))->body, '[joe]', 'a subrequest has the value of its main request';
    is marks(), 'user|', '... and asks nobody';
    is $nginx->get('/echo.html', say('joe'))->body, 'joe', 'SSI';

    forget();
    is user('/dir/', say('joe')), '[joe]', 'after an internal redirect';
    is marks(), 'user|', '... it is not asked again';
    forget();
    is user('/try/x', say('joe')), '[joe]', '... to where another one is asked';
    is marks(), 'user|at once|', '... which is';
};


subtest 'blocks' => sub {
    my @at = (port => $nginx->port(2));

    forget();
    is user('/a.txt', @at, say('joe')), 'joe|joe', 'those of the server';
    is marks(), 'user|at once|', '... in order';
    forget();
    is user('/again/a.txt', @at, say('joe')), 'joe|joe', 'one is set again in a location';
    is marks(), 'at once|in thread|', '... by another dependency';
    is user('/off/a.txt', @at, say('joe')), '|joe', '... or by none';
    is user('/if/a.txt?x=1', @at, say('joe')), 'joe|joe', 'a block of "if"';
};


subtest 'guards' => sub {
    my $r = $nginx->get('/depending/?n=1', say('joe'));
    like $r->body, qr/^X-User: joe$/m, 'one that depends on another';
    is $nginx->get('/depending/?n=1', say('null'))->status, 403, '... refuses by its value';
    is $nginx->get('/depending/?n=1', say('401'))->body, '{"detail":"who?"}', '... or that one does';
    like $nginx->get('/depending/?n=x', say('joe'))->body, qr/"loc":\["query","n"\]/, '... declared parameters';
    is $nginx->get('/depending/?n=x', say('401'))->status, 401, '... come after a 401';
    like $nginx->get('/blocking/', say('joe'))->body, qr/^X-User: joe\+joe$/m, 'a blocking one';
    is $nginx->get('/blocking/', say('401'))->status, 401, '... refused';
    like $nginx->post('/blocking/', 'some', say('joe'))->body, qr/\n\nsome\z/, '... leaves the body';

    $r = $nginx->post('/body-guard/', '{"name":"ann"}', headers => ['Content-Type', 'application/json']);
    like $r->body, qr/^X-Name: ann\n(?:.*\n)*\n\{"name":"ann"\}\z/m, 'a declared body is passed on';
    is $nginx->post('/body-guard/', '{}', headers => ['Content-Type', 'application/json'])->status, 422,
        '... or refused';
};


subtest 'meanwhile' => sub {
    forget();
    my $c = $nginx->connect->send_request('GET', '/gated/');
    ok $nginx->wait_until(sub { marks() =~ /gate begins/ }), 'a dependency that waits';
    $c->reset;
    ok $nginx->wait_until(sub { marks() =~ /gate ends/ }), '... ends with the client';

    forget();
    $c = $nginx->connect;
    $c->send("POST /gated/ HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\nsome");
    $nginx->wait_until(sub { marks() =~ /gate begins/ });
    $nginx->write_file('gate', '');
    $nginx->wait_until(sub { marks() =~ /gate ok/ });
    $c->send('more');
    like $c->response->body, qr/^X-User: passed\n(?:.*\n)*\nsomemore\z/m, '... and goes on amid a body';
    is $c->request('GET', '/a.txt')->body, 'a file', '... and then the next request';
    unlink $nginx->root . '/gate';

    is $nginx->get('/short/a.txt')->status, 504, 'async_timeout';
};

$nginx->stop;

done_testing();
