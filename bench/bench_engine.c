#include "bench_engine.h"

#include "efx_lib.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { CALL_ROWS = 65536, SAVES_A_SECOND = 2 };

double bench_now_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

struct run {
    struct efx *app;
    const struct bench_workload *w;
    const struct bench_events *e;
    const struct bench_engine_opts *o;
    struct bench_engine_result *out;
    double next_save_s;
    bool saving;
};

static bool fail(struct run *r, const char *what, const struct efx_error *err)
{
    const char *why = err != NULL && err->code != EFX_RC_OK ? err->msg : "";
    (void)snprintf(r->out->msg, sizeof r->out->msg, "%s: %.460s", what, why);
    return false;
}

/* ---- readers ---- */

enum { NULL_WORD = 0x4E554C4C }; /* no workload gives a NULL: one would make the sums differ */

static uint64_t word_of(enum efx_val_type type, const void *data, uint32_t row)
{
    uint64_t w = 0;
    if (type == EFX_VAL_INT) {
        return (uint64_t)(int64_t)((const int32_t *)data)[row];
    }
    memcpy(&w, (const uint8_t *)data + (size_t)row * sizeof w, sizeof w);
    return w;
}

static bool has_bit(const uint64_t *bits, uint32_t i)
{
    return bits == NULL || (bits[i / 64] >> i % 64 & 1) != 0;
}

static void read_and_fold(void *arg, const struct efx_stream *stream,
                          const struct efx_columns *rows)
{
    struct bench_sums *sums = arg;
    for (uint32_t i = 0; i < rows->n_rows; i++) {
        if (!has_bit(rows->sel, i)) {
            continue;
        }
        uint64_t h = BENCH_P3;
        for (uint32_t c = 0; c < stream->n_columns; c++) {
            bool there = rows->valid == NULL || has_bit(rows->valid[c], i);
            h = bench_fold(h,
                           there ? word_of(stream->columns[c].type, rows->data[c], i) : NULL_WORD);
        }
        bench_sums_add(sums, h);
    }
}

static void read_and_count(void *arg, const struct efx_stream *stream,
                           const struct efx_columns *rows)
{
    (void)stream;
    struct bench_sums *sums = arg;
    if (rows->sel == NULL) {
        sums->rows += rows->n_rows;
        return;
    }
    for (uint32_t w = 0; w * 64 < rows->n_rows; w++) {
        uint32_t left = rows->n_rows - w * 64;
        uint64_t mask = left >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << left) - 1;
        sums->rows += (uint64_t)__builtin_popcountll(rows->sel[w] & mask);
    }
}

static void read_back_row(void *arg, const struct efx_row *row)
{
    struct run *r = arg;
    struct bench_sums *sums = &r->out->sums;
    if (!r->o->verify) {
        sums->rows++;
        return;
    }
    uint64_t h = BENCH_P3;
    for (uint32_t c = 0; c < row->stream->n_columns; c++) {
        const efx_val *v = &row->values[c];
        h = bench_fold(h, v->null ? NULL_WORD : word_of(v->type, &v->u, 0));
    }
    bench_sums_add(sums, h);
}

/* ---- input ---- */

static bool send_columns(struct run *r, const char *stream, int64_t *const *cols, int n_cols,
                         long from, long n)
{
    const void *data[BID_COLS];
    for (int c = 0; c < n_cols; c++) {
        data[c] = cols[c] + from;
    }
    return efx_send_columns(r->app, stream, (uint32_t)n, data, NULL, NULL) == EFX_RC_OK;
}

/* A save every half second, beside the steps; the next one waits until the last is through. */
static bool maybe_save(struct run *r)
{
    uint64_t stop_ns = 0;
    if (!r->o->saves) {
        return true;
    }
    struct efx_app *app = efx_lib_app(r->app);
    if (r->saving) {
        r->saving = efx_app_saving(app, &stop_ns);
        if (stop_ns > r->out->longest_stop_ns) {
            r->out->longest_stop_ns = stop_ns;
        }
    }
    double now_s = bench_now_s();
    if (r->saving || now_s < r->next_save_s) {
        return true;
    }
    r->next_save_s = now_s + 1.0 / SAVES_A_SECOND;
    r->saving = true;
    r->out->n_saves++;
    return efx_app_save_begin(app, true) == EFX_OK;
}

static bool send_bids(struct run *r)
{
    for (long i = 0; i < r->e->n_bids; i += CALL_ROWS) {
        long left = r->e->n_bids - i;
        if (!send_columns(r, "Bid", r->e->bid, BID_COLS, i, left < CALL_ROWS ? left : CALL_ROWS) ||
            !maybe_save(r)) {
            return fail(r, "sending bids", NULL);
        }
    }
    return true;
}

/* ---- two streams in their order of arrival: both sets of columns lent to one step, and its list
 * of turns written as they came ---- */

