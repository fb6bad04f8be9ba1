/* Invariant: any init_config is taken or refused with a reason, without a byte read beyond it, and what is taken is a path and a name. */
#define _GNU_SOURCE
#include "fuzz_shim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fp_rc rc;
	char *text = malloc(size + 1);
	memcpy(text, data, size);
	text[size] = '\0';
	struct state *s = plugin_init(&(fp_init_input){.config = text}, &rc);
	if(rc == FP_SUCCESS)
	{
		ALWAYS(!*plugin_get_last_error(s) && *s->config.socket && consumer_ok(s->config.consumer));
		ALWAYS(strnlen(s->config.socket, sizeof s->config.socket) < sizeof s->config.socket && strlen(s->config.consumer) <= MAX_CONSUMER);
	}
	else ALWAYS(rc == FP_FAILURE && *plugin_get_last_error(s) && strlen(plugin_get_last_error(s)) < ERROR_SIZE);
	plugin_destroy(s);
	free(text);
	return 0;
}
