#!/usr/bin/perl

# Dependencies: their order, their values, what they declare, those together,
# those of the configuration, and what nginx -t refuses.  Threads have
# t/depends-blocking.t, ends and teardowns t/depends-life.t.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Test::More;

use NginxAsync;
use NginxAsync::Say qw(said json);

my $routes = join '', map { "async_route GET /$_ $_;\n" }
    qw(both_async both_blocking only_async async_under_blocking
       blocking_under_async only_blocking counts gets_nothing provides meets
       meets_blocking coded);

$routes .= join '', map { qq{async_route POST "/$_/{id}" $_;\n} }
    qw(save_async save_blocking);
$routes .= join '', map { "async_route POST /$_ $_;\n" }
    qw(body_before reads_in_thread reads_together);

my $n = NginxAsync->new(conf => {
    main => 'thread_pool default threads=4;',
    http => <<'EOF_HTTP', server => <<"EOF_SERVER" });
    async_app $TEST_NGINX_APPS/depends.so;
    async_app $TEST_NGINX_APPS/depends.so name=other;
    log_format short '$status';
    async_depends depends:outer;
EOF_HTTP
    async_depends depends:middle;
    location = /two { async_depends other:inner; async_handler other:only_async; }
    location / {
        async_depends depends:inner depends:middle;
        async_route GET /configured depends:configured;
        @{[ $routes =~ s/ (\w+);\n/ depends:$1;\n/gr ]}
    }
EOF_SERVER

$n->start;

# What the dependencies have said of one request, without those of nginx.conf.
sub steps {
    my ($method, $uri, %o) = @_;

    my $since = $n->mark;
    my $r = $n->request($method, $uri, %o);

    return ($r, [grep { !/^(?:outer|middle|inner)/ } @{said($n, $since)}]);
}

for my $kind (qw(async blocking)) {

    my ($r, $said) = steps(GET => "/both_$kind");

    is_deeply json($r), {
        rights => 'rights(user(session(settings)))',
        user   => 'user(session(settings))',
    }, "A handler of kind $kind has the values of dependencies of both kinds";

    is_deeply $said, ['settings', 'session(settings)',
        'user(session(settings))', 'rights(user(session(settings)))',
        'handler'], '... which run once, each after what it depends on';

    for my $name (qw(settings session user rights)) {

        my $since = $n->mark;
        my ($r, $said) = steps(GET => "/both_$kind?fail=$name");

        is $r->status, 401, "$kind: a failure of $name ends the request";
        is $r->body, qq({"detail":"$name"}), '... with its response';
        is $said->[-1], "$name fails", '... and nothing else runs';
    }
}

is $n->get('/only_async')->body, 'settings', 'a coroutine under a coroutine';
is $n->get('/async_under_blocking')->body, 'settings',
    'a coroutine under a blocking handler';
is $n->get('/blocking_under_async')->body, 'plain',
    'a blocking one under a coroutine';
is $n->get('/only_blocking')->body, 'plain',
    'a blocking one under a blocking handler';

is $n->get('/counts')->body, '[0,1]',
    'A value is shared, and anew for who asks for that';

{
    my $since = $n->mark;

    is $n->get('/gets_nothing')->body, '[true,true]',
        'What has provided nothing has the value NULL';
    $n->like_log($since, qr/\[error\].* async "gets_nothing" asks for the value of "settings", but/,
        'and who asks for one that it does not depend on is told');
    is $n->get('/provides')->body,
        'async_provide() is for dependencies only',
        'A handler provides nothing';
}

# codes

for ([1, 500], [2, 504], [3, 500], [4, 500], [5, 503], [6, 500]) {
    my ($code, $status) = @$_;

    is $n->get("/coded?code=$code")->status, $status,
        "The code $code of a dependency is answered as a handler's";
}

$n->like_log(0,
    qr/async handler "depends:coded" failed in its dependency codes: /,
    'and the log names the dependency');

