/*
 * One message between daemon and spawner: a packet that holds one frame, and descriptors beside it.
 */
#ifndef PLUGIN_PACKET_H
#define PLUGIN_PACKET_H

#include <jansson.h>

#include <leased/error.h>

#define PACKET_FDS_MAX 2

struct packet {
	json_t *object;          /* owned */
	int fds[PACKET_FDS_MAX]; /* owned, -1 when absent */
};
#define PACKET_INIT                                                                                \
	{                                                                                          \
		NULL,                                                                              \
		{                                                                                  \
			-1, -1                                                                     \
		}                                                                                  \
	}

/* LEASED_EUNAVAIL: the socket takes nothing now. LEASED_EIO: the other side is gone. */
int plugin_packet_send(
    int fd, const struct packet *packet, struct leased_err *err) LEASED_MUST_CHECK;

/* LEASED_EUNAVAIL: nothing is there (fd does not block). LEASED_ECANCELED: the other side is gone.
 * LEASED_EPROTO: no packet of ours. */
int plugin_packet_receive(
    int fd, struct packet *ret_packet, struct leased_err *err) LEASED_MUST_CHECK;

/* Frees the object, closes the descriptors. */
void plugin_packet_clear(struct packet *packet);

#endif
