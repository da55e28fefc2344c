
/*
 * ngx_http_async_json_tree.c reads; this file bounds what it is given, and says
 * what was wrong in Python's words.  Called for bodies; must not know whose
 * they are.
 */


#include <ngx_http_async_value.h>
#include <ngx_http_async_json_tree.h>


#define ngx_http_async_json_is_digit(c)  ((c) >= '0' && (c) <= '9')


typedef enum {
    NGX_HTTP_ASYNC_JSON_SCAN_VALUE = 0,       /* one begins                 */
    NGX_HTTP_ASYNC_JSON_SCAN_KEY,             /* one begins                 */
    NGX_HTTP_ASYNC_JSON_SCAN_NEXT             /* a value has ended          */
} ngx_http_async_json_scan_e;


/* reads a faulty text once more, to find the place */

typedef struct {
    u_char                         *p;
    u_char                         *last;
    u_char                         *token;    /* the start of the last one  */
    u_char                         *place;    /* of the error               */
    const char                     *text;     /* NULL: no error so far      */
    ngx_http_async_json_problem_e   kind;

    u_char                         *stop;     /* or NULL                    */
    ngx_http_async_json_scan_e      state;
    ngx_uint_t                      depth;
    u_char                          stack[NGX_HTTP_ASYNC_JSON_MAX_DEPTH + 1];
} ngx_http_async_json_scan_t;


static u_char *ngx_http_async_json_depth(u_char *p, u_char *last,
    ngx_uint_t max);
static ngx_int_t ngx_http_async_json_diagnose(u_char *data, u_char *last,
    ngx_uint_t max_depth, ngx_http_async_json_error_t *error);
static ngx_int_t ngx_http_async_json_place(u_char *data, u_char *last,
    ngx_uint_t max_depth, ngx_http_async_json_tree_t *tree);
static ngx_int_t ngx_http_async_json_fault(ngx_http_async_json_error_t *error,
    ngx_http_async_json_problem_e kind, const char *text, u_char *data,
    u_char *place);
static ngx_int_t ngx_http_async_json_scan(ngx_http_async_json_scan_t *s);
static ngx_int_t ngx_http_async_json_scan_value(
    ngx_http_async_json_scan_t *s);
static void ngx_http_async_json_scan_open(ngx_http_async_json_scan_t *s,
    u_char c);
static void ngx_http_async_json_scan_close(ngx_http_async_json_scan_t *s);
static ngx_int_t ngx_http_async_json_scan_next(ngx_http_async_json_scan_t *s);
static ngx_int_t ngx_http_async_json_scan_key(ngx_http_async_json_scan_t *s);
static ngx_int_t ngx_http_async_json_scan_scalar(
    ngx_http_async_json_scan_t *s);
static ngx_int_t ngx_http_async_json_scan_number(
    ngx_http_async_json_scan_t *s);
static ngx_int_t ngx_http_async_json_scan_string(
    ngx_http_async_json_scan_t *s);
static ngx_int_t ngx_http_async_json_scan_escape(
    ngx_http_async_json_scan_t *s);
static ngx_int_t ngx_http_async_json_scan_hex(u_char *p, u_char *last);
static void ngx_http_async_json_scan_space(ngx_http_async_json_scan_t *s);
static ngx_int_t ngx_http_async_json_scan_fail(ngx_http_async_json_scan_t *s,
    u_char *place, const char *text);


ngx_int_t
ngx_http_async_json_load(u_char *data, size_t len, ngx_uint_t max_depth,
    json_t **value, ngx_http_async_json_error_t *error)
{
    u_char                      *start, *last;
    ngx_int_t                    rc;
    ngx_str_t                    text;
    ngx_http_async_json_tree_t   tree;

    if (max_depth == 0) {
        max_depth = NGX_HTTP_ASYNC_JSON_DEPTH;
    }

    tree.max_depth = ngx_min(max_depth, NGX_HTTP_ASYNC_JSON_MAX_DEPTH);
    tree.wide = 0;
    tree.exact = 0;

    text.data = data;
    text.len = len;

    rc = ngx_http_async_json_tree(&tree, &text, value);

    if (rc != NGX_HTTP_ASYNC_JSON_REFUSE) {
        return rc;
    }

    if (len == 0) {
        return ngx_http_async_json_fault(error, NGX_HTTP_ASYNC_JSON_EMPTY,
                                         "Expecting value", data, data);
    }

    start = data;
    last = data + len;

    if (len >= 3 && ngx_memcmp(data, "\xef\xbb\xbf", 3) == 0) {
        start += 3;
    }

    rc = ngx_http_async_json_diagnose(start, last, tree.max_depth, error);

    if (rc == NGX_DECLINED) {

        /* offsets count from the caller's first byte, a mark included */

        error->offset += start - data;
    }

    return rc;
}


