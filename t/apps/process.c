
/*
 * Handlers of t/process.t: processes as the query says, and what has come of
 * them.
 */

#include <ngx_async.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>


#define SIZE_OF_BLOCK  65536


typedef struct {
    int      n;
    int64_t  sum;
    pid_t    pid;
    char     text[200];
} work_t;


typedef struct {
    async_process_t  *p;
    size_t            left;
    size_t            n;
    int               sorted;
    async_rc_t        rc;
} stream_t;


static const char **
list_of(async_req_t *req, const char *name)
{
    size_t              i, n;
    const char        **list;
    const async_str_t  *values;

    n = async_query_list(req, name, &values);

    if (n == 0) {
        return NULL;
    }

    list = async_alloc(req, (n + 1) * sizeof(char *));

    for (i = 0; i < n; i++) {
        list[i] = values[i].data;
    }

    list[n] = NULL;

    return list;
}


static async_rc_t
command_of(async_req_t *req, async_command_t *command)
{
    int64_t  max, grace, flags;

    ASYNC_TRY(async_query_int_or(req, "max", &max, 0));
    ASYNC_TRY(async_query_int_or(req, "grace", &grace, 0));
    ASYNC_TRY(async_query_int_or(req, "flags", &flags, 0));

    memset(command, 0, sizeof(async_command_t));

    command->argv = list_of(req, "argv");
    command->env = list_of(req, "env");
    command->dir = async_query(req, "dir").data;
    command->input = async_query(req, "input");
    command->max = (size_t) max;
    command->grace = grace;
    command->flags = (unsigned) flags;

    return ASYNC_OK;
}


static json_t *
text_of(async_str_t s)
{
    return s.data ? json_stringn(s.data, s.len) : json_null();
}


static async_rc_t
answer(async_t *co, async_req_t *req, int rc, async_command_t *command)
{
    return async_json(req, 200,
                      json_pack("{s:i, s:s, s:i, s:i, s:o, s:o}",
                                "rc", rc, "error", rc ? async_error(co) : "",
                                "status", command->status,
                                "signal", command->signal,
                                "output", text_of(command->output),
                                "errors", text_of(command->errors)));
}


/* /run?argv=&argv=&env=&dir=&input=&max=&grace=&flags=&deadline= */

ASYNC_HANDLER(run)
{
    int              rc;
    int64_t          deadline;
    async_command_t  command;

    ASYNC_TRY(async_query_int_or(req, "deadline", &deadline, 60000));
    ASYNC_TRY(command_of(req, &command));

    {
        ASYNC_DEADLINE(co, deadline);

        rc = await_process(co, &command);
    }

    async_task_log(co, ASYNC_LOG_NOTICE, "<run ends %d>", rc);

    return answer(co, req, rc, &command);
}


/* /pieces?argv=&...&put=&put=: what is put, one after the other, is got back */

ASYNC_HANDLER(pieces)
{
    int               rc;
    char              buf[100];
    size_t            i, n;
    json_t           *got;
    const char      **put;
    async_command_t   command;
    async_process_t  *p;

    ASYNC_TRY(command_of(req, &command));
    put = list_of(req, "put");

    rc = await_process_open(co, &command, &p);

    if (rc != ASYNC_OK) {
        return answer(co, req, rc, &command);
    }

    got = json_array();

    for (i = 0; put && put[i] && rc == ASYNC_OK; i++) {

        rc = await_process_put(co, p, put[i], strlen(put[i]));

        if (rc == ASYNC_OK) {
            rc = await_process_get(co, p, buf, sizeof(buf), &n);
        }

        if (rc == ASYNC_OK) {
            json_array_append_new(got, json_stringn(buf, n));
        }
    }

    if (rc == ASYNC_OK) {
        rc = async_process_eof(co, p);
    }

    while (rc == ASYNC_OK) {
        rc = await_process_get(co, p, buf, sizeof(buf), &n);

        if (rc == ASYNC_OK && n == 0) {
            break;
        }

        json_array_append_new(got, json_stringn(buf, n));
    }

    if (rc == ASYNC_OK && (command.flags & ASYNC_PROCESS_ERRORS)) {
        rc = await_process_get_errors(co, p, buf, sizeof(buf), &n);
        json_array_append_new(got, json_stringn(buf, n));
    }

    if (rc == ASYNC_OK) {
        rc = await_process_close(co, p, &command);
    }

    if (rc != ASYNC_OK) {
        json_decref(got);
        return answer(co, req, rc, &command);
    }

    return async_json(req, 200,
                      json_pack("{s:i, s:i, s:o, s:o, s:i}", "rc", rc,
                                "status", command.status, "got", got,
                                "errors", text_of(command.errors), "closed",
                                await_process_put(co, p, "x", 1)));
}


