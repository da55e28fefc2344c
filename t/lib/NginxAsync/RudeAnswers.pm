package NginxAsync::RudeAnswers;

=head1 NAME

NginxAsync::RudeAnswers - responses that are right, or not quite, or not at all

=head1 SYNOPSIS

    for my $answer (@NginxAsync::RudeAnswers::Answers) {
        my ($title, $bytes, $verdict, %more) = @$answer;
    }

=head1 DESCRIPTION

The bytes, after which the server closes, and what await_fetch() makes of them:
status and body, or the cause of the failure.  In %more: method (HEAD) and
spoils (1: the connection must not be used again, had it stayed open).

=cut

use strict;
use warnings;

my $OK  = "HTTP/1.1 200 OK\r\n";
my $LEN = "Content-Length: 5\r\n";
my $TE  = "Transfer-Encoding: chunked\r\n";

my $CHUNKED = "${OK}$TE\r\n";
my $CHUNKS  = "5\r\nhello\r\n0\r\n\r\n";

our @Answers;

sub answer { push @Answers, [@_] }

# a field, or more, of a response that is right otherwise
sub field {
    my ($title, $fields, $verdict) = @_;

    answer($title, "${OK}$LEN$fields\r\nhello", $verdict // 'protocol');
}

sub length_is {
    my ($value, $verdict) = @_;

    (my $shown = "Content-Length:$value") =~ s/\t/\\t/g;
    $shown =~ s/\n/\\n/g;
    answer($shown, "${OK}Content-Length:$value\r\n\r\nhello",
        $verdict // 'protocol');
}

sub coding_is {
    my ($title, $fields, $verdict) = @_;

    answer($title, "${OK}$fields\r\n\r\n$CHUNKS", $verdict // 'protocol');
}

sub chunks_are {
    my ($title, $chunks, $verdict, @more) = @_;

    answer($title, $CHUNKED . $chunks, $verdict // 'protocol', @more);
}

sub line_is {
    my ($line, $verdict) = @_;

    (my $shown = $line) =~ s/([^ -~])/sprintf '\\x%02x', ord $1/ge;
    answer("status line \"$shown\"", "$line\r\n$LEN\r\nhello",
        $verdict // 'protocol');
}


# ---- right

answer('a length', "${OK}$LEN\r\nhello", '200 hello');
answer('chunks', $CHUNKED . $CHUNKS, '200 hello');
answer('until the end', "$OK\r\nhello", '200 hello');
answer('no body', "${OK}Content-Length: 0\r\n\r\n", '200 ');
answer('HTTP/1.0', "HTTP/1.0 200 OK\r\n\r\nhello", '200 hello');
answer('a 404', "HTTP/1.1 404 No\r\n$LEN\r\nhello", '404 hello');
answer('a 599', "HTTP/1.1 599 No\r\n$LEN\r\nhello", '599 hello');
answer('LF alone', "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
    '200 hello');

# ---- lengths

answer('fewer bytes', "${OK}Content-Length: 6\r\n\r\nhello", 'reset');
answer('more bytes', "${OK}Content-Length: 3\r\n\r\nhello", '200 hel',
    spoils => 1);
answer('more than none', "${OK}Content-Length: 0\r\n\r\nhello", '200 ',
    spoils => 1);
answer('two lengths', "${OK}${LEN}Content-Length: 6\r\n\r\nhello!",
    'protocol');
answer('two lengths, the same', "${OK}$LEN$LEN\r\nhello", 'protocol');
answer('a length and a coding', "${OK}$LEN$TE\r\n$CHUNKS", 'protocol');
answer('a coding and a length', "${OK}$TE$LEN\r\n$CHUNKS", 'protocol');
answer('a coding and two lengths', "${OK}$LEN$TE$LEN\r\n$CHUNKS",
    'protocol');

length_is($_) for ' 5, 5', ' 5,5', ' +5', ' 0x5', ' -1', ' -5', '', ' ',
    ' 5 5', ' 5;', ' 5.0', ' 5e0', ' five', ' "5"', ' 9223372036854775808',
    ' 18446744073709551621', ' ' . '9' x 100, "\n 5", " 5\n 5";
length_is(' 9223372036854775807', 'large');
length_is(' 1048577', 'large');
length_is($_, '200 hello') for '5', ' 005', '   5   ', ' 0000000000000000005',
    ' 5 ';
length_is($_, '200 hello') for "\t5", " \t 5 \t ";

# ---- codings

coding_is("a coding: $_", "Transfer-Encoding: $_") for 'gzip',
    'gzip, chunked', 'chunked, gzip', 'chunked, chunked', 'chunked,',
    ',chunked', 'xchunked', 'chunkedx', 'x chunked', '"chunked"',
    'chunked;q=1', 'identity', '', "\x0bchunked", "chun\r\n ked";
coding_is('a coding, folded', "Transfer-Encoding:\r\n chunked");
coding_is('a space before the colon', 'Transfer-Encoding : chunked');
coding_is('a coding twice', "Transfer-Encoding: chunked\r\n"
    . 'Transfer-Encoding: chunked');
coding_is('a coding, then another', "Transfer-Encoding: chunked\r\n"
    . 'Transfer-Encoding: identity');
coding_is('a coding, and its like', "Transfer-Encoding: chunked\r\n"
    . 'Transfer-Encoding: x');
coding_is('a coding in capitals', 'TRANSFER-ENCODING: CHUNKED', '200 hello');
coding_is('a coding behind tabs', "Transfer-Encoding:\tchunked\t",
    '200 hello');
answer('a coding in HTTP/1.0', "HTTP/1.0 200 OK\r\n$TE\r\n$CHUNKS",
    'protocol');

# ---- fields

field('a bare CR in a value', "X: a\rb\r\n");
field('a bare CR before a name', "\rX: a\r\n");
field('a line without a colon', "X\r\n");
field('a line that is another status line', "HTTP/1.1 200 OK\r\n");
field('a space before the colon', "X : a\r\n");
field('a tab before the colon', "X\t: a\r\n");
field('no name', ": a\r\n");
field('a folded line', "X: a\r\n b\r\n");
field('a line folded by a tab', "X: a\r\n\tb\r\n");
field('a first line that is folded', " X: a\r\n");
field(sprintf('0x%02x in a name', ord), "X${_}Y: a\r\n")
    for "\0", "\x01", "\x0b", "\x7f", ' ', '(', ',', '/', '"', '@', '[',
    "\x80", "\xe9";
field(sprintf('0x%02x in a value', ord), "X: a${_}b\r\n")
    for "\0", "\x01", "\x08", "\x0b", "\x0c", "\x1b", "\x1f", "\x7f";
field('0x00 before a value', "X: \0\r\n");
field('an empty value', "X:\r\n", '200 hello');
field('a tab in a value', "X: a\tb\r\n", '200 hello');
field('UTF-8 in a value', "X: \xc3\xa9\r\n", '200 hello');
field('Latin-1 in a value', "X: \xe9\r\n", '200 hello');
field('a colon in a value', "X: a:b\r\n", '200 hello');
field('an underscore', "X_Y: a\r\n", '200 hello');
field('30 KB in one field', 'X: ' . 'x' x 30_000 . "\r\n", '200 hello');
field('30 KB of fields', "X: xxxxxxxxxx\r\n" x 1900, '200 hello');
field('64 KB in one field', 'X: ' . 'x' x 65_536 . "\r\n", 'large');
field('64 KB of fields', "X: xxxxxxxxxx\r\n" x 4096, 'large');
field('64 KB of a name', 'X' x 65_536 . ": a\r\n", 'large');
answer('64 KB of a reason', 'HTTP/1.1 200 ' . 'x' x 65_536
    . "\r\n$LEN\r\nhello", 'large');

# ---- status lines

line_is($_) for 'HTTP/2.0 200 OK', 'HTTP/2 200 OK', 'HTTP/0.9 200 OK',
    'HTTP/10.1 200 OK', 'HTTP/1 200 OK', 'HTTP/1. 200 OK', 'HTTP/.1 200 OK',
    'HTTP/-1.1 200 OK', 'HTTP/1.1 20 OK', 'HTTP/1.1 2', 'HTTP/1.1 2000 OK',
    'HTTP/1.1 000 OK', 'HTTP/1.1 099 OK', 'HTTP/1.1 600 OK',
    'HTTP/1.1 999 OK', 'HTTP/1.1 2 0 0 OK', 'HTTP/1.1 20 0 OK',
    'HTTP/1.1 2  00 OK', 'HTTP/1.1 -20 OK', 'HTTP/1.1 2x0 OK', 'HTTP/1.1',
    'HTTP/1.1 ', 'HTTP/1.1 OK', 'http/1.1 200 OK', 'HTTPS/1.1 200 OK',
    'HTTP 200 OK', ' HTTP/1.1 200 OK', "\r\nHTTP/1.1 200 OK",
    "\nHTTP/1.1 200 OK", "\0HTTP/1.1 200 OK", '220 mail.example ESMTP',
    'SSH-2.0-OpenSSH_9.2', '<html>', "\x16\x03\x01\x02", 'GET / HTTP/1.1',
    "HTTP/1.1 200 OK\rX", "HTTP/1.1\t200 OK", 'ICY 200 OK';
line_is($_, '200 hello') for 'HTTP/1.1 200', 'HTTP/1.1 200 ',
    "HTTP/1.1 200 \xe9t\xe9", 'HTTP/1.2 200 OK';
answer('HTTP/0.9', "<html>\n<body>hello</body>\n", 'protocol');
answer('nothing', '', 'reset');
answer('an empty line', "\r\n", 'protocol');

# ---- responses before the response

answer('a 100 first', "HTTP/1.1 100 Continue\r\n\r\n${OK}$LEN\r\nhello",
    '200 hello');
answer('a 103 first', "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    . "${OK}$LEN\r\nhello", '200 hello');
answer('ten of them', "HTTP/1.1 102 P\r\n\r\n" x 10 . "${OK}$LEN\r\nhello",
    '200 hello');
answer('a 100 that speaks of a body', "HTTP/1.1 100 Continue\r\n"
    . "Content-Length: 500\r\n\r\n${OK}$LEN\r\nhello", '200 hello');
answer('a 100 that is all', "HTTP/1.1 100 Continue\r\n\r\n", 'reset');
answer('a 101', "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n"
    . "Connection: Upgrade\r\n\r\nhello", 'protocol');
answer('a 101 with a length', "HTTP/1.1 101 S\r\n$LEN\r\nhello", 'protocol');
answer('no end of them', "HTTP/1.1 100 Continue\r\n\r\n" x 8000, 'protocol');

# ---- bodies that are none

answer('a body of a HEAD', "${OK}$LEN\r\nhello", '200 ', method => 'HEAD',
    spoils => 1);
answer('chunks of a HEAD', $CHUNKED . $CHUNKS, '200 ', method => 'HEAD',
    spoils => 1);
answer('a HEAD', "${OK}$LEN\r\n", '200 ', method => 'HEAD');
answer('a 204 with a body', "HTTP/1.1 204 No\r\n$LEN\r\nhello", '204 ',
    spoils => 1);
answer('a 204 with chunks', "HTTP/1.1 204 No\r\n$TE\r\n$CHUNKS", '204 ',
    spoils => 1);
answer('a 304 with a body', "HTTP/1.1 304 No\r\n$LEN\r\nhello", '304 ',
    spoils => 1);
answer('a 304', "HTTP/1.1 304 No\r\n$LEN\r\n", '304 ');
answer('a 204', "HTTP/1.1 204 No\r\n\r\n", '204 ');

# ---- chunks

chunks_are('chunks in capitals', "A\r\n0123456789\r\n0\r\n\r\n",
    '200 0123456789');
chunks_are('chunks with zeros', "0005\r\nhello\r\n000\r\n\r\n", '200 hello');
chunks_are('chunks by LF', "5\nhello\n0\n\n", '200 hello');
chunks_are('extensions', "5;a=b\r\nhello\r\n0;c=\"d\"\r\n\r\n", '200 hello');
chunks_are('trailers', "5\r\nhello\r\n0\r\nX: y\r\nZ: z\r\n\r\n",
    '200 hello');
chunks_are('no chunk', "0\r\n\r\n", '200 ');
chunks_are('many small ones', "1\r\nx\r\n" x 3000 . "0\r\n\r\n",
    '200 ' . 'x' x 3000);
chunks_are("a chunk of $_", "$_\r\nhello\r\n0\r\n\r\n") for '-5', '+5', '0x5',
    ' 5', 'g', '', '5h', '8000000000000000', 'ffffffffffffffff',
    '10000000000000005', 'f' x 100, '"5"', "\t5", '5,5', "5\rx", "5\0",
    "\r\n5";
chunks_are('a chunk that is the largest', "7fffffffffffffff\r\nhello",
    'protocol');
chunks_are('a chunk of 1 GB', "40000000\r\nhello", 'reset');
chunks_are('a chunk that is longer', "5\r\nhello!\r\n0\r\n\r\n");
# the CR is of the chunk then, and a line may end by LF
chunks_are('a chunk that is shorter', "6\r\nhello\r\n0\r\n\r\n",
    "200 hello\r");
chunks_are('a chunk that is shorter by two', "7\r\nhello\r\n0\r\n\r\n");
chunks_are('a chunk without an end', "5\r\nhello0\r\n\r\n");
chunks_are('a chunk that ends by CR', "5\r\nhello\r0\r\n\r\n");
chunks_are('no last chunk', "5\r\nhello\r\n", 'reset');
chunks_are('a last chunk without an end', "5\r\nhello\r\n0\r\n", 'reset');
chunks_are('trailers without an end', "5\r\nhello\r\n0\r\nX: y\r\n", 'reset');
chunks_are('an extension of 1 MB', '5;' . 'x' x 1_048_576
    . "\r\nhello\r\n0\r\n\r\n");
chunks_are('no end of an extension', '5;' . 'x' x 1_048_576);
chunks_are('no end of trailers', "5\r\nhello\r\n0\r\n" . "X: y\r\n" x 200_000);
chunks_are('no end of a trailer', "5\r\nhello\r\n0\r\nX: " . 'y' x 1_048_576);
chunks_are('zeros without end', '0' x 1_048_576);
chunks_are('a CR in the last chunk', "5\r\nhello\r\n0\r\r\n\r\n");
chunks_are('something behind the last chunk', "${CHUNKS}more", '200 hello',
    spoils => 1);
chunks_are('a response behind the last chunk', "$CHUNKS${OK}Content-Length: 4"
    . "\r\n\r\nevil", '200 hello', spoils => 1);
answer('a response behind the response', "${OK}$LEN\r\nhello${OK}"
    . "Content-Length: 4\r\n\r\nevil", '200 hello', spoils => 1);

1;
