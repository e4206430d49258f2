/* Who belongs to the cluster, as its leader decides it.
 *
 *   switch   newest manifest ─► record ─► next_epoch: one script (C1), repeated until answered (C6)
 *   move     joiners, leavers, another app: a mark with STOP; when it stands, a switch without
 *            rewind (C17). If it does not stand, everything goes on as it was
 *   loss     a switch with rewind (C10), of all that the largest group of those who hear each other
 *            does not have (C11)
 *
 * Every taking of the lease goes through a switch before anything else is decided (C2).
 *
 *   Threads  the loop's; what waits runs on the workers
 */
#include "node.h"

enum { CLIQUE_MAX = 16, TRIES_MAX = 5 };

struct node_switch { /* one change of epoch on its way */
    struct node_job job;
    struct efx_node *node;
    struct efx_arena arena;
    struct node_record record;
    uint64_t from;
    struct efx_lease leader;
    bool take, took, renews, encoded;
    int64_t for_ms;
    uint32_t n_evicted;
    const char *evicted[EFX_MEMBERS_MAX];
    uint32_t n_alive_min, tries;
    bool refounds;  /* C14: the store had no record of the epoch any more */
    bool behind;    /* C14: it does not have the checkpoint `stood` any more */
    uint64_t stood; /* the greatest that this member knows to have stood */
    struct efx_buf bytes;
    enum efx_rc rc;
    struct efx_err err;
};

/* ---- a change of epoch ---- */

static enum efx_rc newest(struct efx_node *n, uint64_t *no, struct efx_err *err)
{
    struct efx_manifest_info info;
    uint32_t k = 1;
    *no = 0;
    if (n->store == NULL) {
        return EFX_OK;
    }
    EFX_RET(n->store->vt->list_manifests(n->store, 0, &info, &k, err));
    *no = k > 0 ? info.no : 0;
    return EFX_OK;
}

/* C14: the lease was free and the store knows no epoch, while this member is in one: it has lost
 * its data. The record begins anew in it, above what was, if all members live and none has lost its
 * state; nothing is taken back, and the next checkpoint is whole. */
static bool refound(struct node_switch *s)
{
    if (s->leader.epoch != 0 || s->from == 0 || s->n_evicted > 0 || s->record.rewind) {
        return false;
    }
    s->from = 0;
    s->refounds = true;
    s->n_alive_min = s->record.n_members;
    return true;
}

static void switch_run(void *arg)
{
    struct node_switch *s = arg;
    struct efx_node *n = s->node;
    if (s->take && !s->took) {
        s->rc = n->coord->vt->take(n->coord, &s->leader, s->for_ms, (struct efx_bytes){0}, &s->err);
        if (s->rc != EFX_OK) {
            return;
        }
        s->took = true;
        if (s->leader.epoch != s->from &&
            !refound(s)) { /* others were faster: look at the record first */
            s->rc = EFX_ESTALE;
            return;
        }
    }
    if (!s->encoded) { /* C6: from here on the same bytes until there is an answer */
        s->rc = newest(n, &s->record.start, &s->err);
        if (s->rc == EFX_OK && s->record.rewind && s->record.start < s->stood) {
            s->rc = EFX_ESTALE; /* nobody goes back behind what was told to stand */
            s->behind = true;
        }
        if (s->rc != EFX_OK) {
            return;
        }
        efx_buf_clear(&s->bytes);
        node_record_put(&s->bytes, &s->record);
        s->encoded = true;
    }
    struct efx_next next = {.from = s->from,
                            .to = s->record.epoch,
                            .start = s->record.start,
                            .leader = &s->leader,
                            .record = efx_buf_bytes(&s->bytes),
                            .evicted = s->evicted,
                            .n_evicted = s->n_evicted,
                            .n_alive_min = s->n_alive_min};
    s->rc = n->coord->vt->next_epoch(n->coord, &next, &s->err);
}

