package NginxAsync::Check;

=head1 NAME

NginxAsync::Check - the checks of the block format on one response

=head1 DESCRIPTION

C<response($run, $bytes, $head)> asserts what the sections say about the
response and returns the bytes after it.  Each section counts as many tests
as under Test::Nginx, so that planned numbers agree.  C<$run> is the state of
one block (see NginxAsync::Runner): block, name, index of the request, many
(whether expectations must be arrays), repeated, expand.

=cut

use strict;
use warnings;

use Digest::MD5 ();
use Digest::SHA ();
use HTTP::Response;
use Test::Base ();
use Test::More ();

my %BODY_FILTERS = (
    md5_hex  => \&Digest::MD5::md5_hex,
    sha1_hex => \&Digest::SHA::sha1_hex,
    uc       => sub { return uc $_[0] },
    lc       => sub { return lc $_[0] },
    ucfirst  => sub { return ucfirst $_[0] },
    lcfirst  => sub { return lcfirst $_[0] },
    length   => sub { return length $_[0] },
);

sub response {
    my ($run, $bytes, $head) = @_;

    my $block = $run->{block};
    my ($res, $raw_head, $rest) = ('', '', '');

    if (defined $block->http09) {
        $res = HTTP::Response->new(200, 'OK', [], $bytes);

    } else {
        ($res, $raw_head, $rest) = parse($run, $bytes, $head);
    }

    if ($res && defined $block->response_body_filters) {
        $res->content(filtered($run, $res->content));
    }

    error_code($run, $res);
    raw_headers($run, $raw_head);
    headers($run, $res, $raw_head);
    body($run, $res);

    $_->($run->{block}, $res ? $res->content : undef, $run->{index},
        $run->{repeated}, undef) for @{ $run->{body_checks} };

    return $rest;
}


# Expectations of several requests are arrays; a lone one may be, too.
sub indexed {
    my ($run, $value) = @_;

    return $value->[ $run->{many} ? $run->{index} : 0 ]
        if ref $value eq 'ARRAY';

    die "$run->{name} - several requests need arrays of expectations\n"
        if $run->{many};

    return $value;
}


sub error_code {
    my ($run, $res) = @_;

    my $block = $run->{block};
    my $title = "$run->{name} - status code ok";
    my $code  = ($res && $res->code) || '';

    if (defined $block->error_code_like) {
        my $pattern = indexed($run, $block->error_code_like);
        return Test::More::like($code, qr/$pattern/sm, $title);
    }

    my $expected = indexed($run, $block->error_code // return
        Test::More::is($code, 200, $title));

    Test::More::is($code, $expected, $title);
}


sub raw_headers {
    my ($run, $raw_head) = @_;

    my $like   = $run->{block}->raw_response_headers_like;
    my $unlike = $run->{block}->raw_response_headers_unlike;

    if (defined $like) {
        my $pattern = indexed($run, $like);
        Test::More::like($raw_head, qr/$pattern/s,
            "$run->{name} - raw resp headers like");
    }

    if (defined $unlike) {
        my $pattern = indexed($run, $unlike);
        Test::More::unlike($raw_head, qr/$pattern/s,
            "$run->{name} - raw resp headers unlike");
    }
}


# response_headers rules out response_headers_like, as in Test::Nginx.
sub headers {
    my ($run, $res, $raw_head) = @_;

    my $block = $run->{block};
    my $exact = $block->response_headers;
    my $given = $exact // $block->response_headers_like // return;

    my %expected = header_lines(indexed($run, $given));

    for my $name (sort keys %expected) {
        my $value  = $expected{$name};
        my $actual = ($res ? scalar $res->header($name) : undef) // '';

        if (!defined $exact) {
            $value //= '';
            Test::More::like($actual, qr/^$value$/,
                "$run->{name} - header $name like ok");

        } elsif (defined $value) {
            Test::More::is($actual, ports($value),
                "$run->{name} - header $name ok");

        } else {
            Test::More::unlike($raw_head, qr/^\s*\Q$name\E\s*:/ms,
                "$run->{name} - header $name not present in the raw headers");
        }
    }
}


# "Name: value" lines; "! Name", which must be absent, has undef.
sub header_lines {
    my ($text) = @_;

    my %headers;

    for my $line (split /\n/, $text // '') {
        $line =~ s/^\s+|\s+$//g;
        next if $line eq '';

        if ($line =~ s/^!\s*//) {
            $headers{$line} = undef;

        } else {
            my ($name, $value) = split /\s*:\s*/, $line, 2;
            $headers{$name} = $value;
        }
    }

    return %headers;
}


