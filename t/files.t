#!/usr/bin/perl

# Files through threads: read, written, listed, streamed; paths that cannot
# leave their root, with openat2() and without; nothing half written.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Errno qw(ENOENT EXDEV ELOOP ENAMETOOLONG EISDIR ENXIO ENOTDIR EEXIST
    ENOTEMPTY EACCES EFBIG ENOSPC);
use File::Path ();
use JSON::PP qw(decode_json);
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep);

use NginxAsync;

# What is mounted below is seen by this test alone, and ends with it, also
# when it is killed.
if ($> == 0 && !$ENV{TEST_FILES_UNSHARED}
    && system('unshare -m true 2> /dev/null') == 0)
{
    local $ENV{TEST_FILES_UNSHARED} = 1;
    exec 'unshare', '-m', $^X, $0, @ARGV or die "unshare: $!";
}

my $mounts = delete $ENV{TEST_FILES_UNSHARED};

my ($READ, $WRITE, $APPEND, $ATOMIC, $EXCLUSIVE) = (1, 2, 4, 8, 16);
my ($ERROR, $TIMEOUT, $CANCELLED, $BUSY) = (-1, -2, -3, -5);

my @handlers = qw(run raw both stream copy misuse scopes lacks hold churn hello);

my $routes = join '', map { "location = /$_ { async_handler files:$_; }\n" }
    @handlers;

# One thread, and a place for one that waits: what is asked for comes in order.
my %one = (threads => 1, max_queue => 1);

sub nginx {
    my (%o) = @_;

    my $threads   = delete $o{threads}   // 4;
    my $max_queue = delete $o{max_queue} // 100;
    my $http      = delete $o{http}      // '';

    my $n = NginxAsync->new(%o, conf => { server => $routes,
        main => "thread_pool default threads=$threads max_queue=$max_queue;",
        http => <<"EOF_CONF" });
        async_app \$TEST_NGINX_APPS/files.so;
        client_max_body_size 100m;
        client_body_buffer_size 32m;
        large_client_header_buffers 4 64k;
        $http
EOF_CONF

    # the folders: root is the store, beside it what nobody shall see
    mkdir $n->root . "/$_", 0777 for qw(root root/dir out);
    put($n, 'root/a',     "first\n");
    put($n, 'root/b',     "second\n");
    put($n, 'root/empty', '');
    put($n, 'root/dir/c', "third\n");
    put($n, 'out/secret', "secret\n");

    if ($> == 0) {
        my ($uid, $gid) = (getpwnam((split ' ', NginxAsync::Env::worker_user())
            [0]))[2, 3];
        chown $uid, $gid, map { $n->root . "/$_" } qw(root root/a root/b
            root/empty root/dir root/dir/c out out/secret);
    }

    return $n->start;
}

sub put { my ($n, $name, $text) = @_; return NginxAsync::Env::spew(
    $n->root . "/$name", $text) }

sub get { my ($n, $name) = @_; return NginxAsync::Server::read_or_empty(
    $n->root . "/$name") }

# Files that the worker has open: how many, without the sockets of clients.
sub open_files { my ($n) = @_; return grep { !/^socket:/ } $n->open_fds }

sub there { my ($n, $name) = @_; return -e $n->root . "/$name" ? 1 : 0 }

# What is in a folder, hidden files too.
sub all {
    my ($n, $dir) = @_;

    opendir my $d, $n->root . "/$dir" or die "$dir: $!";

    return join ' ', sort grep { !/^\.\.?$/ } readdir $d;
}

sub escape { return $_[0] =~ s{([^\w./-])}{sprintf '%%%02X', ord $1}ger }

sub json { my ($r) = @_; return decode_json($r->body) }

sub query {
    my (%o) = @_;

    return join '&', map { defined $o{$_} ? "$_=" . escape($o{$_}) : () }
        sort keys %o;
}

