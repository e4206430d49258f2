/* Names, hashes and bounds that every store shares. */
#include "names.h"

#include <xxhash.h>

struct efx_hash efx_state__hash(struct efx_bytes bytes)
{
    struct efx_hash out;
    XXH128_canonical_t c;
    XXH128_canonicalFromHash(&c, XXH3_128bits(bytes.p, bytes.n));
    _Static_assert(sizeof c == sizeof out, "the canonical form is the name's");
    memcpy(&out, &c, sizeof out);
    return out;
}

bool efx_state__hash_equal(const struct efx_hash *a, const struct efx_hash *b)
{
    return memcmp(a->b, b->b, EFX_HASH_BYTES) == 0;
}

int efx_state__chunk_cmp(const struct efx_chunk_name *a, const struct efx_chunk_name *b)
{
    if (a->no != b->no) {
        return a->no < b->no ? -1 : 1;
    }
    return memcmp(a->hash.b, b->hash.b, EFX_HASH_BYTES);
}

void efx_state__no_text(uint64_t no, char out[EFX_NO_TEXT + 1])
{
    out[EFX_NO_TEXT] = '\0';
    for (int i = EFX_NO_TEXT - 1; i >= 0; i--, no /= 10) {
        out[i] = (char)('0' + no % 10);
    }
}

void efx_state__hash_text(const struct efx_hash *hash, char out[EFX_HASH_TEXT + 1])
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < EFX_HASH_BYTES; i++) {
        out[2 * i] = digits[hash->b[i] >> 4];
        out[2 * i + 1] = digits[hash->b[i] & 15];
    }
    out[EFX_HASH_TEXT] = '\0';
}

void efx_state__chunk_text(const struct efx_chunk_name *name, char out[EFX_CHUNK_TEXT + 1])
{
    efx_state__no_text(name->no, out);
    out[EFX_NO_TEXT] = '-';
    efx_state__hash_text(&name->hash, out + EFX_NO_TEXT + 1);
}

bool efx_state__no_parse(const char *p, size_t n, uint64_t *out)
{
    uint64_t v = 0;
    if (n != EFX_NO_TEXT) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9' || __builtin_mul_overflow(v, 10u, &v) ||
            __builtin_add_overflow(v, (uint64_t)(p[i] - '0'), &v)) {
            return false;
        }
    }
    *out = v;
    return true;
}

