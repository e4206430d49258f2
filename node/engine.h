#ifndef ENGINE_H
#define ENGINE_H

#include "efx_lib.h"
#include "efx_loop.h"
#include "efx_storage.h"
#include "part.h"
#include "record.h"

/* The engine of a member in one channel epoch: the app with its shards, on a thread of its own.
 *
 *   loop            ticks ──► queue ──► merge ─► number ─► shards ─► rows, packets
 *                   packets ────────────────────────────────► gather
 *                   events  ◄── LOADED, DONE tick, SAVED report, FAILED
 *
 * A mark saves behind its tick; slices run between the ticks that follow. When the epoch ends the
 * engine is thrown away with its state and another one loads.
 *
 *   simulated   the thread runs only while the loop waits in node_engine_turn, so one thing
 *               happens at a time
 *
 *   Owner    a job belongs to the engine once it is queued; events' bytes live until the next call
 *            of node_engine_event
 *   Threads  open, close, tick, packet, event: the loop's; callbacks: the engine's
 *   Errors   FAILED: the app stopped by itself (data error under `fail`, memory), or a checkpoint
 *            could not be loaded (its err says which)
 */
struct node_tick_part {
    uint8_t *bytes; /* efx_mem_libc's */
    size_t n_bytes;
    struct node_part_head head;
};

struct node_tick_rows {
    uint32_t member, skip;
    struct efx_bytes rows; /* in the member's part */
};

struct node_question { /* on demand, behind the tick (C22) */
    uint32_t member;   /* who asks */
    uint64_t call;
    struct efx_bytes text;
};

struct node_tick_job {
    struct node_tick_job *next;
    uint64_t tick;
    int64_t wall_ms;
    uint32_t n_parts;
    struct node_tick_part *parts; /* [n_parts] by member */
    uint32_t n_rows;
    struct node_tick_rows *rows;
    uint32_t n_questions;
    struct node_question *questions;
    bool drain, finish;
    int64_t drain_ms;
    uint64_t mark;
    bool base;
    struct efx_buf sessions; /* as of the mark */
};

/* Everything in it is libc's. */
void node_tick_job_free(struct node_tick_job *job);

struct node_engine_conf {
    const struct node_record *record; /* copied */
    uint32_t self;
    uint32_t max_batch;
    uint64_t state_max_bytes;
    bool simulated;
    struct efx_loop *loop;
    struct efx_world *world;
    struct efx_store *store; /* NULL: nothing is saved or loaded */
    bool compatible;         /* load as far as it fits */
    struct efx_task *notify; /* posted when an event waits */
    struct efx_task *turn;   /* simulated: posted when it has something to do */
    void *arg;
    void (*send)(void *arg, uint32_t to, uint32_t shard, uint64_t step, struct efx_bytes packet);
    /* Rows of a derived stream, one call at a time. */
    void (*rows)(void *arg, const struct efx_bobject *stream, const struct efx_rows *rows);
    /* A question behind its tick, between two steps. */
    void (*answer)(void *arg, struct efx *app, const struct node_question *q);
};

enum node_engine_what {
    NODE_ENGINE_LOADED = 1, /* sessions: the section of the checkpoint, may be empty */
    NODE_ENGINE_DONE,       /* a tick is through here */
    NODE_ENGINE_SAVED,      /* no, rc, report */
    NODE_ENGINE_FAILED,
};

struct node_engine_event {
    enum node_engine_what what;
    uint64_t no; /* tick, checkpoint */
    enum efx_rc rc;
    struct efx_err err;
    struct efx_bytes bytes;
};

struct node_engine;

enum efx_rc node_engine_open(const struct node_engine_conf *conf, struct node_engine **out,
                             struct efx_err *err) EFX_MUST_USE;
void node_engine_close(struct node_engine **e);
/* Simulated: it runs until it has to wait. */
void node_engine_turn(struct node_engine *e);
void node_engine_tick(struct node_engine *e, struct node_tick_job *job);
void node_engine_packet(struct node_engine *e, uint32_t shard, uint64_t step,
                        struct efx_bytes packet);
/* A leader has decided about the last report. */
void node_engine_settled(struct node_engine *e, uint64_t no, bool stands);
/* false: none waits. */
bool node_engine_event(struct node_engine *e, struct node_engine_event *out);
/* The tick whose rows come out now; on the engine's threads. */
uint64_t node_engine_tick_now(const struct node_engine *e);
/* Of its channel epoch; any thread, as long as the engine lives. */
const struct node_record *node_engine_record(const struct node_engine *e);
uint32_t node_engine_backlog(const struct node_engine *e); /* ticks that wait or run */
/* When a timer is due on the system clock; EFX_NEVER_MS. */
int64_t node_engine_due_ms(const struct node_engine *e);
/* NULL before LOADED. */
struct efx *node_engine_app(struct node_engine *e);

#endif /* ENGINE_H */
