#!/usr/bin/perl

# examples/sync-db, blocking handlers on a real PostgreSQL, under its own
# nginx.conf; and what its README shows.

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

my $pg = NginxAsync::Pg->new(databases => ['web']);
$pg->client_sql($pg->conninfo, example_text('sync-db/users.sql'));

my @flags = split ' ', `pkg-config --cflags --libs libpq`;
my $sync  = example_app('sync-db', @flags);

sub sync {
    my (%change) = @_;

    $pg->sql('TRUNCATE users RESTART IDENTITY');

    return NginxAsync->new(conf => example_conf('sync-db', $sync, %change),
        env => { PGHOST => $pg->socket, PGPORT => $pg->port, PGUSER => $pg->user,
            PGDATABASE => 'web' })->start;
}


sub create {
    my ($nginx, $body, %o) = @_;

    return $nginx->post('/users/', ref $body ? encode_json($body) : $body,
        headers => ['Content-Type', 'application/json'], %o);
}


# So many at once: all are sent before the first answer is read.
sub at_once {
    my ($nginx, @requests) = @_;

    my @connections = map {
        my ($method, $uri, $body) = @$_;

        $nginx->connect(timeout => 30)->send_request($method, $uri,
            defined $body ? (body => encode_json($body),
                headers => ['Content-Type', 'application/json']) : ());
    } @requests;

    return map { $_->response } @connections;
}


# Another session that holds the table, so that every query waits.
sub lock_table { return $pg->session('BEGIN', 'LOCK TABLE users') }

sub waiting_for_lock {
    my ($count) = @_;

    return NginxAsync->wait_until(sub {
        return $pg->sql(q{SELECT count(*) FROM pg_locks
            WHERE relation = 'users'::regclass AND NOT granted}) == $count;
    }, 30);
}


subtest 'README.md' => sub {
    my $nginx = sync();

    readme_holds('sync-db', $nginx, skip => qr{^(?:psql|util/async-cc) });

    my ($flags) = example_text('sync-db/nginx.conf') =~ /(\$\(pkg-config.*?\))/;
    ok index(example_text('sync-db/README.md'), $flags) > 0,
        'README.md and nginx.conf compile it in the same way';

    $nginx->stop;
};


