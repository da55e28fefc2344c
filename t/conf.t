#!/usr/bin/perl

# What "nginx -t" refuses: every mistake with its file and line, and with what
# was probably meant.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use NginxAsync;

my $n = NginxAsync->new(allow => '[emerg]');

my $app = $n->build_app(<<'EOF_C', 'hello');
#include <ngx_async.h>
ASYNC_HANDLER(hello)  { return async_text(req, 200, "hello"); }
ASYNC_HANDLER(goodbye)  { return async_text(req, 200, "goodbye"); }
ASYNC_TASK(job)  { return ASYNC_OK; }
EOF_C

my $other = $n->build_app(<<'EOF_C', 'other');
#include <ngx_async.h>
ASYNC_HANDLER(hello)  { return async_text(req, 200, "other"); }
ASYNC_HANDLER(alone)  { return async_text(req, 200, "alone"); }
EOF_C

my $load = "async_app $app;";

# A configuration whose line $line has the mistake; the text of a location is
# the common case.
sub test_conf {
    my (%o) = @_;

    my $http   = $o{http} // $load;
    my $server = $o{server} // "location / {\n$o{location}\n}\n";

    return $n->conf_test({ main => $o{main} // '', http => $http,
        server => $server });
}


# The line of the configuration that was tested with the mark in it.
sub line_of_mark {
    my $line = 0;

    for (split /\n/, $n->read_file('conf/test.conf')) {
        $line++;
        return $line if /# here/;
    }

    return;
}


# Refused, with the message, and at the line that is marked "# here".
sub refused {
    my ($title, $pattern, %o) = @_;

    my ($status, $out) = test_conf(%o);
    my $line = line_of_mark();

    subtest $title => sub {
        is $status, 1, 'is refused';
        like $out, $pattern, 'says why';
        like $out, qr{\[emerg\] .* in \Q$n->{root}\E/conf/test\.conf:$line$}m,
            'and where';
        is scalar(() = $out =~ /\[emerg\]/g), 1, 'once';
    };
}


sub accepted {
    my ($title, %o) = @_;

    my ($status, $out) = test_conf(%o);

    is $status, 0, $title or diag $out;
}


# ---- handlers

accepted 'what is right', location => 'async_route GET / hello;';

refused 'a misspelt handler', qr/no app has a handler "helo", did you mean "hello"\?/,
    location => 'async_route GET / helo;  # here';

refused 'a misspelt handler of async_handler',
    qr/no app has a handler "godbye", did you mean "goodbye"\?/,
    location => 'async_handler godbye;  # here';

refused 'a handler that is like nothing', qr/no app has a handler "unlike" in/,
    location => 'async_route GET / unlike;  # here';

refused 'a handler of an app, misspelt',
    qr/no app has a handler "hello:helo", did you mean "hello:hello"\?/,
    location => 'async_route GET / hello:helo;  # here';

refused 'a misspelt app before the handler',
    qr/no app has a handler "helo:hello", did you mean "hello:hello"\?/,
    location => 'async_route GET / helo:hello;  # here';

refused 'a handler of another app',
    qr/no app has a handler "hello:alone"/,
    http => "$load\nasync_app $other;",
    location => 'async_route GET / hello:alone;  # here';

refused 'an empty name', qr/no app has a handler ""/,
    location => 'async_route GET / "";  # here';

refused 'a handler without any app',
    qr/no app has a handler "hello": there is no "async_app"/,
    http => '', location => 'async_route GET / hello;  # here';

refused 'a task as a handler', qr/"async_route" takes a handler, but "hello:job" is a task/,
    location => 'async_route GET / job;  # here';

refused 'a task as the handler of a location',
    qr/"async_handler" takes a handler, but "hello:job" is a task/,
    location => 'async_handler job;  # here';

refused 'a name that two apps have',
    qr/"hello" is ambiguous, say which: "hello:hello", "other:hello"/,
    http => "$load\nasync_app $other;",
    location => 'async_route GET / hello;  # here';

