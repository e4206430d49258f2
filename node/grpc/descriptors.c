/* The descriptors that reflection hands out, as protoc wrote them in this build. */
#include "door.h"

__asm__(".section .rodata\n"
        ".global efx_door__descriptors\n"
        ".hidden efx_door__descriptors\n"
        ".global efx_door__descriptors_end\n"
        ".hidden efx_door__descriptors_end\n"
        "efx_door__descriptors:\n"
        ".incbin \"" EFX_SERVED_DESC "\"\n"
        "efx_door__descriptors_end:\n"
        ".byte 0\n"
        ".previous\n");