subtest 'users' => sub {
    my $nginx = sync();

    my $r = $nginx->get('/users/');
    is $r->status, 200, 'there are no users';
    is $r->body, '[]', '... which is a list as well';

    my @users;

    for ("Ada", "Bj\x{f6}rk \x{1f40d}", q{'); DROP TABLE users; --}, q{"\\\\n"},
         'x' x 10_000)
    {
        my $user = { name => $_, email => @users . '@example.com' };

        $r = create($nginx, $user);
        is $r->status, 201, 'a user is made: ' . substr encode_json($user), 0,
            60;
        push @users, { id => @users + 1, %$user };
        is_deeply json($r), $users[-1], '... and given back';

        $r = $nginx->get('/users/' . @users);
        is_deeply json($r), $users[-1], '... and read again';
    }

    $r = $nginx->get('/users/');
    is_deeply json($r), \@users, 'and all of them in their order';

    $r = $nginx->get('/users/77');
    is $r->status, 404, 'a user who is not there: status';
    is $r->body, '{"detail":"no such user"}', '... and detail';

    is $nginx->get('/users/abc')->status, 404, 'no number is no route';
    is $nginx->get('/users/-1')->status, 404, 'nor is one below zero';
    is $nginx->get('/users/9223372036854775807')->status, 404,
        'the largest number';
    $r = $nginx->get('/users/9223372036854775808');
    is $r->status, 422, '... and the next one';
    is json($r)->{detail}[0]{type}, 'int_parsing_size', '... with its error';

    $r = create($nginx, { name => 'Eve', email => '0@example.com' });
    is $r->status, 409, 'an email twice: status';
    is $r->body, '{"detail":"this email is taken"}', '... and detail';
    is scalar @{ json($nginx->get('/users/')) }, scalar @users,
        '... and nobody is made';

    is $nginx->request('DELETE', '/users/')->status, 405, 'no other method';

    $nginx->stop;
};


subtest 'bodies' => sub {
    my $nginx = sync();

    my %error = (
        missing          => 'Field required',
        string_type      => 'Input should be a valid string',
        string_too_short => 'String should have at least 1 character',
        model_attributes_type => 'Input should be a valid dictionary or '
            . 'object to extract fields from',
    );

    for (
        ['{}', ['missing', 'name', {}], ['missing', 'email', {}]],
        ['{"name":"a"}', ['missing', 'email', { name => 'a' }]],
        ['{"name":1,"email":null}',
            ['string_type', 'name', 1], ['string_type', 'email', undef]],
        ['{"name":"a","email":["b"]}', ['string_type', 'email', ['b']]],
        ['{"name":"","email":"b"}', ['string_too_short', 'name', '']],
        ['[1,2]', ['model_attributes_type', undef, [1, 2]]],
        ['"a"', ['model_attributes_type', undef, 'a']],
    ) {
        my ($body, @errors) = @$_;

        my $r = create($nginx, $body);
        is $r->status, 422, "$body: status";
        is_deeply json($r), { detail => [map {
            my ($type, $name, $input) = @$_;
            +{ type => $type, loc => ['body', $name // ()],
                msg => $error{$type}, input => $input,
                $type eq 'string_too_short'
                    ? (ctx => { min_length => 1 }) : () };
        } @errors] }, '... and all its errors';
    }

    for (['{"name":', 'json_invalid'], ['', 'missing'], ['null', 'missing']) {
        my ($body, $type) = @$_;
        my $r = create($nginx, $body);
        is $r->status, 422, "\"$body\": status";
        is json($r)->{detail}[0]{type}, $type, '... and error';
    }

    is create($nginx, qq({"name":"\xff"}))->status, 400, 'what is not UTF-8';
    is $nginx->get('/users/')->body, '[]', 'nobody has been made';

    $nginx->stop;
};


subtest 'many at once' => sub {
    my $nginx = sync();

    my @made = at_once($nginx, map { ['POST', '/users/',
        { name => "user $_", email => "$_\@example.com" }] } 1 .. 20);

    is join(' ', map { $_->status } @made), join(' ', (201) x 20),
        'twenty at once are all made';

    my @users = sort { $a->{id} <=> $b->{id} } map { json($_) } @made;
    is_deeply json($nginx->get('/users/')), \@users, '... as they were told';

    my @read = at_once($nginx, map { ['GET', "/users/$_->{id}"] } @users);
    is_deeply [map { json($_) } @read], \@users,
        'twenty read at once are each what was asked for';

    my @same = at_once($nginx, map { ['POST', '/users/',
        { name => "user $_", email => 'one@example.com' }] } 1 .. 20);

    is join(' ', sort map { $_->status } @same), join(' ', 201, (409) x 19),
        'of twenty with the same email one is made';

    # eight threads have eight connections; a ninth request waits
    my $session = lock_table();
    my @waiting = map { $nginx->connect(timeout => 30)
        ->send_request('GET', '/users/') } 1 .. 12;

    ok waiting_for_lock(8), 'as many queries as threads run at once';
    ok silent(@waiting), '... and none is answered';
    $session->close;

    is join(' ', map { $_->response->status } @waiting),
        join(' ', (200) x 12), '... then all of them';

    is scalar $pg->backends, 8, 'each thread has a connection';

    $nginx->stop;

    ok $pg->wait_for_backends(0), 'and none is left when nginx has ended';
};


subtest 'when the database goes' => sub {
    my $nginx = sync('threads=8' => 'threads=2');

    create($nginx, { name => 'Ada', email => 'ada@example.com' });
    at_once($nginx, (['GET', '/users/']) x 20);

    $pg->stop;

    for (1 .. 4) {
        my $r = $nginx->get('/users/');
        is $r->status, 503, 'no database: status';
        is $r->body, '{"detail":"the database is out of reach"}',
            '... and detail';
    }

    like $nginx->wait_for_log(qr/\[error\].*PostgreSQL: (.*)/), qr/connection/,
        'the log tells the cause';

    $pg->start;

    my @after = at_once($nginx, (['GET', '/users/']) x 20);
    is join(' ', map { $_->status } @after), join(' ', (200) x 20),
        'it is back, and so are all connections';

    $pg->stop;
    $pg->start;

    is create($nginx, { name => 'Ida', email => 'ida@example.com' })->status,
        201, 'a restart between two requests is not seen';
    is scalar @{ json($nginx->get('/users/')) }, 2, '... by any';

    my $session = lock_table();
    my $c = $nginx->connect(timeout => 30)->send_request('GET', '/users/');
    waiting_for_lock(1);
    $pg->sql(q{SELECT pg_terminate_backend(pid) FROM pg_locks
        WHERE relation = 'users'::regclass AND NOT granted});

    is $c->response->status, 503, 'a connection that is lost amid a query';
    $session->close;
    is join(' ', map { $_->status } at_once($nginx, (['GET', '/users/']) x 4)),
        '200 200 200 200', '... is replaced';

    $nginx->stop;
};


subtest 'times' => sub {
    my $nginx = sync('threads=8' => 'threads=1',
        'statement_timeout=10s' => 'statement_timeout=1500ms');

    my $session = lock_table();
    is $nginx->get('/users/')->status, 504, 'a statement that takes too long';
    $session->close;

    my @pids = map { $_->{pid} } $pg->backends;

    is $nginx->get('/users/')->status, 200, '... and the next one';
    is_deeply [map { $_->{pid} } $pg->backends], \@pids, '... on the same connection';
    $nginx->stop;

    $nginx = sync('threads=8' => 'threads=1', 'max_queue=100' => 'max_queue=1',
        'async_timeout  10s;' => 'async_timeout  2s;');

    $session = lock_table();
    my $c = $nginx->connect->send_request('GET', '/users/');
    waiting_for_lock(1);
    my $next = $nginx->connect->send_request('GET', '/users/');
    is $nginx->post('/nothing', '')->status, 404, 'what needs no thread';
    my $r = $nginx->get('/users/');
    is $r->status, 503, 'a request too much';
    like $r->header('Retry-After'), qr/^\d+$/, '... may come again';
    is $_->response->status, 504, 'the deadline of a request that waits'
        for $c, $next;

    ok waiting_for_lock(1), '... ends its wait, and not that of its thread';
    $session->close;
    ok waiting_for_lock(0), '... which the database does';
    is $nginx->get('/users/')->status, 200, '... so that it is free again';

    $nginx->stop;
};


example_runs('sync-db', sub {
    my $r = NginxAsync::Connection->new(port => $_[0])->request('GET', '/users/');
    is $r->body, '[]', '... with its table';
});

done_testing;
