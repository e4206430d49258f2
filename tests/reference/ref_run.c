#include "ref_timer.h"

/* Delivery, depth first (language §3.3), and the copies of PARTITION blocks (§10).
 *
 *   publish ─► row noted ─► consumer 1 to the end ─► consumer 2 …    consumers = statements that
 * read the stream, in order a row for a stream whose own delivery is in progress waits until that
 * has ended
 */
enum { LOOP_ROWS_MAX = 1000000 };

static void note_row(struct efx_reference *r, const struct efx_bobject *o, bool expired,
                     const struct ref_event *e)
{
    if (r->n_rows == r->cap_rows) {
        uint32_t cap = r->cap_rows == 0 ? 64 : r->cap_rows * 2;
        struct efx_reference_row *rows = REF_NEW_N(r, struct efx_reference_row, cap);
        if (r->n_rows > 0) {
            memcpy(rows, r->rows, r->n_rows * sizeof *rows);
        }
        r->rows = rows;
        r->cap_rows = cap;
    }
    r->rows[r->n_rows++] = (struct efx_reference_row){.stream = o->id,
                                                      .expired = expired,
                                                      .ts_ms = e->ts_ms,
                                                      .n = o->schema.n_cols,
                                                      .values = e->v};
}

/* ---- partitions ---- */

static struct ref_copy *copy_make(struct efx_reference *r, const struct efx_bstmt *q,
                                  struct ref_key *key)
{
    struct ref_copy *c = REF_NEW(r, struct ref_copy);
    *c = (struct ref_copy){
        .r = r, .q = q, .key = key, .origin_ms = EFX_TS_NONE, .passed_ms = EFX_TS_NONE};
    for (uint32_t side = 0; side < 2; side++) {
        struct efx_bwindow none = {0};
        bool has = side < q->n_inputs && q->kind != EFX_STMT_PATTERN;
        bool known = ref_window_init(&c->window[side], has ? &q->inputs[side].window : &none);
        EFX_ASSERT(known);
    }
    if (q->kind == EFX_STMT_PATTERN) {
        ref_pattern_start(c);
    }
    return c;
}

static struct ref_key *key_make(struct efx_reference *r, uint32_t partition,
                                const struct efx_value *v)
{
    struct ref_key *k = REF_NEW(r, struct ref_key);
    k->no = r->n_keys++;
    k->v = v;
    k->copies = REF_NEW_N(r, struct ref_copy *, r->p->n_stmts);
    k->streams = REF_NEW_N(r, struct ref_stream, r->p->n_objects);
    for (uint32_t i = 0; i < r->p->n_stmts; i++) {
        if (r->p->stmts[i]->partition == partition) {
            k->copies[i] = copy_make(r, r->p->stmts[i], k);
        }
    }
    return k;
}

static uint32_t key_width(const struct efx_bpartition *p)
{
    uint32_t n = p->n_keys;
    for (uint32_t i = 0; i < p->n_parts; i++) {
        n += p->parts[i].n_labels > 0 ? 1 : 0;
    }
    return n;
}

static struct ref_key *key_of(struct efx_reference *r, uint32_t partition,
                              const struct efx_value *v)
{
    struct ref_list *keys = &r->keys[partition];
    uint32_t width = key_width(&r->p->partitions[partition]);
    for (uint32_t i = 0; i < keys->n; i++) {
        struct ref_key *k = keys->v[i];
        if (ref_same_all(k->v, v, width)) {
            return k;
        }
    }
    struct ref_key *k = key_make(r, partition, v);
    ref_list_add(r, keys, k);
    return k;
}

struct routing { /* one event's way into one block */
    struct efx_reference *r;
    uint32_t partition;
    const struct efx_bobject *object;
    const struct ref_event *event;
    struct ref_list keys;
};

/* Parts of the event's stream from `part` on; the labels of the first list vary slowest. `v` holds
 * the values of the parts before. */
