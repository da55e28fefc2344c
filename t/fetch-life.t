
# await_fetch() in every kind of task, and what ends in its middle.

use strict;
use warnings;

use lib 't/lib';
use JSON::PP;
use Test::More;
use NginxAsync;
use NginxAsync::Others qw(server mirror answers head_of tls cert dns crowded pause %CAUSE);
use NginxAsync::Say qw(json gone);

my $slow = NginxAsync::Env::asan();
my $seed = $ENV{TEST_NGINX_SEED} // time;

my ($crt, $key);
my $o = NginxAsync->new(connections => 4000, workers => 1, conf => { http => <<'EOF_CONF',
    async_app $TEST_NGINX_APPS/fetch-life.so;
    async_timeout 10s;
    ssl_certificate $TEST_NGINX_SERVER_ROOT/tls.crt;
    ssl_certificate_key $TEST_NGINX_SERVER_ROOT/tls.key;
    keepalive_requests 100;
EOF_CONF
    server => <<'EOF_CONF' })->start;
    listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1 ssl;
    # nginx keeps some that were reset while it dropped their body
    keepalive_timeout 1s;
    location = /hello { return 200 hello; }
    location = /big { root $TEST_NGINX_SERVER_ROOT; }
    location = /late { client_max_body_size 1m; async_handler fetch-life:late; }
    location = /to { return 302 /late; }
    location = /status { stub_status; }
EOF_CONF
my ($plain, $tls) = ('http://127.0.0.1:' . $o->port(0), 'https://localhost:' . $o->port(1));
$o->write_file('big', 'x' x 1_000_000);
my $trusted = $o->root . '/tls.crt';

sub nginx {
    my (%o) = @_;
    my $http = delete $o{http} // '';
    my $locations = join '', map { "location = /$_ { async_handler fetch-life:$_; async_timeout 1h; }\n" }
        qw(after threaded deferred stuck shared storm again hello);

    return NginxAsync->new(connections => 1000, %o, conf => { http => <<"EOF_CONF",
        async_app \$TEST_NGINX_APPS/fetch-life.so;
        async_fetch_ssl_trusted_certificate $trusted;
        $http
EOF_CONF
        main => 'thread_pool default threads=2;', server => $locations })->start;
}

sub query {
    my ($path, %pairs) = @_;
    return "$path?" . join '&', map {
        my $v = $pairs{$_};
        $v =~ s/([^A-Za-z0-9._-])/sprintf '%%%02X', ord $1/ge;
        "$_=$v";
    } sort keys %pairs;
}

# ---- every kind of task

{
    my $url = "$plain/hello";
    my $n = nginx(http => "async_param url http://up/hello; async_every 200ms fetch-life:often;"
        . 'upstream up { server 127.0.0.1:' . $o->port(0) . '; keepalive 3; }');
    ok $n->wait_for_log(qr/<startup 200 hello>/, 20), 'a startup';
    ok $n->wait_for_log(qr/<periodic 200 hello>/, 20), 'a periodic function';
    is $n->get('/after')->body, "after\n", 'a background task';
    ok $n->wait_for_log(qr/<background 200 hello>/, 20), '... fetches';
    is $n->get('/threaded')->body, "threaded\n", 'a thread that calls';
    like_log $n, 0, qr/<call 200 hello>/, '... fetches';
    is $n->get('/deferred')->body, "deferred\n", 'a cleanup';
    ok $n->wait_for_log(qr/<cleanup 200 hello>/, 20), '... fetches';
    $n->stop;
    like_log $n, 0, qr/<shutdown 200 hello>/, 'a shutdown';
    unlike $n->log, qr/fails/, '... all of them, of an upstream';

    $n = nginx(http => "async_param url $tls/hello;");
    is $n->get('/after')->body, "after\n", 'a background task, by https';
    ok $n->wait_for_log(qr/<background 200 hello>/, 20), '... by the settings of the http block';
    $n->stop;

    # balancers ask what a request is: here is none
    for my $by ('hash $arg_x consistent;', 'hash $remote_addr$uri$request_method$host;', 'ip_hash;',
        'least_conn;', 'random;', 'random two;', 'zone z 64k;')
    {
        $n = nginx(http => "upstream up { $by server 127.0.0.1:" . $o->port(0) . '; server 127.0.0.1:'
            . $o->port(0) . "; } async_param url http://up/hello;");
        ok $n->wait_for_log(qr/<startup 200 hello>/, 20), "without a request: $by";
        is $n->get('/after')->body, "after\n", '... and after one';
        ok $n->wait_for_log(qr/<background 200 hello>/, 20), '... fetches';
        $n->stop;
    }
}

