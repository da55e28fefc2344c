
/*
 * Forms: what is in them, told as JSON; saved; read in pieces; into structs.
 */

#include <ngx_async.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>


typedef struct {
    const char       *title;
    int64_t           number;
    double           *rate;
    bool              done;
    async_str_t       note;
    const char      **tags;
    size_t            n_tags;
    async_upload_t   *photo;
    async_upload_t  **files;
    size_t            n_files;
} form_t;


typedef struct {
    const char       *street;
    int32_t           house;
} form_address_t;


typedef struct {
    form_address_t    address;
    form_address_t   *others;
    size_t            n_others;
    json_t           *any;
    async_upload_t   *photo;
} form_parts_t;


ASYNC_MODEL(form_model, form_t,
    ASYNC_FIELD(form_t, title, ASYNC_WITH(max_length, 10)),
    ASYNC_FIELD(form_t, number, ASYNC_GE(1), ASYNC_DEFAULT("7")),
    ASYNC_FIELD(form_t, rate),
    ASYNC_FIELD(form_t, done, ASYNC_DEFAULT("false")),
    ASYNC_FIELD(form_t, note, ASYNC_WITH(optional, 1)),
    ASYNC_LIST(form_t, tags, n_tags, ASYNC_WITH(optional, 1),
               ASYNC_WITH(max_length, 3)),
    ASYNC_FIELD(form_t, photo),
    ASYNC_LIST(form_t, files, n_files, ASYNC_WITH(optional, 1))
);

ASYNC_MODEL(form_address_model, form_address_t,
    ASYNC_FIELD(form_address_t, street),
    ASYNC_FIELD(form_address_t, house)
);

ASYNC_MODEL(form_parts_model, form_parts_t,
    ASYNC_OBJECT(form_parts_t, address, form_address_model),
    ASYNC_OBJECTS(form_parts_t, others, n_others, form_address_model,
                  ASYNC_WITH(optional, 1)),
    ASYNC_FIELD(form_parts_t, any, ASYNC_WITH(optional, 1)),
    ASYNC_FIELD(form_parts_t, photo, ASYNC_WITH(optional, 1))
);


static json_t *
text_json(async_str_t text)
{
    return text.data ? json_stringn(text.data, text.len) : json_null();
}


/* FNV-1a, and how much has been read */

typedef struct {
    uint64_t  hash;
    int64_t   len;
} form_sum_t;


static void
sum_more(form_sum_t *sum, const char *data, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        sum->hash = (sum->hash ^ (unsigned char) data[i])
                    * UINT64_C(1099511628211);
    }

    sum->len += len;
}


static json_t *
file_json(async_upload_t *file, form_sum_t *sum)
{
    char  hash[32];

    (void) snprintf(hash, sizeof(hash), "%016llx",
                    (unsigned long long) sum->hash);

    return json_pack("{s:o, s:o, s:I, s:I, s:s, s:b}",
                     "name", text_json(async_upload_name(file)),
                     "type", text_json(async_upload_type(file)),
                     "size", (json_int_t) async_upload_size(file),
                     "read", (json_int_t) sum->len, "hash", hash,
                     "memory", async_upload_data(file).data != NULL);
}


static async_rc_t
read_file(async_t *co, async_upload_t *file, form_sum_t *sum)
{
    char    buf[7000];
    size_t  n;

    sum->hash = UINT64_C(14695981039346656037);
    sum->len = 0;

    do {
        ASYNC_TRY(await_upload_read(co, file, buf, sizeof(buf), &n));
        sum_more(sum, buf, n);
    } while (n);

    return ASYNC_OK;
}


/* the texts "a" and "b", and the files "f" */

static json_t *
texts_json(async_form_t *form)
{
    size_t       i;
    json_t      *all;
    async_str_t  text;

    all = json_array();

    for (i = 0; (text = async_form_text_at(form, "a", i)).data; i++) {
        json_array_append_new(all, text_json(text));
    }

    return json_pack("{s:o, s:o, s:o, s:o}", "all", all,
                     "a", text_json(async_form_text(form, "a")),
                     "b", text_json(async_form_text(form, "b")),
                     "c", text_json(async_form_text(form, "c")));
}


