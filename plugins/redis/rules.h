/*
 * The rights of an account: ACL rules as a role has them, a JSON array of rules in one text. What
 * says who may log in, and with which password, is the plugin's own and refused here.
 */
#ifndef REDIS_RULES_H
#define REDIS_RULES_H

#include <jansson.h>

#include <leased/error.h>

#define REDIS_RULES_MAX 256     /* of them */
#define REDIS_RULE_LEN_MAX 4096 /* bytes of one */

/*
 * From a role's creation_statements (an array of texts, of which there is one; absent, empty: no
 * rights) to the rules: an array of texts that ACL SETUSER takes, the caller's to json_decref().
 * LEASED_EINVAL names the rule and why.
 */
int redis_rules_read(
    const json_t *statements, json_t **ret_rules, struct leased_err *err) LEASED_MUST_CHECK;

#endif
