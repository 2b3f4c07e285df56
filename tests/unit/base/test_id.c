/*
 * Identifiers and passwords: alphabets, uniformity, repeatability, and numbers there and back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <ctype.h>

#include "base/id.h"
#include "support/failalloc.h"

static void
seeded_source_repeats_and_seeds_differ(void **state)
{
	struct id_source_seeded a, b, other;
	char text_a[41], text_b[41], text_other[41];

	(void)state;
	id_source_seeded_init(&a, 7);
	id_source_seeded_init(&b, 7);
	id_source_seeded_init(&other, 8);
	id_base62(&a.source, 40, text_a);
	id_base62(&b.source, 40, text_b);
	id_base62(&other.source, 40, text_other);
	assert_string_equal(text_a, text_b);
	assert_string_not_equal(text_a, text_other);
	id_base62(&a.source, 40, text_a);
	assert_string_not_equal(text_a, text_b);
}

/* Chi-square over size buckets, 100 expected in each; the limit is far beyond chance and far below
 * a modulo bias. */
static void
assert_uniform(const char *text, size_t len, unsigned size)
{
	unsigned counts[256] = {0}, i, used = 0;
	double expected = (double)len / size, sum = 0;

	for (i = 0; i < len; i++)
		counts[(unsigned char)text[i]]++;
	for (i = 0; i < 256; i++) {
		if (counts[i] == 0)
			continue;
		used++;
		sum += ((double)counts[i] - expected) * ((double)counts[i] - expected) / expected;
	}
	assert_int_equal(used, size);
	assert_true(sum < 2.0 * size);
}

static void
alphabets_are_whole_and_uniform(void **state)
{
	static char text[62 * 400 + 1];
	struct id_source_seeded seeded;
	size_t i;

	(void)state;
	id_source_seeded_init(&seeded, 1);
	id_base62(&seeded.source, sizeof(text) - 1, text);
	assert_uniform(text, sizeof(text) - 1, 62);
	id_base36(&seeded.source, 36 * 400, text);
	assert_int_equal(strlen(text), 36 * 400);
	assert_uniform(text, 36 * 400, 36);
	for (i = 0; i < 36 * 400; i++)
		assert_false(isupper((unsigned char)text[i]));
	id_base36(&seeded.source, 0, text);
	assert_string_equal(text, "");
}

static void
system_source_does_not_repeat(void **state)
{
	char a[23], b[23];

	(void)state;
	id_base62(id_source_system(), 22, a);
	id_base62(id_source_system(), 22, b);
	assert_string_not_equal(a, b);
}

static void
uuid_is_of_version_4(void **state)
{
	char text[ID_UUID_SIZE];
	int i;

	(void)state;
	for (i = 0; i < 100; i++) {
		id_uuid(id_source_system(), text);
		assert_int_equal(strlen(text), 36);
		assert_int_equal(text[14], '4');
		assert_non_null(strchr("89ab", text[19]));
		assert_int_equal(strspn(text, "0123456789abcdef-"), 36);
	}
}

static void
number_goes_there_and_back_and_sorts(void **state)
{
	static const int64_t values[] = {
	    0, 1, 61, 62, 3843, INT64_C(4294967296), INT64_C(218340105584895)};
	char text[9], previous[9] = "";
	int64_t value;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		assert_int_equal(id_number_encode(values[i], text), 0);
		assert_int_equal(strlen(text), 8);
		assert_int_equal(id_number_decode(text, &value), 0);
		assert_true(value == values[i]);
		assert_true(strcmp(previous, text) < 0);
		memcpy(previous, text, sizeof(text));
	}
	assert_string_equal(text, "zzzzzzzz");
}

static void
number_that_does_not_fit_is_refused_and_nothing_written(void **state)
{
	char text[9] = "untouch";
	int64_t value = 42;

	(void)state;
	assert_int_equal(id_number_encode(-1, text), LEASED_EINVAL);
	assert_int_equal(id_number_encode(INT64_C(218340105584896), text), LEASED_EINVAL);
	assert_int_equal(id_number_encode(INT64_MAX, text), LEASED_EINVAL);
	assert_string_equal(text, "untouch");
	assert_int_equal(id_number_decode("0000000-", &value), LEASED_EINVAL);
	assert_int_equal(id_number_decode("0000000", &value), LEASED_EINVAL);
	assert_int_equal(id_number_decode("\0\0\0\0\0\0\0", &value), LEASED_EINVAL);
	assert_int_equal(id_number_decode("000 0000", &value), LEASED_EINVAL);
	assert_int_equal(value, 42);
}

static void
password_has_every_class_and_no_hyphen_at_its_ends(void **state)
{
	struct leased_secret *secret;
	const char *text;
	int i;

	(void)state;
	for (i = 0; i < 500; i++) {
		assert_non_null(secret = id_password(id_source_system(), ID_PASSWORD_LEN));
		text = leased_secret_reveal(secret);
		assert_int_equal(strlen(text), ID_PASSWORD_LEN);
		assert_non_null(strpbrk(text, "0123456789"));
		assert_non_null(strpbrk(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"));
		assert_non_null(strpbrk(text, "abcdefghijklmnopqrstuvwxyz"));
		assert_non_null(strchr(text, '-'));
		assert_true(text[0] != '-' && text[ID_PASSWORD_LEN - 1] != '-');
		leased_secret_free(secret);
	}
}

static int
make_password(void *arg)
{
	struct leased_secret *secret = id_password(id_source_system(), 20);

	(void)arg;
	if (secret == NULL)
		return (LEASED_ENOMEM);
	leased_secret_free(secret);
	return (0);
}

static void
password_without_memory_is_null(void **state)
{
	(void)state;
	assert_true(failalloc_each(make_password, NULL) >= 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(seeded_source_repeats_and_seeds_differ),
	    cmocka_unit_test(alphabets_are_whole_and_uniform),
	    cmocka_unit_test(system_source_does_not_repeat),
	    cmocka_unit_test(uuid_is_of_version_4),
	    cmocka_unit_test(number_goes_there_and_back_and_sorts),
	    cmocka_unit_test(number_that_does_not_fit_is_refused_and_nothing_written),
	    cmocka_unit_test(password_has_every_class_and_no_hyphen_at_its_ends),
	    cmocka_unit_test(password_without_memory_is_null),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
