/*
 * The arguments of a command of `lease ssh`, read by one table.
 */
#ifndef CLI_SSH_OPTIONS_H
#define CLI_SSH_OPTIONS_H

#include "ssh.h"

/* Reads argv[1..] by what the command takes, into *ret_arguments, which borrows from argv.
 * For a login (is_login) the first that is no long option of ours ends it. 0, or an exit status
 * below 0 negated, said already. */
int options_take(const struct ssh_command *command, bool is_login, int argc, char **argv,
    struct ssh_arguments *ret_arguments);
/* The role as the options or LEASE_SSH_ROLE say it; NULL, and it is said: nobody does. */
const char *options_role(const struct ssh_arguments *arguments, const char *command);
/* How much of a life must be left; 0: said already that it is no percentage. */
unsigned options_left_percent(const struct ssh_arguments *arguments, unsigned otherwise);

#endif
