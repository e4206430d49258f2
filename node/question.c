/* Questions on tables (C22): on-demand statements, asked at any member.
 *
 *   door ─► bound here, or refused ─► QUERY item ─► tick ─► behind it, at the member that has the
 *   statement's tables: run ─► ANSWER: columns, rows …, end ─► the asker's door
 *
 * A statement with a session takes a row number in it (C16): whoever sends it again is told that it
 * ran before. A statement that changes can be answered when its change is COMMITTED.
 *
 *   Limits   TEXT_MAX of a statement; messages of about MESSAGE_BYTES. Who is not answered within
 *            barrier.timeout is told so
 *   Errors   EFX_AGAIN: not answered, or a channel epoch ended before. Another member's error comes
 *            as it was there
 *   Threads  node_question_answer: the engine's; the rest the loop's
 *   Source   cluster.md C16, C22
 */
#include "node.h"

#include "efx_wire.h"

enum { TEXT_MAX = 1024 * 1024, MESSAGE_BYTES = 8 * 1024 * 1024 };

enum what { COLUMNS = 1, ROWS, END };

struct node_asking { /* a question of a door here */
    struct node_asking *next;
    struct efx_rows_front *front;
    uint64_t call, seq, tick; /* 0: no tick has it yet */
    uint64_t asked_ns, n_rows, changed;
    enum efx_level level;
    char session[EFX_SESSION_BYTES_MAX + 1];
    bool changes;
    bool asked;    /* its item is on its way */
    bool heard;    /* something of the answer has come */
    bool answered; /* all of it; COMMITTED waits for its checkpoint */
    bool repeat, ended;
    struct efx_arena arena;
    struct efx_schema schema;
    size_t n_text;
    char text[];
};

static struct node_asking *asking_of(struct efx_node *n, uint64_t call)
{
    struct node_asking *q = n->askings;
    while (q != NULL && (q->call != call || q->ended)) {
        q = q->next;
    }
    return q;
}

static void end(struct node_asking *q, const struct efx_err *why)
{
    if (!q->ended) {
        q->ended = true;
        q->front->ended(q->front, why);
    }
}

static void end_with(struct node_asking *q, enum efx_rc rc, const char *why)
{
    struct efx_err err = {.rc = rc, .kind = EFX_KIND_ENV};
    (void)snprintf(err.msg, sizeof err.msg, "%s", why);
    end(q, &err);
}

static void sweep(struct efx_node *n)
{
    for (struct node_asking **at = &n->askings; *at != NULL;) {
        struct node_asking *q = *at;
        if (q->ended) {
            *at = q->next;
            efx_arena_fini(&q->arena);
            efx_mem_libc.free(&efx_mem_libc, q, sizeof *q + q->n_text);
        } else {
            at = &q->next;
        }
    }
}

void node_question_end(struct efx_node *n, const struct efx_err *why)
{
    struct efx_err err = *why;
    err.rc = err.rc == EFX_OK ? EFX_AGAIN : err.rc;
    for (struct node_asking *q = n->askings; q != NULL; q = q->next) {
        end(q, &err);
    }
    sweep(n);
}

/* ---- where the tables are; on the engine's thread ---- */

struct reply {
    struct efx_node *node;
    const struct node_question *q;
    bool too_large;
};

static void reply_begin(const struct reply *r, struct efx_buf *b, enum what what)
{
    efx_buf_init(b, &efx_mem_libc);
    efx_buf_u64(b, node_engine_record(r->node->engine)->channel);
    efx_buf_u64(b, r->q->call);
    efx_buf_u8(b, (uint8_t)what);
}

static void reply_send(const struct reply *r, struct efx_buf *b)
{
    node_watch_hand_over(r->node, r->q->member, NODE_MSG_ANSWER, b);
    efx_buf_fini(b);
}

static void reply_columns(void *arg, const struct efx_stream *columns)
{
    const struct reply *r = arg;
    struct efx_buf b;
    reply_begin(r, &b, COLUMNS);
    efx_buf_u32(&b, columns->n_columns);
    for (uint32_t c = 0; c < columns->n_columns; c++) {
        efx_buf_u8(&b, (uint8_t)columns->columns[c].type);
        efx_buf_text(&b, columns->columns[c].name, strlen(columns->columns[c].name));
    }
    reply_send(r, &b);
}

