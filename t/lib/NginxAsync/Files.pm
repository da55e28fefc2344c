package NginxAsync::Files;

=head1 NAME

NginxAsync::Files - a server with a store of files, for t/files*.t

=head1 SYNOPSIS

    use NginxAsync::Files;

    my $n   = nginx(threads => 1);
    my $fds = fds($n);

    is call($n, 'read', 'a')->{data}, "first\n", 'a file';
    is stream($n, 'x', 'abc', n => 2)->{rc}, 0, 'one in pieces';
    fails(call($n, 'read', 'none'), ENOENT, qq{"none": $NONE}, 'no file');

    is_clean($n, $fds);

=head1 DESCRIPTION

Below the prefix is the folder root, with the files a, b, empty and dir/c, and
beside it out, with what nobody shall see through root.  put, get, there and all
look at them from here; call and stream have the handlers of t/apps/files.c do
it.

=cut

use strict;
use warnings;

use Exporter qw(import);
use Test::More;

use NginxAsync;
use NginxAsync::Say qw(json);

our @EXPORT = qw(nginx put get there all open_files fds call stream fails
    is_clean shim $READ $WRITE $APPEND $ATOMIC $EXCLUSIVE $ERROR $TIMEOUT $BUSY
    $NONE $DIR $NODIR);

# flags, and codes, of ngx_async.h
our ($READ, $WRITE, $APPEND, $ATOMIC, $EXCLUSIVE) = (1, 2, 4, 8, 16);
our ($ERROR, $TIMEOUT, $BUSY) = (-1, -2, -5);

# causes of the system
our $NONE  = 'No such file or directory';
our $DIR   = 'Is a directory';
our $NODIR = 'Not a directory';

my @handlers = qw(run raw both stream copy misuse scopes lacks hold churn hello);

my $routes = join '', map { "location = /$_ { async_handler files:$_; }\n" }
    @handlers;

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

# ... when it has served, and looked at a file.
sub fds {
    my ($n) = @_;

    $n->get('/hello');
    call($n, 'stat', 'a');

    return scalar open_files($n);
}


sub there { my ($n, $name) = @_; return -e $n->root . "/$name" ? 1 : 0 }

# What is in a folder, hidden files too.
sub all {
    my ($n, $dir) = @_;

    opendir my $d, $n->root . "/$dir" or die "$dir: $!";

    return join ' ', sort grep { !/^\.\.?$/ } readdir $d;
}


sub escape { return $_[0] =~ s{([^\w./-])}{sprintf '%%%02X', ord $1}ger }

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

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is_deeply { map { $_ => $got->{$_} } keys %want }, \%want, $title;
}


# In the end the worker has so many files open as in the beginning, and the
# store is as it was.
sub is_clean {
    my ($n, $fds) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok $n->wait_until(sub { open_files($n) == $fds }, 10),
        'nothing has been left open' or diag join "\n", $n->open_fds;
    return is all($n, 'root'), 'a b dir empty', '... nor lying about';
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

1;