# what is declared

my %json = (headers => ['Content-Type' => 'application/json']);
my %note = (headers => [@{$json{headers}}, 'X-Token' => 'x']);
my $good = '{"text":"abc","size":3}';

for my $kind (qw(async blocking)) {
    my ($r, $said) = steps(POST => "/save_$kind/7?n=5", %note,
                           body => $good);

    is_deeply json($r), { page => 5, id => 7, text => 'abc', size => 3 },
        "$kind: parameters and a body are there as structs"
        or diag $r->body;
    is_deeply $said, [qw(page after_page guard blocking_guard saved)],
        '... of dependencies, too';

    ($r, $said) = steps(POST => "/save_$kind/x?n=y", %note,
                        body => '{"size":0}');

    is $r->status, 422, '... and if they do not fit, it is 422';
    is_deeply [map { join '.', @{$_->{loc}} } @{json($r)->{detail}}],
        [qw(path.id query.n body.text body.size)],
        '... with all errors, those of dependencies included';
    is_deeply $said, [qw(guard blocking_guard)],
        '... after all that fits has run';

    ($r, $said) = steps(POST => "/save_$kind/x?n=y", %json, body => '{');

    is $r->status, 401, '... but a 401 comes before a 422';
    is_deeply $said, ['guard'], '... and nothing runs after it';

    ($r) = steps(POST => "/save_$kind/1?n=2", %note, body => '{');

    is json($r)->{detail}[0]{type}, 'json_invalid',
        '... and a body that is no JSON is told';
}

is_deeply json($n->post('/body_before', $good, %json)),
    ['noted(abc)', 'settings', length $good],
    'A dependency in a thread has a body that it declares';

for my $uri (qw(reads_in_thread reads_together)) {
    is $n->post("/$uri", $good, %json)->body,
        'reads(abc)', "A coroutine reads the body itself: $uri";
}

# the body is not read before the dependencies have succeeded

for my $kind (qw(async blocking)) {
    my $c = $n->connect;

    $c->send("POST /save_$kind/1?n=1 HTTP/1.1\r\nHost: x\r\n"
        . "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n");

    is $c->response->status, 401,
        "$kind: who is not let in is not waited for";
    $c->close;
}

# together

for my $uri (qw(meets meets_blocking)) {
    my $r = $n->get("/$uri");

    is $r->body, '["left","right"]', "$uri: two run at the same time";
    is $r->header('X-Order'), 'right', '... and change the response in order';
    is join(',', $r->headers('X-All')), 'left,right', '... each of them';
    is $r->header('X-First'), undef, '... also what was set before';

    my $since = $n->mark;

    $r = $n->get("/$uri?fail=right");

    is $r->status, 401, '... and if one fails, that is the response';
    is $r->body, '{"detail":"right"}', '... of the failure';
    is $r->header('X-All'), undef, '... without what the others set';
    is $r->header('X-First'), 'first', '... but with what was before';
    ok((grep { $_ eq 'left is cancelled' } @{said($n, $since)}),
        '... and the other one has been cancelled');
}

# of the configuration

{
    my $since = $n->mark;

    is $n->get('/configured')->body, '["outer","inner(outer)"]',
        'A handler has the values of what async_depends names';
    is_deeply said($n, $since), [qw(outer middle inner(outer) settings)],
        '... which runs first, once, the outermost block first';

    $since = $n->mark;

    is $n->get('/two')->body, 'settings', 'Dependencies of two apps';
    is_deeply said($n, $since), [qw(outer middle outer inner(outer) settings)],
        '... are two, also where they have one name';
}

# what is refused

