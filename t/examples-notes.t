#!/usr/bin/perl

# examples/notes, under its own nginx.conf, on a PostgreSQL of its own; and what
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
use NginxAsync::Say qw(json silent);

NginxAsync::Pg::or_skip_all();

my $pg = NginxAsync::Pg->new(databases => ['notes']);
my $so = example_app('notes');

sub nginx {
    my ($workers, %change) = @_;

    return NginxAsync->new(workers => $workers // 1, conf => example_conf('notes', $so,
        '"dbname=notes"' => '"' . $pg->conninfo . '"', %change))->start;
}

my $n;

# status, and what the body says
sub call {
    my ($method, $uri, $body) = @_;

    my $r = $n->request($method, $uri, defined $body ? (
        body => ref $body ? encode_json($body) : $body,
        headers => ['Content-Type', 'application/json']) : ());

    return ($r->status, length $r->body ? json($r) : undef, $r);
}


sub answers {
    my ($call, $status, $body, $title) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my ($s, $b) = call(@$call);
    is_deeply [$s, $b], [$status, $body], $title;
}


sub a_note {
    my ($id, $title, $text, $completed) = @_;

    return { id => $id, title => $title, text => $text // '',
        completed => $completed ? JSON::PP::true : JSON::PP::false };
}


sub detail { return { detail => $_[0] } }

sub mine  { return $pg->backends(application_name => 'nginx-async') }
sub empty { $pg->sql('TRUNCATE notes RESTART IDENTITY') }

sub titles { return join ' ', split /\n/, $pg->sql('SELECT title FROM notes ORDER BY id') }


