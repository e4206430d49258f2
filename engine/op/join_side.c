/* A side of a join: its log, its links, its window.
 *
 *   number      4    5    6    7    8
 *   link ring   k1   k2   k1   –    k2        6.prev = 4, 8.prev = 5; 7 has a NULL key: in no list
 *   leaves      ▲ window says its tag: unlinked at once, so nobody meets it any more; killed in the
 *               next step, because rows that were put out may still point at its texts
 *
 *   Limits   rings grow by doubling; they never shrink
 *   Errors   EFX_ENOMEM, the byte budget
 *   Order    rows of a key stand in the order of their numbers, which is that of arrival
 */
#include "join.h"

enum { EMPTY_MIN = 1024 };

/* ---- opening ---- */

static enum efx_rc types_make(struct op_join *op, const struct efx_op_open *how,
                              struct join_side *s)
{
    const struct efx_op_in *in = &s->conf->in;
    uint32_t n_hidden = in->partitioned ? 2 : 0;
    s->tag_col = in->n_cols + n_hidden;
    s->group_col = in->partitioned ? EFX_NO_COL : s->tag_col + 1;
    s->n_batch = s->tag_col + (in->partitioned ? 1 : 2);
    s->types = EFX_NEW_N(how->arena, enum efx_type, s->n_batch);
    enum efx_type *held = EFX_NEW_N(how->arena, enum efx_type, in->n_cols + 1);
    struct efx_schema_col *cols = EFX_NEW_N(how->arena, struct efx_schema_col, in->n_cols + 1);
    if (s->types == NULL || held == NULL || cols == NULL) {
        return EFX_ENOMEM;
    }
    for (uint32_t c = 0; c < in->n_cols; c++) {
        s->types[c] = held[c] = in->types[c];
        cols[c] = (struct efx_schema_col){.name = "", .type = in->types[c]};
    }
    held[in->n_cols] = EFX_TYPE_LONG; /* birth */
    if (in->partitioned) {
        s->types[in->n_cols] = EFX_TYPE_INT;
        s->types[in->n_cols + 1] = EFX_TYPE_LONG;
    }
    s->types[s->tag_col] = EFX_TYPE_LONG;
    if (s->group_col != EFX_NO_COL) {
        s->types[s->group_col] = EFX_TYPE_INT;
    }
    s->schema = (struct efx_schema){.name = "", .n_cols = in->n_cols, .cols = cols};
    s->log_conf = (struct efx_log_conf){.n_cols = in->n_cols + (in->partitioned ? 1 : 0),
                                        .types = held,
                                        .has_group = true,
                                        .key_group = op->key_group};
    return EFX_OK;
}

static enum efx_rc window_open(struct op_join *op, const struct efx_op_open *how,
                               struct join_side *s, struct efx_err *err)
{
    const struct efx_window_vt *vt = s->conf->window;
    struct efx_window *window = efx_arena_alloc(how->arena, 1, vt->base.self_bytes, EFX_CACHE_LINE);
    if (window == NULL) {
        return EFX_ENOMEM;
    }
    window->vt = vt;
    uint32_t n_cols = s->conf->in.n_cols;
    struct efx_window_open open = {
        .by_row = how->by_row,
        .conf = s->conf->window_conf,
        .schema = &s->schema,
        .types = s->types,
        .n_cols = s->n_batch,
        .held = {1, &s->tag_col},
        .copy_col = s->conf->in.partitioned ? n_cols : EFX_NO_COL,
        .group_col = s->group_col,
        .key_group = op->key_group,
        .rank = how->rank,
        .want_expired = true,
        .mem = how->mem,
        .ctx = how->ctx,
    };
    EFX_RET(vt->open(window, &open, err));
    s->window = window;
    return EFX_OK;
}

enum efx_rc efx_join__side_open(struct op_join *op, const struct efx_op_open *how, uint32_t no,
                                struct efx_err *err)
{
    struct join_side *s = &op->side[no];
    s->conf = &op->conf->side[no];
    s->tag_base = JOIN_UNDECIDED;
    if (s->conf->in.n_cols >= EFX_LOG_COLS_MAX) {
        return EFX_FAIL(err, EFX_ELIMIT, EFX_KIND_USER, 0, "a join side has more than %d columns",
                        EFX_LOG_COLS_MAX - 1);
    }
    EFX_RET(types_make(op, how, s));
    if (op->twin && no == 1) {
        return EFX_OK;
    }
    if (s->conf->holds || s->conf->window != NULL) {
        EFX_RET(efx_log_create(op->mem, &s->log_conf, &s->log));
    }
    s->tag_floor = 1; /* no tag is 0 */
    s->ttl_ms = s->conf->ttl_ms >= 0 ? s->conf->ttl_ms : op->conf->within_ms;
    s->drops = s->conf->window == NULL && s->log != NULL && s->ttl_ms >= 0;
    return s->conf->window != NULL ? window_open(op, how, s, err) : EFX_OK;
}

void efx_join__side_close(struct op_join *op, uint32_t no)
{
    struct join_side *s = &op->side[no];
    if (s->window != NULL) {
        s->window->vt->close(s->window);
        s->window = NULL;
    }
    efx_log_destroy(&s->log);
    op->mem->free(op->mem, s->link, s->n_ring * sizeof *s->link);
    op->mem->free(op->mem, s->pairs, s->n_ring * sizeof *s->pairs);
    op->mem->free(op->mem, s->gone.number, s->gone.n_max * sizeof *s->gone.number);
    s->link = NULL;
    s->pairs = NULL;
    s->gone = (struct join_gone){0};
}

/* ---- links ---- */

