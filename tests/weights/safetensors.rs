//! Folders of plain safetensors: what is read, and every way in which they can be wrong.

use foveal::error::Error;
use foveal::weights::{Checkpoint, Format, Kind, PackedMatrix};
use half::{bf16, f16};
use serde_json::json;

use super::build::{Folder, bf16_bytes, f16_bytes, f32_bytes, safetensors, with_header};
use super::packed::noise;

const NORM: &str = "model.norm.weight";
const HEAD: &str = "lm_head.weight";

fn folder(entries: &[super::build::Entry]) -> Folder {
    let folder = Folder::new(&json!({ "model_type": "llama" }));
    folder.write("model.safetensors", safetensors(entries));
    folder
}

#[test]
fn all_float_types_are_read() {
    let values = noise(6 * 32, 5);
    let folder = folder(&[
        ("a.weight", "F32", vec![6, 32], f32_bytes(&values)),
        ("b.weight", "F16", vec![6, 32], f16_bytes(&values)),
        ("c.weight", "BF16", vec![6, 32], bf16_bytes(&values)),
        (NORM, "BF16", vec![32], bf16_bytes(&values[..32])),
    ]);
    let checkpoint = folder.open();
    assert_eq!(checkpoint.kind(), Kind::Safetensors);
    assert_eq!(checkpoint.config()["model_type"], "llama");
    assert_eq!(checkpoint.names(), ["a.weight", "b.weight", "c.weight", NORM]);
    assert_eq!(checkpoint.parameters(), 3 * 6 * 32 + 32);
    assert_eq!(checkpoint.bytes(), 6 * 32 * 8 + 64);
    assert_eq!(checkpoint.shape("b.weight").unwrap(), (6, 32));
    assert_eq!(checkpoint.shape(NORM).unwrap(), (1, 32));
    assert!(!checkpoint.contains(HEAD) && checkpoint.stored_format("a.weight").is_none());
    let exact = |name, convert: fn(f32) -> f32| {
        let packed = checkpoint.rows(name, 2..5, None).unwrap();
        assert_eq!((packed.rows, packed.cols, packed.format), (3, 32, Format::F16));
        for row in 0..3 {
            let expected: Vec<f32> = values[(row + 2) * 32..][..32].iter().map(|value| convert(*value)).collect();
            assert_eq!(packed.row_f32(row), expected, "{name} row {row}");
        }
    };
    exact("a.weight", |value| f16::from_f32(value).to_f32());
    exact("b.weight", |value| f16::from_f32(value).to_f32());
    exact("c.weight", |value| f16::from_f32(bf16::from_f32(value).to_f32()).to_f32());
    let norm: Vec<f32> = values[..32].iter().map(|value| bf16::from_f32(*value).to_f32()).collect();
    assert_eq!(checkpoint.vector(NORM, 32).unwrap(), norm);
    let format = Format::Affine { bits: 8, group: 16 };
    let whole = PackedMatrix::quantize("a.weight", 6, 32, &values, format).unwrap();
    assert_eq!(checkpoint.rows("a.weight", 0..6, Some(format)).unwrap(), whole);
    assert_eq!(checkpoint.rows("a.weight", 4..5, Some(format)).unwrap().row_f32(0), whole.row_f32(4));
}

