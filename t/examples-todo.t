#!/usr/bin/perl

# examples/todo, under its own nginx.conf, on a PostgreSQL of its own; and what
# its README shows.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP qw(encode_json);
use Test::More;

use NginxAsync;
use NginxAsync::Example;
use NginxAsync::Pg;
use NginxAsync::Say qw(json);

NginxAsync::Pg::or_skip_all();

my $pg = NginxAsync::Pg->new(databases => ['notes']);
my $so = example_app('todo');

my $n = NginxAsync->new(workers => 2, conf => example_conf('todo', $so,
    '"dbname=notes"' => '"' . $pg->conninfo . '"'))->start;

my ($true, $false) = (JSON::PP::true, JSON::PP::false);

sub call {
    my ($method, $uri, $body, @headers) = @_;

    return $n->request($method, $uri, defined $body ? (body => ref $body ? encode_json($body) : $body) : (),
        headers => ['Content-Type', 'application/json', @headers]);
}

# status, and the body without what differs each time
sub answer {
    my $r = call(@_);
    my $body = length $r->body ? json($r) : undef;

    for (ref $body eq 'ARRAY' ? @$body : $body // ()) {
        my $created = delete $_->{created} // next;
        like $created, qr/^2\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,3})?Z\z/, 'created';
    }

    return [$r->status, $body];
}

# what is wrong, by place
sub wrong {
    my ($status, $body) = @{ answer(@_) };

    return [$status, map { join ' ', $_->{type}, @{ $_->{loc} } } @{ $body->{detail} }];
}

my %tea = (id => 1, list => 'home', title => 'Buy tea', note => undef, priority => 'normal', due => undef, tags => [],
    done => $false);
my $none = [404, { detail => 'no such todo' }];

ok $n->wait_until(sub { call('GET', '/todos/')->status == 200 }), 'the table is made';
is_deeply answer('GET', '/todos/'), [200, []], 'nothing to do';

# ---- one

is_deeply answer('POST', '/todos/', { title => 'Buy tea' }), [201, \%tea], 'one is added';
is_deeply answer('GET', '/todos/1'), [200, \%tea], '... and there';
is_deeply answer('PATCH', '/todos/1', { done => $true, note => "gr\x{fc}n", due => '2030-01-31', priority => 'high' }),
    [200, { %tea, done => $true, note => "gr\x{fc}n", due => '2030-01-31', priority => 'high' }], '... changed';
is_deeply answer('PATCH', '/todos/1', {}),
    [200, { %tea, done => $true, note => "gr\x{fc}n", due => '2030-01-31', priority => 'high' }], '... or not';
is_deeply answer('PATCH', '/todos/1', { done => $false, title => 'Drink it', note => undef }),
    [200, { %tea, title => 'Drink it', note => "gr\x{fc}n", due => '2030-01-31', priority => 'high' }],
    '... of which null stays';

{
    my $r = call('POST', '/todos/', { title => 'x' x 200, tags => ['a', 'b"c\\'], id => 77, done => $true });

    is $r->header('Location'), '/todos/2', 'a place for the next one';
    is_deeply [@{ json($r) }{qw(id done tags)}], [2, $false, ['a', 'b"c\\']], '... which says no id of its own';
}

is_deeply answer('DELETE', '/todos/2'), [204, undef], 'one is forgotten';
is_deeply answer($_, '/todos/2', $_ eq 'PATCH' ? {} : undef), $none, "... and there is none to $_"
    for qw(GET PATCH DELETE);

# ---- lists

is_deeply answer('GET', '/todos/', undef, 'X-List' => 'work'), [200, []], 'another list';
is_deeply answer('GET', '/todos/1', undef, 'X-List' => 'work'), $none, '... has not the same';
is_deeply answer('DELETE', '/todos/1', undef, 'X-List' => 'work'), $none, '... and forgets nothing of others';
call('POST', '/todos/', { title => "no. $_" }, 'X-List' => 'work') for 1 .. 5;
is_deeply [map { $_->{title} } @{ json(call('GET', '/todos/?limit=2&after=4', undef, 'X-List' => 'work')) }],
    ['no. 3', 'no. 4'], '... comes in pages';
call('PATCH', '/todos/5', { done => $true }, 'X-List' => 'work');
is_deeply [map { $_->{title} } @{ json(call('GET', "/todos/?done=$_", undef, 'X-List' => 'work')) }],
    $_ eq 'true' ? ['no. 3'] : [map { "no. $_" } 1, 2, 4, 5], "... or those that are done: $_" for qw(true false);

# ---- what is wrong

is_deeply wrong('POST', '/todos/', { title => '', priority => 'urgent', due => '2030-02-31', tags => [1, 'a'] },
    'X-List' => 'NO LIST'), [422, 'string_pattern_mismatch header x-list', 'string_too_short body title',
    'enum body priority', 'date_from_datetime_parsing body due', 'string_type body tags 0'], 'all of it at once';
is_deeply wrong('POST', '/todos/', {}), [422, 'missing body title'], 'no title';
is_deeply wrong('POST', '/todos/', { title => 'x', tags => [('a') x 11] }), [422, 'too_long body tags'],
    'too many tags';
is_deeply wrong('POST', '/todos/'), [422, 'missing body'], 'no body';
is_deeply wrong('GET', '/todos/?limit=0&after=-1&done=perhaps'), [422, 'bool_parsing query done',
    'greater_than_equal query after', 'greater_than_equal query limit'], 'parameters';
is_deeply wrong('GET', '/todos/0'), [422, 'greater_than_equal path id'], 'a path';
is_deeply answer('PATCH', '/todos/99', { title => '' }), $none, 'what is not there is told before what is wrong';
is $pg->sql('SELECT count(*) FROM todos'), 6, '... and nothing of it is stored';

# ---- the document

{
    my $document = json($n->get('/openapi.json'));

    is_deeply [sort keys %{ $document->{paths} }], ['/todos/', '/todos/{id}'], 'the document has the routes';
    is_deeply [sort keys %{ $document->{components}{schemas}{todo_in}{properties} // {} }],
        [qw(due note priority tags title)], '... and what a client may say';
    like $n->get('/docs')->header('Content-Type'), qr{^text/html}, 'the page that shows it';
}

$pg->sql('TRUNCATE todos RESTART IDENTITY');
ok readme_holds('todo', $n), 'README.md';

$n->stop;

example_runs('todo', sub {
    my $c = NginxAsync::Connection->new(port => $_[0]);
    my $r = $c->request('POST', '/todos/', body => '{"title":"Buy tea"}', headers => ['Content-Type', 'application/json']);
    is $r->status, 201, '... with its table';
});

done_testing();
