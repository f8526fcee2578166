/**
 * Clinical named entity recognition inside a web page. Importing this module has no effect; `load()` starts one worker,
 * which fetches the model from the address that you give and from nowhere else. Notes are read without any request.
 *
 * Not a medical device. For research, education and software evaluation on de-identified or synthetic text.
 */

/** Starts a worker and loads a model into it. */
export function load(options: LoadOptions): Promise<Tagger>;

export interface LoadOptions {
  /** The address of a model folder (with `manifest.json` inside), relative to the page. */
  model: string | URL;
  /** Called as the model comes in. */
  onProgress?: (progress: DownloadProgress | PrepareProgress) => void;
  /** Ends the worker when aborted; the promise rejects with `E_ABORTED`. */
  signal?: AbortSignal;
  /** The WebAssembly of this package, where it is not beside worker.js: an address, its bytes, or a compiled module. */
  wasm?: string | URL | ArrayBuffer | Uint8Array | WebAssembly.Module;
  /** Makes the module worker, where a bundler or a policy needs it made another way: it must run `clinlite/worker.js`. */
  workerFactory?: () => Worker;
}

/** Bytes of model files received. */
export interface DownloadProgress {
  stage: 'download';
  file: string;
  loaded: number;
  total: number;
}

/** Everything is here; hashes are being checked and weights laid out. */
export interface PrepareProgress {
  stage: 'prepare';
  loaded: number;
  total: number;
}

/** Windows of the note judged. */
export interface TagProgress {
  stage: 'tag';
  done: number;
  windows: number;
}

/** A loaded model. Made by `load()`. */
export interface Tagger {
  readonly engine: Engine;
  readonly model: Model;
  /** Size of the model files. */
  readonly bytes: number;
  /** How long loading took, in milliseconds. */
  readonly loadMs: number;

  /**
   * Reads a whole note, however long. Several calls at once are answered one after the other. After a breakdown of the
   * engine (`E_INTERNAL`) the next call starts a fresh worker, which fetches the model again.
   */
  tag(note: string, options?: TagOptions): Promise<Tagging>;

  /**
   * Network requests that the worker made: in all, and since the model was ready. The second number is 0 unless something is
   * wrong. The page sees its own requests through `PerformanceObserver`.
   */
  requests(): Promise<{ total: number; sinceReady: number }>;

  /** Ends the worker, and with it its copies of notes and model. Running calls reject with `E_DISPOSED`. */
  dispose(): void;
}

export interface TagOptions {
  /** Stops the work between two windows; the promise rejects with `E_ABORTED`. */
  signal?: AbortSignal;
  /** Called after every window. */
  onProgress?: (progress: TagProgress) => void;
  /** How scores of word pieces become entities. Default `average`. */
  aggregation?: 'none' | 'simple' | 'first' | 'average' | 'max';
}

/** The result document. The same note, model and options give the same document, byte for byte. */
export interface Tagging {
  schema: 'clinlite/tagging/1';
  /** SHA-256 of the note as UTF-8 (a lone surrogate counts as U+FFFD). */
  text_sha256: string;
  offset_unit: 'utf16';
  length: { utf16: number; codepoint: number; utf8: number };
  engine: Engine;
  model: Model;
  coverage: Coverage;
  /** Sorted by place. */
  entities: Entity[];
}

export interface Engine {
  name: 'clinlite';
  version: string;
  backend: string;
}

export interface Model {
  id: string;
  version: string;
  /** One hash over all files of the model, checked at load. */
  sha256: string;
  task: 'ner';
  scheme: string;
  labels: string[];
}

export interface Coverage {
  /** Word pieces of the note. */
  tokens: number;
  windows: number;
  max_length: number;
  stride: number;
  /** Whether a part of the note was not read. Always false. */
  truncated: boolean;
}

export interface Entity {
  id: string;
  /** UTF-16 units: `note.slice(start, end) === text`, always. */
  start: number;
  end: number;
  text: string;
  label: string;
  /** Between 0 and 1. A confidence of the model, not a probability of being right. */
  score: number;
  score_method: string;
}

/**
 * What failed, in `code`:
 *
 * | code | meaning |
 * |---|---|
 * | `E_INPUT` | an argument has the wrong type or value |
 * | `E_ABORTED` | cancelled through the signal; `name` is `AbortError` |
 * | `E_DISPOSED` | the tagger was disposed |
 * | `E_MODEL_FETCH` | a model file could not be fetched, or a web page came in its place; address and status are named |
 * | `E_OFFLINE` | the same, and the browser says that it is offline |
 * | `E_MODEL_HASH` | a model file is not the one that the manifest describes |
 * | `E_MODEL_FORMAT` | a model file is malformed or missing |
 * | `E_MODEL_WEIGHTS` | a tensor is missing or has another shape |
 * | `E_UNSUPPORTED_ARCH` | the model is of an architecture that is not implemented |
 * | `E_WASM_FETCH`, `E_WASM_MIME`, `E_WASM` | the WebAssembly file: not found, not WebAssembly, does not compile here |
 * | `E_CSP` | the page's Content-Security-Policy forbids what is needed; the message says what to add |
 * | `E_WORKER` | the worker could not run |
 * | `E_UNSUPPORTED` | no workers in this environment |
 * | `E_BACKEND`, `E_INTERNAL` | the engine failed; the next call starts afresh |
 */
export class ClinliteError extends Error {
  readonly code: string;
}
