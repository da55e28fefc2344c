
/*
 * Copyright (C) the nginx-async authors
 *
 * Values as libpq takes them: see ngx_http_async_pg_params.h.
 *
 * All go as text of no type, and the server infers the type from the place, as
 * it does for a quoted literal.  So what a statement means depends on its text
 * alone: one prepared statement serves for a value and for null, for 1 and for
 * 1.5; an int64_t fits int2, numeric, LIMIT, left(text, int4) and text; a
 * double arrives in a numeric with the digits that it is written with; a
 * column's index is used; and a time goes into a timestamp without a time zone
 * as UTC, where a timestamptz would be turned by the session's.  The price is
 * that of literals: "SELECT $1" is text, 1.5 and 3000000000 are refused beside
 * an int4, and a cast is needed, $1::int8, where functions are overloaded or
 * polymorphic, and in "$1 IS NULL" unless a place with a type stands before it.
 *
 * Bytes alone are binary, and bytea: in another type's binary form they would
 * be taken for what they are not.
 */

#include <ngx_http_async_pg_params.h>
#include <ngx_http_async_pg_literal.h>
#include <ngx_http_async_json_write.h>
#include <ngx_async_near.h>


#define NGX_HTTP_ASYNC_PG_BYTEA  17


typedef struct {
    ngx_pool_t                           *pool;
    const ngx_http_async_pg_statement_t  *statement;
    const async_value_t                  *values;
    const async_value_t                 **order;   /* NULL: as they are */
    ngx_http_async_pg_params_t           *params;
    u_char                               *pos;     /* where text is written */
    size_t                                size;    /* of the values */
    const char                          **error;
} ngx_http_async_pg_apply_t;


#define ngx_http_async_pg_value(apply, i)                                    \
    ((apply)->order ? (apply)->order[i] : &(apply)->values[i])


static ngx_int_t ngx_http_async_pg_check(ngx_http_async_pg_apply_t *apply,
    size_t n);
static ngx_int_t ngx_http_async_pg_order(ngx_http_async_pg_apply_t *apply,
    size_t n);
static ngx_int_t ngx_http_async_pg_order_one(ngx_http_async_pg_apply_t *apply,
    size_t i);
static ngx_int_t ngx_http_async_pg_unknown(ngx_http_async_pg_apply_t *apply,
    ngx_str_t *name);
static ngx_int_t ngx_http_async_pg_reserve(ngx_http_async_pg_apply_t *apply);
static ngx_int_t ngx_http_async_pg_set(ngx_http_async_pg_apply_t *apply,
    ngx_uint_t i);
static ngx_uint_t ngx_http_async_pg_is_null(const async_value_t *value);
static ngx_int_t ngx_http_async_pg_set_text(ngx_http_async_pg_apply_t *apply,
    ngx_uint_t i, const async_value_t *value);
static ngx_int_t ngx_http_async_pg_set_bytes(ngx_http_async_pg_apply_t *apply,
    ngx_uint_t i, const async_value_t *value);
static ngx_int_t ngx_http_async_pg_set_json(ngx_http_async_pg_apply_t *apply,
    ngx_uint_t i, const async_value_t *value) __attribute__((noinline));
static ngx_int_t ngx_http_async_pg_set_literal(
    ngx_http_async_pg_apply_t *apply, ngx_uint_t i,
    const async_value_t *value);
static ngx_int_t ngx_http_async_pg_set_value(ngx_http_async_pg_apply_t *apply,
    ngx_uint_t i, const char *text, size_t len);
static ngx_int_t ngx_http_async_pg_refuse(ngx_http_async_pg_apply_t *apply,
    ngx_uint_t i, size_t item, const char *why);
static ngx_int_t ngx_http_async_pg_error_text(
    ngx_http_async_pg_apply_t *apply, size_t size, const char *fmt, ...);


