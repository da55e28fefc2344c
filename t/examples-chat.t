#!/usr/bin/perl

# examples/chat, under its own nginx.conf, on a PostgreSQL of its own; its page
# in two tabs, each with a worker of its own; and what its README shows.
# Screenshots are kept where TEST_NGINX_SCREENSHOTS says.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP qw(decode_json encode_json);
use Test::More;

use NginxAsync;
use NginxAsync::Browser;
use NginxAsync::Example;
use NginxAsync::Pg;
use NginxAsync::WebSocket;

NginxAsync::Pg::or_skip_all();

my $pg = NginxAsync::Pg->new(databases => ['notes']);
my $n  = NginxAsync->new(workers => 2, conf => example_conf('chat', example_app('chat'),
    '"dbname=notes"' => '"' . $pg->conninfo . '"',
    'root  page;'    => 'root  ' . example_folder('chat/page') . ';',
    '10s  tell_people' => '100ms  tell_people', '10s  sweep' => '100ms  sweep'))->start;

my $base = 'http://127.0.0.1:' . $n->port(0);

# One who has come into a room, with the welcome in {welcome}.
sub enter {
    my ($room, $name, %o) = @_;

    my $ws = NginxAsync::WebSocket->new($n, "/chat/$room?name=$name", timeout => 30, %o);
    $ws->{welcome} = event($ws, 'welcome');

    return $ws;
}

