/*
 * Brings a list of revoked keys to a host by SFTP: connects, sees that it is the host whose key was
 * configured, logs in with the certificate that it was given, and has push_file.c do the rest. A
 * worker that does this has no key of a CA. Everything ends in time: behind it the socket is shut,
 * whatever libssh waits for.
 */
#include "push.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define LOGIN_MS 10000 /* to be connected and let in */
#define KEPT_MS 1000   /* of the call's time, to say what was wrong */
#define AGAIN_US 100000

static volatile sig_atomic_t watched_fd = -1, late;

/* ---- time ---- */

static int64_t
now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_BOOTTIME, &now);
	return ((int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
}

static void
on_alarm(int number)
{
	(void)number;
	late = 1;
	if (watched_fd >= 0)
		(void)shutdown(watched_fd, SHUT_RDWR);
}

/* ms 0: no more. Once it came it comes again: what it met may have been no socket yet. */
static void
alarm_set(int64_t ms)
{
	struct sigaction action = {.sa_handler = on_alarm};
	struct itimerval timer = {.it_value = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000}};

	if (ms > 0) {
		timer.it_interval.tv_usec = AGAIN_US;
		(void)sigaction(SIGALRM, &action, NULL);
	}
	(void)setitimer(ITIMER_REAL, &timer, NULL);
}

/* ---- connecting ---- */

static int
wait_connected(int fd, int64_t until_ms)
{
	struct pollfd one = {.fd = fd, .events = POLLOUT};
	socklen_t len = sizeof(int);
	int64_t left;
	int failed = 0, r;

	do {
		if ((left = until_ms - now_ms()) <= 0)
			return (ETIMEDOUT);
		r = poll(&one, 1, (int)left);
	} while (r < 0 && errno == EINTR);
	if (r <= 0)
		return (r == 0 ? ETIMEDOUT : errno);
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &failed, &len) != 0)
		return (errno);
	return (failed);
}

/* 0 and *ret_fd, or what errno would be. */
static int
connect_one(const struct addrinfo *to, int64_t until_ms, int *ret_fd)
{
	int fd = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), r = 0;
	int at_once = 1; /* each request is one answer's wait */

	if (fd < 0)
		return (errno);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof(at_once));
	if (connect(fd, to->ai_addr, to->ai_addrlen) != 0)
		r = errno == EINPROGRESS || errno == EINTR ? wait_connected(fd, until_ms) : errno;
	if (r != 0)
		(void)close(fd);
	else
		*ret_fd = fd;
	return (r);
}

static int
open_socket(const struct push *push, int64_t until_ms, int *ret_fd, struct leased_err *err)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	struct addrinfo *found = NULL;
	char port[8];
	int r, why = EHOSTUNREACH;

	(void)snprintf(port, sizeof(port), "%u", push->port);
	if ((r = getaddrinfo(push->address, port, &hints, &found)) != 0)
		return (leased_err_set(err, LEASED_EUNAVAIL, "%s cannot be found: %s",
		    push->address, gai_strerror(r)));
	for (const struct addrinfo *one = found; one != NULL; one = one->ai_next)
		if ((why = connect_one(one, until_ms, ret_fd)) == 0)
			break;
	freeaddrinfo(found);
	if (why == 0)
		return (0);
	return (leased_err_set(err, why == ETIMEDOUT ? LEASED_ETIMEDOUT : LEASED_EUNAVAIL,
	    "%s port %u cannot be reached: %s", push->address, push->port, strerror(why)));
}

/* Of what went wrong, which may be the host's own words. */
static const char *
said(ssh_session session)
{
	static char text[160];

	(void)snprintf(text, sizeof(text), "%s", ssh_get_error(session));
	for (char *at = text; *at != '\0'; at++)
		if (*at < ' ' || *at > '~')
			*at = '?';
	return (text);
}

/* ---- whom we talk to ---- */

static const char *
algorithms_of(const struct sshwire_key *key)
{
	return (key->type->kind == SSHWIRE_RSA ? "rsa-sha2-512,rsa-sha2-256" : key->type->name);
}

