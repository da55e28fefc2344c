/*
 * streams: keeps more requests waiting than a process may open files, as
 * streams of a few HTTP/2 connections (cleartext, by prior knowledge).
 *
 *     streams -p PORT -u PATH -c CONNECTIONS -n STREAMS -x MORE
 *
 * Opens STREAMS requests for PATH, which is to wait some seconds.  Prints
 * WAITING once the server has taken them all: it answers a PING only after
 * the frames before it.  A line on stdin, and MORE requests follow, which the
 * server is expected to refuse.  When all have ended, the last line is
 * "JSON {...}": how many ended with 200, with 503, with 503 and Retry-After,
 * otherwise; and how many had ended when WAITING was printed.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>


#define MAX_CONNECTIONS  64
#define BUFFER_SIZE      65536

/* how many frames are made before the answers to them are read */
#define BATCH            500


typedef struct {
    int               fd;
    unsigned          pongs;
    nghttp2_session  *session;
} conn_t;


typedef struct {
    int               status;
    int               retry_after;
} stream_t;


static conn_t    conns[MAX_CONNECTIONS];
static unsigned  port, nconn = 8, nstreams = 1000, nmore;
static char     *path = "/";

static unsigned  nopen, nended, nok, nrefused, nretry, nother;


static void
die(const char *what, const char *why)
{
    fprintf(stderr, "streams: %s: %s\n", what, why);
    exit(1);
}


static void
check(int rv, const char *what)
{
    if (rv < 0) {
        die(what, nghttp2_strerror(rv));
    }
}


static int
on_header(nghttp2_session *session, const nghttp2_frame *frame,
    const uint8_t *name, size_t len, const uint8_t *value, size_t value_len,
    uint8_t flags, void *data)
{
    stream_t  *s;

    (void) value_len;
    (void) flags;
    (void) data;

    s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

    if (s == NULL) {
        return 0;
    }

    /* nghttp2 terminates both with a zero */

    if (len == 7 && memcmp(name, ":status", 7) == 0) {
        s->status = atoi((const char *) value);
    }

    if (len == 11 && memcmp(name, "retry-after", 11) == 0) {
        s->retry_after = 1;
    }

    return 0;
}


static int
on_close(nghttp2_session *session, int32_t id, uint32_t error, void *data)
{
    stream_t  *s;

    (void) data;

    s = nghttp2_session_get_stream_user_data(session, id);

    if (error != NGHTTP2_NO_ERROR) {
        nother++;

    } else if (s->status == 200) {
        nok++;

    } else if (s->status == 503) {
        nrefused++;
        nretry += s->retry_after;

    } else {
        nother++;
    }

    nended++;
    free(s);

    return 0;
}


static int
on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *data)
{
    conn_t  *c = data;

    (void) session;

    if (frame->hd.type == NGHTTP2_PING
        && (frame->hd.flags & NGHTTP2_FLAG_ACK))
    {
        c->pongs++;
    }

    if (frame->hd.type == NGHTTP2_GOAWAY) {
        die("the server ended a connection",
            nghttp2_http2_strerror(frame->goaway.error_code));
    }

    return 0;
}


static void
dial(conn_t *c)
{
    struct sockaddr_in  sin = { .sin_family = AF_INET };

    c->fd = socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, 0);

    sin.sin_port = htons(port);
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    if (connect(c->fd, (struct sockaddr *) &sin, sizeof(sin)) == -1) {
        die("connect", strerror(errno));
    }

    fcntl(c->fd, F_SETFL, O_NONBLOCK);
}


static void
start(conn_t *c)
{
    nghttp2_option             *option;
    nghttp2_session_callbacks  *cb;
    nghttp2_settings_entry      none = { NGHTTP2_SETTINGS_ENABLE_PUSH, 0 };

    dial(c);

    nghttp2_session_callbacks_new(&cb);
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);

    /* until the server's SETTINGS come, 100 streams would be the limit */
    nghttp2_option_new(&option);
    nghttp2_option_set_peer_max_concurrent_streams(option, 1 << 20);

    check(nghttp2_session_client_new2(&c->session, cb, c, option), "session");
    check(nghttp2_submit_settings(c->session, 0, &none, 1), "settings");

    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(cb);
}


