//! What is written is what `docs/grpc-over-homa.md` says and what is read again; and nothing that is
//! read can do harm.
#![allow(non_snake_case, reason = "tests are named function__case")]

use bytes::BytesMut;
use homa::Message;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;
use tonic::{Code, Status};

use super::*;

const LIMITS: MetadataLimits = MetadataLimits { bytes_max: 65_536, entries_max: 256 };

fn headers(entries: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in entries {
        headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    headers
}

fn with_body(mut head: BytesMut, body: &[u8]) -> Message {
    head.extend_from_slice(body);
    head.freeze().into()
}

fn open(entries: &[(&str, &str)], body: &[u8], is_end: bool) -> Message {
    let headers = headers(entries);
    with_body(Request::open(7, 1000, "/p.S/M", &headers, is_end, &LIMITS).unwrap(), body)
}

fn decode_open(message: Message) -> Result<Open, Malformed> {
    match Request::decode(message, &LIMITS)? {
        Request::Open(open) => Ok(open),
        other => panic!("{other:?}"),
    }
}

/// A head of a kind, with fields.
fn raw(kind: u8, flags: u8, fields: &[u8], body: &[u8]) -> Message {
    let mut bytes = vec![1, kind, flags, 0];
    bytes.extend_from_slice(&(8 + fields.len() as u32).to_be_bytes());
    bytes.extend_from_slice(fields);
    bytes.extend_from_slice(body);
    bytes.into()
}

/// An OPEN whose metadata are these bytes.
fn open_with(metadata: &[u8]) -> Result<Open, Malformed> {
    let mut fields = vec![0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 4, 0, 0, 2];
    fields.extend_from_slice(b"/m");
    fields.extend_from_slice(metadata);
    decode_open(raw(1, 1, &fields, b""))
}

fn entry(name: &str, value: &[u8]) -> Vec<u8> {
    let mut entry = vec![0, 1, name.len() as u8];
    entry.extend_from_slice(name.as_bytes());
    entry.extend_from_slice(&(value.len() as u32).to_be_bytes());
    entry.extend_from_slice(value);
    entry
}

#[test]
fn open__bytes_as_documented() {
    let message = open(
        &[("te", "trailers"), ("content-type", "application/grpc"), ("k-bin", "AQI=")],
        b"body",
        true,
    );
    let expected = [
        &[1, 1, 1, 0, 0, 0, 0, 42][..],
        &[0, 0, 0, 0, 0, 0, 0, 7],
        &[0, 0, 3, 232],
        &[0, 6],
        b"/p.S/M",
        &[0, 1, 5],
        b"k-bin",
        &[0, 0, 0, 2, 1, 2],
        b"body",
    ];
    assert_eq!(message, expected.concat());
}

#[test]
fn item__bytes_as_documented() {
    let trailers = Trailers::of_status(&Status::not_found("no"));
    let head = Item::encode_head(2, Some(&headers(&[("a", "b")])), Some(&trailers), &LIMITS);
    let expected = [
        &[1, 0x81, 3, 0, 0, 0, 0, 34][..],
        &[0, 0, 0, 0, 0, 0, 0, 2],
        &[0, 1, 1, b'a', 0, 0, 0, 1, b'b'],
        &[5, 0, 0, 0, 2, b'n', b'o', 0, 0],
    ];
    assert_eq!(head.unwrap()[..], expected.concat());
}

#[test]
fn short_messages__bytes_as_documented() {
    let stream = [0, 0, 0, 0, 0, 0, 1, 0];
    let about = |kind| [&[1, kind, 0, 0, 0, 0, 0, 16][..], &stream].concat();
    assert_eq!(Request::pull(256)[..], about(3));
    assert_eq!(Request::cancel(256)[..], about(4));
    assert_eq!(Request::touch(256)[..], about(5));
    let push = [&[1, 2, 1, 0, 0, 0, 0, 24][..], &stream, &[0, 0, 0, 0, 0, 0, 0, 9]].concat();
    assert_eq!(Request::push(256, 9, true)[..], push);
    assert_eq!(Answer::nothing()[..], [1, 0x82, 0, 0, 0, 0, 0, 8]);
    assert_eq!(Answer::taken(true)[..], [1, 0x83, 1, 0, 0, 0, 0, 8]);
    let fault = Answer::fault(&Status::aborted("x"));
    assert_eq!(fault[..], [1, 0x84, 0, 0, 0, 0, 0, 14, 10, 0, 0, 0, 1, b'x']);
    assert_eq!(versions_answer(), [0, 1, 1][..]);
}

#[test]
fn open__decoded_as_encoded() {
    let message =
        open(&[("a", "1"), ("k-bin", "AQI="), ("a", "2"), ("k-bin", "/w")], b"body", false);
    let open = decode_open(message).unwrap();
    assert_eq!((open.stream, open.answer_bytes_max, open.is_end), (7, 1000, false));
    assert_eq!(open.path, "/p.S/M");
    assert_eq!(open.body, b"body"[..]);
    let all = |name| open.headers.get_all(name).iter().collect::<Vec<_>>();
    assert_eq!(all("a"), ["1", "2"]);
    // Base64 as gRPC writes it, whatever it was.
    assert_eq!(all("k-bin"), ["AQI", "/w"]);
    assert_eq!(open.headers["content-type"], "application/grpc");
}

#[test]
fn open__a_list_of_binary_values_is_several() {
    let open = decode_open(open(&[("k-bin", "AQI=, AwQ")], b"", true)).unwrap();
    let all: Vec<_> = open.headers.get_all("k-bin").iter().collect();
    assert_eq!(all, ["AQI", "AwQ"]);
}

#[test]
fn open__other_content_types_are_carried() {
    let open = decode_open(open(&[("content-type", "application/grpc+json")], b"", true)).unwrap();
    assert_eq!(open.headers["content-type"], "application/grpc+json");
}

#[test]
fn open__what_can_not_be_sent() {
    let encode = |headers: &HeaderMap, limits: MetadataLimits| {
        Request::open(7, 1000, "/p.S/M", headers, true, &limits).unwrap_err()
    };
    let bad = headers(&[("k-bin", "???")]);
    assert!(matches!(encode(&bad, LIMITS), MetadataError::Base64(_)));
    let long = headers(&[("k", &"x".repeat(1000))]);
    let limits = MetadataLimits { bytes_max: 500, ..LIMITS };
    assert_eq!(encode(&long, limits), MetadataError::Bytes(500));
    let two = headers(&[("k", "1"), ("l", "2")]);
    let limits = MetadataLimits { entries_max: 1, ..LIMITS };
    assert_eq!(encode(&two, limits), MetadataError::Entries(1));
    let name = headers(&[(&"n".repeat(256), "1")]);
    assert_eq!(encode(&name, LIMITS), MetadataError::Name(256));
}

#[test]
fn decode__other_versions() {
    for bytes in [&[2, 1, 0, 0, 0, 0, 0, 8][..], &[255, 0]] {
        let error = Request::decode(bytes.to_vec().into(), &LIMITS).unwrap_err();
        assert_eq!(error, Malformed::Version(bytes[0]));
    }
    // What a server of other versions answers, even if it ends too early.
    for (bytes, versions) in [(&[0, 2, 5, 6][..], &[5, 6][..]), (&[0, 0], &[]), (&[0, 9, 3], &[3])]
    {
        let error = Answer::decode(bytes.to_vec().into(), &LIMITS).unwrap_err();
        assert_eq!(error, Malformed::PeerVersions(versions.to_vec()));
        assert_eq!(Status::from(error).code(), Code::Unimplemented);
    }
}

#[test]
fn decode__heads_that_lie() {
    let decode = |bytes: &[u8]| Request::decode(bytes.to_vec().into(), &LIMITS).unwrap_err();
    assert_eq!(decode(&[]), Malformed::Truncated);
    assert_eq!(decode(&[1]), Malformed::Truncated);
    assert_eq!(decode(&[1, 3, 0, 0, 0, 0, 0]), Malformed::Truncated);
    // The body begins within the prefix; behind the end; beyond what is allowed.
    assert_eq!(decode(&[1, 3, 0, 0, 0, 0, 0, 7]), Malformed::Truncated);
    assert_eq!(decode(&[1, 3, 0, 0, 0, 0, 0, 9]), Malformed::Truncated);
    assert_eq!(decode(&[1, 3, 0, 0, 255, 0, 0, 9]), Malformed::HeadTooLong { max: 65_536 });
    // No stream; an unknown kind; a body where there is none.
    assert_eq!(decode(&[1, 3, 0, 0, 0, 0, 0, 8]), Malformed::Truncated);
    let error = Request::decode(raw(99, 0, &[0; 8], b""), &LIMITS).unwrap_err();
    assert_eq!(error, Malformed::Kind(99));
    let error = Request::decode(raw(3, 0, &[0; 8], b"x"), &LIMITS).unwrap_err();
    assert_eq!(error, Malformed::UnexpectedBody);
}

#[test]
fn decode__fields_of_later_minor_additions_are_skipped() {
    let request = Request::decode(raw(3, 0, &[0, 0, 0, 0, 0, 0, 0, 7, 1, 2, 3], b""), &LIMITS);
    assert!(matches!(request, Ok(Request::Pull { stream: 7 })));
}

#[test]
fn decode__hostile_metadata() {
    for (name, value) in [
        ("", &b"v"[..]),
        ("A", b"v"),
        ("a b", b"v"),
        (":path", b"v"),
        ("te", b"trailers"),
        ("grpc-status", b"0"),
        ("grpc-message", b"x"),
        ("content-length", b"1"),
    ] {
        assert_eq!(open_with(&entry(name, value)).unwrap_err(), Malformed::Name, "{name:?}");
    }
    for value in [&b"\r\n"[..], b"\0", b"\x7f"] {
        assert_eq!(open_with(&entry("a", value)).unwrap_err(), Malformed::Value);
    }
    // Any bytes are good as a binary value.
    let open = open_with(&entry("a-bin", b"\r\n\0\xff")).unwrap();
    assert_eq!(open.headers["a-bin"], "DQoA/w");
}

#[test]
fn decode__endless_metadata() {
    let error = open_with(&[255, 255]).unwrap_err();
    assert_eq!(error, Malformed::TooManyEntries { max: 256 });
    assert_eq!(open_with(&[0, 2, 1, b'a', 0, 0, 0, 0]).unwrap_err(), Malformed::Truncated);
    assert_eq!(open_with(&[0, 1, 1, b'a', 255, 255, 255, 255]).unwrap_err(), Malformed::Truncated);
    // Whatever the limits say, a map of headers can hold what is allowed.
    let limits = MetadataLimits { bytes_max: 1 << 20, entries_max: usize::MAX };
    assert!(limits.entries_max() < 32_768);
}

#[test]
fn decode__paths() {
    for path in [&b""[..], b"p.S/M", b"*", b"/\xff", b"/a b"] {
        let mut fields = vec![0; 12];
        fields.extend_from_slice(&(path.len() as u16).to_be_bytes());
        fields.extend_from_slice(path);
        fields.extend_from_slice(&[0, 0]);
        let error = decode_open(raw(1, 1, &fields, b"")).unwrap_err();
        assert_eq!(error, Malformed::Path, "{path:?}");
    }
}

#[test]
fn trailers__status_with_details_survives() {
    let details = bytes::Bytes::from_static(b"\x01\xff details");
    let mut sent = Status::with_details(Code::DataLoss, "100 % ☺\n", details);
    sent.metadata_mut().insert("a", "1".parse().unwrap());
    let trailers = Trailers::of_status(&sent);
    let head = Item::encode_head(0, None, Some(&trailers), &LIMITS).unwrap();
    let Answer::Item(item) = Answer::decode(with_body(head, b""), &LIMITS).unwrap() else {
        panic!()
    };
    let received = Status::from_header_map(&item.trailers.unwrap().0).unwrap();
    assert_eq!((received.code(), received.message()), (Code::DataLoss, "100 % ☺\n"));
    assert_eq!(received.details(), sent.details());
    assert_eq!(received.metadata().get("a").unwrap(), "1");
}

#[test]
fn answer__hostile_statuses() {
    let fault = |code, text: &[u8]| {
        let mut fields = vec![code];
        fields.extend_from_slice(&(text.len() as u32).to_be_bytes());
        fields.extend_from_slice(text);
        Answer::decode(raw(0x84, 0, &fields, b""), &LIMITS)
    };
    // Neither a code that does not exist nor a fault that is none.
    for code in [0, 17, 255] {
        let Ok(Answer::Fault(status)) = fault(code, b"x") else { panic!() };
        assert_eq!(status.code(), Code::Unknown);
    }
    assert_eq!(fault(5, b"\xff").unwrap_err(), Malformed::Text);
}

fn name() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9._-]{0,20}(-bin)?".prop_filter("reserved", |name| {
        !["te", "host", "trailer", "upgrade", "connection"].contains(&&name[..])
    })
}

