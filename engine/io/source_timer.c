/* The timer source: an event every so many milliseconds. Its one STRING column gets 'tick'. */
#include "efx_io.h"

#include "efx_pace.h"

struct conf {
    int64_t interval_ms;
};

static const struct efx_conf_key options[] = {
    {.name = "timer.interval",
     .kind = EFX_CONF_LONG,
     .off = offsetof(struct conf, interval_ms),
     .otherwise = "1000",
     .min = 1,
     .help = "milliseconds between events"},
    {0},
};

struct timer_source {
    struct efx_source base;
    int64_t interval_ms;
    uint64_t next_ns;
    uint16_t stream;
};

static enum efx_rc open_timer(struct efx_source *self, const struct efx_source_open *how,
                              struct efx_err *err)
{
    struct timer_source *s = (struct timer_source *)self;
    const struct efx_schema *schema = how->streams[how->stream];
    s->interval_ms = ((const struct conf *)how->conf)->interval_ms;
    s->stream = how->stream;
    if (schema->n_cols != 1 || schema->cols[0].type != EFX_TYPE_STRING) {
        return EFX_FAIL(err, EFX_ETYPE, EFX_KIND_USER, 1105,
                        "a timer fills one STRING column, stream %s has others", schema->name);
    }
    return EFX_OK;
}

static enum efx_rc read_timer(struct efx_source *self, struct efx_chunk *out)
{
    struct timer_source *s = (struct timer_source *)self;
    struct efx_world *w = self->world;
    uint64_t step = (uint64_t)s->interval_ms * 1000000, now = w->clock->monotonic_ns(w);
    s->next_ns = s->next_ns == 0 ? now + step : s->next_ns;
    if (now < s->next_ns) {
        self->wait_ns = s->next_ns - now;
        return EFX_AGAIN;
    }
    uint64_t n = (now - s->next_ns) / step + 1; /* several if we were late */
    n = n < EFX_PACE_CLAIM ? n : EFX_PACE_CLAIM;
    s->next_ns += n * step;
    out->arrived_ms = w->clock->wall_ms(w);
    out->msgs[0] = (struct efx_msg){.len = (uint32_t)n, .ts_ms = out->arrived_ms};
    out->n_msgs = 1;
    return EFX_OK;
}

static enum efx_rc fill(const struct efx_source *self, struct efx_decode *d,
                        struct efx_builder *out)
{
    const struct timer_source *s = (const struct timer_source *)self;
    for (; d->msg < d->chunk->n_msgs; d->msg++, d->at_bytes = 0) {
        const struct efx_msg *m = &d->chunk->msgs[d->msg];
        for (; d->at_bytes < m->len; d->at_bytes++) {
            struct efx_colset *set;
            EFX_RET(efx_builder_begin(out, s->stream, m->ts_ms, &set));
            EFX_RET(efx_builder_text(out, set, 0, "tick", 4));
            efx_builder_end(out, set);
        }
    }
    return EFX_OK;
}

static void close_timer(struct efx_source *self)
{
    (void)self;
}

const struct efx_source_vt efx_timer_source_vt = {
    .base = {.abi = EFX_ABI,
             .vt_bytes = sizeof(struct efx_source_vt),
             .name = "timer",
             .help = "an event at regular times",
             .conf = options,
             .conf_bytes = sizeof(struct conf),
             .self_bytes = sizeof(struct timer_source)},
    .open = open_timer,
    .read = read_timer,
    .fill = fill,
    .close = close_timer,
};
