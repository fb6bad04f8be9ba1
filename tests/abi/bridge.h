/* plugin_abi.h's names for upstream's own declarations: with it the shim compiles against upstream's headers instead of ours. */
#define EDERA_PLUGIN_ABI_H /* ours is left out */

#include <plugin/plugin_api.h>
#include <plugin/plugin_types.h>
#include <driver/ppm_events_public.h>

#define FP_REQUIRED_API "3.4.0"

#define fp_rc ss_plugin_rc
#define fp_bool ss_plugin_bool
#define fp_event ss_plugin_event
#define fp_event_input ss_plugin_event_input
#define fp_byte_buffer ss_plugin_byte_buffer
#define fp_extract_field ss_plugin_extract_field
#define fp_field_extract_input ss_plugin_field_extract_input
#define fp_init_input ss_plugin_init_input
#define fp_set_config_input ss_plugin_set_config_input
#define fp_metric ss_plugin_metric
typedef __typeof__(((ss_plugin_init_input *)0)->log_fn) fp_log_fn;

#define FP_TIMEOUT SS_PLUGIN_TIMEOUT
#define FP_SUCCESS SS_PLUGIN_SUCCESS
#define FP_FAILURE SS_PLUGIN_FAILURE
#define FP_EOF SS_PLUGIN_EOF
#define FP_NOT_SUPPORTED SS_PLUGIN_NOT_SUPPORTED
#define FP_UINT64 FTYPE_UINT64
#define FP_STRING FTYPE_STRING
#define FP_RELTIME FTYPE_RELTIME
#define FP_ABSTIME FTYPE_ABSTIME
#define FP_BOOL FTYPE_BOOL
#define FP_IPADDR FTYPE_IPADDR
#define FP_IPNET FTYPE_IPNET
#define FP_SCHEMA_NONE SS_PLUGIN_SCHEMA_NONE
#define FP_SCHEMA_JSON SS_PLUGIN_SCHEMA_JSON
#define FP_LOG_FATAL SS_PLUGIN_LOG_SEV_FATAL
#define FP_LOG_CRITICAL SS_PLUGIN_LOG_SEV_CRITICAL
#define FP_LOG_ERROR SS_PLUGIN_LOG_SEV_ERROR
#define FP_LOG_WARNING SS_PLUGIN_LOG_SEV_WARNING
#define FP_LOG_NOTICE SS_PLUGIN_LOG_SEV_NOTICE
#define FP_LOG_INFO SS_PLUGIN_LOG_SEV_INFO
#define FP_LOG_DEBUG SS_PLUGIN_LOG_SEV_DEBUG
#define FP_LOG_TRACE SS_PLUGIN_LOG_SEV_TRACE
#define FP_METRIC_U32 SS_PLUGIN_METRIC_VALUE_TYPE_U32
#define FP_METRIC_S32 SS_PLUGIN_METRIC_VALUE_TYPE_S32
#define FP_METRIC_U64 SS_PLUGIN_METRIC_VALUE_TYPE_U64
#define FP_METRIC_S64 SS_PLUGIN_METRIC_VALUE_TYPE_S64
#define FP_METRIC_D SS_PLUGIN_METRIC_VALUE_TYPE_D
#define FP_METRIC_F SS_PLUGIN_METRIC_VALUE_TYPE_F
#define FP_METRIC_I SS_PLUGIN_METRIC_VALUE_TYPE_I
#define FP_METRIC_MONOTONIC SS_PLUGIN_METRIC_TYPE_MONOTONIC
#define FP_METRIC_NON_MONOTONIC SS_PLUGIN_METRIC_TYPE_NON_MONOTONIC
#define FP_EVENT_PLUGIN PPME_PLUGINEVENT_E
#define FP_EVENT_ASYNC PPME_ASYNCEVENT_E
enum { FP_EVENT_HEADER = sizeof(ss_plugin_event), FP_PAYLOAD_OFFSET = PLUGIN_EVENT_PAYLOAD_OFFSET, FP_PLUGIN_NPARAMS = 2 };
