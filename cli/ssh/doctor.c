/*
 * lease ssh doctor: why a login would be refused, as far as the client can see it. It looks at what
 * ssh would use, at the certificates, and at what leased says; doctor_sshd.c looks at the host's
 * files.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent.h"
#include "ca.h"
#include "client_raw.h"
#include "doctor.h"
#include "file.h"
#include "sign.h"

#define CLOCK_OFF_S 20 /* certificates begin 30 s before they are made */
#define TRIES 6        /* of sshd's MaxAuthTries, where nobody sets it */

void
doctor_say(struct doctor *doctor, enum doctor_mark mark, const char *fmt, ...)
{
	static const char *const marks[] = {"ok     ", "WRONG  ", "?      "};
	char *text = NULL;
	va_list args;

	va_start(args, fmt);
	if (vasprintf(&text, fmt, args) < 0)
		text = NULL;
	va_end(args);
	if (mark == DOCTOR_WRONG)
		doctor->wrong++;
	(void)fputs(marks[mark], stdout);
	cli_print_safe(stdout, text != NULL ? text : "out of memory");
	(void)fputc('\n', stdout);
	free(text);
}

void
doctor_setting(const char *output, const char *name, unsigned nth, char *ret_value, size_t size)
{
	size_t len = strlen(name), value_len;
	const char *at;

	ret_value[0] = '\0';
	for (at = output; at != NULL && at[0] != '\0'; at = strchr(at, '\n')) {
		at += at[0] == '\n';
		if (strncmp(at, name, len) != 0 || at[len] != ' ' || nth-- > 0)
			continue;
		value_len = strcspn(at + len + 1, "\n");
		if (value_len < size) {
			memcpy(ret_value, at + len + 1, value_len);
			ret_value[value_len] = '\0';
		}
		return;
	}
}

/* ---- what there is ---- */

static void
certificate_take(struct doctor *doctor, const char *from, const char *line)
{
	struct doctor_certificate *one = &doctor->certificates[doctor->count];
	struct leased_err err = LEASED_ERR_INIT;

	if (doctor->count == DOCTOR_CERTIFICATES_MAX)
		return;
	if (sshwire_certificate_read_line(line, &one->certificate, &err) != 0) {
		doctor_say(doctor, DOCTOR_WRONG, "%s: %s", from, err.text);
		return;
	}
	if ((one->from = strdup(from)) != NULL && (one->line = strdup(line)) != NULL)
		doctor->count++;
}

/* "~/x" as ssh reads it; else as it stands. For free(). */
static char *
home_expand(const char *path)
{
	const char *home = getenv("HOME");
	char *whole = NULL;

	if (strncmp(path, "~/", 2) != 0 || home == NULL)
		return (strdup(path));
	return (asprintf(&whole, "%s/%s", home, path + 2) < 0 ? NULL : whole);
}

static void
file_take(struct doctor *doctor, const char *setting, const char *behind)
{
	char *home = home_expand(setting), *path = NULL, *text = NULL;
	size_t len;

	if (home != NULL && asprintf(&path, "%s%s", home, behind) < 0)
		path = NULL;
	if (path != NULL && file_read(path, &text, &len, NULL) == 0)
		certificate_take(doctor, path, text);
	free(home);
	free(path);
	free(text);
}

static void
agent_take(struct doctor *doctor)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct agent_list list = {NULL, 0};
	struct sshwire_reader reader;
	char *line, *base64, *type, from[128];
	int fd = -1;

	if (agent_open(&fd, &err) != 0 || agent_list(fd, &list, &err) != 0)
		doctor_say(doctor, DOCTOR_UNKNOWN, "%s", err.text);
	for (size_t i = 0; i < list.count; i++) {
		line = base64 = NULL;
		reader = sshwire_reader_of(list.entries[i].blob, list.entries[i].blob_len);
		type = sshwire_get_text(&reader);
		(void)snprintf(from, sizeof(from), "ssh-agent, \"%.80s\"", list.entries[i].comment);
		if (type != NULL && sshwire_type_of_certificate(type, strlen(type)) != NULL &&
		    (base64 = sshwire_base64(list.entries[i].blob, list.entries[i].blob_len)) !=
			NULL &&
		    asprintf(&line, "%s %s", type, base64) >= 0)
			certificate_take(doctor, from, line);
		free(type);
		free(base64);
		free(line);
	}
	doctor->agent_keys = list.count;
	agent_list_clear(&list);
	if (fd >= 0)
		(void)close(fd);
}

