
# await_fetch() by https: whom to trust, what the server sees, what is kept.

use strict;
use warnings;

use lib 't/lib';
use JSON::PP;
use Test::More;
use NginxAsync;
use NginxAsync::Others qw(fetcher ask several server mirror head_of tls cert dns pause %CAUSE);

my $true = JSON::PP::true;

my $ca = cert('authority', signs => 1);
my $name = cert('www.example', ca => $ca);
my $wild = cert('*.wild.example', ca => $ca);
my $ip = cert('IP:127.0.0.1', ca => $ca);
my $old = cert('old.example', ca => $ca, ends => -99);
my $self = cert('self.example');
my $client = cert('client', ca => $ca);

my $says = 'return 200 "$ssl_server_name $ssl_protocol $connection $connection_requests '
    . '$ssl_client_verify $host";';
my $o = NginxAsync->new(conf => { http => <<"EOF_CONF" })->start;
    ssl_protocols TLSv1.2 TLSv1.3;
    server { listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_1 ssl; ssl_certificate $name.crt;
        ssl_certificate_key $name.key; location / { $says }
        location /big { root \$TEST_NGINX_SERVER_ROOT; } client_max_body_size 50m;
        location /put/ { dav_methods PUT; create_full_put_path on; root \$TEST_NGINX_SERVER_ROOT; } }
    server { listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_2 ssl; ssl_certificate $name.crt;
        ssl_certificate_key $name.key; ssl_verify_client on; ssl_client_certificate $ca.crt;
        location / { $says } }
    server { listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_3 ssl; ssl_certificate $name.crt;
        ssl_certificate_key $name.key; ssl_protocols TLSv1.2; location / { $says } }
    server { listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_4 ssl; ssl_certificate $name.crt;
        ssl_certificate_key $name.key; ssl_protocols TLSv1.3; location / { $says } }
EOF_CONF
my ($any, $mutual, $only2, $only3) = map { $o->port($_) } 1 .. 4;
chmod 0777, $o->root;
$o->write_file('big', 'x' x 10_000_000);

my $dns = dns(map { $_ => ['127.0.0.1'] } qw(www.example a.wild.example b.a.wild.example wild.example
    old.example self.example other.example));

my $n = fetcher(http => "resolver $dns ipv6=off; async_fetch_ssl_trusted_certificate $ca.crt;",
    server => join '', map { "location = /$_->[0] { async_handler fetch:fetch; $_->[1] }\n" }
    ['free', 'async_fetch_ssl_verify off;'], ['system', 'async_fetch_ssl_trusted_certificate "";'],
    ['own', "async_fetch_ssl_trusted_certificate $self.crt;"],
    ['client', "async_fetch_ssl_certificate $client.crt; async_fetch_ssl_certificate_key $client.key;"],
    ['two', 'async_fetch_ssl_protocols TLSv1.2;'], ['three', 'async_fetch_ssl_protocols TLSv1.3;'],
    ['ciphers', 'async_fetch_ssl_protocols TLSv1.2; async_fetch_ssl_ciphers AES128-SHA;']);

# what the server has seen, or what is wrong
sub get {
    my ($url, %o) = @_;
    my $path = delete $o{path};
    my $r = ask($n, { url => $url, %o }, $path);
    return $r->{body} // "$r->{cause} $r->{error}";
}

sub said { my ($s) = @_; return [(split ' ', $s)[0, 1]] }

my $www = "https://www.example:$any/";

# ---- names

like get($www), qr/^www.example TLSv1.3 \d+ 1 NONE www.example$/, 'https, and the name by SNI';
like get("https://WWW.Example:$any/"), qr/^www.example TLSv1.3 \d+ 2 /, '... in any case';
is get("https://other.example:$any/"),
    "$CAUSE{TLS} the certificate of other.example:$any is not one of \"other.example\"", 'another name';
is get("https://127.0.0.1:$any/"),
    "$CAUSE{TLS} the certificate of 127.0.0.1:$any is not one of \"127.0.0.1\"", 'an address instead of a name';
