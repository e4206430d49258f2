#ifndef EFX_APP_SAVE_H
#define EFX_APP_SAVE_H

#include "efx_app.h"

/* A save of an app beside its steps, whose bytes go to a store, and the way back.
 *
 *   caller    mark(7) │ step │ step │ … │ ready: take ──► storage thread: groups, gather … give
 *   units     stamps  │ slice│ slice│ DONE
 *
 * mark publishes a step that cuts; each unit raises its operators' stamps there and copies their
 * entries in slices after the steps that follow. When every unit is through, take hands all pages
 * over as they are, without stopping anything; the next mark may come at once. Pages are used again
 * after give.
 *
 *   operator   known by a key that stays while its statement's text, its input types and its place
 *              within the statement stay, wherever the statement stands in the program
 *   sections   `u32 key group │ u32 n │ n bytes` as in efx_save.h, in the order of groups
 *   part       what one save of one operator brought for a range of key groups: base or delta
 *   numbering  clock, turns, watermarks, origins, held events, as of the mark: opaque bytes
 *
 *   Owner    a taken save is the caller's until give; before the app is destroyed
 *   Limits   at most one save is under way, and one is taken (EFX_AGAIN). A page has 64 KiB
 *   Errors   of load: EFX_EPARSE, EFX_ENOMEM, kind ENV; EFX_ESTALE, kind USER: another schema
 *            version. After one the app is good for nothing but efx_app_destroy
 *   Threads  mark, ready, pump, take, base_next: the app's caller. groups, gather, give: any one
 *            thread, beside the caller
 *   Order    load: start, then begin, numbering, parts of each operator by rising number, done;
 *            before the first step. Row counters are no state
 */
struct efx_saved;

struct efx_saved_op { /* of an operator: its units' saves as one */
    uint64_t key;
    const char *name;       /* for people; the plan's */
    uint16_t version;       /* of the bytes' layout */
    bool base;              /* else a delta */
    struct efx_kg_range kg; /* what this save answers for; a placed operator: all */
    uint64_t n_bytes;       /* of sections, their heads not counted; 0 = there was nothing */
};

/* Publishes the mark step. `no` is the checkpoint's number. EFX_AGAIN: the last save is not taken
 * yet, or two are out. */
enum efx_rc efx_app_mark(struct efx_app *app, uint64_t no, bool base) EFX_MUST_USE;
/* The next mark saves this operator whole; 0 = all. C7: some of what it saved was not stored. */
void efx_app_base_next(struct efx_app *app, uint64_t key);
/* A save is under way and every unit is through with it. */
bool efx_app_save_ready(const struct efx_app *app);
bool efx_app_save_under_way(const struct efx_app *app);
/* No step comes: about so many rows of each unit that nobody runs now. */
void efx_app_save_pump(struct efx_app *app, uint32_t budget_rows);
/* Waits for steps and slices. */
void efx_app_save_wait(struct efx_app *app);
/* After ready. */
struct efx_saved *efx_app_save_take(struct efx_app *app);
void efx_app_save_give(struct efx_app *app, struct efx_saved **saved);

uint64_t efx_saved_no(const struct efx_saved *s);
struct efx_bytes efx_saved_numbering(const struct efx_saved *s);
int64_t efx_saved_clock_ms(const struct efx_saved *s); /* EFX_TS_NONE: had not started */
uint32_t efx_saved_n(const struct efx_saved *s);
const struct efx_saved_op *efx_saved_at(const struct efx_saved *s, uint32_t i);
/* Bytes of each group, heads not counted; [EFX_KEY_GROUPS]. */
void efx_saved_groups(const struct efx_saved *s, uint32_t i, uint64_t *bytes);
/* Sections of these groups one behind the other: 8 bytes and those of `groups` for each that has
 * any. */
void efx_saved_gather(const struct efx_saved *s, uint32_t i, struct efx_kg_range kg, uint8_t *out);

/* ---- load ---- */

struct efx_app_missing { /* what a load left open */
    uint32_t n;
    const char *const *names; /* [n] operators with state that got none */
    uint64_t n_held;          /* events held for a watermark whose stream is not there any more */
};

/* After efx_app_start. Only units whose key groups lie in `kg` take part; without `placed` no
 * operator that is not split does. All of it: {0, EFX_KEY_GROUPS - 1}, true. */
enum efx_rc efx_app_load_begin(struct efx_app *app, struct efx_kg_range kg, bool placed,
                               struct efx_err *err) EFX_MUST_USE;
/* Fields of another program are taken as far as their streams and operators are there. */
enum efx_rc efx_app_load_numbering(struct efx_app *app, struct efx_bytes bytes,
                                   struct efx_err *err) EFX_MUST_USE;
/* Is there such an operator, and in a unit that takes part one that wants these groups? `known`
 * tells the first alone; NULL = does not matter. */
bool efx_app_load_wants(const struct efx_app *app, uint64_t key, struct efx_kg_range kg,
                        bool *known);
/* Sections of checkpoint `no`; may be empty, which says that there was nothing then. */
enum efx_rc efx_app_load_part(struct efx_app *app, uint64_t key, uint16_t version, uint64_t no,
                              struct efx_bytes sections, struct efx_err *err) EFX_MUST_USE;
/* The next mark says base. `missing` may be NULL; its names are the app's. */
enum efx_rc efx_app_load_done(struct efx_app *app, struct efx_app_missing *missing,
                              struct efx_err *err) EFX_MUST_USE;

/* Operators with state, one after the other: key 0 = place i has none. false: i is behind the last. */
bool efx_app_op(const struct efx_app *app, uint32_t i, uint64_t *key, const char **name);
/* Steps so far, marks included: did anything happen since? */
uint64_t efx_app_steps(const struct efx_app *app);
/* Of the program's text: a checkpoint of the same one is taken without questions. */
uint64_t efx_app_hash(const struct efx_app *app);

#endif /* EFX_APP_SAVE_H */