/* What ssh would do, by its own word. */
static int
collect(struct doctor *doctor)
{
	const char *argv[] = {"ssh", "-G", "--", doctor->target, NULL};
	struct leased_err err = LEASED_ERR_INIT;
	char *output = malloc(DOCTOR_OUTPUT_MAX), value[4096];
	unsigned i;
	int status;

	if (output == NULL)
		return (cli_fail(CLI_FAILED, "out of memory"));
	status = file_run((char *const *)(uintptr_t)argv, output, DOCTOR_OUTPUT_MAX, &err);
	if (status != 0) {
		status = cli_fail(
		    CLI_FAILED, "ssh -G %s: %s", doctor->target, status < 0 ? err.text : output);
		free(output);
		return (status);
	}
	doctor_setting(output, "user", 0, doctor->user, sizeof(doctor->user));
	doctor_setting(output, "hostname", 0, doctor->host, sizeof(doctor->host));
	doctor_setting(output, "pubkeyauthentication", 0, value, sizeof(value));
	doctor_say(doctor, DOCTOR_GOOD, "ssh logs in to %s as %s", doctor->host, doctor->user);
	if (strcmp(value, "no") == 0 || strcmp(value, "false") == 0)
		doctor_say(doctor, DOCTOR_WRONG,
		    "ssh tries no keys: PubkeyAuthentication is off in its configuration");
	for (i = 0;
	     doctor_setting(output, "certificatefile", i, value, sizeof(value)), value[0] != '\0';
	     i++)
		file_take(doctor, value, "");
	for (i = 0;
	     doctor_setting(output, "identityfile", i, value, sizeof(value)), value[0] != '\0'; i++)
		file_take(doctor, value, "-cert.pub");
	free(output);
	agent_take(doctor);
	return (CLI_OK);
}

/* ---- what it is worth ---- */

static void
look_at_time(struct doctor *doctor, const struct doctor_certificate *one)
{
	const struct sshwire_certificate *certificate = &one->certificate;
	uint64_t now = (uint64_t)time(NULL);

	if (now < certificate->valid_after)
		doctor_say(doctor, DOCTOR_WRONG,
		    "%s: begins in %" PRIu64 " s by this machine's clock, which must be wrong",
		    one->from, certificate->valid_after - now);
	else if (now >= certificate->valid_before)
		doctor_say(doctor, DOCTOR_WRONG, "%s: ended %" PRIu64 " s ago: get another",
		    one->from, now - certificate->valid_before);
	else
		doctor_say(doctor, DOCTOR_GOOD, "%s: serial %" PRIu64 ", good for %" PRIu64 " s",
		    one->from, certificate->serial, certificate->valid_before - now);
}

static void
look_at_principals(struct doctor *doctor, const struct doctor_certificate *one)
{
	char list[512] = "";
	bool found = false;
	size_t i, len = 0;

	for (i = 0; i < one->certificate.principal_count; i++) {
		const char *name = one->certificate.principals[i];

		found = found || strcmp(name, doctor->user) == 0;
		if (len < sizeof(list))
			len += (size_t)snprintf(
			    list + len, sizeof(list) - len, "%s%s", i > 0 ? ", " : "", name);
	}
	if (found)
		doctor_say(doctor, DOCTOR_GOOD, "%s: is for %s", one->from, doctor->user);
	else if (doctor->arguments->sshd_config == NULL)
		doctor_say(doctor, DOCTOR_WRONG,
		    "%s: is for %s and not for %s, unless the host's AuthorizedPrincipalsFile says "
		    "otherwise (--sshd-config looks)",
		    one->from, list[0] != '\0' ? list : "nobody", doctor->user);
}

