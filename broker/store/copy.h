/*
 * Inside of store/: what backups and restores share (copy.c).
 */
#ifndef STORE_COPY_H
#define STORE_COPY_H

#include "store/offline_private.h"

/* A new file of ours at path, locked, 0600; what an earlier, killed copy left there goes. */
int store_copy_file_make(const char *path, int *ret_fd, struct leased_err *err) LEASED_MUST_CHECK;
/* All pages of from into the file at path, which is fd: a backup, checked and durable. */
int store_copy_pages(const struct store_copy_config *config, struct store *from, const char *path,
    int fd, struct leased_err *err) LEASED_MUST_CHECK;
/* Makes what path names in its directory durable. */
int store_copy_directory_sync(const char *path, struct leased_err *err) LEASED_MUST_CHECK;

#endif
