#!/usr/bin/perl

# await_fetch() against a server that is rude: see NginxAsync::Rude and, for
# what it answers, NginxAsync::RudeAnswers.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Compress::Raw::Zlib;
use IO::Compress::Gzip qw(gzip);
use IO::Socket::INET;
use IO::Socket::SSL;
use JSON::PP;
use Test::More;
use Time::HiRes qw(sleep);

use NginxAsync;
use NginxAsync::Rude;
use NginxAsync::RudeAnswers;
use NginxAsync::Say qw(json);

my $asan = $ENV{TEST_NGINX_ASAN};

my @CAUSES = qw(none request url name denied connect tls reset timeout
    protocol large redirect status json);
my ($OK, $ERROR, $TIMEOUT, $CLOSED) = (0, -1, -2, -4);

my $HEAD = "HTTP/1.1 200 OK\r\n";
my $NEXT = "${HEAD}Content-Length: 4\r\n\r\nnext";
my $EVIL = "${HEAD}Content-Length: 4\r\n\r\nevil";

my $n = NginxAsync->new(conf => { http => <<'EOF_HTTP', server => <<'EOF_CONF' })->start;
        async_app $TEST_NGINX_APPS/fetch.so;
        keepalive_requests 1000000;
EOF_HTTP
        location = /fetch   { async_handler fetch:fetch; }
        location = /free    { async_handler fetch:fetch; async_fetch_ssl_verify off; }
        location = /small   { async_handler fetch:fetch; async_fetch_max_head 1000; }
        location = /several { async_handler fetch:several; }
EOF_CONF


my $client = $n->connect;

sub ask {
    my ($c, $path, $ask) = @_;

    return $c->send_request('POST', $path, body => encode_json($ask),
        headers => ['Content-Type' => 'application/json']);
}


# one await_fetch(), on nginx's one connection of this test
sub fetch {
    my ($url, %o) = @_;

    return json(ask($client, '/fetch', { url => $url, %o })->response);
}


# many, 64 of them at once
sub several {
    my @asks = @_;
    my @answers;

    while (my @now = splice @asks, 0, 64) {
        push @answers, @{ json(ask($client, '/several', \@now)->response) };
    }

    return @answers;
}


# status and body, or the cause
sub verdict {
    my ($r) = @_;

    return "$r->{status} " . (ref $r->{body} ? "$r->{body}{head}|" . ($r->{body}{end} == $OK ? 'end'
        : $CAUSES[$r->{body}{cause}]) : $r->{body}) if $r->{rc} == $OK;

    my $rc = { timeout => $TIMEOUT, reset => $CLOSED }->{$CAUSES[$r->{cause}]} // $ERROR;

    return $CAUSES[$r->{cause}] . ($r->{rc} == $rc && length $r->{error} ? ''
        : " ($r->{rc}: $r->{error})");
}


# The server's own connection ends when the test says so.
sub told {
    my ($rude, $name, $count) = @_;

    $count //= 1;
    $n->wait_until(sub { $rude->notes($name) >= $count }, 30);

    return ($rude->notes($name))[$count - 1];
}


# By how many bytes the worker grows, at most, while something is done.
sub grows {
    my ($what) = @_;

    my $before = $n->memory_of_worker;
    $what->();

    return $n->memory_of_worker - $before;
}


my @answers = @NginxAsync::RudeAnswers::Answers;

# ---- responses that are cut off at each of their bytes

