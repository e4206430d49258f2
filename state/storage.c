/* The storage thread. One job at a time goes round:
 *
 *   caller ── put ──► QUEUED ──► thread: sinks, chunks, report [, manifest, retention] ──► FINISHED
 *      └──────────────────────────── poll, wait ◄──────────────────────────────────────────┘
 *
 * What it knows of each operator's chain decides about bases: a chain whose deltas have outgrown
 * their base, or have become many, ends with the next mark.
 *
 *   Limits   LINKS_MAX deltas on a base; a put of PUT_CHUNKS chunks or PUT_BYTES
 *   Threads  `lock` guards state, job, outcome; all else belongs to the thread while it is RUNNING
 */
#include "efx_storage.h"

#include "ckpt.h"
#include "efx_crash.h"

#include <pthread.h>
#include <stdlib.h>

enum {
    LINKS_MAX = 256,
    PUT_CHUNKS = 32,
    PUT_BYTES = 8 * 1024 * 1024,
    WINDOW_BYTES = 64 * 1024 * 1024,
    SLACK_BYTES = 64 * 1024, /* deltas of a small base may be as large */
    SWEEP_EVERY = 64,
};

enum state { IDLE = 1, QUEUED, RUNNING, FINISHED };

struct chain { /* what was stored of an operator */
    uint64_t key;
    uint32_t first;
    uint64_t base_bytes, delta_bytes;
    uint32_t n_links;
    bool base_next; /* tell the app */
};

struct efx_storage {
    struct efx_storage_conf conf;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum state state;
    bool closing, all_base; /* all_base: the next mark of everything */
    struct efx_storage_job job;
    struct efx_arena job_arena; /* copies of the job's bytes */
    struct efx_storage_outcome outcome;
    struct efx_arena report_arena; /* of the report under way */
    struct efx_report report;
    uint8_t *report_bytes;
    size_t n_report_bytes;
    bool unsettled;                 /* report waits for the leader's word */
    struct efx_arena kept_arena[2]; /* parts that no manifest names yet (C7), turn by turn */
    uint32_t kept_at;
    uint32_t n_kept;
    struct efx_ckpt_op *kept;
    struct efx_arena last_arena[2]; /* the last manifest, turn by turn */
    uint32_t last_at;
    struct efx_manifest last;
    bool has_last;
    uint64_t last_no;
    uint32_t n_commits;
    uint32_t n_chains, chains_max;
    struct chain *chains;
    /* chunks on their way */
    uint32_t n_put;
    struct efx_chunk_name put_name[PUT_CHUNKS];
    struct efx_bytes put_bytes[PUT_CHUNKS];
    size_t put_total;
};

static uint64_t now_ns(const struct efx_storage *s)
{
    return s->conf.world->clock->monotonic_ns(s->conf.world);
}

static bool is_closing(struct efx_storage *s)
{
    (void)pthread_mutex_lock(&s->lock);
    bool closing = s->closing;
    (void)pthread_mutex_unlock(&s->lock);
    return closing;
}

/* ---- chains ---- */

static struct chain *chain_of(struct efx_storage *s, const struct efx_saved_op *op)
{
    for (uint32_t i = 0; i < s->n_chains; i++) {
        if (s->chains[i].key == op->key && s->chains[i].first == op->kg.first) {
            return &s->chains[i];
        }
    }
    if (s->n_chains == s->chains_max) {
        uint32_t max = s->chains_max == 0 ? 64 : s->chains_max * 2;
        struct chain *more = efx_mem_grow(&efx_mem_libc, s->chains, s->chains_max * sizeof *more,
                                          max * sizeof *more);
        if (more == NULL) {
            return NULL;
        }
        s->chains = more;
        s->chains_max = max;
    }
    struct chain *c = &s->chains[s->n_chains++];
    *c = (struct chain){.key = op->key, .first = op->kg.first};
    return c;
}

