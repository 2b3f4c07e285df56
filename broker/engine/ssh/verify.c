/*
 * verify/:serial of an SSH mount: whose a certificate is, by the number that a host's log says. Of
 * those that are good now; what has ended is told by its lease's id for a day (sys/leases/lookup).
 */
#include <stdlib.h>
#include <string.h>

#include "engine/ssh/ssh.h"
#include "lease/plain.h"

static json_t *
shown(const struct lease_plain *plain, const char *lease_id)
{
	const json_t *engine = plain->engine;
	char until[WCLOCK_RFC3339_SIZE];

	wclock_format_rfc3339(json_integer_value(json_object_get(engine, "exp")) * 1000000, until);
	return (json_pack("{s:s,s:s,s:s,s:s,s:O,s:O,s:O,s:s}", "lease_id", lease_id, "role",
	    plain->role, "display_name", plain->display, "entity_id", plain->entity,
	    "valid_principals", json_object_get(engine, "principals"), "cert_type",
	    json_object_get(engine, "kind"), "fingerprint", json_object_get(engine, "fp"),
	    "valid_before", until));
}

void
engine_ssh_verify(struct engine_request_copy *request)
{
	struct leases *leases = request->engines->leases;
	int64_t serial = strtonum(request->name, 1, INT64_MAX, NULL);
	struct leased_err err = LEASED_ERR_INIT;
	struct lease_plain plain = {0};
	const char *type;
	char lease_id[LEASE_ID_MAX];
	int r = serial > 0 ? lease_plain_get(leases, serial, &plain, &err) : LEASED_ENOENT;

	if (r == 0) {
		type = json_string_value(json_object_get(plain.engine, "type"));
		if (plain.row->mount != request->mount_id || type == NULL ||
		    strcmp(type, "ssh") != 0)
			r = LEASED_ENOENT;
	}
	if (r == 0)
		r = lease_id_format(leases, plain.row, lease_id, sizeof(lease_id));
	if (r == 0 && (request->reply.data = shown(&plain, lease_id)) == NULL)
		r = leased_err_set(&err, LEASED_ENOMEM, "out of memory");
	lease_plain_clear(&plain);
	if (r != 0 && r != LEASED_ENOENT)
		engine_fail(request, r, "%s", err.text);
	else
		engine_finish(request);
}
