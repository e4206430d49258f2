/* The contract of stores, over each of them. */
#include "place_kit.h"

#define CALL(p, method, ...) (p)->store->vt->method((p)->store, __VA_ARGS__)

static void identity__is_compared_and_set(void **state)
{
    struct place *p = *state;
    struct efx_hash a = {{1, 2, 3}}, b = {{9}}, out = {{0}};
    assert_rc(EFX_EABSENT, CALL(p, identity, NULL, NULL, &out, &err));
    assert_rc(EFX_ESTALE, CALL(p, identity, &a, &b, &out, &err));
    assert_ok(CALL(p, identity, NULL, &a, &out, &err));
    assert_memory_equal(&out, &a, sizeof a);
    assert_ok(CALL(p, identity, NULL, &a, &out, &err)); /* done before */
    memset(&out, 0, sizeof out);
    assert_rc(EFX_ESTALE, CALL(p, identity, NULL, &b, &out, &err));
    assert_memory_equal(&out, &a, sizeof a);
    assert_ok(CALL(p, identity, &a, &b, &out, &err));
    assert_memory_equal(&out, &b, sizeof b);
    memset(&out, 0, sizeof out);
    assert_ok(CALL(p, identity, NULL, NULL, &out, &err));
    assert_memory_equal(&out, &b, sizeof b);
}

static void assert_chunk(struct place *p, const struct efx_chunk_name *name, struct efx_bytes is)
{
    size_t max = is.n + 3;
    struct efx_writer w = {.p = malloc(max), .max = max};
    efx_put_raw(&w, "abc", 3);
    assert_ok(CALL(p, get_chunk, name, &w, &err));
    assert_int_equal(w.n, max);
    assert_memory_equal(w.p, "abc", 3);
    assert_memory_equal(w.p + 3, is.p, is.n);
    free(w.p);
}

static void chunks__come_back_as_they_went(void **state)
{
    static const size_t sizes[] = {0, 1, 63, 4096, 65537, 262144, 262144, 3000000};
    enum { N = 40, K = sizeof sizes / sizeof sizes[0] };
    struct place *p = *state;
    struct efx_bytes bytes[N];
    struct efx_chunk_name names[N];
    for (uint32_t i = 0; i < N; i++) {
        bytes[i] = noise(i < K ? sizes[i] : 1000 + i, i);
        names[i] = name_of(1 + i % 3, bytes[i]);
    }
    assert_ok(CALL(p, put_chunks, names, bytes, 0, &err));
    assert_ok(CALL(p, put_chunks, names, bytes, N, &err));
    assert_ok(CALL(p, put_chunks, names + 3, bytes + 3, 4, &err)); /* twice is once */
    for (uint32_t i = 0; i < N; i++) {
        assert_chunk(p, &names[i], bytes[i]);
        noise_free(bytes[i]);
    }
    struct efx_chunk_name out[N + 1];
    uint32_t n = N + 1;
    assert_ok(CALL(p, list_chunks, NULL, out, &n, &err));
    assert_int_equal(n, N);
}

static void chunk__that_is_not_there_is_named(void **state)
{
    struct place *p = *state;
    struct efx_err err = {0};
    uint8_t room[8];
    struct efx_writer w = {.p = room, .max = sizeof room};
    struct efx_chunk_name name = name_of(7, bytes_of("never stored"));
    char text[EFX_CHUNK_TEXT + 1];
    efx_state__chunk_text(&name, text);
    assert_int_equal(CALL(p, get_chunk, &name, &w, &err), EFX_EABSENT);
    assert_non_null(strstr(err.msg, text));
    assert_int_equal(w.n, 0);
}

static void chunk__that_does_not_fit_is_not_cut(void **state)
{
    struct place *p = *state;
    uint8_t room[8];
    struct efx_writer w = {.p = room, .max = sizeof room};
    struct efx_chunk_name name = put(p, 1, "nine byte");
    assert_rc(EFX_ELIMIT, CALL(p, get_chunk, &name, &w, &err));
    assert_int_equal(w.n, 0);
    assert_true(w.full);
}

static void chunk__must_bear_its_own_name(void **state)
{
    struct place *p = *state;
    struct efx_bytes b = bytes_of("one thing");
    struct efx_chunk_name name = name_of(1, bytes_of("another"));
    uint32_t n = 1;
    assert_rc(EFX_EBUG, CALL(p, put_chunks, &name, &b, 1, &err));
    assert_ok(CALL(p, list_chunks, NULL, &name, &n, &err));
    assert_int_equal(n, 0);
}

