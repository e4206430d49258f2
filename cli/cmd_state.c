/* efx state: checkpoints in a store: which there are, what is in one, back to one.
 *
 *   efx state ls APP.sql --persistence-dir DIR            revisions, newest first
 *   efx state inspect APP.sql [REVISION] …                by operator; every chunk is compared
 *   efx state restore APP.sql REVISION …                  the next run starts from it
 */
#include "cli.h"

#include "efx_alone.h"
#include "efx_world_real.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { LIST = 100, WHEN_BYTES = 32 };

struct state_opts {
    struct cli_place place;
    bool lose_committed;
};

static const struct opt options[] = {
    {.name = "persistence-dir",
     .kind = OPT_TEXT,
     .off = offsetof(struct state_opts, place.dir),
     .arg = "DIR",
     .help = "checkpoints are kept in this directory"},
    {.name = "sqlite",
     .kind = OPT_TEXT,
     .off = offsetof(struct state_opts, place.sqlite),
     .arg = "FILE",
     .help = "checkpoints are kept in this SQLite file"},
    {.name = "redis",
     .kind = OPT_TEXT,
     .off = offsetof(struct state_opts, place.redis),
     .arg = "URL",
     .help = "checkpoints are kept in this Redis, redis://host:port/db"},
    {.name = "lose-committed",
     .kind = OPT_FLAG,
     .off = offsetof(struct state_opts, lose_committed),
     .help = "restore even if a later checkpoint was promised to a sink or a client"},
    {0},
};

const char *cli_app_name(struct efx_arena *a, const char *path)
{
    const char *from = strrchr(path, '/');
    from = from == NULL ? path : from + 1;
    size_t n = strlen(from);
    n -= n > 4 && strcmp(from + n - 4, ".sql") == 0 ? 4 : 0;
    char *name = strcmp(path, "-") == 0 || n == 0 ? NULL : efx_arena_str(a, from, n);
    for (char *c = name; c != NULL && *c != '\0'; c++) {
        bool letter = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                      (*c >= '0' && *c <= '9') || *c == '-' || *c == '_' || *c == '.';
        *c = letter ? *c : '_';
    }
    return name == NULL ? "app" : name;
}

const char *cli_place_url(struct efx_arena *a, const struct cli_place *p)
{
    return p->dir != NULL      ? efx_arena_printf(a, "dir:%s", p->dir)
           : p->sqlite != NULL ? efx_arena_printf(a, "sqlite:%s", p->sqlite)
                               : p->redis;
}

static int refused(const struct efx_err *err)
{
    return cli_fail(err->kind == EFX_KIND_USER ? CLI_USER : CLI_FAILED, "efx state: %s", err->msg);
}

static void when(int64_t ms, char out[WHEN_BYTES])
{
    time_t s = (time_t)(ms / 1000);
    struct tm tm;
    (void)gmtime_r(&s, &tm);
    (void)strftime(out, WHEN_BYTES, "%Y-%m-%d %H:%M:%SZ", &tm);
}

/* ---- ls ---- */

struct total {
    uint64_t parts, chunks, stored, raw;
};

static struct total total_of(const struct efx_ckpt_op *op)
{
    struct total t = {.parts = op->n_parts};
    for (uint32_t i = 0; i < op->n_parts; i++) {
        for (uint32_t k = 0; k < op->parts[i].n_chunks; k++) {
            t.chunks++;
            t.stored += op->parts[i].chunks[k].stored_bytes;
            t.raw += op->parts[i].chunks[k].raw_bytes;
        }
    }
    return t;
}

