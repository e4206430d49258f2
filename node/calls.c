/* Submit (C16, C24): calls of clients at this node, and what ticks make of them.
 *
 *   door: open ──► OPEN item ──► tick: session table ──► opened(next_seq)
 *   door: rows ──► queue ──► ROWS item ──► tick: repeats dropped, taken ──► ack(accepted)
 *                                           mark ──► manifest stands ──► ack(committed)
 *
 * A rewind takes the session table back to the checkpoint: every call opens its session anew and is
 * told resend_from; what comes before that row comes is dropped. A hand-over takes nothing back.
 *
 *   Limits  builders: who has no room in a part waits with what he has, the door finds no builder
 */
#include "node.h"

static struct efx_submit *call_of(struct efx_node *n, uint64_t call)
{
    struct efx_submit *c = n->submits;
    while (c != NULL && c->call != call) {
        c = c->next;
    }
    return c;
}

static struct efx_bytes session_of(const struct efx_submit *c)
{
    return (struct efx_bytes){(const uint8_t *)c->how.session, strlen(c->how.session)};
}

static uint32_t rows_of(const struct efx_builder *b)
{
    return b->n_turns - b->n_clocks;
}

/* ---- ending ---- */

static void drop_queue(struct efx_node *n, struct efx_submit *c)
{
    while (c->first != NULL) {
        struct node_queued *q = c->first;
        c->first = q->next;
        node_builder_back(n, &q->b);
        efx_mem_libc.free(&efx_mem_libc, q, sizeof *q);
    }
    c->last = NULL;
}

/* The front is not touched any more; the call itself goes when its door has closed it. */
static void end_call(struct efx_node *n, struct efx_submit *c, enum efx_rc rc, const char *why)
{
    if (c->ended) {
        return;
    }
    struct efx_err err = {.rc = rc, .kind = rc == EFX_OK ? 0 : EFX_KIND_ENV};
    (void)snprintf(err.msg, sizeof err.msg, "%s", why);
    c->ended = true;
    drop_queue(n, c);
    if (c->numbered && c->asked_open) {
        struct node_item item = {
            .kind = NODE_ITEM_CLOSE, .session = session_of(c), .call = c->call};
        (void)node_item_add(n, &item);
    }
    c->front->ended(c->front, &err);
}

static void sweep(struct efx_node *n)
{
    for (struct efx_submit **at = &n->submits; *at != NULL;) {
        struct efx_submit *c = *at;
        if (c->ended) {
            *at = c->next;
            efx_mem_libc.free(&efx_mem_libc, c, sizeof *c);
        } else {
            at = &c->next;
        }
    }
}

void node_calls_end(struct efx_node *n, const struct efx_err *why)
{
    for (struct efx_submit *c = n->submits; c != NULL; c = c->next) {
        end_call(n, c, why->rc == EFX_OK ? EFX_AGAIN : why->rc, why->msg);
    }
    sweep(n);
}

/* ---- acknowledgements ---- */

static void tell(struct efx_node *n, struct efx_submit *c, uint64_t resend_from)
{
    struct efx_ack a = {.accepted = c->taken,
                        .committed = c->committed,
                        .repeats = c->repeats,
                        .resend_from = resend_from,
                        .moving = n->leaving};
    c->ack_due = false;
    c->front->ack(c->front, &a);
}

static bool is_done(const struct efx_submit *c)
{
    uint64_t last = c->numbered ? c->next_seq - 1 : c->next_seq;
    uint64_t level = c->how.level == EFX_LEVEL_COMMITTED && c->numbered ? c->committed : c->taken;
    return c->half_closed && c->first == NULL && c->opened && !c->resend && level >= last;
}

void node_calls_ack(struct efx_node *n, bool all)
{
    if (node_is_fenced(n)) {
        return; /* C12: says nothing */
    }
    for (struct efx_submit *c = n->submits; c != NULL; c = c->next) {
        if (c->ended || !c->told_open) {
            continue;
        }
        if (c->ack_due || all) {
            tell(n, c, 0);
        }
        if (is_done(c)) {
            end_call(n, c, EFX_OK, "");
        }
    }
    sweep(n);
}

/* ---- what ticks say ---- */

