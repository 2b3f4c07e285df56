/*
 * The command line of leased. What is wrong with it ends the process here, with status 2; --help
 * and the like end it with 0.
 */
#include <ctype.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon.h"

#include "auth/token.h"
#include "base/failpoint.h"
#include "base/jdec.h"

static const char usage_text[] =
    "leased hands out credentials that die by themselves.\n"
    "\n"
    "  leased -config FILE            serve as FILE says; SIGHUP reads it again\n"
    "  leased check -config FILE      say everything that is wrong with FILE, and serve nothing\n"
    "  leased audit verify -config FILE [LOG...]\n"
    "                                 find every record of the audit that was changed, cut or "
    "taken out;\n"
    "                                 LOGs of several rotations: the oldest first\n"
    "  leased backup FILE -config FILE   copy the store to FILE, also while leased serves\n"
    "  leased restore FILE -config FILE  make a store of such a copy, in an empty data_dir\n"
    "  leased fsck -config FILE       look through the store of a stopped leased; exit status 0:\n"
    "                                 clean, 1: repaired, 2: something is left\n"
    "  leased --dev                   try it out: everything in one directory, on this machine "
    "only\n"
    "\n"
    "With --dev:\n"
    "  --dev-dir DIR                  keep everything in DIR (default: a fresh, private one)\n"
    "  --dev-listen-address HOST:PORT plain HTTP there (default: " MAIN_TCP_DEFAULT
    "; port 0: any)\n"
    "  --dev-root-token-id TOKEN      the root token (default: a random one, in DIR/root-token)\n"
    "  --dev-audit FILE               record every request and change in FILE (default: nowhere)\n"
    "\n"
    "With backup, restore and fsck, which take /etc/leased/leased.hcl without -config:\n"
    "  --force                        backup: replace FILE\n"
    "  --with-key-check               backup: prove that the root key opens every row of it\n"
    "  --despite-damage               restore: also where a row of FILE does not open\n"
    "  --repair                       fsck: mend what can be mended\n"
    "\n"
    "  -plugin-dir DIR                the programs that reach the back ends (default: plugin_dir "
    "of FILE;\n"
    "                                 with --dev ../libexec/leased/plugins beside the binary)\n"
    "  --version, --help\n"
    "\n"
    "For example:\n"
    "  leased --dev --dev-root-token-id secret &\n"
    "  VAULT_ADDR=http://" MAIN_TCP_DEFAULT " VAULT_TOKEN=secret vault secrets list\n";

enum option_id {
	OPTION_DEV = 256,
	OPTION_DEV_DIR,
	OPTION_DEV_ADDRESS,
	OPTION_DEV_TOKEN,
	OPTION_DEV_AUDIT,
	OPTION_CONFIG,
	OPTION_PLUGIN_DIR,
	OPTION_REPAIR,
	OPTION_FORCE,
	OPTION_KEY_CHECK,
	OPTION_DESPITE_DAMAGE,
	OPTION_FAILPOINTS,
	OPTION_VERSION,
	OPTION_HELP,
};

