/*
 * The configuration of a connection: reads the config object of `open`. Whether the URI is one is
 * seen when the client is made of it (sdk/web.h). Called by open.c.
 */
#include "config.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name;
	bool is_secret, is_required;
} fields[] = {{"connection_uri", false, true}, {"username", false, true}, {"password", true, true},
    {"password_candidate", true, false}, {"ca_cert", false, false}};
#define FIELD_COUNT (sizeof(fields) / sizeof(fields[0]))

static int
no_memory(struct leased_err *err)
{
	return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
}

static int
get(const json_t *object, const char *name, bool is_required, const char **ret_text,
    struct leased_err *err)
{
	const json_t *value = json_object_get(object, name);

	if (value != NULL && !json_is_null(value) && !json_is_string(value))
		return (leased_err_set(err, LEASED_EINVAL, "%s: must be a text", name));
	*ret_text = json_string_length(value) > 0 ? json_string_value(value) : NULL;
	if (is_required && *ret_text == NULL)
		return (leased_err_set(err, LEASED_EINVAL, "%s is missing", name));
	return (0);
}

static int
get_text(const json_t *object, const char *name, bool is_required, char **ret_text,
    struct leased_err *err)
{
	const char *text = NULL;
	int r;

	if ((r = get(object, name, is_required, &text, err)) != 0 || text == NULL)
		return (r);
	return ((*ret_text = strdup(text)) == NULL ? no_memory(err) : 0);
}

static int
get_secret(const json_t *object, const char *name, bool is_required,
    struct leased_secret **ret_secret, struct leased_err *err)
{
	const char *text = NULL;
	int r;

	if ((r = get(object, name, is_required, &text, err)) != 0 || text == NULL)
		return (r);
	*ret_secret = leased_secret_new(text, strlen(text));
	return (*ret_secret == NULL ? no_memory(err) : 0);
}

int
rabbitmq_config_new(
    const json_t *object, struct rabbitmq_config **ret_config, struct leased_err *err)
{
	struct rabbitmq_config *config = calloc(1, sizeof(*config));
	int r;

	if (config == NULL)
		return (no_memory(err));
	config->tag = RABBITMQ_CONFIG_TAG;
	if ((r = get_text(object, "connection_uri", true, &config->uri, err)) != 0 ||
	    (r = get_text(object, "username", true, &config->username, err)) != 0 ||
	    (r = get_secret(object, "password", true, &config->password, err)) != 0 ||
	    (r = get_secret(
		 object, "password_candidate", false, &config->password_candidate, err)) != 0 ||
	    (r = get_text(object, "ca_cert", false, &config->ca_cert, err)) != 0)
		goto out;
	if (strchr(config->username, ':') != NULL) {
		r = leased_err_set(err, LEASED_EINVAL,
		    "username: one with a colon cannot log in to the management API");
		goto out;
	}
	*ret_config = config;
	config = NULL;
out:
	rabbitmq_config_free(config);
	return (r);
}

void
rabbitmq_config_free(struct rabbitmq_config *config)
{
	if (config == NULL)
		return;
	free(config->uri);
	free(config->username);
	leased_secret_free(config->password);
	leased_secret_free(config->password_candidate);
	free(config->ca_cert);
	config->tag = 0;
	free(config);
}

json_t *
rabbitmq_config_fields(void)
{
	json_t *array = json_array();

	for (size_t i = 0; array != NULL && i < FIELD_COUNT; i++)
		if (json_array_append_new(
			array, json_pack("{s:s, s:b, s:b}", "name", fields[i].name, "secret",
				   fields[i].is_secret, "required", fields[i].is_required)) != 0) {
			json_decref(array);
			array = NULL;
		}
	return (array);
}
