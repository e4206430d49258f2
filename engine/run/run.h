#ifndef RUN_H
#define RUN_H

#include "efx_app_save.h"
#include "efx_buf.h"
#include "rows.h"

#include <pthread.h>
#include <stdatomic.h>

/* Private to engine/run.
 *
 *   app ── units ── components ── nodes (an operator, or a junction of ours)
 *    │        └─ roots: consumers of a stream from outside, per component
 *    └── ring of step slots ── builder, numbered step, selections per (component, shard)
 */
struct unit;

struct node_rt { /* a node's instance in a unit */
    struct efx_op *op;
    const struct efx_pnode *n;
    struct unit *unit;
    struct efx_op *door;  /* of a confluence: an op that keeps rows for the merge; else NULL */
    struct rows_list *in; /* [n_inlets] of a confluence */
    bool direct;          /* in this step only one inlet can have rows: they pass at once */
};

struct junction { /* a stream */
    struct efx_op base;
    const struct efx_pnode *n;
    struct unit *unit;
    uint32_t n_edges, n_outlets;
    struct efx_edge *edges; /* the first n_outlets lead outside */
    bool by_row;            /* row mode: one row through all consumers, then the next */
    bool busy;              /* delivering: rows that come back wait */
    struct rows_list waiting;
    uint64_t n_looped;
    uint64_t looped_step;
    efx_moment looped_moment;
};

struct door { /* in front of a confluence */
    struct efx_op base;
    struct node_rt *rt;
};

struct outlet_op { /* a stream's rows leave the engine */
    struct efx_op base;
    struct unit *unit;
    uint32_t object;
    struct rows_list list; /* ordered outputs: rows of this step */
};

struct exchange { /* an edge from shards to the gather unit */
    struct efx_edge to;
    uint32_t member; /* whose gather unit it leads to */
    uint32_t component;
    bool foreign; /* an output of a component that has no node in the gather unit */
    struct packet {
        struct efx_arena arena;
        struct rows_list list;
    } * packets; /* [shards][EFX_STEPS_IN_FLIGHT] */
};

struct exchange_op { /* a shard's end of it */
    struct efx_op base;
    struct unit *unit;
    struct exchange *x;
    uint32_t shard;
};

struct root {        /* a stream from outside and its consumers in one component of a unit */
    uint32_t stream; /* object id */
    uint32_t n_edges;
    struct efx_edge *edges;
    uint32_t source; /* place in the split component's sources; EFX_NO_COL = all rows */
};

struct component_rt {
    const struct efx_pcomponent *c;
    uint32_t number;
    uint32_t n_nodes; /* that are here, in topological order */
    struct node_rt **nodes;
    uint32_t n_timers;
    struct node_rt **timers; /* nodes with timers */
    uint32_t n_roots;
    struct root *roots;
    bool has_doors;
};

struct save_page { /* records: u32 key group, u32 n, n bytes */
    struct save_page *next;
    uint32_t n, max;
    uint8_t bytes[];
};

struct save_log { /* what an operator of a unit saves, as it comes */
    struct efx_save base;
    struct efx_app *app;
    struct save_page *first, *last;
    bool discard; /* room is used again: nobody wants the bytes */
};

struct letter { /* rows that a step of a shard here has for another member */
    struct efx_buf bytes;
    uint32_t n;
};

struct unit {
    struct efx_app *app;
    uint32_t index;
    bool gather;
    bool here;              /* else another member runs it */
    struct letter *letters; /* [members]; NULL without others */
    struct efx_kg_range kg;
    struct efx_ctx ctx;
    struct efx_error_sink errors;
    struct efx_arena arena;
    struct node_rt *nodes; /* [plan n_nodes]; op NULL = not here */
    const struct efx_table_view **tables;
    uint32_t n_components;
    struct component_rt *components;
    struct outlet_op **outlets; /* [n_objects]; NULL */
    uint64_t *error_counts;     /* [n_objects][codes] */
    bool saving;
    uint32_t save_at;       /* node that is being sliced */
    uint64_t save_no;       /* that of the mark it is saving for */
    struct save_log *saves; /* [n_nodes] */
    uint64_t longest_stop_ns;
    bool origins_set;
    bool has_whole; /* a component lives whole here: any row may be for it */
    alignas(EFX_CACHE_LINE) atomic_uint owner; /* 1 = somebody runs it */
    _Atomic uint64_t done;                     /* number of the last step it is through with */
    _Atomic int64_t next_due_ms;
    _Atomic uint64_t saved_no; /* save that it is through with; counts marks */
};

