// A process with one thread, on one CPU. Each line of input tells one of the two what to do, exactly as often as it says:
// WHO is A (the process) or T (its thread), OP store, load, rmw, call or read.
//
//     WHO OP PLACE LENGTH TIMES
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static volatile unsigned char data[4096] __attribute__((aligned(4096)));
static int pipes[2];
static sem_t go, done;

struct order { char op[8]; long place; int len; int times; } order;

#define PLAIN __attribute__((noinline, noclone))
PLAIN void code0(void) { __asm__ volatile("nop"); }
PLAIN void code1(void) { __asm__ volatile("nop; nop"); }

#define BY_LENGTH(INSTRUCTION)                                                          \
  switch (order.len) {                                                                  \
    case 1: INSTRUCTION("b", unsigned char, "q"); break;                                \
    case 2: INSTRUCTION("w", unsigned short, "r"); break;                               \
    case 4: INSTRUCTION("l", unsigned int, "r"); break;                                 \
    case 8: INSTRUCTION("q", unsigned long, "r"); break;                                \
  }
#define STORE(suffix, type, kind) \
  __asm__ volatile("mov" suffix " %1, %0" : "=m"(*(volatile type *)at) : kind((type)1))
#define LOAD(suffix, type, kind) \
  do { type value; __asm__ volatile("mov" suffix " %1, %0" : "=" kind(value) : "m"(*(volatile type *)at)); } while (0)
#define RMW(suffix, type, kind) \
  __asm__ volatile("add" suffix " $1, %0" : "+m"(*(volatile type *)at))

static void act(void) {
  volatile unsigned char *at = data + order.place;
  for (int i = 0; i < order.times; i++) {
    if (strcmp(order.op, "store") == 0) BY_LENGTH(STORE)
    else if (strcmp(order.op, "load") == 0) BY_LENGTH(LOAD)
    else if (strcmp(order.op, "rmw") == 0) BY_LENGTH(RMW)
    else if (strcmp(order.op, "call") == 0) { if (order.place == 0) code0(); else code1(); }
    else if (strcmp(order.op, "read") == 0) {
      if (write(pipes[1], "abcdefgh", order.len) == order.len) syscall(SYS_read, pipes[0], at, order.len);
    }
  }
}

static void *thread(void *unused) {
  for (;;) {
    sem_wait(&go);
    act();
    sem_post(&done);
  }
  return unused;
}

int main(void) {
  cpu_set_t set;
  sched_getaffinity(0, sizeof set, &set);
  int first = 0;
  while (!CPU_ISSET(first, &set)) first++;
  CPU_ZERO(&set);
  CPU_SET(first, &set);
  sched_setaffinity(0, sizeof set, &set);
  sem_init(&go, 0, 0);
  sem_init(&done, 0, 0);
  pthread_t id;
  if (pipe(pipes) != 0 || pthread_create(&id, NULL, thread, NULL) != 0) return 1;
  printf("pid %d data %#lx code %#lx %#lx\n", getpid(), (long)data, (long)code0, (long)code1);
  fflush(stdout);
  char line[128], who;
  while (fgets(line, sizeof line, stdin) != NULL) {
    if (sscanf(line, "%c %7s %ld %d %d", &who, order.op, &order.place, &order.len, &order.times) != 5) return 2;
    if (who == 'T') {
      sem_post(&go);
      sem_wait(&done);
    } else act();
  }
  return 0;
}
