#!/usr/bin/perl

# The examples of async handlers, under their own nginx.conf: several at once,
# server-sent events, work after the response, bodies of any length, processes;
# and what their READMEs show.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP qw(decode_json encode_json);
use POSIX ();
use Test::More;

use NginxAsync;
use NginxAsync::Example;
use NginxAsync::Say qw(json);

my $asan = NginxAsync::Env::asan();

sub example {
    my ($name, %change) = @_;

    return NginxAsync->new(conf => example_conf($name, example_app($name),
        %change))->start;
}


sub refused {
    my ($r, $detail) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is_deeply [$r->status, json($r)], [422, { detail => $detail }],
        "422: $detail";
    return;
}


# The next n events of a connection, each a hash of its fields.
sub events {
    my ($c, $n) = @_;

    my @events;

    while (@events < $n) {
        my $text = $c->read_until(qr/\n\n/) // last;

        push @events, { $text =~ /^(id|retry|event|data): (.*)$/mg };
    }

    return @events;
}


# A connection that events come on, and the header; HTTP/1.0 has no chunks.
sub watch {
    my ($nginx, $uri, $last) = @_;

    my $c = $nginx->connect->send("GET $uri HTTP/1.0\r\n"
        . (defined $last ? "Last-Event-ID: $last\r\n" : '') . "\r\n");
    my $head = $c->read_until(qr/\r\n\r\n/);

    return ($c, $head);
}

# ---- examples/gather

subtest 'gather' => sub {
    my $nginx = example('gather',
        'http {' => "http {\n    access_log logs/access.log;");

    my %all = (user => 'Ada', orders => 'three orders', weather => 'sunny');

    my %answer = (
        '/one-after-another' => \%all,
        '/gather'            => \%all,
        '/first'             => { source => 'user', value => 'Ada' },

    );

    # the last one begun is the first to end
    my $order = '/first /gather /one-after-another';
    my $ended = '';

    # as nginx tells, since all may be there before a client looks; where the
    # worker was stopped for a while they end together, and are asked again
    for my $round (1 .. 5) {
        my %open = map { $_ => $nginx->connect->send_request('GET', $_) }
            qw(/one-after-another /gather /first);

        is_deeply json($open{$_}->response), $answer{$_}, "$_ answers"
            for sort keys %open;

        my @all;
        $nginx->wait_until(sub {
            @all = $nginx->access_log =~ /"GET (\S+) /g;
            return @all == 3 * $round;
        });

        $ended = join ' ', splice @all, -3;
        last if $ended eq $order;
    }

    is $ended, $order, 'the less is awaited one after another, the sooner';

    my $r = $nginx->get('/gather-all');
    is $r->status, 200, 'a partial answer is one';
    is_deeply json($r)->{found}, { user => 'Ada' }, '... of what was found';
    is join(' ', sort keys %{ json($r)->{errors} }), 'orders prices',
        '... with an error for each of the others';
    is json($r)->{errors}{prices}, 'no answer', '... one that failed';
    is json($r)->{errors}{orders}, 'too late',
        '... and one that took too long';
    like_log $nginx, 0, qr/orders: the 120 ms of .*gather\.c:\d+ have passed/,
        '... whose cause is logged';

    is_deeply json($nginx->get('/with-deadline')),
        { orders => 'two orders', stale => JSON::PP::true }, 'the fallback';
    is_deeply json($nginx->get('/with-deadline?ms=1000')),
        { orders => 'three orders', stale => JSON::PP::false }, 'in time';
    is json($nginx->get('/with-deadline?ms=0'))->{stale}, JSON::PP::true,
        'no time at all';

    refused($nginx->get("/with-deadline?ms=$_"), 'ms must be from 0 to 1000')
        for -1, 1001;

    readme_holds('gather', $nginx);
    $nginx->stop;
};

# ---- examples/sse

