/*
 * Invariant: over a real socket, whatever consumer we are and however a daemon answers, HELLO says it in one well-formed frame, what is no
 * WELCOME for us ends the connection, and all that is sent afterwards are well-formed ACK and SYSCALLS frames.
 *
 * Input: length of the consumer's name and the name; number of system calls (255: not mirrored) and 2 bytes for each; size of the pieces;
 * then what the daemon says.
 */
#define _GNU_SOURCE
#define INBOX_SIZE 64u
#define MAX_BLOCKS 32u
#define MAX_BLOCK_BYTES UINT64_C(16384)
#define ARENA_SIZE 256u
#define MAX_BATCH 4u
#define SCRATCH_CHUNK 64u
#define SCRATCH_MAX 65536u
#include "fuzz_shim.h"

static void look_at_hello(const struct instance *in, const uint8_t *p, uint32_t n)
{
	const char *name = in->state->config.consumer;
	ALWAYS(n >= 26 && !memcmp(p, "EDFC", 4) && load16(p + 4) == PROTOCOL_MAJOR && load32(p + 8) == EDERA_FIELDS);
	ALWAYS(load64(p + 12) == edera_prefix_hash[EDERA_FIELDS]);
	uint32_t at = 22, length = load16(p + 20);
	ALWAYS(at + length + 2 <= n && length == strlen(name) && !memcmp(p + at, name, length));
	at += length;
	length = load16(p + at);
	at += 2 + length;
	ALWAYS(at + 4 <= n);
	uint32_t codes = load32(p + at);
	ALWAYS(codes == in->n_syscalls && n == at + 4 + (codes == NO_SYSCALLS ? 0 : 2 * codes));
}

/* All that we sent; nothing of it may be out of place. */
static void look_at_sent(const struct instance *in, int fd, bool first)
{
	static uint8_t sent[1 << 16];
	ssize_t n = recv(fd, sent, sizeof sent, MSG_DONTWAIT);
	if(n <= 0) return;
	uint32_t have = (uint32_t)n, at = 0;
	while(at < have)
	{
		ALWAYS(have - at >= FRAME_HEADER);
		uint32_t length = load32(sent + at);
		uint8_t type = sent[at + 4];
		ALWAYS(length <= have - at - FRAME_HEADER && !sent[at + 6] && !sent[at + 7]);
		if(first) look_at_hello(in, sent + at + FRAME_HEADER, length);
		ALWAYS(first ? type == HELLO : (type == ACK && length == 8) || type == SYSCALLS);
		first = false;
		at += FRAME_HEADER + length;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fp_rc rc;
	if(size < 1 || size < (size_t)data[0] + 3) return 0;
	struct state *s = plugin_init(NULL, &rc);
	struct instance *in = plugin_open(s, NULL, &rc);
	size_t length = data[0];
	char name[256];
	memcpy(name, data + 1, length);
	name[length] = '\0';
	if(strlen(name) <= MAX_CONSUMER && consumer_ok(name)) memcpy(s->config.consumer, name, strlen(name) + 1);
	data += 1 + length;
	size -= 1 + length;
	in->n_syscalls = data[0] == 255 ? NO_SYSCALLS : data[0];
	data++;
	size--;
	for(uint32_t i = 0; in->n_syscalls != NO_SYSCALLS && i < in->n_syscalls && size >= 3; i++, data += 2, size -= 2) in->syscalls[i] = load16(data);
	size_t piece = data[0] ? data[0] : size;
	data++;
	size--;
	int pair[2];
	if(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) || !have_buffers(in)) abort();
	in->fd = pair[0];
	in->link = LINK_GREETING;
	in->epoch = 1;
	in->opened_at = in->heard_at = now_ns();
	hello(in);
	ALWAYS(in->out_used <= OUTBOX_SIZE);
	flush(in);
	look_at_sent(in, pair[1], true);
	for(size_t at = 0; in->link != LINK_DOWN && at < size; at += piece)
	{
		size_t more = size - at < piece ? size - at : piece;
		if(send(pair[1], data + at, more, MSG_NOSIGNAL) != (ssize_t)more) break;
		while(in->link != LINK_DOWN && receive(in) > 0)
		{
			do
			{
				bool welcome = in->link == LINK_LIVE;
				take_frames(in);
				ALWAYS(welcome || in->link != LINK_LIVE || s->metrics[M_CONNECTS].value.u64 == 1);
				if(!in->n_events) break;
				for(uint32_t i = 0; i < in->n_events; i++) ALWAYS(in->events[i]->type == FP_EVENT_PLUGIN);
				finish_batch(in);
			} while(in->link != LINK_DOWN);
		}
		in->syscalls_due = in->link == LINK_LIVE && at % 3 == 0;
		if(in->link != LINK_DOWN) flush(in);
		look_at_sent(in, pair[1], false);
	}
	ALWAYS(in->link != LINK_DOWN || in->fd < 0);
	close(pair[1]);
	plugin_destroy(s);
	return 0;
}
