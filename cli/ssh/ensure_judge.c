/*
 * What `ensure` makes of the two files that it finds: from their texts and the time alone.
 */
#include <stdlib.h>

#include "ensure.h"
#include "sign.h"

/* Is the certificate one for this key, a user's? */
static bool
belongs(const struct sshwire_certificate *certificate, const uint8_t public[KEYPAIR_PUBLIC_LEN])
{
	struct sshwire_key key = {0};
	char *line = keypair_line(public);
	bool same;

	same = line != NULL && !certificate->is_host &&
	       sshwire_key_read_line(line, &key, NULL) == 0 &&
	       sshwire_key_equal(&key, &certificate->key);
	sshwire_key_clear(&key);
	free(line);
	return (same);
}

enum ensure_state
ensure_judge(const char *key_text, const char *certificate_text, time_t now, unsigned left_percent,
    uint8_t ret_public[KEYPAIR_PUBLIC_LEN])
{
	struct sshwire_certificate certificate = {0};
	enum ensure_state state = ENSURE_MAKE;

	if (key_text == NULL || keypair_file_public(key_text, ret_public, NULL) != 0)
		return (ENSURE_MAKE);
	if (certificate_text == NULL ||
	    sshwire_certificate_read_line(certificate_text, &certificate, NULL) != 0)
		return (ENSURE_MAKE);
	if (!belongs(&certificate, ret_public) || !sign_has_life(&certificate, now, 0))
		state = ENSURE_MAKE;
	else if (sign_has_life(&certificate, now, left_percent))
		state = ENSURE_GOOD;
	else
		state = ENSURE_RENEW;
	sshwire_certificate_clear(&certificate);
	return (state);
}
