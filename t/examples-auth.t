#!/usr/bin/perl

# examples/auth, under its own nginx.conf, on a PostgreSQL of its own; and what
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

# The example with its hashing and comparing noted, each by a letter; a hash of
# the password "waits" does so until there is the file "go".

my $dir = NginxAsync::Guard::temp_dir('auth');
chmod 0777, $dir;

spew("$dir/noted.h", <<"END");
#include <crypt.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <ngx_async.h>

static void
noted(const char *letter)
{
    int  fd = open("$dir/notes", O_WRONLY | O_CREAT | O_APPEND, 0666);

    if (write(fd, letter, 1) != 1) {
        _exit(1);
    }

    close(fd);
}

static char *
noted_crypt_r(const char *phrase, const char *setting, struct crypt_data *data)
{
    noted("h");

    while (strcmp(phrase, "waits") == 0 && access("$dir/go", F_OK) != 0) {
        usleep(2000);
    }

    return crypt_r(phrase, setting, data);
}

static int
noted_equal(async_str_t one, const char *two)
{
    noted("=");
    return async_equal(one, two);
}

#define crypt_r(phrase, setting, data)  noted_crypt_r(phrase, setting, data)
#define async_equal(one, two)           noted_equal(one, two)
END

sub spew {
    my ($file, $text) = @_;

    open my $to, '>', $file or die "$file: $!";
    print $to $text;
    close $to;

    return;
}

# what has been noted since it was last asked for
sub notes {
    my $notes = NginxAsync::Server::read_or_empty("$dir/notes");

    unlink "$dir/notes";
    return $notes;
}

my $pg  = NginxAsync::Pg->new(databases => ['notes']);
my $out = $pg->client_sql($pg->conninfo, example_text('auth/users.sql'));
is $?, 0, 'users.sql' or diag $out;

sub served {
    my (%change) = @_;

    my $so = example_app('auth', '-D_GNU_SOURCE', '-include', "$dir/noted.h", '-lcrypt');

    return NginxAsync->new(conf => example_conf('auth', $so,
        '"dbname=notes"' => '"' . $pg->conninfo . '"', %change))->start;
}

my $n = served('rate=1r/s' => 'rate=1000r/s', 'max_queue=32' => 'max_queue=2');

sub as_json { return (body => encode_json($_[0]), headers => ['Content-Type', 'application/json']) }
sub bearer  { return (headers => ['Authorization', "Bearer $_[0]"]) }

sub login {
    my ($name, $password) = @_;

    return $n->request('POST', '/login', as_json({ name => $name, password => $password }));
}

# "STATUS", and what the body says in the end
sub answer {
    my ($uri, @o) = @_;

    my $r = $n->get($uri, @o);
    my $b = json($r);

    return join ' ', $r->status, ref $b eq 'ARRAY' ? map { $_->{name} } @$b : $b->{detail} // $b->{name};
}

readme_holds('auth', $n);
notes();

# ---- passwords

my $r = login('joe', 'swordfish');
my $joe = json($r)->{access_token};

is $r->status, 200, 'a password';
like $joe, qr/^[0-9a-f]{64}\z/, '... buys a token';
is json($r)->{token_type}, 'bearer', '... to bear';
is $r->header('Cache-Control'), 'no-store', '... and not to be kept by others';
is notes(), 'h=', '... after a hash, compared in constant time';

my $ann = json(login('ann', 'wonderland'))->{access_token};
isnt json(login('joe', 'swordfish'))->{access_token}, $joe, 'a session more is another token';
notes();

{
    my $wrong = login('joe', 'wonderland');
    is notes(), 'h=', 'a wrong password is hashed and compared';

    my $none = login('eve', 'wonderland');
    is notes(), 'h=', '... and so it is for a user who does not exist';

    is $wrong->status . $wrong->body, '401{"detail":"wrong name or password"}', '... which is all that is told';
    is $none->status . $none->body, $wrong->status . $wrong->body, '... in the same words';
    is $wrong->header('WWW-Authenticate'), 'Bearer', '... with a challenge';
}

is login('joe', "swordfish$_")->status, 401, 'a little more than the password' for ' ', 'x', "\x{fc}";
is login("joe' --", 'swordfish')->status, 401, 'SQL';
is login($_->[0], $_->[1])->status, 422, 'none that could be one'
    for ['', 'a'], ['joe', ''], ['joe', 'x' x 101], ['joe', "swordfish\0"], ["joe\0", 'swordfish'], ['joe', 7];
is login('joe', "\x{10ffff}" x 100)->status, 401, '... the longest';
is $n->post('/login', 'name=joe&password=swordfish')->status, 422, '... a form';
is $n->get('/login')->status, 405, '... GET';

