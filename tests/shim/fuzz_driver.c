/*
 * A small coverage-guided fuzzer, for compilers without libFuzzer: the target is compiled with -fsanitize-coverage=trace-pc.
 * driver SECONDS SEED CORPUS-FOLDER prints how many inputs were run and how many were kept; a crash leaves its input in ./crash-input.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAP = 1 << 16, LONGEST = 1 << 14, MOST = 1 << 14 };

static uint8_t hits[MAP], seen[MAP];
static uintptr_t previous, base;

void __sanitizer_cov_trace_pc(void);
void __sanitizer_cov_trace_pc(void)
{
	uintptr_t here = (uintptr_t)__builtin_return_address(0) - base;
	here = here * 0x9e3779b1u >> 4;
	uint8_t *hit = &hits[(here ^ previous) % MAP];
	if(*hit < 255) ++*hit;
	previous = here >> 1;
}

static struct { uint8_t *data; size_t size; } kept[MOST];
static size_t n_kept;
static uint8_t input[LONGEST];
static size_t input_size;
static uint64_t dice;

static uint64_t roll(uint64_t below)
{
	dice ^= dice << 13;
	dice ^= dice >> 7;
	dice ^= dice << 17;
	return below ? dice % below : 0;
}

static void keep(const uint8_t *data, size_t size)
{
	if(n_kept == MOST) return;
	kept[n_kept].data = malloc(size ? size : 1);
	memcpy(kept[n_kept].data, data, size);
	kept[n_kept++].size = size;
}

/* Number of hits, coarsely. */
static uint8_t class_of(uint8_t n) { return n < 4 ? n : n < 8 ? 4 : n < 16 ? 8 : n < 32 ? 16 : n < 128 ? 32 : 64; }

static bool run(void)
{
	memset(hits, 0, sizeof hits);
	previous = 0;
	uint8_t *exact = malloc(input_size ? input_size : 1);
	memcpy(exact, input, input_size);
	LLVMFuzzerTestOneInput(exact, input_size);
	free(exact);
	bool new = false;
	for(int i = 0; i < MAP; i++)
	{
		uint8_t is = class_of(hits[i]);
		if(!(is & ~seen[i])) continue;
		seen[i] |= is;
		new = true;
	}
	return new;
}

static void mutate(void)
{
	static const uint64_t NUMBERS[] = {0, 1, 2, 3, 4, 8, 16, 63, 64, 65, 127, 128, 255, 256, 0x7fff, 0xffff, 0x3fffffff, 0x7fffffff, 0x80000000, 0xffffffff, INT64_MAX, UINT64_MAX};
	for(uint64_t n = 1 + roll(roll(8) + 1); n--;)
	{
		size_t at = roll(input_size);
		switch(roll(9))
		{
		case 0: if(input_size) input[at] ^= (uint8_t)(1u << roll(8)); break;
		case 1: if(input_size) input[at] = (uint8_t)roll(256); break;
		case 2: if(input_size) input[at] = (uint8_t)(input[at] + roll(9) - 4); break;
		case 3: case 4: /* a number of any width */
		{
			size_t width = (size_t)1 << roll(4);
			uint64_t number = NUMBERS[roll(sizeof NUMBERS / sizeof *NUMBERS)];
			if(input_size >= width) memcpy(input + roll(input_size - width + 1), &number, width);
			break;
		}
		case 5: /* away */
		{
			size_t length = roll(input_size - at < 32 ? input_size - at + 1 : 32);
			memmove(input + at, input + at + length, input_size - at - length);
			input_size -= length;
			break;
		}
		case 6: /* twice */
		{
			size_t length = roll(input_size - at < 64 ? input_size - at + 1 : 64);
			if(input_size + length > LONGEST) break;
			memmove(input + at + length, input + at, input_size - at);
			input_size += length;
			break;
		}
		default: /* something of another */
		{
			size_t other = roll(n_kept), from = roll(kept[other].size), length = roll(kept[other].size - from + 1);
			if(at + length > LONGEST) break;
			memcpy(input + at, kept[other].data + from, length);
			if(at + length > input_size) input_size = at + length;
		}
		}
	}
}

static void crashed(int signal)
{
	int fd = open("crash-input", O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if(fd >= 0 && write(fd, input, input_size) >= 0) close(fd);
	_exit(128 + signal);
}

void __asan_on_error(void);
void __asan_on_error(void) { crashed(0); }

int main(int argc, char **argv)
{
	if(argc != 4) return 2;
	base = (uintptr_t)main;
	double seconds = strtod(argv[1], NULL);
	dice = strtoull(argv[2], NULL, 10) * 0x9e3779b97f4a7c15u + 1;
	signal(SIGABRT, crashed);
	signal(SIGALRM, crashed); /* an input that takes longer than five seconds */
	DIR *folder = opendir(argv[3]);
	if(!folder || chdir(argv[3])) return 2;
	for(struct dirent *entry; (entry = readdir(folder));)
	{
		int fd = entry->d_name[0] == '.' ? -1 : open(entry->d_name, O_RDONLY);
		ssize_t n = fd < 0 ? -1 : read(fd, input, sizeof input);
		if(fd >= 0) close(fd);
		if(n < 0) continue;
		input_size = (size_t)n;
		alarm(5);
		run();
		keep(input, input_size);
	}
	closedir(folder);
	if(!n_kept) keep((const uint8_t *)"", 0);
	size_t corpus = n_kept;
	uint64_t runs = 0;
	struct timespec start, now;
	clock_gettime(CLOCK_MONOTONIC, &start);
	do
	{
		size_t from = roll(2) ? roll(n_kept) : n_kept - 1 - roll(n_kept < 16 ? n_kept : 16);
		memcpy(input, kept[from].data, kept[from].size);
		input_size = kept[from].size;
		mutate();
		alarm(5);
		if(run()) keep(input, input_size);
		runs++;
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while((double)(now.tv_sec - start.tv_sec) + (double)(now.tv_nsec - start.tv_nsec) / 1e9 < seconds);
	printf("%lu inputs, %zu of the corpus, %zu kept\n", (unsigned long)runs, corpus, n_kept - corpus);
	return 0;
}
