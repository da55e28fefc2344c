#!/usr/bin/perl

# Ends of workers: QUIT, TERM, reload, kill -9, while handlers are suspended.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

use NginxAsync;
use NginxAsync::Say qw(gone);

my $routes = <<'EOF_CONF';
    location = /nap      { async_handler nap; async_timeout 1d; }
    location = /yields   { async_handler yields; }
    location = /body     { async_handler body; }
    location = /stubborn { async_handler stubborn; }
    location = /where    { async_handler where; }
    location = /file {
        async_handler file;
        async_param file $TEST_NGINX_SERVER_ROOT/html/index.html;
    }
EOF_CONF

sub nginx {
    my (%o) = @_;

    my $http = delete $o{http} // '';
    my $n = NginxAsync->new(connections => 512, %o, conf => {
        http => "async_app \$TEST_NGINX_APPS/request.so;\n"
            . "async_param marker \$TEST_NGINX_SERVER_ROOT/marker;\n$http",
        server => $routes });

    $n->write_file('marker', '');
    chmod 0666, $n->root . '/marker';

    return $n->start;
}


sub marked {
    my ($n, $pattern) = @_;

    return $n->wait_until(sub { $n->read_file('marker') =~ $pattern });
}

# ---- QUIT during each await

{
    my %await = (
        sleep => ['GET', '/nap?tag=t&ms=700', "nap t\n"],
        yield => ['GET', '/yields?tag=t', "yields\n"],
        file  => ['GET', '/file?tag=t', qr/It works/],
    );

    for my $await (sort keys %await) {
        my ($method, $uri, $body) = @{ $await{$await} };
        my $n = nginx();
        my $c = $n->connect->send_request($method, $uri);

        marked($n, qr/t begins/);
        $n->signal('QUIT');

        my $r = $c->response;
        is $r->status, 200, "QUIT amid $await lets the handler answer";
        ref $body ? like $r->body, $body, '... all of it'
            : is $r->body, $body, '... all of it';
        ok gone($n), '... and the worker goes';
        $n->stop;
    }

    my $n = nginx();
    my $c = $n->connect->send("POST /body?tag=t HTTP/1.1\r\nHost: x\r\n"
        . "Content-Length: 8\r\n\r\n", 'slow');
    marked($n, qr/t begins/);
    $n->signal('QUIT');
    $n->wait_for_log(qr/gracefully shutting down/);
    sleep 0.3;
    $c->send('body');
    is $c->response->body, 'slowbody', 'QUIT amid a body lets it come';
    ok gone($n), '... and the worker goes';
    $n->stop;
}

{
    my $n = nginx();
    is $n->get('/nap?ms=1')->status, 200, 'a worker that has run handlers';
    my $start = time;
    $n->signal('QUIT');
    ok gone($n), '... and is idle exits at once on QUIT';
    cmp_ok time - $start, '<', 15, '... without a guard of its own';
    $n->stop;
}

{
    my $n = nginx();
    my $c = $n->connect->send_request('GET', '/nap?tag=long&ms=3600000');
    marked($n, qr/long begins/);
    ok $n->term, 'TERM amid a sleep is clean, within a bound';
}

# ---- the bound

{
    my $n = nginx(http => 'async_shutdown_timeout 500ms;');
    my $c = $n->connect->send_request('GET', '/nap?tag=hour&ms=3600000');
    my $k = $n->connect->send_request('GET', '/nap?tag=short&ms=100');
    marked($n, qr/hour begins/);
    marked($n, qr/short begins/);
    $n->signal('QUIT');
    is $k->response->status, 200, 'what ends before async_shutdown_timeout ends well';

    my $r = $c->response;
    is $r->status, 503, 'async_shutdown_timeout cancels what sleeps for an hour';
    is $r->body, '{"detail":"Service Unavailable"}', '... with a JSON body';
    is $r->header('Retry-After'), 1, '... and Retry-After';
    ok marked($n, qr/hour cancelled/), '... the handler knows';
    ok gone($n), '... and the worker goes';
    like_log $n, 0, qr/\[warn\] .*1 tasks? .*async_shutdown_timeout/,
        '... and the log says so';
    $n->stop;
}

{
    my $n = nginx(http => 'async_shutdown_timeout 300ms;');
    my $c = $n->connect->send("POST /body?tag=t HTTP/1.1\r\nHost: x\r\n"
        . "Content-Length: 8\r\n\r\nhalf");
    marked($n, qr/t begins/);
    $n->signal('QUIT');
    is $c->response->status, 503, 'async_shutdown_timeout ends a wait for a body';
    $c->close;
    ok gone($n), '... and the worker goes';
    $n->stop;
}

