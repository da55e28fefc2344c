
/*
 * libFuzzer's entry to query strings and cookies, and to what declared
 * parameters make of them, see t/query-fuzz.t.  The first byte says which.
 * What has been decoded, encoded another way, must decode to the same; and a
 * value that is taken must be one that its field declares, and be taken again
 * when it is written plainly.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <math.h>
#include <stdbool.h>
#include <ngx_http_async_cookie.h>
#include <ngx_http_async_query.h>
#include <ngx_http_async_schema.h>
#include <ngx_http_async_value.h>
#include "ngx_stub.h"


#define CHECK(condition)                                                     \
    do {                                                                     \
        if (!(condition)) {                                                  \
            fprintf(stderr, "line %d: %s\n", __LINE__, #condition);          \
            abort();                                                         \
        }                                                                    \
    } while (0)


typedef enum { RED, GREEN, BLUE } color_t;

typedef struct {
    int8_t          a;
    uint16_t        b;
    int64_t         c;
    uint64_t        d;
    int             e;
    double          f;
    float           g;
    bool            h;
    const char     *i;
    async_str_t     j;
    color_t         k;
    const char     *l;
    const char     *m;
    const char     *n;
    int64_t         o;
    async_str_t     p;
    int            *q;
    int            *r;
    size_t          n_r;
    const char    **s;
    size_t          n_s;
    int             t;
} params_t;

static const char *const  colors[] = { "red", "green", "blue", NULL };

static const char *check_even(const void *member);

ASYNC_MODEL(params_model, params_t,
    ASYNC_FIELD(params_t, a),
    ASYNC_FIELD(params_t, b, ASYNC_GT(3)),
    ASYNC_FIELD(params_t, c),
    ASYNC_FIELD(params_t, d, ASYNC_LE(500)),
    ASYNC_FIELD(params_t, e, ASYNC_GT(-5), ASYNC_LT(5)),
    ASYNC_FIELD(params_t, f, ASYNC_GE(-2.5)),
    ASYNC_FIELD(params_t, g, ASYNC_LE(0.1)),
    ASYNC_FIELD(params_t, h),
    ASYNC_FIELD(params_t, i, ASYNC_WITH(min_length, 2),
                ASYNC_WITH(max_length, 4)),
    ASYNC_FIELD(params_t, j, ASYNC_WITH(pattern, "^[a-c]+$")),
    ASYNC_FIELD(params_t, k, ASYNC_WITH(choices, colors)),
    ASYNC_FIELD(params_t, l, ASYNC_WITH(choices, colors)),
    ASYNC_FIELD(params_t, m, ASYNC_WITH(type, ASYNC_FIELD_UUID)),
    ASYNC_FIELD(params_t, n, ASYNC_WITH(type, ASYNC_FIELD_DATE)),
    ASYNC_FIELD(params_t, o, ASYNC_WITH(type, ASYNC_FIELD_TIME)),
    ASYNC_FIELD(params_t, p, ASYNC_WITH(type, ASYNC_FIELD_BYTES)),
    ASYNC_FIELD(params_t, q),
    ASYNC_LIST(params_t, r, n_r, ASYNC_WITH(min_length, 1),
               ASYNC_WITH(max_length, 3), ASYNC_GE(0)),
    ASYNC_LIST(params_t, s, n_s, ASYNC_WITH(optional, 1)),
    ASYNC_FIELD(params_t, t, ASYNC_WITH(check, check_even))
);


int LLVMFuzzerTestOneInput(const u_char *data, size_t len);

static void try_query(ngx_pool_t *pool, ngx_str_t *text);
static void same_pieces(ngx_pool_t *pool, ngx_str_t *text, ngx_array_t *query);
static void same_again(ngx_pool_t *pool, ngx_array_t *query);
static u_char *encode(u_char *p, ngx_str_t *text);
static void try_cookies(ngx_pool_t *pool, ngx_str_t *text);
static void cookie_again(ngx_str_t *name, ngx_str_t *value);
static void try_params(ngx_pool_t *pool, ngx_http_async_query_t *q,
    ngx_uint_t n);
static void try_field(ngx_pool_t *pool, ngx_http_async_schema_field_t *f,
    ngx_http_async_query_t *q, ngx_uint_t n);
static ngx_int_t read_field(ngx_http_async_reading_t *reading,
    ngx_http_async_schema_field_t *f, ngx_http_async_query_t *q, ngx_uint_t n,
    params_t *to);
static ngx_int_t read_one(ngx_http_async_reading_t *reading,
    ngx_http_async_schema_field_t *f, ngx_str_t *text, void *to);
static json_t *no_input(void *data);
static ngx_uint_t is_named(ngx_http_async_query_t *q, ngx_str_t *name);
static void is_declared(u_char name, params_t *p);
static void is_text(ngx_str_t *text);
static void again(ngx_http_async_reading_t *reading,
    ngx_http_async_schema_field_t *f, params_t *p);


static ngx_http_async_schema_t  *schema;
static ngx_pool_t               *forever;


int
LLVMFuzzerTestOneInput(const u_char *data, size_t len)
{
    u_char       error[NGX_HTTP_ASYNC_MODEL_ERROR_LEN];
    ngx_str_t    text;
    ngx_pool_t  *pool;

    if (schema == NULL) {
        forever = ngx_create_pool(0, NULL);

        CHECK(ngx_http_async_model_check(&params_model, error) == NGX_OK);
        CHECK(ngx_http_async_schema_make(&params_model, forever, error)
              == NGX_OK);

        schema = ngx_http_async_schema(&params_model);
    }

    if (len == 0) {
        return 0;
    }

    /* its end is that of its memory */

    text.len = len - 1;
    text.data = malloc(len);
    memcpy(text.data, data + 1, text.len);

    pool = ngx_create_pool(0, NULL);

    if (data[0] % 4 == 0) {
        try_cookies(pool, &text);

    } else {
        try_query(pool, &text);
    }

    ngx_destroy_pool(pool);
    free(text.data);

    return 0;
}


