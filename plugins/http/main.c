/*
 * The http plugin: accounts of any server with an HTTP API, described by templates in the
 * connection's configuration. This file is the table of its operations. PROTOCOL.md is what it
 * does, docs/how-to/http.md what people write, broker/DESIGN.md ("HTTP") how and why.
 */
#include "http.h"

int
main(int argc, char **argv)
{
	static struct http plugin = {.tag = HTTP_TAG};
	static const struct leased_plugin table = {
	    .name = "http",
	    .describe = http_describe,
	    .open = http_open,
	    .check = http_check,
	    .mint = http_mint,
	    .renew = http_renew,
	    .disarm = http_disarm,
	    .remove = http_remove,
	    .inventory = http_inventory,
	    .ping = http_ping,
	    .ctx = &plugin,
	};

	return (leased_plugin_main(&table, argc, argv));
}
