/*
 * The one request of SFTP that libssh 0.10 does not make: posix-rename@openssh.com, a rename that
 * replaces what is there in one step. (sftp_rename() is refused where something is there.) Made on
 * the session's own channel, while libssh waits for nothing on it.
 */
#include <string.h>

#include "push.h"

#define EXTENSION "posix-rename@openssh.com"
#define REPLY_MAX 4096 /* a number, and a text that nobody reads */

#define PACKET_EXTENDED 200

static int
read_all(ssh_channel channel, uint8_t *to, size_t len)
{
	int got;

	for (size_t at = 0; at < len; at += (size_t)got)
		if ((got = ssh_channel_read(channel, to + at, (uint32_t)(len - at), 0)) <= 0)
			return (-1);
	return (0);
}

static int
read_status(sftp_session sftp, uint32_t id, uint32_t *ret_status, struct leased_err *err)
{
	uint8_t head[4], reply[REPLY_MAX];
	size_t len;

	if (read_all(sftp->channel, head, sizeof(head)) != 0)
		return (leased_err_set(err, LEASED_EUNAVAIL, "the connection was lost"));
	len = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
	if (len > sizeof(reply))
		return (leased_err_set(
		    err, LEASED_EREFUSED, "the host's SFTP server answers with too much"));
	if (read_all(sftp->channel, reply, len) != 0)
		return (leased_err_set(err, LEASED_EUNAVAIL, "the connection was lost"));
	return (sshca_push_status(reply, len, id, ret_status, err));
}

bool
sshca_push_can_rename(sftp_session sftp)
{
	return (sftp_extension_supported(sftp, EXTENSION, "1") != 0);
}

int
sshca_push_rename(sftp_session sftp, const char *from, const char *to, uint32_t *ret_status,
    struct leased_err *err)
{
	struct sshwire_writer packet = {0};
	uint32_t id = ++sftp->id_counter;
	size_t begin = sshwire_put_begin(&packet);
	int put;

	sshwire_put_u8(&packet, PACKET_EXTENDED);
	sshwire_put_u32(&packet, id);
	sshwire_put_text(&packet, EXTENSION);
	sshwire_put_text(&packet, from);
	sshwire_put_text(&packet, to);
	sshwire_put_end(&packet, begin);
	if (packet.failed) {
		sshwire_writer_clear(&packet);
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	}
	put = ssh_channel_write(sftp->channel, packet.bytes, (uint32_t)packet.len);
	if (put != (int)packet.len) {
		sshwire_writer_clear(&packet);
		return (leased_err_set(err, LEASED_EUNAVAIL, "the connection was lost"));
	}
	sshwire_writer_clear(&packet);
	return (read_status(sftp, id, ret_status, err));
}
