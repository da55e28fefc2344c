
/*
 * Copyright (C) the nginx-async authors
 *
 * What libpq is told: the conninfo of async_pg, its password, the environment,
 * service files.  The master checks what it can know; each worker puts it
 * together when it starts, so that no connection reads it again.
 */

#include <ngx_http_async_pg_pool.h>
#include <ngx_async_near.h>


/*
 * libpq puts all options together, checks them one by one, and connects.  An
 * option that is none of its values stops it before the latter.
 */
#define NGX_HTTP_ASYNC_PG_STOP     "async_pg"

/* of the options that it has, which are about 40 */
#define NGX_HTTP_ASYNC_PG_KEYWORDS  80

/* what is read of a file with a password */
#define NGX_HTTP_ASYNC_PG_PASSWORD  4096


static char *ngx_http_async_pg_check(ngx_conf_t *cf,
    ngx_http_async_pg_pool_t *pool, PQconninfoOption *given);
static char *ngx_http_async_pg_ours(ngx_http_async_pg_pool_t *pool,
    PQconninfoOption *given);
static ngx_uint_t ngx_http_async_pg_numbers(const char *list, ngx_int_t min,
    ngx_int_t max);
static char *ngx_http_async_pg_unknown(ngx_conf_t *cf,
    ngx_http_async_pg_pool_t *pool, char *error);
static char *ngx_http_async_pg_bare(ngx_conf_t *cf,
    ngx_http_async_pg_pool_t *pool, PQconninfoOption *given);
static PGconn *ngx_http_async_pg_stop_at(PQconninfoOption *given,
    const char *keyword);
static PQconninfoOption *ngx_http_async_pg_whole(PQconninfoOption *given,
    u_char *why, size_t size);
static const char *ngx_http_async_pg_value(PQconninfoOption *options,
    const char *keyword);
static void ngx_http_async_pg_set(PQconninfoOption *options,
    const char *keyword, const char *value, ngx_uint_t weak);
static void ngx_http_async_pg_clear(PQconninfoOption *options,
    const char *keyword);
static char *ngx_http_async_pg_read(ngx_conf_t *cf, ngx_str_t *path,
    ngx_fd_t fd, ngx_str_t *password);


/* those that libpq reads as numbers when it connects */

static const char  *ngx_http_async_pg_number_options[] = {
    "connect_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
    NULL
};


char *
ngx_http_async_pg_conninfo(ngx_conf_t *cf, ngx_http_async_pg_pool_t *pool)
{
    char              *error, *rv;
    PQconninfoOption  *given;

    error = NULL;
    given = PQconninfoParse((char *) pool->conninfo.data, &error);

    if (given == NULL) {
        rv = ngx_http_async_pg_unknown(cf, pool, error);
        PQfreemem(error);
        return rv;
    }

    rv = ngx_http_async_pg_check(cf, pool, given);

    PQconninfoFree(given);

    return rv;
}


static char *
ngx_http_async_pg_check(ngx_conf_t *cf, ngx_http_async_pg_pool_t *pool,
    PQconninfoOption *given)
{
    char         *why;
    ngx_uint_t    i;
    const char   *value;

    why = ngx_http_async_pg_ours(pool, given);

    if (why) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "async_pg %V: %s",
                           &pool->name, why);
        return NGX_CONF_ERROR;
    }

    for (i = 0; ngx_http_async_pg_number_options[i]; i++) {
        value = ngx_http_async_pg_value(given,
                                        ngx_http_async_pg_number_options[i]);

        if (value && (ngx_strchr(value, ',')
                      || !ngx_http_async_pg_numbers(value,
                              -(ngx_int_t) NGX_MAX_INT32_VALUE,
                              NGX_MAX_INT32_VALUE)))
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "async_pg %V: \"%s\" takes a number",
                               &pool->name,
                               ngx_http_async_pg_number_options[i]);
            return NGX_CONF_ERROR;
        }
    }

    return ngx_http_async_pg_bare(cf, pool, given);
}


/* What does not fit the pool, or what libpq would get wrong inside nginx. */

