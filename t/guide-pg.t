#!/usr/bin/perl

# README.md's guides to PostgreSQL, to structs in and out and to rows as structs:
# their code, as it stands there, and what is said of it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP qw(encode_json);
use Test::More;

use NginxAsync;
use NginxAsync::Pg;
use NginxAsync::Say qw(json);

NginxAsync::Pg::or_skip_all();

my ($guides) = NginxAsync::Env::slurp("$NginxAsync::Env::Root/README.md") =~ /^# Guides\n(.*?)^# Limits\n/ms;
my %guide    = $guides =~ /^## ([^\n]+)\n(.*?)(?=^## |\z)/gms;
my @code     = map { ($guide{$_} // die "no guide $_") =~ /^```c\n(.*?)^```/gms }
    'PostgreSQL', 'Structs in and out', 'Rows as structs';
my $so   = NginxAsync->build_app(join "\n", "#include <ngx_async.h>\n", @code, <<'EOF_C');
ASYNC_HANDLER(held)
{
    question_t    question = { "SELECT 1", NULL };
    async_work_t  work = { .fn = answer, .arg = &question };

    ASYNC_TRY(await_pg_begin(co, "db", 0));
    ASYNC_TRY(await_pg(co, "db", NULL, "SELECT 1"));

    return await_all(co, &work, 1);
}

ASYNC_SHUTDOWN(the_end)
{
    return await_pg(co, "db", NULL,
                    "INSERT INTO orders (number, item) VALUES ('end', 'none')");
}
EOF_C

my $pg = NginxAsync::Pg->new(databases => ['shop']);

$pg->sql(
    'CREATE TABLE orders (id int GENERATED ALWAYS AS IDENTITY, number text UNIQUE,'
        . ' customer text, item text NOT NULL, cents int, paid boolean DEFAULT false)',
    'CREATE TABLE accounts (id int PRIMARY KEY, cents int NOT NULL CHECK (cents >= 0))',
    'CREATE TABLE posts (id bigint, text text, rating int, owner bigint, created timestamptz, tags text[])',
    'GRANT ALL ON orders, accounts, posts TO PUBLIC',
    q{INSERT INTO posts VALUES (1, 'a', 4, NULL, now(), NULL), (2, 'b', 5, 7, now(), '{c,d}')},
    q{INSERT INTO orders (number, customer, item, cents, paid) VALUES ('A1', 'Ada', 'tea', 150, false),
        ('A2', 'Ada', 'milk', 99, true), ('B1', 'Bob', 'tea', 151, false)},
    'INSERT INTO accounts VALUES (1, 100), (2, 0)');

sub nginx {
    my ($settings, %change) = @_;

    my ($line) = $guide{PostgreSQL} =~ /^```nginx\n(async_pg .*?)^```/ms;
    $line =~ s/"[^"]*"/'"' . $pg->conninfo . '"'/e;
    $line =~ s/;/ $settings;/;
    $line =~ s/$_/$change{$_}/ for keys %change;

    return NginxAsync->new(conf => { http => "async_app $so; async_timeout 10s; $line"
        . ' upstream baskets.internal { server 127.0.0.1:$TEST_NGINX_SERVER_PORT; }',
        server => <<'EOF_CONF' })->start;
        location = /1 {
            return 200 '{"lines": [{"price": 1, "cost": 0.5, "product": "tea"}], "owner": 7, "id": "x"}';
        }
        location / {
            async_route  GET   /open               open_orders;
            async_route  GET   /find               find_orders;
            async_route  GET   "/price/{id}"       price_of;
            async_route  POST  /orders             place_order;
            async_route  POST  /pay                pay;
            async_route  GET   /dashboard          dashboard;
            async_route  GET   /held               held;
            async_route  POST  /flowers            buy_flowers;
            async_route  GET   /orders/all         export_orders;
            async_route  GET   /orders/csv         orders_as_csv;
            async_route  POST  /orders/csv         orders_from_csv;
            async_route  GET   /orders/events      order_events;
            async_route  GET   /stars              stars_of_posts;
            async_route  GET   /posts              list_posts;
            async_route  POST  /baskets            fill_basket;
            async_route  GET   /baskets/theirs     show_basket_of_others;
            async_route  POST  /baskets/publish    publish_basket;
        }
EOF_CONF
}

my $n = nginx('');

is $n->get('/open?customer=Ada')->body, '[{"id":1,"item":"tea","cents":150}]', 'a query';
is $n->get("/open?customer=Ada'%20OR%20'1'='1")->body, '[]', '... and one that would be another one';
is $n->get('/find')->body, '[{"id":1,"item":"tea"},{"id":2,"item":"milk"}]', 'named parameters, null';
is $n->get('/find?item=milk')->body, '[{"id":2,"item":"milk"}]', '... a text';
is $n->get('/price/1')->body, '{"item":"tea","price":1.5}', 'values';
is $n->get('/price/9')->status, 404, '... of none';

sub order {
    my ($order) = @_;

    return $n->post('/orders', encode_json($order), headers => ['Content-Type', 'application/json']);
}

my %order = (number => 'C1', customer => 'Cy', item => 'jam', cents => 300);
my $r = order(\%order);
is_deeply [$r->status, json($r)], [201, { id => 4 }], 'an order is placed';
is order(\%order)->status, 409, '... not twice';
is order({ number => 'C2' })->status, 422, '... and not without what it is';
is $n->get('/open?customer=Cy')->body, '[{"id":4,"item":"jam","cents":300}]', '... and there';

is $n->post('/pay?from=1&to=2&cents=60', '')->status, 204, 'a transaction';
is $n->post('/pay?from=1&to=2&cents=60', '')->status, 409, '... that is not possible';
is $pg->sql('SELECT cents FROM accounts ORDER BY id'), "40\n60", '... is none';
is $n->post('/pay?from=1&to=x', '')->status, 422, '... nor is one of nonsense';
is $n->get('/dashboard')->body, '{"open":3,"cents":100}', 'two at once';

# one waits for the other one's row, and is told to try again
{
    my $other = $pg->session('BEGIN ISOLATION LEVEL SERIALIZABLE', 'UPDATE accounts SET cents = 50 WHERE id = 1');
    my $c = $n->connect->send_request('POST', '/pay?from=1&to=2&cents=10');

    ok $n->wait_until(sub { grep { ($_->{wait} // '') eq 'transactionid' }
        $pg->backends(application_name => 'nginx-async') }), 'it waits for another one';
    $other->sql('COMMIT');
    is $c->response->status, 204, '... and is done once more';
    is $pg->sql('SELECT cents FROM accounts ORDER BY id'), "40\n70", '... with what that one has left';
    like $pg->log, qr/could not serialize access/, '... since it had failed before';
}

# ---- a pipeline, in one transaction

$r = $n->post('/flowers?account=1', '');
is $r->status, 409, 'a pipeline of which one fails';
$r = $n->post('/flowers?account=2', '');
is $r->status, 201, '... none';
is json($r)->{id}, $pg->sql(q{SELECT id FROM orders WHERE item = 'flowers'}), '... with the result of one';
is $pg->sql('SELECT cents FROM accounts ORDER BY id'), "40\n20", '... all, or none has been executed';
is $n->post('/flowers?account=3', '')->status, 404, '... and one that asks what another has found';
is $n->post('/flowers?account=x', '')->status, 422, '... or cannot';

# ---- in pieces

$pg->sql('TRUNCATE orders RESTART IDENTITY');

my $csv = "number,item,cents\n" . join '', map { "N$_,tea no. $_,$_\n" } 1 .. 5000;
is $n->post('/orders/csv', $csv)->body, '{"orders":5000}', 'COPY in';
is $n->get('/orders/csv')->body, $csv, '... and out';
is $n->post('/orders/csv', "number,item,cents\nX1,tea,1\nX2,tea,many\n")->status, 500, '... of which a line is wrong';
is $pg->sql(q{SELECT count(*) FROM orders WHERE number LIKE 'X%'}), 0, '... stores nothing';
is $n->get('/orders/all')->body, join('', map { qq({"id":$_,"item":"tea no. $_","cents":$_}\n) } 1 .. 5000),
    'a stream of rows';

# ---- structs

my ($sent, $shown) = $guide{'Structs in and out'} =~ /curl -d '(.*?)'.*?\n(\{.*?\n)```/s;

$r = $n->post('/baskets', $sent, headers => ['Content-Type', 'application/json']);
is $r->body, $shown =~ s/\n *//gr, 'a struct in and out';
is $r->status, 201, '... with the status';
$r = $n->post('/baskets', '{"lines": [{"product": "", "price": -1}]}', headers => ['Content-Type', 'application/json']);
is $r->status, 422, '... and not one that is wrong';
is_deeply [map { join '.', @{ $_->{loc} } } @{ json($r)->{detail} }],
    ['body.lines.0.product', 'body.lines.0.price'], '... in two places';
is $n->get('/baskets/theirs')->body, '{"id":"x","lines":[{"product":"tea","price":1}]}', 'a tree that is cut';
is $n->post('/baskets/publish', $sent, headers => ['Content-Type', 'application/json'])->status, 202, 'text alone';

is $n->get('/stars')->body, '{"posts":2,"stars":9}', 'rows as structs';
like $n->get('/posts')->body, qr/^\[\{"id":1,"text":"a","rating":4,"owner":null,"created":"2\d{3}-[^"]*Z","tags":null\},
    \{"id":2,"text":"b","rating":5,"owner":7,"created":"[^"]*","tags":\["c","d"\]\}\]$/x, '... and as JSON';
$pg->sql('INSERT INTO posts VALUES (3, NULL, 1, NULL, now(), NULL)');
is $n->get('/stars')->status, 500, '... of which none lacks what it should have';

# ---- what happens meanwhile

{
    my $c = $n->connect(timeout => 60)->send_request('GET', '/orders/events');

    ok defined $c->read_until(qr/: listening\n\n/), 'a listener';
    $pg->sql(q{SELECT pg_notify('orders', 'tea')});
    ok defined $c->read_until(qr/data: tea\n\n/), '... hears what is notified';

    my ($listener) = grep { $_->{query} =~ /LISTEN/ } $pg->backends(application_name => 'nginx-async');
    $pg->terminate($listener->{pid});
    ok defined $c->read_until(qr/data: look again\n\n/), '... and that something may be lacking';
    $pg->sql(q{SELECT pg_notify('orders', 'milk')});
    ok defined $c->read_until(qr/data: milk\n\n/), '... and goes on';
}

$n->stop;
is $pg->sql(q{SELECT count(*) FROM orders WHERE number = 'end'}), 1, 'a shutdown function has its database';
$pg->sql(q{DELETE FROM orders WHERE number = 'end'});

# ---- one connection for two

$n = nginx('acquire_timeout=100ms', 'connections=8' => 'connections=1');
is $n->get('/held')->status, 504, 'a parent that holds what its child waits for';
is $n->get('/dashboard')->body, '{"open":5000,"cents":60}', '... and both one after the other';
$n->stop;

subtest 'a test, as it is shown' => sub {
    my ($test) = $guide{PostgreSQL} =~ /^```perl\n(.*?)^```/ms;

    my $app = "#include <ngx_async.h>\n$code[0]";
    $test =~ s/'shop\.c'/\$app/;
    eval "$test; 1" or fail $@;
};

done_testing();
