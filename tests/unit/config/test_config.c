/*
 * Requirements of config/: the sample of the documentation is read, every mistake is named with its
 * place, nothing unknown or not yet built is passed over.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <leased/secret.h>

#include "config/config.h"
#include "support/failalloc.h"

static const char sample[] =
    "data_dir  = \"/var/lib/leased\"                       # leased.db, lock, reserve\n"
    "seal \"file\"      { path = \"/etc/leased/root.key\" }\n"
    "listener \"unix\"  { path = \"/run/leased/leased.sock\"  mode = \"0600\"  group = \"leased\" "
    "}\n"
    "listener \"tcp\"   { address = \"127.0.0.1:8200\" tls_disable = true "
    "unauthenticated_metrics = true }\n"
    "plugin_dir = \"/opt/plugins\"\n"
    "default_lease_ttl = \"1h30m\"\n"
    "max_lease_ttl     = \"32d\"\n"
    "log { level = \"warn\"  format = \"text\" }\n"
    "limits { body = \"2MiB\" header_count = 32 idle_timeout = \"2m\" request_line = 4096 }\n"
    "auth \"unix\" {\n"
    "  role \"shop\" { bound_uids = [1001]  policies = [\"shop\"]  max_leases = 20 }\n"
    "  role \"ops\" { bound_gids = [27, 28]  policies = [] }\n"
    "}\n"
    "plugin \"mosquitto\" { program = \"mqtt-users\" pool = 3 }\n"
    "policy \"shop\" {\n"
    "  path \"database/creds/shop-rw\" { capabilities = [\"read\"] }\n"
    "}\n";

/* The least that is whole, with more behind it. */
#define BASE                                                                                       \
	"data_dir = \"/d\"\nseal \"file\" { path = \"/k\" }\nlistener \"unix\" { path = \"/s\" "   \
	"}\n"

static void
the_sample_is_read(void **state)
{
	struct config_problems problems = {0};
	struct leased_err err = LEASED_ERR_INIT;
	struct config *config = NULL;

	(void)state;
	if (config_parse(sample, strlen(sample), &config, &problems, &err) != 0)
		fail_msg("%s: %s", err.text, problems.count > 0 ? problems.items[0].text : "");
	assert_int_equal(problems.count, 0);
	assert_string_equal(config->data_dir, "/var/lib/leased");
	assert_string_equal(config->seal_path, "/etc/leased/root.key");
	assert_string_equal(config->plugin_dir, "/opt/plugins");
	assert_int_equal(config->default_lease_ttl_s, 5400);
	assert_int_equal(config->max_lease_ttl_s, 32 * 86400);
	assert_int_equal(config->log_level, CONFIG_LOG_WARN);
	assert_int_equal(config->log_format, CONFIG_LOG_TEXT);
	assert_int_equal(config->listener_count, 2);
	assert_int_equal(config->listeners[0].kind, CONFIG_LISTENER_UNIX);
	assert_string_equal(config->listeners[0].path, "/run/leased/leased.sock");
	assert_int_equal(config->listeners[0].mode, 0600);
	assert_string_equal(config->listeners[0].group, "leased");
	assert_false(config->listeners[0].unauthenticated_metrics);
	assert_true(config->listeners[1].unauthenticated_metrics);
	assert_int_equal(config->listeners[1].kind, CONFIG_LISTENER_TCP);
	assert_string_equal(config->listeners[1].address, "127.0.0.1:8200");
	assert_true(config->listeners[1].tls_disable);
	assert_int_equal(config->limits.body, 2 << 20);
	assert_int_equal(config->limits.header_count, 32);
	assert_int_equal(config->limits.idle_timeout_s, 120);
	assert_int_equal(config->limits.request_line, 4096);
	assert_int_equal(config->limits.connections, 0);
	assert_int_equal(config->role_count, 2);
	assert_string_equal(config->roles[0].name, "shop");
	assert_int_equal(config->roles[0].line, 11);
	assert_int_equal(
	    json_integer_value(json_object_get(config->roles[0].body, "max_leases")), 20);
	assert_int_equal(config->policy_count, 1);
	assert_string_equal(config->policies[0].name, "shop");
	assert_string_equal(config->policies[0].text,
	    "\n  path \"database/creds/shop-rw\" { capabilities = [\"read\"] }\n");
	assert_int_equal(config->policies[0].line, 15);
	assert_int_equal(config->policies[0].column, 16);
	assert_int_equal(config->plugin_count, 1);
	assert_string_equal(config->plugins[0].name, "mosquitto");
	assert_string_equal(config->plugins[0].program, "mqtt-users");
	assert_int_equal(config->plugins[0].pool, 3);
	assert_int_equal(config->plugins[0].line, 14);
	config_free(config);
	config_problems_clear(&problems);
}

