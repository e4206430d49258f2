/* Credentials: a server's from files that are read again when they change, a client's once.
 *
 * A handshake asks whether the files have changed, which is three stats; only then are they read.
 * What cannot be read leaves the old ones in use, so a certificate that is being replaced never
 * stops a server. Roots are given even where no client is asked for a certificate: the core ends
 * the process without them.
 *
 *   Errors   at the start: USER, a file that cannot be read or is no PEM. Later: the old ones stay
 *   Threads  the fetcher on whichever thread shakes hands
 *   Source   dependencies.md §1.3, numbers 17, 18, 31
 */
#include "grpc_in.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { PEM_BYTES_MAX = 1024 * 1024 };

struct stamp {
    struct timespec changed;
    ino_t inode;
    off_t size;
};

struct tls_files {
    struct efx_grpc_tls tls;
    pthread_mutex_t lock;
    struct stamp seen[3];
};

struct pem {
    char *p; /* NUL-terminated; [PEM_BYTES_MAX + 1] */
};

static bool read_pem(const char *path, struct pem *out)
{
    FILE *f = fopen(path, "rb");
    out->p = f == NULL ? NULL : efx_mem_libc.alloc(&efx_mem_libc, PEM_BYTES_MAX + 1);
    size_t n = out->p == NULL ? 0 : fread(out->p, 1, PEM_BYTES_MAX, f);
    bool ok = out->p != NULL && ferror(f) == 0 && n > 0 && n < PEM_BYTES_MAX;
    if (f != NULL) {
        (void)fclose(f);
    }
    if (out->p != NULL) {
        out->p[n] = '\0';
        ok = ok && strstr(out->p, "-----BEGIN ") != NULL;
    }
    return ok;
}

static void drop_pem(struct pem *p)
{
    if (p->p != NULL) {
        efx_mem_libc.free(&efx_mem_libc, p->p, PEM_BYTES_MAX + 1);
        p->p = NULL;
    }
}

static enum efx_rc bad_file(const char *path, struct efx_err *err)
{
    return EFX_FAIL(err, EFX_EABSENT, EFX_KIND_USER, 0, "cannot read %s as a PEM file", path);
}

static enum efx_rc check_file(const char *path, struct efx_err *err)
{
    struct pem p = {NULL};
    bool ok = path == NULL || read_pem(path, &p);
    drop_pem(&p);
    return ok ? EFX_OK : bad_file(path, err);
}

/* ---- server ---- */

enum efx_rc efx_grpc__tls_open(const struct efx_grpc_tls *tls, struct tls_files **out,
                               struct efx_err *err)
{
    if (tls->key == NULL) {
        return EFX_FAIL(err, EFX_EPARSE, EFX_KIND_USER, 0, "a certificate needs its key");
    }
    EFX_RET(check_file(tls->cert, err));
    EFX_RET(check_file(tls->key, err));
    EFX_RET(check_file(tls->ca, err));
    struct tls_files *t = efx_mem_libc.alloc(&efx_mem_libc, sizeof *t);
    if (t == NULL) {
        return EFX_FAIL(err, EFX_ENOMEM, EFX_KIND_ENV, 0, "out of memory");
    }
    memset(t, 0, sizeof *t);
    t->tls = *tls;
    (void)pthread_mutex_init(&t->lock, NULL);
    *out = t;
    return EFX_OK;
}

void efx_grpc__tls_close(struct tls_files **t_of)
{
    struct tls_files *t = *t_of;
    if (t != NULL) {
        (void)pthread_mutex_destroy(&t->lock);
        efx_mem_libc.free(&efx_mem_libc, t, sizeof *t);
        *t_of = NULL;
    }
}

static bool stamp_of(const char *path, struct stamp *out)
{
    struct stat st;
    memset(out, 0, sizeof *out);
    if (path == NULL) {
        return true;
    }
    if (stat(path, &st) != 0) {
        return false;
    }
    *out = (struct stamp){st.st_mtim, st.st_ino, st.st_size};
    return true;
}

static bool same(const struct stamp *a, const struct stamp *b)
{
    return a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec &&
           a->inode == b->inode && a->size == b->size;
}

static grpc_ssl_server_certificate_config *read_config(const struct efx_grpc_tls *tls)
{
    struct pem cert = {NULL}, key = {NULL}, roots = {NULL};
    grpc_ssl_server_certificate_config *config = NULL;
    if (read_pem(tls->cert, &cert) && read_pem(tls->key, &key) &&
        read_pem(tls->ca != NULL ? tls->ca : tls->cert, &roots)) {
        grpc_ssl_pem_key_cert_pair pair = {.private_key = key.p, .cert_chain = cert.p};
        config = grpc_ssl_server_certificate_config_create(roots.p, &pair, 1);
    }
    drop_pem(&cert);
    drop_pem(&key);
    drop_pem(&roots);
    return config;
}

static grpc_ssl_certificate_config_reload_status fetch(void *arg,
                                                       grpc_ssl_server_certificate_config **out)
{
    struct tls_files *t = arg;
    struct stamp now[3];
    grpc_ssl_certificate_config_reload_status status = GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    (void)pthread_mutex_lock(&t->lock);
    bool there = stamp_of(t->tls.cert, &now[0]) && stamp_of(t->tls.key, &now[1]) &&
                 stamp_of(t->tls.ca, &now[2]);
    bool changed = there && !(same(&now[0], &t->seen[0]) && same(&now[1], &t->seen[1]) &&
                              same(&now[2], &t->seen[2]));
    if (changed) {
        *out = read_config(&t->tls);
        status = *out != NULL ? GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW
                              : GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_FAIL;
        memcpy(t->seen, now, sizeof now);
    }
    (void)pthread_mutex_unlock(&t->lock);
    return status;
}

grpc_server_credentials *efx_grpc__tls_server(struct tls_files *t)
{
    grpc_ssl_client_certificate_request_type ask =
        t->tls.ca != NULL ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                          : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE;
    memset(t->seen, 0, sizeof t->seen); /* these credentials have none yet */
    grpc_ssl_server_credentials_options *options =
        grpc_ssl_server_credentials_create_options_using_config_fetcher(ask, fetch, t);
    return options == NULL ? NULL : grpc_ssl_server_credentials_create_with_options(options);
}

/* ---- client ---- */

enum efx_rc efx_grpc__tls_client(const struct efx_grpc_tls *tls, grpc_channel_credentials **out,
                                 struct efx_err *err)
{
    struct pem roots = {NULL}, cert = {NULL}, key = {NULL};
    enum efx_rc rc = EFX_OK;
    if ((tls->cert == NULL) != (tls->key == NULL)) {
        return EFX_FAIL(err, EFX_EPARSE, EFX_KIND_USER, 0, "a certificate and its key go together");
    }
    if (tls->ca != NULL && !read_pem(tls->ca, &roots)) {
        rc = bad_file(tls->ca, err);
    } else if (tls->cert != NULL && !read_pem(tls->cert, &cert)) {
        rc = bad_file(tls->cert, err);
    } else if (tls->key != NULL && !read_pem(tls->key, &key)) {
        rc = bad_file(tls->key, err);
    } else {
        grpc_ssl_pem_key_cert_pair pair = {.private_key = key.p, .cert_chain = cert.p};
        *out = grpc_ssl_credentials_create(roots.p, tls->cert != NULL ? &pair : NULL, NULL, NULL);
    }
    drop_pem(&roots);
    drop_pem(&cert);
    drop_pem(&key);
    return rc;
}
