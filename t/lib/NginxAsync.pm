package NginxAsync;

=head1 NAME

NginxAsync - a real nginx for plain Test::More files

=head1 SYNOPSIS

    use lib 't/lib';
    use Test::More;
    use NginxAsync;

    my $nginx = NginxAsync->new(
        workers => 2,
        conf    => { http => '', server => 'location /a { return 200 a; }' },
    )->start;

    is $nginx->get('/a')->body, 'a';
    is $nginx->reload, undef, 'the new workers serve';
    $nginx->stop;       # QUIT; fails the test on an alert, a crash, a leak

    done_testing;

Each object is a master with its workers, as an unprivileged user, below a
temporary prefix, on a port of its own.  A test that neither stops it nor
lives long enough to do so leaves nothing behind (see NginxAsync::Guard).

In configurations, $TEST_NGINX_SERVER_PORT is port 0, $TEST_NGINX_RAND_PORT_1
is port 1 and so on, $TEST_NGINX_SERVER_ROOT is the prefix, $TEST_NGINX_APPS
the folder of t/apps.  Naming $TEST_NGINX_SERVER_ROOT/tls.crt (and tls.key)
makes the certificate.

=cut

use strict;
use warnings;

use Carp qw(croak);
use Exporter qw(import);
use Scalar::Util qw(weaken);
use Test::More ();

use NginxAsync::Conf;
use NginxAsync::Connection;
use NginxAsync::Env;
use NginxAsync::Guard;
use NginxAsync::Response;
use NginxAsync::Server;
use NginxAsync::Verdict;

our @EXPORT = qw(like_log);

my %living;

