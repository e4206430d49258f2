/* Links of the simulation. An end has an inbox: what the other end sent, each item with the time at
 * which it comes; one task of the member delivers the front. Everything that happens to a link
 * comes that way, also that it was accepted and that it is gone, so order within a link holds by
 * itself.
 *
 *   end a ──send──► [due 3, message] [due 7, message] [due 9, gone: EFX_DONE] ──deliver──► end b
 *
 *   * an item is one block: its headers' views, then all bytes; it is handed out as it lies
 *   * a sender counts what lies in the other inbox (`queued`)
 *   * an inbox whose way is cut is not delivered; heal arms it again
 *   * ends of a killed member stay for its owner to close, without `other` and without tasks
 */
#include "efx_frame.h"
#include "sim.h"

#include <stdio.h>

enum { BATCH = 4096, STALL_ONE_IN = 200, STALL_TIMES = 20 };
enum { RETRY_NS = 200000000 };

enum item_kind { ITEM_ACCEPTED = 1, ITEM_MESSAGE, ITEM_GONE };

struct item {
    struct item *next;
    uint64_t due_ns;
    size_t block_bytes, queue_bytes;
    enum item_kind kind;
    enum efx_rc why;
    struct efx_msg msg;
    struct efx_msg_header headers[];
};

struct end {
    struct efx_link base;
    struct end *next, **place; /* in its transport */
    struct end *other;
    const struct efx_link_user *user;
    void *arg;
    struct efx_task deliver, room, breaker;
    struct item *first, *last;
    uint64_t delay_ns, last_due_ns, connect_by_ns;
    size_t queued_bytes, queue_bytes_max, frame_bytes_max;
    uint32_t peer_member;
    uint32_t in_call; /* callbacks of its user that run now */
    bool up, wants_room, closed, held;
    char peer[EFX_SIM_NAME_BYTES];
};

struct efx_sim_net {
    struct efx_transport base;
    struct efx_sim_member *m;
    struct efx_sim_net *next; /* of the member */
    struct end *ends;
    void (*accepted)(void *arg, struct efx_link *link);
    void *accepted_arg;
    struct efx_transport_counts counts;
    bool detached;                    /* its member was killed */
    char address[EFX_SIM_NAME_BYTES]; /* empty: does not listen */
};

static struct efx_sim_net *net_of(const struct end *e)
{
    return (struct efx_sim_net *)e->base.of;
}

static struct efx_sim *sim_of(const struct end *e)
{
    return net_of(e)->m->sim;
}

/* ---- ends and items ---- */

static uint32_t class_of(size_t bytes)
{
    uint32_t k = 0;
    while (k < EFX_SIM_CLASSES && (size_t)EFX_SIM_BLOCK_BYTES << k < bytes) {
        k++;
    }
    return k;
}

static void item_free(struct efx_sim *sim, struct item *it)
{
    uint32_t k = class_of(it->block_bytes);
    if (k < EFX_SIM_CLASSES && sim->spare_bytes + it->block_bytes <= EFX_SIM_KEPT_BYTES) {
        it->next = sim->spare_items[k];
        sim->spare_items[k] = it;
        sim->spare_bytes += it->block_bytes;
    } else {
        sim->o.mem->free(sim->o.mem, it, it->block_bytes);
    }
}

static struct item *item_new(struct efx_sim *sim, enum item_kind kind, size_t more_bytes)
{
    size_t bytes = sizeof(struct item) + more_bytes;
    uint32_t k = class_of(bytes);
    struct item *it = k < EFX_SIM_CLASSES ? sim->spare_items[k] : NULL;
    if (it != NULL) {
        sim->spare_items[k] = it->next;
        sim->spare_bytes -= it->block_bytes;
        bytes = it->block_bytes;
    } else {
        bytes = k < EFX_SIM_CLASSES ? (size_t)EFX_SIM_BLOCK_BYTES << k : bytes;
        it = sim->o.mem->alloc(sim->o.mem, bytes);
    }
    if (it != NULL) {
        *it = (struct item){.kind = kind, .block_bytes = bytes};
    }
    return it;
}

void efx_sim__net_fini(struct efx_sim *sim)
{
    for (uint32_t k = 0; k < EFX_SIM_CLASSES; k++) {
        while (sim->spare_items[k] != NULL) {
            struct item *it = sim->spare_items[k];
            sim->spare_items[k] = it->next;
            sim->o.mem->free(sim->o.mem, it, it->block_bytes);
        }
    }
}

