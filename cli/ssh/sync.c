/*
 * lease ssh sync-host: keeps sshd's file of revoked keys as leased says it. sshd lets nobody in
 * whose file is missing or broken, so that a new list is verified, read by ssh-keygen, and only
 * then renamed into place. An older one never replaces a newer one.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/notify.h"
#include "ca.h"
#include "client_raw.h"
#include "file.h"
#include "krl.h"
#include "sign.h"
#include "ssh.h"

#define WAIT_S 30
#define WITHIN_S 60L
#define RETRY_S_MAX 60
#define HTTP_PRECONDITION 412 /* the signature is of a later list than asked for */

static volatile sig_atomic_t stopped;
static const char *watched; /* the file, while a request waits for its successor; or NULL */

struct sync {
	const struct ssh_arguments *arguments;
	const char *krl_path, *ca_path;
	char *list_path, *signature_path; /* of the API */
	bool has_list;                    /* what lies there is good, and of this version */
	bool is_own;      /* and of the CA that is asked: a version alone says not */
	uint64_t version; /* never less than what was there once */
	bool is_failing;  /* it was said, and is not said again */
};

static void
on_stop(int number)
{
	(void)number;
	stopped = 1;
}

static bool
is_stopped(void)
{
	return (stopped != 0);
}

/* Asked each second while a request waits. Without the file sshd lets nobody in: that cannot wait.
 */
static bool
is_needed_elsewhere(void)
{
	return (is_stopped() || (watched != NULL && access(watched, F_OK) != 0));
}

static void
status_send(const struct sync *sync, const char *what)
{
	char text[160];

	(void)snprintf(text, sizeof(text), "%sSTATUS=revoked keys of version %" PRIu64 "%s",
	    what[0] == '\0' ? "READY=1\n" : "", sync->version, what);
	(void)!notify_send(text, NULL);
}

/* What lies at the path now. LEASED_ENOENT: nothing. */
static int
present_read(struct sync *sync, struct leased_err *err)
{
	struct sshwire_krl_head head = {0};
	char *bytes = NULL;
	size_t len = 0;
	int r;

	sync->has_list = false;
	sync->version = 0;
	if ((r = file_read(sync->krl_path, &bytes, &len, err)) == 0 &&
	    (r = sshwire_krl_read_head(bytes, len, &head, err)) == 0 &&
	    (r = krl_file_check(sync->krl_path, err)) == 0) {
		sync->has_list = true;
		sync->version = head.version;
	}
	free(bytes);
	return (r);
}

/* The first list, which revokes nothing: without any, sshd would let nobody in. */
static int
empty_write(struct sync *sync, struct leased_err *err)
{
	struct sshwire_writer writer = {0};
	int r;

	krl_put_empty(&writer, (uint64_t)time(NULL));
	r = writer.failed
		? leased_err_set(err, LEASED_ENOMEM, "out of memory")
		: file_replace(sync->krl_path, writer.bytes, writer.len, 0644, krl_file_check, err);
	sshwire_writer_clear(&writer);
	sync->has_list = r == 0;
	return (r);
}

/* By one of the keys of the file that the operator put there, and by no other. */
static int
signature_check(const struct sync *sync, const struct cli_raw *list, const char *signature,
    struct leased_err *err)
{
	struct sshwire_key *keys = NULL;
	size_t len, count = 0;
	char *text = NULL;
	int r;

	if ((r = file_read(sync->ca_path, &text, &len, err)) == 0 &&
	    (r = ca_keys_read(text, sync->ca_path, &keys, &count, err)) == 0) {
		r = sshwire_sshsig_verify(
		    signature, KRL_NAMESPACE, list->bytes, list->len, keys, count, err);
		if (r != 0)
			(void)leased_err_prefix(err,
			    "the list of revoked keys is not signed by a key of %s", sync->ca_path);
		ca_keys_clear(keys, count);
	}
	free(text);
	return (r);
}

/* The signature of just this version, and the list into place. CLI_OK with *ret_again: a later
 * version came between the two requests. */
