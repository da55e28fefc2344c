#!/usr/bin/perl

# examples/cpu, blocking handlers in a thread pool of their own, under its own
# nginx.conf; and what its README shows.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use NginxAsync;
use NginxAsync::Example;
use NginxAsync::Say qw(json silent);

my $cpu = example_app('cpu');

# work without an end, as long as it is allowed to last
my $ENDLESS = '/mandelbrot?width=4096&height=4096&depth=100000';

sub cpu {
    my (%change) = @_;

    return NginxAsync->new(conf => example_conf('cpu', $cpu, %change))->start;
}


# What the threads of a worker, the loop aside, have computed: ticks of each.
sub ticks {
    my ($nginx) = @_;

    my $pid = $nginx->worker;

    return map {
        my (undef, $rest) = split /\) /,
            NginxAsync::Server::read_or_empty($_), 2;
        m{/$pid/stat$} || !$rest ? () : (split ' ', $rest)[11];
    } glob "/proc/$pid/task/*/stat";
}


# How many of them have done so for a moment.
sub computing { my ($nginx) = @_; return grep { $_ >= 5 } ticks($nginx) }

# Those that waited leave the queue when the thread comes to them.
sub draws_again {
    my ($nginx) = @_;

    return NginxAsync->wait_until(sub {
        return $nginx->get('/mandelbrot?width=8&height=8', timeout => 60)
            ->status == 200;
    }, 60);
}


sub picture {
    my ($channels, $width, $height, @samples) = @_;

    return sprintf("P%d\n%d %d\n255\n", $channels == 1 ? 5 : 6, $width,
        $height) . pack 'C*', @samples;
}


sub samples {
    my ($picture) = @_;

    $picture =~ s/\AP[56]\n\d+ \d+\n255\n//;

    return unpack 'C*', $picture;
}


# The blur once more, sample by sample: weights fall with the distance, what is
# beyond the border is as the border, and light is the square of a sample.
sub blurred {
    my ($channels, $width, $height, $radius, @in) = @_;

    my $clamp = sub { $_[0] < 0 ? 0 : $_[0] < $_[1] ? $_[0] : $_[1] - 1 };
    my @out;

    for my $at (0 .. $#in) {
        my $c = $at % $channels;
        my $x = int($at / $channels) % $width;
        my $y = int($at / $channels / $width);

        my ($sum, $total) = (0, ($radius + 1) ** 4);

        for my $dy (-$radius .. $radius) {
            my $row = $clamp->($y + $dy, $height) * $width;

            for my $dx (-$radius .. $radius) {
                $sum += ($radius + 1 - abs $dy) * ($radius + 1 - abs $dx)
                    * $in[($row + $clamp->($x + $dx, $width)) * $channels + $c]
                    ** 2;
            }
        }

        push @out, int(sqrt(int($sum / $total + 0.5)) + 0.5);
    }

    return @out;
}


subtest 'pictures' => sub {
    my $nginx = cpu();

    for (['grey', 1, 'image/x-portable-graymap', 100],
         ['coloured', 3, 'image/x-portable-pixmap', 10, 200, 255])
    {
        my ($name, $channels, $type, @colour) = @$_;
        my $in = picture($channels, 9, 7, (@colour) x 63);
        my $r  = $nginx->post('/blur?radius=4', $in);

        is $r->status, 200, "a $name picture is taken";
        is $r->header('Content-Type'), $type, '... and one of its kind given';
        ok $r->body eq $in, '... which, of one colour, stays as it is';
    }

    my @edge = samples($nginx->post('/blur?radius=3',
        picture(1, 20, 2, ((0) x 10, (255) x 10) x 2))->body);

    is "@edge[0 .. 19]", "@edge[20 .. 39]", 'rows of an edge are equal';
    is "@edge[0 .. 6, 13 .. 19]", join(' ', (0) x 7, (255) x 7),
        'far from an edge all is as it was';
    ok !(grep { $edge[$_] < $edge[$_ - 1] } 1 .. 19), 'an edge gets soft';
    ok !(grep { abs($edge[$_] ** 2 + $edge[19 - $_] ** 2 - 255 ** 2) > 255 }
        0 .. 19), 'and what light one side loses the other one gets';

    srand 1;

    for ([1, 13, 9, 4], [3, 8, 11, 1], [3, 5, 4, 100], [1, 1, 1, 2],
         [1, 1, 30, 7])
    {
        my ($channels, $width, $height, $radius) = @$_;
        my @in = map { int rand 256 } 1 .. $channels * $width * $height;
        my $r  = $nginx->post("/blur?radius=$radius",
            picture($channels, $width, $height, @in));

        is join(' ', samples($r->body)),
            join(' ', blurred($channels, $width, $height, $radius, @in)),
            "each sample of $width x $height x $channels, radius $radius";
    }

    my $plain = $nginx->post('/blur', picture(1, 2, 1, 7, 90))->body;

    for my $header ("P5 2 1 255 ", "P5\r\n2\t1\r\n255\n",
        "P5\n# one of\n# these days\n 002#\n1 # 3\n\n255\n")
    {
        is $nginx->post('/blur', $header . pack 'C*', 7, 90)->body, $plain,
            'a header in another form is the same header: '
                . $header =~ s/([^!-~ ])/sprintf '\x%02x', ord $1/ger;
    }

    my $r = $nginx->get('/mandelbrot?width=61&height=40');
    my @rows = $r->body =~ /\AP5\n61 40\n255\n(.{2440})\z/s
        ? unpack '(a61)*', $1 : ();

    is $r->header('Content-Type'), 'image/x-portable-graymap',
        'a picture is drawn';
    is scalar @rows, 40, '... of the size asked for';
    ok join('', @rows) eq join('', reverse @rows), '... the same upside down';
    is ord(substr $rows[19], 45, 1), 0, '... black amid the set';
    cmp_ok ord $rows[0], '>', 200, '... and bright at its corner';

    $r = $nginx->get('/mandelbrot');
    is length $r->body, 640 * 480 + 15, 'without numbers it has a size, too';

    $nginx->stop;
};