static void
what_is_left_out_has_a_default(void **state)
{
	struct config_problems problems = {0};
	struct config *config = NULL;

	(void)state;
	assert_int_equal(config_parse(BASE, strlen(BASE), &config, &problems, NULL), 0);
	assert_string_equal(config->plugin_dir, "/usr/libexec/leased/plugins");
	assert_int_equal(config->default_lease_ttl_s, 3600);
	assert_int_equal(config->max_lease_ttl_s, 32 * 86400);
	assert_int_equal(config->log_level, CONFIG_LOG_INFO);
	assert_int_equal(config->log_format, CONFIG_LOG_JSON);
	assert_int_equal(config->listeners[0].mode, 0660);
	assert_null(config->listeners[0].group);
	config_free(config);
	config_problems_clear(&problems);
}

static int
on_check_listener(const struct config_listener *listener, struct config_problems *problems,
    struct leased_err *err)
{
	assert_string_equal(listener->tls_cert_file, "/c");
	return (config_problem_add(problems, "4:1: asked", err));
}

static void
a_listener_with_tls_may_be_anywhere_and_its_files_are_asked_about(void **state)
{
	static const char text[] =
	    BASE "listener \"tcp\" { address = \"0.0.0.0:8200\" tls_cert_file = "
		 "\"/c\" tls_key_file = \"/k\" }\n"
		 "listener \"tcp\" { address = \"[::1]:1\" tls_disable = true }\n"
		 "listener \"tcp\" { address = \"[2001:db8::1]:1\" tls_cert_file = "
		 "\"/c\" tls_key_file = \"/k\" tls_min_version = \"1.2\" }\n";
	struct config_problems problems = {0};
	struct config *config = NULL;

	(void)state;
	assert_int_equal(config_parse(text, strlen(text), &config, &problems, NULL), 0);
	assert_string_equal(config->listeners[1].tls_key_file, "/k");
	assert_int_equal(config->listeners[1].tls_min_version, CONFIG_TLS_1_3);
	assert_int_equal(config->listeners[3].tls_min_version, CONFIG_TLS_1_2);
	config_free(config);
	config = NULL;
	problems.check_listener = on_check_listener;
	assert_int_equal(config_parse(text, strlen(text), &config, &problems, NULL), LEASED_EINVAL);
	assert_int_equal(problems.count, 2);
	config_problems_clear(&problems);
}

static void
json_is_read_too(void **state)
{
	static const char text[] = "{\"data_dir\":\"/d\",\"seal\":{\"file\":{\"path\":\"/"
				   "k\"}},\"listener\":[{\"unix\":{\"path\":\"/s\"}}],\n"
				   "\"log\":{\"level\":\"debug\"},\"policy\":{\"p\":{\"path\":{"
				   "\"a\":{\"policy\":\"read\"}}}}}";
	struct config_problems problems = {0};
	struct config *config = NULL;

	(void)state;
	assert_int_equal(config_parse(text, strlen(text), &config, &problems, NULL), 0);
	assert_int_equal(config->log_level, CONFIG_LOG_DEBUG);
	assert_string_equal(config->policies[0].text, "{\"path\":{\"a\":{\"policy\":\"read\"}}}");
	assert_int_equal(config->policies[0].line, 2);
	config_free(config);
	config_problems_clear(&problems);
}

/* Parses text, which must fail; all problems, one a line, as `leased check` prints them. */
static void
problems_of(const char *text, char *ret_lines, size_t size)
{
	struct config_problems problems = {0};
	struct leased_err err = LEASED_ERR_INIT;
	struct config *config = NULL;
	char line[600];

	ret_lines[0] = '\0';
	if (config_parse(text, strlen(text), &config, &problems, &err) != LEASED_EINVAL)
		fail_msg("taken: %s", text);
	assert_null(config);
	for (size_t i = 0; i < problems.count; i++) {
		config_problem_format(&problems.items[i], "f", line, sizeof(line));
		(void)strlcat(ret_lines, line, size);
		(void)strlcat(ret_lines, "\n", size);
	}
	config_problems_clear(&problems);
}

