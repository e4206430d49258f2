#include "peers.h"

#include "efx_payload.h"

#include <stdio.h>

enum {
    PROTOCOL = 1,
    /* u64 number on its way (0: has none), u64 greatest had of the other way, u64 that way */
    HEAD_BYTES = 24,
    RETRY_NS = 50 * 1000 * 1000,
    FRAME_BYTES_MAX = 32 * 1024 * 1024, /* between nodes (runtime.md §4) */
    ACK_EVERY = 64 * 1024,              /* bytes taken without a word of ours */
};

struct waiting { /* a message until the peer has it */
    struct waiting *next;
    uint64_t no;
    enum node_kind kind;
    size_t n;
    uint8_t bytes[]; /* head and body */
};

struct outbound { /* the way to a peer */
    struct outbound *next;
    struct node_peers *of;
    char name[EFX_MEMBER_BYTES_MAX];
    char address[256];
    struct efx_link *link;
    bool open; /* it has welcomed us */
    bool gone, keep;
    uint64_t
        way; /* random: numbers count on it; a peer that was left and is set again has another */
    uint64_t no; /* of the last message */
    struct waiting *first, *last, *unsent;
    struct efx_task retry;
};

struct inbound { /* the way from a peer; kept while the process lives, links come and go */
    struct inbound *next;
    char name[EFX_MEMBER_BYTES_MAX];
    struct efx_link *link;
    uint64_t way, last; /* the sender's way, and what came on it */
    uint64_t heard_ns;
    uint32_t unacked;
};

struct door { /* an accepted link whose first message has not come, or that has brought a hello */
    struct door *next;
    struct node_peers *of;
    struct efx_link *link;
    struct inbound *in;
};

struct question {
    struct node_peers *of;
    struct efx_link *link;
};

struct node_peers {
    struct node_peers_conf conf;
    struct outbound *outs;
    struct inbound *ins;
    struct door *doors;
    struct question question;
    struct efx_payload *payload;
};

static const char *const names[NODE_MSG_KINDS] = {
    "",       "hello",   "welcome", "refuse", "ask",    "tell", "beat",   "part",    "packet",
    "report", "verdict", "record",  "resume", "wanted", "rows", "answer", "request", "result"};

static enum efx_msg_type type_of(enum node_kind kind)
{
    switch (kind) {
    case NODE_MSG_BEAT: return EFX_MSG_HEARTBEAT;
    case NODE_MSG_PART:
    case NODE_MSG_PACKET:
    case NODE_MSG_ROWS: return EFX_MSG_EVENT;
    case NODE_MSG_REPORT:
    case NODE_MSG_VERDICT: return EFX_MSG_CHECKPOINT;
    case NODE_MSG_ANSWER:
    case NODE_MSG_REQUEST:
    case NODE_MSG_RESULT: return EFX_MSG_QUERY;
    case NODE_MSG_HELLO:
    case NODE_MSG_WELCOME:
    case NODE_MSG_REFUSE:
    case NODE_MSG_ASK:
    case NODE_MSG_TELL:
    case NODE_MSG_RECORD:
    case NODE_MSG_RESUME:
    case NODE_MSG_WANTED:
    case NODE_MSG_KINDS: break;
    }
    return EFX_MSG_CONTROL;
}

static enum node_kind kind_of(const struct efx_msg *msg)
{
    for (uint32_t k = 1; k < NODE_MSG_KINDS; k++) {
        if (strlen(names[k]) == msg->id.n && memcmp(names[k], msg->id.p, msg->id.n) == 0) {
            return (enum node_kind)k;
        }
    }
    return NODE_MSG_KINDS;
}

static struct efx_bytes text_of(const char *s)
{
    return (struct efx_bytes){(const uint8_t *)s, strlen(s)};
}

static enum efx_rc raw_send(struct efx_link *link, enum node_kind kind, struct efx_bytes payload)
{
    struct efx_msg msg = {.id = text_of(names[kind]), .payload = payload, .type = type_of(kind)};
    return link->of->vt->send(link, &msg);
}

/* A message of the channel: checked at the other end. */
static enum efx_rc packed_send(struct node_peers *p, struct efx_link *link, enum node_kind kind,
                               struct efx_bytes payload)
{
    struct efx_payload_packed packed;
    efx_payload_pack(p->payload, payload, &packed);
    struct efx_msg msg = {.id = text_of(names[kind]),
                          .payload = packed.payload,
                          .n_headers = packed.n_headers,
                          .headers = packed.headers,
                          .type = type_of(kind)};
    return link->of->vt->send(link, &msg);
}

