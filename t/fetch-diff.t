#!/usr/bin/perl

# await_fetch() and proxy_pass, of the same answers: right ones that have been
# changed at random, and those of NginxAsync::RudeAnswers.  await_fetch() may
# refuse more, never less, and what it takes is the same.  TEST_NGINX_SEED
# repeats a run, TEST_NGINX_ANSWERS says how many.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Encode ();
use JSON::PP;
use Test::More;

use NginxAsync;
use NginxAsync::Rude;
use NginxAsync::RudeAnswers;
use NginxAsync::Say qw(json);

my $seed  = $ENV{TEST_NGINX_SEED} // ($ENV{TEST_NGINX_LONG} ? time : 1);
my $count = $ENV{TEST_NGINX_ANSWERS} // ($ENV{TEST_NGINX_LONG} ? 200_000 : 6_000);

# seconds that the random part may take
my $BOUND = $ENV{TEST_NGINX_LONG} ? 600 : 10;

my $OK = "HTTP/1.1 200 OK\r\n";
my $TE = "Transfer-Encoding: chunked\r\n";

# ---- what is answered

my @right = (
    "${OK}Content-Length: 5\r\n\r\nhello",
    "${OK}Server: x\r\nContent-Type: text/plain\r\nContent-Length: 12\r\nConnection: close\r\n"
        . "X-A: b\r\n\r\nhello, world",
    "$OK\r\nhello",
    "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.0 200 OK\r\n\r\nhello",
    "${OK}$TE\r\n5\r\nhello\r\n0\r\n\r\n",
    "${OK}$TE\r\n5;a=b\r\nhello\r\n7\r\n, world\r\n0;c\r\nX-T: t\r\n\r\n",
    "${OK}$TE\r\n1\r\nh\r\n2\r\nel\r\n02\r\nlo\r\n00\r\n\r\n",
    "HTTP/1.1 404 Not Found\r\n$TE\r\na\r\n0123456789\r\n0\r\n\r\n",
    "HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n",
    "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 5\r\n\r\n",
    "HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n",
);

# what is likely to matter where it is put
my @pieces = ("\r\n", "\r", "\n", "\r\n\r\n", "\n\n", ' ', "\t", ':', ';', ',', '0', '1', '5', 'f', '-', '+',
    "\0", "\x7f", "\x0b", "\x80", "\xff", 'HTTP/1.1 200 OK', "Content-Length: 3\r\n", "Content-Length: 5\r\n",
    "Content-Length: 7\r\n", $TE, "Transfer-Encoding: gzip\r\n", "Transfer-Encoding: identity\r\n",
    "Connection: close\r\n", "Connection: keep-alive\r\n", "Upgrade: x\r\n", "0\r\n\r\n", "5\r\nhello\r\n",
    'chunked', 'chunked, ', 'Content-Length', ' : ', "\r\n ", "\r\n\t", '0x', 'ffffffffffffffff',
    '99999999999999999999');

sub changed {
    my ($text) = @_;

    my $how  = int rand 7;
    my $at   = int rand length $text;
    my $some = 1 + int rand 4;

    # rather in what tells where the body begins and ends
    $at = rand() < 0.5 ? $at : int rand 1 + index $text, "\r\n\r\n";

    if ($how == 0) {
        substr($text, $at, 1) = chr int rand 256;

    } elsif ($how == 1) {
        substr($text, $at, 1) ^= chr 1 << int rand 8;

    } elsif ($how == 2) {
        substr($text, $at, 0) = $pieces[rand @pieces];

    } elsif ($how == 3) {
        substr($text, $at, $some) = '';

    } elsif ($how == 4) {
        substr($text, $at, $some) = $pieces[rand @pieces];

    } elsif ($how == 5) {
        # a line twice, or two that change places, or one less
        my @lines = split /(?<=\n)/, $text;
        my ($a, $b) = map { int rand @lines } 1 .. 2;
        my $kind = int rand 3;

        if    ($kind == 0) { splice @lines, $a, 0, $lines[$b] }
        elsif ($kind == 1) { @lines[$a, $b] = @lines[$b, $a] }
        else               { splice @lines, $a, 1 }

        $text = join '', @lines;

    } else {
        # the end of another one, or cut off
        my $other = $right[rand @right];
        $text = substr($text, 0, $at) . (rand() < 0.5 ? '' : substr $other, int rand length $other);
    }

    return length $text ? $text : changed("$OK\r\n");
}

srand $seed;

my @texts = map { $_->[1] } grep { @$_ == 3 } @NginxAsync::RudeAnswers::Answers;
my $table = @texts;

push @texts, @right;

for (1 .. $count) {
    my $text = $right[rand @right];
    $text = changed($text) for 1 .. 1 + int rand 3;
    push @texts, $text;
}

my $rude = NginxAsync::Rude->new({ alone => 1 },
    a => sub { my ($c, undef, $i) = @_; $c->say($texts[$i]) });

# ---- the two

