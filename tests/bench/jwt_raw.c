/*
 * What signing itself costs: as many threads as there are cores sign 300 bytes with one key each,
 * by OpenSSL alone, for some seconds. What issuing JWTs is held against.
 */
#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MAX 64
#define TEXT_LEN 300

struct run {
	const char *algorithm;
	double seconds;
	atomic_long count;
};

static double
now_s(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return ((double)now.tv_sec + (double)now.tv_nsec / 1e9);
}

static EVP_PKEY *
key_new(const char *algorithm)
{
	if (strcmp(algorithm, "RS256") == 0)
		return (EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048));
	if (strcmp(algorithm, "ES256") == 0)
		return (EVP_PKEY_Q_keygen(NULL, NULL, "EC", "prime256v1"));
	return (strcmp(algorithm, "EdDSA") == 0 ? EVP_PKEY_Q_keygen(NULL, NULL, "ED25519") : NULL);
}

static void *
work(void *arg)
{
	struct run *run = arg;
	const char *digest = strcmp(run->algorithm, "EdDSA") == 0 ? NULL : "SHA256";
	EVP_PKEY *key = key_new(run->algorithm);
	unsigned char text[TEXT_LEN] = {0}, signature[1024];
	double until_s = now_s() + run->seconds;

	while (key != NULL && now_s() < until_s) {
		EVP_MD_CTX *ctx = EVP_MD_CTX_new();
		size_t len = sizeof(signature);

		if (EVP_DigestSignInit_ex(ctx, NULL, digest, NULL, NULL, key, NULL) != 1 ||
		    EVP_DigestSign(ctx, signature, &len, text, sizeof(text)) != 1)
			exit(1);
		EVP_MD_CTX_free(ctx);
		atomic_fetch_add(&run->count, 1);
	}
	EVP_PKEY_free(key);
	return (NULL);
}

int
main(int argc, char **argv)
{
	long threads = sysconf(_SC_NPROCESSORS_ONLN);
	struct run run = {0};
	pthread_t ids[THREADS_MAX];
	EVP_PKEY *key;
	long i;

	if (argc != 3 || (run.seconds = strtod(argv[2], NULL)) <= 0 ||
	    (key = key_new(argv[1])) == NULL) {
		(void)fprintf(stderr, "usage: jwt_raw RS256|ES256|EdDSA SECONDS\n");
		return (2);
	}
	EVP_PKEY_free(key);
	run.algorithm = argv[1];
	threads = threads > 0 && threads < THREADS_MAX ? threads : 1;
	for (i = 0; i < threads; i++)
		if (pthread_create(&ids[i], NULL, work, &run) != 0)
			return (1);
	for (i = 0; i < threads; i++)
		(void)pthread_join(ids[i], NULL);
	(void)printf("{\"per_s\": %.1f, \"threads\": %ld}\n",
	    (double)atomic_load(&run.count) / run.seconds, threads);
	return (0);
}