sub refused {
    my ($conf, $message, $title) = @_;

    my ($status, $out) = $n->conf_test({ http => $conf->{http}
        // 'async_app $TEST_NGINX_APPS/depends.so;', server =>
        $conf->{server} // '' });

    $n->allow(qr/\[emerg\]/);
    isnt $status, 0, "nginx -t refuses $title";
    like $out, $message, '... and says why';
    like $out, qr{\[emerg\] .* in \S+/conf/test\.conf:\d+$}m, '... and where';
}

sub source {
    my ($code) = @_;

    my $file = $n->write_file('wrong.c', "#include <ngx_async.h>\n$code");

    return { http => 'async_app ' . $n->build_app($file, 'wrong') . ';' };
}

refused { server => 'async_depends settngs;' },
    qr/no app has a dependency "settngs", did you mean "settings"\? in .*:\d+/,
    'a misspelt name';
refused { server => 'async_depends counts;' },
    qr/"async_depends" takes a dependency, but "depends:counts" is a handler/,
    'a handler as a dependency';
refused { server => 'location / { async_handler settings; }' },
    qr/"async_handler" takes a handler, but "depends:settings" is a dependency/,
    'a dependency as a handler';
refused { server => 'location / { async_route POST "/{ix}" save_async; }' },
    qr{which route "/\{ix\}" does not have, did you mean "ix"\? in .*:\d+},
    'a route without a parameter that is needed';
refused { server => 'location / { async_handler save_async; }' },
    qr/needs the path parameter "id", which "async_handler save_async" has no pattern for/,
    'a handler without a pattern';
refused source(<<'EOF_C'),
extern const async_export_t async_export_of_c;
ASYNC_DEPENDENCY(a, void, ASYNC_DEPENDS(c)) { return ASYNC_OK; }
ASYNC_DEPENDENCY(b, void, ASYNC_DEPENDS(a)) { return ASYNC_OK; }
ASYNC_DEPENDENCY(c, void, ASYNC_DEPENDS_TOGETHER(b)) { return ASYNC_OK; }
EOF_C
    qr/dependency "(\w)" goes in a circle: (?:c, b, a, c|a, c, b, a|b, a, c, b) /,
    'a circle';
refused source(<<'EOF_C'),
typedef struct { int x; } x_t;
ASYNC_MODEL(one, x_t, ASYNC_FIELD(x_t, x));
ASYNC_MODEL(two, x_t, ASYNC_FIELD(x_t, x));
ASYNC_DEPENDENCY(a, void, ASYNC_BODY(one)) { return ASYNC_OK; }
ASYNC_HANDLER(b, ASYNC_DEPENDS(a), ASYNC_FORM(two)) { return ASYNC_OK; }
EOF_C
    qr/there is one body, but two are declared: "one" by "a" and "two" by "b"/,
    'a body and a form';
refused source(<<'EOF_C'),
ASYNC_HANDLER(a, { 99, 0, NULL, NULL, NULL }) { return ASYNC_OK; }
EOF_C
    qr/"a" has an attribute of the number 99, which this module of version/,
    'an attribute that it does not know';
refused source(<<'EOF_C'),
ASYNC_HANDLER(h) { return ASYNC_OK; }
ASYNC_HANDLER(a, ASYNC_DEPENDS(h)) { return ASYNC_OK; }
EOF_C
    qr/"a" depends on "h", which is no dependency/,
    'a handler that another one depends on';
my $bodies = source(<<'EOF_C');
typedef struct { int x; } x_t;
ASYNC_MODEL(one, x_t, ASYNC_FIELD(x_t, x));
ASYNC_MODEL(two, x_t, ASYNC_FIELD(x_t, x));
ASYNC_DEPENDENCY(a, void, ASYNC_BODY(one)) { return ASYNC_OK; }
ASYNC_HANDLER(b, ASYNC_BODY(two)) { return ASYNC_OK; }
EOF_C

refused { %$bodies, server => 'async_depends a;
                               location / { async_handler b; }' },
    qr/two are declared for "b" of "async_handler": "one" by "a" and "two" by "b" in/,
    'two bodies, of the configuration and the handler';

$n->stop;

done_testing;
