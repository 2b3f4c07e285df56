/*
 * Statuses of HTTP as statuses of a program.
 */
#ifndef CLI_CLIENT_EXIT_H
#define CLI_CLIENT_EXIT_H

#include "cli.h"

enum cli_exit client_exit_of_status(long status, const char *error);

#endif
