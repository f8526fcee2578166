/**
 * Clinical transformers inside a web page: entities of a note, relations between them, what a premise says of a hypothesis,
 * labels of a text. Importing this module has no effect; `load()` starts workers, of which one fetches the model from the
 * address that you give and from nowhere else. Notes are read without any request.
 *
 * Not a medical device. For research, education and software evaluation on de-identified or synthetic text.
 */

/**
 * Starts workers and loads a model into the first. `task` says what the model will be asked, and so what is returned; without it
 * the model must be a tagger. A model that was made for another task is refused with `E_MODEL_TASK`.
 */
export function load(options: LoadOptions & { task?: 'ner' }): Promise<Tagger>;
export function load(options: LoadOptions & { task: 'relation' } & RelationLoadOptions): Promise<Extractor>;
export function load(options: LoadOptions & { task: 'nli' }): Promise<Nli>;
export function load(options: LoadOptions & { task: 'classify' }): Promise<Classifier>;

export interface LoadOptions {
  /** The address of a model folder (with `manifest.json` inside), relative to the page. */
  model: string | URL;
  /** Called as the model comes in. */
  onProgress?: (progress: DownloadProgress | PrepareProgress) => void;
  /** Ends the workers when aborted; the promise rejects with `E_ABORTED`. */
  signal?: AbortSignal;
  /**
   * How many workers share the windows of long texts, and texts that are asked about at once. Each holds a copy of the model,
   * once there is enough for it to do. `auto`, the default: at most 4, one fewer than there are cores (two where
   * there are two), and as many as the memory of the device allows; 1 on a tablet. Answers do not depend on it.
   */
  workers?: number | 'auto';
  /** Of a tagger: what its rules know besides what ships. */
  knowledge?: Knowledge;
  /**
   * What computes. `auto`, the default: the graphics processor through WebGPU, if there is one and a short trial shows that it is
   * faster here and gives the same answers, else the CPU. `webgpu` takes it without a trial, and rejects with `E_NO_ADAPTER` where
   * there is none; `simd` is the CPU alone. Documents say which it was and why (`engine.backend`, `engine.reason`).
   */
  backend?: 'auto' | 'webgpu' | 'simd';
  /**
   * What products on a graphics processor multiply. `int8`, the default: the numbers of the model, int8 or f32; `f32` in any case;
   * `f16`: weights rounded to f16, half the memory of f32, where the graphics processor has `shader-f16`. Where it has not, the CPU
   * computes, or `webgpu` rejects with `E_GPU_LIMITS`. The CPU always computes with the numbers of the model.
   */
  precision?: 'int8' | 'f32' | 'f16';
  /** Takes a graphics processor that is emulated by software, too: for tests. It is slower than the CPU. */
  allowSoftware?: boolean;
  /** Hears when another engine computes: a graphics processor was lost in the middle of a note, which the CPU finished, or it is back. */
  onEngine?: (engine: Engine) => void;
  /**
   * The WebAssembly of this package, where it is not beside worker.js. Without it, and where both builds are given, the one
   * with relaxed-simd is taken if the browser can run it, else the plain one.
   */
  wasm?: WasmSource | { plain: WasmSource; relaxed?: WasmSource };
  /**
   * Of a tagger: whether `export()` will be asked for. What writes results in other forms is WebAssembly of its own, which no page
   * downloads otherwise; it comes with the model, so that nothing is requested later. An address, bytes or a module, where it
   * is not beside worker.js.
   */
  exports?: boolean | WasmSource;
  /**
   * Takes these kernels instead of choosing them by a short trial: `simd128` of the plain build, `relaxed-simd` or
   * `relaxed-simd-dot` of the other one. For measurements.
   */
  kernels?: string;
  /**
   * Whether the files of the model are kept in this site's CacheStorage, by their hashes, so that the next visit asks only for
   * the manifest. What lies there is checked, and fetched anew when it is damaged. No text is ever stored. Default `false`: the
   * browser's own cache serves as the headers of the host let it.
   */
  cache?: boolean;
  /**
   * Makes a module worker, where a bundler or a policy needs it made another way: it must run `clinlite/worker.js`. Called once
   * a worker, also for one that replaces another.
   */
  workerFactory?: () => Worker;
}

/**
 * What the rules of a tagger know besides what ships. Each is a text or its bytes in UTF-8; a line of another form is `E_INPUT`
 * with its number. None of it leaves the page.
 */