static void switch_free(struct node_switch *s)
{
    efx_buf_fini(&s->bytes);
    efx_arena_fini(&s->arena);
    efx_mem_libc.free(&efx_mem_libc, s, sizeof *s);
}

void node_switch_again(void *arg)
{
    struct efx_node *n = arg;
    if (n->change != NULL) {
        node_worker_submit(n->coord_worker, &n->change->job);
    }
}

static void later(struct efx_node *n, uint64_t ns)
{
    n->conf.loop->vt->timer_set(n->conf.loop, &n->again_task, node_now_ns(n) + ns);
}

static void switched(struct efx_node *n, struct node_switch *s)
{
    n->leader.leading = true;
    n->leader.lease = s->leader;
    n->leader.last = s->record.start;
    n->leader.used = s->record.start > n->leader.used ? s->record.start : n->leader.used;
    n->leader.move = NODE_MOVE_NONE;
    n->leader.n_leaving = 0;
    n->leader.new_sql = NULL;
    n->leader.next_mark_ns = node_now_ns(n) + (uint64_t)n->conf.checkpoint_interval_ms * 1000000;
    if (s->refounds) {
        node_log(n, "ALARM: the store has lost its data; all members live and go on in a new "
                    "record, with a whole checkpoint at once");
        n->leader.want_mark = n->leader.want_base = true;
    }
    node_connect(n, &s->record);
    node_peers_send_all(n->peers, NODE_MSG_RECORD, efx_buf_bytes(&s->bytes));
    node_ask_switched(n); /* while who has left still has a link */
    node_adopt(n, efx_buf_bytes(&s->bytes));
}

/* C14: not all live, or not in time. What the members have in memory is all there is. */
static void lost_its_data(struct efx_node *n, const struct node_switch *s)
{
    uint64_t patience_ns = (uint64_t)n->conf.failure_timeout_ms * 3 * 1000000;
    uint64_t since = n->store_back_ns > n->adopted_ns ? n->store_back_ns : n->adopted_ns;
    struct efx_err why = {.rc = EFX_ESTALE, .kind = EFX_KIND_ENV};
    bool lost = s->behind || (s->took && s->leader.epoch == 0 && n->record != NULL);
    if (lost && n->phase != NODE_ENDED && node_now_ns(n) - since > patience_ns) {
        (void)snprintf(why.msg, sizeof why.msg,
                       "the store has lost its data: this node is in epoch %llu and remembers "
                       "checkpoint %llu, the store does not, and not all members live; restore "
                       "the store's data, or begin anew",
                       (unsigned long long)n->record->epoch, (unsigned long long)n->stood);
        node_end(n, &why);
    }
}

static void switch_done(void *arg)
{
    struct node_switch *s = arg;
    struct efx_node *n = s->node;
    if (s->rc == EFX_EIO && n->phase != NODE_ENDED) {
        later(n, 100000000);
        return;
    }
    if (s->rc == EFX_ESTALE && s->encoded && s->tries++ < TRIES_MAX) {
        s->encoded = false; /* perhaps a manifest came between: looked at anew */
        later(n, 10000000);
        return;
    }
    n->change = NULL;
    n->leader.taking = false;
    if (s->rc == EFX_OK) {
        switched(n, s);
    } else {
        if (s->rc != EFX_AGAIN && s->rc != EFX_ESTALE) {
            node_log(n, "epoch %llu was refused: %s", (unsigned long long)s->record.epoch,
                     s->err.msg);
        }
        n->leader.lease = s->took ? s->leader : n->leader.lease;
        node_leader_lost(n);
        lost_its_data(n, s);
    }
    switch_free(s);
    node_service_status(n);
}

