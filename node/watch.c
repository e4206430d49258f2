/* Rows of derived streams for subscribers at any node (C21, level ACCEPTED), and what the engine's
 * threads have for other members.
 *
 *   WANTED   each node tells all which streams its subscribers want; latest word counts
 *   engine   rows of a wanted stream ─► bytes ─► loop ─► subscribers here, or ROWS to the node
 *   rewind   every subscriber is told once which of his rows are void: those of this channel epoch
 *
 * ROWS bear their tick, and when a member's engine is through with a tick it says so to whoever
 * wants rows. Subscribers get ticks in order, when all members are through: so what a rewind takes
 * back is what came after some row.
 *
 *   Threads  node_watch_rows and node_watch_packet: the engine's; they hand over under a lock, with
 *            one wake
 */
#include "node.h"

#include "efx_wire.h"

/* ---- from the engine's threads to the loop ---- */

void node_watch_hand_over(struct efx_node *n, uint32_t to, enum node_kind kind,
                          const struct efx_buf *body)
{
    EFX_ASSERT(!body->bad);
    struct node_out *o = efx_mem_libc.alloc(&efx_mem_libc, sizeof *o + body->n);
    EFX_ASSERT(o != NULL);
    *o = (struct node_out){.to = to, .kind = kind, .n = body->n};
    memcpy(o->bytes, body->p, body->n);
    (void)pthread_mutex_lock(&n->out_lock);
    if (n->outs_last != NULL) {
        n->outs_last->next = o;
    } else {
        n->outs = o;
    }
    n->outs_last = o;
    (void)pthread_mutex_unlock(&n->out_lock);
    n->conf.loop->vt->post(n->conf.loop, &n->out_task);
}

void node_watch_packet(void *arg, uint32_t to, uint32_t shard, uint64_t step,
                       struct efx_bytes packet)
{
    struct efx_node *n = arg;
    struct efx_buf b;
    efx_buf_init(&b, &efx_mem_libc);
    efx_buf_u64(&b, node_engine_record(n->engine)->channel);
    efx_buf_u32(&b, shard);
    efx_buf_u64(&b, step);
    efx_buf_put(&b, packet.p, packet.n);
    node_watch_hand_over(n, to, NODE_MSG_PACKET, &b);
    efx_buf_fini(&b);
}

static bool wants(struct efx_node *n, uint32_t member, uint32_t object)
{
    (void)pthread_mutex_lock(&n->out_lock);
    bool yes = (n->wanted[member][object / 64] >> (object % 64) & 1) != 0;
    (void)pthread_mutex_unlock(&n->out_lock);
    return yes;
}

void node_watch_rows(void *arg, const struct efx_bobject *stream, const struct efx_rows *rows)
{
    struct efx_node *n = arg;
    const struct node_record *record = node_engine_record(n->engine);
    struct efx_buf b = {0};
    n->rows_out += efx_rows_count(rows);
    if (n->conf.rows != NULL) {
        n->conf.rows(n->conf.arg, stream, rows);
    }
    for (uint32_t m = 0; m < record->n_members; m++) {
        if (stream->id >= EFX_STREAMS_MAX || !wants(n, m, stream->id)) {
            continue;
        }
        if (b.mem == NULL) {
            efx_buf_init(&b, &efx_mem_libc);
            efx_buf_u64(&b, record->channel);
            efx_buf_u64(&b, node_engine_tick_now(n->engine));
            efx_buf_u32(&b, stream->id);
            efx_wire_put(&b, rows);
        }
        node_watch_hand_over(n, m, NODE_MSG_ROWS, &b);
    }
    if (b.mem != NULL) {
        efx_buf_fini(&b);
    }
}

void node_watch_flush(void *arg)
{
    struct efx_node *n = arg;
    (void)pthread_mutex_lock(&n->out_lock);
    struct node_out *o = n->outs;
    n->outs = n->outs_last = NULL;
    (void)pthread_mutex_unlock(&n->out_lock);
    while (o != NULL) {
        struct node_out *next = o->next;
        struct efx_bytes body = {o->bytes, o->n};
        bool out = o->kind != NODE_MSG_PACKET && node_is_fenced(n); /* C12 */
        if (n->record == NULL || o->to >= n->record->n_members || out) {
            /* of an epoch that has ended */
        } else if (o->to != n->self) {
            node_peers_send(n->peers, n->record->members[o->to].name, o->kind, body);
        } else if (o->kind == NODE_MSG_ROWS) {
            node_watch_message(n, n->self, NODE_MSG_ROWS, body);
        } else {
            node_question_message(n, body);
        }
        efx_mem_libc.free(&efx_mem_libc, o, sizeof *o + o->n);
        o = next;
    }
}

