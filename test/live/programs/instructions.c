// One instruction of each family on `slot`, with the contents before and after as the program itself sees them.
// `instructions stores` runs those that store, `instructions loads` those that only read. Before each, a store of 8 bytes
// sets `slot`. Afterwards a line for each: name, offset and length of the access, slot before, slot after.
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static struct {
  uint64_t below[2];
  volatile uint64_t slot[2];
} __attribute__((aligned(4096))) place;
#define SLOT place.slot

static struct {
  const char *name;
  int offset, length;
  uint64_t before, after;
} done[128];
static int count;
static uint64_t other[2] = {0x0102030405060708, 0x1112131415161718};

// rdi is the address of slot, rsi that of other memory; what the code overwrites is put back by the compiler.
#define RUN(NAME, OFFSET, LENGTH, BEFORE, READ, CODE)                                                                  \
  do {                                                                                                                 \
    uint64_t a = 0x1122334455667788, b = 0x99aabbccddeeff01, c = 2, d = 0x0807060504030201;                            \
    uint64_t to = (uint64_t)SLOT, from = (uint64_t)other;                                                              \
    __asm__ volatile("movq %0, (%1)" : : "r"((uint64_t)(BEFORE)), "r"(to) : "memory");                                 \
    __asm__ volatile(CODE                                                                                              \
                     : "+a"(a), "+b"(b), "+c"(c), "+d"(d), "+D"(to), "+S"(from)                                        \
                     :                                                                                                 \
                     : "r8", "r9", "r10", "r14", "xmm0", "cc", "memory");                                              \
    done[count].name = NAME, done[count].offset = OFFSET, done[count].length = LENGTH;                                 \
    done[count].before = (BEFORE), done[count].after = (READ) ? SLOT[0] : (BEFORE);                                    \
    count++;                                                                                                           \
  } while (0)
#define STORE(NAME, OFFSET, LENGTH, BEFORE, CODE) RUN(NAME, OFFSET, LENGTH, BEFORE, 1, CODE)
#define LOAD(NAME, OFFSET, LENGTH, BEFORE, CODE) RUN(NAME, OFFSET, LENGTH, BEFORE, 0, CODE)

#define START 0xf1e2d3c4b5a69788