static async_rc_t
writer(async_t *co, void *arg)
{
    char       block[SIZE_OF_BLOCK];
    size_t     i, n, part;
    stream_t  *s = arg;

    n = 0;

    while (s->left) {
        part = s->left < sizeof(block) ? s->left : sizeof(block);

        for (i = 0; i < part; i++, n++) {
            block[i] = (char) (n % 251);
        }

        ASYNC_TRY(await_process_put(co, s->p, block, part));

        s->left -= part;
    }

    return async_process_eof(co, s->p);
}


static async_rc_t
reader(async_t *co, void *arg)
{
    char       block[SIZE_OF_BLOCK];
    size_t     i, n;
    stream_t  *s = arg;

    s->sorted = 1;

    for ( ;; ) {
        ASYNC_TRY(await_process_get(co, s->p, block, sizeof(block), &n));

        if (n == 0) {
            return ASYNC_OK;
        }

        for (i = 0; i < n; i++, s->n++) {
            s->sorted &= (block[i] == (char) (s->n % 251));
        }
    }
}


/* /through?bytes=: two tasks, one on each side of cat */

ASYNC_HANDLER(through)
{
    int64_t           bytes;
    stream_t          s = { 0 };
    async_work_t      work[] = { { writer, &s, ASYNC_OK, NULL },
                                 { reader, &s, ASYNC_OK, NULL } };
    const char       *argv[] = { "cat", NULL };
    async_command_t   command = { .argv = argv };

    ASYNC_TRY(async_query_int_or(req, "bytes", &bytes, 1000000));

    s.left = (size_t) bytes;

    ASYNC_TRY(await_process_open(co, &command, &s.p));
    ASYNC_TRY(await_all(co, work, 2));
    ASYNC_TRY(await_process_close(co, s.p, &command));

    return async_json_pack(req, 200, "{s:I, s:b, s:i}", "n",
                           (json_int_t) s.n, "sorted", s.sorted, "status",
                           command.status);
}


/* /echo: a body through cat, in one piece */

ASYNC_HANDLER(echo)
{
    async_str_t       body;
    const char       *argv[] = { "cat", NULL };
    async_command_t   command = { .argv = argv, .max = 64 * 1024 * 1024 };

    ASYNC_TRY(await_body(co, req, &body));

    command.input = body;

    ASYNC_TRY(await_process(co, &command));

    return async_bytes(req, 200, NULL, command.output.data,
                       command.output.len);
}


/* /busy: a second reader, a second who closes, the end while one reads */

static async_rc_t
reads(async_t *co, void *arg)
{
    char    buf[10];
    size_t  n;

    return await_process_get(co, (async_process_t *) arg, buf, sizeof(buf),
                             &n);
}


ASYNC_HANDLER(busy)
{
    int               first, second, closes, kills, after;
    async_child_t    *child;
    const char       *argv[] = { "sleep", "1000", NULL };
    async_command_t   command = { .argv = argv };
    async_process_t  *p;

    ASYNC_TRY(await_process_open(co, &command, &p));

    child = async_spawn(co, reads, p);

    if (child == NULL) {
        return ASYNC_BUSY;
    }

    ASYNC_TRY(await_yield(co));

    second = reads(co, p);
    closes = await_process_close(co, p, &command);
    kills = async_process_signal(co, p, SIGKILL);
    first = await_join(co, child);

    ASYNC_TRY(await_process_close(co, p, &command));

    after = async_process_signal(co, p, SIGKILL);

    return async_json_pack(req, 200, "{s:i, s:i, s:i, s:i, s:i, s:i}",
                           "first", first, "second", second, "closes", closes,
                           "kills", kills, "signal", command.signal, "after",
                           after);
}


/*
 * /greedy?ms=: reads what never ends in small pieces, and takes its time with
 * each, so that there is always more
 */

ASYNC_HANDLER(greedy)
{
    int               rc;
    char              buf[100];
    size_t            i, n;
    int64_t           ms;
    const char       *argv[] = { "yes", NULL };
    async_command_t   command = { .argv = argv };
    async_process_t  *p;

    ASYNC_TRY(async_query_int_or(req, "ms", &ms, 300));
    ASYNC_TRY(await_process_open(co, &command, &p));

    async_log(req, ASYNC_LOG_NOTICE, "<greedy>");

    ASYNC_DEADLINE(co, ms);

    rc = ASYNC_OK;

    for (i = 0; i < 20000 && rc == ASYNC_OK; i++) {
        usleep(200);
        rc = await_process_get(co, p, buf, sizeof(buf), &n);
    }

    return async_json_pack(req, 200, "{s:i}", "rc", rc);
}


/* /left?how=: processes that nobody closes; the log tells their numbers */

