/*
 * Policies (contract section 3): a text is parsed into an immutable struct policy; the policies of
 * one caller are merged into an immutable struct policy_acl, which decides. Deny by default; ONE
 * rule decides a request, the most specific. Root is a flag of the ACL and never a name. Nothing
 * here blocks; an ACL may be read from any thread.
 *
 * Not in this version: parameter and wrapping constraints, templates. A text that uses them is
 * refused, never half obeyed.
 */
#ifndef POLICY_POLICY_H
#define POLICY_POLICY_H

#include <stdbool.h>
#include <stddef.h>

#include <leased/error.h>

/* In the order in which the API lists them. */
enum policy_capability {
	POLICY_SUDO = 1 << 0,
	POLICY_READ = 1 << 1,
	POLICY_LIST = 1 << 2,
	POLICY_UPDATE = 1 << 3,
	POLICY_DELETE = 1 << 4,
	POLICY_CREATE = 1 << 5,
	POLICY_PATCH = 1 << 6,
	POLICY_DENY = 1 << 7,
};
#define POLICY_CAPABILITY_COUNT 8
const char *policy_capability_name(enum policy_capability capability);

struct policy;

/*
 * Parses HCL or JSON, either also as standard base64. LEASED_EINVAL: err's text starts with
 * "line:column: " and says what is wrong; LEASED_ETOOBIG. The caller frees. policy_parse_at() is
 * for a text that is a part of a file: line and column (from 1) are those of its first byte there.
 */
int policy_parse(const char *text, size_t len, struct policy **ret_policy,
    struct leased_err *err) LEASED_MUST_CHECK;
int policy_parse_at(const char *text, size_t len, unsigned line, unsigned column,
    struct policy **ret_policy, struct leased_err *err) LEASED_MUST_CHECK;
void policy_free(struct policy *policy); /* NULL is fine */

/*
 * policy_parse_at() for who writes one: each mistake that can be told apart is handed over, in
 * order, as "line:column: text". LEASED_EINVAL: there was one; LEASED_ENOMEM with err.
 */
typedef void (*policy_mistake)(void *arg, const char *text);
int policy_check_at(const char *text, size_t len, unsigned line, unsigned column,
    policy_mistake on_mistake, void *arg, struct leased_err *err) LEASED_MUST_CHECK;

/* The text as it came, base64 taken off; NUL-terminated, borrowed. This is what is stored and read
 * back. */
const char *policy_text(const struct policy *policy);
size_t policy_rule_count(const struct policy *policy);

struct policy_acl;

/* Merges; the policies are borrowed for the call only, NULL entries are skipped. No policy at all
 * denies everything. NULL: out of memory. */
struct policy_acl *policy_acl_new(const struct policy *const *policies, size_t count);
/* May do everything. NULL: out of memory. */
struct policy_acl *policy_acl_new_root(void);
void policy_acl_free(struct policy_acl *acl); /* NULL is fine */
bool policy_acl_is_root(const struct policy_acl *acl);

/* What one rule said about one request. */
struct policy_decision {
	bool allowed;
	bool root;
	bool denied;      /* the rule says deny */
	bool has_sudo;    /* the caller holds sudo on this path, asked for or not */
	unsigned missing; /* set of policy_capability, 0 when allowed */
	const char
	    *rule; /* path of the rule that decided, borrowed from acl; NULL: no rule matches */
};

/*
 * path: canonical, without "/v1/"; a leading '/' is skipped. need: the set of capabilities asked
 * for, mostly one. POLICY_LIST in it gives the path the list treatment: hand it over with its
 * trailing '/'. Where policy_path_needs_sudo() is true, POLICY_SUDO is added by itself.
 */
struct policy_decision policy_acl_decide(
    const struct policy_acl *acl, const char *path, unsigned need);
bool policy_acl_allows(const struct policy_acl *acl, const char *path, unsigned need);

/* For the caller's own request: `permission denied: path "x" needs capability "update"`, or that a
 * rule denies it. Cut visibly when it does not fit; control bytes never come out. */
void policy_denial_text(
    const struct policy_decision *decision, const char *path, char *ret_text, size_t size);

/* The names for capabilities-self, in API order, literals: "root" alone, "deny" alone, or what the
 * deciding rule gives. Returns their count, at least 1. */
size_t policy_acl_capabilities(
    const struct policy_acl *acl, const char *path, const char *ret_names[POLICY_CAPABILITY_COUNT]);

/* May acl do anything at all at prefix ("database/") or below it? For internal/ui/mounts. */
bool policy_acl_any_below(const struct policy_acl *acl, const char *prefix);

/* Paths that need sudo beside the operation's capability (contract 3.7). */
bool policy_path_needs_sudo(const char *path);

/*
 * A policy's name: trimmed, lower case, into ret_name. LEASED_EINVAL: empty, too long, a character
 * outside [a-z0-9_.:@+/-] (so that no look-alike can be made), or reserved: any spelling of root,
 * response-wrapping. Who may hold root asks policy_name_is_root() first, of the text exactly as it
 * came.
 */
#define POLICY_NAME_SIZE 129
int policy_name_normalize(
    const char *name, char ret_name[POLICY_NAME_SIZE], struct leased_err *err) LEASED_MUST_CHECK;
bool policy_name_is_root(const char *name); /* byte for byte "root" */

/* The policy `default` as it is made at first start. */
extern const char policy_default_text[];

#endif
