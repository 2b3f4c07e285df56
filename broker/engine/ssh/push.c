/*
 * Brings each new list of revoked keys to the hosts that are configured, at once and to some at a
 * time, and again where it failed, later and later. Who failed, or was never reached, gets half of
 * the workers at most: hosts that hang do not keep those waiting that answer. What a host has is
 * known in memory only; behind a restart each is asked, which changes nothing where it has the list
 * already.
 */
#include "engine/ssh/push.h"

#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/log.h"
#include "engine/ssh/krl.h"
#include "metrics/metrics.h"
#include "store/hold.h"

#define LOOK_MS 200
#define SOON_MS 20 /* while a list or a certificate is on its way */
#define RETRY_MIN_MS 1000
#define RETRY_MAX_MS 60000
#define CHECK_MS 600000 /* a host that was set up anew gets it again */

METRICS_COUNTER(pushed, "leased_ssh_pushes", "result=\"ok\"",
    "Lists of revoked keys that were brought to a host, or could not be.");
METRICS_COUNTER(not_pushed, "leased_ssh_pushes", "result=\"failed\"",
    "Lists of revoked keys that were brought to a host, or could not be.");
METRICS_GAUGE(failing, "leased_ssh_push_failing", "",
    "Hosts that the list of revoked keys could not be brought to at the last try.");

struct ssh_push *
engine_ssh_push_from(void *arg)
{
	struct ssh_push *push = arg;

	if (push->tag != SSH_PUSH_TAG)
		abort();
	return (push);
}

static void
gauge_set(const struct engines *engines)
{
	const struct ssh_mount *mount;
	const struct ssh_host *host;
	unsigned count = 0;

	LIST_FOREACH (mount, &engines->ssh, link)
		if (mount->push != NULL)
			LIST_FOREACH (host, &mount->push->hosts, link)
				count += host->failures > 0;
	metrics_set(&failing, count);
}

int64_t
engine_ssh_push_wait_ms(unsigned failures)
{
	int64_t wait_ms = (int64_t)RETRY_MIN_MS << (failures < 8 ? failures : 8) >> 1;

	return (wait_ms < RETRY_MAX_MS ? wait_ms : RETRY_MAX_MS);
}

static void
host_failed(struct ssh_host *host, const char *why)
{
	struct ssh_push *push = host->push;

	if (why[0] == '\0')
		why = "it failed, and nobody said why";
	metrics_add(&not_pushed, 1);
	host->failures++;
	host->next_ms =
	    leases_now_ms(push->mount->engines->leases) + engine_ssh_push_wait_ms(host->failures);
	if (strcmp(host->error, why) != 0)
		log_warn("the list of revoked keys could not be brought to a host: it lets in who "
			 "was revoked since; it is tried again",
		    LOG_I("mount", push->mount->id), LOG_S("host", host->name),
		    LOG_S("reason", why));
	(void)strlcpy(host->error, why, sizeof(host->error));
}

static void
host_has(struct ssh_host *host)
{
	struct ssh_push *push = host->push;

	metrics_add(&pushed, 1);
	if (host->failures > 0)
		log_info("the list of revoked keys could be brought to a host again",
		    LOG_I("mount", push->mount->id), LOG_S("host", host->name));
	host->failures = 0;
	host->error[0] = '\0';
	host->version = host->sending;
	host->good_wall_s = engine_ssh_wall_s(push->mount->engines);
	host->next_ms = 0;
}

/* ---- calls ---- */

static void
call_over(struct ssh_host *host)
{
	host->call = NULL;
	host->push->running--;
	host->push->doubtful -= host->doubtful;
}

static void
on_pushed(void *arg, const struct plugin_outcome *outcome)
{
	struct ssh_host *host = arg;
	struct ssh_push *push = engine_ssh_push_from(host->push);

	call_over(host);
	if (push->stopped)
		return;
	host->try_wall_s = engine_ssh_wall_s(push->mount->engines);
	if (outcome->code == 0)
		host_has(host);
	else
		host_failed(host, outcome->err.text);
	gauge_set(push->mount->engines);
	engine_ssh_push_wake(push);
}

void
engine_ssh_push_forget(struct ssh_host *host)
{
	if (host->call != NULL) {
		plugin_call_cancel(host->call);
		call_over(host);
	}
	host->version = host->good_wall_s = host->try_wall_s = host->next_ms = 0;
	host->failures = 0;
	host->error[0] = '\0';
	gauge_set(host->push->mount->engines);
}

