
# await_fetch(): what goes wrong, and how it is told; times; who may be reached.

use strict;
use warnings;

use lib 't/lib';
use IO::Socket::IP;
use IO::Socket::UNIX;
use JSON::PP;
use Test::More;
use NginxAsync;
use NginxAsync::Others qw(fetcher ask several server mirror answers head_of request_of
    dns refusing crowded pause rst %CAUSE);

my ($true, $MB) = (JSON::PP::true, 1_000_000);

my $to = server(\&mirror);
my ($port) = $to =~ /:(\d+)/;
my $silent = server(sub { my ($c) = @_; 1 while sysread $c, my $buf, 65536 });
my $refuses = refusing();

my $n = fetcher(server => <<'EOF_CONF');
        location = /causes   { async_handler fetch:causes; }
        location = /short    { async_handler fetch:fetch; async_timeout 300ms; }
        location = /times    { async_handler fetch:fetch; async_fetch_connect_timeout 200ms;
            async_fetch_read_timeout 201ms; async_fetch_send_timeout 202ms; }
EOF_CONF

# what it fails with: code, cause, text
sub fails { return [@{ask(@_)}{qw(rc cause error)}] }

# ---- what is no URL

my $long = 'a' x 256;
for my $url ('', 'x', 'ftp://a/', 'http:/a', 'http:a', '//a/', '/a', 'http', 'http:', 'http://',
    'https:///a', 'http://:80/', 'http://a:0/', 'http://a:65536/', 'http://a:-1/', 'http://a:8a/',
    'http://a:99999999999999999999/', 'http://a b/', 'http://a/ b', ' http://a/', 'http://a/ ',
    "http://a/\n", "http://a/\r\nX: y", "http://a/\x01", "http://a/\x7f", "http://a\t/",
    'http://a\\b/', 'http://a/\\', 'http://a/#\\', 'http://[::1/', 'http://[::1]x/', 'http://[:1]/',
    'http://[]/', 'http://[fe80::1%25eth0]/', 'http://[1.2.3.4]/', "http://\x{fc}/", 'http://a%41/',
    'http://.a/', 'http://a..b/', 'http://./', "http://$long/", 'http://unix:', 'http://unix::/a',
    'http://unix:/x?y', 'http://unix:/x:y', 'http://us%0aer@a/', 'http://a:b%zz@c/', 'http://a%3a@b/',
    'http://a@b:c@d e/', 'httpx://a/', 'http://a"/', 'http://a<b>/', 'http://a,b/')
{
    my $r = ask($n, { url => $url });
    (my $shown = $url) =~ s/([^ -~])/sprintf '\\x%02x', ord $1/ge;
    is_deeply [@$r{qw(rc cause)}], [-1, $CAUSE{URL}], 'no URL: ' . substr $shown, 0, 40;
    like $r->{error}, qr/^the URL is malformed: [ -~]+$/, '... and why';
}
unlike ask($n, { url => "http://user:secret\@a b/$_" })->{error}, qr/secret/, 'no secrets are told'
    for '', ' ';
is_deeply fails($n, { url => "http://$to/", proxy => $_ }), [-1, $CAUSE{URL}, ask($n, { url => $_ })
    ->{error}], "no proxy: $_" for 'x', 'http://', 'http://a b/';
