package NginxAsync::Env;

=head1 NAME

NginxAsync::Env - what the environment says: binary, modules, apps, ports

=head1 VARIABLES

Names are those of Test::Nginx where it has one.

    TEST_NGINX_BINARY         the nginx to run              /usr/sbin/nginx
    TEST_NGINX_LOAD_MODULES   .so files, space-separated    build/plain's
    TEST_NGINX_APPS           folder with t/apps/*.so       built when asked
    TEST_NGINX_APPS_SOURCE    folder with the apps' sources t/apps
    TEST_NGINX_RUN_DIR        shared by the files of one run: compiled apps
    TEST_NGINX_TMPDIR         where temporary folders go    /tmp
    TEST_NGINX_NO_CLEAN       1: keep temporary folders
    TEST_NGINX_WORKER_USER    user of the workers
    TEST_NGINX_ASAN           1: sanitizer options and reports
    TEST_NGINX_LD_PRELOAD     a library for nginx; "asan" is gcc's libasan
    TEST_NGINX_VALGRIND       1: nginx under valgrind, whose complaints count
    TEST_NGINX_STOP_TIMEOUT   seconds that QUIT may take    20
    TEST_NGINX_LOG_TIMEOUT    seconds to wait for a log line  10
    TEST_NGINX_CHROMIUM       a browser for pages         /usr/bin/chromium, say
    TEST_NGINX_VERBOSE        1: say what is being done

=cut

use strict;
use warnings;

use Cwd ();
use Digest::SHA ();
use File::Basename qw(dirname);
use File::Copy ();
use IO::Socket::INET;
use Socket ();

use NginxAsync::Guard;

our $Root = Cwd::abs_path(dirname(__FILE__) . '/../../..');

my (%locks, $version_text);

sub verbose { return $ENV{TEST_NGINX_VERBOSE} }
sub asan    { return $ENV{TEST_NGINX_ASAN} }
sub valgrind { return $ENV{TEST_NGINX_VALGRIND} }


sub binary {
    return $ENV{TEST_NGINX_BINARY} || '/usr/sbin/nginx';
}


sub version_text {
    return $version_text //= do {
        my $binary = binary();
        my $out    = qx{'$binary' -V 2>&1};
        die "cannot run $binary -V\n" if $?;
        $out;
    };
}


# 1.22.1 as 1.022001, so that versions compare as numbers
sub canon_version { return sprintf '%d.%03d%03d', @_ }


sub version {
    version_text() =~ m{nginx[^/\s]*/(\d+)\.(\d+)\.(\d+)}
        or die "no version in the output of nginx -V\n";

    return canon_version($1, $2, $3);
}


# An empty variable means none; an unset one what util/build makes for the
# system's nginx.
sub modules {
    my $list = $ENV{TEST_NGINX_LOAD_MODULES};
    return grep { length } split /\s+/, $list if defined $list;

    my $variant = asan() ? 'asan' : 'plain';

    return grep { -f } "$Root/build/$variant/ngx_http_async_module.so";
}


sub load_modules { return join '', map { "load_module $_;\n" } modules() }


sub worker_user {
    return if $> != 0;

    return $ENV{TEST_NGINX_WORKER_USER} if $ENV{TEST_NGINX_WORKER_USER};

    for my $user (qw(www-data nobody)) {
        my $gid = (getpwnam $user)[3] // next;
        return "$user " . getgrgid $gid;
    }

    return 'root';
}


# A worker ends the threads of a pool one after another, each of which has to
# get its turn on a machine under load; less than async_shutdown_timeout has by
# default, which a task that is never ended would wait for.
sub stop_timeout { return $ENV{TEST_NGINX_STOP_TIMEOUT} || (valgrind() ? 120 : asan() ? 28 : 20) }


sub preload {
    my $library = $ENV{TEST_NGINX_LD_PRELOAD} or return;

    return $library =~ /^(?:1|asan)$/ ? asan_library() : $library;
}


sub asan_library {
    chomp(my $library = qx{gcc -print-file-name=libasan.so});

    return $library;
}