# Options: conf (a hash of main, events, http, server, after; or a whole
# text), workers, connections, log_level, master ("off"), listen, user, files
# (a hash of name below html/ and content), env (a hash: nginx's environment),
# env_names (a list: what workers may see), allow (patterns of log lines).
sub new {
    my ($class, %o) = @_;

    my $root = NginxAsync::Guard::temp_dir('nginx');

    my $self = bless {
        workers => 1, connections => 512, log_level => 'info',
        user => scalar NginxAsync::Env::worker_user(), conf => {},
        server_name => 'localhost', error_log => "$root/logs/error.log",
        %o,
        root => $root, ports => {}, owner => $$, judged => 0,
        allow => [grep { defined } ref $o{allow} eq 'ARRAY'
            ? @{ $o{allow} } : $o{allow}],
        server => NginxAsync::Server->new(root => $root, env => $o{env} // {}),
    }, $class;

    NginxAsync::Conf::make_root($root);
    $self->write_file("html/$_", $o{files}{$_}) for keys %{ $o{files} || {} };

    weaken($living{$self} = $self);
    register_end();

    return $self;
}


sub register_end {
    our $registered;
    return if $registered++;

    NginxAsync::Guard::at_end(sub { $_->stop for grep { $_ } values %living });
}


sub DESTROY {
    my ($self) = @_;

    return if $self->{owner} != $$ || ${^GLOBAL_PHASE} eq 'DESTRUCT';

    local ($@, $?, $!);
    delete $living{$self};
    $self->stop;
    NginxAsync::Guard::remove_dir($self->{root});
}


# ---- configuration and files

sub root { return $_[0]{root} }


# The nth port of this server; port(0) is the one that "server" listens on.
sub port {
    my ($self, $n) = @_;

    my $name = $n ? "TEST_NGINX_RAND_PORT_$n" : 'main';

    return $self->{ports}{$name} //= NginxAsync::Env::free_port();
}


# A file below the prefix (or an absolute one), which workers can read.
sub write_file {
    my ($self, $name, $text) = @_;

    NginxAsync::Conf::write_files($self->{root}, [$name, $text]);

    return $name =~ m{^/} ? $name : "$self->{root}/$name";
}


sub read_file {
    my ($self, $name) = @_;

    return NginxAsync::Env::slurp($name =~ m{^/} ? $name
        : "$self->{root}/$name");
}


# Takes $TEST_NGINX_ names of this very server, which the environment lacks
# or has for another one.
sub expand {
    my ($self, $text) = @_;

    local $ENV{TEST_NGINX_SERVER_PORT} = $self->port(0);
    local $ENV{TEST_NGINX_SERVER_ROOT} = $self->{root};

    $self->certificate if $text =~ /\btls\.(?:crt|key)\b/;

    return NginxAsync::Conf::expand($text, $self->{ports}, 'conf');
}


# A self-signed certificate for localhost: paths of the certificate and key.
sub certificate {
    my ($self) = @_;

    my ($crt, $key) = map { "$self->{root}/tls.$_" } qw(crt key);

    if (!-f $crt) {
        my $out = qx{openssl req -x509 -newkey ec -nodes -days 2 \\
            -pkeyopt ec_paramgen_curve:prime256v1 -subj /CN=localhost \\
            -addext subjectAltName=DNS:localhost,IP:127.0.0.1 \\
            -keyout '$key' -out '$crt' 2>&1};
        die "openssl: $out" if $?;
        chmod 0644, $key;
    }

    return ($crt, $key);
}


sub write_conf {
    my ($self, $conf, $file) = @_;

    $self->{conf} = $conf if defined $conf;
    $self->{listen} //= '127.0.0.1:' . $self->port(0);

    my $text = ref $self->{conf}
        ? NginxAsync::Conf::render($self, $self->{conf})
        : NginxAsync::Conf::complete($self, $self->{conf});

    return $self->write_file($file // 'conf/nginx.conf', $self->expand($text));
}


# nginx -t: (exit status, output).  A server that runs does not notice.
sub conf_test {
    my ($self, $conf) = @_;

    local $self->{conf} = $conf // $self->{conf};

    return $self->{server}->conf_test(
        $self->write_conf(undef, 'conf/test.conf'));
}


# The path of an app compiled from C source: a path, or the text itself.
sub build_app {
    my (undef, $source, $name) = @_;

    return NginxAsync::Env::build_app($source, $name);
}


# ---- the process

# Dies when nginx does not start; returns the object.
sub start {
    my ($self, $conf) = @_;

    $self->try_start($conf)
        or croak "nginx did not start:\n", $self->{server}->output, $self->log;

    return $self;
}


# False when nginx exits instead of serving; exit_status and log say why.
sub try_start {
    my ($self, $conf) = @_;

    $self->write_conf($conf);

    return $self->{server}->start;
}


sub exit_status { my $s = $_[0]{server}->status; return defined $s && $s >> 8 }
sub running     { return $_[0]{server}->running }
sub master      { return $_[0]{server}->pid }
sub signal      { return $_[0]{server}->signal($_[1]) }


# Pids of the workers that serve; waits until there are as many as asked.
sub workers {
    my ($self, $count, $bound) = @_;

    if ($count) {
        $self->wait_until(sub { $self->{server}->workers == $count }, $bound);
    }

    return $self->{server}->workers;
}


sub leaving_workers { return $_[0]{server}->leaving_workers }
sub worker          { return ($_[0]{server}->workers)[0] }


# Graceful, then the verdict: fails the test on whatever must never happen.
sub stop { return $_[0]->finish('QUIT') }
sub term { return $_[0]->finish('TERM') }


sub finish {
    my ($self, $signal) = @_;

    my @problems = $self->{server}->stop($signal);
    my $log      = $self->log($self->{judged});

    $self->{judged} = $self->mark;
    unshift @problems, NginxAsync::Verdict::bad_lines($log,
        @{ $self->{allow} });
    @problems = grep { !$self->allowed($_) } @problems;

    local $Test::Builder::Level = $Test::Builder::Level + 2;
    Test::More::fail("nginx: $_") for @problems;

    return !@problems;
}


# Further log lines (or problems) that this test expects.
sub allow {
    my ($self, @patterns) = @_;

    push @{ $self->{allow} }, @patterns;

    return $self;
}


sub allowed {
    my ($self, $text) = @_;

    return grep { NginxAsync::Verdict::allows($_, $text) } @{ $self->{allow} };
}


# HUP, with another configuration if given, and until only the new workers
# accept.  Undef when that worked, else the reason.
sub reload {
    my ($self, %o) = @_;

    $self->write_conf($o{conf});

    return $self->{server}->reload($o{bound});
}


# Signals a worker and, when that ends it, waits for its successor, which is
# returned.  The alert about it is the test's own doing and allowed.
sub kill_worker {
    my ($self, $signal, $pid) = @_;

    $signal //= 'KILL';
    $pid    //= $self->worker;

    my %old = map { $_ => 1 } $self->workers;
    $old{$pid} or croak "$pid is not a worker of this nginx";

    $self->allow(qr/worker process $pid exited on signal/);
    kill $signal, $pid;

    return $self->wait_until(sub {
        my ($new) = grep { !$old{$_} } $self->workers;
        return !NginxAsync::Server::alive($pid) && $new;
    });
}


# ---- looking

sub mark { return $_[0]{server}->log_size }
sub log  { return $_[0]{server}->log_from($_[1] // 0) }


# Bounded polling: the condition's value, or nothing.
sub wait_until {
    my (undef, $condition, $bound) = @_;

    return NginxAsync::Server::wait_until($bound // 30, $condition);
}


# What the pattern (or its first group) matched, or undef after the bound.
sub wait_for_log {
    my ($self, $pattern, $bound, $since) = @_;

    my $found;

    $self->wait_until(sub {
        $self->log($since) =~ $pattern or return 0;
        $found = $1 // $&;
        return 1;
    }, $bound);

    return $found;
}


# like() of the log. A response can come before the line that its worker writes next.
sub like_log ($$$;$) {
    my ($self, $since, $pattern, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    $self->wait_until(sub { $self->log($since) =~ $pattern });

    return Test::More::like($self->log($since), $pattern, $name);
}


sub access_log { return $_[0]->read_file('logs/access.log') }


# Resident memory in bytes.
sub memory_of_worker {
    my ($self, $pid) = @_;

    my $path  = '/proc/' . ($pid // $self->worker) . '/statm';
    my @pages = split ' ', NginxAsync::Env::slurp($path);

    return $pages[1] * 4096;
}


# What a worker has open: a list of link targets (their number in a scalar).
sub open_fds {
    my ($self, $pid) = @_;

    my @fds = glob '/proc/' . ($pid // $self->worker) . '/fd/*';

    return grep { defined } map { readlink } @fds;
}


# ---- clients

# A raw connection, to port 0 unless said otherwise: see NginxAsync::Connection.
sub connect {
    my ($self, %o) = @_;

    return NginxAsync::Connection->new(port => $self->port(0), %o);
}


# One request on a connection of its own.  The options are those of connect
# and of NginxAsync::Connection's request.
sub request {
    my ($self, $method, $uri, %o) = @_;

    return $self->connect(%o)->request($method, $uri, close => 1, %o);
}


sub get  { my $self = shift; return $self->request('GET', @_) }
sub head { my $self = shift; return $self->request('HEAD', @_) }

sub post {
    my ($self, $uri, $body, %o) = @_;

    return $self->request('POST', $uri, body => $body, %o);
}


# HTTP/2 without TLS through curl.  Options: method, headers, body, port,
# timeout, args (more for curl).
sub http2 {
    my ($self, $uri, %o) = @_;

    my @headers = @{ $o{headers} || [] };
    my @args    = @{ $o{args}    || [] };

    push @args, '-X', $o{method} if $o{method};
    push @args, '-H', join ': ', splice @headers, 0, 2 while @headers;
    push @args, '--data-binary', '@' . $self->write_file('body', $o{body})
        if defined $o{body};

    my $port = $o{port} // $self->port(0);
    my $out  = run('curl', '-sSi', '--http2-prior-knowledge', '--max-time',
        $o{timeout} // 30, @args, "http://127.0.0.1:$port$uri");

    $out =~ s/\A(.*?\r\n\r\n)//s or die "curl: $out\n";

    my $r = NginxAsync::Response->from_head($1);
    @$r{qw(body complete)} = ($out, $? == 0);

    return $r;
}


# Runs nghttp with options of its own; what it prints.
sub nghttp {
    my ($self, $uri, @args) = @_;

    return run('nghttp', @args, 'http://127.0.0.1:' . $self->port(0) . $uri);
}


# A command's output, its standard error included; $? is its status.
sub run {
    my (@command) = @_;

    my $pid = open(my $pipe, '-|') // die "fork: $!";

    if ($pid == 0) {
        open STDERR, '>&', \*STDOUT;
        exec @command or POSIX::_exit(127);
    }

    local $/;
    my $out = <$pipe> // '';
    CORE::close($pipe);

    return $out;
}

1;
