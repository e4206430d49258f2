#ifndef NODE_H
#define NODE_H

#include "efx_node.h"
#include "engine.h"
#include "peers.h"
#include "sessions.h"
#include "worker.h"

#include "efx_builder_wire.h"
#include "efx_hash.h"
#include "efx_lib.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

/* Private to node/: what a member is made of. Files by what they decide:
 *
 *   node.c     opening, the way in: seeds, store, registration, the record's adoption
 *   lease.c    leases and what follows from them: fencing, taking the lead, founding (C1 … C18)
 *   leader.c   who belongs: changes of epoch, losses, moves (C1, C2, C10, C11, C17)
 *   marks.c    marks, reports, manifests (C4 … C9)
 *   tick.c     parts and ticks (C3)
 *   calls.c    submit: sessions, acknowledgements (C16, C24)
 *   watch.c    subscriptions and rows between members (C21)
 *   ask.c      operations for the leader
 *   deliver.c  rows of checkpoints for subscribers (C21)
 *   question.c questions on tables (C22)
 *   service.c  the face for doors: from their threads to the loop
 */
enum { NODE_BUILDERS = 24, NODE_BACKLOG = 4, NODE_WAITING_PARTS = 2 };

enum node_phase {
    NODE_SEEKING = 1, /* asks seeds for the store */
    NODE_OPENING,     /* opens it */
    NODE_REGISTERING, /* takes its lease, looks for a record */
    NODE_WAITING,     /* is not in the record yet, or there is none */
    NODE_LOADING,     /* in the record: the engine loads */
    NODE_RUNNING,
    NODE_ENDED,
};

/* ---- ticks ---- */

struct node_ticks {
    uint64_t next;    /* the first that is not complete */
    uint64_t closed;  /* own parts up to this one are made */
    uint64_t stopped; /* behind this tick nothing is numbered (C17); 0 = not stopped */
    uint64_t done;    /* the engine is through */
    struct node_tick_part parts[NODE_WAITING_PARTS][EFX_MEMBERS_MAX]; /* of next, next + 1 */
    /* What gathers for the next own part. */
    struct efx_buf items;
    uint32_t n_items, n_turns;
    uint64_t mark; /* leader: to be put into the next part */
    uint8_t flags;
};

struct node_early { /* of a channel epoch that has not begun here */
    struct node_early *next;
    char from[EFX_MEMBER_BYTES_MAX];
    enum node_kind kind;
    size_t n;
    uint8_t bytes[];
};

/* ---- leading ---- */

enum node_move { NODE_MOVE_NONE = 0, NODE_MOVE_STOPPING, NODE_MOVE_SWITCHING };

struct node_leader {
    bool leading; /* the lease is held and the epoch of its taking stands (C2) */
    bool taking;
    struct efx_lease lease;
    uint64_t known_term; /* of whoever holds it, as of the last list */
    uint64_t last;       /* newest manifest */
    uint64_t used;       /* greatest number of a checkpoint so far: they never repeat */
    bool want_mark, want_base;
    /* The open checkpoint. */
    uint64_t open; /* 0 = none */
    uint64_t opened_ns;
    bool committing, open_failed;
    uint32_t n_reports;
    struct node_report {
        uint8_t *bytes;
        size_t n;
    } reports[EFX_MEMBERS_MAX];
    uint64_t next_mark_ns;
    /* A planned change of members (C17). */
    enum node_move move;
    bool want_move;
    char leaving[EFX_MEMBERS_MAX][EFX_MEMBER_BYTES_MAX];
    uint32_t n_leaving;
    const char *new_sql; /* a new app text; NULL: none */
    uint64_t moved_ns;
};

/* ---- calls ---- */

struct efx_submit {
    struct efx_submit *next;
    struct efx_node *node;
    struct efx_submit_front *front;
    struct efx_submit_open how;
    uint64_t call;      /* random; 0 never */
    bool numbered;      /* has a session */
    bool opened, ended; /* the session is this call's; `ended` was told */
    bool asked_open;    /* an OPEN item is on its way */
    bool resend;        /* after a rewind: rows are dropped until next_seq comes */
    bool half_closed, told_open;
    uint64_t next_seq; /* row that comes next here, counting what is queued */
    uint64_t taken;    /* rows whose tick is complete: accepted */
    uint64_t committed;
    uint64_t repeats;
    uint64_t marks[2]; /* [0]: checkpoint, [1]: taken as of it */
    bool ack_due;
    struct node_queued *first, *last; /* builders that wait for room in a part */
};