static void
try_query(ngx_pool_t *pool, ngx_str_t *text)
{
    ngx_array_t  *query;

    query = ngx_http_async_query_split(pool, text);

    CHECK(query);

    same_pieces(pool, text, query);
    same_again(pool, query);
    try_params(pool, query->elts, query->nelts);
}


/* as many as there are between the ampersands, and each is its own text's */

static void
same_pieces(ngx_pool_t *pool, ngx_str_t *text, ngx_array_t *query)
{
    u_char                  *p, *end, *next, *eq;
    ngx_str_t                name, value;
    ngx_http_async_query_t  *q;

    q = query->elts;
    end = text->data + text->len;

    for (p = text->data; p < end; p = next + 1) {
        next = memchr(p, '&', end - p);
        next = next ? next : end;

        if (next == p) {
            continue;
        }

        CHECK(q < (ngx_http_async_query_t *) query->elts + query->nelts);

        eq = memchr(p, '=', next - p);
        eq = eq ? eq : next;

        CHECK(ngx_http_async_query_decode(pool, &name, p, eq) == NGX_OK);
        CHECK(ngx_http_async_query_decode(pool, &value,
                                          (eq < next) ? eq + 1 : next, next)
              == NGX_OK);

        /* with the zero */

        CHECK(q->name.len == name.len && q->value.len == value.len);
        CHECK(memcmp(q->name.data, name.data, name.len + 1) == 0);
        CHECK(memcmp(q->value.data, value.data, value.len + 1) == 0);

        q++;
    }

    CHECK(q == (ngx_http_async_query_t *) query->elts + query->nelts);
}


static void
same_again(ngx_pool_t *pool, ngx_array_t *query)
{
    size_t                   size;
    u_char                  *p;
    ngx_str_t                text;
    ngx_uint_t               i;
    ngx_array_t             *again;
    ngx_http_async_query_t  *q, *a;

    q = query->elts;
    size = 0;

    for (i = 0; i < query->nelts; i++) {
        size += 3 * (q[i].name.len + q[i].value.len) + 2;
    }

    text.data = ngx_palloc(pool, size);
    p = text.data;

    for (i = 0; i < query->nelts; i++) {
        p = encode(p, &q[i].name);
        *p++ = '=';
        p = encode(p, &q[i].value);
        *p++ = '&';
    }

    text.len = p - text.data;

    again = ngx_http_async_query_split(pool, &text);

    CHECK(again && again->nelts == query->nelts);

    a = again->elts;

    for (i = 0; i < query->nelts; i++) {
        CHECK(a[i].name.len == q[i].name.len
              && memcmp(a[i].name.data, q[i].name.data, q[i].name.len) == 0);
        CHECK(a[i].value.len == q[i].value.len
              && memcmp(a[i].value.data, q[i].value.data, q[i].value.len)
                 == 0);
    }
}


/* every other byte by its number, and all that mean something */

static u_char *
encode(u_char *p, ngx_str_t *text)
{
    u_char  c;
    size_t  i;

    for (i = 0; i < text->len; i++) {
        c = text->data[i];

        if (c == ' ') {
            *p++ = '+';

        } else if (i % 2 || strchr("%&=+", c)) {
            p += sprintf((char *) p, (c % 2) ? "%%%02x" : "%%%02X", c);

        } else {
            *p++ = c;
        }
    }

    return p;
}


