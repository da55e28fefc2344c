
/*
 * Sockets and fetches of t/awaits.t: the others do what they are asked for when
 * the gate is open.
 */

#include "awaits.h"
#include <stdio.h>
#include <string.h>


static async_rc_t
connects(async_t *co, scene_t *s, const char *what)
{
    ASYNC_TRY(await_connect(co, async_param(s->req, "peer").data, NULL,
                            &s->socket));

    return await_send_all(co, s->socket, what, strlen(what));
}


async_rc_t
will_recv(async_t *co, void *arg)
{
    return connects(co, arg, "recv\n");
}


async_rc_t
will_send(async_t *co, void *arg)
{
    return connects(co, arg, "send\n");
}


async_rc_t
resolve(async_t *co, void *arg)
{
    scene_t  *s = arg;

    return await_connect(co, async_param(s->req, "named").data, NULL,
                         &s->socket);
}


async_rc_t
tls(async_t *co, void *arg)
{
    scene_t                 *s = arg;
    async_socket_options_t   options = { .flags = ASYNC_SOCKET_TLS };

    return await_connect(co, async_param(s->req, "peer").data, &options,
                         &s->socket);
}


async_rc_t
receives(async_t *co, void *arg)
{
    char    buf[100];
    size_t  n;

    return await_recv(co, ((scene_t *) arg)->socket, buf, sizeof(buf), &n);
}


async_rc_t
recv_all(async_t *co, void *arg)
{
    char  buf[4];

    return await_recv_all(co, ((scene_t *) arg)->socket, buf, sizeof(buf));
}


async_rc_t
recv_until(async_t *co, void *arg)
{
    async_str_t  line;

    return await_recv_until(co, ((scene_t *) arg)->socket, "\n", 100, &line);
}


/* more than the kernel takes */

async_rc_t
send_all(async_t *co, void *arg)
{
    for (int i = 0; i < 12; i++) {
        ASYNC_TRY(await_send_all(co, ((scene_t *) arg)->socket, letters(),
                                 MUCH));
    }

    return ASYNC_OK;
}


static async_rc_t
fetches(async_t *co, scene_t *s, const char *path, unsigned flags)
{
    char           url[200];
    async_fetch_t  fetch = { .flags = flags };

    snprintf(url, sizeof(url), "http://%s/%s",
             async_param(s->req, "peer").data, path);

    return await_fetch(co, url, &fetch, &s->response);
}


async_rc_t
fetch(async_t *co, void *arg)
{
    return fetches(co, arg, "head", 0);
}


async_rc_t
fetch_body(async_t *co, void *arg)
{
    return fetches(co, arg, "body", 0);
}


async_rc_t
fetch_stream(async_t *co, void *arg)
{
    return fetches(co, arg, "body", ASYNC_FETCH_STREAM);
}


async_rc_t
response_read(async_t *co, void *arg)
{
    char    buf[100];
    size_t  n;

    return await_response_read(co, ((scene_t *) arg)->response, buf,
                               sizeof(buf), &n);
}
