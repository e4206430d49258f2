/* What happens to bytes at rest, and to a process while it writes: each flipped bit and each cut is
 * noticed and named, a full disk loses nothing, a kill leaves whole things or none.
 */
#include "place_kit.h"

#include <dirent.h>
#include <sqlite3.h>
#include <sys/resource.h>

#define CALL(p, method, ...) (p)->store->vt->method((p)->store, __VA_ARGS__)

/* ---- another hand in the place, while it is closed ------------------------------------------ */

static void file_path(const struct place *p, const char *name, char out[256])
{
    (void)snprintf(out, 256, "%s/dir/%s/%s", kit_folder, p->app, name);
}

static size_t read_file(const char *path, uint8_t *out, size_t max)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t n = fread(out, 1, max, f);
    assert_int_equal(fclose(f), 0);
    return n;
}

static void write_file(const char *path, const uint8_t *p, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(p, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void sqlite_do(const struct place *p, const char *sql, const uint8_t *bytes, size_t n,
                      const char *name)
{
    char path[256];
    sqlite3 *db;
    sqlite3_stmt *st;
    (void)snprintf(path, sizeof path, "%s/%s.db", kit_folder, p->app);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
    (void)sqlite3_bind_blob(st, 1, n == 0 ? (const void *)"" : bytes, (int)n, SQLITE_STATIC);
    (void)sqlite3_bind_text(st, 2, name, -1, SQLITE_STATIC);
    assert_int_equal(sqlite3_step(st), SQLITE_DONE);
    assert_int_equal(sqlite3_changes(db), 1);
    (void)sqlite3_finalize(st);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void redis_set(const struct place *p, const char *name, const uint8_t *bytes, size_t n)
{
    redisReply *r = server_do(&kit_plain, "SET eventflux:{efx/%s}:%s %b", p->app, name, bytes, n);
    assert_int_equal(r->type, REDIS_REPLY_STATUS);
    freeReplyObject(r);
}

static void set_chunk(const struct place *p, const struct efx_chunk_name *name,
                      const uint8_t *bytes, size_t n)
{
    char text[EFX_CHUNK_TEXT + 1], whole[128], path[256];
    efx_state__chunk_text(name, text);
    switch (p->kind) {
    case DIRECTORY:
        (void)snprintf(whole, sizeof whole, "chunks/%s", text);
        file_path(p, whole, path);
        write_file(path, bytes, n);
        break;
    case SQLITE: sqlite_do(p, "UPDATE chunk SET bytes = ? WHERE name = ?", bytes, n, text); break;
    case REDIS:
        (void)snprintf(whole, sizeof whole, "chunk:%s", text);
        redis_set(p, whole, bytes, n);
        break;
    case MEMORY:
    case REDIS_TLS: fail_msg("no hand in it");
    }
}

static void set_manifest(const struct place *p, const uint8_t *bytes, size_t n)
{
    static const char no[] = "00000000000000000001";
    uint8_t whole[256];
    char path[256];
    switch (p->kind) {
    case DIRECTORY:
        file_path(p, "manifest-00000000000000000001", path);
        (void)read_file(path, whole, 56);
        memcpy(whole + 56, bytes, n);
        write_file(path, whole, 56 + n);
        break;
    case SQLITE: sqlite_do(p, "UPDATE manifest SET bytes = ? WHERE no = ?", bytes, n, no); break;
    case REDIS: redis_set(p, "manifest:00000000000000000001", bytes, n); break;
    case MEMORY:
    case REDIS_TLS: fail_msg("no hand in it");
    }
}

/* Mutation i of n bytes: cut to each length, longer by one, then a bit of each byte. */
static size_t mutate(const uint8_t *from, size_t n, size_t i, uint8_t *out)
{
    memcpy(out, from, n);
    out[n] = 0;
    if (i <= n) {
        return i == n ? n + 1 : i;
    }
    i -= n + 1;
    out[i] = (uint8_t)(out[i] ^ 1u << i % 8);
    return n;
}

static size_t n_mutations(size_t n)
{
    return 2 * n + 1;
}

static void chunk__that_is_damaged_is_named(void **state)
{
    static const char content[] = "thirty-two bytes of some content";
    struct place *p = *state;
    uint8_t changed[64], room[64];
    char text[EFX_CHUNK_TEXT + 1];
    struct efx_chunk_name name = put(p, 7, content);
    efx_state__chunk_text(&name, text);
    for (size_t i = 0; i < n_mutations(32); i++) {
        struct efx_writer w = {.p = room, .max = sizeof room};
        struct efx_err err = {0};
        size_t n = mutate((const uint8_t *)content, 32, i, changed);
        place_close(p);
        set_chunk(p, &name, changed, n);
        place_open(p);
        assert_int_equal(CALL(p, get_chunk, &name, &w, &err), EFX_EPARSE);
        assert_non_null(strstr(err.msg, text));
        assert_int_equal(w.n, 0);
    }
    (void)put(p, 7, content); /* putting it again heals it */
    struct efx_writer w = {.p = room, .max = sizeof room};
    assert_ok(CALL(p, get_chunk, &name, &w, &err));
}

static void manifest__that_is_damaged_is_named(void **state)
{
    static const char content[] = "a manifest's bytes, a few of them";
    struct place *p = *state;
    uint8_t changed[64], room[64];
    place_found(p);
    assert_ok(commit(p, 0, 1, content, &err));
    for (size_t i = 0; i < n_mutations(sizeof content - 1); i++) {
        struct efx_writer w = {.p = room, .max = sizeof room};
        struct efx_err err = {0};
        size_t n = mutate((const uint8_t *)content, sizeof content - 1, i, changed);
        place_close(p);
        set_manifest(p, changed, n);
        place_open(p);
        assert_int_equal(CALL(p, get_manifest, 1, &w, &err), EFX_EPARSE);
        assert_non_null(strstr(err.msg, "manifest 1 "));
        assert_int_equal(w.n, 0);
        struct efx_manifest_info info;
        uint32_t n_list = 1;
        if (CALL(p, list_manifests, 0, &info, &n_list, &err) == EFX_OK) {
            assert_int_equal(n_list, 1); /* never as if there were none */
            assert_int_equal(info.no, 1);
        } else {
            assert_int_equal(err.rc, EFX_EPARSE);
        }
    }
}

static void head__that_is_damaged_is_noticed(void **state)
{
    static const char *const names[] = {"manifest-00000000000000000001", "epoch", "terms",
                                        "identity"};
    struct place *p = *state;
    struct efx_hash id = {{4}}, out;
    uint8_t whole[256], changed[257], room[64];
    char path[256];
    place_found(p);
    assert_ok(CALL(p, identity, NULL, &id, &out, &err));
    assert_ok(commit(p, 0, 1, "a manifest", &err));
    for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
        file_path(p, names[k], path);
        size_t n = read_file(path, whole, sizeof whole);
        for (size_t i = 0; i < n_mutations(n); i++) {
            struct efx_err err = {0};
            place_close(p);
            write_file(path, changed, mutate(whole, n, i, changed));
            enum efx_rc rc = place_try(p, &err);
            struct efx_writer w = {.p = room, .max = sizeof room};
            if (rc == EFX_OK && k == 0) {
                rc = CALL(p, get_manifest, 1, &w, &err);
            } else if (rc == EFX_OK && k == 3) {
                rc = CALL(p, identity, NULL, NULL, &out, &err);
            }
            if (rc != EFX_EPARSE || (k > 0 && strstr(err.msg, names[k]) == NULL)) {
                fail_msg("%s, mutation %d: rc %d %s", names[k], (int)i, (int)rc, err.msg);
            }
        }
        place_close(p);
        write_file(path, whole, n);
        place_open(p);
    }
}

/* Any bit of SQLite's file: an error, or what was stored; never another or an older state. */
static void file__of_sqlite_never_lies(void **state)
{
    struct place *p = *state;
    static uint8_t whole[1 << 18], changed[1 << 18];
    char path[256];
    uint64_t seed = 11;
    uint32_t n_noticed = 0;
    place_found(p);
    struct efx_chunk_name one = put(p, 1, "one chunk of a few bytes");
    assert_ok(commit(p, 0, 1, "first manifest", &err));
    assert_ok(commit(p, 1, 2, "second manifest", &err));
    place_close(p);
    (void)snprintf(path, sizeof path, "%s/%s.db", kit_folder, p->app);
    size_t n = read_file(path, whole, sizeof whole);
    assert_true(n < sizeof whole);
    for (int i = 0; i < 600; i++) {
        uint8_t room[64];
        struct efx_writer w = {.p = room, .max = sizeof room};
        struct efx_err err = {0};
        size_t at;
        do {
            at = efx_test_rand(&seed) % n;
        } while (whole[at] == 0); /* most of it is empty */
        memcpy(changed, whole, n);
        changed[at] = (uint8_t)(changed[at] ^ 1u << efx_test_rand(&seed) % 8);
        write_file(path, changed, n);
        enum efx_rc rc = place_try(p, &err);
        if (rc == EFX_OK) {
            struct efx_manifest_info info = {0};
            uint32_t k = 1;
            rc = CALL(p, list_manifests, 0, &info, &k, &err);
            assert_true(rc != EFX_OK || (k == 1 && info.no == 2));
            if (rc == EFX_OK) {
                rc = CALL(p, get_manifest, 2, &w, &err);
                assert_true(rc != EFX_OK ||
                            (w.n == 15 && memcmp(room, "second manifest", 15) == 0));
            }
            w.n = 0;
            enum efx_rc got = CALL(p, get_chunk, &one, &w, &err);
            assert_true(got != EFX_OK ||
                        (w.n == 24 && memcmp(room, "one chunk of a few bytes", 24) == 0));
            rc = rc == EFX_OK ? got : rc;
            place_close(p);
        }
        n_noticed += rc != EFX_OK;
    }
    assert_true(n_noticed > 20);
    write_file(path, whole, n);
    place_open(p);
}

/* ---- full ----------------------------------------------------------------------------------- */

static uint32_t count_files(const char *folder, const char *ending)
{
    uint32_t n = 0;
    DIR *d = opendir(folder);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        size_t len = strlen(e->d_name), tail = strlen(ending);
        n += len > tail && strcmp(e->d_name + len - tail, ending) == 0;
    }
    (void)closedir(d);
    return n;
}

static void limit_files(rlim_t bytes)
{
    struct rlimit now;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &now), 0);
    now.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &now), 0);
}

