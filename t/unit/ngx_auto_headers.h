
/* see ngx_auto_config.h */

#ifndef NGX_LINUX
#define NGX_LINUX  1
#endif
