//! Large pictures are scaled down in the answer and kept whole in the sandbox.

use crate::harness::{Agent, of};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

const ORIGINALS: &str = "application/vnd.soulbox.originals+json";

/// An agent whose results show pictures of at most so many pixels a side.
async fn agent(side: u32) -> Agent {
    let agent = Agent::warming().await;
    agent.ready().await;
    agent.claim_with(json!({"image_side": side})).await;
    agent
}

/// The only result of a cell.
async fn result(agent: &Agent, code: &str) -> Value {
    let items = agent.run(code).await;
    let results = of(&items, "result");
    assert_eq!(results.len(), 1, "{items:?}");
    results[0].clone()
}

/// Width and height, as the picture's header says them.
fn size(png: &[u8]) -> (u32, u32) {
    assert!(png.starts_with(b"\x89PNG\r\n\x1a\n"));
    let side = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
    (side(16), side(20))
}

fn decoded(value: &Value) -> Vec<u8> {
    STANDARD.decode(value.as_str().unwrap().trim()).unwrap()
}

#[tokio::test]
async fn a_large_picture_is_scaled_and_its_original_named() {
    let agent = agent(100).await;
    let code = "from PIL import Image\nImage.new('RGB', (300, 200), 'red')";
    let result = result(&agent, code).await;
    assert_eq!(result["is_main_result"], true);
    assert_eq!(size(&decoded(&result["png"])), (100, 67));
    let original = &result["extra"][ORIGINALS]["image/png"];
    assert_eq!(
        (&original["width"], &original["height"]),
        (&json!(300), &json!(200))
    );
    let kept = std::fs::read(original["path"].as_str().unwrap()).unwrap();
    assert_eq!(size(&kept), (300, 200));
    assert_eq!(json!(kept.len()), original["bytes"]);
}

#[tokio::test]
async fn a_jpeg_stays_one() {
    let agent = agent(100).await;
    let code = "
import base64, io
from PIL import Image
file = io.BytesIO()
Image.new('L', (40, 400)).save(file, 'jpeg')
# With line ends, as some kernels have it.
display({'image/jpeg': base64.encodebytes(file.getvalue()).decode()}, raw=True)
";
    let result = result(&agent, code).await;
    assert!(decoded(&result["jpeg"]).starts_with(b"\xff\xd8\xff"));
    let original = &result["extra"][ORIGINALS]["image/jpeg"];
    assert_eq!(
        (&original["width"], &original["height"]),
        (&json!(40), &json!(400))
    );
}

#[tokio::test]
async fn an_ordinary_picture_has_nothing_extra() {
    let agent = agent(100).await;
    let code = "from PIL import Image\nImage.new('RGB', (100, 100))";
    let result = result(&agent, code).await;
    assert_eq!(size(&decoded(&result["png"])), (100, 100));
    assert_eq!(result["extra"], json!({}));
}

#[tokio::test]
async fn who_wants_all_pictures_as_they_are_gets_them() {
    let agent = agent(0).await;
    let code = "from PIL import Image\nImage.new('1', (5000, 2))";
    let result = result(&agent, code).await;
    assert_eq!(size(&decoded(&result["png"])), (5000, 2));
    assert_eq!(result["extra"], json!({}));
}

/// Pictures that lie about their size, are broken, or are none: the answer is as if nobody had
/// looked, no file is left, and the next cell runs.
#[tokio::test]
async fn a_hostile_picture_passes_as_it_came() {
    let agent = agent(100).await;
    let code = "
import base64, struct, zlib
def chunk(name, data):
    return struct.pack('>I', len(data)) + name + data + struct.pack('>I', zlib.crc32(name + data))
def png(width, height, data):
    head = struct.pack('>IIBBBBB', width, height, 8, 6, 0, 0, 0)
    return b'\\x89PNG\\r\\n\\x1a\\n' + chunk(b'IHDR', head) + chunk(b'IDAT', data) + chunk(b'IEND', b'')
bomb = zlib.compress(bytes(4 << 20))
sent = [
    base64.b64encode(png(2_000_000_000, 2_000_000_000, bomb)).decode(),
    base64.b64encode(png(6000, 6000, bomb)).decode(),
    base64.b64encode(png(200, 200, b'no zlib')).decode(),
    base64.b64encode(png(200, 200, bomb))[:60].decode(),
    'no base64 at all, but as long as the head of a picture is',
    '',
]
for text in sent:
    display({'image/png': text}, raw=True)
display({'image/jpeg': base64.b64encode(b'\\xff\\xd8\\xff\\xc0\\x00\\x11\\x08\\xff\\xff\\xff\\xff').decode()}, raw=True)
print(len(sent))
";
    let items = agent.run(code).await;
    let results = of(&items, "result");
    assert_eq!(results.len(), 7);
    for result in results {
        assert_eq!(result["extra"], json!({}), "{}", result.to_string().len());
    }
    assert_eq!(agent.kept_files(), 0);
    assert_eq!(agent.value("1 + 1").await, "2");
}
