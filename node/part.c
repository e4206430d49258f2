#include "part.h"

void node_part_head_put(struct efx_buf *to, const struct node_part_head *h)
{
    efx_buf_u64(to, h->channel);
    efx_buf_u64(to, h->epoch);
    efx_buf_u64(to, h->tick);
    efx_buf_i64(to, h->wall_ms);
    efx_buf_u64(to, h->mark);
    efx_buf_u8(to, h->flags);
    efx_buf_u32(to, h->n_items);
}

bool node_part_head_get(struct efx_reader *r, struct node_part_head *out)
{
    out->channel = efx_get_u64(r);
    out->epoch = efx_get_u64(r);
    out->tick = efx_get_u64(r);
    out->wall_ms = efx_get_i64(r);
    out->mark = efx_get_u64(r);
    out->flags = efx_get_u8(r);
    out->n_items = efx_get_u32(r);
    return !r->bad;
}

void node_item_put(struct efx_buf *to, const struct node_item *item)
{
    efx_buf_u8(to, (uint8_t)item->kind);
    efx_buf_u32(to, (uint32_t)(4 + item->session.n + 8 * 3 + 4 + 8 + item->bytes.n));
    efx_buf_text(to, item->session.p, item->session.n);
    efx_buf_u64(to, item->call);
    efx_buf_u64(to, item->opening);
    efx_buf_u64(to, item->first_seq);
    efx_buf_u32(to, item->n_turns);
    efx_buf_i64(to, item->drain_ms);
    efx_buf_put(to, item->bytes.p, item->bytes.n);
}

bool node_item_get(struct efx_reader *r, struct node_item *out)
{
    uint8_t kind = efx_get_u8(r);
    struct efx_bytes body = efx_get_view(r, efx_get_u32(r));
    struct efx_reader b = {body.p, body.n, r->bad};
    out->kind = (enum node_item_kind)kind;
    out->session = efx_get_text(&b);
    out->call = efx_get_u64(&b);
    out->opening = efx_get_u64(&b);
    out->first_seq = efx_get_u64(&b);
    out->n_turns = efx_get_u32(&b);
    out->drain_ms = efx_get_i64(&b);
    out->bytes = efx_get_view(&b, b.left);
    r->bad = r->bad || b.bad || kind < NODE_ITEM_ROWS || kind > NODE_ITEM_FINISH ||
             out->session.n > EFX_SESSION_BYTES_MAX;
    return !r->bad;
}
