/*
 * A host for what shimcat does not do: several instances and threads in one process, and events that no engine would hand out.
 * host events LIBRARY SOCKET    every event cut at every byte, and with every byte changed: extraction reads nothing beyond it
 * host threads LIBRARY SOCKET   two live instances, hot reloads' dry runs beside them, get_metrics from other threads
 * host mirror LIBRARY SOCKET    holds a map as the modern eBPF driver has it, and changes it after each event: see test_mirror.py
 * host bench LIBRARY SOCKET N   nanoseconds for an event and for some fields, over N events
 * What is wrong is printed, and ends it with 1; the sanitizers see the rest.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "edera_fields.h"
#include "plugin_abi.h"

#define CHECK(what) do { if(!(what)) { fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #what); exit(1); } } while(0)

static void *(*init)(const fp_init_input *, fp_rc *);
static void (*destroy)(void *);
static const char *(*get_last_error)(void *);
static void *(*open_)(void *, const char *, fp_rc *);
static void (*close_)(void *, void *);
static fp_rc (*next_batch)(void *, void *, uint32_t *, fp_event ***);
static fp_rc (*extract_fields)(void *, const fp_event_input *, const fp_field_extract_input *);
static const char *(*event_to_string)(void *, const fp_event_input *);
static fp_metric *(*get_metrics)(void *, uint32_t *);
static const char *(*get_fields)(void);
static const char *(*get_init_schema)(uint32_t *);

static void *symbol(void *library, const char *name)
{
	void *at = dlsym(library, name);
	CHECK(at);
	return at;
}

static void load(const char *path)
{
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if(!library) fprintf(stderr, "%s\n", dlerror());
	CHECK(library);
	*(void **)&init = symbol(library, "plugin_init");
	*(void **)&destroy = symbol(library, "plugin_destroy");
	*(void **)&get_last_error = symbol(library, "plugin_get_last_error");
	*(void **)&open_ = symbol(library, "plugin_open");
	*(void **)&close_ = symbol(library, "plugin_close");
	*(void **)&next_batch = symbol(library, "plugin_next_batch");
	*(void **)&extract_fields = symbol(library, "plugin_extract_fields");
	*(void **)&event_to_string = symbol(library, "plugin_event_to_string");
	*(void **)&get_metrics = symbol(library, "plugin_get_metrics");
	*(void **)&get_fields = symbol(library, "plugin_get_fields");
	*(void **)&get_init_schema = symbol(library, "plugin_get_init_schema");
}

static uint64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void *start(const char *socket, const char *consumer)
{
	char config[256];
	fp_rc rc = 77;
	snprintf(config, sizeof config, "{\"socket\":\"%s\",\"consumer\":\"%s\"}", socket, consumer);
	fp_init_input input = {.config = config};
	void *state = init(&input, &rc);
	CHECK(state && rc == FP_SUCCESS);
	return state;
}

static _Thread_local volatile unsigned sink;

/* Looks at every value as Falco would. */
static void touch(const fp_extract_field *f, const struct edera_field *row)
{
	CHECK(f->res_len <= 1 || row->flags & EDERA_LIST);
	for(uint64_t i = 0; i < f->res_len; i++)
		switch(row->type)
		{
		case EDERA_TYPE_STRING: case EDERA_TYPE_SIGNED: CHECK(f->res.str[i]); sink += (unsigned)strlen(f->res.str[i]); break;
		case EDERA_TYPE_BOOL: CHECK(f->res.boolean[i] <= 1); break;
		case EDERA_TYPE_IPADDR: case EDERA_TYPE_IPNET:
			CHECK(f->res.buf[i].len == 4 || f->res.buf[i].len == 16);
			sink += ((const uint8_t *)f->res.buf[i].ptr)[f->res.buf[i].len - 1];
			break;
		default: sink += (unsigned)f->res.u64[i];
		}
}

