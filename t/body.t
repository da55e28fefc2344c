#!/usr/bin/perl

# await_body(): every way in which a body comes, or does not.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use NginxAsync;
use NginxAsync::Http2;

my %conf = (
    main   => 'thread_pool default threads=4;',
    http   => <<'EOF_HTTP',
    async_app $TEST_NGINX_APPS/body.so;
    client_body_buffer_size 16k;

    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1 http2;
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_2 ssl;
        ssl_certificate $TEST_NGINX_SERVER_ROOT/tls.crt;
        ssl_certificate_key $TEST_NGINX_SERVER_ROOT/tls.key;
        client_max_body_size 30m;

        location / { async_handler echo; }
        location = /sleepy { async_handler sleepy; }
        location = /max { client_max_body_size 100; async_handler echo; }
        location = /max/half {
            client_max_body_size 100;
            error_page 413 /half;
            async_handler echo;
        }
        location = /half { async_handler echo; }
        location = /max/static {
            client_max_body_size 100;
            error_page 413 /large.html;
            async_handler echo;
        }
        location = /max/async {
            client_max_body_size 100;
            error_page 413 /sorry;
            async_handler echo;
        }
        location = /timeout {
            client_max_body_size 100;
            async_timeout 300ms;
            async_handler echo;
        }
        location = /slow { client_body_timeout 300ms; async_handler echo; }
        location = /large.html { root html; }
        location = /sorry { async_handler slowly_sorry; }
        location = /counts { async_handler counts; }
    }
EOF_HTTP
    server => <<'EOF_SERVER',
        keepalive_timeout 60;
        ssi_types text/plain;

        location / { async_handler echo; }
        location = /twice { async_handler twice; }
        location = /sleepy { async_handler sleepy; }
        location = /stubborn { async_handler stubborn; }
        location = /unread { async_handler unread; }
        location = /counts { async_handler counts; }
        location = /sorry { async_handler sorry; }
        location = /slowly-sorry { async_handler slowly_sorry; }
        location = /late { proxy_pass
            http://127.0.0.1:$TEST_NGINX_SERVER_PORT/slowly-sorry; }
        location = /large.html { root html; }

        location = /file-on {
            client_body_in_file_only on;
            async_handler echo;
        }
        location = /file-clean {
            client_body_in_file_only clean;
            async_handler echo;
        }
        location = /single {
            client_body_in_single_buffer on;
            async_handler echo;
        }

        location /max { client_max_body_size 100; async_handler echo; }
        location = /max/static {
            client_max_body_size 100;
            error_page 413 /large.html;
            async_handler echo;
        }
        location = /max/async {
            client_max_body_size 100;
            error_page 413 =413 /sorry;
            async_handler echo;
        }
        location = /max/slowly {
            client_max_body_size 100;
            error_page 413 /slowly-sorry;
            async_handler echo;
        }
        location = /max/late {
            client_max_body_size 100;
            error_page 413 /late;
            async_timeout 800ms;
            async_handler echo;
        }
        location = /max/half {
            client_max_body_size 100;
            error_page 413 /half;
            async_handler echo;
        }
        location = /half { async_handler echo; }
        location = /max/stubborn {
            client_max_body_size 100;
            async_handler stubborn;
        }

        location = /timeout { async_timeout 300ms; async_handler echo; }
        location = /slow { client_body_timeout 300ms; async_handler echo; }

        location = /ssi { root html; ssi on; try_files /ssi.txt =404; }
        location = /auth { auth_request /sub; async_handler echo; }
        location = /sub { internal; async_handler echo; }
        location = /mirror { mirror /mirrored; async_handler echo; }
        location = /mirrored { internal; async_handler echo; }
        location = /stub { stub_status; }
EOF_SERVER
);

my $n = NginxAsync->new(
    conf  => \%conf,
    files => {
        'large.html' => 'too large, says a file',
        'ssi.txt'    => 'a[<!--# include virtual="/sub" -->]b',
    },
)->start;

