
/*
 * Copyright (C) the nginx-async authors
 *
 * What a connection has prepared: see ngx_http_async_pg_query.h.
 */

#include <ngx_http_async_pg_query.h>


static ngx_int_t ngx_http_async_pg_prepared_compare(
    ngx_http_async_pg_prepared_t *one, ngx_uint_t id, size_t size,
    const Oid *types);
static void ngx_http_async_pg_close_last(ngx_http_async_pg_conn_t *conn);
static void ngx_http_async_pg_prepared_insert(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel);


ngx_http_async_pg_prepared_t *
ngx_http_async_pg_prepared(ngx_http_async_pg_conn_t *conn,
    ngx_http_async_pg_query_t *query)
{
    ngx_int_t                      rc;
    ngx_rbtree_node_t             *node;
    ngx_http_async_pg_prepared_t  *prepared;

    node = conn->statements.root;

    while (node != &conn->sentinel) {

        prepared = (ngx_http_async_pg_prepared_t *) node;

        rc = ngx_http_async_pg_prepared_compare(prepared, query->sql->id,
                                                query->size,
                                                query->params.types);
        if (rc == 0) {
            ngx_queue_remove(&prepared->queue);
            ngx_queue_insert_head(&conn->used_last, &prepared->queue);

            return prepared;
        }

        node = (rc > 0) ? node->left : node->right;
    }

    return NULL;
}


static ngx_int_t
ngx_http_async_pg_prepared_compare(ngx_http_async_pg_prepared_t *one,
    ngx_uint_t id, size_t size, const Oid *types)
{
    if (one->node.key != id) {
        return (one->node.key > id) ? 1 : -1;
    }

    if (one->size != size) {
        return (one->size > size) ? 1 : -1;
    }

    return size ? ngx_memcmp(one->types, types, size) : 0;
}


static void
ngx_http_async_pg_prepared_insert(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel)
{
    ngx_rbtree_node_t             **p;
    ngx_http_async_pg_prepared_t   *prepared;

    prepared = (ngx_http_async_pg_prepared_t *) node;

    for ( ;; ) {
        p = (ngx_http_async_pg_prepared_compare(
                 (ngx_http_async_pg_prepared_t *) temp, node->key,
                 prepared->size, prepared->types) > 0)
            ? &temp->left : &temp->right;

        if (*p == sentinel) {
            break;
        }

        temp = *p;
    }

    *p = node;

    node->parent = temp;
    node->left = sentinel;
    node->right = sentinel;
    ngx_rbt_red(node);
}


void
ngx_http_async_pg_make_room(ngx_http_async_pg_conn_t *conn)
{
    while (conn->nstatements && conn->nstatements >= conn->pool->statements) {
        ngx_http_async_pg_close_last(conn);
    }
}


void
ngx_http_async_pg_close_all(ngx_http_async_pg_conn_t *conn)
{
    while (conn->nstatements) {
        ngx_http_async_pg_close_last(conn);
    }
}


static void
ngx_http_async_pg_close_last(ngx_http_async_pg_conn_t *conn)
{
    ngx_queue_t  *q;

    q = ngx_queue_last(&conn->used_last);

    ngx_http_async_pg_close_prepared(conn,
                     ngx_queue_data(q, ngx_http_async_pg_prepared_t, queue));
}


ngx_http_async_pg_prepared_t *
ngx_http_async_pg_prepare(ngx_http_async_pg_conn_t *conn,
    ngx_http_async_pg_query_t *query)
{
    ngx_http_async_pg_prepared_t  *prepared;

    ngx_http_async_pg_make_room(conn);

    prepared = ngx_calloc(sizeof(ngx_http_async_pg_prepared_t) + query->size,
                          ngx_cycle->log);
    if (prepared == NULL) {
        return NULL;
    }

    prepared->node.key = query->sql->id;
    prepared->size = query->size;

    if (query->size) {
        ngx_memcpy(prepared->types, query->params.types, query->size);
    }

    prepared->number = ++conn->named;

    /*
     * Behind a PgBouncer, connections of many workers share those of the
     * server: it must not take a statement of one for that of another.
     */

    *ngx_sprintf((u_char *) prepared->name, "async_%016xL_%ui", conn->tag,
                 prepared->number)
        = '\0';

    ngx_rbtree_insert(&conn->statements, &prepared->node);
    ngx_queue_insert_head(&conn->used_last, &prepared->queue);
    conn->nstatements++;

    return prepared;
}