/* ---- who wants what ---- */

static void set_wanted(struct efx_node *n, uint32_t member, const uint64_t *words)
{
    (void)pthread_mutex_lock(&n->out_lock);
    memcpy(n->wanted[member], words, sizeof n->wanted[member]);
    (void)pthread_mutex_unlock(&n->out_lock);
}

void node_watch_wanted(struct efx_node *n)
{
    uint64_t words[EFX_STREAMS_MAX / 64] = {0};
    struct efx_buf b;
    if (n->record == NULL || n->self == EFX_MEMBERS_MAX) {
        return;
    }
    efx_buf_init(&b, &efx_mem_libc);
    efx_buf_u64(&b, n->record->channel);
    for (struct efx_rows_call *c = n->watches; c != NULL; c = c->next) {
        if (!c->ended && c->object < EFX_STREAMS_MAX) {
            words[c->object / 64] |= (uint64_t)1 << (c->object % 64);
            efx_buf_u32(&b, c->object);
        }
    }
    set_wanted(n, n->self, words);
    node_peers_send_all(n->peers, NODE_MSG_WANTED, efx_buf_bytes(&b));
    efx_buf_fini(&b);
}

static void wanted(struct efx_node *n, uint32_t member, struct efx_reader *r)
{
    uint64_t words[EFX_STREAMS_MAX / 64] = {0};
    while (r->left > 0 && !r->bad) {
        uint32_t object = efx_get_u32(r);
        if (!r->bad && object < EFX_STREAMS_MAX) {
            words[object / 64] |= (uint64_t)1 << (object % 64);
        }
    }
    set_wanted(n, member, words);
}

/* ---- to subscribers ---- */

static void pending_free(struct efx_node *n, uint64_t until_tick)
{
    while (n->pending != NULL && n->pending->tick <= until_tick) {
        struct node_out *o = n->pending;
        n->pending = o->next;
        n->pending_last = n->pending == NULL ? NULL : n->pending_last;
        efx_mem_libc.free(&efx_mem_libc, o, sizeof *o + o->n);
    }
}

/* By tick; of one tick as they came. */
static void pending_add(struct efx_node *n, uint64_t tick, struct efx_bytes rows)
{
    struct node_out *o = efx_mem_libc.alloc(&efx_mem_libc, sizeof *o + rows.n);
    EFX_ASSERT(o != NULL);
    *o = (struct node_out){.tick = tick, .n = rows.n};
    memcpy(o->bytes, rows.p, rows.n);
    if (n->pending_last != NULL && n->pending_last->tick <= tick) {
        n->pending_last->next = o;
        n->pending_last = o;
        return;
    }
    struct node_out **at = &n->pending;
    while (*at != NULL && (*at)->tick <= tick) {
        at = &(*at)->next;
    }
    o->next = *at;
    *at = o;
    n->pending_last = o->next == NULL ? o : n->pending_last;
}

static void give(struct efx_node *n, struct efx_bytes body)
{
    struct efx_reader reader = {body.p, body.n, false}, *r = &reader;
    uint32_t object = efx_get_u32(r);
    struct efx_arena arena;
    struct efx_batch b;
    efx_arena_init(&arena, &efx_mem_libc, SIZE_MAX);
    if (efx_wire_get(r, &arena, &b) == EFX_OK) {
        struct efx_rows rows = efx_rows_all(&b);
        for (struct efx_rows_call *c = n->watches; c != NULL; c = c->next) {
            if (!c->ended && c->object == object) {
                uint64_t first = c->n_rows + 1;
                c->n_rows += b.n_rows;
                c->front->rows(c->front, &rows, first, 0, (struct efx_bytes){0});
            }
        }
    }
    efx_arena_fini(&arena);
}

static void given(struct efx_node *n, uint64_t tick)
{
    n->given = tick;
    for (struct efx_rows_call *c = n->watches; c != NULL; c = c->next) {
        c->mark_rows = tick <= n->mark_tick ? c->n_rows : c->mark_rows;
        c->kept_rows = tick <= n->kept_tick ? c->n_rows : c->kept_rows;
    }
}

