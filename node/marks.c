/* Checkpoints, as the leader decides them.
 *
 *   mark      in the leader's own part (C4), when the last one is decided and the store answers
 *   reports   of all members (C5) ─► merged with the last manifest
 *   commit    the manifest, last of all, by one script (C1), repeated until answered (C6)
 *   verdict   to all: C9: before it nobody is told anything
 *
 * A mark with STOP is the first half of a move (leader.c).
 *
 *   Limits   one checkpoint is open; who has not reported in barrier.timeout makes it void, by name
 *   Threads  the loop's; merge and commit run on the storage worker
 */
#include "node.h"

#include "efx_app_save.h"

struct node_commit { /* one manifest on its way */
    struct node_job job;
    struct efx_node *node;
    struct efx_arena arena;
    uint64_t no, last, epoch, channel, app_hash;
    const char *app;
    int64_t now_ms;
    struct efx_lease leader;
    uint32_t n_reports, retain;
    struct efx_report *reports;
    struct node_report *bytes; /* [n_reports] taken over */
    uint8_t *manifest;
    size_t n_manifest;
    struct efx_checkpoint_info info;
    bool retention_failed;
    enum efx_rc rc;
    struct efx_err err;
};

static void drop_reports(struct efx_node *n)
{
    for (uint32_t i = 0; i < EFX_MEMBERS_MAX; i++) {
        struct node_report *r = &n->leader.reports[i];
        if (r->bytes != NULL) {
            efx_mem_libc.free(&efx_mem_libc, r->bytes, r->n);
            *r = (struct node_report){0};
        }
    }
    n->leader.n_reports = 0;
}

void node_leader_drop(struct efx_node *n)
{
    drop_reports(n);
    n->leader.open = 0;
    n->leader.open_failed = false;
    if (n->leader.move == NODE_MOVE_STOPPING) {
        n->leader.move = NODE_MOVE_NONE;
    }
}

static void decide(struct efx_node *n, uint64_t no, bool stands)
{
    struct efx_buf b;
    efx_buf_init(&b, &efx_mem_libc);
    efx_buf_u64(&b, n->record->channel);
    efx_buf_u64(&b, no);
    efx_buf_u8(&b, stands);
    node_peers_send_all(n->peers, NODE_MSG_VERDICT, efx_buf_bytes(&b));
    efx_buf_fini(&b);
    drop_reports(n);
    n->leader.open = 0;
    n->leader.open_failed = false;
    node_verdict(n, no, stands);
    if (n->leader.move == NODE_MOVE_STOPPING && stands) {
        node_leader_move_on(n);
    } else if (n->leader.move == NODE_MOVE_STOPPING) {
        node_leader_stay(n);
    }
    node_ask_decided(n, no, stands);
    node_leader_pump(n);
}

/* Every member hears it from the leader, or by the epoch that follows (C2). */
void node_verdict(struct efx_node *n, uint64_t no, bool stands)
{
    if (n->engine != NULL) {
        node_engine_settled(n->engine, no, stands);
    }
    n->marked = n->marked == no ? 0 : n->marked;
    n->n_checkpoints += stands;
    n->stood = stands && no > n->stood ? no : n->stood;
    if (stands && n->conf.stands != NULL) {
        n->conf.stands(n->conf.arg, n->record->epoch, no);
    }
    n->n_checkpoints_failed += !stands;
    node_calls_verdict(n, no, stands);
    node_watch_verdict(n, stands);
    node_question_kept(n);
    n->stands = stands && no > n->stands ? no : n->stands;
    if (stands) {
        node_deliver_look(n);
    }
    for (struct efx_submit *c = n->submits; c != NULL; c = c->next) {
        c->marks[0] = c->marks[0] == no ? 0 : c->marks[0];
    }
}

