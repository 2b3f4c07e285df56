/*
 * leased --dev: everything in one private directory, unsealed, plain HTTP on loopback, a root
 * token, and a short text that says how to talk to it. For development only. Called by main.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon.h"
#include "sandbox.h"

#include "auth/token.h"
#include "base/log.h"

#define DEV_TTL_S 2764800 /* 768 h, as Vault has it */

struct dev {
	struct main_daemon *daemon;
	char dir[MAIN_PATH_MAX];
	char shared_socket[MAIN_PATH_MAX]; /* "" without one */
	unsigned port;
	/* the root token on its way */
	bool finished;
	int result;
	struct leased_err err;
	struct leased_secret *token;
};

/* ---- the directory ---- */

static int
dev_mkdir(const char *path, struct leased_err *err)
{
	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		return (leased_err_set(
		    err, LEASED_EIO, "cannot make the directory %s: %s", path, strerror(errno)));
	return (0);
}

/* It will hold a root key and a root token: ours alone. */
static int
dev_check_dir(const char *path, struct leased_err *err)
{
	struct stat status;

	if (lstat(path, &status) != 0 || !S_ISDIR(status.st_mode))
		return (leased_err_set(err, LEASED_EINVAL, "%s is no directory", path));
	if (status.st_uid != geteuid() || (status.st_mode & 077) != 0)
		return (leased_err_set(err, LEASED_EINVAL,
		    "%s must belong to uid %u and be open to nobody else: chmod 0700 it, or name "
		    "another with --dev-dir",
		    path, (unsigned)geteuid()));
	return (0);
}

static int
dev_fresh_dir(struct dev *dev, struct leased_err *err)
{
	const char *base = getenv("XDG_RUNTIME_DIR");

	if (base == NULL || base[0] != '/' || access(base, W_OK) != 0)
		base = "/tmp";
	if (snprintf(dev->dir, sizeof(dev->dir), "%s/leased-dev-XXXXXX", base) >=
	    (int)sizeof(dev->dir))
		return (leased_err_set(err, LEASED_ETOOBIG, "the directory's name is too long"));
	if (mkdtemp(dev->dir) == NULL)
		return (leased_err_set(
		    err, LEASED_EIO, "cannot make a directory in %s: %s", base, strerror(errno)));
	return (0);
}

/* Where `lease` looks by itself, when nobody asked for a place of their own. */
static int
dev_shared_socket(struct dev *dev, struct leased_err *err)
{
	const char *base = getenv("XDG_RUNTIME_DIR");
	char dir[MAIN_PATH_MAX];
	int r;

	if (base == NULL || base[0] != '/' || access(base, W_OK) != 0)
		return (0);
	if (snprintf(dir, sizeof(dir), "%s/leased", base) >= (int)sizeof(dir))
		return (leased_err_set(err, LEASED_ETOOBIG, "XDG_RUNTIME_DIR is too long"));
	if ((r = dev_mkdir(dir, err)) != 0 || (r = dev_check_dir(dir, err)) != 0)
		return (r);
	if (snprintf(dev->shared_socket, sizeof(dev->shared_socket), "%s/leased.sock", dir) >=
	    (int)sizeof(dev->shared_socket))
		return (leased_err_set(err, LEASED_ETOOBIG, "XDG_RUNTIME_DIR is too long"));
	return (0);
}

/* The whole path, since what is printed is used in other directories. */
static int
dev_place(struct dev *dev, const struct main_options *options, struct leased_err *err)
{
	char *path;
	size_t len;
	int r;

	if (options->dev_dir == NULL) {
		if ((r = dev_fresh_dir(dev, err)) != 0)
			return (r);
		return (dev_shared_socket(dev, err));
	}
	if ((r = dev_mkdir(options->dev_dir, err)) != 0)
		return (r);
	if ((path = realpath(options->dev_dir, NULL)) == NULL)
		return (leased_err_set(err, LEASED_EIO, "cannot find the directory %s: %s",
		    options->dev_dir, strerror(errno)));
	len = strlcpy(dev->dir, path, sizeof(dev->dir));
	free(path);
	if (len >= sizeof(dev->dir) - 32)
		return (leased_err_set(err, LEASED_ETOOBIG, "--dev-dir is too long"));
	return (dev_check_dir(dev->dir, err));
}

/* ---- the root token ---- */

