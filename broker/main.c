/*
 * leased: start, loop, stop. The command line is options.c's; what is started, and in which order,
 * stands in start.c; where from, in dev.c and serve.c.
 */
#include <stdlib.h>
#include <string.h>

#include "daemon.h"
#include "offline.h"
#include "sandbox.h"
#include "serve.h"

#include "base/failpoint.h"
#include "base/harden.h"
#include "base/log.h"
#include "base/notify.h"

/* Wiping the text in argv is all that can be done for a token that was put there. */
static void
hide_token(struct main_options *options, char **copy)
{
	if (options->dev_token == NULL)
		return;
	if ((*copy = strdup(options->dev_token)) == NULL)
		log_fatal("out of memory");
	memset((char *)(uintptr_t)options->dev_token, 'x', strlen(options->dev_token));
	options->dev_token = *copy;
}

/* Up to serving, or why not. */
static int
start(struct main_daemon *daemon, struct main_options *options, struct leased_err *err)
{
	struct config *config = NULL;
	int r;

	if (!options->dev) {
		if ((r = main_serve_load(options->config, &config, err)) != 0)
			return (leased_err_prefix(err, "%s", options->config));
		log_setup((enum log_level)config->log_level, (enum log_format)config->log_format);
		if (options->plugin_dir == NULL)
			options->plugin_dir = config->plugin_dir;
	}
	if ((r = main_start_spawner(daemon, options->plugin_dir, err)) != 0 ||
	    (r = harden_process(err)) != 0)
		goto out;
	if (options->dev)
		return (main_dev_start(daemon, options, err));
	if ((r = main_sandbox_serve(options->config, config, err)) != 0)
		goto out;
	return (main_serve_start(daemon, options->config, config, err));
out:
	config_free(config);
	return (r);
}

int
main(int argc, char **argv)
{
	struct main_daemon daemon = {.spawner_fd = -1};
	struct main_options options;
	struct leased_err err = LEASED_ERR_INIT;
	char *token = NULL;
	int r;

	main_options_parse(argc, argv, &options);
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	hide_token(&options, &token);
	if (leased_secret_setup(&err) != 0)
		log_fatal("%s", err.text);
	if (options.check)
		return (main_serve_check(&options));
	if (options.audit_verify)
		return (main_audit_verify(&options));
	failpoint_setup();
	if (options.command != MAIN_SERVE)
		return (main_offline(&options));
	notify_setup();
	r = start(&daemon, &options, &err);
	if (token != NULL)
		leased_wipe(token, strlen(token));
	free(token);
	if (r == 0)
		(void)event_base_dispatch(daemon.loop);
	else
		log_error("leased cannot start", LOG_ERR(&err));
	main_stop(&daemon);
	if (r == 0)
		log_info("stopped");
	return (r == 0 && !daemon.failed ? 0 : 1);
}
