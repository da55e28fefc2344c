
/*
 * A stand-in for the few functions of nginx's core that the pure files call,
 * each with nginx's contract; see ngx_stub.h.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_stub.h"


typedef struct ngx_stub_block_s  ngx_stub_block_t;

struct ngx_stub_block_s {
    void              *data;
    ngx_stub_block_t  *next;
};


/* "large" of the pool is for what comes from elsewhere */

typedef struct {
    ngx_pool_t         pool;
    ngx_stub_block_t  *blocks;
} ngx_stub_pool_t;


ngx_int_t          ngx_stub_allocations = -1;
static ngx_uint_t  ngx_stub_tests;
static ngx_uint_t  ngx_stub_failed;


void *
ngx_alloc(size_t size, ngx_log_t *log)
{
    (void) log;

    if (ngx_stub_allocations == 0) {
        return NULL;
    }

    if (ngx_stub_allocations > 0) {
        ngx_stub_allocations--;
    }

    return malloc(size ? size : 1);
}


void
ngx_log_error_core(ngx_uint_t level, ngx_log_t *log, ngx_err_t err,
    const char *fmt, ...)
{
    (void) level;
    (void) log;
    (void) err;
    (void) fmt;
}


ngx_pool_t *
ngx_create_pool(size_t size, ngx_log_t *log)
{
    (void) size;
    (void) log;

    return calloc(1, sizeof(ngx_stub_pool_t));
}


void
ngx_destroy_pool(ngx_pool_t *pool)
{
    ngx_pool_large_t   *l;
    ngx_stub_block_t   *block, *next;
    ngx_pool_cleanup_t *cln;
    ngx_stub_pool_t    *stub = (ngx_stub_pool_t *) pool;

    for (cln = pool->cleanup; cln; cln = cln->next) {
        if (cln->handler) {
            cln->handler(cln->data);
        }
    }

    for (l = pool->large; l; l = l->next) {
        free(l->alloc);
    }

    for (block = stub->blocks; block; block = next) {
        next = block->next;
        free(block->data);
        free(block);
    }

    free(pool);
}


void *
ngx_palloc(ngx_pool_t *pool, size_t size)
{
    ngx_stub_block_t  *block;
    ngx_stub_pool_t   *stub = (ngx_stub_pool_t *) pool;

    block = malloc(sizeof(ngx_stub_block_t));
    block->data = ngx_alloc(size, NULL);
    block->next = stub->blocks;
    stub->blocks = block;

    return block->data;
}


void *
ngx_pnalloc(ngx_pool_t *pool, size_t size)
{
    return ngx_palloc(pool, size);
}


void *
ngx_pcalloc(ngx_pool_t *pool, size_t size)
{
    void  *p;

    p = ngx_palloc(pool, size);

    return p ? memset(p, 0, size) : NULL;
}


ngx_pool_cleanup_t *
ngx_pool_cleanup_add(ngx_pool_t *pool, size_t size)
{
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pcalloc(pool, sizeof(ngx_pool_cleanup_t));
    if (cln == NULL) {
        return NULL;
    }

    if (size) {
        cln->data = ngx_palloc(pool, size);
        if (cln->data == NULL) {
            return NULL;
        }
    }

    cln->next = pool->cleanup;
    pool->cleanup = cln;

    return cln;
}


ngx_array_t *
ngx_array_create(ngx_pool_t *pool, ngx_uint_t n, size_t size)
{
    ngx_array_t  *a;

    a = ngx_palloc(pool, sizeof(ngx_array_t));

    if (a == NULL || ngx_array_init(a, pool, n, size) != NGX_OK) {
        return NULL;
    }

    return a;
}


void *
ngx_array_push(ngx_array_t *a)
{
    void  *elts;

    if (a->nelts == a->nalloc) {
        elts = ngx_palloc(a->pool, 2 * a->nalloc * a->size);
        if (elts == NULL) {
            return NULL;
        }

        memcpy(elts, a->elts, a->nelts * a->size);
        a->elts = elts;
        a->nalloc *= 2;
    }

    return (u_char *) a->elts + a->size * a->nelts++;
}


ngx_int_t
ngx_strncasecmp(u_char *s1, u_char *s2, size_t n)
{
    return strncasecmp((char *) s1, (char *) s2, n);
}


ngx_int_t
ngx_hextoi(u_char *line, size_t n)
{
    ngx_int_t  value;

    for (value = 0; n--; line++) {
        if (!isxdigit(*line)) {
            return NGX_ERROR;
        }

        value = value * 16 + (isdigit(*line) ? *line - '0'
                                             : (*line | 0x20) - 'a' + 10);
    }

    return value;
}


void
ngx_strlow(u_char *dst, u_char *src, size_t n)
{
    for ( /* void */ ; n; n--) {
        *dst++ = ngx_tolower(*src);
        src++;
    }
}


/* stricter than nginx's with what is no address */

