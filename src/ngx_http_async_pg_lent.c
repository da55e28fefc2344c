
/*
 * Copyright (C) the nginx-async authors
 *
 * JSON that results of PostgreSQL lend: see ngx_http_async_pg_lent.h.
 */

#include <ngx_http_async_pg_lent.h>


json_t **
ngx_http_async_pg_lent(ngx_http_async_pg_lent_t *lent, PGresult *result,
    size_t row, int column)
{
    if (lent->columns == NULL) {
        lent->columns = ngx_pcalloc(lent->pool,
                                    PQnfields(result) * sizeof(json_t **));
        if (lent->columns == NULL) {
            return NULL;
        }
    }

    if (lent->columns[column] == NULL) {
        lent->columns[column] = ngx_pcalloc(lent->pool,
                                        PQntuples(result) * sizeof(json_t *));
        if (lent->columns[column] == NULL) {
            return NULL;
        }
    }

    return &lent->columns[column][row];
}


void
ngx_http_async_pg_lent_end(ngx_http_async_pg_lent_t *lent, PGresult *result)
{
    int  i, row;

    if (lent->columns == NULL) {
        return;
    }

    for (i = 0; i < PQnfields(result); i++) {

        if (lent->columns[i] == NULL) {
            continue;
        }

        for (row = 0; row < PQntuples(result); row++) {
            json_decref(lent->columns[i][row]);
        }

        (void) ngx_pfree(lent->pool, lent->columns[i]);
    }

    (void) ngx_pfree(lent->pool, lent->columns);
    lent->columns = NULL;
}