# bytes of every value, so that a misplaced piece shows
sub bytes {
    my ($length) = @_;

    my $block = join '', map { pack 'N', $_ * 2654435761 & 0xffffffff }
        1 .. 16411;

    return substr $block x (1 + $length / length $block), 0, $length;
}


sub counts {
    my ($name) = @_;

    my ($value) = $n->get('/counts')->body =~ /"$name":(\d+)/;

    return $value;
}


# A request whose handler waits for a body that does not end.
sub waiting {
    my ($uri, %o) = @_;

    my $before = counts('started');
    my $c      = $n->connect;

    $c->send("POST $uri HTTP/1.1\r\nHost: localhost\r\n"
        . ($o{head} // "Content-Length: 1000\r\n") . "\r\n"
        . ($o{body} // 'some'));

    $n->wait_until(sub { counts('started') > $before })
        or die "the handler of $uri has not begun\n";

    return $c;
}

my %chunked = (head => "Transfer-Encoding: chunked\r\n",
    body => "4\r\nsome\r\n");


sub ends_like {
    my ($name, $title, $code) = @_;

    my $before = counts($name);

    $code->();

    ok $n->wait_until(sub { counts($name) > $before
        && counts('waiting') == 0 }), $title;
}


sub is_serving {
    my ($title) = @_;

    is $n->post('/echo', 'next')->body, 'next', $title;
}


sub is_echo {
    my ($r, $body, $title) = @_;

    return ok($r->status == 200 && $r->body eq $body
        && $r->header('X-Length') == length $body
        && $r->header('X-End') eq 'zero', $title)
        || diag($r->status, ', ', length $r->body, ' of ', length $body);
}


subtest 'Bodies of all sizes come as they were sent' => sub {
    is_echo $n->post('/', ''), '', 'An empty body has the length zero';
    is_echo $n->get('/'), '', 'A request without a body gives an empty one';
    is_echo $n->post('/', "a\0b"), "a\0b", 'A zero byte is a byte';

    for my $length (1, 16383, 16384, 16385, 20480, 20481, 5_000_000) {
        my $body = bytes($length);

        is_echo $n->post('/', $body), $body, "A body of $length bytes comes";
        is_echo $n->post('/', undef,
            chunks => [unpack '(a100000)*', $body]), $body,
            "A chunked body of $length bytes comes";
    }

    is_echo $n->post('/single', bytes(19000)), bytes(19000),
        'A body in a single buffer comes';
};


subtest 'Bodies that nginx puts into files are read back' => sub {
    my $temp = $n->root . '/client_body_temp';

    for my $length (1, 20000, 3_000_000) {
        is_echo $n->post('/file-clean', bytes($length)), bytes($length),
            "A body of $length bytes comes out of its file";
    }

    ok $n->wait_until(sub { !(() = glob "$temp/*") }),
        'No file is left of bodies by itself';

    is_echo $n->post('/file-on', 'kept'), 'kept',
        'A body whose file is kept comes';

    my ($file) = glob "$temp/*";
    is NginxAsync::Env::slurp($file), 'kept', 'The file is kept';
    unlink $file;

    is_echo $n->post('/file-clean', ''), '', 'An empty body makes no file';
};


subtest 'Bodies come over HTTP/2 and TLS' => sub {
    for my $length (0, 10, 16384, 3_000_000) {
        my $body = bytes($length);

        is_echo $n->http2('/', body => $body, method => 'POST',
            port => $n->port(1)), $body,
            "A body of $length bytes comes over HTTP/2";
        is_echo $n->post('/', $body, port => $n->port(2), tls => 1), $body,
            "A body of $length bytes comes over TLS";
    }
};


subtest 'A body may come in pieces' => sub {
    my $c = waiting('/');
    my $text = bytes(996);

    $c->send($_) for unpack '(a100)*', $text;
    is_echo $c->response, "some$text", 'Pieces make one body';

    $c->send("GET /counts HTTP/1.1\r\nHost: x\r\n\r\n");
    is $c->response->status, 200, 'The connection is kept';

    $c = waiting('/', head => "Expect: 100-continue\r\nContent-Length: 4\r\n",
        body => '');
    like $c->read_until(qr/\r\n\r\n/), qr{^HTTP/1.1 100 Continue},
        'The client is told to go on';
    $c->send('four');
    is_echo $c->response, 'four', 'The body that it was asked for comes';

    $c->send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\none"
        . "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\ntwo");
    is $c->response->body, 'one', 'The first of two in a row comes';
    is $c->response->body, 'two', 'The second of two in a row comes';
};


subtest 'A body may be asked for again, or not at all' => sub {
    is $n->post('/twice', bytes(100))->body, 'the same',
        'A body in memory is given again';
    is $n->post('/twice', bytes(100_000))->body, 'the same',
        'A body from a file is given again';

    my $c = $n->connect;
    my $trap = "GET /sorry HTTP/1.1\r\nHost: x\r\n\r\n";

    is $c->request('POST', '/unread', body => $trap)->body, 'not read',
        'A body may be left unread';
    is $c->request('GET', '/unread')->body, 'not read',
        'A body that was left is not taken for a request';
};


subtest 'A body may come while the handler sleeps' => sub {
    my $c = $n->connect;
    my $body = bytes(30000);

    $c->send("POST /sleepy?before=300 HTTP/1.1\r\nHost: x\r\n"
        . "Content-Length: 30000\r\n\r\n", unpack '(a10000)*', $body);
    is_echo $c->response, $body, 'What came during the sleep is not lost';

    $c = $n->connect;
    $c->send("POST /sleepy?before=50&after=50 HTTP/1.1\r\nHost: x\r\n"
        . "Content-Length: 30000\r\n\r\n", substr $body, 0, 10000);
    select undef, undef, undef, 0.2;
    $c->send(substr $body, 10000);
    is_echo $c->response, $body, 'What comes after the sleep is read, too';

    ends_like 'cancelled', 'A sleep after a slow body sees the client go',
        sub {
            my $before = counts('started');
            my $w = waiting('/sleepy?after=10000');
            $w->send(bytes(996));
            $n->wait_until(sub { counts('started') > $before + 1 });
            $w->close;
        };
};


# ---- refused

subtest 'A body that is too large is refused before the handler' => sub {
    my $before = counts('started');

    is $n->post('/max', bytes(101))->status, 413, 'One byte too many is 413';
    is $n->post('/max', bytes(100))->status, 200, 'The bound itself is fine';
    is counts('started'), $before + 1, 'Only one of them was started';
    like $n->post('/max/static', bytes(101))->body, qr/says a file/,
        'A file may say so';
    is $n->post('/max/async', bytes(101))->body, 'sorry',
        'An async handler may say so';
};


subtest 'A chunked body may be too large while its handler waits' => sub {
    my %answers = (
        '/max' => qr/413 Request Entity Too Large/,
        '/max/static' => qr/\Atoo large, says a file\z/,
        '/max/async'  => qr/\Asorry\z/,
        '/max/slowly' => qr/\Aslowly sorry\z/,
        '/max/late'   => qr/\Aslowly sorry\z/,
    );

    for my $uri (sort keys %answers) {
        my $c;

        ends_like $uri eq '/max/late' ? 'timed_out' : 'cancelled',
            "The handler of $uri is cancelled", sub {
                $c = waiting($uri, %chunked);
                $c->send("fffff\r\nmore");
                my $r = $c->response;
                is $r->status, 413, "The status of $uri is 413";
                like $r->body, $answers{$uri}, "The body of $uri is right";
            };

        # the rest of the body must not be answered
        eval { $c->send("GET /counts HTTP/1.1\r\nHost: x\r\n\r\n") };
        $c->half_close;
        ok $c->eof, "The connection to $uri is not used again";
        is_serving "The next request after $uri is served";
    }
};


subtest 'The handler of an error page is not given half a body' => sub {
    my $c = waiting('/max/half', %chunked);

    $c->send("fffff\r\nmore");
    is $c->response->body, '{"detail":"Internal Server Error"}',
        'It fails rather';
    ok $n->wait_for_log(qr/given up half read/), 'The log says why';
};


subtest 'The client may leave a slow answer to a refused body' => sub {
    for my $uri ('/max/slowly', '/max/late') {
        my $c = waiting($uri, %chunked);

        $c->send("fffff\r\nmore");
        select undef, undef, undef, 0.05;
        $c->reset;

        ok $n->wait_until(sub { counts('waiting') == 0 }),
            "The handler of $uri does not wait";
        is_serving "Others than $uri are served";
    }
};


subtest 'A malformed body is refused' => sub {
    my $c;

    ends_like 'cancelled', 'The handler that waits is cancelled', sub {
        $c = waiting('/', %chunked);
        $c->send("zz\r\n");
        is $c->response->status, 400, 'A malformed chunk is 400';
    };

    ends_like 'failed', 'The handler that begins to read fails', sub {
        $c = $n->connect;
        $c->send("POST / HTTP/1.1\r\nHost: x\r\n"
            . "Transfer-Encoding: chunked\r\n\r\nzz\r\n");
        is $c->response->status, 400, 'A malformed chunk at once is 400';
    };

    $c = $n->connect;
    $c->send("POST /stubborn HTTP/1.1\r\nHost: x\r\n"
        . "Transfer-Encoding: chunked\r\n\r\n4\r\nsome\r\nzz\r\n");
    $c->send("0\r\n\r\nGET /counts HTTP/1.1\r\nHost: x\r\n\r\n");

    my $r = $c->response;
    is $r->body, '-1 -1 nginx refused the body with 400',
        'A body that was refused is not given in part';
    is $r->header('Connection'), 'close', 'The client is told of the end';
    ok $c->eof, 'Nothing of the rest is answered';

    $c = $n->connect;
    $c->send("POST /max/stubborn HTTP/1.1\r\nHost: x\r\n"
        . "Transfer-Encoding: chunked\r\n\r\n4\r\nsome\r\nfffff\r\nxx");
    is $c->response->body, '-1 -1 nginx refused the body with 413',
        'A handler may answer in place of nginx';

    is_serving 'Others are served';
};


# ---- late, or never

subtest 'A body that does not come ends the wait' => sub {
    ends_like 'cancelled', 'client_body_timeout cancels the handler', sub {
        my $c = waiting('/slow');
        ok $c->eof, 'The connection is closed';
    };
    ok $n->wait_until(sub {
        $n->access_log =~ m{"POST /slow HTTP/1.1" 408 };
    }), 'The access log says 408';

    ends_like 'timed_out', 'async_timeout ends the wait', sub {
        my $c = waiting('/timeout');
        my $r = $c->response;

        is $r->status, 504, 'The client is told';
        is $r->header('Connection'), 'close', 'It is told of the end, too';
        eval { $c->send("GET /counts HTTP/1.1\r\nHost: x\r\n\r\n" x 30) };
        $c->half_close;
        ok $c->eof, 'The rest of the body is not taken for requests';
    };

    ends_like 'timed_out', 'async_timeout ends the wait for a chunk', sub {
        my $c = waiting('/timeout', %chunked);
        is $c->response->status, 504, 'The client is told';
        eval { $c->send("0\r\n\r\nGET /counts HTTP/1.1\r\nHost: x\r\n\r\n") };
        $c->half_close;
        ok $c->eof, 'The request behind the rest is not answered';
    };

    is_serving 'Others are served';
};


subtest 'The client may leave in the middle of the body' => sub {
    ends_like 'cancelled', 'A FIN cancels the handler',
        sub { waiting('/')->close };
    ends_like 'cancelled', 'A RST cancels the handler',
        sub { waiting('/')->reset };
    ends_like 'cancelled', 'A half-closed body cancels the handler',
        sub { waiting('/')->half_close->eof };
    ends_like 'cancelled', 'A RST in a chunk cancels the handler',
        sub { waiting('/', %chunked)->reset };

    is_serving 'Others are served';
};


# ---- HTTP/2, frame by frame

sub h2_waiting {
    my ($uri, %o) = @_;

    my $before = counts('started');
    my $h  = NginxAsync::Http2->new($n->connect(port => $n->port(1)), %o);
    my $id = $h->request('POST', $uri, headers => $o{headers}, end => 0);

    $h->data($id, 'some', 0);
    $n->wait_until(sub { counts('started') > $before })
        or die "the handler of $uri has not begun\n";

    return ($h, $id);
}


subtest 'Over HTTP/2 the error page is not given half a body, too' => sub {
    my ($h, $id) = h2_waiting('/max/half');
    my $since = $n->mark;

    $h->data($id, 'x' x 200, 1);
    $h->response($id);
    ok $n->wait_for_log(qr/given up half read/, 20, $since),
        'It fails when the last frame is one too many';
    is_serving 'Others are served';
};


subtest 'An HTTP/2 stream ends as a connection does' => sub {
    my ($h, $id) = h2_waiting('/');

    $h->data($id, 'more', 1);
    is $h->response($id)->body, 'somemore', 'A body comes frame by frame';

    ends_like 'cancelled', 'RST_STREAM cancels the handler', sub {
        ($h, $id) = h2_waiting('/');
        $h->reset($id);
    };
    is $h->response($h->request('GET', '/'))->status, 200,
        'The connection is used again';

    ends_like 'cancelled', 'The end of the connection cancels it',
        sub { ($h, $id) = h2_waiting('/'); $h->{c}->close };

    ends_like 'cancelled', 'client_body_timeout cancels the handler', sub {
        ($h, $id) = h2_waiting('/slow');
        ok defined $h->response($id)->reset, 'The stream is reset';
    };

    ends_like 'timed_out', 'async_timeout ends the wait', sub {
        ($h, $id) = h2_waiting('/timeout', window => 0);
    };
    $h->data($id, 'x' x 10000, 0) for 1 .. 3;
    $h->data($id, 'last', 1);
    $h->window($id, 1000);
    is $h->response($id)->status, 504,
        'Frames that come before the answer is through do no harm';

    $id = $h->request('GET', '/counts');
    $h->window($id, 1000);
    is $h->response($id)->status, 200, 'Nor do they to the next request';

    ends_like 'cancelled', 'A body shorter than declared cancels it', sub {
        ($h, $id) = h2_waiting('/', headers => ['content-length', 10]);
        $h->data($id, '', 1);
        is $h->response($id)->status, 400, 'It is 400';
    };
};


subtest 'An HTTP/2 body may turn out too large while its handler waits' => sub {
    my %answers = (
        '/max' => qr/413 Request Entity Too Large/,
        '/max/static' => qr/\Atoo large, says a file\z/,
        '/max/async'  => qr/\Aslowly sorry\z/,
    );

    for my $uri (sort keys %answers) {
        my ($h, $id);

        ends_like 'cancelled', "The handler of $uri is cancelled", sub {
            ($h, $id) = h2_waiting($uri);
            $h->data($id, 'x' x 101, 0);
            $h->data($id, 'y', 1);
            my $r = $h->response($id);
            is $r->status, 413, "The status of $uri is 413";
            like $r->body, $answers{$uri}, "The body of $uri is right";
        };

        is $h->response($h->request('GET', '/'))->status, 200,
            "The connection to $uri is used again";
    }

    my ($h, $id) = h2_waiting('/max', headers => ['content-length', 90]);
    $h->data($id, 'x' x 200, 1);
    is $h->response($id)->status, 400, 'A body longer than declared is 400';
};


# ---- subrequests

subtest 'Subrequests have the body that the main request has' => sub {
    is $n->get('/ssi')->body, 'a[]b', 'An SSI include finds none';
    is_echo $n->post('/auth', 'mine'), 'mine',
        'A guard leaves the body to the handler';

    my $started = counts('started');
    is_echo $n->post('/mirror', bytes(50000)), bytes(50000),
        'A mirrored request has its body';
    ok $n->wait_until(sub { counts('started') == $started + 2 }),
        'The mirror was started, too';
};


subtest 'Nothing is left of all these requests' => sub {
    ok $n->wait_until(sub {
        $n->get('/stub')->body
            =~ /connections: 1 .*Reading: 0 Writing: 1 Waiting: 0/s;
    }), 'The counters of stub_status are at their start'
        or diag $n->get('/stub')->body;

    is counts('waiting'), 0, 'No handler waits';
    is scalar(grep { /client_body_temp/ } $n->open_fds), 0,
        'No temporary file is open';
};


subtest 'A worker that leaves waits for the body' => sub {
    my $c = waiting('/');

    $n->signal('QUIT');
    ok $n->wait_until(sub { $n->log =~ /gracefully shutting down/ }),
        'The worker knows';
    $c->send(bytes(996));
    is_echo $c->response, 'some' . bytes(996), 'The body is answered';
    ok $c->eof, 'The connection is closed';
};

$n->stop;


subtest 'A worker that leaves does not wait for ever' => sub {
    my $brief = NginxAsync->new(conf => {
        http => "$conf{http}\nasync_shutdown_timeout 300ms;",
        map({ $_ => $conf{$_} } qw(main server)),
    })->start;

    my $c = $brief->connect;
    $c->send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nsome");
    $brief->wait_until(sub {
        $brief->get('/counts')->body =~ /"waiting":1/ });

    $brief->signal('QUIT');
    my $r = $c->response;
    is_deeply [$r->status, $r->header('Retry-After'),
        $r->header('Connection')], [503, 1, 'close'],
        'The client is told to come again';
    $c->half_close;
    ok $c->eof, 'The connection is closed';

    $brief->stop;
};


subtest 'A full thread pool is told from an error' => sub {
    my $small = NginxAsync->new(conf => {
        %conf, main => 'thread_pool default threads=1 max_queue=1;',
    })->start;

    my $body  = bytes(600_000);
    my $fds   = () = $small->open_fds;
    my @busy;

    for my $round (1 .. 20) {
        my @c = map { $small->connect } 1 .. 40;

        $_->send_request('POST', '/', body => substr($body, 0, -1),
            headers => ['Content-Length', length $body]) for @c;

        # all at once: the worker sees them in one turn of its loop
        $small->wait_until(sub {
            40 == grep { /client_body_temp/ } $small->open_fds
        });
        kill STOP => $small->worker;
        $_->send(substr $body, -1) for @c;
        kill CONT => $small->worker;

        my @r = map { $_->response } @c;
        push @busy, grep { $_->status == 503 } @r;

        is scalar(grep { $_->status == 503
            || $_->status == 200 && $_->body eq $body } @r), 40,
            "Each request of round $round was served or told to come again";

        last if @busy;
    }

    ok scalar @busy, 'Some found the queue full';
    is $busy[0] && $busy[0]->header('Retry-After'), 1,
        'They were told when to come again';
    is $small->post('/', $body)->status, 200, 'The next one is served';
    ok $small->wait_until(sub { $fds == (() = $small->open_fds) }),
        'No descriptor is left';

    $small->stop;
};

done_testing;
