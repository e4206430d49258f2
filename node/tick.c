/* Ticks (C3): every member brings a part, nobody closes part t + 1 before it has all parts of t.
 *
 *   closed t │ … waits … │ all parts of t: complete ─► sessions, engine │ close t + 1 …
 *                 └ meanwhile the input of t + 1 gathers
 *
 * A part is closed when there is something to say, when another member has closed its own, or when
 * a timer of the system clock is due here; so an idle cluster is silent and a busy one makes few
 * large ticks. Behind a tick whose mark says STOP nothing is closed until a new channel epoch, or
 * until the leader takes it back (C17).
 *
 *   Limits  NODE_BACKLOG ticks in the engine: then the next part waits, and with it all members
 */
#include "node.h"

static struct node_tick_part *part_of(struct efx_node *n, uint64_t tick, uint32_t member)
{
    return &n->ticks.parts[tick % NODE_WAITING_PARTS][member];
}

static void part_free(struct node_tick_part *p)
{
    efx_mem_libc.free(&efx_mem_libc, p->bytes, p->n_bytes);
    *p = (struct node_tick_part){0};
}

static void *bytes_copy(struct efx_bytes b)
{
    void *p = efx_mem_libc.alloc(&efx_mem_libc, b.n);
    EFX_ASSERT(p != NULL);
    return memcpy(p, b.p, b.n);
}

/* ---- what gathers ---- */

bool node_part_has_room(const struct efx_node *n, size_t bytes, uint32_t turns)
{
    const struct node_ticks *t = &n->ticks;
    return t->n_items == 0 ||
           (t->items.n + bytes <= NODE_PART_BYTES && t->n_turns + turns <= NODE_PART_TURNS);
}

bool node_item_add(struct efx_node *n, const struct node_item *item)
{
    if (n->phase != NODE_RUNNING) {
        return false;
    }
    if (n->ticks.items.mem == NULL) {
        efx_buf_init(&n->ticks.items, &efx_mem_libc);
    }
    node_item_put(&n->ticks.items, item);
    EFX_ASSERT(!n->ticks.items.bad);
    n->ticks.n_items++;
    n->ticks.n_turns += item->n_turns;
    return true;
}

/* ---- closing ---- */

static bool timer_is_due(struct efx_node *n)
{
    int64_t due_ms = n->engine == NULL ? EFX_NEVER_MS : node_engine_due_ms(n->engine);
    const struct node_app *app = n->app;
    return due_ms != EFX_NEVER_MS && app != NULL && !efx_lib_is_virtual(app->efx) &&
           due_ms <= n->conf.loop->vt->wall_ms(n->conf.loop);
}

static bool others_wait(struct efx_node *n)
{
    for (uint32_t i = 0; i < n->record->n_members; i++) {
        if (part_of(n, n->ticks.next, i)->bytes != NULL) {
            return true;
        }
    }
    return false;
}

static bool may_close(struct efx_node *n)
{
    const struct node_ticks *t = &n->ticks;
    return n->phase == NODE_RUNNING && t->closed + 1 == t->next && t->stopped == 0 &&
           !node_is_fenced(n) && node_engine_backlog(n->engine) < NODE_BACKLOG;
}

static void close_part(struct efx_node *n)
{
    struct node_ticks *t = &n->ticks;
    struct node_part_head head = {.channel = n->record->channel,
                                  .epoch = n->record->epoch,
                                  .tick = t->next,
                                  .wall_ms = n->conf.loop->vt->wall_ms(n->conf.loop),
                                  .mark = t->mark,
                                  .flags = t->flags,
                                  .n_items = t->n_items};
    struct efx_buf b;
    efx_buf_init(&b, &efx_mem_libc);
    node_part_head_put(&b, &head);
    efx_buf_put(&b, t->items.p, t->items.n);
    EFX_ASSERT(!b.bad);
    node_peers_send_all(n->peers, NODE_MSG_PART, efx_buf_bytes(&b));
    struct node_tick_part *own = part_of(n, t->next, n->self);
    *own = (struct node_tick_part){
        .bytes = bytes_copy(efx_buf_bytes(&b)), .n_bytes = b.n, .head = head};
    efx_buf_fini(&b);
    t->closed = t->next;
    t->mark = 0;
    t->flags = 0;
    t->n_items = t->n_turns = 0;
    efx_buf_clear(&t->items);
}

/* ---- completing ---- */

static bool is_complete(struct efx_node *n)
{
    for (uint32_t i = 0; i < n->record->n_members; i++) {
        if (part_of(n, n->ticks.next, i)->bytes == NULL) {
            return false;
        }
    }
    return n->ticks.closed == n->ticks.next;
}

