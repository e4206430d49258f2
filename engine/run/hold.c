/* Watermarks: events of streams with a delay are held and released in order of (timestamp,
 * arrival) as the clock reaches them (language §16.3).
 *
 *   clock = least of (largest timestamp − delay) over the streams with a delay that have had an
 *   event
 *
 *   arrivals  10  12  11  20       delay 5
 *   clock      5   7   7  15  ─► released 10, 11, 12 in this order
 *
 * Events of other streams are taken as they come and do not move the clock: one ahead of it bears
 * its
 * present value; those that come before it has started wait for it. What is released goes into a
 * builder of its own, with its timestamp, and is numbered like any input.
 *
 *   State  held events are saved with the app (save.c)
 */
#include "run.h"

#include "efx_rowbytes.h"

/* ---- the heap of held events ---- */

static bool before(const struct held_event *a, const struct held_event *b)
{
    return a->ts_ms != b->ts_ms ? a->ts_ms < b->ts_ms : a->seq < b->seq;
}

static enum efx_rc grow(struct held_event **v, uint32_t n, uint32_t *max)
{
    if (n < *max) {
        return EFX_OK;
    }
    uint32_t more = *max == 0 ? 256 : *max * 2;
    struct held_event *p = efx_mem_grow(&efx_mem_libc, *v, *max * sizeof *p, more * sizeof *p);
    if (p == NULL) {
        return EFX_ENOMEM;
    }
    *v = p;
    *max = more;
    return EFX_OK;
}

static enum efx_rc heap_add(struct efx_app *app, const struct held_event *e)
{
    EFX_RET(grow(&app->held, app->n_held, &app->held_max));
    uint32_t i = app->n_held++;
    for (; i > 0 && before(e, &app->held[(i - 1) / 2]); i = (i - 1) / 2) {
        app->held[i] = app->held[(i - 1) / 2];
    }
    app->held[i] = *e;
    return EFX_OK;
}

static struct held_event heap_take(struct efx_app *app)
{
    struct held_event top = app->held[0], last = app->held[--app->n_held];
    uint32_t i = 0;
    for (uint32_t k = 1; k < app->n_held; k = i * 2 + 1) {
        k += k + 1 < app->n_held && before(&app->held[k + 1], &app->held[k]);
        if (!before(&app->held[k], &last)) {
            break;
        }
        app->held[i] = app->held[k];
        i = k;
    }
    if (app->n_held > 0) {
        app->held[i] = last;
    }
    return top;
}

static enum efx_rc keep(struct efx_app *app, const struct efx_colset *s, uint16_t stream,
                        uint32_t row, int64_t ts_ms, struct held_event *out)
{
    const struct efx_schema *schema = &app->plan->program->objects[stream]->schema;
    struct efx_col cols[EFX_SCHEMA_COLS_MAX];
    for (uint32_t c = 0; c < s->n_cols; c++) {
        cols[c] = s->lent != NULL ? s->lent[c]
                                  : (struct efx_col){schema->cols[c].type, s->data[c], s->valid[c]};
    }
    uint32_t n = efx_rowbytes_size(cols, s->n_cols, row);
    uint8_t *bytes = efx_mem_libc.alloc(&efx_mem_libc, n);
    if (bytes == NULL) {
        return EFX_ENOMEM;
    }
    efx_rowbytes_put(cols, s->n_cols, row, bytes);
    *out = (struct held_event){ts_ms, app->held_seq++, stream, n, bytes};
    return EFX_OK;
}

/* ---- what is let go ---- */

static enum efx_rc flush_sorted(struct efx_app *app)
{
    if (app->sorted->n_turns == 0) {
        return EFX_OK;
    }
    struct efx_builder *full = app->sorted;
    app->sorted = app->spare[--app->n_spare];
    return efx_run__number(app, full);
}

static enum efx_rc room(struct efx_app *app)
{
    return efx_builder_full(app->sorted) ? flush_sorted(app) : EFX_OK;
}

