//! Logits become spans.
//!
//! The strategies are those of `TokenClassificationPipeline` of Hugging Face transformers: `simple` reads the pieces
//! themselves; `first`, `average` and `max` first make one distribution a word, so that no entity ends inside a word.
//! Then the labels are read from left to right, and a part that continues nothing begins an entity of its own.
//!
//! Axes: `P` pieces, `L` labels.

use std::ops::Range;

use serde::Deserialize;

use super::Encoding;
use super::labels::{Labels, Tag};
use crate::error::{Error, ErrorKind, Result};

/// How pieces become entities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Aggregation {
    /// Every piece that is not `O` is a span.
    None,
    /// Pieces with their own labels; entities may end inside a word.
    Simple,
    /// A word has the distribution of its first piece.
    First,
    /// A word has the mean of the distributions of its pieces.
    Average,
    /// A word has the distribution of its surest piece.
    Max,
}

impl Aggregation {
    /// All, in the order of their names in Hugging Face's documentation.
    pub const ALL: [Self; 5] = [Self::None, Self::Simple, Self::First, Self::Average, Self::Max];

    /// Hugging Face's name: `none`, `simple`, `first`, `average`, `max`.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Simple => "simple",
            Self::First => "first",
            Self::Average => "average",
            Self::Max => "max",
        }
    }
}

/// How a label is chosen for each word (or piece).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoding {
    /// The likeliest label of each; what does not fit together is repaired when read.
    Argmax,
    /// The likeliest sequence of labels in which each may follow the one before it, counting how well they follow
    /// each other where the model says so ([`Labels::with_transitions`]).
    Viterbi,
}

/// A part of the note with a meaning.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
    /// The type, as an index into [`Labels::types`].
    pub label: usize,
    /// The label of its first word or piece, as an index into [`Labels::names`].
    pub tag: usize,
    /// The mean over its words (or pieces) of the probability of the label chosen there.
    pub score: f32,
}

/// Turns `logits` `[P, L]` of a whole note into spans: sorted, not empty, without white space at their edges, and,
/// but for [`Aggregation::None`], not overlapping. Neutral pieces are looked through: a span may go on behind them, but
/// none begins or ends in one.
///
/// # Errors
/// [`ErrorKind::Input`] when the shapes do not fit together, [`ErrorKind::Backend`] when a logit is not finite.
pub fn decode(
    labels: &Labels,
    logits: &[f32],
    encoding: &Encoding,
    aggregation: Aggregation,
    decoding: Decoding,
) -> Result<Vec<Span>> {
    check(labels, logits, encoding)?;
    let mut units: Vec<Range<usize>> = match aggregation {
        Aggregation::None | Aggregation::Simple => (0..encoding.len()).map(|at| at..at + 1).collect(),
        Aggregation::First | Aggregation::Average | Aggregation::Max => encoding.words.clone(),
    };
    if !encoding.neutral.is_empty() {
        units.retain(|unit| encoding.neutral.binary_search(&unit.start).is_err());
    }
    let mut scratch = Vec::new();
    let mut row = |unit: usize, out: &mut Vec<f32>| {
        distribution(
            &logits[units[unit].start * labels.len()..units[unit].end * labels.len()],
            aggregation,
            out,
            &mut scratch,
            labels.len(),
        );
    };
    let chosen = match decoding {
        Decoding::Argmax => argmax(units.len(), &mut row),
        Decoding::Viterbi => viterbi(labels, units.len(), &mut row),
    };
    let mut reader = Reader { labels, split: aggregation == Aggregation::None, spans: Vec::new(), open: None };
    let mut probabilities = Vec::new();
    for (at, (unit, &column)) in units.iter().zip(&chosen).enumerate() {
        row(at, &mut probabilities);
        let place = encoding.offsets[unit.start].start..encoding.offsets[unit.end - 1].end;
        reader.read(column, probabilities[column], place);
    }
    Ok(reader.finish())
}