/* C4: only a header with the greatest epoch of the tick's headers may mark. */
static const struct node_part_head *mark_of(const struct node_tick_job *job)
{
    const struct node_part_head *mark = NULL;
    uint64_t greatest = 0;
    for (uint32_t i = 0; i < job->n_parts; i++) {
        const struct node_part_head *h = &job->parts[i].head;
        greatest = h->epoch > greatest ? h->epoch : greatest;
        mark = h->mark != 0 && (mark == NULL || h->epoch > mark->epoch) ? h : mark;
    }
    return mark != NULL && mark->epoch == greatest ? mark : NULL;
}

static void *grown(void *v, uint32_t n, size_t item_bytes)
{
    void *p = efx_mem_grow(&efx_mem_libc, v, n * item_bytes, (n + 1) * item_bytes);
    EFX_ASSERT(p != NULL);
    return p;
}

static void take_item(struct efx_node *n, struct node_tick_job *job, uint32_t member,
                      const struct node_item *item)
{
    uint32_t skip = 0;
    switch (item->kind) {
    case NODE_ITEM_ROWS:
        node_calls_tick(n, member, item, job->wall_ms, &skip);
        n->rows_in += item->n_turns - skip;
        if (skip < item->n_turns || item->n_turns == 0) { /* a move of the clock alone */
            job->rows = grown(job->rows, job->n_rows, sizeof *job->rows);
            job->rows[job->n_rows++] = (struct node_tick_rows){member, skip, item->bytes};
        }
        break;
    case NODE_ITEM_OPEN:
    case NODE_ITEM_CLOSE: node_calls_tick(n, member, item, job->wall_ms, &skip); break;
    case NODE_ITEM_QUERY:
        if (!node_question_tick(n, member, item, job->wall_ms)) {
            break;
        }
        job->questions = grown(job->questions, job->n_questions, sizeof *job->questions);
        job->questions[job->n_questions++] =
            (struct node_question){member, item->call, item->bytes};
        break;
    case NODE_ITEM_DRAIN: job->drain = true; break;
    case NODE_ITEM_FINISH:
        job->finish = true;
        job->drain_ms = item->drain_ms;
        break;
    }
}

static void take_part(struct efx_node *n, struct node_tick_job *job, uint32_t member)
{
    struct efx_reader r = {job->parts[member].bytes, job->parts[member].n_bytes, false};
    struct node_part_head head;
    (void)node_part_head_get(&r, &head);
    for (uint32_t i = 0; i < head.n_items && !r.bad; i++) {
        struct node_item item;
        if (node_item_get(&r, &item)) {
            take_item(n, job, member, &item);
        }
    }
}

static void complete(struct efx_node *n)
{
    struct node_ticks *t = &n->ticks;
    struct node_tick_job *job = efx_mem_libc.alloc(&efx_mem_libc, sizeof *job);
    EFX_ASSERT(job != NULL);
    memset(job, 0, sizeof *job);
    job->tick = t->next;
    job->n_parts = n->record->n_members;
    job->parts = efx_mem_libc.alloc(&efx_mem_libc, job->n_parts * sizeof *job->parts);
    EFX_ASSERT(job->parts != NULL);
    job->wall_ms = INT64_MIN;
    for (uint32_t i = 0; i < job->n_parts; i++) {
        job->parts[i] = *part_of(n, t->next, i);
        *part_of(n, t->next, i) = (struct node_tick_part){0};
        int64_t wall_ms = job->parts[i].head.wall_ms;
        job->wall_ms = wall_ms > job->wall_ms ? wall_ms : job->wall_ms;
    }
    for (uint32_t i = 0; i < job->n_parts; i++) {
        take_part(n, job, i);
    }
    const struct node_part_head *mark = mark_of(job);
    if (mark != NULL) {
        job->mark = mark->mark;
        job->base = (mark->flags & NODE_FLAG_BASE) != 0;
        node_sessions_forget_idle(&n->sessions, job->wall_ms - n->conf.session_idle_ms);
        efx_buf_init(&job->sessions, &efx_mem_libc);
        node_sessions_put(&n->sessions, &job->sessions);
        EFX_ASSERT(!job->sessions.bad);
        node_calls_mark(n, job->mark);
        n->marked = job->mark;
        n->mark_tick = t->next;
        n->leader.used = job->mark > n->leader.used ? job->mark : n->leader.used;
        t->stopped = (mark->flags & NODE_FLAG_STOP) != 0 ? t->next : 0;
    }
    t->next++;
    node_engine_tick(n->engine, job);
}

