#!/usr/bin/perl

# W3C Trace Context: what fetches send of what a request has brought, async_trace,
# the variables, and the error log.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use NginxAsync;
use NginxAsync::Others qw(server mirror answers);

my $id = '4bf92f3577b34da6a3ce929d0e0e4736';
my $parent = '00f067aa0ba902b7';
my $came = "00-$id-$parent-01";

my $to = 'http://' . server(\&mirror) . '/';

my $handlers = join '', map { "location = /$_ { async_handler vars:$_; }\n" }
    qw(fetches child_fetches thread_fetches subrequests leaves says thread_says variable fails);
my $log = 'access_log $TEST_NGINX_SERVER_ROOT/logs/trace.log trace;';

my $n = NginxAsync->new(files => { 'a.txt' => 'a file' }, conf => { location_root => 1,
    http => <<'EOF_HTTP', server => <<"EOF_SERVER" })->start;
    async_app $TEST_NGINX_APPS/vars.so;
    log_format trace '$request_uri $async_trace_id $async_span_id $async_parent_id $async_traceparent';
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        async_trace on;
        access_log $TEST_NGINX_SERVER_ROOT/logs/trace.log trace;
        location = /fetches { async_handler vars:fetches; }
        location = /leaves { async_handler vars:leaves; }
        location = /says { async_handler vars:says; }
        location = /variable { async_handler vars:variable; }
        location = /subrequests { async_handler vars:subrequests; }
        location = /proxy { proxy_set_header traceparent $async_traceparent;
                            proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_2/told; }
    }
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_2;
        location = /told { return 200 $http_traceparent; }
    }
EOF_HTTP
    $log
    location = /off { async_trace off; async_handler vars:fetches; }
    location = /off-says { async_trace off; async_handler vars:says; }
    location = /set { set \$x 1; async_access vars:guard; async_handler vars:fetches; }
    $handlers
EOF_SERVER

my $on = $n->port(1);

sub traces { return map { ('traceparent', $_) } @_ }

# The fields of trace context in the text of a request, in their order.
sub sent {
    my ($text) = @_;
    return join "\n", grep { /^trace/i } split /\r\n/, $text;
}


sub fetched {
    my ($path, @headers) = @_;
    return sent($n->get($path, headers => ['X-Url', $to, @headers])->body);
}


sub on {
    my ($path, @headers) = @_;
    return $n->get($path, port => $on, headers => ['X-Url', $to, @headers]);
}

# ---- pass, which is the default

subtest 'what came goes on' => sub {
    is fetched('/fetches'), '', 'nothing came, nothing goes';
    is fetched('/fetches', traces($came)), "traceparent: $came", 'a trace';
    is fetched('/fetches', traces("00-$id-$parent-00")), "traceparent: 00-$id-$parent-00", '... not sampled';
    is fetched('/fetches', 'TraceParent', $came), "traceparent: $came", '... in any case';
    is fetched('/fetches', traces($came), tracestate => 'a=1,b@c=2'),
        "traceparent: $came\ntracestate: a=1,b\@c=2", '... with its state';
    is fetched('/fetches', traces($came), tracestate => 'a=1', tracestate => 'b=2, c=3'),
        "traceparent: $came\ntracestate: a=1,b=2, c=3", '... in several fields';
    is fetched('/fetches', tracestate => 'a=1'), '', 'a state alone is none';
    is fetched($_, traces($came)), "traceparent: $came", $_ for qw(/child_fetches /thread_fetches /set);
    is fetched('/fetches', traces($came), 'X-Source', 1), "traceparent: $came", 'with a body';
    is fetched('/off', traces($came)), '', 'async_trace off';
};

