/*
 * Fuzzes what metrics/ takes from outside: the choice of a form (query, then Accept), and labels
 * that hold anything. A sample stays one line, and a page in JSON stays JSON.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/page.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void
page_check(enum metrics_format format, const char *label)
{
	struct metrics_page *page = metrics_page_new(format);
	char *text = NULL, *end;
	json_t *json;
	size_t len;

	if (page == NULL)
		return;
	metrics_page_family(page, METRICS_KIND_GAUGE, "fuzz", "Fuzz.");
	metrics_page_sample(page, 1, METRICS_LABELS({"label", label}));
	if (metrics_page_finish(page, 0, &text, &len, NULL) == 0 && format != METRICS_JSON) {
		/* TYPE, HELP, the sample, and the end of one form. */
		for (end = text, len = 0; (end = strchr(end, '\n')) != NULL; end++)
			len++;
		if (len != (format == METRICS_OPENMETRICS ? 4 : 3))
			abort();
	} else if (text != NULL) {
		json_error_t why;

		if ((json = json_loads(text, 0, &why)) == NULL &&
		    json_error_code(&why) != json_error_invalid_utf8)
			abort();
		json_decref(json);
	}
	free(text);
	metrics_page_free(page);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	char *text = strndup((const char *)bytes, len), *accept;
	enum metrics_format format;

	if (text == NULL)
		return (0);
	if ((accept = strchr(text, '\n')) != NULL)
		*accept++ = '\0';
	format = metrics_format_choose(
	    accept != NULL ? text : NULL, accept != NULL ? accept : text, METRICS_PROMETHEUS);
	page_check(format, text);
	if (accept != NULL)
		page_check(METRICS_JSON, accept);
	free(text);
	return (0);
}