/* Halved until a message is not too large, or one row is. */
static void reply_rows(void *arg, const struct efx_rows *rows)
{
    struct reply *r = arg;
    for (uint32_t from = rows->from, n = rows->until - from; from < rows->until;) {
        struct efx_rows slice = {rows->b, from, n < rows->until - from ? from + n : rows->until};
        struct efx_buf b;
        reply_begin(r, &b, ROWS);
        efx_wire_put(&b, &slice);
        if (b.n > MESSAGE_BYTES && slice.until - from > 1) {
            n = (slice.until - from) / 2;
            efx_buf_fini(&b);
            continue;
        }
        from = slice.until;
        if (b.n > MESSAGE_BYTES) {
            r->too_large = true;
            efx_buf_fini(&b);
            return;
        }
        reply_send(r, &b);
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

static struct efx_err err_of(enum efx_code code, const struct efx_error *from)
{
    struct efx_err err = {.rc = rc_of(code), .kind = EFX_KIND_USER, .code = from->efx};
    (void)snprintf(err.msg, sizeof err.msg, "%.*s", (int)sizeof err.msg - 1, from->msg);
    return err;
}

static void reply_end(const struct reply *r, uint64_t changed, const struct efx_err *why)
{
    struct efx_buf b;
    reply_begin(r, &b, END);
    efx_buf_u64(&b, node_engine_tick_now(r->node->engine));
    efx_buf_u64(&b, changed);
    efx_buf_u32(&b, (uint32_t)why->rc);
    efx_buf_u32(&b, why->code);
    efx_buf_text(&b, why->msg, strlen(why->msg));
    reply_send(r, &b);
}

void node_question_answer(void *arg, struct efx *app, const struct node_question *question)
{
    struct reply r = {.node = arg, .q = question};
    const struct efx_lib_answer to = {.columns = reply_columns, .rows = reply_rows, .arg = &r};
    struct efx_err why = {.rc = EFX_OK};
    struct efx_lib_look look;
    struct efx_error err = {0};
    struct efx_arena arena;
    uint64_t changed = 0;
    efx_arena_init(&arena, &efx_mem_libc, SIZE_MAX);
    const char *sql = efx_arena_str(&arena, (const char *)question->text.p, question->text.n);
    EFX_ASSERT(sql != NULL);
    enum efx_code code = efx_lib_look(app, sql, &look, &err);
    if (code == EFX_RC_OK && !look.first_here) {
        efx_arena_fini(&arena);
        return; /* another member's */
    }
    if (code == EFX_RC_OK && !look.all_here) {
        code = EFX_RC_SQL;
        err.efx = 9001;
        (void)snprintf(err.msg, sizeof err.msg,
                       "tables of different members in one statement are not built yet");
    }
    code = code == EFX_RC_OK ? efx_lib_query(app, sql, &to, &changed, &err) : code;
    if (code != EFX_RC_OK) {
        why = err_of(code, &err);
    } else if (r.too_large) {
        why = (struct efx_err){.rc = EFX_ELIMIT, .kind = EFX_KIND_USER, .code = 4005};
        (void)snprintf(why.msg, sizeof why.msg, "a row has more than %d bytes", MESSAGE_BYTES);
    }
    reply_end(&r, changed, &why);
    efx_arena_fini(&arena);
}

/* ---- the answer, at the asker ---- */

/* C12: a fenced node says nothing; C9: `committed` is said when the manifest stands. */
static void settle(struct efx_node *n, struct node_asking *q)
{
    bool waits = q->changes && q->level == EFX_LEVEL_COMMITTED && n->kept_tick < q->tick;
    if (q->ended || !q->answered || waits || node_is_fenced(n)) {
        return;
    }
    struct efx_err ok = {.rc = EFX_OK};
    q->front->changed(q->front, q->changed, q->tick, q->repeat);
    end(q, &ok);
}

static void take_columns(struct node_asking *q, struct efx_reader *r)
{
    uint32_t n = efx_get_u32(r);
    struct efx_schema_col *cols =
        r->bad || n > EFX_WIRE_COLS_MAX ? NULL : EFX_NEW_N(&q->arena, struct efx_schema_col, n + 1);
    for (uint32_t c = 0; cols != NULL && c < n; c++) {
        enum efx_type type = (enum efx_type)efx_get_u8(r);
        struct efx_bytes name = efx_get_text(r);
        cols[c] = (struct efx_schema_col){
            .name = efx_arena_str(&q->arena, (const char *)name.p, name.n), .type = type};
    }
    if (cols == NULL || r->bad) {
        end_with(q, EFX_EBUG, "another member's answer cannot be read");
        return;
    }
    q->schema = (struct efx_schema){.name = "", .n_cols = n, .cols = cols};
    q->front->schema(q->front, &q->schema, (struct efx_bytes){0});
}

static void take_rows(struct node_asking *q, struct efx_reader *r)
{
    struct efx_arena arena;
    struct efx_batch b;
    efx_arena_init(&arena, &efx_mem_libc, SIZE_MAX);
    if (efx_wire_get(r, &arena, &b) != EFX_OK || b.n_cols != q->schema.n_cols) {
        end_with(q, EFX_EBUG, "another member's answer cannot be read");
    } else {
        struct efx_rows rows = efx_rows_all(&b);
        q->front->rows(q->front, &rows, q->n_rows + 1, 0, (struct efx_bytes){0});
        q->n_rows += b.n_rows;
    }
    efx_arena_fini(&arena);
}

static void take_end(struct efx_node *n, struct node_asking *q, struct efx_reader *r)
{
    struct efx_err why = {.kind = EFX_KIND_USER};
    q->tick = efx_get_u64(r);
    q->changed = efx_get_u64(r);
    why.rc = (enum efx_rc)(int32_t)efx_get_u32(r);
    why.code = (uint16_t)efx_get_u32(r);
    struct efx_bytes msg = efx_get_text(r);
    if (r->bad) {
        end_with(q, EFX_EBUG, "another member's answer cannot be read");
    } else if (why.rc != EFX_OK) {
        (void)snprintf(why.msg, sizeof why.msg, "%.*s", (int)msg.n, (const char *)msg.p);
        end(q, &why);
    } else {
        q->answered = true;
        settle(n, q);
    }
}

void node_question_message(struct efx_node *n, struct efx_bytes body)
{
    struct efx_reader r = {body.p, body.n, false};
    uint64_t channel = efx_get_u64(&r), call = efx_get_u64(&r);
    uint8_t what = efx_get_u8(&r);
    struct node_asking *q = r.bad ? NULL : asking_of(n, call);
    if (q == NULL || n->record == NULL || channel != n->record->channel || q->answered ||
        node_is_fenced(n)) {
        return;
    }
    q->heard = true;
    switch (what) {
    case COLUMNS: take_columns(q, &r); break;
    case ROWS: take_rows(q, &r); break;
    case END: take_end(n, q, &r); break;
    default: break;
    }
    sweep(n);
}

/* ---- ticks, marks, epochs ---- */

/* Into the next part. */
void node_question_pump(struct efx_node *n)
{
    if (n->phase != NODE_RUNNING || n->ticks.stopped != 0) {
        return;
    }
    for (struct node_asking *q = n->askings; q != NULL; q = q->next) {
        if (q->asked || q->ended || !node_part_has_room(n, q->n_text, 0)) {
            continue;
        }
        struct node_item item = {.kind = NODE_ITEM_QUERY,
                                 .session = {(const uint8_t *)q->session, strlen(q->session)},
                                 .call = q->call,
                                 .first_seq = q->seq,
                                 .bytes = {(const uint8_t *)q->text, q->n_text - 1}};
        q->asked = node_item_add(n, &item);
    }
}

bool node_question_tick(struct efx_node *n, uint32_t member, const struct node_item *item,
                        int64_t wall_ms)
{
    struct node_asking *own = member == n->self ? asking_of(n, item->call) : NULL;
    uint64_t next_seq = 0;
    enum efx_rc rc =
        item->session.n == 0 ? EFX_OK : node_calls_question(n, item, wall_ms, &next_seq);
    if (own != NULL) {
        own->tick = n->ticks.next;
    }
    if (own != NULL && rc == EFX_DONE) {
        own->answered = own->repeat = true;
        settle(n, own);
    } else if (own != NULL && rc == EFX_EDATA) {
        char why[64];
        (void)snprintf(why, sizeof why, "row %llu comes next", (unsigned long long)next_seq);
        end_with(own, EFX_DONE, why);
    } else if (own != NULL && rc != EFX_OK) {
        end_with(own, EFX_ELIMIT, "too many sessions (session.max)");
    }
    sweep(n);
    return rc == EFX_OK;
}

/* A checkpoint stands. */
void node_question_kept(struct efx_node *n)
{
    for (struct node_asking *q = n->askings; q != NULL; q = q->next) {
        settle(n, q);
    }
    sweep(n);
}

/* With the beat. */
void node_question_look(struct efx_node *n)
{
    uint64_t max_ns = (uint64_t)n->conf.barrier_timeout_ms * 1000000;
    for (struct node_asking *q = n->askings; q != NULL; q = q->next) {
        settle(n, q);
        if (!q->answered && node_now_ns(n) - q->asked_ns > max_ns && !node_is_fenced(n)) {
            end_with(q, EFX_AGAIN, "no member has answered in barrier.timeout");
        }
    }
    sweep(n);
}

/* A channel epoch begins. What was in a tick of the last one may have run; what was in none is
 * asked anew, or stands in the part that goes on. */
void node_question_epoch(struct efx_node *n, bool rewind)
{
    for (struct node_asking *q = n->askings; q != NULL; q = q->next) {
        if (q->tick != 0 || q->heard) {
            end_with(q, EFX_AGAIN, "the cluster's members have changed before the answer");
        }
        q->asked = q->asked && !rewind;
    }
    sweep(n);
}

/* ---- doors ---- */

static void on_query(struct efx_node *n, struct node_inbox *m)
{
    struct node_asking *q = m->p;
    struct efx_lib_look look;
    struct efx_error err = {0};
    q->next = n->askings;
    n->askings = q;
    q->asked_ns = node_now_ns(n);
    enum efx_code code =
        n->app == NULL ? EFX_RC_OK : efx_lib_look(n->app->efx, q->text, &look, &err);
    if (n->phase == NODE_ENDED || n->leaving || n->app == NULL) {
        end_with(q, EFX_AGAIN, n->app == NULL ? "no app runs here yet" : "this node leaves");
    } else if (q->level == EFX_LEVEL_COMMITTED && n->store == NULL) {
        end_with(q, EFX_EDATA, "there is no store: only level ACCEPTED");
    } else if (q->level == EFX_LEVEL_LOGGED) {
        end_with(q, EFX_EPARSE, "a statement is answered at level ACCEPTED or COMMITTED");
    } else if (q->n_text > TEXT_MAX) {
        end_with(q, EFX_ELIMIT, "the statement has more than 1 MiB");
    } else if (code != EFX_RC_OK) {
        struct efx_err why = err_of(code, &err);
        end(q, &why);
    } else {
        q->changes = look.changes;
    }
    sweep(n);
    node_tick_pump(n);
}

void node_query(struct efx_service *self, const struct efx_query_ask *ask,
                struct efx_rows_front *front, struct efx_rows_call **out)
{
    struct efx_node *n = (struct efx_node *)self;
    size_t n_text = strlen(ask->sql) + 1;
    struct node_asking *q = efx_mem_libc.alloc(&efx_mem_libc, sizeof *q + n_text);
    EFX_ASSERT(q != NULL);
    memset(q, 0, sizeof *q);
    q->front = front;
    q->level = ask->level;
    q->call = n->conf.loop->vt->random(n->conf.loop) | 1;
    efx_arena_init(&q->arena, &efx_mem_libc, SIZE_MAX);
    if (ask->session[0] != '\0' && ask->seq != 0) {
        memcpy(q->session, ask->session, sizeof q->session);
        q->session[sizeof q->session - 1] = '\0';
        q->seq = ask->seq;
    }
    q->n_text = n_text;
    memcpy(q->text, ask->sql, n_text);
    *out = node_handle(q->call);
    struct node_inbox *m = node_inbox_new(on_query, "");
    m->p = q;
    node_post(n, m);
}

bool node_question_cancel(struct efx_node *n, uint64_t call)
{
    struct node_asking *q = asking_of(n, call);
    struct efx_err why = {.rc = EFX_DONE};
    if (q != NULL) {
        end(q, &why);
        sweep(n);
    }
    return q != NULL;
}