fn metadata() -> impl Strategy<Value = HeaderMap> {
    let value = proptest::collection::vec(any::<u8>(), 0..40);
    proptest::collection::vec((name(), value), 0..12).prop_map(|entries| {
        let mut headers = HeaderMap::new();
        for (name, value) in entries {
            let value = if name.ends_with("-bin") {
                tonic::metadata::MetadataValue::from_bytes(&value).as_encoded_bytes().to_vec()
            } else {
                value.iter().map(|byte| 32 + byte % 95).collect()
            };
            let value = HeaderValue::from_bytes(&value).unwrap();
            headers.append(name.parse::<HeaderName>().unwrap(), value);
        }
        headers.entry("content-type").or_insert(HeaderValue::from_static("application/grpc"));
        headers
    })
}

/// Messages that are almost right.
fn almost() -> impl Strategy<Value = Vec<u8>> {
    let valid = prop_oneof![
        metadata().prop_map(|headers| {
            Request::open(1, 2, "/a/b", &headers, true, &LIMITS).unwrap().to_vec()
        }),
        metadata().prop_map(|headers| {
            let trailers = Trailers(headers.clone());
            Item::encode_head(0, Some(&headers), Some(&trailers), &LIMITS).unwrap().to_vec()
        }),
        Just(Answer::fault(&Status::aborted("text")).to_vec()),
        Just(Request::push(1, 2, false).to_vec()),
        proptest::collection::vec(any::<u8>(), 0..60),
    ];
    let changes = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    (valid, changes, any::<prop::sample::Index>()).prop_map(|(mut bytes, changes, end)| {
        if !bytes.is_empty() {
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes.truncate(1 + end.index(bytes.len() * 2));
        }
        bytes
    })
}