subtest 'what cannot be taken is said' => sub {
    my $nginx = cpu();

    my $none   = 'the body must be a PGM (P5) or PPM (P6) picture';
    my $header = 'the header of the picture is malformed';

    for (
        ['',                        400, $none],
        ['P',                       400, $none],
        ["P4\n1 1\n255\nx",         400, $none],
        ["\0P5\n1 1\n255\nx",       400, $none],
        ['P5',                      400, $header],
        ["P5\n1",                   400, $header],
        ["P5\n1 1\n255",            400, $header],
        ["P5\n1 1\n255x",           400, $header],
        ["P51 1\n255\nx",           400, $header],
        ["P5\n-1 1\n255\nx",        400, $header],
        ["P5\n1 1.5\n255\nx",       400, $header],
        ["P5\n1\0 1\n255\nx",       400, $header],
        ["P5\n# no end",            400, $header],
        ["P5\n1 1\n65535\nxx",      422, 'the greatest sample must be 255'],
        ["P5\n1 1\n0\nx",           422, 'the greatest sample must be 255'],
        ["P5\n0 1\n255\n",          422, 'the picture has no pixels'],
        ["P5\n1 0\n255\n",          422, 'the picture has no pixels'],
        ["P5\n4097 1\n255\n",       413,
            'the picture is wider or higher than 4096 pixels'],
        ["P6\n1 99999999999999999999999\n255\n", 413,
            'the picture is wider or higher than 4096 pixels'],
        ["P5\n2 3\n255\n12345",     400,
            'the picture should have 6 bytes of samples, not 5'],
        ["P6\n1 1\n255\n1234",      400,
            'the picture should have 3 bytes of samples, not 4'],
        ["P6\n4096 4096\n255\n",    400,
            'the picture should have 50331648 bytes of samples, not 0'],
    ) {
        my ($body, $status, $detail) = @$_;

        my $r = $nginx->post('/blur', $body);
        my $title = $body =~ s/([^!-~ ])/sprintf '\x%02x', ord $1/ger;

        is $r->status, $status, "\"$title\": status";
        is_deeply json($r), { detail => $detail }, '... and detail';
    }

    for (
        ['/blur?radius=0',             'radius must be from 1 to 100'],
        ['/blur?radius=101',           'radius must be from 1 to 100'],
        ['/mandelbrot?width=0',        'width must be from 1 to 4096'],
        ['/mandelbrot?width=-7',       'width must be from 1 to 4096'],
        ['/mandelbrot?height=4097',    'height must be from 1 to 4096'],
        ['/mandelbrot?depth=100001',   'depth must be from 1 to 100000'],
    ) {
        my ($uri, $detail) = @$_;

        my $r = $uri =~ /blur/ ? $nginx->post($uri, picture(1, 1, 1, 1))
            : $nginx->get($uri);

        is $r->status, 422, "$uri: status";
        is_deeply json($r), { detail => $detail }, '... and detail';
    }

    my $r = $nginx->get('/mandelbrot?width=wide');
    is $r->status, 422, 'a number that is none';
    is json($r)->{detail}[0]{type}, 'int_parsing', '... is told as ever';

    is $nginx->get('/blur')->status, 405, 'GET is not for /blur';

    $r = $nginx->connect->send_request('POST', '/blur',
        headers => ['Content-Length', 12 * 1024 * 1024 + 1])->response;
    is $r->status, 413, 'nginx refuses a body that is too large';

    $nginx->stop;
};


