package NginxAsync::Torture;

=head1 NAME

NginxAsync::Torture - what the parts of util/torture have in common

=head1 SYNOPSIS

    my $t = NginxAsync::Torture->new(workers => 2, end => $time);
    my $n = $t->server(env => {...});         # t/apps/torture.c, all groups
    my $c = NginxAsync::Torture::one('ws');   # a case: { name, group, run }
    my ($verdict, $why) = $t->ask($n, $c);    # 'right', 'refused', 'hangs'

A request is right if the answer is; it is refused with another answer, or by a
connection that is closed; it hangs if neither comes within the bound.

=cut

use strict;
use warnings;

use Time::HiRes qw(time);

use NginxAsync;
use NginxAsync::Pg;
use NginxAsync::WebSocket;

# Seconds that a client waits for whatever is next, more than async_timeout: a
# libpq that has no memory for the end of a pipeline takes it for not there yet,
# so that only the deadline ends the await.
our $BOUND = $ENV{TORTURE_BOUND} // 20;

my $CONF_HTTP = <<'EOF_CONF';
    async_app $TEST_NGINX_APPS/torture.so;
    async_timeout 15s;
    async_channels size=256k;
    async_shared cache 1m;
    async_websocket_deflate on min=1;
    client_body_buffer_size 8k;
EOF_CONF

my $CONF_SERVER = <<'EOF_CONF';
    location /released {
        async_websocket_release on;
        async_route WS /released/echo echo;
        async_route WS /released/room room;
    }

    location / {
        async_param url http://127.0.0.1:$TEST_NGINX_SERVER_PORT/json;

        async_route GET /hello hello;
        async_route GET /blocking blocking;
        async_route GET "/params/{id}" params;
        async_route POST /json json;
        async_route PUT /json json;
        async_route POST /model model;
        async_route POST /blocking-model blocking_model;
        async_route POST /form form;
        async_route POST /pieces pieces;
        async_route GET /pg pg;
        async_route GET /transaction pg_transaction;
        async_route GET /pipeline pg_pipeline;
        async_route GET /rows pg_stream;
        async_route GET /fetch fetch;
        async_route GET /subrequest subrequest;
        async_route GET /null null;
        async_route GET /files files;
        async_route GET /send-file send_file;
        async_route GET /tasks tasks;
        async_route GET /process process;
        async_route GET /background background;
        async_route GET /stream stream;
        async_route GET /sse sse;
        async_route WS /echo echo;
        async_route WS /room room;
        async_route GET /channel channel;
        async_route GET /shared shared;
        async_route GET /count count;
        async_route GET /pairs pairs;
        async_route GET /depends depends;
        async_route GET /wait wait;
    }

    location = /guarded { async_access guard; async_handler guarded; }
    location = /variable { async_set $name name_of_user; async_handler variable; }
    location = /openapi.json { async_openapi title=Torture; }
    location = /docs { async_docs; }
EOF_CONF

my $ITEM = '{"name":"tea","n":3,"tags":["a","b"]}';

my $FORM = join "\r\n", '--xyz', 'Content-Disposition: form-data; name="title"', '', 'tea',
    '--xyz', 'Content-Disposition: form-data; name="file"; filename="a.txt"',
    'Content-Type: text/plain', '', 'file' x 5000, '--xyz--', '';


# ---- the cases

sub get {
    my ($uri, $answer) = @_;

    return sub { like_answer($_[0]->get($uri, timeout => $BOUND), $answer) };
}


sub post {
    my ($uri, $type, $body, $answer) = @_;

    return sub {
        like_answer($_[0]->post($uri, $body, headers => ['Content-Type' => $type],
            timeout => $BOUND), $answer);
    };
}


# True for the right answer; dies with what came instead.
sub like_answer {
    my ($r, $answer) = @_;

    $r->{complete} or die "the answer is cut off\n";
    $r->status == 200 or die 'status ', $r->status, "\n";
    $r->body =~ $answer or die '200 with another answer: ', substr($r->body, 0, 200), "\n";

    return 1;
}


