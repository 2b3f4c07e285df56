/*
 * The daemon's own sandbox (DESIGN.md, "The sandbox").
 */
#ifndef LEASED_SANDBOX_H
#define LEASED_SANDBOX_H

#include "daemon.h"

/* What this process can reach from here on, before it has a thread: the files that its
 * configuration (read from path) names. */
int main_sandbox_serve(
    const char *path, const struct config *config, struct leased_err *err) LEASED_MUST_CHECK;
/* The same with --dev. NULL: there is none of that kind. */
int main_sandbox_dev(const char *dir, const char *shared_socket, const char *audit_path,
    struct leased_err *err) LEASED_MUST_CHECK;

/* Keeps from every worker what place names: its data directory, its root key, its audit. */
int main_sandbox_guard(struct plugin_host *host, const struct main_place *place,
    struct leased_err *err) LEASED_MUST_CHECK;

/* Which system calls all its threads may make, once it serves. */
int main_sandbox_calls(pid_t spawner, struct leased_err *err) LEASED_MUST_CHECK;

#endif
