#ifndef BENCH_ENGINE_H
#define BENCH_ENGINE_H

/* The engine's side of a workload: the same columns, through the public library.
 *
 *   open ─ fill tables ─ start │ send all columns ─ flush │ read back ─ close
 *                              └──── what is timed ───────┘ (and read back, if rows come by it)
 *
 * A verifying run folds every output row into the sums of bench_rows.h; a timed run's reader counts
 * rows and does nothing else.
 *
 *   Errors  of the engine end in `msg`; false
 */
#include "bench_workloads.h"

#include <stddef.h>

struct efx;

struct bench_engine_opts {
    uint32_t shards;
    bool verify;
    bool saves; /* twice a second a save begins that runs beside the steps */
};

struct bench_engine_result {
    double seconds;
    struct bench_sums sums;
    size_t peak_bytes; /* of state */
    uint32_t n_saves;
    uint64_t longest_stop_ns; /* of a save */
    char msg[512];
};

bool bench_engine_run(const struct bench_workload *w, const struct bench_events *e,
                      const struct bench_engine_opts *o, struct bench_engine_result *out);

double bench_now_s(void);

#endif /* BENCH_ENGINE_H */