export interface Knowledge {
  /** Cues of negation, uncertainty and others, in the form of `context.rules`. */
  rules?: string | Uint8Array;
  /** Titles of sections, in the form of `sections.rules`. */
  sections?: string | Uint8Array;
  /** Abbreviations that notes do not define: `short<TAB>long`, a line each. */
  abbreviations?: string | Uint8Array;
  /** Terms and their codes: `term<TAB>code`, and perhaps system and preferred term. Entities that match get `links`. */
  terms?: string | Uint8Array;
  /** The code system of terms whose table names none. */
  system?: string;
}

/** An address, bytes, or a compiled module. */
export type WasmSource = string | URL | ArrayBuffer | Uint8Array | WebAssembly.Module;

export interface RelationLoadOptions {
  /** The address of a second model folder, which finds the entities of notes that come without. */
  tagger?: string | URL;
  /** How the two entities of a pair are marked, for a model folder that does not say it. */
  markers?: 'typed' | 'replaced';
}

/** Bytes of model files received. */
export interface DownloadProgress {
  stage: 'download';
  file: string;
  loaded: number;
  total: number;
}

/** The files of a model are here; hashes are being checked and weights laid out. */
export interface PrepareProgress {
  stage: 'prepare';
  loaded: number;
  total: number;
}

/** Forward passes done, and in all: one for each window of a text; several pairs of entities share one. */
export interface PassProgress<Stage extends string> {
  stage: Stage;
  done: number;
  windows: number;
}

/**
 * A model in its workers. A worker that dies is replaced, and what it had begun is done again: the caller only hears of it
 * when the same step ends three of them (`E_INTERNAL`), or when no worker can be started any more.
 */
export interface Loaded {
  readonly engine: Engine;
  /** The kernels in use: `simd128`, `relaxed-simd` or `relaxed-simd-dot`. They differ in speed alone. */
  readonly kernels: string;
  /** Size of the model files. */
  readonly bytes: number;
  /** How long loading took, in milliseconds. */
  readonly loadMs: number;

  /**
   * Network requests that the workers made: in all, and since the model was ready. The second number is 0 unless something is
   * wrong: a worker that replaces a dead one fetches its script. The page sees its own requests through `PerformanceObserver`.
   */
  requests(): Promise<{ total: number; sinceReady: number }>;

  /** Bytes of WebAssembly memory, one number for each worker that holds the model. */
  memory(): Promise<number[]>;

  /** Ends the workers, and with them their copies of texts and model. Running calls reject with `E_DISPOSED`. */
  dispose(): void;
}

/** What every question takes. */
export interface AskOptions<Stage extends string> {
  /** Stops the work between two forward passes; the promise rejects with `E_ABORTED`. */
  signal?: AbortSignal;
  /** Called after every forward pass. */
  onProgress?: (progress: PassProgress<Stage>) => void;
}

/** Finds entities. Made by `load({ task: 'ner' })`. */
export interface Tagger extends Loaded {
  readonly model: Model;
  /** Reads a whole note, however long. */
  tag(note: string, options?: TagOptions): Promise<Tagging>;
  /**
   * Writes a result of `tag()`, or a copy that a person corrected, in another form. What is wrong with the result, and whether
   * it is about this note, is said by the path of the field (`E_INPUT`: `entities[3].start: …`). Places in what is written
   * count code points, whatever the result counts; `json` and `jsonl` keep its unit. docs/exports.md says what each form
   * holds and what it cannot hold.
   */
  export(note: string, result: TaggingInput, format: ExportFormat, options?: ExportOptions): Promise<string>;
}

/** A result of `tag()`, also one that was read from a file or corrected: an entity that a person added has no score. */
export type TaggingInput = Omit<Tagging, 'entities' | 'offset_unit'> & {
  offset_unit: 'utf8' | 'utf16' | 'codepoint';
  entities: (Omit<Entity, 'score' | 'score_method'> & Partial<Pick<Entity, 'score' | 'score_method'>>)[];
};

/** `brat` is the `.ann` file beside the note as `.txt`. */
export type ExportFormat = 'json' | 'jsonl' | 'fhir' | 'brat' | 'conll' | 'doccano' | 'prodigy' | 'displacy' | 'csv' | 'html';

export interface ExportOptions {
  /** What the note is called, where the form has a place for it. */
  name?: string;
  /** FHIR: the reference of the patient, such as `Patient/12`. Without it the subject only says that it is not known. */
  subject?: string;
  /** FHIR: leaves the note out of the DocumentReference, which then holds its hash alone. Default `false`. */
  withoutNote?: boolean;
  /** FHIR: when this was made, an `instant`. Without it the Provenance says that it is not known. */
  recorded?: string;
  /** FHIR: what labels become, before what known labels become. */
  resources?: Record<string, 'Condition' | 'MedicationStatement' | 'Procedure' | 'Observation' | 'None'>;
  signal?: AbortSignal;
}

