#ifndef EFX_DIFFERENTIAL_H
#define EFX_DIFFERENTIAL_H

#include "efx_random_program.h"

/* The differential test: random programs through the reference evaluator and through an engine, in
 * many settings, which must all give the same rows in the same order (per stream).
 *
 *   settings   steps of 1, 7, 64, 65, 4096 turns × 1, 2, 5 shards × saved and loaded never, after
 *              every step, after every step by another number of shards
 *   saves      a base, then deltas, then a base again; the new instance loads the whole chain
 *
 * A difference is shrunk and printed: seed, setting, program, events, both outputs.
 *
 *   Owner   out lines are filled by the engine and freed by the caller
 */
struct efx_run_how {
    uint32_t step_rows;
    uint32_t shards;
    bool save_each_step; /* and load into a new instance before the next */
    uint32_t members;    /* > 1: as many apps of one cluster, `shards` each; nothing is saved */
    bool rescale;        /* which has the next number of shards: 1, 2, 5, 1 … */
    int64_t drain_ms;
};

struct efx_engine_run {
    const char *name;
    void *arg;
    /* Rows of all derived streams as NDJSON lines. False: the program does not bind or is refused
     * as not built; such a program counts as skipped. */
    bool (*run)(void *arg, const struct efx_run_how *how, const char *program,
                const struct efx_lines *events, struct efx_lines *out);
};

/* The reference as such an engine; it heeds drain_ms only. */
extern const struct efx_engine_run efx_reference_run;

/* NULL if every stream has the same rows in the same order in both, numbers within 1e-9; else a
 * sentence, malloc'ed. */
char *efx_lines_differ(const struct efx_lines *want, const struct efx_lines *got);

struct efx_differential {
    const struct efx_engine_run *engine;
    uint64_t seed; /* of the first program; programs have successive seeds */
    uint32_t n_programs;
    uint32_t n_events;
    unsigned features_mask;
    uint32_t members;     /* > 1: a cluster of so many apps */
    uint32_t seconds_max; /* 0 = no limit */
    bool all_settings;    /* else one setting a program, taking turns */
    bool unsaved;         /* settings without saving alone */
};

struct efx_differential_result {
    uint32_t n_programs, n_skipped, n_runs, n_rows, n_differences;
};

/* Stops at the first difference, after printing it to stderr. */
struct efx_differential_result efx_differential(const struct efx_differential *d);

#endif /* EFX_DIFFERENTIAL_H */
