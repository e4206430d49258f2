#ifndef EFX_WORLD_H
#define EFX_WORLD_H

#include "efx_codec.h"
#include "efx_err.h"

/* What does not follow from the input: time, dice, disk, network, behind four small vtables.
 *
 *   real       this machine (engine/world)
 *   simulated  many nodes, their disks and their network in one process, from a seed
 *
 * The virtual clock is no world: it moves with the events and lives in numbering. Shards never see
 * a world; the time they know comes with their steps. What is read from outside without going
 * through here is a bug, since then no run can be repeated.
 *
 *   clock          can go back   stops while the machine sleeps   good for
 *   wall_ms        yes           no                               timestamps of arrival
 *   monotonic_ns   no            yes                              polling, back-off, rates, latency
 *   boottime_ns    no            no                               when a lease of one's own ends
 *
 *   Owner    a world outlives all that was opened in it; handles are closed by their opener
 *   Errors   kind ENV: EFX_EIO, EFX_EABSENT; EFX_ESTALE: somebody else holds the lock
 *   Limits   EFX_ELIMIT at a world's own bounds (timers, files, connections)
 *   Threads  one loop per world, completions come on it and never inside the call that asked;
 *            clocks and dice may be read anywhere
 */
struct efx_world;
struct efx_file;
struct efx_conn;

struct efx_wake { /* the caller's; fn runs on the loop */
    void (*fn)(void *arg, enum efx_rc rc, size_t n_bytes);
    void *arg;
};

struct efx_clock_vt {
    int64_t (*wall_ms)(struct efx_world *w); /* since 1970 UTC */
    uint64_t (*monotonic_ns)(struct efx_world *w);
    uint64_t (*boottime_ns)(struct efx_world *w);
    void (*sleep_ns)(struct efx_world *w, uint64_t ns);
    /* wake->fn once, not before the monotonic time; the same wake again moves it. NULL in a world
     * without a loop. */
    enum efx_rc (*timer_set)(struct efx_world *w, uint64_t at_ns, struct efx_wake *wake);
    void (*timer_clear)(struct efx_world *w, struct efx_wake *wake);
};

struct efx_dice_vt {
    /* Jitter, names of incarnations, seeds. uuid() in SQL is not random: its seed is given. */
    uint64_t (*random)(struct efx_world *w);
};

/* After a crash a name is the old one or the new one, and an append that was not synced has left
 * some beginning of its bytes. `done` means durable, the directory included; NULL = wait for it
 * here. */
struct efx_disk_vt {
    enum efx_rc (*open)(struct efx_world *w, const char *path, bool append, struct efx_file **out,
                        struct efx_err *err);
    enum efx_rc (*size)(struct efx_file *f, uint64_t *out_bytes);
    enum efx_rc (*read)(struct efx_file *f, uint64_t off, void *buf, size_t n,
                        struct efx_wake *done);
    enum efx_rc (*append)(struct efx_file *f, struct efx_bytes bytes, struct efx_wake *done);
    enum efx_rc (*sync)(struct efx_file *f, struct efx_wake *done);
    enum efx_rc (*truncate)(struct efx_file *f, uint64_t n_bytes, struct efx_wake *done);
    void (*close)(struct efx_file *f);
    enum efx_rc (*rename)(struct efx_world *w, const char *from, const char *to,
                          struct efx_wake *done);
    enum efx_rc (*remove)(struct efx_world *w, const char *path, struct efx_wake *done);
    enum efx_rc (*mkdir)(struct efx_world *w, const char *path, struct efx_err *err);
    /* Names behind `after` in byte order, each with its NUL, as many as fit; EFX_DONE: the last. */
    enum efx_rc (*list)(struct efx_world *w, const char *path, const char *after,
                        struct efx_writer *out);
    enum efx_rc (*lock)(struct efx_world *w, const char *path, struct efx_file **out,
                        struct efx_err *err);
};

struct efx_net_vt { /* streams of bytes; framing is the protocol's business */
    enum efx_rc (*listen)(struct efx_world *w, const char *address, struct efx_wake *accepted,
                          struct efx_err *err);
    enum efx_rc (*accept)(struct efx_world *w, struct efx_conn **out);
    /* EFX_EABSENT: refused, nobody is there. Any other failure says nothing about the peer. */
    enum efx_rc (*connect)(struct efx_world *w, const char *address, struct efx_wake *done,
                           struct efx_conn **out);
    /* EFX_AGAIN: `wake` comes when it is worth trying again. */
    enum efx_rc (*read)(struct efx_conn *c, void *buf, size_t *n, struct efx_wake *wake);
    enum efx_rc (*write)(struct efx_conn *c, struct efx_bytes bytes, size_t *n_written,
                         struct efx_wake *wake);
    void (*close)(struct efx_conn *c);
};

struct efx_world { /* first member of each implementation */
    const struct efx_clock_vt *clock;
    const struct efx_dice_vt *dice;
    const struct efx_disk_vt *disk; /* NULL: this world has none */
    const struct efx_net_vt *net;   /* likewise */
};

#endif /* EFX_WORLD_H */
