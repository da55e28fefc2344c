
/*
 * The router's tree: its tables, and, called with "-", a filter for
 * route_tree.py: "reset", "add METHODS HEX", "match METHOD HEX" in.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <time.h>
#include "ngx_stub.h"
#include <ngx_http_async_route_tree.h>


#define GET   1
#define POST  2
#define PUT   4

#define UUID  "12345678-1234-5678-1234-567812345678"


typedef struct {
    const char  *pattern;
    ngx_int_t    rc;
    const char  *error;
} add_case_t;


typedef struct {
    ngx_uint_t   method;
    const char  *uri;
    const char  *expected;    /* value and params, or allow, or "-" */
} match_case_t;


static add_case_t  adds[] = {
    { "", NGX_DECLINED, "a pattern starts with \"/\"" },
    { "items", NGX_DECLINED, "a pattern starts with \"/\"" },
    { "/{id", NGX_DECLINED, "\"{\" is not closed in \"{id\"" },
    { "/id}", NGX_DECLINED, "unexpected \"}\" in \"/id}\"" },
    { "/{}", NGX_DECLINED, "a parameter has no name" },
    { "/{:int}", NGX_DECLINED, "a parameter has no name" },
    { "/{a-b}", NGX_DECLINED, "\"a-b\" is no name: letters, \"_\" and digits "
      "make one, and no digit comes first" },
    { "/{1a}", NGX_DECLINED, "\"1a\" is no name: letters, \"_\" and digits "
      "make one, and no digit comes first" },
    { "/{id}/{id:int}", NGX_DECLINED, "parameter \"id\" is there twice" },
    { "/{id:itn}", NGX_DECLINED,
      "unknown converter \"itn\", did you mean \"int\"?" },
    { "/{id:Path}", NGX_DECLINED,
      "unknown converter \"Path\", did you mean \"path\"?" },
    { "/{id:decimal}", NGX_DECLINED, "unknown converter \"decimal\", "
      "there are str, int, float, uuid and path" },
    { "/{id:}", NGX_DECLINED, "unknown converter \"\", "
      "there are str, int, float, uuid and path" },
    { "/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}/{j}/{k}/{l}/{m}/{n}/{o}/{p}",
      NGX_OK, "" },
    { "/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}/{j}/{k}/{l}/{m}/{n}/{o}/{p}/{q}",
      NGX_DECLINED, "more than 16 parameters" },
    { "/items/{id}", NGX_OK, "" },
    { "/items/{_id2}", NGX_BUSY,
      "\"/items/{id}\" was declared before and takes all of the requests" },
    { "/items/{id:int}", NGX_OK, "" }
};


static const char  *routes[] = {
    "GET  /",
    "GET  /json",
    "GET  /users/me",
    "GET  /users/{id:int}",
    "GET  /users/{name}",
    "POST /users/{id:int}",
    "GET  /files/{name}.json",
    "GET  /files/{path:path}",
    "GET  /range/{a}-{b}",
    "GET  /v/{x:float}",
    "GET  /u/{u:uuid}/x",
    "GET  /deep/{p:path}/meta",
    "PUT  /deep/{p:path}/meta",
    "GET  /abc/{x}",
    "GET  /abd",
    "GET  /two/{a}{b}",
    "GET  /slash/",
    NULL
};


static match_case_t  matches[] = {
    { GET, "/", "0" },
    { GET, "", "-" },
    { GET, "/json", "1" },
    { GET, "/jso", "-" },
    { GET, "/jsonx", "-" },
    { GET, "/json/", "-" },
    { POST, "/json", "allow 1" },
    { 0, "/json", "allow 1" },
    { GET, "/users/me", "2" },
    { GET, "/users/7", "3 id=7" },
    { GET, "/users/7a", "4 name=7a" },
    { GET, "/users/", "-" },
    { GET, "/users/a/b", "-" },
    { POST, "/users/7", "5 id=7" },
    { PUT, "/users/7", "allow 3" },
    { PUT, "/users/x", "allow 1" },
    { GET, "/files/a.json", "6 name=a" },
    { GET, "/files/a.json.json", "6 name=a.json" },
    { GET, "/files/a/b.json", "7 path=a/b.json" },
    { GET, "/files/", "7 path=" },
    { GET, "/files//etc", "7 path=/etc" },
    { GET, "/files/a\nb", "-" },
    { GET, "/range/1-2-3", "8 a=1-2 b=3" },
    { GET, "/range/1-", "-" },
    { GET, "/v/1.5", "9 x=1.5" },
    { GET, "/v/1", "9 x=1" },
    { GET, "/v/1.", "-" },
    { GET, "/v/-1", "-" },
    { GET, "/u/" UUID "/x", "10 u=" UUID },
    { GET, "/u/12345678123456781234567812345678/x",
      "10 u=12345678123456781234567812345678" },
    { GET, "/u/1234567-1234-5678-1234-567812345678/x", "-" },
    { GET, "/deep/a/b/meta", "11 p=a/b" },
    { GET, "/deep/meta/meta/meta", "11 p=meta/meta" },
    { PUT, "/deep/a/meta", "12 p=a" },
    { POST, "/deep/a/meta", "allow 5" },
    { GET, "/deep/meta", "-" },
    { GET, "/abc/1", "13 x=1" },
    { GET, "/abd", "14" },
    { GET, "/two/ab\xc3\xa9", "15 a=ab b=\xc3\xa9" },
    { GET, "/slash/", "16" },
    { GET, "/slash", "-" }
};


