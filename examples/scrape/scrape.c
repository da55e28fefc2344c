
/*
 * Reads a site: from a page on, follows its links, five pages at a time, and
 * tells the titles.  The URL comes from a user, so nginx.conf says which
 * addresses may be reached at all.
 */

#include <stdio.h>
#include <string.h>
#include <ngx_async.h>


#define PAGES       20         /* more are not read */
#define AT_ONCE     5
#define URL_SIZE    256


typedef struct {
    char               url[URL_SIZE];
    async_response_t  *res;
    async_cause_t      cause;
} page_t;


static async_rc_t
read_page(async_t *co, void *arg)
{
    page_t         *page = arg;
    async_rc_t      rc;
    async_fetch_t   fetch = { .timeout = 3000, .redirects = 3,
                              .flags = ASYNC_FETCH_DECODE };

    rc = await_fetch(co, page->url, &fetch, &page->res);

    page->cause = async_cause(co);

    return rc;
}


/* The host of a URL with its scheme: "http://site"; its length. */

static size_t
site_of(const char *url)
{
    const char  *host = strstr(url, "://");

    return host ? (size_t) (host - url) + 3 + strcspn(host + 3, "/?#") : 0;
}


/* Adds a page unless it is there already; how many there are then. */

static int
add(page_t *pages, int n, const char *site, size_t site_len, const char *path,
    size_t path_len)
{
    int     i;
    page_t  page = { .res = NULL };

    if (n == PAGES || site_len + path_len >= URL_SIZE) {
        return n;
    }

    snprintf(page.url, URL_SIZE, "%.*s%.*s", (int) site_len, site,
             (int) path_len, path);

    for (i = 0; i < n; i++) {
        if (strcmp(pages[i].url, page.url) == 0) {
            return n;
        }
    }

    pages[n] = page;

    return n + 1;
}


/* Links to the same site, as href="/path" */

static int
follow(page_t *pages, int n, page_t *page)
{
    size_t       len;
    const char  *p;

    p = async_response_body(page->res).data;

    while ((p = strstr(p, "href=\"/")) != NULL) {
        p += sizeof("href=\"") - 1;
        len = strcspn(p, "\"#");
        n = add(pages, n, page->url, site_of(page->url), p, len);
    }

    return n;
}


static json_t *
told(page_t *page)
{
    const char  *title, *why;

    if (page->res == NULL) {
        why = page->cause == ASYNC_CAUSE_DENIED ? "not allowed"
              : page->cause == ASYNC_CAUSE_URL ? "no URL"
              : page->cause == ASYNC_CAUSE_TIMEOUT ? "too slow"
              : page->cause == ASYNC_CAUSE_TOO_LARGE ? "too large"
              : "out of reach";

        return json_pack("{s:s, s:s}", "url", page->url, "error", why);
    }

    title = strstr(async_response_body(page->res).data, "<title>");

    return json_pack("{s:s, s:i, s:s%}", "url", page->url, "status",
                     async_response_status(page->res), "title",
                     title ? title + 7 : "", title ? strcspn(title + 7, "<")
                                                   : (size_t) 0);
}


/* /titles?url=http://site/ */

ASYNC_HANDLER(titles)
{
    int            i, n, from, to;
    page_t         pages[PAGES];
    json_t        *list;
    async_str_t    url;
    async_work_t   work[AT_ONCE];

    ASYNC_TRY(async_query_str(req, "url", &url));

    n = add(pages, 0, url.data, url.len, "", 0);

    for (from = 0; from < n; from = to) {

        to = n < from + AT_ONCE ? n : from + AT_ONCE;

        for (i = from; i < to; i++) {
            work[i - from] = (async_work_t) { .fn = read_page,
                                              .arg = &pages[i] };
        }

        ASYNC_TRY(await_gather(co, work, to - from));

        for (i = from; i < to; i++) {
            if (pages[i].res) {
                n = follow(pages, n, &pages[i]);
            }
        }
    }

    list = json_array();

    for (i = 0; i < n; i++) {
        json_array_append_new(list, told(&pages[i]));
    }

    return async_json(req, 200, list);
}
