#!/usr/bin/perl

# async_status for Prometheus: its text format and that of OpenMetrics, read by
# the parsers of its own project (t/clients/prometheus.py).

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IPC::Open2 qw(open2);
use JSON::PP qw(decode_json);
use List::Util qw(sum0);
use Test::More;

use NginxAsync;
use NginxAsync::Say qw(json);

my ($python) = grep { -x && !system "$_ -c 'import prometheus_client' 2> /dev/null" }
    map { "$_/python3" } split(/:/, $ENV{PATH}), '/usr/bin';

plan skip_all => 'there is no prometheus_client for Python (util/packages test)' if !$python;

my $n = NginxAsync->new(workers => 2, conf => { http => <<'EOF_HTTP', server => <<'EOF_SERVER' })->start;
    async_app $TEST_NGINX_APPS/status.so;
    async_app $TEST_NGINX_APPS/route.so "name=a\"b\\c\nd{e=\"f\"} 1";
    async_param gates $TEST_NGINX_SERVER_ROOT/html;
EOF_HTTP
    location / {
        async_route GET /hello hello;
        async_route GET /gated gated;
        async_route GET /nap   nap;
        async_route GET /burn  burn;
        async_route GET '/"quoted\\"/{a}' hello;
    }
    location = /status      { async_status; }
    location = /prometheus  { async_status prometheus; }
    location = /openmetrics { async_status openmetrics; }
    location = /json        { async_status json; }
EOF_SERVER

