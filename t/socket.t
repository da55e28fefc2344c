
# await_connect(), await_recv() and the others, against servers that are rude.

use strict;
use warnings;

use lib 't/lib';
use IO::Socket::INET;
use IO::Socket::IP;
use IO::Socket::SSL;
use IO::Socket::SSL::Utils ();
use IO::Socket::UNIX;
use JSON::PP;
use POSIX ();
use Socket qw(SOL_SOCKET SO_LINGER);
use Test::More;
use NginxAsync;
use NginxAsync::Say qw(json);

my @handlers = qw(lines exact literal split parts both busy within hello);

sub nginx {
    my (%o) = @_;
    my $http = delete $o{http} // '';
    my $server = delete $o{server} // '';
    my $routes = join '', map { <<"EOF_CONF" } @handlers;
        location = /$_       { async_handler socket:$_; }
        location = /short/$_ { async_handler socket:$_; async_timeout 500ms; }
        location = /free/$_  { async_handler socket:$_; async_fetch_ssl_verify off; }
EOF_CONF

    return NginxAsync->new(%o, conf => { server => $server . $routes, http => <<"EOF_CONF" })
        async_app \$TEST_NGINX_APPS/socket.so;
        $http
EOF_CONF
        ->start;
}

# ---- a server that forks for each connection, and plays the part

my @servers;
my $parent = $$;

sub server {
    my ($part, %o) = @_;

    my $listen = $o{listen} // IO::Socket::INET->new(Listen => 50, LocalAddr => $o{addr}
        // '127.0.0.1', ReuseAddr => 1) or die "listen: $!";
    my $pid = fork // die "fork: $!";

    if ($pid == 0) {
        $SIG{TERM} = 'DEFAULT';
        $SIG{CHLD} = 'IGNORE';
        $SIG{PIPE} = 'IGNORE';
        open STDOUT, '>', '/dev/null';
        open STDERR, '>', '/dev/null';
        alarm 300;

        while (my $c = $listen->accept) {
            my $child = fork // die "fork: $!";
            next if $child;
            alarm 60;
            close $listen;
            $part->($c);
            POSIX::_exit(0);
        }
        POSIX::_exit(1);
    }

    push @servers, $pid;

    return $o{listen} ? undef : '127.0.0.1:' . $listen->sockport;
}

END {
    if ($$ == $parent) {
        my $status = $?;
        kill TERM => $_ for @servers;
        waitpid $_, 0 for @servers;
        $? = $status;
    }
}

# answers each line with the line, and its number on this connection
sub echo_lines {
    my ($c) = @_;
    my $n = 0;
    local $/ = "\r\n";

    while (my $line = <$c>) {
        chomp $line;
        last if $line eq 'quit';
        print $c "$line ", ++$n, "\r\n";
        $c->flush;
    }
}

