#ifndef NAMES_H
#define NAMES_H

#include "efx_coord.h"
#include "efx_store.h"

/* What all stores do alike: names as text, hashes, bounds of arguments.
 *
 *   chunk       <no:20>-<hash:32>      00000000000000000007-5c3f…   sorts like (no, hash)
 *   manifest    <no:20>
 *
 *   Errors  bounds: EFX_ELIMIT or EFX_EBUG, kind BUG, for callers must know them
 */
enum {
    EFX_NO_TEXT = 20,
    EFX_HASH_TEXT = 2 * EFX_HASH_BYTES,
    EFX_CHUNK_TEXT = EFX_NO_TEXT + 1 + EFX_HASH_TEXT,
};

struct efx_hash efx_state__hash(struct efx_bytes bytes);
bool efx_state__hash_equal(const struct efx_hash *a, const struct efx_hash *b);
int efx_state__chunk_cmp(const struct efx_chunk_name *a, const struct efx_chunk_name *b);

/* Each writes a NUL behind the text. */
void efx_state__no_text(uint64_t no, char out[EFX_NO_TEXT + 1]);
void efx_state__hash_text(const struct efx_hash *hash, char out[EFX_HASH_TEXT + 1]);
void efx_state__chunk_text(const struct efx_chunk_name *name, char out[EFX_CHUNK_TEXT + 1]);
/* False: is none. */
bool efx_state__no_parse(const char *p, size_t n, uint64_t *out);
bool efx_state__hash_parse(const char *p, size_t n, struct efx_hash *out);
bool efx_state__chunk_parse(const char *p, size_t n, struct efx_chunk_name *out);

/* What was read is what was stored? Says which chunk or manifest is not. */
enum efx_rc efx_state__check_chunk(const struct efx_chunk_name *name, struct efx_bytes bytes,
                                   struct efx_err *err);
enum efx_rc efx_state__check_manifest(const struct efx_manifest_info *info, struct efx_bytes bytes,
                                      struct efx_err *err);

/* Bounds of what comes in. */
enum efx_rc efx_state__check_put(const struct efx_chunk_name *names, const struct efx_bytes *bytes,
                                 uint32_t n, struct efx_err *err);
enum efx_rc efx_state__check_by(const struct efx_by *by, struct efx_err *err);
enum efx_rc efx_state__check_commit(const struct efx_commit *c, struct efx_err *err);
enum efx_rc efx_state__check_lease(const struct efx_lease *lease, int64_t for_ms,
                                   struct efx_bytes value, struct efx_err *err);
enum efx_rc efx_state__check_next(const struct efx_next *next, struct efx_err *err);

enum efx_rc efx_state__absent_chunk(const struct efx_chunk_name *name, struct efx_err *err);
enum efx_rc efx_state__absent_manifest(uint64_t no, struct efx_err *err);
/* What get found does not fit behind what *out holds. */
enum efx_rc efx_state__no_room(struct efx_writer *out, size_t n, struct efx_err *err);

/* When a holder that asked at `before_ns` must fall silent. */
uint64_t efx_state__ends_ns(uint64_t before_ns, int64_t for_ms);

#endif /* NAMES_H */