/* What lies in an inbox no longer waits for its sender. */
static void uncount(struct end *to, const struct item *it)
{
    struct end *from = to->other;
    if (from == NULL || it->queue_bytes == 0) {
        return;
    }
    from->queued_bytes -= it->queue_bytes;
    if (from->wants_room && from->queued_bytes <= from->queue_bytes_max / 2) {
        from->wants_room = false;
        net_of(from)->base.loop->vt->post(net_of(from)->base.loop, &from->room);
    }
}

static void drop_inbox(struct end *e)
{
    while (e->first != NULL) {
        struct item *it = e->first;
        e->first = it->next;
        uncount(e, it);
        item_free(sim_of(e), it);
    }
    e->last = NULL;
}

/* Waits for the callbacks that run. */
static void end_free(struct end *e)
{
    struct efx_sim *sim = sim_of(e);
    if (e->in_call > 0) {
        return;
    }
    *e->place = e->next;
    if (e->next != NULL) {
        e->next->place = e->place;
    }
    sim->o.mem->free(sim->o.mem, e, sizeof *e);
}

/* Its user hears no more of it. */
static void end_close(struct end *e)
{
    struct efx_loop *loop = net_of(e)->base.loop;
    if (e->closed) {
        return;
    }
    e->closed = true;
    net_of(e)->counts.links--;
    drop_inbox(e);
    loop->vt->cancel(loop, &e->deliver);
    loop->vt->cancel(loop, &e->room);
    loop->vt->cancel(loop, &e->breaker);
    if (e->other != NULL) {
        e->other->other = NULL;
        e->other = NULL;
    }
    end_free(e);
}

static void end_down(struct end *e, enum efx_rc why)
{
    net_of(e)->counts.broken += why == EFX_EIO;
    net_of(e)->counts.too_long += why == EFX_ELIMIT;
    if (e->user != NULL) {
        e->in_call++;
        e->user->down(e->arg, &e->base, why);
        e->in_call--;
        EFX_ASSERT(!e->closed);
    }
    end_close(e);
}

static uint64_t delay_of(struct end *e)
{
    struct efx_sim *sim = sim_of(e);
    if (sim->o.real_time) {
        return 0;
    }
    uint64_t z = efx_sim__random(&sim->net_random);
    uint64_t ns = e->delay_ns / 2 + z % e->delay_ns;
    return (z >> 40) % STALL_ONE_IN == 0 ? ns * STALL_TIMES : ns;
}

static bool is_cut(const struct end *to)
{
    return sim_of(to)->cut[to->peer_member][net_of(to)->m->index];
}

static void arm(struct end *e)
{
    struct efx_sim_member *m = net_of(e)->m;
    if (e->first == NULL || e->closed || e->held || m->dead || is_cut(e)) {
        return;
    }
    if (m->sim->o.real_time) {
        m->loop.vt->post(&m->loop, &e->deliver);
    } else if (e->deliver.place == 0) {
        efx_sim__at(m, &e->deliver, e->first->due_ns);
    }
}

static void push(struct end *to, struct item *it)
{
    struct efx_sim *sim = sim_of(to);
    uint64_t due_ns = sim->o.real_time ? 0 : sim->now_ns + delay_of(to);
    it->due_ns = due_ns > to->last_due_ns ? due_ns : to->last_due_ns;
    to->last_due_ns = it->due_ns;
    it->next = NULL;
    if (to->first == NULL) {
        to->first = it;
    } else {
        to->last->next = it;
    }
    to->last = it;
    arm(to);
}

static void push_word(struct end *to, enum item_kind kind, enum efx_rc why)
{
    struct item *it = item_new(sim_of(to), kind, 0);
    if (it == NULL) {
        efx_panic(__FILE__, __LINE__, "no memory for the end of a link");
    }
    it->why = why;
    push(to, it);
}

/* A process that ends, or a link that is broken: some of what was on its way still comes. */
static void lose_some(struct end *to)
{
    struct efx_sim *sim = sim_of(to);
    uint64_t n = 0;
    for (struct item *it = to->first; it != NULL; it = it->next) {
        n++;
    }
    if (n == 0 || sim->o.real_time) {
        return;
    }
    uint64_t keep = efx_sim__random(&sim->net_random) % (n + 1);
    struct item **place = &to->first;
    to->last = NULL;
    for (; keep > 0; keep--) {
        to->last = *place;
        place = &(*place)->next;
    }
    struct item *rest = *place;
    *place = NULL;
    while (rest != NULL) {
        struct item *it = rest;
        rest = it->next;
        uncount(to, it);
        item_free(sim, it);
    }
    if (to->first == NULL) {
        efx_tasks__clear(&net_of(to)->m->tasks, &to->deliver);
    }
}

