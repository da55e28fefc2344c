/*
 * A chat: rooms by the path, over all workers, with their last messages and
 * who is there.
 *
 * What one says is stored in PostgreSQL and then published on the channel of
 * the room, which the module sends to everybody in it by itself; no handler
 * wakes up for that.  Handlers wait for what their own client says.
 */

#include <stdio.h>
#include <ngx_async.h>


#define HISTORY      "50"       /* messages, for who comes in */
#define RATE         20         /* messages of one address ... */
#define RATE_TIME    10000      /* ... in so many milliseconds */
#define GONE         "30 s"     /* nothing heard of since: a worker has died */
#define KEPT         "30 days"

/* any number that nobody else of this database locks */
#define SCHEMA_LOCK  20031976


/* words with one space between them, and nothing that is not seen */
#define WORDS        "^[^\\pC\\pZ]+( [^\\pC\\pZ]+)*$"


/* who comes: WS /chat/{room}?name= */

typedef struct {
    const char  *room;
    const char  *name;
} visit_t;

ASYNC_MODEL(visit, visit_t,
    ASYNC_FIELD(visit_t, room, .in = ASYNC_IN_PATH,
                .pattern = "^[a-z0-9-]{1,32}$"),
    ASYNC_FIELD(visit_t, name, .max_length = 24, .pattern = WORDS)
);


/* what a client says: {"text": "Hello!"} */

typedef struct {
    const char  *text;
} said_t;

ASYNC_MODEL(said, said_t,
    ASYNC_FIELD(said_t, text, .max_length = 1000, .pattern = "\\S")
);


/*
 * Who is in a room.  An id is one connection; a name may have several.  The
 * list is of those of this worker.
 */

typedef struct person_s  person_t;

struct person_s {
    const char   *type;         /* "joined", "left" */
    int64_t       id;
    const char   *name;
    const char   *room;
    person_t     *next;
    person_t    **link;         /* what points here */
};

ASYNC_MODEL(person_row, person_t,
    ASYNC_FIELD(person_t, id),
    ASYNC_FIELD(person_t, name),
    ASYNC_FIELD(person_t, room)
);

ASYNC_MODEL(person_out, person_t,
    ASYNC_FIELD(person_t, id),
    ASYNC_FIELD(person_t, name)
);

ASYNC_MODEL(person_event, person_t,
    ASYNC_FIELD(person_t, type),
    ASYNC_FIELD(person_t, id),
    ASYNC_FIELD(person_t, name)
);


/* ... and what has been said there */

typedef struct {
    const char  *type;          /* "message" */
    int64_t      id;
    const char  *name;
    const char  *text;
    int64_t      at;
} message_t;

ASYNC_MODEL(message_out, message_t,
    ASYNC_FIELD(message_t, id),
    ASYNC_FIELD(message_t, name),
    ASYNC_FIELD(message_t, text),
    ASYNC_FIELD(message_t, at, .type = ASYNC_FIELD_TIME)
);

ASYNC_MODEL(message_event, message_t,
    ASYNC_FIELD(message_t, type),
    ASYNC_FIELD(message_t, id),
    ASYNC_FIELD(message_t, name),
    ASYNC_FIELD(message_t, text),
    ASYNC_FIELD(message_t, at, .type = ASYNC_FIELD_TIME)
);


/* for one client alone */

typedef struct {
    const char  *type;          /* "welcome" */
    person_t    *people;
    size_t       n_people;
    message_t   *messages;
    size_t       n_messages;
} welcome_t;

ASYNC_MODEL(welcome_event, welcome_t,
    ASYNC_FIELD(welcome_t, type),
    ASYNC_OBJECTS(welcome_t, people, n_people, person_out),
    ASYNC_OBJECTS(welcome_t, messages, n_messages, message_out)
);

typedef struct {
    const char  *type;          /* "error" */
    const char  *text;
} error_t;

ASYNC_MODEL(error_event, error_t,
    ASYNC_FIELD(error_t, type),
    ASYNC_FIELD(error_t, text)
);


static person_t      *people;

/* held while PostgreSQL is told of them */
static async_mutex_t  telling;


static void
add_person(person_t *person)
{
    person->next = people;
    person->link = &people;

    if (people) {
        people->link = &person->next;
    }

    people = person;
}


static void
remove_person(person_t *person)
{
    *person->link = person->next;

    if (person->next) {
        person->next->link = person->link;
    }
}


/* To everybody in the room, in whichever worker. */

