
/*
 * The nearest of some names to a misspelt one, for "did you mean" messages:
 * unknown converters, handlers, dependencies.  Called while the configuration
 * is read; pure, allocates nothing, safe in any thread.
 */


#ifndef _NGX_ASYNC_NEAR_H_INCLUDED_
#define _NGX_ASYNC_NEAR_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* longer words are never near anything: it bounds the tables on the stack */

#define NGX_ASYNC_NEAR_MAX  128


typedef struct {
    const ngx_str_t  *word;
    const ngx_str_t  *best;       /* NULL until something near was offered */
    ngx_uint_t        distance;   /* of best, or the first one too far     */
} ngx_async_near_t;


/*
 * The streaming form, for names that lie in no array.  The word and all
 * candidates are borrowed and must live as long as *near.  The earliest of
 * equally near candidates stays the best.
 */

void ngx_async_near_init(ngx_async_near_t *near,
    const ngx_str_t *word);
void ngx_async_near_offer(ngx_async_near_t *near,
    const ngx_str_t *candidate);

/*
 * The nearest of n names, or NULL.  Near means a Damerau-Levenshtein distance
 * (transpositions of neighbours count once, letter case does not count) of at
 * most a third of the word's length, but 1 to 3.
 */

const ngx_str_t *ngx_async_near(const ngx_str_t *word,
    const ngx_str_t *names, ngx_uint_t n);


#endif /* _NGX_ASYNC_NEAR_H_INCLUDED_ */
