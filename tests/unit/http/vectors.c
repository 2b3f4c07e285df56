/*
 * The table of vectors. Called by test_vectors.c and test_tls.c.
 */
#include "vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HOST "Host: leased\r\n"
#define GET "GET /v1/sys/health HTTP/1.1\r\n"
#define POST "POST /v1/x HTTP/1.1\r\n"
#define CHUNKED "Transfer-Encoding: chunked\r\n"
#define END "\r\n"

#define ONE(name, status, text)                                                                    \
	{                                                                                          \
		name, status, text, sizeof(text) - 1, "", 0, ""                                    \
	}
#define MANY(name, status, first, again, count, last)                                              \
	{                                                                                          \
		name, status, first, sizeof(first) - 1, again, count, last                         \
	}

const struct vector vectors[] = {
    ONE("plain get", 0, GET HOST END),
    ONE("head", 0, "HEAD /v1/sys/health HTTP/1.1\r\n" HOST END),
    ONE("list", 0, "LIST /v1/sys/policies/acl HTTP/1.1\r\n" HOST END),
    ONE("patch with a body", 0,
	"PATCH /v1/x HTTP/1.1\r\n" HOST
	"Content-Type: application/merge-patch+json\r\nContent-Length: 2\r\n\r\n{}"),
    ONE("put", 0, "PUT /v1/x HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n"),
    ONE("delete", 0, "DELETE /v1/x?a=b&c HTTP/1.1\r\n" HOST END),
    ONE("post without a length has no body", 0, POST HOST END),
    ONE("header name in lower case", 0, GET "host: leased\r\n\r\n"),
    ONE("blanks around a value", 0, GET "Host: \t leased \t\r\n\r\n"),
    ONE("empty Host, as sent over a Unix socket", 0, GET "Host:\r\n\r\n"),
    ONE("empty value", 0, GET HOST "X-Vault-Namespace:\r\n\r\n"),
    ONE("high bytes in a value that nobody reads", 0, GET HOST "X-Name: \xc3\xa9\r\n\r\n"),
    ONE("body by length", 0, POST HOST "Content-Length: 2\r\n\r\n{}"),
    ONE("body by chunks", 0, POST HOST CHUNKED "\r\n2\r\n{}\r\n0\r\n\r\n"),
    ONE("two chunks", 0, POST HOST CHUNKED "\r\n1\r\n{\r\n01\r\n}\r\n000\r\n\r\n"),
    ONE("chunk size in upper case, encoding in mixed case", 0,
	POST HOST "Transfer-Encoding: Chunked\r\n\r\nA\r\n{        }\r\n0\r\n\r\n"),
    ONE("HTTP/1.0 without Host", 0, "GET /v1/x HTTP/1.0\r\n\r\n"),
    ONE("a colon in a value", 0, GET HOST "X: a:b\r\n\r\n"),
    ONE("repeated list header", 0, GET HOST "Accept: a\r\nAccept: b\r\n\r\n"),
    MANY("64 headers", 0, GET HOST, "A: b\r\n", 63, END),
    MANY("a request line of 8 KiB", 0, "GET /", "a", 8192 - 14, " HTTP/1.1\r\n" HOST END),

    ONE("two lengths that differ", 400,
	POST HOST "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
    ONE("two lengths that agree", 400,
	POST HOST "Content-Length: 2\r\ncontent-length: 2\r\n\r\n{}"),
    ONE("length and chunked", 400,
	POST HOST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ONE("chunked and length", 400,
	POST HOST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
    ONE("length with a plus", 400, POST HOST "Content-Length: +2\r\n\r\n{}"),
    ONE("length below zero", 400, POST HOST "Content-Length: -1\r\n\r\n"),
    ONE("length with a blank inside", 400, POST HOST "Content-Length: 1 2\r\n\r\n{}"),
    ONE("length as a list", 400, POST HOST "Content-Length: 2, 2\r\n\r\n{}"),
    ONE("length in hexadecimal", 400, POST HOST "Content-Length: 0x2\r\n\r\n{}"),
    ONE("length past 64 bits", 413, POST HOST "Content-Length: 18446744073709551618\r\n\r\n{}"),
    ONE("empty length", 400, POST HOST "Content-Length: \r\n\r\n{}"),
    ONE("length over the limit", 413, POST HOST "Content-Length: 1048577\r\n\r\n{}"),
    ONE("length far over the limit", 413, POST HOST "Content-Length: 99999999999\r\n\r\n{}"),
    ONE("encoding gzip, chunked", 501,
	POST HOST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    ONE("encoding twice", 400, POST HOST CHUNKED CHUNKED "\r\n0\r\n\r\n"),
    ONE("encoding identity", 501,
	POST HOST "Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}"),
    ONE("encoding empty", 501, POST HOST "Transfer-Encoding:\r\n\r\n0\r\n\r\n"),
    ONE("tab before the colon of the encoding", 400,
	POST HOST "Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n"),
    ONE("vertical tab before chunked", 400,
	POST HOST "Transfer-Encoding: \x0b"
		  "chunked\r\n\r\n0\r\n\r\n"),
    ONE("chunk size 0x2", 400, POST HOST CHUNKED "\r\n0x2\r\n{}\r\n0\r\n\r\n"),
    ONE("chunk size below zero", 400, POST HOST CHUNKED "\r\n-2\r\n{}\r\n0\r\n\r\n"),
    ONE("blank before a chunk size", 400, POST HOST CHUNKED "\r\n 2\r\n{}\r\n0\r\n\r\n"),
    ONE("blank behind a chunk size", 400, POST HOST CHUNKED "\r\n2 \r\n{}\r\n0\r\n\r\n"),
    ONE("empty chunk size", 400, POST HOST CHUNKED "\r\n\r\n{}\r\n0\r\n\r\n"),
    ONE("chunk extension", 400, POST HOST CHUNKED "\r\n2;a=b\r\n{}\r\n0\r\n\r\n"),
    ONE("chunk size past 64 bits", 413,
	POST HOST CHUNKED "\r\n10000000000000002\r\n{}\r\n0\r\n\r\n"),
    ONE("chunk size of many zeros", 400, POST HOST CHUNKED "\r\n0000000002\r\n{}\r\n0\r\n\r\n"),
    ONE("chunk over the body's limit", 413, POST HOST CHUNKED "\r\n100001\r\n"),
    ONE("chunk longer than said", 400, POST HOST CHUNKED "\r\n1\r\n{}\r\n0\r\n\r\n"),
    ONE("chunk shorter than said", 400, POST HOST CHUNKED "\r\n3\r\n{}\r\n0\r\n\r\n"),
    ONE("chunk lines ended by LF", 400, POST HOST CHUNKED "\r\n2\n{}\n0\n\n"),
    ONE("chunk data ended by LF", 400, POST HOST CHUNKED "\r\n2\r\n{}\n0\r\n\r\n"),
    ONE("trailer that smuggles a length", 400,
	POST HOST CHUNKED "\r\n0\r\nContent-Length: 5\r\n\r\n"),
    ONE("chunked in HTTP/1.0", 400, "POST /v1/x HTTP/1.0\r\n" HOST CHUNKED "\r\n0\r\n\r\n"),

    ONE("lines ended by LF", 400, "GET /v1/sys/health HTTP/1.1\nHost: leased\n\n"),
    ONE("head ended by LF", 400, GET HOST "\n"),
    ONE("CR inside a header", 400, GET HOST "X: a\rb\r\n\r\n"),
    ONE("CR CR LF", 400, GET HOST "X: a\r\r\n\r\n"),
    ONE("NUL in a header", 400, GET HOST "X-Vault-Token: abc\0def\r\n\r\n"),
    ONE("NUL in the path", 400, "GET /v1/sys/health\0x HTTP/1.1\r\n" HOST END),
    ONE("control byte in a header", 400, GET HOST "X: \x01\r\n\r\n"),
    ONE("DEL in a header", 400, GET HOST "X: \x7f\r\n\r\n"),
    ONE("folded header", 400, GET HOST "X: a\r\n b\r\n\r\n"),
    ONE("blank before the colon", 400, GET "Host : leased\r\n\r\n"),
    ONE("no colon", 400, GET HOST "X-Token abc\r\n\r\n"),
    ONE("empty header name", 400, GET HOST ": v\r\n\r\n"),
    ONE("bracket in a header name", 400, GET HOST "X(y: v\r\n\r\n"),
    ONE("high byte in a header name", 400, GET HOST "X\xe9: v\r\n\r\n"),
    ONE("high byte in a token", 400, GET HOST "X-Vault-Token: \xe9\r\n\r\n"),
    ONE("no Host", 400, GET END),
    ONE("two Hosts", 400, GET HOST "Host: other\r\n\r\n"),
    ONE("two tokens", 400, GET HOST "X-Vault-Token: a\r\nX-Vault-Token: b\r\n\r\n"),
    ONE("two tokens, spelled differently", 400,
	GET HOST "X-Vault-Token: a\r\nx-vault-token: b\r\n\r\n"),
    ONE("two authorizations", 400,
	GET HOST "Authorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n"),
    ONE("first header starts with a blank", 400, GET " Host: leased\r\n\r\n"),
    ONE("expectation that nobody meets", 417, GET HOST "Expect: miracles\r\n\r\n"),
    MANY("65 headers", 431, GET HOST, "X: v\r\n", 64, END),
    MANY("17 KiB of headers", 431, GET HOST,
	"X: "
	"vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv"
	"v"
	"vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv"
	"vvvv"
	"vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv"
	"vvvv"
	"\r\n",
	60, END),
    MANY("one header without an end", 431, GET HOST "X: ", "v", 17000, END),

    MANY("path of 9 KiB", 414, "GET /v1/", "a", 9000, " HTTP/1.1\r\n" HOST END),
    MANY("method without an end", 414, "G", "E", 9000, " / HTTP/1.1\r\n" HOST END),
    ONE("no version", 400, "GET /v1/sys/health\r\n\r\n"),
    ONE("HTTP/2.0", 505, "GET /v1/sys/health HTTP/2.0\r\n" HOST END),
    ONE("the preface of HTTP/2", 505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ONE("HTTP/1.2", 505, "GET /v1/sys/health HTTP/1.2\r\n" HOST END),
    ONE("HTTP/1.10", 400, "GET /v1/sys/health HTTP/1.10\r\n" HOST END),
    ONE("http in lower case", 400, "GET /v1/sys/health http/1.1\r\n" HOST END),
    ONE("empty line first", 400, "\r\n" GET HOST END),
    ONE("two blanks", 400, "GET  /v1/sys/health HTTP/1.1\r\n" HOST END),
    ONE("tab for a blank", 400, "GET\t/v1/sys/health HTTP/1.1\r\n" HOST END),
    ONE("blank first", 400, " GET /v1/sys/health HTTP/1.1\r\n" HOST END),
    ONE("blank at the end", 400, "GET /v1/sys/health HTTP/1.1 \r\n" HOST END),
    ONE("method in lower case", 405, "get /v1/sys/health HTTP/1.1\r\n" HOST END),
    ONE("unknown method", 405, "FOO /v1/sys/health HTTP/1.1\r\n" HOST END),
    ONE("malformed method", 400, "G@T /v1/sys/health HTTP/1.1\r\n" HOST END),
    ONE("CONNECT", 405, "CONNECT leased:443 HTTP/1.1\r\n" HOST END),
    ONE("TRACE", 405, "TRACE /v1/sys/health HTTP/1.1\r\n" HOST END),
    ONE("OPTIONS *", 405, "OPTIONS * HTTP/1.1\r\n" HOST END),
    ONE("absolute form", 400, "GET http://evil/v1/sys/health HTTP/1.1\r\n" HOST END),
    ONE("asterisk", 400, "GET * HTTP/1.1\r\n" HOST END),
    ONE("fragment", 400, "GET /v1/x#y HTTP/1.1\r\n" HOST END),
    ONE("TLS hello", 400, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\0\0\0\0\0\0\0\0\0\0\0\0"),

    ONE("dot dot", 400, "GET /v1/a/../sys/health HTTP/1.1\r\n" HOST END),
    ONE("encoded dot dot", 400, "GET /v1/a/%2e%2e/sys/health HTTP/1.1\r\n" HOST END),
    ONE("encoded slash around dot dot", 400, "GET /v1/a%2f..%2fsys/health HTTP/1.1\r\n" HOST END),
    ONE("encoded NUL", 400, "GET /v1/sys/health%00x HTTP/1.1\r\n" HOST END),
    ONE("broken escape", 400, "GET /v1/sys/health%zz HTTP/1.1\r\n" HOST END),
    ONE("short escape", 400, "GET /v1/sys/health% HTTP/1.1\r\n" HOST END),
    ONE("short escape before the query", 400, "GET /v1/sys/health%4?x HTTP/1.1\r\n" HOST END),
    ONE("encoded line end", 400, "GET /v1/sys/health%0d%0aX:y HTTP/1.1\r\n" HOST END),
    ONE("high byte in the path", 400,
	"GET /v1/sys/h\xe9"
	"alth HTTP/1.1\r\n" HOST END),
    ONE("no UTF-8 after decoding", 400, "GET /v1/secret/%ff HTTP/1.1\r\n" HOST END),
};

const size_t vector_count = sizeof(vectors) / sizeof(vectors[0]);

char *
vector_build(const struct vector *vector, size_t *ret_len)
{
	size_t again_len = strlen(vector->again), last_len = strlen(vector->last);
	size_t len = vector->first_len + vector->count * again_len + last_len;
	char *bytes = malloc(len + sizeof(VECTOR_PROBE)), *at = bytes;
	unsigned i;

	assert_non_null(bytes);
	memcpy(at, vector->first, vector->first_len);
	at += vector->first_len;
	for (i = 0; i < vector->count; i++, at += again_len)
		memcpy(at, vector->again, again_len);
	memcpy(at, vector->last, last_len);
	memcpy(bytes + len, VECTOR_PROBE, sizeof(VECTOR_PROBE));
	*ret_len = len;
	return (bytes);
}
