/* Subscriptions at level COMMITTED (C21): rows of grpc sinks, read from checkpoints that stand.
 *
 *   verdict, new epoch, beat ─► store worker: the first manifest behind the reader's place, one
 *   part's pieces ─► loop: rows, each batch with its token ─► the next part, until there is none
 *
 * The place is (checkpoint, part, row): the same at every member, since all read the same
 * manifests. A manifest that can be read stands, so nothing is given too early; a token is good
 * while its own checkpoint is kept.
 *
 *   token    "efxS" │ u64 hash of the stream's name │ u64 checkpoint │ u32 part │ u64 row
 *
 *   Limits   one part of one checkpoint is in memory; who reads too slowly is ended by the door
 *   Errors   EFX_DONE: rows behind the token were dropped, or it is of another history. EFX_EPARSE:
 *            no token of this stream. A store that does not answer is asked again with the beat
 *   Threads  the loop's; run: the store worker's
 *   Source   cluster.md C21, C24
 */
#include "node.h"

#include "outbox.h"

#include "efx_wire.h"

enum { TOKEN_BYTES = 4 + 8 + 8 + 4 + 8, MAGIC = 0x53786665, ALL = UINT32_MAX };

struct place { /* rows up to here were given */
    uint64_t no;
    uint32_t part; /* ALL: the whole checkpoint */
    uint64_t row;
};

struct node_reader {
    struct node_reader *next;
    struct efx_node *node;
    struct efx_rows_front *front;
    uint64_t call, name_hash, n_rows;
    struct place at;
    bool begun, busy, again, ended;
    struct efx_arena told_arena;
    struct efx_schema told; /* the columns that the reader knows */
    struct node_job job;
    /* Of the job. */
    struct efx_arena arena;
    struct place from, to;
    bool found; /* pieces of part `to.part` of checkpoint `to.no` */
    uint32_t n_pieces;
    struct efx_bytes *pieces;
    enum efx_rc rc;
    struct efx_err err;
    char stream[128], resume[TOKEN_BYTES];
    size_t n_resume;
};

static void end_with(struct node_reader *c, enum efx_rc rc, const char *why)
{
    struct efx_err err = {.rc = rc, .kind = EFX_KIND_USER};
    (void)snprintf(err.msg, sizeof err.msg, "%s", why);
    if (!c->ended) {
        c->ended = true;
        c->front->ended(c->front, &err);
    }
}

static void sweep(struct efx_node *n, bool all)
{
    for (struct node_reader **at = &n->readers; *at != NULL;) {
        struct node_reader *c = *at;
        if (c->ended && (!c->busy || all)) {
            *at = c->next;
            efx_arena_fini(&c->arena);
            efx_arena_fini(&c->told_arena);
            efx_mem_libc.free(&efx_mem_libc, c, sizeof *c);
        } else {
            at = &c->next;
        }
    }
}

void node_deliver_end(struct efx_node *n, const struct efx_err *why)
{
    for (struct node_reader *c = n->readers; c != NULL; c = c->next) {
        end_with(c, why->rc == EFX_OK ? EFX_AGAIN : why->rc, why->msg);
    }
    sweep(n, false);
}

/* After the workers have ended. */
void node_deliver_fini(struct efx_node *n)
{
    sweep(n, true);
}

/* ---- tokens ---- */

static size_t token_put(const struct node_reader *c, const struct place *p,
                        uint8_t out[TOKEN_BYTES])
{
    struct efx_writer w = {.p = out, .max = TOKEN_BYTES};
    efx_put_u32(&w, MAGIC);
    efx_put_u64(&w, c->name_hash);
    efx_put_u64(&w, p->no);
    efx_put_u32(&w, p->part);
    efx_put_u64(&w, p->row);
    return w.n;
}