static void chunk__has_a_largest_size(void **state)
{
    struct place *p = *state;
    size_t n = EFX_CHUNK_STORED_MAX;
    uint8_t *zero = calloc(n + 1, 1);
    struct efx_bytes fits = {zero, n}, larger = {zero, n + 1};
    struct efx_chunk_name name = name_of(1, fits), other = name_of(1, larger);
    assert_rc(EFX_ELIMIT, CALL(p, put_chunks, &other, &larger, 1, &err));
    assert_ok(CALL(p, put_chunks, &name, &fits, 1, &err));
    assert_chunk(p, &name, fits);
    free(zero);
}

static void chunks__are_listed_in_order_page_by_page(void **state)
{
    enum { N = 100 };
    struct place *p = *state;
    struct efx_chunk_name out[N], last = {0};
    char text[32];
    for (uint32_t i = 0; i < N; i++) {
        (void)snprintf(text, sizeof text, "chunk %u", i);
        (void)put(p, 1 + (i * 7) % 13, text);
    }
    uint32_t n_seen = 0, n = 9;
    for (const struct efx_chunk_name *after = NULL; n > 0; after = &last, n = 9) {
        assert_ok(CALL(p, list_chunks, after, out, &n, &err));
        assert_true(n <= 9);
        if (n == 0) {
            break;
        }
        for (uint32_t i = 0; i < n; i++) {
            assert_true(efx_state__chunk_cmp(&last, &out[i]) < 0);
            last = out[i];
        }
        n_seen += n;
    }
    assert_int_equal(n_seen, N);
}

static void assert_manifest(struct place *p, uint64_t no, const char *is)
{
    uint8_t room[256];
    struct efx_writer w = {.p = room, .max = sizeof room};
    assert_ok(CALL(p, get_manifest, no, &w, &err));
    assert_int_equal(w.n, strlen(is));
    assert_memory_equal(room, is, w.n);
}

static void manifest__needs_epoch_leader_term_and_last(void **state)
{
    struct place *p = *state;
    struct efx_lease right = lease_of("leader", "a");
    assert_ok(p->coord->vt->take(p->coord, &right, 600000, bytes_of(""), &err));
    p->leader = right;
    p->epoch = 1;
    assert_rc(EFX_ESTALE, commit(p, 0, 1, "before the founding", &err));
    place_found(p);
    p->epoch = 2;
    assert_rc(EFX_ESTALE, commit(p, 0, 1, "other epoch", &err));
    p->epoch = 0;
    assert_rc(EFX_EBUG, commit(p, 0, 1, "no epoch", &err));
    p->epoch = 1;
    p->leader.term++;
    assert_rc(EFX_ESTALE, commit(p, 0, 1, "other term", &err));
    p->leader.term--;
    p->leader.holder[0] = 'b';
    assert_rc(EFX_ESTALE, commit(p, 0, 1, "other holder", &err));
    p->leader.holder[0] = 'a';
    assert_rc(EFX_ESTALE, commit(p, 1, 2, "there is no 1", &err));
    assert_rc(EFX_EBUG, commit(p, 3, 3, "not behind", &err));
    uint64_t no = 0;
    uint32_t n = 1;
    struct efx_manifest_info info;
    assert_ok(CALL(p, list_manifests, no, &info, &n, &err));
    assert_int_equal(n, 0);

    assert_ok(commit(p, 0, 3, "three", &err));
    assert_rc(EFX_ESTALE, commit(p, 0, 4, "last is 3", &err));
    assert_ok(commit(p, 3, 4, "four", &err));
    assert_manifest(p, 3, "three");
    assert_manifest(p, 4, "four");
    assert_ok(p->coord->vt->release(p->coord, &p->leader, &err));
    assert_rc(EFX_ESTALE, commit(p, 4, 5, "nobody leads", &err));
}

static void manifest__committed_twice_is_committed_once(void **state)
{
    struct place *p = *state;
    place_found(p);
    assert_ok(commit(p, 0, 1, "one", &err));
    assert_ok(commit(p, 0, 1, "one", &err));
    assert_rc(EFX_ESTALE, commit(p, 0, 1, "another one", &err));
    assert_ok(commit(p, 1, 2, "two", &err));
    assert_ok(commit(p, 0, 1, "one", &err)); /* it stands, whatever came then */
    struct efx_next next = next_of(p, 1, 2, 2, "record 2");
    assert_ok(p->coord->vt->next_epoch(p->coord, &next, &err));
    assert_ok(commit(p, 1, 2, "two", &err)); /* asked in epoch 1 */
    assert_rc(EFX_ESTALE, commit(p, 2, 3, "three", &err));
    p->epoch = 2;
    assert_rc(EFX_ESTALE, commit(p, 1, 2, "two", &err)); /* was not epoch 2's */
    assert_ok(commit(p, 2, 3, "three", &err));
}

