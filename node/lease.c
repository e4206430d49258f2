/* Leases, and what follows from them.
 *
 *   pulse   every third of failure_timeout, on the coordination thread: renews this member's lease
 *           and the leader's, lists all, reads the record if the epoch has moved (C10)
 *   beat    every fifth: a word to every peer, and acknowledgements that are due (C24)
 *
 *   C12  a node's time ends at ends_ns; node_is_fenced is asked before every word to a client, a
 *        peer or the store. It keeps its state, and goes on when the store answers and the epoch is
 *        the same
 *   C13  the store is away: everything goes on until the leases would end
 *   C18  founding: no record, an app, min_nodes registered
 *
 *   Source  cluster.md C10 to C14, C18
 */
#include "node.h"

enum { LIST_BYTES = 256 * 1024, RETRY_NS = 200 * 1000 * 1000, TURN_NS = 100 * 1000 * 1000 };

struct node_pulse {
    struct node_job job;
    struct efx_node *node;
    bool busy;
    /* In. */
    struct efx_lease lease, leader;
    bool renew, leads, leaves;
    uint64_t epoch;
    struct efx_buf value;
    int64_t for_ms;
    /* Out. */
    enum efx_rc rc, leader_rc, list_rc, record_rc;
    struct efx_writer list;
    struct efx_writer record;
    uint64_t record_epoch;
    struct efx_err err;
};

bool node_is_fenced(const struct efx_node *n)
{
    return n->registered && node_now_ns(n) > n->lease.ends_ns;
}

/* ---- on the coordination thread ---- */

static void pulse_run(void *arg)
{
    struct node_pulse *p = arg;
    struct efx_coord *c = p->node->coord;
    struct efx_bytes value = efx_buf_bytes(&p->value);
    p->leader_rc = p->list_rc = p->record_rc = EFX_AGAIN;
    if (p->renew) {
        p->rc = c->vt->renew(c, &p->lease, p->for_ms, value, &p->err);
    }
    if (!p->renew ||
        (p->rc == EFX_ESTALE && !p->leaves)) { /* it had ended: taken again under a new term */
        p->rc = c->vt->take(c, &p->lease, p->for_ms, value, &p->err);
    }
    if (p->rc != EFX_OK) {
        return;
    }
    if (p->leads) {
        p->leader_rc = c->vt->renew(c, &p->leader, p->for_ms, (struct efx_bytes){0}, &p->err);
    }
    p->list.n = 0;
    p->list.full = false;
    p->list_rc = c->vt->list(c, "", &p->list, &p->err);
    if (p->lease.epoch > p->epoch) {
        p->record.n = 0;
        p->record.full = false;
        p->record_rc = c->vt->get_record(c, &p->record_epoch, &p->record, &p->err);
    }
}

/* ---- what an answer means; on the loop ---- */

static bool is_member_lease(const struct efx_held *h)
{
    return h->name.n > 7 && memcmp(h->name.p, "member:", 7) == 0;
}

static uint32_t n_registered(struct efx_bytes leases, const char *me, bool *least)
{
    struct efx_reader r = {leases.p, leases.n, false};
    struct efx_held h;
    uint32_t n = 0;
    *least = true;
    while (efx_held_next(&r, &h)) {
        if (is_member_lease(&h)) {
            n++;
            struct efx_bytes name = {h.name.p + 7, h.name.n - 7};
            size_t len = strlen(me) < name.n ? strlen(me) : name.n;
            *least = *least && memcmp(me, name.p, len) <= 0;
        }
    }
    return n;
}

static bool has_leader(struct efx_node *n, struct efx_bytes leases)
{
    struct efx_reader r = {leases.p, leases.n, false};
    struct efx_held h;
    while (efx_held_next(&r, &h)) {
        if (h.name.n == 6 && memcmp(h.name.p, "leader", 6) == 0) {
            n->leader.known_term = h.term;
            return true;
        }
    }
    return false;
}

