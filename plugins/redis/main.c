/*
 * The Redis plugin: accounts are users of the ACL of a Redis server, or of several nodes with the
 * same users. This file is the table of its operations. PROTOCOL.md is what it does,
 * broker/DESIGN.md ("Redis") how and why.
 */
#include "redis.h"

int
main(int argc, char **argv)
{
	static struct redis plugin = {.tag = REDIS_TAG};
	static const struct leased_plugin table = {
	    .name = "redis",
	    .describe = redis_describe,
	    .open = redis_open,
	    .check = redis_check,
	    .mint = redis_mint,
	    .renew = redis_renew,
	    .disarm = redis_disarm,
	    .remove = redis_remove,
	    .set_password = redis_set_password,
	    .inventory = redis_inventory,
	    .ping = redis_ping,
	    .reap = redis_reap,
	    .ctx = &plugin,
	};

	return (leased_plugin_main(&table, argc, argv));
}
