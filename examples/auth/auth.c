/*
 * Users who log in.  A password buys a session's token; who shows it is the
 * current user, on whom handlers depend.
 *
 * Passwords are hashed by crypt(3), which takes a processor for a while: in a
 * thread, of a small pool, so that nobody else waits for it.
 */

#include <crypt.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <ngx_async.h>


typedef enum { USER, ADMIN } role_t;

static const char *const  roles[] = { "user", "admin", NULL };

typedef struct {
    int64_t      id;
    const char  *name;
    role_t       role;
    const char  *password;                       /* as it is stored: hashed */
} user_t;

/* as it is shown, and as it is in the database */

ASYNC_MODEL(user_out, user_t,
    ASYNC_FIELD(user_t, id),
    ASYNC_FIELD(user_t, name),
    ASYNC_FIELD(user_t, role, .choices = roles)
);

ASYNC_MODEL(user_row, user_t,
    ASYNC_FIELD(user_t, id),
    ASYNC_FIELD(user_t, name),
    ASYNC_FIELD(user_t, role, .choices = roles),
    ASYNC_FIELD(user_t, password)
);


/* crypt() takes less than 512 bytes; a character has four at most */

typedef struct {
    const char  *name;
    const char  *password;
} credentials_t;

ASYNC_MODEL(credentials, credentials_t,
    ASYNC_FIELD(credentials_t, name, .min_length = 1, .max_length = 100,
                .example = "joe"),
    ASYNC_FIELD(credentials_t, password, .min_length = 1, .max_length = 100,
                .example = "swordfish")
);


/* RFC 6749, 5.1 */

typedef struct {
    const char  *access_token;
    const char  *token_type;
    int64_t      expires;
} session_t;

ASYNC_MODEL(session_out, session_t,
    ASYNC_FIELD(session_t, access_token),
    ASYNC_FIELD(session_t, token_type),
    ASYNC_FIELD(session_t, expires, .type = ASYNC_FIELD_TIME)
);


typedef struct {
    const char  *detail;
} refusal_t;

ASYNC_MODEL(refusal, refusal_t,
    ASYNC_FIELD(refusal_t, detail)
);


/*
 * Nobody's hash, of a password that nobody knows.  It is computed for who does
 * not exist, so that the time does not tell who does; those of users.sql cost
 * the same.
 */
static const user_t  nobody = {
    .password = "$y$j9T$BcAsAA9B/BXvJnj03hxGG1$"
                "7ZO10uEm3Yer2G4PWiP94u71OQHoyPzFqRVCdQP8dJ6"
};


static async_rc_t
refuse(async_req_t *req, const char *challenge, const char *detail)
{
    ASYNC_TRY(async_set_header(req, "WWW-Authenticate", challenge));

    return async_fail(req, 401, detail);
}


/* ---- logging in: who the client says he is, whether he is, a session */

ASYNC_DEPENDENCY(claimed_user, const user_t, ASYNC_BODY(credentials))
{
    user_t             *user;
    async_pg_result_t  *found;

    ASYNC_TRY(await_pg(co, "db", &found,
                       "SELECT id, name, role, password FROM users"
                       " WHERE name = $1",
                       ASYNC_TEXT(credentials_of(req)->name)));

    if (async_pg_rows(found) == 0) {
        return async_provide(req, &nobody);
    }

    user = async_alloc(req, sizeof(user_t));

    if (user == NULL) {
        return ASYNC_ERROR;
    }

    ASYNC_TRY(async_pg_into(co, found, 0, &user_row, user));

    return async_provide(req, user);
}


BLOCKING_DEPENDENCY(proven_user, const user_t, ASYNC_DEPENDS(claimed_user),
                    ASYNC_BODY(credentials))
{
    bool                 same;
    const char          *hash;
    async_str_t          hashed;
    const user_t        *user = claimed_user_of(req);
    struct crypt_data    data;

    memset(&data, 0, sizeof(data));

    hash = crypt_r(credentials_of(req)->password, user->password, &data);

    if (hash == NULL || hash[0] == '*') {
        async_log(req, ASYNC_LOG_ERROR, "user %lld has no hash",
                  (long long) user->id);
        return ASYNC_ERROR;
    }

    hashed.data = hash;
    hashed.len = strlen(hash);
    same = async_equal(hashed, user->password);

    explicit_bzero(&data, sizeof(data));

    if (!same || user == &nobody) {
        return refuse(req, "Bearer", "wrong name or password");
    }

    return async_provide(req, user);
}


