#ifndef TABLE_H
#define TABLE_H

#include "efx_format.h"

/* Output for people: columns under their names, a head whenever another stream begins.
 *
 *   Out            ts            a              b
 *                  1700000000000 1              x
 */
extern const struct efx_format_vt cli_table_format_vt;

/* Options of CSV output: header line first. */
const void *cli_csv_conf(void);

#endif /* TABLE_H */
