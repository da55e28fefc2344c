#!/usr/bin/perl

# The routes of the tour that call others, or a database, and what they answer
# when those are not as they should be.  t/tour.t has them as util/run serves them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::INET;
use POSIX ();
use Test::More;

use NginxAsync;
use NginxAsync::Example;
use NginxAsync::Pg;

# ---- the API of somebody else: what it answers stands in a file

my $dir    = NginxAsync::Guard::temp_dir('tour');
my $listen = IO::Socket::INET->new(Listen => 20, LocalAddr => '127.0.0.1')
    or die "listen: $!";

my $server = fork // die "fork: $!";

if ($server == 0) {
    $SIG{$_} = 'DEFAULT' for qw(HUP INT TERM);
    $SIG{PIPE} = 'IGNORE';
    alarm 120;

    while (my $c = $listen->accept) {
        my $head = '';

        while ($head !~ /\r\n\r\n/) {
            sysread $c, $head, 4096, length $head or last;
        }

        my $answer = NginxAsync::Env::slurp("$dir/answer");
        syswrite $c, $answer;
        sleep 10 if $answer eq '';
    }

    POSIX::_exit(0);
}

END {
    if ($server) {
        my $status = $?;
        kill 'KILL', $server;
        waitpid $server, 0;
        $? = $status;
    }
}

sub says {
    my ($status, $body, @fields) = @_;

    open my $out, '>', "$dir/answer" or die "$dir/answer: $!";
    print $out join "\r\n", "HTTP/1.1 $status", @fields, 'Connection: close',
        'Content-Length: ' . length $body, '', $body if $status;
    close $out;
}

my $so    = example_app('tour');
my $notes = NginxAsync->build_app("$NginxAsync::Env::Root/examples/tour/notes.c");

sub tour {
    my ($conninfo) = @_;

    return NginxAsync->new(conf => example_conf('tour', $so,
        'tour.so;' => "$so; async_fetch_read_timeout 300ms;",
        'notes.so;' => "$notes;", '"dbname=notes"' => qq("$conninfo"),
        'unix:upstream/upstream.sock;' => '127.0.0.1:' . $listen->sockport
            . ' max_fails=0;'))->start;
}

my $nginx = tour("host=$dir");

sub answers {
    my ($uri, $status, $body, $title) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $r = $nginx->get($uri);
    is $r->status, $status, "$uri: $title";
    is $r->body, $body, '... and says so' if defined $body;
}

my $failed = '{"detail":"Internal Server Error"}';

says(200, '{"id": 1}');
answers('/external', 200, '{"id":1}', 'JSON is passed on');
answers('/call-other-api', 200, '{"status":200}', 'the status');
answers('/call-external-api', 200,
    '{"external":{"id":1},"message":"Data fetched"}', 'JSON, wrapped');

for my $status (302, 404, 503) {
    says($status, '{"no":1}', 'Location: /else');
    answers('/external', 200, '{"no":1}', "$status: its JSON is passed on");
    answers('/call-other-api', 200, qq({"status":$status}),
        "$status is told, and not followed");
    answers('/call-external-api', 500, $failed, "$status is an error");
}

says(200, '<html>');
answers('/external', 500, $failed, 'no JSON');
answers('/call-external-api', 500, $failed, 'no JSON');
answers('/call-other-api', 200, '{"status":200}', 'no JSON is no matter');

says(0, '');
answers('/call-external-api', 500, $failed, 'no answer in time');
answers('/external', 504, undef, 'no answer in time');

like_log $nginx, 0, qr/not within 300 ms/, 'the log knows why';
like_log $nginx, 0, qr{http://api/todos/1 answered 503},
    '... and of what answered what';

# ---- the database

like_log $nginx, 0, qr/startup "notes:connect_database" failed/, 'there is no database';
is $nginx->get('/notes/')->status, 503, '... and no notes';
$nginx->stop;

subtest 'the database' => sub {
    my $why = NginxAsync::Pg::missing();
    plan skip_all => $why if $why;

    my $pg  = NginxAsync::Pg->new(databases => ['notes']);
    my $out = $pg->client_sql($pg->conninfo, example_text('tour/notes.sql'));
    is $? >> 8, 0, 'notes.sql' or diag $out;

    $pg->stop;
    $nginx = tour($pg->conninfo);
    like_log $nginx, 0, qr/startup "notes:connect_database" failed/, 'no database yet';
    answers('/hello', 200, '{"message":"Hello!"}', 'is answered all the same');
    answers('/notes/', 503, undef, 'is not');
    like $nginx->get('/notes/')->header('Retry-After'), qr/^\d+$/, '... and says when';

    $pg->start;
    ok $nginx->wait_until(sub { $nginx->get('/notes/')->status == 200 }), 'and then it is there';
    answers('/notes/', 200, '[{"id":1,"text":"a","completed":true},'
        . '{"id":2,"text":"b","completed":false}]', 'all notes');
    answers('/items/2', 200, '{"id":2,"name":"Bar"}', 'a named parameter');
    answers('/items/3', 200, 'null', 'no such row');
    answers('/items/x', 422, undef, 'no number');

    my $r = $nginx->get('/notes?a=1');
    is_deeply [$r->status, $r->header('Location')], [307, '/notes/?a=1'], 'a slash that is missing';

    $pg->sql('DELETE FROM notes');
    answers('/notes/', 200, '[]', 'no notes');
    $nginx->stop;

    $nginx = tour($pg->conninfo);
    ok $pg->wait_for_backends(1, application_name => 'nginx-async'),
        'it is connected to before the first request';
    $nginx->stop;
    like_log $nginx, 0, qr/no note will be read any more/, 'the shutdown function runs';
    ok $pg->wait_for_backends(0, application_name => 'nginx-async'), '... and nothing is left';
};

done_testing();
