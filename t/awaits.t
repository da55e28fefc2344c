#!/usr/bin/perl

# Every await while its worker is replaced, goes, or is stopped; while its
# client leaves, and when a deadline passes: one table of them, two of each at
# once, over HTTP/1.1; those of the request over TLS, HTTP/2 and in an SSI
# subrequest, too.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Select;
use IO::Socket::INET;
use IO::Socket::SSL ();
use POSIX ();
use Socket qw(MSG_PEEK);
use Test::More;

use NginxAsync;
use NginxAsync::Http2;
use NginxAsync::Pg;
use NginxAsync::Say qw(gone);

# what an await is about, and files that it needs
my %before = map { $_ => '' } qw(file_read file_stat file_remove file_rename
    file_open file_get);

my @kinds = qw(sleep yield body json body_read send sse join ended all gather
    any within shield lock acquire event get put thread file_read file_write
    file_append file_stat file_list file_remove file_rename file_mkdir
    file_rmdir file_open file_get file_put file_close resolve tls recv recv_all
    recv_until send_all fetch fetch_body response_read);

my @pg = qw(pg pg_pipeline pg_begin pg_commit pg_stream pg_next pg_copy
    pg_copy_get pg_copy_put pg_copy_close pg_listen pg_notification);

# over other connections than those of plain HTTP/1.1
my @some = qw(sleep body json body_read send sse all lock get thread file_read
    file_write file_put recv fetch);

if (!NginxAsync::Pg::missing()) {
    push @kinds, @pg;
    push @some, qw(pg pg_pipeline);
}

my %has_body = map { $_ => 1 } qw(body json body_read);

# What a subrequest has of a body it has at once.
my %kinds_of = (plain => \@kinds, tls => \@some, h2 => \@some, h2s => \@some,
    ssi => [grep { !$has_body{$_} } @some]);

my @vias = qw(plain tls h2 h2s ssi);
my %port = (plain => 1, ssi => 1, tls => 2, h2 => 3, h2s => 4);

my $letters = join('', 'a' .. 'z') x 38462;
my %much = (send => substr($letters, 0, 1_000_000),
    sse => 'data: ' . substr($letters, 0, 1_000_000) . "\n\n");

my ($TIMEOUT, $CANCELLED, $CLOSED) = (-2, -3, -4);

my ($h2_listen, $h2_on) = NginxAsync::Conf::http2_directive()
    ? ('', 'http2 on;') : (' http2', '');

# ---- a database, whose gate is a table that is locked until it opens

my ($pg, $gate);

# "far" leads to a server of ours before it
sub database {
    my ($port) = @_;

    my %pools = (db => 60, one => 1, two => 1, tx => 10, far => 1);
    my %far = (far => { port => $port });

    return '' if NginxAsync::Pg::missing();

    $pg //= NginxAsync::Pg->new(tcp => 1, max_connections => 150);

    undef $gate;
    $pg->sql(<<'EOF_SQL') if !$pg->sql(q{SELECT to_regclass('gate')});
        CREATE TABLE gate ();
        CREATE FUNCTION waits() RETURNS int LANGUAGE plpgsql AS
            'BEGIN PERFORM 1 FROM gate; RETURN 1; END';
        CREATE FUNCTION waits_too() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN PERFORM waits(); RETURN NEW; END';
        CREATE TABLE late (id int);
        CREATE CONSTRAINT TRIGGER waits AFTER INSERT ON late
            DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION waits_too();
        CREATE TABLE taken (line text);
        CREATE TRIGGER waits BEFORE INSERT ON taken
            FOR EACH ROW EXECUTE FUNCTION waits_too();
        GRANT ALL ON gate, late, taken TO PUBLIC;
EOF_SQL
    $gate = $pg->session('BEGIN', 'LOCK TABLE gate');

    return join '', map { "async_pg $_ \""
        . $pg->conninfo($far{$_} ? (tcp => 1, %{ $far{$_} }) : ())
        . "\" connections=$pools{$_} acquire_timeout=1h connect_timeout=1h;\n" }
        sort keys %pools;
}

