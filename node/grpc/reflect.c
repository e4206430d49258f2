/* Server reflection, v1 and v1alpha: what is served, and the files that say how.
 *
 * The files are a FileDescriptorSet of this build. None imports another, so a file is its own
 * answer. Names are looked up by walking it; nobody asks often.
 */
#include "door.h"
#include "wire.h"

enum { /* descriptor.proto */
       SET_FILE = 1,
       FILE_NAME = 1,
       FILE_PACKAGE = 2,
       FILE_MESSAGE = 4,
       FILE_ENUM = 5,
       FILE_SERVICE = 6,
       ANY_NAME = 1,
       MESSAGE_NESTED = 3,
       MESSAGE_ENUM = 4,
       SERVICE_METHOD = 2,
};

enum { /* reflection.proto */
       ASK_BY_FILENAME = 3,
       ASK_SYMBOL = 4,
       ASK_EXTENSION = 5,
       ASK_NUMBERS = 6,
       ASK_LIST = 7,
       SAY_HOST = 1,
       SAY_REQUEST = 2,
       SAY_FILES = 4,
       SAY_LIST = 6,
       SAY_ERROR = 7,
};

static struct wire wire_in(struct efx_bytes b)
{
    return (struct wire){.p = b.p, .end = b.p + b.n};
}

static struct wire all_files(void)
{
    return (struct wire){.p = efx_door__descriptors, .end = efx_door__descriptors_end};
}

/* The first field of that number, as bytes. */
static struct efx_bytes field_of(struct efx_bytes message, uint32_t wanted)
{
    struct wire w = wire_in(message);
    uint32_t field;
    enum wire_type type;
    while (wire_field(&w, &field, &type)) {
        if (field == wanted && type == WIRE_BYTES) {
            return wire_bytes(&w);
        }
        wire_skip(&w, type);
    }
    return (struct efx_bytes){(const uint8_t *)"", 0};
}

static bool is_same(struct efx_bytes a, struct efx_bytes b)
{
    return a.n == b.n && memcmp(a.p, b.p, a.n) == 0;
}

/* Takes "name" off the front of a dotted path; false = it begins with something else. */
static bool strip(struct efx_bytes *path, struct efx_bytes name)
{
    if (name.n == 0) {
        return true;
    }
    if (path->n < name.n || memcmp(path->p, name.p, name.n) != 0 ||
        (path->n > name.n && path->p[name.n] != '.')) {
        return false;
    }
    size_t n = name.n + (path->n > name.n);
    path->p += n;
    path->n -= n;
    return true;
}

/* Does this message, enum or service (or what is in it) have the name? Two levels are all that the
 * served files have; messages in messages are looked at one level down. */
static bool has_inner(struct efx_bytes decl, struct efx_bytes rest, uint32_t a, uint32_t b)
{
    struct wire w = wire_in(decl);
    uint32_t field;
    enum wire_type type;
    while (wire_field(&w, &field, &type)) {
        if ((field == a || field == b) && type == WIRE_BYTES) {
            if (is_same(field_of(wire_bytes(&w), ANY_NAME), rest)) {
                return true;
            }
        } else {
            wire_skip(&w, type);
        }
    }
    return false;
}

static bool file_has(struct efx_bytes file, struct efx_bytes symbol)
{
    struct wire w = wire_in(file);
    uint32_t field;
    enum wire_type type;
    struct efx_bytes package = field_of(file, FILE_PACKAGE);
    if (!strip(&symbol, package) || symbol.n == 0) {
        return false;
    }
    while (wire_field(&w, &field, &type)) {
        if ((field != FILE_MESSAGE && field != FILE_ENUM && field != FILE_SERVICE) ||
            type != WIRE_BYTES) {
            wire_skip(&w, type);
            continue;
        }
        struct efx_bytes decl = wire_bytes(&w), rest = symbol;
        if (!strip(&rest, field_of(decl, ANY_NAME))) {
            continue;
        }
        if (rest.n == 0 || (field == FILE_SERVICE && has_inner(decl, rest, SERVICE_METHOD, 0)) ||
            (field == FILE_MESSAGE && has_inner(decl, rest, MESSAGE_NESTED, MESSAGE_ENUM))) {
            return true;
        }
    }
    return false;
}

static bool find_file(uint32_t how, struct efx_bytes what, struct efx_bytes *out)
{
    struct wire w = all_files();
    uint32_t field;
    enum wire_type type;
    while (wire_field(&w, &field, &type)) {
        if (field != SET_FILE || type != WIRE_BYTES) {
            wire_skip(&w, type);
            continue;
        }
        *out = wire_bytes(&w);
        if (how == ASK_BY_FILENAME ? is_same(field_of(*out, FILE_NAME), what)
                                   : file_has(*out, what)) {
            return true;
        }
    }
    return false;
}

/* ---- answers ---- */

struct answer { /* grows in an arena: one of them fits */
    struct efx_arena arena;
    uint8_t *p;
    size_t n;
};

enum { ANSWER_BYTES_MAX = 256 * 1024 };

