#ifndef EFX_STORES_H
#define EFX_STORES_H

#include "efx_coord.h"
#include "efx_store.h"

/* A store and its coord by one address.
 *
 *   memory:                                      this process, gone with it
 *   dir:/path  or  /path                         a directory, one process by its lock
 *   sqlite:/path/file                            likewise in one file
 *   redis://user:password@host:6379/0?ttl=60     shared by all members; rediss:// with TLS
 *
 * What stands behind '?' is named like the fields below and wins over them; user, password, path
 * may be written with %hh. Of Redis the store has a pool of connections, coord one of its own.
 *
 *   Owner    conf and url are read by open only; store and coord belong to efx_stores
 *   Errors   EFX_EPARSE, EFX_ELIMIT (kind USER): address or option. EFX_ESTALE: another process has
 *            the directory or file. EFX_EIO: cannot be reached; worth another try if kind ENV
 *   Threads  store and coord any; open and close one
 *   Source   tests/state/test_stores.c
 */
struct efx_stores_conf {    /* 0 and NULL mean the default */
    const char *cluster;    /* "efx" */
    const char *app;        /* "app"; letters, digits, '-', '_', '.' */
    int64_t deadline_ms;    /* of a call, 5,000 */
    int64_t connect_ms;     /* Redis: of one attempt to connect, 5,000 */
    int64_t connections;    /* Redis: of the store, at most, 10 */
    const char *prefix;     /* Redis: of every key, "eventflux:" */
    int64_t ttl;            /* Redis: seconds that a deleted chunk or manifest stays readable, 0 */
    int64_t replicas;       /* Redis: so many must have it before it counts, 0 */
    const char *ca;         /* TLS: file of authorities instead of the system's */
    const char *cert, *key; /* TLS: files of one's own certificate and its key */
    /* What the place's own settings could lose: a line each, at open. NULL = nobody listens. */
    void (*warn)(void *arg, const char *line);
    void *warn_arg;

    /* Filled from the address. */
    const char *path; /* directory or file */
    const char *host, *user, *password;
    int64_t port, db;
    bool tls;
};

struct efx_stores {
    struct efx_store *store;
    struct efx_coord *coord;
    struct efx_world *world;
    struct efx_mem *mem;
    struct efx_arena arena; /* texts of the configuration */
};

enum efx_rc efx_stores_open(struct efx_stores **out, const char *url,
                            const struct efx_stores_conf *conf, struct efx_world *world,
                            struct efx_err *err);
void efx_stores_close(struct efx_stores **stores);

/* The address without its password, for messages: at most n bytes with the NUL. */
void efx_stores_url_public(const char *url, char *out, size_t n);

/* A place in memory that several members of one process share: each opens its own stores on it.
 * The place's clock decides leases; it lives until its last user closes. */
struct efx_local;
enum efx_rc efx_memory_place_create(struct efx_local **out, struct efx_world *world,
                                    struct efx_mem *mem);
void efx_memory_place_unref(struct efx_local **place);
enum efx_rc efx_memory_place_open(struct efx_local *place, struct efx_stores **out,
                                  struct efx_world *world, struct efx_err *err);
/* All keys are gone, as after a restart of a server that keeps nothing. */
void efx_memory_place_lose(struct efx_local *place);

#endif /* EFX_STORES_H */
