package NginxAsync::Verdict;

=head1 NAME

NginxAsync::Verdict - what fails every test, whatever it is about

=head1 DESCRIPTION

An [alert] or [emerg] in the error log, a process that exited on a signal, a
failed assertion, a report of a sanitizer.  A test that expects a line says
so; nothing else is forgiven.

=cut

use strict;
use warnings;

use NginxAsync::Env;

my $BAD_LINE = qr{
    \[(?:alert|emerg)\]
    | exited\ on\ signal
    | \b(?:Address|Leak|Thread|Memory|UndefinedBehavior)Sanitizer\b
    | \bruntime\ error:\ 
    | \bAssertion\b .* \bfailed\b
}x;

# Each pattern allows the lines that it matches.  A string is a substring.
sub bad_lines {
    my ($text, @allow) = @_;

    return if $text !~ $BAD_LINE;

    return grep { my $line = $_; !grep { allows($_, $line) } @allow }
        grep { $_ =~ $BAD_LINE } split /\n/, $text;
}


sub allows {
    my ($pattern, $line) = @_;

    return ref $pattern ? $line =~ $pattern : index($line, $pattern) >= 0;
}


# nginx redirects stderr to its log or elsewhere, so the sanitizers write to
# files of their own; the workers' user must be able to make them.
sub sanitizer_env {
    my ($dir) = @_;

    return if !NginxAsync::Env::asan();

    my $path = "log_path=$dir/report";

    return (
        # nginx has no frame pointers: only the slow unwinder sees the callers
        ASAN_OPTIONS => options('ASAN', $path, 'detect_leaks=1',
            'fast_unwind_on_malloc=0',
            # libasan guesses where thread-local memory of loaded objects lies;
            # once in some hundred processes wrongly, and LeakSanitizer reads there
            'intercept_tls_get_addr=0'),
        # the report counts, and not all that it says: see own_leak()
        LSAN_OPTIONS  => options('LSAN', $path, 'exitcode=0'),
        TSAN_OPTIONS  => options('TSAN', $path),
        UBSAN_OPTIONS => options('UBSAN', $path, 'print_stacktrace=1'),
    );
}


# What the caller's environment says comes last and wins, but for the path.
sub options {
    my ($name, $path, @more) = @_;

    my $given = $ENV{"${name}_OPTIONS"} // '';
    $given =~ s/log_path=[^:]*:?//g;

    return join ':', grep { length } @more, $given, $path;
}


# The reports found in a folder, which is empty afterwards.
sub reports {
    my ($dir) = @_;

    my @texts;

    for my $file (sort glob "$dir/report.*") {
        # valgrind's complaints begin with "==", its remarks on itself do not
        push @texts, without_own_leaks(NginxAsync::Env::slurp($file) =~ s/^--\d+-- .*\n?//mgr);
        unlink $file;
    }

    return grep { /\S/ } @texts;
}


sub without_own_leaks {
    my ($text) = @_;

    return $text if $text !~ /LeakSanitizer: detected memory leaks/;

    my ($head, @parts) = split /\n\n/, $text;
    my @leaks = grep { /leak of \d+/ && !own_leak($_) } @parts;

    return @leaks ? join("\n\n", $head, @leaks) : '';
}


# nginx itself leaves at exit what it allocated while it started (the arrays
# of ngx_event_process_init, the pool of the first cycle).  Debian's binary
# does not name static functions, so a suppression of LeakSanitizer's cannot
# tell these; their stacks can: all of nginx's, and not below the event loop.
sub own_leak {
    my ($leak) = @_;

    return 0 if $leak =~ /\bngx_process_events_and_timers\b/;

    # made for the first regular expression of whoever has one, and kept
    return 1 if $leak =~ /\bpcre2_compile_context_create_.*\n.* ngx_regex_compile\b/;

    for my $frame ($leak =~ /^\s+#\d+ \S+ (.*)/mg) {
        next if $frame =~ m{libsanitizer|libasan|/csu/|libc[-_]start|libc\.so|libpcre2?[-.]};
        next if $frame =~ m{/nginx\+0x[0-9a-f]+\)};
        next if $frame =~ /^in (?:main|_start|ngx_(?!(?:http_)?async))/;
        return 0;
    }

    return 1;
}

1;
