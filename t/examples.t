#!/usr/bin/perl

# The examples of blocking handlers, under their own nginx.conf: examples/cpu
# in a thread pool of its own, examples/sync-db on a real PostgreSQL, and what
# their READMEs show.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use File::Path ();
use File::Temp ();
use IO::Select;
use JSON::PP qw(encode_json);
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep);

use NginxAsync;
use NginxAsync::Say qw(json);

my $top = $NginxAsync::Env::Root;

sub slurp { return NginxAsync::Env::slurp("$top/examples/$_[0]") }

# An example's app, with further options of the compiler.
sub build {
    my ($name, @options) = @_;

    my $so = NginxAsync::Env::run_dir() . "/$name.so";

    local $ENV{ASAN} = NginxAsync::Env::asan() ? 1 : '';
    my $out = NginxAsync::run("$top/util/async-cc",
        "$top/examples/$name/$name.c", '-o', $so, @options);

    die "async-cc $name: $out" if $?;
    chmod 0755, $so;

    return $so;
}


# An example's nginx.conf, but for what is the harness's, and for these changes.
sub conf {
    my ($name, $so, %change) = @_;

    my $conf = slurp("$name/nginx.conf");

    %change = ('load_module  modules/ngx_http_async_module.so;' => '',
        '8000;' => '127.0.0.1:$TEST_NGINX_SERVER_PORT;',
        "$name.so;" => "$so;", %change);

    for my $from (sort keys %change) {
        $conf =~ s/\Q$from\E/$change{$from}/
            or die "examples/$name/nginx.conf has no \"$from\"\n";
    }

    return $conf;
}


