/* Operations, which the leader does for whoever asks.
 *
 *   door ─► here, if this node leads; else REQUEST ─► leader ─► … ─► RESULT ─► door
 *   CHECKPOINT  the next mark; done when its manifest stands
 *   DRAIN       a move without that member (C17)
 *   DEPLOY      a move with another text (C19)
 *
 *   Errors  EFX_EDATA: without a store; EFX_AGAIN: nobody leads now, or a move is under way
 */
#include "node.h"

struct node_operation {
    struct node_operation *next;
    struct efx_operation_front *front; /* NULL: somebody else's */
    char from[EFX_MEMBER_BYTES_MAX];   /* who has asked this leader; empty: a door here */
    uint64_t call;
    enum efx_operation kind;
    uint64_t no; /* checkpoint that answers it; 0: any move */
    bool sent;   /* to the leader */
};

static void answer(struct efx_node *n, struct node_operation *o, const struct efx_err *why)
{
    if (o->front == NULL) {
        struct efx_buf b;
        efx_buf_init(&b, &efx_mem_libc);
        efx_buf_u64(&b, o->call);
        efx_buf_u32(&b, (uint32_t)why->rc);
        efx_buf_u32(&b, why->code);
        efx_buf_text(&b, why->msg, strlen(why->msg));
        node_peers_send(n->peers, o->from, NODE_MSG_RESULT, efx_buf_bytes(&b));
        efx_buf_fini(&b);
        return;
    }
    struct efx_operation_done done = {.checkpoint = n->status->last,
                                      .epoch = n->record == NULL ? 0 : n->record->epoch};
    if (n->record != NULL) {
        memcpy(done.app_hash, n->record->hash, sizeof done.app_hash);
    }
    o->front->ended(o->front, &done, why);
}

static void finish(struct efx_node *n, bool (*is)(const struct node_operation *o, uint64_t no),
                   uint64_t no, const struct efx_err *why)
{
    for (struct node_operation **at = &n->operations; *at != NULL;) {
        struct node_operation *o = *at;
        if (!is(o, no)) {
            at = &o->next;
            continue;
        }
        *at = o->next;
        answer(n, o, why);
        efx_mem_libc.free(&efx_mem_libc, o, sizeof *o);
    }
}

static bool is_any(const struct node_operation *o, uint64_t no)
{
    (void)o;
    (void)no;
    return true;
}

static bool is_checkpoint(const struct node_operation *o, uint64_t no)
{
    return o->kind == EFX_OP_CHECKPOINT && !o->sent && o->no != 0 && o->no <= no;
}

static bool is_move(const struct node_operation *o, uint64_t no)
{
    (void)no;
    return (o->kind == EFX_OP_DRAIN || o->kind == EFX_OP_DEPLOY) && !o->sent;
}

static bool is_call(const struct node_operation *o, uint64_t call)
{
    return o->call == call && o->sent;
}

void node_ask_end(struct efx_node *n, const struct efx_err *why)
{
    struct efx_err err = *why;
    err.rc = err.rc == EFX_OK ? EFX_AGAIN : err.rc;
    finish(n, is_any, 0, &err);
}

void node_ask_decided(struct efx_node *n, uint64_t no, bool stands)
{
    struct efx_err ok = {.rc = EFX_OK};
    if (stands) {
        finish(n, is_checkpoint, no, &ok);
    }
    for (struct node_operation *o = n->operations; o != NULL; o = o->next) {
        if (o->kind == EFX_OP_CHECKPOINT && !o->sent) { /* waits for the next one */
            o->no = n->leader.used + 1;
            n->leader.want_mark = true;
        }
    }
}

void node_ask_switched(struct efx_node *n)
{
    struct efx_err ok = {.rc = EFX_OK};
    finish(n, is_move, 0, &ok);
}

static bool is_drain(const struct node_operation *o, uint64_t no)
{
    (void)no;
    return o->kind == EFX_OP_DRAIN;
}

void node_ask_drained(struct efx_node *n)
{
    struct efx_err ok = {.rc = EFX_OK};
    finish(n, is_drain, 0, &ok);
}

static bool is_sent(const struct node_operation *o, uint64_t no)
{
    (void)no;
    return o->sent;
}

/* Whoever was asked may not be there any more. */
void node_ask_leader_changed(struct efx_node *n)
{
    struct efx_err again = {
        .rc = EFX_AGAIN, .kind = EFX_KIND_ENV, .msg = "the leader has changed: ask again"};
    finish(n, is_sent, 0, &again);
}

/* ---- at the leader ---- */

static const struct node_member *member_by_id(const struct efx_node *n, const char *id)
{
    for (uint32_t i = 0; i < n->record->n_members; i++) {
        const char *name = n->record->members[i].name;
        if (strcmp(name, id) == 0 ||
            (strcspn(name, "/") == strlen(id) && strncmp(name, id, strlen(id)) == 0)) {
            return &n->record->members[i];
        }
    }
    return NULL;
}

