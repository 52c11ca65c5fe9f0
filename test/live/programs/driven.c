// Does what the lines on its standard input say, one after another, and answers each with one line.
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

volatile int counter;
volatile int other;
volatile int third;
volatile int fourth;
volatile int fifth;
volatile char letter;
volatile short brief;
volatile long wide;
volatile char odd[3] __attribute__((aligned(8)));
volatile struct { long a, b, c; } record;
__thread volatile int own;
extern int absent __attribute__((weak));
static int pipes[2];

#define PLAIN __attribute__((noinline, noclone))

PLAIN void store(int times) {
  for (int i = 0; i < times; i++) __asm__ volatile("movl %1, %0" : "=m"(counter) : "r"(i));
}
PLAIN void load(int times) {
  for (int i = 0; i < times; i++) {
    int value;
    __asm__ volatile("movl %1, %0" : "=r"(value) : "m"(counter));
  }
}
PLAIN void bump(int times) {
  for (int i = 0; i < times; i++) __asm__ volatile("addl $1, %0" : "+m"(counter));
}
PLAIN int target(int value) {
  __asm__ volatile("");
  return value + 1;
}
PLAIN void outer(int times) {
  store(times);
  __asm__ volatile("");
}

PLAIN int read_into_counter(int times, long bytes) {
  int results = 0;
  for (int i = 0; i < times; i++) results += syscall(SYS_read, pipes[0], &counter, bytes);
  return results;
}

struct order { char name[16]; int times; long tid; };

static void *run_thread(void *argument) {
  struct order *order = argument;
  pthread_setname_np(pthread_self(), order->name);
  order->tid = syscall(SYS_gettid);
  store(order->times);
  return 0;
}

// Threads that live on, and store when they are told to.
static struct worker { int go[2], done[2]; pthread_t thread; struct order order; } workers[8];
static int worker_count;

static void *run_worker(void *argument) {
  struct worker *worker = argument;
  pthread_setname_np(pthread_self(), worker->order.name);
  worker->order.tid = syscall(SYS_gettid);
  int times = 0;
  do {
    if (times > 0) store(times);
    if (write(worker->done[1], &times, sizeof times) != sizeof times) return 0;
  } while (read(worker->go[0], &times, sizeof times) == sizeof times);
  return 0;
}

