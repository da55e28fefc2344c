package NginxAsync::Others;

=head1 NAME

NginxAsync::Others - the servers that are fetched from, and who fetches

=head1 SYNOPSIS

    my $n  = fetcher(http => 'async_fetch_keepalive 0;');
    my $to = server(sub { my ($c) = @_; <$c>; print $c "HTTP/1.1 200 OK..." });
    my $r  = ask($n, { url => "http://$to/", timeout => 500 });
    $r->{status}; $r->{body}; $r->{cause};      # see t/apps/fetch.c

    server(\&mirror);             # answers with the request as it came
    server(tls(\&mirror, cert('name')));
    dns(name => ['127.0.0.2', '127.0.0.1'], late => 'silent');
    refusing(); crowded();        # addresses where nobody accepts

Each connection has a process of its own that plays the part; all of them end
with the test.

=cut

use strict;
use warnings;

use Exporter qw(import);
use IO::Socket::INET;
use JSON::PP ();
use POSIX ();
use Socket qw(SOL_SOCKET SO_LINGER);

use NginxAsync;
use NginxAsync::Guard;

our @EXPORT_OK = qw(fetcher ask several server mirror answers head_of request_of
    tls cert dns python refusing crowded pause rst %CAUSE);

our %CAUSE = (NONE => 0, REQUEST => 1, URL => 2, NAME => 3, DENIED => 4,
    CONNECT => 5, TLS => 6, RESET => 7, TIMEOUT => 8, PROTOCOL => 9,
    TOO_LARGE => 10, REDIRECT => 11, STATUS => 12, JSON => 13);

my @servers;
my $parent = $$;
my ($dir, %full);

END {
    if ($$ == $parent) {
        my $status = $?;
        kill TERM => -$_ for @servers;
        waitpid $_, 0 for @servers;
        $? = $status;
    }
}

# ---- who fetches

# Options: http, server (lines of nginx.conf), and those of NginxAsync.
sub fetcher {
    my (%o) = @_;

    my ($http, $server, $main) = map { delete $o{$_} // '' } qw(http server main);

    return NginxAsync->new(%o, conf => { main => $main, http => <<"EOF_HTTP",
        async_app \$TEST_NGINX_APPS/fetch.so;
        $http
EOF_HTTP
        server => <<"EOF_SERVER" })->start;
        $server
        location = /fetch   { async_handler fetch:fetch; }
        location = /several { async_handler fetch:several; }
        location = /within  { async_handler fetch:within; }
EOF_SERVER
}


# What the app tells; $path is another one than /fetch.
sub ask {
    my ($n, $what, $path) = @_;

    my $r = $n->post($path // '/fetch', JSON::PP::encode_json($what),
        timeout => 60, headers => ['Content-Type', 'application/json']);

    return eval { JSON::PP::decode_json($r->body) }
        // { http => $r->status, text => $r->body };
}


sub several { my ($n, @what) = @_; return ask($n, \@what, '/several') }

# ---- servers

# Each connection in a process of its own: the address, or, with "listen", undef.
sub server {
    my ($part, %o) = @_;

    my $listen = $o{listen} // IO::Socket::INET->new(Listen => 100,
        LocalAddr => $o{addr} // '127.0.0.1', ReuseAddr => 1,
        $o{port} ? (LocalPort => $o{port}) : ()) or die "listen: $!";
    my $pid = fork // die "fork: $!";

    if ($pid == 0) {
        be_a_server();

        while (1) {
            my $c = $listen->accept or next;
            my $child = fork // die "fork: $!";
            next if $child;
            alarm 60;
            close $listen;
            $c->autoflush;
            $part->($c);
            POSIX::_exit(0);
        }
    }

    adopt($pid);

    return $o{listen} ? undef : $listen->sockhost . ':' . $listen->sockport;
}


sub adopt { setpgrp $_[0], $_[0]; push @servers, $_[0] }

# In a group of its own, with those that it forks.
sub be_a_server {
    setpgrp 0, 0;
    $SIG{TERM} = 'DEFAULT';
    $SIG{CHLD} = 'IGNORE';
    $SIG{PIPE} = 'IGNORE';
    open STDIN, '<', '/dev/null';
    open STDOUT, '>', '/dev/null';
    open STDERR, '>', '/dev/null';
    alarm 300;
}


# A head as text, its body not read.
sub head_of {
    my ($c) = @_;

    my $head = '';

    while (defined(my $line = <$c>)) {
        $head .= $line;
        return $head if $line eq "\r\n";
    }

    return undef;
}


# A request as it came, the chunks of its body included.
sub request_of {
    my ($c) = @_;

    my $all = head_of($c) // return undef;

    if ($all =~ /^Content-Length: (\d+)/mi) {
        read $c, $all, $1, length $all if $1;

    } elsif ($all =~ /^Transfer-Encoding: chunked/mi) {
        while (defined(my $line = <$c>)) {
            $all .= $line;
            my $size = hex $line;
            read $c, $all, $size + 2, length $all;
            last if $size == 0;
        }
    }

    return $all;
}