{
    my %text = (
        length  => "${HEAD}Content-Length: 5\r\n\r\nhello",
        chunked => "${HEAD}Transfer-Encoding: chunked\r\n\r\n3;x\r\nhel\r\n2\r\nlo\r\n0\r\nX: y\r\n\r\n",
        close   => "HTTP/1.0 200 OK\r\nX: y\r\n\r\nhello",
    );
    my $rude = NginxAsync::Rude->new(cut => sub {
        my ($c, undef, $kind, $at, $how) = @_;
        $c->say(substr $text{$kind}, 0, $at);
        $how eq 'rst' ? $c->rst : $c->fin;
    });

    for my $kind (sort keys %text) {
        my $all  = length $text{$kind};
        my $head = index($text{$kind}, "\r\n\r\n") + 4;

        for my $how (qw(fin rst)) {
            for my $stream (0, 1) {
                my @got = map { verdict($_) } several(map { {
                    url => $rude->url('cut', $kind, $_, $how), stream => \$stream } } 0 .. $all);
                my @expect = map {
                    my $at   = $_;
                    my $ends = $kind eq 'close' ? $how eq 'fin' && $at >= $head : $at == $all;
                    my $part = $at < $head ? '' : $kind eq 'chunked'
                        ? substr 'hello', 0, $at < $head + 5 ? 0 : $at < $head + 8 ? $at - $head - 5
                            : $at < $head + 13 ? 3 : $at < $head + 15 ? $at - $head - 10 : 5
                        : substr $text{$kind}, $head, $at - $head;
                    $at < $head ? 'reset' : $stream ? "200 $part|" . ($ends ? 'end' : 'reset')
                        : $ends ? "200 $part" : 'reset';
                } 0 .. $all;

                # what the kernel drops at RST is not to be seen
                s/200 .*\|reset/200 |reset/ for $how eq 'rst' ? (@got, @expect) : ();
                is_deeply \@got, \@expect, "$kind, cut off by \U$how\E"
                    . ($stream ? ', in pieces' : '');
            }
        }
    }
}

# ---- all that is wrong in another way

