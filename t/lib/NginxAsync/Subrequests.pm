package NginxAsync::Subrequests;

=head1 NAME

NginxAsync::Subrequests - a server for t/subrequest*.t, and what asks it

=head1 SYNOPSIS

    use NginxAsync::Subrequests;

    my $nginx = subrequests();

    is asks('/nap', timeout => 10)->{rc}, -4;
    is mirrored('/mirror', body => 'x')->{body}, 'x';

=head1 DESCRIPTION

Handlers of t/apps/subrequest.c, and what else nginx can have in a location.
asks() has one asked for by POST /ask, with the options of async_fetch_t, and
gives what has come of it; "client" are header fields of the client.  copied()
gives the body alone, mirrored() what was asked with.  Port 1 is HTTP/2, port 2 the backend of /to/.

=cut

use strict;
use warnings;

use Exporter qw(import);
use JSON::PP ();
use Test::More;

use NginxAsync;
use NginxAsync::Conf;

our @EXPORT = qw(subrequests asks copied mirrored order letters is_idle);

my ($h2_listen, $h2_on) = NginxAsync::Conf::http2_directive()
    ? ('', 'http2 on;') : (' http2', '');

my $locations = join '', map { "    location = /$_ { async_handler subrequest:$_; }\n" }
    qw(ask copy block mirror nap pieces pass cut shared flood three unwanted deep many defers after storm);

