/*
 * When the list of revoked certificates could not be made: hosts keep what they have, and let in
 * whom it does not name. So that is said, in the log and in a gauge, with what to do; and since
 * each try reads the store, it is tried again after a while, and not by each host that asks.
 */
#include "base/log.h"
#include "engine/ssh/krl.h"
#include "metrics/metrics.h"

#define RETRY_MIN_MS 1000
#define RETRY_MAX_MS 10000
#define RETRY_TOO_BIG_MAX_MS 60000 /* of itself it gets shorter only with time */

METRICS_GAUGE(failing, "leased_ssh_krl_failing", "",
    "Mounts of type ssh whose list of revoked certificates cannot be made: their hosts keep an "
    "older one.");
METRICS_GAUGE(bytes, "leased_ssh_krl_bytes", "",
    "Size of the longest list of revoked certificates, as it was last made.");

static void
gauges_set(const struct engines *engines)
{
	const struct ssh_mount *mount;
	size_t longest = 0;
	unsigned count = 0;

	LIST_FOREACH (mount, &engines->ssh, link) {
		count += mount->failure.count > 0;
		if (mount->list.krl_len > longest)
			longest = mount->list.krl_len;
	}
	metrics_set(&failing, count);
	metrics_set(&bytes, (long long)longest);
}

void
engine_ssh_krl_made(struct ssh_mount *mount)
{
	if (mount->failure.count > 0)
		log_info("the list of revoked certificates could be made again",
		    LOG_I("mount", mount->id), LOG_I("version", mount->list.version));
	mount->failure = (struct ssh_failure){0};
	gauges_set(mount->engines);
}

void
engine_ssh_krl_failed(struct ssh_mount *mount, const struct leased_err *why)
{
	struct ssh_failure *failure = &mount->failure;
	bool too_big = why->code == LEASED_ETOOBIG;
	int64_t most_ms = too_big ? RETRY_TOO_BIG_MAX_MS : RETRY_MAX_MS;
	int64_t wait_ms = RETRY_MIN_MS << (failure->count < 8 ? failure->count : 8);

	if (mount->engines->stopping || mount->closed)
		return;
	failure->count++;
	failure->until_ms =
	    leases_now_ms(mount->engines->leases) + (wait_ms < most_ms ? wait_ms : most_ms);
	(void)leased_err_set(&failure->err, LEASED_EUNAVAIL,
	    "the list of revoked certificates could not be made, and an older one is not given "
	    "out: %.300s",
	    why->text);
	log_error("the list of revoked certificates could not be made: hosts keep an older one, "
		  "and what was revoked since lets in",
	    LOG_I("mount", mount->id), LOG_ERR(why),
	    LOG_S("hint",
		too_big ? "what has expired leaves the list: give roles a shorter ttl, delete bans "
			  "that are over, spread roles over more mounts"
			: "it is tried again; is it the store, run leased fsck"));
	gauges_set(mount->engines);
}

int
engine_ssh_krl_may_try(const struct ssh_mount *mount, struct leased_err *err)
{
	if (mount->failure.count == 0 ||
	    leases_now_ms(mount->engines->leases) >= mount->failure.until_ms)
		return (0);
	return (leased_err_set(err, LEASED_EUNAVAIL, "%s", mount->failure.err.text));
}
