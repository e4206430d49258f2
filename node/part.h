#ifndef PART_H
#define PART_H

#include "efx_buf.h"
#include "efx_service.h"

/* A member's part of a tick (C3): its header, and what it brings, in the order of its arrival.
 *
 *   u64 channel │ u64 epoch │ u64 tick │ i64 wall ms │ u64 mark │ u8 flags │ u32 items │ item …
 *   item   u8 kind │ u32 n │ n bytes, whose fields are those of struct node_item by kind
 *
 * The rows stand in it as bytes (efx_builder_wire.h): the loop looks at their numbers only, the
 * engine decodes them. Every member gets every part, so sessions (C16), held events and the clock
 * are the same everywhere without anybody asking.
 *
 *   Owner    an item's texts and bytes are views into the part's bytes
 *   Limits   NODE_PART_BYTES, NODE_PART_TURNS: a member's next part then goes on
 *   Errors   get: EFX_EPARSE
 */
enum {
    NODE_PART_BYTES = 8 * 1024 * 1024,
    NODE_PART_TURNS = 16384,
};

enum node_item_kind {
    NODE_ITEM_ROWS = 1, /* session, call, first_seq, n_turns, rows */
    NODE_ITEM_OPEN,     /* session, call, opening */
    NODE_ITEM_CLOSE,    /* session, call: half-closed or broken */
    NODE_ITEM_QUERY,    /* session, call = number of the question, first_seq, text */
    NODE_ITEM_DRAIN,    /* end of input of the virtual clock: held events are released */
    NODE_ITEM_FINISH,   /* drain_ms: the app ends (one process, several members) */
};

struct node_item {
    enum node_item_kind kind;
    struct efx_bytes session; /* empty: has none */
    uint64_t call, opening, first_seq;
    uint32_t n_turns;
    int64_t drain_ms;
    struct efx_bytes bytes; /* rows, or a text */
};

enum { NODE_FLAG_STOP = 1, NODE_FLAG_BASE = 2 };

struct node_part_head {
    uint64_t channel, epoch, tick;
    int64_t wall_ms;
    uint64_t mark; /* checkpoint behind this tick (C4); 0 = none */
    uint8_t flags; /* STOP: nothing is numbered behind it until a new record or `resume` (C17) */
    uint32_t n_items;
};

void node_item_put(struct efx_buf *to, const struct node_item *item);
bool node_item_get(struct efx_reader *r, struct node_item *out);
void node_part_head_put(struct efx_buf *to, const struct node_part_head *h);
bool node_part_head_get(struct efx_reader *r, struct node_part_head *out);

#endif /* PART_H */
