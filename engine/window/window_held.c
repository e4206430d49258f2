/* Held rows: a log, what was listed from it last, and the batch `left`.
 *
 * The log's columns are how->held, then the copy's birth in a PARTITION. `left` shows the held
 * columns and, behind them, the group id if there is one.
 */
#include "window.h"

uint64_t efx_window__turn(const struct efx_step *step, const struct efx_batch *b, uint32_t i)
{
    if (b->moment != NULL && efx_moment_is_event(b->moment[i])) {
        return efx_step_turn(step, b->moment[i]);
    }
    return b->sub != NULL ? b->sub[i] & (UINT64_MAX >> 1) : 0;
}

enum efx_rc efx_window__held_open(struct win_held *h, const struct efx_window_open *how, bool due,
                                  bool own_group)
{
    bool partitioned = how->copy_col != EFX_NO_COL;
    h->how = how;
    h->own_group = own_group || (partitioned && how->group_col == EFX_NO_COL);
    h->n_types = how->held.n + partitioned;
    h->birth_col = partitioned ? how->held.n : EFX_NO_COL;
    h->types = how->mem->alloc(how->mem, (h->n_types + 1) * sizeof *h->types);
    if (h->types == NULL) {
        return EFX_ENOMEM;
    }
    for (uint32_t k = 0; k < how->held.n; k++) {
        h->types[k] = how->types[how->held.col[k]];
    }
    if (partitioned) {
        h->types[h->birth_col] = EFX_TYPE_LONG;
    }
    h->conf = (struct efx_log_conf){
        .n_cols = h->n_types,
        .types = h->types,
        .has_due = due,
        .has_group = h->own_group || how->group_col != EFX_NO_COL,
        .has_copy = partitioned,
        .key_group = how->key_group,
    };
    return efx_log_create(how->mem, &h->conf, &h->log);
}

void efx_window__held_close(struct win_held *h)
{
    if (h->how == NULL) {
        return;
    }
    struct efx_mem *mem = h->how->mem;
    efx_log_destroy(&h->log);
    if (h->types != NULL) {
        mem->free(mem, h->types, (h->n_types + 1) * sizeof *h->types);
        h->types = NULL;
    }
    if (h->doomed != NULL) {
        mem->free(mem, h->doomed, h->n_doomed_max * sizeof *h->doomed);
        h->doomed = NULL;
    }
}

void efx_window__kill_doomed(struct win_held *h)
{
    for (uint32_t i = 0; i < h->n_doomed; i++) {
        efx_log_kill(h->log, h->doomed[i]);
    }
    h->n_doomed = 0;
}

void efx_window__held_begin(struct win_held *h, struct win_list *l, struct efx_changes *out)
{
    efx_window__kill_doomed(h);
    out->n = 0;
    out->left = NULL;
    l->out = out;
    l->n_left = 0;
    l->number = efx_scratch(h->how->ctx, EFX_CHANGES_MAX * sizeof *l->number);
}

enum efx_rc efx_window__doom(struct win_held *h, uint64_t number)
{
    if (h->n_doomed == h->n_doomed_max) {
        struct efx_mem *mem = h->how->mem;
        uint32_t max = h->n_doomed_max == 0 ? 1024 : h->n_doomed_max * 2;
        uint64_t *more =
            h->doomed == NULL
                ? mem->alloc(mem, max * sizeof *more)
                : efx_mem_grow(mem, h->doomed, h->n_doomed_max * sizeof *more, max * sizeof *more);
        if (more == NULL) {
            return EFX_ENOMEM;
        }
        h->doomed = more;
        h->n_doomed_max = max;
    }
    h->doomed[h->n_doomed++] = number;
    return EFX_OK;
}

/* The batch's columns as the log wants them. */
static const struct efx_col *log_cols(const struct win_held *h, const struct efx_batch *b)
{
    struct efx_col *cols = efx_scratch(h->how->ctx, (h->n_types + 1) * sizeof *cols);
    for (uint32_t k = 0; k < h->how->held.n; k++) {
        cols[k] = b->cols[h->how->held.col[k]];
    }
    if (h->birth_col != EFX_NO_COL) {
        cols[h->birth_col] = b->cols[h->how->copy_col + 1];
    }
    return cols;
}

