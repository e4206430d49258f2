/* Positions of inputs in checkpoints.
 *
 *   u64 at[2], u64 taken, u64 lines, u32 n, head
 */
#include "run.h"

#include <stdio.h>
#include <string.h>

enum { SKIP_TURNS = 1024, POSITION_BYTES = 8 * 4 + 4 };

bool run_in_rewinds(const struct run_in *in)
{
    for (uint32_t i = 0; i < in->n_lanes; i++) {
        if (!in->lanes[i].lane.source->rewinds) {
            return false;
        }
    }
    return true;
}

enum efx_rc run_in_positions(const struct run_in *in, struct efx_arena *a,
                             struct efx_ckpt_bytes **out, uint32_t *n)
{
    *out = EFX_NEW_N(a, struct efx_ckpt_bytes, (size_t)in->n_lanes + 1);
    *n = 0;
    if (*out == NULL) {
        return EFX_ENOMEM;
    }
    for (uint32_t i = 0; i < in->n_lanes; i++) {
        const struct run_lane *l = &in->lanes[i];
        struct efx_lane_pos pos;
        if (!efx_lane_pos(&l->lane, l->own == NULL ? 0 : l->own->n_turns - l->at, &pos)) {
            continue;
        }
        size_t max = POSITION_BYTES + pos.head.n;
        struct efx_writer w = {.p = efx_arena_bytes(a, max), .max = max};
        if (w.p == NULL) {
            return EFX_ENOMEM;
        }
        efx_put_u64(&w, pos.at[0]);
        efx_put_u64(&w, pos.at[1]);
        efx_put_u64(&w, pos.taken);
        efx_put_u64(&w, pos.n_lines);
        efx_put_u32(&w, (uint32_t)pos.head.n);
        efx_put_raw(&w, pos.head.p, pos.head.n);
        (*out)[(*n)++] = (struct efx_ckpt_bytes){l->id, {w.p, w.n}};
    }
    return EFX_OK;
}

static enum efx_rc seek_lane(struct run_in *in, struct run_lane *l, struct efx_bytes bytes,
                             struct efx_err *err)
{
    struct efx_reader r = {bytes.p, bytes.n, false};
    struct efx_lane_pos pos = {.at = {efx_get_u64(&r)}};
    pos.at[1] = efx_get_u64(&r);
    pos.taken = efx_get_u64(&r);
    pos.n_lines = efx_get_u64(&r);
    pos.head = efx_get_view(&r, efx_get_u32(&r));
    if (r.bad || r.left > 0) {
        return EFX_FAIL(err, EFX_EPARSE, EFX_KIND_ENV, 0, "the position of %s is damaged", l->id);
    }
    EFX_RET(efx_lane_seek(&l->lane, &pos, err));
    l->skip = pos.taken;
    if (l->skip > 0 && l->own == NULL) {
        const struct efx_builder *b = efx_app_builder(in->app);
        l->straight = true;
        return efx_builder_create(&in->arena, &efx_mem_libc, b->schemas, b->n_streams, SKIP_TURNS,
                                  &l->own);
    }
    return EFX_OK;
}

enum efx_rc run_in_seek(struct run_in *in, const struct efx_manifest *m, struct efx_err *err)
{
    for (uint32_t i = 0; i < in->n_lanes; i++) {
        struct run_lane *l = &in->lanes[i];
        const struct efx_ckpt_bytes *p = efx_ckpt_position(&m->body, l->id);
        if (p != NULL && l->lane.source->rewinds) {
            EFX_RET(seek_lane(in, l, p->bytes, err));
        } else if (p != NULL) {
            (void)fprintf(stderr, "efx: %s cannot go back: it is read from where it is now\n",
                          l->lane.name);
        }
    }
    return EFX_OK;
}