static void commit_run(void *arg)
{
    struct node_commit *c = arg;
    struct efx_node *n = c->node;
    struct efx_by by = {c->epoch, &c->leader};
    if (c->manifest == NULL) {
        struct efx_manifest last, head = {.no = c->no,
                                          .epoch = c->channel, /* as members report it */
                                          .app_hash = c->app_hash,
                                          .app = c->app,
                                          .committed_ms = c->now_ms,
                                          .promised = true};
        c->rc = EFX_OK;
        for (uint32_t i = 0; i < c->n_reports && c->rc == EFX_OK; i++) {
            c->rc = efx_report_decode((struct efx_bytes){c->bytes[i].bytes, c->bytes[i].n},
                                      &c->arena, &c->reports[i], &c->err);
        }
        if (c->rc == EFX_OK && c->last != 0) {
            c->rc = efx_checkpoint_read(n->store, c->last, &c->arena, &last, &c->err);
        }
        if (c->rc == EFX_OK) {
            c->rc = efx_manifest_merge(&c->arena, c->last != 0 ? &last : NULL, c->reports,
                                       c->n_reports, &head, &c->err);
        }
        head.epoch = c->epoch;
        if (c->rc == EFX_OK) {
            c->rc =
                efx_manifest_encode(&head, &efx_mem_libc, &c->manifest, &c->n_manifest, &c->err);
        }
        if (c->rc != EFX_OK) {
            c->rc = c->rc == EFX_EIO ? EFX_EPARSE : c->rc; /* nothing was asked for yet */
            return;
        }
        efx_revision_name(&head, c->info.revision);
    }
    struct efx_commit commit = {
        .by = by, .last = c->last, .no = c->no, .manifest = {c->manifest, c->n_manifest}};
    c->rc = n->store->vt->commit_manifest(n->store, &commit, &c->err);
    if (c->rc == EFX_OK) {
        struct efx_err ignored;
        enum efx_rc kept = efx_retention(n->store, &by, c->retain, false, &ignored);
        c->retention_failed = kept != EFX_OK; /* what is too much goes with the next one */
    }
}

static void commit_free(struct node_commit *c)
{
    for (uint32_t i = 0; i < c->n_reports; i++) {
        efx_mem_libc.free(&efx_mem_libc, c->bytes[i].bytes, c->bytes[i].n);
    }
    if (c->manifest != NULL) {
        efx_mem_libc.free(&efx_mem_libc, c->manifest, c->n_manifest);
    }
    efx_arena_fini(&c->arena);
    efx_mem_libc.free(&efx_mem_libc, c, sizeof *c);
}

void node_commit_again(void *arg)
{
    struct efx_node *n = arg;
    if (n->commit != NULL) {
        node_worker_submit(n->store_worker, &n->commit->job);
    }
}

static void note_commit(struct efx_node *n, const struct node_commit *c)
{
    (void)pthread_mutex_lock(&n->lock);
    struct efx_status *s = n->status;
    if (s->n_kept == EFX_STATUS_KEPT_MAX || s->n_kept >= n->conf.retain) {
        s->n_kept--;
    }
    memmove(&s->kept[1], &s->kept[0], s->n_kept * sizeof s->kept[0]);
    s->kept[0] = c->info;
    s->n_kept++;
    s->last = c->info;
    s->checkpoint_took_ms = (int64_t)(node_now_ns(n) - n->leader.opened_ns) / 1000000;
    (void)pthread_mutex_unlock(&n->lock);
}

static void commit_done(void *arg)
{
    struct node_commit *c = arg;
    struct efx_node *n = c->node;
    bool same = n->leader.leading && n->leader.open == c->no && n->record->channel == c->channel;
    if (c->rc == EFX_EIO && n->phase != NODE_ENDED) { /* C6 */
        n->n_store_errors++;
        n->conf.loop->vt->timer_set(n->conf.loop, &n->commit_task, node_now_ns(n) + 100000000);
        return;
    }
    n->commit = NULL;
    if (c->rc == EFX_OK) {
        n->leader.last = c->no;
        note_commit(n, c);
        n->n_store_errors += c->retention_failed;
    } else {
        node_log(n, "checkpoint %llu does not stand: %s", (unsigned long long)c->no, c->err.msg);
    }
    if (c->rc == EFX_ESTALE) {
        node_leader_lost(n);
    } else if (same) {
        decide(n, c->no, c->rc == EFX_OK);
    }
    commit_free(c);
    node_service_status(n);
}

static void commit(struct efx_node *n)
{
    struct node_commit *c = efx_mem_libc.alloc(&efx_mem_libc, sizeof *c);
    EFX_ASSERT(c != NULL);
    memset(c, 0, sizeof *c);
    efx_arena_init(&c->arena, &efx_mem_libc, SIZE_MAX);
    c->node = n;
    c->job = (struct node_job){.run = commit_run, .done = commit_done, .arg = c};
    c->no = n->leader.open;
    c->last = n->leader.last;
    c->epoch = n->record->epoch;
    c->channel = n->record->channel;
    c->leader = n->leader.lease;
    c->app_hash = efx_app_hash(efx_lib_app(n->app->efx));
    c->app = efx_arena_str(&c->arena, n->record->app, strlen(n->record->app));
    c->now_ms = n->conf.loop->vt->wall_ms(n->conf.loop);
    c->retain = n->conf.retain;
    c->n_reports = n->record->n_members;
    c->reports = EFX_NEW_N(&c->arena, struct efx_report, c->n_reports);
    c->bytes = EFX_NEW_N(&c->arena, struct node_report, c->n_reports);
    EFX_ASSERT(c->reports != NULL && c->bytes != NULL);
    for (uint32_t i = 0; i < c->n_reports; i++) {
        c->bytes[i] = n->leader.reports[i];
        n->leader.reports[i] = (struct node_report){0};
    }
    c->info =
        (struct efx_checkpoint_info){.no = c->no, .committed_ms = c->now_ms, .epoch = c->epoch};
    memcpy(c->info.app_hash, n->record->hash, sizeof c->info.app_hash);
    n->commit = c;
    node_worker_submit(n->store_worker, &c->job);
}