ASYNC_HANDLER(left)
{
    char              buf[20];
    size_t            n;
    async_str_t       how;
    const char       *argv[] = { "sh", "-c", "echo $$; exec sleep 1000",
                                 NULL };
    async_command_t   command = { .argv = argv };
    async_process_t  *p;

    how = async_query(req, "how");

    if (how.data && strcmp(how.data, "behind") == 0) {
        argv[2] = "sleep 1000 > /dev/null 2>&1 & echo $!";

    } else if (how.data && strcmp(how.data, "deaf") == 0) {
        argv[2] = "trap '' TERM; echo $$; while :; do sleep 1; done";
        command.grace = 3600000;
    }

    {
        ASYNC_MEMORY(co);

        ASYNC_TRY(await_process_open(co, &command, &p));
        ASYNC_TRY(await_process_get(co, p, buf, sizeof(buf), &n));

        async_log(req, ASYNC_LOG_NOTICE, "<left %d>", atoi(buf));

        if (how.data && strcmp(how.data, "inside") == 0) {
            return async_text(req, 200, "inside\n");
        }
    }

    ASYNC_TRY(await_process_open(co, &command, &p));
    ASYNC_TRY(await_process_get(co, p, buf, sizeof(buf), &n));

    async_log(req, ASYNC_LOG_NOTICE, "<left %d>", atoi(buf));

    if (how.data && strcmp(how.data, "waits") == 0) {
        return await_process_close(co, p, &command);
    }

    if (how.data && strcmp(how.data, "behind") == 0) {
        /* the end of sh, which is not that of its sleep */
        ASYNC_TRY(await_process_get(co, p, buf, sizeof(buf), &n));
        ASYNC_TRY(await_sleep(co, 50));
    }

    return async_text(req, 200, "left\n");
}


/* /many: as many at once as there may be */

ASYNC_HANDLER(many)
{
    int               n, rc = ASYNC_OK;
    const char       *argv[] = { "sleep", "1000", NULL };
    async_command_t   command = { .argv = argv };
    async_process_t  *p;

    for (n = 0; n < 100 && rc == ASYNC_OK; n++) {
        rc = await_process_open(co, &command, &p);
    }

    return async_json_pack(req, 200, "{s:i, s:i, s:s}", "n", n - 1, "rc", rc,
                           "error", async_error(co));
}


/* functions in processes */

static int  counter;


ASYNC_PROCESS(adds)
{
    int      i;
    work_t  *work = arg;

    for (i = 1; i <= work->n; i++) {
        work->sum += i;
    }

    work->pid = getpid();
    counter++;
    snprintf(work->text, sizeof(work->text), "counter %d, parent %d, in %s",
             counter, getppid(), getenv("LD_PRELOAD") ? "LD_PRELOAD" : "none");

    return ASYNC_OK;
}


ASYNC_PROCESS(fails)
{
    ((work_t *) arg)->sum = -1;

    return async_thread_fail(ASYNC_INVALID, "%d is too much",
                             ((work_t *) arg)->n);
}


ASYNC_PROCESS(crashes)
{
    fprintf(stderr, "about to fall\n");

    /* one that no handler of a sanitizer catches */
    raise(SIGKILL);

    return ASYNC_OK;
}


ASYNC_PROCESS(leaves)
{
    fprintf(stderr, "no more\n");
    exit(3);
}


ASYNC_PROCESS(prints)
{
    int  i;

    printf("on standard output\n");
    async_thread_log(ASYNC_LOG_NOTICE, "by async_thread_log(%d)", 1);
    fprintf(stderr, "on standard error: \033[1m\n\nand");

    if (((work_t *) arg)->n) {

        for (i = 0; i < 100000; i++) {
            printf("line %d\n", i);
        }
    }

    return ASYNC_OK;
}


ASYNC_PROCESS(sleeps)
{
    work_t  *work = arg;

    fprintf(stderr, "<sleeps %d>\n", getpid());

    if (work->text[0]) {
        char   name[300];
        FILE  *f;

        snprintf(name, sizeof(name), "%s.new", work->text);
        f = fopen(name, "w");

        if (f) {
            fprintf(f, "%d", getpid());
            fclose(f);
            rename(name, work->text);
        }
    }

    sleep(1000);

    return ASYNC_OK;
}


/* writes where its argument is not: before it, from the start of the page */

ASYNC_PROCESS(tramples)
{
    work_t     *work = arg;
    uintptr_t   page = (uintptr_t) arg & ~(uintptr_t) 4095;

    work->sum = work->n;
    memset((void *) page, 0x7f, (uintptr_t) arg - page);

    return ASYNC_OK;
}


static async_rc_t
not_exported(void *arg)
{
    return ASYNC_OK;
}