static const struct option option_rows[] = {
    {"dev", no_argument, NULL, OPTION_DEV},
    {"dev-audit", required_argument, NULL, OPTION_DEV_AUDIT},
    {"dev-dir", required_argument, NULL, OPTION_DEV_DIR},
    {"dev-listen-address", required_argument, NULL, OPTION_DEV_ADDRESS},
    {"dev-root-token-id", required_argument, NULL, OPTION_DEV_TOKEN},
    {"config", required_argument, NULL, OPTION_CONFIG},
    {"plugin-dir", required_argument, NULL, OPTION_PLUGIN_DIR},
    {"repair", no_argument, NULL, OPTION_REPAIR},
    {"force", no_argument, NULL, OPTION_FORCE},
    {"despite-damage", no_argument, NULL, OPTION_DESPITE_DAMAGE},
    {"with-key-check", no_argument, NULL, OPTION_KEY_CHECK},
#ifdef LEASED_FAILPOINTS
    {"failpoints", no_argument, NULL, OPTION_FAILPOINTS},
#endif
    {"version", no_argument, NULL, OPTION_VERSION},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

_Noreturn static void
usage_exit(const char *why)
{
	(void)fprintf(stderr, "leased: %s\n`leased --help` shows how it is called\n", why);
	exit(2);
}

_Noreturn static void
print_failpoints(void)
{
#ifdef LEASED_FAILPOINTS
	for (int i = 0; i < FAILPOINT_COUNT; i++)
		(void)printf("%s\n", failpoint_name((enum failpoint_id)i));
#endif
	exit(0);
}

static void
take_option(struct main_options *options, int id)
{
	switch (id) {
	case OPTION_DEV:
		options->dev = true;
		break;
	case OPTION_DEV_DIR:
		options->dev_dir = optarg;
		break;
	case OPTION_DEV_ADDRESS:
		options->dev_address = optarg;
		break;
	case OPTION_DEV_TOKEN:
		options->dev_token = optarg;
		break;
	case OPTION_DEV_AUDIT:
		options->dev_audit = optarg;
		break;
	case OPTION_CONFIG:
		options->config = optarg;
		break;
	case OPTION_PLUGIN_DIR:
		options->plugin_dir = optarg;
		break;
	case OPTION_REPAIR:
		options->repair = true;
		break;
	case OPTION_FORCE:
		options->force = true;
		break;
	case OPTION_KEY_CHECK:
		options->key_check = true;
		break;
	case OPTION_DESPITE_DAMAGE:
		options->despite_damage = true;
		break;
	case OPTION_FAILPOINTS:
		print_failpoints();
	case OPTION_VERSION:
		(void)printf("leased %s (API of Vault %s)\n", LEASED_VERSION, API_VERSION);
		exit(0);
	case OPTION_HELP:
		(void)fputs(usage_text, stdout);
		exit(0);
	default:
		(void)fputs("`leased --help` shows how it is called\n", stderr);
		exit(2);
	}
}

_Noreturn static void
usage_exit_word(const char *word)
{
	char why[160];
	static const char *const words[] = {"audit", "check", "fsck", "backup", "restore"};
	const char *nearest = jdec_nearest(word, words, sizeof(words) / sizeof(words[0]));

	if (nearest != NULL)
		(void)snprintf(why, sizeof(why),
		    "there is no command \"%.64s\"; did you mean \"%s\"?", word, nearest);
	else
		(void)snprintf(why, sizeof(why), "\"%.64s\" is an argument too many", word);
	usage_exit(why);
}

#define CONFIG_DEFAULT "/etc/leased/leased.hcl" /* of these commands; a daemon is told */

/* fsck, backup, restore; how many words they take. */
static int
take_offline(struct main_options *options, int count, char **words)
{
	static const char *const names[] = {"", "fsck", "backup", "restore"};
	int taken = 0;

	for (unsigned i = MAIN_FSCK; count > 0 && i <= MAIN_RESTORE; i++)
		if (strcmp(words[0], names[i]) == 0) {
			options->command = (enum main_command)i;
			taken = 1;
		}
	if (options->command == MAIN_BACKUP || options->command == MAIN_RESTORE) {
		if (count < 2 || words[1][0] == '\0')
			usage_exit(options->command == MAIN_BACKUP
				       ? "backup needs the FILE to write"
				       : "restore needs the FILE to read");
		options->file = words[1];
		taken = 2;
	}
	if (options->repair && options->command != MAIN_FSCK)
		usage_exit("--repair is an option of fsck");
	if ((options->force || options->key_check) && options->command != MAIN_BACKUP)
		usage_exit("--force and --with-key-check are options of backup");
	if (options->despite_damage && options->command != MAIN_RESTORE)
		usage_exit("--despite-damage is an option of restore");
	if (options->command != MAIN_SERVE && options->dev)
		usage_exit("fsck, backup and restore need -config FILE");
	if (options->command != MAIN_SERVE && options->config == NULL)
		options->config = CONFIG_DEFAULT;
	return (taken);
}

static void
take_command(struct main_options *options, int count, char **words)
{
	int taken = take_offline(options, count, words);

	count -= taken;
	words += taken;
	if (count > 0 && taken == 0 && strcmp(words[0], "check") == 0) {
		options->check = true;
		count--;
		words++;
	} else if (count > 0 && taken == 0 && strcmp(words[0], "audit") == 0) {
		if (count < 2 || strcmp(words[1], "verify") != 0)
			usage_exit("it is `leased audit verify -config FILE [LOG...]`");
		options->audit_verify = true;
		options->files = words + 2;
		options->file_count = count - 2;
		count = 0;
	}
	if (count > 0)
		usage_exit_word(words[0]);
	if (options->check && options->config == NULL)
		usage_exit("check needs -config FILE");
	if (options->audit_verify && options->dev && options->dev_dir == NULL)
		usage_exit("audit verify needs --dev-dir DIR beside --dev");
}

/* Found before anything is made. A token goes through headers and files, a line each. */
static void
check_dev(const struct main_options *options)
{
	const char *token = options->dev_token;

	if (options->dev_dir != NULL && options->dev_dir[0] == '\0')
		usage_exit("--dev-dir needs a directory");
	for (size_t i = 0; token != NULL && (i == 0 || token[i] != '\0'); i++)
		if (i >= AUTH_TOKEN_MAX || !isgraph((unsigned char)token[i]))
			usage_exit(
			    "--dev-root-token-id must be printable ASCII without blanks, at most "
			    "255 characters");
	if (options->dev_address != NULL && strncmp(options->dev_address, "127.", 4) != 0 &&
	    strncmp(options->dev_address, "[::1]:", 6) != 0 &&
	    strncmp(options->dev_address, "localhost:", 10) != 0)
		usage_exit("--dev-listen-address must be of this machine, since --dev speaks plain "
			   "HTTP: 127.x.x.x:PORT, [::1]:PORT or localhost:PORT");
}

void
main_options_parse(int argc, char **argv, struct main_options *ret_options)
{
	struct main_options options = {0};
	int id;

	while ((id = getopt_long_only(argc, argv, "", option_rows, NULL)) != -1)
		take_option(&options, id);
	take_command(&options, argc - optind, argv + optind);
	if (options.dev == (options.config != NULL))
		usage_exit(options.dev ? "--dev and -config exclude each other"
				       : "either --dev or -config FILE must be given");
	if (!options.dev && (options.dev_dir != NULL || options.dev_address != NULL ||
				options.dev_token != NULL || options.dev_audit != NULL))
		usage_exit("the options --dev-.. need --dev");
	check_dev(&options);
	*ret_options = options;
}
