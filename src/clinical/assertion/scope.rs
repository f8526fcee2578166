//! Which cues reach which mentions.
//!
//! The cues of a sentence and the words that end their reach are found once; each mention then looks from its own words
//! outwards, back for cues before it and on for those behind it, no further than [`MOST`] words: so time is linear in the
//! note, whatever it repeats. Of the cues of one kind on one side the nearest counts.

use std::ops::Range;

use super::rules::{ContextRules, Effect};
use super::{Assertion, Cue, CueKind};
use crate::clinical::words::Words;
use crate::clinical::{Finding, Mention, Reading};

/// How far a mention looks, in words: the longest reach and the longest phrases with it.
const MOST: usize = 48;
/// How many words may stand between a part of a list and the comma behind it, before a clause and not the list goes on.
const TAIL: usize = 3;

/// What is said of each mention.
pub(in crate::clinical) fn judge(
    context: &ContextRules,
    note: &str,
    reading: &Reading,
    mentions: &[Mention<'_>],
) -> Vec<Finding> {
    let words = Words::of(note, &reading.placeholders, context.phrases());
    let mut judge = Judge { context, note, words, signals: Vec::new(), mentioned: Vec::new() };
    judge.find_signals(&reading.sentences);
    judge.mentioned = vec![false; judge.words.ranges.len()];
    for mention in mentions {
        let words = judge.words.within(&mention.range);
        judge.mentioned[words].fill(true);
    }
    mentions.iter().map(|mention| judge.finding(reading, &mention.range)).collect()
}

/// A phrase of a rule in the note.
struct Signal {
    /// Among the words of the note.
    words: Range<usize>,
    rule: u32,
}

struct Judge<'a> {
    context: &'a ContextRules,
    note: &'a str,
    words: Words,
    /// In order, apart from each other.
    signals: Vec<Signal>,
    /// Whether each word is part of a mention.
    mentioned: Vec<bool>,
}

impl Judge<'_> {
    fn find_signals(&mut self, sentences: &[Range<usize>]) {
        for sentence in sentences {
            let Range { start, end } = self.words.within(sentence);
            let mut at = start;
            while at < end {
                match self.context.phrases().longest(&self.words.ids[at..end]) {
                    Some((length, rule)) => {
                        self.signals.push(Signal { words: at..at + length, rule });
                        at += length;
                    }
                    None => at += 1,
                }
            }
        }
    }

    fn finding(&self, reading: &Reading, range: &Range<usize>) -> Finding {
        let holds = |ranges: &[Range<usize>]| {
            let at = ranges.partition_point(|other| other.end <= range.start);
            ranges.get(at).filter(|other| other.start <= range.start).map(|_| at)
        };
        let sentence = holds(&reading.sentences);
        let section = reading.sections.partition_point(|section| section.range.start <= range.start).checked_sub(1);
        let section = section.filter(|&at| range.start < reading.sections[at].range.end);
        let mut assertion = Assertion::default();
        if let Some(section) = section.map(|at| &reading.sections[at])
            && let (Some(kind), Some(rule)) = (section.says, &section.rule)
            && section.title.end <= range.start
        {
            assertion.add(Cue { range: section.title.clone(), rule: rule.clone(), kind });
        }
        if let Some(sentence) = sentence {
            let within = self.words.within(&reading.sentences[sentence]);
            let mut found = self.cues(within, self.words.within(range));
            found.retain(|cue| assertion.cues.iter().all(|heading| heading.range.end <= cue.range.start));
            found.into_iter().for_each(|cue| assertion.add(cue));
            assertion.cues.sort_by_key(|cue| cue.range.start);
        }
        Finding { assertion, section, sentence }
    }

    /// The cues that reach the words of a mention from within its sentence.
    fn cues(&self, sentence: Range<usize>, mention: Range<usize>) -> Vec<Cue> {
        let mut before = Side::default();
        let first = sentence.start.max(mention.start.saturating_sub(MOST));
        let known = self.signals.partition_point(|signal| signal.words.end <= mention.start);
        for signal in self.signals[..known].iter().rev().take_while(|signal| signal.words.start >= first) {
            self.look(&mut before, signal, true, signal.words.end..mention.start);
        }
        let mut behind = Side::default();
        let last = sentence.end.min(mention.end + MOST);
        let known = self.signals.partition_point(|signal| signal.words.start < mention.end);
        for signal in self.signals[known..].iter().take_while(|signal| signal.words.end <= last) {
            self.look(&mut behind, signal, false, mention.end..signal.words.start);
        }
        before.found.into_iter().chain(behind.found).collect()
    }

    /// Takes a signal over, whose reach would have to cover the words of `gap`.
    fn look(&self, side: &mut Side, signal: &Signal, before: bool, gap: Range<usize>) {
        let rule = self.context.rule(signal.rule);
        match &rule.effect {
            Effect::Pseudo => {}
            Effect::End(kinds) => side.ended.extend(kinds),
            Effect::Cue { kind, forward, backward } => {
                let reach = if before { *forward } else { *backward };
                let Some(reach) = reach else { return };
                let apart =
                    self.comma_at(if before { signal.words.start.wrapping_sub(1) } else { gap.end.wrapping_sub(1) });
                if gap.len() > reach || side.ended.contains(kind) || !self.is_list(*kind, gap) {
                    return;
                }
                match kind {
                    CueKind::Possible if apart && !before => return,
                    CueKind::Possible if apart => side.ended.push(CueKind::Negated),
                    CueKind::Negated => side.ended.extend([CueKind::Possible, CueKind::Historical]),
                    _ => {}
                }
                side.ended.push(*kind); // the nearest counts
                let ranges = &self.words.ranges[signal.words.clone()];
                let range = ranges.first().map_or(0, |word| word.start)..ranges.last().map_or(0, |word| word.end);
                side.found.push(Cue { range, rule: rule.id.clone(), kind: *kind });
            }
        }
    }

    fn comma_at(&self, word: usize) -> bool {
        self.words.ranges.get(word).is_some_and(|range| &self.note[range.clone()] == ",")
    }

    /// Whether a denial goes on through the words between: at each comma a part of a list must just have ended.
    fn is_list(&self, kind: CueKind, gap: Range<usize>) -> bool {
        if !matches!(kind, CueKind::Negated | CueKind::Possible) {
            return true;
        }
        let mut tail = 0;
        for word in gap {
            if self.comma_at(word) {
                if tail > TAIL {
                    return false;
                }
                tail = 0;
            } else {
                tail = if self.mentioned[word] { 0 } else { tail + 1 };
            }
        }
        true
    }
}

/// What is known on one side of a mention.
#[derive(Default)]
struct Side {
    /// Kinds that no cue further out can say.
    ended: Vec<CueKind>,
    found: Vec<Cue>,
}
