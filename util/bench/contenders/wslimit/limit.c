/*
 * The limit of WebSockets: one thread, epoll, and what no server can do
 * without.  The answer to the handshake is constant, frames are believed to be
 * masked, whole messages of up to 125 bytes, and nothing is checked, nothing
 * ever waits to be sent.
 *
 *     limit PORT
 *
 * Sends what comes back (/echo), or to all who have asked for /cast.
 */

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>


#define MAX_FDS     20000
#define MAX_EVENTS  512
#define SIZE        1024
#define MAX_LEN     125

#define JSON                                                                 \
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"                  \
    "Content-Length: 2\r\nConnection: close\r\n\r\n{}"

#define SWITCHING                                                            \
    "HTTP/1.1 101 Switching Protocols\r\n"                                   \
    "Upgrade: websocket\r\nConnection: Upgrade\r\n"                          \
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"


typedef struct {
    int            len;
    int            open;
    int            casts;
    unsigned char  in[SIZE];
} conn_t;


static conn_t  conns[MAX_FDS];
static int     ep, members[MAX_FDS], nmembers;


static int
listening(int port)
{
    int                 fd, one = 1;
    struct sockaddr_in  sin = { .sin_family = AF_INET };

    fd = socket(AF_INET, SOCK_STREAM, 0);

    sin.sin_port = htons(port);
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));

    if (bind(fd, (struct sockaddr *) &sin, sizeof(sin)) == -1
        || listen(fd, 4096) == -1)
    {
        exit(1);
    }

    return fd;
}


static void
watch(int fd)
{
    struct epoll_event  ev = { .events = EPOLLIN };

    ev.data.fd = fd;
    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
}


static void
accept_one(int from)
{
    int  fd, one = 1;

    fd = accept(from, NULL, NULL);

    if (fd == -1 || fd >= MAX_FDS) {
        exit(1);
    }

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    memset(&conns[fd], 0, sizeof(conn_t) - SIZE);
    watch(fd);
}


static void
leave(int fd)
{
    int  i;

    for (i = 0; conns[fd].casts && i < nmembers; i++) {
        if (members[i] == fd) {
            members[i] = members[--nmembers];
            break;
        }
    }

    close(fd);
}


static void
say(int fd, const void *data, size_t len)
{
    if (send(fd, data, len, MSG_NOSIGNAL|MSG_DONTWAIT) == -1) {
        /* it is seen when it is read */
        shutdown(fd, SHUT_RDWR);
    }
}


static void
answer(int fd, conn_t *c)
{
    c->in[c->len] = '\0';

    if (strstr((char *) c->in, "\r\n\r\n") == NULL) {
        return;
    }

    c->len = 0;

    if (strncmp((char *) c->in, "GET /json ", 10) == 0) {
        say(fd, JSON, sizeof(JSON) - 1);
        shutdown(fd, SHUT_WR);
        return;
    }

    c->open = 1;

    if (strncmp((char *) c->in, "GET /cast ", 10) == 0) {
        c->casts = 1;
        members[nmembers++] = fd;
    }

    say(fd, SWITCHING, sizeof(SWITCHING) - 1);
}


/* header, mask, data */

static void
frame(int fd, conn_t *c, int len)
{
    int            i;
    unsigned char  out[2 + MAX_LEN], *p = c->in;

    out[0] = p[0];
    out[1] = (unsigned char) len;

    for (i = 0; i < len; i++) {
        out[2 + i] = p[6 + i] ^ p[2 + (i & 3)];
    }

    if (!c->casts) {
        say(fd, out, 2 + len);
        return;
    }

    for (i = 0; i < nmembers; i++) {
        say(members[i], out, 2 + len);
    }
}


static void
read_one(int fd)
{
    int      n, len;
    conn_t  *c = &conns[fd];

    n = recv(fd, c->in + c->len, SIZE - 1 - c->len, 0);

    if (n <= 0) {
        leave(fd);
        return;
    }

    c->len += n;

    if (!c->open) {
        answer(fd, c);
        return;
    }

    while (c->len >= 6) {
        len = c->in[1] & 0x7f;

        if (len > MAX_LEN) {
            exit(1);
        }

        if (c->len < 6 + len) {
            return;
        }

        frame(fd, c, len);

        c->len -= 6 + len;
        memmove(c->in, c->in + 6 + len, c->len);
    }
}


int
main(int argc, char **argv)
{
    int                 i, n, fd;
    struct epoll_event  events[MAX_EVENTS];

    if (argc < 2) {
        return 2;
    }

    fd = listening(atoi(argv[1]));
    ep = epoll_create1(0);
    watch(fd);

    for ( ;; ) {
        n = epoll_wait(ep, events, MAX_EVENTS, -1);

        for (i = 0; i < n; i++) {
            if (events[i].data.fd == fd) {
                accept_one(fd);
            } else {
                read_one(events[i].data.fd);
            }
        }
    }
}