subtest 'the schema' => sub {
    # all of them at once, and held up until all of them are there
    my $lock = $pg->session('BEGIN', 'SELECT pg_advisory_xact_lock(20021974)');

    $n = nginx(4);
    ok $n->wait_until(sub { 4 == grep { ($_->{wait} // '') eq 'advisory' } mine() }),
        'four workers make the table';
    $lock->sql('COMMIT');

    my @c = map { $n->connect->send_request('GET', '/notes/') } 1 .. 20;
    is join(' ', map { $_->response->body } @c), join(' ', ('[]') x 20), '... which is there';
    unlike $n->log, qr/\[error\]/, '... and none of them fails';
    $n->stop;
};


subtest 'README.md' => sub {
    empty();
    $n = nginx();
    readme_holds('notes', $n);
    $n->stop;
};

empty();
$n = nginx();


subtest 'notes' => sub {
    my ($status, $note, $r) = call(POST => '/notes/', { title => "\x{e4}\x{1f40d}", text => "'); --" });

    is $status, 201, 'a note is made';
    is_deeply $note, a_note(1, "\x{e4}\x{1f40d}", "'); --"), '... and given back';
    is $r->header('Location'), '/notes/1', '... with its place';

    answers([GET => '/notes/1'], 200, $note, '... where it is');
    answers([POST => '/notes/', { title => 'b', completed => JSON::PP::true }], 201,
        a_note(2, 'b', '', 1), 'another one');
    answers([POST => '/notes/', { title => 'b' }], 409, detail('there is a note of this title'),
        'a title twice');

    answers([PATCH => '/notes/2', { text => 'x' }], 200, a_note(2, 'b', 'x', 1), 'a change of one part');
    answers([PATCH => '/notes/2', { title => 'c', completed => JSON::PP::false }], 200,
        a_note(2, 'c', 'x'), '... of others');
    answers([PATCH => '/notes/2', {}], 200, a_note(2, 'c', 'x'), '... of none');
    answers([PATCH => '/notes/2', { title => "\x{e4}\x{1f40d}" }], 409,
        detail('there is a note of this title'), '... to a title that is taken');

    my $none = detail('no such note');
    answers([$_ => '/notes/99', $_ eq 'PATCH' ? {} : ()], 404, $none, "$_ of none")
        for qw(GET PATCH DELETE);
    answers([GET => '/notes/9223372036854775807'], 404, $none, 'the largest number');
    is +(call(GET => '/notes/9223372036854775808'))[0], 422, '... and the next one';
    is +(call(GET => '/notes/x'))[0], 404, 'no number is no route';

    answers([DELETE => '/notes/2'], 204, undef, 'one is deleted');
    answers([GET => '/notes/2'], 404, $none, '... and is gone');
    is $n->get('/notes')->header('Location'), '/notes/', 'a slash that is missing';
};


subtest 'bodies' => sub {
    empty();

    my %message = (
        missing               => 'Field required',
        string_type           => 'Input should be a valid string',
        bool_type             => 'Input should be a valid boolean',
        string_too_short      => 'String should have at least 1 character',
        string_too_long       => 'String should have at most 200 characters',
        model_attributes_type => 'Input should be a valid dictionary or object to extract fields from',
    );
    my %ctx = (string_too_short => { min_length => 1 }, string_too_long => { max_length => 200 });

    my $errors = sub {
        return detail([map {
            my ($type, $loc, $input) = @$_;
            +{ type => $type, loc => ['body', @$loc], msg => $message{$type}, input => $input,
                $ctx{$type} ? (ctx => $ctx{$type}) : () };
        } @_]);
    };

    for (
        [{}, ['missing', ['title'], {}]],
        [{ title => 1, text => undef, completed => 'yes' }, ['string_type', ['title'], 1],
            ['string_type', ['text'], undef], ['bool_type', ['completed'], 'yes']],
        [{ title => '' }, ['string_too_short', ['title'], '']],
        [{ title => "\x{e4}" x 201 }, ['string_too_long', ['title'], "\x{e4}" x 201]],
        [[1], ['model_attributes_type', [], [1]]],
    ) {
        my ($body, @errors) = @$_;
        answers([POST => '/notes/', $body], 422, $errors->(@errors),
            'what is wrong with ' . substr encode_json($body), 0, 50);
    }

    answers([POST => '/notes/import', [{ title => 'a' }, 2, { text => 3 }]], 422, $errors->(
        ['model_attributes_type', [1], 2], ['string_type', [2, 'text'], 3],
        ['missing', [2, 'title'], { text => 3 }]), '... with some of a list');
    answers([POST => '/notes/import', { title => 'a' }], 422,
        detail('the body is a list of up to 1000 notes'), '... with what is no list');
    is +(call(POST => '/notes/import', [(1) x 1001]))[0], 422, '... or too long a one';
    is +(call(POST => '/notes/', '{"title":'))[0], 422, 'half a body';
    is +(call(POST => '/notes/', qq({"title":"\xff"})))[0], 400, 'no UTF-8';
    is titles(), '', 'nothing has been made of all this';

    answers([POST => '/notes/', { title => "\x{e4}" x 200 }], 201, a_note(1, "\x{e4}" x 200),
        'the longest title');
};


subtest 'pages' => sub {
    empty();
    $pg->sql(q{INSERT INTO notes (title, text, completed)
        SELECT 'n' || i, '', i % 2 = 0 FROM generate_series(1, 25) i});

    my $walk = sub {
        my ($uri, @seen) = @_;

        while ($uri) {
            my $r = $n->get($uri);
            push @seen, join ',', map { $_->{id} } @{ json($r) };
            ($uri) = ($r->header('Link') // '') =~ /^<([^>]*)>; rel="next"$/;
        }

        return join ' ', @seen;
    };

    is $walk->('/notes/?limit=10'), join(' ', join(',', 1 .. 10), join(',', 11 .. 20),
        join(',', 21 .. 25)), 'all of them';
    is $walk->('/notes/'), join(' ', join(',', 1 .. 20), join(',', 21 .. 25)), '... by twenty';
    is $walk->('/notes/?limit=9&completed=1'), '2,4,6,8,10,12,14,16,18 20,22,24', 'some of them';
    is $walk->('/notes/?limit=7&completed=no&after=9'), '11,13,15,17,19,21,23 25', '... others';

    $n->request('DELETE', '/notes/10');
    is $walk->('/notes/?limit=10&after=10'), join(' ', join(',', 11 .. 20), join(',', 21 .. 25)),
        'one is deleted, and the pages stay';

    for ([0, 'greater_than_equal', 'ge', 1], [101, 'less_than_equal', 'le', 100]) {
        my ($limit, $type, $name, $bound) = @$_;
        answers([GET => "/notes/?limit=$limit"], 422, detail([{ type => $type, loc => ['query', 'limit'],
            msg => 'Input should be ' . $type =~ s/_/ /gr =~ s/equal/or equal/r . " to $bound",
            input => "$limit", ctx => { $name => $bound } }]), "$limit of them");
    }

    my (undef, $wrong) = call(GET => '/notes/?limit=x&after=y&completed=z');
    is join(' ', map { $_->{type} } @{ $wrong->{detail} }), 'int_parsing int_parsing bool_parsing',
        'all that is wrong at once';
};


subtest 'merging' => sub {
    empty();
    call(POST => '/notes/', { title => $_, text => "text of $_" }) for qw(a b c d);

    answers([POST => '/notes/2/merge', { from => [4, 1, 4] }], 200,
        a_note(2, 'b', "text of b\ntext of d\ntext of a"), 'two go to another one, in this order');
    is titles(), 'b c', '... and are gone';

    answers([POST => '/notes/2/merge', { from => [3, 9] }], 404, detail('no such note'),
        'one of them is not there');
    answers([POST => '/notes/9/merge', { from => [3] }], 404, detail('no such note'),
        '... or the other one');
    is titles(), 'b c', '... and nothing is done';

    is +(call(POST => '/notes/2/merge', $_))[0], 422, encode_json($_) . ' is refused'
        for {}, { from => [] }, { from => 3 }, { from => ['3'] }, { from => [3, 2] },
            { from => [1 .. 51] };

    # each takes what the others take, too
    empty();
    call(POST => '/notes/', { title => "n$_", text => "$_" }) for 1 .. 8;

    my @c = map { $n->connect->send_request('POST', "/notes/$_/merge", body =>
        encode_json({ from => [reverse grep { $_ } 1 + $_ % 8, 1 + (1 + $_) % 8] }),
        headers => ['Content-Type', 'application/json']) } 1 .. 8;

    is_deeply [grep { $_ != 200 && $_ != 404 } map { $_->response->status } @c], [],
        'eight at once do not stand in each other\'s way';
    is join(' ', sort map { split /\n/ } split /\n/,
        $pg->sql('SELECT text FROM notes')), '1 2 3 4 5 6 7 8', '... and no text is lost';
};


subtest 'a list' => sub {
    empty();
    call(POST => '/notes/', { title => 'b' });

    answers([POST => '/notes/import', [map { +{ title => $_ } } qw(a b c a d)]], 200,
        { imported => 3, skipped => ['b', 'a'] }, 'those that are there are left out');
    is titles(), 'b a c d', '... and the others made';
    answers([POST => '/notes/import', []], 200, { imported => 0, skipped => [] }, 'an empty one');

    $pg->sql(q{CREATE FUNCTION no_z() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN IF NEW.title = $$z$$ THEN RAISE $$no z$$; END IF; RETURN NEW; END'},
        'CREATE TRIGGER no_z BEFORE INSERT ON notes FOR EACH ROW EXECUTE FUNCTION no_z()');
    is +(call(POST => '/notes/import', [map { +{ title => $_ } } qw(x y z)]))[0], 500,
        'what fails otherwise';
    is titles(), 'b a c d', '... takes all of it with it';
    like_log $n, 0, qr/\[error\].*no z.*P0001/, '... and the log has the cause';
    $pg->sql('DROP TRIGGER no_z ON notes');
};


sub csv { return $n->post('/notes/csv', join("\n", 'title,text,completed', @_, '')) }

subtest 'all of them' => sub {
    empty();
    is $n->get('/notes/all')->body, '', 'there are none';
    is $n->get('/notes/csv')->body, "title,text,completed\n", '... as CSV';

    $pg->sql(q{INSERT INTO notes (title, text, completed)
        SELECT 'n' || i, repeat('x', i % 1000), i % 2 = 0 FROM generate_series(1, 20000) i});

    my $r = $n->get('/notes/all');
    is $r->header('Content-Type'), 'application/x-ndjson', 'many of them';

    my @lines = split /\n/, $r->body;
    is scalar @lines, 20000, '... a line each';
    is_deeply [map { JSON::PP::decode_json($lines[$_]) } 0, 12345, -1],
        [a_note(1, 'n1', 'x'), a_note(12346, 'n12346', 'x' x 346, 1), a_note(20000, 'n20000', '', 1)],
        '... as they are';

    my $all = $n->get('/notes/csv')->body;
    is $all, join("\n", 'title,text,completed', map { join ',', "n$_", 'x' x ($_ % 1000) || '""',
        $_ % 2 ? 'f' : 't' } 1 .. 20000) . "\n", '... as CSV';

    empty();
    $r = $n->post('/notes/csv', $all);
    is $r->body, '{"imported":20000}', '... and back';
    is $n->get('/notes/csv')->body, $all, '... as they were';

    empty();
    is csv('"a ""b""",,t', "\x{c3}\x{a4},\"1\n2\",f")->body, '{"imported":2}', 'some';
    answers([GET => '/notes/'], 200, [a_note(1, 'a "b"', '', 1), a_note(2, "\x{e4}", "1\n2")], '... are there');

    for (['c,,t', 'c,,f', 409], ['d,,t', 'e,,maybe', 422], ['d,,t', ',,f', 422], ['d,,t', 'e', 422],
        ['d,,t', "\xff,,t", 422], ['d,,t', 'x' x 201 . ',,t', 422], ['d,,t', 'f,,', 422])
    {
        my ($good, $bad, $status) = @$_;
        is csv($good, $bad)->status, $status, substr($bad, 0, 30) =~ s/[^ -~]/?/gr . ' is refused';
    }

    is titles(), "a \"b\" \x{c3}\x{a4}", '... and nothing is stored';
};


subtest 'streams that end early' => sub {
    $pg->sql('TRUNCATE notes RESTART IDENTITY', q{INSERT INTO notes (title, text, completed)
        SELECT 'n' || i, repeat('x', 1000), false FROM generate_series(1, 30000) i});

    for my $uri (qw(/notes/all /notes/csv)) {
        my $c = $n->connect->send_request('GET', $uri);
        ok $n->wait_until(sub { grep { $_->{state} eq 'active' && ($_->{wait} // '') eq 'ClientWrite' } mine() }),
            "$uri waits for its client";
        $c->close;
        ok $n->wait_until(sub { !grep { $_->{state} ne 'idle' } mine() }), '... and ends with it';
    }

    my $c = $n->connect;
    $c->send("POST /notes/csv HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n"
        . "title,text,completed\nnew,,t\n");
    ok $n->wait_until(sub { grep { $_->{query} =~ /^COPY.*FROM STDIN/ && $_->{state} eq 'active' } mine() }),
        'a body that does not come';
    $c->close;
    ok $n->wait_until(sub { !grep { $_->{state} ne 'idle' } mine() }), '... ends';
    is $pg->sql(q{SELECT count(*) FROM notes WHERE title = 'new'}), 0, '... and nothing is stored';
};


subtest 'a client that goes' => sub {
    empty();
    call(POST => '/notes/', { title => $_ }) for qw(a b);

    my $lock = $pg->session('BEGIN', 'LOCK TABLE notes IN EXCLUSIVE MODE');
    my $c = $n->connect->send_request('POST', '/notes/1/merge', body => '{"from":[2]}',
        headers => ['Content-Type', 'application/json']);

    ok $n->wait_until(sub { grep { $_->{query} =~ /FOR UPDATE/ && ($_->{wait} // '') eq 'relation' } mine() }),
        'it waits';
    $c->close;
    ok $n->wait_until(sub { !grep { $_->{state} ne 'idle' } mine() }), 'its transaction ends with it';
    $lock->close;
    is titles(), 'a b', '... and nothing is done';
};

$n->stop;


subtest 'no connection' => sub {
    empty();
    $n = nginx(1, 'connections=8' => 'connections=1', 'acquire_timeout=2s' => 'acquire_timeout=100ms');

    my $lock = $pg->session('BEGIN', 'LOCK TABLE notes');
    my $c = $n->connect->send_request('GET', '/notes/');
    ok $n->wait_until(sub { grep { ($_->{wait} // '') eq 'relation' } mine() }), 'all are in use';

    my (undef, $body, $r) = call(GET => '/notes/');
    is $r->status, 503, 'none is free in time';
    like $r->header('Retry-After'), qr/^\d+$/, '... and says when to come again';
    ok silent($c), '... and who has it waits on';
    $lock->close;
    is $c->response->body, '[]', '... and gets its answer';

    $pg->stop;
    my $away = detail('the database is out of reach');
    answers([GET => '/notes/'], 503, $away, 'the server is away');
    answers([POST => '/notes/import', [{ title => 'a' }]], 503, $away, '... for a transaction, too');
    like +(call(GET => '/notes/'))[2]->header('Retry-After'), qr/^\d+$/, '... come again';
    like_log $n, 0, qr/\[error\].*database "db":/, '... and the log has the cause';

    $pg->start;
    ok $n->wait_until(sub { $n->get('/notes/')->status == 200 }), 'and is back';
    answers([POST => '/notes/', { title => 'a' }], 201, a_note(1, 'a'), '... for all');

    $lock = $pg->session('BEGIN', 'LOCK TABLE notes');
    $c = $n->connect->send_request('POST', '/notes/import', body => '[{"title":"b"}]',
        headers => ['Content-Type', 'application/json']);
    ok $n->wait_until(sub { grep { ($_->{wait} // '') eq 'relation' } mine() }), 'a transaction waits';
    $pg->terminate($_->{pid}) for mine();
    is $c->response->status, 503, '... and its connection is lost';
    $lock->close;
    is titles(), 'a', '... and nothing is done';

    $n->stop;
};

example_runs('notes', sub {
    my $r = NginxAsync::Connection->new(port => $_[0])->request('GET', '/notes/');
    is $r->body, '[]', '... with its table';
});

done_testing();