{
    my $n = nginx(http => 'async_shutdown_timeout 300ms;');
    my $c = $n->connect->send_request('GET', '/stubborn?tag=mule');
    marked($n, qr/mule begins/);
    my $start = time;
    $n->allow(qr/open socket #\d+ left in connection/, qr/\[alert\] .*aborting/);
    $n->signal('QUIT');
    ok gone($n), 'a handler that ignores its cancel cannot keep the worker';
    like_log $n, 0, qr/\[error\] .*"request:stubborn" does not end after it has been cancelled, in await_sleep at \S*request\.c:\d+/,
        '... and is named';
    $n->stop;
}

{
    my $n = nginx(http => 'async_shutdown_timeout 300ms;');
    my $c = $n->connect->send_request('GET', '/stubborn?tag=mule&ms=3600000');
    marked($n, qr/mule begins/);
    $c->close;
    sleep 0.3;
    $n->allow(qr/open socket #\d+ left in connection/, qr/\[alert\] .*aborting/);
    $n->signal('QUIT');
    ok gone($n), '... nor one whose client has left';
    $n->stop;
}

# ---- reload

{
    my $n = nginx();
    my $old = $n->worker;
    my $c = $n->connect->send_request('GET', '/nap?tag=old&ms=4000');
    marked($n, qr/old begins/);
    is $n->reload, undef, 'a reload amid a sleep';
    isnt $n->worker, $old, '... brings a new worker';
    is $n->get('/nap?tag=new&ms=1')->body, "nap new\n", '... that serves';
    ok NginxAsync::Server::alive($old), '... while the old one is there';
    is $c->response->body, "nap old\n", '... and ends what it began';
    ok $n->wait_until(sub { !NginxAsync::Server::alive($old) }), '... then it goes';
    $n->stop;
}

# Clients in processes of their own, who ask until told to stop; each then
# says how many requests went wrong, and in what way first.
sub load {
    my ($n, $count, $uri) = @_;

    my $stop = $n->root . '/stop';
    my @clients;

    for my $i (1 .. $count) {
        pipe my $r, my $w or die "pipe: $!";
        my $pid = fork // die "fork: $!";

        if ($pid == 0) {
            my ($asked, $failed, $first) = (0, 0, '');

            until (-e $stop) {
                my $ok = eval { $n->get($uri, timeout => 20)->status == 200 };
                $asked++;
                next if $ok;
                $failed++;
                $first ||= $@ || 'not 200';
            }

            syswrite $w, "$asked $failed $first";
            POSIX::_exit(0);
        }

        close $w;
        push @clients, [$pid, $r];
    }

    return sub {
        NginxAsync::Env::spew($stop, '');
        my ($asked, $failed, @first) = (0, 0);

        for my $client (@clients) {
            my ($pid, $r) = @$client;
            local $/;
            my ($a, $f, $first) = split ' ', <$r> // '0 1 gone', 3;
            $asked += $a;
            $failed += $f;
            push @first, $first if $first;
            waitpid $pid, 0;
        }

        unlink $stop;
        diag "$failed of $asked: @first" if $failed;

        return ($asked, $failed);
    };
}

{
    my $n = nginx(workers => 2);
    my $end = load($n, 4, '/nap?ms=20');
    my $errors = 0;

    for (1 .. 50) {
        $errors++ if defined $n->reload;
    }

    my ($asked, $failed) = $end->();
    is $errors, 0, 'fifty reloads under load';
    is $failed, 0, '... without a failed request';
    cmp_ok $asked, '>', 50, "... of $asked";
    $n->stop;
}

# ---- kill -9

{
    my $n = nginx(workers => 2);
    my $end = load($n, 4, '/nap?ms=20');

    my $new = $n->kill_worker('KILL');
    ok $new, 'kill -9 under load: the master makes a new worker';
    sleep 0.2;
    ok $n->kill_worker('KILL'), '... again';
    sleep 0.2;

    my ($asked, $failed) = $end->();
    cmp_ok $failed, '<=', 8, '... and no request fails but those in its hands';
    is $n->get('/nap?ms=1')->status, 200, '... and it serves';
    $n->stop;
}

# ---- without a master process

{
    my $n = nginx(master => 'off', allow => qr/cannot reload/);
    is $n->get('/nap?tag=single&ms=20')->body, "nap single\n",
        'a single process serves';

    # after a reload nginx of one process would have no connections for clients
    my $since = $n->mark;
    $n->signal('HUP');
    like_log $n, $since, qr/\[emerg\].*with "master_process off" nginx cannot reload, the old configuration stays/,
        '... refuses a reload';
    is $n->get('/nap?tag=still&ms=20')->body, "nap still\n", '... and serves on';
    ok $n->stop, '... and ends on QUIT';
}

{
    my $n = nginx(master => 'off');
    my $c = $n->connect->send_request('GET', '/nap?tag=single&ms=60000');
    marked($n, qr/single begins/);
    ok $n->stop, 'a single process ends on QUIT amid a sleep';
}

done_testing;
