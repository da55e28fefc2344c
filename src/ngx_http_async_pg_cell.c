
/*
 * Copyright (C) the nginx-async authors
 *
 * Typed values by row and column: see ngx_http_async_pg_write.h.
 */

#include <math.h>
#include <float.h>
#include <ngx_async_near.h>
#include <ngx_http_async_pg_write.h>
#include <ngx_http_async_value.h>


static ngx_int_t ngx_http_async_pg_no_column(ngx_http_async_pg_cell_t *cell);
static ngx_int_t ngx_http_async_pg_short(ngx_str_t *text, double *value);
static ngx_int_t ngx_http_async_pg_fail(ngx_http_async_pg_cell_t *cell,
    const char *why, const char *what);


#define ngx_http_async_pg_is(text, word)                                     \
    ((text)->len == sizeof(word) - 1                                         \
     && ngx_memcmp((text)->data, word, sizeof(word) - 1) == 0)


int
ngx_http_async_pg_column(PGresult *result, const char *name)
{
    int  i;

    for (i = PQnfields(result) - 1; i >= 0; i--) {
        if (ngx_strcmp(PQfname(result, i), name) == 0) {
            break;
        }
    }

    return i;
}


ngx_int_t
ngx_http_async_pg_cell(ngx_http_async_pg_cell_t *cell, ngx_uint_t kinds,
    const char *wanted)
{
    int     i, row;
    u_char  buf[NGX_HTTP_ASYNC_PG_PLAIN_LEN];

    ngx_str_null(&cell->text);

    if (cell->result == NULL) {
        ngx_sprintf(cell->error, "%s(): there is no result%Z", cell->call);
        return NGX_DECLINED;
    }

    if (cell->column == NULL) {
        ngx_sprintf(cell->error, "%s(): the column is NULL%Z", cell->call);
        return NGX_DECLINED;
    }

    i = ngx_http_async_pg_column(cell->result, cell->column);

    if (i < 0) {
        return ngx_http_async_pg_no_column(cell);
    }

    if (cell->row >= (size_t) PQntuples(cell->result)) {
        ngx_sprintf(cell->error, "%s(): there is no row %uz of %d%Z",
                    cell->call, cell->row, PQntuples(cell->result));
        return NGX_DECLINED;
    }

    row = (int) cell->row;
    cell->index = i;
    cell->type = ngx_http_async_pg_type(PQftype(cell->result, i));

    if (kinds
        && (cell->type.delimiter || (kinds & 1 << cell->type.kind) == 0))
    {
        return ngx_http_async_pg_fail(cell, wanted,
                   ngx_http_async_pg_type_name(PQftype(cell->result, i), buf));
    }

    if (PQgetisnull(cell->result, row, i)) {
        return ngx_http_async_pg_fail(cell, NULL, "null");
    }

    cell->text.data = (u_char *) PQgetvalue(cell->result, row, i);
    cell->text.len = PQgetlength(cell->result, row, i);

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_pg_no_column(ngx_http_async_pg_cell_t *cell)
{
    u_char     *p, *last;
    ngx_str_t   best;

    last = cell->error + NGX_HTTP_ASYNC_PG_ERROR_LEN - 1;

    p = ngx_slprintf(cell->error, last, "%s(): there is no column \"%s\"",
                     cell->call, cell->column);

    if (ngx_http_async_pg_near(cell->result, cell->column, &best) == NGX_OK) {
        p = ngx_slprintf(p, last, ", did you mean \"%V\"?", &best);
    }

    *p = '\0';

    return NGX_DECLINED;
}


ngx_int_t
ngx_http_async_pg_near(PGresult *result, const char *column, ngx_str_t *best)
{
    int                i;
    ngx_str_t          word, name;
    ngx_async_near_t   near;

    word.data = (u_char *) column;
    word.len = ngx_strlen(column);

    ngx_str_null(best);
    ngx_async_near_init(&near, &word);

    for (i = 0; i < PQnfields(result); i++) {
        name.data = (u_char *) PQfname(result, i);
        name.len = ngx_strlen(name.data);

        near.best = NULL;
        ngx_async_near_offer(&near, &name);

        if (near.best) {
            *best = name;
        }
    }

    return best->len ? NGX_OK : NGX_DECLINED;
}


/* "what" it is, and what not: "not an integer" */

static ngx_int_t
ngx_http_async_pg_fail(ngx_http_async_pg_cell_t *cell, const char *wanted,
    const char *what)
{
    u_char  *p, *last;

    last = cell->error + NGX_HTTP_ASYNC_PG_ERROR_LEN - 1;

    p = ngx_slprintf(cell->error, last, "%s(): \"%s\" of row %uz is %s",
                     cell->call, cell->column, cell->row, what);

    if (wanted) {
        p = ngx_slprintf(p, last, ", not %s", wanted);
    }

    *p = '\0';

    return NGX_DECLINED;
}


ngx_int_t
ngx_http_async_pg_integer(ngx_str_t *text, int64_t *value)
{
    ngx_http_async_value_error_t  error;

    *value = 0;

    return ngx_http_async_pg_finite(text->data, text->len)
           ? ngx_http_async_value_int(text, value, &error) : NGX_DECLINED;
}


/*
 * A short decimal is a quotient of two numbers that a double holds exactly, so
 * one division rounds as it shall.  NGX_DECLINED: it is none.
 */

static ngx_int_t
ngx_http_async_pg_short(ngx_str_t *text, double *value)
{
    u_char      *p, *last;
    int64_t      digits;
    ngx_uint_t   places, point;

    static const double  powers[] = {
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12,
        1e13, 1e14, 1e15
    };

    p = text->data;
    last = p + text->len;

    if (p < last && *p == '-') {
        p++;
    }

    if (FLT_EVAL_METHOD != 0 || p == last || last - p > 16
        || *p < '0' || *p > '9')
    {
        return NGX_DECLINED;
    }

    digits = 0;
    places = 0;
    point = 0;

    for ( /* void */ ; p < last; p++) {

        if (*p == '.' && !point) {
            point = 1;
            continue;
        }

        if (*p < '0' || *p > '9') {
            return NGX_DECLINED;
        }

        digits = digits * 10 + (*p - '0');
        places += point;
    }

    /* all integers up to 2^53 are doubles */

    if (places > 15 || digits > 9007199254740992) {
        return NGX_DECLINED;
    }

    *value = (double) digits / powers[places];

    if (*text->data == '-') {
        *value = -*value;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_async_pg_number(ngx_str_t *text, double *value)
{
    ngx_http_async_value_error_t  error;

    *value = 0;

    if (ngx_http_async_pg_short(text, value) == NGX_OK) {
        return NGX_OK;
    }

    if (ngx_http_async_pg_is(text, "NaN")) {
        *value = NAN;
        return NGX_OK;
    }

    if (ngx_http_async_pg_is(text, "Infinity")) {
        *value = INFINITY;
        return NGX_OK;
    }

    if (ngx_http_async_pg_is(text, "-Infinity")) {
        *value = -INFINITY;
        return NGX_OK;
    }

    return ngx_http_async_pg_finite(text->data, text->len)
           ? ngx_http_async_value_float(text, value, &error) : NGX_DECLINED;
}


ngx_int_t
ngx_http_async_pg_cell_int(ngx_http_async_pg_cell_t *cell, int64_t *value)
{
    *value = 0;

    if (ngx_http_async_pg_cell(cell, NGX_HTTP_ASYNC_PG_INTS, "an integer")
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (ngx_http_async_pg_integer(&cell->text, value) != NGX_OK) {
        *value = 0;
        return ngx_http_async_pg_fail(cell, "an integer", "malformed");
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_async_pg_cell_float(ngx_http_async_pg_cell_t *cell, double *value)
{
    *value = 0;

    if (ngx_http_async_pg_cell(cell, NGX_HTTP_ASYNC_PG_FLOATS, "a number")
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (ngx_http_async_pg_number(&cell->text, value) != NGX_OK) {
        *value = 0;
        return ngx_http_async_pg_fail(cell, NULL, "beyond double");
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_async_pg_cell_bool(ngx_http_async_pg_cell_t *cell, int *value)
{
    *value = 0;

    if (ngx_http_async_pg_cell(cell, NGX_HTTP_ASYNC_PG_BOOLS, "boolean")
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    *value = (cell->text.len && cell->text.data[0] == 't');

    return NGX_OK;
}


ngx_int_t
ngx_http_async_pg_cell_time(ngx_http_async_pg_cell_t *cell, int64_t *value)
{
    *value = 0;

    if (ngx_http_async_pg_cell(cell, NGX_HTTP_ASYNC_PG_TIMES,
                               "a timestamp or date") != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (ngx_http_async_pg_time(&cell->text, value) != NGX_OK) {
        *value = 0;

        /* zero-terminated, as libpq has it */

        return ngx_http_async_pg_fail(cell, "a time by DateStyle ISO",
                                      (char *) cell->text.data);
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_async_pg_cell_bytes(ngx_http_async_pg_cell_t *cell, ngx_pool_t *pool,
    ngx_str_t *value)
{
    ngx_str_null(value);

    if (ngx_http_async_pg_cell(cell, NGX_HTTP_ASYNC_PG_BYTEAS, "bytea")
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    value->data = ngx_pnalloc(pool, cell->text.len + 1);

    if (value->data == NULL) {
        (void) ngx_http_async_pg_fail(cell, NULL, "too large: no memory");
        return NGX_ERROR;
    }

    if (ngx_http_async_pg_bytes(&cell->text, value->data, &value->len)
        != NGX_OK)
    {
        ngx_str_null(value);
        return ngx_http_async_pg_fail(cell, "bytea", "malformed");
    }

    value->data[value->len] = '\0';

    return NGX_OK;
}


ngx_int_t
ngx_http_async_pg_cell_json(ngx_http_async_pg_cell_t *cell, json_t **value)
{
    u_char                       *p, *last;
    ngx_int_t                     rc;
    ngx_http_async_json_error_t   error;

    *value = NULL;

    if (ngx_http_async_pg_cell(cell, NGX_HTTP_ASYNC_PG_JSONS, "json or jsonb")
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    rc = ngx_http_async_json_load(cell->text.data, cell->text.len, 0, value,
                                  &error);

    if (rc == NGX_ERROR) {
        (void) ngx_http_async_pg_fail(cell, NULL, "too large: no memory");
        return NGX_ERROR;
    }

    if (rc == NGX_DECLINED) {
        last = cell->error + NGX_HTTP_ASYNC_PG_ERROR_LEN - 1;

        p = ngx_slprintf(cell->error, last, "%s(): the JSON of \"%s\" of row "
                         "%uz: %s at character %uz", cell->call, cell->column,
                         cell->row, error.text, error.position);
        *p = '\0';
    }

    return rc;
}
