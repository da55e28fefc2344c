#!/usr/bin/perl

# async_file(): files opened off the loop, sent as nginx's own are.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use POSIX ();
use Test::More;

use NginxAsync;

my $size = 50 * 1024 * 1024;

my $routes = <<'EOF_ROUTES';
        default_type application/x-other;
        location /  { async_route GET,POST /send send; }
        location /by/ {
            async_route  GET  /by/changed.css  changed;
            async_route  GET  /by/send.css     send;
            async_route  GET  /by/tagged       tagged;
        }
        location = /missing { async_handler send; error_page 404 /page; }
EOF_ROUTES

my $n = NginxAsync->new(
    conf => {
        main   => 'thread_pool default threads=2 max_queue=1000;',
        http   => <<"EOF_HTTP",
    async_app \$TEST_NGINX_APPS/file.so;

    types {
        text/plain  txt;
        text/css    css;
        image/png   png;
    }
    sendfile on;

    server {
        listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_1 http2;
$routes
    }

    server {
        listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_2 ssl;
        ssl_certificate \$TEST_NGINX_SERVER_ROOT/tls.crt;
        ssl_certificate_key \$TEST_NGINX_SERVER_ROOT/tls.key;
$routes
    }

    server {
        listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_3;
        sendfile off;
        gzip on;
        gzip_types text/plain;
        gzip_min_length 1;
$routes
    }

    server {
        listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_4;
        aio threads;
        output_buffers 2 64k;
        sendfile off;
$routes
    }
EOF_HTTP
        server => <<"EOF_SERVER",
        keepalive_timeout 60;
$routes
        location = /ssi { root html; ssi on;
            ssi_types text/plain; try_files /ssi.txt =404; }
        location = /page { return 200 page; }
        location = /stub { stub_status; }
EOF_SERVER
    },
    files => {
        'a.txt'     => 'abcdefghij',
        'style.css' => 'css',
        'p.PNG'     => 'png',
        'noname'    => 'none',
        '.txt'      => 'dot',
        'empty.txt' => '',
        'secret'    => 'secret',
        'ssi.txt'   => '[<!--# include virtual="/send?path=html/a.txt" -->]'
            . '[<!--# include virtual="/send?path=html/empty.txt" -->]'
            . '[<!--# include virtual="/send?path=html/none" -->]',
        'odd'       => join('', map { pack 'N', $_ * 2654435761 & 0xffffffff }
            1 .. 100_000),
    },
);

my $html = $n->root . '/html';

$n->start;

my $file = "/send?path=html/a.txt";
my $odd  = NginxAsync::Env::slurp("$html/odd");


sub ranged {
    my ($range, %more) = @_;

    return $n->get($file, headers => [Range => "bytes=$range", %more]);
}


# Files of the worker below html/ that are open.
sub open_files { return scalar grep { m{/html/} } $n->open_fds }


# Soon: the client may have its answer before nginx has ended the request.
sub no_file_is_open {
    ok $n->wait_until(sub { open_files() == 0 }), 'No file is open';
}


# A sparse file, which costs no disk.
sub big_file {
    my ($name, $first) = @_;

    open my $fh, '>:raw', "$html/$name" or die "$html/$name: $!";
    print {$fh} $first;
    truncate $fh, $size or die "truncate: $!";
    close $fh;
    chmod 0644, "$html/$name";
}


subtest 'A file is sent with what is known of it' => sub {
    utime 1_700_000_000, 1_700_000_000, "$html/a.txt";

    my $r = $n->get($file);

    is $r->body, 'abcdefghij', 'The content is that of the file';
    is $r->header('Content-Length'), 10, 'So is the length';
    is $r->header('Content-Type'), 'text/plain', 'The type is by its name';
    is $r->header('Last-Modified'), 'Tue, 14 Nov 2023 22:13:20 GMT',
        'The time is known';
    is $r->header('ETag'), '"6553f100-a"', 'It has a tag like nginx gives';
    is $r->header('Accept-Ranges'), 'bytes', 'Ranges are offered';

    is $n->get("/send?path=$html/a.txt")->body, 'abcdefghij',
        'An absolute path is taken, too';
    is $n->get('/by/changed.css')->body, 'no file',
        'A later response takes its place';

    $r = $n->get('/by/tagged');
    is_deeply [$r->headers('ETag'), $r->headers('Last-Modified')],
        ['"mine"', 'Mon, 01 Jan 2024 00:00:00 GMT'],
        'A tag and a time of the handler win';

    $r = $n->get('/send?path=html/empty.txt');
    is_deeply [$r->status, $r->body, $r->header('Content-Length')],
        [200, '', 0], 'An empty file is a response';
};


