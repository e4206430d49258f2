#include "efx_op.h"

enum efx_rc efx_op_init(struct efx_op *base, const struct efx_op_vt *vt,
                        const struct efx_op_open *how)
{
    base->vt = vt;
    base->rows = vt->rows;
    base->ctx = how->ctx;
    base->n_out = how->n_out;
    base->rank = how->rank;
    base->id = how->id;
    base->key_group = how->key_group;
    base->out = EFX_NEW_N(how->arena, struct efx_outlet, how->n_out);
    if (base->out == NULL) {
        return EFX_ENOMEM;
    }
    for (uint32_t i = 0; i < how->n_out; i++) {
        base->out[i].rows.push = efx_op_push_nowhere;
        base->out[i].errors.push = efx_op_push_nowhere;
    }
    return EFX_OK;
}

enum efx_rc efx_op_push_nowhere(struct efx_op *to, uint32_t inlet, const struct efx_step *step,
                                const struct efx_rows *rows)
{
    (void)to;
    (void)inlet;
    (void)step;
    (void)rows;
    return EFX_OK;
}

int64_t efx_op_never_due(const struct efx_op *self)
{
    (void)self;
    return EFX_NEVER_MS;
}

enum efx_rc efx_op_nothing_due(struct efx_op *self, const struct efx_step *step, efx_moment until)
{
    (void)self;
    (void)step;
    (void)until;
    return EFX_OK;
}

enum efx_rc efx_op_nothing_held(struct efx_op *self, const struct efx_step *step)
{
    (void)self;
    (void)step;
    return EFX_OK;
}

void efx_op_origin_ignore(struct efx_op *self, int64_t t0_ms)
{
    (void)self;
    (void)t0_ms;
}

void efx_op_mark_nothing(struct efx_op *self, const struct efx_mark *mark)
{
    (void)self;
    (void)mark;
}

enum efx_rc efx_op_slice_nothing(struct efx_op *self, uint32_t budget_rows, struct efx_save *out)
{
    (void)self;
    (void)budget_rows;
    (void)out;
    return EFX_DONE;
}

enum efx_rc efx_op_load_nothing(struct efx_op *self, struct efx_kg_range kg, struct efx_reader *r,
                                struct efx_err *err)
{
    (void)self;
    (void)kg;
    (void)r;
    (void)err;
    return EFX_OK;
}

enum efx_rc efx_op_load_end_nothing(struct efx_op *self, struct efx_err *err)
{
    (void)self;
    (void)err;
    return EFX_OK;
}

size_t efx_op_no_bytes(const struct efx_op *self)
{
    (void)self;
    return 0;
}

void efx_op_close_nothing(struct efx_op *self)
{
    (void)self;
}