/* Rows of timers have no turn of their own: they stay behind what came before them, because a load
 * puts rows in order by their turns. */
static uint64_t last_turn(const struct win_held *h, const struct efx_step *step)
{
    uint64_t end = efx_log_end(h->log);
    uint64_t turn = end > efx_log_head(h->log) ? efx_log_turn(h->log, end - 1) : 0;
    return turn > step->first_turn ? turn : step->first_turn;
}

/* A copy's rows belong where its key does: the birth says it. */
static const uint32_t *groups_of_births(const struct win_held *h, const struct efx_batch *b,
                                        const uint32_t *at, uint32_t n)
{
    const int64_t *birth = b->cols[h->how->copy_col + 1].data;
    uint32_t *group = efx_scratch(h->how->ctx, n * sizeof *group);
    for (uint32_t i = 0; i < n; i++) {
        group[i] = (uint32_t)birth[at[i]] & (EFX_KEY_GROUPS - 1);
    }
    return group;
}

/* Turns of the rows; false: not all were brought by events that came behind `last`, in order. */
static bool turns_of_events(const struct efx_step *step, const struct efx_batch *b,
                            const uint32_t *at, uint32_t n, uint64_t last, uint64_t *turn)
{
    efx_moment all = UINT64_MAX;
    bool falls = false;
    for (uint32_t i = 0; i < n && b->moment != NULL; i++) {
        efx_moment m = b->moment[at[i]];
        all &= m;
        turn[i] = efx_step_turn(step, m);
        falls |= turn[i] < last;
        last = turn[i];
    }
    return b->moment != NULL && efx_moment_is_event(all) && !falls;
}

enum efx_rc efx_window__held_add(struct win_held *h, const struct efx_step *step,
                                 const struct efx_batch *b, const uint32_t *at, uint32_t n,
                                 const int64_t *due_ms, const uint32_t *group)
{
    struct efx_ctx *ctx = h->how->ctx;
    if (n == 0) {
        return EFX_OK;
    }
    struct efx_ctx_mark m = efx_ctx_begin(ctx);
    uint64_t *turn = efx_scratch(ctx, n * sizeof *turn);
    uint64_t last = last_turn(h, step);
    bool events = turns_of_events(step, b, at, n, last, turn);
    for (uint32_t i = 0; i < n && !events; i++) {
        bool of_timer = b->moment != NULL && !efx_moment_is_event(b->moment[at[i]]);
        turn[i] = of_timer ? last : efx_window__turn(step, b, at[i]);
        turn[i] = turn[i] < last ? last : turn[i];
        last = turn[i];
    }
    struct efx_log_rows rows = {
        .n = n,
        .row = at,
        .cols = log_cols(h, b),
        .ts_ms = b->ts_ms,
        .due_ms = due_ms,
        .turn = turn,
        .group = group,
    };
    if (group == NULL && h->own_group) {
        rows.group = groups_of_births(h, b, at, n);
    } else if (group == NULL && h->how->group_col != EFX_NO_COL) {
        const uint32_t *id = b->cols[h->how->group_col].data;
        uint32_t *of = efx_scratch(ctx, n * sizeof *of);
        for (uint32_t i = 0; i < n; i++) {
            of[i] = id[at[i]];
        }
        rows.group = of;
    }
    if (h->conf.has_copy) {
        const uint32_t *id = b->cols[h->how->copy_col].data;
        uint32_t *of = efx_scratch(ctx, n * sizeof *of);
        for (uint32_t i = 0; i < n; i++) {
            of[i] = id[at[i]];
        }
        rows.copy = of;
    }
    enum efx_rc rc = efx_log_add(h->log, &rows);
    efx_ctx_end(ctx, m);
    return rc;
}

int64_t efx_window__held_birth(const struct win_held *h, uint64_t number)
{
    if (h->birth_col == EFX_NO_COL) {
        return 0;
    }
    int64_t birth;
    memcpy(&birth, efx_log_slot(h->log, number, h->birth_col, NULL), sizeof birth);
    return birth;
}