/* All fields of an event in one call, once without arguments and once with; how many have a value. */
static unsigned touch_all(void *state, const fp_event *event)
{
	static const char *const KEYS[] = {"0", "1", "A", "/proc*", "18446744073709551615"};
	fp_extract_field *fields = malloc(EDERA_FIELDS * sizeof *fields);
	CHECK(fields);
	fp_event_input input = {.evt = event, .evtnum = 1, .evtsrc = "edera_zone"};
	fp_field_extract_input ask = {.num_fields = EDERA_FIELDS, .fields = fields};
	unsigned n = 0;
	for(unsigned round = 0; round < 6; round++)
	{
		memset(fields, 0xa5, EDERA_FIELDS * sizeof *fields);
		unsigned asked = 0;
		for(uint32_t i = 0; i < EDERA_FIELDS; i++)
		{
			unsigned takes = edera_fields[i].flags & (EDERA_ARG_INDEX | EDERA_ARG_KEY);
			if(round ? !takes : takes & EDERA_ARG_REQUIRED) continue;
			fp_extract_field *f = &fields[asked++];
			f->field_id = i;
			f->arg_present = round > 0;
			f->arg_key = round && takes & EDERA_ARG_KEY ? KEYS[round - 1] : NULL;
			f->arg_index = round ? strtoull(KEYS[round - 1], NULL, 10) : UINT64_MAX;
		}
		ask.num_fields = asked;
		CHECK(extract_fields(state, &input, &ask) == FP_SUCCESS);
		for(uint32_t i = 0; i < asked; i++)
		{
			n += fields[i].res_len > 0;
			touch(&fields[i], &edera_fields[fields[i].field_id]);
		}
	}
	const char *text = event_to_string(state, &input);
	CHECK(text && strlen(text) < 1024);
	free(fields);
	return n;
}

static fp_event *first_event(void *state, void *instance)
{
	uint64_t until = now() + 20000000000u;
	for(;;)
	{
		uint32_t n = 99;
		fp_event **events = (fp_event **)99;
		fp_rc rc = next_batch(state, instance, &n, &events);
		if(rc == FP_SUCCESS)
		{
			CHECK(n > 0);
			return events[0];
		}
		CHECK(rc == FP_TIMEOUT && n == 0 && !events && now() < until);
	}
}

/* A copy of an event with nothing around it, at an odd address or an even one. */
static unsigned as_copy(void *state, const uint8_t *bytes, uint32_t have, uint32_t claimed, unsigned odd)
{
	uint8_t *copy = malloc(have + odd);
	CHECK(copy);
	memcpy(copy + odd, bytes, have);
	uint32_t payload = claimed - FP_PAYLOAD_OFFSET;
	memcpy(copy + odd + 16, &claimed, 4);
	if(have >= 34) memcpy(copy + odd + 30, &payload, 4);
	unsigned n = touch_all(state, (fp_event *)(copy + odd));
	free(copy);
	return n;
}

static int events(const char *socket)
{
	void *state = start(socket, "events");
	fp_rc rc;
	void *instance = open_(state, "", &rc);
	CHECK(rc == FP_SUCCESS);
	fp_event *event = first_event(state, instance);
	uint32_t size = event->len;
	uint8_t *bytes = malloc(size);
	CHECK(bytes);
	memcpy(bytes, event, size);

	unsigned whole = touch_all(state, event), cut = 0, changed = 0;
	CHECK(whole > 100);
	CHECK(as_copy(state, bytes, size, size, 0) == whole); /* a copy is as good: Falco may hand one in */
	CHECK(as_copy(state, bytes, size, size, 1) == whole);
	for(uint32_t n = FP_EVENT_HEADER; n < size; n++) cut += as_copy(state, bytes, n, n, n & 1) > 0;
	for(uint32_t at = FP_EVENT_HEADER; at < size; at++)
		for(unsigned change = 0; change < 3; change++)
		{
			uint8_t was = bytes[at];
			bytes[at] = change == 0 ? 0xff : change == 1 ? 0 : was ^ 1;
			uint8_t *copy = malloc(size);
			CHECK(copy);
			memcpy(copy, bytes, size);
			changed += touch_all(state, (fp_event *)copy) > 0;
			free(copy);
			bytes[at] = was;
		}
	for(uint32_t at = 16; at < FP_EVENT_HEADER; at++) /* type, length (never longer than it is), number of parameters */
	{
		uint8_t was = bytes[at];
		if(at < 20) { bytes[at] = 0; as_copy(state, bytes, size, size, 0); }
		else { bytes[at] ^= 0x10; CHECK(touch_all(state, (fp_event *)bytes) == 0); }
		bytes[at] = was;
	}
	/* Once its instance is closed an event still has what it says itself, and nothing of blocks. */
	close_(state, instance);
	unsigned alone = as_copy(state, bytes, size, size, 0);
	CHECK(alone > 10 && alone < whole / 2);
	void *other = start(socket, "other");
	CHECK(as_copy(other, bytes, size, size, 0) == alone);
	destroy(other);
	destroy(state);
	free(bytes);
	printf("%u values whole, %u alone, %u cuts and %u changes with a value\n", whole, alone, cut, changed);
	return 0;
}

