/*
 * The certificates of a host's own keys.
 */
#ifndef CLI_SSH_HOST_H
#define CLI_SSH_HOST_H

#include "ssh.h"

/* Has one of the host's keys no certificate, or one that is broken or near its end? */
bool host_need_renewal(const struct ssh_arguments *arguments, unsigned left_percent);

#endif
