/*
 * edera_shim.c: the Falco plugin. It brings the daemon's events into Falco and looks field values up in them.
 *
 * It knows no system call and no zone: whatever needs thought happens in the daemon. docs/protocol.md says what travels.
 *
 * Theory of operation
 *
 *   state     one for each plugin_init: configuration, metrics, the instances that are open. No I/O before plugin_open's first batch.
 *   instance  one for each plugin_open: a connection, an inbox, the table of blocks, and the batch that Falco holds.
 *
 *   next_batch   1. The batch handed out before is done: blocks that it released are freed, its last sequence number is acknowledged.
 *                2. Complete frames of the inbox are taken: DEFINE puts a block into the table, RELEASE marks one, EVENT becomes a
 *                   plugin event in the arena (the header composed here, the event's bytes as payload).
 *                3. With no event yet: receive, connect or wait, at most WAIT_NS in all, then TIMEOUT.
 *   extract      An event's payload names blocks by id. They are looked up in the table of the instance that the payload came through;
 *                a field's row (edera_fields.h) says which cell of which block it is.
 *
 * Rules that hold everywhere
 *
 *   - Once loaded, Falco never sees FAILURE or EOF from us, nor SUCCESS without events: either ends Falco as a whole. What goes wrong
 *     with the daemon drops the connection, is counted, said once in a while, and tried again. What was not acknowledged comes again.
 *   - The daemon is trusted to mean well, not to be right. Every length is checked against what holds it before it is used.
 *   - On any doubt a field has no value.
 *   - Nothing mutable is global: Falco runs several of us in one process.
 *   - Memory is bounded: inbox, arena, blocks (number and bytes) and scratch each have a limit with a name.
 */
#define _GNU_SOURCE /* syscall(), MSG_NOSIGNAL, SOCK_CLOEXEC */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "edera_fields.h"
#include "edera_syscalls.h"
#include "plugin_abi.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the protocol and the plugin ABI are read in place, little-endian");

#define EXPORT __attribute__((visibility("default")))
#define PRINTF(text, first) __attribute__((format(printf, text, first)))

#ifndef EDERA_VERSION
#define EDERA_VERSION "0.1.0"
#endif
#define PLUGIN_ID 26
#define DEFAULT_SOCKET "/run/edera-falcod/falco.sock"
#define DEFAULT_CONSUMER "falco"

/* The protocol (docs/protocol.md). */
enum { PROTOCOL_MAJOR = 1, PROTOCOL_MINOR = 0, MAX_FRAME = 4 << 20, FRAME_HEADER = 8 };
enum { HELLO = 1, WELCOME = 2, REFUSED = 3, BATCH = 4, ACK = 5, SYSCALLS = 6, PING = 7, SHED = 8 };
enum { BATCH_REDELIVERED = 1 };
enum { ITEM_DEFINE = 1, ITEM_RELEASE = 2, ITEM_EVENT = 3 };
enum { REFUSED_VERSION = 1, REFUSED_REGISTRY = 2, REFUSED_BUSY = 3, REFUSED_DENIED = 4, REFUSED_LIMIT = 5 };
enum { MAX_WORDS = 8 };
enum { EVENT_SEQ = 0, EVENT_TS = 8, EVENT_TID = 16, EVENT_BLOCKS = 24, EVENT_HEAD = 72 };
enum { MAX_ANCESTORS = 64 };
enum { PARAM_SIZE = 16, RAW_NONE = 0, RAW_U64 = 1, RAW_I64 = 2, RAW_BYTES = 3 };
#define RAW_BINARY UINT32_C(0x80000000)
#define NO_SYSCALLS UINT32_C(0xffffffff)
#define EXTRACT_AS_HEX UINT32_C(0x58454800) /* shimcat's field type: binary parameters in hexadecimal */

/* Payload of our plugin events: magic, flags, epoch of the connection, then the event's bytes. Readable for ever: it ends up in captures. */
#define PAYLOAD_MAGIC UINT32_C(0x31464445) /* "EDF1" */
enum { PAYLOAD_FLAGS = 4, PAYLOAD_EPOCH = 8, PAYLOAD_EVENT = 16 };
enum { EVENT_OVERHEAD = FP_PAYLOAD_OFFSET + PAYLOAD_EVENT };

/* Limits. Those in #ifndef are made small by tests. */
#ifndef WAIT_NS
#define WAIT_NS UINT64_C(50000000) /* in one next_batch: Falco's shutdown and hot reload wait for it (100 ms at most) */
#endif
#ifndef BACKOFF_MIN_NS
#define BACKOFF_MIN_NS UINT64_C(100000000)
#define BACKOFF_MAX_NS UINT64_C(2000000000) /* a restarted daemon is found within two seconds */
#define REFUSED_NS UINT64_C(10000000000)    /* a refusal does not heal by itself, but for BUSY */
#endif
#ifndef HANDSHAKE_NS
#define HANDSHAKE_NS UINT64_C(5000000000) /* from HELLO to WELCOME */
#define SILENCE_NS UINT64_C(30000000000)  /* the daemon pings every 5 s: six missed */
#define SETTLED_NS UINT64_C(10000000000)  /* a connection that lasted so long was a good one: backoff starts anew */
#endif
#ifndef LOG_EVERY_NS
#define LOG_EVERY_NS UINT64_C(10000000000) /* for each reason: Falco's log is written synchronously */
#define SYSCALLS_EVERY_NS UINT64_C(10000000000)
#endif
#ifndef MAX_BLOCKS
#define MAX_BLOCKS (1u << 18)                 /* four times what the daemon keeps on our side */
#define MAX_BLOCK_BYTES (UINT64_C(128) << 20) /* likewise; an eighth of the memory that Falco's chart allows */
#endif
#ifndef INBOX_SIZE
#define INBOX_SIZE (512u << 10) /* at first; grows to one frame of MAX_FRAME */
#define ARENA_SIZE (512u << 10) /* at first; grows to hold one event */
#define MAX_BATCH 512u          /* events: Falco looks at signals between batches, and one batch may come twice */
#endif
#ifndef SCRATCH_CHUNK
#define SCRATCH_CHUNK (64u << 10)
#define SCRATCH_MAX (16u << 20) /* for one extract call */
#endif
enum { OUTBOX_SIZE = 4096 };         /* one HELLO, one ACK, one SYSCALLS */
enum { MAX_SYSCALLS = 512 };         /* size of libsinsp's table of 64-bit system calls */
enum { MAX_CONFIG = 64 << 10 };
enum { MAX_CONSUMER = 64 };
enum { AENV_DEPTH = 20 };            /* libsinsp's limit for proc.aenv[NAME] */
enum { ERROR_SIZE = 256 };           /* Falco cuts longer ones */
enum { NOTE_SIZE = 1024 };

/* ---- Bytes ----------------------------------------------------------------------------------------------------------------- */

static uint16_t load16(const void *at) { uint16_t v; memcpy(&v, at, sizeof v); return v; }
static uint32_t load32(const void *at) { uint32_t v; memcpy(&v, at, sizeof v); return v; }
static uint64_t load64(const void *at) { uint64_t v; memcpy(&v, at, sizeof v); return v; }
static uint8_t *put16(uint8_t *at, uint16_t v) { memcpy(at, &v, sizeof v); return at + sizeof v; }
static uint8_t *put32(uint8_t *at, uint32_t v) { memcpy(at, &v, sizeof v); return at + sizeof v; }
static uint8_t *put64(uint8_t *at, uint64_t v) { memcpy(at, &v, sizeof v); return at + sizeof v; }

