/*
 * Whose turn it is in a pool: mints, then what ends access and the like, then removals; where both
 * wait all the time, one worker for each side. Decides only; pool.c hands out the calls.
 */
#include <limits.h>

#include "plugin/pool_queue.h"

#define REMOVE_WAITS_US 2000000 /* then it is a removal's turn, if none runs */
#define GIVE_WAY_US 3000000     /* what a removal still has when it keeps the only worker */

/* One worker is kept for minting: a drain of overdue leases must not make clients wait. */
static unsigned
others_limit(const struct pool *pool)
{
	return (pool->size > 1 ? pool->size - 1 : 1);
}

/*
 * Removals may take long, and nobody's access depends on them: they leave a worker to what ends
 * access. Where there are too few for that, it may have the worker of the mints, which it gives
 * back soon.
 */
static unsigned
removes_limit(const struct pool *pool)
{
	return (others_limit(pool) > 1 ? others_limit(pool) - 1 : 1);
}

static unsigned
room_for_others(const struct pool *pool)
{
	if (pool->busy_others < others_limit(pool))
		return (others_limit(pool) - pool->busy_others);
	return (pool->size > 1 && pool->busy_others == pool->busy_removes);
}

static unsigned
room_for_removes(const struct pool *pool)
{
	unsigned room = removes_limit(pool) - pool->busy_removes;

	if (pool->busy_others >= others_limit(pool))
		return (0);
	return (room < room_for_others(pool) ? room : room_for_others(pool));
}

/* Whatever waits goes before a removal, but they are not kept for ever where there are workers. */
static bool
is_their_turn(const struct pool *pool, const struct call *remove)
{
	struct wclock *clock = pool->host->clock;

	return (TAILQ_EMPTY(&pool->others) ||
		(others_limit(pool) > 1 && pool->busy_removes == 0 &&
		    clock->boot_us(clock) - remove->start_us > REMOVE_WAITS_US));
}

static struct call *
next_end(struct pool *pool)
{
	struct call *remove = TAILQ_FIRST(&pool->removes);

	if (remove != NULL && room_for_removes(pool) > 0 && is_their_turn(pool, remove))
		return (remove);
	return (room_for_others(pool) > 0 ? TAILQ_FIRST(&pool->others) : NULL);
}

/*
 * Mints that come without an end must not keep what ends access from its turn: while no worker has
 * a call of that kind, they take turns. So of two workers one mints and one ends. An only worker
 * is not given to a removal while clients wait.
 */
static bool
is_turn_of_end(const struct pool *pool, const struct call *end)
{
	if (end == NULL || !pool->mint_was_last)
		return (false);
	if (end->op == PLUGIN_OP_REMOVE)
		return (pool->size > 1 && pool->busy_others == 0);
	return (pool->busy_others == pool->busy_removes);
}

struct call *
plugin_pool_next_call(struct pool *pool)
{
	struct call *mint = TAILQ_FIRST(&pool->mints), *end = next_end(pool);

	return (mint != NULL && !is_turn_of_end(pool, end) ? mint : end);
}

/* Short, and without a session. */
static bool
is_signature(const struct call *call)
{
	return (call->op == PLUGIN_OP_SIGN || call->op == PLUGIN_OP_CERTIFY);
}

static bool
takes_more(const struct worker *worker)
{
	return (worker->state == WORKER_BUSY && !worker->outdated && worker->call != NULL &&
		worker->call->state == CALL_RUNNING && is_signature(worker->call) &&
		worker->behind_count + 1 < worker->pool->row->ahead);
}

/*
 * A signature takes less than the way to the worker and back: who finds the next request waiting
 * need not sleep and be woken. Not while a worker is still to come, nor while anything else waits
 * for one that is idle.
 */
struct worker *
plugin_pool_next_ahead(struct pool *pool, const struct call *call)
{
	struct worker *worker, *least = NULL;
	unsigned ready = 0;

	if (call == NULL || !is_signature(call) || !TAILQ_EMPTY(&pool->others) ||
	    !TAILQ_EMPTY(&pool->removes))
		return (NULL);
	TAILQ_FOREACH (worker, &pool->workers, in_pool) {
		ready += worker->state == WORKER_IDLE || worker->state == WORKER_BUSY;
		if (takes_more(worker) &&
		    (least == NULL || worker->behind_count < least->behind_count))
			least = worker;
	}
	return (ready == pool->size ? least : NULL);
}

static unsigned
count_up_to(const struct call_list *list, unsigned max)
{
	const struct call *call;
	unsigned count = 0;

	TAILQ_FOREACH (call, list, entry) {
		if (count == max)
			break;
		count++;
	}
	return (count);
}

unsigned
plugin_pool_count_waiting(const struct pool *pool)
{
	unsigned mints = count_up_to(&pool->mints, pool->size);
	unsigned others = count_up_to(&pool->others, room_for_others(pool));
	unsigned removes = count_up_to(&pool->removes, room_for_removes(pool));
	unsigned room = room_for_others(pool);

	return (mints + (others + removes < room ? others + removes : room));
}

void
plugin_pool_stats(const struct plugin_port *port, struct plugin_port_stats *ret_stats)
{
	const struct pool *pool = (const struct pool *)port;
	struct plugin_port_stats stats = {.workers_died = (uint64_t)pool->workers_died};
	const struct worker *worker;

	TAILQ_FOREACH (worker, &pool->workers, in_pool)
		stats.workers += worker->state != WORKER_STARTING && worker->state != WORKER_DEAD;
	stats.mints_waiting = count_up_to(&pool->mints, UINT_MAX);
	stats.ends_waiting = count_up_to(&pool->others, UINT_MAX);
	stats.removals_waiting = count_up_to(&pool->removes, UINT_MAX);
	stats.running = count_up_to(&pool->busy, UINT_MAX);
	*ret_stats = stats;
}

void
plugin_pool_name_files(struct plugin_port *port, const json_t *config)
{
	named_files_find(config, &plugin_pool_from(port)->named);
}

/* The only worker has a removal, and somebody waits: repeating it later does no harm. */
void
plugin_pool_give_way(struct pool *pool)
{
	struct call *call;

	if (pool->size > 1 || (TAILQ_EMPTY(&pool->mints) && TAILQ_EMPTY(&pool->others)))
		return;
	TAILQ_FOREACH (call, &pool->busy, entry)
		if (call->op == PLUGIN_OP_REMOVE)
			plugin_call_shorten(call, GIVE_WAY_US);
}
