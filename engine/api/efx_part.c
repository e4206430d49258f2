#include "efx_part.h"

static void *part_room(struct efx_save *self, uint32_t key_group, uint32_t bytes)
{
    struct efx_part *part = (struct efx_part *)self;
    uint8_t *p = part->to->room(part->to, key_group, bytes + 5);
    p[0] = part->no;
    memcpy(p + 1, &bytes, sizeof bytes);
    return p + 5;
}

struct efx_save *efx_part_open(struct efx_part *part, uint8_t no, struct efx_save *to)
{
    part->base.room = part_room;
    part->to = to;
    part->no = no;
    return &part->base;
}

enum efx_rc efx_part_collect(struct efx_mem *mem, struct efx_reader section, uint8_t no,
                             uint32_t key_group, uint8_t **buf, size_t *n)
{
    size_t total = 0, at = EFX_PART_HEAD;
    *buf = NULL;
    *n = 0;
    for (struct efx_reader r = section; r.left > 0;) {
        bool mine = efx_get_u8(&r) == no;
        struct efx_bytes bytes = efx_get_view(&r, efx_get_u32(&r));
        if (r.bad) {
            return EFX_EPARSE;
        }
        total += mine ? bytes.n : 0;
    }
    if (total == 0) {
        return EFX_OK;
    }
    uint8_t *p = mem->alloc(mem, total + EFX_PART_HEAD);
    if (p == NULL) {
        return EFX_ENOMEM;
    }
    uint32_t head[2] = {key_group, (uint32_t)total};
    memcpy(p, head, sizeof head);
    for (struct efx_reader r = section; r.left > 0;) {
        bool mine = efx_get_u8(&r) == no;
        struct efx_bytes bytes = efx_get_view(&r, efx_get_u32(&r));
        if (mine && bytes.n > 0) {
            memcpy(p + at, bytes.p, bytes.n);
            at += bytes.n;
        }
    }
    *buf = p;
    *n = total;
    return EFX_OK;
}
