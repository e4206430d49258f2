/* Save and load of partials; birth and end of a running automaton.
 *
 *   section of a key group   │ BEGIN │ PARTIAL … │ PARTIAL … │      u8 kind before each
 *
 *   PARTIAL   state u8 │ turn, age, order, first_ms 8 │ pos, count u32 │ bound, valid words
 *             each valid slot: its 8 bytes, or length u32 and bytes
 *             each aggregate: its state, or length u32 and what it saves
 *
 * Every save holds all partials, also one that is not a base: BEGIN says that what earlier ones had
 * of this group is void, and a group that has become empty gets a BEGIN alone. Records of a group
 * come in any order; load_end puts all in order by (turn, age) and then into their lists.
 *
 * Partials of a partition's copy belong to the key group that its birth says, others to that of the
 * machine's key, as the exchange in front hashes it.
 */
#include "nfa_run.h"

#include "efx_keyed.h"

#include <stdlib.h>

enum record_kind { RECORD_BEGIN = 1, RECORD_PARTIAL = 2 };
enum { FIXED_BYTES = 1 + 1 + 4 * 8 + 2 * 4 };

static uint32_t key_group_of(const struct efx_nfa_run *r, uint32_t id)
{
    const struct efx_nfa *nfa = r->nfa;
    uint32_t n = nfa->n_keys, first = 0;
    if (n == 0 && nfa->split_slot != EFX_NFA_NO) {
        n = 1;
        first = nfa->split_slot;
    }
    if (n == 0) {
        return r->key_group;
    }
    if (nfa->partitioned) {
        struct efx_cell birth = {0};
        (void)efx_nfa__slot_get(&r->pool, id, 0, &birth, 0);
        int64_t number;
        memcpy(&number, &birth, sizeof number);
        return (uint32_t)number & (EFX_KEY_GROUPS - 1);
    }
    struct efx_cell value[EFX_KEYED_CELLS_MAX];
    uint64_t valid[EFX_KEYED_CELLS_MAX], hash;
    struct efx_col cols[EFX_KEYED_CELLS_MAX];
    n = n > EFX_KEYED_CELLS_MAX ? EFX_KEYED_CELLS_MAX : n;
    for (uint32_t k = 0; k < n; k++) {
        memset(&value[k], 0, sizeof value[k]);
        valid[k] = efx_nfa__slot_get(&r->pool, id, first + k, &value[k], 0) ? 1 : 0;
        cols[k] = (struct efx_col){.type = nfa->slots[first + k].type,
                                   .data = &value[k],
                                   .valid = valid[k] != 0 ? NULL : &valid[k]};
    }
    efx_keyed_hash(cols, n, NULL, 1, &hash);
    return efx_hash_key_group(hash);
}

static uint32_t text_bytes(const struct efx_nfa_run *r, uint32_t id, uint32_t s)
{
    struct efx_cell c[1];
    return efx_nfa__slot_get(&r->pool, id, s, c, 0) ? 4 + c->len : 0;
}

static uint32_t record_bytes(const struct efx_nfa_run *r, uint32_t id)
{
    const struct efx_nfa *nfa = r->nfa;
    struct efx_nfa_partial *p = efx_nfa__at(&r->pool, id);
    uint32_t n = FIXED_BYTES + (efx_words(nfa->n_elems_text) + efx_words(nfa->n_slots)) * 8;
    for (uint32_t s = 0; s < nfa->n_slots; s++) {
        if (efx_type_is_cell(nfa->slots[s].type)) {
            n += text_bytes(r, id, s);
        } else {
            n += efx_bit(efx_nfa__valid(nfa, p), s) ? 8 : 0;
        }
    }
    for (uint32_t a = 0; a < nfa->n_aggs; a++) {
        const struct efx_agg_vt *vt = nfa->aggs[a].vt;
        struct efx_states at = efx_nfa__states(&r->pool, a);
        n += vt->save_bytes == NULL ? vt->state_bytes
                                    : 4 + vt->save_bytes(&at, (uint8_t *)p + nfa->aggs[a].off);
    }
    return n;
}