static char *
ngx_http_async_pg_ours(ngx_http_async_pg_pool_t *pool, PQconninfoOption *given)
{
    const char  *value;

    if (pool->password.data && ngx_http_async_pg_value(given, "password")) {
        return "there is a password in the conninfo already";
    }

    if (pool->connect_timeout != NGX_CONF_UNSET_MSEC
        && ngx_http_async_pg_value(given, "connect_timeout"))
    {
        return "\"connect_timeout\" is in the conninfo already";
    }

    value = ngx_http_async_pg_value(given, "gssencmode");

    if (value && ngx_strcmp(value, "disable") != 0) {
        return "\"gssencmode\" can only be \"disable\": GSSAPI would block "
               "the worker";
    }

    value = ngx_http_async_pg_value(given, "client_encoding");

    if (value && ngx_strcasecmp((u_char *) value, (u_char *) "UTF8") != 0
        && ngx_strcasecmp((u_char *) value, (u_char *) "UTF-8") != 0)
    {
        return "\"client_encoding\" is always UTF8";
    }

    if (ngx_http_async_pg_value(given, "replication")) {
        return "\"replication\" is not for pools";
    }

    value = ngx_http_async_pg_value(given, "target_session_attrs");

    if (value && ngx_strcmp(value, "any") != 0
        && ngx_strcmp(value, "read-write") != 0
        && ngx_strcmp(value, "read-only") != 0
        && ngx_strcmp(value, "primary") != 0
        && ngx_strcmp(value, "standby") != 0
        && ngx_strcmp(value, "prefer-standby") != 0)
    {
        return "\"target_session_attrs\" takes \"any\", \"read-write\", "
               "\"read-only\", \"primary\", \"standby\" or \"prefer-standby\"";
    }

    value = ngx_http_async_pg_value(given, "port");

    if (value && !ngx_http_async_pg_numbers(value, 1, 65535)) {
        return "\"port\" takes numbers from 1 to 65535";
    }

    return NULL;
}


/* A list of them; an item may be empty, which leaves it to libpq. */

static ngx_uint_t
ngx_http_async_pg_numbers(const char *list, ngx_int_t min, ngx_int_t max)
{
    size_t      len, sign;
    ngx_int_t   n;

    for ( ;; ) {
        len = strcspn(list, ",");
        sign = (len && *list == '-');

        if (len) {
            n = ngx_atoi((u_char *) list + sign, len - sign);

            if (n == NGX_ERROR || (sign ? -n : n) < min || n > max) {
                return 0;
            }
        }

        if (list[len] == '\0') {
            return 1;
        }

        list += len + 1;
    }
}


/* What libpq says of a text that it cannot take apart. */

static char *
ngx_http_async_pg_unknown(ngx_conf_t *cf, ngx_http_async_pg_pool_t *pool,
    char *error)
{
    size_t             len;
    ngx_str_t          word, *names;
    ngx_uint_t         n;
    const ngx_str_t   *near;
    PQconninfoOption  *known, *o;

    near = NULL;
    known = NULL;

    if (error == NULL) {
        error = "no memory";
    }

    /* 'invalid connection option "x"', 'invalid URI query parameter: "x"' */

    word.data = (u_char *) ngx_strchr(error, '"');

    if (word.data && ngx_strncmp(error, "invalid ", 8) == 0) {
        word.data++;
        word.len = strcspn((char *) word.data, "\"");

        known = PQconndefaults();
    }

    if (known) {
        for (n = 0, o = known; o->keyword; o++) {
            n++;
        }

        names = ngx_palloc(cf->temp_pool, n * sizeof(ngx_str_t));

        for (n = 0, o = known; names && o->keyword; o++) {
            names[n].data = (u_char *) o->keyword;
            names[n++].len = ngx_strlen(o->keyword);
        }

        near = names ? ngx_async_near(&word, names, n) : NULL;
    }

    len = strcspn(error, CRLF);

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "async_pg %V: %*s%s%V%s",
                       &pool->name, len, error,
                       near ? "; did you mean \"" : "",
                       near ? near : &(ngx_str_t) ngx_null_string,
                       near ? "\"?" : "");

    PQconninfoFree(known);

    return NGX_CONF_ERROR;
}


/*
 * The conninfo by itself, as libpq sees it: what it leaves out may be in the
 * environment that workers will have, which is not known yet, or in a file of
 * services, which their user reads.
 */

static char *
ngx_http_async_pg_bare(ngx_conf_t *cf, ngx_http_async_pg_pool_t *pool,
    PQconninfoOption *given)
{
    char         **env, *none[1];
    PGconn        *pg;
    const char    *error;

    if (ngx_http_async_pg_value(given, "service")) {
        return NGX_CONF_OK;
    }

    if (ngx_http_async_pg_value(given, "host") == NULL
        && ngx_http_async_pg_value(given, "hostaddr") == NULL)
    {
        /* those of hosts that are not known */
        ngx_http_async_pg_clear(given, "port");
    }

    none[0] = NULL;
    env = environ;
    environ = none;

    pg = ngx_http_async_pg_stop_at(given, "target_session_attrs");

    environ = env;

    error = pg ? PQerrorMessage(pg) : "no memory";

    if (ngx_strstr(error, "\"" NGX_HTTP_ASYNC_PG_STOP "\"")) {
        PQfinish(pg);
        return NGX_CONF_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "async_pg %V: %*s", &pool->name,
                       strcspn(error, CRLF), error);
    PQfinish(pg);

    return NGX_CONF_ERROR;
}


