/* Subscriptions and queries.
 *
 * Rows of a stream come from the app's units, one call at a time; the list of who wants them is
 * under the lock. A query runs on the loop, between two steps.
 */
#include "solo.h"

#include <stdio.h>

static void maybe_free(struct efx_rows_call *c)
{
    if (c->ended && c->cancelled) {
        efx_mem_libc.free(&efx_mem_libc, c->text, c->text_bytes);
        efx_mem_libc.free(&efx_mem_libc, c, sizeof *c);
    }
}

static void unlist(struct efx_solo *a, struct efx_rows_call *c)
{
    (void)pthread_mutex_lock(&a->lock);
    if (c->listed) {
        *c->at = c->next;
        if (c->next != NULL) {
            c->next->at = c->at;
        }
        c->listed = false;
    }
    (void)pthread_mutex_unlock(&a->lock);
}

static void end(struct efx_solo *a, struct efx_rows_call *c, const struct efx_err *why)
{
    if (!c->ended) {
        unlist(a, c);
        c->ended = true;
        c->front->ended(c->front, why);
        maybe_free(c);
    }
}

static void end_with(struct efx_solo *a, struct efx_rows_call *c, enum efx_rc rc, uint16_t code,
                     const char *text)
{
    struct efx_err why = {.rc = rc, .kind = EFX_KIND_USER, .code = code};
    (void)snprintf(why.msg, sizeof why.msg, "%.*s", (int)sizeof why.msg - 1, text);
    end(a, c, &why);
}

void efx_solo__cancel(struct efx_solo *a, struct efx_rows_call *c)
{
    c->cancelled = true;
    if (c->ended) {
        maybe_free(c);
    } else {
        end(a, c, &(struct efx_err){.rc = EFX_OK});
    }
}

void efx_solo__end_subscribers(struct efx_solo *a, const struct efx_err *why)
{
    while (a->subscribers != NULL) {
        end(a, a->subscribers, why);
    }
}

/* ---- subscribe ---- */

static const struct efx_bobject *stream_named(const struct efx_solo *a, const char *name)
{
    for (uint32_t i = 0; i < a->program->n_objects; i++) {
        const struct efx_bobject *o = a->program->objects[i];
        if (o->kind == EFX_OBJ_STREAM && o->partition == EFX_NO_COL &&
            strcmp(o->schema.name, name) == 0) {
            return o;
        }
    }
    return NULL;
}

void efx_solo__subscribe(struct efx_solo *a, struct efx_rows_call *c)
{
    char text[EFX_ERR_MSG_BYTES];
    const struct efx_bobject *o = stream_named(a, c->text);
    if (a->leaving) {
        end_with(a, c, EFX_AGAIN, 4006, "this node leaves");
    } else if (o == NULL) {
        (void)snprintf(text, sizeof text, "there is no stream '%.100s'", c->text);
        end_with(a, c, EFX_EABSENT, 1201, text);
    } else if (!efx_stream_at(a->efx, o->id)->is_derived) {
        (void)snprintf(text, sizeof text, "nothing writes '%.100s': its rows are what is submitted",
                       c->text);
        end_with(a, c, EFX_ETYPE, 1207, text);
    } else if (c->level != EFX_LEVEL_ACCEPTED) {
        end_with(a, c, EFX_EDATA, 4009, "this node runs without a store: only level ACCEPTED");
    } else {
        c->object = o->id;
        c->front->schema(c->front, &o->schema, (struct efx_bytes){NULL, 0});
        (void)pthread_mutex_lock(&a->lock);
        c->listed = true;
        c->next = a->subscribers;
        c->at = &a->subscribers;
        if (c->next != NULL) {
            c->next->at = &c->next;
        }
        a->subscribers = c;
        (void)pthread_mutex_unlock(&a->lock);
    }
}

void efx_solo_rows(void *alone, const struct efx_bobject *stream, const struct efx_rows *rows)
{
    struct efx_solo *a = alone;
    uint32_t n = efx_rows_count(rows);
    a->rows_out += n;
    if (n == 0) {
        return;
    }
    (void)pthread_mutex_lock(&a->lock);
    for (struct efx_rows_call *c = a->subscribers; c != NULL; c = c->next) {
        if (c->object == stream->id) {
            c->front->rows(c->front, rows, c->n_rows + 1, 0, (struct efx_bytes){NULL, 0});
            c->n_rows += n;
        }
    }
    (void)pthread_mutex_unlock(&a->lock);
}

