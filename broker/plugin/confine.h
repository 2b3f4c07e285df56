/*
 * What the spawner and its workers take from themselves before they do anything (DESIGN.md, "The
 * sandbox"). Part of the spawner's process.
 */
#ifndef PLUGIN_CONFINE_H
#define PLUGIN_CONFINE_H

#include "plugin/spawner.h"

/* The spawner itself: it writes no file, and keeps no capability. Says in the log what this kernel
 * cannot limit. */
int plugin_confine_spawner(struct leased_err *err) LEASED_MUST_CHECK;

/* In the child, right before it executes program_fd. */
int plugin_confine_worker(const struct spawner_program *program, int program_fd, bool is_script,
    struct leased_err *err) LEASED_MUST_CHECK;

#endif
