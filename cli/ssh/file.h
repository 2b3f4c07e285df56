/*
 * Files that are whole or not there: written beside, synced, and renamed into place.
 */
#ifndef CLI_SSH_FILE_H
#define CLI_SSH_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <leased/error.h>

#define FILE_SIZE_MAX (16u * 1024 * 1024)

/* All of it, with a NUL behind, of malloc(3). LEASED_ENOENT: it is not there. LEASED_ETOOBIG. */
int file_read(
    const char *path, char **ret_text, size_t *ret_len, struct leased_err *err) LEASED_MUST_CHECK;
/* Asked about what is written but not in place yet: by what name it lies there for now. */
typedef int (*file_check_fn)(const char *path, struct leased_err *err);
/* check: NULL: none; what it refuses does not get into place. */
int file_replace(const char *path, const void *bytes, size_t len, mode_t mode, file_check_fn check,
    struct leased_err *err) LEASED_MUST_CHECK;
/* The directory and those above it, made with 0700 where they are missing. */
int file_make_directory(const char *path, struct leased_err *err) LEASED_MUST_CHECK;
/* Waits until nobody else holds path's lock; *ret_fd is closed to let go. */
int file_lock(const char *path, int *ret_fd, struct leased_err *err) LEASED_MUST_CHECK;
/* Runs a program without a shell and waits; what it says comes back in ret_output (size bytes,
 * cut). Its exit status, or a code below 0: it did not run, or was ended by a signal. */
int file_run(char *const *argv, char *ret_output, size_t size, struct leased_err *err);

#endif