sub ports {
    my ($text) = @_;

    $text =~ s/\$ServerPort(?:ForClient)?\b/$ENV{TEST_NGINX_SERVER_PORT}/g;

    return $text;
}


sub filtered {
    my ($run, $content) = @_;

    my $list = $run->{block}->response_body_filters;

    if (!ref $list) {
        $list = [split ' ', $list];

    } elsif (ref $list ne 'ARRAY') {
        $list = [$list];
    }

    $list = $list->[ $run->{index} ] if ref $list->[0] eq 'ARRAY';

    for my $filter (@$list) {
        my $code = ref $filter eq 'CODE' ? $filter : $BODY_FILTERS{$filter}
            // die "$run->{name} - unknown response_body_filters: $filter\n";
        $content = $code->($content);
    }

    return $content;
}


sub body {
    my ($run, $res) = @_;

    my $block   = $run->{block};
    my $content = $res ? $res->content : undef;

    return exact_body($run, $content)
        if defined $block->response_body || $block->response_body_eval;

    my $like   = $block->response_body_like;
    my $unlike = $block->response_body_unlike;

    if (defined $like) {
        my $pattern = ports(indexed($run, $like));
        Test::More::like($content, qr/$pattern/s,
            "$run->{name} - response_body_like - response is expected");

    } elsif (defined $unlike) {
        my $pattern = ports(indexed($run, $unlike));
        Test::More::unlike($content, qr/$pattern/s,
            "$run->{name} - response_body_unlike - response is expected");
    }
}


sub exact_body {
    my ($run, $content) = @_;

    my $block    = $run->{block};
    my $code     = $block->response_body_eval;
    my $expected = $code ? eval indexed($run, $code)
        : indexed($run, $block->response_body);

    if (defined $block->response_body_json_sort) {
        $content = sorted_json($content);
    }

    if (defined $expected && !ref $expected) {
        $expected = $run->{expand}->(ports($expected));
    }

    my $title = "$run->{name} - response_body - response is expected"
        . " (repeated req $run->{repeated}, req $run->{index})";

    return Test::More::like($content, $expected, $title) if ref $expected;

    Test::Base::is($content, $expected, $title);
}


sub sorted_json {
    my ($content) = @_;

    require JSON::PP;
    my $json = JSON::PP->new->canonical->loose;

    return eval { $json->encode($json->decode($content)) . "\n" } // $content;
}


# ---- the response's bytes

# The response with its content decoded, its head as sent, and what follows.
sub parse {
    my ($run, $bytes, $head) = @_;

    my $raw_head = $bytes =~ /(.*?\r\n)\r\n/s ? $1 : '';
    my $res      = HTTP::Response->parse($bytes);

    $res->code(undef) if $res->code && $res->code !~ /^\d+$/;

    my $code = $res->code // 0;
    return ($res, $raw_head, '') if $code == 304 || $code == 101;

    my $content = $res->content // '';
    my $length  = $res->header('Content-Length');
    my $rest    = '';

    if (($res->header('Transfer-Encoding') // '') eq 'chunked') {
        my $decoded = eval { dechunk(\$content, $res->header('Trailer')) };

        if (!defined $decoded) {
            chomp(my $why = $@);
            Test::More::fail("$run->{name} - $why");
            return (undef, $raw_head, '');
        }

        $res->content($decoded);
        $rest = $content;

    } elsif (defined $length && $length =~ /^\d+$/) {
        $rest = length $content > $length ? substr $content, $length : '';
        $res->content(substr $content, 0, $length);

        Test::More::diag("$run->{name} - response body truncated: $length "
            . 'expected, but got ' . length $content)
            if length $content < $length && !$head;
    }

    return ($res, $raw_head, $rest);
}


# Takes the chunked body away from the front of the text.
sub dechunk {
    my ($text, @trailers) = @_;

    my $decoded = '';

    while (1) {
        $$text =~ s/\A[ \t]*([0-9a-f]+)[ \t]*\r\n//i
            or die length $$text ? "invalid chunked body received\n"
                : "no last chunk found\n";

        my $size = hex $1;
        last if $size == 0;

        length $$text >= $size
            or die "invalid chunked data received (not enough octets)\n";
        $decoded .= substr $$text, 0, $size, '';

        $$text =~ s/\A\r\n//
            or die "invalid chunked data received (expected CRLF)\n";
    }

    for my $name (@trailers) {
        $$text =~ s/\A\Q$name\E: [^\n]*\r\n//i
            or die "invalid trailer data received (expected $name)\n";
    }

    $$text =~ s/\A\r\n//
        or die "invalid chunked data received (expected CRLF)\n";

    return $decoded;
}

1;