struct node_queued {
    struct node_queued *next;
    struct efx_builder *b;
    uint64_t first_seq;
};

/* ---- rows for subscribers ---- */

struct efx_rows_call { /* of Subscribe */
    struct efx_rows_call *next;
    struct efx_rows_front *front;
    uint32_t object; /* stream */
    uint64_t call;
    uint64_t n_rows;
    uint64_t mark_rows; /* up to the tick of the open mark */
    uint64_t kept_rows; /* up to a checkpoint that stands: no rewind takes them back */
    char stream[128];
    bool ended;
};

struct node_out { /* rows on their way from the engine to the loop, and to subscribers */
    struct node_out *next;
    uint64_t tick; /* pending */
    uint32_t to;   /* member; self: subscribers here */
    enum node_kind kind;
    size_t n;
    uint8_t bytes[]; /* body of the message */
};

struct node_inbox { /* from doors' threads to the loop */
    struct node_inbox *next;
    void (*fn)(struct efx_node *n, struct node_inbox *m);
    void *p, *q;
    uint64_t no;
    bool flag;
    char text[]; /* NUL-terminated */
};

struct node_app { /* a text, bound, for doors; each builder of it holds one of its references */
    struct efx_service_app base;
    struct efx_arena arena; /* builders, texts */
    struct efx *efx;
    _Atomic uint32_t refs;
};

struct efx_node {
    struct efx_service service;
    struct efx_node_conf conf;
    struct efx_arena arena;
    enum node_phase phase;
    struct node_member me;
    uint8_t hash[16]; /* of conf.sql */
    struct efx_store *store;
    struct efx_coord *coord;
    struct node_worker *coord_worker, *store_worker;
    struct node_peers *peers;

    struct node_record *record; /* NULL: none is adopted */
    struct efx_arena record_arena;
    uint32_t self;
    struct node_engine *engine;
    struct efx_task engine_task, turn_task, due_task, load_task;

    struct node_ticks ticks;
    struct node_early *early, *early_last;
    struct node_sessions sessions;
    struct efx_submit *submits;
    uint64_t n_repeats, n_rewinds, n_checkpoints, n_checkpoints_failed, n_store_errors;
    uint64_t rows_in, rows_out;

    /* lease.c */
    struct efx_lease lease;
    bool registered; /* the lease has been taken */
    uint64_t registered_ns, started_ns, store_back_ns;
    bool store_away;
    struct node_pulse *pulse;
    struct efx_task pulse_task, beat_task, take_task, again_task, commit_task, mark_task;
    struct efx_buf leases; /* as of the last pulse */
    bool takeover, app_checked;
    bool rewound; /* what was numbered here behind `start` is void */
    uint64_t leaderless_ns, adopted_ns, cut_off_ns;
    uint64_t stood;  /* the greatest checkpoint that is known to have stood */
    uint64_t marked; /* checkpoint that is marked and not decided; 0 = none */
    uint64_t fenced_since_ns, fenced_ns;
    uint32_t seed_at;

    struct node_leader leader;
    struct node_switch *change; /* next_epoch on its way */
    struct node_commit *commit;

    /* watch.c */
    struct efx_rows_call *watches;
    struct node_out *pending, *pending_last; /* rows whose tick is not through everywhere */
    uint64_t done_by[EFX_MEMBERS_MAX];       /* ticks that members are through with */
    uint64_t given;                          /* the last tick whose rows were given */
    uint64_t mark_tick, kept_tick;
    uint64_t wanted[EFX_MEMBERS_MAX][EFX_STREAMS_MAX / 64]; /* streams by member */
    pthread_mutex_t out_lock;                               /* of wanted, outs */
    struct node_out *outs, *outs_last;
    struct efx_task out_task;

    struct node_asking *askings; /* question.c */
    struct node_reader *readers; /* deliver.c */
    uint64_t stands;             /* newest checkpoint that is known to stand */

    /* ask.c */
    struct node_operation *operations;
    bool leaving;
    void (*left)(void *arg, const struct efx_err *why);
    void *left_arg;
    struct node_leaving *leave; /* NULL: nobody asked for it */