subtest 'what is no trace' => sub {
    my %wrong = (
        'short'                  => substr($came, 0, -1),
        'long'                   => "$came-00",
        'version ff'             => "ff-$id-$parent-01",
        'version in capitals'    => "CC-$id-$parent-01",
        'an id of zero'          => '00-' . '0' x 32 . "-$parent-01",
        'a parent of zero'       => "00-$id-" . '0' x 16 . '-01',
        'an id in capitals'      => '00-' . uc($id) . "-$parent-01",
        'a parent in capitals'   => "00-$id-" . uc($parent) . '-01',
        'flags in capitals'      => "00-$id-$parent-0A",
        'an id with a letter'    => '00-g' . substr($id, 1) . "-$parent-01",
        'a later version joined' => "01-$id-$parent-01x",
        'other dashes'           => "00_$id-$parent-01",
        'dashes at other places' => '00-' . substr($id, 1) . "-a$parent-01",
        'nothing'                => '',
    );

    is fetched('/fetches', traces($wrong{$_}), tracestate => 'a=1'), '', $_ for sort keys %wrong;
    is fetched('/fetches', traces($came, $came)), '', 'two of them';
};

subtest 'later versions' => sub {
    is fetched('/fetches', traces($_)), "traceparent: $_", $_
        for "01-$id-$parent-01", "cc-$id-$parent-01-what-comes", "fe-$id-$parent-ff-";
};

subtest 'states' => sub {
    my $key = 'k' x 256;
    my $most = join ',', map { "k$_=1" } 1 .. 32;

    for ('a=1', '0a=1', 'a_-*/9=!"#~', 'a=b c', ' a=1 ,, b=2', "$key=1", 'a=' . 'v' x 256, $most,
        't' x 241 . '@' . 's' x 14 . '=1')
    {
        my $sent = fetched('/fetches', traces($came), tracestate => $_);
        is $sent, "traceparent: $came\ntracestate: " . s/^ +| +$//gr, 'fine: ' . substr $_, 0, 20;
    }

    for ('', 'a', 'a=', '=1', 'A=1', 'a=1=2', 'a b=1', 'a=1,B=2', '@a=1', 'a@=1', 'a@1=1', 'a@b@c=1', '_a=1',
        "k$key=1", 'a=' . 'v' x 257, "$most,z=1", 't' x 242 . '@s=1', 'a@' . 's' x 15 . '=1', "a=\xe4", "a=b\tc")
    {
        is fetched('/fetches', traces($came), tracestate => $_), "traceparent: $came",
            'not passed on: ' . substr $_, 0, 20;
    }
};

subtest 'the own words of a caller' => sub {
    my $own = "00-$id-aaaaaaaaaaaaaaaa-00";
    is fetched('/fetches', traces($came), 'X-Own', $own, tracestate => 'a=1'), "TraceParent: $own",
        'count alone';
};

subtest 'redirects' => sub {
    my $leads = server(answers("HTTP/1.1 302 Found\r\nLocation: $to\r\nContent-Length: 0\r\n\r\n"));
    is sent($n->get('/fetches',
        headers => ['X-Url', "http://$leads/", traces($came)])->body), "traceparent: $came",
        'it goes on to another host';
};

subtest 'subrequests' => sub {
    is sent($n->get('/subrequests', headers => ['X-To', '/fetches', 'X-Url', $to, traces($came)])->body),
        "traceparent: $came", 'have the trace of their request';
};

# ---- on

subtest 'a span of its own' => sub {
    my $sent = sent(on('/fetches')->body);
    like $sent, qr/^traceparent: 00-[0-9a-f]{32}-[0-9a-f]{16}-01$/, 'a request begins a trace';
    isnt sent(on('/fetches')->body), $sent, '... each one of its own';
    isnt substr($sent, 16, 32), '0' x 32, '... which is some';

    my $same = sent(on('/fetches', traces($came), tracestate => 'a=1')->body);
    like $same, qr/^traceparent: 00-$id-(?!$parent)[0-9a-f]{16}-01\ntracestate: a=1$/,
        'what came goes on, with another parent';
    like sent(on('/fetches', traces("00-$id-$parent-00"))->body), qr/-00$/, '... and its flag';
    like sent(on('/fetches', traces("cc-$id-$parent-ff-more"))->body), qr/^traceparent: 00-$id-\w{16}-01$/,
        '... in the version that we know';

    my $new = sent(on('/fetches', traces("ff-$id-$parent-01"), tracestate => 'a=1')->body);
    like $new, qr/^traceparent: 00-(?!$id)\w{32}-\w{16}-01$/, 'what is no trace begins a new one';
    is sent(on('/fetches', 'X-Own', $came)->body), "TraceParent: $came", 'the own words of a caller';

    like on('/proxy', traces($came))->body, qr/^00-$id-(?!$parent)\w{16}-01$/, 'a proxy';
    like on('/subrequests', 'X-To', '/proxy', traces($came))->body, qr/^00-$id-(?!$parent)\w{16}-01$/,
        '... of a subrequest';
};

