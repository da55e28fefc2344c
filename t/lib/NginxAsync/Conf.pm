package NginxAsync::Conf;

=head1 NAME

NginxAsync::Conf - nginx.conf, the files beside it, and $TEST_NGINX_ names

=head1 SYNOPSIS

    my $text = NginxAsync::Conf::render(\%server, \%parts);
    my $text = NginxAsync::Conf::complete(\%server, $whole_conf);
    NginxAsync::Conf::make_root($dir);
    my $text = NginxAsync::Conf::expand($text, \%ports, $who);

=cut

use strict;
use warnings;

use File::Path ();
use File::Spec ();

use NginxAsync::Env;

my @TEMP_PATHS = qw(client_body proxy fastcgi scgi uwsgi);

# $TEST_NGINX_RAND_PORT_n is a free port of this block or server; any other
# name comes from the environment and must be there.
sub expand {
    my ($text, $ports, $who) = @_;

    return $text if !defined $text || ref $text;

    if ($text =~ /\$TEST_NGINX_APPS\b/) {
        NginxAsync::Env::provide_apps($text);
    }

    $text =~ s/\$(TEST_NGINX_[_A-Z0-9]+)/value_of("$1", $ports, $who)/ge;

    return $text;
}


sub value_of {
    my ($name, $ports, $who) = @_;

    if ($name =~ /^TEST_NGINX_RAND_PORT_\d+$/) {
        return $ports->{$name} //= NginxAsync::Env::free_port();
    }

    return $ENV{$name} // die "$who - no environment variable $name\n";
}


# The prefix: readable by workers of whatever user.
sub make_root {
    my ($root) = @_;

    for my $dir ('', qw(/conf /logs /html /reports)) {
        mkdir "$root$dir";
        chmod 0755, "$root$dir";
    }

    NginxAsync::Env::spew("$root/html/index.html",
        '<html><head><title>It works!</title></head>'
        . '<body>It works!</body></html>');
}


# Takes away what a former server left in a prefix; nothing else is touched.
sub clean_root {
    my ($root) = @_;

    File::Path::remove_tree(map { "$root/$_" }
        qw(conf logs html reports cache), map { "${_}_temp" } @TEMP_PATHS);
}


# Files as a list of [name, body, date]; relative names are below $dir.
sub write_files {
    my ($dir, @files) = @_;

    for my $file (@files) {
        my ($name, $body, $date) = @$file;
        my $path = $name =~ m{^/} ? $name : "$dir/$name";

        if ($path =~ m{(.*)/}) {
            File::Path::make_path($1, { mode => 0755 });
        }

        NginxAsync::Env::spew($path, $body // '');
        system('touch', '-t', $date, $path) if $date;
    }
}


# ---- the text

# The temporary folders that Debian compiled in belong to the system's nginx.
sub temp_paths {
    my ($root, $text) = @_;

    return join '', map { "    ${_}_temp_path $root/${_}_temp;\n" }
        grep { $text !~ /\b${_}_temp_path\b/ } @TEMP_PATHS;
}


sub globals {
    my ($s) = @_;

    my $user   = $s->{user} && $> == 0 ? "user $s->{user};\n" : '';
    my $master = $s->{master} // 'on';
    my $env    = join '', map { 'env ' . (/\s/ ? "'$_'" : $_) . ";\n" }
        @{ $s->{env_names} || [] };

    return <<"EOF_CONF";
worker_processes $s->{workers};
daemon off;
master_process $master;
error_log $s->{error_log} $s->{log_level};
pid $s->{root}/logs/nginx.pid;
${user}${env}env ASAN_OPTIONS;
env LD_LIBRARY_PATH;
EOF_CONF
}


# Parts: main, events, http, server (what stands inside each), after (the end
# of the file), location_root (whether / serves html/).
sub render {
    my ($s, $parts) = @_;

    my %p = (map({ $_ => '' } qw(main events http server after)), %$parts);

    add_every(\%p);

    my $listen  = $s->{listen};
    my $http2   = $s->{http2} ? http2_directive() : '';
    my $modules = NginxAsync::Env::load_modules();
    my $temp    = temp_paths($s->{root}, $p{http});

    if ($s->{http2} && !$http2) {
        $listen .= ' http2';
    }

    my $root_location = !$p{location_root} ? '' : <<"EOF_CONF";
        location / {
            root $s->{root}/html;
            index index.html index.htm;
        }
EOF_CONF

    return globals($s) . <<"EOF_CONF";
$modules
$p{main}

http {
    access_log $s->{root}/logs/access.log;
$temp
    default_type text/plain;
    keepalive_timeout 68000ms;

$p{http}

    server {
        listen $listen;
        $http2
        server_name '$s->{server_name}';
        client_max_body_size 30M;

        # the test's part
$p{server}
        # end of the test's part

$root_location
    }
}

$p{after}

events {
    accept_mutex off;
    worker_connections $s->{connections};
$p{events}
}
EOF_CONF
}


# What util/async-test has for all tests.  The app of the run is there unless
# the test loads its own.
sub add_every {
    my ($p) = @_;

    my $app = $ENV{TEST_NGINX_APP} // return;

    for my $part (qw(http server)) {
        my $every = $ENV{'TEST_NGINX_EVERY_' . uc $part} // next;
        $p->{$part} = expand($every, {}, "the $part part of all") . $p->{$part};
    }

    $p->{http} = "async_app $app;\n$p->{http}"
        if $p->{http} !~ /^\s*async_app\s/m;
}


# nginx 1.25.1 moved it from "listen" to a directive
sub http2_directive {
    return NginxAsync::Env::version() >= 1.025001 ? 'http2 on;' : '';
}


# A whole configuration of the test's own: only what must not be the system's
# is added, unless the text says it itself.
sub complete {
    my ($s, $text) = @_;

    my $head = join '', map { /^(\w+)/ && $text =~ /^\s*\Q$1\E\s/m ? '' : $_ }
        split /^/, globals($s);

    my $http = temp_paths($s->{root}, $text);

    if ($text !~ /\baccess_log\b/) {
        $http .= "    access_log $s->{root}/logs/access.log;\n";
    }

    $text =~ s/^(\s*http\s*\{)/$1\n$http/m;

    if ($text !~ /^\s*events\b/m) {
        $text .= "\nevents { worker_connections $s->{connections}; }\n";
    }

    return $head . NginxAsync::Env::load_modules() . $text;
}

1;
