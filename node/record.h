#ifndef RECORD_H
#define RECORD_H

#include "efx_buf.h"
#include "efx_coord.h"
#include "efx_service.h"

/* The epoch's record (C1), as coord keeps it and members tell it to each other.
 *
 *   epoch     grows with every change of members, map, app or leader
 *   channel   the epoch that opened the channels in use (C23): another one means that ticks begin
 *             anew at 1 and state is loaded from `start`; a mere change of leader leaves it
 *   map       key groups in equal contiguous shares of all members' shards, in the order of members
 *
 *   Owner    texts of a decoded record live in its arena
 *   Limits   EFX_MEMBERS_MAX members, EFX_SHARDS_MAX shards of all, EFX_RECORD_MAX bytes
 *   Errors   decode: EFX_EPARSE
 */
enum { NODE_DRAINED_MAX = 16 };

struct node_member {
    char name[EFX_MEMBER_BYTES_MAX]; /* "<id>/<incarnation>" */
    char tcp[EFX_ADDRESS_BYTES_MAX], grpc[EFX_ADDRESS_BYTES_MAX], http[EFX_ADDRESS_BYTES_MAX];
    char version[32];
    uint32_t shards;
};

struct node_record {
    uint64_t epoch, channel, start;
    uint64_t after; /* the channel epoch that this one goes on from; who was in another has missed
                       a rewind */
    bool rewind;
    bool compatible; /* another text than that of `start`: what does not fit begins empty */
    uint64_t seed;   /* of uuid() */
    uint32_t clock;  /* enum efx_clock */
    uint32_t max_batch;
    bool ordered;
    char cluster[64], app[64], leader[EFX_MEMBER_BYTES_MAX];
    const char *store_url; /* NULL: none that another process could open */
    const char *sql;
    uint8_t hash[16];
    uint32_t n_drained; /* members that were asked to go: they do not come back by themselves */
    char drained[NODE_DRAINED_MAX][EFX_MEMBER_BYTES_MAX];
    uint32_t n_members;
    struct node_member members[EFX_MEMBERS_MAX];
    /* Derived. */
    uint32_t first_shard[EFX_MEMBERS_MAX + 1];
};

void node_record_put(struct efx_buf *to, const struct node_record *r);
enum efx_rc node_record_get(struct efx_bytes bytes, struct efx_arena *arena,
                            struct node_record *out) EFX_MUST_USE;
/* After members have changed; false: more shards than there may be. */
bool node_record_map(struct node_record *r);
/* Place of a member by its name; EFX_MEMBERS_MAX: is none. */
uint32_t node_record_find(const struct node_record *r, const char *name);

/* What a member's lease says of it (C11): its own line of the record and whom it hears. */
void node_member_put(struct efx_buf *to, const struct node_member *m);
bool node_member_get(struct efx_reader *r, struct node_member *out);

/* XXH3-128 of the text. */
void node_hash(const char *sql, uint8_t out[16]);

/* Copies a text into a fixed field; false: too long. */
bool node_text(char *to, size_t max, struct efx_bytes from);

#endif /* RECORD_H */