struct step_slot {
    struct efx_step step;
    struct efx_builder *builder;
    struct efx_turn *turns;
    efx_moment *moments; /* [turns] */
    uint16_t *streams;   /* [n_streams] */
    struct efx_batch *batches;
    uint16_t *batch_of;     /* [n_objects] place + 1 in batches; 0 = has no row */
    struct efx_arena arena; /* of this step: columns of views, clocks, selections */
    uint64_t ***sel;        /* [components] → [shards * sources]; NULL = all rows or none */
    bool *no_rows;          /* [shards] nothing for it in this step */
};

struct held_event { /* waits for the clock */
    int64_t ts_ms;
    uint64_t seq;
    uint16_t stream;
    uint32_t n_bytes;
    uint8_t *bytes;
};

struct origin { /* of a split window whose first row decides */
    uint32_t node;
    uint32_t stream; /* object */
    uint32_t n_filters;
    const struct efx_filter_conf **filters;
    int64_t t0_ms; /* EFX_TS_NONE = open */
};

enum { CODES = 12 };

struct arrived { /* a packet of another member's shard */
    struct arrived *next;
    uint64_t step;
    size_t n_bytes;
    uint8_t bytes[];
};

struct arrivals {
    struct arrived *first, *last;
};

struct efx_app {
    const struct efx_plan *plan;
    struct efx_app_opts opts;
    const struct efx_app_member *member; /* NULL: all is here */
    bool *listens;             /* [members] its gather unit takes something from shards elsewhere */
    struct arrivals *arrivals; /* [n_shards], under `lock` */
    struct efx_arena arena;
    uint32_t n_shards, n_units;
    struct unit *units;
    const struct efx_schema **schemas; /* [n_objects] of what takes events; NULL */
    efx_app_out_fn *out_fn;            /* [n_objects] */
    void **out_arg;
    pthread_mutex_t out_lock; /* outputs of several shards, one at a time */
    uint32_t n_exchanges;
    struct exchange *exchanges;
    uint32_t *exchange_of; /* [node * edges]: see graph.c */
    /* ingest */
    struct efx_builder *builder, *sorted; /* sorted: released events */
    struct efx_builder *spare[EFX_STEPS_IN_FLIGHT + 4];
    uint32_t n_spare;
    int64_t clock_ms, start_ms;
    uint64_t next_no, next_turn;
    struct efx_ctx ingest_ctx;
    bool has_letters;        /* somebody reads dead letters or a fault stream */
    bool holds;              /* some stream has a watermark delay */
    int64_t *max_ts;         /* [n_objects] largest timestamp of a stream with a delay */
    struct held_event *held; /* a heap by (ts, seq) */
    uint32_t n_held, held_max;
    uint64_t held_seq;
    struct held_event *early; /* of other streams, before the clock has started */
    uint32_t n_early, early_max;
    uint64_t n_late_dropped;
    uint64_t *rows_in;       /* [n_objects] */
    uint64_t *ingest_errors; /* [n_objects][CODES] */
    uint32_t n_origins;
    struct origin *origins;
    /* steps */
    struct step_slot slots[EFX_STEPS_IN_FLIGHT];
    _Atomic uint64_t published;
    _Atomic bool stopped;
    struct efx_err err;
    pthread_mutex_t lock; /* of err, and of workers that sleep */
    pthread_cond_t work;
    uint32_t n_workers, n_asleep;
    pthread_t *workers;
    bool closing;
    /* saves (save.c, save_take.c) */
    uint64_t save_no;            /* marks so far */
    uint64_t mark_no;            /* checkpoint of the last one */
    bool save_waits;             /* it is not taken yet */
    _Atomic uint32_t n_taken;    /* saves that are out */
    bool *save_base, *base_next; /* [n_nodes] */
    uint64_t *op_keys;           /* [n_nodes]; 0 = has no state */
    uint8_t *head;               /* numbering as of the mark */
    size_t n_head;
    int64_t head_clock_ms;
    uint64_t n_held_dropped; /* by the last load */
    pthread_mutex_t page_lock;
    struct save_page *free_pages;
    struct load_rt { /* save_load.c */
        struct efx_kg_range kg;
        bool placed;
        uint64_t *no; /* [n_nodes] last part; 0 = got none */
        const char **missing;
    } load;
};

