/*
 * A cache in Redis, whose protocol (RESP 2) is spoken here by hand: requests
 * are arrays of strings, replies are a line, or a line and so many bytes.
 */

#include <ngx_async.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


/* a reply of this size, and no larger one */
#define MAX_REPLY  (1024 * 1024)


/* One command.  *reply: without data for nil; of the request's memory. */

static async_rc_t
exchange(async_t *co, async_socket_t *s, const async_str_t *args, int n,
    async_str_t *reply)
{
    int           i;
    char          head[32], *bytes;
    long          len;
    async_str_t   line;

    snprintf(head, sizeof(head), "*%d\r\n", n);
    ASYNC_TRY(await_send_all(co, s, head, strlen(head)));

    for (i = 0; i < n; i++) {
        snprintf(head, sizeof(head), "$%zu\r\n", args[i].len);
        ASYNC_TRY(await_send_all(co, s, head, strlen(head)));
        ASYNC_TRY(await_send_all(co, s, args[i].data, args[i].len));
        ASYNC_TRY(await_send_all(co, s, "\r\n", 2));
    }

    reply->data = NULL;
    reply->len = 0;

    ASYNC_TRY(await_recv_until(co, s, "\r\n", 1000, &line));

    if (line.len == 0 || line.data[0] == '-') {
        return async_task_fail(co, ASYNC_ERROR, "Redis: %s", line.data);
    }

    len = (line.data[0] == '$') ? strtol(line.data + 1, NULL, 10)
                                : (long) line.len - 1;

    if (len < 0 || len > MAX_REPLY) {
        return (len == -1)
               ? ASYNC_OK : async_task_fail(co, ASYNC_ERROR, "Redis: too much");
    }

    bytes = async_task_alloc(co, (size_t) len + 2);

    if (bytes == NULL) {
        return ASYNC_ERROR;
    }

    if (line.data[0] == '$') {
        ASYNC_TRY(await_recv_all(co, s, bytes, (size_t) len + 2));

    } else {
        memcpy(bytes, line.data + 1, (size_t) len);
    }

    bytes[len] = '\0';
    reply->data = bytes;
    reply->len = (size_t) len;

    return ASYNC_OK;
}


/*
 * On a connection that was kept, if there is one.  It may just have gone stale,
 * so this is for commands that may be repeated.
 */

static async_rc_t
redis(async_t *co, async_req_t *req, const async_str_t *args, int n,
    async_str_t *reply)
{
    int                      reused;
    async_rc_t               rc;
    async_socket_t          *s;
    async_socket_options_t   options = { .pool = "redis" };

    do {
        ASYNC_TRY(await_connect(co, async_param(req, "redis").data, &options,
                                &s));

        reused = async_socket_reused(co, s);
        rc = exchange(co, s, args, n, reply);

        if (rc == ASYNC_OK) {
            async_socket_keep(co, s);

        } else {
            async_socket_close(co, s);
        }
    } while (rc == ASYNC_CLOSED && reused);

    return rc;
}


/* GET /ping: as little as it takes */

ASYNC_HANDLER(ping)
{
    async_rc_t               rc;
    async_str_t              line;
    async_socket_t          *s;
    async_socket_options_t   options = { .pool = "redis" };

    ASYNC_TRY(await_connect(co, async_param(req, "redis").data, &options, &s));
    ASYNC_TRY(await_send_all(co, s, "PING\r\n", 6));
    ASYNC_TRY(await_recv_until(co, s, "\r\n", 512, &line));

    rc = async_text(req, 200, line.data);

    /* for the next one; the line is the socket's */
    async_socket_keep(co, s);

    return rc;
}


/* GET /cache/{key} */

ASYNC_HANDLER(get)
{
    async_str_t  reply;
    async_str_t  args[] = { { "GET", 3 }, async_path(req, "key") };

    ASYNC_TRY(redis(co, req, args, 2, &reply));

    if (reply.data == NULL) {
        return async_fail(req, 404, "it is not in the cache");
    }

    return async_bytes(req, 200, NULL, reply.data, reply.len);
}


/* PUT /cache/{key}?ttl=: the body, for so many seconds */

ASYNC_HANDLER(put)
{
    int          n;
    char         seconds[32];
    int64_t      ttl;
    async_str_t  body, reply;

    ASYNC_TRY(async_query_int_or(req, "ttl", &ttl, 60));
    ASYNC_TRY(await_body(co, req, &body));

    n = snprintf(seconds, sizeof(seconds), "%lld", (long long) ttl);

    async_str_t  args[] = { { "SET", 3 }, async_path(req, "key"), body,
                            { "EX", 2 }, { seconds, (size_t) n } };

    ASYNC_TRY(redis(co, req, args, 5, &reply));

    return async_empty(req, 204);
}


/*
 * POST /count/{key}: one more, over all workers and servers.  To count twice
 * would be wrong, so the connection is a new one, and nothing is repeated.
 */

ASYNC_HANDLER(count)
{
    async_str_t      reply;
    async_str_t      args[] = { { "INCR", 4 }, async_path(req, "key") };
    async_socket_t  *s;

    ASYNC_TRY(await_connect(co, async_param(req, "redis").data, NULL, &s));
    ASYNC_TRY(exchange(co, s, args, 2, &reply));

    return async_json_pack(req, 200, "{s:I}", "count",
                           (json_int_t) strtoll(reply.data, NULL, 10));
}
