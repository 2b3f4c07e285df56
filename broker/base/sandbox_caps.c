/*
 * Capabilities: what root, or a service manager, gave a process of ours beyond its user's rights.
 * Called by each role at its start.
 */
#include "base/sandbox_private.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What an exec could give back. Lowering the bounding set takes CAP_SETPCAP; who lacks it cannot
 * get anything by an exec either, since no new privileges are given. */
static void
lower_bounds(uint64_t keep)
{
	for (unsigned cap = 0; cap < 64 && prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if ((keep & 1ull << cap) == 0)
			(void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
}

int
sandbox_drop_capabilities(uint64_t keep, struct leased_err *err)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];
	bool has_more = false;

	if (sandbox_is_off())
		return (0);
	lower_bounds(keep);
	if (syscall(SYS_capget, &header, data) != 0)
		return (leased_err_set(
		    err, LEASED_EBUG, "cannot read capabilities: %s", strerror(errno)));
	for (unsigned i = 0; i < 2; i++) {
		has_more |= (data[i].permitted & ~(uint32_t)(keep >> (32 * i))) != 0 ||
			    data[i].inheritable != 0;
		data[i].permitted &= (uint32_t)(keep >> (32 * i));
		data[i].effective = data[i].permitted;
		data[i].inheritable = 0;
	}
	/* A service manager may forbid the call to who has nothing to give up. */
	if (has_more && syscall(SYS_capset, &header, data) != 0)
		return (leased_err_set(
		    err, LEASED_EBUG, "cannot give up capabilities: %s", strerror(errno)));
	return (0);
}
