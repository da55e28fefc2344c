
/*
 * Copyright (C) the nginx-async authors
 *
 * Rows as JSON objects: see ngx_http_async_pg_write.h.
 */

#include <ngx_http_async_pg_write.h>


/* so many columns cost no memory */
#define NGX_HTTP_ASYNC_PG_FEW  16


static ngx_http_async_pg_member_t *ngx_http_async_pg_same(
    ngx_http_async_pg_member_t *members, ngx_uint_t n,
    ngx_http_async_pg_member_t *m);
static ngx_int_t ngx_http_async_pg_rows_done(ngx_http_async_pg_out_t *o,
    ngx_int_t rc, ngx_str_t *text);
static ngx_int_t ngx_http_async_pg_write_rows(ngx_http_async_pg_out_t *o,
    ngx_pool_t *pool, PGresult *result, size_t row, size_t last);
static ngx_int_t ngx_http_async_pg_write_row(ngx_http_async_pg_out_t *o,
    PGresult *result, ngx_http_async_pg_member_t *members, ngx_uint_t n,
    int row);
static ngx_int_t ngx_http_async_pg_write_key(ngx_http_async_pg_out_t *o,
    ngx_http_async_pg_member_t *m, ngx_uint_t comma);
static json_t *ngx_http_async_pg_row_tree(ngx_http_async_pg_out_t *o,
    PGresult *result, ngx_http_async_pg_member_t *members, ngx_uint_t n,
    int row, u_char *error);
static json_t *ngx_http_async_pg_tree_error(u_char *error, const char *why,
    const char *column, int row);


ngx_http_async_pg_member_t *
ngx_http_async_pg_members(ngx_pool_t *pool, PGresult *result,
    ngx_http_async_pg_member_t *few, ngx_uint_t nfew, ngx_uint_t *n)
{
    int                          i, columns;
    uint32_t                     seen[8];     /* hashes, by eight bits each */
    const char                  *p;
    ngx_http_async_pg_member_t  *m, *same, *members;

    columns = PQnfields(result);
    members = few;

    if ((ngx_uint_t) columns > nfew) {
        members = ngx_palloc(pool,
                             columns * sizeof(ngx_http_async_pg_member_t));
        if (members == NULL) {
            return NULL;
        }
    }

    ngx_memzero(seen, sizeof(seen));

    m = members;

    for (i = 0; i < columns; i++) {

        m->column = i;
        m->type = ngx_http_async_pg_type(PQftype(result, i));
        m->name = PQfname(result, i);
        m->key = 0;
        m->key_len = 0;

        m->hash = 2166136261u;               /* FNV-1a */

        for (p = m->name; *p; p++) {
            m->hash = (m->hash ^ (u_char) *p) * 16777619u;
        }

        m->len = p - m->name;

        if (seen[m->hash >> 29] & 1u << (m->hash >> 24 & 31)) {
            same = ngx_http_async_pg_same(members, m - members, m);

            if (same) {
                *same = *m;
                continue;
            }
        }

        seen[m->hash >> 29] |= 1u << (m->hash >> 24 & 31);
        m++;
    }

    *n = m - members;

    return members;
}


static ngx_http_async_pg_member_t *
ngx_http_async_pg_same(ngx_http_async_pg_member_t *members, ngx_uint_t n,
    ngx_http_async_pg_member_t *m)
{
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {
        if (members[i].hash == m->hash && members[i].len == m->len
            && ngx_memcmp(members[i].name, m->name, m->len) == 0)
        {
            return &members[i];
        }
    }

    return NULL;
}


ngx_int_t
ngx_http_async_pg_rows(ngx_pool_t *pool, PGresult *result, size_t row,
    ngx_str_t *text)
{
    ngx_int_t                rc;
    ngx_http_async_pg_out_t  o;

    if (row == NGX_HTTP_ASYNC_PG_ALL) {
        return ngx_http_async_pg_list(pool, &result, 1, text);
    }

    ngx_http_async_pg_out(&o, pool);

    rc = (row < (size_t) PQntuples(result))
         ? ngx_http_async_pg_write_rows(&o, pool, result, row, row + 1)
         : ngx_http_async_json_write_word(&o.out, "null", 4);

    return ngx_http_async_pg_rows_done(&o, rc, text);
}


