/*
 * A key pair of Ed25519 that `lease` makes for a certificate: in memory, or in a file as OpenSSH
 * has it, without a passphrase.
 */
#ifndef CLI_SSH_KEYPAIR_H
#define CLI_SSH_KEYPAIR_H

#include <stdint.h>

#include <leased/error.h>
#include <leased/secret.h>

#define KEYPAIR_TYPE "ssh-ed25519"
#define KEYPAIR_CERTIFICATE_TYPE "ssh-ed25519-cert-v01@openssh.com"
#define KEYPAIR_SEED_LEN 32
#define KEYPAIR_PUBLIC_LEN 32

/* Zero-initialize. */
struct keypair {
	uint8_t public[KEYPAIR_PUBLIC_LEN];
	struct leased_secret *seed;
};

int keypair_generate(struct keypair *ret_keys, struct leased_err *err) LEASED_MUST_CHECK;
void keypair_clear(struct keypair *keys);
/* "ssh-ed25519 AAAA..", of malloc(3); NULL: no memory. */
char *keypair_line(const uint8_t public[KEYPAIR_PUBLIC_LEN]);
/* The text of the file that ssh reads. NULL: no memory. */
struct leased_secret *keypair_file(const struct keypair *keys, const char *comment);
/* The public key of such a file, which no passphrase hides. LEASED_EINVAL: it is no file of ours.
 */
int keypair_file_public(const char *text, uint8_t ret_public[KEYPAIR_PUBLIC_LEN],
    struct leased_err *err) LEASED_MUST_CHECK;

#endif
