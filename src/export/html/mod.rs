//! A page of its own: the note with its entities marked and a table of them, for the screen and for paper.
//!
//! It loads nothing and runs nothing: its policy forbids everything but its own style, and everything that comes from the
//! note or the document is text in it. An entity is marked by colour, line, glyph and its type in words; what the note
//! says of it (`NEG`, `POSS`, `FAM`) is written out. Places are code points.

mod marks;

use super::assertion::Assertion;
use super::check::{Checked, Placed};
use super::json::Entity;
use super::options::Options;
use marks::marked;

const STYLE: &str = include_str!("style.css");

const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

const NOTICE: &str = "Made by a machine; nobody has reviewed it. It misses things and finds things that are not there. Not a \
medical device: for research, education and software evaluation on de-identified or synthetic text, not for decisions \
about individual patients.";

/// A shape for each type, so that colour is not all that tells them apart.
const GLYPHS: [&str; 6] = ["●", "▲", "■", "◆", "★", "▼"];

/// What a note may say of an entity: as documents name it, as the page writes it, and what it means.
const SAID: [(&str, &str, &str); 7] = [
    ("negated", "NEG", "the note says that it is not so"),
    ("possible", "POSS", "the note says that it may be so"),
    ("historical", "HIST", "it was so, or has been for long"),
    ("hypothetical", "HYP", "only if something happens"),
    ("family", "FAM", "a relative has it"),
    ("other", "OTHER", "somebody else has it"),
    ("conditional", "COND", "only under a condition"),
];

/// Text that stays text between tags and between quotes. Control characters, which a page may not hold, are shown as U+FFFD.
#[inline(never)]
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\t' | '\n' | '\r' => escaped.push(c),
            c if c.is_control() => escaped.push('\u{FFFD}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// The types of a document, those of the model first; the place of a type gives its colour and glyph.
struct Kinds<'a>(Vec<&'a str>);

impl<'a> Kinds<'a> {
    fn new(checked: &Checked<'a>) -> Self {
        let mut kinds: Vec<&str> = checked.document.model.labels.iter().map(String::as_str).collect();
        for placed in &checked.entities {
            if !kinds.contains(&placed.entity.label.as_str()) {
                kinds.push(&placed.entity.label);
            }
        }
        Self(kinds)
    }

    fn number(&self, label: &str) -> usize {
        self.0.iter().position(|kind| *kind == label).unwrap_or(0)
    }

    fn glyph(&self, label: &str) -> &'static str {
        GLYPHS[self.number(label) % GLYPHS.len()]
    }

    /// The classes of a mark.
    fn class(&self, entity: &Entity) -> String {
        let kind = format!("k{}", self.number(&entity.label) % GLYPHS.len());
        let Some(said) = &entity.assertion else { return kind };
        match (said.is_negated(), said.remarks().is_empty()) {
            (true, _) => kind + " negated",
            (false, false) => kind + " doubted",
            (false, true) => kind,
        }
    }
}

/// What the note says of an entity, as the page writes it.
#[inline(never)]
fn said(entity: &Entity) -> String {
    let remarks = entity.assertion.iter().flat_map(Assertion::remarks);
    let short =
        |remark: &'static str| SAID.iter().find(|(name, ..)| *name == remark).map_or(remark, |(_, short, _)| short);
    remarks.map(|remark| format!("<span class=\"said\">{}</span>", short(remark))).collect()
}

/// The page.
pub(super) fn write(checked: &Checked<'_>, options: &Options) -> String {
    let title = if options.name.is_empty() { "Tagged note".into() } else { escape(&options.name) };
    let kinds = Kinds::new(checked);
    [
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" content=\"",
        POLICY,
        "\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"referrer\" content=\"no-referrer\">\n<title>",
        &title,
        "</title>\n<style>\n",
        STYLE,
        "</style>\n</head>\n<body>\n<main>\n<h1>",
        &title,
        "</h1>\n",
        &facts(checked),
        &["<p class=\"notice\"><strong>Not for the care of a patient.</strong> ", NOTICE, "</p>\n"].concat(),
        &warnings(checked),
        "<h2>What the marks mean</h2>\n",
        &legend(checked, &kinds),
        "<h2>Note</h2>\n<div class=\"note\">",
        &marked(checked, &kinds),
        "</div>\n<h2>Entities</h2>\n",
        &table(checked, &kinds),
        &footer(checked),
        "</main>\n</body>\n</html>\n",
    ]
    .concat()
}

fn facts(checked: &Checked<'_>) -> String {
    let document = checked.document;
    let (model, engine, coverage) = (&document.model, &document.engine, &document.coverage);
    let windows = if coverage.windows == 1 { "window" } else { "windows" };
    let cut = if coverage.truncated { "a part was not read" } else { "nothing cut off" };
    let facts = [
        ("Entities", checked.entities.len().to_string()),
        ("Read", format!("{} word pieces in {} {windows}, {cut}", coverage.tokens, coverage.windows)),
        ("Model", format!("{} {}", model.id, model.version)),
        ("Program", format!("{} {} on {}", engine.name, engine.version, engine.backend)),
    ];
    let fact = |(name, value): (&str, String)| format!("<div><dt>{name}</dt><dd>{}</dd></div>\n", escape(value.trim()));
    ["<dl class=\"facts\">\n", &facts.into_iter().map(fact).collect::<String>(), "</dl>\n"].concat()
}

