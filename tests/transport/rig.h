#ifndef RIG_H
#define RIG_H

#include "certs.h"
#include "efx_loop_real.h"
#include "efx_sim.h"
#include "efx_tcp.h"
#include "efx_test.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Two transports of one kind, driven by the test, and peers that write down what they see. */
enum rig_kind { RIG_SIM = 1, RIG_SIM_REAL, RIG_TCP, RIG_UNIX, RIG_TLS, RIG_MTLS };

struct rig {
    enum rig_kind kind;
    struct efx_sim *sim;
    struct efx_loop *loop; /* real */
    struct efx_transport *server, *client;
    size_t frame_bytes_max, queue_bytes_max; /* of the server and both; 0 = default */
    uint32_t links_max;                      /* of the server */
    char dir[64];                            /* certificates, sockets */
    char address[128];
};

struct peer { /* one end of a link */
    struct rig *rig;
    struct efx_link *link;
    struct efx_transport *of;
    uint32_t ups, rooms, downs, messages;
    enum efx_rc why;
    uint64_t bytes;
    bool out_of_order;
    void (*on_message)(struct peer *p, const struct efx_msg *msg);
    void (*on_up)(struct peer *p);
};

static inline void rig_up(void *arg, struct efx_link *link)
{
    struct peer *p = arg;
    assert_ptr_equal(link, p->link);
    p->ups++;
    if (p->on_up != NULL) {
        p->on_up(p);
    }
}

static inline void rig_message(void *arg, struct efx_link *link, const struct efx_msg *msg)
{
    struct peer *p = arg;
    assert_ptr_equal(link, p->link);
    p->messages++;
    p->bytes += msg->payload.n;
    if (p->on_message != NULL) {
        p->on_message(p, msg);
    }
}

static inline void rig_room(void *arg, struct efx_link *link)
{
    struct peer *p = arg;
    assert_ptr_equal(link, p->link);
    p->rooms++;
}

static inline void rig_down(void *arg, struct efx_link *link, enum efx_rc why)
{
    struct peer *p = arg;
    assert_ptr_equal(link, p->link);
    p->downs++;
    p->why = why;
    p->link = NULL;
}

static const struct efx_link_user rig_user = {rig_up, rig_message, rig_room, rig_down};

/* ---- the rig ---- */

static inline bool rig_is_sim(const struct rig *r)
{
    return r->kind == RIG_SIM || r->kind == RIG_SIM_REAL;
}

static inline const char *rig_path(struct rig *r, const char *name)
{
    static char paths[8][128];
    static uint32_t turn;
    char *path = paths[turn++ % 8];
    (void)snprintf(path, sizeof paths[0], "%s/%s", r->dir, name);
    return path;
}

static inline void rig_sim(struct rig *r)
{
    struct efx_sim_options o = {
        .mem = &efx_mem_libc,
        .seed = 42,
        .n_members = 2,
        .real_time = r->kind == RIG_SIM_REAL,
        .frame_bytes_max = r->frame_bytes_max,
        .queue_bytes_max = r->queue_bytes_max,
        .links_max = r->links_max,
    };
    assert_int_equal(efx_sim_create(&o, &r->sim), EFX_OK);
    assert_int_equal(efx_sim_transport(r->sim, 0, &r->server), EFX_OK);
    assert_int_equal(efx_sim_transport(r->sim, 1, &r->client), EFX_OK);
    (void)snprintf(r->address, sizeof r->address, "sim:server");
}

static inline void rig_certs(struct rig *r)
{
    struct authority a = certs_authority("tests", rig_path(r, "ca.pem"));
    certs_issue(&a, "server", "DNS:localhost,IP:127.0.0.1,URI:spiffe://efx/a", 3600,
                rig_path(r, "server.pem"), rig_path(r, "server.key"));
    certs_issue(&a, "client", "DNS:client.efx,IP:10.1.2.3", 3600, rig_path(r, "client.pem"),
                rig_path(r, "client.key"));
    certs_authority_free(&a);
}

static inline struct efx_tcp_options rig_options(struct rig *r, bool server)
{
    struct efx_tcp_options o = {.mem = &efx_mem_libc, .queue_bytes_max = r->queue_bytes_max};
    if (server) {
        o.frame_bytes_max = r->frame_bytes_max;
        o.links_max = r->links_max;
    }
    if (r->kind == RIG_TLS || r->kind == RIG_MTLS) {
        o.tls_ca = server ? NULL : rig_path(r, "ca.pem");
    }
    if (server && (r->kind == RIG_TLS || r->kind == RIG_MTLS)) {
        o.tls_cert = rig_path(r, "server.pem");
        o.tls_key = rig_path(r, "server.key");
    }
    if (r->kind == RIG_MTLS) {
        o.tls_ca = rig_path(r, "ca.pem");
        o.peer_ca = o.tls_ca;
        o.client_cert_needed = true;
        if (!server) {
            o.tls_cert = rig_path(r, "client.pem");
            o.tls_key = rig_path(r, "client.key");
        }
    }
    return o;
}

