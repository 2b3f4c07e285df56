/*
 * `lease`: the command line of leased. It finds the subcommand and the options that all share; each
 * cmd_*.c does one thing with one or two requests.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static const char exit_codes[] =
    "exit status: 0 ok, 1 failed, 2 usage, 3 denied, 4 not found, 5 cannot reach leased,\n"
    "6 sealed or not ready, 7 backend failed, 8 lease expired or revoked, 9 some of many\n"
    "failed. exec: the child's own, 128+n by signal, 126 cannot run, 127 not found, 125\n"
    "failed before the start.\n";

const struct cli_command cli_commands[] = {
    {"get", cli_run_get, "ROLE|PATH", "make a credential and show it",
	"A name without a slash is a role of database/: `lease get app` reads\n"
	"database/creds/app. The credential ends with its lease; see exec for one that ends\n"
	"with a command. A static role has no lease: its password is rotated, and shown.\n\n"
	"examples:\n"
	"  lease get app\n"
	"  lease get database/static-creds/report\n"
	"  lease get -f password database/creds/app\n"
	"  eval \"$(lease get --format env app)\"   # USERNAME, PASSWORD, LEASE_ID ..\n",
	NULL},
    {"exec", cli_run_exec, "[--env NAME=FIELD]... ROLE|PATH -- COMMAND [ARG]...",
	"run a command with a credential that ends with it",
	"The child gets PGHOST, PGPORT, PGDATABASE, PGUSER and PGPASSWORD, or MYSQL_HOST,\n"
	"MYSQL_TCP_PORT, MYSQL_DATABASE, MYSQL_USER and MYSQL_PWD, as far as they are known; with\n"
	"--env only what you name. No shell is involved. Signals are passed on, the lease is\n"
	"renewed while the command runs and revoked when it ends.\n\n"
	"options:\n"
	"  --env NAME=FIELD   put FIELD (username, password, ..) into NAME, instead\n\n"
	"examples:\n"
	"  lease exec app -- psql -c 'select current_user'\n"
	"  lease exec shop -- sh -c 'mariadb -u \"$MYSQL_USER\" shop'   # the client reads no "
	"user\n"
	"  lease exec --env DB_USER=username --env DB_PASS=password app -- ./migrate\n",
	"--env"},
    {"list", cli_run_list, "[PREFIX]", "list your own leases, or all below a prefix",
	"options:\n"
	"  --state STATE   only leases in that state (live, disarming, disarmed, stuck)\n\n"
	"examples:\n"
	"  lease list\n"
	"  lease list database/creds/app      # everybody's ids, needs sudo on the path\n"
	"  lease list --state stuck           # revocations that need a person, needs sudo\n",
	"--state"},
    {"show", cli_run_show, "LEASE-ID", "show one lease",
	"One that has ended is shown for 24 hours, with state gone, its times, and what and\n"
	"who ended it; the exit status is 8 then.\n\n"
	"examples:\n"
	"  lease show database/creds/app/0000000C4kq2VbX9PnUwE7sd\n"
	"  lease show -f expire_time \"$LEASE_ID\"\n",
	NULL},
    {"renew", cli_run_renew, "LEASE-ID", "renew a lease",
	"options:\n"
	"  --increment DURATION   how long from now (1h, 90m, 3600); the role's own when absent\n\n"
	"examples:\n"
	"  lease renew --increment 30m \"$LEASE_ID\"\n",
	"--increment"},
    {"revoke", cli_run_revoke, "LEASE-ID... | --prefix PREFIX", "end leases now",
	"Returns when access has ended; what could not be ended yet is recorded, tried for\n"
	"ever, and said.\n\n"
	"options:\n"
	"  --prefix PREFIX   all leases below PREFIX; needs sudo on the path\n\n"
	"examples:\n"
	"  lease revoke \"$LEASE_ID\"\n"
	"  lease revoke --prefix database/creds/app\n",
	"--prefix"},
    {"abandon", cli_run_abandon, "LEASE-ID --reason TEXT",
	"drop the record of a lease that can never be ended",
	"For a backend that is gone for good. Only a lease that was revoked, or is over its time,\n"
	"can be abandoned: nothing is tried for it any more, its account may be left behind, and\n"
	"the audit says so. `lease list --state stuck` shows what may need it. Needs sudo.\n\n"
	"options:\n"
	"  --reason TEXT   why, for whoever reads the audit\n\n"
	"examples:\n"
	"  lease abandon --reason 'db7 was scrapped' \"$LEASE_ID\"\n",
	"--reason"},
    {"reconcile", cli_run_reconcile, "[--fix | --status] [CONNECTION]",
	"compare the accounts of backends with the leases",
	"leased does so by itself daily and when a server was restored. Accounts that carry its\n"
	"tag and whose lease has ended are disarmed; what it does not know is named, and removed\n"
	"with --fix. Needs sudo. CONNECTION is as in database/main; all when it is absent.\n\n"
	"options:\n"
	"  --fix      remove accounts that no lease has\n"
	"  --status   what was found last, without asking again\n\n"
	"examples:\n"
	"  lease reconcile\n"
	"  lease reconcile --fix database/main\n",
	"--fix|--status"},
    {"status", cli_run_status, "", "say whether leased is there and ready",
	"Exit status 0 when it is ready, 5 when it cannot be reached or does not answer, 6 when\n"
	"it is sealed or not ready: then not_ready says why.\n\n"
	"options:\n"
	"  --timeout SECONDS   how long to wait for an answer (5)\n\n"
	"examples:\n"
	"  lease status\n"
	"  lease status --timeout 2 --format json\n",
	"--timeout"},
    {"whoami", cli_run_whoami, "", "who leased takes you for, and your policies",
	"examples:\n  lease whoami\n  lease whoami -f policies\n", NULL},
    {"read", cli_run_read, "PATH", "read a path of the API",
	"examples:\n  lease read database/roles/app\n  lease read sys/mounts\n", NULL},
    {"write", cli_run_write, "PATH [KEY=VALUE]... | PATH - | PATH @FILE",
	"write to a path of the API",
	"KEY=VALUE is a string; a key given twice makes a list. KEY=@FILE takes the file's text,\n"
	"KEY=- standard input: so that a secret is never on the command line. KEY:=JSON is any\n"
	"JSON value. A lone - or @FILE is the whole body as JSON.\n\n"
	"examples:\n"
	"  lease write database/roles/app db_name=main grant_roles=app default_ttl=1h\n"
	"  lease write database/config/main plugin_name=postgresql-database-plugin \\\n"
	"      host=db.example dbname=app username=leased password=@/run/secrets/db \\\n"
	"      allowed_roles=app\n",
	NULL},
    {"delete", cli_run_delete, "PATH", "delete a path of the API",
	"examples:\n  lease delete database/roles/app\n", NULL},
    {"list-path", cli_run_list_path, "PATH", "list the keys below a path of the API",
	"examples:\n  lease list-path database/roles\n", NULL},
    {"ssh", cli_run_ssh, "[USER@]HOST [SSH-ARGUMENT]... | COMMAND",
	"log in by SSH with a certificate that ends by itself",
	"`lease ssh --help` lists the commands.\n", CLI_OWN_OPTIONS},
    {"restore", cli_run_restore, "status | release --takeover",
	"see and end the hold of a restored store",
	"A store that `leased restore` made of a backup is held: leased serves, and leaves the\n"
	"accounts of leases from before the backup alone, since the leased that made them may\n"
	"still run. When it is gone for good, release says so; needs sudo.\n\n"
	"examples:\n"
	"  lease restore status\n"
	"  lease restore release --takeover\n",
	"--takeover"},
    {NULL, NULL, NULL, NULL, NULL, NULL},
};

void
cli_print_safe(FILE *to, const char *text)
{
	const unsigned char *c = (const unsigned char *)text;

	for (; *c != '\0'; c++) {
		/* C0, DEL, and C1 as UTF-8 */
		if ((*c < 0x20 && *c != '\n' && *c != '\t') || *c == 0x7f)
			(void)fputc('?', to);
		else if (*c == 0xc2 && c[1] >= 0x80 && c[1] <= 0x9f) {
			(void)fputc('?', to);
			c++;
		} else
			(void)fputc(*c, to);
	}
}

