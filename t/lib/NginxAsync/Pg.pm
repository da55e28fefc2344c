package NginxAsync::Pg;

=head1 NAME

NginxAsync::Pg - a private PostgreSQL for a test

=head1 SYNOPSIS

    my $why = NginxAsync::Pg::missing();    # undef where there is one
    my $pg  = NginxAsync::Pg->new(tcp => 1, tls => 1);

    $pg->sql('CREATE TABLE t (n int)', 'INSERT INTO t VALUES (1)');
    is $pg->sql('SELECT n FROM t'), 1;

    $pg->conninfo;                      # by the unix socket, without password
    $pg->conninfo(tcp => 1, sslmode => 'verify-full');
    $pg->uri(dbname => 'other');

    $pg->freeze; $pg->thaw;             # SIGSTOP and SIGCONT, all its processes
    $pg->stop('immediate'); $pg->start; $pg->restart; $pg->kill9;

    my $lock = $pg->session('BEGIN', 'LOCK TABLE t');
    $pg->terminate($_->{pid}) for $pg->backends(application_name => 'app');
    $lock->close;

    my $second  = $pg->standby;         # streams from the first
    my $bouncer = $pg->pgbouncer(default_pool_size => 2);

Each object is a server of its own, which is running when new() returns, below
a temporary folder and as the user of the workers.  Nothing of it outlives the
test, however that ends (see NginxAsync::Guard).

=cut

use strict;
use warnings;

use Carp qw(croak);
use Fcntl qw(LOCK_EX);
use JSON::PP ();
use POSIX qw(WNOHANG);
use Scalar::Util qw(weaken);
use Test::More ();
use Time::HiRes ();

use NginxAsync;
use NginxAsync::Env;
use NginxAsync::Guard;
use NginxAsync::Others;
use NginxAsync::PgSession;
use NginxAsync::Server;

my $START_BOUND = 60;
my $STOP_BOUND  = 30;
my $SQL_BOUND   = 60;

my %SIGNAL = (smart => 'TERM', fast => 'INT', immediate => 'QUIT');

my %living;

# ---- what the machine has

# The folder of the newest PostgreSQL's programs.
sub bin {
    return (sort { $b =~ s{\D+}{}gr <=> $a =~ s{\D+}{}gr }
        glob '/usr/lib/postgresql/*/bin')[0];
}


# Why there can be no cluster, or undef.
sub missing {
    return bin() ? undef : 'there is no PostgreSQL (util/packages build)';
}


# Ends a test file where there is none.
sub or_skip_all {
    my $why = missing() // return;

    Test::More::plan(skip_all => $why);
}


# The name, user and group id that servers have, and the command to become that.
sub owner {
    my ($name) = split ' ', NginxAsync::Env::worker_user() // getpwuid $>;
    my ($uid, $gid) = (getpwnam $name)[2, 3];
    my @as = $> ? () : ('setpriv', "--reuid=$uid", "--regid=$gid", '--clear-groups');

    return ($name, $uid, $gid, @as);
}


sub give { my (@paths) = @_; chown((owner())[1, 2], @paths) if $> == 0 }

# A server in a group of its own, working in a folder: its process id.
sub spawn {
    my ($dir, $log, @command) = @_;

    my (undef, undef, undef, @as) = owner();

    NginxAsync::Guard::tell_watchdog('hello');
    my $pid = fork // die "fork: $!";

    if ($pid == 0) {
        NginxAsync::Guard::enlist();
        become($dir, $log);
        exec @as, @command or POSIX::_exit(127);
    }

    # both sides set the group, whoever comes first
    setpgrp $pid, $pid;

    return $pid;
}


sub become {
    my ($dir, $log) = @_;

    $SIG{$_} = 'DEFAULT' for qw(HUP INT TERM PIPE CHLD ALRM);
    %ENV = (LC_ALL => 'C', PATH => $ENV{PATH});
    chdir $dir or POSIX::_exit(126);

    open STDIN,  '<',  '/dev/null';
    open STDOUT, '>>', $log;
    open STDERR, '>&', \*STDOUT;
}


