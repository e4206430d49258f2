#ifndef EFX_ALONE_H
#define EFX_ALONE_H

#include "efx_storage.h"
#include "efx_stores.h"

/* The checkpoints of a process that is alone: opens its store, takes the lead there, restores, and
 * saves while the app runs.
 *
 *   open    store, leader's lease, a new epoch: whoever was here before can commit nothing more
 *   restore the app from what `restore` names
 *   begin   mark ─► pump … ─► storage ─► outcome   again and again
 *
 * Where the store has a lock (directory, SQLite) a second process is refused; where it has none
 * (Redis) the one that came last goes on, the other finds its commits refused (EFX_ESTALE) and
 * stops.
 *
 *   Owner    an alone outlives no app: close it before efx_app_destroy
 *   Errors   EFX_ESTALE, kind USER: the checkpoint is of another program, or what was promised
 *            would be lost. EFX_EPARSE: damaged and named; never an empty start in its place
 *   Threads  the app's caller
 *   Order    open, restore, start, then begin and poll as often as wanted, close
 */
struct efx_alone;

struct efx_alone_conf {
    const char *url;             /* of efx_stores.h */
    struct efx_stores_conf conf; /* app: the app's name; NULL = "app" */
    uint32_t retain;             /* 0: 10 */
    const char *restore;         /* "last", "none", "compatible", a revision; NULL = last */
    bool lose_committed;
    bool may_fall_back; /* sources rewind, no sink is exactly-once */
};

enum efx_rc efx_alone_open(struct efx_alone **out, const struct efx_alone_conf *conf,
                           struct efx_world *world, struct efx_err *err) EFX_MUST_USE;
/* EFX_DONE: started anew, there was nothing (or `none` was asked for). *out lives as long as the
 * alone. */
enum efx_rc efx_alone_restore(struct efx_alone *a, struct efx_app *app,
                              const struct efx_manifest **out, struct efx_restore_info *info,
                              struct efx_err *err) EFX_MUST_USE;
enum efx_rc efx_alone_start(struct efx_alone *a, struct efx_err *err) EFX_MUST_USE;

uint64_t efx_alone_epoch(const struct efx_alone *a);
/* Number of the newest checkpoint; 0 = none. The next mark gets one more. */
uint64_t efx_alone_last(const struct efx_alone *a);
/* Number that the next begin will use. */
uint64_t efx_alone_next(const struct efx_alone *a);

/* Marks. EFX_AGAIN: the last one is not finished. The job's saved is filled in. */
enum efx_rc efx_alone_begin(struct efx_alone *a, const struct efx_storage_job *job,
                            struct efx_err *err) EFX_MUST_USE;
bool efx_alone_busy(const struct efx_alone *a);
/* Moves on what was begun; true: *out is its outcome. `idle`: no step will come soon. */
bool efx_alone_poll(struct efx_alone *a, bool idle, struct efx_storage_outcome *out);
/* Until what was begun is finished. false: nothing was. */
bool efx_alone_wait(struct efx_alone *a, struct efx_storage_outcome *out);
void efx_alone_close(struct efx_alone **a);

#endif /* EFX_ALONE_H */
