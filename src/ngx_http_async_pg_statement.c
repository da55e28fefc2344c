
/*
 * Copyright (C) the nginx-async authors
 *
 * The placeholders of SQL: see ngx_http_async_pg_params.h.  A walk through the
 * text that stops at each $1 and :name, as the server's lexer (scan.l of its
 * source) would find them.
 */

#include <ngx_http_async_pg_params.h>


typedef enum {
    NGX_HTTP_ASYNC_PG_END = 0,
    NGX_HTTP_ASYNC_PG_NUMBER,
    NGX_HTTP_ASYNC_PG_NAME,
    NGX_HTTP_ASYNC_PG_WORD                    /* only if they are wanted */
} ngx_http_async_pg_token_e;


typedef struct {
    u_char                     *start;
    u_char                     *pos;          /* behind the token */
    ngx_str_t                   token;        /* without "$" and ":" */
    ngx_uint_t                  words;        /* they are wanted */
} ngx_http_async_pg_scan_t;


#define ngx_http_async_pg_is_digit(c)  ((c) >= '0' && (c) <= '9')

/* of SQL, where any letter beyond ASCII is one */

#define ngx_http_async_pg_is_letter(c)                                       \
    ((((c) | 0x20) >= 'a' && ((c) | 0x20) <= 'z') || (c) == '_' || (c) >= 0x80)


static ngx_int_t ngx_http_async_pg_numbers(ngx_pool_t *pool,
    ngx_http_async_pg_statement_t *statement, const char **error);
static ngx_int_t ngx_http_async_pg_hole(ngx_pool_t *pool, const char *sql,
    ngx_uint_t highest, const char **error);
static ngx_uint_t ngx_http_async_pg_number(ngx_str_t *digits);
static ngx_int_t ngx_http_async_pg_names(ngx_pool_t *pool,
    ngx_http_async_pg_statement_t *statement, const char **error);
static ngx_uint_t ngx_http_async_pg_name(
    ngx_http_async_pg_statement_t *statement, ngx_str_t *name);
static ngx_int_t ngx_http_async_pg_say(ngx_pool_t *pool, const char **error,
    const char *fmt, ngx_str_t *word, ngx_uint_t n);
static ngx_http_async_pg_leaves_e ngx_http_async_pg_first(ngx_str_t *first,
    ngx_str_t *second);
static ngx_uint_t ngx_http_async_pg_among(ngx_str_t *word,
    const char *const *words);
static void ngx_http_async_pg_scan(ngx_http_async_pg_scan_t *scan,
    const char *sql);
static ngx_http_async_pg_token_e ngx_http_async_pg_next(
    ngx_http_async_pg_scan_t *scan);
static ngx_uint_t ngx_http_async_pg_is_name(ngx_http_async_pg_scan_t *scan,
    u_char *p);
static u_char *ngx_http_async_pg_word(u_char *p);
static u_char *ngx_http_async_pg_quoted(u_char *p);
static u_char *ngx_http_async_pg_escaped(u_char *p);
static u_char *ngx_http_async_pg_continued(u_char *p);
static u_char *ngx_http_async_pg_dollar(u_char *p);
static u_char *ngx_http_async_pg_line(u_char *p);
static u_char *ngx_http_async_pg_comment(u_char *p);


ngx_int_t
ngx_http_async_pg_statement(ngx_pool_t *pool, const char *sql,
    ngx_uint_t named, ngx_http_async_pg_statement_t *statement,
    const char **error)
{
    statement->sql = sql;
    statement->n = 0;
    statement->names = NULL;
    statement->named = (named != 0);

    if (named) {
        return ngx_http_async_pg_names(pool, statement, error);
    }

    return ngx_http_async_pg_numbers(pool, statement, error);
}


/* $1 to the highest, each at least once: else the server knows no type of it */

static ngx_int_t
ngx_http_async_pg_numbers(ngx_pool_t *pool,
    ngx_http_async_pg_statement_t *statement, const char **error)
{
    uint64_t                   seen;
    ngx_uint_t                 n, highest;
    ngx_http_async_pg_scan_t   scan;
    ngx_http_async_pg_token_e  token;

    seen = 0;
    highest = 0;
    ngx_http_async_pg_scan(&scan, statement->sql);

    while ((token = ngx_http_async_pg_next(&scan)) != NGX_HTTP_ASYNC_PG_END) {

        if (token != NGX_HTTP_ASYNC_PG_NUMBER) {
            continue;
        }

        n = ngx_http_async_pg_number(&scan.token);

        if (n == 0 || n > NGX_HTTP_ASYNC_PG_MAX_VALUES) {
            return ngx_http_async_pg_say(pool, error,
                           "the SQL has $%V, which is not from $1 to $%ui",
                           &scan.token, NGX_HTTP_ASYNC_PG_MAX_VALUES);
        }

        highest = ngx_max(n, highest);

        if (n <= 64) {
            seen |= (uint64_t) 1 << (n - 1);
        }
    }

    statement->n = highest;

    /* adding one carries through all those that were seen */

    if (highest < 64 && seen + 1 == (uint64_t) 1 << highest) {
        return NGX_OK;
    }

    return ngx_http_async_pg_hole(pool, statement->sql, highest, error);
}