# A folder whose sockets have names that are short enough: 107 characters.
sub socket_dir {
    my ($label) = @_;

    local $ENV{TEST_NGINX_TMPDIR} = $ENV{TEST_NGINX_TMPDIR};
    $ENV{TEST_NGINX_TMPDIR} = '/tmp' if length($ENV{TEST_NGINX_TMPDIR} // '') > 60;

    my $dir = NginxAsync::Guard::temp_dir($label);
    give($dir);

    return $dir;
}

# ---- making one

# Options:
#   tcp              1: 127.0.0.1, or a list of addresses; otherwise unix sockets alone
#   tls              1: certificates for localhost and 127.0.0.1, by a CA of its own
#   users            a hash of names and passwords: { app => 'secret' }
#   databases        a list; "postgres" is there
#   max_connections  50
#   conf             a hash: lines of postgresql.conf
#   hba              a list: lines of pg_hba.conf, instead of scram-sha-256 by TCP
#                    and peer by the unix socket, where our users may be each of those
#   standby_of       another one, to stream from
sub new {
    my ($class, %o) = @_;

    if (my $why = missing()) { croak $why }

    my $dir = socket_dir('pg');

    my $self = bless {
        users => { app => 'secret' }, databases => [], max_connections => 50,
        conf => {}, %o,
        dir => $dir, data => "$dir/data", logfile => "$dir/log", port => NginxAsync::Env::free_port(),
        owner => $$, addresses => !$o{tcp} ? [] : ref $o{tcp} ? $o{tcp} : ['127.0.0.1'],
    }, $class;

    weaken($living{$self} = $self);
    our $registered;
    $registered++ or NginxAsync::Guard::at_end(sub {
        $_->remove for grep { $_ } values %living;
    });

    NginxAsync::Guard::adopt_cluster($self->{data});

    if ($o{standby_of}) { $self->copy_of_primary } else { $self->copy_of_template }
    $self->make_certificates if $o{tls};
    $self->configure;
    $self->start;
    $self->make_users if !$o{standby_of};

    return $self;
}


sub DESTROY {
    my ($self) = @_;

    return if $self->{owner} != $$ || ${^GLOBAL_PHASE} eq 'DESTRUCT';

    local ($@, $?, $!);
    $self->remove;
}


# initdb takes a second or two, a copy of what it made does not.
sub template {
    my $template = NginxAsync::Env::run_dir() . '/pg-template';

    open my $lock, '>', "$template.lock" or die "$template.lock: $!";
    flock $lock, LOCK_EX;

    return $template if -d $template;

    my $new = NginxAsync::Guard::temp_dir('initdb');
    give($new);

    my $pid = spawn($new, "$new/log", bin() . '/initdb', '-D', "$new/data",
        qw(-U postgres -A reject -E UTF8 --no-sync --no-instructions --wal-segsize=1));
    waitpid $pid, 0;
    my $status = $?;
    NginxAsync::Guard::forget($pid);
    die 'initdb: ' . NginxAsync::Server::read_or_empty("$new/log") if $status;

    # across file systems it is no rename, so that its last step is one
    system('mv', "$new/data", "$template.new") == 0
        && rename "$template.new", $template or die "$template: $!";
    NginxAsync::Guard::remove_dir($new);

    return $template;
}


sub copy_of_template {
    my ($self) = @_;

    my $template = template();
    system('cp', '-a', '--reflink=auto', $template, $self->{data}) == 0
        or die "cp $template: $?";
}


# The primary is asked for a copy, and later for what changes there.
sub copy_of_primary {
    my ($self) = @_;

    my $primary = $self->{standby_of};
    my (undef, undef, undef, @as) = owner();

    my $out = NginxAsync::run('timeout', $SQL_BOUND, @as, qw(env -i LC_ALL=C), bin() . '/pg_basebackup',
        '-d', $primary->conninfo(user => 'postgres', dbname => undef, application_name => 'standby'),
        '-D', $self->{data}, qw(-R -X stream -c fast --no-sync));
    die "pg_basebackup: $out" if $?;

    $self->{$_} = $primary->{$_} for qw(users databases);
    $self->{max_connections} = $primary->{max_connections}
        if $self->{max_connections} < $primary->{max_connections};
    unlink "$self->{data}/server.key";
}


# ca, server and a certificate for each user, who may be asked for it.
sub make_certificates {
    my ($self) = @_;

    my $from = $self->{standby_of};
    my $ca = $self->{ca} = $from && $from->{ca}
        || NginxAsync::Others::cert('PostgreSQL CA', signs => 1, as => "pg-ca-$self->{port}");

    my $server = NginxAsync::Others::cert('localhost', ca => $ca, as => "pg-$self->{port}",
        names => [[DNS => 'localhost'], [IP => '127.0.0.1'], [IP => '::1']]);

    NginxAsync::Env::spew("$self->{data}/$_->[1]", NginxAsync::Env::slurp("$_->[0]"))
        for ["$ca.crt", 'ca.crt'], ["$server.crt", 'server.crt'], ["$server.key", 'server.key'];
    give("$self->{data}/server.key");
    chmod 0600, "$self->{data}/server.key";
}


# The path, without .crt and .key, of a certificate by which a client is a user.
sub client_cert {
    my ($self, $user) = @_;

    $user //= $self->user;

    return $self->{certs}{$user} //= do {
        my $path = NginxAsync::Others::cert($user, ca => $self->{ca}, as => "pg-$self->{port}-$user");
        # libpq wants it so, for root and for a worker
        chown 0, (owner())[2], "$path.key" if $> == 0;
        chmod $> ? 0600 : 0640, "$path.key";
        $path;
    };
}


