#include "ref.h"

#include "efx_eval.h"

#include <stdio.h>

/* Where a data error goes (language §17): to the fault stream, to the DLQ, or nowhere. */

static const char *text_of(uint16_t code)
{
    switch (code) {
    case 3003: return "event time is NULL or out of range";
    case 3004: return "event is late";
    case 3101: return "value out of range";
    case 3102: return "NULL not allowed";
    case 3104: return "sum too large";
    case 3105: return "loop does not end";
    default: return "bad argument";
    }
}

static struct efx_value text(struct efx_reference *r, const char *s)
{
    char *p = efx_arena_str(&r->arena, s, strlen(s));
    return (struct efx_value){.type = EFX_TYPE_STRING, .s = efx_str_of(p)};
}

static const char *json_value(struct efx_reference *r, const struct efx_value *v)
{
    char buf[64];
    if (v->null) {
        return "null";
    }
    switch (v->type) {
    case EFX_TYPE_INT: return efx_arena_printf(&r->arena, "%d", v->i);
    case EFX_TYPE_LONG: return efx_arena_printf(&r->arena, "%lld", (long long)v->l);
    case EFX_TYPE_BOOL: return v->b ? "true" : "false";
    case EFX_TYPE_FLOAT: buf[efx_eval_float_text(v->f, buf)] = 0; break;
    case EFX_TYPE_DOUBLE: buf[efx_eval_double_text(v->d, buf)] = 0; break;
    case EFX_TYPE_STRING:
        return efx_arena_printf(&r->arena, "\"" EFX_STR_FMT "\"", EFX_STR_ARG(v->s));
    case EFX_TYPE_NONE:
    case EFX_TYPE_BYTES:
    case EFX_TYPE_OBJECT: return "null";
    }
    return efx_arena_str(&r->arena, buf, strlen(buf));
}

static const char *json_event(struct efx_reference *r, const struct efx_bobject *o,
                              const struct ref_event *e)
{
    const char *s = "{";
    for (uint32_t i = 0; i < o->schema.n_cols; i++) {
        s = efx_arena_printf(&r->arena, "%s%s\"%s\":%s", s, i > 0 ? "," : "",
                             o->schema.cols[i].name, json_value(r, &e->v[i]));
    }
    return efx_arena_printf(&r->arena, "%s}", s);
}

static void to_fault_stream(struct efx_reference *r, const struct efx_bobject *o,
                            const struct ref_event *e, int64_t ts_ms, uint16_t code)
{
    struct efx_value *v = REF_NEW_N(r, struct efx_value, o->fault->schema.n_cols);
    for (uint32_t i = 0; i < o->schema.n_cols; i++) {
        v[i] = e != NULL ? e->v[i] : efx_value_null(o->schema.cols[i].type);
    }
    v[o->schema.n_cols] = text(r, efx_arena_printf(&r->arena, "EFX-%u: %s", code, text_of(code)));
    ref_publish(r, r->root, o->fault, false, ref_event_make(r, ts_ms, v));
}

static void to_dlq(struct efx_reference *r, const struct efx_bobject *o, const struct ref_event *e,
                   int64_t ts_ms, uint16_t code)
{
    struct efx_value *v = REF_NEW_N(r, struct efx_value, 6);
    v[0] = e != NULL ? text(r, json_event(r, o, e)) : efx_value_null(EFX_TYPE_STRING);
    v[1] = text(r, text_of(code));
    v[2] = text(r, efx_arena_printf(&r->arena, "EFX-%u", code));
    v[3] = (struct efx_value){.type = EFX_TYPE_LONG, .l = ts_ms};
    v[4] = (struct efx_value){.type = EFX_TYPE_INT, .i = 1};
    v[5] = text(r, o->schema.name);
    ref_publish(r, r->root, o->conf.dlq, false, ref_event_make(r, ts_ms, v));
}

void ref_data_error(struct efx_reference *r, const struct efx_bobject *object,
                    const struct ref_event *event, uint16_t code)
{
    r->n_errors++;
    if (object == NULL || object->kind != EFX_OBJ_STREAM) {
        return;
    }
    int64_t ts_ms = event != NULL ? event->ts_ms : r->clock_ms;
    if (object->conf.to_fault_stream) {
        if (object->fault != NULL) {
            to_fault_stream(r, object, event, ts_ms, code);
        }
        return;
    }
    bool to_dead = object->conf.errors == EFX_ERRORS_DLQ || object->conf.errors == EFX_ERRORS_RETRY;
    if (to_dead && object->conf.dlq != NULL) {
        to_dlq(r, object, event, ts_ms, code);
    }
}
