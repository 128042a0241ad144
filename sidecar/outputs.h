/*
 * outputs: the sinks that metrics.sinks names, each independent of the others: what one of them
 * lost is kept for that one alone and goes out with its next interval.
 *
 *     outputs_check(&settings, &report);
 *     r = outputs_open(&settings, &outputs, &err);
 *     outputs_write(outputs, &view);                  // at the end of an interval
 *     outputs_tell(outputs, &health.conditions);      // now and then
 *     outputs_flush(outputs);                         // the end is near: send what waits
 *     r = outputs_close(outputs, timeout_ms);
 *
 * Ownership: settings must outlive the outputs. Threads: loop thread; nothing here blocks but
 * outputs_close(), for timeout_ms. Errors: -EBUSY from outputs_close(): a thread of a sink did not
 * come back from a call and was left behind, so that the process must end without exit handlers.
 */
#ifndef SIDECAR_OUTPUTS_H
#define SIDECAR_OUTPUTS_H

#include "sidecar/health.h"
#include "sidecar/sinks.h"

struct outputs;

/* Tell all that is wrong with metrics.sinks and what belongs to it. */
void outputs_check(const struct settings *settings, struct config_report *report);

int outputs_open(const struct settings *settings, struct outputs **ret_outputs, struct error *err);

void outputs_write(struct outputs *outputs, const struct metrics_view *view);
void outputs_count(const struct outputs *outputs, struct sink_counts *ret_counts);

/* MetricsPublishing and CredentialsValid. */
void outputs_tell(struct outputs *outputs, struct conditions *conditions);

void outputs_flush(struct outputs *outputs);
int outputs_close(struct outputs *outputs, int64_t timeout_ms); /* NULL is fine */

#endif
