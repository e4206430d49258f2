#ifndef RUN_H
#define RUN_H

#include "cli.h"

#include "efx_alone.h"
#include "efx_door.h"
#include "efx_input.h"
#include "efx_io.h"
#include "efx_lane.h"
#include "efx_out.h"
#include "efx_solo.h"
#include "efx_together.h"
#include "efx_world_real.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>

/* Running an app in this process: lanes in, app, output and sinks out, one loop.
 *
 *   --input F …  ┐ lanes ── merged by timestamp ──► builder ──► app ──► output (stdout, a file)
 *   sources      ┘          or in turn                              └─► sinks
 *
 * One lane that has its end decodes straight into the app's builder. Several that have one are
 * merged: each has a builder of its own, and the earliest turn is copied over; a row without a
 * timestamp is taken when it is reached. Sources without end (a followed file, a timer) are taken
 * as they come.
 *
 *   Owner    run_in and run_out have what they opened; the app is the command's
 *   Limits   RUN_FLUSH_NS: how long a row may wait in the output buffer
 *   Errors   of a lane or output: one line, exit status 1
 *   Threads  the loop's; rows come out on any, one call at a time
 */
static const uint64_t RUN_FLUSH_NS = 5 * 1000000;

/* ---- out ---- */

struct run_stream { /* what happens to rows of an object */
    struct run_out *owner;
    uint32_t id;
    bool to_output;
    struct efx_sink *sink; /* NULL = none */
    struct efx_format *sink_format;
    bool exactly_once; /* its sink is opened by run_out_begin */
    uint8_t *receipt;  /* [EFX_RECEIPT_BYTES_MAX] of its last prepare */
    bool sink_fails;   /* error.strategy = fail */
    uint64_t n_rows;
    uint64_t n_sink_errors;
};

struct run_out {
    struct efx_arena arena;
    const struct efx_program *program;
    uint32_t n_streams;
    struct run_stream *streams; /* [n_streams] by object */
    struct efx_out out;
    struct efx_format *format; /* NULL: nothing goes to the output */
    bool heads;                /* the format has a line before rows of a stream */
    uint32_t last;             /* stream of the last row, for heads; EFX_NO_COL */
    uint64_t oldest_ns;        /* of the oldest row in the buffer; 0 = it is empty */
    bool failed, gone;         /* of the output or a sink; its reader went away */
    char why[EFX_ERR_MSG_BYTES];
    efx_app_out_fn also; /* takes all rows, too; NULL */
    void *also_arg;
    pthread_mutex_t lock;
    const char *path; /* of the output; NULL: standard output */
    uint64_t kept_no; /* receipts are of this checkpoint */
    uint32_t n_receipts;
    struct efx_ckpt_receipt *receipts; /* [n_streams] */
};

struct run_out_opts {
    efx_app_out_fn also; /* takes all rows, too; NULL */
    void *also_arg;
    const char *path;            /* NULL: standard output, if anything goes there */
    const char *format;          /* json, table, csv */
    const struct opt_list *only; /* NULL or empty: derived streams */
    bool keeps;   /* checkpoints: the output's file is not cut before run_out_begin */
    bool discard; /* no output at all (explain --analyze) */
};

/* Before efx_start. -1: go on, else the exit status. Closed after the app. */
int run_out_open(struct run_out *o, struct efx *app, const struct run_out_opts *opts);
void run_out_close(struct run_out *o);
/* With checkpoints, when it is known from which all go on (NULL: from none) and before the first
 * row: the output goes on where it was then; sinks show what that checkpoint named, throw away what
 * came later. */
enum efx_rc run_out_begin(struct run_out *o, const struct efx_manifest *from, uint64_t start,
                          uint64_t epoch, struct efx_err *err);
bool run_out_exactly_once(const struct run_out *o); /* some sink is */
/* At the mark, everything before it is written: cuts sinks; the output's place as a section. */
enum efx_rc run_out_mark(struct run_out *o, uint64_t no, struct efx_arena *a,
                         struct efx_ckpt_bytes *section, uint32_t *n, struct efx_err *err);
/* On the storage thread: makes that durable; receipts live until the next mark. */
enum efx_rc run_out_finish(void *out, uint64_t no, const struct efx_ckpt_receipt **receipts,
                           uint32_t *n, struct efx_err *err);
/* The checkpoint stands. */
enum efx_rc run_out_commit(struct run_out *o, uint64_t no, struct efx_err *err);
/* Writes what is waiting; `now`: all of it, else what has waited long enough. */
void run_out_flush(struct run_out *o, bool now);

/* ---- in ---- */

struct run_lane {
    struct efx_lane lane;
    const char *id; /* of its position in checkpoints */
    uint64_t skip;  /* turns that a restored position says are taken */
    bool input;     /* of --input: counts for progress */
    bool merges;    /* has an end, and rows now: the merge waits for it */
    bool ended;
    struct efx_builder *own; /* merge, skip; NULL: straight into the app's */
    bool straight;           /* own leaves when all is passed over */
    uint32_t at;             /* turns of own before this are taken */
    uint32_t n_told;         /* rejects of own that were told */
    uint64_t ready_ns;       /* idle until then */
};

