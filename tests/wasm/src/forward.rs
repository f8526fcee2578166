//! A whole model for the web bench: files in, ids in, logits out; nothing but the forward pass is timed.

use std::cell::RefCell;
use std::collections::BTreeMap;

use clinlite::Result;
use clinlite::backend::simd::SimdBackend;
use clinlite::models::{Batch, Model};
use clinlite::weights::folder::Folder;

use crate::checks::host;

/// A model, the ids of one sequence and the logits `[ids, labels]` of its last pass.
struct Loaded {
    backend: SimdBackend,
    model: Model<SimdBackend>,
    ids: Vec<u32>,
    logits: Vec<f32>,
}

thread_local! {
    static LOADED: RefCell<Option<Loaded>> = const { RefCell::new(None) };
}

/// Takes the files of a Hugging Face folder or a packed one.
pub(crate) fn load(files: BTreeMap<String, Vec<u8>>) -> Result<()> {
    let (backend, folder) = (SimdBackend::new(), Folder::from_files(files)?);
    let model = Model::of(&backend, &folder)?;
    LOADED.set(Some(Loaded { backend, model, ids: Vec::new(), logits: Vec::new() }));
    Ok(())
}

/// Room for the ids of one sequence; null without a model.
#[unsafe(no_mangle)]
pub extern "C" fn ids(length: usize) -> *mut u32 {
    LOADED.with_borrow_mut(|loaded| {
        let Some(loaded) = loaded else { return std::ptr::null_mut() };
        loaded.ids = vec![0; length];
        loaded.ids.as_mut_ptr()
    })
}

/// One pass over the ids. Returns how many logits it made, 0 if it failed.
#[unsafe(no_mangle)]
pub extern "C" fn forward() -> usize {
    LOADED.with_borrow_mut(|loaded| {
        let Some(loaded) = loaded else { return 0 };
        let batch = Batch::new([loaded.ids.as_slice()]);
        let pass = loaded.model.forward(&loaded.backend, &batch).and_then(|x| host(&loaded.backend, &x));
        loaded.logits = pass.unwrap_or_default();
        loaded.logits.len()
    })
}

/// Where the logits of the last pass lie.
#[unsafe(no_mangle)]
pub extern "C" fn logits() -> *const f32 {
    LOADED.with_borrow(|loaded| loaded.as_ref().map_or(std::ptr::null(), |loaded| loaded.logits.as_ptr()))
}