static const struct {
	const char *more, *says; /* behind BASE, whose three lines come first */
} mistakes[] = {
    {"plugin \"m\" { program = \"../x\" }", "f:4:14: \"program\" must be the name of a file"},
    {"plugin \"m\" { pool = 17 }", "f:4:14: \"pool\" is too large"},
    {"plugin \"m\" { progam = \"m\" }", "did you mean \"program\"?"},
    {"plugin \"M\" { program = \"m\" }", "is no name for a plugin"},
    {"plugin \"m\" {}\nplugin \"m\" {}", "f:5:1: plugin \"m\" stands in line 4 already"},
    {"data_dri = \"/x\"", "f:4:1: unknown key \"data_dri\"; did you mean \"data_dir\"?"},
    {"zzz = 1", "f:4:1: unknown key \"zzz\"\n"},
    {" audit \"socket\" { path = \"/a\" }",
	"f:4:2: audit \"socket\" is not available in this version"},
    {"audit \"file\" { path = \"a\" }", "f:4:16: \"path\" must be an absolute path"},
    {"audit \"fil\" { path = \"/a\" }", "f:4:1: unknown audit \"fil\"; use audit \"file\""},
    {"plugin_dir = \"plugins\"", "f:4:1: \"plugin_dir\" must be an absolute path"},
    {"plugin_dir = 1", "f:4:1: \"plugin_dir\" must be an absolute path"},
    {"max_lease_ttl = 3600", "f:4:1: \"max_lease_ttl\" needs a unit"},
    {"max_lease_ttl = \"3600\"", "f:4:1: \"max_lease_ttl\" needs a unit"},
    {"max_lease_ttl = 1.5", "f:4:1: \"max_lease_ttl\" needs a unit"},
    {"max_lease_ttl = \"\"", "must be a duration with its unit"},
    {"max_lease_ttl = \"-1h\"", "must be a duration with its unit"},
    {"max_lease_ttl = \"0s\"", "is too short"},
    {"max_lease_ttl = \"99999d\"", "is too long"},
    {"max_lease_ttl = true", "must be a duration with its unit"},
    {"default_lease_ttl = \"33d\"",
	"f:4:1: default_lease_ttl is 2851200s, longer than max_lease_ttl, 2764800s"},
    {"max_lease_ttl = \"30m\"",
	"f:4:1: default_lease_ttl is 3600s, longer than max_lease_ttl, 1800s"},
    {"log { level = \"loud\" }", "f:4:7: \"level\" is none of the words that may stand "
				 "here: debug, info, warn, error"},
    {"log { levle = \"info\" }", "f:4:7: unknown key \"levle\"; did you mean \"level\"?"},
    {"log {}\nlog {}", "f:5:1: a second block \"log\""},
    {"log = 1", "f:4:1: \"log\" is a block"},
    {"seal \"file\" { path = \"/k2\" }", "f:4:1: a second block \"seal\""},
    {"seal \"systemd\" { credential = \"root.key\" }",
	"f:4:1: seal \"systemd\" is not available in this version"},
    {"seal \"fil\" {}", "f:4:1: unknown seal \"fil\""},
    {"seal = \"file\"", "f:4:1: "},
    {"listener \"unix\" { path = \"/s\" }", "f:4:1: the same listener stands in line 3 already"},
    {"listener \"unix\" { path = \"run/s\" }", "f:4:19: \"path\" must be an absolute path"},
    {"listener \"unix\" {}", "f:4:1: listener \"unix\" needs \"path\""},
    {"listener \"unix\" { path = \"/t\" unauthenticated_metrics = 1 }",
	"\"unauthenticated_metrics\" must be"},
    {"listener \"udp\" {}", "f:4:1: unknown listener \"udp\""},
    {"listener \"unix\" { path = \"/t\" mode = \"rw\" }",
	"\"mode\" must be permission bits in octal"},
    {"listener \"unix\" { path = \"/t\" mode = \"0999\" }",
	"\"mode\" must be permission bits in octal"},
    {"listener \"unix\" { path = \"/t\" mode = 660 }", "\"mode\" must be permission bits in octal"},
    {"listener \"unix\" { path = \"/t\" mode = \"0060\" }",
	"\"mode\" must let the daemon's own user"},
    {"listener \"unix\" { path = \"/t\" group = \"\" }",
	"\"group\" must be a string that is not empty"},
    {"listener \"tcp\" { address = \"0.0.0.0:8200\" }",
	"f:4:1: listener \"tcp\" needs \"tls_cert_file\" and \"tls_key_file\""},
    {"listener \"tcp\" { address = \"127.0.0.1:8200\" }", "needs \"tls_cert_file\""},
    {"listener \"tcp\" { address = \"127.0.0.1:8200\" tls_disable = false }",
	"needs \"tls_cert_file\""},
    {"listener \"tcp\" { address = \"0.0.0.0:8200\" tls_disable = true }",
	"f:4:18: \"address\" is no loopback address"},
    {"listener \"tcp\" { address = \"[::]:8200\" tls_disable = true }", "no loopback address"},
    {"listener \"tcp\" { address = \"127.0.0.1:1\" tls_disable = \"true\" }",
	"\"tls_disable\" must be true or false"},
    {"listener \"tcp\" { address = \"127.0.0.1:1\" tls_disable = true tls_min_version = \"1.3\" }",
	"\"tls_min_version\" and \"tls_disable\" exclude each other"},
    {"listener \"tcp\" { address = \"127.0.0.1:1\" tls_disable = true tls_cert_file = \"/c\" "
     "tls_key_file = \"/k\" }",
	"\"tls_cert_file\" and \"tls_disable\" exclude each other"},
    {"listener \"tcp\" { address = \"127.0.0.1:1\" tls_key_file = \"/k\" }",
	"f:4:42: TLS needs both"},
    {"listener \"tcp\" { address = \"127.0.0.1:1\" tls_cert_file = \"c\" tls_key_file = \"/k\" }",
	"\"tls_cert_file\" must be an absolute path"},
    {"listener \"tcp\" { address = \"127.0.0.1:1\" tls_cert_file = \"/c\" tls_key_file = \"/k\" "
     "tls_min_version = \"1.1\" }",
	"\"tls_min_version\" is none of the words that may stand here: 1.2, 1.3"},
    {"listener \"tcp\" { address = \"127.0.0.1:1\" tls_client_ca_file = \"/c\" }",
	"\"tls_client_ca_file\" is not available in this version"},
    {"listener \"tcp\" { address = \"localhost:8200\" }", "numeric address"},
    {"listener \"tcp\" { address = \"127.0.0.1\" }", "must be \"HOST:PORT\""},
    {"listener \"tcp\" { address = \"127.0.0.1:0\" }", "must be \"HOST:PORT\""},
    {"listener \"tcp\" { address = \"127.0.0.1:65536\" }", "must be \"HOST:PORT\""},
    {"listener \"tcp\" { address = \"::1:8200\" }", "must be \"HOST:PORT\""},
    {"listener \"tcp\" { address = \"127.0.0.1:1\" tls_cert_file = \"/c\" }",
	"f:4:42: TLS needs both"},
    {"limits { body = \"1MB\" }", "\"body\" must be a number of bytes"},
    {"limits { body = 1 }", "\"body\" is too small"},
    {"limits { body = \"99GiB\" }", "\"body\" is too large"},
    {"limits { body = \"99999999999999999999\" }", "\"body\" is too large"},
    {"limits { header_count = \"64\" }", "\"header_count\" must be a whole number"},
    {"limits { idle_timeout = 75 }", "\"idle_timeout\" needs a unit"},
    {"limits { bodies = \"1MiB\" body = \"2MiB\" }", "\"bodies\" is smaller than \"body\""},
    {"limits { connections = 16 connections_reserved = 16 }", "leaves no connection"},
    {"auth \"jwt\" {}", "f:4:1: auth \"jwt\" is not available in this version"},
    {"auth \"unx\" {}", "f:4:1: unknown auth \"unx\""},
    {"auth \"unix\" { rolle \"x\" {} }", "f:4:15: unknown key \"rolle\"; did you mean \"role\"?"},
    {"auth \"unix\" { role = 1 }", "f:4:15: "},
    {"auth \"unix\" {\n role \"x\" { policies = [\"p\"] } }",
	"f:5:2: the role \"x\" would fit everybody"},
    {"auth \"unix\" {\n role \"x\" { policies = [\"p\"] bound_uids = [] } }",
	"would fit everybody"},
    {"auth \"unix\" { role \"x\" { bound_uids = [1] } }", "a role needs \"policies\""},
    {"auth \"unix\" { role \"x\" { bound_uids = [\"shop\"] policies = [\"p\"] } }",
	"\"bound_uids\" must be a list of numeric ids"},
    {"auth \"unix\" { role \"x\" { bound_uids = [-1] policies = [\"p\"] } }",
	"\"bound_uids\" must be a list of numeric ids"},
    {"auth \"unix\" { role \"x\" { bound_uids = [4294967295] policies = [\"p\"] } }",
	"\"bound_uids\" must be a list of numeric ids"},
    {"auth \"unix\" { role \"x\" { bound_uids = [65534] policies = [\"p\"] } }",
	"must not hold 65534"},
    {"auth \"unix\" { role \"x\" { bound_gids = [1] bound_units = [\"a.service\"] policies "
     "= [\"p\"] } }",
	"\"bound_units\" needs \"bound_uids\""},
    {"auth \"unix\" { role \"x\" { bound_uids = [1] policies = [\"Root\"] } }",
	"no role gives the policy \"root\""},
    {"auth \"unix\" { role \"x\" { bound_uids = [1] policies = \"p\" } }",
	"\"policies\" must be a list of strings"},
    {"auth \"unix\" { role \"x\" { bound_uids = [1] policies = [\"p\"] max_leases = 0 } }",
	"\"max_leases\" is too small"},
    {"auth \"unix\" { role \"a b\" { bound_uids = [1] policies = [\"p\"] } }",
	"\"a b\" is no name for a role"},
    {"auth \"unix\" { role \"x\" { bound_uids = [1] policies = [] } }\nauth \"unix\" { "
     "role \"x\" { bound_uids = [1] policies = [] } }",
	"f:5:15: the role \"x\" stands in line 4 already"},
    {"policy \"p\" {}\npolicy \"p\" {}", "f:5:1: the policy \"p\" stands in line 4 already"},
    {"policy { path \"a\" {} }", "f:4:10: \"policy\" is a block"},
    {"log { level = info }", "f:4:15: a text must be quoted"},
};