static async_rc_t
publish_person(async_t *co, person_t *person, const char *type)
{
    char  channel[64];

    snprintf(channel, sizeof(channel), "room:%s", person->room);
    person->type = type;

    return async_publish_model(co, channel, &person_event, person);
}


/*
 * However a client goes: by its own will, or its network's, or the server's.
 * This is a cleanup, which may await although the handler may not any more.
 */

static async_rc_t
delete_person(async_t *co, const person_t *person)
{
    /* what is being told of those who are here would bring it back */

    ASYNC_TRY(await_lock(co, &telling));
    ASYNC_TRY(async_unlock(co, &telling));

    return await_pg(co, "db", NULL, "DELETE FROM people WHERE id = $1",
                    ASYNC_INT(person->id));
}


static void
leave(async_t *co, void *arg)
{
    person_t  *person = arg;

    remove_person(person);

    if (delete_person(co, person) != ASYNC_OK) {
        async_task_log(co, ASYNC_LOG_WARN, "%s is left to sweep(): %s",
                       person->name, async_error(co));
    }

    if (publish_person(co, person, "left") != ASYNC_OK) {
        async_task_log(co, ASYNC_LOG_ERROR, "nobody hears that %s has left: %s",
                       person->name, async_error(co));
    }
}


/*
 * Into the room.  What is published from here on reaches the client, maybe
 * before the welcome, and maybe in it as well: the page sorts that out by ids.
 */

static async_rc_t
enter(async_t *co, async_req_t *req, person_t *person)
{
    char                  channel[64];
    welcome_t             welcome = { .type = "welcome" };
    async_subscribe_t     slow = { .flags = ASYNC_CHANNEL_CLOSE };
    async_pg_statement_t  s[] = {
        ASYNC_PG("INSERT INTO people (room, name) VALUES ($1, $2)"
                 " RETURNING id",
                 ASYNC_TEXT(person->room), ASYNC_TEXT(person->name)),
        ASYNC_PG("SELECT id, name, room FROM people WHERE room = $1"
                 " ORDER BY id", ASYNC_TEXT(person->room)),
        ASYNC_PG("SELECT * FROM (SELECT id, name, text, at FROM messages"
                 " WHERE room = $1 ORDER BY id DESC LIMIT " HISTORY ") AS last"
                 " ORDER BY id", ASYNC_TEXT(person->room))
    };

    ASYNC_MEMORY(co);

    /* one that does not read is closed, comes again, and has missed nothing */

    snprintf(channel, sizeof(channel), "room:%s", person->room);
    ASYNC_TRY(async_ws_subscribe(co, req, channel, ASYNC_WS_TEXT, &slow));

    ASYNC_TRY(await_pg_pipeline(co, "db", s, 3, 0));
    ASYNC_TRY(async_pg_int(co, s[0].result, 0, "id", &person->id));

    add_person(person);
    ASYNC_TRY(async_defer(co, leave, person));

    ASYNC_TRY(async_pg_all_into(co, s[1].result, &person_row, &welcome.people,
                                &welcome.n_people));
    ASYNC_TRY(async_pg_all_into(co, s[2].result, &message_out,
                                &welcome.messages, &welcome.n_messages));
    ASYNC_TRY(await_ws_send_model(co, req, &welcome_event, &welcome));

    return publish_person(co, person, "joined");
}


static async_rc_t
complain(async_t *co, async_req_t *req, const char *why)
{
    error_t  error = { .type = "error", .text = why };

    return await_ws_send_model(co, req, &error_event, &error);
}


/* Messages of this address within the time, in whichever worker and room. */

static async_rc_t
count_message(async_t *co, async_req_t *req, int64_t *count)
{
    char  key[128];

    snprintf(key, sizeof(key), "rate:%s", async_client(req).data);

    return async_shared_incr(co, "chat", key, 1, RATE_TIME, count);
}


/* One message: stored, then published. */

static async_rc_t
hear(async_t *co, async_req_t *req, const person_t *person)
{
    char                channel[64];
    said_t              in;
    int64_t             count;
    message_t           message;
    async_rc_t          rc;
    async_pg_result_t  *row;

    ASYNC_MEMORY(co);       /* of one message, not of a long conversation */

    rc = await_ws_recv_into(co, req, &said, &in, NULL);

    if (rc == ASYNC_INVALID) {
        return complain(co, req, "A message is a text of 1 to 1000 characters");
    }

    ASYNC_TRY(rc);

    ASYNC_TRY(count_message(co, req, &count));

    if (count > RATE) {
        return complain(co, req, "Not so fast: wait a few seconds");
    }

    ASYNC_TRY(await_pg(co, "db", &row,
                       "INSERT INTO messages (room, name, text)"
                       " VALUES ($1, $2, $3) RETURNING id, name, text, at",
                       ASYNC_TEXT(person->room), ASYNC_TEXT(person->name),
                       ASYNC_TEXT(in.text)));

    ASYNC_TRY(async_pg_into(co, row, 0, &message_out, &message));
    message.type = "message";

    snprintf(channel, sizeof(channel), "room:%s", person->room);

    return async_publish_model(co, channel, &message_event, &message);
}


