
# await_fetch(): redirects, whom they take along, and where they end.

use strict;
use warnings;

use lib 't/lib';
use JSON::PP;
use Test::More;
use NginxAsync;
use NginxAsync::Others qw(fetcher ask server request_of pause %CAUSE);

# "/302?where" redirects; all else is answered with the request; "/302,1000?..."
# with so many bytes of a body
sub part {
    my ($c) = @_;

    while (defined(my $all = request_of($c))) {
        my ($status, $size, $where) = $all =~ m{^\S+ /(\d+)(?:,(\d+))?\?(\S*)};
        my $body = $status ? 'x' x ($size // 0) : $all =~ /^HEAD/ ? '' : $all;
        $where =~ s/%(..)/chr hex $1/ge if $status;
        print $c 'HTTP/1.1 ', $status // 200, " X\r\n", $status ? "Location: $where\r\n" : '',
            'Content-Length: ', length $body, "\r\n\r\n", $body;
    }
}

my ($a, $b) = (server(\&part), server(\&part, addr => '127.0.0.2'));
my $n = fetcher();

sub code { my ($s) = @_; $s =~ s/([^A-Za-z0-9.~_-])/sprintf '%%%02X', ord $1/ge; return $s }

# of a redirect with this status to there
sub to {
    my ($status, $where, %o) = @_;
    return ask($n, { url => "http://$a/$status?" . code($where), redirects => 5, %o });
}

sub line { my ($r) = @_; return ($r->{body} // $r->{error} // '') =~ s/ HTTP.*//sr }

# ---- methods and bodies

is to(302, '/x', redirects => 0)->{status}, 302, 'none is followed unless it is said';
is to(302, '/x', redirects => 0, field => 'location')->{field}, '/x', '... and where it leads is told';

for (['GET', 301, 'GET'], ['GET', 302, 'GET'], ['GET', 303, 'GET'], ['GET', 307, 'GET'],
    ['GET', 308, 'GET'], ['POST', 301, 'GET'], ['POST', 302, 'GET'], ['POST', 303, 'GET'],
    ['POST', 307, 'POST'], ['POST', 308, 'POST'], ['PUT', 301, 'PUT'], ['PUT', 302, 'PUT'],
    ['PUT', 303, 'GET'], ['PUT', 307, 'PUT'], ['DELETE', 302, 'DELETE'], ['DELETE', 303, 'GET'])
{
    my ($method, $status, $then) = @$_;
    my $r = to($status, '/x', method => $method, $method =~ /^P/ ? (json => { a => 1 }) : ());
    is line($r), "$then /x", "$status: $method, then $then";
    is $r->{url}, "http://$a/x", '... the URL that has answered';
    my $body = $then =~ /^P/;
    like $r->{body}, $body ? qr/Content-Type.*Content-Length: 7\r\n\r\n\{"a":1\}\z/s
        : qr/\A(?!.*Content-)/s, $body ? '... with its body' : '... without a body';
}
for my $status (301, 302, 303, 307, 308) {
    my $r = to($status, '/x', method => 'HEAD');
    is_deeply [@$r{qw(status body url)}], [200, '', "http://$a/x"], "$status: HEAD";
}
is to($_, '/x')->{status}, $_, "$_ leads nowhere" for 300, 304, 305, 306, 201, 404;
unlike to(303, '/x', method => 'POST', body => 'x', headers => ['Content-Type', 'a/b',
    'content-language', 'en', 'X-A', 'b'])->{body}, qr/content-/i, 'no field of the body that is gone';
is line(to(303, '/307?%2Fx', method => 'POST', body => 'x')), 'GET /x', 'what has become a GET stays one';

# ---- where to

my ($port_a) = $a =~ /:(\d+)/;
for (['/x', "http://$a/x"], ['x', "http://$a/x"], ['?x', "http://$a/302?x", 1], ['./x/../y', "http://$a/y"],
    ['../../x', "http://$a/x"], ["//$b/x", "http://$b/x"], ["http://$b/x", "http://$b/x"],
    ["HTTP://LOCALHOST:$port_a/x", "http://localhost:$port_a/x"], ["http://$b", "http://$b/"],
    ["http://$b?x", "http://$b/?x"], ["/x#part", "http://$a/x"], ["/\xc3\xbc", "http://$a/%C3%BC"])
{
    my ($where, $url, $once) = @$_;
    my $r = to(302, $where, $once ? (redirects => 1) : ());
    is $r->{url} // $r->{cause}, $once ? $CAUSE{REDIRECT} : $url, "to $where";
}

for my $where ('ftp://a/', 'http://', 'http://a b/', '/a b', 'javascript:1', 'mailto:x', 'file:///etc/passwd',
    'http://a:99999/', 'http://unix:/s:/', 'http://u:secret@unix:/s:/', '//unix:/s:/', 'HTTP://UNIX:/s:/',
    '\\\\a\\b')
{
    my $r = to(302, $where);
    is_deeply [@$r{qw(rc cause)}], [-1, $CAUSE{REDIRECT}], "not to $where";
    like $r->{error}, qr/^$a redirects to a malformed URL: /, '... and why';
    unlike $r->{error}, qr/secret/, '... without secrets';
}
is line(to(302, '')), "$a: more than 5 redirects", 'to itself';

# ---- how many

sub chain { my ($n, $last) = @_; return $n ? '/302?' . code(chain($n - 1, $last)) : $last }

is line(ask($n, { url => "http://$a" . chain(3, '/x'), redirects => 3 })), 'GET /x', 'three of three';
is_deeply [@{ask($n, { url => "http://$a" . chain(4, '/x'), redirects => 3 })}{qw(rc cause error)}],
    [-1, $CAUSE{REDIRECT}, "$a: more than 3 redirects"], 'four of three';

{
    my $loop = server(sub {
        my ($c) = @_;
        while (request_of($c)) { print $c "HTTP/1.1 307 X\r\nLocation: /\r\nContent-Length: 0\r\n\r\n" }
    });
    is_deeply [@{ask($n, { url => "http://u:secret\@$loop/", redirects => 100 })}{qw(rc cause error)}],
        [-1, $CAUSE{REDIRECT}, "$loop: more than 100 redirects"], 'a loop';
}

# ---- who is taken along

my @secrets = (headers => ['Authorization', 'Bearer 1', 'cookie', 'a=1', 'Host', 'me.example',
    'Proxy-Authorization', 'x', 'X-Own', '1']);

sub fields { return join ',', sort map { lc } $_[0]{body} =~ /^((?!User-Agent|Accept)[\w-]+):/mg }

is fields(to(302, '/x', @secrets)), 'authorization,cookie,host,proxy-authorization,x-own',
    'the same origin: all fields';
like to(302, '/x', @secrets)->{body}, qr/\r\nHost: me.example\r\n/, '... the host, too';
is fields(to(302, "http://$b/x", @secrets)), 'host,x-own', 'another host: no secrets';
like to(302, "http://$b/x", @secrets)->{body}, qr/\r\nHost: $b\r\n/, '... and its own Host';
is fields(to(302, "http://localhost:$port_a/x", @secrets)), 'host,x-own', '... by another name';
my ($port_b) = $b =~ /:(\d+)/;
{
    my $c = server(\&part);
    is fields(to(302, "http://$c/x", @secrets)), 'host,x-own', 'another port';
    is fields(to(302, "http://$b/302?" . code("http://$a/x"), @secrets)), 'host,x-own',
        'there and back: they are gone';
}

my $in = "http://user:secret\@$a";
sub auth { return ($_[0]{body} // '') =~ /^Authorization: (.*)\r$/m ? $1 : '' }

for (['/x', 'Basic dXNlcjpzZWNyZXQ='], ["http://$a/x", 'Basic dXNlcjpzZWNyZXQ='], ["http://$b/x", ''],
    ["http://$b/302?" . code("http://$a/x"), ''], ["http://me:too\@$b/x", 'Basic bWU6dG9v'],
    ["http://me:too\@$a/x", 'Basic bWU6dG9v'])
{
    my ($where, $auth) = @$_;
    my $r = ask($n, { url => "$in/302?" . code($where), redirects => 3 });
    is auth($r), $auth, "credentials of the URL, to $where";
    unlike $r->{url} . join(',', map { @$_ } @{$r->{headers}}), qr/secret|too/, '... are not told';
}

# ---- bodies that cannot be sent again

my @source = (pieces => 3, piece => 10);
is_deeply [@{to(307, '/x', @source)}{qw(rc cause error)}], [-1, $CAUSE{REDIRECT},
    "$a redirects, and what a source gives cannot be sent again"], 'a source, once';
is line(to(303, '/x', @source)), 'GET /x', '... unless it is not sent any more';
is ask($n, { url => "http://$a/307?x", redirects => 0, @source })->{status}, 307, '... nor followed';
like to(308, "http://$b/x", big => 100_000)->{body}, qr/^POST .*\r\n\r\nb{100}/s, 'bytes, twice';

# ---- connections: what a redirect has said is read, if it is little

{
    my $where = code('/x');
    my $count = sub {
        my $r = ask($n, { url => "http://localhost:$port_a/302,$_[0]?$where", redirects => 1,
            field => 'x' });
        return line($r);
    };
    is $count->($_), 'GET /x', "a redirect with $_ bytes" for 0, 1, 1000, 16_384, 16_385, 1_000_000;
}

$n->stop;

done_testing;
