#include "sim_cluster.h"

#include "efx/efx.h"

#include <stdio.h>
#include <stdlib.h>

static void log_line(void *arg, const char *line)
{
    const struct sim_member *m = arg;
    if (m->of->verbose) {
        fprintf(stderr, "%8.3f node %u: %s\n", (double)efx_sim_now_ns(m->of->sim) / 1e9,
                (unsigned)(m - m->of->members), line);
    }
}

static void ended(void *arg, const struct efx_err *why)
{
    struct sim_member *m = arg;
    m->ended = true;
    m->end = *why;
    log_line(arg, why->msg);
}

static enum efx_rc open_store(void *arg, const char *url, struct efx_store **store,
                              struct efx_coord **coord, struct efx_err *err)
{
    struct sim_member *m = arg;
    (void)url;
    enum efx_rc rc = EFX_OK;
    if (m->stores == NULL) {
        rc = efx_memory_place_open(m->of->place, &m->stores,
                                   efx_sim_world(m->of->sim, (uint32_t)(m - m->of->members)), err);
    }
    if (rc == EFX_OK) {
        *store = m->stores->store;
        *coord = m->stores->coord;
    }
    return rc;
}

/* Counts come back from wherever the key lives: every node tells what leaves its shards. */
static void rows(void *arg, const struct efx_bobject *stream, const struct efx_rows *rows_of)
{
    struct sim_member *m = arg;
    struct sim_cluster *c = m->of;
    (void)stream;
    for (uint32_t i = rows_of->from; i < rows_of->until; i++) {
        if (!efx_bit(rows_of->b->sel, i)) {
            continue;
        }
        const int32_t *k = rows_of->b->cols[0].data;
        const int64_t *n = rows_of->b->cols[1].data, *sum = rows_of->b->cols[2].data;
        if (k[i] >= 0 && k[i] < SIM_KEYS) {
            c->counts[k[i]] = n[i];
            c->sums[k[i]] = sum[i];
        }
    }
}

void sim_open(struct sim_cluster *c, uint64_t seed, uint32_t n, const char *sql)
{
    struct efx_sim_options o = {.mem = &efx_mem_libc, .seed = seed, .n_members = n};
    bool verbose = getenv("EFX_SIM_VERBOSE") != NULL;
    *c = (struct sim_cluster){.n = n, .sql = sql, .min_nodes = n / 2 + 1, .verbose = verbose};
    EFX_ASSERT(efx_sim_create(&o, &c->sim) == EFX_OK);
    EFX_ASSERT(efx_memory_place_create(&c->place, efx_sim_world(c->sim, 0), &efx_mem_libc) ==
               EFX_OK);
    for (uint32_t i = 0; i < n; i++) {
        c->members[i].of = c;
    }
}

void sim_start(struct sim_cluster *c, uint32_t member, bool found)
{
    struct sim_member *m = &c->members[member];
    struct efx_err err = {0};
    (void)snprintf(m->id, sizeof m->id, "n%u", member);
    (void)snprintf(m->address, sizeof m->address, "sim:n%u", member);
    efx_sim_revive(c->sim, member);
    EFX_ASSERT(efx_sim_transport(c->sim, member, &m->transport) == EFX_OK);
    struct efx_node_conf conf = {.id = m->id,
                                 .cluster = "test",
                                 .app_name = "app",
                                 .sql = found ? c->sql : NULL,
                                 .listen = m->address,
                                 .store_url = "memory:",
                                 .loop = efx_sim_loop(c->sim, member),
                                 .transport = m->transport,
                                 .world = efx_sim_world(c->sim, member),
                                 .mem = &efx_mem_libc,
                                 .open_store = open_store,
                                 .arg = m,
                                 .shards = 1,
                                 .clock = EFX_CLOCK_SYSTEM,
                                 .seed = 1,
                                 .simulated = true,
                                 .min_nodes = c->min_nodes,
                                 .rows = rows,
                                 .ended = ended,
                                 .log = log_line};
    EFX_ASSERT(efx_node_create(&conf, &m->node, &err) == EFX_OK);
    m->up = true;
    m->ended = false;
    m->lives++;
    if (efx_node_start(m->node, &err) != EFX_OK) {
        log_line(m, err.msg);
    }
}

/* A killed node still ends its calls when its memory is given back; nobody is there to hear it. */
static void on_ended_dead(struct efx_submit_front *self, const struct efx_err *why)
{
    (void)self;
    (void)why;
}

/* The process is gone: what its node had in memory goes with it. */
void sim_kill(struct sim_cluster *c, uint32_t member)
{
    struct sim_member *m = &c->members[member];
    efx_sim_kill(c->sim, member);
    for (uint32_t i = 0; i < c->n_clients; i++) {
        struct sim_client *k = &c->clients[i];
        if (k->busy && k->at == member) { /* its connection breaks */
            k->busy = k->open = false;
            k->retry_ns = efx_sim_now_ns(c->sim) + 50000000;
            k->front.ended = on_ended_dead;
        }
    }
    efx_node_destroy(&m->node);
    m->transport->vt->destroy(&m->transport);
    efx_stores_close(&m->stores);
    m->up = false;
}

void sim_close(struct sim_cluster *c)
{
    for (uint32_t i = 0; i < c->n_clients; i++) {
        c->clients[i].front.ended = on_ended_dead;
    }
    for (uint32_t i = 0; i < c->n; i++) {
        if (c->members[i].node != NULL) {
            sim_kill(c, i);
        }
    }
    efx_memory_place_unref(&c->place);
    efx_sim_destroy(&c->sim);
}

