/*
 * The part of Falco's plugin ABI that the shim uses, written from its documented facts (API 3.4 to 3.12, LP64, little-endian).
 *
 * Every size and offset is asserted below; a test holds them against upstream's own headers. Struct tails that newer hosts
 * have and 3.4 has not (value offsets, newer table readers) are declared as opaque room and never read.
 */
#ifndef EDERA_PLUGIN_ABI_H
#define EDERA_PLUGIN_ABI_H

#include <stddef.h>
#include <stdint.h>

#define FP_REQUIRED_API "3.4.0" /* first with init_input.log_fn; runs on Falco 0.38 and later */

/* What every call that can fail returns. */
typedef int32_t fp_rc;
enum { FP_TIMEOUT = -1, FP_SUCCESS = 0, FP_FAILURE = 1, FP_EOF = 2, FP_NOT_SUPPORTED = 3 };

/* Types that a field may have: nothing else loads. */
enum { FP_UINT64 = 8, FP_STRING = 9, FP_RELTIME = 20, FP_ABSTIME = 21, FP_BOOL = 25, FP_IPADDR = 40, FP_IPNET = 41 };

enum { FP_SCHEMA_NONE = 0, FP_SCHEMA_JSON = 1 };

enum {
	FP_LOG_FATAL = 1,
	FP_LOG_CRITICAL = 2,
	FP_LOG_ERROR = 3,
	FP_LOG_WARNING = 4,
	FP_LOG_NOTICE = 5,
	FP_LOG_INFO = 6,
	FP_LOG_DEBUG = 7,
	FP_LOG_TRACE = 8
};

enum { FP_METRIC_U32 = 0, FP_METRIC_S32 = 1, FP_METRIC_U64 = 2, FP_METRIC_S64 = 3, FP_METRIC_D = 4, FP_METRIC_F = 5, FP_METRIC_I = 6 };
enum { FP_METRIC_MONOTONIC = 0, FP_METRIC_NON_MONOTONIC = 1 };

/* A host's booleans are 32 bits wide and true when not zero (Falco passes a flag bit, not 1). */
typedef uint32_t fp_bool;

/* An event: this header, then the lengths of its parameters (u32 each for the codes below), then the parameters. */
#pragma pack(push, 1)
typedef struct {
	uint64_t ts;      /* ns since the epoch; UINT64_MAX: now */
	uint64_t tid;     /* UINT64_MAX for plugin events */
	uint32_t len;     /* header included */
	uint16_t type;
	uint32_t nparams;
} fp_event;
#pragma pack(pop)

enum { FP_EVENT_PLUGIN = 322, FP_EVENT_ASYNC = 402 };

/* A plugin event: header, 4, P, plugin id, payload of P bytes. */
enum { FP_EVENT_HEADER = 26, FP_PAYLOAD_OFFSET = 38, FP_PLUGIN_NPARAMS = 2 };

typedef struct {
	const fp_event *evt; /* may have any alignment, need not be our own memory */
	uint64_t evtnum;
	const char *evtsrc;
} fp_event_input;

typedef struct {
	uint32_t len;
	const void *ptr;
} fp_byte_buffer;

typedef struct {
	union {
		const char **str;
		uint64_t *u64;
		fp_bool *boolean;
		fp_byte_buffer *buf;
	} res;            /* set by the plugin; garbage on entry */
	uint64_t res_len; /* set by the plugin; garbage on entry */
	uint32_t field_id;
	const char *field;
	const char *arg_key;
	uint64_t arg_index; /* UINT64_MAX without an argument */
	fp_bool arg_present;
	uint32_t ftype;
	fp_bool flist;
} fp_extract_field;

typedef struct {
	void *owner;
	const char *(*get_owner_last_error)(void *owner);
	uint32_t num_fields;
	fp_extract_field *fields;
	const void *table_reader[4];
	const void *table_reader_ext;
	/* 3.11 adds value_offsets here: not ours to read, the host may be older. */
} fp_field_extract_input;

typedef void (*fp_log_fn)(void *owner, const char *component, const char *text, uint32_t severity);