static void route(struct routing *w, uint32_t part, struct efx_value *v, uint32_t n)
{
    const struct efx_bpartition *p = &w->r->p->partitions[w->partition];
    while (part < p->n_parts && p->parts[part].stream != w->object) {
        part++;
    }
    if (part == p->n_parts) {
        struct efx_value *whole = REF_NEW_N(w->r, struct efx_value, key_width(p));
        for (uint32_t i = 0; i < key_width(p); i++) {
            whole[i] = i < n ? v[i] : efx_value_null(EFX_TYPE_STRING);
        }
        struct ref_key *k = key_of(w->r, w->partition, whole);
        k->last_ms = w->r->clock_ms;
        ref_list_add(w->r, &w->keys, k);
        return;
    }
    const struct efx_bpart *b = &p->parts[part];
    struct ref_env env = {.r = w->r, .input = {w->event}, .ts_ms = w->event->ts_ms};
    for (uint32_t i = 0; i < b->n_labels; i++) {
        if (ref_eval_true(&env, b->conds[i])) {
            v[n] = (struct efx_value){.type = EFX_TYPE_STRING, .s = b->labels[i]};
            route(w, part + 1, v, n + 1);
        }
    }
    bool null = b->n_labels > 0;
    for (uint32_t i = 0; i < b->n_exprs; i++) {
        v[n + i] = ref_eval(&env, b->exprs[i]);
        null |= v[n + i].null;
    }
    if (env.error != 0) {
        ref_data_error(w->r, w->object, w->event, env.error);
    } else if (!null) {
        route(w, part + 1, v, n + b->n_exprs);
    }
}

/* Keys that an event of a stream outside concerns: its own, or all there are if the block does not
 * list its stream. */
static struct ref_list keys_for(struct efx_reference *r, uint32_t partition,
                                const struct efx_bobject *o, const struct ref_event *e)
{
    const struct efx_bpartition *p = &r->p->partitions[partition];
    bool listed = false;
    for (uint32_t i = 0; i < p->n_parts; i++) {
        listed |= p->parts[i].stream == o;
    }
    if (!listed) {
        return ref_list_copy(r, &r->keys[partition]);
    }
    struct routing w = {.r = r, .partition = partition, .object = o, .event = e};
    route(&w, 0, REF_NEW_N(r, struct efx_value, key_width(p)), 0);
    return w.keys;
}

/* ---- delivery ---- */

static bool reads(const struct efx_bstmt *q, const struct efx_bobject *o)
{
    for (uint32_t i = 0; i < q->n_inputs; i++) {
        if (q->inputs[i].object == o) {
            return true;
        }
    }
    return false;
}

static void consume(struct ref_copy *c, const struct efx_bobject *o, const struct ref_event *e)
{
    switch (c->q->kind) {
    case EFX_STMT_SINGLE: ref_single(c, e); break;
    case EFX_STMT_JOIN: ref_join(c, o, e); break;
    case EFX_STMT_PATTERN: ref_pattern(c, o, e); break;
    case EFX_STMT_UPDATE:
    case EFX_STMT_DELETE: ref_table_change(c, e); break;
    }
}

static void deliver(struct efx_reference *r, struct ref_key *key, const struct efx_bobject *o,
                    const struct ref_event *e)
{
    struct ref_list keys = {0};
    for (uint32_t s = 0; s < r->p->n_stmts; s++) {
        const struct efx_bstmt *q = r->p->stmts[s];
        bool inner = o->partition != EFX_NO_COL;
        if (q->partition != EFX_NO_COL && !inner &&
            s == r->p->partitions[q->partition].first_stmt) {
            keys = keys_for(r, q->partition, o, e);
        }
        if (!reads(q, o)) {
            continue;
        }
        if (q->partition == EFX_NO_COL || inner) {
            consume(q->partition == EFX_NO_COL ? r->root->copies[s] : key->copies[s], o, e);
            continue;
        }
        for (uint32_t i = 0; i < keys.n; i++) {
            consume(((struct ref_key *)keys.v[i])->copies[s], o, e);
        }
    }
}

struct waiting {
    const struct ref_event *event;
    bool expired;
};

void ref_publish(struct efx_reference *r, struct ref_key *key, const struct efx_bobject *o,
                 bool expired, const struct ref_event *event)
{
    struct ref_key *where = o->partition != EFX_NO_COL ? key : r->root;
    struct ref_stream *s = &where->streams[o->id];
    if (s->busy) {
        if (++r->looped > LOOP_ROWS_MAX) {
            ref_data_error(r, o, event, 3105);
            return;
        }
        struct waiting *w = REF_NEW(r, struct waiting);
        *w = (struct waiting){.event = event, .expired = expired};
        ref_list_add(r, &s->waiting, w);
        return;
    }
    for (;;) {
        if (r->written[o->id]) {
            note_row(r, o, expired, event);
        }
        s->busy = true;
        deliver(r, where, o, event);
        s->busy = false;
        if (s->waiting.n == 0) {
            return;
        }
        const struct waiting *w = s->waiting.v[0];
        event = w->event;
        expired = w->expired;
        ref_list_remove(&s->waiting, 0);
    }
}

/* ---- life ---- */