/* Puts an event into the sorted builder; its texts are copied there. */
static enum efx_rc emit(struct efx_app *app, const struct held_event *e, int64_t ts_ms)
{
    struct efx_colset *s;
    EFX_RET(room(app));
    EFX_RET(efx_builder_begin(app->sorted, e->stream, ts_ms, &s));
    const struct efx_schema *schema = &app->plan->program->objects[e->stream]->schema;
    enum efx_type types[EFX_SCHEMA_COLS_MAX];
    for (uint32_t c = 0; c < s->n_cols; c++) {
        types[c] = schema->cols[c].type;
    }
    uint8_t *bytes = efx_arena_bytes(&app->sorted->heap, e->n_bytes + 1);
    if (bytes == NULL) {
        return EFX_ENOMEM;
    }
    memcpy(bytes, e->bytes, e->n_bytes);
    struct efx_reader r = {bytes, e->n_bytes, false};
    struct efx_rowbytes_cols to = {s->n_cols, types, s->data, s->valid};
    EFX_ASSERT(efx_rowbytes_get(&r, &to, s->n_rows));
    efx_builder_end(app->sorted, s);
    return EFX_OK;
}

/* Where the clock will stand when what is in the sorted builder is numbered. */
struct future {
    int64_t clock_ms;
};

static enum efx_rc clock_to(struct efx_app *app, struct future *f, int64_t to_ms)
{
    if (f->clock_ms == EFX_TS_NONE || to_ms <= f->clock_ms) {
        return EFX_OK;
    }
    EFX_RET(room(app));
    EFX_RET(efx_builder_advance(app->sorted, to_ms - f->clock_ms));
    f->clock_ms = to_ms;
    return EFX_OK;
}

static enum efx_rc emit_early(struct efx_app *app, struct future *f)
{
    for (uint32_t i = 0; i < app->n_early; i++) {
        struct held_event *e = &app->early[i];
        int64_t ts = e->ts_ms > f->clock_ms ? f->clock_ms : e->ts_ms;
        EFX_RET(emit(app, e, ts));
        efx_mem_libc.free(&efx_mem_libc, e->bytes, e->n_bytes);
    }
    app->n_early = 0;
    return EFX_OK;
}

/* The clock starts: an event whose timestamp it is would move it there, so a step does it
 * instead. */
static enum efx_rc start_clock(struct efx_app *app, struct future *f, int64_t at_ms)
{
    EFX_RET(flush_sorted(app));
    EFX_RET(efx_run__advance_to(app, at_ms, EFX_STEP_ADVANCE));
    f->clock_ms = at_ms;
    return emit_early(app, f);
}

/* The clock passes through the timestamps of what it releases, then stands at `to_ms`. */
static enum efx_rc release(struct efx_app *app, struct future *f, int64_t to_ms)
{
    if (f->clock_ms == EFX_TS_NONE) {
        EFX_RET(start_clock(app, f, to_ms));
    }
    while (app->n_held > 0 && app->held[0].ts_ms <= to_ms) {
        struct held_event e = heap_take(app);
        f->clock_ms = e.ts_ms > f->clock_ms ? e.ts_ms : f->clock_ms;
        enum efx_rc rc = emit(app, &e, e.ts_ms);
        efx_mem_libc.free(&efx_mem_libc, e.bytes, e.n_bytes);
        EFX_RET(rc);
    }
    return clock_to(app, f, to_ms);
}

static int64_t watermark(const struct efx_app *app)
{
    const struct efx_program *p = app->plan->program;
    int64_t least = EFX_NEVER_MS;
    for (uint32_t i = 0; i < p->n_objects; i++) {
        const struct efx_bobject *o = p->objects[i];
        if (o->kind == EFX_OBJ_STREAM && o->conf.watermark_delay_ms >= 0 &&
            app->max_ts[i] != EFX_TS_NONE) {
            int64_t mark = app->max_ts[i] - o->conf.watermark_delay_ms;
            least = mark < least ? mark : least;
        }
    }
    return least;
}

