/*
 * lease ssh doctor --sshd-config: what an sshd with that configuration would make of a certificate.
 * sshd itself says how it reads it; the files that it names are looked at here.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ca.h"
#include "doctor.h"
#include "file.h"
#include "krl.h"

#define SSHD "/usr/sbin/sshd"

/* Is name one of a list with commas? */
static bool
list_has(const char *list, const char *name)
{
	size_t len = strlen(name);
	const char *at;

	for (at = list; (at = strstr(at, name)) != NULL; at += len)
		if ((at == list || at[-1] == ',') && (at[len] == ',' || at[len] == '\0'))
			return (true);
	return (false);
}

/* The settings as sshd has them for this user. NULL: said already. */
static char *
settings_read(struct doctor *doctor, const char *config_path)
{
	struct leased_err err = LEASED_ERR_INIT;
	char *output = malloc(DOCTOR_OUTPUT_MAX), who[600];
	const char *argv[] = {SSHD, "-T", "-f", config_path, "-C", who, NULL};
	int status;

	if (output == NULL)
		return (NULL);
	(void)snprintf(who, sizeof(who), "user=%s,host=localhost,addr=127.0.0.1", doctor->user);
	status = file_run((char *const *)(uintptr_t)argv, output, DOCTOR_OUTPUT_MAX, &err);
	if (status == 0)
		return (output);
	doctor_say(doctor, DOCTOR_UNKNOWN, "sshd does not say how it reads %s%s: %s", config_path,
	    geteuid() != 0 ? " (it may want root)" : "", status < 0 ? err.text : output);
	free(output);
	return (NULL);
}

static void
look_at_trust(struct doctor *doctor, const char *settings)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct sshwire_key *keys = NULL;
	char path[4096], *text = NULL;
	size_t i, k, len, count = 0;

	doctor_setting(settings, "trustedusercakeys", 0, path, sizeof(path));
	if (path[0] == '\0' || strcmp(path, "none") == 0) {
		doctor_say(doctor, DOCTOR_WRONG,
		    "sshd trusts no CA: TrustedUserCAKeys is not set (`lease ssh ca` prints it)");
		return;
	}
	if (file_read(path, &text, &len, &err) != 0 ||
	    ca_keys_read(text, path, &keys, &count, &err) != 0)
		doctor_say(doctor, DOCTOR_WRONG, "TrustedUserCAKeys: %s", err.text);
	for (i = 0; count > 0 && i < doctor->count; i++) {
		const struct doctor_certificate *one = &doctor->certificates[i];

		for (k = 0; k < count; k++)
			if (sshwire_key_equal(&keys[k], &one->certificate.ca))
				break;
		doctor_say(doctor, k < count ? DOCTOR_GOOD : DOCTOR_WRONG,
		    k < count ? "%s: sshd trusts its CA by %s"
			      : "%s: its CA is not in %s: put there what `lease ssh ca` prints",
		    one->from, path);
	}
	ca_keys_clear(keys, count);
	free(text);
}

static void
look_at_list(struct doctor *doctor, const char *settings)
{
	struct leased_err err = LEASED_ERR_INIT;
	char path[4096];
	size_t i;

	doctor_setting(settings, "revokedkeys", 0, path, sizeof(path));
	if (path[0] == '\0' || strcmp(path, "none") == 0) {
		doctor_say(doctor, DOCTOR_UNKNOWN,
		    "sshd has no RevokedKeys: certificates live until their end, whatever is "
		    "revoked");
		return;
	}
	if (krl_file_check(path, &err) != 0) {
		doctor_say(doctor, DOCTOR_WRONG,
		    "RevokedKeys is missing or broken, and sshd lets NOBODY in by a key: %s. "
		    "`lease ssh sync-host --once --krl %s` makes it",
		    err.text, path);
		return;
	}
	for (i = 0; i < doctor->count; i++)
		doctor_revoked(doctor, path, path, &doctor->certificates[i]);
}

/* A line of a principals' file: options may stand in front, the name is its last word. */
static bool
principals_match(const char *text, const struct sshwire_certificate *certificate)
{
	char *copy = strdup(text), *rest = copy, *line, *name;
	bool found = false;
	size_t i;

	while (!found && (line = strsep(&rest, "\n")) != NULL) {
		line[strcspn(line, "#")] = '\0';
		for (i = strlen(line); i > 0 && strchr(" \t\r", line[i - 1]) != NULL;)
			line[--i] = '\0';
		name = line + i;
		while (name > line && strchr(" \t", name[-1]) == NULL)
			name--;
		for (i = 0; name[0] != '\0' && i < certificate->principal_count; i++)
			found = found || strcmp(certificate->principals[i], name) == 0;
	}
	free(copy);
	return (found);
}

