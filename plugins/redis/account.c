/*
 * Accounts are users of the ACL: what the daemon says of them, and what one node says. Called by
 * the operations.
 */
#include "account.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define KILL_WAIT_MS 1000
#define KILL_PAUSE_MS 5

int
redis_account_read(const struct redis *plugin, const json_t *object,
    struct redis_account *ret_account, struct leased_err *err)
{
	struct redis_account account = {.server = leased_get_string_optional(object, "server"),
	    .kept = leased_get_string_optional(object, "kept"),
	    .role = json_object_get(object, "role")};
	size_t len;
	int r;

	if ((r = leased_get_string(object, "name", &account.name, err)) != 0)
		return (r);
	len = strlen(account.name);
	if (len == 0 || len > REDIS_NAME_MAX)
		return (leased_err_set(err, LEASED_EINVAL,
		    "a name of %zu bytes: this plugin takes 1 to %d", len, REDIS_NAME_MAX));
	if (strpbrk(account.name, " \t\n\v\f\r") != NULL)
		return (
		    leased_err_set(err, LEASED_EINVAL, "a user of Redis has no blank in its name"));
	if (strncmp(account.name, REDIS_MARKER, sizeof(REDIS_MARKER) - 1) == 0)
		return (leased_err_set(err, LEASED_EINVAL,
		    "names that begin with " REDIS_MARKER " are those of servers"));
	*ret_account = account;
	return (0);
}

int
redis_account_on_server(
    const struct redis *plugin, const struct redis_account *account, struct leased_err *err)
{
	if (account->server == NULL || account->server[0] == '\0' ||
	    strcmp(account->server, plugin->server) == 0)
		return (0);
	return (leased_err_set(err, LEASED_EMOVED,
	    "the server is %s now; the account was made on %.100s: nothing is touched",
	    plugin->server, account->server));
}

/* Is "nopass" among the flags of a user? Flags stand behind the word "flags", at the beginning. */
static bool
has_nopass(const struct redis_reply *reply)
{
	const struct redis_reply *flags = reply->len >= 2 ? &reply->items[1] : NULL;

	for (size_t i = 0; flags != NULL && flags->kind == REDIS_LIST && i < flags->len; i++)
		if (redis_reply_is(&flags->items[i], REDIS_TEXT, "nopass") ||
		    redis_reply_is(&flags->items[i], REDIS_STATUS, "nopass"))
			return (true);
	return (false);
}

int
redis_user_find(struct redis *plugin, struct leased_call *call, struct redis_node *node,
    const char *name, bool *ret_found, bool *ret_nopass, struct leased_err *err)
{
	struct redis_command command = {0};
	const struct redis_reply *reply = NULL;
	int r;

	redis_command_begin(&command, "ACL", "GETUSER", name, NULL);
	if ((r = redis_node_call(node, call, REDIS_READS, &command, leased_call_remaining_ms(call),
		 &reply, err)) != 0)
		return (r);
	if (reply->kind != REDIS_LIST && reply->kind != REDIS_NIL)
		return (redis_node_refused(plugin, node, "acl|getuser", reply, err));
	*ret_found = reply->kind == REDIS_LIST;
	*ret_nopass = *ret_found && has_nopass(reply);
	return (0);
}

int
redis_user_change(struct redis *plugin, struct leased_call *call, struct redis_node *node,
    struct redis_command *command, struct leased_err *err)
{
	char verb[sizeof(command->verb)];
	const struct redis_reply *reply = NULL;
	int r;

	memcpy(verb, command->verb, sizeof(verb));
	if ((r = redis_node_call(node, call, REDIS_CHANGES, command, leased_call_remaining_ms(call),
		 &reply, err)) != 0)
		return (r);
	if (redis_reply_is(reply, REDIS_STATUS, "OK") || reply->kind == REDIS_INTEGER)
		return (0);
	return (redis_node_refused(plugin, node, verb, reply, err));
}

static void
pause_ms(int ms)
{
	const struct timespec pause = {.tv_nsec = (long)ms * 1000000};

	(void)nanosleep(&pause, NULL);
}

/* Asked again until there was none to end: what is ended counts for as long as it is there. */
int
redis_user_kill(struct redis *plugin, struct leased_call *call, struct redis_node *node,
    const char *name, unsigned *ret_count, struct leased_err *err)
{
	const struct redis_reply *reply = NULL;
	int r;

	*ret_count = 0;
	for (int waited = 0; waited <= KILL_WAIT_MS; waited += KILL_PAUSE_MS) {
		struct redis_command command = {0};

		redis_command_begin(&command, "CLIENT", "KILL", "USER", name, NULL);
		if ((r = redis_node_call(node, call, REDIS_CHANGES, &command,
			 leased_call_remaining_ms(call), &reply, err)) != 0)
			return (r);
		if (redis_reply_is_error(reply, "ERR No such user"))
			return (0); /* and its connections were closed with it */
		if (reply->kind != REDIS_INTEGER)
			return (redis_node_refused(plugin, node, "client|kill", reply, err));
		if (reply->integer == 0)
			return (0);
		*ret_count += (unsigned)reply->integer;
		if (waited > 0)
			pause_ms(KILL_PAUSE_MS);
	}
	return (leased_err_set(err, LEASED_EREFUSED,
	    "%.200s: connections of %.100s did not end within 1 s; it is tried again",
	    node->address->text, name));
}

int
redis_hash(const char *password, char ret_hex[REDIS_HASH_SIZE], struct leased_err *err)
{
	unsigned char digest[32];
	unsigned len = sizeof(digest);

	if (EVP_Digest(password, strlen(password), digest, &len, EVP_sha256(), NULL) != 1)
		return (leased_err_set(err, LEASED_ENOMEM, "SHA-256 cannot be had"));
	for (unsigned i = 0; i < sizeof(digest); i++)
		(void)snprintf(ret_hex + i * 2, 3, "%02x", digest[i]);
	leased_wipe(digest, sizeof(digest));
	return (0);
}
