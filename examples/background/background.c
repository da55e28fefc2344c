
/*
 * Work after the response: who signs up is answered at once; the mail goes out
 * after that, as a coroutine, and the journal is written in a thread.
 */

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <ngx_async.h>


#define MAX_SHOWN  65536


typedef struct {
    const char  *email;
} sign_up_t;


static FILE  *journal;


ASYNC_STARTUP(open_journal)
{
    async_str_t  path = async_task_param(co, "journal");

    journal = path.data ? fopen(path.data, "a+") : tmpfile();

    return journal ? ASYNC_OK : ASYNC_ERROR;
}


/* By then nothing is to be done any more. */

ASYNC_SHUTDOWN(close_journal)
{
    return fclose(journal) == 0 ? ASYNC_OK : ASYNC_ERROR;
}


/* On the loop, where it may await: here it would speak with a mail server. */

static async_rc_t
send_mail(async_t *co, void *arg)
{
    sign_up_t  *new = arg;

    ASYNC_TRY(await_sleep(co, 200));

    async_task_log(co, ASYNC_LOG_NOTICE, "mail to %s is sent", new->email);

    return ASYNC_OK;
}


/* In a thread, where it may block. */

static async_rc_t
write_journal(void *arg)
{
    sign_up_t  *new = arg;

    if (fprintf(journal, "%s has signed up\n", new->email) < 0
        || fflush(journal) != 0)
    {
        return async_thread_fail(ASYNC_ERROR, "the journal: %m");
    }

    return ASYNC_OK;
}


/* Something on both sides of one "@", and nothing that breaks a line */

static int
is_email(const char *text)
{
    const char  *at, *p;

    for (p = text; *p; p++) {
        if ((unsigned char) *p <= ' ' || *p == 0x7f) {
            return 0;
        }
    }

    at = strchr(text, '@');

    return at && at != text && at[1] && strchr(at + 1, '@') == NULL
           && p - text <= 254;
}


ASYNC_HANDLER(sign_up)
{
    json_t     *body, *email;
    sign_up_t   new;

    ASYNC_TRY(await_json(co, req, &body));

    email = json_object_get(body, "email");

    if (!json_is_string(email)) {
        return async_fail(req, 422, "\"email\" must be a string");
    }

    if (!is_email(json_string_value(email))) {
        return async_fail(req, 422, "\"email\" must be an address");
    }

    /* the body goes with the request, which ends first */

    new.email = async_background_str(req, json_string_value(email));

    if (new.email == NULL) {
        return ASYNC_ERROR;
    }

    ASYNC_TRY(async_background(req, send_mail, &new));
    ASYNC_TRY(async_background_thread(req, NULL, write_journal, &new));

    return async_json_pack(req, 202, "{s:s+}", "message", "Mail will go to ",
                           new.email);
}


/* Its end, if it is long */

BLOCKING_HANDLER(read_journal)
{
    char         *text;
    off_t         from;
    ssize_t       n;
    struct stat   st;

    text = async_alloc(req, MAX_SHOWN);

    if (text == NULL || fstat(fileno(journal), &st) != 0) {
        return ASYNC_ERROR;
    }

    from = st.st_size > MAX_SHOWN ? st.st_size - MAX_SHOWN : 0;
    n = pread(fileno(journal), text, MAX_SHOWN, from);

    if (n < 0) {
        return ASYNC_ERROR;
    }

    return async_bytes(req, 200, "text/plain; charset=utf-8", text, (size_t) n);
}
