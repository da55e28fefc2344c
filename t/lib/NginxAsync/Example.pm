package NginxAsync::Example;

=head1 NAME

NginxAsync::Example - an example under its own nginx.conf, and its README

=head1 SYNOPSIS

    use NginxAsync::Example;

    my $so    = example_app('cpu', '-lm');
    my $nginx = NginxAsync->new(conf => example_conf('cpu', $so,
        'threads=2' => 'threads=1'))->start;

    readme_holds('cpu', $nginx, skip => qr/depth=100000/);
    like example_text('cpu/README.md'), qr/curl/;

    example_runs('cpu', sub { my ($port) = @_; ... });

=cut

use strict;
use warnings;

use Exporter qw(import);
use File::Basename qw(basename);
use POSIX ();
use Test::More;

use NginxAsync;

our @EXPORT = qw(example_app example_conf example_folder example_runs example_text readme_holds);

my $examples = "$NginxAsync::Env::Root/examples";
my $BOUND    = 100;

sub example_text { return NginxAsync::Env::slurp("$examples/$_[0]") }

# A copy of one of its folders: workers need not be able to read the checkout.
sub example_folder {
    my ($path) = @_;

    my $dir = NginxAsync::Guard::temp_dir('folder');

    system('cp', '-R', "$examples/$path", $dir) == 0 or die "cp of $path failed\n";

    return "$dir/" . basename($path);
}


# The path of its .so, compiled with further options.
sub example_app {
    my ($name, @options) = @_;

    my $source = "$examples/$name/$name.c";
    return NginxAsync::Env::build_app($source) if !@options;

    my $so = NginxAsync::Env::run_dir() . "/$name.so";
    NginxAsync::Env::compile($so, $source, @options);

    return $so;
}


# Its nginx.conf, but for what is the harness's, and for these changes.
sub example_conf {
    my ($name, $so, %change) = @_;

    my $conf = example_text("$name/nginx.conf");

    %change = ('load_module  modules/ngx_http_async_module.so;' => '',
        '8000;' => '127.0.0.1:$TEST_NGINX_SERVER_PORT;',
        "$name.so;" => "$so;", %change);

    for my $from (sort keys %change) {
        $conf =~ s/\Q$from\E/$change{$from}/
            or die "examples/$name/nginx.conf has no \"$from\"\n";
    }

    return $conf;
}


# What the commands of its README print, against what it shows; times are
# another matter.  Options: skip (a pattern of commands that are not run), dir
# (where they are run).  The number of commands.
sub readme_holds {
    my ($name, $nginx, %o) = @_;

    my $dir    = $o{dir} // NginxAsync::Guard::temp_dir('readme');
    my $url    = 'http://127.0.0.1:' . $nginx->port(0);
    my $readme = example_text("$name/README.md");
    my $count  = 0;

    my $timeless = sub { $_[0] =~ s/\d+\.\d+ s$/N s/mr
        =~ s/"\d\d:\d\d:\d\d"/"N:N:N"/gr };

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    while ($readme =~ /^```console\n(.*?)^```/gms) {
        my $block = $1;

        while ($block =~ /^\$ ([^\n]*)\n((?:(?!\$ ).*\n)*)/mg) {
            my ($command, $shown) = ($1, $2);

            next if $command =~ m{^util/run } || $o{skip} && $command =~ $o{skip};

            (my $run = $command) =~ s{http://127\.0\.0\.1:8000}{$url}g;
            my $out = NginxAsync::run('sh', '-c',
                "cd '$dir' && exec 2> /dev/null; $run");

            $out =~ s/(?<=[^\n])\z/\n/;
            is $timeless->($out), $timeless->($shown),
                "$name/README.md: $command";
            $count++;
        }
    }

    return $count;
}


# util/run serves it: what is called then gets its port.
sub example_runs {
    my ($name, $check) = @_;

    my $dir = NginxAsync::Guard::temp_dir('run');
    my $pid = start_run($name, $dir);
    my $said = sub { return NginxAsync::Server::read_or_empty("$dir/$_[0]") };

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    NginxAsync->wait_until(sub {
        return $said->('out') =~ /^Ctrl-C/m || waitpid($pid, POSIX::WNOHANG());
    }, $BOUND);

    my ($port) = $said->('out') =~ m{^http://127\.0\.0\.1:(\d+) .*^Ctrl-C}ms;
    ok $port, "util/run $name" or return diag $said->('err');

    is_deeply [$said->('out') =~ /^  (.+)$/mg],
        [map { s/127\.0\.0\.1:8000/127.0.0.1:$port/gr } readme_commands($name)],
        '... says to try what its README shows';

    $check->($port);

    kill 'TERM', $pid;
    waitpid $pid, 0;
    NginxAsync::Guard::forget($pid);
    is $said->('err'), '', '... and it has nothing to complain about';

    return;
}


# Of the blocks that talk to the server, in their order.
sub readme_commands {
    my ($name) = @_;

    my @blocks = grep { /127\.0\.0\.1:8000/ } example_text("$name/README.md") =~ /^```console\n(.*?)^```/msg;

    return grep { !m{^util/run} } map { /^\$ (.+)$/mg } @blocks;
}


sub start_run {
    my ($name, $dir) = @_;

    my $modules = join ' ', NginxAsync::Env::modules();

    NginxAsync::Guard::tell_watchdog('hello');
    my $pid = fork // die "fork: $!";
    return $pid if $pid;

    NginxAsync::Guard::enlist();
    $SIG{$_} = 'DEFAULT' for qw(HUP INT TERM);
    $ENV{TEST_NGINX_LOAD_MODULES} = $modules;
    $ENV{TEST_NGINX_LD_PRELOAD}   = NginxAsync::Env::preload() if $ENV{TEST_NGINX_LD_PRELOAD};
    $ENV{ASAN}                    = 1 if NginxAsync::Env::asan();

    open STDIN,  '<', '/dev/null';
    open STDOUT, '>', "$dir/out";
    open STDERR, '>', "$dir/err";
    exec "$NginxAsync::Env::Root/util/run", '--no-install', "--for=$BOUND", $name
        or POSIX::_exit(127);
}

1;
