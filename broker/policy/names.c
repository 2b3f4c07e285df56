/*
 * The fixed words of policies: capabilities, policy names, the paths that need sudo, the text of
 * `default`. It holds no state. Called by the rest of policy/, by auth/ and by api/.
 */
#include <string.h>

#include "base/jdec.h"
#include "policy/policy_private.h"

/* In API order, so that a set is listed by walking the table. */
static const char *const capability_names[POLICY_CAPABILITY_COUNT] = {
    "sudo", "read", "list", "update", "delete", "create", "patch", "deny"};

const char *
policy_capability_name(enum policy_capability capability)
{
	for (unsigned i = 0; i < POLICY_CAPABILITY_COUNT; i++)
		if ((unsigned)capability == 1u << i)
			return (capability_names[i]);
	return ("?");
}

unsigned
policy_capability_from_name(const char *name)
{
	for (unsigned i = 0; i < POLICY_CAPABILITY_COUNT; i++)
		if (strcmp(name, capability_names[i]) == 0)
			return (1u << i);
	return (0);
}

const char *
policy_capability_nearest(const char *name)
{
	return (jdec_nearest(name, capability_names, POLICY_CAPABILITY_COUNT));
}

bool
policy_path_needs_sudo(const char *path)
{
	/* Contract 3.7. A '*' at the end: everything that starts so. */
	static const char *const table[] = {
	    "auth/token/accessors",
	    "auth/token/revoke-orphan",
	    "sys/audit",
	    "sys/audit/*",
	    "sys/auth/*",
	    "sys/config/auditing/*",
	    "sys/config/cors",
	    "sys/config/ui/headers/*",
	    "sys/leases",
	    "sys/leases/lookup/*",
	    "sys/leases/revoke-force/*",
	    "sys/leases/revoke-prefix/*",
	    "sys/plugins/catalog/*",
	    "sys/raw*",
	    "sys/remount",
	    "sys/revoke-force/*",
	    "sys/revoke-prefix/*",
	    "sys/rotate",
	    "sys/seal",
	    "sys/step-down",
	};
	size_t len, bare;

	path += path[0] == '/' ? 1 : 0;
	len = strlen(path);
	/* A list has a '/' at its end, which must not lead past an exact row. */
	bare = len > 0 && path[len - 1] == '/' ? len - 1 : len;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		size_t row = strlen(table[i]);

		if (table[i][row - 1] == '*') {
			if (strncmp(path, table[i], row - 1) == 0)
				return (true);
		} else if (bare == row && memcmp(path, table[i], row) == 0) {
			return (true);
		}
	}
	return (false);
}

bool
policy_name_is_root(const char *name)
{
	return (strcmp(name, "root") == 0);
}

static bool
is_edge(char c)
{
	return ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_');
}

int
policy_name_normalize(const char *name, char ret_name[POLICY_NAME_SIZE], struct leased_err *err)
{
	static const char blanks[] = " \t\r\n";
	char lower[POLICY_NAME_SIZE];
	size_t len;

	name += strspn(name, blanks);
	len = strlen(name);
	while (len > 0 && strchr(blanks, name[len - 1]) != NULL)
		len--;
	if (len == 0)
		return (leased_err_set(err, LEASED_EINVAL, "a policy's name must not be empty"));
	if (len >= POLICY_NAME_SIZE)
		return (leased_err_set(err, LEASED_EINVAL,
		    "a policy's name must not be longer than %d characters", POLICY_NAME_SIZE - 1));
	for (size_t i = 0; i < len; i++) {
		char c = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] - 'A' + 'a') : name[i];

		if (!is_edge(c) && (i == 0 || i == len - 1 || strchr("-.:@+/", c) == NULL))
			return (leased_err_set(err, LEASED_EINVAL,
			    "a policy's name consists of letters, digits and _, with - . : @ + / "
			    "inside"));
		lower[i] = c;
	}
	lower[len] = '\0';
	if (strcmp(lower, "root") == 0 || strcmp(lower, "response-wrapping") == 0)
		return (leased_err_set(
		    err, LEASED_EINVAL, "the policy name \"%s\" is reserved", lower));
	memcpy(ret_name, lower, len + 1);
	return (0);
}

const char policy_default_text[] =
    "# Every caller may look at and look after itself: its token, its leases, its own storage.\n"
    "path \"auth/token/lookup-self\" {\n\tcapabilities = [\"read\"]\n}\n"
    "path \"auth/token/renew-self\" {\n\tcapabilities = [\"update\"]\n}\n"
    "path \"auth/token/revoke-self\" {\n\tcapabilities = [\"update\"]\n}\n"
    "path \"sys/capabilities-self\" {\n\tcapabilities = [\"update\"]\n}\n"
    "path \"sys/internal/ui/resultant-acl\" {\n\tcapabilities = [\"read\"]\n}\n"
    "\n"
    "# Leases: each lease checks its owner by itself; `mine` lists the caller's own.\n"
    "path \"sys/leases/mine\" {\n\tcapabilities = [\"read\", \"list\"]\n}\n"
    "path \"sys/leases/lookup\" {\n\tcapabilities = [\"update\"]\n}\n"
    "path \"sys/leases/renew\" {\n\tcapabilities = [\"update\"]\n}\n"
    "path \"sys/leases/revoke\" {\n\tcapabilities = [\"update\"]\n}\n"
    "path \"sys/renew\" {\n\tcapabilities = [\"update\"]\n}\n"
    "path \"sys/revoke\" {\n\tcapabilities = [\"update\"]\n}\n"
    "\n"
    "path \"cubbyhole/*\" {\n\tcapabilities = [\"create\", \"read\", \"update\", \"delete\", "
    "\"list\"]\n}\n"
    "\n"
    "path \"sys/wrapping/wrap\" {\n\tcapabilities = [\"update\"]\n}\n"
    "path \"sys/wrapping/lookup\" {\n\tcapabilities = [\"update\"]\n}\n"
    "path \"sys/wrapping/unwrap\" {\n\tcapabilities = [\"update\"]\n}\n"
    "\n"
    "path \"sys/tools/hash\" {\n\tcapabilities = [\"update\"]\n}\n"
    "path \"sys/tools/hash/*\" {\n\tcapabilities = [\"update\"]\n}\n"
    "path \"sys/control-group/request\" {\n\tcapabilities = [\"update\"]\n}\n"
    "path \"identity/oidc/provider/+/authorize\" {\n\tcapabilities = [\"read\", \"update\"]\n}\n";
