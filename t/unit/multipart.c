
/*
 * Bodies of multipart/form-data: what browsers, curl and others send, and what
 * is malformed.  Each is cut at every byte, and comes byte by byte, and must
 * give the same, from memory that ends where a piece does.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_stub.h"
#include <ngx_http_async_multipart.h>


#define SIZE     65536
#define HEADERS  256

#define B  "--xyz\r\n"
#define E  "--xyz--"
#define D  "Content-Disposition: form-data; "
#define N  D "name=a\r\n\r\n"


typedef struct {
    const char  *title;
    const char  *body;
    const char  *events;
} multipart_case_t;


static char  events[SIZE];


static void feed(ngx_http_async_multipart_t *mp, u_char *data, size_t len);
static void note(const char *start, const u_char *data, size_t len,
    const char *end);
static const char *run(const char *type, const u_char *body, size_t len,
    size_t split, size_t step);
static void check(multipart_case_t *c);
static void test_boundaries(void);
static void test_names(void);
static void test_random(void);


static multipart_case_t  cases[] = {

    { "two texts", B N "1\r\n" B D "name=\"b\"\r\n\r\n2\r\n" E "\r\n",
      "[a]1.[b]2.$" },

    { "a file", B D "name=\"f\"; filename=\"x.png\"\r\n"
      "Content-Type: image/png\r\n\r\n\r\n\r\n--xy\r\n" E,
      "[f|x.png|image/png]\r\n\r\n--xy.$" },

    { "nothing in it", B N "\r\n" E, "[a].$" },
    { "a part without a body", B N B N "\r\n" E, "[a].[a].$" },
    { "... at the end", B N E, "[a].$" },
    { "no parts", E, "$" },
    { "preamble and epilogue", "hello\r\n--xy\r\n" B N "1\r\n" E " --xyz\r\n",
      "[a]1.$" },
    { "an empty line before", "\r\n" B N "1\r\n" E, "[a]1.$" },
    { "spaces behind a boundary", "--xyz \t\r\n" N "1\r\n" E, "[a]1.$" },
    { "what looks like a boundary", B N
      "\r\r\n\r\n-\r\n--x\r\n--xy\r\r\n--xyZ\n--xyz\r--xyz --xyz\r\n" E,
      "[a]\r\r\n\r\n-\r\n--x\r\n--xy\r\r\n--xyZ\n--xyz\r--xyz --xyz.$" },
    { "dashes first", B N "--\r\n" E, "[a]--.$" },
    { "half a boundary first", B N "--xy\r\n" E, "[a]--xy.$" },

    { "headers in any case, folded, others", B
      "CONTENT-disposition:form-DATA;\r\n NAME=\"a\"\r\nX-Y: z\r\n"
      "content-transfer-encoding: Binary\r\n\r\n1\r\n" E, "[a]1.$" },
    { "a charset of a text", B D "name=a\r\nContent-Type: text/plain; "
      "charset=utf-8\r\n\r\n1\r\n" E, "[a]1.$" },
    { "a Content-Type without a value", B D "name=a; filename=b\r\n"
      "Content-Type:\r\n\r\n1\r\n" E, "[a|b|]1.$" },
    { "a file without a type", B D "name=a; filename=b\r\n\r\n1\r\n" E,
      "[a|b|-]1.$" },
    { "no file chosen", B D "name=\"a\"; filename=\"\"\r\nContent-Type: "
      "application/octet-stream\r\n\r\n\r\n" E,
      "[a||application/octet-stream].$" },

    { "the last boundary is missing", B N "1\r\n" B, "[a]1.?" },
    { "... and its dashes", B N "1\r\n--xyz", "[a]1.?" },
    { "... one of them", B N "1\r\n--xyz-", "[a]1.?" },
    { "... and more", B N "1\r\n--xy", "[a]1?" },
    { "cut in headers", B D "name=a\r\n", "?" },
    { "empty", "", "?" },
    { "no boundary", "a=1", "?" },
    { "line feeds", "--xyz\nContent-Disposition: form-data; name=a\n\n1\n"
      "--xyz--\n", "!something stands behind a boundary" },
    { "line feeds in headers", B D "name=a\n\n1\r\n" E,
      "!a header of a part has a bare CR or LF, or NUL" },
    { "a CR in headers", B D "name=a\rb\r\n\r\n1\r\n" E,
      "!a header of a part has a bare CR or LF, or NUL" },
    { "a longer boundary", "--xyzz\r\n" N "1\r\n" E,
      "!something stands behind a boundary" },
    { "... in a part", B N "1\r\n--xyzz\r\n" E,
      "[a]1.!something stands behind a boundary" },
    { "one dash", B N "1\r\n--xyz-\r\n",
      "[a]1.!something stands behind a boundary" },
    { "a CR alone behind a boundary", "--xyz\rX",
      "!something stands behind a boundary" },
    { "no headers", B "\r\n1\r\n" E, "!a part is no form-data*" },
    { "no Content-Disposition", B "X: y\r\n\r\n1\r\n" E,
      "!a part is no form-data*" },
    { "another one", B "Content-Disposition: attachment; name=a\r\n\r\n1\r\n"
      E, "!a part is no form-data*" },
    { "no name", B D "filename=a\r\n\r\n1\r\n" E, "!a part has no name*" },
    { "no parameters", B "Content-Disposition: form-data\r\n\r\n1\r\n" E,
      "!a part has no name*" },
    { "two Content-Dispositions", B D "name=a\r\n" D "name=b\r\n\r\n1\r\n" E,
      "!a part has the same header twice" },
    { "two names", B D "name=a; name=b\r\n\r\n1\r\n" E,
      "!a Content-Disposition is malformed" },
    { "two file names", B D "name=a; filename=a; filename=b\r\n\r\n1\r\n" E,
      "!a Content-Disposition is malformed" },
    { "a quote that does not end", B D "name=\"a\r\n\r\n1\r\n" E,
      "!a Content-Disposition is malformed" },
    { "... escaped", B D "name=\"a\\\"\r\n\r\n1\r\n" E,
      "!a Content-Disposition is malformed" },
    { "text behind a quote", B D "name=\"a\"b\r\n\r\n1\r\n" E,
      "!a Content-Disposition is malformed" },
    { "a parameter without a value", B D "name\r\n\r\n1\r\n" E,
      "!a Content-Disposition is malformed" },
    { "... before others", B D "name; filename=a\r\n\r\n1\r\n" E,
      "!a Content-Disposition is malformed" },
    { "a header without a colon", B D "name=a\r\nX\r\n\r\n1\r\n" E,
      "!a header of a part is malformed" },
    { "... without a name", B ": x\r\n\r\n1\r\n" E,
      "!a header of a part is malformed" },
    { "a space before the colon", B "Content-Disposition : form-data; name=a"
      "\r\n\r\n1\r\n" E, "!a header of a part is malformed" },
    { "a space before the first header", B " " D "name=a\r\n\r\n1\r\n" E,
      "!a header of a part is malformed" },
    { "base64", B D "name=a\r\nContent-Transfer-Encoding: base64\r\n\r\n1\r\n"
      E, "!a part has a Content-Transfer-Encoding" },
    { "headers that are too large", B D "name=a\r\nX: "
      "................................................................"
      "................................................................"
      "................................................................"
      "................................................................"
      "\r\n\r\n1\r\n" E, "!the headers of a part are too large" },

    { NULL, NULL, NULL }
};


int
main(void)
{
    multipart_case_t  *c;

    for (c = cases; c->title; c++) {
        check(c);
    }

    test_boundaries();
    test_names();
    test_random();

    return ngx_stub_done();
}


static void
check(multipart_case_t *c)
{
    size_t       len, i;
    const char  *type, *got, *body;

    type = "multipart/form-data; boundary=xyz";
    body = c->body;
    len = strlen(body);

    got = run(type, (u_char *) body, len, 0, len);

    ngx_stub_ok(strcmp(got, c->events) == 0, "%s", c->title);

    for (i = 1; i <= len; i++) {
        got = run(type, (u_char *) body, len, i, len);

        if (strcmp(got, c->events) != 0) {
            break;
        }
    }

    ngx_stub_ok(i == len + 1, "... cut anywhere, at %u", (unsigned) i);

    got = run(type, (u_char *) body, len, 0, 1);

    ngx_stub_ok(strcmp(got, c->events) == 0, "... byte by byte");
}


/*
 * What comes of it: "[name]", "[name|file|type]", data, "." at the end of a
 * part, then "$", "?" when the end is missing, or "!" and the error, with "*"
 * if there is a detail.  Cut in two, and each of those in steps.
 */

