#!/usr/bin/perl

# Dependencies and bodies: one that several read at the same time, forms that
# several declare, and the errors of all in one answer.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use NginxAsync;
use NginxAsync::Say qw(said says json);

my $n = NginxAsync->new(conf => {
    main => 'thread_pool default threads=4;',
    http => 'async_app $TEST_NGINX_APPS/depends-body.so;',
    server => join '', map { "location /$_ { client_body_buffer_size 8k; async_handler $_; }\n" }
        qw(both_async both_blocking careless careless_alone errors_async errors_blocking
           errors_returned form_async form_blocking) });

$n->start;

my $form = 'application/x-www-form-urlencoded';

# A body that comes at once, or when both ask for it.
sub post {
    my ($uri, $type, $body, $late) = @_;

    my $since = $n->mark;
    my $c = $n->connect;

    $c->send("POST $uri HTTP/1.1\r\nHost: x\r\nContent-Type: $type\r\n"
        . 'Content-Length: ' . length($body) . "\r\n\r\n", $late ? () : $body);

    if ($late) {
        says($n, $late, $since) or diag 'nobody asks for the body';
        $c->send($body);
    }

    my $r = $c->response;
    $c->close;

    return $r;
}

sub errors { my ($r) = @_; return [map { join '.', @{$_->{loc}} } @{json($r)->{detail}}] }

for (['whole', 'whole', 'text/plain', 'abc', [3, 3]],
     ['whole', 'whole', 'text/plain', 'x' x 200_000, [200_000, 200_000]],
     ['json', 'json', 'application/json', '{"a":1,"b":2}', [2, 2]],
     ['json', 'whole', 'application/json', '{"a":1,"b":2}', [2, 13]],
     ['whole', 'form', $form, 'a=yes', [5, 'yes']],
     ['form', 'form', $form, 'a=yes', ['yes', 'yes']])
{
    my ($left, $right, $type, $body, $expect) = @$_;

    # a thread has read the body before
    my @uris = ('both_async', ($left eq 'form' || $right eq 'form') ? () : 'both_blocking');

    for my $uri (@uris) {
        for my $late (undef, 'right') {
            my $r = post("/$uri?left=$left&right=$right", $type, $body, $uri eq 'both_async' ? $late : undef);

            is $r->status, 200, "$uri: $left and $right, " . ($late ? 'late' : 'at once');
            is_deeply json($r), $expect, '... both have it' if $r->status == 200;
        }
    }
}

for my $first (qw(left right)) {
    my $second = ($first eq 'left') ? 'right' : 'left';

    my $r = post("/both_async?$first=short&$second=whole", 'text/plain', 'abc', 'timeout');

    is $r->body, $first eq 'left' ? '["timeout","3"]' : '["3","timeout"]',
        "The $first one leaves, and the other one has the body";
}

is post('/both_async?left=json&right=json', 'application/json', '{')->status, 422,
    'What is no JSON is told';
is_deeply errors(post('/both_async?left=json&right=json', 'application/json', '{', 'right')),
    ['body.1'], '... once';

# errors that a thread does not look at

for my $uri (qw(careless careless_alone)) {
    my $since = $n->mark;
    my $r = post("/$uri", 'application/json', '{');

    is_deeply said($n, $since), ['invalid'], "$uri: an await under a thread finds an error";
    is $r->status, 422, '... which async_valid() knows';
    is post("/$uri", 'application/json', '{}')->body, 'valid', '... and no other';
}

# errors of those that run together

for my $uri (qw(errors_async errors_blocking)) {
    my $since = $n->mark;
    my $r = $n->get("/$uri?a=x&b=x&c=x&d=x");

    is $r->status, 422, "$uri: several do not fit";
    is_deeply errors($r), [qw(query.d query.a query.b query.c)],
        '... what is declared comes first, then all in their order';
    ok !(grep { $_ eq 'declares' } @{said($n, $since)}), '... whose parameters do not fit has not run';
    is_deeply errors($n->get("/$uri?a=x&b=1&c=x&d=1")), [qw(query.a query.c)], '... some of them';
    is $n->get("/$uri?a=1&b=1&c=1&d=1")->body, 'valid', '... or none';
}

is_deeply errors($n->get('/errors_returned?a=x&c=x')), [qw(query.c query.a)],
    'One that returns its error';

# forms

for my $kind (qw(async blocking)) {
    my $since = $n->mark;
    my $r = post("/form_$kind", $form, 'title=a+title&size=2');

    is_deeply json($r), ['a title', 'a title', 'a title', 2], "$kind: several declare a form";
    is_deeply said($n, $since), ['title', 'title in thread'], '... each runs once';

    $since = $n->mark;
    $r = post("/form_$kind", $form, 'size=0');
    is $r->status, 422, '... one that does not fit';
    is_deeply errors($r), [qw(body.title body.size)], '... is told once';
    is_deeply said($n, $since), [], '... and none runs';

    $r = post("/form_$kind", "multipart/form-data; boundary=x",
        join "\r\n", (map { ("--x", "Content-Disposition: form-data; name=$_->[0]", '', $_->[1]) }
            (['title', 'two'], ['size', 3])), '--x--', '');
    is_deeply json($r), ['two', 'two', 'two', 3], '... of the other encoding';
}

$n->stop;

done_testing;