ngx_int_t
ngx_http_async_pg_params(ngx_pool_t *pool,
    const ngx_http_async_pg_statement_t *statement,
    const async_value_t *values, size_t n, ngx_http_async_pg_params_t *params,
    const char **error)
{
    ngx_int_t                  rc;
    ngx_uint_t                 i;
    ngx_http_async_pg_apply_t  apply;

    ngx_memzero(params, sizeof(ngx_http_async_pg_params_t));
    params->sql = statement->sql;
    params->n = (int) statement->n;

    apply.pool = pool;
    apply.statement = statement;
    apply.values = values;
    apply.order = NULL;
    apply.params = params;
    apply.size = 0;
    apply.error = error;

    rc = ngx_http_async_pg_check(&apply, n);

    if (rc != NGX_OK || n == 0) {
        return rc;
    }

    if (statement->named) {
        rc = ngx_http_async_pg_order(&apply, n);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    rc = ngx_http_async_pg_reserve(&apply);

    for (i = 0; rc == NGX_OK && i < n; i++) {
        rc = ngx_http_async_pg_set(&apply, i);
    }

    return rc;
}


void
ngx_http_async_pg_forget(const async_value_t *values, size_t n)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        if (values[i].type == ASYNC_VALUE_JSON) {
            json_decref((json_t *) values[i].data);
        }
    }
}


/* all have names or none, and by place there are as many as places */

static ngx_int_t
ngx_http_async_pg_check(ngx_http_async_pg_apply_t *apply, size_t n)
{
    size_t      i;
    ngx_uint_t  wanted;

    for (i = 0; i < n; i++) {

        if ((apply->values[i].name != NULL) == apply->statement->named) {
            continue;
        }

        if (apply->statement->named) {
            return ngx_http_async_pg_error_text(apply, 0,
                            "value %uz has no name, and others have", i + 1);
        }

        return ngx_http_async_pg_error_text(apply,
                            ngx_strlen(apply->values[i].name),
                            "value %uz has a name, \"%s\", and others have "
                            "none", i + 1, apply->values[i].name);
    }

    wanted = apply->statement->n;

    if (n == wanted || apply->statement->named) {
        return NGX_OK;
    }

    if (wanted == 0) {
        return ngx_http_async_pg_error_text(apply, 0,
                                         "the SQL takes no values, not %uz", n);
    }

    return ngx_http_async_pg_error_text(apply, 0,
                                        "the SQL takes %ui value%s, not %uz",
                                        wanted, wanted == 1 ? "" : "s", n);
}


/* by number, what stands in any order */