# The next event of a type.
sub event {
    my ($ws, $type) = @_;

    local $SIG{ALRM} = sub { die "no $type after 30 seconds\n" };    # pings may come for ever
    alarm 30;

    for (;;) {
        my $event = decode_json($ws->message // die "closed: $type\n");
        next if $event->{type} ne $type;
        alarm 0;
        return $event;
    }
}

sub say_to { my ($ws, $text) = @_; return $ws->text(encode_json({ text => $text })) }
sub names  { return join ' ', sort map { $_->{name} } @{ $_[0]{welcome}{people} } }
sub texts  { return [map { $_->{text} } @{ $_[0]{welcome}{messages} }] }

ok $n->wait_until(sub { eval { enter('first', 'Zoe')->close(1000) } }), 'the tables are made';

# ---- who comes, and who does not

sub refused { return NginxAsync::WebSocket::handshake($n, @_)->status }

is refused('/chat/NO?name=Ann'), 422, 'a room that is none';
is refused("/chat/tea$_->[0]"), 422, "a name that $_->[1]"
    for ['', 'is not there'], ['?name=', 'is empty'], ['?name=a%0Ab', 'has lines'], ['?name=+a', 'begins with a space'],
        ['?name=a%E2%80%AEb', 'turns the text around'], ['?name=' . 'x' x 25, 'is too long'];
is refused('/chat/tea?name=Ann', origin => 'http://else.example'), 403, 'a page of somebody else';
is $n->get('/chat/tea?name=Ann')->status, 426, 'no WebSocket at all';

# ---- what they say

my $ann = enter('tea', 'Ann');
my $bo  = enter('tea', 'Bo%20B.');

is names($ann), 'Ann', 'the first one is alone';
is names($bo), 'Ann Bo B.', 'the second one is not';
is event($ann, 'joined')->{name}, 'Ann', '... and is announced' ;
is event($ann, 'joined')->{name}, 'Bo B.', '... to all';

say_to($ann, qq(<b>"\x{fc}\\\n</b>));
my $said = event($bo, 'message');

is $said->{text}, qq(<b>"\x{fc}\\\n</b>), 'what one says the other hears';
is $said->{name}, 'Ann', '... by name';
like $said->{at}, qr/^2\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d\.?\d*Z\z/, '... and time';
is event($ann, 'message')->{id}, $said->{id}, '... as does who has said it';

for (['nothing', 'no JSON'], ['{"text":" \\n"}', 'an empty text'], ['{"text":5}', 'a number'],
    [encode_json({ text => 'x' x 1001 }), 'a long text'], ["{\"text\":\"a\"}\0", 'a zero behind'])
{
    is event($bo->text($_->[0]), 'error')->{text}, 'A message is a text of 1 to 1000 characters', $_->[1];
}

is_deeply texts(enter('tea', 'Cy')), [$said->{text}], 'who comes later hears what was said';
is_deeply texts(enter('coffee', 'Cy')), [], '... in this room';

$pg->sql("INSERT INTO messages (room, name, text) SELECT 'many', 'Ann', i::text FROM generate_series(1, 60) AS i");
is_deeply texts(enter('many', 'Cy')), [11 .. 60], 'the last of many';

my $large = enter('tea', 'Large')->text('x' x 9000);
is $large->close_code, 1009, 'a message without end';

# ---- who goes

$bo = enter('gone', 'Bo');

enter('gone', 'Ann')->close(1000);
is event($bo, 'left')->{name}, 'Ann', 'who leaves is announced';
enter('gone', 'Cy')->reset;
is event($bo, 'left')->{name}, 'Cy', '... and who vanishes';
is names(enter('gone', 'Dan')), 'Bo Dan', '... and both are gone';

# ---- workers that die, and what they leave

$pg->sql("INSERT INTO people (room, name, seen) VALUES ('gone', 'Ghost', now() - interval '1 minute')");
is event($bo, 'left')->{name}, 'Dan', 'one has gone by then';
is event($bo, 'left')->{name}, 'Ghost', 'who was in a worker that has died is swept out';

my $id = (grep { $_->{name} eq 'Bo' } @{ $bo->{welcome}{people} })[0]{id};

$pg->sql("DELETE FROM people WHERE id = $id");
is event($bo, 'joined')->{id}, $id, 'who was swept out by mistake comes back';

# ---- the pages

my $page = $n->get('/');

is $page->header('content-type'), 'text/html', 'the page';
like $page->header('content-security-policy'), qr/default-src 'none'.*script-src 'self';/, '... asks no other host';
is $n->get('/rooms/tea')->body, $page->body, '... and that of a room';
is $n->get('/chat.js')->header('content-type'), 'text/javascript', '... its script';

my $browser;

SKIP: {
    if (my $why = NginxAsync::Browser::missing()) { skip $why, 1 }

    $browser = NginxAsync::Browser->new(width => 1100, height => 760);

    subtest 'two tabs' => \&tabs;
}

sub shot {
    my ($name, %view) = @_;

    return if !$ENV{TEST_NGINX_SCREENSHOTS};

    my %old = map { $_ => $browser->{$_} } qw(width height dark);

    $browser->view(%view);
    $browser->screenshot("$ENV{TEST_NGINX_SCREENSHOTS}/chat-$name.png");
    $browser->view(%old);
}

# Comes in by one worker, since the others rest.  They may do so with a lock
# that it needs: then it is tried again.
sub come_in {
    my ($name, $worker) = @_;

    my @others = grep { $_ != $worker } $n->workers;

    for (1 .. 5) {
        $browser->open("$base/rooms/garden");
        $browser->type('#name', $name);
        shot('door');
        kill 'STOP', @others;
        $browser->click('#enter button');
        my $in = $n->wait_until(sub { $browser->script('return !!socket && !early') }, 5);
        kill 'CONT', @others;

        return $browser->wait_text('#people', qr/\Q$name\E/) if $in;
        $browser->script('sessionStorage.clear()');
    }
}

sub speak {
    my ($text) = @_;

    $browser->type('#text', $text);
    $browser->click('#send');
}

sub tabs {
    my ($here, $there) = $n->workers(2);
    my ($ann, $bo) = ($browser->tab);

    $browser->open("$base/");
    $browser->type('#room', 'No room');
    $browser->type('#name', 'Ann');
    $browser->click('#enter button');
    ok $browser->script('return !document.querySelector("#room").validity.valid && location.pathname === "/"'),
        'a room that is none is told before';

    is come_in('Ann', $here), "A\nAnn", 'one tab, with one worker';
    $bo = $browser->new_tab;
    like come_in('<i>Bo</i>', $there), qr/^<\n<i>Bo<\/i>\nA\nAnn\z/, 'another tab, with the other worker';

    speak('Hello <b>Ann</b> & "you"');
    $browser->wait_text('#log .mine', qr/Hello/);
    $browser->turn_to($ann);
    like $browser->wait_text('#log', qr/Hello/), qr{Hello <b>Ann</b> & "you"}, 'what one types the other sees';
    is $browser->count('#log .text b, #log i'), 0, '... as text';
    like $browser->text('#log'), qr{<i>Bo</i> is here}, '... and who came';

    $browser->type('#text', "Welcome!\nHow do you do?\n");
    $browser->turn_to($bo);
    like $browser->wait_text('#log', qr/do you do/), qr/Welcome!\n+.*How/s, 'Enter sends';

    lost($ann, $bo, $here);

    $browser->turn_to($ann);
    $browser->script('location.reload()');
    like $browser->wait_text('#log', qr/do you do\?/), qr/Hello.*Welcome!.*How/s, 'a reload comes back to what was said';
    ok $browser->wait_for('the connection', sub { $browser->script('return !!socket && !early') }), '... and connects';
    speak('Here again');
    $browser->turn_to($bo);
    like $browser->wait_text('#log', qr/Here again/), qr/Here again/, '... and is heard';
    is_deeply [grep { !m{^(?:http|ws)://127\.0\.0\.1:} } $browser->requests], [], 'no other host is asked';
    is_deeply [$browser->complaints], [], 'the console has no complaints';

    phone();
}

sub phone {
    shot('wide');
    shot('dark', dark => 1);
    $browser->view(width => 360, height => 640);
    ok $browser->script('return document.documentElement.scrollWidth <= 360
        && document.documentElement.scrollHeight <= 640'), 'on a phone nothing is cut off';
    is $browser->text('#who'), '2 here', '... who is here is one tap away';
    shot('phone');
    $browser->click('#who');
    like $browser->wait_text('#people', qr/Ann/), qr/Ann/, '... there';
    shot('phone-people', dark => 1);
    $browser->click('#who');
    $browser->view(width => 1100, height => 760);
}

# A worker dies: its tab comes back, the other one notices nothing.
sub lost {
    my ($ann, $bo, $worker) = @_;

    $browser->script('socket.old = true');
    $browser->turn_to($ann);
    $browser->script('socket.old = true');
    $n->kill_worker('KILL', $worker);
    ok $browser->wait_for('a new connection', sub { $browser->script('return !!socket && !socket.old && !early') }),
        'a tab comes back when its worker has died';
    speak('Still here');
    $browser->turn_to($bo);
    like $browser->wait_text('#log', qr/Still here/), qr/Still here/, '... and is heard';
    ok $browser->script('return socket.old'), '... by the other one, which noticed nothing';

    $pg->sql(q(UPDATE people SET seen = seen - interval '1 minute' WHERE room = 'garden'));
    ok $n->wait_until(sub { $pg->sql(q(SELECT count(*) FROM people WHERE room = 'garden')) == 2 }),
        'what the worker has left is swept out';
    is $browser->count('#people li'), 2, '... and both are still here';
    $browser->complaints;
}

$browser->quit if $browser;

# ---- one who says too much

{
    my $eve = enter('noise', 'Eve');
    my ($heard, $got) = (0, { type => 'none' });

    while ($heard < 200 && $got->{type} ne 'error') {
        say_to($eve, 'no. ' . ++$heard);
        do { $got = decode_json($eve->message) } while $got->{type} !~ /message|error/;
    }

    is $got->{text}, 'Not so fast: wait a few seconds', 'who says too much is told so';
    is event(say_to(enter('noise-too', 'Eva'), 'x'), 'error')->{text}, 'Not so fast: wait a few seconds',
        '... in other rooms and by other names, too';
}

ok readme_holds('chat', $n), 'README.md';

$n->stop;

example_runs('chat', sub {
    my ($port) = @_;
    my $ws = NginxAsync::WebSocket->new($n, '/chat/tea?name=Ann', port => $port);
    is decode_json($ws->message)->{type}, 'welcome', '... with its tables';
});

done_testing();
