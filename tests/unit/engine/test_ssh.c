/*
 * SSH certificates: whose names may stand in one, which number it has, what a role allows.
 */
#include "unit/engine/ssh_fixture.h"

#define KEY_OF_A_TOKEN                                                                             \
	"sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAA"                   \
	"AIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4fAAAABHNzaDo="

/* ---- certificates ---- */

static void
a_certificate_has_its_lease_s_number_and_says_whose_it_is(void **state)
{
	struct fix *f = *state;
	struct answer *answer;
	char serial[32], key_id[LEASE_ID_MAX + 32];

	must(f, ENGINE_WRITE, "roles/app", ROLE);
	answer = sign(f, "app", "'valid_principals': 'web'");
	(void)snprintf(serial, sizeof(serial), "%lld", (long long)answer->row);
	assert_string_equal(text_at(made, "serial"), serial);
	assert_int_equal(strtoll(text_at(answer->data, "serial_number"), NULL, 16), answer->row);
	(void)snprintf(key_id, sizeof(key_id), "%s/e1/app", answer->lease_id);
	assert_string_equal(text_at(made, "key_id"), key_id);
	assert_string_equal(text_at(made, "type"), "user");
	assert_int_equal(answer->duration_s, 600);
	assert_int_equal(json_integer_value(json_object_get(made, "valid_before")) -
			     json_integer_value(json_object_get(made, "valid_after")),
	    630);
	assert_non_null(json_object_get(json_object_get(made, "extensions"), "permit-pty"));
	assert_principals("[\"web\"]");
}

static void
who_names_no_principal_gets_all_that_are_his_and_never_none(void **state)
{
	struct fix *f = *state;

	role(f, "two", "'allow_user_certificates': true, 'allowed_users': 'web, db'");
	sign(f, "two", "");
	assert_principals("[\"web\", \"db\"]");
	sign(f, "two", "'valid_principals': '', 'ttl': '', 'key_id': '', 'extensions': null");
	assert_principals("[\"web\", \"db\"]");
	role(f, "root", "'allow_user_certificates': true, 'default_user': 'root'");
	sign(f, "root", "'valid_principals': ''");
	assert_principals("[\"root\"]");
	role(f, "none", "'allow_user_certificates': true");
	no_sign(f, "none", "", "without a principal");
	no_sign(f, "none", "'valid_principals': 'web'", "not a valid value");
	role(f, "any", "'allow_user_certificates': true, 'allowed_users': '*'");
	no_sign(f, "any", "", "without a principal");
	sign(f, "any", "'valid_principals': 'someone'");
	assert_principals("[\"someone\"]");
}

static void
principals_that_no_lease_can_keep_are_refused_in_words_of_a_certificate(void **state)
{
	struct fix *f = *state;
	char members[64 * 130 + 64] = "'valid_principals': '";
	size_t len = strlen(members);

	role(f, "many", "'allow_user_certificates': true, 'allowed_users': '*'");
	for (unsigned i = 0; i < 64; i++)
		len += (size_t)snprintf(
		    members + len, sizeof(members) - len, "%su%0120u", i > 0 ? "," : "", i);
	(void)snprintf(members + len, sizeof(members) - len, "'");
	no_sign(f, "many", members, "the principals are too many");
}

static void
a_principal_that_a_host_could_take_for_more_is_refused(void **state)
{
	struct fix *f = *state;
	static const char *const bad[] = {"'*'", "'a,,b'", "',a'", "'a,'", "['a,b']", "['']",
	    "['a\\nb']", "['{{*']", "['{{a,b}}']", "['a b']", "['we*']", "['a?']", "[1]", "{}", "7",
	    "'\"'",
	    "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'"};
	char members[400];

	role(f, "any", "'allow_user_certificates': true, 'allowed_users': '*'");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char *body;

		if (strcmp(bad[i], "'\"'") == 0)
			continue;
		(void)snprintf(members, sizeof(members), "'valid_principals': %s", bad[i]);
		body = body_of(KEY_A, members);
		(void)refused(f, ENGINE_WRITE, "sign/any", body, LEASED_EINVAL, "valid_principals");
		free(body);
	}
	sign(f, "any", "'valid_principals': 'a , b,c'");
	assert_principals("[\"a\", \"b\", \"c\"]");
	sign(f, "any", "'valid_principals': ['a', 'a', 'b']");
	assert_principals("[\"a\", \"b\"]");
}