static void
try_cookies(ngx_pool_t *pool, ngx_str_t *text)
{
    u_char                  *p, *end, name[] = "a";
    ngx_str_t                key, value;
    ngx_http_async_query_t   q[26];

    ngx_uint_t  n = 0;

    end = text->data + text->len;
    key.data = name;
    key.len = 1;

    for (name[0] = 'a'; name[0] <= 'z'; name[0]++) {

        if (!ngx_http_async_cookie_find(text, &key, &value)) {
            continue;
        }

        CHECK(value.data >= text->data && value.data + value.len <= end);
        CHECK(memchr(value.data, ';', value.len) == NULL);

        p = ngx_palloc(pool, value.len + 1);

        q[n].value.data = p;
        q[n].value.len = ngx_http_async_cookie_unquote(&value, p);

        CHECK(q[n].value.len <= value.len);

        p[q[n].value.len] = '\0';

        q[n].name.data = ngx_palloc(pool, 2);
        q[n].name.len = 1;
        memcpy(q[n].name.data, name, 2);

        cookie_again(&q[n].name, &q[n].value);
        n++;
    }

    try_params(pool, q, n);
}


static void
cookie_again(ngx_str_t *name, ngx_str_t *value)
{
    u_char     *p, *to;
    size_t      i;
    ngx_str_t   line, found;

    line.data = malloc(4 * value->len + sizeof("b=1; x=\"\""));
    p = line.data + sprintf((char *) line.data, "%s=1; %s=\"", name->data,
                            name->data);

    for (i = 0; i < value->len; i++) {
        p += (value->data[i] == '"' || value->data[i] == '\\')
             ? sprintf((char *) p, "\\%c", value->data[i])
             : sprintf((char *) p, "\\%03o", value->data[i]);
    }

    *p++ = '"';
    line.len = p - line.data;

    CHECK(ngx_http_async_cookie_find(&line, name, &found));

    to = malloc(found.len);

    CHECK(ngx_http_async_cookie_unquote(&found, to) == value->len);
    CHECK(memcmp(to, value->data, value->len) == 0);

    free(to);
    free(line.data);
}


static void
try_params(ngx_pool_t *pool, ngx_http_async_query_t *q, ngx_uint_t n)
{
    ngx_uint_t  i;

    for (i = 0; i < schema->n; i++) {
        try_field(pool, &schema->fields[i], q, n);
    }
}


static void
try_field(ngx_pool_t *pool, ngx_http_async_schema_field_t *f,
    ngx_http_async_query_t *q, ngx_uint_t n)
{
    params_t                  p;
    ngx_int_t                 rc;
    ngx_http_async_reading_t  reading;

    memset(&p, 0, sizeof(p));
    memset(&reading, 0, sizeof(reading));
    reading.pool = pool;

    rc = read_field(&reading, f, q, n, &p);

    CHECK(rc == NGX_OK || rc == NGX_DECLINED || rc == NGX_DONE);
    CHECK((rc == NGX_DECLINED) == (json_array_size(reading.errors) > 0));

    json_decref(reading.errors);
    reading.errors = NULL;

    if (rc == NGX_OK) {
        is_declared(f->name.data[0], &p);
        again(&reading, f, &p);
    }
}


/* as ngx_http_async_params.c does it; NGX_DONE: there is none */

static ngx_int_t
read_field(ngx_http_async_reading_t *reading, ngx_http_async_schema_field_t *f,
    ngx_http_async_query_t *q, ngx_uint_t n, params_t *to)
{
    u_char      *item;
    ngx_int_t    rc, one;
    ngx_str_t   *last;
    ngx_uint_t   i, items;

    ngx_http_async_loc_t  loc = { NULL, ngx_string("query"), 0 };

    last = NULL;
    items = 0;

    for (i = 0; i < n; i++) {
        if (is_named(&q[i], &f->name)) {
            last = &q[i].value;
            items++;
        }
    }

    if (last == NULL) {
        return NGX_DONE;
    }

    if (!f->list) {
        return read_one(reading, f, last,
                        ngx_http_async_schema_place(reading, f, to));
    }

    if (f->field->max_length && items > f->field->max_length) {
        return ngx_http_async_schema_count(reading, &loc, f, items, no_input,
                                           NULL);
    }

    item = ngx_http_async_schema_items(reading, f, to, items);
    rc = NGX_OK;

    for (i = 0; i < n; i++) {
        if (is_named(&q[i], &f->name)) {
            one = read_one(reading, f, &q[i].value, item);
            rc = (one == NGX_OK) ? rc : one;
            item += f->size;
        }
    }

    return (rc == NGX_OK)
           ? ngx_http_async_schema_count(reading, &loc, f, items, no_input,
                                         NULL)
           : rc;
}


static ngx_int_t
read_one(ngx_http_async_reading_t *reading, ngx_http_async_schema_field_t *f,
    ngx_str_t *text, void *to)
{
    ngx_http_async_loc_t  loc = { NULL, ngx_string("query"), 0 };

    return ngx_http_async_schema_text(reading, &loc, f, text, to);
}


