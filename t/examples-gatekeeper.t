#!/usr/bin/perl

# examples/gatekeeper, under its own nginx.conf, on a PostgreSQL of its own; and
# what its README shows.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use NginxAsync;
use NginxAsync::Example;
use NginxAsync::Pg;
use NginxAsync::Say qw(json silent);

NginxAsync::Pg::or_skip_all();

my $pg  = NginxAsync::Pg->new(databases => ['notes']);
my $out = $pg->client_sql($pg->conninfo, example_text('gatekeeper/tokens.sql'));
is $?, 0, 'tokens.sql' or diag $out;

my $n = NginxAsync->new(conf => example_conf('gatekeeper', example_app('gatekeeper'),
    '"dbname=notes"' => '"' . $pg->conninfo . '"',
    'server     unix:service.sock;' => 'server     unix:$TEST_NGINX_SERVER_ROOT/service.sock;',
    'listen  unix:service.sock;' => 'listen  unix:$TEST_NGINX_SERVER_ROOT/service.sock;'))->start;

sub bearer { return (headers => ['Authorization', "Bearer $_[0]", @_[1 .. $#_]]) }

# "STATUS DETAIL", or "STATUS USER"
sub answer {
    my ($uri, @o) = @_;

    my $r = $n->get($uri, @o);
    my $b = length $r->body ? json($r) : {};
    return $r->status . ' ' . ($b->{detail} // $b->{user} // '');
}

readme_holds('gatekeeper', $n);

is answer('/', bearer('token-of-joe')), '200 joe', 'a token';
is answer('/', headers => ['authorization', 'bEARER   token-of-joe']), '200 joe', '... the scheme in any case';
is answer('/', headers => ['Authorization', 'Basic token-of-joe']), '401 Not authenticated', '... another scheme';
is answer('/', bearer("'OR/**/true--")), '401 Invalid token', '... SQL';
is answer('/', bearer('token-of-joe', 'X-User', 'ann', 'x-user', 'eve', 'X-Role', 'admin')), '200 joe',
    'what the client says of itself is replaced';
is answer('/admin/', bearer('token-of-joe', 'X-Role', 'admin')), '403 this is for administrators',
    '... and is not believed';
is answer('/admin/', headers => ['X-Role', 'admin']), '401 Not authenticated', '... nor without a token';

my $large = 'x' x 300_000;
is json($n->post('/up', $large, bearer('token-of-joe')))->{bytes}, 300_000, 'a large body';

{
    my $lock = $pg->session('BEGIN', 'LOCK TABLE tokens');
    my $c = $n->connect->send_request('GET', '/waits', bearer('token-of-joe'));

    ok $n->wait_until(sub { grep { ($_->{wait} // '') eq 'relation' } $pg->backends(application_name => 'nginx-async') }),
        'a look-up waits';
    is $n->get('/health')->status, 204, '... and others are served';
    ok silent($c), '... but not who waits';
    $lock->close;
    is json($c->response)->{user}, 'joe', '... until it is known';

    $lock = $pg->session('BEGIN', 'LOCK TABLE tokens');
    $c = $n->connect->send_request('GET', '/goes', bearer('token-of-joe'));
    $n->wait_until(sub { grep { ($_->{wait} // '') eq 'relation' } $pg->backends(application_name => 'nginx-async') });
    $c->close;
    ok $n->wait_until(sub { !grep { $_->{state} ne 'idle' } $pg->backends(application_name => 'nginx-async') }),
        'a look-up of a client that goes is cancelled';
    $lock->close;
}

$pg->stop;
my $r = $n->get('/', bearer('token-of-joe'));
is $r->status . $r->header('Retry-After'), '5031', 'the database is away';
$pg->start;
ok $n->wait_until(sub { answer('/', bearer('token-of-joe')) eq '200 joe' }), '... and is back';

$n->stop;

example_runs('gatekeeper', sub {
    my $r = NginxAsync::Connection->new(port => $_[0])->request('GET', '/', bearer('token-of-ann'));
    is json($r)->{user}, 'ann', '... with its tokens';
});

done_testing();
