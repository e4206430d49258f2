/* What is refused, and why: event time, NOT NULL, late policy; and the dead letters that stand in
 * its place.
 *
 *   turn ─► judge ─► taken
 *                 └► refused: counted; where somebody reads them, a row of the fault stream or
 *                 the DLQ
 *                    stream takes the turn's place, so it has the turn's moment
 *
 *   Source  language.md §16.2, §16.4, §17
 */
#include "run.h"

#include "efx_row_json.h"
#include "efx_time.h"

#include <stdio.h>

static const int64_t TS_MIN = -62135596800000; /* year 1 */
static const int64_t TS_MAX = 253402300799999; /* year 9999 */

static const uint16_t code_list[CODES] = {0,    3001, 3002, 3003, 3004, 3101,
                                          3102, 3104, 3105, 3106, 3201, 3301};

uint32_t efx_run__code_place(uint16_t code)
{
    for (uint32_t i = 1; i < CODES; i++) {
        if (code_list[i] == code) {
            return i;
        }
    }
    return 0;
}

uint16_t efx_run__code_at(uint32_t place)
{
    return code_list[place];
}

/* ---- event time ---- */

bool efx_run__event_time(const struct efx_bobject *o, const struct efx_colset *s, uint32_t row,
                         int64_t *ts_ms)
{
    uint32_t c = o->conf.event_time_col;
    const uint64_t *valid = s->lent != NULL ? s->lent[c].valid : s->valid[c];
    const void *data = s->lent != NULL ? s->lent[c].data : s->data[c];
    if (!efx_bit(valid, row)) {
        return false;
    }
    if (o->schema.cols[c].type == EFX_TYPE_LONG) {
        *ts_ms = ((const int64_t *)data)[row];
        return true;
    }
    const struct efx_cell *cell = (const struct efx_cell *)data + row;
    return efx_time_parse(o->conf.event_time_format, (const char *)efx_cell_bytes(cell), cell->len,
                          ts_ms);
}

static int64_t given_ts(const struct efx_colset *s, uint32_t row)
{
    if (s->lent != NULL) {
        return s->lent_ts != NULL ? s->lent_ts[row] : EFX_TS_NONE;
    }
    return s->ts_ms[row];
}

/* ---- judging ---- */

/* 0, or the code of a data error. *ts is the event's timestamp; the clock as it stands before it.
 * */
uint16_t efx_run__judge(const struct efx_app *app, const struct efx_bobject *o,
                        const struct efx_colset *s, uint32_t row, int64_t clock_ms, int64_t *ts)
{
    const struct efx_schema *schema = &o->schema;
    bool stream = o->kind == EFX_OBJ_STREAM;
    *ts = given_ts(s, row);
    if (stream && o->conf.event_time_col != EFX_NO_COL && !efx_run__event_time(o, s, row, ts)) {
        return 3003;
    }
    if (*ts == EFX_TS_NONE) {
        *ts = clock_ms == EFX_TS_NONE ? 0 : clock_ms;
    } else if (*ts < TS_MIN || *ts > TS_MAX) {
        return 3003;
    }
    for (uint32_t c = 0; stream && c < schema->n_cols; c++) {
        const uint64_t *valid = s->lent != NULL ? s->lent[c].valid : s->valid[c];
        if (schema->cols[c].not_null && !efx_bit(valid, row)) {
            return 3102;
        }
    }
    if (stream && app->opts.virtual_clock && o->conf.late != EFX_LATE_KEEP &&
        clock_ms != EFX_TS_NONE && *ts < clock_ms) {
        return 3004;
    }
    return 0;
}

static const struct efx_bobject *letters_of(const struct efx_bobject *o, uint16_t code)
{
    if (o == NULL || o->kind != EFX_OBJ_STREAM) {
        return NULL;
    }
    if (code == 3004) {
        return o->conf.late == EFX_LATE_DLQ ? o->conf.dlq : NULL;
    }
    if (o->conf.to_fault_stream && code != 3001 && code != 3002) {
        return o->fault;
    }
    return o->conf.errors == EFX_ERRORS_DLQ ? o->conf.dlq : NULL;
}