static PGconn *
ngx_http_async_pg_stop_at(PQconninfoOption *given, const char *keyword)
{
    ngx_uint_t         n;
    const char        *keywords[NGX_HTTP_ASYNC_PG_KEYWORDS];
    const char        *values[NGX_HTTP_ASYNC_PG_KEYWORDS];
    PQconninfoOption  *o;

    n = 0;

    for (o = given; o->keyword; o++) {
        if (o->val && n < NGX_HTTP_ASYNC_PG_KEYWORDS - 2) {
            keywords[n] = o->keyword;
            values[n++] = o->val;
        }
    }

    /* of two the last one counts */

    keywords[n] = keyword;
    values[n++] = NGX_HTTP_ASYNC_PG_STOP;

    keywords[n] = NULL;
    values[n] = NULL;

    return PQconnectStartParams(keywords, values, 0);
}


PQconninfoOption *
ngx_http_async_pg_options(ngx_http_async_pg_pool_t *pool)
{
    char              *error;
    ngx_int_t          n;
    const char        *value;
    PQconninfoOption  *given, *options;

    given = PQconninfoParse((char *) pool->conninfo.data, &error);

    if (given == NULL) {
        /* it was checked: this is memory */
        (void) ngx_cpystrn(pool->why, (u_char *) "no memory",
                           sizeof(pool->why));
        PQfreemem(error);
        return NULL;
    }

    if (pool->password.data) {
        ngx_http_async_pg_set(given, "password", (char *) pool->password.data,
                              0);
    }

    /* what libpq would get wrong inside nginx: Kerberos may call out */

    ngx_http_async_pg_set(given, "gssencmode", "disable", 0);
    ngx_http_async_pg_set(given, "client_encoding", "UTF8", 0);

    options = ngx_http_async_pg_whole(given, pool->why, sizeof(pool->why));

    PQconninfoFree(given);

    if (options == NULL) {
        return NULL;
    }

    /* of libpq 16 */
    ngx_http_async_pg_set(options, "require_auth", "!gss,!sspi", 1);

    ngx_http_async_pg_set(options, "fallback_application_name", "nginx-async",
                          1);

    if (pool->connect_timeout == NGX_CONF_UNSET_MSEC) {
        value = ngx_http_async_pg_value(options, "connect_timeout");
        n = value ? atoi(value) : NGX_HTTP_ASYNC_PG_CONNECT / 1000;

        /* zero and less: as long as it takes */
        pool->connect_timeout = (n > 0) ? (ngx_msec_t) n * 1000
                                        : (ngx_msec_t) NGX_ASYNC_TIME_MAX;
    }

    return options;
}


/*
 * With what the environment, a service and libpq itself have for what is not
 * given.  NULL: *why.
 */

static PQconninfoOption *
ngx_http_async_pg_whole(PQconninfoOption *given, u_char *why, size_t size)
{
    PGconn            *pg, *other;
    const char        *error, *attrs;
    PQconninfoOption  *options, *rest;

    pg = ngx_http_async_pg_stop_at(given, "target_session_attrs");

    /* which are not those of the first */
    other = ngx_http_async_pg_stop_at(given, "sslmode");

    options = PQconninfo(pg);
    rest = PQconninfo(other);

    error = (options && rest) ? PQerrorMessage(pg) : "no memory";

    if (options == NULL || rest == NULL
        || ngx_strstr(error, "\"" NGX_HTTP_ASYNC_PG_STOP "\"") == NULL)
    {
        (void) ngx_cpystrn(why, (u_char *) error,
                           ngx_min(size, strcspn(error, CRLF) + 1));
        PQconninfoFree(options);
        options = NULL;

    } else {
        attrs = ngx_http_async_pg_value(rest, "target_session_attrs");

        ngx_http_async_pg_clear(options, "target_session_attrs");
        ngx_http_async_pg_set(options, "target_session_attrs",
                              attrs ? attrs : "any", 0);
    }

    PQconninfoFree(rest);
    PQfinish(other);
    PQfinish(pg);

    return options;
}


