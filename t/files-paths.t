#!/usr/bin/perl

# Paths that would leave their root, of links and by them, with openat2() and
# without; the kernel's word counts, also while links come and go.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Errno qw(ENOENT ENAMETOOLONG ENOTDIR);
use File::Path ();
use Test::More;

use NginxAsync::Files;

my $n = nginx();
my $fds = fds($n);

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

is_clean($n, $fds);
ok $n->stop, 'and no alert';

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
            my $fds = fds($n);

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

done_testing;
