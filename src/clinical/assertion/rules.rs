//! The rules of context: phrases, what they say, and how far.
//!
//! The form of a line is told in docs/clinical.md.

use super::CueKind;
use crate::clinical::phrases::{Phrases, keep_latest, normal};
use crate::clinical::rows::{self, refuse};
use crate::error::Result;

const SHIPPED: &str = include_str!("context.rules");
/// Words between a cue and a mention where a rule says nothing else.
const REACH: usize = 40;
/// The most phrases that the brackets of one rule may stand for.
const MOST_PHRASES: usize = 2000;

/// Rules and the automaton over their phrases.
pub(in crate::clinical) struct ContextRules {
    rules: Vec<Rule>,
    /// Each phrase in its normal form, and the rule that it belongs to, sorted.
    owners: Vec<(String, u32)>,
    phrases: Phrases,
    /// Labels and what does not touch them; of two equal labels the later counts.
    spared: Vec<(String, Spared)>,
}

pub(super) struct Rule {
    pub(super) id: String,
    pub(super) effect: Effect,
}

/// What does not touch a mention.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Spared {
    /// Cues of these kinds, but those of acts.
    pub(super) kinds: Vec<CueKind>,
    /// Cues of acts.
    pub(super) acts: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Says something of mentions behind it and before it, with at most so many words between; of an act, or of
    /// anything.
    Cue { kind: CueKind, act: bool, forward: Option<usize>, backward: Option<usize> },
    /// Ends the reach of cues of some kinds.
    End(Vec<CueKind>),
    /// Nothing: a longer phrase that hides a shorter one.
    Pseudo,
    /// Cues that do not touch mentions of its labels.
    Spare(Spared),
}

impl Default for ContextRules {
    fn default() -> Self {
        let (rules, owners, phrases, spared) = Default::default();
        let none = Self { rules, owners, phrases, spared };
        none.with(SHIPPED).expect("the rules that ship are read by a test")
    }
}

impl ContextRules {
    /// With the rules of a text; each replaces the rule of the same id and the phrases that it has in common with others.
    pub(in crate::clinical) fn with(mut self, text: &str) -> Result<Self> {
        let first = self.rules.len();
        rows::each(text, ["id", "kind", "direction", "phrase"], |[id, kind, direction, phrase]| {
            match self.rules.iter().rposition(|rule| rule.id == id) {
                Some(old) if old >= first => {
                    return Err(refuse(format!(
                        "the id {id:?} stands on an earlier line, too: give each rule its own"
                    )));
                }
                Some(old) => self.owners.retain(|(_, owner)| *owner != old as u32),
                None => {}
            }
            let effect = effect(kind, direction)?;
            let owner = self.rules.len() as u32;
            if let Effect::Spare(spared) = &effect {
                let labels = phrase.split_whitespace().map(plain);
                self.spared.extend(labels.map(|label| (label, spared.clone())));
            } else {
                self.owners.extend(alternatives(phrase)?.into_iter().map(|phrase| (phrase, owner)));
            }
            self.rules.push(Rule { id: id.to_owned(), effect });
            Ok(())
        })?;
        keep_latest(&mut self.owners);
        self.phrases = Phrases::new(&self.owners);
        Ok(self)
    }

    pub(super) fn phrases(&self) -> &Phrases {
        &self.phrases
    }

    /// What does not touch mentions of a label.
    pub(super) fn spared(&self, label: &str) -> Option<&Spared> {
        let label = plain(label);
        self.spared.iter().rev().find(|(known, _)| *known == label).map(|(_, spared)| spared)
    }

    pub(super) fn rule(&self, rule: u32) -> &Rule {
        &self.rules[rule as usize]
    }
}

fn effect(kind: &str, direction: &str) -> Result<Effect> {
    let cue = |name: &str| {
        let unknown =
            || refuse(format!("{name:?} is no kind: expected {}, undone, end, pseudo or spare", CueKind::names()));
        CueKind::of(name).ok_or_else(unknown)
    };
    match kind {
        "pseudo" => Ok(Effect::Pseudo),
        "end" if direction == "all" => Ok(Effect::End(CueKind::ALL.to_vec())),
        "spare" => {
            let (acts, kinds): (Vec<_>, Vec<_>) = direction.split(',').partition(|&name| name == "undone");
            let kinds = kinds.into_iter().map(cue).collect::<Result<_>>()?;
            Ok(Effect::Spare(Spared { kinds, acts: !acts.is_empty() }))
        }
        "end" => Ok(Effect::End(direction.split(',').map(cue).collect::<Result<_>>()?)),
        _ => {
            let act = kind == "undone";
            let kind = if act { CueKind::Negated } else { cue(kind)? };
            let (mut forward, mut backward) = (None, None);
            for direction in direction.split(',') {
                let (name, words) = direction.split_once(':').map_or((direction, None), |(name, n)| (name, Some(n)));
                let wrong =
                    |n: &str| refuse(format!("{n:?} is no reach: expected a number of words from 0 to {REACH}"));
                let parse = |n: &str| n.parse().ok().filter(|n| *n <= REACH).ok_or_else(|| wrong(n));
                let reach = words.map_or(Ok(REACH), parse)?;
                match name {
                    "forward" => forward = Some(reach),
                    "backward" => backward = Some(reach),
                    "both" => (forward, backward) = (Some(reach), Some(reach)),
                    _ => return Err(refuse(format!("{name:?} is no direction: expected forward, backward or both"))),
                }
            }
            Ok(Effect::Cue { kind, act, forward, backward })
        }
    }
}

