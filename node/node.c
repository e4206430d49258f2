/* A member's way: seeds, store, registration, the record; and what a new record does to it.
 *
 *   SEEKING ─► OPENING ─► REGISTERING ─► WAITING ─► LOADING ─► RUNNING
 *                                          ▲          ▲  new channel epoch │
 *                                          │          └────────────────────┤
 *                                          └─────── not in the record ─────┘
 *
 * A new epoch with the same channel (C2: another leader, all live) changes nothing but the names.
 * With another channel (C23) the engine is thrown away and the next one loads `start`: after a
 * rewind clients are told where to go on (C10), after a hand-over nothing is lost or repeated
 * (C17).
 */
#include "node.h"

#include <stdarg.h>
#include <stdio.h>

enum { LOAD_AGAIN_MS = 250 };

void node_log(struct efx_node *n, const char *fmt, ...)
{
    char line[512];
    va_list args;
    if (n->conf.log == NULL) {
        return;
    }
    va_start(args, fmt);
    (void)vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    n->conf.log(n->conf.arg, line);
}

bool node_is_leader_of_record(const struct efx_node *n)
{
    return n->record != NULL && strcmp(n->record->leader, n->me.name) == 0;
}

void node_end(struct efx_node *n, const struct efx_err *why)
{
    if (n->phase == NODE_ENDED) {
        return;
    }
    n->end = *why;
    node_pulse_stop(n);
    node_calls_end(n, why);
    node_watch_end(n, why);
    node_question_end(n, why);
    node_deliver_end(n, why);
    node_ask_end(n, why);
    node_ticks_end(n);
    n->conf.loop->vt->timer_clear(n->conf.loop, &n->load_task);
    node_engine_close(&n->engine);
    n->phase = NODE_ENDED;
    if (n->conf.ended != NULL) {
        n->conf.ended(n->conf.arg, why);
    }
}

/* ---- the record ---- */

/* Links to all others of the record, and of one that is to come. */
void node_connect(struct efx_node *n, const struct node_record *also)
{
    struct node_peer_at at[EFX_MEMBERS_MAX * 2];
    uint32_t k = 0;
    const struct node_record *of[] = {n->record, also};
    for (uint32_t i = 0; i < 2; i++) {
        for (uint32_t m = 0; of[i] != NULL && m < of[i]->n_members; m++) {
            const struct node_member *who = &of[i]->members[m];
            bool twice = i == 1 && n->record != NULL &&
                         node_record_find(n->record, who->name) < EFX_MEMBERS_MAX;
            if (strcmp(who->name, n->me.name) != 0 && !twice) {
                at[k++] = (struct node_peer_at){who->name, who->tcp};
            }
        }
    }
    node_peers_set(n->peers, at, k);
}

static void engine_task(void *arg);
static void turn_task(void *arg);

static void load(struct efx_node *n)
{
    struct efx_err err;
    struct node_engine_conf conf = {.record = n->record,
                                    .self = n->self,
                                    .max_batch = n->record->max_batch,
                                    .state_max_bytes = n->conf.state_max_bytes,
                                    .simulated = n->conf.simulated,
                                    .loop = n->conf.loop,
                                    .world = n->conf.world,
                                    .store = n->store,
                                    .compatible = n->record->compatible,
                                    .notify = &n->engine_task,
                                    .turn = &n->turn_task,
                                    .arg = n,
                                    .send = node_watch_packet,
                                    .rows = node_watch_rows,
                                    .answer = node_question_answer};
    n->phase = NODE_LOADING;
    enum efx_rc rc = node_engine_open(&conf, &n->engine, &err);
    if (rc != EFX_OK) {
        node_end(n, &err);
    }
}

/* The store went away while its checkpoint was read: again, for as long as this epoch lasts. */
static void load_again(void *arg)
{
    struct efx_node *n = arg;
    if (n->phase == NODE_LOADING) {
        node_engine_close(&n->engine);
        n->conf.loop->vt->cancel(n->conf.loop, &n->engine_task);
        n->conf.loop->vt->cancel(n->conf.loop, &n->turn_task);
        load(n);
    }
}

static void load_later(struct efx_node *n, const struct efx_err *why)
{
    node_log(n, "its state cannot be loaded now, tries again: %s", why->msg);
    n->load_task = (struct efx_task){.fn = load_again, .arg = n};
    n->conf.loop->vt->timer_set(n->conf.loop, &n->load_task,
                                node_now_ns(n) + LOAD_AGAIN_MS * 1000000ULL);
}

