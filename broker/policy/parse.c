/*
 * Policy texts to rules: HCL or JSON, plain or as base64 (contract 3.1). What this version cannot
 * obey is refused with its position, never skipped: a constraint that is ignored grants too much.
 * Called by auth/, api/ and main.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hcl.h"
#include "base/jdec.h"
#include "policy/policy_private.h"

#define WRITE_SET (POLICY_CREATE | POLICY_READ | POLICY_UPDATE | POLICY_DELETE | POLICY_LIST)

static const char *const rule_keys[] = {"capabilities", "policy", "comment"};

/* Known elsewhere, not built here yet. */
static const char *const later_keys[] = {"allowed_parameters", "denied_parameters",
    "required_parameters", "min_wrapping_ttl", "max_wrapping_ttl", "mfa_methods", "control_group",
    "pagination_limit", "expiration", "list_scan_response_keys_filter_path",
    "subscribe_event_types"};
static const char *const later_capabilities[] = {"scan", "subscribe", "recover"};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

struct parse {
	const struct hcl_doc *doc;
	struct policy *policy;
	size_t size;               /* of policy->rules */
	policy_mistake on_mistake; /* NULL: the first mistake ends it */
	void *arg;
	size_t mistakes;
};

/* "line:column: text"; key NULL: where object itself began. */
static int refuse(const struct parse *parse, const json_t *object, const char *key,
    struct leased_err *err, const char *fmt, ...) LEASED_PRINTF(5, 6);

static int
refuse(const struct parse *parse, const json_t *object, const char *key, struct leased_err *err,
    const char *fmt, ...)
{
	struct hcl_position at = key != NULL ? hcl_key_position(parse->doc, object, key)
					     : hcl_object_position(parse->doc, object);
	char text[400];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	return (leased_err_set(err, LEASED_EINVAL, "%u:%u: %s", at.line, at.column, text));
}

/* r is what a step gave: a mistake that somebody collects does not end the reading. */
static int
go_on(struct parse *parse, int r, const struct leased_err *err)
{
	if (r != LEASED_EINVAL || parse->on_mistake == NULL)
		return (r);
	parse->on_mistake(parse->arg, err->text);
	parse->mistakes++;
	return (0);
}

static bool
is_in(const char *name, const char *const *table, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(name, table[i]) == 0)
			return (true);
	return (false);
}

static int
refuse_unknown(const struct parse *parse, const json_t *object, const char *key, const char *what,
    const char *name, const char *nearest, struct leased_err *err)
{
	if (nearest == NULL)
		return (refuse(parse, object, key, err, "unknown %s \"%.64s\"", what, name));
	return (refuse(parse, object, key, err, "unknown %s \"%.64s\"; did you mean \"%s\"?", what,
	    name, nearest));
}

static int
add_capability(const struct parse *parse, const json_t *body, const json_t *item, unsigned *set,
    struct leased_err *err)
{
	const char *name = json_string_value(item);
	unsigned capability;

	if (name == NULL)
		return (refuse(parse, body, "capabilities", err,
		    "\"capabilities\" must be a list of strings"));
	if (is_in(name, later_capabilities, COUNT(later_capabilities)))
		return (refuse(parse, body, "capabilities", err,
		    "the capability \"%s\" is not available in this version", name));
	if ((capability = policy_capability_from_name(name)) == 0)
		return (refuse_unknown(parse, body, "capabilities", "capability", name,
		    policy_capability_nearest(name), err));
	*set |= capability;
	return (0);
}

static int
read_capabilities(struct parse *parse, const json_t *body, unsigned *set, struct leased_err *err)
{
	const json_t *value = json_object_get(body, "capabilities");
	int r = 0;

	if (value == NULL || json_is_null(value))
		return (0);
	if (!json_is_array(value))
		return (add_capability(parse, body, value, set, err));
	for (size_t i = 0; r == 0 && i < json_array_size(value); i++)
		r = go_on(
		    parse, add_capability(parse, body, json_array_get(value, i), set, err), err);
	return (r);
}

/* The older form: policy = "write". */
static int
read_legacy(const struct parse *parse, const json_t *body, unsigned *set, struct leased_err *err)
{
	static const struct {
		const char *name;
		unsigned set;
	} levels[] = {
	    {"deny", POLICY_DENY},
	    {"read", POLICY_READ | POLICY_LIST},
	    {"write", WRITE_SET},
	    {"sudo", WRITE_SET | POLICY_SUDO},
	};
	const json_t *value = json_object_get(body, "policy");
	const char *name = json_string_value(value);

	if (value == NULL || json_is_null(value))
		return (0);
	for (size_t i = 0; name != NULL && i < COUNT(levels); i++) {
		if (strcmp(name, levels[i].name) == 0) {
			*set |= levels[i].set;
			return (0);
		}
	}
	return (refuse(parse, body, "policy", err,
	    "\"policy\" must be \"deny\", \"read\", \"write\" or \"sudo\""));
}

