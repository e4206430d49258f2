#ifndef BENCH_WORKLOADS_H
#define BENCH_WORKLOADS_H

/* The workloads: SQL for the engine, a loop for comparison, and what both must give.
 *
 *   sql       the program; its input streams are Bid, and Auction or Items where they are named
 *   read_back statement that gives the rows at the end, where the query itself puts out none
 *   expected  rows, checksum and rowsum at the default size (10,000,000 bids 10 µs apart, a million
 *             keys, seed 42); a run of another size compares engine and loop only
 */
#include "bench_loops.h"

struct bench_workload {
    const char *name;
    const char *sql;
    const char *read_back; /* NULL: the rows of stream Out */
    int n_cols;
    bool auctions; /* Auction events come between the bids */
    bool items;    /* table Items is filled first, not timed */
    bench_loop_fn loop;
    struct bench_sums expected;
};

enum { BENCH_DEFAULT_EVENTS = 10000000, BENCH_DEFAULT_STEP_US = 10, BENCH_DEFAULT_KEYS = 1000000 };

extern const struct bench_workload bench_workloads[];
extern const int bench_n_workloads;

const struct bench_workload *bench_workload_named(const char *name); /* NULL: there is none */

#endif /* BENCH_WORKLOADS_H */
