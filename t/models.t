#!/usr/bin/perl

# Models and dependencies of an app of several files: declared in a header that
# all of them share, defined in one of them; and models that name each other.
# In C and in C++.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use NginxAsync;

my $root = $NginxAsync::Env::Root;
my $dir  = NginxAsync::Guard::temp_dir('models');

chmod 0755, $dir;

NginxAsync::Env::spew("$dir/library.h", <<'EOF_C');
#include <ngx_async.h>

typedef struct author_s  author_t;
typedef struct book_s    book_t;

struct book_s {
    const char  *title;
    author_t    *author;
};

struct author_s {
    const char  *name;
    book_t      *books;
    size_t       n_books;
};

ASYNC_USE_MODEL(author_model, author_t)
ASYNC_USE_MODEL(book_model, book_t)

ASYNC_USE_DEPENDENCY(shelf, int)
ASYNC_USE_DEPENDENCY(clerk, void)
EOF_C

NginxAsync::Env::spew("$dir/author.inc", <<'EOF_C');
#include "library.h"

ASYNC_DEFINE_MODEL(author_model, author_t,
    ASYNC_FIELD(author_t, name),
    ASYNC_OBJECTS(author_t, books, n_books, book_model,
                  ASYNC_WITH(optional, 1))
);

ASYNC_DEFINE_DEPENDENCY(shelf, int)
{
    static const int  number = 7;

    return async_provide(req, &number);
}

ASYNC_HANDLER(ROUTE(author), ASYNC_BODY(author_model), ASYNC_DEPENDS(shelf),
              ASYNC_RESPONSE(200, author_model))
{
    return async_respond(req, 200 + *shelf_of(req), &author_model,
                         author_model_of(req));
}
EOF_C

NginxAsync::Env::spew("$dir/book.inc", <<'EOF_C');
#include "library.h"

ASYNC_DEFINE_MODEL(book_model, book_t,
    ASYNC_FIELD(book_t, title),
    ASYNC_OBJECT(book_t, author, author_model)
);

BLOCKING_DEFINE_DEPENDENCY(clerk, void, ASYNC_DEPENDS(shelf))
{
    return async_provide(req, shelf_of(req));
}

BLOCKING_HANDLER(ROUTE(book), ASYNC_BODY(book_model), ASYNC_DEPENDS(clerk))
{
    return async_respond(req, 200 + *(int *) clerk_of(req), &book_model,
                         book_model_of(req));
}
EOF_C

# Compiles texts, as files of that kind; returns what the compiler says.
sub compile {
    my ($name, $kind, @texts) = @_;

    local $ENV{ASAN} = NginxAsync::Env::asan() ? 1 : '';

    my @files = map { "$dir/$name-$_.$kind" } 1 .. @texts;

    NginxAsync::Env::spew($files[$_], $texts[$_]) for 0 .. $#files;

    my $out = NginxAsync::run("$root/util/async-cc", '-Wall', '-Wextra',
        '-Werror', @files, '-o', "$dir/$name.so");

    chmod 0755, "$dir/$name.so";

    return $? ? $out || 'failed' : '';
}

for my $kind (qw(c cc)) {
    my @texts = map { s/ROUTE\((\w+)\)/${kind}_$1/r }
        map { NginxAsync::Env::slurp("$dir/$_.inc") } qw(author book);

    is compile($kind, $kind, @texts), '', "Two files of .$kind share a header";
    is compile("$kind-one", $kind, join "\n", $texts[0],
        $texts[1] =~ s/^#include.*//r), '', '... and one may be both';

    isnt compile("$kind-other", $kind,
        $texts[0] =~ s/DEFINE_MODEL\(author_model, author_t/DEFINE_MODEL(author_model, book_t/r),
        '', 'A model of another type than declared does not compile';
    isnt compile("$kind-value", $kind,
        $texts[0] =~ s/DEFINE_DEPENDENCY\(shelf, int/DEFINE_DEPENDENCY(shelf, long/r),
        '', '... nor does a dependency';
}

my $n = NginxAsync->new(conf => { http => <<"EOF_CONF", server => <<'EOF_CONF2' })->start;
    async_app $dir/c.so;
    async_app $dir/cc.so;
EOF_CONF
    location / {
        async_route POST /c/author c_author;
        async_route POST /c/book c_book;
        async_route POST /cc/author cc_author;
        async_route POST /cc/book cc_book;
    }
    location = /openapi.json { async_openapi; }
EOF_CONF2

for my $kind (qw(c cc)) {
    my $author = '{"name":"A","books":[{"title":"B","author":{"name":"C",'
        . '"books":[]}},{"title":"D","author":null}]}';
    my $book = '{"title":"T","author":' . $author . '}';
    my @json = (headers => ['Content-Type', 'application/json']);

    my $r = $n->post("/$kind/author", $author, @json);

    is $r->status . ' ' . $r->body, "207 $author", "A circle of models, .$kind";

    $r = $n->post("/$kind/book", $book, @json);
    is $r->status . ' ' . $r->body, "207 $book", '... from its other side';

    $r = $n->post("/$kind/book", $book =~ s/"D"/5/r, @json);
    is $r->status . ' ' . $r->body, '422 {"detail":[{"type":"string_type",'
        . '"loc":["body","author","books",1,"title"],'
        . '"msg":"Input should be a valid string","input":5}]}',
        '... and where an error is';
}

my $document = $n->get('/openapi.json')->body;
my $author = '"author":{"anyOf":[{"$ref":"#/components/schemas/author_model-';

like $document, qr/"book_model-$_":\{[^}]*\},\Q$author$_\E"/,
    "The document has both, for $_" for qw(Input Output);

done_testing;