static void
each_mistake_is_named_with_its_place(void **state)
{
	char lines[2048], text[1024];

	(void)state;
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		(void)snprintf(text, sizeof(text), "%s%s", BASE, mistakes[i].more);
		problems_of(text, lines, sizeof(lines));
		if (strstr(lines, mistakes[i].says) == NULL)
			fail_msg("'%s' gave: %s", mistakes[i].more, lines);
	}
}

static void
what_is_missing_is_named(void **state)
{
	char lines[1024];

	(void)state;
	problems_of("", lines, sizeof(lines));
	assert_string_equal(lines, "f:1:1: the file needs \"data_dir\"\nf:1:1: the file needs "
				   "\"listener\"\nf:1:1: the file needs \"seal\"\n");
}

static void
all_mistakes_are_told_in_order_not_only_the_first(void **state)
{
	static const char text[] =
	    "data_dir = \"d\"\nmax_lease_ttl = 5\naudit \"file\" {}\nseal \"file\" { pth = \"/k\" "
	    "}\nlistener \"tcp\" { address = \"0.0.0.0:1\" }\n"
	    "auth \"unix\" {\n role \"x\" { bound_uid = [1] }\n}\n";
	static const char *const want[] = {"f:1:1: ", "f:2:1: ",
	    "f:3:1: audit \"file\" needs \"path\"", "f:4:1: seal \"file\" needs \"path\"",
	    "f:4:15: unknown key \"pth\"; did you mean \"path\"?", "f:5:1: listener",
	    "f:7:2: a role needs \"policies\"", "f:7:2: the role",
	    "f:7:13: unknown key \"bound_uid\"; did you mean \"bound_uids\"?"};
	char lines[2048], *at = lines;

	(void)state;
	problems_of(text, lines, sizeof(lines));
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		if (strncmp(at, want[i], strlen(want[i])) != 0)
			fail_msg("expected %s at: %s", want[i], at);
		at += strcspn(at, "\n") + 1;
	}
	assert_string_equal(at, "");
}

