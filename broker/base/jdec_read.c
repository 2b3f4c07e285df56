/*
 * Strict JSON from outside, read in one pass into json_t's: limits are counted as they are met, so
 * that what is refused has cost no more than it was allowed. Strict is RFC 8259 with UTF-8, no NUL,
 * no key twice, and integers of 64 bits. (jansson's own reader takes each byte through four calls:
 * 7 ns a blank, 15 a letter.) It does not know what an object should hold. Called by jdec.c.
 */
#include <string.h>

#include "base/jdec.h"
#include "base/jdec_private.h"

/* A number longer than this is no number that anybody means; long ones are slow to convert. */
#define NUMBER_LEN_MAX 128

static bool read_value(struct jdec_reader *in, json_t **ret_value);

/* ---- refusals: all are false, and leave at where the mistake is ---- */

bool
jdec_refuse(struct jdec_reader *in, int code, const char *text)
{
	(void)leased_err_set(in->err, code, "%s", text);
	return (false);
}

bool
jdec_refuse_here(struct jdec_reader *in)
{
	return (jdec_refuse(
	    in, LEASED_EINVAL, in->at == in->end ? "the JSON ends too early" : "not valid JSON"));
}

bool
jdec_refuse_memory(struct jdec_reader *in)
{
	return (jdec_refuse(in, LEASED_ENOMEM, "out of memory"));
}

static bool
count_token(struct jdec_reader *in)
{
	if (++in->tokens <= in->limits->tokens)
		return (true);
	(void)leased_err_set(in->err, LEASED_ETOOBIG, "the JSON has more than %u values and keys",
	    in->limits->tokens);
	return (false);
}

static bool
take(struct jdec_reader *in, uint8_t byte)
{
	if (in->at == in->end || *in->at != byte)
		return (false);
	in->at++;
	return (true);
}

static void
skip_blanks(struct jdec_reader *in)
{
	in->at += jdec_blanks(in->at, (size_t)(in->end - in->at));
}

/* What a constructor gave. */
static bool
made(struct jdec_reader *in, json_t *value, json_t **ret_value)
{
	if (value == NULL)
		return (jdec_refuse_memory(in));
	*ret_value = value;
	return (true);
}

static bool
read_string(struct jdec_reader *in, json_t **ret_value)
{
	struct jdec_text text;
	json_t *value;

	in->at++;
	if (!jdec_text_read(in, &text))
		return (false);
	value = json_stringn_nocheck(text.bytes, text.len);
	jdec_text_clear(&text);
	return (made(in, value, ret_value));
}

/* ---- numbers and words ---- */

static size_t
digits(const uint8_t *at, const uint8_t *end)
{
	const uint8_t *start = at;

	while (at != end && *at >= '0' && *at <= '9')
		at++;
	return ((size_t)(at - start));
}

static bool
refuse_range(struct jdec_reader *in, const uint8_t *start)
{
	in->at = start;
	return (jdec_refuse(in, LEASED_EINVAL, "a JSON number is out of range"));
}

/* Its text is JSON by now; jansson knows how to convert it whatever the locale. */
static bool
read_real(struct jdec_reader *in, const uint8_t *start, json_t **ret_value)
{
	unsigned long failures = leased_secret_alloc_failures();
	json_t *value =
	    json_loadb((const char *)start, (size_t)(in->at - start), JSON_DECODE_ANY, NULL);

	if (leased_secret_alloc_failures() != failures) {
		json_decref(value);
		return (jdec_refuse_memory(in));
	}
	if (value == NULL)
		return (refuse_range(in, start));
	*ret_value = value;
	return (true);
}

static bool
read_integer(struct jdec_reader *in, const uint8_t *start, const uint8_t *from, json_t **ret_value)
{
	bool negative = from != start;
	uint64_t number = 0, most = (uint64_t)INT64_MAX + negative;

	for (const uint8_t *at = from; at != in->at; at++) {
		uint64_t digit = (uint64_t)(*at - '0');

		if (number > (most - digit) / 10)
			return (refuse_range(in, start));
		number = number * 10 + digit;
	}
	return (made(
	    in, json_integer(negative ? (json_int_t)(0 - number) : (json_int_t)number), ret_value));
}

static bool
read_number(struct jdec_reader *in, json_t **ret_value)
{
	const uint8_t *start = in->at, *from;
	size_t whole;
	bool real = false;

	(void)take(in, '-');
	from = in->at;
	whole = digits(from, in->end);
	in->at += whole;
	if (whole == 0)
		return (jdec_refuse_here(in));
	if (whole > 1 && *from == '0') {
		in->at = from + 1;
		return (jdec_refuse_here(in));
	}
	if (take(in, '.')) {
		real = true;
		if ((whole = digits(in->at, in->end)) == 0)
			return (jdec_refuse_here(in));
		in->at += whole;
	}
	if (in->at != in->end && (*in->at | 0x20) == 'e') {
		real = true;
		in->at++;
		if (!take(in, '+'))
			(void)take(in, '-');
		if ((whole = digits(in->at, in->end)) == 0)
			return (jdec_refuse_here(in));
		in->at += whole;
	}
	if (in->at - start > NUMBER_LEN_MAX) {
		in->at = start;
		(void)leased_err_set(in->err, LEASED_ETOOBIG,
		    "a JSON number is longer than %d digits", NUMBER_LEN_MAX);
		return (false);
	}
	return (real ? read_real(in, start, ret_value) : read_integer(in, start, from, ret_value));
}

