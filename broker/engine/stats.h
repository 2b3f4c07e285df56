/*
 * Configured connections, for whoever watches the daemon.
 */
#ifndef ENGINE_STATS_H
#define ENGINE_STATS_H

#include "engine/engine.h"
#include "metrics/page.h"

/* Connections that get lines of their own: those with the oldest configurations. The rest is
 * counted in one gauge, so that no number of configurations makes a page without end. */
#define ENGINE_STATS_MAX 1000

/* The families of connections, each with the labels connection and mount. */
void engines_metrics(struct engines *engines, struct metrics_page *page);
/* At the start: not every configured connection has been opened yet. */
bool engines_are_loading(const struct engines *engines);

#endif
