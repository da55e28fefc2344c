
/*
 * Patterns of routes as text: split into literals and parameters, with a
 * message for what is wrong.  Called by the tree, while the configuration is
 * read; knows nothing of matching.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_async_near.h>
#include <ngx_http_async_route_tree.h>


#define NGX_HTTP_ASYNC_ROUTE_ERROR_LEN  512


static u_char *ngx_http_async_route_parse_param(ngx_pool_t *pool,
    ngx_array_t *parts, u_char *p, u_char *last, ngx_str_t *error);
static ngx_int_t ngx_http_async_route_parse_kind(ngx_pool_t *pool,
    ngx_str_t *name, ngx_http_async_route_kind_e *kind, ngx_str_t *error);
static ngx_int_t ngx_http_async_route_check_name(ngx_pool_t *pool,
    ngx_array_t *parts, ngx_str_t *name, ngx_str_t *error);


const ngx_str_t  ngx_http_async_route_converters[] = {
    ngx_string("str"),
    ngx_string("int"),
    ngx_string("float"),
    ngx_string("uuid"),
    ngx_string("path")
};


ngx_array_t *
ngx_http_async_route_parse(ngx_pool_t *pool, ngx_str_t *pattern,
    ngx_str_t *error)
{
    u_char                       *p, *last, *start;
    ngx_array_t                  *parts;
    ngx_http_async_route_part_t  *part;

    ngx_str_null(error);

    if (pattern->len == 0 || pattern->data[0] != '/') {
        return ngx_http_async_route_error(pool, error,
                                          "a pattern starts with \"/\"");
    }

    parts = ngx_array_create(pool, 4, sizeof(ngx_http_async_route_part_t));
    if (parts == NULL) {
        return NULL;
    }

    p = pattern->data;
    last = p + pattern->len;

    while (p < last) {

        if (*p == '{') {
            p = ngx_http_async_route_parse_param(pool, parts, p, last, error);
            if (p == NULL) {
                return NULL;
            }

            continue;
        }

        start = p;

        while (p < last && *p != '{' && *p != '}') {
            p++;
        }

        if (p < last && *p == '}') {
            return ngx_http_async_route_error(pool, error,
                                    "unexpected \"}\" in \"%V\"", pattern);
        }

        part = ngx_array_push(parts);
        if (part == NULL) {
            return NULL;
        }

        part->kind = NGX_HTTP_ASYNC_ROUTE_LITERAL;
        part->text.data = start;
        part->text.len = p - start;
    }

    return parts;
}


static u_char *
ngx_http_async_route_parse_param(ngx_pool_t *pool, ngx_array_t *parts,
    u_char *p, u_char *last, ngx_str_t *error)
{
    u_char                       *end, *colon;
    ngx_str_t                     name, converter;
    ngx_http_async_route_kind_e   kind;
    ngx_http_async_route_part_t  *part;

    end = ngx_strlchr(p, last, '}');

    if (end == NULL) {
        name.data = p;
        name.len = last - p;

        return ngx_http_async_route_error(pool, error,
                                    "\"{\" is not closed in \"%V\"", &name);
    }

    name.data = p + 1;
    name.len = end - name.data;
    kind = NGX_HTTP_ASYNC_ROUTE_STR;

    colon = ngx_strlchr(name.data, end, ':');

    if (colon) {
        name.len = colon - name.data;
        converter.data = colon + 1;
        converter.len = end - converter.data;

        if (ngx_http_async_route_parse_kind(pool, &converter, &kind, error)
            != NGX_OK)
        {
            return NULL;
        }
    }

    if (ngx_http_async_route_check_name(pool, parts, &name, error) != NGX_OK) {
        return NULL;
    }

    part = ngx_array_push(parts);
    if (part == NULL) {
        return NULL;
    }

    part->kind = kind;
    part->text = name;

    return end + 1;
}


static ngx_int_t
ngx_http_async_route_parse_kind(ngx_pool_t *pool, ngx_str_t *name,
    ngx_http_async_route_kind_e *kind, ngx_str_t *error)
{
    ngx_uint_t        i;
    const ngx_str_t  *converter, *near;

    for (i = 0; i < NGX_HTTP_ASYNC_ROUTE_LITERAL; i++) {
        converter = &ngx_http_async_route_converters[i];

        if (name->len == converter->len
            && ngx_memcmp(name->data, converter->data, name->len) == 0)
        {
            *kind = i;
            return NGX_OK;
        }
    }

    near = ngx_async_near(name, ngx_http_async_route_converters,
                               NGX_HTTP_ASYNC_ROUTE_LITERAL);
    if (near) {
        ngx_http_async_route_error(pool, error,
                     "unknown converter \"%V\", did you mean \"%V\"?",
                     name, near);

    } else {
        ngx_http_async_route_error(pool, error,
                     "unknown converter \"%V\", "
                     "there are str, int, float, uuid and path", name);
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_async_route_check_name(ngx_pool_t *pool, ngx_array_t *parts,
    ngx_str_t *name, ngx_str_t *error)
{
    u_char                        c;
    ngx_uint_t                    i, n;
    ngx_http_async_route_part_t  *part;

    if (name->len == 0) {
        ngx_http_async_route_error(pool, error, "a parameter has no name");
        return NGX_DECLINED;
    }

    for (i = 0; i < name->len; i++) {
        c = ngx_tolower(name->data[i]);

        if ((c < 'a' || c > 'z') && c != '_'
            && (i == 0 || !ngx_http_async_route_is_digit(c)))
        {
            ngx_http_async_route_error(pool, error,
                     "\"%V\" is no name: letters, \"_\" and digits make one, "
                     "and no digit comes first", name);
            return NGX_DECLINED;
        }
    }

    part = parts->elts;
    n = 0;

    for (i = 0; i < parts->nelts; i++) {

        if (part[i].kind == NGX_HTTP_ASYNC_ROUTE_LITERAL) {
            continue;
        }

        if (part[i].text.len == name->len
            && ngx_memcmp(part[i].text.data, name->data, name->len) == 0)
        {
            ngx_http_async_route_error(pool, error,
                                       "parameter \"%V\" is there twice",
                                       name);
            return NGX_DECLINED;
        }

        if (++n == NGX_HTTP_ASYNC_MAX_PARAMS) {
            ngx_http_async_route_error(pool, error,
                                       "more than %d parameters",
                                       NGX_HTTP_ASYNC_MAX_PARAMS);
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


void *
ngx_http_async_route_error(ngx_pool_t *pool, ngx_str_t *error,
    const char *fmt, ...)
{
    u_char   *p;
    va_list   args;

    ngx_str_null(error);

    p = ngx_pnalloc(pool, NGX_HTTP_ASYNC_ROUTE_ERROR_LEN);
    if (p == NULL) {
        return NULL;
    }

    error->data = p;

    va_start(args, fmt);
    p = ngx_vslprintf(p, p + NGX_HTTP_ASYNC_ROUTE_ERROR_LEN, fmt, args);
    va_end(args);

    error->len = p - error->data;

    return NULL;
}
