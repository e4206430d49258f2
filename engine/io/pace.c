/* Rows by rate. */
#include "efx_pace.h"

static const uint64_t SECOND_NS = 1000000000;

/* Rows that are due `ns` after the start, without overflow in a thousand years. */
static uint64_t due(const struct efx_pace *p, uint64_t ns)
{
    uint64_t per_s = (uint64_t)p->per_s;
    return ns / SECOND_NS * per_s + ns % SECOND_NS * per_s / SECOND_NS;
}

enum efx_rc efx_pace_read(struct efx_pace *p, struct efx_world *world, struct efx_chunk *out,
                          uint64_t *wait_ns)
{
    uint64_t n = EFX_PACE_CLAIM;
    if (p->total >= 0 && (uint64_t)p->total - p->next < n) {
        n = (uint64_t)p->total - p->next;
    }
    if (n == 0) {
        return EFX_DONE;
    }
    uint64_t now = world->clock->monotonic_ns(world);
    p->start_ns = p->start_ns == 0 ? now : p->start_ns;
    if (p->per_s > 0) {
        uint64_t until = p->from + due(p, now - p->start_ns);
        if (until <= p->next) {
            uint64_t at = (p->next - p->from + 1) * SECOND_NS / (uint64_t)p->per_s + 1;
            *wait_ns = at > now - p->start_ns ? at - (now - p->start_ns) : 1;
            return EFX_AGAIN;
        }
        n = until - p->next < n ? until - p->next : n;
    }
    out->arrived_ms = world->clock->wall_ms(world);
    out->msgs[0] = (struct efx_msg){
        .len = (uint32_t)n, .ts_ms = EFX_TS_NONE, .pos = {.next = {p->next + n, 0}}};
    out->n_msgs = 1;
    p->next += n;
    return EFX_OK;
}
