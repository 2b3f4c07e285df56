/*
 * The texts of ssh's configuration that `lease ssh config` writes.
 */
#ifndef CLI_SSH_CONFIG_H
#define CLI_SSH_CONFIG_H

#include <stdbool.h>

/* Of our own file: before (NULL: none yet) with the block that key names put in, in the place of an
 * older one; block NULL: taken out. Of malloc(3); NULL: no memory, or before is not ours. */
char *config_put_block(const char *before, const char *key, const char *block);
/* Of the user's file: with the line that includes ours at its begin, unless it is there. */
char *config_put_include(const char *before, const char *line);
char *config_drop_include(const char *before, const char *line);

#endif