/* Which streams are derived: written by a query, a fault stream or a dead-letter stream. */
static void mark_written(struct efx_reference *r)
{
    for (uint32_t i = 0; i < r->p->n_stmts; i++) {
        const struct efx_bobject *t = r->p->stmts[i]->target.object;
        if (t != NULL && t->kind == EFX_OBJ_STREAM && t->partition == EFX_NO_COL) {
            r->written[t->id] = true;
        }
    }
    for (uint32_t i = 0; i < r->p->n_objects; i++) {
        const struct efx_bobject *o = r->p->objects[i];
        if (o->kind == EFX_OBJ_STREAM) {
            r->written[i] |= o->fault_of != NULL;
            if (o->conf.dlq != NULL) {
                r->written[o->conf.dlq->id] = true;
            }
            r->has_delay |= o->fault_of == NULL && o->conf.watermark_delay_ms >= 0;
        }
    }
}

static const char *unknown_part(struct efx_reference *r)
{
    for (uint32_t i = 0; i < r->p->n_objects; i++) {
        const struct efx_bobject *o = r->p->objects[i];
        if (o->kind == EFX_OBJ_WINDOW ||
            (o->kind == EFX_OBJ_TRIGGER && o->trigger.kind == EFX_AST_TRIGGER_CRON)) {
            return "named windows and cron triggers";
        }
    }
    for (uint32_t i = 0; i < r->p->n_stmts; i++) {
        const struct efx_bstmt *q = r->p->stmts[i];
        const char *why = NULL;
        if (q->output.kind == EFX_AST_OUTPUT_SNAPSHOT) {
            return "OUTPUT SNAPSHOT";
        }
        for (uint32_t k = 0; k < q->n_inputs; k++) {
            struct ref_window w;
            if (!ref_window_init(&w, &q->inputs[k].window)) {
                return "a window kind";
            }
        }
        if (q->kind == EFX_STMT_PATTERN) {
            r->patterns[i] = ref_pattern_plan_make(r, q, &why);
        }
        if (why != NULL) {
            return why;
        }
    }
    return NULL;
}

struct efx_reference *efx_reference_create(const struct efx_program *program, const char **why)
{
    struct efx_arena arena;
    efx_arena_init(&arena, &efx_mem_libc, SIZE_MAX);
    struct efx_reference *r = EFX_NEW(&arena, struct efx_reference);
    EFX_ASSERT(r != NULL);
    r->arena = arena;
    r->p = program;
    r->rank = UINT32_MAX;
    r->tables = REF_NEW_N(r, struct ref_list, program->n_objects);
    r->written = REF_NEW_N(r, bool, program->n_objects);
    r->keys = REF_NEW_N(r, struct ref_list, program->n_partitions);
    r->patterns = REF_NEW_N(r, struct ref_pattern_plan *, program->n_stmts);
    r->trigger_due = REF_NEW_N(r, int64_t, program->n_objects);
    r->watermark = REF_NEW_N(r, int64_t, program->n_objects);
    for (uint32_t i = 0; i < program->n_objects; i++) {
        r->trigger_due[i] = EFX_NEVER_MS;
        r->watermark[i] = EFX_TS_NONE;
    }
    *why = unknown_part(r);
    if (*why != NULL) {
        efx_reference_destroy(r);
        return NULL;
    }
    mark_written(r);
    r->root = key_make(r, EFX_NO_COL, NULL);
    return r;
}

void efx_reference_destroy(struct efx_reference *r)
{
    struct efx_arena arena = r->arena; /* r lies in it */
    efx_arena_fini(&arena);
}

const struct efx_reference_row *efx_reference_rows(const struct efx_reference *r, uint32_t *n)
{
    *n = r->n_rows;
    return r->rows;
}

const struct efx_reference_row *efx_reference_table(struct efx_reference *r, uint32_t table,
                                                    uint32_t *n)
{
    const struct ref_list *t = &r->tables[table];
    struct efx_reference_row *rows = REF_NEW_N(r, struct efx_reference_row, t->n);
    for (uint32_t i = 0; i < t->n; i++) {
        rows[i] = (struct efx_reference_row){.stream = table,
                                             .n = r->p->objects[table]->schema.n_cols,
                                             .values = ((const struct ref_event *)t->v[i])->v};
    }
    *n = t->n;
    return rows;
}

uint64_t efx_reference_errors(const struct efx_reference *r)
{
    return r->n_errors;
}

uint64_t efx_reference_duplicates(const struct efx_reference *r)
{
    return r->n_duplicates;
}
