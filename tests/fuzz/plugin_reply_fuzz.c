/*
 * Fuzzes plugin/reply.c, where a malicious worker's messages come in: the first byte chooses the
 * operation that was asked, the second how many results it must give, the rest is the message.
 */
#include <stdlib.h>
#include <string.h>

#include "base/jdec.h"
#include "plugin/reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void
check_outcome(const struct reply *reply, const struct reply_expected *expected)
{
	const json_t *results = json_object_get(reply->result, "results"), *one;
	size_t i;

	if (expected->id == 0 || (reply->code == 0) != (reply->result != NULL) || reply->code > 0)
		abort();
	if (reply->code != 0 && (reply->err.code != reply->code || reply->code == LEASED_ECRASHED))
		abort();
	if (reply->code != 0 ||
	    (expected->op != PLUGIN_OP_DISARM && expected->op != PLUGIN_OP_REMOVE &&
		expected->op != PLUGIN_OP_REAP))
		return;
	if (json_array_size(results) != expected->count)
		abort();
	json_array_foreach(results, i, one) if (!json_is_boolean(json_object_get(one, "ok")))
	    abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct reply_expected expected = {.id = 7};
	struct leased_err err = LEASED_ERR_INIT;
	struct reply reply = {0};
	json_t *message = NULL;

	if (len < 3)
		return (0);
	expected.op = (enum plugin_op)(bytes[0] % PLUGIN_OP_COUNT);
	if (bytes[0] >= 128)
		expected.id = 0; /* nothing was asked */
	expected.count = bytes[1] % 8;
	if (jdec_parse(bytes + 2, len - 2, &jdec_default_limits, &message, NULL) != 0)
		return (0);
	if (plugin_reply_read(message, &expected, &reply, &err) == 0) {
		if (reply.kind == REPLY_OUTCOME)
			check_outcome(&reply, &expected);
		else if (strlen(reply.session) < 1 || strlen(reply.session) > REPLY_SESSION_MAX)
			abort();
	} else if (err.code != LEASED_EPROTO || err.text[0] == '\0') {
		abort();
	}
	json_decref(message);
	return (0);
}