ASYNC_HANDLER(login, ASYNC_DEPENDS(proven_user),
              ASYNC_RESPONSE(200, session_out), ASYNC_RESPONSE(401, refusal),
              ASYNC_SUMMARY("A token for a password"))
{
    char                token[64 + 1];
    size_t              i;
    session_t           session;
    unsigned char       random[32];
    async_pg_result_t  *made;

    if (getrandom(random, sizeof(random), 0) != (ssize_t) sizeof(random)) {
        return async_task_fail(co, ASYNC_ERROR, "no random numbers");
    }

    for (i = 0; i < sizeof(random); i++) {
        snprintf(token + 2 * i, 3, "%02x", random[i]);
    }

    ASYNC_TRY(await_pg(co, "db", &made,
                       "INSERT INTO sessions (digest, user_id, expires) VALUES"
                       " (sha256($1), $2, now() + $3::interval)"
                       " RETURNING $4 AS access_token, 'bearer' AS token_type,"
                       " expires",
                       ASYNC_BYTES(token, 64),
                       ASYNC_INT(proven_user_of(req)->id),
                       ASYNC_TEXT(async_param(req, "session")),
                       ASYNC_TEXT(token)));
    ASYNC_TRY(async_pg_into(co, made, 0, &session_out, &session));

    ASYNC_TRY(async_set_header(req, "Cache-Control", "no-store"));

    return async_respond(req, 200, &session_out, &session);
}


/* ---- who is logged in */

/* The token, which handlers have by token_of(). */

ASYNC_DEPENDENCY(token, const char, ASYNC_SECURITY_BEARER("session"))
{
    async_str_t  sent;

    ASYNC_TRY(async_bearer(req, &sent));

    return async_provide(req, sent.data);
}


ASYNC_DEPENDENCY(current_user, const user_t, ASYNC_DEPENDS(token))
{
    user_t             *user;
    async_pg_result_t  *found;

    ASYNC_TRY(await_pg(co, "db", &found,
                       "SELECT id, name, role FROM users"
                       " JOIN sessions ON user_id = id"
                       " WHERE digest = sha256($1) AND expires > now()",
                       ASYNC_BYTES(token_of(req), strlen(token_of(req)))));

    if (async_pg_rows(found) == 0) {
        return refuse(req, "Bearer error=\"invalid_token\"",
                      "invalid or expired token");
    }

    user = async_alloc(req, sizeof(user_t));

    if (user == NULL) {
        return ASYNC_ERROR;
    }

    ASYNC_TRY(async_pg_into(co, found, 0, &user_out, user));

    return async_provide(req, user);
}


/* nginx.conf says for which locations */

ASYNC_DEPENDENCY(administrator, const user_t, ASYNC_DEPENDS(current_user))
{
    if (current_user_of(req)->role != ADMIN) {
        return async_fail(req, 403, "this is for administrators");
    }

    return async_provide(req, current_user_of(req));
}


ASYNC_HANDLER(me, ASYNC_DEPENDS(current_user), ASYNC_RESPONSE(200, user_out),
              ASYNC_RESPONSE(401, refusal), ASYNC_SUMMARY("Who I am"))
{
    return async_respond(req, 200, &user_out, current_user_of(req));
}


ASYNC_HANDLER(logout, ASYNC_DEPENDS(current_user, token),
              ASYNC_RESPONSE(401, refusal),
              ASYNC_SUMMARY("The token is worth nothing any more"))
{
    ASYNC_TRY(await_pg(co, "db", NULL,
                       "DELETE FROM sessions WHERE digest = sha256($1)",
                       ASYNC_BYTES(token_of(req), strlen(token_of(req)))));

    return async_empty(req, 204);
}


ASYNC_HANDLER(list_users, ASYNC_RESPONSE_LIST(200, user_out),
              ASYNC_RESPONSE(401, refusal), ASYNC_RESPONSE(403, refusal),
              ASYNC_SUMMARY("All users"))
{
    size_t              n;
    user_t             *users;
    async_pg_result_t  *found;

    ASYNC_TRY(await_pg(co, "db", &found,
                       "SELECT id, name, role FROM users ORDER BY name"));
    ASYNC_TRY(async_pg_all_into(co, found, &user_out, &users, &n));

    return async_respond_all(req, 200, &user_out, users, n);
}


ASYNC_PERIODIC(forget_sessions)
{
    return await_pg(co, "db", NULL,
                    "DELETE FROM sessions WHERE expires <= now()");
}
