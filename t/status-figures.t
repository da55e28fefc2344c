#!/usr/bin/perl

# What the status counts, family by family: each figure is provoked, and read.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use NginxAsync;
use NginxAsync::Figures qw($STATUS figures figure is_figure at_least);
use NginxAsync::WebSocket;

sub nginx {
    my (%o) = @_;

    my %conf = map { $_ => delete $o{$_} // '' } qw(main http server);

    return NginxAsync->new(%o, conf => { main => $conf{main},
        http => "async_app \$TEST_NGINX_APPS/status-figures.so;\n"
            . "async_param gates \$TEST_NGINX_SERVER_ROOT/html;\n$conf{http}",
        server => "$conf{server}\n$STATUS" })->start;
}

sub opens { my ($n, $gate) = @_; return $n->write_file("html/$gate", '') }

# A request whose answer is not awaited.
sub asks { my ($n, @what) = @_; return $n->connect(timeout => 60)->send_request('GET', @what) }

# ---- routes

{
    my $n = nginx(server => <<'EOF_SERVER', http => <<'EOF_HTTP');
        location / {
            async_route GET,POST /answer answer;
            async_route GET "/items/{id:int}" fails;
            async_route GET /waits waits;
            async_route WS /echo echo;
        }
        location /all/ { async_handler answer; }
        location = /exact { async_handler answer; }
        location ~ /re+ { async_handler answer; }
EOF_SERVER
        server {
            listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
            server_name other;
            location /a { async_route GET /answer answer; }
            location ~ /answer/ { async_route GET /answer/b answer; }
            location ~ /ans. { async_route GET /answer/b answer; }
        }
EOF_HTTP

    my @route = ('route', 'GET,POST /answer');

    is_figure($n, [@route, 'requests'], 0, 'a route that nobody has asked for');

    for my $status (200, 201, 302, 404, 418, 500, 503) {
        is $n->get("/answer?status=$status")->status, $status, "a response $status";
    }
    $n->post('/answer?status=200', 'x');

    is_figure($n, [@route, 'requests'], 8, 'requests of a route');
    is_figure($n, [@route, 'responses_2xx'], 3, 'their responses');
    is_figure($n, [@route, 'responses_3xx'], 1, '...');
    is_figure($n, [@route, 'responses_4xx'], 2, '...');
    is_figure($n, [@route, 'responses_5xx'], 2, '...');
    is_figure($n, [@route, 'time'], 8, 'their time');
    is_figure($n, [@route, 'alive'], 0, 'all have ended');

    is $n->get('/answer')->status, 422, 'a parameter is missing';
    is_figure($n, [@route, 'responses_4xx'], 3, '... which counts as the answer that it is');

    $n->get('/items/5');
    is_figure($n, ['route', 'GET /items/{id:int}', 'responses_5xx'], 1, 'a handler that fails');

    for my $what (['/nowhere', 404], ['/answer/', 307]) {
        is $n->get($what->[0])->status, $what->[1], "$what->[0]: no route";
    }
    is $n->request('PUT', '/answer')->status, 405, 'another method';
    is_figure($n, ['route', 'no route', 'requests'], 3, 'what fits no route has a row');
    is_figure($n, ['route', 'no route', 'responses_4xx'], 2, '...');
    is_figure($n, ['route', 'no route', 'responses_3xx'], 1, '...');

    my @c = map { asks($n, '/waits') } 1 .. 3;
    my @waits = ('route', 'GET /waits');
    is_figure($n, [@waits, 'alive'], 3, 'requests whose handler waits');
    is_figure($n, [@waits, 'requests'], 3, '... have come');
    $c[0]->reset;
    is_figure($n, [@waits, 'unanswered'], 1, 'a client that has gone');
    is_figure($n, [@waits, 'alive'], 2, '...');
    opens($n, 'waits');
    is $_->response->status, 200, 'the others are answered' for @c[1, 2];
    is_figure($n, [@waits, 'responses_2xx'], 2, '...');
    is_figure($n, [@waits, 'time'], 3, 'all three have taken their time');

    my $ws = NginxAsync::WebSocket->new($n, '/echo');
    is_figure($n, ['route', 'WS /echo', 'alive'], 1, 'a WebSocket is a request');
    $ws->close;
    is_figure($n, ['route', 'WS /echo', 'responses_1xx'], 1, '... until it ends');
    is $n->get('/echo')->status, 426, 'no handshake';
    is_figure($n, ['route', 'no route', 'responses_4xx'], 3, '... fits no route');

    $n->get("$_?status=200") for qw(/all/a /exact /reee);
    is_figure($n, ['route', "location $_", 'responses_2xx'], 1, 'a handler of a location')
        for '/all/', '= /exact', '~ /re+';

    my ($twice) = grep { m{^GET /answer/b \(} } sort keys %{ figures($n)->{route} };
    like $twice, qr{^GET /answer/b \(/.*/nginx\.conf:\d+\)$},
        'of the same route in two locations the place is told';

    $n->stop;
}

{
    my $n = nginx(server => 'location / { async_route GET /answer answer; }',
        http => <<'EOF_HTTP');
        server {
            listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
            server_name other;
            location / { async_route GET /answer answer; }
        }
EOF_HTTP
    my $routes = figures($n)->{route};
    ok exists $routes->{'GET /answer (other)'}, 'in two servers, the name of the server'
        or diag explain [keys %$routes];
    $n->stop;
}

# ---- tasks and their stacks

{
    my $n = nginx(http => 'async_max_tasks 3;', allow => qr/no task for/, server => <<'EOF_SERVER');
        location = /waits { async_handler waits; }
        location = /leaves { async_handler leaves; }
        location = /defers { async_handler defers; }
        location = /answer { async_handler answer; }
EOF_SERVER

    is_figure($n, ['task', 'max'], 3, 'how many tasks there may be');
    $n->get('/answer?status=200');
    at_least($n, ['stack', 'used_max'], 100, 'stack that was used');
    at_least($n, ['stack', 'size'], 16384, 'stack that there is');

    my $base = figure($n, 'task', 'alive');
    my @c = map { asks($n, "/$_") } qw(waits defers);
    is_figure($n, ['task', 'defers'], 1, 'a cleanup that waits');
    is_figure($n, ['task', 'alive'], $base + 2, 'tasks that wait');
    at_least($n, ['stack', 'used'], 2, 'with a stack each');
    at_least($n, ['stack', 'made'], 2, '...');

    push @c, asks($n, '/waits');
    is_figure($n, ['route', 'location = /waits', 'alive'], 2, 'no more tasks now');
    is $n->get('/answer?status=200')->status, 503, '... and one is refused';
    is_figure($n, ['task', 'shed'], 1, '...');
    is_figure($n, ['route', 'location = /answer', 'responses_5xx'], 1, '...');

    opens($n, $_) for qw(waits defers);
    $_->response for @c;
    is_figure($n, ['task', 'alive'], $base, 'all have ended');
    is_figure($n, ['task', 'defers'], 0, '...');
    at_least($n, ['stack', 'idle'], 2, 'their stacks wait for others');

    is $n->get('/leaves')->status, 200, 'a task in the background';
    is_figure($n, ['task', 'background'], 1, '...');
    opens($n, 'later');
    is_figure($n, ['task', 'background'], 0, '... until it ends');

    at_least($n, ['worker', 'memory'], 1_000_000, 'memory of the worker');
    at_least($n, ['worker', 'connections_used'], 2, 'connections');
    at_least($n, ['worker', 'connections_free'], 10, '...');

    my $used = figure($n, 'worker', 'connections_used');
    my @open = map { $n->connect } 1 .. 5;
    is_figure($n, ['worker', 'connections_used'], $used + 5, '... of clients');
    $_->close for @open;
    $n->stop;
}

# ---- thread pools

{
    my $n = nginx(main => 'thread_pool small threads=1 max_queue=2;', server => <<'EOF_SERVER');
        async_thread_pool small;
        location = /blocks { async_handler blocks; }
EOF_SERVER

    my @pool = ('thread_pool', 'small');

    is_figure($n, [@pool, 'threads'], 1, 'threads of a pool');
    is_figure($n, [@pool, 'queue_max'], 2, '... and its queue');

    my @c = asks($n, '/blocks');
    is_figure($n, [@pool, 'busy'], 1, 'one is busy');
    push @c, map { asks($n, '/blocks') } 1 .. 2;
    is_figure($n, [@pool, 'queued'], 2, 'two wait');
    is $n->get('/blocks')->status, 503, 'the next one is refused';
    is_figure($n, [@pool, 'refused'], 1, '...');

    (pop @c)->reset;
    is_figure($n, [@pool, 'skipped'], 1, 'nobody wants one any more');
    is_figure($n, [@pool, 'queued'], 1, '...');

    opens($n, 'blocks');
    is $_->response->status, 200, 'the others are done' for @c;
    is_figure($n, [@pool, 'jobs'], 2, '...');
    is_figure($n, [@pool, 'wait'], 2, 'they have waited');
    is_figure($n, [@pool, 'run'], 2, '... and run');
    is_figure($n, [@pool, 'busy'], 0, 'nothing is left');
    is_figure($n, [@pool, 'queued'], 0, '...');
    ok figures($n)->{thread_pool}{small}{run}{sum} > 0, 'times add up';
    $n->stop;
}

# ---- processes, periodic functions

{
    my $n = nginx(http => 'async_every 50ms ticks; async_every 50ms fails_each_time;',
        allow => qr/fails_each_time" failed/, server => 'location = /process { async_handler process; }');

    is $n->get('/process')->body, "ended\n", 'a process';
    is_figure($n, ['process', 'started'], 1, '...');
    is_figure($n, ['process', 'alive'], 0, '... has ended');
    is $n->get('/process?fails=1')->body, "failed\n", 'one that cannot be started';
    is_figure($n, ['process', 'failed'], 1, '...');
    is_figure($n, ['process', 'started'], 1, '...');

    my $c = asks($n, '/process?waits=1');
    is_figure($n, ['process', 'alive'], 1, 'one that runs');
    $c->reset;
    is_figure($n, ['process', 'killed'], 1, '... for nobody');
    is_figure($n, ['process', 'alive'], 0, '...');

    my @ticks = ('periodic', 'status-figures:ticks');
    is_figure($n, [@ticks, 'runs'], 1, 'a run that lasts');
    is_figure($n, [@ticks, 'alive'], 1, '...');
    at_least($n, [@ticks, 'skipped'], 2, '... and others that are left out');
    opens($n, 'ticks');
    at_least($n, [@ticks, 'time'], 2, 'when it has ended, others run');
    at_least($n, [@ticks, 'runs'], 2, '...');
    is figure($n, @ticks, 'failed'), 0, '... without an error';
    ok defined figure($n, @ticks, $_), "there is \"$_\"" for qw(missed last);
    at_least($n, ['periodic', 'status-figures:fails_each_time', 'failed'], 2, 'runs that fail');
    $n->stop;
}
done_testing();