like get("https://127.0.0.1:$any/", tls_name => 'www.example'), qr/^www.example TLSv1.3 \d+ 1 NONE 127.0.0.1/,
    'tls_name: for the certificate and SNI, not the field Host';
like get("https://127.0.0.1:$any/", path => '/free'), qr/^ ?TLSv1.3 /, 'no address by SNI';
is get($www, tls_name => 'x.example'),
    "$CAUSE{TLS} the certificate of www.example:$any is not one of \"x.example\"", '... another one';

{
    my $to = server(tls(\&mirror, $wild));
    my ($port) = $to =~ /:(\d+)/;
    like get("https://a.wild.example:$port/"), qr/^GET /, 'a certificate for all below';
    like get("https://$_:$port/"), qr/is not one of "\Q$_\E"$/, "... not $_"
        for 'wild.example', 'b.a.wild.example';
    $to = server(tls(\&mirror, $ip));
    like get("https://$to/"), qr/^GET /, 'a certificate for an address';
    my ($p) = $to =~ /:(\d+)/;
    like get("https://www.example:$p/"), qr/is not one of "www.example"$/, '... is not for names that have it';
    like get("https://$to/", tls_name => '127.0.0.2'), qr/is not one of "127.0.0.2"$/, '... nor for others';
}

{
    my ($to) = server(tls(\&mirror, $wild)) =~ /:(\d+)/;
    my $from = server(tls(sub { my ($c) = @_; head_of($c);
        print $c "HTTP/1.1 302 X\r\nLocation: https://a.wild.example:$to/x\r\nContent-Length: 0\r\n\r\n" }, $name));
    like get("https://$from/", tls_name => 'www.example', redirects => 1), qr{^GET /x },
        'tls_name is not for the host that a redirect leads to';
}

# ---- trust

