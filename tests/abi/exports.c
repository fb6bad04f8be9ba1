/* The shim, compiled against upstream's headers, and each of its functions put where the plugin loader would put it:
 * a wrong signature does not compile. test_abi.py sees to it that every exported function is named here. */
#include "bridge.h"

#include "edera_shim.c"

const plugin_api edera_exports = {
	.get_required_api_version = plugin_get_required_api_version,
	.get_init_schema = plugin_get_init_schema,
	.init = plugin_init,
	.destroy = plugin_destroy,
	.get_last_error = plugin_get_last_error,
	.get_name = plugin_get_name,
	.get_description = plugin_get_description,
	.get_contact = plugin_get_contact,
	.get_version = plugin_get_version,
	.get_id = plugin_get_id,
	.get_event_source = plugin_get_event_source,
	.open = plugin_open,
	.close = plugin_close,
	.list_open_params = plugin_list_open_params,
	.event_to_string = plugin_event_to_string,
	.next_batch = plugin_next_batch,
	.get_extract_event_types = plugin_get_extract_event_types,
	.get_extract_event_sources = plugin_get_extract_event_sources,
	.get_fields = plugin_get_fields,
	.extract_fields = plugin_extract_fields,
	.set_config = plugin_set_config,
	.get_metrics = plugin_get_metrics,
};