/* State and ticks of the channel epoch are given up; what gathers for the next part stays where
 * nothing was taken back. */
void node_drop_epoch(struct efx_node *n)
{
    node_ticks_end(n);
    node_engine_close(&n->engine);
    n->conf.loop->vt->cancel(n->conf.loop, &n->engine_task);
    n->conf.loop->vt->cancel(n->conf.loop, &n->turn_task);
    (void)pthread_mutex_lock(&n->out_lock);
    for (struct node_out *o = n->outs; o != NULL;) {
        struct node_out *next = o->next;
        efx_mem_libc.free(&efx_mem_libc, o, sizeof *o + o->n);
        o = next;
    }
    n->outs = n->outs_last = NULL;
    (void)pthread_mutex_unlock(&n->out_lock);
}

static void become(struct efx_node *n, struct node_record *record, struct efx_arena *arena)
{
    if (n->record != NULL) {
        efx_mem_libc.free(&efx_mem_libc, n->record, sizeof *n->record);
        efx_arena_fini(&n->record_arena);
    }
    n->record = record;
    n->record_arena = *arena;
    n->self = node_record_find(record, n->me.name);
}

/* Not, or no longer, in the record: registered, it waits to be taken in again. */
static bool is_drained(const struct efx_node *n)
{
    for (uint32_t i = 0; i < n->record->n_drained; i++) {
        if (strcmp(n->record->drained[i], n->me.name) == 0) {
            return true;
        }
    }
    return false;
}

static void outside(struct efx_node *n)
{
    struct efx_err why = {.rc = EFX_OK};
    if (is_drained(n)) { /* C17: somebody has asked for it; it stays out until its process ends */
        n->leaving = true;
        node_ask_drained(n);
    }
    if (n->phase == NODE_RUNNING || n->phase == NODE_LOADING) {
        if (n->leaving) {
            n->phase = NODE_WAITING;
            why = (struct efx_err){
                .rc = EFX_AGAIN, .kind = EFX_KIND_ENV, .msg = "this node has left"};
            node_calls_end(n, &why);
            node_watch_end(n, &why);
            node_question_end(n, &why);
            node_deliver_end(n, &why);
            why.rc = EFX_OK;
            node_log(n, "this node has left: it owns nothing any more");
            node_drop_epoch(n);
            node_leader_drop(n);
            n->leader.leading = false;
            node_connect(n, NULL);
            if (n->left != NULL) {
                void (*left)(void *arg, const struct efx_err *w) = n->left;
                n->left = NULL;
                left(n->left_arg, &why);
            }
            return;
        }
        node_log(n, "epoch %llu goes on without this node; it joins anew",
                 (unsigned long long)n->record->epoch);
        why = (struct efx_err){.rc = EFX_AGAIN, .kind = EFX_KIND_ENV, .msg = "joins anew"};
        node_calls_end(n, &why);
        node_watch_end(n, &why);
        node_question_end(n, &why);
        node_deliver_end(n, &why);
        node_drop_epoch(n);
        node_sessions_fini(&n->sessions);
        node_leader_drop(n);
        n->leader.leading = false;
    }
    n->phase = NODE_WAITING;
    node_connect(n, NULL);
}

/* C2 and C7: a checkpoint that was open when the epoch changed stands if the new one starts at or
 * behind it. */
static void settle_open(struct efx_node *n, uint64_t start)
{
    if (n->marked != 0) {
        node_verdict(n, n->marked, n->marked <= start);
    }
}

