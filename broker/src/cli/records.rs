//! Records of a batch as people and programs read them.

use bytes::Bytes;
use protocol::record_batch::{BatchSlice, RecordIterator, TimestampType};
use serde::Serialize;

use super::limits::DECOMPRESSED_BYTES_MAX;
use super::times;

/// A record with its place in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct StoredRecord {
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
    pub(crate) time: String,
    pub(crate) timestamp_type: &'static str,
    pub(crate) key: Option<Content>,
    pub(crate) value: Option<Content>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) headers: Vec<StoredHeader>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct StoredHeader {
    pub(crate) key: String,
    pub(crate) value: Option<Content>,
}

/// Bytes: as text where they are UTF-8, as base64 otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Content(pub(crate) Vec<u8>);

impl Serialize for Content {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => {
                use serde::ser::SerializeMap;
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("base64", &base64(&self.0))?;
                map.end()
            }
        }
    }
}

/// Records of one batch. `data` holds the batch's bytes. The error says what is wrong with them.
pub(crate) fn records_of(
    data: &Bytes,
    batch: &BatchSlice<'_>,
) -> Result<Vec<StoredRecord>, String> {
    let header = &batch.header;
    let codec = header.attributes.compression().ok_or("its codec is unknown")?;
    let compressed = data.slice_ref(batch.record_data());
    let plain = codec
        .decompress(&compressed, DECOMPRESSED_BYTES_MAX)
        .map_err(|error| format!("its {codec} data cannot be decompressed: {error}"))?;
    let appended = header.attributes.timestamp_type() == TimestampType::LogAppendTime;
    let mut records = Vec::new();
    for record in RecordIterator::new(&plain, header.record_count) {
        let record = record.map_err(|error| format!("its records are damaged: {error}"))?;
        let timestamp = match appended {
            true => header.max_timestamp,
            false => header.base_timestamp.wrapping_add(record.timestamp_delta),
        };
        let headers = record.headers.iter().map(|header| StoredHeader {
            key: header.key_text().into_owned(),
            value: content(header.value),
        });
        records.push(StoredRecord {
            offset: header.base_offset.0.saturating_add(i64::from(record.offset_delta)),
            timestamp,
            time: times::shown(timestamp),
            timestamp_type: if appended { "LogAppendTime" } else { "CreateTime" },
            key: content(record.key),
            value: content(record.value),
            headers: headers.collect(),
        });
    }
    Ok(records)
}

fn content(bytes: Option<&[u8]>) -> Option<Content> {
    bytes.map(|bytes| Content(bytes.to_vec()))
}

/// Standard base64 with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            if digit <= group.len() {
                let value = (bits >> (18 - 6 * digit)) & 63;
                text.push(char::from(DIGITS[value as usize]));
            } else {
                text.push('=');
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use protocol::record_batch::{
        BatchBuilder, BatchOptions, BatchSlice, Compression, HeaderField,
    };

    use super::{Content, base64, records_of};

    #[test]
    fn base64_is_the_usual_one() {
        for (bytes, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn records_of_every_codec_are_read_back() {
        for compression in Compression::ALL {
            let mut builder =
                BatchBuilder::new(BatchOptions { compression, ..BatchOptions::default() });
            builder.push(1000, Some(b"k"), Some(b"v"), &[HeaderField::new("h", Some(b"x"))]);
            builder.push(2000, None, Some(&[0xff, 0xfe]), &[]);
            let data = Bytes::from(builder.finish());
            let records = records_of(&data, &BatchSlice::first(&data).unwrap()).unwrap();
            assert_eq!(records.len(), 2);
            assert_eq!((records[1].offset, records[1].timestamp), (1, 2000));
            assert_eq!(records[0].headers[0].value, Some(Content(b"x".to_vec())));
            let json = serde_json::to_value(&records[1]).unwrap();
            assert_eq!(json["value"]["base64"], "//4=");
            assert_eq!(json["key"], serde_json::Value::Null);
        }
    }
}
