
/*
 * Notes in PostgreSQL, awaited: made, listed page by page, read, changed,
 * deleted, merged in one transaction, taken over from a list; and all of them
 * at once, in and out, in bounded memory.
 *
 * What a user can do wrong is answered as FastAPI does: 404, 409, 422; if the
 * database cannot be reached, 503, and when to come again.
 */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <ngx_async.h>


#define NOTE  "id, title, text, completed"

#define PAGE_MAX    100
#define MERGE_MAX   50
#define TITLE_MAX   200          /* characters */
#define IMPORT_MAX  1000

/* what is sent, or read, in one piece: bytes */
#define PIECE  8192

/* any number that nobody else of this database locks */
#define SCHEMA_LOCK  20021974


/* of a request's body; null: it is not there */

typedef struct {
    async_value_t  title;
    async_value_t  text;
    async_value_t  completed;
} note_t;

#define NO_NOTE  (note_t) { ASYNC_NULL, ASYNC_NULL, ASYNC_NULL }


/*
 * All workers start at once, and one of them makes the table: "IF NOT EXISTS"
 * alone would fail in those that look a moment too early.  The lock ends with
 * the transaction.
 */

static async_rc_t
make_schema(async_t *co, void *arg)
{
    (void) arg;

    ASYNC_TRY(await_pg(co, "db", NULL, "SELECT pg_advisory_xact_lock($1)",
                       ASYNC_INT(SCHEMA_LOCK)));

    return await_pg(co, "db", NULL,
                    "CREATE TABLE IF NOT EXISTS notes ("
                    " id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
                    " title text NOT NULL CONSTRAINT notes_title UNIQUE"
                    " CHECK (length(title) BETWEEN 1 AND 200),"
                    " text text NOT NULL,"
                    " completed boolean NOT NULL)");
}


ASYNC_STARTUP(create_schema)
{
    return await_pg_transaction(co, "db", 0, make_schema, NULL);
}


/* Whether the server does not take what a client has sent. */

static int
is_refused(async_t *co)
{
    const async_pg_error_t  *error = async_pg_error(co);

    return error
           && (strncmp(error->sqlstate, "22", 2) == 0    /* data exceptions */
               || strcmp(error->sqlstate, "23502") == 0  /* not null */
               || strcmp(error->sqlstate, "23514") == 0);  /* check */
}


/*
 * What a client is told of a failure.  What stays ASYNC_ERROR is a mistake of
 * this file: 500, and the log has the cause.
 */

static async_rc_t
failed(async_t *co, async_req_t *req, async_rc_t rc)
{
    async_cause_t  cause = async_cause(co);

    if (async_pg_failed(co, "23505")) {            /* unique_violation */
        return async_fail(req, 409, "there is a note of this title");
    }

    if (is_refused(co)) {
        async_log(req, ASYNC_LOG_INFO, "%s", async_error(co));
        return async_fail(req, 422, "that is no note");
    }

    /* no connection: none to be had, none free in time, or lost */

    if (cause == ASYNC_CAUSE_CONNECT || cause == ASYNC_CAUSE_NAME
        || cause == ASYNC_CAUSE_TIMEOUT || cause == ASYNC_CAUSE_RESET)
    {
        async_log(req, ASYNC_LOG_ERROR, "%s", async_error(co));
        async_set_header(req, "Retry-After", "1");

        return async_fail(req, 503, "the database is out of reach");
    }

    return rc;
}


/* One note, of a statement that gives it back. */

static async_rc_t
respond(async_req_t *req, int status, async_pg_result_t *note)
{
    if (async_pg_rows(note) == 0) {
        return async_fail(req, 404, "no such note");
    }

    return async_pg_respond_row(req, status, note, 0);
}


/* An entry of a 422.  Steals ctx, which may be NULL. */

