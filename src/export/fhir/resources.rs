//! One function a resource, in the order in which FHIR lists its elements.

use super::id::{base64, urn};
use super::{Context, concept, meta};
use crate::export::assertion::{Assertion, Certainty, Temporality};
use crate::export::check::{Placed, by_place};
use crate::export::json::{Attribute, Entity};
use crate::export::tree::{Tree, list, object};

const DERIVATION: &str = "http://hl7.org/fhir/StructureDefinition/derivation-reference";
const ABSENT: &str = "http://hl7.org/fhir/StructureDefinition/data-absent-reason";

/// What this is not, wherever a person may read it.
const NOTICE: &str = "Made by a machine from the text of a note; nobody has reviewed it. Not a medical device. For research, \
education and software evaluation, not for decisions about individual patients.";

#[inline(never)]
fn text(text: &str) -> Tree {
    object([("text", string(text).into())])
}

/// As a string of FHIR may be: without control characters and other white space than the four of its pattern.
#[inline(never)]
fn string(text: &str) -> String {
    let allowed = |c: char| match c {
        ' ' | '\t' | '\n' | '\r' => c,
        c if c.is_whitespace() || c == '\u{FEFF}' => ' ',
        c if c.is_control() => '\u{FFFD}',
        c => c,
    };
    text.chars().map(allowed).collect()
}

/// The entity in its own words and in those of the code systems. What is no URI or no code in FHIR is left out.
#[inline(never)]
fn named(entity: &Entity) -> Tree {
    let is_uri = |system: &str| !system.is_empty() && !system.contains(char::is_whitespace);
    let is_code = |code: &str| !code.is_empty() && code.split(' ').all(is_uri);
    let links = entity.links.iter().filter(|link| is_uri(&link.system) && is_code(&link.code));
    let display = |term: &str| Some(string(term)).filter(|term| !term.trim().is_empty());
    let coding = links.map(|link| {
        let system = ("system", link.system.as_str().into());
        object([system, ("code", link.code.as_str().into()), ("display", display(&link.term).into())])
    });
    object([("coding", list(coding)), ("text", string(&entity.text).into())])
}

#[inline(never)]
fn attribute<'a>(entity: &'a Entity, name: &str) -> Option<&'a Attribute> {
    entity.attributes.iter().find(|attribute| attribute.name == name)
}