subtest 'The media type is that of the file' => sub {
    my %types = ('style.css' => 'text/css', 'p.PNG' => 'image/png',
        'noname' => 'application/x-other', '.txt' => 'text/plain');

    for my $name (sort keys %types) {
        is $n->get("/send?path=html/$name")->header('Content-Type'),
            $types{$name}, "$name is of $types{$name}";
    }

    is $n->get('/by/send.css?path=html/noname')->header('Content-Type'),
        'application/x-other', 'The name of the URI does not matter';
    is $n->get("$file&type=a/b%3Bc")->header('Content-Type'), 'a/b;c',
        'A type of the handler wins';
};


subtest 'What has not changed is not sent' => sub {
    for my $header (['If-None-Match', '"6553f100-a"'],
        ['If-Modified-Since', 'Tue, 14 Nov 2023 22:13:20 GMT'])
    {
        my $r = $n->get($file, headers => $header);
        is_deeply [$r->status, $r->body, $r->header('ETag')],
            [304, '', '"6553f100-a"'], "$header->[0] gives 304";
    }

    is $n->get($file, headers => ['If-None-Match', '"x"'])->status, 200,
        'Another tag gives all';
    is $n->get($file, headers => ['If-Match', '"x"'])->status, 412,
        'If-Match of another tag fails';
    no_file_is_open();
};


subtest 'Ranges are sent' => sub {
    my $r = ranged('2-4');
    is_deeply [$r->status, $r->body, $r->header('Content-Range')],
        [206, 'cde', 'bytes 2-4/10'], 'One range';
    is ranged('-2')->body, 'ij', 'The end';
    is ranged('8-')->body, 'ij', 'To the end';

    $r = ranged('0-0,9-9');
    is $r->status, 206, 'Two ranges';
    like $r->header('Content-Type'), qr{^multipart/byteranges},
        'Two ranges are parts';
    like $r->body, qr{bytes 0-0/10\r\n\r\na\r\n.*bytes 9-9/10\r\n\r\nj\r\n}s,
        'The parts are right';

    $r = ranged('10-');
    is_deeply [$r->status, $r->header('Content-Range')], [416, 'bytes */10'],
        'What is beyond is 416';

    is ranged('0-0', 'If-Range' => '"6553f100-a"')->status, 206,
        'If-Range of this tag';
    is ranged('0-0', 'If-Range' => '"x"')->status, 200,
        'If-Range of another tag';

    $r = $n->get("$file&status=203", headers => ['Range', 'bytes=0-0']);
    is_deeply [$r->status, $r->body, $r->header('Accept-Ranges')],
        [203, 'abcdefghij', undef], 'Another status has no ranges';

    is $n->get("$file&status=205")->body, '', '205 has no body';
};


subtest 'HEAD has the headers of GET' => sub {
    my $c = $n->connect;

    for my $uri ($file, '/send?path=html/empty.txt', '/send?path=html/x') {
        my @lists = map { [grep { $_->[0] ne 'Date' } $_->header_list] }
            map { $c->request($_, $uri) } 'HEAD', 'GET';

        is_deeply $lists[0], $lists[1], "The headers of $uri are the same";
    }

    no_file_is_open();
};


