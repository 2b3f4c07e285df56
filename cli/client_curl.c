/*
 * libcurl by the functions that the client uses. Loaded once, and never unloaded: the end of the
 * process does that.
 */
#include "client_curl.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define LIBRARY "libcurl.so.4"
#define ROW(name)                                                                                  \
	{                                                                                          \
		"curl_" #name, offsetof(struct client_curl, name)                                  \
	}

struct client_curl client_curl;

static const struct {
	const char *name;
	size_t offset;
} rows[] = {ROW(global_init), ROW(easy_init), ROW(easy_cleanup), ROW(easy_setopt),
    ROW(easy_getinfo), ROW(easy_perform), ROW(easy_strerror), ROW(easy_escape), ROW(easy_header),
    ROW(free), ROW(slist_append), ROW(slist_free_all)};

int
client_curl_load(struct leased_err *err)
{
	static bool loaded;
	void *library, *function;

	if (loaded)
		return (0);
	if ((library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL)) == NULL)
		return (leased_err_set(err, LEASED_EUNAVAIL,
		    "requests need libcurl, which cannot be loaded: %s", dlerror()));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if ((function = dlsym(library, rows[i].name)) == NULL)
			return (leased_err_set(
			    err, LEASED_EUNAVAIL, LIBRARY " has no %s", rows[i].name));
		/* ISO C has no cast from one kind of pointer to the other; POSIX has them alike. */
		memcpy((char *)&client_curl + rows[i].offset, &function, sizeof(function));
	}
	if (client_curl.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return (leased_err_set(err, LEASED_EUNAVAIL, LIBRARY " cannot begin"));
	loaded = true;
	return (0);
}