static void
dev_token_path(const struct dev *dev, const char *suffix, char ret_path[MAIN_PATH_MAX + 32])
{
	(void)snprintf(ret_path, MAIN_PATH_MAX + 32, "%s/root-token%s", dev->dir, suffix);
}

/* The one of an earlier start, so that a restart changes nothing for clients. NULL: none. */
static struct leased_secret *
dev_token_read(const struct dev *dev)
{
	char path[MAIN_PATH_MAX + 32], text[AUTH_TOKEN_MAX + 2];
	struct leased_secret *token = NULL;
	ssize_t len;
	int fd;

	dev_token_path(dev, "", path);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)) < 0)
		return (NULL);
	if ((len = read(fd, text, sizeof(text))) > 1 && text[len - 1] == '\n')
		token = leased_secret_new(text, (size_t)len - 1);
	leased_wipe(text, sizeof(text));
	(void)close(fd);
	return (token);
}

static int
dev_token_write(const struct dev *dev, struct leased_err *err)
{
	char path[MAIN_PATH_MAX + 32], fresh[MAIN_PATH_MAX + 32];
	size_t len = leased_secret_len(dev->token);
	int fd, r = 0;

	dev_token_path(dev, "", path);
	dev_token_path(dev, ".new", fresh);
	(void)unlink(fresh);
	fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || write(fd, leased_secret_reveal(dev->token), len) != (ssize_t)len ||
	    write(fd, "\n", 1) != 1 || rename(fresh, path) != 0)
		r = leased_err_set(err, LEASED_EIO, "cannot write %s: %s", path, strerror(errno));
	if (fd >= 0)
		(void)close(fd);
	return (r);
}

static void
on_root_token(
    void *arg, int code, const struct auth_token_created *created, const struct leased_err *err)
{
	struct dev *dev = arg;

	dev->finished = true;
	dev->result = code;
	if (code == 0 && (dev->token = leased_secret_copy(created->token)) == NULL)
		dev->result = leased_err_set(&dev->err, LEASED_ENOMEM, "out of memory");
	else if (code != 0)
		dev->err = *err;
}

/* Does wish give the root policy already? */
static bool
dev_token_is_root(struct dev *dev, const char *wish)
{
	struct auth_token token = {0};
	struct leased_err err;
	bool root;

	if (auth_token_find(dev->daemon->auth, wish, &token, &err) != 0)
		return (false);
	root = json_is_true(json_object_get(token.row->data, "root"));
	auth_token_clear(&token);
	return (root);
}

static void
on_ended(void *arg, int code, const struct lease_job_status *status, const struct leased_err *err)
{
	struct dev *dev = arg;

	(void)status;
	dev->finished = true;
	if (code != 0)
		log_warn("the root token of an earlier start could not be ended", LOG_ERR(err));
}

/* A directory has one root token: the one of an earlier start ends when another is wished for. */
static void
dev_token_end(struct dev *dev, const char *text)
{
	struct auth_token token = {0};
	struct leased_err err;

	if (auth_token_find(dev->daemon->auth, text, &token, &err) != 0)
		return;
	dev->finished = false;
	auth_token_revoke(dev->daemon->auth, token.row->id, 0, "leased --dev", NULL, on_ended, dev);
	auth_token_clear(&token);
	while (!dev->finished)
		if (event_base_loop(dev->daemon->loop, EVLOOP_ONCE) != 0)
			log_fatal("the event loop ended at the start");
}

static int
dev_root_token(struct dev *dev, const char *wish, struct leased_err *err)
{
	struct leased_secret *before = dev_token_read(dev);
	const char *text = wish != NULL || before == NULL ? wish : leased_secret_reveal(before);
	bool written = false;
	int r = 0;

	if (text != NULL && dev_token_is_root(dev, text)) {
		if ((dev->token = leased_secret_new(text, strlen(text))) == NULL)
			r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
		/* Nothing to write: a full disk must not keep us from starting. */
		written = before != NULL && strcmp(text, leased_secret_reveal(before)) == 0;
		goto out;
	}
	auth_token_create_root(dev->daemon->auth, wish, on_root_token, dev);
	while (!dev->finished)
		if (event_base_loop(dev->daemon->loop, EVLOOP_ONCE) != 0)
			log_fatal("the event loop ended at the start");
	if ((r = dev->result) != 0) {
		*err = dev->err;
		(void)leased_err_prefix(err, "the root token was not made");
	}
out:
	if (r == 0 && !written)
		r = dev_token_write(dev, err);
	if (r == 0 && before != NULL &&
	    strcmp(leased_secret_reveal(before), leased_secret_reveal(dev->token)) != 0)
		dev_token_end(dev, leased_secret_reveal(before));
	leased_secret_free(before);
	return (r);
}