/* ---- Threads --------------------------------------------------------------------------------------------------------------- */

static bool stopped;
static const char *path;

static bool running(void) { return !__atomic_load_n(&stopped, __ATOMIC_RELAXED); }

static void *live(void *state)
{
	uintptr_t total = 0;
	while(running())
	{
		fp_rc rc;
		void *instance = open_(state, "", &rc);
		CHECK(instance && rc == FP_SUCCESS);
		for(int i = 0; i < 40 && running(); i++)
		{
			uint32_t n;
			fp_event **got;
			rc = next_batch(state, instance, &n, &got);
			CHECK(rc == FP_TIMEOUT ? n == 0 : rc == FP_SUCCESS && n > 0);
			for(uint32_t k = 0; k < n; k++) total += touch_all(state, got[k]) > 0;
		}
		close_(state, instance);
	}
	return (void *)total;
}

static void *measure(void *state)
{
	uint64_t before = 0;
	while(running())
	{
		uint32_t n = 0;
		fp_metric *metrics = get_metrics(state, &n);
		CHECK(n > 10);
		for(uint32_t i = 0; i < n; i++)
		{
			uint64_t value = __atomic_load_n(&metrics[i].value.u64, __ATOMIC_RELAXED);
			CHECK(metrics[i].name && metrics[i].value_type == FP_METRIC_U64);
			if(strcmp(metrics[i].name, "events")) continue;
			CHECK(value >= before);
			before = value;
		}
	}
	return NULL;
}

/* What a hot reload's dry run does, in the watcher's thread. */
static void *dry_run(void *unused)
{
	while(running())
	{
		uint32_t type;
		CHECK(strlen(get_fields()) > 1000 && strlen(get_init_schema(&type)) > 100);
		void *state = start(path, "dry");
		CHECK(!*get_last_error(state));
		destroy(state);
		fp_rc rc;
		fp_init_input input = {.config = "{\"nonsense\":1}"};
		state = init(&input, &rc);
		CHECK(state && rc == FP_FAILURE && strstr(get_last_error(state), "nonsense"));
		destroy(state);
	}
	return unused;
}

static int threads(void)
{
	pthread_t all[7];
	void *first = start(path, "first"), *second = start(path, "second"), *total;
	CHECK(!pthread_create(&all[0], NULL, live, first) && !pthread_create(&all[1], NULL, live, second));
	for(int i = 2; i < 6; i++) CHECK(!pthread_create(&all[i], NULL, measure, i & 1 ? first : second));
	CHECK(!pthread_create(&all[6], NULL, dry_run, NULL));
	struct timespec pause = {2, 0};
	nanosleep(&pause, NULL);
	__atomic_store_n(&stopped, true, __ATOMIC_RELAXED);
	uintptr_t sum = 0;
	for(int i = 0; i < 7; i++)
	{
		CHECK(!pthread_join(all[i], &total));
		if(i < 2) sum += (uintptr_t)total;
	}
	destroy(first);
	destroy(second);
	CHECK(sum > 0);
	printf("%lu events with values\n", (unsigned long)sum);
	return 0;
}

/* ---- The host's system calls ------------------------------------------------------------------------------------------------ */

enum { BPF_CREATE = 0, BPF_UPDATE = 2 };

static int make_map(const char *name)
{
	struct { uint32_t type, key_size, value_size, max_entries, flags, inner, node; char name[16]; } map = {2, 4, 1, 512, 0, 0, 0, ""};
	strncpy(map.name, name, sizeof map.name - 1);
	return (int)syscall(SYS_bpf, BPF_CREATE, &map, sizeof map);
}

