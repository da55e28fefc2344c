package NginxAsync::Status;

=head1 NAME

NginxAsync::Status - servers with async_status, for the tests of it

=head1 SYNOPSIS

    use NginxAsync::Status qw(status status_when begin names tasks go);

    my $n = NginxAsync::Status::nginx(workers => 2);    # with t/apps/status.c

    my ($c) = begin($n, '/nap');        # a request, whose answer is for later
    status($n, 'handler=nap');          # the status, decoded
    status_when($n, '', sub { $_->{tasks}{total} == 2 });
    tasks($s); names($s);               # the list; the names of its functions
    go($n, 'tag');                      # what waits for ?tag=tag goes on

=cut

use strict;
use warnings;

use Exporter qw(import);

use NginxAsync;
use NginxAsync::Say qw(json);

our @EXPORT_OK = qw(status status_when begin names tasks go);

my $http = <<'END';
    async_app $TEST_NGINX_APPS/status.so;
    async_param gates $TEST_NGINX_SERVER_ROOT/html;
END

my $server = <<'END';
    location / {
        async_route GET /hello   hello;
        async_route GET /pid     show_pid;
        async_route GET /nap     nap;
        async_route GET /gated   gated;
        async_route GET /family  family;
        async_route GET /crowd   crowd;
        async_route GET /thread  threaded;
        async_route GET /burn    burn;
        async_route GET /late    late;
        async_route GET /leave   leave;
        async_route WS  /socket  socket;
    }
    location = /status { async_status; }
    location = /json   { async_status json; }
END

sub conf { my (%o) = @_; return { http => $http . ($o{http} // ''), server => $server } }


# Options: http (further directives), and those of NginxAsync.
sub nginx {
    my (%o) = @_;

    my $conf = conf(http => delete $o{http});

    return NginxAsync->new(conf => $conf, %o)->start;
}


sub status {
    my ($n, $query) = @_;

    return json($n->get('/status' . ($query ? "?$query" : '')));
}


# The status once the condition holds of it, which is $_; or as it is then.
sub status_when {
    my ($n, $query, $condition) = @_;

    my $s;

    $n->wait_until(sub {
        local $_ = eval { status($n, $query) } or return 0;
        return eval { $condition->($s = $_) };
    });

    return $s;
}


sub begin {
    my ($n, @paths) = @_;

    return map { $n->connect->send_request('GET', $_) } @paths;
}


sub tasks { return @{ $_[0]{tasks}{list} } }
sub names { return [sort map { $_->{handler} } tasks($_[0])] }

sub go { return $_[0]->write_file('html/go' . ($_[1] ? "-$_[1]" : ''), '') }

1;
