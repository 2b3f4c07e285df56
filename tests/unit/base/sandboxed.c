/*
 * Runs attempts under the roles of the sandbox. Knows no attempt: the tests do.
 */
#include "sandboxed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/harden.h"
#include "support/child.h"

static void
take(const struct sandbox_calls *calls)
{
	struct leased_err err = LEASED_ERR_INIT;

	if (sandbox_limit_calls(calls, &err) != 0) {
		dprintf(STDERR_FILENO, "%s\n", err.text);
		_exit(98);
	}
}

void
sandboxed_become(const struct sandbox_calls *calls)
{
	const struct sandbox_calls worker = {.role = SANDBOX_PROGRAM, .program_fd = PROGRAM_FD};
	struct leased_err err = LEASED_ERR_INIT;

	CHILD_CHECK(harden_process(&err) == 0);
	if (calls->role == SANDBOX_PLUGIN)
		take(&worker);
	take(calls);
}

static void
make_attempt(void *arg)
{
	const struct attempt *attempt = arg;

	sandboxed_become(&attempt->calls);
	attempt->body();
}

void
sandboxed_run(const struct attempt *attempts, size_t count)
{
	char output[512];
	int status;

	for (size_t i = 0; i < count; i++) {
		status = child_run(
		    make_attempt, (void *)(uintptr_t)&attempts[i], output, sizeof(output));
		if (status != attempts[i].status)
			fail_msg("%s (role %d): %d, not %d: %s", attempts[i].name,
			    (int)attempts[i].calls.role, status, attempts[i].status, output);
	}
}
