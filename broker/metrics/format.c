/*
 * Which form of a page a client wants: by the query, which is the older way and says exactly one
 * thing, else by what its Accept header likes best. Reads input of anybody. Called by the API.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "metrics/page_private.h"

static const struct {
	const char *type; /* of Accept */
	const char *word; /* of the query */
	enum metrics_format format;
} forms[] = {
    {"application/openmetrics-text", "openmetrics", METRICS_OPENMETRICS},
    {"text/plain", "prometheus", METRICS_PROMETHEUS},
    {"application/json", "json", METRICS_JSON},
};

const char *
metrics_content_type(enum metrics_format format)
{
	switch (format) {
	case METRICS_PROMETHEUS:
		return ("text/plain; version=0.0.4; charset=utf-8");
	case METRICS_OPENMETRICS:
		return ("application/openmetrics-text; version=1.0.0; charset=utf-8");
	case METRICS_JSON:
		break;
	}
	return ("application/json");
}

/* "q=0.75" among the parameters of one entry, in thousandths; 1000 where there is none. */
static int
quality(const char *entry, size_t len)
{
	const char *at = entry, *end = entry + len;
	int value, digit = 100;

	while ((at = memchr(at, ';', (size_t)(end - at))) != NULL) {
		at++;
		while (at < end && (*at == ' ' || *at == '\t'))
			at++;
		if (end - at < 3 || (*at != 'q' && *at != 'Q') || at[1] != '=')
			continue;
		value = at[2] == '1' ? 1000 : 0;
		for (at += 3; at < end && (*at == '.' || (*at >= '0' && *at <= '9')); at++)
			if (*at != '.') {
				value += digit * (*at - '0');
				digit /= 10;
			}
		return (value > 1000 ? 1000 : value);
	}
	return (1000);
}

/* Versions that we do not write are not told from those that we do: scrapers take either. */
static int
form_of(const char *entry, size_t len)
{
	size_t type_len = 0;

	while (type_len < len && strchr("; \t", entry[type_len]) == NULL)
		type_len++;
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
		if (strlen(forms[i].type) == type_len &&
		    strncasecmp(forms[i].type, entry, type_len) == 0)
			return ((int)i);
	return (-1);
}

enum metrics_format
metrics_format_choose(const char *wanted, const char *accept, enum metrics_format otherwise)
{
	enum metrics_format best = otherwise;
	int best_quality = 0, form, liked;
	size_t len;

	if (wanted != NULL) {
		for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
			if (strcmp(forms[i].word, wanted) == 0)
				return (forms[i].format);
		return (METRICS_JSON);
	}
	while (accept != NULL && *accept != '\0') {
		accept += strspn(accept, ", \t");
		len = strcspn(accept, ",");
		form = form_of(accept, len);
		liked = form >= 0 ? quality(accept, len) : 0;
		if (liked > best_quality) {
			best_quality = liked;
			best = forms[form].format;
		}
		accept += len;
	}
	return (best);
}
