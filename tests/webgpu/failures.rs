//! What goes wrong is told apart, at once.

use std::process::Command;
use std::time::{Duration, Instant};

use clinlite::ErrorKind;
use clinlite::backend::Backend;
use clinlite::backend::fallback::Fallback;
use clinlite::backend::simd::SimdBackend;
use clinlite::backend::webgpu::{Options, Precision, WebGpuBackend};
use clinlite::models::Model;
use clinlite::tasks::ner::{Tagger, Tagging};

use super::pytorch::expected;
use super::support::fixture;
use super::{opened, options};

#[test]
fn a_lost_device_says_so_at_once() {
    let Some(backend) = opened(options(Precision::F32)) else { return };
    let batch = expected("bert-token").batch;
    let model = Model::of(&backend, &fixture("bert-token")).expect("loads");
    let before = model.forward(&backend, &batch).expect("computes");
    pollster::block_on(backend.to_host(&before)).expect("reads back");
    let half_way = model.forward(&backend, &batch).expect("computes");
    backend.lose();
    let begun = Instant::now();
    let error = pollster::block_on(backend.to_host(&half_way)).expect_err("nothing to read");
    assert_eq!(error.kind(), ErrorKind::DeviceLost, "{error}");
    let error = model.forward(&backend, &batch).map(drop).expect_err("nothing to compute on");
    assert_eq!(error.kind(), ErrorKind::DeviceLost, "{error}");
    let error = Model::of(&backend, &fixture("bert-token")).map(drop).expect_err("nothing to load on");
    assert_eq!(error.kind(), ErrorKind::DeviceLost, "{error}");
    assert!(backend.is_lost() && begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn the_cpu_finishes_a_note_of_a_lost_device() {
    let Some(backend) = opened(options(Precision::F32)) else { return };
    let load = |engine| Tagger::load(engine, &fixture("bert-token")).expect("loads").with_window(16, 4);
    let both = load(Fallback::new(backend, SimdBackend::new(), "for a test"));
    let alone = Tagger::load(SimdBackend::new(), &fixture("bert-token")).expect("loads").with_window(16, 4);
    let note = "No fever, no rash. Started aspirin for chest pain, then cough. ".repeat(4);
    let expected = pollster::block_on(alone.tag(&note, Default::default())).expect("tags");
    let mut job = both.start(&note, Default::default()).expect("starts");
    let engines = std::iter::from_fn(|| {
        (!job.is_done()).then(|| {
            if job.progress().0 == 3 {
                both.backend().fast().expect("there is one").lose();
            }
            pollster::block_on(both.step(&mut job)).expect("the CPU goes on");
            both.engine().backend
        })
    });
    let engines: Vec<_> = engines.collect();
    assert!(engines.len() > 4 && engines[..3] == ["webgpu"; 3], "{engines:?}");
    assert!(engines[3..].iter().all(|&engine| engine == "simd"), "{engines:?}");
    let found = both.finish(job).expect("finishes");
    let spans = |tagging: &Tagging| -> Vec<_> {
        tagging.entities.iter().map(|span| (span.start, span.end, span.label)).collect()
    };
    assert_eq!(spans(&found), spans(&expected));
    assert!(found.engine.reason.is_some_and(|reason| reason.starts_with("webgpu: the GPU device was lost")));
}

#[test]
fn a_device_can_be_opened_again() {
    let Some(backend) = opened(options(Precision::F32)) else { return };
    backend.lose();
    drop(backend);
    let again = opened(options(Precision::F32)).expect("it was there before");
    let model = Model::of(&again, &fixture("bert-token")).expect("loads");
    let logits = model.forward(&again, &expected("bert-token").batch).expect("computes");
    pollster::block_on(again.to_host(&logits)).expect("reads back");
}

#[test]
fn software_is_refused_unless_asked_for() {
    let Some(backend) = opened(options(Precision::F32)) else { return };
    let plain = pollster::block_on(WebGpuBackend::open(Options::default())).map(drop);
    match backend.adapter().is_software() {
        true => assert_eq!(plain.expect_err("software").kind(), ErrorKind::SoftwareAdapter),
        false => plain.expect("a real adapter"),
    }
}

/// Run by the next test, in a process that finds no driver.
#[test]
#[ignore = "run by without_a_driver_there_is_no_adapter"]
fn finds_no_adapter() {
    let error = pollster::block_on(WebGpuBackend::open(options(Precision::F32))).map(drop).expect_err("no driver");
    assert_eq!(error.kind(), ErrorKind::NoAdapter, "{error}");
}

#[cfg(target_os = "linux")]
#[test]
fn without_a_driver_there_is_no_adapter() {
    let this = std::env::current_exe().expect("this test");
    let status = Command::new(this)
        .args(["--ignored", "--exact", "failures::finds_no_adapter"])
        .env("VK_DRIVER_FILES", "/nonexistent")
        .env("VK_ICD_FILENAMES", "/nonexistent")
        .output()
        .expect("runs");
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stdout));
}

#[test]
fn a_batch_that_no_gpu_holds_is_refused() {
    let Some(backend) = opened(options(Precision::F32)) else { return };
    let wide = clinlite::backend::Stored {
        name: "x".into(),
        rows: 1,
        columns: 1 << 20,
        values: clinlite::backend::Values::F32(vec![1.0; 1 << 20]),
        transposed: false,
    };
    let table = backend.table(wide).expect("a table");
    let row = backend.embed(&[(&table, &[0])]).expect("a row");
    // 64 GiB of the same row.
    let error = backend.rows(&row, &[0; 1 << 14]).map(drop).expect_err("more than fits");
    assert_eq!(error.kind(), ErrorKind::GpuLimits, "{error}");
    let row = pollster::block_on(backend.to_host(&row)).expect("the engine goes on");
    assert!(row.len() == 1 << 20 && row.iter().all(|&x| x == 1.0));
}