static void
invalid(json_t *errors, const char *type, json_t *loc, const char *msg,
    json_t *input, json_t *ctx)
{
    (void) json_array_append_new(errors,
                        json_pack("{s:s, s:o, s:s, s:O, s:o*}", "type", type,
                                  "loc", json_copy(loc), "msg", msg, "input",
                                  input, "ctx", ctx));
}


/* UTF-8 that jansson has checked */

static size_t
characters(const char *s)
{
    size_t  n;

    for (n = 0; *s; s++) {
        n += (*s & 0xc0) != 0x80;
    }

    return n;
}


static void
parse_title(json_t *errors, json_t *loc, json_t *value, async_value_t *title)
{
    size_t  n;

    if (!json_is_string(value)) {
        invalid(errors, "string_type", loc, "Input should be a valid string",
                value, NULL);
        return;
    }

    n = characters(json_string_value(value));

    if (n == 0) {
        invalid(errors, "string_too_short", loc,
                "String should have at least 1 character", value,
                json_pack("{s:i}", "min_length", 1));

    } else if (n > TITLE_MAX) {
        invalid(errors, "string_too_long", loc,
                "String should have at most 200 characters", value,
                json_pack("{s:i}", "max_length", TITLE_MAX));
    }

    *title = ASYNC_TEXT(json_string_value(value));
}


static void
parse_text(json_t *errors, json_t *loc, json_t *value, async_value_t *text)
{
    if (!json_is_string(value)) {
        invalid(errors, "string_type", loc, "Input should be a valid string",
                value, NULL);
        return;
    }

    *text = ASYNC_TEXT(json_string_value(value));
}


static void
parse_completed(json_t *errors, json_t *loc, json_t *value,
    async_value_t *completed)
{
    if (!json_is_boolean(value)) {
        invalid(errors, "bool_type", loc, "Input should be a valid boolean",
                value, NULL);
        return;
    }

    *completed = ASYNC_BOOL(json_is_true(value));
}


/* The members that are there; what is wrong with them is told all together. */

static void
parse_note(json_t *errors, json_t *loc, json_t *body, note_t *note)
{
    size_t   i;
    json_t  *value;

    static const struct {
        const char     *name;
        size_t          offset;
        void          (*parse)(json_t *errors, json_t *loc, json_t *value,
                               async_value_t *to);
    } member[] = {
        { "title", offsetof(note_t, title), parse_title },
        { "text", offsetof(note_t, text), parse_text },
        { "completed", offsetof(note_t, completed), parse_completed },
    };

    if (!json_is_object(body)) {
        invalid(errors, "model_attributes_type", loc,
                "Input should be a valid dictionary or object to extract "
                "fields from", body, NULL);
        return;
    }

    for (i = 0; i < sizeof(member) / sizeof(member[0]); i++) {
        value = json_object_get(body, member[i].name);

        if (value == NULL) {
            continue;
        }

        (void) json_array_append_new(loc, json_string(member[i].name));

        member[i].parse(errors, loc, value,
                        (async_value_t *) ((char *) note + member[i].offset));

        (void) json_array_remove(loc, json_array_size(loc) - 1);
    }
}


/* The same for a new one, which has a title. */

static void
parse_new(json_t *errors, json_t *loc, json_t *body, note_t *note)
{
    parse_note(errors, loc, body, note);

    if (json_is_object(body) && json_object_get(body, "title") == NULL) {
        (void) json_array_append_new(loc, json_string("title"));
        invalid(errors, "missing", loc, "Field required", body, NULL);
        (void) json_array_remove(loc, json_array_size(loc) - 1);
    }
}


/* ASYNC_OK if there are none.  Steals both. */

static async_rc_t
answer_errors(async_req_t *req, json_t *errors, json_t *loc)
{
    json_decref(loc);

    if (json_array_size(errors)) {
        return async_fail_json(req, 422, errors);
    }

    json_decref(errors);

    return ASYNC_OK;
}


