/*
 * Fuzzes what a command of the exec plugin may write: the first byte is its exit status. What is
 * taken is an object; what is not says why, in printable text, without the call's secret.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/exec/exec.h"

#define SECRET "s3cret"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct exec_output output = EXEC_OUTPUT_INIT;
	struct leased_err err = LEASED_ERR_INIT;
	json_t *secrets = json_pack("[s]", SECRET), *result = NULL;

	if (secrets == NULL)
		return (0);
	if (len > 0) {
		output.status = (int8_t)bytes[0];
		for (size_t i = 1; i < len; i += 7)
			(void)exec_output_add(
			    &output, (const char *)bytes + i, len - i < 7 ? len - i : 7);
	}
	if (exec_output_read(&output, secrets, &result, &err) == 0) {
		if (!json_is_object(result) || output.status > 0 || output.is_cut)
			abort();
	} else if (result != NULL || err.text[0] == '\0' || strstr(err.text, SECRET) != NULL) {
		abort();
	}
	for (const char *c = err.text; *c != '\0'; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			abort();
	json_decref(result);
	json_decref(secrets);
	exec_output_clear(&output);
	return (0);
}
