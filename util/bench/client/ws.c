/*
 * ws: a client of WebSockets on loopback.
 *
 *     ws echo -p PORT -u PATH -c CONNECTIONS -b BYTES [-d MS] [-n MESSAGES]
 *     ws cast -p PORT -u PATH -c CONNECTIONS -b BYTES [-d MS] [-n MESSAGES]
 *             [-w UNDER_WAY]
 *     ws idle -p PORT -u PATH -c CONNECTIONS -b BYTES [-d MS] [-n MESSAGES]
 *     ws held -p PORT -u PATH -c CONNECTIONS
 *
 * echo: one binary message is always under way on each connection, which gets
 * it back.  cast: the first connection sends binary messages, each of which all
 * connections get; so many are under way.  Both end after MS, or after so many
 * messages of each connection that sends.  idle: the connections do nothing,
 * before or after so many messages that are sent back.  held: no WebSockets but
 * requests whose bodies do not come.
 *
 * Prints CONNECTED once all handshakes are done, and waits for a line on stdin;
 * idle does so with ANSWERED again, once its messages are back.
 * The last line is "JSON {...}", times in microseconds: latencies are those of
 * messages sent back; of cast, until the last one has got it.
 *
 * Keys and masks are constant, as servers have to take any.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>


#define MAX_CONNECTIONS  19900
#define MAX_EVENTS       512
#define MAX_BYTES        65535
#define MAX_UNDER_WAY    64
#define HEAD_SIZE        1024
#define BUFFER_SIZE      65536

#define KEY     "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT  "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


typedef struct {
    int      fd;
    int      pos;               /* in the frame that comes */
    int64_t  sent;
    long     got, asked;
} conn_t;


static int          port, nconn = 1, bytes = 125, run_ms = 1000, window = 1;
static long         most;
static const char  *path = "/";

static conn_t      *conns;
static int          ep;

static char         message[MAX_BYTES + 8];
static char         frame[MAX_BYTES + 4];
static int          message_len, frame_len;

/* of cast: when a message went, how many have it */
static int64_t      went[MAX_UNDER_WAY];
static int          have[MAX_UNDER_WAY];

static uint32_t    *late;
static size_t       nlate, late_size;
static long         ngot;
static unsigned     nbad, nlost;


static int64_t
now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}


static void
die(const char *what)
{
    fprintf(stderr, "ws: %s: %s\n", what, strerror(errno));
    exit(1);
}


static void
record(int64_t us)
{
    if (nlate == late_size) {
        late_size = late_size ? late_size * 2 : 65536;

        late = realloc(late, late_size * sizeof(uint32_t));
        if (late == NULL) {
            die("realloc");
        }
    }

    late[nlate++] = us < 0 ? 0 : us > UINT32_MAX ? UINT32_MAX : us;
}


static int
compare(const void *one, const void *two)
{
    uint32_t  a = *(const uint32_t *) one;
    uint32_t  b = *(const uint32_t *) two;

    return (a > b) - (a < b);
}


static unsigned
percentile(double p)
{
    size_t  i;

    i = p / 100 * nlate;

    return nlate ? late[i < nlate ? i : nlate - 1] : 0;
}


static void
report(int64_t us)
{
    qsort(late, nlate, sizeof(uint32_t), compare);

    printf("JSON {\"requests\":%ld,\"messages\":%zu,\"duration_us\":%lld,"
           "\"bad\":%u,\"p50\":%u,\"p99\":%u,\"max\":%u}\n",
           ngot, nlate, (long long) us, nbad + nlost,
           percentile(50), percentile(99), percentile(100));
}


static void
dial(conn_t *c)
{
    int                 one = 1;
    struct linger       reset = { 1, 0 };
    struct sockaddr_in  sin = { .sin_family = AF_INET };
    struct epoll_event  ev = { .events = EPOLLIN };

    c->fd = socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, 0);
    if (c->fd == -1) {
        die("socket");
    }

    sin.sin_port = htons(port);
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    /* reset at close: no TIME_WAIT piles up between rounds */
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));

    if (connect(c->fd, (struct sockaddr *) &sin, sizeof(sin)) == -1) {
        die("connect");
    }

    ev.data.u32 = c - conns;

    if (epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &ev) == -1) {
        die("epoll_ctl");
    }
}


/* byte by byte at the end of it, as a frame may follow at once */

static void
handshake(conn_t *c)
{
    int   n, len = 0;
    char  head[HEAD_SIZE];

    n = snprintf(head, sizeof(head),
                 "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                 "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                 "Sec-WebSocket-Key: " KEY "\r\n"
                 "Sec-WebSocket-Version: 13\r\n\r\n", path);

    if (send(c->fd, head, n, MSG_NOSIGNAL) != n) {
        die("send");
    }

    do {
        if (len == HEAD_SIZE - 1 || recv(c->fd, head + len, 1, 0) != 1) {
            fprintf(stderr, "ws: no handshake: %.*s\n", len, head);
            exit(1);
        }

        head[++len] = '\0';

    } while (len < 4 || memcmp(head + len - 4, "\r\n\r\n", 4) != 0);

    if (strncmp(head, "HTTP/1.1 101 ", 13) != 0 || !strstr(head, ACCEPT)) {
        fprintf(stderr, "ws: no handshake: %s\n", head);
        exit(1);
    }

    fcntl(c->fd, F_SETFL, O_NONBLOCK);
}


/* as there is no answer, no more at once than a listen queue holds */

