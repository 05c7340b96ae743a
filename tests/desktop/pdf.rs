//! PDF files: their text, and files that were made to do harm. Each is read in a process of its own, so nothing happens to the
//! window but a notice.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use flate2::{Compress, Compression, FlushCompress, Status};
use foveal::desktop::store::Action;
use foveal::desktop::{PdfReader, read_document};

use super::window::Window;
use crate::cli::foveal;

const PAGE: &[u8] = b"BT /F1 12 Tf 72 720 Td (The ferry leaves at seven.) Tj 0 -20 Td (Not on Sundays.) Tj ET";
const FONT: &[u8] = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>";

/// A file of these objects, of which the first is the catalogue.
fn file(objects: &[&[u8]]) -> Vec<u8> {
    let mut bytes = b"%PDF-1.5\n".to_vec();
    let mut table = format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1);
    for (index, object) in objects.iter().enumerate() {
        table += &format!("{:010} 00000 n \n", bytes.len());
        bytes.extend(format!("{} 0 obj\n", index + 1).bytes());
        bytes.extend_from_slice(object);
        bytes.extend(b"\nendobj\n");
    }
    let (size, start) = (objects.len() + 1, bytes.len());
    bytes.extend(format!("{table}trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n").bytes());
    bytes
}

const CATALOGUE: &[u8] = b"<< /Type /Catalog /Pages 2 0 R >>";
const TREE: &[u8] = b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>";
const LEAF: &[u8] = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources
    << /Font << /F1 5 0 R >> /XObject << /X 6 0 R >> >> >>";

fn stream(entries: &str, content: &[u8]) -> Vec<u8> {
    let head = format!("<< /Length {} {entries} >>\nstream\n", content.len());
    [head.as_bytes(), content, b"\nendstream"].concat()
}

/// One page whose content is a stream with these entries.
fn page(entries: &str, content: &[u8]) -> Vec<u8> {
    file(&[CATALOGUE, TREE, LEAF, &stream(entries, content), FONT])
}

fn deflated(bytes: &[u8], zlib: bool, flush: FlushCompress) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 4096);
    let status = Compress::new(Compression::best(), zlib).compress_vec(bytes, &mut out, flush).unwrap();
    assert!(matches!(status, Status::Ok | Status::StreamEnd));
    out
}

/// Some kilobytes that unpack to 16 GiB of zeros, in two steps.
fn bomb() -> Vec<u8> {
    let zeros = deflated(&vec![0; 16 << 20], false, FlushCompress::Full);
    let inner = [&[0x78, 0xDA][..], &zeros.repeat(1024), &[3, 0, 0, 0, 0, 1]].concat();
    let bytes = page("/Filter [/FlateDecode /FlateDecode]", &deflated(&inner, true, FlushCompress::Finish));
    assert!(bytes.len() < 1 << 20, "{} bytes", bytes.len());
    bytes
}

/// A tree that is its own branch.
fn ring_of_branches() -> Vec<u8> {
    file(&[CATALOGUE, b"<< /Type /Pages /Kids [2 0 R 3 0 R] /Count 2 >>", LEAF, &stream("", PAGE), FONT])
}

/// A page that inherits from what inherits from itself, without end.
fn ring_of_parents() -> Vec<u8> {
    let tree = b"<< /Type /Pages /Kids [3 0 R] /Parent 2 0 R /Count 1 >>";
    file(&[CATALOGUE, tree, b"<< /Type /Page /Parent 2 0 R /Contents 4 0 R >>", &stream("", PAGE), FONT])
}

/// A drawing that draws itself.
fn ring_of_drawings() -> Vec<u8> {
    let entries = "/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /XObject << /X 6 0 R >> >>";
    file(&[CATALOGUE, TREE, LEAF, &stream("", b"/X Do"), FONT, &stream(entries, b"/X Do")])
}

