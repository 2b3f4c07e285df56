/*
 * The client's side of the ssh-agent protocol. It holds no connection of its own: the caller opens
 * one, says what it has to say, and closes it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent.h"
#include "sshwire/bytes.h"

#define WITHIN_S 10          /* of a step that the agent answers by itself */
#define WITHIN_PERSON_S 120L /* .. or that it may ask a person about */
#define LIST_MAX 2048

/* Numbers of the draft's, 5.1 to 5.3. */
enum message {
	FAILURE = 5,
	SUCCESS = 6,
	REQUEST_IDENTITIES = 11,
	IDENTITIES_ANSWER = 12,
	REMOVE_IDENTITY = 18,
	ADD_ID_CONSTRAINED = 25,
};
enum constraint { CONSTRAIN_LIFETIME = 1, CONSTRAIN_CONFIRM = 2 };

int
agent_open(int *ret_fd, struct leased_err *err)
{
	struct timeval limit = {WITHIN_PERSON_S, 0}, send_limit = {WITHIN_S, 0};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *path = getenv("SSH_AUTH_SOCK");
	int fd;

	if (path == NULL || path[0] == '\0')
		return (leased_err_set(err, LEASED_ENOENT,
		    "there is no ssh-agent to hold the key: SSH_AUTH_SOCK is not set. Start one "
		    "for this shell: eval \"$(ssh-agent)\". Without any, `lease ssh ensure` keeps "
		    "key and certificate in files, and `lease ssh config --install` makes ssh "
		    "use them"));
	if (strlcpy(address.sun_path, path, sizeof(address.sun_path)) >= sizeof(address.sun_path))
		return (leased_err_set(
		    err, LEASED_EINVAL, "SSH_AUTH_SOCK is too long for the path of a socket"));
	if ((fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) < 0)
		return (leased_err_set(err, LEASED_EIO, "no socket: %s", strerror(errno)));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &send_limit, sizeof(send_limit));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0) {
		*ret_fd = fd;
		return (0);
	}
	(void)leased_err_set(err, LEASED_ENOENT,
	    "the ssh-agent of SSH_AUTH_SOCK (%s) does not answer: %s. Start one for this shell: "
	    "eval \"$(ssh-agent)\"",
	    path, strerror(errno));
	(void)close(fd);
	return (LEASED_ENOENT);
}

static int
lost(const char *what, struct leased_err *err)
{
	return (leased_err_set(err, LEASED_EUNAVAIL, "the ssh-agent %s: %s", what,
	    errno == EAGAIN || errno == EWOULDBLOCK ? "it does not answer" : strerror(errno)));
}

static int
read_all(int fd, uint8_t *bytes, size_t len, struct leased_err *err)
{
	ssize_t got;

	while (len > 0) {
		if ((got = recv(fd, bytes, len, 0)) < 0 && errno == EINTR)
			continue;
		if (got == 0)
			errno = ECONNRESET;
		if (got <= 0)
			return (lost("was asked and is gone", err));
		bytes += got;
		len -= (size_t)got;
	}
	return (0);
}

/* One message there, its answer back without the length: *ret_answer is of malloc(3). */
static int
ask(int fd, const void *message, size_t len, uint8_t **ret_answer, size_t *ret_len,
    struct leased_err *err)
{
	struct sshwire_reader reader;
	uint8_t head[4], *answer;
	const uint8_t *at = message;
	size_t answer_len;
	ssize_t sent;
	int r;

