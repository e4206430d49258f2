/* Inputs: --input files and the app's sources, as lanes into the app's builder. */
#include "run.h"

#include "csv.h"
#include "efx_time.h"
#include "table.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MERGE_TURNS = 1024, TELL_PER_SECOND = 10 };

static uint64_t now_ns(void)
{
    struct efx_world *w = efx_world_real();
    return w->clock->monotonic_ns(w);
}

uint32_t run_props(struct efx_arena *a, const struct efx_ast_props *raw, struct efx_prop **out)
{
    uint32_t n = raw == NULL ? 0 : raw->n;
    *out = EFX_NEW_N(a, struct efx_prop, n + 1);
    for (uint32_t i = 0; *out != NULL && i < n; i++) {
        (*out)[i] = (struct efx_prop){raw->v[i].key, raw->v[i].value};
    }
    return *out == NULL ? 0 : n;
}

/* ---- what could not be taken ---- */

/* The name in "stream":"name" of an event line; n = 0: it has none. */
static struct efx_str stream_named(struct efx_str line)
{
    static const char key[] = "\"stream\"";
    const char *end = line.p + line.n, *p = line.p;
    while (p + sizeof key - 1 < end && memcmp(p, key, sizeof key - 1) != 0) {
        p++;
    }
    p += sizeof key - 1;
    while (p < end && (*p == ' ' || *p == ':' || *p == '\t')) {
        p++;
    }
    const char *from = p + 1, *until = from;
    if (p >= end || *p != '"') {
        return (struct efx_str){NULL, 0};
    }
    while (until < end && *until != '"') {
        until++;
    }
    return (struct efx_str){from, until < end ? (uint32_t)(until - from) : 0};
}

/* An event line that names no stream of the app: which one, and what it may have meant. */
static bool tell_unknown(const struct efx_builder *b, const struct efx_reject *r, const char *input)
{
    enum { NAMES_MAX = 256 };
    struct efx_str line = {(const char *)efx_cell_bytes(&r->original), r->original.len};
    struct efx_str stream =
        r->stream == EFX_TURN_REJECT ? stream_named(line) : (struct efx_str){NULL, 0};
    const char *names[NAMES_MAX];
    uint32_t n = 0;
    for (uint32_t i = 0; i < b->n_streams && n < NAMES_MAX; i++) {
        if (b->schemas[i] != NULL && efx_str_equal(efx_str_of(b->schemas[i]->name), stream)) {
            return false;
        }
        if (b->schemas[i] != NULL) {
            names[n++] = b->schemas[i]->name;
        }
    }
    if (stream.n == 0 || stream.n > 100) {
        return false;
    }
    char word[128];
    (void)snprintf(word, sizeof word, EFX_STR_FMT, EFX_STR_ARG(stream));
    const char *near = opts_nearest(word, names, n);
    (void)fprintf(stderr, "efx: %s line %u: %s: no stream '%s' takes events%s%s%s\n", input,
                  r->line, efx_errors_text(r->code), word, near != NULL ? "; did you mean '" : "",
                  near != NULL ? near : "", near != NULL ? "'?" : "");
    return true;
}

/* error.log-level: as everywhere in the log, trace and debug are not shown. */
static bool is_quiet(const struct run_in *in, const struct efx_reject *r)
{
    const struct efx_bobject *o =
        r->stream < in->program->n_objects ? in->program->objects[r->stream] : NULL;
    const char *level = o != NULL && o->kind == EFX_OBJ_STREAM ? o->conf.error_log_level : NULL;
    return level != NULL && (strcmp(level, "trace") == 0 || strcmp(level, "debug") == 0);
}

