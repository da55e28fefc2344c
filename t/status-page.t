#!/usr/bin/perl

# The page of async_status, in a browser.  Screenshots of it are kept where
# TEST_NGINX_SCREENSHOTS says.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use JSON::PP ();
use NginxAsync;
use NginxAsync::Browser;
use NginxAsync::Say qw(json);

my $n = NginxAsync->new(workers => 2, conf => { http => <<'EOF_HTTP', server => <<'EOF_SERVER' })->start;
    async_app $TEST_NGINX_APPS/status.so;
    async_param gates $TEST_NGINX_SERVER_ROOT/html;
    async_slow 800ms;
    async_timeout 10m;
EOF_HTTP
    location / {
        async_route GET /hello  hello;
        async_route GET /nap    nap;
        async_route GET /gated  gated;
        async_route GET /family family;
        async_route GET /burn   burn;
    }
    location = /status { async_status; }
    location = /page   { async_status html; }
EOF_SERVER

my $base = 'http://127.0.0.1:' . $n->port(0);
my @html = (headers => [Accept => 'text/html,*/*;q=0.8']);

# ---- HTTP

my $page = $n->get('/status', @html);

is $page->status, 200, 'the page is there';
is $page->header('content-type'), 'text/html; charset=utf-8', 'as HTML';
is $page->header('cache-control'), 'no-store', 'and is not kept';

my $policy = $page->header('content-security-policy');
my ($nonce) = $policy =~ /script-src 'nonce-([0-9a-f]{32})'/;

like $policy, qr/^default-src 'none'; script-src 'nonce-\w+'; style-src 'nonce-\w+'; connect-src 'self'; .*frame-ancestors 'none'/,
    'nothing may run that is not its own';
is_deeply [$page->body =~ /nonce="(\w+)"/g], [$nonce, $nonce], 'its script and its style are';
unlike $n->get('/status', @html)->header('content-security-policy'), qr/$nonce/, 'for one answer';
is $n->get('/page')->header('content-type'), 'text/html; charset=utf-8', 'a location with the page alone';
is json($n->get('/page?format=json'))->{generation}, 1, '... gives it its figures';
is $n->head('/page')->header('content-length'), length $page->body, 'HEAD';
is $n->connect->request('GET', '/status')->header('connection'), 'close',
    'nobody holds on to a worker, which may be the one that is blocked';

# ---- in a browser

if (my $why = NginxAsync::Browser::missing()) {
    SKIP: { skip $why, 1 }
    done_testing;
    exit;
}

my $browser = NginxAsync::Browser->new(width => 1280, height => 1000);

sub shot {
    my ($name) = @_;

    $browser->screenshot("$ENV{TEST_NGINX_SCREENSHOTS}/status-$name.png") if $ENV{TEST_NGINX_SCREENSHOTS};
}

# Waits until the text of what CSS finds is like that, with a title.
sub shows {
    my ($css, $like, $title) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    like eval { $browser->wait_text($css, $like) } // $browser->text($css), $like, $title;
}

# ... or is not any more.
sub shows_not {
    my ($css, $unlike, $title) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    eval { $browser->wait_for('less', sub { $browser->text($css) !~ $unlike }) };
    unlike $browser->text($css), $unlike, $title;
}

my $evil = '<script>document.title="evil"</script><img/src=x>';
my @naps = map { $n->connect->send_request('GET', "/nap?$evil") } 1 .. 2;
my $family = $n->connect->send_request('GET', '/family');

$n->get('/hello') for 1 .. 5;
$browser->open("$base/status");

shows('#state', qr/Live/, 'the page asks');
shows('#about', qr/^nginx \d+\.\d+\.\d+, configuration 1, \d{4}-/, 'which nginx it is');
shows('#attention', qr/^(?:Nothing stands out|Event loops come late)/, 'nothing is wrong, but for a machine that is slow');
shows('#tiles .tile:nth-child(1)', qr/2 running/, 'workers');
shows('#tiles .tile:nth-child(3)', qr/\d/, 'tasks');
shows('#workers', qr/\S running\b/, 'a table of the workers');
is $browser->count('#workers tbody tr'), 2, '... with both';
shows('#family-handler', qr/status:hello/, 'handlers');
shows('#slow', qr/There was none\./, 'no slow stretch');

subtest 'where everything waits' => sub {
    shows('#waiting', qr/status:nap\s+2\s+[\d.]+ \S+\s+await_sleep\s+\S*status\.c:\d+/, 'tasks in groups');
    shows('#waiting', qr/status:family\s+2\s+.*await_sleep/, 'children');
    shows('#waiting', qr/status:family\s+1\s+.*await_join/, 'and their parent');
    shows('#count', qr/^\d tasks$/, 'how many there are');
    is $browser->count('#waiting tr[hidden]'), $browser->count('#waiting .inner'), 'closed at first';

    $browser->script('[...document.querySelectorAll("#waiting .open")].find(b => b.textContent === "status:nap").click()');
    shows('#waiting .inner table', qr/\QGET \/nap?$evil\E/, 'opened: the requests, as they are');
    shows('#waiting .inner table', qr/127\.0\.0\.1/, '... their clients');
    is $browser->count('#waiting .inner table tbody tr'), 2, '... one a line';
    is $browser->count('#waiting script, #waiting img'), 0, 'what is in URIs stays text';
    shot('wide');
};

