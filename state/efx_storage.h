#ifndef EFX_STORAGE_H
#define EFX_STORAGE_H

#include "efx_checkpoint.h"

/* The storage thread: takes finished saves, makes chunks, stores them, and either commits the
 * manifest (a process alone) or hands out the member's report (a cluster: the leader merges).
 *
 *   caller    put(job 7) ── goes on ──────────────► poll: outcome 7
 *   storage   finish sinks │ chunks │ put_chunks │ [merge, commit_manifest, retention] │
 *
 * It remembers per operator what its chain has, so that the app's next mark says base where deltas
 * have outgrown theirs or something was not stored (C7): poll tells the app. What was stored of a
 * checkpoint that came to nothing is named by the next report.
 *
 *   Owner    the store outlives it; a job's save goes back to its app by itself. Bytes of a job are
 *            copied
 *   Limits   one job at a time: EFX_AGAIN while it is busy
 *   Errors   in the outcome. EFX_ESTALE: somebody else has committed, stop. EFX_EIO of a commit is
 *            tried again with the same bytes until it is answered (C6)
 *   Threads  open, put, poll, wait, settled, close: the app's caller
 */
struct efx_storage;

struct efx_storage_conf {
    struct efx_store *store;
    struct efx_world *world;
    struct efx_app *app;
    const char *name; /* of the app, in revisions */
    const char *member;
    bool commits;                    /* a process alone: commits manifests and does the retention */
    uint32_t retain;                 /* checkpoints that are kept, >= 1 */
    struct efx_by by;                /* with `commits` */
    uint64_t last;                   /* newest manifest in the store; 0 = none */
    const struct efx_manifest *from; /* that was restored: positions of sources that are not here
                                        now stay. NULL = started anew */
    void (*ready)(void *arg); /* an outcome waits; on the storage thread; NULL = caller polls */
    void *ready_arg;
};

struct efx_storage_job {
    struct efx_saved *saved; /* taken over */
    uint64_t epoch;
    uint32_t n_sections; /* beside numbering, which comes with the save */
    const struct efx_ckpt_bytes *sections;
    uint32_t n_positions;
    const struct efx_ckpt_bytes *positions;
    bool promised; /* see struct efx_manifest */
    /* Before any chunk, on the storage thread: makes durable what sinks were cut for, and lists the
     * receipts that the manifest is to name, in memory that stays until the outcome is polled. */
    enum efx_rc (*finish)(void *arg, uint64_t no, const struct efx_ckpt_receipt **receipts,
                          uint32_t *n, struct efx_err *err);
    void *finish_arg;
};

struct efx_storage_outcome {
    uint64_t no;
    enum efx_rc rc; /* of storing, and with `commits` of the manifest */
    struct efx_err err;
    struct efx_bytes report; /* without `commits`: the storage's until the next put */
    uint64_t n_chunks, raw_bytes, packed_bytes, stored_bytes, ns;
};

enum efx_rc efx_storage_open(const struct efx_storage_conf *conf, struct efx_storage **out,
                             struct efx_err *err) EFX_MUST_USE;
/* EFX_AGAIN: busy; the job is untouched. */
enum efx_rc efx_storage_put(struct efx_storage *s, const struct efx_storage_job *job) EFX_MUST_USE;
/* false: nothing is finished. Tells the app which operators must say base next. */
bool efx_storage_poll(struct efx_storage *s, struct efx_storage_outcome *out);
bool efx_storage_busy(const struct efx_storage *s);
/* Until the job is finished; then as poll. false: there is none. */
bool efx_storage_wait(struct efx_storage *s, struct efx_storage_outcome *out);
/* A cluster's leader has decided about the last report: it stands in manifest `no`, or came to
 * nothing. Before the next put. */
void efx_storage_settled(struct efx_storage *s, uint64_t no, bool stands);
/* Finishes what it is at. */
void efx_storage_close(struct efx_storage **s);

/* C8, by the leader with no checkpoint open: keeps `retain` manifests, deletes the rest and the
 * chunks up to the newest number that none of the kept names. With `sweep` it lists all chunks of
 * the store, else it looks at those of the manifests it drops. */
enum efx_rc efx_retention(struct efx_store *store, const struct efx_by *by, uint32_t retain,
                          bool sweep, struct efx_err *err) EFX_MUST_USE;

#endif /* EFX_STORAGE_H */
