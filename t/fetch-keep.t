
# await_fetch(): connections that are kept, and for whom.

use strict;
use warnings;

use lib 't/lib';
use IO::Socket::UNIX;
use JSON::PP;
use Test::More;
use NginxAsync;
use NginxAsync::Others qw(fetcher ask several server mirror answers head_of request_of dns pause %CAUSE);

my $true = JSON::PP::true;

# answers with a number of the connection, and of the request on it
my $o = NginxAsync->new(files => { much => 'x' x 1_000_000, small => 'small' },
    conf => { location_root => 1, server => <<'EOF_CONF' })->start;
    location = /     { return 200 "$connection $connection_requests"; }
    location = /done { keepalive_timeout 0; return 200 "$connection $connection_requests"; }
    location = /204  { return 204; }
    location = /to   { return 302 /; }
    location = /status { stub_status; }
EOF_CONF
my $port = $o->port(0);
my $at = "http://127.0.0.1:$port";

my $dns = dns('one.test' => ['127.0.0.1']);
my $n = fetcher(http => "resolver $dns ipv6=off;", server => <<"EOF_CONF");
        location = /denies   { async_handler fetch:fetch; async_fetch_deny 10.0.0.1; }
        location = /resolver { async_handler fetch:fetch; resolver $dns ipv6=off valid=1s; }
        location = /same     { async_handler fetch:fetch; async_fetch_read_timeout 1s; }
EOF_CONF

