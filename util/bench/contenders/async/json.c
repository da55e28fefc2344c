/* The handlers of wj: JSON in, and the same out. */

#include <stdbool.h>
#include <ngx_async.h>


typedef struct {
    int64_t       id;
    const char   *title;
    double        price;
    bool          done;
    int32_t      *priority;
} task_t;

typedef struct {
    int64_t       id;
    const char   *name;
    const char   *email;
    bool          active;
    double        score;
    const char  **tags;
    size_t        n_tags;
    task_t       *tasks;
    size_t        n_tasks;
} person_t;

ASYNC_MODEL(task_model, task_t,
    ASYNC_FIELD(task_t, id),
    ASYNC_FIELD(task_t, title),
    ASYNC_FIELD(task_t, price),
    ASYNC_FIELD(task_t, done),
    ASYNC_FIELD(task_t, priority)
);

ASYNC_MODEL(person_model, person_t,
    ASYNC_FIELD(person_t, id),
    ASYNC_FIELD(person_t, name),
    ASYNC_FIELD(person_t, email),
    ASYNC_FIELD(person_t, active),
    ASYNC_FIELD(person_t, score),
    ASYNC_LIST(person_t, tags, n_tags),
    ASYNC_OBJECTS(person_t, tasks, n_tasks, task_model)
);


ASYNC_HANDLER(json_struct)
{
    person_t  person;

    ASYNC_TRY(await_json_into(co, req, &person_model, &person));

    return async_respond(req, 200, &person_model, &person);
}


ASYNC_HANDLER(json_tree)
{
    json_t  *value;

    ASYNC_TRY(await_json(co, req, &value));

    return async_json(req, 200, json_incref(value));
}


ASYNC_HANDLER(json_text)
{
    async_str_t  body;

    ASYNC_TRY(await_body(co, req, &body));

    return async_bytes(req, 200, "application/json", body.data, body.len);
}
