
/*
 * A stand-in for the few functions of nginx's core that the pure files call:
 * nginx-dev has headers only.  Each allocation is a block of its own, so that
 * a sanitizer sees every overrun.  And what the unit tests print TAP with.
 */


#ifndef _NGX_STUB_H_INCLUDED_
#define _NGX_STUB_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* this many more allocations succeed; -1: all do */

extern ngx_int_t  ngx_stub_allocations;


void ngx_stub_ok(ngx_uint_t passed, const char *fmt, ...);
int ngx_stub_done(void);

/* for filters: hexadecimal text to bytes of one's own, exact in size */

ngx_str_t ngx_stub_unhex(const char *hex);
void ngx_stub_hex(ngx_str_t *s);


#define ngx_stub_is(s, text)                                                  \
    ((s)->len == strlen(text)                                                 \
     && ((s)->len == 0 || memcmp((s)->data, text, (s)->len) == 0))


#endif /* _NGX_STUB_H_INCLUDED_ */