void efx_run__count_reject(struct efx_app *app, const struct efx_bobject *o, uint16_t code)
{
    if (code == 3004 && o != NULL && o->conf.late == EFX_LATE_DROP) {
        app->n_late_dropped++;
        return;
    }
    uint32_t id = o == NULL ? app->plan->program->n_objects : o->id;
    app->ingest_errors[id * CODES + efx_run__code_place(code)]++;
    if (o != NULL && o->kind == EFX_OBJ_STREAM && code != 3004 &&
        o->conf.errors == EFX_ERRORS_FAIL && !o->conf.to_fault_stream) {
        efx_run__fail(app, EFX_EDATA, "");
        (void)snprintf(app->err.msg, sizeof app->err.msg,
                       "%s on stream %s, whose error.strategy is fail", efx_errors_text(code),
                       o->schema.name);
        app->err.code = code;
    }
}

/* ---- dead letters ---- */

static const struct efx_col *set_cols(struct efx_arena *a, const struct efx_colset *s,
                                      const struct efx_schema *schema)
{
    if (s->lent != NULL) {
        return s->lent;
    }
    struct efx_col *cols = EFX_NEW_N(a, struct efx_col, s->n_cols + 1);
    for (uint32_t c = 0; cols != NULL && c < s->n_cols; c++) {
        cols[c] = (struct efx_col){schema->cols[c].type, s->data[c], s->valid[c]};
    }
    return cols;
}

static enum efx_rc copy_row(struct efx_builder *to, const struct efx_bobject *o,
                            const struct efx_col *cols, uint32_t n_cols, uint32_t row,
                            int64_t ts_ms, struct efx_colset **open)
{
    EFX_RET(efx_builder_begin(to, (uint16_t)o->id, ts_ms, open));
    for (uint32_t c = 0; c < n_cols; c++) {
        if (!efx_bit(cols[c].valid, row)) {
            continue;
        }
        if (efx_type_is_cell(cols[c].type)) {
            const struct efx_cell *cell = (const struct efx_cell *)cols[c].data + row;
            EFX_RET(efx_builder_text(to, *open, c, efx_cell_bytes(cell), cell->len));
        } else {
            efx_col_copy_slot((*open)->data[c], (*open)->n_rows, &cols[c], row);
            efx_builder_valid(*open, c);
        }
    }
    return EFX_OK;
}

static enum efx_rc put_text(struct efx_builder *to, struct efx_colset *s, uint32_t c,
                            const char *text)
{
    return efx_builder_text(to, s, c, text, (uint32_t)strlen(text));
}

static enum efx_rc dead_letter(struct efx_builder *to, const struct efx_bobject *dlq,
                               const struct efx_bobject *from, uint16_t code,
                               struct efx_str original, int64_t ts_ms)
{
    struct efx_colset *s;
    const char *text = efx_errors_text(code);
    EFX_RET(efx_builder_begin(to, (uint16_t)dlq->id, EFX_TS_NONE, &s));
    EFX_RET(efx_builder_text(to, s, 0, original.p, original.n));
    EFX_RET(put_text(to, s, 1, text));
    EFX_RET(efx_builder_text(to, s, 2, text, 8));
    ((int64_t *)s->data[3])[s->n_rows] = ts_ms;
    ((int32_t *)s->data[4])[s->n_rows] = 1;
    efx_builder_valid(s, 3);
    efx_builder_valid(s, 4);
    EFX_RET(put_text(to, s, 5, from->schema.name));
    efx_builder_end(to, s);
    return EFX_OK;
}

static enum efx_rc letter_of_row(struct efx_builder *to, struct efx_arena *tmp,
                                 const struct efx_bobject *target, const struct efx_bobject *o,
                                 uint16_t code, const struct efx_col *cols, uint32_t row,
                                 int64_t ts_ms)
{
    if (target->fault_of != NULL) {
        struct efx_colset *s;
        EFX_RET(copy_row(to, target, cols, o->schema.n_cols, row, EFX_TS_NONE, &s));
        EFX_RET(put_text(to, s, o->schema.n_cols, efx_errors_text(code)));
        efx_builder_end(to, s);
        return EFX_OK;
    }
    const struct efx_col **ptr = EFX_NEW_N(tmp, const struct efx_col *, o->schema.n_cols + 1);
    for (uint32_t c = 0; ptr != NULL && c < o->schema.n_cols; c++) {
        ptr[c] = &cols[c];
    }
    struct efx_str text =
        ptr == NULL ? (struct efx_str){NULL, 0} : efx_row_json(tmp, &o->schema, ptr, row);
    return text.p == NULL ? EFX_ENOMEM : dead_letter(to, target, o, code, text, ts_ms);
}