# ---- others: a server, and a resolver, that do their part at the gate

my @others;

END {
    my $status = $?;
    kill TERM => map { -$_ } @others;
    waitpid $_, 0 for @others;
    $? = $status;
}


sub other {
    my ($part) = @_;

    my $pid = fork // die "fork: $!";

    if ($pid) {
        push @others, $pid;
        return;
    }

    @others = ();
    setpgrp;
    $SIG{TERM} = 'DEFAULT';
    $SIG{CHLD} = $SIG{PIPE} = 'IGNORE';
    alarm 300;
    $part->();
    POSIX::_exit(0);
}


sub waits_for { select undef, undef, undef, 0.02 while !-e $_[0] }


sub serves {
    my ($c, $root) = @_;

    my $gate = "$root/gates/gate";
    my $head = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n";

    recv $c, my $first, 1, MSG_PEEK;

    if ($first eq "\x16") {
        waits_for($gate);
        return IO::Socket::SSL->start_SSL($c, SSL_server => 1,
            SSL_cert_file => "$root/tls.crt", SSL_key_file => "$root/tls.key");
    }

    if ($first eq "\0") {
        waits_for($gate);
        return forwards($c);
    }

    my $line = <$c> // return;
    syswrite $c, $head if $line =~ /body/;
    waits_for($gate);
    syswrite $c, $head if $line =~ /head/;
    syswrite $c, "new\n";

    while (sysread $c, my $buf, 65536) { }
}


sub forwards {
    my ($c) = @_;

    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $pg->port) // return;
    my %to = ($c => $s, $s => $c);
    my $both = IO::Select->new($c, $s);

    for ( ;; ) {
        for my $from ($both->can_read) {
            sysread $from, my $buf, 65536 or return;
            syswrite $to{$from}, $buf;
        }
    }
}


sub listens {
    my ($listen, $root) = @_;

    while (my $c = $listen->accept) {
        my $child = fork // die "fork: $!";
        next if $child;
        serves($c, $root);
        POSIX::_exit(0);
    }
}


# each name has the address 127.0.0.1
sub resolves {
    my ($udp, $root) = @_;

    my @asked;
    my $ready = IO::Select->new($udp);

    for ( ;; ) {
        if ($ready->can_read(0.02)) {
            my $from = $udp->recv(my $q, 512);
            push @asked, [$q, $from];
        }

        next if !-e "$root/gates/gate";

        while (my $one = shift @asked) {
            my ($q, $from) = @$one;
            $udp->send(substr($q, 0, 2) . pack('n5', 0x8180, 1, 1, 0, 0)
                . substr($q, 12) . pack('nnnNn', 0xc00c, 1, 1, 60, 4)
                . "\x7f\0\0\x01", 0, $from);
        }
    }
}

