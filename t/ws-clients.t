#!/usr/bin/perl

# WebSocket clients that others have written: Python's websockets, npm's ws, a
# browser, curl for the handshake.  Each says the same (t/clients/), plain, with
# compression, over TLS and behind a proxy, and is told of a reload.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw(sha512_base64);
use JSON::PP;
use POSIX ();
use Test::More;

use NginxAsync;
use NginxAsync::Browser;
use NginxAsync::Env;
use NginxAsync::Guard;

my $routes = <<'EOF_ROUTES';
            async_route WS .../echo ws-clients:echo;
            async_route WS .../parts ws-clients:parts;
            async_route WS .../closes ws-clients:closes;
            async_route WS .../returns ws-clients:returns;
            async_route WS .../fails ws-clients:fails;
            async_route WS .../refuses ws-clients:refuses;
EOF_ROUTES

# The same three times.
sub location {
    my ($name, $settings) = @_;

    my $all = $routes =~ s/\.\.\./$name/gr;

    return "location $name/ { $settings\n$all }
        location = $name/pinged {
            $settings async_websocket_ping 20ms timeout=30s;
            async_route WS $name/pinged ws-clients:echo;
        }
        location = $name/short {
            $settings async_websocket_max_message 1000;
            async_route WS $name/short ws-clients:echo;
        }\n";
}

my $locations = location('/plain', '') . location('/deflate', 'async_websocket_deflate on;')
    . location('/takeover', 'async_websocket_deflate on takeover;');

my $n = NginxAsync->new(
    files => { 'page.html' => '<!DOCTYPE html><title>x</title><link rel="icon" href="data:,"><p id="out"></p><script>'
        . NginxAsync::Env::slurp("$FindBin::Bin/clients/ws.js") . '</script>' },
    conf => { http => <<"EOF_CONF", server => $locations . <<'EOF_SERVER' })->start;
    async_app \$TEST_NGINX_APPS/ws-clients.so;
    server {
        listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_1 ssl;
        ssl_certificate \$TEST_NGINX_SERVER_ROOT/tls.crt;
        ssl_certificate_key \$TEST_NGINX_SERVER_ROOT/tls.key;
        $locations
    }
EOF_CONF
    location / { root html; }
    location = /curl {
        async_websocket_close_timeout 100ms;
        async_route WS /curl ws-clients:returns;
    }
EOF_SERVER

my $base = '127.0.0.1:' . $n->port(0);

my $proxy = NginxAsync->new(conf => { server => <<"EOF_CONF" })->start;
    location / {
        proxy_pass          http://$base;
        proxy_http_version  1.1;
        proxy_set_header    Host \$http_host;
        proxy_set_header    Upgrade \$http_upgrade;
        proxy_set_header    Connection \$http_connection;
    }
EOF_CONF

my $true = JSON::PP::true;

# each length twice: what can be compressed, and what cannot
my $lengths = [map { ($_, $_) } 0, 1, 125, 126, 127, 65535, 65536, 1 << 20];

# of the interface of browsers
my %browsers = (
    protocol => 'v2.test', none => '', text => 'hello', unicode => $true, binary => $lengths, long => $true,
    many => 1000, parts => $true, last => 'the last one',
    close => [4000, '', $true], empty => [1005, '', $true], closes => [4001, "adi\x{f3}s", $true],
    returns => [1000, '', $true], fails => [1011, '', $true], short => [1009, '', $true], refuses => [1006, '', JSON::PP::false],
);

# What these have that stays open until the reload.
my @staying;

