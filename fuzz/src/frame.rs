//! Frames of a task process, and messages of our Python processes.

use serde_json::Value;
use slipstream::python::wire;
use slipstream::supervisor::frame::{Frame, FrameReader};

/// Reads the bytes as the body of a frame, as a stream of frames, and as a stream of messages.
pub fn run(data: &[u8]) {
    if let Ok(frame) = Frame::decode(data) {
        // What was understood can be said again, and then means the same. Text that is no UTF-8 is said as bytes.
        let again = frame.encode().expect("a frame that was read can be written");
        let back = Frame::decode(&again[4..]).expect("a frame that was written can be read");
        assert_eq!(back.id, frame.id);
        assert_eq!(back.encode().expect("and written again"), again);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let mut frames = FrameReader::new(data);
        while let Ok(Some(_)) = frames.next().await {}
        let mut rest = data;
        while wire::read::<Value>(&mut rest).await.is_ok() {}
    });
}
