//! A FHIR R4 Bundle of type `collection`: what a machine read in a note, for people to look at, and nothing that they
//! have accepted.
//!
//! | the note says | Condition | MedicationStatement | Procedure | Observation |
//! |---|---|---|---|---|
//! | it is so | `unconfirmed`, `active` | `unknown` | `unknown` | `preliminary` |
//! | it was so, or under a condition; or no rule has looked | `unconfirmed` | `unknown` | `unknown` | `preliminary` |
//! | it may be so | `provisional` | `unknown` | `unknown` | `preliminary` |
//! | it is not so | `refuted` | `not-taken` | `not-done` | left out |
//! | if something happens | left out | left out | left out | left out |
//! | of a relative | FamilyMemberHistory, unless it is not so | left out | left out | left out |
//! | of somebody else | left out | left out | left out | left out |
//!
//! A hypothetical finding is left out because FHIR R4 has no word for it: `provisional` is a diagnosis that is being
//! considered. A drug is never `active`: "allergic to penicillin" is an entity as well. Nothing is ever `confirmed`.
//!
//! Every resource is tagged as machine-generated and unreviewed, and says where it stands in the note by the core
//! extension `derivation-reference` (offset and length in code points). Identifiers are made from the hash of the note, its
//! name and the subject: the same question gives the same bytes. No time is known, and none is made up.

mod id;
mod resources;

use super::assertion::{Assertion, Experiencer, Named, Temporality};
use super::check::{Checked, Placed};
use super::input;
use super::options::Options;
use super::tree::{Tree, object};
use crate::error::Result;
use id::Ids;

/// What an entity of a label becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// A problem of the patient, or of a relative.
    Condition,
    /// A drug.
    MedicationStatement,
    /// Something that is done.
    Procedure,
    /// Something that is measured.
    Observation,
    /// Nothing.
    None,
}

impl Named for Resource {
    const ALL: &'static [Self] =
        &[Self::Condition, Self::MedicationStatement, Self::Procedure, Self::Observation, Self::None];

    fn name(self) -> &'static str {
        ["Condition", "MedicationStatement", "Procedure", "Observation", "None"][self as usize]
    }
}

/// What the labels of the models that are known become, in capitals.
const LABELS: [(&str, Resource); 8] = [
    ("PROBLEM", Resource::Condition),
    ("DISEASE", Resource::Condition),
    ("DRUG", Resource::MedicationStatement),
    ("CHEMICAL", Resource::MedicationStatement),
    ("MEDICATION", Resource::MedicationStatement),
    ("TREATMENT", Resource::Procedure),
    ("PROCEDURE", Resource::Procedure),
    ("TEST", Resource::Observation),
];

/// What a bundle says besides document and note.
#[derive(Clone, Default)]
pub struct FhirOptions {
    /// The reference of the patient, `Patient/12`. Without it the subject is a reference that only says so.
    pub subject: Option<String>,
    /// Whether the note stays out of the DocumentReference, which then holds its hash alone.
    pub without_note: bool,
    /// When this was made, a FHIR `instant`. Without it the Provenance says that it is not known.
    pub recorded: Option<String>,
    /// What labels become, before what the known ones become; capitals and small letters are the same.
    pub resources: Vec<(String, Resource)>,
}

impl FhirOptions {
    fn check(&self) -> Result<()> {
        let is_reference = |subject: &String| !subject.is_empty() && !subject.contains(char::is_whitespace);
        if !self.subject.as_ref().is_none_or(is_reference) {
            return Err(input("subject: expected a reference such as Patient/12".into()));
        }
        if !self.recorded.as_deref().is_none_or(is_instant) {
            return Err(input("recorded: expected an instant such as 2026-01-31T12:00:00Z".into()));
        }
        Ok(())
    }
}

/// `2026-01-31T12:00:00Z`, perhaps with a part of a second, and `+01:00` instead of `Z`.
fn is_instant(text: &str) -> bool {
    let is = |text: &str, form: &str| {
        let fits = |(byte, form): (u8, u8)| if form == b'0' { byte.is_ascii_digit() } else { byte == form };
        text.len() == form.len() && text.bytes().zip(form.bytes()).all(fits)
    };
    let Some((second, rest)) = text.split_at_checked(19) else { return false };
    let rest = match rest.strip_prefix('.') {
        None => rest,
        Some(part) => match part.trim_start_matches(|c: char| c.is_ascii_digit()) {
            rest if rest.len() < part.len() => rest,
            _ => return false,
        },
    };
    is(second, "0000-00-00T00:00:00") && (rest == "Z" || is(rest, "+00:00") || is(rest, "-00:00"))
}

