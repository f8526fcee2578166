use super::*;
use crate::clinical::attributes::table::{check, check_hostile, said};

#[test]
fn one_drug_a_line() {
    check(
        attributes,
        &[
            (
                "metoprolol tartrate 25 mg PO BID x 7 days",
                "metoprolol tartrate",
                "dose=25 mg | route=PO | frequency=BID | duration=7 days",
            ),
            ("ASA 81mg daily", "ASA", "dose=81mg | frequency=daily"),
            ("insulin glargine 20 units qhs", "insulin glargine", "dose=20 units | frequency=qhs"),
            (
                "amoxicillin-clavulanate 875-125 mg tablet by mouth twice a day for 10 days",
                "amoxicillin-clavulanate",
                "dose=875-125 mg | form=tablet | route=by mouth | frequency=twice a day | duration=10 days",
            ),
            ("heparin gtt", "heparin", "route=gtt"),
            ("Tylenol #3 1-2 tabs q4-6h prn pain", "Tylenol #3", "dose=1-2 tabs | frequency=q4-6h prn"),
            ("Tylenol #3 1-2 tabs q4-6h prn pain", "Tylenol", "dose=1-2 tabs | frequency=q4-6h prn"),
            ("levothyroxine 0.5 mcg/kg/day", "levothyroxine", "dose=0.5 mcg/kg/day"),
            (
                "gemcitabine (1000mg/m2 IV every 3 weeks)",
                "gemcitabine",
                "dose=1000mg/m2 | route=IV | frequency=every 3 weeks",
            ),
            ("prednisone, 40\u{2005}mg once daily.", "prednisone", "dose=40\u{2005}mg | frequency=once daily"),
            ("Lasix 1,000.5 mg IV push q.6h", "Lasix", "dose=1,000.5 mg | route=IV push | frequency=q.6h"),
            ("Lasix 40 mg i.v. t.i.d.", "Lasix", "dose=40 mg | route=i.v. | frequency=t.i.d."),
            (
                "acetaminophen 650 mg PR q 6 hours as needed",
                "acetaminophen",
                "dose=650 mg | route=PR | frequency=q 6 hours as needed",
            ),
            (
                "albuterol two puffs inhaled four times a day",
                "albuterol",
                "dose=two puffs | route=inhaled | frequency=four times a day",
            ),
            ("25 mg of metoprolol", "metoprolol", "dose=25 mg"),
            ("two tablets a day of iron", "iron", "dose=two tablets | frequency=a day"),
            ("Infliximab a day earlier", "Infliximab", ""),
            ("a 7-day course of IV vancomycin", "vancomycin", "duration=7-day | route=IV"),
            ("started on intravenous (IV) furosemide with", "furosemide", "route=intravenous | route=IV"),
            ("high-dose methylprednisolone", "methylprednisolone", "dose=high-dose"),
            ("metoprolol was started at a dose of 25 mg", "metoprolol", "dose=25 mg"),
            (
                "warfarin 5 mg in the morning and 2.5 mg at night",
                "warfarin",
                "dose=5 mg | frequency=in the morning | dose=2.5 mg | frequency=at night",
            ),
            (
                "Prednisone taper 60 mg PO every other day x7d",
                "Prednisone",
                "dose=60 mg | route=PO | frequency=every other day | duration=7d",
            ),
            ("Jevity per NG tube at 60 mL/hr", "Jevity", "route=per NG tube | dose=60 mL/hr"),
            ("hydrocortisone 1% cream topically", "hydrocortisone", "dose=1% | form=cream | route=topically"),
            ("penicillin G, 24 million units per day", "penicillin G", "dose=24 million units | frequency=per day"),
            // What is not said of the drug.
            ("aspirin for chest pain", "aspirin", ""),
            ("aspirin, clopidogrel 75 mg daily", "aspirin", ""),
            ("aspirin and clopidogrel 75 mg daily", "aspirin", ""),
            ("aspirin. Lisinopril 10 mg", "aspirin", ""),
            ("aspirin; 75 mg", "aspirin", ""),
            ("B12 deficiency, iron", "iron", ""),
            ("aspirin on hospital day 2", "aspirin", ""),
            ("received 75 mg, then aspirin", "aspirin", ""),
        ],
    );
}

#[test]
fn each_drug_of_a_list_takes_its_own() {
    for (line, drugs, expected) in [
        (
            "ASA 81mg daily, Plavix 75 mg daily, and heparin gtt",
            &["ASA", "Plavix", "heparin"][..],
            &["dose=81mg | frequency=daily", "dose=75 mg | frequency=daily", "route=gtt"][..],
        ),
        (
            "high-dose prednisone (PDN) 1 g daily",
            &["prednisone", "PDN"],
            &["dose=high-dose", "dose=1 g | frequency=daily"],
        ),
        (
            "prednisone (PDN) 1 g daily",
            &["prednisone", "PDN"],
            &["dose=1 g | frequency=daily", "dose=1 g | frequency=daily"],
        ),
        ("metoprolol 25 mg aspirin 81 mg", &["metoprolol", "aspirin"], &["dose=25 mg", "dose=81 mg"]),
        ("25 mg metoprolol and 81 mg aspirin", &["metoprolol", "aspirin"], &["dose=25 mg", "dose=81 mg"]),
        ("oral prednisolone 5 mg, IV heparin", &["prednisolone", "heparin"], &["route=oral | dose=5 mg", "route=IV"]),
        ("aspirin, Plavix and Lipitor", &["aspirin", "Plavix", "Lipitor"], &["", "", ""]),
    ] {
        assert_eq!(said(attributes, line, drugs), expected, "{line}");
    }
}

#[test]
fn hostile_texts() {
    check_hostile(attributes);
}
