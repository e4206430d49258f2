#ifndef EFX_APP_H
#define EFX_APP_H

#include "efx_builder.h"
#include "efx_plan.h"

/* An app that runs: a plan, its units, and the door that numbers what comes in.
 *
 *   builder ──submit──► numbered step ──► ring of 8 ──► unit 0 … W-1 (shards) ──► gather unit ──►
 *   outputs
 *
 * A unit is state with an owner word, not a thread: whoever brings a step runs it, and workers do
 * when steps queue up. With one shard there is one unit and no other thread.
 *
 *   Owner    everything lives in the app's arena and memory; efx_app_destroy gives it back
 *   Threads  submit, advance, flush, finish, save, load: one caller at a time. Outputs come on the
 *            thread that runs the unit, one call at a time
 *   Errors   of the app (budget, error.strategy = fail): efx_app_error; later steps do nothing
 */
struct efx_app;
struct efx_app_count;

typedef void (*efx_app_out_fn)(void *arg, const struct efx_bobject *stream,
                               const struct efx_rows *rows);

/* This process's part of an app that runs on several (cluster.md): every member numbers the same
 * steps and runs the shards that are its own. Rows that cross to a placed operator of another
 * member leave by `send`, one message a step, shard and receiver, also without rows: it says that
 * the shard is through with the step; there they come in by efx_app_receive.
 *
 *   Threads  send: on the thread that runs the shard; `wait`: on the one that brings steps, when it
 *            can do nothing until packets come; false = give up (the app is to be dropped)
 */
struct efx_app_member {
    uint32_t n, self;
    const uint32_t *first_shard; /* [n + 1] of each member, ascending; the last is n_shards */
    void (*send)(void *arg, uint32_t to, uint32_t shard, uint64_t step, struct efx_bytes packet);
    bool (*wait)(void *arg);
    void *arg;
};

/* An app whose steps run elsewhere: what its builder gathers is handed over, and what is asked of
 * it is asked there. It has no graph of its own.
 *
 *   Errors  as of the calls of the same names
 */
struct efx_app_front {
    void *arg;
    enum efx_rc (*submit)(void *arg, const struct efx_builder *b); /* copies what it wants */
    enum efx_rc (*flush)(void *arg);
    enum efx_rc (*finish)(void *arg, int64_t drain_ms);
    enum efx_rc (*error)(void *arg, struct efx_err *err);
    uint64_t (*rows_in)(void *arg, uint32_t object);
    uint32_t (*counts)(void *arg, struct efx_app_count *out, uint32_t max);
};

struct efx_app_opts {
    uint32_t n_shards;  /* >= 1; of all members */
    uint32_t n_workers; /* 0: whoever brings steps does all the work */
    uint32_t max_batch; /* 1 .. 4096 */
    bool virtual_clock;
    bool ordered;
    uint64_t seed;
    uint64_t loop_max_rows;
    struct efx_mem *mem;          /* counts state */
    int64_t (*now_ms)(void *arg); /* system clock; not asked under the virtual one */
    void *now_arg;
    const struct efx_app_front *front;   /* NULL: steps run here */
    const struct efx_app_member *member; /* NULL: all shards are here. Outlives the app */
};

enum efx_rc efx_app_create(const struct efx_plan *plan, const struct efx_app_opts *opts,
                           struct efx_app **out, struct efx_err *err) EFX_MUST_USE;
void efx_app_destroy(struct efx_app **app);
/* Before the first step. */
void efx_app_on(struct efx_app *app, uint32_t object, efx_app_out_fn fn, void *arg);

/* Makes the graph and starts the workers; after the last efx_app_on. */
enum efx_rc efx_app_start(struct efx_app *app, struct efx_err *err) EFX_MUST_USE;

/* The builder to fill; the same one until it is submitted. */
struct efx_builder *efx_app_builder(struct efx_app *app);
/* Numbers what the builder holds and runs what can be run. With `lent` columns in it everything is
 * done when this returns. */
enum efx_rc efx_app_submit(struct efx_app *app) EFX_MUST_USE;
/* The same for a builder of the caller's, of this app's streams and max_batch: *b is another one,
 * empty, afterwards. The app's own builder must be empty. */
