/*
 * What a worker may say of a description, an open and a mint: each limit of PROTOCOL.md, from both
 * sides.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plugin/reply.h"

#define DESCRIBED                                                                                  \
	"'name':'x','name_max':63,'name_alphabet':'a-z','native_expiry':true,"                     \
	"'default_statements':true,'ops':['ping'],'role_fields':['a'],'config_fields':[],"         \
	"'protocol':1"

struct reply_case {
	enum plugin_op op;
	const char *members; /* of the result; ' stands for " */
	bool good;
};

static const struct reply_case cases[] = {
    {PLUGIN_OP_DESCRIBE, DESCRIBED ",'dialect':'text'", true},
    {PLUGIN_OP_DESCRIBE, DESCRIBED ",'dialect':'oracle'", false},
    {PLUGIN_OP_DESCRIBE, DESCRIBED ",'dialect':'none','role_needs':['a']", true},
    {PLUGIN_OP_DESCRIBE, DESCRIBED ",'dialect':'none','role_needs':'a'", false},
    {PLUGIN_OP_DESCRIBE, DESCRIBED ",'dialect':'none','role_needs':[7]", false},
    {PLUGIN_OP_OPEN, "'server':'s'", true},
    {PLUGIN_OP_OPEN,
	"'server':'s','native_expiry':false,'password':false,'volatile':true,'warnings':['w']",
	true},
    {PLUGIN_OP_OPEN, "'server':'s','native_expiry':1", false},
    {PLUGIN_OP_OPEN, "'server':'s','password':'no'", false},
    {PLUGIN_OP_OPEN, "'server':'s','volatile':null", false},
    {PLUGIN_OP_OPEN, "'server':'s','warnings':'w'", false},
    {PLUGIN_OP_OPEN, "'server':'s','warnings':['']", false},
    {PLUGIN_OP_OPEN, "'server':'s','warnings':[7]", false},
    {PLUGIN_OP_OPEN, "'server':'s','warnings':['1','2','3','4','5','6','7','8']", true},
    {PLUGIN_OP_OPEN, "'server':'s','warnings':['1','2','3','4','5','6','7','8','9']", false},
    {PLUGIN_OP_MINT, "'handle':'1'", true},
    {PLUGIN_OP_MINT, "'values':{}", true},
    {PLUGIN_OP_MINT, "'values':{'token_1':'','url':'x'},'kept':'k'", true},
    {PLUGIN_OP_MINT, "'values':[]", false},
    {PLUGIN_OP_MINT, "'values':{'a':7}", false},
    {PLUGIN_OP_MINT, "'values':{'':'x'}", false},
    {PLUGIN_OP_MINT, "'values':{'A':'x'}", false},
    {PLUGIN_OP_MINT, "'values':{'a b':'x'}", false},
    {PLUGIN_OP_MINT, "'kept':''", false},
    {PLUGIN_OP_MINT, "'kept':{}", false},
    {PLUGIN_OP_SET_PASSWORD, "'handle':'1'", true},
    {PLUGIN_OP_RENEW, "", true},
    {PLUGIN_OP_RENEW, "'kept':'k'", true},
    {PLUGIN_OP_RENEW, "'kept':''", false},
    {PLUGIN_OP_RENEW, "'kept':7", false},
    {PLUGIN_OP_RENEW, "'handle':'1'", false},
    {PLUGIN_OP_INVENTORY, "'accounts':[{'name':'a','armed':true,'partial':true}],'more':false",
	true},
    {PLUGIN_OP_INVENTORY, "'accounts':[{'name':'a','armed':true,'partial':1}],'more':false", false},
};

static json_t *
message_of(enum plugin_op op, const char *members)
{
	char text[65536], *c;
	json_t *message;

	snprintf(text, sizeof(text), "{'v':1,'id':7,'op':'%s','ok':true,'result':{%s}}",
	    plugin_op_name(op), members);
	for (c = text; *c != '\0'; c++)
		if (*c == '\'')
			*c = '"';
	if ((message = json_loads(text, JSON_REJECT_DUPLICATES, NULL)) == NULL)
		fail_msg("%s", text);
	return (message);
}

static bool
is_taken(enum plugin_op op, const char *members)
{
	const struct reply_expected expected = {.id = 7, .op = op};
	struct leased_err err = LEASED_ERR_INIT;
	json_t *message = message_of(op, members);
	struct reply reply = {0};
	int r = plugin_reply_read(message, &expected, &reply, &err);

	json_decref(message);
	assert_true(r == 0 || (r == LEASED_EPROTO && err.text[0] != '\0'));
	return (r == 0);
}

static void
each_shape_is_taken_or_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (is_taken(cases[i].op, cases[i].members) != cases[i].good)
			fail_msg("%s: %s", plugin_op_name(cases[i].op), cases[i].members);
}

static void
lengths_are_bounded(void **state)
{
	static const struct {
		enum plugin_op op;
		const char *before, *behind;
		size_t most;
	} rows[] = {
	    {PLUGIN_OP_OPEN, "'server':'s','warnings':['", "']", 511},
	    {PLUGIN_OP_MINT, "'kept':'", "'", 4096},
	    {PLUGIN_OP_RENEW, "'kept':'", "'", 4096},
	    {PLUGIN_OP_MINT, "'values':{'", "':''}", 64},
	    {PLUGIN_OP_MINT, "'values':{'a':'x','b':'", "'}", 16384 - 3},
	};
	char members[32768];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (size_t more = 0; more < 2; more++) {
			size_t before = strlen(rows[i].before), len = rows[i].most + more;

			memcpy(members, rows[i].before, before);
			memset(members + before, 'x', len);
			memcpy(members + before + len, rows[i].behind, strlen(rows[i].behind) + 1);
			if (is_taken(rows[i].op, members) != (more == 0))
				fail_msg("row %zu with %zu bytes", i, len);
		}
}

static void
values_are_at_most_sixteen(void **state)
{
	char members[512] = "'values':{'v0':''";

	(void)state;
	for (unsigned i = 1; i < 17; i++) {
		snprintf(members + strlen(members), 32, ",'v%u':''}", i);
		assert_int_equal(is_taken(PLUGIN_OP_MINT, members), i < 16);
		members[strlen(members) - 1] = '\0';
	}
}

/* A value of a mint is a secret: where it breaks the protocol, the reason does not repeat it. */
static void
reason_repeats_nothing(void **state)
{
	const struct reply_expected expected = {.id = 7, .op = PLUGIN_OP_MINT};
	struct leased_err err = LEASED_ERR_INIT;
	json_t *message = message_of(PLUGIN_OP_MINT, "'values':{'Canary':'canary-value'}");
	struct reply reply = {0};

	(void)state;
	assert_int_equal(plugin_reply_read(message, &expected, &reply, &err), LEASED_EPROTO);
	assert_null(strstr(err.text, "anary"));
	json_decref(message);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_shape_is_taken_or_refused),
	    cmocka_unit_test(lengths_are_bounded),
	    cmocka_unit_test(values_are_at_most_sixteen),
	    cmocka_unit_test(reason_repeats_nothing),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
