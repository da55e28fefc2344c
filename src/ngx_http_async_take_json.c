
/*
 * Copyright (C) the nginx-async authors
 *
 * Structs from the JSON of a body, and of any text: the calls by which handlers
 * have them.  What is wrong with a body as a whole, await_json() says.
 */

#include <ngx_http_async_body.h>
#include <ngx_http_async_model_struct.h>
#include <ngx_http_async_schema_json.h>
#include <ngx_http_async_take.h>


/* what the loop's stack is asked to read: objects within objects recur */

typedef struct {
    ngx_http_async_reading_t    reading;
    ngx_http_async_schema_t    *schema;
    ngx_str_t                   text;
    void                       *to;
    ngx_int_t                   rc;
} ngx_http_async_take_json_t;


static void ngx_http_async_take_json_read(void *data);
static async_rc_t ngx_http_async_take_json_refused(async_req_t *req);
static ngx_uint_t ngx_http_async_take_json_is_null(ngx_str_t *text);
static void ngx_http_async_take_text_read(void *data);
static async_rc_t ngx_http_async_take_text_wrong(ngx_async_task_t *t,
    const char *call, ngx_http_async_reading_t *reading);


async_rc_t
await_json_into_at(async_t *co, const char *site, async_req_t *req,
    const async_model_t *model, void *value, size_t size)
{
    async_rc_t  rc;

    ngx_http_async_take_clear(model, value, size);

    req = ngx_http_async_origin(req);

    rc = ngx_async_enter(co, "await_json_into", site);
    if (rc != ASYNC_OK) {
        return rc;
    }

    rc = ngx_http_async_take_check(co, "await_json_into", model, size);
    if (rc != ASYNC_OK) {
        return rc;
    }

    rc = ngx_http_async_body_whole(co, req, req->pool);
    if (rc != ASYNC_OK) {
        return rc;
    }

    return ngx_http_async_take_json(req, model, value);
}


async_rc_t
async_json_into_(async_req_t *req, const async_model_t *model, void *value,
    size_t size)
{
    async_rc_t   rc;
    async_str_t  body;

    ngx_http_async_check(req);

    ngx_http_async_take_clear(model, value, size);

    req = ngx_http_async_reader(req);

    rc = ngx_http_async_take_check(&req->task, "async_json_into", model, size);
    if (rc != ASYNC_OK) {
        return rc;
    }

    rc = async_body(req, &body);

    return (rc == ASYNC_OK) ? ngx_http_async_take_json(req, model, value) : rc;
}


void
ngx_http_async_take_clear(const async_model_t *model, void *value, size_t size)
{
    if (model && size == model->type_size) {
        ngx_http_async_model_clear(model, value);
    }
}


async_rc_t
ngx_http_async_take_check(ngx_async_task_t *t, const char *call,
    const async_model_t *model, size_t size)
{
    async_rc_t  rc;

    rc = ngx_http_async_model_struct(t, call, model, size);
    if (rc != ASYNC_OK) {
        return rc;
    }

    if (model->size < offsetof(async_model_t, schema) + sizeof(void **)
        || ngx_http_async_schema(model) == NULL)
    {
        return ngx_async_set_error(t, ASYNC_ERROR,
                                   "%s(): the model \"%s\" is of an app that "
                                   "was compiled before there was this call",
                                   call, model->name);
    }

    return ASYNC_OK;
}


async_rc_t
ngx_http_async_take_json(async_req_t *req, const async_model_t *model,
    void *to)
{
    async_rc_t                  rc;
    ngx_http_async_take_json_t  take;

    ngx_http_async_model_clear(model, to);

    rc = ngx_http_async_body_is_json(req);
    if (rc != ASYNC_OK) {
        return rc;
    }

    take.reading.pool = req->pool;
    take.reading.errors = NULL;
    take.reading.told = 0;
    take.schema = ngx_http_async_schema(model);
    take.text.data = (u_char *) req->body.data;
    take.text.len = req->body.len;
    take.to = to;

    ngx_async_on_loop(ngx_http_async_take_json_read, &take);

    switch (take.rc) {

    case NGX_OK:
        return ASYNC_OK;

    case NGX_DECLINED:

        if (!ngx_http_async_take_json_is_null(&take.text)) {
            return ngx_http_async_invalid(req, take.reading.errors);
        }

        /* fall through */

    case NGX_ABORT:
        json_decref(take.reading.errors);
        return ngx_http_async_take_json_refused(req);

    default:
        json_decref(take.reading.errors);
        return ngx_async_set_error(&req->task, ASYNC_ERROR, "no memory");
    }
}