/* Parts e from the other end, which hears of it behind what is still on its way. */
static void part(struct end *e, bool in_order)
{
    struct end *other = e->other;
    if (other == NULL) {
        return;
    }
    if (!in_order) {
        lose_some(other);
    }
    e->other = NULL;
    other->other = NULL;
    push_word(other, ITEM_GONE, in_order ? EFX_DONE : EFX_EIO);
}

/* ---- tasks of an end ---- */

static void deliver_message(struct end *e, struct item *it)
{
    struct efx_sim_net *net = net_of(e);
    if (it->queue_bytes > e->frame_bytes_max) {
        part(e, false);
        end_down(e, EFX_ELIMIT);
        return;
    }
    net->counts.messages_in++;
    net->counts.bytes_in += it->queue_bytes;
    e->user->message(e->arg, &e->base, &it->msg);
}

static void accept_end(struct end *e)
{
    struct efx_sim_net *net = net_of(e);
    net->counts.accepted++;
    net->accepted(net->accepted_arg, &e->base);
    if (e->user == NULL && !e->closed) { /* nobody wants it */
        part(e, false);
        end_close(e);
    }
}

static void take_front(struct end *e)
{
    struct item *it = e->first;
    e->first = it->next;
    e->last = e->first == NULL ? NULL : e->last;
    uncount(e, it);
    switch (it->kind) {
    case ITEM_ACCEPTED: accept_end(e); break;
    case ITEM_MESSAGE: deliver_message(e, it); break;
    case ITEM_GONE: end_down(e, it->why); break;
    }
    item_free(sim_of(e), it);
}

static void deliver(void *arg)
{
    struct end *e = arg;
    uint32_t n = sim_of(e)->o.real_time ? BATCH : 1;
    e->in_call++;
    while (n-- > 0 && e->first != NULL && !e->closed && !e->held && !is_cut(e) &&
           !net_of(e)->m->dead) {
        take_front(e);
    }
    e->in_call--;
    if (e->closed) {
        end_free(e);
    } else {
        arm(e);
    }
}

static void give_room(void *arg)
{
    struct end *e = arg;
    if (e->up && e->other != NULL && e->user != NULL) {
        e->in_call++;
        e->user->room(e->arg, &e->base);
        e->in_call--;
        if (e->closed) {
            end_free(e);
        }
    }
}

static void break_end(void *arg)
{
    struct end *e = arg;
    part(e, false);
    end_down(e, EFX_EIO);
}

static struct end *end_new(struct efx_sim_net *net)
{
    struct efx_sim *sim = net->m->sim;
    struct end *e = sim->o.mem->alloc(sim->o.mem, sizeof *e);
    if (e == NULL) {
        return NULL;
    }
    *e = (struct end){.base = {&net->base}, .next = net->ends, .place = &net->ends};
    e->deliver = (struct efx_task){.fn = deliver, .arg = e};
    e->room = (struct efx_task){.fn = give_room, .arg = e};
    e->breaker = (struct efx_task){.fn = break_end, .arg = e};
    e->queue_bytes_max = sim->o.queue_bytes_max;
    e->frame_bytes_max = sim->o.frame_bytes_max;
    e->peer_member = UINT32_MAX;
    e->delay_ns = sim->o.delay_min_ns + efx_sim__random(&sim->net_random) %
                                            (sim->o.delay_max_ns - sim->o.delay_min_ns + 1);
    if (net->ends != NULL) {
        net->ends->place = &e->next;
    }
    net->ends = e;
    net->counts.links++;
    return e;
}

/* ---- connecting ---- */

static struct efx_sim_net *listener(struct efx_sim *sim, const char *address)
{
    for (uint32_t i = 0; i < sim->o.n_members; i++) {
        for (struct efx_sim_net *n = sim->members[i].nets; n != NULL; n = n->next) {
            if (!n->detached && strcmp(n->address, address) == 0) {
                return n;
            }
        }
    }
    return NULL;
}

