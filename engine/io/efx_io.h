#ifndef EFX_IO_H
#define EFX_IO_H

#include "efx_sink.h"
#include "efx_source.h"

/* What this room has: connectors and formats, as the registry lists them.
 *
 *   source   file, datagen, nexmark, timer
 *   sink     log, file
 *   format   json, csv; and two that no program can name: event lines, readable lines
 */
extern const struct efx_plugin *const efx_io_sources[];
extern const uint32_t efx_io_n_sources;
extern const struct efx_plugin *const efx_io_sinks[];
extern const uint32_t efx_io_n_sinks;
extern const struct efx_plugin *const efx_io_formats[];
extern const uint32_t efx_io_n_formats;

extern const struct efx_format_vt efx_json_format_vt, efx_csv_format_vt;
extern const struct efx_format_vt efx_events_format_vt; /* runtime contracts, section 2 */
extern const struct efx_format_vt efx_text_format_vt;   /* one readable line a row: the log */
extern const struct efx_source_vt efx_file_source_vt, efx_datagen_source_vt, efx_nexmark_source_vt,
    efx_timer_source_vt;
extern const struct efx_sink_vt efx_log_sink_vt, efx_file_sink_vt, efx_grpc_sink_vt;

/* An instance in the arena, opened. */
enum efx_rc efx_format_make(const struct efx_format_vt *vt, const struct efx_format_open *how,
                            struct efx_format **out, struct efx_err *err) EFX_MUST_USE;
enum efx_rc efx_source_make(const struct efx_source_vt *vt, const struct efx_source_open *how,
                            struct efx_world *world, struct efx_source **out,
                            struct efx_err *err) EFX_MUST_USE;
enum efx_rc efx_sink_make(const struct efx_sink_vt *vt, const struct efx_sink_open *how,
                          struct efx_world *world, struct efx_sink **out,
                          struct efx_err *err) EFX_MUST_USE;

#endif /* EFX_IO_H */