static bool any_member_lives(const struct efx_node *n, struct efx_bytes leases)
{
    struct efx_reader r = {leases.p, leases.n, false};
    struct efx_held h;
    while (efx_held_next(&r, &h)) {
        char name[EFX_MEMBER_BYTES_MAX + 8];
        if (is_member_lease(&h) &&
            node_text(name, sizeof name, (struct efx_bytes){h.name.p + 7, h.name.n - 7}) &&
            node_record_find(n->record, name) < EFX_MEMBERS_MAX) {
            return true;
        }
    }
    return false;
}

/* C19: an app that is given only founds. */
static bool app_fits(struct efx_node *n)
{
    if (n->conf.sql == NULL || n->record == NULL ||
        memcmp(n->hash, n->record->hash, sizeof n->hash) == 0 || n->app_checked) {
        n->app_checked = n->app_checked || n->record != NULL; /* later ones come by deploy */
        return true;
    }
    struct efx_err why = {.rc = EFX_ESTALE, .kind = EFX_KIND_USER};
    (void)snprintf(
        why.msg, sizeof why.msg,
        "the cluster runs another app: its hash begins with %02x%02x%02x%02x, that of the "
        "given one with %02x%02x%02x%02x; use `efx cluster deploy`",
        n->record->hash[0], n->record->hash[1], n->record->hash[2], n->record->hash[3], n->hash[0],
        n->hash[1], n->hash[2], n->hash[3]);
    node_end(n, &why);
    return false;
}

static void look_around(struct efx_node *n, struct efx_bytes leases)
{
    bool leader = has_leader(n, leases), least;
    uint32_t registered = n_registered(leases, n->me.name, &least);
    uint64_t waited_ns = node_now_ns(n) - n->registered_ns;
    bool formed = registered >= n->conf.min_nodes;
    if (n->leader.leading) {
        node_leader_look(n);
        return;
    }
    uint64_t cut_ns = (uint64_t)n->conf.failure_timeout_ms * 2 * 1000000;
    bool cut_off = n->cut_off_ns != 0 && node_now_ns(n) - n->cut_off_ns < cut_ns;
    n->leaderless_ns = leader ? 0 : n->leaderless_ns;
    if (n->leader.taking || leader || cut_off) {
        return;
    }
    if (n->record == NULL && n->conf.remembers != 0) {
        if (waited_ns > (uint64_t)n->conf.form_timeout_ms * 1000000) { /* C14, C18 */
            struct efx_err why = {.rc = EFX_ESTALE, .kind = EFX_KIND_ENV};
            (void)snprintf(why.msg, sizeof why.msg,
                           "the store has no record of the cluster, but this node remembers "
                           "checkpoint %llu: it has lost its data, or is another one. Nothing is "
                           "founded over it; remove <data>/last to begin anew",
                           (unsigned long long)n->conf.remembers);
            node_end(n, &why);
        }
        return;
    }
    if (n->record == NULL) {
        if (n->conf.sql != NULL && formed && (least || waited_ns > TURN_NS * 5)) {
            node_leader_take(n, 0);
        }
        return;
    }
    if (n->self < EFX_MEMBERS_MAX) { /* the lowest first, the others after 100 ms each (C10) */
        n->leaderless_ns = n->leaderless_ns == 0 ? node_now_ns(n) : n->leaderless_ns;
        if (node_now_ns(n) - n->leaderless_ns >= (uint64_t)n->self * TURN_NS) {
            node_leader_take(n, 0);
        }
    } else if (formed && least && !any_member_lives(n, leases)) {
        node_leader_take(n, 0); /* all of the record are gone: those who came go on from it */
    }
}

static void fence_ended(struct efx_node *n)
{
    if (n->fenced_since_ns != 0 && !node_is_fenced(n)) {
        n->fenced_ns += node_now_ns(n) - n->fenced_since_ns;
        n->fenced_since_ns = 0;
        node_log(n, "the store answers again: this node goes on");
    }
}