# Buffers of connections are small: a large response waits for its reader.
sub nginx {
    my (%o) = @_;

    my $http = delete $o{http} // '';
    my %inet = (LocalAddr => '127.0.0.1');
    my $listen = IO::Socket::INET->new(%inet, Listen => 100) or die $!;
    my $udp = IO::Socket::INET->new(%inet, Proto => 'udp') or die $!;
    my ($port, $dns) = ($listen->sockport, $udp->sockport);
    my %listen = (1 => '', 2 => ' ssl', 3 => $h2_listen, 4 => " ssl$h2_listen");

    my $servers = join '', map { <<"EOF_CONF" } sort keys %listen;
        server {
            listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_$_ sndbuf=32k$listen{$_};
            ${\ ($_ > 2 ? $h2_on : '')}

            location = /await { async_handler awaits:await; }
            location = /short { async_handler awaits:await; async_timeout 300ms; }
            location = /hold  { async_handler awaits:hold; }
            location = /hello { async_handler awaits:hello; }
            location = /ssi.html {
                ssi on;
                root \$TEST_NGINX_SERVER_ROOT/html;
                types { } default_type text/html;
            }
        }
EOF_CONF

    $http .= database($port);

    my $n = NginxAsync->new(connections => 1024,
        files => { 'ssi.html' => '[<!--# include virtual="/await?$args" -->]' },
        conf => {
            main => "thread_pool default threads=1;\n"
                . 'thread_pool many threads=16;',
            http => <<"EOF_CONF" });
        async_app \$TEST_NGINX_APPS/awaits.so;
        async_timeout 1h;
        async_fetch_connect_timeout 1h;
        async_fetch_read_timeout 1h;
        async_fetch_send_timeout 1h;
        async_fetch_ssl_verify off;
        resolver 127.0.0.1:$dns ipv6=off;
        resolver_timeout 1h;
        async_param peer 127.0.0.1:$port;
        async_param named host.test:$port;
        async_param dir \$TEST_NGINX_SERVER_ROOT/gates;
        async_param root \$TEST_NGINX_SERVER_ROOT/root;
        ssl_certificate \$TEST_NGINX_SERVER_ROOT/tls.crt;
        ssl_certificate_key \$TEST_NGINX_SERVER_ROOT/tls.key;
        $http
        $servers
EOF_CONF

    for my $dir (qw(root gates)) {
        mkdir $n->root . "/$dir";
        chmod 0777, $n->root . "/$dir";
    }

    other(sub { listens($listen, $n->root) });
    other(sub { resolves($udp, $n->root) });

    return $n->start;
}


sub touch {
    my ($n, $name) = @_;

    if ($gate && $name eq 'gate') {
        $gate->sql('NOTIFY gate');
        $gate->sql('COMMIT');
    }

    return $n->write_file("gates/$name", '');
}

# ---- clients: what they ask, the rest that they send, the answer, the end

sub asks_http1 {
    my ($n, $via, $p, $kind, $args) = @_;

    my $c = $n->connect(port => $n->port($port{$via}), tls => $via eq 'tls',
        rcvbuf => 32768, timeout => 60);

    if ($has_body{$kind}) {
        $c->send_request('POST', "$p?$args", headers => ['Content-Length', 8,
            'Content-Type', 'application/json']);
        $c->send('"two');

    } else {
        $c->send_request('GET', ($via eq 'ssi' ? '/ssi.html' : $p) . "?$args");
    }

    return (
        rest   => sub { $c->send('par"') if $has_body{$kind} },
        answer => sub { return $c->response },
        leave  => sub { return $c->reset },
        close  => sub { return $c->close },
    );
}


sub asks_http2 {
    my ($h, $c, $p, $kind, $args) = @_;

    my $body = $has_body{$kind};
    my $id   = $h->request($body ? 'POST' : 'GET', "$p?$args",
        end => !$body, headers => $body ? ['content-length', 8,
        'content-type', 'application/json'] : []);

    $h->data($id, '"two', 0) if $body;

    return (
        rest   => sub {
            $h->data($id, 'par"', 1) if $body;
            $h->window($id, 2_000_000) if $much{$kind};
        },
        answer => sub { return $h->response($id) },
        leave  => sub { return $h->reset($id) },
        close  => sub { return $c->close },
    );
}