    /* service.c */
    pthread_mutex_t lock; /* of what follows */
    struct node_inbox *inbox, *inbox_last;
    struct efx_task inbox_task;
    struct node_app *app;
    struct efx_builder *builders[NODE_BUILDERS];
    uint32_t n_builders, n_made;
    struct efx_wake *rooms[64]; /* doors that wait for one */
    uint32_t n_rooms;
    struct efx_status *status; /* a copy for doors */
    struct efx_err end;
};

static inline uint64_t node_now_ns(const struct efx_node *n)
{
    return n->conf.loop->vt->now_ns(n->conf.loop);
}

/* Doors hold a number, not a pointer: a call may have ended here while they still speak of it. */
static inline void *node_handle(uint64_t no)
{
    return (void *)(uintptr_t)no; /* NOLINT: never followed */
}

static inline uint64_t node_handle_no(const void *handle)
{
    return (uint64_t)(uintptr_t)handle;
}

void node_log(struct efx_node *n, const char *fmt, ...) EFX_PRINTF(2, 3);
void node_end(struct efx_node *n, const struct efx_err *why);
bool node_is_leader_of_record(const struct efx_node *n);

/* node.c */
/* A record of a newer epoch: C2, C10, C17, C23. Takes the bytes' meaning, not the bytes. */
void node_adopt(struct efx_node *n, struct efx_bytes record);
void node_drop_epoch(struct efx_node *n);
void node_connect(struct efx_node *n, const struct node_record *also);

/* lease.c */
void node_pulse_soon(struct efx_node *n);
void node_pulse_stop(struct efx_node *n);
void node_beat(void *arg);
void node_due(void *arg);
void node_takeover(void *arg);
void node_lease_fini(struct efx_node *n);
bool node_is_fenced(const struct efx_node *n); /* C12 */
void node_peer_gone(void *arg, const char *name);

/* leader.c */
void node_leader_pump(struct efx_node *n);
void node_leader_report(struct efx_node *n, uint32_t member, struct efx_bytes body);
void node_leader_drop(struct efx_node *n); /* the open checkpoint is void */
void node_leader_look(struct efx_node *n);
void node_leader_evict(struct efx_node *n, const char *name);
void node_leader_take(struct efx_node *n, uint64_t over);
void node_leader_lost(struct efx_node *n);
void node_leader_release(struct efx_node *n);
void node_leader_fini(struct efx_node *n);
void node_leader_move_on(struct efx_node *n); /* the mark of a move stands */
void node_leader_stay(struct efx_node *n);    /* it does not */
void node_marks_fini(struct efx_node *n);
void node_mark_due(void *arg);
void node_commit_again(void *arg);
void node_switch_again(void *arg);
void node_verdict(struct efx_node *n, uint64_t no, bool stands);
void node_checkpoint_now(struct efx_node *n);

/* tick.c */
void node_ticks_begin(struct efx_node *n);
void node_ticks_end(struct efx_node *n);
/* Of a channel epoch that has not begun here: looked at when it does. */
void node_early_add(struct efx_node *n, const char *from, enum node_kind kind,
                    struct efx_bytes body);
void node_part_came(struct efx_node *n, const char *from, struct efx_bytes body);
void node_tick_pump(struct efx_node *n);
bool node_item_add(struct efx_node *n, const struct node_item *item);
bool node_part_has_room(const struct efx_node *n, size_t bytes, uint32_t turns);
void node_resume(struct efx_node *n);

/* calls.c */
void node_calls_tick(struct efx_node *n, uint32_t member, const struct node_item *item,
                     int64_t wall_ms, uint32_t *skip);
/* A question takes a row number in its session: EFX_OK: it comes next. EFX_DONE: was taken before.
 * EFX_EDATA: a gap. EFX_ELIMIT. */
enum efx_rc node_calls_question(struct efx_node *n, const struct node_item *item, int64_t wall_ms,
                                uint64_t *next_seq) EFX_MUST_USE;
void node_calls_pump(struct efx_node *n); /* queued builders into the part */
void node_calls_mark(struct efx_node *n, uint64_t no);
void node_calls_verdict(struct efx_node *n, uint64_t no, bool stands);
void node_calls_loaded(struct efx_node *n, bool rewind);
void node_calls_ack(struct efx_node *n, bool all);
void node_calls_end(struct efx_node *n, const struct efx_err *why);