# Answers each request with its text, and says how many came before it.
sub mirror {
    my ($c) = @_;

    for (my $n = 1; defined(my $all = request_of($c)); $n++) {
        my $length = length $all;
        my $body = $all =~ /^HEAD / ? '' : $all;
        print $c "HTTP/1.1 200 OK\r\nContent-Length: $length\r\nX-Count: $n\r\n\r\n$body";
    }
}


# The same answers to whoever asks: one for each request of a connection.
sub answers {
    my (@answers) = @_;

    return sub {
        my ($c) = @_;
        for my $answer (@answers) { request_of($c) // last; print $c $answer }
        close $c;
    };
}


sub pause { select undef, undef, undef, $_[0] }

sub rst { setsockopt $_[0], SOL_SOCKET, SO_LINGER, pack('ii', 1, 0); close $_[0] }

# An address where there is nobody.
sub refusing {
    my ($addr) = @_;

    my $gone = IO::Socket::INET->new(Listen => 1, LocalAddr => $addr // '127.0.0.1');
    my $to = $gone->sockhost . ':' . $gone->sockport;
    close $gone;

    return $to;
}


# An address where nobody accepts, and the queue is full: packets are dropped.
sub crowded {
    my $full = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1');
    listen $full, 0;

    my $to = '127.0.0.1:' . $full->sockport;

    $full{$to} = [$full, map { IO::Socket::INET->new(PeerAddr => $to, Blocking => 0) } 1 .. 3];

    return $to;
}


# Python's http.server, on a folder: the address.
sub python {
    my ($folder, %o) = @_;

    my $port = NginxAsync::Env::free_port();
    my $pid = fork // die "fork: $!";

    if ($pid == 0) {
        setpgrp 0, 0;
        open STDOUT, '>', '/dev/null';
        open STDERR, '>', '/dev/null';
        exec 'python3', '-m', 'http.server', '-b', '127.0.0.1', '-d', $folder, $port
            or POSIX::_exit(1);
    }

    adopt($pid);

    for (1 .. 300) {
        return "127.0.0.1:$port" if IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port");
        pause(0.05);
    }

    die "python3 does not serve\n";
}

# ---- TLS

# The part, spoken by TLS, with a certificate of cert() and what SSL options say.
sub tls {
    my ($part, $cert, %o) = @_;

    require IO::Socket::SSL;

    return sub {
        my ($c) = @_;
        IO::Socket::SSL->start_SSL($c, SSL_server => 1, SSL_cert_file => "$cert.crt",
            SSL_key_file => "$cert.key", %o) or return;
        $part->($c);
    };
}


# Of a name (or "IP:127.0.0.1"), signed by itself, or by "ca": the path of one
# that was made with "signs".  "ends": in so many seconds; "as": another name of
# the file; "names": of the server, [[DNS => "a"], ...], instead of that one.
# Answers with the path, without .crt and .key.
sub cert {
    my ($name, %o) = @_;

    require IO::Socket::SSL::Utils;

    $dir //= NginxAsync::Guard::temp_dir('tls');

    (my $path = "$dir/" . ($o{as} // $name)) =~ s/[^\w.\/-]/_/g;
    my ($type, $value) = $name =~ /^(IP|DNS):(.*)/ ? ($1, $2) : ('DNS', $name);
    my @ca = $o{ca} ? (issuer => [map { $_->[0]->("$o{ca}.$_->[1]") }
        [\&IO::Socket::SSL::Utils::PEM_file2cert, 'crt'],
        [\&IO::Socket::SSL::Utils::PEM_file2key, 'key']]) : ();
    my @purpose = $o{signs} ? (CA => 1) : (purpose => 'server,client');

    my ($cert, $key) = IO::Socket::SSL::Utils::CERT_create(@ca, @purpose,
        subject => { CN => $value }, subjectAltNames => $o{names} // [[$type, $value]],
        not_before => time - 9999, not_after => time + ($o{ends} // 9999));

    IO::Socket::SSL::Utils::PEM_cert2file($cert, "$path.crt");
    IO::Socket::SSL::Utils::PEM_key2file($key, "$path.key");
    chmod 0644, "$path.key";

    return $path;
}

# ---- names

# A name is of a list of addresses, or "silent"; there are no others.
sub dns {
    my (%names) = @_;

    my $udp = IO::Socket::INET->new(Proto => 'udp', LocalAddr => '127.0.0.1') or die "udp: $!";
    my $pid = fork // die "fork: $!";

    if ($pid) {
        adopt($pid);
        return '127.0.0.1:' . $udp->sockport;
    }

    be_a_server();

    while (defined(my $from = $udp->recv(my $q, 512))) {
        my ($labels) = substr($q, 12) =~ /\A(.*?\0)/s;
        my $type = unpack 'n', substr $q, 12 + length $labels, 2;
        my $found = $names{join '.', unpack '(C/a)*', substr $labels, 0, -1};

        next if $found && !ref $found;

        my @a = map { Socket::inet_aton($_) } $type == 1 && $found ? @$found : ();

        $udp->send(substr($q, 0, 2) . pack('n5', 0x8180 | ($found ? 0 : 3), 1, scalar @a, 0, 0)
            . $labels . pack('nn', $type, 1)
            . join('', map { pack('nnnNn', 0xc00c, 1, 1, 60, 4) . $_ } @a), 0, $from);
    }

    POSIX::_exit(0);
}

1;