static void enable(int map, uint32_t number, uint8_t on)
{
	struct { uint32_t fd, pad; uint64_t key, value, flags; } element = {(uint32_t)map, 0, (uintptr_t)&number, (uintptr_t)&on, 0};
	CHECK(syscall(SYS_bpf, BPF_UPDATE, &element, sizeof element) == 0);
}

static void log_line(void *owner, const char *component, const char *text, uint32_t severity)
{
	(void)owner;
	printf("%s %u %s\n", component, severity, text);
}

static int mirror(const char *socket)
{
	int other = make_map("other_map"), map = make_map("interesting_sys");
	if(map < 0)
	{
		printf("skip: this machine does not let us make a BPF map\n");
		return 0;
	}
	char config[256];
	fp_rc rc;
	snprintf(config, sizeof config, "{\"socket\":\"%s\",\"mirror_host_syscalls\":true}", socket);
	fp_init_input input = {.config = config, .log_fn = log_line};
	enable(map, SYS_openat, 1);
	enable(map, SYS_execve, 1);
	enable(map, 511, 1); /* no system call */
	void *state = init(&input, &rc);
	CHECK(rc == FP_SUCCESS);
	void *instance = open_(state, "", &rc);
	first_event(state, instance);
	enable(map, SYS_execve, 0);
	enable(map, SYS_connect, 1);
	first_event(state, instance);
	close(map);
	first_event(state, instance);
	map = make_map("interesting_sys");
	enable(map, SYS_read, 1);
	first_event(state, instance);
	close_(state, instance);
	destroy(state);
	close(map);
	close(other);
	return 0;
}

/* ---- Figures --------------------------------------------------------------------------------------------------------------- */

static uint64_t busy(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int bench(const char *socket, uint64_t wanted)
{
	static const char *const NAMES[] = {
		"evt.type", "evt.args", "proc.name", "proc.cmdline", "proc.pname", "proc.aname", "proc.anames", "proc.env", "fd.name", "fd.num", "evt.arg.fd", "evt.is_open_read", "user.uid", "container.id",
		"util.cnt",
	};
	enum { N = sizeof NAMES / sizeof *NAMES };
	uint64_t spent[N] = {0}, taking = 0, seen = 0, values[N] = {0};
	uint32_t ids[N];
	for(unsigned k = 0; k < N; k++)
		for(ids[k] = 0; strcmp(edera_fields[ids[k]].name, NAMES[k]); ids[k]++) CHECK(ids[k] + 1 < EDERA_FIELDS);
	void *state = start(socket, "bench");
	fp_rc rc;
	void *instance = open_(state, "", &rc);
	uint64_t wall = 0, until = now() + 60000000000u;
	while(seen < wanted)
	{
		uint32_t n;
		fp_event **got;
		uint64_t before = busy();
		rc = next_batch(state, instance, &n, &got);
		taking += busy() - before;
		if(!wall && n) wall = now();
		for(unsigned k = 0; k < N && n; k++)
		{
			before = busy();
			for(uint32_t i = 0; i < n; i++)
			{
				fp_event_input event = {.evt = got[i], .evtnum = seen + i};
				fp_extract_field f = {.field_id = ids[k], .arg_index = UINT64_MAX};
				fp_field_extract_input ask = {.num_fields = 1, .fields = &f};
				extract_fields(state, &event, &ask);
				values[k] += f.res_len > 0;
			}
			spent[k] += busy() - before;
		}
		seen += n;
		CHECK(now() < until);
	}
	printf("{\"events\":%lu,\"next_batch_ns\":%.1f", (unsigned long)seen, (double)taking / (double)seen);
	for(unsigned k = 0; k < N; k++) printf(",\"%s\":[%.1f,%.3f]", NAMES[k], (double)spent[k] / (double)seen, (double)values[k] / (double)seen);
	printf("}\n");
	close_(state, instance);
	destroy(state);
	return 0;
}

int main(int argc, char **argv)
{
	CHECK(argc > 3);
	load(argv[2]);
	path = argv[3];
	if(!strcmp(argv[1], "events")) return events(argv[3]);
	if(!strcmp(argv[1], "threads")) return threads();
	if(!strcmp(argv[1], "mirror")) return mirror(argv[3]);
	CHECK(argc > 4);
	return bench(argv[3], strtoull(argv[4], NULL, 10));
}