/*
 * Pages by the last key of the one before: they cost the same however far one
 * goes, and a note that is made or deleted meanwhile moves none of the others.
 */

static async_rc_t
link_next(async_t *co, async_req_t *req, async_pg_result_t *notes,
    int64_t limit, const char *filter)
{
    char     link[128];
    int64_t  last;

    if (async_pg_rows(notes) < (size_t) limit) {
        return ASYNC_OK;                   /* that was the last page */
    }

    ASYNC_TRY(async_pg_int(co, notes, limit - 1, "id", &last));

    snprintf(link, sizeof(link), "</notes/?after=%" PRId64 "&limit=%" PRId64
             "%s>; rel=\"next\"", last, limit, filter);

    return async_set_header(req, "Link", link);
}


static async_rc_t
check_limit(async_req_t *req, int64_t limit)
{
    int  low = limit < 1;

    if (!low && limit <= PAGE_MAX) {
        return ASYNC_OK;
    }

    return async_fail_json(req, 422,
               json_pack("[{s:s, s:[s, s], s:s, s:s, s:{s:i}}]",
                         "type", low ? "greater_than_equal"
                                     : "less_than_equal",
                         "loc", "query", "limit",
                         "msg", low ? "Input should be greater than or equal "
                                      "to 1"
                                    : "Input should be less than or equal to "
                                      "100",
                         "input", async_query(req, "limit").data,
                         "ctx", low ? "ge" : "le", low ? 1 : PAGE_MAX));
}


ASYNC_HANDLER(list_notes)
{
    int                 completed, any;
    int64_t             after, limit;
    async_rc_t          rc;
    async_pg_result_t  *notes;

    (void) async_query_int_or(req, "after", &after, 0);
    (void) async_query_int_or(req, "limit", &limit, 20);
    (void) async_query_bool_or(req, "completed", &completed, 0);

    ASYNC_TRY(async_valid(req));
    ASYNC_TRY(check_limit(req, limit));

    any = (async_query(req, "completed").data == NULL);

    rc = await_pg(co, "db", &notes,
                  "SELECT " NOTE " FROM notes WHERE id > :after"
                  " AND (:completed::bool IS NULL OR completed = :completed)"
                  " ORDER BY id LIMIT :limit",
                  ASYNC_NAMED("after", ASYNC_INT(after)),
                  ASYNC_NAMED("limit", ASYNC_INT(limit)),
                  ASYNC_NAMED("completed", any ? ASYNC_NULL
                                               : ASYNC_BOOL(completed)));
    if (rc != ASYNC_OK) {
        return failed(co, req, rc);
    }

    ASYNC_TRY(link_next(co, req, notes, limit,
                        any ? "" : completed ? "&completed=true"
                                             : "&completed=false"));

    return async_pg_respond(req, 200, notes);
}


ASYNC_HANDLER(read_note)
{
    int64_t             id;
    async_rc_t          rc;
    async_pg_result_t  *note;

    ASYNC_TRY(async_path_int(req, "id", &id));

    rc = await_pg(co, "db", &note, "SELECT " NOTE " FROM notes WHERE id = $1",
                  ASYNC_INT(id));
    if (rc != ASYNC_OK) {
        return failed(co, req, rc);
    }

    return respond(req, 200, note);
}


static async_rc_t
insert_note(async_t *co, const note_t *note, async_pg_result_t **result)
{
    return await_pg(co, "db", result,
                    "INSERT INTO notes (title, text, completed) VALUES"
                    " ($1, coalesce($2, ''), coalesce($3, false))"
                    " RETURNING " NOTE,
                    note->title, note->text, note->completed);
}


