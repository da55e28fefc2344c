
/*
 * Copyright (C) the nginx-async authors
 *
 * Transactions: a task has the connection from begin to commit or rollback.
 * One inside of another is a savepoint.
 */

#include <ngx_http_async_pg_hold.h>


#define NGX_HTTP_ASYNC_PG_FLAGS                                              \
    (ASYNC_PG_REPEATABLE_READ|ASYNC_PG_SERIALIZABLE|ASYNC_PG_READ_ONLY       \
     |ASYNC_PG_DEFERRABLE)


static void ngx_http_async_pg_tx_abandon(ngx_async_task_t *t,
    const char *name, ngx_uint_t depth);
static async_rc_t ngx_http_async_pg_tx_open(ngx_async_task_t *t,
    ngx_http_async_pg_pool_t *pool, unsigned flags);
static async_rc_t ngx_http_async_pg_tx_end(ngx_async_task_t *t,
    ngx_http_async_pg_tx_t *tx, ngx_uint_t commit);
static void ngx_http_async_pg_tx_ended(ngx_async_task_t *t,
    ngx_http_async_pg_tx_t *tx);
static async_rc_t ngx_http_async_pg_tx_execute(ngx_async_task_t *t,
    ngx_http_async_pg_tx_t *tx, const char *sql, char *tag, size_t size);
static void ngx_http_async_pg_tx_close(ngx_async_task_t *t,
    ngx_http_async_pg_tx_t *tx);


async_rc_t
await_pg_begin_at(async_t *co, const char *site, const char *name,
    unsigned flags)
{
    char                       sql[sizeof("SAVEPOINT async_") + NGX_INT_T_LEN];
    async_rc_t                 rc;
    ngx_http_async_pg_tx_t    *tx;
    ngx_http_async_pg_pool_t  *pool;

    rc = ngx_http_async_pg_enter(co, "await_pg_begin", site, name, &pool);

    if (rc != ASYNC_OK) {
        return rc;
    }

    if (flags & ~NGX_HTTP_ASYNC_PG_FLAGS) {
        return ngx_async_set_error(co, ASYNC_ERROR, "await_pg_begin() does not "
                                   "know the flags %ui", (ngx_uint_t) flags);
    }

    tx = ngx_http_async_pg_tx(co, pool);

    if (tx == NULL) {
        return ngx_http_async_pg_tx_open(co, pool, flags);
    }

    if (flags) {
        return ngx_async_set_error(co, ASYNC_ERROR, "database \"%V\": a "
                                   "transaction is open, and its savepoint has "
                                   "no flags", &pool->name);
    }

    *ngx_sprintf((u_char *) sql, "SAVEPOINT async_%ui", tx->depth) = '\0';

    rc = ngx_http_async_pg_tx_execute(co, tx, sql, NULL, 0);

    if (rc == ASYNC_OK) {
        tx->depth++;
    }

    return rc;
}


async_rc_t
await_pg_commit_at(async_t *co, const char *site, const char *name)
{
    async_rc_t                 rc;
    ngx_http_async_pg_pool_t  *pool;

    rc = ngx_http_async_pg_enter(co, "await_pg_commit", site, name, &pool);

    return (rc == ASYNC_OK)
           ? ngx_http_async_pg_tx_end(co, ngx_http_async_pg_tx(co, pool), 1)
           : rc;
}


async_rc_t
await_pg_rollback_at(async_t *co, const char *site, const char *name)
{
    async_rc_t                 rc;
    ngx_http_async_pg_pool_t  *pool;

    rc = ngx_http_async_pg_enter(co, "await_pg_rollback", site, name, &pool);

    return (rc == ASYNC_OK)
           ? ngx_http_async_pg_tx_end(co, ngx_http_async_pg_tx(co, pool), 0)
           : rc;
}