/// What every resource of a bundle needs to know.
struct Context<'a> {
    options: &'a FhirOptions,
    checked: &'a Checked<'a>,
    ids: Ids,
}

/// The bundle in one line.
///
/// # Errors
/// [`crate::ErrorKind::Input`] for options that FHIR does not allow.
pub(super) fn write(checked: &Checked<'_>, options: &Options) -> Result<String> {
    let fhir = &options.fhir;
    fhir.check()?;
    let ids = Ids::new([&checked.document.text_sha256, &options.name, fhir.subject.as_deref().unwrap_or_default()]);
    let context = Context { options: fhir, checked, ids };
    let found = checked.entities.iter().filter_map(|placed| Some((placed, context.resource(placed)?)));
    let found: Vec<(String, Tree)> = found.map(|(placed, made)| (context.ids.of(&placed.entity.id), made)).collect();
    let mut entries = vec![
        entry(&context.ids.of("document"), context.document_reference(&options.name)),
        entry(&context.ids.of("device"), context.device()),
    ];
    let targets: Vec<String> = found.iter().map(|(id, _)| id.clone()).collect();
    entries.extend(found.into_iter().map(|(id, resource)| entry(&id, resource)));
    // A Provenance is of something.
    if !targets.is_empty() {
        entries.push(entry(&context.ids.of("provenance"), context.provenance(&targets)));
    }
    let bundle = object([
        ("resourceType", "Bundle".into()),
        ("id", context.ids.of("bundle").into()),
        ("meta", meta()),
        ("type", "collection".into()),
        ("entry", Tree::List(entries)),
    ]);
    Ok(bundle.line())
}

#[inline(never)]
fn entry(id: &str, resource: Tree) -> Tree {
    object([("fullUrl", id::urn(id).into()), ("resource", resource)])
}

/// That a machine wrote it and nobody has looked. `AIAST` is HL7's own word for the first half.
#[inline(never)]
fn meta() -> Tree {
    let asserted = coding(
        "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
        "AIAST",
        "Artificial Intelligence asserted",
    );
    let tag = coding("urn:clinlite:review", "unreviewed", "machine-generated, unreviewed");
    object([("security", Tree::List(vec![asserted])), ("tag", Tree::List(vec![tag]))])
}

#[inline(never)]
fn coding(system: &str, code: &str, display: &str) -> Tree {
    object([("system", system.into()), ("code", code.into()), ("display", display.into())])
}

/// A concept of a code system of HL7.
#[inline(never)]
fn concept(system: &str, code: &str) -> Tree {
    let system = ["http://terminology.hl7.org/CodeSystem/", system].concat();
    object([("coding", Tree::List(vec![object([("system", system.into()), ("code", code.into())])]))])
}

impl Context<'_> {
    /// What an entity becomes, if anything.
    fn resource(&self, placed: &Placed<'_>) -> Option<Tree> {
        let plain = Assertion::default();
        let said = placed.entity.assertion.as_ref().unwrap_or(&plain);
        let kind = self.kind(&placed.entity.label);
        if said.temporality == Temporality::Hypothetical {
            return None;
        }
        match (said.experiencer, kind) {
            (Experiencer::Patient, Resource::Condition) => Some(self.condition(placed, said)),
            (Experiencer::Patient, Resource::MedicationStatement) => Some(self.medication(placed, said)),
            (Experiencer::Patient, Resource::Procedure) => Some(self.procedure(placed, said)),
            (Experiencer::Patient, Resource::Observation) if !said.is_negated() => Some(self.observation(placed)),
            (Experiencer::Family, Resource::Condition) if !said.is_negated() => Some(self.family(placed)),
            _ => None,
        }
    }

    fn kind(&self, label: &str) -> Resource {
        let own = self.options.resources.iter().map(|(name, resource)| (name.as_str(), *resource));
        let mut all = own.chain(LABELS);
        all.find(|(name, _)| name.eq_ignore_ascii_case(label)).map_or(Resource::None, |(_, resource)| resource)
    }
}
