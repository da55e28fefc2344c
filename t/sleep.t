# await_sleep() and await_yield(): the plainest awaits, and with them what
# holds for every await: deadlines, cancelling, whose coroutine it is.

use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use NginxAsync;

log_level('info');
no_long_string();
no_shuffle();
no_root_location();

our $HttpConfig = 'async_app $TEST_NGINX_APPS/sleep.so;';

our $Routes = q{
    location / {
        async_route  GET  "/nap/{tag}/{ms}"  nap;
        async_route  GET  "/three/{tag}/{ms}"  nap_of_three;
        async_route  GET  /naps            naps;
        async_route  GET  /no-times        no_times;
        async_route  GET  /no-time         no_time;
        async_route  GET  /no-time-loop    no_time_loop;
        async_route  GET  /locals          locals;
        async_route  GET  /clocks          clocks;
        async_route  GET  /clocks-sleep    clocks_sleep;
        async_route  GET  /clocks-thread   clocks_thread;
        async_route  GET  /busy            busy;
        async_route  GET  /release         release;
        async_route  GET  /error           error_text;
        async_route  GET  /trace           show_trace;
        async_route  GET  /stop            stop_stubborn;
        async_route  GET  /left            left;
        async_route  *    /lend            lend;
        async_route  GET  /borrow          borrow;
        async_route  GET  /borrow-yield    borrow_yield;
    }

    location /short/ {
        async_timeout  300ms;
        async_route  GET   "/short/nap/{tag}/{ms}"  nap;
        async_route  GET   /short/for-ever        for_ever;
        async_route  GET   /short/sticky          sticky;
        async_route  POST  /short/sticky          sticky;
        async_route  GET   /short/late            late;
        async_route  GET   /short/busy            busy;
        async_route  GET   /short/stubborn        stubborn;
    }
};

add_block_preprocessor(sub {
    my ($block) = @_;

    $block->set_value(http_config => $HttpConfig) if !$block->http_config;
    $block->set_value(config      => $Routes)     if !$block->config;
});

# Requests of their own connections, all before the first answer is read.
sub at_once {
    my (@uris) = @_;

    my @c = map {
        NginxAsync::Connection->new(port => $ENV{TEST_NGINX_SERVER_PORT})
    } @uris;

    $c[$_]->send_request('GET', $uris[$_], close => 1) for 0 .. $#uris;

    return @c;
}

# What handlers have noted, which is empty afterwards.
sub trace {
    my ($c) = at_once('/trace');

    return $c->response->body;
}

# The same, as soon as it has that in it.
sub traced {
    my ($pattern) = @_;

    my $trace = '';
    NginxAsync::Server::wait_until(20, sub {
        $trace .= trace();
        return $trace =~ $pattern;
    });

    return $trace;
}

run_tests();

__DATA__

=== TEST 1: a sleeper answers when it has slept
--- request
GET /nap/a/50
--- response_body
a slept



=== TEST 2: code before the await runs at once, code after it on completion
--- init
main::trace();
($main::c) = main::at_once('/nap/a/1000');
$main::before = main::traced(qr/<a/);
$main::c->response;
$main::before .= ' ' . main::trace();
--- request
GET /naps
--- response_body_filters eval
sub { $main::before }
--- response_body chomp
<a a>



=== TEST 3: three sleepers wake in the order of their times
--- init
main::trace();
$_->response
    for main::at_once('/three/slow/600', '/three/fast/200', '/three/mid/400');
--- request
GET /trace
--- response_body chomp
...fast>mid>slow>



=== TEST 4: ten sleepers of the same time sleep together, not in turn
--- init
my $start = Time::HiRes::time();
$_->response for main::at_once(map { "/nap/p$_/1000" } 1 .. 10);
$main::together = Time::HiRes::time() - $start < 5;
--- request
GET /naps
--- response_body_filters eval
sub { $main::together ? 'together' : 'in turn' }
--- response_body chomp
together



=== TEST 5: a time of zero yields and comes back
--- request
GET /naps
--- response_body
zero and more



=== TEST 6: locals survive every await, floating point among them
--- request
GET /locals
--- response_body
256 32640 5.1 37bc048d159e26af



=== TEST 7: a loop of yields lets other requests be served
--- init
($main::busy) = main::at_once('/busy');
$_->response for main::at_once('/nap/a/50', '/nap/b/1', '/release');
--- request
GET /trace
--- response_body_filters eval
sub { $main::busy->response->body }
--- response_body
freed



=== TEST 8: async_timeout ends a sleep with 504 and a JSON body
--- request
GET /short/nap/a/60000
--- error_code: 504
--- response_body chomp
{"detail":"Gateway Timeout"}
--- response_headers
Content-Type: application/json
--- error_log eval
qr/\[error\] .*async handler "sleep:nap" timed out: the deadline has passed, in await_sleep at \S*sleep\.c:\d+/



=== TEST 9: a sleep of ten years is ended by async_timeout
--- request
GET /short/for-ever
--- error_code: 504
--- response_body_like: Gateway Timeout
--- error_log
timed out



=== TEST 10: async_timeout ends a loop of yields
--- request
GET /short/busy
--- error_code: 504
--- response_body_like: Gateway Timeout
--- error_log
in await_yield at