my $n = NginxAsync->new(log_level => 'crit', conf => { http => <<'EOF_HTTP',
        async_app $TEST_NGINX_APPS/fetch.so;
        async_fetch_max_head 32k;
        keepalive_requests 1000000;
EOF_HTTP
    server => <<"EOF_CONF" })->start;
        location = /several { async_handler fetch:several; }
        location = /refused { internal; add_header X-Refused 1 always; return 599; }

        location /a/ {
            proxy_pass http://127.0.0.1:$rude->{port};
            proxy_http_version 1.1;
            proxy_set_header Connection \$http_none;
            proxy_buffer_size 32k;
            proxy_buffers 64 32k;
            proxy_busy_buffers_size 64k;
            proxy_max_temp_file_size 0;
            error_page 500 502 504 /refused;
        }
EOF_CONF

# The value of the sum that t/apps/fetch.c tells of a body in pieces.
sub sum_of {
    my ($sum) = (0);

    $sum = ($sum * 31 + $_) & 0xffffffff for unpack 'C*', $_[0];

    return $sum;
}


sub by_proxy {
    my ($i) = @_;

    # what nginx passes on may be no number, nor HTTP
    local $SIG{__WARN__} = sub { };
    my $r = eval { $n->get("/a/$i", timeout => 20) };

    return { none => 1 } if !$r;
    return { none => 1 } if $r->header('X-Refused') || !$r->complete;
    return { status => $r->status, body => $r->body };
}


# nothing: await_fetch() refuses it
sub taken {
    my ($r) = @_;

    return if $r->{rc};

    my $body = $r->{body};

    return { status => $r->{status}, body => Encode::encode('UTF-8', $body),
        length => $r->{length}, exact => $body ne '(no UTF-8)' } if !ref $body;
    return if $body->{end};
    return { status => $r->{status}, length => $body->{total}, sum => $body->{sum} };
}


# What await_fetch() takes and should not have, or takes in another way.
sub laxer {
    my ($fetch, $proxy) = @_;

    return 'nginx refuses it' if $proxy->{none};
    return "the status is $fetch->{status}, not $proxy->{status}" if $fetch->{status} != $proxy->{status};
    return "the body is of $fetch->{length} bytes, not " . length $proxy->{body}
        if $fetch->{length} != length $proxy->{body};
    return "the body is \"$fetch->{body}\", not \"$proxy->{body}\""
        if $fetch->{exact} && $fetch->{body} ne $proxy->{body};
    return 'the body is another one' if defined $fetch->{sum} && $fetch->{sum} != sum_of($proxy->{body});
    return;
}


# A tab before or behind the value is not of it (RFC 9110, 5.5); nginx 1.22 does
# as if there were no such length then, later ones refuse it.
my $TABBED = qr/^(?:Content-Length|Transfer-Encoding):
                 (?:[ ]*\t | [^\n]*\t[ \t\r]*$)/mix;

my $client = $n->connect(timeout => 60);
my ($both, $stricter, $neither) = (0, 0, 0);

# Differences of those from one to another; each as a whole and in pieces.
sub differ {
    my ($from, $to) = @_;

    my @asks = map { my $url = $rude->url('a', $_);
        ({ url => $url }, { url => $url, stream => \1, size => 7 }) } $from .. $to;
    my $r = json($client->request('POST', '/several', body => encode_json(\@asks),
        headers => ['Content-Type' => 'application/json']));
    my @differ;

    for my $i ($from .. $to) {
        my ($whole, $pieces) = map { taken($_) // 0 } splice @$r, 0, 2;
        my $proxy = by_proxy($i);

        # which nginx takes for the response, or passes over, by its version
        next if !$proxy->{none} && $proxy->{status} < 200;
        next if $texts[$i] =~ $TABBED;

        if    ($whole)         { $both++ }
        elsif ($proxy->{none}) { $neither++ }
        else                   { $stricter++ }

        my @why = map { $_ ? laxer($_, $proxy) : () } $whole, $pieces;
        push @why, 'in pieces it is another one' if !$whole != !$pieces;
        push @differ, explained($i, @why) if @why;
    }

    return @differ;
}


sub explained {
    my ($i, @why) = @_;

    (my $text = $texts[$i]) =~ s/([^ -~])/sprintf '\\x%02x', ord $1/ge;

    return "$i: " . join('; ', @why) . ': ' . substr $text, 0, 400;
}


# ---- go

{
    my @differ;

    for (my $i = 0; $i < $table + @right; $i += 32) {
        my $last = $i + 31 < $table + @right ? $i + 31 : $table + $#right;
        push @differ, differ($i, $last);
    }

    is_deeply \@differ, [], 'what await_fetch() takes, proxy_pass takes';
    cmp_ok $both, '>=', @right, '... of which there is some';
}

{
    my $end = time + $BOUND;
    my ($i, @differ) = ($table + @right);
    ($both, $stricter, $neither) = (0, 0, 0);

    while ($i < @texts && time < $end) {
        my $last = $i + 31 < @texts ? $i + 31 : $#texts;
        push @differ, differ($i, $last);
        $i = $last + 1;
    }

    my $done = $i - $table - @right;

    is_deeply \@differ, [], "$done at random (TEST_NGINX_SEED=$seed)";
    note "$both taken by both, $stricter by proxy_pass alone, $neither by neither";
    cmp_ok $both, '>', $done / 20, '... some of which are taken';
    cmp_ok $neither, '>', $done / 20, '... and some are not';
}

$n->stop;
done_testing;
