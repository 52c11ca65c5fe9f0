/*
 * The first program of an emulated arm64 machine: executes steps of scenarios against the kernel that booted it, and
 * prints what the kernel answered, a JSON object a line. What it reads is made by record.ts:
 *
 *   N                                      a new scenario: everything of the last one is gone
 *   S task cpu                             spawn
 *   O event type addr len flags task cpu   perf_event_open; task -1: none, -2: this program
 *   P task kind addr len times             kind 0 store, 1 load, 2 call of a label, 3 the kernel stores (not of a tracee)
 *   K                                      nothing: a step that only a model can do
 *   R event                                read
 *   M event type addr len flags            PERF_EVENT_IOC_MODIFY_ATTRIBUTES
 *   I event request                        ioctl
 *   X event                                close
 *   A task                                 PTRACE_SEIZE, PTRACE_INTERRUPT
 *   C task                                 PTRACE_CONT in the midst of an access
 *   G task set len                         PTRACE_GETREGSET
 *   W task set len n (addr ctrl)*n         PTRACE_SETREGSET
 *
 * Numbers are hexadecimal. Task t has its data at 0x10000000 + t * 0x100000 and its labels, 16 bytes apart, at 0x20000000
 * + t * 0x100000.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

enum { tasksMax = 8, eventsMax = 256, labels = 16, dataStart = 0x10000000, codeStart = 0x20000000, stride = 0x100000 };

struct order { uint64_t kind, addr, len, times; };
struct task { pid_t pid; int in, out, attached, busy; struct { uint64_t regs[31], sp, pc, pstate; } saved; };
static struct task tasks[tasksMax];
static int events[eventsMax];

extern char st1[], st2[], st4[], st8[], st16[], ld1[], ld2[], ld4[], ld8[], ld16[], done[];
asm(".text\n.balign 16\n"
    ".global st1,st2,st4,st8,st16,ld1,ld2,ld4,ld8,ld16,done\n"
    "st1: strb w1,[x0]\n ret\n st2: strh w1,[x0]\n ret\n st4: str w1,[x0]\n ret\n st8: str x1,[x0]\n ret\n"
    "st16: stp x1,x1,[x0]\n ret\n"
    "ld1: ldrb w1,[x0]\n ret\n ld2: ldrh w1,[x0]\n ret\n ld4: ldr w1,[x0]\n ret\n ld8: ldr x1,[x0]\n ret\n"
    "ld16: ldp x1,x2,[x0]\n ret\n"
    "done: brk #0\n");

static char *routine(uint64_t kind, uint64_t addr, uint64_t len) {
  if (kind == 2) return (char *)addr;
  int store = kind == 0;
  switch (len) {
    case 1: return store ? st1 : ld1;
    case 2: return store ? st2 : ld2;
    case 4: return store ? st4 : ld4;
    case 8: return store ? st8 : ld8;
    default: return store ? st16 : ld16;
  }
}

static void answer(int failed) { printf("{\"errno\":%s%s%s}\n", failed ? "\"" : "", failed ? strerrorname_np(failed) : "0", failed ? "\"" : ""); }

static void obey(int in, int out) {
  struct order order;
  while (read(in, &order, sizeof order) == sizeof order) {
    if (order.kind == 3) {
      static char bytes[4096];
      int through[2];
      if (pipe(through) || write(through[1], bytes, order.len) != (ssize_t)order.len ||
          read(through[0], (void *)order.addr, order.len) != (ssize_t)order.len || write(out, "k", 1) != 1)
        _exit(1);
      close(through[0]);
      close(through[1]);
      continue;
    }
    void (*access)(uint64_t, uint64_t) = (void (*)(uint64_t, uint64_t))routine(order.kind, order.addr, order.len);
    for (uint64_t n = 0; n < order.times; n++) access(order.addr, n);
    if (write(out, "k", 1) != 1) _exit(1);
  }
  _exit(0);
}

static void spawn(int t, int cpu) {
  int order[2], reply[2];
  if (pipe(order) || pipe(reply)) { answer(errno); return; }
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    sched_setaffinity(0, sizeof set, &set);
    for (int other = 0; other < tasksMax; other++) if (tasks[other].pid) { close(tasks[other].in); close(tasks[other].out); }
    close(order[1]);
    close(reply[0]);
    if (write(reply[1], "k", 1) != 1) _exit(1);
    obey(order[0], reply[1]);
  }
  close(order[0]);
  close(reply[1]);
  tasks[t] = (struct task){.pid = pid, .in = order[1], .out = reply[0]};
  char ready;
  answer(read(reply[0], &ready, 1) == 1 ? 0 : EIO);
}

static void forget(void) {
  for (int e = 0; e < eventsMax; e++) if (events[e] > 0) { close(events[e]); events[e] = 0; }
  for (int t = 0; t < tasksMax; t++)
    if (tasks[t].pid) {
      kill(tasks[t].pid, SIGKILL);
      int status;
      do { if (waitpid(tasks[t].pid, &status, 0) < 0) break; } while (!WIFEXITED(status) && !WIFSIGNALED(status));
      close(tasks[t].in);
      close(tasks[t].out);
      tasks[t] = (struct task){0};
    }
}

static void attrOf(struct perf_event_attr *attr, unsigned type, uint64_t addr, uint64_t len, unsigned flags) {
  memset(attr, 0, sizeof *attr);
  attr->size = sizeof *attr;
  attr->type = PERF_TYPE_BREAKPOINT;
  attr->bp_type = type;
  attr->bp_addr = addr;
  attr->bp_len = len;
  attr->disabled = flags & 1;
  attr->pinned = flags >> 1 & 1;
  attr->exclude_user = flags >> 2 & 1;
  attr->exclude_kernel = flags >> 3 & 1;
}

static int registers(struct task *task, int request) {
  struct iovec vec = {&task->saved, sizeof task->saved};
  return ptrace(request, task->pid, NT_PRSTATUS, &vec);
}

/* Waits until a tracee stops, in an access or because that is over. */
static void told(struct task *task) {
  int status;
  if (waitpid(task->pid, &status, __WALL) < 0 || !WIFSTOPPED(status)) { answer(ESRCH); return; }
  siginfo_t info;
  ptrace(PTRACE_GETSIGINFO, task->pid, 0, &info);
  struct { uint64_t regs[31], sp, pc, pstate; } now;
  struct iovec vec = {&now, sizeof now};
  ptrace(PTRACE_GETREGSET, task->pid, NT_PRSTATUS, &vec);
  if (now.pc == (uint64_t)done) {
    registers(task, PTRACE_SETREGSET);
    task->busy = 0;
    printf("{\"errno\":0,\"stop\":null}\n");
    return;
  }
  printf("{\"errno\":0,\"stop\":{\"signal\":%d,\"code\":%d,\"at\":\"0x%llx\"}}\n", WSTOPSIG(status), info.si_code,
         (unsigned long long)(uintptr_t)info.si_addr);
}

