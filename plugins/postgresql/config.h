/*
 * What a connection is configured with. Made once from the config of `open`, either from keyword
 * fields or from a connection_url; where each came from is forgotten here.
 */
#ifndef POSTGRESQL_CONFIG_H
#define POSTGRESQL_CONFIG_H

#include <jansson.h>
#include <stdbool.h>

#include <leased/error.h>
#include <leased/secret.h>

/* libpq's keywords that a config may set, besides user and password. */
enum postgresql_keyword {
	POSTGRESQL_HOST,
	POSTGRESQL_PORT,
	POSTGRESQL_DBNAME,
	POSTGRESQL_SSLMODE,
	POSTGRESQL_SSLROOTCERT,
	POSTGRESQL_SSLCERT,
	POSTGRESQL_SSLKEY,
	POSTGRESQL_SSLCRL,
	POSTGRESQL_SSL_MIN_PROTOCOL_VERSION,
	POSTGRESQL_CHANNEL_BINDING,
	POSTGRESQL_CONNECT_TIMEOUT,
	POSTGRESQL_KEYWORD_COUNT
};

#define POSTGRESQL_CONFIG_TAG 0x70676366u
struct postgresql_config {
	unsigned tag;
	char *keywords[POSTGRESQL_KEYWORD_COUNT]; /* NULL: libpq's own default is not relied on, see
						     config.c */
	char *username;
	struct leased_secret *password; /* NULL: none is sent (certificates, peer) */
	/* The daemon's own: what is being, or was perhaps, set in its place (root rotation). The
	 * two change places when the other one logs in. NULL: none. */
	struct leased_secret *password_candidate;
	bool send_password; /* password_authentication = "password": no verifier */
	int scram_iterations;
	/* On this machine, and TLS is not certain: a password goes only by scram-sha-256 (guard.c);
	 * with TLS, where the server has it. */
	bool is_guarded, tries_tls;
	int tls_fds[3]; /* memory files of tls_ca, tls_certificate, private_key; -1: none */
};

/* The keyword as libpq spells it. */
const char *postgresql_keyword_name(enum postgresql_keyword keyword);

/* LEASED_EINVAL names the field and never shows a value that could be secret. */
int postgresql_config_new(const json_t *object, struct postgresql_config **ret_config,
    struct leased_err *err) LEASED_MUST_CHECK;
void postgresql_config_free(struct postgresql_config *config); /* NULL is fine */

/* "db.example:5432", for error texts. */
void postgresql_config_where(const struct postgresql_config *config, char *ret_text, size_t size);

/* Limits this process to the servers of config, which it has not talked to yet. */
int postgresql_config_confine(
    const struct postgresql_config *config, struct leased_err *err) LEASED_MUST_CHECK;

/* The config_fields of describe: a new array, NULL when out of memory. */
json_t *postgresql_config_fields(void);

/* url.c: takes connection_url apart into an empty config. The values of {{username}} and
 * {{password}} are not its own. */
int postgresql_url_parse(
    const char *url, struct postgresql_config *config, struct leased_err *err) LEASED_MUST_CHECK;

#endif