ngx_int_t
ngx_http_async_pg_list(ngx_pool_t *pool, PGresult **results, ngx_uint_t n,
    ngx_str_t *text)
{
    ngx_int_t                rc;
    ngx_uint_t               i, rows;
    ngx_http_async_pg_out_t  o;

    ngx_http_async_pg_out(&o, pool);

    rc = ngx_http_async_json_write_word(&o.out, "[", 1);
    rows = 0;

    for (i = 0; i < n && rc == NGX_OK; i++) {

        if (rows && PQntuples(results[i])) {
            rc = ngx_http_async_json_write_word(&o.out, ",", 1);
        }

        if (rc == NGX_OK) {
            rows += PQntuples(results[i]);
            rc = ngx_http_async_pg_write_rows(&o, pool, results[i], 0,
                                              PQntuples(results[i]));
        }
    }

    if (rc == NGX_OK) {
        rc = ngx_http_async_json_write_word(&o.out, "]", 1);
    }

    return ngx_http_async_pg_rows_done(&o, rc, text);
}


static ngx_int_t
ngx_http_async_pg_rows_done(ngx_http_async_pg_out_t *o, ngx_int_t rc,
    ngx_str_t *text)
{
    if (rc == NGX_OK) {
        /* the zero */
        rc = ngx_http_async_json_write_word(&o->out, "", 1);
    }

    rc = ngx_http_async_pg_out_done(o, rc, text);

    if (rc == NGX_OK) {
        text->len--;
    }

    return rc;
}


static ngx_int_t
ngx_http_async_pg_write_rows(ngx_http_async_pg_out_t *o, ngx_pool_t *pool,
    PGresult *result, size_t row, size_t last)
{
    ngx_int_t                    rc;
    ngx_uint_t                   n;
    ngx_http_async_pg_member_t  *members, few[NGX_HTTP_ASYNC_PG_FEW];

    members = ngx_http_async_pg_members(pool, result, few,
                                        NGX_HTTP_ASYNC_PG_FEW, &n);
    if (members == NULL) {
        return NGX_ERROR;
    }

    for (rc = NGX_OK; row < last && rc == NGX_OK; row++) {

        rc = ngx_http_async_pg_write_row(o, result, members, n, (int) row);

        if (rc == NGX_OK && row + 1 < last) {
            rc = ngx_http_async_json_write_word(&o->out, ",", 1);
        }
    }

    if (members != few) {
        (void) ngx_pfree(pool, members);
    }

    return rc;
}


