//! `--backend webgpu` and `--backend auto`: the GPU while it works, the CPU from there on.

use std::time::Instant;

use anyhow::Result;
use clinlite::backend::Backend;
use clinlite::backend::fallback::Fallback;
use clinlite::backend::simd::SimdBackend;
#[cfg(feature = "webgpu")]
use clinlite::backend::webgpu::{Options, WebGpuBackend};
use clinlite::tasks::trial::{self, Trial};

use crate::work::{Asked, Choice, Shared};

/// The engine over both. Builds without the feature never make the first of the two.
#[cfg(feature = "webgpu")]
pub(crate) type Gpu = Fallback<WebGpuBackend, SimdBackend>;
#[cfg(not(feature = "webgpu"))]
pub(crate) type Gpu = Fallback<SimdBackend, SimdBackend>;

/// Opens the fastest adapter. Software ones are taken only where this variable is set: they are slower than the CPU engine.
#[cfg(feature = "webgpu")]
pub(crate) fn open() -> Result<Gpu> {
    Ok(beside_the_cpu(adapter()?, |line| eprintln!("clinlite: {line}")))
}

/// The same; where there is none, the CPU alone, which says why.
#[cfg(feature = "webgpu")]
pub(crate) fn open_if_any() -> Result<Gpu> {
    Ok(match adapter() {
        Ok(gpu) => beside_the_cpu(gpu, |line| eprintln!("clinlite: {line}")),
        Err(error) => Fallback::without(SimdBackend::new(), error.to_string()),
    })
}

#[cfg(feature = "webgpu")]
fn adapter() -> clinlite::Result<WebGpuBackend> {
    let allow_software = std::env::var_os("CLINLITE_SOFTWARE_GPU").is_some();
    let backend = pollster::block_on(WebGpuBackend::open(Options { allow_software, ..Options::default() }))?;
    eprintln!("webgpu: {} ({})", backend.adapter().name, backend.adapter().api);
    Ok(backend)
}

/// `tell` hears once when the GPU fails.
#[cfg(feature = "webgpu")]
fn beside_the_cpu(gpu: WebGpuBackend, tell: impl Fn(&str) + Send + Sync + 'static) -> Gpu {
    let both = Fallback::new(gpu, SimdBackend::new(), "asked for");
    both.telling(move |choice| tell(&format!("simd goes on, because of {}", choice.reason)))
}

impl Shared for Gpu {
    fn settle(model: &impl Trial<Self>, how: Asked) -> clinlite::Result<()> {
        if how.backend != Choice::Auto {
            return Ok(());
        }
        let begun = Instant::now();
        pollster::block_on(trial::choose(model, how.threads, || begun.elapsed().as_secs_f64()))?;
        let engine = model.engine();
        eprintln!("auto: {}, {}", engine.name(), engine.choice().reason);
        Ok(())
    }
}

/// Says how to get an engine.
#[cfg(not(feature = "webgpu"))]
pub(crate) fn open() -> Result<Gpu> {
    anyhow::bail!(
        "--backend webgpu: this program was built without it; build it with `cargo build --release --features webgpu`, \
         which takes no toolkit, and run it where a Vulkan or Metal driver is"
    )
}

/// The CPU alone.
#[cfg(not(feature = "webgpu"))]
pub(crate) fn open_if_any() -> Result<Gpu> {
    Ok(Fallback::without(SimdBackend::new(), "this program was built without webgpu"))
}

#[cfg(all(test, feature = "webgpu"))]
#[allow(clippy::unwrap_used, reason = "in a test a step that fails is the failure")]
mod tests {
    use std::path::Path;
    use std::sync::{Arc, Mutex};

    use clinlite::tasks::ner::{TagOptions, Tagger};
    use clinlite::text::OffsetUnit;
    use indicatif::ProgressBar;

    use super::*;
    use crate::tag::{Tag, Written};
    use crate::work::Work;
    use crate::{files, pool};

    fn tag<B: Shared>(engine: B) -> Tag<B> {
        let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models/bert-token");
        let tagger = Tagger::load(engine, &files::read_folder(&place).unwrap()).unwrap().with_window(16, 4);
        Tag { tagger, options: TagOptions::default(), unit: OffsetUnit::Utf8, written: Written::default() }
    }

    #[test]
    fn a_device_that_is_lost_in_the_middle_of_a_note_is_told_once_and_loses_nothing() {
        let gpu = match pollster::block_on(WebGpuBackend::open(Options { allow_software: true, ..Options::default() }))
        {
            Ok(gpu) => gpu,
            Err(error) if std::env::var_os("REQUIRE_GPU").is_some_and(|value| value == "1") => {
                panic!("REQUIRE_GPU is set: {error:?}")
            }
            Err(error) => return println!("skipped: {error}"),
        };
        let told = Arc::new(Mutex::new(Vec::new()));
        let hears = Arc::clone(&told);
        let (both, cpu) = (
            tag(beside_the_cpu(gpu, move |line| hears.lock().unwrap().push(line.to_owned()))),
            tag(SimdBackend::new()),
        );
        let note = "No fever, no rash. Started aspirin for chest pain, then cough. ".repeat(30);
        let (job, bar) = (both.start(&note).unwrap(), ProgressBar::hidden());
        assert!(Tag::<Gpu>::passes(&job) > 40);
        both.judge(&both.pass(&job, 0).unwrap()).unwrap();
        assert_eq!((both.tagger.engine().backend, told.lock().unwrap().len()), ("webgpu", 0));

        both.tagger.backend().fast().unwrap().lose();
        let judged = pool::judge(&both, &[&job], 4, &bar).remove(0).unwrap();
        let found = both.finish(job, judged).unwrap();

        let job = cpu.start(&note).unwrap();
        let judged = pool::judge(&cpu, &[&job], 1, &bar).remove(0).unwrap();
        let expected = cpu.finish(job, judged).unwrap();
        assert!(!expected.entities.is_empty() && found.entities == expected.entities);
        assert_eq!(found.engine.backend, "simd");
        let told = told.lock().unwrap();
        assert!(told.len() == 1 && told[0].starts_with("simd goes on, because of webgpu: "), "{told:?}");
        let reason = found.engine.reason.unwrap();
        assert!(told[0].ends_with(&reason) && reason.contains("lost") && !reason.contains("aspirin"), "{reason}");
    }
}
