/*
 * What engine/ takes away in time: candidates whose trial is over (connection.c), and role versions
 * that nobody needs (rolever.c).
 */
#ifndef ENGINE_SWEEP_H
#define ENGINE_SWEEP_H

struct engines;
struct engine_connection;

void engine_connections_sweep_start(struct engines *engines);
void engine_connections_sweep(struct engines *engines); /* one pass */
/* The trial of a candidate has ended: it goes as soon as its canary has gone. */
void engine_candidate_tried(struct engines *engines, struct engine_connection *candidate);
/* Role versions that no role and no lease refers to are taken away, in time (rolever.c). */
void engine_rolevers_sweep_start(struct engines *engines);
void engine_rolevers_sweep_stop(struct engines *engines);
void engine_rolevers_sweep(struct engines *engines); /* one pass */

#endif
