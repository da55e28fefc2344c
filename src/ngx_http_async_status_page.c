
/*
 * Copyright (C) the nginx-async authors
 *
 * The status as a page, which asks for JSON again and again.  It is a file that
 * the assembler puts into the module; nothing but what is in it may run in it,
 * which a new number tells the browser with each answer.
 */

#include <ngx_http_async_status.h>
#include <sys/random.h>

/* the bytes of the file; behind the last one is a zero */

__asm__(".pushsection .rodata, \"a\"\n"
        ".globl ngx_http_async_status_html\n"
        ".hidden ngx_http_async_status_html\n"
        "ngx_http_async_status_html:\n"
        ".incbin \"" NGX_HTTP_ASYNC_STATUS_PAGE "\"\n"
        ".byte 0\n"
        ".popsection\n");

extern char  ngx_http_async_status_html[]
    __attribute__((visibility("hidden")));


/* stands in the file where the number is to be; as long as that */

static const char  ngx_http_async_status_nonce[]
    = "0123456789abcdef0123456789abcdef";


async_rc_t
ngx_http_async_status_page(async_req_t *req, ngx_async_report_t *report,
    const ngx_async_report_ask_t *ask)
{
    char        *page, *p, policy[512];
    size_t       len;
    u_char       nonce[sizeof(ngx_http_async_status_nonce)];
    u_char       random[(sizeof(nonce) - 1) / 2];
    async_rc_t   rc;

    if (getrandom(random, sizeof(random), 0) != sizeof(random)) {
        return ngx_async_set_error(&req->task, ASYNC_ERROR,
                                   "getrandom() failed");
    }

    *ngx_hex_dump(nonce, random, sizeof(random)) = '\0';

    len = ngx_strlen(ngx_http_async_status_html);

    page = ngx_palloc(req->pool, len + 1);
    if (page == NULL) {
        return ngx_async_set_error(&req->task, ASYNC_ERROR, "no memory");
    }

    ngx_memcpy(page, ngx_http_async_status_html, len + 1);

    for (p = page;
         (p = strstr(p, ngx_http_async_status_nonce)) != NULL;
         p += sizeof(nonce) - 1)
    {
        ngx_memcpy(p, nonce, sizeof(nonce) - 1);
    }

    (void) ngx_snprintf((u_char *) policy, sizeof(policy),
                        "default-src 'none'; script-src 'nonce-%s'; "
                        "style-src 'nonce-%s'; connect-src 'self'; "
                        "img-src data:; base-uri 'none'; form-action 'none'; "
                        "frame-ancestors 'none'; trusted-types 'none'; "
                        "require-trusted-types-for 'script'%Z", nonce, nonce);

    rc = async_set_header(req, "Content-Security-Policy", policy);

    if (rc == ASYNC_OK) {
        rc = async_set_header(req, "X-Content-Type-Options", "nosniff");
    }

    if (rc == ASYNC_OK) {
        rc = async_set_header(req, "Referrer-Policy", "no-referrer");
    }

    return (rc == ASYNC_OK) ? async_html(req, 200, page) : rc;
}