static void opened(struct efx_node *n, struct efx_submit *c, const struct node_session *s,
                   bool known)
{
    struct efx_opened o = {.next_seq = s->next_seq, .known = known, .epoch = n->record->epoch};
    (void)snprintf(o.node, sizeof o.node, "%s", n->conf.id);
    struct efx_ack so_far = {.accepted = s->next_seq - 1, .committed = c->committed};
    c->opened = true;
    c->next_seq = s->next_seq;
    c->taken = s->next_seq - 1;
    if (c->told_open) { /* after a rewind: the client goes back to where the session stands */
        tell(n, c, s->next_seq);
        return;
    }
    c->told_open = true;
    c->front->opened(c->front, &o, &so_far);
}

static void tick_open(struct efx_node *n, uint32_t member, const struct node_item *item,
                      int64_t wall_ms)
{
    struct node_session_open how = {item->session, item->call, item->opening, wall_ms};
    struct node_session *s;
    bool known;
    enum efx_rc rc = node_sessions_open(&n->sessions, &how, &s, &known);
    struct efx_submit *own = member == n->self ? call_of(n, item->call) : NULL;
    if (rc == EFX_OK) {
        for (struct efx_submit *c = n->submits; c != NULL; c = c->next) {
            struct efx_bytes name = session_of(c);
            if (c != own && c->numbered && c->asked_open && name.n == item->session.n &&
                memcmp(name.p, item->session.p, name.n) == 0) {
                end_call(n, c, EFX_ESTALE, "the session was opened anew elsewhere");
            }
        }
    }
    if (own == NULL || own->ended) {
        return;
    }
    if (rc == EFX_OK) {
        opened(n, own, s, known);
    } else {
        end_call(n, own, rc,
                 rc == EFX_ESTALE ? "a newer opening of the session has it"
                                  : "too many sessions (session.max)");
    }
}

static void tick_rows(struct efx_node *n, uint32_t member, const struct node_item *item,
                      int64_t wall_ms, uint32_t *skip)
{
    struct efx_submit *own = member == n->self ? call_of(n, item->call) : NULL;
    enum efx_rc rc = EFX_OK;
    if (item->session.n > 0) {
        rc = node_sessions_rows(&n->sessions, item->session, item->call, item->first_seq,
                                item->n_turns, wall_ms, skip);
        n->n_repeats += rc == EFX_OK ? *skip : 0;
        *skip = rc == EFX_OK ? *skip : item->n_turns;
    }
    if (own == NULL || own->ended) {
        return;
    }
    if (rc != EFX_OK) {
        end_call(n, own, EFX_ESTALE, "the session was opened anew elsewhere");
        return;
    }
    own->repeats += *skip;
    own->taken += item->n_turns - *skip;
    own->ack_due = true;
}

void node_calls_tick(struct efx_node *n, uint32_t member, const struct node_item *item,
                     int64_t wall_ms, uint32_t *skip)
{
    switch (item->kind) {
    case NODE_ITEM_OPEN: tick_open(n, member, item, wall_ms); break;
    case NODE_ITEM_ROWS: tick_rows(n, member, item, wall_ms, skip); break;
    case NODE_ITEM_CLOSE: node_sessions_close(&n->sessions, item->session, item->call); break;
    case NODE_ITEM_QUERY:
    case NODE_ITEM_DRAIN:
    case NODE_ITEM_FINISH: break;
    }
}

/* The session need not be open, and whoever has it open goes on behind the question's number. */
enum efx_rc node_calls_question(struct efx_node *n, const struct node_item *item, int64_t wall_ms,
                                uint64_t *next_seq)
{
    enum efx_rc rc =
        node_sessions_ask(&n->sessions, item->session, item->first_seq, wall_ms, next_seq);
    for (struct efx_submit *c = n->submits; rc == EFX_OK && c != NULL; c = c->next) {
        struct efx_bytes name = session_of(c);
        if (c->numbered && c->opened && !c->ended && name.n == item->session.n &&
            memcmp(name.p, item->session.p, name.n) == 0) {
            c->taken = *next_seq - 1;
            c->next_seq = c->next_seq < *next_seq ? *next_seq : c->next_seq;
            c->ack_due = true;
        }
    }
    return rc;
}