void run_in_tell(struct run_in *in, const struct efx_builder *b, uint32_t *told, const char *name)
{
    for (; *told < b->n_rejects; ++*told) {
        const struct efx_reject *r = &b->rejects[*told];
        if (is_quiet(in, r)) {
            continue; /* counted */
        }
        uint64_t second = now_ns() / 1000000000;
        in->n_told_now = second == in->told_second ? in->n_told_now + 1 : 1;
        in->told_second = second;
        if (in->n_told_now > TELL_PER_SECOND) {
            continue; /* counted in the summary */
        }
        if (tell_unknown(b, r, name)) {
            continue;
        }
        const char *text = (const char *)efx_cell_bytes(&r->original);
        int n = r->original.len > 80 ? 80 : (int)r->original.len;
        (void)fprintf(stderr, "efx: %s line %u: %s: %.*s%s\n", name, r->line,
                      efx_errors_text(r->code), n, text, r->original.len > 80 ? "…" : "");
    }
}

/* ---- opening ---- */

static struct run_lane *add_lane(struct run_in *in, struct efx_source *source,
                                 struct efx_format *format, const char *name)
{
    struct run_lane *l = &in->lanes[in->n_lanes++];
    efx_lane_init(&l->lane, &in->arena, source, format, name);
    return l;
}

static bool ends_with(const char *s, size_t n, const char *ending)
{
    size_t k = strlen(ending);
    return n > k && strncmp(s + n - k, ending, k) == 0;
}

static bool is_csv(const char *path)
{
    size_t n = strlen(path);
    n -= ends_with(path, n, ".zst") ? 4 : ends_with(path, n, ".gz") ? 3 : 0;
    return ends_with(path, n, ".csv");
}

/* The schemas that an input may fill: all, or one. */
static const struct efx_schema *const *schemas_for(struct run_in *in, uint32_t only)
{
    struct efx_builder *b = efx_app_builder(in->app);
    if (only == EFX_NO_COL) {
        return b->schemas;
    }
    const struct efx_schema **one =
        EFX_NEW_N(&in->arena, const struct efx_schema *, b->n_streams + 1);
    if (one != NULL) {
        one[only] = b->schemas[only];
    }
    return one;
}

static bool has_prop(const struct efx_prop *p, uint32_t n, const char *key)
{
    for (uint32_t i = 0; i < n; i++) {
        if (strcmp(p[i].key, key) == 0) {
            return true;
        }
    }
    return false;
}

/* Of a stream's own file: its format options if they are of that format; CSV begins with a header
 * unless they say something about it. */
static const void *conf_for(struct run_in *in, const struct efx_bobject *b, bool csv,
                            const struct efx_prop *props, uint32_t n_props)
{
    const struct efx_plugin *wanted = csv ? &efx_csv_format_vt.base : &efx_json_format_vt.base;
    bool own = b->kind == EFX_OBJ_STREAM && b->conf.format == wanted;
    if (!csv) {
        return own ? b->conf.format_conf : NULL;
    }
    if (!own) {
        return cli_csv_conf();
    }
    struct csv_conf *conf = EFX_NEW(&in->arena, struct csv_conf);
    if (conf != NULL) {
        *conf = *(const struct csv_conf *)b->conf.format_conf;
        conf->has_header = conf->has_header || !has_prop(props, n_props, "csv.has-header");
    }
    return conf;
}

static int report(const char *who, const struct efx_err *err)
{
    return cli_fail(err->kind == EFX_KIND_USER ? CLI_USER : CLI_FAILED, "efx run: %s%s%s", who,
                    who[0] != '\0' ? ": " : "", err->msg);
}

