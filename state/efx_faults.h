#ifndef EFX_FAULTS_H
#define EFX_FAULTS_H

#include "efx_coord.h"
#include "efx_store.h"

/* A member's way to its store and coord, with faults under a seed: for simulations and for tests of
 * whoever must live with C6.
 *
 *   member ── call ──► [this] ──► store, coord
 *                        ├ lost before   EFX_EIO, and nothing reached the place
 *                        ├ answer lost   EFX_EIO, though it was done
 *                        ├ late          EFX_EIO, and it is done some calls or moments later
 *                        └ away          EFX_EIO for all calls until a time
 *
 * A late request keeps its bytes and is sent when its time has come: before a later call, or by
 * efx_faults_settle, also when its member is long dead. What it is answered then nobody hears.
 *
 *   Owner    store and coord below outlive it; those it lends end with it
 *   Errors   EFX_EIO, kind ENV; a late one that finds no memory is lost
 *   Limits   EFX_FAULTS_LATE requests on their way, more are lost
 *   Threads  one
 *   Order    efx_faults_close drops what is still on its way
 */
enum { EFX_FAULTS_LATE = 64 };

struct efx_faults_conf { /* of 1,000 calls so many; 0 = never */
    uint32_t lost_before, answer_lost, late;
    uint64_t late_ns_max; /* a late one comes within so long, on the world's boot-time clock */
    uint64_t timeout_ns;  /* a call that fails sleeps so long first (virtual time); 0 = not */
};

struct efx_faults {
    struct efx_store store; /* use these two */
    struct efx_coord coord;
    struct efx_store *to_store;
    struct efx_coord *to_coord;
    struct efx_world *world;
    struct efx_mem *mem;
    struct efx_faults_conf conf;
    uint64_t seed;
    uint64_t away_until_ns; /* boot-time clock; UINT64_MAX = until told otherwise */
    struct efx_late *late[EFX_FAULTS_LATE];
    uint32_t n_late;
    uint64_t n_faults; /* so far */
};

void efx_faults_open(struct efx_faults *f, struct efx_store *store, struct efx_coord *coord,
                     const struct efx_faults_conf *conf, uint64_t seed);
/* Sends what is due, or all. */
void efx_faults_settle(struct efx_faults *f, bool all);
void efx_faults_close(struct efx_faults *f);

#endif /* EFX_FAULTS_H */
