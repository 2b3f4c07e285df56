/*
 * What a connection to RabbitMQ is configured with. Made once from the config of `open`.
 */
#ifndef RABBITMQ_CONFIG_H
#define RABBITMQ_CONFIG_H

#include <jansson.h>

#include <leased/error.h>
#include <leased/secret.h>

#define RABBITMQ_CONFIG_TAG 0x726d6366u
struct rabbitmq_config {
	unsigned tag;
	char *uri; /* of the management API */
	char *username;
	struct leased_secret *password;
	/* The daemon's own: what is being, or was perhaps, set in its place. The two change places
	 * when the other one logs in. NULL: none. */
	struct leased_secret *password_candidate;
	char *ca_cert; /* PEM, or the path of a file; NULL: the system's */
};

/* LEASED_EINVAL names the field and never shows a value that could be secret. */
int rabbitmq_config_new(const json_t *object, struct rabbitmq_config **ret_config,
    struct leased_err *err) LEASED_MUST_CHECK;
void rabbitmq_config_free(struct rabbitmq_config *config); /* NULL is fine */

/* The config_fields of describe: a new array, NULL when out of memory. */
json_t *rabbitmq_config_fields(void);

#endif
