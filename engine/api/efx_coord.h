#ifndef EFX_COORD_H
#define EFX_COORD_H

#include "efx_arena.h"
#include "efx_plugin.h"
#include "efx_world.h"

/* Who belongs to the cluster and who may decide, settled in one shared place: leases that end by
 * themselves, and one epoch that only grows, with its record. There is no other consensus.
 *
 *   member a   take ── renew ── renew ── ✗ no answer: from ends_ns on it says nothing more
 *   member b   take "leader": no … no … term 5 ── next_epoch(7 → 8, start 41, without a)
 *   record     7 {a, b, c} ─────────────────────────► 8 {b, c}
 *
 * Each call compares and writes in one action there. Every taking of a name has its own term, and
 * decisions name it: a request still on its way is refused when it comes, even if the same member
 * leads again. When a lease has ended is decided by the place's own clock; `ends_ns` only tells its
 * holder when to fall silent.
 *
 * Calls wait for their answer, at most as long as the coord's own deadline says (configured, 5 s
 * by default, but no longer than half of the lease that was taken or renewed last, or 1 s), on a
 * thread that does nothing else.
 *
 *   Owner    names, values, records are borrowed for the call
 *   Errors   EFX_ESTALE: another lease or epoch, nothing was done: decide nothing, read the record.
 *            EFX_EABSENT: no record. EFX_EIO: neither yes nor no; the same call again until EFX_OK
 *            (also if it was done before) or EFX_ESTALE
 *   Limits   EFX_LEASE_VALUE_MAX, EFX_RECORD_MAX, EFX_MEMBERS_MAX, EFX_LEASE_MS_MAX
 *   Threads  any; a coordination thread as a rule
 *   Order    ends_ns counts on the boot-time clock from before the request left: + for_ms, less a
 *            tenth
 *   Source   tests/state/test_coord.c: one suite over every coord
 */
enum {
    EFX_MEMBER_BYTES_MAX = 80, /* "<id>/<16 hex digits>" */
    EFX_MEMBERS_MAX = 128,
    EFX_LEASE_VALUE_MAX = 4096,
    EFX_LEASE_MS_MAX = 2000000000,    /* 23 days: for who is alone behind a lock */
    EFX_RECORD_MAX = 4 * 1024 * 1024, /* members, map of key groups, the app's hash and text */
};

struct efx_lease {
    char name[EFX_MEMBER_BYTES_MAX + 8]; /* "leader", or "member:" and the incarnation */
    char holder[EFX_MEMBER_BYTES_MAX];
    uint64_t over;    /* take: a holder of this term may be replaced (C10: its process is gone);
                         0 = of none */
    uint64_t term;    /* out of one counter that never falls: each taking has its own */
    uint64_t epoch;   /* as of the last answer; 0 = not founded */
    uint64_t ends_ns; /* boot-time clock, compared before every output */
};

struct efx_next {
    uint64_t from;  /* the epoch must be this; 0 = founding: there must be no record */
    uint64_t to;    /* from + 1; above all that members remember where the store lost its data */
    uint64_t start; /* must be the newest manifest; 0 = there must be none */
    const struct efx_lease *leader; /* must be held now */
    struct efx_bytes record;
    const char *const *evicted; /* [n_evicted] incarnations whose leases end with it */
    uint32_t n_evicted;
    uint32_t n_alive_min; /* so many member leases must live beside the evicted; 0 = any */
};

struct efx_coord { /* first member of each coord; all but open finds it filled */
    const struct efx_coord_vt *vt;
    struct efx_world *world;
    struct efx_mem *mem;
};

struct efx_coord_vt {
    struct efx_plugin base;
    enum efx_rc (*open)(struct efx_coord *self, const void *conf, struct efx_err *err);
    /* take: free, already the holder's, whose term stays, or of the term `over`; EFX_ESTALE leaves
     * the present holder's term in lease->term. renew: this term only, and not after its end. Both
     * fill epoch, also with EFX_ESTALE, and ends_ns. `value` is what others read: addresses,
     * versions. */
    enum efx_rc (*take)(struct efx_coord *self, struct efx_lease *lease, int64_t for_ms,
                        struct efx_bytes value, struct efx_err *err);
    enum efx_rc (*renew)(struct efx_coord *self, struct efx_lease *lease, int64_t for_ms,
                         struct efx_bytes value, struct efx_err *err);
    /* EFX_OK also if it has ended. */
    enum efx_rc (*release)(struct efx_coord *self, const struct efx_lease *lease,
                           struct efx_err *err);
    /* Live leases whose names begin with `prefix`, by name, for efx_held_next. */
    enum efx_rc (*list)(struct efx_coord *self, const char *prefix, struct efx_writer *out,
                        struct efx_err *err);
    enum efx_rc (*get_record)(struct efx_coord *self, uint64_t *epoch, struct efx_writer *out,
                              struct efx_err *err);
    /* EFX_AGAIN: fewer alive than n_alive_min, nothing was done. */
    enum efx_rc (*next_epoch)(struct efx_coord *self, const struct efx_next *next,
                              struct efx_err *err);
    void (*close)(struct efx_coord *self);
};

/* One lease of a list; in the bytes u32 n and n bytes each of name, holder, value; u64 term, u32 ms
 * left. */
struct efx_held {
    struct efx_bytes name, holder, value;
    uint64_t term;
    uint32_t left_ms;
};

static inline void efx_held_put(struct efx_writer *w, const struct efx_held *h)
{
    const struct efx_bytes *text[] = {&h->name, &h->holder, &h->value};
    for (uint32_t i = 0; i < 3; i++) {
        efx_put_u32(w, (uint32_t)text[i]->n);
        efx_put_raw(w, text[i]->p, text[i]->n);
    }
    efx_put_u64(w, h->term);
    efx_put_u32(w, h->left_ms);
}

/* False at the end, or at bytes that are no list (r->bad). */
static inline bool efx_held_next(struct efx_reader *r, struct efx_held *out)
{
    struct efx_bytes *text[] = {&out->name, &out->holder, &out->value};
    if (r->left == 0) {
        return false;
    }
    for (uint32_t i = 0; i < 3; i++) {
        *text[i] = efx_get_view(r, efx_get_u32(r));
    }
    out->term = efx_get_u64(r);
    out->left_ms = efx_get_u32(r);
    return !r->bad;
}

#endif /* EFX_COORD_H */