/* %u and %% alone: what the home of a user of the host is, is not for us to say. */
static bool
path_expand(const char *from, const char *user, char *ret_path, size_t size)
{
	size_t len = 0;

	for (; *from != '\0' && len + 1 < size; from++) {
		if (*from != '%') {
			ret_path[len++] = *from;
			continue;
		}
		from++;
		if (*from == '%')
			ret_path[len++] = '%';
		else if (*from == 'u')
			len += strlcpy(ret_path + len, user, size - len);
		else
			return (false);
	}
	if (*from != '\0' || len >= size)
		return (false);
	ret_path[len] = '\0';
	return (true);
}

static void
look_at_names(struct doctor *doctor, const char *settings)
{
	struct leased_err err = LEASED_ERR_INIT;
	char setting[4096], path[4096], *text = NULL;
	size_t i, k, len;
	bool found;

	doctor_setting(settings, "authorizedprincipalsfile", 0, setting, sizeof(setting));
	if (setting[0] != '\0' && strcmp(setting, "none") != 0 &&
	    (setting[0] != '/' || !path_expand(setting, doctor->user, path, sizeof(path)))) {
		doctor_say(doctor, DOCTOR_UNKNOWN,
		    "AuthorizedPrincipalsFile %s lies where only the host knows", setting);
		return;
	}
	if (setting[0] == '\0' || strcmp(setting, "none") == 0)
		path[0] = '\0';
	else if (file_read(path, &text, &len, &err) != 0) {
		doctor_say(doctor, DOCTOR_WRONG, "AuthorizedPrincipalsFile: %s", err.text);
		return;
	}
	for (i = 0; i < doctor->count; i++) {
		const struct doctor_certificate *one = &doctor->certificates[i];

		found = text != NULL && principals_match(text, &one->certificate);
		for (k = 0; text == NULL && k < one->certificate.principal_count; k++)
			found = found || strcmp(one->certificate.principals[k], doctor->user) == 0;
		doctor_say(doctor, found ? DOCTOR_GOOD : DOCTOR_WRONG,
		    found ? "%s: sshd lets its names log in as %s (%s)"
			  : "%s: none of its names may log in as %s (%s)",
		    one->from, doctor->user, text != NULL ? path : "by the name itself");
	}
	free(text);
}

static void
look_at_algorithms(struct doctor *doctor, const char *settings)
{
	char accepted[8192], value[64];
	size_t i;

	doctor_setting(settings, "pubkeyauthentication", 0, value, sizeof(value));
	if (strcmp(value, "no") == 0)
		doctor_say(doctor, DOCTOR_WRONG, "sshd takes no keys: PubkeyAuthentication no");
	doctor_setting(settings, "pubkeyacceptedalgorithms", 0, accepted, sizeof(accepted));
	for (i = 0; accepted[0] != '\0' && i < doctor->count; i++) {
		const struct doctor_certificate *one = &doctor->certificates[i];
		const struct sshwire_type *type = one->certificate.key.type;

		/* RSA's are accepted by what signs with them. */
		if (!list_has(accepted, type->kind == SSHWIRE_RSA
					    ? "rsa-sha2-512-cert-v01@openssh.com"
					    : type->certificate))
			doctor_say(doctor, DOCTOR_WRONG,
			    "%s: sshd takes no %s (PubkeyAcceptedAlgorithms)", one->from,
			    type->certificate);
	}
	doctor_setting(settings, "casignaturealgorithms", 0, accepted, sizeof(accepted));
	for (i = 0; accepted[0] != '\0' && i < doctor->count; i++) {
		const struct doctor_certificate *one = &doctor->certificates[i];
		const struct sshwire_type *type = one->certificate.ca.type;

		if (!list_has(accepted, type->kind == SSHWIRE_RSA ? "rsa-sha2-512" : type->name))
			doctor_say(doctor, DOCTOR_WRONG,
			    "%s: sshd takes no signature of a CA by %s (CASignatureAlgorithms)",
			    one->from, type->name);
	}
}

void
doctor_sshd(struct doctor *doctor, const char *config_path)
{
	char *settings = settings_read(doctor, config_path);

	if (settings == NULL)
		return;
	look_at_trust(doctor, settings);
	look_at_list(doctor, settings);
	look_at_names(doctor, settings);
	look_at_algorithms(doctor, settings);
	free(settings);
}
