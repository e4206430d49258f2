/* Sessions, and rows into the app.
 *
 * A builder of the pool holds rows of one session. Rows of a single stream are lent to the app as
 * whole columns; anything else is copied turn by turn. Both are done with when the step is.
 */
#include "solo.h"

#include "efx_hash.h"

#include <stdio.h>

/* ---- sessions ---- */

static struct session **bucket_of(struct efx_solo *a, const char *name)
{
    return &a->sessions[efx_hash_bytes(name, strlen(name)) % SESSION_BUCKETS];
}

static void drop_idle(struct efx_solo *a)
{
    int64_t until_ms = efx_solo__now_ms() - ALONE_SESSION_IDLE_MS;
    for (uint32_t i = 0; i < SESSION_BUCKETS; i++) {
        for (struct session **at = &a->sessions[i]; *at != NULL;) {
            struct session *s = *at;
            if (s->open == NULL && s->used_ms < until_ms) {
                *at = s->next;
                efx_mem_libc.free(&efx_mem_libc, s, sizeof *s);
                a->n_sessions--;
            } else {
                at = &s->next;
            }
        }
    }
}

struct session *efx_solo__session(struct efx_solo *a, const char *name, bool *known)
{
    struct session **bucket = bucket_of(a, name);
    for (struct session *s = *bucket; s != NULL; s = s->next) {
        if (strcmp(s->name, name) == 0) {
            *known = true;
            s->used_ms = efx_solo__now_ms();
            return s;
        }
    }
    *known = false;
    if (a->n_sessions >= ALONE_SESSIONS_MAX) {
        drop_idle(a);
    }
    struct session *s =
        a->n_sessions >= ALONE_SESSIONS_MAX ? NULL : efx_mem_libc.alloc(&efx_mem_libc, sizeof *s);
    if (s != NULL) {
        memset(s, 0, sizeof *s);
        (void)snprintf(s->name, sizeof s->name, "%s", name);
        s->next_seq = 1;
        s->used_ms = efx_solo__now_ms();
        s->next = *bucket;
        *bucket = s;
        a->n_sessions++;
    }
    return s;
}

void efx_solo__free_sessions(struct efx_solo *a)
{
    for (uint32_t i = 0; i < SESSION_BUCKETS; i++) {
        for (struct session *s = a->sessions[i], *next; s != NULL; s = next) {
            next = s->next;
            efx_mem_libc.free(&efx_mem_libc, s, sizeof *s);
        }
    }
}

/* ---- calls ---- */

static void maybe_free(struct efx_submit *s)
{
    if (s->ended && s->closed) {
        efx_mem_libc.free(&efx_mem_libc, s, sizeof *s);
    }
}

/* Leaves the list and the session, and says so. It may be gone then. */
static void end(struct efx_submit *s, const struct efx_err *why)
{
    if (s->ended) {
        return;
    }
    s->ended = true;
    if (s->at != NULL) {
        *s->at = s->next;
        if (s->next != NULL) {
            s->next->at = s->at;
        }
    }
    if (s->session != NULL && s->session->open == s) {
        s->session->open = NULL;
    }
    s->session = NULL;
    s->front->ended(s->front, why);
    maybe_free(s);
}

static void end_with(struct efx_submit *s, enum efx_rc rc, uint16_t code, const char *text)
{
    struct efx_err why = {.rc = rc, .kind = EFX_KIND_USER, .code = code};
    (void)snprintf(why.msg, sizeof why.msg, "%s", text);
    end(s, &why);
}

void efx_solo__end_submits(struct efx_solo *a, const struct efx_err *why)
{
    while (a->submits != NULL) {
        end(a->submits, why);
    }
}

static bool open_session(struct efx_solo *a, struct efx_submit *s, bool *known)
{
    struct session *t = efx_solo__session(a, s->how.session, known);
    if (t == NULL) {
        end_with(s, EFX_ELIMIT, 4005, "limit session.max, 65536, is reached");
        return false;
    }
    if (s->how.opening != 0 && s->how.opening < t->opening) {
        end_with(s, EFX_ESTALE, 4008, "the session was opened anew");
        return false;
    }
    if (t->open != NULL) {
        end_with(t->open, EFX_ESTALE, 4008, "the session was opened anew");
    }
    t->opening = s->how.opening != 0 ? s->how.opening : t->opening;
    t->open = s;
    s->session = t;
    s->ack.accepted = t->next_seq - 1;
    return true;
}

void efx_solo__open(struct efx_solo *a, struct efx_submit *s)
{
    struct efx_opened opened = {.next_seq = 1, .node = "alone", .epoch = 1};
    if (a->leaving) {
        end_with(s, EFX_AGAIN, 4006, "this node leaves");
        return;
    }
    if (s->how.level != EFX_LEVEL_ACCEPTED) {
        end_with(s, EFX_EDATA, 4009,
                 s->how.level == EFX_LEVEL_LOGGED ? "there is no write-ahead log"
                                                  : "this node runs without a store");
        return;
    }
    if (s->how.session[0] != '\0') {
        if (!open_session(a, s, &opened.known)) {
            return;
        }
        opened.next_seq = s->session->next_seq;
    }
    s->next = a->submits;
    s->at = &a->submits;
    if (s->next != NULL) {
        s->next->at = &s->next;
    }
    a->submits = s;
    s->front->opened(s->front, &opened, &s->ack);
}

void efx_solo__ask(struct efx_solo *a, struct efx_submit *s)
{
    (void)pthread_mutex_lock(&a->lock);
    bool drain = s->drain;
    s->drain = false;
    (void)pthread_mutex_unlock(&a->lock);
    if (s->ended) {
        return;
    }
    if (drain && !a->is_virtual) {
        end_with(s, EFX_EPARSE, 4002, "drain: the app runs on the system's clock");
        return;
    }
    if (drain) {
        enum efx_rc rc = efx_app_finish(a->app, 0);
        (void)rc; /* the app keeps its failure: pump looks */
    }
    s->touched = true;
}

