
/*
 * Dependencies of t/depends-late.t: threads that look at what there is of a
 * request which has ended, and guards that ask for more than they have.
 */

#include <ngx_async.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>


static void
mark(async_req_t *req, const char *what, const char *more)
{
    int          fd;
    char         line[256];
    async_str_t  file = async_param(req, "marks");

    snprintf(line, sizeof(line), "%s %s\n", what, more);

    fd = open(file.data, O_WRONLY|O_APPEND|O_CLOEXEC);

    if (fd == -1 || write(fd, line, strlen(line)) != (ssize_t) strlen(line)) {
        _exit(2);
    }

    close(fd);
}


/* a thread that waits at a FIFO until the test opens it */

static void
gate(async_req_t *req)
{
    int          fd;
    async_str_t  path = async_param(req, "gate");

    mark(req, "at the gate", "");

    do {
        fd = open(path.data, O_RDONLY|O_CLOEXEC);
    } while (fd == -1 && errno == EINTR);

    close(fd);
}


/* a thread that needs the value of another one before it, and a form */

typedef struct {
    const char  *title;
} title_t;

ASYNC_MODEL(title_form, title_t,
    ASYNC_FIELD(title_t, title, ASYNC_DEFAULT("untitled")));


BLOCKING_DEPENDENCY(before, const char)
{
    char  *text = async_alloc(req, 20000);

    snprintf(text, 20000, "given before");

    return async_provide(req, text);
}


BLOCKING_HANDLER(form_late, ASYNC_DEPENDS(before), ASYNC_FORM(title_form))
{
    gate(req);
    mark(req, before_of(req), title_form_of(req)->title);

    return async_text(req, 200, before_of(req));
}


/* what of the path a coroutine has found, and a thread has */

typedef struct {
    const char  *name;
} path_t;

ASYNC_MODEL(path_params, path_t,
    ASYNC_FIELD(path_t, name, .in = ASYNC_IN_PATH));


ASYNC_DEPENDENCY(path_found, const char, ASYNC_PARAMS(path_params))
{
    return async_provide(req, async_path(req, "name").data);
}


BLOCKING_HANDLER(path_late, ASYNC_DEPENDS(path_found),
    ASYNC_PARAMS(path_params))
{
    gate(req);
    mark(req, path_found_of(req), path_params_of(req)->name);

    return async_text(req, 200, path_found_of(req));
}


/* errors of parameters that dependencies have read */

static async_rc_t
read_n(async_req_t *req)
{
    int64_t  n;

    (void) async_query_int(req, "n", &n);

    return ASYNC_OK;
}


ASYNC_DEPENDENCY(reads_n, void)
{
    return read_n(req);
}


BLOCKING_DEPENDENCY(reads_n_too, void)
{
    return read_n(req);
}


ASYNC_DEPENDENCY(checks, void)
{
    return async_valid(req);
}


ASYNC_DEPENDENCY(does_nothing, void)
{
    return ASYNC_OK;
}


static async_rc_t
validated(async_req_t *req)
{
    ASYNC_TRY(async_valid(req));

    mark(req, "ran", "although");

    return async_text(req, 200, "ran");
}


ASYNC_HANDLER(valid_async, ASYNC_DEPENDS(reads_n))
{
    return validated(req);
}


BLOCKING_HANDLER(valid_thread, ASYNC_DEPENDS(reads_n))
{
    return validated(req);
}


BLOCKING_HANDLER(valid_one_thread, ASYNC_DEPENDS(reads_n_too))
{
    return validated(req);
}


ASYNC_HANDLER(valid_together, ASYNC_DEPENDS(reads_n),
    ASYNC_DEPENDS_TOGETHER(checks, does_nothing))
{
    mark(req, "ran", "although");

    return async_text(req, 200, "ran");
}


/* a response that has begun */

ASYNC_DEPENDENCY(streams, void)
{
    return await_send(co, req, "begun", 5);
}


BLOCKING_HANDLER(thread_after_stream, ASYNC_DEPENDS(streams))
{
    return async_text(req, 200, "text");
}


ASYNC_DEPENDENCY(texts, void)
{
    return async_text(req, 200, "text");
}


ASYNC_HANDLER(together_after_stream, ASYNC_DEPENDS(streams),
    ASYNC_DEPENDS_TOGETHER(texts, does_nothing))
{
    return ASYNC_OK;
}


ASYNC_HANDLER(async_after_stream, ASYNC_DEPENDS(streams))
{
    return async_text(req, 200, "text");
}


/* guards whose thread has the loop read the body */

static async_rc_t
whole(async_t *co, void *arg)
{
    async_req_t  *req = arg;
    async_str_t   body;

    ASYNC_TRY(await_body(co, req, &body));

    return async_set_request_header(req, "X-Read", body.data);
}


static async_rc_t
json(async_t *co, void *arg)
{
    json_t       *value;
    async_req_t  *req = arg;

    ASYNC_TRY(await_json(co, req, &value));

    return async_set_request_header(req, "X-Read",
                          json_string_value(json_object_get(value, "name")));
}


static async_rc_t
form(async_t *co, void *arg)
{
    async_req_t   *req = arg;
    async_form_t  *f;

    ASYNC_TRY(await_form(co, req, &f));

    return async_set_request_header(req, "X-Read",
                                    async_form_text(f, "name").data);
}


