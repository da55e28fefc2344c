#!/usr/bin/perl

# examples/files, a store of files by PUT, GET and DELETE, under its own
# nginx.conf; and what its README shows.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use NginxAsync;
use NginxAsync::Example;

my $so = example_app('files');
ok -f $so, 'it compiles';

my $n = NginxAsync->new(conf => example_conf('files', $so));
mkdir $n->root . '/store';
chmod 0777, $n->root . '/store';
$n->start;

is readme_holds('files', $n), 10, 'all that it shows';

sub put_file {
    my ($n, $uri, $body, @headers) = @_;
    return $n->request('PUT', "/files/$uri", body => $body,
        headers => [@headers], timeout => 60)->status;
}

my $text = "\0\xff\r\n" x (2 * 1024 * 1024);
is put_file($n, 'a/b/c/large', $text), 201, '8 MB, three folders down';
ok $n->get('/files/a/b/c/large', timeout => 60)->body eq $text,
    '... come back';
is $n->head('/files/a/b/c/large')->header('Content-Length'), length $text,
    '... HEAD, too';
is $n->connect->send_request('PUT', '/files/x', headers =>
    ['Content-Length', 10 * 1024 * 1024 + 1])->response->status, 413,
    'too large';
is put_file($n, 'empty', ''), 201, 'an empty file';
is $n->get('/files/empty')->status, 200, '... is one';
is put_file($n, 'a', 'x'), 409, 'a folder is no file';
is put_file($n, 'empty/x', 'x'), 404, 'a file is no folder';
is put_file($n, 'a/', 'x'), 409, 'a name is needed';
is put_file($n, '', 'x'), 404, '... really';
is put_file($n, 'n' x 300, 'x'), 414, 'a name that is too long';
is $n->get('/files/' . 'n/' x 600)->status, 404, 'a long path';

symlink '/etc', $n->root . '/store/etc';
is $n->get('/files/etc/passwd')->status, 403, 'a link that leads out';
is put_file($n, 'etc/x', 'x'), 403, '... to be written';
is $n->request('DELETE', '/files/etc')->status, 204, '... is deleted';
ok -d '/etc', '... and not what it is to';

for ('/files/../etc/passwd', '/files/..%2fetc/passwd',
    '/files/%2e%2e/etc/passwd', '/files/..%2f..%2fetc/passwd',
    '/files//etc/passwd', '/files/a/..%00/b')
{
    like $n->get($_)->status, qr/^40[034]$/, $_;
}

my @c = map { $n->connect(timeout => 30)->send_request('PUT',
    '/files/new/one', headers => ['If-None-Match', '*'], body => $_) }
    1 .. 20;
is join(' ', sort map { $_->response->status } @c),
    join(' ', 201, (412) x 19), 'of twenty who put a new file one does';

is $n->request('DELETE', '/files/new/one')->status, 204, 'deleted';
is $n->request('DELETE', '/files/new/one')->status, 404, '... once';
is $n->request('DELETE', '/files/new/')->status, 204, 'a folder';
is $n->request('DELETE', '/files/new')->status, 404, '... once';
is $n->get('/files/')->body =~ tr/{//, 3, 'what is left';

$n->stop;

done_testing;
