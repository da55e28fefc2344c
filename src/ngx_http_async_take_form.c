
/*
 * Copyright (C) the nginx-async authors
 *
 * Structs from forms, by a model: what handlers declare by ASYNC_FORM(),
 * await_form_into() and async_form_into().
 *
 * A field is a part: a text as a parameter is, or a file.  Of a struct or of
 * any JSON the part is JSON text, which browsers can also send as a file.  As
 * for FastAPI the last part of a name counts, unless it is a list, and an empty
 * text is none.
 */

#include <ngx_http_async_form.h>
#include <ngx_http_async_take.h>


/* what the loop's stack is asked to read: structs within structs recur */

typedef struct {
    async_form_t                   *form;
    ngx_http_async_schema_t        *schema;
    void                           *to;
    ngx_http_async_reading_t        reading;
    ngx_int_t                       rc;

    ngx_http_async_schema_field_t  *f;
    ngx_http_async_loc_t            body;
    ngx_http_async_loc_t            name;
} ngx_http_async_take_form_t;


typedef struct {
    const char                     *type;
    ngx_str_t                       msg;
} ngx_http_async_take_form_wrong_t;


static void ngx_http_async_take_form_read(void *data);
static ngx_int_t ngx_http_async_take_form_field(
    ngx_http_async_take_form_t *take);
static ngx_int_t ngx_http_async_take_form_json(
    ngx_http_async_take_form_t *take, ngx_http_async_form_part_t *part);
static ngx_int_t ngx_http_async_take_form_value(
    ngx_http_async_take_form_t *take, ngx_http_async_loc_t *loc,
    ngx_http_async_form_part_t *part, void *value);
static ngx_int_t ngx_http_async_take_form_list(
    ngx_http_async_take_form_t *take, size_t n);
static ngx_http_async_form_part_t *ngx_http_async_take_form_next(
    ngx_http_async_take_form_t *take, ngx_http_async_form_part_t *part);
static ngx_int_t ngx_http_async_take_form_no_file(
    ngx_http_async_take_form_t *take, ngx_http_async_loc_t *loc,
    ngx_http_async_form_part_t *part);
static ngx_int_t ngx_http_async_take_form_no_text(
    ngx_http_async_take_form_t *take, ngx_http_async_loc_t *loc,
    ngx_http_async_form_part_t *part);
static ngx_http_async_take_form_wrong_t *ngx_http_async_take_form_wanted(
    ngx_http_async_schema_field_t *f);
static json_t *ngx_http_async_take_form_inputs(void *data);
static json_t *ngx_http_async_take_form_input(ngx_pool_t *pool,
    ngx_http_async_form_part_t *part);


async_rc_t
await_form_into_at(async_t *co, const char *site, async_req_t *req,
    const async_model_t *model, void *value, size_t size)
{
    async_rc_t  rc;

    ngx_http_async_take_clear(model, value, size);

    rc = ngx_async_enter(co, "await_form_into", site);
    if (rc != ASYNC_OK) {
        return rc;
    }

    rc = ngx_http_async_take_check(co, "await_form_into", model, size);
    if (rc != ASYNC_OK) {
        return rc;
    }

    rc = ngx_http_async_form_read(co, req);

    return (rc == ASYNC_OK) ? ngx_http_async_take_form(req, model, value) : rc;
}


async_rc_t
async_form_into_(async_req_t *req, const async_model_t *model, void *value,
    size_t size)
{
    async_rc_t     rc;
    async_form_t  *form;

    ngx_http_async_check(req);

    ngx_http_async_take_clear(model, value, size);

    rc = ngx_http_async_take_check(&req->task, "async_form_into", model, size);
    if (rc != ASYNC_OK) {
        return rc;
    }

    rc = async_form(req, &form);

    return (rc == ASYNC_OK) ? ngx_http_async_take_form(req, model, value) : rc;
}


async_rc_t
ngx_http_async_take_form(async_req_t *req, const async_model_t *model,
    void *to)
{
    ngx_http_async_take_form_t  take;

    static ngx_str_t  body = ngx_string("body");

    take.form = req->form;
    take.schema = ngx_http_async_schema(model);
    take.to = to;
    take.reading.pool = req->pool;
    take.reading.errors = NULL;
    take.reading.told = 0;
    take.rc = NGX_OK;
    take.body.up = NULL;
    take.body.name = body;
    take.name.up = &take.body;

    ngx_async_on_loop(ngx_http_async_take_form_read, &take);

    if (take.rc == NGX_OK) {
        return ASYNC_OK;
    }

    ngx_http_async_model_clear(model, to);

    if (take.rc == NGX_DECLINED) {
        return ngx_http_async_invalid(req, take.reading.errors);
    }

    json_decref(take.reading.errors);

    return ngx_async_set_error(&req->task, ASYNC_ERROR, "no memory");
}


