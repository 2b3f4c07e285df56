/*
 * The sealed records of a lease and of its tombstone, and username templates: whatever the bytes,
 * decoding says yes or no; what it takes survives the way back, and a name made by a template that
 * was taken keeps the rules.
 */
#include <stdlib.h>
#include <string.h>

#include "lease/ended.h"
#include "lease/private.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void
record(const uint8_t *bytes, size_t len)
{
	json_t *object = json_loadb((const char *)bytes, len, JSON_REJECT_DUPLICATES, NULL), *again;
	struct lease_data data, back;

	if (object == NULL)
		return;
	if (lease_data_decode(object, &data, NULL) == 0) {
		again = lease_data_encode(&data);
		if (again == NULL || lease_data_decode(again, &back, NULL) != 0 ||
		    memcmp(&data, &back, sizeof(data)) != 0)
			abort();
		json_decref(again);
	}
	json_decref(object);
}

static void
ended_record(const uint8_t *bytes, size_t len)
{
	json_t *object = json_loadb((const char *)bytes, len, JSON_REJECT_DUPLICATES, NULL), *again;
	struct lease_ended ended, back;

	if (object == NULL)
		return;
	if (lease_ended_decode(object, &ended, NULL) == 0) {
		again = lease_ended_encode(&ended);
		if (again == NULL || lease_ended_decode(again, &back, NULL) != 0 ||
		    memcmp(&ended, &back, sizeof(ended)) != 0)
			abort();
		json_decref(again);
		json_decref(lease_ended_describe(&ended, true));
	}
	json_decref(object);
}

static void template(const uint8_t *bytes, size_t len)
{
	static const char random[] =
	    "0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqr";
	struct lease_name name = {.tag = "k3x9ab",
	    .role = "a'role",
	    .display = "token",
	    .random = random,
	    .sequence = 7,
	    .name_max = len > 0 ? bytes[0] : 63};
	char account[LEASE_ACCOUNT_SIZE];
	char *text = strndup((const char *)bytes + (len > 0), len > 0 ? len - 1 : 0);

	name.template = text;
	if (text != NULL && lease_name_format(&name, account, NULL) == 0 &&
	    (strlen(account) > name.name_max || strncmp(account, "l-k3x9ab-", 9) != 0 ||
		strspn(account, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				"0123456789_.-") != strlen(account)))
		abort();
	free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	if (len > 0 && bytes[0] == '{') {
		record(bytes, len);
		ended_record(bytes, len);
	} else {
		template(bytes, len);
	}
	return (0);
}
