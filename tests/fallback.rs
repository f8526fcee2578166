//! A fast engine that fails, at every point at which it can, beside one that goes on.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use clinlite::backend::fallback::{Choice, Fallback};
use clinlite::backend::simd::{Matrix, SimdBackend, Table, Tensor, Vector};
use clinlite::backend::{Activation, Backend, Lengths, Linear, Norm, Qkv, Stored};
use clinlite::tasks::ner::Tagger;
use clinlite::{Error, ErrorKind, Result};
use pollster::block_on;

use crate::support::fixture;

/// Does so many operations, weights included, and then nothing more.
struct Breaks {
    engine: SimdBackend,
    left: AtomicUsize,
}

impl Breaks {
    fn after(operations: usize) -> Self {
        Self { engine: SimdBackend::scalar(), left: AtomicUsize::new(operations) }
    }

    fn go_on(&self) -> Result<&SimdBackend> {
        let lost = |_| Error::new(ErrorKind::Backend, "the device was lost");
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).map_err(lost)?;
        Ok(&self.engine)
    }
}

impl Backend for Breaks {
    type Tensor = Tensor;
    type Matrix = Matrix;
    type Table = Table;
    type Vector = Vector;

    fn name(&self) -> &'static str {
        "breaks"
    }

    fn table(&self, stored: Stored) -> Result<Table> {
        self.go_on()?.table(stored)
    }

    fn matrix(&self, parts: &[Stored]) -> Result<Matrix> {
        self.go_on()?.matrix(parts)
    }

    fn vector(&self, parts: &[Stored]) -> Result<Vector> {
        self.go_on()?.vector(parts)
    }

    fn embed(&self, sources: &[(&Table, &[u32])]) -> Result<Tensor> {
        self.go_on()?.embed(sources)
    }

    fn linear(&self, x: &Tensor, Linear { weight, bias }: &Linear<Self>, act: Activation) -> Result<Tensor> {
        self.go_on()?.linear(x, &Linear { weight: weight.clone(), bias: bias.clone() }, act)
    }

    fn add_norm(&self, x: &Tensor, residual: Option<&Tensor>, norm: &Norm<Self>) -> Result<Tensor> {
        let Norm { weight, bias, kind } = norm;
        self.go_on()?.add_norm(x, residual, &Norm { weight: weight.clone(), bias: bias.clone(), kind: *kind })
    }

    fn attention(&self, qkv: Qkv<'_, Tensor>, heads: usize, lengths: &Lengths) -> Result<Tensor> {
        self.go_on()?.attention(qkv, heads, lengths)
    }

    fn add(&self, x: &Tensor, y: &Tensor) -> Result<Tensor> {
        self.go_on()?.add(x, y)
    }

    fn rows(&self, x: &Tensor, rows: &[u32]) -> Result<Tensor> {
        self.go_on()?.rows(x, rows)
    }

    fn columns(&self, x: &Tensor, columns: Range<usize>) -> Result<Tensor> {
        self.go_on()?.columns(x, columns)
    }

    fn trigram(&self, x: &Tensor, lengths: &Lengths) -> Result<Tensor> {
        self.go_on()?.trigram(x, lengths)
    }

    async fn to_host(&self, x: &Tensor) -> Result<Vec<f32>> {
        self.go_on()?.to_host(x).await
    }
}

const NOTE: &str = "No fever, no rash. Started aspirin for chest pain, then cough. ";