/* graph.c */
enum efx_rc efx_run__graph(struct efx_app *app, struct efx_err *err);
void efx_run__graph_close(struct efx_app *app);
/* Of operators that pass rows on and have nothing else. */
#define EFX_RUN__ROWS_ONLY                                                                         \
    .next_due_ms = efx_op_never_due, .finish = efx_op_nothing_due, .stop = efx_op_nothing_held,    \
    .origin_set = efx_op_origin_ignore, .mark = efx_op_mark_nothing,                               \
    .slice = efx_op_slice_nothing, .load = efx_op_load_nothing,                                    \
    .load_end = efx_op_load_end_nothing, .bytes = efx_op_no_bytes, .close = efx_op_close_nothing
extern const struct efx_op_vt efx_run__junction_vt, efx_run__door_vt, efx_run__outlet_vt,
    efx_run__exchange_vt;

/* pass.c: one step through one unit */
enum efx_rc efx_run__pass(struct unit *u, const struct step_slot *slot);

/* unit.c */
void efx_run__publish(struct efx_app *app);
/* Runs what is ready, at most so many steps a unit; false = nothing was. */
bool efx_run__work(struct efx_app *app, uint32_t steps);
void efx_run__wait_room(struct efx_app *app);
void efx_run__wait_done(struct efx_app *app);
void efx_run__fail(struct efx_app *app, enum efx_rc rc, const char *what);
enum efx_rc efx_run__start_workers(struct efx_app *app);
void efx_run__stop_workers(struct efx_app *app);

/* ingest.c, hold.c */
struct step_slot *efx_run__slot(struct efx_app *app, enum efx_step_what what);
enum efx_rc efx_run__advance_to(struct efx_app *app, int64_t clock_ms, enum efx_step_what what);
enum efx_rc efx_run__number(struct efx_app *app, struct efx_builder *b);
enum efx_rc efx_run__hold(struct efx_app *app, struct efx_builder *b);
enum efx_rc efx_run__release_all(struct efx_app *app);
enum efx_rc efx_run__selections(struct efx_app *app, struct step_slot *slot);
enum efx_rc efx_run__origins(struct efx_app *app, const struct step_slot *slot);
bool efx_run__event_time(const struct efx_bobject *o, const struct efx_colset *s, uint32_t row,
                         int64_t *ts_ms); /* false: NULL or unreadable */
uint16_t efx_run__code_at(uint32_t place);
uint32_t efx_run__code_place(uint16_t code);
/* 0, or the code of a data error; *ts is the event's timestamp, clock_ms the clock before it. */
uint16_t efx_run__judge(const struct efx_app *app, const struct efx_bobject *o,
                        const struct efx_colset *s, uint32_t row, int64_t clock_ms, int64_t *ts);
void efx_run__count_reject(struct efx_app *app, const struct efx_bobject *o, uint16_t code);
bool efx_run__needs_letters(struct efx_app *app, const struct efx_builder *b);
enum efx_rc efx_run__rewrite(struct efx_app *app, const struct efx_builder *b,
                             struct efx_builder *to);

/* member.c */
bool efx_run__shard_here(const struct efx_app *app, uint32_t shard);
/* The member whose gather unit has the placed part of a split component. */
uint32_t efx_run__gather_of(const struct efx_app *app, uint32_t component);
enum efx_rc efx_run__open_member(struct efx_app *app);
void efx_run__close_member(struct efx_app *app);
extern const struct efx_op_vt efx_run__letter_vt;
/* The step's letters leave. */
enum efx_rc efx_run__post_letters(struct unit *u, const struct efx_step *step);
/* Packets of the step from elsewhere become packets of its exchanges. */
enum efx_rc efx_run__take_arrived(struct unit *u, const struct efx_step *step);

/* save.c */
void efx_run__save_mark(struct unit *u, const struct efx_mark *mark);
bool efx_run__save_slice(struct unit *u, uint32_t budget); /* true = all is saved */
enum efx_rc efx_run__save_open(struct efx_app *app);       /* with the graph */
void efx_run__save_close(struct efx_app *app);
void efx_run__pages_free(struct efx_app *app, struct save_page *first);
size_t efx_run__held_bytes(const struct efx_app *app);
void efx_run__held_put(const struct efx_app *app, struct efx_writer *w);
/* `stream` maps the numbers of who saved to ours, EFX_NO_COL = gone; *dropped counts those. */
enum efx_rc efx_run__held_get(struct efx_app *app, struct efx_reader *r, const uint32_t *stream,
                              uint32_t n_streams, uint64_t *dropped);

/* save_key.c */
enum efx_rc efx_run__op_keys(struct efx_app *app);
uint64_t efx_run__schema_key(const struct efx_schema *s);

/* numbering.c */
size_t efx_run__numbering_bytes(const struct efx_app *app);
void efx_run__numbering_put(const struct efx_app *app, struct efx_writer *w);

#endif /* RUN_H */