static void
a_root_key_beside_its_data_is_a_warning(void **state)
{
	static const char text[] = "data_dir = \"/d/\"\nseal \"file\" { path = \"/d/root.key\" "
				   "}\nlistener \"unix\" { path = \"/s\" }\n";
	struct config_problems problems = {0};
	struct config *config = NULL;
	char line[200], small[16];

	(void)state;
	assert_int_equal(config_parse(text, strlen(text), &config, &problems, NULL), 0);
	assert_int_equal(problems.count, 1);
	assert_true(problems.items[0].warning);
	config_problem_format(&problems.items[0], "f", line, sizeof(line));
	assert_int_equal(strncmp(line, "f:2:1: warning: the root key", 28), 0);
	config_problem_format(&problems.items[0], "f", small, sizeof(small));
	assert_string_equal(small + 12, "...");
	config_free(config);
	config_problems_clear(&problems);
}

static void
problems_from_outside_keep_their_place(void **state)
{
	struct config_problems problems = {0};

	(void)state;
	assert_int_equal(config_problem_add(&problems, "12:7: unknown capability", NULL), 0);
	assert_int_equal(config_problem_add(&problems, "no place: 1:2", NULL), 0);
	assert_int_equal(problems.items[0].line, 12);
	assert_int_equal(problems.items[0].column, 7);
	assert_string_equal(problems.items[0].text, "unknown capability");
	assert_int_equal(problems.items[1].line, 0);
	assert_string_equal(problems.items[1].text, "no place: 1:2");
	config_problems_clear(&problems);
}

