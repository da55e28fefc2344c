
/*
 * libFuzzer's entry to models and the reader of JSON into structs, see
 * t/model-fuzz.t.  The first bytes make a model: how many fields there are, and
 * two bytes for each; with the first one's last bit, attributes may be wrong.
 * It is refused, with the name of a field, or is used: the rest is the text, or
 * the choices by which one is made.  Whether it is JSON, the loader must agree;
 * what was read, its tree must have.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <stdbool.h>
#include <ngx_http_async_schema_json.h>
#include "ngx_stub.h"


#define FIELDS  8
#define SLOT    48
#define TEXT    4096


#define CHECK(condition)                                                     \
    do {                                                                     \
        if (!(condition)) {                                                  \
            fprintf(stderr, "line %d: %s\n", __LINE__, #condition);          \
            abort();                                                         \
        }                                                                    \
    } while (0)


/* a struct that a field may be */

typedef struct {
    int32_t        x;
    const char    *y;
    double        *z;
    size_t         n_z;
} inner_t;

ASYNC_MODEL(inner_model, inner_t,
    ASYNC_FIELD(inner_t, x),
    ASYNC_FIELD(inner_t, y, ASYNC_WITH(optional, 1)),
    ASYNC_LIST(inner_t, z, n_z, ASYNC_DEFAULT("[1]"))
);


typedef struct {
    const u_char  *p;
    const u_char  *last;
    u_char        *to;
    u_char        *end;
} source_t;


int LLVMFuzzerTestOneInput(const u_char *data, size_t len);

static void is_told(const u_char *error, ngx_uint_t n);
static void wrong(async_field_t *f, u_char with);
static void field(async_field_t *f, const async_model_t *self, ngx_uint_t i,
    u_char kind, u_char with);
static void try_text(const async_model_t *model, ngx_pool_t *pool,
    ngx_str_t *text);
static void compare(ngx_http_async_schema_t *schema, const u_char *object,
    json_t *tree);
static void compare_value(ngx_http_async_schema_field_t *f,
    const u_char *value, json_t *tree);
static void write_value(source_t *s, ngx_uint_t depth);
static void write_text(source_t *s, const char *text);
static u_char next(source_t *s);


static const char  *names[] = { "a", "b", "c", "d", "e", "f", "g", "h" };

static const char *const  choices[] = { "red", "green", NULL };


int
LLVMFuzzerTestOneInput(const u_char *data, size_t len)
{
    u_char         text[TEXT + 64];
    void          *schema;
    size_t         i, n;
    ngx_int_t      rc;
    ngx_str_t      s;
    source_t       source;
    async_field_t  fields[FIELDS];
    async_model_t  model;
    u_char         error[NGX_HTTP_ASYNC_MODEL_ERROR_LEN];
    ngx_pool_t    *pool;

    if (len < 2) {
        return 0;
    }

    n = 1 + data[0] % FIELDS;

    if (len < 2 + 2 * n) {
        return 0;
    }

    memset(fields, 0, sizeof(fields));
    memset(&model, 0, sizeof(model));
    schema = NULL;
    *inner_model.schema = NULL;

    model.size = sizeof(async_model_t);
    model.name = "model";
    model.site = "fuzz";
    model.type = "fuzz_t";
    model.type_size = FIELDS * SLOT;
    model.fields = fields;
    model.field_size = sizeof(async_field_t);
    model.n = n;
    model.schema = &schema;

    for (i = 0; i < n; i++) {
        field(&fields[i], &model, i, data[1 + 2 * i], data[2 + 2 * i]);

        if (data[0] & 0x80) {
            wrong(&fields[i], data[2 + 2 * i] / 16);
        }
    }

    pool = ngx_create_pool(0, NULL);
    memset(error, 0x55, sizeof(error));

    rc = ngx_http_async_model_check(&model, error);

    if (rc == NGX_OK) {
        rc = ngx_http_async_schema_make(&model, pool, error);
    }

    CHECK((rc == NGX_OK) == (schema != NULL));

    if (rc != NGX_OK) {
        CHECK(rc == NGX_DECLINED);
        is_told(error, n);

    } else {
        source.p = data + 2 + 2 * n;
        source.last = data + len;
        source.to = text;
        source.end = text + TEXT;

        if (data[1 + 2 * n] % 2) {
            write_value(&source, 0);

        } else {
            s.len = ngx_min(source.last - source.p, TEXT);
            source.to = ngx_cpymem(text, source.p, s.len);
        }

        /* its end is that of its memory */

        s.len = source.to - text;
        s.data = malloc(s.len ? s.len : 1);
        memcpy(s.data, text, s.len);

        try_text(&model, pool, &s);

        free(s.data);
    }

    ngx_destroy_pool(pool);

    return 0;
}


