/*
 * A plugin that misbehaves as its config's "mode" says, to show that only its own call suffers. It
 * speaks in raw frames, without the SDK, so that it can break every rule. Unit tests of plugin/
 * start it.
 */
#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/frame.h"
#include "support/evil_attempts.h"

#define FD 3

static char mode[64] = "good", gate[256];
static struct frame_reader reader;

static void
write_all(const void *bytes, size_t len)
{
	for (const char *at = bytes; len > 0;) {
		ssize_t sent = write(FD, at, len);

		if (sent <= 0)
			_exit(0);
		at += sent;
		len -= (size_t)sent;
	}
}

static void
send_object(json_t *object)
{
	struct leased_err err;

	if (object == NULL || frame_write(FD, object, &err) != 0)
		_exit(0);
	json_decref(object);
}

static json_t *
receive(void)
{
	struct leased_err err;
	json_t *object = NULL;

	if (frame_read(FD, &reader, &object, &err) != 0)
		_exit(0);
	return (object);
}

static bool
is_mode(const char *name)
{
	return (strcmp(mode, name) == 0);
}

static void
reply(json_int_t id, const char *op, json_t *result)
{
	send_object(json_pack(
	    "{s:i,s:I,s:s,s:b,s:o}", "v", 1, "id", id, "op", op, "ok", 1, "result", result));
}

static void
fail(json_int_t id, const char *op, const char *code)
{
	send_object(json_pack("{s:i,s:I,s:s,s:b,s:{s:s,s:s},s:b}", "v", 1, "id", id, "op", op, "ok",
	    0, "error", "code", code, "text", "as the mode says", "sent", 0));
}

static bool
session(json_int_t id)
{
	char name[64];
	json_t *answer;
	bool ok;

	snprintf(name, sizeof(name), "%d:session", (int)getpid());
	send_object(
	    json_pack("{s:i,s:s,s:I,s:s}", "v", 1, "op", "session", "id", id, "session", name));
	answer = receive();
	ok = json_is_true(json_object_get(answer, "ok"));
	json_decref(answer);
	return (ok);
}

static json_t *
results(const json_t *params, size_t count)
{
	json_t *list = json_array();

	if (count == 0)
		count = json_array_size(json_object_get(params, "accounts")) +
			json_array_size(json_object_get(params, "sessions"));
	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, json_pack("{s:b}", "ok", 1));
	return (json_pack("{s:o}", "results", list));
}

/* Reads nothing, says nothing; but ends with the stream's other side only by a signal. */
static void
hang(void)
{
	for (;;)
		pause();
}

static void
drip(json_int_t id)
{
	uint8_t *bytes = NULL;
	size_t len = 0;
	struct leased_err err;
	json_t *object =
	    json_pack("{s:i,s:I,s:s,s:b,s:{}}", "v", 1, "id", id, "op", "mint", "ok", 1, "result");

	if (frame_encode(object, &bytes, &len, &err) != 0)
		_exit(1);
	for (size_t i = 0; i < len; i++) {
		write_all(bytes + i, 1);
		usleep(20000);
	}
	frame_free(bytes, len);
	json_decref(object);
}

/* A grandchild that outlives the worker, unless its group is killed. */
static void
leave_a_child(void)
{
	if (fork() == 0) {
		FILE *file;

		usleep(300000);
		if ((file = fopen(gate, "w")) != NULL)
			fclose(file);
		_exit(0);
	}
	raise(SIGKILL);
}

static void
flood_log(void)
{
	static char line[200];

	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\n';
	for (;;)
		if (write(2, line, sizeof(line)) < 0)
			_exit(1);
}

/* Descriptors beside bytes that look like the beginning of a frame, as many as the socket takes. */
static void
flood_fds(void)
{
	static const char bytes[4] = {0, 0, 1, 0};
	union {
		char bytes[CMSG_SPACE(sizeof(int) * 200)];
		struct cmsghdr align;
	} control = {{0}};
	struct iovec piece = {(void *)(uintptr_t)bytes, 1};
	struct msghdr message = {.msg_iov = &piece,
	    .msg_iovlen = 1,
	    .msg_control = control.bytes,
	    .msg_controllen = sizeof(control.bytes)};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int) * 200);
	for (int i = 0; i < 4; i++) {
		piece.iov_base = (void *)(uintptr_t)&bytes[i];
		(void)sendmsg(FD, &message, 0);
	}
}

/* A frame of the largest size that is taken, 1024 times; the daemon wants one. */
static void
write_a_gigabyte(void)
{
	static char piece[1 << 20];

	memset(piece, ' ', sizeof(piece));
	memcpy(piece, "\0\x0f\xff\xfc", 4);
	for (int i = 0; i < 1024; i++)
		write_all(piece, sizeof(piece));
}

