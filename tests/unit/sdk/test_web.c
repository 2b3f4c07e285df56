/* The HTTP client of plugins: which servers it takes. What it does to one is tested with servers,
 * in tests/conformance. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sdk/web.h"

static int
web_of(const char *url, bool plain, const char *ca_cert, struct leased_err *err)
{
	const struct sdk_web_config config = {
	    .base_url = url, .ca_cert = ca_cert, .allow_plain_http = plain};
	struct sdk_web *web = NULL;
	int r = sdk_web_new(&config, &web, err);

	sdk_web_free(web);
	return (r);
}

static void
credentials_go_by_https_or_to_this_machine(void **state)
{
	static const char *const taken[] = {"https://api.example", "https://api.example:8443/v1/",
	    "https://10.0.0.1", "https://[2001:db8::1]:1"};
	static const char *const local[] = {
	    "http://127.0.0.1:2379", "http://localhost", "http://[::1]:80", "http://127.9.9.9/x"};
	static const char *const never[] = {"http://api.example", "http://10.0.0.1",
	    "http://127.0.0.1.example", "http://localhost.example", "http://[::2]",
	    "http://128.0.0.1"};
	struct leased_err err = LEASED_ERR_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
		assert_int_equal(web_of(taken[i], false, NULL, &err), 0);
	for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++) {
		assert_int_equal(web_of(local[i], true, NULL, &err), 0);
		assert_int_equal(web_of(local[i], false, NULL, &err), LEASED_EINVAL);
		assert_non_null(strstr(err.text, "allow_plain_http"));
	}
	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		assert_int_equal(web_of(never[i], true, NULL, &err), LEASED_EINVAL);
}

static void
a_base_url_is_scheme_host_port_and_path(void **state)
{
	static const char *const wrong[] = {"", "api.example", "ftp://api.example",
	    "file:///etc/passwd", "gopher://127.0.0.1", "https://", "https:///x",
	    "https://user@api.example", "https://user:s3cret@api.example",
	    "https://api.example/?a=b", "https://api.example/#x", "https://api.example:0x1",
	    "https://api.example:99999", "https://api .example", "https://api.example\r\nX: y",
	    "https://a\\b"};
	struct leased_err err = LEASED_ERR_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		if (web_of(wrong[i], true, NULL, &err) != LEASED_EINVAL)
			fail_msg("taken: %s", wrong[i]);
		assert_null(strstr(err.text, "s3cret"));
	}
}

static void
an_authority_is_pem_or_a_path(void **state)
{
	struct leased_err err = LEASED_ERR_INIT;

	(void)state;
	assert_int_equal(web_of("https://a", false, "/etc/ssl/ca.pem", &err), 0);
	assert_int_equal(web_of("https://a", false, "-----BEGIN CERTIFICATE-----\nx\n", &err), 0);
	assert_int_equal(web_of("https://a", false, "", &err), 0);
	assert_int_equal(web_of("https://a", false, "ca.pem", &err), LEASED_EINVAL);
}

static void
its_parts_are_told_apart(void **state)
{
	const struct sdk_web_config config = {.base_url = "https://Api.Example/v1"};
	struct leased_err err = LEASED_ERR_INIT;
	struct sdk_web *web = NULL;

	(void)state;
	assert_int_equal(sdk_web_new(&config, &web, &err), 0);
	assert_string_equal(sdk_web_scheme(web), "https");
	assert_string_equal(sdk_web_port(web), "443");
	assert_int_equal(strcasecmp(sdk_web_host(web), "api.example"), 0);
	sdk_web_free(web);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(credentials_go_by_https_or_to_this_machine),
	    cmocka_unit_test(a_base_url_is_scheme_host_port_and_path),
	    cmocka_unit_test(an_authority_is_pem_or_a_path),
	    cmocka_unit_test(its_parts_are_told_apart),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