void node_adopt(struct efx_node *n, struct efx_bytes bytes)
{
    struct efx_arena arena;
    struct node_record *r = efx_mem_libc.alloc(&efx_mem_libc, sizeof *r);
    EFX_ASSERT(r != NULL);
    efx_arena_init(&arena, &efx_mem_libc, SIZE_MAX);
    enum efx_rc rc = node_record_get(bytes, &arena, r);
    if (rc != EFX_OK || n->phase == NODE_ENDED ||
        (n->record != NULL && r->epoch <= n->record->epoch)) {
        efx_arena_fini(&arena);
        efx_mem_libc.free(&efx_mem_libc, r, sizeof *r);
        return;
    }
    uint64_t old_channel = n->record == NULL ? 0 : n->record->channel;
    bool other_leader = n->record != NULL && strcmp(n->record->leader, r->leader) != 0;
    bool was_in = n->phase == NODE_RUNNING || n->phase == NODE_LOADING;
    become(n, r, &arena);
    n->adopted_ns = node_now_ns(n);
    n->stands = r->start > n->stands ? r->start : n->stands;
    n->leaderless_ns = 0;
    if (other_leader) {
        node_ask_leader_changed(n);
    }
    if (n->self == EFX_MEMBERS_MAX) {
        outside(n);
        node_service_status(n);
        return;
    }
    n->leader.last = r->start > n->leader.last || r->rewind ? r->start : n->leader.last;
    n->stood = r->start > n->stood ? r->start : n->stood;
    if (was_in && r->channel == old_channel) {
        node_log(n, "epoch %llu: %s leads", (unsigned long long)r->epoch, r->leader);
        settle_open(n, r->start);
        node_connect(n, NULL);
        node_tick_pump(n);
        node_service_status(n);
        return;
    }
    node_log(n, "epoch %llu: %u member%s, %s leads, from checkpoint %llu%s",
             (unsigned long long)r->epoch, r->n_members, r->n_members == 1 ? "" : "s", r->leader,
             (unsigned long long)r->start, r->rewind ? ", rewound" : "");
    n->rewound = r->rewind || !was_in || r->after != old_channel;
    n->n_rewinds += n->rewound && was_in;
    settle_open(n, r->start);
    struct efx_buf kept = n->ticks.items;
    uint32_t n_items = n->ticks.n_items, n_turns = n->ticks.n_turns;
    bool keep = !n->rewound;
    if (keep) {
        n->ticks.items = (struct efx_buf){0};
    }
    node_drop_epoch(n);
    if (keep) {
        n->ticks.items = kept;
        n->ticks.n_items = n_items;
        n->ticks.n_turns = n_turns;
    }
    node_leader_drop(n);
    node_watch_forget(n);
    node_connect(n, NULL);
    node_service_app(n);
    if (n->phase != NODE_ENDED) {
        load(n);
    }
    node_service_status(n);
}

/* ---- the engine ---- */

static void loaded(struct efx_node *n, const struct node_engine_event *ev)
{
    bool rewind = n->record->rewind;
    node_sessions_fini(&n->sessions);
    if (ev->bytes.n > 0 && node_sessions_get(&n->sessions, ev->bytes, !rewind) != EFX_OK) {
        struct efx_err why = {.rc = EFX_EPARSE, .kind = EFX_KIND_ENV};
        (void)snprintf(why.msg, sizeof why.msg, "checkpoint %llu: its sessions are damaged",
                       (unsigned long long)n->record->start);
        node_end(n, &why);
        return;
    }
    n->phase = NODE_RUNNING;
    node_calls_loaded(n, n->rewound);
    node_watch_epoch(n, n->rewound);
    node_question_epoch(n, n->rewound);
    node_deliver_look(n);
    node_ticks_begin(n);
    node_leader_pump(n);
}

static void report_saved(struct efx_node *n, const struct node_engine_event *ev)
{
    struct efx_buf b;
    efx_buf_init(&b, &efx_mem_libc);
    efx_buf_u64(&b, n->record->channel);
    efx_buf_u64(&b, ev->no);
    efx_buf_u32(&b, (uint32_t)(ev->rc == EFX_OK ? 0 : 1));
    efx_buf_text(&b, ev->err.msg, strlen(ev->err.msg));
    efx_buf_put(&b, ev->bytes.p, ev->rc == EFX_OK ? ev->bytes.n : 0);
    EFX_ASSERT(!b.bad);
    if (node_is_leader_of_record(n)) {
        node_leader_report(n, n->self, efx_buf_bytes(&b));
    } else {
        node_peers_send(n->peers, n->record->leader, NODE_MSG_REPORT, efx_buf_bytes(&b));
    }
    efx_buf_fini(&b);
}

static void engine_task(void *arg)
{
    struct efx_node *n = arg;
    struct node_engine_event ev;
    while (n->engine != NULL && node_engine_event(n->engine, &ev)) {
        switch (ev.what) {
        case NODE_ENGINE_LOADED: loaded(n, &ev); break;
        case NODE_ENGINE_DONE:
            n->ticks.done = ev.no;
            node_watch_done(n, ev.no);
            if (n->conf.done != NULL) {
                n->conf.done(n->conf.arg, ev.no);
            }
            break;
        case NODE_ENGINE_SAVED: report_saved(n, &ev); break;
        case NODE_ENGINE_FAILED:
            if (n->phase == NODE_LOADING && ev.rc == EFX_EIO) {
                load_later(n, &ev.err);
            } else {
                node_end(n, &ev.err);
            }
            return;
        }
    }
    node_tick_pump(n);
    node_service_status(n);
}

