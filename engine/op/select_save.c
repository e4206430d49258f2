/* Saves: the table's sections, then the window's, as two parts (efx_part.h); without a window the
 * table's alone, as it is. Lists of groups are made anew from the groups' numbers.
 *
 *   Order   the window's rows refer to the ordinals of groups, so they come when the table is DONE
 */
#include "select.h"

#include <stdlib.h>

enum { PART_GROUPS = 1, PART_WINDOW = 2 };

void efx_select__mark(struct efx_op *op, const struct efx_mark *mark)
{
    struct op_select *self = (struct op_select *)op;
    if (self->grouped) {
        efx_keyed_mark(self->groups, mark);
    }
    if (self->window != NULL) {
        self->window->vt->mark(self->window, mark);
    }
    self->slicing_window = false;
    self->window_has_out = false;
}

enum efx_rc efx_select__slice(struct efx_op *op, uint32_t budget_rows, struct efx_save *out)
{
    struct op_select *self = (struct op_select *)op;
    if (self->window == NULL) {
        return self->grouped ? efx_keyed_slice(self->groups, budget_rows, out) : EFX_DONE;
    }
    struct efx_save *groups = efx_part_open(&self->part[0], PART_GROUPS, out);
    struct efx_save *window = efx_part_open(&self->part[1], PART_WINDOW, out);
    if (!self->slicing_window) {
        enum efx_rc rc =
            self->grouped ? efx_keyed_slice(self->groups, budget_rows, groups) : EFX_DONE;
        if (rc != EFX_DONE && !self->window_has_out) {
            enum efx_rc handed = self->window->vt->slice(self->window, 0, window);
            EFX_RET(handed < 0 ? handed : EFX_OK);
            self->window_has_out = true;
        }
        EFX_RET(rc == EFX_DONE ? EFX_OK : rc);
        self->slicing_window = true;
    }
    return self->window->vt->slice(self->window, budget_rows, window);
}

/* ---- loading ---- */

static enum efx_rc load_groups(struct op_select *self, uint32_t key_group,
                               struct efx_reader section)
{
    uint8_t *buf;
    size_t n;
    self->ids.n = 0;
    EFX_RET(efx_part_collect(self->mem, section, PART_GROUPS, key_group, &buf, &n));
    if (buf == NULL) {
        return EFX_OK;
    }
    struct efx_reader r = {.p = buf + EFX_PART_HEAD, .left = n};
    enum efx_rc rc =
        efx_keyed_load(self->groups, key_group, &r, self->groups_conf.ordinals ? &self->ids : NULL);
    self->mem->free(self->mem, buf, n + EFX_PART_HEAD);
    return rc;
}

static enum efx_rc load_window(struct op_select *self, uint32_t key_group,
                               struct efx_reader section, struct efx_err *err)
{
    uint8_t *buf;
    size_t n;
    EFX_RET(efx_part_collect(self->mem, section, PART_WINDOW, key_group, &buf, &n));
    if (buf == NULL) {
        return EFX_OK;
    }
    struct efx_reader r = {.p = buf, .left = n + EFX_PART_HEAD};
    struct efx_kg_range one = {key_group, key_group};
    enum efx_rc rc = self->window->vt->load(self->window, one, &r, err);
    self->mem->free(self->mem, buf, n + EFX_PART_HEAD);
    return rc;
}

enum efx_rc efx_select__load(struct efx_op *op, struct efx_kg_range kg, struct efx_reader *r,
                             struct efx_err *err)
{
    struct op_select *self = (struct op_select *)op;
    struct efx_reader section;
    uint32_t key_group;
    while (efx_load_next(r, kg, &key_group, &section)) {
        if (self->window == NULL) {
            EFX_RET(self->grouped ? efx_keyed_load(self->groups, key_group, &section, NULL)
                                  : EFX_OK);
            continue;
        }
        if (self->grouped) {
            EFX_RET(load_groups(self, key_group, section));
        }
        EFX_RET(load_window(self, key_group, section, err));
    }
    return r->bad ? EFX_FAIL(err, EFX_EPARSE, EFX_KIND_ENV, 0, "saved state of a query is damaged")
                  : EFX_OK;
}

struct seen { /* a group of an open batch */
    uint64_t turn, no;
    uint32_t id;
};

static int by_first_row(const void *x, const void *y)
{
    const struct seen *a = x, *b = y;
    if (a->turn != b->turn) {
        return a->turn < b->turn ? -1 : 1;
    }
    return a->no < b->no ? -1 : a->no > b->no;
}

/* Open batches list their groups in first-seen order. */
static enum efx_rc lists_make(struct op_select *self)
{
    uint32_t n_ids = efx_keyed_n_ids(self->groups), n = 0;
    size_t bytes = (n_ids + 1) * sizeof(struct seen);
    struct seen *seen = self->mem->alloc(self->mem, bytes);
    if (seen == NULL) {
        return EFX_ENOMEM;
    }
    for (uint32_t id = 0; id < n_ids; id++) {
        if (efx_keyed_is_live(self->groups, id)) {
            const struct select_group *g = efx_keyed_state(self->groups, id, self->plain);
            if (g->no != 0) {
                seen[n++] = (struct seen){g->turn, g->no, id};
                self->no = g->no > self->no ? g->no : self->no;
                self->last_turn = g->turn > self->last_turn ? g->turn : self->last_turn;
            }
        }
    }
    qsort(seen, n, sizeof *seen, by_first_row);
    enum efx_rc rc = EFX_OK;
    for (uint32_t i = 0; i < n && rc == EFX_OK; i++) {
        int64_t birth = 0;
        if (self->partitioned) {
            (void)efx_keyed_key(self->groups, seen[i].id, 0, &birth);
        }
        rc = efx_select__list_add(self, seen[i].id, birth);
    }
    self->mem->free(self->mem, seen, bytes);
    return rc;
}

/* Rows that come are numbered behind those that are held. */
static enum efx_rc numbers_find(struct op_select *self)
{
    struct efx_ctx *ctx = self->base.ctx;
    uint64_t from = 0;
    for (enum efx_rc rc = EFX_AGAIN; rc == EFX_AGAIN;) {
        struct efx_ctx_mark m = efx_ctx_begin(ctx);
        struct efx_changes c = {.list =
                                    efx_scratch(ctx, EFX_CHANGES_MAX * sizeof(struct efx_change))};
        rc = self->window->vt->content(self->window, &from, &c);
        for (uint32_t i = 0; rc >= 0 && i < c.n; i++) {
            const uint64_t *number = c.left->cols[self->held_of[self->number_col]].data;
            uint64_t n = number[c.list[i].row];
            self->last_number = n > self->last_number ? n : self->last_number;
        }
        efx_ctx_end(ctx, m);
        EFX_RET(rc < 0 ? rc : EFX_OK);
    }
    return EFX_OK;
}

enum efx_rc efx_select__load_end(struct efx_op *op, struct efx_err *err)
{
    struct op_select *self = (struct op_select *)op;
    if (self->ids.id != NULL) {
        self->mem->free(self->mem, self->ids.id, self->ids.n_max * sizeof *self->ids.id);
        self->ids = (struct efx_keyed_ids_out){.mem = self->mem};
    }
    if (self->window != NULL) {
        EFX_RET(self->window->vt->load_end(self->window, err));
    }
    if (self->number_col != EFX_NO_COL && self->window != NULL) {
        EFX_RET(numbers_find(self));
    }
    return self->mode == SELECT_EAGER ? lists_make(self) : EFX_OK;
}