/* Ticks that all members are through with. */
static void give_ticks(struct efx_node *n)
{
    uint64_t least = UINT64_MAX;
    for (uint32_t i = 0; i < n->record->n_members; i++) {
        least = n->done_by[i] < least ? n->done_by[i] : least;
    }
    while (n->given < least) {
        uint64_t tick = n->given + 1;
        for (struct node_out *o = n->pending; o != NULL && o->tick <= tick; o = o->next) {
            give(n, (struct efx_bytes){o->bytes, o->n});
        }
        pending_free(n, tick);
        /* Nothing lies in between: the ticks up to the next rows are given at once. */
        uint64_t until =
            n->pending != NULL && n->pending->tick <= least ? n->pending->tick - 1 : least;
        if (n->mark_tick > tick && n->mark_tick <= until) {
            given(n, n->mark_tick);
        }
        given(n, until > tick ? until : tick);
    }
}

void node_watch_done(struct efx_node *n, uint64_t tick)
{
    struct efx_buf b;
    node_watch_flush(n); /* its rows were handed over before */
    efx_buf_init(&b, &efx_mem_libc);
    efx_buf_u64(&b, n->record->channel);
    efx_buf_u64(&b, tick);
    for (uint32_t m = 0; m < n->record->n_members; m++) {
        bool any = false;
        for (uint32_t w = 0; w < EFX_STREAMS_MAX / 64 && !any; w++) {
            any = n->wanted[m][w] != 0; /* written on this thread alone */
        }
        if (m == n->self) {
            n->done_by[m] = tick;
        } else if (any) {
            node_peers_send(n->peers, n->record->members[m].name, NODE_MSG_ROWS, efx_buf_bytes(&b));
        }
    }
    efx_buf_fini(&b);
    if (n->watches != NULL) {
        give_ticks(n);
    }
}

void node_watch_verdict(struct efx_node *n, bool stands)
{
    if (!stands || n->mark_tick == 0) {
        return;
    }
    n->kept_tick = n->mark_tick;
    for (struct efx_rows_call *c = n->watches; c != NULL; c = c->next) {
        c->kept_rows = n->given >= n->mark_tick ? c->mark_rows : c->n_rows;
    }
}

void node_watch_message(struct efx_node *n, uint32_t member, enum node_kind kind,
                        struct efx_bytes body)
{
    struct efx_reader r = {body.p, body.n, false};
    uint64_t channel = efx_get_u64(&r);
    if (r.bad || n->record == NULL || channel != n->record->channel) {
        return;
    }
    if (kind == NODE_MSG_WANTED) {
        wanted(n, member, &r);
        return;
    }
    uint64_t tick = efx_get_u64(&r);
    if (r.bad || n->phase != NODE_RUNNING) {
        return;
    }
    if (r.left > 0) {
        pending_add(n, tick, (struct efx_bytes){r.p, r.left});
        return;
    }
    n->done_by[member] = tick;
    give_ticks(n);
}

static uint32_t stream_of(const struct efx_node *n, const char *name)
{
    const struct efx_stream *s = n->app == NULL ? NULL : efx_stream_named(n->app->efx, name);
    return s == NULL || s->is_table || !s->is_derived
               ? EFX_NO_COL
               : (uint32_t)(s - efx_stream_at(n->app->efx, 0));
}

static void end_watch(struct efx_node *n, struct efx_rows_call *c, const struct efx_err *why)
{
    (void)n;
    if (!c->ended) {
        c->ended = true;
        c->front->ended(c->front, why);
    }
}

static void sweep(struct efx_node *n)
{
    for (struct efx_rows_call **at = &n->watches; *at != NULL;) {
        struct efx_rows_call *c = *at;
        if (c->ended) {
            *at = c->next;
            efx_mem_libc.free(&efx_mem_libc, c, sizeof *c);
        } else {
            at = &c->next;
        }
    }
}

void node_watch_end(struct efx_node *n, const struct efx_err *why)
{
    for (struct efx_rows_call *c = n->watches; c != NULL; c = c->next) {
        end_watch(n, c, why);
    }
    sweep(n);
}

/* Another channel epoch was adopted: what others want and have is told anew, perhaps before the
 * engine here has loaded. */
