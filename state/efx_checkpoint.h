#ifndef EFX_CHECKPOINT_H
#define EFX_CHECKPOINT_H

#include "efx_app_save.h"
#include "efx_hash.h"
#include "efx_store.h"

/* Checkpoints of an app into a store: chunks by operator and key-group range, a manifest that names
 * them, and the way back. A process alone is a cluster of one: the same report, the same manifest.
 *
 *   app ── mark 7 ── slices ── sections ─► chunks: packed, zstd, XXH3 ─► put_chunks ─► report
 *   reports of all members + manifest 6 ─► manifest 7 ─► commit_manifest
 *
 *   part      what one save of an operator brought for a range of key groups: base or delta, with
 *             its chunks. A manifest names all parts that are needed, oldest first; a base makes
 *             older parts of its groups needless, so they leave. A part may be empty: it says that
 *             nothing was left then of what is saved whole at every mark
 *   report    of one member: its parts, among them those of checkpoints that came to nothing but
 *             whose chunks were stored (C7); sections, positions, receipts. The same for the same
 *             (epoch, no, member), so it may be sent twice
 *   section   named bytes that all members have alike, or only one has (C5): numbering, sessions …
 *   receipt   of a sink's prepare; stays in manifests until its commit was answered (C9)
 *
 *   Owner    decoded and merged things live in the arena that was given, or in the bytes
 *   Limits   EFX_CKPT_RAW_BYTES a chunk; EFX_MANIFEST_MAX; EFX_CKPT_SECTION_MAX
 *   Errors   EFX_EPARSE, kind ENV: damaged, the message names what. EFX_EBUG: members contradict
 *            each other
 *   Threads  the functions here are pure; struct efx_storage has its own thread
 *   Source   tests/state
 */
enum {
    EFX_CKPT_RAW_BYTES = 2 * 1024 * 1024, /* of sections in a chunk, before packing */
    EFX_CKPT_NAME_MAX = 255,              /* of a section, source, sink, app, member */
    EFX_CKPT_SECTION_MAX = 8 * 1024 * 1024,
};

struct efx_ckpt_chunk {
    struct efx_chunk_name name;
    uint32_t first, last; /* key groups of its sections */
    uint32_t raw_bytes, packed_bytes, stored_bytes;
    bool more; /* the next chunk goes on in the middle of this one's last section */
};

struct efx_ckpt_part {
    uint64_t no;
    bool base;
    uint16_t version;     /* of the operator's layout when it was saved */
    uint32_t first, last; /* key groups it answers for */
    uint32_t n_chunks;
    struct efx_ckpt_chunk *chunks;
};

struct efx_ckpt_op {
    uint64_t key;
    const char *name; /* for people */
    uint32_t n_parts;
    struct efx_ckpt_part *parts; /* by (no, first) */
};

struct efx_ckpt_bytes { /* a section, a source's position */
    const char *name;
    struct efx_bytes bytes;
};

struct efx_ckpt_receipt {
    const char *sink; /* the stream's name */
    uint32_t part;    /* of the instance */
    uint64_t no;      /* checkpoint that it was prepared for */
    struct efx_bytes bytes;
};

struct efx_ckpt_body {
    uint32_t n_ops;
    struct efx_ckpt_op *ops; /* by key */
    uint32_t n_sections;
    struct efx_ckpt_bytes *sections; /* by name */
    uint32_t n_positions;
    struct efx_ckpt_bytes *positions; /* by name */
    uint32_t n_receipts;
    struct efx_ckpt_receipt *receipts; /* by (sink, no, part) */
};

struct efx_report {
    uint64_t no, epoch;
    const char *member; /* "" in a process alone */
    int64_t clock_ms;
    struct efx_ckpt_body body;
};

struct efx_manifest {
    uint64_t no, epoch;
    uint64_t app_hash;
    const char *app;
    int64_t clock_ms;               /* EFX_TS_NONE: had not started */
    int64_t committed_ms;           /* of the revision's name */
    bool promised;                  /* something was acknowledged on it or a sink committed (C15) */
    uint64_t back_to;               /* it was made by going back to this one; 0 = by a mark */
    uint64_t undo_first, undo_last; /* what sinks take back then; 0 = nothing */
    struct efx_ckpt_body body;
};

/* ---- codecs ---- */

/* Bytes from `mem`, *n of them. */
enum efx_rc efx_report_encode(const struct efx_report *r, struct efx_mem *mem, uint8_t **bytes,
                              size_t *n, struct efx_err *err) EFX_MUST_USE;
enum efx_rc efx_report_decode(struct efx_bytes bytes, struct efx_arena *arena,
                              struct efx_report *out, struct efx_err *err) EFX_MUST_USE;
enum efx_rc efx_manifest_encode(const struct efx_manifest *m, struct efx_mem *mem, uint8_t **bytes,
                                size_t *n, struct efx_err *err) EFX_MUST_USE;
