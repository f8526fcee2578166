//! What `run.mjs` and `benches/web` call: the checks of every backend, and timed work. No import, so that plain `WebAssembly.instantiate`
//! is enough.

#[allow(dead_code, reason = "a shared file: candle does other things with int8")]
#[path = "../../backends/checks.rs"]
mod checks;
mod forward;
mod models;
#[path = "../../../benches/note.rs"]
mod note;
#[allow(dead_code, reason = "a shared file: run.mjs names the shapes")]
#[path = "../../../benches/random.rs"]
mod random;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;

use clinlite::backend::simd::SimdBackend;
use clinlite::backend::{Activation, Backend, Lengths, Qkv};
use clinlite::clinical::{Knowledge, Mention};

use checks::{Int8, failures, fingerprint};

const FINGERPRINT: u64 = include!("../../backends/fingerprint.txt");

type Job = Box<dyn FnMut() -> clinlite::Result<()>>;

thread_local! {
    static REPORT: RefCell<String> = const { RefCell::new(String::new()) };
    static FILES: RefCell<BTreeMap<String, Vec<u8>>> = const { RefCell::new(BTreeMap::new()) };
    static JOB: RefCell<Option<Job>> = const { RefCell::new(None) };
}

/// Runs the checks of all backends and returns the length of the report, empty if all is well.
#[unsafe(no_mangle)]
pub extern "C" fn check() -> usize {
    let mut lines = Vec::new();
    let expected = if cfg!(target_feature = "relaxed-simd") { "relaxed-simd" } else { "simd128" };
    let found = SimdBackend::new().target();
    if found != expected {
        lines.push(format!("expected {expected}, found {found}"));
    }
    for backend in SimdBackend::all() {
        let target = backend.target();
        lines.extend(failures(&backend, Int8::Exact, 1e-5).iter().map(|line| format!("{target}: {line}")));
        let found = fingerprint(&backend).unwrap_or(0);
        if found != FINGERPRINT {
            lines.push(format!("{target}: the bits {found:#x} of an int8 layer differ from {FINGERPRINT:#x}"));
        }
    }
    write(&lines)
}

fn write(lines: &[String]) -> usize {
    REPORT.with_borrow_mut(|report| {
        *report = lines.join("\n");
        report.len()
    })
}

/// Room for the next file of a model, whose name run.mjs has written into the report (see [`name`]).
#[unsafe(no_mangle)]
pub extern "C" fn file(length: usize) -> *mut u8 {
    let name = REPORT.with_borrow(|report| report.trim_end_matches('\0').to_owned());
    FILES.with_borrow_mut(|files| {
        let bytes = files.entry(name).or_default();
        *bytes = vec![0; length];
        bytes.as_mut_ptr()
    })
}

/// Room for a name of `length` bytes, in the report.
#[unsafe(no_mangle)]
pub extern "C" fn name(length: usize) -> *mut u8 {
    REPORT.with_borrow_mut(|report| {
        *report = "\0".repeat(length);
        report.as_mut_ptr()
    })
}

/// Compares the model of the files so far with what PyTorch said of it; its name stands in the report. Returns the length
/// of the new report, empty if all is well.
#[unsafe(no_mangle)]
pub extern "C" fn model() -> usize {
    let name = REPORT.with_borrow(String::clone);
    write(&models::failures(&name, FILES.take()))
}

/// Loads the model of the files so far for [`forward::forward`]. Returns the length of the new report, empty if all is well.
#[unsafe(no_mangle)]
pub extern "C" fn load() -> usize {
    let failed = forward::load(FILES.take()).err();
    write(&Vec::from_iter(failed.map(|error| error.to_string())))
}

/// Where the report lies.
#[unsafe(no_mangle)]
pub extern "C" fn report() -> *const u8 {
    REPORT.with_borrow(|report| report.as_ptr())
}

/// Prepares work for [`work`]: 0 a product of `rows`, `inputs`, `outputs`, 1 the same with GELU, 2 attention of `rows`
/// in 12 heads, 3 a normalisation of `rows`, 4 the encoder over `rows`, 5 and 6 what the rules read in a note of
/// `rows` words and what they say of its mentions; ten more for the second kind of kernels, and so on.
/// Returns 0 if that failed.
#[unsafe(no_mangle)]
pub extern "C" fn prepare(kind: u32, int8: bool, rows: usize, inputs: usize, outputs: usize) -> u32 {
    let job = job(kind, int8, rows, inputs, outputs);
    JOB.with_borrow_mut(|slot| *slot = job.ok());
    JOB.with_borrow(|job| u32::from(job.is_some()))
}

/// Does the work once. Returns 0 if it failed.
#[unsafe(no_mangle)]
pub extern "C" fn work() -> u32 {
    JOB.with_borrow_mut(|job| job.as_mut().map_or(0, |job| u32::from(job().is_ok())))
}

fn job(kind: u32, int8: bool, rows: usize, inputs: usize, outputs: usize) -> clinlite::Result<Job> {
    let backend = SimdBackend::all().swap_remove(kind as usize / 10);
    Ok(match kind % 10 {
        0 | 1 => {
            let act = if kind == 0 { Activation::None } else { Activation::Gelu };
            let (x, linear) =
                (random::tensor(&backend, rows, inputs)?, random::linear(&backend, inputs, outputs, int8)?);
            Box::new(move || backend.linear(&x, &linear, act).map(drop))
        }
        2 => {
            let (x, lengths) = (random::tensor(&backend, rows, inputs)?, Lengths::new(vec![rows]));
            let qkv = backend.linear(&x, &random::linear(&backend, inputs, 3 * inputs, int8)?, Activation::None)?;
            Box::new(move || backend.attention(Qkv::Joined(&qkv), 12, &lengths).map(drop))
        }
        3 => {
            let (x, norm) = (random::tensor(&backend, rows, inputs)?, random::norm(&backend, inputs)?);
            Box::new(move || backend.add_norm(&x, Some(&x), &norm).map(drop))
        }
        5 => {
            let (knowledge, (note, _)) = (Knowledge::default(), note::note(rows));
            Box::new(move || {
                drop(knowledge.read(&note));
                Ok(())
            })
        }
        6 => {
            let (knowledge, (note, ranges)) = (Knowledge::default(), note::note(rows));
            let reading = knowledge.read(&note);
            Box::new(move || {
                let mention = |range: &Range<usize>| Mention { range: range.clone(), label: "PROBLEM" };
                let mentions: Vec<_> = ranges.iter().map(mention).collect();
                drop(knowledge.judge(&note, &reading, &mentions));
                Ok(())
            })
        }
        _ => {
            let (encoder, batch) = (random::encoder(&backend, int8)?, random::batch(rows));
            Box::new(move || encoder.forward(&backend, &batch).map(drop))
        }
    })
}