subtest 'filters' => sub {
    $browser->requests;
    $browser->type('input[name=handler]', 'family');
    shows_not('#waiting', qr/nap/, 'others are not shown');
    shows('#waiting', qr/family/, '... than those that are asked for');
    shows('#count', qr/^3 tasks of those asked for$/, '... as it says');
    ok((grep { /[?&]handler=family(?:&|$)/ } $browser->requests), 'the server does it');
    is $browser->script('return location.search'), '?handler=family', 'the address is that of what is shown';

    $browser->type('input[name=await]', 'join');
    shows('#count', qr/^1 task of/, 'by the await, too');
    $browser->script('location.reload()');
    shows('#count', qr/^1 task of/, 'after a reload, too');
    is $browser->script('return document.forms[0].elements.await.value'), 'join', '... with what was typed';

    $browser->type('input[name=older]', 'long');
    shows('#wrong', qr/no number of seconds/, 'what is wrong is said');
    $browser->type('input[name=older]', '3600');
    shows('#waiting', qr/There is no such task\./, 'none waits for so long');
    $browser->click('button[type=reset]');
    shows('#waiting', qr/nap/, 'all again');
    is $browser->script('return location.search'), '', '... in the address, too';
    shows('#state', qr/Live/, 'it goes on');
};

subtest 'a worker that is blocked' => sub {
    my $since = $n->mark;
    my $burns = $n->connect->send_request('GET', '/burn?tag=burn');

    $n->wait_until(sub { $n->log($since) =~ /<burns in/ });
    my ($pid) = $n->log($since) =~ /<burns in (\d+)>/;

    shows('#attention', qr/^Worker $pid is blocked: status:burn has held its event loop for [\d.]+ s\.$/m, 'it stands out');
    shows('#tiles .tile.bad', qr/1 of 2 blocked/, '... and on top');
    shows('#workers tr.loud', qr/^$pid\s+\S blocked\s.*status:burn, for/s, '... and in its row');
    like $browser->script('return document.title'), qr/^\S blocked \S Status of /, '... and in the title';
    shows('#said', qr/Worker $pid is blocked: status:burn/, '... and is said to who does not see it');
    shot('blocked');

    $n->write_file('html/go-burn', '');
    is $burns->response->body, 'done', 'it goes on';
    shows_not('#attention', qr/blocked/, 'which is seen');
    shows('#slow', qr/status:burn\s+[\d.]+ s\s.*await_sleep/s, 'it was a slow stretch');
    shows('#family-handler', qr/status:burn/, '... of a handler');
};

subtest 'pauses' => sub {
    $browser->click('#pause');
    shows('#state', qr/^Paused$/, 'the page pauses');
    is $browser->text('#pause'), 'Go on', 'until it is told to go on';
    my $gated = $n->connect->send_request('GET', '/gated?tag=paused');
    $browser->click('#pause');
    shows('#waiting', qr/status:gated/, '... and shows what is new');
    shows('#state', qr/Live/, '...');

    my $hide = sub {
        $browser->script('Object.defineProperty(document, "hidden", { value: arguments[0], configurable: true });
            document.dispatchEvent(new Event("visibilitychange"))', $_[0] ? JSON::PP::true : JSON::PP::false);
    };

    $hide->(1);
    shows('#state', qr/^Paused while hidden$/, 'it does not ask while nobody sees it');
    $n->write_file('html/go-paused', '');
    is $gated->response->body, 'done', 'meanwhile a task ends';
    $hide->(0);
    shows_not('#waiting', qr/status:gated/, 'what it shows then is new');
    shows('#state', qr/Live/, '...');
};

subtest 'on a phone' => sub {
    $browser->view(width => 390, height => 800);
    cmp_ok $browser->script('return document.documentElement.scrollWidth'), '<=', 390, 'nothing is cut off';
    shot('phone');
    $browser->view(dark => 1);
    is $browser->script('return getComputedStyle(document.body).backgroundColor'), 'rgb(17, 21, 27)', 'in the dark';
    shot('phone-dark');
    $browser->view(width => 1280, height => 1000, dark => 0);
};

subtest 'alone' => sub {
    $browser->open("$base/page?await=join");
    shows('#count', qr/^1 task of/, 'a location with the page alone, and a filter');
};

is_deeply [grep { !m{^http://127\.0\.0\.1:} } $browser->requests], [], 'no other host is asked';
is_deeply [$browser->complaints], [], 'the console has no complaints';

$_->close for @naps, $family;
$n->stop;
shows('#state', qr/No answer for .*: the server cannot be reached/, 'that nginx has gone is told');
is $browser->script('return document.querySelector("#main").className'), 'stale', '... and what is shown is old';

$browser->quit;

done_testing;
