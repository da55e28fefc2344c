package NginxAsync::Sections;

=head1 NAME

NginxAsync::Sections - the section names of the block format

=head1 DESCRIPTION

Test::Nginx ignores a section that it does not know, so that a misspelt
C<--- eror_log> passes for ever.  Here it is an error.

=cut

use strict;
use warnings;

use List::Util qw(min);

my %KNOWN = map { $_ => 1 } qw(
    main_config http_config config post_main_config server_name
    init user_files log_level
    request request_eval pipelined_requests more_headers
    raw_request raw_request_middle_delay http09 http2 no_http2
    curl curl_options curl_protocol curl_error
    abort shutdown timeout wait ignore_response
    response_body response_body_eval response_body_like response_body_unlike
    response_body_filters response_body_json_sort
    response_headers response_headers_like
    raw_response_headers_like raw_response_headers_unlike
    error_code error_code_like
    error_log no_error_log grep_error_log grep_error_log_out
    shutdown_error_log no_shutdown_error_log
    access_log no_access_log
    must_die suppress_stderr reload_fails no_check_leak
    skip_nginx skip_nginx2 skip_openssl skip_eval todo
    ONLY SKIP LAST
);

# Known to Test::Nginx only: a block with one would mean less here than there.
my %ELSEWHERE = map { $_ => 1 } qw(
    post_setup_server_root error_log_file charset server_addr_for_client
    stap stap_out stap_out_like stap_out_unlike http3 no_http3
    tcp_listen tcp_reply tcp_reply_delay tcp_query tcp_query_len tcp_no_close
    tcp_shutdown tcp_query_auto_timeout udp_listen udp_reply udp_reply_delay
    udp_query todo_nginx write_resp_body_file
);


# The first thing wrong with a block's sections, or undef.
sub mistake {
    my ($block) = @_;

    for my $name (@{ $block->{_section_order}[0] || [] }) {
        next if $KNOWN{$name};

        return "section \"$name\" is not supported by this runner"
            if $ELSEWHERE{$name};

        my $near = nearest($name);
        return "unknown section \"$name\""
            . ($near ? ", did you mean \"$near\"?" : '');
    }

    return;
}


sub nearest {
    my ($name) = @_;

    my ($best) = sort { $a->[0] <=> $b->[0] || $a->[1] cmp $b->[1] }
        map { [distance($name, $_), $_] } keys %KNOWN;

    return $best->[0] <= 1 + length($name) / 4 ? $best->[1] : undef;
}


# Levenshtein's, one row at a time.
sub distance {
    my ($from, $to) = @_;

    my @row = (0 .. length $to);

    for my $i (1 .. length $from) {
        my @next = ($i);

        for my $j (1 .. length $to) {
            my $same = substr($from, $i - 1, 1) eq substr($to, $j - 1, 1);
            push @next, min($row[$j] + 1, $next[$j - 1] + 1,
                $row[$j - 1] + ($same ? 0 : 1));
        }

        @row = @next;
    }

    return $row[-1];
}

1;