ASYNC_HANDLER(create_note)
{
    char                location[64];
    json_t             *body, *errors, *loc;
    note_t              note = NO_NOTE;
    int64_t             id;
    async_rc_t          rc;
    async_pg_result_t  *result;

    ASYNC_TRY(await_json(co, req, &body));

    errors = json_array();
    loc = json_pack("[s]", "body");

    parse_new(errors, loc, body, &note);
    ASYNC_TRY(answer_errors(req, errors, loc));

    rc = insert_note(co, &note, &result);

    if (rc != ASYNC_OK) {
        return failed(co, req, rc);
    }

    ASYNC_TRY(async_pg_int(co, result, 0, "id", &id));

    snprintf(location, sizeof(location), "/notes/%" PRId64, id);
    ASYNC_TRY(async_set_header(req, "Location", location));

    return respond(req, 201, result);
}


/* PATCH: what is not there stays as it is. */

ASYNC_HANDLER(update_note)
{
    json_t             *body, *errors, *loc;
    note_t              note = NO_NOTE;
    int64_t             id;
    async_rc_t          rc;
    async_pg_result_t  *result;

    ASYNC_TRY(async_path_int(req, "id", &id));
    ASYNC_TRY(await_json(co, req, &body));

    errors = json_array();
    loc = json_pack("[s]", "body");

    parse_note(errors, loc, body, &note);
    ASYNC_TRY(answer_errors(req, errors, loc));

    rc = await_pg(co, "db", &result,
                  "UPDATE notes SET title = coalesce($2, title),"
                  " text = coalesce($3, text),"
                  " completed = coalesce($4, completed)"
                  " WHERE id = $1 RETURNING " NOTE,
                  ASYNC_INT(id), note.title, note.text, note.completed);

    if (rc != ASYNC_OK) {
        return failed(co, req, rc);
    }

    return respond(req, 200, result);
}


ASYNC_HANDLER(delete_note)
{
    int64_t             id;
    async_rc_t          rc;
    async_pg_result_t  *result;

    ASYNC_TRY(async_path_int(req, "id", &id));

    rc = await_pg(co, "db", &result, "DELETE FROM notes WHERE id = $1",
                  ASYNC_INT(id));
    if (rc != ASYNC_OK) {
        return failed(co, req, rc);
    }

    return async_pg_affected(result) ? async_empty(req, 204)
                                     : async_fail(req, 404, "no such note");
}


/* Of several, all or nothing: the texts of some go to another one. */

typedef struct {
    async_req_t        *req;
    int64_t             into;
    int64_t             from[MERGE_MAX];
    size_t              n;
    async_pg_result_t  *note;
} merge_t;


static async_rc_t
merge(async_t *co, void *arg)
{
    merge_t            *m = arg;
    async_pg_result_t  *locked;

    /* in their order, so that two merges do not wait for each other */

    ASYNC_TRY(await_pg(co, "db", &locked,
                       "SELECT id FROM notes WHERE id = $1 OR id = ANY ($2)"
                       " ORDER BY id FOR UPDATE",
                       ASYNC_INT(m->into), ASYNC_INTS(m->from, m->n)));

    if (async_pg_rows(locked) != m->n + 1) {
        return async_fail(m->req, 404, "no such note");
    }

    ASYNC_TRY(await_pg(co, "db", &m->note,
                       "UPDATE notes SET text = concat_ws(E'\\n', text,"
                       " (SELECT string_agg(f.text, E'\\n'"
                       " ORDER BY array_position($2::int8[], f.id))"
                       " FROM notes f WHERE f.id = ANY ($2)))"
                       " WHERE id = $1 RETURNING " NOTE,
                       ASYNC_INT(m->into), ASYNC_INTS(m->from, m->n)));

    return await_pg(co, "db", NULL, "DELETE FROM notes WHERE id = ANY ($1)",
                    ASYNC_INTS(m->from, m->n));
}


static int
is_among(const merge_t *m, json_int_t id)
{
    size_t  i;

    for (i = 0; i < m->n; i++) {
        if (m->from[i] == id) {
            return 1;
        }
    }

    return 0;
}


/* {"from": [2, 3]} */

