#!/usr/bin/perl

# Files through threads, each call: read, written, appended to, listed, removed;
# nothing half written, also if many do it at once.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Errno qw(ENOENT ENAMETOOLONG EISDIR ENXIO ENOTDIR EEXIST ENOTEMPTY EFBIG);
use Fcntl ();
use File::Path ();
use IO::Select;
use JSON::PP ();
use POSIX ();
use Test::More;

use NginxAsync::Files;
use NginxAsync::Say qw(json);

my $n = nginx();
my $fds = fds($n);

# ---- each call

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

is_clean($n, $fds);
ok $n->stop, 'and no alert';

done_testing;
