/*
 * What a worker in an attacker's hands would try. For plugins of tests.
 */
#ifndef SUPPORT_EVIL_ATTEMPTS_H
#define SUPPORT_EVIL_ATTEMPTS_H

/*
 * Tries what name says, with an argument that is a path, a pid or a port, perhaps behind a '!'
 * (a path that a configuration names may be read). Returns 1 when it was
 * had, 0 when it was refused, -1 when there is no attempt of that name. May end the process.
 */
int evil_attempt(const char *name, const char *argument);

#endif
