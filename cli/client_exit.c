/*
 * What an HTTP status of leased's, and the words of its error, mean to whoever ran `lease`.
 * client.c asks.
 */
#include <string.h>

#include "cli.h"
#include "client_exit.h"

/* No backend has failed: what is refused in a restored store waits for a person's word, and what
 * cannot be recorded for the audit's device. */
#define HELD "restored from a backup and is held"
#define UNRECORDED "the audit could not record"

enum cli_exit
client_exit_of_status(long status, const char *error)
{
	/* The wire says 400 for all of these, in words that clients compare. */
	static const struct {
		const char *words;
		enum cli_exit code;
	} texts[] = {{"lease expired", CLI_EXPIRED}, {"past the max TTL", CLI_EXPIRED},
	    {"invalid lease", CLI_NOT_FOUND}, {"lease not found", CLI_NOT_FOUND},
	    {"unknown role: ", CLI_NOT_FOUND}, {"there is no static role named ", CLI_NOT_FOUND},
	    {"there is no connection named ", CLI_NOT_FOUND},
	    {"No secret engine mount at ", CLI_NOT_FOUND}, {HELD, CLI_NOT_READY}};
	size_t i;

	switch (status) {
	case 400:
		for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
			if (strstr(error, texts[i].words) != NULL)
				return (texts[i].code);
		return (CLI_FAILED);
	case 401:
	case 403:
		return (CLI_DENIED);
	case 404:
		return (CLI_NOT_FOUND);
	case 501:
		return (CLI_NOT_READY);
	case 503:
		return (strstr(error, "is sealed") != NULL || strstr(error, HELD) != NULL ||
				strstr(error, UNRECORDED) != NULL
			    ? CLI_NOT_READY
			    : CLI_BACKEND);
	case 502:
	case 504:
	case 507:
		return (CLI_BACKEND);
	default:
		return (status >= 200 && status < 300 ? CLI_OK : CLI_FAILED);
	}
}
