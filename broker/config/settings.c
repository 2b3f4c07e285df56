/*
 * Objects of leased.hcl by tables of settings: what is unknown, misplaced, wrong or missing becomes
 * a problem with its position, and reading goes on. Owns the list of problems. Called by config.c
 * and blocks.c.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/jdec.h"
#include "config/config_private.h"

static int
append_problem(
    struct config_problems *problems, struct hcl_position at, bool warning, const char *text)
{
	char *copy = strdup(text);

	if (copy == NULL)
		return (LEASED_ENOMEM);
	if (problems->count == problems->size) {
		size_t size = problems->size > 0 ? problems->size * 2 : 8;
		struct config_problem *items =
		    reallocarray(problems->items, size, sizeof(items[0]));

		if (items == NULL) {
			free(copy);
			return (LEASED_ENOMEM);
		}
		problems->items = items;
		problems->size = size;
	}
	problems->items[problems->count++] = (struct config_problem){
	    .line = at.line, .column = at.column, .warning = warning, .text = copy};
	return (0);
}

int
config_problem_add(struct config_problems *problems, const char *text, struct leased_err *err)
{
	struct hcl_position at = {0, 0};
	unsigned line, column;
	int len = 0;

	if (sscanf(text, "%9u:%9u: %n", &line, &column, &len) == 2 && len > 0) {
		at = (struct hcl_position){.line = line, .column = column};
		text += len;
	}
	if (append_problem(problems, at, false, text) != 0)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	return (0);
}

void
config_problems_clear(struct config_problems *problems)
{
	for (size_t i = 0; i < problems->count; i++)
		free(problems->items[i].text);
	free(problems->items);
	*problems = (struct config_problems){0};
}

static void add_formatted(struct config_reader *reader, const json_t *object, const char *key,
    bool warning, const char *fmt, va_list args) LEASED_PRINTF(5, 0);

static void
add_formatted(struct config_reader *reader, const json_t *object, const char *key, bool warning,
    const char *fmt, va_list args)
{
	struct hcl_position at = key != NULL ? hcl_key_position(reader->doc, object, key)
					     : hcl_object_position(reader->doc, object);
	char text[512];

	(void)vsnprintf(text, sizeof(text), fmt, args);
	if (append_problem(reader->problems, at, warning, text) != 0)
		reader->out_of_memory = true;
}

void
config_refuse(
    struct config_reader *reader, const json_t *object, const char *key, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	add_formatted(reader, object, key, false, fmt, args);
	va_end(args);
}

void
config_warn(
    struct config_reader *reader, const json_t *object, const char *key, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	add_formatted(reader, object, key, true, fmt, args);
	va_end(args);
}

static const struct config_setting *
find_setting(const struct config_setting *settings, const char *name)
{
	for (; settings->name != NULL; settings++)
		if (strcmp(settings->name, name) == 0)
			return (settings);
	return (NULL);
}

static const char *
nearest_setting(const struct config_setting *settings, const char *name)
{
	const char *names[64];
	size_t count = 0;

	for (; settings->name != NULL && count < 64; settings++)
		names[count++] = settings->name;
	return (jdec_nearest(name, names, count));
}

static void
refuse_unknown(struct config_reader *reader, const json_t *object, const char *key,
    const struct config_setting *settings)
{
	const char *nearest = nearest_setting(settings, key);

	if (nearest != NULL)
		config_refuse(reader, object, key, "unknown key \"%.64s\"; did you mean \"%s\"?",
		    key, nearest);
	else
		config_refuse(reader, object, key, "unknown key \"%.64s\"", key);
}

static void
read_member(struct config_reader *reader, const json_t *object, const char *key,
    const json_t *value, const struct config_setting *setting, void *target)
{
	void *at = setting->offset != CONFIG_NOWHERE && target != NULL
		       ? (char *)target + setting->offset
		       : NULL;
	const char *wrong = config_read_value(setting, value, at, &reader->out_of_memory);
	char words[128] = "";

	if (wrong == NULL)
		return;
	for (size_t i = 0; setting->kind == CONFIG_CHOICE && setting->choices[i] != NULL; i++) {
		(void)strlcat(words, i == 0 ? ": " : ", ", sizeof(words));
		(void)strlcat(words, setting->choices[i], sizeof(words));
	}
	config_refuse(reader, object, key, "\"%s\" %s%s", key, wrong, words);
}

void
config_read_settings(struct config_reader *reader, const json_t *object,
    const struct config_setting *settings, void *target, const char *what)
{
	const struct config_setting *setting;
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)object, key, value)
	{
		if ((setting = find_setting(settings, key)) == NULL)
			refuse_unknown(reader, object, key, settings);
		else if (setting->kind == CONFIG_LATER)
			config_refuse(
			    reader, object, key, "\"%s\" is not available in this version", key);
		else if (setting->kind != CONFIG_BLOCK)
			read_member(reader, object, key, value, setting, target);
	}
	for (setting = settings; setting->name != NULL; setting++)
		if (setting->required && json_object_get(object, setting->name) == NULL)
			config_refuse(reader, object, NULL, "%s needs \"%s\"", what, setting->name);
}

void
config_each_block(
    struct config_reader *reader, const json_t *object, const char *name, hcl_visit visit)
{
	struct leased_err err = LEASED_ERR_INIT;

	if (hcl_blocks(reader->doc, object, name, visit, reader, &err) != 0 &&
	    config_problem_add(reader->problems, err.text, NULL) != 0)
		reader->out_of_memory = true;
}

void *
config_append(struct config_reader *reader, void *array, size_t *count, size_t size)
{
	char *bytes = *(char **)array;
	char *grown = reallocarray(bytes, *count + 1, size);

	if (grown == NULL) {
		reader->out_of_memory = true;
		return (NULL);
	}
	*(char **)array = grown;
	memset(grown + *count * size, 0, size);
	return (grown + (*count)++ * size);
}
