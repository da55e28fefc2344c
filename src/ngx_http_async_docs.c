
/*
 * Copyright (C) the nginx-async authors
 *
 * The directive async_docs.  A page is a file that the assembler puts into the
 * module; one that is compressed is sent so to who takes it.  What it has to
 * know it asks for by the query "settings".
 */

#include <ngx_http_async_docs.h>
#include <ngx_http_async_response.h>
#include <ngx_async_near.h>
#include <zlib.h>


/* the bytes of a file, as name[] up to name_end[] */

#define NGX_HTTP_ASYNC_DOCS_EMBED(name, path)                                \
    __asm__(".pushsection .rodata, \"a\"\n"                                  \
            ".balign 16\n"                                                   \
            ".globl " #name "\n"                                             \
            ".hidden " #name "\n"                                            \
            #name ":\n"                                                      \
            ".incbin \"" path "\"\n"                                         \
            ".globl " #name "_end\n"                                         \
            ".hidden " #name "_end\n"                                        \
            #name "_end:\n"                                                  \
            ".byte 0\n"                                                      \
            ".popsection\n");                                                \
    extern u_char  name[] __attribute__((visibility("hidden")));             \
    extern u_char  name##_end[] __attribute__((visibility("hidden")))


struct ngx_http_async_docs_page_s {
    ngx_str_t                name;
    u_char                  *start;
    u_char                  *end;

    /* of this worker: as it lies there, and uncompressed */
    ngx_http_async_doc_t     packed;
    ngx_http_async_doc_t     plain;
};


static ngx_int_t ngx_http_async_docs_settings(ngx_http_request_t *r,
    ngx_http_async_docs_conf_t *conf);
static ngx_int_t ngx_http_async_docs_pack(ngx_http_async_docs_page_t *page);
static ngx_int_t ngx_http_async_docs_unpack(ngx_http_async_docs_page_t *page);
static ngx_uint_t ngx_http_async_docs_gzip(ngx_http_request_t *r);
static char *ngx_http_async_docs_arg(ngx_conf_t *cf,
    ngx_http_async_docs_conf_t *conf, ngx_str_t *arg);
static char *ngx_http_async_docs_page(ngx_conf_t *cf,
    ngx_http_async_docs_conf_t *conf, ngx_str_t *name);


NGX_HTTP_ASYNC_DOCS_EMBED(ngx_http_async_docs_own, NGX_HTTP_ASYNC_DOCS_PAGE);

#ifdef NGX_HTTP_ASYNC_DOCS_SWAGGER
NGX_HTTP_ASYNC_DOCS_EMBED(ngx_http_async_docs_swagger,
                          NGX_HTTP_ASYNC_DOCS_SWAGGER);
#endif


/* the first is the default */

static ngx_http_async_docs_page_t  ngx_http_async_docs_pages[] = {

#ifdef NGX_HTTP_ASYNC_DOCS_SWAGGER
    { ngx_string("swagger"), ngx_http_async_docs_swagger,
      ngx_http_async_docs_swagger_end,
      { ngx_null_string, ngx_null_string, ngx_null_string },
      { ngx_null_string, ngx_null_string, ngx_null_string } },
#endif

    { ngx_string("plain"), ngx_http_async_docs_own,
      ngx_http_async_docs_own_end,
      { ngx_null_string, ngx_null_string, ngx_null_string },
      { ngx_null_string, ngx_null_string, ngx_null_string } },

    { ngx_null_string, NULL, NULL,
      { ngx_null_string, ngx_null_string, ngx_null_string },
      { ngx_null_string, ngx_null_string, ngx_null_string } }
};


static ngx_str_t  ngx_http_async_docs_args[] = {
    ngx_string("openapi="), ngx_string("page=")
};

static ngx_str_t  ngx_http_async_docs_html =
    ngx_string("text/html; charset=utf-8");
static ngx_str_t  ngx_http_async_docs_json = ngx_string("application/json");

static ngx_keyval_t  ngx_http_async_docs_none[] = {
    { ngx_null_string, ngx_null_string }
};

/* nothing of another host, whatever is in the document */

