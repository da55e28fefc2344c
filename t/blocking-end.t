#!/usr/bin/perl

# Blocking handlers and hooks where something ends: a client while its request
# is queued or its thread runs, a child process, a worker with threads that
# are busy; what then must run, in which order, and what must not be left.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Fcntl qw(O_RDWR O_NONBLOCK);
use POSIX ();
use Test::More;

use NginxAsync;
use NginxAsync::Say qw(said says gone);

my $asan = NginxAsync::Env::asan();

# of a socket: bytes that the other side does not have yet
my $TIOCOUTQ = 0x5411;

my $locations = join '', map { "location = /$_ { async_handler $_; }\n" }
    qw(hello late nap hog reads loops polls talks children uses);

# A server and the FIFO at which its threads read.
sub server {
    my (%o) = @_;

    my ($main, $http, $server) = map { delete $o{$_} // '' }
        qw(main http server);

    my $n = NginxAsync->new(%o, conf => { main => $main,
        server => "$locations\n$server", http => <<"EOF_CONF" });
    async_app \$TEST_NGINX_APPS/blocking-end.so;
    async_param gate \$TEST_NGINX_SERVER_ROOT/gate;
$http
EOF_CONF

    my $gate = $n->root . '/gate';
    POSIX::mkfifo($gate, 0666) or die "mkfifo $gate: $!";
    chmod 0666, $gate;

    $n->start;
    says($n, 'second', 0) or die "the startup does not end\n";

    return $n;
}


# Lets one thread at the gate go on.
sub open_gate {
    my ($n) = @_;

    sysopen my $gate, $n->root . '/gate', O_RDWR | O_NONBLOCK
        or die "gate: $!";
    syswrite $gate, "\n";
}


# A connection whose request has said something.
sub begun {
    my ($n, $uri, $event) = @_;

    my $since = $n->mark;
    my $c = $n->connect->send_request('GET', $uri);
    says($n, $event, $since) or die "$uri does not say $event\n";

    return $c;
}


# The server has read all that a client has sent: its kernel has it, and a
# later request of another client has been answered.
sub has_read {
    my ($n, $c) = @_;

    $n->wait_until(sub {
        ioctl $c->socket, $TIOCOUTQ, my $left = pack 'i', 0 or die "ioctl: $!";
        return unpack('i', $left) == 0;
    }) or die "the server does not read\n";

    $n->get('/hello')->status == 200 or die "the loop does not answer\n";

    return $c;
}


# How many clients of this URI have left without an answer.
sub left {
    my ($n, $uri) = @_;

    return scalar(() = $n->access_log =~ m{ \Q$uri\E HTTP/\S+ 499 }g);
}


# Clients that leave while their requests are queued; all must get logged.
sub come_and_leave {
    my ($n, $count, $method, $uri, %o) = @_;

    $n->get('/hello');
    my $before = left($n, $uri);

    for (1 .. $count) {
        my $c = $n->connect->send_request($method, $uri, %o);
        has_read($n, $c)->reset;
    }

    return $n->wait_until(sub { left($n, $uri) == $before + $count });
}


# ---- clients that leave a queue

sub queues {
    return server(main => <<'EOF_MAIN', server => <<'EOF_SERVER');
        thread_pool single threads=1;
        thread_pool ten    threads=1 max_queue=10;
EOF_MAIN
        location = /single/reads { async_thread_pool single; async_handler reads; }
        location = /ten/reads    { async_thread_pool ten; async_handler reads; }
        location = /ten/length   { async_thread_pool ten; async_handler length; }
        location = /memory {
            async_thread_pool single;
            async_handler length;
            client_body_buffer_size 256k;
        }
        location = /file {
            async_thread_pool single;
            async_handler length;
            client_body_buffer_size 8k;
        }
EOF_SERVER
}


subtest 'Clients that leave a queue leave nothing there' => sub {
    my $n = queues();
    my @body = (body => 'x' x 200_000);
    my $c = begun($n, '/single/reads', 'reads');

    ok come_and_leave($n, 20, 'POST', '/memory', @body), 'Twenty leave';
    my $before = $n->memory_of_worker;
    ok come_and_leave($n, 100, 'POST', '/memory', @body), '... and 100 more';
    my $grown = int(($n->memory_of_worker - $before) / 1024);

    SKIP: {
        skip 'ASan keeps what has been freed', 1 if $asan;
        cmp_ok $grown, '<', 4096, "... and with them their bodies: $grown kB";
    }

    my $fds = () = $n->open_fds;
    ok come_and_leave($n, 50, 'POST', '/file', @body), 'Bodies in files, too';
    ok $n->wait_until(sub { $n->open_fds == $fds }), '... which are closed'
        or diag join "\n", $n->open_fds;

    my $q = has_read($n, $n->connect->send_request('POST', '/memory', @body));
    open_gate($n);
    is $c->response->status, 200, 'The thread goes on';
    is $q->response->body, "200000\n", '... and serves who has waited';

    $c = begun($n, '/ten/reads', 'reads');

    for my $round (1 .. 3) {
        ok come_and_leave($n, 10, 'GET', '/ten/length'),
            "Ten have left a queue of ten, round $round";
    }

    $q = has_read($n, $n->connect->send_request('GET', '/ten/length'));
    open_gate($n);
    is $c->response->status, 200, 'The thread goes on';
    is $q->response->status, 200, '... and there was room in the queue';
    $n->stop;
};


# What the client does at last, the loop sees in one turn: it is held until
# both have happened.
for my $where (qw(memory file)) {
    subtest "A client leaves with the end of its body in $where" => sub {
        my $n = queues();
        my $c = begun($n, '/single/reads', 'reads');
        my $fds = () = $n->open_fds;

        my $w = $n->connect->send("POST /$where HTTP/1.1\r\nHost: x\r\n"
            . "Content-Length: 20000\r\n\r\n" . 'x' x 19_999);
        has_read($n, $w);
        my $hog = begun($n, '/hog', 'hog begins');
        $w->send('x');
        $w->close;
        is $hog->response->status, 200, 'The loop goes on';

        ok $n->wait_until(sub { left($n, "/$where") == 1 }),
            '... and the request ends while the thread is busy';
        $hog->close;
        ok $n->wait_until(sub { $n->open_fds == $fds }), '... and is closed';
        open_gate($n);
        is $c->response->status, 200, 'The thread goes on';
        $n->stop;
    };
}


# ---- child processes

subtest 'A blocking handler gets the status of its child processes' => sub {
    my $n = server();

    is $n->get("/children?by=$_")->body, 20, "$_: all of twenty"
        for qw(system popen fork);

    unlike $n->log, qr/unknown process/, 'nginx has not seen them';
    $n->stop;
};


# ---- cleanups of calls

subtest 'What a call has acquired is released after its thread' => sub {
    my $n = server(server =>
        'location = /short/uses { async_timeout 1500ms; async_handler uses; }');
    my $forever = 'ms=3600000';

    my @cases = (
        ['the handler ends', '/uses', 'ok'],
        ['the client leaves', '/uses?until=cancelled', 'leaves'],
        ['the client leaves amid the call', "/uses?$forever", 'leaves'],
        ['the deadline passes', '/short/uses?until=cancelled', 'late'],
        ['the deadline passes amid the call', "/short/uses?$forever", 'late'],
    );

    for my $case (@cases) {
        my ($title, $uri, $how) = @$case;
        my $since = $n->mark;
        my $c = begun($n, $uri, 'acquired');

        if ($how eq 'leaves') {
            $c->reset;

        } else {
            is $c->response->status, $how eq 'ok' ? 200 : 504, $title;
        }

        $n->wait_for_log(qr/<released/, 20, $since);
        my ($path) = $uri =~ /([^?]+)/;
        my $var = $how eq 'ok' ? $path : 'absent';
        is_deeply said($n, $since), ['acquired', 'used',
            "released $path var $var await ok"], "... in order: $title";
    }

    $n->stop;
    is scalar(grep { /^released/ } @{ said($n) }), @cases, 'Each once';
};


# ---- the clock

subtest 'A deadline counts from the beginning of its task' => sub {
    my $n = server(http =>
        'async_param startup_hold 600; async_timeout 500ms;');

    is_deeply said($n), [qw(first second)],
        'A startup function after one that has held the loop';
    unlike $n->log, qr/\[error\]/, '... at the first try';

    # both requests are there when the first hog lets the loop go
    my ($x, $hog, $nap) = map { $n->connect } 1 .. 3;
    $n->get('/hello');
    $x->send_request('GET', '/hog');
    says($n, 'hog begins');
    $hog->send_request('GET', '/hog');
    $nap->send_request('GET', '/nap?ms=1');
    is $nap->response->status, 200, 'A handler after one that has';
    $_->response for $x, $hog;
    $n->stop;
};


# ---- post_action

subtest 'post_action runs to its end without the client' => sub {
    my $n = server(server =>
        'location = /acted { post_action /nap; return 200 x; }');
    my $c = begun($n, '/acted', 'nap begins');

    is $c->response->status, 200, 'The client is answered';
    $c->close;
    ok says($n, 'nap ok'), '... and leaves, and the handler goes on';
    unlike $n->log, qr/nap (?:cancelled|failed)/, '... undisturbed';
    $n->stop;
};


# ---- hooks and async_max_tasks

for my $end (qw(QUIT TERM)) {
    subtest "Hooks do not depend on async_max_tasks, $end" => sub {
        my $n = server(http => 'async_max_tasks 1;');

        is $n->get('/hello')->status, 200, 'A request has the task';
        my @c = $end eq 'QUIT' ? ()
            : begun($n, '/nap?ms=3600000', 'nap begins');
        $n->signal($end);
        ok gone($n), 'The worker goes';
        my @said = grep { !/^nap/ } @{ said($n) };
        is_deeply \@said, ['first', 'second', 'down begins', 'down ends',
            'last'], '... and all four hooks have run';
        unlike $n->access_log, qr/" 503 /, '... and nobody was refused'
            if $end eq 'QUIT';
        unlike $n->log, qr/async_max_tasks|left out/, '... as the log knows';
        $n->stop;
    };
}


# ---- ends of workers

subtest 'A thread that is stuck in stdio does not keep a worker' => sub {
    my $n = server(http => 'async_shutdown_timeout 1s;');
    my $old = $n->worker;
    my $c = begun($n, '/reads', 'reads');

    is $n->reload, undef, 'A new worker is there';
    ok $n->wait_until(sub { !NginxAsync::Server::alive($old) }, 20),
        '... and the old one goes';
    like_log $n, 0, qr/async "blocking-end:reads" runs still: the worker exits without its thread/,
        '... without the thread';
    kill 'KILL', $old;
    $n->stop;
};


subtest 'What threads use is there until the process ends' => sub {
    for my $round (1 .. 5) {
        my $n = server(env => { MALLOC_PERTURB_ => 165 });
        my @c = map { begun($n, '/loops', 'loops') } 1 .. 3;

        ok $n->term, "TERM, round $round";
        unlike $n->log, qr/<param lost>/, '... with all params';
    }
};


for my $case (['TERM', 'on'], ['TERM', 'off'], ['QUIT', 'off']) {
    my ($signal, $master) = @$case;

    subtest "$signal ends handlers first, master_process $master" => sub {
        my $n = server(master => $master, http => 'async_param down 300;');
        my $k = $n->connect;
        is $k->request('GET', '/hello')->status, 200, 'A connection is kept';
        my $c = begun($n, '/nap?ms=3600000', 'nap begins');

        $n->signal($signal);
        ok says($n, 'down begins'), 'A shutdown function runs';
        my $status = eval { $k->request('GET', '/late')->status } // 'closed';
        like $status, qr/^(?:503|closed)$/, 'A request now is refused';
        ok gone($n), 'nginx ends';
        is_deeply said($n), ['first', 'second', 'nap begins',
            'nap cancelled', 'down begins', 'down ends', 'last'],
            '... in this order';
        $n->stop;
    };
}


subtest 'TERM tells a thread that asks' => sub {
    my $n = server(http => 'async_param down 300;');
    my $c = begun($n, '/polls', 'polls');

    ok $n->term, 'nginx ends';
    is_deeply [sort @{ said($n) }], [sort qw(first second polls told last),
        'down begins', 'down ends'], '... and the line of the thread is there';
};


for my $then (qw(returns stays)) {
    subtest "Last words of a thread that $then" => sub {
        my $n = server(http => 'async_param talk 1;');
        my $uri = $then eq 'stays' ? '/talks?then=stays' : '/talks';
        my $c = begun($n, $uri, 'listens');

        ok $n->term, 'A shutdown function holds the loop to the end';
        is_deeply [sort @{ said($n) }], [sort 'first', 'second', 'listens',
            'down begins', 'down ends', 'last', 'last words'],
            '... and the line of the thread is there';
    };
}


# ---- the configuration

# Its exit status and message with an app and locations, and pools above the
# load_module and below.
sub pools {
    my ($above, $below, @used) = @_;

    my $load = NginxAsync::Env::load_modules();
    local $ENV{TEST_NGINX_LOAD_MODULES} = '';

    my $locations = join '', map { "location /$_ { async_handler hello; "
        . "async_thread_pool $used[$_]; }\n" } 0 .. $#used;

    my $n = NginxAsync->new(allow => '[emerg]');
    my ($status, $out) = $n->conf_test(<<"EOF_CONF");
$above
$load
$below
http {
    async_app \$TEST_NGINX_APPS/blocking-end.so;
    server {
        listen 127.0.0.1:\$TEST_NGINX_SERVER_PORT;
        $locations
    }
}
EOF_CONF
    $n->stop;

    return ($status, $out);
}


my $early = 'thread_pool early threads=1;';
my $late  = 'thread_pool late threads=1;';

subtest 'async_thread_pool takes no variables' => sub {
    my ($status, $out) = pools('', '', '$x');

    is $status, 1, 'It is refused';
    like $out, qr/\[emerg\] "async_thread_pool" directive takes no variables in /,
        '... and the message says why';
};


subtest 'A pool above the load_module is there' => sub {
    my ($status, $out) = pools($early, $late, 'early', 'late');
    is $status, 0, 'It can be used' or diag $out;

    ($status, $out) = pools($early, $late, 'early', 'lat');
    is $status, 1, 'Another one is misspelt';
    like $out, qr/unknown thread pool "lat"/, '... as the message says';
    like $out, qr/there is no thread pool "lat", did you mean "late"\?/,
        '... and helps';
    unlike $out, qr/there is no thread pool "early"/,
        '... and says nothing wrong of the one that exists';

    ($status, $out) = pools($early, $late, 'early', 'unlike');
    is $status, 1, 'Another one is like no other';
    unlike $out, qr/there is no thread pool "early"/,
        '... and the message says nothing wrong of the one that exists';
};


subtest 'A pool that exists is not taken for a misspelt one' => sub {
    my ($status, $out) = pools('thread_pool pool1 threads=1;',
        'thread_pool pool2 threads=1;', 'pool1', 'unlike');

    is $status, 1, 'One does not exist';
    like $out, qr/unknown thread pool "unlike"/, '... as the message says';
    unlike $out, qr/there is no thread pool "pool1"/,
        '... and not of one that is almost the name of another one';
};

done_testing;