static async_rc_t
parse_merge(async_req_t *req, json_t *body, merge_t *m)
{
    size_t   i;
    json_t  *from, *id;

    from = json_object_get(body, "from");

    if (!json_is_array(from) || json_array_size(from) == 0
        || json_array_size(from) > MERGE_MAX)
    {
        return async_fail(req, 422, "\"from\" is a list of 1 to 50 ids");
    }

    json_array_foreach(from, i, id) {

        if (!json_is_integer(id) || json_integer_value(id) == m->into) {
            return async_fail(req, 422, "\"from\" is a list of ids of others");
        }

        if (!is_among(m, json_integer_value(id))) {
            m->from[m->n++] = json_integer_value(id);
        }
    }

    return ASYNC_OK;
}


ASYNC_HANDLER(merge_notes)
{
    json_t      *body;
    merge_t      m = { .req = req };
    async_rc_t   rc;

    ASYNC_TRY(async_path_int(req, "id", &m.into));
    ASYNC_TRY(await_json(co, req, &body));
    ASYNC_TRY(parse_merge(req, body, &m));

    rc = await_pg_transaction(co, "db", 0, merge, &m);

    if (rc != ASYNC_OK) {
        return failed(co, req, rc);
    }

    return respond(req, 200, m.note);
}


/*
 * A list of new notes, all or nothing, but that those whose titles are taken
 * are left out: each has a savepoint, that is a transaction in the other one.
 */

typedef struct {
    note_t  *note;
    size_t   n;
    json_t  *skipped;
    int      imported;
} import_t;


static async_rc_t
import_one(async_t *co, void *arg)
{
    return insert_note(co, arg, NULL);
}


static async_rc_t
import_all(async_t *co, void *arg)
{
    size_t       i;
    import_t    *import = arg;
    async_rc_t   rc;
    const char  *title;

    for (i = 0; i < import->n; i++) {
        rc = await_pg_transaction(co, "db", 0, import_one, &import->note[i]);

        if (rc == ASYNC_OK) {
            import->imported++;
            continue;
        }

        if (!async_pg_failed(co, "23505")) {
            return rc;
        }

        title = import->note[i].title.data;
        (void) json_array_append_new(import->skipped, json_string(title));
    }

    return ASYNC_OK;
}


static async_rc_t
parse_list(async_req_t *req, json_t *list, import_t *import)
{
    size_t   i;
    json_t  *value, *errors, *loc;

    import->n = json_array_size(list);

    if (!json_is_array(list) || import->n > IMPORT_MAX) {
        return async_fail(req, 422, "the body is a list of up to 1000 notes");
    }

    import->note = async_alloc(req, (import->n + 1) * sizeof(note_t));

    if (import->note == NULL) {
        return ASYNC_ERROR;
    }

    errors = json_array();
    loc = json_pack("[s]", "body");

    json_array_foreach(list, i, value) {
        import->note[i] = NO_NOTE;

        (void) json_array_append_new(loc, json_integer(i));
        parse_new(errors, loc, value, &import->note[i]);
        (void) json_array_remove(loc, 1);
    }

    return answer_errors(req, errors, loc);
}


static void
free_json(async_t *co, void *value)
{
    (void) co;

    json_decref(value);
}


ASYNC_HANDLER(import_notes)
{
    json_t      *list;
    import_t     import = { NULL, 0, NULL, 0 };
    async_rc_t   rc;

    ASYNC_TRY(await_json(co, req, &list));
    ASYNC_TRY(parse_list(req, list, &import));

    import.skipped = json_array();
    ASYNC_TRY(async_defer(co, free_json, import.skipped));

    rc = await_pg_transaction(co, "db", 0, import_all, &import);

    if (rc != ASYNC_OK) {
        return failed(co, req, rc);
    }

    return async_json_pack(req, 200, "{s:i, s:O}", "imported", import.imported,
                           "skipped", import.skipped);
}


/*
 * All notes, however many: a line of JSON each, as the server sends them and
 * the client takes them.
 */