subtest 'a full queue' => sub {
    my $nginx = cpu();

    my @all = map { $nginx->connect(timeout => 30)->send_request('GET',
        $ENDLESS) } 1 .. 30;

    # two threads and a queue of 16; threads may take a moment to start
    my @refused;

    $nginx->wait_until(sub {
        @refused = grep { !silent($_) } @all;
        return @refused >= 12 && computing($nginx) == 2;
    }, 30);

    cmp_ok scalar @refused, '>=', 12, 'of thirty, two run and sixteen wait';
    cmp_ok scalar @refused, '<=', 14, '... and all the others are refused';

    for my $c (@refused) {
        my $r = $c->response;
        $r->status == 503 && ($r->header('Retry-After') // '') =~ /^\d+$/
            && ref json($r) eq 'HASH' or fail('refused: ' . $r->raw_head);
    }

    is $nginx->get('/hello')->body, '{"message":"Hello!"}',
        'an async handler answers meanwhile';

    my %refused = map { $_ => 1 } @refused;
    my @waiting = grep { !$refused{$_} } @all;

    ok silent(@waiting), '... and none of the others has';

    $_->close for @waiting;

    ok draws_again($nginx), 'when all clients have left there is a thread';

    $nginx->stop;
};


subtest 'one thread' => sub {
    my @one = ('threads=2  max_queue=16' => 'threads=1 max_queue=2');

    my $nginx = cpu(@one);

    my $first = $nginx->connect->send_request('GET', $ENDLESS);
    ok $nginx->wait_until(sub { computing($nginx) == 1 }, 30), 'it computes';

    my @next = map { $nginx->connect->send_request('GET', $ENDLESS) } 1 .. 2;

    is $nginx->get('/hello')->status, 200, '... /hello answers';
    is $nginx->get('/mandelbrot')->status, 503, '... another one finds no room';
    is $nginx->get('/hello')->status, 200, '... /hello answers still';
    ok silent($first, @next), '... before any of those that came first';

    # the thread would take up those that wait as soon as it is free
    $_->close for @next;
    ok $nginx->wait_until(sub { 2 == (() = $nginx->access_log =~ / 499 /g) }, 30),
        'those that wait leave';
    $first->close;

    ok draws_again($nginx), 'clients leave, and the thread is free';
    ok $nginx->wait_for_log(qr/"cpu:mandelbrot".* is given up at row \d+$/m),
        '... as the log says';

    my @given_up = $nginx->log =~ /is given up/g;
    is scalar @given_up, 1, '... and those that waited have not begun';

    my ($before) = ticks($nginx);
    my $c = $nginx->connect->send_request('POST', '/blur?radius=100',
        body => picture(1, 4000, 3000) . "\x09" x 12e6);
    ok $nginx->wait_until(sub { (ticks($nginx))[0] > $before + 5 }, 30),
        'a blur computes';
    $c->close;
    ok draws_again($nginx), '... and leaves the thread, too';
    ok $nginx->wait_for_log(qr/"cpu:blur".* is given up at row \d+$/m),
        '... before its end';

    $nginx->stop;

    # ---- the deadline

    $nginx = cpu(@one, 'async_timeout  30s;' => 'async_timeout  2s;');

    my $r = $nginx->get($ENDLESS);
    is $r->status, 504, 'what takes too long is answered';
    is_deeply json($r), { detail => 'Gateway Timeout' }, '... as an error';
    ok $nginx->wait_for_log(qr/is given up at row/, 30), '... and given up';
    is $nginx->get('/mandelbrot?width=8&height=8')->status, 200,
        '... so that the next one is drawn';

    $nginx->stop;
};


subtest 'README.md' => sub {
    my $nginx = cpu();

    # thirty at once, and hours of work: both have been seen above
    my $dir = NginxAsync::Guard::temp_dir('readme');
    readme_holds('cpu', $nginx, dir => $dir,
        skip => qr/--parallel|depth=100000/);

    like NginxAsync::Env::slurp("$dir/blurred.pgm"), qr/\AP5\n640 480\n/,
        'its pictures are there';

    my ($shown) = example_text('cpu/README.md') =~ /^\$ .*(4096&height.*)'/m;
    like $ENDLESS, qr/\Q$shown\E\z/, 'the one without an end is that of above';

    $nginx->stop;
};

done_testing;