static void
files_are_read_or_refused_by_name(void **state)
{
	struct config_problems problems = {0};
	struct leased_err err = LEASED_ERR_INIT;
	struct config *config = NULL;
	char path[] = "/tmp/leased-config-XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, sample, strlen(sample)), strlen(sample));
	assert_int_equal(config_load(path, &config, &problems, &err), 0);
	config_free(config);
	assert_int_equal(ftruncate(fd, 2 << 20), 0);
	assert_int_equal(config_load(path, &config, &problems, &err), LEASED_EINVAL);
	close(fd);
	unlink(path);
	assert_int_equal(config_load(path, &config, &problems, &err), LEASED_ENOENT);
	assert_non_null(strstr(err.text, path));
	assert_int_equal(config_load("/", &config, &problems, &err), LEASED_EINVAL);
	assert_int_equal(config_load("/dev/null", &config, &problems, &err), LEASED_EINVAL);
	config_problems_clear(&problems);
}

static int
parse_sample(void *arg)
{
	struct config_problems problems = {0};
	struct config *config = NULL;
	int r = config_parse(arg, strlen(arg), &config, &problems, NULL);

	config_free(config);
	config_problems_clear(&problems);
	return (r == LEASED_EINVAL ? 0 : r);
}

static void
running_out_of_memory_is_told_at_every_place(void **state)
{
	static char bad[] = "data_dri = 1\nplugin \"p\" {} plugin \"P\" {}\nseal \"x\" {}\nauth "
			    "\"unix\" { role \"x\" {} role \"x\" "
			    "{} }\npolicy \"p\" {}\npolicy \"p\" {}";
	char *good = strdup(sample);

	(void)state;
	assert_int_equal(leased_secret_setup(NULL), 0); /* jansson's memory counts too */
	assert_true(failalloc_each(parse_sample, good) > 20);
	assert_true(failalloc_each(parse_sample, bad) > 20);
	free(good);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_sample_is_read),
	    cmocka_unit_test(what_is_left_out_has_a_default),
	    cmocka_unit_test(a_listener_with_tls_may_be_anywhere_and_its_files_are_asked_about),
	    cmocka_unit_test(json_is_read_too),
	    cmocka_unit_test(each_mistake_is_named_with_its_place),
	    cmocka_unit_test(what_is_missing_is_named),
	    cmocka_unit_test(all_mistakes_are_told_in_order_not_only_the_first),
	    cmocka_unit_test(a_root_key_beside_its_data_is_a_warning),
	    cmocka_unit_test(problems_from_outside_keep_their_place),
	    cmocka_unit_test(files_are_read_or_refused_by_name),
	    cmocka_unit_test(running_out_of_memory_is_told_at_every_place),
	};

	return (cmocka_run_group_tests_name("config", tests, NULL, NULL));
}