async_rc_t
await_pg_transaction_at(async_t *co, const char *site, const char *name,
    unsigned flags, async_fn_pt fn, void *arg)
{
    async_rc_t               rc;
    ngx_uint_t               depth;
    ngx_http_async_pg_tx_t  *tx;

    rc = await_pg_begin_at(co, site, name, flags);

    if (rc != ASYNC_OK) {
        return rc;
    }

    depth = ngx_http_async_pg_tx(co, ngx_http_async_pg_pool(name))->depth;

    rc = ngx_async_call(co, fn, arg);

    if (rc == ASYNC_OK) {
        tx = ngx_http_async_pg_tx(co, ngx_http_async_pg_pool(name));

        rc = (tx == NULL || tx->depth == depth)
             ? await_pg_commit_at(co, site, name)
             : ngx_async_set_error(co, ASYNC_ERROR, "database \"%s\": "
                                   "await_pg_transaction() cannot commit, "
                                   "since its function has %s", name,
                                   tx->depth > depth
                                   ? "left another transaction open"
                                   : "ended it");
    }

    if (rc != ASYNC_OK) {
        ngx_http_async_pg_tx_abandon(co, name, depth);
    }

    return rc;
}


/*
 * That of this depth, and what is open inside of it.  The cause stays that of
 * the function that has failed, or of its commit.
 */

static void
ngx_http_async_pg_tx_abandon(ngx_async_task_t *t, const char *name,
    ngx_uint_t depth)
{
    int                        cause;
    u_char                     error[NGX_ASYNC_ERROR_LEN];
    PGresult                  *failed;
    ngx_http_async_pg_tx_t    *tx;
    ngx_http_async_pg_task_t  *pg;

    pg = t->pg;
    tx = ngx_http_async_pg_tx(t, ngx_http_async_pg_pool(name));

    if (tx == NULL || tx->depth < depth) {
        /* it has ended it itself */
        return;
    }

    tx->depth = depth;

    cause = t->cause;
    failed = pg->failed;
    pg->failed = NULL;
    ngx_memcpy(error, t->error, NGX_ASYNC_ERROR_LEN);

    if (depth <= 1) {
        ngx_http_async_pg_tx_close(t, tx);

    } else if (t->reason != NGX_ASYNC_KEEP
               || ngx_http_async_pg_tx_end(t, tx, 0) != ASYNC_OK)
    {
        /* those outside are lost with it, and have to end, too */
        ngx_http_async_pg_tx_lose(tx);
        tx->depth = depth - 1;
    }

    PQclear(pg->failed);
    pg->failed = failed;
    t->cause = cause;
    ngx_memcpy(t->error, error, NGX_ASYNC_ERROR_LEN);
}


static async_rc_t
ngx_http_async_pg_tx_open(ngx_async_task_t *t, ngx_http_async_pg_pool_t *pool,
    unsigned flags)
{
    char                       sql[128];
    async_rc_t                 rc;
    ngx_http_async_pg_tx_t    *tx;
    ngx_http_async_pg_task_t  *pg;

    *ngx_sprintf((u_char *) sql, "BEGIN%s%s%s",
                 (flags & ASYNC_PG_SERIALIZABLE)
                     ? " ISOLATION LEVEL SERIALIZABLE"
                 : (flags & ASYNC_PG_REPEATABLE_READ)
                     ? " ISOLATION LEVEL REPEATABLE READ" : "",
                 (flags & ASYNC_PG_READ_ONLY) ? " READ ONLY" : "",
                 (flags & ASYNC_PG_DEFERRABLE) ? " DEFERRABLE" : "")
        = '\0';

    pg = ngx_http_async_pg_task(t);
    tx = pg ? ngx_calloc(sizeof(ngx_http_async_pg_tx_t), t->log) : NULL;

    if (tx == NULL) {
        return ngx_async_set_error(t, ASYNC_ERROR, "no memory");
    }

    tx->pool = pool;
    tx->depth = 1;

    rc = ngx_http_async_pg_acquire(t, pool, 0, &tx->conn);

    if (rc == ASYNC_OK) {
        tx->next = pg->transactions;
        pg->transactions = tx;

        rc = ngx_http_async_pg_tx_execute(t, tx, sql, NULL, 0);

        if (rc != ASYNC_OK) {
            ngx_http_async_pg_tx_close(t, tx);
        }

        return rc;
    }

    ngx_free(tx);

    return rc;
}