static void
a_template_s_value_is_one_principal_and_is_never_split(void **state)
{
	struct fix *f = *state;

	role(f, "t",
	    "'allow_user_certificates': true, 'allowed_users_template': true, 'allowed_users': "
	    "['team-{{identity.entity.metadata.team}}', "
	    "'{{identity.entity.aliases.auth_unix.name}}', 'web']");
	entity_put(f, "blue");
	sign(f, "t", "");
	assert_principals("[\"team-blue\", \"alice\", \"web\"]");
	no_sign(f, "t", "'valid_principals': 'team-red'", "not a valid value");
	entity_put(f, "blue,root");
	no_sign(f, "t", "", "can be no principal");
	entity_put(f, "*");
	no_sign(f, "t", "'valid_principals': 'web'", "can be no principal");
	entity_put(f, "a/b");
	no_sign(f, "t", "", "can be no principal");
	/* Who has no such value is entitled to nothing by it. */
	entity_put(f, "");
	sign(f, "t", "");
	assert_principals("[\"alice\", \"web\"]");
	(void)refused(f, ENGINE_WRITE, "roles/bad",
	    "{\"key_type\": \"ca\", \"allow_user_certificates\": true, \"allowed_users\": "
	    "\"{{identity.entity.name}}\"}",
	    LEASED_EINVAL, "allowed_users_template");
	(void)refused(f, ENGINE_WRITE, "roles/bad",
	    "{\"key_type\": \"ca\", \"allow_user_certificates\": true, \"allowed_users\": "
	    "\"{{identity.nobody}}\", \"allowed_users_template\": true}",
	    LEASED_EINVAL, "identity.nobody");
}

static void
a_role_s_own_options_are_not_loosened_by_a_request(void **state)
{
	struct fix *f = *state;
	const json_t *critical;

	role(f, "strict",
	    "'allow_user_certificates': true, 'allowed_users': 'web', 'source_address': "
	    "['10.0.0.0/8', '::1'], 'force_command': '/bin/true', "
	    "'allowed_extensions': 'permit-pty,permit-port-forwarding'");
	sign(f, "strict", "'extensions': {'permit-port-forwarding': ''}");
	critical = json_object_get(made, "critical_options");
	assert_string_equal(text_at(critical, "source-address"), "10.0.0.0/8,::1");
	assert_string_equal(text_at(critical, "force-command"), "/bin/true");
	assert_null(json_object_get(json_object_get(made, "extensions"), "permit-pty"));
	no_sign(f, "strict", "'critical_options': {'force-command': '/bin/sh'}", "set by the role");
	no_sign(f, "strict", "'extensions': {'permit-X11-forwarding': ''}", "not on allowed list");
	(void)refused(f, ENGINE_WRITE, "roles/bad",
	    "{\"key_type\": \"ca\", \"allow_user_certificates\": true, \"source_address\": "
	    "\"10.0.0.1/8\"}",
	    LEASED_EINVAL, "behind its prefix");
	(void)refused(f, ENGINE_WRITE, "roles/bad",
	    "{\"key_type\": \"ca\", \"allow_user_certificates\": true, \"source_address\": "
	    "\"10.0.0.300\"}",
	    LEASED_EINVAL, "no address");
}

/* sshd asks the signature of a security key whether its user was verified, and lets in any other.
 */
static void
who_is_to_be_verified_needs_a_key_that_can_tell(void **state)
{
	struct fix *f = *state;
	static const char *const roles[] = {"forced", "by_default", "asked"};
	char *asked = body_of(KEY_OF_A_TOKEN, "'critical_options': {'verify-required': ''}");
	char *plain = body_of(KEY_OF_A_TOKEN, "");

	role(f, "forced",
	    "'allow_user_certificates': true, 'allowed_users': 'web', 'verify_required': true");
	role(f, "by_default",
	    "'allow_user_certificates': true, 'allowed_users': 'web', 'default_critical_options': "
	    "{'verify-required': ''}");
	role(f, "asked", "'allow_user_certificates': true, 'allowed_users': 'web'");
	no_sign(f, "forced", "", "only a security key");
	no_sign(f, "by_default", "", "only a security key");
	no_sign(f, "asked", "'critical_options': {'verify-required': ''}", "only a security key");
	(void)refused(f, ENGINE_WRITE, "issue/forced", "{}", LEASED_EINVAL, "only a security key");
	for (size_t i = 0; i < 3; i++) {
		char path[64];

		(void)snprintf(path, sizeof(path), "sign/%s", roles[i]);
		json_decref(made);
		made = json_loads(text_at(must(f, ENGINE_WRITE, path, i == 2 ? asked : plain)->data,
				      "signed_key"),
		    0, NULL);
		assert_non_null(
		    json_object_get(json_object_get(made, "critical_options"), "verify-required"));
	}
	free(asked);
	free(plain);
}

