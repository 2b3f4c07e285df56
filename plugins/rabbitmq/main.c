/*
 * The RabbitMQ plugin: accounts are users of a RabbitMQ cluster, through its management API. This
 * file is the table of its operations. PROTOCOL.md is what it does, broker/DESIGN.md ("RabbitMQ")
 * how and why.
 */
#include "rabbitmq.h"

int
main(int argc, char **argv)
{
	static struct rabbitmq plugin = {.tag = RABBITMQ_TAG};
	static const struct leased_plugin table = {
	    .name = "rabbitmq",
	    .describe = rabbitmq_describe,
	    .open = rabbitmq_open,
	    .check = rabbitmq_check,
	    .mint = rabbitmq_mint,
	    .renew = rabbitmq_renew,
	    .disarm = rabbitmq_disarm,
	    .remove = rabbitmq_remove,
	    .set_password = rabbitmq_set_password,
	    .inventory = rabbitmq_inventory,
	    .ping = rabbitmq_ping,
	    .ctx = &plugin,
	};

	return (leased_plugin_main(&table, argc, argv));
}