impl Context<'_> {
    /// What every resource about an entity begins with.
    fn about(&self, kind: &str, placed: &Placed<'_>) -> Tree {
        let id = self.ids.of(&placed.entity.id);
        object([("resourceType", kind.into()), ("id", id.into()), ("meta", meta())])
            .with("extension", Tree::List(vec![self.derivation(placed)]))
    }

    /// Where the entity stands in the note, in code points.
    fn derivation(&self, placed: &Placed<'_>) -> Tree {
        let part = |name: &str, kind, value| object([("url", name.into()), (kind, value)]);
        let path = (!self.options.without_note).then_some("DocumentReference.content[0].attachment.data");
        let path = path.map(|path| part("path", "valueString", path.into()));
        let parts = [
            part("reference", "valueReference", self.reference("document")),
            path.into(),
            part("offset", "valueInteger", placed.points.start.into()),
            part("length", "valueInteger", placed.points.len().into()),
        ];
        let parts = parts.into_iter().filter(|part| !matches!(part, Tree::Absent));
        object([("extension", list(parts)), ("url", DERIVATION.into())])
    }

    #[inline(never)]
    fn reference(&self, what: &str) -> Tree {
        object([("reference", urn(&self.ids.of(what)).into())])
    }

    #[inline(never)]
    fn subject(&self) -> Tree {
        match &self.options.subject {
            Some(subject) => object([("reference", subject.as_str().into())]),
            None => object([("display", "the patient of the note, not identified".into())]),
        }
    }

    pub(super) fn condition(&self, placed: &Placed<'_>, said: &Assertion) -> Tree {
        let is_possible = said.certainty == Certainty::Possible;
        let is_plain = !is_possible && !said.conditional && said.temporality == Temporality::Current;
        let verification = match (said.is_negated(), is_possible) {
            (true, _) => "refuted",
            (false, true) => "provisional",
            (false, false) => "unconfirmed",
        };
        // An entity of which nothing was read may be anything.
        let is_judged = placed.entity.assertion.is_some();
        let clinical = (is_judged && is_plain && !said.is_negated()).then(|| concept("condition-clinical", "active"));
        self.about("Condition", placed)
            .with("clinicalStatus", clinical)
            .with("verificationStatus", concept("condition-ver-status", verification))
            .with("code", named(placed.entity))
            .with("subject", self.subject())
    }

    pub(super) fn medication(&self, placed: &Placed<'_>, said: &Assertion) -> Tree {
        self.about("MedicationStatement", placed)
            .with("status", if said.is_negated() { "not-taken" } else { "unknown" })
            .with("medicationCodeableConcept", named(placed.entity))
            .with("subject", self.subject())
            .with("derivedFrom", Tree::List(vec![self.reference("document")]))
            .with("dosage", dosage(placed.entity))
    }

    pub(super) fn procedure(&self, placed: &Placed<'_>, said: &Assertion) -> Tree {
        self.about("Procedure", placed)
            .with("status", if said.is_negated() { "not-done" } else { "unknown" })
            .with("code", named(placed.entity))
            .with("subject", self.subject())
    }

    pub(super) fn observation(&self, placed: &Placed<'_>) -> Tree {
        let entity = placed.entity;
        let observation = self
            .about("Observation", placed)
            .with("status", "preliminary")
            .with("code", named(entity))
            .with("subject", self.subject());
        let observation = match attribute(entity, "value") {
            None => observation,
            Some(value) if is_decimal(&value.text) => {
                let unit = attribute(entity, "unit").map(|unit| string(&unit.text));
                let quantity = object([("value", Tree::Raw(value.text.clone())), ("unit", unit.into())]);
                observation.with("valueQuantity", quantity)
            }
            Some(value) => {
                let unit = attribute(entity, "unit").map(|unit| [" ", &unit.text].concat());
                observation.with("valueString", string(&[value.text.as_str(), &unit.unwrap_or_default()].concat()))
            }
        };
        let flag = attribute(entity, "flag").and_then(|flag| flag.value.as_deref());
        let flags = [("high", "H"), ("low", "L"), ("normal", "N")];
        let code = flags.iter().find(|(name, _)| flag == Some(name)).map(|(_, code)| code);
        observation
            .with("interpretation", list(code.map(|code| concept("v3-ObservationInterpretation", code))))
            .with("derivedFrom", Tree::List(vec![self.reference("document")]))
            .with("referenceRange", list(attribute(entity, "range").map(|range| text(&range.text))))
    }

    /// A problem of a relative. Which relative is not read.
    pub(super) fn family(&self, placed: &Placed<'_>) -> Tree {
        let condition = object([("code", named(placed.entity))]);
        self.about("FamilyMemberHistory", placed)
            .with("status", "partial")
            .with("patient", self.subject())
            .with("relationship", concept("v3-RoleCode", "FAMMEMB").with("text", "family member"))
            .with("condition", Tree::List(vec![condition]))
    }

    /// The note, or its hash alone.
    pub(super) fn document_reference(&self, name: &str) -> Tree {
        let note = self.checked.note;
        let is_in = !self.options.without_note;
        let hash = ["urn:sha256:", &self.checked.document.text_sha256].concat();
        let identifier = object([("system", "urn:ietf:rfc:3986".into()), ("value", hash.into())]);
        let title = Some(string(name)).filter(|name| !name.trim().is_empty());
        let attachment = object([
            ("contentType", "text/plain; charset=utf-8".into()),
            ("data", is_in.then(|| base64(note.as_bytes())).filter(|data| !data.is_empty()).into()),
            ("size", note.len().into()),
            ("title", title.into()),
        ]);
        object([
            ("resourceType", "DocumentReference".into()),
            ("id", self.ids.of("document").into()),
            ("masterIdentifier", identifier),
            ("status", "current".into()),
            ("subject", self.subject()),
            ("content", Tree::List(vec![object([("attachment", attachment)])])),
        ])
    }

    /// The program and its model.
    pub(super) fn device(&self) -> Tree {
        let (engine, model) = (&self.checked.document.engine, &self.checked.document.model);
        let name =
            object([("name", string(&[&engine.name, " with ", &model.id].concat()).into()), ("type", "other".into())]);
        let version = |of: &str, value: &str| {
            let value = Some(value).filter(|value| !value.is_empty());
            value.map(|value| object([("type", text(of)), ("value", string(value).into())]))
        };
        let versions = [
            version("program", &engine.version),
            version("backend", &engine.backend),
            version("model", &model.version),
            version("model sha256", &model.sha256),
        ];
        object([
            ("resourceType", "Device".into()),
            ("id", self.ids.of("device").into()),
            ("deviceName", Tree::List(vec![name])),
            ("version", list(versions.into_iter().flatten())),
            ("note", Tree::List(vec![text(NOTICE)])),
        ])
    }

    /// Who made the resources `targets`, and from what.
    pub(super) fn provenance(&self, targets: &[String]) -> Tree {
        let target = |id: &String| object([("reference", urn(id).into())]);
        let unknown = object([("url", ABSENT.into()), ("valueCode", "unknown".into())]);
        let recorded = match &self.options.recorded {
            Some(instant) => ("recorded", instant.as_str().into()),
            None => ("_recorded", object([("extension", Tree::List(vec![unknown]))])),
        };
        let assembler = concept("provenance-participant-type", "assembler");
        let agent = object([("type", assembler), ("who", self.reference("device"))]);
        let source = object([("role", "source".into()), ("what", self.reference("document"))]);
        object([
            ("resourceType", "Provenance".into()),
            ("id", self.ids.of("provenance").into()),
            ("target", list(targets.iter().map(target))),
            recorded,
            ("agent", Tree::List(vec![agent])),
            ("entity", Tree::List(vec![source])),
        ])
    }
}