# A page in Chromium, which is told what to do through two pipes (--remote-
# debugging-pipe); undef without one.  Returns what evaluates JavaScript there.
sub browser {
    my ($url) = @_;

    my ($binary) = grep { -x } $ENV{TEST_NGINX_CHROMIUM} // (),
        map { "/usr/bin/$_" } qw(chromium chromium-headless-shell
        chromium-browser google-chrome);
    return if !$binary;

    pipe my $commands, my $to or die "pipe: $!";
    pipe my $from, my $answers or die "pipe: $!";
    NginxAsync::Guard::tell_watchdog('hello');
    my $profile = NginxAsync::Guard::temp_dir('chromium');
    my $pid = fork() // die "fork: $!";

    if ($pid == 0) {
        NginxAsync::Guard::enlist();
        open STDERR, '>', '/dev/null';
        POSIX::dup2(fileno $commands, 33);
        POSIX::dup2(fileno $answers, 34);
        POSIX::dup2(33, 3);
        POSIX::dup2(34, 4);
        exec $binary, qw(--headless --no-sandbox --disable-gpu
            --disable-dev-shm-usage --remote-debugging-pipe),
            "--user-data-dir=$profile" or POSIX::_exit(127);
    }

    close $_ for $commands, $answers;

    my ($id, $buffer) = (0, '');
    my $ask = sub {
        my ($method, $session, %params) = @_;

        syswrite $to, encode_json({ id => ++$id, method => $method,
            params => \%params, $session ? (sessionId => $session) : () })
            . "\0";

        while (1) {
            while ((my $end = index $buffer, "\0") != -1) {
                my $answer = decode_json(substr $buffer, 0, $end);
                substr $buffer, 0, $end + 1, '';
                return $answer->{result} if ($answer->{id} // 0) == $id;
            }

            IO::Select->new($from)->can_read(60)
                && sysread $from, $buffer, 65536, length $buffer
                or die "nothing comes from $binary\n";
        }
    };

    my $target  = $ask->('Target.createTarget', undef, url => $url)->{targetId};
    my $session = $ask->('Target.attachToTarget', undef, targetId => $target,
        flatten => JSON::PP::true)->{sessionId};

    return sub {
        my ($script) = @_;

        return $ask->('Runtime.evaluate', $session, expression => $script)
            ->{result}{value} if defined $script;

        $ask->('Browser.close');
        waitpid $pid, 0;
        return NginxAsync::Guard::forget($pid);
    };
}

subtest 'the page of sse in a browser' => sub {
    my $nginx = example('sse');
    my $page  = eval { browser('http://127.0.0.1:' . $nginx->port(0) . '/') };

    plan skip_all => 'no Chromium, or it does not run' . ($@ && ": $@")
        if !$page;

    my $shows = sub {
        my ($id, $pattern, $title) = @_;
        my $text;

        ok $nginx->wait_until(sub {
            $text = $page->("document.getElementById('$id').textContent") // '';
            return $text =~ $pattern;
        }, 60), $title or diag $text;
    };

    $shows->('count', qr/^[1-9]/, 'an event has come');
    $shows->('time', qr/^\d\d:\d\d:\d\d$/, '... with the time');
    $shows->('watching', qr/^1$/, '... and how many watch');
    $shows->('state', qr/^live$/, '... it is live');
    $shows->('count', qr/^[2-9]|\d\d/, '... and goes on');

    $page->("document.getElementById('start').click()");
    $shows->('start', qr/^(?:[1-5]|Liftoff!)$/, 'a button starts a countdown');
    $shows->('start', qr/^Liftoff!$/, '... to its end');
    ok !$page->("document.getElementById('start').disabled"),
        '... once more, if one likes';

    $nginx->kill_worker('KILL');

    my $shown = "+document.getElementById('count').textContent";
    my $count = $page->($shown);
    ok $nginx->wait_until(sub { $page->($shown) >= $count + 3 }, 60),
        'a worker dies, and another one goes on from there';
    $shows->('state', qr/^live$/, '... live');

    $page->();
    $nginx->stop;
};

subtest 'sse' => sub {
    my $nginx = example('sse', 'heartbeat  15000' => 'heartbeat  1100',
        'events { }' => "error_log logs/error.log info;\nevents { }");

    my $r = $nginx->get('/');
    like $r->header('Content-Type'), qr{^text/html}, 'a page';
    like $r->body, qr{new EventSource\('/events'\)}, '... that watches';
    unlike $r->body, qr{https?://|src=|<link}, '... and needs nothing else';

    my ($c, $head) = watch($nginx, '/events?every=50');
    like $head, qr{^Content-Type: text/event-stream}m, 'a stream of events';
    like $head, qr{^Cache-Control: no-cache}m, '... that nobody keeps';

    my @events = events($c, 3);
    is join(' ', map { $_->{id} } @events), '1 2 3', 'events have an id';
    is join(' ', map { $_->{retry} // '-' } @events), '2000 - -',
        '... the first one says when to come back';

    my $data = decode_json($events[2]{data});
    is $data->{count}, 3, '... the counter';
    like $data->{time}, qr/^\d\d:\d\d:\d\d$/, '... the time';
    is $data->{watching}, 1, '... and how many watch';

    for (['41', 42], ['nonsense', 1], ['-7', 1], ['9' x 30, 1]) {
        my ($last, $id) = @$_;

        my ($again) = watch($nginx, '/events', $last);
        my ($event) = events($again, 1);

        is $event->{id}, $id, "after $last comes $id";
        is decode_json($event->{data})->{watching}, 2, '... for two';

        my $since = $nginx->mark;
        $again->close;
        ok $nginx->wait_for_log(qr/a watcher has left, 1 stay/, 20, $since),
            '... until one leaves, which ends its handler';
    }

    $c->close;
    ok $nginx->wait_for_log(qr/a watcher has left, 0 stay/), '... and the last';

    ($c) = watch($nginx, '/events?every=3600000');
    events($c, 1);
    is $c->read_until(qr/\n\n/), ": still here\n\n", 'a heartbeat';
    $c->close;

    refused($nginx->get("/events?every=$_"), 'every must be from 10 to 3600000')
        for 9, 3600001;
    refused($nginx->get("/countdown?from=$_"), 'from must be from 1 to 60')
        for 0, 61;

    ok $nginx->wait_for_log(qr/0 stay.*0 stay/s), 'nobody watches';

    readme_holds('sse', $nginx);
    $nginx->stop;
};

# ---- examples/background

subtest 'background' => sub {
    my $nginx = example('background',
        'events { }' => "error_log logs/error.log notice;\nevents { }");

    my $c = $nginx->connect;
    my @json = ('Content-Type', 'application/json');
    my $sign_up = sub {
        return $c->send_request('POST', '/sign-up', body => $_[0],
            headers => [@json])->response;
    };

    refused($sign_up->($_), '"email" must be a string')
        for '{"email":7}', '{"email":null}', '{"mail":"a@b"}', '[]', '7';
    refused($sign_up->(encode_json({ email => $_ })),
        '"email" must be an address')
        for '', 'a', '@', 'a@', '@b', 'a@b@c', 'a b@c', "a\@b\nc", "a\x7f\@b",
            'a@' . 'b' x 253;

    is $sign_up->('{')->status, 422, 'no JSON at all';
    is $nginx->get('/sign-up')->status, 405, 'no POST';
    is $nginx->get('/journal')->body, '', '... have no consequences';

    # a client that was stopped for longer than mail takes asks again
    my ($done, $before, @early) = ('');

    for my $name ('eve', 1 .. 4) {
        my $since = $nginx->mark;
        my $mail  = "$name\@example.com";
        my $r = $sign_up->(encode_json({ email => $mail }));
        $before = $nginx->get('/journal')->body;

        is $r->status, 202, 'accepted';
        is_deeply json($r), { message => "Mail will go to $mail" },
            '... and answered';

        push @early, $name;
        ok $nginx->wait_for_log(qr/mail to \Q$mail\E is sent/, 20, $since),
            'then the mail goes out';
        ok $nginx->wait_until(sub { $nginx->get('/journal')->body eq
            "$done$mail has signed up\n" }, 20), '... and the journal has it';

        last if $before eq $done;
        $done .= "$mail has signed up\n";
    }

    is $before, $done, '... and was as before when that was answered';

    my @many = map { $nginx->connect->send_request('POST', '/sign-up',
        headers => [@json], body => encode_json({
            email => "$_\@example.com" })) } 10 .. 59;
    is scalar(grep { $_->response->status == 202 } @many), 50, 'fifty more';
    ok $nginx->wait_until(sub {
        return $nginx->get('/journal')->body =~ tr/\n// == 50 + @early;
    }, 20), '... are written';
    is join('', sort split /^/, $nginx->get('/journal')->body),
        join('', sort map { "$_\@example.com has signed up\n" } 10 .. 59, @early),
        '... each of them once';

    $nginx->stop;

    # ---- a journal of its own, and a worker that ends before the mail is out

    my $dir = NginxAsync::Guard::temp_dir('journal');
    chmod 0777, $dir;

    $nginx = example('background', '# async_param' => 'async_param',
        '/var/lib/sign-up/journal' => "$dir/journal");

    is $nginx->post('/sign-up', '{"email":"last@example.com"}',
        headers => [@json])->status, 202, 'a sign-up';
    $nginx->stop;
    is NginxAsync::Env::slurp("$dir/journal"),
        "last\@example.com has signed up\n", '... at the last moment is done';

    $nginx = example('background', '# async_param' => 'async_param',
        '/var/lib/sign-up/journal' => "$dir/journal");
    is $nginx->get('/journal')->body, "last\@example.com has signed up\n",
        'the journal is there after a restart';

    NginxAsync::Env::spew("$dir/journal", 'x' x 70_000 . "end\n");
    my $shown = $nginx->get('/journal')->body;
    is length $shown, 65536, 'of a long one';
    like $shown, qr/xend\n\z/, '... the end is shown';
    $nginx->stop;

    $nginx = example('background');
    readme_holds('background', $nginx);
    $nginx->stop;
};

# ---- examples/upload

sub letters {
    my ($n) = @_;
    return substr +(join('', 'a' .. 'z') . "\n") x ($n / 27 + 1), 0, $n;
}


sub cksum {
    my ($data) = @_;

    my $dir = NginxAsync::Guard::temp_dir('cksum');
    NginxAsync::Env::spew("$dir/data", $data);

    return (split ' ', NginxAsync::run('cksum', "$dir/data"))[0];
}


subtest 'upload' => sub {
    my $nginx = example('upload');

    for my $len (0, 1, 255, 256, 65536, 65537, 3_000_000) {
        my $body = letters($len);

        is_deeply json($nginx->request('PUT', '/upload', body => $body)),
            { length => $len, cksum => cksum($body) + 0 }, "$len bytes in";

        my $r = $nginx->get("/download?size=$len");
        ok $r->body eq $body, '... out';
        is $r->header('Content-Length'), $len, '... of known length';

        $r = $nginx->request('POST', '/echo', body => $body,
            headers => ['Content-Type', 'text/x-test']);
        ok $r->body eq $body, '... and both';
        is $r->header('Content-Type'), 'text/x-test', '... of its type';
    }

    my $c = $nginx->connect->send("POST /echo HTTP/1.1\r\nHost: a\r\n"
        . "Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
    like $c->read_until(qr/first/), qr/^Transfer-Encoding: chunked/m,
        'the first piece comes back before the last one is sent';
    $c->send("4\r\nlast\r\n0\r\n\r\n");
    like $c->read_until(qr/\r\n0\r\n\r\n/), qr/last/, '... and the last one';
    $c->close;

    refused($nginx->get("/download?size=$_"),
        'size must be from 0 to 1000000000000') for -1, 1000000000001;
    is $nginx->get('/download')->status, 422, 'no size';
    is $nginx->get('/upload')->status, 405, 'no PUT';

    # warm, then a terabyte that nobody reads, and uploads of 100 MB
    readme_holds('upload', $nginx);
    my $before = $nginx->memory_of_worker;

    $c = $nginx->connect->send_request('GET', '/download?size=1000000000000');
    like $c->read_until(qr/\r\n\r\n/), qr/^Content-Length: 1000000000000\r$/m,
        'a terabyte begins';
    my $up = $nginx->connect->send("PUT /upload HTTP/1.1\r\nHost: a\r\n"
        . "Content-Length: 100000000\r\n\r\n");
    $up->send('x' x 1_000_000) for 1 .. 50;

    SKIP: {
        skip 'ASan keeps what has been freed', 1 if $asan;
        my $grown = int(($nginx->memory_of_worker - $before) / 1024);
        cmp_ok $grown, '<', 4096, "... and 50 MB have come: $grown kB more";
    }

    $up->send('x' x 1_000_000) for 1 .. 50;
    is json($up->response)->{length}, 100_000_000, 'all of it';
    $c->close;

    $nginx->stop;
};

# ---- examples/process

subtest 'process' => sub {
    my $nginx = example('process');

    my $lines = join '', map { "$_\n" } reverse 'aa' .. 'zz';
    is $nginx->post('/sort', $lines)->body, join('', map { "$_\n" } 'aa' .. 'zz'), '/sort';
    is $nginx->post('/sort', '')->body, '', '... of nothing';

    is $nginx->get('/factor/--help')->status, 422, '/factor of an option';
    is $nginx->get('/factor/$(id)')->status, 422, '... of a command';

    my $since = $nginx->mark;
    is $nginx->get('/primes/1000000000')->status, 500, '/primes of too many';
    like_log $nginx, $since, qr/ASYNC_ERROR: 1000000000 is too much/, '... says why';

    my $c = $nginx->connect->send_request('GET', '/primes/100000000');
    my $worker = $nginx->worker;
    my $children = sub { return `cat /proc/$worker/task/*/children` };
    ok $nginx->wait_until(sub { $children->() =~ /\d/ }, 20), '... takes long';
    $c->reset;
    ok $nginx->wait_until(sub { $children->() !~ /\d/ }, 20),
        '... and is killed when its client goes';

    readme_holds('process', $nginx);
    $nginx->stop;
};

done_testing;
