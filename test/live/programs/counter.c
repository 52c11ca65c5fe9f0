// Four named threads make 1,000 stores each to `counter`; then main reads four bytes into it with one read(2).
// argv[1] "wait": prints "ready" and waits for a byte on stdin first.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

volatile int counter;
static long tids[4];
static pthread_barrier_t barrier;

#define STORER(letter, index)                                          \
  __attribute__((noinline)) void store_##letter(void) {                \
    for (int i = 0; i < 1000; i++) counter = i;                        \
  }                                                                    \
  static void *run_##letter(void *unused) {                            \
    pthread_setname_np(pthread_self(), "storer-" #letter);             \
    tids[index] = syscall(SYS_gettid);                                 \
    pthread_barrier_wait(&barrier);                                    \
    store_##letter();                                                  \
    return unused;                                                     \
  }
STORER(a, 0)
STORER(b, 1)
STORER(c, 2)
STORER(d, 3)

int main(int argc, char **argv) {
  int pipes[2];
  if (pipe(pipes) != 0) return 9;
  if (argc > 1 && strcmp(argv[1], "wait") == 0) {
    printf("ready %p\n", (void *)&counter);
    fflush(stdout);
    char byte;
    if (read(0, &byte, 1) != 1) return 8;
  }
  pthread_barrier_init(&barrier, 0, 4);
  void *(*runs[4])(void *) = {run_a, run_b, run_c, run_d};
  pthread_t threads[4];
  for (int i = 0; i < 4; i++) pthread_create(&threads[i], 0, runs[i], 0);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], 0);
  int value = 1234567;
  if (write(pipes[1], &value, 4) != 4) return 7;
  if (read(pipes[0], (void *)&counter, 4) != 4) return 6;
  printf("%d %ld %ld %ld %ld %d\n", (int)getpid(), tids[0], tids[1], tids[2], tids[3], counter);
  return 0;
}
