/*
 * Handlers of t/pg-model.t: rows that the query asks for, as structs.
 */

#include <ngx_async.h>
#include <stdbool.h>
#include <string.h>


typedef struct {
    int64_t       id;
    const char   *text;
    bool          completed;
    int16_t      *priority;
    double        weight;
    async_str_t   note;
    json_t       *body;
    int64_t       created;
    async_str_t   data;
    const char  **tags;
    size_t        n_tags;
    int64_t      *ids;
    size_t        n_ids;
} note_t;

ASYNC_MODEL(note_model, note_t,
    ASYNC_FIELD(note_t, id),
    ASYNC_FIELD(note_t, text),
    ASYNC_FIELD(note_t, completed, ASYNC_WITH(name, "done")),
    ASYNC_FIELD(note_t, priority),
    ASYNC_FIELD(note_t, weight),
    ASYNC_FIELD(note_t, note, .optional = 1),
    ASYNC_FIELD(note_t, body, ASYNC_WITH(optional, 1)),
    ASYNC_FIELD(note_t, created, ASYNC_WITH(type, ASYNC_FIELD_TIME)),
    ASYNC_FIELD(note_t, data, ASYNC_WITH(type, ASYNC_FIELD_BYTES)),
    ASYNC_LIST(note_t, tags, n_tags),
    ASYNC_LIST(note_t, ids, n_ids, ASYNC_WITH(optional, 1))
);


/* another struct than the model's */

typedef struct {
    int64_t  id;
} other_t;


static json_t *
list_of(const note_t *note)
{
    size_t   i;
    json_t  *list;

    if (note->ids == NULL) {
        return json_null();
    }

    list = json_array();

    for (i = 0; i < note->n_ids; i++) {
        json_array_append_new(list, json_integer(note->ids[i]));
    }

    return list;
}


static json_t *
tags_of(const note_t *note)
{
    size_t   i;
    json_t  *list = json_array();

    for (i = 0; i < note->n_tags; i++) {
        json_array_append_new(list, json_string(note->tags[i]));
    }

    return list;
}


static json_t *
shown(const note_t *note)
{
    return json_pack("{s:I, s:s, s:b, s:o, s:f, s:s?, s:O?, s:I, s:s%, s:o,"
                     " s:o}", "id", (json_int_t) note->id, "text", note->text,
                     "completed", (int) note->completed, "priority",
                     note->priority ? json_integer(*note->priority)
                                    : json_null(),
                     "weight", note->weight, "note", note->note.data, "body",
                     note->body, "created", (json_int_t) note->created, "data",
                     note->data.data, note->data.len, "tags", tags_of(note),
                     "ids", list_of(note));
}


static async_rc_t
asked(async_t *co, async_req_t *req, async_pg_result_t **result)
{
    async_str_t  q;

    ASYNC_TRY(async_query_str(req, "q", &q));

    return await_pg(co, "db", result, q.data);
}


/* /one?q=&row= */

ASYNC_HANDLER(one)
{
    note_t              note;
    int64_t             row;
    json_t             *value;
    async_pg_result_t  *result;

    ASYNC_TRY(asked(co, req, &result));
    ASYNC_TRY(async_query_int_or(req, "row", &row, 0));

    memset(&note, 0xff, sizeof(note));

    if (async_pg_into(co, result, row, &note_model, &note) != ASYNC_OK) {

        value = json_pack("{s:s, s:b}", "error", async_error(co), "zero",
                          note.id == 0 && note.text == NULL
                          && note.ids == NULL && note.n_ids == 0
                          && note.data.data == NULL);

        return async_json(req, 200, value);
    }

    value = shown(&note);

    /* the rest is memory of the task */

    async_pg_free(co, result);

    if (note.n_tags) {
        json_object_set_new(value, "first", json_string(note.tags[0]));
    }

    return async_json(req, 200, value);
}


/* /all?q=: with the sum of what is in them */

ASYNC_HANDLER(all)
{
    size_t              i, n;
    note_t             *notes;
    json_t             *list;
    async_rc_t          rc;
    async_pg_result_t  *result;

    ASYNC_TRY(asked(co, req, &result));

    notes = (note_t *) &result;
    n = 7;

    rc = async_pg_all_into(co, result, &note_model, &notes, &n);

    if (rc != ASYNC_OK) {
        return async_json_pack(req, 200, "{s:s, s:b, s:i}", "error",
                               async_error(co), "null", notes == NULL, "n",
                               (int) n);
    }

    if (n == 0) {
        return async_json_pack(req, 200, "{s:b}", "null", notes == NULL);
    }

    list = json_array();

    for (i = 0; i < n; i++) {
        json_array_append_new(list, shown(&notes[i]));
    }

    return async_json(req, 200, list);
}


