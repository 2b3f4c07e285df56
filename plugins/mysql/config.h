/*
 * What a connection is configured with. Made once from the config of `open`, either from keyword
 * fields or from a connection_url; where each came from is forgotten here.
 */
#ifndef MYSQL_CONFIG_H
#define MYSQL_CONFIG_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include <leased/error.h>
#include <leased/secret.h>

/* What a server keeps of the host part of an account, in all versions. */
#define MARIA_HOST_MAX 60

enum maria_tls_file {
	MARIA_TLS_CA,
	MARIA_TLS_CERTIFICATE,
	MARIA_TLS_KEY,
	MARIA_TLS_CRL,
	MARIA_TLS_COUNT
};

#define MARIA_CONFIG_TAG 0x6d636667u
struct maria_config {
	unsigned tag;
	char *host, *socket; /* one of the two */
	uint16_t port;
	char *database; /* the default one, NULL: none */
	char *username;
	struct leased_secret *password; /* NULL: none (the server knows us by the socket, or by a
					   certificate) */
	/* The daemon's own: what is being, or was perhaps, set in its place (root rotation). The
	 * two change places when the other one logs in. NULL: none. */
	struct leased_secret *password_candidate;
	char *tls_mode; /* as it was given; NULL: by the host */
	bool is_tls;    /* enforced and verified; else there is none */
	char *tls_files[MARIA_TLS_COUNT];
	int tls_fds[MARIA_TLS_COUNT]; /* memory files of what was given as PEM; -1: none */
	unsigned connect_timeout_s;
	char *user_host;    /* the host part of accounts that are made */
	bool send_password; /* password_authentication = "password": no hash */
	bool has_expiry_event;
	char *event_schema; /* where those are; set with has_expiry_event */
};

/* LEASED_EINVAL names the field and never shows a value that could be secret. */
int maria_config_new(const json_t *object, struct maria_config **ret_config,
    struct leased_err *err) LEASED_MUST_CHECK;
void maria_config_free(struct maria_config *config); /* NULL is fine */

/* "db.example:3306" or the socket's path, for error texts. */
void maria_config_where(const struct maria_config *config, char *ret_text, size_t size);

/* Limits this process to the server of config, which it has not talked to yet. */
int maria_config_confine(
    const struct maria_config *config, struct leased_err *err) LEASED_MUST_CHECK;

/* The config_fields of describe: a new array, NULL when out of memory. */
json_t *maria_config_fields(void);

/* url.c: takes connection_url apart into an empty config: URL or the form that Go's driver (and so
 * Vault) has. */
int maria_url_parse(
    const char *url, struct maria_config *config, struct leased_err *err) LEASED_MUST_CHECK;
/* A port's text; 0: it is none. */
uint16_t maria_port_parse(const char *text);

#endif