void node_calls_mark(struct efx_node *n, uint64_t no)
{
    for (struct efx_submit *c = n->submits; c != NULL; c = c->next) {
        c->marks[0] = no;
        c->marks[1] = c->numbered && c->opened ? c->taken : c->committed;
    }
}

/* C6, C9: nothing is told before the manifest is known to stand. */
void node_calls_verdict(struct efx_node *n, uint64_t no, bool stands)
{
    for (struct efx_submit *c = n->submits; c != NULL; c = c->next) {
        if (stands && c->marks[0] == no && c->marks[1] > c->committed) {
            c->committed = c->marks[1];
            c->ack_due = true;
        }
    }
    node_calls_ack(n, false);
}

void node_calls_loaded(struct efx_node *n, bool rewind)
{
    for (struct efx_submit *c = n->submits; rewind && c != NULL; c = c->next) {
        if (!c->numbered && c->taken + (c->first != NULL) > 0) {
            end_call(n, c, EFX_AGAIN, "the cluster went back; rows without a session are lost");
            continue;
        }
        drop_queue(n, c);
        c->asked_open = false;
        c->resend = c->numbered && c->told_open;
        c->opened = c->opened && !c->numbered;
    }
    sweep(n);
}

/* ---- into the next part ---- */

static bool put_builder(struct efx_node *n, struct efx_submit *c)
{
    struct node_queued *q = c->first;
    struct efx_buf bytes;
    if (!node_part_has_room(n, (size_t)q->b->n_turns * 64, q->b->n_turns)) {
        return false;
    }
    efx_buf_init(&bytes, &efx_mem_libc);
    efx_builder_put(&bytes, q->b, 0);
    EFX_ASSERT(!bytes.bad);
    struct node_item item = {.kind = NODE_ITEM_ROWS,
                             .session = session_of(c),
                             .call = c->call,
                             .first_seq = q->first_seq,
                             .n_turns = rows_of(q->b),
                             .bytes = efx_buf_bytes(&bytes)};
    (void)node_item_add(n, &item);
    efx_buf_fini(&bytes);
    c->first = q->next;
    c->last = c->first == NULL ? NULL : c->last;
    node_builder_back(n, &q->b);
    efx_mem_libc.free(&efx_mem_libc, q, sizeof *q);
    return true;
}

void node_calls_pump(struct efx_node *n)
{
    if (n->phase != NODE_RUNNING || n->ticks.stopped != 0) {
        return;
    }
    for (struct efx_submit *c = n->submits; c != NULL; c = c->next) {
        if (c->numbered && !c->asked_open && !c->ended) {
            struct node_item item = {.kind = NODE_ITEM_OPEN,
                                     .session = session_of(c),
                                     .call = c->call,
                                     .opening = c->how.opening};
            c->asked_open = node_item_add(n, &item);
        }
        while (c->opened && c->first != NULL && put_builder(n, c)) {
        }
    }
}

/* ---- what doors say; on the loop ---- */

/* True: the rows are to be taken. */
static bool row_number_fits(struct efx_node *n, struct efx_submit *c, uint64_t first_seq,
                            const struct efx_builder *b)
{
    uint64_t end = first_seq + rows_of(b);
    if (!c->numbered) {
        c->next_seq += rows_of(b);
        return true;
    }
    if (c->resend && (first_seq > c->next_seq || (end <= c->next_seq && rows_of(b) > 0))) {
        return false; /* sent before it was told */
    }
    if (c->resend && !c->opened) {
        return false;
    }
    c->resend = false;
    if (first_seq > c->next_seq || first_seq == 0) {
        char why[96];
        (void)snprintf(why, sizeof why, "row %llu, expected %llu", (unsigned long long)first_seq,
                       (unsigned long long)c->next_seq);
        end_call(n, c, EFX_DONE, why);
        return false;
    }
    c->next_seq = end > c->next_seq ? end : c->next_seq;
    return true;
}

static void on_rows(struct efx_node *n, struct node_inbox *m)
{
    struct efx_submit *c = call_of(n, m->no);
    struct efx_builder *b = m->q;
    uint64_t first_seq = *(const uint64_t *)m->p;
    efx_mem_libc.free(&efx_mem_libc, m->p, sizeof first_seq);
    if (c == NULL || c->ended || !row_number_fits(n, c, first_seq, b)) {
        node_builder_back(n, &b);
        sweep(n);
        return;
    }
    struct node_queued *q = efx_mem_libc.alloc(&efx_mem_libc, sizeof *q);
    EFX_ASSERT(q != NULL);
    *q = (struct node_queued){.b = b, .first_seq = first_seq};
    if (c->last != NULL) {
        c->last->next = q;
    } else {
        c->first = q;
    }
    c->last = q;
    node_tick_pump(n);
}

