/*
 * Lease time: an anchor {boot id, boot time, wall time, lease time} plus the time since boot, in
 * milliseconds. Within one boot the wall clock is never asked. After a reboot lease time goes on
 * from the anchor, never below it; a jump forward of more than an hour, or a wall clock that stands
 * well before the anchor, waits until the kernel calls the clock synchronized or the clock of a
 * backend on another machine agrees with it, and is then made once. A forward jump waits at most
 * five minutes, and for so long nothing new is reckoned from a time that may be about to move: it
 * would end before its time. The anchor is written every 30 s. Called by leases_new() and the tick.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "lease/anchor.h"
#include "lease/private.h"

#define ANCHOR_KEY "lease_anchor"
#define ANCHOR_EVERY_MS 30000
#define JUMP_MAX_MS (INT64_C(3600) * 1000)
#define CONFIRM_MAX_MS (INT64_C(300) * 1000)
#define TIME_MAX_MS (INT64_C(1) << 48)
#define AGREE_US (INT64_C(300) * 1000000)
#define BEHIND_MAX_MS (INT64_C(300) * 1000) /* a clock of a mainboard that drifts, no dead one */

struct anchor_task {
	struct lease_task task; /* first */
	char *text;
};

int64_t
leases_now_ms(struct leases *leases)
{
	return (wclock_boot_ms(leases->config.clock) + leases->time.offset_ms);
}

int64_t
leases_wall_ms(struct leases *leases, int64_t lease_ms)
{
	return (wclock_wall_ms(leases->config.clock) + (lease_ms - leases_now_ms(leases)));
}

/* Thousands of years, in milliseconds: sums of a few such numbers are numbers still. */
static bool
is_time(json_int_t ms)
{
	return (ms >= -TIME_MAX_MS && ms <= TIME_MAX_MS);
}

int
lease_anchor_decode(const char *text, struct lease_anchor *ret_anchor, struct leased_err *err)
{
	unsigned long failures = leased_secret_alloc_failures();
	json_t *object = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	struct lease_anchor anchor = {.waiting = false};
	const char *boot = NULL;
	json_int_t boot_ms = 0, wall_ms = 0, lease_ms = 0, ref_lease = 0, ref_wall = 0, since = 0;
	int waiting = 0, behind = 0;

	if (object == NULL ||
	    json_unpack(object, "{s:s,s:I,s:I,s:I,s?b,s?b,s?I,s?I,s?I}", "boot", &boot, "boot_ms",
		&boot_ms, "wall_ms", &wall_ms, "lease_ms", &lease_ms, "waiting", &waiting, "behind",
		&behind, "ref_lease_ms", &ref_lease, "ref_wall_ms", &ref_wall, "since_boot_ms",
		&since) != 0 ||
	    strlen(boot) >= sizeof(anchor.boot_id) || !is_time(boot_ms) || !is_time(wall_ms) ||
	    !is_time(lease_ms) || !is_time(ref_lease) || !is_time(ref_wall) || !is_time(since)) {
		json_decref(object);
		if (leased_secret_alloc_failures() != failures)
			return (leased_err_set(err, LEASED_ENOMEM, "no memory to read the anchor"));
		return (leased_err_set(err, LEASED_ECORRUPT, "the anchor cannot be read"));
	}
	lease_text_copy(anchor.boot_id, sizeof(anchor.boot_id), boot);
	json_decref(object);
	anchor.boot_ms = boot_ms;
	anchor.wall_ms = wall_ms;
	anchor.lease_ms = lease_ms;
	anchor.waiting = waiting != 0;
	anchor.behind = behind != 0;
	anchor.ref_lease_ms = ref_lease;
	anchor.ref_wall_ms = ref_wall;
	anchor.since_boot_ms = since;
	*ret_anchor = anchor;
	return (0);
}

/* Into memory of malloc(3): what json_dumps() gives is of jansson's own, wiping allocator. */
static char *
anchor_dump(const json_t *object)
{
	size_t len = json_dumpb(object, NULL, 0, JSON_COMPACT);
	char *text = calloc(1, len + 1);

	if (text != NULL)
		(void)json_dumpb(object, text, len, JSON_COMPACT);
	return (text);
}

