/*
 * Certificates asked of leased, and what is said of one.
 */
#ifndef CLI_SSH_SIGN_H
#define CLI_SSH_SIGN_H

#include "ssh.h"

/* Zero-initialize. */
struct ssh_signed {
	char *line; /* the certificate, with a newline */
	struct sshwire_certificate certificate;
	char *lease_id; /* "" for none */
};
/* A certificate for the key of a line. CLI_OK, or an exit status, said already. */
int sign_request(const struct ssh_arguments *arguments, const char *role, const char *public_line,
    bool is_host, struct ssh_signed *ret_signed);
void sign_clear(struct ssh_signed *made);
/* Nobody will use it: its lease ends. */
void sign_take_back(const struct ssh_signed *made);
/* "ssh/NAME" of the mount that the arguments name, for free(). NULL: no memory. */
char *sign_path(const struct ssh_arguments *arguments, const char *name);
/* Is it valid now, with more than percent of its life left? */
bool sign_has_life(const struct sshwire_certificate *certificate, time_t now, unsigned percent);
/* To stderr: for whom it is, and until when. */
void sign_tell(const char *what, const struct ssh_signed *made);

#endif
