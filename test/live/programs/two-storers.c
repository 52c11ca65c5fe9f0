// Two threads on two CPUs store distinct values to one variable, each its own: thread n stores n * 0x10000000 + i. By
// moves, exchanges, compare-exchanges; `two-storers N` stores N times in each thread. Prints the tids.
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

__attribute__((aligned(4096))) volatile unsigned shared;
static unsigned times;
static int tids[2];
static pthread_barrier_t barrier;

static void *storer(void *argument) {
  long number = (long)argument;
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CPU_SET(number, &cpus);
  sched_setaffinity(0, sizeof cpus, &cpus);
  tids[number] = (int)syscall(SYS_gettid);
  pthread_barrier_wait(&barrier);
  for (unsigned i = 0; i < times; i++) {
    unsigned value = (unsigned)(number + 1) * 0x10000000u + i;
    if (i % 3 == 2) {
      unsigned expected = shared;
      __atomic_compare_exchange_n(&shared, &expected, value, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    } else shared = value;
  }
  return NULL;
}

int main(int argc, char **argv) {
  times = argc > 1 ? (unsigned)atoi(argv[1]) : 1000;
  pthread_t threads[2];
  pthread_barrier_init(&barrier, NULL, 2);
  for (long i = 0; i < 2; i++) pthread_create(&threads[i], NULL, storer, (void *)i);
  for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
  printf("%d %d\n", tids[0], tids[1]);
  return 0;
}
