package NginxAsync::Stage;

=head1 NAME

NginxAsync::Stage - the prefix and the server on which blocks are run

=head1 DESCRIPTION

A block gets a fresh server unless its configuration and files are those of
the server that runs already (TEST_NGINX_FORCE_RESTART_ON_TEST=1 gives a
fresh one each time); with use_hup the server that runs takes the new
configuration by a reload.  C<serve($run)> does that, and notes in C<$run>:
server, error_pos and access_pos (where the block's part of the logs begins),
preface (see NginxAsync::CheckLog).

After each block, and whenever a server stops, the verdict of
NginxAsync::Verdict counts; lines that C<--- error_log> names are allowed.

=cut

use strict;
use warnings;

use Cwd ();
use File::Path ();
use Test::More ();

use NginxAsync::CheckLog;
use NginxAsync::Conf;
use NginxAsync::Env;
use NginxAsync::Guard;
use NginxAsync::Server;
use NginxAsync::Settings;
use NginxAsync::Verdict;

*Set = \%NginxAsync::Settings::Set;
our %Set;

# $key is what the running server was started with, $judged how far its log
# has been looked at, @allowed what its blocks expect there.
my ($root, $server, $key, $judged, @allowed);

# The prefix and the port, made when the first of them is asked for.
sub prepare {
    return if $root;

    my $given = $ENV{TEST_NGINX_SERVROOT};
    $root = $given ? own_root($given) : NginxAsync::Guard::temp_dir('root');

    my $port = $ENV{TEST_NGINX_RANDOMIZE} ? undef
        : $ENV{TEST_NGINX_SERVER_PORT} || $ENV{TEST_NGINX_PORT};

    $ENV{TEST_NGINX_SERVER_PORT} = $port || NginxAsync::Env::free_port();
    $ENV{TEST_NGINX_SERVER_ROOT} = $root;

    NginxAsync::Conf::make_root($root);
    NginxAsync::Guard::at_end(\&finish);
}


# A folder that exists is not ours to remove; what we put into it is.
sub own_root {
    my ($dir) = @_;

    $dir = Cwd::getcwd() . "/$dir" if $dir !~ m{^/};

    if (-d $dir) {
        NginxAsync::Conf::clean_root($dir);

    } else {
        File::Path::make_path($dir, { mode => 0755 });
        NginxAsync::Guard::adopt_dir($dir);
    }

    return $dir;
}


sub root { prepare(); return $root }


sub port {
    prepare();
    $ENV{TEST_NGINX_SERVER_PORT} = $_[0] if @_;

    return $ENV{TEST_NGINX_SERVER_PORT};
}


sub finish {
    $_->() for splice @{ $Set{at_end} };

    stop_server();

    return if !$root || !$ENV{TEST_NGINX_SERVROOT};
    NginxAsync::Conf::clean_root($root) if NginxAsync::Guard::keeps_nothing();
}


sub conf_text {
    my ($run) = @_;

    my $block = $run->{block};

    my %server = (%Set,
        root => $root, error_log => "$root/logs/error.log",
        user => $ENV{TEST_NGINX_WORKER_USER} || 'root',
        master => $Set{use_hup} ? 'on' : $Set{master},
        listen => $ENV{TEST_NGINX_SERVER_PORT},
        server_name => $block->server_name // $Set{server_name},
        http2 => defined $block->http2,
    );

    my $event    = $ENV{TEST_NGINX_EVENT_TYPE};
    my $postpone = $ENV{TEST_NGINX_POSTPONE_OUTPUT};
    my $http     = $block->http_config // '';

    $http .= "\npostpone_output $postpone;\n"
        if defined $postpone && $http !~ /\bpostpone_output\b/;

    my %parts = (
        main   => $block->main_config // '',
        http   => $http,
        server => "$Set{preamble}\n" . ($block->config // ''),
        after  => $block->post_main_config // '',
        events => $event ? "use $event;" : '',
        location_root => $Set{location_root},
    );

    return $run->{expand}->(NginxAsync::Conf::render(\%server, \%parts));
}


# True when there is a server for the block.
sub serve {
    my ($run) = @_;

    my $block = $run->{block};

    # without a configuration of its own it takes the server as it is
    if (!defined $block->config && !length($ENV{TEST_NGINX_EVERY_SERVER} // ''))
    {
        die "no config section, and no server from the block before\n"
            if !$server || !$server->running;
        return reuse($run);
    }

    my $text = conf_text($run);
    my $new  = join "\0", $text, flat($block->user_files);

    if ($server && $server->running) {
        return reload($run, $text, $new) if $Set{use_hup};
        return reuse($run) if $new eq $key && !force_restart();
    }

    set_up($run, $text);
    $key = $new;

    return start($run);
}


sub force_restart { return $ENV{TEST_NGINX_FORCE_RESTART_ON_TEST} }


sub allowed_by {
    my ($block) = @_;

    return map { NginxAsync::CheckLog::patterns($block->$_) }
        qw(error_log shutdown_error_log);
}


sub flat {
    my ($value) = @_;

    return ref $value ? map { flat($_) } @$value : $value // '';
}


# A clean prefix with all that nginx will read, and nothing that runs yet.
# The expected lines come from the block and from the caller.
sub set_up {
    my ($run, $text, @expected) = @_;

    stop_server($run->{name});

    NginxAsync::Conf::clean_root($root);
    NginxAsync::Conf::make_root($root);
    write_user_files($run);
    NginxAsync::Env::spew("$root/conf/nginx.conf", $text);

    $server  = NginxAsync::Server->new(root => $root);
    @allowed = (allowed_by($run->{block}), @expected);
    $judged  = 0;

    @$run{qw(server error_pos access_pos preface)} = ($server, 0, 0, '');

    return $server;
}


sub start {
    my ($run) = @_;

    return 1 if $server->start;

    Test::More::fail("$run->{name} - nginx does not start");
    Test::More::diag($server->output);
    stop_server($run->{name});

    return 0;
}


sub reuse {
    my ($run) = @_;

    File::Path::remove_tree("$root/html");
    NginxAsync::Conf::make_root($root);
    write_user_files($run);

    from_here($run);
    push @allowed, allowed_by($run->{block});

    # a block is to see how its server started, whoever started it
    my $start = $server->log_from(0);
    $run->{preface} = substr $start, 0, $server->{serving_from};

    return 1;
}


sub from_here {
    my ($run) = @_;

    $run->{server}     = $server;
    $run->{preface}    = '';
    $run->{error_pos}  = $server->log_size;
    $run->{access_pos} = -s "$root/logs/access.log" // 0;
    $run->{shown_from} = $run->{error_pos};
}


# The new configuration by HUP.  A block says when it must be refused.
sub reload {
    my ($run, $text, $new) = @_;

    my $fails = defined $run->{block}->reload_fails;

    push @allowed, '[emerg]' if $fails;

    reuse($run);
    $run->{preface} = '';
    NginxAsync::Env::spew("$root/conf/nginx.conf", $text);

    my $error = $server->reload;
    $key = $new;

    return 1 if $fails ? $error : !$error;

    Test::More::fail("$run->{name} - "
        . ($fails ? 'the reload should have failed' : "reload: $error"));

    return 0;
}


sub stop_server {
    my ($name) = @_;

    my $stopped = $server or return;
    $name //= $0;

    my $signal = $ENV{TEST_NGINX_FAST_SHUTDOWN} ? 'TERM' : 'QUIT';

    for my $problem ($stopped->stop($signal)) {
        Test::More::fail("$name - nginx: $problem");
    }

    judge_log($name);
    $server = undef;
}


sub judge_log {
    my ($name) = @_;

    return if !$server;

    my $text = $server->log_from($judged);
    $judged += length $text;

    for my $line (NginxAsync::Verdict::bad_lines($text, @allowed)) {
        Test::More::fail("$name - nginx: $line");
    }
}


# What a failure may be about: the log without what is only for debugging.
sub show_log {
    my ($run) = @_;

    my $from  = $run->{shown_from} // 0;
    my @lines = grep { /^\d{4}\S+ \S+ \[(?!debug|notice)/ } split /^/,
        ($run->{server} // return)->log_from($from);

    splice @lines, 0, @lines - 20 if @lines > 20;
    Test::More::diag("error.log:\n", @lines) if @lines;
}


sub write_user_files {
    my ($run) = @_;

    my $files = $run->{block}->user_files // return;

    if (!ref $files) {
        my @list;

        for my $line (split /^/, $files) {
            if ($line =~ /^>>> (\S+)(?:\s+(.+))?/) {
                push @list, [$1, '', $2];

            } elsif (@list) {
                $list[-1][1] .= $line;
            }
        }

        $files = \@list;
    }

    NginxAsync::Conf::write_files("$root/html",
        map { [$_->[0], $run->{expand}->($_->[1]), $_->[2]] } @$files);
}

1;
