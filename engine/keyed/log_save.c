/* Records of a section, behind those of the table (keyed_save.c):
 *
 *   u8 3  u64 number, [u32 ordinal], [i64 due], i64 ts, u64 turn, [u32 copy],
 *         NULL bits: a byte for 8 columns, then what is not NULL: numbers as they are, texts as
 *         u32 n, n bytes
 *   u8 4  u64 number    a row that an earlier save had died behind the head
 *   u8 5  u64 number    the head: rows of this section below are gone
 *   u8 6                rows that were loaded from this section are void: they come anew
 *
 * What a save has: rows that lived at the mark and, in a delta, were appended since the one before;
 * deaths since the mark before of rows that some save has; the head, if it moved.
 *
 * Rows never change, so nothing is copied at the mark. A row that dies before its slice stays as it
 * is (owed), its texts too; segments from the mark's head on stay until DONE.
 */
#include "log_in.h"

#include "log_record.h"

/* A row costs as much as so many entries of a table: its section and ordinal are looked up by its
 * group, and its record is put together field by field. Slices are bounded by that. */
enum { ENTRIES_A_ROW = 4 };

static uint32_t section_of(const struct efx_log *l, const struct efx_log_refs *refs, uint32_t group)
{
    bool has = l->conf.has_group && refs != NULL;
    return has ? refs->key_group(refs->arg, group) : l->conf.key_group;
}

void efx_log_mark(struct efx_log *l, const struct efx_mark *mark)
{
    EFX_ASSERT(!l->saving && l->loaded == NULL);
    l->saving = true;
    l->save_base = mark->base;
    l->phase_rows = false;
    l->save_keep = l->head;
    l->save_dead = l->head;
    l->save_dead_end = mark->base || l->marked_end < l->head ? l->head : l->marked_end;
    l->save_pos = mark->base || l->marked_end < l->head ? l->head : l->marked_end;
    l->save_end = l->end;
    l->marked_end = l->end;
    l->now ^= 1;
    if (mark->base) {
        memset(l->used, 0, sizeof l->used);
        memset(l->anew, 0, sizeof l->anew);
    }
}

/* Heads of the sections that saves gave rows to, and what a load made void. */
static void put_heads(struct efx_log *l, struct efx_save *out)
{
    bool moved = l->save_keep != l->saved_head && !l->save_base;
    for (uint32_t g = 0; g < EFX_KEY_GROUPS; g++) {
        if (l->anew[g / 64] >> g % 64 & 1) {
            *(uint8_t *)out->room(out, g, 1) = LOG_RECORD_ANEW;
        }
        if (moved && (l->used[g / 64] >> g % 64 & 1)) {
            struct efx_writer w = efx_save_writer(out, g, LOG_MOVE_BYTES);
            efx_put_u8(&w, LOG_RECORD_HEAD);
            efx_put_u64(&w, l->save_keep);
        }
    }
    memset(l->anew, 0, sizeof l->anew);
    l->saved_head = l->save_keep;
}

static void put_death(struct efx_log *l, uint64_t number, struct efx_save *out)
{
    const struct log_seg *s = efx_log__seg(l, number);
    uint32_t group = l->conf.key_group;
    if (l->conf.has_group) {
        group = ((const uint16_t *)efx_log__room(s, l->at.section))[efx_log__row(l, number)];
    }
    struct efx_writer w = efx_save_writer(out, group, LOG_MOVE_BYTES);
    efx_put_u8(&w, LOG_RECORD_DEAD);
    efx_put_u64(&w, number);
}

/* Deaths of a word of rows a time; false = n_max is used up. */
static bool put_deaths(struct efx_log *l, uint32_t *n_max, struct efx_save *out)
{
    uint32_t old = l->now ^ 1;
    while (l->save_dead<l->save_dead_end && * n_max> 0) {
        uint64_t at = l->save_dead;
        const struct log_seg *s = efx_log__seg(l, at);
        uint32_t row = efx_log__row(l, at);
        uint64_t died = 0;
        if (s->has_died[old] != 0) {
            died = efx_log__map(s, l->at.died[old])[row / 64] & UINT64_MAX << row % 64;
        }
        at -= row % 64;
        for (; died != 0; died &= died - 1) {
            uint64_t number = at + (uint32_t)__builtin_ctzll(died);
            if (number < l->save_dead_end) {
                put_death(l, number, out);
                *n_max -= *n_max > 0;
            }
        }
        l->save_dead = at + 64;
    }
    return l->save_dead >= l->save_dead_end;
}

static uint32_t row_bytes(const struct efx_log *l, uint64_t number)
{
    uint32_t n = log_row_fixed_bytes(&l->conf);
    for (uint32_t c = 0; c < l->conf.n_cols; c++) {
        bool null;
        const struct efx_cell *slot = efx_log_slot(l, number, c, &null);
        enum efx_type type = l->conf.types[c];
        if (!null) {
            n += efx_type_is_cell(type) ? (uint32_t)sizeof(uint32_t) + slot->len
                                        : efx_type_width(type);
        }
    }
    return n;
}