export interface TagOptions extends AskOptions<'tag'> {
  /** How scores of word pieces become entities. Default `average`. */
  aggregation?: 'none' | 'simple' | 'first' | 'average' | 'max';
}

/** Finds relations between entities. Made by `load({ task: 'relation' })`. */
export interface Extractor extends Loaded {
  readonly model: ClassifierModel<'relation'>;
  /** What finds the entities of notes that come without, where `load()` was given one. */
  readonly tagger?: Model;
  /**
   * Judges every ordered pair of entities whose types the model was taught. Without `entities` the tagger finds them.
   * Pairs that do not fit one sequence, or that overlap, are counted in `coverage`.
   */
  relate(note: string, entities?: readonly EntityPlace[], options?: RelateOptions): Promise<Relations>;
}

/** Where an entity lies, in UTF-16 units, and its type as the model was taught it. Entities of a `Tagging` are such. */
export interface EntityPlace {
  start: number;
  end: number;
  label: string;
}

export interface RelateOptions extends AskOptions<'tag' | 'relate'> {
  /** Tell pairs without a relation too. Default `false`. */
  none?: boolean;
  /** Leave out pairs with more word pieces between them. */
  maxPieces?: number;
  /** Leave out pairs with more line breaks between them; 0 is the same line. Sentences are not told apart. */
  maxLines?: number;
}

/** Judges what a premise says of a hypothesis. Made by `load({ task: 'nli' })`. */
export interface Nli extends Loaded {
  readonly model: ClassifierModel<'nli'>;
  /** The hypothesis stands whole beside each window of the premise. */
  infer(premise: string, hypothesis: string, options?: AskOptions<'infer'>): Promise<Inference>;
}

/** Labels texts. Made by `load({ task: 'classify' })`. */
export interface Classifier extends Loaded {
  readonly model: ClassifierModel<'classify'>;
  /** Reads a whole text, however long: in windows, whose logits are pooled. */
  classify(text: string, options?: ClassifyOptions): Promise<Classification>;
}

export interface ClassifyOptions extends AskOptions<'classify'> {
  /** How the windows of a long text become one answer. Default: as the model was taught, else `mean`. */
  pooling?: 'mean' | 'max';
  /** The least score of a label that holds, of a model whose labels do not exclude each other. Default 0.5. */
  threshold?: number;
}

/** What all documents have. The same question to the same model gives the same document, byte for byte. */
export interface Answer<Schema extends string, Asked, Read> {
  schema: Schema;
  engine: Engine;
  model: Asked;
  coverage: Read;
}

/** Which text a document is about. */
export interface About {
  /** SHA-256 of the text as UTF-8 (a lone surrogate counts as U+FFFD). */
  text_sha256: string;
  length: Length;
}

export interface Length {
  utf16: number;
  codepoint: number;
  utf8: number;
}

/** `clinlite/schema` is the JSON Schema of this. A list that is not there is empty. */
export interface Tagging extends Answer<'clinlite/tagging/1', Model, Coverage & { placeholders?: number }>, About {
  offset_unit: 'utf16';
  /** All lists are sorted by place. */
  sections?: Section[];
  sentences?: Place[];
  /** Where the note was de-identified. */
  placeholders?: Place[];
  abbreviations?: Abbreviation[];
  entities: Entity[];
  warnings?: Warning[];
}

/** A part of the note in the unit of the document: `note.slice(start, end)`. */
export interface Place {
  start: number;
  end: number;
}

/** A part of the note under a heading. */
export interface Section extends Place {
  title: string;
  /** What the heading means: `history_of_present_illness`. */
  category: string;
  loinc?: string;
}

export interface Abbreviation extends Place {
  short: string;
  long: string;
  /** Where the note says so. Absent for one of the caller's list. */
  defined?: Place;
}

/** Something that a reader should look at. */
export interface Warning extends Place {
  code: 'POSSIBLE_PHI';
  /** What it looks like. */
  kind: string;
}

/** What the note says of an entity, and the words that say it. */
export interface Assertion {
  polarity: 'affirmed' | 'negated';
  certainty: 'certain' | 'possible';
  temporality: 'current' | 'historical' | 'hypothetical';
  experiencer: 'patient' | 'family' | 'other';
  conditional: boolean;
  cues: (Place & { text: string; rule: string })[];
}

export interface Relations extends Answer<'clinlite/relations/1', ClassifierModel<'relation'>, PairCoverage>, About {
  offset_unit: 'utf16';
  /** How the two entities of a pair were marked. */
  markers: 'typed' | 'replaced';
  /** As they were given or found. */
  entities: Pick<Entity, 'id' | 'start' | 'end' | 'text' | 'label'>[];
  /** In the order of their heads, then of their tails; `head` and `tail` are ids of entities. */
  relations: (Scored & { id: string; head: string; tail: string })[];
}