static bool
read_word(struct jdec_reader *in, const char *word, json_t *value, json_t **ret_value)
{
	for (; *word != '\0'; word++)
		if (!take(in, (uint8_t)*word))
			return (jdec_refuse_here(in));
	*ret_value = value;
	return (true);
}

/* ---- arrays and objects ---- */

static bool
enter(struct jdec_reader *in)
{
	if (++in->depth > in->limits->depth) {
		(void)leased_err_set(in->err, LEASED_ETOOBIG,
		    "the JSON is nested more than %u deep", in->limits->depth);
		return (false);
	}
	in->at++;
	skip_blanks(in);
	return (true);
}

/* Behind a value: *ret_more, is there another, or was this the last? */
static bool
read_separator(struct jdec_reader *in, uint8_t close, bool *ret_more)
{
	skip_blanks(in);
	*ret_more = take(in, ',');
	if (*ret_more)
		skip_blanks(in);
	else if (!take(in, close))
		return (jdec_refuse_here(in));
	return (true);
}

static bool
read_item(struct jdec_reader *in, json_t *array)
{
	json_t *value;

	if (!read_value(in, &value))
		return (false);
	if (json_array_append_new(array, value) != 0)
		return (jdec_refuse_memory(in));
	return (true);
}

static bool
read_member(struct jdec_reader *in, json_t *object)
{
	struct jdec_text key;
	json_t *value;
	bool good = false;

	if (!take(in, '"'))
		return (jdec_refuse_here(in));
	if (!count_token(in) || !jdec_text_read(in, &key))
		return (false);
	skip_blanks(in);
	if (json_object_getn(object, key.bytes, key.len) != NULL) {
		(void)jdec_refuse(in, LEASED_EINVAL, "a key stands twice in one JSON object");
	} else if (!take(in, ':')) {
		(void)jdec_refuse_here(in);
	} else {
		skip_blanks(in);
		if (read_value(in, &value))
			good =
			    json_object_setn_new_nocheck(object, key.bytes, key.len, value) == 0 ||
			    jdec_refuse_memory(in);
	}
	jdec_text_clear(&key);
	return (good);
}

/* An array or an object, which is made empty. */
static bool
read_many(struct jdec_reader *in, json_t *many, uint8_t close,
    bool (*read_one)(struct jdec_reader *in, json_t *many), json_t **ret_value)
{
	bool more = true, good;

	if (many == NULL)
		return (jdec_refuse_memory(in));
	good = enter(in);
	if (good && !take(in, close))
		while (good && more)
			good = read_one(in, many) && read_separator(in, close, &more);
	if (!good) {
		json_decref(many);
		return (false);
	}
	in->depth--;
	*ret_value = many;
	return (true);
}

static bool
read_value(struct jdec_reader *in, json_t **ret_value)
{
	if (in->at == in->end)
		return (jdec_refuse_here(in));
	if (!count_token(in))
		return (false);
	switch (*in->at) {
	case '{':
		return (read_many(in, json_object(), '}', read_member, ret_value));
	case '[':
		return (read_many(in, json_array(), ']', read_item, ret_value));
	case '"':
		return (read_string(in, ret_value));
	case 't':
		return (read_word(in, "true", json_true(), ret_value));
	case 'f':
		return (read_word(in, "false", json_false(), ret_value));
	case 'n':
		return (read_word(in, "null", json_null(), ret_value));
	case '-':
	case '0':
	case '1':
	case '2':
	case '3':
	case '4':
	case '5':
	case '6':
	case '7':
	case '8':
	case '9':
		return (read_number(in, ret_value));
	default:
		return (jdec_refuse_here(in));
	}
}

int
jdec_read(const uint8_t *bytes, size_t len, const struct jdec_limits *limits, json_t **ret_value,
    size_t *ret_at, struct leased_err *err)
{
	struct jdec_reader in = {.at = bytes, .end = bytes + len, .limits = limits, .err = err};
	json_t *value = NULL;
	bool good;

	skip_blanks(&in);
	if ((good = read_value(&in, &value))) {
		skip_blanks(&in);
		good = in.at == in.end || jdec_refuse(&in, LEASED_EINVAL,
					      "something follows behind the end of the JSON");
	}
	*ret_at = (size_t)(in.at - bytes);
	if (!good) {
		json_decref(value);
		return (err->code);
	}
	*ret_value = value;
	return (0);
}