/* 20,000 rows, and what their columns add up to */

typedef struct {
    int32_t      id;
    const char  *text;
    int32_t     *square;
} row_t;

ASYNC_MODEL(row_model, row_t,
    ASYNC_FIELD(row_t, id),
    ASYNC_FIELD(row_t, text),
    ASYNC_FIELD(row_t, square)
);


ASYNC_HANDLER(many)
{
    row_t              *rows;
    size_t              i, n, length;
    int64_t             sum, squares;
    async_pg_result_t  *result;

    ASYNC_TRY(await_pg(co, "db", &result,
                       "SELECT i::int4 AS id, 'row ' || i AS text,"
                       " CASE WHEN i % 2 = 0 THEN i % 100 END::int4 AS square"
                       " FROM generate_series(1, 20000) i"));
    ASYNC_TRY(async_pg_all_into(co, result, &row_model, &rows, &n));

    sum = squares = 0;
    length = 0;

    for (i = 0; i < n; i++) {
        sum += rows[i].id;
        squares += rows[i].square ? *rows[i].square : 0;
        length += strlen(rows[i].text);
    }

    return async_json_pack(req, 200, "{s:I, s:I, s:I, s:I}", "n",
                           (json_int_t) n, "sum", (json_int_t) sum, "squares",
                           (json_int_t) squares, "length",
                           (json_int_t) length);
}


/* /json: one value, however often it is asked for */

ASYNC_HANDLER(same)
{
    note_t              note;
    json_t             *a, *b;
    async_pg_result_t  *result;

    ASYNC_TRY(asked(co, req, &result));
    ASYNC_TRY(async_pg_value_json(co, result, 1, "body", &a));
    ASYNC_TRY(async_pg_value_json(co, result, 1, "body", &b));
    ASYNC_TRY(async_pg_into(co, result, 1, &note_model, &note));

    a = (a == b && note.body == a) ? json_incref(a) : NULL;

    async_pg_free(co, result);

    /* this reference is the last one */

    return async_json(req, 200, a);
}


/* /wrong?how= */

ASYNC_HANDLER(wrong)
{
    note_t              note;
    size_t              n;
    other_t             other = { 5 };
    other_t            *others;
    async_rc_t          rc;
    async_str_t         how;
    async_pg_result_t  *result;

    ASYNC_TRY(async_query_str(req, "how", &how));
    ASYNC_TRY(await_pg(co, "db", &result, "SELECT 1 AS id"));

    if (strcmp(how.data, "struct") == 0) {
        rc = async_pg_into(co, result, 0, &note_model, &other);

        if (other.id != 5) {
            return async_fail(req, 500, "it was written to");
        }

    } else if (strcmp(how.data, "structs") == 0) {
        rc = async_pg_all_into(co, result, &note_model, &others, &n);

    } else if (strcmp(how.data, "freed") == 0) {
        async_pg_free(co, result);
        rc = async_pg_into(co, result, 0, &note_model, &note);

    } else {
        memset(&note, 0xff, sizeof(note));
        rc = async_pg_into(co, NULL, 0, &note_model, &note);

        if (note.text != NULL) {
            return async_fail(req, 500, "it is not cleared");
        }
    }

    return async_json_pack(req, 200, "{s:i, s:s}", "rc", rc, "error",
                           async_error(co));
}


/* what there is of no result */

ASYNC_HANDLER(nothing)
{
    return async_json_pack(req, 200, "{s:I, s:I, s:s?, s:I, s:b}", "rows",
                           (json_int_t) async_pg_rows(NULL), "columns",
                           (json_int_t) async_pg_columns(NULL), "column",
                           async_pg_column(NULL, 0), "affected",
                           (json_int_t) async_pg_affected(NULL), "is_null",
                           async_pg_is_null(NULL, 0, "id"));
}


/* what JSON columns hold, names of choices, and text of one form */

typedef enum { OPEN, PAID, SENT } state_t;