static int
check_key(const struct parse *parse, const json_t *body, const char *key, struct leased_err *err)
{
	if (is_in(key, later_keys, COUNT(later_keys)))
		return (refuse(
		    parse, body, key, err, "\"%.64s\" is not available in this version", key));
	if (!is_in(key, rule_keys, COUNT(rule_keys)))
		return (refuse_unknown(parse, body, key, "key", key,
		    jdec_nearest(key, rule_keys, COUNT(rule_keys)), err));
	return (0);
}

static int
check_keys(struct parse *parse, const json_t *body, struct leased_err *err)
{
	const char *key;
	json_t *value;
	int r;

	json_object_foreach((json_t *)(uintptr_t)body, key, value)
	{
		if ((r = go_on(parse, check_key(parse, body, key, err), err)) != 0)
			return (r);
	}
	return (0);
}

/* Is the element at the beginning of text "." or ".."? */
static bool
is_dots(const char *text)
{
	size_t len = strcspn(text, "/");

	return ((len == 1 || len == 2) && strspn(text, ".") >= len);
}

/* What the edge refuses or collapses never comes here. */
static bool
can_match(const char *path)
{
	for (;;) {
		if (*path == '/' || is_dots(path))
			return (false);
		if ((path = strchr(path, '/')) == NULL)
			return (true);
		path++;
	}
}

static int
check_path(const struct parse *parse, const char *path, const json_t *body, struct leased_err *err)
{
	if (path[0] == '\0')
		return (refuse(parse, body, NULL, err, "the path of a rule must not be empty"));
	if (!can_match(path))
		return (refuse(parse, body, NULL, err,
		    "the path \"%.200s\" can never match: no request's path has a \"//\", a "
		    "\".\" or a \"..\" in it",
		    path));
	if (strstr(path, "+*") != NULL)
		return (refuse(parse, body, NULL, err,
		    "the path \"%.200s\" holds \"+*\"; write \"+/*\", or \"*\" alone", path));
	if (strstr(path, "{{") != NULL)
		return (refuse(parse, body, NULL, err,
		    "the path \"%.200s\" holds a template, which is not available in this "
		    "version",
		    path));
	return (0);
}

static int
append_rule(struct parse *parse, const char *path, unsigned capabilities, struct leased_err *err)
{
	struct policy *policy = parse->policy;
	struct policy_rule rule = {.capabilities = capabilities};

	if (policy->count == parse->size) {
		size_t size = parse->size > 0 ? parse->size * 2 : 8;
		struct policy_rule *rules = reallocarray(policy->rules, size, sizeof(rules[0]));

		if (rules == NULL)
			return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
		policy->rules = rules;
		parse->size = size;
	}
	if ((rule.path = strdup(path)) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	policy_rule_compile(&rule);
	policy->rules[policy->count++] = rule;
	return (0);
}

static int
on_path(void *arg, const char *label, const json_t *body, struct leased_err *err)
{
	struct parse *parse = arg;
	const char *path = label[0] == '/' ? label + 1 : label;
	unsigned set = 0;
	int r;

	if ((r = go_on(parse, check_path(parse, path, body, err), err)) != 0 ||
	    (r = check_keys(parse, body, err)) != 0 ||
	    (r = go_on(parse, read_capabilities(parse, body, &set, err), err)) != 0 ||
	    (r = go_on(parse, read_legacy(parse, body, &set, err), err)) != 0)
		return (r);
	return (append_rule(parse, path, (set & POLICY_DENY) != 0 ? POLICY_DENY : set, err));
}

static int
parse_document(struct parse *parse, struct leased_err *err)
{
	static const char *const known[] = {"path", "name"};
	const json_t *root = hcl_root(parse->doc);
	const char *key;
	json_t *value;

	int r;

	json_object_foreach((json_t *)(uintptr_t)root, key, value)
	{
		if (is_in(key, known, COUNT(known)))
			continue;
		r = refuse_unknown(
		    parse, root, key, "key", key, jdec_nearest(key, known, COUNT(known)), err);
		if ((r = go_on(parse, r, err)) != 0)
			return (r);
	}
	return (hcl_blocks(parse->doc, root, "path", on_path, parse, err));
}

static int
base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (c - 'A');
	if (c >= 'a' && c <= 'z')
		return (c - 'a' + 26);
	if (c >= '0' && c <= '9')
		return (c - '0' + 52);
	if (c == '+' || c == '/')
		return (c == '+' ? 62 : 63);
	return (-1);
}

