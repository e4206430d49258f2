#ifndef CERTS_H
#define CERTS_H

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Authorities and certificates for tests, made as they are needed and written as PEM. */
struct authority {
    EVP_PKEY *key;
    X509 *cert;
};

static inline void certs_must(int ok)
{
    if (!ok) {
        (void)fputs("certs.h: libcrypto said no\n", stderr);
        exit(1);
    }
}

static inline void certs_extend(X509 *cert, X509 *by, int what, const char *text)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, by, cert, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, what, text);
    certs_must(e != NULL && X509_add_ext(cert, e, -1) == 1);
    X509_EXTENSION_free(e);
}

static inline X509 *certs_new(const char *name, EVP_PKEY *key, long for_s)
{
    static long serial = 1;
    X509 *c = X509_new();
    certs_must(c != NULL && X509_set_version(c, 2) == 1);
    certs_must(ASN1_INTEGER_set(X509_get_serialNumber(c), serial++) == 1);
    certs_must(X509_gmtime_adj(X509_getm_notBefore(c), -86400) != NULL);
    certs_must(X509_gmtime_adj(X509_getm_notAfter(c), for_s) != NULL);
    certs_must(X509_set_pubkey(c, key) == 1);
    certs_must(X509_NAME_add_entry_by_txt(X509_get_subject_name(c), "CN", MBSTRING_ASC,
                                          (const unsigned char *)name, -1, -1, 0) == 1);
    return c;
}

static inline void certs_write(const char *path, X509 *cert, EVP_PKEY *key)
{
    FILE *f = fopen(path, "w");
    certs_must(f != NULL);
    certs_must(cert == NULL || PEM_write_X509(f, cert) == 1);
    certs_must(key == NULL || PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1);
    certs_must(fclose(f) == 0);
}

/* path may be NULL. */
static inline struct authority certs_authority(const char *name, const char *path)
{
    struct authority a = {.key = EVP_EC_gen("P-256")};
    a.cert = certs_new(name, a.key, 86400);
    certs_must(X509_set_issuer_name(a.cert, X509_get_subject_name(a.cert)) == 1);
    certs_extend(a.cert, a.cert, NID_basic_constraints, "critical,CA:TRUE");
    certs_must(X509_sign(a.cert, a.key, EVP_sha256()) > 0);
    if (path != NULL) {
        certs_write(path, a.cert, NULL);
    }
    return a;
}

static inline void certs_authority_free(struct authority *a)
{
    X509_free(a->cert);
    EVP_PKEY_free(a->key);
}

/* sans as "DNS:a,IP:127.0.0.1", NULL = none; for_s < 0: ended already. */
static inline void certs_issue(const struct authority *by, const char *name, const char *sans,
                               long for_s, const char *cert_path, const char *key_path)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *c = certs_new(name, key, for_s);
    certs_must(X509_set_issuer_name(c, X509_get_subject_name(by->cert)) == 1);
    certs_extend(c, by->cert, NID_basic_constraints, "critical,CA:FALSE");
    if (sans != NULL) {
        certs_extend(c, by->cert, NID_subject_alt_name, sans);
    }
    certs_must(X509_sign(c, by->key, EVP_sha256()) > 0);
    certs_write(cert_path, c, NULL);
    certs_write(key_path, NULL, key);
    X509_free(c);
    EVP_PKEY_free(key);
}

#endif /* CERTS_H */
