/*
 * Things to do, in PostgreSQL: what FastAPI's users know as models,
 * dependencies and the docs page.
 *
 * A model describes a struct; what a handler declares by it is read, checked
 * and documented.  So there is no code here for what a client may do wrong: the
 * answer is a 422 with every error, and the handler does not run.
 */

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <ngx_async.h>


#define TODO  "id, list, title, note, priority, due, tags, done, created"

/* any number that nobody else of this database locks */
#define SCHEMA_LOCK  20031975


static const char *const  priorities[] = { "low", "normal", "high", NULL };

typedef enum { LOW, NORMAL, HIGH } priority_t;


/* as it is in the database, and as it is shown */

typedef struct {
    int64_t       id;
    const char   *list;
    const char   *title;
    const char   *note;
    priority_t    priority;
    const char   *due;
    const char  **tags;
    size_t        n_tags;
    bool          done;
    int64_t       created;
} todo_t;

ASYNC_MODEL(todo_out, todo_t,
    ASYNC_FIELD(todo_t, id),
    ASYNC_FIELD(todo_t, list),
    ASYNC_FIELD(todo_t, title),
    ASYNC_FIELD(todo_t, note, .optional = 1),
    ASYNC_FIELD(todo_t, priority, .choices = priorities),
    ASYNC_FIELD(todo_t, due, .type = ASYNC_FIELD_DATE, .optional = 1),
    ASYNC_LIST(todo_t, tags, n_tags),
    ASYNC_FIELD(todo_t, done),
    ASYNC_FIELD(todo_t, created, .type = ASYNC_FIELD_TIME)
);

/* what a client may say of a new one */

ASYNC_MODEL(todo_in, todo_t,
    ASYNC_FIELD(todo_t, title, .min_length = 1, .max_length = 200,
                .example = "Buy tea"),
    ASYNC_FIELD(todo_t, note, .optional = 1, .max_length = 10000),
    ASYNC_FIELD(todo_t, priority, .choices = priorities,
                ASYNC_DEFAULT("normal")),
    ASYNC_FIELD(todo_t, due, .type = ASYNC_FIELD_DATE, .optional = 1,
                .description = "The day by which it is to be done"),
    ASYNC_LIST(todo_t, tags, n_tags, ASYNC_DEFAULT("[]"), .max_length = 10)
);


/* ... and of one that is there: what is not said, or null, stays */

typedef struct {
    const char    *title;
    const char    *note;
    priority_t    *priority;
    const char    *due;
    bool          *done;
} change_t;

ASYNC_MODEL(todo_change, change_t,
    ASYNC_FIELD(change_t, title, .optional = 1, .min_length = 1,
                .max_length = 200),
    ASYNC_FIELD(change_t, note, .optional = 1, .max_length = 10000),
    ASYNC_FIELD(change_t, priority, .choices = priorities),
    ASYNC_FIELD(change_t, due, .type = ASYNC_FIELD_DATE, .optional = 1),
    ASYNC_FIELD(change_t, done)
);


/* parameters */

typedef struct {
    const char  *x_list;
} which_list_t;

ASYNC_MODEL(which_list, which_list_t,
    ASYNC_FIELD(which_list_t, x_list, .in = ASYNC_IN_HEADER,
                .pattern = "^[a-z0-9-]{1,40}$", ASYNC_DEFAULT("home"),
                .description = "The list; each has things of its own")
);

typedef struct {
    int64_t  id;
} which_todo_t;

ASYNC_MODEL(which_todo, which_todo_t,
    ASYNC_FIELD(which_todo_t, id, .in = ASYNC_IN_PATH, ASYNC_GE(1))
);

typedef struct {
    bool     *done;
    int64_t   after;
    int       limit;
} page_t;

ASYNC_MODEL(page, page_t,
    ASYNC_FIELD(page_t, done, .description = "Only those that are, or are not"),
    ASYNC_FIELD(page_t, after, ASYNC_DEFAULT("0"), ASYNC_GE(0),
                .description = "The last id of the page before"),
    ASYNC_FIELD(page_t, limit, ASYNC_DEFAULT("20"), ASYNC_GE(1), ASYNC_LE(100))
);


/* All workers start at once, and one of them makes the table. */

static async_rc_t
make_schema(async_t *co, void *arg)
{
    (void) arg;

    ASYNC_TRY(await_pg(co, "db", NULL, "SELECT pg_advisory_xact_lock($1)",
                       ASYNC_INT(SCHEMA_LOCK)));

    return await_pg(co, "db", NULL,
                    "CREATE TABLE IF NOT EXISTS todos ("
                    " id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
                    " list text NOT NULL,"
                    " title text NOT NULL,"
                    " note text,"
                    " priority text NOT NULL,"
                    " due date,"
                    " tags text[] NOT NULL,"
                    " done boolean NOT NULL DEFAULT false,"
                    " created timestamptz NOT NULL DEFAULT now())");
}


ASYNC_STARTUP(create_schema)
{
    return await_pg_transaction(co, "db", 0, make_schema, NULL);
}


/* The list that the client means. */

ASYNC_DEPENDENCY(todo_list, const char, ASYNC_PARAMS(which_list))
{
    return async_provide(req, which_list_of(req)->x_list);
}


/* The one of the path, for who depends on it: it is there, and of that list. */

