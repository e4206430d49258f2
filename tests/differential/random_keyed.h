#ifndef RANDOM_KEYED_H
#define RANDOM_KEYED_H

#include "random_text.h"

#include <stdbool.h>

/* The text of a program whose components stay in batches, over the streams S, A, B of the random
 * events; its derived streams are X<gadget><letter>. */
void efx_random_keyed(struct text *t, struct dice *d);

#endif /* RANDOM_KEYED_H */
