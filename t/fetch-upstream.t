
# await_fetch() of an upstream {}: nginx chooses the server, counts its faults,
# and keeps its connections.

use strict;
use warnings;

use lib 't/lib';
use JSON::PP;
use MIME::Base64 ();
use Test::More;
use NginxAsync;
use NginxAsync::Others qw(fetcher ask several server mirror answers head_of tls cert refusing
    crowded pause rst %CAUSE);

my $true = JSON::PP::true;

my $cert = cert('secure');
my $says = 'location / { return 200 "$server_port $connection $connection_requests $http_host"; }';
my $o = NginxAsync->new(conf => { http => join '', "ssl_certificate $cert.crt; "
    . "ssl_certificate_key $cert.key;\n", map { 'server { listen 127.0.0.1:$TEST_NGINX_RAND_PORT_'
    . "$_; $says }\n" } 1 .. 3, '4 ssl', '5 ssl' })->start;
my ($a, $b, $c, $s, $t) = map { '127.0.0.1:' . $o->port($_) } 1 .. 5;
my %letter = ($a => 'a', $b => 'b', $c => 'c', $s => 's', $t => 't');

my $closes = server(sub { my ($c) = @_; head_of($c); close $c });
my $plain = server(answers("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
my $resets = server(sub { my ($c) = @_; head_of($c);
    print $c "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"; head_of($c); rst($c) });
my $crowded = crowded();
my ($dead, $dead2) = (refusing(), refusing());

my %up = (
    turns => "server $a; server $b; server $c;",
    weights => "server $a weight=3; server $b;",
    first_dead => "server $dead; server $a;",
    faults => "server $closes max_fails=1 fail_timeout=60s; server $a;",
    never => "server $closes max_fails=0; server $a;",
    backup => "server $dead; server $b backup;",
    spare => "server $a; server $b backup;",
    down => "server $a down; server $b;",
    all_dead => "server $dead; server $dead2;",
    one_dead => "server $dead;",
    slow => "server $crowded; server $a;",
    least => "least_conn; server $a; server $b;",
    hashed => "hash \$arg_x consistent; server $a; server $b; server $c;",
    held => "hash \$which consistent; server $a; server $b; server $c;",
    user => "hash \$uid_got consistent; server $a; server $b; server $c;",
    address => "ip_hash; server $a; server $b; server $c;",
    lots => "random two least_conn; server $a; server $b; server $c;",
    zone => "zone z 64k; server $a; server $b;",
    kept => "server $a; keepalive 4;",
    many => "server $a; server $b; server $c; keepalive 4;",
    twice => "server $a; keepalive 4; keepalive_requests 2;",
    secure => "server $s; server $t;",
    mixed => "server $s; keepalive 4;",
    half => "server $plain; server $s;",
    resets => "server $resets max_fails=0; keepalive 4;",
    unix => 'server unix:$TEST_NGINX_SERVER_ROOT/up;',
);

my $http = join '', "async_fetch_ssl_trusted_certificate $cert.crt;\n",
    map { "upstream $_ { $up{$_} }\n" } sort keys %up;
my $server = <<'EOF_CONF' . join '', map { "location = /by/$_ { proxy_pass http://$_/; }\n" } qw(kept many mixed resets);
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    # nginx does not free the session that it has for a server
    location = /by/tls { proxy_pass https://mixed/; proxy_ssl_session_reuse off; }
    location = /held { set $which $arg_x; async_handler fetch:fetch; }
    location = /user { userid on; userid_name who; async_handler fetch:fetch; }
    location = /free { async_handler fetch:fetch; async_fetch_ssl_verify off; }
    location = /short { async_handler fetch:fetch; async_timeout 300ms; }
EOF_CONF

my $n = fetcher(http => $http, server => $server);

sub letter_of { my ($r) = @_; return $letter{'127.0.0.1:' . (split ' ', $r->{body} // '0')[0]} // $r->{cause} }
sub of { my ($up, %o) = @_; my $path = delete $o{path};
    return ask($o{by} // $n, { url => "http://$up/", %o{grep { $_ ne 'by' } keys %o} }, $path) }
sub who { return letter_of(of(@_)) }
sub whom { my ($times, @of) = @_; return join '', map { who(@of) } 1 .. $times }
sub sorted { return join '', sort split //, $_[0] }

# ---- who is asked

is sorted(whom(9, 'turns')), 'aaabbbccc', 'by turns';
is sorted(whom(8, 'weights')), 'aaaaaabb', '... as they weigh';
like of('turns')->{body}, qr/ turns$/, 'the name of the block is in Host';
like of('TURNS', headers => ['Host', 'me'])->{body}, qr/ me$/, '... unless there is another';
is whom(4, 'spare'), 'aaaa', 'one that is a backup is not asked';
is whom(4, 'backup'), 'bbbb', '... unless the others are dead';
is whom(4, 'down'), 'bbbb', 'one that is down is not, either';
is sorted(whom(8, 'least')), 'aaaabbbb', 'least_conn';
is sorted(whom(8, 'zone')), 'aaaabbbb', 'a zone';
like whom(8, 'lots'), qr/^[abc]{8}$/, 'random';
like whom(5, 'address'), qr/^(.)\1{4}$/, 'ip_hash';

{
    my %seen;
    for my $x (1 .. 12) {
        my ($h) = map { whom(3, 'hashed', path => "/fetch?x=$x") } 1;
        like $h, qr/^(.)\1\1$/, "hash of an argument of the task's request: $x";
        $seen{substr $h, 0, 1} = 1;
    }
    cmp_ok scalar(keys %seen), '>', 1, '... not always the same';
}

like join(',', map { whom(3, 'held', path => "/held?x=$_") } 1 .. 9), qr/^(?:(.)\g{-1}\g{-1},?){9}$/,
    '... of a variable that its location has set';

{
    # nginx looks at the context again when it answers
    my @uid = (Cookie => 'who=' . MIME::Base64::encode_base64(pack('N4', 1 .. 4), ''));
    my @r = map { $n->post('/user', encode_json({ url => 'http://user/' }),
        headers => ['Content-Type', 'application/json', @uid]) } 1 .. 3;
    is_deeply [map { $_->header('Set-Cookie') } @r], [(undef) x 3], '... of one with a context of its request';
}

{
    my $path = $n->root . '/up';
    server(answers("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        listen => IO::Socket::UNIX->new(Listen => 5, Local => $path));
    chmod 0777, $path;
    is of('unix')->{body}, 'ok', 'a server on a unix socket';
}

is_deeply [@{of('turns:80')}{qw(rc cause error)}], [-1, $CAUSE{URL},
    'the upstream "turns" may not have a port'], 'no port';
is of('turns', method => 'POST', big => 100_000)->{status}, 200, 'a body';
is length(whom(20, 'many')), 20, 'many, one after another';
is_deeply [sort map { letter_of($_) } @{several($n, map { { url => 'http://turns/' } } 1 .. 30)}],
    [sort split //, 'abc' x 10], '... at once';

# ---- what is a fault

is whom(5, 'first_dead'), 'aaaaa', 'one that refuses: the next';
is of('first_dead', method => 'POST', body => 'x')->{status}, 200, '... POST, too';
is sorted(whom(6, 'faults')), '7aaaaa', 'one that breaks off: told, and not asked any more';
like sorted(whom(6, 'never')), qr/^777aaa$/, '... with max_fails=0: asked as ever';

{
    my $r = of('all_dead');
    is_deeply [@$r{qw(rc cause)}], [-1, $CAUSE{CONNECT}], 'all are dead';
    is $r->{error}, 'connect to all_dead: Connection refused', '... and why';
    is of('all_dead')->{error}, 'connect to all_dead: no server of it is alive', '... and it is known';
    is of('one_dead')->{error}, 'connect to one_dead: Connection refused', 'one that is alone';
    is of('one_dead')->{error}, 'connect to one_dead: Connection refused', '... is asked again';
}

{
    # the time is over while the first is asked, which says nothing of the second
    my $r = of('slow', timeout => 300);
    $r = of('slow', timeout => 300) if ($r->{status} // 0) == 200;
    is_deeply [@$r{qw(rc cause)}], [-2, $CAUSE{TIMEOUT}], 'the whole time, in the middle of a connect';
    is whom(3, 'slow', connect_timeout => 300), 'aaa', '... is no fault of those that were not asked';
}

{
    # a handler whose time is over, or whose client leaves, is no fault, either
    my $silent = server(sub { my ($c) = @_; my $head = head_of($c); pause(2) if $head =~ m{ /wait };
        print $c "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok" });
    my $m = fetcher(http => "upstream one { server $silent max_fails=1 fail_timeout=60s; server $a backup; }",
        server => $server =~ s/^.*by.*$//mgr);
    is ask($m, { url => 'http://one/wait', path => '' }, '/short')->{rc}, -2, 'async_timeout';
    is ask($m, { url => 'http://one/wait', within => 200 }, '/within')->{after}, 0, '... a scope';
    my $client = $m->connect->send_request('POST', '/fetch', body => '{"url": "http://one/wait"}',
        headers => ['Content-Type', 'application/json']);
    pause(0.2);
    $client->reset;
    is ask($m, { url => 'http://one/', pieces => 1, piece => 1, fails => $true })->{error}, 'the source fails',
        '... a source that fails';
    is ask($m, { url => 'http://one/x' })->{body}, 'ok', '... are no fault of the server';
    is ask($m, { url => 'http://one/wait', read_timeout => 200 })->{cause}, $CAUSE{TIMEOUT},
        '... but that it does not answer is';
    is letter_of(ask($m, { url => 'http://one/x' })), 'a', '... so another one is asked';
    $m->stop;
}

# ---- connections

sub conn { my ($r) = @_; return [(split ' ', ref $r eq 'HASH' ? $r->{body} // $r->{error} : $r->body)[1, 2]] }

{
    my ($first) = @{conn(of('kept'))};
    is_deeply conn(of('kept')), [$first, 2], 'keepalive of the block';
    is_deeply conn($n->get('/by/kept')), [$first, 3], '... is shared with proxy_pass';
    is_deeply conn(of('kept', method => 'POST', body => 'x')), [$first, 4], '... there and back';
    is_deeply conn(of('kept', stream => $true)->{body}{head} ? { body => of('kept')->{body} } : {}),
        [$first, 6], '... also what was streamed';
    isnt conn(ask($n, { url => "http://$a/" }))->[0], $first, '... not with those that we keep';
    isnt conn(of('turns'))->[0], conn(of('turns'))->[0], 'without keepalive none is kept';
}

{
    my %seen;
    $seen{conn(of('twice'))->[0]}++ for 1 .. 6;
    is_deeply [sort values %seen], [2, 2, 2], 'keepalive_requests';
}

{
    is of('resets')->{body}, 'ok', 'one that is kept, and reset';
    my $since = $n->mark;
    is $n->get('/by/resets')->body, 'ok', '... while proxy_pass uses it';
    like_log $n, $since, qr/\[error\].*recv\(\) failed \(104/, '... is told as an error, as ever';
}

is_deeply [map { conn($n->get('/by/many'))->[1] > 0 ? who('many') =~ /[abc]/ : 0 } 1 .. 20], [(1) x 20],
    'many of both, by turns';

{
    my $since = $n->mark;
    is_deeply [map { $_->{status} } @{several($n, map { { url => 'http://kept/' } } 1 .. 30)}], [(200) x 30],
        'more at once than are kept';
    is of('kept', url => 'http://kept/')->{status}, 200, '... and on';
}

# ---- TLS

sub secure { my ($up, %o) = @_; return ask($n, { url => "https://$up/", %o }) }

is sorted(join '', map { letter_of(secure('secure')) } 1 .. 4), 'sstt', 'https, by turns';
like secure('secure')->{body}, qr/ secure$/, '... with the name of the block';
my %conns = map { conn(secure('secure'))->[0] => 1 } 1 .. 10;
is scalar(keys %conns), 2, '... one connection to each is kept';
is secure('mixed')->{error}, 'the certificate of mixed is not one of "mixed"', '... verified';
is letter_of(secure('mixed', tls_name => 'secure')), 's', '... by the name that is given';
is letter_of(secure('half', tls_name => 'secure')), 's', 'one that has no TLS: the next' for 1 .. 3;

{
    # what nginx has kept has not been verified, and what is plain is not TLS
    my @order = map { int rand 5 } 1 .. 60;
    my @ways = (
        sub { return $n->get('/by/tls')->status . ' ' . ($n->get('/by/tls')->body =~ / mixed$/) },
        sub { my $r = secure('mixed', tls_name => 'secure'); return "$r->{status} " . ($r->{body} =~ / mixed$/) },
        sub { my $r = secure('mixed'); return "- " . ($r->{cause} == $CAUSE{TLS}) },
        sub { my $r = of('mixed'); return "$r->{status} " . ($r->{body} =~ /plain HTTP request/) },
        sub { my $r = ask($n, { url => 'https://mixed/' }, '/free'); return "$r->{status} " . ($r->{body} =~ / mixed$/) },
    );
    my @is = ('200 1', '200 1', '- 1', '400 1', '200 1');
    is_deeply [map { $ways[$_]->() } @order], [@is[@order]], "proxy_pass and fetches, by TLS or not: @order";
    my %of = map { my $w = $_; $w => { map { ($w == 0 ? conn($n->get('/by/tls'))
        : conn($w == 1 ? secure('mixed', tls_name => 'secure') : ask($n, { url => 'https://mixed/' }, '/free')))
        ->[0] => 1 } 1 .. 3 } } 0, 1, 4;
    is scalar(map { keys %$_ } values %of), scalar(keys %{{ map { %$_ } values %of }}),
        '... share no connection';
}

# ---- several workers, and what is left

{
    my $m = fetcher(workers => 2, http => $http =~ s/\$TEST_NGINX_SERVER_ROOT/\/tmp/r, server => $server);
    my @r = map { map { letter_of($_) } @{several($m, map { { url => 'http://zone/' } } 1 .. 10)} } 1 .. 4;
    is sorted(join '', @r), 'a' x 20 . 'b' x 20, 'a zone of two workers';
    several($m, map { { url => 'http://kept/' } } 1 .. 5) for 1 .. 4;
    is $m->reload, undef, 'a reload with what is kept';
    is who('kept', by => $m), 'a', '... and on';
    ok $m->stop, '... and nothing is left';
}

my $memory;
for my $turn (0, 1) {
    several($n, map { ({ url => 'http://many/' }, { url => 'http://turns/' }, { url => 'https://secure/' },
        { url => 'http://first_dead/' }) } 1 .. 10) for 1 .. ($turn ? 50 : 10);
    my $now = $n->memory_of_worker;
    cmp_ok $now - $memory, '<', 3_000_000, 'two thousand fetches: memory is flat' if $turn && !$ENV{TEST_NGINX_ASAN};
    $memory = $now;
}

$n->stop;
$o->stop;

done_testing;