/* A draft of the next record: as the present one, under this leader. */
static struct node_switch *draft(struct efx_node *n)
{
    struct node_switch *s = efx_mem_libc.alloc(&efx_mem_libc, sizeof *s);
    EFX_ASSERT(s != NULL);
    memset(s, 0, sizeof *s);
    efx_arena_init(&s->arena, &efx_mem_libc, SIZE_MAX);
    efx_buf_init(&s->bytes, &efx_mem_libc);
    s->node = n;
    s->job = (struct node_job){.run = switch_run, .done = switch_done, .arg = s};
    s->leader = n->leader.lease;
    s->for_ms = n->conf.failure_timeout_ms;
    s->stood = n->stood;
    if (n->record != NULL) {
        s->record = *n->record;
        s->record.sql = efx_arena_str(&s->arena, n->record->sql, strlen(n->record->sql));
        if (n->record->store_url != NULL) {
            s->record.store_url =
                efx_arena_str(&s->arena, n->record->store_url, strlen(n->record->store_url));
        }
        s->from = n->record->epoch;
    }
    s->record.epoch = s->from + 1;
    s->record.rewind = false;
    s->record.compatible = false;
    (void)snprintf(s->record.leader, sizeof s->record.leader, "%s", n->me.name);
    return s;
}

static void open_channel(struct node_switch *s)
{
    s->record.after = s->record.channel;
    s->record.channel = s->record.epoch;
}

static void submit(struct efx_node *n, struct node_switch *s)
{
    n->change = s;
    node_worker_submit(n->coord_worker, &s->job);
}

static void evict_from(struct node_switch *s, const char *name)
{
    uint32_t at = node_record_find(&s->record, name);
    if (at == EFX_MEMBERS_MAX) {
        return;
    }
    s->evicted[s->n_evicted++] = efx_arena_str(&s->arena, name, strlen(name));
    memmove(&s->record.members[at], &s->record.members[at + 1],
            (s->record.n_members - at - 1) * sizeof s->record.members[0]);
    s->record.n_members--;
}

static bool insert(struct node_switch *s, const struct node_member *m)
{
    struct node_record *r = &s->record;
    if (r->n_members == EFX_MEMBERS_MAX || node_record_find(r, m->name) < EFX_MEMBERS_MAX) {
        return false;
    }
    uint32_t at = 0; /* in order of names, so that an id keeps its place */
    while (at < r->n_members && strcmp(r->members[at].name, m->name) < 0) {
        at++;
    }
    memmove(&r->members[at + 1], &r->members[at], (r->n_members - at) * sizeof *r->members);
    r->members[at] = *m;
    r->n_members++;
    if (!node_record_map(r)) { /* more shards than there may be */
        memmove(&r->members[at], &r->members[at + 1], (r->n_members - at - 1) * sizeof *r->members);
        r->n_members--;
        return false;
    }
    return true;
}

static bool registered(struct efx_held *h, struct node_member *out)
{
    struct efx_reader r = {h->value.p, h->value.n, false};
    return h->name.n > 7 && memcmp(h->name.p, "member:", 7) == 0 && node_member_get(&r, out) &&
           strlen(out->name) == h->name.n - 7 &&
           memcmp(out->name, h->name.p + 7, h->name.n - 7) == 0;
}

static bool same_id(const char *a, const char *b)
{
    size_t n = strcspn(a, "/");
    return n == strcspn(b, "/") && memcmp(a, b, n) == 0;
}

/* Who has registered and is no member. */
static uint32_t add_registered(struct node_switch *s, struct efx_bytes leases)
{
    struct efx_reader r = {leases.p, leases.n, false};
    struct efx_held h;
    uint32_t n = 0;
    while (efx_held_next(&r, &h)) {
        struct node_member m;
        bool evicted = false;
        if (!registered(&h, &m)) {
            continue;
        }
        for (uint32_t i = 0; i < s->n_evicted; i++) {
            evicted = evicted || strcmp(s->evicted[i], m.name) == 0;
        }
        for (uint32_t i = 0; i < s->node->leader.n_leaving; i++) {
            evicted = evicted || strcmp(s->node->leader.leaving[i], m.name) == 0;
        }
        for (uint32_t i = 0; i < s->record.n_drained; i++) {
            evicted = evicted || strcmp(s->record.drained[i], m.name) == 0;
        }
        n += !evicted && insert(s, &m);
    }
    return n;
}

