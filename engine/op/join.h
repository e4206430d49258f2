#ifndef JOIN_H
#define JOIN_H

#include "efx_hash.h"
#include "efx_log.h"
#include "efx_ops.h"
#include "efx_window.h"

/* What the files of the join share: two sides, one index, the script of a run.
 *
 *   side 0 ─ log ─ links ┐          entry of a key         ┌ links ─ log ─ side 1
 *     row 7 ◄────────────┼─ first, last │ first, last ─────┼────────────► row 3
 *     row 9 ◄ next of 7  │      side 0      side 1         │  next of 3 ► row 8
 *
 * A held row is one row of its side's log and one link, in a ring by row number: the rows of a key
 * form a list in the order in which they entered. Both sides share one keyed table, so a row finds
 * with one look-up where it is held and whom it meets. A join without equality has one key: ().
 *
 * The window of a side gets, behind the row's own columns, the row's *tag* and its key group, and
 * holds nothing else; what leaves says its tag. Tags grow with row numbers and, unlike these,
 * survive a save:
 *
 *   tag    running number :54 (not behind the global number of the turn) │ shard's first group :10
 *
 *   Owner    the shard; logs, rings and the keyed table from the operator's mem
 *   Limits   EFX_LOG_COLS_MAX columns of a side, and of both sides together if rows are taken out
 *   Errors   EFX_ENOMEM
 *   Threads  the shard's owner
 */
enum { JOIN_TAG_SHIFT = 10 };
static const uint64_t JOIN_UNDECIDED = UINT64_MAX;

/* Numbers of rows in links are number + 1; 0 = none. */
struct join_link {
    uint64_t prev, next; /* of the same key and side */
    int64_t time_ms;     /* what WITHIN and dropping measure by */
    uint32_t id;         /* entry of the key; EFX_KEYED_DEAD = the row is in no list */
};

struct join_ends { /* of a list of rows */
    uint64_t first, last;
};

struct join_heads { /* state of a key */
    struct join_ends of[2];
};

struct join_pair {             /* a joined row that may have to be taken out, in a ring by number */
    uint64_t member[2];        /* row of each side that can leave by its window */
    uint64_t prev[2], next[2]; /* among the joined rows of that member */
};

struct join_gone { /* rows that have left; they are killed when nobody looks at their texts any
                      more: in the next step */
    uint64_t *number;
    uint32_t n, n_max;
};

struct join_side {
    const struct efx_join_side *conf;
    struct efx_log *log;          /* NULL: holds nothing */
    struct efx_log_conf log_conf; /* columns: visible, birth if partitioned */
    enum efx_type *types; /* [n_batch] of the batch that the window gets: visible, hidden, tag,
                             key group */
    uint32_t n_batch;
    uint32_t tag_col;
    uint32_t group_col; /* where the window's rows are saved; EFX_NO_COL: the birth says it */
    struct efx_window *window; /* NULL = none */
    struct efx_schema schema;  /* for the window */
    struct join_link *link;    /* [n_ring] */
    struct join_ends *pairs;   /* [n_ring] joined rows of a row; NULL: nothing is taken out */
    uint64_t n_ring;           /* power of two, >= end - head of the log */
    uint64_t tag_base;         /* running number of row 0; JOIN_UNDECIDED until a row comes */
    uint64_t tag_floor;        /* running numbers below are taken by what was loaded */
    uint64_t n_loaded;         /* rows below this number have the tags of the save */
    uint64_t entered;          /* rows below have entered; the log may be ahead within a run */
    uint64_t drop_at;          /* windowless: the oldest row that has not been dropped */
    int64_t ttl_ms;            /* of `drops` */
    struct join_gone gone;
    bool drops; /* windowless with a time to live */
};

struct join_part { /* of a save: frames what a part writes */
    struct efx_save base;
    struct efx_save *out;
    uint8_t no;
};
enum { JOIN_PARTS = 5 }; /* log 0, log 1, window 0, window 1, joined rows */

struct op_join {
    struct efx_op base;
    const struct efx_join_conf *conf;
    struct efx_mem *mem;
    struct efx_kg_range kg;
    uint32_t key_group; /* of what has no key */
    bool partitioned;
    bool removes;   /* rows are taken out again: there is a window, and somebody asks */
    bool same_keys; /* self join whose two roles have the same key columns */
    bool can_fail;  /* a key or the residual may */
    bool twin;      /* self join whose two roles hold the same rows: side 0 has them for both */
    bool plain;     /* without removals and residual */
    bool flows;     /* plain, and the windows say what comes and goes without listing it */
    struct join_side side[2];
    struct efx_keyed *index;
    struct efx_states heads; /* where the index keeps struct join_heads; good until keys are made */
    struct efx_keyed_conf index_conf;
    struct efx_keyed_state heads_conf;
    uint32_t *empty; /* entries that may have no rows any more; looked at when the run ends */
    uint32_t n_empty, n_empty_max;
    uint64_t step_no; /* of the last call */
    /* Joined rows that may be taken out: left, right columns, birth, tag of each member. */
    struct efx_log *joined;
    struct efx_log_conf joined_conf;
    struct join_pair *pair; /* [n_pairs] */
    uint64_t n_pairs;
    uint64_t pair_base, pair_floor; /* as tag_base, tag_floor: order of joined rows over saves */
    struct join_gone pairs_gone;
    struct join_part part[JOIN_PARTS];
    uint32_t saving; /* part that is being saved; JOIN_PARTS = none */
};