/* Of the keys that the host may have only those that were configured are asked for. */
static int
set_options(ssh_session session, const struct push *push, int fd, struct leased_err *err)
{
	char algorithms[512] = "";
	int no = 0, strict = 1, bits = SSHWIRE_RSA_BITS_MIN;

	for (size_t i = 0; i < push->host_key_count; i++) {
		(void)strlcat(algorithms, i > 0 ? "," : "", sizeof(algorithms));
		(void)strlcat(algorithms, algorithms_of(&push->host_keys[i]), sizeof(algorithms));
	}
	if (ssh_options_set(session, SSH_OPTIONS_PROCESS_CONFIG, &no) != 0 ||
	    ssh_options_set(session, SSH_OPTIONS_SSH_DIR, "/nonexistent") != 0 ||
	    ssh_options_set(session, SSH_OPTIONS_KNOWNHOSTS, "/dev/null") != 0 ||
	    ssh_options_set(session, SSH_OPTIONS_GLOBAL_KNOWNHOSTS, "/dev/null") != 0 ||
	    ssh_options_set(session, SSH_OPTIONS_STRICTHOSTKEYCHECK, &strict) != 0 ||
	    ssh_options_set(session, SSH_OPTIONS_RSA_MIN_SIZE, &bits) != 0 ||
	    ssh_options_set(session, SSH_OPTIONS_HOSTKEYS, algorithms) != 0 ||
	    ssh_options_set(session, SSH_OPTIONS_USER, push->user) != 0 ||
	    ssh_options_set(session, SSH_OPTIONS_FD, &fd) != 0)
		return (leased_err_set(
		    err, LEASED_EINVAL, "libssh takes no such setting: %s", said(session)));
	return (0);
}

static int
check_host(ssh_session session, const struct push *push, struct leased_err *err)
{
	ssh_key shown = NULL;
	char *shown64 = NULL, *own64;
	bool same = false;

	if (ssh_get_server_publickey(session, &shown) == SSH_OK)
		(void)ssh_pki_export_pubkey_base64(shown, &shown64);
	for (size_t i = 0; shown64 != NULL && i < push->host_key_count; i++) {
		own64 = sshwire_base64(push->host_keys[i].blob, push->host_keys[i].blob_len);
		same |= own64 != NULL && strcmp(own64, shown64) == 0;
		free(own64);
	}
	ssh_string_free_char(shown64);
	ssh_key_free(shown);
	if (same)
		return (0);
	return (leased_err_set(err, LEASED_EDENIED,
	    "%s port %u shows another host key than the configured one (host_key): it is another "
	    "machine, or it has a new key; nothing was sent to it",
	    push->address, push->port));
}

/* ---- logging in ---- */

static int
read_identity(const struct push *push, ssh_key *ret_key, struct leased_err *err)
{
	const char *blank = strchr(push->certificate, ' ');
	char type[64], *base64 = blank != NULL ? strdup(blank + 1) : NULL;
	ssh_key certificate = NULL, key = NULL;
	int r = LEASED_EINVAL;

	if (base64 != NULL && blank - push->certificate < (int)sizeof(type)) {
		(void)snprintf(type, sizeof(type), "%.*s", (int)(blank - push->certificate),
		    push->certificate);
		base64[strcspn(base64, " \n")] = '\0';
		if (ssh_pki_import_cert_base64(
			base64, ssh_key_type_from_name(type), &certificate) == SSH_OK &&
		    ssh_pki_import_privkey_base64(push->private, NULL, NULL, NULL, &key) ==
			SSH_OK &&
		    ssh_pki_copy_cert_to_privkey(certificate, key) == SSH_OK)
			r = 0;
	}
	free(base64);
	ssh_key_free(certificate);
	if (r != 0) {
		ssh_key_free(key);
		return (leased_err_set(err, r,
		    "identity: a private key and a certificate of it, as OpenSSH has them"));
	}
	*ret_key = key;
	return (0);
}

static int
log_in(ssh_session session, const struct push *push, struct leased_err *err)
{
	ssh_key key = NULL;
	int r = read_identity(push, &key, err);

	if (r != 0)
		return (r);
	r = ssh_userauth_publickey(session, NULL, key);
	ssh_key_free(key);
	if (r == SSH_AUTH_SUCCESS)
		return (0);
	if (r == SSH_AUTH_DENIED || r == SSH_AUTH_PARTIAL)
		return (leased_err_set(err, LEASED_EDENIED,
		    "%s port %u lets %s not in: the host must trust this CA (TrustedUserCAKeys) "
		    "and "
		    "allow the principal leased-krl for that user (AuthorizedPrincipalsFile)",
		    push->address, push->port, push->user));
	return (leased_err_set(err, LEASED_EUNAVAIL, "logging in to %s port %u: %s", push->address,
	    push->port, said(session)));
}

static int
with_session(ssh_session session, const struct push *push, int fd, int64_t until_ms,
    bool *ret_changed, struct leased_err *err)
{
	sftp_session sftp = NULL;
	int64_t left_ms;
	int r;

	if ((r = set_options(session, push, fd, err)) != 0)
		return (r);
	watched_fd = fd;
	if (ssh_connect(session) != SSH_OK)
		return (leased_err_set(err, LEASED_EUNAVAIL,
		    "%s port %u: no session of SSH (is host_key of a kind that the host has?): %s",
		    push->address, push->port, said(session)));
	if ((r = check_host(session, push, err)) != 0 || (r = log_in(session, push, err)) != 0)
		return (r);
	left_ms = until_ms - now_ms();
	alarm_set(left_ms > 0 ? left_ms : 1);
	sftp = sftp_new(session);
	if (sftp == NULL || sftp_init(sftp) != SSH_OK)
		r = leased_err_set(err, LEASED_EREFUSED,
		    "%s port %u lets %s in, but not to SFTP: %s", push->address, push->port,
		    push->user, said(session));
	else
		r = sshca_push_file(sftp, push, ret_changed, err);
	sftp_free(sftp);
	return (r);
}

