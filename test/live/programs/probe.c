// Exit status 0 where a hardware breakpoint of perf_event_open(2) counts one store to a variable; else says why not.
#include <errno.h>
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

volatile int variable;

int main(void) {
  struct perf_event_attr attr = {.type = PERF_TYPE_BREAKPOINT, .size = sizeof attr};
  attr.bp_type = HW_BREAKPOINT_W;
  attr.bp_addr = (uintptr_t)&variable;
  attr.bp_len = 4;
  attr.exclude_kernel = 1;
  attr.exclude_hv = 1;
  int fd = syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
  if (fd < 0) {
    printf("perf_event_open of a breakpoint: %s\n", strerror(errno));
    return 1;
  }
  variable = 1;
  long long count = 0;
  if (read(fd, &count, sizeof count) != sizeof count || count != 1) {
    printf("a breakpoint was armed but counted %lld of 1 stores\n", count);
    return 1;
  }
  return 0;
}
