//! Tags a note with the default model, or with the model folder that is named first.
//!
//! ```sh
//! cargo run --release --example tag
//! cargo run --release --example tag -- tests/fixtures/models/bert-bio
//! ```

use std::error::Error;
use std::fs;
use std::path::Path;

use clinlite::backend::simd::SimdBackend;
use clinlite::tasks::ner::{TagOptions, Tagger};
use clinlite::weights::folder::Folder;

const NOTE: &str = "Chest pain for two days; ECG normal. Started aspirin 81 mg daily, 37.5 °C.";

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let place = std::env::args().nth(1).map_or_else(|| root.join("models/clinlite-ner-en"), Into::into);

    // The library takes bytes: where they come from is the caller's business.
    let folder = Folder::read(|name| Ok::<_, clinlite::Error>(fs::read(place.join(name)).ok()))?;

    let tagger = Tagger::load(SimdBackend::new(), &folder)?;
    let tagging = pollster::block_on(tagger.tag(NOTE, TagOptions::default()))?;
    for entity in &tagging.entities {
        let label = &tagging.model.labels.types()[entity.label];
        println!("{label:10} {:.2} {}", entity.score, &NOTE[entity.start..entity.end]);
    }
    Ok(())
}