/* C18: the first record of all. */
static void found(struct efx_node *n, struct node_switch *s)
{
    struct node_record *r = &s->record;
    open_channel(s);
    r->seed = n->conf.seed != 0 ? n->conf.seed : n->conf.loop->vt->random(n->conf.loop) | 1;
    r->clock = (uint32_t)n->conf.clock;
    r->max_batch = n->conf.max_batch;
    r->ordered = n->conf.ordered;
    r->rewind = true;
    (void)snprintf(r->cluster, sizeof r->cluster, "%s", n->conf.cluster);
    (void)snprintf(r->app, sizeof r->app, "%s", n->conf.app_name);
    r->store_url = n->conf.store_url;
    r->sql = n->conf.sql;
    memcpy(r->hash, n->hash, sizeof r->hash);
    s->n_alive_min = n->conf.min_nodes;
}

/* C2: the lease and, in the same breath, the epoch that says so. */
void node_leader_take(struct efx_node *n, uint64_t over)
{
    if (n->change != NULL || n->leader.taking) {
        return;
    }
    struct node_switch *s = draft(n);
    s->take = true;
    s->leader = (struct efx_lease){.name = "leader", .over = over};
    (void)snprintf(s->leader.holder, sizeof s->leader.holder, "%s", n->me.name);
    n->leader.taking = true;
    struct efx_bytes leases = efx_buf_bytes(&n->leases);
    if (n->record == NULL) {
        found(n, s);
        (void)add_registered(s, leases);
    } else {
        bool all = true;
        for (uint32_t i = 0; i < n->record->n_members; i++) {
            const char *name = n->record->members[i].name;
            bool lost = n->self == EFX_MEMBERS_MAX || node_peers_is_gone(n->peers, name);
            if (lost && strcmp(name, n->me.name) != 0) {
                evict_from(s, name);
                all = false;
            }
        }
        if (!all) {
            (void)add_registered(s, leases);
            s->record.rewind = true;
            open_channel(s);
        }
    }
    if (s->record.n_members < n->conf.min_nodes) { /* C18: never pile all state on too few */
        n->leader.taking = false;
        switch_free(s);
        return;
    }
    submit(n, s);
}

void node_leader_lost(struct efx_node *n)
{
    if (n->leader.leading) {
        node_log(n, "this node does not lead any more");
    }
    n->leader.leading = false;
    node_leader_drop(n);
}

/* C11: outside of the larger part; the lease is free at once for who can use it. */
static void release_run(void *arg)
{
    struct node_switch *s = arg;
    s->rc = s->node->coord->vt->release(s->node->coord, &s->leader, &s->err);
}

static void release_done(void *arg)
{
    struct node_switch *s = arg;
    s->node->change = NULL;
    switch_free(s);
}

void node_leader_release(struct efx_node *n)
{
    struct node_switch *s = draft(n);
    node_leader_lost(n);
    n->cut_off_ns = node_now_ns(n);
    s->job = (struct node_job){.run = release_run, .done = release_done, .arg = s};
    submit(n, s);
}

/* After the workers have ended. */
void node_leader_fini(struct efx_node *n)
{
    node_marks_fini(n);
    if (n->change != NULL) {
        switch_free(n->change);
        n->change = NULL;
    }
}

/* ---- losses ---- */

static bool hears(struct efx_bytes value, const char *name)
{
    struct efx_reader r = {value.p, value.n, false};
    struct node_member m;
    if (!node_member_get(&r, &m)) {
        return false;
    }
    while (r.left > 0 && !r.bad) {
        struct efx_bytes text = efx_get_text(&r);
        if (!r.bad && text.n == strlen(name) && memcmp(text.p, name, text.n) == 0) {
            return true;
        }
    }
    return false;
}

struct view { /* the members as their leases tell */
    bool lease[EFX_MEMBERS_MAX];
    struct efx_bytes value[EFX_MEMBERS_MAX];
};