accepted 'a name that two apps have, with its app',
    http => "$load\nasync_app $other;",
    location => 'async_route GET / other:hello;';

accepted 'a name that one of two apps has',
    http => "$load\nasync_app $other;",
    location => 'async_route GET / alone;';

# ---- apps

refused 'two apps of one name', qr/there is an app "hello" already: choose another name with "name="/,
    http => "$load\nasync_app $other name=hello;  # here", location => '';

refused 'one app twice', qr/there is an app "hello" already/,
    http => "$load\n$load  # here", location => '';

accepted 'one app twice under two names',
    http => "$load\nasync_app $app name=again;",
    location => 'async_route GET / again:hello;';

refused 'an app by an unknown parameter', qr/invalid parameter "nam=x", it takes "name="/,
    http => "async_app $app nam=x;  # here", location => '';

refused 'an app with an empty name', qr/invalid parameter "name="/,
    http => "async_app $app name=;  # here", location => '';

refused 'an app with a colon in its name', qr/the name "a:b" of an app has a colon/,
    http => "async_app $app name=a:b;  # here", location => '';

# ---- methods and patterns

refused 'a misspelt method', qr/unknown method "GTE", did you mean "GET"\?/,
    location => 'async_route GTE / hello;  # here';

refused 'a method in lower case', qr/unknown method "get", did you mean "GET"\?/,
    location => 'async_route get / hello;  # here';

refused 'a method that is like none', qr/unknown method "ANYTHING": methods are as in "GET", "GET,POST", "\*" or "WS"/,
    location => 'async_route ANYTHING / hello;  # here';

refused 'an empty method in a list', qr/unknown method ""/,
    location => 'async_route GET,,POST / hello;  # here';

refused 'a misspelt method in a list', qr/unknown method "PSOT", did you mean "POST"\?/,
    location => 'async_route GET,PSOT / hello;  # here';

refused 'a misspelt converter', qr/unknown converter "itn", did you mean "int"\?/,
    location => 'async_route GET "/{id:itn}" hello;  # here';

refused 'a converter that is like none', qr/unknown converter "number", there are str, int, float, uuid and path/,
    location => 'async_route GET "/{id:number}" hello;  # here';

refused 'an empty converter', qr/unknown converter ""/,
    location => 'async_route GET "/{id:}" hello;  # here';

refused 'a brace that is not closed', qr/"\{" is not closed in "\{id"/,
    location => 'async_route GET "/a/{id" hello;  # here';

refused 'a brace that is not opened', qr/unexpected "\}" in "\/a\/id\}"/,
    location => 'async_route GET "/a/id}" hello;  # here';

refused 'a parameter without a name', qr/a parameter has no name/,
    location => 'async_route GET "/{}" hello;  # here';

refused 'a parameter whose name is none', qr/"1a" is no name/,
    location => 'async_route GET "/{1a}" hello;  # here';

refused 'a parameter twice', qr/parameter "id" is there twice/,
    location => 'async_route GET "/{id}/{id:int}" hello;  # here';

refused 'more than 16 parameters', qr/more than 16 parameters/,
    location => 'async_route GET "' . join('', map { "/{a$_}" } 1 .. 17)
        . '" hello;  # here';

refused 'a pattern without a slash', qr/outside of location "\/"/,
    location => 'async_route GET hello hello;  # here';

refused 'a pattern without a slash in a named location', qr/a pattern starts with "\/"/,
    server => "location \@n {\nasync_route GET hello hello;  # here\n}\n";

refused 'a pattern with a brace and without quotes',
    qr/directive "async_route" is not terminated by ";"/,
    location => 'async_route GET /{id} hello;  # here';

# ---- routes that get no request

refused 'a route twice', qr/route "GET \/a": "\/a" was declared before and takes all of the requests/,
    location => "async_route GET /a hello;\nasync_route GET /a goodbye;  # here";

