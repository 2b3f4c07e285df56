/*
 * The commands of leased that work on a store's file and serve nothing: fsck, backup, restore.
 */
#ifndef LEASED_OFFLINE_H
#define LEASED_OFFLINE_H

#include "daemon.h"

/* What fsck's exit status says. */
enum main_fsck_status { MAIN_FSCK_CLEAN = 0, MAIN_FSCK_REPAIRED = 1, MAIN_FSCK_LEFT = 2 };

/* Each returns the exit status. */
int main_offline(const struct main_options *options); /* whichever it is */
int main_fsck(const struct main_options *options);
int main_backup(const struct main_options *options);
int main_restore(const struct main_options *options);

/* The configuration, and that we are the user of its data directory (which may be missing). */
int main_offline_load(const struct main_options *options, struct config **ret_config,
    struct leased_err *err) LEASED_MUST_CHECK;

#endif
