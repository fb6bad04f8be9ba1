/* Holds shim/plugin_abi.h against upstream's own headers. Nothing here runs: what differs does not compile.
 * test_abi.py sees to it that every type, member and value of plugin_abi.h is named here. */
#include <plugin/plugin_api.h>
#include <plugin/plugin_types.h>
#include <driver/ppm_events_public.h>

#include "plugin_abi.h"

#define TYPE_OF(type, member) __typeof__(((type *)0)->member)

/* Size and alignment of a whole type. */
#define TYPE(ours, theirs) \
	_Static_assert(sizeof(ours) == sizeof(theirs), #ours ": size"); \
	_Static_assert(_Alignof(ours) == _Alignof(theirs), #ours ": alignment")

/* Where a member lies and how wide it is. */
#define PLACE(ours, theirs, member) \
	_Static_assert(offsetof(ours, member) == offsetof(theirs, member), #ours "." #member ": offset"); \
	_Static_assert(sizeof(TYPE_OF(ours, member)) == sizeof(TYPE_OF(theirs, member)), #ours "." #member ": size")

/* And that its type is the same: numbers with their sign, pointers with what they point to. */
#define SAME(ours, theirs, member) \
	PLACE(ours, theirs, member); \
	_Static_assert(__builtin_types_compatible_p(TYPE_OF(ours, member), TYPE_OF(theirs, member)), #ours "." #member ": type")

/* That it is a pointer on both sides, where what it points to has a name of our own. */
#define POINTER(ours, theirs, member) \
	PLACE(ours, theirs, member); \
	_Static_assert(__builtin_classify_type(((ours *)0)->member) == __builtin_classify_type((void *)0), #ours "." #member ": pointer"); \
	_Static_assert(__builtin_classify_type(((theirs *)0)->member) == __builtin_classify_type((void *)0), #theirs "." #member ": pointer")

/* A constant. */
#define VALUE(ours, theirs) _Static_assert((long long)(ours) == (long long)(theirs), #ours ": value")

TYPE(fp_rc, ss_plugin_rc);
_Static_assert((ss_plugin_rc)-1 < 0 && (fp_rc)-1 < 0, "fp_rc: sign");
VALUE(FP_TIMEOUT, SS_PLUGIN_TIMEOUT);
VALUE(FP_SUCCESS, SS_PLUGIN_SUCCESS);
VALUE(FP_FAILURE, SS_PLUGIN_FAILURE);
VALUE(FP_EOF, SS_PLUGIN_EOF);
VALUE(FP_NOT_SUPPORTED, SS_PLUGIN_NOT_SUPPORTED);

VALUE(FP_UINT64, FTYPE_UINT64);
VALUE(FP_STRING, FTYPE_STRING);
VALUE(FP_RELTIME, FTYPE_RELTIME);
VALUE(FP_ABSTIME, FTYPE_ABSTIME);
VALUE(FP_BOOL, FTYPE_BOOL);
VALUE(FP_IPADDR, FTYPE_IPADDR);
VALUE(FP_IPNET, FTYPE_IPNET);

VALUE(FP_SCHEMA_NONE, SS_PLUGIN_SCHEMA_NONE);
VALUE(FP_SCHEMA_JSON, SS_PLUGIN_SCHEMA_JSON);

VALUE(FP_LOG_FATAL, SS_PLUGIN_LOG_SEV_FATAL);
VALUE(FP_LOG_CRITICAL, SS_PLUGIN_LOG_SEV_CRITICAL);
VALUE(FP_LOG_ERROR, SS_PLUGIN_LOG_SEV_ERROR);
VALUE(FP_LOG_WARNING, SS_PLUGIN_LOG_SEV_WARNING);
VALUE(FP_LOG_NOTICE, SS_PLUGIN_LOG_SEV_NOTICE);
VALUE(FP_LOG_INFO, SS_PLUGIN_LOG_SEV_INFO);
VALUE(FP_LOG_DEBUG, SS_PLUGIN_LOG_SEV_DEBUG);
VALUE(FP_LOG_TRACE, SS_PLUGIN_LOG_SEV_TRACE);

VALUE(FP_METRIC_U32, SS_PLUGIN_METRIC_VALUE_TYPE_U32);
VALUE(FP_METRIC_S32, SS_PLUGIN_METRIC_VALUE_TYPE_S32);
VALUE(FP_METRIC_U64, SS_PLUGIN_METRIC_VALUE_TYPE_U64);
VALUE(FP_METRIC_S64, SS_PLUGIN_METRIC_VALUE_TYPE_S64);
VALUE(FP_METRIC_D, SS_PLUGIN_METRIC_VALUE_TYPE_D);
VALUE(FP_METRIC_F, SS_PLUGIN_METRIC_VALUE_TYPE_F);
VALUE(FP_METRIC_I, SS_PLUGIN_METRIC_VALUE_TYPE_I);
VALUE(FP_METRIC_MONOTONIC, SS_PLUGIN_METRIC_TYPE_MONOTONIC);
VALUE(FP_METRIC_NON_MONOTONIC, SS_PLUGIN_METRIC_TYPE_NON_MONOTONIC);

TYPE(fp_bool, ss_plugin_bool);
_Static_assert(__builtin_types_compatible_p(fp_bool, ss_plugin_bool), "fp_bool: type");

TYPE(fp_event, ss_plugin_event);
SAME(fp_event, ss_plugin_event, ts);
SAME(fp_event, ss_plugin_event, tid);
SAME(fp_event, ss_plugin_event, len);
SAME(fp_event, ss_plugin_event, type);
SAME(fp_event, ss_plugin_event, nparams);
VALUE(FP_EVENT_HEADER, sizeof(ss_plugin_event));
VALUE(FP_PAYLOAD_OFFSET, PLUGIN_EVENT_PAYLOAD_OFFSET);
VALUE(FP_PAYLOAD_OFFSET, sizeof(ss_plugin_event) + 2 * sizeof(uint32_t) + sizeof(uint32_t)); /* two lengths and the plugin's id */
VALUE(FP_PLUGIN_NPARAMS, 2);
VALUE(FP_EVENT_PLUGIN, PPME_PLUGINEVENT_E);
VALUE(FP_EVENT_ASYNC, PPME_ASYNCEVENT_E);

TYPE(fp_event_input, ss_plugin_event_input);
POINTER(fp_event_input, ss_plugin_event_input, evt);
SAME(fp_event_input, ss_plugin_event_input, evtnum);
SAME(fp_event_input, ss_plugin_event_input, evtsrc);

TYPE(fp_byte_buffer, ss_plugin_byte_buffer);
SAME(fp_byte_buffer, ss_plugin_byte_buffer, len);
SAME(fp_byte_buffer, ss_plugin_byte_buffer, ptr);

TYPE(fp_extract_field, ss_plugin_extract_field);
PLACE(fp_extract_field, ss_plugin_extract_field, res);
SAME(fp_extract_field, ss_plugin_extract_field, res.str);
SAME(fp_extract_field, ss_plugin_extract_field, res.u64);
SAME(fp_extract_field, ss_plugin_extract_field, res.boolean);
POINTER(fp_extract_field, ss_plugin_extract_field, res.buf);
SAME(fp_extract_field, ss_plugin_extract_field, res_len);
SAME(fp_extract_field, ss_plugin_extract_field, field_id);
SAME(fp_extract_field, ss_plugin_extract_field, field);
SAME(fp_extract_field, ss_plugin_extract_field, arg_key);
SAME(fp_extract_field, ss_plugin_extract_field, arg_index);
SAME(fp_extract_field, ss_plugin_extract_field, arg_present);
SAME(fp_extract_field, ss_plugin_extract_field, ftype);
SAME(fp_extract_field, ss_plugin_extract_field, flist);

/* Ours ends where 3.11 put value_offsets, so that it is as long as the oldest host's. */
_Static_assert(sizeof(fp_field_extract_input) <= sizeof(ss_plugin_field_extract_input), "fp_field_extract_input: size");
_Static_assert(sizeof(fp_field_extract_input) == offsetof(ss_plugin_field_extract_input, value_offsets), "fp_field_extract_input: end");
SAME(fp_field_extract_input, ss_plugin_field_extract_input, owner);
SAME(fp_field_extract_input, ss_plugin_field_extract_input, get_owner_last_error);
SAME(fp_field_extract_input, ss_plugin_field_extract_input, num_fields);
POINTER(fp_field_extract_input, ss_plugin_field_extract_input, fields);
PLACE(fp_field_extract_input, ss_plugin_field_extract_input, table_reader);
POINTER(fp_field_extract_input, ss_plugin_field_extract_input, table_reader_ext);

TYPE(fp_init_input, ss_plugin_init_input);
SAME(fp_init_input, ss_plugin_init_input, config);
SAME(fp_init_input, ss_plugin_init_input, owner);
SAME(fp_init_input, ss_plugin_init_input, get_owner_last_error);
POINTER(fp_init_input, ss_plugin_init_input, tables);
SAME(fp_init_input, ss_plugin_init_input, log_fn);
_Static_assert(__builtin_types_compatible_p(fp_log_fn, TYPE_OF(ss_plugin_init_input, log_fn)), "fp_log_fn: type");

TYPE(fp_set_config_input, ss_plugin_set_config_input);
SAME(fp_set_config_input, ss_plugin_set_config_input, config);

TYPE(fp_metric, ss_plugin_metric);
SAME(fp_metric, ss_plugin_metric, name);
PLACE(fp_metric, ss_plugin_metric, type);
PLACE(fp_metric, ss_plugin_metric, value);
SAME(fp_metric, ss_plugin_metric, value.u32);
SAME(fp_metric, ss_plugin_metric, value.s32);
SAME(fp_metric, ss_plugin_metric, value.u64);
SAME(fp_metric, ss_plugin_metric, value.s64);
SAME(fp_metric, ss_plugin_metric, value.d);
SAME(fp_metric, ss_plugin_metric, value.f);
SAME(fp_metric, ss_plugin_metric, value.i);
PLACE(fp_metric, ss_plugin_metric, value_type);
