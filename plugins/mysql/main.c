/*
 * The MySQL plugin: accounts are users of a MariaDB or MySQL server. This file is the table of its
 * operations; each has a file of its own. PROTOCOL.md is what it does, broker/DESIGN.md ("MariaDB
 * and MySQL") how and why.
 */
#include "maria.h"

int
main(int argc, char **argv)
{
	static struct maria plugin = {.tag = MARIA_TAG};
	static const struct leased_plugin table = {
	    .name = "mysql",
	    .describe = maria_describe,
	    .open = maria_open,
	    .check = maria_check,
	    .mint = maria_mint,
	    .renew = maria_renew,
	    .disarm = maria_disarm,
	    .remove = maria_remove,
	    .set_password = maria_set_password,
	    .inventory = maria_inventory,
	    .ping = maria_ping,
	    .reap = maria_reap,
	    .ctx = &plugin,
	};

	return (leased_plugin_main(&table, argc, argv));
}