static bool token_get(const struct node_reader *c, struct place *out)
{
    struct efx_reader r = {(const uint8_t *)c->resume, c->n_resume, false};
    bool ours = efx_get_u32(&r) == MAGIC && efx_get_u64(&r) == c->name_hash;
    out->no = efx_get_u64(&r);
    out->part = efx_get_u32(&r);
    out->row = efx_get_u64(&r);
    return ours && !r.bad && r.left == 0;
}

/* ---- on the store worker ---- */

struct kept {
    uint32_t n;
    struct efx_manifest_info v[EFX_LIST_MAX]; /* newest first */
};

static bool has_no(const struct kept *k, uint64_t no)
{
    for (uint32_t i = 0; i < k->n; i++) {
        if (k->v[i].no == no) {
            return true;
        }
    }
    return false;
}

/* The oldest one whose rows are not all given; 0: there is none. */
static uint64_t next_no(const struct kept *k, const struct place *at)
{
    uint64_t no = 0;
    for (uint32_t i = 0; i < k->n; i++) {
        bool behind = k->v[i].no > at->no || (k->v[i].no == at->no && at->part != ALL);
        no = behind ? k->v[i].no : no;
    }
    return no;
}

static enum efx_rc take_part(struct node_reader *c, const struct efx_ckpt_receipt *r)
{
    struct efx_store *store = c->node->store;
    struct efx_ckpt_chunk *chunks;
    EFX_RET(efx_outbox_chunks(r, &c->arena, &chunks, &c->n_pieces, &c->err));
    c->pieces = EFX_NEW_N(&c->arena, struct efx_bytes, (size_t)c->n_pieces + 1);
    if (c->pieces == NULL) {
        return EFX_ENOMEM;
    }
    for (uint32_t i = 0; i < c->n_pieces; i++) {
        EFX_RET(efx_outbox_get(store, r, &chunks[i], &c->arena, &c->pieces[i], &c->err));
    }
    c->found = true;
    return EFX_OK;
}

/* The first part of this checkpoint from c->to on. */
static enum efx_rc look(struct node_reader *c)
{
    struct efx_manifest m;
    const struct efx_ckpt_receipt *first = NULL;
    EFX_RET(efx_checkpoint_read(c->node->store, c->to.no, &c->arena, &m, &c->err));
    for (uint32_t i = 0; i < m.body.n_receipts; i++) {
        const struct efx_ckpt_receipt *r = &m.body.receipts[i];
        if (strcmp(r->sink, c->stream) == 0 && r->no == m.no && r->part >= c->to.part &&
            (first == NULL || r->part < first->part)) {
            first = r;
        }
    }
    if (first == NULL) {
        c->to = (struct place){c->to.no, ALL, 0};
        return EFX_OK;
    }
    c->to.row = first->part == c->to.part ? c->to.row : 0;
    c->to.part = first->part;
    return take_part(c, first);
}

/* Numbers do not say whether one is missing between two, so a place must be known to be whole: its
 * checkpoint is kept, or nothing was ever dropped. */
static bool is_whole(const struct node_reader *c, const struct kept *k)
{
    return has_no(k, c->from.no) || (c->from.no == 0 && k->n < c->node->conf.retain);
}

static void run(void *arg)
{
    struct node_reader *c = arg;
    struct efx_store *store = c->node->store;
    struct kept *k = efx_mem_libc.alloc(&efx_mem_libc, sizeof *k);
    EFX_ASSERT(k != NULL);
    efx_arena_reset(&c->arena);
    c->found = false;
    c->to = c->from;
    k->n = EFX_LIST_MAX;
    c->rc = store->vt->list_manifests(store, 0, k->v, &k->n, &c->err);
    if (c->rc == EFX_OK && !is_whole(c, k)) {
        c->rc = EFX_DONE;
        (void)snprintf(c->err.msg, sizeof c->err.msg,
                       "rows behind checkpoint %llu were dropped: the store keeps from %llu on",
                       (unsigned long long)c->from.no,
                       (unsigned long long)(k->n > 0 ? k->v[k->n - 1].no : 0));
    }
    for (uint64_t no; c->rc == EFX_OK && !c->found && (no = next_no(k, &c->to)) != 0;) {
        c->to = no == c->to.no ? c->to : (struct place){no, 0, 0};
        c->rc = look(c);
    }
    efx_mem_libc.free(&efx_mem_libc, k, sizeof *k);
}

