use super::*;
use crate::clinical::attributes::table::{check, check_hostile, said};

#[test]
fn one_test_a_line() {
    check(
        attributes,
        &[
            ("K 5.9 (3.5-5.0) H", "K", "value=5.9 | range=3.5-5.0 (high) | flag=H"),
            ("Hgb 9.1 g/dL [12.0-16.0]", "Hgb", "value=9.1 | unit=g/dL | range=12.0-16.0 (low)"),
            ("WBC-12.3*", "WBC", "value=12.3 | flag=*"),
            ("glucose of 210", "glucose", "value=210"),
            ("BP 120/80", "BP", "value=120/80"),
            ("troponin < 0.01", "troponin", "value=< 0.01"),
            ("A1c 7.2%", "A1c", "value=7.2 | unit=%"),
            (
                "Na: 140 mmol/L (ref 136 to 145 mmol/L)",
                "Na",
                "value=140 | unit=mmol/L | range=136 to 145 mmol/L (within)",
            ),
            (
                "TSH 9.27 mIU/L [normal range: 0.27–4.20 mIU/L]",
                "TSH",
                "value=9.27 | unit=mIU/L | range=0.27–4.20 mIU/L (high)",
            ),
            (
                "FT4 6.04\u{200a}pmol/L, normal range 12.00–22.00\u{200a}pmol/L",
                "FT4",
                "value=6.04 | unit=pmol/L | range=12.00–22.00\u{200a}pmol/L (low)",
            ),
            ("troponin <0.01 (<0.04)", "troponin", "value=<0.01 | range=<0.04 (within)"),
            ("troponin 0.04 (normal <0.04)", "troponin", "value=0.04 | range=<0.04 (high)"),
            ("eGFR >60 (>60)", "eGFR", "value=>60 | range=>60 (within)"),
            ("CRP >200 mg/L (0-5)", "CRP", "value=>200 | unit=mg/L | range=0-5 (high)"),
            // Units that differ, two numbers, a comma that may be a point: nothing is computed.
            ("Hgb 91 g/L (12.0-16.0 g/dL)", "Hgb", "value=91 | unit=g/L | range=12.0-16.0 g/dL"),
            ("RBC 3-5 /hpf (0-2)", "RBC", "value=3-5 | unit=/hpf | range=0-2"),
            ("K 5,9 (3.5-5.0)", "K", "value=5,9 | range=3.5-5.0"),
            ("WBC 12,300 /uL (4,000-11,000)", "WBC", "value=12,300 | unit=/uL | range=4,000-11,000 (high)"),
            ("K 5.9 3.5-5.0 H", "K", "value=5.9 | range=3.5-5.0 (high) | flag=H"),
            ("K 5.9 (H)", "K", "value=5.9 | flag=H"),
            ("platelets 11 x 10^9/L", "platelets", "value=11 | unit=x 10^9/L"),
            ("platelets 175\u{200a}×\u{200a}109/L", "platelets", "value=175 | unit=×\u{200a}109/L"),
            ("ANC 1.2 K/uL L", "ANC", "value=1.2 | unit=K/uL | flag=L"),
            ("creatinine 1.2 -> 1.5 -> 2.0 mg/dL", "creatinine", "value=1.2 | value=1.5 | value=2.0 | unit=mg/dL"),
            ("creatinine rose from 1.2 to 2.0", "creatinine", "value=1.2 | value=2.0"),
            ("base excess -3", "base excess", "value=-3"),
            ("hemoglobin on 3/4 was 9.1", "hemoglobin", "value=9.1"),
            ("temperature 38.5 °C", "temperature", "value=38.5 | unit=°C"),
            ("blood pressure was 140/70 mm Hg,", "blood pressure", "value=140/70 | unit=mm Hg"),
            ("GFR 38 mL/min/1.73 m2", "GFR", "value=38 | unit=mL/min/1.73 m2"),
            ("elevated WBC and fever", "WBC", "value=elevated"),
            ("troponin was negative", "troponin", "value=negative"),
            ("TSH within normal limits", "TSH", "value=within normal limits"),
            ("urine protein 2+", "urine protein", "value=2+"),
            ("sodium, 140 mmol/L", "sodium", "value=140 | unit=mmol/L"),
            ("EF estimated to 30%–35%", "EF", "value=30%–35 | unit=%"),
            ("INR between 2 and 3", "INR", "value=between 2 and 3"),
            ("PEEP 20 cm H2O", "PEEP", "value=20 | unit=cm H2O"),
            ("pulse was 120 beats per minute", "pulse", "value=120 | unit=beats per minute"),
            // What is no value.
            ("mutation [5]", "mutation", ""),
            ("CT 3 days ago", "CT", ""),
            ("hemoglobin and 3 units of blood", "hemoglobin", ""),
            ("MRI, 5 mm nodule", "MRI", ""),
            ("biopsy on the 3rd", "biopsy", ""),
            ("CBC", "CBC", ""),
        ],
    );
}

