# Sockets over the life of a worker and of a connection: what ends them, who
# waits on them, and what has come when nobody waited.

use strict;
use warnings;

use lib 't/lib';
use IO::Socket::INET;
use IO::Socket::SSL;
use JSON::PP;
use POSIX ();
use Socket qw(SOL_SOCKET SO_LINGER);
use Test::More;
use NginxAsync;
use NginxAsync::Http2;
use NginxAsync::Say qw(gone json);

my @handlers = qw(lines both end dripped twice refused called child later hello);

sub nginx {
    my (%o) = @_;
    my $http = delete $o{http} // '';
    my $routes = join '', map { "location = /$_ { async_handler socket:$_; }\n" } @handlers;

    return NginxAsync->new(%o, conf => { server => $routes, events => delete $o{events} // '',
        http => <<"EOF_CONF" })->start;
        async_app \$TEST_NGINX_APPS/socket.so;
        @{[ $http =~ /ssl_verify/ ? '' : 'async_fetch_ssl_verify off;' ]}
        $http
EOF_CONF
}

# ---- servers that fork for each connection, and play a part

my @servers;
my $parent = $$;

sub server {
    my ($part) = @_;

    my $listen = IO::Socket::INET->new(Listen => 50, LocalAddr => '127.0.0.1') or die "listen: $!";
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

    return '127.0.0.1:' . $listen->sockport;
}

END {
    if ($$ == $parent) {
        my $status = $?;
        kill TERM => $_ for @servers;
        waitpid $_, 0 for @servers;
        $? = $status;
    }
}

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

my $dir = NginxAsync::Guard::temp_dir('tls');

system("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext "
    . "subjectAltName=DNS:localhost -keyout $dir/key -out $dir/crt 2>/dev/null") == 0 or die 'openssl';

sub tls_server {
    my ($part, %o) = @_;
    return server(sub {
        my ($c) = @_;
        IO::Socket::SSL->start_SSL($c, SSL_server => 1, SSL_cert_file => "$dir/crt",
            SSL_key_file => "$dir/key", %o) or return;
        $part->($c);
    });
}

# ---- what has come when nobody waited

{
    my $n = nginx();
    my $to = server(sub { my ($c) = @_; print $c 'abc' });
    my $tls = tls_server(sub { my ($c) = @_; print $c 'abc'; $c->close });
    my $cut = tls_server(sub { my ($c) = @_; print $c 'abc' });
    my $end = { rc => 0, again => 0, more => 0, error => '' };

    is_deeply json($n->get(query('/end', to => $to, recv => 500))), $end, 'the end, and once more';
    is_deeply json($n->get(query('/end', to => $tls, tls => 1, recv => 500))), $end, '... of TLS';

    my $r = json($n->get(query('/end', to => $cut, tls => 1, recv => 500)));
    is $r->{rc}, -4, '... which says so itself: otherwise it is cut off';
    like $r->{error}, qr/receive from .*: broken off/, '... and that is told';

    my $rude = server(sub {
        my ($c) = @_;
        print $c 'abc'; $c->flush; pause(0.1);
        setsockopt $c, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0);
    });
    $r = json($n->get(query('/end', to => $rude, recv => 500)));
    is_deeply [@$r{qw(rc again)}], [-4, -4], 'one that breaks off, and once more';

    my $drip = server(sub { my ($c) = @_; $c->autoflush; for (1 .. 10) { print $c 'x'; pause(0.01) } <$c> });
    is_deeply json($n->get(query('/dripped', to => $drip))),
        { rc => 0, busy => JSON::PP::true, other => 0 }, 'one that receives is there to its end';
    $n->stop;
}

{
    # 3 bytes, and another response in the same record that nobody asked for
    my $tls = tls_server(sub {
        my ($c) = @_;
        $c->autoflush;
        sysread $c, my $buf, 10000;
        syswrite $c, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n";
        pause(0.1);
        syswrite $c, "abcHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
        while (sysread $c, my $buf, 10000) { }
    });
    my $n = nginx();
    my $r = json($n->get(query('/twice', url => "https://$tls/")));
    is_deeply [@$r{qw(one two)}], ['abc', 'abc'],
        'TLS: what OpenSSL has and nobody asked for is no response' or diag explain $r;
    $n->stop;
}

{
    # the name as it is asked for, and without its dot (RFC 6066, 3)
    my $tls = tls_server(sub {
        my ($c) = @_;
        while (sysread $c, my $buf, 10000) {
            my $said = join ' ', $c->get_servername // '-', $buf =~ /^Host: ([^:]*)/m;
            syswrite $c, "HTTP/1.1 200 OK\r\nContent-Length: " . length($said) . "\r\n\r\n$said";
        }
    });
    my ($port) = $tls =~ /:(\d+)/;
    my $n = nginx(http => "async_fetch_ssl_verify on; async_fetch_ssl_trusted_certificate $dir/crt;");
    my $r = json($n->get(query('/twice', url => "https://localhost.:$port/")));
    is_deeply [@$r{qw(one two)}], [('localhost localhost.') x 2], 'a fetch of a name with a dot'
        or diag explain $r;
    $n->stop;
}

{
    # it answers, and breaks off with what it has not read
    my $to = server(sub {
        my ($c) = @_;
        sysread $c, my $buf, 20;
        pause(0.1);
        syswrite $c, "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n";
    });
    my $n = nginx();
    is $n->get(query('/refused', url => "http://$to/"))->body, '{"status":413}',
        'an answer before all was sent, of which the loop has not told';
    $n->stop;
}

