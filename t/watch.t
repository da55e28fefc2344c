#!/usr/bin/perl

# async_slow: code that holds the loop for too long between two awaits is named
# in the log.  What must not be logged has bounds far above what it holds, since
# a machine under load stops everybody now and then.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use NginxAsync;
use NginxAsync::Say qw(line_of);

my @handlers = qw(at_start no_await after_await twice often sleeps blocks calls cleans);
my $routes = join '', map { "location = /$_ { async_handler watch:$_; }\n" } @handlers;

# the clock is that of the kernel's tick, which has 10 ms at most
my $TICK = 10;

sub nginx {
    my ($http, %o) = @_;

    return NginxAsync->new(%o, conf => { server => $routes,
        http => "async_app \$TEST_NGINX_APPS/watch.so;\n$http" })->start;
}


# The lines of the watch, each as a hash.
sub watched {
    my ($n, $since) = @_;

    my @keys = qw(name held after times most);
    my @found;

    for my $line (split /\n/, $n->log($since)) {
        $line =~ /\[warn\] .*async "([^"]+)" held the loop for (\d+) ms after (.+); so far (\d+) times, (\d+) ms at most/
            or next;
        my %line;
        @line{@keys} = ($1, $2, $3, $4, $5);
        push @found, { %line, line => $line };
    }

    return @found;
}


sub held_for {
    my ($found, $ms) = @_;

    cmp_ok $found->{held}, '>=', $ms - $TICK, '... with the milliseconds, not fewer';
    cmp_ok $found->{held}, '<', 60000, '... nor absurdly many';
}

# ---- what is logged

my $n = nginx('async_slow 100ms;');

for my $handler (qw(at_start no_await)) {
    my $since = $n->mark;
    is $n->get("/$handler?ms=150")->status, 200,
        "a handler that holds the loop, $handler";
    my @found = watched($n, $since);
    is @found, 1, '... is logged once, at warn';
    is $found[0]{name}, "watch:$handler", '... by its name';
    is $found[0]{after}, 'its start', '... with where it began';
    held_for($found[0], 150);
    is $found[0]{times}, 1, '... as the first time';
    is $found[0]{most}, $found[0]{held}, '... and the longest one';
    like $found[0]{line}, qr{request: "GET /$handler\?ms=150 }, '... and the request';
}

{
    my $line  = line_of('watch', 'the await before');
    my $since = $n->mark;
    $n->get("/after_await?ms=$_") for 150, 400, 150;
    my @found = watched($n, $since);

    is @found, 3, 'a handler that holds the loop after an await is logged each time';
    like $found[0]{after}, qr{^await_sleep at \S*$line$},
        '... with the name and the place of the await before';
    is_deeply [map { $_->{times} } @found], [1, 2, 3], '... counted';
    held_for($found[1], 400);
    is_deeply [map { $_->{most} } @found],
        [$found[0]{held}, (sort { $b <=> $a } map { $_->{held} } @found)[0, 0]],
        '... and with the longest so far';
}

{
    my @lines = map { line_of('watch', $_) } 'the first of two', 'the second of two';
    my $since = $n->mark;
    is $n->get('/twice?ms=150')->status, 200, 'a handler that holds the loop twice';
    my @found = watched($n, $since);

    is @found, 2, '... has two lines';
    like $found[0]{after}, qr{^await_sleep at \S*$lines[0]$}, '... the one';
    like $found[1]{after}, qr{^await_yield at \S*$lines[1]$}, '... the other';
    held_for($found[1], 300);
}

{
    my $line  = line_of('watch', 'the await of a cleanup');
    my $since = $n->mark;
    is $n->get('/cleans')->status, 200, 'a cleanup that holds the loop';
    my @found = watched($n, $since);

    is_deeply [map { $_->{name} } @found], ['watch:cleans'], '... is logged';
    like $found[0]{after}, qr{^await_sleep at \S*$line$}, '... with its own await';
}

{
    my $line  = line_of('watch', 'the await of a call');
    my $since = $n->mark;
    is $n->get('/calls')->status, 200, 'a call from a thread that holds the loop';
    my @found = watched($n, $since);

    is_deeply [map { $_->{name} } @found], ['watch:calls'], '... is logged';
    like $found[0]{after}, qr{^await_sleep at \S*$line$}, '... with its own await';
}

$n->stop;

{
    my $line = line_of('watch', 'the await of a hook');
    my $n = nginx('async_slow 100ms; async_param start 150; async_param stop 150;');

    ok $n->wait_for_log(qr/held the loop/), 'a startup function that holds the loop';
    my @found = watched($n);
    is $found[0]{name}, 'watch:start', '... is logged';
    is $found[0]{after}, 'its start', '... with where it began';

    my $since = $n->mark;
    $n->stop;
    @found = watched($n, $since);
    is_deeply [map { $_->{name} } @found], ['watch:stop'], 'a shutdown function, too';
    like $found[0]{after}, qr{^await_sleep at \S*$line$}, '... with its await';
}

{
    my $n = nginx('');
    is $n->get('/at_start?ms=150')->status, 200, 'without async_slow';
    is watched($n), 1, '... 150 ms are too long';
    $n->stop;
}

# ---- what is not

{
    my $n = nginx('async_slow 1s;');

    is $n->get('/at_start?ms=150')->status, 200, 'what holds the loop for less';
    is watched($n), 0, '... than async_slow is not logged';
    is $n->get('/often')->body, "held often\n",
        'a handler that awaits often, and holds the loop for longer in all';
    is watched($n), 0, '... is not, either';
    is $n->get('/sleeps?ms=1500')->body, "slept\n", 'one that awaits for long';
    is watched($n), 0, '... neither';
    is $n->get('/blocks?ms=1500')->body, "blocked\n", 'nor a blocking handler';
    is watched($n), 0, '... whatever its thread does';
    $n->stop;
}

{
    my $n = nginx('async_slow 0;');
    is $n->get('/at_start?ms=1500')->status, 200, 'async_slow 0';
    is watched($n), 0, '... turns the watch off';
    $n->stop;
}

# ---- the directive

{
    my $n = nginx('', allow => '[emerg]');

    my %bad = (
        'async_slow fast;'               => qr/invalid value/,
        'async_slow -1;'                 => qr/invalid value/,
        'async_slow;'                    => qr/invalid number of arguments/,
        'async_slow 1s 2s;'              => qr/invalid number of arguments/,
        'async_slow 1s; async_slow 2s;'  => qr/is duplicate/,
        'server { async_slow 1s; }'      => qr/is not allowed here/,
    );

    for my $bad (sort keys %bad) {
        my ($status, $out) = $n->conf_test({ http => $bad });
        is $status, 1, "\"$bad\" fails";
        like $out, qr/\[emerg\] (?=.*"async_slow").*$bad{$bad}/, '... and says why';
    }

    for my $good ('async_slow 0;', 'async_slow 20ms;', 'async_slow 2;') {
        my ($status, $out) = $n->conf_test({ http => $good });
        is $status, 0, "\"$good\" is valid" or diag $out;
    }

    $n->stop;
}

done_testing;
