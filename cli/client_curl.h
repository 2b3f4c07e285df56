/*
 * libcurl, which is loaded when the first request is made. With all that it brings it is two thirds
 * of what `lease` takes to start, and what ssh runs at each login (`lease ssh ensure`) mostly asks
 * nobody.
 */
#ifndef CLI_CLIENT_CURL_H
#define CLI_CLIENT_CURL_H

#include <curl/curl.h>

#include <leased/error.h>

/* Its functions, by their names without "curl_". */
struct client_curl {
	__typeof__(&curl_global_init) global_init;
	__typeof__(&curl_easy_init) easy_init;
	__typeof__(&curl_easy_cleanup) easy_cleanup;
	__typeof__(&(curl_easy_setopt)) easy_setopt;
	__typeof__(&(curl_easy_getinfo)) easy_getinfo;
	__typeof__(&curl_easy_perform) easy_perform;
	__typeof__(&curl_easy_strerror) easy_strerror;
	__typeof__(&curl_easy_escape) easy_escape;
	__typeof__(&curl_easy_header) easy_header;
	__typeof__(&curl_free) free;
	__typeof__(&curl_slist_append) slist_append;
	__typeof__(&curl_slist_free_all) slist_free_all;
};

/* Set by client_curl_load(), which whoever makes a request calls first. */
extern struct client_curl client_curl;
/* LEASED_EUNAVAIL: it is not installed, or not as it should be. */
int client_curl_load(struct leased_err *err) LEASED_MUST_CHECK;

#endif