static void
ngx_http_async_take_json_read(void *data)
{
    ngx_http_async_loc_t         loc;
    ngx_http_async_take_json_t  *take = data;

    loc.up = NULL;
    ngx_str_set(&loc.name, "body");
    loc.index = 0;

    take->rc = ngx_http_async_schema_json_body(&take->reading, &loc,
                                               take->schema, &take->text,
                                               take->to);
}


/* await_json() refuses it, too, and says why */

static async_rc_t
ngx_http_async_take_json_refused(async_req_t *req)
{
    json_t      *value;
    async_rc_t   rc;

    rc = ngx_http_async_body_value(req, &value);

    if (rc == ASYNC_OK) {
        ngx_async_log(&req->task, NGX_LOG_ALERT, 0,
                      "JSON was refused that can be parsed");

        return ngx_async_set_error(&req->task, ASYNC_ERROR,
                                   "the body was not understood");
    }

    return rc;
}


/* which counts as no body */

static ngx_uint_t
ngx_http_async_take_json_is_null(ngx_str_t *text)
{
    ngx_http_async_json_in_t  in;

    ngx_http_async_json_in(&in, NULL, text);
    ngx_http_async_json_space(&in);

    return ngx_http_async_json_next_is(&in, 'n');
}


async_rc_t
async_into_(async_t *co, async_str_t text, const async_model_t *model,
    void *value, size_t size)
{
    ngx_str_t    from;
    async_rc_t   rc;
    ngx_pool_t  *pool;

    ngx_async_check_task(co);

    ngx_http_async_take_clear(model, value, size);

    rc = ngx_http_async_take_check(co, "async_into", model, size);
    if (rc != ASYNC_OK) {
        return rc;
    }

    pool = ngx_async_task_pool(co);

    if (pool == NULL) {
        return ngx_async_set_error(co, ASYNC_ERROR, "no memory");
    }

    from.data = (u_char *) text.data;
    from.len = text.data ? text.len : 0;

    return ngx_http_async_take_text(co, "async_into", pool, &from, model,
                                    value, NULL);
}


async_rc_t
ngx_http_async_take_text(ngx_async_task_t *t, const char *call,
    ngx_pool_t *pool, ngx_str_t *text, const async_model_t *model, void *to,
    json_t **errors)
{
    async_rc_t                  rc;
    ngx_http_async_take_json_t  take;

    take.reading.pool = pool;
    take.reading.errors = NULL;
    take.reading.told = 0;
    take.schema = ngx_http_async_schema(model);
    take.text = *text;
    take.to = to;

    ngx_async_on_loop(ngx_http_async_take_text_read, &take);

    if (take.rc == NGX_OK) {
        return ASYNC_OK;
    }

    if (take.rc == NGX_DECLINED) {
        rc = ngx_http_async_take_text_wrong(t, call, &take.reading);

        if (errors) {
            *errors = take.reading.errors;
            return rc;
        }

    } else {
        rc = ngx_async_set_error(t, ASYNC_ERROR, "no memory");
    }

    json_decref(take.reading.errors);

    return rc;
}


static void
ngx_http_async_take_text_read(void *data)
{
    ngx_http_async_loc_t         loc;
    ngx_http_async_take_json_t  *take = data;

    loc.up = NULL;
    ngx_str_set(&loc.name, "body");
    loc.index = 0;

    take->rc = ngx_http_async_schema_json(&take->reading, &loc, take->schema,
                                          &take->text, take->to);
}


/* in words: the first error, and of text that is no JSON there is but one */

static async_rc_t
ngx_http_async_take_text_wrong(ngx_async_task_t *t, const char *call,
    ngx_http_async_reading_t *reading)
{
    u_char       words[NGX_MAX_ERROR_STR / 4];
    json_t      *error;
    const char  *why;

    error = json_array_get(reading->errors, 0);

    why = json_string_value(json_object_get(json_object_get(error, "ctx"),
                                            "error"));

    if (why && ngx_strcmp(json_string_value(json_object_get(error, "type")),
                          "json_invalid") == 0)
    {
        return ngx_async_set_error(t, ASYNC_INVALID, "%s(): the text is no "
                                   "JSON: %s, at character %L", call, why,
                                   (int64_t) json_integer_value(json_array_get(
                                        json_object_get(error, "loc"), 1)));
    }

    ngx_http_async_reading_words(reading, words, words + sizeof(words));

    return ngx_async_set_error(t, ASYNC_INVALID, "%s(): %s", call, words);
}
