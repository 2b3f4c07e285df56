/*
 * What an SSH mount keeps of its list of revoked certificates (krl.h): the list, its version, what
 * it was made of, why there is none.
 */
#ifndef ENGINE_SSH_KEPT_H
#define ENGINE_SSH_KEPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <leased/error.h>

#define SSH_KID_SIZE 65

/* What hosts fetch, as it was last made. */
struct ssh_list {
	int64_t version; /* 0: none yet */
	char *krl, *signature;
	size_t krl_len, signature_len;
};

/* The list's version as it was last read, and what the count of its row's changes was before. */
struct ssh_version {
	int64_t doc, number; /* doc 0: never read */
	uint64_t changes;
};

/* What is known of the documents that the list was made of, by serial, ascending. */
#define SSH_KIDS_KNOWN 64
struct ssh_known {
	struct ssh_entry {
		int64_t serial, exp_s;
		unsigned kid; /* in kids */
	} * entries;
	size_t count, size, kid_count;
	char kids[SSH_KIDS_KNOWN][SSH_KID_SIZE];
	bool partial; /* it lacks some, and is forgotten */
};

/* Why there is no list of now. Until then it is not tried again, whoever asks. */
struct ssh_failure {
	unsigned count; /* in a row; 0: the last one could be made */
	int64_t until_ms;
	struct leased_err err;
};

#endif
