#ifndef EFX_NFA_H
#define EFX_NFA_H

#include "efx_expr.h"

/* A pattern compiled: which elements there are, what each asks of an event, what a partial match
 * has to remember. Immutable, shared by nothing but made once an instance.
 *
 *   EVERY e1=Bid[price > 9] -> e2=Bid[bidder = e1.bidder AND price < e1.price * 2]
 *
 *   filter of e2   bidder = e1.bidder      an equation: its value is the key of e2's wait lists
 *                  price < e1.price * 2    a comparison: value of the row ? slot of the partial
 *   values of Bid  bidder, price, price * 2    computed per slice for the rows that are looked at
 *   slots          e1: bidder, price * 2       what a partial keeps; filled when e1 binds
 *
 * A conjunct is, in this order of liking:
 *   pre    mentions the candidate only                    one bitmap a slice
 *   cmp    value of the row ? slot, with = <> < <= > >=   a step on two single values
 *   gen    all the rest (OR over elements, aggregates)    efx_expr over one row: candidate, slots
 * If any conjunct can fail the whole filter is `gen`, so AND stays lazy and only events that are
 * really judged cause data errors.
 *
 * All references have constant indexes, so a partial never keeps collected events, only slots:
 *   e.c, e[0].c, e[3].c    slot AT 0, 3: filled by the event of that number
 *   e[last - 2].c          slots LAST 0, 1, 2: shifted with every event
 *   sum(e.c)               the aggregate's running state
 * PARTITION BY columns and the birth of a partition's copy are slots too, equated with every row:
 * a machine is no object, it is the partials that share those slots.
 *
 *   Owner    the arena of the operator
 *   Limits   elements, slots: memory
 *   Errors   EFX_ENOMEM; EFX_ETYPE 9001 for forms that the binder should have refused
 */
enum { EFX_NFA_NO = 0xFFFFFFFF };

struct efx_nfa_val {             /* a value computed from a row of one input */
    const struct efx_bx *bx;     /* over SRC_CANDIDATE; NULL: the event's timestamp */
    const struct efx_expr *expr; /* NULL: likewise */
    enum efx_type type;
    bool can_fail; /* aggregates' arguments only */
};

struct efx_nfa_slot {
    enum efx_type type;
    uint32_t elem; /* EFX_NFA_NO: of the machine, by input: efx_nfa_input.key_vals, copy_val */
    bool last;     /* LAST n, else AT n */
    uint32_t n;
    uint32_t val;  /* of the element's input */
    uint32_t from; /* LAST n > 0: slot LAST n - 1, which it takes over */
    uint32_t off;  /* bytes from the partial's start */
};

struct efx_nfa_agg {
    const struct efx_agg_vt *vt;
    const struct efx_bagg *bagg;
    uint32_t elem;
    uint32_t arg;    /* val; EFX_NFA_NO = count(*) */
    uint32_t filter; /* val; EFX_NFA_NO = none */
    uint32_t off;
};

struct efx_nfa_cmp { /* value of the row OP slot */
    enum efx_bx_op op;
    uint8_t orders;                    /* bit 0: holds if less, 1: if equal, 2: if greater */
    bool longs;                        /* both sides are LONG */
    enum efx_type val_type, slot_type; /* alike, or LONG and DOUBLE */
    uint32_t val;
    uint32_t slot;
};

enum efx_nfa_ref_kind {
    EFX_NFA_REF_CANDIDATE = 1, /* n = column of the input's batch */
    EFX_NFA_REF_SLOT,          /* n = slot */
    EFX_NFA_REF_AGG,           /* n = aggregate */
    EFX_NFA_REF_BOUND,         /* n = element */
    EFX_NFA_REF_TS,            /* the candidate's timestamp */
};

struct efx_nfa_ref {
    enum efx_nfa_ref_kind kind;
    enum efx_type type;
    uint32_t n;
};

struct efx_nfa_gen {
    const struct efx_expr *expr; /* over one row: column k = refs[k] */
    uint32_t n_refs;
    struct efx_nfa_ref *refs;
};

struct efx_nfa_set { /* what a bound event does to a slot */
    uint32_t slot, val, off;
    bool plain; /* a word, filled once by the only event: no index, no text */
};

