/*
 * The nth call of a function fails, n = 1, 2, 3 ... until no call is left to fail: the shim comes through, and delivers in the end.
 * Linked with the shim itself and -Wl,--wrap for each function. faults SOCKET FUNCTION FAILURE EVENTS prints how often it failed.
 *
 * Time is ours: the clock goes on by a millisecond for each poll that waits and by a microsecond for each look at it. So how long a
 * next_batch takes is known exactly, on a busy machine too; and that nothing else in it can wait is seen in the flags of its calls.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "edera_fields.h"
#include "plugin_abi.h"

#define CHECK(what) do { if(!(what)) { fprintf(stderr, "%s:%d: n = %lu: not so: %s\n", __FILE__, __LINE__, nth, #what); exit(1); } } while(0)

void *plugin_init(const fp_init_input *, fp_rc *);
void plugin_destroy(void *);
const char *plugin_get_last_error(void *);
void *plugin_open(void *, const char *, fp_rc *);
void plugin_close(void *, void *);
fp_rc plugin_next_batch(void *, void *, uint32_t *, fp_event ***);
fp_rc plugin_extract_fields(void *, const fp_event_input *, const fp_field_extract_input *);
const char *plugin_event_to_string(void *, const fp_event_input *);
fp_metric *plugin_get_metrics(void *, uint32_t *);
fp_rc plugin_set_config(void *, const fp_set_config_input *);

static const char *target = "", *failure = "";
static unsigned long nth, calls, failed;
static bool armed;
static uint64_t our_ns = 1000000000000u;

static bool fails(const char *function)
{
	if(!armed || strcmp(function, target)) return false;
	if(++calls < nth || calls >= nth + 1) return false;
	failed++;
	return true;
}

static int error_of(void)
{
	static const struct { const char *name; int number; } ERRORS[] = {
		{"EINTR", EINTR}, {"EAGAIN", EAGAIN}, {"ECONNRESET", ECONNRESET}, {"ECONNREFUSED", ECONNREFUSED}, {"EPIPE", EPIPE}, {"ENOMEM", ENOMEM},
		{"EMFILE", EMFILE}, {"ENOENT", ENOENT}, {"EACCES", EACCES}, {"ENOBUFS", ENOBUFS}, {"EBADF", EBADF},
	};
	for(unsigned i = 0; i < sizeof ERRORS / sizeof *ERRORS; i++)
		if(!strcmp(ERRORS[i].name, failure)) return ERRORS[i].number;
	return 0;
}

#define FAIL(function) do { if(fails(function) && error_of()) { errno = error_of(); return -1; } } while(0)

void *__real_malloc(size_t);
void *__real_calloc(size_t, size_t);
int __real_socket(int, int, int);
int __real_connect(int, const struct sockaddr *, socklen_t);
ssize_t __real_recv(int, void *, size_t, int);
ssize_t __real_send(int, const void *, size_t, int);
int __real_poll(struct pollfd *, nfds_t, int);
int __real_clock_gettime(clockid_t, struct timespec *);

void *__wrap_malloc(size_t n) { return fails("malloc") ? NULL : __real_malloc(n); }
void *__wrap_calloc(size_t n, size_t size) { return fails("malloc") ? NULL : __real_calloc(n, size); }

int __wrap_socket(int family, int type, int protocol)
{
	CHECK(type & SOCK_NONBLOCK && type & SOCK_CLOEXEC);
	FAIL("socket");
	return __real_socket(family, type, protocol);
}

int __wrap_connect(int fd, const struct sockaddr *a, socklen_t n) { FAIL("connect"); return __real_connect(fd, a, n); }

ssize_t __wrap_recv(int fd, void *to, size_t n, int flags)
{
	bool now = fails("recv");
	CHECK(flags & MSG_DONTWAIT && n > 0);
	if(now && !strcmp(failure, "EOF")) return 0;
	if(now && error_of()) return errno = error_of(), -1;
	return __real_recv(fd, to, now ? 1 : n, flags); /* SHORT */
}

ssize_t __wrap_send(int fd, const void *from, size_t n, int flags)
{
	bool now = fails("send");
	CHECK(flags & MSG_DONTWAIT && flags & MSG_NOSIGNAL && n > 0);
	if(now && error_of()) return errno = error_of(), -1;
	return __real_send(fd, from, now ? 1 : n, flags);
}