static void put_values(const struct efx_nfa_run *r, uint32_t id, struct efx_writer *w)
{
    const struct efx_nfa *nfa = r->nfa;
    struct efx_nfa_partial *p = efx_nfa__at(&r->pool, id);
    for (uint32_t s = 0; s < nfa->n_slots; s++) {
        struct efx_cell c[1];
        memset(c, 0, sizeof c);
        if (!efx_nfa__slot_get(&r->pool, id, s, c, 0)) {
            continue;
        }
        if (efx_type_is_cell(nfa->slots[s].type)) {
            efx_put_u32(w, c->len);
            efx_put_raw(w, efx_cell_bytes(c), c->len);
        } else {
            efx_put_raw(w, c, 8);
        }
    }
    for (uint32_t a = 0; a < nfa->n_aggs; a++) {
        const struct efx_agg_vt *vt = nfa->aggs[a].vt;
        const uint8_t *state = (uint8_t *)p + nfa->aggs[a].off;
        if (vt->save_bytes == NULL) {
            efx_put_raw(w, state, vt->state_bytes);
        } else {
            struct efx_states at = efx_nfa__states(&r->pool, a);
            efx_put_u32(w, vt->save_bytes(&at, state));
            vt->save(&at, state, w);
        }
    }
}

static void begin_group(struct efx_nfa_run *r, uint32_t g)
{
    if (!efx_bit(r->begun, g)) {
        struct efx_writer w = efx_save_writer(r->out, g, 1);
        efx_put_u8(&w, RECORD_BEGIN);
        efx_bit_put(r->begun, g, true);
    }
}

void efx_nfa__save_one(struct efx_nfa_run *r, uint32_t id)
{
    const struct efx_nfa *nfa = r->nfa;
    struct efx_nfa_partial *p = efx_nfa__at(&r->pool, id);
    uint32_t g = key_group_of(r, id);
    begin_group(r, g);
    struct efx_writer w = efx_save_writer(r->out, g, record_bytes(r, id));
    efx_put_u8(&w, RECORD_PARTIAL);
    efx_put_u8(&w, (uint8_t)p->state);
    efx_put_u64(&w, p->turn);
    efx_put_u64(&w, p->age);
    efx_put_u64(&w, p->order);
    efx_put_i64(&w, p->first_ms);
    efx_put_u32(&w, p->pos);
    efx_put_u32(&w, p->count);
    efx_put_raw(&w, efx_nfa__bound(nfa, p), efx_words(nfa->n_elems_text) * 8);
    efx_put_raw(&w, efx_nfa__valid(nfa, p), efx_words(nfa->n_slots) * 8);
    put_values(r, id, &w);
    EFX_ASSERT(!w.full && w.n == w.max);
    p->stamp = r->stamp;
}

void efx_nfa_run_mark(struct efx_nfa_run *r)
{
    r->stamp++;
    r->saving = true;
    r->next_id = 1; /* behind the blank one */
    r->last_id = r->pool.n_ids;
    memset(r->begun, 0, sizeof r->begun);
}

enum efx_rc efx_nfa_run_slice(struct efx_nfa_run *r, uint32_t budget, struct efx_save *out)
{
    r->out = out;
    if (!r->saving) {
        return EFX_DONE;
    }
    if (budget == 0) {
        return EFX_AGAIN;
    }
    for (; budget > 0 && r->next_id < r->last_id; r->next_id++, budget--) {
        const struct efx_nfa_partial *p = efx_nfa__at(&r->pool, r->next_id);
        if (p->state != EFX_NFA_FREE && p->stamp != r->stamp) {
            efx_nfa__save_one(r, r->next_id);
        }
    }
    if (r->next_id < r->last_id) {
        return EFX_AGAIN;
    }
    for (uint32_t g = 0; g < EFX_KEY_GROUPS; g++) {
        bool void_now = efx_bit(r->had, g) && !efx_bit(r->begun, g);
        efx_bit_put(r->had, g, efx_bit(r->begun, g));
        if (void_now) {
            begin_group(r, g);
        }
    }
    r->saving = false;
    return EFX_DONE;
}

/* ---- load ---- */

static enum efx_rc get_text(struct efx_nfa_run *r, uint32_t id, uint32_t s, struct efx_reader *in)
{
    uint32_t len = efx_get_u32(in);
    struct efx_bytes text = efx_get_view(in, len);
    if (in->bad) {
        return EFX_EPARSE;
    }
    struct efx_cell c = efx_cell_make(text.p, len);
    struct efx_col one = {.type = r->nfa->slots[s].type, .data = &c};
    return efx_nfa__slot_set(&r->pool, id, s, &one, 0);
}