static struct efx_sim_name *name_of(struct efx_sim *sim, const char *address)
{
    for (uint32_t i = 0; i < sim->n_names; i++) {
        if (strcmp(sim->names[i].address, address) == 0) {
            return &sim->names[i];
        }
    }
    return NULL;
}

/* No answer comes over a way that is cut, not even that nobody is there. */
static bool hears_nothing(const struct end *e)
{
    struct efx_sim *sim = sim_of(e);
    const struct efx_sim_name *name = name_of(sim, e->peer);
    uint32_t me = net_of(e)->m->index;
    return name != NULL && (sim->cut[me][name->member] || sim->cut[name->member][me]);
}

static void connected(struct end *e, struct efx_sim_net *there)
{
    struct end *other = end_new(there);
    if (other == NULL) {
        end_down(e, EFX_EIO);
        return;
    }
    (void)snprintf(other->peer, sizeof other->peer, "sim:member %u", net_of(e)->m->index);
    other->peer_member = net_of(e)->m->index;
    e->peer_member = there->m->index;
    other->up = e->up = true;
    other->other = e;
    e->other = other;
    e->deliver.fn = deliver;
    push_word(other, ITEM_ACCEPTED, EFX_OK);
    net_of(e)->counts.connected++;
    e->in_call++;
    e->user->up(e->arg, &e->base);
    e->in_call--;
    if (e->closed) {
        end_free(e);
    }
}

/* The `deliver` task of an end that is not up yet. A member that is paused still accepts: its
 * kernel does. */
static void try_connect(void *arg)
{
    struct end *e = arg;
    struct efx_sim *sim = sim_of(e);
    struct efx_sim_net *there = listener(sim, e->peer);
    uint64_t now_ns = efx_sim_now_ns(sim);
    if (hears_nothing(e)) {
        if (now_ns >= e->connect_by_ns) {
            net_of(e)->counts.timed_out++;
            end_down(e, EFX_EIO);
        } else {
            uint64_t at_ns = now_ns + RETRY_NS;
            efx_sim__at(net_of(e)->m, &e->deliver,
                        at_ns < e->connect_by_ns ? at_ns : e->connect_by_ns);
        }
    } else if (there == NULL) {
        end_down(e, EFX_EABSENT);
    } else if (there->counts.links >= sim->o.links_max) {
        there->counts.refused++;
        end_down(e, EFX_EIO);
    } else {
        connected(e, there);
    }
}

/* ---- the contract ---- */

static struct efx_sim_net *net_self(struct efx_transport *self)
{
    return (struct efx_sim_net *)self;
}

static enum efx_rc check_address(const char *address, struct efx_err *err)
{
    if (strncmp(address, "sim:", 4) != 0 || address[4] == 0 ||
        strlen(address) >= EFX_SIM_NAME_BYTES) {
        return EFX_FAIL(err, EFX_EPARSE, EFX_KIND_USER, 0, "'%s' is no address of a simulation",
                        address);
    }
    return EFX_OK;
}

static enum efx_rc net_listen(struct efx_transport *self, const char *address,
                              void (*accepted)(void *arg, struct efx_link *link), void *arg,
                              struct efx_err *err)
{
    struct efx_sim_net *net = net_self(self);
    struct efx_sim *sim = net->m->sim;
    EFX_ASSERT(net->address[0] == 0);
    EFX_RET(check_address(address, err));
    if (listener(sim, address) != NULL) {
        return EFX_FAIL(err, EFX_EIO, EFX_KIND_ENV, 0, "somebody listens on %s", address);
    }
    struct efx_sim_name *name = name_of(sim, address);
    if (name == NULL) {
        if (sim->n_names == EFX_SIM_NAMES_MAX) {
            return EFX_FAIL(err, EFX_ELIMIT, EFX_KIND_ENV, 0, "a simulation knows %d addresses",
                            EFX_SIM_NAMES_MAX);
        }
        name = &sim->names[sim->n_names++];
        memcpy(name->address, address, strlen(address) + 1);
    }
    name->member = net->m->index;
    memcpy(net->address, address, strlen(address) + 1);
    net->accepted = accepted;
    net->accepted_arg = arg;
    return EFX_OK;
}

static const char *net_address(const struct efx_transport *self)
{
    return ((const struct efx_sim_net *)self)->address;
}