ngx_int_t
ngx_inet6_addr(u_char *p, size_t len, u_char *addr)
{
    char  text[INET6_ADDRSTRLEN];

    if (len >= sizeof(text)) {
        return NGX_ERROR;
    }

    memcpy(text, p, len);
    text[len] = '\0';

    return inet_pton(AF_INET6, text, addr) == 1 ? NGX_OK : NGX_ERROR;
}


u_char *
ngx_sprintf(u_char *buf, const char *fmt, ...)
{
    u_char   *p;
    va_list   args;

    va_start(args, fmt);
    p = ngx_vslprintf(buf, (void *) -1, fmt, args);
    va_end(args);

    return p;
}


u_char *
ngx_snprintf(u_char *buf, size_t max, const char *fmt, ...)
{
    u_char   *p;
    va_list   args;

    va_start(args, fmt);
    p = ngx_vslprintf(buf, buf + max, fmt, args);
    va_end(args);

    return p;
}


u_char *
ngx_slprintf(u_char *buf, u_char *last, const char *fmt, ...)
{
    u_char   *p;
    va_list   args;

    va_start(args, fmt);
    p = ngx_vslprintf(buf, last, fmt, args);
    va_end(args);

    return p;
}


void
ngx_encode_base64(ngx_str_t *dst, ngx_str_t *src)
{
    size_t     i;
    u_char    *p;
    uint32_t   v;

    static const char  digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    p = dst->data;

    for (i = 0; i < src->len; i += 3) {
        v = src->data[i] << 16
            | (i + 1 < src->len ? src->data[i + 1] << 8 : 0)
            | (i + 2 < src->len ? src->data[i + 2] : 0);

        *p++ = digits[v >> 18];
        *p++ = digits[v >> 12 & 63];
        *p++ = i + 1 < src->len ? digits[v >> 6 & 63] : '=';
        *p++ = i + 2 < src->len ? digits[v & 63] : '=';
    }

    dst->len = p - dst->data;
}


/* nginx, too, leaves small ones to the pool */

ngx_int_t
ngx_pfree(ngx_pool_t *pool, void *p)
{
    (void) pool;
    (void) p;

    return NGX_DECLINED;
}


/* %V %s %d %i %02i %02xd %L %uz %ui %Z: what the files use */

u_char *
ngx_vslprintf(u_char *buf, u_char *last, const char *fmt, va_list args)
{
    int        width;
    char       text[32];
    size_t     len;
    ngx_str_t  s, *v;

    for ( /* void */ ; *fmt && buf < last; fmt++) {

        width = 0;

        if (fmt[0] == '%' && fmt[1] == '0') {
            width = fmt[2] - '0';
            fmt += 2;
            text[0] = '%';

        } else {
            text[0] = *fmt;
        }

        s.data = (u_char *) text;

        if (text[0] != '%') {
            s.len = 1;

        } else if (*++fmt == 'V') {
            v = va_arg(args, ngx_str_t *);
            s = *v;

        } else if (*fmt == 's') {
            s.data = va_arg(args, u_char *);
            s.len = strlen((char *) s.data);

        } else if (*fmt == 'd') {
            s.len = sprintf(text, "%d", va_arg(args, int));

        } else if (*fmt == 'i') {
            s.len = sprintf(text, "%0*lld", width,
                            (long long) va_arg(args, ngx_int_t));

        } else if (*fmt == 'x' && fmt[1] == 'd') {
            fmt++;
            s.len = sprintf(text, "%0*x", width, va_arg(args, int));

        } else if (*fmt == 'L') {
            s.len = sprintf(text, "%lld", (long long) va_arg(args, int64_t));

        } else if (*fmt == 'Z') {
            text[0] = '\0';
            s.len = 1;

        } else if (*fmt == 'u' && (fmt[1] == 'z' || fmt[1] == 'i')) {
            fmt++;
            s.len = sprintf(text, "%zu", va_arg(args, size_t));

        } else {
            abort();
        }

        len = last - buf;
        len = (s.len < len) ? s.len : len;
        buf = ngx_cpymem(buf, s.data, len);
    }

    return buf;
}


void
ngx_stub_ok(ngx_uint_t passed, const char *fmt, ...)
{
    va_list  args;

    printf("%sok %d - ", passed ? "" : "not ", (int) ++ngx_stub_tests);

    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);

    printf("\n");

    ngx_stub_failed += !passed;
}


int
ngx_stub_done(void)
{
    printf("1..%d\n", (int) ngx_stub_tests);

    return ngx_stub_failed != 0;
}


ngx_str_t
ngx_stub_unhex(const char *hex)
{
    size_t     i;
    ngx_str_t  s;

    s.len = strspn(hex, "0123456789abcdef") / 2;
    s.data = malloc(s.len ? s.len : 1);

    for (i = 0; i < s.len; i++) {
        s.data[i] = (u_char) ngx_hextoi((u_char *) hex + 2 * i, 2);
    }

    return s;
}


void
ngx_stub_hex(ngx_str_t *s)
{
    size_t  i;

    for (i = 0; i < s->len; i++) {
        printf("%02x", s->data[i]);
    }
}
