#!/usr/bin/perl

# The pages of the directive async_docs, in a browser.  Screenshots of them are
# kept where TEST_NGINX_SCREENSHOTS says.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Uncompress::Gunzip qw(gunzip);
use Test::More;

use NginxAsync;
use NginxAsync::Browser;

my $nginx = NginxAsync->new(conf => {
    http   => 'async_app $TEST_NGINX_APPS/openapi.so;',
    server => <<'END',
        location / {
            async_route GET  "/me/{a:int}"        read_me;
            async_route POST /photos              add_photo;
            async_route POST /login               login;
            async_route POST /items/              create_item;
            async_route GET  "/items/{item_id}"   read_item;
            async_route GET,POST "/echo/{a}"      echo;
        }
        location = /docs         { async_docs; }
        location = /plain        { async_docs page=plain openapi=/api/openapi.json; }
        location = /lost         { async_docs page=plain openapi=/none.json; }
        location = /api/openapi.json { async_openapi "title=Test <b>of</b> it"; }
END
})->start;

my $base = 'http://127.0.0.1:' . $nginx->port(0);

# ---- HTTP

my $page = $nginx->get('/docs');

is $page->status, 200, 'the page is there';
is $page->header('content-type'), 'text/html; charset=utf-8', 'as HTML';
is $page->header('content-encoding'), undef, 'not compressed for who does not take it';
like $page->header('content-security-policy'), qr/default-src 'none'.*connect-src 'self'/,
    'nothing may come from another host';
is $nginx->get('/docs', headers => ['If-None-Match' => $page->header('etag')])->status, 304,
    'what has not changed is not sent again';
is $nginx->get('/docs?settings')->body, '{"openapi":"/api/openapi.json"}',
    'the document is that of async_openapi, where nothing else is said';
is $nginx->get('/lost?settings')->body, '{"openapi":"/none.json"}', 'or what is said';
is $nginx->head('/docs')->header('content-length'), length $page->body, 'HEAD';
is $nginx->post('/docs', 'x')->status, 405, 'POST is refused';

my $swagger = $page->body =~ /<!-- Swagger UI/;

SKIP: {
    skip 'the module has no Swagger UI', 3 if !$swagger;

    my $packed = $nginx->get('/docs', headers => ['Accept-Encoding' => 'gzip']);
    my ($in, $out) = $packed->body;

    gunzip(\$in, \$out);
    is $packed->header('content-encoding'), 'gzip', 'compressed for who takes it';
    is $packed->header('vary'), 'Accept-Encoding', 'caches are told';
    ok $out eq $page->body, 'it is the same';
}

# ---- the pages

my $browser;

SKIP: {
    if (my $why = NginxAsync::Browser::missing()) { skip $why, 1 }

    $browser = NginxAsync::Browser->new;

    subtest 'the plain page' => \&plain;
    subtest 'the plain page on a phone, in the dark' => \&phone;

    skip 'the module has no Swagger UI', 1 if !$swagger;

    subtest 'Swagger UI' => \&swagger;
}

sub shot {
    my ($name) = @_;

    $browser->screenshot("$ENV{TEST_NGINX_SCREENSHOTS}/$name.png") if $ENV{TEST_NGINX_SCREENSHOTS};
}