void efx_solo__close_submit(struct efx_solo *a, struct efx_submit *s)
{
    (void)a;
    s->closed = true;
    if (s->ended) {
        maybe_free(s);
        return;
    }
    if (s->graceful) {
        s->front->ack(s->front, &s->ack);
    }
    end(s, &(struct efx_err){.rc = EFX_OK});
}

void efx_solo__ack_touched(struct efx_solo *a)
{
    for (struct efx_submit *s = a->submits; s != NULL; s = s->next) {
        if (s->touched) {
            s->touched = false;
            s->front->ack(s->front, &s->ack);
        }
    }
}

/* ---- rows ---- */

static bool all_set(const uint64_t *words, uint32_t n)
{
    uint64_t all = UINT64_MAX;
    for (uint32_t w = 0; w < efx_words(n); w++) {
        all &= efx_word(words, w, n) | (w * 64 + 64 > n ? UINT64_MAX << n % 64 : 0);
    }
    return all == UINT64_MAX;
}

static bool has_times(const struct efx_colset *s)
{
    for (uint32_t i = 0; i < s->n_rows; i++) {
        if (s->ts_ms[i] != EFX_TS_NONE) {
            return true;
        }
    }
    return false;
}

static enum efx_rc lend(struct efx_solo *a, const struct efx_builder *b)
{
    struct efx_col cols[EFX_SCHEMA_COLS_MAX];
    const struct efx_colset *s = b->set[b->used[0]];
    const struct efx_schema *schema = b->schemas[s->stream];
    EFX_RET(efx_app_submit(a->app)); /* the stream's rows stand alone in their builder */
    for (uint32_t c = 0; c < s->n_cols; c++) {
        cols[c] = (struct efx_col){schema->cols[c].type, s->data[c],
                                   all_set(s->valid[c], s->n_rows) ? NULL : s->valid[c]};
    }
    EFX_RET(efx_builder_lend(efx_app_builder(a->app), s->stream, s->n_rows, cols,
                             has_times(s) ? s->ts_ms : NULL));
    return efx_app_submit(a->app);
}

static enum efx_rc copy_row(const struct efx_colset *from, uint32_t row,
                            const struct efx_schema *schema, struct efx_builder *to)
{
    struct efx_colset *s;
    EFX_RET(efx_builder_begin(to, from->stream, from->ts_ms[row], &s));
    for (uint32_t c = 0; c < s->n_cols; c++) {
        struct efx_col col = {schema->cols[c].type, from->data[c], NULL};
        if (!efx_bit(from->valid[c], row)) {
            continue;
        }
        if (efx_type_is_cell(col.type)) {
            const struct efx_cell *cell = (const struct efx_cell *)col.data + row;
            EFX_RET(efx_builder_text(to, s, c, efx_cell_bytes(cell), cell->len));
        } else {
            efx_col_copy_slot(s->data[c], s->n_rows, &col, row);
            efx_builder_valid(s, c);
        }
    }
    efx_builder_end(to, s);
    return EFX_OK;
}

static enum efx_rc copy_turn(struct efx_solo *a, const struct efx_builder *b, struct efx_turn t)
{
    if (efx_builder_full(efx_app_builder(a->app))) {
        EFX_RET(efx_app_submit(a->app));
    }
    struct efx_builder *to = efx_app_builder(a->app);
    if (t.stream == EFX_TURN_CLOCK) {
        return efx_builder_advance(to, b->clock_ms[t.row]);
    }
    if (t.stream == EFX_TURN_REJECT) {
        const struct efx_reject *r = &b->rejects[t.row];
        return efx_builder_reject(to, r->stream, r->code, r->line, efx_cell_bytes(&r->original),
                                  r->original.len);
    }
    return copy_row(b->set[t.stream], t.row, b->schemas[t.stream], to);
}

static enum efx_rc into_app(struct efx_solo *a, const struct efx_builder *b, uint32_t skip)
{
    if (skip == 0 && b->n_used == 1 && b->n_clocks == 0 && b->n_rejects == 0) {
        return lend(a, b);
    }
    for (uint32_t i = skip; i < b->n_turns; i++) {
        EFX_RET(copy_turn(a, b, b->turns[i]));
    }
    return efx_app_submit(a->app);
}

void efx_solo__take(struct efx_solo *a, const struct pooled *p)
{
    struct efx_submit *s = p->submit;
    const struct efx_builder *b = p->b;
    uint32_t n = b->n_turns - b->n_clocks, skip = 0;
    if (s->ended) {
        return;
    }
    if (b->n_clocks > 0 && !a->is_virtual) {
        end_with(s, EFX_EPARSE, 4002, "advance_ms: the app runs on the system's clock");
        return;
    }
    uint64_t next = s->ack.accepted + 1;
    if (s->session != NULL && p->first_seq > next) {
        end_with(s, EFX_DONE, 4007, "a row is missing");
        return;
    }
    if (s->session != NULL && p->first_seq < next) {
        uint64_t known = next - p->first_seq;
        skip = known < n ? (uint32_t)known : n;
    }
    if (into_app(a, b, skip) != EFX_OK) {
        return; /* the app has stopped: pump ends the call */
    }
    s->ack.accepted += n - skip;
    s->ack.repeats += skip;
    s->touched = true;
    if (s->session != NULL) {
        s->session->next_seq = s->ack.accepted + 1;
        s->session->used_ms = efx_solo__now_ms();
    }
}
