/*
 * Private keys that an administrator brings: the text of a file, told by its first line. What holds
 * a passphrase is refused before OpenSSL could ask for it.
 */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

#include "sshca.h"

#define OPENSSH_BEGIN "-----BEGIN OPENSSH PRIVATE KEY-----"
#define OPENSSH_END "-----END OPENSSH PRIVATE KEY-----"

static int
refuse_encrypted(struct leased_err *err)
{
	return (leased_err_set(err, LEASED_EINVAL,
	    "this private key has a passphrase: take it off from a copy (ssh-keygen -p -N '' -f "
	    "COPY), import that, and shred it"));
}

/* OpenSSL would ask the terminal. */
static int
on_passphrase(char *buf, int size, int writing, void *arg)
{
	(void)buf;
	(void)size;
	(void)writing;
	(void)arg;
	return (-1);
}

/* Nothing but blanks behind the last line: a second key there would be dropped in silence. */
static bool
ends_at(const char *text, const char *end)
{
	const char *at = strstr(text, end);

	if (at == NULL)
		return (false);
	at += strlen(end);
	return (strspn(at, " \t\r\n") == strlen(at));
}

static int
import_pem(const char *text, size_t len, struct sshca_key *ret_key, struct leased_err *err)
{
	BIO *file;
	EVP_PKEY *key;

	if (strstr(text, "ENCRYPTED") != NULL)
		return (refuse_encrypted(err));
	if ((file = BIO_new_mem_buf(text, (int)len)) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	key = PEM_read_bio_PrivateKey(file, NULL, on_passphrase, NULL);
	BIO_free(file);
	if (key == NULL)
		return (leased_err_set(err, LEASED_EINVAL,
		    "this is no private key that can be read (%s): send the whole file, from "
		    "-----BEGIN to -----END",
		    sshca_openssl_why()));
	ERR_clear_error();
	if (!ends_at(strstr(text, "PRIVATE KEY-----") + 1, "PRIVATE KEY-----")) {
		EVP_PKEY_free(key);
		return (leased_err_set(
		    err, LEASED_EINVAL, "there is something behind the private key: send one key"));
	}
	return (sshca_key_of(key, ret_key, err));
}

int
sshca_import(const char *text, struct sshca_key *ret_key, struct leased_err *err)
{
	size_t len = strnlen(text, SSHCA_IMPORT_MAX + 1);
	const char *end;

	if (len > SSHCA_IMPORT_MAX)
		return (leased_err_set(err, LEASED_EINVAL,
		    "this is longer than %d bytes: send one private key", SSHCA_IMPORT_MAX));
	text += strspn(text, " \t\r\n");
	len = strlen(text);
	if (strncmp(text, "-----BEGIN ", 11) != 0 || strstr(text, "PRIVATE KEY-----") == NULL)
		return (leased_err_set(err, LEASED_EINVAL,
		    "this is no private key: it begins with a line such as " OPENSSH_BEGIN
		    " or -----BEGIN PRIVATE KEY-----"));
	if (strncmp(text, OPENSSH_BEGIN, strlen(OPENSSH_BEGIN)) != 0)
		return (import_pem(text, len, ret_key, err));
	/* Looked for behind the first line: two lines run together share the dashes between them.
	 */
	text += strlen(OPENSSH_BEGIN);
	if (!ends_at(text, OPENSSH_END))
		return (leased_err_set(err, LEASED_EINVAL,
		    "the private key ends with one line " OPENSSH_END " and nothing behind it"));
	end = strstr(text, OPENSSH_END);
	return (sshca_import_openssh(text, (size_t)(end - text), ret_key, err));
}
