/*
 * Stands in for libc's calls on files, see diskfault.h. It declares them itself: the headers' own
 * declarations come with inline parts that cannot be replaced. Used by tests only.
 */
#include "support/diskfault.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>

#define READ_WRITE 2 /* O_RDWR */
#define HERE (-100)  /* AT_FDCWD */

long syscall(long number, ...);
int fsync(int fd);
int fdatasync(int fd);
ssize_t pwrite(int fd, const void *bytes, size_t len, off_t at);
ssize_t pwrite64(int fd, const void *bytes, size_t len, off_t at);
ssize_t write(int fd, const void *bytes, size_t len);
ssize_t pread(int fd, void *bytes, size_t len, off_t at);
ssize_t pread64(int fd, void *bytes, size_t len, off_t at);
int ftruncate(int fd, off_t len);
int ftruncate64(int fd, off_t len);
int posix_fallocate(int fd, off_t at, off_t len);
int posix_fallocate64(int fd, off_t at, off_t len);

static struct diskfault own;
struct diskfault *diskfault = &own;

/* Before anything cuts the environment. */
__attribute__((constructor)) static void
steer(void)
{
	const char *path = getenv("LEASED_DISKFAULT");
	long fd = path != NULL ? syscall(SYS_openat, HERE, path, READ_WRITE) : -1;
	void *page;

	if (fd < 0)
		return;
	page = mmap(NULL, sizeof(own), PROT_READ | PROT_WRITE, MAP_SHARED, (int)fd, 0);
	if (page != MAP_FAILED)
		diskfault = page;
	(void)syscall(SYS_close, fd);
}

/* true: this call fails, with errno set. */
static bool
fails(enum diskfault_call call, int fd)
{
	uint64_t inode;
	uint32_t left;
	struct stat status;

	if ((atomic_load(&diskfault->calls) & (uint32_t)call) == 0 || fd <= 2 ||
	    fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
		return (false);
	inode = atomic_load(&diskfault->inode);
	if (inode != 0 && inode != status.st_ino)
		return (false);
	for (left = atomic_load(&diskfault->after); left > 0;)
		if (atomic_compare_exchange_weak(&diskfault->after, &left, left - 1))
			return (false);
	for (left = atomic_load(&diskfault->times); left > 0;) {
		if (!atomic_compare_exchange_weak(&diskfault->times, &left, left - 1))
			continue;
		atomic_fetch_add(&diskfault->failed, 1);
		errno = atomic_load(&diskfault->error);
		return (true);
	}
	return (false);
}

int
fsync(int fd)
{
	return (fails(DISKFAULT_SYNC, fd) ? -1 : (int)syscall(SYS_fsync, fd));
}

int
fdatasync(int fd)
{
	return (fails(DISKFAULT_SYNC, fd) ? -1 : (int)syscall(SYS_fdatasync, fd));
}

ssize_t
pwrite64(int fd, const void *bytes, size_t len, off_t at)
{
	return (fails(DISKFAULT_WRITE, fd) ? -1 : syscall(SYS_pwrite64, fd, bytes, len, at));
}

ssize_t
pwrite(int fd, const void *bytes, size_t len, off_t at)
{
	return (pwrite64(fd, bytes, len, at));
}

ssize_t
write(int fd, const void *bytes, size_t len)
{
	return (fails(DISKFAULT_WRITE, fd) ? -1 : syscall(SYS_write, fd, bytes, len));
}

ssize_t
pread64(int fd, void *bytes, size_t len, off_t at)
{
	return (fails(DISKFAULT_READ, fd) ? -1 : syscall(SYS_pread64, fd, bytes, len, at));
}

ssize_t
pread(int fd, void *bytes, size_t len, off_t at)
{
	return (pread64(fd, bytes, len, at));
}

int
ftruncate64(int fd, off_t len)
{
	return (fails(DISKFAULT_RESIZE, fd) ? -1 : (int)syscall(SYS_ftruncate, fd, len));
}

int
ftruncate(int fd, off_t len)
{
	return (ftruncate64(fd, len));
}

/* These two return what others leave in errno. */
int
posix_fallocate64(int fd, off_t at, off_t len)
{
	if (fails(DISKFAULT_RESIZE, fd) || syscall(SYS_fallocate, fd, 0, at, len) != 0)
		return (errno);
	return (0);
}

int
posix_fallocate(int fd, off_t at, off_t len)
{
	return (posix_fallocate64(fd, at, len));
}
