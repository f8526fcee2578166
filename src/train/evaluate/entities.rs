//! The model on documents whose entities are known, read off exactly as the product reads them off.

use std::ops::Range;

use crate::backend::Backend;
use crate::clinical::placeholders;
use crate::error::Result;
use crate::models::{Batch, TokenClassification};
use crate::text::decode::{Aggregation, Decoding, decode};
use crate::text::labels::Labels;
use crate::text::{Encoding, Tokenizer, windows};
use crate::train::metrics::{Mode, Report, Scorer, words};
use crate::train::readers::{DataSet, Document};

/// Documents to be scored on.
pub struct Exam {
    questions: Vec<Question>,
    labels: Labels,
    special: (u32, u32),
    max_length: usize,
    stride: usize,
}

struct Question {
    document: Document,
    encoding: Encoding,
    words: Vec<Range<usize>>,
    marked: Vec<String>,
}

/// How the model did.
pub struct Scores {
    /// As the product decodes: the mean over the pieces of a word, legal sequences, transitions. What chooses the best.
    pub decoded: Report,
    /// The likeliest label of the first piece of each word, for comparison with others.
    pub plain: Report,
}

impl Exam {
    /// Of no documents yet. `labels` may carry transitions.
    pub fn new(tokenizer: &Tokenizer, labels: Labels, max_length: usize, stride: usize) -> Self {
        let special = (tokenizer.cls_id(), tokenizer.sep_id());
        Self { questions: Vec::new(), labels, special, max_length, stride }
    }

    /// Adds the documents of a set; only types that the set marks are scored on them.
    pub fn add(&mut self, documents: Vec<Document>, set: &DataSet, tokenizer: &Tokenizer) {
        let marked: Vec<_> = self.labels.types().iter().filter(|kind| set.marks(kind)).cloned().collect();
        self.questions.extend(documents.into_iter().map(|document| {
            let encoding = tokenizer.encode_around(&document.text, &placeholders::find(&document.text));
            Question { words: words(&encoding), document, encoding, marked: marked.clone() }
        }));
    }

    /// Whether there is nothing to be scored on.
    pub fn is_empty(&self) -> bool {
        self.questions.is_empty()
    }

    /// Word-level strict scores by an engine that is not training.
    ///
    /// # Errors
    /// A failure of the engine.
    pub fn score<B: Backend>(&self, backend: &B, model: &TokenClassification<B>) -> Result<Scores> {
        let (mut decoded, mut plain) = (Scorer::new(Mode::StrictIob2), Scorer::new(Mode::StrictIob2));
        for question in &self.questions {
            let logits = self.logits(backend, model, &question.encoding)?;
            self.read(&mut decoded, question, &logits, Aggregation::Average, Decoding::Viterbi)?;
            self.read(&mut plain, question, &logits, Aggregation::First, Decoding::Argmax)?;
        }
        Ok(Scores { decoded: decoded.report(), plain: plain.report() })
    }

    /// Logits of a whole document, `[pieces, labels]`, each from the window that judges it.
    fn logits<B: Backend>(&self, backend: &B, model: &TokenClassification<B>, encoding: &Encoding) -> Result<Vec<f32>> {
        let (n, (cls_id, sep_id)) = (self.labels.len(), self.special);
        let mut logits = Vec::with_capacity(encoding.len() * n);
        let windows = windows::cut(encoding, self.max_length, self.stride)?;
        for some in windows.chunks(16) {
            let ids: Vec<Vec<u32>> = some
                .iter()
                .map(|window| [&[cls_id], &encoding.input_ids[window.pieces.clone()], &[sep_id]].concat())
                .collect();
            let batch = Batch::new(ids.iter().map(Vec::as_slice));
            let rows = batch.lengths.clone();
            let y = model.forward(backend, &batch)?; // [R, labels]
            let y = pollster::block_on(backend.to_host(&y))?;
            for (window, rows) in some.iter().zip(rows.ranges()) {
                let row = |piece: usize| (rows.start + 1 + piece - window.pieces.start) * n;
                logits.extend_from_slice(&y[row(window.kept.start)..row(window.kept.end)]);
            }
        }
        Ok(logits)
    }

    fn read(
        &self,
        scorer: &mut Scorer,
        question: &Question,
        logits: &[f32],
        aggregation: Aggregation,
        decoding: Decoding,
    ) -> Result<()> {
        let spans = decode(&self.labels, logits, &question.encoding, aggregation, decoding)?;
        let types = self.labels.types();
        let found: Vec<_> = spans.iter().map(|span| (span.start..span.end, types[span.label].as_str())).collect();
        let marks = |kind: &str| question.marked.iter().any(|known| known == kind);
        scorer.add_spans(&question.words, &question.document.spans, &found, marks);
        Ok(())
    }
}