static json_t *
no_input(void *data)
{
    (void) data;

    return json_null();
}


static ngx_uint_t
is_named(ngx_http_async_query_t *q, ngx_str_t *name)
{
    return q->name.len == name->len
           && memcmp(q->name.data, name->data, name->len) == 0;
}


/* what the model says, in other words */

static void
is_declared(u_char name, params_t *p)
{
    size_t     i, n;
    ngx_str_t  text;

    switch (name) {

    case 'b':
        CHECK(p->b > 3);
        break;

    case 'd':
        CHECK(p->d <= 500);
        break;

    case 'e':
        CHECK(p->e > -5 && p->e < 5);
        break;

    case 'f':
        CHECK(isfinite(p->f) && p->f >= -2.5);
        break;

    case 'g':
        CHECK(isfinite(p->g) && p->g <= 0.1f);
        break;

    case 'h':
        CHECK(*(u_char *) &p->h <= 1);
        break;

    case 'i':
        for (n = 0, i = 0; p->i[i]; i++) {
            n += (p->i[i] & 0xc0) != 0x80;
        }

        CHECK(n >= 2 && n <= 4);

        text.data = (u_char *) p->i;
        text.len = strlen(p->i);
        is_text(&text);
        break;

    case 'j':
        CHECK(p->j.len && strspn(p->j.data, "abc") == p->j.len);
        break;

    case 'k':
        CHECK(p->k == RED || p->k == GREEN || p->k == BLUE);
        break;

    case 'l':
        CHECK(strcmp(p->l, "red") == 0 || strcmp(p->l, "green") == 0
              || strcmp(p->l, "blue") == 0);
        break;

    case 'm':
        CHECK(strlen(p->m) == 36
              && strspn(p->m, "0123456789abcdef-") == 36);
        CHECK(p->m[8] == '-' && p->m[13] == '-' && p->m[18] == '-'
              && p->m[23] == '-');
        break;

    case 'n':
        CHECK(strlen(p->n) == 10 && strspn(p->n, "0123456789-") == 10);
        CHECK(p->n[4] == '-' && p->n[7] == '-' && p->n[5] <= '1'
              && p->n[8] <= '3');
        break;

    case 'o':
        /* from 0001-01-01 to the end of 9999, in microseconds */
        CHECK(p->o >= -62135596800000000 && p->o < 253402300800000000);
        break;

    case 'p':
        CHECK(p->p.data[p->p.len] == '\0');
        break;

    case 'r':
        CHECK(p->n_r >= 1 && p->n_r <= 3);

        for (i = 0; i < p->n_r; i++) {
            CHECK(p->r[i] >= 0);
        }

        break;

    case 's':
        for (i = 0; i < p->n_s; i++) {
            text.data = (u_char *) p->s[i];
            text.len = strlen(p->s[i]);
            is_text(&text);
        }

        break;

    case 't':
        CHECK(p->t % 2 == 0);
        break;
    }
}


static void
is_text(ngx_str_t *text)
{
    size_t  i, len;

    for (i = 0; i < text->len; i += len) {
        len = ngx_http_async_value_utf8(text->data + i,
                                        text->data + text->len);
        CHECK(len);
    }
}


static void
again(ngx_http_async_reading_t *reading, ngx_http_async_schema_field_t *f,
    params_t *p)
{
    char        buf[64];
    params_t    q;
    ngx_str_t   text;

    switch (f->name.data[0]) {

    case 'a':
        sprintf(buf, "%d", p->a);
        break;

    case 'c':
        sprintf(buf, "%lld", (long long) p->c);
        break;

    case 'd':
        sprintf(buf, "%llu", (unsigned long long) p->d);
        break;

    case 'f':
        sprintf(buf, "%.17g", p->f);
        break;

    case 'g':
        sprintf(buf, "%.9g", p->g);
        break;

    case 'm':
        strcpy(buf, p->m);
        break;

    case 'n':
        strcpy(buf, p->n);
        break;

    default:
        return;
    }

    text.data = (u_char *) buf;
    text.len = strlen(buf);

    memset(&q, 0, sizeof(q));

    CHECK(read_one(reading, f, &text, (u_char *) &q + f->field->offset)
          == NGX_OK);

    switch (f->name.data[0]) {

    case 'm':
        CHECK(strcmp(q.m, p->m) == 0);
        break;

    case 'n':
        CHECK(strcmp(q.n, p->n) == 0);
        break;

    default:
        CHECK(memcmp((u_char *) &q + f->field->offset,
                     (u_char *) p + f->field->offset, f->size) == 0);
    }
}


static const char *
check_even(const void *member)
{
    return (*(const int *) member % 2) ? "must be even" : NULL;
}
