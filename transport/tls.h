#ifndef TLS_H
#define TLS_H

#include "efx_tcp.h"

#include <openssl/ssl.h>

/* Certificates and encrypted sockets, by OpenSSL.
 *
 *   Owner    an SSL is its link's, freed by SSL_free; the descriptor is the link's too
 *   Errors   of handshake, read and write: EFX_AGAIN: *want_write says what to wait for. EFX_DONE:
 *            closed in order. EFX_ESTALE: one side does not believe the other. EFX_EPARSE: no TLS.
 *            EFX_EIO: broken
 *   Threads  one
 */
struct efx_tls;

/* *out = NULL: the options name no certificate and no authority. */
enum efx_rc efx_tls__create(const struct efx_tcp_options *o, struct efx_tls **out,
                            struct efx_err *err);
void efx_tls__destroy(struct efx_tls **tls);
bool efx_tls__can_listen(const struct efx_tls *tls);

/* NULL: no memory. host: to be named by the server's certificate. Both look first whether files
 * changed; counts may be told so. */
SSL *efx_tls__accept(struct efx_tls *tls, int fd, uint64_t now_ns,
                     struct efx_transport_counts *counts);
SSL *efx_tls__connect(struct efx_tls *tls, int fd, const char *host, uint64_t now_ns,
                      struct efx_transport_counts *counts);

enum efx_rc efx_tls__handshake(SSL *ssl, bool *want_write);
enum efx_rc efx_tls__read(SSL *ssl, void *buf, size_t n, size_t *got, bool *want_write);
enum efx_rc efx_tls__write(SSL *ssl, const void *buf, size_t n, size_t *put, bool *want_write);

/* Names of the peer's certificate (DNS, IP as text, URI; without any its common name), each with
 * its NUL, written to out as far as they fit. */
void efx_tls__names(const SSL *ssl, struct efx_writer *out);
bool efx_tls__is_member(const struct efx_tls *tls, SSL *ssl);

#endif /* TLS_H */