static void
ngx_http_async_take_form_read(void *data)
{
    ngx_http_async_take_form_t  *take = data;

    ngx_int_t   rc;
    ngx_uint_t  i;

    for (i = 0; i < take->schema->n; i++) {
        take->f = &take->schema->fields[i];
        take->name.name = take->f->name;

        rc = ngx_http_async_take_form_field(take);

        if (rc != NGX_OK) {
            take->rc = rc;
        }

        if (rc == NGX_ERROR) {
            return;
        }
    }
}


static ngx_int_t
ngx_http_async_take_form_field(ngx_http_async_take_form_t *take)
{
    void                           *value;
    size_t                          n;
    ngx_http_async_form_part_t     *part, *last;
    ngx_http_async_schema_field_t  *f;

    f = take->f;

    n = 0;
    last = NULL;

    for (part = ngx_http_async_take_form_next(take, NULL);
         part;
         part = ngx_http_async_take_form_next(take, part))
    {
        last = part;
        n++;
    }

    if (f->list && f->kind != ASYNC_MEMBER_OBJECT && n) {
        return ngx_http_async_take_form_list(take, n);
    }

    if (last == NULL || (last->file == NULL && last->text.len == 0)) {
        return ngx_http_async_schema_absent(&take->reading, &take->name, f,
                                            take->to, json_null());
    }

    if (f->kind == ASYNC_MEMBER_OBJECT || f->kind == ASYNC_MEMBER_JSON) {
        return ngx_http_async_take_form_json(take, last);
    }

    value = ngx_http_async_schema_place(&take->reading, f, take->to);

    return value ? ngx_http_async_take_form_value(take, &take->name, last,
                                                  value)
                 : NGX_ERROR;
}


static ngx_int_t
ngx_http_async_take_form_json(ngx_http_async_take_form_t *take,
    ngx_http_async_form_part_t *part)
{
    ngx_str_t  *text;

    static ngx_str_t  msg =
        ngx_string("Value error, Expected JSON, received a file that is too "
                   "large for it");

    text = part->file ? &part->file->data : &part->text;

    if (text->data == NULL) {
        return ngx_http_async_reading_fail(&take->reading, &take->name,
                                           "value_error", &msg,
                                           ngx_http_async_take_form_input(
                                               take->reading.pool, part),
                                           json_pack("{s:{}}", "error"));
    }

    return ngx_http_async_schema_json_field(&take->reading, &take->name,
                                            take->f, text, take->to);
}


/* A value, or an item of a list. */

static ngx_int_t
ngx_http_async_take_form_value(ngx_http_async_take_form_t *take,
    ngx_http_async_loc_t *loc, ngx_http_async_form_part_t *part, void *value)
{
    if (take->f->kind == ASYNC_MEMBER_UPLOAD) {

        if (part->file == NULL) {
            return ngx_http_async_take_form_no_file(take, loc, part);
        }

        *(async_upload_t **) value = part->file;
        return NGX_OK;
    }

    if (part->file) {
        return ngx_http_async_take_form_no_text(take, loc, part);
    }

    return ngx_http_async_schema_text(&take->reading, loc, take->f,
                                      &part->text, value);
}


