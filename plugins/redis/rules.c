/*
 * Reads ACL rules, strictly: only words that give and take commands, keys and channels. Commands
 * and categories themselves are the server's to know. Called by mint and renew.
 */
#include "rules.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "base/jdec.h"

/* Words without a value, in any case. */
static const char *const words[] = {"allcommands", "nocommands", "allkeys", "resetkeys",
    "allchannels", "resetchannels", "clearselectors", "sanitize-payload", "skip-sanitize-payload"};
static const char *const own_words[] = {"on", "off", "nopass", "reset", "resetpass"};

static bool
is_one_of(const char *word, size_t len, const char *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strlen(list[i]) == len && strncasecmp(word, list[i], len) == 0)
			return (true);
	return (false);
}

static bool
has_blanks(const char *word, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)word[i] <= ' ' || word[i] == 0x7f)
			return (true);
	return (false);
}

/* +get, -@dangerous, +config|get */
static bool
is_command(const char *word, size_t len)
{
	size_t i = 1;

	if (word[0] != '+' && word[0] != '-')
		return (false);
	if (i < len && word[i] == '@')
		i++;
	if (i == len)
		return (false);
	for (; i < len; i++)
		if (!((word[i] >= 'a' && word[i] <= 'z') || (word[i] >= 'A' && word[i] <= 'Z') ||
			(word[i] >= '0' && word[i] <= '9') ||
			(word[i] != '\0' && strchr("|_.-", word[i]) != NULL)))
			return (false);
	return (true);
}

/* ~pattern, %R~pattern, %RW~pattern, &pattern */
static bool
is_pattern(const char *word, size_t len)
{
	size_t i = 1;

	if (len >= 2 && (word[0] == '~' || word[0] == '&'))
		return (true);
	if (word[0] != '%')
		return (false);
	while (i < len && strchr("RWrw", word[i]) != NULL && word[i] != '\0')
		i++;
	return (i > 1 && i <= 3 && i + 1 < len && word[i] == '~');
}

static int
refuse(const char *rule, const char *why, struct leased_err *err)
{
	return (leased_err_set(
	    err, LEASED_EINVAL, "creation_statements: the rule \"%.100s\" %s", rule, why));
}

/* What stands in it of a password is not shown. */
static int
refuse_own(struct leased_err *err)
{
	return (leased_err_set(err, LEASED_EINVAL,
	    "creation_statements: on, off, nopass, reset, resetpass and what begins with > < # ! "
	    "are not a role's to say: leased makes the password and decides who may log in"));
}

static int
check_word(const char *rule, const char *word, size_t len, struct leased_err *err)
{
	if (len == 0 || has_blanks(word, len))
		return (refuse(rule, "has a blank or a control character in it", err));
	if (strchr("><#!", word[0]) != NULL ||
	    is_one_of(word, len, own_words, sizeof(own_words) / sizeof(own_words[0])))
		return (refuse_own(err));
	if (is_command(word, len) || is_pattern(word, len) ||
	    is_one_of(word, len, words, sizeof(words) / sizeof(words[0])))
		return (0);
	return (refuse(rule,
	    "is none that ACL SETUSER has: rules look like +get, -@dangerous, ~app:*, %R~app:*, "
	    "&news:*, allkeys, (+get ~other:*)",
	    err));
}

/* (+get ~other:*): words with single blanks between. */
static int
check_selector(const char *rule, size_t len, struct leased_err *err)
{
	const char *word = rule + 1, *end = rule + len - 1, *next;
	int r = 0;

	if (len < 3 || *end != ')')
		return (refuse(rule, "begins with ( and does not end with )", err));
	for (; r == 0 && word <= end; word = next + 1) {
		if ((next = memchr(word, ' ', (size_t)(end - word))) == NULL)
			next = end;
		if (memchr(word, '(', (size_t)(next - word)) != NULL ||
		    memchr(word, ')', (size_t)(next - word)) != NULL)
			return (refuse(rule, "has more than one pair of ( )", err));
		r = check_word(rule, word, (size_t)(next - word), err);
	}
	return (r);
}

static int
check_rule(const json_t *value, struct leased_err *err)
{
	const char *rule = json_string_value(value);
	size_t len = json_string_length(value);

	if (rule == NULL)
		return (leased_err_set(err, LEASED_EINVAL,
		    "creation_statements: the array of rules holds something that is no text"));
	if (len == 0 || len > REDIS_RULE_LEN_MAX || strlen(rule) != len)
		return (leased_err_set(err, LEASED_EINVAL,
		    "creation_statements: a rule is empty or longer than %d bytes",
		    REDIS_RULE_LEN_MAX));
	return (rule[0] == '(' ? check_selector(rule, len, err) : check_word(rule, rule, len, err));
}

static int
parse(const char *text, size_t len, json_t **ret_rules, struct leased_err *err)
{
	static const struct jdec_limits limits = {
	    .depth = 4, .tokens = REDIS_RULES_MAX * 4, .string_len = REDIS_RULE_LEN_MAX};
	struct leased_err why = LEASED_ERR_INIT;
	json_t *rules = NULL;
	int r;

	if ((r = jdec_parse(text, len, &limits, &rules, &why)) == LEASED_ENOMEM)
		return (leased_err_set(err, r, "out of memory"));
	if (r == 0 && json_is_array(rules)) {
		*ret_rules = rules;
		return (0);
	}
	json_decref(rules);
	return (leased_err_set(err, LEASED_EINVAL,
	    "creation_statements: must be one text that is a JSON array of ACL rules, such as "
	    "[\"~app:*\", \"+@read\"]%s%.100s",
	    r != 0 ? ": " : "", r != 0 ? why.text : ""));
}

int
redis_rules_read(const json_t *statements, json_t **ret_rules, struct leased_err *err)
{
	const json_t *text = json_array_get(statements, 0), *rule;
	json_t *rules = NULL;
	size_t i;
	int r = 0;

	if (statements != NULL && !json_is_null(statements) && !json_is_array(statements))
		return (leased_err_set(
		    err, LEASED_EINVAL, "creation_statements: must be a list of one text"));
	if (json_array_size(statements) > 1)
		return (leased_err_set(err, LEASED_EINVAL,
		    "creation_statements: has %zu texts; it takes one, with all rules in it",
		    json_array_size(statements)));
	if (text == NULL) {
		if ((*ret_rules = json_array()) == NULL)
			return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
		return (0);
	}
	if (!json_is_string(text))
		return (leased_err_set(
		    err, LEASED_EINVAL, "creation_statements: its one element must be a text"));
	if ((r = parse(json_string_value(text), json_string_length(text), &rules, err)) != 0)
		return (r);
	if (json_array_size(rules) > REDIS_RULES_MAX)
		r = leased_err_set(
		    err, LEASED_EINVAL, "creation_statements: more than %d rules", REDIS_RULES_MAX);
	json_array_foreach(rules, i, rule) if (r == 0) r = check_rule(rule, err);
	if (r != 0) {
		json_decref(rules);
		return (r);
	}
	*ret_rules = rules;
	return (0);
}