static bool list_one(struct efx_store *store, uint64_t no)
{
    struct efx_arena a;
    struct efx_manifest m;
    struct efx_err err = {0};
    char name[EFX_REVISION_BYTES], at[WHEN_BYTES];
    struct total all = {0};
    efx_arena_init(&a, &efx_mem_libc, SIZE_MAX);
    bool ok = efx_checkpoint_read(store, no, &a, &m, &err) == EFX_OK;
    if (ok) {
        for (uint32_t i = 0; i < m.body.n_ops; i++) {
            struct total t = total_of(&m.body.ops[i]);
            all.chunks += t.chunks;
            all.stored += t.stored;
        }
        efx_revision_name(&m, name);
        when(m.committed_ms, at);
        printf("%-40s %s  %6llu chunks %12llu bytes%s%s\n", name, at,
               (unsigned long long)all.chunks, (unsigned long long)all.stored,
               m.promised ? "  promised" : "", m.back_to != 0 ? "  gone back" : "");
    } else {
        printf("%-40s damaged: %s\n", "?", err.msg);
    }
    efx_arena_fini(&a);
    return ok;
}

static int list(struct efx_store *store)
{
    struct efx_manifest_info v[LIST];
    struct efx_err err = {0};
    uint64_t before = 0;
    bool sound = true;
    for (uint32_t n = LIST; n > 0;) {
        n = LIST;
        if (store->vt->list_manifests(store, before, v, &n, &err) != EFX_OK) {
            return refused(&err);
        }
        for (uint32_t i = 0; i < n; i++) {
            sound = list_one(store, v[i].no) && sound;
            before = v[i].no;
        }
    }
    return sound ? CLI_OK : CLI_FAILED;
}

/* ---- inspect ---- */

static void print_op(const struct efx_ckpt_op *op)
{
    struct total t = total_of(op);
    printf("  %016llx  %s\n", (unsigned long long)op->key, op->name);
    printf("    %llu parts, %llu chunks, %llu bytes stored, %llu of state\n",
           (unsigned long long)t.parts, (unsigned long long)t.chunks, (unsigned long long)t.stored,
           (unsigned long long)t.raw);
    for (uint32_t i = 0; i < op->n_parts; i++) {
        const struct efx_ckpt_part *p = &op->parts[i];
        uint64_t stored = 0;
        for (uint32_t k = 0; k < p->n_chunks; k++) {
            stored += p->chunks[k].stored_bytes;
        }
        printf("    %8llu %-5s groups %u to %u, layout %u, %u chunks, %llu bytes\n",
               (unsigned long long)p->no, p->base ? "base" : "delta", p->first, p->last, p->version,
               p->n_chunks, (unsigned long long)stored);
    }
}

static void print_manifest(const struct efx_manifest *m)
{
    char name[EFX_REVISION_BYTES], at[WHEN_BYTES];
    const struct efx_ckpt_body *b = &m->body;
    efx_revision_name(m, name);
    when(m->committed_ms, at);
    printf("%s\n  committed %s in epoch %llu%s\n", name, at, (unsigned long long)m->epoch,
           m->promised ? ", promised to sinks or clients" : "");
    if (m->clock_ms != EFX_TS_NONE) {
        when(m->clock_ms, at);
        printf("  clock %lld (%s)\n", (long long)m->clock_ms, at);
    }
    if (m->back_to != 0) {
        printf("  gone back to %llu\n", (unsigned long long)m->back_to);
    }
    printf("operators\n");
    for (uint32_t i = 0; i < b->n_ops; i++) {
        print_op(&b->ops[i]);
    }
    printf("sections\n");
    for (uint32_t i = 0; i < b->n_sections; i++) {
        printf("  %-24s %zu bytes\n", b->sections[i].name, b->sections[i].bytes.n);
    }
    for (uint32_t i = 0; i < b->n_positions; i++) {
        printf("  position of %s\n", b->positions[i].name);
    }
    for (uint32_t i = 0; i < b->n_receipts; i++) {
        printf("  receipt of %s, part %u\n", b->receipts[i].sink, b->receipts[i].part);
    }
}

static uint64_t number_of(const char *text)
{
    int64_t no;
    return efx_str_i64(efx_str_of(text), &no) && no > 0 ? (uint64_t)no : efx_revision_no(text);
}