static uint64_t now_ns(const struct node_peers *p)
{
    return p->conf.loop->vt->now_ns(p->conf.loop);
}

/* ---- incoming ---- */

static struct inbound *inbound_of(struct node_peers *p, const char *name, bool make)
{
    struct inbound *in = p->ins;
    while (in != NULL && strcmp(in->name, name) != 0) {
        in = in->next;
    }
    if (in == NULL && make) {
        in = p->conf.mem->alloc(p->conf.mem, sizeof *in);
        EFX_ASSERT(in != NULL);
        memset(in, 0, sizeof *in);
        (void)snprintf(in->name, sizeof in->name, "%s", name);
        in->next = p->ins;
        p->ins = in;
    }
    return in;
}

static struct outbound *outbound_of(const struct node_peers *p, const char *name)
{
    struct outbound *o = p->outs;
    while (o != NULL && strcmp(o->name, name) != 0) {
        o = o->next;
    }
    return o;
}

static void has_had(struct node_peers *p, struct outbound *o, uint64_t no)
{
    while (o->first != NULL && o->first->no <= no) {
        struct waiting *w = o->first;
        o->first = w->next;
        o->last = o->first == NULL ? NULL : o->last;
        o->unsent = o->unsent == w ? o->first : o->unsent;
        p->conf.mem->free(p->conf.mem, w, sizeof *w + w->n);
    }
}

static void refuse(struct door *d, const char *why)
{
    (void)raw_send(d->link, NODE_MSG_REFUSE, text_of(why));
    d->of->conf.refused(d->of->conf.arg, why);
}

/* Who is it, and what has it sent that came? */
static bool hello(struct door *d, struct efx_bytes body)
{
    struct node_peers *p = d->of;
    struct efx_reader r = {body.p, body.n, false};
    struct efx_bytes from = efx_get_text(&r), to = efx_get_text(&r), cluster = efx_get_text(&r);
    uint32_t least = efx_get_u32(&r), most = efx_get_u32(&r);
    uint64_t way = efx_get_u64(&r);
    char name[EFX_MEMBER_BYTES_MAX];
    if (r.bad || from.n >= sizeof name || from.n == 0) {
        return false;
    }
    (void)snprintf(name, sizeof name, "%.*s", (int)from.n, (const char *)from.p);
    if (cluster.n != strlen(p->conf.cluster) ||
        memcmp(cluster.p, p->conf.cluster, cluster.n) != 0) {
        refuse(d, "another cluster");
        return true;
    }
    if (least > PROTOCOL || most < PROTOCOL) {
        refuse(d, "no protocol in common");
        return true;
    }
    if (to.n != strlen(p->conf.name) || memcmp(to.p, p->conf.name, to.n) != 0) {
        (void)raw_send(d->link, NODE_MSG_REFUSE, text_of("another incarnation"));
        return true;
    }
    if (p->conf.certified && !d->link->of->vt->peer_is_member(d->link)) {
        refuse(d, "no certificate of peer_ca");
        return true;
    }
    d->link->of->vt->limits(d->link, FRAME_BYTES_MAX, 0);
    d->in = inbound_of(p, name, true);
    if (d->in->way != way) { /* it had left us, or we come back to it: numbers begin anew */
        d->in->way = way;
        d->in->last = 0;
    }
    d->in->link = d->link;
    d->in->heard_ns = now_ns(p);
    uint8_t last[8];
    memcpy(last, &d->in->last, sizeof last);
    return raw_send(d->link, NODE_MSG_WELCOME, (struct efx_bytes){last, sizeof last}) == EFX_OK;
}

/* One that has nothing of its own to say still tells what it has had. */
static void acknowledge(struct node_peers *p, struct inbound *in, uint32_t n_bytes)
{
    in->unacked += n_bytes;
    if (in->unacked >= ACK_EVERY) {
        in->unacked = 0;
        node_peers_send(p, in->name, NODE_MSG_BEAT, (struct efx_bytes){0});
    }
}

