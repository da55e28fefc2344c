
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
static ngx_uint_t ngx_http_async_pg_sql_lone(u_char *text);
static void ngx_http_async_pg_sql_init(void);
static void ngx_http_async_pg_sql_spare(void);


/*
 * Mostly the SQL is a string of the program: its address finds it without a
 * hash of the text, which is compared only.
 */

#define NGX_HTTP_ASYNC_PG_PLACES  256

#define ngx_http_async_pg_place(text, named)                                 \
    &ngx_http_async_pg_places[((uintptr_t) (text) >> 3 ^ (named))             \
                              % NGX_HTTP_ASYNC_PG_PLACES]


/* of this worker */
static ngx_http_async_pg_sql_t
                         *ngx_http_async_pg_places[NGX_HTTP_ASYNC_PG_PLACES];
static ngx_rbtree_t       ngx_http_async_pg_sqls;
static ngx_rbtree_node_t  ngx_http_async_pg_sql_sentinel;
static ngx_queue_t        ngx_http_async_pg_sql_queue;
static ngx_uint_t         ngx_http_async_pg_nsqls;
static ngx_uint_t         ngx_http_async_pg_sql_id;


ngx_http_async_pg_sql_t *
ngx_http_async_pg_sql(const char *text, ngx_uint_t named, u_char *error,
    size_t size)
{
    size_t                     len;
    uint32_t                   hash;
    ngx_http_async_pg_sql_t   *sql, **place;

    if (ngx_http_async_pg_sql_id == 0) {
        ngx_http_async_pg_sql_init();
    }

    place = ngx_http_async_pg_place(text, named);
    sql = *place;

    if (sql && sql->statement.named == named
        && ngx_strcmp(sql->text.data, text) == 0)
    {
        ngx_queue_remove(&sql->queue);
        ngx_queue_insert_head(&ngx_http_async_pg_sql_queue, &sql->queue);
        sql->uses++;

        return sql;
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

    if (sql->place) {
        *sql->place = NULL;
    }

    if (*place) {
        (*place)->place = NULL;
    }

    *place = sql;
    sql->place = place;

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
        sql->lone = !sql->leaves && ngx_http_async_pg_sql_lone((u_char *) text);
        return sql;
    }

    (void) ngx_cpystrn(error, (u_char *) why, size);

    if (pool) {
        ngx_destroy_pool(pool);
    }

    return NULL;
}


/*
 * Those that begin so leave the connection and its session as they were; others
 * may open a transaction, or copy, or set something.
 */

static ngx_uint_t
ngx_http_async_pg_sql_lone(u_char *text)
{
    size_t       len;
    ngx_uint_t   i;

    static ngx_str_t  words[] = {
        ngx_string("select"),
        ngx_string("insert"),
        ngx_string("update"),
        ngx_string("delete"),
        ngx_string("with"),
        ngx_string("values"),
        ngx_string("merge"),
        ngx_string("table")
    };

    text += strspn((char *) text, " \t\r\n\f(");
    len = strcspn((char *) text, " \t\r\n\f(*;'\"-/");

    for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (len == words[i].len
            && ngx_strncasecmp(text, words[i].data, len) == 0)
        {
            return 1;
        }
    }

    return 0;
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

        if (sql->place) {
            *sql->place = NULL;
        }

        ngx_destroy_pool(sql->pool);
    }
}
