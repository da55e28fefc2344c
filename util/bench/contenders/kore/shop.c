/* Kore's handlers of wq and wj: parameters, and JSON as a tree. */

#include <stdio.h>
#include <string.h>
#include <kore/kore.h>
#include <kore/http.h>


int page_shop(struct http_request *req);
int page_tree(struct http_request *req);
int page_text(struct http_request *req);


static int
reply(struct http_request *req, int status, const void *data, size_t len)
{
    http_response_header(req, "content-type", "application/json");
    http_response(req, status, data, len);

    return KORE_RESULT_OK;
}


/*
 * The validators of the configuration let only numbers pass.  What its regular
 * expression has found in the path is not handed on by Kore 4.1.
 */

int
page_shop(struct http_request *req)
{
    int        end = 0;
    char      *q, kind[21];
    long       shop;
    double     price;
    u_int16_t  limit;

    http_populate_qs(req);

    if (!http_argument_get_uint16(req, "limit", &limit)) {
        limit = 20;
    }

    if (!http_argument_get_string(req, "q", &q)) {
        q = NULL;
    }

    if (sscanf(req->path, "/shop/%ld/goods/%20[^/]%n", &shop, kind, &end) != 2
        || req->path[end] != '\0' || shop < 1 || limit < 1 || limit > 100
        || !http_argument_get_double(req, "price", &price) || price <= 0)
    {
        return reply(req, 422, NULL, 0);
    }

    if (shop != 7 || limit != 10 || price != 9.5 || strcmp(kind, "shoes") != 0
        || q == NULL || strcmp(q, "abc") != 0)
    {
        return reply(req, 500, NULL, 0);
    }

    return reply(req, 200, "{\"message\":\"Hello, World!\"}",
                 sizeof("{\"message\":\"Hello, World!\"}") - 1);
}


int
page_tree(struct http_request *req)
{
    int               rc;
    struct kore_buf   out;
    struct kore_json  json;

    kore_json_init(&json, req->http_body->data, req->http_body_length);

    if (!kore_json_parse(&json)) {
        kore_json_cleanup(&json);
        return reply(req, 422, NULL, 0);
    }

    kore_buf_init(&out, 2048);
    kore_json_item_tobuf(json.root, &out);

    rc = reply(req, 200, out.data, out.offset);

    kore_buf_cleanup(&out);
    kore_json_cleanup(&json);

    return rc;
}


int
page_text(struct http_request *req)
{
    return reply(req, 200, req->http_body->data, req->http_body_length);
}