/* which model, and a field of it */

static void
is_told(const u_char *error, ngx_uint_t n)
{
    char        quoted[8];
    ngx_uint_t  i;

    CHECK(memchr(error, '\0', NGX_HTTP_ASYNC_MODEL_ERROR_LEN));
    CHECK(strncmp((char *) error, "model \"model\" of fuzz: ", 23) == 0);

    for (i = 0; i < n; i++) {
        sprintf(quoted, "\"%s\"", names[i]);

        if (strstr((char *) error + 23, quoted)) {
            return;
        }
    }

    CHECK(!"a field is named");
}


/* mostly no attribute that fits, beside those that there are */

static void
wrong(async_field_t *f, u_char with)
{
    static const char *const  none[] = { NULL };
    static const char *const  twice[] = { "a", "b", "a", NULL };
    static const char *const  broken[] = { "a", "\xff", NULL };

    switch (with) {

    case 1:
        f->name = "";
        break;

    case 2:
        f->name = "\xc3";
        break;

    case 3:
        f->name = "a";
        break;

    case 4:
        f->offset -= 4;
        break;

    case 5:
        f->offset = (size_t) -8;
        f->count = (size_t) -4;
        break;

    case 6:
        f->count = f->offset + 4;
        break;

    case 7:
        f->kind ^= 16 + 128;
        break;

    case 8:
        f->gt = "99999999999999999999";
        f->le = "1e400";
        break;

    case 9:
        f->ge = "5";
        f->le = "-7.5";
        break;

    case 10:
        f->pattern = "(a";
        f->min_length = 4;
        break;

    case 11:
        f->choices = (f->offset % 3 == 0) ? none
                     : (f->offset % 3 == 1) ? twice : broken;
        break;

    case 12:
        f->default_value = (f->kind & ASYNC_MEMBER_LIST) ? "[1, \"x\", {}]"
                                                         : "{\"x\":[5]}";
        break;

    case 13:
        f->example = "x\xff";
        break;

    case 14:
        f->in = 1 + f->offset / SLOT;
        break;

    case 15:
        f->type = 1 + f->offset / SLOT;
        f->model = (f->model == NULL) ? &inner_model : NULL;
        break;
    }
}


static void
field(async_field_t *f, const async_model_t *self, ngx_uint_t i, u_char kind,
    u_char with)
{
    f->member = names[i];
    f->offset = i * SLOT;
    f->kind = 1 + kind % ASYNC_MEMBER_OBJECT;

    if (kind & 64) {
        f->kind |= ASYNC_MEMBER_POINTER;

    } else if (kind & 128) {
        f->kind |= ASYNC_MEMBER_LIST;
        f->count = f->offset + SLOT - sizeof(size_t);
    }

    if ((f->kind & ASYNC_MEMBER_KIND) == ASYNC_MEMBER_OBJECT) {
        f->model = (f->kind != ASYNC_MEMBER_OBJECT && with % 2) ? self
                                                                : &inner_model;
    }

    switch (with % 16) {

    case 2:
        f->optional = 1;
        break;

    case 3:
        f->type = ASYNC_FIELD_TIME;
        break;

    case 4:
        f->type = ASYNC_FIELD_BYTES;
        break;

    case 5:
        f->type = ASYNC_FIELD_UUID;
        break;

    case 6:
        f->type = ASYNC_FIELD_DATE;
        break;

    case 7:
        f->choices = choices;
        break;

    case 8:
        f->ge = "-3";
        f->lt = "100";
        break;

    case 9:
        f->min_length = 1;
        f->max_length = 3;
        break;

    case 10:
        f->default_value = (f->kind & ASYNC_MEMBER_LIST) ? "[]" : "1";
        break;

    case 11:
        f->pattern = "^[a-c]*$";
        break;

    case 12:
        f->name = "a\xc3\xa9\"\\";
        break;

    case 13:
        f->required = 1;
        f->optional = 1;
        break;
    }
}