static void perform(struct task *task, struct order order) {
  if (!task->attached) {
    char ready;
    if (write(task->in, &order, sizeof order) != sizeof order || read(task->out, &ready, 1) != 1) { answer(EIO); return; }
    answer(0);
    return;
  }
  if (task->busy) { answer(EBUSY); return; }
  registers(task, PTRACE_GETREGSET);
  __typeof__(task->saved) run = task->saved;
  run.pc = (uint64_t)routine(order.kind, order.addr, order.len);
  run.regs[0] = order.addr;
  run.regs[30] = (uint64_t)done;
  struct iovec vec = {&run, sizeof run};
  if (ptrace(PTRACE_SETREGSET, task->pid, NT_PRSTATUS, &vec)) { answer(errno); return; }
  task->busy = 1;
  ptrace(PTRACE_CONT, task->pid, 0, 0);
  told(task);
}

static void attach(struct task *task) {
  int status;
  if (ptrace(PTRACE_SEIZE, task->pid, 0, 0)) { answer(errno); return; }
  ptrace(PTRACE_INTERRUPT, task->pid, 0, 0);
  waitpid(task->pid, &status, __WALL);
  task->attached = 1;
  answer(0);
}

static void getRegset(struct task *task, unsigned set, size_t len) {
  unsigned char bytes[4096] = {0};
  struct iovec vec = {bytes, len};
  if (ptrace(PTRACE_GETREGSET, task->pid, set, &vec)) { answer(errno); return; }
  printf("{\"errno\":0,\"bytes\":%zu,\"raw\":\"", vec.iov_len);
  for (size_t n = 0; n < vec.iov_len; n++) printf("%02x", bytes[n]);
  printf("\"}\n");
}