# Two messages there and back, and an orderly end.  In a room there are others.
sub websocket {
    my ($n, $uri, %o) = @_;

    my $ws = NginxAsync::WebSocket->new($n, $uri, timeout => $BOUND, %o);
    my $tag = "$$-" . rand;

    $ws->deflate if $o{extensions};

    for my $text ("$tag hello", "$tag " . 'x' x 5000) {
        $o{extensions} ? $ws->packed(1, $text) : $ws->text($text);

        my $got;
        do { $got = $ws->message // die "closed\n" } while $uri =~ m{/room$} && $got !~ /^\Q$tag\E /;

        $got eq $text or die "200 with another answer: a wrong message\n";
    }

    my ($code) = $ws->close(1000, '');
    ($code // 0) == 1000 or die 'closed with ', $code // 'nothing', "\n";

    return 1;
}


my @cases = (
    [hello => get('/hello', qr/^right$/)],
    [blocking => get('/blocking', qr/^right$/)],
    [params => get('/params/5?n=6', qr/"sum": ?11/)],
    [json => post('/json', 'application/json', $ITEM, qr/right.*tea/)],
    [model => post('/model', 'application/json', $ITEM, qr/tea/)],
    [invalid => sub {
        my $r = $_[0]->post('/model', '{"name":"A","n":-1}', timeout => $BOUND,
            headers => ['Content-Type' => 'application/json']);
        $r->status == 422 or die 'status ', $r->status, "\n";
        return $r->body =~ /greater_than_equal/ || die "200 with another answer: ", $r->body, "\n";
    }],
    ['blocking-model' => post('/blocking-model', 'application/json', $ITEM, qr/tea/)],
    [form => post('/form', 'multipart/form-data; boundary=xyz', $FORM, qr/^right$/)],
    [pieces => post('/pieces', 'text/plain', 'x' x 20_000, qr/^right$/)],
    [pg => get('/pg', qr/two/), 'pg'],
    ['pg-transaction' => get('/transaction', qr/^right$/), 'pg'],
    ['pg-pipeline' => get('/pipeline', qr/^right$/), 'pg'],
    ['pg-stream' => get('/rows', qr/^right$/), 'pg'],
    ['pg-connect' => get('/pg', qr/two/), 'pg', 'connect'],
    [fetch => get('/fetch', qr/^right$/)],
    [subrequest => get('/subrequest', qr/^right$/)],
    [null => get('/null', qr/^right$/)],
    [files => get('/files', qr/^right$/)],
    ['send-file' => get('/send-file', qr/^right$/)],
    [tasks => get('/tasks', qr/^right$/)],
    [process => get('/process', qr/^right$/)],
    [background => get('/background', qr/^right$/)],
    [stream => get('/stream', qr/^right$/)],
    [sse => get('/sse', qr/data: right\ndata: yes/)],
    [ws => sub { websocket($_[0], '/echo') }],
    ['ws-deflate' => sub { websocket($_[0], '/echo', extensions => 'permessage-deflate') }],
    ['ws-channel' => sub { websocket($_[0], '/room') }],
    ['ws-released' => sub { websocket($_[0], '/released/echo') }],
    ['ws-released-deflate' => sub { websocket($_[0], '/released/echo', extensions => 'permessage-deflate') }],
    ['ws-released-channel' => sub { websocket($_[0], '/released/room') }],
    [channel => get('/channel', qr/^right$/)],
    [shared => get('/shared', qr/^right$/)],
    [count => get('/count', qr/"count"/)],
    [pairs => get('/pairs', qr/^right$/)],
    [wait => get('/wait', qr/^right$/)],
    [depends => get('/depends', qr/^right$/)],
    [access => get('/guarded', qr/^right$/)],
    [set => get('/variable', qr/^right$/)],
    [openapi => get('/openapi.json', qr/"Torture"/)],
    [docs => get('/docs', qr/openapi/i)],
);


sub cases { return map { { name => $_->[0], run => $_->[1], pg => $_->[2], first => $_->[3] } } @cases }

sub one {
    my ($name) = @_;

    my ($case) = grep { $_->{name} eq $name } cases();

    return $case // die "there is no case \"$name\"\n";
}


# ---- the server

# Options: workers, pg (whether there is a database), end (a time of day).
sub new {
    my ($class, %o) = @_;

    my $self = bless { workers => 1, pg => 1, %o }, $class;

    if ($self->{pg}) {
        $self->{database} = NginxAsync::Pg->new(max_connections => 60);
        $self->{database}->sql('CREATE TABLE items (name text, n int8)',
            "INSERT INTO items VALUES ('one', 1), ('two', 2)",
            'GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC');
    }

    return $self;
}


sub database { return $_[0]{database} }

# of the pool of each worker
sub connections { return 4 }

sub late { my ($self) = @_; return $self->{end} && time >= $self->{end} }


# A server that has not been started; options as those of NginxAsync.
sub server {
    my ($self, %o) = @_;

    my $http = $CONF_HTTP . (delete $o{http} // '');

    if ($self->{database}) {
        my $conninfo = $self->{database}->conninfo;
        $http .= "    async_pg db \"$conninfo\" connections=" . $self->connections . ";\n";
    }

    my $server = $CONF_SERVER;
    $server =~ s/^.*\bpg_.*\n|^.*\bpg;\n//mg if !$self->{database};

    my $n = NginxAsync->new(workers => $self->{workers}, connections => 1024,
        files => { 'right.txt' => 'right' }, %o,
        conf => { http => $http, server => $server });

    my $dir = $n->root . '/torture-files';
    mkdir $dir;
    chmod 0777, $dir;

    return $n;
}


# ---- asking

# ('right'), ('refused', why), ('hangs', why), ('wrong', why)
sub ask {
    my ($self, $n, $case) = @_;

    return 'right' if eval { $case->{run}->($n) };

    chomp(my $why = $@ || 'nothing');

    return ('hangs', $why) if $why =~ /^nothing came within|timed? ?out/i;
    return ('wrong', $why) if $why =~ /another answer/;
    return ('refused', $why);
}

1;
