#!/usr/bin/perl

# examples/techempower, by the rules of that benchmark: what its own verification
# looks at, and that reads and writes are those which are told.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use NginxAsync;
use NginxAsync::Example;
use NginxAsync::Pg;
use NginxAsync::Say qw(json);

NginxAsync::Pg::or_skip_all();

my $pg  = NginxAsync::Pg->new(databases => ['hello_world']);
my $out = $pg->client_sql($pg->conninfo, example_text('techempower/hello_world.sql'));
is $?, 0, 'hello_world.sql' or diag $out;

# ids of world and their numbers
sub world { return map { split /\|/ } split /\n/, $pg->sql('SELECT * FROM world ORDER BY id') }

my %world = world();
is scalar(keys %world), 10000, 'rows of world';
is scalar(grep { $_ < 1 || $_ > 10000 } values %world), 0, '... from 1 to 10000';
is $pg->sql('SELECT count(*) FROM fortune'), 12, 'rows of fortune';

sub nginx {
    return NginxAsync->new(conf => example_conf('techempower', example_app('techempower'),
        'db  ""' => 'db "' . $pg->conninfo . '"', auto => 1))->start;
}

my $n = nginx();

my %type = (json => 'application/json', queries => 'application/json', db => 'application/json',
    updates => 'application/json', plaintext => 'text/plain; charset=utf-8',
    fortunes => 'text/html; charset=utf-8');

for my $name (sort keys %type) {
    my $r = $n->get("/$name");

    is $r->status, 200, "/$name";
    is $r->header('Content-Type'), $type{$name}, '... type';
    is $r->header('Content-Length'), length $r->body, '... length';
    like $r->header('Server'), qr/nginx/, '... server';
    like $r->header('Date'), qr/^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$/, '... date';
}

is $n->get('/json')->body, '{"message":"Hello, World!"}', 'JSON';
is $n->get('/plaintext')->body, 'Hello, World!', 'plain text';

# as wrk sends them: sixteen at once
{
    my $c = $n->connect;
    $c->send("GET /plaintext HTTP/1.1\r\nHost: a\r\n\r\n" x 16);
    is join(',', map { $c->response->body } 1 .. 16), join(',', ('Hello, World!') x 16), 'pipelined';
}

# ---- one row, several

sub right { my ($row) = @_; return keys %$row == 2 && ($world{ $row->{id} } // '') eq $row->{randomNumber} }

%world = world();

my @rows = map { json($n->get('/db')) } 1 .. 20;
is scalar(grep { right($_) } @rows), 20, 'rows of the table';

my %seen = map { $_->{id} => 1 } @rows;
cmp_ok scalar(keys %seen), '>', 10, '... at random';

for (['', 1], ['?queries=', 1], ['?queries=foo', 1], ['?queries=0', 1], ['?queries=-3', 1],
    ['?queries=1', 1], ['?queries=20', 20], ['?queries=500', 500], ['?queries=501', 500],
    ['?queries=99999999999', 500])
{
    my ($query, $count) = @$_;
    my $list = json($n->get("/queries$query"));

    is ref $list eq 'ARRAY' && scalar(grep { right($_) } @$list), $count, "/queries$query";
    is @$list, $count, '... and no more';
}

# ids of 2000, of 10000 each as likely: half of them below 5001, give or take
my @ids  = map { map { $_->{id} } @{ json($n->get('/queries?queries=500')) } } 1 .. 4;
my $half = grep { $_ <= 5000 } @ids;
ok abs($half - 1000) < 250, 'half of the ids are in each half' or diag $half;
ok abs(keys(%{ { map { $_ => 1 } @ids } }) - 1813) < 150, '... and as many twice as there should be';

# what a worker begins with
my @first = map {
    my $m = nginx();
    my $r = $m->get('/queries?queries=5');
    $m->stop;
    join ' ', map { $_->{id} } @{ json($r) };
} 1, 2;
isnt $first[0], $first[1], 'each worker has its own';

# ---- updates

for (['', 1], ['?queries=x', 1], ['?queries=20', 20], ['?queries=501', 500]) {
    my ($query, $count) = @$_;

    my %before = world();
    my $list   = json($n->get("/updates$query"));
    my %after  = world();

    is scalar @$list, $count, "/updates$query";

    # of a row that is there twice the last counts
    my %told = map { $_->{id} => $_->{randomNumber} } @$list;
    is scalar(grep { $after{$_} != $told{$_} } keys %told), 0, '... what is told is written';
    is scalar(grep { $after{$_} != $before{$_} && !exists $told{$_} } keys %after), 0, '... and nothing else';
    is scalar(grep { $_ < 1 || $_ > 10000 } values %told), 0, '... from 1 to 10000';

    # one in 10000 stays as it was
    cmp_ok scalar(grep { $after{$_} != $before{$_} } keys %told), '>', keys(%told) / 2, '... which is new'
        if $count > 1;
}

{
    my @c = map { $n->connect(timeout => 60)->send_request('GET', '/updates?queries=100') } 1 .. 10;
    is join(' ', map { $_->response->status } @c), join(' ', (200) x 10), 'many at once';
}

# ---- fortunes

sub page {
    my %html = ('&' => '&amp;', '<' => '&lt;', '>' => '&gt;', '"' => '&quot;', "'" => '&#39;');
    my @rows = map { [split /\|/, $_, 2] } split /\n/, $pg->sql('SELECT id, message FROM fortune');

    return '<!DOCTYPE html><html><head><title>Fortunes</title></head><body><table>'
        . '<tr><th>id</th><th>message</th></tr>' . join('', map {
            "<tr><td>$_->[0]</td><td>" . $_->[1] =~ s/([&<>"'])/$html{$1}/gr . '</td></tr>'
        } sort { $a->[1] cmp $b->[1] } @rows, [0, 'Additional fortune added at request time.'])
        . '</table></body></html>';
}

my $page = page();
is $n->get('/fortunes')->body, $page, 'fortunes';
like $page, qr/&lt;script&gt;.*Additional fortune.*\x{e5}\x{be}\x{85}/s, '... with all that is to be seen in them';

$pg->sql(q{INSERT INTO fortune SELECT i, repeat('<"' || i || '">', 50) FROM generate_series(13, 300) i});
is $n->get('/fortunes')->body, page(), '... and more of them';
$pg->sql('DELETE FROM fortune');
is $n->get('/fortunes')->body, page(), '... and only the one';

$n->stop;

example_runs('techempower', sub {
    my $r = NginxAsync::Connection->new(port => $_[0])->request('GET', '/queries?queries=7');
    is scalar @{ json($r) }, 7, '... with its rows';
});

done_testing();