static void
hold(conn_t *c)
{
    int              n;
    char             head[HEAD_SIZE];
    struct timespec  pause = { 0, 100000000 };

    n = snprintf(head, sizeof(head), "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                 "Content-Length: 1\r\n\r\n", path);

    if (send(c->fd, head, n, MSG_NOSIGNAL) != n) {
        die("send");
    }

    if ((c - conns) % 100 == 99) {
        nanosleep(&pause, NULL);
    }
}


static void
connect_all(void (*begin)(conn_t *c))
{
    int  i;

    conns = calloc(nconn, sizeof(conn_t));
    if (conns == NULL) {
        die("calloc");
    }

    for (i = 0; i < nconn; i++) {
        dial(&conns[i]);
        begin(&conns[i]);
    }
}


static int
make_head(char *to, int masked)
{
    int  n = 0;

    to[n++] = (char) 0x82;

    if (bytes < 126) {
        to[n++] = (char) (masked << 7 | bytes);

    } else {
        to[n++] = (char) (masked << 7 | 126);
        to[n++] = (char) (bytes >> 8);
        to[n++] = (char) bytes;
    }

    return n;
}


static void
make_message(void)
{
    int                i, k, n;
    static const char  mask[4] = { 0x37, (char) 0xfa, 0x21, 0x3d };

    k = make_head(frame, 0);
    n = make_head(message, 1);

    memcpy(message + n, mask, 4);
    n += 4;

    for (i = 0; i < bytes; i++) {
        frame[k + i] = (char) ('a' + i % 26);
        message[n + i] = (char) (frame[k + i] ^ mask[i & 3]);
    }

    frame_len = k + bytes;
    message_len = n + bytes;
}


static void
lose(conn_t *c)
{
    nlost++;
    close(c->fd);
    c->fd = -1;
}


static void
ask(conn_t *c)
{
    if (most && c->asked == most) {
        return;
    }

    c->asked++;
    c->sent = now();

    if (send(c->fd, message, message_len, MSG_NOSIGNAL) != message_len) {
        lose(c);
    }
}


/* Frames that are all the same: how many have come to their end. */

static int
receive(conn_t *c)
{
    int          n, len, got = 0;
    char        *p;
    static char  buf[BUFFER_SIZE];

    n = recv(c->fd, buf, sizeof(buf), 0);

    if (n == -1 && errno == EAGAIN) {
        return 0;
    }

    if (n <= 0) {
        lose(c);
        return 0;
    }

    for (p = buf; n; p += len, n -= len) {
        len = frame_len - c->pos;
        len = n < len ? n : len;

        nbad += (memcmp(p, frame + c->pos, len) != 0);
        c->pos += len;

        if (c->pos == frame_len) {
            c->pos = 0;
            got++;
        }
    }

    ngot += got;

    return got;
}


static void
echoed(conn_t *c, int64_t t)
{
    int  n;

    for (n = receive(c); n; n--) {
        record(t - c->sent);
        ask(c);
    }
}


static void
cast_on(void)
{
    conn_t  *c = &conns[0];

    went[c->asked % window] = now();
    have[c->asked % window] = 0;

    ask(c);
}


static void
delivered(conn_t *c, int64_t t)
{
    int  n, k;

    for (n = receive(c); n; n--) {
        k = c->got++ % window;

        if (++have[k] == nconn) {
            record(t - went[k]);
            cast_on();
        }
    }
}


static void
run(void (*handler)(conn_t *c, int64_t t), int64_t until)
{
    int                 i, n;
    conn_t             *c;
    int64_t             t;
    struct epoll_event  events[MAX_EVENTS];

    for (t = now();
         t < until && (most == 0 || (long) nlate < most * (handler == echoed
                                                           ? nconn : 1));
         t = now())
    {
        n = epoll_wait(ep, events, MAX_EVENTS, 20);
        t = now();

        for (i = 0; i < n; i++) {
            c = &conns[events[i].data.u32];

            if (c->fd != -1) {
                handler(c, t);
            }
        }
    }
}


int
main(int argc, char **argv)
{
    int      i, option;
    char     line[16];
    int64_t  start;

    optind = 2;

    while ((option = getopt(argc, argv, "p:u:c:b:d:n:w:")) != -1) {
        switch (option) {
        case 'p': port = atoi(optarg); break;
        case 'u': path = optarg; break;
        case 'c': nconn = atoi(optarg); break;
        case 'b': bytes = atoi(optarg); break;
        case 'd': run_ms = atoi(optarg); break;
        case 'n': most = atol(optarg); break;
        case 'w': window = atoi(optarg); break;
        default: return 2;
        }
    }

    if (port <= 0 || nconn < 1 || nconn > MAX_CONNECTIONS || bytes < 1
        || bytes > MAX_BYTES || window < 1 || window > MAX_UNDER_WAY)
    {
        fprintf(stderr, "ws: see the head of ws.c\n");
        return 2;
    }

    ep = epoll_create1(EPOLL_CLOEXEC);
    make_message();
    connect_all(strcmp(argv[1], "held") == 0 ? hold : handshake);

    printf("CONNECTED\n");
    fflush(stdout);

    if (fgets(line, sizeof(line), stdin) == NULL) {
        return 1;
    }

    start = now();

    if (strcmp(argv[1], "echo") == 0
        || (strcmp(argv[1], "idle") == 0 && most))
    {
        for (i = 0; i < nconn; i++) {
            ask(&conns[i]);
        }

        run(echoed, start + (int64_t) run_ms * 1000);

        if (strcmp(argv[1], "idle") == 0) {
            printf("ANSWERED\n");
            fflush(stdout);

            if (fgets(line, sizeof(line), stdin) == NULL) {
                return 1;
            }
        }

    } else if (strcmp(argv[1], "cast") == 0) {

        for (i = 0; i < window; i++) {
            cast_on();
        }

        run(delivered, start + (int64_t) run_ms * 1000);
    }

    report(now() - start);

    return 0;
}
