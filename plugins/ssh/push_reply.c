/*
 * What a host's SFTP server answers to the request that push_rename.c makes: the one packet of a
 * host's that is read here and not by libssh.
 */
#include "sshca.h"

#define PACKET_STATUS 101

int
sshca_push_status(
    const void *bytes, size_t len, uint32_t id, uint32_t *ret_status, struct leased_err *err)
{
	struct sshwire_reader reader = sshwire_reader_of(bytes, len);
	uint8_t type = sshwire_get_u8(&reader);
	uint32_t to = sshwire_get_u32(&reader);
	uint32_t status = sshwire_get_u32(&reader);

	if (reader.failed || type != PACKET_STATUS || to != id)
		return (leased_err_set(err, LEASED_EREFUSED,
		    "the host's SFTP server answered something else than was asked"));
	*ret_status = status;
	return (0);
}
