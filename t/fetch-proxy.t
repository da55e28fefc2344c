
# await_fetch() through a proxy of HTTP (RFC 9110, 9.3.6; RFC 9112, 3.2.2).

use strict;
use warnings;

use lib 't/lib';
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use JSON::PP;
use Test::More;
use NginxAsync;
use NginxAsync::Others qw(fetcher ask server mirror answers head_of tls cert refusing pause %CAUSE);

my $cert = cert('localhost');

my $n = fetcher(http => "async_fetch_ssl_trusted_certificate $cert.crt;");

sub through { my ($proxy, $url, %o) = @_; return ask($n, { url => $url, proxy => "http://$proxy", %o }) }

# ---- plain

{
    my $proxy = server(\&mirror);
    my ($port) = $proxy =~ /:(\d+)/;
    my $r = through($proxy, 'http://other.example:8080/a?b');
    is $r->{body}, "GET http://other.example:8080/a?b HTTP/1.1\r\nHost: other.example:8080\r\n"
        . "User-Agent: nginx-async/0.1.0\r\nAccept: */*\r\n\r\n", 'the absolute form';
    is $r->{url}, 'http://other.example:8080/a?b', '... and the URL';
    like through($proxy, 'http://other.example')->{body}, qr{^GET http://other.example/ HTTP}, '... without a path';
    like through($proxy, 'http://[::1]:81/')->{body}, qr{^GET http://\[::1\]:81/ .*\r\nHost: \[::1\]:81\r\n}s,
        '... IPv6';
    like through($proxy, 'http://x.example/', query => ['a', 'b'])->{body}, qr{^GET http://x.example/\?a=b },
        '... a query';
    my $auth = through("us%20er:p\@$proxy", 'http://me:too@x.example/')->{body};
    like $auth, qr{\r\nProxy-Authorization: Basic dXMgZXI6cA==\r\n}, 'credentials for the proxy';
    like $auth, qr{\r\nAuthorization: Basic bWU6dG9v\r\n}, '... and for the other';
    like through($proxy, 'http://x.example/', big => 100_000)->{body}, qr{^POST http://x.example/ .*b{1000}\z}s,
        'a body';
    like through("localhost:$port", 'http://x.example/')->{body}, qr{^GET http://x}, 'a proxy by its name';
    is through($proxy, 'http://y.example/', field => 'X-Count')->{field}, 6,
        'its connection is for all hosts';
    my $path = $n->root . '/proxy';
    server(\&mirror, listen => IO::Socket::UNIX->new(Listen => 5, Local => $path));
    chmod 0777, $path;
    like ask($n, { url => 'http://x.example/', proxy => "http://unix:$path" })->{body},
        qr{^GET http://x.example/ }, 'a proxy on a unix socket';
    is through($proxy, "http://unix:$path:/")->{cause}, $CAUSE{URL}, 'no unix socket through a proxy';
}

{
    my $leads = server(answers("HTTP/1.1 302 X\r\nLocation: http://two.example/x\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
    my $r = through($leads, 'http://one.example/', redirects => 1);
    is_deeply [@$r{qw(body url)}], ['ok', 'http://two.example/x'], 'a redirect goes the same way';
    is through(server(answers("HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n")), 'http://a/')->{status}, 407,
        'a 407 is told';
}

# ---- CONNECT

# answers, then is a pipe to the port
sub tunnel {
    my ($port, $answer, $seen) = @_;

    return sub {
        my ($c) = @_;
        my $head = head_of($c);
        NginxAsync::Env::spew($seen, $head) if $seen;
        print $c $answer;
        my $to = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port") or return;
        my $both = IO::Select->new($c, $to);

        while (1) {
            for my $from ($both->can_read) {
                sysread($from, my $buf, 65536) or return;
                syswrite $from == $c ? $to : $c, $buf;
            }
        }
    };
}

my $tls = server(tls(\&mirror, $cert));
my ($port) = $tls =~ /:(\d+)/;
my $url = "https://localhost:$port/a";
my $seen = NginxAsync::Guard::temp_dir('seen') . '/head';
my $ok = "HTTP/1.1 200 Connected\r\n\r\n";

{
    my $proxy = server(tunnel($port, $ok, $seen));
    my $r = through("u:secret\@$proxy", $url, field => 'x-count');
    like $r->{body}, qr{^GET /a HTTP/1.1\r\nHost: localhost:$port\r\n}, 'https through a proxy';
    unlike $r->{body}, qr/Proxy/, '... of which the other knows nothing';
    is $n->read_file($seen), "CONNECT localhost:$port HTTP/1.1\r\nHost: localhost:$port\r\n"
        . "Proxy-Authorization: Basic dTpzZWNyZXQ=\r\n\r\n", '... is asked for by CONNECT';
    is through("u:secret\@$proxy", $url, field => 'x-count')->{field}, 2, '... once: the tunnel is kept';
    is through("v:secret\@$proxy", $url, field => 'x-count')->{field}, 1, '... not for another user';
    is ask($n, { url => $url, field => 'x-count' })->{field}, 1, '... nor for those without a proxy';
    is through($proxy, "https://other.example:$port/", connect_timeout => 3000)->{error},
        "the certificate of other.example:$port is not one of \"other.example\"",
        '... the certificate is that of the other';
    like through($proxy, $url, big => 1_000_000)->{body}, qr/b{1000}\z/, '... a megabyte';
    through($proxy, "https://[::1]:$port/");
    like $n->read_file($seen), qr{^CONNECT \[::1\]:$port HTTP/1.1\r\nHost: \[::1\]:$port\r\n}, '... IPv6';
    through($proxy, 'https://x.example/');
    like $n->read_file($seen), qr{^CONNECT x.example:443 HTTP/1.1\r\nHost: x.example:443\r\n}, '... the port is told';
}

for (["HTTP/1.1 407 Who are you\r\nContent-Length: 3\r\n\r\nno!", $CAUSE{CONNECT}, 'the proxy answered 407'],
    ["HTTP/1.1 502 Bad\r\n\r\n", $CAUSE{CONNECT}, 'the proxy answered 502'],
    ["HTTP/1.1 302 X\r\nLocation: /\r\n\r\n", $CAUSE{CONNECT}, 'the proxy answered 302'],
    ["${ok}220 hello\r\n", $CAUSE{PROTOCOL}, 'plain text before TLS'])
{
    my ($answer, $cause, $why) = @$_;
    my $r = through(server(tunnel($port, $answer)), $url, redirects => 3);
    is_deeply [@$r{qw(rc cause error)}], [-1, $cause, "connect to localhost:$port: $why"], $why;
}

is through(server(tunnel($port, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 X\r\nContent-Length: 5\r\n\r\n")), $url)
    ->{status}, 200, 'any answer of 2xx, and those of 1xx before it';
is through(server(sub { my ($c) = @_; head_of($c); close $c }), $url)->{cause}, $CAUSE{RESET},
    'a proxy that closes';
is through(server(sub { my ($c) = @_; head_of($c); print $c 'HTTP/1.1 2'; close $c }), $url)->{cause},
    $CAUSE{RESET}, '... in the middle';
is through(server(sub { my ($c) = @_; head_of($c); print $c $ok; close $c }), $url)->{cause}, $CAUSE{TLS},
    '... before TLS';
is through(server(sub { my ($c) = @_; head_of($c); print $c "what?\r\n" }), $url)->{cause}, $CAUSE{PROTOCOL},
    '... that is none';
is through(server(sub { my ($c) = @_; head_of($c); pause(5) }), $url, read_timeout => 200)->{cause},
    $CAUSE{TIMEOUT}, '... that is silent';
is through(server(sub { my ($c) = @_; head_of($c); print $c $ok; pause(5) }), $url, connect_timeout => 200)
    ->{error}, "TLS handshake with localhost:$port: not within 200 ms", '... of which the tunnel is silent';
is through(refusing(), $url)->{cause}, $CAUSE{CONNECT}, '... that is not there';
my $r = through('u:secret@' . refusing(), 'http://me:hidden@x.example/');
unlike $r->{error}, qr/secret|hidden/, 'no secrets are told';

$n->stop;

done_testing;