static int open_input(struct run_in *in, uint32_t only, const char *path)
{
    struct efx_err err = {0};
    struct efx_format *format;
    struct efx_source *source;
    struct efx_format_open how = {.streams = schemas_for(in, only),
                                  .arena = &in->arena,
                                  .n_streams = efx_app_builder(in->app)->n_streams};
    const struct efx_format_vt *vt = &efx_events_format_vt;
    if (only != EFX_NO_COL) {
        const struct efx_bobject *b = in->program->objects[only];
        bool csv = is_csv(path);
        struct efx_prop *props;
        how.n_props = run_props(&in->arena, b->kind == EFX_OBJ_STREAM ? b->conf.raw : NULL, &props);
        how.props = props;
        how.conf = conf_for(in, b, csv, props, how.n_props);
        if (b->kind != EFX_OBJ_STREAM ||
            b->conf.format != (csv ? &efx_csv_format_vt.base : &efx_json_format_vt.base)) {
            how.n_props = 0;
        }
        vt = csv ? &efx_csv_format_vt : &efx_json_format_vt;
    }
    struct efx_input_conf conf = {path};
    struct efx_source_open open = {.conf = &conf, .arena = &in->arena};
    if (efx_source_make(&efx_input_source_vt, &open, efx_world_real(), &source, &err) != EFX_OK ||
        efx_format_make(vt, &how, &format, &err) != EFX_OK) {
        return report("", &err);
    }
    struct run_lane *l =
        add_lane(in, source, format, strcmp(path, "-") == 0 ? "standard input" : path);
    l->input = l->merges = true;
    l->id =
        efx_arena_printf(&in->arena, "input:%s=%s",
                         only == EFX_NO_COL ? "" : in->program->objects[only]->schema.name, path);
    return l->id != NULL ? -1 : cli_fail(CLI_FAILED, "efx run: out of memory");
}

/* STREAM=F if what stands before '=' is a stream that takes events. */
static int open_named(struct run_in *in, const char *text)
{
    const char *eq = strchr(text, '=');
    const struct efx_builder *b = efx_app_builder(in->app);
    const char *names[256];
    uint32_t n = 0;
    if (eq == NULL || access(text, R_OK) == 0) {
        return open_input(in, EFX_NO_COL, text);
    }
    struct efx_str name = {text, (uint32_t)(eq - text)};
    for (uint32_t i = 0; i < b->n_streams; i++) {
        if (b->schemas[i] == NULL) {
            continue;
        }
        if (efx_str_equal(efx_str_of(b->schemas[i]->name), name)) {
            return open_input(in, i, eq + 1);
        }
        if (n < 256) {
            names[n++] = b->schemas[i]->name;
        }
    }
    char word[128];
    (void)snprintf(word, sizeof word, EFX_STR_FMT, EFX_STR_ARG(name));
    const char *near = opts_nearest(word, names, n);
    return cli_fail(CLI_USER, "efx run: --input: no stream '%s' takes events%s%s%s", word,
                    near != NULL ? "; did you mean '" : "", near != NULL ? near : "",
                    near != NULL ? "'?" : "");
}

static int open_source(struct run_in *in, const struct efx_bobject *b)
{
    const struct efx_source_vt *vt = (const struct efx_source_vt *)b->conf.connector;
    const struct efx_schema *const *schemas = schemas_for(in, b->id);
    struct efx_err err = {0};
    struct efx_format *format = NULL;
    struct efx_source *source;
    struct efx_prop *props;
    uint32_t n_props = run_props(&in->arena, b->conf.raw, &props);
    uint32_t n = efx_app_builder(in->app)->n_streams;
    struct efx_source_open open = {.conf = b->conf.connector_conf,
                                   .props = props,
                                   .n_props = n_props,
                                   .streams = schemas,
                                   .n_streams = n,
                                   .stream = (uint16_t)b->id,
                                   .arena = &in->arena};
    struct efx_format_open how = {.conf = b->conf.format_conf,
                                  .props = props,
                                  .n_props = n_props,
                                  .streams = schemas,
                                  .n_streams = n,
                                  .arena = &in->arena};
    if (efx_source_make(vt, &open, efx_world_real(), &source, &err) != EFX_OK) {
        return report(b->schema.name, &err);
    }
    if (vt->fill == NULL && efx_format_make((const struct efx_format_vt *)b->conf.format, &how,
                                            &format, &err) != EFX_OK) {
        vt->close(source);
        return report(b->schema.name, &err);
    }
    struct run_lane *l = add_lane(in, source, format, b->schema.name);
    l->merges = vt == &efx_nexmark_source_vt;
    l->id = efx_arena_printf(&in->arena, "source:%s", b->schema.name);
    return l->id != NULL ? -1 : cli_fail(CLI_FAILED, "efx run: out of memory");
}

