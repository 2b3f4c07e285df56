/*
 * A pair that is somebody's own, as the file that ssh and ssh-add read (PROTOCOL.key, without a
 * passphrase): OpenSSH reads no ed25519 key in PKCS #8 before 9.6. Called by main.c alone.
 */
#include <openssl/core_names.h>
#include <openssl/rand.h>

#include "sshca.h"

#define BLOCK 8 /* the length of what is not encrypted is a multiple of it */
#define SEED_LEN 32

/* The public part once more, in RSA's case in another order, and what is secret behind it. */
static int
put_private(struct sshwire_writer *writer, const struct sshca_key *key)
{
	static const char *const rsa[] = {OSSL_PKEY_PARAM_RSA_N, OSSL_PKEY_PARAM_RSA_E,
	    OSSL_PKEY_PARAM_RSA_D, OSSL_PKEY_PARAM_RSA_COEFFICIENT1, OSSL_PKEY_PARAM_RSA_FACTOR1,
	    OSSL_PKEY_PARAM_RSA_FACTOR2};
	unsigned char both[2 * SEED_LEN]; /* the seed and the public point */
	size_t seed_len = SEED_LEN, point_len = SEED_LEN;
	int r = 0;

	switch (key->public.type->kind) {
	case SSHWIRE_RSA:
		sshwire_put_text(writer, key->public.type->name);
		for (size_t i = 0; r == 0 && i < sizeof(rsa) / sizeof(rsa[0]); i++)
			r = sshca_put_number(writer, key->key, rsa[i]);
		return (r);
	case SSHWIRE_ECDSA:
		sshwire_put_bytes(writer, key->public.blob, key->public.blob_len);
		return (sshca_put_number(writer, key->key, OSSL_PKEY_PARAM_PRIV_KEY));
	case SSHWIRE_ED25519:
		sshwire_put_bytes(writer, key->public.blob, key->public.blob_len);
		if (EVP_PKEY_get_raw_private_key(key->key, both, &seed_len) != 1 ||
		    EVP_PKEY_get_raw_public_key(key->key, both + SEED_LEN, &point_len) != 1)
			r = -1;
		else
			sshwire_put_string(writer, both, sizeof(both));
		leased_wipe(both, sizeof(both));
		return (r);
	}
	return (-1);
}

static int
put_file(struct sshwire_writer *writer, const struct sshca_key *key)
{
	unsigned char check[4]; /* twice the same: what was decrypted by a wrong key shows it */
	size_t begin, start;

	if (RAND_bytes(check, sizeof(check)) != 1)
		return (-1);
	sshwire_put_bytes(writer, "openssh-key-v1", sizeof("openssh-key-v1"));
	sshwire_put_text(writer, "none");
	sshwire_put_text(writer, "none");
	sshwire_put_text(writer, "");
	sshwire_put_u32(writer, 1);
	sshwire_put_string(writer, key->public.blob, key->public.blob_len);
	begin = sshwire_put_begin(writer);
	start = writer->len;
	sshwire_put_bytes(writer, check, sizeof(check));
	sshwire_put_bytes(writer, check, sizeof(check));
	if (put_private(writer, key) != 0)
		return (-1);
	sshwire_put_text(writer, ""); /* no comment */
	for (uint8_t pad = 1; !writer->failed && (writer->len - start) % BLOCK != 0; pad++)
		sshwire_put_u8(writer, pad);
	sshwire_put_end(writer, begin);
	return (0);
}

int
sshca_export(const struct sshca_key *key, char **ret_text, struct leased_err *err)
{
	struct sshwire_writer file = {0};
	char *text = NULL;

	if (put_file(&file, key) == 0 && !file.failed)
		text = sshca_armor(&file, "OPENSSH PRIVATE KEY");
	sshwire_writer_clear(&file);
	if (text == NULL)
		return (leased_err_set(
		    err, LEASED_ENOMEM, "cannot write a key: %s", sshca_openssl_why()));
	*ret_text = text;
	return (0);
}
