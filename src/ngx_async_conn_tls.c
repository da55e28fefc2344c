
/*
 * Copyright (C) the nginx-async authors
 *
 * TLS of connections to others, see ngx_async_conn.h.  OpenSSL runs on the
 * loop's stack.
 */

#include <ngx_async_conn.h>


#if (NGX_SSL)


typedef struct {
    ngx_connection_t         *connection;
    ngx_ssl_t                *ssl;
    ngx_str_t                *host;
    ngx_int_t                 rc;
} ngx_async_conn_tls_t;


/* What has become of the handshake, and of all: memory of the connection. */

typedef struct {
    unsigned long             error;        /* of OpenSSL; 0: none */
    ngx_err_t                 err;          /* of the kernel */
    int                       alert;        /* the fatal one that has come */
} ngx_async_conn_tls_note_t;


static async_rc_t ngx_async_conn_tls_host(ngx_async_task_t *t,
    ngx_async_conn_t *c, ngx_str_t *host);
static void ngx_async_conn_tls_on_loop(void *data);
static void ngx_async_conn_tls_info(const SSL *ssl, int where, int ret);
static void ngx_async_conn_tls_handler(ngx_connection_t *c);
static async_rc_t ngx_async_conn_tls_check(ngx_async_task_t *t,
    ngx_async_conn_t *c, ngx_str_t *host, ngx_uint_t verify);
static ngx_int_t ngx_async_conn_tls_name(ngx_connection_t *c,
    ngx_str_t *host);
static async_rc_t ngx_async_conn_tls_failed(ngx_async_task_t *t,
    ngx_async_conn_t *c);
static size_t ngx_async_conn_tls_address(ngx_str_t *host, u_char *bytes);


async_rc_t
ngx_async_conn_tls(ngx_async_task_t *t, ngx_async_conn_t *c, ngx_ssl_t *ssl,
    ngx_str_t *host, ngx_uint_t verify, ngx_msec_t timeout)
{
    ngx_str_t             name;
    async_rc_t            rc;
    ngx_async_conn_tls_t  tls;

    name = *host;

    rc = ngx_async_conn_tls_host(t, c, &name);

    if (rc != ASYNC_OK) {
        return rc;
    }

    tls.connection = c->connection;
    tls.ssl = ssl;
    tls.host = &name;

    ngx_async_on_loop(ngx_async_conn_tls_on_loop, &tls);

    if (tls.rc == NGX_AGAIN) {
        c->connection->ssl->handler = ngx_async_conn_tls_handler;

        rc = ngx_async_conn_wait(t, c, NGX_ASYNC_CONN_READ, timeout,
                                 "TLS handshake with");

        if (rc != ASYNC_OK) {
            return rc;
        }
    }

    return ngx_async_conn_tls_check(t, c, &name, verify);
}


/* RFC 6066, 3: "without a trailing dot", and so it is in certificates. */

static async_rc_t
ngx_async_conn_tls_host(ngx_async_task_t *t, ngx_async_conn_t *c,
    ngx_str_t *host)
{
    if (host->len && host->data[host->len - 1] == '.') {
        host->len--;
    }

    if (host->len && host->len <= TLSEXT_MAXLEN_host_name) {
        return ASYNC_OK;
    }

    return ngx_async_because(t, ASYNC_CAUSE_TLS,
                             ngx_async_set_error(t, ASYNC_ERROR,
                                       "TLS handshake with %s: the name of the "
                                       "server has %uz bytes, %d are allowed",
                                       c->name, host->len,
                                       TLSEXT_MAXLEN_host_name));
}


static void
ngx_async_conn_tls_on_loop(void *data)
{
    ngx_async_conn_tls_t  *tls = data;

    char                        name[TLSEXT_MAXLEN_host_name + 1];
    u_char                      address[16];
    ngx_connection_t           *c;
    ngx_async_conn_tls_note_t  *note;

    c = tls->connection;
    tls->rc = NGX_ERROR;

    if (c->pool == NULL) {
        c->pool = ngx_create_pool(512, ngx_cycle->log);
        if (c->pool == NULL) {
            return;
        }
    }

    note = ngx_pcalloc(c->pool, sizeof(ngx_async_conn_tls_note_t));
    if (note == NULL) {
        return;
    }

    if (ngx_ssl_create_connection(tls->ssl, c, NGX_SSL_BUFFER|NGX_SSL_CLIENT)
        != NGX_OK)
    {
        return;
    }

    c->sendfile = 0;

    /* nginx writes to the log why it fails, but tells nobody */

    if (SSL_set_app_data(c->ssl->connection, note) == 1) {
        SSL_set_info_callback(c->ssl->connection, ngx_async_conn_tls_info);
    }

    /* no addresses, RFC 6066, 3 */

    if (ngx_async_conn_tls_address(tls->host, address) == 0) {
        *ngx_cpymem(name, tls->host->data, tls->host->len) = '\0';

        if (SSL_set_tlsext_host_name(c->ssl->connection, name) == 0) {
            ngx_ssl_error(NGX_LOG_ERR, c->log, 0,
                          "SSL_set_tlsext_host_name(\"%s\") failed", name);
            return;
        }
    }

    tls->rc = ngx_ssl_handshake(c);
}