struct efx_change *efx_window__list_held(struct win_held *h, struct win_list *l, uint8_t kind,
                                         uint64_t number, efx_moment moment, int64_t clk_ms)
{
    struct efx_change *c = win_change(l, kind, moment, clk_ms);
    c->turn = efx_log_turn(h->log, number);
    c->row = l->n_left;
    if (h->birth_col != EFX_NO_COL) {
        c->copy = efx_log_copy(h->log, number);
        c->birth = efx_window__held_birth(h, number);
    }
    l->number[l->n_left++] = number;
    return c;
}

/* Rows that lie side by side in one segment are shown where they lie. */
static bool view(struct win_held *h, const uint64_t *number, uint32_t n, struct efx_col *cols,
                 const int64_t **ts_ms)
{
    bool any_dead;
    for (uint32_t i = 1; i < n; i++) {
        if (number[i] != number[0] + i) {
            return false;
        }
    }
    return efx_log_view(h->log, number[0], n, cols, ts_ms, &any_dead) == n;
}

const struct efx_batch *efx_window__held_cols(struct win_held *h, const uint64_t *number,
                                              uint32_t n)
{
    struct efx_ctx *ctx = h->how->ctx;
    if (n == 0) {
        return NULL;
    }
    struct efx_col *cols = efx_scratch(ctx, (h->n_types + 2) * sizeof *cols);
    const int64_t *ts_ms;
    if (!view(h, number, n, cols, &ts_ms)) {
        int64_t *ts = efx_scratch(ctx, n * sizeof *ts);
        efx_log_gather(h->log, ctx, number, n, cols, ts);
        ts_ms = ts;
    }
    h->left =
        (struct efx_batch){.n_rows = n, .n_cols = h->how->held.n, .cols = cols, .ts_ms = ts_ms};
    h->left_cols = cols;
    return &h->left;
}

const struct efx_batch *efx_window__held_left(struct win_held *h, const uint64_t *number,
                                              uint32_t n)
{
    const struct efx_batch *left = efx_window__held_cols(h, number, n);
    if (left == NULL || h->how->group_col == EFX_NO_COL || h->own_group) {
        return left;
    }
    uint32_t *group = efx_scratch(h->how->ctx, n * sizeof *group);
    efx_log_groups(h->log, number, n, group);
    h->left_cols[h->left.n_cols++] = (struct efx_col){EFX_TYPE_INT, group, NULL};
    return left;
}

void efx_window__held_end(struct win_held *h, struct win_list *l)
{
    l->out->left = efx_window__held_left(h, l->number, l->n_left);
}

enum efx_rc efx_window__held_content(struct win_held *h, uint64_t *from, struct efx_changes *out)
{
    struct win_list l;
    efx_window__held_begin(h, &l, out);
    uint64_t end = efx_log_end(h->log);
    uint64_t number = *from > efx_log_head(h->log) ? *from : efx_log_head(h->log);
    for (; number < end && win_room(&l) > 0; number++) {
        if (efx_log_is_live(h->log, number)) {
            efx_window__list_held(h, &l, EFX_ROW_CURRENT, number, 0, efx_log_ts(h->log, number));
        }
    }
    *from = number;
    efx_window__held_end(h, &l);
    return number < end ? EFX_AGAIN : EFX_OK;
}

/* ---- saves ---- */

static uint32_t same_group(void *arg, uint32_t group)
{
    (void)arg;
    return group;
}

static uint32_t first_ordinal(void *arg, uint32_t group)
{
    (void)arg;
    (void)group;
    return 0;
}

enum efx_rc efx_window__held_slice(struct win_held *h, uint32_t n_max, struct efx_save *out)
{
    static const struct efx_log_refs own = {same_group, first_ordinal, NULL};
    return efx_log_slice(h->log, n_max, h->own_group || h->how->refs == NULL ? &own : h->how->refs,
                         out);
}

enum efx_rc efx_window__held_load(struct win_held *h, uint32_t key_group, struct efx_reader *r)
{
    h->loaded_group = key_group;
    struct efx_keyed_ids_out own = {.id = &h->loaded_group, .n = 1, .n_max = 1};
    const struct efx_keyed_ids_out *ids = h->own_group || h->how->ids == NULL ? &own : h->how->ids;
    return efx_log_load(h->log, key_group, r, h->conf.has_group ? ids : NULL);
}
