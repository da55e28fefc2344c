package NginxAsync::Request;

=head1 NAME

NginxAsync::Request - from a block's sections to the bytes to be sent

=head1 SYNOPSIS

    my @requests = NginxAsync::Request::from_block($block, $settings, $expand);
    # each: [{ value => bytes, delay_before => seconds }, ...]
    my @command = NginxAsync::Request::curl($block, $request, \%where);

A request may be text, an array of texts (several requests), or an array with
arrays of packets in it, which are sent one by one.  Whatever cannot be
understood dies with the reason.

=cut

use strict;
use warnings;

sub from_block {
    my ($block, $server_name, $expand) = @_;

    my $raw = $block->raw_request;
    if (defined $raw) {
        return [map { { value => $_ } } ref $raw ? @$raw : $raw];
    }

    return pipelined($block, $server_name, $expand)
        if $block->pipelined_requests;

    my $request = request_of($block) // die "no request in the block\n";

    return build($block, $server_name, 0, 'close', $request) if !ref $request;

    ref $request eq 'ARRAY'
        or die "request must be text or an array of requests\n";

    return map { build($block, $server_name, $_, 'close', $request->[$_]) }
        0 .. $#$request;
}


# The text without the comments before it.
sub request_of {
    my ($block) = @_;

    my $request = $block->request;

    if (defined $block->request_eval) {
        $request = eval $block->request_eval;
        die $@ if $@;
    }

    if (defined $request && !ref $request) {
        1 while $request =~ s/^\s*\#[^\n]+\s+|^\s+//;
    }

    return $request;
}


# One write with all of them; only the last one asks to close.
sub pipelined {
    my ($block, $server_name, $expand) = @_;

    my $list = $block->pipelined_requests;
    ref $list eq 'ARRAY' or die "pipelined_requests must be an array\n";

    my $bytes = '';

    for my $i (0 .. $#$list) {
        my $connection = $i == $#$list ? 'close' : 'keep-alive';
        my $built = build($block, $server_name, $i, $connection,
            $expand->($list->[$i]));
        $bytes .= $built->[0]{value};
    }

    return [{ value => $bytes }];
}


# Completes the nth request: the version, the usual headers, the length.
sub build {
    my ($block, $server_name, $n, $connection, $request) = @_;

    my @packets = ref $request ? @$request : $request;
    my @texts   = map { ref $_ ? $_->{value} : $_ } @packets;

    my ($more, $chunked) = more_headers($block, $n);
    my @spans = spans(join('', @texts));
    my $body  = $spans[-1];

    if (length $body->[1] && !$chunked && $more !~ /^Content-Length:/mi) {
        $body->[1] =~ s/^\s+|\s+$//g;
        $more .= 'Content-Length: ' . length($body->[1]) . "\r\n";
    }

    my $headers = '';
    $headers .= "Host: $server_name\r\n"      if $more !~ /^Host:/mi;
    $headers .= "Connection: $connection\r\n" if $more !~ /^Connection/mi;

    # after the line's end, which is the last span before the body
    $spans[-2][1] .= "$headers$more\r\n";

    my @values = recut(\@spans, map { length } @texts);

    return [map {
        { %{ ref $packets[$_] ? $packets[$_] : {} }, value => $values[$_] }
    } 0 .. $#packets];
}


# more_headers as sent, and whether they say that the body is chunked.
sub more_headers {
    my ($block, $n) = @_;

    my $text = $block->more_headers // '';

    if (ref $text eq 'ARRAY') {
        $text = $text->[$n]
            // die "more_headers lacks an entry for request $n\n";
    }

    my ($out, $chunked) = ('', 0);

    for my $line (grep { !/^\s*#/ } split /\n+/, $text) {
        my ($name, $value) = split /:\s*/, $line, 2;
        $value //= '';
        $chunked ||= lc $name eq 'transfer-encoding' && $value eq 'chunked';
        $out .= "$name: $value\r\n";
    }

    return ($out, $chunked);
}


# The request as [length as written, text to send] spans: space, method,
# space, target, space, version, line end, body.
sub spans {
    my ($text) = @_;

    $text =~ m{
        \A ([^\S\n]*) (\S+) ([ ]*) (?:(\S+) ([ ]*))? (?:(\S+) ([ ]*))?
        (\s*? (?:\n|\z))
    }x or die 'not a request line: ' . ($text =~ /(.*)/)[0] . "\n";

    my ($lead, $method, $gap1, $target, $gap2, $version, $gap3, $end) =
        map { $_ // '' } ($1, $2, $3, $4, $5, $6, $7, $8);
    my $body = substr $text, $+[0];

    return (
        [length $lead,    ''],
        [length $method,  $method],
        [length $gap1,    ' '],
        [length $target,  length $target ? $target : '/'],
        [length $gap2,    ' '],
        [length $version, length $version ? $version : 'HTTP/1.1'],
        [length $gap3,    ''],
        [length $end,     "\r\n"],
        [length $body,    $body],
    );
}


# Cuts the new text where the written one was cut.  What is inserted at a
# border belongs to the packet before it.
sub recut {
    my ($spans, @lengths) = @_;

    my @values;
    my @left = map { [@$_] } @$spans;

    for my $length (@lengths) {
        my $value = '';

        while (@left && $left[0][0] <= $length) {
            my $span = shift @left;
            $length -= $span->[0];
            $value  .= $span->[1];
        }

        if (@left && $length) {
            $left[0][0] -= $length;
            my $taken = substr $left[0][1], 0, $length, '';
            $value .= $taken // '';
        }

        push @values, $value;
    }

    return @values;
}


# ---- curl

# The command for a request; $where says addr, port, timeout, file, verbose.
sub curl {
    my ($block, $request, $where) = @_;

    my $bytes = join '', map { $_->{value} } @$request;
    my ($head, $body) = split /\r?\n\r?\n/, $bytes, 2;
    my ($line, @headers) = split /\r?\n/, $head;
    my ($method, $target, $version) = split ' ', $line;

    # curl is to send nothing of its own
    my @args = ('curl', '-i', map { ('-H', "$_:") } qw(User-Agent Accept Host));

    push @args, $where->{verbose} ? '-vv' : '-sS';
    push @args, '--http2-prior-knowledge' if defined $block->http2;
    push @args, $method eq 'HEAD' ? '-I'
        : $method eq 'GET' ? () : ('-X', $method);
    push @args, '-0' if ($version // '') eq 'HTTP/1.0';

    push @args, map { ('-H', $_) } grep { !/^Connection\s*:/i } @headers;

    if (length($body // '')) {
        push @args, '-H', 'Content-Type: '
            if !grep { /^\s*Content-Type\s*:/i } @headers;
        push @args, '--data-binary', "\@$where->{file}";
        NginxAsync::Env::spew($where->{file}, $body);
    }

    push @args, '--connect-timeout', $where->{timeout},
        '--max-time', $where->{timeout};
    push @args, $block->curl_options if defined $block->curl_options;

    my $protocol = $block->curl_protocol // 'http';

    return (@args, "$protocol://$where->{addr}:$where->{port}$target");
}

1;
