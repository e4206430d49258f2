#ifndef EFX_CHANNEL_H
#define EFX_CHANNEL_H

#include "efx_plugin.h"
#include "efx_step.h"
#include "efx_world.h"

/* An exchange edge between two shards: a ring inside the process, a share of a connection between
 * nodes, behind one contract. Operators and the run never know which.
 *
 *   sender     step 40: packet, packet(last) ─ done 40 │ step 41: no rows ─ done 41
 *   receiver   takes step 40 once every sender has done 40, merging by (moment, sender)
 *
 * A packet holds rows of one (edge, from, to, step) by value, texts too. A sender without rows says
 * done and sends nothing; a done with a mark says that this stage saves now.
 *
 * Between nodes a step is a tick of the cluster, and numbering needs the header of every member's
 * part. It goes by edge 0 to every member; once all headers of a tick are here the base clock of
 * the next is known. A mark counts only if its header bears the greatest epoch among them, so all
 * judge alike however late each heard of a new leader.
 *
 *   Owner    send takes the packet (nulled) or leaves it; recv gives it, give_back returns its
 *            bytes to the sender's credit; lists of a header live until the next next_tick
 *   Limits   credit_bytes on the way; EFX_STEPS_IN_FLIGHT steps done and not taken;
 *            EFX_BATCH_ROWS_MAX rows a packet; EFX_TICK_BYTES_MAX
 *   Errors   EFX_AGAIN of reserve: no credit; the shard keeps its rows and goes on receiving, so
 *            no circle blocks. EFX_ESTALE: opened in another epoch. EFX_EIO: the peer is gone
 *   Threads  one sender, one receiver, no locks; wakes come on the other side's thread
 *   Order    steps ascending; of a step packets in order, then done
 */
enum { EFX_TICK_BYTES_MAX = 128 * 1024 };

struct efx_packet {
    uint64_t step;
    uint64_t epoch; /* of the channel; 0 = inside the process */
    uint16_t edge, from, to;
    bool last; /* of its step */
    uint32_t bytes;
    struct efx_batch b;
};

struct efx_done {
    uint64_t step;
    int64_t clk_last_ms;
    uint64_t mark; /* checkpoint saved behind this step; 0 = none */
};

struct efx_clk_run { /* n turns in a row with this clock */
    int64_t clk_ms;
    uint32_t n;
};

struct efx_watermark { /* least of a member's sources and sessions of the stream */
    uint16_t stream;
    int64_t at_ms;
};

struct efx_tick { /* header of a member's part */
    uint64_t epoch;
    struct efx_done done;
    uint16_t member; /* place in the epoch's record: decides between equal clocks */
    uint16_t n_turns;
    uint16_t n_clks, n_watermarks;
    const struct efx_clk_run *clks; /* n_turns together */
    const struct efx_watermark *watermarks;
};

struct efx_channel {
    const struct efx_channel_vt *vt;
};

struct efx_channel_open {
    uint16_t edge, from, to;
    uint64_t epoch;
    uint32_t credit_bytes; /* at least the largest packet */
    struct efx_wake *writable, *readable;
};

struct efx_channel_vt {
    struct efx_plugin base;
    enum efx_rc (*open)(struct efx_channel *self, const struct efx_channel_open *how,
                        struct efx_err *err);
    enum efx_rc (*reserve)(struct efx_channel *self, uint32_t bytes_max, struct efx_packet **out);
    enum efx_rc (*send)(struct efx_channel *self, struct efx_packet **packet);
    enum efx_rc (*done)(struct efx_channel *self, const struct efx_done *done);
    enum efx_rc (*tick)(struct efx_channel *self, const struct efx_tick *header);
    uint64_t (*asked)(const struct efx_channel *self); /* greatest step the peer waits for */
    enum efx_rc (*recv)(struct efx_channel *self, struct efx_packet **out);
    void (*give_back)(struct efx_channel *self, struct efx_packet **packet);
    enum efx_rc (*done_at)(const struct efx_channel *self, uint64_t step, struct efx_done *out);
    enum efx_rc (*next_tick)(struct efx_channel *self, struct efx_tick *out);
    /* The receiver waits for the step: an idle sender is to finish it. */
    enum efx_rc (*ask)(struct efx_channel *self, uint64_t step);
    void (*close)(struct efx_channel *self);
};

#endif /* EFX_CHANNEL_H */