=== TEST 11: a sleep that ends before the deadline is not touched by it
--- request
GET /short/nap/a/10
--- response_body
a slept
--- no_error_log
[error]



=== TEST 12: the deadline sticks: later awaits answer the same at once
--- request
GET /short/sticky
--- response_body
timeout timeout timeout timeout: the deadline has passed



=== TEST 13: the deadline sticks for a body that waits to be read, too
--- request
POST /short/sticky
some body
--- response_body
timeout timeout timeout timeout: the deadline has passed



=== TEST 14: a deadline that passed while the handler computed ends its await
--- request
GET /short/late
--- error_code: 504
--- response_body_like: Gateway Timeout
--- error_log
timed out
--- timeout: 10



=== TEST 15: a handler that awaits on after its cancel does not block the worker
--- init
main::trace();
($main::stubborn) = main::at_once('/short/stubborn');
$main::refused = main::traced(qr/refused/);
$_->response for main::at_once('/naps', '/locals', '/stop');
$main::stubborn->response;
--- request
GET /trace
--- response_body_filters eval
sub { "$main::refused$_[0]" }
--- response_body eval
"refused stopped "
--- error_log eval
qr/\[error\] .*"sleep:stubborn" awaits on although it is refused: the deadline has passed, at \S*sleep\.c:\d+/



=== TEST 16: async_error() is empty before the first failure
--- request
GET /error
--- response_body
ok []



=== TEST 17: a client that leaves ends the sleep with ASYNC_CANCELLED
--- init
main::trace();
($main::c) = main::at_once('/left');
main::traced(qr/waits/);
$main::c->reset;
$main::left = main::traced(qr/left .*: ./);
--- request
GET /trace
--- response_body_filters eval
sub { $main::left }
--- response_body chomp
left cancelled: the client has gone
--- access_log eval
qr{"GET /left HTTP/1.1" 499 }



=== TEST 18: await_sleep() on the task of another request aborts with its name
--- init
main::trace();
($main::lender) = main::at_once('/lend');
main::traced(qr/lent/);
(main::at_once('/borrow'))[0]->eof;
NginxAsync::Server::wait_until(20, sub {
    eval { (main::at_once('/naps'))[0]->response->status == 200 };
});
--- request
GET /naps
--- response_body
zero and more
--- error_log eval
[qr/\[alert\] .*await_sleep\(\) at \S*sleep\.c:\d+ was called outside of the coroutine that its first argument names/, qr/exited on signal 6/]



=== TEST 19: await_yield() on the task of another request aborts with its name
--- init
main::trace();
($main::lender) = main::at_once('/lend');
main::traced(qr/lent/);
(main::at_once('/borrow-yield'))[0]->eof;
NginxAsync::Server::wait_until(20, sub {
    eval { (main::at_once('/naps'))[0]->response->status == 200 };
});
--- request
GET /naps
--- response_body
zero and more
--- error_log eval
[qr/\[alert\] .*await_yield\(\) at \S*sleep\.c:\d+ was called outside of the coroutine/, qr/exited on signal 6/]



=== TEST 20: a negative time, or one that overflows, is refused with its cause
--- request
GET /no-times
--- response_body_like chomp
\A(?s)error: -1 ms, of await_sleep at \S*sleep\.c:(\d+), is not from 0 to ten years
error: -9223372036854775808 ms, of await_sleep at \S*sleep\.c:\1, is not from 0 to ten years
error: 316224000001 ms, of await_sleep at \S*sleep\.c:\1, is not from 0 to ten years
error: 9223372036854775807 ms, of await_sleep at \S*sleep\.c:\1, is not from 0 to ten years
\z



=== TEST 21: a handler that returns so answers 500, and the log tells why
--- request
GET /no-time
--- error_code: 500
--- response_body chomp
{"detail":"Internal Server Error"}
--- error_log eval
qr/\[error\] .*async handler "sleep:no_time" failed: ASYNC_ERROR: -5 ms, of await_sleep at \S*sleep\.c:\d+, is not from 0 to ten years, after await_sleep at \S*sleep\.c:\d+/



=== TEST 22: a loop that does not look at that does not block the worker
--- init
main::trace();
($main::loop) = main::at_once('/no-time-loop');
Time::HiRes::sleep(0.3);
$_->response for main::at_once('/naps', '/locals', '/stop');
$main::loop->response;
--- request
GET /trace
--- response_body eval
"error "
--- error_log eval
qr/\[error\] .*"sleep:no_time_loop" awaits on although it is refused: -5 ms, of await_sleep at /



=== TEST 23: ... and ends when its client leaves
--- init
main::trace();
($main::loop) = main::at_once('/no-time-loop');
$_->response for main::at_once('/naps');
$main::loop->reset;
$main::left = '';
NginxAsync::Server::wait_until(5, sub { $main::left .= main::trace() });
--- request
GET /trace
--- response_body_filters eval
sub { $main::left }
--- response_body eval
"cancelled "
--- access_log eval
qr{"GET /no-time-loop HTTP/1.1" 499 }



=== TEST 24: the clocks stand still while a handler does not suspend
--- request
GET /clocks
--- response_body
spun: still, still, right



=== TEST 25: ... go on while it sleeps
--- request
GET /clocks-sleep
--- response_body
slept: on, on, right



=== TEST 26: ... and in threads, always
--- request
GET /clocks-thread
--- response_body
in a thread: on, on, right
