/*
 * A plugin on the SDK that is honest until its open, as one whose server sent what took it over: it
 * limits itself to a port, and at each mint tries what the account's role says. Unit tests of
 * plugin/ start it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <leased/plugin.h>

#include "support/evil_attempts.h"

static char mode[64], gate[256];

static int
turncoat_open(void *ctx, struct leased_call *call, struct leased_err *err)
{
	static const uint16_t ports[] = {1, 0};
	const struct leased_reach reach = {.ports = ports};
	const json_t *config = json_object_get(call->params, "config");
	const char *text;
	int r;

	(void)ctx;
	if ((r = leased_get_string(config, "mode", &text, err)) != 0)
		return (r);
	(void)snprintf(mode, sizeof(mode), "%s", text);
	if ((r = leased_get_string(config, "gate", &text, err)) != 0)
		return (r);
	(void)snprintf(gate, sizeof(gate), "%s", text);
	if ((r = leased_session_begin(call, "turncoat:1", err)) != 0 ||
	    (r = leased_confine(&reach, err)) != 0)
		return (r);
	return (json_object_set_new(call->result, "server", json_string("turncoat")));
}

static int
turncoat_mint(void *ctx, struct leased_call *call, struct leased_err *err)
{
	(void)ctx;
	if (evil_attempt(mode, gate) == 0)
		return (leased_err_set(err, LEASED_EREFUSED, "it was refused"));
	return (json_object_set_new(call->result, "server", json_string("turncoat")));
}

static int
each_account(void *ctx, const json_t *account, json_t *fields, struct leased_err *err)
{
	(void)ctx;
	(void)account;
	(void)fields;
	(void)err;
	return (0);
}

int
main(int argc, char **argv)
{
	static const struct leased_plugin turncoat = {.name = "turncoat",
	    .description = "{\"name_max\":63,\"name_alphabet\":\"a-z0-9-\",\"config_fields\":"
			   "[{\"name\":\"mode\",\"secret\":false,\"required\":true},"
			   "{\"name\":\"gate\",\"secret\":false,\"required\":true}]}",
	    .open = turncoat_open,
	    .mint = turncoat_mint,
	    .disarm_account = each_account,
	    .remove_account = each_account};

	return (leased_plugin_main(&turncoat, argc, argv));
}