static void look(const struct node_record *r, struct efx_bytes leases, struct view *v)
{
    struct efx_reader reader = {leases.p, leases.n, false};
    struct efx_held h;
    memset(v, 0, sizeof *v);
    while (efx_held_next(&reader, &h)) {
        char name[EFX_MEMBER_BYTES_MAX];
        if (h.name.n <= 7 ||
            !node_text(name, sizeof name, (struct efx_bytes){h.name.p + 7, h.name.n - 7})) {
            continue;
        }
        uint32_t at = node_record_find(r, name);
        if (at < EFX_MEMBERS_MAX) {
            v->lease[at] = true;
            v->value[at] = h.value;
        }
    }
}

/* C11: the largest group whose members all hear each other; of equals that with the lowest. */
static uint32_t largest_group(const struct node_record *r, const struct view *v)
{
    uint32_t best = 0, n = r->n_members < CLIQUE_MAX ? r->n_members : CLIQUE_MAX;
    for (uint32_t set = 1; set < 1u << n; set++) {
        bool all = true;
        for (uint32_t a = 0; a < n && all; a++) {
            for (uint32_t b = 0; b < n && all; b++) {
                bool both = (set >> a & 1) != 0 && (set >> b & 1) != 0 && a != b;
                all = !both || hears(v->value[a], r->members[b].name);
            }
            all = all && ((set >> a & 1) == 0 || v->lease[a]);
        }
        int size = __builtin_popcount(set), old = __builtin_popcount(best);
        bool lower = size == old && __builtin_ctz(set) < __builtin_ctz(best);
        best = all && (size > old || lower) ? set : best;
    }
    return best;
}

static void rewind_with(struct efx_node *n, struct node_switch *s)
{
    (void)add_registered(s, efx_buf_bytes(&n->leases));
    s->record.rewind = true;
    open_channel(s);
    (void)node_record_map(&s->record);
    if (s->record.n_members < n->conf.min_nodes) {
        node_log(n, "%u of at least %u members are left: waiting", s->record.n_members,
                 n->conf.min_nodes);
        switch_free(s);
        return;
    }
    submit(n, s);
}

void node_leader_evict(struct efx_node *n, const char *name)
{
    struct node_switch *s = n->change == NULL ? draft(n) : NULL;
    if (s == NULL) {
        return; /* seen again with the next list of leases */
    }
    evict_from(s, name);
    rewind_with(n, s);
}

static bool is_lost(struct efx_node *n, const char *name, bool lease)
{
    uint64_t heard_ns = node_peers_heard_ns(n->peers, name);
    uint64_t timeout_ns = (uint64_t)n->conf.failure_timeout_ms * 1000000;
    uint64_t since = heard_ns > n->adopted_ns ? heard_ns : n->adopted_ns;
    since = n->store_back_ns > since ? n->store_back_ns : since; /* C13 */
    bool silent = node_now_ns(n) - since > timeout_ns;
    return node_peers_is_gone(n->peers, name) || (silent && !lease);
}

static bool is_silent(struct efx_node *n, const char *name)
{
    uint64_t heard_ns = node_peers_heard_ns(n->peers, name);
    uint64_t since = heard_ns > n->adopted_ns ? heard_ns : n->adopted_ns;
    since = n->store_back_ns > since ? n->store_back_ns : since;
    return node_now_ns(n) - since > (uint64_t)n->conf.failure_timeout_ms * 1000000;
}

/* C11 the other way round: somebody does not hear a member whom this one hears. Its lease says so
 * after a renewal, so a new epoch and a store that is back get their time. */
static bool any_deaf(const struct efx_node *n, const struct view *v)
{
    const struct node_record *r = n->record;
    uint64_t timeout_ns = (uint64_t)n->conf.failure_timeout_ms * 1000000;
    uint64_t since = n->store_back_ns > n->adopted_ns ? n->store_back_ns : n->adopted_ns;
    if (node_now_ns(n) - since < timeout_ns + timeout_ns / 2) {
        return false;
    }
    for (uint32_t a = 0; a < r->n_members; a++) {
        for (uint32_t b = 0; b < r->n_members; b++) {
            if (a != b && v->lease[a] && v->lease[b] && !hears(v->value[a], r->members[b].name)) {
                return true;
            }
        }
    }
    return false;
}

