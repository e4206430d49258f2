/* OpenSSL over a socket that does not block. The bytes pass through a BIO of our own, since
 * OpenSSL's would raise SIGPIPE where the server is gone.
 */
#include "redis_tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

struct efx_redis_tls {
    SSL_CTX *ctx;
    BIO_METHOD *bio;
};

static int fd_of(BIO *bio)
{
    return (int)(intptr_t)BIO_get_data(bio);
}

static int bio_write(BIO *bio, const char *p, int n)
{
    ssize_t done = send(fd_of(bio), p, (size_t)n, MSG_NOSIGNAL);
    BIO_clear_retry_flags(bio);
    if (done < 0 && (errno == EAGAIN || errno == EINTR)) {
        BIO_set_retry_write(bio);
    }
    return (int)done;
}

static int bio_read(BIO *bio, char *p, int n)
{
    ssize_t done = recv(fd_of(bio), p, (size_t)n, 0);
    BIO_clear_retry_flags(bio);
    if (done < 0 && (errno == EAGAIN || errno == EINTR)) {
        BIO_set_retry_read(bio);
    }
    return (int)done;
}

static long bio_ctrl(BIO *bio, int cmd, long n, void *p)
{
    (void)bio;
    (void)n;
    (void)p;
    return cmd == BIO_CTRL_FLUSH;
}

/* What OpenSSL said first. */
static const char *why(char *out, size_t n)
{
    unsigned long e = ERR_get_error();
    const char *reason = e == 0 ? NULL : ERR_reason_error_string(e);
    (void)snprintf(out, n, "%s", reason != NULL ? reason : "the connection was closed");
    ERR_clear_error();
    return out;
}

static enum efx_rc load_files(SSL_CTX *ctx, const struct efx_stores_conf *conf, struct efx_err *err)
{
    char text[160];
    int ok = conf->ca != NULL ? SSL_CTX_load_verify_locations(ctx, conf->ca, NULL)
                              : SSL_CTX_set_default_verify_paths(ctx);
    if (ok != 1) {
        return EFX_FAIL(err, EFX_EIO, EFX_KIND_USER, 0, "TLS: authorities '%s': %s",
                        conf->ca != NULL ? conf->ca : "of the system", why(text, sizeof text));
    }
    if (conf->cert != NULL && SSL_CTX_use_certificate_chain_file(ctx, conf->cert) != 1) {
        return EFX_FAIL(err, EFX_EIO, EFX_KIND_USER, 0, "TLS: certificate '%s': %s", conf->cert,
                        why(text, sizeof text));
    }
    if (conf->key != NULL && SSL_CTX_use_PrivateKey_file(ctx, conf->key, SSL_FILETYPE_PEM) != 1) {
        return EFX_FAIL(err, EFX_EIO, EFX_KIND_USER, 0, "TLS: key '%s': %s", conf->key,
                        why(text, sizeof text));
    }
    return EFX_OK;
}

enum efx_rc efx_redis__tls_open(struct efx_redis_tls **out, const struct efx_stores_conf *conf,
                                struct efx_mem *mem, struct efx_err *err)
{
    struct efx_redis_tls *tls = mem->alloc(mem, sizeof *tls);
    if (tls == NULL) {
        return EFX_FAIL(err, EFX_ENOMEM, EFX_KIND_ENV, 0, "no memory for TLS");
    }
    tls->ctx = SSL_CTX_new(TLS_client_method());
    tls->bio = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "efx");
    enum efx_rc rc = EFX_ENOMEM;
    if (tls->ctx != NULL && tls->bio != NULL) {
        SSL_CTX_set_min_proto_version(tls->ctx, TLS1_2_VERSION);
        SSL_CTX_set_verify(tls->ctx, SSL_VERIFY_PEER, NULL);
        SSL_CTX_set_mode(tls->ctx,
                         SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
        BIO_meth_set_write(tls->bio, bio_write);
        BIO_meth_set_read(tls->bio, bio_read);
        BIO_meth_set_ctrl(tls->bio, bio_ctrl);
        rc = load_files(tls->ctx, conf, err);
    }
    if (rc != EFX_OK) {
        efx_redis__tls_close(&tls, mem);
        return rc;
    }
    *out = tls;
    return EFX_OK;
}

