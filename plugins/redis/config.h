/*
 * What a connection to Redis is configured with: where its nodes are, who logs in there, and how
 * TLS is checked. Made once from the config of `open`.
 */
#ifndef REDIS_CONFIG_H
#define REDIS_CONFIG_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include <leased/error.h>
#include <leased/secret.h>

#define REDIS_NODES_MAX 16
#define REDIS_HOST_MAX 256

struct redis_address {
	char host[REDIS_HOST_MAX];      /* a name, an address, or the absolute path of a socket */
	uint16_t port;                  /* 0: of a socket */
	bool is_name, is_local;         /* to be resolved; of this machine */
	char text[REDIS_HOST_MAX + 16]; /* "redis-a.example:6379", for people */
};

struct redis_addresses {
	struct redis_address items[REDIS_NODES_MAX];
	unsigned count;
};

#define REDIS_CONFIG_TAG 0x72646366u
struct redis_config {
	unsigned tag;
	struct redis_addresses nodes;
	struct redis_addresses gone;    /* for good, with the accounts that they had */
	char *username;                 /* "default" where none is given */
	struct leased_secret *password; /* NULL: none is sent */
	/* The daemon's own: what is being, or was perhaps, set in its place. The two change places
	 * when the other one logs in. NULL: none. */
	struct leased_secret *password_candidate;
	bool is_tls;
	bool is_exposed;                 /* without TLS, to a node on another machine */
	char *ca_cert, *tls_certificate; /* PEM, or the path of a file; NULL: the system's; none */
	struct leased_secret *private_key;
};

/* LEASED_EINVAL names the field and never shows a value that could be secret. */
int redis_config_new(const json_t *object, struct redis_config **ret_config,
    struct leased_err *err) LEASED_MUST_CHECK;
void redis_config_free(struct redis_config *config); /* NULL is fine */

/* host:port, [v6]:port, a host alone, or the absolute path of a socket. */
int redis_address_read(
    const char *text, struct redis_address *ret_address, struct leased_err *err) LEASED_MUST_CHECK;

/* Limits this process to the nodes of config, which it has not talked to yet. */
int redis_config_confine(
    const struct redis_config *config, struct leased_err *err) LEASED_MUST_CHECK;

/* The config_fields of describe: a new array, NULL when out of memory. */
json_t *redis_config_fields(void);

#endif