refused 'a route twice, by other names of its parameters',
    qr/"\/\{a\}" was declared before and takes all of the requests/,
    location => "async_route GET \"/{a}\" hello;\n"
        . "async_route GET \"/{b:str}\" goodbye;  # here";

refused 'a route that has lost one of its methods',
    qr/"\/a" was declared before and takes some of the requests/,
    location => "async_route GET /a hello;\n"
        . "async_route GET,POST /a goodbye;  # here";

accepted 'the rest of the methods by "*"', location =>
    "async_route GET /a hello;\nasync_route * /a goodbye;";

refused 'all methods twice', qr/"\/a" was declared before and takes all of the requests/,
    location => "async_route * /a hello;\nasync_route * /a goodbye;  # here";

accepted 'one pattern with two methods', location =>
    "async_route GET /a hello;\nasync_route POST /a goodbye;";

accepted 'one pattern with GET and HEAD', location =>
    "async_route GET /a hello;\nasync_route HEAD /a goodbye;";

accepted 'one pattern with other converters', location =>
    "async_route GET \"/{a:int}\" hello;\nasync_route GET \"/{a}\" goodbye;";

accepted 'one route in two locations', server =>
    "location / { async_route GET /a hello; }\n"
    . 'location ~ x { async_route GET /a hello; }';

refused 'a route outside of its location', qr/route "\/b\/c" never gets a request: it lies outside of location "\/a\/"/,
    server => "location /a/ {\nasync_route GET /b/c hello;  # here\n}\n";

refused 'a route that is shorter than its location', qr/never gets a request/,
    server => "location /items/ {\nasync_route GET / hello;  # here\n}\n";

refused 'a route relative to its location', qr/a pattern is of the whole URI/,
    server => "location /api/ {\nasync_route GET \"/{id}\" hello;\n"
        . "async_route GET /items hello;  # here\n}\n";

refused 'a route that is longer than its exact location',
    qr/outside of location "= \/a"/,
    server => "location = /a {\nasync_route GET /a/b hello;  # here\n}\n";

accepted 'routes of an exact location', server =>
    "location = /a {\nasync_route GET /a hello;\n"
        . "async_route POST \"/{x}\" hello;\n}\n";

# ---- directives beside each other

refused 'async_route beside async_handler', qr/cannot stand beside "async_handler"/,
    location => "async_handler hello;\nasync_route GET / hello;  # here";

refused 'async_handler beside async_route', qr/cannot stand beside "async_route"/,
    location => "async_route GET / hello;\nasync_handler hello;  # here";

refused 'async_handler twice', qr/"async_handler" directive is duplicate/,
    location => "async_handler hello;\nasync_handler hello;  # here";

refused 'async_route beside proxy_pass', qr/"async_route".* another directive/,
    location => "proxy_pass http://127.0.0.1:1;\n"
        . 'async_route GET / hello;  # here';

refused 'async_handler beside proxy_pass', qr/"async_handler".* another directive/,
    location => "proxy_pass http://127.0.0.1:1;\nasync_handler hello;  # here";

refused 'proxy_pass beside async_route',
    qr/"async_route".* another directive/,
    location => "async_route GET / hello;  # here\n"
        . "proxy_pass http://127.0.0.1:1;";

refused 'proxy_pass beside async_handler',
    qr/"async_handler".* another directive/,
    location => "async_handler hello;  # here\n"
        . "proxy_pass http://127.0.0.1:1;";

# ---- values

refused 'async_timeout of zero', qr/"async_timeout" directive must be greater than zero/,
    location => "async_timeout 0;  # here";

refused 'async_timeout that is no time', qr/"async_timeout" directive invalid value/,
    location => "async_timeout abc;  # here";

refused 'async_timeout below zero', qr/"async_timeout" directive invalid value/,
    location => "async_timeout -1;  # here";

refused 'async_timeout twice', qr/"async_timeout" directive is duplicate/,
    location => "async_timeout 1s;\nasync_timeout 1s;  # here";