/* nginx's own is about handshakes of servers. */

static void
ngx_async_conn_tls_info(const SSL *ssl, int where, int ret)
{
    ngx_async_conn_tls_note_t  *note;

    note = SSL_get_app_data(ssl);

    if (where == SSL_CB_CONNECT_EXIT && ret <= 0) {
        note->err = ngx_socket_errno;
        note->error = ERR_peek_error();

    } else if (where == SSL_CB_READ_ALERT && (ret >> 8) == SSL3_AL_FATAL) {
        note->alert = ret;
    }
}


static void
ngx_async_conn_tls_handler(ngx_connection_t *c)
{
    ngx_async_conn_t  *conn;

    conn = c->data;

    /* those of nginx would go on when the same event is told once more */
    ngx_async_conn_hook(conn);

    (void) ngx_async_wake(&conn->reader, ASYNC_OK);
}


static async_rc_t
ngx_async_conn_tls_check(ngx_async_task_t *t, ngx_async_conn_t *c,
    ngx_str_t *host, ngx_uint_t verify)
{
    long               rc;
    ngx_connection_t  *connection;

    connection = c->connection;

    if (connection->ssl == NULL || !connection->ssl->handshaked) {
        return ngx_async_conn_tls_failed(t, c);
    }

#ifdef SSL_OP_IGNORE_UNEXPECTED_EOF
    /* nginx says so for its clients; here the end may be that of a response */
    SSL_clear_options(connection->ssl->connection,
                      SSL_OP_IGNORE_UNEXPECTED_EOF);
#endif

    if (!verify) {
        return ASYNC_OK;
    }

    rc = SSL_get_verify_result(connection->ssl->connection);

    if (rc != X509_V_OK) {
        return ngx_async_because(t, ASYNC_CAUSE_TLS,
                             ngx_async_set_error(t, ASYNC_ERROR,
                                       "the certificate of %s: %s", c->name,
                                       X509_verify_cert_error_string(rc)));
    }

    if (ngx_async_conn_tls_name(connection, host) != NGX_OK) {
        return ngx_async_because(t, ASYNC_CAUSE_TLS,
                             ngx_async_set_error(t, ASYNC_ERROR,
                                       "the certificate of %s is not one of "
                                       "\"%V\"", c->name, host));
    }

    return ASYNC_OK;
}


static async_rc_t
ngx_async_conn_tls_failed(ngx_async_task_t *t, ngx_async_conn_t *c)
{
    const char                 *why;
    ngx_async_conn_tls_note_t  *note;

    note = c->connection->ssl
           ? SSL_get_app_data(c->connection->ssl->connection) : NULL;

    if (note == NULL) {
        why = "no memory";

    } else if (note->error) {
        why = ERR_reason_error_string(note->error);

    } else if (note->err && note->err != NGX_EAGAIN) {
        why = strerror(note->err);

    } else {
        why = "it has closed the connection";
    }

    return ngx_async_because(t, ASYNC_CAUSE_TLS,
                             ngx_async_set_error(t, ASYNC_ERROR,
                                       "TLS handshake with %s: %s", c->name,
                                       why ? why : "it has failed"));
}


const char *
ngx_async_conn_tls_alert(ngx_connection_t *c)
{
    ngx_async_conn_tls_note_t  *note;

    note = c->ssl ? SSL_get_app_data(c->ssl->connection) : NULL;

    return (note && note->alert) ? SSL_alert_desc_string_long(note->alert)
                                 : NULL;
}


/* nginx compares names only; an address is one of its own kind (RFC 6125) */

static ngx_int_t
ngx_async_conn_tls_name(ngx_connection_t *c, ngx_str_t *host)
{
    int      rc;
    X509    *cert;
    size_t   len;
    u_char   address[16];

    len = ngx_async_conn_tls_address(host, address);

    if (len == 0) {
        return ngx_ssl_check_host(c, host);
    }

    cert = SSL_get_peer_certificate(c->ssl->connection);

    if (cert == NULL) {
        return NGX_ERROR;
    }

    rc = X509_check_ip(cert, address, len, 0);

    X509_free(cert);

    return (rc == 1) ? NGX_OK : NGX_ERROR;
}


/* How many bytes of an address it is; 0: a name. */

static size_t
ngx_async_conn_tls_address(ngx_str_t *host, u_char *bytes)
{
    in_addr_t  addr;

    addr = ngx_inet_addr(host->data, host->len);

    if (addr != INADDR_NONE) {
        ngx_memcpy(bytes, &addr, sizeof(in_addr_t));
        return sizeof(in_addr_t);
    }

#if (NGX_HAVE_INET6)
    if (ngx_inet6_addr(host->data, host->len, bytes) == NGX_OK) {
        return 16;
    }
#endif

    return 0;
}


#endif
