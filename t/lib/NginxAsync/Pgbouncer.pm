package NginxAsync::Pgbouncer;

=head1 NAME

NginxAsync::Pgbouncer - PgBouncer in front of a NginxAsync::Pg

=head1 SYNOPSIS

    my $bouncer = $pg->pgbouncer(default_pool_size => 2);

    $bouncer->conninfo;                 # by its unix socket
    $bouncer->uri(tcp => 1);
    $bouncer->restart;
    is $bouncer->show('servers'), 2;    # its console: rows

In transaction mode, so that a connection's next transaction may be served by
another one of the database's.  The settings are those of pgbouncer.ini.
Clients are the users of the database, with their passwords.

=cut

use strict;
use warnings;

use parent -norequire, 'NginxAsync::Pg';

use Carp qw(croak);

use NginxAsync::Env;
use NginxAsync::Guard;
use NginxAsync::Pg;
use NginxAsync::Server;

sub missing {
    my $why = NginxAsync::Pg::missing();

    return $why // (program() ? undef : 'there is no PgBouncer (util/packages test)');
}


sub program { return (grep { -x } qw(/usr/sbin/pgbouncer /usr/bin/pgbouncer))[0] }

sub new {
    my ($class, $pg, %settings) = @_;

    if (my $why = missing()) { croak $why }

    my $dir = NginxAsync::Pg::socket_dir('bouncer');

    my $self = bless {
        pg => $pg, dir => $dir, data => $dir, logfile => "$dir/log", owner => $$,
        port => NginxAsync::Env::free_port(), addresses => ['127.0.0.1'],
        users => $pg->{users}, databases => $pg->{databases},
    }, $class;

    my %ini = (
        listen_addr => '127.0.0.1', listen_port => $self->{port}, unix_socket_dir => $dir,
        pidfile => "$dir/pid", pool_mode => 'transaction', default_pool_size => 4,
        max_client_conn => 200, auth_type => 'scram-sha-256', auth_file => "$dir/users",
        admin_users => 'console', ignore_startup_parameters => 'extra_float_digits',
        %settings,
    );

    my %password = (%{ $pg->{users} }, console => 'console');

    NginxAsync::Env::spew("$dir/users", map { qq{"$_" "} . ($password{$_} // '') =~ s/"/""/gr . qq{"\n} }
        sort keys %password);
    NginxAsync::Env::spew("$dir/ini", "[databases]\n* = host=$pg->{dir} port=$pg->{port}\n",
        "[pgbouncer]\n", map { "$_ = $ini{$_}\n" } sort keys %ini);
    NginxAsync::Pg::give("$dir/users", "$dir/ini");

    return $self->start;
}


sub start {
    my ($self) = @_;

    return $self if $self->running;

    my $log = -s $self->{logfile} // 0;

    $self->{pid} = NginxAsync::Pg::spawn($self->{dir}, $self->{logfile}, program(), "$self->{dir}/ini");

    my $up = NginxAsync::Server::wait_until(30, sub {
        return !$self->running || $self->log($log) =~ /process up/;
    });

    croak 'PgBouncer does not start: ' . $self->log if !$up || !$self->running;

    return $self;
}


# Its users always need a password.
sub parameters {
    my ($self, %o) = @_;

    return $self->SUPER::parameters(password => $self->password($o{user} // $self->user), %o);
}


# Rows of "SHOW what", as psql -A prints them.
sub show {
    my ($self, $what) = @_;

    my $out = NginxAsync::run('timeout', 60, qw(env -i LC_ALL=C), NginxAsync::Pg::bin() . '/psql', qw(-qXAt -d),
        $self->conninfo(user => 'console', password => 'console', dbname => 'pgbouncer'),
        '-c', "SHOW $what");
    croak "psql: $out" if $?;

    return split /\n/, $out;
}


sub remove {
    my ($self) = @_;

    my $dir = delete $self->{dir} // return;
    return if $self->{owner} != $$;

    local $?;
    $self->kill9;
    NginxAsync::Guard::remove_dir($dir);
}

1;