static void turn_task(void *arg)
{
    struct efx_node *n = arg;
    if (n->engine != NULL) {
        node_engine_turn(n->engine);
    }
}

/* ---- messages ---- */

static void packet(struct efx_node *n, struct efx_bytes body)
{
    struct efx_reader r = {body.p, body.n, false};
    uint64_t channel = efx_get_u64(&r);
    uint32_t shard = efx_get_u32(&r);
    uint64_t step = efx_get_u64(&r);
    if (!r.bad && n->phase == NODE_RUNNING && n->record->channel == channel) {
        node_engine_packet(n->engine, shard, step, (struct efx_bytes){r.p, r.left});
    }
}

static void verdict(struct efx_node *n, struct efx_bytes body)
{
    struct efx_reader r = {body.p, body.n, false};
    uint64_t channel = efx_get_u64(&r), no = efx_get_u64(&r);
    bool stands = efx_get_u8(&r) != 0;
    if (!r.bad && n->phase == NODE_RUNNING && n->record->channel == channel) {
        node_verdict(n, no, stands);
    }
}

static void message(void *arg, const char *from, enum node_kind kind, struct efx_bytes body)
{
    struct efx_node *n = arg;
    struct efx_reader r = {body.p, body.n, false};
    uint32_t member = n->record == NULL ? EFX_MEMBERS_MAX : node_record_find(n->record, from);
    switch (kind) {
    case NODE_MSG_PART: node_part_came(n, from, body); break;
    case NODE_MSG_PACKET: packet(n, body); break;
    case NODE_MSG_REPORT:
        if (member < EFX_MEMBERS_MAX && n->phase == NODE_RUNNING) {
            node_leader_report(n, member, body);
        }
        break;
    case NODE_MSG_VERDICT: verdict(n, body); break;
    case NODE_MSG_RECORD: node_adopt(n, body); break;
    case NODE_MSG_RESUME:
        if (n->phase == NODE_RUNNING && efx_get_u64(&r) == n->record->channel) {
            node_resume(n);
        }
        break;
    case NODE_MSG_WANTED:
    case NODE_MSG_ROWS:
        if (efx_get_u64(&r) > (n->record == NULL ? 0 : n->record->channel)) {
            node_early_add(n, from, kind, body);
        } else if (member < EFX_MEMBERS_MAX) {
            node_watch_message(n, member, kind, body);
        }
        break;
    case NODE_MSG_ANSWER: node_question_message(n, body); break;
    case NODE_MSG_REQUEST:
    case NODE_MSG_RESULT: node_ask_message(n, from, kind, body); break;
    case NODE_MSG_HELLO:
    case NODE_MSG_WELCOME:
    case NODE_MSG_REFUSE:
    case NODE_MSG_ASK:
    case NODE_MSG_TELL:
    case NODE_MSG_BEAT:
    case NODE_MSG_KINDS: break;
    }
}

static void refused(void *arg, const char *why)
{
    struct efx_node *n = arg;
    node_log(n, "a peer was refused or refuses: %s", why);
}

/* ---- seeds and store ---- */

static void tell(void *arg, struct efx_buf *to)
{
    const struct efx_node *n = arg;
    const char *url = n->conf.store_url != NULL ? n->conf.store_url : "";
    efx_buf_text(to, n->conf.cluster, strlen(n->conf.cluster));
    efx_buf_text(to, url, strlen(url));
}

static void open_store(struct efx_node *n, const char *url)
{
    struct efx_err err = {0};
    n->phase = NODE_OPENING;
    if (n->conf.open_store(n->conf.arg, url, &n->store, &n->coord, &err) != EFX_OK) {
        node_end(n, &err);
        return;
    }
    n->phase = NODE_REGISTERING;
    n->started_ns = node_now_ns(n);
    node_pulse_soon(n);
}

static void seek(struct efx_node *n)
{
    uint32_t n_seeds = 0;
    while (n->conf.seeds != NULL && n->conf.seeds[n_seeds] != NULL) {
        n_seeds++;
    }
    if (n_seeds == 0) {
        struct efx_err why = {
            .rc = EFX_EPARSE, .kind = EFX_KIND_USER, .msg = "neither a store nor a seed is given"};
        node_end(n, &why);
        return;
    }
    node_peers_ask(n->peers, n->conf.seeds[n->seed_at++ % n_seeds]);
}

