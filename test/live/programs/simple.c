// Ten stores to `counter` in `store`, three to `table[5]`, then exit status 3.
#include <stdio.h>
#include <unistd.h>

volatile int counter = 1;
volatile long table[64];

__attribute__((noinline)) void store(void) {
  for (int i = 0; i < 10; i++) __asm__ volatile("movl %1, %0" : "=m"(counter) : "r"(i));
}

int main(void) {
  store();
  for (int i = 0; i < 3; i++) table[5] = i;
  printf("simple %d %p\n", (int)getpid(), (void *)&counter);
  return 3;
}
