
/*
 * Copyright (C) the nginx-async authors
 *
 * Models as JSON Schema (2020-12), with the words and the order of pydantic.
 * Knows no route.
 */

#include <ngx_http_async_openapi.h>
#include <ngx_http_async_value.h>


static ngx_http_async_openapi_model_t *ngx_http_async_openapi_model(
    ngx_http_async_openapi_doc_t *doc, const async_model_t *model);
static ngx_uint_t ngx_http_async_openapi_lenient(
    ngx_http_async_openapi_doc_t *doc, ngx_http_async_openapi_model_t *m);
static const char *ngx_http_async_openapi_name(
    ngx_http_async_openapi_doc_t *doc, ngx_uint_t n);
static const char *ngx_http_async_openapi_name_try(
    ngx_http_async_openapi_doc_t *doc, ngx_http_async_openapi_model_t *m,
    ngx_uint_t attempt);
static ngx_uint_t ngx_http_async_openapi_name_taken(
    ngx_http_async_openapi_doc_t *doc, const char *name, ngx_uint_t n);
static char *ngx_http_async_openapi_shown(ngx_http_async_openapi_doc_t *doc,
    ngx_http_async_openapi_model_t *m, ngx_uint_t written);
static json_t *ngx_http_async_openapi_object(
    ngx_http_async_openapi_doc_t *doc, const async_model_t *model,
    const char *title, ngx_uint_t written);
static json_t *ngx_http_async_openapi_value(ngx_http_async_openapi_doc_t *doc,
    const async_field_t *field, ngx_uint_t written);
static json_t *ngx_http_async_openapi_text(ngx_http_async_openapi_doc_t *doc,
    const async_field_t *field);
static json_t *ngx_http_async_openapi_choices(
    ngx_http_async_openapi_doc_t *doc, const async_field_t *field);
static void ngx_http_async_openapi_bounds(ngx_http_async_openapi_doc_t *doc,
    json_t *schema, const async_field_t *field);
static json_t *ngx_http_async_openapi_number(const char *text);
static json_t *ngx_http_async_openapi_read(const async_field_t *field,
    const char *text);


void
ngx_http_async_openapi_set(ngx_http_async_openapi_doc_t *doc, json_t *object,
    const char *key, json_t *value)
{
    if (json_object_set_new(object, key, value) != 0 && !doc->failed) {
        doc->failed = key;
    }
}


void
ngx_http_async_openapi_push(ngx_http_async_openapi_doc_t *doc, json_t *array,
    json_t *value)
{
    if (json_array_append_new(array, value) != 0 && !doc->failed) {
        doc->failed = "a list";
    }
}


void
ngx_http_async_openapi_note(ngx_http_async_openapi_doc_t *doc,
    const async_model_t *model, ngx_uint_t written)
{
    size_t                           i;
    async_field_t                    field;
    ngx_http_async_openapi_model_t  *m, **place;

    m = ngx_http_async_openapi_model(doc, model);

    if (m == NULL) {
        m = ngx_pcalloc(doc->pool, sizeof(ngx_http_async_openapi_model_t));
        place = ngx_array_push(&doc->models);

        if (m == NULL || place == NULL) {
            doc->failed = model->name;
            return;
        }

        m->model = model;
        m->app = doc->app;
        *place = m;
    }

    if (written ? m->written : m->read) {
        return;
    }

    if (written) {
        m->written = 1;

    } else {
        m->read = 1;
    }

    for (i = 0; i < model->n; i++) {
        ngx_http_async_openapi_field_at(model, i, &field);

        if (field.model) {
            ngx_http_async_openapi_note(doc, field.model, written);
        }
    }
}


static ngx_http_async_openapi_model_t *
ngx_http_async_openapi_model(ngx_http_async_openapi_doc_t *doc,
    const async_model_t *model)
{
    ngx_uint_t                        i;
    ngx_http_async_openapi_model_t  **m;

    m = doc->models.elts;

    for (i = 0; i < doc->models.nelts; i++) {
        if (m[i]->model == model) {
            return m[i];
        }
    }

    return NULL;
}


void
ngx_http_async_openapi_names(ngx_http_async_openapi_doc_t *doc)
{
    ngx_uint_t                        i, more;
    ngx_http_async_openapi_model_t  **m;

    m = doc->models.elts;

    for (i = 0; i < doc->models.nelts; i++) {
        m[i]->name = ngx_http_async_openapi_name(doc, i);
    }

    /* what holds a lenient one is: until no more are found */

    do {
        more = 0;

        for (i = 0; i < doc->models.nelts; i++) {
            if (!m[i]->lenient && ngx_http_async_openapi_lenient(doc, m[i])) {
                m[i]->lenient = 1;
                more = 1;
            }
        }

    } while (more);
}


