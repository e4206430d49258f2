/* A shelf in a file of SQLite, for one process.
 *
 *   place     app, identity, terms, epoch, start, term, record, newest, seal     one row an app
 *   manifest  app, no (20 digits), epoch, hash, bytes, seal
 *   chunk     app, name (<no:20>-<hash:32>), bytes
 *
 * A chunk proves itself by its name. What a name cannot prove has a seal, XXH3 of the row's other
 * fields, and the place says which manifest is the newest: a row that a broken page has lost or
 * renamed is missed, never taken for an older state.
 *
 *   Errors   EFX_ESTALE: another process has the file; EFX_ELIMIT: no room; EFX_EPARSE: damaged
 *   Threads  within the place's lock
 *   Source   write-ahead log of SQLite with synchronous = FULL: a commit that returned is durable
 */
#include "local.h"

#include "names.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <xxhash.h>

enum statement {
    PUT_CHUNK = 0,
    GET_CHUNK,
    DEL_CHUNK,
    LIST_CHUNKS,
    PUT_MANIFEST,
    GET_MANIFEST,
    DEL_MANIFEST,
    LIST_MANIFESTS,
    GET_PLACE,
    PUT_PLACE,
    BEGIN_ALL,
    COMMIT_ALL,
    ROLLBACK_ALL,
    N_STATEMENTS,
};

static const char *const sql[N_STATEMENTS] = {
    [PUT_CHUNK] = "INSERT OR REPLACE INTO chunk (app, name, bytes) VALUES (?1, ?2, ?3)",
    [GET_CHUNK] = "SELECT bytes FROM chunk WHERE app = ?1 AND name = ?2",
    [DEL_CHUNK] = "DELETE FROM chunk WHERE app = ?1 AND name = ?2",
    [LIST_CHUNKS] = "SELECT name FROM chunk WHERE app = ?1 AND name > ?2 ORDER BY name LIMIT ?3",
    [PUT_MANIFEST] = "INSERT INTO manifest (app, no, epoch, hash, bytes, seal) "
                     "VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    [GET_MANIFEST] = "SELECT no, epoch, hash, length(bytes), seal, bytes FROM manifest "
                     "WHERE app = ?1 AND no = ?2",
    [DEL_MANIFEST] = "DELETE FROM manifest WHERE app = ?1 AND no = ?2",
    [LIST_MANIFESTS] = "SELECT no, epoch, hash, length(bytes), seal FROM manifest "
                       "WHERE app = ?1 AND no < ?2 ORDER BY no DESC LIMIT ?3",
    [GET_PLACE] = "SELECT identity, terms, epoch, start, term, record, newest, seal FROM place "
                  "WHERE app = ?1",
    [PUT_PLACE] = "INSERT OR REPLACE INTO place "
                  "(app, identity, terms, epoch, start, term, record, newest, seal) "
                  "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    [BEGIN_ALL] = "BEGIN IMMEDIATE",
    [COMMIT_ALL] = "COMMIT",
    [ROLLBACK_ALL] = "ROLLBACK",
};

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS place (app TEXT PRIMARY KEY, identity BLOB, terms INTEGER,"
    " epoch INTEGER, start INTEGER, term INTEGER, record BLOB, newest INTEGER, seal INTEGER);"
    "CREATE TABLE IF NOT EXISTS manifest (app TEXT, no TEXT, epoch INTEGER, hash BLOB, bytes BLOB,"
    " seal INTEGER, PRIMARY KEY (app, no));"
    "CREATE TABLE IF NOT EXISTS chunk (app TEXT, name TEXT, bytes BLOB, PRIMARY KEY (app, name));";

struct sqlite {
    struct efx_local base;
    sqlite3 *db;
    sqlite3_stmt *statement[N_STATEMENTS];
    char app[104], path[300];
    bool has_identity;
    struct efx_hash identity;
    uint64_t newest;
};

static struct sqlite *sqlite_of(struct efx_local *l)
{
    return (struct sqlite *)l;
}

static enum efx_rc failed(const struct sqlite *s, int code, struct efx_err *err)
{
    int e = s->db == NULL ? 0 : sqlite3_system_errno(s->db);
    const char *text = s->db == NULL ? sqlite3_errstr(code) : sqlite3_errmsg(s->db);
    switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return EFX_FAIL(err, EFX_ESTALE, EFX_KIND_ENV, 0,
                        "%s is in use by another process: end it, or take another file", s->path);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return EFX_FAIL(err, EFX_EPARSE, EFX_KIND_ENV, 0, "%s is damaged: %s", s->path, text);
    case SQLITE_NOMEM:
        return EFX_FAIL(err, EFX_ENOMEM, EFX_KIND_ENV, 0, "no memory for %s", s->path);
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM: return EFX_FAIL(err, EFX_EIO, EFX_KIND_USER, 0, "%s: %s", s->path, text);
    default: break;
    }
    if ((code & 0xff) == SQLITE_FULL || e == ENOSPC || e == EFBIG || e == EDQUOT) {
        return EFX_FAIL(err, EFX_ELIMIT, EFX_KIND_ENV, 0,
                        "%s: no room for it (%s): make room, nothing was lost", s->path, text);
    }
    return EFX_FAIL(err, EFX_EIO, EFX_KIND_ENV, 0, "%s: %s", s->path, text);
}