static int open_merge(struct run_in *in)
{
    const struct efx_builder *b = efx_app_builder(in->app);
    uint32_t n = 0;
    for (uint32_t i = 0; i < in->n_lanes; i++) {
        n += in->lanes[i].merges;
    }
    in->merging = n > 1;
    for (uint32_t i = 0; in->merging && i < in->n_lanes; i++) {
        struct run_lane *l = &in->lanes[i];
        if (l->merges && efx_builder_create(&in->arena, &efx_mem_libc, b->schemas, b->n_streams,
                                            MERGE_TURNS, &l->own) != EFX_OK) {
            return cli_fail(CLI_FAILED, "efx run: out of memory");
        }
    }
    return -1;
}

int run_in_open(struct run_in *in, struct efx *app, const struct opt_list *inputs)
{
    *in = (struct run_in){.efx = app, .app = efx_lib_app(app), .program = efx_lib_program(app)};
    efx_arena_init(&in->arena, &efx_mem_libc, SIZE_MAX);
    in->lanes = EFX_NEW_N(&in->arena, struct run_lane, inputs->n + in->program->n_objects + 1);
    int status = in->lanes == NULL ? CLI_FAILED : -1;
    for (uint32_t i = 0; i < inputs->n && status < 0; i++) {
        status = open_named(in, inputs->v[i]);
    }
    for (uint32_t i = 0; i < in->program->n_objects && status < 0; i++) {
        const struct efx_bobject *b = in->program->objects[i];
        if (b->kind == EFX_OBJ_STREAM && b->conf.role == EFX_ROLE_SOURCE &&
            b->conf.connector != NULL) {
            status = open_source(in, b);
        }
    }
    return status < 0 ? open_merge(in) : status;
}

void run_in_close(struct run_in *in)
{
    for (uint32_t i = 0; i < in->n_lanes; i++) {
        if (in->lanes[i].own != NULL) {
            efx_builder_close(in->lanes[i].own);
        }
        efx_lane_close(&in->lanes[i].lane);
    }
    efx_arena_fini(&in->arena);
}

/* ---- straight ---- */

static enum efx_rc submit(struct run_in *in)
{
    in->n_told = 0;
    return efx_app_submit(in->app);
}

static enum run_in_state pump_lane(struct run_in *in, struct run_lane *l, struct efx_err *err)
{
    if (l->ended) {
        return RUN_IN_ENDED;
    }
    if (l->ready_ns > 0 && now_ns() < l->ready_ns) {
        return RUN_IN_IDLE;
    }
    struct efx_builder *b = efx_app_builder(in->app);
    enum efx_lane_state state = efx_lane_pump(&l->lane, b, err);
    run_in_tell(in, b, &in->n_told, l->lane.name);
    l->ready_ns = 0;
    switch (state) {
    case EFX_LANE_MORE: return RUN_IN_MORE;
    case EFX_LANE_FULL: return submit(in) == EFX_OK ? RUN_IN_MORE : RUN_IN_ENDED;
    case EFX_LANE_IDLE:
        l->ready_ns = l->input ? 0 : now_ns() + l->lane.source->wait_ns;
        return RUN_IN_IDLE;
    case EFX_LANE_ENDED: l->ended = true; return RUN_IN_ENDED;
    case EFX_LANE_FAILED: return RUN_IN_FAILED;
    }
    return RUN_IN_FAILED;
}

/* ---- merge ---- */