static enum efx_rc drain(struct efx_node *n, const char *id, struct efx_err *err)
{
    const struct node_member *m = member_by_id(n, id);
    if (m == NULL) {
        return EFX_FAIL(err, EFX_EABSENT, EFX_KIND_USER, 0, "no member is called %.80s", id);
    }
    if (n->record->n_members == 1) {
        return EFX_FAIL(err, EFX_EDATA, EFX_KIND_USER, 0,
                        "%.80s is the last member: stop it, its state stays in the store", id);
    }
    if (n->leader.n_leaving < EFX_MEMBERS_MAX) {
        (void)snprintf(n->leader.leaving[n->leader.n_leaving++], EFX_MEMBER_BYTES_MAX, "%s",
                       m->name);
    }
    return EFX_OK;
}

/* Would it start? A text that does not bind is refused with its first message. */
static enum efx_rc deploy(struct efx_node *n, const char *sql, struct efx_err *err)
{
    struct efx *app = NULL;
    if (strcmp(sql, n->record->sql) == 0) {
        return EFX_DONE;
    }
    EFX_RET(node_app_open(n, sql, n->record->app, (int)n->record->clock, &app, err));
    efx_close(&app);
    n->leader.new_sql = efx_arena_str(&n->arena, sql, strlen(sql));
    return EFX_OK;
}

static void lead(struct efx_node *n, struct node_operation *o, bool full, const char *text)
{
    struct efx_err err = {.rc = EFX_OK};
    o->next = n->operations;
    n->operations = o;
    if (n->store == NULL) {
        err.rc = EFX_EDATA;
        (void)snprintf(err.msg, sizeof err.msg, "there is no store");
    } else if (o->kind == EFX_OP_CHECKPOINT) {
        n->leader.want_mark = true;
        n->leader.want_base = n->leader.want_base || full;
        o->no = n->leader.used + 1;
    } else if (o->kind == EFX_OP_DRAIN) {
        err.rc = drain(n, text, &err);
    } else if (o->kind == EFX_OP_DEPLOY) {
        err.rc = deploy(n, text, &err);
    } else {
        err.rc = EFX_EDATA;
        (void)snprintf(err.msg, sizeof err.msg,
                       "a running cluster does not go back yet: stop it and use `efx state "
                       "restore`");
    }
    if (err.rc != EFX_OK) {
        n->operations = o->next;
        err.rc = err.rc == EFX_DONE ? EFX_OK : err.rc;
        answer(n, o, &err);
        efx_mem_libc.free(&efx_mem_libc, o, sizeof *o);
        return;
    }
    node_leader_pump(n);
}

/* ---- asking ---- */

static struct node_operation *operation_new(enum efx_operation kind, uint64_t call)
{
    struct node_operation *o = efx_mem_libc.alloc(&efx_mem_libc, sizeof *o);
    EFX_ASSERT(o != NULL);
    memset(o, 0, sizeof *o);
    o->kind = kind;
    o->call = call;
    return o;
}

static void request(struct efx_node *n, struct node_operation *o, bool full, const char *text)
{
    if (n->leader.leading && n->phase == NODE_RUNNING) {
        lead(n, o, full, text);
        return;
    }
    if (n->phase != NODE_RUNNING) {
        struct efx_err err = {.rc = EFX_AGAIN, .kind = EFX_KIND_ENV, .msg = "not ready"};
        answer(n, o, &err);
        efx_mem_libc.free(&efx_mem_libc, o, sizeof *o);
        return;
    }
    struct efx_buf b;
    efx_buf_init(&b, &efx_mem_libc);
    efx_buf_u64(&b, o->call);
    efx_buf_u8(&b, (uint8_t)o->kind);
    efx_buf_u8(&b, full);
    efx_buf_text(&b, text, strlen(text));
    node_peers_send(n->peers, n->record->leader, NODE_MSG_REQUEST, efx_buf_bytes(&b));
    efx_buf_fini(&b);
    o->sent = true;
    o->next = n->operations;
    n->operations = o;
}

static void on_operate(struct efx_node *n, struct node_inbox *m)
{
    struct node_operation *o =
        operation_new((enum efx_operation)m->no, n->conf.loop->vt->random(n->conf.loop));
    bool here = o->kind == EFX_OP_DRAIN && m->text[0] == '\0';
    o->front = m->p;
    request(n, o, m->flag, here ? n->me.name : m->text);
}

void node_operate(struct efx_service *self, const struct efx_operation_ask *ask,
                  struct efx_operation_front *front)
{
    struct node_inbox *m = node_inbox_new(on_operate, ask->text == NULL ? "" : ask->text);
    m->p = front;
    m->no = ask->what;
    m->flag = ask->full;
    node_post((struct efx_node *)self, m);
}

