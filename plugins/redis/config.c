/*
 * The configuration of a connection: reads the config object of `open`, checks every value, and
 * puts the safe defaults in. Opens nothing. Called by open.c.
 */
#include "config.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <leased/plugin.h>

#include "base/jdec.h"

#define PORT_DEFAULT 6379

static const struct {
	const char *name;
	bool is_secret;
} fields[] = {{"host", false}, {"port", false}, {"nodes", false}, {"gone_nodes", false},
    {"username", false}, {"password", true}, {"password_candidate", true}, {"tls", false},
    {"insecure_tls", false}, {"ca_cert", false}, {"tls_certificate", false}, {"private_key", true}};
#define FIELD_COUNT (sizeof(fields) / sizeof(fields[0]))

static int
no_memory(struct leased_err *err)
{
	return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
}

/* ---- addresses ---- */

/* "localhost" stands in a file of this machine; the loopback network and sockets never leave it. */
static void
judge(struct redis_address *address)
{
	struct in6_addr ip;

	address->is_local = address->host[0] == '/' || strcmp(address->host, "localhost") == 0 ||
			    strcmp(address->host, "::1") == 0;
	if (inet_pton(AF_INET, address->host, &ip) == 1)
		address->is_local = strncmp(address->host, "127.", 4) == 0;
	else if (!address->is_local && inet_pton(AF_INET6, address->host, &ip) != 1)
		address->is_name = true;
	if (address->host[0] == '/')
		(void)snprintf(address->text, sizeof(address->text), "%s", address->host);
	else
		(void)snprintf(address->text, sizeof(address->text),
		    strchr(address->host, ':') != NULL ? "[%s]:%u" : "%s:%u", address->host,
		    (unsigned)address->port);
}

static int
take_host(struct redis_address *address, const char *host, size_t len, struct leased_err *err)
{
	if (len == 0 || len >= sizeof(address->host))
		return (leased_err_set(
		    err, LEASED_EINVAL, "a host has 1 to %zu bytes", sizeof(address->host) - 1));
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)host[i] <= ' ' || host[i] == 0x7f ||
		    (address->port != 0 && strchr("/@?#[]", host[i]) != NULL))
			return (leased_err_set(err, LEASED_EINVAL,
			    "\"%.100s\" is no host: give a name, an address, or the path of a "
			    "socket",
			    host));
	memcpy(address->host, host, len);
	address->host[len] = '\0';
	return (0);
}

static int
take_port(struct redis_address *address, const char *port, struct leased_err *err)
{
	const char *reason = NULL;

	address->port = (uint16_t)strtonum(port, 1, UINT16_MAX, &reason);
	if (reason != NULL)
		return (leased_err_set(
		    err, LEASED_EINVAL, "\"%.20s\" is no port from 1 to 65535", port));
	return (0);
}

int
redis_address_read(const char *text, struct redis_address *ret_address, struct leased_err *err)
{
	struct redis_address address = {.port = PORT_DEFAULT};
	const char *host = text, *end = text + strlen(text), *colon;
	int r = 0;

	if (text[0] == '/') {
		address.port = 0;
	} else if (text[0] == '[') {
		if ((end = strchr(++host, ']')) == NULL || (end[1] != '\0' && end[1] != ':'))
			return (leased_err_set(err, LEASED_EINVAL,
			    "\"%.100s\": an IPv6 address looks like [::1]:6379", text));
		if (end[1] == ':')
			r = take_port(&address, end + 2, err);
	} else if ((colon = strchr(text, ':')) != NULL && strchr(colon + 1, ':') == NULL) {
		end = colon;
		r = take_port(&address, colon + 1, err);
	}
	if (r != 0 || (r = take_host(&address, host, (size_t)(end - host), err)) != 0)
		return (r);
	judge(&address);
	*ret_address = address;
	return (0);
}

/* ---- fields ---- */

/* A field as text; numbers are taken too. *ret_text is NULL when it is absent or empty, the
 * caller's to free. */
static int
get_text(const json_t *object, const char *name, char **ret_text, struct leased_err *err)
{
	const json_t *value = json_object_get(object, name);
	char number[32];
	const char *text = json_string_value(value);

	if (json_is_integer(value)) {
		(void)snprintf(
		    number, sizeof(number), "%lld", (long long)json_integer_value(value));
		text = number;
	} else if (value != NULL && !json_is_null(value) && text == NULL) {
		return (leased_err_set(err, LEASED_EINVAL, "%s: must be a text", name));
	}
	if (text == NULL || text[0] == '\0')
		return (0);
	return ((*ret_text = strdup(text)) == NULL ? no_memory(err) : 0);
}

static int
get_secret(const json_t *object, const char *name, struct leased_secret **ret_secret,
    struct leased_err *err)
{
	const json_t *value = json_object_get(object, name);

	if (value != NULL && !json_is_null(value) && !json_is_string(value))
		return (leased_err_set(err, LEASED_EINVAL, "%s: must be a text", name));
	if (json_string_length(value) == 0)
		return (0);
	*ret_secret = leased_secret_new(json_string_value(value), json_string_length(value));
	return (*ret_secret == NULL ? no_memory(err) : 0);
}

