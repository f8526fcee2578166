//! The log of a run, its events and its pictures, read by other code than that which writes them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

/// The lines of the log; the last one may be half written.
pub(crate) fn log(run: &Path) -> Vec<Value> {
    let log = fs::read_to_string(run.join("log.jsonl")).unwrap_or_default();
    log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// An event: its step, and its values by tag.
type Event = (u64, BTreeMap<String, f32>);

/// The events behind the header, every checksum compared.
fn events(run: &Path) -> Vec<Event> {
    let bytes = fs::read(run.join("tensorboard/events.out.tfevents.0.clinlite")).unwrap();
    let (mut rest, mut events) = (&bytes[..], Vec::new());
    while !rest.is_empty() {
        let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
        let [of_length, of_data] = [&rest[8..12], &rest[12 + length..16 + length]];
        let data = &rest[12..12 + length];
        for (stated, of) in [(of_length, &rest[..8]), (of_data, data)] {
            let rotated = crc32c(of).rotate_left(17).wrapping_add(0xa282_ead8);
            assert_eq!(u32::from_le_bytes(stated.try_into().unwrap()), rotated, "event {}", events.len());
        }
        events.push(event(data));
        rest = &rest[16 + length..];
    }
    assert!(events.remove(0).1.is_empty(), "the header has no values");
    events
}

/// By the definition, bit by bit: the remainder of a division by Castagnoli's polynomial, written from its highest power.
fn crc32c(data: &[u8]) -> u32 {
    let mut remainder = u32::MAX;
    for bit in data.iter().flat_map(|byte| (0..8).map(move |i| u32::from(byte >> i & 1))) {
        let out = remainder >> 31 ^ bit;
        remainder = remainder << 1 ^ if out == 1 { 0x1edc_6f41 } else { 0 };
    }
    !remainder.reverse_bits()
}

/// The fields of a message of protocol buffers: number and content.
fn fields(mut data: &[u8]) -> Vec<(u64, Vec<u8>)> {
    fn varint(data: &mut &[u8]) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = data[0];
            *data = &data[1..];
            value |= u64::from(byte & 127) << shift;
            shift += 7;
            if byte < 128 {
                return value;
            }
        }
    }
    let mut fields = Vec::new();
    while !data.is_empty() {
        let key = varint(&mut data);
        let content = match key & 7 {
            0 => varint(&mut data).to_le_bytes().to_vec(),
            kind => {
                let length = match kind {
                    1 => 8,
                    5 => 4,
                    2 => varint(&mut data) as usize,
                    other => panic!("wire type {other}"),
                };
                let (content, rest) = data.split_at(length);
                data = rest;
                content.to_vec()
            }
        };
        fields.push((key >> 3, content));
    }
    fields
}

fn event(data: &[u8]) -> Event {
    let (mut step, mut values) = (0, BTreeMap::new());
    for (number, content) in fields(data) {
        match number {
            2 => step = u64::from_le_bytes(content.try_into().unwrap()),
            5 => values.extend(fields(&content).into_iter().map(|(_, value)| {
                let value: BTreeMap<u64, Vec<u8>> = fields(&value).into_iter().collect();
                let number = f32::from_le_bytes(value[&2][..].try_into().unwrap());
                (String::from_utf8(value[&1].clone()).unwrap(), number)
            })),
            _ => {}
        }
    }
    (step, values)
}

/// Each line of the log is an event, in order and with all its numbers.
pub(crate) fn events_equal_the_log(run: &Path) {
    let (lines, events) = (log(run), events(run));
    assert_eq!(lines.len(), events.len());
    for (line, (step, values)) in lines.iter().zip(events) {
        let mut expected = BTreeMap::new();
        let mut tell = |tag: String, value: &Value| value.as_f64().map(|value| expected.insert(tag, value as f32));
        for key in ["lr", "gradient_norm", "tokens_per_second"] {
            tell(key.into(), &line[key]);
        }
        tell("loss/sum".into(), &line["loss"]);
        tell("held_out/masked_lm".into(), &line["held_out"]);
        tell(format!("dev/{}", line["metric"].as_str().unwrap_or("")), &line["score"]);
        tell("dev/plain".into(), &line["plain"]);
        for (name, value) in line["losses"].as_object().into_iter().flatten() {
            tell(format!("loss/{name}"), value);
        }
        assert_eq!((Some(step), values), (line["step"].as_u64(), expected));
    }
}

/// The texts of a picture whose elements are closed in the order in which they were opened.
pub(crate) fn texts_of(svg: &str) -> Vec<String> {
    let (mut open, mut texts) = (Vec::new(), Vec::new());
    for part in svg.split('<').skip(1) {
        let (tag, text) = part.split_once('>').expect("a tag that ends");
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        let name = tag.trim_start_matches('/').split([' ', '\n', '/']).next().unwrap_or_default();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "{tag}");
        } else if !tag.ends_with('/') {
            open.push(name);
        }
        if open.last() == Some(&"text") {
            texts.push(text.to_owned());
        }
        assert!(!text.contains('"') && !tag.contains("NaN") && !tag.contains("inf"), "{part}");
    }
    assert!(open.is_empty() && svg.starts_with("<svg "), "{open:?}");
    texts
}

/// A picture in which each of these has a line.
pub(crate) fn shows(path: &Path, names: &[&str]) {
    let texts = texts_of(&fs::read_to_string(path).unwrap());
    for name in names {
        let found = texts.iter().filter(|text| text.starts_with(name)).count();
        assert_eq!(found, 1, "{name:?} in {texts:?}");
    }
}