fn warnings(checked: &Checked<'_>) -> String {
    let warnings = &checked.document.warnings;
    if warnings.is_empty() {
        return String::new();
    }
    let kinds: Vec<_> = warnings.iter().map(|warning| escape(&warning.kind)).collect();
    let (all, kinds) = (warnings.len(), kinds.join(", "));
    format!("<p class=\"notice warning\"><strong>The note may name somebody.</strong> Found {all}: {kinds}.</p>\n")
}

fn legend(checked: &Checked<'_>, kinds: &Kinds<'_>) -> String {
    let mut out = String::from("<ul class=\"legend\">\n");
    for (i, kind) in kinds.0.iter().enumerate() {
        let count = checked.entities.iter().filter(|placed| placed.entity.label == *kind).count();
        if count > 0 {
            let (class, glyph) = (i % GLYPHS.len(), kinds.glyph(kind));
            let kind = escape(kind);
            out += &format!("<li><mark class=\"k{class}\">{glyph} {kind}</mark> {count}</li>\n");
        }
    }
    out += "</ul>\n";
    let is_said = |name: &str| {
        let mut said = checked.entities.iter().filter_map(|placed| placed.entity.assertion.as_ref());
        said.any(|assertion| assertion.remarks().contains(&name))
    };
    let remarks: String = SAID
        .iter()
        .filter(|(name, ..)| is_said(name))
        .map(|(_, short, meaning)| format!("<li><span class=\"said tag\">{short}</span> {meaning}</li>\n"))
        .collect();
    if !remarks.is_empty() {
        out += &[
            "<ul class=\"legend\">\n",
            &remarks,
            "<li><span class=\"cue\">cue</span> words that say so</li>\n</ul>\n",
        ]
        .concat();
    }
    out
}

const COLUMNS: [&str; 7] = ["Id", "Text", "Type", "The note says", "Details", "Place", "Score"];

fn table(checked: &Checked<'_>, kinds: &Kinds<'_>) -> String {
    if checked.entities.is_empty() {
        return "<p>None.</p>\n".into();
    }
    let head: String = COLUMNS.iter().map(|name| format!("<th scope=\"col\">{name}</th>")).collect();
    let rows: String = checked.entities.iter().enumerate().map(|(i, placed)| row(i, placed, kinds)).collect();
    format!(
        "<table>\n<caption>Entities of the note</caption>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n"
    )
}

fn row(i: usize, placed: &Placed<'_>, kinds: &Kinds<'_>) -> String {
    let entity = placed.entity;
    let cues = entity.assertion.iter().flat_map(|said| &said.cues);
    let cues: Vec<_> = cues.map(|cue| format!("“{}” {}", escape(&cue.text), escape(&cue.rule))).collect();
    let score = entity.score.map_or_else(String::new, |score| format!("{score:.2}"));
    let label = [kinds.glyph(&entity.label), " ", &escape(&entity.label)].concat();
    let cells = [
        ("id", format!("<a href=\"#e{i}\">{}</a>", escape(&entity.id))),
        ("text", escape(&entity.text)),
        ("kind", label),
        ("", said(entity) + &cues.join(", ")),
        ("details", details(entity)),
        ("number", format!("{}–{}", placed.points.start, placed.points.end)),
        ("number", score),
    ];
    let cell = |((class, content), name): ((&str, String), &str)| {
        // Nothing is what the small screen leaves out.
        let content =
            if content.is_empty() || class == "number" { content } else { ["<div>", &content, "</div>"].concat() };
        format!("<td class=\"{class}\" data-name=\"{name}\">{content}</td>")
    };
    let cells: String = cells.into_iter().zip(COLUMNS).map(cell).collect();
    format!("<tr>{cells}</tr>\n")
}

/// Section, what belongs to the entity, and its codes.
fn details(entity: &Entity) -> String {
    let section = entity.section.iter().map(|section| format!("section: {}", escape(&section.replace('_', " "))));
    let attributes = entity.attributes.iter().map(|of| {
        let value = of.value.as_ref().map(|value| [" → ", value].concat()).unwrap_or_default();
        format!("{}: {}{}", escape(&of.name), escape(&of.text), escape(&value))
    });
    let links = entity
        .links
        .iter()
        .map(|link| format!("{} <small>{}</small> {}", escape(&link.code), escape(&link.system), escape(&link.term)));
    section.chain(attributes).chain(links).collect::<Vec<_>>().join("<br>")
}

fn footer(checked: &Checked<'_>) -> String {
    let document = checked.document;
    format!(
        "<footer>Places count code points of the note, whose SHA-256 is {}. Model SHA-256: {}. A score is a confidence of \
the model, not a probability of being right.</footer>\n",
        escape(&document.text_sha256),
        escape(&document.model.sha256)
    )
}