ngx_int_t
ngx_http_async_json_wide(u_char *data, size_t len, json_t **value)
{
    ngx_int_t                   rc;
    ngx_str_t                   text;
    ngx_http_async_json_tree_t  tree;

    tree.max_depth = NGX_HTTP_ASYNC_JSON_DEPTH;
    tree.wide = 1;
    tree.exact = 0;

    text.data = data;
    text.len = len;

    rc = ngx_http_async_json_tree(&tree, &text, value);

    return (rc == NGX_HTTP_ASYNC_JSON_REFUSE) ? NGX_DECLINED : rc;
}


/*
 * Everything from here on is off the usual way, so the text is read again from
 * the start: for levels too many, whatever is wrong besides; as UTF-8, for
 * Python decodes before it parses; then as JSON.
 */

static ngx_int_t
ngx_http_async_json_diagnose(u_char *data, u_char *last, ngx_uint_t max_depth,
    ngx_http_async_json_error_t *error)
{
    u_char                      *p;
    size_t                       n;
    ngx_http_async_json_scan_t   s;
    ngx_http_async_json_tree_t   tree;

    p = ngx_http_async_json_depth(data, last, max_depth);

    if (p) {
        return ngx_http_async_json_fault(error, NGX_HTTP_ASYNC_JSON_TOO_DEEP,
                                         "Nested too deeply", data, p);
    }

    for (p = data; p < last; p += n) {
        n = ngx_http_async_value_utf8(p, last);

        if (n == 0) {
            return ngx_http_async_json_fault(error, NGX_HTTP_ASYNC_JSON_UTF8,
                                             "Invalid UTF-8", data, p);
        }
    }

    if (ngx_http_async_json_place(data, last, max_depth, &tree) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memzero(&s, sizeof(ngx_http_async_json_scan_t));

    s.p = data;
    s.last = last;
    s.token = data;
    s.stop = tree.refused ? tree.end : NULL;

    if (ngx_http_async_json_scan(&s) != NGX_OK) {
        return ngx_http_async_json_fault(error, s.kind, s.text, data, s.place);
    }

    return ngx_http_async_json_fault(error, NGX_HTTP_ASYNC_JSON_REFUSED,
                                     tree.refused ? tree.refused
                                                  : "Malformed JSON",
                                     data, s.token);
}


/* of a key that is there twice, or of a number out of range, if it is first */

static ngx_int_t
ngx_http_async_json_place(u_char *data, u_char *last, ngx_uint_t max_depth,
    ngx_http_async_json_tree_t *tree)
{
    json_t     *value;
    ngx_int_t   rc;
    ngx_str_t   text;

    tree->max_depth = max_depth;
    tree->wide = 0;
    tree->exact = 1;

    text.data = data;
    text.len = last - data;

    rc = ngx_http_async_json_tree(tree, &text, &value);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    /* a text with a zero byte is told to be no JSON, whatever comes before */

    if (memchr(data, '\0', last - data)) {
        tree->refused = NULL;
    }

    json_decref(value);

    return NGX_OK;
}


/* the bracket that opens one level too many, or NULL */

static u_char *
ngx_http_async_json_depth(u_char *p, u_char *last, ngx_uint_t max)
{
    ngx_uint_t  depth;

    if ((size_t) (last - p) <= max) {
        return NULL;
    }

    depth = 0;

    for ( /* void */ ; p < last; p++) {

        switch (*p) {

        case '"':
            for (p++; p < last && *p != '"'; p++) {
                if (*p == '\\') {
                    p++;
                }
            }

            break;

        case '[':
        case '{':
            if (++depth > max) {
                return p;
            }

            break;

        case ']':
        case '}':
            if (depth) {
                depth--;
            }

            break;

        default:
            break;
        }
    }

    return NULL;
}


static ngx_int_t
ngx_http_async_json_fault(ngx_http_async_json_error_t *error,
    ngx_http_async_json_problem_e kind, const char *text, u_char *data,
    u_char *place)
{
    u_char  *p;

    error->kind = kind;
    error->text = text;
    error->offset = place - data;
    error->position = 0;

    for (p = data; p < place; p++) {
        error->position += (*p & 0xc0) != 0x80;
    }

    return NGX_DECLINED;
}


/*
 * Finds the first error, or the token that ends at stop.  Takes what Python's
 * json.loads() takes and reports as it does, but for NaN and Infinity, which
 * are no values here, and for escapes that are no characters.  A state machine,
 * which does not recur; each state's function gives NGX_AGAIN to go on.
 */

static ngx_int_t
ngx_http_async_json_scan(ngx_http_async_json_scan_t *s)
{
    ngx_int_t  rc;

    do {
        ngx_http_async_json_scan_space(s);

        switch (s->state) {

        case NGX_HTTP_ASYNC_JSON_SCAN_VALUE:
            rc = ngx_http_async_json_scan_value(s);
            break;

        case NGX_HTTP_ASYNC_JSON_SCAN_KEY:
            rc = ngx_http_async_json_scan_key(s);
            break;

        default: /* NGX_HTTP_ASYNC_JSON_SCAN_NEXT */
            rc = ngx_http_async_json_scan_next(s);
        }

    } while (rc == NGX_AGAIN);

    return rc;
}


static ngx_int_t
ngx_http_async_json_scan_value(ngx_http_async_json_scan_t *s)
{
    u_char  c;

    s->token = s->p;

    c = (s->p < s->last) ? *s->p : '\0';

    if ((c == '{' || c == '[') && s->depth < NGX_HTTP_ASYNC_JSON_MAX_DEPTH) {
        ngx_http_async_json_scan_open(s, c);
        return NGX_AGAIN;
    }

    if (ngx_http_async_json_scan_scalar(s) != NGX_OK) {
        return NGX_ERROR;
    }

    s->state = NGX_HTTP_ASYNC_JSON_SCAN_NEXT;

    return (s->p == s->stop) ? NGX_OK : NGX_AGAIN;
}


static void
ngx_http_async_json_scan_open(ngx_http_async_json_scan_t *s, u_char c)
{
    s->stack[++s->depth] = c;
    s->p++;

    ngx_http_async_json_scan_space(s);

    if (s->p < s->last && *s->p == c + 2) {    /* "{}", "[]" in ASCII */
        ngx_http_async_json_scan_close(s);
        return;
    }

    s->state = (c == '[') ? NGX_HTTP_ASYNC_JSON_SCAN_VALUE
                          : NGX_HTTP_ASYNC_JSON_SCAN_KEY;
}


static void
ngx_http_async_json_scan_close(ngx_http_async_json_scan_t *s)
{
    s->p++;
    s->depth--;
    s->state = NGX_HTTP_ASYNC_JSON_SCAN_NEXT;
}


static ngx_int_t
ngx_http_async_json_scan_next(ngx_http_async_json_scan_t *s)
{
    u_char  c;

    if (s->depth == 0) {
        return (s->p == s->last) ? NGX_OK
               : ngx_http_async_json_scan_fail(s, s->p, "Extra data");
    }

    c = (s->p < s->last) ? *s->p : '\0';

    if (c == s->stack[s->depth] + 2) {
        ngx_http_async_json_scan_close(s);
        return NGX_AGAIN;
    }

    if (c != ',') {
        return ngx_http_async_json_scan_fail(s, s->p,
                                             "Expecting ',' delimiter");
    }

    s->p++;
    s->state = (s->stack[s->depth] == '[') ? NGX_HTTP_ASYNC_JSON_SCAN_VALUE
                                           : NGX_HTTP_ASYNC_JSON_SCAN_KEY;
    return NGX_AGAIN;
}


static ngx_int_t
ngx_http_async_json_scan_key(ngx_http_async_json_scan_t *s)
{
    s->token = s->p;

    if (s->p == s->last || *s->p != '"') {
        return ngx_http_async_json_scan_fail(s, s->p,
                       "Expecting property name enclosed in double quotes");
    }

    if (ngx_http_async_json_scan_string(s) != NGX_OK) {
        return NGX_ERROR;
    }

    if (s->p == s->stop) {
        return NGX_OK;
    }

    ngx_http_async_json_scan_space(s);

    if (s->p == s->last || *s->p != ':') {
        return ngx_http_async_json_scan_fail(s, s->p,
                                             "Expecting ':' delimiter");
    }

    s->p++;
    s->state = NGX_HTTP_ASYNC_JSON_SCAN_VALUE;

    return NGX_AGAIN;
}


static ngx_int_t
ngx_http_async_json_scan_scalar(ngx_http_async_json_scan_t *s)
{
    size_t      left;
    ngx_uint_t  i;

    static ngx_str_t  words[] = {
        ngx_string("null"), ngx_string("true"), ngx_string("false")
    };

    left = s->last - s->p;

    if (left && *s->p == '"') {
        return ngx_http_async_json_scan_string(s);
    }

    for (i = 0; i < 3; i++) {

        if (left >= words[i].len
            && ngx_memcmp(s->p, words[i].data, words[i].len) == 0)
        {
            s->p += words[i].len;
            return NGX_OK;
        }
    }

    return ngx_http_async_json_scan_number(s);
}


/* stops where no number goes on, so that "01" and "1." have extra data */

static ngx_int_t
ngx_http_async_json_scan_number(ngx_http_async_json_scan_t *s)
{
    u_char  *p, *last;

    p = s->p;
    last = s->last;

    if (p < last && *p == '-') {
        p++;
    }

    if (p == last || !ngx_http_async_json_is_digit(*p)) {
        return ngx_http_async_json_scan_fail(s, s->p, "Expecting value");
    }

    if (*p++ != '0') {
        while (p < last && ngx_http_async_json_is_digit(*p)) {
            p++;
        }
    }

    s->p = p;

    if (last - p >= 2 && *p == '.' && ngx_http_async_json_is_digit(p[1])) {
        p++;

        while (p < last && ngx_http_async_json_is_digit(*p)) {
            p++;
        }

        s->p = p;
    }

    if (p < last && (*p == 'e' || *p == 'E')) {
        p++;

        if (p < last && (*p == '-' || *p == '+')) {
            p++;
        }

        while (p < last && ngx_http_async_json_is_digit(*p)) {
            s->p = ++p;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_json_scan_string(ngx_http_async_json_scan_t *s)
{
    u_char  *start;

    start = s->p++;

    while (s->p < s->last) {

        if (*s->p == '"') {
            s->p++;
            return NGX_OK;
        }

        if (*s->p < 0x20) {
            return ngx_http_async_json_scan_fail(s, s->p,
                                                 "Invalid control character "
                                                 "at");
        }

        if (*s->p != '\\') {
            s->p++;
            continue;
        }

        if (s->last - s->p == 1) {
            break;
        }

        if (ngx_http_async_json_scan_escape(s) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return ngx_http_async_json_scan_fail(s, start,
                                         "Unterminated string starting at");
}


static ngx_int_t
ngx_http_async_json_scan_escape(ngx_http_async_json_scan_t *s)
{
    u_char     *p;
    ngx_int_t   c, low;

    p = s->p;

    if (p[1] != 'u') {
        if (ngx_strchr("\"\\/bfnrt", p[1]) == NULL || p[1] == '\0') {
            return ngx_http_async_json_scan_fail(s, p, "Invalid \\escape");
        }

        s->p += 2;
        return NGX_OK;
    }

    c = ngx_http_async_json_scan_hex(p + 2, s->last);

    if (c == NGX_ERROR) {
        return ngx_http_async_json_scan_fail(s, p + 1,
                                             "Invalid \\uXXXX escape");
    }

    s->p += 6;

    if (c >= 0xd800 && c <= 0xdbff
        && s->last - s->p >= 2 && s->p[0] == '\\' && s->p[1] == 'u')
    {
        low = ngx_http_async_json_scan_hex(s->p + 2, s->last);

        if (low >= 0xdc00 && low <= 0xdfff) {
            s->p += 6;
            return NGX_OK;
        }

        /* a second escape that is none at all is the nearer error */

        if (low == NGX_ERROR) {
            return ngx_http_async_json_scan_fail(s, s->p + 1,
                                                 "Invalid \\uXXXX escape");
        }
    }

    if (c == 0 || (c >= 0xd800 && c <= 0xdfff)) {
        s->kind = NGX_HTTP_ASYNC_JSON_REFUSED;
        s->text = c ? "Unpaired surrogate" : "\\u0000 is not allowed";
        s->place = p;
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* as in Python, four digits at the very end of the text are no escape */

static ngx_int_t
ngx_http_async_json_scan_hex(u_char *p, u_char *last)
{
    if (last - p <= 4) {
        return NGX_ERROR;
    }

    return ngx_hextoi(p, 4);
}


static void
ngx_http_async_json_scan_space(ngx_http_async_json_scan_t *s)
{
    while (s->p < s->last
           && (*s->p == ' ' || *s->p == '\t' || *s->p == CR || *s->p == LF))
    {
        s->p++;
    }
}


static ngx_int_t
ngx_http_async_json_scan_fail(ngx_http_async_json_scan_t *s, u_char *place,
    const char *text)
{
    s->kind = NGX_HTTP_ASYNC_JSON_SYNTAX;
    s->text = text;
    s->place = place;

    return NGX_ERROR;
}