static enum efx_rc get_values(struct efx_nfa_run *r, uint32_t id, const uint64_t *valid,
                              struct efx_reader *in)
{
    const struct efx_nfa *nfa = r->nfa;
    struct efx_nfa_partial *p = efx_nfa__at(&r->pool, id);
    for (uint32_t s = 0; s < nfa->n_slots; s++) {
        if (!efx_bit(valid, s)) {
            continue;
        }
        if (efx_type_is_cell(nfa->slots[s].type)) {
            EFX_RET(get_text(r, id, s, in));
        } else {
            efx_get_raw(in, (uint8_t *)p + nfa->slots[s].off, 8);
            efx_bit_put(efx_nfa__valid(nfa, p), s, true);
        }
    }
    for (uint32_t a = 0; a < nfa->n_aggs; a++) {
        const struct efx_agg_vt *vt = nfa->aggs[a].vt;
        uint8_t *state = (uint8_t *)p + nfa->aggs[a].off;
        if (vt->save_bytes == NULL) {
            efx_get_raw(in, state, vt->state_bytes);
            continue;
        }
        struct efx_states at = efx_nfa__states(&r->pool, a);
        struct efx_bytes view = efx_get_view(in, efx_get_u32(in));
        struct efx_reader own = {.p = view.p, .left = view.n};
        EFX_RET(vt->load(&at, state, &own));
    }
    return EFX_OK;
}

static enum efx_rc load_one(struct efx_nfa_run *r, uint32_t g, struct efx_reader *in)
{
    const struct efx_nfa *nfa = r->nfa;
    uint32_t id, n_valid = efx_words(nfa->n_slots);
    EFX_RET(efx_nfa__alloc(&r->pool, &id));
    struct efx_nfa_partial *p = efx_nfa__at(&r->pool, id);
    p->state = efx_get_u8(in);
    p->turn = efx_get_u64(in);
    p->age = efx_get_u64(in);
    p->order = efx_get_u64(in);
    r->last_turn = p->turn > r->last_turn ? p->turn : r->last_turn;
    r->last_order = p->order > r->last_order ? p->order : r->last_order;
    p->first_ms = (int64_t)efx_get_u64(in);
    p->pos = efx_get_u32(in);
    p->count = efx_get_u32(in);
    efx_get_raw(in, efx_nfa__bound(nfa, p), efx_words(nfa->n_elems_text) * 8);
    struct efx_bytes valid = efx_get_view(in, (uint64_t)n_valid * 8);
    p->due_next = r->loaded[g];
    r->loaded[g] = id + 1;
    if (in->bad || p->pos >= nfa->n_elems || p->state == EFX_NFA_FREE || p->state > EFX_NFA_STUB) {
        p->state = EFX_NFA_LIVE;
        return EFX_EPARSE;
    }
    r->pool.n_live -= p->state == EFX_NFA_LIVE ? 0 : 1;
    struct efx_ctx_mark mark = efx_ctx_begin(r->ctx);
    uint64_t *words = efx_scratch(r->ctx, (size_t)n_valid * 8 + 8);
    if (n_valid > 0) {
        memcpy(words, valid.p, (size_t)n_valid * 8);
    }
    enum efx_rc rc = get_values(r, id, words, in);
    efx_ctx_end(r->ctx, mark);
    return rc != EFX_OK ? rc : in->bad ? EFX_EPARSE : EFX_OK;
}

static void forget_group(struct efx_nfa_run *r, uint32_t g)
{
    while (r->loaded[g] != 0) {
        uint32_t id = r->loaded[g] - 1;
        r->loaded[g] = efx_nfa__at(&r->pool, id)->due_next;
        efx_nfa__free(&r->pool, id);
    }
}

enum efx_rc efx_nfa_run_load(struct efx_nfa_run *r, struct efx_kg_range kg, struct efx_reader *in,
                             struct efx_err *err)
{
    if (r->loaded == NULL) {
        r->loaded = r->pool.mem->alloc(r->pool.mem, EFX_KEY_GROUPS * sizeof *r->loaded);
        if (r->loaded == NULL) {
            return EFX_ENOMEM;
        }
        memset(r->loaded, 0, EFX_KEY_GROUPS * sizeof *r->loaded);
    }
    uint32_t g;
    struct efx_reader section;
    while (efx_load_next(in, kg, &g, &section)) {
        while (section.left > 0) {
            uint8_t kind = efx_get_u8(&section);
            enum efx_rc rc = g < EFX_KEY_GROUPS ? EFX_OK : EFX_EPARSE;
            if (rc == EFX_OK && kind == RECORD_BEGIN) {
                forget_group(r, g);
                efx_bit_put(r->had, g, true);
            } else if (rc == EFX_OK) {
                rc = kind == RECORD_PARTIAL ? load_one(r, g, &section) : EFX_EPARSE;
            }
            if (rc != EFX_OK) {
                return EFX_FAIL(err, rc, EFX_KIND_ENV, 0, "saved partial matches are damaged");
            }
        }
    }
    return in->bad ? EFX_FAIL(err, EFX_EPARSE, EFX_KIND_ENV, 0, "saved partial matches end early")
                   : EFX_OK;
}

