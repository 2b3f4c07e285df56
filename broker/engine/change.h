/*
 * One durable change of an engine's documents: puts and deletes in one transaction, with what must
 * hold for it.
 */
#ifndef ENGINE_CHANGE_H
#define ENGINE_CHANGE_H

#include "store/store.h"

struct engines;

typedef void (*engine_changed)(void *arg, int code, const struct leased_err *err);

#define ENGINE_CHANGE_MAX 2
struct engine_change {
	struct store_op op;                        /* first */
	struct store_doc *puts[ENGINE_CHANGE_MAX]; /* borrowed; ids and versions are filled */
	struct engine_delete {
		int64_t id, version;
	} deletes[ENGINE_CHANGE_MAX];
	int64_t mount;          /* must be mounted still, 0: none asked */
	int64_t without_leases; /* connection that must have no lease, 0: none asked; what is known
				   of its workers' sessions goes with it */
	/* A static role's row of what is due (its doc is filled from puts[0]), or NULL. */
	struct store_rotation *rotation;
	int64_t settled;         /* a connection without a rotation of its own, 0: none */
	const char *absent_kind; /* no document of this kind may have puts[0]'s name; NULL: any */
	const char *mark;        /* a meta key set with it, a literal; NULL: none */
	engine_changed done;
	void *arg;
	struct engines *engines; /* engine_change_submit()'s */
};
void engine_change_submit(struct engines *engines, struct engine_change *change);
/* At a start: what is known of connections that are gone, and that a crash or a worker left. */
void engine_gone_forget(struct engines *engines);

#endif