static void
complain(const char *fmt, va_list args)
{
	char *text = NULL;

	if (vasprintf(&text, fmt, args) < 0)
		text = NULL;
	(void)fputs("lease: ", stderr);
	cli_print_safe(stderr, text != NULL ? text : "out of memory");
	(void)fputc('\n', stderr);
	free(text);
}

int
cli_fail(int code, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	complain(fmt, args);
	va_end(args);
	return (code);
}

int
cli_usage(const char *command, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	complain(fmt, args);
	va_end(args);
	(void)fprintf(stderr, "try: lease %s%s--help\n", command, command[0] != '\0' ? " " : "");
	return (CLI_USAGE);
}

static void
help(FILE *to)
{
	const struct cli_command *command;

	(void)fputs("usage: lease COMMAND [OPTION]... [ARGUMENT]...\n\n"
		    "Credentials that are made on demand and die by themselves.\n\ncommands:\n",
	    to);
	for (command = cli_commands; command->name != NULL; command++)
		(void)fprintf(to, "  %-10s %s\n", command->name, command->summary);
	(void)fputs("\noptions of every command:\n"
		    "  --format table|json|env   how to show the answer (table)\n"
		    "  -f, --field FIELD         print that field alone\n"
		    "  --help                    what a command does, with examples\n"
		    "  --version\n\n"
		    "environment:\n"
		    "  LEASE_ADDR     unix:///path, https://HOST:PORT, or http://.. on this "
		    "machine;\n"
		    "                 else VAULT_ADDR; else\n"
		    "                 /run/leased/leased.sock, else "
		    "$XDG_RUNTIME_DIR/leased/leased.sock\n"
		    "  LEASE_TOKEN    a token; else VAULT_TOKEN; without one, the kernel says who "
		    "you are\n"
		    "  LEASE_CACERT   the file with the certificate of a CA of your own, which "
		    "vouches for\n"
		    "                 https:// alone; LEASE_CAPATH: a directory of them; else "
		    "VAULT_..\n\n",
	    to);
	(void)fputs(exit_codes, to);
}