ASYNC_DEPENDENCY(todo, todo_t, ASYNC_DEPENDS(todo_list),
                 ASYNC_PARAMS(which_todo))
{
    todo_t             *todo;
    async_pg_result_t  *result;

    ASYNC_TRY(await_pg(co, "db", &result,
                       "SELECT " TODO " FROM todos WHERE id = $1 AND list = $2",
                       ASYNC_INT(which_todo_of(req)->id),
                       ASYNC_TEXT(todo_list_of(req))));

    if (async_pg_rows(result) == 0) {
        return async_fail(req, 404, "no such todo");
    }

    todo = async_alloc(req, sizeof(todo_t));

    if (todo == NULL) {
        return ASYNC_ERROR;
    }

    ASYNC_TRY(async_pg_into(co, result, 0, &todo_out, todo));

    return async_provide(req, todo);
}


ASYNC_HANDLER(list_todos, ASYNC_DEPENDS(todo_list), ASYNC_PARAMS(page),
              ASYNC_RESPONSE_LIST(200, todo_out), ASYNC_TAG("todos"),
              ASYNC_SUMMARY("What is to be done"))
{
    size_t              n;
    todo_t             *todos;
    const page_t       *p = page_of(req);
    async_pg_result_t  *result;

    ASYNC_TRY(await_pg(co, "db", &result,
                       "SELECT " TODO " FROM todos WHERE list = $1 AND id > $2"
                       " AND ($3::bool IS NULL OR done = $3)"
                       " ORDER BY id LIMIT $4",
                       ASYNC_TEXT(todo_list_of(req)), ASYNC_INT(p->after),
                       p->done ? ASYNC_BOOL(*p->done) : ASYNC_NULL,
                       ASYNC_INT(p->limit)));
    ASYNC_TRY(async_pg_all_into(co, result, &todo_out, &todos, &n));

    return async_respond_all(req, 200, &todo_out, todos, n);
}


ASYNC_HANDLER(create_todo, ASYNC_DEPENDS(todo_list), ASYNC_BODY(todo_in),
              ASYNC_RESPONSE(201, todo_out), ASYNC_TAG("todos"),
              ASYNC_SUMMARY("Adds one"))
{
    char                location[64];
    todo_t              todo;
    const todo_t       *in = todo_in_of(req);
    async_pg_result_t  *result;

    ASYNC_TRY(await_pg(co, "db", &result,
                       "INSERT INTO todos (list, title, note, priority, due,"
                       " tags) VALUES ($1, $2, $3, $4, $5, $6) RETURNING " TODO,
                       ASYNC_TEXT(todo_list_of(req)), ASYNC_TEXT(in->title),
                       ASYNC_TEXT(in->note),
                       ASYNC_TEXT(priorities[in->priority]),
                       ASYNC_TEXT(in->due), ASYNC_TEXTS(in->tags, in->n_tags)));
    ASYNC_TRY(async_pg_into(co, result, 0, &todo_out, &todo));

    snprintf(location, sizeof(location), "/todos/%" PRId64, todo.id);
    ASYNC_TRY(async_set_header(req, "Location", location));

    return async_respond(req, 201, &todo_out, &todo);
}


ASYNC_HANDLER(read_todo, ASYNC_DEPENDS(todo), ASYNC_RESPONSE(200, todo_out),
              ASYNC_TAG("todos"), ASYNC_SUMMARY("One of them"))
{
    return async_respond(req, 200, &todo_out, todo_of(req));
}


ASYNC_HANDLER(change_todo, ASYNC_DEPENDS(todo), ASYNC_BODY(todo_change),
              ASYNC_RESPONSE(200, todo_out), ASYNC_TAG("todos"),
              ASYNC_SUMMARY("Changes what is said, or ticks it off"))
{
    todo_t              todo;
    const change_t     *to = todo_change_of(req);
    async_pg_result_t  *result;

    ASYNC_TRY(await_pg(co, "db", &result,
                       "UPDATE todos SET title = coalesce($2, title),"
                       " note = coalesce($3, note),"
                       " priority = coalesce($4, priority),"
                       " due = coalesce($5, due), done = coalesce($6, done)"
                       " WHERE id = $1 RETURNING " TODO,
                       ASYNC_INT(todo_of(req)->id), ASYNC_TEXT(to->title),
                       ASYNC_TEXT(to->note),
                       to->priority ? ASYNC_TEXT(priorities[*to->priority])
                                    : ASYNC_NULL,
                       ASYNC_TEXT(to->due),
                       to->done ? ASYNC_BOOL(*to->done) : ASYNC_NULL));

    if (async_pg_rows(result) == 0) {
        return async_fail(req, 404, "no such todo");   /* deleted meanwhile */
    }

    ASYNC_TRY(async_pg_into(co, result, 0, &todo_out, &todo));

    return async_respond(req, 200, &todo_out, &todo);
}


ASYNC_HANDLER(delete_todo, ASYNC_DEPENDS(todo), ASYNC_TAG("todos"),
              ASYNC_SUMMARY("Forgets it"))
{
    ASYNC_TRY(await_pg(co, "db", NULL, "DELETE FROM todos WHERE id = $1",
                       ASYNC_INT(todo_of(req)->id)));

    return async_empty(req, 204);
}