void node_submit_rows(struct efx_service *self, struct efx_submit *s, uint64_t first_seq,
                      struct efx_builder **b, bool unit_end)
{
    struct efx_node *n = (struct efx_node *)self;
    struct node_inbox *m = node_inbox_new(on_rows, "");
    uint64_t *no = efx_mem_libc.alloc(&efx_mem_libc, sizeof *no);
    EFX_ASSERT(no != NULL);
    (void)unit_end;
    *no = first_seq;
    m->no = node_handle_no(s);
    m->p = no;
    m->q = *b;
    *b = NULL;
    node_post(n, m);
}

static void on_open(struct efx_node *n, struct node_inbox *m)
{
    struct efx_submit *c = m->p;
    c->next = n->submits;
    n->submits = c;
    if (n->phase == NODE_ENDED || n->leaving) {
        end_call(n, c, EFX_AGAIN, "this node leaves");
        sweep(n);
        return;
    }
    if (c->how.hash.n > 0 &&
        (n->record == NULL || c->how.hash.n != sizeof n->record->hash ||
         memcmp(c->how.hash.p, n->record->hash, sizeof n->record->hash) != 0)) {
        end_call(n, c, EFX_EDATA, "another app runs here");
        sweep(n);
        return;
    }
    c->how.hash = (struct efx_bytes){0};
    if (!c->numbered) {
        struct efx_opened o = {.known = true, .epoch = n->record == NULL ? 0 : n->record->epoch};
        struct efx_ack so_far = {0};
        (void)snprintf(o.node, sizeof o.node, "%s", n->conf.id);
        c->opened = c->told_open = true;
        c->front->opened(c->front, &o, &so_far);
    }
    node_tick_pump(n);
}

void node_submit_open(struct efx_service *self, const struct efx_submit_open *how,
                      struct efx_submit_front *front, struct efx_submit **out)
{
    struct efx_node *n = (struct efx_node *)self;
    struct efx_submit *c = efx_mem_libc.alloc(&efx_mem_libc, sizeof *c);
    EFX_ASSERT(c != NULL);
    memset(c, 0, sizeof *c);
    c->node = n;
    c->front = front;
    c->how = *how;
    c->numbered = how->session[0] != '\0';
    c->call = n->conf.loop->vt->random(n->conf.loop) | 1;
    *out = node_handle(c->call);
    struct node_inbox *m = node_inbox_new(on_open, "");
    m->p = c;
    node_post(n, m);
}

static void on_ask(struct efx_node *n, struct node_inbox *m)
{
    struct efx_submit *c = call_of(n, m->no);
    if (c == NULL || c->ended) {
        return;
    }
    c->ack_due = true;
    if (m->flag) {
        struct node_item item = {.kind = NODE_ITEM_DRAIN};
        (void)node_item_add(n, &item);
    }
    node_calls_ack(n, false);
    node_tick_pump(n);
}

void node_submit_ask(struct efx_service *self, struct efx_submit *s, bool drain)
{
    struct node_inbox *m = node_inbox_new(on_ask, "");
    m->no = node_handle_no(s);
    m->flag = drain;
    node_post((struct efx_node *)self, m);
}

static void on_close(struct efx_node *n, struct node_inbox *m)
{
    struct efx_submit *c = call_of(n, m->no);
    if (c == NULL || c->ended) {
        return;
    }
    if (m->flag) {
        c->half_closed = true;
        c->ack_due = true;
        node_calls_ack(n, false);
    } else {
        end_call(n, c, EFX_DONE, "closed");
        sweep(n);
    }
    node_tick_pump(n);
}

void node_submit_close(struct efx_service *self, struct efx_submit *s, bool graceful)
{
    struct node_inbox *m = node_inbox_new(on_close, "");
    m->no = node_handle_no(s);
    m->flag = graceful;
    node_post((struct efx_node *)self, m);
}