static ngx_keyval_t  ngx_http_async_docs_headers[] = {
    { ngx_string("Vary"), ngx_string("Accept-Encoding") },
    { ngx_string("Content-Security-Policy"),
      ngx_string("default-src 'none'; script-src 'unsafe-inline'; "
                 "style-src 'unsafe-inline'; img-src data: blob:; "
                 "font-src data:; connect-src 'self'; base-uri 'none'; "
                 "form-action 'none'; frame-ancestors 'self'") },
    { ngx_string("X-Content-Type-Options"), ngx_string("nosniff") },
    { ngx_null_string, ngx_null_string }
};


ngx_int_t
ngx_http_async_docs_handler(ngx_http_request_t *r)
{
    ngx_http_async_doc_t        *doc;
    ngx_http_async_loc_conf_t   *lcf;
    ngx_http_async_docs_page_t  *page;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_async_module);
    page = lcf->docs->page;

    if (r->args.len == sizeof("settings") - 1
        && ngx_strncmp(r->args.data, "settings", r->args.len) == 0)
    {
        if (ngx_http_async_docs_settings(r, lcf->docs) != NGX_OK) {
            goto failed;
        }

        return ngx_http_async_doc_send(r, &lcf->docs->settings,
                                       &ngx_http_async_docs_json,
                                       ngx_http_async_docs_none);
    }

    if (page->packed.etag.data == NULL
        && ngx_http_async_docs_pack(page) != NGX_OK)
    {
        goto failed;
    }

    doc = &page->packed;

    if (doc->coding.data && !ngx_http_async_docs_gzip(r)) {
        doc = &page->plain;

        if (doc->etag.data == NULL
            && ngx_http_async_docs_unpack(page) != NGX_OK)
        {
            goto failed;
        }
    }

    return ngx_http_async_doc_send(r, doc, &ngx_http_async_docs_html,
                                   ngx_http_async_docs_headers);

failed:

    return ngx_http_async_send_error(r, lcf, NGX_HTTP_INTERNAL_SERVER_ERROR,
                                     NULL);
}


static ngx_int_t
ngx_http_async_docs_settings(ngx_http_request_t *r,
    ngx_http_async_docs_conf_t *conf)
{
    json_t      *settings;
    ngx_int_t    rc;
    ngx_str_t   *openapi, text;
    ngx_uint_t   depth;
    const char  *error;

    static ngx_str_t  usual = ngx_string("/openapi.json");

    if (conf->settings.etag.data) {
        return NGX_OK;
    }

    openapi = conf->openapi.data ? &conf->openapi
              : conf->server->openapi.data ? &conf->server->openapi
              : &usual;

    settings = json_pack("{s:s%}", "openapi", openapi->data, openapi->len);

    rc = ngx_http_async_json_encode(conf->pool, settings, &text, &depth,
                                    &error);
    json_decref(settings);

    if (rc != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "the settings of \"async_docs\" could not be made: %s",
                      error);
        return NGX_ERROR;
    }

    conf->settings.text = text;

    return ngx_http_async_doc_etag(&conf->settings, conf->pool);
}


static ngx_int_t
ngx_http_async_docs_pack(ngx_http_async_docs_page_t *page)
{
    page->packed.text.data = page->start;
    page->packed.text.len = page->end - page->start;

    /* RFC 1952, 2.3.1 */

    if (page->packed.text.len > 18
        && page->start[0] == 0x1f && page->start[1] == 0x8b)
    {
        ngx_str_set(&page->packed.coding, "gzip");
    }

    return ngx_http_async_doc_etag(&page->packed, ngx_cycle->pool);
}