static void
try_text(const async_model_t *model, ngx_pool_t *pool, ngx_str_t *text)
{
    u_char                        object[FIELDS * SLOT], zero[FIELDS * SLOT];
    json_t                       *tree;
    ngx_int_t                     rc, loaded;
    ngx_http_async_loc_t          loc = { NULL, ngx_string("body"), 0 };
    ngx_http_async_reading_t      reading = { pool, NULL, 0 };

    memset(object, 0x55, sizeof(object));
    memset(zero, 0x55, sizeof(zero));
    ngx_http_async_model_clear(model, zero);

    rc = ngx_http_async_schema_json_body(&reading, &loc,
                                         ngx_http_async_schema(model), text,
                                         object);
    loaded = ngx_http_async_json_wide(text->data, text->len, &tree);

    CHECK(rc == NGX_OK || rc == NGX_DECLINED || rc == NGX_ABORT);
    CHECK((rc == NGX_ABORT) == (loaded == NGX_DECLINED));
    CHECK((rc == NGX_DECLINED) == (json_array_size(reading.errors) > 0));

    if (rc == NGX_OK) {
        compare(ngx_http_async_schema(model), object, tree);

    } else {
        CHECK(memcmp(object, zero, sizeof(object)) == 0);
    }

    json_decref(reading.errors);
    json_decref(tree);
}


static void
compare(ngx_http_async_schema_t *schema, const u_char *object, json_t *tree)
{
    size_t                          j, n;
    json_t                         *member;
    ngx_uint_t                      i;
    const u_char                   *value;
    ngx_http_async_schema_field_t  *f;

    CHECK(json_is_object(tree));

    for (i = 0; i < schema->n; i++) {
        f = &schema->fields[i];
        value = object + f->field->offset;
        member = json_object_getn(tree, (char *) f->name.data, f->name.len);

        if (member == NULL) {
            CHECK(!f->required);
            continue;
        }

        if (f->nullable && json_is_null(member)) {
            CHECK(*(void **) value == NULL);
            continue;
        }

        if (!f->list) {
            compare_value(f, f->pointer ? *(u_char **) value : value, member);
            continue;
        }

        n = *(size_t *) (object + f->field->count);

        CHECK(n == json_array_size(member));
        CHECK(*(void **) value);

        for (j = 0; j < n; j++) {
            compare_value(f, *(u_char **) value + j * f->size,
                          json_array_get(member, j));
        }
    }
}


/* what is read otherwise than as it stands there, pydantic knows better */

