/* A section is a list of records, in the order in which they were copied:
 *
 *   u8 1, key, states     an entry as it was at the mark
 *   u8 2, key             the key died since the mark before
 *   u8 3 …                not ours: rows that refer to entries by ordinal (efx_log.h)
 *
 *   key      u64 NULL bits (if nullable), then 8-byte words and texts: u32 n, n bytes
 *   states   as they lie in the entry; one with parts in the heap: u32 n, n bytes by its save()
 *
 * A key that died and came back has both, in any order, so load applies all deaths first. A base
 * has no deaths.
 *
 * Why nothing is saved twice or missed (tested in test_keyed.c against copies at the mark):
 *   1. dirty at the mark = the stamp of the period that ended; in a base: any but the new one.
 *   2. by list: a slice sets the stamp of what it copied to 0, a touch to the new one.
 *      by id (save_walk): ids below save_pos were copied. Either way unsaved() turns false.
 *   3. del touches first, so what dies during a save is in it as it was.
 *   4. a new entry bears the new stamp, so the running save does not see it; an id that is listed
 *      and was given anew is therefore passed over.
 *   5. ids of tombstones rest until their save has copied them, so ordinals stay good until then.
 * Before the first mark nothing is listed: that save is a base whatever the mark says. After a load
 * changes are listed from the beginning, so a delta upon what was loaded is right too.
 */
#include "keyed_in.h"

enum { RECORD_ENTRY = 1, RECORD_DEAD = 2, RECORD_OTHERS = 3 };
enum { LIST_MIN = 1024, KEY_MAX_BYTES = 8 + EFX_KEYED_CELLS_MAX * 16, IDS_FIRST = 64 };

/* ---- what changed */

/* The list that changes go to from now on: an eighth of the ids, beyond that listing does not pay.
 * Without memory for it the next save looks at every entry. */
static void list_begin(struct efx_keyed *t)
{
    struct efx_keyed_dirty *d = &t->dirty[t->now];
    uint32_t want = t->n_ids / 8 < LIST_MIN ? LIST_MIN : t->n_ids / 8;
    if (d->n_max < want || d->n_max / 4 > want) {
        efx_keyed__give(t, d->id, d->n_max * sizeof *d->id);
        d->id = efx_keyed__take(t, want * sizeof *d->id);
        d->n_max = d->id == NULL ? 0 : want;
    }
    d->n = 0;
    d->all = false;
    d->dead = 0;
}

void efx_keyed__list(struct efx_keyed *t, uint32_t id)
{
    struct efx_keyed_dirty *d = &t->dirty[t->now];
    d->all = d->all || d->n == d->n_max;
    if (!d->all) {
        d->id[d->n++] = id;
    }
}

/* ---- records out */

static uint32_t key_size(const struct efx_keyed *t, const uint8_t *key)
{
    uint32_t n = t->key_bytes;
    for (uint32_t c = 0; c < t->conf.n_cells && t->has_text; c++) {
        if (efx_type_is_cell(t->conf.types[c])) {
            const struct key_text *text = (const void *)(key + t->cell[c]);
            n += text->len + (uint32_t)sizeof text->len - (uint32_t)sizeof *text;
        }
    }
    return n;
}

static void put_key(const struct efx_keyed *t, const uint8_t *key, struct efx_writer *w)
{
    if (!t->has_text) {
        efx_put_raw(w, key, t->key_bytes);
        return;
    }
    if (t->conf.nullable) {
        efx_put_raw(w, key, sizeof(uint64_t));
    }
    for (uint32_t c = 0; c < t->conf.n_cells; c++) {
        const uint8_t *cell = key + t->cell[c];
        const struct key_text *text = (const void *)cell;
        if (!efx_type_is_cell(t->conf.types[c])) {
            efx_put_raw(w, cell, sizeof(uint64_t));
            continue;
        }
        bool is_long = text->len > EFX_CELL_INLINE;
        efx_put_u32(w, text->len);
        efx_put_raw(w, is_long ? efx_heap_at(t->heap, text->ref) : text->head, text->len);
    }
}

