import type { PlannedWatch } from '../plan.ts';
import { needsMemory, needsValue, whyNotCompiled } from './compile-condition.ts';
import { type Condition, type ConditionScope, makeCondition } from './condition.ts';
import { parseCondition, type Syntax } from './condition-syntax.ts';

/**
 * Who judges hits. `kernel`: a bpf program alone. `both`: the program drops hits of which it knows that the condition is
 * false, the others are judged here. `here`: every hit comes, and is judged here.
 */
export type Judge = 'kernel' | 'both' | 'here';

/** A watch's condition, and who judges it. */
export interface JudgedCondition {
  /** Absent: every hit is wanted. */
  readonly condition: Condition | undefined;
  readonly judge: Judge;
  /** Why not in the kernel, or on what the kernel goes. */
  readonly why: string | undefined;
  /** The program reads the watched memory where no code tells the value. */
  readonly memory: boolean;
}

/** What {@link WatchConditions} works with. */
export interface WatchConditionsParts {
  /** Absent: every hit is wanted. */
  readonly text: string | undefined;
  readonly scopeOf: (watch: PlannedWatch) => ConditionScope;
  /** Programs can be attached. */
  readonly bpf: boolean;
  /** Between a store and its trap nobody else can store: a model executes one instruction at a time. */
  readonly memoryIsExact: boolean;
}

/** Whether a condition, as it is written, looks at the watched value. Throws `WatchError` where it does not parse. */
export function usesValue(text: string): boolean {
  const looks = (syntax: Syntax): boolean => {
    switch (syntax.type) {
      case 'name':
        return syntax.text === 'new' || syntax.text === 'old' || syntax.text === 'changed';
      case 'unary':
        return looks(syntax.operand);
      case 'binary':
        return looks(syntax.left) || looks(syntax.right);
      default:
        return false;
    }
  };
  return looks(parseCondition(text));
}

/** The condition of a session for each of its watches: the same text may mean other types. */
export class WatchConditions {
  readonly #parts: WatchConditionsParts;
  readonly #of: Map<number, JudgedCondition> = new Map();

  constructor(parts: WatchConditionsParts) {
    this.#parts = parts;
  }

  /** Throws `WatchError` of kind `request` for a condition that makes no sense for this watch. */
  of(watch: PlannedWatch, number: number): JudgedCondition {
    let judged = this.#of.get(number);
    if (judged === undefined) {
      judged = this.#judge(watch);
      this.#of.set(number, judged);
    }
    return judged;
  }

  /** The number comes to mean another watch. */
  forget(number: number): void {
    this.#of.delete(number);
  }

  #judge(watch: PlannedWatch): JudgedCondition {
    const { text, scopeOf, bpf, memoryIsExact } = this.#parts;
    if (text === undefined)
      return { condition: undefined, judge: bpf ? 'kernel' : 'here', why: undefined, memory: false };
    const condition = makeCondition(text, scopeOf(watch));
    const { expression } = condition;
    const here = (why: string): JudgedCondition => ({ condition, judge: 'here', why, memory: false });
    if (!bpf) return here('bpf programs may not be loaded here (root, or CAP_BPF and CAP_PERFMON)');
    const why = whyNotCompiled(expression);
    if (why !== undefined) return here(why);
    if (!needsValue(expression)) return { condition, judge: 'kernel', why: undefined, memory: false };
    if (memoryIsExact) return { condition, judge: 'kernel', why: undefined, memory: true };
    if (needsMemory(expression))
      return {
        condition,
        judge: 'kernel',
        why: 'new is the memory in the trap where the instruction does not tell what it stored',
        memory: true,
      };
    return {
      condition,
      judge: 'both',
      why: 'stores of code that was seen before are judged by their registers in the kernel, other hits here',
      memory: false,
    };
  }
}