/* ---- to the reader ---- */

static bool same_columns(const struct efx_schema *a, const struct efx_schema *b)
{
    bool same = a->n_cols == b->n_cols;
    for (uint32_t c = 0; same && c < a->n_cols; c++) {
        same = a->cols[c].type == b->cols[c].type && strcmp(a->cols[c].name, b->cols[c].name) == 0;
    }
    return same;
}

static void tell_columns(struct node_reader *c, const struct efx_schema *s, struct efx_bytes resume)
{
    struct efx_schema_col *cols;
    efx_arena_reset(&c->told_arena);
    cols = EFX_NEW_N(&c->told_arena, struct efx_schema_col, (size_t)s->n_cols + 1);
    EFX_ASSERT(cols != NULL);
    for (uint32_t i = 0; i < s->n_cols; i++) {
        cols[i] = s->cols[i];
        cols[i].name = efx_arena_str(&c->told_arena, s->cols[i].name, strlen(s->cols[i].name));
    }
    c->told = (struct efx_schema){.name = "", .n_cols = s->n_cols, .cols = cols};
    c->front->schema(c->front, &c->told, resume);
}

/* *row: rows of the part that lie before; those up to c->to.row were given before. */
static bool give_piece(struct node_reader *c, struct efx_bytes piece, uint64_t *row)
{
    struct efx_reader r = {piece.p, piece.n, false};
    struct efx_arena arena;
    struct efx_schema columns;
    efx_arena_init(&arena, &efx_mem_libc, SIZE_MAX);
    bool ok = node_outbox_columns(&r, &arena, &columns);
    if (ok && !same_columns(&columns, &c->told)) {
        tell_columns(c, &columns, (struct efx_bytes){0});
    }
    while (ok && r.left > 0) {
        struct efx_batch b;
        ok = efx_wire_get(&r, &arena, &b) == EFX_OK && b.n_cols == columns.n_cols;
        if (!ok) {
            break;
        }
        uint64_t given = c->to.row > *row ? c->to.row - *row : 0;
        struct efx_rows rows = efx_rows_all(&b);
        rows.from = given < b.n_rows ? (uint32_t)given : b.n_rows;
        *row += b.n_rows;
        if (rows.from < rows.until) {
            uint8_t token[TOKEN_BYTES];
            struct place behind = {c->to.no, c->to.part, *row};
            size_t n = token_put(c, &behind, token);
            c->front->rows(c->front, &rows, c->n_rows + 1, c->to.no, (struct efx_bytes){token, n});
            c->n_rows += rows.until - rows.from;
        }
    }
    efx_arena_fini(&arena);
    return ok;
}

static void give(struct node_reader *c)
{
    uint64_t row = 0;
    for (uint32_t i = 0; i < c->n_pieces; i++) {
        if (!give_piece(c, c->pieces[i], &row)) {
            end_with(c, EFX_EIO, "a checkpoint's rows cannot be read");
            return;
        }
    }
    c->at = (struct place){c->to.no, c->to.part + 1, 0};
}

static void ask(struct efx_node *n, struct node_reader *c)
{
    c->again = c->busy;
    if (c->busy || c->ended || !c->begun || n->store == NULL || node_is_fenced(n)) {
        return;
    }
    c->busy = true;
    c->from = c->at;
    node_worker_submit(n->store_worker, &c->job);
}