static void manifest__needs_a_lease_that_lives(void **state)
{
    struct place *p = *state;
    place_found(p);
    assert_ok(p->coord->vt->renew(p->coord, &p->leader, 30, bytes_of(""), &err));
    wait_ms(60);
    assert_rc(EFX_ESTALE, commit(p, 0, 1, "too late", &err));
    assert_ok(p->coord->vt->take(p->coord, &p->leader, 600000, bytes_of(""), &err));
    assert_ok(commit(p, 0, 1, "in a new term", &err));
}

static void manifests__are_listed_newest_first(void **state)
{
    enum { N = 25 };
    struct place *p = *state;
    struct efx_manifest_info out[N];
    char text[32];
    place_found(p);
    for (uint64_t no = 1; no <= N; no++) {
        (void)snprintf(text, sizeof text, "manifest %d", (int)no);
        assert_ok(commit(p, (no - 1) * 9, no * 9, text, &err));
    }
    uint64_t before = 0, wanted = N;
    for (uint32_t n = 4;; n = 4) {
        assert_ok(CALL(p, list_manifests, before, out, &n, &err));
        if (n == 0) {
            break;
        }
        for (uint32_t i = 0; i < n; i++, wanted--) {
            (void)snprintf(text, sizeof text, "manifest %d", (int)wanted);
            struct efx_hash hash = efx_state__hash(bytes_of(text));
            assert_int_equal(out[i].no, wanted * 9);
            assert_int_equal(out[i].epoch, 1);
            assert_int_equal(out[i].n_bytes, strlen(text));
            assert_memory_equal(&out[i].hash, &hash, sizeof hash);
            before = out[i].no;
        }
    }
    assert_int_equal(wanted, 0);
    uint8_t room[64];
    struct efx_writer w = {.p = room, .max = sizeof room};
    assert_rc(EFX_EABSENT, CALL(p, get_manifest, 10, &w, &err));
}

static void manifest__of_the_largest_size_goes_and_comes(void **state)
{
    struct place *p = *state;
    struct efx_bytes b = noise(EFX_MANIFEST_MAX + 1, 3);
    place_found(p);
    struct efx_commit c = {by_of(p), 0, 1, b};
    assert_rc(EFX_ELIMIT, CALL(p, commit_manifest, &c, &err));
    c.manifest.n--;
    assert_ok(CALL(p, commit_manifest, &c, &err));
    struct efx_writer w = {.p = malloc(c.manifest.n), .max = c.manifest.n};
    assert_ok(CALL(p, get_manifest, 1, &w, &err));
    assert_int_equal(w.n, c.manifest.n);
    assert_memory_equal(w.p, b.p, w.n);
    free(w.p);
    noise_free(b);
}

static void chunk__is_deleted_by_the_leader_alone(void **state)
{
    struct place *p = *state;
    uint8_t room[64];
    struct efx_writer w = {.p = room, .max = sizeof room};
    place_found(p);
    struct efx_chunk_name one = put(p, 1, "one"), two = put(p, 2, "two"), kept = put(p, 1, "kept");
    struct efx_by by = by_of(p);
    assert_rc(EFX_ESTALE, CALL(p, del_chunk, &by, &one, &err)); /* nothing stands yet */
    assert_ok(commit(p, 0, 1, "names kept", &err));
    assert_rc(EFX_ESTALE, CALL(p, del_chunk, &by, &two, &err)); /* of an open checkpoint */
    by.epoch = 2;
    assert_rc(EFX_ESTALE, CALL(p, del_chunk, &by, &one, &err));
    by.epoch = 1;
    p->leader.term++;
    assert_rc(EFX_ESTALE, CALL(p, del_chunk, &by, &one, &err));
    p->leader.term--;
    assert_chunk(p, &one, bytes_of("one"));
    assert_ok(CALL(p, del_chunk, &by, &one, &err));
    assert_ok(CALL(p, del_chunk, &by, &one, &err));
    assert_rc(EFX_EABSENT, CALL(p, get_chunk, &one, &w, &err));
    assert_chunk(p, &kept, bytes_of("kept"));
    struct efx_chunk_name out[3];
    uint32_t n = 3;
    assert_ok(CALL(p, list_chunks, NULL, out, &n, &err));
    assert_int_equal(n, 2);
}