sub configure {
    my ($self) = @_;

    # nothing here has to survive a power cut; and what kill -9 leaves of shared
    # memory is to be in the folder
    my %conf = (
        listen_addresses => join(',', @{ $self->{addresses} }), port => $self->{port},
        unix_socket_directories => $self->{dir}, max_connections => $self->{max_connections},
        shared_buffers => '16MB', dynamic_shared_memory_type => 'mmap', fsync => 'off',
        full_page_writes => 'off', autovacuum => 'off',
        log_line_prefix => '%m [%p] %u@%d ', cluster_name => "test-$self->{port}",
        $self->{tls} ? (ssl => 'on', ssl_ca_file => 'ca.crt', ssl_cert_file => 'server.crt',
            ssl_key_file => 'server.key') : (),
        %{ $self->{conf} },
    );

    my $data = $self->{data};

    NginxAsync::Env::spew("$data/postgresql.conf",
        map { "$_ = '" . $conf{$_} =~ s/'/''/gr . "'\n" } sort keys %conf);

    my %ours = map { $_ => 1 } (owner())[0], scalar getpwuid $>;
    my @users = ('postgres', keys %{ $self->{users} });

    NginxAsync::Env::spew("$data/pg_ident.conf",
        map { my $user = $_; map { qq{ours "$_" "$user"\n} } sort keys %ours } @users);

    $self->write_hba;
}


sub write_hba {
    my ($self) = @_;

    my @lines = @{ $self->{hba} // ['local all all peer map=ours',
        map { "host all all $_ scram-sha-256" } '127.0.0.0/8', '::1/128'] };

    # we ourselves always get in
    NginxAsync::Env::spew("$self->{data}/pg_hba.conf", map { "$_\n" }
        'local all,replication postgres peer map=ours', @lines);
}


# Other lines of pg_hba.conf, from now on.
sub hba {
    my ($self, @lines) = @_;

    $self->{hba} = \@lines;
    $self->write_hba;
    $self->reload;
}


# postgresql.conf and its like again, and until the server goes by them.
sub reload {
    my ($self) = @_;

    my $loaded = $self->sql('SELECT pg_conf_load_time()');
    kill 'HUP', $self->{pid};

    return poll(sub { $self->sql('SELECT pg_conf_load_time()') ne $loaded });
}


sub make_users {
    my ($self) = @_;

    my $users = $self->{users};

    $self->sql_on('postgres', 'GRANT CREATE ON SCHEMA public TO PUBLIC', map {
        "CREATE ROLE " . identifier($_) . ' LOGIN'
            . (defined $users->{$_} ? ' PASSWORD ' . literal($users->{$_}) : '')
    } sort keys %$users);

    for my $name (@{ $self->{databases} }) {
        $self->sql_on('postgres', 'CREATE DATABASE ' . identifier($name));
        $self->sql_on($name, 'GRANT CREATE ON SCHEMA public TO PUBLIC');
    }
}


sub identifier { return '"' . $_[0] =~ s/"/""/gr . '"' }
sub literal    { return "'" . $_[0] =~ s/'/''/gr . "'" }

# ---- how it is reached

sub dir      { return $_[0]{dir} }
sub data     { return $_[0]{data} }
sub socket   { return $_[0]{dir} }
sub port     { return $_[0]{port} }
sub ca       { my ($self) = @_; return defined $self->{ca} ? "$self->{ca}.crt" : undef }
sub user     { return (sort keys %{ $_[0]{users} })[0] // 'postgres' }
sub password { my ($self, $user) = @_; return $self->{users}{ $user // $self->user } }

# What libpq is told: names and values.  Options: tcp (1, or an address), cert (1:
# with the user's certificate), and whatever libpq knows; undef leaves one out.
sub parameters {
    my ($self, %o) = @_;

    my ($tcp, $cert) = delete @o{qw(tcp cert)};

    # a name is libpq's to resolve, or the caller's
    my %p = (host => $tcp ? $tcp eq '1' ? 'localhost' : $tcp : $self->{dir},
        port => $self->{port}, user => $self->user, dbname => $self->{databases}[0] // 'postgres');

    if ($tcp) {
        my $user = $o{user} // $p{user};
        $p{hostaddr} = $self->{addresses}[0] if $tcp eq '1' && !exists $o{host};
        $p{password} = $self->password($user);

        if ($self->{tls} && ($o{sslmode} // '') ne 'disable') {
            $p{sslrootcert} = $self->ca;
            @p{qw(sslcert sslkey)} = map { $self->client_cert($user) . $_ } qw(.crt .key) if $cert;
        }
    }

    %p = (%p, %o);

    return map { defined $p{$_} ? ($_ => $p{$_}) : () } sort keys %p;
}


sub conninfo {
    my ($self, %o) = @_;

    my @p = $self->parameters(%o);
    my @words;

    while (my ($name, $value) = splice @p, 0, 2) {
        $value = "'" . $value =~ s/([\\'])/\\$1/gr . "'" if $value !~ m{\A[\w./:-]+\z};
        push @words, "$name=$value";
    }

    return "@words";
}


sub uri {
    my ($self, %o) = @_;

    my %p = map { s/([^\w.-])/sprintf '%%%02X', ord $1/ger } $self->parameters(%o);
    my ($user, $password, $host, $port, $db) = delete @p{qw(user password host port dbname)};

    # an address of IPv6 is in brackets
    $host = "[$host]" if $host =~ s/%3A/:/g;

    return "postgresql://$user" . (defined $password ? ":$password" : '') . "\@$host:$port/"
        . ($db // '') . (%p ? '?' . join '&', map { "$_=$p{$_}" } sort keys %p : '');
}

# ---- what it is asked

# As postgres, each text by itself, in the first database: what psql -At prints.
sub sql { my ($self, @texts) = @_; return $self->sql_on(undef, @texts) }

sub sql_on {
    my ($self, $db, @texts) = @_;

    my $out = NginxAsync::run('timeout', $SQL_BOUND, $self->psql($db), map { ('-c', $_) } @texts);
    croak 'psql: ' . ($? >> 8 == 124 ? 'no answer' : $out) if $?;
    chomp $out;

    return $out;
}


sub psql {
    my ($self, $db) = @_;

    return (qw(env -i LC_ALL=C), bin() . '/psql', qw(-qXAt -v ON_ERROR_STOP=1 -d),
        $self->conninfo(user => 'postgres', application_name => 'harness', $db ? (dbname => $db) : ()));
}


# Each time costs a psql: not as often as others wait.
sub poll {
    my ($condition) = @_;

    return NginxAsync->wait_until(sub {
        my $true = $condition->();
        Time::HiRes::sleep(0.02) if !$true;
        return $true;
    });
}


# What psql prints to a client with that conninfo or URI, errors included; $? is
# not 0 then.
sub client_sql {
    my (undef, $conninfo, @texts) = @_;

    return NginxAsync::run('timeout', $SQL_BOUND, qw(env -i LC_ALL=C), bin() . '/psql',
        qw(-qXAtw -v ON_ERROR_STOP=1 -d), $conninfo, map { ('-c', $_) } @texts) =~ s/\n\z//r;
}


# Clients' backends, as hashes: pid, state, query, application_name, usename,
# datname, wait, ssl.  Conditions are columns that must be equal.  Ours, those of
# sessions included, are not among them, unless they take another application_name.
sub backends {
    my ($self, %where) = @_;

    my $rows = $self->sql(q{SELECT coalesce(json_agg(b ORDER BY pid), '[]') FROM (
        SELECT pid, state, query, application_name, usename, datname, wait_event AS wait, ssl
        FROM pg_stat_activity LEFT JOIN pg_stat_ssl USING (pid)
        WHERE backend_type = 'client backend' AND application_name <> 'harness') b});

    return grep {
        my $row = $_;
        !grep { ($row->{$_} // '') ne $where{$_} } keys %where
    } @{ JSON::PP::decode_json($rows) };
}


# False unless so many match in time.
sub wait_for_backends {
    my ($self, $count, %where) = @_;

    return poll(sub { $self->backends(%where) == $count });
}


# Ends a backend, and waits until it is gone.
sub terminate {
    my ($self, $pid) = @_;

    $self->sql("SELECT pg_terminate_backend($pid)");

    return NginxAsync->wait_until(sub { !NginxAsync::Server::alive($pid) });
}


sub log { my ($self, $from) = @_; return substr NginxAsync::Server::read_or_empty($self->{logfile}), $from // 0 }

sub wait_for_log {
    my ($self, $pattern, $from) = @_;

    return NginxAsync->wait_until(sub { $self->log($from) =~ $pattern });
}


# A connection that stays: see NginxAsync::PgSession.
sub session {
    my ($self, @texts) = @_;

    my $session = NginxAsync::PgSession->new($self);
    $session->sql($_) for @texts;

    return $session;
}

# ---- its life

sub pid { return $_[0]{pid} }

sub running {
    my ($self) = @_;

    my $pid = $self->{pid} // return 0;

    if (waitpid($pid, WNOHANG) == $pid) {
        $self->{pid} = undef;
        NginxAsync::Guard::forget($pid);
    }

    return defined $self->{pid};
}


# True as soon as it takes connections, a standby those that read.
sub start {
    my ($self) = @_;

    return $self if $self->running;

    $self->{pid} = spawn($self->{data}, $self->{logfile}, bin() . '/postgres', '-D', $self->{data});

    my $up = NginxAsync::Server::wait_until($START_BOUND, sub {
        return 1 if !$self->running;
        my @lines = split /\n/, NginxAsync::Server::read_or_empty("$self->{data}/postmaster.pid");
        return ($lines[0] // '') eq $self->{pid} && ($lines[7] // '') =~ /^ready/;
    });

    croak 'PostgreSQL does not start: ' . $self->log if !$up || !$self->running;

    return $self;
}


# "fast" if nothing is said: connections are closed.  False if it had to be killed.
sub stop {
    my ($self, $mode) = @_;

    my $signal = $SIGNAL{ $mode // 'fast' } // croak "no way to stop: $mode";
    return 1 if !$self->running;

    $self->thaw;
    kill $signal, $self->{pid};

    NginxAsync::Server::wait_until($STOP_BOUND, sub { !$self->running }) and return 1;
    $self->kill9;

    return 0;
}


sub restart { my ($self, $mode) = @_; $self->stop($mode); return $self->start }

# The server and its backends, as if the machine had gone.
sub kill9 {
    my ($self) = @_;

    my $gone = NginxAsync::Guard::kill_inhabitants($self->{data});
    NginxAsync::Server::wait_until(5, sub { !$self->running });

    return $gone;
}


# As if the network had gone: the kernel still accepts, and nobody answers.
sub freeze {
    my ($self) = @_;

    # first who could make more of them
    kill 'STOP', $self->{pid};
    kill 'STOP', $self->pids;

    return NginxAsync->wait_until(sub {
        !grep { NginxAsync::Server::read_or_empty("/proc/$_/stat") !~ /\) [TZX] / } $self->pids;
    });
}


sub thaw { my ($self) = @_; return kill 'CONT', $self->pids }
sub pids { my ($self) = @_; return NginxAsync::Guard::inhabitants($self->{data}) }

sub remove {
    my ($self) = @_;

    delete $living{$self};
    my $dir = delete $self->{dir} // return;
    return if $self->{owner} != $$;

    local $?;
    $self->kill9;
    NginxAsync::Guard::end_cluster($self->{data});
    NginxAsync::Guard::remove_dir($dir);
}

# ---- others with it

sub standby {
    my ($self, %o) = @_;

    return NginxAsync::Pg->new(tcp => $self->{tcp}, tls => $self->{tls}, %o, standby_of => $self);
}


# A standby becomes a server of its own.
sub promote { my ($self) = @_; return $self->sql('SELECT pg_promote()') eq 't' }

# Whether a standby has all that the primary has written until now.
sub caught_up {
    my ($self) = @_;

    my $lsn = $self->{standby_of}->sql('SELECT pg_current_wal_flush_lsn()');

    return poll(sub { $self->sql("SELECT pg_last_wal_replay_lsn() >= '$lsn'") eq 't' });
}


sub pgbouncer {
    my ($self, %settings) = @_;

    require NginxAsync::Pgbouncer;
    return NginxAsync::Pgbouncer->new($self, %settings);
}

1;
