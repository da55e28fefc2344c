
/*
 * Copyright (C) the nginx-async authors
 *
 * Texts of statements: see ngx_http_async_pg_sql.h.
 */

#include <ngx_http_async_pg_sql.h>


/* An app has some hundreds; one that makes its SQL itself has any number. */
#define NGX_HTTP_ASYNC_PG_TEXTS  2000


static ngx_http_async_pg_sql_t *ngx_http_async_pg_sql_find(const char *text,
    size_t len, ngx_uint_t named, uint32_t hash);
static ngx_http_async_pg_sql_t *ngx_http_async_pg_sql_new(const char *text,
    size_t len, ngx_uint_t named, u_char *error, size_t size);
static void ngx_http_async_pg_sql_init(void);
static void ngx_http_async_pg_sql_spare(void);


/* of this worker */
static ngx_rbtree_t       ngx_http_async_pg_sqls;
static ngx_rbtree_node_t  ngx_http_async_pg_sql_sentinel;
static ngx_queue_t        ngx_http_async_pg_sql_queue;
static ngx_uint_t         ngx_http_async_pg_nsqls;
static ngx_uint_t         ngx_http_async_pg_sql_id;


ngx_http_async_pg_sql_t *
ngx_http_async_pg_sql(const char *text, ngx_uint_t named, u_char *error,
    size_t size)
{
    size_t                    len;
    uint32_t                  hash;
    ngx_http_async_pg_sql_t  *sql;

    if (ngx_http_async_pg_sql_id == 0) {
        ngx_http_async_pg_sql_init();
    }

    len = ngx_strlen(text);
    hash = ngx_murmur_hash2((u_char *) text, len);

    sql = ngx_http_async_pg_sql_find(text, len, named, hash);

    if (sql) {
        ngx_queue_remove(&sql->queue);

    } else {
        sql = ngx_http_async_pg_sql_new(text, len, named, error, size);

        if (sql == NULL) {
            return NULL;
        }

        sql->node.key = hash;

        ngx_rbtree_insert(&ngx_http_async_pg_sqls, &sql->node);
        ngx_http_async_pg_nsqls++;
    }

    ngx_queue_insert_head(&ngx_http_async_pg_sql_queue, &sql->queue);
    sql->uses++;

    ngx_http_async_pg_sql_spare();

    return sql;
}


static void
ngx_http_async_pg_sql_init(void)
{
    ngx_rbtree_init(&ngx_http_async_pg_sqls, &ngx_http_async_pg_sql_sentinel,
                    ngx_rbtree_insert_value);
    ngx_queue_init(&ngx_http_async_pg_sql_queue);

    ngx_http_async_pg_sql_id = 1;
}


static ngx_http_async_pg_sql_t *
ngx_http_async_pg_sql_find(const char *text, size_t len, ngx_uint_t named,
    uint32_t hash)
{
    ngx_rbtree_node_t        *node;
    ngx_http_async_pg_sql_t  *sql;

    node = ngx_http_async_pg_sqls.root;

    /* equal keys stand to the right of each other */

    while (node != &ngx_http_async_pg_sql_sentinel) {

        if (hash != node->key) {
            node = (hash < node->key) ? node->left : node->right;
            continue;
        }

        sql = (ngx_http_async_pg_sql_t *) node;

        if (sql->text.len == len && sql->statement.named == named
            && ngx_memcmp(sql->text.data, text, len) == 0)
        {
            return sql;
        }

        node = node->right;
    }

    return NULL;
}


static ngx_http_async_pg_sql_t *
ngx_http_async_pg_sql_new(const char *text, size_t len, ngx_uint_t named,
    u_char *error, size_t size)
{
    ngx_int_t                 rc;
    ngx_pool_t               *pool;
    const char               *why;
    ngx_http_async_pg_sql_t  *sql;

    why = "no memory";
    sql = NULL;
    rc = NGX_ERROR;

    pool = ngx_create_pool(512, ngx_cycle->log);

    if (pool) {
        sql = ngx_pcalloc(pool, sizeof(ngx_http_async_pg_sql_t));
    }

    if (sql) {
        sql->pool = pool;
        sql->id = ngx_http_async_pg_sql_id++;
        sql->text.len = len;
        sql->text.data = ngx_pnalloc(pool, len + 1);
    }

    if (sql && sql->text.data) {
        ngx_memcpy(sql->text.data, text, len + 1);

        rc = ngx_http_async_pg_statement(pool, (char *) sql->text.data, named,
                                         &sql->statement, &why);
    }

    if (rc == NGX_OK) {
        sql->leaves = ngx_http_async_pg_leaves(text);
        return sql;
    }

    (void) ngx_cpystrn(error, (u_char *) why, size);

    if (pool) {
        ngx_destroy_pool(pool);
    }

    return NULL;
}


void
ngx_http_async_pg_sql_done(ngx_http_async_pg_sql_t *sql)
{
    sql->uses--;
}


static void
ngx_http_async_pg_sql_spare(void)
{
    ngx_queue_t              *q;
    ngx_http_async_pg_sql_t  *sql;

    while (ngx_http_async_pg_nsqls > NGX_HTTP_ASYNC_PG_TEXTS) {

        q = ngx_queue_last(&ngx_http_async_pg_sql_queue);
        sql = ngx_queue_data(q, ngx_http_async_pg_sql_t, queue);

        if (sql->uses) {
            return;
        }

        ngx_queue_remove(q);
        ngx_rbtree_delete(&ngx_http_async_pg_sqls, &sql->node);
        ngx_http_async_pg_nsqls--;

        ngx_destroy_pool(sql->pool);
    }
}