$locations .= <<'EOF_CONF';
    root $TEST_NGINX_SERVER_ROOT/html;
    set $x main;
    keepalive_timeout 3s;

    location = /stub { access_log off; stub_status; }

    location /to/ {
        proxy_pass http://back/;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header X-Seen-For $proxy_add_x_forwarded_for;
        client_max_body_size 100m;
    }

    location /cached/ {
        proxy_pass http://back/;
        proxy_http_version 1.1;
        proxy_cache one;
        proxy_cache_valid 200 1m;
        proxy_ignore_headers Set-Cookie;
        add_header X-Cache $upstream_cache_status;
    }

    location /locked/ {
        proxy_pass http://back/;
        proxy_cache one;
        proxy_cache_valid 200 1m;
        proxy_cache_lock on;
        proxy_ignore_headers Set-Cookie;
    }

    location = /dead      { proxy_pass http://127.0.0.1:1; }
    location = /paged     { error_page 404 /page; return 404; }
    location = /page      { internal; rewrite ^ /nap?tag=page; }
    location = /redirect  { return 301 /elsewhere; }
    location = /close     { return 444; }
    location = /late      { return 408; }
    location = /nothing   { return 204; }
    location = /written   { default_type text/plain; return 200 written; }
    location = /inside    { internal; return 200 inside; }
    location = /guarded   { deny all; try_files /guarded.txt =404; }
    location = /named     { try_files /nowhere @named; }
    location @named       { rewrite ^ /nap?tag=named; }
    location = /slow      { limit_rate 1k; try_files /big.txt =404; }
    location = /delayed   { limit_req zone=delayed burst=99; rewrite ^ /nap?ms=300 break; async_handler subrequest:nap; }
    location = /delayed2  { limit_req zone=often burst=99; rewrite ^ /nap break; async_handler subrequest:nap; }
    location = /deep-nap  { rewrite ^ /copy?uri=/copy?uri=/nap?ms=60000; }
    location = /unwanted-nap { rewrite ^ /copy?uri=/to/copy?uri=/to/nap?ms=60000; }
    location = /delayed-proxy { limit_req zone=held burst=99; proxy_pass http://back/nap?ms=60000; }
    location = /delayed-page  { limit_req zone=held burst=99; error_page 404 = /nap?ms=60000; try_files /no =404; }
    location = /slow-start { proxy_pass http://back/nap?ms=300; proxy_ignore_client_abort on; }

    location = /threads   { aio threads; sendfile on; try_files /big10.txt =404; }
    location = /small-buffers { output_buffers 1 4k; try_files /big.txt =404; }

    location = /ssi.html  { ssi on; }
    location = /allowed   { auth_request /copy-ok; try_files /allowed.txt =404; }
    location = /denied    { auth_request /copy-no; try_files /allowed.txt =404; }
    location = /copy-ok   { internal; rewrite ^ /copy?uri=/nap; }
    location = /copy-no   { internal; rewrite ^ /copy?uri=/nap?status=403; }
    location = /own       { async_handler subrequest:copy; }
    location = /ranges    { async_handler subrequest:copy; }
    location = /logged    { async_handler subrequest:copy; }
    location = /sub-logged {
        set $x sub;
        log_subrequest on;
        access_log $TEST_NGINX_SERVER_ROOT/logs/sub.log sub;
        return 200 logged;
    }
    location = /short     { async_handler subrequest:copy; async_timeout 100ms; }
    location = /limited/pass { async_handler subrequest:pass; limit_rate 8m; }
    location = /patient/pass { async_handler subrequest:pass; send_timeout 100ms; }
EOF_CONF

my $http = <<"EOF_CONF";
    async_app \$TEST_NGINX_APPS/subrequest.so;
    log_format seen '\$request_uri \$status \$x';
    log_format sub '\$uri \$status \$x';
    log_format back '\$remote_port \$uri';
    limit_req_zone \$uri zone=delayed:1m rate=5r/s;
    limit_req_zone \$uri zone=held:1m rate=5r/s;
    limit_req_zone \$uri zone=often:1m rate=500r/s;
    proxy_cache_path \$TEST_NGINX_SERVER_ROOT/cache keys_zone=one:1m;

    upstream back {
        server 127.0.0.1:\$TEST_NGINX_RAND_PORT_2;
        keepalive 16;
    }

    server {
        listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_1$h2_listen;
        $h2_on
        $locations
    }

    server {
        listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_2;
        access_log \$TEST_NGINX_SERVER_ROOT/logs/back.log back;
        $locations
    }
EOF_CONF

my $nginx;

sub subrequests {
    my %text = ('small.txt' => 'small', 'empty.txt' => '', 'guarded.txt' => 'guarded',
        'allowed.txt' => 'allowed', 'big.txt' => letters(2_000_000),
        'mid.txt' => letters(30_000), 'big3.txt' => letters(900_000), 'big10.txt' => letters(10_000_000),
        'ssi.html' => '<' . join('|', map { qq{<!--#include virtual="/copy?uri=$_" -->} }
            '/nap?ms=50%26tag=one', '/small.txt', '/nap?ms=1%26tag=two') . '>');

    $nginx = NginxAsync->new(connections => 2048, files => \%text, conf => {
        http => $http,
        server => "access_log \$TEST_NGINX_SERVER_ROOT/logs/seen.log seen;\n$locations",
    });

    $nginx->allow(qr/connect\(\) failed \(111/);

    return $nginx->start;
}


sub letters { my ($n) = @_; return substr join('', 'a' .. 'z') x ($n / 26 + 1), 0, $n }

my $json = JSON::PP->new->canonical->latin1->allow_nonref;

sub order {
    my ($uri, %o) = @_;

    return JSON::PP->new->canonical->ascii->encode({ uri => $uri, %o });
}


sub asks {
    my ($uri, %o) = @_;

    my $client = delete $o{client} // [];
    my $r = $nginx->post('/ask', order($uri, %o),
        headers => ['Content-Type', 'application/json', @$client]);

    return $r->status == 200 ? $json->decode($r->body) : { rc => 'status ' . $r->status };
}


# The body alone, of any size.
sub copied { my ($uri) = @_; return $nginx->get("/copy?max=20000000&uri=$uri")->body }

sub mirrored {
    my ($uri, %o) = @_;

    my $r = asks($uri, %o);

    return $r->{rc} eq '0' ? $json->decode($r->{body}) : $r;
}


# No connection but the one that asks, and those to the backend.
sub is_idle {
    my ($n, $title) = @_;

    my $text;
    my $idle = $n->wait_until(sub {
        $text = $n->get('/stub')->body;
        return $text =~ /Reading: 0 Writing: 1 /;
    });

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok $idle, $title or diag $text;
}

1;
