
/*
 * Copyright (C) the nginx-async authors
 *
 * Figures of routes for the status: a row each, and one for what fits none,
 * which the router answers itself.
 */

#include <ngx_http_async_route.h>


typedef struct {
    ngx_http_async_route_t     *route;
    ngx_http_core_srv_conf_t   *server;
    ngx_str_t                   name;
} ngx_http_async_route_row_t;


static ngx_int_t ngx_http_async_route_rows(ngx_conf_t *cf, ngx_array_t *rows);
static ngx_int_t ngx_http_async_route_name(ngx_conf_t *cf,
    ngx_http_async_route_row_t *row);
static ngx_uint_t ngx_http_async_route_named(ngx_array_t *rows,
    ngx_str_t *name);
static ngx_int_t ngx_http_async_route_distinct(ngx_conf_t *cf,
    ngx_array_t *rows, ngx_http_async_route_row_t *row, ngx_str_t *name);


static const ngx_async_stats_field_t  ngx_http_async_route_fields[] = {
    { NGX_HTTP_ASYNC_ROUTE_REQUESTS, "requests", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "Requests that have come" },
    { NGX_HTTP_ASYNC_ROUTE_ALIVE, "alive", NGX_ASYNC_STATS_GAUGE,
      NGX_ASYNC_STATS_NUMBER, "Requests whose handler has not ended" },
    { NGX_HTTP_ASYNC_ROUTE_1XX, "responses_1xx", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "WebSockets that were accepted and have ended" },
    { NGX_HTTP_ASYNC_ROUTE_2XX, "responses_2xx", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "Responses of success" },
    { NGX_HTTP_ASYNC_ROUTE_3XX, "responses_3xx", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "Responses that lead elsewhere" },
    { NGX_HTTP_ASYNC_ROUTE_4XX, "responses_4xx", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "Responses that refuse the request" },
    { NGX_HTTP_ASYNC_ROUTE_5XX, "responses_5xx", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "Responses of failure" },
    { NGX_HTTP_ASYNC_ROUTE_NONE, "unanswered", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER,
      "Requests whose client had gone, or that nginx has answered itself" },
    { NGX_HTTP_ASYNC_ROUTE_TIME, "time", NGX_ASYNC_STATS_HISTOGRAM,
      NGX_ASYNC_STATS_USEC,
      "How long handlers have run, with what they await" },
    { 0, NULL, 0, 0, NULL }
};

const ngx_async_stats_family_t  ngx_http_async_route_family = {
    "route", "route", ngx_http_async_route_fields
};


/* of this worker */
ngx_async_stats_t  *ngx_http_async_no_route = &ngx_async_stats_nowhere;