void node_submit_open(struct efx_service *self, const struct efx_submit_open *how,
                      struct efx_submit_front *front, struct efx_submit **out);
void node_submit_rows(struct efx_service *self, struct efx_submit *s, uint64_t first_seq,
                      struct efx_builder **b, bool unit_end);
void node_submit_ask(struct efx_service *self, struct efx_submit *s, bool drain);
void node_submit_close(struct efx_service *self, struct efx_submit *s, bool graceful);

/* watch.c */
void node_subscribe(struct efx_service *self, const struct efx_subscribe_ask *ask,
                    struct efx_rows_front *front, struct efx_rows_call **out);
void node_rows_cancel(struct efx_service *self, struct efx_rows_call *c);
/* From an engine's thread to the loop, and to the member. */
void node_watch_hand_over(struct efx_node *n, uint32_t to, enum node_kind kind,
                          const struct efx_buf *body);
void node_watch_rows(void *arg, const struct efx_bobject *stream, const struct efx_rows *rows);
void node_watch_packet(void *arg, uint32_t to, uint32_t shard, uint64_t step,
                       struct efx_bytes packet);
void node_watch_flush(void *arg);
void node_watch_done(struct efx_node *n, uint64_t tick); /* the engine here is through */
void node_watch_verdict(struct efx_node *n, bool stands);
void node_watch_wanted(struct efx_node *n); /* tells all what is wanted here */
void node_watch_message(struct efx_node *n, uint32_t member, enum node_kind kind,
                        struct efx_bytes body);
void node_watch_forget(struct efx_node *n);
void node_watch_epoch(struct efx_node *n, bool rewind);
void node_watch_end(struct efx_node *n, const struct efx_err *why);

/* deliver.c */
void node_deliver_subscribe(struct efx_node *n, const struct efx_subscribe_ask *ask_of,
                            struct efx_rows_front *front, struct efx_rows_call **out);
bool node_deliver_cancel(struct efx_node *n, uint64_t call); /* false: is none */
void node_deliver_look(struct efx_node *n);
void node_deliver_end(struct efx_node *n, const struct efx_err *why);
void node_deliver_fini(struct efx_node *n);

/* question.c */
void node_query(struct efx_service *self, const struct efx_query_ask *ask,
                struct efx_rows_front *front, struct efx_rows_call **out);
bool node_question_cancel(struct efx_node *n, uint64_t call); /* false: is none */
void node_question_answer(void *arg, struct efx *app, const struct node_question *q);
void node_question_message(struct efx_node *n, struct efx_bytes body);
void node_question_pump(struct efx_node *n);
/* True: it runs behind this tick; false: it ran before, or cannot. */
bool node_question_tick(struct efx_node *n, uint32_t member, const struct node_item *item,
                        int64_t wall_ms);
void node_question_kept(struct efx_node *n);
void node_question_look(struct efx_node *n);
void node_question_epoch(struct efx_node *n, bool rewind);
void node_question_end(struct efx_node *n, const struct efx_err *why);

/* ask.c */
void node_operate(struct efx_service *self, const struct efx_operation_ask *ask,
                  struct efx_operation_front *front);
void node_ask_message(struct efx_node *n, const char *from, enum node_kind kind,
                      struct efx_bytes body);
void node_ask_end(struct efx_node *n, const struct efx_err *why);
void node_ask_decided(struct efx_node *n, uint64_t no, bool stands);
void node_ask_switched(struct efx_node *n);
void node_ask_drained(struct efx_node *n); /* this node is out, as was asked */
void node_ask_leader_changed(struct efx_node *n);
void node_ask_fini(struct efx_node *n);

/* service.c */
void node_service_init(struct efx_node *n);
void node_service_fini(struct efx_node *n);
void node_service_app(struct efx_node *n);
/* A text that members can run: it binds, and nothing of it would be left undone. */
enum efx_rc node_app_open(const struct efx_node *n, const char *sql, const char *name, int clock,
                          struct efx **out, struct efx_err *err) EFX_MUST_USE;
void node_service_status(struct efx_node *n);
void node_builder_back(struct efx_node *n, struct efx_builder **b);
void node_post(struct efx_node *n, struct node_inbox *m);
struct node_inbox *node_inbox_new(void (*fn)(struct efx_node *n, struct node_inbox *m),
                                  const char *text);

#endif /* NODE_H */
