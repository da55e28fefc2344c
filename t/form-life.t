#!/usr/bin/perl

# Forms that take their time, or do not come to their end: memory, temporary
# files, clients that leave, timeouts, workers that go.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP qw(decode_json);
use Test::More;

use NginxAsync;
use NginxAsync::Say qw(says gone json);

my $asan = NginxAsync::Env::asan();

my $n = NginxAsync->new(conf => { http => <<'EOF_CONF', server => <<'EOF_CONF2' });
    async_app $TEST_NGINX_APPS/form.so;
    async_param store store;
    client_body_buffer_size 16k;
EOF_CONF
    location = /form   { client_max_body_size 0; async_handler form:form; }
    location = /hello  { client_max_body_size 0; async_handler form:form_hello; }
    location = /hold   { client_max_body_size 0; async_handler form:form_hold; async_timeout 1h; }
    location = /save   { client_max_body_size 0; async_handler form:form_save; }
    location = /within { client_max_body_size 0; async_handler form:form_within; }
    location = /thread { client_max_body_size 0; async_handler form:form_thread; }
    location = /short  { client_max_body_size 0; async_handler form:form_twice; client_body_timeout 300ms; }
    location = /late   { client_max_body_size 0; async_handler form:form; async_timeout 300ms; }
    location = /lost   { client_max_body_size 0; async_handler form:form; client_body_temp_path lost; }
EOF_CONF2

mkdir $n->root . '/store';
chmod 0777, $n->root . '/store';
$n->start;

my $TYPE = 'multipart/form-data; boundary=xyz';
my $HEAD = "--xyz\r\nContent-Disposition: form-data; name=f; filename=x\r\n\r\n";
my $TAIL = "\r\n--xyz\r\nContent-Disposition: form-data; name=a\r\n\r\nsaved\r\n--xyz--\r\n";

sub begin {
    my ($uri, $len, $sent) = @_;
    my $c = $n->connect(timeout => 30)->send_request('POST', $uri, headers => ['Content-Type', $TYPE,
        'Content-Length', length($HEAD) + $len + length $TAIL]);
    return $c->send($HEAD . 'x' x $sent);
}

# what the worker has open in the directory, with or without a name
sub temporary {
    my $pid = $n->worker;
    return scalar grep { (readlink($_) // '') =~ m{/(?:client_body_temp|lost)/} } glob "/proc/$pid/fd/*";
}

sub none_left {
    my ($title) = @_;
    ok $n->wait_until(sub { temporary() == 0 }), "$title: no file is open";
    is_deeply [glob $n->root . '/client_body_temp/*'], [], '... none has a name';
}

# ---- memory

{
    my $file = $n->root . '/large';
    open my $fh, '>', $file or die $!;
    print $fh 'x' x 1_000_000 for 1 .. 50;
    close $fh;

    my $post = sub {
        return decode_json(NginxAsync::run('curl', '-s', '--max-time', 60, '-F', "f=\@$file",
            '-F', 'a=large', 'http://127.0.0.1:' . $n->port(0) . $_[0]));
    };

    $post->('/form');
    my $before = $n->memory_of_worker;
    is $post->('/form')->{files}[0]{read}, 50_000_000, 'fifty megabytes';
    is $post->('/save')->{rc}, 0, '... saved';
    is -s $n->root . '/store/large', 50_000_000, '... all of it';
    my $grown = ($n->memory_of_worker - $before) / 1024;

    SKIP: {
        skip 'ASan keeps what has been freed', 1 if $asan;
        cmp_ok $grown, '<', 2048, "... take no memory: $grown kB";
    }
    none_left('... when they have been answered');
}

# ---- the temporary file

{
    my $since = $n->mark;
    my $c = begin('/hold', 200_000, 200_000)->send($TAIL);
    ok says($n, 'held', $since), 'a form that has come';
    is temporary(), 1, '... has its file open';
    is_deeply [glob $n->root . '/client_body_temp/*'], [], '... which has no name';
    $c->close;
    none_left('... when the client has left');
}

{
    my $c = begin('/form', 500_000, 300_000);
    ok $n->wait_until(sub { temporary() == 1 }), 'a client in the middle of a part';
    is $n->get('/hello')->body, "hello\n", '... others are answered';
    $c->reset;
    none_left('... that leaves');
}

{
    my $c = begin('/form', 500_000, 300_000);
    ok $n->wait_until(sub { temporary() == 1 }), 'one that goes on';
    $c->send('x' x 200_000);
    $c->send($_) for split //, $TAIL;
    is json($c->response)->{files}[0]{read}, 500_000, '... slowly, is answered';
    none_left('... when that is done');
}

{
    my $since = $n->mark;
    my $c = begin('/short', 500_000, 300_000);
    ok says($n, qr/form -1: nginx refused the body with 408/, $since), 'client_body_timeout';
    ok !defined $c->read_until(qr/200 OK/), '... ends the connection';
    is begin('/late', 500_000, 300_000)->response->status, 504, 'async_timeout';
    none_left('... after both');
}

{
    my $since = $n->mark;
    my $c = begin('/within', 100, 10);
    ok says($n, 'first -3', $since), 'the task that reads it is cancelled';
    ok says($n, 'second -1', $since), '... another one that waits for it is told';
    is_deeply json($c->response), { rc => -1, error => 'the form could not be read before' },
        '... nobody reads it any more';
}

# ---- what goes wrong here

{
    my $lost = $n->root . '/lost';
    my $since = $n->mark;
    rename $lost, "$lost.away" or die $!;
    is begin('/lost', 200_000, 200_000)->send($TAIL)->response->status, 500,
        'no place for a temporary file';
    like_log $n, $since, qr/\[crit\].*writing to the temporary file of a form failed \(2: No such/,
        '... and why';
    is begin('/lost', 1000, 1000)->send($TAIL)->response->status, 200, '... a small file needs none';
    rename "$lost.away", $lost or die $!;
    is begin('/lost', 200_000, 200_000)->send($TAIL)->response->status, 200, '... it is back';
}

# ---- workers that go

{
    my $since = $n->mark;
    my $c = begin('/hold', 200_000, 200_000)->send($TAIL);
    ok says($n, 'held', $since), 'a form is held';
    $n->kill_worker('KILL');
    $n->allow(qr/exited on signal 9/);
    ok $n->wait_until(sub { $n->get('/hello')->status == 200 }), '... by a worker that is killed';
    none_left('... afterwards');
}

{
    my $c = begin('/form', 500_000, 300_000);
    ok $n->wait_until(sub { temporary() == 1 }), 'a form has begun';
    my $old = $n->worker;
    $n->reload;
    $c->send('x' x 200_000 . $TAIL);
    is json($c->response)->{files}[0]{read}, 500_000, '... is read over a reload';
    ok $n->wait_until(sub { !kill 0, $old }), '... and the old worker goes';
}

{
    my $c = begin('/form', 500_000, 300_000);
    ok $n->wait_until(sub { temporary() == 1 }), 'a form has begun';
    $n->signal('QUIT');
    $c->send('x' x 200_000 . $TAIL);
    is json($c->response)->{files}[0]{read}, 500_000, 'QUIT waits for the rest';
    ok gone($n), '... and the worker goes';
    is_deeply [glob $n->root . '/client_body_temp/*'], [], '... without leaving anything';
    $n->stop;
}

done_testing;
