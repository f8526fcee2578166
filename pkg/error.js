/** Every failure of this package: `error.code` is stable, `error.message` never holds note text. */
export class ClinliteError extends Error {
  constructor(code, message) {
    super(message);
    this.name = code === 'E_ABORTED' ? 'AbortError' : 'ClinliteError';
    this.code = code;
  }
}
