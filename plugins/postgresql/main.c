/*
 * The PostgreSQL plugin: accounts are roles of a PostgreSQL server. This file is the table of its
 * operations; each has a file of its own. PROTOCOL.md is what it does, broker/DESIGN.md
 * ("PostgreSQL") how and why.
 */
#include "postgresql.h"

int
main(int argc, char **argv)
{
	static struct postgresql plugin = {.tag = POSTGRESQL_TAG};
	static const struct leased_plugin table = {
	    .name = "postgresql",
	    .describe = postgresql_describe,
	    .open = postgresql_open,
	    .check = postgresql_check,
	    .mint = postgresql_mint,
	    .renew = postgresql_renew,
	    .disarm = postgresql_disarm,
	    .remove = postgresql_remove,
	    .set_password = postgresql_set_password,
	    .inventory = postgresql_inventory,
	    .ping = postgresql_ping,
	    .reap = postgresql_reap,
	    .ctx = &plugin,
	};

	return (leased_plugin_main(&table, argc, argv));
}