#[test]
fn wrong_requests_name_the_tensor() {
    let folder = folder(&[
        (HEAD, "F16", vec![4, 8], f16_bytes(&[1.0; 32])),
        (NORM, "F32", vec![8], f32_bytes(&[1.0; 8])),
        ("cube", "F32", vec![2, 2, 8], f32_bytes(&[1.0; 32])),
        ("ids", "I64", vec![4], vec![0; 32]),
        ("nothing", "F32", vec![0, 8], Vec::new()),
        ("narrow", "F32", vec![2, 4], f32_bytes(&[1.0; 8])),
        ("huge", "BF16", vec![1, 8], bf16_bytes(&[1.0, 1.0, 131072.0, 1.0, 1.0, 1.0, 1.0, 1.0])),
    ]);
    let checkpoint = folder.open();
    let rows = |name| match checkpoint.rows(name, 0..1, None).unwrap_err() {
        Error::Tensor { name: found, expected, found: value, advice } => {
            assert!(found == name && !advice.is_empty());
            format!("{expected} / {value}")
        }
        other => panic!("{other}"),
    };
    assert!(rows("absent").contains("nothing"));
    assert!(rows("cube").contains("[2, 2, 8]"));
    assert!(rows("ids").contains("I64"));
    assert!(rows("nothing").contains("[0, 8]"));
    assert!(rows("narrow").contains("4 columns"));
    assert!(rows("huge").contains("131072"));
    assert!(matches!(checkpoint.rows(HEAD, 2..5, None), Err(Error::Shape { .. })));
    #[expect(clippy::reversed_empty_ranges, reason = "the case under test")]
    let reversed = 3..2;
    assert!(matches!(checkpoint.rows(HEAD, reversed, None), Err(Error::Shape { .. })));
    assert_eq!(checkpoint.rows(HEAD, 2..2, None).unwrap().quants.len(), 0);
    assert!(checkpoint.vector(NORM, 9).unwrap_err().to_string().contains("[9]"));
    assert!(checkpoint.vector(HEAD, 8).unwrap_err().to_string().contains("[4, 8]"));
    assert!(checkpoint.shape("absent").is_err() && checkpoint.stored_format("absent").is_none());
}

