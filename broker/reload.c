/*
 * SIGHUP: leased.hcl is read again. All of it is prepared beside what is in force, so that a
 * mistake anywhere changes nothing; what cannot change while leased serves is named. Called by
 * start.c, on the loop: nothing else runs between the old and the new.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "serve.h"

#include "base/log.h"
#include "metrics/metrics.h"

#define NAMES_SIZE 512

METRICS_COUNTER(reloads, "leased_config_reloads", "", "Reads of the configuration file on SIGHUP.");
METRICS_GAUGE(refused, "leased_config_refused", "",
    "1 while the configuration file was refused when it was read last.");

/* Behind one READY, ahead of the next. */
static void
tell_begin(void)
{
	struct timespec now = {0};
	char state[80];

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	(void)snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%lld",
	    (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
	main_tell_manager(state);
}

/* ---- what cannot change ---- */

static bool
same_text(const char *a, const char *b)
{
	return (a == NULL || b == NULL ? a == b : strcmp(a, b) == 0);
}

static void
name(char names[NAMES_SIZE], const char *what)
{
	(void)strlcat(names, names[0] != '\0' ? ", " : "", NAMES_SIZE);
	(void)strlcat(names, what, NAMES_SIZE);
}

static const char *
place_of(const struct config_listener *listener)
{
	return (listener->kind == CONFIG_LISTENER_UNIX ? listener->path : listener->address);
}

static const struct config_listener *
find_listener(const struct config *config, const struct config_listener *like)
{
	for (size_t i = 0; i < config->listener_count; i++)
		if (config->listeners[i].kind == like->kind &&
		    same_text(place_of(&config->listeners[i]), place_of(like)))
			return (&config->listeners[i]);
	return (NULL);
}

static bool
same_door(const struct config_listener *a, const struct config_listener *b)
{
	return (b != NULL && a->mode == b->mode && same_text(a->group, b->group) &&
		a->unauthenticated_metrics == b->unauthenticated_metrics &&
		(a->tls_cert_file != NULL) == (b->tls_cert_file != NULL));
}

static void
name_listeners(char names[NAMES_SIZE], const struct config *a, const struct config *b, bool twice)
{
	char text[160];

	for (size_t i = 0; i < a->listener_count; i++) {
		const struct config_listener *listener = &a->listeners[i];
		const struct config_listener *other = find_listener(b, listener);

		if (same_door(listener, other) || (other != NULL && twice))
			continue;
		(void)snprintf(text, sizeof(text), "listener %s", place_of(listener));
		name(names, text);
	}
}

/* Against what leased was started with: that is still so, however often the file was read. */
static void
warn_of_the_rest(const struct config *started, const struct config *config)
{
	char names[NAMES_SIZE] = "";

	if (!same_text(started->data_dir, config->data_dir))
		name(names, "data_dir");
	if (!same_text(started->seal_path, config->seal_path))
		name(names, "seal");
	if (!same_text(started->plugin_dir, config->plugin_dir))
		name(names, "plugin_dir");
	if (!same_text(started->audit_path, config->audit_path))
		name(names, "audit");
	if (started->default_lease_ttl_s != config->default_lease_ttl_s)
		name(names, "default_lease_ttl");
	if (started->max_lease_ttl_s != config->max_lease_ttl_s)
		name(names, "max_lease_ttl");
	if (memcmp(&started->limits, &config->limits, sizeof(config->limits)) != 0)
		name(names, "limits");
	name_listeners(names, config, started, false);
	name_listeners(names, started, config, true);
	if (names[0] != '\0')
		log_warn("part of the configuration file holds from the next start on only",
		    LOG_S("changed", names));
}

/* ---- what can ---- */

struct reload {
	struct main_daemon *daemon;
	struct config *config;
	struct auth_declared *declared;
	struct http_tls **pairs; /* one a listener; NULL: nothing to show there */
};

/* One that clients would refuse is not shown instead of one that they take. */
static int
load_pair(struct reload *reload, size_t index, struct leased_err *err)
{
	const struct config_listener *listener = &reload->config->listeners[index];
	struct wclock *clock = reload->daemon->clock;
	const struct http_tls *shown = NULL;
	struct http_tls *pair = NULL;
	int r;

	if (listener->tls_cert_file != NULL)
		shown = http_server_tls(reload->daemon->server, listener->address);
	if (shown == NULL)
		return (0);
	if ((r = main_listen_load(listener, &pair, err)) != 0)
		return (r);
	reload->pairs[index] = pair;
	if (http_tls_same_certificate(shown, pair))
		return (0);
	return (http_tls_check_dates(pair, clock->wall_us(clock) / 1000000, err));
}

static int
prepare(struct reload *reload, struct leased_err *err)
{
	int r;

	if ((r = main_serve_reload(reload->daemon->config_path, &reload->config, err)) != 0)
		return (r);
	reload->pairs = calloc(reload->config->listener_count, sizeof(*reload->pairs));
	if (reload->pairs == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	for (size_t i = 0; i < reload->config->listener_count; i++)
		if ((r = load_pair(reload, i, err)) != 0)
			return (
			    leased_err_prefix(err, "line %u", reload->config->listeners[i].line));
	return (main_serve_declare(reload->daemon, reload->config, &reload->declared, err));
}

/* From here on nothing fails. */
static void
apply(struct reload *reload)
{
	struct main_daemon *daemon = reload->daemon;
	const struct config *config = reload->config;

	log_setup((enum log_level)config->log_level, (enum log_format)config->log_format);
	auth_declared_apply(daemon->auth, reload->declared);
	reload->declared = NULL;
	for (size_t i = 0; i < config->listener_count; i++) {
		const struct config_listener *listener = &config->listeners[i];

		if (reload->pairs[i] == NULL)
			continue;
		main_listen_say(listener, reload->pairs[i]);
		(void)http_server_replace_tls(daemon->server, listener->address, reload->pairs[i]);
		reload->pairs[i] = NULL;
	}
	main_listen_count(daemon, config);
	log_info("the configuration file was read again", LOG_S("file", daemon->config_path),
	    LOG_I("policies", config->policy_count), LOG_I("roles", config->role_count));
	warn_of_the_rest(daemon->config, config);
}

static void
reload_clear(struct reload *reload)
{
	for (size_t i = 0; reload->pairs != NULL && i < reload->config->listener_count; i++)
		http_tls_free(reload->pairs[i]);
	free(reload->pairs);
	auth_declared_free(reload->declared);
	config_free(reload->config);
}

void
main_reload(struct main_daemon *daemon)
{
	struct reload reload = {.daemon = daemon};
	struct leased_err err = LEASED_ERR_INIT;

	if (daemon->stopping || !daemon->serving)
		return;
	/* Whatever the file says now: whoever rotates the audit counts on it. */
	audit_reopen(daemon->audit);
	if (daemon->config == NULL) {
		log_info("a signal is ignored: --dev has no configuration file to read again",
		    LOG_S("signal", strsignal(SIGHUP)));
		return;
	}
	tell_begin();
	metrics_add(&reloads, 1);
	if (prepare(&reload, &err) == 0) {
		apply(&reload);
		metrics_set(&refused, 0);
		main_tell_manager("READY=1\nSTATUS=serving");
	} else {
		metrics_set(&refused, 1);
		log_error("the configuration file was read again, and nothing of it holds: "
			  "everything goes on as before. `leased check` says whether it is mended",
		    LOG_S("file", daemon->config_path), LOG_ERR(&err));
		main_tell_manager("READY=1\nSTATUS=serving; the last reload was refused, see the "
				  "log");
	}
	reload_clear(&reload);
}