static enum efx_rc damaged(const struct sqlite *s, const char *what, struct efx_err *err)
{
    return EFX_FAIL(err, EFX_EPARSE, EFX_KIND_ENV, 0, "%s: %s is damaged", s->path, what);
}

/* ---- statements: bind …, step, take columns, done ------------------------------------------ */

static sqlite3_stmt *start(struct sqlite *s, enum statement which)
{
    sqlite3_stmt *st = s->statement[which];
    if (which < BEGIN_ALL) {
        (void)sqlite3_bind_text(st, 1, s->app, -1, SQLITE_STATIC);
    }
    return st;
}

static void bind_bytes(sqlite3_stmt *st, int at, struct efx_bytes b)
{
    (void)sqlite3_bind_blob64(st, at, b.n == 0 ? (const void *)"" : b.p, b.n, SQLITE_STATIC);
}

static void bind_u64(sqlite3_stmt *st, int at, uint64_t v)
{
    (void)sqlite3_bind_int64(st, at, (sqlite3_int64)v);
}

static uint64_t column_u64(sqlite3_stmt *st, int at)
{
    return (uint64_t)sqlite3_column_int64(st, at);
}

static struct efx_bytes column_bytes(sqlite3_stmt *st, int at)
{
    const uint8_t *p = sqlite3_column_blob(st, at);
    return (struct efx_bytes){p, (size_t)sqlite3_column_bytes(st, at)};
}

static int done(sqlite3_stmt *st, int code)
{
    (void)sqlite3_reset(st);
    (void)sqlite3_clear_bindings(st);
    return code;
}

/* A statement without rows. */
static enum efx_rc run(struct sqlite *s, sqlite3_stmt *st, struct efx_err *err)
{
    int code = sqlite3_step(st);
    if (code != SQLITE_DONE) {
        enum efx_rc rc = failed(s, code, err);
        (void)done(st, code);
        return rc;
    }
    (void)done(st, code);
    return EFX_OK;
}

static enum efx_rc begin_all(struct sqlite *s, struct efx_err *err)
{
    return run(s, start(s, BEGIN_ALL), err);
}

/* Ends what begin_all began, with what happened since. */
static enum efx_rc end_all(struct sqlite *s, enum efx_rc rc, struct efx_err *err)
{
    if (rc == EFX_OK) {
        rc = run(s, start(s, COMMIT_ALL), err);
    }
    if (rc != EFX_OK && sqlite3_get_autocommit(s->db) == 0) {
        (void)run(s, start(s, ROLLBACK_ALL), NULL);
    }
    return rc;
}

/* ---- the place's row ----------------------------------------------------------------------- */

struct row {
    const struct efx_hash *identity; /* NULL: has none */
    uint64_t terms, newest;
    struct efx_epoch epoch;
};

