#ifndef EFX_RANDOM_PROGRAM_H
#define EFX_RANDOM_PROGRAM_H

#include <stdbool.h>
#include <stdint.h>

/* Random programs and input for the differential test, and a shrinker for what it finds.
 *
 *   level   0 S A B, trigger     1 M0     2 M1     3 M2     4 O0 O1
 *
 * A query reads lower levels and writes a higher one, so there are chains, several readers of one
 * stream, several writers of one stream and diamonds, and every program ends. Loops are a gadget of
 * their own, with a counter that falls. All programs bind without errors; what the language leaves
 * open is not generated.
 *
 *   Owner   texts are malloc'ed and the caller's; free() them, and lists by efx_lines_free
 *   Order   the same seed and mask give the same text on every machine
 */
enum efx_feature {
    EFX_FEATURE_WINDOWS = 1 << 0, /* length, time */
    EFX_FEATURE_BATCHES = 1 << 1, /* lengthBatch, timeBatch; ORDER BY, LIMIT */
    EFX_FEATURE_SESSIONS = 1 << 2,
    EFX_FEATURE_EXPIRED = 1 << 3, /* ALL and EXPIRED EVENTS */
    EFX_FEATURE_TABLES = 1 << 4,  /* INSERT, UPSERT, UPDATE, DELETE, joins with one, IN */
    EFX_FEATURE_JOINS = 1 << 5,
    EFX_FEATURE_PATTERNS = 1 << 6,
    EFX_FEATURE_PARTITIONS = 1 << 7,
    EFX_FEATURE_LOOPS = 1 << 8,
    EFX_FEATURE_TRIGGERS = 1 << 9,
    EFX_FEATURE_LIMITERS = 1 << 10,
    EFX_FEATURE_FAULTS = 1 << 11,        /* narrowing errors, fault streams */
    EFX_FEATURE_LATE = 1 << 12,          /* of the input: timestamps that go back */
    EFX_FEATURE_ADVANCE = 1 << 13,       /* of the input: the clock moved by itself */
    EFX_FEATURE_MORE_PATTERNS = 1 << 14, /* EVERY inside a chain */
    EFX_FEATURE_KEYED = 1 << 15, /* every second program is made to stay in batches and be split */
    EFX_FEATURE_LATER = 1 << 16, /* SKIP PAST LAST ROW, WITHIN n EVENTS; first, last over joins */
    EFX_FEATURE_ALL = ((1 << 14) - 1) | EFX_FEATURE_LATER, /* what is built */
};

struct efx_lines { /* event lines in, row lines out: NDJSON as in runtime.md §2 */
    uint32_t n, cap;
    char **v;
};

void efx_lines_add(struct efx_lines *l, const char *text); /* copies */
void efx_lines_free(struct efx_lines *l);

/* SQL, one statement a line; a PARTITION block is one line. */
char *efx_random_program(uint64_t seed, unsigned features_mask);
/* n event lines for the streams of such programs. */
struct efx_lines efx_random_events(uint64_t seed, unsigned features_mask, uint32_t n);

/* Does the case still fail? False also where the program does not bind. */
typedef bool (*efx_shrink_fails_fn)(void *arg, const char *program, const struct efx_lines *events);
/* Drops statements (of blocks, too) and events while it fails; both are replaced by the rest. */
void efx_shrink(efx_shrink_fails_fn fails, void *arg, char **program, struct efx_lines *events);

#endif /* EFX_RANDOM_PROGRAM_H */