# a listener whose queue is full: the kernel drops what else comes
sub full {
    my ($addr, $port) = @_;
    my $full = IO::Socket::INET->new(Listen => 1, LocalAddr => $addr, LocalPort => $port // 0)
        or die "listen: $!";
    listen $full, 0;
    my $to = "$addr:" . $full->sockport;
    return ($to, $full, map { IO::Socket::INET->new(PeerAddr => $to, Blocking => 0) } 1 .. 3);
}

sub rst { setsockopt $_[0], SOL_SOCKET, SO_LINGER, pack('ii', 1, 0); close $_[0] }

sub pause { select undef, undef, undef, $_[0] }

sub escape {
    my ($s) = @_;
    $s =~ s/([^A-Za-z0-9._-])/sprintf '%%%02X', ord $1/ge;
    return $s;
}

sub query {
    my ($path, @pairs) = @_;
    my @q;
    while (my ($k, $v) = splice @pairs, 0, 2) { push @q, "$k=" . escape($v) }
    return "$path?" . join '&', @q;
}

my $n = nginx();

sub lines { return json($n->get(query('/lines', @_))) }

my $echo = server(\&echo_lines);
my ($port) = $echo =~ /:(\d+)/;

# ---- there and back

is_deeply lines(to => $echo, say => "one\r\ntwo\r\n", lines => 2),
    { lines => ['one 1', 'two 2'], reused => JSON::PP::false }, 'lines';
is_deeply lines(to => "localhost:$port", say => "one\r\n")->{lines}, ['one 1'],
    'a name of /etc/hosts';
is_deeply lines(to => "LOCALHOST:$port", say => "one\r\n")->{lines}, ['one 1'], '... in any case';
is_deeply lines(to => "localhost.:$port", say => "one\r\n")->{lines}, ['one 1'], '... with a dot';

SKIP: {
    my $six = IO::Socket::IP->new(Listen => 5, LocalAddr => '::1');
    skip 'no IPv6 here', 1 if !$six;
    server(\&echo_lines, listen => $six);
    is_deeply lines(to => '[::1]:' . $six->sockport, say => "six\r\n")->{lines}, ['six 1'], 'IPv6';
}

{
    my $path = NginxAsync::Guard::temp_dir('unix') . '/s';
    server(\&echo_lines, listen => IO::Socket::UNIX->new(Listen => 5, Local => $path));
    chmod 0777, $path;
    is_deeply lines(to => "unix:$path", say => "u\r\n")->{lines}, ['u 1'], 'a unix socket';
    is_deeply lines(to => "unix:$path.no"),
        { what => 'connect', rc => -1, error => "connect to unix:$path.no: No such file or directory" },
        '... that is not there';
}

# ---- pieces of any size

{
    my $drip = server(sub {
        my ($c) = @_;
        $c->autoflush;
        for my $byte (split //, "a\r\nbc\r\n\r\nd\r\r\n") { print $c $byte; pause(0.005) }
        <$c>;
    });
    is_deeply lines(to => $drip, lines => 4)->{lines}, ['a', 'bc', '', "d\r"],
        'a delimiter in two pieces';

    my $all = join '', map { (my $p = chr($_ % 256) x $_) && "$_\r\n" . chr($_ % 256) x $_ } 1 .. 300,
        5000, 65536;
    my $sum = 0;
    $sum = ($sum + ($_ % 256) * $_) % 65521 for 1 .. 300, 5000, 65536;
    my $parts = server(sub {
        my ($c) = @_;
        $c->autoflush;
        my $at = 0;
        while ($at < length $all) {
            my $n = 1 + int rand 3000;
            print $c substr $all, $at, $n;
            $at += $n;
            pause(0.001) if rand() < 0.1;
        }
        print $c "0\r\nrest";
    });
    my $r = json($n->get(query('/parts', to => $parts)));
    is $r->{total}, 300 * 301 / 2 + 70536, 'parts of all sizes';
    is $r->{sum}, $sum, '... and their bytes';
    is $r->{rest}, 4, '... and what is left in the buffer';
}

{
    # compared with what Perl finds: few letters, so that delimiters overlap
    my $seed = $ENV{TEST_NGINX_SEED} // time;
    srand $seed;
    my @wrong;

    for my $turn (1 .. 60) {
        my $by = join '', map { chr 97 + int rand 2 } 1 .. 1 + int rand 5;
        my $text = join '', map { chr 97 + int rand 2 + rand() ** 3 } 1 .. int rand 3 * 10 ** (1 + int rand 4);
        my $max = rand() < 0.5 ? -1 : int rand 60;
        my $to = server(sub {
            my ($c) = @_;
            $c->autoflush;
            setsockopt $c, 6, 1, 1;
            for (my ($at, $size) = (0, 1 + int rand 6000); $at < length $text; $at += $size) {
                print $c substr $text, $at, $size;
                pause(0.0005);
            }
        });

        my ($rest, $rc, @list) = ($text, -4);
        while ((my $at = index $rest, $by) >= 0) {
            if ($max >= 0 && $at > $max) { $rc = -1; last }
            push @list, substr $rest, 0, $at;
            $rest = substr $rest, $at + length $by;
        }
        $rc = -1 if $max >= 0 && length $rest >= $max + length $by;

        my $r = json($n->get(query('/split', to => $to, by => $by, max => $max)));
        push @wrong, "$by in $text, $max: $r->{rc}" if $r->{rc} != $rc || "@{$r->{list}}" ne "@list";
    }

    is_deeply \@wrong, [], "delimiters at random (TEST_NGINX_SEED=$seed)";
}

{
    my $echo_bytes = server(sub {
        my ($c) = @_;
        while (sysread $c, my $buf, 65536) { print $c $buf; $c->flush }
    });
    is_deeply json($n->get(query('/both', to => $echo_bytes, bytes => 20_000_000))),
        { bytes => 20_000_000, wrong => 0 }, '20 MB there and back at once';
}

# ---- what goes wrong

{
    my $gone = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1');
    my $to = '127.0.0.1:' . $gone->sockport;
    close $gone;
    is_deeply lines(to => $to),
        { what => 'connect', rc => -1, error => "connect to $to: Connection refused" }, 'refused';
}

like lines(to => 'no.such.host:1')->{error},
    qr{^the host "no.such.host" is not in /etc/hosts, and there is no directive resolver$},
    'a name that nobody knows';
is lines(to => '127.0.0.1')->{error}, 'the address "127.0.0.1" has no port', 'no port';
like lines(to => '127.0.0.1:0')->{error}, qr/invalid port/, 'port 0';
like lines(to => '127.0.0.1:99999')->{error}, qr/invalid port/, 'a port that is none';
like lines(to => '')->{error}, qr/^the address "": /, 'no address';
is lines(to => 'unix:')->{rc}, -1, 'no path';

{
    my $to = server(sub { my ($c) = @_; <$c>; print $c "half"; close $c });
    is_deeply lines(to => $to, say => "x\r\n"),
        { what => 'recv', rc => -4, error => "$to has closed before the delimiter" },
        'the end before the delimiter';
    $to = server(sub { my ($c) = @_; <$c>; rst($c) });
    is_deeply lines(to => $to, say => "x\r\n"),
        { what => 'recv', rc => -4, error => "receive from $to: Connection reset by peer" }, 'RST';
    $to = server(sub { my ($c) = @_; print $c 'x' x 101; <$c> });
    is_deeply lines(to => $to, max => 99),
        { what => 'recv', rc => -1, error => "$to: no delimiter within 99 bytes" }, 'too long';
    $to = server(sub { my ($c) = @_; print $c 'x' x 99 . "\r\n"; <$c> });
    is_deeply lines(to => $to, max => 99)->{lines}, ['x' x 99], '... just not';
    $to = server(sub { my ($c) = @_; print $c 'x' x 99; $c->flush; pause(0.2); print $c "\r\n"; <$c> });
    is_deeply lines(to => $to, max => -1)->{lines}, ['x' x 99], '... and without a bound';
    $to = server(sub { my ($c) = @_; print $c "10\r\nabc" });
    my $r = json($n->get(query('/parts', to => $to)));
    is_deeply [@$r{qw(rc error)}], [-4, "$to has closed, 7 bytes too early"], 'fewer than all';
}

{
    my ($to, @full) = full('127.0.0.1');
    is_deeply lines(to => $to, connect => 200),
        { what => 'connect', rc => -2, error => "connect to $to: not within 200 ms" },
        'a server that does not accept';
    is json($n->get(query('/within', to => $to)))->{rc}, -2, '... in a scope';
    my $since = $n->mark;
    my $c = $n->connect->send_request('GET', query('/lines', to => $to, connect => 60_000));
    pause(0.2);
    $c->reset;
    ok $n->wait_for_log(qr/<connect ends -3>/, 20, $since), '... and a client that leaves';
}

my $silent = server(sub { my ($c) = @_; 1 while sysread $c, my $buf, 65536 });
{
    is_deeply lines(to => $silent, recv => 100),
        { what => 'recv', rc => -2, error => "receive from $silent: not within 100 ms" }, 'silence';
    my $deaf = server(sub { pause(5) });
    my $since = $n->mark;
    is $n->get(query('/both', to => $deaf, bytes => 30_000_000, send => 200, recv => 60_000))->status,
        504, 'a server that does not read';
    like_log $n, $since, qr/timed out: send to $deaf: not within 200 ms/, '... says why';
    is lines(to => $silent, recv => -1)->{rc}, -1, 'a negative time';
    is json($n->get(query('/within', to => $silent)))->{rc}, -2, 'the end of a scope';
    is lines(to => $silent, recv => 100)->{rc}, -2, '... and again';
    is json($n->get(query('/short/lines', to => $silent)))->{rc}, -2, 'the deadline of the request';
}

is_deeply json($n->get(query('/busy', to => $silent))), { first => -4, second => -5, after => -1 },
    'two at once, and the end for both';

{
    my $since = $n->mark;
    my $c = $n->connect->send_request('GET', query('/lines', to => $silent, recv => 60_000));
    pause(0.2);
    $c->reset;
    ok $n->wait_for_log(qr/<recv ends -3>/, 20, $since), 'a client that leaves';
}

# ---- kept

{
    my @kept = (to => $echo, say => "x\r\n", pool => 'a', keep => 1);
    is_deeply lines(@kept), { lines => ['x 1'], reused => JSON::PP::false }, 'kept';
    is_deeply lines(@kept), { lines => ['x 2'], reused => JSON::PP::true }, '... and taken again';
    is lines(to => $echo, say => "x\r\n", pool => 'b', keep => 1)->{lines}[0], 'x 1',
        '... not with another pool';
    is lines(to => $echo, say => "x\r\n")->{lines}[0], 'x 1', '... nor without';
    is lines(to => $echo, say => "x\r\n", pool => 'a')->{lines}[0], 'x 3', '... but once more';
    is lines(@kept)->{lines}[0], 'x 1', '... not kept, closed';

    is lines(to => $echo, say => "x\r\ny\r\n", pool => 'more', keep => 1)->{lines}[0], 'x 1',
        'one with an answer to come';
    pause(0.2);
    is lines(to => $echo, say => "x\r\n", pool => 'more', keep => 1)->{lines}[0], 'x 1',
        '... is not kept';

    is lines(to => $echo, say => "x\r\nquit\r\n", pool => 'quit', keep => 1)->{lines}[0], 'x 1',
        'one that the other side closes';
    pause(0.2);
    is lines(to => $echo, say => "x\r\n", pool => 'quit', keep => 1)->{lines}[0], 'x 1',
        '... is not taken';
}

{
    my $late = server(sub { my ($c) = @_; <$c>; pause(0.3); print $c "abc"; <$c>; print $c "def" });
    my @late = (to => $late, say => "x\r\n", pool => 1);
    is json($n->get(query('/exact', @late, recv => 100)))->{rc}, -2, 'one that has failed';
    pause(0.1);
    is_deeply json($n->get(query('/exact', @late))),
        { rc => 0, got => 'abc', reused => JSON::PP::false }, '... is not kept';
    ok json($n->get(query('/exact', @late)))->{reused}, '... one that has not is';
}

{
    my $fds = $n->open_fds;
    lines(to => $echo, say => "x\r\n", pool => "bound$_", keep => 1) for 1 .. 40;
    cmp_ok $n->open_fds - $fds, '<=', 32, 'a bound for those that are kept';
}

{
    my $m = nginx(http => 'async_fetch_keepalive 2 timeout=300ms;');
    my $get = sub { json($m->get(query('/lines', to => $echo, say => "x\r\n", keep => 1, @_))) };
    $get->(pool => 1);
    ok $get->(pool => 1)->{reused}, 'async_fetch_keepalive';
    $get->(pool => 2);
    $get->(pool => 3);
    ok !$get->(pool => 1)->{reused}, '... the oldest one goes';
    pause(0.6);
    ok !$get->(pool => 1)->{reused}, '... and each in time';
    $m->stop;

    $m = nginx(http => 'async_fetch_keepalive 0;');
    $get->(pool => 1);
    ok !$get->(pool => 1)->{reused}, '... 0';
    $m->stop;
}

{
    my $m = nginx(http => 'async_fetch_keepalive 1000;', connections => 40);
    my $get = sub { json($m->get(query('/lines', to => $echo, say => "x\r\n", keep => 1, @_))) };
    is_deeply [map { $get->(pool => $_)->{lines}[0] } 1 .. 60], [('x 1') x 60],
        'those that are kept give way to those that are needed';
    $m->stop;
}

# ---- TLS

my $dir = NginxAsync::Guard::temp_dir('tls');

sub certificate {
    my ($name, $san) = @_;
    $san //= "DNS:$name";
    system("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=$name -addext "
        . "subjectAltName=$san -keyout $dir/$name.key -out $dir/$name.crt 2>/dev/null") == 0
        or die 'openssl';
}

certificate('localhost');
certificate('other.example');
{
    my ($cert, $key) = IO::Socket::SSL::Utils::CERT_create(CA => 1, subject => { CN => 'expired' },
        subjectAltNames => [[DNS => 'expired']], not_before => time - 9999, not_after => time - 99);
    IO::Socket::SSL::Utils::PEM_cert2file($cert, "$dir/expired.crt");
    IO::Socket::SSL::Utils::PEM_key2file($key, "$dir/expired.key");
}
certificate('address', 'IP:127.0.0.1');

sub tls_server {
    my ($part, $name, %o) = @_;
    return server(sub {
        my ($c) = @_;
        IO::Socket::SSL->start_SSL($c, SSL_server => 1, SSL_cert_file => "$dir/$name.crt",
            SSL_key_file => "$dir/$name.key", %o) or return;
        $part->($c);
    });
}

{
    my $tls = tls_server(\&echo_lines, 'localhost');
    my $other = tls_server(\&echo_lines, 'other.example');
    my $m = nginx(http => "async_fetch_ssl_trusted_certificate $dir/localhost.crt;");
    my $get = sub { json($m->get(query('/lines', tls => 1, say => "x\r\n", @_))) };
    my ($port) = $tls =~ /:(\d+)/;

    is_deeply $get->(to => "localhost:$port")->{lines}, ['x 1'], 'TLS';
    is_deeply $get->(to => $tls, name => 'localhost')->{lines}, ['x 1'], '... by its name';
    is_deeply $get->(to => $tls, name => 'localhost.')->{lines}, ['x 1'], '... with a dot';
    is_deeply $get->(to => "localhost.:$port")->{lines}, ['x 1'], '... of the address, too';
    my $names = tls_server(sub { my ($c) = @_; <$c>; print $c $c->get_servername // '-', "\r\n" }, 'localhost');
    is_deeply $get->(to => $names, name => 'localhost.')->{lines}, ['localhost'], '... by SNI';
    is_deeply json($m->get(query('/free/lines', tls => 1, to => $names,
        say => "x\r\n")))->{lines}, ['-'],
        '... which has no addresses';
    is_deeply json($m->get(query('/free/lines', tls => 1, to => $names, name => 'n' x 255,
        say => "x\r\n")))->{lines},
        ['n' x 255], '... but long names';
    is json($m->get(query('/free/lines', tls => 1, to => $names, name => 'n' x $_)))->{error},
        "TLS handshake with $names: the name of the server has $_ bytes, 255 are allowed",
        "... not of $_ bytes" for 256, 5000;
    is json($m->get(query('/free/lines', tls => 1, to => $names, name => '.')))->{error},
        "TLS handshake with $names: the name of the server has 0 bytes, 255 are allowed", '... nor 0';
    is $get->(to => $tls)->{error}, "the certificate of $tls is not one of \"127.0.0.1\"",
        '... which must be its own';
    like $get->(to => $other, name => 'other.example')->{error},
        qr/^the certificate of \S+: self.signed certificate$/, '... and trusted';
    like lines(to => $tls, tls => 1, name => 'localhost', say => 'x')->{error},
        qr/^the certificate of \S+: self.signed certificate$/, '... not by the system';
    is_deeply json($n->get(query('/free/lines', tls => 1, to => $tls, say => "x\r\n")))->{lines},
        ['x 1'], 'async_fetch_ssl_verify off';

    my $address = tls_server(\&echo_lines, 'address');
    my $a = nginx(http => "async_fetch_ssl_trusted_certificate $dir/address.crt;");
    is_deeply json($a->get(query('/lines', tls => 1, to => $address, say => "x\r\n")))->{lines},
        ['x 1'], '... or of its address';
    is json($a->get(query('/lines', tls => 1, to => $address, name => '127.0.0.2', say => 'x')))
        ->{error}, "the certificate of $address is not one of \"127.0.0.2\"", '... but no other';
    $a->stop;

    is_deeply $get->(to => $tls, name => 'localhost', pool => 1, keep => 1)->{lines}, ['x 1'],
        'TLS that is kept';
    is_deeply $get->(to => $tls, name => 'localhost', pool => 1, keep => 1)->{lines}, ['x 2'],
        '... and taken again';
    is_deeply json($m->get(query('/free/lines', tls => 1, to => $tls, name => 'localhost', pool => 1,
        say => "x\r\n")))->{lines}, ['x 1'], '... not where the policy is another one';
    is_deeply json($m->get(query('/lines', to => $echo, pool => 1, say => "x\r\n")))->{lines},
        ['x 1'], '... nor without TLS';

    my $two = tls_server(sub {
        my ($c) = @_;
        while (sysread $c, my $buf, 100) { syswrite $c, "abcdef" }
    }, 'localhost');
    my @two = (tls => 1, to => $two, name => 'localhost', say => "x\r\n", pool => 1);
    json($m->get(query('/exact', @two)));
    is_deeply json($m->get(query('/exact', @two))),
        { rc => 0, got => 'abc', reused => JSON::PP::false }, 'TLS with bytes that nobody received';
    is json($m->get(query('/exact', @two, bytes => 6)))->{got}, 'abcdef', '... all of them';
    ok json($m->get(query('/exact', @two)))->{reused}, '... is kept';

    my @idle = (tls => 1, to => $two, name => 'localhost', say => '', bytes => 0, pool => 'idle');
    json($m->get(query('/exact', @idle)));
    pause(0.1);
    ok json($m->get(query('/exact', @idle)))->{reused}, 'a ticket for TLS does not end one that is kept';

    my $asks = tls_server(\&echo_lines, 'localhost', SSL_ca_file => "$dir/other.example.crt",
        SSL_verify_mode => 3);
    my @asks = (tls => 1, to => $asks, name => 'localhost', say => "x\r\n");
    like $get->(@asks, say => '')->{error}, qr/^receive from \S+: TLS alert: \w/,
        'a server that asks for a certificate';
    my $known = nginx(http => "async_fetch_ssl_trusted_certificate $dir/localhost.crt;"
        . "async_fetch_ssl_certificate $dir/other.example.crt;"
        . "async_fetch_ssl_certificate_key $dir/other.example.key;");
    is_deeply json($known->get(query('/lines', @asks)))->{lines}, ['x 1'], '... gets it';
    $known->stop;

    my $expired = tls_server(\&echo_lines, 'expired');
    my $old = nginx(http => "async_fetch_ssl_trusted_certificate $dir/expired.crt;");
    is json($old->get(query('/lines', tls => 1, to => $expired, name => 'expired', say => 'x')))
        ->{error}, "the certificate of $expired: certificate has expired", 'one that has expired';
    $old->stop;

    my $deaf = tls_server(sub { pause(5) }, 'localhost');
    is $m->get(query('/both', tls => 1, to => $deaf, name => 'localhost', bytes => 30_000_000,
        send => 200, recv => 60_000))->status, 504, 'TLS with one that does not read';

    my $bytes = tls_server(sub {
        my ($c) = @_;
        while (sysread $c, my $buf, 65536) { syswrite $c, $buf }
    }, 'localhost');
    is_deeply json($m->get(query('/both', tls => 1, to => $bytes, name => 'localhost',
        bytes => 3_000_000))), { bytes => 3_000_000, wrong => 0 }, '3 MB there and back at once';

    like $get->(to => $silent, name => 'localhost', connect => 200)->{error},
        qr/^TLS handshake with \S+: not within 200 ms$/, 'a server that says nothing';
    my $early = server(sub { my ($c) = @_; print $c "220 hello\r\n"; <$c> });
    is $get->(to => $early, name => 'localhost')->{error},
        "TLS handshake with $early: wrong version number", 'a server that speaks before TLS';
    my $gone = server(sub { my ($c) = @_; sysread $c, my $hello, 10000 });
    is $get->(to => $gone, name => 'localhost')->{error},
        "TLS handshake with $gone: it has closed the connection", '... that closes';
    my $rude = server(sub { my ($c) = @_; sysread $c, my $hello, 10000; rst($c) });
    is $get->(to => $rude, name => 'localhost')->{error},
        "TLS handshake with $rude: Connection reset by peer", '... that breaks off';
    my $half = server(sub { my ($c) = @_; sysread $c, my $hello, 10000; print $c "\x16\x03\x03\0\x64\x02" });
    is $get->(to => $half, name => 'localhost')->{error},
        "TLS handshake with $half: it has closed the connection", '... in the middle of a record';

    my $picky = tls_server(\&echo_lines, 'localhost', SSL_version => 'TLSv1_2',
        SSL_cipher_list => 'AES128-SHA256');
    my $new = nginx(http => 'async_fetch_ssl_protocols TLSv1.3;');
    my $says = qr/^TLS handshake with \S+: \S+ alert (?:protocol version|handshake failure)$/;
    like json($new->get(query('/lines', tls => 1, to => $picky, name => 'localhost')))->{error},
        $says, 'another version of TLS';
    $new->stop;
    $new = nginx(http => 'async_fetch_ssl_protocols TLSv1.2; async_fetch_ssl_ciphers AES256-SHA;');
    like json($new->get(query('/lines', tls => 1, to => $picky, name => 'localhost')))->{error},
        $says, '... other ciphers';
    $asks = tls_server(\&echo_lines, 'localhost', SSL_ca_file => "$dir/other.example.crt",
        SSL_verify_mode => 3, SSL_version => 'TLSv1_2');
    like json($m->get(query('/lines', tls => 1, to => $asks, name => 'localhost')))->{error},
        $says, '... no certificate';
    $new->stop;
    $m->stop;
}

# ---- names by nginx's resolver, here one of three names

sub dns {
    my $udp = IO::Socket::INET->new(Proto => 'udp', LocalAddr => '127.0.0.1') or die "udp: $!";
    my $pid = fork // die "fork: $!";

    if ($pid) {
        push @servers, $pid;
        return '127.0.0.1:' . $udp->sockport;
    }

    $SIG{TERM} = 'DEFAULT';
    alarm 300;

    while (defined(my $from = $udp->recv(my $q, 512))) {
        my ($labels) = substr($q, 12) =~ /\A(.*?\0)/s;
        my $type = unpack 'n', substr $q, 12 + length $labels, 2;
        my $name = join '.', unpack '(C/a)*', substr $labels, 0, -1;
        next if $name eq 'silent.test';

        my @a = $name eq 'two.test' ? ("\x7f\0\0\x02", "\x7f\0\0\x01")
            : $name eq 'one.test' ? "\x7f\0\0\x01" : ();
        @a = () if $type != 1;
        my $code = $name =~ /^(?:one|two)\.test$/ ? 0 : 3;

        $udp->send(substr($q, 0, 2) . pack('n5', 0x8180 | $code, 1, scalar @a, 0, 0)
            . $labels . pack('nn', $type, 1)
            . join('', map { pack('nnnNn', 0xc00c, 1, 1, 60, 4) . $_ } @a), 0, $from);
    }
    POSIX::_exit(0);
}

{
    my $dns = dns();
    my $dns2 = dns();
    my $m = nginx(http => "resolver $dns ipv6=off; resolver_timeout 1s;",
        server => "location = /view/lines { async_handler socket:lines; resolver $dns2 ipv6=off; }");
    my $get = sub { json($m->get(query('/lines', say => "x\r\n", to => "$_[0]:$port"))) };

    is_deeply $get->('one.test')->{lines}, ['x 1'], 'a name by the resolver';
    is_deeply $get->('one.test')->{lines}, ['x 1'], '... that it knows';
    is_deeply $get->('two.test')->{lines}, ['x 1'], '... of two addresses, one of which refuses';
    is json($m->get('/literal'))->{error}, 'connect to One.Test:1: Connection refused',
        '... of an address that is constant';
    my @kept = (say => "x\r\n", to => "one.test:$port", pool => 'v', keep => 1);
    json($m->get(query('/lines', @kept)));
    ok !json($m->get(query('/view/lines', @kept)))->{reused},
        '... of another resolver, which may say otherwise';
    ok json($m->get(query('/lines', @kept)))->{reused}, '... of the same, which does not';
    is $get->('no.test')->{error}, 'the host "no.test" could not be resolved: Host not found',
        '... that there is not';
    is_deeply [@{$get->('silent.test')}{qw(rc error)}],
        [-2, 'the host "silent.test" could not be resolved: Operation timed out'],
        '... that nobody answers';
    is json($m->get(query('/within', to => "silent.test:$port")))->{rc}, -2, '... in a scope';
    is_deeply [map { json($_->response)->{lines}[0] } map { $m->connect->send_request('GET',
        query('/lines', say => "x\r\n", to => "two.test:$port")) } 1 .. 20], [('x 1') x 20],
        '... twenty at once';

    my ($slow, @full) = full('127.0.0.2', $port);
    is_deeply json($m->get(query('/lines', say => "x\r\n", to => "two.test:$port",
        connect => 200)))->{lines}, ['x 1'], '... each address has its time';
    is json($m->get(query('/within', to => "two.test:$port")))->{rc}, -2,
        '... and a scope bounds all of it';
    $m->stop;
}

# ---- clients that leave at any moment

{
    my $dns = dns();
    my $tls = tls_server(\&echo_lines, 'localhost');
    my $bytes = server(sub { my ($c) = @_; while (sysread $c, my $buf, 65536) { syswrite $c, $buf } });
    my $m = nginx(http => "async_fetch_ssl_trusted_certificate $dir/localhost.crt; resolver $dns;");
    my @paths = (
        map({ my $pool = $_; map { query('/lines', @$_, say => "x\r\n", pool => $pool, keep => 1) }
            [to => $echo], [to => $tls, tls => 1, name => 'localhost'], [to => "one.test:$port"] } 1 .. 3),
        query('/lines', to => $silent, tls => 1), query('/lines', to => $silent),
        query('/lines', to => 'silent.test:1'), query('/busy', to => $silent),
        query('/within', to => $silent), query('/both', to => $bytes, bytes => 300_000),
    );
    my $play = sub {
        for (1 .. $_[0]) {
            my @c = map { $m->connect->send_request('GET', $paths[rand @paths]) } 1 .. 10;
            for my $c (sort { rand() <=> 0.5 } @c) { pause(rand 0.004); $c->reset }
        }
        pause(0.5);
    };

    $play->(20);
    my ($fds, $memory) = (scalar(() = $m->open_fds), $m->memory_of_worker);
    $play->($ENV{TEST_NGINX_LONG} ? 1000 : 40);
    cmp_ok scalar(() = $m->open_fds) - $fds, '<=', 12, 'clients that leave: no descriptor is lost';
    cmp_ok $m->memory_of_worker - $memory, '<', 4_000_000, '... nor memory' if !$ENV{TEST_NGINX_ASAN};
    is $m->get('/hello')->body, "hello\n", '... and all goes on';
    $m->stop;
}

# ---- who may be reached

{
    my $rules = join '', map { my ($name, $rules) = @$_; "location /$name/ { $rules " .
        'rewrite ^/\w+(/.*) $1 break; async_handler socket:lines; }' }
        ['inside', 'async_fetch_deny private;'],
        ['one', 'async_fetch_allow 127.0.0.1; async_fetch_deny all;'],
        ['first', 'async_fetch_deny 127.0.0.0/8; async_fetch_allow all;'],
        ['second', 'async_fetch_deny 127.0.0.2;'],
        ['unix', 'async_fetch_deny unix: 10.0.0.0/8;'];
    my $dns = dns();
    my $m = nginx(server => $rules, http => "resolver $dns ipv6=off;");
    my $get = sub {
        my ($where, $to, @more) = @_;
        my $r = json($m->get(query("/$where/lines", say => "x\r\n", to => $to, @more)));
        return $r->{error} // $r->{lines}[0];
    };

    is $get->('inside', $_), "connect to $_: async_fetch_deny forbids it", "denied: $_"
        for "127.0.0.1:$port", "localhost:$port", "0.0.0.0:$port", "[::ffff:127.0.0.1]:$port",
        "[::1]:$port", "[::]:$port", "[::7f00:1]:$port", "[64:ff9b::7f00:1]:$port",
        "two.test:$port", "169.254.169.254:80", 'unix:/no/such';
    is $get->('one', "127.0.0.1:$port"), 'x 1', 'async_fetch_allow';
    is $get->('one', "[::ffff:127.0.0.1]:$port"), 'x 1', '... however it is written';
    is $get->('one', "127.0.0.2:$port"), "connect to 127.0.0.2:$port: async_fetch_deny forbids it",
        '... and no other one';
    is $get->('first', "127.0.0.1:$port"),
        "connect to 127.0.0.1:$port: async_fetch_deny forbids it", 'the first that fits';
    is $get->('second', "two.test:$port"), 'x 1', 'one address of two';
    is $get->('unix', "127.0.0.1:$port"), 'x 1', 'what no rule is about';
    is $get->('unix', 'unix:/no/such'), 'connect to unix:/no/such: async_fetch_deny forbids it',
        'async_fetch_deny unix:';

    my @kept = (pool => 'rules', keep => 1);
    is $get->('.', "127.0.0.1:$port", @kept), 'x 1', 'one that is kept';
    is $get->('inside', "127.0.0.1:$port", @kept),
        "connect to 127.0.0.1:$port: async_fetch_deny forbids it", '... is not for those who may not';
    is $get->('.', "127.0.0.1:$port", @kept), 'x 2', '... but for those who may';
    $m->stop;
}

# ---- tasks without a request

{
    my $m = nginx(http => "async_param probe $echo; async_every 100ms socket:probe;");
    ok $m->wait_for_log(qr/<probed probe 1>/, 20), 'a periodic function';
    $m->stop;
}

# ---- reload and quit in the middle

{
    my ($old) = $n->workers;
    my $slow = server(sub { my ($c) = @_; <$c>; pause(1); print $c "late\r\n" });
    my $c = $n->connect->send_request('GET', query('/lines', to => $slow, say => "x\r\n"));
    pause(0.3);
    is $n->reload, undef, 'a reload';
    is_deeply json($c->response)->{lines}, ['late'], '... lets a socket end';
    ok $n->wait_until(sub { !-d "/proc/$old" }, 20), '... and those that are kept do not keep the worker';
}
$n->stop;

# ---- what nginx -t says

for (["async_fetch_read_timeout 0;", qr/must be greater than zero/],
    ["async_fetch_connect_timeout 4000d;", qr/is too long/],
    ["async_fetch_keepalive many;", qr/takes a number of connections, 0 for none/],
    ['async_fetch_keepalive 3 idle=3;', qr/takes a second argument like "timeout=60s"/],
    ["async_fetch_ssl_certificate $dir/localhost.crt;", qr/belong together/],
    ['async_fetch_ssl_trusted_certificate /no/such;', qr/no.such/],
    ['async_fetch_deny 10.0.0.0/33;', qr/"10.0.0.0\/33" is no address, network like 10.0.0.0\/8/],
    ['async_fetch_allow inside;', qr/"inside" is no address/])
{
    my ($line, $says) = @$_;
    my $m = NginxAsync->new(conf => { http => $line }, allow => [qr/emerg/]);
    like scalar($m->conf_test), $says, "nginx -t: $line";
}

done_testing;
