/*
 * What `lease ssh doctor` has found so far, and how it is told.
 */
#ifndef CLI_SSH_DOCTOR_H
#define CLI_SSH_DOCTOR_H

#include "ssh.h"

#define DOCTOR_CERTIFICATES_MAX 16
#define DOCTOR_OUTPUT_MAX (256u * 1024)

enum doctor_mark { DOCTOR_GOOD, DOCTOR_WRONG, DOCTOR_UNKNOWN };

struct doctor_certificate {
	char *from; /* where it lies */
	char *line;
	struct sshwire_certificate certificate;
};

struct doctor {
	const struct ssh_arguments *arguments;
	const char *target;
	char user[256], host[256];
	char directory[64]; /* for what ssh-keygen reads; emptied at the end */
	struct doctor_certificate certificates[DOCTOR_CERTIFICATES_MAX];
	size_t count;
	size_t agent_keys;
	unsigned wrong;
};

void doctor_say(struct doctor *doctor, enum doctor_mark mark, const char *fmt, ...)
    LEASED_PRINTF(3, 4);
/* The value behind the nth line (from 0) that begins with name, as `ssh -G` and `sshd -T` print
 * them; "" when there is none, or not so many. */
void doctor_setting(
    const char *output, const char *name, unsigned nth, char *ret_value, size_t size);
/* Is the certificate in the list of revoked keys of a file? Says so where it is. */
void doctor_revoked(struct doctor *doctor, const char *list_path, const char *whose,
    const struct doctor_certificate *one);
/* What a configuration of sshd's would make of the certificates. */
void doctor_sshd(struct doctor *doctor, const char *config_path);

#endif
