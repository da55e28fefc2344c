package NginxAsync::Life;

=head1 NAME

NginxAsync::Life - a server for t/request*.t, within whose life of a request
handlers are

=head1 SYNOPSIS

    use NginxAsync::Life;

    my $nginx = life();

    forget_marks();
    my $c = $nginx->connect->send_request('GET', '/nap?tag=a&ms=60000');
    marked(qr/a begins/);
    $c->reset;
    ok marked(qr/a cancelled/), 'a client that leaves';
    is_idle('nothing is left of it');

=head1 DESCRIPTION

Handlers of t/apps/request.c, each at a place of its own, and where nginx's
other modules come before, after and amid them.  Port 1 is HTTP/2, port 2 TLS.
What handlers mark is in a file.

=cut

use strict;
use warnings;

use Exporter qw(import);
use Test::More;

use NginxAsync;
use NginxAsync::Conf;
use NginxAsync::Http2;

our @EXPORT = qw(life marks forget_marks marked seen_log is_idle http2 include
    $handlers $http2);

my ($nginx, $mark);

my $h2_listen = NginxAsync::Conf::http2_directive() ? '' : ' http2';
my $h2_on     = NginxAsync::Conf::http2_directive();

# in a server
our $http2 = "listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_1$h2_listen; $h2_on";

# nginx keeps a connection alive whose client has reset it while nginx dropped
# a body (stub_status does so, too): is_idle() waits for the end of that.

our $handlers = <<'EOF_CONF';
    keepalive_timeout 3s;
    set $seen "-";

    location = /nap       { async_handler nap; }
    location = /keep      { async_handler nap; async_ignore_client_abort on; }
    location = /short     { async_handler nap; async_timeout 300ms; }
    location = /text      { async_handler text_anyway; }
    location = /body      { async_handler body; }
    location = /body-or   { async_handler body_or_else; async_timeout 300ms; }
    location = /small     { async_handler body; client_max_body_size 10; }
    location = /impatient { async_handler body; client_body_timeout 300ms; }
    location = /unread    { async_handler unread; }
    location = /fails     { async_handler fails; }
    location = /large     { async_handler large; }
    location = /yields    { async_handler yields; }
    location = /file {
        async_handler file;
        async_param file $TEST_NGINX_SERVER_ROOT/html/index.html;
    }
    location = /where     { async_handler where; }
    location = /stub      { access_log off; stub_status; }
EOF_CONF

my %conf = (
    http => <<"EOF_CONF" . <<'EOF_MORE',
    async_app \$TEST_NGINX_APPS/request.so;
    async_param marker \$TEST_NGINX_SERVER_ROOT/marker;

    server {
        $http2
$handlers
    }

    server {
        listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_2 ssl;
        ssl_certificate      \$TEST_NGINX_SERVER_ROOT/tls.crt;
        ssl_certificate_key  \$TEST_NGINX_SERVER_ROOT/tls.key;
$handlers
    }

    server {
        # something that is not ours
        listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_3;
        location / { return 502; }
    }
EOF_CONF
    log_format seen '$request $status $body_bytes_sent $seen $request_length';
    limit_req_zone $uri zone=one:1m rate=1r/m;
EOF_MORE
    server => <<"EOF_CONF" . <<'EOF_MORE');
    access_log \$TEST_NGINX_SERVER_ROOT/logs/seen.log seen;
