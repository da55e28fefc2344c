
/* Near misses of names: the table of distances and bounds. */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_stub.h"
#include <ngx_async_near.h>


typedef struct {
    const char  *word;
    const char  *expected;      /* NULL: nothing is near */
    const char  *why;
} near_case_t;


static ngx_str_t  names[] = {
    ngx_string("str"), ngx_string("int"), ngx_string("float"),
    ngx_string("read_notes"), ngx_string("read_note"), ngx_string("a"),
    ngx_string("calculate"), ngx_string("")
};


static near_case_t  cases[] = {
    { "itn", "int", "neighbours swapped count once" },
    { "sr", "str", "a letter is missing" },
    { "INT", "int", "letter case does not count" },
    { "flaot", "float", "a longer word with a swap" },
    { "double", NULL, "another word altogether" },
    { "xyz", NULL, "all letters differ" },
    { "b", NULL, "one letter for another is nothing in common" },
    { "", NULL, "the empty word" },
    { "raed_notes", "read_notes", "the nearer of two" },
    { "read_notess", "read_notes", "a letter too many" },
    { "claculaet", "calculate", "two swaps of nine letters" },
    { "kalkulatee", "calculate", "three changes of ten letters" },
    { "calxxxxte", NULL, "four changes are too many" },
    { "uuuid", NULL, "no empty name is offered" }
};


int
main(void)
{
    u_char                  huge[4096];
    ngx_str_t               word;
    ngx_uint_t              i;
    const ngx_str_t        *best;
    ngx_async_near_t   near;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        word.data = (u_char *) cases[i].word;
        word.len = strlen(cases[i].word);

        best = ngx_async_near(&word, names,
                                   sizeof(names) / sizeof(names[0]));

        ngx_stub_ok(cases[i].expected ? best
                                        && ngx_stub_is(best, cases[i].expected)
                                      : best == NULL,
                    "\"%s\": %s", cases[i].word, cases[i].why);
    }

    memset(huge, 'a', sizeof(huge));
    word.data = huge;
    word.len = sizeof(huge);

    best = ngx_async_near(&word, names, 8);
    ngx_stub_ok(best == NULL, "a huge word is near nothing");

    word.len = NGX_ASYNC_NEAR_MAX;
    best = ngx_async_near(&word, &word, 1);
    ngx_stub_ok(best == &word, "the longest word is near itself");

    ngx_str_set(&word, "calculat");
    ngx_async_near_init(&near, &word);
    ngx_stub_ok(near.best == NULL, "nothing is best before the first offer");

    for (i = 0; i < 8; i++) {
        ngx_async_near_offer(&near, &names[i]);
    }

    ngx_stub_ok(near.best == &names[6], "offers one by one find the same");

    return ngx_stub_done();
}
