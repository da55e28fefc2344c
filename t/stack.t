#!/usr/bin/perl

# Stacks: overflows, high-water marks, how many there are, memory.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(sleep);

use NginxAsync;
use NginxAsync::Env;

my $asan = NginxAsync::Env::asan();

sub nginx {
    my ($http, %o) = @_;

    return NginxAsync->new(connections => 2048, %o, conf => {
        http   => "async_app \$TEST_NGINX_APPS/stack.so;\n$http",
        server => join '', map { "location = /$_ { async_handler $_; }\n" }
            qw(dive sleep_deep busy_deep rest hello nap) })->start;
}


# How many responses of each status there are.
sub statuses {
    my (@responses) = @_;

    my %count;
    $count{ $_->status }++ for @responses;

    return \%count;
}

# ---- overflow

{
    my $n = nginx('async_stack_size 64k;');
    my $old = $n->worker;

    is $n->get('/dive?k=40')->body, "dived 1\n", '40 of 64 kB of stack are fine';

    $n->allow(qr/worker process $old exited on signal/,
        qr/"stack:dive" overflowed/, qr/AddressSanitizer/);

    my $c = $n->connect->send_request('GET', '/dive?k=100000');
    ok $c->eof(20), 'an overflow ends the worker';
    like $n->wait_for_log(qr/\[alert\] .*overflowed.*/) // '',
        qr/async handler "stack:dive" overflowed its stack of \d+ bytes; its last await is await_sleep at \S*stack\.c:\d+; raise "async_stack_size"/,
        '... with a line that names handler, await and directive';
    ok $n->wait_until(sub { grep { $_ != $old } $n->workers }),
        '... and the master starts a new one';
    is $n->get('/dive?k=40')->body, "dived 1\n", '... that serves';
    $n->stop;
}

# ---- high-water mark

SKIP: {
    skip 'sanitized frames and stacks have other sizes', 4 if $asan;

    my $n = nginx('async_stack_size 64k;');

    is $n->get('/dive?k=30')->status, 200, 'half of the stack';
    unlike $n->log, qr/has used/, '... is not worth a word';
    is $n->get('/dive?k=55')->status, 200, 'more than three quarters of it';
    ok $n->wait_for_log(
        qr/\[warn\] .*"stack:dive" has used \d+ of the 65536 bytes of its stack: raise "async_stack_size"/),
        '... is: the log names handler and directive';
    $n->stop;
}

SKIP: {
    skip 'sanitized frames and stacks have other sizes', 1 if $asan;

    my $n = nginx('async_stack_size 1m;');
    is $n->get('/dive?k=700')->body, "dived 1\n",
        'async_stack_size 1m is as much';
    $n->stop;
}

# ---- async_max_tasks

{
    my $n = nginx('async_max_tasks 10;');
    my @c = map { $n->connect->send_request('GET', '/nap?ms=1500') } 1 .. 10;

    $n->wait_until(sub { $n->get('/hello')->status == 503 });
    my $r = $n->get('/hello');
    is $r->status, 503, 'past async_max_tasks there is 503';
    is $r->header('Retry-After'), 1, '... with Retry-After';
    is $r->body, '{"detail":"Service Unavailable"}', '... and a JSON body';
    like_log $n, 0, qr/\[error\] .*no task for "stack:hello": 10 run already/,
        '... and a line in the log';

    is_deeply statuses(map { $_->response } @c), { 200 => 10 },
        '... and those that run are not touched';
    is $n->get('/hello')->status, 200, '... and afterwards there is room again';

    @c = map { $n->connect->send_request('GET', '/nap?ms=300', close => 1) }
        1 .. 200;
    my $got = statuses(map { $_->response } @c);
    is join(' ', sort keys %$got), '200 503', 'of 200 at once some are served';
    cmp_ok $got->{200}, '>=', 10, '... ten at least';
    is $n->get('/hello')->status, 200, '... and nothing is lost';
    $n->stop;
}

# ---- memory

{
    my $n = nginx('');
    my $ask = sub {
        my ($count) = @_;
        my $c = $n->connect(timeout => 30);
        my $ok = 0;

        for my $i (1 .. $count / 100) {
            $c->send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n" x 100);
            $ok += $c->response->body eq "hello\n" for 1 .. 100;
            $c = $n->connect(timeout => 30) if $i % 10 == 0;
        }

        return $ok;
    };

    $ask->(2000);
    my $before = $n->memory_of_worker;
    is $ask->(20_000), 20_000, '20,000 requests';

    my $grown = $n->memory_of_worker - $before;
    # ASan keeps in quarantine what was freed
    cmp_ok $grown, '<', $asan ? 300_000_000 : 1_000_000,
        '... leave the memory of the worker as it was';

    my @c = map { $n->connect->send_request('GET', '/sleep_deep?k=8&ms=500',
        close => 1) } 1 .. 500;
    is_deeply statuses(map { $_->response } @c), { 200 => 500 },
        '500 are suspended in the depth of their stacks, which survive';
    $n->stop;
}

SKIP: {
    skip 'ASan has notes about stacks, which keep their pages', 3 if $asan;

    my $n = nginx('');
    my $before = $n->memory_of_worker;
    my @c = map { $n->connect->send_request('GET', '/rest?k=40', close => 1) }
        1 .. 200;
    my $deep = 200 * 40 * 1024;

    # the peak, which does not go by before it is looked at
    ok $n->wait_until(sub {
        NginxAsync::Env::slurp('/proc/' . $n->worker . '/status')
            =~ /VmHWM:\s+(\d+)/ or die 'no VmHWM';
        return $1 * 1024 - $before > $deep;
    }), '200 have been deep in their stacks, and wait';
    ok $n->wait_until(sub { $n->memory_of_worker - $before < $deep / 2 }),
        '... so long that the pages are given back meanwhile';
    is $n->get('/dive?k=40')->body, "dived 1\n", '... and it serves';
    $_->close for @c;
    $n->stop;
}

# ---- signals

{
    my $n = nginx('', workers => 1);
    my @c = map { $n->connect(timeout => 60)
        ->send_request('GET', '/busy_deep?k=40', close => 1) } 1 .. 3;

    for (1 .. 30) {
        $n->signal('USR1');
        sleep 0.01;
    }

    $n->signal('HUP');
    is_deeply statuses(map { $_->response } @c), { 200 => 3 },
        'signals amid deep stacks, a reload among them, do no harm';
    is $n->get('/hello')->status, 200, '... and it serves';
    $n->stop;
}

done_testing;