__attribute__((noinline)) static void stores(void) {
  STORE("mov b", 0, 1, START, "movb %%dl, (%%rdi)");
  STORE("mov w", 0, 2, START, "movw %%bx, (%%rdi)");
  STORE("mov l", 0, 4, START, "movl %%eax, (%%rdi)");
  STORE("mov q", 0, 8, START, "movq %%rax, (%%rdi)");
  STORE("mov r9d", 4, 4, START, "movl $77, %%r9d; movl %%r9d, 4(%%rdi)");
  STORE("mov sil", 3, 1, START, "movb %%sil, 3(%%rdi)");
  STORE("mov ah", 1, 1, START, "movb %%ah, 1(%%rdi)");
  STORE("mov bh", 2, 1, START, "movb %%bh, 2(%%rdi)");
  STORE("mov $b", 5, 1, START, "movb $-2, 5(%%rdi)");
  STORE("mov $w", 2, 2, START, "movw $0x1234, 2(%%rdi)");
  STORE("mov $l", 0, 4, START, "movl $-5, (%%rdi)");
  STORE("mov $q", 0, 8, START, "movq $-6, (%%rdi)");
  STORE("mov indexed", 4, 2, START, "movw %%ax, (%%rdi,%%rcx,2)");
  STORE("mov indexed back", 0, 4, START, "movq $-4, %%r8; movl %%eax, 16(%%rdi,%%r8,4)");
  STORE("mov across the start", -4, 8, START, "movq %%rax, -4(%%rdi)");
  STORE("mov across the start, one byte", -3, 4, START, "movl %%eax, -3(%%rdi)");
  STORE("mov across the end", 6, 4, START, "movl %%eax, 6(%%rdi)");
  STORE("mov across pieces", 1, 4, START, "movl %%eax, 1(%%rdi)");
  STORE("mov ip", 0, 4, START, "movl %%eax, 16+place(%%rip)");
  STORE("movnti", 0, 4, START, "movnti %%eax, (%%rdi); mfence");
  STORE("push", 0, 8, START, "movq %%rsp, %%r14; leaq 8(%%rdi), %%rsp; pushq %%rax; movq %%r14, %%rsp");
  STORE("push $", 0, 8, START, "movq %%rsp, %%r14; leaq 8(%%rdi), %%rsp; pushq $-9; movq %%r14, %%rsp");
  STORE("stos b", 0, 1, START, "stosb");
  STORE("stos l", 0, 4, START, "stosl");
  STORE("stos q", 0, 8, START, "stosq");
  STORE("stos down", 4, 4, START, "addq $4, %%rdi; std; stosl; cld");
  STORE("setc", 0, 1, START, "cmpq %%rax, %%rbx; setc (%%rdi)");
  STORE("setge", 1, 1, START, "cmpq %%rax, %%rbx; setge 1(%%rdi)");
  STORE("setl", 1, 1, START, "cmpq %%rax, %%rbx; setl 1(%%rdi)");
  STORE("setbe", 1, 1, START, "cmpq %%rax, %%rax; setbe 1(%%rdi)");
  STORE("setp", 1, 1, START, "cmpq %%rdx, %%rbx; setp 1(%%rdi)");
  STORE("setg", 1, 1, START, "cmpq %%rbx, %%rax; setg 1(%%rdi)");
  STORE("setno", 1, 1, START, "cmpq %%rbx, %%rax; setno 1(%%rdi)");
  STORE("sets", 1, 1, START, "cmpq %%rbx, %%rax; sets 1(%%rdi)");
  STORE("cmpxchg b stores", 0, 1, START, "movb $0x88, %%al; lock cmpxchgb %%dl, (%%rdi)");
  STORE("cmpxchg l stores", 0, 4, START, "movl $0xb5a69788, %%eax; lock cmpxchgl %%ebx, (%%rdi)");
  STORE("cmpxchg l fails", 0, 4, START, "lock cmpxchgl %%ebx, (%%rdi)");
  STORE("cmpxchg q stores", 0, 8, START, "movabsq $0xf1e2d3c4b5a69788, %%rax; lock cmpxchgq %%rbx, (%%rdi)");
  STORE("cmpxchg q fails", 0, 8, START, "lock cmpxchgq %%rbx, (%%rdi)");
  STORE("cmpxchg8b stores", 0, 8, START, "movl $0xb5a69788, %%eax; movl $0xf1e2d3c4, %%edx; lock cmpxchg8b (%%rdi)");
  STORE("cmpxchg8b fails", 0, 8, START, "lock cmpxchg8b (%%rdi)");
  STORE("cmpxchg16b fails", 0, 16, START, "lock cmpxchg16b (%%rdi)");
  STORE("cmpxchg16b stores", 0, 16, START, "movabsq $0xf1e2d3c4b5a69788, %%rax; movq 8(%%rdi), %%rdx; lock cmpxchg16b (%%rdi)");
  STORE("inc b", 0, 1, 0xff, "incb (%%rdi)");
  STORE("inc l", 0, 4, 0xffffffff, "lock incl (%%rdi)");
  STORE("dec q", 0, 8, 0x100000000, "decq (%%rdi)");
  STORE("add l", 0, 4, START, "addl %%eax, (%%rdi)");
  STORE("add q carries", 0, 8, 0xffffffff, "addq %%rdx, (%%rdi)");
  STORE("add across pieces", 1, 4, START, "addl %%eax, 1(%%rdi)");
  STORE("add high half", 4, 4, START, "addl $-3, 4(%%rdi)");
  STORE("sub w", 2, 2, START, "subw %%ax, 2(%%rdi)");
  STORE("sub q borrows", 0, 8, 0x500000001, "subq %%rax, (%%rdi)");
  STORE("and l", 0, 4, START, "andl %%eax, (%%rdi)");
  STORE("or q", 0, 8, START, "orq %%rax, (%%rdi)");
  STORE("or across the start", -2, 4, START, "orl %%eax, -2(%%rdi)");
  STORE("xor b", 3, 1, START, "xorb %%ah, 3(%%rdi)");
  STORE("not l", 0, 4, START, "notl (%%rdi)");
  STORE("neg q", 0, 8, START, "negq (%%rdi)");
  STORE("shl l", 0, 4, START, "shll $5, (%%rdi)");
  STORE("shl cl", 0, 8, START, "shlq %%cl, (%%rdi)");
  STORE("shr w", 0, 2, START, "shrw $3, (%%rdi)");
  STORE("sar l", 0, 4, START, "sarl $7, (%%rdi)");
  STORE("sar 1", 0, 8, START, "sarq (%%rdi)");
  STORE("rol b", 0, 1, START, "rolb $3, (%%rdi)");
  STORE("ror q", 0, 8, START, "rorq $17, (%%rdi)");
  STORE("bts", 0, 4, START, "btsl $4, (%%rdi)");
  STORE("btr", 0, 4, START, "btrl $31, (%%rdi)");
  STORE("btc", 0, 8, START, "lock btcq $40, (%%rdi)");
  STORE("?xchg", 0, 4, START, "xchgl %%ebx, (%%rdi)");
  STORE("?xadd", 0, 4, START, "lock xaddl %%ebx, (%%rdi)");
  STORE("?adc", 0, 4, START, "stc; adcl %%eax, (%%rdi)");
  STORE("?movs", 0, 4, START, "movsl");
  STORE("?pop", 0, 8, START, "pushq %%rax; popq (%%rdi)");
  STORE("?movups", 0, 16, START, "movups (%%rsi), %%xmm0; movups %%xmm0, (%%rdi)");
  STORE("?movd", 0, 4, START, "movd %%eax, %%xmm0; movd %%xmm0, (%%rdi)");
  STORE("?rep stos", 0, 8, START, "rep stosl");
}

