/* What the shim's fuzzers share: the shim itself, and a look at every field of an event. */
#include "edera_shim.c"

#define ALWAYS(what) do { if(!(what)) { fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #what); abort(); } } while(0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void look_at_all(struct state *s, const fp_event *event)
{
	static const char *const ARGUMENTS[] = {NULL, "0", "1", "A", "*"};
	static fp_extract_field fields[EDERA_FIELDS];
	fp_event_input input = {.evt = event, .evtnum = 1, .evtsrc = "edera_zone"};
	for(unsigned round = 0; round < sizeof ARGUMENTS / sizeof *ARGUMENTS; round++)
	{
		uint32_t n = 0;
		memset(fields, 0xa5, sizeof fields);
		for(uint32_t i = 0; i < EDERA_FIELDS; i++)
		{
			/* All that name a parameter or an event type work alike */
			if((edera_fields[i].op == EDERA_OP_ARG || edera_fields[i].op == EDERA_OP_RAWARG || edera_fields[i].op == EDERA_OP_TYPEIS) && i % 16) continue;
			bool takes = edera_fields[i].flags & (EDERA_ARG_INDEX | EDERA_ARG_KEY);
			if(round ? !takes : (edera_fields[i].flags & EDERA_ARG_REQUIRED) != 0) continue;
			fields[n].field_id = i;
			fields[n].arg_present = round > 0;
			fields[n].arg_key = edera_fields[i].flags & EDERA_ARG_KEY ? ARGUMENTS[round] : NULL;
			fields[n++].arg_index = round == 1 || round == 2 ? round - 1 : UINT64_MAX;
		}
		fp_field_extract_input ask = {.num_fields = n, .fields = fields};
		ALWAYS(plugin_extract_fields(s, &input, &ask) == FP_SUCCESS);
		for(uint32_t i = 0; i < n; i++)
		{
			const struct edera_field *row = &edera_fields[fields[i].field_id];
			ALWAYS(fields[i].res_len <= 1 || row->flags & EDERA_LIST);
			for(uint64_t k = 0; k < fields[i].res_len; k++)
			{
				if(row->type == EDERA_TYPE_STRING || row->type == EDERA_TYPE_SIGNED)
				{
					const char *text = fields[i].res.str[k];
					ALWAYS(text && is_utf8((const uint8_t *)text, strlen(text)));
				}
				else if(row->type == EDERA_TYPE_IPADDR || row->type == EDERA_TYPE_IPNET)
				{
					ALWAYS(fields[i].res.buf[k].len == 4 || fields[i].res.buf[k].len == 16);
					ALWAYS(fields[i].res.buf[k].ptr);
				}
				else if(row->type == EDERA_TYPE_BOOL) ALWAYS(fields[i].res.boolean[k] <= 1);
			}
		}
	}
	const char *note = plugin_event_to_string(s, &input);
	ALWAYS(note && is_utf8((const uint8_t *)note, strlen(note)));
}
