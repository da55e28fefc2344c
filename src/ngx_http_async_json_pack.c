
/*
 * JSON from a format and arguments, as jansson's json_pack() takes them, but
 * written at once instead of built.  Called for responses; must not know
 * whose they are.
 *
 * Two passes.  The first one writes, and stops at an error.  Values that the
 * caller has given away may be lent by other arguments (a string of theirs,
 * or "O"), so only the second one, if there are any, releases them.
 */


#include <stdarg.h>
#include <ngx_http_async_value.h>
#include <ngx_http_async_json_write.h>


typedef struct {
    const char                 *p;          /* behind the last token        */
    const char                 *place;      /* behind that of an error      */
    size_t                      before;     /* length of the text before
                                               the comma and key in progress */
    ngx_uint_t                  owned;      /* there was an "o"             */
    va_list                    *args;
    ngx_http_async_json_out_t   out;
} ngx_http_async_json_packer_t;


static ngx_int_t ngx_http_async_json_pack_all(
    ngx_http_async_json_packer_t *s);
static ngx_int_t ngx_http_async_json_pack_value(
    ngx_http_async_json_packer_t *s);
static ngx_int_t ngx_http_async_json_pack_next(
    ngx_http_async_json_packer_t *s);
static ngx_int_t ngx_http_async_json_pack_text(
    ngx_http_async_json_packer_t *s);
static ngx_int_t ngx_http_async_json_pack_string(
    ngx_http_async_json_packer_t *s, const char *data);
static ngx_int_t ngx_http_async_json_pack_parts(
    ngx_http_async_json_packer_t *s, const char *data);
static ngx_int_t ngx_http_async_json_pack_length(
    ngx_http_async_json_packer_t *s, const char *data, size_t *len);
static ngx_int_t ngx_http_async_json_pack_tree(
    ngx_http_async_json_packer_t *s);
static ngx_int_t ngx_http_async_json_pack_absent(
    ngx_http_async_json_packer_t *s, char c);
static ngx_inline char ngx_http_async_json_pack_token(
    ngx_http_async_json_packer_t *s);
static ngx_inline char ngx_http_async_json_pack_peek(
    ngx_http_async_json_packer_t *s);
static ngx_int_t ngx_http_async_json_pack_fail(
    ngx_http_async_json_packer_t *s, const char *error);


/* no letter and no bracket is below the colon */

#define ngx_http_async_json_pack_ignored(c)                                   \
    ((u_char) (c) <= ':'                                                      \
     && ((c) == ' ' || (c) == ',' || (c) == ':' || (c) == '\t' || (c) == '\n'))


/* the analyzer does not follow a va_list behind a pointer
 * NOLINTBEGIN(clang-analyzer-valist.Uninitialized) */

ngx_int_t
ngx_http_async_json_pack(ngx_pool_t *pool, ngx_http_async_json_pack_t *pack,
    ngx_str_t *text)
{
    va_list                       args;
    ngx_int_t                     rc;
    ngx_http_async_json_packer_t  s;

    s.p = pack->format;
    s.place = s.p;
    s.owned = 0;

    va_copy(args, *pack->args);
    s.args = &args;

    ngx_http_async_json_out(&s.out, pool);

    rc = ngx_http_async_json_pack_all(&s);
    rc = ngx_http_async_json_out_done(&s.out, rc, text);

    va_end(args);

    pack->error = s.out.error;
    pack->position = s.place - pack->format;
    pack->depth = s.out.deepest;
    pack->owned = s.owned || rc != NGX_OK;

    return rc;
}


/*
 * Takes each argument by the letters alone: where brackets are wrong, they
 * still tell what the caller has passed.  A letter or sign that has no meaning
 * where it stands ends that.
 */

void
ngx_http_async_json_pack_release(ngx_http_async_json_pack_t *pack)
{
    char         last;
    const char  *p;

    union {
        int           number;
        size_t        len;
        double        real;
        json_int_t    integer;
        const char   *text;
        json_t       *value;
    } arg;

    last = '[';

    for (p = pack->format; *p; p++) {

        if (ngx_http_async_json_pack_ignored(*p)) {
            continue;
        }

        if ((*p == '+' && ngx_strchr("s+#%", last) == NULL)
            || ((*p == '#' || *p == '%') && last != 's' && last != '+'))
        {
            return;
        }

        last = *p;

        switch (last) {

        case 's':
        case '+':
            arg.text = va_arg(*pack->args, const char *);
            break;

        case 'b':
        case 'i':
        case '#':
            arg.number = va_arg(*pack->args, int);
            break;

        case '%':
            arg.len = va_arg(*pack->args, size_t);
            break;

        case 'I':
            arg.integer = va_arg(*pack->args, json_int_t);
            break;

        case 'f':
            arg.real = va_arg(*pack->args, double);
            break;

        case 'O':
            arg.value = va_arg(*pack->args, json_t *);
            break;

        case 'o':
            arg.value = va_arg(*pack->args, json_t *);
            json_decref(arg.value);
            break;

        default:
            if (ngx_strchr("[]{}n?*", last) == NULL) {
                return;
            }
        }
    }
}