void efx_redis__tls_close(struct efx_redis_tls **tls, struct efx_mem *mem)
{
    struct efx_redis_tls *t = *tls;
    *tls = NULL;
    if (t != NULL) {
        SSL_CTX_free(t->ctx);
        BIO_meth_free(t->bio);
        mem->free(mem, t, sizeof *t);
    }
}

/* The certificate must name the host, or the address if that is what was asked for. */
static bool expect_host(SSL *ssl, const char *host)
{
    struct in6_addr address;
    if (inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1) {
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    }
    /* what SSL_set_tlsext_host_name is, but for a cast that drops const */
    return SSL_set1_host(ssl, host) == 1 &&
           SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                    (void *)(uintptr_t)host) == 1;
}

static enum efx_rc refused(struct efx_redis_pool *pool, SSL *ssl, struct efx_err *err)
{
    char text[160];
    long verified = SSL_get_verify_result(ssl);
    unsigned long e = ERR_peek_error();
    if (verified != X509_V_OK) {
        ERR_clear_error();
        return EFX_FAIL(err, EFX_EIO, EFX_KIND_USER, 0, "%s: its certificate is refused: %s",
                        pool->where, X509_verify_cert_error_string(verified));
    }
    return EFX_FAIL(err, EFX_EIO, e != 0 ? EFX_KIND_USER : EFX_KIND_ENV, 0, "%s: no TLS: %s",
                    pool->where, why(text, sizeof text));
}

enum efx_rc efx_redis__tls_begin(struct efx_redis_pool *pool, struct efx_redis_link *link,
                                 uint64_t deadline_ns, struct efx_err *err)
{
    SSL *ssl = SSL_new(pool->tls->ctx);
    BIO *bio = BIO_new(pool->tls->bio);
    if (ssl == NULL || bio == NULL) {
        SSL_free(ssl);
        BIO_free(bio);
        return EFX_FAIL(err, EFX_ENOMEM, EFX_KIND_ENV, 0, "no memory for TLS");
    }
    BIO_set_data(bio, (void *)(intptr_t)link->fd);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    link->ssl = ssl;
    if (!expect_host(ssl, pool->conf->host)) {
        return EFX_FAIL(err, EFX_EIO, EFX_KIND_USER, 0, "%s: not a host that TLS can check",
                        pool->where);
    }
    ERR_clear_error();
    for (int rc; (rc = SSL_connect(ssl)) != 1;) {
        int e = SSL_get_error(ssl, rc);
        if (e != SSL_ERROR_WANT_READ && e != SSL_ERROR_WANT_WRITE) {
            return refused(pool, ssl, err);
        }
        EFX_RET(efx_redis__wait(pool, link, e == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT,
                                deadline_ns, "greeting", err));
    }
    return EFX_OK;
}

void efx_redis__tls_end(struct efx_redis_link *link)
{
    SSL_free(link->ssl);
    link->ssl = NULL;
    ERR_clear_error();
}

static ssize_t result(SSL *ssl, int rc)
{
    if (rc > 0) {
        return rc;
    }
    int e = SSL_get_error(ssl, rc);
    if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE) {
        return 0;
    }
    errno = e == SSL_ERROR_SYSCALL && errno != 0 ? errno : ECONNRESET;
    return -1;
}

static int bounded(size_t n)
{
    return n > 1 << 30 ? 1 << 30 : (int)n;
}

ssize_t efx_redis__tls_recv(struct efx_redis_link *link, void *p, size_t n)
{
    ERR_clear_error();
    errno = 0;
    return result(link->ssl, SSL_read(link->ssl, p, bounded(n)));
}

ssize_t efx_redis__tls_send(struct efx_redis_link *link, const void *p, size_t n)
{
    ERR_clear_error();
    errno = 0;
    return result(link->ssl, SSL_write(link->ssl, p, bounded(n)));
}
