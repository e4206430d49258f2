#ifndef EFX_RECONNECT_H
#define EFX_RECONNECT_H

#include "efx_loop.h"

/* How long to wait before the next try: twice as long after each failure, up to a cap, and of that
 * a random part between half and all, so that those who lost the same peer do not come together.
 *
 *   Owner    the caller's; a zeroed one with its two bounds set is ready
 *   Threads  none
 *   Source   tests/transport/test_reconnect.c
 */
struct efx_reconnect {
    uint64_t first_ns, cap_ns; /* 0 < first <= cap */
    uint64_t last_ns;          /* before jitter; 0 = the last try was good, or there was none */
};

static inline uint64_t efx_reconnect_wait_ns(struct efx_reconnect *r, struct efx_loop *loop)
{
    EFX_ASSERT(r->first_ns > 0 && r->first_ns <= r->cap_ns);
    uint64_t ns = r->last_ns == 0 ? r->first_ns : r->last_ns;
    if (r->last_ns != 0) {
        ns = ns > r->cap_ns / 2 ? r->cap_ns : ns * 2;
    }
    r->last_ns = ns;
    return ns - loop->vt->random(loop) % (ns / 2 + 1);
}

static inline void efx_reconnect_good(struct efx_reconnect *r)
{
    r->last_ns = 0;
}

#endif /* EFX_RECONNECT_H */