static void
look_at_options(struct doctor *doctor, const struct doctor_certificate *one)
{
	const struct sshwire_certificate *certificate = &one->certificate;
	const struct sshwire_option *option;
	bool has_pty = false;
	size_t i;

	for (i = 0; i < certificate->critical_option_count; i++) {
		option = &certificate->critical_options[i];
		if (strcmp(option->name, "source-address") == 0 ||
		    strcmp(option->name, "force-command") == 0)
			doctor_say(doctor, DOCTOR_UNKNOWN, "%s: only with %s %s", one->from,
			    option->name, option->value != NULL ? option->value : "");
		else if (strcmp(option->name, "verify-required") != 0)
			doctor_say(doctor, DOCTOR_WRONG,
			    "%s: sshd refuses an option that it does not know: %s", one->from,
			    option->name);
	}
	for (i = 0; i < certificate->extension_count; i++)
		if (strcmp(certificate->extensions[i].name, "permit-pty") == 0)
			has_pty = true;
	if (!has_pty)
		doctor_say(doctor, DOCTOR_UNKNOWN,
		    "%s: has no permit-pty: commands run, and there is no terminal", one->from);
}

static void
look_at_ca(struct doctor *doctor, const struct doctor_certificate *one,
    const struct sshwire_key *keys, size_t count)
{
	struct leased_err err = LEASED_ERR_INIT;
	size_t i;

	if (sshwire_certificate_verify(&one->certificate, &err) != 0) {
		doctor_say(doctor, DOCTOR_WRONG, "%s: %s", one->from, err.text);
		return;
	}
	for (i = 0; i < count; i++)
		if (sshwire_key_equal(&keys[i], &one->certificate.ca))
			return;
	if (count > 0)
		doctor_say(doctor, DOCTOR_WRONG,
		    "%s: is by a CA that leased's %s does not have (SHA256:%s)", one->from,
		    doctor->arguments->mount, one->certificate.ca.fingerprint);
}

void
doctor_revoked(struct doctor *doctor, const char *list_path, const char *whose,
    const struct doctor_certificate *one)
{
	struct leased_err err = LEASED_ERR_INIT;
	char path[96], said[512];
	const char *argv[] = {"ssh-keygen", "-Q", "-f", list_path, path, NULL};
	int status;

	(void)snprintf(path, sizeof(path), "%s/certificate.pub", doctor->directory);
	if (file_replace(path, one->line, strlen(one->line), 0600, NULL, &err) != 0) {
		doctor_say(doctor, DOCTOR_UNKNOWN, "%s", err.text);
		return;
	}
	status = file_run((char *const *)(uintptr_t)argv, said, sizeof(said), &err);
	(void)unlink(path);
	if (status < 0)
		doctor_say(doctor, DOCTOR_UNKNOWN, "%s", err.text);
	else if (status == 0)
		doctor_say(doctor, DOCTOR_GOOD, "%s: is not revoked by %s", one->from, whose);
	else if (strstr(said, "REVOKED") != NULL)
		doctor_say(doctor, DOCTOR_WRONG, "%s: is revoked by %s", one->from, whose);
	else
		doctor_say(doctor, DOCTOR_WRONG, "ssh-keygen cannot ask %s: %s", whose, said);
}

/* leased's own list of revoked keys: what its hosts have, or will in a moment. */
static void
look_at_krl(struct doctor *doctor)
{
	char *path = sign_path(doctor->arguments, "krl"), list_path[96];
	struct leased_err err = LEASED_ERR_INIT;
	struct cli_reply reply = {0};
	struct cli_raw raw = {0};
	size_t i;

	if (path == NULL)
		return;
	(void)snprintf(list_path, sizeof(list_path), "%s/krl", doctor->directory);
	cli_request_raw(path, NULL, NULL, &raw, &reply);
	if (reply.code != CLI_OK)
		doctor_say(doctor, DOCTOR_UNKNOWN, "%s: %s", path, reply.error);
	else if (file_replace(list_path, raw.bytes, raw.len, 0600, NULL, &err) != 0)
		doctor_say(doctor, DOCTOR_UNKNOWN, "%s", err.text);
	else
		for (i = 0; i < doctor->count; i++)
			doctor_revoked(doctor, list_path, "leased", &doctor->certificates[i]);
	(void)unlink(list_path);
	cli_raw_clear(&raw);
	cli_reply_clear(&reply);
	free(path);
}