fn check(labels: &Labels, logits: &[f32], encoding: &Encoding) -> Result<()> {
    let refuse = |message: String| Err(Error::new(ErrorKind::Input, message));
    let (pieces, columns) = (encoding.len(), labels.len());
    if logits.len() != pieces * columns {
        return refuse(format!("logits: expected [{pieces}, {columns}], found {} values", logits.len()));
    }
    let mut next = 0;
    for word in &encoding.words {
        if word.start != next || word.end <= word.start {
            return refuse(format!("encoding: expected a word from piece {next}, found {word:?}"));
        }
        next = word.end;
    }
    if next != pieces || encoding.offsets.len() != pieces {
        let offsets = encoding.offsets.len();
        return refuse(format!("encoding: {pieces} ids, {offsets} offsets, words of {next} pieces"));
    }
    match logits.iter().position(|value| !value.is_finite()) {
        Some(at) => {
            let message = format!("logits: the value at [{}, {}] is not finite", at / columns, at % columns);
            Err(Error::new(ErrorKind::Backend, message))
        }
        None => Ok(()),
    }
}

/// The probabilities `[L]` of one unit, from the logits of its pieces.
fn distribution(logits: &[f32], aggregation: Aggregation, out: &mut Vec<f32>, piece: &mut Vec<f32>, columns: usize) {
    let mut rows = logits.chunks_exact(columns);
    softmax(rows.next().unwrap_or_default(), out);
    match aggregation {
        Aggregation::None | Aggregation::Simple | Aggregation::First => {}
        Aggregation::Average => {
            for row in rows {
                softmax(row, piece);
                out.iter_mut().zip(piece.iter()).for_each(|(sum, p)| *sum += p);
            }
            let count = (logits.len() / columns) as f32;
            out.iter_mut().for_each(|sum| *sum /= count);
        }
        Aggregation::Max => {
            for row in rows {
                softmax(row, piece);
                if piece[largest(piece)] > out[largest(out)] {
                    std::mem::swap(out, piece);
                }
            }
        }
    }
}

fn softmax(logits: &[f32], out: &mut Vec<f32>) {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    out.clear();
    out.extend(logits.iter().map(|logit| (logit - most).exp()));
    let sum: f32 = out.iter().sum();
    out.iter_mut().for_each(|p| *p /= sum);
}

/// The first of the largest.
fn largest(values: &[f32]) -> usize {
    let mut best = 0;
    for (at, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = at;
        }
    }
    best
}

fn argmax(units: usize, row: &mut impl FnMut(usize, &mut Vec<f32>)) -> Vec<usize> {
    let mut probabilities = Vec::new();
    let mut choose = |unit| {
        row(unit, &mut probabilities);
        largest(&probabilities)
    };
    (0..units).map(&mut choose).collect()
}

/// The sequence of labels with the largest product of probabilities (and transition scores) among those in which each
/// may follow the one before it. There is always one: `O` throughout.
fn viterbi(labels: &Labels, units: usize, row: &mut impl FnMut(usize, &mut Vec<f32>)) -> Vec<usize> {
    let columns = labels.len();
    let score = |before, after| labels.transition(before, after).map(|score| (before, f64::from(score)));
    let before: Vec<Vec<(usize, f64)>> =
        (0..columns).map(|after| (0..columns).filter_map(|before| score(before, after)).collect()).collect();
    let mut best = vec![f64::NEG_INFINITY; columns]; // of all sequences that end in each label
    let mut came_from: Vec<u16> = Vec::with_capacity(units * columns); // [units, L]
    let (mut probabilities, mut next) = (Vec::new(), Vec::with_capacity(columns));
    for unit in 0..units {
        row(unit, &mut probabilities);
        next.clear();
        for (column, p) in probabilities.iter().enumerate() {
            let mut from = (0, f64::NEG_INFINITY);
            if unit == 0 {
                from.1 = if labels.follows(None, Some(column)) { 0.0 } else { f64::NEG_INFINITY };
            } else {
                for &(earlier, score) in &before[column] {
                    let sum = best[earlier] + score;
                    from = if sum > from.1 { (earlier, sum) } else { from };
                }
            }
            came_from.push(from.0 as u16);
            // A probability that underflowed to 0 is very small, not impossible: the logits were finite.
            next.push(from.1 + f64::from(p.max(f32::MIN_POSITIVE)).ln());
        }
        std::mem::swap(&mut best, &mut next);
    }
    let mut last = None;
    for column in (0..columns).filter(|&column| labels.follows(Some(column), None)) {
        last = if last.is_none_or(|other: usize| best[column] > best[other]) { Some(column) } else { last };
    }
    let mut chosen = vec![0; units];
    let mut column = last.unwrap_or(0);
    for unit in (0..units).rev() {
        chosen[unit] = column;
        column = usize::from(came_from[unit * columns + column]);
    }
    chosen
}

