//! Event files for TensorBoard: records of a protocol buffer, framed as TensorFlow frames them.
//!
//! Four fields of two messages are all that a curve takes, so they are written here; the crates that do it bring a protocol
//! buffer runtime, and one of them an image decoder.
//!
//! A record is the length of its data (u64), the masked CRC-32C of these eight bytes, the data, and its masked CRC-32C, all
//! little-endian (tensorflow/core/lib/io/record_writer.cc). The data is an `Event` (tensorflow/core/util/event.proto).

/// The first record of a file: says what the others are.
pub(super) fn header(wall_time: f64) -> Vec<u8> {
    let mut event = Vec::new();
    double(&mut event, 1, wall_time);
    bytes(&mut event, 3, b"brain.Event:2"); // file_version
    record(&event)
}

/// A record with the values of a step, by their tags.
pub(super) fn scalars<'a>(wall_time: f64, step: u64, values: impl IntoIterator<Item = (&'a str, f64)>) -> Vec<u8> {
    let mut summary = Vec::new();
    for (tag, value) in values {
        let mut one = Vec::new();
        bytes(&mut one, 1, tag.as_bytes()); // tag
        one.push(2 << 3 | 5); // simple_value, of 32 bits
        one.extend((value as f32).to_le_bytes());
        bytes(&mut summary, 1, &one); // value
    }
    let mut event = Vec::new();
    double(&mut event, 1, wall_time);
    event.push(2 << 3); // step, a varint
    varint(&mut event, step);
    bytes(&mut event, 5, &summary);
    record(&event)
}

fn double(to: &mut Vec<u8>, field: u8, value: f64) {
    to.push(field << 3 | 1);
    to.extend(value.to_le_bytes());
}

fn bytes(to: &mut Vec<u8>, field: u8, value: &[u8]) {
    to.push(field << 3 | 2);
    varint(to, value.len() as u64);
    to.extend(value);
}

fn varint(to: &mut Vec<u8>, mut value: u64) {
    while value >= 128 {
        to.push(value as u8 | 128);
        value >>= 7;
    }
    to.push(value as u8);
}

fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut record = length.to_vec();
    record.extend(masked(crc32c(&length)).to_le_bytes());
    record.extend(data);
    record.extend(masked(crc32c(data)).to_le_bytes());
    record
}

/// So that the checksum of data that holds checksums is not theirs (tensorflow/core/lib/hash/crc32c.h).
fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32 with Castagnoli's polynomial, reflected. A few hundred bytes a step: no table is needed.
fn crc32c(data: &[u8]) -> u32 {
    let bit = |crc: u32| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
    !data.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), |crc, _| bit(crc)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_standard() {
        // RFC 3720, B.4, and the check value of the catalogue of CRCs.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
    }

    /// As `tensorboard.summary.writer.event_file_writer` 2.21 writes the same event.
    #[test]
    fn a_record_is_that_of_tensorboard() {
        let hex = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(hex(header(1.5)), HEADER);
        assert_eq!(hex(scalars(2.5, 300, [("loss/total", 1.25), ("lr", 0.5)])), SCALARS);
    }

    const HEADER: &str = "1800000000000000a37f4b2209000000000000f83f1a0d627261696e2e4576656e743a322a28646c";
    const SCALARS: &str = "2c00000000000000f4aecc4509000000000000044010ac022a1e0a110a0a\
        6c6f73732f746f74616c150000a03f0a090a026c72150000003f62caa1ac";
}
