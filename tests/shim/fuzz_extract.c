/*
 * Invariant: extraction from any bytes that claim to be our event gives values that Falco can hold (text that is UTF-8 and ends, addresses
 * of 4 or 16 bytes) or none, and reads no byte beyond the event and the blocks that it names.
 *
 * Input: u16 length and bytes of each block (its first byte is its kind; ids are 1, 2, 3 ... in order), a length of 0, then the event from
 * its sequence number on.
 */
#define _GNU_SOURCE
#include "fuzz_shim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fp_rc rc;
	struct state *s = plugin_init(NULL, &rc);
	struct instance *in = plugin_open(s, NULL, &rc);
	in->link = LINK_LIVE;
	in->epoch = 1;
	for(uint64_t id = 1; size >= 2; id++)
	{
		uint32_t n = load16(data);
		data += 2;
		size -= 2;
		if(!n || n > size) break;
		uint8_t *define = malloc(8 + n);
		memcpy(define, &id, 8);
		memcpy(define + 8, data, n);
		take_define(in, define, 8 + n);
		free(define);
		if(in->link == LINK_DOWN) /* no block: the connection is gone, and it is no more of interest */
		{
			plugin_destroy(s);
			return 0;
		}
		data += n;
		size -= n;
	}
	uint32_t length = (uint32_t)(EVENT_OVERHEAD + size);
	uint8_t *event = malloc(length);
	fp_event header = {.ts = 1, .tid = UINT64_MAX, .len = length, .type = FP_EVENT_PLUGIN, .nparams = FP_PLUGIN_NPARAMS};
	memcpy(event, &header, sizeof header);
	uint8_t *at = put32(event + FP_EVENT_HEADER, 4);
	at = put32(at, length - FP_PAYLOAD_OFFSET);
	at = put32(at, PLUGIN_ID);
	at = put32(at, PAYLOAD_MAGIC);
	at = put32(at, 0);
	at = put64(at, 1);
	if(size) memcpy(at, data, size);
	look_at_all(s, (fp_event *)event);
	free(event);
	plugin_destroy(s);
	return 0;
}
