/*
 * Disks that fail: the calls by which a program reads, writes and syncs regular files, some of
 * which give an error instead. Linked into a unit test, or loaded into a whole leased by LD_PRELOAD
 * (libdiskfault.so), which a test then steers through the file that LEASED_DISKFAULT names:
 * tests/support/diskfault.py knows this struct as well.
 */
#ifndef SUPPORT_DISKFAULT_H
#define SUPPORT_DISKFAULT_H

#include <stdatomic.h>
#include <stdint.h>

enum diskfault_call {
	DISKFAULT_SYNC = 1, /* fsync, fdatasync */
	DISKFAULT_WRITE = 2,
	DISKFAULT_RESIZE = 4, /* ftruncate, posix_fallocate */
	DISKFAULT_READ = 8,
};

struct diskfault {
	_Atomic uint32_t calls; /* a mask; 0: nothing fails */
	_Atomic int32_t error;  /* errno */
	_Atomic uint32_t after; /* so many of them pass before */
	_Atomic uint32_t times; /* and so many fail */
	_Atomic uint64_t inode; /* of that file alone; 0: of any regular one */
	_Atomic uint32_t failed;
	uint32_t unused;
};
extern struct diskfault *diskfault;

#endif