/* true, false, or a text that says so. *ret_given: whether it is there at all. */
static int
get_bool(const json_t *object, const char *name, bool *ret_value, bool *ret_given,
    struct leased_err *err)
{
	const json_t *value = json_object_get(object, name);
	const char *text = json_string_value(value);

	*ret_given = false;
	if (value == NULL || json_is_null(value) || (text != NULL && text[0] == '\0'))
		return (0);
	*ret_given = true;
	*ret_value = json_is_true(value) || (text != NULL && strcasecmp(text, "true") == 0) ||
		     (text != NULL && strcmp(text, "1") == 0);
	if (json_is_boolean(value) || *ret_value ||
	    (text != NULL && (strcasecmp(text, "false") == 0 || strcmp(text, "0") == 0)))
		return (0);
	return (leased_err_set(err, LEASED_EINVAL, "%s: must be true or false", name));
}

static int
add_node(struct redis_addresses *list, const char *text, const char *port, struct leased_err *err)
{
	struct redis_address *address = &list->items[list->count];
	int r;

	if (list->count == REDIS_NODES_MAX)
		return (leased_err_set(err, LEASED_EINVAL, "more than %d nodes", REDIS_NODES_MAX));
	if ((r = redis_address_read(text, address, err)) != 0)
		return (r);
	if (port != NULL && address->port != 0) {
		if ((r = take_port(address, port, err)) != 0)
			return (r);
		judge(address);
	}
	for (unsigned i = 0; i < list->count; i++)
		if (strcmp(list->items[i].text, address->text) == 0)
			return (leased_err_set(
			    err, LEASED_EINVAL, "%.100s stands there twice", address->text));
	list->count++;
	return (0);
}

static int
read_list(
    const json_t *nodes, const char *field, struct redis_addresses *list, struct leased_err *err)
{
	const json_t *node;
	size_t i;

	json_array_foreach(nodes, i, node)
	{
		if (!json_is_string(node))
			return (leased_err_set(err, LEASED_EINVAL,
			    "%s: must be a list of texts such as \"redis-a.example:6379\"", field));
		if (add_node(list, json_string_value(node), NULL, err) != 0)
			return (leased_err_prefix(err, "%s", field));
	}
	return (0);
}

/* The list as JSON in a text, as a command line has it. An IPv6 address has no quote in it. */
static int
read_list_text(
    const char *text, const char *field, struct redis_addresses *list, struct leased_err *err)
{
	static const struct jdec_limits limits = {
	    .depth = 2, .tokens = 4 * REDIS_NODES_MAX, .string_len = REDIS_HOST_MAX + 16};
	struct leased_err why = LEASED_ERR_INIT;
	json_t *nodes = NULL;
	int r = jdec_parse(text, strlen(text), &limits, &nodes, &why);

	if (r == LEASED_ENOMEM)
		return (no_memory(err));
	if (r != 0 || !json_is_array(nodes))
		r = leased_err_set(err, LEASED_EINVAL,
		    "%s: begins like a list in JSON and is none: write [\"a.example:6379\", "
		    "\"b.example:6379\"], or a.example:6379,b.example:6379",
		    field);
	else
		r = read_list(nodes, field, list, err);
	json_decref(nodes);
	return (r);
}

static bool
is_list_text(const char *text)
{
	text += strspn(text, " \t\r\n");
	return (text[0] == '[' &&
		(strchr(text, '"') != NULL || text[1 + strspn(text + 1, " ")] == ']'));
}

/* A list of texts, or one text: the list as JSON, or the nodes with commas. */
static int
read_nodes(
    const json_t *object, const char *field, struct redis_addresses *list, struct leased_err *err)
{
	const json_t *nodes = json_object_get(object, field);
	char *copy, *rest, *one;
	int r = 0;

	if (nodes == NULL || json_is_null(nodes))
		return (0);
	if (json_is_array(nodes))
		return (read_list(nodes, field, list, err));
	if (!json_is_string(nodes))
		return (leased_err_set(err, LEASED_EINVAL, "%s: must be a list of texts", field));
	if (is_list_text(json_string_value(nodes)))
		return (read_list_text(json_string_value(nodes), field, list, err));
	if ((rest = copy = strdup(json_string_value(nodes))) == NULL)
		return (no_memory(err));
	while (r == 0 && (one = strsep(&rest, ",")) != NULL) {
		one += strspn(one, " ");
		one[strcspn(one, " ")] = '\0';
		if (one[0] != '\0' && (r = add_node(list, one, NULL, err)) != 0)
			(void)leased_err_prefix(err, "%s", field);
	}
	free(copy);
	return (r);
}