static void
times_key_ids_kinds_and_lengths_are_the_role_s(void **state)
{
	struct fix *f = *state;

	must(f, ENGINE_WRITE, "roles/app", ROLE);
	no_sign(f, "app", "'ttl': '2h'", "ttl is larger than maximum allowed 3600");
	assert_int_equal(sign(f, "app", "'ttl': '1h'")->duration_s, 3600);
	no_sign(f, "app", "'cert_type': 'host'", "not allowed by role");
	no_sign(f, "app", "'key_id': 'mine'", "allow_user_key_ids");
	no_sign(f, "other", "", "unknown role");
	role(f, "ids",
	    "'allow_user_certificates': true, 'default_user': 'x', "
	    "'allow_user_key_ids': true, 'allowed_user_key_lengths': {'ed25519': 0}");
	sign(f, "ids", "'key_id': 'mine'");
	assert_string_equal(text_at(made, "key_id"), "mine");
	role(f, "rsa",
	    "'allow_user_certificates': true, 'default_user': 'x', "
	    "'allowed_user_key_lengths': {'rsa': [3072, 4096]}");
	no_sign(f, "rsa", "", "not allowed");
	(void)refused(f, ENGINE_WRITE, "roles/bad",
	    "{\"key_type\": \"ca\", \"allow_user_certificates\": true, \"ttl\": 60, \"max_ttl\": "
	    "30}",
	    LEASED_EINVAL, "max_ttl");
	(void)refused(f, ENGINE_WRITE, "roles/bad", "{\"key_type\": \"ca\"}", LEASED_EINVAL,
	    "must be set to 'true'");
	(void)refused(f, ENGINE_WRITE, "roles/bad",
	    "{\"key_type\": \"ca\", \"allow_user_certificates\": true, "
	    "\"allow_empty_principals\": true}",
	    LEASED_EINVAL, "good for everybody");
	(void)refused(f, ENGINE_WRITE, "sign/app", "{\"public_key\": \"nothing\"}", LEASED_EINVAL,
	    "public_key");
	(void)refused(f, ENGINE_WRITE, "sign/app", "{}", LEASED_EINVAL, "missing public_key");
}

static void
a_host_s_certificate_is_for_names_below_its_domains(void **state)
{
	struct fix *f = *state;

	role(f, "host",
	    "'allow_host_certificates': true, 'allowed_domains': 'example.com', "
	    "'allow_subdomains': true");
	sign(f, "host", "'cert_type': 'host', 'valid_principals': 'a.example.com'");
	assert_string_equal(text_at(made, "type"), "host");
	assert_int_equal(json_object_size(json_object_get(made, "extensions")), 0);
	no_sign(f, "host", "'valid_principals': 'example.com'", "not a valid value");
	no_sign(f, "host", "'valid_principals': 'badexample.com'", "not a valid value");
	no_sign(f, "host", "", "without a principal");
	role(f, "host", "'allow_bare_domains': true");
	sign(f, "host", "");
	assert_principals("[\"example.com\"]");
}

static void
max_leases_holds_and_an_end_gives_a_place_back(void **state)
{
	struct fix *f = *state;
	struct answer *answer;
	char *body = body_of(KEY_A, "");
	int64_t row;

	role(f, "few", "'allow_user_certificates': true, 'default_user': 'x', 'max_leases': 1");
	answer = sign(f, "few", "");
	row = answer->row;
	(void)refused(f, ENGINE_WRITE, "sign/few", body, LEASED_ELIMIT, "max_leases");
	revoke(f, row);
	sign(f, "few", "");
	free(body);
}

