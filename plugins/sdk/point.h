/*
 * Places within a plugin's handler where a test has the worker die or wait (base/failpoint.h, which
 * plugins do not see). Nothing in a release.
 */
#ifndef SDK_POINT_H
#define SDK_POINT_H

enum sdk_point {
	SDK_POINT_PUSH_UPLOADING, /* a part of a file is written on a host */
	SDK_POINT_PUSH_RENAME     /* all of it; it is not in its place yet */
};
void sdk_point_pass(enum sdk_point point);

#endif