static void ring_move(struct join_side *s, struct join_link *link, struct join_ends *pairs,
                      uint64_t n_ring)
{
    uint64_t end = efx_log_end(s->log);
    for (uint64_t n = efx_log_head(s->log); s->n_ring > 0 && n < end; n++) {
        link[n & (n_ring - 1)] = *join_link(s, n);
        if (pairs != NULL) {
            pairs[n & (n_ring - 1)] = s->pairs[n & (s->n_ring - 1)];
        }
    }
}

enum efx_rc efx_join__ring_fit(struct op_join *op, uint32_t no, uint64_t more)
{
    struct join_side *s = &op->side[no];
    uint64_t need = efx_log_end(s->log) - efx_log_head(s->log) + more;
    if (need <= s->n_ring) {
        return EFX_OK;
    }
    uint64_t n_ring = s->n_ring == 0 ? 64 : s->n_ring;
    while (n_ring < need) {
        n_ring *= 2;
    }
    struct join_link *link = op->mem->alloc(op->mem, n_ring * sizeof *link);
    struct join_ends *pairs = NULL;
    if (link == NULL) {
        return EFX_ENOMEM;
    }
    if (op->removes && s->window != NULL) {
        pairs = op->mem->alloc(op->mem, n_ring * sizeof *pairs);
        if (pairs == NULL) {
            op->mem->free(op->mem, link, n_ring * sizeof *link);
            return EFX_ENOMEM;
        }
    }
    ring_move(s, link, pairs, n_ring);
    if (s->n_ring > 0) {
        op->mem->free(op->mem, s->link, s->n_ring * sizeof *link);
        op->mem->free(op->mem, s->pairs, s->pairs == NULL ? 0 : s->n_ring * sizeof *pairs);
    }
    s->link = link;
    s->pairs = pairs;
    s->n_ring = n_ring;
    return EFX_OK;
}

/* ---- tags ---- */

/* Rows that were loaded have tags of other instances; they stand in the order of their tags. */
static uint64_t number_of_loaded(const struct join_side *s, uint64_t tag)
{
    uint64_t lo = efx_log_head(s->log), hi = s->n_loaded;
    while (lo < hi) {
        uint64_t mid = lo + (hi - lo) / 2;
        if (efx_log_turn(s->log, mid) < tag) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo < s->n_loaded && efx_log_turn(s->log, lo) == tag ? lo : UINT64_MAX;
}

uint64_t efx_join__number(const struct op_join *op, uint32_t no, uint64_t tag)
{
    const struct join_side *s = &op->side[no];
    uint64_t number = (tag >> JOIN_TAG_SHIFT) - s->tag_base;
    if (s->tag_base != JOIN_UNDECIDED && number >= s->n_loaded && number < efx_log_end(s->log) &&
        join_tag(op, s->tag_base, number) == tag) {
        return number;
    }
    return number_of_loaded(s, tag);
}

/* ---- what has left ---- */

static enum efx_rc list_fit(struct efx_mem *mem, void **list, uint32_t n, uint32_t *n_max,
                            size_t item_bytes)
{
    if (n < *n_max) {
        return EFX_OK;
    }
    uint32_t more = *n_max == 0 ? 256 : *n_max * 2;
    void *grown = *list == NULL ? mem->alloc(mem, more * item_bytes)
                                : efx_mem_grow(mem, *list, *n_max * item_bytes, more * item_bytes);
    if (grown == NULL) {
        return EFX_ENOMEM;
    }
    *list = grown;
    *n_max = more;
    return EFX_OK;
}

enum efx_rc efx_join__gone_add(struct op_join *op, struct join_gone *gone, uint64_t number)
{
    void *list = gone->number;
    EFX_RET(list_fit(op->mem, &list, gone->n, &gone->n_max, sizeof *gone->number));
    gone->number = list;
    gone->number[gone->n++] = number;
    return EFX_OK;
}

/* Most leave oldest first: stretches at the head go at once. */
static void kill_all(struct efx_log *log, struct join_gone *gone)
{
    for (uint32_t i = 0; i < gone->n;) {
        uint64_t first = gone->number[i];
        if (first != efx_log_head(log)) {
            efx_log_kill(log, first);
            i++;
            continue;
        }
        uint32_t n = 1;
        while (i + n < gone->n && gone->number[i + n] == first + n) {
            n++;
        }
        efx_log_kill_until(log, first + n);
        i += n;
    }
    gone->n = 0;
}

void efx_join__kill_gone(struct op_join *op)
{
    kill_all(op->side[0].log, &op->side[0].gone);
    kill_all(op->side[1].log, &op->side[1].gone);
    kill_all(op->joined, &op->pairs_gone);
}

enum efx_rc efx_join__note_empty(struct op_join *op, uint32_t id)
{
    struct efx_entry *e = efx_keyed_at(op->index, id);
    if (e->extra != 0 || join_ends(op, id, 0)->first != 0 || join_ends(op, id, 1)->first != 0) {
        return EFX_OK;
    }
    void *list = op->empty;
    EFX_RET(list_fit(op->mem, &list, op->n_empty, &op->n_empty_max, sizeof *op->empty));
    op->empty = list;
    op->empty[op->n_empty++] = id;
    e->extra = 1;
    return EFX_OK;
}

void efx_join__del_empty(struct op_join *op)
{
    if (op->n_empty < EMPTY_MIN + efx_keyed_n(op->index) / 2) {
        return;
    }
    for (uint32_t i = 0; i < op->n_empty; i++) {
        uint32_t id = op->empty[i];
        efx_keyed_at(op->index, id)->extra = 0;
        if (join_ends(op, id, 0)->first == 0 && join_ends(op, id, 1)->first == 0) {
            efx_keyed_del(op->index, id);
        }
    }
    op->n_empty = 0;
}