static uint32_t state_bytes(const struct efx_keyed *t, uint32_t k)
{
    uint32_t end = k + 1 < t->conf.n_states ? t->state_off[k + 1] : t->states_off + t->states_bytes;
    return end - t->state_off[k];
}

static bool has_parts(const struct efx_keyed *t, uint32_t k)
{
    const struct efx_agg_vt *agg = t->conf.states[k].agg;
    return agg != NULL && agg->fini != NULL;
}

static uint32_t states_size(const struct efx_keyed *t, uint32_t id)
{
    uint32_t n = t->states_bytes;
    for (uint32_t k = 0; k < t->conf.n_states && t->has_parts; k++) {
        if (has_parts(t, k)) {
            struct efx_states at = efx_keyed_states(t, k);
            n += t->conf.states[k].agg->save_bytes(&at, efx_keyed_state(t, id, k));
            n += (uint32_t)sizeof(uint32_t) - state_bytes(t, k);
        }
    }
    return n;
}

static void put_states(const struct efx_keyed *t, uint32_t id, struct efx_writer *w)
{
    if (!t->has_parts) {
        efx_put_raw(w, (const uint8_t *)efx_keyed__at(t, id) + t->states_off, t->states_bytes);
        return;
    }
    for (uint32_t k = 0; k < t->conf.n_states; k++) {
        const void *state = efx_keyed_state(t, id, k);
        if (!has_parts(t, k)) {
            efx_put_raw(w, state, state_bytes(t, k));
            continue;
        }
        const struct efx_agg_vt *agg = t->conf.states[k].agg;
        struct efx_states at = efx_keyed_states(t, k);
        efx_put_u32(w, agg->save_bytes(&at, state));
        agg->save(&at, state, w);
    }
}

static void copy_out(struct efx_keyed *t, const struct efx_entry *e, uint32_t id)
{
    EFX_ASSERT(t->out != NULL); /* the mark's first slice has come */
    uint32_t section = efx_keyed__section(t, efx_keyed__hash_key(t, e->key, true));
    uint32_t bytes = 1 + key_size(t, e->key) + states_size(t, id);
    struct efx_writer w = efx_save_writer(t->out, section, bytes);
    efx_put_u8(&w, RECORD_ENTRY);
    put_key(t, e->key, &w);
    put_states(t, id, &w);
    EFX_ASSERT(!w.full && w.n == bytes);
    if (t->n_saved != NULL) {
        *efx_keyed__ordinal_at(t, id) = t->n_saved[section]++;
    }
}

static void copy_dead(struct efx_keyed *t, const struct efx_entry *e)
{
    uint32_t section = efx_keyed__section(t, efx_keyed__hash_key(t, e->key, true));
    struct efx_writer w = efx_save_writer(t->out, section, 1 + key_size(t, e->key));
    efx_put_u8(&w, RECORD_DEAD);
    put_key(t, e->key, &w);
}

static bool unsaved(const struct efx_keyed *t, const struct efx_entry *e, uint32_t id)
{
    if (!t->saving || efx_keyed__stamped(t, e) || e->stamp == EFX_KEYED_DEAD) {
        return false;
    }
    bool was_dirty = t->save_base || (e->stamp | 1) == ((t->stamp - 2) | 1);
    return was_dirty && (!t->save_walk || id >= t->save_pos);
}

void efx_keyed__touch(struct efx_keyed *t, struct efx_entry *e, uint32_t id)
{
    if (unsaved(t, e, id)) {
        copy_out(t, e, id);
    }
    e->stamp = t->stamp;
    if (t->tracks) {
        efx_keyed__list(t, id);
    }
}

void efx_keyed_touch(struct efx_keyed *t, uint32_t id)
{
    struct efx_entry *e = efx_keyed__at(t, id);
    if (!efx_keyed__stamped(t, e)) {
        efx_keyed__touch(t, e, id);
    }
}

