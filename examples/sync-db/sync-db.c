
/*
 * A database in blocking handlers, by plain libpq, whose calls wait.
 *
 * Each thread of the pool has a connection of its own, from its first query
 * until it ends, so that nothing has to be shared or locked.
 */

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <libpq-fe.h>
#include <ngx_async.h>


static pthread_key_t  connection_key;


static void
close_connection(void *conn)
{
    PQfinish(conn);
}


/*
 * Before the first request of a worker.  It runs on the loop, where nothing may
 * wait, PQconnectdb() neither: so the threads connect, and users.sql makes the
 * table.
 */

ASYNC_STARTUP(make_connection_key)
{
    return pthread_key_create(&connection_key, close_connection) == 0
               ? ASYNC_OK : ASYNC_ERROR;
}


static void
drop_connection(PGconn *conn)
{
    (void) pthread_setspecific(connection_key, NULL);
    PQfinish(conn);
}


/* The first line of libpq's message, for the log only */

static void
log_error(async_req_t *req, const PGconn *conn)
{
    const char  *message = PQerrorMessage(conn);

    async_log(req, ASYNC_LOG_ERROR, "PostgreSQL: %.*s",
              (int) strcspn(message, "\n"), message);
}


static async_rc_t
connect_thread(async_req_t *req, PGconn **conn)
{
    const char  *names[] = { "dbname", "client_encoding", NULL };
    const char  *values[] = { async_param(req, "database").data, "UTF8", NULL };

    *conn = PQconnectdbParams(names, values, 1);

    if (PQstatus(*conn) == CONNECTION_OK
        && pthread_setspecific(connection_key, *conn) == 0)
    {
        return ASYNC_OK;
    }

    log_error(req, *conn);
    PQfinish(*conn);

    return async_fail(req, 503, "the database is out of reach");
}


static async_rc_t
connection(async_req_t *req, PGconn **conn)
{
    struct pollfd  idle;

    *conn = pthread_getspecific(connection_key);

    if (*conn) {
        idle.fd = PQsocket(*conn);
        idle.events = POLLIN;

        /* all that a server says unasked is that it has closed */

        if (poll(&idle, 1, 0) == 0) {
            return ASYNC_OK;
        }

        drop_connection(*conn);
    }

    return connect_thread(req, conn);
}


static async_rc_t
query_failed(async_req_t *req, PGconn *conn, const PGresult *result)
{
    const char  *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

    if (state && strcmp(state, "23505") == 0) {           /* unique_violation */
        return async_fail(req, 409, "this email is taken");
    }

    log_error(req, conn);

    if (PQstatus(conn) == CONNECTION_BAD) {
        drop_connection(conn);
        return async_fail(req, 503, "the database is out of reach");
    }

    if (state && strcmp(state, "57014") == 0) {           /* query_canceled */
        return ASYNC_TIMEOUT;
    }

    return ASYNC_ERROR;
}


/* One statement.  On ASYNC_OK the result is the caller's, for PQclear(). */

static async_rc_t
query(async_req_t *req, PGresult **result, const char *sql, int n,
    const char *const *values)
{
    PGconn      *conn;
    async_rc_t   rc;

    ASYNC_TRY(connection(req, &conn));

    *result = PQexecParams(conn, sql, n, NULL, values, NULL, NULL, 0);

    if (PQresultStatus(*result) == PGRES_TUPLES_OK) {
        return ASYNC_OK;
    }

    rc = query_failed(req, conn, *result);

    PQclear(*result);

    return rc;
}


static json_t *
user_of(const PGresult *result, int row)
{
    return json_pack("{s:I, s:s, s:s}",
                     "id", (json_int_t) atoll(PQgetvalue(result, row, 0)),
                     "name", PQgetvalue(result, row, 1),
                     "email", PQgetvalue(result, row, 2));
}


BLOCKING_HANDLER(list_users)
{
    int        i, n;
    json_t    *users;
    PGresult  *result;

    ASYNC_TRY(query(req, &result, "SELECT id, name, email FROM users "
                                  "ORDER BY id LIMIT 100", 0, NULL));

    users = json_array();
    n = PQntuples(result);

    for (i = 0; i < n; i++) {
        if (json_array_append_new(users, user_of(result, i)) != 0) {
            json_decref(users);
            users = NULL;                  /* an error of async_json() */
            break;
        }
    }

    PQclear(result);

    return async_json(req, 200, users);
}


BLOCKING_HANDLER(read_user)
{
    int64_t      id;
    PGresult    *result;
    async_rc_t   rc;
    const char  *values[] = { async_path(req, "id").data };

    ASYNC_TRY(async_path_int(req, "id", &id));         /* 422 beyond bigint */

    ASYNC_TRY(query(req, &result, "SELECT id, name, email FROM users "
                                  "WHERE id = $1", 1, values));

    rc = PQntuples(result) ? async_json(req, 200, user_of(result, 0))
                           : async_fail(req, 404, "no such user");
    PQclear(result);

    return rc;
}


/* An entry of the 422, as FastAPI's */

static void
invalid(json_t *errors, const char *type, const char *name, const char *msg,
    json_t *input, json_t *ctx)
{
    (void) json_array_append_new(errors,
                        json_pack("{s:s, s:[s, s], s:s, s:O, s:o*}",
                                  "type", type, "loc", "body", name,
                                  "msg", msg, "input", input, "ctx", ctx));
}


/* A member of the body that must be text, and not empty */

static const char *
required(json_t *errors, json_t *body, const char *name)
{
    json_t  *value = json_object_get(body, name);

    if (value == NULL) {
        invalid(errors, "missing", name, "Field required", body, NULL);

    } else if (!json_is_string(value)) {
        invalid(errors, "string_type", name, "Input should be a valid string",
                value, NULL);

    } else if (json_string_length(value) == 0) {
        invalid(errors, "string_too_short", name,
                "String should have at least 1 character", value,
                json_pack("{s:i}", "min_length", 1));
    }

    return json_string_value(value);
}


BLOCKING_HANDLER(create_user)
{
    json_t      *body, *errors;
    PGresult    *result;
    async_rc_t   rc;
    const char  *values[2];

    ASYNC_TRY(async_body_json(req, &body));

    if (!json_is_object(body)) {
        return async_fail_json(req, 422,
                   json_pack("[{s:s, s:[s], s:s, s:O}]",
                             "type", "model_attributes_type", "loc", "body",
                             "msg", "Input should be a valid dictionary or "
                                    "object to extract fields from",
                             "input", body));
    }

    errors = json_array();

    values[0] = required(errors, body, "name");
    values[1] = required(errors, body, "email");

    if (json_array_size(errors)) {
        return async_fail_json(req, 422, errors);      /* both at once */
    }

    json_decref(errors);

    ASYNC_TRY(query(req, &result, "INSERT INTO users (name, email) "
                                  "VALUES ($1, $2) RETURNING id, name, email",
                    2, values));

    rc = async_json(req, 201, user_of(result, 0));
    PQclear(result);

    return rc;
}