for (qw(async_timeout async_cleanup_timeout async_shutdown_timeout async_slow)) {
    refused "$_ of more than ten years", qr/"$_" directive is too long/,
        http => "$_ 3661d;  # here", location => '';
}

refused 'async_fetch_keepalive for more than ten years', qr/takes a second argument like "timeout=60s"/,
    http => 'async_fetch_keepalive 1 timeout=3661d;  # here', location => '';

refused 'async_stack_size that is too small', qr/must be from 16k to 64m/,
    http => "async_stack_size 1k;  # here", location => '';

refused 'async_stack_size that is too large', qr/must be from 16k to 64m/,
    http => "async_stack_size 65m;  # here", location => '';

refused 'async_stack_size that is no size', qr/"async_stack_size" directive invalid value/,
    http => "async_stack_size big;  # here", location => '';

refused 'async_max_tasks of zero', qr/value must be between 1 and/,
    http => "async_max_tasks 0;  # here", location => '';

refused 'async_max_tasks that is no number', qr/invalid number/,
    http => "async_max_tasks many;  # here", location => '';

refused 'async_max_tasks past what there can be', qr/value must be/,
    http => "async_max_tasks 10000001;  # here", location => '';

refused 'async_shutdown_timeout that is no time', qr/"async_shutdown_timeout" directive invalid value/,
    http => "async_shutdown_timeout soon;  # here", location => '';

for my $flag (qw(async_ignore_client_abort async_intercept_errors)) {
    refused "$flag that is neither on nor off",
        qr/invalid value "yes" in "$flag" directive, it must be "on" or "off"/,
        location => "$flag yes;  # here";
}

accepted 'all directives with sensible values', http => <<"EOF_CONF",
    $load
    async_stack_size 128k;  async_max_tasks 1;  async_shutdown_timeout 5s;
    async_timeout 1ms;  async_param a b;
    async_ignore_client_abort on;  async_intercept_errors on;
EOF_CONF
    location => 'async_route GET / hello;  async_timeout 3660d;
                 async_param a c;  async_ignore_client_abort off;
                 async_intercept_errors off;';

# ---- async_param

refused 'a setting twice in a block', qr/"key" is set twice in the same block/,
    location => "async_param key a;\nasync_param key b;  # here";

accepted 'a setting again in an inner block', http => "async_param key a;",
    server => "async_param key b;\nlocation / { async_param key c; }";

refused 'a setting without a value', qr/invalid number of arguments in "async_param"/,
    location => "async_param key;  # here";

# ---- async_access

my $guards = $n->build_app(<<'EOF_C', 'guards');
#include <ngx_async.h>
ASYNC_HANDLER(guard)  { return ASYNC_OK; }
BLOCKING_HANDLER(slow_guard)  { return ASYNC_OK; }
ASYNC_DEPENDENCY(user, void)  { return ASYNC_OK; }
BLOCKING_DEPENDENCY(slow_user, void)  { return ASYNC_OK; }
ASYNC_TASK(job)  { return ASYNC_OK; }
EOF_C

my @guards = (http => "async_app $guards;");

for my $name (qw(guard slow_guard user slow_user guards:user)) {
    accepted "a guard: $name", @guards, location => "async_access $name;";
}

accepted 'guards in all blocks', http => "async_app $guards; async_access guard user;",
    server => "async_access off; location / { async_access slow_user; async_access guard; }";

refused 'a misspelt guard', qr/no app has a handler or dependency "gaurd", did you mean "guard"\?/,
    @guards, location => 'async_access user gaurd;  # here';

refused 'a misspelt guard of an app',
    qr/no app has a handler or dependency "guards:usr", did you mean "guards:user"\?/,
    @guards, location => 'async_access guards:usr;  # here';

refused 'a guard that is like nothing', qr/no app has a handler or dependency "unlike" in/,
    @guards, location => 'async_access unlike;  # here';

refused 'a guard that is neither',
    qr/"async_access" takes a handler or dependency, but "guards:job" is a task/,
    @guards, location => 'async_access job;  # here';