static ngx_uint_t
ngx_http_async_openapi_lenient(ngx_http_async_openapi_doc_t *doc,
    ngx_http_async_openapi_model_t *m)
{
    size_t                           i;
    async_field_t                    field;
    ngx_http_async_openapi_model_t  *inner;

    for (i = 0; i < m->model->n; i++) {
        ngx_http_async_openapi_field_at(m->model, i, &field);

        if (!ngx_http_async_openapi_required(&field)) {
            return 1;
        }

        inner = field.model ? ngx_http_async_openapi_model(doc, field.model)
                            : NULL;

        if (inner && inner->lenient) {
            return 1;
        }
    }

    return 0;
}


/* That of the model; of two apps, the second one's has the app's before it. */

static const char *
ngx_http_async_openapi_name(ngx_http_async_openapi_doc_t *doc, ngx_uint_t n)
{
    ngx_uint_t                        attempt;
    const char                       *name;
    ngx_http_async_openapi_model_t  **m;

    m = doc->models.elts;

    for (attempt = 0; /* void */ ; attempt++) {
        name = ngx_http_async_openapi_name_try(doc, m[n], attempt);

        if (name == NULL) {
            doc->failed = m[n]->model->name;
            return "";
        }

        if (!ngx_http_async_openapi_name_taken(doc, name, n)) {
            return name;
        }
    }
}


static const char *
ngx_http_async_openapi_name_try(ngx_http_async_openapi_doc_t *doc,
    ngx_http_async_openapi_model_t *m, ngx_uint_t attempt)
{
    u_char  *p, *name, c;
    size_t   size;

    if (attempt == 0) {
        return m->model->name;
    }

    size = m->app->name.len + ngx_strlen(m->model->name) + NGX_INT_T_LEN + 3;

    name = ngx_pnalloc(doc->pool, size);
    if (name == NULL) {
        return NULL;
    }

    if (attempt == 1) {
        ngx_sprintf(name, "%V.%s%Z", &m->app->name, m->model->name);

    } else {
        ngx_sprintf(name, "%V.%s.%ui%Z", &m->app->name, m->model->name,
                    attempt);
    }

    /* what a component may be called */

    for (p = name; *p; p++) {
        c = ngx_tolower(*p);

        if ((c < 'a' || c > 'z') && (c < '0' || c > '9')
            && c != '.' && c != '-' && c != '_')
        {
            *p = '_';
        }
    }

    return (const char *) name;
}


static ngx_uint_t
ngx_http_async_openapi_name_taken(ngx_http_async_openapi_doc_t *doc,
    const char *name, ngx_uint_t n)
{
    ngx_uint_t                        i;
    ngx_http_async_openapi_model_t  **m;

    m = doc->models.elts;

    for (i = 0; i < n; i++) {
        if (ngx_strcmp(m[i]->name, name) == 0) {
            return 1;
        }
    }

    return ngx_strcmp(name, "HTTPValidationError") == 0
           || ngx_strcmp(name, "ValidationError") == 0;
}


/*
 * What is written has all of its fields, what is read may lack some: two
 * schemas then, called as FastAPI calls them, if both are there.
 */

static char *
ngx_http_async_openapi_shown(ngx_http_async_openapi_doc_t *doc,
    ngx_http_async_openapi_model_t *m, ngx_uint_t written)
{
    u_char  *name;

    if (!m->lenient || !m->read || !m->written) {
        return (char *) m->name;
    }

    name = ngx_pnalloc(doc->pool, ngx_strlen(m->name) + sizeof("-Output"));

    if (name == NULL) {
        doc->failed = m->name;
        return (char *) m->name;
    }

    ngx_sprintf(name, "%s%s%Z", m->name, written ? "-Output" : "-Input");

    return (char *) name;
}


json_t *
ngx_http_async_openapi_ref(ngx_http_async_openapi_doc_t *doc,
    const async_model_t *model, ngx_uint_t written)
{
    json_t                          *ref;
    ngx_http_async_openapi_model_t  *m;

    m = ngx_http_async_openapi_model(doc, model);

    if (m == NULL) {
        doc->failed = model->name;
        return NULL;
    }

    ref = json_object();

    ngx_http_async_openapi_set(doc, ref, "$ref",
            json_sprintf("#/components/schemas/%s",
                         ngx_http_async_openapi_shown(doc, m, written)));

    return ref;
}