static int
carry_out(const struct push *push, int limit_ms, bool *ret_changed, struct leased_err *err)
{
	int64_t begin_ms = now_ms(),
		most_ms = limit_ms > 2 * KEPT_MS ? limit_ms - KEPT_MS : KEPT_MS;
	int64_t login_ms = most_ms < LOGIN_MS ? most_ms : LOGIN_MS;
	ssh_session session = NULL;
	int fd = -1, r;

	if ((r = open_socket(push, begin_ms + login_ms, &fd, err)) != 0)
		return (r);
	late = 0;
	watched_fd = -1;
	if ((session = ssh_new()) == NULL) {
		(void)close(fd);
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	}
	login_ms -= now_ms() - begin_ms;
	alarm_set(login_ms > 0 ? login_ms : 1);
	r = with_session(session, push, fd, begin_ms + most_ms, ret_changed, err);
	ssh_disconnect(session);
	watched_fd = -1; /* the number may be another's from now on */
	alarm_set(0);
	ssh_free(session);
	(void)close(fd); /* libssh closes none that it was given */
	if (r != 0 && late)
		return (leased_err_set(err, LEASED_ETIMEDOUT, "%s port %u did not answer in time",
		    push->address, push->port));
	return (r);
}

/* ---- the request ---- */

static bool
is_plain(const char *text, size_t max)
{
	size_t len = strlen(text);

	for (size_t i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] > '~')
			return (false);
	return (len > 0 && len <= max);
}

static int
read_host(const json_t *host, struct push *push, struct leased_err *err)
{
	const json_t *port = json_object_get(host, "port"), *line;
	const json_t *keys = json_object_get(host, "host_keys");
	size_t i;
	int r;

	if ((r = leased_get_string(host, "address", &push->address, err)) != 0 ||
	    (r = leased_get_string(host, "user", &push->user, err)) != 0 ||
	    (r = leased_get_string(host, "path", &push->path, err)) != 0)
		return (r);
	if (!is_plain(push->address, 255) || !is_plain(push->user, 64) ||
	    !is_plain(push->path, PUSH_PATH_MAX) || push->path[0] != '/' ||
	    json_integer_value(port) < 1 || json_integer_value(port) > 65535)
		return (leased_err_set(err, LEASED_EINVAL,
		    "host: an address, a port, a user and an absolute path, without blanks"));
	push->port = (uint16_t)json_integer_value(port);
	if (json_array_size(keys) < 1 || json_array_size(keys) > PUSH_HOST_KEYS_MAX)
		return (leased_err_set(
		    err, LEASED_EINVAL, "host_keys: 1 to %d lines", PUSH_HOST_KEYS_MAX));
	json_array_foreach(keys, i, line)
	{
		if (!json_is_string(line))
			return (leased_err_set(err, LEASED_EINVAL, "host_keys: each is a text"));
		if ((r = sshwire_key_read_line(json_string_value(line),
			 &push->host_keys[push->host_key_count], err)) != 0)
			return (leased_err_prefix(err, "host_keys"));
		push->host_key_count++;
	}
	return (0);
}

static int
read_request(const json_t *params, struct push *push, struct leased_err *err)
{
	const json_t *identity = json_object_get(params, "identity");
	const char *list;
	int r;

	if ((r = read_host(json_object_get(params, "host"), push, err)) != 0 ||
	    (r = leased_get_string(identity, "private", &push->private, err)) != 0 ||
	    (r = leased_get_string(identity, "certificate", &push->certificate, err)) != 0 ||
	    (r = leased_get_string(params, "list", &list, err)) != 0)
		return (r);
	if ((r = sshwire_base64_decode(list, strlen(list), &push->list, &push->len, err)) != 0 ||
	    (r = sshwire_krl_read_head(push->list, push->len, &push->head, err)) != 0)
		return (leased_err_prefix(err, "list"));
	return (0);
}

int
sshca_push(const json_t *params, int limit_ms, json_t *result, struct leased_err *err)
{
	struct push push = {0};
	bool changed = false;
	int r;

	if ((r = read_request(params, &push, err)) == 0 &&
	    (r = carry_out(&push, limit_ms, &changed, err)) == 0 &&
	    json_object_set_new(result, "changed", json_boolean(changed)) != 0)
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
	while (push.host_key_count > 0)
		sshwire_key_clear(&push.host_keys[--push.host_key_count]);
	free(push.list);
	return (r);
}