static void
compare_value(ngx_http_async_schema_field_t *f, const u_char *value,
    json_t *tree)
{
    const char         *text;
    const async_str_t  *str;

    switch (f->kind) {

    case ASYNC_MEMBER_OBJECT:
        compare(f->schema, value, tree);
        return;

    case ASYNC_MEMBER_JSON:
        CHECK(json_equal(*(json_t **) value, tree));
        return;

    case ASYNC_MEMBER_TEXT:
        text = *(const char **) value;

        CHECK(json_is_string(tree) || f->field->type == ASYNC_FIELD_DATE);
        CHECK(strlen(text) < TEXT);
        CHECK(f->field->type != ASYNC_FIELD_PLAIN
              || strcmp(text, json_string_value(tree)) == 0);
        return;

    case ASYNC_MEMBER_STR:
        str = (const async_str_t *) value;

        CHECK(str->data[str->len] == '\0');
        CHECK(f->field->type != ASYNC_FIELD_PLAIN
              || (str->len == json_string_length(tree)
                  && memcmp(str->data, json_string_value(tree), str->len)
                     == 0));
        return;

    case ASYNC_MEMBER_DOUBLE:
        CHECK(!json_is_number(tree)
              || *(double *) value == json_number_value(tree));
        return;

    case ASYNC_MEMBER_INT64:
        CHECK(!json_is_integer(tree) || f->field->type == ASYNC_FIELD_TIME
              || *(int64_t *) value == json_integer_value(tree));
        return;

    case ASYNC_MEMBER_INT8:
        CHECK(!json_is_integer(tree)
              || *(int8_t *) value == json_integer_value(tree));
        return;

    case ASYNC_MEMBER_UINT64:
        CHECK(!json_is_real(tree)
              || (double) *(uint64_t *) value == json_real_value(tree));
        return;

    case ASYNC_MEMBER_BOOL:
        CHECK(*(u_char *) value <= 1);
        CHECK(!json_is_boolean(tree)
              || *(bool *) value == json_boolean_value(tree));
        return;
    }
}


/* a text by the bytes: mostly JSON, with what is none among it */

static void
write_value(source_t *s, ngx_uint_t depth)
{
    u_char      c;
    ngx_uint_t  i, n;

    static const char  *scalars[] = {
        "null", "true", "false", "0", "1", "-1", "5", "127", "128", "255",
        "2.0", "0.5", "1e3", "-0", "-0.0", "1e20", "9223372036854775807",
        "-9223372036854775808", "9223372036854775808",
        "-9223372036854775809", "18446744073709551615", "18446744073709551616",
        "12345678901234567890123", "123456789.123456789", "5e-324", "1e22",
        "1.7976931348623157e308", "0.1", "9007199254740993", "8.5e23",
        "\"\"", "\"a\"", "\"abc\"", "\"5\"", "\"red\"", "\"yes\"",
        "\"\\u00e9\\ud83d\\ude00\"", "\"\xc3\xa9 \\n\\\"\\\\\"", "\"aGk=\"",
        "\"2026-01-31\"", "\"2026-01-31T10:20:30Z\"",
        "\"12345678123456781234567812345678\"", "\"a long text, of ASCII\"",
        "[]", "{}"
    };

    static const char  *others[] = {
        "1e309", "01", "1.", "NaN", "\"\\u0000\"",
        "\"\\ud800\"", "\"\xff\"", "\"\x01\"", "'a'", "", "]", "}", "tru"
    };

    c = next(s);

    if (depth == 0 || (depth < 6 && c % 4 == 0)) {
        n = next(s) % 10;
        write_text(s, "{");

        for (i = 0; i < n; i++) {
            c = next(s);
            write_text(s, i ? "," : "");
            write_text(s, "\"");
            write_text(s, (c < 200) ? names[c % FIELDS]
                          : (c < 220) ? "\\u0061"
                          : (c < 230) ? "a\xc3\xa9\\\"\\\\"
                          : (c < 245) ? ((c % 2) ? "x" : "y") : "");
            write_text(s, "\":");
            write_value(s, depth + 1);
        }

        write_text(s, (c == 255) ? ",}" : "}");

    } else if (depth < 6 && c % 4 == 1) {
        n = next(s) % 6;
        write_text(s, "[");

        for (i = 0; i < n; i++) {
            write_text(s, i ? " , " : "\t");
            write_value(s, depth + 1);
        }

        write_text(s, "]");

    } else if (c < 250) {
        write_text(s, scalars[next(s) % (sizeof(scalars) / sizeof(char *))]);

    } else {
        write_text(s, others[next(s) % (sizeof(others) / sizeof(char *))]);
    }
}


static void
write_text(source_t *s, const char *text)
{
    size_t  len;

    len = ngx_min(strlen(text), (size_t) (s->end - s->to));
    s->to = ngx_cpymem(s->to, text, len);
}


static u_char
next(source_t *s)
{
    return (s->p < s->last) ? *s->p++ : 0;
}
