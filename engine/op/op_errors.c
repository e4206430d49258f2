/* The end of error edges: counts, and makes rows of the fault stream or the DLQ stream.
 *
 *   fault stream   the event's columns, then _error 'EFX-3101: …'
 *   DLQ stream     originalEvent, errorMessage, errorType, timestamp, attemptCount, streamName
 */
#include "efx_ops.h"

#include "efx_row_json.h"

#include <stdio.h>

enum { DLQ_COLS = 6 };

struct op_errors {
    struct efx_op base;
    const struct efx_errors_conf *conf;
};

const char *efx_errors_text(uint16_t code)
{
    switch (code) {
    case 3001: return "EFX-3001: payload unreadable";
    case 3002: return "EFX-3002: field does not fit";
    case 3003: return "EFX-3003: event time is missing or out of range";
    case 3004: return "EFX-3004: late event";
    case 3101: return "EFX-3101: value out of range";
    case 3102: return "EFX-3102: NULL is not allowed here";
    case 3104: return "EFX-3104: sum is too large for LONG";
    case 3105: return "EFX-3105: loop does not end";
    case 3106: return "EFX-3106: too many partial matches";
    case 3201: return "EFX-3201: external table failed";
    case 3301: return "EFX-3301: bad regular expression or other argument";
    default: return "EFX-3000: data error";
    }
}

struct made { /* rows of the target */
    struct efx_col *cols;
    const uint32_t *at;
    uint32_t n;
};

static struct efx_cell *text_col(struct op_errors *self, struct made *m, uint32_t c)
{
    struct efx_cell *cells = efx_scratch(self->base.ctx, m->n * sizeof *cells);
    m->cols[c] = (struct efx_col){EFX_TYPE_STRING, cells, NULL};
    return cells;
}

static void fault_cols(struct op_errors *self, const struct efx_batch *b, struct made *m)
{
    struct efx_ctx *ctx = self->base.ctx;
    const struct efx_schema *s = &self->conf->stream->schema;
    for (uint32_t c = 0; c < s->n_cols; c++) {
        uint32_t place = self->conf->cols[c];
        void *data = efx_scratch_zero(ctx, m->n * efx_type_width(s->cols[c].type));
        uint64_t *valid = efx_scratch_zero(ctx, efx_words(m->n) * sizeof *valid);
        for (uint32_t i = 0; i < m->n && place != EFX_NO_COL; i++) {
            if (efx_bit(b->cols[place].valid, m->at[i])) {
                efx_col_copy_slot(data, i, &b->cols[place], m->at[i]);
                efx_bit_put(valid, i, true);
            }
        }
        m->cols[c] = (struct efx_col){s->cols[c].type, data, valid};
    }
    struct efx_cell *text = text_col(self, m, s->n_cols);
    for (uint32_t i = 0; i < m->n; i++) {
        const char *t = efx_errors_text(b->code[m->at[i]]);
        text[i] = efx_cell_make(t, (uint32_t)strlen(t));
    }
}

static struct efx_cell event_text(struct op_errors *self, const struct efx_batch *b, uint32_t row)
{
    const struct efx_schema *s = &self->conf->stream->schema;
    const struct efx_col **cols = efx_scratch(self->base.ctx, (s->n_cols + 1) * sizeof *cols);
    for (uint32_t c = 0; c < s->n_cols; c++) {
        cols[c] = self->conf->cols[c] == EFX_NO_COL ? NULL : &b->cols[self->conf->cols[c]];
    }
    struct efx_str text = efx_row_json(&self->base.ctx->step, s, cols, row);
    return efx_cell_make(text.p == NULL ? "" : text.p, text.n);
}

static void dlq_cols(struct op_errors *self, const struct efx_batch *b, struct made *m)
{
    struct efx_ctx *ctx = self->base.ctx;
    struct efx_cell *event = text_col(self, m, 0), *message = text_col(self, m, 1);
    struct efx_cell *type = text_col(self, m, 2), *stream = text_col(self, m, 5);
    int64_t *ts = efx_scratch(ctx, m->n * sizeof *ts);
    int32_t *attempts = efx_scratch(ctx, m->n * sizeof *attempts);
    const char *name = self->conf->stream->schema.name;
    for (uint32_t i = 0; i < m->n; i++) {
        const char *t = efx_errors_text(b->code[m->at[i]]);
        event[i] = event_text(self, b, m->at[i]);
        message[i] = efx_cell_make(t, (uint32_t)strlen(t));
        type[i] = efx_cell_make(t, 8); /* "EFX-3101" */
        ts[i] = b->ts_ms[m->at[i]];
        attempts[i] = 1;
        stream[i] = efx_cell_make(name, (uint32_t)strlen(name));
    }
    m->cols[3] = (struct efx_col){EFX_TYPE_LONG, ts, NULL};
    m->cols[4] = (struct efx_col){EFX_TYPE_INT, attempts, NULL};
}