static ngx_int_t
ngx_http_async_json_pack_all(ngx_http_async_json_packer_t *s)
{
    ngx_int_t  rc;

    do {
        rc = ngx_http_async_json_pack_value(s);

        if (rc != NGX_OK) {
            return rc;
        }

        rc = ngx_http_async_json_pack_next(s);

    } while (rc == NGX_OK);

    return (rc == NGX_DONE) ? NGX_OK : rc;
}


static ngx_int_t
ngx_http_async_json_pack_value(ngx_http_async_json_packer_t *s)
{
    char  c;

    c = ngx_http_async_json_pack_token(s);

    switch (c) {

    case '{':
    case '[':
        return ngx_http_async_json_open(&s->out, c);

    case 's':
        return ngx_http_async_json_pack_text(s);

    case 'n':
        return ngx_http_async_json_write_word(&s->out, "null", 4);

    case 'b':
        return va_arg(*s->args, int)
               ? ngx_http_async_json_write_word(&s->out, "true", 4)
               : ngx_http_async_json_write_word(&s->out, "false", 5);

    case 'i':
        return ngx_http_async_json_write_int(&s->out, va_arg(*s->args, int));

    case 'I':
        return ngx_http_async_json_write_int(&s->out,
                                             va_arg(*s->args, json_int_t));

    case 'f':
        return ngx_http_async_json_write_real(&s->out,
                                              va_arg(*s->args, double));

    case 'o':
        s->owned = 1;

        /* fall through */

    case 'O':
        return ngx_http_async_json_pack_tree(s);

    default:
        return ngx_http_async_json_pack_fail(s, c ? "a value cannot begin so"
                                                  : "it ends too early");
    }
}


/* closes what ends here, and writes the next key.  NGX_DONE: all is written */

static ngx_int_t
ngx_http_async_json_pack_next(ngx_http_async_json_packer_t *s)
{
    char                          c;
    ngx_int_t                     rc;
    ngx_http_async_json_out_t    *out;
    ngx_http_async_json_frame_t  *frame;

    out = &s->out;

    for ( ;; ) {
        c = ngx_http_async_json_pack_token(s);

        if (out->depth == 0) {
            return (c == '\0') ? NGX_DONE
                   : ngx_http_async_json_pack_fail(s, "there is more than a "
                                                   "value");
        }

        frame = &out->frames[out->depth];

        if (ngx_http_async_json_reserve(out, 1) != NGX_OK) {
            return NGX_ERROR;
        }

        if (c != (char) frame->close) {
            break;
        }

        *out->pos++ = c;
        out->depth--;
    }

    s->before = out->pos - out->start;

    if (frame->index++) {
        *out->pos++ = ',';
    }

    if (frame->close == ']') {
        s->p = s->place - 1;
        return NGX_OK;
    }

    if (c != 's') {
        return ngx_http_async_json_pack_fail(s, c ? "a key or \"}\" must be "
                                                  "here"
                                                  : "it ends too early");
    }

    rc = ngx_http_async_json_pack_string(s, va_arg(*s->args, const char *));

    if (rc == NGX_OK) {
        *out->pos++ = ':';
    }

    return rc;
}


/* "s" as a value, which may be optional */

static ngx_int_t
ngx_http_async_json_pack_text(ngx_http_async_json_packer_t *s)
{
    char         c;
    const char  *data;

    data = va_arg(*s->args, const char *);
    c = ngx_http_async_json_pack_peek(s);

    if (c != '?' && c != '*') {
        return ngx_http_async_json_pack_string(s, data);
    }

    s->p++;

    switch (ngx_http_async_json_pack_peek(s)) {

    case '#':
    case '%':
    case '+':
        return ngx_http_async_json_pack_fail(s, "an optional string has no "
                                             "length and no more parts");
    }

    return data ? ngx_http_async_json_pack_string(s, data)
                : ngx_http_async_json_pack_absent(s, c);
}


/* the usual one: whole, short, ASCII without escapes */