static ngx_int_t
ngx_http_async_take_form_list(ngx_http_async_take_form_t *take, size_t n)
{
    u_char                         *value;
    ngx_int_t                       rc, one;
    ngx_http_async_loc_t            loc;
    ngx_http_async_form_part_t     *part;
    ngx_http_async_schema_field_t  *f;

    f = take->f;

    /* as pydantic: too many before the items are read, too few after */

    if (f->field->max_length && n > f->field->max_length) {
        return ngx_http_async_schema_count(&take->reading, &take->name, f, n,
                                           ngx_http_async_take_form_inputs,
                                           take);
    }

    value = ngx_http_async_schema_items(&take->reading, f, take->to, n);

    if (value == NULL) {
        return NGX_ERROR;
    }

    loc.up = &take->name;
    ngx_str_null(&loc.name);
    loc.index = 0;

    rc = NGX_OK;

    for (part = ngx_http_async_take_form_next(take, NULL);
         part;
         part = ngx_http_async_take_form_next(take, part))
    {
        one = ngx_http_async_take_form_value(take, &loc, part, value);

        if (one == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (one != NGX_OK) {
            rc = one;
        }

        value += f->size;
        loc.index++;
    }

    return (rc == NGX_OK)
           ? ngx_http_async_schema_count(&take->reading, &take->name, f, n,
                                         ngx_http_async_take_form_inputs, take)
           : rc;
}


/* The next part of the field's name, of either kind; NULL: the first, none. */

static ngx_http_async_form_part_t *
ngx_http_async_take_form_next(ngx_http_async_take_form_t *take,
    ngx_http_async_form_part_t *part)
{
    ngx_str_t                   *name;
    ngx_http_async_form_part_t  *last;

    name = &take->f->name;
    last = take->form->parts.elts;
    last += take->form->parts.nelts;

    for (part = part ? part + 1 : take->form->parts.elts; part < last; part++)
    {
        if (part->name.len == name->len
            && ngx_memcmp(part->name.data, name->data, name->len) == 0)
        {
            return part;
        }
    }

    return NULL;
}


static ngx_int_t
ngx_http_async_take_form_no_file(ngx_http_async_take_form_t *take,
    ngx_http_async_loc_t *loc, ngx_http_async_form_part_t *part)
{
    static ngx_str_t  msg =
        ngx_string("Value error, Expected UploadFile, received: "
                   "<class 'str'>");

    return ngx_http_async_reading_fail(&take->reading, loc, "value_error",
                                       &msg,
                                       ngx_http_async_take_form_input(
                                           take->reading.pool, part),
                                       json_pack("{s:{}}", "error"));
}


static ngx_int_t
ngx_http_async_take_form_no_text(ngx_http_async_take_form_t *take,
    ngx_http_async_loc_t *loc, ngx_http_async_form_part_t *part)
{
    ngx_http_async_take_form_wrong_t  *wrong;

    wrong = ngx_http_async_take_form_wanted(take->f);

    return ngx_http_async_reading_fail(&take->reading, loc, wrong->type,
                                       &wrong->msg,
                                       ngx_http_async_take_form_input(
                                           take->reading.pool, part), NULL);
}


/* What pydantic says of a value that is no text. */

static ngx_http_async_take_form_wrong_t *
ngx_http_async_take_form_wanted(ngx_http_async_schema_field_t *f)
{
    static ngx_http_async_take_form_wrong_t  text = {
        "string_type", ngx_string("Input should be a valid string")
    };

    static ngx_http_async_take_form_wrong_t  bytes = {
        "bytes_type", ngx_string("Input should be a valid bytes")
    };

    static ngx_http_async_take_form_wrong_t  uuid = {
        "uuid_type",
        ngx_string("UUID input should be a string, bytes or UUID object")
    };

    static ngx_http_async_take_form_wrong_t  date = {
        "date_type", ngx_string("Input should be a valid date")
    };

    static ngx_http_async_take_form_wrong_t  datetime = {
        "datetime_type", ngx_string("Input should be a valid datetime")
    };

    static ngx_http_async_take_form_wrong_t  boolean = {
        "bool_type", ngx_string("Input should be a valid boolean")
    };

    static ngx_http_async_take_form_wrong_t  number = {
        "float_type", ngx_string("Input should be a valid number")
    };

    static ngx_http_async_take_form_wrong_t  integer = {
        "int_type", ngx_string("Input should be a valid integer")
    };

    switch (f->field->type) {

    case ASYNC_FIELD_BYTES:
        return &bytes;

    case ASYNC_FIELD_UUID:
        return &uuid;

    case ASYNC_FIELD_DATE:
        return &date;

    case ASYNC_FIELD_TIME:
        return &datetime;

    default:
        break;
    }

    switch (f->kind) {

    case ASYNC_MEMBER_TEXT:
    case ASYNC_MEMBER_STR:
        return &text;

    case ASYNC_MEMBER_BOOL:
        return &boolean;

    case ASYNC_MEMBER_FLOAT:
    case ASYNC_MEMBER_DOUBLE:
        return &number;

    default:
        return f->choices ? &text : &integer;
    }
}


/* The list as it came. */

static json_t *
ngx_http_async_take_form_inputs(void *data)
{
    ngx_http_async_take_form_t  *take = data;

    json_t                      *inputs, *input;
    ngx_http_async_form_part_t  *part;

    inputs = json_array();

    for (part = ngx_http_async_take_form_next(take, NULL);
         part;
         part = ngx_http_async_take_form_next(take, part))
    {
        input = ngx_http_async_take_form_input(take->reading.pool, part);

        if (json_array_append_new(inputs, input) != 0) {
            json_decref(inputs);
            return NULL;
        }
    }

    return inputs;
}


static json_t *
ngx_http_async_take_form_input(ngx_pool_t *pool,
    ngx_http_async_form_part_t *part)
{
    json_t          *type;
    async_upload_t  *file;

    file = part->file;

    if (file == NULL) {
        return ngx_http_async_schema_input(pool, &part->text);
    }

    type = file->type.data ? ngx_http_async_schema_input(pool, &file->type)
                           : json_null();

    return json_pack("{s:o, s:I, s:o}",
                     "filename", ngx_http_async_schema_input(pool, &file->name),
                     "size", (json_int_t) file->size, "content_type", type);
}
