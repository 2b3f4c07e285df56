/*
 * Connections by the names that people know them by; lease/ knows them by number (connection.c).
 */
#ifndef ENGINE_NAME_H
#define ENGINE_NAME_H

#include "engine/engine.h"

/* For leases_config. */
int64_t engines_mount_of(void *arg, int64_t connection); /* 0: none, or a candidate */
/* Why engines_port_for() has none: fills err and returns its code. */
int engines_absent_why(void *arg, int64_t connection, struct leased_err *err);
/* The connection that "database/main" names, or "main" below database/; 0: none. And its name. */
int64_t engines_connection_named(struct engines *engines, const char *name);
#define ENGINE_CONNECTION_NAME_SIZE 512
void engines_connection_name(
    struct engines *engines, int64_t connection, char ret_name[ENGINE_CONNECTION_NAME_SIZE]);

#endif