static enum efx_rc delayed(struct efx_app *app, struct future *f, const struct efx_colset *s,
                           const struct efx_bobject *o, uint32_t row, int64_t ts_ms)
{
    struct held_event e;
    EFX_RET(keep(app, s, (uint16_t)o->id, row, ts_ms, &e));
    bool late = f->clock_ms != EFX_TS_NONE && ts_ms < f->clock_ms;
    if (late) { /* its policy is for numbering to decide, which sees that it is behind the clock */
        enum efx_rc rc = emit(app, &e, ts_ms);
        efx_mem_libc.free(&efx_mem_libc, e.bytes, e.n_bytes);
        return rc;
    }
    EFX_RET(heap_add(app, &e));
    if (app->max_ts[o->id] == EFX_TS_NONE || ts_ms > app->max_ts[o->id]) {
        app->max_ts[o->id] = ts_ms;
    }
    int64_t to_ms = watermark(app);
    return f->clock_ms != EFX_TS_NONE && to_ms <= f->clock_ms ? EFX_OK : release(app, f, to_ms);
}

static enum efx_rc plain(struct efx_app *app, struct future *f, const struct efx_colset *s,
                         const struct efx_bobject *o, uint32_t row, int64_t ts_ms)
{
    struct held_event e;
    EFX_RET(keep(app, s, (uint16_t)o->id, row, ts_ms, &e));
    if (f->clock_ms == EFX_TS_NONE) {
        EFX_RET(grow(&app->early, app->n_early, &app->early_max));
        e.ts_ms = ts_ms == EFX_TS_NONE ? INT64_MAX : ts_ms;
        app->early[app->n_early++] = e;
        return EFX_OK;
    }
    int64_t ts = ts_ms == EFX_TS_NONE || ts_ms > f->clock_ms ? f->clock_ms : ts_ms;
    enum efx_rc rc = emit(app, &e, ts);
    efx_mem_libc.free(&efx_mem_libc, e.bytes, e.n_bytes);
    return rc;
}

static enum efx_rc hold_row(struct efx_app *app, struct future *f, const struct efx_colset *s,
                            const struct efx_bobject *o, uint32_t row)
{
    int64_t ts_ms =
        s->lent != NULL ? (s->lent_ts != NULL ? s->lent_ts[row] : EFX_TS_NONE) : s->ts_ms[row];
    bool stream = o->kind == EFX_OBJ_STREAM;
    if (stream && o->conf.event_time_col != EFX_NO_COL && !efx_run__event_time(o, s, row, &ts_ms)) {
        EFX_RET(room(app));
        EFX_RET(efx_builder_reject(app->sorted, (uint16_t)o->id, 3003, 0, "", 0));
        app->rows_in[o->id]++;
        return EFX_OK;
    }
    if (stream && o->conf.watermark_delay_ms >= 0 && ts_ms != EFX_TS_NONE) {
        return delayed(app, f, s, o, row, ts_ms);
    }
    return plain(app, f, s, o, row, ts_ms);
}

enum efx_rc efx_run__hold(struct efx_app *app, struct efx_builder *b)
{
    struct future f = {app->clock_ms};
    enum efx_rc rc = EFX_OK;
    for (uint32_t t = 0; t < b->n_turns && rc == EFX_OK; t++) {
        struct efx_turn turn = b->turns[t];
        if (turn.stream == EFX_TURN_CLOCK) {
            rc = release(app, &f,
                         (f.clock_ms == EFX_TS_NONE ? 0 : f.clock_ms) + b->clock_ms[turn.row]);
        } else if (turn.stream == EFX_TURN_REJECT) {
            const struct efx_reject *r = &b->rejects[turn.row];
            rc = room(app);
            if (rc == EFX_OK) {
                rc = efx_builder_reject(app->sorted, r->stream, r->code, r->line,
                                        efx_cell_bytes(&r->original), r->original.len);
            }
        } else {
            rc = hold_row(app, &f, b->set[turn.stream], app->plan->program->objects[turn.stream],
                          turn.row);
        }
    }
    efx_builder_clear(b);
    app->spare[app->n_spare++] = b;
    return rc == EFX_OK ? flush_sorted(app) : rc;
}