static const char *
run(const char *type, const u_char *body, size_t len, size_t split,
    size_t step)
{
    size_t                       pos, end;
    u_char                      *piece, *headers;
    ngx_str_t                    text;
    ngx_http_async_multipart_t   mp;

    events[0] = '\0';

    text.len = strlen(type);
    text.data = malloc(text.len ? text.len : 1);
    memcpy(text.data, type, text.len);

    headers = malloc(HEADERS);

    if (ngx_http_async_multipart_init(&mp, &text, headers, HEADERS) != NGX_OK)
    {
        free(text.data);
        free(headers);
        return "refused";
    }

    free(text.data);

    for (pos = 0; pos < len; pos = end) {
        end = (pos < split) ? split : len;

        if (step && end - pos > step) {
            end = pos + step;
        }

        piece = malloc(end - pos);
        memcpy(piece, body + pos, end - pos);

        feed(&mp, piece, end - pos);

        free(piece);
    }

    if (mp.state == NGX_HTTP_ASYNC_MULTIPART_FAILED) {
        note("!", (u_char *) mp.error, strlen(mp.error), mp.detail ? "*" : "");

    } else {
        note(ngx_http_async_multipart_complete(&mp) ? "$" : "?", NULL, 0, "");
    }

    free(headers);

    return events;
}