static int
read_place(const json_t *object, struct redis_config *config, struct leased_err *err)
{
	char *host = NULL, *port = NULL;
	int r;

	if ((r = get_text(object, "host", &host, err)) != 0 ||
	    (r = get_text(object, "port", &port, err)) != 0 ||
	    (r = read_nodes(object, "nodes", &config->nodes, err)) != 0 ||
	    (r = read_nodes(object, "gone_nodes", &config->gone, err)) != 0)
		goto out;
	if (config->nodes.count > 0 && (host != NULL || port != NULL))
		r = leased_err_set(err, LEASED_EINVAL,
		    "nodes and host: give one of the two; every node has its port behind its name. "
		    "To go from one to the other, clear the other in the same write: nodes=.. "
		    "host= port=");
	else if (config->nodes.count == 0 && host == NULL)
		r = leased_err_set(err, LEASED_EINVAL,
		    "host is missing: give host and port, or nodes for a server of several");
	else if (config->nodes.count == 0 && (r = add_node(&config->nodes, host, port, err)) != 0)
		(void)leased_err_prefix(err, "host, port");
out:
	free(host);
	free(port);
	return (r);
}

/* Without a word about it, TLS is used where a node is on another machine. */
static int
read_tls(const json_t *object, struct redis_config *config, struct leased_err *err)
{
	bool is_insecure = false, is_given, all_local = true;
	int r;

	if ((r = get_bool(object, "insecure_tls", &is_insecure, &is_given, err)) != 0)
		return (r);
	if (is_insecure)
		return (leased_err_set(err, LEASED_EINVAL,
		    "insecure_tls: a server whose certificate nobody checks can be anybody's, and "
		    "would be given the login: name its authority in ca_cert instead"));
	for (unsigned i = 0; i < config->nodes.count; i++)
		all_local &= config->nodes.items[i].is_local;
	if ((r = get_bool(object, "tls", &config->is_tls, &is_given, err)) != 0 ||
	    (r = get_text(object, "ca_cert", &config->ca_cert, err)) != 0 ||
	    (r = get_text(object, "tls_certificate", &config->tls_certificate, err)) != 0 ||
	    (r = get_secret(object, "private_key", &config->private_key, err)) != 0)
		return (r);
	if (!is_given)
		config->is_tls = !all_local || config->ca_cert != NULL;
	config->is_exposed = !config->is_tls && !all_local;
	if (!config->is_tls && (config->ca_cert != NULL || config->tls_certificate != NULL))
		return (leased_err_set(err, LEASED_EINVAL,
		    "ca_cert and tls_certificate are given, and tls is false: leave one out"));
	if ((config->tls_certificate == NULL) != (config->private_key == NULL))
		return (leased_err_set(
		    err, LEASED_EINVAL, "tls_certificate and private_key: give both or none"));
	return (0);
}

int
redis_config_new(const json_t *object, struct redis_config **ret_config, struct leased_err *err)
{
	struct redis_config *config = calloc(1, sizeof(*config));
	int r;

	if (config == NULL)
		return (no_memory(err));
	config->tag = REDIS_CONFIG_TAG;
	if ((r = read_place(object, config, err)) != 0 ||
	    (r = get_text(object, "username", &config->username, err)) != 0 ||
	    (r = get_secret(object, "password", &config->password, err)) != 0 ||
	    (r = get_secret(object, "password_candidate", &config->password_candidate, err)) != 0 ||
	    (r = read_tls(object, config, err)) != 0)
		goto out;
	if (config->username == NULL && (config->username = strdup("default")) == NULL) {
		r = no_memory(err);
		goto out;
	}
	*ret_config = config;
	config = NULL;
out:
	redis_config_free(config);
	return (r);
}

void
redis_config_free(struct redis_config *config)
{
	if (config == NULL)
		return;
	free(config->username);
	free(config->ca_cert);
	free(config->tls_certificate);
	leased_secret_free(config->password);
	leased_secret_free(config->password_candidate);
	leased_secret_free(config->private_key);
	config->tag = 0;
	free(config);
}

int
redis_config_confine(const struct redis_config *config, struct leased_err *err)
{
	const char *names[REDIS_NODES_MAX + 1] = {NULL};
	uint16_t ports[REDIS_NODES_MAX + 1] = {0};
	struct leased_reach reach = {.ports = ports};
	unsigned name_count = 0, port_count = 0;

	for (unsigned i = 0; i < config->nodes.count; i++) {
		if (config->nodes.items[i].port == 0)
			reach.unix_sockets = true;
		else
			ports[port_count++] = config->nodes.items[i].port;
		if (config->nodes.items[i].is_name)
			names[name_count++] = config->nodes.items[i].host;
	}
	reach.names = name_count > 0 ? names : NULL;
	return (leased_confine(&reach, err));
}

json_t *
redis_config_fields(void)
{
	json_t *array = json_array();

	for (size_t i = 0; array != NULL && i < FIELD_COUNT; i++)
		if (json_array_append_new(
			array, json_pack("{s:s, s:b, s:b}", "name", fields[i].name, "secret",
				   fields[i].is_secret, "required", 0)) != 0) {
			json_decref(array);
			array = NULL;
		}
	return (array);
}