my $odd = qq(a"b\\c\nd{e="f"} 1);

# The page as its parser has it: metrics by their names.
sub parsed {
    my ($format, $page) = @_;

    my $pid = open2(my $out, my $in, $python, "$FindBin::Bin/clients/prometheus.py", $format);

    print {$in} $page;
    close $in;
    my $json = do { local $/; <$out> };
    waitpid $pid, 0;
    is $?, 0, "the page is valid ($format)";

    return { map { $_->{name} => $_ } @{ decode_json($json || '[]') } };
}

sub scrape { return parsed('text', $n->get('/prometheus' . ($_[0] // ''))->body) }

# The value of a sample with these labels, like "nginx_async_tasks", state => "x".
sub value {
    my ($metrics, $name, %labels) = @_;

    my @found = map { $_->[2] } grep {
        my $s = $_;
        $s->[0] eq $name && keys %{ $s->[1] } == keys %labels && !grep { ($s->[1]{$_} // '') ne $labels{$_} } keys %labels
    } map { @{ $_->{samples} } } values %$metrics;

    return @found > 1 ? "@found" : $found[0];
}

# ---- formats

my $page = $n->get('/prometheus');

is $page->status, 200, 'a page';
is $page->header('content-type'), 'text/plain; version=0.0.4; charset=utf-8', 'of the text format';
is $page->header('cache-control'), 'no-store', 'which is not kept';

my $open = $n->get('/openmetrics');

is $open->header('content-type'), 'application/openmetrics-text; version=1.0.0; charset=utf-8',
    'another one of OpenMetrics';
like $open->body, qr/\n# EOF\n\z/, 'which says where it ends';
is $n->head('/prometheus')->header('content-length') > 1000, 1, 'HEAD';

# what Prometheus itself asks for, by its versions
for (['application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,'
        . 'text/plain;version=0.0.4;q=0.5,*/*;q=0.1', 'application/openmetrics-text'],
    ['application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.6', 'text/plain'],
    ['text/plain;version=0.0.4;q=1,*/*;q=0.1', 'text/plain'],
    ['text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8', 'text/html'],
    ['text/plain', 'application/json'],
    ['*/*', 'application/json'])
{
    my ($accept, $type) = @$_;

    like $n->get('/status', headers => [Accept => $accept])->header('content-type'), qr/^\Q$type\E/, "Accept: $accept";
}

like $n->get('/status?format=prometheus')->header('content-type'), qr{^text/plain; version}, 'by the query';
like json($n->get('/status?format=xml'))->{detail}, qr/"json", "prometheus", "openmetrics" or "html"/,
    'there is no other';
is $n->get('/prometheus?format=json')->status, 400, 'a location with one format has that';

# ---- what they tell

is $n->get('/hello')->body, 'hello', 'a request' for 1 .. 3;

my $m = scrape();
my @handler = (handler => 'status:hello');

for (values %$m) {
    like $_->{help}, qr/^[A-Z0-9].*[^.]\.$/, "$_->{name} is described";
    isnt $_->{type}, 'unknown', '... and has a type';
    ok scalar @{ $_->{samples} }, '... and values';
}

is value($m, 'nginx_async_build_info', version => json($n->get('/json'))->{version} // '0.1.0',
    nginx_version => json($n->get('/json'))->{nginx}), '1.0', 'the versions';
is value($m, 'nginx_async_generation'), '1.0', 'the configuration';
is value($m, 'nginx_async_workers', state => 'running'), '2.0', 'workers that run';
is value($m, 'nginx_async_workers', state => $_), '0.0', "none is $_" for qw(finishing blocked silent);

is $m->{nginx_async_handler_started}{type}, 'counter', 'a counter';
is value($m, 'nginx_async_handler_started_total', @handler), '3.0', '... has its unit and its ending';
is $m->{nginx_async_handler_alive}{type}, 'gauge', 'a gauge';
is value($m, 'nginx_async_handler_alive', @handler), '0.0', '... does not';
is $m->{nginx_async_handler_stack_max_bytes}{type}, 'gauge', 'what is the highest is a gauge, of bytes';
cmp_ok value($m, 'nginx_async_handler_stack_max_bytes', @handler), '>', 0, '...';
is $m->{nginx_async_handler_time_seconds}{type}, 'histogram', 'a histogram, of seconds';
is value($m, 'nginx_async_handler_time_seconds_count', @handler), '3.0', '... counts';
is value($m, 'nginx_async_handler_time_seconds_bucket', @handler, le => '+Inf'), '3.0', '... and so does its last bucket';

{
    my @buckets = grep { $_->[0] =~ /_bucket/ && $_->[1]{handler} eq 'status:hello' }
        @{ $m->{nginx_async_handler_time_seconds}{samples} };
    my $figures = json($n->get('/json'))->{handler}{'status:hello'}{time};

    is scalar @buckets, 14, '... with as many buckets as the status has';

    my $n = 0;
    is_deeply [map { [$_->[1]{le}, $_->[2] + 0] } @buckets],
        [map { [defined $_->[0] ? ($_->[0] =~ /\./ ? $_->[0] : "$_->[0].0") : '+Inf', $n += $_->[1]] } @{ $figures->{buckets} }],
        '... which hold those of the lesser ones';
    cmp_ok abs(value($m, 'nginx_async_handler_time_seconds_sum', @handler) - $figures->{sum}), '<', 1e-6, '... their sum';
}

ok $n->wait_until(sub { $n->get('/prometheus')->body =~ /^nginx_async_loop_lag_seconds_bucket\{le="\+Inf"\} [1-9]/m }),
    'a family without a label';

{
    my ($app) = grep { /\n/ } map { $_->[1]{handler} } @{ $m->{nginx_async_handler_started}{samples} };

    like $app, qr/^\Q$odd\E:\w+\z/, 'quotes, backslashes and newlines in names are no harm';
}

is_deeply [sort keys %{ parsed('openmetrics', $open->body) }], [sort keys %$m],
    'OpenMetrics has the same metrics';

# ---- tasks

my @c = map { $n->connect->send_request('GET', $_) } ('/nap') x 3, '/gated';

ok $n->wait_until(sub {
    my $page = $n->get('/prometheus')->body;
    return $page =~ /^nginx_async_tasks\{handler="status:nap",await="await_sleep"\} 3$/m
        && $page =~ /^nginx_async_tasks\{handler="status:gated",await="await_sleep"\} 1$/m;
}), 'tasks by where they wait';

$m = scrape();
is value($m, 'nginx_async_tasks', handler => 'status:nap', await => 'await_sleep'), '3.0', '... in the parser\'s words';
is sum0(map { $_->[2] } @{ $m->{nginx_async_tasks}{samples} }), 5, '... with that of the page itself';
is value(scrape('?limit=2'), 'nginx_async_tasks', handler => '', await => ''), '3.0', 'those that are not told of are counted';
is value(scrape('?handler=gated'), 'nginx_async_tasks', handler => 'status:nap', await => 'await_sleep'), undef,
    'filters, as for JSON';
$_->close for @c;

# ---- a worker that is blocked

my $since = $n->mark;
my $burns = $n->connect->send_request('GET', '/burn?tag=burn');
my $burning;

ok $n->wait_until(sub { ($burning) = $n->log($since) =~ /<burns in (\d+)>/ }), 'one worker is held';
ok $n->wait_until(sub { $n->connect(timeout => 5)->request('GET', '/prometheus')->body
    =~ /^nginx_async_workers\{state="blocked"\} 1$/m }), '... and is told of';
is value(scrape(), 'nginx_async_workers', state => 'running'), '1.0', '... not as one that runs';
$n->write_file('html/go-burn', '');
is $burns->response->body, 'done', 'it goes on';

$n->stop;

done_testing;
