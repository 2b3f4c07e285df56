/*
 * The chain of lines: each carries its number and the mac of the line before, and a mac of its own
 * over both, keyed by the keyring. So whoever edits a line, or takes one out, would have to forge
 * macs without the key. It reads and writes no file. Called by the device and the verifier.
 */
#include <inttypes.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

#include "audit/chain.h"
#include "base/log.h"

#define CHAIN_PURPOSE "audit-chain"
#define TORN_PURPOSE "audit-torn"

static const char seq_key[] = ",\"seq\":", prev_key[] = ",\"prev\":\"", mac_key[] = ",\"mac\":\"";

void
audit_chain_init(struct audit_chain *chain)
{
	chain->seq = 0;
	memset(chain->mac, '0', AUDIT_MAC_LEN);
	chain->mac[AUDIT_MAC_LEN] = '\0';
}

static int
hex_mac(struct seal *seal, const char *purpose, const void *bytes, size_t len,
    char ret_mac[AUDIT_MAC_LEN + 1], struct leased_err *err)
{
	static const char digits[] = "0123456789abcdef";
	uint8_t mac[SEAL_HMAC_SIZE];
	int r;

	if ((r = seal_hmac(seal, purpose, bytes, len, mac, err)) != 0)
		return (r);
	for (size_t i = 0; i < sizeof(mac); i++) {
		ret_mac[2 * i] = digits[mac[i] >> 4];
		ret_mac[2 * i + 1] = digits[mac[i] & 15];
	}
	ret_mac[AUDIT_MAC_LEN] = '\0';
	return (0);
}

int
audit_bytes_mac(struct seal *seal, const void *bytes, size_t len, char ret_mac[AUDIT_MAC_LEN + 1],
    struct leased_err *err)
{
	return (hex_mac(seal, TORN_PURPOSE, bytes, len, ret_mac, err));
}

int
audit_chain_add(struct audit_chain *chain, struct seal *seal, const char *body, size_t len,
    struct jenc *out, struct leased_err *err)
{
	char links[AUDIT_MAC_LEN + 64], mac[AUDIT_MAC_LEN + 1];
	size_t start = out->len;
	int r, size;

	if (len < 3 || len > AUDIT_BODY_MAX || body[0] != '{' || body[len - 1] != '}' ||
	    memchr(body, '\n', len) != NULL)
		return (bug(err, "a record of the audit is no JSON object on one line"));
	size = snprintf(links, sizeof(links), "%s%" PRId64 "%s%s\"", seq_key, chain->seq + 1,
	    prev_key, chain->mac);
	jenc_bytes(out, body, len - 1);
	jenc_bytes(out, links, (size_t)size);
	if ((r = jenc_check(out, err)) != 0)
		return (r);
	r = hex_mac(seal, CHAIN_PURPOSE, out->bytes + start, out->len - start, mac, err);
	if (r == 0) {
		jenc_bytes(out, mac_key, sizeof(mac_key) - 1);
		jenc_bytes(out, mac, AUDIT_MAC_LEN);
		jenc_bytes(out, "\"}\n", 3);
		r = jenc_check(out, err);
	}
	if (r != 0) {
		out->len = start;
		return (r);
	}
	chain->seq++;
	memcpy(chain->mac, mac, sizeof(mac));
	return (0);
}

/* The text that ends at end is a hex string behind key: where key begins, else NULL. */
static const char *
take_mac(const char *line, const char *end, const char *key, size_t key_len,
    char ret_mac[AUDIT_MAC_LEN + 1])
{
	const char *mac;

	if ((size_t)(end - line) < key_len + AUDIT_MAC_LEN)
		return (NULL);
	mac = end - AUDIT_MAC_LEN;
	if (memcmp(mac - key_len, key, key_len) != 0)
		return (NULL);
	for (size_t i = 0; i < AUDIT_MAC_LEN; i++)
		if (!((mac[i] >= '0' && mac[i] <= '9') || (mac[i] >= 'a' && mac[i] <= 'f')))
			return (NULL);
	memcpy(ret_mac, mac, AUDIT_MAC_LEN);
	ret_mac[AUDIT_MAC_LEN] = '\0';
	return (mac - key_len);
}

bool
audit_line_parse(const char *line, size_t len, struct audit_line *ret_line)
{
	struct audit_line parsed = {0};
	const size_t seq_len = sizeof(seq_key) - 1;
	const char *at = line + len, *digits;
	int64_t scale = 1;

	if (len < 3 || len > AUDIT_LINE_MAX || line[0] != '{' || memcmp(at - 2, "\"}", 2) != 0)
		return (false);
	at = take_mac(line, at - 2, mac_key, sizeof(mac_key) - 1, parsed.mac);
	if (at == NULL || at == line || at[-1] != '"')
		return (false);
	parsed.covered = (size_t)(at - line);
	at = take_mac(line, at - 1, prev_key, sizeof(prev_key) - 1, parsed.prev);
	if (at == NULL)
		return (false);
	for (digits = at; digits > line && digits[-1] >= '0' && digits[-1] <= '9'; digits--) {
		if (at - digits == 18)
			return (false);
		parsed.seq += (digits[-1] - '0') * scale;
		scale *= 10;
	}
	if (digits == at || (*digits == '0') || (size_t)(digits - line) < seq_len ||
	    memcmp(digits - seq_len, seq_key, seq_len) != 0)
		return (false);
	*ret_line = parsed;
	return (true);
}

int
audit_line_check(struct seal *seal, const char *line, const struct audit_line *parsed,
    bool *ret_good, struct leased_err *err)
{
	char mac[AUDIT_MAC_LEN + 1];
	int r = hex_mac(seal, CHAIN_PURPOSE, line, parsed->covered, mac, err);

	if (r == 0)
		*ret_good = CRYPTO_memcmp(mac, parsed->mac, AUDIT_MAC_LEN) == 0;
	return (r);
}
