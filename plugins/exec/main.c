/*
 * The exec plugin: accounts of whatever a command of the operator's can make and end. This file is
 * the table of its operations. PROTOCOL.md is what it does, docs/how-to/exec.md what the command
 * must do.
 */
#include "exec.h"

int
main(int argc, char **argv)
{
	static struct exec plugin = {.tag = EXEC_TAG};
	static const struct leased_plugin table = {
	    .name = "exec",
	    .describe = exec_describe,
	    .open = exec_open,
	    .check = exec_check,
	    .mint = exec_mint,
	    .renew = exec_renew,
	    .disarm = exec_disarm,
	    .remove = exec_remove,
	    .inventory = exec_inventory,
	    .ping = exec_ping,
	    .ctx = &plugin,
	    .starts_programs = true,
	};

	return (leased_plugin_main(&table, argc, argv));
}
