#ifndef EFX_PART_H
#define EFX_PART_H

#include "efx_arena.h"
#include "efx_save.h"

/* Several containers in one operator's sections: each writes through a part of its own.
 *
 *   section of a key group   u8 part │ u32 n │ n bytes │ u8 part │ u32 n │ …     as rooms were
 *                            asked
 *   part 1 collected         all bytes of its rooms, in order: what its own load expects
 *
 *   Owner    `to` is the core's; a part must live from the mark to DONE
 *   Errors   EFX_ENOMEM; EFX_EPARSE: the framing is damaged
 */
struct efx_part {
    struct efx_save base; /* hand &part.base to the container */
    struct efx_save *to;
    uint8_t no;
};

struct efx_save *efx_part_open(struct efx_part *part, uint8_t no, struct efx_save *to);

/* All bytes of part `no` in a section, from mem: free *n + EFX_PART_HEAD bytes at *buf unless NULL.
 * They stand behind EFX_PART_HEAD bytes that make them a section again (u32 key group, u32 n), as
 * efx_load_next reads it. *buf = NULL: the part is not there. */
enum { EFX_PART_HEAD = 8 };
enum efx_rc efx_part_collect(struct efx_mem *mem, struct efx_reader section, uint8_t no,
                             uint32_t key_group, uint8_t **buf, size_t *n) EFX_MUST_USE;

#endif /* EFX_PART_H */