static void
no_two_certificates_have_one_serial_whatever_died(void **state)
{
	struct fix *f = *state;
	long long last = 0, serial;
	struct answer answer;
	char *body = body_of(KEY_A, "");

	must(f, ENGINE_WRITE, "roles/app", ROLE);
	sign(f, "app", ""); /* its workers are there */
	for (unsigned i = 0; i < 20; i++) {
		start(f, ENGINE_WRITE, "sign/app", body, &answer);
		/* So many steps of it, then everything that is in memory is lost. */
		for (unsigned step = 0; step < i % 6; step++)
			(void)store_pump(f->store);
		for (unsigned p = 0; p < f->port_count; p++) {
			const json_t *asked = json_object_get(
			    fake_port_params(f->ports[p], PLUGIN_OP_CERTIFY), "certificate");

			if (asked == NULL)
				continue;
			serial = strtoll(text_at(asked, "serial"), NULL, 10);
			assert_true(serial > last);
			last = serial;
		}
		fix_close(f);
		answer_clear(&answer);
		fix_open(f);
		sign(f, "app", "");
		serial = strtoll(text_at(made, "serial"), NULL, 10);
		assert_true(serial > last);
		last = serial;
	}
	free(body);
}

static void
what_no_worker_signs_leaves_no_lease(void **state)
{
	struct fix *f = *state;
	char *body = body_of(KEY_A, "");

	must(f, ENGINE_WRITE, "roles/app", ROLE);
	fake_port_fault(
	    last_port(f), PLUGIN_OP_CERTIFY, FAKE_FAULT_BEFORE, LEASED_EINVAL, "no such point");
	(void)refused(f, ENGINE_WRITE, "sign/app", body, LEASED_EINVAL, "no such point");
	assert_int_equal(rows(f), 0);
	fake_port_fault(
	    last_port(f), PLUGIN_OP_CERTIFY, FAKE_FAULT_BEFORE, LEASED_ECRASHED, "died");
	(void)refused(f, ENGINE_WRITE, "sign/app", body, LEASED_EUNAVAIL, "died");
	assert_int_equal(rows(f), 0);
	free(body);
}

/* ---- the rest ---- */

static void
roles_are_told_as_their_clients_expect_them(void **state)
{
	struct fix *f = *state;
	json_t *wanted;
	struct answer *answer;

	must(f, ENGINE_WRITE, "roles/app", ROLE);
	answer = must(f, ENGINE_LIST, "roles", NULL);
	wanted =
	    json_pack("{s:[s],s:{s:{s:s}}}", "keys", "app", "key_info", "app", "key_type", "ca");
	assert_true(json_equal(answer->data, wanted));
	json_decref(wanted);
	answer = must(f, ENGINE_READ, "roles/app", NULL);
	assert_string_equal(text_at(answer->data, "allowed_users"), "web,db");
	assert_int_equal(json_integer_value(json_object_get(answer->data, "ttl")), 600);
	/* What hvac sends: every field, most of them empty. */
	must(f, ENGINE_WRITE, "roles/hvac",
	    "{\"key\": \"\", \"admin_user\": \"\", \"default_user\": \"root\", \"cidr_list\": "
	    "\"\", "
	    "\"port\": 22, \"key_type\": \"ca\", \"key_bits\": 1024, \"install_script\": \"\", "
	    "\"allowed_users\": \"\", \"allowed_users_template\": \"\", \"allowed_domains\": \"\", "
	    "\"ttl\": \"\", \"max_ttl\": \"\", \"allowed_critical_options\": \"\", "
	    "\"allowed_extensions\": \"\", \"default_critical_options\": null, "
	    "\"default_extensions\": null, \"allow_user_certificates\": true, "
	    "\"allow_host_certificates\": false, \"allow_user_key_ids\": false, "
	    "\"key_id_format\": \"\", \"allowed_user_key_lengths\": null, \"algorithm_signer\": "
	    "\"\"}");
	sign(f, "hvac", "'valid_principals': '', 'ttl': ''");
	assert_principals("[\"root\"]");
	must(f, ENGINE_DELETE, "roles/app", NULL);
	assert_null(ask(f, ENGINE_READ, "roles/app", NULL)->data);
}