static int
list_take(struct sync *sync, const struct cli_raw *list, uint64_t version, bool *ret_again,
    char error[512])
{
	struct leased_err err = LEASED_ERR_INIT;
	struct cli_raw signature = {0};
	struct cli_reply reply = {0};
	char query[64];
	int code, r = 0;

	(void)snprintf(query, sizeof(query), "version=%" PRIu64, version);
	cli_request_raw(sync->signature_path, query, NULL, &signature, &reply);
	*ret_again = reply.status == HTTP_PRECONDITION;
	code = *ret_again ? CLI_OK : reply.code;
	if (code != CLI_OK)
		(void)snprintf(error, 512, "%s: %.400s", sync->signature_path, reply.error);
	if (code == CLI_OK && !*ret_again) {
		if ((r = signature_check(sync, list, signature.bytes, &err)) == 0)
			r = file_replace(
			    sync->krl_path, list->bytes, list->len, 0644, krl_file_check, &err);
		if (r != 0) {
			code = r == LEASED_EDENIED || r == LEASED_EINVAL ? CLI_DENIED : CLI_FAILED;
			(void)snprintf(error, 512, "%s", err.text);
		}
	}
	if (code == CLI_OK && !*ret_again) {
		sync->has_list = true;
		sync->version = version;
		if (!sync->arguments->quiet)
			(void)fprintf(stderr, "lease: %s: version %" PRIu64 ", %zu bytes\n",
			    sync->krl_path, version, list->len);
	}
	cli_raw_clear(&signature);
	cli_reply_clear(&reply);
	return (code);
}

/* Asks once; wait: until there is another list than ours, for a while. */
static int
sync_ask(struct sync *sync, bool wait, bool *ret_again, char error[512])
{
	struct leased_err err = LEASED_ERR_INIT;
	struct cli_raw list = {0};
	struct cli_reply reply = {0};
	struct sshwire_krl_head head = {0};
	const bool is_known = sync->has_list && sync->is_own;
	char etag[32], query[32];
	int code;

	*ret_again = false;
	(void)snprintf(etag, sizeof(etag), "\"%" PRIu64 "\"", sync->version);
	(void)snprintf(query, sizeof(query), "wait=%d", WAIT_S);
	cli_request_raw(sync->list_path, wait && is_known ? query : NULL, is_known ? etag : NULL,
	    &list, &reply);
	if ((code = reply.code) != CLI_OK && !list.unchanged) {
		(void)snprintf(error, 512, "%s: %.400s", sync->list_path, reply.error);
	} else if (list.unchanged) {
		code = CLI_OK;
	} else if (sshwire_krl_read_head(list.bytes, list.len, &head, &err) != 0) {
		code = CLI_DENIED;
		(void)snprintf(error, 512, "%s: %.400s", sync->list_path, err.text);
	} else if (krl_owner_check(sync->krl_path, &head, &err) != 0) {
		code = CLI_DENIED;
		(void)snprintf(error, 512, "%s", err.text);
	} else if (head.version < sync->version) {
		code = CLI_DENIED;
		(void)snprintf(error, 512,
		    "leased offers revoked keys of version %" PRIu64
		    ", and %s is of version %" PRIu64
		    " already: an older list is not taken. Is a restored leased asked, or somebody "
		    "else?",
		    head.version, sync->krl_path, sync->version);
	} else if (!sync->has_list || head.version > sync->version) {
		code = list_take(sync, &list, head.version, ret_again, error);
	}
	sync->is_own = sync->is_own || code == CLI_OK;
	cli_raw_clear(&list);
	cli_reply_clear(&reply);
	return (code);
}

static void
pause_for(unsigned retry_s)
{
	struct timespec time_left = {(time_t)retry_s, 0};

	/* Not all hosts in the same moment. */
	time_left.tv_nsec = (long)arc4random_uniform(1000) * 1000000L;
	(void)nanosleep(&time_left, NULL);
}

static int64_t
now_s(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_BOOTTIME, &now);
	return (now.tv_sec);
}

