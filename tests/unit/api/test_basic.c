/*
 * A token by HTTP Basic: where a path takes it, and nowhere else.
 */
#include <openssl/evp.h>

#include "api/parse.h"
#include "unit/api/edge.h"

static void
decoded(const char *header, const char *want)
{
	char *token = NULL;

	assert_true(api_basic_decode(header, &token));
	assert_string_equal(token, want);
	free(token);
}

static void
the_password_is_the_token_and_all_else_is_nobody(void **state)
{
	static const char nobody[] = "(nothing that HTTP Basic could carry)";
	char *token = NULL, large[2048];

	(void)state;
	decoded("Basic YTpi", "b");       /* a:b */
	decoded("bAsIc OmI=", "b");       /* :b */
	decoded("Basic YTpiOmM=", "b:c"); /* a:b:c */
	decoded("Basic YQ==", nobody);    /* a */
	decoded("Basic YTo=", nobody);    /* a: */
	decoded("Basic YTpi=", nobody);
	decoded("Basic YTp", nobody);
	decoded("Basic YT=i", nobody);
	decoded("Basic  YTpi", nobody);
	decoded("Basic YTpiAGM=", nobody); /* a NUL in it */
	decoded("Basic ====", nobody);
	decoded("Basic ", nobody);
	assert_false(api_basic_decode("Bearer YTpi", &token));
	assert_false(api_basic_decode("Basic", &token));
	memset(large, 'A', sizeof(large));
	memcpy(large, "Basic ", 6);
	large[sizeof(large) - 1] = '\0';
	decoded(large, nobody);
}

static int
asked(struct edge *edge, const char *path, const char *user_and_token, bool tcp)
{
	char encoded[512], header[sizeof(encoded) + 8];
	struct ask ask = {.method = HTTP_POST,
	    .path = path,
	    .body = "{}",
	    .tcp = tcp,
	    .header = "Authorization",
	    .header_value = header};
	struct answer answer;
	int status;

	EVP_EncodeBlock((unsigned char *)encoded, (const unsigned char *)user_and_token,
	    (int)strlen(user_and_token));
	(void)snprintf(header, sizeof(header), "Basic %s", encoded);
	answer = edge_ask(edge, &ask);
	status = answer.status;
	answer_clear(&answer);
	return (status);
}

static void
only_the_paths_of_oauth_take_it(void **state)
{
	struct edge *edge = *state;
	struct auth_token_params params = {0};
	struct token_answer root = make_with(edge->fix, NULL, true, &params, "root");
	char text[300];

	(void)snprintf(text, sizeof(text), "apache:%s", root.text);
	fake_engine.reply.data = json_pack("{s:b}", "active", 0);
	fake_engine.reply.raw = true;
	assert_int_equal(asked(edge, "/v1/database/introspect", text, true), 200);
	assert_int_equal(asked(edge, "/v1/database/other", text, true), 403);
	assert_int_equal(asked(edge, "/v1/database/introspect", "apache:wrong", true), 403);
	/* Who says something wrong of himself is not taken for the peer that he is, too. */
	assert_int_equal(asked(edge, "/v1/database/introspect", "apache:wrong", false), 403);
	assert_int_equal(asked(edge, "/v1/database/introspect", "apache", false), 403);
	json_decref(fake_engine.reply.data);
	fake_engine.reply = (struct engine_reply){0};
	token_answer_clear(&root);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_password_is_the_token_and_all_else_is_nobody),
	    cmocka_unit_test_setup_teardown(
		only_the_paths_of_oauth_take_it, edge_setup, edge_teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