/* C5: idempotent by (epoch, no, incarnation). */
void node_leader_report(struct efx_node *n, uint32_t member, struct efx_bytes body)
{
    struct efx_reader r = {body.p, body.n, false};
    uint64_t channel = efx_get_u64(&r), no = efx_get_u64(&r);
    uint32_t failed = efx_get_u32(&r);
    struct efx_bytes why = efx_get_text(&r);
    struct node_report *report = &n->leader.reports[member];
    if (r.bad || !n->leader.leading || channel != n->record->channel || no != n->leader.open ||
        n->commit != NULL || report->bytes != NULL) {
        return;
    }
    report->n = r.left + 1;
    report->bytes = efx_mem_libc.alloc(&efx_mem_libc, report->n);
    EFX_ASSERT(report->bytes != NULL);
    memcpy(report->bytes, r.p, r.left);
    report->n = r.left;
    n->leader.n_reports++;
    if (failed != 0) {
        n->leader.open_failed = true;
        node_log(n, "checkpoint %llu: %s has not stored its part: %.*s", (unsigned long long)no,
                 n->record->members[member].name, (int)why.n, (const char *)why.p);
    }
    if (n->leader.n_reports < n->record->n_members) {
        return;
    }
    if (n->leader.open_failed) {
        decide(n, no, false);
    } else {
        commit(n);
    }
}

static void open_checkpoint(struct efx_node *n, bool stop)
{
    n->leader.used = n->leader.used > n->leader.last ? n->leader.used : n->leader.last;
    n->leader.open = ++n->leader.used;
    n->leader.opened_ns = node_now_ns(n);
    n->leader.next_mark_ns =
        n->leader.opened_ns + (uint64_t)n->conf.checkpoint_interval_ms * 1000000;
    n->leader.want_mark = false;
    n->ticks.mark = n->leader.open;
    n->ticks.flags =
        (uint8_t)((stop ? NODE_FLAG_STOP : 0) | (n->leader.want_base ? NODE_FLAG_BASE : 0));
    n->leader.want_base = false;
    node_tick_pump(n);
}

static void mark_later(struct efx_node *n)
{
    n->conf.loop->vt->timer_set(n->conf.loop, &n->mark_task, n->leader.next_mark_ns);
}

void node_mark_due(void *arg)
{
    node_leader_pump(arg);
}

void node_checkpoint_now(struct efx_node *n)
{
    n->leader.want_mark = true;
    node_leader_pump(n);
}

/* C4: the next mark comes only after the last checkpoint is decided and while the store answers. */
void node_leader_pump(struct efx_node *n)
{
    if (!n->leader.leading || n->phase != NODE_RUNNING || n->change != NULL || n->store == NULL ||
        n->leader.move == NODE_MOVE_SWITCHING) {
        return;
    }
    uint64_t now_ns = node_now_ns(n);
    if (n->leader.open != 0) {
        bool overdue =
            now_ns - n->leader.opened_ns > (uint64_t)n->conf.barrier_timeout_ms * 1000000;
        if (overdue && n->commit == NULL) {
            for (uint32_t i = 0; i < n->record->n_members; i++) {
                if (n->leader.reports[i].bytes == NULL) {
                    node_log(n, "checkpoint %llu: %s has not reported in barrier.timeout",
                             (unsigned long long)n->leader.open, n->record->members[i].name);
                }
            }
            decide(n, n->leader.open, false);
        }
        return;
    }
    if (n->store_away || node_is_fenced(n) || n->leader.move != NODE_MOVE_NONE) {
        return;
    }
    bool moves = n->leader.want_move || n->leader.n_leaving > 0 || n->leader.new_sql != NULL;
    if (moves) {
        n->leader.want_move = false;
        n->leader.move = NODE_MOVE_STOPPING;
        n->leader.moved_ns = now_ns;
        open_checkpoint(n, true);
    } else if (n->leader.want_mark ||
               (n->conf.checkpoint_interval_ms > 0 && now_ns >= n->leader.next_mark_ns)) {
        open_checkpoint(n, false);
    } else if (n->conf.checkpoint_interval_ms > 0) {
        mark_later(n);
    }
}

/* After the workers have ended. */
void node_marks_fini(struct efx_node *n)
{
    node_leader_drop(n);
    if (n->commit != NULL) {
        commit_free(n->commit);
        n->commit = NULL;
    }
}