#[test]
fn headers_that_lie_are_refused() {
    let refusal = |content: Vec<u8>| {
        let folder = Folder::new(&json!({}));
        folder.write("model.safetensors", content);
        let message = folder.refusal();
        assert!(message.contains("model.safetensors") && message.to_lowercase().contains("download"), "{message}");
        message
    };
    let entry = |shape: &str, start: u64, end: u64| {
        format!(r#"{{"dtype":"F32","shape":{shape},"data_offsets":[{start},{end}]}}"#)
    };
    let whole = safetensors(&[(NORM, "F32", vec![8], f32_bytes(&[1.0; 8]))]);

    assert!(refusal(Vec::new()).contains("empty"));
    assert!(refusal(vec![1, 2, 3]).contains("file of 3 bytes"));
    assert!(refusal(whole[..40].to_vec()).contains("length of the header"));
    assert!(refusal(whole[..whole.len() - 1].to_vec()).contains("expected 32 bytes, found 31 bytes"));
    assert!(refusal([whole.clone(), vec![0]].concat()).contains("found 33 bytes"));
    assert!(refusal(with_header("", &[])).contains("header"));
    assert!(refusal(with_header("{\"a\":", &[])).contains("header"));
    assert!(refusal([u64::MAX.to_le_bytes().as_slice(), b"{}"].concat()).contains("18446744073709551615"));
    assert!(refusal(with_header(&format!("{{\"a\":{}}}", entry("[8]", 0, 16)), &[0; 16])).contains("shape"));
    let overlap = format!("{{\"a\":{},\"b\":{}}}", entry("[4]", 0, 16), entry("[4]", 8, 24));
    assert!(refusal(with_header(&overlap, &[0; 24])).contains("offset"));
    let hole = format!("{{\"a\":{},\"b\":{}}}", entry("[4]", 0, 16), entry("[4]", 20, 36));
    assert!(refusal(with_header(&hole, &[0; 36])).contains("offset"));
    let twice = format!("{{\"a\":{},\"a\":{}}}", entry("[4]", 0, 16), entry("[4]", 16, 32));
    assert!(refusal(with_header(&twice, &[0; 32])).contains("offset"));
    let reversed = format!("{{\"a\":{}}}", entry("[4]", 16, 0));
    assert!(refusal(with_header(&reversed, &[0; 16])).contains("offset"));
    let overflow = format!("{{\"a\":{}}}", entry("[9223372036854775807,9223372036854775807]", 0, 16));
    assert!(refusal(with_header(&overflow, &[0; 16])).contains("overflow"));
    // Sizes that add up to more than 64 bits, each of them possible.
    let each = 1u64 << 60;
    let sum: Vec<String> =
        (0..15).map(|i| format!("\"{i}\":{}", entry(&format!("[{}]", each / 4), i * each, (i + 1) * each))).collect();
    assert!(refusal(with_header(&format!("{{{}}}", sum.join(",")), &[0; 16])).contains("16 bytes"));
    assert!(
        refusal(with_header(r#"{"a":{"dtype":"F99","shape":[4],"data_offsets":[0,16]}}"#, &[0; 16])).contains("F99")
    );
    assert!(
        refusal(with_header(r#"{"a":{"dtype":"F32","shape":[-4],"data_offsets":[0,16]}}"#, &[0; 16]))
            .contains("header")
    );
}

#[test]
fn indexes_and_shards_must_agree() {
    let one = safetensors(&[(NORM, "F32", vec![8], f32_bytes(&[1.0; 8]))]);
    let two = safetensors(&[(HEAD, "F32", vec![2, 8], f32_bytes(&[2.0; 16]))]);
    let sharded = |map: serde_json::Value| {
        let folder = Folder::new(&json!({}));
        folder.write("model-00001-of-00002.safetensors", &one);
        folder.write("model-00002-of-00002.safetensors", &two);
        folder.write("model.safetensors.index.json", json!({ "metadata": {}, "weight_map": map }).to_string());
        folder
    };
    let (first, second) = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors");
    let good = sharded(json!({ NORM: first, HEAD: second }));
    let checkpoint = good.open();
    assert_eq!(checkpoint.vector(NORM, 8).unwrap(), [1.0; 8]);
    assert_eq!(checkpoint.rows(HEAD, 1..2, None).unwrap().row_f32(0), [2.0; 8]);

    let lie = sharded(json!({ NORM: second, HEAD: second })).refusal();
    assert!(lie.contains(NORM) && lie.contains(second), "{lie}");
    let missing = sharded(json!({ NORM: first, HEAD: "model-00003-of-00002.safetensors" })).refusal();
    assert!(missing.contains("model-00003-of-00002.safetensors") && missing.contains("not there"), "{missing}");
    for escape in
        ["../x.safetensors", "/etc/x.safetensors", "a/../b.safetensors", "..\\x.safetensors", "..", "", "config.json"]
    {
        let message = sharded(json!({ NORM: first, HEAD: escape })).refusal();
        assert!(message.contains(HEAD) && message.contains("plain name"), "{escape}: {message}");
    }
    assert!(sharded(json!({ NORM: 7 })).refusal().contains(NORM));
    assert!(sharded(json!({})).refusal().contains("at least one tensor"));
    assert!(sharded(json!("x")).refusal().contains("weight_map"));

    let twice = sharded(json!({ NORM: first, HEAD: second }));
    twice.write(
        second,
        safetensors(&[(HEAD, "F32", vec![2, 8], f32_bytes(&[2.0; 16])), (NORM, "F32", vec![8], f32_bytes(&[3.0; 8]))]),
    );
    let message = twice.refusal();
    assert!(message.contains(NORM) && message.contains("earlier shard"), "{message}");

    let unindexed = Folder::new(&json!({}));
    unindexed.write("b.safetensors", &one);
    unindexed.write("a.safetensors", &two);
    assert_eq!(unindexed.open().names(), [HEAD, NORM]);
}

#[test]
fn folders_without_a_model_say_what_is_wanted() {
    let nowhere = super::build::refusal(std::path::Path::new("does/not/exist"));
    assert!(nowhere.contains("does/not/exist") && nowhere.contains(".gguf"), "{nowhere}");

    let bare = tempfile::tempdir().unwrap();
    assert!(super::build::refusal(bare.path()).contains("config.json"));

    let empty = Folder::new(&json!({}));
    assert!(empty.refusal().contains("no safetensors file"));
    empty.write("pytorch_model.bin", "x");
    assert!(empty.refusal().contains("convert the checkpoint"));

    let folder = Folder::new(&json!({}));
    std::fs::create_dir(folder.path().join("model.safetensors")).unwrap();
    let message = folder.refusal();
    assert!(message.contains("not a file") || message.contains("directory"), "{message}");

    for (content, part) in [("[]", "object"), ("{", "JSON"), ("", "empty"), ("\u{1}", "JSON")] {
        let folder = folder_with_config(content);
        let message = folder.refusal();
        assert!(message.contains("config.json") && message.contains(part), "{content:?}: {message}");
    }
    let text = empty.write("notes.txt", "hello");
    assert!(super::build::refusal(&text).contains(".gguf"));
    let single = folder_with_config("{}").path().join("model.safetensors");
    assert!(Checkpoint::open(&single).is_err());
}

fn folder_with_config(content: &str) -> Folder {
    let folder = folder(&[(NORM, "F32", vec![8], f32_bytes(&[1.0; 8]))]);
    folder.write("config.json", content);
    folder
}
