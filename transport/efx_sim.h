#ifndef EFX_SIM_H
#define EFX_SIM_H

#include "efx_arena.h"
#include "efx_transport.h"

/* Many members in one process: a loop, a world and a network for each, driven by one caller.
 *
 *   virtual time   a test's: efx_sim_step jumps to what comes next. Who runs first of those that
 *                  are due, how long each message takes, what an ending process had still sent:
 *                  all drawn from the seed, so the same seed gives the same run
 *   real time      `efx run --nodes N`: the machine's clock, no delays; step runs what is due,
 *                  efx_sim_wait sleeps until more is. A message is copied once
 *
 *      pause      the member's tasks do not run, messages wait, its links stay (SIGSTOP)
 *      kill       its tasks are forgotten, a random end of what it sent is lost, its links break
 *                 (EFX_EIO), connects are refused (EFX_EABSENT) until it listens again (SIGKILL)
 *      cut        what is sent from one to the other waits, at both ends links break after a while
 *                 or stay silent, connects fail with EFX_EIO; heal: what waits comes
 *
 * Each member has its own boot-time clock (they do not agree) and a wall clock that can be skewed.
 *
 *   Owner    the sim, loops and worlds are one; transports are made and destroyed by their users
 *            before it, also those of a killed member
 *   Limits   of transports: frame_bytes_max, queue_bytes_max, links_max of the options
 *   Threads  one drives; post and now_ns from any
 *   Errors   as in efx_transport.h
 *   Source   tests/transport/test_sim.c, test_transport.c
 */
enum { EFX_SIM_MEMBERS_MAX = 128 };

struct efx_sim;

struct efx_sim_options {
    struct efx_mem *mem;
    uint64_t seed;
    uint32_t n_members;
    bool real_time;
    /* The rest has defaults in place of 0; times but connect_ns only with virtual time. */
    int64_t wall_ms;                     /* at the start; 1,700,000,000,000 */
    uint64_t task_ns;                    /* each task takes so long; 1 us */
    uint64_t delay_min_ns, delay_max_ns; /* 20 us, 1 ms; now and then a message takes 20 times it */
    uint64_t connect_ns;                 /* 5 s */
    size_t frame_bytes_max;              /* 32 MiB */
    size_t queue_bytes_max;              /* 8 MiB */
    uint32_t links_max;                  /* 1,024 */
};

enum efx_rc efx_sim_create(const struct efx_sim_options *options, struct efx_sim **out);
void efx_sim_destroy(struct efx_sim **sim);

struct efx_loop *efx_sim_loop(struct efx_sim *sim, uint32_t member);
/* Clocks and dice; no disk. sleep_ns moves the virtual time. */
struct efx_world *efx_sim_world(struct efx_sim *sim, uint32_t member);
/* Its addresses are "sim:name". */
enum efx_rc efx_sim_transport(struct efx_sim *sim, uint32_t member, struct efx_transport **out);

/* ---- time ---- */

/* Runs the next task of any member. False: none is due, now (real time) or ever (virtual). */
bool efx_sim_step(struct efx_sim *sim);
/* Runs everything that is due until then; virtual time is at least there afterwards. */
void efx_sim_run(struct efx_sim *sim, uint64_t until_ns);
/* Of the simulation, from 0; members see it shifted. */
uint64_t efx_sim_now_ns(struct efx_sim *sim);
/* Real time: sleeps until a task is due, at most so long. */
void efx_sim_wait(struct efx_sim *sim, uint64_t max_ns);
/* For the test's own choices: they are part of the seed's run. */
uint64_t efx_sim_random(struct efx_sim *sim);

/* ---- faults; may be called in a task, also of the member itself ---- */

void efx_sim_pause(struct efx_sim *sim, uint32_t member, bool paused);
void efx_sim_kill(struct efx_sim *sim, uint32_t member);
/* The killed one's loop lives again, empty; it may also be called for one that was not killed. */
void efx_sim_revive(struct efx_sim *sim, uint32_t member);
bool efx_sim_is_dead(const struct efx_sim *sim, uint32_t member);
/* One direction; 0 = links never break by it. */
void efx_sim_cut(struct efx_sim *sim, uint32_t from, uint32_t to, uint64_t break_after_ns);
void efx_sim_cut_pair(struct efx_sim *sim, uint32_t a, uint32_t b, uint64_t break_after_ns);
/* Both directions. */
void efx_sim_heal(struct efx_sim *sim, uint32_t a, uint32_t b);
/* Breaks all links between two at once, with what is on its way. */
void efx_sim_break(struct efx_sim *sim, uint32_t a, uint32_t b);
void efx_sim_skew(struct efx_sim *sim, uint32_t member, int64_t wall_ms);

#endif /* EFX_SIM_H */
