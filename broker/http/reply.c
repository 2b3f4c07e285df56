/*
 * Replies: their head by the rules of the contract (Content-Type exact, Cache-Control: no-store),
 * the edge's own refusals and redirects, and writing it all out.
 *
 * Everything that was sent is wiped. Called by handlers through request.h and by connection.c.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <leased/secret.h>

#include "base/id.h"
#include "base/log.h"
#include "base/wclock.h"
#include "http/server.h"

/* The head without the caller's own headers; more than it can ever need. */
#define HEAD_ROOM 512u

static const struct {
	int status;
	const char *text;
} status_texts[] = {
    {200, "OK"},
    {202, "Accepted"},
    {204, "No Content"},
    {301, "Moved Permanently"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {400, "Bad Request"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {408, "Request Timeout"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
};

static const char *
status_text(int status)
{
	size_t i;

	for (i = 0; i < sizeof(status_texts) / sizeof(status_texts[0]); i++) {
		if (status_texts[i].status == status)
			return (status_texts[i].text);
	}
	return ("Status");
}

/* "Mon, 23 Nov 2026 02:57:43 GMT"; strftime() would ask the locale. */
static const char *
date_text(struct http_server *server)
{
	static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
	static const char months[12][4] = {
	    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	struct wclock *clock = wclock_system();
	time_t now_s = (time_t)(clock->wall_us(clock) / 1000000);
	struct tm tm = {0};

	if (now_s == server->date_s || gmtime_r(&now_s, &tm) == NULL)
		return (server->date);
	(void)snprintf(server->date, sizeof(server->date), "%s, %02d %s %04d %02d:%02d:%02d GMT",
	    days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour,
	    tm.tm_min, tm.tm_sec);
	server->date_s = now_s;
	return (server->date);
}

static void
wipe_free(char *text, size_t len)
{
	if (text != NULL)
		leased_wipe(text, len);
	free(text);
}

void
http_reply_clear(struct connection_output *output)
{
	wipe_free(output->head, output->head_len);
	wipe_free(output->body, output->body_len);
	*output = (struct connection_output){0};
}

static void
reply_clear(struct http_reply *reply)
{
	unsigned i;

	for (i = 0; i < reply->header_count; i++) {
		if (reply->headers[i].value != NULL)
			wipe_free(reply->headers[i].value, strlen(reply->headers[i].value));
		reply->headers[i].value = NULL;
	}
	reply->header_count = 0;
	wipe_free(reply->body, reply->body_len);
	reply->body = NULL;
	reply->body_len = 0;
}

void
http_reply_header(struct http_reply *reply, const char *name, const char *value)
{
	const unsigned char *at = (const unsigned char *)value;

	if (reply->header_count == HTTP_REPLY_HEADERS) {
		(void)bug(NULL, "a reply has no room for the header %s", name);
		return;
	}
	while (*at == '\t' || (*at >= 0x20 && *at != 0x7f))
		at++;
	if (*at != '\0') {
		(void)bug(NULL, "a control byte in the value of the header %s", name);
		return;
	}
	/* Out of memory leaves NULL, which http_reply_send() answers by closing. */
	reply->headers[reply->header_count].name = name;
	reply->headers[reply->header_count].value = strdup(value);
	reply->header_count++;
}

static bool
has_header(const struct http_reply *reply, const char *name)
{
	unsigned i;

	for (i = 0; i < reply->header_count; i++) {
		if (strcasecmp(reply->headers[i].name, name) == 0)
			return (true);
	}
	return (false);
}

static bool
has_no_content(int status)
{
	return (status == 204 || status == 304);
}

/* The size its head can have at most; 0 when a header's value is missing. */
static size_t
head_size(const struct http_reply *reply)
{
	size_t size = HEAD_ROOM;
	unsigned i;

	if (reply->content_type != NULL)
		size += strlen(reply->content_type);
	for (i = 0; i < reply->header_count; i++) {
		if (reply->headers[i].value == NULL)
			return (0);
		size += strlen(reply->headers[i].name) + strlen(reply->headers[i].value) + 4;
	}
	return (size);
}

static void __attribute__((format(printf, 3, 4)))
put(struct connection_output *output, size_t size, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(output->head + output->head_len, size - output->head_len, fmt, args);
	va_end(args);
	if (n > 0)
		output->head_len += (size_t)n;
}

/* false: out of memory. Takes the body out of reply when it is to be sent. */
static bool
format(struct http_connection *connection, struct http_reply *reply, bool is_head)
{
	struct connection_output *output = &connection->output;
	size_t size = head_size(reply);
	unsigned i;

	if (size == 0 || (output->head = malloc(size)) == NULL)
		return (false);
	put(output, size, "HTTP/1.1 %d %s\r\nDate: %s\r\n", reply->status,
	    status_text(reply->status), date_text(connection->server));
	if (!has_no_content(reply->status))
		put(output, size, "Content-Type: %s\r\nContent-Length: %zu\r\n",
		    reply->content_type != NULL ? reply->content_type : "application/json",
		    reply->body_len);
	if (!has_header(reply, "Cache-Control"))
		put(output, size, "Cache-Control: no-store\r\n");
	if (connection->close)
		put(output, size, "Connection: close\r\n");
	for (i = 0; i < reply->header_count; i++)
		put(output, size, "%s: %s\r\n", reply->headers[i].name, reply->headers[i].value);
	put(output, size, "\r\n");
	if (is_head || has_no_content(reply->status))
		return (true);
	output->body = reply->body;
	output->body_len = reply->body_len;
	reply->body = NULL;
	reply->body_len = 0;
	return (true);
}

void
http_reply_continue(struct http_connection *connection)
{
	static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";
	const struct iovec parts[2] = {{(char *)(uintptr_t)line, sizeof(line) - 1}, {NULL, 0}};
	size_t len = 0;

	connection->continued = true;
	/* All earlier replies are with the kernel, so that there is room; a client that has not
	 * read them does not get on. */
	if (http_stream_write(connection, parts, &len) != STREAM_OK || len != sizeof(line) - 1)
		http_connection_close(connection);
}

void
http_reply_write(struct http_connection *connection)
{
	struct connection_output *output = &connection->output;
	size_t len = output->head_len + output->body_len;

	while (output->sent < len) {
		size_t head_sent =
		    output->sent < output->head_len ? output->sent : output->head_len;
		size_t body_sent = output->sent - head_sent;
		struct iovec parts[2] = {{output->head + head_sent, output->head_len - head_sent},
		    {output->body_len > 0 ? output->body + body_sent : NULL,
			output->body_len - body_sent}};
		size_t n = 0;
		enum stream_result result = http_stream_write(connection, parts, &n);

		if (result == STREAM_AGAIN) {
			(void)event_add(&connection->on_write, NULL);
			return;
		}
		if (result != STREAM_OK) {
			connection->has_failed = true;
			http_connection_close(connection);
			return;
		}
		output->sent += n;
	}
	http_connection_written(connection);
}

/* Puts reply on its way; its rest is cleared. */
static void
begin(struct http_connection *connection, struct http_reply *reply)
{
	/* Nothing was said about a method that is not known: then the body is sent, and the
	 * connection closed behind it. */
	bool is_head = connection->parser.method_known && connection->parser.method == HTTP_HEAD;

	connection->close = connection->close || reply->close || connection->server->is_stopping;
	http_connection_enter(connection, CONNECTION_WRITING);
	if (!format(connection, reply, is_head)) {
		reply_clear(reply);
		http_connection_close(connection);
		return;
	}
	reply_clear(reply);
	http_parser_reset(&connection->parser);
	http_reply_write(connection);
}

static struct http_connection *
connection_of(struct http_request *request)
{
	return (http_connection_from((char *)request - offsetof(struct http_connection, request)));
}

const char *
http_request_header(const struct http_request *request, const char *name)
{
	/* Only the edge makes requests: each is a part of its connection. */
	const struct http_connection *connection = http_connection_from(
	    (char *)(uintptr_t)request - offsetof(struct http_connection, request));

	return (http_parser_field(&connection->parser, name));
}

void
http_reply_send(struct http_request *request, struct http_reply *reply)
{
	struct http_connection *connection = connection_of(request);
	struct connection_watch *watch = http_delivery_slot(connection);

	if (!connection->has_request)
		log_fatal("a request was answered twice");
	connection->has_request = false;
	if (reply->on_delivery != NULL && watch == NULL)
		log_fatal("a request was handed out with nowhere to watch its reply");
	if (reply->on_delivery != NULL)
		http_delivery_begin(connection, watch, reply->on_delivery, reply->on_delivery_arg);
	if (connection->state == CONNECTION_CLOSED) {
		reply_clear(reply);
		http_connection_turn(connection);
		return;
	}
	begin(connection, reply);
}

/* text without what JSON would need escaped: reasons are ours, but a path may be quoted in one. */
static int
error_body(const char *text, const char *id, char **ret_body)
{
	char clean[sizeof(((struct http_parser *)NULL)->reason)];
	size_t i;

	for (i = 0; text[i] != '\0' && i < sizeof(clean) - 1; i++) {
		unsigned char c = (unsigned char)text[i];

		clean[i] = c < 0x20 || c >= 0x7f || c == '\\' ? '?' : (char)c;
		if (c == '"')
			clean[i] = '\'';
	}
	clean[i] = '\0';
	return (asprintf(ret_body, "{\"errors\":[\"%s (request id %s)\"]}\n", clean, id));
}

/* Its reason is for the client alone: it may quote a path, and that a token. */
static void
log_error_reply(const struct http_connection *connection, int status, const char *id)
{
	const struct http_peer *peer = &connection->peer;
	uint64_t left_out;

	if (log_limited(&connection->server->error_log, &left_out))
		log_info("a request was answered with an error before it was looked at",
		    LOG_S("request", id), LOG_I("status", status), LOG_I("uid", peer->uid),
		    LOG_S("address", peer->address), LOG_I("others_left_out", left_out));
}

static void
begin_error(struct http_connection *connection, struct http_reply *reply, const char *text)
{
	char id[ID_UUID_SIZE];
	int len;

	id_uuid(id_source_system(), id);
	http_reply_header(reply, "X-Request-Id", id);
	log_error_reply(connection, reply->status, id);
	if ((len = error_body(text, id, &reply->body)) < 0) {
		reply->body = NULL;
		http_connection_close(connection);
		reply_clear(reply);
		return;
	}
	reply->body_len = (size_t)len;
	begin(connection, reply);
}

void
http_reply_refuse(struct http_connection *connection, int status, const char *reason)
{
	struct http_reply reply = {.status = status, .close = true};

	if (status == 405)
		http_reply_header(&reply, "Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, LIST");
	begin_error(connection, &reply, reason);
}

/* Percent-encodes what may not stand in a URL; ret_text has room for three times the length. */
static void
encode_path(const char *path, char *ret_text)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
				    "-._~/!$&'()*+,;=:@";
	static const char digits[] = "0123456789ABCDEF";

	for (; *path != '\0'; path++) {
		unsigned char c = (unsigned char)*path;

		if (strchr(plain, c) != NULL) {
			*ret_text++ = (char)c;
			continue;
		}
		*ret_text++ = '%';
		*ret_text++ = digits[c >> 4];
		*ret_text++ = digits[c & 15];
	}
	*ret_text = '\0';
}

void
http_reply_redirect(struct http_connection *connection)
{
	const struct http_request *request = &connection->request;
	bool is_read = request->method == HTTP_GET || request->method == HTTP_HEAD ||
		       request->method == HTTP_LIST;
	struct http_reply reply = {.status = is_read ? 301 : 307};
	char *path = malloc(3 * strlen(request->path) + 1), *location = NULL;

	connection->has_request = false;
	if (path != NULL) {
		encode_path(request->path, path);
		if (asprintf(&location, "%s%s%s", path, request->query[0] != '\0' ? "?" : "",
			request->query) < 0)
			location = NULL;
	}
	free(path);
	if (location == NULL) {
		http_connection_close(connection);
		return;
	}
	http_reply_header(&reply, "Location", location);
	free(location);
	begin_error(connection, &reply, "the path has repeated slashes; follow the redirect");
}
