/*
 * What is said to an ssh-agent (draft-miller-ssh-agent): a key with its certificate is given to it
 * for a time, keys are listed and taken out. Blocking, with a limit on each step.
 */
#ifndef CLI_SSH_AGENT_H
#define CLI_SSH_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <leased/error.h>
#include <leased/secret.h>

#include "keypair.h"

#define AGENT_ANSWER_MAX (256u * 1024) /* as OpenSSH's own clients take */

struct agent_entry {
	uint8_t *blob;
	size_t blob_len;
	char *comment;
};
struct agent_list {
	struct agent_entry *entries;
	size_t count;
};

/* To the agent of SSH_AUTH_SOCK. LEASED_ENOENT: there is none, and what to do then. */
int agent_open(int *ret_fd, struct leased_err *err) LEASED_MUST_CHECK;
/* lifetime_s: at least 1; then the agent forgets it. confirm: it asks a person at each use. */
int agent_add(int fd, const struct keypair *keys, const void *certificate, size_t certificate_len,
    const char *comment, uint32_t lifetime_s, bool confirm,
    struct leased_err *err) LEASED_MUST_CHECK;
int agent_list(int fd, struct agent_list *ret_list, struct leased_err *err) LEASED_MUST_CHECK;
int agent_remove(int fd, const void *blob, size_t len, struct leased_err *err) LEASED_MUST_CHECK;
void agent_list_clear(struct agent_list *list);

/* The messages, with their length in front; for tests, too. */
struct leased_secret *agent_encode_add(const struct keypair *keys, const void *certificate,
    size_t certificate_len, const char *comment, uint32_t lifetime_s, bool confirm);
/* An answer to the request for a list, without its length. */
int agent_decode_list(const void *bytes, size_t len, struct agent_list *ret_list,
    struct leased_err *err) LEASED_MUST_CHECK;

#endif
