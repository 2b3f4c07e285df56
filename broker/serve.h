/*
 * leased -config FILE: from leased.hcl to a daemon that does what it says, at the start and when
 * the file is read again.
 */
#ifndef LEASED_SERVE_H
#define LEASED_SERVE_H

#include "auth/declare.h"
#include "daemon.h"

/* ---- serve.c ---- */

/* Says on stderr what is wrong with the file, all of it. */
int main_serve_load(
    const char *path, struct config **ret_config, struct leased_err *err) LEASED_MUST_CHECK;
int main_serve_check(const struct main_options *options); /* the exit status */
/* For struct config_problems. */
int main_serve_check_policy(const struct config_policy *config, struct config_problems *problems,
    struct leased_err *err) LEASED_MUST_CHECK;
int main_serve_check_plugin(const struct config_plugin *plugin, struct config_problems *problems,
    struct leased_err *err) LEASED_MUST_CHECK;
/* What the file declares, to be applied; nothing changes by it alone. On a failure its place. */
int main_serve_declare(const struct config *config, struct auth_declared **ret_declared,
    unsigned *ret_line, unsigned *ret_column, struct leased_err *err) LEASED_MUST_CHECK;
/* Keeps from every worker what config names, and the file that it was read from. */
int main_serve_guard(struct main_daemon *daemon, const struct config *config,
    struct leased_err *err) LEASED_MUST_CHECK;
/* Takes config, also on failure. path is borrowed for ever. */
int main_serve_start(struct main_daemon *daemon, const char *path, struct config *config,
    struct leased_err *err) LEASED_MUST_CHECK;

/* ---- reading.c ---- */

/* Certificates by the addresses of their listeners; both owned. */
struct main_pairs {
	struct main_pair {
		char *address;
		struct http_tls *tls;
	} * items;
	size_t count;
};
/* Takes tls, also on failure: LEASED_ENOMEM. */
int main_pair_add(
    struct main_pairs *pairs, const char *address, struct http_tls *tls) LEASED_MUST_CHECK;
struct main_pair *main_pair_find(const struct main_pairs *pairs, const char *address);

struct main_reading {
	const char *path;                /* borrowed */
	struct config_problems problems; /* what is asked of the machine is the caller's to set */
	struct main_pairs shown;         /* to clients, now */
	/* What came of it; result 0: all that follows is there. */
	int result;
	struct leased_err err;
	struct config *config;
	struct auth_declared *declared;
	struct main_pairs pairs;
};
void main_reading_run(struct main_reading *reading);
void main_reading_clear(struct main_reading *reading);
/* To a terminal, or to whoever reads the log of a daemon that serves. */
void main_say_problems(const char *path, const struct config_problems *problems, bool to_log);

/* ---- listen.c ---- */

int main_listen(struct main_daemon *daemon, const struct config *config,
    struct leased_err *err) LEASED_MUST_CHECK;
/* The pair of a listener with TLS. */
int main_listen_load(const struct config_listener *listener, struct http_tls **ret_tls,
    struct leased_err *err) LEASED_MUST_CHECK;
/* Logs what a door shows, and what is wrong with it; tls NULL: plain. */
void main_listen_say(const struct config_listener *listener, const struct http_tls *tls);
/* Shows to who watches when the certificates end. */
void main_listen_count(const struct main_daemon *daemon, const struct config *config);

/* ---- reload.c ---- */

/* The file of the start is on record, as far as that is possible: leases are to end in any case. */
int main_reload_start(struct main_daemon *daemon, struct leased_err *err) LEASED_MUST_CHECK;
void main_reload(struct main_daemon *daemon); /* SIGHUP */
/* Ends the reading of a file; then nothing is put in place any more. NULL: there is none. */
void main_reload_stop(struct main_reload *reload);
void main_reload_free(struct main_reload *reload); /* after store_stop() */

#endif