typedef struct {
    async_req_t  *req;
    size_t        n;
    char          data[PIECE];
} piece_t;


static async_rc_t
flush(async_t *co, piece_t *piece)
{
    size_t  n = piece->n;

    piece->n = 0;

    return await_send(co, piece->req, piece->data, n);
}


static async_rc_t
put(async_t *co, piece_t *piece, const char *data, size_t len)
{
    size_t  n;

    while (len) {

        if (piece->n == PIECE) {
            ASYNC_TRY(flush(co, piece));
        }

        n = (len < PIECE - piece->n) ? len : PIECE - piece->n;

        memcpy(piece->data + piece->n, data, n);
        piece->n += n;
        data += n;
        len -= n;
    }

    return ASYNC_OK;
}


ASYNC_HANDLER(all_notes)
{
    piece_t             piece;
    async_rc_t          rc;
    async_str_t         text;
    async_pg_result_t  *row;
    async_pg_stream_t  *stream;

    rc = await_pg_stream(co, "db", &stream,
                         "SELECT " NOTE " FROM notes ORDER BY id");
    if (rc != ASYNC_OK) {
        return failed(co, req, rc);
    }

    ASYNC_TRY(async_stream(req, 200, "application/x-ndjson", -1));

    piece.req = req;
    piece.n = 0;

    for ( ;; ) {
        ASYNC_TRY(await_pg_next(co, stream, &row));

        if (row == NULL) {
            return flush(co, &piece);
        }

        text = async_pg_row_text(co, row, 0);

        if (text.data == NULL) {
            return ASYNC_ERROR;
        }

        ASYNC_TRY(put(co, &piece, text.data, text.len));
        ASYNC_TRY(put(co, &piece, "\n", 1));
    }
}


/* The same as CSV, which the server writes, and reads. */

ASYNC_HANDLER(read_csv)
{
    piece_t           piece;
    async_rc_t        rc;
    async_str_t       lines;
    async_pg_copy_t  *copy;

    rc = await_pg_copy(co, "db", &copy,
                       "COPY (SELECT title, text, completed FROM notes"
                       " ORDER BY id) TO STDOUT WITH (FORMAT csv, HEADER)");
    if (rc != ASYNC_OK) {
        return failed(co, req, rc);
    }

    ASYNC_TRY(async_stream(req, 200, "text/csv; charset=utf-8", -1));

    piece.req = req;
    piece.n = 0;

    for ( ;; ) {
        ASYNC_TRY(await_pg_copy_get(co, copy, &lines));

        if (lines.data == NULL) {
            ASYNC_TRY(await_pg_copy_close(co, copy, NULL));
            return flush(co, &piece);
        }

        ASYNC_TRY(put(co, &piece, lines.data, lines.len));
    }
}


/* A body of any length: all of it is stored, or nothing. */

static async_rc_t
copy_body(async_t *co, async_req_t *req, int64_t *rows)
{
    char              buf[PIECE];
    size_t            n;
    async_pg_copy_t  *copy;

    ASYNC_TRY(await_pg_copy(co, "db", &copy,
                            "COPY notes (title, text, completed) FROM STDIN"
                            " WITH (FORMAT csv, HEADER,"
                            " FORCE_NOT_NULL (title, text))"));

    for ( ;; ) {
        ASYNC_TRY(await_body_read(co, req, buf, sizeof(buf), &n));

        if (n == 0) {
            return await_pg_copy_close(co, copy, rows);
        }

        ASYNC_TRY(await_pg_copy_put(co, copy, buf, n));
    }
}


ASYNC_HANDLER(write_csv)
{
    int64_t     rows;
    async_rc_t  rc;

    rc = copy_body(co, req, &rows);

    if (rc != ASYNC_OK) {
        return failed(co, req, rc);
    }

    return async_json_pack(req, 200, "{s:I}", "imported", (json_int_t) rows);
}