static void note_chain(struct efx_storage *s, const struct efx_saved_op *op, uint64_t stored)
{
    struct chain *c = chain_of(s, op);
    if (c == NULL) {
        s->all_base = true;
        return;
    }
    if (op->base) {
        c->base_bytes = stored;
        c->delta_bytes = 0;
        c->n_links = 0;
    } else {
        c->delta_bytes += stored;
        c->n_links += stored > 0;
    }
    c->base_next = c->n_links >= LINKS_MAX || c->delta_bytes > c->base_bytes + SLACK_BYTES;
}

/* ---- chunks ---- */

static void drop_put(struct efx_storage *s)
{
    union {
        const uint8_t *borrowed;
        uint8_t *own;
    } p;
    for (uint32_t i = 0; i < s->n_put; i++) {
        p.borrowed = s->put_bytes[i].p;
        efx_mem_libc.free(&efx_mem_libc, p.own, s->put_bytes[i].n);
    }
    s->n_put = 0;
    s->put_total = 0;
}

static enum efx_rc flush_put(struct efx_storage *s, struct efx_err *err)
{
    struct efx_store *store = s->conf.store;
    enum efx_rc rc = s->n_put == 0
                         ? EFX_OK
                         : store->vt->put_chunks(store, s->put_name, s->put_bytes, s->n_put, err);
    drop_put(s);
    return rc;
}

static enum efx_rc add_chunk(struct efx_storage *s, const struct efx_ckpt_chunk_in *in,
                             struct efx_bytes raw, bool more, struct efx_ckpt_chunk *to,
                             struct efx_err *err)
{
    uint8_t *p = NULL;
    EFX_RET(efx_chunk_encode(in, raw, &efx_mem_libc, to, &p, err));
    to->more = more;
    s->put_name[s->n_put] = to->name;
    s->put_bytes[s->n_put++] = (struct efx_bytes){p, to->stored_bytes};
    s->put_total += to->stored_bytes;
    s->outcome.n_chunks++;
    s->outcome.raw_bytes += to->raw_bytes;
    s->outcome.packed_bytes += to->packed_bytes;
    s->outcome.stored_bytes += to->stored_bytes;
    return s->n_put == PUT_CHUNKS || s->put_total >= PUT_BYTES ? flush_put(s, err) : EFX_OK;
}

struct cutting { /* an operator's sections, into chunks */
    struct efx_storage *s;
    const struct efx_saved_op *op;
    struct efx_ckpt_part *part;
    uint32_t max;
    const uint64_t *groups;
    struct efx_err *err;
};

static enum efx_rc one_chunk(struct cutting *c, uint32_t first, uint32_t last, struct efx_bytes raw,
                             bool more)
{
    EFX_ASSERT(c->part->n_chunks < c->max);
    struct efx_ckpt_chunk_in in = {.no = c->part->no,
                                   .op = c->op->key,
                                   .version = c->op->version,
                                   .base = c->op->base,
                                   .first = first,
                                   .last = last};
    return add_chunk(c->s, &in, raw, more, &c->part->chunks[c->part->n_chunks++], c->err);
}

static uint64_t section_bytes(const struct cutting *c, uint32_t g)
{
    return c->groups[g] > 0 ? 8 + c->groups[g] : 0;
}

/* Chunks of whole sections; a section that is larger than a chunk takes several. */
static enum efx_rc cut_window(struct cutting *c, struct efx_kg_range kg, const uint8_t *p)
{
    for (uint32_t g = kg.first; g <= kg.last;) {
        uint32_t first = g;
        uint64_t n = 0;
        while (g <= kg.last && (n == 0 || n + section_bytes(c, g) <= EFX_CKPT_RAW_BYTES)) {
            n += section_bytes(c, g++);
        }
        for (uint64_t at = 0; at < n; at += EFX_CKPT_RAW_BYTES) {
            uint64_t left = n - at;
            bool more = left > EFX_CKPT_RAW_BYTES;
            EFX_RET(one_chunk(c, first, g - 1,
                              (struct efx_bytes){p + at, more ? EFX_CKPT_RAW_BYTES : (size_t)left},
                              more));
        }
        p += n;
    }
    return EFX_OK;
}