/// A label in small letters, whatever joins its words: models write `LAB_VALUE`, people `Lab value`.
fn plain(label: &str) -> String {
    label.chars().map(|c| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect()
}

/// The phrases that a pattern stands for: `[a|b] c` is `a c` and `b c`.
fn alternatives(pattern: &str) -> Result<Vec<String>> {
    let mut phrases = vec![String::new()];
    let mut rest = pattern;
    while let Some((before, inside)) = rest.split_once('[') {
        let (choices, after) =
            inside.split_once(']').ok_or_else(|| refuse("the phrase has a [ without its ]: write [a|b] for a or b"))?;
        if phrases.len() * choices.split('|').count() > MOST_PHRASES {
            return Err(refuse(format!("the phrase stands for more than {MOST_PHRASES}: split it into several rules")));
        }
        let mut longer = Vec::new();
        for phrase in &phrases {
            longer.extend(choices.split('|').map(|choice| [phrase, before, " ", choice].concat()));
        }
        (phrases, rest) = (longer, after);
    }
    for phrase in &mut phrases {
        phrase.push_str(rest);
        *phrase = normal(phrase);
        if phrase.is_empty() {
            return Err(refuse("the phrase may be empty: leave one bracket without an empty choice"));
        }
    }
    Ok(phrases)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::ErrorKind;

    #[test]
    fn brackets_are_choices() {
        let cases = [
            ("no evidence", "no evidence"),
            ("[a|b] c", "a c|b c"),
            ("No [sign|] OF", "no sign of|no of"),
            ("r/o", "r / o"),
            ("[a|b][c|d]", "a c|a d|b c|b d"),
        ];
        for (pattern, expected) in cases {
            assert_eq!(alternatives(pattern).unwrap().join("|"), expected);
        }
    }

    #[test]
    fn what_is_no_rule_is_refused_with_its_line() {
        let cases = [
            ("X-1 negated forward", "line 1: has no phrase: expected id, kind, direction, phrase"),
            ("X-1 denied forward no", "line 1: \"denied\" is no kind"),
            ("# remark\n\nX-1 negated left no", "line 3: \"left\" is no direction"),
            ("X-1 negated forward:x no", "line 1: \"x\" is no reach"),
            ("X-1 negated forward:41 no", "line 1: \"41\" is no reach"),
            ("X-1 end soon but", "line 1: \"soon\" is no kind"),
            ("X-1 negated forward [no|not", "line 1: the phrase has a ["),
            ("X-1 negated forward [no|]", "line 1: the phrase may be empty"),
            ("X-1 negated forward no\nX-1 negated forward not", "line 2: the id \"X-1\""),
        ];
        let mut failed = Vec::new();
        for (text, expected) in cases {
            match ContextRules::default().with(text) {
                Err(e) if e.kind() == ErrorKind::Input && e.to_string().starts_with(expected) => {}
                other => failed.push(format!("{text:?}: {:?}", other.err())),
            }
        }
        let many = "[a|b]".repeat(20);
        assert!(ContextRules::default().with(&format!("X-1 negated forward {many}")).is_err());
        assert!(failed.is_empty(), "{failed:#?}");
    }

    #[test]
    fn a_rule_replaces_the_latest_of_its_id() {
        let mut rules = ContextRules::default();
        for (id, phrase) in [("X-1", "xylo"), ("X-1", "yaw"), ("X-2", "zed"), ("X-1", "zed")] {
            rules = rules.with(&format!("{id} negated forward {phrase}")).unwrap();
        }
        let owner = |phrase: &str| {
            let (_, owner) = rules.phrases.longest(&[rules.phrases.id(phrase)?])?;
            Some(&*rules.rule(owner).id)
        };
        assert_eq!(["xylo", "yaw", "zed", "no"].map(owner), [None, None, Some("X-1"), Some("NEG-001")]);
    }

    #[test]
    fn every_phrase_that_ships_has_one_rule() {
        let mut owners = BTreeMap::<String, &str>::new();
        let mut twice = Vec::new();
        rows::each(SHIPPED, ["id", "kind", "direction", "phrase"], |[id, _, _, pattern]| {
            for phrase in alternatives(pattern)? {
                if let Some(other) = owners.insert(phrase.clone(), id).filter(|other| *other != id) {
                    twice.push(format!("{phrase}: {other} and {id}"));
                }
            }
            Ok(())
        })
        .unwrap();
        assert!(twice.is_empty(), "{twice:#?}");
    }
}
