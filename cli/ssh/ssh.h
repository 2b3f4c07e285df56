/*
 * Inside `lease ssh`: its commands, and what they share. A command's arguments are read once, by
 * options.c; what is asked of leased about certificates goes through sign.c.
 */
#ifndef CLI_SSH_SSH_H
#define CLI_SSH_SSH_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "cli.h"
#include "sshwire/sshwire.h"

/* A certificate is renewed when less than this much of its life is left. */
#define SSH_LEFT_PERCENT 20
#define SSH_HOST_LEFT_PERCENT 34
#define SSH_KRL_FILE "/etc/ssh/lease_revoked.krl"
#define SSH_CA_FILE "/etc/ssh/lease_ca.pub"
#define SSH_HOST_DIR "/etc/ssh"

struct ssh_arguments {
	struct cli_options shown;
	const char *mount, *role, *ttl, *principals, *out;
	const char *identity, *key, *fingerprint, *key_id, *name, *reason;
	const char *match, *known_hosts, *ca, *krl, *dir, *sshd_config, *address;
	const char *left;
	bool quiet, fresh, confirm, host, install, uninstall, once, status, renew;
	int count; /* of what is no option */
	char **values;
};

struct ssh_command {
	const char *name;
	int (*run)(const struct ssh_arguments *arguments);
	const char *takes; /* its options: "role ttl quiet" */
	const char *usage, *summary, *help;
};

int cli_ssh_login(const struct ssh_arguments *arguments);
int cli_ssh_add(const struct ssh_arguments *arguments);
int cli_ssh_sign(const struct ssh_arguments *arguments);
int cli_ssh_ensure(const struct ssh_arguments *arguments);
int cli_ssh_needs_renewal(const struct ssh_arguments *arguments);
int cli_ssh_config(const struct ssh_arguments *arguments);
int cli_ssh_doctor(const struct ssh_arguments *arguments);
int cli_ssh_ca(const struct ssh_arguments *arguments);
int cli_ssh_host_cert(const struct ssh_arguments *arguments);
int cli_ssh_ban(const struct ssh_arguments *arguments);
int cli_ssh_unban(const struct ssh_arguments *arguments);
int cli_ssh_bans(const struct ssh_arguments *arguments);
int cli_ssh_sync_host(const struct ssh_arguments *arguments);

#endif
