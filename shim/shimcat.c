/*
 * shimcat: loads the plugin as Falco does and prints what its fields say of each event. For tests, demos and bug reports.
 *
 * It is as strict as Falco: what would end Falco (a failure, success without events, a malformed event, a bad field list) ends it too.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "plugin_abi.h"

/* What is private between the plugin and shimcat. */
#define EXTRACT_AS_HEX 0x58454800u              /* a field type: binary parameters in hexadecimal, not with dots */
enum { TID_OFFSET = FP_PAYLOAD_OFFSET + 16 + 16 }; /* in a plugin event: the payload's head, then sequence number and time */

static const char USAGE[] =
	"usage: shimcat [options] [PLUGIN.so] [NAME | NAME[ARG] ...]\n"
	"Prints events of edera-falcod through its Falco plugin, by default one line of text for each.\n"
	"\n"
	"  -l, --library FILE    the plugin (default: libedera_shim.so beside shimcat)\n"
	"  -s, --socket PATH     the daemon's consumer socket\n"
	"  -u, --consumer NAME   by which the daemon remembers what was processed (default: shimcat)\n"
	"  -c, --config JSON     init_config, instead of --socket and --consumer\n"
	"  -o, --output FORMAT   text with %fields, as in the output of a Falco rule\n"
	"  -j, --json            a JSON object for each event, with the fields named as arguments or by --fields\n"
	"  -f, --fields FILE     more fields, one in a line (-: standard input)\n"
	"  -a, --all             all fields that take no argument\n"
	"  -p, --params          evt.arg[0], evt.arg[1] ... as many as there are\n"
	"  -n, --count N         stop after N events\n"
	"  -t, --timeout SECONDS stop after so long; the exit code is 3 if --count was not reached\n"
	"  -m, --metrics         the plugin's metrics as JSON on standard error, at the end\n"
	"  -q, --quiet           print nothing for events, only ask for their fields\n"
	"  -L, --list            list the plugin's fields and stop\n"
	"  -h, --help            this text\n";

static volatile sig_atomic_t stopped;

static void stop(int signal)
{
	(void)signal;
	stopped = 1;
}