proptest! {
    #[test]
    fn open__any_metadata_comes_back(
        headers in metadata(), body in proptest::collection::vec(any::<u8>(), 0..100),
        stream: u64, is_end: bool,
    ) {
        let head = Request::open(stream, 9, "/a/b", &headers, is_end, &LIMITS).unwrap();
        let open = decode_open(with_body(head, &body)).unwrap();
        prop_assert_eq!(open.headers, headers);
        prop_assert_eq!((open.stream, open.is_end), (stream, is_end));
        prop_assert_eq!(open.body, body);
    }

    /// However a message is cut into pieces, it reads the same.
    #[test]
    fn decode__pieces_do_not_matter(headers in metadata(), cut: prop::sample::Index) {
        let head = Request::open(1, 9, "/a/b", &headers, true, &LIMITS).unwrap();
        let mut first = with_body(head, b"body").into_bytes();
        let second = first.split_off(cut.index(first.len()));
        let open = decode_open(Message::from(vec![first, second])).unwrap();
        prop_assert_eq!(open.headers, headers);
        prop_assert_eq!(open.body, b"body"[..].to_vec());
    }

    /// Whatever a peer sends is read or refused; and what is read is good for tonic, which panics
    /// otherwise.
    #[test]
    fn decode__no_bytes_do_harm(bytes in almost()) {
        decode_hostile(&bytes);
    }
}

/// The inputs that the fuzz target begins with, and those that it found worth keeping.
#[test]
fn decode_hostile__kept_inputs() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests-data/fuzz/grpc");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        decode_hostile(&std::fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count > 0);
}