static char *
anchor_encode(struct leases *leases)
{
	struct wclock *clock = leases->config.clock;
	const struct lease_time *time = &leases->time;
	json_t *object = json_pack("{s:s,s:I,s:I,s:I}", "boot", clock->boot_id(clock), "boot_ms",
	    (json_int_t)wclock_boot_ms(clock), "wall_ms", (json_int_t)wclock_wall_ms(clock),
	    "lease_ms", (json_int_t)leases_now_ms(leases));
	char *text = NULL;

	if (object == NULL)
		return (NULL);
	if (!time->waiting ||
	    json_object_update_new(
		object, json_pack("{s:b,s:b,s:I,s:I,s:I}", "waiting", 1, "behind",
			    (int)time->behind, "ref_lease_ms", (json_int_t)time->ref_lease_ms,
			    "ref_wall_ms", (json_int_t)time->ref_wall_ms, "since_boot_ms",
			    (json_int_t)time->since_boot_ms)) == 0)
		text = anchor_dump(object);
	json_decref(object);
	return (text);
}

/* ---- writing it ---- */

static int
on_anchor_run(struct lease_task *task, struct store_txn *txn, struct leased_err *err)
{
	return (store_meta_put(txn, ANCHOR_KEY, ((struct anchor_task *)task)->text, err));
}

static void
on_anchor_drop(struct lease_task *task)
{
	struct anchor_task *anchor = (struct anchor_task *)task;

	free(anchor->text);
	free(anchor);
}

static void
on_anchor_done(struct lease_task *task, int result, const struct leased_err *err)
{
	struct leases *leases = task->leases;

	leases->time.storing = false;
	if (result != 0)
		log_warn("the anchor of lease time was not written; it is tried again",
		    LOG_S("error", err->text));
	FAILPOINT(lease_anchor_after);
	on_anchor_drop(task);
}

static void
anchor_store(struct leases *leases)
{
	struct anchor_task *task = calloc(1, sizeof(*task));

	leases->time.stored_boot_ms = wclock_boot_ms(leases->config.clock);
	if (task == NULL || (task->text = anchor_encode(leases)) == NULL) {
		free(task);
		return; /* tried again in 30 s */
	}
	task->task.run = on_anchor_run;
	task->task.done = on_anchor_done;
	task->task.drop = on_anchor_drop;
	leases->time.storing = true;
	FAILPOINT(lease_anchor_before);
	lease_task_submit(leases, &task->task);
}

/* So that a reboot behind an orderly stop, with a clock that was set back, gives nobody time. */
void
lease_time_stop(struct leases *leases)
{
	if (leases->opened && !leases->time.storing)
		anchor_store(leases);
}

/* ---- after a reboot ---- */

static void
move_forward(struct leases *leases, const char *why)
{
	struct lease_time *time = &leases->time;
	int64_t now_ms = leases_now_ms(leases), target_ms;

	target_ms = time->ref_lease_ms + wclock_wall_ms(leases->config.clock) - time->ref_wall_ms;
	if (target_ms > now_ms) {
		time->offset_ms += target_ms - now_ms;
		log_warn("lease time moves forward to the wall clock", LOG_S("because", why),
		    LOG_I("by_s", (target_ms - now_ms) / 1000));
		lease_connections_due(leases);
	}
	time->waiting = false;
	anchor_store(leases);
}

bool
leases_clock_in_doubt(const struct leases *leases)
{
	const struct lease_time *time = &leases->time;

	return (time->waiting &&
		wclock_boot_ms(leases->config.clock) - time->since_boot_ms < CONFIRM_MAX_MS);
}

int
leases_time_check(const struct leases *leases, struct leased_err *err)
{
	const struct lease_time *time = &leases->time;
	int64_t left_ms =
	    CONFIRM_MAX_MS - (wclock_boot_ms(leases->config.clock) - time->since_boot_ms);

	if (!leases_clock_in_doubt(leases))
		return (0);
	return (leased_err_set(err, LEASED_EUNAVAIL,
	    "this machine has started again and its clock is not confirmed yet: what is made or "
	    "renewed now could end before its time. Synchronize the clock, or ask again in %" PRId64
	    " s at the latest",
	    left_ms / 1000 + 1));
}

/* A few connections, and only while the clock is in doubt. */
static bool
backend_agrees(struct leases *leases)
{
	struct wclock *clock = leases->config.clock;
	struct lease_connection *connection, *next;
	struct plugin_port *port;
	int64_t theirs_us, apart_us;

	HASH_ITER(hh, leases->connections, connection, next)
	{
		if ((port = lease_connection_port(connection)) == NULL ||
		    !plugin_port_wall_us(port, clock->boot_us(clock), &theirs_us))
			continue;
		apart_us = theirs_us - clock->wall_us(clock);
		if (apart_us <= AGREE_US && apart_us >= -AGREE_US)
			return (true);
	}
	return (false);
}