/* ---- mark, slices */

void efx_keyed_mark(struct efx_keyed *t, const struct efx_mark *mark)
{
    const struct efx_keyed_dirty *old = &t->dirty[t->now];
    EFX_ASSERT(!t->saving && t->stamp < EFX_KEYED_DEAD - 4);
    t->saving = true;
    t->save_base = mark->base || !t->tracks;
    t->save_walk = t->save_base || old->all;
    t->save_pos = 0;
    t->save_end = t->save_walk ? t->n_ids : old->n;
    t->out = NULL;
    t->stamp += 2;
    t->tracks = true;
    t->now ^= 1;
    list_begin(t);
    if (t->n_saved != NULL) {
        memset(t->n_saved, 0, EFX_KEY_GROUPS * sizeof *t->n_saved);
    }
}

enum efx_rc efx_keyed_slice(struct efx_keyed *t, uint32_t n_max, struct efx_save *out)
{
    struct efx_keyed_dirty *old = &t->dirty[t->now ^ 1];
    if (!t->saving) {
        return EFX_DONE;
    }
    t->out = out;
    if (n_max == 0) {
        return EFX_AGAIN;
    }
    for (; old->dead != 0 && n_max > 0; n_max--) {
        uint32_t id = old->dead - 1;
        struct efx_entry *e = efx_keyed__at(t, id);
        if (!t->save_base) {
            copy_dead(t, e);
        }
        old->dead = e->extra;
        efx_keyed__entry_free(t, id);
    }
    for (; t->save_pos < t->save_end && n_max > 0; n_max--, t->save_pos++) {
        uint32_t id = t->save_walk ? t->save_pos : old->id[t->save_pos];
        struct efx_entry *e = efx_keyed__at(t, id);
        if (unsaved(t, e, id)) {
            copy_out(t, e, id);
            e->stamp = t->save_walk ? e->stamp : 0;
        }
    }
    if (old->dead != 0 || t->save_pos < t->save_end) {
        return EFX_AGAIN;
    }
    old->n = 0;
    old->all = false;
    t->saving = false;
    t->out = NULL;
    return EFX_DONE;
}

uint32_t efx_keyed_ordinal(const struct efx_keyed *t, uint32_t id)
{
    EFX_ASSERT(t->conf.ordinals && !t->saving);
    return *efx_keyed__ordinal_at(t, id);
}

/* ---- records in */

/* Into bytes as efx_keyed__keys makes them; texts point into the section. */
static void get_key(const struct efx_keyed *t, struct efx_reader *r, uint8_t *key)
{
    if (t->conf.nullable && t->conf.n_cells > 0) {
        efx_get_raw(r, key, sizeof(uint64_t));
    }
    for (uint32_t c = 0; c < t->conf.n_cells; c++) {
        if (!efx_type_is_cell(t->conf.types[c])) {
            efx_get_raw(r, key + t->cell[c], sizeof(uint64_t));
            continue;
        }
        struct efx_bytes text = efx_get_view(r, efx_get_u32(r));
        struct efx_cell cell = efx_cell_make(text.p, (uint32_t)text.n);
        memcpy(key + t->cell[c], &cell, sizeof cell);
    }
}

static void skip_states(const struct efx_keyed *t, struct efx_reader *r)
{
    for (uint32_t k = 0; k < t->conf.n_states; k++) {
        (void)efx_get_view(r, has_parts(t, k) ? efx_get_u32(r) : state_bytes(t, k));
    }
}

