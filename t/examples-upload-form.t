#!/usr/bin/perl

# examples/upload-form, under its own nginx.conf; what its README shows; and its
# page, where there is a browser.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP qw(decode_json);
use Test::More;

use NginxAsync;
use NginxAsync::Example;
use NginxAsync::Say qw(json);

my $so = example_app('upload-form');
ok -f $so, 'it compiles';

my $n = NginxAsync->new(conf => example_conf('upload-form', $so));
mkdir $n->root . '/store';
chmod 0777, $n->root . '/store';
$n->start;

is readme_holds('upload-form', $n), 4, 'all that it shows';

like $n->get('/')->body, qr{<form method="post" enctype="multipart/form-data">}, 'the page';

sub post {
    my (@parts) = @_;
    my $body = join '', map { "--xyz\r\nContent-Disposition: form-data; $_->[0]\r\n\r\n$_->[1]\r\n" }
        @parts;
    return $n->request('POST', '/', headers => ['Content-Type', 'multipart/form-data; boundary=xyz'],
        body => "$body--xyz--\r\n", timeout => 30);
}

sub saved { my (@parts) = @_; return [map { $_->{name} } @{ json(post(@parts))->{saved} }] }

my $large = "\0\r\n" x 700_000;
is_deeply saved(['name=title', 'x'], ['name=photo; filename=large', $large]), ['large'],
    'a large file';
ok $n->read_file('store/large') eq $large, '... is there';
is_deeply saved(['name=title', 'x'], ["name=photo; filename=\"$_->[0]\"", 1]), [$_->[1]],
    "a file called $_->[0]"
    for ['../../x', 'x'], ['..', '_..'], ['.hidden', '_.hidden'], ['C:\\dir\\y', 'y'], ['a%0Ab', 'a_b'];
is post(['name=title', 'x'], ['name=photo; filename=' . 'n' x 300, 1])->status, 400,
    '... or with a name that is too long';
is post(['name=title', 'x'], ['name=photo; filename=""', ''])->status, 422, 'no file chosen';
is post(['name=title', 'x'], ['name=photo; filename=x', 1], map { ["name=files; filename=$_", 1] }
    1 .. 11)->status, 422, 'too many files';

$n->stop;

done_testing;