void
engine_ssh_push_held(struct ssh_push *push, const struct leased_err *why)
{
	struct ssh_host *host;

	LIST_FOREACH (host, &push->hosts, link)
		if (host->call == NULL && host->version != push->mount->list.version)
			(void)strlcpy(host->error, why->text, sizeof(host->error));
}

/* ---- workers ---- */

static json_t *
ports_of(const struct ssh_push *push)
{
	json_t *ports = json_array(), *port;
	const struct ssh_host *host;
	bool found;
	size_t i;

	LIST_FOREACH (host, &push->hosts, link) {
		const json_t *own = json_object_get(host->data, "port");

		found = false;
		json_array_foreach(ports, i, port) found |= json_equal(port, own) == 1;
		if (!found && json_array_append_new(ports, json_deep_copy(own)) != 0) {
			json_decref(ports);
			return (NULL);
		}
	}
	return (ports);
}

/* No worker of another mount, nor one that has keys. */
static int
port_open(struct ssh_push *push, struct leased_err *err)
{
	const struct engines_config *with = &push->mount->engines->config;
	const struct plugin_catalog_row *row = plugin_catalog_find("ssh");
	json_t *ports = ports_of(push), *config = NULL;

	if (row == NULL || ports == NULL) {
		json_decref(ports);
		return (leased_err_set(err, LEASED_EUNAVAIL, "this version has no plugin ssh"));
	}
	if (push->port != NULL && json_equal(ports, push->ports) == 1) {
		json_decref(ports);
		return (0);
	}
	if ((config = json_pack("{s:{},s:O}", "keys", "ports", ports)) == NULL) {
		json_decref(ports);
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	}
	json_decref(push->ports);
	push->ports = ports;
	if (push->port != NULL)
		plugin_port_configure(push->port, config, true);
	else
		push->port = with->port_open(with->host, row, config, SSH_PUSH_PARALLEL, 0);
	return (push->port != NULL ? 0 : leased_err_set(err, LEASED_ENOMEM, "out of memory"));
}

static bool
is_doubtful(const struct ssh_host *host)
{
	return (host->failures > 0 || host->good_wall_s == 0);
}

static void
host_start(struct ssh_push *push, struct ssh_host *host)
{
	json_t *params = engine_ssh_push_params(push, host);

	if (params != NULL)
		host->call =
		    plugin_call_start(push->port, PLUGIN_OP_PUSH, params, 0, on_pushed, host);
	if (host->call == NULL) {
		host_failed(host, "out of memory");
		return;
	}
	host->sending = push->mount->list.version;
	host->doubtful = is_doubtful(host);
	push->running++;
	push->doubtful += host->doubtful;
}

/* ---- what is due ---- */

static bool
is_due(const struct ssh_host *host, int64_t version, int64_t now_ms)
{
	int64_t age_s = engine_ssh_wall_s(host->push->mount->engines) - host->good_wall_s;

	if (host->call != NULL || now_ms < host->next_ms)
		return (false);
	return (host->version != version || age_s < 0 || age_s * 1000 >= CHECK_MS);
}

static bool
any_due(const struct ssh_push *push, int64_t version, int64_t now_ms)
{
	const struct ssh_host *host;

	LIST_FOREACH (host, &push->hosts, link)
		if (is_due(host, version, now_ms))
			return (true);
	return (false);
}

static bool
is_before(const struct ssh_host *host, const struct ssh_host *other)
{
	if (is_doubtful(host) != is_doubtful(other))
		return (is_doubtful(other));
	if (host->failures != other->failures)
		return (host->failures < other->failures);
	return (host->next_ms < other->next_ms);
}

/* Those that answer first, and of the others who failed least: a few that hang take nobody's turn.
 */
static struct ssh_host *
next_host(const struct ssh_push *push, int64_t version, int64_t now_ms)
{
	struct ssh_host *host, *best = NULL;

	LIST_FOREACH (host, &push->hosts, link)
		if (is_due(host, version, now_ms) &&
		    (!is_doubtful(host) || push->doubtful < SSH_PUSH_DOUBTFUL) &&
		    (best == NULL || is_before(host, best)))
			best = host;
	return (best);
}

static void
start_some(struct ssh_push *push, int64_t version, int64_t now_ms)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct ssh_host *host;
	int r = port_open(push, &err);

	if (r != 0) {
		engine_ssh_push_held(push, &err);
		return;
	}
	while (
	    push->running < SSH_PUSH_PARALLEL && (host = next_host(push, version, now_ms)) != NULL)
		host_start(push, host);
}

