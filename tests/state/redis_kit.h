#ifndef REDIS_KIT_H
#define REDIS_KIT_H

#include "efx_test.h"

#include "efx_stores.h"
#include "efx_world_real.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <hiredis.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Redis servers of the test's own: children on free ports, in a folder that goes with the test. A
 * machine without redis-server fails.
 */
#define KIT static __attribute__((unused))

static char kit_folder[64];

/* What a kit cannot do is no test's failure: the program ends. */
#define KIT_MUST(what)                                                                             \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            (void)fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #what, strerror(errno));  \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

enum server_kind { SERVER_PLAIN = 1, SERVER_TLS, SERVER_FORGETS };

struct server {
    enum server_kind kind;
    pid_t pid;
    int port;
    char dir[128];
    char extra[4][128]; /* arguments more, until an empty one */
};

KIT void pause_ms(int ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    (void)nanosleep(&t, NULL);
}

KIT int free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    KIT_MUST(fd >= 0 && bind(fd, (struct sockaddr *)&a, n) == 0);
    KIT_MUST(getsockname(fd, (struct sockaddr *)&a, &n) == 0);
    (void)close(fd);
    return ntohs(a.sin_port);
}

/* ---- certificates -------------------------------------------------------------------------- */

struct signer {
    X509 *cert;
    EVP_PKEY *key;
};

KIT void write_pem(const struct signer *s, const char *name)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s.crt", kit_folder, name);
    FILE *f = fopen(path, "w");
    KIT_MUST(f != NULL && PEM_write_X509(f, s->cert) == 1 && fclose(f) == 0);
    (void)snprintf(path, sizeof path, "%s/%s.key", kit_folder, name);
    f = fopen(path, "w");
    KIT_MUST(f != NULL && PEM_write_PrivateKey(f, s->key, NULL, NULL, 0, NULL, NULL) == 1 &&
             fclose(f) == 0);
}

KIT void extend(X509 *cert, X509 *by, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, by, cert, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    KIT_MUST(e != NULL && X509_add_ext(cert, e, -1) == 1);
    X509_EXTENSION_free(e);
}