/* whether one is missing, where that is not plain */

static ngx_int_t
ngx_http_async_pg_hole(ngx_pool_t *pool, const char *sql, ngx_uint_t highest,
    const char **error)
{
    u_char                     *seen;
    ngx_str_t                   word;
    ngx_uint_t                  n;
    ngx_http_async_pg_scan_t    scan;
    ngx_http_async_pg_token_e   token;

    seen = ngx_pcalloc(pool, highest + 1);
    if (seen == NULL) {
        return NGX_ERROR;
    }

    ngx_str_null(&word);
    ngx_http_async_pg_scan(&scan, sql);

    while ((token = ngx_http_async_pg_next(&scan)) != NGX_HTTP_ASYNC_PG_END) {

        if (token == NGX_HTTP_ASYNC_PG_NUMBER) {
            n = ngx_http_async_pg_number(&scan.token);
            seen[n] = 1;

            if (n == highest) {
                word = scan.token;
            }
        }
    }

    for (n = 1; n < highest; n++) {
        if (!seen[n]) {
            return ngx_http_async_pg_say(pool, error,
                                         "the SQL has $%V and no $%ui",
                                         &word, n);
        }
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_async_pg_number(ngx_str_t *digits)
{
    size_t      i;
    ngx_uint_t  n;

    n = 0;

    for (i = 0; i < digits->len && n <= NGX_HTTP_ASYNC_PG_MAX_VALUES; i++) {
        n = n * 10 + (digits->data[i] - '0');
    }

    return n;
}


static ngx_int_t
ngx_http_async_pg_names(ngx_pool_t *pool,
    ngx_http_async_pg_statement_t *statement, const char **error)
{
    u_char                     *p, *from;
    size_t                      size;
    ngx_uint_t                  n;
    ngx_http_async_pg_scan_t    scan;
    ngx_http_async_pg_token_e   token;

    n = 0;
    ngx_http_async_pg_scan(&scan, statement->sql);

    while ((token = ngx_http_async_pg_next(&scan)) != NGX_HTTP_ASYNC_PG_END) {

        if (token == NGX_HTTP_ASYNC_PG_NUMBER) {
            return ngx_http_async_pg_say(pool, error,
                                    "the SQL has $%V, but the values have "
                                    "names", &scan.token, 0);
        }

        n++;
    }

    if (n == 0) {
        return NGX_OK;
    }

    /* ":a" becomes "$65535" at most */

    size = scan.pos - scan.start + n * (sizeof("$65535") - sizeof(":a"));

    statement->names = ngx_palloc(pool, n * sizeof(ngx_str_t) + size + 1);
    if (statement->names == NULL) {
        return NGX_ERROR;
    }

    p = (u_char *) &statement->names[n];
    statement->sql = (char *) p;

    from = scan.start;
    scan.pos = scan.start;

    while (ngx_http_async_pg_next(&scan) != NGX_HTTP_ASYNC_PG_END) {
        n = ngx_http_async_pg_name(statement, &scan.token);

        if (n > NGX_HTTP_ASYNC_PG_MAX_VALUES) {
            return ngx_http_async_pg_say(pool, error,
                                "\":%V\" is one name too many: there may be "
                                "%ui", &scan.token,
                                NGX_HTTP_ASYNC_PG_MAX_VALUES);
        }

        p = ngx_cpymem(p, from, scan.token.data - 1 - from);
        p = ngx_sprintf(p, "$%ui", n);
        from = scan.pos;
    }

    ngx_memcpy(p, from, scan.pos - from + 1);

    return NGX_OK;
}


/* the number of a name, which may be a new one */

static ngx_uint_t
ngx_http_async_pg_name(ngx_http_async_pg_statement_t *statement,
    ngx_str_t *name)
{
    ngx_uint_t  i;

    for (i = 0; i < statement->n; i++) {

        if (statement->names[i].len == name->len
            && ngx_memcmp(statement->names[i].data, name->data, name->len) == 0)
        {
            return i + 1;
        }
    }

    statement->names[i] = *name;

    return ++statement->n;
}


/* NGX_DECLINED, with the error in words */

static ngx_int_t
ngx_http_async_pg_say(ngx_pool_t *pool, const char **error, const char *fmt,
    ngx_str_t *word, ngx_uint_t n)
{
    u_char  *p;

    p = ngx_pnalloc(pool, ngx_strlen(fmt) + word->len + NGX_INT_T_LEN + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    *error = (char *) p;
    p = ngx_sprintf(p, fmt, word, n);
    *p = '\0';

    return NGX_DECLINED;
}


ngx_http_async_pg_leaves_e
ngx_http_async_pg_leaves(const char *sql)
{
    ngx_str_t                    word[2];
    ngx_uint_t                   n, state, open;
    ngx_http_async_pg_scan_t     scan;
    ngx_http_async_pg_token_e    token;
    ngx_http_async_pg_leaves_e   leaves;

    /* in any place: of functions, and of what they take */

    static const char *const  words[] = {
        "temp", "temporary", "pg_temp", "hold", "pg_advisory_lock",
        "pg_advisory_lock_shared", "pg_try_advisory_lock",
        "pg_try_advisory_lock_shared", NULL
    };
    static const char *const  set_config[] = { "set_config", NULL };
    static const char *const  is_local[] = { "true", NULL };
    static const char *const  is_not[] = { "false", NULL };

    n = 0;
    state = 0;
    open = 0;

    ngx_memzero(word, sizeof(word));
    ngx_http_async_pg_scan(&scan, sql);
    scan.words = 1;

    while ((token = ngx_http_async_pg_next(&scan)) != NGX_HTTP_ASYNC_PG_END) {

        if (token != NGX_HTTP_ASYNC_PG_WORD) {
            continue;
        }

        if (n < 2) {
            word[n++] = scan.token;
        }

        state |= ngx_http_async_pg_among(&scan.token, words);

        /* set_config('a', 'b', true) is as SET LOCAL */

        if (open) {
            state |= ngx_http_async_pg_among(&scan.token, is_not)
                     | ngx_http_async_pg_among(&scan.token, set_config);
            open = !ngx_http_async_pg_among(&scan.token, is_local);

        } else {
            open = ngx_http_async_pg_among(&scan.token, set_config);
        }
    }

    leaves = ngx_http_async_pg_first(&word[0], &word[1]);

    return (leaves == NGX_HTTP_ASYNC_PG_NOTHING && (state || open))
           ? NGX_HTTP_ASYNC_PG_STATE : leaves;
}


static ngx_http_async_pg_leaves_e
ngx_http_async_pg_first(ngx_str_t *first, ngx_str_t *second)
{
    static const char *const  set[] = { "set", NULL };
    static const char *const  in_transaction[] = {
        "local", "transaction", "constraints", NULL
    };
    static const char *const  states[] = { "reset", "listen", "do", NULL };
    static const char *const  prepare[] = { "prepare", NULL };
    static const char *const  names[] = { "deallocate", "discard", NULL };

    if (ngx_http_async_pg_among(first, set)) {
        return ngx_http_async_pg_among(second, in_transaction)
               ? NGX_HTTP_ASYNC_PG_NOTHING : NGX_HTTP_ASYNC_PG_STATE;
    }

    if (ngx_http_async_pg_among(first, prepare)) {
        return ngx_http_async_pg_among(second, in_transaction)
               ? NGX_HTTP_ASYNC_PG_NOTHING : NGX_HTTP_ASYNC_PG_NAMES;
    }

    if (ngx_http_async_pg_among(first, names)) {
        return NGX_HTTP_ASYNC_PG_NAMES;
    }

    return ngx_http_async_pg_among(first, states)
           ? NGX_HTTP_ASYNC_PG_STATE : NGX_HTTP_ASYNC_PG_NOTHING;
}


static ngx_uint_t
ngx_http_async_pg_among(ngx_str_t *word, const char *const *words)
{
    for ( /* void */ ; *words; words++) {

        if (word->len == ngx_strlen(*words)
            && ngx_strncasecmp(word->data, (u_char *) *words, word->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


static void
ngx_http_async_pg_scan(ngx_http_async_pg_scan_t *scan, const char *sql)
{
    scan->start = (u_char *) sql;
    scan->pos = scan->start;
    scan->words = 0;
}


static ngx_http_async_pg_token_e
ngx_http_async_pg_next(ngx_http_async_pg_scan_t *scan)
{
    u_char  *p;

    p = scan->pos;

    for ( ;; ) {

        switch (*p) {

        case '\0':
            scan->pos = p;
            return NGX_HTTP_ASYNC_PG_END;

        case '\'':
        case '"':
            p = ngx_http_async_pg_quoted(p);
            continue;

        case '-':
            p = (p[1] == '-') ? ngx_http_async_pg_line(p) : p + 1;
            continue;

        case '/':
            p = (p[1] == '*') ? ngx_http_async_pg_comment(p) : p + 1;
            continue;

        case '$':
            if (!ngx_http_async_pg_is_digit(p[1])) {
                p = ngx_http_async_pg_dollar(p);
                continue;
            }

            scan->token.data = ++p;

            while (ngx_http_async_pg_is_digit(*p)) {
                p++;
            }

            scan->token.len = p - scan->token.data;
            scan->pos = p;

            return NGX_HTTP_ASYNC_PG_NUMBER;

        case ':':
            if (!ngx_http_async_pg_is_name(scan, p)) {
                p += (p[1] == ':') ? 2 : 1;
                continue;
            }

            scan->token.data = ++p;

            while (*p < 0x80 && (ngx_http_async_pg_is_letter(*p)
                                 || ngx_http_async_pg_is_digit(*p)))
            {
                p++;
            }

            scan->token.len = p - scan->token.data;
            scan->pos = p;

            return NGX_HTTP_ASYNC_PG_NAME;

        default:
            if (!ngx_http_async_pg_is_letter(*p)) {
                p++;
                continue;
            }

            scan->token.data = p;
            p = ngx_http_async_pg_word(p);

            if (scan->words) {
                scan->token.len = p - scan->token.data;
                scan->pos = p;

                return NGX_HTTP_ASYNC_PG_WORD;
            }
        }
    }
}


/* whether the colon at p begins a placeholder: see the header */

static ngx_uint_t
ngx_http_async_pg_is_name(ngx_http_async_pg_scan_t *scan, u_char *p)
{
    u_char  c;

    if (!ngx_http_async_pg_is_letter(p[1]) || p[1] >= 0x80) {
        return 0;
    }

    if (p == scan->start) {
        return 1;
    }

    c = p[-1];

    return !ngx_http_async_pg_is_letter(c) && !ngx_http_async_pg_is_digit(c)
           && c != ')' && c != ']' && c != '"' && c != '\'' && c != '$';
}


/* a key word or an identifier, which may have "$" in it; and E'...' */

static u_char *
ngx_http_async_pg_word(u_char *p)
{
    u_char  *start;

    start = p;

    do {
        p++;
    } while (ngx_http_async_pg_is_letter(*p) || ngx_http_async_pg_is_digit(*p)
             || *p == '$');

    if (*p == '\'' && p - start == 1 && (*start | 0x20) == 'e') {
        return ngx_http_async_pg_escaped(p);
    }

    return p;
}


/*
 * A string or identifier in quotes; returns what is behind it, or the end.  One
 * with a doubled quote in it is as good as two of them.
 */

static u_char *
ngx_http_async_pg_quoted(u_char *p)
{
    u_char  quote;

    quote = *p++;

    while (*p && *p != quote) {
        p++;
    }

    return *p ? p + 1 : p;
}


static u_char *
ngx_http_async_pg_escaped(u_char *p)
{
    for (p++; *p; p++) {

        if (*p == '\\') {
            if (*++p == '\0') {
                break;
            }

            continue;
        }

        if (*p != '\'') {
            continue;
        }

        if (p[1] == '\'') {
            p++;
            continue;
        }

        p = ngx_http_async_pg_continued(p + 1);

        if (*p != '\'') {
            break;
        }
    }

    return p;
}


/*
 * A string goes on in another quote on another line, and still with backslashes
 * then: E'a'
 *        'b\''
 * Returns where that quote is, or p.
 */

static u_char *
ngx_http_async_pg_continued(u_char *p)
{
    u_char      *start;
    ngx_uint_t   newline;

    start = p;
    newline = 0;

    for ( ;; ) {

        if (*p == '\n' || *p == '\r') {
            newline = 1;

        } else if (p[0] == '-' && p[1] == '-') {
            p = ngx_http_async_pg_line(p);
            continue;

        } else if (*p != ' ' && *p != '\t' && *p != '\f') {
            break;
        }

        p++;
    }

    return (newline && *p == '\'') ? p : start;
}


static u_char *
ngx_http_async_pg_dollar(u_char *p)
{
    u_char  *start;
    size_t   len;

    start = p++;

    if (ngx_http_async_pg_is_letter(*p)) {
        while (ngx_http_async_pg_is_letter(*p)
               || ngx_http_async_pg_is_digit(*p))
        {
            p++;
        }
    }

    if (*p != '$') {
        return start + 1;
    }

    len = ++p - start;

    for ( /* void */ ; *p; p++) {
        if (*p == '$' && ngx_strncmp(p, start, len) == 0) {
            return p + len;
        }
    }

    return p;
}


static u_char *
ngx_http_async_pg_line(u_char *p)
{
    while (*p && *p != '\n' && *p != '\r') {
        p++;
    }

    return p;
}


static u_char *
ngx_http_async_pg_comment(u_char *p)
{
    ngx_uint_t  depth;

    depth = 0;

    while (*p) {

        if (p[0] == '/' && p[1] == '*') {
            depth++;
            p += 2;

        } else if (p[0] == '*' && p[1] == '/') {
            p += 2;

            if (--depth == 0) {
                break;
            }

        } else {
            p++;
        }
    }

    return p;
}