int main(int argc, char **argv) {
  char line[512], word[16];
  alarm(60);
  if (pipe(pipes) != 0) return 99;
  setvbuf(stdout, 0, _IONBF, 0);
  printf("pid %d counter %p other %p\n", (int)getpid(), (void *)&counter, (void *)&other);
  while (fgets(line, sizeof line, stdin) != 0) {
    int n = 0, m = 0, offset = 0;
    char *rest;
    sscanf(line, "%15s%n", word, &offset);
    rest = line + offset;
    while (*rest == ' ') rest++;
    rest[strcspn(rest, "\n")] = 0;
    n = atoi(rest);
    if (strcmp(word, "store") == 0) { store(n); printf("stored %d\n", n); }
    else if (strcmp(word, "outer") == 0) { outer(n); printf("stored %d\n", n); }
    else if (strcmp(word, "load") == 0) { load(n); printf("loaded %d\n", n); }
    else if (strcmp(word, "bump") == 0) { bump(n); printf("bumped %d\n", n); }
    else if (strcmp(word, "target") == 0) { for (int i = 0; i < n; i++) target(i); printf("called %d\n", n); }
    else if (strcmp(word, "all") == 0) {
      for (int i = 0; i < n; i++) { counter = i; other = i; third = i; fourth = i; fifth = i; }
      printf("wrote all %d\n", n);
    }
    else if (strcmp(word, "small") == 0) {
      for (int i = 0; i < n; i++) { letter = i; brief = i; wide = i; record.b = i; odd[1] = i; own = i; }
      printf("wrote small %d\n", n);
    }
    else if (strcmp(word, "thread") == 0) {
      struct order order = {.times = 0};
      pthread_t thread;
      sscanf(rest, "%15s %d", order.name, &order.times);
      pthread_create(&thread, 0, run_thread, &order);
      pthread_join(thread, 0);
      printf("thread %ld\n", order.tid);
    }
    else if (strcmp(word, "worker") == 0) {
      struct worker *worker = &workers[worker_count];
      sscanf(rest, "%15s", worker->order.name);
      if (pipe(worker->go) != 0 || pipe(worker->done) != 0) return 98;
      pthread_create(&worker->thread, 0, run_worker, worker);
      if (read(worker->done[0], &m, sizeof m) != sizeof m) return 97;
      printf("worker %d %ld\n", worker_count++, worker->order.tid);
    }
    else if (strcmp(word, "work") == 0) {
      sscanf(rest, "%d %d", &n, &m);
      if (write(workers[n].go[1], &m, sizeof m) != sizeof m) return 96;
      if (read(workers[n].done[0], &m, sizeof m) != sizeof m) return 95;
      printf("worked %d\n", m);
    }
    else if (strcmp(word, "rename") == 0) { pthread_setname_np(pthread_self(), rest); printf("renamed %s\n", rest); }
    else if (strcmp(word, "renamework") == 0) {
      char name[16];
      sscanf(rest, "%d %15s", &n, name);
      pthread_setname_np(workers[n].thread, name);
      printf("renamed %s\n", name);
    }
    else if (strcmp(word, "fork") == 0) {
      pid_t child = fork();
      if (child == 0) { store(n); _exit(0); }
      waitpid(child, 0, 0);
      printf("child %d\n", (int)child);
    }
    else if (strcmp(word, "grandchild") == 0) {
      pid_t child = fork();
      if (child == 0) {
        pid_t second = fork();
        if (second == 0) { store(n); _exit(0); }
        waitpid(second, 0, 0);
        printf("grandchild %d\n", (int)second);
        _exit(0);
      }
      waitpid(child, 0, 0);
    }
    else if (strcmp(word, "orphan") == 0) {
      // The child stores when its parent is gone: then the pipe's writing end is closed.
      int alive[2];
      if (pipe(alive) != 0) return 94;
      pid_t child = fork();
      if (child == 0) {
        char byte;
        close(alive[1]);
        fclose(stdin);
        if (read(alive[0], &byte, 1) != 0) _exit(1);
        store(n);
        _exit(0);
      }
      close(alive[0]);
      printf("child %d\n", (int)child);
    }
    else if (strcmp(word, "zombie") == 0) {
      pid_t child = fork();
      if (child == 0) _exit(0);
      siginfo_t info;
      waitid(P_PID, child, &info, WEXITED | WNOWAIT);
      printf("child %d\n", (int)child);
    }
    else if (strcmp(word, "read") == 0) {
      // read COUNT BYTES: reads of BYTES into counter, back to back.
      long bytes = 0;
      char data[64] = {1, 2, 3, 4, 5, 6, 7, 8};
      sscanf(rest, "%d %ld", &n, &bytes);
      for (int i = 0; i < n; i++) if (write(pipes[1], data, bytes) != bytes) return 93;
      printf("read %d\n", read_into_counter(n, bytes));
    }
    else if (strcmp(word, "write") == 0) {
      char data[4];
      if (write(pipes[1], (void *)&counter, 4) != 4 || read(pipes[0], data, 4) != 4) return 92;
      printf("wrote 4\n");
    }
    else if (strcmp(word, "exec") == 0) {
      char *arguments[] = {rest, "-c", "echo executed; read x; exit 5", 0};
      execv(rest, arguments);
      printf("failed\n");
    }
    else if (strcmp(word, "forkexec") == 0) {
      pid_t child = fork();
      if (child == 0) {
        char *arguments[] = {rest, "-c", "exit 0", 0};
        store(1);
        execv(rest, arguments);
        _exit(1);
      }
      waitpid(child, 0, 0);
      printf("child %d\n", (int)child);
    }
    else if (strcmp(word, "exit") == 0) { printf("exiting %d\n", n); exit(n); }
    else if (strcmp(word, "die") == 0) { printf("dying %d\n", n); kill(getpid(), n); }
    else if (strcmp(word, "missing") == 0) { printf("%d\n", &absent == 0 ? 0 : absent); }
    else printf("? %s\n", word);
  }
  return 0;
}
