/*
 * Fuzzes the http plugin's configuration, its pointers and an answer: input is a JSON array of a
 * configuration, values for its slots, and an answer. What is taken can be rendered or says why
 * not; what is refused says why.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/http/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void
check_rendered(const struct http_rendered *rendered)
{
	if (rendered->target[0] != '/' || strpbrk(rendered->target, " \r\n#") != NULL ||
	    strstr(rendered->target, "/../") != NULL)
		abort();
	for (size_t i = 0; i < rendered->header_count; i++)
		if (strpbrk(rendered->headers[i], "\r\n") != NULL)
			abort();
}

static void
try_requests(const struct http_config *config, const json_t *values, const json_t *answer)
{
	const json_t *request;
	char text[64];
	size_t i;

	for (unsigned kind = 0; kind < HTTP_KIND_COUNT; kind++)
		json_array_foreach(http_config_requests(config, kind), i, request)
		{
			struct leased_err err = LEASED_ERR_INIT;
			struct http_rendered rendered;

			if (http_render(config, kind, request, values, "fuzz", &rendered, &err) ==
			    0) {
				check_rendered(&rendered);
				http_rendered_clear(&rendered);
			} else if (err.text[0] == '\0')
				abort();
			(void)http_answer_meaning(config, request, 400, answer, false);
			http_answer_text(config, request, answer, values, text, sizeof(text));
			for (const char *c = text; *c != '\0'; c++)
				if ((unsigned char)*c < ' ')
					abort();
		}
}

static void
try_pointer(const json_t *pointer, const json_t *answer)
{
	struct leased_err err = LEASED_ERR_INIT;
	const char *text = json_string_value(pointer);

	if (text != NULL && http_pointer_check(text, "fuzz", &err) == 0)
		free(http_value_text(http_pointer_get(answer, text)));
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	json_t *input = json_loadb((const char *)bytes, len, JSON_REJECT_DUPLICATES, NULL);
	json_t *given = json_array_get(input, 0), *values = json_array_get(input, 1);
	json_t *answer = json_array_get(input, 2);
	struct leased_err err = LEASED_ERR_INIT;
	struct http_config *config = NULL;

	try_pointer(json_array_get(input, 3), answer);
	if (json_is_object(given)) {
		if (http_config_new(given, &config, &err) == 0)
			try_requests(config, values, answer);
		else if (err.text[0] == '\0')
			abort();
	}
	http_config_free(config);
	json_decref(input);
	return (0);
}