static void seek_again(void *arg)
{
    seek(arg);
}

static void told(void *arg, enum efx_rc rc, struct efx_bytes body)
{
    struct efx_node *n = arg;
    struct efx_reader r = {body.p, body.n, false};
    if (n->phase != NODE_SEEKING) {
        return;
    }
    struct efx_bytes cluster = efx_get_text(&r), url = efx_get_text(&r);
    if (rc == EFX_OK && !r.bad && url.n > 0) {
        if (cluster.n != strlen(n->conf.cluster) ||
            memcmp(cluster.p, n->conf.cluster, cluster.n) != 0) {
            struct efx_err why = {.rc = EFX_ESTALE, .kind = EFX_KIND_USER};
            (void)snprintf(why.msg, sizeof why.msg, "the seed belongs to cluster %.*s, not %s",
                           (int)cluster.n, (const char *)cluster.p, n->conf.cluster);
            node_end(n, &why);
            return;
        }
        n->conf.store_url = efx_arena_str(&n->arena, (const char *)url.p, url.n);
        open_store(n, n->conf.store_url);
        return;
    }
    n->pulse_task = (struct efx_task){.fn = seek_again, .arg = n};
    n->conf.loop->vt->timer_set(n->conf.loop, &n->pulse_task, node_now_ns(n) + 200000000);
}

/* ---- opening ---- */

static void defaults(struct efx_node_conf *c)
{
    c->failure_timeout_ms = c->failure_timeout_ms > 0 ? c->failure_timeout_ms : 2000;
    c->form_timeout_ms = c->form_timeout_ms > 0 ? c->form_timeout_ms : 10000;
    c->barrier_timeout_ms = c->barrier_timeout_ms > 0 ? c->barrier_timeout_ms : 10000;
    c->checkpoint_interval_ms = c->checkpoint_interval_ms != 0 ? c->checkpoint_interval_ms : 1000;
    c->session_idle_ms = c->session_idle_ms > 0 ? c->session_idle_ms : 3600000;
    c->session_hold_ms = c->session_hold_ms > 0 ? c->session_hold_ms : 30000;
    c->min_nodes = c->min_nodes > 0 ? c->min_nodes : 1;
    c->retain = c->retain > 0 ? c->retain : 10;
    c->sessions_max = c->sessions_max > 0 ? c->sessions_max : 65536;
    c->max_batch = c->max_batch > 0 ? c->max_batch : EFX_STEP_TURNS_MAX;
    c->shards = c->shards > 0 ? c->shards : 1;
}

static enum efx_rc open_workers(struct efx_node *n)
{
    EFX_RET(node_worker_create(n->conf.mem, n->conf.loop, n->conf.simulated, &n->coord_worker));
    return node_worker_create(n->conf.mem, n->conf.loop, n->conf.simulated, &n->store_worker);
}

enum efx_rc efx_node_create(const struct efx_node_conf *conf, struct efx_node **out,
                            struct efx_err *err)
{
    struct efx_node *n = efx_mem_libc.alloc(&efx_mem_libc, sizeof *n);
    enum efx_rc app_rc = EFX_OK;
    struct efx *app = NULL;
    if (n == NULL) {
        return EFX_FAIL(err, EFX_ENOMEM, EFX_KIND_ENV, 0, "out of memory");
    }
    memset(n, 0, sizeof *n);
    n->conf = *conf;
    defaults(&n->conf);
    efx_arena_init(&n->arena, &efx_mem_libc, SIZE_MAX);
    (void)pthread_mutex_init(&n->out_lock, NULL);
    node_sessions_init(&n->sessions, &efx_mem_libc, n->conf.sessions_max);
    node_service_init(n);
    (void)snprintf(n->me.name, sizeof n->me.name, "%s/%016llx", conf->id,
                   (unsigned long long)conf->loop->vt->random(conf->loop));
    n->me.shards = n->conf.shards;
    if (n->conf.sql != NULL) {
        node_hash(n->conf.sql, n->hash);
        app_rc = node_app_open(n, n->conf.sql, n->conf.app_name, n->conf.clock, &app, err);
        efx_close(&app);
    }
    n->engine_task = (struct efx_task){.fn = engine_task, .arg = n};
    n->turn_task = (struct efx_task){.fn = turn_task, .arg = n};
    n->out_task = (struct efx_task){.fn = node_watch_flush, .arg = n};
    n->due_task = (struct efx_task){.fn = node_due, .arg = n};
    n->beat_task = (struct efx_task){.fn = node_beat, .arg = n};
    n->take_task = (struct efx_task){.fn = node_takeover, .arg = n};
    n->again_task = (struct efx_task){.fn = node_switch_again, .arg = n};
    n->commit_task = (struct efx_task){.fn = node_commit_again, .arg = n};
    n->mark_task = (struct efx_task){.fn = node_mark_due, .arg = n};
    efx_buf_init(&n->leases, &efx_mem_libc);
    struct node_peers_conf peers = {.loop = conf->loop,
                                    .transport = conf->transport,
                                    .mem = conf->mem,
                                    .cluster = n->conf.cluster,
                                    .name = n->me.name,
                                    .certified = n->conf.certified,
                                    .compress_bytes = n->conf.compress_bytes,
                                    .arg = n,
                                    .message = message,
                                    .gone = node_peer_gone,
                                    .tell = tell,
                                    .told = told,
                                    .refused = refused};
    *out = n;
    if (node_peers_create(&peers, &n->peers) != EFX_OK || open_workers(n) != EFX_OK) {
        efx_node_destroy(out);
        return EFX_FAIL(err, EFX_ENOMEM, EFX_KIND_ENV, 0, "out of memory");
    }
    if (app_rc != EFX_OK) {
        efx_node_destroy(out);
    }
    return app_rc;
}