# Two of each kind; those of HTTP/2 are streams of one connection.
sub clients {
    my ($n, %o) = @_;

    my @clients;
    my $skip = $o{skip} // {};

    for my $via (@{ $o{vias} // \@vias }) {
        my ($h, $c);

        if ($via =~ /^h2/) {
            $c = $n->connect(timeout => 60, port => $n->port($port{$via}),
                $via eq 'h2s' ? (tls => 1, alpn => ['h2']) : ());
            $h = NginxAsync::Http2->new($c);

            # that of each stream is what holds it
            $h->window(0, 100_000_000);
        }

        for my $kind (grep { !$skip->{$_} } @{ $kinds_of{$via} }) {
            for my $id (map { "$via-$kind-$_" } 1, 2) {
                prepare($n, $kind, $id);

                my $args = "on=$kind&id=$id" . ($o{args} // '');
                my @how  = ($o{path} // '/await', $kind, $args);

                push @clients, { id => $id, kind => $kind, via => $via,
                    $h ? asks_http2($h, $c, @how) : asks_http1($n, $via, @how) };
            }
        }
    }

    return @clients;
}


sub prepare {
    my ($n, $kind, $id) = @_;

    my $path = $n->root . "/root/$id";

    NginxAsync::Env::spew($path, 'old') if defined $before{$kind};

    if ($kind eq 'file_rmdir') {
        mkdir $path;
        chmod 0777, $path;
    }
}


# What has become of the files, those that are left in the middle included.
sub files {
    my ($n) = @_;

    my $dir = $n->root . '/root';
    opendir my $d, $dir or die "$dir: $!";

    return { map { $_ => -d "$dir/$_" ? 'dir' : NginxAsync::Env::slurp(
        "$dir/$_") } grep { !/^\.\.?$/ } readdir $d };
}


my %left = (map({ $_ => '' } qw(file_read file_stat file_open file_get)),
    file_rename => '-renamed', file_write => '', file_append => '',
    file_mkdir => '', file_put => '', file_close => '');

sub files_after {
    my (@clients) = @_;

    return { map { my $k = $_->{kind};
        defined $left{$k} ? ("$_->{id}$left{$k}" => $k eq 'file_mkdir' ? 'dir'
            : defined $before{$k} ? 'old' : 'new') : () } @clients };
}


# Until all of them have said so; the rest is named.
sub said {
    my ($n, $what, $title, @clients) = @_;

    my @missing;
    my $ok = $n->wait_until(sub {
        my %said = map { $_ => 1 } $n->log =~ /<(\S+) $what>/g;
        @missing = grep { !$said{$_} } map { $_->{id} } @clients;
        return !@missing;
    }, 60);

    return ok($ok, $title) || diag "not $what: @missing";
}


# All of them in the middle of their await, and the thread for files held.
sub in_the_middle {
    my ($n, %o) = @_;

    my @clients = clients($n, %o);
    said($n, 'ready', 'all are ready', @clients);

    my $hold = $n->connect(port => $n->port(1), timeout => 60)
        ->send_request('GET', '/hold');
    ok $n->wait_for_log(qr/<in a thread>/, 60), 'the thread for files is held';

    touch($n, 'begin');
    said($n, 'begins', 'all begin', @clients);

    return ($hold, @clients);
}


sub all_answer {
    my ($hold, @clients) = @_;

    $_->{rest}->() for @clients;
    is $hold->response->body, 'held', 'the thread is let go';

    for my $c (@clients) {
        my $r = eval { $c->{answer}->() };
        my $want = $much{ $c->{kind} } // "$c->{kind} 0";

        $want = "[$want]" if $c->{via} eq 'ssi';

        my $body = $r ? $r->body : '';
        ok $r && $r->status == 200 && $body eq $want, "... $c->{id}"
            or diag $@ || $r->status . ' ' . substr($body, 0, 100) . ' '
                . length $body;
    }
}

# ---- what has begun is brought to its end

for my $how (qw(reload QUIT)) {
    my $n   = nginx();
    my $old = $n->worker;
    my ($hold, @clients) = in_the_middle($n);

    if ($how eq 'QUIT') {
        $n->signal('QUIT');
        ok $n->wait_for_log(qr/gracefully shutting down/, 60), 'QUIT';

    } else {
        is $n->reload(bound => 60), undef, 'a reload';
        isnt $n->worker, $old, '... a new worker';
        is $n->get('/hello', port => $n->port(1))->body, "hello\n",
            '... that serves';
        ok NginxAsync::Server::alive($old), '... while the old one is there';
    }

    is scalar(() = $n->log =~ /<\S+ -?\d+>/g), 0, '... ends no await';
    touch($n, 'gate');
    all_answer($hold, @clients);

    $_->{close}->() for @clients;
    ok $n->wait_until(sub { !NginxAsync::Server::alive($old) }, 60),
        "$how: then the worker goes";
    is_deeply files($n), files_after(@clients), '... and the files are whole';
    $n->stop;
}

# ---- what cannot be waited for is cancelled

# A shield goes on, for as long as it has been said.
my %shielded = (skip => { shield => 1 });

for my $how ('TERM', 'async_shutdown_timeout') {
    my $timeout = $how eq 'TERM' ? '1h' : '500ms';
    my $n = nginx(http => "async_shutdown_timeout $timeout;");
    my ($hold, @clients) = in_the_middle($n, %shielded);

    $n->signal($how eq 'TERM' ? 'TERM' : 'QUIT');
    said($n, $CANCELLED, "$how: all are cancelled", @clients);
    is_deeply [$n->log =~ /<(\S+ (?!$CANCELLED)-?\d+)>/g], [],
        '... none is told anything else';
    $_->{close}->() for @clients;
    ok gone($n, 60), '... and the worker goes';
    is_deeply { map { $_ => 1 } grep { /^\.async|-(?:write|append|mkdir)-/ }
        keys %{ files($n) } }, {}, '... nothing is half written';
    $n->stop;
}

# ---- clients that leave

{
    my $n = nginx();
    my ($hold, @clients) = in_the_middle($n, %shielded);

    $_->{leave}->() for @clients;

    # one that reads sees that the client has gone before it is told
    my @reads = grep { $_->{kind} eq 'body_read' } @clients;
    my @sends = grep { $much{ $_->{kind} } } @clients;
    my %other = map { $_->{id} => 1 } @reads, @sends;

    said($n, $CANCELLED, 'clients leave, and the awaits end',
        grep { !$other{ $_->{id} } } @clients);
    said($n, "(?:$CANCELLED|$CLOSED)", '... those of the request, too',
        @reads, @sends);

    $hold->reset;
    $_->{close}->() for grep { $_->{via} =~ /^h2/ } @clients;
    is $n->get('/hello', port => $n->port(1))->body, "hello\n",
        '... and the worker serves';

    # what cannot be cancelled ends then
    touch($n, 'gate');
    ok $n->stop, '... and nothing is left';
}

# ---- deadlines: of a block, and async_timeout

{
    my $n = nginx();
    my ($hold, @clients) = in_the_middle($n, %shielded, args => '&deadline=50');

    said($n, $TIMEOUT, 'a deadline passes', @clients);

    for my $c (grep { !$much{ $_->{kind} } } @clients) {
        my $r = eval { $c->{answer}->() };
        my $want = "$c->{kind} $TIMEOUT";

        is $r ? $r->body : $@, $c->{via} eq 'ssi' ? "[$want]" : $want,
            "... $c->{id} is told, and answers";
    }

    touch($n, 'gate');
    $hold->response;
    $_->{close}->() for @clients;
    ok $n->stop, '... and nothing is left';
}

{
    my $n = nginx();

    my $hold = $n->connect(port => $n->port(1), timeout => 60)
        ->send_request('GET', '/hold');
    ok $n->wait_for_log(qr/<in a thread>/, 60), 'the thread for files is held';
    touch($n, 'begin');

    # a stream that has begun has no such bound
    my @clients = clients($n, path => '/short', vias => [qw(plain h2)],
        skip => { shield => 1, send => 1, sse => 1 });

    for my $c (@clients) {
        my $r = eval { $c->{answer}->() };
        is $r ? $r->status : $@, 504, "async_timeout: $c->{id}";
    }

    said($n, $TIMEOUT, '... all are told', @clients);
    touch($n, 'gate');
    $hold->response;
    $_->{close}->() for @clients;
    ok $n->stop, '... and nothing is left';
}

undef $gate;
undef $pg;

done_testing;