/* A copy of a store may know less than its original, which may live. */
static bool
may_push(const struct ssh_push *push, int64_t *ret_version)
{
	const struct ssh_mount *mount = push->mount;
	struct store_hold hold;

	if (mount->engines->stopping || mount->engines->quiet || mount->closed || push->stopped ||
	    engine_ssh_ca_active(mount) == NULL)
		return (false);
	store_hold_get(mount->engines->config.store, &hold);
	return (!hold.held && engine_ssh_krl_version(push->mount, ret_version, NULL) == 0 &&
		*ret_version > 0);
}

/* No host is left: no workers, and no key. */
static void
rest(struct ssh_push *push)
{
	plugin_port_close(push->port);
	push->port = NULL;
	json_decref(push->ports);
	json_decref(push->private);
	json_decref(push->certificate);
	json_decref(push->list);
	push->ports = push->private = push->certificate = push->list = NULL;
}

int64_t
engine_ssh_push_tick(struct ssh_mount *mount)
{
	struct ssh_push *push = mount->push;
	struct leased_err err = LEASED_ERR_INIT;
	int64_t now_ms = leases_now_ms(mount->engines->leases), version = 0;

	if (push == NULL || push->stopped)
		return (-1);
	if (!push->loaded && engine_ssh_hosts_load(push, &err) != 0)
		return (RETRY_MIN_MS);
	if (LIST_EMPTY(&push->hosts)) {
		rest(push);
		return (-1);
	}
	if (!may_push(push, &version) || !any_due(push, version, now_ms))
		return (LOOK_MS);
	if (mount->list.krl == NULL || mount->list.version != version) {
		if (engine_ssh_krl_make(mount, &err) == 0)
			return (SOON_MS);
		engine_ssh_push_held(push, &err);
		return (LOOK_MS);
	}
	if (!engine_ssh_push_has_identity(push)) {
		if (!push->making && now_ms >= push->pause_ms)
			engine_ssh_push_identity_make(push);
		return (push->making ? SOON_MS : LOOK_MS);
	}
	start_some(push, version, now_ms);
	return (LOOK_MS);
}

/* ---- the timer ---- */

static void
arm(struct ssh_push *push, int64_t ms)
{
	struct timeval after = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	if (push->timer != NULL && evtimer_add(push->timer, &after) != 0)
		log_warn("no memory for a timer: lists of revoked keys come to hosts later");
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct ssh_push *push = engine_ssh_push_from(arg);
	int64_t ms = engine_ssh_push_tick(push->mount);

	(void)fd;
	(void)what;
	if (ms >= 0)
		arm(push, ms);
}

void
engine_ssh_push_wake(struct ssh_push *push)
{
	struct event_base *loop = push->mount->engines->config.loop;

	if (loop == NULL || push->stopped)
		return; /* a test, which calls engine_ssh_push_tick() */
	if (push->timer == NULL)
		push->timer = evtimer_new(loop, on_timer, push);
	arm(push, 0);
}

/* ---- with the mount ---- */

void
engine_ssh_push_start(struct ssh_mount *mount)
{
	struct ssh_push *push = calloc(1, sizeof(*push));

	if (push == NULL)
		return; /* who writes a host has it tried again */
	push->tag = SSH_PUSH_TAG;
	push->mount = mount;
	LIST_INIT(&push->hosts);
	mount->push = push;
	engine_ssh_push_wake(push);
}

void
engine_ssh_push_stop(struct ssh_mount *mount)
{
	struct ssh_push *push = mount->push;
	struct ssh_host *host;

	if (push == NULL || push->stopped)
		return;
	push->stopped = true;
	if (push->timer != NULL)
		event_free(push->timer);
	push->timer = NULL;
	LIST_FOREACH (host, &push->hosts, link)
		engine_ssh_push_forget(host);
	plugin_port_close(push->port);
	push->port = NULL;
}

void
engine_ssh_push_free(struct ssh_mount *mount)
{
	struct ssh_push *push = mount->push;

	if (push == NULL)
		return;
	mount->push = NULL;
	while (!LIST_EMPTY(&push->hosts))
		engine_ssh_host_free(LIST_FIRST(&push->hosts));
	rest(push);
	push->tag = 0;
	free(push);
}