/* The input has ended: everything held goes, the clock with it. */
enum efx_rc efx_run__release_all(struct efx_app *app)
{
    struct future f = {app->clock_ms};
    if (f.clock_ms == EFX_TS_NONE && app->n_early > 0 && app->n_held == 0) {
        EFX_RET(start_clock(app, &f, 0));
    }
    while (app->n_held > 0) {
        EFX_RET(release(app, &f, app->held[0].ts_ms));
    }
    return flush_sorted(app);
}

/* ---- save ---- */

size_t efx_run__held_bytes(const struct efx_app *app)
{
    size_t n = 8;
    for (uint32_t i = 0; i < app->n_held; i++) {
        n += 8 + 8 + 4 + 4 + app->held[i].n_bytes;
    }
    for (uint32_t i = 0; i < app->n_early; i++) {
        n += 8 + 8 + 4 + 4 + app->early[i].n_bytes;
    }
    return n;
}

static void put_event(struct efx_writer *w, const struct held_event *e)
{
    efx_put_i64(w, e->ts_ms);
    efx_put_u64(w, e->seq);
    efx_put_u32(w, e->stream);
    efx_put_u32(w, e->n_bytes);
    efx_put_raw(w, e->bytes, e->n_bytes);
}

void efx_run__held_put(const struct efx_app *app, struct efx_writer *w)
{
    efx_put_u32(w, app->n_held);
    efx_put_u32(w, app->n_early);
    for (uint32_t i = 0; i < app->n_held; i++) {
        put_event(w, &app->held[i]);
    }
    for (uint32_t i = 0; i < app->n_early; i++) {
        put_event(w, &app->early[i]);
    }
}

/* EFX_DONE: its stream is not there any more. */
static enum efx_rc get_event(struct efx_app *app, struct efx_reader *r, const uint32_t *map,
                             uint32_t n_streams, struct held_event *e)
{
    e->ts_ms = efx_get_i64(r);
    e->seq = efx_get_u64(r);
    uint32_t stream = efx_get_u32(r);
    e->n_bytes = efx_get_u32(r);
    struct efx_bytes bytes = efx_get_view(r, e->n_bytes);
    if (r->bad || stream >= n_streams) {
        return EFX_EPARSE;
    }
    app->held_seq = e->seq >= app->held_seq ? e->seq + 1 : app->held_seq;
    if (map[stream] == EFX_NO_COL) {
        return EFX_DONE;
    }
    e->stream = (uint16_t)map[stream];
    e->bytes = efx_mem_libc.alloc(&efx_mem_libc, e->n_bytes);
    if (e->bytes == NULL) {
        return EFX_ENOMEM;
    }
    if (bytes.n > 0) {
        memcpy(e->bytes, bytes.p, bytes.n);
    }
    return EFX_OK;
}

static void forget_all(struct efx_app *app)
{
    while (app->n_held > 0) {
        struct held_event e = heap_take(app);
        efx_mem_libc.free(&efx_mem_libc, e.bytes, e.n_bytes);
    }
    while (app->n_early > 0) {
        struct held_event *e = &app->early[--app->n_early];
        efx_mem_libc.free(&efx_mem_libc, e->bytes, e->n_bytes);
    }
}

enum efx_rc efx_run__held_get(struct efx_app *app, struct efx_reader *r, const uint32_t *stream,
                              uint32_t n_streams, uint64_t *dropped)
{
    uint32_t n_held = efx_get_u32(r), n_early = efx_get_u32(r);
    struct held_event e;
    forget_all(app); /* an older checkpoint of the chain brought these */
    for (uint32_t i = 0; i < n_held; i++) {
        enum efx_rc rc = get_event(app, r, stream, n_streams, &e);
        *dropped += rc == EFX_DONE;
        EFX_RET(rc == EFX_OK ? heap_add(app, &e) : rc == EFX_DONE ? EFX_OK : rc);
    }
    for (uint32_t i = 0; i < n_early; i++) {
        enum efx_rc rc = get_event(app, r, stream, n_streams, &e);
        *dropped += rc == EFX_DONE;
        if (rc == EFX_OK) {
            EFX_RET(grow(&app->early, app->n_early, &app->early_max));
            app->early[app->n_early++] = e;
        } else if (rc != EFX_DONE) {
            return rc;
        }
    }
    return EFX_OK;
}
