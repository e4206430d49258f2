/* Two contexts, one to accept and one to connect with, made from the files and replaced as a whole
 * when those change: links that stand keep the old one by its count of references. Sockets are
 * read and written by a BIO of our own, since OpenSSL's would raise SIGPIPE. */
#include "tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>

enum { FILES = 4, READ_AHEAD_BYTES = 128 * 1024 };

struct file_mark { /* what tells that a file is another one now */
    struct timespec changed;
    uint64_t inode;
    int64_t n_bytes;
};

struct efx_tls {
    struct efx_mem *mem;
    const char *cert, *key, *ca, *peer_ca, *server_name;
    bool client_cert_needed;
    SSL_CTX *server, *client;
    X509_STORE *members; /* of peer_ca alone */
    BIO_METHOD *bio;
    uint64_t look_ns, looked_ns;
    struct file_mark marks[FILES];
};

/* ---- sockets ---- */

static int bio_fd(BIO *b)
{
    return (int)(intptr_t)BIO_get_data(b);
}

static int bio_write(BIO *b, const char *p, int n)
{
    BIO_clear_retry_flags(b);
    ssize_t put = send(bio_fd(b), p, (size_t)n, MSG_NOSIGNAL);
    if (put < 0 && (errno == EAGAIN || errno == EINTR)) {
        BIO_set_retry_write(b);
    }
    return (int)put;
}

static int bio_read(BIO *b, char *p, int n)
{
    BIO_clear_retry_flags(b);
    ssize_t got = recv(bio_fd(b), p, (size_t)n, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        BIO_set_retry_read(b);
    }
    return (int)got;
}

static long bio_ctrl(BIO *b, int cmd, long n, void *p)
{
    (void)b;
    (void)n;
    (void)p;
    return cmd == BIO_CTRL_FLUSH;
}

static int bio_create(BIO *b)
{
    BIO_set_init(b, 1);
    return 1;
}

static BIO_METHOD *make_bio_method(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "efx socket");
    if (m == NULL || BIO_meth_set_write(m, bio_write) != 1 || BIO_meth_set_read(m, bio_read) != 1 ||
        BIO_meth_set_ctrl(m, bio_ctrl) != 1 || BIO_meth_set_create(m, bio_create) != 1) {
        BIO_meth_free(m);
        return NULL;
    }
    return m;
}

/* ---- contexts ---- */

static enum efx_rc failed(struct efx_err *err, const char *what, const char *file)
{
    char text[128];
    unsigned long code = ERR_get_error();
    ERR_error_string_n(code, text, sizeof text);
    ERR_clear_error();
    return EFX_FAIL(err, EFX_EPARSE, EFX_KIND_USER, 0, "TLS: %s %s: %s", what, file,
                    code == 0 ? "cannot be used" : text);
}

static enum efx_rc make_ctx(const struct efx_tls *t, bool server, SSL_CTX **out,
                            struct efx_err *err)
{
    SSL_CTX *c = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    enum efx_rc rc = EFX_OK;
    if (c == NULL) {
        return EFX_FAIL(err, EFX_ENOMEM, EFX_KIND_ENV, 0, "no memory for TLS");
    }
    (void)SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION);
    (void)SSL_CTX_set_max_proto_version(c, TLS1_3_VERSION);
    (void)SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    (void)SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_RELEASE_BUFFERS |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(c, 1);
    SSL_CTX_set_default_read_buffer_len(c, READ_AHEAD_BYTES);
    /* A resumed session would keep a certificate alive that is no longer believed. */
    (void)SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_num_tickets(c, 0);
    if (t->cert != NULL && SSL_CTX_use_certificate_chain_file(c, t->cert) != 1) {
        EFX_GOTO(free_ctx, failed(err, "certificate", t->cert));
    }
    if (t->key != NULL && SSL_CTX_use_PrivateKey_file(c, t->key, SSL_FILETYPE_PEM) != 1) {
        EFX_GOTO(free_ctx, failed(err, "key", t->key));
    }
    if (t->key != NULL && SSL_CTX_check_private_key(c) != 1) {
        EFX_GOTO(free_ctx, failed(err, "key", t->key));
    }
    if (t->ca != NULL && SSL_CTX_load_verify_file(c, t->ca) != 1) {
        EFX_GOTO(free_ctx, failed(err, "authority", t->ca));
    }
    if (t->peer_ca != NULL && SSL_CTX_load_verify_file(c, t->peer_ca) != 1) {
        EFX_GOTO(free_ctx, failed(err, "authority", t->peer_ca));
    }
    bool has_ca = t->ca != NULL || t->peer_ca != NULL;
    if (!server && !has_ca) {
        (void)SSL_CTX_set_default_verify_paths(c);
    }
    int verify = server && !has_ca ? SSL_VERIFY_NONE : SSL_VERIFY_PEER;
    if (server && t->client_cert_needed) {
        verify |= SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    }
    SSL_CTX_set_verify(c, verify, NULL);
    *out = c;
    return EFX_OK;