static ngx_int_t
ngx_http_async_json_pack_string(ngx_http_async_json_packer_t *s,
    const char *data)
{
    size_t   len;
    u_char  *p;

    /* "#", "%" and "+" are below the digits */

    if (data == NULL || ngx_http_async_json_pack_peek(s) < '0') {
        return ngx_http_async_json_pack_parts(s, data);
    }

    p = s->out.pos;
    len = ngx_strlen(data);

    if ((size_t) (s->out.end - p) < len + 3
        || ngx_http_async_json_plain(p + 1, (const u_char *) data, len, 1)
           != len)
    {
        return ngx_http_async_json_pack_parts(s, data);
    }

    *p = '"';
    p += len + 1;
    *p++ = '"';
    s->out.pos = p;

    return NGX_OK;
}


/*
 * A string in one or more parts.  Only the whole need be UTF-8; it is looked
 * at where it has been written, as what was escaped is ASCII here and there.
 */

static ngx_int_t
ngx_http_async_json_pack_parts(ngx_http_async_json_packer_t *s,
    const char *data)
{
    size_t                      len, start;
    ngx_int_t                   rc;
    ngx_http_async_json_out_t  *out;

    out = &s->out;
    start = out->pos - out->start;

    rc = ngx_http_async_json_pack_length(s, data, &len);

    if (rc == NGX_OK) {
        rc = ngx_http_async_json_write_string(out, data, len);
    }

    while (rc == NGX_OK && ngx_http_async_json_pack_peek(s) == '+') {
        s->p++;
        data = va_arg(*s->args, const char *);

        rc = ngx_http_async_json_pack_length(s, data, &len);

        if (rc == NGX_OK) {
            rc = ngx_http_async_json_write_more(out, data, len);
        }
    }

    if (rc == NGX_OK
        && !ngx_http_async_value_is_utf8(out->start + start, out->pos))
    {
        return ngx_http_async_json_pack_fail(s, "the string is not UTF-8");
    }

    return rc;
}


static ngx_int_t
ngx_http_async_json_pack_length(ngx_http_async_json_packer_t *s,
    const char *data, size_t *len)
{
    int  n;

    switch (ngx_http_async_json_pack_peek(s)) {

    case '#':
        s->p++;
        n = va_arg(*s->args, int);

        if (n < 0) {
            return ngx_http_async_json_pack_fail(s, "the length is negative");
        }

        *len = n;
        break;

    case '%':
        s->p++;
        *len = va_arg(*s->args, size_t);
        break;

    default:
        *len = data ? ngx_strlen(data) : 0;
    }

    return data ? NGX_OK
                : ngx_http_async_json_pack_fail(s, "the string is NULL");
}


static ngx_int_t
ngx_http_async_json_pack_tree(ngx_http_async_json_packer_t *s)
{
    char     c;
    json_t  *value;

    value = va_arg(*s->args, json_t *);
    c = ngx_http_async_json_pack_peek(s);

    if (c == '?' || c == '*') {
        s->p++;

        if (value == NULL) {
            return ngx_http_async_json_pack_absent(s, c);
        }
    }

    return value ? ngx_http_async_json_write(&s->out, value)
                 : ngx_http_async_json_pack_fail(s, "the value is NULL");
}


/* NULL where it may be: null, or neither value nor key */

static ngx_int_t
ngx_http_async_json_pack_absent(ngx_http_async_json_packer_t *s, char c)
{
    ngx_http_async_json_out_t  *out;

    out = &s->out;

    if (c == '?') {
        return ngx_http_async_json_write_word(out, "null", 4);
    }

    if (out->depth == 0) {
        return ngx_http_async_json_pack_fail(s, "there is no value");
    }

    out->pos = out->start + s->before;
    out->frames[out->depth].index--;

    return NGX_OK;
}


static ngx_inline char
ngx_http_async_json_pack_token(ngx_http_async_json_packer_t *s)
{
    char  c;

    c = ngx_http_async_json_pack_peek(s);

    s->p++;
    s->place = s->p;

    return c;
}


static ngx_inline char
ngx_http_async_json_pack_peek(ngx_http_async_json_packer_t *s)
{
    while (ngx_http_async_json_pack_ignored(*s->p)) {
        s->p++;
    }

    return *s->p;
}


static ngx_int_t
ngx_http_async_json_pack_fail(ngx_http_async_json_packer_t *s,
    const char *error)
{
    s->out.error = error;

    return NGX_DECLINED;
}

/* NOLINTEND(clang-analyzer-valist.Uninitialized) */