static const char *const  states[] = { "open", "paid", "s\"ent", NULL };

typedef struct {
    const char  *product;
    double       price;
    int64_t     *seen;
} item_t;

ASYNC_MODEL(item_model, item_t,
    ASYNC_FIELD(item_t, product, ASYNC_WITH(min_length, 2)),
    ASYNC_FIELD(item_t, price, ASYNC_GT(0)),
    ASYNC_FIELD(item_t, seen)
);

typedef struct {
    const char    *id;
    async_str_t    day;
    state_t        state;
    uint8_t       *before;
    const char    *colour;
    item_t         best;
    item_t        *spare;
    item_t        *items;
    size_t         n_items;
    int           *states;
    size_t         n_states;
    const char   **ids;
    size_t         n_ids;
    async_str_t   *days;
    size_t         n_days;
} order_t;

static const char *const  colours[] = { "red", NULL };

ASYNC_MODEL(order_model, order_t,
    ASYNC_FIELD(order_t, id, .type = ASYNC_FIELD_UUID),
    ASYNC_FIELD(order_t, day, .type = ASYNC_FIELD_DATE, .optional = 1),
    ASYNC_FIELD(order_t, state, .choices = states),
    ASYNC_FIELD(order_t, before, .choices = states),
    ASYNC_FIELD(order_t, colour, .choices = colours, .max_length = 1,
                .optional = 1),
    ASYNC_OBJECT(order_t, best, item_model),
    ASYNC_OBJECT(order_t, spare, item_model),
    ASYNC_OBJECTS(order_t, items, n_items, item_model),
    ASYNC_LIST(order_t, states, n_states, .choices = states),
    ASYNC_LIST(order_t, ids, n_ids, .type = ASYNC_FIELD_UUID),
    ASYNC_LIST(order_t, days, n_days, .type = ASYNC_FIELD_DATE)
);

/* the same, as it is written: what of a row is wrong for that */

ASYNC_MODEL(order_out_model, order_t,
    ASYNC_FIELD(order_t, id, .type = ASYNC_FIELD_UUID),
    ASYNC_FIELD(order_t, day, .type = ASYNC_FIELD_DATE, .optional = 1),
    ASYNC_FIELD(order_t, state, .choices = states),
    ASYNC_FIELD(order_t, before, .choices = states),
    ASYNC_FIELD(order_t, colour, .optional = 1),
    ASYNC_OBJECT(order_t, best, item_model),
    ASYNC_OBJECT(order_t, spare, item_model),
    ASYNC_OBJECTS(order_t, items, n_items, item_model),
    ASYNC_LIST(order_t, states, n_states, .choices = states),
    ASYNC_LIST(order_t, ids, n_ids),
    ASYNC_LIST(order_t, days, n_days)
);


/* /order?q=, /orders?q=: the rows, and back */

ASYNC_HANDLER(order)
{
    order_t             order;
    async_pg_result_t  *result;

    ASYNC_TRY(asked(co, req, &result));

    if (async_pg_into(co, result, 0, &order_model, &order) != ASYNC_OK) {
        return async_json_pack(req, 200, "{s:s, s:b}", "error",
                               async_error(co), "zero",
                               order.id == NULL && order.items == NULL
                               && order.n_items == 0
                               && order.best.product == NULL
                               && order.spare == NULL);
    }

    return async_respond(req, 200, &order_out_model, &order);
}


ASYNC_HANDLER(orders)
{
    size_t              n;
    order_t            *orders;
    async_pg_result_t  *result;

    ASYNC_TRY(asked(co, req, &result));
    ASYNC_TRY(async_pg_all_into(co, result, &order_model, &orders, &n));

    return async_respond_all(req, 200, &order_out_model, orders, n);
}


/* a struct that no row can fill */

typedef struct {
    async_upload_t  *file;
} upload_t;

ASYNC_MODEL(upload_model, upload_t,
    ASYNC_FIELD(upload_t, file)
);

ASYNC_HANDLER(upload)
{
    upload_t            upload;
    async_pg_result_t  *result;

    ASYNC_TRY(asked(co, req, &result));

    if (async_pg_into(co, result, 0, &upload_model, &upload) == ASYNC_OK) {
        return async_text(req, 500, "it has been filled");
    }

    return async_json_pack(req, 200, "{s:s}", "error", async_error(co));
}