/* ---- script of a run: what happened, in order; see join_emit.c ---- */
enum join_did { JOIN_PROBED = 1, JOIN_LEFT };

struct join_act {
    enum join_did did;
    uint8_t side;
    bool open;            /* PROBED: its candidates go on in the next batch */
    bool spare;           /* PROBED: the last slot is the row that stands for "no partner" */
    uint32_t row;         /* PROBED: of the batch */
    uint32_t from, until; /* PROBED: slots */
    uint64_t number;      /* LEFT: row */
    efx_moment moment;    /* LEFT */
    int64_t clk_ms;
    uint64_t turn;
    uint32_t copy;
};

enum { JOIN_ACTS_MAX = EFX_BATCH_ROWS_MAX };

struct join_run { /* of one call, from scratch */
    struct op_join *op;
    const struct efx_step *step;
    const struct efx_batch *in; /* rows that arrive; NULL: timers only */
    struct efx_fails fails;     /* rows of `in` whose condition failed */
    bool mixed;                 /* both roles in one batch: all columns come from the logs */
    uint8_t probes;             /* else: the side that arrives */
    bool plain; /* all candidates are met and nothing is taken out: slots without a script */
    uint32_t n_slots, n_acts;
    uint32_t *row;        /* [EFX_BATCH_ROWS_MAX] of `in` */
    uint64_t *number[2];  /* [EFX_BATCH_ROWS_MAX] + 1; 0: not held, or NULL row */
    struct join_act *act; /* [JOIN_ACTS_MAX]; not if plain */
    uint64_t *set_end;    /* [EFX_BATCH_WORDS] of slots; plain */
};

/* join_side.c */
enum efx_rc efx_join__side_open(struct op_join *op, const struct efx_op_open *how, uint32_t s,
                                struct efx_err *err) EFX_MUST_USE;
void efx_join__side_close(struct op_join *op, uint32_t s);
/* Room for `more` rows behind the log's end in the rings. */
enum efx_rc efx_join__ring_fit(struct op_join *op, uint32_t s, uint64_t more) EFX_MUST_USE;
/* Row of a tag; UINT64_MAX = has been killed. */
uint64_t efx_join__number(const struct op_join *op, uint32_t s, uint64_t tag);
enum efx_rc efx_join__gone_add(struct op_join *op, struct join_gone *gone,
                               uint64_t number) EFX_MUST_USE;
/* Kills what had left; the step that looked at it is over. */
void efx_join__kill_gone(struct op_join *op);
enum efx_rc efx_join__note_empty(struct op_join *op, uint32_t id) EFX_MUST_USE;
/* Removes entries without rows, if there are many: keys often come back. */
void efx_join__del_empty(struct op_join *op);

/* join_probe.c */
struct join_rows { /* rows that arrive: at[k], k = 0 .. n - 1 */
    struct efx_rows in;
    const uint32_t *at;
    uint32_t n;
};
struct join_keys {
    uint32_t *id;    /* [n] entry of the key; EFX_KEYED_DEAD: meets nobody by key */
    uint32_t *group; /* [n] key group: the section of a save where the row belongs */
};
/* `make`: entries are made, and groups found. A key that cannot be computed counts as NULL and is
 * put in *fails. */
enum efx_rc efx_join__keys(struct op_join *op, uint32_t s, const struct efx_step *step,
                           const struct join_rows *rows, bool make, struct efx_fails *fails,
                           struct join_keys *out) EFX_MUST_USE;
/* Joins a row that arrived on side s with what the other side holds. own: number + 1 of the row. */
enum efx_rc efx_join__probe(struct join_run *run, uint32_t s, uint32_t row, uint32_t id,
                            uint64_t own) EFX_MUST_USE;

/* join_run.c */
struct join_arriving { /* rows of the run in one role */
    uint32_t no;       /* side */
    struct join_rows rows;
    struct join_keys keys;
    uint32_t *place; /* [row] k; NULL: rows are rows.at[0] + k */
    uint64_t first;  /* number of the first, if the side holds */
    uint32_t n_arrived;
    uint64_t *arrived; /* bit k; windows only */
    uint64_t last;     /* number of the last that arrived; UINT64_MAX = none yet */
    efx_moment last_moment;
    /* The window's list. */
    struct efx_batch seen; /* what the window gets: the row's columns and its tag */
    struct efx_rows left;  /* rows that it has not taken yet */
    struct efx_changes changes;
    uint32_t pos;
    bool more;
    struct efx_change own; /* without a window */
};
/* Keys, entries, log rows and tags of the rows; `twin`: the other role's, made before, or NULL. */
enum efx_rc efx_join__prepare(struct join_run *run, const struct join_rows *rows, uint32_t no,
                              const struct join_arriving *twin,
                              struct join_arriving *a) EFX_MUST_USE;