fn reader() -> PdfReader {
    PdfReader { memory: 512 << 20, ..PdfReader::new(env!("CARGO_BIN_EXE_foveal").into()) }
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

#[test]
fn the_text_of_a_pdf_is_what_the_library_reads() {
    let folder = Folder::new();
    let plain = page("", PAGE);
    for (name, bytes) in [
        ("plain.pdf", plain.clone()),
        ("-packed é.pdf", page("/Filter /FlateDecode", &deflated(PAGE, true, FlushCompress::Finish))),
    ] {
        let document = read_document(&folder.put(name, &bytes), Some(&reader())).unwrap();
        assert_eq!(*document.text, *pdf_extract::extract_text_from_mem(&bytes).unwrap());
        assert!(document.text.contains("The ferry leaves at seven.") && document.text.contains("Not on Sundays."));
        assert_eq!(document.name, name);
    }
    let path = folder.put("plain.pdf", &plain);
    assert!(foveal(&["pdf-text", path.to_str().unwrap()]).ok().contains("The ferry leaves at seven."));
    let error = read_document(&path, None).unwrap_err().to_string();
    assert!(error.contains("not read here"), "{error}");
}

#[test]
fn harmful_files_are_errors_in_bounded_time_and_memory() {
    let folder = Folder::new();
    let plain = page("", PAGE);
    let refusal = |name: &str, bytes: &[u8], reader: &PdfReader| {
        let started = Instant::now();
        let path = folder.put(name, bytes);
        let error = read_document(&path, Some(reader)).unwrap_err().to_string();
        eprintln!("{name}, {} bytes, {:.2} s: {error}", bytes.len(), started.elapsed().as_secs_f32());
        assert!(started.elapsed() < Duration::from_secs(60), "{name}: {:?}", started.elapsed());
        assert_eq!(error.matches(name).count(), 1, "{error}");
        error
    };
    let error = refusal("bomb.pdf", &bomb(), &reader());
    assert!(error.contains("more than 512 MiB of memory"), "{error}");
    // The stack of the process overflows, which no process survives.
    for (name, bytes) in [("parents.pdf", ring_of_parents()), ("drawings.pdf", ring_of_drawings())] {
        let error = refusal(name, &bytes, &reader());
        assert!(error.contains("ended in a crash") && error.ends_with("Save it as text first"), "{error}");
    }
    let error = refusal("branches.pdf", &ring_of_branches(), &reader());
    assert!(error.contains("no text"), "{error}");
    let error = refusal("cut.pdf", &plain[..plain.len() / 2], &reader());
    assert!(error.contains("no text"), "{error}");
    let error = refusal("slow.pdf", &plain, &PdfReader { time: Duration::ZERO, ..reader() });
    assert!(error.contains("more than 0 s"), "{error}");
    let error = refusal("long.pdf", &plain, &PdfReader { text: 20, ..reader() });
    assert!(error.contains("MiB of text"), "{error}");
    let nothing = PdfReader { program: folder.0.path().join("nothing"), ..reader() };
    let error = read_document(&folder.put("good.pdf", &plain), Some(&nothing)).unwrap_err().to_string();
    assert!(error.contains("cannot read PDF files"), "{error}");
}

#[test]
fn a_harmful_file_costs_the_window_a_notice() {
    let folder = Folder::new();
    let mut window = Window::ready(foveal::desktop::fake::Script::instant());
    for (name, bytes) in [("bomb.pdf", bomb()), ("parents.pdf", ring_of_parents())] {
        let path = folder.put(name, &bytes);
        window.app().act(Action::ReadFiles(vec![path]));
        window.until(|store| !store.notices.is_empty());
        assert!(window.has_part(name), "{:?}", window.store().notices);
        window.click("Close");
    }
    let path = folder.put("good.pdf", &page("", PAGE));
    window.app().act(Action::ReadFiles(vec![path]));
    window.until(|store| store.draft.documents.len() == 1);
    let id = window.store().draft.documents[0];
    assert!(window.store().documents[&id].text.contains("Not on Sundays."));
}
