/*
 * THE table: every endpoint outside the mounts, what may be asked of it, and who may ask. A path
 * that is not here and below no mount does not exist. Rows without a token (API_OPEN) are pinned by
 * a test: adding one is a decision.
 */
#include "api/api_private.h"
#include "api/handlers.h"

#define ROUTE(pattern_, operations_, flags_, handler_)                                             \
	{                                                                                          \
		.pattern = (pattern_), .operations = (operations_), .flags = (flags_),             \
		.handler = (handler_), .mount_type = "system"                                      \
	}
#define ROUTE_AUTH(pattern_, operations_, flags_, handler_, type_)                                 \
	{                                                                                          \
		.pattern = (pattern_), .operations = (operations_), .flags = (flags_),             \
		.handler = (handler_), .mount_type = (type_)                                       \
	}

const struct api_route api_routes[] = {
    /* state of the daemon; no envelope */
    ROUTE("sys/health", API_READ, API_OPEN, api_sys_health),
    ROUTE("sys/seal-status", API_READ, API_OPEN, api_sys_seal_status),
    ROUTE("sys/leader", API_READ, API_OPEN, api_sys_leader),
    ROUTE("sys/init", API_READ | API_WRITE, API_OPEN, api_sys_init),

    ROUTE("sys/metrics", API_READ, API_STATE, api_sys_metrics),

    /* a restored store */
    ROUTE("sys/restore", API_READ, API_SUDO, api_sys_restore),
    ROUTE("sys/restore/release", API_WRITE, API_SUDO, api_sys_restore_release),

    /* mounts */
    ROUTE("sys/mounts", API_READ, API_INJECT, api_sys_mounts),
    ROUTE("sys/mounts/:path/tune", API_READ | API_WRITE, API_INJECT, api_sys_mount_tune),
    ROUTE("sys/mounts/*", API_READ | API_WRITE | API_DELETE, API_INJECT, api_sys_mount),
    ROUTE("sys/auth", API_READ, API_INJECT, api_sys_auth),
    ROUTE("sys/auth/*", API_READ, API_INJECT | API_SUDO, api_sys_auth_mount),
    ROUTE("sys/internal/ui/mounts", API_READ, API_OPEN | API_CALLER, api_sys_ui_mounts),
    ROUTE("sys/internal/ui/mounts/*", API_READ, API_OPEN | API_CALLER, api_sys_ui_mount),

    /* audit */
    ROUTE("sys/audit", API_READ, API_INJECT | API_SUDO, api_sys_audit),
    ROUTE("sys/audit-hash/:path", API_WRITE, API_INJECT | API_SUDO, api_sys_audit_hash),

    /* policies */
    ROUTE("sys/policies/acl", API_LIST, 0, api_sys_policies),
    ROUTE("sys/policies/acl/:name", API_READ | API_WRITE | API_DELETE, 0, api_sys_policy),
    ROUTE("sys/policy", API_READ | API_LIST, API_INJECT, api_sys_policies_legacy),
    ROUTE("sys/policy/:name", API_READ | API_WRITE | API_DELETE, API_INJECT, api_sys_policy_legacy),
    ROUTE("sys/capabilities-self", API_WRITE, API_INJECT, api_sys_capabilities_self),
    ROUTE("sys/capabilities", API_WRITE, API_INJECT, api_sys_capabilities),

    /* leases */
    ROUTE("sys/leases", API_READ, API_SUDO, api_sys_leases),
    ROUTE("sys/leases/count", API_READ, 0, api_sys_lease_count),
    ROUTE("sys/leases/mine", API_READ | API_LIST, 0, api_sys_leases_mine),
    ROUTE("sys/leases/lookup", API_WRITE, 0, api_sys_lease_lookup),
    ROUTE("sys/leases/lookup", API_LIST, API_SUDO, api_sys_lease_list),
    ROUTE("sys/leases/lookup/*", API_LIST, API_SUDO, api_sys_lease_list),
    ROUTE("sys/leases/renew", API_WRITE, 0, api_sys_lease_renew),
    ROUTE("sys/leases/renew/*", API_WRITE, 0, api_sys_lease_renew),
    ROUTE("sys/leases/revoke", API_WRITE, 0, api_sys_lease_revoke),
    ROUTE("sys/leases/revoke/*", API_WRITE, 0, api_sys_lease_revoke),
    ROUTE("sys/leases/revoke-prefix/*", API_WRITE, API_SUDO, api_sys_lease_revoke_prefix),
    ROUTE("sys/leases/revoke-force/*", API_WRITE, API_SUDO, api_sys_lease_revoke_force),
    ROUTE("sys/leases/abandon", API_WRITE, API_SUDO, api_sys_lease_abandon),
    ROUTE("sys/leases/reconcile", API_READ | API_WRITE, API_SUDO, api_sys_reconcile),
    ROUTE("sys/leases/reconcile/:job", API_READ, API_SUDO, api_sys_reconcile_job),
    /* the same by the names of old clients */
    ROUTE("sys/renew", API_WRITE, 0, api_sys_lease_renew),
    ROUTE("sys/renew/*", API_WRITE, 0, api_sys_lease_renew),
    ROUTE("sys/revoke", API_WRITE, 0, api_sys_lease_revoke),
    ROUTE("sys/revoke/*", API_WRITE, 0, api_sys_lease_revoke),
    ROUTE("sys/revoke-prefix/*", API_WRITE, API_SUDO, api_sys_lease_revoke_prefix),
    ROUTE("sys/revoke-force/*", API_WRITE, API_SUDO, api_sys_lease_revoke_force),

    /* tokens */
    ROUTE_AUTH("auth/token/create", API_WRITE, 0, api_auth_token_create, "token"),
    ROUTE_AUTH("auth/token/create-orphan", API_WRITE, 0, api_auth_token_create_orphan, "token"),
    ROUTE_AUTH(
	"auth/token/lookup-self", API_READ | API_WRITE, 0, api_auth_token_lookup_self, "token"),
    ROUTE_AUTH("auth/token/lookup", API_READ | API_WRITE, 0, api_auth_token_lookup, "token"),
    ROUTE_AUTH("auth/token/lookup-accessor", API_WRITE, 0, api_auth_token_lookup_accessor, "token"),
    ROUTE_AUTH("auth/token/renew-self", API_WRITE, 0, api_auth_token_renew_self, "token"),
    ROUTE_AUTH("auth/token/renew", API_WRITE, 0, api_auth_token_renew, "token"),
    ROUTE_AUTH("auth/token/renew-accessor", API_WRITE, 0, api_auth_token_renew_accessor, "token"),
    ROUTE_AUTH("auth/token/revoke-self", API_WRITE, 0, api_auth_token_revoke_self, "token"),
    ROUTE_AUTH("auth/token/revoke", API_WRITE, 0, api_auth_token_revoke, "token"),
    ROUTE_AUTH("auth/token/revoke-accessor", API_WRITE, 0, api_auth_token_revoke_accessor, "token"),

    /* JWTs: what relying parties read, and the question whether one is good; no envelope */
    ROUTE_AUTH("identity/oidc/.well-known/openid-configuration", API_READ, API_OPEN,
	api_identity_discovery, "identity"),
    ROUTE_AUTH("identity/oidc/.well-known/keys", API_READ, API_OPEN, api_identity_keys, "identity"),
    ROUTE_AUTH(
	"identity/oidc/.well-known/denylist", API_READ, API_OPEN, api_identity_denied, "identity"),
    ROUTE_AUTH("identity/oidc/introspect", API_WRITE, 0, api_identity_introspect, "identity"),

    /* users of this machine */
    ROUTE_AUTH("auth/unix/role", API_LIST, 0, api_auth_unix_roles, "unix"),
    ROUTE_AUTH(
	"auth/unix/role/:name", API_READ | API_WRITE | API_DELETE, 0, api_auth_unix_role, "unix"),
};
const size_t api_route_count = sizeof(api_routes) / sizeof(api_routes[0]);
