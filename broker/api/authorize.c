/*
 * May the caller do this? Turns an operation into the capabilities that policy/ is asked for
 * (contract 3.4), on the one path that the router sees, too. Deny by default; a denial says what
 * was missing, to the caller of just this request.
 */
#include <stdio.h>
#include <stdlib.h>

#include "api/api_private.h"

/* POST and PUT are create or update, by whether the thing is there: engines that cannot tell want
 * update. */
static unsigned
write_capability(const struct api_request *request)
{
	if (request->mount == NULL)
		return (POLICY_UPDATE);
	if (engine_exists(request->api->config.engines, request->mount, request->mount_rest) == 0)
		return (POLICY_CREATE);
	return (POLICY_UPDATE);
}

static unsigned
needed(const struct api_request *request)
{
	switch (request->operation) {
	case API_READ:
		return (POLICY_READ);
	case API_LIST:
		return (POLICY_LIST);
	case API_WRITE:
		return (write_capability(request));
	case API_PATCH:
		return (POLICY_PATCH);
	case API_DELETE:
		return (POLICY_DELETE);
	}
	return (POLICY_DENY); /* nobody has it */
}

static int
decide(const struct api_request *request, const char *path, unsigned need, struct leased_err *err)
{
	struct policy_decision decision = policy_acl_decide(request->identity->acl, path, need);
	char text[sizeof(err->text)];

	if (decision.allowed)
		return (0);
	policy_denial_text(&decision, path, text, sizeof(text));
	return (leased_err_set(err, LEASED_EDENIED, "%s", text));
}

int
api_authorize(const struct api_request *request, struct leased_err *err)
{
	char also[API_ALSO_SIZE];
	unsigned need = needed(request);
	int r;

	if ((request->route != NULL && (request->route->flags & API_SUDO) != 0) ||
	    (request->mount != NULL && engine_needs_sudo(request->mount, request->mount_rest)))
		need |= POLICY_SUDO;
	if ((r = decide(request, request->path, need, err)) == 0 && request->mount != NULL &&
	    engine_also_reads(request->mount, request->mount_rest, also, sizeof(also)))
		r = decide(request, also, POLICY_READ, err);
	return (r);
}

bool
api_request_has_sudo(const struct api_request *request)
{
	if (request->identity == NULL)
		return (false);
	if (request->identity->root)
		return (true);
	return (policy_acl_allows(request->identity->acl, request->path, POLICY_SUDO));
}

bool
api_request_has_sudo_over(const struct api_request *request, const char *lease_id)
{
	char *path = NULL;
	bool allowed;

	if (api_request_has_sudo(request) || request->identity == NULL)
		return (api_request_has_sudo(request));
	if (asprintf(&path, "%s/%s", request->path, lease_id) < 0)
		return (false);
	allowed = policy_acl_allows(request->identity->acl, path, POLICY_SUDO);
	free(path);
	return (allowed);
}

struct lease_actor
api_request_actor(const struct api_request *request)
{
	struct lease_actor actor = {NULL, NULL};

	if (request->identity != NULL) {
		actor.name = request->identity->display_name;
		actor.accessor = request->identity->accessor;
	}
	return (actor);
}