static ngx_pool_t *pool;


static void test_adds(void);
static void test_matches(void);
static void test_worst(void);
static void test_many(void);
static void test_no_memory(void);
static int filter(void);
static ngx_int_t add(ngx_http_async_route_tree_t *tree, const char *pattern,
    ngx_uint_t methods, uintptr_t value);
static const char *match(ngx_http_async_route_tree_t *tree, ngx_uint_t method,
    ngx_str_t *uri);


int
main(int argc, char **argv)
{
    pool = ngx_create_pool(4096, NULL);

    if (argc == 2 && strcmp(argv[1], "-") == 0) {
        filter();
        ngx_destroy_pool(pool);
        return 0;
    }

    test_adds();
    test_matches();
    test_worst();
    test_many();
    test_no_memory();

    ngx_destroy_pool(pool);

    return ngx_stub_done();
}


static void
test_adds(void)
{
    ngx_int_t                     rc;
    ngx_str_t                     pattern, error;
    ngx_uint_t                    i;
    ngx_http_async_route_tree_t  *tree;

    tree = ngx_http_async_route_tree_create(pool);

    for (i = 0; i < sizeof(adds) / sizeof(adds[0]); i++) {
        pattern.data = (u_char *) adds[i].pattern;
        pattern.len = strlen(adds[i].pattern);

        rc = ngx_http_async_route_tree_add(tree, &pattern, GET, NULL, &error);

        ngx_stub_ok(rc == adds[i].rc && ngx_stub_is(&error, adds[i].error),
                    "add \"%s\": %s", adds[i].pattern, adds[i].error);
    }

    ngx_str_set(&pattern, "/items/{id}");

    rc = ngx_http_async_route_tree_add(tree, &pattern, GET|POST, NULL, &error);
    ngx_stub_ok(rc == NGX_AGAIN
                && ngx_stub_is(&error, "\"/items/{id}\" was declared before "
                               "and takes some of the requests"),
                "methods that overlap in part are told");

    rc = ngx_http_async_route_tree_add(tree, &pattern, PUT, NULL, &error);
    ngx_stub_ok(rc == NGX_OK, "the same shape with other methods is fine");
}


static void
test_matches(void)
{
    ngx_str_t                     uri;
    ngx_uint_t                    i, methods;
    const char                   *answer;
    ngx_http_async_route_tree_t  *tree;

    tree = ngx_http_async_route_tree_create(pool);

    for (i = 0; routes[i]; i++) {
        methods = routes[i][0] == 'G' ? GET : routes[i][1] == 'O' ? POST : PUT;
        add(tree, routes[i] + 5, methods, i);
    }

    for (i = 0; i < sizeof(matches) / sizeof(matches[0]); i++) {
        uri.len = strlen(matches[i].uri);
        uri.data = malloc(uri.len ? uri.len : 1);
        memcpy(uri.data, matches[i].uri, uri.len);

        answer = match(tree, matches[i].method, &uri);

        ngx_stub_ok(strcmp(answer, matches[i].expected) == 0,
                    "%d \"%.*s\": %s", (int) matches[i].method,
                    (int) strcspn(matches[i].uri, "\n"), matches[i].uri,
                    answer);
        free(uri.data);
    }

    tree = ngx_http_async_route_tree_create(pool);
    ngx_str_set(&uri, "/");

    ngx_stub_ok(strcmp(match(tree, GET, &uri), "-") == 0,
                "an empty tree fits nothing");
}


/* all the ways to fit would be more than the atoms of the universe */

static void
test_worst(void)
{
    clock_t                       start;
    ngx_str_t                     uri;
    ngx_uint_t                    i;
    ngx_http_async_route_tree_t  *tree;

    static const char  *worst[] = {
        "/{a:path}/{b:path}/{c:path}/{d:path}/{e:path}/{f:path}/x",
        "/{a}{b}{c}{d}{e}{f}{g}{h}{i}{j}x",
        "/{a:int}{b:int}{c:int}{d:int}{e:int}{f:float}{g:float}{h:float}x",
        "/{a:path}{b}{c:path}{d}{e:path}{f}/{g:path}-{h:int}x"
    };

    tree = ngx_http_async_route_tree_create(pool);

    for (i = 0; i < 4; i++) {
        add(tree, worst[i], GET, i);
    }

    uri.len = 32 * 1024;
    uri.data = malloc(uri.len);
    start = clock();

    memset(uri.data, '/', uri.len);
    match(tree, GET, &uri);

    memset(uri.data + 1, '1', uri.len - 1);
    match(tree, GET, &uri);

    for (i = 2; i < uri.len; i += 2) {
        uri.data[i] = '/';
    }

    match(tree, GET, &uri);

    ngx_stub_ok(clock() - start < 2 * CLOCKS_PER_SEC,
                "hostile URIs of 32k against ambiguous patterns take %d ms",
                (int) ((clock() - start) * 1000 / CLOCKS_PER_SEC));

    free(uri.data);
}


