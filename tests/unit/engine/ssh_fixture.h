/*
 * A mount "ssh/" with a CA, and words for what tests ask of it. The fake worker says in clear what
 * it was asked to certify. In requests' members ' stands for ".
 */
#ifndef UNIT_ENGINE_SSH_FIXTURE_H
#define UNIT_ENGINE_SSH_FIXTURE_H

#include "engine/ssh/ssh.h"
#include "unit/engine/fixture.h"

#define KEY_A "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
#define KEY_B "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIP//AgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
#define ROLE                                                                                       \
	"{\"key_type\": \"ca\", \"allow_user_certificates\": true, \"allowed_users\": "            \
	"\"web,db\", \"ttl\": 600, \"max_ttl\": 3600}"

extern json_t *made; /* what the last certificate was to say */

int ssh_setup(void **state);
int ssh_teardown(void **state);
#define SSH_TEST(name) cmocka_unit_test_setup_teardown(name, ssh_setup, ssh_teardown)

const char *text_at(const json_t *object, const char *key); /* "" where there is none */
/* {"public_key": key, members}, to be freed. */
char *body_of(const char *key, const char *members);
struct answer *sign(struct fix *f, const char *role, const char *members);
void no_sign(struct fix *f, const char *role, const char *members, const char *part);
void role(struct fix *f, const char *name, const char *members);
void assert_principals(const char *wanted);
char *serials(struct fix *f); /* of the first key on the list as it is; to be freed */
long long version(struct fix *f);
/* The entity "e1", alias alice, of that team. */
void entity_put(struct fix *f, const char *team);

#endif