static void
a_serial_leads_to_its_lease(void **state)
{
	struct fix *f = *state;
	char path[64], lease_id[LEASE_ID_MAX];
	struct answer *answer;
	int64_t row;

	must(f, ENGINE_WRITE, "roles/app", ROLE);
	answer = sign(f, "app", "");
	row = answer->row;
	(void)snprintf(lease_id, sizeof(lease_id), "%s", answer->lease_id);
	(void)snprintf(path, sizeof(path), "verify/%lld", (long long)row);
	answer = must(f, ENGINE_READ, path, NULL);
	assert_string_equal(text_at(answer->data, "lease_id"), lease_id);
	assert_string_equal(text_at(answer->data, "entity_id"), "e1");
	revoke(f, row);
	assert_null(must(f, ENGINE_READ, path, NULL)->data);
	assert_null(must(f, ENGINE_READ, "verify/999999", NULL)->data);
}

static void
issue_makes_the_key_as_well(void **state)
{
	struct fix *f = *state;
	struct answer *answer;

	must(f, ENGINE_WRITE, "roles/app", ROLE);
	answer = must(f, ENGINE_WRITE, "issue/app", "{\"key_type\": \"ed25519\"}");
	assert_true(text_at(answer->data, "private_key")[0] != '\0');
	assert_non_null(strstr(answer->lease_id, "ssh/issue/app/"));
	(void)refused(
	    f, ENGINE_WRITE, "issue/app", "{\"key_type\": \"dsa\"}", LEASED_EINVAL, "key_type");
}

static void
only_what_hosts_need_is_open(void **state)
{
	static const char *const open[] = {"krl", "krl.sig", "public_key"};
	size_t count = 0;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		const char *name = NULL;
		const struct engine_path *path = engine_path_find(&engine_type_ssh, open[i], &name);

		assert_non_null(path);
		assert_true(path->is_open);
		assert_null(path->write);
	}
	for (size_t t = 0; engine_type_at(t) != NULL; t++)
		for (size_t i = 0; i < engine_type_at(t)->path_count; i++)
			count += engine_type_at(t)->paths[i].is_open;
	assert_int_equal(count, 3);
}

static void
a_mount_that_goes_takes_its_ca_along(void **state)
{
	struct fix *f = *state;
	struct answer answer;

	must(f, ENGINE_WRITE, "roles/app", ROLE);
	must(f, ENGINE_WRITE, "bans/x", "{\"key_id\": \"some\"}");
	revoke(f, sign(f, "app", "")->row);
	sign(f, "app", "");
	unmount_ask(f, "ssh/", &answer);
	later(f, 3);
	assert_int_equal(answer.code, 0);
	assert_int_equal(
	    docs(f, "ssh-ca") + docs(f, "ssh-krl") + docs(f, "ssh-revoked") + docs(f, "ssh-ban"),
	    0);
	mount_ask(f, "ssh/", "{\"type\": \"ssh\"}", &answer);
	settle(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    SSH_TEST(a_certificate_has_its_lease_s_number_and_says_whose_it_is),
	    SSH_TEST(who_names_no_principal_gets_all_that_are_his_and_never_none),
	    SSH_TEST(principals_that_no_lease_can_keep_are_refused_in_words_of_a_certificate),
	    SSH_TEST(a_principal_that_a_host_could_take_for_more_is_refused),
	    SSH_TEST(a_template_s_value_is_one_principal_and_is_never_split),
	    SSH_TEST(a_role_s_own_options_are_not_loosened_by_a_request),
	    SSH_TEST(who_is_to_be_verified_needs_a_key_that_can_tell),
	    SSH_TEST(times_key_ids_kinds_and_lengths_are_the_role_s),
	    SSH_TEST(a_host_s_certificate_is_for_names_below_its_domains),
	    SSH_TEST(max_leases_holds_and_an_end_gives_a_place_back),
	    SSH_TEST(no_two_certificates_have_one_serial_whatever_died),
	    SSH_TEST(what_no_worker_signs_leaves_no_lease),
	    SSH_TEST(roles_are_told_as_their_clients_expect_them),
	    SSH_TEST(a_serial_leads_to_its_lease),
	    SSH_TEST(issue_makes_the_key_as_well),
	    SSH_TEST(only_what_hosts_need_is_open),
	    SSH_TEST(a_mount_that_goes_takes_its_ca_along),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