/* Until a signal ends it. Whatever fails: what lies there stays, and it is tried again. */
static void
sync_for_ever(struct sync *sync)
{
	unsigned retry_s = 1;
	char error[512];
	int64_t asked;
	bool again;
	int code;

	while (!is_stopped()) {
		asked = now_s();
		watched = sync->has_list ? sync->krl_path : NULL;
		code = sync_ask(sync, true, &again, error);
		if (is_stopped())
			break;
		if (sync->has_list && access(sync->krl_path, F_OK) != 0) {
			sync->has_list = false; /* somebody took it away */
			continue;
		}
		if (code == CLI_OK) {
			if (sync->is_failing)
				(void)fprintf(stderr, "lease: leased answers again\n");
			sync->is_failing = false;
			retry_s = 1;
			status_send(sync, "");
			/* A server that does not let us wait is not asked without a pause. */
			if (now_s() == asked)
				pause_for(0);
			continue;
		}
		if (!sync->is_failing)
			(void)cli_fail(code, "%s", error);
		sync->is_failing = true;
		status_send(sync, ", which could not be compared with leased's");
		pause_for(retry_s);
		retry_s = retry_s * 2 > RETRY_S_MAX ? RETRY_S_MAX : retry_s * 2;
	}
}

/* What lies there, for a person or a monitor. */
static int
status_show(struct sync *sync)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct sshwire_krl_head head = {0};
	char *bytes = NULL;
	json_t *object;
	size_t len = 0;
	int code;

	if (present_read(sync, &err) != 0)
		return (cli_fail(CLI_FAILED,
		    "%s. An sshd with this as RevokedKeys lets nobody in by a key", err.text));
	if (file_read(sync->krl_path, &bytes, &len, &err) != 0 ||
	    sshwire_krl_read_head(bytes, len, &head, &err) != 0) {
		free(bytes);
		return (cli_fail(CLI_FAILED, "%s", err.text));
	}
	free(bytes);
	object = json_pack("{s:s, s:I, s:I, s:I}", "file", sync->krl_path, "version",
	    (json_int_t)head.version, "made", (json_int_t)head.date, "bytes", (json_int_t)len);
	code = cli_show_object(&sync->arguments->shown, object);
	json_decref(object);
	return (code);
}

static int
sync_run(struct sync *sync)
{
	struct sigaction action = {.sa_handler = on_stop};
	struct leased_err err = LEASED_ERR_INIT;
	char error[512] = "";
	bool again = true;
	int r, code = CLI_OK;

	if ((r = present_read(sync, &err)) == LEASED_ENOENT)
		r = empty_write(sync, &err);
	if (r != 0) /* leased's own will replace it */
		(void)cli_fail(0, "%s", err.text);
	notify_setup();
	cli_request_within(WITHIN_S);
	if (sync->arguments->once) {
		for (int i = 0; i < 5 && again && code == CLI_OK; i++)
			code = sync_ask(sync, false, &again, error);
		return (code == CLI_OK ? code : cli_fail(code, "%s", error));
	}
	(void)sigemptyset(&action.sa_mask);
	(void)sigaction(SIGTERM, &action, NULL);
	(void)sigaction(SIGINT, &action, NULL);
	cli_request_give_up_when(is_needed_elsewhere);
	if (sync->has_list)
		status_send(sync, "");
	sync_for_ever(sync);
	return (CLI_OK);
}

int
cli_ssh_sync_host(const struct ssh_arguments *arguments)
{
	struct sync sync = {.arguments = arguments};
	int code;

	if (arguments->count != 0)
		return (cli_usage("ssh", "sync-host takes no argument but options"));
	sync.krl_path = arguments->krl != NULL ? arguments->krl : SSH_KRL_FILE;
	sync.ca_path = arguments->ca != NULL ? arguments->ca : SSH_CA_FILE;
	if (arguments->status)
		return (status_show(&sync));
	sync.list_path = sign_path(arguments, "krl");
	sync.signature_path = sign_path(arguments, "krl.sig");
	if (sync.list_path == NULL || sync.signature_path == NULL)
		code = cli_fail(CLI_FAILED, "out of memory");
	else
		code = sync_run(&sync);
	free(sync.list_path);
	free(sync.signature_path);
	return (code);
}
