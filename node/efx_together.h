#ifndef EFX_TOGETHER_H
#define EFX_TOGETHER_H

#include "efx_lib.h"

/* N members of a cluster in one process, behind the calls of the library: what `efx run --nodes N`
 * and `efx test --nodes N` are, and the way an operator is seen on a cluster.
 *
 *   efx_send … efx_flush ─► app (front) ─► member 0, 1, 2, 0 … in turn ─► ticks ─► its shards
 *   efx_on  ◄────────────── rows of all, in one order, on member 0 ◄──── packets
 *
 * The members' code, ticks, packets, checkpoints and epochs are those of efx-node; network and
 * store are in memory. Under the virtual clock time is simulated, too, so nothing waits; on the
 * system clock it is the machine's.
 *
 *   Owner    the app that efx_together_app gives is used by the library's calls and closed with the
 *            rest. A place keeps checkpoints from one opening to the next
 *   Threads  one caller
 *   Errors   EFX_RC_SQL as of efx_open; EFX_RC_ENV: the cluster does not form
 *   Limits   EFX_SHARDS_MAX shards of all
 */
struct efx_together;
struct efx_together_place;

enum efx_code efx_together_place_create(struct efx_together_place **out);
void efx_together_place_destroy(struct efx_together_place **place);

/* Founds, or goes on from what the place has. `place` NULL: of its own. *out is made also when the
 * program is wrong, for efx_messages. */
enum efx_code efx_together_open(struct efx_together **out, const char *sql,
                                const struct efx_options *options, uint32_t n_nodes,
                                struct efx_together_place *place, struct efx_error *err);
struct efx *efx_together_app(struct efx_together *t);
/* After efx_on and efx_start of the app: members come up. */
enum efx_code efx_together_start(struct efx_together *t, struct efx_error *err);
/* All members have saved, and the manifest stands. */
enum efx_code efx_together_checkpoint(struct efx_together *t, struct efx_error *err);
enum efx_code efx_together_query(struct efx_together *t, const char *sql, efx_row_fn fn, void *arg,
                                 uint64_t *changed, struct efx_error *err);
/* System clock: what is due runs; sleeps at most so long for it. */
void efx_together_wait(struct efx_together *t, uint64_t max_ns);
void efx_together_close(struct efx_together **t);

#endif /* EFX_TOGETHER_H */