/* `by` NULL: signs itself, as an authority. */
KIT struct signer make_cert(const char *name, const struct signer *by, const char *alt)
{
    static long serial = 1;
    struct signer s = {X509_new(), EVP_EC_gen("P-256")};
    KIT_MUST(s.cert != NULL && s.key != NULL);
    X509_set_version(s.cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(s.cert), serial++);
    X509_gmtime_adj(X509_getm_notBefore(s.cert), -3600);
    X509_gmtime_adj(X509_getm_notAfter(s.cert), 86400);
    X509_set_pubkey(s.cert, s.key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(s.cert), "CN", MBSTRING_ASC,
                               (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(s.cert, X509_get_subject_name(by != NULL ? by->cert : s.cert));
    extend(s.cert, by != NULL ? by->cert : s.cert, NID_basic_constraints,
           by != NULL ? "CA:FALSE" : "critical,CA:TRUE");
    if (alt != NULL) {
        extend(s.cert, by->cert, NID_subject_alt_name, alt);
    }
    KIT_MUST(X509_sign(s.cert, by != NULL ? by->key : s.key, EVP_sha256()) > 0);
    write_pem(&s, name);
    return s;
}

KIT void free_cert(struct signer *s)
{
    X509_free(s->cert);
    EVP_PKEY_free(s->key);
}

KIT void make_certs(void)
{
    struct signer ca = make_cert("ca", NULL, NULL), rogue = make_cert("rogue", NULL, NULL);
    struct signer server = make_cert("server", &ca, "DNS:localhost,IP:127.0.0.1");
    struct signer other = make_cert("other", &ca, "DNS:elsewhere");
    struct signer client = make_cert("client", &ca, NULL);
    free_cert(&ca);
    free_cert(&rogue);
    free_cert(&server);
    free_cert(&other);
    free_cert(&client);
}

/* In memory if there is room for it: a test that opens and closes much would wait for the disk. */
KIT void kit_begin(bool in_memory)
{
    struct statvfs fs;
    bool room = statvfs("/dev/shm", &fs) == 0 && access("/dev/shm", W_OK) == 0 &&
                (uint64_t)fs.f_bavail * fs.f_frsize > 512u << 20;
    (void)snprintf(kit_folder, sizeof kit_folder, "%s/efx-stores-XXXXXX",
                   in_memory && room ? "/dev/shm" : "/tmp");
    KIT_MUST(mkdtemp(kit_folder) != NULL);
    make_certs();
}

KIT void kit_end(void)
{
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", kit_folder);
    KIT_MUST(system(command) == 0);
}

/* ---- servers ------------------------------------------------------------------------------- */

KIT void server_exec(const struct server *s, const char *const *args)
{
    char log[160];
    (void)snprintf(log, sizeof log, "%s/log", s->dir);
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0666);
    (void)dup2(fd, 1);
    (void)dup2(fd, 2);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that dies leaves none behind */
    (void)execvp("redis-server", (char *const *)(uintptr_t)args);
    (void)dprintf(2, "redis-server: %s\n", strerror(errno));
    _exit(127);
}

KIT void server_launch(struct server *s)
{
    char port[16], cert[128], key[128], ca[128], acl[160];
    const char *args[40] = {"redis-server",
                            "--bind",
                            "127.0.0.1",
                            "--dir",
                            s->dir,
                            "--save",
                            "",
                            "--daemonize",
                            "no",
                            "--appendonly",
                            s->kind == SERVER_FORGETS ? "no" : "yes",
                            "--appendfsync",
                            "always",
                            s->kind == SERVER_TLS ? "--tls-port" : "--port",
                            port};
    size_t n = 15;
    (void)snprintf(port, sizeof port, "%d", s->port);
    if (s->kind == SERVER_TLS) {
        (void)snprintf(cert, sizeof cert, "%s/server.crt", kit_folder);
        (void)snprintf(key, sizeof key, "%s/server.key", kit_folder);
        (void)snprintf(ca, sizeof ca, "%s/ca.crt", kit_folder);
        (void)snprintf(acl, sizeof acl, "%s/users.acl", s->dir);
        FILE *f = fopen(acl, "w");
        KIT_MUST(f != NULL &&
                 fputs("user default off\n"
                       "user efx on >secret@ ~eventflux:* &* +@all -@dangerous +info\n",
                       f) >= 0 &&
                 fclose(f) == 0);
        const char *tls[] = {"--port",
                             "0",
                             "--tls-cert-file",
                             cert,
                             "--tls-key-file",
                             key,
                             "--tls-ca-cert-file",
                             ca,
                             "--tls-auth-clients",
                             "yes",
                             "--aclfile",
                             acl};
        memcpy(args + n, tls, sizeof tls);
        n += sizeof tls / sizeof tls[0];
    }
    for (int i = 0; i < 4 && s->extra[i][0] != '\0'; i++) {
        args[n++] = s->extra[i];
    }
    s->pid = fork();
    KIT_MUST(s->pid >= 0);
    if (s->pid == 0) {
        server_exec(s, args);
    }
}

/* Listening, and through with what it loads. */
KIT bool server_ready(const struct server *s)
{
    redisContext *c = redisConnect("127.0.0.1", s->port);
    bool ready = c != NULL && c->err == 0;
    if (ready && s->kind != SERVER_TLS) {
        redisReply *r = redisCommand(c, "PING");
        ready = r != NULL && r->type == REDIS_REPLY_STATUS;
        freeReplyObject(r);
    }
    redisFree(c);
    return ready;
}

KIT void server_wait(const struct server *s)
{
    for (int i = 0; i < 1500; i++) {
        if (server_ready(s)) {
            return;
        }
        if (waitpid(s->pid, NULL, WNOHANG) != 0) {
            break;
        }
        pause_ms(20);
    }
    (void)fprintf(stderr, "redis-server did not start; its log is %s/log\n", s->dir);
    exit(1);
}

KIT void server_start(struct server *s, enum server_kind kind)
{
    static int n;
    s->kind = kind;
    s->port = free_port();
    (void)snprintf(s->dir, sizeof s->dir, "%s/redis-%d", kit_folder, ++n);
    KIT_MUST(mkdir(s->dir, 0777) == 0);
    server_launch(s);
    server_wait(s);
}

KIT void server_stop(struct server *s, int sig)
{
    KIT_MUST(kill(s->pid, sig) == 0);
    KIT_MUST(waitpid(s->pid, NULL, 0) == s->pid);
    s->pid = 0;
}

/* A command of the test's own, without what it tests. */
KIT redisReply *server_do(const struct server *s, const char *fmt, ...)
{
    va_list args;
    redisContext *c = redisConnect("127.0.0.1", s->port);
    KIT_MUST(c != NULL && c->err == 0);
    va_start(args, fmt);
    redisReply *r = redisvCommand(c, fmt, args);
    va_end(args);
    redisFree(c);
    KIT_MUST(r != NULL);
    return r;
}

KIT void server_must(const struct server *s, const char *command)
{
    redisReply *r = server_do(s, command);
    if (r->type == REDIS_REPLY_ERROR) {
        fail_msg("%s: %s", command, r->str);
    }
    freeReplyObject(r);
}

#endif /* REDIS_KIT_H */