ngx_int_t
ngx_http_async_route_stats(ngx_conf_t *cf, ngx_http_async_main_conf_t *mcf)
{
    ngx_str_t                    name;
    ngx_uint_t                   i;
    ngx_array_t                  rows;
    ngx_http_async_route_row_t  *row;

    static ngx_str_t  none = ngx_string("no route");

    if (mcf->stats.zone == NULL) {
        return NGX_OK;
    }

    if (ngx_array_init(&rows, cf->temp_pool, 32,
                       sizeof(ngx_http_async_route_row_t))
        != NGX_OK
        || ngx_http_async_route_rows(cf, &rows) != NGX_OK)
    {
        return NGX_ERROR;
    }

    row = rows.elts;

    for (i = 0; i < rows.nelts; i++) {

        if (ngx_http_async_route_distinct(cf, &rows, &row[i], &name) != NGX_OK
            || ngx_async_stats_add(cf, &mcf->stats, &row[i].route->ref->stats,
                                   &ngx_http_async_route_family, &name)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return ngx_async_stats_add(cf, &mcf->stats, &mcf->no_route,
                               &ngx_http_async_route_family, &none);
}


/* Those of all servers, as they are written. */

static ngx_int_t
ngx_http_async_route_rows(ngx_conf_t *cf, ngx_array_t *rows)
{
    ngx_uint_t                   i, j;
    ngx_http_async_route_t      *route;
    ngx_http_core_srv_conf_t   **server;
    ngx_http_core_main_conf_t   *cmcf;
    ngx_http_async_srv_conf_t   *conf;
    ngx_http_async_route_row_t  *row;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    server = cmcf->servers.elts;

    for (i = 0; i < cmcf->servers.nelts; i++) {

        conf = server[i]->ctx->srv_conf[ngx_http_async_module.ctx_index];
        route = conf->routes.elts;

        for (j = 0; j < conf->routes.nelts; j++) {
            row = ngx_array_push(rows);

            if (row == NULL) {
                return NGX_ERROR;
            }

            row->route = &route[j];
            row->server = server[i];

            if (ngx_http_async_route_name(cf, row) != NGX_OK) {
                return NGX_ERROR;
            }
        }
    }

    return NGX_OK;
}


/* "GET /items/{id}", or "location /items/" with a handler for all of it */

static ngx_int_t
ngx_http_async_route_name(ngx_conf_t *cf, ngx_http_async_route_row_t *row)
{
    size_t                     len;
    const char                *how;
    ngx_http_async_route_t    *route;
    ngx_http_core_loc_conf_t  *clcf;

    route = row->route;
    clcf = route->location;

    len = sizeof("location = ") + route->method.len + route->pattern.len
          + clcf->name.len;

    row->name.data = ngx_pnalloc(cf->pool, len);
    if (row->name.data == NULL) {
        return NGX_ERROR;
    }

    if (route->pattern.data) {
        row->name.len = ngx_sprintf(row->name.data, "%V %V%Z", &route->method,
                                    &route->pattern)
                        - row->name.data - 1;
        return NGX_OK;
    }

    how = clcf->exact_match ? "= " : "";

#if (NGX_PCRE)
    if (clcf->regex) {
        how = "~ ";
    }
#endif

    row->name.len = ngx_sprintf(row->name.data, "location %s%V%Z", how,
                                &clcf->name)
                    - row->name.data - 1;

    return NGX_OK;
}


/* How many have the name. */

static ngx_uint_t
ngx_http_async_route_named(ngx_array_t *rows, ngx_str_t *name)
{
    ngx_uint_t                   i, n;
    ngx_http_async_route_row_t  *row;

    row = rows->elts;

    for (i = 0, n = 0; i < rows->nelts; i++) {
        n += (row[i].name.len == name->len
              && ngx_memcmp(row[i].name.data, name->data, name->len) == 0);
    }

    return n;
}


/* With the server where another one has the same, else with its place. */

static ngx_int_t
ngx_http_async_route_distinct(ngx_conf_t *cf, ngx_array_t *rows,
    ngx_http_async_route_row_t *row, ngx_str_t *name)
{
    size_t                       len;
    u_char                      *p;
    ngx_str_t                   *server;
    ngx_uint_t                   i, n;
    ngx_http_async_ref_t        *ref;
    ngx_http_async_route_row_t  *other;

    *name = row->name;

    if (ngx_http_async_route_named(rows, name) < 2) {
        return NGX_OK;
    }

    server = &row->server->server_name;
    other = rows->elts;
    n = 0;

    for (i = 0; i < rows->nelts; i++) {
        n += (other[i].name.len == name->len
              && ngx_memcmp(other[i].name.data, name->data, name->len) == 0
              && other[i].server->server_name.len == server->len
              && ngx_memcmp(other[i].server->server_name.data, server->data,
                            server->len) == 0);
    }

    ref = row->route->ref;

    len = name->len + server->len + ngx_strlen(ref->file) + NGX_INT_T_LEN
          + sizeof(" (:)");

    p = ngx_pnalloc(cf->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    name->data = p;

    p = (n == 1 && server->len)
        ? ngx_sprintf(p, "%V (%V)%Z", &row->name, server)
        : ngx_sprintf(p, "%V (%s:%ui)%Z", &row->name, ref->file, ref->line);

    name->len = p - name->data - 1;

    return NGX_OK;
}


void
ngx_http_async_route_init(ngx_http_async_main_conf_t *mcf)
{
    ngx_http_async_no_route = mcf->no_route.values ? &mcf->no_route
                                                   : &ngx_async_stats_nowhere;
}