void node_watch_forget(struct efx_node *n)
{
    pending_free(n, UINT64_MAX);
    memset(n->done_by, 0, sizeof n->done_by);
    (void)pthread_mutex_lock(&n->out_lock);
    memset(n->wanted, 0, sizeof n->wanted);
    (void)pthread_mutex_unlock(&n->out_lock);
    n->given = n->mark_tick = n->kept_tick = 0;
}

/* A channel epoch begins: what was given out of a void one is taken back, and the streams are told
 * anew, since another text may have other ones. */
void node_watch_epoch(struct efx_node *n, bool rewind)
{
    for (struct efx_rows_call *c = n->watches; c != NULL; c = c->next) {
        uint32_t object = stream_of(n, c->stream);
        if (object == EFX_NO_COL) {
            struct efx_err why = {.rc = EFX_EABSENT,
                                  .kind = EFX_KIND_USER,
                                  .msg = "the stream is not in the app any more"};
            end_watch(n, c, &why);
            continue;
        }
        if (object != c->object) {
            c->object = object;
            c->front->schema(c->front, &n->app->base.program->objects[object]->schema,
                             (struct efx_bytes){0});
        }
        if (rewind && c->n_rows > c->kept_rows) {
            c->front->take_back(c->front, c->kept_rows + 1);
            c->n_rows = c->kept_rows;
        }
        c->kept_rows = c->mark_rows = c->n_rows;
    }
    sweep(n);
    node_watch_wanted(n);
}

/* ---- doors ---- */

static void on_subscribe(struct efx_node *n, struct node_inbox *m)
{
    struct efx_rows_call *c = m->p;
    struct efx_err why = {.rc = EFX_EABSENT, .kind = EFX_KIND_USER};
    c->object = stream_of(n, c->stream);
    c->next = n->watches;
    n->watches = c;
    if (n->app == NULL) {
        why.rc = EFX_AGAIN;
        (void)snprintf(why.msg, sizeof why.msg, "no app runs here yet");
    } else if (c->object == EFX_NO_COL) {
        (void)snprintf(why.msg, sizeof why.msg, "%.100s is no derived stream of this app",
                       c->stream);
    } else if (m->no != EFX_LEVEL_ACCEPTED) {
        why.rc = EFX_EPARSE;
        (void)snprintf(why.msg, sizeof why.msg, "%.100s cannot be subscribed to at this level",
                       c->stream);
    } else {
        c->front->schema(c->front, &n->app->base.program->objects[c->object]->schema,
                         (struct efx_bytes){0});
        node_watch_wanted(n);
        return;
    }
    end_watch(n, c, &why);
    sweep(n);
}

void node_subscribe(struct efx_service *self, const struct efx_subscribe_ask *ask,
                    struct efx_rows_front *front, struct efx_rows_call **out)
{
    struct efx_node *n = (struct efx_node *)self;
    if (ask->level == EFX_LEVEL_COMMITTED) {
        node_deliver_subscribe(n, ask, front, out);
        return;
    }
    struct efx_rows_call *c = efx_mem_libc.alloc(&efx_mem_libc, sizeof *c);
    EFX_ASSERT(c != NULL);
    memset(c, 0, sizeof *c);
    c->front = front;
    c->call = n->conf.loop->vt->random(n->conf.loop) | 1;
    (void)snprintf(c->stream, sizeof c->stream, "%s", ask->stream);
    *out = node_handle(c->call);
    struct node_inbox *m = node_inbox_new(on_subscribe, "");
    m->p = c;
    m->no = ask->level;
    node_post(n, m);
}

static void on_cancel(struct efx_node *n, struct node_inbox *m)
{
    struct efx_err why = {.rc = EFX_DONE};
    if (node_question_cancel(n, m->no) || node_deliver_cancel(n, m->no)) {
        return;
    }
    for (struct efx_rows_call *c = n->watches; c != NULL; c = c->next) {
        if (c->call == m->no) {
            end_watch(n, c, &why);
        }
    }
    sweep(n);
    node_watch_wanted(n);
}

void node_rows_cancel(struct efx_service *self, struct efx_rows_call *c)
{
    struct node_inbox *m = node_inbox_new(on_cancel, "");
    m->no = node_handle_no(c);
    node_post((struct efx_node *)self, m);
}