__attribute__((format(printf, 1, 2), noreturn)) static void die(const char *format, ...)
{
	va_list args;
	fflush(stdout);
	fputs("shimcat: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

static void *need(void *memory)
{
	if(!memory) die("out of memory");
	return memory;
}

static uint64_t clock_ns(clockid_t which)
{
	struct timespec t;
	clock_gettime(which, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- The plugin ------------------------------------------------------------------------------------------------------------ */

struct plugin
{
	const char *(*get_required_api_version)(void);
	const char *(*get_version)(void);
	const char *(*get_name)(void);
	const char *(*get_description)(void);
	const char *(*get_contact)(void);
	void *(*init)(const fp_init_input *, fp_rc *);
	void (*destroy)(void *);
	const char *(*get_last_error)(void *);
	uint32_t (*get_id)(void);
	const char *(*get_event_source)(void);
	void *(*open)(void *, const char *, fp_rc *);
	void (*close)(void *, void *);
	fp_rc (*next_batch)(void *, void *, uint32_t *, fp_event ***);
	const char *(*event_to_string)(void *, const fp_event_input *);
	const char *(*get_fields)(void);
	fp_rc (*extract_fields)(void *, const fp_event_input *, const fp_field_extract_input *);
	const char *(*get_extract_event_sources)(void);
	uint16_t *(*get_extract_event_types)(uint32_t *, void *);
	fp_metric *(*get_metrics)(void *, uint32_t *);
	const char *(*get_init_schema)(uint32_t *);
	const char *(*list_open_params)(void *, fp_rc *);
	fp_rc (*set_config)(void *, const fp_set_config_input *);
};

static const struct { const char *name; size_t at; } SYMBOLS[] = {
#define SYMBOL(name) {"plugin_" #name, offsetof(struct plugin, name)}
	SYMBOL(get_required_api_version), SYMBOL(get_version), SYMBOL(get_name), SYMBOL(get_description), SYMBOL(get_contact),
	SYMBOL(init), SYMBOL(destroy), SYMBOL(get_last_error), SYMBOL(get_id), SYMBOL(get_event_source), SYMBOL(open), SYMBOL(close),
	SYMBOL(next_batch), SYMBOL(event_to_string), SYMBOL(get_fields), SYMBOL(extract_fields), SYMBOL(get_extract_event_sources),
	SYMBOL(get_extract_event_types), SYMBOL(get_metrics), SYMBOL(get_init_schema), SYMBOL(list_open_params), SYMBOL(set_config),
#undef SYMBOL
};

static void load(struct plugin *plugin, const char *path)
{
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if(!library) die("cannot load the plugin: %s", dlerror());
	for(size_t i = 0; i < sizeof SYMBOLS / sizeof *SYMBOLS; i++)
	{
		void *symbol = dlsym(library, SYMBOLS[i].name);
		if(!symbol) die("%s has no %s", path, SYMBOLS[i].name);
		memcpy((char *)plugin + SYMBOLS[i].at, &symbol, sizeof symbol);
	}
	unsigned major, minor, patch;
	char rest;
	if(sscanf(plugin->get_required_api_version(), "%u.%u.%u%c", &major, &minor, &patch, &rest) != 3 || major != 3)
		die("the plugin requires API %s", plugin->get_required_api_version());
	if(sscanf(plugin->get_version(), "%u.%u.%u%c", &major, &minor, &patch, &rest) != 3) die("the plugin's version is %s", plugin->get_version());
	if(!plugin->get_id() || !*plugin->get_event_source()) die("the plugin has no event source");
}

static void log_line(void *owner, const char *component, const char *text, uint32_t severity)
{
	static const char *const SEVERITIES[] = {"?", "fatal", "critical", "error", "warning", "notice", "info", "debug", "trace"};
	(void)owner;
	fprintf(stderr, "%s: %s: %s\n", component, SEVERITIES[severity < 9 ? severity : 0], text);
}

static const char *owner_error(void *owner)
{
	(void)owner;
	return "";
}

/* ---- Its fields ------------------------------------------------------------------------------------------------------------ */

struct field
{
	char *name, *desc;
	uint32_t type;
	bool list, required, index, key;
};

static struct field *fields;
static uint32_t n_fields;

static const struct { const char *name; uint32_t type; } TYPES[] = {
	{"uint64", FP_UINT64}, {"string", FP_STRING}, {"reltime", FP_RELTIME}, {"abstime", FP_ABSTIME}, {"bool", FP_BOOL}, {"ipaddr", FP_IPADDR}, {"ipnet", FP_IPNET},
};

/* A reader of the plugin's JSON: enough for get_fields, strict about it. */
static const char *json;

static void blanks(void) { while(*json == ' ' || *json == '\n' || *json == '\t' || *json == '\r') json++; }

static bool eat(char c)
{
	blanks();
	if(*json != c) return false;
	json++;
	return true;
}

static void expect(char c)
{
	if(!eat(c)) die("get_fields is not the JSON it should be: '%c' wanted at \"%.30s\"", c, json);
}

static char *string(void)
{
	expect('"');
	char *text = need(malloc(strcspn(json, "") + 1)), *to = text;
	for(; *json && *json != '"'; json++)
	{
		if(*json == '\\' && *++json == 'u')
		{
			json += 4;
			*to++ = '?';
			continue;
		}
		if(!*json) break;
		*to++ = *json;
	}
	*to = '\0';
	expect('"');
	return need(realloc(text, strlen(text) + 1));
}

static bool boolean(void)
{
	blanks();
	if(!strncmp(json, "true", 4)) return json += 4, true;
	if(strncmp(json, "false", 5)) die("get_fields: true or false wanted at \"%.30s\"", json);
	return json += 5, false;
}

static void argument(struct field *f)
{
	for(expect('{'); !eat('}'); eat(','))
	{
		char *key = string();
		expect(':');
		bool value = boolean();
		if(!strcmp(key, "isRequired")) f->required = value;
		else if(!strcmp(key, "isIndex")) f->index = value;
		else if(!strcmp(key, "isKey")) f->key = value;
		else die("get_fields: unknown '%s'", key);
		free(key);
	}
	if(f->required && !f->index && !f->key) die("get_fields: %s requires an argument and takes none", f->name);
}

static int by_name(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

static void read_fields(const struct plugin *plugin)
{
	json = plugin->get_fields();
	for(expect('['); !eat(']'); eat(','))
	{
		struct field f = {0};
		for(expect('{'); !eat('}'); eat(','))
		{
			char *key = string();
			expect(':');
			if(!strcmp(key, "name")) f.name = string();
			else if(!strcmp(key, "desc")) f.desc = string();
			else if(!strcmp(key, "display")) free(string());
			else if(!strcmp(key, "isList")) f.list = boolean();
			else if(!strcmp(key, "addOutput")) boolean();
			else if(!strcmp(key, "arg")) argument(&f);
			else if(!strcmp(key, "properties"))
				for(expect('['); !eat(']'); eat(',')) free(string());
			else if(!strcmp(key, "type"))
			{
				char *type = string();
				for(size_t i = 0; i < sizeof TYPES / sizeof *TYPES; i++)
					if(!strcmp(type, TYPES[i].name)) f.type = TYPES[i].type;
				if(!f.type) die("get_fields: no type is called '%s'", type);
				free(type);
			}
			else die("get_fields: unknown '%s'", key);
			free(key);
		}
		if(!f.name || !*f.name || !f.desc || !*f.desc || !f.type) die("get_fields: field %" PRIu32 " has no name, type or description", n_fields);
		if(!(n_fields & (n_fields - 1))) fields = need(realloc(fields, (n_fields ? 2 * n_fields : 1) * sizeof *fields));
		fields[n_fields++] = f;
	}
	if(!n_fields) die("the plugin has no fields");
	const char **names = need(malloc(n_fields * sizeof *names));
	for(uint32_t i = 0; i < n_fields; i++) names[i] = fields[i].name;
	qsort(names, n_fields, sizeof *names, by_name);
	for(uint32_t i = 1; i < n_fields; i++)
		if(!strcmp(names[i - 1], names[i])) die("get_fields: two fields are called %s", names[i]);
	free(names);
}

static struct field *field_named(const char *name, size_t n)
{
	for(uint32_t i = 0; i < n_fields; i++)
		if(!strncmp(fields[i].name, name, n) && !fields[i].name[n]) return &fields[i];
	return NULL;
}

/* ---- What is asked for ----------------------------------------------------------------------------------------------------- */

enum own { ASK_PLUGIN, OWN_NUM, OWN_TIME, OWN_INFO };

/* A field with its argument; or what a host knows without the plugin. */
struct form
{
	char *text; /* as it was written */
	enum own own;
	struct field *field;
	char *key;
	uint64_t index;
	bool has_arg;
};

struct forms
{
	struct form *list;
	size_t n;
};

static bool number_arg(const char *text, uint64_t *value)
{
	if(!*text || strspn(text, "0123456789") != strlen(text) || (*text == '0' && text[1])) return false;
	errno = 0;
	*value = strtoull(text, NULL, 10);
	return !errno;
}

static void add_form(struct forms *forms, const char *text, size_t n)
{
	struct form f = {.text = need(strndup(text, n)), .index = UINT64_MAX};
	const char *bracket = memchr(text, '[', n);
	size_t name = bracket ? (size_t)(bracket - text) : n;
	if(!strcmp(f.text, "evt.num")) f.own = OWN_NUM;
	else if(!strcmp(f.text, "evt.time")) f.own = OWN_TIME;
	else if(!strcmp(f.text, "evt.plugininfo")) f.own = OWN_INFO;
	else
	{
		f.field = field_named(text, name);
		if(!f.field) die("there is no field '%.*s'", (int)name, text);
		if(bracket)
		{
			if(text[n - 1] != ']') die("'%s' has no closing bracket", f.text);
			if(!f.field->index && !f.field->key) die("%s takes no argument", f.field->name);
			f.has_arg = true;
			char *key = need(strndup(bracket + 1, (size_t)(text + n - bracket) - 2));
			bool number = f.field->index && number_arg(key, &f.index);
			if(!number && !f.field->key) die("%s takes a number in brackets, not '%s'", f.field->name, key);
			if(f.field->key) f.key = key;
			else free(key);
		}
		else if(f.field->required) die("%s needs an argument in brackets", f.field->name);
	}
	if(!(forms->n & (forms->n - 1))) forms->list = need(realloc(forms->list, (forms->n ? 2 * forms->n : 1) * sizeof *forms->list));
	forms->list[forms->n++] = f;
}

static void free_forms(struct forms *forms)
{
	for(size_t i = 0; i < forms->n; i++)
	{
		free(forms->list[i].text);
		free(forms->list[i].key);
	}
	free(forms->list);
}

static void read_forms(struct forms *forms, const char *path)
{
	FILE *file = strcmp(path, "-") ? fopen(path, "r") : stdin;
	if(!file) die("%s: %s", path, strerror(errno));
	char *line = NULL;
	size_t size = 0;
	for(ssize_t n; (n = getline(&line, &size, file)) > 0;)
	{
		while(n && strchr(" \t\r\n", line[n - 1])) n--;
		if(n) add_form(forms, line, (size_t)n);
	}
	free(line);
	if(file != stdin) fclose(file);
}

/* ---- Events ---------------------------------------------------------------------------------------------------------------- */

struct host
{
	struct plugin plugin;
	void *state, *instance;
	uint64_t asked; /* values asked for */
};

/* Asks for one form; false: no value. What f->res points to is good until the next call. */
static bool ask(struct host *host, const fp_event_input *event, const struct form *form, bool hex, fp_extract_field *f)
{
	fp_field_extract_input input = {.get_owner_last_error = owner_error, .num_fields = 1, .fields = f};
	memset(f, 0xa5, sizeof *f); /* Falco leaves garbage here, too */
	f->field_id = (uint32_t)(form->field - fields);
	f->field = form->field->name;
	f->arg_key = form->key;
	f->arg_index = form->index;
	f->arg_present = form->has_arg;
	f->ftype = hex && form->field->type == FP_STRING ? EXTRACT_AS_HEX : form->field->type;
	f->flist = form->field->list ? 64 : 0; /* Falco's flag */
	host->asked++;
	if(host->plugin.extract_fields(host->state, event, &input) != FP_SUCCESS) die("extract_fields failed for %s", form->text);
	if(f->res_len > 1 && !form->field->list) die("%s has %" PRIu64 " values and is no list", form->text, f->res_len);
	return f->res_len > 0;
}

static void put_json_text(const char *text)
{
	putchar('"');
	for(const unsigned char *c = (const unsigned char *)text; *c; c++)
	{
		if(*c == '"' || *c == '\\') putchar('\\');
		if(*c < 0x20) printf("\\u%04x", *c);
		else putchar(*c);
	}
	putchar('"');
}

static void put_one(const fp_extract_field *f, const struct field *field, uint64_t i, bool quoted)
{
	char text[INET6_ADDRSTRLEN] = "?";
	switch(field->type)
	{
	case FP_STRING:
		if(quoted) put_json_text(f->res.str[i]);
		else fputs(f->res.str[i], stdout);
		break;
	case FP_BOOL: fputs(f->res.boolean[i] ? "true" : "false", stdout); break;
	case FP_IPADDR:
	case FP_IPNET:
		if(f->res.buf[i].len != 4 && f->res.buf[i].len != 16) die("%s has an address of %" PRIu32 " bytes", field->name, f->res.buf[i].len);
		inet_ntop(f->res.buf[i].len == 4 ? AF_INET : AF_INET6, f->res.buf[i].ptr, text, sizeof text);
		printf(quoted ? "\"%s\"" : "%s", text);
		break;
	default: printf("%" PRIu64, f->res.u64[i]);
	}
}

static void put_value(const fp_extract_field *f, const struct field *field, bool quoted)
{
	if(field->list) putchar(quoted ? '[' : '(');
	for(uint64_t i = 0; i < f->res_len; i++)
	{
		if(i) putchar(',');
		put_one(f, field, i, quoted);
	}
	if(field->list) putchar(quoted ? ']' : ')');
}

static void put_time(uint64_t ts)
{
	time_t seconds = (time_t)(ts / 1000000000u);
	struct tm local;
	char text[32] = "?";
	if(localtime_r(&seconds, &local)) strftime(text, sizeof text, "%H:%M:%S", &local);
	printf("%s.%09" PRIu64, text, ts % 1000000000u);
}

/* An event as text: literals[i], then forms[i] ... */
static void put_text(struct host *host, const fp_event_input *event, const struct forms *forms, char *const *literals)
{
	fp_extract_field f;
	for(size_t i = 0; i < forms->n; i++)
	{
		const struct form *form = &forms->list[i];
		if(literals) fputs(literals[i], stdout);
		else if(i) putchar(' ');
		switch(form->own)
		{
		case OWN_NUM: printf("%" PRIu64, event->evtnum); break;
		case OWN_TIME: put_time(event->evt->ts); break;
		case OWN_INFO: fputs(host->plugin.event_to_string(host->state, event), stdout); break;
		case ASK_PLUGIN:
			if(ask(host, event, form, false, &f)) put_value(&f, form->field, false);
			else fputs("<NA>", stdout);
		}
	}
	if(literals) fputs(literals[forms->n], stdout);
	putchar('\n');
}

/* Fields that every JSON line has. */
static struct form form_type, form_generic, form_cpu, form_arg;

static void own_form(struct form *form, const char *name)
{
	form->text = (char *)name;
	form->field = field_named(name, strlen(name));
	form->index = UINT64_MAX;
}

static bool put_member(struct host *host, const fp_event_input *event, const struct form *form, const char *name, bool first)
{
	fp_extract_field f;
	if(!form->field || !ask(host, event, form, true, &f)) return false;
	if(!first) putchar(',');
	put_json_text(name);
	putchar(':');
	put_value(&f, form->field, true);
	return true;
}

static void put_json(struct host *host, const fp_event_input *event, const struct forms *forms, bool params)
{
	fp_extract_field f;
	int64_t tid;
	memcpy(&tid, (const char *)event->evt + TID_OFFSET, sizeof tid);
	printf("{\"num\":%" PRIu64 ",\"ts\":%" PRIu64 ",\"tid\":%" PRId64, event->evtnum, event->evt->ts, tid);
	put_member(host, event, &form_cpu, "cpu", false);
	if(form_generic.field && ask(host, event, &form_generic, false, &f) && f.res.u64[0]) printf(",\"type\":\"syscall\"");
	else put_member(host, event, &form_type, "type", false);
	printf(",\"fields\":{");
	bool first = true;
	for(size_t i = 0; i < forms->n; i++)
		if(forms->list[i].own == ASK_PLUGIN && put_member(host, event, &forms->list[i], forms->list[i].text, first)) first = false;
	for(uint64_t i = 0; params && form_arg.field; i++)
	{
		char name[40], key[24];
		snprintf(name, sizeof name, "evt.arg[%" PRIu64 "]", i);
		snprintf(key, sizeof key, "%" PRIu64, i);
		form_arg.index = i;
		form_arg.key = key;
		form_arg.has_arg = true;
		if(!put_member(host, event, &form_arg, name, first)) break;
		first = false;
	}
	printf("}}\n");
}

/* Cuts a format like "%evt.time %proc.name[1]: x" into literals and forms; a name is the longest that there is. */
static char **read_format(struct forms *forms, const char *format)
{
	char **literals = need(malloc((strlen(format) + 1) * sizeof *literals));
	char *literal = need(malloc(strlen(format) + 1));
	size_t n = 0;
	while(*format)
	{
		if(*format != '%' || format[1] == '%')
		{
			literal[n++] = *format;
			format += *format == '%' ? 2 : 1;
			continue;
		}
		size_t length = strspn(++format, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._"), whole = length;
		while(length && !field_named(format, length) && !(length == 7 && !strncmp(format, "evt.num", 7)) && !(length == 8 && !strncmp(format, "evt.time", 8)) &&
		      !(length == 14 && !strncmp(format, "evt.plugininfo", 14)))
			length--;
		if(!length) die("there is no field '%.*s'", (int)whole, format);
		const char *end = format[length] == '[' ? strchr(format + length, ']') : NULL;
		if(end) length = (size_t)(end - format) + 1;
		literal[n] = '\0';
		literals[forms->n] = need(strdup(literal));
		n = 0;
		add_form(forms, format, length);
		format += length;
	}
	literal[n] = '\0';
	literals[forms->n] = literal;
	return literals;
}

/* As Falco's engine looks at an event before it takes it. */
static void check_event(const struct plugin *plugin, fp_event *event)
{
	const uint8_t *p = (const uint8_t *)event;
	uint32_t first, second, id;
	memcpy(&first, p + 26, 4);
	memcpy(&second, p + 30, 4);
	memcpy(&id, p + 34, 4);
	if(event->type != FP_EVENT_PLUGIN || event->nparams != FP_PLUGIN_NPARAMS || first != 4 || second != event->len - FP_PAYLOAD_OFFSET)
		die("malformed plugin event");
	if(event->len < TID_OFFSET + sizeof(int64_t)) die("plugin event of %" PRIu32 " bytes", event->len);
	if(id && id != plugin->get_id()) die("unexpected plugin id %" PRIu32 " in an event", id);
	if(event->ts == UINT64_MAX) event->ts = clock_ns(CLOCK_REALTIME);
	event->tid = UINT64_MAX;
}

static void put_metrics(struct host *host, uint64_t longest_ns)
{
	uint32_t n = 0;
	const fp_metric *metrics = host->plugin.get_metrics(host->state, &n);
	fputc('{', stderr);
	for(uint32_t i = 0; i < n; i++) fprintf(stderr, "\"%s\":%" PRIu64 ",", metrics[i].name, __atomic_load_n(&metrics[i].value.u64, __ATOMIC_RELAXED));
	fprintf(stderr, "\"longest_next_batch_us\":%" PRIu64 ",\"values_asked\":%" PRIu64 "}\n", longest_ns / 1000, host->asked);
}

/* init_config of a socket and a consumer's name; both are put between quotes as they are. */
static char *make_config(const char *socket, const char *consumer)
{
	char *config = NULL;
	if((socket && strpbrk(socket, "\"\\")) || strpbrk(consumer, "\"\\")) die("a quote or backslash in --socket or --consumer: use --config");
	int n = socket ? asprintf(&config, "{\"socket\":\"%s\",\"consumer\":\"%s\"}", socket, consumer) : asprintf(&config, "{\"consumer\":\"%s\"}", consumer);
	if(n < 0) die("out of memory");
	return config;
}

static char *beside(const char *name)
{
	char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
	if(n < 0) die("where am I? %s", strerror(errno));
	path[n] = '\0';
	char *slash = strrchr(path, '/'), *whole = NULL;
	*slash = '\0';
	if(asprintf(&whole, "%s/%s", path, name) < 0) die("out of memory");
	return whole;
}

static bool is_library(const char *argument)
{
	size_t n = strlen(argument);
	return n > 3 && !strcmp(argument + n - 3, ".so");
}

static uint64_t number(const char *text, const char *option)
{
	char *end;
	errno = 0;
	uint64_t value = strtoull(text, &end, 10);
	if(errno || end == text || *end || *text == '-') die("--%s takes a number, not '%s'", option, text);
	return value;
}

int main(int argc, char **argv)
{
	static const struct option OPTIONS[] = {
		{"library", 1, NULL, 'l'}, {"socket", 1, NULL, 's'}, {"consumer", 1, NULL, 'u'}, {"config", 1, NULL, 'c'}, {"output", 1, NULL, 'o'},
		{"json", 0, NULL, 'j'}, {"fields", 1, NULL, 'f'}, {"all", 0, NULL, 'a'}, {"params", 0, NULL, 'p'}, {"count", 1, NULL, 'n'},
		{"timeout", 1, NULL, 't'}, {"metrics", 0, NULL, 'm'}, {"quiet", 0, NULL, 'q'}, {"list", 0, NULL, 'L'}, {"help", 0, NULL, 'h'}, {NULL, 0, NULL, 0},
	};
	const char *library = NULL, *socket = NULL, *consumer = "shimcat", *config = NULL, *format = NULL, *file = NULL;
	bool as_json = false, all = false, params = false, metrics = false, quiet = false, list = false;
	uint64_t count = UINT64_MAX;
	double timeout = 0;
	for(int o; (o = getopt_long(argc, argv, "l:s:u:c:o:jf:apn:t:mqLh", OPTIONS, NULL)) != -1;)
		switch(o)
		{
		case 'l': library = optarg; break;
		case 's': socket = optarg; break;
		case 'u': consumer = optarg; break;
		case 'c': config = optarg; break;
		case 'o': format = optarg; break;
		case 'j': as_json = true; break;
		case 'f': file = optarg; break;
		case 'a': all = true; break;
		case 'p': params = true; break;
		case 'n': count = number(optarg, "count"); break;
		case 't':
		{
			char *end;
			timeout = strtod(optarg, &end);
			if(end == optarg || *end || !(timeout > 0 && timeout < 1e9)) die("--timeout takes seconds, not '%s'", optarg);
			break;
		}
		case 'm': metrics = true; break;
		case 'q': quiet = true; break;
		case 'L': list = true; break;
		case 'h': fputs(USAGE, stdout); return 0;
		default: fputs("shimcat --help lists the options\n", stderr); return 2;
		}
	if(config && socket) die("--config and --socket exclude each other");
	if(format && as_json) die("--output and --json exclude each other");

	for(int i = optind; i < argc && !library; i++)
		if(is_library(argv[i])) library = argv[i];
	struct host host = {0};
	char *default_library = library ? NULL : beside("libedera_shim.so"), *made_config = config ? NULL : make_config(socket, consumer);
	load(&host.plugin, library ? library : default_library);
	read_fields(&host.plugin);
	if(list)
	{
		for(uint32_t i = 0; i < n_fields; i++) printf("%-40s %s\n", fields[i].name, fields[i].desc);
		return 0;
	}

	struct forms forms = {0};
	char **literals = NULL;
	for(uint32_t i = 0; all && i < n_fields; i++)
		if(!fields[i].required) add_form(&forms, fields[i].name, strlen(fields[i].name));
	for(int i = optind; i < argc; i++)
		if(!is_library(argv[i])) add_form(&forms, argv[i], strlen(argv[i]));
	if(file) read_forms(&forms, file);
	if(format && forms.n) die("--output and fields exclude each other");
	if(!as_json && !forms.n) literals = read_format(&forms, format ? format : "%evt.time %evt.plugininfo");
	own_form(&form_type, "evt.type");
	own_form(&form_generic, "evt.type.is.syscall");
	own_form(&form_cpu, "evt.cpu");
	own_form(&form_arg, "evt.arg");

	struct sigaction action = {.sa_handler = stop};
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);

	fp_rc rc = FP_FAILURE;
	fp_init_input input = {.config = config ? config : made_config, .owner = &host, .get_owner_last_error = owner_error, .log_fn = log_line};
	host.state = host.plugin.init(&input, &rc);
	if(rc != FP_SUCCESS) die("could not initialize the plugin: %s", host.state ? host.plugin.get_last_error(host.state) : "no state");
	uint32_t n_types = 0;
	const uint16_t *types = host.plugin.get_extract_event_types(&n_types, host.state);
	if(n_types != 1 || types[0] != FP_EVENT_PLUGIN) die("the plugin wants events that are not its own");
	host.instance = host.plugin.open(host.state, "", &rc);
	if(rc != FP_SUCCESS) die("could not open the plugin: %s", host.plugin.get_last_error(host.state));

	uint64_t num = 0, longest = 0, start = clock_ns(CLOCK_MONOTONIC), limit = timeout > 0 ? (uint64_t)(timeout * 1e9) : UINT64_MAX;
	bool whole = false; /* all of the last batch was used */
	while(!stopped && num < count)
	{
		uint32_t n;
		fp_event **events;
		uint64_t before = clock_ns(CLOCK_MONOTONIC);
		if(before - start >= limit) break;
		rc = host.plugin.next_batch(host.state, host.instance, &n, &events);
		uint64_t took = clock_ns(CLOCK_MONOTONIC) - before;
		if(took > longest) longest = took;
		if(rc == FP_TIMEOUT && !n)
		{
			fflush(stdout);
			continue;
		}
		if(rc != FP_SUCCESS) die("next_batch returned %d: %s", (int)rc, host.plugin.get_last_error(host.state));
		if(!n) die("next_batch returned success without events");
		whole = n <= count - num;
		for(uint32_t i = 0; i < n && num < count; i++)
		{
			fp_event_input event = {.evt = events[i], .evtnum = ++num, .evtsrc = host.plugin.get_event_source()};
			check_event(&host.plugin, events[i]);
			if(quiet)
				for(size_t k = 0; k < forms.n; k++)
				{
					fp_extract_field f;
					if(forms.list[k].own == ASK_PLUGIN) ask(&host, &event, &forms.list[k], false, &f);
				}
			else if(as_json) put_json(&host, &event, &forms, params);
			else put_text(&host, &event, &forms, literals);
		}
		fflush(stdout);
		if(ferror(stdout)) break; /* whoever read this has gone */
	}
	fflush(stdout);
	if(whole && num >= count) /* Falco would ask again, and so acknowledge what it has got */
	{
		uint32_t n;
		fp_event **events;
		host.plugin.next_batch(host.state, host.instance, &n, &events);
	}
	if(metrics) put_metrics(&host, longest);
	host.plugin.close(host.state, host.instance);
	host.plugin.destroy(host.state);
	for(size_t i = 0; literals && i <= forms.n; i++) free(literals[i]);
	free(literals);
	free_forms(&forms);
	for(uint32_t i = 0; i < n_fields; i++)
	{
		free(fields[i].name);
		free(fields[i].desc);
	}
	free(fields);
	free(default_library);
	free(made_config);
	return count != UINT64_MAX && num < count && !stopped ? 3 : 0;
}
