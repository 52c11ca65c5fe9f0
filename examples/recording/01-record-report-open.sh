#!/bin/sh
# Records every store to a variable with its stack, reports it, and opens it in other tools.
# Usage: TRAPLINE="node dist/cli/main.js" sh examples/recording/01-record-report-open.sh FOLDER
# Wants gcc and a machine with breakpoints (trapline doctor).
set -e
trapline=${TRAPLINE:-trapline}
cd "$1"
cat > counter.c <<'C'
volatile int counter;
__attribute__((noinline)) void store(int value) { counter = value; }
int main(void) {
  for (int i = 1; i <= 1000; i++) store(i % 10);
  return 0;
}
C
gcc -O0 -g -o counter counter.c

$trapline record -q -s --user-only -o run.trapline counter:w -- ./counter
$trapline report --top 3 run.trapline

# For flame graphs: FlameGraph, speedscope, and most viewers.
$trapline export --as collapsed -o run.collapsed run.trapline
cat run.collapsed
# For perf itself, if it is here.
$trapline export --as perf -o perf.data run.trapline
if command -v perf > perf.path; then perf report --stats -i perf.data | grep 'SAMPLE events' | head -n 1; fi