static void
feed(ngx_http_async_multipart_t *mp, u_char *data, size_t len)
{
    ngx_str_t                         piece;
    ngx_http_async_multipart_event_e  event;

    piece.data = data;
    piece.len = len;

    do {
        event = ngx_http_async_multipart_next(mp, &piece);

        if (piece.data + piece.len != data + len
            || (event == NGX_HTTP_ASYNC_MULTIPART_MORE && piece.len)
            || (event == NGX_HTTP_ASYNC_MULTIPART_DATA && mp->data.len == 0))
        {
            abort();
        }

        switch (event) {

        case NGX_HTTP_ASYNC_MULTIPART_PART:
            note("[", mp->name.data, mp->name.len, "");

            if (mp->file) {
                note("|", mp->filename.data, mp->filename.len, "|");
                note("", (u_char *) (mp->type.data ? mp->type.data
                                                   : (u_char *) "-"),
                     mp->type.data ? mp->type.len : 1, "");
            }

            note("]", NULL, 0, "");
            break;

        case NGX_HTTP_ASYNC_MULTIPART_DATA:
            note("", mp->data.data, mp->data.len, "");
            break;

        case NGX_HTTP_ASYNC_MULTIPART_END:
            note(".", NULL, 0, "");
            break;

        default:
            break;
        }

    } while (event != NGX_HTTP_ASYNC_MULTIPART_MORE
             && event != NGX_HTTP_ASYNC_MULTIPART_ERROR);
}


static void
note(const char *start, const u_char *data, size_t len, const char *end)
{
    size_t  used;

    used = strlen(events);

    if (used + strlen(start) + len + strlen(end) >= SIZE) {
        abort();
    }

    (void) sprintf(events + used, "%s%.*s%s", start, (int) len,
                   data ? (char *) data : "", end);
}


static void
test_boundaries(void)
{
    size_t       i, len;
    char         type[256], body[512];
    const char  *got;

    static const char  *good[] = {
        "multipart/form-data; boundary=xyz",
        "multipart/form-data;boundary=\"xyz\"",
        "multipart/form-data ; BOUNDARY=xyz ; a=b",
        "multipart/form-data; charset=\"a;b\"; boundary=xyz",
        "multipart/form-data; boundary=\"x\\yz\"; boundary=abc",
        NULL
    };

    static const char  *bad[] = {
        "multipart/form-data", "multipart/form-data;",
        "multipart/form-data; boundary", "multipart/form-data; boundary=",
        "multipart/form-data; boundary=\"\"",
        "multipart/form-data; boundary=\"xyz",
        "multipart/form-data; boundary=\"xyz \"",
        "multipart/form-data; boundary=\"x\tz\"",
        "multipart/form-data; boundary=x\x80",
        "multipart/form-data; a=boundary=xyz",
        NULL
    };

    for (i = 0; good[i]; i++) {
        (void) sprintf(body, i == 4 ? "--x\\yz--" : E);
        got = run(good[i], (u_char *) body, strlen(body), 0, 0);
        ngx_stub_ok(strcmp(got, "$") == 0, "%s: %s", good[i], got);
    }

    for (i = 0; bad[i]; i++) {
        got = run(bad[i], (u_char *) E, strlen(E), 0, 0);
        ngx_stub_ok(strcmp(got, "refused") == 0, "%s", bad[i]);
    }

    for (len = 69; len <= 71; len++) {
        (void) sprintf(type, "multipart/form-data; boundary=%0*d", (int) len,
                       1);
        (void) sprintf(body, "--%0*d--", (int) len, 1);

        got = run(type, (u_char *) body, strlen(body), 0, 0);

        ngx_stub_ok(strcmp(got, len > 70 ? "refused" : "$") == 0,
                    "a boundary of %u", (unsigned) len);
    }
}


