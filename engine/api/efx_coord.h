#ifndef EFX_COORD_H
#define EFX_COORD_H

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
 * leads again.
 *
 *   Owner    names, values, records are borrowed until `done`
 *   Errors   EFX_ESTALE: another lease or epoch: decide nothing, read the record. EFX_EABSENT: no
 *            record. EFX_EIO: neither yes nor no; the same call again until EFX_OK or EFX_ESTALE
 *   Limits   EFX_LEASE_VALUE_MAX, EFX_RECORD_MAX, EFX_MEMBERS_MAX
 *   Threads  the I/O loop
 *   Order    ends_ns counts on the boot-time clock from before the request left: + for_ms, less a
 *            tenth
 *   Source   tests/contract/coord: one suite over every coord
 */
enum {
    EFX_MEMBER_BYTES_MAX = 80, /* "<id>/<16 hex digits>" */
    EFX_MEMBERS_MAX = 128,
    EFX_LEASE_VALUE_MAX = 4096,
    EFX_RECORD_MAX = 4 * 1024 * 1024, /* members, map of key groups, the app's hash and text */
};

struct efx_lease {
    char name[EFX_MEMBER_BYTES_MAX + 8]; /* "leader", or "member:" and the incarnation */
    char holder[EFX_MEMBER_BYTES_MAX];
    uint64_t term;    /* counts the takings of this name */
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
    uint32_t n_alive_min; /* so many member leases must live; 0 = any */
};

struct efx_coord {
    const struct efx_coord_vt *vt;
    struct efx_world *world;
};

struct efx_coord_vt {
    struct efx_plugin base;
    enum efx_rc (*open)(struct efx_coord *self, const void *conf, struct efx_err *err);
    /* Both fill epoch, also with EFX_ESTALE, and ends_ns. take: free, or already the holder's,
     * whose term stays; renew: this term only. `value` is what others read: addresses, versions. */
    enum efx_rc (*take)(struct efx_coord *self, struct efx_lease *lease, int64_t for_ms,
                        struct efx_bytes value, struct efx_wake *done);
    enum efx_rc (*renew)(struct efx_coord *self, struct efx_lease *lease, int64_t for_ms,
                         struct efx_bytes value, struct efx_wake *done);
    enum efx_rc (*release)(struct efx_coord *self, const struct efx_lease *lease,
                           struct efx_wake *done);
    /* Leases with this prefix by name: u32 n and n bytes of name, holder, value; u32 ms left. */
    enum efx_rc (*list)(struct efx_coord *self, const char *prefix, struct efx_writer *out,
                        struct efx_wake *done);
    enum efx_rc (*get_record)(struct efx_coord *self, uint64_t *epoch, struct efx_writer *out,
                              struct efx_wake *done);
    enum efx_rc (*next_epoch)(struct efx_coord *self, const struct efx_next *next,
                              struct efx_wake *done);
    void (*close)(struct efx_coord *self);
};

#endif /* EFX_COORD_H */
