#!/usr/bin/perl

# async_access: who is let in, and what is in front of it or behind.  How the
# request lives on meanwhile is in t/access-life.t, what "nginx -t" refuses
# in t/conf.t.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use NginxAsync;

my $echo = 'proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1;';

my $nginx = NginxAsync->new(
    files => { 'static.txt' => 'static', 'dir/index.html' => 'index', 'guard.txt' => 'guard file',
        'ssi/page.html' => 'A<!--#include virtual="/refused/static.txt" -->B' },
    conf => { http => <<"EOF_CONF" . <<'EOF_MORE', server => <<"EOF_SERVER" . <<'EOF_REST' });
    async_app \$TEST_NGINX_APPS/access.so;
    async_param marker \$TEST_NGINX_SERVER_ROOT/marker;
    async_param file \$TEST_NGINX_SERVER_ROOT/html/guard.txt;
    root \$TEST_NGINX_SERVER_ROOT/html;
EOF_CONF
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        location / { async_handler echo; }
        location /fails { return 502; }
        location /redirects { add_header X-Accel-Redirect /static.txt; return 200; }
    }

    server {
        # a block for all below it
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_2;
        async_access guard;
        location / { }
        location /inner { async_access second_guard; }
        location /off { alias $TEST_NGINX_SERVER_ROOT/html; async_access off; }
        location /if { if ($arg_x) { set $a 1; } alias $TEST_NGINX_SERVER_ROOT/html; }
        location /error-page { async_access off; return 404; }
        error_page 404 /static.txt;
    }
EOF_MORE
    location / { }
    location /guarded/ { alias \$TEST_NGINX_SERVER_ROOT/html/; async_access guard; }
    location /waiting/ { alias \$TEST_NGINX_SERVER_ROOT/html/; async_access waiting_guard; }
    location /proxied/ { async_access waiting_guard; $echo }
    location /thread/ { async_access blocking_guard; $echo }
    location /dependency/ { async_access dependency_guard; $echo }
    location /blocking-dependency/ { async_access blocking_dependency_guard; $echo }
    location /two/ { async_access waiting_guard second_guard; $echo }
    location /two-lines/ { async_access guard; async_access second_guard; $echo }
    location /handler/ { async_access waiting_guard; async_handler echo; }
    location /return/ { async_access waiting_guard; return 200 returned; }
    location /headers/ { async_access header_guard; $echo }
    location /headers-static/ { alias \$TEST_NGINX_SERVER_ROOT/html/; async_access header_guard; }
    location /headers-then/ { async_access header_guard second_guard; $echo }
    location /request/ { async_access request_guard; $echo }
    location /request-handler/ { async_access request_guard; async_handler echo; }
    location /body/ { async_access body_guard; $echo }
    location /body-unbuffered/ { async_access body_guard; proxy_request_buffering off;
        proxy_http_version 1.1; $echo }
    location /body-file/ { async_access body_guard; client_body_in_file_only clean; $echo }
    location /body-handler/ { async_access body_guard; async_handler echo; }
    location /streaming/ { async_access streaming_guard; $echo }
    location /subrequest/ { async_access subrequest_guard; $echo }
    location /background/ { async_access background_guard; $echo }
    location /auth-request/ { auth_request /inner; async_access waiting_guard; $echo }
EOF_SERVER
    location = /inner { internal; async_handler ok; }
    location = /echo { async_handler echo; }
    location = /late { async_handler too_late; }

    location /any/ {
        alias $TEST_NGINX_SERVER_ROOT/html/;
        satisfy any;
        auth_basic "area";
        auth_basic_user_file $TEST_NGINX_SERVER_ROOT/html/users;
        async_access waiting_guard;
    }
    location /all/ {
        alias $TEST_NGINX_SERVER_ROOT/html/;
        satisfy all;
        auth_basic "area";
        auth_basic_user_file $TEST_NGINX_SERVER_ROOT/html/users;
        async_access waiting_guard;
    }
    location /any-address/ {
        alias $TEST_NGINX_SERVER_ROOT/html/;
        satisfy any;
        deny all;
        async_access guard;
    }
    location /any-allowed/ {
        alias $TEST_NGINX_SERVER_ROOT/html/;
        satisfy any;
        allow all;
        async_access guard;
    }
    location /denied/ { deny all; async_access guard; }

    location /intercept/ {
        alias $TEST_NGINX_SERVER_ROOT/html/;
        async_intercept_errors on;
        async_access waiting_guard;
        error_page 401 403 /static.txt;
    }
    location /refused/ { alias $TEST_NGINX_SERVER_ROOT/html/; async_access second_guard guard; }
    location /ssi/ { ssi on; }
    location /try/ { async_access header_guard; try_files /nonexistent /handler-of-try; }
    location /handler-of-try { async_access header_guard; async_handler ok; }
    location /try-file/ { async_access guard; try_files /static.txt =404; }
    location /dir/ { async_access guard; }
    location /accel/ {
        async_access guard;
        proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1/redirects;
    }
    location /bad-gateway/ {
        async_access header_guard;
        proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1/fails;
        proxy_intercept_errors on;
        error_page 502 /handler-of-try;
    }
    location /variables/ {
        set $before $http_x_user;
        async_access request_guard;
        add_header X-Before $before;
        add_header X-After "$http_x_user|$http_user_agent|$remote_user|$cookie_a";
        alias $TEST_NGINX_SERVER_ROOT/html/;
    }
    location /request-auth/ {
        alias $TEST_NGINX_SERVER_ROOT/html/;
        async_access request_guard;
        add_header X-User "[$remote_user]";
    }