static enum efx_rc net_connect(struct efx_transport *self, const char *address,
                               const struct efx_link_user *user, void *arg, struct efx_link **out,
                               struct efx_err *err)
{
    struct efx_sim_net *net = net_self(self);
    struct efx_sim *sim = net->m->sim;
    EFX_RET(check_address(address, err));
    if (net->counts.links >= sim->o.links_max) {
        return EFX_FAIL(err, EFX_ELIMIT, EFX_KIND_ENV, 0, "%u links are open, no more may be",
                        net->counts.links);
    }
    struct end *e = end_new(net);
    if (e == NULL) {
        return EFX_FAIL(err, EFX_ENOMEM, EFX_KIND_ENV, 0, "no memory for a link to %s", address);
    }
    e->user = user;
    e->arg = arg;
    e->deliver.fn = try_connect;
    e->connect_by_ns = efx_sim_now_ns(sim) + sim->o.connect_ns;
    memcpy(e->peer, address, strlen(address) + 1);
    efx_sim__at(net->m, &e->deliver, efx_sim_now_ns(sim) + delay_of(e));
    *out = &e->base;
    return EFX_OK;
}

static void net_use(struct efx_link *link, const struct efx_link_user *user, void *arg)
{
    struct end *e = (struct end *)link;
    e->user = user;
    e->arg = arg;
}

static uint8_t *copy(uint8_t *to, struct efx_bytes *b)
{
    if (b->n != 0) {
        memcpy(to, b->p, b->n);
    }
    b->p = to;
    return to + b->n;
}

static struct item *message_item(struct efx_sim *sim, const struct efx_msg *msg, size_t n_bytes)
{
    size_t views = msg->n_headers * sizeof *msg->headers;
    struct item *it = item_new(sim, ITEM_MESSAGE, views + n_bytes);
    if (it == NULL) {
        return NULL;
    }
    uint8_t *to = (uint8_t *)(it->headers + msg->n_headers);
    it->queue_bytes = n_bytes;
    it->msg = *msg;
    it->msg.headers = it->headers;
    to = copy(to, &it->msg.id);
    for (uint32_t i = 0; i < msg->n_headers; i++) {
        it->headers[i] = msg->headers[i];
        to = copy(to, &it->headers[i].key);
        to = copy(to, &it->headers[i].value);
    }
    (void)copy(to, &it->msg.payload);
    return it;
}

static enum efx_rc net_send(struct efx_link *link, const struct efx_msg *msg)
{
    struct end *e = (struct end *)link;
    size_t n = efx_frame_bytes(msg);
    EFX_RET(efx_frame_check(msg));
    if (net_of(e)->m->dead || (e->up && e->other == NULL)) {
        return EFX_EIO;
    }
    if (n > e->frame_bytes_max) {
        return EFX_ELIMIT;
    }
    if (!e->up) {
        return EFX_AGAIN;
    }
    if (e->queued_bytes > 0 && e->queued_bytes + n > e->queue_bytes_max) {
        e->wants_room = true;
        return EFX_AGAIN;
    }
    struct item *it = message_item(sim_of(e), msg, n);
    if (it == NULL) {
        return EFX_ENOMEM;
    }
    e->queued_bytes += n;
    net_of(e)->counts.messages_out++;
    net_of(e)->counts.bytes_out += n;
    push(e->other, it);
    return EFX_OK;
}

static void net_limits(struct efx_link *link, size_t frame_bytes_max, size_t queue_bytes_max)
{
    struct end *e = (struct end *)link;
    e->frame_bytes_max = frame_bytes_max != 0 ? frame_bytes_max : e->frame_bytes_max;
    e->queue_bytes_max = queue_bytes_max != 0 ? queue_bytes_max : e->queue_bytes_max;
}

static void net_hold(struct efx_link *link, bool held)
{
    struct end *e = (struct end *)link;
    e->held = held;
    arm(e);
}

static void net_close(struct efx_link *link, bool in_order)
{
    struct end *e = (struct end *)link;
    part(e, in_order);
    end_close(e);
}

static const char *net_peer(const struct efx_link *link)
{
    return ((const struct end *)link)->peer;
}

static struct efx_bytes net_peer_names(const struct efx_link *link)
{
    (void)link;
    return (struct efx_bytes){NULL, 0};
}

static bool net_peer_is_member(const struct efx_link *link)
{
    (void)link;
    return false;
}

static void net_counts(const struct efx_transport *self, struct efx_transport_counts *out)
{
    *out = ((const struct efx_sim_net *)self)->counts;
}