/* Number of bits set. Baseline x86-64 has no instruction for it, and the compiler would call a function. */
static unsigned bits(uint64_t v)
{
	v -= (v >> 1) & UINT64_C(0x5555555555555555);
	v = (v & UINT64_C(0x3333333333333333)) + ((v >> 2) & UINT64_C(0x3333333333333333));
	v = (v + (v >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
	return (unsigned)((v * UINT64_C(0x0101010101010101)) >> 56);
}

/* Whether n bytes are UTF-8: Falco 0.39 to 0.43 end at the first text that is not. */
static bool is_utf8(const uint8_t *p, size_t n)
{
	const uint8_t *end = p + n;
	while(p < end)
	{
		while(end - p >= 8 && !(load64(p) & UINT64_C(0x8080808080808080))) p += 8;
		if(p == end) return true;
		unsigned c = *p, more;
		if(c < 0x80) { p++; continue; }
		if(c >= 0xc2 && c < 0xe0) more = 1;
		else if(c >= 0xe0 && c < 0xf0) more = 2;
		else if(c >= 0xf0 && c < 0xf5) more = 3;
		else return false;
		if((size_t)(end - p) <= more) return false;
		for(unsigned i = 1; i <= more; i++)
			if((p[i] & 0xc0) != 0x80) return false;
		if((c == 0xe0 && p[1] < 0xa0) || (c == 0xed && p[1] > 0x9f) || (c == 0xf0 && p[1] < 0x90) || (c == 0xf4 && p[1] > 0x8f))
			return false; /* overlong, a surrogate, or beyond U+10FFFF */
		p += more + 1;
	}
	return true;
}

/* Decimal text of a number, its NUL included; `to` holds at least 22 bytes. Returns the text's length. */
static unsigned decimal(char *to, uint64_t magnitude, bool negative)
{
	char digits[20];
	unsigned n = 0, length = 0;
	do { digits[n++] = (char)('0' + magnitude % 10); } while(magnitude /= 10);
	if(negative) to[length++] = '-';
	while(n) to[length++] = digits[--n];
	to[length] = '\0';
	return length;
}

static uint64_t now_ns(void)
{
	struct timespec t = {0, 0};
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t wall_ns(void)
{
	struct timespec t = {0, 0};
	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- What there is --------------------------------------------------------------------------------------------------------- */

/* A block of the table. Freed when the batch in which it was released is done. */
struct block
{
	uint64_t id;
	struct block *next_released;
	uint32_t size;
	uint8_t kind;
	bool released;
	bool queued; /* in the list of those to look at when the batch is done */
	uint8_t data[];
};

/* id -> block: open addressing, at most half full. */
struct table
{
	struct block **slots;
	uint32_t n_slots; /* a power of two, or 0 */
	uint32_t used;
	uint64_t bytes;
	struct block *released; /* marked in this batch */
};

/* Memory that lives until the next extract call; addresses handed out never move. */
struct chunk
{
	struct chunk *next;
	size_t size, used;
	_Alignas(16) uint8_t data[];
};

struct scratch
{
	struct chunk *chunks; /* newest first; the oldest is kept */
	size_t total;
};

struct config
{
	char socket[sizeof ((struct sockaddr_un *)0)->sun_path];
	char consumer[MAX_CONSUMER + 1];
	bool mirror_host_syscalls;
};

enum metric
{
	M_CONNECTED, M_CONNECTS, M_DISCONNECTS, M_CONNECT_FAILURES, M_REFUSALS, M_MALFORMED, M_OVERFLOWS, M_NO_MEMORY,
	M_FRAMES, M_BYTES, M_BATCHES, M_EVENTS, M_REDELIVERED, M_SHED, M_MISSING, M_DISORDERED, M_ACKNOWLEDGED,
	M_BLOCKS, M_BLOCK_BYTES, M_DEFINED, M_RELEASED, M_LAG_MS, M_DOUBTS,
	N_METRICS
};

static const struct { const char *name; uint32_t type; } METRICS[N_METRICS] = {
	[M_CONNECTED] = {"connected", FP_METRIC_NON_MONOTONIC},            /* 1 with a daemon that said WELCOME */
	[M_CONNECTS] = {"connects", FP_METRIC_MONOTONIC},                  /* handshakes that went well */
	[M_DISCONNECTS] = {"disconnects", FP_METRIC_MONOTONIC},            /* connections lost or dropped, for whatever reason */
	[M_CONNECT_FAILURES] = {"connect_failures", FP_METRIC_MONOTONIC},  /* no daemon there */
	[M_REFUSALS] = {"refusals", FP_METRIC_MONOTONIC},                  /* by the daemon, or by us of a daemon that does not fit */
	[M_MALFORMED] = {"malformed", FP_METRIC_MONOTONIC},                /* frames that broke the protocol; each costs the connection */
	[M_OVERFLOWS] = {"overflows", FP_METRIC_MONOTONIC},                /* more blocks than the table may hold; likewise */
	[M_NO_MEMORY] = {"no_memory", FP_METRIC_MONOTONIC},                /* likewise */
	[M_FRAMES] = {"frames", FP_METRIC_MONOTONIC},
	[M_BYTES] = {"bytes", FP_METRIC_MONOTONIC},
	[M_BATCHES] = {"batches", FP_METRIC_MONOTONIC},                    /* handed to Falco */
	[M_EVENTS] = {"events", FP_METRIC_MONOTONIC},                      /* handed to Falco */
	[M_REDELIVERED] = {"redelivered", FP_METRIC_MONOTONIC},            /* of these, may have come before */
	[M_SHED] = {"shed", FP_METRIC_MONOTONIC},                          /* events that the daemon says it dropped */
	[M_MISSING] = {"missing", FP_METRIC_MONOTONIC},                    /* sequence numbers that never came and nobody told why */
	[M_DISORDERED] = {"disordered", FP_METRIC_MONOTONIC},              /* sequence numbers that did not grow */
	[M_ACKNOWLEDGED] = {"acknowledged_seq", FP_METRIC_NON_MONOTONIC},  /* newest sequence number that Falco is done with */
	[M_BLOCKS] = {"blocks", FP_METRIC_NON_MONOTONIC},
	[M_BLOCK_BYTES] = {"block_bytes", FP_METRIC_NON_MONOTONIC},
	[M_DEFINED] = {"blocks_defined", FP_METRIC_MONOTONIC},
	[M_RELEASED] = {"blocks_released", FP_METRIC_MONOTONIC},
	[M_LAG_MS] = {"lag_ms", FP_METRIC_NON_MONOTONIC},                  /* age of the newest event when Falco got it, by the zone's clock */
	[M_DOUBTS] = {"doubtful_values", FP_METRIC_MONOTONIC},             /* values withheld: text or references that do not hold */
};

/* Why a line is logged: each reason at most once in LOG_EVERY_NS. */
enum reason { R_CONNECT, R_WELCOME, R_REFUSED, R_LOST, R_MALFORMED, R_LIMIT, R_SYSCALLS, N_REASONS };

struct instance;

struct state
{
	struct config config;
	uint64_t config_serial; /* grows with every set_config */
	void *owner;
	fp_log_fn log_fn;
	uint64_t logged[N_REASONS];
	uint32_t unlogged[N_REASONS];
	struct instance *instances;
	struct instance *spare; /* the first instance's memory, had with the state so that plugin_open cannot fail */
	bool spare_used;
	struct scratch values; /* what the last extract_fields returned points into it */
	struct scratch aside;  /* for event_to_string */
	char note[NOTE_SIZE];
	char error[ERROR_SIZE];
	/* Read by Falco's web server's threads while this one counts: only stores by one thread, atomic. */
	fp_metric metrics[N_METRICS];
};

enum link { LINK_DOWN, LINK_GREETING, LINK_LIVE };

struct instance
{
	struct state *state;
	struct instance *next;

	/* the connection */
	int fd;
	enum link link;
	uint64_t config_serial;
	uint64_t retry_at, backoff;
	uint64_t opened_at, heard_at;
	uint8_t outbox[OUTBOX_SIZE];
	uint32_t out_used, out_sent;
	bool ack_due;
	uint64_t ack_seq;

	/* what has been received and not yet taken: inbox[in_start, in_end) begins with a frame header */
	uint8_t *inbox;
	uint32_t in_size, in_start, in_end;
	uint32_t item_at; /* how much of a BATCH's payload was taken already */

	/* the blocks */
	struct table table;
	uint64_t epoch;     /* of the connection that the blocks came through: in every payload; 0: no blocks */
	uint64_t serial;    /* connections so far */
	bool table_is_over; /* the connection is gone; the blocks stay until the batch is done */

	/* the batch that Falco holds */
	uint8_t *arena;
	uint32_t arena_size, arena_used;
	fp_event **events;
	uint32_t n_events;
	uint64_t last_seq;
	uint64_t next_seq; /* the number that should come next; 0: unknown */
	uint64_t newest_ts;

	/* mirrored system calls */
	uint64_t syscalls_at; /* when to look next */
	bool syscalls_due;
	uint32_t n_syscalls; /* or NO_SYSCALLS */
	uint16_t syscalls[MAX_SYSCALLS];
};

static void count(struct state *s, enum metric m, uint64_t n)
{
	uint64_t *value = &s->metrics[m].value.u64; /* only this thread writes */
	__atomic_store_n(value, __atomic_load_n(value, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

static void gauge(struct state *s, enum metric m, uint64_t n) { __atomic_store_n(&s->metrics[m].value.u64, n, __ATOMIC_RELAXED); }

PRINTF(2, 3) static void fail(struct state *s, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(s->error, sizeof s->error, format, args);
	va_end(args);
}

/* One line to Falco's log, at most one of a kind in LOG_EVERY_NS; says how many were left out. */
PRINTF(4, 5) static void say(struct state *s, enum reason why, uint32_t severity, const char *format, ...)
{
	if(!s->log_fn) return;
	uint64_t now = now_ns();
	if(s->logged[why] && now >= s->logged[why] && now - s->logged[why] < LOG_EVERY_NS)
	{
		s->unlogged[why]++;
		return;
	}
	char line[512];
	va_list args;
	va_start(args, format);
	int n = vsnprintf(line, sizeof line, format, args);
	va_end(args);
	if(n >= 0 && (size_t)n < sizeof line && s->unlogged[why])
		snprintf(line + n, sizeof line - (size_t)n, " (%" PRIu32 " like this not logged)", s->unlogged[why]);
	s->logged[why] = now ? now : 1;
	s->unlogged[why] = 0;
	s->log_fn(s->owner, "edera", line, severity);
}

/* ---- Configuration --------------------------------------------------------------------------------------------------------- */

static const char SCHEMA[] =
	"{\"$schema\":\"http://json-schema.org/draft-04/schema#\",\"type\":\"object\",\"additionalProperties\":false,\"properties\":{"
	"\"socket\":{\"type\":[\"string\",\"null\"],\"minLength\":1,\"maxLength\":107,"
	"\"description\":\"Path of edera-falcod's consumer socket. Default: " DEFAULT_SOCKET "\"},"
	"\"consumer\":{\"type\":[\"string\",\"number\",\"null\"],\"minLength\":1,\"maxLength\":64,"
	"\"description\":\"Name by which edera-falcod remembers what this Falco has processed: letters, digits, . _ : @ -. Default: " DEFAULT_CONSUMER "\"},"
	"\"mirror_host_syscalls\":{\"type\":[\"boolean\",\"null\"],"
	"\"description\":\"Ask zones for the system calls that this Falco has enabled on the host. Default: false\"}}}";

#define KEYS "socket, consumer, mirror_host_syscalls"

/* A reader for what init_config may be: one object of strings, numbers, booleans and nulls. */
struct reader
{
	const char *at, *end;
};

static void skip_blanks(struct reader *r)
{
	while(r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r')) r->at++;
}

static bool take(struct reader *r, char c)
{
	skip_blanks(r);
	if(r->at == r->end || *r->at != c) return false;
	r->at++;
	return true;
}

static bool take_word(struct reader *r, const char *word)
{
	size_t n = strlen(word);
	if((size_t)(r->end - r->at) < n || memcmp(r->at, word, n)) return false;
	r->at += n;
	return true;
}

static int hex4(struct reader *r)
{
	int v = 0;
	if(r->end - r->at < 4) return -1;
	for(int i = 0; i < 4; i++)
	{
		char c = *r->at++;
		if(c >= '0' && c <= '9') v = v * 16 + (c - '0');
		else if(c >= 'a' && c <= 'f') v = v * 16 + (c - 'a' + 10);
		else if(c >= 'A' && c <= 'F') v = v * 16 + (c - 'A' + 10);
		else return -1;
	}
	return v;
}

/* A JSON string into to[size], NUL-terminated. False: not a string. *fits: it was short enough and had no NUL. */
static bool take_string(struct reader *r, char *to, size_t size, bool *fits)
{
	size_t n = 0;
	*fits = true;
	if(!take(r, '"')) return false;
	while(r->at < r->end && *r->at != '"')
	{
		char utf8[4];
		size_t length = 1;
		unsigned char c = (unsigned char)*r->at++;
		if(c < 0x20) return false;
		utf8[0] = (char)c;
		if(c == '\\')
		{
			if(r->at == r->end) return false;
			static const char FROM[] = "\"\\/bfnrt", TO[] = "\"\\/\b\f\n\r\t";
			char e = *r->at++;
			const char *found = e ? strchr(FROM, e) : NULL;
			if(found) utf8[0] = TO[found - FROM];
			else if(e == 'u')
			{
				int code = hex4(r);
				if(code >= 0xd800 && code < 0xdc00)
				{
					if(!take_word(r, "\\u")) return false;
					int low = hex4(r);
					if(low < 0xdc00 || low > 0xdfff) return false;
					code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
				}
				else if(code < 0 || (code >= 0xdc00 && code < 0xe000)) return false;
				if(code == 0) *fits = false;
				length = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
				static const unsigned char LEAD[] = {0, 0, 0xc0, 0xe0, 0xf0};
				for(size_t i = length - 1; i > 0; i--, code >>= 6) utf8[i] = (char)(0x80 | (code & 0x3f));
				utf8[0] = (char)(LEAD[length] | code);
			}
			else return false;
		}
		if(n + length >= size) *fits = false;
		else
		{
			memcpy(to + n, utf8, length);
			n += length;
		}
	}
	to[n] = '\0';
	return take(r, '"');
}

/* Characters of a number, as they are written. */
static bool take_number(struct reader *r, char *to, size_t size)
{
	size_t n = 0;
	while(r->at < r->end && *r->at && strchr("+-.0123456789eE", *r->at))
	{
		if(n + 1 >= size) return false;
		to[n++] = *r->at++;
	}
	to[n] = '\0';
	return n > 0;
}

static bool consumer_ok(const char *name)
{
	return *name && strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:@-") == strlen(name);
}

/* Reads init_config into *to, which keeps its old values when that fails; s->error says why. NULL and "" are the defaults. */
static bool configure(struct state *s, const char *text, struct config *to)
{
	struct config config;
	memset(&config, 0, sizeof config);
	memcpy(config.socket, DEFAULT_SOCKET, sizeof DEFAULT_SOCKET);
	memcpy(config.consumer, DEFAULT_CONSUMER, sizeof DEFAULT_CONSUMER);
	size_t n = text ? strnlen(text, MAX_CONFIG + 1) : 0;
	struct reader r = {text, text ? text + n : NULL};
	if(n > MAX_CONFIG)
	{
		fail(s, "init_config is longer than %d bytes", MAX_CONFIG);
		return false;
	}
	if(n) skip_blanks(&r);
	if(r.at == r.end || !strcmp(r.at, "null"))
	{
		*to = config;
		return true;
	}
	if(!take(&r, '{')) goto not_json;
	for(bool first = true; !take(&r, '}'); first = false)
	{
		char key[64] = "", value[sizeof config.socket] = "";
		bool fits;
		if(!first && !take(&r, ',')) goto not_json;
		if(!take_string(&r, key, sizeof key, &fits) || !take(&r, ':')) goto not_json;
		skip_blanks(&r);
		bool is_socket = fits && !strcmp(key, "socket");
		bool is_consumer = fits && !strcmp(key, "consumer");
		if(!is_socket && !is_consumer && !(fits && !strcmp(key, "mirror_host_syscalls")))
		{
			fail(s, "init_config has an unknown option '%.40s'; there are: " KEYS, key);
			return false;
		}
		if(take_word(&r, "null")) continue;
		if(is_socket)
		{
			if(!take_string(&r, value, sizeof value, &fits) || !fits || !*value)
			{
				fail(s, "init_config: socket must be a path of 1 to %zu bytes", sizeof config.socket - 1);
				return false;
			}
			memcpy(config.socket, value, sizeof config.socket);
		}
		else if(is_consumer)
		{
			if(!(r.at < r.end && *r.at == '"' ? take_string(&r, value, MAX_CONSUMER + 1, &fits) && fits
			                                  : take_number(&r, value, MAX_CONSUMER + 1)) || !consumer_ok(value))
			{
				fail(s, "init_config: consumer must be a name of 1 to %d letters, digits and any of . _ : @ -", MAX_CONSUMER);
				return false;
			}
			memcpy(config.consumer, value, sizeof config.consumer);
		}
		else if(take_word(&r, "true")) config.mirror_host_syscalls = true;
		else if(take_word(&r, "false")) config.mirror_host_syscalls = false;
		else
		{
			fail(s, "init_config: mirror_host_syscalls must be true or false");
			return false;
		}
	}
	skip_blanks(&r);
	if(r.at != r.end) goto not_json;
	*to = config;
	return true;
not_json:
	fail(s, "init_config is not a JSON object of options (byte %zu); there are: " KEYS, (size_t)(r.at - text));
	return false;
}

/* ---- Blocks ---------------------------------------------------------------------------------------------------------------- */

/* Some bytes that are laid out as a block. */
struct view
{
	const uint8_t *p;
	uint32_t size;
};

/* Whether bytes can be a block: presence words and the cells that they announce fit. What cells refer to is checked when it is asked for. */
static bool is_block(const uint8_t *p, uint32_t size)
{
	if(size < 4) return false;
	uint32_t n = load32(p);
	if(n < 1 || n > MAX_WORDS || size < 4 + 8 * n) return false;
	uint32_t cells = 0;
	for(uint32_t i = 0; i < n; i++) cells += bits(load64(p + 4 + 8 * i));
	return (size - 4 - 8 * n) / 8 >= cells;
}

static uint32_t slot_of(const struct table *t, uint64_t id)
{
	return (uint32_t)((id * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (t->n_slots - 1);
}

static struct block *table_find(const struct table *t, uint64_t id)
{
	if(!t->n_slots) return NULL;
	for(uint32_t i = slot_of(t, id);; i = (i + 1) & (t->n_slots - 1))
	{
		struct block *b = t->slots[i];
		if(!b || b->id == id) return b;
	}
}

static void table_place(struct table *t, struct block *b)
{
	uint32_t i = slot_of(t, b->id);
	while(t->slots[i]) i = (i + 1) & (t->n_slots - 1);
	t->slots[i] = b;
}

static bool table_grow(struct table *t)
{
	uint32_t old_n = t->n_slots;
	struct block **old = t->slots;
	struct block **slots = calloc(old_n ? 2u * old_n : 1024u, sizeof *slots);
	if(!slots) return false;
	t->slots = slots;
	t->n_slots = old_n ? 2u * old_n : 1024u;
	for(uint32_t i = 0; i < old_n; i++)
		if(old[i]) table_place(t, old[i]);
	free(old);
	return true;
}

/* Takes a block out and closes the gap, so that no look-up ends before what was placed behind it. */
static void table_remove(struct table *t, struct block *b)
{
	uint32_t mask = t->n_slots - 1, hole = slot_of(t, b->id);
	while(t->slots[hole] != b) hole = (hole + 1) & mask;
	for(uint32_t i = (hole + 1) & mask; t->slots[i]; i = (i + 1) & mask)
	{
		uint32_t home = slot_of(t, t->slots[i]->id);
		if(((i - home) & mask) < ((i - hole) & mask)) continue; /* it may not move before its home */
		t->slots[hole] = t->slots[i];
		hole = i;
	}
	t->slots[hole] = NULL;
	t->used--;
	t->bytes -= b->size;
	free(b);
}

static void table_clear(struct table *t)
{
	for(uint32_t i = 0; i < t->n_slots; i++) free(t->slots[i]);
	free(t->slots);
	memset(t, 0, sizeof *t);
}

/* ---- The connection -------------------------------------------------------------------------------------------------------- */

static void show_table(struct instance *in)
{
	gauge(in->state, M_BLOCKS, in->table.used);
	gauge(in->state, M_BLOCK_BYTES, in->table.bytes);
}

/* Ends the connection. The blocks stay until the batch that Falco holds is done. */
static void drop(struct instance *in, uint64_t wait)
{
	if(in->fd >= 0) close(in->fd);
	in->fd = -1;
	if(in->link == LINK_LIVE) count(in->state, M_DISCONNECTS, 1);
	in->link = LINK_DOWN;
	gauge(in->state, M_CONNECTED, 0);
	in->in_start = in->in_end = in->item_at = 0;
	in->out_used = in->out_sent = 0;
	in->ack_due = in->syscalls_due = false;
	in->table_is_over = true;
	in->retry_at = now_ns() + wait;
}

static void drop_and_back_off(struct instance *in)
{
	uint64_t now = now_ns();
	if(in->link == LINK_LIVE && now > in->opened_at && now - in->opened_at > SETTLED_NS) in->backoff = 0;
	in->backoff = in->backoff ? in->backoff * 2 : BACKOFF_MIN_NS;
	if(in->backoff > BACKOFF_MAX_NS) in->backoff = BACKOFF_MAX_NS;
	drop(in, in->backoff);
}

static void lost(struct instance *in, const char *what)
{
	say(in->state, R_LOST, FP_LOG_WARNING, "connection to %s lost: %s; connecting again", in->state->config.socket, what);
	drop_and_back_off(in);
}

/* The daemon broke the protocol: nothing that follows can be trusted to begin where we think. Always false. */
static bool malformed(struct instance *in, const char *what)
{
	count(in->state, M_MALFORMED, 1);
	say(in->state, R_MALFORMED, FP_LOG_ERROR, "the daemon broke the protocol: %s; connection dropped", what);
	drop_and_back_off(in);
	return false;
}

static bool no_memory(struct instance *in)
{
	count(in->state, M_NO_MEMORY, 1);
	say(in->state, R_LIMIT, FP_LOG_ERROR, "out of memory; connection dropped, events will come again");
	drop_and_back_off(in);
	return false;
}

static bool overflow(struct instance *in, uint64_t bytes)
{
	count(in->state, M_OVERFLOWS, 1);
	say(in->state, R_LIMIT, FP_LOG_ERROR, "the daemon sent more blocks than the limit: %" PRIu32 " of %u, %" PRIu64 " of %" PRIu64 " bytes; connection dropped",
	    in->table.used + 1, MAX_BLOCKS, bytes, MAX_BLOCK_BYTES);
	drop_and_back_off(in);
	return false;
}

/* System calls that this Falco has enabled on the host: its own map of the modern eBPF driver, read through the descriptor that it
   holds. Needs no privilege. bpf(2) as far as it is needed, so that no kernel header has to be of a certain age. */
enum { BPF_LOOKUP = 1, BPF_INFO = 15, BPF_ARRAY = 2 };

struct bpf_element { uint32_t fd, pad; uint64_t key, value, flags; };
struct bpf_about { uint32_t fd, size; uint64_t to; };
struct bpf_map_about { uint32_t type, id, key_size, value_size, max_entries, flags; char name[16]; };

static bool is_syscall_map(int fd, uint32_t *entries)
{
	struct bpf_map_about map;
	struct bpf_about ask = {.fd = (uint32_t)fd, .size = sizeof map, .to = (uint64_t)(uintptr_t)&map};
	memset(&map, 0, sizeof map);
	if(syscall(SYS_bpf, BPF_INFO, &ask, sizeof ask) < 0) return false;
	*entries = map.max_entries < MAX_SYSCALLS ? map.max_entries : MAX_SYSCALLS;
	return map.type == BPF_ARRAY && map.key_size == 4 && map.value_size == 1 && !strncmp(map.name, "interesting_sys", 15);
}

/* Whether a descriptor of this process is a BPF map: asking bpf(2) of anything else would be an error, and it could be anything. */
static bool is_bpf_map(int folder, const char *name)
{
	char target[32];
	ssize_t n = readlinkat(folder, name, target, sizeof target);
	return n == 18 && !memcmp(target, "anon_inode:bpf-map", 18);
}

/* Codes of the enabled system calls into in->syscalls; false: there is no such map, or it cannot be read. */
static bool read_syscalls(struct instance *in, const char **why)
{
	*why = "no map of the modern eBPF driver in this process";
	DIR *fds = opendir("/proc/self/fd");
	if(!fds)
	{
		*why = "/proc/self/fd cannot be read";
		return false;
	}
	int map = -1;
	uint32_t entries = 0;
	for(struct dirent *entry; map < 0 && (entry = readdir(fds));)
		if(is_bpf_map(dirfd(fds), entry->d_name))
		{
			int fd = atoi(entry->d_name);
			if(is_syscall_map(fd, &entries)) map = fd;
		}
	uint32_t n = 0;
	bool good = map >= 0;
	for(uint32_t key = 0; good && key < entries; key++)
	{
		uint8_t enabled = 0;
		struct bpf_element ask = {.fd = (uint32_t)map, .key = (uint64_t)(uintptr_t)&key, .value = (uint64_t)(uintptr_t)&enabled};
		if(syscall(SYS_bpf, BPF_LOOKUP, &ask, sizeof ask) < 0)
		{
			*why = "the driver's map cannot be read";
			good = false;
		}
		else if(enabled && key < sizeof edera_syscalls / sizeof *edera_syscalls && edera_syscalls[key])
			in->syscalls[n++] = edera_syscalls[key]; /* n is at most key */
	}
	closedir(fds);
	if(good) in->n_syscalls = n;
	return good;
}

/* Looks at the host's system calls again when it is time; true if they are others than before. */
static bool mirror_syscalls(struct instance *in)
{
	uint64_t now = now_ns();
	if(!in->state->config.mirror_host_syscalls)
	{
		bool changed = in->n_syscalls != NO_SYSCALLS;
		in->n_syscalls = NO_SYSCALLS;
		return changed;
	}
	if(in->syscalls_at && now >= in->syscalls_at - SYSCALLS_EVERY_NS && now < in->syscalls_at) return false;
	in->syscalls_at = now + SYSCALLS_EVERY_NS;
	uint32_t old_n = in->n_syscalls;
	uint16_t old[MAX_SYSCALLS];
	memcpy(old, in->syscalls, sizeof old);
	const char *why;
	if(!read_syscalls(in, &why))
	{
		say(in->state, R_SYSCALLS, FP_LOG_WARNING, "mirror_host_syscalls: %s; zones send their default set", why);
		memcpy(in->syscalls, old, sizeof old);
		in->n_syscalls = NO_SYSCALLS;
	}
	return old_n != in->n_syscalls || (in->n_syscalls != NO_SYSCALLS && memcmp(old, in->syscalls, in->n_syscalls * sizeof *old));
}

static uint8_t *put_frame(uint8_t *at, uint8_t type, uint32_t length)
{
	at = put32(at, length);
	*at++ = type;
	*at++ = 0;
	return put16(at, 0);
}

static uint8_t *put_text(uint8_t *at, const char *text)
{
	size_t n = strlen(text);
	at = put16(at, (uint16_t)n);
	memcpy(at, text, n);
	return at + n;
}

static uint8_t *put_syscalls(uint8_t *at, const struct instance *in)
{
	at = put32(at, in->n_syscalls);
	for(uint32_t i = 0; in->n_syscalls != NO_SYSCALLS && i < in->n_syscalls; i++) at = put16(at, in->syscalls[i]);
	return at;
}

/* The outbox always has room: it is empty before HELLO, and ACK and SYSCALLS wait until it is empty. */
_Static_assert(2 * FRAME_HEADER + 64 + MAX_CONSUMER + sizeof EDERA_VERSION + 4 + 2 * MAX_SYSCALLS <= OUTBOX_SIZE, "HELLO fits");

static void hello(struct instance *in)
{
	uint8_t *start = in->outbox, *at = start + FRAME_HEADER;
	memcpy(at, "EDFC", 4);
	at = put16(at + 4, PROTOCOL_MAJOR);
	at = put16(at, PROTOCOL_MINOR);
	at = put32(at, EDERA_FIELDS);
	at = put64(at, edera_prefix_hash[EDERA_FIELDS]);
	at = put_text(at, in->state->config.consumer);
	at = put_text(at, EDERA_VERSION);
	at = put_syscalls(at, in);
	put_frame(start, HELLO, (uint32_t)(at - start) - FRAME_HEADER);
	in->out_used = (uint32_t)(at - start);
	in->out_sent = 0;
}

/* Sends what there is to send, as far as the socket takes it. False: the connection is gone. */
static bool flush(struct instance *in)
{
	for(;;)
	{
		if(in->out_sent == in->out_used)
		{
			uint8_t *at = in->outbox;
			if(in->ack_due)
			{
				at = put64(put_frame(at, ACK, 8), in->ack_seq);
				in->ack_due = false;
				gauge(in->state, M_ACKNOWLEDGED, in->ack_seq);
			}
			if(in->syscalls_due)
			{
				uint8_t *end = put_syscalls(at + FRAME_HEADER, in);
				put_frame(at, SYSCALLS, (uint32_t)(end - at) - FRAME_HEADER);
				at = end;
				in->syscalls_due = false;
			}
			in->out_sent = 0;
			in->out_used = (uint32_t)(at - in->outbox);
			if(!in->out_used) return true;
		}
		ssize_t n = send(in->fd, in->outbox + in->out_sent, in->out_used - in->out_sent, MSG_NOSIGNAL | MSG_DONTWAIT);
		if(n > 0) in->out_sent += (uint32_t)n;
		else if(n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR || errno == ENOBUFS)) return true;
		else
		{
			lost(in, strerror(errno));
			return false;
		}
	}
}

static bool want_send(const struct instance *in) { return in->out_sent < in->out_used || in->ack_due || in->syscalls_due; }

/* Memory for a connection, kept until plugin_close. */
static bool have_buffers(struct instance *in)
{
	if(!in->inbox && (in->inbox = malloc(INBOX_SIZE))) in->in_size = INBOX_SIZE;
	if(!in->arena && (in->arena = malloc(ARENA_SIZE))) in->arena_size = ARENA_SIZE;
	if(!in->events) in->events = malloc(MAX_BATCH * sizeof *in->events);
	return in->inbox && in->arena && in->events;
}

/* One attempt to connect. A stream socket of this family connects at once or not at all. */
static void attempt(struct instance *in)
{
	struct state *s = in->state;
	struct sockaddr_un address;
	memset(&address, 0, sizeof address);
	address.sun_family = AF_UNIX;
	memcpy(address.sun_path, s->config.socket, sizeof address.sun_path);
	in->config_serial = s->config_serial;
	if(!have_buffers(in))
	{
		no_memory(in);
		return;
	}
	in->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if(in->fd < 0 || connect(in->fd, (const struct sockaddr *)&address, sizeof address) < 0)
	{
		count(s, M_CONNECT_FAILURES, 1);
		say(s, R_CONNECT, FP_LOG_WARNING, "no daemon at %s: %s; trying again", s->config.socket, strerror(errno));
		drop_and_back_off(in);
		return;
	}
	/* The table is empty and no batch is held: next_batch saw to it. */
	in->epoch = wall_ns() ^ ((uint64_t)getpid() << 40) ^ ++in->serial;
	if(!in->epoch) in->epoch = 1;
	in->link = LINK_GREETING;
	in->next_seq = 0;
	in->opened_at = in->heard_at = now_ns();
	in->syscalls_at = 0;
	mirror_syscalls(in);
	hello(in);
}

/* Receives once. 1: something came, 0: nothing there, -1: the connection is gone. */
static int receive(struct instance *in)
{
	uint32_t have = in->in_end - in->in_start;
	uint32_t need = have >= 4 ? load32(in->inbox + in->in_start) + FRAME_HEADER : FRAME_HEADER; /* take_frames saw that it is allowed */
	if(need > in->in_size)
	{
		uint8_t *bigger = malloc(need);
		if(!bigger)
		{
			no_memory(in);
			return -1;
		}
		memcpy(bigger, in->inbox + in->in_start, have);
		free(in->inbox);
		in->inbox = bigger;
		in->in_size = need;
		in->in_start = 0;
		in->in_end = have;
	}
	else if(in->in_start && (!have || in->in_size - in->in_end < in->in_size / 4 || need > in->in_size - in->in_start))
	{
		memmove(in->inbox, in->inbox + in->in_start, have);
		in->in_start = 0;
		in->in_end = have;
	}
	ssize_t n = recv(in->fd, in->inbox + in->in_end, in->in_size - in->in_end, MSG_DONTWAIT);
	if(n > 0)
	{
		in->in_end += (uint32_t)n;
		in->heard_at = now_ns();
		count(in->state, M_BYTES, (uint64_t)n);
		return 1;
	}
	if(n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return 0;
	lost(in, n == 0 ? in->link == LINK_LIVE ? "closed by the daemon" : "closed by the daemon before its welcome" : strerror(errno));
	return -1;
}

/* ---- Frames ---------------------------------------------------------------------------------------------------------------- */

/* A text of the daemon's for a log line: printable ASCII, cut where it is long. */
static void quote(char to[64], const uint8_t *text, uint32_t n)
{
	uint32_t i = 0;
	for(; i < n && i < 63; i++) to[i] = text[i] >= 0x20 && text[i] < 0x7f ? (char)text[i] : '?';
	to[i] = '\0';
}

static bool take_welcome(struct instance *in, const uint8_t *p, uint32_t n)
{
	struct state *s = in->state;
	if(in->link != LINK_GREETING) return malformed(in, "a second WELCOME");
	if(n < 18 || n - 18 < load16(p + 16)) return malformed(in, "a WELCOME that is too short");
	uint16_t major = load16(p), length = load16(p + 16);
	uint32_t fields = load32(p + 4);
	if(n - 18 - length < 8) return malformed(in, "a WELCOME that is too short");
	char version[64];
	quote(version, p + 18, length);
	/* The side with more fields checks the other's hash; the daemon has checked ours where it has more. */
	bool fits = major == PROTOCOL_MAJOR && (fields > EDERA_FIELDS || load64(p + 8) == edera_prefix_hash[fields]);
	if(!fits)
	{
		count(s, M_REFUSALS, 1);
		say(s, R_REFUSED, FP_LOG_ERROR,
		    "daemon %s does not fit this plugin: it speaks protocol %u with %" PRIu32 " fields, plugin " EDERA_VERSION " speaks %d with %d fields%s",
		    version, major, fields, PROTOCOL_MAJOR, EDERA_FIELDS, major == PROTOCOL_MAJOR ? " and they are not the same" : "");
		drop(in, REFUSED_NS);
		return false;
	}
	uint64_t last = load64(p + 18 + length);
	in->next_seq = last ? last + 1 : 0;
	in->link = LINK_LIVE;
	count(s, M_CONNECTS, 1);
	gauge(s, M_CONNECTED, 1);
	say(s, R_WELCOME, FP_LOG_INFO, "connected to daemon %s at %s as '%s': %" PRIu32 " fields, plugin " EDERA_VERSION " has %d", version, s->config.socket,
	    s->config.consumer, fields, EDERA_FIELDS);
	return true;
}

static bool take_refused(struct instance *in, const uint8_t *p, uint32_t n)
{
	struct state *s = in->state;
	static const char *const CODES[] = {"", "VERSION", "REGISTRY", "BUSY", "DENIED", "LIMIT"};
	if(n < 4 || n - 4 < load16(p + 2)) return malformed(in, "a REFUSED that is too short");
	uint16_t code = load16(p);
	char text[64];
	quote(text, p + 4, load16(p + 2));
	count(s, M_REFUSALS, 1);
	say(s, R_REFUSED, FP_LOG_ERROR, "refused by the daemon at %s (%s): %s; plugin " EDERA_VERSION ", protocol %d.%d, %d fields, consumer '%s'", s->config.socket,
	    code < sizeof CODES / sizeof *CODES ? CODES[code] : "?", text, PROTOCOL_MAJOR, PROTOCOL_MINOR, EDERA_FIELDS, s->config.consumer);
	if(code == REFUSED_BUSY) drop_and_back_off(in); /* an earlier connection of ours is about to be noticed as closed */
	else drop(in, REFUSED_NS);
	return false;
}

static bool take_shed(struct instance *in, const uint8_t *p, uint32_t n)
{
	if(n < 16) return malformed(in, "a SHED that is too short");
	uint64_t from = load64(p), to = load64(p + 8);
	if(to < from) return malformed(in, "a SHED that ends before it begins");
	count(in->state, M_SHED, to - from + 1);
	if(in->next_seq == from) in->next_seq = to + 1;
	return true;
}

static bool take_define(struct instance *in, const uint8_t *p, uint32_t n)
{
	struct table *t = &in->table;
	if(n < 9 || !is_block(p + 9, n - 9)) return malformed(in, "a DEFINE that is no block");
	uint64_t id = load64(p);
	uint32_t size = n - 9;
	if(!id) return malformed(in, "a DEFINE with an id that is no block's");
	struct block *known = table_find(t, id);
	if(known) /* defined again before the batch that released it is done */
	{
		if(known->kind != p[8] || known->size != size || memcmp(known->data, p + 9, size)) return malformed(in, "a DEFINE whose id is taken");
		known->released = false;
		return true;
	}
	if(t->used >= MAX_BLOCKS || t->bytes + size > MAX_BLOCK_BYTES) return overflow(in, t->bytes + size);
	if(2 * t->used >= t->n_slots && !table_grow(t)) return no_memory(in);
	struct block *b = malloc(sizeof *b + size);
	if(!b) return no_memory(in);
	b->id = id;
	b->next_released = NULL;
	b->size = size;
	b->kind = p[8];
	b->released = b->queued = false;
	memcpy(b->data, p + 9, size);
	table_place(t, b);
	t->used++;
	t->bytes += size;
	count(in->state, M_DEFINED, 1);
	return true;
}

static bool take_release(struct instance *in, const uint8_t *p, uint32_t n)
{
	if(n % 8) return malformed(in, "a RELEASE that is no list of ids");
	for(uint32_t i = 0; i < n; i += 8)
	{
		struct block *b = table_find(&in->table, load64(p + i));
		if(!b) continue; /* nothing to free: harmless */
		b->released = true;
		if(b->queued) continue;
		b->queued = true;
		b->next_released = in->table.released;
		in->table.released = b;
	}
	return true;
}

enum taken { TAKEN, FULL, GONE };

/* Makes a plugin event of an event's bytes. Header and lengths are ours: Falco checks none of them. */
static enum taken take_event(struct instance *in, const uint8_t *p, uint32_t n, bool redelivered)
{
	if(n < EVENT_HEAD || !is_block(p + EVENT_HEAD, n - EVENT_HEAD)) return malformed(in, "an EVENT that is no event"), GONE;
	uint32_t need = EVENT_OVERHEAD + n; /* n is at most MAX_FRAME */
	if(in->n_events == MAX_BATCH || need > in->arena_size - in->arena_used)
	{
		if(in->n_events) return FULL;
		uint8_t *bigger = malloc(need); /* no event of this batch points into the old one */
		if(!bigger) return no_memory(in), GONE;
		free(in->arena);
		in->arena = bigger;
		in->arena_size = need;
		in->arena_used = 0;
	}
	uint64_t seq = load64(p + EVENT_SEQ), ts = load64(p + EVENT_TS);
	uint8_t *at = in->arena + in->arena_used;
	fp_event header = {
		.ts = ts == 0 || ts > INT64_MAX ? UINT64_MAX : ts, /* Falco takes the present for UINT64_MAX */
		.tid = UINT64_MAX,
		.len = need,
		.type = FP_EVENT_PLUGIN,
		.nparams = FP_PLUGIN_NPARAMS,
	};
	memcpy(at, &header, sizeof header);
	uint8_t *to = put32(at + FP_EVENT_HEADER, 4);
	to = put32(to, PAYLOAD_EVENT + n);
	to = put32(to, PLUGIN_ID);
	to = put32(to, PAYLOAD_MAGIC);
	to = put32(to, redelivered ? BATCH_REDELIVERED : 0);
	to = put64(to, in->epoch);
	memcpy(to, p, n);
	in->arena_used += need;
	in->events[in->n_events++] = (fp_event *)at;
	in->last_seq = seq;
	in->newest_ts = ts;
	if(in->next_seq && seq > in->next_seq) count(in->state, M_MISSING, seq - in->next_seq);
	else if(in->next_seq && seq < in->next_seq) count(in->state, M_DISORDERED, 1);
	in->next_seq = seq + 1;
	if(redelivered) count(in->state, M_REDELIVERED, 1);
	return TAKEN;
}

/* Takes the items of a BATCH from item_at on, until the batch for Falco is full. */
static enum taken take_items(struct instance *in, const uint8_t *p, uint32_t n, bool redelivered)
{
	while(in->item_at < n)
	{
		if(n - in->item_at < 4) return malformed(in, "an item that is cut off"), GONE;
		uint32_t word = load32(p + in->item_at), length = word & 0x0fffffff;
		if(length > n - in->item_at - 4) return malformed(in, "an item that is longer than its frame"), GONE;
		const uint8_t *body = p + in->item_at + 4;
		enum taken taken = TAKEN;
		switch(word >> 28)
		{
		case ITEM_DEFINE: taken = take_define(in, body, length) ? TAKEN : GONE; break;
		case ITEM_RELEASE: taken = take_release(in, body, length) ? TAKEN : GONE; break;
		case ITEM_EVENT: taken = take_event(in, body, length, redelivered); break;
		default: break; /* a later minor version's */
		}
		if(taken != TAKEN) return taken;
		in->item_at += 4 + length;
	}
	return TAKEN;
}

/* Takes complete frames until the batch is full, no complete frame is left or the connection is dropped. False: dropped. */
static bool take_frames(struct instance *in)
{
	for(;;)
	{
		uint32_t have = in->in_end - in->in_start;
		if(have < 4) return true;
		const uint8_t *frame = in->inbox + in->in_start;
		uint32_t n = load32(frame);
		if(n > MAX_FRAME) return malformed(in, "a frame that is longer than allowed");
		if(have < FRAME_HEADER || have - FRAME_HEADER < n) return true;
		const uint8_t *p = frame + FRAME_HEADER;
		bool good = true;
		switch(frame[4])
		{
		case WELCOME: good = take_welcome(in, p, n); break;
		case REFUSED: good = take_refused(in, p, n); break;
		case SHED: good = in->link == LINK_LIVE ? take_shed(in, p, n) : malformed(in, "a SHED before WELCOME"); break;
		case BATCH:
			if(in->link != LINK_LIVE) return malformed(in, "a BATCH before WELCOME");
			switch(take_items(in, p, n, frame[5] & BATCH_REDELIVERED))
			{
			case TAKEN: break;
			case FULL: return true;
			case GONE: return false;
			}
			break;
		case HELLO: case ACK: case SYSCALLS: return malformed(in, "a frame that only consumers send");
		default: break; /* PING, or a later minor version's */
		}
		if(!good) return false;
		count(in->state, M_FRAMES, 1);
		in->item_at = 0;
		in->in_start += FRAME_HEADER + n;
	}
}

/* ---- Batches --------------------------------------------------------------------------------------------------------------- */

/* Falco asks for the next batch, so it is done with the one before. */
static void finish_batch(struct instance *in)
{
	if(in->n_events && in->link == LINK_LIVE && !in->table_is_over)
	{
		in->ack_due = true;
		in->ack_seq = in->last_seq;
	}
	in->n_events = 0;
	in->arena_used = 0;
	if(in->table_is_over)
	{
		table_clear(&in->table);
		in->epoch = 0;
		in->table_is_over = false;
		show_table(in);
		return;
	}
	if(!in->table.released) return;
	uint64_t n = 0;
	for(struct block *b = in->table.released, *next; b; b = next)
	{
		next = b->next_released;
		b->queued = false;
		if(!b->released) continue;
		table_remove(&in->table, b);
		n++;
	}
	in->table.released = NULL;
	count(in->state, M_RELEASED, n);
	show_table(in);
}

/* Waits up to `ns`, for the socket if there is one. False: a signal came, and Falco wants to look at it. */
static bool wait_for(struct instance *in, uint64_t ns)
{
	struct pollfd p = {.fd = in->fd, .events = (short)(POLLIN | (want_send(in) ? POLLOUT : 0))};
	int n = poll(&p, in->fd >= 0, (int)((ns + 999999) / 1000000));
	if(n < 0 && errno != EINTR && in->fd >= 0) lost(in, strerror(errno));
	return n >= 0;
}

/* Brings events into the arena, waiting for them up to WAIT_NS. */
static void gather(struct instance *in)
{
	uint64_t start = now_ns();
	for(;;)
	{
		if(in->link != LINK_DOWN && !take_frames(in)) show_table(in);
		if(in->n_events) return;
		uint64_t now = now_ns();
		if(now < start || now - start >= WAIT_NS) return;
		uint64_t left = WAIT_NS - (now - start);
		if(in->link == LINK_DOWN)
		{
			finish_batch(in); /* blocks of a connection that ended in this call: no event names them */
			if(in->retry_at > now + REFUSED_NS) in->retry_at = now; /* the clock was set back */
			if(in->retry_at <= now) attempt(in);
			else if(!wait_for(in, left < in->retry_at - now ? left : in->retry_at - now)) return;
			continue;
		}
		if(!flush(in)) continue;
		int got = receive(in);
		if(got) continue;
		if(in->link == LINK_GREETING && now > in->opened_at && now - in->opened_at > HANDSHAKE_NS) lost(in, "no welcome in time");
		else if(now > in->heard_at && now - in->heard_at > SILENCE_NS) lost(in, "silent for too long");
		else if(!wait_for(in, left)) return;
	}
}

static fp_rc next_batch(struct instance *in, uint32_t *nevts, fp_event ***evts)
{
	struct state *s = in->state;
	finish_batch(in);
	if(in->link != LINK_DOWN)
	{
		if(in->config_serial != s->config_serial) drop(in, 0); /* set_config: there may be another socket */
		else
		{
			if(in->link == LINK_LIVE && s->config.mirror_host_syscalls && mirror_syscalls(in)) in->syscalls_due = true;
			flush(in);
		}
	}
	uint32_t blocks = in->table.used;
	gather(in);
	if(in->table.used != blocks) show_table(in);
	if(!in->n_events) return FP_TIMEOUT;
	uint64_t wall = wall_ns();
	count(s, M_BATCHES, 1);
	count(s, M_EVENTS, in->n_events);
	gauge(s, M_LAG_MS, wall > in->newest_ts ? (wall - in->newest_ts) / 1000000 : 0);
	*nevts = in->n_events;
	*evts = in->events;
	return FP_SUCCESS;
}

/* ---- Scratch --------------------------------------------------------------------------------------------------------------- */

/* Memory for what one extract call returns. NULL: no value. */
static void *scratch_take(struct scratch *m, size_t size)
{
	size = (size + 15) & ~(size_t)15;
	struct chunk *c = m->chunks;
	if(!c || c->size - c->used < size)
	{
		size_t room = size > SCRATCH_CHUNK ? size : SCRATCH_CHUNK;
		if(size > SCRATCH_MAX || m->total + room > SCRATCH_MAX) return NULL;
		c = malloc(sizeof *c + room);
		if(!c) return NULL;
		c->next = m->chunks;
		c->size = room;
		c->used = 0;
		m->chunks = c;
		m->total += room;
	}
	void *at = c->data + c->used;
	c->used += size;
	return at;
}

/* Everything handed out is void; the oldest chunk is kept for the next call. */
static void scratch_reset(struct scratch *m)
{
	struct chunk *c = m->chunks;
	while(c && c->next)
	{
		struct chunk *next = c->next;
		m->total -= c->size;
		free(c);
		c = next;
	}
	m->chunks = c;
	if(c) c->used = 0;
}

static void scratch_free(struct scratch *m)
{
	scratch_reset(m);
	free(m->chunks);
	m->chunks = NULL;
	m->total = 0;
}

/* ---- Extraction ------------------------------------------------------------------------------------------------------------ */

/* What one extract call works on. */
struct call
{
	struct state *s;
	struct scratch *mem;
	const struct instance *in; /* through which the event came, if it still has its blocks */
	const uint8_t *head;       /* the event, from its sequence number on */
	struct view event;         /* its own block */
	bool redelivered;
};

/* The field asked for. */
struct wish
{
	const struct edera_field *row;
	fp_extract_field *f;
	const char *key; /* the argument's text, or NULL */
	uint64_t index;  /* the argument as a number */
	bool has_index;
};

/* Whether there is such a thing; DOUBT: it should be there and is not, or does not hold. */
enum found { NOTHING, FOUND, DOUBT };

/* Cell `slot` of a block: how many of the cells before it are there says where it lies. */
static bool cell(struct view v, uint32_t slot, uint64_t *value)
{
	uint32_t n = load32(v.p), word = slot / 64;
	if(word >= n) return false;
	uint64_t presence = load64(v.p + 4 + 8 * word), bit = UINT64_C(1) << slot % 64;
	if(!(presence & bit)) return false;
	uint32_t rank = bits(presence & (bit - 1));
	for(uint32_t i = 0; i < word; i++) rank += bits(load64(v.p + 4 + 8 * i));
	*value = load64(v.p + 4 + 8 * n + 8 * rank); /* is_block: as many cells as bits */
	return true;
}

static bool inside(struct view v, uint64_t at, uint64_t length) { return at <= v.size && length <= v.size - at; }

/* A cell that refers to bytes. */
static enum found bytes_of(struct view v, uint32_t slot, struct view *to)
{
	uint64_t value;
	if(!cell(v, slot, &value)) return NOTHING;
	uint32_t at = (uint32_t)value, length = (uint32_t)(value >> 32);
	if(!inside(v, at, length)) return DOUBT;
	to->p = v.p + at;
	to->size = length;
	return FOUND;
}

/* A cell that refers to a text: UTF-8 and a NUL behind it. */
static enum found text_of(struct view v, uint32_t slot, struct view *to)
{
	enum found found = bytes_of(v, slot, to);
	if(found != FOUND) return found;
	if(to->p + to->size == v.p + v.size || to->p[to->size] || !is_utf8(to->p, to->size)) return DOUBT;
	return FOUND;
}

/* A cell that refers to a list of texts, each with its NUL. */
static enum found list_of(struct view v, uint32_t slot, struct view *to)
{
	enum found found = bytes_of(v, slot, to);
	if(found != FOUND) return found;
	return !to->size || (!to->p[to->size - 1] && is_utf8(to->p, to->size)) ? FOUND : DOUBT;
}

/* The next entry of a list and what is left of it; false at its end. */
static bool next_entry(struct view *list, struct view *entry)
{
	if(!list->size) return false;
	entry->p = list->p;
	entry->size = (uint32_t)((const uint8_t *)memchr(list->p, 0, list->size) - list->p); /* list_of: it ends with one */
	list->p += entry->size + 1;
	list->size -= entry->size + 1;
	return true;
}

static enum found block_by_id(const struct call *c, uint64_t id, uint8_t kind, struct view *to)
{
	if(!id) return NOTHING;
	const struct block *b = c->in ? table_find(&c->in->table, id) : NULL;
	if(!b || b->kind != kind) return DOUBT;
	to->p = b->data;
	to->size = b->size;
	return FOUND;
}

/* The block that a cell of another block names. */
static enum found named_block(const struct call *c, struct view from, uint32_t slot, uint8_t kind, struct view *to)
{
	uint64_t id;
	return cell(from, slot, &id) ? block_by_id(c, id, kind, to) : NOTHING;
}

/* The event's block of a kind. */
static enum found block_of(const struct call *c, uint8_t kind, struct view *to)
{
	static const uint8_t PLACES[] = {
		[EDERA_KIND_ETYPE] = 0, [EDERA_KIND_ZONE] = 1, [EDERA_KIND_THREAD] = 2, [EDERA_KIND_FD] = 3, [EDERA_KIND_FILES] = 4, [EDERA_KIND_WORKLOAD] = 5,
	};
	struct view thread;
	enum found found;
	switch(kind)
	{
	case EDERA_KIND_EVENT: *to = c->event; return FOUND;
	case EDERA_KIND_LINEAGE: return named_block(c, c->event, EDERA_EVENT_LINEAGE, kind, to);
	case EDERA_KIND_ENV:
		found = block_of(c, EDERA_KIND_THREAD, &thread);
		return found == FOUND ? named_block(c, thread, EDERA_THREAD_THREAD_ENV, kind, to) : found;
	case EDERA_KIND_ETYPE: case EDERA_KIND_ZONE: case EDERA_KIND_THREAD: case EDERA_KIND_FD: case EDERA_KIND_FILES: case EDERA_KIND_WORKLOAD:
		return block_by_id(c, load64(c->head + EVENT_BLOCKS + 8 * PLACES[kind]), kind, to);
	default: return DOUBT;
	}
}

/* Ids of THREAD blocks in the event's LINEAGE block: of the ancestors, or of the threads that begot, which mostly are the same. */
static enum found lineage(const struct call *c, uint32_t slot, struct view *ids)
{
	struct view v;
	enum found found = block_of(c, EDERA_KIND_LINEAGE, &v);
	if(found != FOUND) return found;
	found = bytes_of(v, slot, ids);
	if(found == NOTHING && slot != EDERA_LINEAGE_LINEAGE_ANCESTORS) found = bytes_of(v, EDERA_LINEAGE_LINEAGE_ANCESTORS, ids);
	if(found == NOTHING) *ids = (struct view){v.p, 0};
	return found == DOUBT || ids->size % 8 || ids->size > 8 * MAX_ANCESTORS ? DOUBT : FOUND;
}

/* The n-th block of those ids. */
static enum found relative(const struct call *c, struct view ids, uint64_t n, struct view *to)
{
	return n < ids.size / 8 ? block_by_id(c, load64(ids.p + 8 * n), EDERA_KIND_THREAD, to) : NOTHING;
}

/* The block that the LINEAGE block names in a cell. */
static enum found kin(const struct call *c, uint32_t slot, struct view *to)
{
	struct view v;
	enum found found = block_of(c, EDERA_KIND_LINEAGE, &v);
	return found == FOUND ? named_block(c, v, slot, EDERA_KIND_THREAD, to) : found;
}

/* The n-th ancestor of the event's process; 0 is its own main thread, 1 its parent. */
static enum found ancestor(const struct call *c, uint64_t n, struct view *to)
{
	struct view ids;
	if(n == 0) return kin(c, EDERA_LINEAGE_LINEAGE_MAIN, to);
	enum found found = lineage(c, EDERA_LINEAGE_LINEAGE_ANCESTORS, &ids);
	return found == FOUND ? relative(c, ids, n - 1, to) : found;
}

/* The bits of EVT_BITS. */
static uint64_t event_bits(const struct call *c)
{
	uint64_t value;
	return cell(c->event, EDERA_EVENT_EVT_BITS, &value) ? value : 0;
}

/* Serving: a value into f->res, in the shape that the field's type asks for. */

static enum found serve_number(const struct call *c, const struct wish *w, uint64_t value)
{
	switch(w->row->type)
	{
	case EDERA_TYPE_BOOL:
	{
		fp_bool *at = scratch_take(c->mem, sizeof *at);
		if(!at) return DOUBT;
		*at = value != 0;
		w->f->res.boolean = at;
		break;
	}
	case EDERA_TYPE_UINT64: case EDERA_TYPE_RELTIME: case EDERA_TYPE_ABSTIME:
	{
		uint64_t *at = scratch_take(c->mem, sizeof *at);
		if(!at) return DOUBT;
		*at = value;
		w->f->res.u64 = at;
		break;
	}
	case EDERA_TYPE_SIGNED:
	{
		const char **at = scratch_take(c->mem, sizeof *at + 24);
		if(!at) return DOUBT;
		*at = (char *)(at + 1);
		bool negative = value >> 63;
		decimal((char *)(at + 1), negative ? 0 - value : value, negative);
		w->f->res.str = at;
		break;
	}
	default: return DOUBT;
	}
	w->f->res_len = 1;
	return FOUND;
}

/* A text that is followed by a NUL and outlives the call. */
static enum found serve_text(const struct call *c, const struct wish *w, const uint8_t *text)
{
	if(w->row->type != EDERA_TYPE_STRING && w->row->type != EDERA_TYPE_SIGNED) return DOUBT;
	const char **at = scratch_take(c->mem, sizeof *at);
	if(!at) return DOUBT;
	*at = (const char *)text;
	w->f->res.str = at;
	w->f->res_len = 1;
	return FOUND;
}

static enum found serve_empty(const struct call *c, const struct wish *w) { return serve_text(c, w, (const uint8_t *)""); }

/* A slice of text: copied, for no NUL follows it. */
static enum found serve_slice(const struct call *c, const struct wish *w, struct view text)
{
	if(!is_utf8(text.p, text.size)) return DOUBT;
	uint8_t *at = scratch_take(c->mem, (size_t)text.size + 1);
	if(!at) return DOUBT;
	memcpy(at, text.p, text.size);
	at[text.size] = '\0';
	return serve_text(c, w, at);
}

/* Bytes that are no text: dots for what is not printable, or, for a host of ours (shimcat), hexadecimal. */
static enum found serve_binary(const struct call *c, const struct wish *w, struct view bytes)
{
	bool hex = w->f->ftype == EXTRACT_AS_HEX;
	uint8_t *at = scratch_take(c->mem, (size_t)bytes.size * 2 + 1), *to = at;
	if(!at) return DOUBT;
	for(uint32_t i = 0; i < bytes.size; i++)
	{
		uint8_t b = bytes.p[i];
		if(hex)
		{
			*to++ = (uint8_t)"0123456789abcdef"[b >> 4];
			*to++ = (uint8_t)"0123456789abcdef"[b & 15];
		}
		else *to++ = b >= 0x20 && b <= 0x7e ? b : '.';
	}
	*to = '\0';
	return serve_text(c, w, at);
}

static enum found serve_list(const struct call *c, const struct wish *w, struct view list)
{
	if(w->row->type != EDERA_TYPE_STRING) return DOUBT;
	uint64_t n = 0;
	struct view rest = list, entry;
	while(next_entry(&rest, &entry)) n++;
	const char **at = scratch_take(c->mem, n * sizeof *at);
	if(!at) return DOUBT;
	w->f->res.str = at;
	w->f->res_len = n;
	while(next_entry(&list, &entry)) *at++ = (const char *)entry.p;
	return FOUND;
}

/* Cell `slot` of a block, as the field's type has it. */
static enum found serve_cell(const struct call *c, const struct wish *w, struct view v, uint32_t slot)
{
	struct view text;
	uint64_t value;
	enum found found;
	switch(w->row->type)
	{
	case EDERA_TYPE_STRING:
		if(w->row->flags & EDERA_LIST)
		{
			found = list_of(v, slot, &text);
			return found == FOUND ? serve_list(c, w, text) : found;
		}
		found = text_of(v, slot, &text);
		return found == FOUND ? serve_text(c, w, text.p) : found;
	case EDERA_TYPE_IPADDR: case EDERA_TYPE_IPNET:
	{
		found = bytes_of(v, slot, &text);
		if(found != FOUND) return found;
		if(text.size != 4 && text.size != 16) return DOUBT; /* Falco would throw, and end */
		fp_byte_buffer *at = scratch_take(c->mem, sizeof *at);
		if(!at) return DOUBT;
		at->len = text.size;
		at->ptr = text.p;
		w->f->res.buf = at;
		w->f->res_len = 1;
		return FOUND;
	}
	default:
		if(!cell(v, slot, &value)) return NOTHING;
		return serve_number(c, w, value);
	}
}

/* Cell `slot` of the event's block of the row's kind. */
static enum found serve_own(const struct call *c, const struct wish *w, uint32_t slot)
{
	struct view v;
	enum found found = block_of(c, w->row->kind, &v);
	return found == FOUND ? serve_cell(c, w, v, slot) : found;
}

/* A cell of the block of a relative, once that was looked for. */
static enum found serve_kin(const struct call *c, const struct wish *w, enum found found, struct view relative_block)
{
	return found == FOUND ? serve_cell(c, w, relative_block, w->row->slot) : found;
}

/* OVERRIDE: what the event itself says of something, else what is known of it. */
static enum found serve_override(const struct call *c, const struct wish *w)
{
	uint64_t value;
	return cell(c->event, w->row->slot2, &value) ? serve_cell(c, w, c->event, w->row->slot2) : serve_own(c, w, w->row->slot);
}

/* LEADER: an empty text where there is none, as in libsinsp. */
static enum found serve_leader(const struct call *c, const struct wish *w)
{
	struct view v, leader;
	enum found found = block_of(c, EDERA_KIND_LINEAGE, &v);
	if(found != FOUND) return found;
	found = named_block(c, v, w->row->slot2, EDERA_KIND_THREAD, &leader);
	return found == NOTHING ? serve_empty(c, w) : serve_kin(c, w, found, leader);
}

/* ANCESTOR without index, of texts: all, joined by blanks as libsinsp joins them (no blank while nothing is there yet). */
static enum found serve_line(const struct call *c, const struct wish *w)
{
	struct view ids, v, texts[MAX_ANCESTORS];
	size_t n = 0, size = 0;
	enum found found = lineage(c, EDERA_LINEAGE_LINEAGE_THREADS, &ids);
	if(found != FOUND) return found;
	for(uint64_t i = 0; i < ids.size / 8; i++)
	{
		if((found = relative(c, ids, i, &v)) == FOUND) found = text_of(v, w->row->slot, &texts[n]);
		if(found == DOUBT) return DOUBT;
		if(found == NOTHING) texts[n] = (struct view){ids.p, 0};
		size += texts[n++].size + 1;
	}
	char *line = scratch_take(c->mem, size + 1), *to = line;
	if(!line) return DOUBT;
	for(size_t i = 0; i < n; i++)
	{
		if(to > line) *to++ = ' ';
		memcpy(to, texts[i].p, texts[i].size);
		to += texts[i].size;
	}
	*to = '\0';
	return to > line ? serve_text(c, w, (uint8_t *)line) : NOTHING;
}

/* ANCESTORS, AENVS: a list of one cell of each, or of its ENV block. */
static enum found serve_lineage(const struct call *c, const struct wish *w, bool envs)
{
	struct view ids, v, text;
	uint64_t n = 0, value;
	enum found found = lineage(c, EDERA_LINEAGE_LINEAGE_THREADS, &ids);
	if(found != FOUND) return found;
	bool texts = w->row->type == EDERA_TYPE_STRING;
	if(!texts && w->row->type != EDERA_TYPE_UINT64) return DOUBT;
	const char **strings = scratch_take(c->mem, MAX_ANCESTORS * sizeof *strings);
	uint64_t *numbers = scratch_take(c->mem, MAX_ANCESTORS * sizeof *numbers);
	if(!strings || !numbers) return DOUBT;
	for(uint64_t i = 0; i < ids.size / 8; i++)
	{
		found = relative(c, ids, i, &v);
		if(found == FOUND && envs) found = named_block(c, v, EDERA_THREAD_THREAD_ENV, EDERA_KIND_ENV, &v);
		if(found == FOUND && texts) found = text_of(v, w->row->slot, &text);
		else if(found == FOUND) found = cell(v, w->row->slot, &value) ? FOUND : NOTHING;
		if(found == DOUBT) return DOUBT;
		if(found == NOTHING) continue;
		if(texts) strings[n++] = (const char *)text.p;
		else numbers[n++] = value;
	}
	if(texts) w->f->res.str = strings;
	else w->f->res.u64 = numbers;
	w->f->res_len = n;
	return n ? FOUND : NOTHING;
}

/* The n-th entry of a list. */
static bool entry_at(struct view list, uint64_t n, struct view *entry)
{
	for(uint64_t i = 0; next_entry(&list, entry); i++)
		if(i == n) return true;
	return false;
}

/* ITEM: an entry of a list, an empty text beyond its end. */
static enum found serve_item(const struct call *c, const struct wish *w)
{
	struct view v, list, entry;
	if(!w->has_index) return serve_own(c, w, w->row->slot);
	enum found found = block_of(c, w->row->kind, &v);
	if(found == FOUND) found = list_of(v, w->row->slot2, &list);
	if(found != FOUND) return found;
	return entry_at(list, w->index, &entry) ? serve_text(c, w, entry.p) : serve_empty(c, w);
}

/* Value of a variable in a list of NAME=value, blanks around it cut; an empty one counts as missing, as in libsinsp. */
static bool variable(struct view list, const char *name, struct view *value)
{
	size_t n = strlen(name);
	struct view entry;
	while(next_entry(&list, &entry))
	{
		if(entry.size <= n + 1 || entry.p[n] != '=' || memcmp(entry.p, name, n)) continue;
		const uint8_t *from = entry.p + n + 1, *to = entry.p + entry.size;
		while(from < to && *from == ' ') from++;
		while(to > from && to[-1] == ' ') to--;
		*value = (struct view){from, (uint32_t)(to - from)};
		return value->size > 0;
	}
	return false;
}

/* ENV: one variable of the process, or all. */
static enum found serve_env(const struct call *c, const struct wish *w)
{
	struct view env, list, value;
	if(!w->key) return serve_own(c, w, w->row->slot);
	enum found found = block_of(c, EDERA_KIND_ENV, &env);
	if(found == FOUND) found = list_of(env, w->row->slot2, &list);
	if(found != FOUND) return found;
	return variable(list, w->key, &value) ? serve_slice(c, w, value) : serve_empty(c, w);
}

/* AENV: all of an ancestor's environment, or the nearest ancestor's variable that is not empty. */
static enum found serve_aenv(const struct call *c, const struct wish *w)
{
	struct view ids, v, env = {NULL, 0}, list, value;
	if(w->has_index ? !w->index : !w->key) return serve_own(c, w, w->row->slot);
	enum found found = lineage(c, EDERA_LINEAGE_LINEAGE_THREADS, &ids);
	if(found != FOUND) return found;
	if(w->has_index)
	{
		uint64_t main_id; /* a thread whose process is not known has no ancestors to speak of: an empty text, as in libsinsp */
		if(block_of(c, EDERA_KIND_LINEAGE, &v) == FOUND && !cell(v, EDERA_LINEAGE_LINEAGE_MAIN, &main_id)) return serve_empty(c, w);
		found = relative(c, ids, w->index - 1, &v);
		if(found == FOUND) found = named_block(c, v, EDERA_THREAD_THREAD_ENV, EDERA_KIND_ENV, &env);
		return serve_kin(c, w, found, env);
	}
	for(uint64_t i = 0; i < AENV_DEPTH && i < ids.size / 8; i++)
	{
		found = relative(c, ids, i, &v);
		if(found == FOUND) found = named_block(c, v, EDERA_THREAD_THREAD_ENV, EDERA_KIND_ENV, &env);
		if(found == FOUND) found = list_of(env, w->row->slot2, &list);
		if(found == DOUBT) return DOUBT;
		if(found == FOUND && variable(list, w->key, &value)) return serve_slice(c, w, value);
	}
	return serve_empty(c, w);
}

/* A parameter of the event. */
struct param
{
	struct view table; /* what offsets count from, to the end of the block */
	uint32_t at, length, form;
	uint64_t raw;
};

static enum found param_at(const struct call *c, uint64_t index, struct param *param)
{
	struct view table;
	enum found found = bytes_of(c->event, EDERA_EVENT_EVT_PARAMS, &table);
	if(found != FOUND) return found;
	if(index >= table.size / PARAM_SIZE) return NOTHING;
	const uint8_t *entry = table.p + PARAM_SIZE * index;
	param->table = (struct view){table.p, (uint32_t)(c->event.p + c->event.size - table.p)};
	param->at = load32(entry);
	param->length = load32(entry + 4) & 0x3fffffff;
	param->form = load32(entry + 4) >> 30;
	param->raw = load64(entry + 8);
	return FOUND;
}

/* The parameter that an ARG, RAWARG or BUFFER asks for: by name number, or by its argument. */
static enum found param_of(const struct call *c, const struct wish *w, struct param *param)
{
	struct view etype, names;
	bool by_name = w->row->slot != EDERA_NO_NAME;
	if(!by_name && w->has_index) return param_at(c, w->index, param);
	if(!by_name && !w->key) return NOTHING;
	enum found found = block_of(c, EDERA_KIND_ETYPE, &etype);
	if(found == FOUND) found = bytes_of(etype, EDERA_ETYPE_EVT_PARAM_NAMES, &names);
	if(found != FOUND) return found;
	for(uint32_t i = 0; i < names.size / 2; i++)
	{
		uint16_t name = load16(names.p + 2 * i);
		if(by_name ? name == w->row->slot : name < EDERA_ARG_NAMES && !strcmp(edera_arg_names[name], w->key)) return param_at(c, i, param);
	}
	return NOTHING;
}

static enum found serve_param_text(const struct call *c, const struct wish *w, const struct param *param)
{
	if(!inside(param->table, param->at, param->length)) return DOUBT;
	return serve_slice(c, w, (struct view){param->table.p + param->at, param->length});
}

static enum found serve_param_raw(const struct call *c, const struct wish *w, const struct param *param)
{
	if(param->form == RAW_NONE) return NOTHING;
	if(param->form == RAW_BYTES)
	{
		uint32_t at = (uint32_t)param->raw & ~RAW_BINARY, length = (uint32_t)(param->raw >> 32);
		if(w->row->type != EDERA_TYPE_STRING) return NOTHING;
		if(!inside(param->table, at, length)) return DOUBT;
		struct view bytes = {param->table.p + at, length};
		return param->raw & RAW_BINARY ? serve_binary(c, w, bytes) : serve_slice(c, w, bytes);
	}
	if(w->row->type != EDERA_TYPE_STRING) return serve_number(c, w, param->raw);
	char text[24];
	bool negative = param->form == RAW_I64 && param->raw >> 63;
	unsigned length = decimal(text, negative ? 0 - param->raw : param->raw, negative);
	return serve_slice(c, w, (struct view){(const uint8_t *)text, length});
}

/* TYPEIS: 1 if the event is of a type, by number or by name. */
static enum found serve_type_is(const struct call *c, const struct wish *w)
{
	struct view etype;
	uint64_t number;
	enum found found = block_of(c, EDERA_KIND_ETYPE, &etype);
	if(found == DOUBT) return DOUBT;
	bool is = found == FOUND && cell(etype, w->row->slot2, &number);
	if(w->row->slot != EDERA_NO_NAME) is = is && number == w->row->slot;
	else if(!w->key) return NOTHING;
	else is = is && number < EDERA_EVENT_NAMES && !strcmp(edera_event_names[number], w->key);
	return serve_number(c, w, is);
}

/* FDTYPE: the type of one file, as a list of one, or those of all. */
static enum found serve_fd_type(const struct call *c, const struct wish *w)
{
	struct view files, types;
	uint64_t fd;
	if(!cell(c->event, EDERA_EVENT_FD_NUM, &fd)) return NOTHING;
	if(!w->has_index) return serve_own(c, w, w->row->slot); /* an empty list is no value */
	enum found found = block_of(c, EDERA_KIND_FILES, &files);
	if(found == FOUND) found = bytes_of(files, w->row->slot2, &types);
	if(found != FOUND) return found;
	if(w->index >= types.size || !types.p[w->index]) return NOTHING;
	uint8_t type = types.p[w->index];
	return serve_text(c, w, (const uint8_t *)(type < EDERA_FD_TYPES ? edera_fd_types[type] : "<NA>"));
}

/* KEY: the value behind a key in a list of keys and values. */
static enum found serve_key(const struct call *c, const struct wish *w)
{
	struct view v, list, key, value;
	if(!w->key) return NOTHING;
	enum found found = block_of(c, w->row->kind, &v);
	if(found == FOUND) found = list_of(v, w->row->slot, &list);
	if(found != FOUND) return found;
	while(next_entry(&list, &key) && next_entry(&list, &value))
		if(!strcmp((const char *)key.p, w->key)) return serve_text(c, w, value.p);
	return NOTHING;
}

/* GLOB: an entry by number, or by the place of the first entry of another list that matches a pattern. */
static enum found serve_glob(const struct call *c, const struct wish *w)
{
	struct view v, list, keys, entry;
	uint64_t place = w->index;
	if(!w->has_index && !w->key) return NOTHING;
	enum found found = block_of(c, w->row->kind, &v);
	if(found == FOUND) found = list_of(v, w->row->slot, &list);
	if(found == FOUND && !w->has_index)
	{
		found = list_of(v, w->row->slot2, &keys);
		if(found != FOUND) return found;
		for(place = 0; next_entry(&keys, &entry); place++)
			if(!fnmatch(w->key, (const char *)entry.p, 0)) goto matched;
		return NOTHING;
	}
	if(found != FOUND) return found;
matched:
	return entry_at(list, place, &entry) ? serve_text(c, w, entry.p) : NOTHING;
}

/* SINCE, PSINCE: from a time in a block to the event. */
static enum found serve_since(const struct call *c, const struct wish *w, enum found found, struct view v)
{
	uint64_t start;
	if(found != FOUND) return found;
	if(!cell(v, w->row->slot, &start) || !start) return NOTHING;
	return serve_number(c, w, load64(c->head + EVENT_TS) - start);
}

/* ZERO, BIT: a number of the event's own, wherever it has a block of the row's kind. */
static enum found serve_where(const struct call *c, const struct wish *w, uint64_t value)
{
	struct view v;
	enum found found = block_of(c, w->row->kind, &v);
	return found == FOUND ? serve_number(c, w, value) : found;
}

/* FAILED: whether the system call returned an error, of those that the row counts. */
static enum found serve_failed(const struct call *c, const struct wish *w)
{
	uint64_t result;
	if(!cell(c->event, w->row->slot2, &result) || (event_bits(c) & w->row->slot) != w->row->slot) return NOTHING;
	return serve_number(c, w, result >> 63);
}

/* IFMAIN: a number that only main threads have. */
static enum found serve_if_main(const struct call *c, const struct wish *w)
{
	struct view thread;
	uint64_t is_main, value;
	enum found found = block_of(c, EDERA_KIND_THREAD, &thread);
	if(found != FOUND) return found;
	if(!cell(thread, EDERA_THREAD_THREAD_ISMAIN, &is_main)) return NOTHING;
	if(!is_main) return serve_number(c, w, 0);
	if(!cell(c->event, w->row->slot, &value)) return NOTHING;
	return serve_number(c, w, value << (w->row->slot2 & 63));
}

static unsigned signed_decimal(char *to, uint64_t value) { return decimal(to, value >> 63 ? 0 - value : value, value >> 63); }

/* WITHTID: a text and the event's thread, or that and a number of the event's. */
static enum found serve_with_tid(const struct call *c, const struct wish *w)
{
	struct view v, text = {NULL, 0};
	uint64_t number = 0;
	bool before = w->row->kind != EDERA_KIND_EVENT; /* the text */
	enum found found = block_of(c, w->row->kind, &v);
	if(found == FOUND && before) found = text_of(v, w->row->slot, &text);
	else if(found == FOUND && !cell(v, w->row->slot, &number)) found = NOTHING;
	if(found != FOUND) return found;
	char *whole = scratch_take(c->mem, (size_t)text.size + 48), *to = whole;
	if(!whole) return DOUBT;
	if(text.size) memcpy(to, text.p, text.size);
	to += text.size;
	to += signed_decimal(to, load64(c->head + EVENT_TID));
	if(!before) signed_decimal(to, number);
	return serve_text(c, w, (uint8_t *)whole);
}

/* PREFIXED: the workload's id, a colon, and the value as of OVERRIDE. */
static enum found serve_prefixed(const struct call *c, const struct wish *w)
{
	struct view workload, v, id = {NULL, 0}, text;
	enum found found = text_of(c->event, w->row->slot2, &text);
	if(found == NOTHING && (found = block_of(c, w->row->kind, &v)) == FOUND) found = text_of(v, w->row->slot, &text);
	if(found != FOUND) return found;
	found = block_of(c, EDERA_KIND_WORKLOAD, &workload);
	if(found == FOUND) found = text_of(workload, EDERA_WORKLOAD_CONTAINER_ID, &id);
	if(found == DOUBT) return DOUBT;
	if(id.size == 4 && memcmp(id.p, "host", 4) == 0) id.size = 0; /* the zone's own processes, of which libsinsp has no container id */
	uint8_t *whole = scratch_take(c->mem, (size_t)id.size + text.size + 2);
	if(!whole) return DOUBT;
	if(id.size) memcpy(whole, id.p, id.size);
	whole[id.size] = ':';
	memcpy(whole + id.size + 1, text.p, text.size);
	whole[id.size + 1 + text.size] = '\0';
	return serve_text(c, w, whole);
}

/* ENDS: a list of two cells, of those that are there, each value once. */
static enum found serve_ends(const struct call *c, const struct wish *w)
{
	struct view v;
	fp_extract_field ends[2];
	struct wish end = *w;
	unsigned n = 0;
	enum found found = block_of(c, w->row->kind, &v);
	if(found != FOUND) return found;
	for(unsigned i = 0; i < 2; i++)
	{
		struct edera_field one = *w->row;
		one.flags &= (uint8_t)~EDERA_LIST;
		end.row = &one;
		end.f = &ends[n];
		found = serve_cell(c, &end, v, i ? w->row->slot2 : w->row->slot);
		if(found == DOUBT) return DOUBT;
		if(found == FOUND) n++;
	}
	if(!n) return NOTHING;
	void *both = scratch_take(c->mem, 2 * sizeof(fp_byte_buffer));
	if(!both) return DOUBT;
	bool twice = false;
	switch(w->row->type)
	{
	case EDERA_TYPE_STRING:
		w->f->res.str = both;
		for(unsigned i = 0; i < n; i++) w->f->res.str[i] = ends[i].res.str[0];
		twice = n == 2 && !strcmp(w->f->res.str[0], w->f->res.str[1]);
		break;
	case EDERA_TYPE_IPADDR: case EDERA_TYPE_IPNET:
		w->f->res.buf = both;
		for(unsigned i = 0; i < n; i++) w->f->res.buf[i] = ends[i].res.buf[0];
		twice = n == 2 && w->f->res.buf[0].len == w->f->res.buf[1].len && !memcmp(w->f->res.buf[0].ptr, w->f->res.buf[1].ptr, w->f->res.buf[0].len);
		break;
	case EDERA_TYPE_UINT64:
		w->f->res.u64 = both;
		for(unsigned i = 0; i < n; i++) w->f->res.u64[i] = ends[i].res.u64[0];
		twice = n == 2 && w->f->res.u64[0] == w->f->res.u64[1];
		break;
	default: return DOUBT;
	}
	w->f->res_len = n - twice;
	return FOUND;
}

static enum found serve(const struct call *c, const struct wish *w)
{
	const struct edera_field *row = w->row;
	struct view v = {NULL, 0};
	struct param param;
	uint64_t value;
	enum found found;
	switch(row->op)
	{
	case EDERA_OP_NONE: return NOTHING;
	case EDERA_OP_CELL: return serve_own(c, w, row->slot);
	case EDERA_OP_OVERRIDE: return serve_override(c, w);
	case EDERA_OP_ZERO: return serve_where(c, w, cell(c->event, row->slot, &value) ? value : 0);
	case EDERA_OP_MAIN:
		found = kin(c, EDERA_LINEAGE_LINEAGE_MAIN, &v);
		if(found == NOTHING) found = block_of(c, EDERA_KIND_THREAD, &v); /* its main thread is not known: what it knows itself */
		return serve_kin(c, w, found, v);
	case EDERA_OP_PARENT:
		found = ancestor(c, 1, &v);
		return serve_kin(c, w, found, v);
	case EDERA_OP_LEADER: return serve_leader(c, w);
	case EDERA_OP_ANCESTOR:
		if(!w->has_index && row->type == EDERA_TYPE_STRING) return serve_line(c, w);
		found = ancestor(c, w->has_index ? w->index : 0, &v);
		return serve_kin(c, w, found, v);
	case EDERA_OP_ANCESTORS: return serve_lineage(c, w, false);
	case EDERA_OP_ITEM: return serve_item(c, w);
	case EDERA_OP_ENV: return serve_env(c, w);
	case EDERA_OP_AENV: return serve_aenv(c, w);
	case EDERA_OP_AENVS: return serve_lineage(c, w, true);
	case EDERA_OP_SINCE:
		found = block_of(c, row->kind, &v);
		return serve_since(c, w, found, v);
	case EDERA_OP_PSINCE:
		found = ancestor(c, 1, &v);
		return serve_since(c, w, found, v);
	case EDERA_OP_ARG:
		found = param_of(c, w, &param);
		return found == FOUND ? serve_param_text(c, w, &param) : found;
	case EDERA_OP_RAWARG:
		found = param_of(c, w, &param);
		return found == FOUND ? serve_param_raw(c, w, &param) : found;
	case EDERA_OP_BUFFER:
		found = param_of(c, w, &param);
		if(found == FOUND && (param.form != RAW_BYTES || !(param.raw >> 32))) return NOTHING;
		return found == FOUND ? serve_param_text(c, w, &param) : found;
	case EDERA_OP_TYPEIS: return serve_type_is(c, w);
	case EDERA_OP_FDTYPE: return serve_fd_type(c, w);
	case EDERA_OP_CELLDIV: case EDERA_OP_CELLMOD:
		found = block_of(c, row->kind, &v);
		if(found != FOUND) return found;
		if(!cell(v, row->slot, &value)) return NOTHING;
		return serve_number(c, w, row->op == EDERA_OP_CELLDIV ? value / 1000000000 : value % 1000000000);
	case EDERA_OP_KEY: return serve_key(c, w);
	case EDERA_OP_GLOB: return serve_glob(c, w);
	case EDERA_OP_FLAG: return serve_number(c, w, c->redelivered);
	case EDERA_OP_BIT: return serve_where(c, w, event_bits(c) >> (row->slot & 63) & 1);
	case EDERA_OP_MASKED: return (event_bits(c) & row->slot2) == row->slot2 ? serve_cell(c, w, c->event, row->slot) : NOTHING;
	case EDERA_OP_FAILED: return serve_failed(c, w);
	case EDERA_OP_RESULT:
		if(cell(c->event, row->slot, &value)) return serve_cell(c, w, c->event, row->slot);
		return cell(c->event, row->slot2, &value) ? serve_text(c, w, (const uint8_t *)"SUCCESS") : NOTHING;
	case EDERA_OP_IFMAIN: return serve_if_main(c, w);
	case EDERA_OP_WITHTID: return serve_with_tid(c, w);
	case EDERA_OP_PREFIXED: return serve_prefixed(c, w);
	case EDERA_OP_ENDS: return serve_ends(c, w);
	case EDERA_OP_TID:
		value = load64(c->head + EVENT_TID);
		return value <= UINT32_MAX ? serve_number(c, w, value) : NOTHING;
	default: return DOUBT; /* a registry newer than this file */
	}
}

/* Makes a call's view of an event. False: it is not one of ours, or not whole. The pointer may have any alignment, and the event may
   come from a capture file: nothing in it is trusted. */
static bool look_at(struct state *s, struct scratch *mem, const fp_event_input *input, struct call *c)
{
	const uint8_t *p = input ? (const uint8_t *)input->evt : NULL;
	fp_event header;
	if(!p) return false;
	memcpy(&header, p, sizeof header);
	if(header.type != FP_EVENT_PLUGIN || header.nparams != FP_PLUGIN_NPARAMS || header.len < EVENT_OVERHEAD + EVENT_HEAD) return false;
	if(load32(p + 26) != 4 || load32(p + 30) != header.len - FP_PAYLOAD_OFFSET || load32(p + 34) != PLUGIN_ID) return false;
	const uint8_t *payload = p + FP_PAYLOAD_OFFSET;
	if(load32(payload) != PAYLOAD_MAGIC) return false;
	uint64_t epoch = load64(payload + PAYLOAD_EPOCH);
	c->s = s;
	c->mem = mem;
	c->head = payload + PAYLOAD_EVENT;
	c->event.p = c->head + EVENT_HEAD;
	c->event.size = header.len - EVENT_OVERHEAD - EVENT_HEAD;
	c->redelivered = load32(payload + PAYLOAD_FLAGS) & BATCH_REDELIVERED;
	c->in = NULL;
	for(const struct instance *in = s->instances; in && epoch; in = in->next)
		if(in->epoch == epoch) c->in = in;
	return is_block(c->event.p, c->event.size);
}

/* Whether an argument is an index: digits, no leading zero, fits. */
static bool is_index(const char *text, uint64_t *index)
{
	uint64_t n = 0;
	if(!*text || (*text == '0' && text[1])) return false;
	for(; *text; text++)
	{
		if(*text < '0' || *text > '9' || __builtin_mul_overflow(n, 10u, &n) || __builtin_add_overflow(n, (unsigned)(*text - '0'), &n)) return false;
	}
	*index = n;
	return true;
}

static void extract_one(const struct call *c, fp_extract_field *f)
{
	if(f->field_id >= EDERA_FIELDS) return;
	struct wish w = {.row = &edera_fields[f->field_id], .f = f};
	if(f->arg_present && w.row->flags & EDERA_ARG_KEY) w.key = f->arg_key;
	if(f->arg_present && w.row->flags & EDERA_ARG_INDEX)
	{
		w.index = f->arg_index;
		w.has_index = !(w.row->flags & EDERA_ARG_KEY) || (w.key && is_index(w.key, &w.index)); /* a field that takes both always has the text */
	}
	enum found found = serve(c, &w);
	if(found == FOUND) return;
	f->res_len = 0;
	if(found == DOUBT) count(c->s, M_DOUBTS, 1);
}

/* One field by name, for ourselves: its text, or NULL. */
static const char *text_field(const struct call *c, const char *name)
{
	for(uint32_t i = 0; i < EDERA_FIELDS; i++)
	{
		if(strcmp(edera_fields[i].name, name)) continue;
		fp_extract_field f = {.field_id = i, .arg_index = UINT64_MAX};
		if(edera_fields[i].type != EDERA_TYPE_STRING || edera_fields[i].flags & EDERA_LIST) return NULL;
		extract_one(c, &f);
		return f.res_len ? f.res.str[0] : NULL;
	}
	return NULL;
}

/* ---- What Falco calls ------------------------------------------------------------------------------------------------------ */

/* Stands for a state where there is no memory for one: Falco can still ask it what went wrong. Never written. */
static const struct state NO_STATE = {.error = "out of memory"};

static struct state *as_state(void *s) { return s == &NO_STATE ? NULL : s; }

EXPORT const char *plugin_get_required_api_version(void) { return FP_REQUIRED_API; }
EXPORT const char *plugin_get_version(void) { return EDERA_VERSION; }
EXPORT const char *plugin_get_name(void) { return "edera"; }
EXPORT const char *plugin_get_description(void) { return "System calls of Edera zones, with the fields that Falco has for the host's"; }
EXPORT const char *plugin_get_contact(void) { return "https://github.com/edera-dev/edera-falcod"; }
EXPORT uint32_t plugin_get_id(void) { return PLUGIN_ID; }
EXPORT const char *plugin_get_event_source(void) { return "edera_zone"; }
EXPORT const char *plugin_get_extract_event_sources(void) { return "[\"edera_zone\"]"; }
EXPORT const char *plugin_get_fields(void) { return edera_fields_json; }

EXPORT uint16_t *plugin_get_extract_event_types(uint32_t *n, void *s)
{
	static const uint16_t TYPES[] = {FP_EVENT_PLUGIN};
	(void)s;
	if(n) *n = 1;
	return (uint16_t *)(uintptr_t)TYPES; /* the ABI has no const here; the host only reads */
}

EXPORT const char *plugin_get_init_schema(uint32_t *type)
{
	if(type) *type = FP_SCHEMA_JSON;
	return SCHEMA;
}

EXPORT const char *plugin_get_last_error(void *s) { return s ? ((const struct state *)s)->error : ""; }

EXPORT void *plugin_init(const fp_init_input *input, fp_rc *rc)
{
	fp_rc unused;
	if(!rc) rc = &unused;
	*rc = FP_FAILURE;
	struct state *s = calloc(1, sizeof *s);
	if(s && !(s->spare = calloc(1, sizeof *s->spare)))
	{
		free(s);
		s = NULL;
	}
	if(!s) return (void *)(uintptr_t)&NO_STATE;
	for(int i = 0; i < N_METRICS; i++)
	{
		s->metrics[i].name = METRICS[i].name;
		s->metrics[i].type = METRICS[i].type;
		s->metrics[i].value_type = FP_METRIC_U64;
	}
	if(input)
	{
		s->owner = input->owner;
		s->log_fn = input->log_fn;
	}
	if(configure(s, input ? input->config : NULL, &s->config)) *rc = FP_SUCCESS;
	return s;
}

EXPORT fp_rc plugin_set_config(void *state, const fp_set_config_input *input)
{
	struct state *s = as_state(state);
	if(!s || !configure(s, input ? input->config : NULL, &s->config)) return FP_FAILURE;
	s->config_serial++;
	return FP_SUCCESS;
}

/* Falco gives its instances up with plugin_close before it calls this. */
EXPORT void plugin_close(void *state, void *h);

EXPORT void plugin_destroy(void *state)
{
	struct state *s = as_state(state);
	if(!s) return;
	while(s->instances) plugin_close(s, s->instances);
	scratch_free(&s->values);
	scratch_free(&s->aside);
	free(s->spare);
	free(s);
}

/* Nothing here may fail: a plugin that cannot be opened ends Falco. The daemon is looked for in next_batch. */
EXPORT void *plugin_open(void *state, const char *params, fp_rc *rc)
{
	struct state *s = as_state(state);
	struct instance *in = NULL;
	fp_rc unused;
	if(!rc) rc = &unused;
	*rc = FP_FAILURE;
	(void)params;
	if(!s) return NULL;
	if(!s->spare_used)
	{
		in = s->spare;
		memset(in, 0, sizeof *in);
		s->spare_used = true;
	}
	else in = calloc(1, sizeof *in);
	if(!in)
	{
		fail(s, "out of memory");
		return NULL;
	}
	in->state = s;
	in->fd = -1;
	in->n_syscalls = NO_SYSCALLS;
	in->config_serial = s->config_serial;
	in->next = s->instances;
	s->instances = in;
	*rc = FP_SUCCESS;
	return in;
}

/* What Falco had not asked beyond is not acknowledged: it comes again to whoever opens next. */
EXPORT void plugin_close(void *state, void *h)
{
	struct state *s = as_state(state);
	struct instance *in = h;
	if(!s || !in) return;
	for(struct instance **at = &s->instances; *at; at = &(*at)->next)
	{
		if(*at != in) continue;
		*at = in->next;
		drop(in, 0);
		table_clear(&in->table);
		show_table(in);
		free(in->inbox);
		free(in->arena);
		free(in->events);
		if(in == s->spare) s->spare_used = false;
		else free(in);
		return;
	}
}

EXPORT fp_rc plugin_next_batch(void *state, void *h, uint32_t *nevts, fp_event ***evts)
{
	if(nevts) *nevts = 0;
	if(evts) *evts = NULL;
	if(as_state(state) && h && nevts && evts) return next_batch(h, nevts, evts);
	poll(NULL, 0, (int)(WAIT_NS / 1000000)); /* Falco asks again at once */
	return FP_TIMEOUT;
}

EXPORT fp_rc plugin_extract_fields(void *state, const fp_event_input *evt, const fp_field_extract_input *input)
{
	struct state *s = as_state(state);
	if(!input || !input->fields) return FP_SUCCESS;
	for(uint32_t i = 0; i < input->num_fields; i++)
	{
		input->fields[i].res.str = NULL;
		input->fields[i].res_len = 0;
	}
	if(!s) return FP_SUCCESS;
	struct call c;
	scratch_reset(&s->values);
	if(!look_at(s, &s->values, evt, &c)) return FP_SUCCESS;
	for(uint32_t i = 0; i < input->num_fields; i++) extract_one(&c, &input->fields[i]);
	return FP_SUCCESS;
}

/* %evt.plugininfo: what a notice says, or the event as strace would show it. */
EXPORT const char *plugin_event_to_string(void *state, const fp_event_input *evt)
{
	struct state *s = as_state(state);
	struct call c;
	if(!s) return "";
	scratch_reset(&s->aside);
	if(!look_at(s, &s->aside, evt, &c)) return "";
	const char *notice = text_field(&c, "edera.notice.text");
	if(notice && *notice) snprintf(s->note, sizeof s->note, "%s", notice);
	else
	{
		const char *zone = text_field(&c, "edera.zone.name"), *name = text_field(&c, "proc.name");
		const char *type = text_field(&c, "evt.type"), *args = text_field(&c, "evt.args");
		snprintf(s->note, sizeof s->note, "%s%s%s %s %s", zone ? zone : "", zone ? ": " : "", name ? name : "<NA>", type ? type : "<NA>", args ? args : "");
	}
	size_t n = strlen(s->note);
	while(n && !is_utf8((const uint8_t *)s->note, n)) s->note[--n] = '\0'; /* cut within a character */
	return s->note;
}

EXPORT const char *plugin_list_open_params(void *state, fp_rc *rc)
{
	(void)state;
	if(rc) *rc = FP_SUCCESS;
	return "[]";
}

/* Called by threads of Falco's web server too: the array is the counters themselves, and nothing here writes. */
EXPORT fp_metric *plugin_get_metrics(void *state, uint32_t *n)
{
	struct state *s = as_state(state);
	if(n) *n = s ? N_METRICS : 0;
	return s ? s->metrics : NULL;
}
