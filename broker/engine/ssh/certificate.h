/*
 * A certificate on its way: from the request (ask.c) over its lease to the signature (sign.c).
 */
#ifndef ENGINE_SSH_CERTIFICATE_H
#define ENGINE_SSH_CERTIFICATE_H

#include "engine/ssh/role.h"
#include "engine/ssh/words.h"

struct ssh_certificate {
	struct store_doc *role;
	struct ssh_key key;
	json_t *private;                                    /* of issue: a text */
	json_t *principals, *critical, *extensions, *asked; /* asked: principals of the request */
	bool host, again;
	char kid[SSH_KID_SIZE], place[300], owner[64];
	int64_t owner_token, ttl_s, after_s, before_s, row;
	struct lease_ttl_input ttl;
	char lease_id[LEASE_ID_MAX], key_id[SSH_KEY_ID_MAX + 1];
	char own_key_id[SSH_KEY_ID_MAX + 1]; /* that the request or the role asks for; "" */
	json_t *critical_asked, *extensions_asked;
	int64_t ttl_asked_s;
};

void engine_ssh_certificate_free(void *certificate);
/* All is known, and allowed: on with the lease. */
void engine_ssh_lease_begin(struct engine_request_copy *request);
/* "<lease id>/<identity>/<role>", or what was asked for, where that is allowed. */
int engine_ssh_key_id_make(struct engine_request_copy *request, struct ssh_certificate *certificate,
    struct leased_err *err) LEASED_MUST_CHECK;

#endif
