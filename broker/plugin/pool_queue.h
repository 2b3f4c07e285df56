/*
 * Whose turn it is in a pool.
 */
#ifndef PLUGIN_POOL_QUEUE_H
#define PLUGIN_POOL_QUEUE_H

#include "plugin/pool.h"

/* The call that an idle worker gets; NULL: none now. */
struct call *plugin_pool_next_call(struct pool *pool);

/* The worker that the call may be sent ahead to; NULL: none. */
struct worker *plugin_pool_next_ahead(struct pool *pool, const struct call *call);

/* call.c: those that a dead worker had end. False: there was none of a user's. */
bool plugin_calls_crashed(struct worker *worker);

/* Calls that a further worker could take now. */
unsigned plugin_pool_count_waiting(const struct pool *pool);

/* For plugin_port_ops. */
void plugin_pool_stats(const struct plugin_port *port, struct plugin_port_stats *ret_stats);
void plugin_pool_name_files(struct plugin_port *port, const json_t *config);

/* Lets a removal that keeps the only worker end soon, if somebody waits. */
void plugin_pool_give_way(struct pool *pool);

#endif