static enum efx_rc cut(struct cutting *c, uint32_t i)
{
    for (uint32_t g = c->op->kg.first; g <= c->op->kg.last;) {
        struct efx_kg_range kg = {g, g};
        uint64_t n = 0;
        while (g <= c->op->kg.last && (n == 0 || n + section_bytes(c, g) <= WINDOW_BYTES)) {
            n += section_bytes(c, g);
            kg.last = g++;
        }
        uint8_t *p = n > 0 ? efx_mem_libc.alloc(&efx_mem_libc, n) : NULL;
        if (n == 0) {
            continue;
        }
        if (p == NULL) {
            return efx_ckpt__no_memory(c->err);
        }
        efx_saved_gather(c->s->job.saved, i, kg, p);
        enum efx_rc rc = cut_window(c, kg, p);
        efx_mem_libc.free(&efx_mem_libc, p, n);
        EFX_RET(rc);
    }
    return EFX_OK;
}

static enum efx_rc store_op(struct efx_storage *s, uint32_t i, struct efx_ckpt_part *part,
                            struct efx_err *err)
{
    uint64_t groups[EFX_KEY_GROUPS], n = 0;
    const struct efx_saved_op *op = efx_saved_at(s->job.saved, i);
    struct cutting c = {.s = s, .op = op, .part = part, .groups = groups, .err = err};
    *part = (struct efx_ckpt_part){.no = s->outcome.no,
                                   .base = op->base,
                                   .version = op->version,
                                   .first = op->kg.first,
                                   .last = op->kg.last};
    efx_saved_groups(s->job.saved, i, groups);
    for (uint32_t g = 0; g < EFX_KEY_GROUPS; g++) {
        n += section_bytes(&c, g);
        c.max += groups[g] > 0;
    }
    c.max += (uint32_t)(n / EFX_CKPT_RAW_BYTES) + 1;
    part->chunks = EFX_NEW_N(&s->report_arena, struct efx_ckpt_chunk, (size_t)c.max + 1);
    return part->chunks == NULL ? efx_ckpt__no_memory(err) : cut(&c, i);
}

/* ---- the report ---- */

static struct efx_ckpt_op *report_op(struct efx_storage *s, uint64_t key, const char *name,
                                     uint32_t room)
{
    struct efx_ckpt_body *b = &s->report.body;
    for (uint32_t i = 0; i < b->n_ops; i++) {
        if (b->ops[i].key == key) {
            return &b->ops[i];
        }
    }
    struct efx_ckpt_op *op = &b->ops[b->n_ops++];
    op->key = key;
    op->name = efx_arena_str(&s->report_arena, name, strlen(name));
    op->parts = EFX_NEW_N(&s->report_arena, struct efx_ckpt_part, room);
    return op->name == NULL || op->parts == NULL ? NULL : op;
}

/* What earlier checkpoints stored and no manifest names comes first. */
static enum efx_rc add_kept(struct efx_storage *s, struct efx_err *err)
{
    struct efx_saved *saved = s->job.saved;
    uint32_t n = efx_saved_n(saved);
    for (uint32_t i = 0; i < s->n_kept; i++) {
        struct efx_ckpt_op copy;
        struct efx_ckpt_op *op =
            report_op(s, s->kept[i].key, s->kept[i].name, s->kept[i].n_parts + n + 1);
        if (op == NULL || efx_ckpt__copy_op(&s->report_arena, &s->kept[i], &copy) != EFX_OK) {
            return efx_ckpt__no_memory(err);
        }
        for (uint32_t k = 0; k < copy.n_parts; k++) {
            op->parts[op->n_parts++] = copy.parts[k];
        }
    }
    return EFX_OK;
}

static int by_key(const void *a, const void *b)
{
    const struct efx_ckpt_op *x = a, *y = b;
    return x->key < y->key ? -1 : x->key > y->key;
}