$handlers
EOF_CONF
    location /limited { async_handler where; limit_req zone=one; }

    location /gz/ {
        gzip on;
        gzip_min_length 1;
        gzip_types text/plain;
        async_handler large;
    }

    # ---- errors

    location /plain/      { async_handler nap; error_page 404 503 /page; }
    location /intercept/ {
        async_handler nap;
        async_intercept_errors on;
        error_page 404 503 504 /page;
        error_page 418 =200 @named;
        async_timeout 300ms;
    }
    location = /page      { internal; async_handler error_page; }
    location @named       { async_handler error_page; }

    location = /twice {
        async_handler nap;
        async_intercept_errors on;
        error_page 404 /bad-page;
    }
    location = /bad-page {
        internal;
        async_handler bad_error_page;
        async_intercept_errors on;
        error_page 503 /page;
    }
    location = /recursive {
        recursive_error_pages on;
        async_handler nap;
        async_intercept_errors on;
        error_page 404 /bad-recursive;
    }
    location = /inner-recursive {
        async_handler nap;
        async_intercept_errors on;
        error_page 404 /bad-recursive;
    }
    location = /bad-recursive {
        internal;
        recursive_error_pages on;
        async_handler bad_error_page;
        async_intercept_errors on;
        error_page 503 /page;
    }

    location = /missing   { root /nonexistent; error_page 404 /page; }
    location = /upstream {
        proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_3;
        proxy_intercept_errors on;
        error_page 502 /page;
    }
    location = /too-large {
        async_handler body;
        client_max_body_size 10;
        error_page 413 = @big;
    }
    location @big         { async_handler nap; }

    # ---- redirects

    location /rewritten/  { rewrite ^/rewritten/(.*)$ /$1 last; }
    location /broken/     { rewrite ^ /elsewhere break; async_handler where; }
    location /try/        { try_files /nonexistent @there; }
    location /try2/       { try_files /nonexistent /where; }
    location @there       { async_handler where; }
    location = /dir/ {
        root $TEST_NGINX_SERVER_ROOT/html;
        index nonexistent /where;
    }
    location /if/ {
        async_handler where;
        if ($arg_x) { set $seen "if"; }
    }

    # ---- subrequests

    location = /ssi.html  { ssi on; root $TEST_NGINX_SERVER_ROOT/html; }
    location = /many.html { ssi on; root $TEST_NGINX_SERVER_ROOT/html; }
    location = /abort.html { ssi on; root $TEST_NGINX_SERVER_ROOT/html; }
    location = /nested {
        ssi on;
        async_handler page;
        async_param page '[<!--#include virtual="/inner" -->|<!--#include virtual="/nap?tag=n&ms=20" -->]';
    }
    location = /inner {
        ssi on;
        async_handler page;
        async_param page '(<!--#include virtual="/nap?tag=x&ms=100" -->,<!--#include virtual="/nap?tag=y&ms=1" -->)';
    }
    location = /guarded {
        auth_request /guard;
        auth_request_set $user $upstream_http_x_user;
        async_handler where;
    }
    location = /guard     { internal; async_handler guard; }
    location = /guarded-error {
        auth_request /nap-500;
        async_handler where;
    }
    location = /nap-500   { internal; async_handler fails; }
    location = /mirrored {
        mirror /mirror;
        async_handler where;
    }
    location = /mirror    { internal; rewrite ^ /nap?ms=300&tag=mirror; }
    location = /addition {
        add_before_body /before;
        add_after_body /after;
        addition_types *;
        async_handler where;
    }
    location = /before    { rewrite ^ /nap?tag=before&ms=100; }
    location = /after     { rewrite ^ /nap?tag=after&ms=1; }
    location = /gone444   { rewrite ^ /abort444.html; }
    location = /abort444.html { ssi on; root $TEST_NGINX_SERVER_ROOT/html; }
    location = /close444  { return 444; }
EOF_MORE

sub life {
    $nginx = NginxAsync->new(connections => 1024, conf => \%conf);
    $mark  = 0;

    $nginx->write_file('marker', '');
    chmod 0666, $nginx->root . '/marker';

    $nginx->write_file('html/dir/some.txt', 'some');
    $nginx->write_file('html/ssi.html', 'A' . include('/nap?tag=a&ms=300') . 'B'
        . include('/nap?tag=b&ms=200') . 'C' . include('/nap?tag=c&ms=100') . 'D');
    $nginx->write_file('html/many.html',
        join '', map { include("/nap?tag=$_&ms=" . $_ % 7 * 10) } 1 .. 400);
    $nginx->write_file('html/abort.html', 'A'
        . include(map { "/nap?tag=s$_&ms=60000" } 1 .. 5));
    $nginx->write_file('html/abort444.html', 'A'
        . include('/nap?tag=s&ms=60000', '/nap?tag=s&ms=60000', '/close444'));

    return $nginx->start;
}


sub include { return join '', map { qq{<!--#include virtual="$_" -->} } @_ }

# What handlers have marked since forget_marks().
sub marks { return substr $nginx->read_file('marker'), $mark }

sub forget_marks { $mark = -s $nginx->root . '/marker' }

sub marked {
    my ($pattern) = @_;

    my $found = $nginx->wait_until(sub { marks() =~ $pattern });
    diag('marks: ' . marks()) if !$found;

    return $found;
}


sub seen_log {
    my ($pattern) = @_;

    return $nginx->wait_until(sub {
        eval { $nginx->read_file('logs/seen.log') =~ $pattern };
    });
}


# No connection but the one that asks, no request but that.
sub is_idle {
    my ($title) = @_;

    my $text;
    my $idle = $nginx->wait_until(sub {
        $text = $nginx->get('/stub')->body;
        return $text =~ /Active connections: 1 .*Reading: 0 Writing: 1 Waiting: 0/s;
    });

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok $idle, $title or diag $text;
}


# A connection, as streams and as bytes.
sub http2 {
    my $c = $nginx->connect(port => $nginx->port(1));

    return (NginxAsync::Http2->new($c), $c);
}

1;