static async_rc_t
tell(async_t *co, async_req_t *req, async_form_t *form)
{
    size_t           i;
    json_t          *files, *value;
    form_sum_t       sum;
    async_rc_t       rc;
    async_upload_t  *file;

    files = json_array();
    rc = ASYNC_OK;

    for (i = 0; (file = async_form_file_at(form, "f", i)); i++) {
        rc = read_file(co, file, &sum);

        if (rc != ASYNC_OK) {
            json_decref(files);
            return rc;
        }

        json_array_append_new(files, file_json(file, &sum));
    }

    value = texts_json(form);
    json_object_set_new(value, "files", files);

    return async_json(req, 200, value);
}


ASYNC_HANDLER(form)
{
    async_form_t  *form;

    ASYNC_TRY(await_form(co, req, &form));

    return tell(co, req, form);
}


ASYNC_HANDLER(form_hello)
{
    (void) co;

    return async_text(req, 200, "hello\n");
}


/* what has been read by await_body() first, with or without another await */

ASYNC_HANDLER(form_after)
{
    async_str_t    body;
    async_form_t  *form;

    if (async_form(req, &form) != ASYNC_ERROR || form) {
        return async_fail(req, 500, "there is a form");
    }

    ASYNC_TRY(await_body(co, req, &body));
    ASYNC_TRY(async_form(req, &form));

    return tell(co, req, form);
}


/* the body is read by other means; and the other way round */

ASYNC_HANDLER(form_mixed)
{
    char           buf[10];
    size_t         n;
    async_rc_t     rc;
    async_str_t    body;
    async_form_t  *form;

    if (async_query(req, "first").data) {
        ASYNC_TRY(await_form(co, req, &form));

        rc = await_body(co, req, &body);

        return async_json_pack(req, 200, "{s:i, s:i, s:s}", "body", (int) rc,
                               "read", (int) await_body_read(co, req, buf,
                                                             sizeof(buf), &n),
                               "error", async_error(co));
    }

    ASYNC_TRY(await_body_read(co, req, buf, sizeof(buf), &n));

    rc = await_form(co, req, &form);

    return async_json_pack(req, 200, "{s:i, s:s}", "form", (int) rc, "error",
                           async_error(co));
}


/* fails, and tries again; the cause goes to the log */

ASYNC_HANDLER(form_twice)
{
    async_rc_t     rc;
    async_form_t  *form;

    rc = await_form(co, req, &form);
    async_log(req, ASYNC_LOG_NOTICE, "<form %d: %s>", (int) rc,
              async_error(co));

    rc = await_form(co, req, &form);
    async_log(req, ASYNC_LOG_NOTICE, "<again %d: %s>", (int) rc,
              async_error(co));

    return rc;
}


/* below the directory of the setting; the flags as the query says */

ASYNC_HANDLER(form_save)
{
    int64_t          flags;
    async_rc_t       rc;
    async_form_t    *form;
    async_upload_t  *file;

    ASYNC_TRY(async_query_int_or(req, "flags", &flags, 0));
    ASYNC_TRY(await_form(co, req, &form));

    file = async_form_file(form, "f");

    if (file == NULL) {
        return async_fail(req, 400, "no file");
    }

    rc = await_upload_save(co, file, async_param(req, "store").data,
                           async_form_text(form, "a").data, (unsigned) flags);

    return async_json_pack(req, 200, "{s:i, s:i, s:s}", "rc", (int) rc,
                           "errno", async_file_errno(co), "error",
                           rc ? async_error(co) : "");
}


static async_rc_t
child(async_t *co, void *arg)
{
    char    buf[100];
    size_t  n;

    return await_upload_read(co, (async_upload_t *) arg, buf, sizeof(buf), &n);
}


/* two tasks read one upload; and its place is kept */

ASYNC_HANDLER(form_both)
{
    char             buf[4];
    size_t           n;
    async_rc_t       rc;
    async_form_t    *form;
    async_child_t   *one, *two;
    async_upload_t  *file;

    ASYNC_TRY(await_form(co, req, &form));

    file = async_form_file(form, "f");
    one = async_spawn(co, child, file);
    two = async_spawn(co, child, file);

    ASYNC_TRY(await_join(co, one));
    rc = await_join(co, two);

    ASYNC_TRY(await_upload_read(co, file, buf, sizeof(buf), &n));

    return async_json_pack(req, 200, "{s:i, s:s%}", "second", (int) rc,
                           "next", buf, (int) n);
}


/* two tasks that want the form: the one that reads it is cancelled */

static async_rc_t
form_child(async_t *co, void *arg)
{
    async_form_t  *form;

    return await_form(co, (async_req_t *) arg, &form);
}


