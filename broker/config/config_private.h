/*
 * What the files of config/ share: the reader that collects problems, and tables of settings.
 */
#ifndef CONFIG_CONFIG_PRIVATE_H
#define CONFIG_CONFIG_PRIVATE_H

#include "base/hcl.h"
#include "config/config.h"

struct config_reader {
	const struct hcl_doc *doc;
	const char *text; /* of the file */
	struct config *config;
	struct config_problems *problems;
	bool out_of_memory; /* nothing more can be said */
};

enum config_kind {
	CONFIG_STRING,
	CONFIG_PROGRAM, /* a file's name, of a plugin */
	CONFIG_PATH,    /* absolute */
	CONFIG_SOCKET,  /* absolute, and short enough for a Unix socket */
	CONFIG_ADDRESS, /* HOST:PORT, numeric */
	CONFIG_BOOL,
	CONFIG_DURATION, /* int64_t seconds; the file must name the unit */
	CONFIG_SIZE,     /* int64_t bytes: a number, or "64KiB", "1MiB" */
	CONFIG_COUNT,    /* int64_t */
	CONFIG_MODE,     /* int64_t permission bits: "0660" */
	CONFIG_CHOICE,   /* int64_t: index of the word in choices */
	CONFIG_IDS,      /* a list of uids or gids; only checked */
	CONFIG_STRINGS,  /* a list of strings; only checked */
	CONFIG_BLOCK,    /* read elsewhere */
	CONFIG_LATER,    /* known, not available in this version */
};

#define CONFIG_NOWHERE ((size_t)-1)

/* One row a setting; a table ends with a row without a name. */
struct config_setting {
	const char *name;
	enum config_kind kind;
	bool required;
	size_t offset;              /* in the target struct; CONFIG_NOWHERE: only checked */
	int64_t min, max;           /* of numbers */
	const char *const *choices; /* CONFIG_CHOICE: up to a NULL */
};

/* Reads the settings of object into target, reporting what is unknown, wrong or missing. what:
 * "listener \"unix\"", for what is missing. */
void config_read_settings(struct config_reader *reader, const json_t *object,
    const struct config_setting *settings, void *target, const char *what);

/* Adds a problem at key of object, or at object itself (key NULL). */
void config_refuse(struct config_reader *reader, const json_t *object, const char *key,
    const char *fmt, ...) LEASED_PRINTF(4, 5);
void config_warn(struct config_reader *reader, const json_t *object, const char *key,
    const char *fmt, ...) LEASED_PRINTF(4, 5);

/* One value into *at (NULL: only checked); on a mistake a static text that says what it must be. */
const char *config_read_value(
    const struct config_setting *setting, const json_t *value, void *at, bool *ret_out_of_memory);

/* Of a CONFIG_ADDRESS that was taken: does it lead nowhere but to this machine? */
bool config_address_is_loopback(const char *address);

/* The blocks of the file, each into reader->config. */
void config_read_blocks(struct config_reader *reader, const json_t *root);
void config_read_auth(struct config_reader *reader, const json_t *root);
void config_read_policies(struct config_reader *reader, const json_t *root);

/* hcl_blocks(), with what is no block as a problem. */
void config_each_block(
    struct config_reader *reader, const json_t *object, const char *name, hcl_visit visit);

/* Makes room for one more element behind count of *array; NULL when memory runs out (noted). The
 * new element is zero. */
void *config_append(struct config_reader *reader, void *array, size_t *count, size_t size);

#endif