/* kind and the limits are set; transports of a real loop may be made by the test instead. */
static inline void rig_loop(struct rig *r)
{
    (void)snprintf(r->dir, sizeof r->dir, "/tmp/efx-test-XXXXXX");
    assert_non_null(mkdtemp(r->dir));
    assert_int_equal(efx_loop_real_create(&efx_mem_libc, &r->loop, NULL), EFX_OK);
    if (r->kind == RIG_TLS || r->kind == RIG_MTLS) {
        rig_certs(r);
    }
    (void)snprintf(r->address, sizeof r->address,
                   r->kind == RIG_UNIX ? "unix:%s/socket" : "127.0.0.1:0%.0s", r->dir);
}

static inline void rig_start(struct rig *r)
{
    if (rig_is_sim(r)) {
        rig_sim(r);
        return;
    }
    rig_loop(r);
    struct efx_tcp_options server = rig_options(r, true), client = rig_options(r, false);
    assert_int_equal(efx_tcp_create(r->loop, &server, &r->server, NULL), EFX_OK);
    assert_int_equal(efx_tcp_create(r->loop, &client, &r->client, NULL), EFX_OK);
}

static inline void rig_stop(struct rig *r)
{
    if (r->client != NULL) {
        r->client->vt->destroy(&r->client);
    }
    if (r->server != NULL) {
        r->server->vt->destroy(&r->server);
    }
    efx_sim_destroy(&r->sim);
    efx_loop_real_destroy(&r->loop);
    if (r->dir[0] != 0) {
        static const char *const files[] = {"ca.pem",     "server.pem", "server.key", "client.pem",
                                            "client.key", "other.pem",  "other.key",  "rogue.pem"};
        for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
            (void)unlink(rig_path(r, files[i]));
        }
        assert_int_equal(rmdir(r->dir), 0);
    }
}

/* A turn of whatever drives it. */
static inline void rig_turn(struct rig *r)
{
    if (r->sim == NULL) {
        efx_loop_real_turn(r->loop, 20000000);
    } else if (!efx_sim_step(r->sim) && r->kind == RIG_SIM_REAL) {
        efx_sim_wait(r->sim, 20000000);
    }
}

/* Turns until it holds; what never comes ends by the limit of the test's own process. */
#define RIG_UNTIL(r, cond)                                                                         \
    do {                                                                                           \
        for (uint32_t turns_ = 0; !(cond); turns_++) {                                             \
            assert_true(turns_ < 2000000);                                                         \
            rig_turn(r);                                                                           \
        }                                                                                          \
    } while (0)

/* Some turns in which nothing is expected. */
static inline void rig_idle(struct rig *r)
{
    if (r->sim != NULL && r->kind == RIG_SIM) {
        efx_sim_run(r->sim, efx_sim_now_ns(r->sim) + 100000000);
        return;
    }
    for (uint32_t i = 0; i < 10; i++) {
        if (r->sim != NULL) {
            while (efx_sim_step(r->sim)) {
            }
        } else {
            efx_loop_real_turn(r->loop, 1000000);
        }
    }
}

/* ---- peers ---- */

static inline void rig_accepted(void *arg, struct efx_link *link)
{
    struct peer *p = arg;
    assert_null(p->link);
    p->link = link;
    p->of = link->of;
    p->ups++;
    link->of->vt->use(link, &rig_user, p);
    if (p->on_up != NULL) {
        p->on_up(p);
    }
}

static inline void rig_listen(struct rig *r, void (*accepted)(void *arg, struct efx_link *link),
                              void *arg)
{
    struct efx_err err;
    enum efx_rc rc = r->server->vt->listen(r->server, r->address, accepted, arg, &err);
    if (rc != EFX_OK) {
        fail_msg("%s", err.msg);
    }
    (void)snprintf(r->address, sizeof r->address, "%s", r->server->vt->address(r->server));
}

static inline void rig_dial(struct rig *r, struct peer *p)
{
    p->rig = r;
    p->of = r->client;
    assert_int_equal(r->client->vt->connect(r->client, r->address, &rig_user, p, &p->link, NULL),
                     EFX_OK);
    assert_int_equal(p->ups + p->downs, 0);
}

/* Listens and connects: both ends are up. */
static inline void rig_pair(struct rig *r, struct peer *there, struct peer *here)
{
    there->rig = r;
    rig_listen(r, rig_accepted, there);
    rig_dial(r, here);
    RIG_UNTIL(r, there->link != NULL && here->ups == 1);
}

static inline enum efx_rc peer_send(struct peer *p, const void *payload, size_t n)
{
    struct efx_msg m = {.type = EFX_MSG_EVENT, .payload = {payload, n}};
    return p->of->vt->send(p->link, &m);
}

static inline void peer_close(struct peer *p, bool in_order)
{
    p->of->vt->close(p->link, in_order);
    p->link = NULL;
}

#endif /* RIG_H */