static void net_destroy(struct efx_transport **self)
{
    if (*self == NULL) {
        return;
    }
    struct efx_sim_net *net = net_self(*self);
    struct efx_mem *mem = net->m->sim->o.mem;
    while (net->ends != NULL) {
        struct end *e = net->ends;
        EFX_ASSERT(e->in_call == 0);
        net_close(&e->base, false);
    }
    struct efx_sim_net **place = &net->m->nets;
    while (*place != net) {
        place = &(*place)->next;
    }
    *place = net->next;
    mem->free(mem, net, sizeof *net);
    *self = NULL;
}

static const struct efx_transport_vt net_vt = {
    .listen = net_listen,
    .address = net_address,
    .connect = net_connect,
    .use = net_use,
    .send = net_send,
    .limits = net_limits,
    .hold = net_hold,
    .close = net_close,
    .peer = net_peer,
    .peer_names = net_peer_names,
    .peer_is_member = net_peer_is_member,
    .counts = net_counts,
    .destroy = net_destroy,
};

enum efx_rc efx_sim_transport(struct efx_sim *sim, uint32_t member, struct efx_transport **out)
{
    EFX_ASSERT(member < sim->o.n_members);
    struct efx_sim_member *m = &sim->members[member];
    struct efx_sim_net *net = sim->o.mem->alloc(sim->o.mem, sizeof *net);
    if (net == NULL) {
        return EFX_ENOMEM;
    }
    *net = (struct efx_sim_net){.base = {&net_vt, &m->loop}, .m = m, .next = m->nets};
    net->detached = m->dead;
    m->nets = net;
    *out = &net->base;
    return EFX_OK;
}

/* ---- faults ---- */

void efx_sim__net_kill(struct efx_sim_member *m)
{
    for (struct efx_sim_net *n = m->nets; n != NULL; n = n->next) {
        n->detached = true;
        for (struct end *e = n->ends; e != NULL; e = e->next) {
            part(e, false);
            drop_inbox(e);
        }
    }
}

/* The next end of a that leads to b, in any of its transports. */
static struct end *next_between(struct efx_sim_member *a, struct efx_sim_member *b, struct end *e)
{
    struct efx_sim_net *n = e == NULL ? a->nets : net_of(e);
    e = e == NULL ? (n == NULL ? NULL : n->ends) : e->next;
    for (;;) {
        for (; e != NULL; e = e->next) {
            if (e->up && !e->closed && e->peer_member == b->index) {
                return e;
            }
        }
        n = n == NULL ? NULL : n->next;
        if (n == NULL) {
            return NULL;
        }
        e = n->ends;
    }
}

static void break_later(struct efx_sim_member *a, struct efx_sim_member *b, uint64_t after_ns)
{
    struct efx_sim *sim = a->sim;
    for (struct end *e = next_between(a, b, NULL); e != NULL; e = next_between(a, b, e)) {
        uint64_t ns = after_ns / 2 + efx_sim__random(&sim->net_random) % (after_ns / 2 + 1);
        efx_sim__at(a, &e->breaker, efx_sim_now_ns(sim) + ns);
    }
}

void efx_sim__net_cut(struct efx_sim_member *a, struct efx_sim_member *b, uint64_t break_after_ns)
{
    if (break_after_ns != 0) {
        break_later(a, b, break_after_ns);
        break_later(b, a, break_after_ns);
    }
}

static void heal_ends(struct efx_sim_member *a, struct efx_sim_member *b)
{
    struct efx_sim *sim = a->sim;
    for (struct end *e = next_between(a, b, NULL); e != NULL; e = next_between(a, b, e)) {
        efx_tasks__clear(&a->tasks, &e->breaker);
        if (e->first != NULL && !sim->o.real_time) {
            e->first->due_ns = sim->now_ns + delay_of(e);
        }
        arm(e);
    }
}

void efx_sim__net_heal(struct efx_sim_member *a, struct efx_sim_member *b)
{
    heal_ends(a, b);
    heal_ends(b, a);
}

void efx_sim__net_break(struct efx_sim_member *a, struct efx_sim_member *b)
{
    for (struct end *e = next_between(a, b, NULL); e != NULL; e = next_between(a, b, e)) {
        part(e, false);
        lose_some(e);
        push_word(e, ITEM_GONE, EFX_EIO);
    }
}