static void
mint_badly(json_int_t id)
{
	static const unsigned char huge[] = {0, 0x20, 0, 0};
	static const char junk[] = "\0\0\0\4junk";

	switch (evil_attempt(mode, gate)) {
	case 0:
		fail(id, "mint", "refused");
		return;
	case 1:
		reply(id, "mint", json_pack("{s:s,s:s}", "handle", "had", "server", "evil"));
		return;
	}
	if (is_mode("hang"))
		hang();
	else if (is_mode("fds"))
		flood_fds();
	else if (is_mode("gigabyte"))
		write_a_gigabyte();
	else if (is_mode("crash"))
		raise(SIGKILL);
	else if (is_mode("exit"))
		_exit(3);
	else if (is_mode("huge"))
		write_all(huge, sizeof(huge));
	else if (is_mode("junk"))
		write_all(junk, sizeof(junk) - 1);
	else if (is_mode("wrong_id"))
		reply(id + 1, "mint", json_object());
	else if (is_mode("wrong_op"))
		reply(id, "renew", json_object());
	else if (is_mode("twice")) {
		reply(id, "mint", json_object());
		reply(id, "mint", json_object());
		return;
	} else if (is_mode("drip"))
		drip(id);
	else if (is_mode("child"))
		leave_a_child();
	else if (is_mode("close"))
		close(FD);
	else if (is_mode("flood_log"))
		flood_log();
	else if (is_mode("flood_frames"))
		for (;;)
			send_object(json_pack(
			    "{s:i,s:s,s:s}", "v", 1, "op", "session_end", "session", "s"));
	else if (is_mode("refused"))
		fail(id, "mint", "refused");
	else if (is_mode("down") && access(gate, F_OK) != 0)
		fail(id, "mint", "unavailable");
	else {
		if (is_mode("slow") || is_mode("slow_mint"))
			usleep(100000);
		reply(id, "mint", json_pack("{s:s,s:s}", "handle", "7", "server", "evil"));
		return;
	}
	if (!is_mode("refused") && !is_mode("down") && !is_mode("drip"))
		hang();
}

/* A "token" that says for which key it is. Of one mode, "ahead", the first comes when four were
 * asked for, and the four in the wrong order in "ahead_swapped". */
static void
sign_badly(json_int_t id, const json_t *params)
{
	static json_int_t waiting[4];
	static char keys[4][8];
	static unsigned count;
	unsigned i = count % 4;

	snprintf(keys[i], sizeof(keys[i]), "%s", json_string_value(json_object_get(params, "key")));
	waiting[i] = id;
	if (is_mode("ahead_crash") && strcmp(keys[i], "2") == 0)
		raise(SIGKILL);
	if (is_mode("ahead_session") && strcmp(keys[i], "0") == 0) {
		send_object(json_pack("{s:i,s:s,s:I,s:s}", "v", 1, "op", "session", "id", id,
		    "session", "1:session"));
		hang();
	}
	if (strncmp(mode, "ahead", 5) != 0 || is_mode("ahead_crash")) {
		reply(id, "sign", json_pack("{s:s+}", "token", keys[i], ".a.b"));
		return;
	}
	if (++count % 4 != 0)
		return;
	for (unsigned k = 0; k < 4; k++) {
		i = is_mode("ahead_swapped") ? 3 - k : k;
		reply(waiting[i], "sign", json_pack("{s:s+}", "token", keys[i], ".a.b"));
	}
}

static void
on_open(json_int_t id, const json_t *params)
{
	const json_t *config = json_object_get(params, "config");
	const char *text;

	if ((text = json_string_value(json_object_get(config, "mode"))) != NULL)
		snprintf(mode, sizeof(mode), "%s", text);
	if ((text = json_string_value(json_object_get(config, "gate"))) != NULL)
		snprintf(gate, sizeof(gate), "%s", text);
	if (json_object_get(config, "unlisted") != NULL)
		fail(id, "open", "invalid");
	else if (is_mode("open_fails") && access(gate, F_OK) != 0)
		fail(id, "open", "denied");
	else if (is_mode("open_crashes"))
		_exit(4);
	else if (session(id))
		reply(id, "open", json_pack("{s:s}", "server", "evil"));
	else
		fail(id, "open", "canceled");
	if (is_mode("unasked"))
		reply(99, "mint", json_object());
}

static const char description[] =
    "{\"name\":\"evil\",\"protocol\":1,\"name_max\":63,\"name_alphabet\":\"a-z0-9-\","
    "\"native_expiry\":false,\"dialect\":\"none\",\"default_statements\":true,\"role_fields\":[],"
    "\"ops\":[\"describe\",\"open\",\"mint\"],\"config_fields\":["
    "{\"name\":\"mode\",\"secret\":false,\"required\":true},"
    "{\"name\":\"gate\",\"secret\":false,\"required\":false}]}";

int
main(void)
{
	for (;;) {
		json_t *request = receive(), *params = json_object_get(request, "params");
		const char *op = json_string_value(json_object_get(request, "op"));
		json_int_t id = json_integer_value(json_object_get(request, "id"));

		if (strcmp(op, "describe") == 0)
			reply(id, op, json_loads(description, 0, NULL));
		else if (strcmp(op, "open") == 0)
			on_open(id, params);
		else if (strcmp(op, "mint") == 0)
			mint_badly(id);
		else if (strcmp(op, "sign") == 0)
			sign_badly(id, params);
		else if (strcmp(op, "ping") == 0 && is_mode("down") && access(gate, F_OK) != 0)
			fail(id, op, "unavailable");
		else if (strcmp(op, "remove") == 0 && is_mode("slow"))
			hang();
		else if (strcmp(op, "disarm") == 0 && (is_mode("slow") || is_mode("queue"))) {
			usleep(100000);
			reply(id, op, results(params, 0));
		} else if (strcmp(op, "disarm") == 0 || strcmp(op, "remove") == 0 ||
			   strcmp(op, "reap") == 0)
			reply(id, op, results(params, is_mode("too_few") ? 1 : 0));
		else
			reply(id, op, json_object());
		json_decref(request);
	}
}