sub plain {
    $browser->open("$base/plain");
    is $browser->wait_text('h1', qr/Test/), 'Test <b>of</b> it 0.1.0', 'the title is text';
    is $browser->count('section > details.box .method'), 8, 'operations, by tag';

    my $echo = '[id="echo_echo__a__get"]';

    $browser->click("$echo summary");
    $browser->click("$echo button.send");
    like $browser->wait_text("$echo p.bad", qr/required/), qr/^a is required/,
        'what is required is asked for';
    $browser->type("$echo input[name=a]", 'x/y?z');
    $browser->click("$echo button.send");
    is $browser->wait_text("$echo .status", qr/\d/), '404 Not Found',
        'a parameter is one segment of the path';
    $browser->type("$echo input[name=a]", 'x y&z');
    $browser->click("$echo button.send");
    is $browser->wait_text("$echo .status", qr/200/), '200 OK', 'an answer';
    like $browser->text("$echo pre.answer"), qr/"method": "GET",\s+"a": "x y&z"/, 'with its body';
    shot('plain');

    my $me = '[id="read_me_me__a__get"]';

    $browser->click('#authorize summary');
    $browser->script('for (const i of document.querySelectorAll("#authorize input")) {
        i.value = "s" + i.type; i.dispatchEvent(new Event("input")); }');
    $browser->script('window.sent = []; const old = fetch; window.fetch = (url, options) => {
        sent.push([url, [...options.headers].map(h => h.join(": ")), String(options.body)]);
        return old(url, options); }');
    $browser->click("$me summary");
    $browser->type("$me input[name=a]", '7');
    $browser->type("$me input[name=limit]", '3');
    $browser->click("$me button.send");
    $browser->wait_text("$me .status", qr/\d/);

    my ($call) = @{ $browser->script('return sent') };

    is $call->[0], '/me/7?limit=3&offset=0', 'path, query and a default';
    like "@{ $call->[1] }", qr/^authorization: (?:Basic c3RleHQ6c3Bhc3N3b3Jk|Bearer spassword)/i,
        'who it is';

    my $items = '[id="make_item"]';

    $browser->click("$items summary");
    $browser->wait_text("$items button.send", qr{Send});
    like $browser->script("return document.querySelector('$items textarea').value"),
        qr/"name": "foo",.*"tags": \[\s+"a"\s+\]/s, 'a body to begin with';
    $browser->click("$items button.send");
    $browser->wait_text("$items .status", qr/\d/);
    like "@{ $browser->script('return sent.at(-1)[1]') }", qr{content-type: application/json}i, 'as JSON';

    my $photo = '[id="add_photo_photos_post"]';

    $browser->click("$photo summary");
    $browser->wait_text("$photo button.send", qr{Send});
    is $browser->count("$photo input[type=file]"), 2, 'files can be chosen';
    $browser->type("$photo input[name=photo]", $nginx->write_file('html/photo', 'click'));
    $browser->click("$photo button.send");
    $browser->wait_text("$photo .status", qr/\d/);
    is $browser->script('return sent.at(-1)[2]'), '[object FormData]', 'and are sent as a form';

    $browser->click('[id="model-Item-Input"] summary');
    like $browser->text('[id="model-Item-Input"] table'), qr/price \*\s+number, > 0|price \*.*number/s, 'models';

    my @requests = $browser->requests;

    is scalar(grep { m{^\Q$base\E/} } @requests), scalar(@requests), 'no other host is asked';
    is_deeply [grep { !/status of 4\d\d|status of 500/ } $browser->complaints], [], 'the console has no complaints';

    $browser->open("$base/lost");
    like $browser->wait_text('.bad', qr/./), qr{/none\.json gives 404}, 'a document that is not there';
    like join('', $browser->complaints), qr/404/, 'the console knows';
}

sub phone {
    $browser->view(width => 360, height => 740, dark => 1);

    $browser->open("$base/plain#make_item");
    $browser->wait_text('#make_item button.send', qr/Send/);
    ok $browser->script('return document.documentElement.scrollWidth <= 360'), 'nothing is cut off';
    is $browser->script('return getComputedStyle(document.body).backgroundColor'), 'rgb(20, 24, 31)', 'dark';
    shot('phone');
}

sub swagger {
    my $echo = '#operations-default-echo_echo__a__get';

    $browser->view(width => 1200, height => 900, dark => 0);
    $browser->open("$base/docs");
    like $browser->wait_text('.info .title', qr/Test/), qr/^Test <b>of<\/b> it/, 'the title';
    $browser->click("$echo .opblock-summary-control");
    $browser->click("$echo .try-out__btn");
    $browser->type("$echo input[placeholder=a]", 'word');
    $browser->click("$echo .btn.execute");
    is $browser->wait_text("$echo .live-responses-table tbody .response-col_status", qr/\d/), '200', 'an answer';
    like $browser->text("$echo .live-responses-table tbody .response-col_description"), qr/"a": "word"/, 'with its body';
    shot('swagger');

    my @requests = $browser->requests;

    is scalar(grep { m{^\Q$base\E/} } @requests), scalar(@requests), 'no other host is asked';
    is_deeply [$browser->complaints], [], 'the console has no complaints';
}

$browser->quit if $browser;
$nginx->stop;

# ---- wrong configurations

sub refused {
    my ($server, $like, $title) = @_;

    my $wrong = NginxAsync->new(conf => { server => $server }, allow => qr/\[emerg\]/);
    my ($status, $out) = $wrong->conf_test;

    is $status, 1, "$title: refused";
    like $out, qr/$like.* in \S+test\.conf:\d+/, $title;
}

refused('location = /d { async_docs opanapi=/x; }', 'unknown parameter "opanapi=", did you mean "openapi="\?',
    'a misspelt parameter');
refused('location = /d { async_docs openapi=//else.example/x; }', 'is no path of this server', 'another host');
refused('location = /d { async_docs page=none; }', 'this module has no page "none"', 'an unknown page');
refused('location = /d { async_docs; async_docs; }', 'is duplicate', 'the directive twice');
refused('location = /d { async_docs; proxy_pass http://127.0.0.1; }', '"async_docs" stands beside',
    'beside another module');

done_testing;
