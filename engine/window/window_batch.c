/* Batches that hold rows: the open one and the one before, per copy; a flush as a list of changes.
 *
 *   phase     EXPIRED                       RESET    CURRENT
 *   changes   −last … ends_part (if wanted)   R      +now … ends_part
 *   then      last is doomed                         now becomes last, or is doomed if nobody
 *             needs it
 *
 * A flush that does not fit into one call goes on in the next, from `pos`.
 *
 *   Order   rows of a part in order of arrival
 */
#include "window.h"

void efx_window__batches_open(struct win_batches *b, const struct efx_window_open *how,
                              struct win_held *held)
{
    b->how = how;
    b->held = held;
    b->keeps = how->want_expired || !how->no_content;
    b->phase = WIN_IDLE;
}

void efx_window__batches_close(struct win_batches *b)
{
    if (b->of == NULL) {
        return;
    }
    struct efx_mem *mem = b->how->mem;
    for (uint32_t i = 0; i < b->n; i++) {
        efx_window__rows_free(mem, &b->of[i].now);
        efx_window__rows_free(mem, &b->of[i].last);
        efx_window__rows_free(mem, &b->of[i].next);
    }
    mem->free(mem, b->of, b->n * sizeof *b->of);
    b->of = NULL;
}

enum efx_rc efx_window__batch_of(struct win_batches *b, uint32_t id, struct win_batch **out)
{
    if (id >= b->n) {
        struct efx_mem *mem = b->how->mem;
        uint32_t n = b->n == 0 ? 1 : b->n;
        while (n <= id) {
            n *= 2;
        }
        void *more = b->of == NULL
                         ? mem->alloc(mem, n * sizeof *b->of)
                         : efx_mem_grow(mem, b->of, b->n * sizeof *b->of, n * sizeof *b->of);
        if (more == NULL) {
            return EFX_ENOMEM;
        }
        b->of = more;
        memset(b->of + b->n, 0, (n - b->n) * sizeof *b->of);
        b->n = n;
    }
    *out = &b->of[id];
    return EFX_OK;
}

void efx_window__flush_begin(struct win_batches *b, uint32_t id, int64_t birth, efx_moment moment,
                             int64_t clk_ms)
{
    b->phase = WIN_EXPIRED;
    b->id = id;
    b->pos = 0;
    b->birth = birth;
    b->moment = moment;
    b->clk_ms = clk_ms;
}

/* Rows of a part from pos on. */
static enum efx_rc list_part(struct win_batches *b, struct win_list *l, const struct win_rows *r,
                             uint8_t kind)
{
    for (; b->pos < r->n; b->pos++) {
        if (win_room(l) == 0) {
            return EFX_AGAIN;
        }
        struct efx_change *c =
            efx_window__list_held(b->held, l, kind, r->number[b->pos], b->moment, b->clk_ms);
        c->ends_part = b->pos + 1 == r->n;
    }
    b->pos = 0;
    return EFX_OK;
}

static enum efx_rc doom_all(struct win_batches *b, struct win_rows *r)
{
    for (uint32_t i = 0; i < r->n; i++) {
        EFX_RET(efx_window__doom(b->held, r->number[i]));
    }
    r->n = 0;
    return EFX_OK;
}

enum efx_rc efx_window__flush_list(struct win_batches *b, struct win_list *l)
{
    if (b->phase == WIN_IDLE) {
        return EFX_OK;
    }
    struct win_batch *batch = &b->of[b->id];
    if (b->phase == WIN_EXPIRED) {
        if (b->how->want_expired) {
            EFX_RET(list_part(b, l, &batch->last, EFX_ROW_EXPIRED));
        }
        EFX_RET(doom_all(b, &batch->last));
        b->phase = WIN_RESET;
    }
    if (b->phase == WIN_RESET) {
        if (win_room(l) == 0) {
            return EFX_AGAIN;
        }
        win_change(l, EFX_ROW_RESET, b->moment, b->clk_ms)->birth = b->birth;
        b->phase = WIN_CURRENT;
    }
    EFX_RET(list_part(b, l, &batch->now, EFX_ROW_CURRENT));
    if (b->keeps) {
        struct win_rows empty = batch->last;
        batch->last = batch->now;
        batch->now = empty;
    } else {
        EFX_RET(doom_all(b, &batch->now));
    }
    struct win_rows opened = batch->next;
    batch->next = batch->now;
    batch->now = opened;
    b->phase = WIN_IDLE;
    return EFX_OK;
}

/* *from: copy id :32 | place :32. */
enum efx_rc efx_window__batches_content(struct win_batches *b, uint64_t *from,
                                        struct efx_changes *out)
{
    struct win_list l;
    efx_window__held_begin(b->held, &l, out);
    uint32_t id = (uint32_t)(*from >> 32), i = (uint32_t)*from;
    for (; id < b->n; id++, i = 0) {
        const struct win_rows *r = &b->of[id].last;
        for (; i < r->n; i++) {
            if (win_room(&l) == 0) {
                *from = (uint64_t)id << 32 | i;
                efx_window__held_end(b->held, &l);
                return EFX_AGAIN;
            }
            efx_window__list_held(b->held, &l, EFX_ROW_CURRENT, r->number[i], 0,
                                  efx_log_ts(b->held->log, r->number[i]));
        }
    }
    *from = (uint64_t)id << 32;
    efx_window__held_end(b->held, &l);
    return EFX_OK;
}

enum efx_rc efx_window__batches_fill(struct win_batches *b, struct win_copies *copies,
                                     bool (*older)(const void *copy_state, int64_t due_ms))
{
    struct efx_log *log = b->held->log;
    for (uint64_t n = efx_log_head(log); n < efx_log_end(log); n++) {
        if (!efx_log_is_live(log, n)) {
            continue;
        }
        uint32_t id = 0;
        struct win_batch *batch;
        if (b->held->birth_col != EFX_NO_COL) {
            EFX_RET(efx_window__copy_by_birth(copies, efx_window__held_birth(b->held, n), &id));
        }
        EFX_RET(efx_window__batch_of(b, id, &batch));
        bool last = older(win_copy_state(copies, id), efx_log_due(log, n));
        EFX_RET(efx_window__rows_add(b->how->mem, last ? &batch->last : &batch->now, n));
    }
    return EFX_OK;
}
