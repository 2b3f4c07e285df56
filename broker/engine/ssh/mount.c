/*
 * The type ssh: its paths, and what each of its mounts keeps in memory: the public side of its CA,
 * its bans, and the port of the workers that have the private side. Made when it is first asked
 * for, or at the start where there are bans.
 */
#include "engine/ssh/mount.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/log.h"
#include "base/path.h"
#include "engine/database.h"
#include "engine/ssh/ban.h"
#include "engine/ssh/krl.h"
#include "engine/ssh/push.h"

/* A key's id: 43 characters of base64, of either alphabet. */
static bool
is_kid(const char *name, size_t len)
{
	return (len == strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
				    "+/-_") &&
		len > 0 && len < SSH_KID_SIZE);
}

static bool
is_serial(const char *name, size_t len)
{
	return (len > 0 && len < 20 && strspn(name, "0123456789") == len);
}

static const struct engine_path paths[] = {
    {.verb = "config/ca",
	.is_whole = true,
	.is_name = is_kid,
	.read = engine_ssh_ca_read,
	.write = engine_ssh_ca_write,
	.remove = engine_ssh_ca_delete},
    {.verb = "config/ca/rotate", .is_whole = true, .write = engine_ssh_ca_rotate},
    {.verb = "public_key", .is_whole = true, .is_open = true, .read = engine_ssh_public_key},
    {.verb = "krl", .is_whole = true, .is_open = true, .read = engine_ssh_krl_read},
    {.verb = "krl.sig", .is_whole = true, .is_open = true, .read = engine_ssh_krl_signature},
    {.verb = "roles",
	.is_listed = true,
	.kind = "role",
	.read = engine_ssh_role_read,
	.write = engine_ssh_role_write,
	.remove = engine_database_role_delete,
	.list = engine_ssh_role_list},
    {.verb = "bans",
	.is_listed = true,
	.kind = "ssh-ban",
	.read = engine_ssh_ban_read,
	.write = engine_ssh_ban_write,
	.remove = engine_ssh_ban_delete},
    {.verb = "hosts",
	.is_listed = true,
	.kind = "ssh-host",
	.read = engine_ssh_host_read,
	.write = engine_ssh_host_write,
	.remove = engine_ssh_host_delete},
    {.verb = "sign", .write = engine_ssh_sign},
    {.verb = "issue", .write = engine_ssh_issue},
    {.verb = "verify", .is_name = is_serial, .read = engine_ssh_verify},
};

static const char *const kinds[] = {
    "ssh-ca", "role", "ssh-ban", "ssh-revoked", "ssh-krl", "ssh-host", NULL};

const struct engine_type engine_type_ssh = {
    .name = "ssh",
    .paths = paths,
    .path_count = sizeof(paths) / sizeof(paths[0]),
    .help = "ssh has config/ca, config/ca/rotate, public_key, roles, sign, issue, bans, hosts, "
	    "krl, krl.sig and verify",
    .kinds = kinds,
    .lease_ended = engine_ssh_ended,
};

/* ---- in memory ---- */

int64_t
engine_ssh_wall_s(const struct engines *engines)
{
	return (wclock_wall_ms(engines->config.clock) / 1000);
}

struct ssh_mount *
engine_ssh_mount_from(void *arg)
{
	struct ssh_mount *mount = arg;

	if (mount->tag != SSH_TAG)
		abort();
	return (mount);
}

struct ssh_mount *
engine_ssh_mount_find(struct engines *engines, int64_t id)
{
	struct ssh_mount *mount;

	LIST_FOREACH (mount, &engines->ssh, link)
		if (mount->id == id)
			return (mount);
	return (NULL);
}

static struct ssh_mount *
mount_make(struct engines *engines, int64_t id)
{
	struct ssh_mount *mount = calloc(1, sizeof(*mount));
	struct leased_err err = LEASED_ERR_INIT;

	if (mount == NULL)
		return (NULL);
	mount->tag = SSH_TAG;
	mount->engines = engines;
	mount->id = id;
	LIST_INIT(&mount->bans);
	LIST_INSERT_HEAD(&engines->ssh, mount, link);
	if (engine_ssh_ca_load(mount, &err) != 0)
		log_error("the keys of a CA of SSH could not be read; it signs nothing",
		    LOG_I("mount", id), LOG_ERR(&err));
	/* Who wants a certificate has it tried again. */
	if (engine_ssh_bans_need(mount, &err) != 0)
		mount->bans_known = false;
	engine_ssh_push_start(mount);
	return (mount);
}

