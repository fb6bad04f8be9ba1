/*
 * Invariant: whatever a daemon sends, in pieces of any size, the shim reads no byte beyond what it got, keeps its limits, hands out
 * only events that Falco takes, and is ready for the next connection.
 *
 * Input: the bytes of a connection, from WELCOME on. Its first byte says how large the pieces are; 255: a frame at a time, so that no
 * byte of memory follows a frame that is being read.
 */
#define _GNU_SOURCE
#define MAX_BLOCKS 32u
#define MAX_BLOCK_BYTES UINT64_C(16384)
#define INBOX_SIZE 64u
#define ARENA_SIZE 256u
#define MAX_BATCH 4u
#define SCRATCH_CHUNK 64u
#define SCRATCH_MAX 65536u
#include "fuzz_shim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fp_rc rc;
	if(size < 1) return 0;
	size_t piece = data[0] ? data[0] : size;
	data++;
	size--;
	struct state *s = plugin_init(NULL, &rc);
	struct instance *in = plugin_open(s, NULL, &rc);
	in->link = LINK_GREETING;
	in->epoch = 1;
	bool frames = piece == 255;
	for(size_t at = 0; at < size && in->link != LINK_DOWN; at += piece)
	{
		if(frames)
		{
			piece = size - at < 4 ? size - at : (size_t)load32(data + at) + FRAME_HEADER;
			if(piece > size - at) piece = size - at;
		}
		/* As receive() does, into an inbox that is exactly as large as what is in it */
		uint32_t have = in->in_end - in->in_start, more = (uint32_t)(size - at < piece ? size - at : piece);
		uint8_t *inbox = malloc(have + more);
		if(have) memcpy(inbox, in->inbox + in->in_start, have);
		memcpy(inbox + have, data + at, more);
		free(in->inbox);
		in->inbox = inbox;
		in->in_start = 0;
		in->in_end = in->in_size = have + more;
		if(!in->arena)
		{
			in->arena = malloc(ARENA_SIZE);
			in->arena_size = ARENA_SIZE;
			in->events = malloc(MAX_BATCH * sizeof *in->events);
		}
		do
		{
			if(in->link != LINK_DOWN) take_frames(in);
			ALWAYS(in->table.used <= MAX_BLOCKS && in->table.bytes <= MAX_BLOCK_BYTES && in->n_events <= MAX_BATCH);
			if(!in->n_events) break;
			for(uint32_t i = 0; i < in->n_events; i++)
			{
				fp_event *event = in->events[i];
				ALWAYS(event->type == FP_EVENT_PLUGIN && event->nparams == FP_PLUGIN_NPARAMS && event->tid == UINT64_MAX && event->ts);
				look_at_all(s, event);
			}
			finish_batch(in);
		} while(in->link != LINK_DOWN);
		if(in->link != LINK_DOWN) ALWAYS(in->in_end - in->in_start < FRAME_HEADER || load32(in->inbox + in->in_start) <= MAX_FRAME);
	}
	finish_batch(in);
	ALWAYS(in->link != LINK_DOWN || (!in->table.used && !in->table.slots && !in->epoch));
	plugin_destroy(s);
	return 0;
}