static void disk__that_is_full_loses_nothing(void **state)
{
    struct place *p = *state;
    uint8_t room[32];
    char path[256];
    struct efx_writer w = {.p = room, .max = sizeof room};
    struct efx_bytes large = noise(2000000, 3);
    struct efx_chunk_name name = name_of(1, large);
    /* A file that may not grow is a disk that is full; SQLite knows only ENOSPC as that. */
    enum efx_rc full = p->kind == SQLITE ? EFX_EIO : EFX_ELIMIT;
    (void)signal(SIGXFSZ, SIG_IGN);
    place_found(p);
    struct efx_chunk_name one = put(p, 1, "one");
    assert_ok(commit(p, 0, 1, "first", &err));
    limit_files(400000);
    assert_rc(full, CALL(p, put_chunks, &name, &large, 1, &err));
    struct efx_commit c = {by_of(p), 1, 2, large};
    assert_rc(full, CALL(p, commit_manifest, &c, &err));
    assert_ok(CALL(p, get_chunk, &one, &w, &err));
    assert_rc(EFX_EABSENT, CALL(p, get_chunk, &name, &w, &err));
    w.n = 0;
    assert_ok(CALL(p, get_manifest, 1, &w, &err));
    if (p->kind == DIRECTORY) {
        file_path(p, "chunks", path);
        assert_int_equal(count_files(path, ".tmp"), 0);
    }
    limit_files(RLIM_INFINITY);
    assert_ok(CALL(p, put_chunks, &name, &large, 1, &err)); /* room was made */
    assert_ok(commit(p, 1, 2, "second", &err));
    noise_free(large);
}

