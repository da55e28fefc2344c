#!/usr/bin/perl

# async_defer(): the cleanups of a task, by whichever way it ends; their time,
# async_cleanup_timeout; what they must not change.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use NginxAsync;
use NginxAsync::Say qw(said says gone line_of);

my @handlers = qw(three slow nested header keeps thread thread_req thread_gone file hello many);

my $routes = join '', map { <<"EOF_CONF" } @handlers;
    location = /$_       { async_handler defer:$_; }
    location = /short/$_ { async_handler defer:$_; async_timeout 300ms; }
    location = /on/$_    { async_handler defer:$_; async_ignore_client_abort on; }
EOF_CONF

sub nginx {
    my (%o) = @_;

    my $http = delete $o{http} // '';

    return NginxAsync->new(%o, conf => { server => $routes, http => <<"EOF_CONF" })
        async_app \$TEST_NGINX_APPS/defer.so;
        async_param file \$TEST_NGINX_SERVER_ROOT/html/index.html;
        $http
EOF_CONF
        ->start;
}


my $line = line_of('defer', 'the sleep of a handler');
my @all  = ('third', 'second begins', 'second ok', 'first');

# ---- every way to end, on one server

my $n = nginx();

{
    my $since = $n->mark;
    is $n->get('/three')->body, "done\n", 'a handler with cleanups answers';
    is_deeply said($n, $since), [qw(third second first)],
        '... after they have run, last registered first';

    $since = $n->mark;
    is $n->get('/three?await=1')->body, "done\n", 'a handler that awaits before';
    is_deeply said($n, $since), [qw(third second first)], '... the same';

    my %ways = (ok => [200, "done\n"], fail => [409, '{"detail":"conflict"}'],
        error => [500, '{"detail":"Internal Server Error"}']);

    for my $way (sort keys %ways) {
        my ($status, $body) = @{ $ways{$way} };
        $since = $n->mark;
        my $r = $n->get("/three?ms=100&then=$way");
        is $r->status, $status, "a handler that ends by $way gives its answer";
        is $r->body, $body, '... the body, too';
        is_deeply said($n, $since), \@all, '... after cleanups that await';
    }
}

{
    my $since = $n->mark;
    my $r = $n->get('/short/three?ms=600&then=sleep');
    is $r->status, 504, 'a deadline passes';
    is_deeply said($n, $since), ['asleep', @all],
        '... the cleanups run, and may await all the same, beyond it';
    like_log $n, $since, qr/\[error\] .*"defer:three" timed out: the deadline has passed, in await_sleep at \S*$line/,
        '... the log tells of the handler, not of them';

    $since = $n->mark;
    is $n->get('/short/three?ms=600&then=late')->body, "late, timeout\n",
        'a handler that answers after its deadline';
    is_deeply said($n, $since), ['asleep', @all], '... the same';
}

