/*
 * `lease ssh`: which of its commands is meant, and its help. What is no command is a host to log in
 * to.
 */
#include <string.h>

#include "options.h"
#include "ssh.h"

#define COMMON "mount "
#define WHO "identity key fingerprint key-id "

static const struct ssh_command login = {"", cli_ssh_login,
    COMMON "role ttl principals fresh confirm quiet",
    "[--role ROLE] [OPTION]... [USER@]HOST [SSH-ARGUMENT]...", "log in", ""};

static const struct ssh_command commands[] = {
    {"add", cli_ssh_add, COMMON "role ttl principals fresh confirm quiet",
	"[--role ROLE] [--ttl 1h] [--confirm]",
	"a key and its certificate into the ssh-agent, for as long as they are good", ""},
    {"sign", cli_ssh_sign, COMMON "role ttl principals out host quiet",
	"[--role ROLE] [--out FILE|-] [--host] KEY.pub", "a certificate for a key of your own",
	"Written beside the key, as KEY-cert.pub, where ssh finds it; --host: for the key of a "
	"host.\n"},
    {"ensure", cli_ssh_ensure, COMMON "role ttl principals left dir fresh quiet",
	"[--role ROLE] [--left 20] [--quiet]",
	"key and certificate in files, renewed when little of their life is left",
	"In ~/.local/state/lease/ssh. Prints nothing on stdout and asks nobody while more than "
	"20 %\nof its life is left: for `Match exec` of ssh's configuration, which `config` "
	"writes.\n"},
    {"config", cli_ssh_config, COMMON "role match dir address install uninstall",
	"--role ROLE --match 'HOSTS' [--install] | --uninstall [--role ROLE]",
	"make ssh use `ensure` for some hosts",
	"--install writes ~/.ssh/lease.conf, and one Include into ~/.ssh/config; without it the "
	"lines\nare printed. LEASE_ADDR, or --address, goes into them.\n"},
    {"needs-renewal", cli_ssh_needs_renewal, COMMON "role left dir host",
	"[--left 20] [--role ROLE | --host | CERTIFICATE...]",
	"status 0: a certificate is missing, has ended or soon will; 1: not yet; 2: usage", ""},
    {"doctor", cli_ssh_doctor, COMMON "sshd-config", "[--sshd-config FILE] [USER@]HOST",
	"why a login would be refused",
	"A line for each thing looked at: ok, WRONG or ?; status 1 when one is WRONG. On the "
	"host\nitself --sshd-config looks at its files, too.\n"},
    {"ca", cli_ssh_ca, COMMON "known-hosts", "[--known-hosts '*.example.com']",
	"the CA's public keys: for TrustedUserCAKeys, or for known_hosts", ""},
    {"host-cert", cli_ssh_host_cert, COMMON "role ttl principals left dir renew quiet",
	"[--role ROLE] [--principals NAME,..] [--renew] [KEY.pub]...",
	"certificates for the keys of this host",
	"For /etc/ssh/ssh_host_*_key.pub, under the host's own names, unless others are given. "
	"--renew:\nonly those of whose life less than a third is left.\n"},
    {"ban", cli_ssh_ban, COMMON WHO "name reason",
	"--identity NAME | --key FILE | --fingerprint SHA256:.. | --key-id ID  [--reason TEXT]",
	"no certificate any more, and those that there are stop working", ""},
    {"unban", cli_ssh_unban, COMMON WHO, "NAME", "end a ban", ""},
    {"bans", cli_ssh_bans, COMMON, "", "list them", ""},
    {"sync-host", cli_ssh_sync_host, COMMON "ca krl once status quiet",
	"[--ca /etc/ssh/lease_ca.pub] [--krl /etc/ssh/lease_revoked.krl] [--once | --status]",
	"keep sshd's file of revoked keys",
	"Waits for each new list, and takes one that a key of the --ca file has signed, that is "
	"not\nolder than what is there, and that ssh-keygen reads. It runs until it is ended; "
	"--once: asks\nonce; --status: says what is there.\n"},
    {NULL, NULL, NULL, NULL, NULL, NULL},
};

static int
help(void)
{
	const struct ssh_command *command;

	(void)printf(
	    "usage: lease ssh %s\n"
	    "       lease ssh COMMAND [OPTION]... [ARGUMENT]...\n\n"
	    "Logs in with a key that is made for it and a certificate that ends by itself; "
	    "both are held\nby the ssh-agent alone. What stands behind our options is "
	    "ssh's: `lease ssh --role prod -p 2222\nalice@web1 uptime`. A certificate that "
	    "the agent holds and that is good is used again.\n\ncommands:\n",
	    login.usage);
	for (command = commands; command->name != NULL; command++)
		(void)printf("  %-14s %s\n", command->name, command->summary);
	(void)fputs("\noptions:\n"
		    "  --role ROLE         the role that the certificate is for; else "
		    "LEASE_SSH_ROLE\n"
		    "  --mount MOUNT       where leased has the CA (ssh)\n"
		    "  --ttl DURATION      shorter than the role says\n"
		    "  --principals A,B    not all that the role gives\n"
		    "  --fresh             a new certificate, though there is a good one\n"
		    "  --confirm           the agent asks before each use of the key\n"
		    "  --quiet\n\n"
		    "exit status of a login: ssh's own; 125 failed before it, 127 there is no "
		    "ssh\n\n"
		    "examples:\n"
		    "  lease ssh --role prod alice@web1.prod.example.com\n"
		    "  lease ssh sign --role prod ~/.ssh/id_ed25519.pub\n"
		    "  lease ssh config --install --role prod --match '*.prod.example.com'\n"
		    "  lease ssh doctor alice@web1.prod.example.com\n",
	    stdout);
	return (CLI_OK);
}

static int
command_help(const struct ssh_command *command)
{
	(void)printf("usage: lease ssh %s %s\n\n%s.\n%s%s\n", command->name, command->usage,
	    command->summary, command->help[0] != '\0' ? "\n" : "", command->help);
	return (CLI_OK);
}

static const struct ssh_command *
command_find(const char *name)
{
	const struct ssh_command *command;

	for (command = commands; command->name != NULL; command++)
		if (strcmp(command->name, name) == 0)
			return (command);
	return (NULL);
}

static bool
asks_help(const char *text)
{
	return (text != NULL && (strcmp(text, "--help") == 0 || strcmp(text, "-h") == 0));
}

int
cli_run_ssh(const struct cli_options *options, int argc, char **argv)
{
	const struct ssh_command *command = &login, *found;
	struct ssh_arguments arguments;
	int r;

	(void)options;
	if (argc > 1 && asks_help(argv[1]))
		return (help());
	if (argc > 1 && (found = command_find(argv[1])) != NULL) {
		command = found;
		argc--;
		argv++;
		if (argc > 1 && asks_help(argv[1]))
			return (command_help(command));
	}
	r = options_take(command, command == &login, argc, argv, &arguments);
	return (r != 0 ? -r : command->run(&arguments));
}