ASYNC_HANDLER(form_within)
{
    async_rc_t      rc;
    async_form_t   *form;
    async_child_t  *one, *two;

    one = async_spawn(co, form_child, req);
    ASYNC_TRY(await_yield(co));

    two = async_spawn(co, form_child, req);
    ASYNC_TRY(await_yield(co));

    async_cancel(one);
    rc = await_join(co, one);
    async_log(req, ASYNC_LOG_NOTICE, "<first %d>", (int) rc);

    rc = await_join(co, two);
    async_log(req, ASYNC_LOG_NOTICE, "<second %d>", (int) rc);

    rc = await_form(co, req, &form);

    return async_json_pack(req, 200, "{s:i, s:s}", "rc", (int) rc, "error",
                           async_error(co));
}


/* ends without having looked at its body */

ASYNC_HANDLER(form_early)
{
    (void) co;

    return async_text(req, 200, "early\n");
}


/* the form, then a wait: what is open meanwhile is looked at from outside */

ASYNC_HANDLER(form_hold)
{
    async_form_t  *form;

    ASYNC_TRY(await_form(co, req, &form));

    async_log(req, ASYNC_LOG_NOTICE, "<held>");

    ASYNC_TRY(await_sleep(co, 600000));

    return ASYNC_ERROR;
}


static json_t *
upload_json(async_upload_t *file)
{
    return file ? text_json(async_upload_name(file)) : json_null();
}


static async_rc_t
struct_json(async_req_t *req, form_t *f)
{
    size_t   i;
    json_t  *tags, *files;

    tags = f->tags ? json_array() : json_null();
    files = f->files ? json_array() : json_null();

    for (i = 0; i < f->n_tags; i++) {
        json_array_append_new(tags, json_string(f->tags[i]));
    }

    for (i = 0; i < f->n_files; i++) {
        json_array_append_new(files, upload_json(f->files[i]));
    }

    return async_json(req, 200,
                      json_pack("{s:s, s:I, s:o, s:b, s:o, s:o, s:o, s:o}",
                                "title", f->title,
                                "number", (json_int_t) f->number,
                                "rate", f->rate ? json_real(*f->rate)
                                                : json_null(),
                                "done", (int) f->done,
                                "note", text_json(f->note), "tags", tags,
                                "photo", upload_json(f->photo),
                                "files", files));
}


ASYNC_HANDLER(form_into)
{
    form_t      f;
    async_rc_t  rc;

    memset(&f, 0xff, sizeof(f));

    rc = await_form_into(co, req, &form_model, &f);

    if (rc != ASYNC_OK) {

        if (f.title || f.number || f.tags || f.photo || f.n_files) {
            return async_fail(req, 500, "something is left in the struct");
        }

        return rc;
    }

    return struct_json(req, &f);
}


BLOCKING_HANDLER(form_into_thread)
{
    form_t  f;

    ASYNC_TRY(async_form_into(req, &form_model, &f));

    return struct_json(req, &f);
}


ASYNC_HANDLER(form_parts)
{
    json_t        *others;
    size_t         i;
    form_parts_t   p;

    ASYNC_TRY(await_form_into(co, req, &form_parts_model, &p));

    others = json_array();

    for (i = 0; i < p.n_others; i++) {
        json_array_append_new(others, json_string(p.others[i].street));
    }

    return async_json(req, 200,
                      json_pack("{s:s, s:i, s:o, s:O?, s:o}",
                                "street", p.address.street,
                                "house", (int) p.address.house,
                                "others", others, "any", p.any,
                                "photo", upload_json(p.photo)));
}


/* the thread parses what has been read */

BLOCKING_HANDLER(form_thread)
{
    char             buf[999];
    size_t           n;
    json_t          *value;
    form_sum_t       sum;
    async_form_t    *form;
    async_upload_t  *file;

    ASYNC_TRY(async_form(req, &form));

    value = texts_json(form);
    file = async_form_file(form, "f");

    if (file) {
        sum.hash = UINT64_C(14695981039346656037);
        sum.len = 0;

        do {
            if (async_upload_read(req, file, buf, sizeof(buf), &n)
                != ASYNC_OK)
            {
                json_decref(value);
                return ASYNC_ERROR;
            }

            sum_more(&sum, buf, n);
        } while (n);

        json_object_set_new(value, "file", file_json(file, &sum));
    }

    return async_json(req, 200, value);
}