static void count(struct op_errors *self, const struct efx_batch *b, const struct made *m)
{
    for (uint32_t i = 0; i < m->n; i++) {
        struct efx_error_sink *sink = self->base.ctx->errors;
        sink->report(sink, self->conf->stream->id, b->code[m->at[i]], 1);
    }
}

static enum efx_rc push(struct op_errors *self, const struct efx_step *step,
                        const struct efx_batch *b, const struct made *m, uint32_t n_cols)
{
    struct efx_ctx *ctx = self->base.ctx;
    int64_t *ts = efx_scratch(ctx, m->n * sizeof *ts), *clk = efx_scratch(ctx, m->n * sizeof *clk);
    efx_moment *moment = efx_scratch(ctx, m->n * sizeof *moment);
    uint64_t *sub = efx_scratch(ctx, m->n * sizeof *sub);
    for (uint32_t i = 0; i < m->n; i++) {
        ts[i] = b->ts_ms[m->at[i]];
        clk[i] = efx_batch_clk_ms(b, m->at[i]);
        moment[i] = b->moment != NULL ? b->moment[m->at[i]] : 0;
        sub[i] = b->sub != NULL ? b->sub[m->at[i]] : 0;
    }
    struct efx_batch out = {.n_rows = m->n,
                            .n_cols = n_cols,
                            .cols = m->cols,
                            .ts_ms = ts,
                            .clk_ms = clk,
                            .moment = b->moment != NULL ? moment : NULL,
                            .sub = b->sub != NULL ? sub : NULL};
    struct efx_rows rows = efx_rows_all(&out);
    self->base.n_rows_out += m->n;
    return efx_edge_push(&self->base.out[0].rows, step, &rows);
}

static enum efx_rc errors_rows(struct efx_op *op, uint32_t inlet, const struct efx_step *step,
                               const struct efx_rows *in)
{
    struct op_errors *self = (struct op_errors *)op;
    (void)inlet;
    struct efx_ctx_mark mark = efx_ctx_begin(op->ctx);
    uint32_t *at = efx_scratch(op->ctx, (in->until - in->from) * sizeof *at);
    struct made m = {.at = at, .n = efx_rows_list(in, at)};
    enum efx_rc rc = EFX_OK;
    op->n_rows_in += m.n;
    count(self, in->b, &m);
    uint32_t n_cols = self->conf->stream->schema.n_cols + 1;
    m.cols = efx_scratch(op->ctx, (n_cols + DLQ_COLS) * sizeof *m.cols);
    switch (self->conf->to) {
    case EFX_ERRORS_TO_COUNT: break;
    case EFX_ERRORS_TO_STOP: rc = m.n > 0 ? EFX_EDATA : EFX_OK; break;
    case EFX_ERRORS_TO_FAULT:
        fault_cols(self, in->b, &m);
        rc = m.n > 0 ? push(self, step, in->b, &m, n_cols) : EFX_OK;
        break;
    case EFX_ERRORS_TO_DLQ:
        dlq_cols(self, in->b, &m);
        rc = m.n > 0 ? push(self, step, in->b, &m, DLQ_COLS) : EFX_OK;
        break;
    }
    efx_ctx_end(op->ctx, mark);
    return rc;
}

static const struct efx_op_vt errors_vt = {
    .name = "errors",
    .rows = errors_rows,
    .next_due_ms = efx_op_never_due,
    .finish = efx_op_nothing_due,
    .stop = efx_op_nothing_held,
    .origin_set = efx_op_origin_ignore,
    .mark = efx_op_mark_nothing,
    .slice = efx_op_slice_nothing,
    .load = efx_op_load_nothing,
    .load_end = efx_op_load_end_nothing,
    .bytes = efx_op_no_bytes,
    .close = efx_op_close_nothing,
};

enum efx_rc efx_op_errors_create(const struct efx_op_open *how, const struct efx_errors_conf *conf,
                                 struct efx_op **out)
{
    struct op_errors *self = EFX_NEW(how->arena, struct op_errors);
    if (self == NULL) {
        return EFX_ENOMEM;
    }
    EFX_RET(efx_op_init(&self->base, &errors_vt, how));
    self->conf = conf;
    *out = &self->base;
    return EFX_OK;
}