/// Reads labels from left to right.
struct Reader<'a> {
    labels: &'a Labels,
    /// Every part is a span of its own.
    split: bool,
    spans: Vec<Span>,
    /// The span that the next part may continue: its score is still a sum, over this many parts.
    open: Option<(Span, usize)>,
}

impl Reader<'_> {
    fn read(&mut self, column: usize, score: f32, place: Range<usize>) {
        let tag = self.labels.tags()[column];
        let Some(label) = tag.kind() else { return self.close() };
        let continues = matches!(tag, Tag::Inside(_) | Tag::End(_)) && !self.split;
        match &mut self.open {
            Some((span, parts)) if continues && span.label == label => {
                span.end = span.end.max(place.end);
                span.score += score;
                *parts += 1;
            }
            _ => {
                self.close();
                self.open = Some((Span { start: place.start, end: place.end, label, tag: column, score }, 1));
            }
        }
        if self.split || matches!(tag, Tag::End(_) | Tag::Single(_)) {
            self.close();
        }
    }

    fn close(&mut self) {
        let Some((mut span, parts)) = self.open.take() else { return };
        span.score /= parts as f32;
        // Pieces of one character (the jamo of a Hangul syllable) share its place: the first span has it.
        if !self.split {
            span.start = span.start.max(self.spans.last().map_or(0, |before| before.end));
        }
        if span.start < span.end {
            self.spans.push(span);
        }
    }

    fn finish(mut self) -> Vec<Span> {
        self.close();
        self.spans
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(names: &str) -> Labels {
        Labels::new(names.split_whitespace().map(String::from).collect()).unwrap()
    }

    /// Words of one piece, five bytes apart, unless `words` says otherwise.
    fn encoding(words: &[usize]) -> Encoding {
        let mut encoding = Encoding::default();
        for &length in words {
            let from = encoding.len();
            for _ in 0..length {
                let at = encoding.len() * 5;
                encoding.offsets.push(at..at + 4);
                encoding.input_ids.push(9);
            }
            encoding.words.push(from..from + length);
        }
        encoding
    }

    /// Logits that make each of the named labels the likeliest.
    fn logits(labels: &Labels, tags: &[&str]) -> Vec<f32> {
        let row = |tag: &&str| {
            let column = labels.index_of(tag).unwrap();
            (0..labels.len()).map(move |at| if at == column { 3.0 } else { 0.0 })
        };
        tags.iter().flat_map(row).collect()
    }

    #[test]
    fn labels_are_read_and_repaired() {
        struct Case {
            scheme: &'static str,
            tags: &'static str,
            expected: &'static str,
        }
        const BIO: &str = "O B-X I-X B-Y I-Y";
        const BIOES: &str = "O B-X I-X E-X S-X B-Y I-Y E-Y S-Y";
        // Expected: first word, word after the last, type.
        let cases = [
            Case { scheme: BIO, tags: "", expected: "" },
            Case { scheme: BIO, tags: "O O", expected: "" },
            Case { scheme: BIO, tags: "B-X I-X O B-Y", expected: "0-2X 3-4Y" },
            Case { scheme: BIO, tags: "B-X B-X", expected: "0-1X 1-2X" },
            Case { scheme: BIO, tags: "O I-X I-X", expected: "1-3X" },
            Case { scheme: BIO, tags: "B-X I-Y I-Y", expected: "0-1X 1-3Y" },
            Case { scheme: BIO, tags: "I-X B-X I-X", expected: "0-1X 1-3X" },
            Case { scheme: BIOES, tags: "S-X B-X I-X E-X", expected: "0-1X 1-4X" },
            Case { scheme: BIOES, tags: "B-X E-X I-X", expected: "0-2X 2-3X" },
            Case { scheme: BIOES, tags: "E-X E-X", expected: "0-1X 1-2X" },
            Case { scheme: BIOES, tags: "B-X O I-X E-X", expected: "0-1X 2-4X" },
            Case { scheme: BIOES, tags: "B-X S-X I-X", expected: "0-1X 1-2X 2-3X" },
            Case { scheme: BIOES, tags: "B-X E-Y", expected: "0-1X 1-2Y" },
        ];
        let mut failed = Vec::new();
        for Case { scheme, tags, expected } in cases {
            let labels = labels(scheme);
            let tags: Vec<&str> = tags.split_whitespace().collect();
            let encoding = encoding(&vec![1; tags.len()]);
            for aggregation in &Aggregation::ALL[1..] {
                let logits = logits(&labels, &tags);
                let spans = decode(&labels, &logits, &encoding, *aggregation, Decoding::Argmax).unwrap();
                let found: Vec<_> = spans
                    .iter()
                    .map(|s| format!("{}-{}{}", s.start / 5, s.end.div_ceil(5), labels.types()[s.label]))
                    .collect();
                if found.join(" ") != expected {
                    failed.push(format!("{tags:?} {aggregation:?}: {found:?}"));
                }
            }
        }
        assert!(failed.is_empty(), "{failed:#?}");
    }

    #[test]
    fn neutral_pieces_are_looked_through() {
        let labels = labels("O B-X I-X B-Y I-Y");
        // Logits of a neutral piece, whatever they are, change nothing.
        let cases = [
            ("B-X B-Y I-X", vec![1], "0-14X"),
            ("B-X O O", vec![1], "0-4X"),
            ("O B-X O", vec![1], ""),
            ("B-X B-X O", vec![0], "5-9X"),
            ("B-X I-X I-X", vec![2], "0-9X"),
            ("B-Y B-Y", vec![0, 1], ""),
        ];
        let mut failed = Vec::new();
        for (tags, neutral, expected) in cases {
            let tags: Vec<&str> = tags.split_whitespace().collect();
            let encoding = Encoding { neutral, ..encoding(&vec![1; tags.len()]) };
            for (aggregation, decoding) in
                Aggregation::ALL[1..].iter().flat_map(|a| [(*a, Decoding::Argmax), (*a, Decoding::Viterbi)])
            {
                let spans = decode(&labels, &logits(&labels, &tags), &encoding, aggregation, decoding).unwrap();
                let found: Vec<_> =
                    spans.iter().map(|s| format!("{}-{}{}", s.start, s.end, labels.types()[s.label])).collect();
                if found.join(" ") != expected {
                    failed.push(format!("{tags:?} {aggregation:?} {decoding:?}: {found:?}"));
                }
            }
        }
        assert!(failed.is_empty(), "{failed:#?}");
    }

    #[test]
    fn scores_are_means_of_probabilities() {
        let labels = labels("O B-X I-X");
        let encoding = encoding(&[2, 1]);
        // Probabilities 0.8 and 0.1 are logits ln 8 and ln 1.
        let ln = |values: [f32; 3]| values.map(f32::ln);
        let logits = [ln([1.0, 8.0, 1.0]), ln([1.0, 1.0, 8.0]), ln([2.0, 2.0, 6.0])].concat();
        let score = |aggregation| {
            let spans = decode(&labels, &logits, &encoding, aggregation, Decoding::Argmax).unwrap();
            spans.iter().map(|span| (span.score * 1000.0).round() / 1000.0).collect::<Vec<_>>()
        };
        assert_eq!(score(Aggregation::None), [0.8, 0.8, 0.6]);
        assert_eq!(score(Aggregation::Simple), [0.733]);
        assert_eq!(score(Aggregation::First), [0.7]);
        assert_eq!(score(Aggregation::Average), [0.525]);
        assert_eq!(score(Aggregation::Max), [0.7]);
    }

    #[test]
    fn none_gives_every_piece_and_its_label() {
        let labels = labels("O B-X I-X");
        let tags = ["B-X", "I-X", "O", "I-X"];
        let spans =
            decode(&labels, &logits(&labels, &tags), &encoding(&[2, 2]), Aggregation::None, Decoding::Argmax).unwrap();
        let found: Vec<_> = spans.iter().map(|s| (s.start, s.end, labels.names()[s.tag].as_str())).collect();
        assert_eq!(found, [(0, 4, "B-X"), (5, 9, "I-X"), (15, 19, "I-X")]);
    }

    #[test]
    fn pieces_of_one_character_make_no_overlap() {
        let labels = labels("O B-X I-X");
        let mut encoding = encoding(&[3]);
        encoding.offsets = vec![0..3, 0..3, 3..6];
        let logits = logits(&labels, &["B-X", "B-X", "B-X"]);
        let spans = decode(&labels, &logits, &encoding, Aggregation::Simple, Decoding::Argmax).unwrap();
        assert_eq!(spans.iter().map(|s| s.start..s.end).collect::<Vec<_>>(), [0..3, 3..6]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let labels = labels("O B-X I-X");
        let good = encoding(&[2, 1]);
        let gap = Encoding { words: good.words[..1].to_vec(), ..good.clone() };
        let empty_word = Encoding { words: vec![0..0, 0..3], ..good.clone() };
        let few_offsets = Encoding { offsets: vec![], ..good.clone() };
        let nan = [&[0.0; 8][..], &[f32::NAN]].concat();
        let cases = [
            ("too few logits", &[0.0; 8][..], &good, ErrorKind::Input),
            ("not a number", &nan, &good, ErrorKind::Backend),
            ("words with a gap", &[0.0; 9], &gap, ErrorKind::Input),
            ("a word of nothing", &[0.0; 9], &empty_word, ErrorKind::Input),
            ("few offsets", &[0.0; 9], &few_offsets, ErrorKind::Input),
        ];
        for (name, logits, encoding, kind) in cases {
            let error = decode(&labels, logits, encoding, Aggregation::First, Decoding::Argmax).expect_err(name);
            assert_eq!(error.kind(), kind, "{name}");
        }
    }

    /// The judge: tries every sequence.
    fn brute_force(labels: &Labels, rows: &[Vec<f32>]) -> f64 {
        let columns = labels.len();
        let mut best = f64::NEG_INFINITY;
        for code in 0..columns.pow(rows.len() as u32) {
            let path: Vec<usize> = (0..rows.len() as u32).map(|at| code / columns.pow(at) % columns).collect();
            best = best.max(score(labels, rows, &path).unwrap_or(f64::NEG_INFINITY));
        }
        best
    }

    /// The logarithm of the probability of a sequence with its transitions; `None` when it is not allowed.
    fn score(labels: &Labels, rows: &[Vec<f32>], path: &[usize]) -> Option<f64> {
        let ends = [None].into_iter().chain(path.iter().copied().map(Some)).chain([None]);
        let ends: Vec<_> = ends.collect();
        let allowed = path.is_empty() || ends.windows(2).all(|pair| labels.follows(pair[0], pair[1]));
        let words: f64 = path.iter().zip(rows).map(|(&column, row)| f64::from(row[column]).ln()).sum();
        let pairs = path.windows(2).filter_map(|pair| labels.transition(pair[0], pair[1]));
        allowed.then(|| words + pairs.map(f64::from).sum::<f64>())
    }

    #[test]
    fn viterbi_finds_what_trying_all_finds() {
        let mut seed = 5u64;
        let mut random = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 40) as f32 / (1 << 24) as f32
        };
        let mut failed = Vec::new();
        for round in 0..300 {
            let (labels, most) =
                if round % 2 == 0 { (labels("O B-X I-X B-Y I-Y"), 6) } else { (labels("I-X O E-X B-X S-X"), 6) };
            let transitions = (0..labels.len() * labels.len()).map(|_| random() * 4.0 - 2.0).collect();
            let labels = if round % 3 == 0 { labels } else { labels.with_transitions(transitions).unwrap() };
            let rows: Vec<Vec<f32>> = (0..round % (most + 1))
                .map(|_| {
                    let mut row = Vec::new();
                    softmax(&(0..labels.len()).map(|_| random() * 6.0).collect::<Vec<_>>(), &mut row);
                    row
                })
                .collect();
            let path = viterbi(&labels, rows.len(), &mut |unit, out: &mut Vec<f32>| out.clone_from(&rows[unit]));
            let (found, expected) = (score(&labels, &rows, &path), brute_force(&labels, &rows));
            if found.is_none_or(|found| (found - expected).abs() > 1e-9) {
                failed.push(format!("round {round}: {path:?} {found:?} {expected}"));
            }
        }
        assert!(failed.is_empty(), "{failed:#?}");
    }

    #[test]
    fn viterbi_prefers_what_fits() {
        let labels = labels("O B-X I-X");
        // O is barely likelier than B-X before a sure I-X.
        let logits = [[1.1, 1.0, 0.0], [0.0, 0.0, 4.0]].concat();
        let tags = |decoding| {
            let spans = decode(&labels, &logits, &encoding(&[1, 1]), Aggregation::First, decoding).unwrap();
            spans.iter().map(|span| (span.start, span.end)).collect::<Vec<_>>()
        };
        assert_eq!(tags(Decoding::Argmax), [(5, 9)]);
        assert_eq!(tags(Decoding::Viterbi), [(0, 9)]);
    }
}