static async_rc_t
piece(async_t *co, void *arg)
{
    char          buf[64];
    size_t        n;
    async_req_t  *req = arg;

    ASYNC_TRY(await_body_read(co, req, buf, sizeof(buf) - 1, &n));

    buf[n] = '\0';

    return async_set_request_header(req, "X-Read", buf);
}


static async_rc_t
reads(async_req_t *req)
{
    async_str_t  how = async_query(req, "how");
    async_fn_pt  fn;

    fn = strcmp(how.data, "json") == 0 ? json
         : strcmp(how.data, "form") == 0 ? form
         : strcmp(how.data, "piece") == 0 ? piece
         : whole;

    return async_call(req, fn, req);
}


BLOCKING_HANDLER(guard_reads)
{
    return reads(req);
}


BLOCKING_HANDLER(guard_reads_behind, ASYNC_DEPENDS(does_nothing))
{
    return reads(req);
}


ASYNC_HANDLER(echo)
{
    async_str_t  body, read = async_header(req, "X-Read");

    ASYNC_TRY(await_body(co, req, &body));

    return async_json_pack(req, 200, "[s, s]", read.data ? read.data : "-",
                           body.data);
}


/* guards with forms and bodies that they declare */

BLOCKING_HANDLER(guard_form, ASYNC_DEPENDS(before), ASYNC_FORM(title_form))
{
    return async_set_request_header(req, "X-Read",
                                    title_form_of(req)->title);
}


/* variables */

ASYNC_DEPENDENCY(var_a, const char)
{
    return async_provide(req, "a");
}


ASYNC_DEPENDENCY(var_b, const char)
{
    return async_provide(req, "b");
}


/* a file of a form, on disk */

typedef struct {
    async_upload_t  *file;
} file_t;

ASYNC_MODEL(file_form, file_t, ASYNC_FIELD(file_t, file));


static async_rc_t
read_file(async_req_t *req, const char *who)
{
    char             buf[4096], line[64];
    size_t           n, sum;
    async_upload_t  *file = file_form_of(req)->file;

    gate(req);

    for (sum = 0, n = 1; n; sum += n) {
        if (async_upload_read(req, file, buf, sizeof(buf), &n) != ASYNC_OK) {
            mark(req, who, "cannot read");
            return ASYNC_ERROR;
        }
    }

    snprintf(line, sizeof(line), "%d %s", (int) sum,
             async_upload_name(file).data);
    mark(req, who, line);

    return async_text(req, 200, line);
}


BLOCKING_HANDLER(file_late, ASYNC_DEPENDS(before), ASYNC_FORM(file_form))
{
    return read_file(req, "handler");
}


BLOCKING_DEPENDENCY(file_dependency, void, ASYNC_FORM(file_form))
{
    return read_file(req, "dependency");
}


ASYNC_DEPENDENCY(fails_at_gate, void)
{
    char          state[4096] = "";
    FILE         *f;

    /* the thread is there */

    do {
        ASYNC_TRY(await_sleep(co, 10));

        f = fopen(async_param(req, "marks").data, "re");
        state[fread(state, 1, sizeof(state) - 1, f)] = '\0';
        fclose(f);
    } while (strstr(state, "at the gate") == NULL);

    return async_fail(req, 418, "beside the thread");
}


ASYNC_HANDLER(file_together, ASYNC_DEPENDS(before),
    ASYNC_DEPENDS_TOGETHER(file_dependency, fails_at_gate))
{
    return async_text(req, 200, "not reached");
}


/* coroutines under a thread, whose request ends */

static async_rc_t
sleeps(async_t *co, async_req_t *req, const char *who)
{
    async_rc_t  rc;

    mark(req, who, "sleeps");

    rc = await_sleep(co, 600000);

    mark(req, who, async_path(req, "name").data);

    return rc;
}


ASYNC_DEPENDENCY(sleeps_left, void)
{
    return sleeps(co, req, "left");
}


ASYNC_DEPENDENCY(sleeps_right, void)
{
    return sleeps(co, req, "right");
}


BLOCKING_HANDLER(sleeps_under, ASYNC_DEPENDS(before),
    ASYNC_DEPENDS_TOGETHER(sleeps_left, sleeps_right))
{
    return async_text(req, 200, "not reached");
}


/* what is torn down when a worker ends before its threads */

static async_rc_t
end(async_t *co, async_req_t *req, async_rc_t outcome, void *arg)
{
    int   fd;
    char  *file = arg;

    ASYNC_TRY(await_sleep(co, 20));

    fd = open(file, O_WRONLY|O_APPEND|O_CLOEXEC);

    if (fd == -1 || write(fd, "torn down\n", 10) != 10) {
        _exit(2);
    }

    close(fd);

    return ASYNC_OK;
}


ASYNC_DEPENDENCY(leased, const char)
{
    char  file[512];

    snprintf(file, sizeof(file), "%s", async_param(req, "marks").data);

    ASYNC_TRY(async_teardown(req, end, &file));

    return async_provide(req, async_path(req, "name").data);
}


BLOCKING_HANDLER(leased_late, ASYNC_DEPENDS(leased))
{
    gate(req);
    mark(req, leased_of(req), "through");

    return async_text(req, 200, leased_of(req));
}


BLOCKING_HANDLER(guard_leased, ASYNC_DEPENDS(leased))
{
    gate(req);
    mark(req, "guard", "through");

    return async_set_request_header(req, "X-Read", "leased");
}