{
    my $dir = NginxAsync::Guard::temp_dir('run');
    NginxAsync::Env::spew("$dir/run.c", <<"EOF_C");
#include <ngx_async.h>

static async_rc_t
look(async_t *co, void *arg)
{
    async_response_t  **res = arg;

    return await_fetch(co, "$plain/hello", NULL, res);
}

ASYNC_TASK(job)
{
    async_response_t  *one, *two;
    async_work_t       work[] = { { .fn = look, .arg = &one },
                                  { .fn = look, .arg = &two } };

    ASYNC_TRY(look(co, &one));
    ASYNC_TRY(async_raise_for_status(co, one));
    ASYNC_TRY(await_all(co, work, 2));

    *(const char **) arg = async_response_body(one).data;

    return ASYNC_OK;
}
EOF_C
    is NginxAsync::run('timeout', 60, "$NginxAsync::Env::Root/util/async-run", "$dir/run.c", 'job'),
        "hello\n", 'util/async-run';
}

# ---- who reads one that another task closes

{
    my $n = nginx(http => 'upstream up { server 127.0.0.1:' . $o->port(0) . '; keepalive 3; }');
    my $gzip = 'http://' . server(sub { my ($c) = @_; head_of($c);
        print $c "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b\x08"; pause(9) });
    for (["$plain/late?pieces=2&between=60000"], ["$plain/late?pieces=3&between=60000"], [$gzip, decode => 1],
        ["$tls/late?pieces=2&between=60000"], ['http://up/late?pieces=2&between=60000'])
    {
        my ($url, @how) = @$_;
        is json($n->get(query('/shared', url => $url, @how)))->{rc}, -4, "closed while a child reads: $url";
    }
    $n->stop;
}

# ---- memory of a scope

{
    my $n = nginx();
    my $again = sub { return $n->get(query('/again', url => "$_[0]/$_[1]", n => $_[2]), timeout => 60)->body };
    $again->($_, 'big', 20) for $plain, $tls;
    my $memory = $n->memory_of_worker;
    is $again->($plain, 'hello', 3000), 5 * 3000, 'three thousand in one task';
    is $again->($plain, 'big', 100), 100_000_000, '... a hundred of a megabyte';
    is $again->($tls, 'big', 20), 20_000_000, '... by https';
    cmp_ok $n->memory_of_worker - $memory, '<', 3_000_000, '... ASYNC_MEMORY: it is flat'
        if !$ENV{TEST_NGINX_ASAN};
    $n->stop;
}

# ---- in the middle: of a connect, a handshake, a send, a head, a body, a stream

my $silent = server(sub { my ($c) = @_; head_of($c); pause(50) });
my $deaf = server(sub { pause(50) });
my $half = server(sub {
    my ($c) = @_;
    head_of($c);
    print $c "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nhalf";
    pause(50);
});
my $dns = dns('late.example' => 'silent');
my %middle = (
    name => { url => 'http://late.example/' }, connect => { url => 'http://' . crowded() . '/' },
    handshake => { url => "https://$deaf/" }, send => { url => "http://$deaf/", big => 20_000_000 },
    head => { url => "http://$silent/" }, body => { url => "http://$half/" },
    stream => { url => "http://$half/", stream => 1 }, tunnel => { url => 'http://up/' },
);
my $hour = "resolver $dns ipv6=off; resolver_timeout 1h; async_fetch_connect_timeout 1h;"
    . "async_fetch_read_timeout 1h; async_fetch_send_timeout 1h; upstream up { server $silent; }";

# one in each middle
sub in_the_middle {
    my ($n) = @_;
    my %c = map { $_ => $n->connect(timeout => 60)->send_request('GET', query('/stuck', id => $_,
        %{$middle{$_}})) } sort keys %middle;
    for my $id (sort keys %middle) { $n->wait_for_log(qr/<$id begins>/, 20) or fail "$id does not begin" }
    pause(0.2);
    return %c;
}

sub ended { my ($n, $rc) = @_; return [sort $n->log =~ /<(\w+) ends $rc>/g] }
my $all = [sort keys %middle];

{
    my $n = nginx(http => $hour);
    my %c = in_the_middle($n);
    my ($old) = $n->workers;
    my $new = $n->kill_worker;
    isnt $new, $old, 'kill -9 in every middle: a new worker';
    is $n->get('/hello')->body, "hello\n", '... serves';
    is $n->get(query('/again', url => "$plain/hello", n => 2))->body, 10, '... and fetches';
    $n->stop;
}

{
    my $n = nginx(http => $hour);
    my %c = in_the_middle($n);
    $n->signal('TERM');
    ok gone($n, 30), 'TERM in every middle: it goes';
    is_deeply ended($n, -3), $all, '... all are cancelled';
    $n->stop;
}