/* /call?fn=&n=&text= */

ASYNC_HANDLER(call)
{
    int          rc;
    work_t       work = { 0 };
    int64_t      n;
    async_str_t  fn, text;

    ASYNC_TRY(async_query_int_or(req, "n", &n, 0));
    fn = async_query(req, "fn");
    text = async_query(req, "text");

    work.n = (int) n;

    if (text.data) {
        snprintf(work.text, sizeof(work.text), "%s", text.data);
    }

    rc = !strcmp(fn.data, "adds") ? await_process_call(co, adds, &work)
       : !strcmp(fn.data, "fails") ? await_process_call(co, fails, &work)
       : !strcmp(fn.data, "crashes") ? await_process_call(co, crashes, &work)
       : !strcmp(fn.data, "leaves") ? await_process_call(co, leaves, &work)
       : !strcmp(fn.data, "prints") ? await_process_call(co, prints, &work)
       : !strcmp(fn.data, "sleeps") ? await_process_call(co, sleeps, &work)
       : !strcmp(fn.data, "tramples")
         ? await_process_call(co, tramples, &work)
       : await_process_call(co, not_exported, &work);

    async_log(req, ASYNC_LOG_NOTICE, "<call ends %d>", rc);

    return async_json_pack(req, 200, "{s:i, s:s, s:I, s:b, s:s}", "rc", rc,
                           "error", rc ? async_error(co) : "", "sum",
                           (json_int_t) work.sum, "own",
                           work.pid != getpid(), "text", work.text);
}


/* /function: one as a command, with input and output */

ASYNC_PROCESS(shouts)
{
    int  c;

    while ((c = getchar()) != EOF) {
        putchar(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
    }

    fprintf(stderr, "%s", arg ? "with" : "without");

    return ASYNC_OK;
}


ASYNC_HANDLER(function)
{
    int              rc;
    async_command_t  command;

    ASYNC_TRY(command_of(req, &command));

    command.fn = shouts;

    rc = await_process(co, &command);

    return answer(co, req, rc, &command);
}


/* /pool: two at once, each in a child of its own */

static async_rc_t
one_call(async_t *co, void *arg)
{
    return await_process_call(co, adds, (work_t *) arg);
}


ASYNC_HANDLER(pool)
{
    work_t        a = { .n = 10 }, b = { .n = 100 };
    async_work_t  work[] = { { one_call, &a, ASYNC_OK, NULL },
                             { one_call, &b, ASYNC_OK, NULL } };

    ASYNC_TRY(await_all(co, work, 2));

    return async_json_pack(req, 200, "[I, I, b]", (json_int_t) a.sum,
                           (json_int_t) b.sum, a.pid != b.pid);
}


/* /two: the results of two go into a third command, which asks for nothing */

ASYNC_HANDLER(two)
{
    int               first, second;
    work_t            work = { .n = 4 };
    json_t           *errors;
    const char       *argv[] = { "sh", "-c", "echo e >&2; exit 4", NULL };
    async_command_t   program = { .argv = argv, .flags = ASYNC_PROCESS_CHECK };
    async_command_t   function = { .fn = adds, .arg = &work,
                                   .arg_size = sizeof(work) };
    async_command_t   result = { 0 };
    async_process_t  *p, *q;

    ASYNC_TRY(await_process_open(co, &program, &p));
    ASYNC_TRY(await_process_open(co, &function, &q));

    first = await_process_close(co, p, &result);
    errors = text_of(result.errors);
    second = await_process_close(co, q, &result);

    return async_json_pack(req, 200, "[i, o, i, o, I]", first, errors, second,
                           text_of(result.errors), (json_int_t) work.sum);
}


/* a wait() of the app takes what is not its own, before the loop looks */

ASYNC_HANDLER(taken)
{
    const char       *argv[] = { "true", NULL };
    async_command_t   command = { .argv = argv };
    async_process_t  *p;

    ASYNC_TRY(await_process_open(co, &command, &p));

    if (wait(NULL) == -1) {
        return async_fail(req, 500, "there is none to be taken");
    }

    return answer(co, req, await_process_close(co, p, &command), &command);
}


ASYNC_HANDLER(hello)
{
    return async_text(req, 200, "hello\n");
}


/* tasks without a request */

ASYNC_TASK(alone)
{
    static char      line[100];
    work_t           work = { .n = 4 };
    const char      *argv[] = { "echo", "from a program", NULL };
    async_command_t  command = { .argv = argv };

    ASYNC_TRY(await_process(co, &command));
    ASYNC_TRY(await_process_call(co, adds, &work));

    snprintf(line, sizeof(line), "%d, %s", (int) work.sum,
             command.output.data);
    *(const char **) arg = line;

    return ASYNC_OK;
}
