
/*
 * Near misses of names: the optimal string alignment distance over three
 * rows of its table.  Called while the configuration is read; knows nothing
 * of what the names stand for.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_async_near.h>


#define ngx_async_near_min(a, b)  (((a) < (b)) ? (a) : (b))


static ngx_uint_t ngx_async_near_distance(const ngx_str_t *a,
    const ngx_str_t *b);


const ngx_str_t *
ngx_async_near(const ngx_str_t *word, const ngx_str_t *names,
    ngx_uint_t n)
{
    ngx_uint_t             i;
    ngx_async_near_t   near;

    ngx_async_near_init(&near, word);

    for (i = 0; i < n; i++) {
        ngx_async_near_offer(&near, &names[i]);
    }

    return near.best;
}


void
ngx_async_near_init(ngx_async_near_t *near, const ngx_str_t *word)
{
    ngx_uint_t  most;

    most = word->len / 3;

    if (most < 1) {
        most = 1;
    }

    if (most > 3) {
        most = 3;
    }

    near->word = word;
    near->best = NULL;
    near->distance = most + 1;
}


void
ngx_async_near_offer(ngx_async_near_t *near,
    const ngx_str_t *candidate)
{
    ngx_int_t   diff;
    ngx_uint_t  distance;

    /* the distance is never below the difference of the lengths */

    diff = (ngx_int_t) candidate->len - (ngx_int_t) near->word->len;

    if (candidate->len == 0
        || candidate->len > NGX_ASYNC_NEAR_MAX
        || near->word->len > NGX_ASYNC_NEAR_MAX
        || ngx_abs(diff) >= (ngx_int_t) near->distance)
    {
        return;
    }

    distance = ngx_async_near_distance(near->word, candidate);

    /* nothing in common is no near miss, however short the words are */

    if (distance < near->distance && distance < candidate->len) {
        near->distance = distance;
        near->best = candidate;
    }
}


static ngx_uint_t
ngx_async_near_distance(const ngx_str_t *a, const ngx_str_t *b)
{
    u_char      ca, cb, la, lb;
    ngx_uint_t  i, j, n;
    ngx_uint_t  rows[3][NGX_ASYNC_NEAR_MAX + 1];
    ngx_uint_t  *row, *prev, *before;

    row = rows[0];

    for (j = 0; j <= b->len; j++) {
        row[j] = j;
    }

    la = 0;

    for (i = 1; i <= a->len; i++) {
        before = rows[(i + 1) % 3];
        prev = rows[(i - 1) % 3];
        row = rows[i % 3];

        ca = ngx_tolower(a->data[i - 1]);
        lb = 0;
        row[0] = i;

        for (j = 1; j <= b->len; j++) {
            cb = ngx_tolower(b->data[j - 1]);

            n = prev[j - 1] + (ca != cb);
            n = ngx_async_near_min(n, prev[j] + 1);
            n = ngx_async_near_min(n, row[j - 1] + 1);

            if (i > 1 && j > 1 && ca == lb && la == cb) {
                n = ngx_async_near_min(n, before[j - 2] + 1);
            }

            row[j] = n;
            lb = cb;
        }

        la = ca;
    }

    return row[b->len];
}