	while (len > 0) {
		if ((sent = send(fd, at, len, MSG_NOSIGNAL)) < 0 && errno == EINTR)
			continue;
		if (sent <= 0)
			return (lost("takes no request", err));
		at += sent;
		len -= (size_t)sent;
	}
	if ((r = read_all(fd, head, sizeof(head), err)) != 0)
		return (r);
	reader = sshwire_reader_of(head, sizeof(head));
	answer_len = sshwire_get_u32(&reader);
	if (answer_len == 0 || answer_len > AGENT_ANSWER_MAX)
		return (leased_err_set(err, LEASED_EPROTO,
		    "what listens at SSH_AUTH_SOCK speaks no ssh-agent's protocol"));
	if ((answer = malloc(answer_len)) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	if ((r = read_all(fd, answer, answer_len, err)) != 0) {
		free(answer);
		return (r);
	}
	*ret_answer = answer;
	*ret_len = answer_len;
	return (0);
}

/* The same for what is answered by yes or no. */
static int
ask_yes(int fd, const void *message, size_t len, const char *what, struct leased_err *err)
{
	uint8_t *answer = NULL;
	size_t answer_len = 0;
	int r;

	if ((r = ask(fd, message, len, &answer, &answer_len, err)) != 0)
		return (r);
	if (answer_len != 1 || answer[0] != SUCCESS)
		r = leased_err_set(err, LEASED_EREFUSED,
		    "the ssh-agent refused to %s. Is it locked (ssh-add -X), or one that takes no "
		    "certificates or no limits of time?",
		    what);
	free(answer);
	return (r);
}

struct leased_secret *
agent_encode_add(const struct keypair *keys, const void *certificate, size_t certificate_len,
    const char *comment, uint32_t lifetime_s, bool confirm)
{
	struct sshwire_writer writer = {0};
	struct leased_secret *message = NULL;
	size_t begin, private_begin;

	begin = sshwire_put_begin(&writer);
	sshwire_put_u8(&writer, ADD_ID_CONSTRAINED);
	sshwire_put_text(&writer, KEYPAIR_CERTIFICATE_TYPE);
	sshwire_put_string(&writer, certificate, certificate_len);
	sshwire_put_string(&writer, keys->public, sizeof(keys->public));
	private_begin = sshwire_put_begin(&writer); /* the seed, and the public key again */
	sshwire_put_bytes(&writer, leased_secret_reveal(keys->seed), KEYPAIR_SEED_LEN);
	sshwire_put_bytes(&writer, keys->public, sizeof(keys->public));
	sshwire_put_end(&writer, private_begin);
	sshwire_put_text(&writer, comment);
	sshwire_put_u8(&writer, CONSTRAIN_LIFETIME);
	sshwire_put_u32(&writer, lifetime_s);
	if (confirm)
		sshwire_put_u8(&writer, CONSTRAIN_CONFIRM);
	sshwire_put_end(&writer, begin);
	if (!writer.failed)
		message = leased_secret_new(writer.bytes, writer.len);
	sshwire_writer_clear(&writer);
	return (message);
}

int
agent_add(int fd, const struct keypair *keys, const void *certificate, size_t certificate_len,
    const char *comment, uint32_t lifetime_s, bool confirm, struct leased_err *err)
{
	struct leased_secret *message =
	    agent_encode_add(keys, certificate, certificate_len, comment, lifetime_s, confirm);
	int r;

	if (message == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	r = ask_yes(fd, leased_secret_reveal(message), leased_secret_len(message),
	    "take the key and its certificate", err);
	leased_secret_free(message);
	return (r);
}

int
agent_remove(int fd, const void *blob, size_t len, struct leased_err *err)
{
	struct sshwire_writer writer = {0};
	size_t begin;
	int r;

	begin = sshwire_put_begin(&writer);
	sshwire_put_u8(&writer, REMOVE_IDENTITY);
	sshwire_put_string(&writer, blob, len);
	sshwire_put_end(&writer, begin);
	r = writer.failed ? leased_err_set(err, LEASED_ENOMEM, "out of memory")
			  : ask_yes(fd, writer.bytes, writer.len, "take out a key", err);
	sshwire_writer_clear(&writer);
	return (r);
}

int
agent_decode_list(
    const void *bytes, size_t len, struct agent_list *ret_list, struct leased_err *err)
{
	struct sshwire_reader reader = sshwire_reader_of(bytes, len);
	struct agent_list list = {NULL, 0};
	const uint8_t *blob;
	uint32_t count;
	size_t i;

	if (sshwire_get_u8(&reader) != IDENTITIES_ANSWER ||
	    (count = sshwire_get_u32(&reader)) > LIST_MAX)
		goto broken;
	if ((list.entries = calloc(count + 1u, sizeof(*list.entries))) == NULL)
		goto no_memory;
	for (i = 0; i < count && !reader.failed; i++) {
		blob = sshwire_get_string(&reader, &list.entries[i].blob_len);
		list.count = i + 1;
		if ((list.entries[i].blob = malloc(list.entries[i].blob_len + 1)) == NULL)
			goto no_memory;
		memcpy(list.entries[i].blob, blob, list.entries[i].blob_len);
		/* A comment is a text by its looks alone. */
		blob = sshwire_get_string(&reader, &len);
		if ((list.entries[i].comment = strndup((const char *)blob, len)) == NULL)
			goto no_memory;
	}
	if (!sshwire_reader_done(&reader))
		goto broken;
	*ret_list = list;
	return (0);
broken:
	agent_list_clear(&list);
	return (leased_err_set(err, LEASED_EPROTO, "the ssh-agent's list of keys is broken"));
no_memory:
	agent_list_clear(&list);
	return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
}

int
agent_list(int fd, struct agent_list *ret_list, struct leased_err *err)
{
	static const uint8_t request[] = {0, 0, 0, 1, REQUEST_IDENTITIES};
	uint8_t *answer = NULL;
	size_t len = 0;
	int r;

	if ((r = ask(fd, request, sizeof(request), &answer, &len, err)) != 0)
		return (r);
	r = agent_decode_list(answer, len, ret_list, err);
	free(answer);
	return (r);
}

void
agent_list_clear(struct agent_list *list)
{
	size_t i;

	for (i = 0; i < list->count; i++) {
		free(list->entries[i].blob);
		free(list->entries[i].comment);
	}
	free(list->entries);
	memset(list, 0, sizeof(*list));
}
