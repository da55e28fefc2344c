#!/usr/bin/perl

# Shared dictionaries: what is set, got, counted and deleted, by whichever
# worker; what gives way; one loader of many who ask, in one worker and in
# several; the directive.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use NginxAsync;
use NginxAsync::Say qw(said says);

my $routes = join '', map { "async_route GET /$_ $_;\n" }
    qw(pid get set add incr delete_key fill load crowd before failures churn wrong);

sub nginx {
    my ($shared, %o) = @_;

    return NginxAsync->new(%o, conf => {
        http => "async_app \$TEST_NGINX_APPS/shared.so;\n$shared",
        server => "location / {\n $routes }\n"
            . "location /short/ { async_timeout 300ms;\n"
            . " async_route GET /short/load load; }" });
}

my $n = nginx("async_shared cache 256k;\nasync_shared control 64k;\n",
    workers => 2)->start;

# Connections that stay, some in each worker.
my %kept;

sub at {
    my ($pid) = @_;

    for (1 .. 500) {
        return pop @{ $kept{$pid} } if @{ $kept{$pid} // [] };

        my $c = $n->connect(timeout => 30);
        push @{ $kept{ $c->request('GET', '/pid')->body } }, $c;
    }

    die "no connection to worker $pid";
}

my ($one, $other) = sort { $a <=> $b } $n->workers(2);

# The answer of a worker.
sub ask {
    my ($pid, $uri) = @_;

    my $c = at($pid);
    my $body = $c->request('GET', $uri)->body;
    push @{ $kept{$pid} }, $c;

    return $body;
}

# Begun; the answer is read later.
sub asks {
    my ($pid, $uri) = @_;

    return bless { pid => $pid, c => at($pid)->send_request('GET', $uri) }, 'Asked';
}

sub Asked::answer {
    my ($a) = @_;

    my $body = $a->{c}->response->body;
    push @{ $kept{ $a->{pid} } }, $a->{c};

    return $body;
}

sub answers { return join ', ', map { $_->answer } @_ }

# Which workers have loaded a key.
sub loads {
    my ($key, $since) = @_;

    return [map { /^load \Q$key\E (\d+)$/ ? $1 : () } @{ said($n, $since) }];
}

sub go { my ($key) = @_; return ask($one, "/set?d=control&key=$key") }

# A worker has begun all that was asked of it before: its connections are served
# in turn.
sub fence { ask($_, '/incr?key=fence&by=1') for @_; return }

# ---- values

is ask($one, '/get?key=a'), 'ok (absent)', 'what nobody has set is absent';
is ask($one, '/set?key=a&value=first'), 'ok ', 'a value is set';
is ask($one, '/get?key=a'), 'ok first', '... and got';
is ask($other, '/get?key=a'), 'ok first', '... by another worker, too';
is ask($other, '/set?key=a&value=second'), 'ok ', 'it sets another one';
is ask($one, '/get?key=a'), 'ok second', '... which is got';
is ask($one, '/get?d=control&key=a'), 'ok (absent)', 'not in another dictionary';
is ask($one, '/delete_key?key=a'), 'ok ', 'a value is deleted';
is ask($other, '/get?key=a'), 'ok (absent)', '... for all';
is ask($one, '/delete_key?key=a'), 'ok ', '... twice';
is ask($one, '/set?key=empty'), 'ok ', 'an empty value';
is ask($other, '/get?key=empty'), 'ok ', '... is not absent';

is ask($one, '/add?key=b&value=mine'), 'ok ', 'a value is added';
like ask($other, '/add?key=b&value=yours'), qr/^BUSY there is a value of this key$/, '... once';
is ask($other, '/get?key=b'), 'ok mine', '... and stays';

my $key = 'k' x 255;

is ask($one, "/set?key=$key&value=long"), 'ok ', 'a key of 255 bytes';
is ask($other, "/get?key=$key"), 'ok long', '... is found';
like ask($one, "/set?key=${key}k"), qr/^ERROR a key has 1 to 255 bytes, not 256$/, '256 are too many';
like ask($one, '/get?key='), qr/^ERROR a key has 1 to 255 bytes, not 0$/, 'and none too few';

is ask($one, '/set?key=big&size=65536'), 'ok ', 'a quarter of the dictionary';
is ask($other, '/get?key=big'), 'ok ' . 'x' x 65536, '... is got whole';
like ask($one, '/set?key=big&size=65537'),
    qr/^INVALID the value has 65537 bytes, "async_shared cache" takes 65536$/, 'no more';
is length ask($one, '/get?key=big'), 65539, '... the old one stays';

# ---- numbers

is ask($one, '/incr?key=n&by=5'), 'ok 5', 'a count begins at 0';
is ask($other, '/incr?key=n&by=-7'), 'ok -2', '... and goes on in another worker';
is ask($one, '/get?key=n'), 'ok -2', '... and is got as its digits';
is ask($one, '/set?key=n&value=41'), 'ok ', 'digits are set';
is ask($one, '/incr?key=n&by=1'), 'ok 42', '... and counted';
like ask($one, '/add?key=n&value=1'), qr/^BUSY/, '... and are a value';

is ask($one, "/set?key=n&value=$_"), 'ok ', "\"$_\"" for '-9223372036854775808';
is ask($one, '/incr?key=n&by=0'), 'ok -9223372036854775808', '... is a number';
like ask($one, '/incr?key=n&by=-1'),
    qr/^INVALID -9223372036854775808 and -1 are too much$/, '... the least';

for my $text ('x', '1x', '-', '', '%2B1', '1.0', '9223372036854775808', '%201', '1' x 30) {
    ask($one, "/set?key=n&value=$text");
    is ask($one, '/incr?key=n&by=1'), 'INVALID the value of this key is no number', "\"$text\" is none";
    is ask($one, '/get?key=n'), 'ok ' . $text =~ s/%(..)/chr hex $1/er, '... and stays';
}

# ---- times

is ask($one, '/set?key=t&value=brief&ttl=50'), 'ok ', 'a value with an end';
ok $n->wait_until(sub { ask($other, '/get?key=t') eq 'ok (absent)' }), '... has one';
is ask($one, '/add?key=t&value=next&ttl=600000'), 'ok ', '... and another one takes its place';
is ask($one, '/get?key=t'), 'ok next', '... which stays';

is ask($one, '/incr?key=tn&by=1&ttl=50'), 'ok 1', 'a count with an end';
ok $n->wait_until(sub { ask($other, '/get?key=tn') eq 'ok (absent)' }), '... has one, too';
is ask($one, '/incr?key=tn&by=1'), 'ok 1', '... and begins anew';

ask($one, '/set?key=td&value=7&ttl=100');
is ask($one, '/incr?key=td&by=1&ttl=600000'), 'ok 8', 'a count of what has an end';
ok $n->wait_until(sub { ask($other, '/get?key=td') eq 'ok (absent)' }), '... keeps that';

# ---- what gives way

{
    ask($one, '/delete_key?key=big');
    ask($one, "/set?key=$_&value=$_") for qw(used unused);

    for my $i (1 .. 30) {
        ask($other, '/fill?n=50&d=cache') if $i == 1;
        ask($i % 2 ? $one : $other, '/set?key=' . "more$i&size=8000");
        ask($other, '/get?key=used');
    }

    ask($other, '/get?key=used');
    is ask($one, '/get?key=used'), 'ok used', 'what is used stays';
    is ask($one, '/fill?n=2000'), 'ok ', 'many values are set';
    is ask($one, '/get?key=unused'), 'ok (absent)', 'what is not used has given way';
    is ask($one, '/get?key=fill%201999'), 'ok ' . 'v' x 200, 'the last one is there';
}

# ---- what is wrong

is ask($one, '/get?d=cahce&key=a'),
    'ERROR there is no "async_shared cahce", did you mean "cache"?', 'a name that is not there';
is ask($one, '/set?d=nothing&key=a'), 'ERROR there is no "async_shared nothing"', '... and is near none';
is ask($one, '/load?d=cach&key=a'),
    'ERROR there is no "async_shared cach", did you mean "cache"?', '... for a loader';
is ask($one, '/wrong?what=ttl'), 'ERROR the ttl is -5 ms', 'a time that is none';
is ask($one, '/wrong?what=loader'), 'ERROR there is no function that loads', 'no loader';
like ask($one, '/wrong?what=loader-ttl'), qr/^ERROR .*-7/, 'a time of a loader that is none';

# ---- loaders

is ask($one, '/load?key=l1&value=v1'), 'ok v1', 'a value is loaded';
is ask($other, '/load?key=l1&value=v2'), 'ok v1', '... once for all workers';
is ask($other, '/get?key=l1'), 'ok v1', '... and is a value like others';
is_deeply loads('l1'), [$one], '... by the one who has asked';

is ask($one, '/load?key=l2&mode=none'), 'ERROR the loader has left no value', 'a loader without a value';
like ask($one, '/load?key=l2&size=70000'), qr/^INVALID the value has 70000 bytes/, '... with too much';
is ask($one, '/load?key=l2&value=fine'), 'ok fine', '... the next one loads';

is ask($one, '/load?key=self&mode=self'), 'ERROR a loader asks for the key that it loads',
    'a loader that waits for itself';
is ask($one, '/load?key=child&mode=child'), 'ERROR a loader asks for the key that it loads',
    '... or a child of it';
is ask($one, '/load?key=again&mode=again'), 'ERROR a loader asks for the key that it loads',
    '... also when it has deleted that key';
is ask($one, '/load?key=from&mode=other&value=both'), 'ok both', 'a loader may ask for another key';
is ask($one, '/get?key=another'), 'ok both', '... which is kept, too';

{
    my $since = $n->mark;
    my $first = asks($one, '/crowd?key=crowd&mode=gate');
    says($n, qr/load crowd \d+/, $since);

    my $second = asks($other, '/crowd?key=crowd&mode=gate');
    says($n, "crowd $_", $since) for $one, $other;

    is scalar @{ loads('crowd', $since) }, 1, 'of 200 tasks of two workers one loads';
    go('crowd');
    is answers($first, $second), 'ok 100, ok 100', '... and all have the value';
    is scalar @{ loads('crowd', $since) }, 1, '... still one';
}

{
    my $since = $n->mark;
    my @all = (asks($one, '/load?key=fails&mode=fail'));
    says($n, "load fails $one", $since);
    push @all, asks($_, '/load?key=fails&mode=fail') for $one, $other, $other;

    fence($one, $other);
    go('fails');

    is answers(@all), 'CLOSED no luck, ERROR no luck, ERROR no luck, ERROR no luck',
        'a loader fails, for all who wait';
    is_deeply loads('fails', $since), [$one], '... none of whom has tried again';
    is ask($other, '/load?key=fails&value=now'), 'ok now', 'who asks later does';
}

{
    my $since = $n->mark;
    my $c = asks($one, '/before?key=before&mode=gate');
    says($n, "load before $one", $since);
    fence($one);
    go('before');
    is $c->answer, 'ok loaded', 'a child from before waits for the loader of its parent';
    is_deeply loads('before', $since), [$one], '... which loads once';
}

ask($one, '/set?key=precious&value=kept');
go('down');
is ask($one, '/failures?key=down&n=3000'), 'ok 3000', 'loaders fail, and who waits knows why';
is ask($one, '/get?key=precious'), 'ok kept', '... which pushes out no values';
ask($one, '/delete_key?key=precious');

{
    my $since = $n->mark;
    my $gone = asks($one, '/load?key=left&mode=gate');
    says($n, "load left $one", $since);
    my @all = map { asks($_, '/load?key=left&mode=gate') } $one, $other, $other;
    fence($one, $other);

    $gone->{c}->reset;
    says($n, 'CANCELLED left', $since);
    ok $n->wait_until(sub { @{ loads('left', $since) } == 2 }), 'a loader is cancelled: another one loads';
    go('left');
    is answers(@all), 'ok loaded, ok loaded, ok loaded', '... for all who have waited';
    is scalar @{ loads('left', $since) }, 2, '... alone';
}

{
    my $since = $n->mark;
    my $late = asks($one, '/short/load?key=late&mode=gate');
    says($n, "load late $one", $since);
    my @all = map { asks($_, '/load?key=late&mode=gate') } $one, $other;

    like $late->answer, qr/^TIMEOUT|Gateway/i, 'the deadline of a loader passes';
    ok $n->wait_until(sub { @{ loads('late', $since) } == 2 }), '... which is not that of others';
    go('late');
    is answers(@all), 'ok loaded, ok loaded', '... who have the value';
}

{
    my $since = $n->mark;
    my $waits = asks($one, '/load?key=w&mode=gate');
    says($n, "load w $one", $since);

    like ask($other, '/short/load?key=w'), qr/^TIMEOUT|Gateway/i, 'a deadline of one who waits';

    my $gone = asks($other, '/load?key=w');
    fence($other);
    $gone->{c}->reset;
    says($n, 'CANCELLED w', $since);

    go('w');
    is $waits->answer, 'ok loaded', '... and one who leaves: the loader goes on';
    is_deeply loads('w', $since), [$one], '... alone';
}

like ask($one, '/load?key=in&mode=inner'), qr/^TIMEOUT /, 'a deadline in a loader';

{
    my $since = $n->mark;
    my @all = asks($one, '/load?key=in2&mode=inner');
    says($n, "load in2 $one", $since);
    push @all, asks($other, '/load?key=in2&mode=inner');

    like answers(@all), qr/^TIMEOUT .*, ERROR \S/, '... fails for those who wait, too';
}

# ---- stale values, what is set meanwhile

{
    is ask($one, '/load?key=old&value=v1&ttl=50&stale=600000'), 'ok v1', 'a value that may be stale';
    ok $n->wait_until(sub { ask($one, '/get?key=old') eq 'ok (absent)' }), '... has an end';

    my $since = $n->mark;
    my $c = asks($one, '/load?key=old&value=v2&mode=gate&ttl=600000&stale=600000');
    says($n, "load old $one", $since);

    is ask($_, '/load?key=old&stale=600000'), 'ok v1', '... is given while one loads' for $one, $other;
    is ask($other, '/get?key=old'), 'ok (absent)', '... not to those who just get it';

    my $w = asks($other, '/load?key=old&value=v3');
    fence($other);
    go('old');
    is answers($c, $w), 'ok v2, ok v2', '... and those who want none wait';
    is_deeply loads('old', $since), [$one], '... one has loaded';
}

{
    my $since = $n->mark;
    my $c = asks($one, '/load?key=inv&value=before&mode=gate');
    says($n, "load inv $one", $since);
    my $w = asks($other, '/load?key=inv&value=after');
    fence($other);

    ask($other, '/delete_key?key=inv');
    is $w->answer, 'ok after', 'a key is deleted while one loads: who has waited loads';
    go('inv');
    is $c->answer, 'ok before', '... the first has its own';
    is ask($one, '/get?key=inv'), 'ok after', '... which is not kept';
}

{
    my $since = $n->mark;
    my $c = asks($one, '/load?key=inv2&value=before&mode=gate');
    says($n, "load inv2 $one", $since);
    my @w = map { asks($_, '/load?key=inv2&value=after') } $one, $other;
    fence($one, $other);

    ask($other, '/set?key=inv2&value=set');
    is answers(@w), 'ok set, ok set', 'a key is set while one loads: that is for those who wait';
    go('inv2');
    is $c->answer, 'ok before', '... the first has its own';
    is ask($one, '/get?key=inv2'), 'ok set', '... which is not kept';
}

{
    my $since = $n->mark;
    my $c = asks($one, '/load?key=same&mode=gate');
    says($n, "load same $one", $since);

    is ask($other, '/load?d=control&key=same2'), 'ok loaded', 'another key does not wait';
    is ask($other, '/load?d=control&key=inv3'), 'ok loaded', '... nor another dictionary';
    go('same');
    is $c->answer, 'ok loaded', '... the first goes on';
}

{
    my $since = $n->mark;
    my $c = asks($one, '/load?key=brief&mode=gate&ttl=1');
    says($n, "load brief $one", $since);
    my @w = map { asks($other, '/load?key=brief') } 1 .. 3;
    fence($other);

    kill STOP => $other;
    go('brief');
    is $c->answer, 'ok loaded', 'a value that ends at once';
    ok $n->wait_until(sub { ask($one, '/get?key=brief') eq 'ok (absent)' }), '... has ended';
    kill CONT => $other;

    is answers(@w), 'ok loaded, ok loaded, ok loaded', '... and is one for those who have waited';
    is_deeply loads('brief', $since), [$one], '... it was loaded once';
}

{
    my $since = $n->mark;
    my $c = asks($one, '/load?key=full&mode=gate');
    says($n, "load full $one", $since);
    my $w = asks($other, '/load?key=full');
    ask($other, '/fill?n=5000');
    go('full');
    is answers($c, $w), 'ok loaded, ok loaded', 'a full dictionary keeps who loads';
    is_deeply loads('full', $since), [$one], '... alone';
}

is ask($one, '/churn?n=20000'), 'ok ', 'changes at random';
ok $n->stop, 'the workers go';

# ---- one worker, without a master

{
    my $m = nginx("async_shared cache 64k;\nasync_shared control 64k;\n", master => 'off')->start;

    is $m->get('/set?key=a&value=1')->body, 'ok ', 'without a master process';
    is $m->get('/incr?key=a&by=1')->body, 'ok 2', '... values are kept';

    my $c = $m->connect->send_request('GET', '/crowd?key=k&mode=gate');
    $m->wait_for_log(qr/<crowd/);
    $m->get('/set?d=control&key=k');
    is $c->response->body, 'ok 100', '... and loaded once';
    is scalar(() = $m->log =~ /<load k /g), 1, '... by one';
    ok $m->finish('TERM'), '... and it ends';
}

# ---- the directive

sub refused {
    my ($shared, $expected, $title) = @_;

    my ($status, $out) = NginxAsync->new(allow => qr/\[emerg\]/)->conf_test({ http =>
        "async_app \$TEST_NGINX_APPS/shared.so;\n$shared", server => '' });

    isnt $status, 0, $title;
    return like $out, $expected, '... says why';
}

refused("async_shared a 1m;\nasync_shared a 2m;",
    qr/there is an "async_shared a" already in \S+:\d+/, 'a name twice');
refused('async_shared a 63k;', qr/"63k" is too small, the least is 64k in \S+:\d+/, 'too small');
refused('async_shared a 0g;', qr/"0g" is too small, the least is 64k in \S+:\d+/, 'a size in gigabytes');
refused('async_shared a 10q;', qr/"10q" is no size, it is one like 10m in/, 'a size that is none');
refused('async_shared a size=1m;', qr/"size=1m" is no size, it is one like 10m in/, '... with a word');
refused('async_shared "" 1m;', qr/the name is empty in/, 'no name');
refused('async_shared a;', qr/invalid number of arguments in "async_shared" directive/, 'no size');
refused('server { async_shared a 1m; }', qr/"async_shared" directive is not allowed here/, 'elsewhere');

done_testing();