struct efx_nfa_elem {
    uint32_t input;
    uint32_t min, max;          /* 1, 1 without count; max UINT32_MAX = open */
    const struct efx_expr *pre; /* NULL = all rows */
    uint32_t n_corr;            /* equations: cmps[n_keys .. n_keys + n_corr - 1] */
    uint32_t n_cmps;            /* first the machine's keys, then the equations, then the rest */
    struct efx_nfa_cmp *cmps;
    struct efx_nfa_gen gen; /* expr NULL = none */
    bool waits;             /* partials may wait here */
    bool starts;            /* an empty partial is open here */
    uint32_t n_sets;        /* slots in the order in which a bound event fills them */
    struct efx_nfa_set *sets;
    uint32_t n_aggs;
    uint32_t *aggs;
};

struct efx_nfa_input {
    uint32_t n_cols; /* with the hidden ones */
    uint32_t n_vals;
    struct efx_nfa_val *vals;
    uint32_t n_elems; /* elements on this input, the last of the chain first */
    uint32_t *elems;
    struct efx_nfa_cmp *keys; /* [n_keys of nfa] machine's keys against this input's rows */
    uint32_t copy_val;        /* partitioned: the copy's id */
};

struct efx_nfa {
    bool every;
    bool skip_past_last_row;
    bool expired;     /* a started partial that dies gives a row */
    bool partitioned; /* key 0 is the copy's birth */
    bool stubs;       /* machines leave one: rows of one due time go by the keys' creation, or
                         the machine's events are counted; then every row is looked at */
    bool gate;        /* partials of a machine are listed together */
    bool has_texts;   /* some slot is a cell */
    int64_t within_ms, within_events; /* one of them at most; -1 = none */
    uint32_t n_inputs;
    struct efx_nfa_input *inputs;
    uint32_t n_elems;      /* that can bind: optional ones behind the last needed one never do */
    uint32_t n_elems_text; /* of the pattern's text: bits of `bound` */
    struct efx_nfa_elem *elems;
    uint32_t n_keys; /* slots 0 .. n_keys - 1 are the machine's */
    uint32_t copy_slot;
    uint32_t n_slots;
    struct efx_nfa_slot *slots;
    uint32_t n_aggs;
    struct efx_nfa_agg *aggs;
    uint32_t n_outs;
    struct efx_nfa_ref *outs; /* then, if keep_hidden, copy id and birth */
    uint32_t n_hidden_outs;
    uint32_t split_slot; /* partials belong to the key group of this slot; EFX_NFA_NO = do not */
    /* Record of a partial. */
    uint32_t node_shift; /* 2^node_shift wait list nodes */
    uint32_t bound_off, valid_off, stride;
    uint32_t n_refs_max; /* columns of the widest gen */
};

struct efx_nfa_conf {
    const struct efx_bpattern *pattern;
    uint32_t n_inputs;
    const uint32_t *n_cols;            /* [n_inputs] visible ones */
    const enum efx_type *const *types; /* [n_inputs][n_cols] */
    bool partitioned;                  /* copy id and birth stand behind them */
    uint32_t n_outs;
    const struct efx_bx *const *outs; /* COL, ELEM_AGG, IS_BOUND, EVENT_TS of elements */
    bool keep_hidden;
    bool expired;
};
enum efx_rc efx_nfa_compile(struct efx_arena *arena, const struct efx_nfa_conf *conf,
                            const struct efx_nfa **out, struct efx_err *err) EFX_MUST_USE;

/* May the pattern be split by a column that equates every later element with the first (language
 * §24)? Then sides[elem], [n_elems] of the pattern, is that element's side, over SRC_CANDIDATE, all
 * of one type. Saved partials are in the key groups of efx_keyed_hash over e1's side, so the
 * exchange in front has to hash these. */
bool efx_nfa_split(struct efx_arena *arena, const struct efx_bpattern *pattern,
                   const struct efx_bx **sides) EFX_MUST_USE;

/* Fills what follows from the rest. */
static inline struct efx_nfa_cmp efx_nfa_cmp_of(struct efx_nfa_cmp m)
{
    static const uint8_t orders[] = {[EFX_BX_EQ] = 2, [EFX_BX_NE] = 5, [EFX_BX_LT] = 1,
                                     [EFX_BX_LE] = 3, [EFX_BX_GT] = 4, [EFX_BX_GE] = 6};
    m.orders = orders[m.op];
    m.longs = m.val_type == EFX_TYPE_LONG && m.slot_type == EFX_TYPE_LONG;
    return m;
}

/* Bytes of a slot in a partial. */
static inline uint32_t efx_nfa_slot_bytes(enum efx_type t)
{
    return efx_type_is_cell(t) ? 16 : 8;
}

#endif /* EFX_NFA_H */