void node_ask_message(struct efx_node *n, const char *from, enum node_kind kind,
                      struct efx_bytes body)
{
    struct efx_reader r = {body.p, body.n, false};
    uint64_t call = efx_get_u64(&r);
    if (kind == NODE_MSG_REQUEST) {
        uint8_t what = efx_get_u8(&r), full = efx_get_u8(&r);
        struct efx_bytes text = efx_get_text(&r);
        struct efx_err err = {
            .rc = EFX_AGAIN, .kind = EFX_KIND_ENV, .msg = "this node does not lead any more"};
        if (r.bad) {
            return;
        }
        struct node_operation *o = operation_new((enum efx_operation)what, call);
        (void)snprintf(o->from, sizeof o->from, "%s", from);
        struct efx_arena arena;
        efx_arena_init(&arena, &efx_mem_libc, SIZE_MAX);
        const char *z = efx_arena_str(&arena, (const char *)text.p, text.n);
        if (n->leader.leading && n->phase == NODE_RUNNING && z != NULL) {
            lead(n, o, full != 0, z);
        } else {
            answer(n, o, &err);
            efx_mem_libc.free(&efx_mem_libc, o, sizeof *o);
        }
        efx_arena_fini(&arena);
    } else if (kind == NODE_MSG_RESULT) {
        struct efx_err err = {.kind = EFX_KIND_ENV};
        err.rc = (enum efx_rc)(int32_t)efx_get_u32(&r);
        err.code = (uint16_t)efx_get_u32(&r);
        struct efx_bytes msg = efx_get_text(&r);
        if (!r.bad) {
            (void)snprintf(err.msg, sizeof err.msg, "%.*s", (int)msg.n, (const char *)msg.p);
            finish(n, is_call, call, &err);
        }
    }
}

/* ---- leaving (C17) ---- */

/* Asks whoever leads, again after a change of epoch or leader, until barrier.timeout is over. The
 * answer to a drain is the record without this node (node.c). */
struct node_leaving {
    struct efx_operation_front front;
    struct efx_node *node;
    struct efx_task again;
    uint64_t until_ns;
    bool asked;
    char why[EFX_ERR_MSG_BYTES]; /* what the last one said */
};

enum { LEAVE_AGAIN_MS = 50 };

static void leave_end(struct efx_node *n, const struct efx_err *why)
{
    void (*fn)(void *arg, const struct efx_err *w) = n->left;
    n->left = NULL;
    if (fn != NULL) {
        fn(n->left_arg, why);
    }
}

static void leave_later(struct node_leaving *l)
{
    struct efx_loop *loop = l->node->conf.loop;
    loop->vt->timer_set(loop, &l->again, node_now_ns(l->node) + LEAVE_AGAIN_MS * 1000000ULL);
}

static void left(struct efx_operation_front *self, const struct efx_operation_done *done,
                 const struct efx_err *why)
{
    struct node_leaving *l = (struct node_leaving *)self;
    struct efx_node *n = l->node;
    (void)done;
    l->asked = false;
    if (why->rc == EFX_OK && n->record->n_members == 1) {
        leave_end(n, why);
    } else if (why->rc != EFX_OK) {
        memcpy(l->why, why->msg, sizeof l->why);
    }
}

static void leave_ask(void *arg)
{
    struct node_leaving *l = arg;
    struct efx_node *n = l->node;
    if (n->left == NULL) {
        return;
    }
    if (node_now_ns(n) >= l->until_ns) {
        struct efx_err late = {.rc = EFX_EIO, .kind = EFX_KIND_ENV};
        (void)snprintf(late.msg, sizeof late.msg, "not in barrier.timeout%s%.150s",
                       l->why[0] != '\0' ? ": " : "", l->why);
        leave_end(n, &late);
        return;
    }
    if (!l->asked && n->phase == NODE_RUNNING) {
        bool last = n->record->n_members == 1;
        struct node_operation *o = operation_new(last ? EFX_OP_CHECKPOINT : EFX_OP_DRAIN,
                                                 n->conf.loop->vt->random(n->conf.loop));
        o->front = &l->front;
        l->asked = true;
        request(n, o, false, last ? "" : n->me.name);
    }
    leave_later(l);
}

void efx_node_leave(struct efx_node *n, void (*done)(void *arg, const struct efx_err *why),
                    void *arg)
{
    struct efx_err ok = {.rc = EFX_OK};
    if ((n->phase != NODE_RUNNING && n->phase != NODE_LOADING) || n->store == NULL || n->leaving) {
        done(arg, &ok);
        return;
    }
    n->leaving = true;
    n->left = done;
    n->left_arg = arg;
    struct node_leaving *l = EFX_NEW(&n->arena, struct node_leaving);
    EFX_ASSERT(l != NULL);
    *l = (struct node_leaving){.front = {left}, .node = n, .again = {.fn = leave_ask, .arg = l}};
    l->until_ns = node_now_ns(n) + (uint64_t)n->conf.barrier_timeout_ms * 1000000;
    n->leave = l;
    node_calls_ack(n, true); /* says `moving` */
    leave_ask(l);
}

/* Before the node is destroyed. */
void node_ask_fini(struct efx_node *n)
{
    if (n->leave != NULL) {
        n->conf.loop->vt->cancel(n->conf.loop, &n->leave->again);
    }
}
