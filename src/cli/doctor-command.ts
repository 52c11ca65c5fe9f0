/** Replaced soon. */
export async function doctorCommand(
  _options: { json: boolean },
  write: (text: string) => void,
): Promise<number> {
  write('');
  return 0;
}