subtest 'a trace is new for each request' => sub {
    my %seen;
    $seen{ on('/variable?name=async_trace_id')->body }++ for 1 .. 100;
    is keys %seen, 100, 'also when the kernel is asked again';
};

# ---- variables

sub line {
    my ($uri) = @_;
    my $line;
    $n->wait_until(sub { ($line) = eval { $n->read_file('logs/trace.log') } =~ /^\Q$uri\E (.*)$/m });
    return $line;
}

subtest 'variables' => sub {
    $n->get('/says?1', headers => [traces($came)]);
    is line('/says?1'), "$id - $parent $came", 'of what came';
    $n->get('/says?2');
    is line('/says?2'), '- - - -', '... of nothing';
    $n->get('/a.txt?3', headers => [traces($came)]);
    is line('/a.txt?3'), "$id - $parent $came", '... of what others answer';
    $n->get('/off-says?4', headers => [traces($came)]);
    is line('/off-says?4'), '- - - -', '... off';

    my ($span) = on('/fetches?5', traces($came))->body =~ /-(\w{16})-01\r\n/;
    is line("/fetches?5"), "$id $span $parent 00-$id-$span-01", "of a span, and of its parent";
    on('/says?6');
    like line('/says?6'), qr/^(\w{32}) (\w{16}) - 00-\1-\2-01$/, '... that has none';

    is $n->get('/variable?name=async_trace_id', headers => [traces($came)])->body, $id, 'async_var()';
};

# ---- the error log

subtest 'the error log' => sub {
    my $since = $n->mark;
    $n->get('/says', headers => [traces($came)]);
    like_log $n, $since, qr/a line of a handler.* host: [^\n]*, trace: "$id"$/m, 'a line of a handler';
    $n->get('/thread_says', headers => [traces($came)]);
    like_log $n, $since, qr/a line of a thread.*, trace: "$id"$/m, '... of a thread';
    $n->get('/fails', headers => [traces($came)]);
    like_log $n, $since, qr/vars:fails.* failed.*, trace: "$id"$/m, '... of the module';

    $since = $n->mark;
    $n->get('/off-says', headers => [traces($came)]);
    $n->get('/says', headers => [traces("ff-$id-$parent-01")]);
    like_log $n, $since, qr/a line of a handler.*a line of a handler/s, 'lines of others';
    unlike $n->log($since), qr/trace: /, '... have none';

    $since = $n->mark;
    on('/says?log');
    my ($mine) = split ' ', line('/says?log');
    like_log $n, $since, qr/a line of a handler.*, trace: "$mine"$/m, 'of a trace that begins here';
};

subtest 'in the background' => sub {
    my $since = $n->mark;
    is $n->get('/leaves', headers => ['X-Url', $to, traces($came), tracestate => 'a=1'])->status, 202, 'left';
    like_log $n, $since, qr/fetched: .*traceparent: $came\\x0D\\x0Atracestate: a=1\\x0D.*, trace: "$id"$/m,
        'what a request leaves behind is of its trace';
    like_log $n, $since, qr/in the background, trace: "$id"$/m, '... as its lines say';

    $since = $n->mark;
    $n->get('/leaves', headers => ['X-Url', $to]);
    like_log $n, $since, qr/fetched: /, 'of no trace';
    unlike $n->log($since), qr/trace/, '... nothing';

    $since = $n->mark;
    on('/leaves', traces($came));
    like_log $n, $since, qr/fetched: .*traceparent: 00-$id-(?!$parent)\w{16}-01\\x0D/, 'of a span';
};

for (['maybe' => qr/invalid value "maybe"/], ['on; async_trace off' => qr/"async_trace" directive is duplicate/]) {
    my ($value, $error) = @$_;
    my $m = NginxAsync->new(allow => '[emerg]', conf => { http => "async_trace $value;", server => '' });
    my ($status, $output) = $m->conf_test;
    like $output, $error, "async_trace $value";
}

$n->stop;
done_testing;