free_ctx:
    SSL_CTX_free(c);
    return rc;
}

static enum efx_rc make_members(const struct efx_tls *t, X509_STORE **out, struct efx_err *err)
{
    *out = NULL;
    if (t->peer_ca == NULL) {
        return EFX_OK;
    }
    X509_STORE *s = X509_STORE_new();
    if (s == NULL || X509_STORE_load_file(s, t->peer_ca) != 1) {
        X509_STORE_free(s);
        return failed(err, "authority", t->peer_ca);
    }
    *out = s;
    return EFX_OK;
}

static void free_contexts(struct efx_tls *t)
{
    SSL_CTX_free(t->server);
    SSL_CTX_free(t->client);
    X509_STORE_free(t->members);
}

static enum efx_rc load(struct efx_tls *t, struct efx_err *err)
{
    struct efx_tls fresh = *t;
    enum efx_rc rc;
    fresh.server = fresh.client = NULL;
    fresh.members = NULL;
    EFX_GOTO(free_fresh, make_ctx(t, true, &fresh.server, err));
    EFX_GOTO(free_fresh, make_ctx(t, false, &fresh.client, err));
    EFX_GOTO(free_fresh, make_members(t, &fresh.members, err));
    free_contexts(t);
    *t = fresh;
    return EFX_OK;
free_fresh:
    free_contexts(&fresh);
    return rc;
}

/* ---- files that change ---- */

static void mark_files(const struct efx_tls *t, struct file_mark *marks)
{
    const char *names[FILES] = {t->cert, t->key, t->ca, t->peer_ca};
    for (size_t i = 0; i < FILES; i++) {
        struct stat st;
        memset(&marks[i], 0, sizeof marks[i]);
        if (names[i] != NULL && stat(names[i], &st) == 0) {
            marks[i].changed = st.st_mtim;
            marks[i].inode = st.st_ino;
            marks[i].n_bytes = st.st_size;
        }
    }
}

/* Marks are taken before the files are read: what changes in between is seen the next time. After a
 * bad reading they stay as they were, so it is tried again. */
static void look_at_files(struct efx_tls *t, uint64_t now_ns, struct efx_transport_counts *counts)
{
    struct file_mark marks[FILES];
    if (now_ns < t->looked_ns + t->look_ns) {
        return;
    }
    t->looked_ns = now_ns;
    mark_files(t, marks);
    if (memcmp(marks, t->marks, sizeof marks) == 0) {
        return;
    }
    if (load(t, NULL) == EFX_OK) {
        memcpy(t->marks, marks, sizeof marks);
        counts->reloads++;
    } else {
        counts->bad_reloads++;
    }
}