static enum efx_rc store_all(struct efx_storage *s, struct efx_err *err)
{
    struct efx_saved *saved = s->job.saved;
    uint32_t n = efx_saved_n(saved);
    struct efx_ckpt_body *b = &s->report.body;
    b->ops = EFX_NEW_N(&s->report_arena, struct efx_ckpt_op, (size_t)n + s->n_kept + 1);
    if (b->ops == NULL) {
        return efx_ckpt__no_memory(err);
    }
    EFX_RET(add_kept(s, err));
    for (uint32_t i = 0; i < n; i++) {
        const struct efx_saved_op *from = efx_saved_at(saved, i);
        struct efx_ckpt_op *op = report_op(s, from->key, from->name, n + 1);
        if (op == NULL) {
            return efx_ckpt__no_memory(err);
        }
        uint64_t before = s->outcome.stored_bytes;
        EFX_RET(store_op(s, i, &op->parts[op->n_parts], err));
        op->n_parts++;
        note_chain(s, from, s->outcome.stored_bytes - before);
    }
    qsort(b->ops, b->n_ops, sizeof *b->ops, by_key);
    return flush_put(s, err);
}

static enum efx_rc add_sections(struct efx_storage *s, struct efx_err *err)
{
    struct efx_ckpt_body *b = &s->report.body, copy;
    struct efx_bytes head = efx_saved_numbering(s->job.saved);
    uint32_t n = s->job.n_sections;
    struct efx_ckpt_bytes *v = EFX_NEW_N(&s->report_arena, struct efx_ckpt_bytes, (size_t)n + 1);
    if (v == NULL) {
        return efx_ckpt__no_memory(err);
    }
    v[0] = (struct efx_ckpt_bytes){EFX_CKPT_NUMBERING, head};
    for (uint32_t i = 0; i < n; i++) {
        v[i + 1] = s->job.sections[i];
    }
    for (uint32_t i = 0; i <= n; i++) {
        if (v[i].bytes.n > EFX_CKPT_SECTION_MAX) {
            return EFX_FAIL(err, EFX_ELIMIT, EFX_KIND_ENV, 0,
                            "%s has %zu bytes, a checkpoint may keep %d of them", v[i].name,
                            v[i].bytes.n, EFX_CKPT_SECTION_MAX);
        }
    }
    struct efx_ckpt_body rest = {.n_sections = n + 1,
                                 .sections = v,
                                 .n_positions = s->job.n_positions,
                                 .positions = b->positions,
                                 .n_receipts = b->n_receipts,
                                 .receipts = b->receipts};
    if (efx_ckpt__copy_body(&s->report_arena, &rest, &copy) != EFX_OK) {
        return efx_ckpt__no_memory(err);
    }
    b->n_sections = copy.n_sections;
    b->sections = copy.sections;
    b->n_positions = copy.n_positions;
    b->positions = copy.positions;
    b->n_receipts = copy.n_receipts;
    b->receipts = copy.receipts;
    return EFX_OK;
}

/* ---- parts that wait for a manifest ---- */

static void forget_kept(struct efx_storage *s)
{
    efx_arena_reset(&s->kept_arena[s->kept_at]);
    s->n_kept = 0;
    s->kept = NULL;
}

/* All parts of the report, those of before among them, wait for the next one. */
static void keep_report(struct efx_storage *s)
{
    uint32_t to = s->kept_at ^ 1;
    struct efx_arena *a = &s->kept_arena[to];
    struct efx_ckpt_body only = {.n_ops = s->report.body.n_ops, .ops = s->report.body.ops}, copy;
    efx_arena_reset(a);
    if (efx_ckpt__copy_body(a, &only, &copy) != EFX_OK) {
        forget_kept(s);
        s->all_base = true;
        return;
    }
    s->kept_at = to;
    s->kept = copy.ops;
    s->n_kept = copy.n_ops;
}

/* ---- the manifest ---- */

static enum efx_rc commit_bytes(struct efx_storage *s, const struct efx_manifest *m,
                                struct efx_bytes bytes, struct efx_err *err)
{
    struct efx_store *store = s->conf.store;
    struct efx_commit c = {s->conf.by, s->last_no, m->no, bytes};
    uint64_t wait_ns = 10 * 1000000;
    for (;;) { /* C6: no answer is neither yes nor no */
        enum efx_rc rc = store->vt->commit_manifest(store, &c, err);
        if (rc != EFX_EIO || is_closing(s)) {
            return rc;
        }
        s->conf.world->clock->sleep_ns(s->conf.world, wait_ns);
        wait_ns = wait_ns < 1000000000 ? wait_ns * 2 : wait_ns;
    }
}