enum efx_rc efx_join__leave(struct join_run *run, uint32_t no, uint64_t number,
                            const struct efx_change *c) EFX_MUST_USE;
/* Fires a side's timers before `until`. */
enum efx_rc efx_join__fire(struct join_run *run, uint32_t no, efx_moment until) EFX_MUST_USE;
enum efx_rc efx_join__drop_passed(struct join_run *run, uint32_t no, int64_t clk_ms) EFX_MUST_USE;
enum efx_rc efx_join__run_side(struct join_run *run, const struct join_rows *rows,
                               uint32_t s) EFX_MUST_USE;
enum efx_rc efx_join__run_self(struct join_run *run, const struct join_rows *rows) EFX_MUST_USE;
enum efx_rc efx_join__run_twin(struct join_run *run, const struct join_rows *rows) EFX_MUST_USE;

/* join_flow.c */
enum efx_rc efx_join__flow_twin(struct join_run *run, const struct join_rows *rows) EFX_MUST_USE;
/* Many runs of both inlets at once; the rows of each inlet, rows[inlet], are of one batch. */
enum efx_rc efx_join__flow_both(struct join_run *run, const struct join_rows *rows,
                                const struct efx_run *runs, uint32_t n) EFX_MUST_USE;
int64_t efx_join__due_ms(const struct op_join *op, uint32_t s); /* of its window */
/* Fires what is due before `until`, both sides in order of due time, left before right. */
enum efx_rc efx_join__fire_both(struct join_run *run, efx_moment until) EFX_MUST_USE;

/* join_emit.c */
void efx_join__run_init(struct join_run *run, struct op_join *op, const struct efx_step *step,
                        const struct efx_batch *in);
/* Judges the candidates, takes out and puts out in the script's order; the script is empty then. */
enum efx_rc efx_join__emit(struct join_run *run) EFX_MUST_USE;
/* Room in the script for one more act. */
enum efx_rc efx_join__act(struct join_run *run, struct join_act **out) EFX_MUST_USE;

/* join_removal.c */
enum efx_rc efx_join__pairs_fit(struct op_join *op, uint64_t more) EFX_MUST_USE;
void efx_join__pair_link(struct op_join *op, uint64_t number);
/* Remembers the rows of b that `yes` has, then plays the script: rows and removals in order. */
enum efx_rc efx_join__play(struct join_run *run, const struct efx_batch *b,
                           const uint64_t *yes) EFX_MUST_USE;

/* join_save.c */
void efx_join__mark(struct efx_op *self, const struct efx_mark *mark);
enum efx_rc efx_join__slice(struct efx_op *self, uint32_t budget_rows, struct efx_save *out);
enum efx_rc efx_join__load(struct efx_op *self, struct efx_kg_range kg, struct efx_reader *r,
                           struct efx_err *err);
enum efx_rc efx_join__load_end(struct efx_op *self, struct efx_err *err);

/* Lists of rows of a key. */
static inline struct join_ends *join_ends(const struct op_join *op, uint32_t id, uint32_t s)
{
    struct join_heads *heads = efx_state_at(&op->heads, id);
    return &heads->of[s];
}

static inline struct join_link *join_link(const struct join_side *s, uint64_t number)
{
    return &s->link[number & (s->n_ring - 1)];
}

static inline struct join_pair *join_pair(const struct op_join *op, uint64_t number)
{
    return &op->pair[number & (op->n_pairs - 1)];
}

static inline uint64_t join_tag(const struct op_join *op, uint64_t base, uint64_t number)
{
    return (base + number) << JOIN_TAG_SHIFT | op->kg.first;
}

/* The side that has what side s holds. */
static inline uint32_t join_held_by(const struct op_join *op, uint32_t s)
{
    return op->twin ? 0 : s;
}

/* Puts a row at the end of the list of its key; link->id says which. */
static inline void join_link_in(const struct op_join *op, uint32_t no, uint64_t number)
{
    const struct join_side *s = &op->side[no];
    struct join_link *l = join_link(s, number);
    l->prev = l->next = 0;
    if (s->pairs != NULL) {
        s->pairs[number & (s->n_ring - 1)] = (struct join_ends){0, 0};
    }
    if (l->id == EFX_KEYED_DEAD) {
        return;
    }
    struct join_ends *ends = join_ends(op, l->id, no);
    l->prev = ends->last;
    *(ends->last != 0 ? &join_link(s, ends->last - 1)->next : &ends->first) = number + 1;
    ends->last = number + 1;
}

/* true: it was the last of its key on this side. */
static inline bool join_link_out(const struct op_join *op, uint32_t no, uint64_t number)
{
    const struct join_side *s = &op->side[no];
    const struct join_link *l = join_link(s, number);
    if (l->id == EFX_KEYED_DEAD) {
        return false;
    }
    struct join_ends *ends = join_ends(op, l->id, no);
    *(l->prev != 0 ? &join_link(s, l->prev - 1)->next : &ends->first) = l->next;
    *(l->next != 0 ? &join_link(s, l->next - 1)->prev : &ends->last) = l->prev;
    return ends->first == 0;
}

#endif /* JOIN_H */