void
ngx_http_async_pg_confirm(ngx_http_async_pg_conn_t *conn,
    ngx_http_async_pg_prepared_t *prepared, ngx_uint_t ok)
{
    prepared->sure = ok;

    /* one that is closed may be on its way already */

    if (!ok && !prepared->closed) {
        ngx_http_async_pg_drop_prepared(conn, prepared);
    }
}


void
ngx_http_async_pg_close_prepared(ngx_http_async_pg_conn_t *conn,
    ngx_http_async_pg_prepared_t *prepared)
{
    ngx_rbtree_delete(&conn->statements, &prepared->node);
    ngx_queue_remove(&prepared->queue);
    conn->nstatements--;

    prepared->closed = 1;

    ngx_queue_insert_tail(&conn->closed, &prepared->queue);
    conn->nclosed++;
}


void
ngx_http_async_pg_drop_prepared(ngx_http_async_pg_conn_t *conn,
    ngx_http_async_pg_prepared_t *prepared)
{
    if (!prepared->closed) {
        ngx_http_async_pg_close_prepared(conn, prepared);
    }

    ngx_queue_remove(&prepared->queue);
    conn->nclosed--;

    ngx_free(prepared);
}


ngx_int_t
ngx_http_async_pg_tidy(ngx_http_async_pg_conn_t *conn)
{
    char                           sql[sizeof("DEALLOCATE ")
                                       + NGX_HTTP_ASYNC_PG_NAME_LEN];
    ngx_int_t                      n;
    ngx_queue_t                   *q;
    ngx_http_async_pg_prepared_t  *prepared;

    n = 0;

    for (q = ngx_queue_head(&conn->closed);
         q != ngx_queue_sentinel(&conn->closed);
         q = ngx_queue_next(q))
    {
        prepared = ngx_queue_data(q, ngx_http_async_pg_prepared_t, queue);

        *ngx_sprintf((u_char *) sql, "DEALLOCATE %s", prepared->name) = '\0';

        if (!PQsendQueryParams(conn->pg, sql, 0, NULL, NULL, NULL, NULL, 0)) {
            return -1;
        }

        n++;
    }

    return PQpipelineSync(conn->pg) ? n : -1;
}


void
ngx_http_async_pg_tidied(ngx_http_async_pg_conn_t *conn, PGresult *result)
{
    ngx_queue_t                   *q;
    ngx_http_async_pg_prepared_t  *prepared;

    q = ngx_queue_head(&conn->closed);
    prepared = ngx_queue_data(q, ngx_http_async_pg_prepared_t, queue);

    if (PQresultStatus(result) != PGRES_PIPELINE_ABORTED) {
        /* it is gone, or never was there */
        ngx_http_async_pg_drop_prepared(conn, prepared);
        return;
    }

    /* one before it was not there: the next time */

    ngx_queue_remove(q);
    ngx_queue_insert_tail(&conn->closed, q);
}


void
ngx_http_async_pg_forget_statements(ngx_http_async_pg_conn_t *conn)
{
    ngx_queue_t                   *q;
    ngx_http_async_pg_prepared_t  *prepared;

    if (conn->statements.insert == NULL) {
        ngx_rbtree_init(&conn->statements, &conn->sentinel,
                        ngx_http_async_pg_prepared_insert);
        ngx_queue_init(&conn->used_last);
        ngx_queue_init(&conn->closed);
    }

    while (conn->nstatements + conn->nclosed) {

        q = ngx_queue_head(conn->nclosed ? &conn->closed : &conn->used_last);
        prepared = ngx_queue_data(q, ngx_http_async_pg_prepared_t, queue);

        ngx_http_async_pg_drop_prepared(conn, prepared);
    }
}


ngx_http_async_pg_prepared_t *
ngx_http_async_pg_doubtful(ngx_http_async_pg_conn_t *conn)
{
    ngx_queue_t                   *q;
    ngx_http_async_pg_prepared_t  *prepared;

    for (q = ngx_queue_head(&conn->used_last);
         q != ngx_queue_sentinel(&conn->used_last);
         q = ngx_queue_next(q))
    {
        prepared = ngx_queue_data(q, ngx_http_async_pg_prepared_t, queue);

        if (!prepared->sure) {
            return prepared;
        }
    }

    return NULL;
}