static void done(void *arg)
{
    struct node_reader *c = arg;
    struct efx_node *n = c->node;
    bool more = c->again || c->found;
    c->busy = false;
    if (c->ended || node_is_fenced(n)) { /* C12: the beat asks again */
        sweep(n, false);
        return;
    }
    if (c->rc == EFX_OK && c->found) {
        give(c);
    } else if (c->rc == EFX_OK) {
        c->at = c->to;
    } else if (c->rc == EFX_DONE || c->rc == EFX_EPARSE) {
        end_with(c, c->rc == EFX_DONE ? EFX_DONE : EFX_EIO, c->err.msg);
    }
    if (more && c->rc == EFX_OK) {
        ask(n, c);
    }
    sweep(n, false);
}

/* A checkpoint stands, an epoch begins, or it is time to look again. */
void node_deliver_look(struct efx_node *n)
{
    for (struct node_reader *c = n->readers; c != NULL; c = c->next) {
        ask(n, c);
    }
}

/* ---- doors ---- */

static void begin(struct efx_node *n, struct node_reader *c)
{
    const struct efx_stream *s = n->app == NULL ? NULL : efx_stream_named(n->app->efx, c->stream);
    uint32_t object = s == NULL ? 0 : (uint32_t)(s - efx_stream_at(n->app->efx, 0));
    const struct efx_bobject *o = s == NULL ? NULL : n->app->base.program->objects[object];
    uint8_t token[TOKEN_BYTES];
    if (n->app == NULL || n->phase != NODE_RUNNING || node_is_fenced(n)) {
        end_with(c, EFX_AGAIN, "this node is not ready");
    } else if (o == NULL) {
        end_with(c, EFX_EABSENT, "there is no such stream");
    } else if (!node_outbox_is_sink(o)) {
        end_with(c, EFX_EDATA, "it is no grpc sink: its rows are not kept for level committed");
    } else if (n->store == NULL) {
        end_with(c, EFX_EDATA, "there is no store: only level accepted");
    } else if (c->n_resume > 0 && !token_get(c, &c->at)) {
        end_with(c, EFX_EPARSE, "the token is none of this stream");
    } else {
        c->at = c->n_resume > 0 ? c->at : (struct place){n->stands, ALL, 0};
        size_t k = token_put(c, &c->at, token);
        c->begun = true;
        tell_columns(c, &o->schema, (struct efx_bytes){token, k});
        ask(n, c);
    }
}

static void on_subscribe(struct efx_node *n, struct node_inbox *m)
{
    struct node_reader *c = m->p;
    c->next = n->readers;
    n->readers = c;
    begin(n, c);
    sweep(n, false);
}

void node_deliver_subscribe(struct efx_node *n, const struct efx_subscribe_ask *ask_of,
                            struct efx_rows_front *front, struct efx_rows_call **out)
{
    struct node_reader *c = efx_mem_libc.alloc(&efx_mem_libc, sizeof *c);
    EFX_ASSERT(c != NULL);
    memset(c, 0, sizeof *c);
    c->node = n;
    c->front = front;
    c->call = n->conf.loop->vt->random(n->conf.loop) | 1;
    c->job = (struct node_job){.run = run, .done = done, .arg = c};
    efx_arena_init(&c->arena, &efx_mem_libc, SIZE_MAX);
    efx_arena_init(&c->told_arena, &efx_mem_libc, SIZE_MAX);
    (void)snprintf(c->stream, sizeof c->stream, "%s", ask_of->stream);
    c->name_hash = efx_hash_bytes(c->stream, strlen(c->stream));
    c->n_resume = ask_of->resume.n < TOKEN_BYTES ? ask_of->resume.n : TOKEN_BYTES;
    if (c->n_resume > 0) {
        memcpy(c->resume, ask_of->resume.p, c->n_resume);
    }
    *out = node_handle(c->call);
    struct node_inbox *m = node_inbox_new(on_subscribe, "");
    m->p = c;
    node_post(n, m);
}

bool node_deliver_cancel(struct efx_node *n, uint64_t call)
{
    for (struct node_reader *c = n->readers; c != NULL; c = c->next) {
        if (c->call == call && !c->ended) {
            end_with(c, EFX_DONE, "cancelled");
            sweep(n, false);
            return true;
        }
    }
    return false;
}
