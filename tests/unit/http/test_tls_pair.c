/*
 * Requirements of certificates and keys: which pairs are refused and what is said of them, and how
 * one takes the place of another.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/failalloc.h"
#include "tls_client.h"

#define ASK "GET /v1/sys/health HTTP/1.1\r\nHost: leased\r\n\r\n"

static void
ask(struct edge *edge, struct tls_client *client)
{
	tls_send(edge, client, ASK, strlen(ASK));
}

static void
another_pair_takes_over_and_open_connections_go_on(void **state)
{
	struct edge *edge = *state;
	struct tls_client before, after;

	tls_start(edge, HTTP_TLS_1_3);
	assert_true(tls_connect(edge, &before, 0, NULL));
	assert_string_equal(before.subject, "a");
	tls_pair_write(edge, &(struct tls_pair){.name = "b"});
	assert_true(http_server_replace_tls(
	    edge->server, "127.0.0.1:0", tls_pair_load(edge, "b", HTTP_TLS_1_3)));
	assert_true(tls_connect(edge, &after, 0, NULL));
	assert_string_equal(after.subject, "b");
	ask(edge, &before);
	assert_int_equal(edge_count(tls_read(edge, &before, 1, 1000), "200 OK"), 1);
	ask(edge, &after);
	assert_int_equal(edge_count(tls_read(edge, &after, 1, 1000), "200 OK"), 1);
	assert_false(http_server_replace_tls(
	    edge->server, "127.0.0.1:1", tls_pair_load(edge, "b", HTTP_TLS_1_3)));
	tls_close(&before);
	tls_close(&after);
}

static void
refused(const char *certificate, const char *key, const char *says)
{
	char paths[2][256];
	const struct http_tls_files files = {.certificate = paths[0], .key = paths[1]};
	struct leased_err err = LEASED_ERR_INIT;
	struct http_tls *tls = NULL;

	(void)strlcpy(paths[0], certificate, sizeof(paths[0]));
	(void)strlcpy(paths[1], key, sizeof(paths[1]));
	assert_int_not_equal(http_tls_new(&files, &tls, &err), 0);
	assert_null(tls);
	if (strstr(err.text, says) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", err.text, says);
}

static void
a_bad_pair_is_refused_with_the_file_and_the_reason(void **state)
{
	struct edge *edge = *state;
	FILE *file;

	tls_pair_write(edge, &(struct tls_pair){.name = "a"});
	tls_pair_write(edge, &(struct tls_pair){.name = "b"});
	tls_pair_write(edge, &(struct tls_pair){.name = "p", .passphrase = "secret words"});
	tls_pair_write(edge, &(struct tls_pair){.name = "w", .rsa_bits = 1024});
#define PAIR(a, b) tls_pair_path(edge, a, "crt"), tls_pair_path(edge, b, "key")
	refused(PAIR("a", "b"), "does not belong to");
	refused(PAIR("none", "a"), "none.crt: No such file");
	refused(PAIR("a", "none"), "none.key: No such file");
	refused(PAIR("p", "p"), "has a passphrase");
	refused(PAIR("w", "w"), "too small");
	refused(tls_pair_path(edge, "a", "key"), tls_pair_path(edge, "a", "key"), "no certificate");
	refused(
	    tls_pair_path(edge, "a", "crt"), tls_pair_path(edge, "a", "crt"), "is open to others");
	assert_int_equal(chmod(tls_pair_path(edge, "a", "crt"), 0600), 0);
	refused(tls_pair_path(edge, "a", "crt"), tls_pair_path(edge, "a", "crt"), "no private key");
	refused(edge->directory, edge->directory, "no regular file");
	assert_int_equal(chmod(tls_pair_path(edge, "a", "key"), 0644), 0);
	refused(PAIR("a", "a"), "chmod 0600");
	assert_int_equal(chmod(tls_pair_path(edge, "a", "key"), 0640), 0);
	http_tls_free(tls_pair_load(edge, "a", HTTP_TLS_1_3));
	file = fopen(tls_pair_path(edge, "a", "crt"), "ae");
	assert_non_null(file);
	(void)fputs("-----BEGIN CERTIFICATE-----\nbm8=\n-----END CERTIFICATE-----\n", file);
	(void)fclose(file);
	refused(PAIR("a", "a"), "damaged");
#undef PAIR
}

static void
dates_are_told(void **state)
{
	struct edge *edge = *state;
	struct leased_err err = LEASED_ERR_INIT;
	int64_t now_s = (int64_t)time(NULL);
	struct http_tls *tls;

	tls_pair_write(edge, &(struct tls_pair){.name = "a"});
	tls = tls_pair_load(edge, "a", HTTP_TLS_1_3);
	assert_int_equal(http_tls_check_dates(tls, now_s, &err), 0);
	assert_int_equal(http_tls_check_dates(tls, now_s + 86500, &err), LEASED_EEXPIRED);
	assert_non_null(strstr(err.text, "ended at "));
	assert_int_equal(http_tls_check_dates(tls, now_s - 86500, &err), LEASED_EEXPIRED);
	assert_non_null(strstr(err.text, "not good before "));
	assert_non_null(strstr(http_tls_subject(tls), "CN=a"));
	assert_in_range(http_tls_end_s(tls), now_s + 86000, now_s + 86500);
	assert_true(http_tls_same_certificate(tls, tls));
	assert_false(http_tls_is_slow(tls));
	http_tls_free(tls);
	tls_pair_write(edge, &(struct tls_pair){.name = "r", .rsa_bits = 3072});
	tls = tls_pair_load(edge, "r", HTTP_TLS_1_3);
	assert_true(http_tls_is_slow(tls));
	http_tls_free(tls);
}

static int
load_once(void *arg)
{
	struct edge *edge = arg;
	const struct http_tls_files files = {
	    .certificate = tls_pair_path(edge, "a", "crt"), .key = tls_pair_path(edge, "a", "key")};
	struct leased_err err = LEASED_ERR_INIT;
	struct http_tls *tls = NULL;
	int r = http_tls_new(&files, &tls, &err);

	http_tls_free(tls);
	return (r);
}

static void
memory_that_runs_out_refuses_a_pair_and_breaks_nothing(void **state)
{
	struct edge *edge = *state;

	tls_pair_write(edge, &(struct tls_pair){.name = "a"});
	assert_true(failalloc_each(load_once, edge) >= 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, edge_setup, tls_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(another_pair_takes_over_and_open_connections_go_on),
	    TEST(a_bad_pair_is_refused_with_the_file_and_the_reason),
	    TEST(dates_are_told),
	    TEST(memory_that_runs_out_refuses_a_pair_and_breaks_nothing),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
