#ifndef EFX_LOOP_REAL_H
#define EFX_LOOP_REAL_H

#include "efx_arena.h"
#include "efx_loop.h"

/* The loop on this machine: libevent for descriptors, a timerfd on the boot-time clock, an eventfd
 * to be woken by.
 *
 *   turn: posted tasks (those there were at its start) → timers that are due → descriptors, and
 *         if nothing waits, sleep
 *
 *   Owner    whoever made it; all that watches its descriptors ends before it
 *   Threads  post, now_ns, wall_ms, random and stop from any, the rest on the one that runs it
 *   Errors   EFX_EIO: no descriptors left for it
 */
struct event_base;

enum efx_rc efx_loop_real_create(struct efx_mem *mem, struct efx_loop **out, struct efx_err *err);
void efx_loop_real_destroy(struct efx_loop **loop);

/* Until stop, which counts once: also one that came before. */
void efx_loop_real_run(struct efx_loop *loop);
void efx_loop_real_stop(struct efx_loop *loop);
/* One turn; it sleeps, at most so long, only if no task ran in it. */
void efx_loop_real_turn(struct efx_loop *loop, uint64_t max_ns);
/* For those who bring events of their own: sockets, evhttp, Redis. */
struct event_base *efx_loop_real_base(struct efx_loop *loop);
bool efx_loop_is_real(const struct efx_loop *loop);

#endif /* EFX_LOOP_REAL_H */
