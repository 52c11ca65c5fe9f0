import { describe, expect, it } from 'vitest';
import { compatUserAreaPlace, type UserAreaPlace, userAreaPlace } from './user-area.ts';

const name = (place: UserAreaPlace): string => (place.type === 'debugRegister' ? `DR${place.n}` : place.type);

describe('the user area', () => {
  it('192: has debug registers from 848, holes up to 928, and nothing else', () => {
    const places = [840n, 848n, 849n, 904n, 912n, 920n, 928n, 2n ** 64n - 8n].map(userAreaPlace).map(name);
    expect(places).toEqual(['hole', 'DR0', 'outside', 'DR7', 'hole', 'hole', 'outside', 'outside']);
  });

  it('192: is laxer to 32-bit callers', () => {
    const offsets = [251n, 252n, 253n, 255n, 256n, 280n, 281n, 283n, 284n, 288n];
    expect(offsets.map(compatUserAreaPlace).map(name)).toEqual([
      ...['outside', 'DR0', 'DR0', 'DR0', 'DR1', 'DR7', 'outside', 'outside', 'hole', 'outside'],
    ]);
  });
});
