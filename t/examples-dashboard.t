#!/usr/bin/perl

# examples/dashboard, under its own nginx.conf; its page in two tabs; and what
# its README shows.  Screenshots are kept where TEST_NGINX_SCREENSHOTS says.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP qw(decode_json);
use List::Util qw(all);
use Test::More;

use NginxAsync;
use NginxAsync::Browser;
use NginxAsync::Example;
use NginxAsync::WebSocket;

my $n = NginxAsync->new(workers => 2, conf => example_conf('dashboard', example_app('dashboard'),
    'root   page;' => 'root ' . example_folder('dashboard/page') . ';',
    '1s  measure' => '100ms  measure', '1s  count_viewers' => '100ms  count_viewers'))->start;

my $base = 'http://127.0.0.1:' . $n->port(0);

# Watches by socket or by events.
sub watch {
    my ($by, $timeout) = @_;

    my $watch = bless { $by => $by eq 'socket' ? NginxAsync::WebSocket->new($n, '/values', timeout => $timeout // 30)
        : $n->connect(timeout => $timeout // 30)->send_request('GET', '/values') }, 'Watch';

    $watch->{minute} = $watch->values;
    $watch->connection->{timeout} = 30;

    return $watch;
}

# ... by one worker, since the others rest.  They may do so with a lock that it
# needs: then it is tried again.
sub watch_by {
    my ($worker, $by) = @_;

    my @others = grep { $_ != $worker } $n->workers;
    my $watch;

    for (1 .. 5) {
        kill 'STOP', @others;
        $watch = eval { watch($by, 5) };
        kill 'CONT', @others;
        return $watch if $watch;
    }

    die $@;
}

sub Watch::connection { my ($self) = @_; return $self->{events} // $self->{socket}->connection }
sub Watch::close      { return $_[0]->connection->close }

# What comes next.
sub Watch::values {
    my ($self) = @_;

    my $text = $self->{socket} ? $self->{socket}->message
        : do { $self->{events}->read_until("\n\n") =~ /^data: (.*)$/m; $1 };

    return decode_json($text)->{values};
}

sub Watch::next { return $_[0]->values->[0] }

# Reads on until so many watch, and do so for a while: longer than a slice.
sub Watch::sees {
    my ($self, $viewers, $while) = @_;

    my $since;

    for (1 .. 300) {
        my $next = $self->next;

        $since = $next->{viewers} == $viewers ? $since // $next->{at} : undef;
        return 1 if defined $since && $next->{at} - $since >= ($while // 0);
    }

    return 0;
}

# ---- values

my ($here, $there) = $n->workers(2);
my $socket = watch_by($here, 'socket');
my $events = watch_by($there, 'events');

my ($one, $two) = ($socket->next, $socket->next);

cmp_ok $two->{at}, '>', $one->{at}, 'values, one after another';
ok((all { $_->{cpu} >= 0 && $_->{cpu} <= 100 && $_->{memory} > 0 && $_->{memory} <= 100 } $one, $two), '... in percent');

{
    my $at = $events->next;

    $at = $events->next while $at->{at} < $two->{at};
    my $same = $at->{at} == $two->{at} ? $two : $socket->next;

    $same = $socket->next while $same->{at} < $at->{at};
    is_deeply $same, $at, 'by events, in another worker, they are the same';
}

ok $n->wait_until(sub { @{ watch('events')->{minute} } == 60 }), 'the last minute comes at once';

{
    my $minute = watch('socket')->{minute};

    ok !(grep { $minute->[$_]{at} <= $minute->[$_ - 1]{at} } 1 .. $#$minute), '... in order, each value once';
}

# ---- who watches

ok $socket->sees(2), 'two watch, in two workers';

my @more = map { watch_by($there, $_) } qw(socket events events);

ok $socket->sees(5, 2500), '... or five';
(shift @more)->close;
ok $socket->sees(4), '... one of whom goes';
$n->kill_worker('KILL', $there);
ok $socket->sees(1, 2500), 'those of a worker that dies are not counted any more';

# ---- the page

my $page = $n->get('/');

is $page->header('content-type'), 'text/html', 'the page';
like $page->header('content-security-policy'), qr/default-src 'none'.*script-src 'self';/, '... asks no other host';
is $n->get('/dashboard.js')->header('content-type'), 'text/javascript', '... its script';
is NginxAsync::WebSocket::handshake($n, '/values', origin => 'http://else.example')->status, 403,
    'no page of somebody else';

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
    $browser->screenshot("$ENV{TEST_NGINX_SCREENSHOTS}/dashboard-$name.png");
    $browser->view(%old);
}

# The line gets other points, and those that there are move to the left.
sub moves {
    my ($title) = @_;

    my $now = sub { $browser->script('return [document.getElementById("cpu-line").getAttribute("d"),
        document.getElementById("lines").getAttribute("transform"), document.getElementById("state").textContent]') };

    my $old;

    ok $browser->wait_for('a line', sub { $old = $now->(); $old->[0] && $old->[2] eq 'Live' }), $title;
    ok $browser->wait_for('another line', sub { my $new = $now->(); $new->[0] ne $old->[0] && $new->[1] ne $old->[1] }),
        '... and moves';
}

sub tabs {
    my $events = $browser->tab;

    $browser->open("$base/");
    moves('the plot comes by events');
    ok $browser->script('return values.length > 30'), '... with the last minute';
    like $browser->text('#memory'), qr/^\d+ %\z/, '... and numbers';

    my $socket = $browser->new_tab;

    $browser->open("$base/#socket");
    moves('... and in another tab by WebSocket');
    ok $browser->script('return connection instanceof WebSocket'), '... truly';
    $browser->turn_to($events);
    ok $browser->script('return connection instanceof EventSource'), '... and by events';
    is $browser->wait_text('#viewers', qr/^3$/), 3, 'they are counted';
    $browser->click('label:last-child span');
    $browser->wait_for('a socket', sub { $browser->script('return connection instanceof WebSocket') });
    moves('another way is chosen');
    $browser->script('location.reload()');
    moves('a reload connects again');
    ok $browser->script('return connection instanceof WebSocket'), '... the same way';
    is_deeply [grep { !m{^(?:http|ws)://127\.0\.0\.1:} } $browser->requests], [], 'no other host is asked';
    is_deeply [$browser->complaints], [], 'the console has no complaints';

    lost();
    shot('wide');
    shot('dark', dark => 1);
    $browser->view(width => 360, height => 740);
    ok $browser->script('return document.documentElement.scrollWidth <= 360'), 'on a phone nothing is cut off';
    shot('phone');
    shot('phone-dark', dark => 1);
}

# All workers die.
sub lost {
    $browser->script('connection.old = true');
    $n->kill_worker('KILL', $_) for $n->workers;
    ok $browser->wait_for('a new connection', sub { $browser->script('return !!connection && !connection.old') }),
        'it comes back when its worker has died';
    moves('... and the plot is there');
}

$browser->quit if $browser;

ok readme_holds('dashboard', $n), 'README.md';

$n->stop;

example_runs('dashboard', sub {
    my ($port) = @_;
    my $ws = NginxAsync::WebSocket->new($n, '/values', port => $port);
    ok decode_json($ws->message)->{values}, '... with values';
});

done_testing();
