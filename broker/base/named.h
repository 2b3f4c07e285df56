/*
 * Files that a connection's configuration names, by their absolute paths: a worker may read these
 * beside what every program reads, and is replaced when one of them is.
 */
#ifndef BASE_NAMED_H
#define BASE_NAMED_H

#include <jansson.h>

#define NAMED_FILES_MAX 8
#define NAMED_PATH_MAX 256 /* with its NUL; what is longer is passed over */

struct named_files {
	unsigned count;
	char paths[NAMED_FILES_MAX][NAMED_PATH_MAX];
};

/*
 * From the strings of config, not from what is in its lists and objects: a value that is a path,
 * and what stands behind a '=' in one (key='/a b' and key=/a as in a connection string; in a URL
 * with its escapes decoded). Whether there is such a file is not looked at. Those beyond the
 * limits, or with characters that JSON escapes, are left out.
 */
void named_files_find(const json_t *config, struct named_files *ret_files);

#endif
