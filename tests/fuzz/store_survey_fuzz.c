/*
 * What fsck tells of a store that does not open: whatever the bytes of the file are, it ends, says
 * lines of text, and leaves the file as it was.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/offline_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static char path[] = "/tmp/leased-survey-XXXXXX";

static void
forget(void)
{
	(void)unlink(path);
}

static void
on_line(void *arg, const char *text)
{
	unsigned *lines = arg;

	if (text[0] == '\0' || strlen(text) >= 512)
		abort();
	if (++*lines > 1000)
		abort(); /* accounts are told up to a number */
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static int fd = -1;
	struct leased_err err = LEASED_ERR_INIT;
	struct stat status;
	unsigned lines = 0;
	int r;

	if (fd < 0) {
		if ((fd = mkstemp(path)) < 0 || atexit(forget) != 0)
			abort();
	}
	if (ftruncate(fd, 0) != 0 || pwrite(fd, bytes, len, 0) != (ssize_t)len)
		abort();
	r = store_survey(path, on_line, &lines, &err);
	if (r != 0 && err.text[0] == '\0')
		abort();
	if (r == 0 && lines == 0)
		abort();
	if (fstat(fd, &status) != 0 || status.st_size != (off_t)len)
		abort();
	return (0);
}