enum efx_rc efx_tls__create(const struct efx_tcp_options *o, struct efx_tls **out,
                            struct efx_err *err)
{
    *out = NULL;
    if (o->tls_cert == NULL && o->tls_ca == NULL && o->peer_ca == NULL) {
        return EFX_OK;
    }
    if ((o->tls_cert == NULL) != (o->tls_key == NULL)) {
        return EFX_FAIL(err, EFX_EPARSE, EFX_KIND_USER, 0,
                        "TLS: certificate and key come together");
    }
    if (o->client_cert_needed && o->tls_ca == NULL && o->peer_ca == NULL) {
        return EFX_FAIL(err, EFX_EPARSE, EFX_KIND_USER, 0,
                        "TLS: clients' certificates are needed, but no authority is named");
    }
    struct efx_tls *t = o->mem->alloc(o->mem, sizeof *t);
    if (t == NULL) {
        return EFX_FAIL(err, EFX_ENOMEM, EFX_KIND_ENV, 0, "no memory for TLS");
    }
    *t = (struct efx_tls){
        .mem = o->mem,
        .cert = o->tls_cert,
        .key = o->tls_key,
        .ca = o->tls_ca,
        .peer_ca = o->peer_ca,
        .server_name = o->server_name,
        .client_cert_needed = o->client_cert_needed,
        .look_ns = o->look_ns,
        .bio = make_bio_method(),
    };
    mark_files(t, t->marks);
    enum efx_rc rc = t->bio == NULL ? EFX_ENOMEM : load(t, err);
    if (rc != EFX_OK) {
        efx_tls__destroy(&t);
        return rc;
    }
    *out = t;
    return EFX_OK;
}

void efx_tls__destroy(struct efx_tls **tls)
{
    struct efx_tls *t = *tls;
    if (t == NULL) {
        return;
    }
    free_contexts(t);
    BIO_meth_free(t->bio);
    t->mem->free(t->mem, t, sizeof *t);
    *tls = NULL;
}

bool efx_tls__can_listen(const struct efx_tls *tls)
{
    return tls->cert != NULL;
}

/* ---- handshakes ---- */

static SSL *make_ssl(struct efx_tls *t, SSL_CTX *ctx, int fd)
{
    SSL *ssl = SSL_new(ctx);
    BIO *bio = BIO_new(t->bio);
    if (ssl == NULL || bio == NULL) {
        SSL_free(ssl);
        BIO_free(bio);
        return NULL;
    }
    BIO_set_data(bio, (void *)(intptr_t)fd);
    SSL_set_bio(ssl, bio, bio);
    return ssl;
}

SSL *efx_tls__accept(struct efx_tls *tls, int fd, uint64_t now_ns,
                     struct efx_transport_counts *counts)
{
    look_at_files(tls, now_ns, counts);
    SSL *ssl = make_ssl(tls, tls->server, fd);
    if (ssl != NULL) {
        SSL_set_accept_state(ssl);
    }
    return ssl;
}

static bool is_ip(const char *host)
{
    struct in6_addr a;
    return inet_pton(AF_INET, host, &a) == 1 || inet_pton(AF_INET6, host, &a) == 1;
}

SSL *efx_tls__connect(struct efx_tls *tls, int fd, const char *host, uint64_t now_ns,
                      struct efx_transport_counts *counts)
{
    look_at_files(tls, now_ns, counts);
    SSL *ssl = make_ssl(tls, tls->client, fd);
    if (ssl == NULL) {
        return NULL;
    }
    host = tls->server_name != NULL ? tls->server_name : host;
    bool named;
    if (is_ip(host)) {
        named = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    } else {
        /* what SSL_set_tlsext_host_name is, but for a cast that drops const */
        named = SSL_set1_host(ssl, host) == 1 &&
                SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                         (void *)(uintptr_t)host) == 1;
    }
    if (!named) {
        SSL_free(ssl);
        return NULL;
    }
    SSL_set_connect_state(ssl);
    return ssl;
}

/* Whether it is about who the peer is: our own check, or an alert that says that theirs failed. */
static bool is_disbelief(int reason)
{
    switch (reason) {
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED: return true;
    default: return false; /* the rest of OpenSSL's hundreds */
    }
}