static void put(struct answer *a, uint32_t field, const void *bytes, size_t n)
{
    if (a->p != NULL && n + 16 < ANSWER_BYTES_MAX - a->n) {
        a->n = (size_t)(wire_put_bytes(a->p + a->n, field, bytes, n) - a->p);
    }
}

static void put_error(struct answer *a, uint32_t code, const char *text)
{
    uint8_t inner[256];
    uint8_t *p = wire_put_number(inner, 1, code);
    p = wire_put_bytes(p, 2, text, strlen(text));
    put(a, SAY_ERROR, inner, (size_t)(p - inner));
}

static void put_services(struct answer *a)
{
    struct wire w = all_files();
    uint32_t field;
    enum wire_type type;
    uint8_t list[2048], *l = list;
    while (wire_field(&w, &field, &type)) { /* each is a file: the set has nothing else */
        struct efx_bytes file = wire_bytes(&w);
        struct efx_bytes package = field_of(file, FILE_PACKAGE);
        struct efx_bytes name = field_of(field_of(file, FILE_SERVICE), ANY_NAME);
        uint8_t full[256], entry[300];
        if (package.n + name.n + 1 > sizeof full || name.n == 0 ||
            (size_t)(list + sizeof list - l) < sizeof entry + 8) {
            continue;
        }
        memcpy(full, package.p, package.n);
        full[package.n] = '.';
        memcpy(full + package.n + 1, name.p, name.n);
        uint8_t *e = wire_put_bytes(entry, 1, full, package.n + name.n + 1);
        l = wire_put_bytes(l, 1, entry, (size_t)(e - entry));
    }
    put(a, SAY_LIST, list, (size_t)(l - list));
}

static void put_file(struct answer *a, uint32_t how, struct efx_bytes what)
{
    struct efx_bytes file;
    if (!find_file(how, what, &file)) {
        put_error(a, EFX_GRPC_NOT_FOUND, "nothing of that name is served");
        return;
    }
    uint8_t *inner = efx_arena_bytes(&a->arena, file.n + 16);
    if (inner != NULL) {
        uint8_t *p = wire_put_bytes(inner, 1, file.p, file.n);
        put(a, SAY_FILES, inner, (size_t)(p - inner));
    }
}

static void read_ask(struct answer *a, const struct efx_bytes *pieces, uint32_t n_pieces, bool *bad)
{
    struct wire w = wire_of(pieces, n_pieces, &a->arena);
    struct efx_bytes host = {(const uint8_t *)"", 0}, what = host;
    uint32_t field, which = 0;
    enum wire_type type;
    while (wire_field(&w, &field, &type)) {
        if (field == SAY_HOST && type == WIRE_BYTES) {
            host = wire_bytes(&w);
        } else if (field >= ASK_BY_FILENAME && field <= ASK_LIST && type == WIRE_BYTES) {
            what = wire_bytes(&w);
            which = field;
        } else {
            wire_skip(&w, type);
        }
    }
    *bad = w.bad;
    put(a, SAY_HOST, host.p, host.n);
    uint8_t *inner = efx_arena_bytes(&a->arena, host.n + what.n + 32);
    if (inner != NULL) {
        uint8_t *p = wire_put_bytes(inner, 1, host.p, host.n);
        p = which == 0 ? p : wire_put_bytes(p, which, what.p, what.n);
        put(a, SAY_REQUEST, inner, (size_t)(p - inner));
    }
    switch (which) {
    case ASK_BY_FILENAME:
    case ASK_SYMBOL: put_file(a, which, what); break;
    case ASK_LIST: put_services(a); break;
    case ASK_EXTENSION:
    case ASK_NUMBERS: put_error(a, EFX_GRPC_NOT_FOUND, "nothing here has extensions"); break;
    default: put_error(a, EFX_GRPC_INVALID_ARGUMENT, "the request asks for nothing"); break;
    }
}

static void message(struct efx_grpc_call *c, const struct efx_bytes *pieces, uint32_t n)
{
    struct answer a = {.n = 0};
    bool bad;
    efx_arena_init(&a.arena, &efx_mem_libc, 8 * 1024 * 1024);
    a.p = efx_arena_bytes(&a.arena, ANSWER_BYTES_MAX);
    read_ask(&a, pieces, n, &bad);
    struct efx_grpc_buf *b = a.p == NULL || bad ? NULL : c->vt->buf(a.n);
    if (b != NULL) {
        memcpy(b->p, a.p, a.n);
        b->n = a.n;
        c->vt->send(c, b);
        if (c->queued_bytes < DOOR_QUEUE_BYTES) {
            c->vt->next(c);
        }
    } else {
        efx_door__finish_as(c, EFX_GRPC_INVALID_ARGUMENT, 4001, "the message cannot be read", NULL);
    }
    efx_arena_fini(&a.arena);
}

static void half_closed(struct efx_grpc_call *c)
{
    efx_door__finish_ok(c);
}

static void room(struct efx_grpc_call *c)
{
    c->vt->next(c);
}

void efx_door__add_reflect(struct door_table *t)
{
    static const char *const paths[] = {
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    };
    for (uint32_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        efx_door__add(
            t, &(struct efx_grpc_method){
                   .path = paths[i], .message = message, .half_closed = half_closed, .room = room});
    }
}