#[test]
fn a_note_is_finished_wherever_the_fast_engine_stops() {
    for name in ["bert-bio", "distilbert-token", "mobilebert-token", "minialbert-token"] {
        let load = |engine| Tagger::load(engine, &fixture(name)).expect("loads").with_window(16, 4);
        let alone = Tagger::load(SimdBackend::scalar(), &fixture(name)).expect("loads").with_window(16, 4);
        let expected = block_on(alone.tag(NOTE, Default::default())).expect("tags");
        let mut operations = 0;
        let never_broke = loop {
            let tagger = load(Fallback::new(Breaks::after(operations), SimdBackend::scalar(), "for a test"));
            let tagging = block_on(tagger.tag(NOTE, Default::default())).expect("tags");
            assert_eq!(tagging.entities, expected.entities, "{name}, {operations} operations");
            match tagger.backend().choice() {
                Choice { fast: true, reason } => break reason,
                Choice { fast: false, reason } => {
                    assert_eq!((&*reason, tagging.engine.backend), ("breaks: the device was lost", "simd"));
                }
            }
            operations += 1;
        };
        assert_eq!(never_broke, "for a test");
        assert!(operations > 40, "{operations}");
    }
}

#[test]
fn input_that_an_engine_refuses_is_no_failure_of_it() {
    let engine = Fallback::new(Breaks::after(1000), SimdBackend::scalar(), "for a test");
    let tagger = Tagger::load(engine, &fixture("bert-bio")).expect("loads").with_window(4000, 4);
    let refused = block_on(tagger.tag(&NOTE.repeat(200), Default::default())).map(drop).expect_err("too long");
    assert_eq!(refused.kind(), ErrorKind::Input);
    assert!(tagger.backend().choice().fast);
}

#[test]
fn engines_can_be_chosen_between_two_notes() {
    let tagger = |engine| Tagger::load(engine, &fixture("bert-bio")).expect("loads");
    let both = tagger(Fallback::new(Breaks::after(1000), SimdBackend::scalar(), "first"));
    let names = [(true, "breaks"), (false, "simd"), (true, "breaks")].map(|(fast, expected)| {
        both.backend().prefer(fast, "as the test likes");
        let found = block_on(both.tag(NOTE, Default::default())).expect("tags").engine.backend;
        assert_eq!(found, expected);
        found
    });
    assert_ne!(names[0], names[1]);
    let alone = tagger(Fallback::<Breaks, _>::without(SimdBackend::scalar(), "no adapter"));
    alone.backend().prefer(true, "there is none");
    assert!(!alone.backend().choice().fast);
    assert_eq!(block_on(alone.tag(NOTE, Default::default())).expect("tags").engine.backend, "simd");
}

/// Another thread may have given the engine up between the failure of a pass and the question what to do about it.
#[test]
fn threads_that_fail_together_all_go_on_and_one_tells() {
    let alone = Tagger::load(SimdBackend::scalar(), &fixture("bert-bio")).expect("loads").with_window(16, 4);
    let expected = block_on(alone.tag(NOTE, Default::default())).expect("tags");
    let mut all = 0;
    for operations in (60..360).step_by(10) {
        let told = Arc::new(AtomicUsize::new(0));
        let heard = Arc::clone(&told);
        let engine = Fallback::new(Breaks::after(operations), SimdBackend::scalar(), "for a test");
        let engine = engine.telling(move |choice| {
            assert!(!choice.fast);
            heard.fetch_add(1, Ordering::Relaxed);
        });
        let tagger = Tagger::load(engine, &fixture("bert-bio")).expect("loads").with_window(16, 4);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let tagging = block_on(tagger.tag(NOTE, Default::default())).expect("tags");
                    assert_eq!(tagging.entities, expected.entities, "{operations} operations");
                });
            }
        });
        let broke = usize::from(!tagger.backend().choice().fast);
        assert_eq!(told.load(Ordering::Relaxed), broke, "{operations} operations");
        all += broke;
    }
    assert!(all > 5, "{all} runs broke");
}

#[test]
fn two_engines_that_fail_are_a_failure() {
    for operations in 1..80 {
        let engine = Fallback::new(Breaks::after(operations), Breaks::after(60), "for a test");
        let tags = |engine| -> Result<()> {
            let tagger = Tagger::load(engine, &fixture("bert-bio"))?;
            block_on(tagger.tag(&NOTE.repeat(10), Default::default())).map(drop)
        };
        assert_eq!(tags(engine).expect_err("nothing computes").kind(), ErrorKind::Backend, "{operations}");
    }
}