int __wrap_poll(struct pollfd *p, nfds_t n, int wait)
{
	if(fails("poll"))
	{
		if(!error_of()) return 0; /* SHORT: nothing, and no time went by */
		errno = error_of();
		return -1;
	}
	CHECK(wait >= 0);
	int got = __real_poll(p, n, wait > 0);
	if(!got && wait) our_ns += 1000000;
	return got;
}

/* Time goes back by a quarter of an hour at the nth look at the clock, or stands still from then on for a while. */
int __wrap_clock_gettime(clockid_t which, struct timespec *t)
{
	static uint64_t held;
	uint64_t shown = our_ns += 1000;
	(void)which;
	if(armed && !strcmp(target, "clock_gettime"))
	{
		if(++calls == nth)
		{
			failed++;
			held = shown;
		}
		if(!strcmp(failure, "BACK") && calls >= nth) shown -= 900000000000u;
		if(!strcmp(failure, "FORTH") && calls >= nth) shown += 900000000000u;
		if(!strcmp(failure, "STILL") && calls >= nth && calls < nth + 20) shown = held;
	}
	t->tv_sec = (time_t)(shown / 1000000000u);
	t->tv_nsec = (long)(shown % 1000000000u);
	return 0;
}

static uint64_t real_now(void)
{
	struct timespec t;
	__real_clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void look(void *state, const fp_event *event)
{
	static fp_extract_field fields[EDERA_FIELDS];
	fp_event_input input = {.evt = event, .evtnum = 1};
	fp_field_extract_input ask = {.num_fields = EDERA_FIELDS, .fields = fields};
	memset(fields, 0xa5, sizeof fields);
	for(uint32_t i = 0; i < EDERA_FIELDS; i++)
	{
		fields[i].field_id = i;
		fields[i].arg_present = 0;
		fields[i].arg_key = NULL;
	}
	CHECK(plugin_extract_fields(state, &input, &ask) == FP_SUCCESS);
	for(uint32_t i = 0; i < EDERA_FIELDS; i++)
		if(fields[i].res_len && edera_fields[i].type == EDERA_TYPE_STRING)
			for(uint64_t k = 0; k < fields[i].res_len; k++) CHECK(strlen(fields[i].res.str[k]) < 1000000);
	CHECK(plugin_event_to_string(state, &input));
}

/* One life of the plugin. How many events it brought. */
static uint64_t life(const char *socket, uint64_t wanted)
{
	char config[256];
	fp_rc rc = 77;
	uint64_t seen = 0, until = real_now() + 30000000000u;
	snprintf(config, sizeof config, "{\"socket\":\"%s\"}", socket);
	fp_init_input input = {.config = config};
	void *state = plugin_init(&input, &rc);
	CHECK(state); /* even without memory: the reason has to be said */
	if(rc != FP_SUCCESS)
	{
		CHECK(!strcmp(plugin_get_last_error(state), "out of memory"));
		uint32_t n = 1;
		CHECK(!plugin_get_metrics(state, &n) && n == 0);
		plugin_destroy(state);
		return wanted;
	}
	void *instance = plugin_open(state, "", &rc);
	CHECK(rc == FP_SUCCESS && instance);
	while(seen < wanted)
	{
		uint32_t n = 99;
		fp_event **events = (fp_event **)99;
		uint64_t before = our_ns;
		rc = plugin_next_batch(state, instance, &n, &events);
		CHECK(our_ns - before < 60000000u); /* WAIT_NS and what is left of a poll; the limit is 100 ms */
		CHECK(rc == FP_SUCCESS ? n > 0 && events : rc == FP_TIMEOUT && n == 0 && !events);
		for(uint32_t i = 0; i < n; i++) look(state, events[i]);
		seen += n;
		if(real_now() > until) break;
	}
	plugin_close(state, instance);
	plugin_destroy(state);
	return seen;
}

int main(int argc, char **argv)
{
	CHECK(argc == 5);
	uint64_t wanted = strtoull(argv[4], NULL, 10);
	target = argv[2];
	failure = argv[3];
	for(nth = 1;; nth++)
	{
		calls = 0;
		armed = true;
		uint64_t before = failed, seen = life(argv[1], wanted);
		armed = false;
		CHECK(seen >= wanted);
		if(failed == before) break;
		CHECK(nth < 2000);
	}
	printf("%lu\n", failed);
	return 0;
}