# Runs a client; what it gets.
sub client {
    my ($name, @command) = @_;

    my $pid = open(my $pipe, '-|') // die "fork: $!";

    if ($pid == 0) {
        delete @ENV{grep { /_proxy$/i } keys %ENV};
        open STDERR, '>&', \*STDOUT;
        exec @command or POSIX::_exit(127);
    }

    my ($line, $stays) = (scalar <$pipe>, scalar <$pipe>);
    my $result = eval { decode_json($line // '') };

    if (!$result || ($stays // '') ne "stays\n") {
        local $/;
        diag join '', grep { defined } $line, $stays, <$pipe>;
        return {};
    }

    push @staying, [$name, $pipe];

    return $result;
}

# Plain, compressed, both that and over TLS, and behind a proxy.
sub ways {
    my ($run) = @_;

    $run->(@$_) for ['plain', "ws://$base/plain", ''], ['takeover', "ws://$base/takeover", 'deflate'],
        ['deflate over TLS', 'wss://127.0.0.1:' . $n->port(1) . '/deflate', 'deflate'],
        ['takeover behind another nginx', 'ws://127.0.0.1:' . $proxy->port(0) . '/takeover', 'deflate'];
}

# ---- Python's websockets

my ($python) = grep { -x && !system "$_ -c 'import websockets' 2> /dev/null" }
    map { "$_/python3" } split(/:/, $ENV{PATH}), '/usr/bin';

SKIP: {
    skip 'there is no websockets for Python (util/packages test)', 4 if !$python;

    my %gets = (
        %browsers, none => undef, close => [4000, ''], refuses => [403, 'application/json'],
        pings => 3, fragments => 'in three fragments', unasked => 'and on',
    );
    delete $gets{empty};

    ways(sub {
        my ($name, $url, $deflate) = @_;
        is_deeply client("Python's websockets, $name", $python, "$FindBin::Bin/clients/ws.py", $url, $deflate),
            { %gets, extensions => [$deflate ? 'PerMessageDeflate' : ()] }, "Python's websockets, $name";
    });
}

# ---- npm's ws

my $version = '8.23.0';
my $sha512  = 'wCkmX8QMOrKjgO8HW2WyDbTSGeqkocxgDzS9iR79rEAexty6/2qzilx3Ag8Tqf9ykop3irLKle0MtVn5qjVnoQ';

# Its folder, or why there is none.
sub npm_ws {
    my $dir = NginxAsync::Guard::temp_dir('npm');

    return (undef, 'there is no Node (util/packages test)') if grep { system "command -v $_ > /dev/null" } qw(node npm);

    my $out = qx{cd '$dir' && npm pack 'ws\@$version' --ignore-scripts --fetch-retries=0 --fetch-timeout=30000 2>&1};
    my $tar = "$dir/ws-$version.tgz";

    return (undef, 'npm could not fetch ws: ' . ($out =~ /^(.*(?:code|ERR).*)/m ? $1 : $out)) if !-f $tar;
    sha512_base64(NginxAsync::Env::slurp($tar)) eq $sha512 or die 'npm gave another ws';
    system('tar', '-xzf', $tar, '-C', $dir) == 0 or die "tar: $?";

    return "$dir/package";
}

SKIP: {
    my ($ws, $why) = npm_ws();
    skip $why, 4 if !$ws;

    my %more = (pings => 3, pong => 'are you there', fragments => 'in three fragments', unasked => 'and on',
        refused => [403, '{"detail":"not today"}']);

    ways(sub {
        my ($name, $url, $deflate) = @_;
        is_deeply client("npm's ws, $name", 'node', "$FindBin::Bin/clients/ws_node.js", $ws, $url),
            { %browsers, %more, extensions => $deflate && 'permessage-deflate' }, "npm's ws, $name";
    });
}

# ---- Chromium

my $browser;

SKIP: {
    my $why = NginxAsync::Browser::missing();
    skip $why, 3 if $why;

    $browser = NginxAsync::Browser->new;
    $browser->open("http://$base/page.html");

    my %extensions = (plain => '', takeover => 'permessage-deflate',
        deflate => 'permessage-deflate; server_no_context_takeover; client_no_context_takeover');

    for my $name (sort keys %extensions) {
        $browser->script("out.textContent = ''; talk(WebSocket, 'ws://$base/$name')
            .then(result => out.textContent = JSON.stringify(result), error => out.textContent = 'failed: ' + error)");
        my $text = $browser->wait_text('#out', qr/./);
        utf8::encode($text) if utf8::is_utf8($text);
        is_deeply eval { decode_json($text) } // $text, { %browsers, extensions => $extensions{$name} },
            "Chromium, $name";
    }

    $browser->script("out.textContent = ''; opened(WebSocket, 'ws://$base/plain/echo').then(ws => { out.textContent = 'open';
        ws.closed.then(how => out.textContent = JSON.stringify(how)) })");
    $browser->wait_text('#out', qr/open/);
}

# ---- curl

# The handshake of RFC 6455, 1.3.
sub curl {
    my ($path, @headers) = @_;

    return NginxAsync::run('curl', '-sSiN', '--noproxy', '*', '--max-time', 20, (map { ('-H', $_) } 'Connection: Upgrade', 'Upgrade: websocket',
        'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', @headers), "http://$base$path");
}

{
    my $out = curl('/curl', 'Sec-WebSocket-Protocol: v1.test');

    like $out, qr{^HTTP/1\.1 101 Switching Protocols\r\n}, 'curl: 101';
    like $out, qr/^Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r$/mi, '... with the key of the RFC';
    like $out, qr/^Upgrade: websocket\r$/mi, '... to WebSocket';
    like $out, qr/\r\n\r\n\x88\x02\x03\xe8\z/, '... and what the session says is behind';

    like curl('/plain/refuses'), qr{^HTTP/1\.1 403 .*\r\n\r\n\{"detail":"not today"\}\z}s, 'curl: refused';
    like curl('/plain/echo', 'Origin: http://elsewhere.example'), qr{^HTTP/1\.1 403 }, 'curl: from another origin';
}

# ---- a reload

is $n->reload, undef, 'a reload';

for my $one (@staying) {
    my ($name, $pipe) = @$one;
    is_deeply eval { decode_json(scalar <$pipe>) }, [1012, '', $true], "... is told to $name";
    close $pipe;
    is $?, 0, '... which ends';
}

if ($browser) {
    is $browser->wait_text('#out', qr/\[/), '[1012,"",true]', '... and to Chromium';
    is_deeply [grep { !/WebSocket connection to .* failed|refuses/ } $browser->complaints], [], '... which complains of nothing else';
    $browser->quit;
}

$_->stop for $proxy, $n;
done_testing;
