/*
 * Whom `lease` believes that it talks to leased over https://.
 */
#ifndef CLI_CLIENT_TLS_H
#define CLI_CLIENT_TLS_H

#include <curl/curl.h>

/* Certificates are verified, always: against those of LEASE_CACERT and LEASE_CAPATH (or VAULT_..),
 * else against those of the system. */
void cli_tls_setup(CURL *curl);

/* What to do about a request that failed with code; NULL: it did not fail for TLS. */
const char *cli_tls_advice(CURL *curl, CURLcode code);

#endif