static void
ask(conn_t *c)
{
    stream_t    *s;
    nghttp2_nv   fields[] = {
        { (uint8_t *) ":method", (uint8_t *) "GET", 7, 3, 0 },
        { (uint8_t *) ":scheme", (uint8_t *) "http", 7, 4, 0 },
        { (uint8_t *) ":authority", (uint8_t *) "127.0.0.1", 10, 9, 0 },
        { (uint8_t *) ":path", (uint8_t *) path, 5, strlen(path), 0 },
    };

    s = calloc(1, sizeof(stream_t));
    if (s == NULL) {
        die("calloc", strerror(errno));
    }

    check(nghttp2_submit_request(c->session, NULL, fields, 4, NULL, s),
          "request");
    nopen++;
}


/* all that nghttp2 wants to send */

static void
flush(conn_t *c)
{
    ssize_t         n, len;
    struct pollfd   pfd = { c->fd, POLLOUT, 0 };
    const uint8_t  *p;

    while ((len = nghttp2_session_mem_send(c->session, &p)) > 0) {

        while (len) {
            n = send(c->fd, p, len, MSG_NOSIGNAL);

            if (n == -1 && errno == EAGAIN) {
                poll(&pfd, 1, 1000);
                continue;
            }

            if (n == -1) {
                die("send", strerror(errno));
            }

            p += n;
            len -= n;
        }
    }

    check(len, "send");
}


/* what the server has sent; waits for that at most so long */

static void
serve(int timeout)
{
    unsigned        i;
    ssize_t         n;
    uint8_t         buf[BUFFER_SIZE];
    struct pollfd   pfds[MAX_CONNECTIONS];

    for (i = 0; i < nconn; i++) {
        flush(&conns[i]);
        pfds[i] = (struct pollfd) { conns[i].fd, POLLIN, 0 };
    }

    poll(pfds, nconn, timeout);

    for (i = 0; i < nconn; i++) {

        while ((n = recv(conns[i].fd, buf, BUFFER_SIZE, 0)) > 0) {
            check(nghttp2_session_mem_recv(conns[i].session, buf, n), "recv");
        }

        if (n == 0) {
            die("recv", "the server has closed a connection");
        }
    }
}


static void
ask_many(unsigned n)
{
    unsigned  i;

    for (i = 0; i < n; i++) {
        ask(&conns[i % nconn]);

        if (i % BATCH == BATCH - 1) {
            serve(0);
        }
    }
}


static void
wait_for_pongs(void)
{
    unsigned  i;

    for (i = 0; i < nconn; i++) {
        check(nghttp2_submit_ping(conns[i].session, 0, NULL), "ping");
    }

    for (i = 0; i < nconn; /* void */ ) {
        if (conns[i].pongs) {
            i++;
        } else {
            serve(1000);
        }
    }
}


int
main(int argc, char **argv)
{
    int       option;
    char      line[16];
    unsigned  i, early;

    while ((option = getopt(argc, argv, "p:u:c:n:x:")) != -1) {
        switch (option) {
        case 'p': port = atoi(optarg); break;
        case 'u': path = optarg; break;
        case 'c': nconn = atoi(optarg); break;
        case 'n': nstreams = atoi(optarg); break;
        case 'x': nmore = atoi(optarg); break;
        default: return 2;
        }
    }

    if (port == 0 || nconn < 1 || nconn > MAX_CONNECTIONS) {
        die("usage", "see the head of streams.c");
    }

    for (i = 0; i < nconn; i++) {
        start(&conns[i]);
    }

    ask_many(nstreams);
    wait_for_pongs();
    early = nended;

    printf("WAITING\n");
    fflush(stdout);

    if (fgets(line, sizeof(line), stdin) == NULL) {
        return 1;
    }

    ask_many(nmore);

    while (nended < nopen) {
        serve(1000);
    }

    printf("JSON {\"ok\":%u,\"refused\":%u,\"retry_after\":%u,"
           "\"other\":%u,\"early\":%u}\n",
           nok, nrefused, nretry, nother, early);

    return 0;
}