# ---- who awaits

my $echo = server(sub {
    my ($c) = @_;
    local $/ = "\r\n";
    while (my $line = <$c>) { print $c $line; $c->flush }
});

{
    my $h2 = NginxAsync::Conf::http2_directive() ? ['', 'http2 on;'] : [' http2', ''];
    my $n = nginx(http => <<"EOF_CONF");
        async_param starts $echo;
        async_param ends $echo;
        async_param probe $echo;
        async_every 50ms socket:probe;
        server {
            listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_1$h2->[0];
            $h2->[1]
            location / { async_handler socket:lines; }
        }
EOF_CONF
    ok $n->wait_for_log(qr/<heard starts>/, 20), 'a startup function';
    ok $n->wait_for_log(qr/<probed probe>/, 20), 'a periodic one';

    for my $who (qw(called child later)) {
        is $n->get(query("/$who", to => $echo))->body, $who, $who;
        ok $n->wait_for_log(qr/<heard $who>/, 20), '... has heard of it';
    }

    my $h = NginxAsync::Http2->new(my $c = $n->connect(port => $n->port(1)));
    my @id = map { $h->request('GET', query('/', to => $echo, say => "$_\r\n")) } 1 .. 5;
    is_deeply [map { json($h->response($_))->{lines}[0] } @id], [1 .. 5], 'HTTP/2, five at once';
    my $since = $n->mark;
    my $silent = server(sub { my ($c) = @_; 1 while sysread $c, my $buf, 100 });
    my ($first, $second) = map { $h->request('GET', query('/', to => $_, say => "x\r\n")) } $silent, $echo;
    is json($h->response($second))->{lines}[0], 'x', '... one does not hold the others';
    $h->reset($first);
    ok $n->wait_for_log(qr/<recv ends -3>/, 20, $since), '... and a stream that is reset ends it';
    $c->close;

    $n->signal('QUIT');
    ok $n->wait_for_log(qr/<heard ends>/, 20), 'a shutdown function';
    ok gone($n, 20), '... and then the worker goes';
    $n->stop;
}

# ---- the end of a worker

# a server that does not accept before $gate is there
my $gate = NginxAsync::Guard::temp_dir('gate') . '/gate';

sub full {
    my $full = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die "listen: $!";
    listen $full, 0;
    my $to = '127.0.0.1:' . $full->sockport;
    my @fill = map { IO::Socket::INET->new(PeerAddr => $to, Blocking => 0) } 1 .. 3;
    my $pid = fork // die "fork: $!";

    if ($pid == 0) {
        $SIG{TERM} = 'DEFAULT';
        alarm 60;
        pause(0.02) while !-e $gate;
        my @all;
        while (my $c = $full->accept) { push @all, $c; syswrite $c, "come\r\n" }
        POSIX::_exit(1);
    }

    push @servers, $pid;

    return ($to, $full, @fill);
}

for my $how (qw(reload QUIT TERM)) {
    unlink $gate;
    my ($to, @full) = full();
    # those to whose SYN nobody has answered
    my $port = sprintf '%04X', $to =~ /:(\d+)/;
    my $tries = sub { scalar(() = NginxAsync::Env::slurp('/proc/net/tcp') =~ /:$port 02 /g) };
    my $others = $tries->();
    my $n = nginx();
    my $old = $n->worker;
    my $c = $n->connect(timeout => 20)->send_request('GET',
        query('/lines', to => $to, connect => 20_000, say => "x\r\n"));
    ok $n->wait_until(sub { $tries->() > $others }, 20), "$how: it connects";

    if ($how eq 'reload') {
        is $n->reload, undef, '... a reload';
    } else {
        $n->signal($how);
    }

    if ($how eq 'TERM') {
        ok $n->wait_for_log(qr/<connect ends -3>/, 20), '... it is cancelled';
        $c->close;
    } else {
        pause(0.1);
        open my $f, '>', $gate or die "$gate: $!";
        is_deeply json($c->response)->{lines}, ['come'], '... it goes on to its end';
        $c->close;
    }

    ok $n->wait_until(sub { !NginxAsync::Server::alive($old) }, 20), '... and the worker goes';
    $n->stop;
}

# the time at which the other side of a kept connection sees its end
my $closed = NginxAsync::Guard::temp_dir('closed');

for my $how (qw(reload QUIT TERM)) {
    for my $tls (0, 1) {
        my $path = "$closed/$how-$tls";
        my $part = sub {
            my ($c) = @_;
            local $/ = "\r\n";
            while (my $line = <$c>) { print $c $line; $c->flush }
            open my $f, '>', $path or die;
        };
        my $to = $tls ? tls_server($part) : server($part);
        my $n = nginx();
        json($n->get(query('/lines', to => $to, say => "x\r\n", pool => 1, keep => 1, tls => $tls)));
        pause(0.1);
        ok !-e $path, "$how, TLS $tls: it is kept";
        $n->signal($how eq 'reload' ? 'HUP' : $how);
        ok $n->wait_until(sub { -e $path }, $ENV{TEST_NGINX_ASAN} ? 10 : 1), '... and closed at once';
        $n->stop;
    }
}

done_testing;