/* The timestamp of a lane's next turn; what has none is taken at once. */
static int64_t head_ms(const struct run_in *in, const struct run_lane *l)
{
    struct efx_turn t = l->own->turns[l->at];
    if (t.stream >= l->own->n_streams) {
        return INT64_MIN;
    }
    const struct efx_bobject *b = in->program->objects[t.stream];
    const struct efx_colset *s = l->own->set[t.stream];
    uint32_t c =
        b->kind == EFX_OBJ_STREAM && b->conf.raw != NULL ? b->conf.event_time_col : EFX_NO_COL;
    if (c == EFX_NO_COL || c >= s->n_cols || !efx_bit(s->valid[c], t.row)) {
        return s->ts_ms[t.row];
    }
    if (b->schema.cols[c].type == EFX_TYPE_LONG) {
        return ((const int64_t *)s->data[c])[t.row];
    }
    const struct efx_cell *cell = (const struct efx_cell *)s->data[c] + t.row;
    int64_t ms;
    bool ok = efx_time_parse(b->conf.event_time_format, (const char *)efx_cell_bytes(cell),
                             cell->len, &ms);
    return ok ? ms : INT64_MIN;
}

static enum efx_rc copy_row(const struct efx_colset *from, uint32_t row,
                            const struct efx_schema *schema, struct efx_builder *to)
{
    struct efx_colset *s;
    EFX_RET(efx_builder_begin(to, from->stream, from->ts_ms[row], &s));
    for (uint32_t c = 0; c < s->n_cols; c++) {
        if (!efx_bit(from->valid[c], row)) {
            continue;
        }
        if (efx_type_is_cell(schema->cols[c].type)) {
            const struct efx_cell *cell = (const struct efx_cell *)from->data[c] + row;
            EFX_RET(efx_builder_text(to, s, c, efx_cell_bytes(cell), cell->len));
        } else {
            struct efx_col col = {schema->cols[c].type, from->data[c], NULL};
            efx_col_copy_slot(s->data[c], s->n_rows, &col, row);
            efx_builder_valid(s, c);
        }
    }
    efx_builder_end(to, s);
    return EFX_OK;
}

static enum efx_rc copy_turn(struct run_in *in, struct run_lane *l)
{
    struct efx_builder *to = efx_app_builder(in->app), *own = l->own;
    if (efx_builder_full(to)) {
        EFX_RET(submit(in));
        to = efx_app_builder(in->app);
    }
    struct efx_turn t = own->turns[l->at++];
    if (t.stream == EFX_TURN_CLOCK) {
        return efx_builder_advance(to, own->clock_ms[t.row]);
    }
    if (t.stream == EFX_TURN_REJECT) {
        const struct efx_reject *r = &own->rejects[t.row];
        return efx_builder_reject(to, r->stream, r->code, r->line, efx_cell_bytes(&r->original),
                                  r->original.len);
    }
    return copy_row(own->set[t.stream], t.row, own->schemas[t.stream], to);
}

/* Brings turns into the lane's own builder. IDLE: it has none, and none came. */
static enum run_in_state fill_lane(struct run_in *in, struct run_lane *l, struct efx_err *err)
{
    while (l->at == l->own->n_turns && !l->ended) {
        efx_builder_clear(l->own);
        l->at = l->n_told = 0;
        enum efx_lane_state state = efx_lane_pump(&l->lane, l->own, err);
        run_in_tell(in, l->own, &l->n_told, l->lane.name);
        if (state == EFX_LANE_FAILED) {
            return RUN_IN_FAILED;
        }
        if (state == EFX_LANE_IDLE) {
            l->ready_ns = l->input ? 0 : now_ns() + l->lane.source->wait_ns;
            return RUN_IN_IDLE;
        }
        l->ended = state == EFX_LANE_ENDED;
        uint64_t over = l->skip < l->own->n_turns ? l->skip : l->own->n_turns;
        l->at = (uint32_t)over; /* a checkpoint has these */
        l->skip -= over;
    }
    return l->at < l->own->n_turns ? RUN_IN_MORE : RUN_IN_ENDED;
}