static enum efx_rc merge_and_commit(struct efx_storage *s, struct efx_err *err)
{
    uint32_t to = s->last_at ^ 1;
    struct efx_arena *a = &s->last_arena[to];
    struct efx_world *w = s->conf.world;
    struct efx_manifest m = {.no = s->outcome.no,
                             .epoch = s->report.epoch,
                             .app_hash = efx_app_hash(s->conf.app),
                             .app = s->conf.name,
                             .committed_ms = w->clock->wall_ms(w),
                             .promised = s->job.promised || s->report.body.n_receipts > 0};
    uint8_t *p = NULL;
    size_t n = 0;
    efx_arena_reset(a);
    EFX_RET(efx_manifest_merge(a, s->has_last ? &s->last : NULL, &s->report, 1, &m, err));
    EFX_RET(efx_manifest_encode(&m, &efx_mem_libc, &p, &n, err));
    enum efx_rc rc = commit_bytes(s, &m, (struct efx_bytes){p, n}, err);
    efx_mem_libc.free(&efx_mem_libc, p, n);
    if (rc == EFX_OK) {
        s->last_at = to;
        s->last = m;
        s->has_last = true;
        s->last_no = m.no;
    }
    return rc;
}

static void tidy_up(struct efx_storage *s)
{
    struct efx_err err = {0};
    bool sweep = s->n_commits++ % SWEEP_EVERY == 0;
    /* What could not be deleted now is found by a later sweep. */
    (void)!efx_retention(s->conf.store, &s->conf.by, s->conf.retain, sweep, &err);
}

/* ---- a job ---- */

static enum efx_rc encode_report(struct efx_storage *s, struct efx_err *err)
{
    efx_mem_libc.free(&efx_mem_libc, s->report_bytes, s->n_report_bytes);
    s->report_bytes = NULL;
    s->n_report_bytes = 0;
    EFX_RET(
        efx_report_encode(&s->report, &efx_mem_libc, &s->report_bytes, &s->n_report_bytes, err));
    s->outcome.report = (struct efx_bytes){s->report_bytes, s->n_report_bytes};
    return EFX_OK;
}

static enum efx_rc run_job(struct efx_storage *s, struct efx_err *err)
{
    struct efx_storage_job *j = &s->job;
    const struct efx_ckpt_receipt *receipts = NULL;
    uint32_t n_receipts = 0;
    efx_arena_reset(&s->report_arena);
    s->report = (struct efx_report){.no = s->outcome.no,
                                    .epoch = j->epoch,
                                    .member = s->conf.member,
                                    .clock_ms = efx_saved_clock_ms(j->saved)};
    enum efx_rc rc = EFX_OK;
    efx_crash_point("before-sinks");
    if (j->finish != NULL) {
        rc = j->finish(j->finish_arg, s->outcome.no, &receipts, &n_receipts, err);
    }
    struct efx_ckpt_body *b = &s->report.body;
    union {
        const struct efx_ckpt_receipt *borrowed;
        struct efx_ckpt_receipt *own;
    } given = {.borrowed = receipts};
    union {
        const struct efx_ckpt_bytes *borrowed;
        struct efx_ckpt_bytes *own;
    } positions = {.borrowed = j->positions};
    b->n_receipts = n_receipts;
    b->receipts = given.own;
    b->positions = positions.own;
    efx_crash_point("before-chunks");
    rc = rc == EFX_OK ? add_sections(s, err) : rc;
    enum efx_rc stored = rc == EFX_OK ? store_all(s, err) : rc;
    drop_put(s);
    efx_app_save_give(s->conf.app, &j->saved);
    if (stored != EFX_OK) { /* C7: some of it is not there */
        s->all_base = true;
        forget_kept(s);
        return stored;
    }
    efx_crash_point("after-chunks");
    if (!s->conf.commits) {
        s->unsettled = true;
        return encode_report(s, err);
    }
    rc = merge_and_commit(s, err);
    efx_crash_point("after-manifest");
    if (rc == EFX_OK) {
        forget_kept(s);
        tidy_up(s);
    } else {
        keep_report(s);
    }
    return rc;
}