json_t *
ngx_http_async_openapi_schemas(ngx_http_async_openapi_doc_t *doc)
{
    char                             *name;
    json_t                           *schemas;
    ngx_uint_t                        i, written;
    ngx_http_async_openapi_model_t  **m;

    schemas = json_object();
    m = doc->models.elts;

    for (i = 0; i < doc->models.nelts; i++) {
        for (written = 0; written < 2; written++) {

            if (!(written ? m[i]->written : m[i]->read)) {
                continue;
            }

            name = ngx_http_async_openapi_shown(doc, m[i], written);

            ngx_http_async_openapi_set(doc, schemas, name,
                    ngx_http_async_openapi_object(doc, m[i]->model,
                                                  m[i]->model->name, written));
        }
    }

    return schemas;
}


static json_t *
ngx_http_async_openapi_object(ngx_http_async_openapi_doc_t *doc,
    const async_model_t *model, const char *title, ngx_uint_t written)
{
    size_t          i;
    json_t         *object, *properties, *required;
    ngx_str_t       name;
    async_field_t   field;

    object = json_object();
    properties = json_object();
    required = json_array();

    for (i = 0; i < model->n; i++) {
        ngx_http_async_openapi_field_at(model, i, &field);

        name.data = (u_char *) ngx_http_async_model_name(&field);
        name.len = ngx_strlen(name.data);

        ngx_http_async_openapi_set(doc, properties, (char *) name.data,
                ngx_http_async_openapi_field(doc, &field, &name, written));

        if (written || ngx_http_async_openapi_required(&field)) {
            ngx_http_async_openapi_push(doc, required,
                                        json_string((char *) name.data));
        }
    }

    ngx_http_async_openapi_set(doc, object, "properties", properties);
    ngx_http_async_openapi_set(doc, object, "type", json_string("object"));

    if (json_array_size(required)) {
        ngx_http_async_openapi_set(doc, object, "required", required);

    } else {
        json_decref(required);
    }

    ngx_http_async_openapi_set(doc, object, "title", json_string(title));

    return object;
}


json_t *
ngx_http_async_openapi_field(ngx_http_async_openapi_doc_t *doc,
    const async_field_t *field, ngx_str_t *name, ngx_uint_t written)
{
    json_t      *schema, *either, *list;
    ngx_uint_t   kind;

    kind = ngx_http_async_model_kind(field);
    schema = ngx_http_async_openapi_value(doc, field, written);

    if (ngx_http_async_model_is_list(field)) {
        list = json_object();
        ngx_http_async_openapi_set(doc, list, "items", schema);
        ngx_http_async_openapi_set(doc, list, "type", json_string("array"));

        if (field->min_length) {
            ngx_http_async_openapi_set(doc, list, "minItems",
                                       json_integer(field->min_length));
        }

        if (field->max_length) {
            ngx_http_async_openapi_set(doc, list, "maxItems",
                                       json_integer(field->max_length));
        }

        schema = list;
    }

    /* any JSON has null among it */

    if (ngx_http_async_model_is_optional(field)
        && (kind != ASYNC_MEMBER_JSON || ngx_http_async_model_is_list(field)))
    {
        list = json_array();
        ngx_http_async_openapi_push(doc, list, schema);

        either = json_object();
        ngx_http_async_openapi_set(doc, either, "type", json_string("null"));
        ngx_http_async_openapi_push(doc, list, either);

        schema = json_object();
        ngx_http_async_openapi_set(doc, schema, "anyOf", list);
    }

    if (field->title) {
        ngx_http_async_openapi_set(doc, schema, "title",
                                   json_string(field->title));

    } else if (field->model == NULL || ngx_http_async_model_is_list(field)) {
        ngx_http_async_openapi_set(doc, schema, "title",
                ngx_http_async_openapi_title(doc, name->data, name->len));
    }

    if (field->description) {
        ngx_http_async_openapi_set(doc, schema, "description",
                                   json_string(field->description));
    }

    if (field->default_value) {
        ngx_http_async_openapi_set(doc, schema, "default",
                ngx_http_async_openapi_read(field, field->default_value));
    }

    if (field->example) {
        list = json_array();
        ngx_http_async_openapi_push(doc, list,
                ngx_http_async_openapi_read(field, field->example));
        ngx_http_async_openapi_set(doc, schema, "examples", list);
    }

    return schema;
}


/* a value, or an item of a list; null is for the caller */