/* ---- clients ---- */

static void on_opened(struct efx_submit_front *self, const struct efx_opened *o,
                      const struct efx_ack *so_far)
{
    struct sim_client *k = (struct sim_client *)self;
    (void)so_far;
    k->open = true;
    /* C24: known = false is fatal only for who was told `committed`. */
    EFX_ASSERT(o->known || k->committed == 0);
    k->sent = o->next_seq - 1;
}

static void on_ack(struct efx_submit_front *self, const struct efx_ack *a)
{
    struct sim_client *k = (struct sim_client *)self;
    EFX_ASSERT(a->committed >= k->committed || a->committed == 0);
    k->committed = a->committed > k->committed ? a->committed : k->committed;
    k->accepted = a->accepted;
    if (a->resend_from != 0) {
        EFX_ASSERT(a->resend_from > k->committed);
        k->sent = a->resend_from - 1;
    }
}

static void on_ended(struct efx_submit_front *self, const struct efx_err *why)
{
    struct sim_client *k = (struct sim_client *)self;
    (void)why;
    k->busy = k->open = false;
    k->retry_ns = efx_sim_now_ns(k->of->sim) + 100000000;
}

static void begin(struct sim_client *k)
{
    struct sim_cluster *c = k->of;
    for (uint32_t i = 0; i < c->n && !sim_ready(c, k->at); i++) {
        k->at = (k->at + 1) % c->n;
    }
    if (!sim_ready(c, k->at)) {
        return;
    }
    struct efx_service *s = efx_node_service(c->members[k->at].node);
    struct efx_submit_open how = {.level = EFX_LEVEL_COMMITTED, .opening = ++k->opening};
    memcpy(how.session, k->session, sizeof k->session);
    k->front = (struct efx_submit_front){on_opened, on_ack, on_ended};
    k->busy = true;
    s->vt->submit_open(s, &how, &k->front, &k->call);
}

static void send(struct sim_client *k)
{
    struct sim_cluster *c = k->of;
    struct efx_service *s = efx_node_service(c->members[k->at].node);
    struct efx_builder *b = s->vt->builder(s, NULL);
    if (b == NULL) {
        return;
    }
    uint64_t n = 1 + efx_sim_random(c->sim) % 50, first = k->sent + 1;
    n = n > k->target - k->sent ? k->target - k->sent : n;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t row = first + i;
        struct efx_colset *set;
        EFX_ASSERT(efx_builder_begin(b, 0, EFX_TS_NONE, &set) == EFX_OK);
        ((int32_t *)set->data[0])[set->n_rows] = (int32_t)((row * 7 + k->number) % SIM_KEYS);
        ((int64_t *)set->data[1])[set->n_rows] = (int64_t)row;
        efx_builder_valid(set, 0);
        efx_builder_valid(set, 1);
        efx_builder_end(b, set);
    }
    k->sent += n;
    s->vt->submit_rows(s, k->call, first, &b, true);
}

static void pump_clients(struct sim_cluster *c)
{
    for (uint32_t i = 0; i < c->n_clients; i++) {
        struct sim_client *k = &c->clients[i];
        if (!k->busy && efx_sim_now_ns(c->sim) >= k->retry_ns) {
            begin(k);
        } else if (k->open && k->sent < k->target && efx_sim_random(c->sim) % 4 == 0) {
            send(k);
        }
    }
}

void sim_client_open(struct sim_cluster *c, uint32_t client, uint32_t node, uint64_t target)
{
    struct sim_client *k = &c->clients[client];
    if (client >= c->n_clients) {
        c->n_clients = client + 1;
        *k = (struct sim_client){.of = c, .number = client, .at = node};
        (void)snprintf(k->session, sizeof k->session, "client-%u", client);
    }
    k->target = target;
}

/* ---- time ---- */

void sim_run_ms(struct sim_cluster *c, uint64_t ms)
{
    uint64_t until = efx_sim_now_ns(c->sim) + ms * 1000000;
    while (efx_sim_now_ns(c->sim) < until) {
        pump_clients(c);
        efx_sim_run(c->sim, efx_sim_now_ns(c->sim) + 1000000);
    }
}

struct efx_status *sim_status(struct sim_cluster *c, uint32_t member)
{
    static struct efx_status status;
    struct efx_service *s = efx_node_service(c->members[member].node);
    s->vt->status(s, &status);
    return &status;
}

bool sim_ready(struct sim_cluster *c, uint32_t member)
{
    return c->members[member].up && !c->members[member].ended && sim_status(c, member)->ready;
}

bool sim_settle(struct sim_cluster *c, uint32_t n, uint64_t ms)
{
    uint64_t until = efx_sim_now_ns(c->sim) + ms * 1000000;
    while (efx_sim_now_ns(c->sim) < until) {
        uint32_t ready = 0;
        for (uint32_t i = 0; i < c->n; i++) {
            ready += sim_ready(c, i) && sim_status(c, i)->n_nodes == n;
        }
        if (ready == n) {
            return true;
        }
        sim_run_ms(c, 10);
    }
    return false;
}

bool sim_commit_all(struct sim_cluster *c, uint64_t ms)
{
    uint64_t until = efx_sim_now_ns(c->sim) + ms * 1000000;
    while (efx_sim_now_ns(c->sim) < until) {
        bool all = true;
        for (uint32_t i = 0; i < c->n_clients; i++) {
            all = all && c->clients[i].committed == c->clients[i].target;
        }
        if (all) {
            return true;
        }
        sim_run_ms(c, 20);
    }
    return false;
}
