/*
 * The doors of leased as leased.hcl has them: Unix sockets, TLS, plain HTTP on the loopback; and
 * the certificates of those with TLS, at the start and whenever the file is read again. Called by
 * serve.c, reading.c and reload.c.
 */
#include "serve.h"

#include "base/log.h"
#include "metrics/metrics.h"

METRICS_GAUGE(certificate_end_s, "leased_tls_certificate_end_timestamp_seconds", "",
    "When the first of the certificates ends that clients are shown, in Unix time. 0: none is.");

static struct http_tls_files
files_of(const struct config_listener *listener)
{
	return ((struct http_tls_files){.certificate = listener->tls_cert_file,
	    .key = listener->tls_key_file,
	    .min_version =
		listener->tls_min_version == CONFIG_TLS_1_2 ? HTTP_TLS_1_2 : HTTP_TLS_1_3});
}

int
main_listen_load(
    const struct config_listener *listener, struct http_tls **ret_tls, struct leased_err *err)
{
	const struct http_tls_files files = files_of(listener);

	return (http_tls_new(&files, ret_tls, err));
}

void
main_listen_say(const struct config_listener *listener, const struct http_tls *tls)
{
	struct wclock *clock = wclock_system();
	struct leased_err why = LEASED_ERR_INIT;

	if (tls == NULL) {
		log_info("listening",
		    LOG_S("address", listener->kind == CONFIG_LISTENER_UNIX ? listener->path
									    : listener->address));
		return;
	}
	log_info("listening with TLS", LOG_S("address", listener->address),
	    LOG_S("certificate", listener->tls_cert_file), LOG_S("subject", http_tls_subject(tls)),
	    LOG_S("not_after", http_tls_not_after(tls)));
	/* No reason not to start: there are leases to be ended, and the Unix socket. */
	if (http_tls_check_dates(tls, clock->wall_us(clock) / 1000000, &why) != 0)
		log_warn("clients will refuse a certificate", LOG_S("address", listener->address),
		    LOG_ERR(&why));
	if (http_tls_is_slow(tls))
		log_warn("each TLS handshake with this key costs milliseconds in which nobody else "
			 "is served: use ECDSA P-256, or RSA with 2048 bits",
		    LOG_S("key", listener->tls_key_file));
}

void
main_listen_count(const struct main_daemon *daemon, const struct config *config)
{
	int64_t first_s = 0;

	for (size_t i = 0; i < config->listener_count; i++) {
		const struct config_listener *listener = &config->listeners[i];
		const struct http_tls *tls = NULL;

		if (listener->tls_cert_file != NULL)
			tls = http_server_tls(daemon->server, listener->address);
		if (tls != NULL && (first_s == 0 || http_tls_end_s(tls) < first_s))
			first_s = http_tls_end_s(tls);
	}
	metrics_set(&certificate_end_s, first_s);
}

static int
listen_tls(
    struct main_daemon *daemon, const struct config_listener *listener, struct leased_err *err)
{
	struct http_tls *tls = NULL;
	int r;

	if ((r = main_listen_load(listener, &tls, err)) != 0)
		return (r);
	main_listen_say(listener, tls);
	return (http_server_listen_tls(daemon->server, listener->address, tls, NULL, err));
}

static int
listen_one(
    struct main_daemon *daemon, const struct config_listener *listener, struct leased_err *err)
{
	int r;

	if (listener->tls_cert_file != NULL)
		return (listen_tls(daemon, listener, err));
	if (listener->kind == CONFIG_LISTENER_UNIX)
		r = http_server_listen_unix(
		    daemon->server, listener->path, (mode_t)listener->mode, listener->group, err);
	else
		r = http_server_listen_tcp(daemon->server, listener->address, NULL, err);
	if (r == 0)
		main_listen_say(listener, NULL);
	return (r);
}

int
main_listen(struct main_daemon *daemon, const struct config *config, struct leased_err *err)
{
	for (size_t i = 0; i < config->listener_count; i++) {
		int r = listen_one(daemon, &config->listeners[i], err);

		if (r != 0)
			return (leased_err_prefix(err, "%s:%u:%u", daemon->config_path,
			    config->listeners[i].line, config->listeners[i].column));
		if (config->listeners[i].unauthenticated_metrics)
			http_server_mark(daemon->server, API_MARK_METRICS);
	}
	main_listen_count(daemon, config);
	return (0);
}