static json_t *
ngx_http_async_openapi_value(ngx_http_async_openapi_doc_t *doc,
    const async_field_t *field, ngx_uint_t written)
{
    json_t      *schema;
    ngx_uint_t   kind;
    const char  *type;

    kind = ngx_http_async_model_kind(field);

    switch (kind) {

    case ASYNC_MEMBER_OBJECT:
        return ngx_http_async_openapi_ref(doc, field->model, written);

    case ASYNC_MEMBER_JSON:
        return json_object();

    case ASYNC_MEMBER_TEXT:
    case ASYNC_MEMBER_STR:
        return ngx_http_async_openapi_text(doc, field);

    case ASYNC_MEMBER_UPLOAD:
        schema = json_object();
        ngx_http_async_openapi_set(doc, schema, "type", json_string("string"));
        /* of 3.0, which Swagger UI still looks for in lists */
        ngx_http_async_openapi_set(doc, schema, "format",
                                   json_string("binary"));
        ngx_http_async_openapi_set(doc, schema, "contentMediaType",
                                   json_string("application/octet-stream"));
        return schema;

    case ASYNC_MEMBER_BOOL:
        type = "boolean";
        break;

    case ASYNC_MEMBER_FLOAT:
    case ASYNC_MEMBER_DOUBLE:
        type = "number";
        break;

    default:
        if (field->type == ASYNC_FIELD_TIME) {
            schema = json_object();
            ngx_http_async_openapi_set(doc, schema, "type",
                                       json_string("string"));
            ngx_http_async_openapi_set(doc, schema, "format",
                                       json_string("date-time"));
            return schema;
        }

        if (field->choices) {
            return ngx_http_async_openapi_choices(doc, field);
        }

        type = "integer";
    }

    schema = json_object();
    ngx_http_async_openapi_set(doc, schema, "type", json_string(type));
    ngx_http_async_openapi_bounds(doc, schema, field);

    return schema;
}


static json_t *
ngx_http_async_openapi_text(ngx_http_async_openapi_doc_t *doc,
    const async_field_t *field)
{
    json_t      *schema;
    const char  *format;

    if (field->choices) {
        return ngx_http_async_openapi_choices(doc, field);
    }

    schema = json_object();
    ngx_http_async_openapi_set(doc, schema, "type", json_string("string"));

    switch (field->type) {

    case ASYNC_FIELD_BYTES:
        /* a length is that of the bytes, not of the text */
        ngx_http_async_openapi_set(doc, schema, "contentEncoding",
                                   json_string("base64"));
        return schema;

    case ASYNC_FIELD_UUID:
        format = "uuid";
        break;

    case ASYNC_FIELD_DATE:
        format = "date";
        break;

    default:
        format = NULL;
    }

    if (format) {
        ngx_http_async_openapi_set(doc, schema, "format", json_string(format));
    }

    if (field->min_length && !ngx_http_async_model_is_list(field)) {
        ngx_http_async_openapi_set(doc, schema, "minLength",
                                   json_integer(field->min_length));
    }

    if (field->max_length && !ngx_http_async_model_is_list(field)) {
        ngx_http_async_openapi_set(doc, schema, "maxLength",
                                   json_integer(field->max_length));
    }

    if (field->pattern) {
        ngx_http_async_openapi_set(doc, schema, "pattern",
                                   json_string(field->pattern));
    }

    return schema;
}


static json_t *
ngx_http_async_openapi_choices(ngx_http_async_openapi_doc_t *doc,
    const async_field_t *field)
{
    json_t             *schema, *names;
    const char *const  *choice;

    names = json_array();

    for (choice = field->choices; *choice; choice++) {
        ngx_http_async_openapi_push(doc, names, json_string(*choice));
    }

    schema = json_object();
    ngx_http_async_openapi_set(doc, schema, "type", json_string("string"));
    ngx_http_async_openapi_set(doc, schema, "enum", names);

    return schema;
}


/* what the member holds is a bound, too; of 64 bits, only that of below zero */

static void
ngx_http_async_openapi_bounds(ngx_http_async_openapi_doc_t *doc,
    json_t *schema, const async_field_t *field)
{
    int64_t      min, max;
    ngx_uint_t   i;
    const char  *texts[4] = { field->ge, field->gt, field->le, field->lt };

    static const char *const  names[4] = {
        "minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"
    };

    for (i = 0; i < 4; i++) {
        if (texts[i]) {
            ngx_http_async_openapi_set(doc, schema, names[i],
                                     ngx_http_async_openapi_number(texts[i]));
        }
    }

    if (ngx_http_async_model_kind(field) >= ASYNC_MEMBER_BOOL) {
        return;
    }

    ngx_http_async_model_range(ngx_http_async_model_kind(field), &min, &max);

    if (min != INT64_MIN && field->ge == NULL && field->gt == NULL) {
        ngx_http_async_openapi_set(doc, schema, names[0], json_integer(min));
    }

    if (max != INT64_MAX && field->le == NULL && field->lt == NULL) {
        ngx_http_async_openapi_set(doc, schema, names[2], json_integer(max));
    }
}