# What curl prints in a README of an example, against what it shows.
sub readme_holds {
    my ($name, $nginx, $skip) = @_;

    my $dir = NginxAsync::Guard::temp_dir('readme');
    my $url = 'http://127.0.0.1:' . $nginx->port(0);
    my $readme = slurp("$name/README.md");

    while ($readme =~ /^```console\n(.*?)^```/gms) {
        my $block = $1;

        while ($block =~ /^\$ (curl [^\n]*)\n((?:[^\$].*\n)*)/mg) {
            my ($command, $shown) = ($1, $2);

            next if $command =~ $skip;

            (my $run = $command) =~ s{http://127\.0\.0\.1:8000}{$url}g;
            my $out = NginxAsync::run('sh', '-c',
                "cd '$dir' && exec 2> /dev/null; $run");

            is $out =~ s/(?<=.)\n?\z/\n/r, $shown, "$name/README.md: $command";
        }
    }

    return $dir;
}


sub silent { return !IO::Select->new(map { $_->socket } @_)->can_read(0) }

# ---- examples/cpu

my $cpu = build('cpu');

# work without an end, as long as it is allowed to last
my $ENDLESS = '/mandelbrot?width=4096&height=4096&depth=100000';

sub cpu {
    my (%change) = @_;

    return NginxAsync->new(conf => conf('cpu', $cpu, %change))->start;
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


subtest 'cpu: pictures' => sub {
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


subtest 'cpu: what cannot be taken is said' => sub {
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


subtest 'cpu: a full queue' => sub {
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


subtest 'cpu: one thread' => sub {
    my @one = ('threads=2  max_queue=16' => 'threads=1 max_queue=2');

    my $nginx = cpu(@one);

    my $first = $nginx->connect->send_request('GET', $ENDLESS);
    ok $nginx->wait_until(sub { computing($nginx) == 1 }, 30), 'it computes';

    my @next = map { $nginx->connect->send_request('GET', $ENDLESS) } 1 .. 2;

    is $nginx->get('/hello')->status, 200, '... /hello answers';
    is $nginx->get('/mandelbrot')->status, 503, '... another one finds no room';
    is $nginx->get('/hello')->status, 200, '... /hello answers still';
    ok silent($first, @next), '... before any of those that came first';

    $_->close for $first, @next;

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


subtest 'cpu: README.md' => sub {
    my $nginx = cpu();

    # thirty at once, and hours of work: both have been seen above
    my $dir = readme_holds('cpu', $nginx, qr/--parallel|depth=100000/);

    like NginxAsync::Env::slurp("$dir/blurred.pgm"), qr/\AP5\n640 480\n/,
        'its pictures are there';

    my ($shown) = slurp('cpu/README.md') =~ /^\$ .*(4096&height.*)'/m;
    like $ENDLESS, qr/\Q$shown\E\z/, 'the one without an end is that of above';

    $nginx->stop;
};

# ---- a private PostgreSQL

# It runs as the user of the workers, whom it knows by that.  However this file
# ends, a process of its own stops the server and takes its folder away.
my $bin = (sort { $b =~ s{\D+}{}gr <=> $a =~ s{\D+}{}gr }
    glob '/usr/lib/postgresql/*/bin')[0];

my ($pg, $server, $keeper, @as);

sub make_cluster {
    my $base = $ENV{TEST_NGINX_TMPDIR} || '/tmp';

    # the path of a socket has 107 characters at most
    $pg = File::Temp::mkdtemp((length $base < 60 ? $base : '/tmp')
        . '/nginx-async-pg-XXXXXX');

    # the watchdog comes first, so that it has no end of the keeper's pipe
    NginxAsync::Guard::tell_watchdog('hello');
    start_keeper();

    if ($> == 0) {
        my ($user)    = split ' ', NginxAsync::Env::worker_user();
        my ($uid, $gid) = (getpwnam $user)[2, 3];

        chown $uid, $gid, $pg;
        @as = ('setpriv', "--reuid=$uid", "--regid=$gid", '--clear-groups');
    }

    my $out = NginxAsync::run(@as, qw(env -i LC_ALL=C), "$bin/initdb", '-D',
        "$pg/data", qw(-A peer -E UTF8 --no-sync --no-instructions));
    die "initdb: $out" if $?;

    start_server();
    sql('postgres', 'CREATE DATABASE web');
    sql('web', slurp('sync-db/users.sql'));
}


sub start_server {
    $server = fork() // die "fork: $!";

    if ($server == 0) {
        setpgrp(0, 0);
        $SIG{$_} = 'DEFAULT' for qw(HUP INT TERM PIPE);
        open STDIN,  '<',  '/dev/null';
        open STDOUT, '>>', "$pg/log";
        open STDERR, '>&', \*STDOUT;
        exec @as, qw(env -i LC_ALL=C), "$bin/postgres", '-D', "$pg/data",
            '-k', $pg, '-h', '', qw(-c fsync=off -c shared_buffers=16MB)
            or POSIX::_exit(127);
    }

    NginxAsync->wait_until(sub {
        return system("$bin/pg_isready -q -h '$pg'") == 0;
    }, 60) or die 'PostgreSQL does not start: ' . NginxAsync::Env::slurp(
        "$pg/log");
}


# A fast shutdown: connections are closed.
sub stop_server {
    kill 'INT', $server;
    waitpid $server, 0;
}


sub start_keeper {
    pipe(my $reader, my $writer) or die "pipe: $!";

    my $pid = fork() // die "fork: $!";

    if ($pid == 0) {
        close $writer;
        POSIX::setsid();
        $SIG{$_} = 'IGNORE' for qw(INT TERM HUP PIPE);
        open STDOUT, '>', '/dev/null';
        open STDERR, '>&', \*STDOUT;

        1 while sysread $reader, my $byte, 1;
        keeper_stops_server();
        File::Path::remove_tree($pg) if NginxAsync::Guard::keeps_nothing();
        POSIX::_exit(0);
    }

    $keeper = $writer;

    NginxAsync::Guard::at_end(sub {
        stop_server() if $server;
        close $keeper;
        waitpid $pid, 0;
    });
}


sub keeper_stops_server {
    my ($pid) = NginxAsync::Server::read_or_empty("$pg/data/postmaster.pid")
        =~ /^(\d+)/ or return;

    # ... if the number is still its own
    my $ours = sub {
        return index(NginxAsync::Server::read_or_empty("/proc/$pid/cmdline"),
            $pg) >= 0;
    };

    for my $signal (qw(INT KILL)) {
        $ours->() or return;
        kill $signal, $pid;
        NginxAsync->wait_until(sub { !$ours->() }, 10) and return;
    }
}


sub psql {
    my ($db) = @_;

    return (@as, qw(env -i LC_ALL=C), "$bin/psql",
        qw(-qXAt -v ON_ERROR_STOP=1), '-h', $pg, '-d', $db);
}


sub sql {
    my ($db, $text) = @_;

    my $out = NginxAsync::run(psql($db), '-c', $text);
    die "psql: $out" if $?;
    chomp $out;

    return $out;
}

# ---- examples/sync-db

if (!$bin) {
    SKIP: { skip 'there is no PostgreSQL', 1 }
    done_testing;
    exit;
}

make_cluster();

my @flags = split ' ', `pkg-config --cflags --libs libpq`;
my $sync  = build('sync-db', @flags);

sub sync {
    my (%change) = @_;

    sql('web', 'TRUNCATE users RESTART IDENTITY');

    return NginxAsync->new(conf => conf('sync-db', $sync, %change),
        env => { PGHOST => $pg, PGDATABASE => 'web' })->start;
}


sub create {
    my ($nginx, $body, %o) = @_;

    return $nginx->post('/users/', ref $body ? encode_json($body) : $body,
        headers => ['Content-Type', 'application/json'], %o);
}


# So many at once: all are sent before the first answer is read.
sub at_once {
    my ($nginx, @requests) = @_;

    my @connections = map {
        my ($method, $uri, $body) = @$_;

        $nginx->connect(timeout => 30)->send_request($method, $uri,
            defined $body ? (body => encode_json($body),
                headers => ['Content-Type', 'application/json']) : ());
    } @requests;

    return map { $_->response } @connections;
}


# Another session that holds the table, so that every query waits.
sub lock_table {
    open my $session, '|-', psql('web'), '-c', 'BEGIN',
        '-c', 'LOCK TABLE users', '-c', '\! cat'
        or die "psql: $!";

    NginxAsync->wait_until(sub {
        return sql('web', q{SELECT count(*) FROM pg_locks
            WHERE relation = 'users'::regclass AND granted
            AND mode = 'AccessExclusiveLock'});
    }, 30) or die 'the table is not locked';

    return $session;
}


sub waiting_for_lock {
    my ($count) = @_;

    return NginxAsync->wait_until(sub {
        return sql('web', q{SELECT count(*) FROM pg_locks
            WHERE relation = 'users'::regclass AND NOT granted}) == $count;
    }, 30);
}


subtest 'sync-db: README.md' => sub {
    my $nginx = sync();

    readme_holds('sync-db', $nginx, qr/\A\z/);

    my ($flags) = slurp('sync-db/nginx.conf') =~ /(\$\(pkg-config.*?\))/;
    ok index(slurp('sync-db/README.md'), $flags) > 0,
        'README.md and nginx.conf compile it in the same way';

    $nginx->stop;
};


subtest 'sync-db: users' => sub {
    my $nginx = sync();

    my $r = $nginx->get('/users/');
    is $r->status, 200, 'there are no users';
    is $r->body, '[]', '... which is a list as well';

    my @users;

    for ("Ada", "Bj\x{f6}rk \x{1f40d}", q{'); DROP TABLE users; --}, q{"\\\\n"},
         'x' x 10_000)
    {
        my $user = { name => $_, email => @users . '@example.com' };

        $r = create($nginx, $user);
        is $r->status, 201, 'a user is made: ' . substr encode_json($user), 0,
            60;
        push @users, { id => @users + 1, %$user };
        is_deeply json($r), $users[-1], '... and given back';

        $r = $nginx->get('/users/' . @users);
        is_deeply json($r), $users[-1], '... and read again';
    }

    $r = $nginx->get('/users/');
    is_deeply json($r), \@users, 'and all of them in their order';

    $r = $nginx->get('/users/77');
    is $r->status, 404, 'a user who is not there: status';
    is $r->body, '{"detail":"no such user"}', '... and detail';

    is $nginx->get('/users/abc')->status, 404, 'no number is no route';
    is $nginx->get('/users/-1')->status, 404, 'nor is one below zero';
    is $nginx->get('/users/9223372036854775807')->status, 404,
        'the largest number';
    $r = $nginx->get('/users/9223372036854775808');
    is $r->status, 422, '... and the next one';
    is json($r)->{detail}[0]{type}, 'int_parsing_size', '... with its error';

    $r = create($nginx, { name => 'Eve', email => '0@example.com' });
    is $r->status, 409, 'an email twice: status';
    is $r->body, '{"detail":"this email is taken"}', '... and detail';
    is scalar @{ json($nginx->get('/users/')) }, scalar @users,
        '... and nobody is made';

    is $nginx->request('DELETE', '/users/')->status, 405, 'no other method';

    $nginx->stop;
};


subtest 'sync-db: bodies' => sub {
    my $nginx = sync();

    my %error = (
        missing          => 'Field required',
        string_type      => 'Input should be a valid string',
        string_too_short => 'String should have at least 1 character',
        model_attributes_type => 'Input should be a valid dictionary or '
            . 'object to extract fields from',
    );

    for (
        ['{}', ['missing', 'name', {}], ['missing', 'email', {}]],
        ['{"name":"a"}', ['missing', 'email', { name => 'a' }]],
        ['{"name":1,"email":null}',
            ['string_type', 'name', 1], ['string_type', 'email', undef]],
        ['{"name":"a","email":["b"]}', ['string_type', 'email', ['b']]],
        ['{"name":"","email":"b"}', ['string_too_short', 'name', '']],
        ['[1,2]', ['model_attributes_type', undef, [1, 2]]],
        ['"a"', ['model_attributes_type', undef, 'a']],
    ) {
        my ($body, @errors) = @$_;

        my $r = create($nginx, $body);
        is $r->status, 422, "$body: status";
        is_deeply json($r), { detail => [map {
            my ($type, $name, $input) = @$_;
            +{ type => $type, loc => ['body', $name // ()],
                msg => $error{$type}, input => $input,
                $type eq 'string_too_short'
                    ? (ctx => { min_length => 1 }) : () };
        } @errors] }, '... and all its errors';
    }

    for (['{"name":', 'json_invalid'], ['', 'missing'], ['null', 'missing']) {
        my ($body, $type) = @$_;
        my $r = create($nginx, $body);
        is $r->status, 422, "\"$body\": status";
        is json($r)->{detail}[0]{type}, $type, '... and error';
    }

    is create($nginx, qq({"name":"\xff"}))->status, 400, 'what is not UTF-8';
    is $nginx->get('/users/')->body, '[]', 'nobody has been made';

    $nginx->stop;
};


subtest 'sync-db: many at once' => sub {
    my $nginx = sync();

    my @made = at_once($nginx, map { ['POST', '/users/',
        { name => "user $_", email => "$_\@example.com" }] } 1 .. 20);

    is join(' ', map { $_->status } @made), join(' ', (201) x 20),
        'twenty at once are all made';

    my @users = sort { $a->{id} <=> $b->{id} } map { json($_) } @made;
    is_deeply json($nginx->get('/users/')), \@users, '... as they were told';

    my @read = at_once($nginx, map { ['GET', "/users/$_->{id}"] } @users);
    is_deeply [map { json($_) } @read], \@users,
        'twenty read at once are each what was asked for';

    my @same = at_once($nginx, map { ['POST', '/users/',
        { name => "user $_", email => 'one@example.com' }] } 1 .. 20);

    is join(' ', sort map { $_->status } @same), join(' ', 201, (409) x 19),
        'of twenty with the same email one is made';

    # eight threads have eight connections; a ninth request waits
    my $session = lock_table();
    my @waiting = map { $nginx->connect(timeout => 30)
        ->send_request('GET', '/users/') } 1 .. 12;

    ok waiting_for_lock(8), 'as many queries as threads run at once';
    ok silent(@waiting), '... and none is answered';
    close $session;

    is join(' ', map { $_->response->status } @waiting),
        join(' ', (200) x 12), '... then all of them';

    my $connections = q{SELECT count(*) FROM pg_stat_activity
        WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()};

    is sql('web', $connections), 8, 'each thread has a connection';

    $nginx->stop;

    ok $nginx->wait_until(sub { sql('web', $connections) == 0 }),
        'and none is left when nginx has ended';
};


subtest 'sync-db: when the database goes' => sub {
    my $nginx = sync('threads=8' => 'threads=2');

    create($nginx, { name => 'Ada', email => 'ada@example.com' });
    at_once($nginx, (['GET', '/users/']) x 20);

    stop_server();

    for (1 .. 4) {
        my $r = $nginx->get('/users/');
        is $r->status, 503, 'no database: status';
        is $r->body, '{"detail":"the database is out of reach"}',
            '... and detail';
    }

    like $nginx->wait_for_log(qr/\[error\].*PostgreSQL: (.*)/), qr/connection/,
        'the log tells the cause';

    start_server();

    my @after = at_once($nginx, (['GET', '/users/']) x 20);
    is join(' ', map { $_->status } @after), join(' ', (200) x 20),
        'it is back, and so are all connections';

    stop_server();
    start_server();

    is create($nginx, { name => 'Ida', email => 'ida@example.com' })->status,
        201, 'a restart between two requests is not seen';
    is scalar @{ json($nginx->get('/users/')) }, 2, '... by any';

    my $session = lock_table();
    my $c = $nginx->connect(timeout => 30)->send_request('GET', '/users/');
    waiting_for_lock(1);
    sql('web', q{SELECT pg_terminate_backend(pid) FROM pg_locks
        WHERE relation = 'users'::regclass AND NOT granted});

    is $c->response->status, 503, 'a connection that is lost amid a query';
    close $session;
    is join(' ', map { $_->status } at_once($nginx, (['GET', '/users/']) x 4)),
        '200 200 200 200', '... is replaced';

    $nginx->stop;
};


subtest 'sync-db: times' => sub {
    my $nginx = sync('threads=8' => 'threads=1',
        'statement_timeout=10s' => 'statement_timeout=1500ms');

    my $session = lock_table();
    is $nginx->get('/users/')->status, 504, 'a statement that takes too long';
    close $session;

    my $backend = q{SELECT pid FROM pg_stat_activity
        WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()};
    my $pid = sql('web', $backend);

    is $nginx->get('/users/')->status, 200, '... and the next one';
    is sql('web', $backend), $pid, '... on the same connection';
    $nginx->stop;

    $nginx = sync('threads=8' => 'threads=1', 'max_queue=100' => 'max_queue=1',
        'async_timeout  10s;' => 'async_timeout  2s;');

    $session = lock_table();
    my $c = $nginx->connect->send_request('GET', '/users/');
    waiting_for_lock(1);
    my $next = $nginx->connect->send_request('GET', '/users/');
    is $nginx->post('/nothing', '')->status, 404, 'what needs no thread';
    my $r = $nginx->get('/users/');
    is $r->status, 503, 'a request too much';
    like $r->header('Retry-After'), qr/^\d+$/, '... may come again';
    is $_->response->status, 504, 'the deadline of a request that waits'
        for $c, $next;

    ok waiting_for_lock(1), '... ends its wait, and not that of its thread';
    close $session;
    ok waiting_for_lock(0), '... which the database does';
    is $nginx->get('/users/')->status, 200, '... so that it is free again';

    $nginx->stop;
};

done_testing;
