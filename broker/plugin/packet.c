/*
 * Packets of daemon and spawner: one frame each, with up to two descriptors. Owns nothing; knows no
 * message. host.c and spawner.c call it.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/frame.h"
#include "plugin/packet.h"

union control {
	struct cmsghdr header; /* for its alignment */
	char bytes[CMSG_SPACE(PACKET_FDS_MAX * sizeof(int))];
};

void
plugin_packet_clear(struct packet *packet)
{
	json_decref(packet->object);
	for (unsigned i = 0; i < PACKET_FDS_MAX; i++)
		if (packet->fds[i] >= 0)
			close(packet->fds[i]);
	packet->object = NULL;
	packet->len = 0;
	for (unsigned i = 0; i < PACKET_FDS_MAX; i++)
		packet->fds[i] = -1;
}

static void
put_fds(struct msghdr *message, union control *control, const struct packet *packet)
{
	unsigned count = 0;
	struct cmsghdr *header;

	while (count < PACKET_FDS_MAX && packet->fds[count] >= 0)
		count++;
	if (count == 0)
		return;
	message->msg_control = control->bytes;
	message->msg_controllen = CMSG_SPACE(count * sizeof(int));
	header = CMSG_FIRSTHDR(message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(header), packet->fds, count * sizeof(int));
}

int
plugin_packet_send(int fd, const struct packet *packet, struct leased_err *err)
{
	union control control = {.bytes = {0}};
	struct msghdr message = {0};
	struct iovec piece = {0};
	uint8_t *bytes = NULL;
	ssize_t sent;
	int r;

	if ((r = frame_encode(packet->object, &bytes, &piece.iov_len, err)) != 0)
		return (r);
	piece.iov_base = bytes;
	message.msg_iov = &piece;
	message.msg_iovlen = 1;
	put_fds(&message, &control, packet);
	do
		sent = sendmsg(fd, &message, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		r = leased_err_set(err, LEASED_EUNAVAIL, "the socket is full");
	else if (sent < 0)
		r = leased_err_set(err, LEASED_EIO, "cannot send: %s", strerror(errno));
	frame_free(bytes, piece.iov_len);
	return (r);
}

static void
take_fds(struct msghdr *message, struct packet *packet)
{
	struct cmsghdr *header;

	for (header = CMSG_FIRSTHDR(message); header != NULL; header = CMSG_NXTHDR(message, header))
		if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
			memcpy(packet->fds, CMSG_DATA(header), header->cmsg_len - CMSG_LEN(0));
}

int
plugin_packet_decode(struct packet *packet, struct leased_err *err)
{
	struct frame_reader reader = {0};
	json_t *object = NULL;
	int r;

	if ((r = frame_reader_feed(&reader, packet->bytes, packet->len, err)) == 0)
		r = frame_reader_next(&reader, &object, err);
	if (r == 0 && object == NULL)
		r = leased_err_set(err, LEASED_EPROTO, "a packet holds no whole frame");
	frame_reader_clear(&reader);
	if (r == 0) {
		packet->object = object;
		packet->len = 0;
	}
	return (r);
}

int
plugin_packet_receive(int fd, struct packet *packet, struct leased_err *err)
{
	union control control;
	struct iovec piece = {packet->bytes, sizeof(packet->bytes)};
	struct msghdr message = {.msg_iov = &piece,
	    .msg_iovlen = 1,
	    .msg_control = control.bytes,
	    .msg_controllen = sizeof(control.bytes)};
	ssize_t len;

	do
		len = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
	while (len < 0 && errno == EINTR);
	if (len < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return (leased_err_set(err, LEASED_EUNAVAIL, "nothing is there"));
	if (len <= 0)
		return (leased_err_set(err, LEASED_ECANCELED, "the other side is gone"));
	packet->len = (size_t)len;
	/* MSG_CTRUNC: this process may have no more descriptors. What fits has come, the rest is
	 * closed, and the message is whole without them. */
	take_fds(&message, packet);
	return (0);
}