struct ssh_mount *
engine_ssh_mount(struct engine_request_copy *request)
{
	struct ssh_mount *mount = engine_ssh_mount_find(request->engines, request->mount_id);
	struct leased_err err = LEASED_ERR_INIT;

	if (mount == NULL)
		return (mount_make(request->engines, request->mount_id));
	/* There is none, or it could not be read. */
	if (mount->ca == NULL && !mount->closed && engine_ssh_ca_load(mount, &err) != 0)
		log_error("the keys of a CA of SSH could not be read; it signs nothing",
		    LOG_I("mount", mount->id), LOG_ERR(&err));
	return (mount);
}

int
engine_ssh_open(struct ssh_mount *mount, bool changed, struct leased_err *err)
{
	const struct engines_config *with = &mount->engines->config;
	const struct plugin_catalog_row *row = plugin_catalog_find("ssh");
	const json_t *active = engine_ssh_ca_active(mount);
	const char *kid = json_string_value(json_object_get(active, "kid"));
	json_t *config = NULL;
	int r;

	if (mount->engines->stopping)
		return (leased_err_set(err, LEASED_EUNAVAIL, "leased is stopping"));
	if (mount->closed)
		return (leased_err_set(err, LEASED_EUNAVAIL, "the mount was removed"));
	if (row == NULL)
		return (leased_err_set(err, LEASED_EUNAVAIL, "this version has no plugin ssh"));
	if (kid == NULL)
		kid = "";
	if (mount->port != NULL && !changed && strcmp(kid, mount->given) == 0)
		return (0);
	if ((r = engine_ssh_ca_config(mount, &config, err)) != 0)
		return (r);
	(void)strlcpy(mount->given, kid, sizeof(mount->given));
	if (mount->port != NULL) {
		plugin_port_configure(mount->port, config, true);
		return (0);
	}
	mount->port = with->port_open(with->host, row, config, 0, 0);
	return (mount->port != NULL ? 0 : leased_err_set(err, LEASED_ENOMEM, "out of memory"));
}

/* ---- start and end ---- */

void
engine_ssh_start(struct engines *engines)
{
	const struct engine_mount *each;

	/* One that there is no memory for is made, with its bans, when it is asked for. */
	LIST_FOREACH (each, &engines->mounts, link)
		if (each->type == &engine_type_ssh)
			(void)mount_make(engines, each->id);
	engine_ssh_krl_restored(engines);
}

void
engine_ssh_quiet(struct engines *engines)
{
	struct ssh_mount *mount;

	engines->quiet = true;
	LIST_FOREACH (mount, &engines->ssh, link)
		engine_ssh_krl_forget(mount, "leased is stopping");
}

static void
mount_close(struct ssh_mount *mount, const char *why)
{
	engine_ssh_krl_forget(mount, why);
	engine_ssh_push_stop(mount);
	plugin_port_close(mount->port); /* what was asked of it ends here */
	mount->port = NULL;
}

static void
mount_free(struct ssh_mount *mount)
{
	LIST_REMOVE(mount, link);
	engine_ssh_bans_free(mount);
	engine_ssh_push_free(mount);
	json_decref(mount->ca);
	free(mount->list.krl);
	free(mount->list.signature);
	free(mount->known.entries);
	mount->tag = 0;
	free(mount);
}

void
engine_ssh_stop(struct engines *engines)
{
	struct ssh_mount *mount;

	if (engines->ssh_timer != NULL)
		event_free(engines->ssh_timer);
	engines->ssh_timer = NULL;
	LIST_FOREACH (mount, &engines->ssh, link)
		mount_close(mount, "leased is stopping");
}

void
engine_ssh_free(struct engines *engines)
{
	while (!LIST_EMPTY(&engines->ssh))
		mount_free(LIST_FIRST(&engines->ssh));
}

/* Its memory stays until the end: what a worker or the store still has to say may come. */
void
engine_ssh_unmounted(struct engines *engines, int64_t id)
{
	struct ssh_mount *mount = engine_ssh_mount_find(engines, id);

	if (mount == NULL)
		return;
	mount->closed = true;
	mount_close(mount, "the mount was removed");
	json_decref(mount->ca);
	mount->ca = NULL;
	mount->failure.count = 0;
	engine_ssh_krl_made(mount); /* nobody is kept waiting for one of this mount */
}
