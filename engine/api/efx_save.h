#ifndef EFX_SAVE_H
#define EFX_SAVE_H

#include "efx_codec.h"
#include "efx_err.h"

/* How state leaves its owner while rows keep coming, and how it comes back.
 *
 *   mark 7 │ slice(0) │ step: touches b │ slice: a │ step │ slice: c, DONE │ …     mark 8
 *          └ lends `out` until DONE         └ b was copied by its touch: as it was at the mark
 *
 * A mark copies nothing. `slice` copies some entries between two steps; an entry that changes
 * before its slice is copied first, by the touch. All bytes of a key group form one section; a
 * chunk of the store holds the sections of a range of groups, and rescale reads those it wants:
 *
 *   u32 key group │ u32 n │ n bytes: what `room` was asked for, in that order
 *
 * An aborted checkpoint is no business of who saves: slices run to DONE all the same, and if some
 * of it was not stored the next mark says base.
 *
 *   Owner    `out` belongs to the core, one for each operator
 *   Limits   `room` never says no
 *   Errors   of load: EFX_EPARSE, EFX_ENOMEM; kind ENV
 *   Threads  the shard's owner; full buffers go to the storage thread
 *   Order    mark, slice(0) at once, slices between steps until DONE, next mark
 */
struct efx_kg_range { /* key groups first .. last, both included */
    uint32_t first;
    uint32_t last;
};

struct efx_mark {
    uint64_t checkpoint; /* its number */
    bool base;           /* everything; else what changed since the last mark */
};

struct efx_save {
    /* Room for bytes of this group, all of which the caller fills before it asks again. */
    void *(*room)(struct efx_save *self, uint32_t key_group, uint32_t bytes);
};

/* A writer for exactly these bytes, for those who save field by field. */
static inline struct efx_writer efx_save_writer(struct efx_save *out, uint32_t key_group,
                                                uint32_t bytes)
{
    return (struct efx_writer){.p = out->room(out, key_group, bytes), .max = bytes};
}

/* The next section of a group in `kg`; false = there is none left, or r->bad. */
static inline bool efx_load_next(struct efx_reader *r, struct efx_kg_range kg, uint32_t *key_group,
                                 struct efx_reader *section)
{
    while (r->left > 0 && !r->bad) {
        *key_group = efx_get_u32(r);
        struct efx_bytes view = efx_get_view(r, efx_get_u32(r));
        if (!r->bad && kg.first <= *key_group && *key_group <= kg.last) {
            *section = (struct efx_reader){.p = view.p, .left = view.n};
            return true;
        }
    }
    return false;
}

#endif /* EFX_SAVE_H */
