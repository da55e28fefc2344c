package NginxAsync::PgApp;

=head1 NAME

NginxAsync::PgApp - an nginx with t/apps/pg-connect.c, and what it is asked

=head1 SYNOPSIS

    my $n = pg_app(qq(async_pg db "$conninfo" connections=2;), workers => 2);

    rows($n, 'SELECT 1 AS n');                  # '[{"n":1}]'
    rows($n, 'SELECT 1 AS n', 'other');         # in the pool "other"
    error($n, 'SELECT');                        # rc, cause, error, sqlstate, message
    twice($n, 'SET LOCAL a.b = 1', 'SELECT 1'); # both in one transaction
    wrong_conf('async_pg db nodb=1;');          # what nginx -t says

The options of pg_app() are those of NginxAsync.

=cut

use strict;
use warnings;

use Exporter qw(import);

use NginxAsync;
use NginxAsync::Say qw(json);

our @EXPORT_OK = qw(pg_app rows error twice escape wrong_conf);

sub pg_app {
    my ($http, %o) = @_;

    my $routes = join '', map { "location = /$_ { async_handler pg-connect:$_; }\n" }
        qw(sql twice value soon);

    return NginxAsync->new(%o, conf => { http => <<"EOF_CONF", server => $routes })->start;
        async_app \$TEST_NGINX_APPS/pg-connect.so;
        $http
EOF_CONF
}


sub escape { return $_[0] =~ s/([^A-Za-z0-9._-])/sprintf '%%%02X', ord $1/ger }

sub pool { return defined $_[0] ? "&pool=$_[0]" : '' }

sub rows {
    my ($n, $q, $pool) = @_;

    return $n->get('/sql?q=' . escape($q) . pool($pool), timeout => 60)->body;
}


sub error {
    my ($n, $q, $pool) = @_;

    my $r = json($n->get('/sql?q=' . escape($q) . pool($pool), timeout => 60));

    return ref $r eq 'HASH' ? $r : { rows => $r };
}


sub twice {
    my ($n, $q, $then, $pool) = @_;

    return $n->get('/twice?q=' . escape($q) . '&then=' . escape($then) . pool($pool))->body;
}


sub wrong_conf {
    my ($http, %o) = @_;

    my $n = NginxAsync->new(%o, conf => { http => $http });
    $n->allow(qr/\[emerg\]/);

    return scalar $n->conf_test;
}

1;