static void put_cols(const struct efx_log *l, uint64_t number, struct efx_writer *w)
{
    uint8_t nulls[EFX_LOG_COLS_MAX / 8] = {0};
    for (uint32_t c = 0; c < l->conf.n_cols; c++) {
        bool null;
        (void)efx_log_slot(l, number, c, &null);
        nulls[c / 8] = (uint8_t)(nulls[c / 8] | null << c % 8);
    }
    efx_put_raw(w, nulls, (l->conf.n_cols + 7) / 8);
    for (uint32_t c = 0; c < l->conf.n_cols; c++) {
        enum efx_type type = l->conf.types[c];
        const void *slot = efx_log_slot(l, number, c, NULL);
        if (nulls[c / 8] >> c % 8 & 1) {
            continue;
        }
        if (efx_type_is_cell(type)) {
            const struct efx_cell *cell = slot;
            efx_put_u32(w, cell->len);
            efx_put_raw(w, efx_cell_bytes(cell), cell->len);
        } else {
            efx_put_raw(w, slot, efx_type_width(type));
        }
    }
}

static void put_row(struct efx_log *l, uint64_t number, const struct efx_log_refs *refs,
                    struct efx_save *out)
{
    const struct log_seg *s = efx_log__seg(l, number);
    uint32_t row = efx_log__row(l, number);
    uint32_t group = l->conf.has_group ? efx_log_group(l, number) : 0;
    uint32_t section = section_of(l, refs, group);
    uint32_t bytes = row_bytes(l, number);
    struct efx_writer w = efx_save_writer(out, section, bytes);
    efx_put_u8(&w, LOG_RECORD_ROW);
    efx_put_u64(&w, number);
    if (l->conf.has_group) {
        ((uint16_t *)efx_log__room(s, l->at.section))[row] = (uint16_t)section;
        efx_put_u32(&w, refs == NULL ? 0 : refs->ordinal(refs->arg, group));
    }
    if (l->conf.has_due) {
        efx_put_i64(&w, efx_log_due(l, number));
    }
    efx_put_i64(&w, efx_log_ts(l, number));
    efx_put_u64(&w, efx_log_turn(l, number));
    if (l->conf.has_copy) {
        efx_put_u32(&w, efx_log_copy(l, number));
    }
    put_cols(l, number, &w);
    EFX_ASSERT(!w.full && w.n == bytes);
    l->used[section / 64] |= (uint64_t)1 << section % 64;
}

/* Rows that lived at the mark: those that live, and those that are owed. */
static bool put_rows(struct efx_log *l, uint32_t *n_max, const struct efx_log_refs *refs,
                     struct efx_save *out)
{
    for (; l->save_pos<l->save_end && * n_max> 0; l->save_pos++, --*n_max) {
        const struct log_seg *s = efx_log__seg(l, l->save_pos);
        uint32_t row = efx_log__row(l, l->save_pos);
        uint64_t *owed = efx_log__map(s, l->at.owed);
        bool is_owed = efx_bit(owed, row);
        if (is_owed || !efx_bit(efx_log__map(s, l->at.dead), row)) {
            put_row(l, l->save_pos, refs, out);
        }
        if (is_owed && l->heap != NULL) {
            efx_log__drop_texts(l, l->save_pos);
        }
        if (is_owed) {
            efx_bit_put(owed, row, false);
        }
    }
    return l->save_pos >= l->save_end;
}

/* The saved period's deaths are told; its maps are empty for the next but one. */
static void forget_deaths(struct efx_log *l)
{
    uint32_t old = l->now ^ 1;
    for (uint64_t i = l->first; i < l->last; i++) {
        struct log_seg *s = l->seg[i & (l->n_segs_max - 1)];
        if (s->has_died[old] != 0) {
            memset(efx_log__map(s, l->at.died[old]), 0, (size_t)1 << l->shift >> 3);
            s->has_died[old] = 0;
        }
    }
}

enum efx_rc efx_log_slice(struct efx_log *l, uint32_t n_max, const struct efx_log_refs *refs,
                          struct efx_save *out)
{
    if (!l->saving) {
        return EFX_DONE;
    }
    if (n_max == 0) {
        return EFX_AGAIN;
    }
    n_max = n_max / ENTRIES_A_ROW + 1;
    if (!l->phase_rows) {
        if (l->save_dead == l->save_keep) {
            put_heads(l, out);
        }
        if (!put_deaths(l, &n_max, out)) {
            return EFX_AGAIN;
        }
        l->phase_rows = true;
    }
    if (!put_rows(l, &n_max, refs, out)) {
        return EFX_AGAIN;
    }
    forget_deaths(l);
    l->saving = false;
    efx_log__free_behind(l);
    return EFX_DONE;
}