enum efx_rc efx_node_start(struct efx_node *n, struct efx_err *err)
{
    EFX_RET(node_peers_listen(n->peers, n->conf.listen, err));
    const char *listens = n->conf.transport->vt->address(n->conf.transport);
    (void)snprintf(n->me.tcp, sizeof n->me.tcp, "%s",
                   n->conf.advertise_tcp != NULL ? n->conf.advertise_tcp : listens);
    (void)snprintf(n->me.grpc, sizeof n->me.grpc, "%s",
                   n->conf.advertise_grpc != NULL ? n->conf.advertise_grpc : "");
    (void)snprintf(n->me.http, sizeof n->me.http, "%s",
                   n->conf.advertise_http != NULL ? n->conf.advertise_http : "");
    (void)snprintf(n->me.version, sizeof n->me.version, "%s",
                   n->conf.version != NULL ? n->conf.version : efx_version());
    node_beat(n);
    if (n->conf.store_url != NULL) {
        open_store(n, n->conf.store_url);
    } else {
        n->phase = NODE_SEEKING;
        seek(n);
    }
    node_service_status(n);
    if (n->phase == NODE_ENDED) {
        if (err != NULL) {
            *err = n->end;
        }
        return n->end.rc;
    }
    return EFX_OK;
}

void efx_node_destroy(struct efx_node **n_of)
{
    struct efx_node *n = *n_of;
    struct efx_err why = {.rc = EFX_AGAIN, .kind = EFX_KIND_ENV, .msg = "this node ends"};
    if (n == NULL) {
        return;
    }
    n->conf.ended = NULL;
    node_end(n, &why);
    node_ask_fini(n);
    node_drop_epoch(n);
    node_worker_destroy(&n->coord_worker);
    node_worker_destroy(&n->store_worker);
    node_deliver_fini(n);
    node_leader_fini(n);
    node_lease_fini(n);
    efx_buf_fini(&n->leases);
    node_service_fini(n);
    node_peers_destroy(&n->peers);
    struct efx_task *tasks[] = {&n->engine_task, &n->turn_task, &n->due_task,   &n->pulse_task,
                                &n->beat_task,   &n->take_task, &n->again_task, &n->commit_task,
                                &n->mark_task,   &n->out_task};
    for (uint32_t i = 0; i < sizeof tasks / sizeof *tasks; i++) {
        n->conf.loop->vt->cancel(n->conf.loop, tasks[i]);
    }
    for (struct node_early *e = n->early; e != NULL;) {
        struct node_early *next = e->next;
        efx_mem_libc.free(&efx_mem_libc, e, sizeof *e + e->n);
        e = next;
    }
    node_sessions_fini(&n->sessions);
    if (n->record != NULL) {
        efx_mem_libc.free(&efx_mem_libc, n->record, sizeof *n->record);
        efx_arena_fini(&n->record_arena);
    }
    efx_arena_fini(&n->arena);
    (void)pthread_mutex_destroy(&n->out_lock);
    efx_mem_libc.free(&efx_mem_libc, n, sizeof *n);
    *n_of = NULL;
}
