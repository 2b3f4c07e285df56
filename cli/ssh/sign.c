/*
 * Certificates asked of leased: the request, and that the answer is what was asked for. What
 * becomes of one is its caller's.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sign.h"
#include "ssh.h"

char *
sign_path(const struct ssh_arguments *arguments, const char *name)
{
	char *path = NULL;

	return (asprintf(&path, "%s/%s", arguments->mount, name) < 0 ? NULL : path);
}

static json_t *
request_body(const struct ssh_arguments *arguments, const char *public_line, bool is_host)
{
	json_t *body = json_pack(
	    "{s:s, s:s}", "public_key", public_line, "cert_type", is_host ? "host" : "user");

	if (body != NULL && arguments->ttl != NULL)
		(void)json_object_set_new(body, "ttl", json_string(arguments->ttl));
	if (body != NULL && arguments->principals != NULL)
		(void)json_object_set_new(
		    body, "valid_principals", json_string(arguments->principals));
	return (body);
}

/* Is the certificate for this key and of this kind, and whole? */
static int
answer_check(const struct sshwire_certificate *certificate, const char *public_line, bool is_host)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct sshwire_key key = {0};
	int code = CLI_OK;

	if (sshwire_key_read_line(public_line, &key, &err) != 0)
		return (cli_fail(CLI_FAILED, "%s", err.text));
	if (!sshwire_key_equal(&key, &certificate->key) || certificate->is_host != is_host)
		code = cli_fail(CLI_FAILED,
		    "leased answered with a certificate for another key, or of another kind");
	else if (sshwire_certificate_verify(certificate, &err) != 0)
		code = cli_fail(CLI_FAILED, "leased's answer is no good certificate: %s", err.text);
	sshwire_key_clear(&key);
	return (code);
}

int
sign_request(const struct ssh_arguments *arguments, const char *role, const char *public_line,
    bool is_host, struct ssh_signed *ret_signed)
{
	struct ssh_signed made = {0};
	struct leased_err err = LEASED_ERR_INIT;
	struct cli_reply reply = {0};
	const char *line, *lease_id;
	json_t *body = NULL;
	char *path = NULL;
	int code = CLI_FAILED;

	if (asprintf(&path, "%s/sign/%s", arguments->mount, role) < 0)
		path = NULL;
	if (path == NULL || (body = request_body(arguments, public_line, is_host)) == NULL) {
		(void)cli_fail(CLI_FAILED, "out of memory, or an option is no UTF-8 text");
		goto out;
	}
	cli_request("POST", path, NULL, body, &reply);
	if ((code = reply.code) != CLI_OK) {
		(void)cli_reply_fail(&reply, path);
		goto out;
	}
	cli_reply_warn(&reply);
	line =
	    json_string_value(json_object_get(json_object_get(reply.body, "data"), "signed_key"));
	lease_id = json_string_value(json_object_get(reply.body, "lease_id"));
	made.line = strdup(line != NULL ? line : "");
	made.lease_id = strdup(lease_id != NULL ? lease_id : "");
	if (made.line == NULL || made.lease_id == NULL)
		code = cli_fail(CLI_FAILED, "out of memory");
	else if (sshwire_certificate_read_line(made.line, &made.certificate, &err) != 0)
		code = cli_fail(CLI_FAILED, "%s: no certificate: %s", path, err.text);
	else
		code = answer_check(&made.certificate, public_line, is_host);
	if (code != CLI_OK) {
		sign_take_back(&made);
		goto out;
	}
	*ret_signed = made;
	memset(&made, 0, sizeof(made));
out:
	sign_clear(&made);
	cli_reply_clear(&reply);
	json_decref(body);
	free(path);
	return (code);
}

void
sign_clear(struct ssh_signed *made)
{
	sshwire_certificate_clear(&made->certificate);
	free(made->line);
	free(made->lease_id);
	memset(made, 0, sizeof(*made));
}

void
sign_take_back(const struct ssh_signed *made)
{
	struct cli_reply reply;
	json_t *body;

	if (made->lease_id == NULL || made->lease_id[0] == '\0')
		return;
	body = json_pack("{s:s}", "lease_id", made->lease_id);
	cli_request("PUT", "sys/leases/revoke", NULL, body, &reply);
	if (reply.code != CLI_OK)
		(void)cli_reply_fail(&reply, "the certificate that nobody uses was not revoked");
	cli_reply_clear(&reply);
	json_decref(body);
}

void
sign_tell(const char *what, const struct ssh_signed *made)
{
	const struct sshwire_certificate *certificate = &made->certificate;
	time_t until = (time_t)certificate->valid_before;
	char text[64] = "ever";
	struct tm parts;
	size_t i;

	if (certificate->valid_before != UINT64_MAX && localtime_r(&until, &parts) != NULL)
		(void)strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S %z", &parts);
	(void)fprintf(stderr, "lease: %s: serial %" PRIu64 ", until %s, for ", what,
	    certificate->serial, text);
	for (i = 0; i < certificate->principal_count; i++) {
		(void)fputs(i > 0 ? ", " : "", stderr);
		cli_print_safe(stderr, certificate->principals[i]);
	}
	if (made->lease_id[0] != '\0')
		(void)fprintf(stderr, "; lease %s", made->lease_id);
	(void)fputc('\n', stderr);
}
