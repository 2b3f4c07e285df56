/*
 * leased.hcl as one read-only struct (DESIGN.md). Every mistake of the file is collected,
 * with its position; a block that this version does not build is one of them. Policies are kept as
 * text for policy/, roles as JSON for auth/: this module knows neither.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <leased/error.h>

enum config_listener_kind { CONFIG_LISTENER_UNIX, CONFIG_LISTENER_TCP };
enum config_tls_version { CONFIG_TLS_1_2, CONFIG_TLS_1_3 };

struct config_listener {
	enum config_listener_kind kind;
	char *path;    /* unix */
	int64_t mode;  /* unix: permission bits */
	char *group;   /* unix; NULL: the daemon's own */
	char *address; /* tcp: HOST:PORT with a numeric address */
	/* tcp: both or none; without them tls_disable stands, and the address is a loopback one */
	char *tls_cert_file, *tls_key_file;
	bool tls_disable, unauthenticated_metrics;
	int64_t tls_min_version; /* enum config_tls_version */
	unsigned line, column;
};

/* 0 anywhere: the edge's own default. */
struct config_limits {
	int64_t request_line, header_bytes, body, bodies; /* bytes */
	int64_t header_count, connections, connections_per_peer, connections_reserved, pipelined;
	int64_t header_timeout_s, body_timeout_s, write_timeout_s, idle_timeout_s,
	    delivery_timeout_s, tls_handshake_timeout_s;
};

/* auth "unix" { role "name" { .. } } */
struct config_role {
	char *name;
	json_t *body; /* bound_uids, bound_gids (integers), bound_units, policies (strings),
			 max_leases; checked, only what the file has */
	unsigned line, column;
};

struct config_policy {
	char *name;
	char *text;            /* what stands between the braces */
	unsigned line, column; /* of text's first byte, for policy_parse_at() */
};

/* plugin "name" { .. }: one that leased does not bring along. */
struct config_plugin {
	char *name;    /* what plugin_name says of a connection */
	char *program; /* a file in plugin_dir */
	int64_t pool;  /* workers of a connection */
	unsigned line, column;
};

enum config_log_level { CONFIG_LOG_DEBUG, CONFIG_LOG_INFO, CONFIG_LOG_WARN, CONFIG_LOG_ERROR };
enum config_log_format { CONFIG_LOG_TEXT, CONFIG_LOG_JSON };

struct config {
	char *data_dir;
	char *seal_path; /* of seal "file" */
	char *plugin_dir;
	char *audit_path; /* of audit "file"; NULL: none is declared */
	int64_t default_lease_ttl_s, max_lease_ttl_s;
	int64_t log_level, log_format; /* enum config_log_level, enum config_log_format */
	struct config_listener *listeners;
	size_t listener_count;
	struct config_limits limits;
	struct config_role *roles;
	size_t role_count;
	struct config_policy *policies;
	size_t policy_count;
	struct config_plugin *plugins;
	size_t plugin_count;
	char sha256[65]; /* hexadecimal, of the file's bytes; "" of config_parse() */
};

struct config_problem {
	unsigned line, column; /* 0: none */
	bool warning;          /* the file is good all the same */
	char *text;
};

struct config_problems {              /* zero-initialise */
	struct config_problem *items; /* in the order of their positions */
	size_t count, size;
	/* Set by the caller, or NULL: asked about each policy, plugin and listener with TLS. They
	 * add what they find with config_problem_add(). Nonzero: out of memory. */
	int (*check_policy)(const struct config_policy *policy, struct config_problems *problems,
	    struct leased_err *err);
	int (*check_listener)(const struct config_listener *listener,
	    struct config_problems *problems, struct leased_err *err);
	int (*check_plugin)(const struct config_plugin *plugin, struct config_problems *problems,
	    struct leased_err *err);
	void *arg; /* theirs */
	/* Is what the file names on this machine: groups, plugin_dir (or the one that the command
	 * line names), a good root key, a place for the audit? A start finds out by itself. */
	bool check_machine;
	const char *plugin_dir;
	int (*check_root_key)(const char *path, struct leased_err *err); /* or NULL */
	int (*check_audit)(const char *path, struct leased_err *err);    /* EUNAVAIL: it warns */
};

/*
 * 0: *ret_config is the caller's to config_free(), and problems holds warnings only. LEASED_EINVAL:
 * problems says why, err names their number. Else err alone (the file cannot be read, memory).
 * problems is the caller's to clear, always.
 */
int config_load(const char *path, struct config **ret_config, struct config_problems *problems,
    struct leased_err *err) LEASED_MUST_CHECK;
int config_parse(const char *text, size_t len, struct config **ret_config,
    struct config_problems *problems, struct leased_err *err) LEASED_MUST_CHECK;
void config_free(struct config *config); /* NULL is fine */

/* Adds one from outside, such as policy/'s refusal of a text: a "line:column: " in front of text is
 * taken for the position. LEASED_ENOMEM. */
int config_problem_add(
    struct config_problems *problems, const char *text, struct leased_err *err) LEASED_MUST_CHECK;
void config_problems_clear(struct config_problems *problems);

/* "file:line:column: text", cut visibly when it does not fit. */
void config_problem_format(
    const struct config_problem *problem, const char *path, char *ret_text, size_t size);

#endif