EOF_REST

$nginx->write_file('html/users', "joe:{PLAIN}pw\n");
$nginx->write_file('marker', '');
chmod 0666, $nginx->root . '/marker';
$nginx->start;

my $basic = 'Basic am9lOnB3';    # joe:pw

sub say { return (headers => ['X-Guard', $_[0], splice @_, 1]) }
sub marks { return $nginx->read_file('marker') }
sub forget { $nginx->write_file('marker', ''); chmod 0666, $nginx->root . '/marker' }

# "STATUS body"
sub answer {
    my ($uri, @o) = @_;
    my $r = $nginx->get($uri, @o);
    return $r->status . ' ' . $r->body;
}


subtest 'passed or refused' => sub {
    for my $uri (qw(/guarded/static.txt /waiting/static.txt)) {
        is answer($uri), '200 static', "$uri: passed to a file";
        is answer($uri, say('403')), '403 {"detail":"refused"}', '... or refused';
        is answer($uri, say('418')), '418 {"detail":"refused"}', '... with any status';
        is answer($uri, say('json')), '200 {"from":"the guard"}', '... or answered with JSON';
        is answer($uri, say('file')), '200 guard file', '... or with a file';
        is answer($uri, say('empty')), '204 ', '... or with nothing';
        is $nginx->get($uri, say('redirect'))->header('Location'), '/login', '... or sent elsewhere';
        is $nginx->get($uri, say('401'))->header('WWW-Authenticate'), 'Bearer', '... or asked who it is';
        is answer($uri, say('timeout')), '504 {"detail":"Gateway Timeout"}', '... ASYNC_TIMEOUT';
        my $r = $nginx->get($uri, say('busy'));
        is $r->status . $r->header('Retry-After'), '5031', '... ASYNC_BUSY';
        like answer("$uri?n=x", say('invalid')), qr/^422 \{"detail":\[\{"type":"int_parsing"/,
            '... ASYNC_INVALID';
        is answer("$uri?n=1", say('invalid')), '200 static', '... unless it is valid';
        is answer($uri, say('error')), '500 {"detail":"Internal Server Error"}', '... ASYNC_ERROR';
        is $nginx->head($uri, say('403'))->body, '', '... without a body to HEAD';
    }

    is answer('/guarded/missing'), $nginx->get('/missing')->status . ' ' . $nginx->get('/missing')->body,
        'what is behind says 404';
    is answer('/return/x', say('403')), '200 returned', '"return" is of an earlier phase';
};


subtest 'kinds' => sub {
    like answer('/proxied/x'), qr{^200 GET /proxied/x\n}, 'proxy_pass';
    is answer('/proxied/x', say('403')), '403 {"detail":"refused"}', '... refused';
    like answer('/thread/x'), qr/^X-User: thread$/m, 'a blocking handler sets a field of the request';
    is $nginx->get('/thread/x')->header('X-Thread'), 'yes', '... and of the response';
    is answer('/thread/x', say('403')), '403 {"detail":"refused"}', '... and refuses';
    like $nginx->post('/thread/x', 'some')->body, qr/\n\nsome\z/, '... and leaves the body alone';
    is $nginx->get('/dependency/x')->header('X-Dependency'), 'yes', 'a dependency';
    is answer('/dependency/x', say('403')), '403 {"detail":"refused"}', '... refuses';
    is $nginx->get('/blocking-dependency/x')->header('X-Dependency'), 'blocking', 'a blocking one';
    is answer('/blocking-dependency/x', say('403')), '403 {"detail":"refused"}', '... refuses';
    like answer('/handler/x'), qr{^200 GET /handler/x\n}, 'before a handler';
    is answer('/handler/x', say('403')), '403 {"detail":"refused"}', '... refused';
};


subtest 'several' => sub {
    for my $uri (qw(/two/ /two-lines/)) {
        forget();
        is $nginx->get($uri)->header('X-Second'), 'passed', "$uri: all of them";
        like marks(), qr/guard.*second sees/s, '... in order';
        forget();
        is answer($uri, say('403')), '403 {"detail":"refused"}', '... the first refuses';
        unlike marks(), qr/second/, '... and the next is not asked';
        is answer($uri, say('pass', 'X-Second', 'x')), '403 {"detail":"refused by the second"}',
            '... or the second does';
    }
};


subtest 'blocks' => sub {
    my @at = (port => $nginx->port(2));

    is answer('/static.txt', @at), '200 static', 'a server block';
    is answer('/static.txt', @at, say('403')), '403 {"detail":"refused"}', '... for its locations';
    is answer('/if/static.txt?x=1', @at, say('403')), '403 {"detail":"refused"}', '... and a block of "if"';
    is answer('/off/static.txt', @at, say('403')), '200 static', '... "off"';
    is answer('/inner', @at, say('402')), '402 {"detail":"refused"}', '... an inner one replaces it, error_page leads to the outer one';
    is answer('/inner', @at, say('pass', 'X-Second', 'x')), '403 {"detail":"refused by the second"}',
        '... and refuses by itself';
    is answer('/error-page', @at), '404 static', 'error_page goes through the guard of where it leads';
    is answer('/error-page', @at, say('403')), '403 {"detail":"refused"}', '... which may refuse';
};


subtest 'other rules' => sub {
    my @joe = ('Authorization', $basic);

    is answer('/any/static.txt'), '200 static', 'satisfy any: the guard lets in';
    is $nginx->get('/any/static.txt')->header('WWW-Authenticate'), undef, '... without a question';
    is answer('/any/static.txt', say('403', @joe)), '200 static', '... or the password does';
    my $r = $nginx->get('/any/static.txt', say('403'));
    is $r->status . ' ' . $r->header('WWW-Authenticate'), '401 Basic realm="area"',
        '... or none, and a password may help';
    $r = $nginx->get('/any/static.txt', say('401'));
    is $r->status . ' ' . $r->body, '401 {"detail":"refused"}', '... if the guard asks, too, it answers';
    is join('|', sort $r->headers('WWW-Authenticate')), 'Basic realm="area"|Bearer',
        '... and both say what they take';
    is answer('/any/static.txt', say('error')), '500 {"detail":"Internal Server Error"}',
        '... an error is no refusal';

    is answer('/all/static.txt', headers => \@joe), '200 static', 'satisfy all: both let in';
    is answer('/all/static.txt', say('403', @joe)), '403 {"detail":"refused"}', '... the guard does not';
    forget();
    is $nginx->get('/all/static.txt', say('403'))->status, 401, '... the password does not';
    is marks(), '', '... and the guard is not asked';

    is answer('/any-address/static.txt'), '200 static', 'deny, satisfy any: the guard lets in';
    is answer('/any-address/static.txt', say('401')), '401 {"detail":"refused"}', '... or not';
    is answer('/any-allowed/static.txt', say('403')), '200 static', 'allow, satisfy any';
    forget();
    is $nginx->get('/denied/x')->status, 403, 'deny comes first';
    is marks(), '', '... and the guard is not asked';

    like answer('/auth-request/x'), qr{^200 GET /auth-request/x\n}, 'auth_request';
    is answer('/auth-request/x', say('403')), '403 {"detail":"refused"}', '... and then the guard';

    is answer('/intercept/x', say('403')), '403 static', 'async_intercept_errors, error_page';
    $r = $nginx->get('/intercept/x', say('401'));
    is $r->status . $r->body . $r->header('WWW-Authenticate'), '401staticBearer',
        '... the challenge stays';
};


subtest 'within nginx' => sub {
    is answer('/ssi/page.html', say('403')), '200 AstaticB', 'subrequests are not guarded: nginx does so';
    is answer('/refused/static.txt', say('403')), '403 {"detail":"refused"}', '... from outside they are';
    is answer('/try-file/x', say('403')), '403 {"detail":"refused"}', 'try_files is behind the guard';
    is answer('/try-file/x'), '200 static', '... and follows it';

    forget();
    is answer('/dir/'), '200 index', 'index: an internal redirect';
    is marks(), "- guard sees\n" x 2, '... where the guard is asked again';
    is answer('/accel/'), '200 static', 'X-Accel-Redirect';

    my $r = $nginx->get('/try/x');
    is $r->body, "ok\n", 'a guard, try_files, a guard';
    is scalar(my @cookies = $r->headers('Set-Cookie')), 2, '... fields of the response are there once';
    $r = $nginx->get('/bad-gateway/');
    is $r->body, "ok\n", 'a guard, a failing service, error_page, a guard';
    is scalar(@cookies = $r->headers('Set-Cookie')), 2, '... and once here, too';

    my $c = $nginx->connect;
    like $c->request('GET', '/subrequest/x')->body, qr/^X-Inner: 200$/m, 'await_subrequest() in a guard';
    like $c->request('GET', '/subrequest/x')->body, qr/^X-Inner: 200$/m, '... and again';
    is $c->request('GET', '/streaming/x')->body, "piece\n" x 3, 'a guard that answers in pieces';
    is $c->request('GET', '/static.txt')->body, 'static', '... and the next request';

    forget();
    like $c->request('GET', '/background/x')->body, qr{^GET /background/x\n}, 'async_background()';
    ok $nginx->wait_until(sub { marks() =~ /^later runs$/m }), '... runs afterwards';
    forget();
    is $c->request('GET', '/background/x', say('403'))->status, 403, '... not, if it refuses';
    is $c->request('GET', '/static.txt')->body, 'static', '...';
    is marks(), '', '... it does not';
};


subtest 'fields of the response' => sub {
    my $mark = $nginx->mark;
    my $r = $nginx->get('/headers/x');
    like $r->body, qr{^GET /headers/x}, 'set by a guard';
    is $r->header('X-Guard'), 'was here', '... one';
    is join('|', $r->headers('Set-Cookie')), 'a=1|b=2', '... two of a name';
    is $r->header('Cache-Control'), 'private', '... one that nginx knows';
    is $r->header('Content-Type'), 'text/plain', '... but not the type of what is behind';
    like_log $nginx, $mark, qr/\[warn\].*header_guard.*field "ETag".*ignored/, '... as the log says';

    $r = $nginx->get('/headers-static/static.txt');
    is $r->body . '|' . $r->header('X-Guard') . '|' . join('|', $r->headers('Set-Cookie')),
        'static|was here|a=1|b=2', 'of a file';
    unlike $r->header('ETag'), qr/guard/, '... whose ETag is its own';
    $r = $nginx->get('/headers-static/static.txt', headers => ['If-None-Match', $r->header('ETag')]);
    is $r->status . $r->header('X-Guard'), '304was here', '... of a 304';
    is $nginx->get('/headers-static/missing')->header('X-Guard'), 'was here', '... of a 404';

    $r = $nginx->get('/headers-then/x', headers => ['X-Second', 'x']);
    is $r->status . ($r->header('X-Guard') // ' none'), '403 none', 'not if the next guard refuses';
    $r = $nginx->get('/headers/x', say('403'));
    is $r->status . $r->header('X-Guard'), '403was here', 'who refuses sets them as a handler does';
};


subtest 'fields of the request' => sub {
    for my $uri ('/request/x', '/request-handler/x', '/request/x?ms=1') {
        my $ask = sub { return $nginx->get($uri, headers => [@_])->body };

        like $ask->('X-Set', 'X-User=joe'), qr/^X-User: joe$/m, "$uri: a new one";
        my $body = $ask->('X-User', 'eve', 'x-user', 'mallory', 'X-Set', 'X-USER=joe', 'X-After', 'y');
        is join('|', $body =~ /^(x-user: .*)$/mig), 'X-USER: joe', '... replaces all of the name';
        like $body, qr/^X-After: y$/m, '... and leaves the others';
        $body = $ask->('X-User', 'eve', 'X-Unset', 'x-user', 'x-user', 'mallory');
        unlike $body, qr/^x-user:/mi, '... or removes them';
        like $body, qr/^X-Unset: x-user$/m, '... and no others';
        like $ask->('X-Set', 'Authorization=Bearer t', 'Authorization', $basic),
            qr/^Authorization: Bearer t$/m, '... one that nginx knows';
        unlike $ask->('X-Unset', 'Cookie', 'Cookie', 'a=1', 'Cookie', 'b=2'), qr/^Cookie/mi,
            '... of which there are several';
        like $ask->('X-Set', 'X-Forwarded-For=1.2.3.4', 'X-Forwarded-For', '5.6.7.8'),
            qr/^X-Forwarded-For: 1\.2\.3\.4$/mi, '... that goes into a list';
        like $ask->(map { ('X-Set', "X-Many-$_=$_") } 1 .. 12), qr/X-Many-1: 1\n(?:.*\n)*X-Many-12: 12\n/,
            '... many of them';
        like $ask->((map { ("X-$_", $_) } 'a' .. 'z'), 'X-Set', 'X-c=3', 'X-Unset', 'X-m', 'X-Unset', 'X-z',
            'X-Unset', 'X-Unset', 'X-Set', 'X-d=4'), qr/^X-y: y$/m, '... amid many';
    }

    my $all = $nginx->get('/request/x', headers => [(map { ("X-$_", $_) } 'a' .. 'z'), 'X-Set', 'X-c=3',
        'X-Unset', 'X-m', 'X-Unset', 'X-z', 'X-Unset', 'X-a', 'X-Set', 'X-d=4'])->body;
    is join(' ', map { /^X-([a-z]): (.*)/ ? "$1$2" : () } split /\n/, $all),
        join(' ', (map { "$_$_" } grep { !/[acdmz]/ } 'a' .. 'z'), 'c3', 'd4'), 'nothing else is lost';

    for (['Host', 'x'], ['Content-Length', '5'], ['Transfer-Encoding', 'chunked'], ['Expect', '100-continue'],
        ['Connection', 'close'], ['TE', 'trailers'], ['Upgrade', 'h2c'], ['a b', 'c'], ['X-A', "a\x01b"],
        ['', 'x'])
    {
        my ($name, $value) = @$_;
        next if $value =~ /\x01/;
        is $nginx->get('/request/x', headers => ['X-Set', "$name=$value"])->status, 500,
            "\"$name\" is refused";
    }

    is $nginx->get('/late')->body, 'a header field was refused: the request is being served',
        'once the request is served it is too late';
    is $nginx->get('/variables/static.txt', headers => ['X-Set', 'X-User=joe', 'X-User', 'eve', 'X-Set',
        'User-Agent=none', 'User-Agent', 'some', 'X-Set', 'Cookie=a=2', 'Cookie', 'a=1'])->header('X-After'),
        'joe|none||2', 'variables have the new ones';
    is $nginx->get('/variables/static.txt', headers => ['X-User', 'eve'])->header('X-Before'), 'eve',
        '... but not what was taken before';
    is $nginx->get('/request-auth/static.txt', headers => ['X-Unset', 'Authorization', 'Authorization',
        $basic])->header('X-User'), '[]', '$remote_user of who has none any more';
};


subtest 'bodies' => sub {
    my $large = join '', map { sprintf '%07d ', $_ } 1 .. 40_000;    # to a file

    for my $uri (qw(/body/ /body-unbuffered/ /body-file/ /body-handler/)) {
        for my $how (qw(whole pieces)) {
            for (['small', 'some'], ['large', $large], ['no', '']) {
                my ($what, $body) = @$_;
                my $got = $nginx->post("$uri?how=$how", $body)->body;
                ok $got =~ s/\A(.*?)\n\n//s && $got eq $body, "$uri: a $what body, read $how, is passed on"
                    or diag substr $got, 0, 300;
            }
        }

        my $r = $nginx->request('POST', "$uri?how=whole", chunks => ['abc', 'def' x 1000, 'x']);
        like $r->body, qr/^X-Read: 3004\n(?:.*\n)*\nabc(?:def){1000}x\z/m, '... in chunks';
        $r = $nginx->post("$uri?how=json", '{"a":1}', headers => ['Content-Type', 'application/json']);
        like $r->body, qr/^X-Read: 1\n(?:.*\n)*\n\{"a":1\}\z/m, '... JSON';
        $r = $nginx->post("$uri?how=json", '{"a":', headers => ['Content-Type', 'application/json']);
        is $r->status, 422, '... or none';
    }

    for my $uri (qw(/proxied/ /thread/ /request/)) {
        is length($nginx->post($uri, $large)->body =~ s/\A.*?\n\n//sr), length $large,
            "$uri: a large body that no guard reads";
    }
};


$nginx->stop;

done_testing();