ASYNC_HANDLER(chat, ASYNC_PARAMS(visit))
{
    person_t  *person;

    /* leave() needs it when this function has returned */

    person = async_alloc(req, sizeof(person_t));

    if (person == NULL) {
        return ASYNC_ERROR;
    }

    person->room = visit_of(req)->room;
    person->name = visit_of(req)->name;

    ASYNC_TRY(await_ws_accept(co, req, NULL));
    ASYNC_TRY(enter(co, req, person));

    for ( ;; ) {
        ASYNC_TRY(hear(co, req, person));
    }
}


/*
 * Each worker says now and then that its people are still here; those of one
 * that has died are swept out by the others.  One that could not say so for too
 * long finds its people swept out, and brings them back.
 */

static json_t *
people_json(void)
{
    json_t    *list = json_array();
    person_t  *person;

    for (person = people; person; person = person->next) {
        json_array_append_new(list, json_pack("{s:I, s:s, s:s}",
                              "id", (json_int_t) person->id,
                              "room", person->room, "name", person->name));
    }

    return list;
}


ASYNC_PERIODIC(tell_people)
{
    size_t              i, n;
    person_t           *back;
    async_pg_result_t  *rows;

    ASYNC_LOCK(co, &telling);

    ASYNC_TRY(await_pg(co, "db", &rows,
                       "WITH here AS ("
                       "  SELECT * FROM jsonb_to_recordset($1)"
                       "  AS person (id bigint, room text, name text)"
                       "), told AS ("
                       "  UPDATE people SET seen = now() FROM here"
                       "  WHERE people.id = here.id"
                       ") INSERT INTO people (id, room, name)"
                       " SELECT * FROM here ON CONFLICT DO NOTHING"
                       " RETURNING id, room, name",
                       ASYNC_JSON(people_json())));
    ASYNC_TRY(async_pg_all_into(co, rows, &person_row, &back, &n));

    for (i = 0; i < n; i++) {
        ASYNC_TRY(publish_person(co, &back[i], "joined"));
    }

    return ASYNC_OK;
}


ASYNC_PERIODIC(sweep)
{
    size_t              i, n;
    person_t           *gone;
    async_pg_result_t  *rows;

    ASYNC_TRY(await_pg(co, "db", NULL, "DELETE FROM messages"
                       " WHERE at < now() - interval '" KEPT "'"));
    ASYNC_TRY(await_pg(co, "db", &rows, "DELETE FROM people"
                       " WHERE seen < now() - interval '" GONE "'"
                       " RETURNING id, room, name"));
    ASYNC_TRY(async_pg_all_into(co, rows, &person_row, &gone, &n));

    for (i = 0; i < n; i++) {
        ASYNC_TRY(publish_person(co, &gone[i], "left"));
    }

    return ASYNC_OK;
}


/* All workers start at once, and one of them makes the tables. */

static async_rc_t
make_schema(async_t *co, void *arg)
{
    (void) arg;

    ASYNC_TRY(await_pg(co, "db", NULL, "SELECT pg_advisory_xact_lock($1)",
                       ASYNC_INT(SCHEMA_LOCK)));
    ASYNC_TRY(await_pg(co, "db", NULL,
                       "CREATE TABLE IF NOT EXISTS messages ("
                       " id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
                       " room text NOT NULL,"
                       " name text NOT NULL,"
                       " text text NOT NULL,"
                       " at timestamptz NOT NULL DEFAULT now())"));
    ASYNC_TRY(await_pg(co, "db", NULL,
                       "CREATE INDEX IF NOT EXISTS messages_room"
                       " ON messages (room, id)"));

    return await_pg(co, "db", NULL,
                    "CREATE UNLOGGED TABLE IF NOT EXISTS people ("
                    " id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,"
                    " room text NOT NULL,"
                    " name text NOT NULL,"
                    " seen timestamptz NOT NULL DEFAULT now())");
}


ASYNC_STARTUP(create_schema)
{
    return await_pg_transaction(co, "db", 0, make_schema, NULL);
}