static int
command_help(const struct cli_command *command)
{
	(void)printf("usage: lease %s [OPTION]... %s\n\n%s.\n\n%s\noptions of every command: "
		     "--format table|json|env, -f FIELD, --help\n%s",
	    command->name, command->arguments, command->summary, command->help, exit_codes);
	return (CLI_OK);
}

static const struct cli_command *
command_find(const char *name)
{
	const struct cli_command *command;

	for (command = cli_commands; command->name != NULL; command++)
		if (strcmp(command->name, name) == 0)
			return (command);
	return (NULL);
}

/* Is arg the option name (with one dash or two)? Then *ret_value is what stands behind '=' or in
 * next, and *ret_used_next says which. */
static bool
option_is(
    const char *arg, const char *name, char *next, const char **ret_value, bool *ret_used_next)
{
	size_t len = strlen(name);

	if (arg[0] != '-')
		return (false);
	arg += arg[1] == '-' ? 2 : 1;
	if (strncmp(arg, name, len) != 0 || (arg[len] != '\0' && arg[len] != '='))
		return (false);
	*ret_used_next = arg[len] == '\0';
	*ret_value = arg[len] == '=' ? arg + len + 1 : next;
	return (true);
}

static int
format_parse(const char *text, struct cli_options *options)
{
	static const char *const names[] = {"table", "json", "env"};
	unsigned i;

	for (i = 0; text != NULL && i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(text, names[i]) == 0) {
			options->format = (enum cli_format)i;
			return (0);
		}
	return (-1);
}

/* One of the shared options at argv[0]: how many arguments it takes, 0 when it is none of them, -1
 * with a message when it is wrong. */
