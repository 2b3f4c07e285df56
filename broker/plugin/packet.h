/*
 * One message between daemon and spawner: a packet that holds one frame, and descriptors beside it.
 */
#ifndef PLUGIN_PACKET_H
#define PLUGIN_PACKET_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include <leased/error.h>

#define PACKET_FDS_MAX 2
/* Messages here hold names, paths, pids and a line of text. */
#define PACKET_MAX 8192

struct packet {
	json_t *object;          /* owned */
	int fds[PACKET_FDS_MAX]; /* owned, -1 when absent */
	size_t len;              /* of bytes, while they came and are not decoded */
	uint8_t bytes[PACKET_MAX];
};
#define PACKET_INIT                                                                                \
	{                                                                                          \
		.object = NULL, .fds = { -1, -1 }                                                  \
	}

/* LEASED_EUNAVAIL: the socket takes nothing now. LEASED_EIO: the other side is gone. */
int plugin_packet_send(
    int fd, const struct packet *packet, struct leased_err *err) LEASED_MUST_CHECK;

/*
 * Takes the next packet's bytes and descriptors; allocates nothing, so that none is lost.
 * LEASED_EUNAVAIL: nothing is there (fd does not block). LEASED_ECANCELED: the other side is gone.
 */
int plugin_packet_receive(int fd, struct packet *packet, struct leased_err *err) LEASED_MUST_CHECK;

/* The object of what was received. LEASED_ENOMEM: may be tried again. LEASED_EPROTO. */
int plugin_packet_decode(struct packet *packet, struct leased_err *err) LEASED_MUST_CHECK;

/* Frees the object, closes the descriptors. */
void plugin_packet_clear(struct packet *packet);

#endif