/// What belongs to a drug, in the words and the order of the note.
fn dosage(entity: &Entity) -> Tree {
    const PARTS: [&str; 5] = ["dose", "form", "route", "frequency", "duration"];
    let parts: Vec<_> = entity.attributes.iter().filter(|of| PARTS.contains(&of.name.as_str())).collect();
    if parts.is_empty() {
        return Tree::Absent;
    }
    let places: Vec<_> = parts.iter().map(|part| part.start..part.end).collect();
    let words: Vec<&str> = by_place(places.iter()).into_iter().map(|i| parts[i].text.as_str()).collect();
    let timing = attribute(entity, "frequency").map(|frequency| object([("code", text(&frequency.text))]));
    let route = attribute(entity, "route").map(|route| text(&route.text));
    list([object([("text", string(&words.join(" ")).into()), ("timing", timing.into()), ("route", route.into())])])
}

/// Whether JSON and FHIR read it as a decimal: `-?(0|[1-9][0-9]*)(\.[0-9]+)?`.
fn is_decimal(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.len() <= 18 && text.bytes().all(|byte| byte.is_ascii_digit());
    let text = text.strip_prefix('-').unwrap_or(text);
    let (whole, part) = text.split_once('.').map_or((text, None), |(whole, part)| (whole, Some(part)));
    digits(whole) && (whole == "0" || !whole.starts_with('0')) && part.is_none_or(digits)
}

#[cfg(test)]
mod tests {
    use super::is_decimal;

    #[test]
    fn numbers_of_json() {
        for text in ["0", "4.20", "-1.5", "120", "0.05"] {
            assert!(is_decimal(text) && serde_json::from_str::<f64>(text).is_ok(), "{text}");
        }
        for text in ["", "-", "01", "4.", ".5", "1,000", "<5", "1e3", "½", "+1", "٣", "120/80"] {
            assert!(!is_decimal(text), "{text}");
        }
    }
}
