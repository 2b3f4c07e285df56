/*
 * The head of a list of revoked keys, and whose list it is. What is in one nobody here reads: it is
 * made by leased's worker, and judged by ssh-keygen and sshd.
 */
#include "sshwire/krl.h"

#include <string.h>

#define OWNERS "revoked by leased: " /* and ids with blanks between them */

int
sshwire_krl_read_head(
    const void *bytes, size_t len, struct sshwire_krl_head *ret_head, struct leased_err *err)
{
	struct sshwire_reader reader = sshwire_reader_of(bytes, len);
	uint64_t magic = sshwire_get_u64(&reader);
	struct sshwire_reader comment;
	size_t comment_len;
	struct sshwire_krl_head head = {0};
	uint32_t format;

	if (reader.failed || magic != SSHWIRE_KRL_MAGIC)
		return (leased_err_set(err, LEASED_EINVAL, "no list of revoked keys"));
	format = sshwire_get_u32(&reader);
	head.version = sshwire_get_u64(&reader);
	head.date = sshwire_get_u64(&reader);
	(void)sshwire_get_u64(&reader);    /* flags */
	(void)sshwire_get_nested(&reader); /* reserved */
	comment = sshwire_get_nested(&reader);
	if (reader.failed || format != SSHWIRE_KRL_FORMAT)
		return (leased_err_set(
		    err, LEASED_EINVAL, "a list of revoked keys that is cut or of a later format"));
	comment_len = comment.left;
	if (comment_len < sizeof(head.comment))
		memcpy(head.comment, sshwire_get_bytes(&comment, comment_len), comment_len);
	*ret_head = head;
	return (0);
}

/* Has text the word of len bytes? */
static bool
has_word(const char *text, const char *word, size_t len)
{
	size_t at;

	for (; *text != '\0'; text += at + (text[at] == ' '))
		if ((at = strcspn(text, " ")) == len && memcmp(text, word, len) == 0)
			return (true);
	return (false);
}

/* An older leased says nothing of it, and an empty list neither. */
static const char *
owners_of(const struct sshwire_krl_head *head)
{
	size_t len = strlen(OWNERS);

	return (strncmp(head->comment, OWNERS, len) == 0 ? head->comment + len : NULL);
}

static bool
share_a_key(const char *a, const char *b)
{
	size_t len;

	for (; *a != '\0'; a += len + (a[len] == ' '))
		if ((len = strcspn(a, " ")) > 0 && has_word(b, a, len))
			return (true);
	return (false);
}

bool
sshwire_krl_is_of_another(
    const struct sshwire_krl_head *present, const struct sshwire_krl_head *next)
{
	const char *a = owners_of(present), *b = owners_of(next);

	return (a != NULL && b != NULL && strcmp(a, b) != 0 && !share_a_key(a, b));
}
