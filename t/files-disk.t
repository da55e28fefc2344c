#!/usr/bin/perl

# What cannot be written is undone, on a full disk and past other bounds; and
# what reaches the disk in which order.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Errno qw(EACCES EFBIG ENOSPC);
use POSIX ();
use Test::More;

use NginxAsync;
use NginxAsync::Files;

# What is mounted below is seen by this test alone, and ends with it, also
# when it is killed.
if ($> == 0 && !$ENV{TEST_FILES_UNSHARED}
    && system('unshare -m true 2> /dev/null') == 0)
{
    local $ENV{TEST_FILES_UNSHARED} = 1;
    exec 'unshare', '-m', $^X, $0, @ARGV or die "unshare: $!";
}

my $mounts = delete $ENV{TEST_FILES_UNSHARED};

my $n = nginx();
my $fds = fds($n);

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

is_clean($n, $fds);
ok $n->stop, 'and no alert';

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

done_testing;