#[test]
fn each_test_of_a_list_takes_its_own() {
    for (line, tests, expected) in [
        ("Na 140, K 4.0, Cl 101", &["Na", "K", "Cl"][..], &["value=140", "value=4.0", "value=101"][..]),
        (
            "WBC-12.3*# RBC-4.01* Hgb-12.9*",
            &["WBC", "RBC", "Hgb"],
            &["value=12.3 | flag=*#", "value=4.01 | flag=*", "value=12.9 | flag=*"],
        ),
        ("T 98.6 BP 120/80 HR 72", &["T", "BP", "HR"], &["value=98.6", "value=120/80", "value=72"]),
        ("normal TSH, elevated CRP", &["TSH", "CRP"], &["value=normal", "value=elevated"]),
    ] {
        assert_eq!(said(attributes, line, tests), expected, "{line}");
    }
}

/// Every way in which a value with a sign can lie to a range, beside the sets of numbers that both stand for.
#[test]
fn out_of_range_only_where_it_is_certain() {
    let grid: Vec<f64> = (0..=80).map(|i| f64::from(i) / 4.0).collect();
    for sign in ["", "<", "<=", ">", ">="] {
        for value in [0.0, 2.0, 5.0, 7.0, 10.0, 12.0] {
            for (range, low, high) in
                [("5-10", 5.0, 10.0), ("0-10", 0.0, 10.0), ("<=10", 0.0, 10.0), (">=5", 5.0, f64::INFINITY)]
            {
                let line = format!("K {sign}{value} ({range})");
                let found = attributes(&line, 0..1, 0..line.len());
                let said = found.iter().find(|one| one.name == "range").unwrap_or_else(|| panic!("{line}")).value;
                let possible = |x: &&f64| match sign {
                    "<" => **x < value,
                    "<=" => **x <= value,
                    ">" => **x > value,
                    ">=" => **x >= value,
                    _ => **x == value,
                };
                let judge = |x: &f64| {
                    if *x < low {
                        "low"
                    } else if *x > high {
                        "high"
                    } else {
                        "within"
                    }
                };
                let mut all: Vec<&str> = grid.iter().filter(possible).map(judge).collect();
                all.dedup();
                if let Some(said) = said {
                    assert!(all.iter().all(|one| *one == said), "{line}: {said}, could be {all:?}");
                }
            }
        }
    }
}

#[test]
fn hostile_texts() {
    check_hostile(attributes);
}

#[test]
fn numbers_are_those_of_the_standard_library() {
    let mut state = 1_u64;
    for _ in 0..20_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (digits, places) = (state >> 40, (state >> 20) as usize % 9);
        let text = format!("{:.places$}", digits as f64 / 10_f64.powi(places as i32));
        assert_eq!(value::parse(&text), text.parse().ok(), "{text}");
    }
    for (text, number) in [
        ("12,000.5", Some(12_000.5)),
        ("12,00", None),
        (".5", Some(0.5)),
        ("5.", Some(5.0)),
        (".", None),
        ("1.2.3", None),
    ] {
        assert_eq!(value::parse(text), number, "{text}");
    }
    assert_eq!(value::parse("1234567890123456"), None);
}