/* ---- listening and the text ---- */

/* The edge takes numbers only, so that it never asks a resolver. */
static void
dev_address(const char *wish, char ret_address[MAIN_PATH_MAX])
{
	bool by_name = wish != NULL && strncmp(wish, "localhost:", 10) == 0;

	if (wish == NULL)
		wish = MAIN_TCP_DEFAULT;
	(void)snprintf(ret_address, MAIN_PATH_MAX, "%s%s", by_name ? "127.0.0.1" : "",
	    by_name ? wish + strlen("localhost") : wish);
}

static int
dev_listen(struct dev *dev, const char *address, struct leased_err *err)
{
	struct http_server *server = dev->daemon->server;
	char path[MAIN_PATH_MAX + 32];
	int r;

	(void)snprintf(path, sizeof(path), "%s/leased.sock", dev->dir);
	if ((r = http_server_listen_unix(server, path, 0660, NULL, err)) != 0)
		return (r);
	if (dev->shared_socket[0] != '\0') {
		r = http_server_listen_unix(server, dev->shared_socket, 0600, NULL, err);
		if (r != 0)
			return (r);
	}
	if ((r = http_server_listen_tcp(server, address, &dev->port, err)) != 0)
		return (leased_err_prefix(
		    err, "plain HTTP (--dev-listen-address 127.0.0.1:0 takes a free port)"));
	return (0);
}

static void
dev_say(const struct dev *dev, const char *address)
{
	int host_len = (int)(strrchr(address, ':') - address);
	bool terminal = isatty(STDOUT_FILENO) == 1;
	char peers[64] = "root";

	if (geteuid() != 0)
		(void)snprintf(peers, sizeof(peers), "root and uid %u", (unsigned)geteuid());
	(void)printf(
	    "leased %s, for development only: plain HTTP, and root for whoever runs it.\n\n"
	    "  directory    %s\n"
	    "  Unix socket  %s/leased.sock (needs no token for %s)\n"
	    "  HTTP         http://%.*s:%u\n",
	    LEASED_VERSION, dev->dir, dev->dir, peers, host_len, address, dev->port);
	if (terminal)
		(void)printf("  root token   %s\n", leased_secret_reveal(dev->token));
	(void)printf("  root token   in %s/root-token\n\n"
		     "  export LEASE_ADDR=unix://%s/leased.sock\n"
		     "  export VAULT_ADDR=http://%.*s:%u VAULT_TOKEN=$(cat %s/root-token)\n\n",
	    dev->dir, dev->dir, host_len, address, dev->port, dev->dir);
	(void)fflush(stdout);
}

int
main_dev_start(
    struct main_daemon *daemon, const struct main_options *options, struct leased_err *err)
{
	char address[MAIN_PATH_MAX];
	struct dev dev = {.daemon = daemon};
	struct main_place place = {.dev = true, .default_ttl_s = DEV_TTL_S, .max_ttl_s = DEV_TTL_S};
	char root_key[MAIN_PATH_MAX + 32];
	int r;

	dev_address(options->dev_address, address);
	if ((r = dev_place(&dev, options, err)) != 0 ||
	    (r = main_sandbox_dev(dev.dir, dev.shared_socket[0] != '\0' ? dev.shared_socket : NULL,
		 options->dev_audit, err)) != 0)
		return (r);
	(void)snprintf(root_key, sizeof(root_key), "%s/root.key", dev.dir);
	place.data_dir = dev.dir;
	place.root_key = root_key;
	place.audit_path = options->dev_audit;
	if ((r = main_start_broker(daemon, &place, err)) != 0)
		return (r);
	if ((r = dev_root_token(&dev, options->dev_token, err)) != 0)
		goto out;
	if ((r = dev_listen(&dev, address, err)) != 0)
		goto out;
	if ((r = main_start_serving(daemon, err)) != 0)
		goto out;
	dev_say(&dev, address);
out:
	leased_secret_free(dev.token);
	return (r);
}