notes();
$pg->sql("INSERT INTO users (name, password) VALUES ('old', 'x')");
is login('old', 'x')->status, 500, 'a hash that is none';
is notes(), 'h', '... is equal to nothing';

# ---- tokens

is answer('/me', bearer($joe)), '200 joe', 'a token';
is answer('/me', headers => ['authorization', "bearer $joe"]), '200 joe', '... the scheme in any case';
is answer('/me'), '401 Not authenticated', '... none';
is answer('/me', headers => ['Authorization', "Basic $joe"]), '401 Not authenticated', '... of another scheme';

for (['cut', substr $joe, 1], ['longer', $joe . '0'], ['in capitals', uc $joe],
    ['with another digit', $joe =~ s/.\z/$& eq '0' ? 1 : 0/er])
{
    is answer('/me', bearer($_->[1])), '401 invalid or expired token', "a token $_->[0]";
}

is answer('/me', bearer($_)), '401 Invalid authentication credentials', '... or what can be none'
    for "\xff\xfe", "' OR true --";
is $n->get('/me', bearer('x'))->header('WWW-Authenticate'), 'Bearer error="invalid_token"', '... which is said';
is $pg->sql("SELECT count(*) FROM sessions WHERE encode(digest, 'escape') = '$joe'"), 0, 'no token is stored';

is answer('/admin/users', bearer($ann)), '200 ann joe old', 'an administrator';
is answer('/admin/users', bearer($joe)), '403 this is for administrators', '... and who is none';
is answer('/admin/users'), '401 Not authenticated', '... and who is nobody';
unlike $n->get('/admin/users', bearer($ann))->body, qr/password|\$y\$/, 'passwords are not shown';

is $n->post('/logout', '', bearer($joe))->status, 204, 'logged out';
is answer('/me', bearer($joe)), '401 invalid or expired token', '... is out';
is $n->post('/logout', '', bearer($joe))->status, 401, '... once';
is answer('/me', bearer($ann)), '200 ann', '... and nobody else is';

$pg->sql("UPDATE sessions SET expires = now() WHERE digest = sha256('$ann')");
is answer('/me', bearer($ann)), '401 invalid or expired token', 'an expired token';

$joe = json(login('joe', 'swordfish'))->{access_token};
$pg->sql("DELETE FROM users WHERE name = 'joe'");
is answer('/me', bearer($joe)), '401 invalid or expired token', 'a user who is gone';

# ---- the thread

{
    $ann = json(login('ann', 'wonderland'))->{access_token};
    notes();

    my @c = map { $n->connect } 1 .. 4;
    my $send = sub { $_->send_request('POST', '/login', as_json({ name => 'ann', password => 'waits' })) for @_ };

    $send->($c[0]);
    ok $n->wait_until(sub { -s "$dir/notes" }), 'a password is hashed';
    is answer('/me', bearer($ann)), '200 ann', '... and others are served';
    ok silent($c[0]), '... meanwhile';

    # one has the thread, two the queue
    $send->(@c[1 .. 3]);
    ok $n->wait_until(sub { !silent(@c) }), 'one too many';

    my ($busy) = grep { !silent($_) } @c;
    my $refused = $busy->response;
    is $refused->status . $refused->header('Retry-After'), '5031', '... is to come again';

    spew("$dir/go", '');
    is $_->response->status, 401, '... and the others are told' for grep { $_ != $busy } @c;
}

# ---- the document

{
    my $d = json($n->get('/openapi.json'));

    is_deeply $d->{components}{securitySchemes}, { session => { type => 'http', scheme => 'bearer' } },
        'the document has the scheme';
    is_deeply [map { $d->{paths}{$_->[1]}{$_->[0]}{security} } [get => '/me'], [post => '/logout'],
        [get => '/admin/users'], [post => '/login']],
        [([{ session => [] }]) x 3, undef], '... where it is needed';
    is_deeply [sort keys %{ $d->{components}{schemas}{user_out}{properties} }], [qw(id name role)],
        '... and of a user what is shown';
    like $n->get('/docs')->header('Content-Type'), qr{^text/html}, 'the page that shows it';
}

# ---- sessions that are over

$pg->sql('UPDATE sessions SET expires = now()');
$n->stop;

$n = served('rate=1r/s' => 'rate=1r/m', 'burst=10' => 'burst=1', '1h  forget_sessions' => '50ms  forget_sessions');
ok $n->wait_until(sub { $pg->sql('SELECT count(*) FROM sessions') == 0 }), 'are forgotten';

is join(' ', map { login('ann', 'x')->status } 1 .. 3), '401 401 429', 'who guesses is slowed down';

$n->stop;

example_runs('auth', sub {
    my $r = NginxAsync::Connection->new(port => $_[0])->request('POST', '/login',
        as_json({ name => 'ann', password => 'wonderland' }));
    is $r->status, 200, '... with its users';
});

done_testing();