subtest 'What cannot be sent is told' => sub {
    mkdir "$html/folder";
    POSIX::mkfifo("$html/fifo", 0666) or die "mkfifo: $!";
    chmod 0666, "$html/fifo";
    chmod 0, "$html/secret";
    symlink 'a.txt', "$html/link";

    my %statuses = (
        'html/none' => 404, 'html/folder' => 404, 'html' => 404, '' => 404,
        'html/fifo' => 404, '/dev/null' => 404, 'html/a.txt/b' => 404,
        'html/' . 'x' x 300 => 404, 'html/secret' => 403, 'html/link' => 200,
    );

    for my $path (sort keys %statuses) {
        my $r = $n->get("/send?path=$path");
        is $r->status, $statuses{$path},
            "$statuses{$path} for " . substr $path, 0, 20;
        is $r->header('Content-Type'), 'application/json', 'It is JSON'
            if $statuses{$path} != 200;
    }

    is $n->get('/send?path=html/none')->body, '{"detail":"Not Found"}',
        'The client is told as by the router';
    is $n->get('/send?path=html/secret')->body, '{"detail":"Forbidden"}',
        'It is told no more';
    is $n->get('/missing?path=html/none')->body, '{"detail":"Not Found"}',
        'An error_page is not for it';
    ok $n->wait_for_log(qr{html/secret" cannot be sent.*Permission denied}),
        'The log is told why';
    no_file_is_open();
};


subtest 'It does not matter how files are sent' => sub {
    my $big = '/send?path=html/odd';

    ok $n->get($big)->body eq $odd, 'By sendfile';
    ok $n->get($big, port => $n->port(3))->body eq $odd, 'Through buffers';
    ok $n->get($big, port => $n->port(4))->body eq $odd, 'Through threads';
    ok $n->get($big, port => $n->port(2), tls => 1)->body eq $odd,
        'Over TLS';
    ok $n->http2($big, port => $n->port(1))->body eq $odd, 'Over HTTP/2';
    is $n->http2($file, port => $n->port(1),
        headers => ['Range', 'bytes=2-4'])->body, 'cde',
        'A range over HTTP/2';

    my $r = $n->get($file, port => $n->port(3),
        headers => ['Accept-Encoding', 'gzip']);
    is $r->header('Content-Encoding'), 'gzip', 'Compressed';
    is $r->header('ETag'), 'W/"6553f100-a"', 'With a weak tag';

    is $n->get('/ssi')->body,
        '[abcdefghij][][{"detail":"Not Found"}]', 'In subrequests';
    no_file_is_open();
};


subtest 'A request body beside a file is no request' => sub {
    my $c = $n->connect;

    is $c->request('POST', $file,
        body => "GET /page HTTP/1.1\r\nHost: x\r\n\r\n")->body, 'abcdefghij',
        'The file is sent';
    is $c->request('GET', '/send?path=html/style.css')->body, 'css',
        'The next request is the next request';
};


subtest 'A file may be replaced while it is sent' => sub {
    big_file('big', 'old');
    big_file('new', 'new');

    my $c = $n->connect(rcvbuf => 4096);
    $c->send_request('GET', '/send?path=html/big', close => 1);
    like $c->read_until(qr/\r\n\r\n/), qr/^HTTP\/1.1 200 /, 'It is begun';

    rename "$html/new", "$html/big" or die "rename: $!";
    is $n->get('/send?path=html/big', headers => ['Range', 'bytes=0-2'])->body,
        'new', 'Others get the new one';

    my $body = $c->read_all;
    is length $body, $size, 'The old one is whole';
    is substr($body, 0, 3), 'old', 'It is the old one';
    no_file_is_open();
};


subtest 'A client may leave at any time' => sub {
    my @c = map { $n->connect(rcvbuf => 4096) } 1 .. 4;

    for my $c (@c) {
        $c->send_request('GET', '/send?path=html/big');
        $c->read_until(qr/\r\n\r\n/);
    }

    is open_files(), 4, 'The files are open';
    $_->reset for @c;
    ok $n->wait_until(sub { open_files() == 0 }), 'They are closed';

    # stopped, the worker sees request and end in one turn of its loop,
    # before a thread can have opened the file
    @c = map { $n->connect } 1 .. 30;
    $_->request('GET', $file) for @c;

    my $before = () = $n->access_log =~ m{html/big HTTP}g;

    kill STOP => $n->worker;
    $_->send_request('GET', '/send?path=html/big') for @c;
    $_->close for @c;
    kill CONT => $n->worker;

    ok $n->wait_until(sub {
        $before + 30 == (() = $n->access_log =~ m{html/big HTTP}g)
    }), 'The requests are over';
    like $n->access_log, qr{path=html/big HTTP/1.1" 499}, 'Some were cancelled';
    ok $n->wait_until(sub { open_files() == 0 }),
        'What a thread has opened for nobody is closed';

    ok $n->wait_until(sub {
        $n->get('/stub')->body
            =~ /connections: 1 .*Reading: 0 Writing: 1 Waiting: 0/s;
    }), 'No request is left';
};

$n->stop;


subtest 'A full thread pool is told from an error' => sub {
    $n->{conf}{main} = 'thread_pool default threads=1 max_queue=1;';
    $n->start;

    my @busy;

    for my $round (1 .. 20) {
        my @c = map { $n->connect } 1 .. 100;
        $_->request('GET', '/page') for @c;

        kill STOP => $n->worker;
        $_->send_request('GET', $file) for @c;
        kill CONT => $n->worker;

        my @r = map { $_->response } @c;
        push @busy, grep { $_->status == 503 } @r;

        is scalar(grep { $_->status == 503 || $_->body eq 'abcdefghij' } @r),
            100, "Each of round $round was served or told to come again";
        last if @busy;
    }

    ok scalar @busy, 'Some found the queue full';
    is $busy[0] && $busy[0]->header('Retry-After'), 1,
        'They were told when to come again';
    no_file_is_open();
    $n->stop;
};

done_testing;