static void
test_many(void)
{
    char                          text[64];
    ngx_int_t                     rc;
    ngx_str_t                     uri;
    ngx_uint_t                    i, good;
    const char                   *answer;
    ngx_http_async_route_tree_t  *tree;

    tree = ngx_http_async_route_tree_create(pool);
    rc = NGX_OK;

    for (i = 0; i < 5000; i++) {
        sprintf(text, (i % 2) ? "/api/r%d" : "/api/{id}/r%d", (int) i);
        rc |= add(tree, text, GET, i);
    }

    good = 0;

    for (i = 0; i < 5000; i++) {
        uri.data = (u_char *) text;
        uri.len = sprintf(text, (i % 2) ? "/api/r%d" : "/api/7/r%d", (int) i);
        answer = match(tree, GET, &uri);
        good += strtoul(answer, NULL, 10) == i;
    }

    ngx_stub_ok(rc == NGX_OK && good == 5000, "5000 routes, each found");
}


static void
test_no_memory(void)
{
    ngx_int_t                     n, rc;
    ngx_str_t                     error, pattern;
    ngx_uint_t                    bad;
    ngx_http_async_route_tree_t  *tree;

    ngx_str_set(&pattern, "/a/{b:int}/{c}");
    bad = 0;
    rc = NGX_ERROR;

    for (n = 0; rc != NGX_OK; n++) {
        ngx_stub_allocations = n;
        tree = ngx_http_async_route_tree_create(pool);

        if (tree) {
            rc = ngx_http_async_route_tree_add(tree, &pattern, GET, NULL,
                                               &error);
            bad += rc != NGX_OK && rc != NGX_ERROR;
        }
    }

    ngx_stub_allocations = -1;

    ngx_stub_ok(bad == 0 && n > 5, "each of %d allocations may fail",
                (int) n - 1);
}


static ngx_int_t
add(ngx_http_async_route_tree_t *tree, const char *pattern,
    ngx_uint_t methods, uintptr_t value)
{
    ngx_int_t  rc;
    ngx_str_t  text, error;

    text.data = (u_char *) pattern;
    text.len = strlen(pattern);

    rc = ngx_http_async_route_tree_add(tree, &text, methods, (void *) value,
                                       &error);
    if (rc != NGX_OK) {
        printf("# %s: %d %.*s\n", pattern, (int) rc, (int) error.len,
               error.data);
    }

    return rc;
}


static const char *
match(ngx_http_async_route_tree_t *tree, ngx_uint_t method, ngx_str_t *uri)
{
    char                          *p;
    ngx_int_t                      rc;
    ngx_uint_t                     i;
    ngx_http_async_route_match_t   m;

    static char  text[65536];

    rc = ngx_http_async_route_tree_match(tree, uri, method, &m);

    if (rc == NGX_DECLINED) {
        return "-";
    }

    if (rc == NGX_ABORT) {
        sprintf(text, "allow %d", (int) m.allow);
        return text;
    }

    p = text + sprintf(text, "%d", (int) (uintptr_t) m.value);

    for (i = 0; i < m.nparams; i++) {
        p += sprintf(p, " %.*s=%.*s",
                     (int) m.params[i].name.len, m.params[i].name.data,
                     (int) m.params[i].value.len, m.params[i].value.data);
    }

    return text;
}


static int
filter(void)
{
    char                         *line, *hex;
    size_t                        size;
    ngx_str_t                     text, answer;
    ngx_uint_t                    n, mask;
    ngx_http_async_route_tree_t  *tree;

    line = NULL;
    size = 0;
    n = 0;
    tree = NULL;

    while (getline(&line, &size, stdin) > 0) {

        if (line[0] == 'r') {
            tree = ngx_http_async_route_tree_create(pool);
            n = 0;
            continue;
        }

        hex = strchr(line, ' ');
        mask = strtoul(hex, &hex, 10);
        text = ngx_stub_unhex(hex + 1);

        if (line[0] == 'a') {
            ngx_http_async_route_tree_add(tree, &text, mask,
                                          (void *) (uintptr_t) n++, &answer);

        } else {
            answer.data = (u_char *) match(tree, mask, &text);
            answer.len = strlen((char *) answer.data);
            ngx_stub_hex(&answer);
            putchar('\n');
        }

        free(text.data);
    }

    free(line);

    return 0;
}