{
    my $rude = NginxAsync::Rude->new(
        closes => sub { my ($c, undef, $i) = @_; $c->say($answers[$i][1]); $c->fin },
        stays  => sub { my ($c, undef, $i) = @_; $c->say($answers[$i][1]) },
        slow   => sub {
            my ($c, undef, $i) = @_;
            my $head = 4 + index $answers[$i][1], "\r\n\r\n";
            $c->say(substr $answers[$i][1], 0, $head);
            sleep 0.05;
            $c->say(substr $answers[$i][1], $head);
            $c->note('said');
        },
        next => $NEXT,
    );
    my @asks = map { my (undef, undef, undef, %more) = @{ $answers[$_] };
        { url => $rude->url('closes', $_), method => $more{method} // 'GET' } } 0 .. $#answers;
    my @got = several(@asks);

    is verdict($got[$_]), $answers[$_][2], $answers[$_][0] for 0 .. $#answers;

    for my $i (grep { { @{ $answers[$_] }[3 .. $#{ $answers[$_] }] }->{spoils} } 0 .. $#answers) {
        my ($title, undef, $verdict, %more) = @{ $answers[$i] };
        is verdict(fetch($rude->url('stays', $i), method => $more{method} // 'GET')), $verdict,
            "$title, and the connection stays";
        is verdict(fetch($rude->url('next'))), '200 next', '... not for the next request';
        isnt +($rude->came('stays'))[-1], ($rude->came('next'))[-1], '... which is sent on another';
        is verdict(fetch($rude->url('slow', $i), method => $more{method} // 'GET')), $verdict,
            '... nor late';
        told($rude, 'slow', scalar $rude->came('slow'));
        is verdict(fetch($rude->url('next'))), '200 next', '... for the next request';
    }
}

# ---- async_fetch_max_head, however the head comes

{
    my $head = sub {
        my ($size) = @_;
        my $text = "${HEAD}Content-Length: 5\r\nX: \r\n\r\n";
        return $text =~ s/X: /'X: ' . 'x' x ($size - length $text)/er;
    };
    my $rude = NginxAsync::Rude->new(
        at_once => sub { my ($c, undef, $size) = @_; $c->say($head->($size) . 'hello') },
        halves  => sub {
            my ($c, undef, $size) = @_;
            my $text = $head->($size);
            $c->say(substr $text, 0, 900);
            sleep 0.02;
            $c->say(substr($text, 900) . 'hello');
        },
    );

    for my $name (qw(at_once halves)) {
        for my $size (999, 1000, 1001, 5000) {
            is verdict(json(ask($client, '/small', { url => $rude->url($name, $size) })->response)),
                $size <= 1000 ? '200 hello' : 'large', "a head of $size bytes, $name";
        }
    }
}

# ---- slowly

{
    my $slow = "${HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    my $rude = NginxAsync::Rude->new(
        drips  => sub { my ($c) = @_; $c->drip($slow, 0.02) },
        drops  => sub { my ($c) = @_; $c->say($HEAD); 1 while $c->drip("X: y\r\n", 0.1) },
        body   => sub { my ($c) = @_; $c->say("$HEAD\r\n"); 1 while $c->drip('x' x 99, 0.1) },
        silent => sub { my ($c) = @_; $c->rest },
        half   => sub { my ($c) = @_; $c->say('HTTP/1.1 200'); $c->rest },
        mute   => sub { my ($c) = @_; $c->say("${HEAD}Content-Length: 9\r\n\r\nx"); $c->rest },
        rawdeaf => sub { my ($c) = @_; sleep 60 },
    );

    my @drips = (url => $rude->url('drips'), read_timeout => 1000);
    is_deeply [map { verdict($_) } several({ @drips }, { @drips, stream => \1 })],
        ['200 hello', '200 hello|end'], 'read_timeout is for each wait';
    is verdict(fetch($rude->url('drops'), read_timeout => 2000, timeout => 300)), 'timeout',
        'timeout is for all of them: the head';
    is verdict(fetch($rude->url('body'), read_timeout => 2000, timeout => 300)), 'timeout',
        '... and the body';
    is verdict(fetch($rude->url($_), read_timeout => 100)), 'timeout', "read_timeout: $_"
        for qw(silent half mute);
    is verdict(fetch($rude->url('mute'), stream => \1, read_timeout => 100)), '200 x|timeout',
        '... in pieces';
    my $r = fetch($rude->url('rawdeaf'), big => 30_000_000, send_timeout => 200);
    is verdict($r), 'timeout', 'send_timeout: one that does not read';
    like $r->{error}, qr/^send to /, '... says what';
    is verdict(fetch($rude->url('rawdeaf'), piece => 16384, pieces => 2000, send_timeout => 200)),
        'timeout', '... nor what comes from a source';

    my $full = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1');
    listen $full, 0;
    my $to = '127.0.0.1:' . $full->sockport;
    my @fill = map { IO::Socket::INET->new(PeerAddr => $to, Blocking => 0) } 1 .. 3;
    is verdict(fetch("http://$to/", connect_timeout => 200)), 'timeout',
        'connect_timeout: one that does not accept';
    is verdict(fetch("http://$to/", timeout => 200, connect_timeout => 60_000)), 'timeout',
        '... timeout';
}

# ---- without end

{
    my $kilobytes = 'x' x 65_536;
    my %begin = (
        close   => ["$HEAD\r\n", $kilobytes],
        length  => ["${HEAD}Content-Length: 99999999999\r\n\r\n", $kilobytes],
        chunked => ["${HEAD}Transfer-Encoding: chunked\r\n\r\n", "10000\r\n$kilobytes\r\n"],
        small   => ["${HEAD}Transfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n" x 10_000],
        head    => ['', "X: y\r\n" x 10_000],
        field   => ["${HEAD}X: ", $kilobytes],
        interim => ['', "HTTP/1.1 102 Processing\r\n\r\n" x 2_500],
        trailer => ["${HEAD}Transfer-Encoding: chunked\r\n\r\n0\r\n", "X: y\r\n" x 10_000],
    );
    my $flood = sub {
        my ($c, undef, $kind) = @_;
        my ($begin, $more) = @{ $begin{$kind} };
        $c->say($begin);
        1 while $c->say($more);
    };
    my $rude = NginxAsync::Rude->new(
        flood    => $flood,
        # answers without end, and does not read what is being sent
        rawflood => $flood,
        stuffs => sub {
            my ($c) = @_;
            $c->say("$HEAD\r\n");
            $c->note($c->stuffed($kilobytes, 1, 1e9));
            $c->rest;
        },
        plain => $NEXT,
    );
    my %expect = (close => 'large', length => 'large', chunked => 'large', small => 'large',
        head => 'protocol', field => 'large', interim => 'protocol', trailer => 'protocol');

    for my $kind (sort keys %begin) {
        my $r;
        my $grown = grows(sub { $r = fetch($rude->url('flood', $kind), timeout => 30_000) });
        is verdict($r), $expect{$kind}, "without end: $kind";
        cmp_ok $grown, '<', 8_000_000, '... in little memory' if !$asan;
    }

    is verdict(fetch($rude->url('flood', 'close'), max => 3, timeout => 30_000)), 'large', 'max';

    {
        my @parts = map { my $text = $_; ("kind$text->[0]" => sub { my ($c) = @_; $c->say($text->[1]); $c->fin }) }
            map { [$_, $answers[$_][1]] } 0 .. 2;
        my $rude = NginxAsync::Rude->new(@parts);
        is verdict(fetch($rude->url("kind$_"), max => -1)), '200 hello',
            "the largest max there is: $answers[$_][0]" for 0 .. 2;
    }

    # several megabytes, of which none is held
    for my $kind (qw(close chunked small)) {
        my $stop = $kind eq 'small' ? 1_000_000 : 50_000_000;
        my $r;
        my $grown = grows(sub {
            $r = fetch($rude->url('flood', $kind), stream => \1, stop => $stop, max => 1);
        });
        cmp_ok $r->{body}{total}, '>=', $stop, "in pieces, and closed in the middle: $kind";
        cmp_ok $grown, '<', 8_000_000, '... in little memory' if !$asan;
    }

    for my $kind (qw(interim close)) {
        my %o = (timeout => 20_000, send_timeout => 20_000);
        my $r = fetch($rude->url('rawflood', $kind), big => 30_000_000, %o);
        is verdict($r), $expect{$kind}, "without end while a body is sent: $kind";
        $r = fetch($rude->url('rawflood', $kind), pieces => 2000, piece => 16384, %o);
        is verdict($r), $expect{$kind}, '... of a source';
    }

    {
        # reading is slower than the server is
        my $slow = ask($n->connect, '/fetch', { url => $rude->url('stuffs'),
            stream => \1, size => 1000, pause => 100, stop => 1_000_000_000 });
        my $taken = told($rude, 'stuffs');
        cmp_ok $taken, '<', 16_000_000, "a server cannot send what nobody reads: $taken bytes";
        $slow->reset;
    }

    {
        # a task that reads all that comes does not keep others waiting
        my @busy = map { ask($n->connect, '/fetch', { url => $rude->url('flood', $_),
            stream => \1, stop => 10_000_000_000_000 }) } qw(close small chunked);
        is verdict(fetch($rude->url('plain'))), '200 next', 'others go on while all is read'
            for 1 .. 20;
        $_->reset for @busy;
        is verdict(fetch($rude->url('plain'))), '200 next', '... and afterwards';
    }
}

# ---- connections that are kept

{
    my $plain = "${HEAD}Content-Length: 5\r\n\r\nhello";
    my %begun;
    my $parts = sub { return (
        keeps  => $plain,
        goes   => sub { my ($c) = @_; $c->say($plain); $c->fin; $c->note('gone') },
        resets => sub { my ($c) = @_; $c->say($plain); sleep 0.05; $c->rst; $c->note('gone') },
        later  => sub { my ($c) = @_; $c->say($plain); sleep 0.05; $c->say($EVIL); $c->note('said'); $c->rest },
        option => "${HEAD}Content-Length: 5\r\nConnection: close\r\n\r\nhello",
        old    => "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        older  => "HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello",
        # closes when the second request on a connection has come
        fin    => sub { my ($c) = @_; $begun{$c->number}++ ? $c->fin : $c->say($plain) },
        rst    => sub { my ($c) = @_; $begun{$c->number}++ ? $c->rst : $c->say($plain) },
        half   => sub { my ($c) = @_; $begun{$c->number}++ ? ($c->say('H'), $c->fin) : $c->say($plain) },
        next   => $NEXT,
    ) };
    my $rude = sub { NginxAsync::Rude->new($parts->()) };
    my $get  = sub { my ($r, $name, @more) = @_; return verdict(fetch($r->url($name), @more)) };

    my $r = $rude->();
    is_deeply [map { $get->($r, 'keeps') } 1 .. 3], [('200 hello') x 3], 'kept';
    is_deeply [$r->came('keeps')], [1, 1, 1], '... on one connection';

    for my $name (qw(option old)) {
        $r = $rude->();
        $get->($r, $name) for 1 .. 2;
        is_deeply [$r->came($name)], [1, 2], "not kept: $name";
    }
    $r = $rude->();
    $get->($r, 'older') for 1 .. 2;
    is_deeply [$r->came('older')], [1, 1], 'HTTP/1.0 that is kept';

    for my $name (qw(goes resets)) {
        for my $method (qw(GET POST)) {
            $r = $rude->();
            is $get->($r, $name), '200 hello', "the server $name";
            told($r, $name);
            is $get->($r, 'next', method => $method), '200 next', "... $method";
            is_deeply [$r->came('next')], [2], '... on a new connection';
        }
    }

    for my $name (qw(fin rst)) {
        for my $method (qw(GET HEAD PUT DELETE OPTIONS TRACE)) {
            $r = $rude->();
            $get->($r, $name);
            is $get->($r, $name, method => $method), $method eq 'HEAD' ? '200 ' : '200 hello',
                "a connection that ends when $method comes, by \U$name\E";
            is_deeply [$r->came($name)], [1, 1, 2], '... which is sent once more';
        }

        for my $method (qw(POST PATCH get)) {
            $r = $rude->();
            $get->($r, $name);
            is $get->($r, $name, method => $method), 'reset',
                "a connection that ends when $method comes, by \U$name\E";
            is_deeply [$r->came($name)], [1, 1], '... which is sent once';
        }
    }

    $r = $rude->();
    $get->($r, 'half');
    is $get->($r, 'half'), 'reset', 'a connection that ends behind a byte';
    is_deeply [$r->came('half')], [1, 1], '... is no reason to repeat';

    $r = $rude->();
    $get->($r, 'fin');
    is $get->($r, 'fin', method => 'PUT', piece => 9, pieces => 3), 'reset',
        'a source cannot be asked twice';
    is_deeply [$r->came('fin')], [1, 1], '... so that nothing is repeated';

    {
        # many are kept, and all of them end with the next request
        $r = NginxAsync::Rude->new(each => sub {
            my ($c) = @_;
            return $c->fin if $begun{$c->number}++;
            sleep 0.2 if $c->number <= 8;
            $c->say($plain);
        });
        several(map { { url => $r->url('each') } } 1 .. 8);
        my $before = $r->came('each');
        is $get->($r, 'each'), '200 hello', 'many that end';
        cmp_ok $r->came('each') - $before, '<=', 5, '... are not all tried';
    }

    for my $method (qw(GET POST)) {
        $r = $rude->();
        is $get->($r, 'later'), '200 hello', 'what nobody has asked for comes later';
        told($r, 'later');
        is $get->($r, 'next', method => $method), '200 next', "... is not for $method";
        is_deeply [$r->came('next')], [2], '... on a new connection';
    }

    # The loop is told of the client's request first, and then of what has come
    # on the connection that is kept.
    for my $method (qw(GET POST)) {
        $r = $rude->();
        is $get->($r, 'later'), '200 hello', 'what comes while the worker sleeps';
        my $worker = $n->worker;
        kill STOP => $worker;
        ask($client, '/fetch', { url => $r->url('next'), method => $method });
        told($r, 'later');
        kill CONT => $worker;
        is verdict(json($client->response)), '200 next', "... is not the answer to $method";
    }
}

# ---- answers that come before all has been sent

{
    my $refusal = "HTTP/1.1 413 No\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno";
    my $rude = NginxAsync::Rude->new(
        rawfin => sub { my ($c) = @_; $c->say($refusal); $c->rest },
        # what has not been read makes it an RST
        rawrst => sub { my ($c) = @_; sleep 0.02; $c->say($refusal); sleep 0.02; close $c->socket; delete $c->{socket} },
        rawnow => sub { my ($c) = @_; $c->say($refusal); close $c->socket; delete $c->{socket} },
        # not all of it has been sent by then
        rawkeep => sub {
            my ($c) = @_;
            $c->say("HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno");
            sleep 0.2;
            $c->rest;
        },
        rawcut => sub { my ($c) = @_; sleep 0.02; $c->rst },
        rawmore => sub {
            my ($c) = @_;
            for (1 .. 5) { $c->say("HTTP/1.1 100 Continue\r\n\r\n"); sleep 0.02 }
            my $left = 20_000_000 - length $c->{read};
            $c->{read} = '';
            while ($left > 0) { sysread $c->socket, my $buf, 65536 or last; $left -= length $buf }
            $c->say($NEXT);
        },
        next => $NEXT,
    );
    my %source = (piece => 16384, pieces => 1200);

    for my $name (qw(rawfin rawrst rawnow rawkeep)) {
        my %seen;
        $seen{verdict(fetch($rude->url($name), big => 20_000_000))}++ for 1 .. 15;
        is_deeply [sort keys %seen], ['413 no'], "refused while a body is sent: $name";
        %seen = ();
        $seen{verdict(fetch($rude->url($name), %source))}++ for 1 .. 15;
        is_deeply [sort keys %seen], ['413 no'], '... of a source';
    }

    is verdict(fetch($rude->url('rawcut'), big => 20_000_000)), 'reset', 'RST while a body is sent';
    is verdict(fetch($rude->url('rawcut'), %source)), 'reset', '... of a source';
    is verdict(fetch($rude->url('rawmore'), big => 20_000_000)) , '200 next',
        'responses of status 1xx while a body is sent';
    is verdict(fetch($rude->url('next'))), '200 next', '... and on';
    my %used = map { $_ => 1 } map { $rude->came($_) } qw(rawfin rawrst rawnow rawkeep);
    is_deeply [grep { $used{$_} } $rude->came('next')], [], '... on another connection';
}

# ---- proxies that are to make a tunnel

{
    my %proxy = (
        'a 407' => ["HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n", 'connect'],
        'a 302' => ["HTTP/1.1 302 Go\r\nLocation: http://127.0.0.1/\r\n\r\n", 'connect'],
        'a 101' => ["HTTP/1.1 101 Go\r\n\r\n", 'protocol'],
        'garbage' => ["garbage\r\n\r\n", 'protocol'],
        'nothing' => ['', 'reset'],
        'half a head' => ["HTTP/1.1 200 OK\r\n", 'reset'],
        'more than a head' => ["HTTP/1.1 200 OK\r\n\r\nhello", 'protocol'],
        'a response in the tunnel' => ["HTTP/1.1 200 OK\r\n\r\n$EVIL", 'protocol'],
        'a head without end' => ['HTTP/1.1 200 OK' . "\r\nX: y" x 20_000, 'large'],
        'responses without end' => ["HTTP/1.1 100 Go\r\n\r\n" x 8000, 'protocol'],
        'a tunnel that ends' => ["HTTP/1.1 200 OK\r\n\r\n", 'tls'],
    );

    for my $title (sort keys %proxy) {
        my ($bytes, $verdict) = @{ $proxy{$title} };
        my $rude = NginxAsync::Rude->new('' => sub { my ($c) = @_; $c->say($bytes); $c->fin });
        is verdict(fetch('https://localhost:1/', proxy => $rude->url)), $verdict, "a proxy: $title";
        $rude->stop;
    }
}

# ---- TLS that ends without a word: anybody on the way could have done that

{
    my ($crt, $key) = $n->certificate;
    my %text = (
        length  => "${HEAD}Content-Length: 5\r\n\r\nhello",
        chunked => "${HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        close   => "${HEAD}Connection: close\r\n\r\nhello",
    );
    my $rude = NginxAsync::Rude->new({ greets => sub {
            IO::Socket::SSL->start_SSL($_[0]->socket, SSL_server => 1, SSL_cert_file => $crt,
                SSL_key_file => $key) or die;
        } },
        said => sub { my ($c, undef, $kind) = @_; $c->say($text{$kind}); (delete $c->{socket})->close },
        cut  => sub {
            my ($c, undef, $kind) = @_;
            $c->say($text{$kind});
            (delete $c->{socket})->close(SSL_no_shutdown => 1);
        },
    );
    my $url = sub { my $url = $rude->url(@_); $url =~ s/http/https/; return $url };
    my $free = sub { return verdict(json(ask($client, '/free', { url => $url->(@_) })->response)) };

    is $free->('said', $_), '200 hello', "TLS that ends: $_" for qw(length chunked close);
    is $free->('cut', $_), '200 hello', "TLS that is cut off behind the response: $_"
        for qw(length chunked);
    is $free->('cut', 'close'), 'reset', 'TLS that is cut off where the response ends by it';
}

# ---- gzip

{
    my $text = join '', map { "line $_\n" } 1 .. 200;
    gzip(\$text, \my $packed);
    gzip(\'more', \my $more);
    my $flipped = $packed;
    substr($flipped, 40, 1) ^= "\xff";
    my $sum = $packed;
    substr($sum, -6, 1) ^= "\x01";
    my $long = $packed;
    substr($long, -1, 1) ^= "\x01";

    # a megabyte of zeros is the same each time
    my $deflate = Compress::Raw::Zlib::Deflate->new(-WindowBits => -15, -AppendOutput => 1);
    $deflate->deflate("\0" x 1_000_000, my $zeros);
    $deflate->flush($zeros, Z_FULL_FLUSH);
    my $bomb = "\x1f\x8b\x08\0\0\0\0\0\0\x03" . $zeros x 1000 . "\x03\0" . "\0" x 8;

    my $as = sub {
        my ($body, $coding) = @_;
        return "${HEAD}Content-Encoding: " . ($coding // 'gzip') . "\r\nContent-Length: "
            . length($body) . "\r\n\r\n$body";
    };
    my %parts = (
        whole => $as->($packed), name => $as->($packed, 'X-GZip'), empty => $as->(''),
        identity => $as->('plain', 'identity'), two => $as->($packed . $more),
        zeros => $as->($packed . "\0" x 99),
        (map { ("cut$_" => $as->(substr $packed, 0, $_)) } 1, 9, 10, 50, length($packed) - 8,
            length($packed) - 1),
        twocut => $as->($packed . substr $more, 0, 12), flipped => $as->($flipped),
        sum => $as->($sum), long => $as->($long), garbage => $as->($packed . 'garbage'),
        fields => "${HEAD}Content-Encoding: gzip\r\nContent-Encoding: br\r\nContent-Length: "
            . length($packed) . "\r\n\r\n$packed",
        hidden => "${HEAD}Content-Encoding: identity\r\nContent-Encoding: gzip\r\n"
            . 'Content-Length: ' . length($packed) . "\r\n\r\n$packed",
        plain => $as->('plain'), bomb => $as->($bomb), deflate => $as->("\x78\x9c" . 'garbage', 'deflate'),
        twice => $as->($packed, 'gzip, gzip'), br => $as->('x', 'br'), zstd => $as->('x', 'zstd'),
        chunked => "${HEAD}Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
            . join('', map { sprintf "1\r\n%s\r\n", $_ } split //, $packed) . "0\r\n\r\n",
        short => "${HEAD}Content-Encoding: gzip\r\nContent-Length: 9999\r\n\r\n$packed",
    );
    my $rude = NginxAsync::Rude->new(map { my $text = $parts{$_};
        ($_ => sub { my ($c) = @_; $c->say($text); $c->fin }) } keys %parts);
    my $get = sub { my ($name, %o) = @_; return verdict(fetch($rude->url($name), decode => \1, %o)) };

    is $get->($_), "200 $text", "gzip: $_" for qw(whole name zeros chunked hidden);
    is $get->('two'), "200 ${text}more", 'gzip: two members';
    is $get->('empty'), '200 ', 'gzip: nothing';
    is $get->('identity'), '200 plain', 'gzip: identity';
    is $get->($_), 'protocol', "gzip: $_" for qw(twocut flipped sum long garbage plain
        deflate twice br zstd
        fields), sort grep { /^cut/ } keys %parts;
    is $get->('short'), 'reset', 'gzip: cut off';
    is verdict(fetch($rude->url('garbage'), decode => \1, stream => \1)),
        '200 ' . substr($text, 0, 1024) . '|protocol', 'gzip: garbage, in pieces';
    is fetch($rude->url('whole'))->{length}, length $packed, 'not decoded';

    my $r;
    my $grown = grows(sub { $r = fetch($rude->url('bomb'), decode => \1) });
    is verdict($r), 'large', 'gzip: a bomb';
    cmp_ok $grown, '<', 8_000_000, '... in little memory' if !$asan;
    $grown = grows(sub { $r = fetch($rude->url('bomb'), decode => \1, stream => \1, stop => 50_000_000) });
    cmp_ok $r->{body}{total}, '>=', 50_000_000, '... in pieces';
    cmp_ok $grown, '<', 8_000_000, '... in little memory' if !$asan;
}

# ---- what is not sent

{
    my $rude = NginxAsync::Rude->new(
        echo => sub { my ($c, $head) = @_; $c->say($HEAD . 'Content-Length: ' . length($head) . "\r\n\r\n$head") },
        to   => sub {
            my ($c, $head, $where) = (@_, '');
            $where =~ s/%(..)/chr hex $1/ge;
            $c->say("HTTP/1.1 302 Go\r\nContent-Length: 0\r\nLocation: $where\r\n\r\n");
        },
    );
    my $url   = $rude->url('echo');
    my @wrong = ("\r", "\n", "\r\n", "a\r\nX: y", "a\nX: y", "a\rb", "\x01", "\x7f", "a\x0bb");

    for my $text (@wrong) {
        (my $shown = $text) =~ s/([^ -~])/sprintf '\\x%02x', ord $1/ge;
        is verdict(fetch($url, method => "GET$text")), 'request', "in a method: $shown";
        is verdict(fetch($url, headers => ['X' . $text, 'y'])), 'request', '... in a name';
        is verdict(fetch($url, headers => ['X', "a$text"])), 'request', '... in a value';
        is verdict(fetch("$url/$text")), 'url', '... in a path';
        is verdict(fetch("$url?$text")), 'url', '... in a query';
        is verdict(fetch("http://h$text.example/")), 'url', '... in a host';
        is verdict(fetch("http://u${text}x\@127.0.0.1/")), 'url', '... in a user';
        is verdict(fetch($url, proxy => "http://127.0.0.1:1$text")), 'url', '... in a proxy';
        is verdict(fetch($url, proxy => "http://u${text}x\@127.0.0.1:1")), 'url',
            '... in the user of a proxy';

        my @lines = split /\r\n/, fetch($url, query => ["a$text", "b$text"])->{body};
        like $lines[0], qr{^GET /echo\?[-A-Za-z0-9%=&+.]+ HTTP/1\.1$}, '... in a pair of the query';
        is scalar(grep { /^X/ } @lines), 0, '... which adds no field';

        my $coded = join '', map { sprintf '%%%02x', ord } split //, $text;
        @lines = split /\r\n/, fetch("$url/$coded?$coded")->{body};
        is $lines[0], "GET /echo/$coded?$coded HTTP/1.1", '... encoded';

        my $location = sub {
            my $where = join '', map { sprintf '%%%02x', ord } split //, $_[0];
            return verdict(fetch($rude->url('to', $where), redirects => 3));
        };
        my $path = $location->("/echo/$text");
        if ($text =~ /\r\n|\n/) {
            unlike $path, qr{^GET /echo/\S*a?\r?\nX: y}m, '... in a Location: ends the field';
        } elsif ($text eq "\r") {
            # before the end of a line it is no part of the value
            like $path, qr{^200 GET /echo/ HTTP}, '... in a Location';
        } else {
            is $path, 'protocol', '... in a Location';
        }
        like $location->("/echo/$coded"), qr{^200 GET /echo/\Q$coded\E HTTP/1\.1\r\n},
            '... encoded in a Location';
    }

    for my $name ('', ' ', 'X Y', 'X:', ':', 'X(', "X\xe9", 'Content-Length', 'transfer-encoding',
        'CONNECTION', 'TE', 'Trailer', 'Upgrade', 'Expect', 'Keep-Alive', 'Proxy-Connection')
    {
        is verdict(fetch($url, headers => [$name, '1'])), 'request', "a field \"$name\"";
    }
    is verdict(fetch($url, method => $_)), 'request', "a method \"$_\""
        for '', ' ', 'GET /', 'GE T', 'GET:', "G\xe9T", '(GET)';
    is verdict(fetch($_)), 'url', "a URL \"$_\"" for '', '/', 'http:', 'http://', 'http:///',
        'ftp://127.0.0.1/', 'file:///etc/passwd', 'javascript:1', '127.0.0.1', 'http://127.0.0.1:0/',
        'http://127.0.0.1:65536/', 'http://127.0.0.1:-1/', 'http://127.0.0.1:1 /', "$url/a b",
        "$url\\x", 'http://[::1', 'http://[::1]x/', 'http://a@b@127.0.0.1:/x y', 'http://unix:';
    is verdict(fetch($url, proxy => $_)), 'url', "a proxy \"$_\"" for '127.0.0.1:1', 'https://127.0.0.1/',
        'http://', 'http://127.0.0.1:1 /';

    my %to = ('http%3A%2F%2Funix%3A%2Ftmp%2Fx%3A%2F' => 'redirect', 'file%3A%2F%2F%2Fetc%2Fpasswd' => 'redirect',
        'javascript%3A1' => 'redirect', '%2Fa%20b' => 'redirect', 'http%3A%2F%2F' => 'redirect',
        '%5C%5Cexample.com' => 'redirect', 'ftp%3A%2F%2F127.0.0.1%2F' => 'redirect');
    is verdict(fetch($rude->url('to', $_), redirects => 3)), $to{$_}, "a Location of $_"
        for sort keys %to;
    is verdict(fetch($rude->url('to', '%2Fto%2F%252Fto%252Fx'), redirects => 1)), 'redirect',
        'too many redirects';
    is verdict(fetch($rude->url('to', ''), redirects => 3)), 'redirect', 'a redirect to itself';

    my $r = fetch("https://127.0.0.1:$rude->{port}/", tls_name => "a\r\nX: y", connect_timeout => 300);
    isnt $r->{rc}, 0, 'a tls_name of two lines';
    unlike $r->{error}, qr/[\r\n]/, '... which are not in the message';
}

$n->stop;
done_testing;
