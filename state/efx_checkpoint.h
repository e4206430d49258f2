#ifndef EFX_CHECKPOINT_H
#define EFX_CHECKPOINT_H

#include "efx_app.h"
#include "efx_store.h"

/* Checkpoints of an app into a store: chunks by operator and key-group range, a manifest that names
 * them, and the way back. A process alone is a cluster of one: the same report, the same manifest.
 *
 *   app ── mark 7 ── slices ── sections ─► chunks: zstd, XXH3 ─► put_chunk …  ─► report of member
 *   reports of all members + cluster section ─► manifest 7 ─► commit_manifest
 *
 *   chain     of an operator and range: base, delta, delta …; a manifest names all its chunks,
 *             oldest first. When deltas outgrow their base the app's next mark says base
 *   key       an operator is known by the hash of its statement's text, input types and place;
 *             chunks that find no operator in the app that loads are "not carried"
 *   C7        what was stored of an aborted checkpoint stays in the chain and is named by the next
 *             manifest; if any of it was not stored the next mark says base
 *
 * What a step leaves behind beside operators (clock, turns, held events, origins, sessions,
 * positions) is a list of named sections, opaque here.
 */

#endif /* EFX_CHECKPOINT_H */