static ngx_int_t
ngx_http_async_pg_write_row(ngx_http_async_pg_out_t *o, PGresult *result,
    ngx_http_async_pg_member_t *members, ngx_uint_t n, int row)
{
    ngx_int_t                    rc;
    ngx_str_t                    text;
    ngx_http_async_pg_member_t  *m;

    if (ngx_http_async_json_reserve(&o->out, 3) != NGX_OK) {
        return NGX_ERROR;
    }

    *o->out.pos++ = '{';

    for (m = members; m < members + n; m++) {

        rc = ngx_http_async_pg_write_key(o, m, m != members);
        if (rc != NGX_OK) {
            return rc;
        }

        text.len = PQgetlength(result, row, m->column);

        if (text.len == 0 && PQgetisnull(result, row, m->column)) {
            rc = ngx_http_async_json_write_word(&o->out, "null", 4);

        } else {
            text.data = (u_char *) PQgetvalue(result, row, m->column);
            rc = ngx_http_async_pg_write(o, m->type, &text);
        }

        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (ngx_http_async_json_reserve(&o->out, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    *o->out.pos++ = '}';

    return NGX_OK;
}


/* from the second row on a copy of what the first one has */

static ngx_int_t
ngx_http_async_pg_write_key(ngx_http_async_pg_out_t *o,
    ngx_http_async_pg_member_t *m, ngx_uint_t comma)
{
    size_t     start;
    ngx_int_t  rc;

    if (ngx_http_async_json_reserve(&o->out, m->key_len + 1) != NGX_OK) {
        return NGX_ERROR;
    }

    if (m->key_len) {
        o->out.pos = ngx_cpymem(o->out.pos, o->out.start + m->key, m->key_len);
        return NGX_OK;
    }

    start = o->out.pos - o->out.start;

    if (comma) {
        *o->out.pos++ = ',';
    }

    rc = ngx_http_async_json_write_string(&o->out, m->name, m->len);

    if (rc == NGX_OK) {
        *o->out.pos++ = ':';

        m->key = start;
        m->key_len = o->out.pos - o->out.start - start;
    }

    return rc;
}


json_t *
ngx_http_async_pg_rows_tree(ngx_pool_t *pool, PGresult *result, size_t row,
    u_char *error)
{
    size_t                       i, rows;
    json_t                      *value, *list;
    ngx_str_t                    none;
    ngx_uint_t                   n;
    ngx_http_async_pg_out_t      o;
    ngx_http_async_pg_member_t  *members, few[NGX_HTTP_ASYNC_PG_FEW];

    rows = PQntuples(result);

    if (row != NGX_HTTP_ASYNC_PG_ALL && row >= rows) {
        return json_null();
    }

    members = ngx_http_async_pg_members(pool, result, few,
                                        NGX_HTTP_ASYNC_PG_FEW, &n);
    if (members == NULL) {
        return ngx_http_async_pg_tree_error(error, NULL, NULL, 0);
    }

    ngx_http_async_pg_out(&o, pool);

    if (row != NGX_HTTP_ASYNC_PG_ALL) {
        list = ngx_http_async_pg_row_tree(&o, result, members, n, (int) row,
                                          error);
        goto done;
    }

    list = json_array();

    if (list == NULL) {
        (void) ngx_http_async_pg_tree_error(error, NULL, NULL, 0);
    }

    for (i = 0; list && i < rows; i++) {
        value = ngx_http_async_pg_row_tree(&o, result, members, n, (int) i,
                                           error);

        if (value && json_array_append_new(list, value) != 0) {
            value = ngx_http_async_pg_tree_error(error, NULL, NULL, 0);
        }

        if (value == NULL) {
            json_decref(list);
            list = NULL;
        }
    }

done:

    (void) ngx_http_async_pg_out_done(&o, NGX_DECLINED, &none);

    if (members != few) {
        (void) ngx_pfree(pool, members);
    }

    return list;
}


static json_t *
ngx_http_async_pg_row_tree(ngx_http_async_pg_out_t *o, PGresult *result,
    ngx_http_async_pg_member_t *members, ngx_uint_t n, int row, u_char *error)
{
    json_t                      *object, *value;
    ngx_str_t                    text;
    ngx_http_async_pg_member_t  *m;

    object = json_object();
    if (object == NULL) {
        return ngx_http_async_pg_tree_error(error, NULL, NULL, 0);
    }

    for (m = members; m < members + n; m++) {

        text.len = PQgetlength(result, row, m->column);
        text.data = (u_char *) PQgetvalue(result, row, m->column);

        value = (text.len == 0 && PQgetisnull(result, row, m->column))
                ? json_null() : ngx_http_async_pg_tree(o, m->type, &text);

        if (value == NULL) {
            json_decref(object);
            return ngx_http_async_pg_tree_error(error, o->out.error, m->name,
                                                row);
        }

        if (json_object_setn_new_nocheck(object, m->name, m->len, value) != 0)
        {
            json_decref(object);
            return ngx_http_async_pg_tree_error(error, NULL, NULL, 0);
        }
    }

    return object;
}


static json_t *
ngx_http_async_pg_tree_error(u_char *error, const char *why,
    const char *column, int row)
{
    u_char  *last;

    last = error + NGX_HTTP_ASYNC_PG_ERROR_LEN - 1;

    *(why ? ngx_slprintf(error, last, "\"%s\" of row %d: %s", column, row, why)
          : ngx_slprintf(error, last, "no memory")) = '\0';

    return NULL;
}
