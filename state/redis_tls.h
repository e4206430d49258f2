#ifndef REDIS_TLS_H
#define REDIS_TLS_H

#include "redis_link.h"

/* TLS below a link to Redis: the server's certificate must be good for the host that was asked for,
 * by the authorities of `ca` or the system's; one's own is shown if there is one.
 *
 *   Errors   kind USER: files and certificates; else EFX_EIO
 */
enum efx_rc efx_redis__tls_open(struct efx_redis_tls **out, const struct efx_stores_conf *conf,
                                struct efx_mem *mem, struct efx_err *err);
void efx_redis__tls_close(struct efx_redis_tls **tls, struct efx_mem *mem);
enum efx_rc efx_redis__tls_begin(struct efx_redis_pool *pool, struct efx_redis_link *link,
                                 uint64_t deadline_ns, struct efx_err *err);
void efx_redis__tls_end(struct efx_redis_link *link);
/* As efx_redis__recv and _send. */
ssize_t efx_redis__tls_recv(struct efx_redis_link *link, void *p, size_t n);
ssize_t efx_redis__tls_send(struct efx_redis_link *link, const void *p, size_t n);

#endif /* REDIS_TLS_H */
