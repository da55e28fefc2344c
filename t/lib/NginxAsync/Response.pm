package NginxAsync::Response;

=head1 NAME

NginxAsync::Response - one HTTP response, read from a raw connection

=head1 SYNOPSIS

    $r->status; $r->reason; $r->version;   # 200, "OK", "1.1"
    $r->header('X-Foo');                   # values joined by ", ", or undef
    $r->headers('Set-Cookie');             # the values, one by one
    $r->header_list;                       # [name, value] pairs as sent
    $r->body; $r->trailer('X'); $r->raw_head;
    $r->interim;                           # 1xx responses that came before
    $r->complete;                          # false: the connection was cut
    $r->chunks;                            # sizes, if it was chunked

=cut

use strict;
use warnings;

sub new { my ($class, %self) = @_; return bless \%self, $class }

for my $name (qw(status reason version body raw_head complete)) {
    no strict 'refs';
    *$name = sub { return $_[0]{$name} };
}

sub interim     { return @{ $_[0]{interim} || [] } }
sub chunks      { return @{ $_[0]{chunks}  || [] } }
sub header_list { return @{ $_[0]{headers} || [] } }
sub headers     { return values_of($_[0]{headers}, $_[1]) }
sub header      { return joined($_[0]{headers}, $_[1]) }
sub trailer     { return joined($_[0]{trailers}, $_[1]) }


sub values_of {
    my ($list, $name) = @_;

    return map { $_->[1] } grep { lc $_->[0] eq lc $name } @{ $list || [] };
}


sub joined {
    my @values = values_of(@_);

    return @values ? join(', ', @values) : undef;
}


# "Name: value" lines into [name, value] pairs
sub parse_fields {
    my ($text) = @_;

    return [map { [split /:[ \t]*/, $_, 2] } grep { /:/ } split /\r?\n/, $text];
}


sub from_head {
    my ($class, $head) = @_;

    my ($line, $fields) = split /\r?\n/, $head, 2;

    my ($version, $status, $reason) =
        $line =~ m{^HTTP/(\d(?:\.\d)?) (\d{3}) ?(.*)$}
        or die "not a status line: $line\n";

    return $class->new(version => $version, status => $status,
        reason => $reason, raw_head => $head, complete => 0, body => '',
        headers => parse_fields($fields // ''));
}

1;