static bool take(struct door *d, enum node_kind kind, struct efx_bytes payload)
{
    struct node_peers *p = d->of;
    struct efx_reader r = {payload.p, payload.n, false};
    uint64_t no = efx_get_u64(&r), had = efx_get_u64(&r), way = efx_get_u64(&r);
    struct inbound *in = d->in;
    if (r.bad || in == NULL) {
        return false;
    }
    struct outbound *o = outbound_of(p, in->name);
    in->heard_ns = now_ns(p);
    if (o != NULL && o->way == way) {
        has_had(p, o, had);
    }
    if (no != 0 && no <= in->last) {
        return true; /* came over the link before */
    }
    if (no != 0 && no != in->last + 1) {
        return false;
    }
    in->last = no != 0 ? no : in->last;
    acknowledge(p, in, (uint32_t)payload.n);
    struct efx_bytes body = {r.p, r.left};
    if (kind != NODE_MSG_BEAT || body.n > 0) {
        p->conf.message(p->conf.arg, in->name, kind, body);
    }
    return true;
}

static void door_close(struct door *d)
{
    struct node_peers *p = d->of;
    struct door **at = &p->doors;
    while (*at != d) {
        at = &(*at)->next;
    }
    *at = d->next;
    if (d->in != NULL && d->in->link == d->link) {
        d->in->link = NULL;
    }
    p->conf.mem->free(p->conf.mem, d, sizeof *d);
}

static void door_message(void *arg, struct efx_link *link, const struct efx_msg *msg)
{
    struct door *d = arg;
    enum node_kind kind = kind_of(msg);
    bool ok = false;
    if (kind == NODE_MSG_ASK) {
        struct efx_buf answer;
        efx_buf_init(&answer, d->of->conf.mem);
        d->of->conf.tell(d->of->conf.arg, &answer);
        ok = raw_send(link, NODE_MSG_TELL, efx_buf_bytes(&answer)) == EFX_OK;
        efx_buf_fini(&answer);
    } else if (kind == NODE_MSG_HELLO) {
        ok = hello(d, msg->payload);
    } else if (kind < NODE_MSG_KINDS) {
        struct efx_bytes payload;
        ok = efx_payload_unpack(d->of->payload, msg, FRAME_BYTES_MAX * 2, &payload) == EFX_OK &&
             take(d, kind, payload);
    }
    if (!ok) {
        link->of->vt->close(link, false);
        door_close(d);
    }
}

static void door_down(void *arg, struct efx_link *link, enum efx_rc why)
{
    (void)link;
    (void)why;
    door_close(arg);
}

static void nothing(void *arg, struct efx_link *link)
{
    (void)arg;
    (void)link;
}

static const struct efx_link_user door_user = {nothing, door_message, nothing, door_down};

static void accepted(void *arg, struct efx_link *link)
{
    struct node_peers *p = arg;
    struct door *d = p->conf.mem->alloc(p->conf.mem, sizeof *d);
    EFX_ASSERT(d != NULL);
    *d = (struct door){.next = p->doors, .of = p, .link = link};
    p->doors = d;
    link->of->vt->use(link, &door_user, d);
}

/* ---- outgoing ---- */

static void put_head(uint8_t *to, uint64_t no, const struct inbound *in)
{
    memcpy(to, &no, 8);
    memcpy(to + 8, &in->last, 8);
    memcpy(to + 16, &in->way, 8);
}

static void send_waiting(struct outbound *o)
{
    struct node_peers *p = o->of;
    struct inbound *in = inbound_of(p, o->name, true);
    while (o->open && o->unsent != NULL) {
        struct waiting *w = o->unsent;
        put_head(w->bytes, w->no, in);
        enum efx_rc rc = packed_send(p, o->link, w->kind, (struct efx_bytes){w->bytes, w->n});
        if (rc == EFX_ELIMIT) {
            p->conf.refused(p->conf.arg, "a message is longer than a frame between nodes");
        }
        if (rc != EFX_OK) { /* EFX_AGAIN: room comes; broken: down comes */
            return;
        }
        in->unacked = 0;
        o->unsent = w->next;
    }
}

static void connect_to(struct outbound *o);

static void retry(void *arg)
{
    connect_to(arg);
}

static void retry_later(struct outbound *o)
{
    struct node_peers *p = o->of;
    uint64_t jitter = p->conf.loop->vt->random(p->conf.loop) % RETRY_NS;
    p->conf.loop->vt->timer_set(p->conf.loop, &o->retry, now_ns(p) + RETRY_NS / 2 + jitter);
}