like ask($n, { url => "http://$to/", proxy => "https://$to/" })->{error},
    qr{^a proxy is spoken to by http://}, 'a proxy by https';

# ---- whom nobody knows

is_deeply fails($n, { url => "http://user:secret\@no.such.host/" }), [-1, $CAUSE{NAME}, 'the host '
    . '"no.such.host" is not in /etc/hosts, and there is no directive resolver'],
    'a name, without a resolver';
is ask($n, { url => "http://$_:$port/" })->{status}, 200, "... $_ is in /etc/hosts"
    for 'localhost', 'LocalHost';
like ask($n, { url => "http://LocalHost:$port/" })->{body}, qr/\r\nHost: localhost:$port\r\n/,
    '... in lower case';

my $dns = dns('one.test' => ['127.0.0.1'], 'two.test' => ['127.0.0.2', '127.0.0.1'],
    'inside.test' => ['127.0.0.2'], 'none.test' => [], 'late.test' => 'silent',
    'dead.test' => ['127.0.0.2', '127.0.0.3']);
my $named = fetcher(http => "resolver $dns ipv6=off; resolver_timeout 30s;",
    server => 'location = /soon { resolver_timeout 1s; async_handler fetch:fetch; }');

like ask($named, { url => "http://One.Test:$port/" })->{body}, qr/\r\nHost: one.test:$port\r\n/,
    'a name by the resolver';
is ask($named, { url => "http://two.test:$port/" })->{status}, 200, '... the second address of two';
is_deeply fails($named, { url => "http://dead.test:$port/" }), [-1, $CAUSE{CONNECT},
    "connect to dead.test:$port: Connection refused"], '... of two that refuse';
is_deeply fails($named, { url => 'http://no.test/' }), [-1, $CAUSE{NAME},
    'the host "no.test" could not be resolved: Host not found'], '... that there is not';
is_deeply fails($named, { url => 'http://none.test/' }), [-1, $CAUSE{NAME},
    'the host "none.test" could not be resolved: Host not found'], '... without an address';
is_deeply fails($named, { url => 'http://late.test/' }, '/soon'), [-2, $CAUSE{TIMEOUT},
    'the host "late.test" could not be resolved: Operation timed out'], '... that nobody answers';
is_deeply fails($named, { url => 'http://late.test/', timeout => 200, within => 60_000 }, '/within'),
    [-2, $CAUSE{TIMEOUT}, 'look up late.test: the time of the whole call is over'],
    '... of which the time is a part';
is_deeply [map { $_->{status} } @{several($named, map { { url => "http://two.test:$port/" } } 1 .. 20)}],
    [(200) x 20], '... twenty at once';

# ---- who is not there

is_deeply fails($n, { url => "http://u:secret\@$refuses/" }), [-1, $CAUSE{CONNECT},
    "connect to $refuses: Connection refused"], 'refused';
is_deeply fails($n, { url => "http://$to/", proxy => "http://$refuses" }), [-1, $CAUSE{CONNECT},
    "connect to $to: Connection refused"], '... a proxy';
is_deeply [map { [@$_{qw(rc cause)}] } @{ decode_json($n->get("/causes?url=http://$refuses/")->body) }],
    [[-1, $CAUSE{CONNECT}], [-4, 0], [-1, $CAUSE{CONNECT}]], '... by a child: what is told of it is its own';

is ask($n, { url => 'http://224.0.0.1/' })->{cause}, $CAUSE{CONNECT}, 'unreachable';
is_deeply fails($n, { url => 'http://unix:/no/such:/' }), [-1, $CAUSE{CONNECT},
    'connect to localhost: No such file or directory'], 'a unix socket that is not there';
is ask($n, { url => 'http://unix:/' . 'a' x 200 . ':/' })->{cause}, $CAUSE{URL}, '... of a long path';

# ---- addresses of all kinds

{
    my $path = NginxAsync::Guard::temp_dir('unix') . '/s';
    server(\&mirror, listen => IO::Socket::UNIX->new(Listen => 5, Local => $path));
    chmod 0777, $path;
    my $r = ask($n, { url => "http://unix:$path:/a?b" });
    like $r->{body}, qr{^GET /a\?b HTTP/1.1\r\nHost: localhost\r\n}, 'a unix socket';
    is $r->{url}, "http://unix:$path:/a?b", '... and its URL';
    like ask($n, { url => "http://unix:$path" })->{body}, qr{^GET / }, '... without a path behind it';
    like ask($n, { url => "http://u:p\@unix:$path:/" })->{body}, qr{\r\nAuthorization: Basic dTpw},
        '... with credentials';

    my $inside = $n->root . '/s';
    server(\&mirror, listen => IO::Socket::UNIX->new(Listen => 5, Local => $inside));
    chmod 0777, $inside;
    chmod 0755, $n->root;
    like ask($n, { url => 'http://unix:s:/x' })->{body}, qr{^GET /x }, '... below the prefix';
}

SKIP: {
    my $six = IO::Socket::IP->new(Listen => 5, LocalAddr => '::1') or skip 'no IPv6 here', 2;
    server(\&mirror, listen => $six);
    my $at = '[::1]:' . $six->sockport;
    my $r = ask($n, { url => "http://$at/" });
    like $r->{body}, qr/\r\nHost: \Q$at\E\r\n/, 'IPv6';
    is ask($n, { url => 'http://[0:0::0:1]:' . $six->sockport . '/' })->{status}, 200, '... written at length';
}

# ---- who breaks off

{
    my $half = server(answers("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"));
    is_deeply fails($n, { url => "http://$half/" }), [-4, $CAUSE{RESET},
        "$half has closed the connection, 6 bytes before the end of its response"], 'half a body';
    my $mute = server(sub { my ($c) = @_; head_of($c); close $c });
    is_deeply fails($n, { url => "http://$mute/" }), [-4, $CAUSE{RESET},
        "$mute has closed the connection without a response"], 'no response';
    my $rst = server(sub { my ($c) = @_; head_of($c); rst($c) });
    is_deeply fails($n, { url => "http://$rst/" }), [-4, $CAUSE{RESET},
        "receive from $rst: Connection reset by peer"], 'RST';
    my $other = server(sub { my ($c) = @_; print $c "220 ready\r\n"; head_of($c) });
    is_deeply fails($n, { url => "http://$other/" }), [-1, $CAUSE{PROTOCOL},
        "$other is not understood: the head of its response is malformed"], 'another protocol';
    my $r = ask($n, { url => "http://$half/", stream => $true })->{body};
    is_deeply [@$r{qw(total end cause)}], [4, -4, $CAUSE{RESET}], 'half a body, streamed';
}

# ---- times

{
    my $crowded = crowded();
    is_deeply fails($n, { url => "http://$crowded/", connect_timeout => 200 }), [-2, $CAUSE{TIMEOUT},
        "connect to $crowded: not within 200 ms"], 'the time to connect';
    is_deeply fails($n, { url => "http://$silent/", read_timeout => 200 }), [-2, $CAUSE{TIMEOUT},
        "receive from $silent: not within 200 ms"], 'the time to read';
    my $deaf = server(sub { pause(10) });
    is_deeply fails($n, { url => "http://$deaf/", big => 20 * $MB, send_timeout => 200 }),
        [-2, $CAUSE{TIMEOUT}, "send to $deaf: not within 200 ms"], 'the time to send';
    is_deeply fails($n, { url => "http://$_->[0]/", big => 20 * $MB }, '/times'),
        [-2, $CAUSE{TIMEOUT}, $_->[1]], "... of the location: $_->[1]" for
        [$crowded, "connect to $crowded: not within 200 ms"],
        [$silent, "receive from $silent: not within 201 ms"],
        [$deaf, "send to $deaf: not within 202 ms"];

    my $drip = server(sub {
        my ($c) = @_;
        head_of($c);
        print $c "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n";
        for (1 .. 10) { pause(0.1); print $c 'x' or last }
    });
    my $r = ask($n, { url => "http://$drip/", read_timeout => 700 });
    is $r->{body}, 'x' x 10, 'the time to read is that of each wait';
    my $over = qr/ \Q$drip\E: the time of the whole call is over$/;
    $r = ask($n, { url => "http://$drip/", timeout => 400, within => 60_000 }, '/within');
    is_deeply [@$r{qw(rc cause after)}], [-2, $CAUSE{TIMEOUT}, 0],
        'the whole time: over, and the handler goes on';
    like $r->{error}, $over, '... is told';
    $r = ask($n, { url => "http://$drip/", timeout => 500, stream => $true });
    is $r->{body}{total}, 10, '... of a stream, until the head';
    $r = ask($n, { url => "http://$silent/", timeout => 300, pieces => 10_000, piece => 1,
        pause => 100 });
    is_deeply [@$r{qw(rc cause)}], [-2, $CAUSE{TIMEOUT}], '... with a slow source';
    is_deeply fails($n, { url => "http://$silent/", timeout => 300, pieces => 1, piece => 1,
        pause => 3_600_000 }), [-2, $CAUSE{TIMEOUT},
        "send to $silent: the time of the whole call is over"], '... or one that waits';
    my $hops = server(sub {
        my ($c) = @_;
        while (head_of($c)) {
            pause(0.15);
            print $c "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n";
        }
    });
    $r = ask($n, { url => "http://$hops/", timeout => 500, redirects => 100 });
    is_deeply [@$r{qw(rc cause)}], [-2, $CAUSE{TIMEOUT}], '... with redirects';

    my @silence = (url => "http://$silent/", within => 300);
    $r = ask($n, { @silence }, '/within');
    is_deeply [@$r{qw(rc after)}], [-2, 0], 'the end of a scope, and on after it';
    $r = ask($n, { @silence, timeout => 100 }, '/within');
    is_deeply [@$r{qw(rc cause after)}], [-2, $CAUSE{TIMEOUT}, 0], '... after the end of the call';
    $r = ask($n, { url => "http://$silent/", pieces => 50, piece => 1, pause => 100, within => 300 },
        '/within');
    is_deeply [@$r{qw(rc after)}], [-2, 0], '... in a source';
    is ask($n, { url => "http://$silent/" }, '/short')->{rc}, -2, 'async_timeout';
}

{
    my $seen = NginxAsync::Guard::temp_dir('seen');
    my $watches = server(sub {
        my ($c) = @_;
        my ($how) = head_of($c) =~ m{ /(\w+)};
        print $c "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx" if $how eq 'body';
        NginxAsync::Env::spew("$seen/$how-begun", '');
        my $n = sysread $c, my $buf, 1;
        NginxAsync::Env::spew("$seen/$how-left", '');
    });

    for my $how (qw(head body)) {
        my $json = qq({"url": "http://$watches/$how", "read_timeout": 60000});
        my $c = $n->connect->send_request('POST', '/fetch', body => $json,
            headers => ['Content-Type', 'application/json']);
        ok $n->wait_until(sub { -e "$seen/$how-begun" }, 20), "a client that leaves, in the $how";
        $c->reset;
        ok $n->wait_until(sub { -e "$seen/$how-left" }, 20), '... and the connection ends';
    }
}

# ---- who may be reached

{
    my ($one, $two) = ("127.0.0.1:$port", server(\&mirror, addr => '127.0.0.2'));
    my $path = NginxAsync::Guard::temp_dir('unix') . '/s';
    server(\&mirror, listen => IO::Socket::UNIX->new(Listen => 5, Local => $path));
    chmod 0777, $path;
    my ($two_port) = $two =~ /:(\d+)/;
    my $leads = server(sub {
        my ($c) = @_;
        my ($where) = head_of($c) =~ m{^\S+ /(\S+)};
        print $c "HTTP/1.1 302 Found\r\nLocation: http://$where/\r\nContent-Length: 0\r\n\r\n";
    });
    my $m = fetcher(http => "resolver $dns ipv6=off; upstream up { server $two; }"
        . "upstream both { server $two; server $one; }", server => <<'EOF_CONF');
        location = /one  { async_handler fetch:fetch; async_fetch_allow 127.0.0.1; async_fetch_deny all; }
        location = /safe { async_handler fetch:fetch; async_fetch_deny private; }
EOF_CONF
    my $denied = sub {
        my ($name) = @_;
        return [-1, $CAUSE{DENIED}, "connect to $name: async_fetch_deny forbids it"];
    };

    is ask($m, { url => "http://$one/" }, '/one')->{status}, 200, 'one that may be reached';
    is_deeply fails($m, { url => "http://u:secret\@$two/" }, '/one'), $denied->($two),
        '... one that may not';
    is_deeply fails($m, { url => "http://inside.test:$two_port/" }, '/one'),
        $denied->("inside.test:$two_port"), '... by its name';
    is ask($m, { url => "http://two.test:$port/" }, '/one')->{status}, 200, '... or one of two';
    is_deeply fails($m, { url => "http://$leads/$two", redirects => 3 }, '/one'), $denied->($two),
        '... by a redirect';
    is ask($m, { url => "http://$leads/$one", redirects => 3 }, '/one')->{status}, 200, '... may lead';
    is_deeply fails($m, { url => "http://unix:$path:/" }, '/one'), $denied->('localhost'),
        '... a unix socket';
    is ask($m, { url => "http://unix:$path:/" })->{status}, 200, '... elsewhere it may';
    is_deeply fails($m, { url => 'http://up/' }, '/one'), $denied->('up'), '... of an upstream';
    is ask($m, { url => 'http://both/' }, '/one')->{status}, 200, '... another one of it';
    is ask($m, { url => 'http://up/' })->{status}, 200, '... elsewhere';
    is_deeply fails($m, { url => "http://$one/", proxy => "http://$two" }, '/one'), $denied->($one),
        '... a proxy';
    is ask($m, { url => 'http://x.example/', proxy => "http://$one" }, '/one')->{status}, 200,
        '... a proxy that may be';

    for my $at ($one, "localhost:$port", "0.0.0.0:$port", "[::ffff:127.0.0.1]:$port", "[::1]:$port",
        "[::]:$port", "[::7f00:1]:$port", "[64:ff9b::7f00:1]:$port", "one.test:$port",
        '169.254.169.254', '10.0.0.1', '192.168.1.1', '172.16.0.1', '[fe80::1]', '[fd00::1]')
    {
        is_deeply fails($m, { url => "http://$at/" }, '/safe'), $denied->($at), "private: $at";
    }
    is ask($m, { url => "http://$_:$port/", connect_timeout => 500 }, '/safe')->{status} // 0, 0,
        "private, oddly: $_" for '127.1', '2130706433', '0x7f.1', '017700000001', '127.0.0.1.';

    is ask($m, { url => "http://$one/" })->{body} =~ s/.*//sr, '', 'one that is kept';
    is_deeply fails($m, { url => "http://$one/" }, '/safe'), $denied->($one),
        '... is not for those who may not';
    $m->stop;
}

$named->stop;
$n->stop;

done_testing;
