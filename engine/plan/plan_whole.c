/* All rows of an on-demand query as one batch. */
#include "plan_demand.h"

struct whole {
    struct efx_window base;
    bool fired;
};

static enum efx_rc whole_open(struct efx_window *self, const struct efx_window_open *how,
                              struct efx_err *err)
{
    (void)self;
    (void)err;
    EFX_ASSERT(how->eager && how->copy_col == EFX_NO_COL);
    return EFX_OK;
}

static enum efx_rc whole_arrive(struct efx_window *self, const struct efx_step *step,
                                struct efx_rows *rows, struct efx_changes *out)
{
    (void)self;
    (void)step;
    (void)out;
    rows->from = rows->until;
    return EFX_OK;
}

static enum efx_rc whole_pass(struct efx_window *self, const struct efx_step *step,
                              struct efx_rows *rows, struct efx_change *flush)
{
    (void)self;
    (void)step;
    (void)flush;
    rows->from = rows->until;
    return EFX_OK;
}

static enum efx_rc whole_fire(struct efx_window *self, const struct efx_step *step,
                              efx_moment until, struct efx_changes *out)
{
    struct whole *w = (struct whole *)self;
    (void)until;
    if (!w->fired) {
        w->fired = true;
        out->list[out->n++] =
            (struct efx_change){.clk_ms = step->clk_last_ms, .kind = EFX_ROW_RESET, .flush = 1};
    }
    return EFX_OK;
}

/* Due before any step: whoever calls `finish` gets the flush. */
static int64_t whole_next_due_ms(const struct efx_window *self)
{
    return ((const struct whole *)self)->fired ? EFX_NEVER_MS : INT64_MIN;
}

static void whole_origin_set(struct efx_window *self, int64_t t0_ms)
{
    (void)self;
    (void)t0_ms;
}

static enum efx_rc whole_content(struct efx_window *self, uint64_t *from, struct efx_changes *out)
{
    (void)self;
    (void)from;
    (void)out;
    return EFX_OK;
}

static void whole_mark(struct efx_window *self, const struct efx_mark *mark)
{
    (void)self;
    (void)mark;
}

static enum efx_rc whole_slice(struct efx_window *self, uint32_t budget_rows, struct efx_save *out)
{
    (void)self;
    (void)budget_rows;
    (void)out;
    return EFX_DONE;
}

static enum efx_rc whole_load(struct efx_window *self, struct efx_kg_range kg, struct efx_reader *r,
                              struct efx_err *err)
{
    (void)self;
    (void)kg;
    (void)r;
    (void)err;
    return EFX_OK;
}

static enum efx_rc whole_load_end(struct efx_window *self, struct efx_err *err)
{
    (void)self;
    (void)err;
    return EFX_OK;
}

static size_t whole_bytes(const struct efx_window *self)
{
    (void)self;
    return 0;
}

static void whole_close(struct efx_window *self)
{
    (void)self;
}

const struct efx_window_vt efx_plan__whole = {
    .base = {.abi = EFX_ABI,
             .vt_bytes = sizeof(struct efx_window_vt),
             .name = "whole",
             .help = "All rows of an on-demand query.",
             .self_bytes = sizeof(struct whole),
             .traits = {.timers = 1, .flushes = 1, .ordered = 1, .evicts = EFX_EVICTS_WHOLE}},
    .open = whole_open,
    .arrive = whole_arrive,
    .fire = whole_fire,
    .pass = whole_pass,
    .next_due_ms = whole_next_due_ms,
    .origin_set = whole_origin_set,
    .content = whole_content,
    .mark = whole_mark,
    .slice = whole_slice,
    .load = whole_load,
    .load_end = whole_load_end,
    .bytes = whole_bytes,
    .close = whole_close,
};