static void setRegset(struct task *task, char *text) {
  unsigned set, count;
  size_t len;
  int used;
  unsigned char bytes[4096] = {0};
  sscanf(text, "%*x %x %zx %x%n", &set, &len, &count, &used);
  text += used;
  for (unsigned n = 0; n < count; n++) {
    unsigned long long addr;
    unsigned ctrl;
    sscanf(text, "%llx %x%n", &addr, &ctrl, &used);
    text += used;
    memcpy(bytes + 8 + 16 * n, &addr, 8);
    memcpy(bytes + 16 + 16 * n, &ctrl, 4);
  }
  struct iovec vec = {bytes, len};
  answer(ptrace(PTRACE_SETREGSET, task->pid, set, &vec) ? errno : 0);
}

static void step(char *line) {
  unsigned long long a = 0, b = 0, c = 0, d = 0, e = 0;
  int task = 0, cpu = 0;
  char *rest = line + 1;
  struct perf_event_attr attr;
  switch (*line) {
    case 'N': forget(); printf("{\"scenario\":0}\n"); return;
    case 'S': sscanf(rest, "%llx %llx", &a, &b); spawn(a, b); return;
    case 'O':
      sscanf(rest, "%llx %llx %llx %llx %llx %d %d", &a, &b, &c, &d, &e, &task, &cpu);
      attrOf(&attr, b, c, d, e);
      events[a] = syscall(SYS_perf_event_open, &attr, task == -1 ? -1 : task == -2 ? 0 : tasks[task].pid, cpu, -1, 0);
      answer(events[a] < 0 ? errno : 0);
      return;
    case 'P': {
      struct order order;
      sscanf(rest, "%llx %llx %llx %llx %llx", &a, &b, &c, &d, &e);
      order = (struct order){b, c, d, e};
      perform(&tasks[a], order);
      return;
    }
    case 'K': printf("{}\n"); return;
    case 'R': {
      sscanf(rest, "%llx", &a);
      uint64_t value;
      if (events[a] <= 0) { answer(EBADF); return; }
      if (read(events[a], &value, 8) == 8) printf("{\"errno\":0,\"value\":%llu}\n", (unsigned long long)value);
      else answer(errno);
      return;
    }
    case 'M':
      sscanf(rest, "%llx %llx %llx %llx %llx", &a, &b, &c, &d, &e);
      attrOf(&attr, b, c, d, e);
      answer(events[a] <= 0 ? EBADF : ioctl(events[a], PERF_EVENT_IOC_MODIFY_ATTRIBUTES, &attr) ? errno : 0);
      return;
    case 'I':
      sscanf(rest, "%llx %llx", &a, &b);
      answer(events[a] <= 0 ? EBADF : ioctl(events[a], b, 0) ? errno : 0);
      return;
    case 'X':
      sscanf(rest, "%llx", &a);
      if (events[a] <= 0) { answer(EBADF); return; }
      close(events[a]);
      events[a] = 0;
      answer(0);
      return;
    case 'A': sscanf(rest, "%llx", &a); attach(&tasks[a]); return;
    case 'C':
      sscanf(rest, "%llx", &a);
      if (!tasks[a].busy) { printf("{\"errno\":0,\"stop\":null}\n"); return; }
      ptrace(PTRACE_CONT, tasks[a].pid, 0, 0);
      told(&tasks[a]);
      return;
    case 'G': sscanf(rest, "%llx %llx %llx", &a, &b, &c); getRegset(&tasks[a], b, c); return;
    case 'W': sscanf(rest, "%llx", &a); setRegset(&tasks[a], rest); return;
  }
}

int main(void) {
  mkdir("/dev", 0755);
  mount("dev", "/dev", "devtmpfs", 0, 0);
  /* The second serial port carries answers only: what the kernel prints is on the first. */
  int out = open("/dev/ttyAMA0", O_RDWR);
  if (out >= 0) dup2(out, 1);
  static char buffer[1 << 16];
  setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
  for (int t = 0; t < tasksMax; t++) {
    mmap((void *)(uintptr_t)(dataStart + t * stride), 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    uint32_t *code = mmap((void *)(uintptr_t)(codeStart + t * stride), 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    for (int n = 0; n < labels; n++) code[4 * n] = 0xd65f03c0; /* ret */
    __builtin___clear_cache((char *)code, (char *)code + 4096);
  }
  struct utsname name;
  uname(&name);
  printf("BEGIN {\"release\":\"%s\",\"version\":\"%s\",\"machine\":\"%s\"}\n", name.release, name.version, name.machine);
  FILE *steps = fopen("/steps", "r");
  static char line[1 << 16];
  while (steps && fgets(line, sizeof line, steps)) step(line);
  forget();
  printf("END\n");
  fflush(stdout);
  sleep(1);
  reboot(RB_POWER_OFF);
}