static bool lend(struct run *r, const char *stream, int64_t *const *cols, int n_cols, long from,
                 long n, struct efx_col *lent, uint16_t *number)
{
    const struct efx_program *p = efx_lib_program(r->app);
    for (uint32_t o = 0; o < p->n_objects; o++) {
        if (strcmp(p->objects[o]->schema.name, stream) == 0) {
            *number = (uint16_t)p->objects[o]->id;
        }
    }
    for (int c = 0; c < n_cols; c++) {
        lent[c] = (struct efx_col){EFX_TYPE_LONG, cols[c] + from, NULL};
    }
    struct efx_builder *b = efx_app_builder(efx_lib_app(r->app));
    return efx_builder_lend(b, *number, (uint32_t)n, lent, NULL) == EFX_OK;
}

static bool send_blocks(struct run *r, long block, long n_blocks)
{
    const struct bench_events *e = r->e;
    struct efx_builder *b = efx_app_builder(efx_lib_app(r->app));
    struct efx_col bid_cols[BID_COLS], auction_cols[AUC_COLS];
    uint16_t bid = 0, auction = 0;
    long i = block * BENCH_BLOCK_BIDS, a = block * BENCH_BLOCK_AUCTIONS;
    long n_bids = n_blocks * BENCH_BLOCK_BIDS, n_auctions = n_blocks * BENCH_BLOCK_AUCTIONS;
    n_bids = n_bids < e->n_bids - i ? n_bids : e->n_bids - i;
    if (!lend(r, "Auction", e->auction, AUC_COLS, a, n_auctions, auction_cols, &auction) ||
        !lend(r, "Bid", e->bid, BID_COLS, i, n_bids, bid_cols, &bid)) {
        return false;
    }
    struct efx_turn *turn = b->turns;
    for (long k = 0; k < n_blocks; k++) {
        for (long row = k * BENCH_BLOCK_AUCTIONS; row < (k + 1) * BENCH_BLOCK_AUCTIONS; row++) {
            *turn++ = (struct efx_turn){auction, (uint16_t)row};
        }
        for (long row = k * BENCH_BLOCK_BIDS; row < (k + 1) * BENCH_BLOCK_BIDS && row < n_bids;
             row++) {
            *turn++ = (struct efx_turn){bid, (uint16_t)row};
        }
    }
    return efx_app_submit(efx_lib_app(r->app)) == EFX_OK;
}

static bool send_both(struct run *r)
{
    long blocks = r->e->n_auctions / BENCH_BLOCK_AUCTIONS;
    long step = EFX_STEP_TURNS_MAX / (BENCH_BLOCK_BIDS + BENCH_BLOCK_AUCTIONS);
    for (long k = 0; k < blocks; k += step) {
        if (!send_blocks(r, k, blocks - k < step ? blocks - k : step)) {
            return fail(r, "sending auctions and bids", NULL);
        }
    }
    return true;
}

/* ---- a run ---- */

static bool open_app(struct run *r)
{
    struct efx_error err = {0};
    struct efx_options options = EFX_OPTIONS_INIT;
    options.file = r->w->name;
    options.shards = r->o->shards;
    options.clock = EFX_CLOCK_VIRTUAL;
    options.seed = 1;
    if (efx_open(&r->app, r->w->sql, &options, &err) != EFX_RC_OK) {
        return fail(r, "the program", &err);
    }
    efx_columns_fn reader = r->o->verify ? read_and_fold : read_and_count;
    if (r->w->read_back == NULL &&
        efx_on_columns(r->app, "Out", reader, &r->out->sums) != EFX_RC_OK) {
        return fail(r, "a reader of Out", NULL);
    }
    if (efx_start(r->app, &err) != EFX_RC_OK) {
        return fail(r, "start", &err);
    }
    if (r->w->items && (!send_columns(r, "Items", r->e->item, ITEM_COLS, 0, BENCH_ITEMS) ||
                        efx_flush(r->app) != EFX_RC_OK)) {
        return fail(r, "filling Items", NULL);
    }
    return true;
}

static bool run_app(struct run *r)
{
    struct efx_error err = {0};
    double start_s = bench_now_s();
    r->next_save_s = start_s;
    bool sent = r->w->auctions ? send_both(r) : send_bids(r);
    if (!sent) {
        (void)efx_status(r->app, &err);
        return fail(r, "events", &err);
    }
    if (efx_flush(r->app) != EFX_RC_OK) {
        (void)efx_status(r->app, &err);
        return fail(r, "flush", &err);
    }
    if (r->w->read_back != NULL &&
        efx_query(r->app, r->w->read_back, read_back_row, r, NULL, &err) != EFX_RC_OK) {
        return fail(r, r->w->read_back, &err);
    }
    r->out->seconds = bench_now_s() - start_s;
    (void)efx_state_bytes(r->app, &r->out->peak_bytes);
    return true;
}

bool bench_engine_run(const struct bench_workload *w, const struct bench_events *e,
                      const struct bench_engine_opts *o, struct bench_engine_result *out)
{
    struct run r = {.w = w, .e = e, .o = o, .out = out};
    *out = (struct bench_engine_result){.sums = {.checksum = BENCH_P3}};
    bool good = open_app(&r) && run_app(&r);
    efx_close(&r.app);
    return good;
}