refused 'a handler that is a dependency',
    qr/"async_handler" takes a handler, but "guards:user" is a dependency/,
    @guards, location => 'async_handler user;  # here';

refused 'no guard', qr/invalid number of arguments in "async_access"/,
    @guards, location => 'async_access;  # here';

for my $both ("async_access guard;\nasync_access off;  # here", "async_access off;\nasync_access guard;  # here",
    'async_access guard off;  # here')
{
    refused "a guard and none: $both", qr/"async_access" directive .*"off"/, @guards, location => $both;
}

# ---- async_set

my $texts = $n->build_app(<<'EOF_C', 'texts');
#include <ngx_async.h>
ASYNC_DEPENDENCY(user, const char)  { return ASYNC_OK; }
BLOCKING_DEPENDENCY(slow_user, char)  { return ASYNC_OK; }
ASYNC_DEPENDENCY(number, int)  { return ASYNC_OK; }
ASYNC_HANDLER(hello)  { return async_text(req, 200, "hello"); }
EOF_C

my @texts = (http => "async_app $texts;");

accepted 'variables in all blocks', http => "async_app $texts; async_set \$a user; async_set \$b slow_user;",
    server => 'async_set $a off; location / { async_set $a texts:user; add_header X "$a$b"; }';

accepted 'a variable that "set" has, too', @texts,
    location => 'set $a ""; async_set $a user;';

refused 'a misspelt dependency', qr/no app has a dependency "usr", did you mean "user"\?/,
    @texts, location => 'async_set $a usr;  # here';

refused 'a value that is no text',
    qr/"async_set" takes a dependency of the type "const char", but "texts:number" gives "int"/,
    @texts, location => 'async_set $a number;  # here';

refused 'a handler for a variable', qr/"async_set" takes a dependency, but "texts:hello" is a handler/,
    @texts, location => 'async_set $a hello;  # here';

refused 'no variable', qr/"a" is no variable: it begins with "\$"/,
    @texts, location => 'async_set a user;  # here';

refused 'a variable twice', qr/"\$a" is set twice in the same block/,
    @texts, location => "async_set \$a user;\nasync_set \$a slow_user;  # here";

refused 'a variable of nginx', qr/the duplicate "host" variable/,
    @texts, location => 'async_set $host user;  # here';

# ---- places and names of directives

for my $directive ('async_route GET / hello', 'async_handler hello') {
    my ($name) = split ' ', $directive;

    refused "$name in http", qr/"$name" directive is not allowed here/,
        http => "$load\n$directive;  # here", location => '';
    refused "$name in server", qr/"$name" directive is not allowed here/,
        server => "$directive;  # here";
    refused "$name in if", qr/"$name" directive is not allowed here/,
        location => "if (\$arg_a) {\n$directive;  # here\n}";
}

for my $directive ('async_app x.so', 'async_stack_size 64k',
    'async_max_tasks 5', 'async_shutdown_timeout 5s')
{
    my ($name) = split ' ', $directive;

    refused "$name in server", qr/"$name" directive is not allowed here/,
        server => "$directive;  # here";
    refused "$name outside of http", qr/"$name" directive is not allowed here/,
        main => "$directive;  # here", location => '';
}

refused 'a misspelt directive', qr/unknown directive "async_rout"/,
    location => 'async_rout GET / hello;  # here';

refused 'async_route without a handler', qr/invalid number of arguments in "async_route"/,
    location => 'async_route GET /;  # here';

refused 'async_app without a file', qr/invalid number of arguments in "async_app"/,
    http => 'async_app;  # here', location => '';

# ---- an included file is named as itself

$n->write_file('conf/routes.conf', "\n\nasync_route GET /a helo;\n");

my ($status, $out) = test_conf(location =>
    "include $n->{root}/conf/routes.conf;");

is $status, 1, 'a mistake in an included file';
like $out, qr{"helo".* in \Q$n->{root}\E/conf/routes\.conf:3$}m,
    'is told with that file and its line';

done_testing;
