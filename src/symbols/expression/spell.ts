import type { Expression } from './expression.ts';

/** An expression as it would be written. */
export function spellExpression(expression: Expression): string {
  switch (expression.kind) {
    case 'name': {
      const path = expression.path.map((part) => (part === '' ? '(anonymous namespace)' : part)).join('::');
      return expression.within === undefined ? path : `${expression.within}:${path}`;
    }
    case 'number':
      return expression.value < 4096n ? String(expression.value) : `0x${expression.value.toString(16)}`;
    case 'member':
      return `${operand(expression.of)}${expression.arrow ? '->' : '.'}${expression.name}`;
    case 'index':
      return `${operand(expression.of)}[${expression.index}]`;
    case 'slice':
      return `${operand(expression.of)}[${expression.from}:${expression.to}]`;
    case 'deref':
      return `*${spellExpression(expression.of)}`;
    case 'cast': {
      const { keyword, path, pointers } = expression.type;
      const word = keyword === undefined ? '' : `${keyword} `;
      return `(${word}${path.join('::')}${pointers > 0 ? ` ${'*'.repeat(pointers)}` : ''})${spellExpression(expression.of)}`;
    }
  }
}

/** In brackets where what follows would bind tighter. */
function operand(expression: Expression): string {
  const text = spellExpression(expression);
  return expression.kind === 'deref' || expression.kind === 'cast' ? `(${text})` : text;
}
