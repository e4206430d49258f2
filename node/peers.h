#ifndef PEERS_H
#define PEERS_H

#include "efx_buf.h"
#include "efx_coord.h"
#include "efx_transport.h"

/* Messages between members, in order and without loss as long as both processes live.
 *
 *   a ── link ──► b    hello(a → b) ◄─ welcome(last 41) │ 42 43 44 … each with a's ack of b's
 *   b ── link ──► a    the other way has a link of its own
 *
 * A message stays with its sender until the peer has said that it has it; when a link breaks, what
 * is missing goes over the next one (C23: packets of a channel epoch are not lost by that). A peer
 * that is not there any more, or comes back as another incarnation, is `gone` (C10).
 *
 * Every message bears the CRC-32C of its bytes, long ones may go compressed (efx_payload.h); one
 * that is damaged ends its link and comes again over the next.
 *
 *   Owner    bytes of a message are borrowed in both directions
 *   Limits   what waits for a peer is bounded by the ticks in flight of those who send
 *   Threads  the loop's
 *   Errors   a frame that is none of ours ends the link; the sender repeats
 */
enum node_kind {
    NODE_MSG_HELLO = 1,
    NODE_MSG_WELCOME,
    NODE_MSG_REFUSE,
    NODE_MSG_ASK,     /* a joiner: whose cluster is this? */
    NODE_MSG_TELL,    /* store address; u64 epoch */
    NODE_MSG_BEAT,    /* may be lost; body: u64 epoch */
    NODE_MSG_PART,    /* C3 */
    NODE_MSG_PACKET,  /* u64 channel, u32 shard, u64 step, rows */
    NODE_MSG_REPORT,  /* to the leader: u64 channel, u64 no, u32 rc, u32 n and why, report */
    NODE_MSG_VERDICT, /* of the leader: u64 channel, u64 no, u8 stands */
    NODE_MSG_RECORD,  /* of the leader: a new epoch's record */
    NODE_MSG_RESUME,  /* of the leader: u64 channel, a hand-over came to nothing */
    NODE_MSG_WANTED,  /* u64 channel, streams whose rows the sender wants */
    NODE_MSG_ROWS,    /* u64 channel, u32 stream, rows of a subscribed stream */
    NODE_MSG_ANSWER,  /* u64 channel, u64 call of a question, bytes (question.c) */
    NODE_MSG_REQUEST, /* to the leader: u64 call, what is asked for */
    NODE_MSG_RESULT,  /* of it: u64 call, bytes */
    NODE_MSG_KINDS,
};

struct node_peers_conf {
    struct efx_loop *loop;
    struct efx_transport *transport;
    struct efx_mem *mem;
    const char *cluster;
    const char *name;      /* of this member */
    bool certified;        /* members show a certificate of peer_ca */
    size_t compress_bytes; /* longer messages are compressed; 0 = none is */
    void *arg;
    void (*message)(void *arg, const char *from, enum node_kind kind, struct efx_bytes body);
    /* The process is not there any more. */
    void (*gone)(void *arg, const char *name);
    /* What ASK is answered with. */
    void (*tell)(void *arg, struct efx_buf *to);
    /* The answer of a seed; rc not EFX_OK: it did not answer. */
    void (*told)(void *arg, enum efx_rc rc, struct efx_bytes body);
    /* A member of another cluster, or a protocol that is not ours, has been refused or refuses. */
    void (*refused)(void *arg, const char *why);
};

struct node_peers;

enum efx_rc node_peers_create(const struct node_peers_conf *conf, struct node_peers **out);
void node_peers_destroy(struct node_peers **p);
enum efx_rc node_peers_listen(struct node_peers *p, const char *address, struct efx_err *err);

/* Who is to be connected; of others what waits is forgotten. */
struct node_peer_at {
    const char *name, *address;
};
void node_peers_set(struct node_peers *p, const struct node_peer_at *peers, uint32_t n);
/* Nothing if it is none of those that were set. */
void node_peers_send(struct node_peers *p, const char *to, enum node_kind kind,
                     struct efx_bytes body);
void node_peers_send_all(struct node_peers *p, enum node_kind kind, struct efx_bytes body);
/* Boot-time clock of the last sign; 0 = none since it was set. */
uint64_t node_peers_heard_ns(const struct node_peers *p, const char *name);
bool node_peers_is_gone(const struct node_peers *p, const char *name);
/* Asks an address for its cluster: told comes once. */
void node_peers_ask(struct node_peers *p, const char *address);

#endif /* PEERS_H */