static enum efx_rc get_states(struct efx_keyed *t, uint32_t id, struct efx_reader *r)
{
    for (uint32_t k = 0; k < t->conf.n_states; k++) {
        void *state = efx_keyed_state(t, id, k);
        if (!has_parts(t, k)) {
            struct efx_bytes bytes = efx_get_view(r, state_bytes(t, k));
            if (bytes.n != 0) {
                memcpy(state, bytes.p, bytes.n);
            }
            continue;
        }
        struct efx_states at = efx_keyed_states(t, k);
        struct efx_bytes bytes = efx_get_view(r, efx_get_u32(r));
        struct efx_reader part = {.p = bytes.p, .left = bytes.n};
        if (r->bad) {
            return EFX_EPARSE;
        }
        EFX_RET(t->conf.states[k].agg->load(&at, state, &part));
        if (part.bad || part.left != 0) {
            return EFX_EPARSE;
        }
    }
    return r->bad ? EFX_EPARSE : EFX_OK;
}

static enum efx_rc tell_id(struct efx_keyed_ids_out *out, uint32_t id)
{
    if (out->n == out->n_max) {
        uint32_t max = out->n_max == 0 ? IDS_FIRST : out->n_max * 2;
        uint32_t *grown =
            efx_mem_grow(out->mem, out->id, out->n_max * sizeof *grown, max * sizeof *grown);
        if (grown == NULL) {
            return EFX_ENOMEM;
        }
        out->id = grown;
        out->n_max = max;
    }
    out->id[out->n++] = id;
    return EFX_OK;
}

/* The entry comes as from an earlier save: its death must be told to the next one. */
static enum efx_rc load_entry(struct efx_keyed *t, uint64_t hash, const uint8_t *key,
                              struct efx_reader *r, struct efx_keyed_ids_out *out)
{
    uint32_t id = 0, n_new = 0;
    if (t->conf.n_cells > 0) {
        EFX_RET(efx_keyed__id_of(t, hash, key, &id, &n_new));
    }
    if (n_new == 0) {
        efx_keyed_reset(t, id);
    }
    efx_keyed__at(t, id)->stamp = t->stamp;
    EFX_RET(get_states(t, id, r));
    return out == NULL ? EFX_OK : tell_id(out, id);
}

/* Applies the records of one kind, up to what is not ours. */
static enum efx_rc load_kind(struct efx_keyed *t, uint32_t key_group, struct efx_reader *r,
                             uint8_t kind, struct efx_keyed_ids_out *out)
{
    _Alignas(8) uint8_t key[KEY_MAX_BYTES];
    while (r->left > 0 && r->p[0] < RECORD_OTHERS) {
        uint8_t is = efx_get_u8(r);
        get_key(t, r, key);
        if (r->bad || (is != RECORD_ENTRY && is != RECORD_DEAD)) {
            return EFX_EPARSE;
        }
        uint64_t hash = efx_keyed__hash_key(t, key, false);
        if (efx_keyed__section(t, hash) != key_group) {
            return EFX_EPARSE;
        }
        if (is == RECORD_ENTRY && kind == RECORD_ENTRY) {
            EFX_RET(load_entry(t, hash, key, r, out));
            continue;
        }
        if (is == RECORD_ENTRY) {
            skip_states(t, r);
        } else if (kind == RECORD_DEAD) {
            uint32_t id = t->conf.n_cells == 0 ? 0 : efx_keyed__lookup(t, hash, key);
            if (id != EFX_KEYED_DEAD) {
                efx_keyed_del(t, id);
            }
        }
    }
    return r->bad ? EFX_EPARSE : EFX_OK;
}

enum efx_rc efx_keyed_load(struct efx_keyed *t, uint32_t key_group, struct efx_reader *section,
                           struct efx_keyed_ids_out *out)
{
    struct efx_reader deaths = *section;
    EFX_ASSERT(!t->saving);
    EFX_RET(efx_keyed__groups_make(t));
    if (!t->tracks) { /* what is here already counts as new, and is not listed */
        t->tracks = true;
        list_begin(t);
        t->dirty[t->now].all = true;
    }
    EFX_RET(load_kind(t, key_group, &deaths, RECORD_DEAD, out));
    return load_kind(t, key_group, section, RECORD_ENTRY, out);
}