static void manifest__is_deleted_by_the_leader_alone(void **state)
{
    struct place *p = *state;
    uint8_t room[64];
    struct efx_writer w = {.p = room, .max = sizeof room};
    struct efx_manifest_info info[3];
    uint32_t n = 3;
    place_found(p);
    assert_ok(commit(p, 0, 1, "one", &err));
    assert_ok(commit(p, 1, 2, "two", &err));
    struct efx_by by = by_of(p);
    by.epoch = 2;
    assert_rc(EFX_ESTALE, CALL(p, del_manifest, &by, 1, &err));
    by.epoch = 1;
    assert_rc(EFX_ESTALE, CALL(p, del_manifest, &by, 2, &err)); /* the newest */
    assert_ok(CALL(p, del_manifest, &by, 1, &err));
    assert_ok(CALL(p, del_manifest, &by, 1, &err));
    assert_rc(EFX_EABSENT, CALL(p, get_manifest, 1, &w, &err));
    assert_ok(CALL(p, list_manifests, 0, info, &n, &err));
    assert_int_equal(n, 1);
    assert_int_equal(info[0].no, 2);
    assert_rc(EFX_ESTALE, commit(p, 0, 1, "one", &err)); /* numbers never repeat */
}

static void everything__is_there_after_a_restart(void **state)
{
    struct place *p = *state;
    struct efx_hash id = {{7}}, out;
    place_found(p);
    struct efx_chunk_name one = put(p, 1, "one");
    assert_ok(CALL(p, identity, NULL, &id, &out, &err));
    assert_ok(commit(p, 0, 1, "manifest", &err));
    place_reopen(p);
    assert_ok(CALL(p, identity, NULL, NULL, &out, &err));
    assert_memory_equal(&out, &id, sizeof id);
    assert_chunk(p, &one, bytes_of("one"));
    assert_manifest(p, 1, "manifest");
    assert_ok(p->coord->vt->take(p->coord, &p->leader, 600000, bytes_of(""), &err));
    assert_ok(commit(p, 1, 2, "goes on in epoch 1", &err));
}

static void place__belongs_to_one_process(void **state)
{
    struct place *p = *state, other = *p;
    assert_rc(EFX_ESTALE, place_try(&other, &err));
    place_close(p);
    int said[2];
    assert_int_equal(pipe(said), 0);
    pid_t child = fork();
    if (child == 0) {
        struct efx_err err;
        char rc = place_try(p, &err) == EFX_OK;
        (void)!write(said[1], &rc, 1);
        pause();
        _exit(0);
    }
    char ok = 0;
    assert_int_equal(read(said[0], &ok, 1), 1);
    assert_true(ok);
    char pid[32];
    (void)snprintf(pid, sizeof pid, "process %d", (int)child);
    struct efx_err err = {0};
    assert_int_equal(place_try(p, &err), EFX_ESTALE);
    assert_non_null(strstr(err.msg, "in use"));
    if (p->kind == DIRECTORY) {
        assert_non_null(strstr(err.msg, pid));
    }
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    (void)close(said[0]);
    (void)close(said[1]);
    place_open(p);
}

int main(void)
{
    static const struct kit_test tests[] = {
        OVER(ANY, identity__is_compared_and_set),
        OVER(ANY, chunks__come_back_as_they_went),
        OVER(ANY, chunk__that_is_not_there_is_named),
        OVER(ANY, chunk__that_does_not_fit_is_not_cut),
        OVER(ANY, chunk__must_bear_its_own_name),
        OVER(ANY, chunk__has_a_largest_size),
        OVER(ANY, chunks__are_listed_in_order_page_by_page),
        OVER(ANY, manifest__needs_epoch_leader_term_and_last),
        OVER(ANY, manifest__committed_twice_is_committed_once),
        OVER(ANY, manifest__needs_a_lease_that_lives),
        OVER(ANY, manifests__are_listed_newest_first),
        OVER(ANY, manifest__of_the_largest_size_goes_and_comes),
        OVER(ANY, chunk__is_deleted_by_the_leader_alone),
        OVER(ANY, manifest__is_deleted_by_the_leader_alone),
        OVER(DURABLE, everything__is_there_after_a_restart),
        OVER(LOCKED, place__belongs_to_one_process),
    };
    return kit_run(tests, sizeof tests / sizeof tests[0], false);
}