static void timer_later(struct efx_node *n)
{
    int64_t due_ms = node_engine_due_ms(n->engine);
    int64_t wall_ms = n->conf.loop->vt->wall_ms(n->conf.loop);
    if (due_ms == EFX_NEVER_MS || n->app == NULL || efx_lib_is_virtual(n->app->efx)) {
        n->conf.loop->vt->timer_clear(n->conf.loop, &n->due_task);
        return;
    }
    uint64_t in_ns = due_ms <= wall_ms ? 1000000 : (uint64_t)(due_ms - wall_ms) * 1000000;
    n->conf.loop->vt->timer_set(n->conf.loop, &n->due_task, node_now_ns(n) + in_ns);
}

void node_tick_pump(struct efx_node *n)
{
    bool any = false;
    while (n->phase == NODE_RUNNING) {
        node_calls_pump(n);
        node_question_pump(n);
        if (may_close(n) &&
            (n->ticks.n_items > 0 || n->ticks.mark != 0 || others_wait(n) || timer_is_due(n))) {
            close_part(n);
        }
        if (!is_complete(n)) {
            break;
        }
        complete(n);
        any = true;
    }
    if (any) {
        node_calls_ack(n, false);
    }
    if (n->phase == NODE_RUNNING) {
        timer_later(n);
    }
}

/* ---- parts of others ---- */

void node_early_add(struct efx_node *n, const char *from, enum node_kind kind,
                    struct efx_bytes body)
{
    struct node_early *e = efx_mem_libc.alloc(&efx_mem_libc, sizeof *e + body.n);
    EFX_ASSERT(e != NULL);
    *e = (struct node_early){.kind = kind, .n = body.n};
    memcpy(e->from, from, strlen(from) + 1);
    memcpy(e->bytes, body.p, body.n);
    if (n->early_last != NULL) {
        n->early_last->next = e;
    } else {
        n->early = e;
    }
    n->early_last = e;
}

void node_part_came(struct efx_node *n, const char *from, struct efx_bytes body)
{
    struct efx_reader r = {body.p, body.n, false};
    struct node_part_head head;
    if (!node_part_head_get(&r, &head)) {
        return;
    }
    uint64_t channel = n->record == NULL ? 0 : n->record->channel;
    bool loads = n->phase == NODE_LOADING && head.channel == channel;
    if (head.channel > channel || loads) { /* it is further than we are */
        node_early_add(n, from, NODE_MSG_PART, body);
        return;
    }
    uint32_t member = n->record == NULL ? EFX_MEMBERS_MAX : node_record_find(n->record, from);
    if (head.channel < channel || member == EFX_MEMBERS_MAX || n->phase != NODE_RUNNING ||
        head.tick < n->ticks.next || head.tick >= n->ticks.next + NODE_WAITING_PARTS) {
        return; /* C23: of an epoch that has ended */
    }
    struct node_tick_part *p = part_of(n, head.tick, member);
    if (p->bytes == NULL) {
        *p = (struct node_tick_part){.bytes = bytes_copy(body), .n_bytes = body.n, .head = head};
    }
    node_tick_pump(n);
}

/* ---- epochs ---- */

/* The engine has loaded: tick 1 is next, and what others have sent meanwhile is looked at. */
void node_ticks_begin(struct efx_node *n)
{
    struct node_early *list = n->early;
    n->early = n->early_last = NULL;
    n->ticks.next = 1;
    n->ticks.closed = n->ticks.stopped = n->ticks.done = 0;
    while (list != NULL) {
        struct node_early *e = list;
        list = e->next;
        uint32_t member = node_record_find(n->record, e->from);
        if (e->kind == NODE_MSG_PART) {
            node_part_came(n, e->from, (struct efx_bytes){e->bytes, e->n});
        } else if (member < EFX_MEMBERS_MAX) {
            node_watch_message(n, member, e->kind, (struct efx_bytes){e->bytes, e->n});
        }
        efx_mem_libc.free(&efx_mem_libc, e, sizeof *e + e->n);
    }
    node_tick_pump(n);
}

void node_ticks_end(struct efx_node *n)
{
    struct node_ticks *t = &n->ticks;
    for (uint32_t w = 0; w < NODE_WAITING_PARTS; w++) {
        for (uint32_t i = 0; i < EFX_MEMBERS_MAX; i++) {
            if (t->parts[w][i].bytes != NULL) {
                part_free(&t->parts[w][i]);
            }
        }
    }
    efx_buf_fini(&t->items);
    memset(t, 0, sizeof *t);
    n->conf.loop->vt->timer_clear(n->conf.loop, &n->due_task);
}

void node_resume(struct efx_node *n)
{
    n->ticks.stopped = 0;
    node_tick_pump(n);
}