{
    my $n = nginx(http => "$hour async_shutdown_timeout 500ms;");
    my %c = in_the_middle($n);
    $n->signal('QUIT');
    ok gone($n, 30), 'QUIT in every middle: it goes after async_shutdown_timeout';
    is_deeply ended($n, -3), $all, '... all are cancelled';
    $n->stop;
}

{
    my $n = nginx(http => $hour);
    my %c = in_the_middle($n);
    my $fds = () = $n->open_fds;
    $_->reset for values %c;
    ok $n->wait_until(sub { @{ended($n, -3)} == @$all }, 30), 'clients leave in every middle'
        or diag "@{ended($n, -3)}";
    my $resolver = 1;
    ok $n->wait_until(sub { $fds - (() = $n->open_fds) >= 2 * (@$all - 1) }, 20),
        '... and no connection is left' or diag $fds, ' ', scalar(() = $n->open_fds);
    is $n->get('/hello')->body, "hello\n", '... and it serves';
    $n->stop;
}

{
    my $slow = server(sub {
        my ($c) = @_;
        head_of($c);
        pause(0.7);
        print $c "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf";
        pause(0.7);
        print $c 'half';
    });
    for my $how (qw(reload QUIT)) {
        my $n = nginx(workers => 2);
        my @c = map { $n->connect(timeout => 60)->send_request('GET', query('/stuck', id => "s$_",
            url => "http://$slow/", $_ > 2 ? (stream => 1) : ())) } 1 .. 4;
        ok $n->wait_for_log(qr/<s4 begins>/, 20), "$how in the middle";
        pause(0.2);
        $how eq 'reload' ? is($n->reload, undef, '... a reload') : $n->signal('QUIT');
        is_deeply [map { $_->response->body } @c], [("whole\n") x 4], '... all come to their end';
        ok $n->wait_until(sub { !$n->leaving_workers }, 20), '... and the old workers go' if $how eq 'reload';
        ok $n->stop, '... without a complaint';
    }
}

# ---- cancels at random, in all states

{
    my $up = '127.0.0.1:' . $o->port(0);
    my $n = nginx(http => <<"EOF_CONF");
        resolver $dns ipv6=off;
        async_fetch_keepalive 20 timeout=300ms;
        upstream up   { server $up; server 127.0.0.1:1 max_fails=0; keepalive 5; keepalive_timeout 300ms; }
        upstream tls  { server 127.0.0.1:${\ $o->port(1)}; keepalive 5; keepalive_timeout 300ms; }
EOF_CONF
    my $late = 'late?before=5&pieces=3&between=3';
    my $ask = { within => 25, tasks => 60, seed => $seed, urls => ["$plain/$late", "$plain/late?before=6",
        "$tls/$late", "$tls/late?before=4&pieces=4", "$plain/to", "$plain/big", "$tls/big", "http://up/$late",
        "http://up/late", "https://tls/$late", "http://late.example/", 'http://' . crowded() . '/'],
        proxy => $plain };
    my $storm = sub {
        my ($turns) = @_;
        return json($n->post('/storm', JSON::PP::encode_json({ %$ask, turns => $turns }), timeout => 600,
            headers => ['Content-Type', 'application/json']));
    };
    my $left = sub {
        my ($most) = @_;
        $n->wait_until(sub { (grep { /^socket:/ } $n->open_fds) <= $most }, 20);
        return scalar grep { /^socket:/ } $n->open_fds;
    };

    # one of ten is to come in time on this machine, as busy as it is
    my $first = $slow ? 500 : 3000;
    while ($storm->($first)->{ok} < $first / 10 && $ask->{within} < 5000) { $ask->{within} *= 2 }
    pause(1);
    my $sockets = $left->(1000);
    my $memory = $n->memory_of_worker;
    my $turns = $ENV{TEST_NGINX_LONG} ? 100_000 : $slow ? 5000 : 20_000;
    my $r = $storm->($turns);
    is $r->{ok} + $r->{error} + $r->{timeout} + $r->{closed}, $turns,
        "$turns fetches end (TEST_NGINX_SEED=$seed)";
    cmp_ok $r->{$_}, '>', 0, "... some of them: $_" for qw(ok timeout);
    note join ' ', map { "$_ $r->{$_}" } sort keys %$r;
    cmp_ok $n->memory_of_worker - $memory, '<', 4_000_000, '... memory is flat' if !$ENV{TEST_NGINX_ASAN};
    cmp_ok $left->($sockets), '<=', $sockets, '... no socket is left';
    my $active = sub { return $o->get('/status')->body =~ /Active connections: (\d+)/ ? $1 : 0 };
    ok $o->wait_until(sub { $active->() == 1 }, 20), '... nor one on the other side' or diag $active->();
    is $n->get('/hello')->body, "hello\n", '... and it serves';
    ok $n->stop, '... without a complaint';
}

ok $o->stop, 'nor has the other side one';

done_testing;
