
/*
 * Copyright (C) the nginx-async authors
 *
 * Whom others may have us reach: the directives async_fetch_allow and
 * async_fetch_deny.
 */

#include <ngx_http_async_client.h>


static char *ngx_http_async_client_rule_add(ngx_conf_t *cf,
    ngx_http_async_client_conf_t *client, ngx_str_t *text, ngx_uint_t deny);


/*
 * What "private" stands for: this machine, and networks that are nobody's in
 * the Internet (the registries of RFC 6890); the translated addresses of IPv6
 * (RFC 6052, RFC 3056, RFC 4380), behind which any of them may be.
 */
static const char  *ngx_http_async_client_private[] = {
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8",
    "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
    "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
    "224.0.0.0/4", "240.0.0.0/4",
#if (NGX_HAVE_INET6)
    "::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/32",
    "2001:db8::/32", "2002::/16", "fc00::/7", "fe80::/10", "fec0::/10",
    "ff00::/8",
#endif
    "unix:", NULL
};


char *
ngx_http_async_client_rule(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_async_client_conf_t  *client = conf;

    char         *rv;
    ngx_str_t    *value, text;
    ngx_uint_t    i, deny;
    const char  **name;

    value = cf->args->elts;
    deny = (ngx_strcmp(value[0].data, "async_fetch_deny") == 0);

    if (client->rules == NULL) {
        client->rules = ngx_array_create(cf->pool, 4,
                                       sizeof(ngx_http_async_client_rule_t));
        if (client->rules == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strcmp(value[i].data, "private") != 0) {
            rv = ngx_http_async_client_rule_add(cf, client, &value[i], deny);

            if (rv != NGX_CONF_OK) {
                return rv;
            }

            continue;
        }

        for (name = ngx_http_async_client_private; *name; name++) {
            text.data = (u_char *) *name;
            text.len = ngx_strlen(*name);

            rv = ngx_http_async_client_rule_add(cf, client, &text, deny);

            if (rv != NGX_CONF_OK) {
                return rv;
            }
        }
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_async_client_rule_add(ngx_conf_t *cf,
    ngx_http_async_client_conf_t *client, ngx_str_t *text, ngx_uint_t deny)
{
    ngx_int_t                      rc;
    ngx_cidr_t                     cidr;
    ngx_http_async_client_rule_t  *rule;

    ngx_memzero(&cidr, sizeof(ngx_cidr_t));

    if (ngx_strcmp(text->data, "all") == 0) {
        /* of no family: it fits each */

    } else if (ngx_strcmp(text->data, "unix:") == 0) {
        cidr.family = AF_UNIX;

    } else {
        rc = ngx_ptocidr(text, &cidr);

        if (rc == NGX_ERROR) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V\" is no address, network like "
                               "10.0.0.0/8, \"unix:\", \"private\" or \"all\"",
                               text);
            return NGX_CONF_ERROR;
        }

        if (rc == NGX_DONE) {
            ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                               "low address bits of %V are meaningless", text);
        }
    }

    rule = ngx_array_push(client->rules);
    if (rule == NULL) {
        return NGX_CONF_ERROR;
    }

    rule->cidr = cidr;
    rule->deny = deny;

    return NGX_CONF_OK;
}


ngx_uint_t
ngx_http_async_client_denied(ngx_http_async_client_conf_t *conf,
    struct sockaddr *sockaddr)
{
    ngx_uint_t                     i;
    ngx_array_t                    one;
    ngx_http_async_client_rule_t  *rule;

    if (conf->rules == NULL) {
        return 0;
    }

    ngx_memzero(&one, sizeof(ngx_array_t));
    one.nelts = 1;

    rule = conf->rules->elts;

    for (i = 0; i < conf->rules->nelts; i++) {

        one.elts = &rule[i].cidr;

        if (rule[i].cidr.family == 0
            || ngx_cidr_match(sockaddr, &one) == NGX_OK)
        {
            return rule[i].deny;
        }
    }

    return 0;
}