static uint64_t seal_place(const struct row *r)
{
    uint8_t room[80];
    struct efx_writer w = {.p = room, .max = sizeof room};
    efx_put_u8(&w, r->identity != NULL);
    efx_put_raw(&w, r->identity != NULL ? r->identity->b : NULL,
                r->identity != NULL ? EFX_HASH_BYTES : 0);
    efx_put_u64(&w, r->terms);
    efx_put_u64(&w, r->newest);
    efx_put_u64(&w, r->epoch.no);
    efx_put_u64(&w, r->epoch.start);
    efx_put_u64(&w, r->epoch.term);
    efx_put_u64(&w, XXH3_64bits(r->epoch.record.p, r->epoch.record.n));
    EFX_ASSERT(!w.full);
    return XXH3_64bits(room, w.n);
}

static struct row row_of(struct sqlite *s)
{
    return (struct row){s->has_identity ? &s->identity : NULL, s->base.terms, s->newest,
                        s->base.epoch};
}

static enum efx_rc put_row(struct sqlite *s, const struct row *r, struct efx_err *err)
{
    sqlite3_stmt *st = start(s, PUT_PLACE);
    if (r->identity != NULL) {
        bind_bytes(st, 2, (struct efx_bytes){r->identity->b, EFX_HASH_BYTES});
    }
    bind_u64(st, 3, r->terms);
    bind_u64(st, 4, r->epoch.no);
    bind_u64(st, 5, r->epoch.start);
    bind_u64(st, 6, r->epoch.term);
    bind_bytes(st, 7, r->epoch.record);
    bind_u64(st, 8, r->newest);
    bind_u64(st, 9, seal_place(r));
    return run(s, st, err);
}

static enum efx_rc take_row(struct sqlite *s, sqlite3_stmt *st, struct efx_err *err)
{
    struct efx_bytes id = column_bytes(st, 0);
    struct efx_hash hash = {{0}};
    struct row r = {
        .terms = column_u64(st, 1),
        .newest = column_u64(st, 6),
        .epoch = {column_u64(st, 2), column_u64(st, 3), column_u64(st, 4), column_bytes(st, 5)}};
    if (id.n == EFX_HASH_BYTES) {
        memcpy(hash.b, id.p, EFX_HASH_BYTES);
        r.identity = &hash;
    }
    if (column_u64(st, 7) != seal_place(&r)) {
        return damaged(s, "the place's row", err);
    }
    s->has_identity = r.identity != NULL;
    s->identity = hash;
    s->newest = r.newest;
    s->base.terms = r.terms;
    return efx_local__set_epoch(&s->base, &r.epoch, false, err);
}

/* Whether anything of the app is there though its place's row is not. */
static enum efx_rc check_empty(struct sqlite *s, struct efx_err *err)
{
    struct efx_manifest_info info;
    uint32_t n = 1;
    EFX_RET(s->base.shelf->list_manifests(&s->base, 0, &info, &n, err));
    return n == 0 ? EFX_OK : damaged(s, "the place's row", err);
}

static enum efx_rc load(struct efx_local *l, struct efx_err *err)
{
    struct sqlite *s = sqlite_of(l);
    sqlite3_stmt *st = start(s, GET_PLACE);
    int code = sqlite3_step(st);
    enum efx_rc rc = code == SQLITE_ROW    ? take_row(s, st, err)
                     : code == SQLITE_DONE ? EFX_OK
                                           : failed(s, code, err);
    (void)done(st, code);
    return rc == EFX_OK && code == SQLITE_DONE ? check_empty(s, err) : rc;
}

static enum efx_rc get_identity(struct efx_local *l, struct efx_hash *out, struct efx_err *err)
{
    struct sqlite *s = sqlite_of(l);
    (void)err;
    if (!s->has_identity) {
        return EFX_EABSENT;
    }
    *out = s->identity;
    return EFX_OK;
}

static enum efx_rc put_identity(struct efx_local *l, const struct efx_hash *id, struct efx_err *err)
{
    struct sqlite *s = sqlite_of(l);
    struct row r = row_of(s);
    r.identity = id;
    EFX_RET(put_row(s, &r, err));
    s->has_identity = true;
    s->identity = *id;
    return EFX_OK;
}

static enum efx_rc put_terms(struct efx_local *l, uint64_t terms, struct efx_err *err)
{
    struct row r = row_of(sqlite_of(l));
    r.terms = terms;
    return put_row(sqlite_of(l), &r, err);
}

