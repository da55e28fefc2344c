
/*
 * JSON on jansson's trees: a strict loader whose errors read as Python's, and
 * an encoder whose text is that of json.dumps() in FastAPI's JSONResponse.
 * Called for bodies, responses and messages; pure, knows no request, runs in
 * any thread with a pool of that thread's own.
 */


#ifndef _NGX_HTTP_ASYNC_JSON_H_INCLUDED_
#define _NGX_HTTP_ASYNC_JSON_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <stdarg.h>
#include <jansson.h>


/* of a document to load: by default, and at most (as jansson's parser) */

#define NGX_HTTP_ASYNC_JSON_DEPTH         100
#define NGX_HTTP_ASYNC_JSON_MAX_DEPTH     2048

/* of a value to encode: cycles end here, too */

#define NGX_HTTP_ASYNC_JSON_ENCODE_DEPTH  1000

/* room for any double as text: sign, point, 17 digits, "0.000" or "e-324" */

#define NGX_HTTP_ASYNC_JSON_DOUBLE_LEN    32


typedef enum {
    NGX_HTTP_ASYNC_JSON_EMPTY = 0,    /* no byte at all                     */
    NGX_HTTP_ASYNC_JSON_UTF8,         /* no UTF-8: 400 rather than 422      */
    NGX_HTTP_ASYNC_JSON_TOO_DEEP,
    NGX_HTTP_ASYNC_JSON_SYNTAX,       /* text and position are Python's     */
    NGX_HTTP_ASYNC_JSON_REFUSED       /* Python would take it: duplicate key,
                                         number out of range, lone surrogate,
                                         \u0000                             */
} ngx_http_async_json_problem_e;


typedef struct {
    ngx_http_async_json_problem_e   kind;
    const char                     *text;      /* static, no full stop       */
    size_t                          offset;    /* of the place, in bytes     */
    size_t                          position;  /* the same in characters     */
} ngx_http_async_json_error_t;


/* a call in the manner of json_pack(), and what came of it */

typedef struct {
    const char                     *format;    /* not NULL                   */
    va_list                        *args;      /* read by _release() alone   */
    const char                     *error;     /* static, no full stop       */
    size_t                          position;  /* of the error in the format,
                                                  in bytes, from 1           */
    ngx_uint_t                      depth;     /* as that of _encode()       */
    ngx_uint_t                      owned;     /* _release() has work to do  */
} ngx_http_async_json_pack_t;


/*
 * Loads any JSON value from memory that need not be terminated; a byte order
 * mark is skipped and not counted in position.  max_depth 0 is the default.
 *
 * NGX_OK        *value is a new reference
 * NGX_DECLINED  the text is at fault; *error tells, *value is NULL
 * NGX_ERROR     no memory; *value is NULL
 *
 * Does not recur: 2k of stack, 4k for a text at fault.  But jansson does when
 * it frees, be it what was built of such a text: see max_depth as stack.
 */

ngx_int_t ngx_http_async_json_load(u_char *data, size_t len,
    ngx_uint_t max_depth, json_t **value, ngx_http_async_json_error_t *error);

/*
 * The same with the default depth; but an integer beyond int64_t is no fault:
 * it is the real number that is nearest, if there is one.
 */

ngx_int_t ngx_http_async_json_wide(u_char *data, size_t len, json_t **value);

/*
 * Writes a borrowed value as compact UTF-8 into one allocation of the pool,
 * not terminated.  Strings made with jansson's _nocheck calls are trusted to
 * be UTF-8.  Does not recur: about 2k of stack, another 3k for doubles.
 * *depth is that of the value, as far as it was walked: on NGX_OK jansson
 * recurs as deep when it frees.
 *
 * NGX_OK
 * NGX_DECLINED  the value has no JSON form: NULL, nan, inf, too deep or
 *               cyclic; *error tells in words, static
 * NGX_ERROR     no memory; *error says so
 */

ngx_int_t ngx_http_async_json_encode(ngx_pool_t *pool, json_t *value,
    ngx_str_t *text, ngx_uint_t *depth, const char **error);

/*
 * Writes the text of what json_pack() would build; answers and writes as
 * _encode(), with the error and its place in *pack.  NGX_DECLINED, too: what
 * json_pack() refuses; what it accepts in spite of its documentation, "{*".
 * It does not look for keys of one name: json_pack() would keep the last one.
 *
 * Values of "o" are kept until _release(), for others may lie in them.  That
 * ends where the format has a letter that says no type: what follows leaks.
 * jansson recurs in it.
 */

ngx_int_t ngx_http_async_json_pack(ngx_pool_t *pool,
    ngx_http_async_json_pack_t *pack, ngx_str_t *text);
void ngx_http_async_json_pack_release(ngx_http_async_json_pack_t *pack);

/*
 * Writes a finite double as Python's repr() does, in any locale; returns the
 * end.  There must be room for NGX_HTTP_ASYNC_JSON_DOUBLE_LEN bytes.
 */

u_char *ngx_http_async_json_double(u_char *p, double value);

/* The same with the fewest digits that read back as the same float. */

u_char *ngx_http_async_json_float(u_char *p, float value);


#endif /* _NGX_HTTP_ASYNC_JSON_H_INCLUDED_ */
