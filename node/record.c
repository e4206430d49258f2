#include "record.h"

#include "efx_step.h"

#include <xxhash.h>

enum { VERSION = 1, SQL_MAX = 2 * 1024 * 1024 };

static void put_z(struct efx_buf *to, const char *s)
{
    efx_buf_text(to, s, s == NULL ? 0 : strlen(s));
}

bool node_text(char *to, size_t max, struct efx_bytes from)
{
    if (from.n >= max || (from.n > 0 && memchr(from.p, 0, from.n) != NULL)) {
        return false;
    }
    memset(to, 0, max);
    if (from.n > 0) {
        memcpy(to, from.p, from.n);
    }
    return true;
}

static bool get_z(struct efx_reader *r, char *to, size_t max)
{
    struct efx_bytes text = efx_get_text(r);
    r->bad = r->bad || !node_text(to, max, text);
    return !r->bad;
}

void node_hash(const char *sql, uint8_t out[16])
{
    XXH128_canonical_t c;
    XXH128_canonicalFromHash(&c, XXH3_128bits(sql, strlen(sql)));
    memcpy(out, c.digest, sizeof c.digest);
}

void node_member_put(struct efx_buf *to, const struct node_member *m)
{
    put_z(to, m->name);
    put_z(to, m->tcp);
    put_z(to, m->grpc);
    put_z(to, m->http);
    put_z(to, m->version);
    efx_buf_u32(to, m->shards);
}

bool node_member_get(struct efx_reader *r, struct node_member *out)
{
    bool ok = get_z(r, out->name, sizeof out->name) && get_z(r, out->tcp, sizeof out->tcp) &&
              get_z(r, out->grpc, sizeof out->grpc) && get_z(r, out->http, sizeof out->http) &&
              get_z(r, out->version, sizeof out->version);
    out->shards = efx_get_u32(r);
    return ok && !r->bad && out->shards >= 1 && out->shards <= EFX_SHARDS_MAX;
}

void node_record_put(struct efx_buf *to, const struct node_record *r)
{
    efx_buf_u32(to, VERSION);
    efx_buf_u64(to, r->epoch);
    efx_buf_u64(to, r->channel);
    efx_buf_u64(to, r->start);
    efx_buf_u64(to, r->after);
    efx_buf_u8(to, r->rewind);
    efx_buf_u8(to, r->compatible);
    efx_buf_u64(to, r->seed);
    efx_buf_u32(to, r->clock);
    efx_buf_u32(to, r->max_batch);
    efx_buf_u8(to, r->ordered);
    put_z(to, r->cluster);
    put_z(to, r->app);
    put_z(to, r->leader);
    put_z(to, r->store_url);
    put_z(to, r->sql);
    efx_buf_put(to, r->hash, sizeof r->hash);
    efx_buf_u32(to, r->n_drained);
    for (uint32_t i = 0; i < r->n_drained; i++) {
        put_z(to, r->drained[i]);
    }
    efx_buf_u32(to, r->n_members);
    for (uint32_t i = 0; i < r->n_members; i++) {
        node_member_put(to, &r->members[i]);
    }
}

bool node_record_map(struct node_record *r)
{
    for (uint32_t i = 0; i < r->n_members; i++) {
        r->first_shard[i + 1] = r->first_shard[i] + r->members[i].shards;
    }
    return r->first_shard[r->n_members] <= EFX_SHARDS_MAX;
}

uint32_t node_record_find(const struct node_record *r, const char *name)
{
    for (uint32_t i = 0; i < r->n_members; i++) {
        if (strcmp(r->members[i].name, name) == 0) {
            return i;
        }
    }
    return EFX_MEMBERS_MAX;
}

static const char *get_text(struct efx_reader *r, struct efx_arena *arena, size_t max)
{
    struct efx_bytes text = efx_get_text(r);
    r->bad = r->bad || text.n > max;
    return r->bad ? NULL : efx_arena_str(arena, (const char *)text.p, text.n);
}

enum efx_rc node_record_get(struct efx_bytes bytes, struct efx_arena *arena,
                            struct node_record *out)
{
    struct efx_reader r = {bytes.p, bytes.n, false};
    memset(out, 0, sizeof *out);
    if (efx_get_u32(&r) != VERSION) {
        return EFX_EPARSE;
    }
    out->epoch = efx_get_u64(&r);
    out->channel = efx_get_u64(&r);
    out->start = efx_get_u64(&r);
    out->after = efx_get_u64(&r);
    out->rewind = efx_get_u8(&r) != 0;
    out->compatible = efx_get_u8(&r) != 0;
    out->seed = efx_get_u64(&r);
    out->clock = efx_get_u32(&r);
    out->max_batch = efx_get_u32(&r);
    out->ordered = efx_get_u8(&r) != 0;
    (void)(get_z(&r, out->cluster, sizeof out->cluster) && get_z(&r, out->app, sizeof out->app) &&
           get_z(&r, out->leader, sizeof out->leader));
    out->store_url = get_text(&r, arena, 4096);
    out->sql = get_text(&r, arena, SQL_MAX);
    efx_get_raw(&r, out->hash, sizeof out->hash);
    out->n_drained = efx_get_u32(&r);
    r.bad = r.bad || out->n_drained > NODE_DRAINED_MAX;
    for (uint32_t i = 0; !r.bad && i < out->n_drained; i++) {
        (void)get_z(&r, out->drained[i], sizeof out->drained[i]);
    }
    out->n_members = efx_get_u32(&r);
    if (r.bad || out->n_members == 0 || out->n_members > EFX_MEMBERS_MAX ||
        out->max_batch > EFX_STEP_TURNS_MAX) {
        return EFX_EPARSE;
    }
    if (out->store_url == NULL || out->sql == NULL) {
        return EFX_ENOMEM;
    }
    out->store_url = out->store_url[0] == '\0' ? NULL : out->store_url;
    for (uint32_t i = 0; i < out->n_members; i++) {
        if (!node_member_get(&r, &out->members[i])) {
            return EFX_EPARSE;
        }
    }
    return r.bad || r.left > 0 || !node_record_map(out) ? EFX_EPARSE : EFX_OK;
}