static int digit_of(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool efx_state__hash_parse(const char *p, size_t n, struct efx_hash *out)
{
    struct efx_hash hash;
    if (n != EFX_HASH_TEXT) {
        return false;
    }
    for (size_t i = 0; i < EFX_HASH_BYTES; i++) {
        int high = digit_of(p[2 * i]), low = digit_of(p[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        hash.b[i] = (uint8_t)(high << 4 | low);
    }
    *out = hash;
    return true;
}

bool efx_state__chunk_parse(const char *p, size_t n, struct efx_chunk_name *out)
{
    return n == EFX_CHUNK_TEXT && p[EFX_NO_TEXT] == '-' &&
           efx_state__no_parse(p, EFX_NO_TEXT, &out->no) &&
           efx_state__hash_parse(p + EFX_NO_TEXT + 1, EFX_HASH_TEXT, &out->hash);
}

enum efx_rc efx_state__check_chunk(const struct efx_chunk_name *name, struct efx_bytes bytes,
                                   struct efx_err *err)
{
    char text[EFX_CHUNK_TEXT + 1];
    struct efx_hash is = efx_state__hash(bytes);
    if (efx_state__hash_equal(&is, &name->hash)) {
        return EFX_OK;
    }
    efx_state__chunk_text(name, text);
    return EFX_FAIL(err, EFX_EPARSE, EFX_KIND_ENV, 0,
                    "chunk %s is damaged: its %zu bytes are not those that were stored", text,
                    bytes.n);
}

enum efx_rc efx_state__check_manifest(const struct efx_manifest_info *info, struct efx_bytes bytes,
                                      struct efx_err *err)
{
    struct efx_hash is = efx_state__hash(bytes);
    if (bytes.n == info->n_bytes && efx_state__hash_equal(&is, &info->hash)) {
        return EFX_OK;
    }
    return EFX_FAIL(err, EFX_EPARSE, EFX_KIND_ENV, 0,
                    "manifest %llu is damaged: its %zu bytes are not those that were stored",
                    (unsigned long long)info->no, bytes.n);
}

enum efx_rc efx_state__check_put(const struct efx_chunk_name *names, const struct efx_bytes *bytes,
                                 uint32_t n, struct efx_err *err)
{
    for (uint32_t i = 0; i < n; i++) {
        struct efx_hash is = efx_state__hash(bytes[i]);
        if (bytes[i].n > EFX_CHUNK_STORED_MAX) {
            return EFX_FAIL(err, EFX_ELIMIT, EFX_KIND_BUG, 0,
                            "a chunk of %zu bytes is larger than %d", bytes[i].n,
                            EFX_CHUNK_STORED_MAX);
        }
        if (names[i].no == 0 || !efx_state__hash_equal(&is, &names[i].hash)) {
            return EFX_FAIL(err, EFX_EBUG, EFX_KIND_BUG, 0,
                            "a chunk to be stored is not named by its content");
        }
    }
    return EFX_OK;
}

enum efx_rc efx_state__check_by(const struct efx_by *by, struct efx_err *err)
{
    if (by->epoch == 0 || by->leader == NULL || strcmp(by->leader->name, "leader") != 0) {
        return EFX_FAIL(err, EFX_EBUG, EFX_KIND_BUG, 0,
                        "nobody decides in epoch %llu without the leader's lease",
                        (unsigned long long)by->epoch);
    }
    return EFX_OK;
}

enum efx_rc efx_state__check_commit(const struct efx_commit *c, struct efx_err *err)
{
    if (c->manifest.n > EFX_MANIFEST_MAX) {
        return EFX_FAIL(err, EFX_ELIMIT, EFX_KIND_BUG, 0,
                        "a manifest of %zu bytes is larger than %d", c->manifest.n,
                        EFX_MANIFEST_MAX);
    }
    if (c->no <= c->last) {
        return EFX_FAIL(err, EFX_EBUG, EFX_KIND_BUG, 0, "manifest %llu cannot follow %llu",
                        (unsigned long long)c->no, (unsigned long long)c->last);
    }
    return efx_state__check_by(&c->by, err);
}

enum efx_rc efx_state__check_lease(const struct efx_lease *lease, int64_t for_ms,
                                   struct efx_bytes value, struct efx_err *err)
{
    if (lease->name[0] == '\0' || lease->holder[0] == '\0' ||
        memchr(lease->name, '\0', sizeof lease->name) == NULL ||
        memchr(lease->holder, '\0', sizeof lease->holder) == NULL) {
        return EFX_FAIL(err, EFX_EBUG, EFX_KIND_BUG, 0, "a lease without a name or holder");
    }
    if (strcmp(lease->name, "leader") != 0 && strncmp(lease->name, "member:", 7) != 0) {
        return EFX_FAIL(err, EFX_EBUG, EFX_KIND_BUG, 0, "'%s' is no name of a lease", lease->name);
    }
    if (for_ms < 1 || for_ms > EFX_LEASE_MS_MAX || value.n > EFX_LEASE_VALUE_MAX) {
        return EFX_FAIL(err, EFX_ELIMIT, EFX_KIND_BUG, 0,
                        "lease '%s' for %lld ms with %zu bytes: out of bounds", lease->name,
                        (long long)for_ms, value.n);
    }
    return EFX_OK;
}

enum efx_rc efx_state__check_next(const struct efx_next *next, struct efx_err *err)
{
    EFX_RET(efx_state__check_by(&(struct efx_by){next->to, next->leader}, err));
    if (next->to <= next->from || (next->from != 0 && next->to != next->from + 1)) {
        return EFX_FAIL(err, EFX_EBUG, EFX_KIND_BUG, 0, "no way from epoch %llu to %llu",
                        (unsigned long long)next->from, (unsigned long long)next->to);
    }
    if (next->record.n > EFX_RECORD_MAX || next->n_evicted > EFX_MEMBERS_MAX) {
        return EFX_FAIL(err, EFX_ELIMIT, EFX_KIND_BUG, 0,
                        "an epoch's record of %zu bytes without %u members: out of bounds",
                        next->record.n, next->n_evicted);
    }
    return EFX_OK;
}

enum efx_rc efx_state__absent_chunk(const struct efx_chunk_name *name, struct efx_err *err)
{
    char text[EFX_CHUNK_TEXT + 1];
    efx_state__chunk_text(name, text);
    return EFX_FAIL(err, EFX_EABSENT, EFX_KIND_ENV, 0, "chunk %s is not there", text);
}

enum efx_rc efx_state__absent_manifest(uint64_t no, struct efx_err *err)
{
    return EFX_FAIL(err, EFX_EABSENT, EFX_KIND_ENV, 0, "manifest %llu is not there",
                    (unsigned long long)no);
}

enum efx_rc efx_state__no_room(struct efx_writer *out, size_t n, struct efx_err *err)
{
    out->full = true;
    return EFX_FAIL(err, EFX_ELIMIT, EFX_KIND_BUG, 0, "%zu bytes do not fit in the %zu left", n,
                    out->max - out->n);
}

uint64_t efx_state__ends_ns(uint64_t before_ns, int64_t for_ms)
{
    return before_ns + (uint64_t)for_ms * 900000;
}