/* ---- query ---- */

struct answer {
    struct efx_rows_call *c;
    struct efx_arena arena;
    struct efx_schema schema;
    uint64_t n_given;
    bool no_memory, has_columns;
};

static void take_columns(void *arg, const struct efx_stream *from)
{
    struct answer *q = arg;
    uint32_t n = from->n_columns;
    struct efx_schema_col *cols = EFX_NEW_N(&q->arena, struct efx_schema_col, n + 1);
    q->no_memory = cols == NULL;
    for (uint32_t c = 0; c < n && !q->no_memory; c++) {
        enum efx_type type = (enum efx_type)from->columns[c].type; /* the same numbers */
        cols[c] = (struct efx_schema_col){.name = from->columns[c].name, .type = type};
    }
    if (!q->no_memory) {
        q->schema = (struct efx_schema){"", n, cols};
        q->has_columns = true;
        q->c->front->schema(q->c->front, &q->schema, (struct efx_bytes){NULL, 0});
    }
}

static void take_rows(void *arg, const struct efx_rows *rows)
{
    struct answer *q = arg;
    if (q->has_columns) {
        q->c->front->rows(q->c->front, rows, q->n_given + 1, 0, (struct efx_bytes){NULL, 0});
        q->n_given += efx_rows_count(rows);
    }
}

static enum efx_rc rc_of(enum efx_code code)
{
    switch (code) {
    case EFX_RC_OK: return EFX_OK;
    case EFX_RC_SQL:
    case EFX_RC_USE: return EFX_EPARSE;
    case EFX_RC_DATA: return EFX_EDATA;
    case EFX_RC_MEMORY: return EFX_ELIMIT;
    case EFX_RC_ENV: return EFX_EIO;
    case EFX_RC_BUG: break;
    }
    return EFX_EBUG;
}

/* The statement's number among its session's rows. False: the call has ended. */
static bool takes_its_turn(struct efx_solo *a, struct efx_rows_call *c, struct session **out)
{
    bool known;
    *out = NULL;
    if (c->session[0] == '\0' || c->seq == 0) {
        return true;
    }
    struct session *t = efx_solo__session(a, c->session, &known);
    if (t == NULL) {
        end_with(a, c, EFX_ELIMIT, 4005, "limit session.max, 65536, is reached");
    } else if (c->seq < t->next_seq) {
        c->front->changed(c->front, 0, efx_app_now(a->app)->no, true);
        end(a, c, &(struct efx_err){.rc = EFX_OK});
    } else if (c->seq > t->next_seq) {
        char text[64];
        (void)snprintf(text, sizeof text, "row %llu comes next", (unsigned long long)t->next_seq);
        end_with(a, c, EFX_DONE, 4007, text);
    }
    *out = t;
    return !c->ended;
}

void efx_solo__query(struct efx_solo *a, struct efx_rows_call *c)
{
    struct answer q = {.c = c};
    struct efx_lib_answer to = {.columns = take_columns, .rows = take_rows, .arg = &q};
    struct efx_error err = {0};
    struct session *t = NULL;
    uint64_t changed = 0;
    if (c->level != EFX_LEVEL_ACCEPTED) {
        end_with(a, c, EFX_EDATA, 4009, "this node runs without a store: only level ACCEPTED");
        return;
    }
    if (!takes_its_turn(a, c, &t)) {
        return;
    }
    efx_arena_init(&q.arena, &efx_mem_libc, SIZE_MAX);
    enum efx_code code = efx_lib_query(a->efx, c->text, &to, &changed, &err);
    if (code == EFX_RC_OK && q.no_memory) {
        end_with(a, c, EFX_ENOMEM, 4005, "out of memory");
    } else if (code != EFX_RC_OK) {
        end_with(a, c, rc_of(code), err.efx, err.msg);
    } else {
        if (t != NULL) {
            t->next_seq++;
            if (t->open != NULL) {
                t->open->ack.accepted = t->next_seq - 1;
                t->open->touched = true;
            }
        }
        c->front->changed(c->front, changed, efx_app_now(a->app)->no, false);
        end(a, c, &(struct efx_err){.rc = EFX_OK});
    }
    efx_arena_fini(&q.arena);
}