static async_rc_t
ngx_http_async_pg_tx_end(ngx_async_task_t *t, ngx_http_async_pg_tx_t *tx,
    ngx_uint_t commit)
{
    char        sql[sizeof("ROLLBACK TO SAVEPOINT async_; RELEASE async_")
                    + 2 * NGX_INT_T_LEN];
    char        tag[16];
    async_rc_t  rc;

    if (tx == NULL) {
        return ngx_async_set_error(t, ASYNC_ERROR, "there is no transaction");
    }

    if (tx->held) {
        rc = commit ? ngx_http_async_pg_tx_lost(t, tx)
                    : ngx_http_async_pg_hold_stop(t, tx->held);

        if (rc == ASYNC_BUSY) {
            return rc;
        }

        if (rc != ASYNC_OK) {
            /* a rollback, which the end of the connection is, too */
            ngx_http_async_pg_tx_ended(t, tx);
            return rc;
        }
    }

    if (tx->depth > 1) {
        *ngx_sprintf((u_char *) sql, commit ? "RELEASE SAVEPOINT async_%ui"
                     : "ROLLBACK TO SAVEPOINT async_%ui;"
                       " RELEASE SAVEPOINT async_%ui", tx->depth - 1,
                     tx->depth - 1)
            = '\0';

        rc = ngx_http_async_pg_tx_execute(t, tx, sql, NULL, 0);

        if (rc == ASYNC_OK || !commit) {
            tx->depth--;
        }

        return rc;
    }

    tag[0] = '\0';

    rc = (tx->conn == NULL && !commit)
         ? ASYNC_OK
         : ngx_http_async_pg_tx_execute(t, tx, commit ? "COMMIT" : "ROLLBACK",
                                        tag, sizeof(tag));

    ngx_http_async_pg_tx_close(t, tx);

    if (rc == ASYNC_OK && commit && ngx_strcmp(tag, "COMMIT") != 0) {
        return ngx_async_set_error(t, ASYNC_ERROR, "the transaction was rolled "
                                   "back, since a statement of it had failed");
    }

    return rc;
}


/* The innermost one, whose connection is lost. */

static void
ngx_http_async_pg_tx_ended(ngx_async_task_t *t, ngx_http_async_pg_tx_t *tx)
{
    if (tx->depth > 1) {
        tx->depth--;

    } else {
        ngx_http_async_pg_tx_close(t, tx);
    }
}


static async_rc_t
ngx_http_async_pg_tx_execute(ngx_async_task_t *t, ngx_http_async_pg_tx_t *tx,
    const char *sql, char *tag, size_t size)
{
    async_rc_t  rc;

    if (tx->conn == NULL) {
        return ngx_http_async_pg_tx_lost(t, tx);
    }

    rc = ngx_http_async_pg_execute(t, tx->conn, sql, tag, size);

    if (tx->conn->doomed
        || PQtransactionStatus(tx->conn->pg) == PQTRANS_ACTIVE)
    {
        ngx_http_async_pg_tx_lose(tx);
    }

    return rc;
}


/* It is over, one way or the other. */

static void
ngx_http_async_pg_tx_close(ngx_async_task_t *t, ngx_http_async_pg_tx_t *tx)
{
    ngx_http_async_pg_tx_t    **p;
    ngx_http_async_pg_task_t   *pg;

    pg = t->pg;

    for (p = &pg->transactions; *p != tx; p = &(*p)->next) { /* void */ }

    *p = tx->next;

    ngx_http_async_pg_tx_lose(tx);
    ngx_free(tx);
}


ngx_http_async_pg_tx_t *
ngx_http_async_pg_tx(ngx_async_task_t *t, ngx_http_async_pg_pool_t *pool)
{
    ngx_http_async_pg_tx_t    *tx;
    ngx_http_async_pg_task_t  *pg;

    pg = t->pg;

    for (tx = pg ? pg->transactions : NULL; tx; tx = tx->next) {
        if (tx->pool == pool) {
            return tx;
        }
    }

    return NULL;
}


void
ngx_http_async_pg_tx_lose(ngx_http_async_pg_tx_t *tx)
{
    if (tx->held) {
        ngx_http_async_pg_hold_revoke(tx->held);
    }

    if (tx->conn) {
        ngx_http_async_pg_release(tx->conn);
        tx->conn = NULL;
    }
}


async_rc_t
ngx_http_async_pg_tx_lost(ngx_async_task_t *t, ngx_http_async_pg_tx_t *tx)
{
    if (tx->held) {
        return ngx_async_set_error(t, ASYNC_BUSY, "database \"%V\": a stream "
                                   "or a COPY of the transaction is open; read "
                                   "it to its end, or close it",
                                   &tx->pool->name);
    }

    return ngx_async_set_error(t, ASYNC_ERROR, "database \"%V\": the "
                               "transaction is lost, since a statement of it "
                               "was broken off; only a rollback is possible",
                               &tx->pool->name);
}
