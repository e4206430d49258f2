#ifndef URL_H
#define URL_H

#include "efx_stores.h"

/* A store's address taken apart.
 *
 *   redis://user:password@host:6379/0?ttl=60&prefix=a:
 *   ─┬───   ─┬── ───┬──── ─┬── ─┬── ┬ ──────┬────────
 *  scheme  user password host port db    options, by the names of struct efx_stores_conf
 *
 *   Owner   texts lie in the arena
 *   Errors  EFX_EPARSE, EFX_ELIMIT, kind USER; never with the password
 */
enum efx_scheme {
    EFX_SCHEME_MEMORY = 1,
    EFX_SCHEME_DIR,
    EFX_SCHEME_SQLITE,
    EFX_SCHEME_REDIS,
};

/* The options that an address may carry: an efx_conf_key table that ends with {0}. */
extern const struct efx_conf_key efx_state__options[];

/* *conf holds what the caller wants and gets what the address says and the defaults. */
enum efx_rc efx_state__url_parse(const char *url, struct efx_stores_conf *conf,
                                 struct efx_arena *arena, enum efx_scheme *scheme,
                                 struct efx_err *err);

#endif /* URL_H */