static enum efx_rc answer_of(SSL *ssl, int ret, bool *want_write)
{
    int what = SSL_get_error(ssl, ret);
    *want_write = what == SSL_ERROR_WANT_WRITE;
    if (what == SSL_ERROR_WANT_READ || what == SSL_ERROR_WANT_WRITE) {
        return EFX_AGAIN;
    }
    if (what == SSL_ERROR_ZERO_RETURN) {
        return EFX_DONE;
    }
    unsigned long code = ERR_peek_error();
    ERR_clear_error();
    if (what != SSL_ERROR_SSL || ERR_GET_LIB(code) != ERR_LIB_SSL) {
        return EFX_EIO;
    }
    int reason = ERR_GET_REASON(code);
    if (is_disbelief(reason)) {
        return EFX_ESTALE;
    }
    return reason == SSL_R_UNEXPECTED_EOF_WHILE_READING ? EFX_EIO : EFX_EPARSE;
}

enum efx_rc efx_tls__handshake(SSL *ssl, bool *want_write)
{
    ERR_clear_error();
    int ret = SSL_do_handshake(ssl);
    *want_write = false;
    return ret == 1 ? EFX_OK : answer_of(ssl, ret, want_write);
}

enum efx_rc efx_tls__read(SSL *ssl, void *buf, size_t n, size_t *got, bool *want_write)
{
    ERR_clear_error();
    int ret = SSL_read_ex(ssl, buf, n, got);
    *want_write = false;
    return ret == 1 ? EFX_OK : answer_of(ssl, ret, want_write);
}

enum efx_rc efx_tls__write(SSL *ssl, const void *buf, size_t n, size_t *put, bool *want_write)
{
    ERR_clear_error();
    int ret = SSL_write_ex(ssl, buf, n, put);
    *want_write = false;
    return ret == 1 ? EFX_OK : answer_of(ssl, ret, want_write);
}

/* ---- who it is ---- */

static void put_name(struct efx_writer *out, const void *p, size_t n)
{
    if (n > 0 && memchr(p, 0, n) == NULL && n < out->max - out->n) {
        efx_put_raw(out, p, n);
        efx_put_u8(out, 0);
    }
}

static void put_san(struct efx_writer *out, const GENERAL_NAME *name)
{
    char text[INET6_ADDRSTRLEN];
    if (name->type == GEN_DNS || name->type == GEN_URI) {
        const ASN1_STRING *s = name->d.ia5;
        put_name(out, ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s));
    } else if (name->type == GEN_IPADD) {
        int n = ASN1_STRING_length(name->d.iPAddress);
        const void *ip = ASN1_STRING_get0_data(name->d.iPAddress);
        if ((n == 4 || n == 16) &&
            inet_ntop(n == 4 ? AF_INET : AF_INET6, ip, text, sizeof text) != NULL) {
            put_name(out, text, strlen(text));
        }
    }
}

void efx_tls__names(const SSL *ssl, struct efx_writer *out)
{
    X509 *cert = SSL_get0_peer_certificate(ssl);
    if (cert == NULL) {
        return;
    }
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        put_san(out, sk_GENERAL_NAME_value(names, i));
    }
    GENERAL_NAMES_free(names);
    if (out->n == 0) {
        char common[256];
        int n = X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, common,
                                          sizeof common);
        put_name(out, common, n > 0 ? (size_t)n : 0);
    }
}

bool efx_tls__is_member(const struct efx_tls *tls, SSL *ssl)
{
    X509 *cert = SSL_get0_peer_certificate(ssl);
    if (cert == NULL || tls->members == NULL) {
        return false;
    }
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    bool is = ctx != NULL &&
              X509_STORE_CTX_init(ctx, tls->members, cert, SSL_get_peer_cert_chain(ssl)) == 1 &&
              X509_STORE_CTX_set_default(ctx, SSL_is_server(ssl) ? "ssl_client" : "ssl_server") &&
              X509_verify_cert(ctx) == 1;
    X509_STORE_CTX_free(ctx);
    ERR_clear_error();
    return is;
}