static enum efx_rc put_epoch(struct efx_local *l, const struct efx_epoch *epoch,
                             struct efx_err *err)
{
    struct row r = row_of(sqlite_of(l));
    r.epoch = *epoch;
    return put_row(sqlite_of(l), &r, err);
}

/* ---- chunks -------------------------------------------------------------------------------- */

static enum efx_rc put_chunks(struct efx_local *l, const struct efx_chunk_name *names,
                              const struct efx_bytes *bytes, uint32_t n, struct efx_err *err)
{
    struct sqlite *s = sqlite_of(l);
    enum efx_rc rc = begin_all(s, err);
    if (rc != EFX_OK) {
        return rc;
    }
    for (uint32_t i = 0; i < n && rc == EFX_OK; i++) {
        char text[EFX_CHUNK_TEXT + 1];
        sqlite3_stmt *st = start(s, PUT_CHUNK);
        efx_state__chunk_text(&names[i], text);
        (void)sqlite3_bind_text(st, 2, text, -1, SQLITE_STATIC);
        bind_bytes(st, 3, bytes[i]);
        rc = run(s, st, err);
    }
    return end_all(s, rc, err);
}

static enum efx_rc give(struct efx_writer *out, struct efx_bytes b, struct efx_err *err)
{
    if (b.n > out->max - out->n) {
        return efx_state__no_room(out, b.n, err);
    }
    efx_put_raw(out, b.p, b.n);
    return EFX_OK;
}

static enum efx_rc get_chunk(struct efx_local *l, const struct efx_chunk_name *name,
                             struct efx_writer *out, struct efx_err *err)
{
    struct sqlite *s = sqlite_of(l);
    char text[EFX_CHUNK_TEXT + 1];
    sqlite3_stmt *st = start(s, GET_CHUNK);
    efx_state__chunk_text(name, text);
    (void)sqlite3_bind_text(st, 2, text, -1, SQLITE_STATIC);
    int code = sqlite3_step(st);
    enum efx_rc rc = code == SQLITE_ROW    ? give(out, column_bytes(st, 0), err)
                     : code == SQLITE_DONE ? EFX_EABSENT
                                           : failed(s, code, err);
    (void)done(st, code);
    return rc;
}