/* Standard base64, line ends allowed, into bytes (len of them are enough); false when text is
 * anything else. */
static bool
base64_decode(const char *text, size_t len, char *bytes, size_t *ret_len)
{
	size_t out = 0, digits = 0, padding = 0;
	unsigned bits = 0;

	for (size_t i = 0; i < len; i++) {
		int value = base64_value(text[i]);

		if (text[i] == '\n' || text[i] == '\r')
			continue;
		if (text[i] == '=')
			padding++;
		if ((value < 0 && text[i] != '=') || (value >= 0 && padding > 0))
			return (false);
		bits = bits << 6 | (value >= 0 ? (unsigned)value : 0);
		if (++digits % 4 == 0) {
			bytes[out++] = (char)(bits >> 16 & 0xff);
			bytes[out++] = (char)(bits >> 8 & 0xff);
			bytes[out++] = (char)(bits & 0xff);
		}
	}
	if (digits == 0 || digits % 4 != 0 || padding > 2)
		return (false);
	*ret_len = out - padding;
	return (true);
}

/* A copy of text with base64 taken off, NUL-terminated. */
static char *
plain_text(const char *text, size_t len, size_t *ret_len)
{
	char *plain = malloc(len + 1);

	if (plain == NULL)
		return (NULL);
	if (!base64_decode(text, len, plain, ret_len)) {
		memcpy(plain, text, len);
		*ret_len = len;
	}
	plain[*ret_len] = '\0';
	return (plain);
}

static int
parse_text(struct parse *parse, const char *text, size_t len, struct hcl_position at,
    struct policy **ret_policy, struct leased_err *err)
{
	struct policy *policy = calloc(1, sizeof(*policy));
	struct hcl_doc *doc = NULL;
	size_t plain_len = 0;
	int r;

	parse->policy = policy;
	if (policy == NULL || (policy->text = plain_text(text, len, &plain_len)) == NULL) {
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
		goto out;
	}
	if ((r = hcl_parse_at(policy->text, plain_len, at.line, at.column, &doc, err)) != 0)
		goto out;
	parse->doc = doc;
	if ((r = parse_document(parse, err)) != 0)
		goto out;
	*ret_policy = policy;
	policy = NULL;
out:
	hcl_free(doc);
	policy_free(policy);
	return (r);
}

int
policy_parse_at(const char *text, size_t len, unsigned line, unsigned column,
    struct policy **ret_policy, struct leased_err *err)
{
	struct parse parse = {.policy = NULL};

	return (parse_text(&parse, text, len, (struct hcl_position){.line = line, .column = column},
	    ret_policy, err));
}

int
policy_check_at(const char *text, size_t len, unsigned line, unsigned column,
    policy_mistake on_mistake, void *arg, struct leased_err *err)
{
	struct parse parse = {.on_mistake = on_mistake, .arg = arg};
	struct leased_err why = LEASED_ERR_INIT;
	struct policy *policy = NULL;
	int r;

	r = parse_text(&parse, text, len, (struct hcl_position){.line = line, .column = column},
	    &policy, &why);
	policy_free(policy);
	if (r != 0 && r != LEASED_ENOMEM) {
		/* Of the grammar or the shape: nothing behind it is known for certain. */
		on_mistake(arg, why.text);
		parse.mistakes++;
	}
	if (r == LEASED_ENOMEM)
		return (leased_err_set(err, r, "%s", why.text));
	return (parse.mistakes == 0 ? 0
				    : leased_err_set(err, LEASED_EINVAL, "%zu mistake%s",
					  parse.mistakes, parse.mistakes == 1 ? "" : "s"));
}

int
policy_parse(const char *text, size_t len, struct policy **ret_policy, struct leased_err *err)
{
	return (policy_parse_at(text, len, 1, 1, ret_policy, err));
}

void
policy_free(struct policy *policy)
{
	if (policy == NULL)
		return;
	for (size_t i = 0; i < policy->count; i++)
		free(policy->rules[i].path);
	free(policy->rules);
	free(policy->text);
	free(policy);
}

const char *
policy_text(const struct policy *policy)
{
	return (policy->text);
}

size_t
policy_rule_count(const struct policy *policy)
{
	return (policy->count);
}