/* Notices every flipped bit and every truncation. */
enum efx_rc efx_manifest_decode(struct efx_bytes bytes, struct efx_arena *arena,
                                struct efx_manifest *out, struct efx_err *err) EFX_MUST_USE;

/* Manifest `head->no` out of the last one (NULL = there is none, or all parts are bases) and the
 * reports of all members for that number. *head comes with its scalars and with the receipts that
 * are still to be answered; its body is filled, clock_ms is the greatest. Each operator must be
 * answered for in all key groups by parts of this number; an operator that nobody reports leaves. A
 * section or position that several bring must be the same (EFX_EBUG); positions that nobody brings
 * stay. */
enum efx_rc efx_manifest_merge(struct efx_arena *arena, const struct efx_manifest *last,
                               const struct efx_report *reports, uint32_t n_reports,
                               struct efx_manifest *head, struct efx_err *err) EFX_MUST_USE;

/* "<committed ms>_<no>_<app>" */
enum { EFX_REVISION_BYTES = 24 + 24 + EFX_CKPT_NAME_MAX + 1 };
void efx_revision_name(const struct efx_manifest *m, char out[EFX_REVISION_BYTES]);
/* The number in a revision's name; 0 = is none. */
uint64_t efx_revision_no(const char *name);

struct efx_ckpt_chunk_in { /* a chunk that is made */
    uint64_t no;           /* of its first use */
    uint64_t op;
    uint16_t version;
    bool base;
    uint32_t first, last;
};
/* Sections into bytes of `mem` and their name. */
enum efx_rc efx_chunk_encode(const struct efx_ckpt_chunk_in *in, struct efx_bytes raw,
                             struct efx_mem *mem, struct efx_ckpt_chunk *out, uint8_t **bytes,
                             struct efx_err *err) EFX_MUST_USE;
/* Length and hash alone. */
enum efx_rc efx_chunk_check(const struct efx_ckpt_chunk *c, struct efx_bytes bytes,
                            struct efx_err *err) EFX_MUST_USE;
/* Back into raw[c->raw_bytes], after comparing name, hash, operator, number and groups. */
enum efx_rc efx_chunk_decode(const struct efx_ckpt_chunk *c, uint64_t op, struct efx_bytes bytes,
                             uint8_t *raw, struct efx_err *err) EFX_MUST_USE;

/* ---- the way back ---- */

struct efx_restore_opts {
    struct efx_kg_range kg; /* of this app's shards, and whether placed operators are here */
    bool placed;
    bool compatible;    /* another program: take what fits; else EFX_ESTALE names what does not */
    bool may_fall_back; /* damaged newest: sources rewind and no sink is exactly-once */
};

struct efx_restore_info {
    uint32_t n_lost; /* operators of the checkpoint that found none, of the app that got nothing */
    const char **lost;
    uint32_t n_empty;
    const char **empty;
    uint64_t n_held_lost;    /* events held for a watermark whose stream is gone */
    uint64_t fell_back_from; /* damaged newest that was passed over; 0 = none */
    char why[EFX_ERR_MSG_BYTES];
    uint64_t n_raw_bytes, n_chunks;
};

/* Manifest `no`, decoded into the arena; 0 = the newest. EFX_EABSENT: there is none (at 0: none at
 * all). */
enum efx_rc efx_checkpoint_read(struct efx_store *store, uint64_t no, struct efx_arena *arena,
                                struct efx_manifest *out, struct efx_err *err) EFX_MUST_USE;
/* Reads manifest `no` (0 = the newest) and all chunks that the app wants, compares them, and only
 * then loads them into the app, which is started and has taken no step. EFX_EABSENT as above. What
 * is damaged is passed over only where opts->may_fall_back says so and nothing was promised on it:
 * then *out is an older one. */
enum efx_rc efx_checkpoint_restore(struct efx_store *store, uint64_t no, struct efx_app *app,
                                   const struct efx_restore_opts *opts, struct efx_arena *arena,
                                   struct efx_manifest *out, struct efx_restore_info *info,
                                   struct efx_err *err) EFX_MUST_USE;
/* Every chunk is read and compared, nothing is loaded. */
enum efx_rc efx_checkpoint_verify(struct efx_store *store, const struct efx_manifest *m,
                                  struct efx_err *err) EFX_MUST_USE;
/* C15: commits a manifest above the newest with what `to` has; what lies between is undone by
 * sinks. Refused (EFX_ESTALE, kind USER) if that loses something promised and !lose_committed. */
enum efx_rc efx_checkpoint_back(struct efx_store *store, const struct efx_by *by, uint64_t to,
                                int64_t now_ms, bool lose_committed, uint64_t *made,
                                struct efx_err *err) EFX_MUST_USE;
const struct efx_ckpt_bytes *efx_ckpt_section(const struct efx_ckpt_body *b, const char *name);
const struct efx_ckpt_bytes *efx_ckpt_position(const struct efx_ckpt_body *b, const char *name);

/* The section that efx_app_load_numbering takes. */
#define EFX_CKPT_NUMBERING "numbering"

#endif /* EFX_CHECKPOINT_H */