static ngx_int_t
ngx_http_async_docs_unpack(ngx_http_async_docs_page_t *page)
{
    int        rc;
    u_char    *p;
    size_t     size;
    z_stream   z;

    /* the size is what it ends with */

    p = page->end - 4;
    size = (size_t) p[0] | (size_t) p[1] << 8 | (size_t) p[2] << 16
           | (size_t) p[3] << 24;

    page->plain.text.data = ngx_pnalloc(ngx_cycle->pool, size + 1);
    if (page->plain.text.data == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(&z, sizeof(z_stream));

    z.next_in = page->start;
    z.avail_in = page->end - page->start;
    z.next_out = page->plain.text.data;
    z.avail_out = size + 1;

    if (inflateInit2(&z, 16 + MAX_WBITS) != Z_OK) {
        rc = Z_MEM_ERROR;

    } else {
        rc = inflate(&z, Z_FINISH);
        inflateEnd(&z);
    }

    if (rc != Z_STREAM_END) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "the page \"%V\" could not be uncompressed: zlib says %d",
                      &page->name, rc);
        (void) ngx_pfree(ngx_cycle->pool, page->plain.text.data);
        return NGX_ERROR;
    }

    page->plain.text.len = z.total_out;

    return ngx_http_async_doc_etag(&page->plain, ngx_cycle->pool);
}


static ngx_uint_t
ngx_http_async_docs_gzip(ngx_http_request_t *r)
{
#if (NGX_HTTP_GZIP)
    return ngx_http_gzip_ok(r) == NGX_OK;
#else
    return 0;
#endif
}


char *
ngx_http_async_docs(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_async_loc_conf_t  *lcf = conf;

    char                        *rv;
    ngx_str_t                   *value;
    ngx_uint_t                   i;
    ngx_http_core_loc_conf_t    *clcf;
    ngx_http_async_docs_conf_t  *dcf;

    if (lcf->docs) {
        return "is duplicate";
    }

    rv = ngx_http_async_route_beside(cf, lcf);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    dcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_async_docs_conf_t));
    if (dcf == NULL) {
        return NGX_CONF_ERROR;
    }

    dcf->pool = cf->pool;
    dcf->file = cf->conf_file->file.name.data;
    dcf->line = cf->conf_file->line;
    dcf->server = ngx_http_conf_get_module_srv_conf(cf, ngx_http_async_module);

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {
        rv = ngx_http_async_docs_arg(cf, dcf, &value[i]);
        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    if (dcf->page == NULL) {
        dcf->page = ngx_http_async_docs_pages;
    }

    lcf->docs = dcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_async_docs_handler;

    return NGX_CONF_OK;
}


static char *
ngx_http_async_docs_arg(ngx_conf_t *cf, ngx_http_async_docs_conf_t *conf,
    ngx_str_t *arg)
{
    u_char           *p;
    ngx_str_t         word;
    const ngx_str_t  *near;

    p = ngx_strlchr(arg->data, arg->data + arg->len, '=');

    word.data = arg->data;
    word.len = p ? (size_t) (p + 1 - arg->data) : arg->len;

    near = ngx_async_near(&word, ngx_http_async_docs_args, 2);

    if (near == NULL || near->len != word.len
        || ngx_strncmp(near->data, word.data, word.len) != 0)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           near ? "unknown parameter \"%V\", did you mean "
                                  "\"%V\"?"
                                : "unknown parameter \"%V\", there are "
                                  "\"openapi=\" and \"page=\"", &word, near);
        return NGX_CONF_ERROR;
    }

    p = arg->data + word.len;
    word.data = p;
    word.len = arg->data + arg->len - p;

    if (near == &ngx_http_async_docs_args[1]) {
        return ngx_http_async_docs_page(cf, conf, &word);
    }

    if (word.len == 0 || word.data[0] != '/'
        || (word.len > 1 && word.data[1] == '/'))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"openapi=%V\" is no path of this server: it "
                           "begins with one \"/\"", &word);
        return NGX_CONF_ERROR;
    }

    conf->openapi = word;

    return NGX_CONF_OK;
}


static char *
ngx_http_async_docs_page(ngx_conf_t *cf, ngx_http_async_docs_conf_t *conf,
    ngx_str_t *name)
{
    ngx_http_async_docs_page_t  *page;

    for (page = ngx_http_async_docs_pages; page->name.len; page++) {
        if (page->name.len == name->len
            && ngx_strncmp(page->name.data, name->data, name->len) == 0)
        {
            conf->page = page;
            return NGX_CONF_OK;
        }
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "this module has no page \"%V\": there is \"plain\", "
                       "and \"swagger\" if it was there when the module was "
                       "built", name);

    return NGX_CONF_ERROR;
}
