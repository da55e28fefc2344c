
/*
 * Copyright (C) the nginx-async authors
 *
 * What is in a form, as handlers read it; and how long a form lives.
 */

#include <ngx_http_async_form.h>
#include <ngx_http_async_thread.h>


/* nginx makes larger pools in pieces of this size, too */
#define NGX_HTTP_ASYNC_FORM_POOL  4096


static async_str_t ngx_http_async_form_str(ngx_str_t *str);
static async_str_t ngx_http_async_form_text(async_form_t *form,
    const char *name, size_t i);
static async_upload_t *ngx_http_async_form_upload(async_form_t *form,
    const char *name, size_t i);
static void ngx_http_async_form_close(int fd, ngx_async_profile_t *profile);
static void ngx_http_async_form_close_run(void *data);


async_str_t
async_form_text(async_form_t *form, const char *name)
{
    return ngx_http_async_form_text(form, name, NGX_HTTP_ASYNC_FORM_LAST);
}


async_str_t
async_form_text_at(async_form_t *form, const char *name, size_t i)
{
    return ngx_http_async_form_text(form, name, i);
}


static async_str_t
ngx_http_async_form_text(async_form_t *form, const char *name, size_t i)
{
    ngx_str_t                    key, none;
    ngx_http_async_form_part_t  *part;

    key.data = (u_char *) name;
    key.len = ngx_strlen(name);

    part = ngx_http_async_form_find(form, &key, 0, i);

    if (part == NULL) {
        ngx_str_null(&none);
        return ngx_http_async_form_str(&none);
    }

    return ngx_http_async_form_str(&part->text);
}


async_upload_t *
async_form_file(async_form_t *form, const char *name)
{
    return ngx_http_async_form_upload(form, name, NGX_HTTP_ASYNC_FORM_LAST);
}


async_upload_t *
async_form_file_at(async_form_t *form, const char *name, size_t i)
{
    return ngx_http_async_form_upload(form, name, i);
}


static async_upload_t *
ngx_http_async_form_upload(async_form_t *form, const char *name, size_t i)
{
    ngx_str_t                    key;
    ngx_http_async_form_part_t  *part;

    key.data = (u_char *) name;
    key.len = ngx_strlen(name);

    part = ngx_http_async_form_find(form, &key, 1, i);

    return part ? part->file : NULL;
}


ngx_http_async_form_part_t *
ngx_http_async_form_find(async_form_t *form, ngx_str_t *name, ngx_uint_t file,
    size_t i)
{
    ngx_uint_t                   n;
    ngx_http_async_form_part_t  *part, *found;

    found = NULL;
    part = form->parts.elts;

    for (n = 0; n < form->parts.nelts; n++) {

        if ((part[n].file != NULL) != file || part[n].name.len != name->len
            || ngx_memcmp(part[n].name.data, name->data, name->len) != 0)
        {
            continue;
        }

        if (i == 0) {
            return &part[n];
        }

        if (i == NGX_HTTP_ASYNC_FORM_LAST) {
            found = &part[n];

        } else {
            i--;
        }
    }

    return found;
}


async_str_t
async_upload_name(async_upload_t *file)
{
    return ngx_http_async_form_str(&file->name);
}


async_str_t
async_upload_type(async_upload_t *file)
{
    return ngx_http_async_form_str(&file->type);
}


int64_t
async_upload_size(async_upload_t *file)
{
    return file->size;
}


async_str_t
async_upload_data(async_upload_t *file)
{
    return ngx_http_async_form_str(&file->data);
}


static async_str_t
ngx_http_async_form_str(ngx_str_t *str)
{
    async_str_t  text;

    text.data = (char *) str->data;
    text.len = str->len;

    return text;
}


async_form_t *
ngx_http_async_form_create(ngx_async_task_t *t, ngx_pool_t *pool)
{
    async_form_t  *form;

    form = ngx_calloc(sizeof(async_form_t), pool->log);

    if (form == NULL) {
        return NULL;
    }

    form->fd = -1;
    form->profile = t->profile;
    form->pool = ngx_create_pool(NGX_HTTP_ASYNC_FORM_POOL, &form->log);

    if (form->pool == NULL) {
        ngx_free(form);
        return NULL;
    }

    if (ngx_array_init(&form->parts, form->pool, 8,
                       sizeof(ngx_http_async_form_part_t)) != NGX_OK
        || ngx_http_async_form_hold(form, pool) != NGX_OK)
    {
        ngx_destroy_pool(form->pool);
        ngx_free(form);
        return NULL;
    }

    return form;
}


ngx_int_t
ngx_http_async_form_hold(async_form_t *form, ngx_pool_t *pool)
{
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(pool, 0);

    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_async_form_release;
    cln->data = form;

    form->refs++;

    return NGX_OK;
}


void
ngx_http_async_form_release(void *data)
{
    int                   fd;
    async_form_t         *form = data;
    ngx_async_profile_t  *profile;

    if (--form->refs) {
        return;
    }

    fd = form->fd;
    profile = form->profile;

    ngx_destroy_pool(form->pool);
    ngx_free(form);

    if (fd != -1) {
        ngx_http_async_form_close(fd, profile);
    }
}


/* By a thread: it is then that what is in the file is given up. */

static void
ngx_http_async_form_close(int fd, ngx_async_profile_t *profile)
{
    int                      *job;
    ngx_async_thread_pool_t  *pool;

    pool = ngx_http_async_thread_find(NULL, NULL);
    job = NULL;

    /* who comes late to a worker that exits may find no threads */

    if (pool && !ngx_exiting && !ngx_terminate) {
        job = ngx_async_thread_job(sizeof(int), ngx_http_async_form_close_run,
                                   ngx_http_async_form_close_run, profile,
                                   ngx_cycle->log);
    }

    if (job) {
        *job = fd;
        ngx_async_thread_send(pool, job);
        return;
    }

    (void) close(fd);
}


/* Once: in the thread, or on the loop if the queue of the pool is full. */

static void
ngx_http_async_form_close_run(void *data)
{
    int  *fd = data;

    if (*fd != -1) {
        (void) close(*fd);
        *fd = -1;
    }
}