/* Parameters of a Content-Disposition, and what name and file are then. */

static void
test_names(void)
{
    size_t       i;
    char         body[512];
    const char  *got;

    static const struct {
        const char  *params;
        const char  *part;
    } names[] = {
        { "name=a", "a" },
        { "name= a ;", "a" },
        { "name=\"\"", "" },
        { "name=", "" },
        { "name=\"a b;c=d\"", "a b;c=d" },
        { "name=\"\xc3\xa4\"", "\xc3\xa4" },
        { "name=\"a%22b%0D%0Ac%0a%20%\"", "a\"b\r\nc\n%20%" },
        { "name=\"a\\\"b\\\\c\\d\"", "a\"b\\c\\d" },
        { "name=a; filename=b", "a|b|-" },
        { "filename=b; name=a", "a|b|-" },
        { "name=a; filename=\"a;b\"", "a|a;b|-" },
        { "name=a; filename=\"/etc/passwd\"", "a|passwd|-" },
        { "name=a; filename=\"C:\\dir\\x.txt\"", "a|x.txt|-" },
        { "name=a; filename=\"..\\..\\x\"", "a|x|-" },
        { "name=a; filename=\"dir/\"", "a||-" },
        { "name=a; filename=\"%22x%22\"", "a|\"x\"|-" },
        { "name=a; filename*=UTF-8''%e2%82%ac.txt", "a|\xe2\x82\xac.txt|-" },
        { "name=a; filename=x; filename*=utf-8'en'a%20b", "a|a b|-" },
        { "name=a; filename*=UTF-8''..%2f..%2fx", "a|x|-" },
        { "name=a; filename*=iso-8859-1''%e4%41", "a|\xc3\xa4" "A|-" },
        { "name=a; filename=x; filename*=koi8-r''%e4", "a|x|-" },
        { "name=a; filename=x; filename*=UTF-8''%e", "a|x|-" },
        { "name=a; filename=x; filename*=UTF-8''%zz", "a|x|-" },
        { "name=a; filename=x; filename*=UTF-8''%00", "a|x|-" },
        { "name=a; filename=x; filename*=b", "a|x|-" },
        { "name=a; filename*=b", "a||-" },
        { NULL, NULL }
    };

    for (i = 0; names[i].params; i++) {
        (void) sprintf(body, B D "%s\r\n\r\n\r\n" E, names[i].params);
        got = run("multipart/form-data; boundary=xyz", (u_char *) body,
                  strlen(body), 0, 0);

        (void) sprintf(body, "[%s].$", names[i].part);
        ngx_stub_ok(strcmp(got, body) == 0, "%s", names[i].params);
    }
}


/* Texts of the bytes that matter, in random pieces. */

static void
test_random(void)
{
    size_t             n, len, size, split, step;
    char               whole[SIZE];
    u_char             body[4096], *p;
    uint32_t           random;
    const char        *got;
    ngx_uint_t         wrong;

    static const char  bytes[] = "\r\r\n\n---xyzz";

    random = 1;
    wrong = 0;

    for (n = 0; n < 20000; n++) {

        p = ngx_cpymem(body, B N, sizeof(B N) - 1);

        for (size = random >> 26; size; size--) {
            random = random * 1664525 + 1013904223;
            *p++ = (u_char) bytes[(random >> 16) % (sizeof(bytes) - 1)];
        }

        p = ngx_cpymem(p, "\r\n" E, sizeof("\r\n" E) - 1);
        len = p - body;

        random = random * 1664525 + 1013904223;
        split = (random >> 8) % len;
        step = 1 + (random >> 24) % 7;

        got = run("multipart/form-data; boundary=xyz", body, len, 0, 0);
        strcpy(whole, got);

        got = run("multipart/form-data; boundary=xyz", body, len, split, step);

        if (strcmp(got, whole) != 0) {
            wrong++;
        }
    }

    ngx_stub_ok(wrong == 0, "%u bodies in random pieces, %u differ",
                (unsigned) n, (unsigned) wrong);
}