# One call; root is "root" unless said otherwise, undef: the program's own paths.
sub call {
    my ($n, $op, $path, %o) = @_;

    my $body = delete $o{body};
    my $uri  = '/run?' . query(op => $op, root => 'root', path => $path, %o);

    return json($n->post($uri, $body // '', timeout => 60));
}

sub stream {
    my ($n, $path, $body, %o) = @_;

    return json($n->post('/stream?' . query(root => 'root', path => $path, %o),
        $body, timeout => 60));
}

sub fails {
    my ($got, $errno, $error, $title) = @_;

    my %want = (rc => $ERROR, errno => $errno, error => $error);
    is_deeply { map { $_ => $got->{$_} } keys %want }, \%want, $title;
}

my $NONE  = 'No such file or directory';
my $LEFT  = 'not below its root';
my $DIR   = 'Is a directory';
my $NODIR = 'Not a directory';

# ---- each call

my $n = nginx();
my $fds;

$n->get('/hello');
call($n, 'stat', 'a');
$fds = open_files($n);

subtest 'read' => sub {
    is_deeply call($n, 'read', 'a'), { rc => 0, len => 6, data => "first\n" },
        'a file';
    is_deeply call($n, 'read', 'empty'), { rc => 0, len => 0, data => '' },
        'an empty one';
    is call($n, 'read', 'dir/c')->{data}, "third\n", 'one further down';
    is call($n, 'read', './dir//./c')->{data}, "third\n",
        '... on a longer path';
    is call($n, 'read', 'root/a', root => undef)->{data}, "first\n",
        'a path of the program is relative to the prefix';
    is call($n, 'read', $n->root . '/root/a', root => undef)->{data},
        "first\n", '... or whole';
    is call($n, 'read', 'a', root => $n->root . '/root')->{data}, "first\n",
        'and so is a root';
    is call($n, 'read', '/proc/self/stat', root => undef)->{rc}, 0,
        'a file that does not tell its size';

    fails(call($n, 'read', 'none'), ENOENT, qq{"none": $NONE}, 'no file');
    fails(call($n, 'read', 'a/b'), ENOTDIR, qq{"a/b": $NODIR},
        'a file on the way');
    fails(call($n, 'read', 'dir'), EISDIR, qq{"dir": $DIR}, 'a directory');
    fails(call($n, 'read', '.'), EISDIR, qq{".": $DIR}, 'the root itself');
    fails(call($n, 'read', 'a/'), ENOTDIR, qq{"a/": $NODIR},
        'a file that is said to be a directory');
    fails(call($n, 'read', 'a', max => 5), EFBIG,
        '"a": larger than 5 bytes', 'more than is allowed');
    is call($n, 'read', 'a', max => 6)->{rc}, 0, '... and just that';
    is call($n, 'read', 'empty', max => 0)->{rc}, 0, '... of nothing, too';
    fails(call($n, 'read', '/proc/self/stat', root => undef, max => 5), EFBIG,
        '"/proc/self/stat": larger than 5 bytes', '... without a size');

    fails(call($n, 'read', 'a', root => 'none'), 0,
        'the root "' . $n->root . qq{/none": $NONE}, 'no root');
    fails(call($n, 'read', 'a', root => 'root/a'), 0,
        'the root "' . $n->root . qq{/root/a": $NODIR}, 'a file for a root');
    fails(call($n, 'read', 'a', root => 'NULL'), 0,
        'await_file_read() has no root', 'a root that is not set');
    fails(call($n, 'read', 'a', root => ''), 0,
        'await_file_read() has no root', 'an empty one');
    fails(call($n, 'read', undef), 0, 'await_file_read() has no path',
        'no path');
    fails(call($n, 'read', ''), ENOENT, qq{"": $NONE}, 'an empty path');
    fails(call($n, 'read', '', root => undef), ENOENT, qq{"": $NONE},
        '... of the program');
    fails(call($n, 'read', "n\n\x7f\e[1m"), ENOENT, qq{"n???[1m": $NONE},
        'control characters are not repeated');

    my $text = 'nginx' x (4 * 1024 * 1024);
    put($n, 'root/large', $text);
    my $r = $n->get('/raw?root=root&path=large', timeout => 60);
    ok $r->body eq $text, '20 MB';
    unlink $n->root . '/root/large';
};


subtest 'names that are too long' => sub {
    my $name  = 'n' x 300;
    my $path  = join '/', ('d' x 99) x 50;
    my $umlaut = "\xc3\xa4" x 127;

    for my $op (qw(read write append stat list remove rename mkdir rmdir)) {
        fails(call($n, $op, $name, to => 'x'), ENAMETOOLONG,
            '"' . 'n' x 90 . '...": File name too long', "$op: of 300");
        fails(call($n, $op, $path, to => 'x'), ENAMETOOLONG,
            '"' . substr($path, 0, 90) . '...": File name too long',
            '... a path of 5000');
    }

    fails(call($n, 'write', 'x', flags => $ATOMIC, root => undef,
        path => $path), ENAMETOOLONG, '"' . substr($n->root . "/$path", 0, 90)
        . '...": File name too long', '... of the program');

    is call($n, 'write', $umlaut, flags => $ATOMIC, body => 'x')->{rc}, 0,
        '254 bytes are a name';
    is get($n, "root/$umlaut"), 'x', '... that is there';
    fails(call($n, 'stat', "$umlaut/x"), ENOTDIR, '"' . "\x{e4}" x 45
        . "...\": $NODIR", '... which is cut between characters');
    is call($n, 'remove', $umlaut)->{rc}, 0, '... and removed';
    is all($n, 'root'), 'a b dir empty', 'nothing else came into being';
};


for my $flags (0, $ATOMIC) {
    my $how = $flags ? 'atomically' : 'in place';

    subtest "write $how" => sub {
        my %f = (flags => $flags);

        is call($n, 'write', 'w', %f, body => 'one')->{rc}, 0, 'a new file';
        is get($n, 'root/w'), 'one', '... is there';
        is sprintf('%04o', call($n, 'stat', 'w')->{mode}), '0644',
            '... for everybody to read';
        chmod 0640, $n->root . '/root/w';
        is call($n, 'write', 'w', %f, body => '2')->{rc}, 0, 'is overwritten';
        is get($n, 'root/w'), '2', '... wholly';
        is sprintf('%04o', call($n, 'stat', 'w')->{mode}), '0640',
            '... and keeps its mode';
        is call($n, 'write', 'w', %f, body => '')->{rc}, 0, 'with nothing';
        is get($n, 'root/w'), '', '... too';

        my $text = "\0binary\xff" x (2 * 1024 * 1024);
        is call($n, 'write', 'w', %f, body => $text)->{rc}, 0, '16 MB';
        ok get($n, 'root/w') eq $text, '... are the same';

        my %x = (flags => $flags | $EXCLUSIVE);
        fails(call($n, 'write', 'w', %x, body => '3'), EEXIST,
            '"w": File exists', 'not if it is there');
        ok get($n, 'root/w') eq $text, '... which stays';
        is call($n, 'write', 'x', %x, body => '3')->{rc}, 0,
            '... but if it is not';
        is get($n, 'root/x'), '3', '...';

        fails(call($n, 'write', 'dir', %f), EISDIR, qq{"dir": $DIR},
            'a directory');
        fails(call($n, 'write', 'dir/', %f), EISDIR, qq{"dir/": $DIR},
            '... with a slash');
        fails(call($n, 'write', 'new/', %f), EISDIR, qq{"new/": $DIR},
            'a slash after what is not there');
        fails(call($n, 'write', '.', %f), EISDIR, qq{".": $DIR}, 'the root');
        fails(call($n, 'write', 'none/x', %f), ENOENT, qq{"none/x": $NONE},
            'in a directory that is not there');
        fails(call($n, 'write', 'a/x', %f), ENOTDIR, qq{"a/x": $NODIR},
            'in a file');

        symlink 'a', $n->root . '/root/link';
        is call($n, 'write', 'link', %f, body => '4')->{rc}, 0,
            'a symbolic link';
        is get($n, 'root/link'), '4', '... has it';
        is get($n, 'root/a'), $flags ? "first\n" : '4',
            $flags ? '... and not what it was to' : '... and what it is to';
        put($n, 'root/a', "first\n");

        call($n, 'remove', $_) for qw(w x link);
        is all($n, 'root'), 'a b dir empty', 'nothing is left';
    };
}


subtest 'append' => sub {
    is call($n, 'append', 'log', body => 'one ')->{rc}, 0, 'a new file';
    is call($n, 'append', 'log', body => 'two')->{rc}, 0, 'an old one';
    is call($n, 'append', 'log')->{rc}, 0, 'nothing';
    is get($n, 'root/log'), 'one two', '... one after another';
    fails(call($n, 'append', 'dir'), EISDIR, qq{"dir": $DIR}, 'a directory');

    my @c = map { my $i = $_; my $line = (chr 97 + $i % 26) x 5000 . "\n";
        $n->connect(timeout => 30)->send_request('POST',
            '/run?op=append&root=root&path=many', body => $line) } 0 .. 59;
    is join('', map { json($_->response)->{rc} } @c), '0' x 60,
        'many at once';
    my @lines = split /\n/, get($n, 'root/many');
    is scalar(grep { /^([a-z])\1{4999}$/ } @lines), 60, '... each in one piece';

    call($n, 'remove', $_) for qw(log many);
};


subtest 'stat' => sub {
    my $s = call($n, 'stat', 'a');
    my @s = stat $n->root . '/root/a';
    is $s->{bytes}, 6, 'the size';
    is $s->{type}, 1, '... the kind';
    is $s->{mode}, $s[2] & 07777, '... the mode';
    is int($s->{mtime} / 1000), $s[9], '... the time, in ms';
    ok $s->{size} > 16, '... of a struct that tells its size';
    is call($n, 'stat', $_)->{type}, 2, "a directory: $_" for 'dir', 'dir/', '.';
    fails(call($n, 'stat', 'none'), ENOENT, qq{"none": $NONE}, 'nothing');
    POSIX::mkfifo($n->root . '/root/fifo', 0666);
    is call($n, 'stat', 'fifo')->{type}, 4, 'something else';
    unlink $n->root . '/root/fifo';
};


subtest 'list' => sub {
    symlink '/etc/passwd', $n->root . '/root/link';
    put($n, 'root/.async-0123456789abcdef', 'half');
    is_deeply [map { [@$_[0 .. 3]] } @{ call($n, 'list', '.')->{entries} }],
        [['a', 1, 6, JSON::PP::true], ['b', 1, 7, JSON::PP::true],
         ['dir', 2, (stat $n->root . '/root/dir')[7], JSON::PP::true],
         ['empty', 1, 0, JSON::PP::true], ['link', 3, 11, JSON::PP::true]],
        'by name, with kind, size and time; without what is being written';
    unlink $n->root . "/root/$_" for qw(link .async-0123456789abcdef);

    is_deeply [map { $_->[0] } @{ call($n, 'list', 'dir/')->{entries} }],
        ['c'], 'a directory in it';
    is call($n, 'mkdir', 'none')->{rc}, 0, 'a new one';
    is_deeply call($n, 'list', 'none'), { rc => 0, entries => [] },
        '... which is empty';
    is call($n, 'rmdir', 'none')->{rc}, 0, '... and removed';

    fails(call($n, 'list', 'a'), ENOTDIR, qq{"a": $NODIR}, 'a file');
    fails(call($n, 'list', 'none'), ENOENT, qq{"none": $NONE}, 'nothing');
    is call($n, 'list', '.', max => 4)->{rc}, 0, 'as many as are allowed';
    fails(call($n, 'list', '.', max => 3), EFBIG, '".": more than 3 entries',
        '... or one more');

    mkdir $n->root . '/root/many', 0777;
    put($n, sprintf('root/many/%s%05d', 'x' x 100, $_ * 7 % 3000), '')
        for 1 .. 3000;
    is_deeply [map { $_->[0] } @{ call($n, 'list', 'many')->{entries} }],
        [map { sprintf '%s%05d', 'x' x 100, $_ } 0 .. 2999], '3000 of them';
    File::Path::remove_tree($n->root . '/root/many');
};


subtest 'remove, rename, mkdir, rmdir' => sub {
    put($n, 'root/x', 'x');
    is call($n, 'rename', 'x', to => 'dir/y')->{rc}, 0, 'renamed';
    is get($n, 'root/dir/y') . there($n, 'root/x'), 'x0', '... and moved';
    is call($n, 'rename', 'dir/y', to => 'dir/c')->{rc}, 0, 'over another';
    is get($n, 'root/dir/c'), 'x', '... which it replaces';
    put($n, 'root/dir/c', "third\n");

    fails(call($n, 'rename', 'none', to => 'x'), ENOENT, qq{"none": $NONE},
        'what is not there');
    fails(call($n, 'rename', 'a', to => 'none/x'), ENOENT,
        qq{"none/x": $NONE}, 'to where nothing is');
    fails(call($n, 'rename', 'a', to => 'dir'), EISDIR, qq{"a": $DIR},
        'a file to a directory');
    fails(call($n, 'rename', 'a'), 0, 'await_file_rename() has no path',
        'to nothing');

    is call($n, 'mkdir', 'new')->{rc}, 0, 'a directory';
    is +(stat $n->root . '/root/new')[2] & 07777, 0755, '... and its mode';
    fails(call($n, 'mkdir', 'new/'), EEXIST, '"new/": File exists', 'twice');
    fails(call($n, 'mkdir', 'x/y'), ENOENT, qq{"x/y": $NONE}, 'in nothing');
    is call($n, 'rename', 'new', to => 'newer')->{rc}, 0, '... is renamed';
    fails(call($n, 'remove', 'newer'), EISDIR, qq{"newer": $DIR},
        '... is no file to be removed');
    is call($n, 'rmdir', 'newer/')->{rc}, 0, '... is removed';
    fails(call($n, 'rmdir', 'dir'), ENOTEMPTY, '"dir": Directory not empty',
        'not if something is in it');
    fails(call($n, 'rmdir', 'a'), ENOTDIR, qq{"a": $NODIR}, 'no file either');
    fails(call($n, 'remove', 'none'), ENOENT, qq{"none": $NONE}, 'nothing');

    symlink 'a', $n->root . '/root/link';
    is call($n, 'remove', 'link')->{rc}, 0, 'a symbolic link';
    is get($n, 'root/a'), "first\n", '... and not what it is to';
};


subtest 'no regular files' => sub {
    POSIX::mkfifo($n->root . '/root/fifo', 0666);
    chmod 0666, $n->root . '/root/fifo';
    my $why = '"fifo": no regular file';

    fails(call($n, 'read', 'fifo'), ENXIO, $why, 'a FIFO is not read');
    fails(call($n, 'append', 'fifo', body => 'x'), ENXIO, $why, '... appended');
    fails(call($n, 'write', 'fifo', body => 'x', flags => $_), ENXIO, $why,
        '... written') for 0, $ATOMIC;
    ok there($n, 'root/fifo'), '... and stays';
    fails(stream($n, 'fifo', 'x'), ENXIO, $why, '... opened');
    fails(call($n, 'list', 'fifo'), ENOTDIR, qq{"fifo": $NODIR}, '... listed');

    # with a reader it would be opened
    sysopen my $fifo, $n->root . '/root/fifo',
        Fcntl::O_RDWR() | Fcntl::O_NONBLOCK();
    fails(call($n, 'write', 'fifo', body => 'x'), ENXIO, $why,
        '... also with a reader');
    is sysread($fifo, my $byte, 1), undef, '... who gets nothing';
    unlink $n->root . '/root/fifo';

    fails(call($n, 'read', '/dev/null', root => undef), ENXIO,
        '"/dev/null": no regular file', 'a device');
    fails(call($n, 'write', '/dev/full', root => undef, body => 'x'), ENXIO,
        '"/dev/full": no regular file', '... to be written');
};


# ---- paths that would leave the root

# What a link may do is the kernel's business: without openat2() none is followed.
sub escapes {
    my ($n, $openat2) = @_;

    my $root = $n->root . '/root';

    symlink '../out',              "$root/out";
    symlink '../out/secret',       "$root/to-secret";
    symlink $n->root . '/out',     "$root/whole";
    symlink $n->root . '/root/a',  "$root/whole-inside";
    symlink '/proc/self/root',     "$root/magic";
    symlink 'dir/../../out',       "$root/winding";
    symlink 'dir',                 "$root/inside";
    symlink '../a',                "$root/dir/up";
    symlink '../../out/secret',    "$root/dir/down";
    symlink 'none',                "$root/nowhere";
    symlink '../out/new',          "$root/to-new";
    symlink 'loop',                "$root/loop";

    my $left = qr/not below its root/;
    my $none = qr/not below its root|Too many levels|Not a directory/;

    for my $path ('../out/secret', '..', 'dir/../../out/secret', 'dir/..',
        'dir/../a', '/etc/passwd', '//etc/passwd', '/', "$root/a",
        './../out/secret', 'dir/./../../out/secret', '../root/a', '../')
    {
        for my $op (qw(read write append stat list remove rename mkdir rmdir)) {
            like call($n, $op, $path, to => 'x', body => 'x')->{error}, $left,
                "$op $path";
        }

        like call($n, 'write', $path, flags => $_, body => 'x')->{error},
            $left, "write $path, flags $_" for $ATOMIC, $EXCLUSIVE;
        like call($n, 'rename', 'a', to => $path)->{error}, $left,
            "rename to $path";
        like stream($n, $path, 'x')->{error}, $left, "open $path";
    }

    for my $path ('out/secret', 'to-secret', 'whole/secret', 'whole-inside',
        'magic/etc/passwd', 'winding/secret', 'dir/down', 'inside/down')
    {
        for my $op (qw(read append stat list)) {
            like call($n, $op, $path, body => 'x')->{error}, $none,
                "$op $path";
        }

        like stream($n, $path, 'x')->{error}, $none, "open $path";
        like call($n, 'write', $path, body => 'x')->{error}, $none,
            "write $path";
    }

    for my $path ('out/new', 'whole/new', 'magic/tmp/new', 'winding/new') {

        for my $op (qw(write append mkdir rmdir remove rename)) {
            like call($n, $op, $path, to => 'x', body => 'x')->{error}, $none,
                "$op $path";
        }

        like call($n, 'write', $path, flags => $_, body => 'x')->{error},
            $none, "write $path, flags $_" for $ATOMIC, $EXCLUSIVE;
        like call($n, 'rename', 'a', to => $path)->{error}, $none,
            "rename to $path";
    }

    isnt call($n, 'write', 'to-new', body => 'x')->{rc}, 0,
        'a link to what is not there yet';
    isnt call($n, 'append', 'nowhere', body => 'x')->{rc}, 0, '... nor inside';
    isnt call($n, 'read', 'loop')->{rc}, 0, 'a loop';
    is call($n, 'rename', 'to-secret', to => 'moved')->{rc}, 0,
        'a link itself is renamed';
    is call($n, 'remove', 'moved')->{rc}, 0, '... and removed';

    for my $path ('self/cwd/nginx.conf', 'self/root/etc/passwd', 'self/exe',
        'self/fd/1')
    {
        like call($n, 'read', $path, root => '/proc')->{error}, $none,
            "magic of /proc: $path";
    }

    is get($n, 'out/secret'), "secret\n", 'what is outside is as it was';
    is all($n, 'out'), 'secret', '... and nothing is new there';
    is get($n, 'root/a'), "first\n", '... nor moved away';

    for my $path ('inside/c', 'dir/up') {
        my $r = call($n, 'read', $path);
        $openat2 ? is $r->{rc}, 0, "a link inside is followed: $path"
            : like $r->{error}, $none, "a link inside is not followed: $path";
    }

    unlink map { "$root/$_" } qw(out to-secret whole whole-inside magic winding
        inside dir/up dir/down nowhere to-new loop);
    is all($n, 'root'), 'a b dir empty', 'nothing is left';
}

subtest 'paths that would leave the root' => sub { escapes($n, 1) };

# A directory that is exchanged for a link while paths through it are looked up.
sub races {
    my ($n, $title) = @_;

    my $root = $n->root . '/root';

    mkdir "$root/real";
    put($n, 'root/real/secret', "mine\n");
    symlink '../out', "$root/evil";

    my $pid = fork() // die "fork: $!";

    if ($pid == 0) {
        for (;;) {
            rename "$root/real", "$root/swap";
            rename "$root/evil", "$root/real";
            rename "$root/real", "$root/evil";
            rename "$root/swap", "$root/real";
        }
    }

    my %seen;
    my $end = time + 2;

    while (time < $end) {
        my $r = call($n, 'read', 'real/secret');
        $seen{$r->{data} // $r->{error}}++;
    }

    kill 'KILL', $pid;
    waitpid $pid, 0;
    File::Path::remove_tree(map { "$root/$_" } qw(real swap));
    unlink map { "$root/$_" } qw(real swap evil);

    ok $seen{"mine\n"}, "$title: a directory is there at times";
    ok !$seen{"secret\n"}, '... and never another in its place'
        or diag explain \%seen;
}

races($n, 'a link that comes and goes');

# ---- what cannot be done is undone

subtest 'files that may not be read or written' => sub {
    plan skip_all => 'the workers are root'
        if $> == 0 && NginxAsync::Env::worker_user() =~ /^root\b/;

    chmod 0, map { $n->root . "/root/$_" } qw(b);
    fails(call($n, 'read', 'b'), EACCES, '"b": Permission denied', 'read');
    fails(call($n, 'write', 'b', body => 'x'), EACCES,
        '"b": Permission denied', 'write');
    fails(call($n, 'append', 'b', body => 'x'), EACCES,
        '"b": Permission denied', 'append');
    chmod 0644, $n->root . '/root/b';
    is get($n, 'root/b'), "second\n", '... it is as it was';

    chmod 0555, $n->root . '/root/dir';
    for (0, $ATOMIC, $EXCLUSIVE, $ATOMIC | $EXCLUSIVE) {
        fails(call($n, 'write', 'dir/x', flags => $_, body => 'x'), EACCES,
            '"dir/x": Permission denied', "a directory, flags $_");
    }
    fails(call($n, $_, 'dir/c', to => 'c'), EACCES,
        '"dir/c": Permission denied', "... $_") for qw(remove rename);
    chmod 0, $n->root . '/root/dir';
    fails(call($n, $_, 'dir/c', to => 'c'), EACCES,
        '"dir/c": Permission denied', "a closed one, $_")
        for qw(read write stat);
    fails(call($n, 'list', 'dir'), EACCES, '"dir": Permission denied',
        '... list');
    chmod 0777, $n->root . '/root/dir';
};


# What is to be written does not fit: $errno says so.
sub full {
    my ($n, $root, $errno, $why, $large) = @_;

    my %o = (root => $root, body => 'x' x $large);

    for (0, $ATOMIC, $EXCLUSIVE, $ATOMIC | $EXCLUSIVE) {
        fails(call($n, 'write', 'w', %o, flags => $_), $errno, qq{"w": $why},
            "a new file, flags $_");
        is all($n, $root), 'old', '... is removed';
    }

    fails(call($n, 'append', 'w', %o), $errno, qq{"w": $why}, '... appended');
    is all($n, $root), 'old', '... is removed';

    fails(call($n, 'write', 'old', %o, flags => $ATOMIC), $errno,
        qq{"old": $why}, 'an old one, atomically');
    ok get($n, "$root/old") eq 'old text', '... is as it was';
    fails(call($n, 'append', 'old', %o), $errno, qq{"old": $why},
        '... appended to');
    ok get($n, "$root/old") eq 'old text', '... is as it was';

    for (0, $ATOMIC, $EXCLUSIVE) {
        my $r = stream($n, 'w', 'x' x 100_000, root => $root, n => 100,
            flags => $WRITE | $_);
        fails($r, $errno, qq{"w": $why}, "in pieces, flags $_");
        is $r->{at}, 'put', '... one of which is too much';
        ok $n->wait_until(sub { all($n, $root) eq 'old' }), '... is removed';

        $r = stream($n, 'w', 'x' x 100_000, root => $root, n => 100,
            flags => $WRITE | $_, ignore => 1);
        is "$r->{at} $r->{rc} $r->{error}",
            'close -1 "w": not all of it could be written',
            'closed all the same';
        is all($n, $root), 'old', '... is removed';
    }

    my $r = stream($n, 'old', 'x' x 100_000, root => $root, n => 100,
        flags => $APPEND);
    fails($r, $errno, qq{"old": $why}, 'appended in pieces');
    my $size = -s $n->root . "/$root/old";
    is +($size - 8) % 100_000, 0, '... which are whole ones';

    fails(call($n, 'write', 'old', %o), $errno, qq{"old": $why},
        'an old one in place');
    ok get($n, "$root/old") eq '', '... is lost, and empty';
    is all($n, $root), 'old', 'nothing is left';
}


subtest 'a full disk' => sub {
    mkdir $n->root . '/full';
    plan skip_all => 'only root has mounts of its own' if $> != 0;
    plan skip_all => 'no file system can be mounted' if !$mounts
        || system('mount -t tmpfs -o size=1m,mode=777 none ' . $n->root
            . '/full 2> /dev/null') != 0;

    put($n, 'full/old', 'old text');
    chmod 0666, $n->root . '/full/old';

    full($n, 'full', ENOSPC, 'No space left on device', 2_000_000);

    put($n, 'full/x', 'x');
    fails(call($n, 'rename', 'full/x', root => undef, to => 'root/x'),
        POSIX::EXDEV(), '"' . $n->root . '/full/x": the other path is on '
        . 'another file system', 'a rename over file systems');

    ok $n->wait_until(sub { open_files($n) == $fds }, 10), 'nothing is open';
    is system('umount ' . $n->root . '/full'), 0, '... nor in use';
};


subtest 'a bound of the system' => sub {
    my $worker = $n->worker;

    # only the same user may, or one with a right that root may lack
    my @as;

    if ($> == 0) {
        my ($uid, $gid) = (getpwnam((split ' ', NginxAsync::Env::worker_user())
            [0]))[2, 3];
        @as = ('setpriv', "--reuid=$uid", "--regid=$gid", '--clear-groups');
    }

    my $limit = sub { return NginxAsync::run(@as, 'prlimit', '--pid', $worker,
        "--fsize=$_[0]:") . $? };

    my $out = $limit->(1_500_000);
    plan skip_all => "no prlimit: $out" if $out ne '0';

    mkdir $n->root . '/small';
    chmod 0777, $n->root . '/small';
    put($n, 'small/old', 'old text');
    chmod 0666, $n->root . '/small/old';

    full($n, 'small', EFBIG, 'File too large', 2_000_000);

    is $limit->('unlimited'), '0', '... which is taken back';
    is $n->worker, $worker, 'it was the same worker';
};


# ---- at once

is_deeply json($n->get('/both?root=root')), ["first\n", "second\n", undef],
    'two at once';
rename $n->root . '/root/b', $n->root . '/root/bb';
is_deeply json($n->get('/both?root=root')), ["first\n", '', qq{"b": $NONE}],
    '... of which one fails';
rename $n->root . '/root/bb', $n->root . '/root/b';

subtest 'a file that is replaced while it is read' => sub {
    my $c = $n->connect(timeout => 120)->send_request('GET',
        '/churn?root=root&path=t&n=300');
    my ($read, $torn) = (0, 0);

    my $whole = sub {
        my $letter = ord(substr $_[0], 0, 1) - 97;
        return $_[0] eq chr(97 + $letter) x (100_000 + 7000 * $letter);
    };

    $n->wait_until(sub { there($n, 'root/t') });

    until (IO::Select->new($c->socket)->can_read(0)) {
        $torn++ if !$whole->(get($n, 'root/t'));

        if (++$read % 5 == 0) {
            $torn++ if !$whole->($n->get('/raw?root=root&path=t')->body);
        }
    }

    is json($c->response)->{rc}, 0, 'it is written 300 times';
    cmp_ok $read, '>', 5, "and read ($read times)";
    is $torn, 0, '... always as a whole';
    call($n, 'remove', 't');
    is all($n, 'root'), 'a b dir empty', 'nothing is left';
};


{
    my @c = map { $n->connect(timeout => 30)->send_request('POST',
        '/run?op=write&root=root&path=x&flags=' . ($ATOMIC | $EXCLUSIVE),
        body => $_) } 'a' .. 'z';
    my @rc = sort { $b <=> $a } map { json($_->response)->{rc} } @c;
    is "@rc", join(' ', 0, (-1) x 25), 'of many who make a file one does';
    call($n, 'remove', 'x');
    is all($n, 'root'), 'a b dir empty', '... and nothing is left of the others';
}

# ---- in pieces

for ($WRITE, $WRITE | $ATOMIC, $WRITE | $EXCLUSIVE,
    $WRITE | $ATOMIC | $EXCLUSIVE, $APPEND)
{
    my $new = !($_ & $EXCLUSIVE);

    is_deeply stream($n, 's', 'abc', flags => $_, n => 1000),
        { rc => 0, at => 'close' }, "a file in pieces, flags $_";
    is get($n, 'root/s'), 'abc' x 1000, '... is there';
    is stream($n, 's', 'def', flags => $_)->{rc}, $new ? 0 : $ERROR,
        $new ? '... is written again' : '... is there';
    is get($n, 'root/s'), $_ & $APPEND ? 'abc' x 1000 . 'def'
        : $new ? 'def' : 'abc' x 1000, '...';

    put($n, 'root/s', 'old');
    stream($n, 's', 'abc', flags => $_, close => 0);
    is get($n, 'root/s'), $_ & $APPEND ? 'oldabc' : $_ == $WRITE ? 'abc'
        : 'old', '... and not closed';

    unlink $n->root . '/root/s';
    stream($n, 's', 'abc', flags => $_, close => 0);
    my $kept = $_ & $APPEND ? 'a b dir empty s' : 'a b dir empty';
    ok $n->wait_until(sub { all($n, 'root') eq $kept }),
        '... new and not closed: ' . ($_ & $APPEND ? 'stays' : 'is removed')
        or diag all($n, 'root');
    unlink $n->root . '/root/s';
}

{
    put($n, 'root/from', join '', map { "$_\n" } 1 .. 20000);
    is_deeply json($n->get('/copy?root=root&path=from&to=dir/to')),
        { rc => 0, total => 108894 }, 'a file is copied in pieces';
    ok get($n, 'root/dir/to') eq get($n, 'root/from'), '... and is the same';
    is json($n->get('/copy?root=root&path=empty&to=dir/to'))->{total}, 0,
        '... an empty one, too';
    call($n, 'remove', $_) for qw(from dir/to);
}

my $mode = 'await_file_open() does not take the flags';
is_deeply json($n->get('/misuse?root=root&path=a')), [
    [-1, 'await_file_put(): the file is open for reading'],
    [0, $BUSY, 'a thread works on the file yet'],
    [0, undef], '', [0, undef],
    [-1, 'the file is closed'], [-1, 'the file is closed'],
    [-1, "$mode 0"], [-1, "$mode 9"], [-1, "$mode 6"],
    [-1, 'await_file_write() does not know the flags 4'],
    [-1, 'the file is closed']], 'what is done wrong with a file is said';

{
    my $r = json($n->get('/lacks?root=root&path=half'));
    is_deeply [@$r{qw(put rc)}], [$TIMEOUT, $ERROR],
        'a file that lacks a piece, refused before it began, is not closed well';
    is $r->{error}, '"half": not all of it could be written', '... says why';
    ok !there($n, 'root/half'), '... and is not there';
}

{
    put($n, 'root/large', 'x' x 1_000_000);
    $n->get('/scopes?root=root&path=large&n=50', timeout => 60);
    my $memory = $n->memory_of_worker;
    is json($n->get('/scopes?root=root&path=large&n=500', timeout => 60))->{rc},
        0, 'files and memory of a scope';
    SKIP: {
        skip 'ASan keeps memory', 1 if NginxAsync::Env::asan();
        cmp_ok $n->memory_of_worker - $memory, '<', 20_000_000,
            '... go with it';
    }
    call($n, 'remove', 'large');
}

ok $n->wait_until(sub { open_files($n) == $fds }, 10),
    'nothing has been left open' or diag join "\n", $n->open_fds;
is all($n, 'root'), 'a b dir empty', '... nor lying about';
ok $n->stop, 'and no alert';

# ---- times, cancels, bounds: one thread, which is held

{
    my $n = nginx(%one);

    sub hold {
        my ($ms) = @_;
        my $since = $n->mark;
        my $c = $n->connect(timeout => 60)->send_request('GET', "/hold?ms=$ms",
            close => 1);
        $n->wait_for_log(qr/<held>/, 20, $since);
        return $c;
    }

    call($n, 'stat', 'a');
    my $fds = open_files($n);

    my $c = hold(1000);
    my $r = call($n, 'read', 'a', deadline => 50);
    is $r->{rc}, $TIMEOUT, 'a deadline while the thread is held';
    like $r->{error}, qr/^the 50 ms of ASYNC_DEADLINE at .* have passed$/,
        '... and its cause';
    is call($n, 'write', 'w', body => 'x', deadline => 50)->{rc}, $TIMEOUT,
        '... of what is to be written';
    is $c->response->status, 200, '... which goes on';
    is call($n, 'read', 'a')->{rc}, 0, '... and the next is served';
    ok !there($n, 'root/w'), '... but not what nobody waited for';

    $c = hold(1000);
    my $d = $n->connect->send_request('POST',
        '/run?op=write&root=root&path=w', body => 'x');
    $n->get('/hello');
    $r = call($n, 'read', 'a');
    is $r->{rc}, $BUSY, 'a full queue';
    like $r->{error}, qr/^the queue of the thread pool "default" is full$/,
        '... and its cause';
    is $r->{errno}, 0, '... which is none of the system';
    my $since = $n->mark;
    $d->reset;
    ok $n->wait_until(sub { call($n, 'read', 'a')->{rc} == 0 }, 20),
        'a client that leaves gives its place back';
    $c->response;
    ok !there($n, 'root/w'), '... and writes nothing';

    for my $flags ($WRITE, $WRITE | $ATOMIC) {
        $since = $n->mark;
        $d = $n->connect->send_request('POST',
            "/stream?root=root&path=s&flags=$flags&ms=60000", body => 'x');
        ok $n->wait_for_log(qr/<written>/, 20, $since), 'a file is open';
        $c = hold(700);
        $d->reset;
        is $c->response->status, 200, '... while its task is cancelled';
        ok $n->wait_until(sub { all($n, 'root') eq 'a b dir empty' }, 20),
            '... is removed';
    }

    # the thread is in the middle of it
    my $text = 'x' x 30_000_000;
    for my $flags (0, $ATOMIC) {
        my %rc;
        for my $ms (1, 5, 10, 20, 40, 60, 80, 100, 150, 300, 600) {
            $rc{call($n, 'write', 'w', body => $text, flags => $flags,
                deadline => $ms)->{rc}}++;
            call($n, 'stat', 'a');
            my $names = all($n, 'root');
            my $size = (-s $n->root . '/root/w') // 0;
            ok $names eq 'a b dir empty'
                || $names eq 'a b dir empty w' && $size == length $text,
                "given up after $ms ms, flags $flags: nothing, or all"
                or diag "$names $size";
            unlink $n->root . '/root/w';
        }
        ok +(!grep { $_ ne 0 && $_ ne $TIMEOUT } keys %rc),
            '... ' . join ', ', map { "$_: $rc{$_}" } sort keys %rc;
    }

    put($n, 'root/large', $text);
    call($n, 'read', 'large', deadline => $_) for 1, 2, 5, 10;
    is call($n, 'read', 'a')->{rc}, 0, 'reads that are given up';
    unlink $n->root . '/root/large';

    ok $n->wait_until(sub { open_files($n) == $fds }, 10),
        'nothing has been left open' or diag join "\n", $n->open_fds;
    ok $n->stop, 'and no alert';
}

for my $signal (qw(QUIT TERM)) {
    my $n = nginx(http => 'async_shutdown_timeout 300ms;');
    my $since = $n->mark;
    my $c = $n->connect->send_request('POST', '/stream?root=root&path=s&flags='
        . ($WRITE | $ATOMIC) . '&ms=60000', body => 'x');
    ok $n->wait_for_log(qr/<written>/, 20, $since), "$signal while one is open";
    like all($n, 'root'), qr/^\.async-[0-9a-f]{16} a b/, '... with another name';
    $n->signal($signal);
    ok $n->wait_until(sub { !$n->running }, 20), '... the worker goes';
    is all($n, 'root'), 'a b dir empty', '... and nothing is left';
    $n->stop;
}

# A library that stands before the system's calls; undef: none can be compiled.
sub shim {
    my ($text) = @_;

    my $dir = NginxAsync::Guard::temp_dir('shim');
    NginxAsync::Env::spew("$dir/shim.c", $text);

    my $out = NginxAsync::run(qw(gcc -O1 -shared -fPIC), "$dir/shim.c", '-o',
        "$dir/shim.so", '-ldl');

    if ($?) {
        diag $out;
        return;
    }

    chmod 0755, "$dir/shim.so";

    return "$dir/shim.so";
}

# ---- what reaches the disk, in which order

SKIP: {
    my $shim = shim(<<'EOF_C');
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void told(const char *what)
{
    int  fd = open(getenv("SHIM_LOG"), O_WRONLY|O_APPEND);

    if (write(fd, what, strlen(what)) < 0) { /* void */ }
    close(fd);
}

int fsync(int fd)
{
    struct stat  st;

    fstat(fd, &st);
    told(S_ISDIR(st.st_mode) ? "directory " : "file ");

    if (S_ISDIR(st.st_mode) && getenv("SHIM_ERRNO")) {
        errno = atoi(getenv("SHIM_ERRNO"));
        return -1;
    }

    return syscall(SYS_fsync, fd);
}

int renameat(int from, const char *name, int to, const char *new_name)
{
    told("rename ");
    return syscall(SYS_renameat2, from, name, to, new_name, 0);
}

int linkat(int from, const char *name, int to, const char *new_name, int flags)
{
    told("link ");
    return syscall(SYS_linkat, from, name, to, new_name, flags);
}
EOF_C
    skip 'the shim does not compile', 1 if !$shim;

    my $dir = NginxAsync::Guard::temp_dir('told');

    for my $errno ('', POSIX::EINVAL(), POSIX::EIO()) {
        my $told = "$dir/told$errno";
        my $n = nginx(env => { LD_PRELOAD => $shim, SHIM_LOG => $told,
            length $errno ? (SHIM_ERRNO => $errno) : () },
            env_names => ['SHIM_LOG', 'SHIM_ERRNO']);

        my $writes = sub {
            my ($path, $flags) = @_;
            NginxAsync::Env::spew($told, '');
            chmod 0666, $told;
            return call($n, 'write', $path, body => 'new', flags => $flags);
        };

        if ($errno eq POSIX::EIO()) {
            fails($writes->('a', $ATOMIC), $errno, '"a": it is there, but its '
                . 'directory could not be synchronized',
                'a directory that cannot be synchronized');
            is get($n, 'root/a'), 'new', '... the file has been replaced';
            is all($n, 'root'), 'a b dir empty', '... and nothing is left';

        } else {
            my $why = $errno ? 'a file system that does not synchronize directories, '
                : '';
            is $writes->('a', $ATOMIC)->{rc}, 0, "${why}an atomic write";
            is NginxAsync::Env::slurp($told), 'file rename directory ',
                '... the data, the name, the directory';
            is $writes->('x', $ATOMIC | $EXCLUSIVE)->{rc}, 0, '... of a new one';
            is NginxAsync::Env::slurp($told), 'file link directory ', '... too';
            is $writes->('b', 0)->{rc}, 0, '... another write';
            is NginxAsync::Env::slurp($told), '', '... is the kernel\'s business';
        }

        $n->stop;
    }
}

subtest 'a directory that may not be read' => sub {
    plan skip_all => 'the workers are root'
        if $> == 0 && NginxAsync::Env::worker_user() =~ /^root\b/;

    my $n = nginx();

    chmod 0333, $n->root . '/root/dir';
    is call($n, 'write', 'dir/c', body => 'new', flags => $_)->{rc}, 0,
        "is written to, flags $_" for 0, $ATOMIC;
    chmod 0755, $n->root . '/root/dir';
    is get($n, 'root/dir/c'), 'new', '... and has it';
    $n->stop;
};

# ---- without openat2(): as of an old kernel, and as of a sandbox

SKIP: {
    my $shim = shim(<<'EOF_C');
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>

long syscall(long n, long a, long b, long c, long d, long e, long f)
{
    static long (*real)(long, ...);

    if (n == SYS_openat2) {
        errno = getenv("NO_OPENAT2_EPERM") ? EPERM : ENOSYS;
        return -1;
    }

    if (real == NULL) {
        real = (long (*)(long, ...)) dlsym(RTLD_NEXT, "syscall");
    }

    return real(n, a, b, c, d, e, f);
}
EOF_C
    skip 'the shim does not compile', 1 if !$shim;

    for my $env ({}, { NO_OPENAT2_EPERM => 1 }) {
        my $n = nginx(env => { LD_PRELOAD => $shim, %$env },
            env_names => ['NO_OPENAT2_EPERM']);
        my $how = %$env ? 'EPERM' : 'ENOSYS';

        subtest "without openat2(), $how" => sub {
            call($n, 'stat', 'a');
            my $fds = open_files($n);

            is call($n, 'read', 'dir/c')->{data}, "third\n", 'a file is read';
            is call($n, 'read', './/dir//c')->{data}, "third\n",
                '... on a longer path';
            is call($n, 'write', 'dir/w', body => 'x', flags => $_)->{rc}, 0,
                '... and written' for 0, $ATOMIC;
            is call($n, 'remove', 'dir/w')->{rc}, 0, '... and removed';
            is scalar @{ call($n, 'list', $_)->{entries} }, 4, "list $_"
                for '.', './';
            is scalar @{ call($n, 'list', 'dir/')->{entries} }, 1, 'list dir/';
            is call($n, 'stat', 'a')->{bytes}, 6, 'stat';
            fails(call($n, 'read', 'a/'), ENOTDIR, qq{"a/": $NODIR},
                'a file that is said to be a directory');
            fails(call($n, 'read', 'none/x'), ENOENT, qq{"none/x": $NONE},
                'nothing');
            fails(call($n, 'read', join '/', ('d' x 99) x 50), ENAMETOOLONG,
                '"' . substr(join('/', ('d' x 99) x 50), 0, 90)
                . '...": File name too long', 'a path of 5000');
            fails(call($n, 'read', 'dir/' . 'n' x 256 . '/x'), ENAMETOOLONG,
                '"dir/' . 'n' x 86 . '...": File name too long', 'a long name');

            escapes($n, 0);
            races($n, $how);

            ok $n->wait_until(sub { open_files($n) == $fds }, 10),
                'nothing has been left open' or diag join "\n", $n->open_fds;
        };

        $n->stop;
    }
}

# ---- examples/files

subtest 'examples/files' => sub {
    my $top = "$NginxAsync::Env::Root/examples/files";
    my $so = NginxAsync::Env::run_dir() . '/example-files.so';

    {
        local $ENV{ASAN} = NginxAsync::Env::asan() ? 1 : '';
        my $out = NginxAsync::run("$NginxAsync::Env::Root/util/async-cc",
            "$top/files.c", '-o', $so);
        is $?, 0, 'it compiles' or return diag $out;
        chmod 0755, $so;
    }

    my $conf = NginxAsync::Env::slurp("$top/nginx.conf");
    my %change = ('load_module  modules/ngx_http_async_module.so;' => '',
        '8000;' => '127.0.0.1:$TEST_NGINX_SERVER_PORT;', 'files.so;' => "$so;");
    $conf =~ s/(?<!async-cc )(?<! )\Q$_\E|(?<= )\Q$_\E/$change{$_}/
        for sort keys %change;

    my $n = NginxAsync->new(conf => $conf);
    mkdir $n->root . '/store';
    chmod 0777, $n->root . '/store';
    $n->start;

    my $url = 'http://127.0.0.1:' . $n->port(0);
    my $readme = NginxAsync::Env::slurp("$top/README.md");
    my $shown = 0;

    while ($readme =~ /^\$ (curl [^\n]*)\n((?:(?!\$ |```).*\n)*)/mg) {
        my ($command, $want) = ($1, $2);

        (my $run = $command) =~ s{http://127\.0\.0\.1:8000}{$url}g;
        my $out = NginxAsync::run('sh', '-c', "exec 2> /dev/null; $run");
        is $out =~ s/(?<=.)\n?\z/\n/r, $want, "README.md: $command";
        $shown++;
    }

    is $shown, 10, 'all that it shows';

    sub put_file {
        my ($n, $uri, $body, @headers) = @_;
        return $n->request('PUT', "/files/$uri", body => $body,
            headers => [@headers], timeout => 60)->status;
    }

    my $text = "\0\xff\r\n" x (2 * 1024 * 1024);
    is put_file($n, 'a/b/c/large', $text), 201, '8 MB, three folders down';
    ok $n->get('/files/a/b/c/large', timeout => 60)->body eq $text,
        '... come back';
    is $n->head('/files/a/b/c/large')->header('Content-Length'), length $text,
        '... HEAD, too';
    is $n->connect->send_request('PUT', '/files/x', headers =>
        ['Content-Length', 10 * 1024 * 1024 + 1])->response->status, 413,
        'too large';
    is put_file($n, 'empty', ''), 201, 'an empty file';
    is $n->get('/files/empty')->status, 200, '... is one';
    is put_file($n, 'a', 'x'), 409, 'a folder is no file';
    is put_file($n, 'empty/x', 'x'), 404, 'a file is no folder';
    is put_file($n, 'a/', 'x'), 409, 'a name is needed';
    is put_file($n, '', 'x'), 404, '... really';
    is put_file($n, 'n' x 300, 'x'), 414, 'a name that is too long';
    is $n->get('/files/' . 'n/' x 600)->status, 404, 'a long path';

    symlink '/etc', $n->root . '/store/etc';
    is $n->get('/files/etc/passwd')->status, 403, 'a link that leads out';
    is put_file($n, 'etc/x', 'x'), 403, '... to be written';
    is $n->request('DELETE', '/files/etc')->status, 204, '... is deleted';
    ok -d '/etc', '... and not what it is to';

    for ('/files/../etc/passwd', '/files/..%2fetc/passwd',
        '/files/%2e%2e/etc/passwd', '/files/..%2f..%2fetc/passwd',
        '/files//etc/passwd', '/files/a/..%00/b')
    {
        like $n->get($_)->status, qr/^40[034]$/, $_;
    }

    my @c = map { $n->connect(timeout => 30)->send_request('PUT',
        '/files/new/one', headers => ['If-None-Match', '*'], body => $_) }
        1 .. 20;
    is join(' ', sort map { $_->response->status } @c),
        join(' ', 201, (412) x 19), 'of twenty who put a new file one does';

    is $n->request('DELETE', '/files/new/one')->status, 204, 'deleted';
    is $n->request('DELETE', '/files/new/one')->status, 404, '... once';
    is $n->request('DELETE', '/files/new/')->status, 204, 'a folder';
    is $n->request('DELETE', '/files/new')->status, 404, '... once';
    is $n->get('/files/')->body =~ tr/{//, 3, 'what is left';

    $n->stop;
};

done_testing;