enum efx_rc efx_app_submit_builder(struct efx_app *app, struct efx_builder **b) EFX_MUST_USE;
/* A packet of another member's shard, of the steps in their order; any thread. Whoever brings
 * steps calls efx_app_work then. */
enum efx_rc efx_app_receive(struct efx_app *app, uint32_t shard, uint64_t step,
                            struct efx_bytes packet) EFX_MUST_USE;
/* Runs what can be run; false = nothing could. */
bool efx_app_work(struct efx_app *app);
/* Steps that are numbered, and those that every unit here is through with. */
uint64_t efx_app_numbered(const struct efx_app *app);
uint64_t efx_app_done(const struct efx_app *app);
/* System clock: fires what is due by now. */
enum efx_rc efx_app_tick(struct efx_app *app) EFX_MUST_USE;
/* When something is due next on the system clock; EFX_NEVER_MS = nothing is. */
int64_t efx_app_next_due_ms(struct efx_app *app);
/* The same of the units here, as of the steps they are through with; waits for nothing. */
int64_t efx_app_due_ms(const struct efx_app *app);
/* Waits until every step is done. */
enum efx_rc efx_app_flush(struct efx_app *app) EFX_MUST_USE;
/* What a watermark holds back is let go: the input has ended. */
enum efx_rc efx_app_release(struct efx_app *app) EFX_MUST_USE;
/* The clock behind what is numbered; EFX_TS_NONE: has not started. */
int64_t efx_app_clock_ms(const struct efx_app *app);
/* Where the virtual clock would go with this turn, as it says; EFX_TS_NONE: nowhere. */
int64_t efx_app_turn_ts_ms(const struct efx_app *app, const struct efx_builder *b, uint32_t turn);
enum efx_rc efx_app_finish(struct efx_app *app, int64_t drain_ms) EFX_MUST_USE;
enum efx_rc efx_app_error(const struct efx_app *app, struct efx_err *err);

/* All state as bytes; the barrier is inside. *bytes from opts->mem's libc twin: efx_mem_libc. */
enum efx_rc efx_app_save(struct efx_app *app, bool base, uint8_t **bytes, size_t *n,
                         struct efx_err *err) EFX_MUST_USE;
enum efx_rc efx_app_load(struct efx_app *app, const struct efx_bytes *chain, uint32_t n_chain,
                         struct efx_err *err) EFX_MUST_USE;
/* A save that runs beside the steps, in slices; its bytes are thrown away when complete (bench). */
enum efx_rc efx_app_save_begin(struct efx_app *app, bool base) EFX_MUST_USE;
bool efx_app_saving(const struct efx_app *app, uint64_t *longest_stop_ns);
/* Saves whose bytes a store keeps, and the way back: efx_app_save.h. */

/* This app's table, between two steps (after a flush). */
struct efx_op *efx_app_table(struct efx_app *app, uint32_t object);
/* A step for on-demand changes: the present clock, no turns. */
const struct efx_step *efx_app_now(struct efx_app *app);
struct efx_ctx *efx_app_ctx(struct efx_app *app);

/* Counters: of data errors by (object, code), and of what was late or dropped. */
struct efx_app_count {
    uint32_t object; /* EFX_NO_COL: none */
    const char *name;
    uint16_t code; /* of name "error" */
    uint64_t n;
};
uint32_t efx_app_counts(struct efx_app *app, struct efx_app_count *out, uint32_t max);
/* Of the shards here alone: what numbering counts is the same at every member. */
uint32_t efx_app_shard_counts(struct efx_app *app, struct efx_app_count *out, uint32_t max);
uint64_t efx_app_rows_in(const struct efx_app *app, uint32_t object);
/* For `explain --analyze`: rows, time and state of a node over all units. */
struct efx_app_node {
    uint64_t n_rows_in, n_rows_out, n_rows_failed;
    size_t state_bytes;
};
void efx_app_node(struct efx_app *app, uint32_t node, struct efx_app_node *out);

#endif /* EFX_APP_H */
