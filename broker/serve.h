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
/* The same for a daemon that serves already: in the log; certificates are looked at, too. */
int main_serve_reload(
    const char *path, struct config **ret_config, struct leased_err *err) LEASED_MUST_CHECK;
int main_serve_check(const char *path); /* the exit status */
/* What the file declares, to be applied; nothing changes by it alone. */
int main_serve_declare(struct main_daemon *daemon, const struct config *config,
    struct auth_declared **ret_declared, struct leased_err *err) LEASED_MUST_CHECK;
/* Takes config, also on failure. path is borrowed for ever. */
int main_serve_start(struct main_daemon *daemon, const char *path, struct config *config,
    struct leased_err *err) LEASED_MUST_CHECK;

/* ---- listen.c ---- */

int main_listen(struct main_daemon *daemon, const struct config *config,
    struct leased_err *err) LEASED_MUST_CHECK;
/* The pair of a listener with TLS. */
int main_listen_load(const struct config_listener *listener, struct http_tls **ret_tls,
    struct leased_err *err) LEASED_MUST_CHECK;
/* For struct config_problems. */
int main_listen_check(const struct config_listener *listener, struct config_problems *problems,
    struct leased_err *err) LEASED_MUST_CHECK;
/* Logs what a door shows, and what is wrong with it; tls NULL: plain. */
void main_listen_say(const struct config_listener *listener, const struct http_tls *tls);
/* Shows to who watches when the certificates end. */
void main_listen_count(const struct main_daemon *daemon, const struct config *config);

/* ---- reload.c ---- */

/* SIGHUP. */
void main_reload(struct main_daemon *daemon);

#endif
