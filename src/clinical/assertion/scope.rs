//! Which cues reach which mentions.
//!
//! The cues of a sentence and the words that end their reach are found once; each mention then looks from its own words
//! outwards, back for cues before it and on for those behind it, no further than [`MOST`] words: so time is linear in the
//! note, whatever it repeats. Of the cues of one kind on one side the nearest counts.

use std::ops::Range;

use super::rules::{ContextRules, Effect, Spared};
use super::{Assertion, Cue, CueKind};
use crate::clinical::words::Words;
use crate::clinical::{Finding, Mention, Reading};

/// How far a mention looks, in words: the longest reach and the longest phrases with it.
const MOST: usize = 48;
/// How many words may stand between a mention and the comma behind it, if a list and not a clause goes on there.
const TAIL: usize = 3;
/// The same for the words before the first mention.
const HEAD: usize = 8;
/// A cue that reaches no further than so many words behind it belongs to its noun, as an adjective does.
const ADJECTIVE: usize = 3;

/// What is said of each mention.
pub(in crate::clinical) fn judge(
    context: &ContextRules,
    note: &str,
    reading: &Reading,
    mentions: &[Mention<'_>],
) -> Vec<Finding> {
    let words = Words::of(note, &reading.placeholders, context.phrases());
    let mut judge = Judge { context, note, words, signals: Vec::new(), mentioned: Vec::new() };
    judge.mentioned = vec![false; judge.words.ranges.len()];
    for mention in mentions {
        let words = judge.words.within(&mention.range);
        judge.mentioned[words].fill(true);
    }
    judge.find_signals(&reading.sentences);
    mentions.iter().map(|mention| judge.finding(reading, mention)).collect()
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
                match self.phrase(at, end) {
                    Some((length, rule)) => {
                        self.signals.push(Signal { words: at..at + length, rule });
                        at += length;
                    }
                    None => at += 1,
                }
            }
        }
    }

    /// The longest phrase at a word. One that would run into a mention is cut off before it: of `no symptoms of <gout>` all
    /// is the cue, of `no <symptoms of gout>` its first word. One that says nothing is cut off for a denial only: `no <change
    /// in vision>`, but `history of present <illness>`.
    fn phrase(&self, at: usize, end: usize) -> Option<(usize, u32)> {
        let phrases = self.context.phrases();
        let (length, rule) = phrases.longest(&self.words.ids[at..end])?;
        if length > 1 && self.text(at) == ":" && !self.is_answer(at + length, end) {
            return phrases.longest(&self.words.ids[at..=at]);
        }
        let free = self.mentioned[at..at + length].iter().take_while(|&&mentioned| !mentioned).count();
        if free == 0 || free == length {
            return Some((length, rule));
        }
        let cut = phrases.longest(&self.words.ids[at..at + free]);
        let denies = |rule: u32| {
            let effect = &self.context.rule(rule).effect;
            matches!(effect, Effect::Cue { kind: CueKind::Negated, forward: Some(_), .. })
        };
        match self.context.rule(rule).effect {
            Effect::Pseudo if !cut.is_some_and(|(_, rule)| denies(rule)) => Some((length, rule)),
            _ => cut,
        }
    }

    /// Whether what stands behind a colon, up to here, is all that is said there: `fever: no`, not `fever: no more`.
    fn is_answer(&self, behind: usize, end: usize) -> bool {
        behind >= end || matches!(self.text(behind), "," | "." | ";" | ")" | "|")
    }

    fn finding(&self, reading: &Reading, mention: &Mention<'_>) -> Finding {
        let range = &mention.range;
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
            let mut found = self.cues(within, self.words.within(range), self.context.spared(mention.label));
            found.retain(|cue| assertion.cues.iter().all(|heading| heading.range.end <= cue.range.start));
            found.into_iter().for_each(|cue| assertion.add(cue));
        }
        Finding { assertion, section, sentence, ..Finding::default() }
    }

    /// The cues that reach the words of a mention from within its sentence, in order of place.
    fn cues(&self, sentence: Range<usize>, mention: Range<usize>, spared: Option<&Spared>) -> Vec<Cue> {
        let mut before = Side { spared, ..Side::default() };
        let first = sentence.start.max(mention.start.saturating_sub(MOST));
        let known = self.signals.partition_point(|signal| signal.words.end <= mention.start);
        for signal in self.signals[..known].iter().rev().take_while(|signal| signal.words.start >= first) {
            self.look(&mut before, signal, true, signal.words.end..mention.start);
        }
        let mut behind = Side { spared, ..Side::default() };
        let last = sentence.end.min(mention.end + MOST);
        let known = self.signals.partition_point(|signal| signal.words.start < mention.end);
        for signal in self.signals[known..].iter().take_while(|signal| signal.words.end <= last) {
            self.look(&mut behind, signal, false, mention.end..signal.words.start);
        }
        before.found.into_iter().rev().chain(behind.found).collect()
    }

    /// Takes a signal over, whose reach would have to cover the words of `gap`.
    fn look(&self, side: &mut Side<'_>, signal: &Signal, before: bool, gap: Range<usize>) {
        let rule = self.context.rule(signal.rule);
        match &rule.effect {
            Effect::End(kinds) if self.ends(signal, before) => side.ended.extend(kinds),
            Effect::End(_) | Effect::Pseudo | Effect::Spare(_) => {}
            Effect::Cue { kind, act, forward, backward } => {
                let reach = if before { *forward } else { *backward };
                let spared =
                    side.spared.is_some_and(|spared| if *act { spared.acts } else { spared.kinds.contains(kind) });
                let free = !spared && !side.ended.contains(kind);
                if reach.is_some_and(|reach| free && self.reaches(*kind, reach, before, gap.clone()))
                    && self.changes(side, *kind, signal, before, &gap)
                {
                    side.ended.push(*kind); // the nearest counts
                    let ranges = &self.words.ranges[signal.words.clone()];
                    let range = ranges.first().map_or(0, |word| word.start)..ranges.last().map_or(0, |word| word.end);
                    side.found.push(Cue { range, rule: rule.id.clone(), kind: *kind });
                }
            }
        }
    }

    /// Whether a cue reaches over the words between it and a mention.
    fn reaches(&self, kind: CueKind, reach: usize, before: bool, gap: Range<usize>) -> bool {
        let adjective = reach == 0 || before && reach <= ADJECTIVE;
        (!adjective || self.is_adjective(reach, gap.clone())) && self.distance(&gap) <= reach && self.is_list(kind, gap)
    }

    /// What a cue that reaches a mention does to the others on its side; whether it counts itself.
    fn changes(&self, side: &mut Side<'_>, kind: CueKind, signal: &Signal, before: bool, gap: &Range<usize>) -> bool {
        let joint = self.text(if before { signal.words.start.wrapping_sub(1) } else { gap.end.wrapping_sub(1) });
        match kind {
            // `effusion and possible pneumonia`: the doubt is of what stands behind it.
            CueKind::Possible if matches!(joint, "," | "and" | "with") => {
                side.ended.extend(before.then_some(CueKind::Negated));
                return before;
            }
            CueKind::Possible => side.doubt = Some(signal.words.start),
            CueKind::Negated => {
                // What is not suspected is not possible: `no mass suspicious for cancer`.
                if before && side.doubt.is_some_and(|doubt| doubt <= signal.words.end + HEAD) {
                    side.found.retain(|cue| cue.kind != CueKind::Possible);
                }
                side.ended.extend([CueKind::Possible, CueKind::Historical]);
            }
            _ => {}
        }
        true
    }

    /// Whether words that end a reach do so here: not right behind a denial (`no reported cases`), and those that join
    /// clauses not between a list and what is said behind it (`a fever and a rash were denied`).
    fn ends(&self, signal: &Signal, before: bool) -> bool {
        if !before {
            return !matches!(self.text(signal.words.end - 1), "a" | "an" | "which" | ":");
        }
        let last = self.signals.partition_point(|other| other.words.end <= signal.words.start);
        let cue = last.checked_sub(1).map(|last| &self.signals[last]);
        !cue.is_some_and(|cue| {
            let effect = &self.context.rule(cue.rule).effect;
            let denies = matches!(effect, Effect::Cue { kind: CueKind::Negated, act: false, forward: Some(_), .. });
            let word = self.text(signal.words.start);
            let short = signal.words.len() == 1 && word != ";" || matches!(word, "had" | "has");
            denies && short && cue.words.end == signal.words.start
        })
    }

    /// Whether a denial goes on through the words between: at each comma a part of a list must just have ended.
    fn is_list(&self, kind: CueKind, gap: Range<usize>) -> bool {
        if !matches!(kind, CueKind::Negated | CueKind::Possible) {
            return true;
        }
        let (mut tail, mut most) = (0, HEAD);
        for word in gap.clone() {
            if self.mentioned[word] {
                (tail, most) = (0, TAIL);
            } else if self.text(word) != "," {
                tail += 1;
            } else if tail > most && !(word + 1 < gap.end && matches!(self.text(word + 1), "or" | "nor")) {
                return false;
            } else {
                tail = 0;
            }
        }
        true
    }

    /// Whether a mention behind an adjective belongs to it: no comma or bracket stands between, and with a reach of 0 nothing
    /// at all, not even another mention: `non-Hodgkin lymphoma, melanoma`.
    fn is_adjective(&self, reach: usize, mut gap: Range<usize>) -> bool {
        if reach == 0 { gap.is_empty() } else { gap.all(|word| !matches!(self.text(word), "," | "(" | ")")) }
    }

    /// Words between that belong to no mention and join none.
    fn distance(&self, gap: &Range<usize>) -> usize {
        let joins = |text: &str| matches!(text, "," | "(" | ")" | "/" | "and" | "or" | "-");
        gap.clone().filter(|&word| !self.mentioned[word] && !joins(self.text(word))).count()
    }

    fn text(&self, word: usize) -> &str {
        self.words.ranges.get(word).map_or("", |range| &self.note[range.clone()])
    }
}

/// What is known on one side of a mention.
#[derive(Default)]
struct Side<'a> {
    /// What does not touch the label of the mention.
    spared: Option<&'a Spared>,
    /// Kinds that no cue further out can say.
    ended: Vec<CueKind>,
    found: Vec<Cue>,
    /// The first word of what says that the mention is only possible.
    doubt: Option<usize>,
}