export interface Inference extends Answer<'clinlite/nli/1', ClassifierModel<'nli'>, Coverage>, Scored {
  premise: { sha256: string; length: Length };
  hypothesis: { sha256: string; length: Length };
  pooling: 'mean' | 'max';
  /** All labels, in the order of the model. `label` and `score` are those of the likeliest. */
  scores: Scored[];
}

export interface Classification extends Answer<'clinlite/classification/1', ClassifierModel<'classify'>, Coverage>, About {
  /** How the windows of a long text became one answer. */
  pooling: 'mean' | 'max';
  /** The least score of a label that holds. Only of a model with `multi_label`. */
  threshold?: number;
  /** The labels that hold, highest score first: exactly one, or with `multi_label` any number. */
  labels: Scored[];
  /** All labels, in the order of the model. */
  scores: Scored[];
}

/** One of the model's labels, and how likely it is. */
export interface Scored {
  label: string;
  /** Between 0 and 1. A confidence of the model, not a probability of being right. */
  score: number;
}

export interface Engine {
  name: 'clinlite';
  version: string;
  /** `simd` or `webgpu`: what computed, the last of them if a graphics processor was lost on the way. */
  backend: string;
  /** Why it was this one, where there was a choice. */
  reason?: string;
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

/** A model of another task. */
export interface ClassifierModel<Task extends string> {
  id: string;
  version: string;
  sha256: string;
  task: Task;
  /** In the model's own order. */
  labels: string[];
  /** Whether each label holds or not for itself. Else exactly one does. */
  multi_label: boolean;
}

export interface Coverage {
  /** Word pieces of the text or texts. */
  tokens: number;
  windows: number;
  max_length: number;
  stride: number;
  /** Whether a part of the text was not read. Always false. */
  truncated: boolean;
}

/** Which pairs were judged, of those whose types the model is asked about. The last three are not among `pairs`. */
export interface PairCoverage {
  /** Word pieces of the note without markers. */
  tokens: number;
  pairs: number;
  max_length: number;
  /** Pairs that do not fit one sequence. */
  pairs_too_far: number;
  /** Pairs that cannot be marked because they overlap. */
  pairs_overlapping: number;
  /** Pairs that `maxPieces` and `maxLines` left out. */
  pairs_beyond: number;
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
  assertion?: Assertion;
  /** The category of the section in which it stands. */
  section?: string;
  /** What it is in code systems. */
  links?: { system: string; code: string; term: string; match: string }[];
  /** What belongs to it: dose, route, value, unit. */
  attributes?: (Place & { name: string; text: string; value?: string })[];
}

/**
 * What failed, in `code`:
 *
 * | code | meaning |
 * |---|---|
 * | `E_INPUT` | an argument has the wrong type or value |
 * | `E_ABORTED` | cancelled through the signal; `name` is `AbortError` |
 * | `E_DISPOSED` | the model was disposed |
 * | `E_MODEL_FETCH` | a model file could not be fetched, or a web page came in its place; address and status are named |
 * | `E_OFFLINE` | the same, and the browser says that it is offline |
 * | `E_MODEL_HASH` | a model file is not the one that the manifest describes |
 * | `E_MODEL_FORMAT` | a model file is malformed or missing |
 * | `E_MODEL_WEIGHTS` | a tensor is missing or has another shape |
 * | `E_MODEL_TASK` | the model was made for another task than the one in `load({ task })` |
 * | `E_UNSUPPORTED_ARCH` | the model is of an architecture, or has a setting, that is not implemented |
 * | `E_WASM_FETCH`, `E_WASM_MIME`, `E_WASM` | the WebAssembly file: not found, not WebAssembly, does not compile here |
 * | `E_CSP` | the page's Content-Security-Policy forbids what is needed; the message says what to add |
 * | `E_WORKER` | a worker could not run |
 * | `E_UNSUPPORTED` | no workers in this environment, or no WebAssembly SIMD |
 * | `E_NO_ADAPTER`, `E_SOFTWARE_ADAPTER` | `backend: 'webgpu'` was asked for, and there is no graphics processor, or one emulated by software |
 * | `E_GPU_LIMITS`, `E_SHADER` | the same, and it offers too little, or refuses a kernel |
 * | `E_BACKEND`, `E_INTERNAL` | the engine failed, or workers died again and again; the next call starts afresh |
 */
export class ClinliteError extends Error {
  readonly code: string;
}
