// Creates a thread about every 300 us, each of which waits, until a line comes on standard input or there are 500.
// Then every thread stores once to `counter`. Prints the number of threads that did; then "one TID" a thread.
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { most = 500 };
volatile int counter;
volatile int other;
volatile int third;
volatile int fourth;
static pthread_t threads[most];
static long tids[most];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int go;
static atomic_int stop;

__attribute__((noinline)) void store_once(int value) { counter = value; }

static void *run(void *argument) {
  long *tid = argument;
  *tid = syscall(SYS_gettid);
  pthread_mutex_lock(&mutex);
  while (!go) pthread_cond_wait(&changed, &mutex);
  pthread_mutex_unlock(&mutex);
  store_once(1);
  return 0;
}

static void *listen_for_line(void *unused) {
  char byte;
  if (read(0, &byte, 1) >= 0) stop = 1;
  return unused;
}

int main(void) {
  pthread_t listener;
  int count = 0;
  alarm(60);
  setvbuf(stdout, 0, _IOLBF, 0);
  pthread_create(&listener, 0, listen_for_line, 0);
  printf("churn %d\n", (int)getpid());
  while (!stop) {
    if (count < most) {
      pthread_create(&threads[count], 0, run, &tids[count]);
      count++;
    }
    usleep(300);
  }
  pthread_mutex_lock(&mutex);
  go = 1;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&mutex);
  for (int i = 0; i < count; i++) pthread_join(threads[i], 0);
  pthread_join(listener, 0);
  printf("stored %d\n", count);
  return 0;
}
