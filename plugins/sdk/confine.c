/*
 * What a worker takes from itself when it knows its servers: ports, kinds of sockets, system calls
 * (DESIGN.md, "The sandbox"). What the spawner took before stays taken. Called from an open, and
 * after it; and the files whose replacement ends a worker.
 */
#include <netdb.h>
#include <openssl/crypto.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/named.h"
#include "base/sandbox.h"
#include "sdk.h"

#define PORTS_MAX 64
#define DNS_PORT 53

static bool confined, starts_programs;
static uint16_t confined_ports[PORTS_MAX];
static size_t confined_count;

/* The resolver loads libraries for whom it asks, and TLS what its configuration names: now, since
 * no code is loaded afterwards. */
static void
load_libraries(const char *const *names)
{
	struct addrinfo *found;

	(void)OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, NULL);
	for (; names != NULL && *names != NULL; names++) {
		found = NULL;
		if (getaddrinfo(*names, NULL, NULL, &found) == 0)
			freeaddrinfo(found);
	}
}

static int
limit_ports(const struct leased_reach *reach, struct leased_err *err)
{
	struct sandbox_files files = SANDBOX_FILES_INIT;
	int r;

	if ((r = sandbox_files_init(&files, SANDBOX_PORTS | SANDBOX_FILES_STAY, err)) != 0)
		return (r);
	for (size_t i = 0; r == 0 && reach->ports[i] != 0; i++)
		r = sandbox_files_allow_port(&files, reach->ports[i], err);
	if (r == 0 && reach->names != NULL)
		r = sandbox_files_allow_port(&files, DNS_PORT, err); /* long answers */
	if (r == 0)
		r = sandbox_files_enter(&files, err);
	sandbox_files_clear(&files);
	return (r);
}

static bool
is_within(const uint16_t *ports)
{
	for (; *ports != 0; ports++) {
		bool found = false;

		for (size_t i = 0; i < confined_count; i++)
			found |= confined_ports[i] == *ports;
		if (!found)
			return (false);
	}
	return (true);
}

void
sdk_confine_allow_programs(void)
{
	starts_programs = true;
}

/* The resolver may ask a service of this machine by its socket. */
static int
limit_calls(bool has_names, bool has_unix, struct leased_err *err)
{
	const struct sandbox_calls calls = {
	    .role = SANDBOX_PLUGIN, .no_names = !has_names, .no_unix = !has_names && !has_unix};

	if (starts_programs)
		return (0);
	return (sandbox_limit_calls(&calls, err));
}

int
leased_confine(const struct leased_reach *reach, struct leased_err *err)
{
	bool has_names = reach->names != NULL && reach->names[0] != NULL;
	size_t count = 0;
	int r;

	if (confined && !is_within(reach->ports)) {
		(void)leased_err_set(err, LEASED_EINVAL,
		    "this worker was opened for another port before and cannot reach this one: it "
		    "ends, and a new one can");
		sdk_exit(1, err);
	}
	if (confined)
		return (0);
	while (reach->ports[count] != 0)
		if (++count > PORTS_MAX)
			return (
			    leased_err_set(err, LEASED_EINVAL, "more than %d ports", PORTS_MAX));
	load_libraries(reach->names);
	if ((r = limit_ports(reach, err)) != 0 ||
	    (r = limit_calls(has_names, reach->unix_sockets, err)) != 0)
		return (r);
	memcpy(confined_ports, reach->ports, count * sizeof(reach->ports[0]));
	confined_count = count;
	confined = true;
	return (0);
}

int
sdk_confine_after_open(struct leased_err *err)
{
	int r;

	if (confined)
		return (0);
	load_libraries(NULL);
	if ((r = limit_calls(true, true, err)) == 0)
		confined = true;
	return (r);
}

/* ---- files that are replaced ---- */

static const char *const resolver_files[] = {
    "/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/ssl/certs/ca-certificates.crt"};
#define RESOLVER_COUNT (sizeof(resolver_files) / sizeof(resolver_files[0]))

static struct named_files watched;
static struct {
	dev_t device;
	ino_t inode;
} seen[RESOLVER_COUNT + NAMED_FILES_MAX];

static const char *
watched_path(size_t i)
{
	return (i < RESOLVER_COUNT ? resolver_files[i] : watched.paths[i - RESOLVER_COUNT]);
}

void
sdk_watch_begin(const json_t *config)
{
	struct stat status;

	named_files_find(config, &watched);
	for (size_t i = 0; i < RESOLVER_COUNT + watched.count; i++) {
		memset(&seen[i], 0, sizeof(seen[i]));
		if (stat(watched_path(i), &status) == 0) {
			seen[i].device = status.st_dev;
			seen[i].inode = status.st_ino;
		}
	}
}

/* One that is gone for a moment is on its way to being replaced; or is gone, and a new worker would
 * not see it either. */
bool
sdk_watch_changed(void)
{
	struct stat status;

	for (size_t i = 0; i < RESOLVER_COUNT + watched.count; i++)
		if (stat(watched_path(i), &status) == 0 &&
		    (status.st_dev != seen[i].device || status.st_ino != seen[i].inode))
			return (true);
	return (false);
}