/* NULL and empty are the same to libpq. */

static const char *
ngx_http_async_pg_value(PQconninfoOption *options, const char *keyword)
{
    PQconninfoOption  *o;

    for (o = options; o->keyword; o++) {
        if (ngx_strcmp(o->keyword, keyword) == 0) {
            return (o->val && *o->val) ? o->val : NULL;
        }
    }

    return NULL;
}


/* weak: if there is none */

static void
ngx_http_async_pg_set(PQconninfoOption *options, const char *keyword,
    const char *value, ngx_uint_t weak)
{
    PQconninfoOption  *o;

    for (o = options; o->keyword; o++) {

        if (ngx_strcmp(o->keyword, keyword) == 0 && !(weak && o->val)) {
            /* PQconninfoFree() frees it */
            free(o->val);
            o->val = strdup(value);
            return;
        }
    }
}


static void
ngx_http_async_pg_clear(PQconninfoOption *options, const char *keyword)
{
    PQconninfoOption  *o;

    for (o = options; o->keyword; o++) {
        if (ngx_strcmp(o->keyword, keyword) == 0) {
            free(o->val);
            o->val = NULL;
        }
    }
}


char *
ngx_http_async_pg_password_env(ngx_conf_t *cf, ngx_str_t *name,
    ngx_str_t *password)
{
    char  *value;

    value = getenv((char *) name->data);

    if (value == NULL || *value == '\0') {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"password_env\": the "
                           "environment has no \"%V\"", name);
        return NGX_CONF_ERROR;
    }

    password->len = ngx_strlen(value);
    password->data = ngx_pnalloc(cf->pool, password->len + 1);

    if (password->data == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memcpy(password->data, value, password->len + 1);

    return NGX_CONF_OK;
}


char *
ngx_http_async_pg_password_file(ngx_conf_t *cf, ngx_str_t *path,
    ngx_str_t *password)
{
    char             *rv;
    ngx_fd_t          fd;
    ngx_file_info_t   fi;

    if (ngx_conf_full_name(cf->cycle, path, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    /* without waiting for who writes into a pipe */
    fd = ngx_open_file(path->data, NGX_FILE_RDONLY|O_NONBLOCK, NGX_FILE_OPEN,
                       0);
    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_file_n " \"%V\" failed", path);
        return NGX_CONF_ERROR;
    }

    rv = NGX_CONF_ERROR;

    if (ngx_fd_info(fd, &fi) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_fd_info_n " \"%V\" failed", path);

    } else if (!ngx_is_file(&fi)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is not a regular file", path);

    } else {
        if (ngx_file_access(&fi) & 07) {
            ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                               "the password in \"%V\" is open to every user "
                               "of the machine", path);
        }

        rv = ngx_http_async_pg_read(cf, path, fd, password);
    }

    if (ngx_close_file(fd) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_ALERT, cf, ngx_errno,
                           ngx_close_file_n " \"%V\" failed", path);
    }

    return rv;
}


/* The first line. */

static char *
ngx_http_async_pg_read(ngx_conf_t *cf, ngx_str_t *path, ngx_fd_t fd,
    ngx_str_t *password)
{
    u_char    buf[NGX_HTTP_ASYNC_PG_PASSWORD + 1];
    size_t    len;
    ssize_t   n;

    len = 0;

    do {
        n = ngx_read_fd(fd, buf + len, NGX_HTTP_ASYNC_PG_PASSWORD - len);

        if (n == NGX_FILE_ERROR) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                               ngx_read_fd_n " \"%V\" failed", path);
            return NGX_CONF_ERROR;
        }

        len += n;

    } while (n && len < NGX_HTTP_ASYNC_PG_PASSWORD);

    buf[len] = '\0';
    n = strcspn((char *) buf, CRLF);

    if (n == 0 || (buf[n] == '\0' && (size_t) n < len)
        || n == NGX_HTTP_ASYNC_PG_PASSWORD)
    {
        ngx_explicit_memzero(buf, sizeof(buf));
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the first line of \"%V\" is no password: it is "
                           "empty, too long, or has a zero in it", path);
        return NGX_CONF_ERROR;
    }

    password->len = n;
    password->data = ngx_pnalloc(cf->pool, n + 1);

    if (password->data) {
        (void) ngx_cpystrn(password->data, buf, n + 1);
    }

    ngx_explicit_memzero(buf, sizeof(buf));

    return password->data ? NGX_CONF_OK : NGX_CONF_ERROR;
}
