/*
 * What a command had to say: its output, bounded, and what it means beside its exit status. Starts
 * nothing. Called by run.c and dial.c, which fill it, and call.c, which reads it.
 */
#include <stdlib.h>
#include <string.h>

#include "exec.h"

#define STATUS_UNKNOWN 75

bool
exec_output_add(struct exec_output *output, const char *bytes, size_t len)
{
	if (output->bytes == NULL && (output->bytes = malloc(EXEC_OUTPUT_MAX + 1)) == NULL)
		return (false);
	output->is_cut |= len > EXEC_OUTPUT_MAX - output->len;
	if (len > EXEC_OUTPUT_MAX - output->len)
		len = EXEC_OUTPUT_MAX - output->len;
	memcpy(output->bytes + output->len, bytes, len);
	output->len += len;
	output->bytes[output->len] = '\0';
	return (!output->is_cut);
}

void
exec_output_clear(struct exec_output *output)
{
	if (output->bytes != NULL)
		leased_wipe(output->bytes, EXEC_OUTPUT_MAX + 1);
	free(output->bytes);
	*output = (struct exec_output)EXEC_OUTPUT_INIT;
}

/* Every place of a secret in a text becomes stars; short ones are none. */
static void
hide(char *text, const json_t *secrets)
{
	const json_t *secret;
	size_t i, len;

	json_array_foreach(secrets, i, secret)
	{
		len = json_string_length(secret);
		if (len < 4)
			continue;
		for (char *at = strstr(text, json_string_value(secret)); at != NULL;
		     at = strstr(at + len, json_string_value(secret)))
			memset(at, '*', len);
	}
}

/* {"error": {"code": .., "text": ..}}: what it says in words. */
static int
read_error(const json_t *error, const json_t *secrets, struct leased_err *err)
{
	const char *name = json_string_value(json_object_get(error, "code"));
	const char *text = json_string_value(json_object_get(error, "text"));
	int code = name != NULL ? leased_code_from_name(name) : LEASED_EREFUSED;
	char *shown;

	if (name != NULL && strcmp(name, "outcome_unknown") == 0)
		code = LEASED_ECRASHED;
	switch (code) {
	case LEASED_EINVAL:
	case LEASED_EDENIED:
	case LEASED_ENOENT:
	case LEASED_EEXIST:
	case LEASED_EREFUSED:
	case LEASED_EMOVED:
	case LEASED_EUNAVAIL:
	case LEASED_ETIMEDOUT:
	case LEASED_ETOOBIG:
	case LEASED_ELIMIT:
	case LEASED_ECRASHED:
		break;
	default: /* none that a backend has */
		code = LEASED_EREFUSED;
	}
	if (text == NULL || text[0] == '\0' || (shown = strdup(text)) == NULL)
		return (leased_err_set(err, code, "the command failed and gives no reason"));
	hide(shown, secrets);
	for (char *c = shown; *c != '\0'; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = ' ';
	(void)leased_err_set(err, code, "%s", shown);
	free(shown);
	return (code);
}

/* NULL: it is no JSON object. */
static json_t *
parse(const struct exec_output *output, int *ret_code)
{
	unsigned long failures = leased_secret_alloc_failures();
	json_t *value = NULL;

	*ret_code = 0;
	if (output->bytes == NULL || output->is_cut)
		return (NULL);
	value = json_loadb(output->bytes, output->len, JSON_REJECT_DUPLICATES, NULL);
	if (leased_secret_alloc_failures() != failures)
		*ret_code = LEASED_ENOMEM;
	if (json_is_object(value) && *ret_code == 0)
		return (value);
	json_decref(value);
	return (NULL);
}

/* A service behind a socket has no status that we hear of: its words are all. */
int
exec_output_read(const struct exec_output *output, const json_t *secrets, json_t **ret_result,
    struct leased_err *err)
{
	json_t *object, *error;
	int r;

	if (output->status == STATUS_UNKNOWN)
		return (leased_err_set(
		    err, LEASED_ECRASHED, "the command does not know what became of it"));
	if (output->signal != 0) /* whatever it said before, it had not come to its end */
		return (
		    leased_err_set(err, LEASED_ECRASHED, "the command was ended by signal %d (%s)",
			output->signal, strsignal(output->signal)));
	object = parse(output, &r);
	if (r != 0)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	error = json_object_get(object, "error");
	if (json_is_object(error)) {
		r = read_error(error, secrets, err);
	} else if (output->status > 0) {
		r = leased_err_set(err, LEASED_EREFUSED,
		    "the command ended with status %d and no error in JSON; see its lines in the "
		    "log, and mind that a command which leased starts can write no file",
		    output->status);
	} else if (output->is_cut) {
		r = leased_err_set(err, LEASED_ECRASHED,
		    "the command wrote more than %zu KiB, and was killed", EXEC_OUTPUT_MAX / 1024);
	} else if (object == NULL || error != NULL) {
		/* Done, or broken off in the middle: nobody can tell. */
		r = leased_err_set(err, LEASED_ECRASHED,
		    "the command ended without a JSON object on its standard output");
	} else {
		*ret_result = object;
		return (0);
	}
	json_decref(object);
	return (r);
}
