//! Reading a document: what is wrong with it is said by its path, and nothing that it holds is quoted.

use serde::{Deserialize, Deserializer};

use super::assertion::{Assertion, Cue, named};
use super::json::{Abbreviation, Attribute, Coverage, Document, Entity, Link, Model, Place, SCHEMA, Section, Warning};
use super::{Engine, Length, input};
use crate::error::{ErrorKind, Result};
use crate::json::{Json, Node, choice, count, number, string, truth};
use crate::text::offsets::OffsetUnit;

impl Document {
    /// A document from its JSON, about a note. Fields that this version does not know are left out.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Input`] with the path of the field, `entities[3].start`, for JSON that is none or of another form,
    /// and as [`Document::check`].
    pub fn read(json: &str, note: &str) -> Result<Self> {
        let json = Json::parse(json.as_bytes()).map_err(|e| e.at("document").of_kind(ErrorKind::Input))?;
        let document = document(json.root()).map_err(|e| e.of_kind(ErrorKind::Input))?;
        document.check(note)?;
        Ok(document)
    }
}

/// Only the form is looked at; [`Document::check`] looks whether it is about a note.
impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        document(Json::deserialize(deserializer)?.root()).map_err(serde::de::Error::custom)
    }
}

fn document(node: Node<'_>) -> Result<Document> {
    let schema = node.field("schema", string)?;
    known(&schema)?;
    Ok(Document {
        schema,
        text_sha256: node.field("text_sha256", string)?,
        offset_unit: node.field("offset_unit", unit)?,
        length: node.field("length", length)?,
        engine: node.field("engine", engine)?,
        model: node.field("model", model)?,
        coverage: node.field("coverage", coverage)?,
        sections: node.list("sections", section)?,
        sentences: node.list("sentences", place)?,
        placeholders: node.list("placeholders", place)?,
        abbreviations: node.list("abbreviations", abbreviation)?,
        entities: node.field("entities", |node| node.items(entity))?,
        warnings: node.list("warnings", warning)?,
    })
}

fn length(node: Node<'_>) -> Result<Length> {
    Ok(Length {
        utf16: node.field("utf16", count)?,
        codepoint: node.field("codepoint", count)?,
        utf8: node.field("utf8", count)?,
    })
}

fn engine(node: Node<'_>) -> Result<Engine> {
    Ok(Engine {
        name: node.field("name", string)?.into(),
        version: node.field("version", string)?.into(),
        backend: node.field("backend", string)?.into(),
        reason: node.optional("reason", string)?,
    })
}

fn model(node: Node<'_>) -> Result<Model> {
    Ok(Model {
        id: node.field("id", string)?,
        version: node.field("version", string)?,
        sha256: node.field("sha256", string)?,
        task: node.field("task", string)?,
        scheme: node.field("scheme", string)?,
        labels: node.field("labels", |node| node.items(string))?,
    })
}

fn coverage(node: Node<'_>) -> Result<Coverage> {
    Ok(Coverage {
        tokens: node.field("tokens", count)?,
        windows: node.field("windows", count)?,
        max_length: node.field("max_length", count)?,
        stride: node.field("stride", count)?,
        truncated: node.field("truncated", truth)?,
        placeholders: node.optional("placeholders", count)?,
    })
}

fn place(node: Node<'_>) -> Result<Place> {
    let [start, end] = borders(node)?;
    Ok(Place { start, end })
}

fn borders(node: Node<'_>) -> Result<[usize; 2]> {
    Ok([node.field("start", count)?, node.field("end", count)?])
}

fn section(node: Node<'_>) -> Result<Section> {
    let [start, end] = borders(node)?;
    let (title, category) = (node.field("title", string)?, node.field("category", string)?);
    Ok(Section { start, end, title, category, loinc: node.optional("loinc", string)? })
}

fn abbreviation(node: Node<'_>) -> Result<Abbreviation> {
    let [start, end] = borders(node)?;
    let (short, long) = (node.field("short", string)?, node.field("long", string)?);
    Ok(Abbreviation { start, end, short, long, defined: node.optional("defined", place)? })
}

fn entity(node: Node<'_>) -> Result<Entity> {
    let [start, end] = borders(node)?;
    Ok(Entity {
        id: node.field("id", string)?,
        start,
        end,
        text: node.field("text", string)?,
        label: node.field("label", string)?,
        score: node.optional("score", score)?,
        score_method: node.optional("score_method", string)?,
        assertion: node.optional("assertion", assertion)?,
        section: node.optional("section", string)?,
        links: node.list("links", link)?,
        attributes: node.list("attributes", attribute)?,
    })
}

fn assertion(node: Node<'_>) -> Result<Assertion> {
    Ok(Assertion {
        polarity: node.field("polarity", named)?,
        certainty: node.field("certainty", named)?,
        temporality: node.field("temporality", named)?,
        experiencer: node.field("experiencer", named)?,
        conditional: node.field("conditional", truth)?,
        cues: node.list("cues", cue)?,
    })
}

fn cue(node: Node<'_>) -> Result<Cue> {
    let [start, end] = borders(node)?;
    Ok(Cue { start, end, text: node.field("text", string)?, rule: node.field("rule", string)? })
}

fn link(node: Node<'_>) -> Result<Link> {
    Ok(Link {
        system: node.field("system", string)?,
        code: node.field("code", string)?,
        term: node.field("term", string)?,
        matched: node.field("match", string)?,
    })
}

fn attribute(node: Node<'_>) -> Result<Attribute> {
    let [start, end] = borders(node)?;
    let (name, text) = (node.field("name", string)?, node.field("text", string)?);
    Ok(Attribute { name, start, end, text, value: node.optional("value", string)? })
}

fn score(node: Node<'_>) -> Result<f64> {
    number(node)
        .ok()
        .filter(|score| (0.0..=1.0).contains(score))
        .map_or_else(|| node.expected("a number from 0 to 1"), Ok)
}

fn unit(node: Node<'_>) -> Result<OffsetUnit> {
    choice(node, &OffsetUnit::ALL, OffsetUnit::name)
}

fn warning(node: Node<'_>) -> Result<Warning> {
    let [start, end] = borders(node)?;
    Ok(Warning { code: node.field("code", string)?, kind: node.field("kind", string)?, start, end })
}

/// Refuses documents of another schema or version.
pub(super) fn known(schema: &str) -> Result<()> {
    if schema == SCHEMA {
        return Ok(());
    }
    Err(input(format!("schema: expected {SCHEMA}, found another; this version of clinlite reads no other")))
}
