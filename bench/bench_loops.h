#ifndef BENCH_LOOPS_H
#define BENCH_LOOPS_H

/* The hand-written loops: for each workload what one core can do when the program is written for
 * just this query. They are the mark; the engine is the one being measured. What keeps it fair:
 *
 *   1. a loop never looks back into the input: what a window gives back it has copied into its
 * state
 *   2. every output row is written to output columns, or is an input column passed on by pointer
 *   3. state starts empty and grows while the clock runs; nobody knows how many keys will come
 *   4. keys are any 64-bit integers; that timestamps do not go back may be used
 *   5. sums are exact integers, averages correctly rounded quotients
 *
 * Nothing is flushed at the end of the input: an open window gives no row.
 */
#include "bench_events.h"
#include "bench_rows.h"

typedef void (*bench_loop_fn)(const struct bench_events *e, struct bench_rows *out);

/* loop_plain.c */
void bench_loop_project(const struct bench_events *e, struct bench_rows *out);
void bench_loop_filter(const struct bench_events *e, struct bench_rows *out);
/* loop_group.c */
void bench_loop_tumbling(const struct bench_events *e, struct bench_rows *out);
void bench_loop_distinct(const struct bench_events *e, struct bench_rows *out);
void bench_loop_running(const struct bench_events *e, struct bench_rows *out);
/* loop_length.c */
void bench_loop_length_avg(const struct bench_events *e, struct bench_rows *out);
void bench_loop_length_max(const struct bench_events *e, struct bench_rows *out);
void bench_loop_partition(const struct bench_events *e, struct bench_rows *out);
/* loop_sliding.c */
void bench_loop_sliding(const struct bench_events *e, struct bench_rows *out);
/* loop_pattern.c */
void bench_loop_pattern(const struct bench_events *e, struct bench_rows *out);
void bench_loop_pattern10(const struct bench_events *e, struct bench_rows *out);
/* loop_join.c */
void bench_loop_join(const struct bench_events *e, struct bench_rows *out);
/* loop_self_join.c */
void bench_loop_self_join(const struct bench_events *e, struct bench_rows *out);
/* loop_table.c; the table is filled before the clock starts */
void bench_lookup_fill(const struct bench_events *e);
void bench_lookup_drop(void);
void bench_loop_lookup(const struct bench_events *e, struct bench_rows *out);
void bench_loop_upsert(const struct bench_events *e, struct bench_rows *out);

#endif /* BENCH_LOOPS_H */
