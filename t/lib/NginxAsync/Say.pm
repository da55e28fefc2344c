package NginxAsync::Say;

=head1 NAME

NginxAsync::Say - words that many test files share

=head1 SYNOPSIS

    use NginxAsync::Say qw(said says gone json silent line_of);

    says($nginx, 'a begins', $since);   # waits for <a begins> in the log
    says($nginx, qr/a \w+/, $since);
    said($nginx, $since);               # ['a begins', 'b begins'], in order
    gone($nginx);                       # waits for the end of nginx
    json($nginx->get('/a'));            # the body, decoded
    silent(@connections);               # no answer has come on any
    line_of('task', 'the sleep');       # sleep.c:77

=head1 DESCRIPTION

Apps say what happens by a notice in angle brackets.  What said, says and gone
wait for, or look at, is after $since, a $nginx->mark, or all.  line_of finds
the comment that has just these words in the source of an app, t/apps/watch.c or
t/apps/task/*.c.

=cut

use strict;
use warnings;

use Exporter qw(import);
use IO::Select;
use JSON::PP ();

use NginxAsync::Env;

our @EXPORT_OK = qw(said says gone json silent line_of);

sub said {
    my ($n, $since) = @_;

    return [$n->log($since) =~ /\[notice\] .*?<([^>]+)>/g];
}


sub says {
    my ($n, $event, $since) = @_;

    my $what = ref $event ? $event : quotemeta $event;

    return $n->wait_for_log(qr/<$what>/, 20, $since);
}


sub gone {
    my ($n, $bound) = @_;

    return $n->wait_until(sub { !$n->running }, $bound // 30);
}


sub json { my ($r) = @_; return JSON::PP::decode_json($r->body) }

sub silent { return !IO::Select->new(map { $_->socket } @_)->can_read(0) }


sub line_of {
    my ($app, $mark) = @_;

    my $source = "$NginxAsync::Env::Root/t/apps/$app";
    my @found;

    for my $path (-d $source ? glob "$source/*.[ch]" : "$source.c") {
        my ($name) = $path =~ m{([^/]+)\z};
        my $text   = NginxAsync::Env::slurp($path);

        while ($text =~ m{/\* \Q$mark\E \*/}g) {
            push @found, "$name:" . (1 + (substr($text, 0, $-[0]) =~ tr/\n//));
        }
    }

    @found == 1 or die "\"$mark\" is ", scalar @found, " times in $source\n";

    return $found[0];
}

1;