static void *work(void *arg)
{
    struct efx_storage *s = arg;
    (void)pthread_mutex_lock(&s->lock);
    for (;;) {
        while (s->state != QUEUED && !s->closing) {
            (void)pthread_cond_wait(&s->changed, &s->lock);
        }
        if (s->state != QUEUED) {
            break;
        }
        s->state = RUNNING;
        (void)pthread_mutex_unlock(&s->lock);
        uint64_t from = now_ns(s);
        s->outcome = (struct efx_storage_outcome){.no = efx_saved_no(s->job.saved)};
        s->outcome.rc = run_job(s, &s->outcome.err);
        s->outcome.ns = now_ns(s) - from;
        (void)pthread_mutex_lock(&s->lock);
        s->state = FINISHED;
        (void)pthread_cond_broadcast(&s->changed);
        if (s->conf.ready != NULL) {
            s->conf.ready(s->conf.ready_arg);
        }
    }
    (void)pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* ---- the caller's side ---- */

/* Of what was restored only positions stay: all parts begin with bases. */
static enum efx_rc keep_positions(struct efx_storage *s, struct efx_err *err)
{
    const struct efx_manifest *from = s->conf.from;
    if (from == NULL) {
        return EFX_OK;
    }
    struct efx_ckpt_body only = {.n_positions = from->body.n_positions,
                                 .positions = from->body.positions};
    if (efx_ckpt__copy_body(&s->last_arena[0], &only, &s->last.body) != EFX_OK) {
        return efx_ckpt__no_memory(err);
    }
    s->has_last = true;
    s->conf.from = NULL;
    return EFX_OK;
}

enum efx_rc efx_storage_open(const struct efx_storage_conf *conf, struct efx_storage **out,
                             struct efx_err *err)
{
    struct efx_storage *s = efx_mem_libc.alloc(&efx_mem_libc, sizeof *s);
    if (s == NULL) {
        return efx_ckpt__no_memory(err);
    }
    memset(s, 0, sizeof *s);
    s->conf = *conf;
    s->state = IDLE;
    s->last_no = conf->last;
    efx_arena_init(&s->job_arena, &efx_mem_libc, SIZE_MAX);
    efx_arena_init(&s->report_arena, &efx_mem_libc, SIZE_MAX);
    for (int i = 0; i < 2; i++) {
        efx_arena_init(&s->kept_arena[i], &efx_mem_libc, SIZE_MAX);
        efx_arena_init(&s->last_arena[i], &efx_mem_libc, SIZE_MAX);
    }
    (void)pthread_mutex_init(&s->lock, NULL);
    (void)pthread_cond_init(&s->changed, NULL);
    enum efx_rc rc = keep_positions(s, err);
    efx_app_base_next(conf->app, 0);
    if (rc == EFX_OK && pthread_create(&s->thread, NULL, work, s) != 0) {
        rc = EFX_FAIL(err, EFX_EIO, EFX_KIND_ENV, 0, "cannot start the storage thread");
    }
    if (rc != EFX_OK) {
        s->closing = true; /* there is no thread to wait for */
        efx_storage_close(&s);
        return rc;
    }
    *out = s;
    return EFX_OK;
}

static enum efx_rc copy_job(struct efx_storage *s, const struct efx_storage_job *job)
{
    struct efx_ckpt_body copy;
    union {
        const struct efx_ckpt_bytes *borrowed;
        struct efx_ckpt_bytes *own;
    } sections = {.borrowed = job->sections}, positions = {.borrowed = job->positions};
    struct efx_ckpt_body given = {.n_sections = job->n_sections,
                                  .sections = sections.own,
                                  .n_positions = job->n_positions,
                                  .positions = positions.own};
    efx_arena_reset(&s->job_arena);
    EFX_RET(efx_ckpt__copy_body(&s->job_arena, &given, &copy));
    s->job = *job;
    s->job.sections = copy.sections;
    s->job.positions = copy.positions;
    return EFX_OK;
}

enum efx_rc efx_storage_put(struct efx_storage *s, const struct efx_storage_job *job)
{
    (void)pthread_mutex_lock(&s->lock);
    enum efx_rc rc = s->state == IDLE ? EFX_OK : EFX_AGAIN;
    if (rc == EFX_OK) {
        if (s->unsettled) { /* nobody said what became of it: it must not be lost */
            keep_report(s);
            s->unsettled = false;
        }
        rc = copy_job(s, job);
    }
    if (rc == EFX_OK) {
        s->state = QUEUED;
        (void)pthread_cond_broadcast(&s->changed);
    }
    (void)pthread_mutex_unlock(&s->lock);
    return rc;
}

static bool take(struct efx_storage *s, struct efx_storage_outcome *out)
{
    if (s->state != FINISHED) {
        return false;
    }
    *out = s->outcome;
    s->state = IDLE;
    if (s->all_base) {
        efx_app_base_next(s->conf.app, 0);
    }
    for (uint32_t i = 0; i < s->n_chains; i++) {
        if (s->chains[i].base_next) {
            efx_app_base_next(s->conf.app, s->chains[i].key);
            s->chains[i].base_next = false;
        }
    }
    s->all_base = false;
    return true;
}

bool efx_storage_poll(struct efx_storage *s, struct efx_storage_outcome *out)
{
    (void)pthread_mutex_lock(&s->lock);
    bool any = take(s, out);
    (void)pthread_mutex_unlock(&s->lock);
    return any;
}

bool efx_storage_busy(const struct efx_storage *s)
{
    union {
        const struct efx_storage *borrowed;
        struct efx_storage *own;
    } p = {.borrowed = s};
    (void)pthread_mutex_lock(&p.own->lock);
    bool busy = s->state != IDLE;
    (void)pthread_mutex_unlock(&p.own->lock);
    return busy;
}

bool efx_storage_wait(struct efx_storage *s, struct efx_storage_outcome *out)
{
    (void)pthread_mutex_lock(&s->lock);
    while (s->state == QUEUED || s->state == RUNNING) {
        (void)pthread_cond_wait(&s->changed, &s->lock);
    }
    bool any = take(s, out);
    (void)pthread_mutex_unlock(&s->lock);
    return any;
}

void efx_storage_settled(struct efx_storage *s, uint64_t no, bool stands)
{
    (void)pthread_mutex_lock(&s->lock);
    if (s->unsettled && s->report.no == no && s->state == IDLE) {
        s->unsettled = false;
        if (stands) {
            forget_kept(s);
        } else {
            keep_report(s);
        }
    }
    (void)pthread_mutex_unlock(&s->lock);
}

void efx_storage_close(struct efx_storage **storage)
{
    struct efx_storage *s = *storage;
    if (s == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&s->lock);
    bool runs = !s->closing;
    s->closing = true;
    (void)pthread_cond_broadcast(&s->changed);
    (void)pthread_mutex_unlock(&s->lock);
    if (runs) {
        (void)pthread_join(s->thread, NULL);
    }
    efx_mem_libc.free(&efx_mem_libc, s->report_bytes, s->n_report_bytes);
    efx_mem_libc.free(&efx_mem_libc, s->chains, s->chains_max * sizeof *s->chains);
    efx_arena_fini(&s->job_arena);
    efx_arena_fini(&s->report_arena);
    for (int i = 0; i < 2; i++) {
        efx_arena_fini(&s->kept_arena[i]);
        efx_arena_fini(&s->last_arena[i]);
    }
    (void)pthread_cond_destroy(&s->changed);
    (void)pthread_mutex_destroy(&s->lock);
    efx_mem_libc.free(&efx_mem_libc, s, sizeof *s);
    *storage = NULL;
}