static void out_up(void *arg, struct efx_link *link)
{
    struct outbound *o = arg;
    const struct node_peers *p = o->of;
    struct efx_buf b;
    efx_buf_init(&b, p->conf.mem);
    efx_buf_text(&b, p->conf.name, strlen(p->conf.name));
    efx_buf_text(&b, o->name, strlen(o->name));
    efx_buf_text(&b, p->conf.cluster, strlen(p->conf.cluster));
    efx_buf_u32(&b, PROTOCOL);
    efx_buf_u32(&b, PROTOCOL);
    efx_buf_u64(&b, o->way);
    (void)raw_send(link, NODE_MSG_HELLO, efx_buf_bytes(&b));
    efx_buf_fini(&b);
}

static void is_gone(struct outbound *o)
{
    if (!o->gone) {
        o->gone = true;
        o->of->conf.gone(o->of->conf.arg, o->name);
    }
}

static void out_message(void *arg, struct efx_link *link, const struct efx_msg *msg)
{
    struct outbound *o = arg;
    struct efx_reader r = {msg->payload.p, msg->payload.n, false};
    (void)link;
    if (kind_of(msg) == NODE_MSG_WELCOME) {
        uint64_t last = efx_get_u64(&r);
        has_had(o->of, o, last);
        o->unsent = o->first;
        o->open = true;
        send_waiting(o);
    } else if (kind_of(msg) == NODE_MSG_REFUSE) {
        struct efx_bytes other = text_of("another incarnation");
        if (msg->payload.n == other.n && memcmp(msg->payload.p, other.p, other.n) == 0) {
            is_gone(o);
        } else {
            char why[64];
            (void)snprintf(why, sizeof why, "%.*s", (int)msg->payload.n,
                           (const char *)msg->payload.p);
            o->of->conf.refused(o->of->conf.arg, why);
        }
    }
}

static void out_room(void *arg, struct efx_link *link)
{
    (void)link;
    send_waiting(arg);
}

static void out_down(void *arg, struct efx_link *link, enum efx_rc why)
{
    struct outbound *o = arg;
    bool was_open = o->open;
    (void)link;
    o->link = NULL;
    o->open = false;
    o->unsent = NULL;
    if (why == EFX_EABSENT) {
        is_gone(o);
    }
    if (was_open) {
        connect_to(o); /* refused now: its process is gone (C10) */
    } else {
        retry_later(o);
    }
}

static const struct efx_link_user out_user = {out_up, out_message, out_room, out_down};

static void connect_to(struct outbound *o)
{
    struct efx_transport *t = o->of->conf.transport;
    if (o->link == NULL && !o->gone &&
        t->vt->connect(t, o->address, &out_user, o, &o->link, NULL) != EFX_OK) {
        o->link = NULL;
        retry_later(o);
    } else if (o->link != NULL) {
        t->vt->limits(o->link, FRAME_BYTES_MAX, 0);
    }
}

static void outbound_free(struct outbound *o)
{
    struct node_peers *p = o->of;
    p->conf.loop->vt->timer_clear(p->conf.loop, &o->retry);
    if (o->link != NULL) {
        o->link->of->vt->close(o->link, true);
    }
    has_had(p, o, UINT64_MAX);
    p->conf.mem->free(p->conf.mem, o, sizeof *o);
}

void node_peers_set(struct node_peers *p, const struct node_peer_at *peers, uint32_t n)
{
    for (struct outbound *o = p->outs; o != NULL; o = o->next) {
        o->keep = false;
    }
    for (uint32_t i = 0; i < n; i++) {
        struct outbound *o = outbound_of(p, peers[i].name);
        if (o == NULL) {
            o = p->conf.mem->alloc(p->conf.mem, sizeof *o);
            EFX_ASSERT(o != NULL);
            *o = (struct outbound){.next = p->outs, .of = p, .retry = {.fn = retry, .arg = o}};
            o->way = p->conf.loop->vt->random(p->conf.loop) | 1;
            (void)snprintf(o->name, sizeof o->name, "%s", peers[i].name);
            (void)snprintf(o->address, sizeof o->address, "%s", peers[i].address);
            p->outs = o;
            connect_to(o);
        }
        o->keep = true;
    }
    for (struct outbound **at = &p->outs; *at != NULL;) {
        struct outbound *o = *at;
        if (o->keep) {
            at = &o->next;
            continue;
        }
        *at = o->next;
        outbound_free(o);
    }
}

