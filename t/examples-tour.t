#!/usr/bin/perl

# The routes of the tour that call others, and what they answer when those are
# not as they should be.  t/tour.t has them as util/run serves them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::INET;
use POSIX ();
use Test::More;

use NginxAsync;
use NginxAsync::Example;

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
my $nginx = NginxAsync->new(conf => example_conf('tour', $so,
    'tour.so;' => "$so; async_fetch_read_timeout 300ms;",
    'unix:upstream/upstream.sock;' => '127.0.0.1:' . $listen->sockport
        . ' max_fails=0;'))->start;

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

done_testing();