/* The lane whose next turn is earliest; of equals the first. NULL with *state. */
static struct run_lane *earliest(struct run_in *in, enum run_in_state *state, struct efx_err *err)
{
    struct run_lane *best = NULL;
    int64_t best_ms = 0;
    *state = RUN_IN_ENDED;
    for (uint32_t i = 0; i < in->n_lanes; i++) {
        struct run_lane *l = &in->lanes[i];
        if (l->own == NULL || l->straight) {
            continue;
        }
        enum run_in_state s = fill_lane(in, l, err);
        if (s == RUN_IN_IDLE || s == RUN_IN_FAILED) {
            *state = s;
            return NULL;
        }
        if (s == RUN_IN_MORE) {
            int64_t ms = head_ms(in, l);
            if (best == NULL || ms < best_ms) {
                best = l;
                best_ms = ms;
            }
        }
    }
    return best;
}

/* A lane that begins behind a position passes its first turns over, then goes straight. */
static enum run_in_state pump_skip(struct run_in *in, struct run_lane *l, struct efx_err *err)
{
    if (l->ready_ns > 0 && now_ns() < l->ready_ns) {
        return RUN_IN_IDLE;
    }
    l->ready_ns = 0;
    enum run_in_state state = fill_lane(in, l, err);
    while (state == RUN_IN_MORE && l->at < l->own->n_turns) {
        if (copy_turn(in, l) != EFX_OK) {
            return RUN_IN_ENDED;
        }
    }
    if (state == RUN_IN_MORE && l->skip == 0) {
        efx_builder_close(l->own);
        l->own = NULL;
        l->straight = false;
    }
    return state;
}

static enum run_in_state pump_merge(struct run_in *in, struct efx_err *err)
{
    enum run_in_state state = RUN_IN_MORE;
    for (uint32_t n = 0; n < MERGE_TURNS; n++) {
        struct run_lane *l = earliest(in, &state, err);
        if (l == NULL) {
            return state;
        }
        if (copy_turn(in, l) != EFX_OK) {
            return RUN_IN_ENDED;
        }
    }
    return RUN_IN_MORE;
}

/* ---- all ---- */

enum run_in_state run_in_pump(struct run_in *in, struct efx_err *err)
{
    enum run_in_state all = in->merging ? pump_merge(in, err) : RUN_IN_ENDED;
    for (uint32_t k = 0; k < in->n_lanes && all != RUN_IN_FAILED; k++) {
        struct run_lane *l = &in->lanes[(in->turn + k) % in->n_lanes];
        enum run_in_state s = l->straight      ? pump_skip(in, l, err)
                              : l->own != NULL ? RUN_IN_ENDED
                                               : pump_lane(in, l, err);
        if (s == RUN_IN_FAILED || s == RUN_IN_MORE || (s == RUN_IN_IDLE && all == RUN_IN_ENDED)) {
            all = s;
        }
    }
    in->turn = in->n_lanes > 0 ? (in->turn + 1) % in->n_lanes : 0;
    return all;
}

uint64_t run_in_wait_ns(const struct run_in *in)
{
    uint64_t now = now_ns(), least = UINT64_MAX;
    for (uint32_t i = 0; i < in->n_lanes; i++) {
        const struct run_lane *l = &in->lanes[i];
        if (!l->ended && l->ready_ns > 0) {
            uint64_t wait = l->ready_ns > now ? l->ready_ns - now : 0;
            least = wait < least ? wait : least;
        }
    }
    return least;
}

uint32_t run_in_fds(const struct run_in *in, struct pollfd *out, uint32_t max)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < in->n_lanes && n < max; i++) {
        const struct run_lane *l = &in->lanes[i];
        bool waits = l->input && !l->ended && (l->own == NULL || l->at == l->own->n_turns);
        if (waits) {
            out[n++] = (struct pollfd){.fd = efx_input_fd(l->lane.source), .events = POLLIN};
        }
    }
    return n;
}