static void
time_confirm(struct leases *leases)
{
	struct lease_time *time = &leases->time;
	struct wclock *clock = leases->config.clock;

	if (!time->waiting)
		return;
	if (clock->synchronized(clock))
		move_forward(leases, "the kernel calls the clock synchronized");
	else if (backend_agrees(leases))
		move_forward(leases, "a backend's clock agrees with it");
	else if (!time->behind && wclock_boot_ms(clock) - time->since_boot_ms >= CONFIRM_MAX_MS)
		move_forward(leases, "nothing confirmed the clock within 5 minutes");
}

static void
time_after_reboot(struct leases *leases, const struct lease_anchor *anchor)
{
	struct lease_time *time = &leases->time;
	struct wclock *clock = leases->config.clock;
	int64_t jump_ms;

	time->ref_lease_ms = anchor->waiting ? anchor->ref_lease_ms : anchor->lease_ms;
	time->ref_wall_ms = anchor->waiting ? anchor->ref_wall_ms : anchor->wall_ms;
	time->since_boot_ms = wclock_boot_ms(clock);
	time->offset_ms = anchor->lease_ms - wclock_boot_ms(clock);
	jump_ms = wclock_wall_ms(clock) - time->ref_wall_ms;
	if (jump_ms >= -BEHIND_MAX_MS && jump_ms <= JUMP_MAX_MS) {
		if (time->ref_lease_ms + jump_ms > anchor->lease_ms)
			time->offset_ms += time->ref_lease_ms + jump_ms - anchor->lease_ms;
		return;
	}
	time->waiting = true;
	time->behind = jump_ms < 0;
	log_warn(
	    time->behind
		? "the wall clock stands before the last anchor: lease time goes on from the "
		  "anchor "
		  "until it is confirmed, and nothing new is made meanwhile, at most 5 minutes"
		: "the wall clock is more than an hour past the last anchor: leases that it would "
		  "end wait until it is confirmed, and nothing new is made, at most 5 minutes",
	    LOG_I("jump_s", jump_ms / 1000));
	time_confirm(leases);
}

int
lease_time_open(struct leases *leases, struct leased_err *err)
{
	struct lease_time *time = &leases->time;
	struct wclock *clock = leases->config.clock;
	struct lease_anchor anchor = {.waiting = false};
	int64_t boot_ms = wclock_boot_ms(clock);
	char *text = NULL;
	int r;

	r = store_meta_get(store_db(leases->config.store), ANCHOR_KEY, &text, err);
	if (r == LEASED_ENOENT) {
		time->offset_ms = wclock_wall_ms(clock) - boot_ms;
		anchor_store(leases);
		return (0);
	}
	if (r == 0)
		r = lease_anchor_decode(text, &anchor, err);
	free(text);
	if (r != 0 && r != LEASED_ECORRUPT)
		return (r);
	if (r != 0) {
		log_error("the anchor of lease time cannot be read: lease time starts again from "
			  "the wall clock",
		    LOG_ERR(err));
		time->offset_ms = wclock_wall_ms(clock) - boot_ms;
	} else if (strcmp(anchor.boot_id, clock->boot_id(clock)) != 0) {
		time_after_reboot(leases, &anchor);
	} else {
		/* Never below the anchor, should boot time itself have gone back. */
		time->offset_ms =
		    anchor.lease_ms - (anchor.boot_ms < boot_ms ? anchor.boot_ms : boot_ms);
		time->waiting = anchor.waiting;
		time->behind = anchor.behind;
		time->ref_lease_ms = anchor.ref_lease_ms;
		time->ref_wall_ms = anchor.ref_wall_ms;
		time->since_boot_ms = anchor.since_boot_ms;
	}
	anchor_store(leases);
	return (0);
}

void
lease_time_tick(struct leases *leases)
{
	struct lease_time *time = &leases->time;

	time_confirm(leases);
	if (!time->storing &&
	    wclock_boot_ms(leases->config.clock) - time->stored_boot_ms >= ANCHOR_EVERY_MS)
		anchor_store(leases);
}
