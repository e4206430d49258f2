#ifndef BENCH_EVENTS_H
#define BENCH_EVENTS_H

/* The events of the benchmark: whole columns in memory, made before any clock starts.
 *
 * One xorshift64 with seed 42 draws four times a bid. Half of the bids go to one hot auction that
 * moves on, three quarters come from one hot bidder that moves on; `key` is the opposite: equals
 * without favourites. Everything is integer arithmetic, so every machine makes the same events.
 *
 *   block b    auctions 3b, 3b+1, 3b+2   then bids 46b .. 46b+45       = order of arrival
 *   bids       auction, bidder, price (log-uniform, 100 .. 2^26.6), ts, key    [n_bids]
 *   auctions   id, seller, category, ts                                        [n_auctions]
 *   items      id, category, reserve: rows of a table                          [BENCH_ITEMS]
 *
 *   Owner   the struct owns its columns; drop gives them back
 *   Errors  make: false when memory is out
 *   Source  the table of events in bench/README.md, pinned by its checksums
 */
#include <stdbool.h>
#include <stdint.h>

enum { BENCH_ITEMS = 1000000, BENCH_BLOCK_BIDS = 46, BENCH_BLOCK_AUCTIONS = 3 };
#define BENCH_T0_MS INT64_C(1700000000000) /* of the first event; a multiple of 10 s */

enum bench_bid { BID_AUCTION, BID_BIDDER, BID_PRICE, BID_TS, BID_KEY, BID_COLS };
enum bench_auction { AUC_ID, AUC_SELLER, AUC_CATEGORY, AUC_TS, AUC_COLS };
enum bench_item { ITEM_ID, ITEM_CATEGORY, ITEM_RESERVE, ITEM_COLS };

struct bench_events {
    long n_bids, n_auctions;
    int64_t *bid[BID_COLS];
    int64_t *auction[AUC_COLS];
    int64_t *item[ITEM_COLS];
};

struct bench_events_opts {
    long n_bids;
    int64_t step_us; /* between two bids */
    int64_t n_keys;  /* values of `key` */
};

bool bench_events_make(struct bench_events *e, const struct bench_events_opts *o);
void bench_events_drop(struct bench_events *e);

#endif /* BENCH_EVENTS_H */