static enum efx_rc list_chunks(struct efx_local *l, const struct efx_chunk_name *after,
                               struct efx_chunk_name *out, uint32_t *n, struct efx_err *err)
{
    struct sqlite *s = sqlite_of(l);
    char from[EFX_CHUNK_TEXT + 1] = "";
    sqlite3_stmt *st = start(s, LIST_CHUNKS);
    enum efx_rc rc = EFX_OK;
    uint32_t k = 0;
    int code;
    if (after != NULL) {
        efx_state__chunk_text(after, from);
    }
    (void)sqlite3_bind_text(st, 2, from, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int64(st, 3, *n);
    while ((code = sqlite3_step(st)) == SQLITE_ROW && rc == EFX_OK) {
        struct efx_bytes b = column_bytes(st, 0);
        if (!efx_state__chunk_parse((const char *)b.p, b.n, &out[k++])) {
            rc = damaged(s, "a chunk's name", err);
        }
    }
    if (rc == EFX_OK && code != SQLITE_DONE) {
        rc = failed(s, code, err);
    }
    (void)done(st, code);
    if (rc == EFX_OK) {
        *n = k;
    }
    return rc;
}

static enum efx_rc del_chunk(struct efx_local *l, const struct efx_chunk_name *name,
                             struct efx_err *err)
{
    struct sqlite *s = sqlite_of(l);
    char text[EFX_CHUNK_TEXT + 1];
    sqlite3_stmt *st = start(s, DEL_CHUNK);
    efx_state__chunk_text(name, text);
    (void)sqlite3_bind_text(st, 2, text, -1, SQLITE_STATIC);
    return run(s, st, err);
}

/* ---- manifests ----------------------------------------------------------------------------- */

static uint64_t seal_manifest(const struct efx_manifest_info *info)
{
    uint8_t room[64];
    struct efx_writer w = {.p = room, .max = sizeof room};
    efx_put_u64(&w, info->no);
    efx_put_u64(&w, info->epoch);
    efx_put_u64(&w, info->n_bytes);
    efx_put_raw(&w, info->hash.b, EFX_HASH_BYTES);
    return XXH3_64bits(room, w.n);
}

static enum efx_rc put_manifest(struct efx_local *l, const struct efx_manifest_info *info,
                                struct efx_bytes bytes, struct efx_err *err)
{
    struct sqlite *s = sqlite_of(l);
    char text[EFX_NO_TEXT + 1];
    struct row r = row_of(s);
    r.newest = info->no;
    efx_state__no_text(info->no, text);
    EFX_RET(begin_all(s, err));
    sqlite3_stmt *st = start(s, PUT_MANIFEST);
    (void)sqlite3_bind_text(st, 2, text, -1, SQLITE_STATIC);
    bind_u64(st, 3, info->epoch);
    bind_bytes(st, 4, (struct efx_bytes){info->hash.b, EFX_HASH_BYTES});
    bind_bytes(st, 5, bytes);
    bind_u64(st, 6, seal_manifest(info));
    enum efx_rc rc = run(s, st, err);
    rc = end_all(s, rc == EFX_OK ? put_row(s, &r, err) : rc, err);
    if (rc == EFX_OK) {
        s->newest = info->no;
    }
    return rc;
}

/* A row that its seal does not fit has epoch 0; one whose number is none is not to be named. */
static enum efx_rc take_info(struct sqlite *s, sqlite3_stmt *st, struct efx_manifest_info *out,
                             struct efx_err *err)
{
    struct efx_bytes no = column_bytes(st, 0), hash = column_bytes(st, 2);
    struct efx_manifest_info info = {.epoch = column_u64(st, 1), .n_bytes = column_u64(st, 3)};
    if (!efx_state__no_parse((const char *)no.p, no.n, &info.no)) {
        return damaged(s, "a manifest's number", err);
    }
    if (hash.n == EFX_HASH_BYTES) {
        memcpy(info.hash.b, hash.p, EFX_HASH_BYTES);
    }
    if (hash.n != EFX_HASH_BYTES || column_u64(st, 4) != seal_manifest(&info)) {
        info = (struct efx_manifest_info){.no = info.no};
    }
    *out = info;
    return EFX_OK;
}

static enum efx_rc get_manifest(struct efx_local *l, uint64_t no, struct efx_manifest_info *info,
                                struct efx_writer *out, struct efx_err *err)
{
    struct sqlite *s = sqlite_of(l);
    char text[EFX_NO_TEXT + 1];
    sqlite3_stmt *st = start(s, GET_MANIFEST);
    efx_state__no_text(no, text);
    (void)sqlite3_bind_text(st, 2, text, -1, SQLITE_STATIC);
    int code = sqlite3_step(st);
    enum efx_rc rc = code == SQLITE_ROW    ? take_info(s, st, info, err)
                     : code == SQLITE_DONE ? EFX_EABSENT
                                           : failed(s, code, err);
    if (rc == EFX_OK && out != NULL && info->epoch != 0) {
        rc = give(out, column_bytes(st, 5), err);
    }
    (void)done(st, code);
    return rc;
}

static enum efx_rc missed(struct sqlite *s, struct efx_err *err)
{
    return EFX_FAIL(err, EFX_EPARSE, EFX_KIND_ENV, 0,
                    "%s is damaged: manifest %llu is the newest and not there", s->path,
                    (unsigned long long)s->newest);
}

static enum efx_rc list_manifests(struct efx_local *l, uint64_t before,
                                  struct efx_manifest_info *out, uint32_t *n, struct efx_err *err)
{
    struct sqlite *s = sqlite_of(l);
    char to[EFX_NO_TEXT + 1] = ":"; /* behind all digits */
    sqlite3_stmt *st = start(s, LIST_MANIFESTS);
    enum efx_rc rc = EFX_OK;
    uint32_t k = 0;
    int code;
    if (before != 0) {
        efx_state__no_text(before, to);
    }
    (void)sqlite3_bind_text(st, 2, to, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int64(st, 3, *n);
    while ((code = sqlite3_step(st)) == SQLITE_ROW && rc == EFX_OK) {
        rc = take_info(s, st, &out[k++], err);
    }
    if (rc == EFX_OK && code != SQLITE_DONE) {
        rc = failed(s, code, err);
    }
    (void)done(st, code);
    if (rc == EFX_OK && *n > 0 && (before == 0 || before > s->newest) &&
        s->newest != (k == 0 ? 0 : out[0].no)) {
        rc = missed(s, err);
    }
    if (rc == EFX_OK) {
        *n = k;
    }
    return rc;
}

static enum efx_rc del_manifest(struct efx_local *l, uint64_t no, struct efx_err *err)
{
    struct sqlite *s = sqlite_of(l);
    char text[EFX_NO_TEXT + 1];
    sqlite3_stmt *st = start(s, DEL_MANIFEST);
    efx_state__no_text(no, text);
    (void)sqlite3_bind_text(st, 2, text, -1, SQLITE_STATIC);
    return run(s, st, err);
}

static void close_sqlite(struct efx_local *l)
{
    struct sqlite *s = sqlite_of(l);
    struct efx_mem *mem = l->mem;
    for (uint32_t i = 0; i < N_STATEMENTS; i++) {
        (void)sqlite3_finalize(s->statement[i]);
    }
    EFX_ASSERT(sqlite3_close(s->db) == SQLITE_OK);
    mem->free(mem, s, sizeof *s);
}

static const struct efx_shelf_vt shelf_sqlite = {
    .load = load,
    .get_identity = get_identity,
    .put_identity = put_identity,
    .put_terms = put_terms,
    .put_epoch = put_epoch,
    .put_chunks = put_chunks,
    .get_chunk = get_chunk,
    .list_chunks = list_chunks,
    .del_chunk = del_chunk,
    .put_manifest = put_manifest,
    .get_manifest = get_manifest,
    .list_manifests = list_manifests,
    .del_manifest = del_manifest,
    .close = close_sqlite,
};

/* The lock is taken with the first write and kept; then the tables. */
static enum efx_rc open_file(struct sqlite *s, struct efx_err *err)
{
    static const char first[] = "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL;"
                                "PRAGMA synchronous = FULL; BEGIN EXCLUSIVE;";
    int code = sqlite3_open_v2(
        s->path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    code = code != SQLITE_OK ? code : sqlite3_exec(s->db, first, NULL, NULL, NULL);
    code = code != SQLITE_OK ? code : sqlite3_exec(s->db, schema, NULL, NULL, NULL);
    code = code != SQLITE_OK ? code : sqlite3_exec(s->db, "COMMIT", NULL, NULL, NULL);
    for (uint32_t i = 0; code == SQLITE_OK && i < N_STATEMENTS; i++) {
        code = sqlite3_prepare_v3(s->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &s->statement[i],
                                  NULL);
    }
    return code == SQLITE_OK ? EFX_OK : failed(s, code, err);
}

enum efx_rc efx_sqlite__place(struct efx_local **out, const struct efx_stores_conf *conf,
                              struct efx_world *world, struct efx_mem *mem, struct efx_err *err)
{
    struct sqlite *s = mem->alloc(mem, sizeof *s);
    if (s == NULL) {
        return EFX_FAIL(err, EFX_ENOMEM, EFX_KIND_ENV, 0, "no memory for a store");
    }
    memset(s, 0, sizeof *s);
    s->base = (struct efx_local){.shelf = &shelf_sqlite, .world = world, .mem = mem};
    (void)snprintf(s->app, sizeof s->app, "%s", conf->app);
    enum efx_rc rc = EFX_OK;
    if ((size_t)snprintf(s->path, sizeof s->path, "%s", conf->path) >= sizeof s->path) {
        rc = EFX_FAIL(err, EFX_ELIMIT, EFX_KIND_USER, 0, "the file's path is too long");
    } else {
        rc = open_file(s, err);
    }
    if (rc != EFX_OK) {
        close_sqlite(&s->base);
        return rc;
    }
    EFX_RET(efx_local__begin(&s->base, err));
    *out = &s->base;
    return EFX_OK;
}
