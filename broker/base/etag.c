/*
 * Marks of texts that are kept: half of their SHA-256. Called by api/ for short ones, and by
 * engine/ for those that are written beside the loop.
 */
#include <openssl/evp.h>
#include <stdio.h>

#include "base/etag.h"

int
etag_of(const void *bytes, size_t len, char ret_etag[ETAG_SIZE])
{
	unsigned char hash[32];

	if (EVP_Digest(bytes, len, hash, NULL, EVP_sha256(), NULL) != 1)
		return (LEASED_ENOMEM);
	ret_etag[0] = '"';
	for (size_t i = 0; i < 16; i++)
		(void)snprintf(ret_etag + 1 + 2 * i, 3, "%02x", hash[i]);
	ret_etag[33] = '"';
	ret_etag[34] = '\0';
	return (0);
}