__attribute__((noinline)) static void loads(void) {
  LOAD("mov b", 0, 1, START, "movb (%%rdi), %%al");
  LOAD("mov ah", 1, 1, START, "movb 1(%%rdi), %%ah");
  LOAD("mov l", 0, 4, START, "movl (%%rdi), %%eax");
  LOAD("mov q", 0, 8, START, "movq (%%rdi), %%r9");
  LOAD("movzx", 3, 1, START, "movzbl 3(%%rdi), %%eax");
  LOAD("movsx", 2, 2, START, "movswq 2(%%rdi), %%rax");
  LOAD("movsxd", 4, 4, START, "movslq 4(%%rdi), %%rax");
  LOAD("lods", 0, 4, START, "xchgq %%rsi, %%rdi; lodsl; xchgq %%rsi, %%rdi");
  LOAD("pop", 0, 8, START, "movq %%rsp, %%r14; movq %%rdi, %%rsp; popq %%rax; movq %%r14, %%rsp");
  LOAD("cmp", 0, 4, START, "cmpl $1, (%%rdi)");
  LOAD("add", 0, 8, START, "addq (%%rdi), %%rax");
  LOAD("mov to its base", 0, 8, START, "movq %%rdi, %%rax; movq (%%rax), %%rax");
}

int main(int argc, char **argv) {
  if (argc > 1 && strcmp(argv[1], "loads") == 0) loads();
  else stores();
  for (int i = 0; i < count; i++)
    printf("%s\t%d\t%d\t%llx\t%llx\n", done[i].name, done[i].offset, done[i].length, (unsigned long long)done[i].before,
           (unsigned long long)done[i].after);
  return 0;
}
