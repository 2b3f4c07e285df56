/*
 * One node: its connection, our login there, one command at a time. Knows what a broken connection
 * means for what was asked; not what an account is. Called by every operation.
 */
#include "account.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECE 65536

/* ---- one command ---- */

static void
forget_reply(struct redis_node *node)
{
	redis_reply_clear(&node->reply);
	if (node->taken > 0) {
		memmove(node->in, node->in + node->taken, node->in_len - node->taken);
		leased_wipe(node->in + node->in_len - node->taken, node->taken);
		node->in_len -= node->taken;
		node->taken = 0;
	}
}

void
redis_node_close(struct redis_node *node)
{
	forget_reply(node);
	redis_wire_close(node->wire);
	node->wire = NULL;
	if (node->session[0] != '\0')
		leased_session_end(node->session);
	node->session[0] = '\0';
	if (node->in != NULL)
		leased_wipe(node->in, node->in_size);
	free(node->in);
	node->in = NULL;
	node->in_len = node->in_size = 0;
}

static int
make_room(struct redis_node *node, struct leased_err *err)
{
	size_t size;
	char *grown;

	if (node->in_size - node->in_len >= PIECE)
		return (0);
	size = (node->in_size + PIECE) * 2;
	if ((grown = malloc(size)) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	if (node->in_len > 0)
		memcpy(grown, node->in, node->in_len);
	if (node->in != NULL)
		leased_wipe(node->in, node->in_size);
	free(node->in);
	node->in = grown;
	node->in_size = size;
	return (0);
}

static int
receive_reply(
    struct redis_node *node, const struct leased_call *call, int timeout_ms, struct leased_err *err)
{
	size_t len = 0, more = 0;
	int r, left_ms;

	for (;;) {
		if (node->in_len > 0 &&
		    (r = redis_reply_measure(node->in, node->in_len, &len, err)) != 0)
			return (r);
		if (len > 0)
			break;
		left_ms = leased_call_remaining_ms(call);
		if ((r = make_room(node, err)) != 0 ||
		    (r = redis_wire_receive(node->wire, node->in + node->in_len,
			 node->in_size - node->in_len, left_ms < timeout_ms ? left_ms : timeout_ms,
			 &more, err)) != 0)
			return (r);
		node->in_len += more;
	}
	node->taken = len;
	return (redis_reply_read(node->in, len, &node->reply, err));
}

static int
send_command(struct redis_node *node, const struct leased_call *call,
    const struct redis_command *command, struct leased_err *err)
{
	char header[REDIS_HEADER_SIZE];
	int left_ms = leased_call_remaining_ms(call), r;

	if (command->failed)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	redis_command_header(command, header);
	if ((r = redis_wire_send(node->wire, header, strlen(header), left_ms, err)) == 0)
		r = redis_wire_send(node->wire, command->bytes, command->len, left_ms, err);
	return (r);
}

int
redis_node_call(struct redis_node *node, const struct leased_call *call, enum redis_effect effect,
    struct redis_command *command, int timeout_ms, const struct redis_reply **ret_reply,
    struct leased_err *err)
{
	bool may_be_sent = !command->failed;
	int r;

	forget_reply(node);
	if ((r = send_command(node, call, command, err)) == 0)
		r = receive_reply(node, call, timeout_ms, err);
	redis_command_clear(command);
	if (r == 0) {
		*ret_reply = &node->reply;
		return (0);
	}
	if (effect == REDIS_CHANGES && may_be_sent)
		leased_outcome_unknown("%.200s: %.200s, after it was told to change an account",
		    node->address->text, err->text);
	redis_node_close(node);
	(void)leased_err_prefix(err, "%.200s", node->address->text);
	node->why = *err;
	return (r);
}

static bool
is_passing(const struct redis_reply *reply)
{
	static const char *const passing[] = {"LOADING", "BUSY", "MASTERDOWN", "TRYAGAIN"};

	for (size_t i = 0; i < sizeof(passing) / sizeof(passing[0]); i++)
		if (redis_reply_is_error(reply, passing[i]))
			return (true);
	return (false);
}

/* In words of Redis's own, which repeat nothing of ours. */
static bool
is_known_refusal(const struct redis_reply *reply)
{
	return (is_passing(reply) || redis_reply_is_error(reply, "NOPERM") ||
		redis_reply_is_error(reply, "NOAUTH"));
}

int
redis_node_refused(const struct redis *plugin, const struct redis_node *node, const char *verb,
    const struct redis_reply *reply, struct leased_err *err)
{
	int len = reply->len < 300 ? (int)reply->len : 300;

	if (reply->kind != REDIS_ERROR)
		return (leased_err_set(err, LEASED_EPROTO,
		    "%.200s: an answer to %.48s that Redis does not give", node->address->text,
		    verb));
	if (redis_reply_is_error(reply, "NOPERM"))
		return (leased_err_set(err, LEASED_EDENIED,
		    "%.150s: \"%.100s\" may not run %.48s: run ACL SETUSER %.100s +%.48s",
		    node->address->text, plugin->config->username, verb, plugin->config->username,
		    verb));
	if (redis_reply_is_error(reply, "NOAUTH"))
		return (leased_err_set(err, LEASED_EDENIED,
		    "%.200s wants a login: give username and password", node->address->text));
	return (leased_err_set(err, is_passing(reply) ? LEASED_EUNAVAIL : LEASED_EREFUSED,
	    "%.150s: %.*s", node->address->text, len, reply->text));
}

/* ---- a connection ---- */

static int
call_words(struct redis_node *node, const struct leased_call *call, int timeout_ms,
    const char *first, const char *second, const char *third, const struct redis_reply **ret_reply,
    struct leased_err *err)
{
	struct redis_command command = {0};

	redis_command_begin(&command, first, second, third, NULL);
	return (redis_node_call(node, call, REDIS_READS, &command, timeout_ms, ret_reply, err));
}

static int
authenticate(struct redis *plugin, const struct leased_call *call, struct redis_node *node,
    const char *name, const char *password, int timeout_ms, struct leased_err *err)
{
	const struct redis_reply *reply = NULL;
	size_t word = 0;
	int r;

	if ((r = call_words(node, call, timeout_ms, "AUTH", name, password, &reply, err)) != 0)
		return (r);
	while (word < reply->len && reply->text[word] >= 'A' && reply->text[word] <= 'Z')
		word++;
	if (redis_reply_is(reply, REDIS_STATUS, "OK"))
		return (0);
	if (redis_reply_is_error(reply, "WRONGPASS"))
		return (leased_err_set(err, LEASED_EDENIED,
		    "%.150s refuses the login of \"%.100s\": a wrong name or password, or the user "
		    "is off",
		    node->address->text, name));
	if (reply->kind != REDIS_ERROR || is_known_refusal(reply))
		return (redis_node_refused(plugin, node, "auth", reply, err));
	/* A server, or a proxy before it, that does not know the command repeats what came with it:
	 * the password. Of its words only the first is told. */
	return (leased_err_set(err, LEASED_EREFUSED,
	    "%.150s refuses AUTH (%.*s): is the command renamed there, or does a proxy not know "
	    "it? "
	    "What else it says may repeat the password, and is not told",
	    node->address->text, (int)(word < 32 ? word : 32), reply->text));
}

static int
connect_bare(struct redis *plugin, struct redis_node *node, int timeout_ms, struct leased_err *err)
{
	return (redis_wire_open(node->address, plugin->tls, timeout_ms, &node->wire, err));
}

/* Either password may be the right one while it is being changed. */
static int
log_in(struct redis *plugin, const struct leased_call *call, struct redis_node *node,
    int timeout_ms, struct leased_err *err)
{
	struct redis_config *config = plugin->config;
	struct leased_secret *other;
	int r;

	if (config->password == NULL)
		return (0);
	r = authenticate(plugin, call, node, config->username,
	    leased_secret_reveal(config->password), timeout_ms, err);
	if (r != LEASED_EDENIED || config->password_candidate == NULL || node->wire == NULL)
		return (r);
	r = authenticate(plugin, call, node, config->username,
	    leased_secret_reveal(config->password_candidate), timeout_ms, err);
	if (r == 0) {
		other = config->password;
		config->password = config->password_candidate;
		config->password_candidate = other;
	}
	return (r);
}

static int
read_run_id(struct redis *plugin, struct redis_node *node, const struct redis_reply *reply,
    struct leased_err *err)
{
	static const char field[] = "\nrun_id:";
	const char *at;

	if (reply->kind != REDIS_TEXT)
		return (redis_node_refused(plugin, node, "info", reply, err));
	at = memmem(reply->text, reply->len, field, sizeof(field) - 1);
	if (at == NULL ||
	    (size_t)(at - reply->text) + sizeof(field) - 1 + REDIS_RUN_ID_LEN > reply->len ||
	    strspn(at + sizeof(field) - 1, "0123456789abcdef") != REDIS_RUN_ID_LEN)
		return (leased_err_set(
		    err, LEASED_EPROTO, "%.200s: INFO has no run_id", node->address->text));
	memcpy(node->run_id, at + sizeof(field) - 1, REDIS_RUN_ID_LEN);
	node->run_id[REDIS_RUN_ID_LEN] = '\0';
	return (0);
}

/* Who answers, and which of its clients we are; a name for whoever lists them, where we may. */
static int
register_session(struct redis *plugin, struct leased_call *call, struct redis_node *node,
    int timeout_ms, struct leased_err *err)
{
	const struct redis_reply *reply = NULL;
	char name[80];
	int r;

	(void)snprintf(
	    name, sizeof(name), "leased:%.16s:%.40s", plugin->store_tag, plugin->instance);
	if ((r = call_words(node, call, timeout_ms, "INFO", "server", NULL, &reply, err)) != 0 ||
	    (r = read_run_id(plugin, node, reply, err)) != 0 ||
	    (r = call_words(node, call, timeout_ms, "CLIENT", "SETNAME", name, &reply, err)) != 0 ||
	    (r = call_words(node, call, timeout_ms, "CLIENT", "ID", NULL, &reply, err)) != 0)
		return (r);
	if (reply->kind != REDIS_INTEGER)
		return (redis_node_refused(plugin, node, "client|id", reply, err));
	(void)snprintf(node->session, sizeof(node->session), "%s:%lld", node->run_id,
	    (long long)reply->integer);
	if ((r = leased_session_begin(call, node->session, err)) != 0)
		node->session[0] = '\0';
	return (r);
}

/* Without an aclfile the server says so. With one, this keeps what is there anyway. */
static int
learn_persistence(struct redis *plugin, struct leased_call *call, struct redis_node *node,
    int timeout_ms, struct leased_err *err)
{
	const struct redis_reply *reply = NULL;
	int r;

	if ((r = call_words(node, call, timeout_ms, "ACL", "SAVE", NULL, &reply, err)) != 0)
		return (r);
	node->has_aclfile = redis_reply_is(reply, REDIS_STATUS, "OK");
	if (node->has_aclfile ||
	    redis_reply_is_error(reply, "ERR This Redis instance is not configured to use an ACL"))
		return (0);
	if (reply->kind == REDIS_ERROR && memmem(reply->text, reply->len, "not configured", 14))
		return (0); /* as those that were made from it say it */
	return (redis_node_refused(plugin, node, "acl|save", reply, err));
}

/* Is it, once more, the server that this worker was opened on? */
static int
recognise(
    struct redis *plugin, struct leased_call *call, struct redis_node *node, struct leased_err *err)
{
	bool is_found = false, nopass;
	int r;

	if (plugin->server[0] == '\0')
		return (0); /* identity.c looks at all of them together */
	if (node->has_aclfile == plugin->is_volatile)
		return (leased_err_set(err, LEASED_EMOVED,
		    "%.200s has %s aclfile now, which it had not when this worker was opened",
		    node->address->text, plugin->is_volatile ? "an" : "no"));
	if (plugin->marker[0] == '\0')
		return (0);
	r = redis_user_find(plugin, call, node, plugin->marker, &is_found, &nopass, err);
	if (r == 0 && !is_found)
		r = leased_err_set(err, LEASED_EMOVED,
		    "%.200s has no user %s: it is another server, or its aclfile is an older one",
		    node->address->text, plugin->marker);
	return (r);
}

int
redis_node_open(struct redis *plugin, struct leased_call *call, struct redis_node *node,
    int timeout_ms, struct leased_err *err)
{
	int r;

	redis_node_close(node);
	if ((r = connect_bare(plugin, node, timeout_ms, err)) == 0 &&
	    (r = log_in(plugin, call, node, timeout_ms, err)) == 0 &&
	    (r = register_session(plugin, call, node, timeout_ms, err)) == 0 &&
	    (r = learn_persistence(plugin, call, node, timeout_ms, err)) == 0)
		r = recognise(plugin, call, node, err);
	if (r != 0) {
		node->why = *err;
		redis_node_close(node);
	}
	return (r);
}

int
redis_node_login(struct redis *plugin, struct leased_call *call, const struct redis_node *node,
    const char *name, const char *password, struct redis_node *ret_login, struct leased_err *err)
{
	struct redis_node login = {.address = node->address};
	int left_ms = leased_call_remaining_ms(call), r;

	if ((r = connect_bare(plugin, &login, left_ms, err)) == 0)
		r = authenticate(plugin, call, &login, name, password, left_ms, err);
	if (r != 0)
		redis_node_close(&login);
	else
		*ret_login = login;
	return (r);
}