static void store_answers(struct efx_node *n, const struct node_pulse *p)
{
    bool away = p->rc != EFX_OK;
    if (away && !n->store_away) {
        node_log(n, "the store does not answer: %s", p->err.msg);
    }
    if (!away && n->store_away) {
        n->store_back_ns = node_now_ns(n);
    }
    n->n_store_errors += away;
    n->store_away = away;
}

static void pulse_done(void *arg)
{
    struct node_pulse *p = arg;
    struct efx_node *n = p->node;
    p->busy = false;
    store_answers(n, p);
    if (p->rc == EFX_OK) {
        n->lease = p->lease;
        n->registered_ns = n->registered ? n->registered_ns : node_now_ns(n);
        n->registered = true;
        if (n->phase == NODE_REGISTERING) {
            n->phase = NODE_WAITING;
        }
    }
    if (p->leads && p->leader_rc == EFX_OK) {
        n->leader.lease.ends_ns = p->leader.ends_ns;
    } else if (p->leads && p->leader_rc == EFX_ESTALE) {
        node_leader_lost(n);
    }
    if (p->record_rc == EFX_OK && !p->record.full) {
        node_adopt(n, (struct efx_bytes){p->record.p, p->record.n});
    }
    if (n->phase == NODE_ENDED || !app_fits(n)) {
        return;
    }
    fence_ended(n);
    if (p->list_rc == EFX_OK && !p->list.full) {
        efx_buf_clear(&n->leases);
        efx_buf_put(&n->leases, p->list.p, p->list.n);
        if (n->change == NULL) {
            look_around(n, efx_buf_bytes(&n->leases));
        }
    }
    uint64_t third = (uint64_t)n->conf.failure_timeout_ms * 1000000 / 3;
    bool hurry = n->phase == NODE_WAITING || n->store_away || n->record == NULL;
    n->conf.loop->vt->timer_set(n->conf.loop, &n->pulse_task,
                                node_now_ns(n) + (hurry && RETRY_NS < third ? RETRY_NS : third));
    node_tick_pump(n);
    node_leader_pump(n);
    node_service_status(n);
}

/* ---- asking ---- */

/* What others read of this member: its line, and whom it hears (C11). */
static void put_value(struct efx_node *n, struct efx_buf *to)
{
    uint64_t now_ns = node_now_ns(n), timeout = (uint64_t)n->conf.failure_timeout_ms * 1000000;
    efx_buf_clear(to);
    node_member_put(to, &n->me);
    for (uint32_t i = 0; n->record != NULL && i < n->record->n_members; i++) {
        const char *name = n->record->members[i].name;
        uint64_t heard_ns = node_peers_heard_ns(n->peers, name);
        if (strcmp(name, n->me.name) == 0 || (heard_ns != 0 && now_ns - heard_ns < timeout)) {
            efx_buf_text(to, name, strlen(name));
        }
    }
}

static void pulse(void *arg)
{
    struct efx_node *n = arg;
    struct node_pulse *p = n->pulse;
    if (p->busy || n->phase == NODE_ENDED) {
        return;
    }
    p->busy = true;
    p->renew = n->registered;
    p->leads = n->leader.leading;
    p->leaves = n->leaving;
    p->lease = n->lease;
    p->leader = n->leader.lease;
    p->epoch = n->record == NULL ? 0 : n->record->epoch;
    p->for_ms = n->conf.failure_timeout_ms;
    put_value(n, &p->value);
    node_worker_submit(n->coord_worker, &p->job);
}

