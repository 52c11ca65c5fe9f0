// Stores to `counter` about every 100 us, for argv[1] milliseconds; then writes "done" to standard output, exits 0.
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

volatile int counter;
volatile int other;
volatile int third;
volatile int fourth;

static long now_ms(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

__attribute__((noinline)) void store(void) { counter++; }

int main(int argc, char **argv) {
  alarm(60);
  setvbuf(stdout, 0, _IONBF, 0);
  printf("steady %d %p\n", (int)getpid(), (void *)&counter);
  long end = now_ms() + (argc > 1 ? atol(argv[1]) : 1000);
  while (now_ms() < end) {
    store();
    usleep(100);
  }
  printf("done\n");
  return 0;
}