static ngx_int_t
ngx_http_async_pg_order(ngx_http_async_pg_apply_t *apply, size_t n)
{
    size_t                                i;
    ngx_int_t                             rc;
    ngx_str_t                            *name;
    const ngx_http_async_pg_statement_t  *statement;

    statement = apply->statement;

    apply->order = ngx_pcalloc(apply->pool,
                               (statement->n + 1) * sizeof(async_value_t *));
    if (apply->order == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        rc = ngx_http_async_pg_order_one(apply, i);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    for (i = 0; i < statement->n; i++) {
        if (apply->order[i] == NULL) {
            name = &statement->names[i];

            return ngx_http_async_pg_error_text(apply, name->len,
                           "the SQL has \":%V\", and no value has that name",
                           name);
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_pg_order_one(ngx_http_async_pg_apply_t *apply, size_t i)
{
    size_t                                j, n;
    ngx_str_t                             name, *names;
    const async_value_t                  *value;
    const ngx_http_async_pg_statement_t  *statement;

    statement = apply->statement;
    names = statement->names;
    n = statement->n;

    value = &apply->values[i];
    name.data = (u_char *) value->name;
    name.len = ngx_strlen(name.data);

    /* mostly they stand in the order of the SQL */

    for (j = 0; j < n; j++, i++) {

        if (i >= n) {
            i = 0;
        }

        if (names[i].len == name.len
            && ngx_memcmp(names[i].data, name.data, name.len) == 0)
        {
            break;
        }
    }

    if (j == n) {
        return ngx_http_async_pg_unknown(apply, &name);
    }

    if (apply->order[i]) {
        return ngx_http_async_pg_error_text(apply, name.len,
                               "two values have the name \"%V\"", &name);
    }

    apply->order[i] = value;

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_pg_unknown(ngx_http_async_pg_apply_t *apply, ngx_str_t *name)
{
    const ngx_str_t  *near;

    near = ngx_async_near(name, apply->statement->names,
                          apply->statement->n);

    if (near == NULL) {
        return ngx_http_async_pg_error_text(apply, 2 * name->len,
                              "a value has the name \"%V\", and the SQL has "
                              "no \":%V\"", name, name);
    }

    return ngx_http_async_pg_error_text(apply, 2 * name->len + near->len,
                              "a value has the name \"%V\", and the SQL has "
                              "no \":%V\", but \":%V\"", name, name, near);
}


/* one allocation for the arrays of libpq and most of the text */

static ngx_int_t
ngx_http_async_pg_reserve(ngx_http_async_pg_apply_t *apply)
{
    u_char                      *p;
    size_t                       n, size;
    ngx_uint_t                   i, binary;
    const async_value_t         *value;
    ngx_http_async_pg_params_t  *params;

    params = apply->params;
    n = params->n;

    size = n * sizeof(char *);
    binary = 0;

    for (i = 0; i < n; i++) {
        value = ngx_http_async_pg_value(apply, i);
        size += ngx_http_async_pg_literal_room(value);
        binary |= (value->type == ASYNC_VALUE_BYTES);
    }

    if (binary) {
        size += n * (sizeof(Oid) + 2 * sizeof(int));
    }

    p = ngx_palloc(apply->pool, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    params->values = (const char **) p;
    p += n * sizeof(char *);

    if (binary) {
        ngx_memzero(p, n * (sizeof(Oid) + 2 * sizeof(int)));

        params->types = (Oid *) p;
        p += n * sizeof(Oid);
        params->lengths = (int *) p;
        p += n * sizeof(int);
        params->formats = (int *) p;
        p += n * sizeof(int);
    }

    apply->pos = p;

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_pg_set(ngx_http_async_pg_apply_t *apply, ngx_uint_t i)
{
    const async_value_t  *value;

    value = ngx_http_async_pg_value(apply, i);

    if (value->type == ASYNC_VALUE_BYTES) {
        apply->params->types[i] = NGX_HTTP_ASYNC_PG_BYTEA;
    }

    if (ngx_http_async_pg_is_null(value)) {
        apply->params->values[i] = NULL;
        return NGX_OK;
    }

    switch (value->type) {

    case ASYNC_VALUE_BOOL:
        return value->integer
               ? ngx_http_async_pg_set_value(apply, i, "true", 4)
               : ngx_http_async_pg_set_value(apply, i, "false", 5);

    case ASYNC_VALUE_TEXT:
        return ngx_http_async_pg_set_text(apply, i, value);

    case ASYNC_VALUE_BYTES:
        return ngx_http_async_pg_set_bytes(apply, i, value);

    case ASYNC_VALUE_JSON:
        return ngx_http_async_pg_set_json(apply, i, value);

    default:
        return ngx_http_async_pg_set_literal(apply, i, value);
    }
}


static ngx_uint_t
ngx_http_async_pg_is_null(const async_value_t *value)
{
    switch (value->type) {

    case ASYNC_VALUE_NULL:
        return 1;

    case ASYNC_VALUE_TEXT:
    case ASYNC_VALUE_BYTES:
    case ASYNC_VALUE_JSON:
    case ASYNC_VALUE_INTS:
    case ASYNC_VALUE_FLOATS:
    case ASYNC_VALUE_TEXTS:
        return value->data == NULL;

    default:
        return 0;
    }
}


/* libpq takes no length of text */

static ngx_int_t
ngx_http_async_pg_set_text(ngx_http_async_pg_apply_t *apply, ngx_uint_t i,
    const async_value_t *value)
{
    const char  *text, *why;

    text = value->data;

    why = ngx_http_async_pg_literal_fault(text, value->len);
    if (why) {
        return ngx_http_async_pg_refuse(apply, i, 0, why);
    }

    if (text[value->len] != '\0') {
        text = (char *) apply->pos;
        apply->pos = ngx_cpymem(apply->pos, value->data, value->len);
        *apply->pos++ = '\0';
    }

    return ngx_http_async_pg_set_value(apply, i, text, value->len);
}


static ngx_int_t
ngx_http_async_pg_set_bytes(ngx_http_async_pg_apply_t *apply, ngx_uint_t i,
    const async_value_t *value)
{
    ngx_int_t  rc;

    rc = ngx_http_async_pg_set_value(apply, i, value->data, value->len);
    if (rc != NGX_OK) {
        return rc;
    }

    apply->params->lengths[i] = (int) value->len;
    apply->params->formats[i] = 1;

    return NGX_OK;
}


/* has a large frame, and is rare */

static ngx_int_t
ngx_http_async_pg_set_json(ngx_http_async_pg_apply_t *apply, ngx_uint_t i,
    const async_value_t *value)
{
    ngx_int_t                   rc;
    ngx_str_t                   text;
    ngx_http_async_json_out_t   out;

    ngx_http_async_json_out(&out, apply->pool);

    rc = ngx_http_async_json_write(&out, (json_t *) value->data);

    if (rc == NGX_OK) {
        rc = ngx_http_async_json_write_word(&out, "\0", 1);
    }

    rc = ngx_http_async_json_out_done(&out, rc, &text);

    if (rc == NGX_DECLINED) {
        return ngx_http_async_pg_refuse(apply, i, 0, "has no form as JSON: "
                                        "it is too deep, or a circle");
    }

    if (rc != NGX_OK) {
        return rc;
    }

    apply->params->depth = ngx_max(apply->params->depth, out.deepest);

    return ngx_http_async_pg_set_value(apply, i, (char *) text.data,
                                       text.len - 1);
}


static ngx_int_t
ngx_http_async_pg_set_literal(ngx_http_async_pg_apply_t *apply, ngx_uint_t i,
    const async_value_t *value)
{
    u_char      *p, *last;
    size_t       item;
    const char  *why;

    p = apply->pos;

    last = ngx_http_async_pg_literal(p, value, &why, &item);
    if (last == NULL) {
        return ngx_http_async_pg_refuse(apply, i, item, why);
    }

    apply->pos = last + 1;

    return ngx_http_async_pg_set_value(apply, i, (char *) p, last - p);
}


/* a larger message the server answers by closing the connection */

static ngx_int_t
ngx_http_async_pg_set_value(ngx_http_async_pg_apply_t *apply, ngx_uint_t i,
    const char *text, size_t len)
{
    apply->params->values[i] = text;

    if (text == NULL) {
        return NGX_OK;
    }

    if (len > NGX_HTTP_ASYNC_PG_MAX_SIZE - apply->size) {
        return ngx_http_async_pg_refuse(apply, i, 0,
                               "is too long: 1 GB is what all may have");
    }

    apply->size += len;

    return NGX_OK;
}


/* items count from 1; 0: it is the value itself */

static ngx_int_t
ngx_http_async_pg_refuse(ngx_http_async_pg_apply_t *apply, ngx_uint_t i,
    size_t item, const char *why)
{
    u_char      text[sizeof("item  of ") + NGX_INT_T_LEN];
    ngx_str_t  *name;

    text[0] = '\0';

    if (item) {
        (void) ngx_sprintf(text, "item %uz of %Z", item);
    }

    if (!apply->statement->named) {
        return ngx_http_async_pg_error_text(apply, ngx_strlen(why),
                                            "%svalue %ui ($%ui) %s",
                                            text, i + 1, i + 1, why);
    }

    name = &apply->statement->names[i];

    return ngx_http_async_pg_error_text(apply, ngx_strlen(why) + name->len,
                                        "%svalue \":%V\" %s", text, name, why);
}


/* NGX_DECLINED; size: of the strings among the arguments, about */

static ngx_int_t
ngx_http_async_pg_error_text(ngx_http_async_pg_apply_t *apply, size_t size,
    const char *fmt, ...)
{
    u_char   *p, *last;
    va_list   args;

    size += ngx_strlen(fmt) + 3 * NGX_INT_T_LEN;

    p = ngx_pnalloc(apply->pool, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    *apply->error = (char *) p;

    va_start(args, fmt);
    last = ngx_vslprintf(p, p + size - 1, fmt, args);
    va_end(args);

    *last = '\0';

    return NGX_DECLINED;
}