void node_peers_send(struct node_peers *p, const char *to, enum node_kind kind,
                     struct efx_bytes body)
{
    struct outbound *o = outbound_of(p, to);
    if (o == NULL || (kind == NODE_MSG_BEAT && !o->open)) {
        return;
    }
    struct waiting *w = p->conf.mem->alloc(p->conf.mem, sizeof *w + HEAD_BYTES + body.n);
    EFX_ASSERT(w != NULL);
    *w = (struct waiting){.kind = kind, .n = HEAD_BYTES + body.n};
    if (body.n > 0) {
        memcpy(w->bytes + HEAD_BYTES, body.p, body.n);
    }
    if (kind == NODE_MSG_BEAT) {
        struct inbound *in = inbound_of(p, o->name, true);
        put_head(w->bytes, 0, in);
        (void)packed_send(p, o->link, kind, (struct efx_bytes){w->bytes, w->n});
        p->conf.mem->free(p->conf.mem, w, sizeof *w + w->n);
        return;
    }
    w->no = ++o->no;
    if (o->last != NULL) {
        o->last->next = w;
    } else {
        o->first = w;
    }
    o->last = w;
    if (o->unsent == NULL) {
        o->unsent = w;
    }
    send_waiting(o);
}

void node_peers_send_all(struct node_peers *p, enum node_kind kind, struct efx_bytes body)
{
    for (struct outbound *o = p->outs; o != NULL; o = o->next) {
        node_peers_send(p, o->name, kind, body);
    }
}

uint64_t node_peers_heard_ns(const struct node_peers *p, const char *name)
{
    const struct inbound *in = p->ins;
    while (in != NULL && strcmp(in->name, name) != 0) {
        in = in->next;
    }
    return in == NULL ? 0 : in->heard_ns;
}

bool node_peers_is_gone(const struct node_peers *p, const char *name)
{
    const struct outbound *o = outbound_of(p, name);
    return o != NULL && o->gone;
}

/* ---- a seed ---- */

static void ask_up(void *arg, struct efx_link *link)
{
    (void)arg;
    (void)raw_send(link, NODE_MSG_ASK, (struct efx_bytes){0});
}

static void ask_message(void *arg, struct efx_link *link, const struct efx_msg *msg)
{
    struct question *q = arg;
    bool tells = kind_of(msg) == NODE_MSG_TELL;
    struct node_peers *p = q->of;
    q->link = NULL;
    p->conf.told(p->conf.arg, tells ? EFX_OK : EFX_EPARSE, msg->payload);
    link->of->vt->close(link, false);
}

static void ask_down(void *arg, struct efx_link *link, enum efx_rc why)
{
    struct question *q = arg;
    (void)link;
    q->link = NULL;
    q->of->conf.told(q->of->conf.arg, why == EFX_DONE ? EFX_EIO : why, (struct efx_bytes){0});
}

static const struct efx_link_user ask_user = {ask_up, ask_message, nothing, ask_down};

void node_peers_ask(struct node_peers *p, const char *address)
{
    struct efx_transport *t = p->conf.transport;
    p->question.of = p;
    enum efx_rc rc = t->vt->connect(t, address, &ask_user, &p->question, &p->question.link, NULL);
    if (rc != EFX_OK) {
        p->question.link = NULL;
        p->conf.told(p->conf.arg, rc, (struct efx_bytes){0});
    }
}

/* ---- opening ---- */

enum efx_rc node_peers_create(const struct node_peers_conf *conf, struct node_peers **out)
{
    struct node_peers *p = conf->mem->alloc(conf->mem, sizeof *p);
    if (p == NULL) {
        return EFX_ENOMEM;
    }
    *p = (struct node_peers){.conf = *conf};
    *out = p;
    return efx_payload_create(conf->mem, conf->compress_bytes, &p->payload);
}

enum efx_rc node_peers_listen(struct node_peers *p, const char *address, struct efx_err *err)
{
    return p->conf.transport->vt->listen(p->conf.transport, address, accepted, p, err);
}

void node_peers_destroy(struct node_peers **p_of)
{
    struct node_peers *p = *p_of;
    if (p == NULL) {
        return;
    }
    node_peers_set(p, NULL, 0);
    if (p->question.link != NULL) {
        p->question.link->of->vt->close(p->question.link, false);
    }
    while (p->doors != NULL) {
        struct door *d = p->doors;
        d->link->of->vt->close(d->link, false);
        door_close(d);
    }
    while (p->ins != NULL) {
        struct inbound *in = p->ins;
        p->ins = in->next;
        p->conf.mem->free(p->conf.mem, in, sizeof *in);
    }
    efx_payload_destroy(&p->payload);
    p->conf.mem->free(p->conf.mem, p, sizeof *p);
    *p_of = NULL;
}