void node_pulse_soon(struct efx_node *n)
{
    if (n->pulse == NULL) {
        struct node_pulse *p = efx_mem_libc.alloc(&efx_mem_libc, sizeof *p);
        EFX_ASSERT(p != NULL);
        memset(p, 0, sizeof *p);
        p->node = n;
        p->job = (struct node_job){.run = pulse_run, .done = pulse_done, .arg = p};
        efx_buf_init(&p->value, &efx_mem_libc);
        p->list.max = LIST_BYTES;
        p->list.p = efx_mem_libc.alloc(&efx_mem_libc, p->list.max);
        p->record.max = EFX_RECORD_MAX;
        p->record.p = efx_mem_libc.alloc(&efx_mem_libc, p->record.max);
        EFX_ASSERT(p->list.p != NULL && p->record.p != NULL);
        n->pulse = p;
        (void)snprintf(n->lease.name, sizeof n->lease.name, "member:%s", n->me.name);
        (void)snprintf(n->lease.holder, sizeof n->lease.holder, "%s", n->me.name);
    }
    n->pulse_task.fn = pulse;
    n->pulse_task.arg = n;
    n->conf.loop->vt->timer_set(n->conf.loop, &n->pulse_task, node_now_ns(n));
}

void node_pulse_stop(struct efx_node *n)
{
    n->conf.loop->vt->cancel(n->conf.loop, &n->pulse_task);
    n->conf.loop->vt->cancel(n->conf.loop, &n->beat_task);
}

/* After the workers have ended. */
void node_lease_fini(struct efx_node *n)
{
    struct node_pulse *p = n->pulse;
    if (p != NULL) {
        efx_buf_fini(&p->value);
        efx_mem_libc.free(&efx_mem_libc, p->list.p, p->list.max);
        efx_mem_libc.free(&efx_mem_libc, p->record.p, p->record.max);
        efx_mem_libc.free(&efx_mem_libc, p, sizeof *p);
        n->pulse = NULL;
    }
}

/* ---- beats ---- */

void node_beat(void *arg)
{
    struct efx_node *n = arg;
    if (n->phase == NODE_ENDED) {
        return;
    }
    if (node_is_fenced(n)) {
        if (n->fenced_since_ns == 0) {
            n->fenced_since_ns = node_now_ns(n);
            node_log(n, "the lease has ended: this node falls silent");
        }
    } else {
        struct efx_buf b;
        efx_buf_init(&b, &efx_mem_libc);
        efx_buf_u64(&b, n->record == NULL ? 0 : n->record->epoch);
        node_peers_send_all(n->peers, NODE_MSG_BEAT, efx_buf_bytes(&b));
        efx_buf_fini(&b);
        node_calls_ack(n, true);
    }
    node_question_look(n);
    node_deliver_look(n);
    node_leader_pump(n);
    node_service_status(n);
    n->conf.loop->vt->timer_set(n->conf.loop, &n->beat_task,
                                node_now_ns(n) +
                                    (uint64_t)n->conf.failure_timeout_ms * 1000000 / 5);
}

/* A timer of the system clock is due in the engine. */
void node_due(void *arg)
{
    node_tick_pump(arg);
}

/* C10: evicting early is always safe, it only costs a rewind. */
void node_peer_gone(void *arg, const char *name)
{
    struct efx_node *n = arg;
    if (n->record == NULL || n->self == EFX_MEMBERS_MAX || n->phase == NODE_ENDED) {
        return;
    }
    node_log(n, "%s is gone", name);
    if (n->leader.leading) {
        node_leader_evict(n, name);
    } else if (strcmp(name, n->record->leader) == 0) {
        uint32_t before = 0; /* who lives and comes first, tries first */
        for (uint32_t i = 0; i < n->self; i++) {
            before += !node_peers_is_gone(n->peers, n->record->members[i].name);
        }
        n->takeover = true;
        n->conf.loop->vt->timer_set(n->conf.loop, &n->take_task, node_now_ns(n) + before * TURN_NS);
    }
}

void node_takeover(void *arg)
{
    struct efx_node *n = arg;
    bool gone = n->record != NULL && node_peers_is_gone(n->peers, n->record->leader);
    if (n->takeover && gone && !n->leader.taking && n->phase != NODE_ENDED) {
        node_leader_take(n, n->leader.known_term);
    }
    n->takeover = false;
}