struct born { /* what the order after a load follows */
    uint64_t turn, age;
    uint32_t id;
};

static int by_birth(const void *a, const void *b)
{
    const struct born *x = a, *y = b;
    if (x->turn != y->turn) {
        return x->turn < y->turn ? -1 : 1;
    }
    return (x->age > y->age) - (x->age < y->age);
}

static enum efx_rc put_back(struct efx_nfa_run *r, uint32_t id)
{
    struct efx_nfa_partial *p = efx_nfa__at(&r->pool, id);
    p->age = r->pool.next_age++;
    p->stamp = r->stamp;
    p->due_next = 0;
    if (r->nfa->gate) {
        EFX_RET(efx_nfa__link_gate(r, id));
    }
    if (p->state != EFX_NFA_LIVE) {
        r->finished = r->finished || (p->state == EFX_NFA_DONE && r->nfa->n_keys == 0);
        return EFX_OK;
    }
    EFX_RET(efx_nfa__link_open(r, id));
    return r->nfa->within_ms >= 0 ? efx_nfa__due_add(&r->pool, id) : EFX_OK;
}

enum efx_rc efx_nfa_run_load_end(struct efx_nfa_run *r)
{
    if (r->loaded == NULL) {
        return EFX_OK;
    }
    struct efx_mem *mem = r->pool.mem;
    uint32_t n = 0;
    size_t bytes = ((size_t)r->pool.n_held + 1) * sizeof(struct born);
    struct born *all = mem->alloc(mem, bytes);
    if (all == NULL) {
        return EFX_ENOMEM;
    }
    for (uint32_t g = 0; g < EFX_KEY_GROUPS; g++) {
        for (uint32_t at = r->loaded[g]; at != 0; at = efx_nfa__at(&r->pool, at - 1)->due_next) {
            const struct efx_nfa_partial *p = efx_nfa__at(&r->pool, at - 1);
            all[n++] = (struct born){.turn = p->turn, .age = p->age, .id = at - 1};
        }
    }
    EFX_ASSERT(n <= r->pool.n_held);
    qsort(all, n, sizeof *all, by_birth);
    enum efx_rc rc = EFX_OK;
    for (uint32_t i = 0; i < n && rc == EFX_OK; i++) {
        rc = put_back(r, all[i].id);
    }
    mem->free(mem, all, bytes);
    mem->free(mem, r->loaded, EFX_KEY_GROUPS * sizeof *r->loaded);
    r->loaded = NULL;
    return rc;
}

/* ---- birth and end ---- */

enum efx_rc efx_nfa_run_create(const struct efx_nfa_open *open, struct efx_nfa_run **out)
{
    const struct efx_op_open *how = open->how;
    struct efx_nfa_run *r = EFX_NEW(how->arena, struct efx_nfa_run);
    if (r == NULL) {
        return EFX_ENOMEM;
    }
    r->nfa = open->nfa;
    r->ctx = how->ctx;
    r->op = open->op;
    r->sink = open->sink;
    r->key_group = how->key_group;
    r->max_partials = open->max_partials < 0            ? 0
                      : open->max_partials > UINT32_MAX ? UINT32_MAX
                                                        : (uint32_t)open->max_partials;
    uint32_t n = open->nfa->n_refs_max;
    r->gen_cols = EFX_NEW_N(how->arena, struct efx_col, (size_t)n + 1);
    r->gen_valid = EFX_NEW_N(how->arena, uint64_t, (size_t)n + 1);
    uint8_t *cells = efx_arena_alloc(how->arena, (size_t)n + 1, 64 * sizeof(struct efx_cell), 64);
    if (r->gen_cols == NULL || r->gen_valid == NULL || cells == NULL) {
        return EFX_ENOMEM;
    }
    for (uint32_t k = 0; k < n; k++) {
        r->gen_cols[k].data = cells + (size_t)k * 64 * sizeof(struct efx_cell);
    }
    EFX_RET(efx_nfa__pool_init(&r->pool, open->nfa, how->arena, how->mem, how->ctx));
    *out = r;
    return EFX_OK;
}

void efx_nfa_run_close(struct efx_nfa_run *r)
{
    if (r->loaded != NULL) {
        r->pool.mem->free(r->pool.mem, r->loaded, EFX_KEY_GROUPS * sizeof *r->loaded);
        r->loaded = NULL;
    }
    efx_nfa__pool_fini(&r->pool);
}

size_t efx_nfa_run_bytes(const struct efx_nfa_run *r)
{
    return efx_nfa__pool_bytes(&r->pool);
}