static int
shared_take(const struct cli_command *command, char **argv, struct cli_options *options)
{
	const char *value;
	bool used_next;

	if (option_is(argv[0], "format", argv[1], &value, &used_next)) {
		if (format_parse(value, options) == 0)
			return (1 + used_next);
		(void)cli_usage(command->name, "--format takes table, json or env");
		return (-1);
	}
	if (!option_is(argv[0], "field", argv[1], &value, &used_next) &&
	    !option_is(argv[0], "f", argv[1], &value, &used_next))
		return (0);
	if ((options->field = value) != NULL)
		return (1 + used_next);
	(void)cli_usage(command->name, "-f takes the name of a field");
	return (-1);
}

/* Is arg one of several options, "--fix|--status", which take no value? */
static bool
flag_is(const char *options, const char *arg)
{
	const char *at = options;
	size_t len;

	if (options == NULL || strchr(options, '|') == NULL)
		return (false);
	for (; *at != '\0'; at += len + (at[len] == '|')) {
		len = strcspn(at, "|");
		if (strlen(arg) == len && memcmp(at, arg, len) == 0)
			return (true);
	}
	return (false);
}

/* How many arguments the command's own option takes; the same as above. */
static int
own_take(const struct cli_command *command, char **argv)
{
	size_t len = command->option != NULL ? strlen(command->option) : 0;

	if (argv[0][0] != '-' || argv[0][1] == '\0')
		return (0);
	if (flag_is(command->option, argv[0]))
		return (1);
	if (len > 0 && strncmp(argv[0], command->option, len) == 0) {
		if (argv[0][len] == '=')
			return (1);
		if (argv[0][len] == '\0')
			return (argv[1] != NULL ? 2 : 1);
	}
	(void)cli_usage(command->name, "%s has no option %.60s", command->name, argv[0]);
	return (-1);
}

/* Takes the shared options out of argv, wherever they stand before a lone "--", so that a
 * subcommand sees only its own. The new argc, or -1 with *ret_exit. */
static int
options_take(const struct cli_command *command, int argc, char **argv, struct cli_options *options,
    int *ret_exit)
{
	bool is_exec = command->run == cli_run_exec;
	int i, kept = 1, took;

	for (i = 1; i < argc && strcmp(argv[i], "--") != 0;) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			*ret_exit = command_help(command);
			return (-1);
		}
		if ((took = shared_take(command, argv + i, options)) > 0) {
			i += took;
			continue;
		}
		if (took < 0 || (took = own_take(command, argv + i)) < 0) {
			*ret_exit = is_exec ? CLI_EXEC_FAILED : CLI_USAGE;
			return (-1);
		}
		for (took = took > 0 ? took : 1; took > 0; took--)
			argv[kept++] = argv[i++];
	}
	if (i < argc && !is_exec)
		i++; /* behind "--" nothing is an option; exec needs to see it */
	while (i < argc)
		argv[kept++] = argv[i++];
	argv[kept] = NULL;
	return (kept);
}

int
main(int argc, char **argv)
{
	struct cli_options options = {.format = CLI_FORMAT_TABLE};
	const struct cli_command *command;
	struct leased_err err = LEASED_ERR_INIT;
	int status = CLI_OK;

	if (argc < 2) {
		help(stderr);
		return (CLI_USAGE);
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
	    strcmp(argv[1], "help") == 0) {
		if (argc > 2 && (command = command_find(argv[2])) != NULL)
			return (command_help(command));
		help(stdout);
		return (CLI_OK);
	}
	if (strcmp(argv[1], "--version") == 0) {
		(void)printf("lease %s\n", LEASED_VERSION);
		return (CLI_OK);
	}
	if ((command = command_find(argv[1])) == NULL)
		return (cli_usage("", "there is no command \"%s\"", argv[1]));
	if (leased_secret_setup(&err) != 0)
		return (cli_fail(CLI_FAILED, "%s", err.text));
	argc--;
	if (command->option == NULL || strcmp(command->option, CLI_OWN_OPTIONS) != 0)
		argc = options_take(command, argc, argv + 1, &options, &status);
	if (argc >= 0)
		status = command->run(&options, argc, argv + 1);
	if (fflush(stdout) != 0 && status == CLI_OK)
		return (cli_fail(CLI_FAILED, "the output could not be written"));
	return (status);
}