static int inspect(struct efx_store *store, const char *which)
{
    struct efx_arena a;
    struct efx_manifest m;
    struct efx_err err = {0};
    uint64_t no = which == NULL ? 0 : number_of(which);
    if (which != NULL && no == 0) {
        return cli_fail(CLI_USER, "efx state: '%s' is no revision and no number", which);
    }
    efx_arena_init(&a, &efx_mem_libc, SIZE_MAX);
    enum efx_rc rc = efx_checkpoint_read(store, no, &a, &m, &err);
    if (rc == EFX_OK) {
        print_manifest(&m);
        rc = efx_checkpoint_verify(store, &m, &err);
        printf("%s\n", rc == EFX_OK ? "all chunks are there and sound" : "DAMAGED");
    }
    efx_arena_fini(&a);
    return rc == EFX_OK ? CLI_OK : refused(&err);
}

/* ---- restore ---- */

static int restore(const struct efx_alone_conf *conf)
{
    struct efx_alone *a = NULL;
    struct efx_err err = {0};
    if (efx_alone_open(&a, conf, efx_world_real(), &err) != EFX_OK) {
        return refused(&err);
    }
    enum efx_rc rc = efx_alone_back(a, &err);
    if (rc == EFX_OK) {
        printf("the next run goes on from %s, as checkpoint %llu\n", conf->restore,
               (unsigned long long)efx_alone_last(a));
    }
    efx_alone_close(&a);
    return rc == EFX_OK ? CLI_OK : refused(&err);
}

/* ---- which ---- */

static int with_store(const struct efx_alone_conf *conf, const struct opt_list *rest)
{
    struct efx_stores *s = NULL;
    struct efx_err err = {0};
    if (efx_stores_open(&s, conf->url, &conf->conf, efx_world_real(), &err) != EFX_OK) {
        return refused(&err);
    }
    int status =
        rest->v[0][0] == 'l' ? list(s->store) : inspect(s->store, rest->n > 2 ? rest->v[2] : NULL);
    efx_stores_close(&s);
    return status;
}

static int dispatch(struct efx_arena *a, const struct state_opts *o, const struct opt_list *rest)
{
    const char *verb = rest->n > 0 ? rest->v[0] : "";
    bool is_ls = strcmp(verb, "ls") == 0, is_restore = strcmp(verb, "restore") == 0;
    if (!is_ls && !is_restore && strcmp(verb, "inspect") != 0) {
        return cli_fail(CLI_USER, "efx state: give ls, inspect or restore, then APP.sql");
    }
    if (rest->n < 2 || rest->n > 3 || (is_ls && rest->n > 2) || (is_restore && rest->n != 3)) {
        return cli_fail(CLI_USER, "efx state %s: give APP.sql%s", verb,
                        is_restore ? " and a revision that efx state ls shows" : "");
    }
    struct efx_alone_conf conf = {.url = cli_place_url(a, &o->place),
                                  .conf = {.app = cli_app_name(a, rest->v[1])},
                                  .restore = is_restore ? rest->v[2] : NULL,
                                  .lose_committed = o->lose_committed};
    if (conf.url == NULL) {
        return cli_fail(CLI_USER, "efx state: say where: --persistence-dir, --sqlite or --redis");
    }
    return is_restore ? restore(&conf) : with_store(&conf, rest);
}

static int run(int argc, char **argv)
{
    struct state_opts o = {0};
    struct opt_list rest = {0};
    struct efx_arena a;
    int status = opts_parse(&cmd_state, argc, argv, &o, &rest);
    if (status >= 0) {
        return status;
    }
    efx_arena_init(&a, &efx_mem_libc, SIZE_MAX);
    status = dispatch(&a, &o, &rest);
    efx_arena_fini(&a);
    return status;
}

const struct command cmd_state = {
    .name = "state",
    .args = "ls|inspect|restore APP.sql [REVISION]",
    .help = "checkpoints in a store: which there are, what is in one, back to one",
    .opts = options,
    .run = run,
};
