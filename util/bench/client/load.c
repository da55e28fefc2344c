/*
 * load: keeps many requests waiting at one server, over HTTP/1.1 on loopback,
 * or probes how late it answers.
 *
 *     load -p PORT -u PATH -c CONNECTIONS -w WAIT_MS -k SKIP_MS -d MS
 *     load -p PORT -u PATH -i INTERVAL_US -d MS
 *
 * One request is always under way on each connection; PATH answers after
 * WAIT_MS.  The first wave is spread over that time, so that the steady state
 * is smooth.  Samples of the first SKIP_MS do not count.
 *
 * With -i there is one connection and a request every INTERVAL_US.  Its latency
 * counts from when it was due, even if the answer before it was late, and the
 * probe runs before all else on its core if it may: the delays are those of the
 * server.
 *
 * Prints CONNECTED once all connections stand, and waits for a line on stdin
 * before it sends.  The last line is "JSON {...}", times in microseconds;
 * latencies are those beyond WAIT_MS.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sched.h>
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
#define BUFFER_SIZE      4096


typedef struct {
    int      fd;
    int      len;
    int64_t  sent;
    char     buf[BUFFER_SIZE];
} conn_t;


static int          port, nconn = 1, wait_ms, skip_ms, run_ms = 1000;
static int          interval_us;
static const char  *path = "/";

static char         request[512];
static int          request_len;

static uint32_t    *late;
static size_t       nlate, late_size;
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
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
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

    printf("JSON {\"requests\":%zu,\"duration_us\":%lld,\"bad\":%u,"
           "\"p50\":%u,\"p99\":%u,\"max\":%u}\n",
           nlate, (long long) us, nbad + nlost,
           percentile(50), percentile(99), percentile(100));
}


static int
dial(void)
{
    int                 fd, one = 1;
    struct linger       reset = { 1, 0 };
    struct sockaddr_in  sin = { .sin_family = AF_INET };

    fd = socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, 0);
    if (fd == -1) {
        die("socket");
    }

    sin.sin_port = htons(port);
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    /* reset at close: no TIME_WAIT piles up between rounds */
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));

    if (connect(fd, (struct sockaddr *) &sin, sizeof(sin)) == -1) {
        die("connect");
    }

    fcntl(fd, F_SETFL, O_NONBLOCK);

    return fd;
}


static conn_t *
dial_all(int ep)
{
    int                 i;
    conn_t             *conns;
    struct epoll_event  ev = { .events = EPOLLIN };

    conns = calloc(nconn, sizeof(conn_t));
    if (conns == NULL) {
        die("calloc");
    }

    for (i = 0; i < nconn; i++) {
        conns[i].fd = dial();
        ev.data.u32 = i;

        if (epoll_ctl(ep, EPOLL_CTL_ADD, conns[i].fd, &ev) == -1) {
            die("epoll_ctl");
        }

        if (i % 100 == 99) {
            /* the server's backlog is to hold */
            usleep(2000);
        }
    }

    return conns;
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
    c->sent = now();
    c->len = 0;

    if (send(c->fd, request, request_len, MSG_NOSIGNAL) != request_len) {
        lose(c);
    }
}


/* by Content-Length or by the last chunk */

static int
is_complete(conn_t *c)
{
    char  *body, *field;

    body = strstr(c->buf, "\r\n\r\n");
    if (body == NULL) {
        return 0;
    }

    body += 4;

    field = strcasestr(c->buf, "\r\ncontent-length:");
    if (field != NULL && field < body) {
        return c->buf + c->len - body >= atoi(field + 17);
    }

    return strstr(body - 2, "\r\n0\r\n\r\n") != NULL;
}


/* returns 1 when a response is complete */

static int
receive(conn_t *c)
{
    ssize_t  n;

    n = recv(c->fd, c->buf + c->len, BUFFER_SIZE - 1 - c->len, 0);

    if (n == -1 && errno == EAGAIN) {
        return 0;
    }

    if (n <= 0) {
        lose(c);
        return 0;
    }

    c->len += n;
    c->buf[c->len] = '\0';

    if (!is_complete(c)) {
        return 0;
    }

    if (strncmp(c->buf, "HTTP/1.1 200 ", 13) != 0) {
        nbad++;
    }

    return 1;
}


static void
hold(int ep, conn_t *conns)
{
    int                 i, n, due, first;
    conn_t             *c;
    int64_t             t, start, from, until;
    struct epoll_event  events[MAX_EVENTS];

    first = 0;
    start = now();
    from = start + (int64_t) skip_ms * 1000;
    until = from + (int64_t) run_ms * 1000;

    while ((t = now()) < until) {

        due = wait_ms ? (t - start) * nconn / ((int64_t) wait_ms * 1000)
                      : nconn;

        while (first < nconn && first < due) {
            ask(&conns[first++]);
        }

        n = epoll_wait(ep, events, MAX_EVENTS, first < nconn ? 1 : 20);
        t = now();

        for (i = 0; i < n; i++) {
            c = &conns[events[i].data.u32];

            if (c->fd == -1 || !receive(c)) {
                continue;
            }

            if (t >= from) {
                record(t - c->sent - (int64_t) wait_ms * 1000);
            }

            ask(c);
        }
    }

    report(now() - from);
}


static void
probe(conn_t *c)
{
    int64_t             t, due, start, until;
    struct sched_param  first = { .sched_priority = 1 };

    sched_setscheduler(0, SCHED_FIFO, &first);
    fcntl(c->fd, F_SETFL, 0);

    start = now();
    until = start + (int64_t) run_ms * 1000;

    for (due = start; due < until && c->fd != -1; due += interval_us) {

        while ((t = now()) < due) {
            usleep(due - t);
        }

        ask(c);

        while (c->fd != -1 && !receive(c)) { /* void */ }

        record(now() - due);
    }

    report(now() - start);
}


int
main(int argc, char **argv)
{
    int      option, ep;
    char     line[16];
    conn_t  *conns;

    while ((option = getopt(argc, argv, "p:u:c:w:k:d:i:")) != -1) {
        switch (option) {
        case 'p': port = atoi(optarg); break;
        case 'u': path = optarg; break;
        case 'c': nconn = atoi(optarg); break;
        case 'w': wait_ms = atoi(optarg); break;
        case 'k': skip_ms = atoi(optarg); break;
        case 'd': run_ms = atoi(optarg); break;
        case 'i': interval_us = atoi(optarg); break;
        default: return 2;
        }
    }

    if (port <= 0 || nconn < 1 || nconn > MAX_CONNECTIONS) {
        fprintf(stderr, "load: see the head of load.c\n");
        return 2;
    }

    request_len = snprintf(request, sizeof(request),
                           "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", path);

    ep = epoll_create1(EPOLL_CLOEXEC);
    conns = dial_all(ep);

    printf("CONNECTED\n");
    fflush(stdout);

    if (fgets(line, sizeof(line), stdin) == NULL) {
        return 1;
    }

    if (interval_us) {
        probe(conns);
    } else {
        hold(ep, conns);
    }

    return 0;
}