# A port below the ephemeral range, or a client's connection might sit on it
# at the moment at which nginx starts.  A name in the abstract namespace
# keeps it for this process among parallel runs, and leaves no file.
sub free_port {
    for (1 .. 1000) {
        my $port = 10000 + int rand 20000;
        next if $locks{$port};

        my $lock = lock_port($port) or next;

        IO::Socket::INET->new(LocalAddr => '0.0.0.0', LocalPort => $port,
            Proto => 'tcp', Listen => 1) or next;

        $locks{$port} = $lock;
        return $port;
    }

    die "no free port\n";
}


sub lock_port {
    my ($port) = @_;

    socket(my $lock, Socket::AF_UNIX, Socket::SOCK_DGRAM, 0) or return;

    my $name = Socket::pack_sockaddr_un("\0nginx-async-port-$port");

    return bind($lock, $name) ? $lock : undef;
}


# ---- apps

sub run_dir {
    our $run_dir;
    return $run_dir //= $ENV{TEST_NGINX_RUN_DIR}
        || NginxAsync::Guard::temp_dir('apps');
}


# Compiles C source (a path, that of a folder of files, or the text itself) into
# an app and returns the path of its .so.  The same source is compiled once a
# run.
sub build_app {
    my ($source, $name) = @_;

    my @files = $source =~ /\n/ ? () : -d $source ? glob "$source/*.[ch]" : $source;
    my $text  = @files ? join '', map { slurp($_) } @files : $source;
    my $key   = Digest::SHA::sha1_hex($text, asan() // '', $ENV{CC} // '');
    my $dir   = run_dir() . "/$key";

    if (!defined $name) {
        $name = @files && $source =~ m{([^/]+?)(?:\.(?:c|cc|cpp))?/?\z} ? $1 : 'app';
    }

    my $so = "$dir/$name.so";
    return $so if -f $so;

    if (!-d $dir) {
        mkdir $dir, 0755 or $!{EEXIST} or die "mkdir $dir: $!";
    }

    my @paths = grep { !/\.h\z/ } @files;

    if (!@paths) {
        @paths = "$dir/$name.$$.c";
        spew($paths[0], $text);
    }

    compile($so, @paths);

    return $so;
}


# Through a name of our own: another test file may be building the same app.
sub compile {
    my ($so, @paths) = @_;

    my $cc  = $ENV{TEST_NGINX_ASYNC_CC} || "$Root/util/async-cc";
    my $new = "$so.$$";

    local $ENV{ASAN} = asan() ? 1 : $ENV{ASAN} // '';
    my $list = join ' ', map { "'$_'" } @paths;
    my $out  = qx{'$cc' $list -o '$new' 2>&1};

    die "async-cc $list failed:\n$out" if $? || !-f $new;

    chmod 0755, $new;
    rename $new, $so or die "rename $new: $!";
}


# Makes $TEST_NGINX_APPS what a text needs: util/test has compiled all apps
# and says where; without it, those that the text names are built here.
sub provide_apps {
    my ($text) = @_;

    our $own_apps;
    return if $ENV{TEST_NGINX_APPS} && !$own_apps;

    my $apps = $own_apps //= NginxAsync::Guard::temp_dir('apps');
    $ENV{TEST_NGINX_APPS} = $apps;

    my $sources = $ENV{TEST_NGINX_APPS_SOURCE} || "$Root/t/apps";
    my @names   = $text =~ m{\$\{?TEST_NGINX_APPS\}?/([\w.-]+)\.so\b}g;

    if (!@names) {
        @names = map { m{([^/]+)\.\w+\z} } glob "$sources/*.{c,cc,cpp}";
    }

    for my $name (@names) {
        next if -f "$apps/$name.so";
        my ($source) = grep { -e } "$sources/$name",
            map { "$sources/$name.$_" } qw(c cc cpp);
        next if !$source;

        my $so = build_app($source);
        File::Copy::copy($so, "$apps/$name.so") or die "copy $so: $!";
    }
}


# ---- files

sub slurp {
    my ($path) = @_;

    open my $fh, '<:raw', $path or die "$path: $!";
    local $/;

    return scalar <$fh> // '';
}


sub spew {
    my ($path, @text) = @_;

    open my $fh, '>:raw', $path or die "$path: $!";
    print {$fh} @text;
    close $fh or die "$path: $!";
    chmod 0644, $path;
}

1;
