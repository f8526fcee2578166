//! What is made once and used again, and what is asked side by side.

use clinlite::backend::Backend;
use clinlite::backend::webgpu::{Precision, WebGpuBackend};
use clinlite::models::{Batch, Model};

use super::pytorch::{expected, largest_difference};
use super::support::fixture;
use super::{opened, options, shared};

fn ask(backend: &WebGpuBackend, model: &Model<WebGpuBackend>, batch: &Batch) -> Vec<f32> {
    let logits = model.forward(backend, batch).expect("computes");
    pollster::block_on(backend.to_host(&logits)).expect("reads back")
}

#[test]
fn a_second_batch_makes_no_buffer() {
    let Some(backend) = opened(options(Precision::Int8)) else { return };
    for name in ["bert-token", "mobilebert-token", "minialbert-token"] {
        let batch = expected(name).batch;
        let model = Model::of(&backend, &fixture(name)).expect("loads");
        let first = ask(&backend, &model, &batch);
        let (buffers, bytes) = (backend.buffers_created(), backend.allocated());
        for _ in 0..3 {
            let again = ask(&backend, &model, &batch);
            assert!(first == again, "{name}: a second run gives the same bits");
        }
        assert_eq!((backend.buffers_created(), backend.allocated()), (buffers, bytes), "{name}");
    }
}

#[test]
fn a_tensor_outlives_the_growth_of_the_arena() {
    let Some(backend) = opened(options(Precision::F32)) else { return };
    let expected = expected("bert-token");
    let model = Model::of(&backend, &fixture("bert-token")).expect("loads");
    let kept = model.forward(&backend, &expected.batch).expect("computes");
    let small = pollster::block_on(backend.to_host(&kept)).expect("reads back");
    let many = Batch::new(std::iter::repeat_n(&[3_u32; 30][..], 60));
    let before = backend.allocated();
    ask(&backend, &model, &many);
    assert!(backend.allocated() > before);
    let again = pollster::block_on(backend.to_host(&kept)).expect("reads back");
    assert!(small == again, "the old numbers moved along");
    assert!(largest_difference(&expected.logits, &again) < 1e-4);
}

#[test]
fn several_threads_ask_at_once() {
    let Some(backend) = shared(Precision::F32) else { return };
    let expected = expected("mobilebert-token");
    let model = Model::of(backend, &fixture("mobilebert-token")).expect("loads");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..3 {
                    let found = ask(backend, &model, &expected.batch);
                    assert!(largest_difference(&expected.logits, &found) < 1e-4);
                }
            });
        }
    });
}