{
    my $at = sub { return "https://$_[0].example:" . (server(tls(\&mirror, $_[1])) =~ s/.*://r) . '/' };
    my $expired = $at->(old => $old);
    like get($expired), qr/^$CAUSE{TLS} the certificate of \S+: certificate has expired$/, 'expired';
    like get($expired, path => '/free'), qr/^GET /, '... async_fetch_ssl_verify off';
    my $unknown = $at->(self => $self);
    like get($unknown), qr/^$CAUSE{TLS} the certificate of \S+: self.signed certificate$/, 'self-signed';
    like get($unknown, path => '/own'), qr/^GET /, '... and trusted';
    like get($www, path => '/own'), qr/^$CAUSE{TLS} the certificate of \S+: unable to \w+/, '... and no other';
    like get("https://other.example:$any/", path => '/free'), qr/^other.example TLS/, '... the name, too';
    like get($www, path => '/system'), qr/^$CAUSE{TLS} the certificate of \S+: unable to get local issuer/,
        'an authority that the system does not know';
}

# ---- the client's certificate

like get("https://www.example:$mutual/", path => '/client'), qr/ SUCCESS www.example$/, 'a certificate of ours';
like get("https://www.example:$mutual/"), qr/No required SSL certificate/, '... that others do not show';
like get("https://www.example:$mutual/", path => '/client'), qr/ 2 SUCCESS /, '... is kept';

# ---- protocols

is_deeply said(get("https://www.example:$only2/")), ['www.example', 'TLSv1.2'], 'TLS 1.2';
is_deeply said(get("https://www.example:$only3/")), ['www.example', 'TLSv1.3'], 'TLS 1.3';
is_deeply said(get($www, path => '/two')), ['www.example', 'TLSv1.2'], 'async_fetch_ssl_protocols';
is_deeply said(get($www, path => '/three')), ['www.example', 'TLSv1.3'], '... TLSv1.3';
is get("https://www.example:$only3/", path => '/two'), "$CAUSE{TLS} TLS handshake with "
    . "www.example:$only3: tlsv1 alert protocol version", '... which the other has not';
is_deeply said(get($www, path => '/ciphers')), ['www.example', 'TLSv1.2'], 'async_fetch_ssl_ciphers';

# ---- who does not speak it

{
    my $plain = server(\&mirror);
    my $r = ask($n, { url => "https://$plain/", connect_timeout => 300 });
    ok $r->{rc} < 0 && ($r->{cause} == $CAUSE{TLS} || $r->{cause} == $CAUSE{TIMEOUT}), 'a server without TLS';
    my $early = server(sub { my ($c) = @_; print $c "220 hello\r\n"; head_of($c) });
    is get("https://$early/"), "$CAUSE{TLS} TLS handshake with $early: wrong version number",
        '... that speaks first';
    my $shut = server(sub { my ($c) = @_; sysread $c, my $buf, 10; close $c });
    like get("https://$shut/"), qr/^$CAUSE{TLS} TLS handshake with \Q$shut\E: (?:Connection reset by peer|it has closed the connection)$/,
        '... that closes';
    my $silent = server(sub { pause(10) });
    is get("https://$silent/", connect_timeout => 200),
        "$CAUSE{TIMEOUT} TLS handshake with $silent: not within 200 ms", '... that is silent';
    is get("https://$silent/", timeout => 200),
        "$CAUSE{TIMEOUT} TLS handshake with $silent: the time of the whole call is over", '... as a whole';
    $r = ask($n, { url => "https://$silent/", within => 200 }, '/within');
    is_deeply [@$r{qw(rc after)}], [-2, 0], '... in a scope';
    like get("http://127.0.0.1:$any/"), qr/plain HTTP request was sent to HTTPS port/, 'one that speaks TLS only';
}

# ---- bodies, and ends

is ask($n, { url => "${www}big", brief => $true, max => 20_000_000 })->{length}, 10_000_000, 'ten million bytes down';
is ask($n, { url => "${www}big", stream => $true })->{body}{total}, 10_000_000, '... streamed';
is ask($n, { url => "${www}big", stream => $true, size => 1, stop => 20_000 })->{body}{total}, 20_000,
    '... byte by byte, and closed';
is ask($n, { url => "${www}put/a", method => 'PUT', big => 10_000_000 })->{status}, 201, '... and up';
is -s $o->root . '/put/a', 10_000_000, '... whole';
{
    my $deaf = server(tls(sub { pause(10) }, $name));
    my ($port) = $deaf =~ /:(\d+)/;
    is get("https://www.example:$port/", big => 20_000_000, send_timeout => 200), "$CAUSE{TIMEOUT} send to "
        . "www.example:$port: not within 200 ms", 'one that does not read';
    my $half = server(tls(sub { my ($c) = @_; head_of($c);
        print $c "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"; $c->close }, $name));
    ($port) = $half =~ /:(\d+)/;
    like get("https://www.example:$port/"), qr/^$CAUSE{RESET} .* 6 bytes before the end/, 'half a body';
    my $end = server(tls(sub { my ($c) = @_; head_of($c); print $c "HTTP/1.1 200 OK\r\n\r\nto the end";
        $c->close }, $name));
    ($port) = $end =~ /:(\d+)/;
    is get("https://www.example:$port/"), 'to the end', 'a body to the end';
}

# ---- kept, and not for others

{
    my $conn = sub { return (split ' ', get($www, @_))[2] };
    my $c = $conn->();
    is $conn->(), $c, 'TLS that is kept';
    my %by = map { $_ => $conn->(path => $_) } '/free', '/client', '/two', '/three';
    is scalar(keys %{{ map { $_ => 1 } $c, values %by }}), 5, '... not for those of another policy';
    is $conn->(path => $_), $by{$_}, "... each has its own: $_" for sort keys %by;
    is $conn->(), $c, '... the first one, too';
    isnt $conn->(tls_name => 'www.example', path => '/free'), $by{'/free'}, '... nor with tls_name';
    is_deeply [map { s/.* (NONE.*)/$1/r } map { $_->{body} } @{several($n, map { { url => $www } } 1 .. 20)}],
        [('NONE www.example') x 20], 'twenty at once';
}

$n->stop;
$o->stop;

done_testing;
