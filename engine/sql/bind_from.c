/* What a query reads (language §5.1): one stream or trigger, or a join or a pattern, which have
 * files of their own.
 */
#include "bind.h"

/* !name: the columns of the stream, any of which may be NULL there, and the error. */
static struct efx_bobject *fault_of(struct efx_binder *b, const struct efx_ast_name *name,
                                    struct efx_bobject *stream)
{
    if (stream->fault != NULL) {
        return stream->fault;
    }
    uint32_t n = stream->schema.n_cols;
    struct efx_schema_col *cols = BIND_NEW_N(b, struct efx_schema_col, n + 1);
    for (uint32_t i = 0; i < n; i++) {
        cols[i] = stream->schema.cols[i];
        cols[i].not_null = false;
    }
    cols[n] = (struct efx_schema_col){.name = "_error", .type = EFX_TYPE_STRING};
    struct efx_schema schema = {.name = name->s, .n_cols = n + 1, .cols = cols};
    struct efx_bind_name *made = efx_bind__name_add(b, name);
    made->declared = true;
    stream->fault = efx_bind__object_add(b, made, EFX_OBJ_STREAM, &schema);
    if (stream->fault != NULL) {
        stream->fault->fault_of = stream;
    }
    return stream->fault;
}

static struct efx_bobject *fault_source(struct efx_binder *b, const struct efx_ast_name *name)
{
    const struct efx_bind_name *n = efx_bind__find(b, name->s + 1);
    if (n == NULL) {
        efx_bind__unknown(b, name);
        return NULL;
    }
    if (n->object == NULL) {
        return NULL;
    }
    if (n->object->kind != EFX_OBJ_STREAM || b->on_demand) {
        efx_diag_add(b->diags, 1207, name->at, NULL, "'%s' is no stream, it has no fault stream",
                     n->name);
        return NULL;
    }
    return fault_of(b, name, n->object);
}

struct efx_bobject *efx_bind__source(struct efx_binder *b, const struct efx_ast_name *name)
{
    if (name->s[0] == '!') {
        return fault_source(b, name);
    }
    if (name->s[0] == '#' && b->partition == EFX_NO_COL) {
        efx_diag_add(b->diags, 1709, name->at, "it is known inside its PARTITION block only",
                     "inner stream '%s' outside a partition", name->s);
        return NULL;
    }
    const struct efx_bind_name *n = efx_bind__find(b, name->s);
    if (n == NULL) {
        efx_bind__unknown(b, name);
    }
    return n != NULL ? n->object : NULL;
}

/* A second source of one name is broken: what it says follows from that. */
static void twice(struct efx_bind_scope *sc, struct efx_bind_side *side, bool aliased,
                  struct efx_span at)
{
    for (uint32_t i = 0; i < sc->n_sides; i++) {
        const struct efx_bind_side *other = &sc->sides[i];
        if (strcmp(other->qualifier, side->qualifier) != 0) {
            continue;
        }
        side->object = NULL;
        if (aliased || other->hidden != NULL) {
            efx_diag_add(sc->b->diags, 1209, at, NULL, "'%s' names two sources", side->qualifier);
        } else {
            efx_diag_add(
                sc->b->diags, 1502, at,
                efx_bind__fmt(sc->b, "%s AS a … JOIN %s AS b", side->qualifier, side->qualifier),
                "'%s' is joined with itself: both need an alias", side->qualifier);
        }
        return;
    }
}

void efx_bind__side_add(struct efx_bind_scope *sc, const struct efx_ast_name *name,
                        const struct efx_ast_name *alias, const struct efx_bobject *object)
{
    bool aliased = alias->s != NULL;
    struct efx_bind_side side = {
        .qualifier = aliased ? alias->s : name->s,
        .hidden = aliased && strcmp(alias->s, name->s) != 0 ? name->s : NULL,
        .object = object,
        .src = sc->n_sides,
        .at = name->at,
    };
    twice(sc, &side, aliased, aliased ? alias->at : name->at);
    sc->sides = efx_bind__grow(sc->b, sc->sides, sc->n_sides, sizeof *sc->sides);
    sc->sides[sc->n_sides++] = side;
}