for my $way (qw(close reset)) {
    my $since = $n->mark;
    my $c = $n->connect->send_request('GET', '/three?ms=100&then=sleep');
    says($n, 'asleep', $since);
    $c->$way;
    ok says($n, 'first', $since), "a client leaves by $way";
    is_deeply said($n, $since), ['asleep', @all],
        '... the cleanups run, and may await all the same';
    ok $n->wait_until(sub { $n->access_log =~ m{three\?ms=100&then=sleep HTTP/1.1" 499} }),
        '... it is logged as 499';
}

{
    my $since = $n->mark;
    my $c = $n->connect->send_request('GET', '/nested?then=sleep');
    says($n, 'asleep', $since);
    $c->reset;
    ok says($n, 'first', $since), 'a cleanup registers another one';
    is_deeply said($n, $since), ['asleep', 'outer begins', 'outer ends',
        'inner begins', 'inner ok', 'first'], '... which runs next';
}

{
    my $r = $n->get('/header');
    is $r->header('X-Cleanup'), 'ran', 'the response is sent after the cleanups';
    is $r->body, "header\n", '... and is that of the handler';
}

{
    my $since = $n->mark;
    my $c = $n->connect->send_request('GET', '/three?ms=1000');
    says($n, 'second begins', $since);
    is $n->get('/hello')->status, 200, 'other requests are served amid a cleanup';
    is $c->response->status, 200, '... and the one that cleans up then';
    is_deeply said($n, $since), ['third', 'second begins', 'hello', 'second ok',
        'first'], '... in this order';
}

for my $way (qw(close reset)) {
    my $since = $n->mark;
    my $c = $n->connect->send_request('GET', "/three?ms=500&way=$way");
    says($n, 'second begins', $since);
    $c->$way;
    ok says($n, 'first', $since), "a client leaves amid a cleanup by $way";
    is_deeply said($n, $since), \@all, '... which is not disturbed';
    ok $n->wait_until(sub { $n->access_log =~ /way=$way HTTP/ }), '... the request ends';
    is $n->get('/hello')->status, 200, '... and the worker serves on';
}

{
    my $since = $n->mark;
    my $c = $n->connect->send_request('GET', '/on/three?ms=200&on=1');
    says($n, 'second begins', $since);
    $c->reset;
    ok says($n, 'first', $since), 'the same with async_ignore_client_abort on';
    is_deeply said($n, $since), \@all, '... is the same';
}

{
    my $since = $n->mark;
    is $n->get('/short/three?ms=600')->status, 200,
        'a deadline that passes amid a cleanup does not change the answer';
    is_deeply said($n, $since), \@all, '... nor the cleanup';
}

{
    my $since = $n->mark;
    is $n->get('/thread')->body, "thread\n", 'a blocking handler calls one that defers';
    is_deeply said($n, $since), ['thread', 'of a thread begins', 'of a thread ok'],
        '... the cleanup runs when the request ends';
}

{
    my @c = map { $n->connect(timeout => 60)->send_request('GET',
        '/many?then=' . ($_ % 3 ? 'ok' : 'sleep'), close => 1) } 1 .. 300;
    my $ok = 0;

    for my $i (1 .. 300) {
        $i % 3 ? ($ok += $c[$i - 1]->response->status == 200) : $c[$i - 1]->reset;
    }

    is $ok, 200, 'hundreds of requests with twenty cleanups, some cancelled';
    ok $n->wait_until(sub { (() = $n->access_log =~ m{/many\S* HTTP/1.1" 499 }g) == 100 }),
        '... all end';
}

{
    my $since = $n->mark;
    my $c = $n->connect->send_request('GET', '/file');
    says($n, 'second begins', $since);
    $c->reset;
    ok says($n, 'first', $since), 'a client leaves amid the cleanup after async_file()';
    ok $n->wait_until(sub { $n->access_log =~ m{GET /file } }), '... the request ends';
    is scalar(grep { m{/index\.html$} } $n->open_fds), 0, '... and the file is closed';
    is $n->get('/file')->status, 200, '... which others get';
}

ok $n->stop, '... and nothing is left of them';

{
    my $n = nginx();
    my $worker = $n->worker;
    is $n->get('/thread_req')->status, 200, 'the cleanup of a call from a thread';
    ok says($n, 'sees /thread_req'), '... may use the request, as any other';
    is $n->worker, $worker, '... which is there as long as the task';

    my $c = $n->connect->send_request('GET', '/thread_gone');
    ok says($n, 'thread_gone waits'), 'a thread waits for the loop';
    $c->reset;
    ok says($n, 'sees /thread_gone'), '... the same when the client has gone and the thread returned';
    is $n->worker, $worker, '... and it is there until then';
    $n->stop;
}

# ---- async_cleanup_timeout

{
    my $n = nginx(http => 'async_cleanup_timeout 500ms;');
    my $r = $n->get('/slow');

    is $r->status, 200, 'cleanups without an end are bounded by async_cleanup_timeout';
    is_deeply said($n), ['second begins', 'second timeout', 'first begins', 'first timeout'],
        '... all of a task together';
    like_log $n, 0, qr/<second timeout>"async_cleanup_timeout" has passed/,
        '... and their awaits say so';
    is $r->body, "done\n", '... the response is that of the handler';

    my $since = $n->mark;
    $r = $n->get('/short/keeps?then=sleep');
    is $r->status, 504, 'a deadline, and then a cleanup that fails';
    like_log $n, $since, qr/<fails>"async_cleanup_timeout" has passed/, '... is two causes';
    like_log $n, $since, qr/"defer:keeps" timed out: the deadline has passed, in await_sleep at \S*$line/,
        '... of which that of the handler counts';

    $since = $n->mark;
    $r = $n->get('/keeps?then=error');
    is $r->status, 500, 'a failure, and then a cleanup that fails';
    like_log $n, $since, qr/"defer:keeps" failed: ASYNC_ERROR.*, after no await at -/,
        '... the same';

    $since = $n->mark;
    my $c = $n->connect->send_request('GET', '/slow?then=sleep');
    says($n, 'asleep', $since);
    $c->close;
    ok says($n, 'first timeout', $since), 'a client leaves: the bound is the same';
    is_deeply said($n, $since), ['asleep', 'second begins', 'second timeout',
        'first begins', 'first timeout'], '... for those cleanups';

    is $n->get('/three?ms=100')->status, 200, 'each task has a time of its own';
    is_deeply [@{ said($n) }[-4 .. -1]], \@all, '... for its cleanups';
    $n->stop;
}

{
    my $n = nginx(allow => '[emerg]');
    my %bad = (
        'async_cleanup_timeout 0;' => qr/must be greater than zero/,
        'async_cleanup_timeout soon;' => qr/invalid value/,
        'async_cleanup_timeout;' => qr/invalid number of arguments/,
        'async_cleanup_timeout 1s; async_cleanup_timeout 1s;' => qr/is duplicate/,
        'server { async_cleanup_timeout 1s; }' => qr/is not allowed here/,
    );

    for my $bad (sort keys %bad) {
        my ($status, $out) = $n->conf_test({ http => $bad });
        is $status, 1, "$bad fails";
        like $out, qr/\[emerg\] (?=.*"async_cleanup_timeout").*$bad{$bad}/,
            '... and says why';
    }

    $n->stop;
}

# ---- the end of a worker

{
    my $n = nginx(http => 'async_shutdown_timeout 300ms;');
    my $c = $n->connect->send_request('GET', '/three?ms=600&then=sleep');
    says($n, 'asleep');
    $n->signal('QUIT');
    is $c->response->status, 503, 'async_shutdown_timeout cancels a handler';
    is_deeply said($n), ['asleep', @all], '... the cleanups run before it answers';
    ok gone($n), '... and the worker goes';
    $n->stop;
}

{
    my $n = nginx(http => 'async_shutdown_timeout 300ms; async_cleanup_timeout 500ms;');
    my $c = $n->connect->send_request('GET', '/slow?then=sleep');
    says($n, 'asleep');
    $n->signal('QUIT');
    is $c->response->status, 503, 'the cleanups of a cancelled handler';
    ok gone($n), '... do not keep the worker';
    is_deeply said($n), ['asleep', 'second begins', 'second timeout', 'first begins',
        'first timeout'], '... beyond async_cleanup_timeout';
    $n->stop;
}

{
    my $n = nginx();
    my $c = $n->connect->send_request('GET', '/three?ms=800');
    says($n, 'second begins');
    $n->signal('QUIT');
    is $c->response->status, 200, 'QUIT amid a cleanup lets it end';
    is_deeply said($n), \@all, '... and those after it run';
    ok gone($n), '... and the worker goes';
    $n->stop;
}

for my $master (qw(on off)) {
    my $n = nginx(master => $master);
    my $c = $n->connect->send_request('GET', '/three?ms=100&then=sleep');
    says($n, 'asleep');
    ok $n->term, "TERM with cleanups pending, master_process $master";
    is_deeply said($n), ['asleep', @all], '... runs them';
}

{
    my $n = nginx();
    my $c = $n->connect->send_request('GET', '/three?ms=300');
    says($n, 'second begins');
    ok $n->term, 'TERM amid a cleanup';
    is_deeply said($n), \@all, '... lets it end, and the others run';
}

{
    my $n = nginx();
    my $c = $n->connect->send_request('GET', '/slow?then=sleep');
    says($n, 'asleep');
    ok $n->term, 'TERM with cleanups that do not end';
    is_deeply [grep { /begins/ } @{ said($n) }], ['second begins'],
        '... does not wait for them';
}

{
    my $n = nginx(http => 'async_app $TEST_NGINX_APPS/lifecycle.so; '
        . 'async_param zulu "hang 1";');
    my $c = $n->connect->send_request('GET', '/slow?then=sleep');
    says($n, 'asleep');
    ok $n->term, 'TERM with cleanups and a shutdown function that do not end';
    is_deeply [grep { /zulu|alpha/ } @{ said($n) }], ['zulu begins', 'zulu gives up',
        'alpha begins', 'alpha ends'], '... has time for both before the master kills';
}

{
    my $n = nginx();
    my $old = $n->worker;
    my $c = $n->connect->send_request('GET', '/three?ms=1000');
    says($n, 'second begins');
    is $n->reload, undef, 'a reload amid a cleanup';
    is $c->response->status, 200, '... lets the old worker end it';
    is_deeply said($n), \@all, '... with all cleanups';
    $n->stop;
}

{
    my $n = nginx(http => 'async_param startup 1;');
    ok says($n, 'of a startup ok'), 'a startup function may defer';
    is_deeply said($n), ['startup', 'of a startup begins', 'of a startup ok'],
        '... until its end';
    my $since = $n->mark;
    $n->stop;
    is_deeply said($n, $since), ['shutdown', 'of a shutdown begins', 'of a shutdown ok'],
        'a shutdown function, too';
}

# ---- util/async-run

{
    my $app = "$FindBin::Bin/apps/defer.c";
    my $run = "$NginxAsync::Env::Root/util/async-run";

    my $out = NginxAsync::run('timeout', 60, $run, $app, 'job');
    is $out, "job\nsecond, ok\nfirst, ok\nvalue\n",
        'cleanups of a task in util/async-run run before it ends';

    my $dir = NginxAsync::Guard::temp_dir('run');
    my $pid = fork // die "fork: $!";

    if ($pid == 0) {
        open STDOUT, '>', "$dir/out";
        open STDERR, '>&', \*STDOUT;
        exec $run, $app, 'long_job';
    }

    NginxAsync::Server::wait_until(30, sub { -s "$dir/out" });
    kill 'TERM', $pid;
    waitpid $pid, 0;
    like NginxAsync::Env::slurp("$dir/out"), qr/^job\nfirst, ok\n/,
        '... also when TERM ends the task';
}

done_testing;
