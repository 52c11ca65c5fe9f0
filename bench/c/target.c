// The target of `npm run bench -- record`: writes one variable N times from a function three calls deep, and tells what
// that took. `target --address` prints the variable's address; `target N FILE` runs and writes a line of JSON to FILE.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

// On pages of its own: the kernel clears the page where .bss begins while it loads the program, and that would be hits.
__attribute__((aligned(4096))) volatile int counter[2048] = {1};

__attribute__((noinline)) void store(int value) {
  counter[0] = value;
  __asm__ volatile("");
}

__attribute__((noinline)) void write_all(long hits) {
  for (long i = 0; i < hits; i++) store((int)i + 2);
  __asm__ volatile("");
}

static long long nanoseconds(struct timeval time) { return time.tv_sec * 1000000000LL + time.tv_usec * 1000LL; }

static long long now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000000LL + time.tv_nsec;
}

int main(int argc, char **argv) {
  if (argc == 2 && strcmp(argv[1], "--address") == 0) {
    printf("%p\n", (void *)counter);
    return 0;
  }
  if (argc != 3) return 2;
  long hits = atol(argv[1]);
  struct rusage before, after;
  getrusage(RUSAGE_SELF, &before);
  long long start = now();
  write_all(hits);
  long long end = now();
  getrusage(RUSAGE_SELF, &after);
  FILE *out = fopen(argv[2], "w");
  if (out == NULL) return 3;
  fprintf(out, "{\"hits\":%ld,\"wallNs\":%lld,\"userNs\":%lld,\"sysNs\":%lld,", hits, end - start,
          nanoseconds(after.ru_utime) - nanoseconds(before.ru_utime),
          nanoseconds(after.ru_stime) - nanoseconds(before.ru_stime));
  getrusage(RUSAGE_SELF, &after);
  fprintf(out, "\"allCpuNs\":%lld}\n", nanoseconds(after.ru_utime) + nanoseconds(after.ru_stime));
  fclose(out);
  return 0;
}