/* ---- killed --------------------------------------------------------------------------------- */

/* Puts and commits until it is killed, and says what it was told. */
static void write_on(struct place *p, int out, uint64_t from)
{
    struct efx_err err;
    p->leader.over = 0;
    if (p->coord->vt->take(p->coord, &p->leader, 600000, bytes_of(""), &err) != EFX_OK) {
        _exit(3);
    }
    for (uint64_t no = from + 1;; no++) {
        struct efx_bytes b[20];
        struct efx_chunk_name names[20];
        char text[32];
        for (uint32_t i = 0; i < 20; i++) {
            b[i] = noise(2000, no * 100 + i);
            names[i] = name_of(no, b[i]);
        }
        (void)snprintf(text, sizeof text, "manifest %d", (int)no);
        if (CALL(p, put_chunks, names, b, 20, &err) != EFX_OK ||
            commit(p, no - 1, no, text, &err) != EFX_OK ||
            write(out, &no, sizeof no) != (ssize_t)sizeof no) {
            _exit(4);
        }
        for (uint32_t i = 0; i < 20; i++) {
            noise_free(b[i]);
        }
    }
}

static void process__that_is_killed_leaves_whole_things(void **state)
{
    struct place *p = *state;
    uint64_t told = 0, seed = 5;
    static uint8_t room[4096];
    char path[256];
    place_found(p);
    for (int round = 0; round < 12; round++) {
        int pipe_fd[2], status = 0;
        assert_int_equal(pipe(pipe_fd), 0);
        place_close(p);
        pid_t child = fork();
        if (child == 0) {
            struct efx_err err;
            (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (place_try(p, &err) != EFX_OK) {
                _exit(2);
            }
            write_on(p, pipe_fd[1], told);
        }
        (void)close(pipe_fd[1]);
        uint64_t no;
        for (uint64_t n = 1 + efx_test_rand(&seed) % 4; n > 0; n--) {
            assert_int_equal(read(pipe_fd[0], &no, sizeof no), sizeof no);
            told = no;
        }
        pause_ms((int)(efx_test_rand(&seed) % 20));
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        while (read(pipe_fd[0], &no, sizeof no) == (ssize_t)sizeof no) {
            told = no;
        }
        (void)close(pipe_fd[0]);
        place_open(p);
        if (p->kind == DIRECTORY) {
            file_path(p, "chunks", path);
            assert_int_equal(count_files(path, ".tmp"), 0);
        }
        struct efx_manifest_info info;
        struct efx_chunk_name names[EFX_LIST_MAX];
        uint32_t n = 1, n_chunks = EFX_LIST_MAX;
        assert_ok(CALL(p, list_manifests, 0, &info, &n, &err));
        assert_true(n == 1 && (info.no == told || info.no == told + 1));
        told = info.no;
        assert_ok(CALL(p, list_chunks, NULL, names, &n_chunks, &err));
        assert_true(n_chunks >= told * 20 || n_chunks == EFX_LIST_MAX);
        for (uint32_t i = 0; i < n_chunks; i++) {
            struct efx_writer w = {.p = room, .max = sizeof room};
            assert_ok(CALL(p, get_chunk, &names[i], &w, &err));
        }
    }
}

int main(void)
{
    static const struct kit_test tests[] = {
        OVER(DIRECTORY | SQLITE | REDIS, chunk__that_is_damaged_is_named),
        OVER(DIRECTORY | SQLITE | REDIS, manifest__that_is_damaged_is_named),
        OVER(DIRECTORY, head__that_is_damaged_is_noticed),
        OVER(SQLITE, file__of_sqlite_never_lies),
        OVER(DIRECTORY | SQLITE, disk__that_is_full_loses_nothing),
        OVER(DIRECTORY | SQLITE, process__that_is_killed_leaves_whole_things),
    };
    return kit_run(tests, sizeof tests / sizeof tests[0], true);
}