struct run_in {
    struct efx_arena arena;
    struct efx *efx;
    struct efx_app *app;
    const struct efx_program *program;
    uint32_t n_lanes;
    struct run_lane *lanes;
    bool merging;
    uint32_t turn;   /* lane that is asked first */
    uint32_t n_told; /* rejects of the app's builder that were told */
    uint64_t told_second, n_told_now;
};

enum run_in_state { RUN_IN_MORE = 1, RUN_IN_IDLE, RUN_IN_ENDED, RUN_IN_FAILED };

int run_in_open(struct run_in *in, struct efx *app, const struct opt_list *inputs);
void run_in_close(struct run_in *in);
/* Takes what is at hand, a chunk or so, submitting full builders. */
enum run_in_state run_in_pump(struct run_in *in, struct efx_err *err);
/* When to look again if nothing else happens; descriptors to wait for. */
uint64_t run_in_wait_ns(const struct run_in *in);
uint32_t run_in_fds(const struct run_in *in, struct pollfd *out, uint32_t max);
/* All lanes can go back to a position. */
bool run_in_rewinds(const struct run_in *in);
/* Positions behind what the app's builders got, one a lane that has any; of the arena. */
enum efx_rc run_in_positions(const struct run_in *in, struct efx_arena *a,
                             struct efx_ckpt_bytes **out, uint32_t *n);
/* Before the first pump. */
enum efx_rc run_in_seek(struct run_in *in, const struct efx_manifest *m, struct efx_err *err);
/* Tells of rejects behind *told. */
void run_in_tell(struct run_in *in, const struct efx_builder *b, uint32_t *told, const char *name);
/* Properties of a stream as formats and connectors take them. */
uint32_t run_props(struct efx_arena *a, const struct efx_ast_props *raw, struct efx_prop **out);

/* ---- checkpoints ---- */

struct run_keep_opts {      /* what the command line says */
    struct cli_place place; /* at most one; all NULL: keeps nothing */
    int64_t interval_ms;
    const char *restore;
    bool lose_committed;
    struct cli_keep_settings set; /* persistence.* */
};

struct run_keep {
    bool on;
    struct efx_alone *alone; /* NULL: keeps nothing */
    struct run_in *in;
    struct run_out *out;
    uint64_t interval_ns, next_ns;
    uint64_t steps; /* of the app when it last marked */
    bool told;      /* a failure was told and nothing has succeeded since */
    bool stale;     /* somebody else goes on: stop */
    uint64_t n_made;
    struct efx_arena arena; /* of one mark */
};

/* -1: go on, else the exit status. open: before efx_start; restore: behind it. */
int run_keep_open(struct run_keep *k, const struct run_keep_opts *o, const char *app_path,
                  struct run_in *in, struct run_out *out);
int run_keep_restore(struct run_keep *k);
/* Once a round of the loop: begins what is due, moves on what was begun. */
void run_keep_step(struct run_keep *k, bool idle);
uint64_t run_keep_wait_ns(const struct run_keep *k);
/* A last one, of all there is; false: it failed, and that was told. */
bool run_keep_last(struct run_keep *k);
void run_keep_close(struct run_keep *k);

/* ---- gRPC ---- */

struct run_grpc_opts {
    const char *address; /* NULL: no gRPC */
    const char *cert, *key, *ca, *token;
};

struct run_grpc {
    struct efx_solo *alone; /* NULL: no gRPC */
    struct efx_door *door;
};

/* Between open and start of the app. -1: go on, else the exit status. */
int run_grpc_open(struct run_grpc *g, struct efx *app, const char *path,
                  const struct run_grpc_opts *opts);
/* Behind the start: from here on calls come. */
int run_grpc_serve(struct run_grpc *g, const struct run_grpc_opts *opts);
/* Does what waits; false = nothing did. */
bool run_grpc_pump(struct run_grpc *g);
/* Tells the callers to go, waits until they have. */
void run_grpc_leave(struct run_grpc *g);
void run_grpc_close(struct run_grpc *g);

/* ---- the loop ---- */

struct run {
    struct efx *efx;
    struct efx_together *together; /* --nodes: efx is its front; NULL */
    struct run_in in;
    struct run_out out;
    struct run_keep keep;
    struct run_grpc grpc;
    int64_t drain_ms;
    bool progress;
    bool stopped; /* the app has failed */
    uint64_t start_ns;
};

/* Until inputs end or a signal comes, then drains; the exit status. The app is started. */
int run_loop(struct run *r);
void run_summary(struct run *r);
/* SIGINT, SIGTERM: counted; the second ends the process. */
void run_catch_signals(void);

#endif /* RUN_H */