void efx_bind__input_window(struct efx_binder *b, const struct efx_ast_relation *r,
                            const struct efx_bobject *object, struct efx_bwindow *out)
{
    if (r->window.kind == NULL) {
        return;
    }
    const struct efx_bind_name *n = efx_bind__find(b, r->name.s);
    bool table = object != NULL && object->kind == EFX_OBJ_TABLE;
    if (b->on_demand) {
        efx_diag_add(b->diags, 1207, r->window.at, NULL, "an on-demand query has no windows");
    } else if (table || (n != NULL && n->kind == EFX_NAME_WINDOW)) {
        efx_diag_add(b->diags, 1404, r->window.at, NULL, "'%s' is a %s: it takes no window",
                     r->name.s, table ? "table" : "window itself");
    } else if (object != NULL) {
        const char *q = r->alias.s != NULL ? r->alias.s : r->name.s;
        efx_bind__window(b, &r->window, &object->schema, q, out);
    }
}

static struct efx_bobject *single_source(struct efx_binder *b, const struct efx_ast_select *q)
{
    struct efx_bobject *o = efx_bind__source(b, &q->from.name);
    const struct efx_bind_name *n = efx_bind__find(b, q->from.name.s);
    if (n != NULL && n->kind == EFX_NAME_AGGREGATION) {
        efx_diag_add(b->diags, 1207, q->from.name.at, "join it: JOIN … WITHIN … PER …",
                     "'%s' is an aggregation", n->name);
        return NULL;
    }
    if (o == NULL) {
        return NULL;
    }
    bool table = o->kind == EFX_OBJ_TABLE;
    if (table && !b->on_demand) {
        efx_diag_add(b->diags, 1705, q->from.name.at,
                     "join it with a stream or a trigger, or use an on-demand query",
                     "table '%s' is read directly", o->schema.name);
        return NULL;
    }
    if (!table && b->on_demand) {
        efx_diag_add(b->diags, 1207, q->from.name.at, "on demand, tables are read",
                     "'%s' is a stream", o->schema.name);
        return NULL;
    }
    return o;
}

bool efx_bind__from(struct efx_bind_scope *sc, const struct efx_ast_select *q, struct efx_bstmt *st)
{
    struct efx_binder *b = sc->b;
    if (b->on_demand && (q->pattern != NULL || q->recognize.there)) {
        efx_diag_add(b->diags, 1207, q->pattern != NULL ? q->pattern->at : q->recognize.at, NULL,
                     "an on-demand query reads tables");
        return false;
    }
    if (q->recognize.there) {
        efx_bind__source(b, &q->from.name);
        efx_bind__absent(b, q->recognize.at, "PATTERN or SEQUENCE",
                         "MATCH_RECOGNIZE is not built yet");
        return false;
    }
    if (q->pattern != NULL) {
        efx_bind__pattern(sc, q, st);
        return true;
    }
    if (q->n_joins > 0) {
        efx_bind__joins(sc, q, st);
        return true;
    }
    struct efx_bobject *o = single_source(b, q);
    efx_bind__side_add(sc, &q->from.name, &q->from.alias, o);
    sc->has_batches = efx_bind__window_has_batches(&q->from.window);
    if (q->from.unidirectional) {
        efx_diag_add(b->diags, 1505, q->from.unidirectional_at, NULL,
                     "UNIDIRECTIONAL belongs to a join");
    }
    st->n_inputs = 1;
    st->inputs = BIND_NEW(b, struct efx_binput);
    st->inputs[0] = (struct efx_binput){.object = o, .alias = sc->sides[0].qualifier};
    efx_bind__input_window(b, &q->from, o, &st->inputs[0].window);
    return true;
}
