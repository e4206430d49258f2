/* What this room has, and how instances are made. */
#include "efx_io.h"

const struct efx_plugin *const efx_io_sources[] = {
    &efx_file_source_vt.base,
    &efx_datagen_source_vt.base,
    &efx_nexmark_source_vt.base,
    &efx_timer_source_vt.base,
};
const uint32_t efx_io_n_sources = sizeof efx_io_sources / sizeof *efx_io_sources;

const struct efx_plugin *const efx_io_sinks[] = {
    &efx_log_sink_vt.base,
    &efx_file_sink_vt.base,
    &efx_grpc_sink_vt.base,
};
const uint32_t efx_io_n_sinks = sizeof efx_io_sinks / sizeof *efx_io_sinks;

const struct efx_plugin *const efx_io_formats[] = {
    &efx_json_format_vt.base,
    &efx_csv_format_vt.base,
};
const uint32_t efx_io_n_formats = sizeof efx_io_formats / sizeof *efx_io_formats;

enum efx_rc efx_format_make(const struct efx_format_vt *vt, const struct efx_format_open *how,
                            struct efx_format **out, struct efx_err *err)
{
    struct efx_format *f = efx_arena_alloc(how->arena, 1, vt->base.self_bytes, EFX_CACHE_LINE);
    if (f == NULL) {
        return EFX_FAIL(err, EFX_ENOMEM, EFX_KIND_ENV, 0, "out of memory");
    }
    f->vt = vt;
    EFX_RET(vt->open(f, how, err));
    *out = f;
    return EFX_OK;
}

enum efx_rc efx_source_make(const struct efx_source_vt *vt, const struct efx_source_open *how,
                            struct efx_world *world, struct efx_source **out, struct efx_err *err)
{
    struct efx_source *s = efx_arena_alloc(how->arena, 1, vt->base.self_bytes, EFX_CACHE_LINE);
    if (s == NULL) {
        return EFX_FAIL(err, EFX_ENOMEM, EFX_KIND_ENV, 0, "out of memory");
    }
    s->vt = vt;
    s->world = world;
    EFX_RET(vt->open(s, how, err));
    *out = s;
    return EFX_OK;
}

enum efx_rc efx_sink_make(const struct efx_sink_vt *vt, const struct efx_sink_open *how,
                          struct efx_world *world, struct efx_sink **out, struct efx_err *err)
{
    struct efx_sink *s = efx_arena_alloc(how->arena, 1, vt->base.self_bytes, EFX_CACHE_LINE);
    if (s == NULL) {
        return EFX_FAIL(err, EFX_ENOMEM, EFX_KIND_ENV, 0, "out of memory");
    }
    s->vt = vt;
    s->world = world;
    EFX_RET(vt->open(s, how, err));
    *out = s;
    return EFX_OK;
}
