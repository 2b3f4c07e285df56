/*
 * Lists of revoked keys as files: what sync.c and doctor.c have to know of them. The list itself is
 * made by leased's worker, and judged by ssh-keygen; its head is sshwire's to read.
 */
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "krl.h"

int
krl_owner_check(const char *path, const struct sshwire_krl_head *next, struct leased_err *err)
{
	struct sshwire_krl_head present = {0};
	char *bytes = NULL;
	size_t len = 0;
	int r = 0;

	if (file_read(path, &bytes, &len, NULL) == 0 &&
	    sshwire_krl_read_head(bytes, len, &present, NULL) == 0 &&
	    sshwire_krl_is_of_another(&present, next))
		r = leased_err_set(err, LEASED_EDENIED,
		    "%s has the list of another CA, which would be gone with what it revokes: "
		    "sshd reads one list, so that a host believes the CA of one mount. If that CA "
		    "is none of TrustedUserCAKeys any more, remove the file and run this again",
		    path);
	free(bytes);
	return (r);
}

void
krl_put_empty(struct sshwire_writer *writer, uint64_t date)
{
	sshwire_put_u64(writer, SSHWIRE_KRL_MAGIC);
	sshwire_put_u32(writer, SSHWIRE_KRL_FORMAT);
	sshwire_put_u64(writer, 0); /* version */
	sshwire_put_u64(writer, date);
	sshwire_put_u64(writer, 0);
	sshwire_put_text(writer, "");
	sshwire_put_text(writer, "");
}

int
krl_file_check(const char *path, struct leased_err *err)
{
	const char *argv[] = {"ssh-keygen", "-Q", "-l", "-f", path, NULL};
	char said[512];
	int status = file_run((char *const *)(uintptr_t)argv, said, sizeof(said), err);

	if (status < 0)
		return (status);
	if (status != 0)
		return (leased_err_set(
		    err, LEASED_EINVAL, "ssh-keygen does not take %s: %s", path, said));
	return (0);
}