static bool returned(struct efx_bytes leases, const char *name)
{
    struct efx_reader r = {leases.p, leases.n, false};
    struct efx_held h;
    struct node_member m;
    while (efx_held_next(&r, &h)) {
        if (registered(&h, &m) && same_id(m.name, name) && strcmp(m.name, name) != 0) {
            return true;
        }
    }
    return false;
}

void node_leader_look(struct efx_node *n)
{
    const struct node_record *r = n->record;
    struct efx_bytes leases = efx_buf_bytes(&n->leases);
    struct view v;
    bool any = false, cut = false;
    if (n->change != NULL || r == NULL) {
        return;
    }
    struct node_switch *s = draft(n);
    look(r, leases, &v);
    for (uint32_t i = 0; i < r->n_members; i++) {
        const char *name = r->members[i].name;
        if (i == n->self) {
            continue;
        }
        if (is_lost(n, name, v.lease[i]) || returned(leases, name)) {
            evict_from(s, name);
            any = true;
        } else {
            cut = cut || (v.lease[i] && is_silent(n, name));
        }
    }
    if (!any && (cut || any_deaf(n, &v))) {
        uint32_t keep = largest_group(r, &v);
        if ((keep >> n->self & 1) == 0) { /* C11: outside of it nobody leads */
            node_log(n, "this node is cut off from the larger part: it gives up the lead");
            switch_free(s);
            node_leader_release(n);
            return;
        }
        for (uint32_t i = 0; i < r->n_members && i < CLIQUE_MAX; i++) {
            if ((keep >> i & 1) == 0) {
                evict_from(s, r->members[i].name);
                any = true;
            }
        }
    }
    if (any) {
        rewind_with(n, s);
        return;
    }
    n->leader.want_move = add_registered(s, leases) > 0;
    switch_free(s);
    node_leader_pump(n);
}

/* ---- moves ---- */

/* C17: the mark behind which nothing was numbered stands: the new map. */
void node_leader_move_on(struct efx_node *n)
{
    struct node_switch *s = draft(n);
    n->leader.move = NODE_MOVE_SWITCHING;
    for (uint32_t i = 0; i < n->leader.n_leaving; i++) {
        evict_from(s, n->leader.leaving[i]);
        if (s->record.n_drained == NODE_DRAINED_MAX) { /* the oldest is long gone */
            memmove(s->record.drained[0], s->record.drained[1],
                    sizeof s->record.drained - sizeof s->record.drained[0]);
            s->record.n_drained--;
        }
        (void)snprintf(s->record.drained[s->record.n_drained++], EFX_MEMBER_BYTES_MAX, "%s",
                       n->leader.leaving[i]);
    }
    (void)add_registered(s, efx_buf_bytes(&n->leases));
    (void)node_record_map(&s->record);
    open_channel(s);
    if (n->leader.new_sql != NULL) {
        s->record.sql = efx_arena_str(&s->arena, n->leader.new_sql, strlen(n->leader.new_sql));
        s->record.compatible = true;
        node_hash(s->record.sql, s->record.hash);
    }
    submit(n, s);
}

void node_leader_stay(struct efx_node *n)
{
    uint8_t body[8];
    if (n->leader.move != NODE_MOVE_STOPPING) {
        return;
    }
    n->leader.move = NODE_MOVE_NONE;
    n->leader.want_move = false;
    memcpy(body, &n->record->channel, sizeof body);
    node_peers_send_all(n->peers, NODE_MSG_RESUME, (struct efx_bytes){body, sizeof body});
    node_log(n, "the hand-over came to nothing: its checkpoint does not stand");
    node_resume(n);
}
