/*
 * What a role gives its accounts: tags, permissions by virtual host, and permissions on topics. As
 * people who come from Vault write it, a text of JSON, or as JSON itself.
 */
#ifndef RABBITMQ_ROLE_H
#define RABBITMQ_ROLE_H

#include <jansson.h>

#include <leased/error.h>

struct rabbitmq_role {
	char *tags;          /* with commas; "" where there are none */
	json_t *permissions; /* an array of {"vhost", "configure", "write", "read"} */
	json_t *topics;      /* an array of {"vhost", "exchange", "write", "read"} */
};
/* clang-format off */
#define RABBITMQ_ROLE_INIT {NULL, NULL, NULL}
/* clang-format on */

/* From tags, vhosts and vhost_topics of a role. LEASED_EINVAL names the setting. On any end the
 * caller clears *ret_role. */
int rabbitmq_role_read(
    const json_t *object, struct rabbitmq_role *ret_role, struct leased_err *err) LEASED_MUST_CHECK;
void rabbitmq_role_clear(struct rabbitmq_role *role);

#endif