/* Is anything in the builder refused whose letter somebody reads? */
bool efx_run__needs_letters(struct efx_app *app, const struct efx_builder *b)
{
    const struct efx_program *p = app->plan->program;
    int64_t clock_ms = app->clock_ms;
    for (uint32_t t = 0; app->has_letters && t < b->n_turns; t++) {
        struct efx_turn turn = b->turns[t];
        if (turn.stream == EFX_TURN_CLOCK) {
            clock_ms = (clock_ms == EFX_TS_NONE ? 0 : clock_ms) + b->clock_ms[turn.row];
            continue;
        }
        uint16_t code;
        const struct efx_bobject *o;
        int64_t ts = clock_ms;
        if (turn.stream == EFX_TURN_REJECT) {
            const struct efx_reject *r = &b->rejects[turn.row];
            o = r->stream < p->n_objects ? p->objects[r->stream] : NULL;
            code = r->code;
        } else {
            o = p->objects[turn.stream];
            code = efx_run__judge(app, o, b->set[turn.stream], turn.row, clock_ms, &ts);
        }
        if (code != 0 && letters_of(o, code) != NULL) {
            return true;
        }
        if (code == 0 && app->opts.virtual_clock && ts > clock_ms) {
            clock_ms = ts;
        }
    }
    return false;
}

/* The same turns, dead letters in place of what is refused. */
enum efx_rc efx_run__rewrite(struct efx_app *app, const struct efx_builder *b,
                             struct efx_builder *to)
{
    const struct efx_program *p = app->plan->program;
    int64_t clock_ms = app->clock_ms;
    struct efx_arena tmp;
    efx_arena_init(&tmp, &efx_mem_libc, SIZE_MAX);
    enum efx_rc rc = EFX_OK;
    for (uint32_t t = 0; t < b->n_turns && rc == EFX_OK; t++) {
        struct efx_turn turn = b->turns[t];
        if (turn.stream == EFX_TURN_CLOCK) {
            clock_ms = (clock_ms == EFX_TS_NONE ? 0 : clock_ms) + b->clock_ms[turn.row];
            rc = efx_builder_advance(to, b->clock_ms[turn.row]);
            continue;
        }
        if (turn.stream == EFX_TURN_REJECT) {
            const struct efx_reject *r = &b->rejects[turn.row];
            const struct efx_bobject *o = r->stream < p->n_objects ? p->objects[r->stream] : NULL;
            const struct efx_bobject *target = letters_of(o, r->code);
            struct efx_str text = {(const char *)efx_cell_bytes(&r->original), r->original.len};
            if (target != NULL) {
                efx_run__count_reject(app, o, r->code);
                rc = dead_letter(to, target, o, r->code, text, clock_ms);
            } else {
                rc = efx_builder_reject(to, r->stream, r->code, r->line, text.p, text.n);
            }
            continue;
        }
        const struct efx_bobject *o = p->objects[turn.stream];
        const struct efx_colset *s = b->set[turn.stream];
        const struct efx_col *cols = set_cols(&tmp, s, &o->schema);
        int64_t ts;
        uint16_t code = efx_run__judge(app, o, s, turn.row, clock_ms, &ts);
        const struct efx_bobject *target = code == 0 ? NULL : letters_of(o, code);
        if (target != NULL) {
            efx_run__count_reject(app, o, code);
            app->rows_in[o->id]++;
            rc = letter_of_row(to, &tmp, target, o, code, cols, turn.row, ts);
            continue;
        }
        struct efx_colset *open;
        rc = copy_row(to, o, cols, s->n_cols, turn.row, given_ts(s, turn.row), &open);
        if (rc == EFX_OK) {
            efx_builder_end(to, open);
        }
        if (code == 0 && app->opts.virtual_clock && ts > clock_ms) {
            clock_ms = ts;
        }
    }
    efx_arena_fini(&tmp);
    return rc;
}
