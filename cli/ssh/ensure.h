/*
 * Where `ensure` keeps key and certificate of a role, and what it makes of what it finds there.
 */
#ifndef CLI_SSH_ENSURE_H
#define CLI_SSH_ENSURE_H

#include <time.h>

#include "keypair.h"
#include "ssh.h"

/* Without a slash, for the names of files: ROLE, or MOUNT+ROLE for another mount than ssh. NULL: no
 * memory. */
char *ensure_name(const struct ssh_arguments *arguments, const char *role);
/* The directory, for free(); NULL and said: nobody says where it is. */
char *ensure_directory(const struct ssh_arguments *arguments);

enum ensure_state {
	ENSURE_GOOD,  /* enough life is left */
	ENSURE_RENEW, /* good still, and to be renewed: the key stays, since others use it now */
	ENSURE_MAKE,  /* nothing that can be used: key and certificate are made anew */
};
/* Of the texts of the two files, each NULL where it is not there. public: of the key, unless
 * all is made anew. */
enum ensure_state ensure_judge(const char *key_text, const char *certificate_text, time_t now,
    unsigned left_percent, uint8_t ret_public[KEYPAIR_PUBLIC_LEN]);

#endif
