/*
 * https:// for the command line: which certificates vouch for leased, and what a person does when
 * they do not. There is no way to switch verification off: a token would go to anybody. Called by
 * client.c.
 */
#include "client_tls.h"

#include <openssl/x509_vfy.h>
#include <stdlib.h>

#include "client_curl.h"

static const char *
setting(const char *name, const char *of_vault)
{
	const char *value = getenv(name);

	if (value == NULL || value[0] == '\0')
		value = getenv(of_vault);
	return (value != NULL && value[0] != '\0' ? value : NULL);
}

void
cli_tls_setup(CURL *curl)
{
	const char *file = setting("LEASE_CACERT", "VAULT_CACERT");
	const char *dir = setting("LEASE_CAPATH", "VAULT_CAPATH");

	(void)client_curl.easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L);
	(void)client_curl.easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L);
	(void)client_curl.easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	/* Where somebody says whom to believe, nobody else is. */
	if (file != NULL || dir != NULL) {
		(void)client_curl.easy_setopt(curl, CURLOPT_CAINFO, file);
		(void)client_curl.easy_setopt(curl, CURLOPT_CAPATH, dir);
	}
}

static const char *
advice_on_certificate(long verified)
{
	switch (verified) {
	case X509_V_OK:
	case X509_V_ERR_UNSPECIFIED: /* libcurl compares names before it asks for the verdict */
		return ("The certificate is for other names: write one of them in LEASE_ADDR, or "
			"ask whoever runs leased for a certificate with this one");
	case X509_V_ERR_CERT_HAS_EXPIRED:
		return ("The certificate of leased has ended: whoever runs leased renews it and "
			"sends leased SIGHUP. Or this machine's clock is wrong");
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return ("The certificate of leased is not good yet, or this machine's clock is "
			"wrong");
	default:
		return ("If the certificate comes from a CA of your own, name that CA's "
			"certificate in LEASE_CACERT (or VAULT_CACERT)");
	}
}

const char *
cli_tls_advice(CURL *curl, CURLcode code)
{
	long verified = -1;

	if (code == CURLE_PEER_FAILED_VERIFICATION) {
		(void)client_curl.easy_getinfo(curl, CURLINFO_SSL_VERIFYRESULT, &verified);
		return (advice_on_certificate(verified));
	}
	if (code == CURLE_SSL_CACERT_BADFILE)
		return ("LEASE_CACERT (or VAULT_CACERT) names a file that cannot be read or holds "
			"no certificate in PEM");
	if (code == CURLE_SSL_CONNECT_ERROR)
		return ("Does it speak TLS? For plain HTTP write http:// in LEASE_ADDR");
	return (NULL);
}