# the connection that has served, and as which request
sub served {
    my (%o) = @_;
    my ($m, $path) = (delete $o{by} // $n, delete $o{path});
    return split ' ', ask($m, { url => "$at/", %o }, $path)->{body} // '- -';
}

sub count { my ($m) = @_; return scalar grep { /^socket:/ } $m->open_fds }

# ---- the same one

my ($first, $nth) = served();
is $nth, 1, 'a new connection';
is_deeply [served()], [$first, 2], 'the same once more';
is_deeply [served(method => $_)], [$first, ++$nth + 1], "... for $_" for qw(PUT DELETE);
is_deeply [served(method => $_, body => 'x')], [$first, ++$nth + 1], "... for $_ with a body"
    for qw(POST PATCH);
is_deeply [served(path => '/same')], [$first, ++$nth + 1], '... in a location of the same policy';
is ask($n, { url => "$at/204" })->{status}, 204, 'after 204';
is_deeply [served()], [$first, $nth += 3], '... the same';
is ask($n, { url => "$at/much", method => 'HEAD' })->{status}, 200, 'after HEAD';
is_deeply [served()], [$first, $nth += 2], '... the same';
is ask($n, { url => "$at/small", stream => $true })->{body}{total}, 5, 'after a stream that was read';
is_deeply [served()], [$first, $nth += 2], '... the same';
is ask($n, { url => "$at/to", redirects => 1 })->{body}, "$first " . ($nth += 2), 'over a redirect';
is ask($n, { url => "$at/none", raise => $true })->{status}, 404, 'after a 404';
is_deeply [served()], [$first, $nth += 2], '... the same';

# ---- not for others

isnt((served(path => $_))[0], $first, "not $_") for '/denies', '/resolver';
isnt((served(url => "http://localhost:$port/"))[0], $first, 'not by another name');
isnt((served(url => "http://one.test:$port/"))[0], $first, '... by a third one');
isnt((served(proxy => $at))[0], $first, 'not through a proxy');
isnt((served(proxy => "http://a:b\@127.0.0.1:$port"))[0], (served(proxy => $at))[0],
    '... of another user');
is_deeply [served()], [$first, ++$nth], '... but for those before';

# ---- those that are not kept

is ask($n, { url => "$at/done" })->{body}, "$first " . ++$nth, 'Connection: close';
isnt((served())[0], $first, '... is not kept');
($first, $nth) = served();
is ask($n, { url => "$at/much", max => 10 })->{cause}, $CAUSE{TOO_LARGE}, 'a body that is too large';
isnt((served())[0], $first, '... was not read');
($first, $nth) = served();
ask($n, { url => "$at/much", stream => $true, size => 10, stop => 100 });
isnt((served())[0], $first, 'nor one that was closed');
($first, $nth) = served();

# what follows an answer, and whether there is a second one on the connection
sub twice {
    my ($what, $how, @o) = @_;
    my $to = server($how);
    my @r = map { pause(0.1) if $_; ask($n, { url => "http://$to/", @o }) } 0, 1;
    return [map { $_->{body} // $_->{error} } @r];
}

my $head = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n";
sub pair {
    my ($head) = @_;

    return sub {
        my ($c) = @_;
        request_of($c) // return;
        print $c "$head\r\n1";
        request_of($c) // return;
        print $c "$head\r\n2";
    };
}

for (['HTTP/1.1', $head, 2], ['Connection: keep-alive', $head . "Connection: keep-alive\r\n", 2],
    ['Connection: close', $head . "Connection: close\r\n", 1],
    ['Connection: x, Close', $head . "Connection: x, Close\r\n", 1],
    ['HTTP/1.0', $head =~ s{1\.1}{1.0}r, 1],
    ['HTTP/1.0 with keep-alive', $head =~ s{1\.1}{1.0}r . "Connection: Keep-Alive\r\n", 2],
    ['a body to the end', "HTTP/1.1 200 OK\r\n", undef])
{
    my ($what, $with, $second) = @$_;
    my $part = defined $second ? pair($with)
        : sub { my ($c) = @_; request_of($c); print $c "$with\r\n1"; close $c };
    is_deeply twice($what, $part), [1, $second // 1], "$what: " . (($second // 1) == 2 ? 'kept' : 'not kept');
}
is_deeply twice('more', sub { my ($c) = @_; request_of($c); print $c "$head\r\n1more"; request_of($c);
    print $c "$head\r\n2" }), [1, 1], 'one on which too much has come';
is_deeply twice('late', sub { my ($c) = @_; request_of($c); print $c "$head\r\n1"; pause(0.03); print $c 'late';
    request_of($c); print $c "$head\r\n2" }), [1, 1], '... or comes later';
is_deeply twice('closed', sub { my ($c) = @_; request_of($c); print $c "$head\r\n1"; close $c }), [1, 1],
    'one that is closed meanwhile';

# ---- stale ones

{
    # closes when the next request comes: as it would, had both happened at once
    my $stale = sub { my ($c) = @_; request_of($c); print $c "$head\r\n1"; request_of($c); close $c };
    is_deeply twice('stale', $stale), [1, 1], 'one that is closed at the next request: sent again';
    is_deeply twice('stale', $stale, method => 'PUT', body => 'x'), [1, 1], '... PUT, too';
    like twice('stale', $stale, method => 'POST', body => 'x')->[1], qr/ has closed the connection without a/,
        '... but not POST';
    like twice('stale', $stale, method => 'PUT', pieces => 1, piece => 1)->[1], qr/ has closed/,
        '... nor what a source has given';
    my $half = sub { my ($c) = @_; request_of($c); print $c "$head\r\n1"; request_of($c);
        print $c 'HTTP/1.1 2'; close $c };
    like twice('half', $half)->[1], qr/ has closed the connection before the end/, '... nor what is half answered';
    my $never = server(sub { my ($c) = @_; request_of($c); close $c });
    is ask($n, { url => "http://$never/" })->{cause}, $CAUSE{RESET}, 'a new one is not tried again';
}

# ---- bounds

{
    my $m = fetcher(http => 'async_fetch_keepalive 0;');
    isnt((served(by => $m))[0], (served(by => $m))[0], 'async_fetch_keepalive 0');
    is_deeply [several($m, map { { url => "$at/" } } 1 .. 20)->[19]{status}], [200], '... and 20 at once';
    $m->stop;

    $m = fetcher(http => 'async_fetch_keepalive 2;');
    my $before = count($m);
    is scalar(grep { $_->{status} == 200 } @{several($m, map { { url => "$at/" } } 1 .. 20)}), 20,
        'async_fetch_keepalive 2, and 20 at once';
    ok $m->wait_until(sub { count($m) - $before <= 2 }, 20), '... 2 are left, long before their time';
    my ($c) = served(by => $m);
    is((served(by => $m))[0], $c, '... of which one is taken');
    $m->stop;

    $m = fetcher(http => 'async_fetch_keepalive 2 timeout=500ms;');
    $before = count($m);
    ($c) = served(by => $m);
    ok $m->wait_until(sub { count($m) == $before }, 20), 'its time is over';
    isnt((served(by => $m))[0], $c, '... then there is a new one');
    $m->stop;

    $m = fetcher(http => 'async_fetch_keepalive 1000;', connections => 60);
    my @at = map { server(\&mirror) } 1 .. 3;
    is scalar(grep { ask($m, { url => "http://$at[$_ % 3]/", proxy => "http://u$_:p\@$at[$_ % 3]" })
        ->{status} } 1 .. 100), 100, 'those that are kept give way to those that are needed';
    $m->stop;
}

# ---- memory

{
    ask($n, { url => "$at/much", brief => $true }) for 1 .. 20;
    my ($memory, $fds) = ($n->memory_of_worker, count($n));
    ask($n, { url => "$at/much", brief => $true }) for 1 .. 200;
    cmp_ok $n->memory_of_worker - $memory, '<', 4_000_000, '200 million bytes: memory is flat'
        if !$ENV{TEST_NGINX_ASAN};
    ok $n->wait_until(sub { count($n) <= $fds }, 20), '... and so are the sockets';
}

# ---- reload, and quit

for my $how (qw(reload QUIT)) {
    my $m = fetcher(workers => 2);
    served(by => $m) for 1 .. 10;
    several($m, map { { url => "$at/" } } 1 .. 20);
    my @old = $m->workers;
    my $since = time;

    if ($how eq 'reload') {
        is $m->reload, undef, 'a reload with connections that are kept';
    } else {
        $m->signal('QUIT');
    }

    # those that are kept would be so for a minute
    ok $m->wait_until(sub { !grep { NginxAsync::Server::alive($_) } @old }, 20),
        "$how: the workers go at once";
    cmp_ok time - $since, '<', 15, '... and do not wait for their time';
    is((served(by => $m))[1], 1, '... and the new ones begin anew') if $how eq 'reload';
    ok $m->stop, '... without a complaint';
}

# ---- the other side goes

{
    my $m = fetcher();
    my ($c) = served(by => $m);
    my $before = count($m);
    is $o->reload, undef, 'the other side reloads';
    ok $m->wait_until(sub { count($m) < $before }, 20), '... those that are kept are closed';
    is((served(by => $m))[1], 1, '... and there is a new one');
    $m->stop;
}

$n->stop;
$o->stop;

done_testing;