static void
look_at_clock(struct doctor *doctor)
{
	struct cli_reply reply;
	json_int_t theirs, off;

	cli_request("GET", "sys/health", NULL, NULL, &reply);
	theirs = json_integer_value(json_object_get(reply.body, "server_time_utc"));
	off = (json_int_t)time(NULL) - theirs;
	if (theirs == 0)
		doctor_say(doctor, DOCTOR_UNKNOWN, "leased's clock: %s", reply.error);
	else if (off > CLOCK_OFF_S || off < -CLOCK_OFF_S)
		doctor_say(doctor, DOCTOR_WRONG,
		    "this machine's clock is %lld s %s leased's: a host with the one takes what "
		    "was made by the other for ended, or not begun",
		    (long long)(off > 0 ? off : -off), off > 0 ? "ahead of" : "behind");
	else
		doctor_say(doctor, DOCTOR_GOOD, "this machine's clock agrees with leased's");
	cli_reply_clear(&reply);
}

static void
look(struct doctor *doctor)
{
	struct sshwire_key *keys = NULL;
	size_t i, key_count = 0;

	if (doctor->count == 0)
		doctor_say(doctor, DOCTOR_WRONG,
		    "ssh has no certificate to show: `lease ssh add --role ROLE` gets one");
	if (doctor->agent_keys >= TRIES)
		doctor_say(doctor, DOCTOR_UNKNOWN,
		    "the ssh-agent holds %zu keys: ssh offers them one by one, and sshd hangs up "
		    "after MaxAuthTries (%d). ssh-add -d takes one out",
		    doctor->agent_keys, TRIES);
	if (ca_keys_fetch(doctor->arguments, &keys, &key_count) != CLI_OK)
		key_count = 0;
	for (i = 0; i < doctor->count; i++) {
		const struct doctor_certificate *one = &doctor->certificates[i];

		if (one->certificate.is_host) {
			doctor_say(doctor, DOCTOR_WRONG, "%s: is a host's", one->from);
			continue;
		}
		look_at_time(doctor, one);
		look_at_principals(doctor, one);
		look_at_options(doctor, one);
		look_at_ca(doctor, one, keys, key_count);
	}
	ca_keys_clear(keys, key_count);
	look_at_clock(doctor);
	if (doctor->count > 0)
		look_at_krl(doctor);
}

int
cli_ssh_doctor(const struct ssh_arguments *arguments)
{
	struct doctor doctor = {.arguments = arguments};
	const char *tmp = getenv("TMPDIR");
	size_t i;
	int code;

	if (arguments->count != 1)
		return (cli_usage("ssh", "doctor takes one [USER@]HOST"));
	doctor.target = arguments->values[0];
	if ((size_t)snprintf(doctor.directory, sizeof(doctor.directory), "%s/lease-doctor.XXXXXX",
		tmp != NULL && strlen(tmp) < 32 ? tmp : "/tmp") >= sizeof(doctor.directory) ||
	    mkdtemp(doctor.directory) == NULL)
		return (cli_fail(CLI_FAILED, "no directory for temporary files"));
	if ((code = collect(&doctor)) == CLI_OK) {
		look(&doctor);
		if (arguments->sshd_config != NULL)
			doctor_sshd(&doctor, arguments->sshd_config);
		else
			doctor_say(&doctor, DOCTOR_UNKNOWN,
			    "whether the host trusts the CA, and has the list of revoked keys, its "
			    "own files say: run this there with --sshd-config "
			    "/etc/ssh/sshd_config");
		code = doctor.wrong > 0 ? CLI_FAILED : CLI_OK;
	}
	(void)rmdir(doctor.directory);
	for (i = 0; i < doctor.count; i++) {
		free(doctor.certificates[i].from);
		free(doctor.certificates[i].line);
		sshwire_certificate_clear(&doctor.certificates[i].certificate);
	}
	return (code);
}
