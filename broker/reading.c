/*
 * leased.hcl as it is read while leased may be serving: by `leased check` and by SIGHUP alike, so
 * that the one finds what the other would. Everything that can be wrong with it is found here, with
 * its place, and what would be put in place is made, beside what is in force. Touches nothing that
 * serves; may run on any thread. Called by serve.c and reload.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "serve.h"

#include "base/log.h"

/* ---- pairs ---- */

int
main_pair_add(struct main_pairs *pairs, const char *address, struct http_tls *tls)
{
	struct main_pair *items =
	    reallocarray(pairs->items, pairs->count + 1, sizeof(pairs->items[0]));
	char *copy = strdup(address);

	if (items != NULL)
		pairs->items = items;
	if (items == NULL || copy == NULL) {
		free(copy);
		http_tls_free(tls);
		return (LEASED_ENOMEM);
	}
	items[pairs->count++] = (struct main_pair){copy, tls};
	return (0);
}

struct main_pair *
main_pair_find(const struct main_pairs *pairs, const char *address)
{
	for (size_t i = 0; i < pairs->count; i++)
		if (strcmp(pairs->items[i].address, address) == 0)
			return (&pairs->items[i]);
	return (NULL);
}

static void
pairs_clear(struct main_pairs *pairs)
{
	for (size_t i = 0; i < pairs->count; i++) {
		http_tls_free(pairs->items[i].tls);
		free(pairs->items[i].address);
	}
	free(pairs->items);
	*pairs = (struct main_pairs){0};
}

/* ---- judging ---- */

static int
add_problem(struct config_problems *problems, unsigned line, unsigned column, const char *what,
    struct leased_err *err)
{
	char text[sizeof(err->text) + 32];

	(void)snprintf(text, sizeof(text), "%u:%u: %s", line, column, what);
	return (config_problem_add(problems, text, err));
}

/* A pair that no client would take is a mistake, unless it is the one that is shown: an ended
 * certificate must not keep everything else from being changed. */
static int
check_dates(const struct main_reading *reading, const char *address, const struct http_tls *tls,
    struct leased_err *err)
{
	const struct main_pair *shown = main_pair_find(&reading->shown, address);
	struct wclock *clock = wclock_system();

	if (shown != NULL && http_tls_same_certificate(shown->tls, tls))
		return (0);
	return (http_tls_check_dates(tls, clock->wall_us(clock) / 1000000, err));
}

static int
on_check_listener(const struct config_listener *listener, struct config_problems *problems,
    struct leased_err *err)
{
	struct main_reading *reading = problems->arg;
	struct leased_err why = LEASED_ERR_INIT;
	struct http_tls *tls = NULL;
	int r;

	if ((r = main_listen_load(listener, &tls, &why)) == 0)
		r = check_dates(reading, listener->address, tls, &why);
	if (r == 0) {
		if ((r = main_pair_add(&reading->pairs, listener->address, tls)) != 0)
			return (leased_err_set(err, r, "out of memory"));
		return (0);
	}
	http_tls_free(tls);
	if (r == LEASED_ENOMEM)
		return (leased_err_set(err, r, "%s", why.text));
	return (add_problem(problems, listener->line, listener->column, why.text, err));
}

/* What config/ cannot know of policies and roles. */
static int
declare(struct main_reading *reading, struct leased_err *err)
{
	struct leased_err why = LEASED_ERR_INIT;
	unsigned line = 0, column = 0;
	int r;

	r = main_serve_declare(reading->config, &reading->declared, &line, &column, &why);
	if (r == 0 || r == LEASED_ENOMEM)
		return (r == 0 ? 0 : leased_err_set(err, r, "%s", why.text));
	if (add_problem(&reading->problems, line, column, why.text, err) != 0)
		return (LEASED_ENOMEM);
	return (leased_err_set(err, LEASED_EINVAL, "1 mistake in the configuration"));
}

void
main_reading_run(struct main_reading *reading)
{
	struct config_problems *problems = &reading->problems;

	problems->check_policy = main_serve_check_policy;
	problems->check_plugin = main_serve_check_plugin;
	problems->check_listener = on_check_listener;
	problems->arg = reading;
	reading->result = config_load(reading->path, &reading->config, problems, &reading->err);
	if (reading->result == 0)
		reading->result = declare(reading, &reading->err);
}

void
main_reading_clear(struct main_reading *reading)
{
	config_problems_clear(&reading->problems);
	config_free(reading->config);
	auth_declared_free(reading->declared);
	pairs_clear(&reading->pairs);
	pairs_clear(&reading->shown);
	*reading = (struct main_reading){0};
}

/* ---- saying it ---- */

void
main_say_problems(const char *path, const struct config_problems *problems, bool to_log)
{
	char text[1024];

	for (size_t i = 0; i < problems->count; i++) {
		config_problem_format(&problems->items[i], path, text, sizeof(text));
		if (!to_log)
			(void)fprintf(stderr, "%s\n", text);
		else if (problems->items[i].warning)
			log_warn("the configuration file", LOG_S("says", text));
		else
			log_error("a mistake in the configuration file", LOG_S("mistake", text));
	}
}