typedef struct {
	const char *config;
	void *owner;
	const char *(*get_owner_last_error)(void *owner);
	const void *tables;
	fp_log_fn log_fn;
} fp_init_input;

typedef struct {
	const char *config;
} fp_set_config_input;

typedef struct {
	const char *name;
	uint32_t type;
	union {
		uint32_t u32;
		int32_t s32;
		uint64_t u64;
		int64_t s64;
		double d;
		float f;
		int i;
	} value;
	uint32_t value_type;
} fp_metric;

#define FP_ASSERT_AT(type, member, offset) _Static_assert(offsetof(type, member) == (offset), #type "." #member " is not at " #offset)
#define FP_ASSERT_SIZE(type, size) _Static_assert(sizeof(type) == (size), #type " has not " #size " bytes")

FP_ASSERT_SIZE(fp_rc, 4);
FP_ASSERT_SIZE(fp_bool, 4);
FP_ASSERT_SIZE(void *, 8);

FP_ASSERT_SIZE(fp_event, FP_EVENT_HEADER);
_Static_assert(_Alignof(fp_event) == 1, "an event may lie anywhere");
FP_ASSERT_AT(fp_event, ts, 0);
FP_ASSERT_AT(fp_event, tid, 8);
FP_ASSERT_AT(fp_event, len, 16);
FP_ASSERT_AT(fp_event, type, 20);
FP_ASSERT_AT(fp_event, nparams, 22);

FP_ASSERT_SIZE(fp_event_input, 24);
FP_ASSERT_AT(fp_event_input, evt, 0);
FP_ASSERT_AT(fp_event_input, evtnum, 8);
FP_ASSERT_AT(fp_event_input, evtsrc, 16);

FP_ASSERT_SIZE(fp_byte_buffer, 16);
FP_ASSERT_AT(fp_byte_buffer, len, 0);
FP_ASSERT_AT(fp_byte_buffer, ptr, 8);

FP_ASSERT_SIZE(fp_extract_field, 64);
FP_ASSERT_AT(fp_extract_field, res, 0);
FP_ASSERT_AT(fp_extract_field, res_len, 8);
FP_ASSERT_AT(fp_extract_field, field_id, 16);
FP_ASSERT_AT(fp_extract_field, field, 24);
FP_ASSERT_AT(fp_extract_field, arg_key, 32);
FP_ASSERT_AT(fp_extract_field, arg_index, 40);
FP_ASSERT_AT(fp_extract_field, arg_present, 48);
FP_ASSERT_AT(fp_extract_field, ftype, 52);
FP_ASSERT_AT(fp_extract_field, flist, 56);

FP_ASSERT_SIZE(fp_field_extract_input, 72); /* 3.1 to 3.10; 80 from 3.11 */
FP_ASSERT_AT(fp_field_extract_input, owner, 0);
FP_ASSERT_AT(fp_field_extract_input, get_owner_last_error, 8);
FP_ASSERT_AT(fp_field_extract_input, num_fields, 16);
FP_ASSERT_AT(fp_field_extract_input, fields, 24);
FP_ASSERT_AT(fp_field_extract_input, table_reader, 32);
FP_ASSERT_AT(fp_field_extract_input, table_reader_ext, 64);

FP_ASSERT_SIZE(fp_init_input, 40);
FP_ASSERT_AT(fp_init_input, config, 0);
FP_ASSERT_AT(fp_init_input, owner, 8);
FP_ASSERT_AT(fp_init_input, get_owner_last_error, 16);
FP_ASSERT_AT(fp_init_input, tables, 24);
FP_ASSERT_AT(fp_init_input, log_fn, 32);

FP_ASSERT_SIZE(fp_set_config_input, 8);

FP_ASSERT_SIZE(fp_metric, 32);
FP_ASSERT_AT(fp_metric, name, 0);
FP_ASSERT_AT(fp_metric, type, 8);
FP_ASSERT_AT(fp_metric, value, 16);
FP_ASSERT_AT(fp_metric, value_type, 24);

#endif