/* NULL: it is none */

static json_t *
ngx_http_async_openapi_number(const char *text)
{
    double                        f;
    int64_t                       i;
    ngx_str_t                     s;
    ngx_http_async_value_error_t  error;

    s.data = (u_char *) text;
    s.len = ngx_strlen(text);

    if (ngx_http_async_value_int(&s, &i, &error) == NGX_OK) {
        return json_integer(i);
    }

    if (ngx_http_async_value_float(&s, &f, &error) == NGX_OK) {
        return json_real(f);
    }

    return NULL;
}


/* The text of a default or an example as the JSON that it stands for. */

static json_t *
ngx_http_async_openapi_read(const async_field_t *field, const char *text)
{
    ngx_str_t                     s;
    ngx_uint_t                    kind, yes;
    ngx_http_async_value_error_t  error;

    kind = ngx_http_async_model_kind(field);

    if (ngx_http_async_model_is_list(field) || kind == ASYNC_MEMBER_OBJECT
        || kind == ASYNC_MEMBER_JSON)
    {
        return json_loads(text, JSON_DECODE_ANY, NULL);
    }

    if (kind > ASYNC_MEMBER_BOOL && kind != ASYNC_MEMBER_FLOAT
        && kind != ASYNC_MEMBER_DOUBLE)
    {
        return json_string(text);
    }

    if (field->type == ASYNC_FIELD_TIME || field->choices) {
        return json_string(text);
    }

    if (kind == ASYNC_MEMBER_BOOL) {
        s.data = (u_char *) text;
        s.len = ngx_strlen(text);

        return (ngx_http_async_value_bool(&s, &yes, &error) == NGX_OK)
                   ? json_boolean(yes) : NULL;
    }

    return ngx_http_async_openapi_number(text);
}


json_t *
ngx_http_async_openapi_converter(ngx_http_async_openapi_doc_t *doc,
    ngx_http_async_route_part_t *part)
{
    json_t      *schema;
    const char  *type;

    switch (part->kind) {

    case NGX_HTTP_ASYNC_ROUTE_INT:
        type = "integer";
        break;

    case NGX_HTTP_ASYNC_ROUTE_FLOAT:
        type = "number";
        break;

    default:
        type = "string";
    }

    schema = json_object();
    ngx_http_async_openapi_set(doc, schema, "type", json_string(type));

    if (part->kind == NGX_HTTP_ASYNC_ROUTE_UUID) {
        ngx_http_async_openapi_set(doc, schema, "format",
                                   json_string("uuid"));
    }

    ngx_http_async_openapi_set(doc, schema, "title",
            ngx_http_async_openapi_title(doc, part->text.data,
                                         part->text.len));
    return schema;
}


void
ngx_http_async_openapi_field_at(const async_model_t *model, size_t i,
    async_field_t *field)
{
    ngx_memzero(field, sizeof(async_field_t));
    ngx_memcpy(field, ngx_http_async_model_field(model, i),
               ngx_min(model->field_size, sizeof(async_field_t)));
}


ngx_uint_t
ngx_http_async_openapi_required(const async_field_t *field)
{
    if (field->default_value) {
        return 0;
    }

    return field->required || !ngx_http_async_model_is_optional(field);
}


/* as str.title() of Python, with spaces for "_" */

json_t *
ngx_http_async_openapi_title(ngx_http_async_openapi_doc_t *doc, u_char *name,
    size_t len)
{
    u_char      *p;
    size_t       i;
    ngx_uint_t   inside, letter;

    p = ngx_pnalloc(doc->pool, len ? len : 1);
    if (p == NULL) {
        return NULL;
    }

    inside = 0;

    for (i = 0; i < len; i++) {
        letter = ngx_tolower(name[i]) >= 'a' && ngx_tolower(name[i]) <= 'z';

        p[i] = (name[i] == '_') ? ' '
               : inside ? ngx_tolower(name[i]) : ngx_toupper(name[i]);

        inside = letter || name[i] >= 0x80;
    }

    return json_stringn((char *) p, len);
}
